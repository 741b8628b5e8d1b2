/** The tests of os that are about processes, and those of os/exec that need a process's state. */

import { test } from "node:test";
import { hostname } from "node:os";
import process from "node:process";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  ClosedError,
  Command,
  ExitError,
  findProcess,
  lookPath,
  pipe,
  type Process,
  ProcessDoneError,
  SpawnError,
  startProcess,
  StateError,
  SyscallError,
  type SysProcAttr,
} from "../../mod.ts";
import { withoutLeaks } from "../holdings.ts";
import {
  encode,
  ended,
  impersonate,
  isRoot,
  program,
  readAll,
  readText,
  script,
  stateOf,
  turn,
  until,
} from "../impersonator.ts";
import { needsCall, needsLinuxChild, needsPidfd } from "../refused.ts";

const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];

/** A process that runs a verb, with nothing on its streams. */
function start(verb: string, ...args: string[]): Process {
  return startProcess(program, ["impersonator", verb, ...args]);
}

test("TestCredentialNoSetGroups: one's own ids may be set by anybody", async () => {
  const sysProcAttr = { credential: { uid, gid, noSetGroups: true } };
  assertEquals(await impersonate("echo", ["foo"], { sysProcAttr }).text(), "foo\n");
});

test("TestWaitid: a stopped child has not ended, and can be continued", async () => {
  const command = impersonate("pipetest");
  const stdin = command.stdinPipe();
  using stdout = command.stdoutPipe();
  const { pid } = command.start();
  await stdin.write(encode("O:ping\n"));
  assertEquals(await readText(stdout, 7), "O:ping\n");
  command.process?.signal("SIGSTOP");
  await until(() => stateOf(pid) === "T");
  const waiting = command.wait();
  await turn();
  assertStrictEquals(command.processState, undefined);
  command.process?.signal("SIGCONT");
  stdin.close();
  assertEquals(`${await waiting}`, "exit status 0");
});

test("TestSIGCHLD: one comes for each child, and none for what the first start tries out", async () => {
  assertEquals(await script("countSignals").text(), "2\n");
});

test("TestProcessLiteral: this process can be found, and signalled", async () => {
  let come = false;
  process.once("SIGUSR2", () => come = true);
  const self = findProcess(process.pid);
  self.signal("SIGUSR2");
  self.release();
  await until(() => come);
});

test("TestErrProcessDone: who has been reaped gets no signal", async () => {
  const child = start("exit", "0");
  await child.wait();
  const error = assertThrows(() => child.signal("SIGKILL"), ProcessDoneError);
  assertEquals(error.message, "os: process already finished");
  assertThrows(() => child.signal(0), ProcessDoneError);
});

test("rule 84: who has ended gets one without a word, until a wait", async () => {
  const child = start("exit", "0");
  await ended(child);
  child.kill();
  child.signal(0);
  assertEquals(`${await child.wait()}`, "exit status 0");
  assertThrows(() => child.kill(), ProcessDoneError);
});

test("TestProcessAlreadyDone: a process that never was is done, and no child", async () => {
  const nobody = findProcess(0x7fffffff);
  assertThrows(() => nobody.signal(0), ProcessDoneError);
  const error = await assertRejects(() => nobody.wait(), SyscallError);
  assertEquals(error.code, "ECHILD");
  // Go's text says which of its ways it went.
  assertMatch(error.message, /^wait(id)?: no child processes$/);
  nobody.release();
});

test("TestProcessBadPID: a number that can be no process's is refused at once", () => {
  for (const pid of [-1, 0, 2 ** 31]) assertThrows(() => findProcess(pid), RangeError);
  for (const pid of [1.5, NaN]) assertThrows(() => findProcess(pid), TypeError);
});

test("TestUNIXProcessAlive: signal 0 asks whether a process is there", async () => {
  await using child = start("hang", "600000");
  const found = findProcess(child.pid);
  found.signal(0);
  found.release();
});

test("TestFindProcessViaPidfd: a process that has been reaped is found to be done", async () => {
  const child = start("exit", "0");
  await child.wait();
  const found = findProcess(child.pid);
  assertThrows(() => found.kill(), ProcessDoneError);
  assertThrows(() => found.signal("SIGTERM"), ProcessDoneError);
  const error = await assertRejects(() => found.wait(), SyscallError);
  assertEquals(error.code, "ECHILD");
  found.release();
});

test("TestProcessReleaseTwice: a second release does nothing, and all else is refused", async () => {
  const child = start("exit", "0");
  child.release();
  child.release();
  assertThrows(() => child.kill(), StateError, "os: process already released");
  await assertRejects(() => child.wait(), StateError, "os: process already released");
  // It is a child all the same.
  assertEquals(`${await findProcess(child.pid).wait()}`, "exit status 0");
});

test("TestStartProcessWithPidfd: another handle outlives the wait, and knows that all is over", {
  skip: needsPidfd || needsCall("pidfd_open"),
}, async () => {
  const child = start("exit", "0");
  const other = findProcess(child.pid);
  assert(child.pidfd !== null && other.pidfd !== null && child.pidfd !== other.pidfd);
  await child.wait();
  assertStrictEquals(child.pidfd, null);
  // Not EBADF: it is still a handle, of nobody.
  assertThrows(() => other.signal(0), ProcessDoneError);
  other.release();
  assertStrictEquals(other.pidfd, null);
});

test("TestPidfdLeak: a start that fails leaves no descriptor", async () => {
  await withoutLeaks(async () => {
    for (let round = 0; round < 10; round++) {
      await assertRejects(() => new Command("/noSuchExecutable").run(), SpawnError);
      assertThrows(() => startProcess("/noSuchExecutable", []), SpawnError);
    }
  });
});

test(
  "TestProcessWithHandleLinux: the pidfd is a handle, until the wait",
  { skip: needsPidfd },
  async () => {
    const command = impersonate("cat");
    using _stdin = command.stdinPipe();
    const child = command.start();
    assert(child.pidfd !== null);
    // Not Go's SIGINT, which a job in the background ignores, and its children with it.
    await impersonate("pidfdsignal", ["15"], { extraFiles: [child.pidfd] }).run();
    const error = await assertRejects(() => command.wait(), ExitError);
    assertEquals([error.signal, String(error.state)], ["SIGTERM", "signal: terminated"]);
    assertStrictEquals(child.pidfd, null);
  },
);

for (
  const [name, path, dir, expected] of [
    ["absolute", program, "/", "/\n"],
    ["relative", "./pwd", "/usr/bin", "/usr/bin\n"],
  ] as const
) {
  test(`TestStartProcess/${name}: a program runs in its directory, and is looked for there`, async () => {
    const [reading, writing] = pipe();
    const child = startProcess(path, ["pwd", "pwd"].slice(name === "relative" ? 1 : 0), {
      dir,
      env: {},
      files: [null, writing, 2],
    });
    writing.close();
    assertEquals(await readAll(reading), expected);
    reading.close();
    assertEquals(`${await child.wait()}`, "exit status 0");
  });
}

test("TestHostname: a program's output, and no kill after the wait", async () => {
  const [reading, writing] = pipe();
  const files = [null, writing, 2];
  const child = startProcess(lookPath("uname"), ["uname", "-n"], { files });
  writing.close();
  assertEquals(await readAll(reading), `${hostname()}\n`);
  reading.close();
  await child.wait();
  assertThrows(() => child.kill(), ProcessDoneError);
});

test("TestGetppid: the child's parent is this process", async () => {
  const text = await new Command("sh", ["-c", "echo $PPID"]).text();
  assertEquals(text, `${process.pid}\n`);
});

for (
  const [name, kill] of [
    ["Start", (child: Process) => child.kill()],
    ["Find", (child: Process) => findProcess(child.pid).kill()],
  ] as const
) {
  test(`TestKill${name}Process: SIGKILL ends a process that reads its stdin`, async () => {
    const command = impersonate("hang", ["600000", "-read"]);
    using _stdin = command.stdinPipe();
    using stdout = command.stdoutPipe();
    const child = command.start();
    assertEquals(await readAll(stdout), "");
    kill(child);
    assertEquals((await assertRejects(() => command.wait(), ExitError)).signal, "SIGKILL");
  });
}

// ------------------------------------------------------------------ beyond Go's tests

test(
  "gap: a pid that another process has by now is never reached",
  { skip: needsLinuxChild || needsCall("pidfd_open") },
  async () => {
    const sysProcAttr: SysProcAttr = { cloneflags: CLONE_NEWPID, unshareflags: CLONE_NEWNS };
    if (!isRoot) {
      sysProcAttr.cloneflags = CLONE_NEWPID | CLONE_NEWUSER;
      sysProcAttr.uidMappings = [{ containerID: 0, hostID: uid, size: 1 }];
      sysProcAttr.gidMappings = [{ containerID: 0, hostID: gid, size: 1 }];
    }
    const output = await script("reusePid", [], { sysProcAttr }).combinedOutput();
    assertEquals(new TextDecoder().decode(output).split("\n"), [
      "reused",
      "done",
      "done",
      "StateError: os: process already released",
      "exit status 0",
      "",
    ]);
  },
);

test("gap: a group can be signalled until its leader is reaped, even if that has ended", async () => {
  const leave = `${program} hang 600000 & echo $!`;
  const command = new Command("sh", ["-c", leave], { sysProcAttr: { setpgid: true } });
  using reading = command.stdoutPipe();
  const leader = command.start();
  // The job closes its stdout when it is ready.
  const job = Number(await readAll(reading));
  await ended(leader);
  await new Command("kill", ["-KILL", "--", `-${leader.pid}`]).run();
  await until(() => ["", "Z"].includes(stateOf(job)));
  assertEquals(`${await command.wait()}`, "exit status 0");
});

test("contract: every wait has the same state", async () => {
  const child = start("exit", "7");
  const [one, other] = await Promise.all([child.wait(), child.wait()]);
  assertStrictEquals(one, other);
  assertStrictEquals(child.waitSync(), one);
  assertStrictEquals(await child.wait(), one);
});

test("contract: a wait of the thread's ends one of the event loop's", async () => {
  const child = start("exit", "7");
  const waiting = child.wait();
  assertStrictEquals(child.waitSync(), await waiting);
});

test("contract: a wait that is pending is rejected by a release", async () => {
  const child = start("hang", "600000");
  const waiting = assertRejects(() => child.wait(), StateError, "os: process already released");
  child.release();
  await waiting;
  await findProcess(child.pid)[Symbol.asyncDispose]();
});

test("contract: await using kills and reaps, whether it is a child or not", async () => {
  let pid: number;
  {
    await using child = start("hang", "600000");
    pid = child.pid;
  }
  assertEquals(stateOf(pid), "");
  const leave = `${program} hang 600000 2>/dev/null & echo $!`;
  const orphan = Number(await new Command("sh", ["-c", leave]).text());
  {
    await using _ = findProcess(orphan);
  }
  await until(() => ["", "Z"].includes(stateOf(orphan)));
});

test("contract: await using ends a command, and its pipes with it", async () => {
  await withoutLeaks(async () => {
    let pid: number;
    {
      await using command = impersonate("hang", ["600000", "-subsleep", "600000", "-probe", "1"], {
        stderr: { write() {} },
      });
      command.stdinPipe();
      command.stdoutPipe();
      pid = command.start().pid;
    }
    assertEquals(stateOf(pid), "");
  });
  await using never = impersonate("cat");
  const stdin = never.stdinPipe();
  await never[Symbol.asyncDispose]();
  assert(stdin.closed);
});

// ------------------------------------------------------------------ pipes

test("TestEPIPE: every write to a pipe that nobody reads fails", async () => {
  const [reading, writing] = pipe();
  reading.close();
  for (let round = 0; round < 20; round++) {
    const error = await assertRejects(() => writing.write(encode("hi")), SyscallError);
    assertEquals([error.code, error.message], ["EPIPE", "write |1: broken pipe"]);
    assertEquals(assertThrows(() => writing.writeSync(encode("hi")), SyscallError).code, "EPIPE");
  }
  writing.close();
});

test("TestStdPipe: a child that writes to one dies of SIGPIPE, if it does not ignore that", async () => {
  const [reading, writing] = pipe();
  reading.close();
  for (const fd of [1, 2, 3]) {
    const options = { stdout: writing, stderr: writing, extraFiles: [writing] };
    const run = (before: string): Promise<unknown> =>
      new Command("sh", ["-c", `${before} echo text >&${fd} || exit 9`], options).run();
    assertEquals(`${await assertRejects(() => run(""))}`, "ExitError: signal: broken pipe");
    assertEquals(`${await assertRejects(() => run("trap '' PIPE;"))}`, "ExitError: exit status 9");
  }
  const stderr: Uint8Array[] = [];
  const alone = { stdout: writing, stderr: { write: (chunk: Uint8Array) => stderr.push(chunk) } };
  await assertRejects(() => impersonate("echo", ["x"], alone).run(), ExitError, "broken pipe");
  assertEquals(stderr, []);
  writing.close();
});

for (const what of ["Read", "Write"] as const) {
  test(`TestClosedPipeRace${what}: closing a file ends what it waits for`, async () => {
    const [reading, writing] = pipe();
    const [end, other] = what === "Read" ? [reading, writing] : [writing, reading];
    const waiting = what === "Read"
      ? end.read(new Uint8Array(1))
      : end.write(new Uint8Array(2 << 20));
    const error = assertRejects(() => waiting, ClosedError, "file already closed");
    await turn();
    end.close();
    assertEquals((await error).message.split(" ")[0], what.toLowerCase());
    await assertRejects(() => end.read(new Uint8Array(1)), ClosedError);
    other.close();
  });
}
