/** The tests of syscall, and of signals, that are about starting processes. */

import { test } from "node:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import {
  Cap,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  Command,
  ExitError,
  OSFile,
  SpawnError,
  startProcess,
  type SysProcAttr,
} from "../../mod.ts";
import { Rung } from "../../ffi/abi.ts";
import { forceRungs } from "../../ffi/request.ts";
import { keepsIgnoredSignals } from "../helper.ts";
import {
  decode,
  impersonate,
  isRoot,
  needsRoot,
  program,
  readText,
  script,
  temporaryDirectory,
} from "../impersonator.ts";
import { needsCall, needsLinuxChild, needsPidfd } from "../refused.ts";

const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
const nobody = 65534;

/** In a user namespace of its own, as its root. */
const inUserNamespace: SysProcAttr = {
  cloneflags: CLONE_NEWUSER,
  uidMappings: [{ containerID: 0, hostID: uid, size: 1 }],
  gidMappings: [{ containerID: 0, hostID: gid, size: 1 }],
};

/** For `skip` where a test needs one: containers and some distributions refuse it. */
const needsUserNamespace = ((): string | false => {
  try {
    impersonate("exit", ["0"], { sysProcAttr: inUserNamespace }).runSync();
    return false;
  } catch (error) {
    return `needs user namespaces: ${error}`;
  }
})();

/** The process group of a process. */
function groupOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]);
}

/** A cat that runs until its end of scope, which must be a good one. */
function startCat(sysProcAttr: SysProcAttr): AsyncDisposable & { pid: number } {
  const command = impersonate("cat", [], { sysProcAttr });
  const stdin = command.stdinPipe();
  const { pid } = command.start();
  return {
    pid,
    async [Symbol.asyncDispose]() {
      stdin.close();
      assertEquals(`${await command.wait()}`, "exit status 0");
    },
  };
}

test("TestZeroSysProcAttr: a child is in its parent's process group", async () => {
  await using cat = startCat({});
  assert(cat.pid !== process.pid);
  assertEquals(groupOf(cat.pid), groupOf(process.pid));
});

test("TestSetpgid: with setpgid it leads a group of its own", async () => {
  await using cat = startCat({ setpgid: true });
  assertEquals(groupOf(cat.pid), cat.pid);
});

test("TestPgid: with pgid it joins one", async () => {
  await using first = startCat({ setpgid: true });
  await using second = startCat({ setpgid: true, pgid: first.pid });
  assertEquals([groupOf(first.pid), groupOf(second.pid)], [first.pid, first.pid]);
});

for (
  const [name, sysProcAttr, text] of [
    [
      "SetCtty-Foreground",
      { setctty: true, foreground: true, ctty: 0 },
      "both Setctty and Foreground set in SysProcAttr",
    ],
    [
      "invalid-Ctty",
      { setctty: true, ctty: 3 },
      "Setctty set but Ctty not valid in child: 3",
    ],
  ] as const
) {
  test(`TestInvalidExec/${name}: what cannot be is refused before anything is started`, () => {
    const error = assertThrows(() => impersonate("cat", [], { sysProcAttr }).start(), SpawnError);
    assertEquals([error.step, error.message], ["request", `fork/exec ${program}: ${text}`]);
  });
}

test("TestExec: a process with busy threads becomes another program", async () => {
  assertEquals(await script("exchange", ["it", "worked"]).text(), "it worked\n");
});

test("TestRlimitRestored: the limit of open files is the child's own, if it is to be", async () => {
  const limits = (sysProcAttr: SysProcAttr): Promise<string> =>
    new Command("sh", ["-c", "ulimit -Sn; ulimit -Hn"], { sysProcAttr }).text();
  const [, hard = ""] = (await limits({})).split("\n");
  const rlimits = { NOFILE: { soft: 256, hard: Number(hard) } };
  const before = readFileSync("/proc/self/limits", "utf8");
  assertEquals(await limits({ rlimits }), `256\n${hard}\n`);
  assertEquals(readFileSync("/proc/self/limits", "utf8"), before);
});

test("TestForkExecNilArgv: a program without arguments is an error like any other", () => {
  const error = assertThrows(() => startProcess("/dev/null", []), SpawnError);
  assertEquals([error.step, error.code], ["exec", "EACCES"]);
});

test("TestExecErrPermutedFds: exchanged descriptors do not hide why a start failed", () => {
  for (const files of [[0, 2, 1], [2, 1, 0], [1, 2, 0, 1, 2]]) {
    const error = assertThrows(() => startProcess("/", ["/"], { files }), SpawnError);
    assertEquals(`${error}`, "SpawnError: fork/exec /: permission denied");
  }
});

// ------------------------------------------------------------------ namespaces and credentials

for (const setgroups of [false, true]) {
  test(`TestCloneNEWUSERAndRemap/setgroups=${setgroups}: one is root in a namespace of one's own`, {
    skip: needsUserNamespace,
  }, async () => {
    const command = new Command("whoami", [], {
      sysProcAttr: { ...inUserNamespace, gidMappingsEnableSetgroups: setgroups },
    });
    if (isRoot || !setgroups) {
      assertEquals(await command.text(), "root\n");
      return;
    }
    const error = await assertRejects(() => command.run(), SpawnError);
    assertEquals([error.step, error.code], ["gid_map", "EPERM"]);
  });
}

test("TestEmptyCredGroupsDisableSetgroups: where groups are denied, no groups are no error", {
  skip: needsUserNamespace,
}, async () => {
  const sysProcAttr = { ...inUserNamespace, credential: { uid: 0, gid: 0 } };
  assertEquals(await new Command("whoami", [], { sysProcAttr }).text(), "root\n");
});

test("TestUnshare: a new network has none of the old one's interfaces", {
  skip: needsUserNamespace,
}, async () => {
  const sysProcAttr = { ...inUserNamespace, unshareflags: CLONE_NEWNET };
  const text = await impersonate("cat", ["/proc/self/net/dev"], { sysProcAttr }).text();
  assertEquals(Array.from(text.matchAll(/^ *(\w+):/gm), ([, name]) => name), ["lo"]);
});

test("TestGroupCleanup: a credential drops the groups", { skip: needsRoot }, async () => {
  const sysProcAttr = { credential: { uid: 0, gid: 0 } };
  const text = await new Command("id", [], { sysProcAttr }).text();
  assertMatch(text, /^uid=0\(root\) gid=0\(root\)( groups=0\(root\))?$/m);
});

test("TestGroupCleanupUserNamespace: so it does in a user namespace", {
  skip: needsRoot || needsUserNamespace,
}, async () => {
  const sysProcAttr = { ...inUserNamespace, credential: { uid, gid } };
  const text = await new Command("id", [], { sysProcAttr }).text();
  assertMatch(text, /^uid=0\(root\) gid=0\(root\) groups=0\(root\)/);
});

test("TestUnshareMountNameSpace: what is mounted there is not mounted here", {
  skip: needsRoot || needsLinuxChild,
}, async () => {
  const directory = mkdtempSync("/tmp/osexec-mount-");
  const sysProcAttr = { unshareflags: CLONE_NEWNS };
  assertEquals(decode(await impersonate("mount", [directory], { sysProcAttr }).output()), "");
  // EBUSY if it were.
  rmdirSync(directory);
});

test("TestUnshareMountNameSpaceChroot: nor is what is mounted below a new root", {
  skip: needsRoot || needsLinuxChild,
}, async () => {
  const directory = mkdtempSync("/tmp/osexec-mount-");
  copyFileSync(program, join(directory, "program"));
  const command = new Command("/program", ["mount", "/"], {
    sysProcAttr: { chroot: directory, unshareflags: CLONE_NEWNS },
  });
  assertEquals(decode(await command.combinedOutput()), "");
  rmSync(join(directory, "program"));
  rmdirSync(directory);
});

test("TestUnshareUidGidMapping: a child that makes its own user namespace is its root", {
  skip: needsUserNamespace,
}, async () => {
  // chroot(2) is for those who have CAP_SYS_CHROOT.
  const command = new Command("chroot", ["/", "id", "-u"], {
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
    sysProcAttr: {
      unshareflags: CLONE_NEWNS | CLONE_NEWUSER,
      uidMappings: [{ containerID: 0, hostID: uid, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: gid, size: 1 }],
    },
  });
  if (command.err !== undefined) {
    // An ordinary user's PATH may be without it.
    delete command.err;
    command.path = "/usr/sbin/chroot";
  }
  assertEquals(await command.text(), "0\n");
});

/** A directory of cgroup v2 in which there may be more, or why there is none. */
const cgroups = ((): { path: string; reason: string | false } => {
  const [, path = ""] = readFileSync("/proc/mounts", "utf8").match(/^\S+ (\S+) cgroup2 /m) ?? [];
  const [, own = ""] = readFileSync("/proc/self/cgroup", "utf8").match(/^0::(.*)$/m) ?? [];
  const directory = join(path, own);
  if (path === "" || !existsSync(directory)) return { path: "", reason: "needs cgroup v2" };
  return { path: directory, reason: needsRoot || needsLinuxChild };
})();

test("TestUseCgroupFD: a child is born in the cgroup that it is to be in", {
  skip: cgroups.reason,
}, async () => {
  const path = mkdtempSync(join(cgroups.path, "osexec-"));
  try {
    const O_PATH = 0o10000000;
    using cgroupFD = OSFile.open(path, O_PATH);
    const sysProcAttr = { cgroupFD };
    const text = await impersonate("cat", ["/proc/self/cgroup"], { sysProcAttr }).text();
    assertMatch(text, new RegExp(`^0::.*/${basename(path)}$`, "m"));
  } finally {
    rmdirSync(path);
  }
});

test("TestCloneTimeNamespace: the child's clock is another", {
  skip: needsUserNamespace || needsCall("clone3"),
}, async () => {
  const { cloneflags = 0 } = inUserNamespace;
  const sysProcAttr = { ...inUserNamespace, cloneflags: cloneflags | CLONE_NEWTIME };
  const text = await new Command("readlink", ["/proc/self/ns/time"], { sysProcAttr }).text();
  assertMatch(text, /^time:\[\d+\]\n$/);
  assert(text.trim() !== readlinkSync("/proc/self/ns/time"));
});

for (
  const [name, sysProcAttr, rungs] of [
    ["TestPidFD", {}, 0],
    ["TestPidFDWithUserNS", { cloneflags: CLONE_NEWUSER }, 0],
    ["TestPidFDClone3", {}, Rung.clone3],
  ] as const
) {
  const skip = needsPidfd || (name === "TestPidFDWithUserNS" && needsUserNamespace);
  test(`${name}: the pidfd is the child's, however that was made`, { skip }, async () => {
    // Go forces clone3, which is what is used here: so the other way is forced.
    forceRungs(rungs);
    try {
      const command = impersonate("cat", [], { sysProcAttr });
      using _stdin = command.stdinPipe();
      const { pidfd } = command.start();
      assert(pidfd !== null);
      // Not Go's SIGINT, which a job in the background ignores, and its children with it.
      await impersonate("pidfdsignal", ["15"], { extraFiles: [pidfd] }).run();
      const error = await assertRejects(() => command.wait(), ExitError);
      assertEquals(error.signal, "SIGTERM");
    } finally {
      forceRungs(0);
    }
  });
}

/** The child program where anybody may run it. */
function publicProgram(): Disposable & { readonly path: string } {
  const directory = mkdtempSync("/tmp/osexec-public-");
  chmodSync(directory, 0o755);
  const path = join(directory, "impersonator");
  copyFileSync(program, path);
  chmodSync(path, 0o755);
  return { path, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}

for (
  const [name, skip, sysProcAttr] of [
    ["TestAmbientCaps", needsRoot || needsLinuxChild, {}],
    ["TestAmbientCapsUserns", needsUserNamespace, {
      cloneflags: CLONE_NEWUSER,
      uidMappings: [{ containerID: nobody, hostID: uid, size: 1 }],
      gidMappings: [{ containerID: nobody, hostID: gid, size: 1 }],
    }],
  ] as const
) {
  test(`${name}: who is not root has the capabilities that were asked for`, { skip }, async () => {
    const { SYS_TIME = -1, SYSLOG = -1 } = Cap;
    using file = publicProgram();
    const command = new Command(file.path, ["cat", "/proc/self/status"], {
      sysProcAttr: {
        ...sysProcAttr,
        credential: { uid: nobody, gid: nobody },
        ambientCaps: [SYS_TIME, SYSLOG],
      },
    });
    const [, effective = "0"] = (await command.text()).match(/^CapEff:\s*(\w+)$/m) ?? [];
    assertEquals(BigInt(`0x${effective}`), 1n << BigInt(SYS_TIME) | 1n << BigInt(SYSLOG));
  });
}

test("TestDeathSignalSetuid: who has other credentials hears of its parent's death", {
  skip: needsLinuxChild,
}, async () => {
  using file = publicProgram();
  const parent = script("leaveOrphan", [file.path]);
  using stdin = parent.stdinPipe();
  using stdout = parent.stdoutPipe();
  parent.start();
  assertEquals(await readText(stdout, 6), "start\n");
  parent.process?.signal("SIGTERM");
  assertEquals(await readText(stdout, 3), "ok\n");
  assert(!stdin.closed);
  await assertRejects(() => parent.wait(), ExitError, "signal: terminated");
});

test("TestExecPtrace: a traced child stops before it does anything, and can be killed", async () => {
  const child = startProcess(program, ["impersonator", "exit", "0"], { sys: { ptrace: true } });
  child.kill();
  assertEquals((await child.wait()).signal, "SIGKILL");
});

test("TestFcntlFlock: a lock through an extra file belongs to parent and child", async () => {
  using temporary = temporaryDirectory();
  const path = join(temporary.path, "file");
  const file = OSFile.open(path, "w");
  await new Command("flock", ["-n", "3"], { extraFiles: [file] }).run();
  const other = new Command("flock", ["-n", path, "true"]);
  await assertRejects(() => other.clone().run(), ExitError, "exit status 1");
  file.close();
  await other.run();
});

// ------------------------------------------------------------------ signals

test("TestDetectNohup and TestNohup: a SIGHUP that is ignored here is ignored there", async () => {
  const ignored = (status: string): boolean => {
    const [, mask = ""] = status.match(/^SigIgn:\s*(\w+)$/m) ?? [];
    return (BigInt(`0x${mask}`) & 1n) === 1n;
  };
  const own = readFileSync("/proc/self/status", "utf8");
  const direct = script("hangUp");
  assertEquals(ignored(await direct.clone().text()), ignored(own));
  const nohup = new Command("nohup", [direct.path, ...direct.args.slice(1)]);
  assertEquals(ignored(await nohup.text()), keepsIgnoredSignals);
});

test("TestSignalExitStatus: a child that ends itself by a signal has ended by it", async () => {
  const command = new Command("sh", ["-c", "kill -TERM $$"]);
  const error = await assertRejects(() => command.run(), ExitError, "signal: terminated");
  assertEquals([error.signal, error.exitCode, error.state.exited], ["SIGTERM", -1, false]);
});

test("TestSignalDuringExec: signals to the whole group do no harm to who is being started", async () => {
  const command = script("startInStorm", [], { sysProcAttr: { setpgid: true } });
  assertEquals(decode(await command.combinedOutput()), "OK\n");
});

// ------------------------------------------------------------------ the golden table

test("rule 68: the texts of what can go wrong, each with its step", async () => {
  using temporary = temporaryDirectory();
  const at = (name: string): string => join(temporary.path, name);
  const executable = (name: string, content: string): string => {
    writeFileSync(at(name), content);
    chmodSync(at(name), 0o755);
    return at(name);
  };
  mkdirSync(at("directory"));
  writeFileSync(at("plain"), "");
  const busy = executable("busy", readFileSync("/bin/true", "latin1"));
  using _writer = OSFile.open(busy, "a");
  const rows: [command: Command, text: string][] = [
    [new Command(at("nope")), "no such file or directory"],
    [new Command(at("plain/below")), "not a directory"],
    [new Command(at("plain")), "permission denied"],
    [new Command(at("directory")), "permission denied"],
    [new Command(executable("empty", "")), "exec format error"],
    [new Command(executable("script", "#!/no/interpreter\n")), "no such file or directory"],
    [new Command(busy), "text file busy"],
    [new Command(program, ["x".repeat(1 << 20)]), "argument list too long"],
  ];
  for (const [command, text] of rows) {
    const error = await assertRejects(() => command.run(), SpawnError);
    assertEquals([error.step, `${error}`], [
      "exec",
      `SpawnError: fork/exec ${command.path}: ${text}`,
    ]);
  }
  const attributes: [SysProcAttr, text: string][] = [
    [{ setsid: true, setpgid: true }, "setpgid 0: operation not permitted"],
    [{ setpgid: true, pgid: 0x7fffffff }, "setpgid 2147483647: operation not permitted"],
    [{ noctty: true }, "noctty: inappropriate ioctl for device"],
    [{ setsid: true, setctty: true, ctty: 0 }, "setctty 0: inappropriate ioctl for device"],
  ];
  for (const [sysProcAttr, text] of attributes) {
    const error = await assertRejects(() => impersonate("cat", [], { sysProcAttr }).run());
    assertEquals(`${error}`, `SpawnError: fork/exec ${program}: ${text}`);
  }
});
