import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Rung } from "../../ffi/abi.ts";
import { start } from "../../ffi/request.ts";
import { CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, Process } from "../../mod.ts";
import { planStart } from "../../src/start/plan.ts";
import {
  drive,
  type DriverCase,
  dumpable,
  inNamespace,
  needsRoot,
  needsUserNamespaces,
  ownMaps,
  prctl,
  processor,
  self,
} from "../system.ts";
import { needsLinuxChild } from "../refused.ts";

const isRoot = self.uid === 0;
const stranger = { uid: 12345, gid: 23456, groups: [7] };
const tooMany = Array.from({ length: 341 }, (_, id) => ({ containerID: id, hostID: id, size: 1 }));

/** Starts that succeed, one for each thing that a child can be asked to do. */
const successes: readonly DriverCase[] = [
  {},
  { dir: "/" },
  { extra: [2, 1, null, 0, ...new Array<number>(30).fill(2)] },
  { sys: { closeFds: false } },
  { sys: { setsid: true } },
  { sys: { setpgid: true } },
  { sys: { umask: 0o77 } },
  { sys: { rlimits: { NOFILE: 64, CORE: 0, STACK: { soft: 2 ** 20, hard: 2 ** 23 } } } },
  { sys: { nice: 19 } },
  {
    sys: { credential: isRoot ? { uid: 0, gid: 0, groups: [7] } : { ...self, noSetGroups: true } },
  },
];

/** The same of what only Linux can. */
const ofLinux: readonly DriverCase[] = needsLinuxChild ? [] : [
  { sys: { noNewPrivs: true } },
  { sys: { pdeathsig: "SIGKILL" } },
  { sys: { affinity: [processor], scheduler: { policy: "batch" }, ioPriority: { class: "idle" } } },
  { sys: { timerSlack: 1, personality: 0, oomScoreAdj: 1000, coredumpFilter: 0 } },
  { sys: { seccomp: { default: "allow", deny: ["getppid"] }, dumpable: false } },
  { sys: { landlock: { read: ["/"], execute: ["/"], bestEffort: true } } },
];

/** Of these only root, or who may make user namespaces, is capable. */
const privileged: readonly DriverCase[] = needsUserNamespaces ? [] : [
  { sys: { cloneflags: CLONE_NEWUSER } },
  { sys: { cloneflags: CLONE_NEWUSER, ...ownMaps() } },
  { sys: { cloneflags: CLONE_NEWUSER, ...ownMaps(), credential: { uid: 0, gid: 0 } } },
  { sys: { unshareflags: CLONE_NEWUSER | CLONE_NEWNS, ...ownMaps() } },
  { sys: { ...inNamespace(CLONE_NEWPID), pdeathsig: "SIGKILL" } },
  { sys: { ...inNamespace(CLONE_NEWNS), chroot: "/" }, dir: "/" },
  { sys: { cloneflags: CLONE_NEWUSER, ...ownMaps(5), ambientCaps: [0, 21] } },
  { sys: { cloneflags: CLONE_NEWUSER, capabilities: { bounding: [1], securebits: 1 } } },
  { sys: { cloneflags: CLONE_NEWUSER, capabilities: { permitted: [1], inheritable: [1] } } },
  { sys: { cloneflags: CLONE_NEWUSER, oomScoreAdj: 1000, scheduler: { policy: "idle" } } },
];

/** Starts that fail, most of them half way. */
const failures: readonly DriverCase[] = [
  { path: "/nope" },
  { path: "/etc/passwd" },
  { dir: "/nope" },
  { dir: "/etc/passwd" },
  { extra: [19_999] },
  { sys: { setpgid: true, pgid: 1 } },
  { sys: { setsid: true, setpgid: true } },
  { sys: { chroot: "/nope" } },
  { sys: { rlimits: { NOFILE: 2 ** 40 } } },
  { sys: { noctty: true } },
  { sys: { setctty: true, ctty: 2 } },
  { sys: { foreground: true, ctty: 1 } },
  { sys: { pdeathsig: "SIGKILL", umask: 0, nice: 19, noNewPrivs: true }, path: "/nope" },
  { sys: { ptrace: true }, path: "/nope" },
  ...needsLinuxChild ? [] : [
    { sys: { affinity: [8191] } },
    { sys: { coredumpFilter: 0, oomScoreAdj: 1000, dumpable: false }, path: "/nope" },
    { sys: { landlock: { read: ["/nope"], bestEffort: true } } },
    { sys: { seccomp: { default: { errno: 1 }, allow: ["execve"] } as const }, path: "/nope" },
  ],
  { cgroup: "/" },
  { sys: { credential: isRoot ? stranger : { uid: 0, gid: 0 } }, dir: "/root/nope" },
  { sys: { cloneflags: CLONE_NEWUSER, uidMappings: tooMany } },
  { sys: { unshareflags: CLONE_NEWUSER, uidMappings: tooMany } },
  { sys: { cloneflags: CLONE_NEWUSER, ...ownMaps() }, path: "/nope" },
];

const modes: readonly (readonly [name: string, forced: number])[] = [
  ["none", 0],
  ["clone3", Rung.clone3],
  ["close_range", Rung.close_range],
  ["memory", Rung.memory],
];

for (const [name, forced] of modes) {
  test(`contract: no start changes anything here, whatever becomes of it (forced: ${name})`, () => {
    const cases = [...successes, ...ofLinux, ...privileged, ...failures].map((one) => ({
      ...one,
      forced,
    }));
    const results = drive(cases);
    const failed = results.map(({ failure }) => failure !== null);
    assertEquals(failed, cases.map((_, index) => index >= cases.length - failures.length));
    for (const [index, { changed }] of results.entries()) {
      assertEquals(changed, [], JSON.stringify(cases[index]));
    }
  });
}

/** Starts a program as somebody else, and answers the rungs that it went without. */
function startAsStranger(): number {
  const attr = { sys: { credential: stranger } };
  const answer = start(planStart("/bin/true", ["true"], attr));
  assertEquals([answer.errno, answer.signal], [0, 0]);
  new Process(answer.pid, answer.pidfd).waitSync();
  return answer.rungs;
}

const PR_SET_DUMPABLE = 4;

test("finding 2: this process stays dumpable through a child of other credentials", {
  skip: needsRoot,
}, () => {
  assertEquals(dumpable(), 1);
  const rungs = startAsStranger();
  // It is the hard case: a child in our own memory. Libc's has a copy of it.
  if (!needsLinuxChild) assertEquals(rungs & Rung.memory, 0);
  assertEquals(dumpable(), 1);
});

test("finding 2: a process that is not dumpable does not become so", { skip: needsRoot }, () => {
  prctl(PR_SET_DUMPABLE, 0);
  try {
    startAsStranger();
    assertEquals(dumpable(), 0);
  } finally {
    prctl(PR_SET_DUMPABLE, 1);
  }
});

const suidDumpable = "/proc/sys/fs/suid_dumpable";

function cannotWrite(path: string): string | false {
  try {
    accessSync(path, constants.W_OK);
    return false;
  } catch {
    return `may not write ${path}`;
  }
}

test(
  "finding 3: where core dumps follow the user, a child of other credentials has its own memory",
  {
    skip: needsRoot || needsLinuxChild || cannotWrite(suidDumpable),
  },
  () => {
    const before = readFileSync(suidDumpable, "utf8");
    writeFileSync(suidDumpable, "1");
    try {
      assertEquals(startAsStranger() & Rung.memory, Rung.memory);
      assertEquals(dumpable(), 1);
    } finally {
      writeFileSync(suidDumpable, before);
    }
  },
);
