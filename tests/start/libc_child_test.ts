// What comes of what only Linux has where the child goes through libc, as on macOS: it is refused by its
// name, before anything is forked. Here the rest of the suite skips; `tools/check.mjs` runs both paths.

import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { STEPS } from "../../ffi/abi.ts";
import { type RequestStep, start } from "../../ffi/request.ts";
import {
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  Command,
  findProcess,
  ProcessDoneError,
  SpawnError,
  startProcess,
  type SysProcAttr,
} from "../../mod.ts";
import { linuxOnly, planStart } from "../../src/start/plan.ts";
import { childPath, forkRules, needsLibcChild } from "../refused.ts";
import {
  changesSince,
  childrenOf,
  drive,
  type DriverCase,
  type DriverResult,
  helper,
  parentState,
  spawnFailure,
} from "../system.ts";

const maps = [{ containerID: 0, hostID: 1000, size: 1 }];

/** An attribute that only Linux has, and the step by which it is refused, with that one's argument. */
interface Refusal {
  readonly start: DriverCase;
  readonly step: string;
  readonly argument: string | null;
}

const refusals: Readonly<Record<string, Refusal>> = {
  pdeathsig: {
    start: { sys: { pdeathsig: "SIGTERM" } },
    step: "pdeathsig",
    argument: "SIGTERM",
  },
  cloneflags: {
    start: { sys: { cloneflags: CLONE_NEWPID | CLONE_NEWUTS } },
    step: "clone",
    argument: null,
  },
  unshareflags: {
    start: { sys: { unshareflags: CLONE_NEWNS } },
    step: "unshare",
    argument: "CLONE_NEWNS",
  },
  uidMappings: {
    start: { sys: { cloneflags: CLONE_NEWUSER, uidMappings: maps } },
    step: "uid_map",
    argument: "0 1000 1",
  },
  gidMappings: {
    start: { sys: { cloneflags: CLONE_NEWUSER, gidMappings: maps } },
    step: "setgroups_policy",
    argument: "deny",
  },
  gidMappingsEnableSetgroups: {
    start: {
      sys: { cloneflags: CLONE_NEWUSER, gidMappings: maps, gidMappingsEnableSetgroups: true },
    },
    step: "setgroups_policy",
    argument: "allow",
  },
  ambientCaps: { start: { sys: { ambientCaps: [1] } }, step: "capabilities", argument: "keep" },
  joinNamespaces: { start: { sys: { joinNamespaces: [2] } }, step: "setns", argument: "2" },
  cgroupFD: { start: { sys: { cgroupFD: 2 } }, step: "cgroup", argument: "2" },
  mounts: {
    start: { sys: { unshareflags: CLONE_NEWNS, mounts: [{ type: "tmpfs", target: "/tmp" }] } },
    step: "unshare",
    argument: "CLONE_NEWNS",
  },
  pivotRoot: {
    start: { sys: { unshareflags: CLONE_NEWNS, pivotRoot: "/" } },
    step: "unshare",
    argument: "CLONE_NEWNS",
  },
  hostname: {
    start: { sys: { unshareflags: CLONE_NEWUTS, hostname: "box" } },
    step: "unshare",
    argument: "CLONE_NEWUTS",
  },
  domainname: {
    start: { sys: { unshareflags: CLONE_NEWUTS, domainname: "box" } },
    step: "unshare",
    argument: "CLONE_NEWUTS",
  },
  noNewPrivs: { start: { sys: { noNewPrivs: true } }, step: "no_new_privs", argument: null },
  capabilities: {
    start: { sys: { capabilities: { bounding: [1] } } },
    step: "bounding_set",
    argument: "[1]",
  },
  newKeyring: { start: { sys: { newKeyring: true } }, step: "keyring", argument: null },
  dumpable: { start: { sys: { dumpable: false } }, step: "dumpable", argument: "false" },
  landlock: {
    start: { sys: { landlock: { scoped: true, bestEffort: true } } },
    step: "no_new_privs",
    argument: null,
  },
  seccomp: {
    start: { sys: { seccomp: { default: "allow" }, noNewPrivs: false } },
    step: "seccomp",
    argument: "default allow",
  },
  affinity: { start: { sys: { affinity: [0] } }, step: "affinity", argument: "[0]" },
  scheduler: {
    start: { sys: { scheduler: { policy: "batch" } } },
    step: "scheduler",
    argument: "batch",
  },
  ioPriority: {
    start: { sys: { ioPriority: { class: "idle" } } },
    step: "io_priority",
    argument: "idle",
  },
  timerSlack: { start: { sys: { timerSlack: 1 } }, step: "timer_slack", argument: "1 ns" },
  memoryPolicy: {
    start: { sys: { memoryPolicy: { mode: "local" } } },
    step: "memory_policy",
    argument: "local",
  },
  oomScoreAdj: { start: { sys: { oomScoreAdj: 7 } }, step: "oom_score_adj", argument: "7" },
  coredumpFilter: {
    start: { sys: { coredumpFilter: 1 } },
    step: "coredump_filter",
    argument: "0x1",
  },
  personality: { start: { sys: { personality: 0 } }, step: "personality", argument: "0x0" },
};

let outcomes: readonly DriverResult[] | undefined;

/** What comes of each, and of a start that asks for nothing, in a process that cannot fork. */
function withoutFork(index: number): DriverResult | undefined {
  const rules = forkRules.flatMap((rule) => [rule, "EIO"]);
  const cases = [...Object.values(refusals).map(({ start }) => start), {}];
  outcomes ??= drive(cases, { under: [helper, "deny", ...rules, "--"] });
  return outcomes.at(index);
}

test("the library of this run makes its children in the way that the run is about", () => {
  // Whoever names a library and no more wants what that does.
  const usual = process.env.OSEXEC_LIBRARY ? childPath : "raw";
  const expected = process.platform === "linux" ? process.env.OSEXEC_CHILD || usual : "libc";
  assertEquals(childPath, expected);
});

test("a child through libc: a process that cannot fork can start nothing, and says so", {
  skip: needsLibcChild,
}, () => {
  // Or the tests below would show nothing.
  const { failure, changed } = withoutFork(-1) ?? {};
  assertEquals([failure?.step, failure?.code], ["clone", "EIO"]);
  assertEquals(changed, []);
});

for (const [index, [field, { start, step, argument }]] of Object.entries(refusals).entries()) {
  test(`a child through libc: ${field} is refused by the name of its step, before any fork`, {
    skip: needsLibcChild,
  }, () => {
    const { failure, output, changed } = withoutFork(index) ?? {};
    assertEquals([failure?.step, failure?.argument, failure?.code, failure?.signal], [
      step,
      argument,
      "ENOSYS",
      null,
    ]);
    assertEquals([output, changed], ["", []]);
    // The same where a fork would have gone well.
    const attr = { sys: start.sys ?? {} };
    const error = spawnFailure(() => startProcess(helper, ["helper", "exit", "0"], attr));
    assertEquals([error.step, error.argument ?? null, error.code], [step, argument, "ENOSYS"]);
    const words = argument === null ? step : `${step} ${argument}`;
    assertEquals(error.message, `fork/exec ${helper}: ${words}: function not implemented`);
  });
}

test("a child through libc: no field that only Linux has is missing above", () => {
  // What macOS refuses in the request is what its child cannot do.
  assertEquals(Object.keys(refusals).sort(), [...linuxOnly].sort());
});

/** The steps that have no counterpart in libc: those whose row in zig/abi/steps.zig does not say `libc`. */
const linuxSteps: ReadonlySet<string> = new Set([
  "cgroup",
  "affinity",
  "scheduler",
  "io_priority",
  "timer_slack",
  "memory_policy",
  "oom_score_adj",
  "coredump_filter",
  "personality",
  "uid_map",
  "setgroups_policy",
  "gid_map",
  "setns",
  "unshare",
  "self_setgroups_policy",
  "self_gid_map",
  "self_uid_map",
  "pid_namespace",
  "mount_private",
  "new_root",
  "mount",
  "symlink",
  "remount",
  "pivot_root",
  "hostname",
  "domainname",
  "bounding_set",
  "keep_capabilities",
  "securebits",
  "capability_sets",
  "ambient_set",
  "keyring",
  "pdeathsig",
  "dumpable",
  "no_new_privs",
  "landlock",
  "landlock_path",
  "landlock_port",
  "landlock_restrict",
  "seccomp",
]);

/** A step that carries nothing of interest. */
function emptyStep({ step, fields }: (typeof STEPS)[number]): RequestStep {
  const values = fields.map(([kind]) => {
    if (kind === "u64") return 0n;
    if (kind === "path") return "/";
    return kind === "bytes" || kind === "words" ? new Uint8Array() : 0;
  });
  const one: unknown = { step, values };
  if (!isStep(one)) throw new TypeError(step);
  return one;
}

/** The validator looks at the rest. */
function isStep(one: unknown): one is RequestStep {
  return typeof one === "object" && one !== null && "step" in one && "values" in one;
}

test("a child through libc: of the native table just these steps are refused, each at its place", {
  skip: needsLibcChild,
}, () => {
  const before = parentState();
  const asked = STEPS.filter(({ step }) => linuxSteps.has(step));
  assertEquals(asked.length, linuxSteps.size);
  const plan = planStart(helper, ["helper", "exit", "0"], {});
  const order = STEPS.map(({ step }) => step);
  for (const row of asked) {
    const { step } = row;
    const steps: RequestStep[] = [...plan.steps, emptyStep(row)]
      .sort((a, b) => order.indexOf(a.step) - order.indexOf(b.step));
    const answer = start({ ...plan, steps });
    const place = steps.findIndex((one) => one.step === step);
    const ENOSYS = 38;
    assertEquals([answer.step, answer.errno, answer.pid], [place, ENOSYS, -1], step);
  }
  assertEquals(changesSince(before), []);
});

test("a child through libc: of several that are refused it names the first in the order of steps", {
  skip: needsLibcChild,
}, () => {
  const sys: SysProcAttr = {
    noNewPrivs: true,
    pdeathsig: "SIGTERM",
    setsid: true,
    chroot: "/nope",
  };
  const error = spawnFailure(() => startProcess(helper, ["helper"], { sys }));
  assertEquals([error.step, error.code], ["pdeathsig", "ENOSYS"]);
});

test("a child through libc: a field of Linux that asks for nothing is no reason to refuse", {
  skip: needsLibcChild,
}, () => {
  const sys: SysProcAttr = {
    cloneflags: 0,
    unshareflags: 0,
    ambientCaps: [],
    gidMappingsEnableSetgroups: true,
    noNewPrivs: false,
  };
  const child = startProcess(helper, ["helper", "exit", "7"], { sys });
  assertEquals(child.waitSync().exitCode, 7);
});

test("a child through libc: a Command that is refused has started nothing", {
  skip: needsLibcChild,
}, async () => {
  const before = childrenOf(process.pid);
  const command = new Command(helper, ["exit", "0"], { sysProcAttr: { noNewPrivs: true } });
  // explain() tells what was asked for, not what this child can do.
  assert(command.explain().includes("no_new_privs"));
  const error = await assertRejects(() => command.run(), SpawnError);
  assertEquals([error.step, error.code, command.process], ["no_new_privs", "ENOSYS", undefined]);
  assertEquals(childrenOf(process.pid), before);
});

test(
  "a child through libc: there is no pidfd, and a child is waited for and signalled by its pid",
  {
    skip: needsLibcChild,
  },
  async () => {
    const child = startProcess(helper, ["helper", "hang"]);
    assertEquals([child.pidfd, findProcess(child.pid).pidfd], [null, null]);
    const waiting = child.wait();
    child.signal("SIGTERM");
    assertEquals(String(await waiting), "signal: terminated");
    let refusal: unknown;
    try {
      child.signal("SIGTERM");
    } catch (error) {
      refusal = error;
    }
    assert(refusal instanceof ProcessDoneError);
  },
);
