/** For each step a system call that is refused, or kills who makes it, and a start that comes to it. */

import process from "node:process";
import { assertEquals } from "@std/assert";
import { Rung } from "../../ffi/abi.ts";
import {
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  type Mount,
  type SysProcAttr,
} from "../../mod.ts";
import {
  cgroupNumber,
  drive,
  type DriverCase,
  type DriverResult,
  helper,
  namespaceNumber,
  ownMaps,
  processor,
  self,
} from "../system.ts";
import { childPath, forkRules } from "../refused.ts";

/** A system call that is refused, or kills who makes it, and a start that comes to it. */
interface Fault {
  /** Which calls: see zig/tools/filter.zig. */
  readonly rule: string;
  readonly start: DriverCase;
  readonly argument?: string;
  /** Every start comes to this call, so no other fault can be looked at in the same process. */
  readonly isAlone?: boolean;
  /** The runtimes make such a call themselves when they start, so it cannot kill. */
  readonly isOfStartup?: boolean;
  /** The calls where the child goes through libc, if it makes others there; or why none can be told. */
  readonly throughLibc?: { readonly rules: readonly string[] } | { readonly skip: string };
  /** Why a refusal of the call shows nothing where the child goes through libc. */
  readonly ignoredByLibc?: string;
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

const rooted: SysProcAttr = { cloneflags: CLONE_NEWUSER | CLONE_NEWNS, pivotRoot: "/" };
const memory: Mount = { type: "tmpfs", target: "/" };

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
const PR_SET_DUMPABLE = 4;
const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
const PR_GET_SECUREBITS = 27;
const PR_SET_SECUREBITS = 28;
const PR_SET_TIMERSLACK = 29;
const MPOL_BIND = 2;
const LANDLOCK_RULE_PATH_BENEATH = 1;
const LANDLOCK_RULE_NET_PORT = 2;
export const faults = {
  "clone (refused)": {
    rule: "clone3:1=64",
    start: {},
    isAlone: true,
    throughLibc: { rules: forkRules },
  },
  "clone (the descriptor table)": {
    rule: "close_range:2=2",
    start: { isOfWindow: true },
    isAlone: true,
    throughLibc: { skip: "libc's child has its own table from the fork on" },
  },
  "clone (the wait for the maps)": {
    rule: `prctl:0=1,1=${SIGKILL}`,
    start: { sys: { ...born, uidMappings } },
  },
  "sigaction": {
    rule: "rt_sigaction:0=32",
    start: {},
    isAlone: true,
    // The last one: libc keeps 32 and 33 to itself.
    throughLibc: { rules: ["rt_sigaction:0=64"] },
    ignoredByLibc: "libc's child passes over a signal that it may not look at",
  },
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
  "setns": {
    rule: `setns:1=${CLONE_NEWNET}`,
    start: { namespace: "net", forced: Rung.window },
    argument: `net ${namespaceNumber}`,
  },
  "pid_namespace": {
    // CLONE_VM, VFORK, PARENT, PARENT_SETTID, CHILD_CLEARTID and SIGCHLD.
    rule: `clone:0=${0x30c111}`,
    start: { namespace: "pid", forced: Rung.window },
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
  // Of mounts each is alone, as mount_private's rule is in the way of them all.
  "new_root": {
    rule: "open_tree",
    start: { sys: { ...rooted, pivotRoot: "/tmp" } },
    argument: "/tmp",
    isAlone: true,
  },
  "mount": {
    rule: "fsopen",
    start: { sys: { ...rooted, mounts: [memory] } },
    argument: "tmpfs / nosuid nodev mode=0755",
    isAlone: true,
  },
  "mount (its place)": {
    rule: "move_mount",
    start: { sys: { ...rooted, mounts: [memory] } },
    argument: "tmpfs / nosuid nodev mode=0755",
    isAlone: true,
  },
  "symlink": {
    rule: "symlinkat",
    start: {
      sys: { ...rooted, mounts: [memory, { type: "symlink", source: "usr/bin", target: "/bin" }] },
    },
    argument: "/bin -> usr/bin",
    isAlone: true,
  },
  "remount": {
    rule: "mount_setattr",
    start: { sys: { ...rooted, mounts: [{ ...memory, readOnly: true }] } },
    argument: "/ ro",
    isAlone: true,
  },
  "pivot_root": {
    rule: "pivot_root",
    start: { sys: { ...rooted, mounts: [memory] } },
    isAlone: true,
  },
  "pivot_root (the old root)": {
    rule: "umount2",
    start: { sys: { ...rooted, mounts: [memory] } },
    isAlone: true,
  },
  "hostname": {
    rule: "sethostname",
    start: { sys: { cloneflags: CLONE_NEWUSER | CLONE_NEWUTS, hostname: "box" } },
    argument: "box",
  },
  "domainname": {
    rule: "setdomainname",
    start: { sys: { cloneflags: CLONE_NEWUSER | CLONE_NEWUTS, domainname: "box" } },
    argument: "box",
  },
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
  "affinity": {
    rule: "sched_setaffinity",
    start: { sys: { affinity: [processor] } },
    argument: `[${processor}]`,
  },
  "scheduler": {
    rule: "sched_setscheduler",
    start: { sys: { scheduler: { policy: "batch" } } },
    argument: "batch",
  },
  "nice": { rule: "setpriority", start: { sys: { nice: 19 } }, argument: "19" },
  "io_priority": {
    rule: "ioprio_set",
    start: { sys: { ioPriority: { class: "idle" } } },
    argument: "idle",
  },
  "timer_slack": {
    rule: `prctl:0=${PR_SET_TIMERSLACK}`,
    start: { sys: { timerSlack: 123 } },
    argument: "123 ns",
  },
  "memory_policy": {
    // One more than there are bits, of which the kernel takes one less than it is told.
    rule: `set_mempolicy:0=${MPOL_BIND},2=${64 + 1}`,
    start: { sys: { memoryPolicy: { mode: "bind", nodes: [0] } } },
    argument: "bind [0]",
  },
  // What is written is told by its length, and in a process of its own.
  "oom_score_adj": {
    rule: `write:2=${"-1000".length}`,
    start: { sys: { oomScoreAdj: -1000 } },
    argument: "-1000",
    isAlone: true,
  },
  "coredump_filter": {
    rule: `write:2=${"511".length}`,
    start: { sys: { coredumpFilter: 511 } },
    argument: "0x1ff",
    isAlone: true,
  },
  "personality": {
    rule: "personality",
    start: { sys: { personality: 0x4_0000 } },
    argument: "0x40000",
  },
  "rlimit": {
    rule: `prlimit64:1=${RLIMIT_MEMLOCK}`,
    start: { sys: { rlimits: { MEMLOCK: 4096 } } },
    argument: "MEMLOCK 4096:4096",
  },
  "umask": {
    rule: "umask",
    start: { sys: { umask: 0o77 } },
    argument: "077",
    ignoredByLibc: "umask(3) cannot fail",
  },
  "bounding_set": {
    rule: `prctl:0=${PR_CAPBSET_READ}`,
    start: { sys: { capabilities: { bounding: [1] } } },
    argument: "[1]",
  },
  "bounding_set (what is dropped)": {
    rule: `prctl:0=${PR_CAPBSET_DROP}`,
    start: { sys: { capabilities: { bounding: [] } } },
    argument: "[]",
    isAlone: true,
  },
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
  "ambient_set": {
    rule: "prctl:0=47",
    start: { sys: { ...born, ambientCaps: [0, 40] } },
    argument: "[0 40]",
    isAlone: true,
  },
  "securebits": {
    rule: `prctl:0=${PR_GET_SECUREBITS}`,
    start: { sys: { capabilities: { securebits: 1 } } },
    argument: "0x1",
    isAlone: true,
  },
  "securebits (what is set)": {
    rule: `prctl:0=${PR_SET_SECUREBITS}`,
    start: { sys: { ...born, capabilities: { securebits: 1 } } },
    argument: "0x1",
    isAlone: true,
  },
  "capability_sets": {
    rule: "capset",
    start: { sys: { capabilities: { permitted: [], inheritable: [] } } },
    argument: "permitted [] inheritable []",
    isAlone: true,
  },
  "keyring": { rule: "keyctl", start: { sys: { newKeyring: true } } },
  "pdeathsig": {
    rule: `prctl:0=1,1=${SIGUSR2}`,
    start: { sys: { pdeathsig: "SIGUSR2" } },
    argument: "SIGUSR2",
  },
  "dumpable": {
    rule: `prctl:0=${PR_SET_DUMPABLE}`,
    start: { sys: { dumpable: false } },
    argument: "false",
    isAlone: true,
  },
  "chdir": { rule: "chdir", start: { dir: "/" }, argument: "/" },
  "no_new_privs": { rule: "prctl:0=38", start: { sys: { noNewPrivs: true } } },
  "fd": {
    rule: "dup3:1=37,2=0",
    start: many,
    argument: "1 -> 37",
    throughLibc: { rules: [process.arch === "x64" ? "dup2:1=37" : "dup3:1=37,2=0"] },
  },
  "fd (a source that is in the way)": {
    rule: `fcntl:1=${F_DUPFD_CLOEXEC},2=38`,
    start: many,
    argument: "1 -> 37",
    isAlone: true,
    // Not of the bell, which the parent moves out of the way just so: see keepApart in zig/parent/spawn_libc.zig.
    throughLibc: { rules: [`fcntl:0=1,1=${F_DUPFD_CLOEXEC},2=38`] },
  },
  "close_range": {
    rule: "close_range:0=38,2=0",
    start: many,
    argument: "from 38",
    isAlone: true,
    throughLibc: { skip: "libc's child reads /proc/self/fd, as the runtimes do" },
  },
  "listen_fds": {
    rule: "getpid",
    start: { extra: [1], sys: { listenFds: true } },
    argument: "3",
    isAlone: true,
    isOfStartup: true,
  },
  "noctty": { rule: `ioctl:1=${TIOCNOTTY}`, start: { stdin: 1, sys: { noctty: true } } },
  "setctty": {
    rule: `ioctl:1=${TIOCSCTTY}`,
    start: { sys: { setctty: true, ctty: 2 } },
    argument: "2",
  },
  // The version of it is asked for with a flag.
  "landlock": {
    rule: "landlock_create_ruleset:2=0",
    start: { sys: { landlock: { read: ["/"], bestEffort: true } } },
    argument: "read /, best effort",
    isAlone: true,
  },
  "landlock_path": {
    rule: `landlock_add_rule:1=${LANDLOCK_RULE_PATH_BENEATH}`,
    start: { sys: { landlock: { execute: ["/usr"], bestEffort: true } } },
    argument: "/usr",
    isAlone: true,
  },
  "landlock_port": {
    rule: `landlock_add_rule:1=${LANDLOCK_RULE_NET_PORT}`,
    start: { sys: { landlock: { bindTcp: [80] } } },
    argument: "port 80",
    isAlone: true,
  },
  "landlock_restrict": {
    rule: "landlock_restrict_self",
    start: { sys: { landlock: { read: ["/"], bestEffort: true } } },
    argument: "restrict",
    isAlone: true,
  },
  "rlimit_nofile": {
    rule: `prlimit64:1=${RLIMIT_NOFILE}`,
    isOfStartup: true,
    start: { sys: { rlimits: { NOFILE: 64 } } },
    argument: "NOFILE 64:64",
  },
  "ptrace": { rule: "ptrace", start: { sys: { ptrace: true } } },
  "sigprocmask": {
    rule: "rt_sigprocmask:0=2,2=0",
    start: {},
    isAlone: true,
    throughLibc: { skip: "libc's own calls in this process look like the child's" },
  },
  "seccomp": {
    rule: "seccomp",
    start: { sys: { seccomp: { default: "allow", deny: ["getppid"] } } },
    argument: "default allow, deny 1 call with EPERM",
    isAlone: true,
  },
  "exec": { rule: "execve", start: {}, argument: helper, isAlone: true },
} satisfies Record<string, Fault>;

/** All the faults that can be looked at in one process, which is run for the first test that asks. */
const together = Object.values<Fault>(faults).filter((fault) => !fault.isAlone);
const batches = new Map<string, DriverResult[]>();

/** Where the child goes through libc the rules are for what libc calls. */
function rulesOf({ rule, throughLibc }: Fault): readonly string[] {
  return childPath === "libc" && throughLibc && "rules" in throughLibc ? throughLibc.rules : [rule];
}

const isOnMusl = process.env.OSEXEC_MUSL !== undefined;

/** Whether a fault can be looked at on this library's child path: a reason to skip its test, or false. */
export function cannot(name: FaultName, action: "fail" | "be killed"): string | false {
  const { throughLibc, ignoredByLibc }: Fault = faults[name];
  // It tells by getpid whether it is on its first thread, and then misjudges its stack.
  if (name === "listen_fds" && isOnMusl) return "Bun for musl does not start without getpid";
  if (childPath === "raw") return false;
  if (throughLibc && "skip" in throughLibc) return throughLibc.skip;
  return (action === "fail" && ignoredByLibc) || false;
}

function outcome(fault: Fault, action: string): DriverResult | undefined {
  if (fault.isAlone) return runUnder([fault], action)[0];
  const results = batches.get(action) ?? runUnder(together, action);
  batches.set(action, results);
  return results[together.indexOf(fault)];
}

function runUnder(chosen: readonly Fault[], action: string): DriverResult[] {
  const rules = chosen
    .filter(({ isOfStartup }) => !isOfStartup || action !== "KILL")
    .flatMap((fault) => rulesOf(fault).flatMap((rule) => [rule, action]));
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
  ambient_set: "capabilities",
  capability_sets: "capabilities",
  landlock_path: "landlock",
  landlock_port: "landlock",
  landlock_restrict: "landlock",
  rlimit_nofile: "rlimit",
};

/** A step of the native table, and for some of them which of its calls. */
export type FaultName = keyof typeof faults;

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
  // The filter refuses glibc too what puts a mask back: whichever thread makes one keeps that of the making,
  // the main thread too, and so does the new one. tests/start/parent_state_test.ts looks at masks without a filter.
  const isGlibcs = (change: string): boolean =>
    name === "sigprocmask" && (change.startsWith("thread ") || change.includes("SigBlk"));
  assertEquals(result?.changed.filter((change) => !isGlibcs(change)), []);
}

/** A test in which the step's call is refused. */
export function fails(name: FaultName): () => void {
  return () => check(name, "EIO", "EIO", null);
}

/** A test in which the step's call kills the child. */
export function kills(name: FaultName): () => void {
  return () => check(name, "KILL", "EINTR", "SIGSYS");
}
