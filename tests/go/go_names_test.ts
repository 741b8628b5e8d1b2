/** That docs/GO.md speaks of every name of Go's, and of none that is not here. */

import { test } from "node:test";
import { readdirSync, readFileSync } from "node:fs";
import { assert, assertEquals } from "@std/assert";
import * as osexec from "../../mod.ts";

/** A file of this project. */
function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
}

/** `go doc` of os/exec; and of os and syscall on Linux what is about processes. Members by their type. */
const GO: Record<string, string> = {
  exec: `Command CommandContext LookPath ErrDot ErrNotFound ErrWaitDelay
    Cmd: Path Args Env Dir Stdin Stdout Stderr ExtraFiles SysProcAttr Process ProcessState Err Cancel
      WaitDelay CombinedOutput Environ Output Run Start StderrPipe StdinPipe StdoutPipe String Wait
    Error: Name Err Error Unwrap
    ExitError: ProcessState Stderr Error ExitCode Exited Pid String Success Sys SysUsage SystemTime
      UserTime`,
  os:
    `StartProcess FindProcess Interrupt Kill ErrProcessDone ErrNoHandle ErrClosed NewSyscallError Pipe
      NewFile Open OpenFile Create Stdin Stdout Stderr DevNull Getpid Getppid Getuid Geteuid Getgid
      Getegid Getgroups Environ Getenv LookupEnv Setenv Unsetenv Clearenv Expand ExpandEnv Getwd Chdir
      Exit Executable Hostname
    ProcAttr: Dir Env Files Sys
    Process: Pid Kill Release Signal Wait WithHandle
    ProcessState: ExitCode Exited Pid String Success Sys SysUsage SystemTime UserTime
    Signal: Signal String
    PathError: Op Path Err Error Timeout Unwrap
    SyscallError: Syscall Err Error Timeout Unwrap
    File: Close Fd Name Read Write WriteString ReadFrom WriteTo SyscallConn SetDeadline
      SetReadDeadline SetWriteDeadline`,
  syscall: `ForkExec StartProcess Exec ForkLock Wait4 Kill Tgkill
      CLONE_CHILD_CLEARTID CLONE_CHILD_SETTID CLONE_CLEAR_SIGHAND CLONE_DETACHED CLONE_FILES CLONE_FS
      CLONE_INTO_CGROUP CLONE_IO CLONE_NEWCGROUP CLONE_NEWIPC CLONE_NEWNET CLONE_NEWNS CLONE_NEWPID
      CLONE_NEWTIME CLONE_NEWUSER CLONE_NEWUTS CLONE_PARENT CLONE_PARENT_SETTID CLONE_PIDFD
      CLONE_PTRACE CLONE_SETTLS CLONE_SIGHAND CLONE_SYSVSEM CLONE_THREAD CLONE_UNTRACED CLONE_VFORK
      CLONE_VM Setsid Setpgid Chroot Unshare Setuid Setgid Setgroups Setreuid Setregid Setresuid
      Setresgid Umask Getrlimit Setrlimit Getpriority Setpriority Getpgid Getpgrp Gettid Getrusage
      Getpid Getppid Getuid Geteuid Getgid Getegid Getgroups Environ Getenv Setenv Unsetenv Clearenv
      Exit Getwd Chdir Pipe Pipe2 Dup Dup2 Dup3 CloseOnExec SetNonblock Close Open Read Write
      PtraceAttach PtraceCont PtraceDetach PtraceGetEventMsg PtraceGetRegs PtracePeekData
      PtracePeekText PtracePokeData PtracePokeText PtraceSetOptions PtraceSetRegs PtraceSingleStep
      PtraceSyscall PtraceRegs AllThreadsSyscall AllThreadsSyscall6 Syscall Syscall6 RawSyscall
      RawSyscall6
    ProcAttr: Dir Env Files Sys
    SysProcAttr: Chroot Credential Ptrace Setsid Setpgid Pgid Setctty Noctty Ctty Foreground Pdeathsig
      Cloneflags Unshareflags UidMappings GidMappings GidMappingsEnableSetgroups AmbientCaps
      UseCgroupFD CgroupFD PidFD
    Credential: Uid Gid Groups NoSetGroups
    SysProcIDMap: ContainerID HostID Size
    WaitStatus: Exited ExitStatus Signaled Signal CoreDump Stopped StopSignal Continued TrapCause
    Rusage: Utime Stime Maxrss Ixrss Idrss Isrss Minflt Majflt Nswap Inblock Oublock Msgsnd Msgrcv
      Nsignals Nvcsw Nivcsw
    Timeval: Sec Usec
    Rlimit: Cur Max
    Signal: Signal String
    Errno: Error Is Temporary Timeout`,
};

/** The tests of Go's that have a port: those of os/exec, os, and syscall and its neighbours. */
const GO_TESTS =
  `TestEcho TestCommandRelativeName TestCatStdin TestEchoFileRace TestCatGoodAndBadFile
  TestNoExistExecutable TestExitStatus TestExitCode TestPipes TestStdinClose TestStdinCloseRace
  TestPipeLookPathLeak TestExtraFiles TestExtraFilesRace TestIgnorePipeErrorOnSuccess
  TestClosePipeOnCopyError TestOutputStderrCapture TestContext
  TestContextCancel TestDedupEnvEcho TestEnvNULCharacter TestString TestStringPathNotResolved
  TestNoPath TestDoubleStartLeavesPipesOpen TestWaitInterrupt/Wait TestWaitInterrupt/WaitDelay
  TestWaitInterrupt/SIGKILL-hang TestWaitInterrupt/Exit-hang TestWaitInterrupt/SIGINT-ignored
  TestWaitInterrupt/SIGINT-handled TestWaitInterrupt/SIGQUIT TestConcurrentExec TestPathRace
  TestAbsPathExec TestAbsPathExec/modified TestStart_twice TestCancelErrors TestCredentialNoSetGroups TestWaitid TestImplicitPWD
  TestExplicitPWD TestSIGCHLD TestLookPath TestDedupEnv TestPrefixSuffixSaver TestLookPathNotFound
  TestLookPathUnixEmptyPath TestFindExecutableVsNoexec TestProcessLiteral TestProcessReleaseTwice
  TestErrProcessDone TestProcessAlreadyDone TestProcessBadPID TestUNIXProcessAlive
  TestFindProcessViaPidfd TestStartProcessWithPidfd TestPidfdLeak TestProcessWithHandleLinux
  TestStartProcess TestHostname TestKill TestClosedPipeRace TestNilProcessStateString TestGetppid TestEPIPE TestStdPipe
  TestZeroSysProcAttr TestSetpgid TestPgid TestForeground TestForegroundSignal TestInvalidExec
  TestExec TestRlimitRestored TestForkExecNilArgv TestExecErrPermutedFds TestCloneNEWUSERAndRemap
  TestEmptyCredGroupsDisableSetgroups TestUnshare TestGroupCleanup TestGroupCleanupUserNamespace
  TestUnshareMountNameSpace TestUnshareMountNameSpaceChroot TestUnshareUidGidMapping
  TestUseCgroupFD TestCloneTimeNamespace TestPidFD TestPidFDWithUserNS TestPidFDClone3
  TestAmbientCaps TestAmbientCapsUserns TestDeathSignalSetuid TestExecPtrace TestFcntlFlock
  TestFaccessat TestDetectNohup TestNohup TestTerminalSignal TestSignalDuringExec
  TestSignalExitStatus ExampleLookPath ExampleCommand ExampleCommand_environment ExampleCmd_Output
  ExampleCmd_Run ExampleCmd_Start ExampleCmd_StdoutPipe ExampleCmd_StdinPipe ExampleCmd_StderrPipe
  ExampleCmd_CombinedOutput ExampleCmd_Environ ExampleCommandContext`;

/** What a loop puts behind the names of some of them. */
const SUBTESTS = ["10MB", "Infinite", "killed after error", "killed after spurious ErrProcessDone"];

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== "");

/** "exec.Cmd.Path" and so on. */
function goNames(): string[] {
  return Object.entries(GO).flatMap(([name, text]) => {
    let type = "";
    return words(text).map((word) => {
      if (word.endsWith(":")) {
        type = `${word.slice(0, -1)}.`;
        return `${name}.${word.slice(0, -1)}`;
      }
      return `${name}.${type}${word}`;
    });
  });
}

/** The rows of the tables of names: what stands in backquotes in the first and in the second column. */
function rows(): { go: string[]; ours: string[] }[] {
  const quoted = (text = ""): string[] =>
    Array.from(text.matchAll(/`([^`]+)`/g), ([, name = ""]) => name);
  return read("docs/GO.md").split("\n")
    .map((line) => line.split(" | "))
    .filter((columns) => columns.length >= 3 && /^\| `\w+\./.test(columns[0] ?? ""))
    .map(([go, ours]) => ({ go: quoted(go), ours: quoted(ours) }));
}

/** The text of the declaration of a class or an interface. */
function declaration(name: string): string {
  const files = readdirSync(new URL("../../src", import.meta.url), {
    recursive: true,
    encoding: "utf8",
  });
  const sources = files.filter((file) => file.endsWith(".ts")).map((file) => read(`src/${file}`));
  const start = new RegExp(`^export (?:class|interface) ${name}\\b[^{]*\\{$`, "m");
  const source = sources.find((text) => start.test(text)) ?? "";
  const rest = source.slice(source.search(start));
  return rest.slice(0, rest.indexOf("\n}"));
}

test("docs/GO.md names everything that Go exports about processes, and nothing twice", () => {
  const named = rows().flatMap(({ go }) => go);
  assertEquals(named.toSorted(), goNames().toSorted());
});

test("docs/GO.md gives each of them what stands for it, or says why nothing does", () => {
  const lines = read("docs/GO.md").split("\n").filter((line) => /^\| `\w+\./.test(line));
  for (const line of lines) {
    const [, , ours = "", difference = ""] = line.split("|").map((column) => column.trim());
    assert(ours !== "—" || difference !== "", line);
    assert(ours !== "", line);
  }
});

test("what docs/GO.md says stands for Go's is there", () => {
  const types = read("mod.ts");
  for (const { ours } of rows()) {
    for (const name of ours) {
      const [owner = "", member] = name.split(".");
      assert(owner in osexec || new RegExp(`\\b${owner}\\b`).test(types), `${owner} is no export`);
      if (member === undefined) continue;
      const declared = new RegExp(`^  (?:[a-z]+ )*\\*?${member}\\??[(:<;! ]`, "m");
      assert(declared.test(declaration(owner)), `${name} is no member`);
    }
  }
});

test("every test of Go's that has a port is named by it", () => {
  const own = readdirSync(new URL(".", import.meta.url))
    .filter((file) => /^go_.*_test/.test(file) && file !== "go_names_test.ts");
  const text = own.map((file) => read(`tests/go/${file}`)).join("\n");
  const missing = words(GO_TESTS).filter((name) => !new RegExp(`\\b${name}(?![a-z])`).test(text));
  assertEquals(missing, []);
  for (const name of SUBTESTS) assert(text.includes(`"${name}"`), name);
});

test("every verb of the child program is used", () => {
  const [, verbs = ""] =
    read("zig/tools/impersonator.zig").match(/const Verb = enum \{([^}]*)\}/) ?? [];
  const files = readdirSync(new URL(".", import.meta.url)).filter((file) => /^go_/.test(file));
  const text = read("tests/go_script.ts") +
    files.map((file) => read(`tests/go/${file}`)).join("\n");
  const unused = words(verbs.replaceAll(",", " ")).filter((verb) => {
    const call = `(impersonate|start)\\(\\s*"${verb}"`;
    const argv = `(program|path|"impersonator"),\\s*\\[?\\s*(?:"impersonator",\\s*)?"${verb}"`;
    return !new RegExp(`${call}|${argv}`).test(text);
  });
  assertEquals(unused, []);
});
