import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { basename } from "node:path";
import process from "node:process";
import { test } from "node:test";
import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { Rung } from "../../ffi/abi.ts";
import { forceRungs } from "../../ffi/request.ts";
import {
  Cap,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  OSFile,
  type ProcAttr,
  type RlimitName,
  startProcess,
  type SysProcAttr,
} from "../../mod.ts";
import {
  cgroupRoot,
  childrenOf,
  childStat,
  childStatus,
  descriptors,
  drive,
  duplicate,
  helper,
  helperFolder,
  needsCgroups,
  needsRoot,
  needsUser,
  needsUserNamespaces,
  ownMaps,
  readAll,
  run,
  runLines,
  runProgram,
  runtimeCommand,
  self,
  spawnFailure,
  startPiped,
  statOf,
  statusFields,
  temporaryFolder,
  until,
} from "../system.ts";
import { keepsIgnoredSignals } from "../helper.ts";
import { needsCall, needsLinuxChild } from "../refused.ts";

/** Ids that belong to nobody. */
const stranger = { uid: 12345, gid: 23456 };

/** A new user namespace, for who may not chroot otherwise. */
const mayChroot: SysProcAttr = self.uid === 0 ? {} : { cloneflags: CLONE_NEWUSER, ...ownMaps() };
const needsChroot: string | false = self.uid === 0 ? false : needsUserNamespaces;

/** Starts the helper, which must not start. */
function failure(
  sys: SysProcAttr,
  attr: ProcAttr = {},
): [step: string, argument: unknown, code: string] {
  const error = spawnFailure(() => startProcess(helper, ["helper", "exit", "0"], { ...attr, sys }));
  return [error.step, error.argument, error.code];
}

/** A cgroup for the block. */
function cgroup(): Disposable & { readonly path: string; readonly name: string } {
  const path = `${cgroupRoot}/osexec-test-${process.pid}`;
  mkdirSync(path);
  return {
    path,
    name: basename(path),
    [Symbol.dispose]() {
      // Whoever was inside is gone, but perhaps not yet to its last trace.
      for (let tries = 0;; tries++) {
        try {
          return rmdirSync(path);
        } catch (error) {
          if (tries === 200) throw error;
          run(["exit", "0"]);
        }
      }
    },
  };
}

// ---------------------------------------------------------------- signals

test("contract: the child has no signal blocked, none handled, and SIGPIPE and SIGXFSZ at default", () => {
  const fields = childStatus({});
  assertEquals([fields.get("SigBlk"), fields.get("SigCgt")], ["0".repeat(16), "0".repeat(16)]);
  const ignored = BigInt(`0x${fields.get("SigIgn")}`);
  for (const number of [13, 25, 32, 33]) assertEquals(ignored >> BigInt(number - 1) & 1n, 0n);
  // It is the child's doing: here SIGPIPE is ignored.
  const own = BigInt(`0x${statusFields(readFileSync("/proc/self/status", "utf8")).get("SigIgn")}`);
  assertEquals(own >> 12n & 1n, 1n);
});

test("rule 119: what else is ignored stays ignored, as nohup wants it", () => {
  const under = ["/bin/sh", "-c", `trap "" HUP; exec "$@"`, "sh"];
  const ignored = (under: string[]): bigint => {
    const [result] = drive([{ argv: ["file", "/proc/self/status"] }], { under });
    return BigInt(`0x${statusFields(result?.output ?? "").get("SigIgn")}`);
  };
  // What these tests run under may have SIGINT ignored, say; SIGPIPE and SIGXFSZ are the runtimes' own.
  const before = ignored([]);
  assertEquals(before & (1n << 12n | 1n << 24n), 0n);
  assertEquals(ignored(under), before | (keepsIgnoredSignals ? 1n : 0n));
});

test("rule 125: the program is the path, whatever argv[0] says, and has all the arguments", () => {
  const argv = ["another name", "args", "", "two words", "\u00fc"];
  assertEquals(runProgram(helper, argv), `${argv.join("\n")}\n`);
});

// ---------------------------------------------------------------- root, directory

test(
  "section 1.4, Chroot: the program and, without a dir, the working directory are in the new root",
  {
    skip: needsChroot,
  },
  () => {
    using root = helperFolder();
    const sys: SysProcAttr = { ...mayChroot, chroot: root.path };
    assertEquals(runProgram("/helper", ["helper", "cwd"], { sys }), "/\n");
    writeFileSync(`${root.path}/marker`, "inside");
    assertEquals(runProgram("/helper", ["helper", "file", "/marker"], { sys }), "inside");
  },
);

test("rule 23: dir is a path in the new root", { skip: needsChroot }, () => {
  using root = helperFolder();
  mkdirSync(`${root.path}/sub`);
  const sys: SysProcAttr = { ...mayChroot, chroot: root.path };
  assertEquals(runProgram("/helper", ["helper", "cwd"], { sys, dir: "/sub" }), "/sub\n");
  const error = spawnFailure(() => startProcess("/helper", ["helper"], { sys, dir: root.path }));
  assertEquals([error.step, error.argument, error.code], ["chdir", root.path, "ENOENT"]);
});

test("rule 68: a new root that is not there is named", { skip: needsChroot }, () => {
  assertEquals(failure({ ...mayChroot, chroot: "/nope" }), ["chroot", "/nope", "ENOENT"]);
});

test("section 1.4, Chroot: an ordinary user is refused", { skip: needsUser }, () => {
  assertEquals(failure({ chroot: "/" }), ["chroot", "/", "EPERM"]);
});

test("rule 23: dir is entered with the new credentials", { skip: needsRoot }, () => {
  using folder = helperFolder();
  mkdirSync(`${folder.path}/closed`);
  chmodSync(`${folder.path}/closed`, 0o700);
  const dir = `${folder.path}/closed`;
  assertEquals(runProgram(folder.helper, ["helper", "cwd"], { dir }), `${dir}\n`);
  assertEquals(failure({ credential: stranger }, { dir }), ["chdir", dir, "EACCES"]);
});

// ---------------------------------------------------------------- credentials

test("rule 107: a credential sets real, effective and saved ids, and the groups", {
  skip: needsRoot,
}, () => {
  using folder = helperFolder();
  const sys = { credential: { ...stranger, groups: [7, 8] } };
  const argv = ["helper", "file", "/proc/self/status"];
  const fields = statusFields(runProgram(folder.helper, argv, { sys }));
  assertEquals(fields.get("Uid"), "12345 12345 12345 12345");
  assertEquals(fields.get("Gid"), "23456 23456 23456 23456");
  assertEquals(fields.get("Groups"), "7 8");
  assertEquals([fields.get("CapPrm"), fields.get("CapEff")], ["0".repeat(16), "0".repeat(16)]);
});

test("rule 106: without groups the credential drops them all; noSetGroups leaves them", {
  skip: needsRoot,
}, () => {
  const argv = ["file", "/proc/self/status"];
  const root = { uid: 0, gid: 0 };
  const cases = [
    { argv },
    { argv, sys: { credential: root } },
    { argv, sys: { credential: { ...root, groups: [] } } },
    { argv, sys: { credential: { ...root, noSetGroups: true } } },
  ];
  const attr = { sys: { credential: { ...root, groups: [5, 6] } } };
  const groups = drive(cases, { attr }).map(({ output }) => statusFields(output).get("Groups"));
  assertEquals(groups, ["5 6", "", "", "5 6"]);
});

test("rule 108: noSetGroups with one's own ids needs no privileges", () => {
  const fields = childStatus({ credential: { ...self, noSetGroups: true } });
  assertEquals(fields.get("Uid"), Array(4).fill(self.uid).join(" "));
});

test("rule 106: an ordinary user may not set groups, nor ids", { skip: needsUser }, () => {
  assertEquals(failure({ credential: self }), ["setgroups", "[]", "EPERM"]);
  const groups = [1, 2];
  assertEquals(failure({ credential: { ...self, groups } }), ["setgroups", "[1 2]", "EPERM"]);
  const noSetGroups = true;
  const { gid } = self;
  assertEquals(failure({ credential: { uid: 0, gid: 0, noSetGroups } }), ["setgid", "0", "EPERM"]);
  assertEquals(failure({ credential: { uid: 0, gid, noSetGroups } }), ["setuid", "0", "EPERM"]);
});

test("rule 106: where the map denies setgroups, empty groups are not set", {
  skip: needsUserNamespaces,
}, () => {
  const sys = { cloneflags: CLONE_NEWUSER, ...ownMaps() };
  const fields = childStatus({ ...sys, credential: { uid: 0, gid: 0 } });
  assertEquals([fields.get("Uid"), fields.get("Gid")], ["0 0 0 0", "0 0 0 0"]);
  const credential = { uid: 0, gid: 0, groups: [0] };
  assertEquals(failure({ ...sys, credential }), ["setgroups", "[0]", "EPERM"]);
});

// ---------------------------------------------------------------- tracing, sessions, groups

test("section 1.4, Ptrace: the child stops at exec, traced, before its first instruction", async () => {
  const { child, stdout } = startPiped(helper, ["helper", "exit", "3"], { sys: { ptrace: true } });
  await until("the stop", () => statOf(child.pid)?.state === "t");
  const tracer = statusFields(readFileSync(`/proc/${child.pid}/status`, "utf8")).get("TracerPid");
  assertNotEquals(tracer, "0");
  // The tracer is the thread, whose group is this process.
  const group = statusFields(readFileSync(`/proc/${tracer}/status`, "utf8")).get("Tgid");
  assertEquals(group, `${process.pid}`);
  child.kill();
  assertEquals(child.waitSync().toString(), "signal: killed");
  assertEquals(readAll(stdout), "");
  stdout.close();
});

test("section 1.4, Setsid: the child leads a new session and its first group", () => {
  const stat = childStat({ setsid: true });
  assertEquals([stat.session, stat.group], [stat.pid, stat.pid]);
  assertNotEquals(childStat({}).session, stat.session);
});

test("section 1.4, Setpgid: the child leads a new group, in the session of its parent", () => {
  const own = statOf(process.pid);
  const stat = childStat({ setpgid: true });
  assertEquals([stat.group, stat.session], [stat.pid, own?.session]);
  assertEquals(childStat({}).group, own?.group);
});

test("section 1.4, Pgid: the child joins a group", () => {
  const { child: leader, stdout } = startPiped(helper, ["helper", "hang"], {
    sys: { setpgid: true },
  });
  try {
    assertEquals(childStat({ setpgid: true, pgid: leader.pid }).group, leader.pid);
  } finally {
    leader.kill();
    leader.waitSync();
    stdout.close();
  }
});

test("section 1.4, Setsid: with setpgid the kernel refuses it", () => {
  assertEquals(failure({ setsid: true, setpgid: true }), ["setpgid", "0", "EPERM"]);
});

test("section 1.4, Pgid: a group of another session is refused", () => {
  assertEquals(failure({ setpgid: true, pgid: 1 }), ["setpgid", "1", "EPERM"]);
});

// ---------------------------------------------------------------- the parent's death

test("section 1.4, Pdeathsig: the child gets the signal it asked for", {
  skip: needsLinuxChild,
}, () => {
  for (const [pdeathsig, number] of [["SIGTERM", "15"], ["SIGRTMIN+3", "37"], [9, "9"]] as const) {
    assertEquals(run(["death"], { sys: { pdeathsig } }), `${number}\n`);
  }
  assertEquals(run(["death"]), "0\n");
});

test("section 1.4, Pdeathsig: it is set after the credentials, which clear it", {
  skip: needsRoot || needsLinuxChild,
}, () => {
  using folder = helperFolder();
  const sys: SysProcAttr = { credential: stranger, pdeathsig: "SIGUSR1" };
  assertEquals(runProgram(folder.helper, ["helper", "death"], { sys }), "10\n");
});

/** Starts children in a runtime of its own, kills that, and waits for the children's end. */
async function orphan(sys: SysProcAttr, path: string): Promise<void> {
  const argv = runtimeCommand("./driver.ts", [
    "cases",
    JSON.stringify([{ path, argv: ["hang"], sys }]),
  ]);
  const { child: parent, stdout } = startPiped(argv[0] ?? "", argv);
  let pid = 0;
  await until("the child", () => {
    pid = childrenOf(parent.pid).find((each) => isProgram(each, "hang")) ?? 0;
    return pid !== 0;
  });
  parent.kill();
  parent.waitSync();
  stdout.close();
  // A container without an init leaves the zombie.
  await until("the child's end", () => [undefined, "Z", "X"].includes(statOf(pid)?.state));
}

function isProgram(pid: number, argument: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1") === `helper\0${argument}\0`;
  } catch {
    return false;
  }
}

test("section 1.4, Pdeathsig: the child dies with its parent", {
  skip: needsLinuxChild,
}, async () => {
  await orphan({ pdeathsig: "SIGKILL" }, helper);
});

test("section 1.4, Pdeathsig: the child of other credentials dies with its parent", {
  skip: needsRoot || needsLinuxChild,
}, async () => {
  using folder = helperFolder();
  await orphan({ pdeathsig: "SIGTERM", credential: stranger }, folder.helper);
});

/**
 * Kills a parent whose child is held before its first step, by a frozen cgroup that it is born into, and
 * answers whether the child's program ran once it was let go.
 */
async function runsAfterDeath(sys: SysProcAttr): Promise<boolean> {
  using folder = temporaryFolder();
  using group = cgroup();
  writeFileSync(`${group.path}/cgroup.freeze`, "1");
  const file = `${folder.path}/ran`;
  const one = { argv: ["write", file, "yes"], sys, cgroup: group.path };
  const argv = runtimeCommand("./driver.ts", ["cases", JSON.stringify([one])]);
  const { child: parent, stdout } = startPiped(argv[0] ?? "", argv);
  const members = (): string => readFileSync(`${group.path}/cgroup.procs`, "utf8");
  await until("the child", () => members() !== "");
  parent.kill();
  parent.waitSync();
  stdout.close();
  writeFileSync(`${group.path}/cgroup.freeze`, "0");
  await until("the child's end", () => members() === "");
  return existsSync(file);
}

test("section 1.4, Pdeathsig: a parent's death before it is set is noticed", {
  skip: needsCgroups,
}, async () => {
  assertEquals(await runsAfterDeath({}), true);
  assertEquals(await runsAfterDeath({ pdeathsig: "SIGKILL" }), false);
  assertEquals(
    await runsAfterDeath({ pdeathsig: "SIGTERM", credential: { uid: 0, gid: 0 } }),
    false,
  );
});

test("rule 127: a parent's death is noticed from another pid namespace too", {
  skip: needsCgroups,
}, async () => {
  const cloneflags = CLONE_NEWPID;
  assertEquals(await runsAfterDeath({ cloneflags }), true);
  assertEquals(await runsAfterDeath({ cloneflags, pdeathsig: "SIGTERM" }), false);
});

test("rule 127: what the parent's death is noticed by leads out of no chroot", {
  skip: needsLinuxChild,
}, () => {
  const sys: SysProcAttr = { pdeathsig: "SIGKILL" };
  const held = new Set(readdirSync("/proc/self/fd").map(Number));
  for (let fd = 3; fd < 64; fd++) {
    if (held.has(fd)) continue;
    const error = spawnFailure(() =>
      startProcess(helper, ["h"], { dir: `/proc/self/fd/${fd}`, sys })
    );
    assertEquals(error.step, "chdir", `${fd}`);
  }
});

test("rule 101: a parent's death while the child waits for its maps is noticed", {
  skip: needsCgroups || needsCall("clone3"),
}, async () => {
  assertEquals(await runsAfterDeath({ cloneflags: CLONE_NEWUSER, ...ownMaps() }), false);
});

// ---------------------------------------------------------------- capabilities

/** The sets in which a capability is, of a child's status. */
function setsOf(fields: ReadonlyMap<string, string>, capability: number): string[] {
  return ["CapInh", "CapPrm", "CapEff", "CapAmb"]
    .filter((name) => BigInt(`0x${fields.get(name)}`) >> BigInt(capability) & 1n);
}

const everySet = ["CapInh", "CapPrm", "CapEff", "CapAmb"];

test("rule 109: an ambient capability outlives setuid and exec", {
  skip: needsRoot || needsLinuxChild,
}, () => {
  using folder = helperFolder();
  const { NET_BIND_SERVICE = -1, CHECKPOINT_RESTORE = -1, CHOWN = -1 } = Cap;
  const ambientCaps = [NET_BIND_SERVICE, CHECKPOINT_RESTORE];
  const sys = { credential: stranger, ambientCaps };
  const argv = ["helper", "file", "/proc/self/status"];
  const fields = statusFields(runProgram(folder.helper, argv, { sys }));
  assertEquals(fields.get("Uid"), "12345 12345 12345 12345");
  for (const capability of ambientCaps) assertEquals(setsOf(fields, capability), everySet);
  assertEquals(setsOf(fields, CHOWN), []);
});

test("rule 109: an ambient capability of a user namespace is had by who is not its root", {
  skip: needsUserNamespaces,
}, () => {
  const { SYS_ADMIN = -1, CHOWN = -1 } = Cap;
  const fields = childStatus({
    cloneflags: CLONE_NEWUSER,
    ...ownMaps(1000),
    ambientCaps: [SYS_ADMIN],
  });
  assertEquals(fields.get("Uid"), "1000 1000 1000 1000");
  assertEquals(setsOf(fields, SYS_ADMIN), everySet);
  assertEquals(setsOf(fields, CHOWN), []);
});

test("section 1.4, AmbientCaps: an ordinary user has none to give", {
  skip: needsUser || needsLinuxChild,
}, () => {
  assertEquals(failure({ ambientCaps: [0, 10] }), ["capabilities", "[0 10]", "EPERM"]);
});

// ---------------------------------------------------------------- cgroups

test("section 1.4, CgroupFD: the child is born in the cgroup", { skip: needsCgroups }, () => {
  using group = cgroup();
  for (const flags of [0, 0o10000000]) {
    using directory = OSFile.open(group.path, flags);
    for (const rungs of [0, Rung.into_cgroup, Rung.clone3]) {
      forceRungs(rungs);
      try {
        const lines = runLines(["file", "/proc/self/cgroup"], { sys: { cgroupFD: directory } });
        assertMatch(lines.find((line) => line.startsWith("0::")) ?? "", /\/osexec-test-\d+$/);
      } finally {
        forceRungs(0);
      }
    }
  }
  assertFalse(readFileSync("/proc/self/cgroup", "utf8").includes(group.name));
});

test("section 1.4, CgroupFD: what is no cgroup fails in its step", {
  skip: needsLinuxChild || needsCall("clone3"),
}, () => {
  using folder = temporaryFolder();
  using directory = OSFile.open(folder.path);
  const { fd } = directory;
  assertEquals(failure({ cgroupFD: directory }), ["cgroup", `${fd}`, "EBADF"]);
  const closed = OSFile.open(folder.path);
  const number = closed.fd;
  closed.close();
  assertEquals(failure({ cgroupFD: number }), ["cgroup", `${number}`, "EBADF"]);
  for (const [rungs, code] of [[Rung.into_cgroup, "ENOENT"], [Rung.clone3, "ENOENT"]] as const) {
    forceRungs(rungs);
    try {
      assertEquals(failure({ cgroupFD: directory }), ["cgroup", `${fd}`, code]);
    } finally {
      forceRungs(0);
    }
  }
});

test("section 1.4, CgroupFD: a clone that is refused for another reason is no cgroup's fault", {
  skip: needsUser || needsLinuxChild || (cgroupRoot === undefined ? "needs cgroup v2" : false),
}, () => {
  using directory = OSFile.open(cgroupRoot ?? "");
  assertEquals(failure({ cgroupFD: directory }), ["cgroup", `${directory.fd}`, "EACCES"]);
  const both = { cgroupFD: directory, cloneflags: CLONE_NEWPID };
  assertEquals(failure(both), ["clone", undefined, "EPERM"]);
});

// ---------------------------------------------------------------- beyond Go

test("contract, umask: the child has it", () => {
  assertEquals(childStatus({ umask: 0o27 }).get("Umask"), "0027");
  assertEquals(childStatus({ umask: 0 }).get("Umask"), "0000");
  assertEquals(childStatus({ umask: 0o777 }).get("Umask"), "0777");
});

/** /proc/PID/limits: what a limit is called there, and a value that the helper can live with. */
const limits: readonly (readonly [name: RlimitName, row: string, value: number])[] = [
  ["CPU", "Max cpu time", 77],
  ["FSIZE", "Max file size", 2 ** 32 + 7],
  ["DATA", "Max data size", 2 ** 33 + 3],
  ["STACK", "Max stack size", 2 ** 23],
  ["CORE", "Max core file size", 4097],
  ["RSS", "Max resident set", 2 ** 52 + 1],
  ["NPROC", "Max processes", 50_001],
  ["NOFILE", "Max open files", 99],
  ["MEMLOCK", "Max locked memory", 12_289],
  ["AS", "Max address space", 2 ** 41 + 5],
  ["LOCKS", "Max file locks", 78],
  ["SIGPENDING", "Max pending signals", 79],
  ["MSGQUEUE", "Max msgqueue size", 80],
  ["NICE", "Max nice priority", 11],
  ["RTPRIO", "Max realtime priority", 12],
  ["RTTIME", "Max realtime timeout", 123_456],
];

/** Soft and hard limit of a row of /proc/PID/limits. */
function limitRow(text: string, row: string): string[] {
  const line = text.split("\n").find((each) => each.startsWith(`${row} `)) ?? "";
  return line.slice(row.length).trim().split(/ +/).slice(0, 2);
}

/** Not by the helper: Zig raises the stack limit of its programs. */
function childLimits(rlimits: NonNullable<SysProcAttr["rlimits"]>): string {
  return runProgram("/bin/cat", ["cat", "/proc/self/limits"], { sys: { rlimits } });
}

function mayRaiseLimits(): boolean {
  const { SYS_RESOURCE = -1 } = Cap;
  const fields = statusFields(readFileSync("/proc/self/status", "utf8"));
  return self.uid === 0 && setsOf(fields, SYS_RESOURCE).includes("CapEff");
}

test("contract, rlimits: each of them, soft and hard, and none but that", () => {
  const own = readFileSync("/proc/self/limits", "utf8");
  const may = mayRaiseLimits();
  for (const [name, row, value] of limits) {
    const [, ownHard = ""] = limitRow(own, row);
    const most = may || ownHard === "unlimited" ? Infinity : Number(ownHard);
    const hard = Math.min(value, most);
    const soft = Math.max(hard - 1, 0);
    const text = childLimits({ [name]: { soft, hard } });
    assertEquals(limitRow(text, row), [`${soft}`, `${hard}`], name);
    for (const [, other] of limits) {
      if (other !== row) {
        assertEquals(limitRow(text, other), limitRow(own, other), `${name}: ${other}`);
      }
    }
    const both = childLimits({ [name]: hard });
    assertEquals(limitRow(both, row), [`${hard}`, `${hard}`], name);
  }
});

test("contract, rlimits: Infinity is no limit", () => {
  const own = readFileSync("/proc/self/limits", "utf8");
  const [, hard] = limitRow(own, "Max core file size");
  const rlimits = { CORE: Infinity };
  if (hard !== "unlimited" && !mayRaiseLimits()) {
    assertEquals(failure({ rlimits }), ["rlimit", "CORE unlimited:unlimited", "EPERM"]);
    return;
  }
  const text = childLimits(rlimits);
  assertEquals(limitRow(text, "Max core file size"), ["unlimited", "unlimited"]);
  const softOnly = childLimits({ CORE: { soft: 5, hard: Infinity } });
  assertEquals(limitRow(softOnly, "Max core file size"), ["5", "unlimited"]);
});

test("contract, rlimits: NOFILE is set when the descriptors are in place", () => {
  using file = OSFile.open("/dev/null");
  const files = [null, null, 2, ...Array(9).fill(file)];
  const fds = runLines(["fds"], { files, sys: { rlimits: { NOFILE: 4 } } });
  assertEquals(fds.map((line) => Number.parseInt(line)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
});

test("contract, rlimits: NOFILE above what the kernel can do fails, and is named", () => {
  const most = Number(readFileSync("/proc/sys/fs/nr_open", "utf8"));
  const argument = `NOFILE ${most + 1}:${most + 1}`;
  assertEquals(failure({ rlimits: { NOFILE: most + 1 } }), ["rlimit", argument, "EPERM"]);
});

test(
  "contract, rlimits: raising a hard limit is refused, and is named",
  { skip: needsUser },
  () => {
    const [, hard = ""] = limitRow(
      readFileSync("/proc/self/limits", "utf8"),
      "Max pending signals",
    );
    const more = Number(hard) + 1;
    const argument = `SIGPENDING ${more}:${more}`;
    assertEquals(failure({ rlimits: { SIGPENDING: more } }), ["rlimit", argument, "EPERM"]);
  },
);

test("contract, nice: it is the value itself", () => {
  assertEquals(childStat({ nice: 19 }).nice, 19);
  const own = statOf(process.pid)?.nice ?? 0;
  assertEquals(childStat({}).nice, own);
  if (self.uid === 0) assertEquals(childStat({ nice: -20 }).nice, -20);
});

test("contract, nice: an ordinary user may not go below", { skip: needsUser }, () => {
  assertEquals(failure({ nice: -20 }), ["nice", "-20", "EACCES"]);
});

test("contract, noNewPrivs: the child has it, and only then", { skip: needsLinuxChild }, () => {
  const own = statusFields(readFileSync("/proc/self/status", "utf8")).get("NoNewPrivs");
  assertEquals(childStatus({ noNewPrivs: true }).get("NoNewPrivs"), "1");
  assertEquals(childStatus({ noNewPrivs: false }).get("NoNewPrivs"), own);
});

test("contract, closeFds: every other descriptor is closed, even one without close-on-exec", () => {
  using low = duplicate(2, 3);
  using high = duplicate(2, 300);
  const numbers = (sys: SysProcAttr): number[] =>
    runLines(["fds"], { sys }).map((line) => Number.parseInt(line));
  assertEquals(numbers({}), [1, 2]);
  assertEquals(numbers({ closeFds: true }), [1, 2]);
  const inherited = numbers({ closeFds: false });
  assert(inherited.includes(low.fd) && inherited.includes(high.fd), `${inherited}`);
});

test("rule 113: without closeFds the child still gets none that is close-on-exec", () => {
  using file = OSFile.open("/dev/zero");
  const fds = run(["fds"], { sys: { closeFds: false } });
  assertFalse(fds.includes("/dev/zero"), fds);
  // Here it is open all the while.
  assertEquals(descriptors().get(file.fd), "/dev/zero");
});

// ---------------------------------------------------------------- exec()

function execute(
  request: { path: string; argv: string[]; env?: string[] },
  attr: ProcAttr = {},
): string {
  const argv = runtimeCommand("./driver.ts", ["exec", JSON.stringify(request)]);
  return runProgram(argv[0] ?? "", argv, attr);
}

test("section 1.3, Exec: the process becomes the program, with its arguments and environment", () => {
  const argv = ["name", "args", "two words", ""];
  assertEquals(execute({ path: helper, argv }), "name\nargs\ntwo words\n\n");
  assertEquals(execute({ path: helper, argv: ["helper", "env"], env: ["A=1", "B="] }), "A=1\nB=\n");
  // Deno wants a home.
  const env = { HOME: process.env.HOME, ONLY: "this" };
  const inherited = execute({ path: helper, argv: ["helper", "env"] }, { env });
  assertStringIncludes(inherited, "ONLY=this\n");
});

test("section 1.3, Exec: the program has no signal blocked and SIGPIPE at default", () => {
  const request = { path: helper, argv: ["helper", "file", "/proc/self/status"] };
  const fields = statusFields(execute(request));
  assertEquals([fields.get("SigBlk"), fields.get("SigCgt")], ["0".repeat(16), "0".repeat(16)]);
  assertEquals(BigInt(`0x${fields.get("SigIgn")}`) & (1n << 12n | 1n << 24n), 0n);
});

test("section 1.3, Exec: a program that cannot be is an error, and changes nothing", () => {
  assertEquals(
    execute({ path: "/nope", argv: ["nope"] }),
    "exec /nope: no such file or directory\n",
  );
  assertEquals(
    execute({ path: "/etc/passwd", argv: ["passwd"] }),
    "exec /etc/passwd: permission denied: it may not be executed: chmod +x\n",
  );
});
