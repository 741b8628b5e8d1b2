import { readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Rung } from "../../ffi/abi.ts";
import { CLONE_NEWUSER, Command, OSFile, type SysProcAttr } from "../../mod.ts";
import { wrong } from "../helper.ts";
import {
  childStatus,
  drive,
  needsRoot,
  needsUser,
  needsUserNamespaces,
  ownMaps,
  processor,
  processorsOf,
  run,
  runLines,
  spawnFailure,
  statusFields,
} from "../system.ts";
import { needsLinuxChild } from "../refused.ts";

const ownStatus = statusFields(readFileSync("/proc/self/status", "utf8"));

/** The answer of a system call that the child makes. */
function call(sys: SysProcAttr, name: string, ...argv: readonly string[]): number {
  return Number(run(["call", name, ...argv], { sys }));
}

/** The reason to skip a test of what takes a capability in the first user namespace, or false. */
function needsCapability(number: number, name: string): string | false {
  const effective = BigInt(`0x${ownStatus.get("CapEff")}`);
  return (effective >> BigInt(number) & 1n) === 0n ? `needs CAP_${name}` : false;
}

const needsNice = needsRoot || needsCapability(23, "SYS_NICE");

/** Whether the kernel has what a system call is for: it answers something else than ENOSYS, and EPERM of a container. */
function needsAnswer(name: string, ...argv: readonly string[]): string | false {
  if (needsLinuxChild) return needsLinuxChild;
  const [answer] = runLines(["call", name, ...argv]);
  return answer === "-38" || answer === "-1" ? `needs ${name}` : false;
}

const needsNodes = needsAnswer("get_mempolicy", "#00000000", "0", "0", "0", "0");

/** A user namespace, where what takes the rights of this process is done by it for the child. */
const inside: SysProcAttr = { cloneflags: CLONE_NEWUSER, ...ownMaps() };

// ---------------------------------------------------------------- processors

test("issue 17, 11: the child runs on the processors of affinity, and this process where it did", {
  skip: needsLinuxChild,
}, () => {
  const allowed = processorsOf(ownStatus);
  for (const each of allowed) {
    assertEquals(childStatus({ affinity: [each] }).get("Cpus_allowed_list"), `${each}`);
  }
  assertEquals(processorsOf(childStatus({ affinity: [...allowed, ...allowed] })), allowed);
  const now = statusFields(readFileSync("/proc/self/status", "utf8"));
  assertEquals(now.get("Cpus_allowed_list"), ownStatus.get("Cpus_allowed_list"));
});

test("issue 17, 11: affinity with no processor that is there fails by its step", {
  skip: needsLinuxChild,
}, () => {
  const { step, code, argument } = spawnFailure(() => run([], { sys: { affinity: [8191] } }));
  assertEquals([step, code, argument], ["affinity", "EINVAL", "[8191]"]);
});

// ---------------------------------------------------------------- time

const [SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE] = [0, 1, 2, 3, 5];
const SCHED_RESET_ON_FORK = 0x4000_0000;

test("issue 17, 11: the child has the policy of scheduler", { skip: needsLinuxChild }, () => {
  const policy = (scheduler: SysProcAttr["scheduler"]): number =>
    call({ scheduler }, "sched_getscheduler", "0");
  assertEquals(policy({ policy: "batch" }), SCHED_BATCH);
  assertEquals(policy({ policy: "idle" }), SCHED_IDLE);
  assertEquals(policy({ policy: "other" }), SCHED_OTHER);
  assertEquals(policy({ policy: "batch", resetOnFork: true }), SCHED_BATCH | SCHED_RESET_ON_FORK);
  assertEquals(call({ nice: 7, scheduler: { policy: "batch" } }, "getpriority", "0", "0"), 20 - 7);
});

test("issue 17, 11: who may has a real-time policy with its priority", {
  skip: needsNice || needsLinuxChild,
}, () => {
  for (const [policy, number] of [["fifo", SCHED_FIFO], ["rr", SCHED_RR]] as const) {
    for (const priority of [1, 99]) {
      const sys: SysProcAttr = { scheduler: { policy, priority, resetOnFork: true } };
      assertEquals(call(sys, "sched_getscheduler", "0"), number | SCHED_RESET_ON_FORK);
      const answer = runLines(["call", "sched_getparam", "0", "#ffffffff"], { sys });
      assertEquals(answer, ["0", `${priority.toString(16).padStart(2, "0")}000000`]);
    }
  }
});

test("issue 17, 11: a real-time policy that this process may not give fails by its step", {
  skip: needsUser || needsLinuxChild,
}, () => {
  // Lowered for this process, so that whatever it has been given is out of the way.
  const scheduler = { policy: "fifo", priority: 1 } as const;
  const [result] = drive([{ sys: { scheduler } }], { attr: { sys: { rlimits: { RTPRIO: 0 } } } });
  const { step, code, argument } = result?.failure ?? {};
  assertEquals([step, code, argument], ["scheduler", "EPERM", "fifo 1"]);
});

test(
  "issue 17, 11: the child's timers may be late by timerSlack",
  { skip: needsLinuxChild },
  () => {
    const PR_GET_TIMERSLACK = "30";
    assertEquals(call({ timerSlack: 1 }, "prctl", PR_GET_TIMERSLACK), 1);
    // Five seconds: more than 32 bits.
    assertEquals(call({ timerSlack: 5_000_000_000 }, "prctl", PR_GET_TIMERSLACK), 5_000_000_000);
  },
);

// ---------------------------------------------------------------- the disk

const [realtime, bestEffort, idle] = [1 << 13, 2 << 13, 3 << 13];

test("issue 17, 11: the child has its I/O priority", { skip: needsLinuxChild }, () => {
  const value = (ioPriority: SysProcAttr["ioPriority"]): number =>
    call({ ioPriority }, "ioprio_get", "1", "0");
  assertEquals(value({ class: "idle" }), idle);
  assertEquals(value({ class: "best-effort" }), bestEffort | 4);
  for (const level of [0, 7]) {
    assertEquals(value({ class: "best-effort", level }), bestEffort | level);
  }
});

test("issue 17, 11: in a new user namespace this process gives what takes its rights", {
  skip: needsNice || needsUserNamespaces,
}, () => {
  const sys: SysProcAttr = {
    ...inside,
    nice: -5,
    scheduler: { policy: "rr", priority: 3 },
    ioPriority: { class: "realtime", level: 2 },
  };
  assertEquals(call(sys, "sched_getscheduler", "0"), SCHED_RR);
  assertEquals(call(sys, "ioprio_get", "1", "0"), realtime | 2);
  // The child itself may not: its capabilities are of the new namespace.
  const answer = runLines(["call", "sched_setscheduler", "0", "1", "#01000000"], { sys: inside });
  assertEquals(answer[0], "-1");
});

test("issue 17, 11: what this process may not give in a new user namespace fails by its step", {
  skip: needsUser || needsUserNamespaces,
}, () => {
  const sys: SysProcAttr = { ...inside, ioPriority: { class: "realtime", level: 0 } };
  const { step, code, argument } = spawnFailure(() => run([], { sys }));
  assertEquals([step, code, argument], ["io_priority", "EPERM", "realtime 0"]);
});

// ---------------------------------------------------------------- memory

test("issue 17, 11: the child's memory comes from the nodes of memoryPolicy", {
  skip: needsNodes,
}, () => {
  const policy = (memoryPolicy: SysProcAttr["memoryPolicy"]): string[] => {
    const argv = ["call", "get_mempolicy", "#ffffffff", `#${"00".repeat(128)}`, "1024", "0", "0"];
    return runLines(argv, { sys: { memoryPolicy } });
  };
  const nodes = (first: string): string => first + "00".repeat(127);
  assertEquals(policy({ mode: "bind", nodes: [0] }), ["0", "02000000", nodes("01")]);
  assertEquals(policy({ mode: "interleave", nodes: [0, 0] }), ["0", "03000000", nodes("01")]);
  assertEquals(policy({ mode: "preferred", nodes: [0] }), ["0", "01000000", nodes("01")]);
  assertEquals(policy({ mode: "local" }), ["0", "04000000", nodes("00")]);
  assertEquals(policy({ mode: "default" }), ["0", "00000000", nodes("00")]);
});

test("issue 17, 11: memoryPolicy with a node that is not there fails by its step", {
  skip: needsNodes,
}, () => {
  const memoryPolicy = { mode: "bind", nodes: [1023] } as const;
  const { step, code, argument } = spawnFailure(() => run([], { sys: { memoryPolicy } }));
  assertEquals([step, code, argument], ["memory_policy", "EINVAL", "bind [1023]"]);
});

/** Which of several are ended first: as far up as nobody needs a right for. */
const own = Number(readFileSync("/proc/self/oom_score_adj", "utf8"));
const raised = Math.min(1000, Math.max(own, 0) + 321);

/** A test of what belongs to the memory, in starts that do without this. */
function alone(forced: number): () => void {
  return () => {
    const files = ["/proc/self/oom_score_adj", "/proc/self/coredump_filter"];
    const results = drive([
      { argv: ["file", ...files], sys: { oomScoreAdj: raised, coredumpFilter: 0x1f0 }, forced },
      { argv: ["file", ...files], sys: { oomScoreAdj: raised }, forced },
      { argv: ["file", ...files], sys: { coredumpFilter: 0x1f0 }, forced },
      { argv: ["call", "prctl", "3"], sys: { dumpable: false }, forced },
      ...needsUserNamespaces
        ? []
        : [{ argv: ["file", ...files], sys: { ...inside, oomScoreAdj: raised }, forced }],
    ]);
    for (const { failure, changed } of results) assertEquals([failure, changed], [null, []]);
    const [both, score, filter, dumpable, inNamespace] = results.map(({ output }) => output);
    assertEquals(both, `${raised}\n000001f0\n`);
    assertEquals(score?.split("\n")[0], `${raised}`);
    assertEquals(filter?.split("\n")[1], "000001f0");
    // execve makes it so again, which is what its comment says.
    assertEquals(dumpable, "1\n");
    if (inNamespace !== undefined) assertMatch(inNamespace, new RegExp(`^${raised}\n`));
  };
}

test("issue 17, 11: what belongs to the memory is the child's alone, and the program's", {
  skip: needsLinuxChild,
}, alone(0));

/** Other ways to make a child. */
const modes: readonly (readonly [name: string, forced: number])[] = [
  ["clone3", Rung.clone3],
  ["close_range", Rung.close_range],
  ["memory", Rung.memory],
];

for (const [name, forced] of modes) {
  test(`issue 17, 11: what belongs to the memory is the child's alone without ${name}`, {
    skip: needsLinuxChild,
  }, alone(forced));
}

test("issue 17, 11: to be ended later than before takes CAP_SYS_RESOURCE", {
  skip: needsLinuxChild || needsCapability(24, "SYS_RESOURCE") === false && "is for who has it not",
}, () => {
  const { step, code, argument } = spawnFailure(() => run([], { sys: { oomScoreAdj: -1000 } }));
  assertEquals([step, code, argument], ["oom_score_adj", "EACCES", "-1000"]);
});

test(
  "issue 17, 11: without address space layout randomization the child's stack lies where it did",
  {
    skip: needsLinuxChild,
  },
  () => {
    const stack = (sys: SysProcAttr): string => {
      const lines = runLines(["file", "/proc/self/maps"], { sys });
      return lines.find((line) => line.endsWith("[stack]")) ?? "";
    };
    const ADDR_NO_RANDOMIZE = 0x4_0000;
    const sys: SysProcAttr = { personality: ADDR_NO_RANDOMIZE };
    const first = stack(sys);
    assert(first !== "");
    for (let round = 0; round < 5; round++) assertEquals(stack(sys), first);
    assertEquals(run(["file", "/proc/self/personality"], { sys }), "00040000\n");
    assertEquals(
      run(["file", "/proc/self/personality"], { sys: { personality: 0 } }),
      "00000000\n",
    );
  },
);

test(
  "issue 17, 11: a program that joins a pid namespace, and so is a second child's, has them all",
  {
    skip: needsRoot || needsLinuxChild,
  },
  () => {
    using namespace = OSFile.open("/proc/self/ns/pid");
    const sys: SysProcAttr = {
      joinNamespaces: [{ fd: namespace, kind: "pid" }],
      affinity: [processor],
      scheduler: { policy: "batch" },
      ioPriority: { class: "idle" },
      timerSlack: 12_345,
      oomScoreAdj: raised,
      coredumpFilter: 0x1f0,
    };
    assertEquals(call(sys, "sched_getscheduler", "0"), SCHED_BATCH);
    assertEquals(call(sys, "ioprio_get", "1", "0"), idle);
    assertEquals(call(sys, "prctl", "30"), 12_345);
    const text = run(["file", "/proc/self/oom_score_adj", "/proc/self/coredump_filter"], { sys });
    assertEquals(text, `${raised}\n000001f0\n`);
    assertEquals(childStatus(sys).get("Cpus_allowed_list"), `${processor}`);
  },
);

// ---------------------------------------------------------------- the plan

test("issue 17, 11: explain() has each of them, in the order in which they run", {
  skip: process.platform !== "linux",
}, () => {
  const sysProcAttr: SysProcAttr = {
    affinity: [0, 70],
    scheduler: { policy: "fifo", priority: 7, resetOnFork: true },
    nice: 5,
    ioPriority: { class: "best-effort" },
    timerSlack: 1_000_000,
    memoryPolicy: { mode: "interleave", nodes: [0, 1] },
    oomScoreAdj: -17,
    coredumpFilter: 0x33,
    personality: 0x4_0000,
    rlimits: { CPU: 5 },
  };
  const lines = new Command("/bin/ls", [], { sysProcAttr }).explain().split("\n");
  assertEquals(lines.slice(2, 12), [
    "affinity [0 70]",
    "scheduler fifo 7 reset on fork",
    "nice 5",
    "io_priority best-effort 4",
    "timer_slack 1000000 ns",
    "memory_policy interleave [0 1]",
    "oom_score_adj -17",
    "coredump_filter 0x33",
    "personality 0x40000",
    "rlimit CPU 5:5",
  ]);
});

/** What is asked for, and the words of the refusal. */
const refused: readonly (readonly [sys: SysProcAttr, detail: string])[] = [
  [{ affinity: [] }, "affinity: there is no processor in it"],
  [{ affinity: [-1] }, "affinity: processor -1 is not an integer from 0 to 8191"],
  [{ affinity: [8192] }, "affinity: processor 8192 is not"],
  [{ affinity: [0.5] }, "affinity: processor 0.5 is not"],
  [{ scheduler: { policy: "fifo" } }, "scheduler: fifo needs a priority"],
  [
    { scheduler: { policy: "rr", priority: 0 } },
    "scheduler.priority 0 is not an integer from 1 to 99",
  ],
  [{ scheduler: { policy: "rr", priority: 100 } }, "scheduler.priority 100 is not"],
  [
    {
      scheduler: { policy: "batch", resetOnFork: true },
      joinNamespaces: [{ fd: 0, kind: "pid" }],
    },
    "scheduler.resetOnFork: a program that joins a pid namespace is made by a second fork",
  ],
  [{ scheduler: { policy: "idle", priority: 1 } }, "scheduler: idle has no priority"],
  [{ ioPriority: { class: "idle", level: 1 } }, "ioPriority: idle has no levels"],
  [
    { ioPriority: { class: "best-effort", level: 8 } },
    "ioPriority.level 8 is not an integer from 0 to 7",
  ],
  [{ timerSlack: 0 }, "timerSlack 0 is not an integer from 1"],
  [{ timerSlack: 2 ** 53 }, "timerSlack 9007199254740992 is not"],
  [{ memoryPolicy: { mode: "bind" } }, "memoryPolicy: bind needs nodes"],
  [{ memoryPolicy: { mode: "interleave", nodes: [] } }, "memoryPolicy: interleave needs nodes"],
  [
    { memoryPolicy: { mode: "preferred", nodes: [0, 1] } },
    "memoryPolicy: preferred needs one node",
  ],
  [{ memoryPolicy: { mode: "local", nodes: [0] } }, "memoryPolicy: local has no nodes"],
  [{ memoryPolicy: { mode: "bind", nodes: [1024] } }, "memoryPolicy: node 1024 is not"],
  [{ oomScoreAdj: 1001 }, "oomScoreAdj 1001 is not an integer from -1000 to 1000"],
  [{ oomScoreAdj: -1001 }, "oomScoreAdj -1001 is not"],
  [{ coredumpFilter: 0x200 }, "coredumpFilter 512 is not an integer from 0 to 511"],
  [{ personality: 0xffff_ffff }, "personality 4294967295 is not an integer from 0 to 4294967294"],
];

for (const [sysProcAttr, detail] of refused) {
  test(`issue 17, 11: refused, as ${detail}`, { skip: process.platform !== "linux" }, () => {
    const failure = spawnFailure(() => new Command("/bin/ls", [], { sysProcAttr }).explain());
    assertEquals(failure.step, "request");
    assert(failure.message.includes(detail), failure.message);
  });
}

test("issue 17, 11: values of another type are a TypeError that names them", {
  skip: process.platform !== "linux",
}, () => {
  const cases: readonly (readonly [sys: unknown, message: string])[] = [
    [{ affinity: 1 }, "sys.affinity is not a list"],
    [{ affinity: ["1"] }, "affinity: processor is not a number"],
    [{ scheduler: "fifo" }, "sys.scheduler is not a object"],
    [{ scheduler: { policy: "FIFO", priority: 1 } }, 'scheduler.policy is none of "other"'],
    [{ scheduler: { policy: "fifo", priority: "1" } }, "scheduler.priority is not a number"],
    [
      { scheduler: { policy: "batch", resetOnFork: "no" } },
      "scheduler.resetOnFork is not a boolean",
    ],
    [{ ioPriority: { class: 2 } }, 'ioPriority.class is none of "realtime"'],
    [{ timerSlack: 1n }, "sys.timerSlack is not a number"],
    [{ memoryPolicy: { mode: "weird" } }, 'memoryPolicy.mode is none of "default"'],
    [{ memoryPolicy: { mode: "bind", nodes: "0" } }, "memoryPolicy.nodes is not a list"],
    [{ oomScoreAdj: "5" }, "sys.oomScoreAdj is not a number"],
    [{ coredumpFilter: "5" }, "sys.coredumpFilter is not a number"],
    [{ personality: null }, "sys.personality is not a number"],
  ];
  for (const [sys, message] of cases) {
    const start = (): unknown =>
      new Command("/bin/ls", [], { sysProcAttr: wrong<SysProcAttr>(sys) }).explain();
    assertThrows(start, TypeError, message);
  }
  const unknown = { scheduler: { policy: "batch", prio: 1 } };
  const { message } = spawnFailure(() =>
    new Command("/bin/ls", [], { sysProcAttr: wrong<SysProcAttr>(unknown) }).explain()
  );
  assert(message.includes("scheduler has no field prio"), message);
});
