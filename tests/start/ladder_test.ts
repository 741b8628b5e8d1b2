import { chmodSync, copyFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Rung } from "../../ffi/abi.ts";
import { forceRungs } from "../../ffi/request.ts";
import { CLONE_NEWNS, CLONE_NEWUSER } from "../../mod.ts";
import {
  drive,
  type DriverCase,
  type DriverResult,
  duplicate,
  helper,
  helperFolder,
  inNamespace,
  needsUserNamespaces,
  ownMaps,
  processor,
  runProgram,
  runtimeCommand,
  self,
  temporaryFolder,
} from "../system.ts";
import { needsCall, needsLinuxChild } from "../refused.ts";

const isRoot = self.uid === 0;

/** Starts of every kind, whose outcome must not depend on what the kernel has. */
const suite: readonly DriverCase[] = [
  { argv: ["args", "one", "two"] },
  { argv: ["exit", "3"] },
  { argv: ["kill", "15"] },
  { argv: ["cwd"], dir: "/usr" },
  { argv: ["fds"], extra: [2, null, 0, 2, null, 1] },
  { argv: ["fds"], extra: [...new Array<null>(36).fill(null), 0], sys: { closeFds: false } },
  { argv: ["file", "/proc/self/limits"], sys: { rlimits: { NOFILE: 30, CORE: 7 } } },
  { argv: ["death"], sys: { pdeathsig: "SIGUSR1", setsid: true } },
  { argv: ["link", "/proc/self/ns/user"], sys: { noNewPrivs: true, umask: 0 } },
  {
    argv: [
      "file",
      "/proc/self/oom_score_adj",
      "/proc/self/coredump_filter",
      "/proc/self/personality",
    ],
    sys: { oomScoreAdj: 1000, coredumpFilter: 0x1f0, personality: 0, timerSlack: 1 },
  },
  {
    argv: ["call", "sched_getscheduler", "0"],
    sys: { scheduler: { policy: "batch", resetOnFork: true }, affinity: [processor] },
  },
  {
    argv: ["call", "getppid"],
    sys: {
      landlock: { read: ["/"], execute: ["/"], bestEffort: true },
      seccomp: { default: "allow", deny: ["getppid"] },
      newKeyring: true,
      dumpable: false,
    },
  },
  ...isRoot
    ? [{
      path: "/usr/bin/id",
      argv: [],
      sys: { credential: { uid: 12345, gid: 23456, groups: [7] }, pdeathsig: "SIGUSR2" as const },
    }]
    : [],
  ...needsUserNamespaces ? [] : [
    {
      argv: ["file", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups"],
      sys: { cloneflags: CLONE_NEWUSER, ...ownMaps(4) },
    },
    {
      argv: ["file", "/proc/self/uid_map"],
      sys: { cloneflags: CLONE_NEWUSER, ...ownMaps(), credential: { uid: 0, gid: 0 } },
    },
    {
      argv: ["file", "/proc/self/uid_map"],
      sys: { unshareflags: CLONE_NEWUSER | CLONE_NEWNS, ...ownMaps(4) },
    },
  ],
  { path: "/nope" },
  { path: "/nope", sys: { setsid: true, pdeathsig: "SIGTERM" } },
  { path: "/etc/passwd" },
  { dir: "/nope" },
  { extra: [19_999] },
  { sys: { setpgid: true, pgid: 1 } },
  { sys: { credential: isRoot ? { uid: 1, gid: 1 } : { uid: 0, gid: 0 } }, dir: "/root/nope" },
  { cgroup: "/" },
  ...needsUserNamespaces
    ? []
    : [{ path: "/nope", sys: { cloneflags: CLONE_NEWUSER, ...ownMaps() } }],
];

/** What may be compared of results: pipes have other numbers each time. */
function comparable(results: readonly DriverResult[]): unknown[] {
  return results.map(({ failure, output, changed }) => ({
    failure,
    output: output.replaceAll(/pipe:\[\d+\]/g, "pipe"),
    changed,
  }));
}

let best: unknown[] | undefined;

/** The outcome with everything that this kernel has. */
function reference(): unknown[] {
  return best ??= comparable(drive(suite));
}

/** What a plain start goes without under such a filter. */
function rungsUnder(...rules: readonly string[]): number {
  const argv = ["helper", "deny", ...rules, "--", ...runtimeCommand("./driver.ts", ["rungs"])];
  return Number(runProgram(helper, argv));
}

const forced: readonly (readonly [name: string, rungs: number])[] = [
  ["clone3", Rung.clone3],
  ["clear_sighand", Rung.clear_sighand],
  ["pidfd", Rung.pidfd],
  ["close_range", Rung.close_range],
  ["window", Rung.window],
  ["memory", Rung.memory],
  ["into_cgroup", Rung.into_cgroup],
  ["clone3, pidfd, close_range", Rung.clone3 | Rung.pidfd | Rung.close_range],
  ["clone3, memory", Rung.clone3 | Rung.memory],
  ["clone3, pidfd, close_range, memory", Rung.clone3 | Rung.pidfd | Rung.close_range | Rung.memory],
];

for (const [name, rungs] of forced) {
  test(`contract: a start comes to the same without ${name}, where a test says so`, {
    skip: needsLinuxChild,
  }, () => {
    const results = comparable(drive(suite.map((one) => ({ ...one, forced: rungs }))));
    for (const [index, result] of results.entries()) {
      // The errno of a cgroup that is none is the kernel's, or openat's.
      if (suite[index]?.cgroup !== undefined) continue;
      assertEquals(result, reference()[index], JSON.stringify(suite[index]));
    }
  });
}

const cloneAlone = Rung.clone3 | Rung.clear_sighand | Rung.into_cgroup;
const wholeTable = Rung.close_range | Rung.window;

/** What sandboxes and old kernels refuse, with the rungs that a plain start then goes without. */
const refused: readonly (readonly [name: string, rules: readonly string[], rungs: number])[] = [
  ["nothing", [], 0],
  ["clone3 with ENOSYS", ["clone3", "ENOSYS"], cloneAlone],
  // The runtimes do not live where all clone3 is EPERM: glibc makes no thread then. So only that of this
  // library, which is told by the size of its arguments.
  ["clone3 with EPERM", ["clone3:1=64", "EPERM"], cloneAlone],
  ["close_range with ENOSYS", ["close_range", "ENOSYS"], wholeTable],
  ["close_range with EPERM", ["close_range", "EPERM"], wholeTable],
  ["pidfd_open with ENOSYS", ["pidfd_open", "ENOSYS"], 0],
  ["pidfd_send_signal with ENOSYS", ["pidfd_send_signal", "ENOSYS"], 0],
  ["faccessat2 with ENOSYS", ["faccessat2", "ENOSYS"], 0],
  [
    "all of these",
    ["clone3", "close_range", "pidfd_open", "pidfd_send_signal", "faccessat2"]
      .flatMap((call) => [call, "ENOSYS"]),
    cloneAlone | wholeTable,
  ],
];

for (const [name, rules, rungs] of refused) {
  test(`contract: a start comes to the same where the kernel refuses ${name}`, {
    skip: needsLinuxChild || needsCall(),
  }, () => {
    const results = comparable(drive(suite, { under: [helper, "deny", ...rules, "--"] }));
    for (const [index, result] of results.entries()) {
      if (suite[index]?.cgroup !== undefined) continue;
      assertEquals(result, reference()[index], JSON.stringify(suite[index]));
    }
    // Without the filter's doing this would show nothing.
    assertEquals(rungsUnder(...rules), rungs);
  });
}

test("rule 10: without faccessat2 a program is found by its mode", () => {
  using first = temporaryFolder();
  using second = temporaryFolder();
  for (const [{ path }, mode] of [[first, 0o644], [second, 0o755]] as const) {
    copyFileSync(helper, `${path}/program`);
    chmodSync(`${path}/program`, mode);
  }
  const env = { ...process.env, PATH: `${first.path}:${second.path}` };
  const found = (...rules: string[]): string => {
    const argv = [
      "helper",
      "deny",
      ...rules,
      "--",
      ...runtimeCommand("./driver.ts", ["look", "program"]),
    ];
    return runProgram(helper, argv, { env });
  };
  for (const rules of [[], ["faccessat2", "ENOSYS"], ["faccessat2", "EPERM"]]) {
    assertEquals(found(...rules), `${second.path}/program`);
  }
});

test("contract: without close_range and without /proc every descriptor is closed all the same", {
  skip: needsUserNamespaces,
}, () => {
  using root = helperFolder();
  using low = duplicate(2, 3);
  using high = duplicate(2, 900);
  const sys = { ...inNamespace(CLONE_NEWNS), chroot: root.path };
  const numbers = (closeFds: boolean): number[] =>
    runProgram("/helper", ["helper", "fds"], { sys: { ...sys, closeFds } }).trimEnd().split("\n")
      .map((line) => Number.parseInt(line));
  forceRungs(Rung.close_range);
  try {
    assertEquals(numbers(true), [1, 2]);
    assertEquals(numbers(false).filter((fd) => fd === low.fd || fd === high.fd), [low.fd, high.fd]);
  } finally {
    forceRungs(0);
  }
});
