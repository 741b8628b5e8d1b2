import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Rung } from "../ffi/abi.ts";
import { CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWUTS, type SysProcAttr } from "../mod.ts";
import {
  cgroupNumber,
  drive,
  type DriverCase,
  type DriverResult,
  helper,
  needsLinuxChild,
  needsUserNamespaces,
  ownMaps,
  self,
} from "./system.ts";
import { needsCall } from "./refused.ts";

/** A system call that is refused, or kills who makes it, and a start that comes to it. */
interface Fault {
  /** Which calls: see zig/filter.zig. */
  readonly rule: string;
  readonly start: DriverCase;
  readonly argument?: string;
  /** Every start comes to this call, so no other fault can be looked at in the same process. */
  readonly isAlone?: boolean;
  /** The runtimes make such a call themselves when they start, so it cannot kill. */
  readonly isOfStartup?: boolean;
}

const { uidMappings = [], gidMappings = [] } = ownMaps(1_234_567);
const uidMap = uidMappings.map((line) => `${line.containerID} ${line.hostID} ${line.size}`).join();
const gidMap = gidMappings.map((line) => `${line.containerID} ${line.hostID} ${line.size}`).join();
const born: SysProcAttr = { cloneflags: CLONE_NEWUSER };
const made: SysProcAttr = { unshareflags: CLONE_NEWUSER };

/** A new mount namespace, which an ordinary user needs a user namespace for. */
const mounts: SysProcAttr = self.uid === 0
  ? { unshareflags: CLONE_NEWNS }
  : { unshareflags: CLONE_NEWNS | CLONE_NEWUSER, uidMappings };

const own = { ...self, noSetGroups: true };
/** So many descriptors that no other call has this number in it. */
const many: DriverCase = { extra: [...new Array<null>(34).fill(null), 1] };

const SIGKILL = 9;
const SIGUSR2 = 12;
const F_DUPFD_CLOEXEC = 1030;
const TIOCSPGRP = 0x5410;
const TIOCNOTTY = 0x5422;
const TIOCSCTTY = 0x540e;
const RLIMIT_NOFILE = 7;
const RLIMIT_MEMLOCK = 8;

const faults = {
  "clone (refused)": { rule: "clone3:1=64", start: {}, isAlone: true },
  "clone (the descriptor table)": {
    rule: "close_range:2=2",
    start: { isOfWindow: true },
    isAlone: true,
  },
  "clone (the wait for the maps)": {
    rule: `prctl:0=1,1=${SIGKILL}`,
    start: { sys: { ...born, uidMappings } },
  },
  "sigaction": { rule: "rt_sigaction:0=32", start: {}, isAlone: true },
  "cgroup": {
    rule: `openat:0=${cgroupNumber}`,
    start: { cgroup: "/", forced: Rung.into_cgroup | Rung.window },
    argument: `${cgroupNumber}`,
  },
  // A map is told from what else is written by its length.
  "uid_map": {
    rule: `write:2=${uidMap.length + 1}`,
    start: { sys: { ...born, uidMappings } },
    argument: uidMap,
    isAlone: true,
  },
  "setgroups_policy": {
    rule: `write:2=${"allow".length}`,
    start: { sys: { ...born, gidMappings, gidMappingsEnableSetgroups: true } },
    argument: "allow",
    isAlone: true,
  },
  "gid_map": {
    rule: `write:2=${gidMap.length + 1}`,
    start: { sys: { ...born, gidMappings } },
    argument: gidMap,
    isAlone: true,
  },
  "unshare": {
    rule: `unshare:0=${CLONE_NEWUTS}`,
    start: { sys: { unshareflags: CLONE_NEWUTS } },
    argument: "CLONE_NEWUTS",
  },
  "self_setgroups_policy": {
    rule: `write:2=${"allow".length}`,
    start: { sys: { ...made, gidMappings, gidMappingsEnableSetgroups: true } },
    argument: "allow",
    isAlone: true,
  },
  "self_gid_map": {
    rule: `write:2=${gidMap.length + 1}`,
    start: { sys: { ...made, gidMappings } },
    argument: gidMap,
    isAlone: true,
  },
  "self_uid_map": {
    rule: `write:2=${uidMap.length + 1}`,
    start: { sys: { ...made, uidMappings } },
    argument: uidMap,
    isAlone: true,
  },
  "mount_private": { rule: "mount", start: { sys: mounts }, argument: "/" },
  "setsid": { rule: "setsid", start: { sys: { setsid: true } } },
  "setpgid": { rule: "setpgid", start: { sys: { setpgid: true } }, argument: "0" },
  "foreground": {
    rule: `ioctl:1=${TIOCSPGRP}`,
    // Its setpgid is another fault's.
    start: { sys: { foreground: true, ctty: 2 } },
    argument: "2",
    isAlone: true,
  },
  "chroot": {
    rule: "chroot",
    start: { sys: { chroot: "/" } },
    argument: "/",
  },
  "nice": { rule: "setpriority", start: { sys: { nice: 19 } }, argument: "19" },
  "rlimit": {
    rule: `prlimit64:1=${RLIMIT_MEMLOCK}`,
    start: { sys: { rlimits: { MEMLOCK: 4096 } } },
    argument: "MEMLOCK 4096:4096",
  },
  "umask": { rule: "umask", start: { sys: { umask: 0o77 } }, argument: "077" },
  "keep_capabilities": {
    rule: "prctl:0=8",
    start: { sys: { ambientCaps: [0] } },
    argument: "keep",
  },
  "setgroups": {
    rule: "setgroups",
    start: { sys: { credential: { ...self, groups: [1] } } },
    argument: "[1]",
  },
  "setgid": { rule: "setgid", start: { sys: { credential: own } }, argument: `${own.gid}` },
  "setuid": {
    rule: "setuid",
    start: { sys: { credential: own } },
    argument: `${own.uid}`,
    isAlone: true,
  },
  "capabilities (capget)": {
    rule: "capget",
    start: { sys: { ambientCaps: [0, 40] } },
    argument: "[0 40]",
    isAlone: true,
  },
  "capabilities (capset)": {
    rule: "capset",
    start: { sys: { ambientCaps: [0, 40] } },
    argument: "[0 40]",
    isAlone: true,
  },
  "capabilities": {
    rule: "prctl:0=47",
    start: { sys: { ...born, ambientCaps: [0, 40] } },
    argument: "[0 40]",
    isAlone: true,
  },
  "pdeathsig": {
    rule: `prctl:0=1,1=${SIGUSR2}`,
    start: { sys: { pdeathsig: "SIGUSR2" } },
    argument: "SIGUSR2",
  },
  "chdir": { rule: "chdir", start: { dir: "/" }, argument: "/" },
  "no_new_privs": { rule: "prctl:0=38", start: { sys: { noNewPrivs: true } } },
  "fd": { rule: "dup3:1=37,2=0", start: many, argument: "1 -> 37" },
  "fd (a source that is in the way)": {
    rule: `fcntl:1=${F_DUPFD_CLOEXEC},2=38`,
    start: many,
    argument: "1 -> 37",
    isAlone: true,
  },
  "close_range": {
    rule: "close_range:0=38,2=0",
    start: many,
    argument: "from 38",
    isAlone: true,
  },
  "noctty": { rule: `ioctl:1=${TIOCNOTTY}`, start: { stdin: 1, sys: { noctty: true } } },
  "setctty": {
    rule: `ioctl:1=${TIOCSCTTY}`,
    start: { sys: { setctty: true, ctty: 2 } },
    argument: "2",
  },
  "rlimit_nofile": {
    rule: `prlimit64:1=${RLIMIT_NOFILE}`,
    isOfStartup: true,
    start: { sys: { rlimits: { NOFILE: 64 } } },
    argument: "NOFILE 64:64",
  },
  "ptrace": { rule: "ptrace", start: { sys: { ptrace: true } } },
  "sigprocmask": { rule: "rt_sigprocmask:0=2,2=0", start: {}, isAlone: true },
  "exec": { rule: "execve", start: {}, argument: helper, isAlone: true },
} satisfies Record<string, Fault>;

/** All the faults that can be looked at in one process, which is run for the first test that asks. */
const together = Object.values<Fault>(faults).filter((fault) => !fault.isAlone);
const batches = new Map<string, DriverResult[]>();

function outcome(fault: Fault, action: string): DriverResult | undefined {
  if (fault.isAlone) return runUnder([fault], action)[0];
  const results = batches.get(action) ?? runUnder(together, action);
  batches.set(action, results);
  return results[together.indexOf(fault)];
}

function runUnder(chosen: readonly Fault[], action: string): DriverResult[] {
  const rules = chosen
    .filter(({ isOfStartup }) => !isOfStartup || action !== "KILL")
    .flatMap(({ rule }) => [rule, action]);
  return drive(chosen.map(({ start }) => start), {
    under: [helper, "deny", ...rules, "--"],
    // SIGSYS dumps core.
    attr: { sys: { rlimits: { CORE: 0 } } },
  });
}

const words: Readonly<Record<string, string>> = {
  self_setgroups_policy: "setgroups_policy",
  self_gid_map: "gid_map",
  self_uid_map: "uid_map",
  keep_capabilities: "capabilities",
  rlimit_nofile: "rlimit",
};

/** A step of the native table, and for some of them which of its calls. */
type FaultName = keyof typeof faults;

/** A test of what comes of the fault: an errno, or a signal. */
function check(name: FaultName, action: string, code: string, signal: string | null): void {
  const fault: Fault = faults[name];
  const result = outcome(fault, action);
  const { failure } = result ?? {};
  const [step = ""] = name.split(" (");
  assertEquals([failure?.step, failure?.code, failure?.signal], [
    words[step] ?? step,
    code,
    signal,
  ]);
  assertEquals(failure?.argument, fault.argument ?? null);
  // Threads that the runtime makes meanwhile keep the mask that glibc makes them with.
  const ofOthers = name === "sigprocmask" ? "thread " : "none";
  assertEquals(result?.changed.filter((change) => !change.startsWith(ofOthers)), []);
}

/** A test in which the step's call is refused. */
function fails(name: FaultName): () => void {
  return () => check(name, "EIO", "EIO", null);
}

/** A test in which the step's call kills the child. */
function kills(name: FaultName): () => void {
  return () => check(name, "KILL", "EINTR", "SIGSYS");
}

// ---------------------------------------------------------------- a call is refused

test(
  "step clone (refused) fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("clone (refused)"),
);

test("step clone (the descriptor table) fails by its name, and nothing changes here", {
  skip: needsLinuxChild || needsCall("close_range"),
}, fails("clone (the descriptor table)"));

test("step clone (the wait for the maps) fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("clone (the wait for the maps)"));

test(
  "step sigaction fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("sigaction"),
);

test(
  "step cgroup fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("cgroup"),
);

test(
  "step uid_map fails by its name, and nothing changes here",
  { skip: needsUserNamespaces },
  fails("uid_map"),
);

test("step setgroups_policy fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("setgroups_policy"));

test(
  "step gid_map fails by its name, and nothing changes here",
  { skip: needsUserNamespaces },
  fails("gid_map"),
);

test(
  "step unshare fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("unshare"),
);

test("step self_setgroups_policy fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("self_setgroups_policy"));

test(
  "step self_gid_map fails by its name, and nothing changes here",
  { skip: needsUserNamespaces },
  fails("self_gid_map"),
);

test(
  "step self_uid_map fails by its name, and nothing changes here",
  { skip: needsUserNamespaces },
  fails("self_uid_map"),
);

test("step mount_private fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("mount_private"));

test(
  "step setsid fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("setsid"),
);

test(
  "step setpgid fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("setpgid"),
);

test(
  "step foreground fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("foreground"),
);

test(
  "step chroot fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("chroot"),
);

test(
  "step nice fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("nice"),
);

test(
  "step rlimit fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("rlimit"),
);

test(
  "step umask fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("umask"),
);

test("step keep_capabilities fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("keep_capabilities"));

test(
  "step setgroups fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("setgroups"),
);

test(
  "step setgid fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("setgid"),
);

test(
  "step setuid fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("setuid"),
);

test("step capabilities (capget) fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("capabilities (capget)"));

test("step capabilities (capset) fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("capabilities (capset)"));

test(
  "step capabilities fails by its name, and nothing changes here",
  { skip: needsUserNamespaces },
  fails("capabilities"),
);

test(
  "step pdeathsig fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("pdeathsig"),
);

test(
  "step chdir fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("chdir"),
);

test(
  "step no_new_privs fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("no_new_privs"),
);

test("step fd fails by its name, and nothing changes here", { skip: needsLinuxChild }, fails("fd"));

test("step fd (a source that is in the way) fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("fd (a source that is in the way)"));

test(
  "step close_range fails by its name, and nothing changes here",
  { skip: needsLinuxChild || needsCall("close_range") },
  fails("close_range"),
);

test(
  "step noctty fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("noctty"),
);

test(
  "step setctty fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("setctty"),
);

test(
  "step rlimit_nofile fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("rlimit_nofile"),
);

test(
  "step ptrace fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("ptrace"),
);

test(
  "step sigprocmask fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("sigprocmask"),
);

test(
  "step exec fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("exec"),
);

// ---------------------------------------------------------------- a call kills

test("step clone (the descriptor table) is named where the child is killed in it", {
  skip: needsLinuxChild || needsCall("close_range"),
}, kills("clone (the descriptor table)"));

test("step clone (the wait for the maps) is named where the child is killed in it", {
  skip: needsUserNamespaces,
}, kills("clone (the wait for the maps)"));

test(
  "step sigaction is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("sigaction"),
);

test(
  "step cgroup is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("cgroup"),
);

test(
  "step unshare is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("unshare"),
);

test("step self_setgroups_policy is named where the child is killed in it", {
  skip: needsUserNamespaces,
}, kills("self_setgroups_policy"));

test(
  "step self_gid_map is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("self_gid_map"),
);

test(
  "step self_uid_map is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("self_uid_map"),
);

test(
  "step mount_private is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("mount_private"),
);

test(
  "step setsid is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("setsid"),
);

test(
  "step setpgid is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("setpgid"),
);

test(
  "step foreground is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("foreground"),
);

test(
  "step chroot is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("chroot"),
);

test(
  "step nice is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("nice"),
);

test(
  "step rlimit is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("rlimit"),
);

test(
  "step umask is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("umask"),
);

test(
  "step keep_capabilities is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("keep_capabilities"),
);

test(
  "step setgroups is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("setgroups"),
);

test(
  "step setgid is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("setgid"),
);

test(
  "step setuid is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("setuid"),
);

test("step capabilities (capget) is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("capabilities (capget)"));

test("step capabilities (capset) is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("capabilities (capset)"));

test(
  "step capabilities is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("capabilities"),
);

test(
  "step pdeathsig is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("pdeathsig"),
);

test(
  "step chdir is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("chdir"),
);

test(
  "step no_new_privs is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("no_new_privs"),
);

test("step fd is named where the child is killed in it", { skip: needsLinuxChild }, kills("fd"));

test("step fd (a source that is in the way) is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("fd (a source that is in the way)"));

test(
  "step close_range is named where the child is killed in it",
  { skip: needsLinuxChild || needsCall("close_range") },
  kills("close_range"),
);

test(
  "step noctty is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("noctty"),
);

test(
  "step setctty is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("setctty"),
);

test(
  "step ptrace is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("ptrace"),
);
