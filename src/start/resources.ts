/** What a child may have of the machine: processors, their time, I/O and memory. Linux only. */

import type { SysProcAttr } from "./attributes.ts";
import { checkInteger, type PlanContext, type PlannedStep } from "./checks.ts";

/** How the kernel gives a program time: sched(7). */
export interface Scheduler {
  /**
   * SCHED_OTHER, SCHED_BATCH (does not preempt who wakes up less), SCHED_IDLE (only what nobody else wants: on a busy
   * processor the start itself waits for that too), or the real-time SCHED_FIFO and SCHED_RR, which need CAP_SYS_NICE or
   * a limit RTPRIO.
   */
  policy: "other" | "batch" | "idle" | "fifo" | "rr";
  /** Of "fifo" and "rr", which need one: 1 to 99, the highest. */
  priority?: number | undefined;
  /** What the program starts itself gets SCHED_OTHER again: SCHED_RESET_ON_FORK. Default false. */
  resetOnFork?: boolean | undefined;
}

/** Whose turn it is at a disk whose scheduler asks for it (BFQ): ioprio_set(2). */
export interface IoPriority {
  /** "realtime" needs CAP_SYS_NICE or CAP_SYS_ADMIN. */
  class: "realtime" | "best-effort" | "idle";
  /** Of "realtime" and "best-effort": 0, the first, to 7. Default 4. */
  level?: number | undefined;
}

/** Where a program's memory comes from on a machine with several nodes: set_mempolicy(2). */
export interface MemoryPolicy {
  /**
   * "bind": from these nodes alone; "interleave": from these in turn; "preferred": from this one as long as it has some;
   * "local": from that of the processor that asks for it; "default": as the system does it.
   */
  mode: "default" | "bind" | "interleave" | "preferred" | "local";
  /** Numbers of nodes, 0 to 1023: one or more for "bind" and "interleave", one for "preferred", else none. */
  nodes?: readonly number[] | undefined;
}

const policies: ReadonlyMap<string, number> = new Map<Scheduler["policy"], number>([
  ["other", 0],
  ["fifo", 1],
  ["rr", 2],
  ["batch", 3],
  ["idle", 5],
]);
const SCHED_RESET_ON_FORK = 0x4000_0000;

const ioClasses: ReadonlyMap<string, number> = new Map<IoPriority["class"], number>([
  ["realtime", 1],
  ["best-effort", 2],
  ["idle", 3],
]);
const IOPRIO_CLASS_SHIFT = 13;

const memoryModes: ReadonlyMap<string, number> = new Map<MemoryPolicy["mode"], number>([
  ["default", 0],
  ["preferred", 1],
  ["bind", 2],
  ["interleave", 3],
  ["local", 4],
]);

/** NR_CPUS of the largest Linux, and its MAX_NUMNODES. */
const processorsMax = 8192;
const nodesMax = 1024;

/** The steps of all of them. */
export function resourceSteps(context: PlanContext, sys: SysProcAttr): PlannedStep[] {
  const { affinity, scheduler, ioPriority, timerSlack, memoryPolicy } = sys;
  const steps: PlannedStep[] = [];
  if (affinity !== undefined) {
    if (affinity.length === 0) context.refuse("affinity: there is no processor in it");
    for (const each of affinity) {
      checkInteger(context, "affinity: processor", each, 0, processorsMax - 1);
    }
    steps.push({ step: "affinity", values: [mask(affinity)], argument: inBrackets(affinity) });
  }
  if (scheduler !== undefined) steps.push(schedulerStep(context, scheduler));
  if (ioPriority !== undefined) steps.push(ioPriorityStep(context, ioPriority));
  if (timerSlack !== undefined) {
    // 0 would be what this process has.
    const value = checkInteger(context, "timerSlack", timerSlack, 1, Number.MAX_SAFE_INTEGER);
    steps.push({ step: "timer_slack", values: [BigInt(value)], argument: `${value} ns` });
  }
  if (memoryPolicy !== undefined) steps.push(memoryStep(context, memoryPolicy));
  const { oomScoreAdj, coredumpFilter, personality } = sys;
  if (oomScoreAdj !== undefined) {
    const value = checkInteger(context, "oomScoreAdj", oomScoreAdj, -1000, 1000);
    steps.push({ step: "oom_score_adj", values: [value], argument: `${value}` });
  }
  if (coredumpFilter !== undefined) {
    const value = checkInteger(context, "coredumpFilter", coredumpFilter, 0, 0x1ff);
    steps.push({ step: "coredump_filter", values: [value], argument: hexadecimal(value) });
  }
  if (personality !== undefined) {
    // All ones only asks what it is.
    const value = checkInteger(context, "personality", personality, 0, 0xffff_fffe);
    steps.push({ step: "personality", values: [value], argument: hexadecimal(value) });
  }
  return steps;
}

function schedulerStep(
  context: PlanContext,
  { policy, priority, resetOnFork }: Scheduler,
): PlannedStep {
  const number = chosen("scheduler.policy", policies, policy);
  const isRealTime = policy === "fifo" || policy === "rr";
  if (!isRealTime && priority !== undefined) {
    context.refuse(`scheduler: ${policy} has no priority: nice is what it goes by`);
  }
  if (isRealTime && priority === undefined) {
    context.refuse(`scheduler: ${policy} needs a priority`);
  }
  const value = priority === undefined
    ? 0
    : checkInteger(context, "scheduler.priority", priority, 1, 99);
  const words: string[] = [policy];
  if (isRealTime) words.push(`${value}`);
  if (resetOnFork) words.push("reset on fork");
  const flags = resetOnFork ? SCHED_RESET_ON_FORK : 0;
  return { step: "scheduler", values: [number | flags, value], argument: words.join(" ") };
}

function ioPriorityStep(context: PlanContext, { class: wanted, level }: IoPriority): PlannedStep {
  const number = chosen("ioPriority.class", ioClasses, wanted);
  if (wanted === "idle" && level !== undefined) {
    context.refuse("ioPriority: idle has no levels");
  }
  const value = wanted === "idle" ? 0 : checkInteger(context, "ioPriority.level", level ?? 4, 0, 7);
  return {
    step: "io_priority",
    values: [number << IOPRIO_CLASS_SHIFT | value],
    argument: wanted === "idle" ? wanted : `${wanted} ${value}`,
  };
}

function memoryStep(context: PlanContext, { mode, nodes }: MemoryPolicy): PlannedStep {
  const number = chosen("memoryPolicy.mode", memoryModes, mode);
  for (const node of nodes ?? []) {
    checkInteger(context, "memoryPolicy: node", node, 0, nodesMax - 1);
  }
  const count = nodes?.length ?? 0;
  if (mode === "bind" || mode === "interleave") {
    if (count === 0) context.refuse(`memoryPolicy: ${mode} needs nodes`);
  } else if (mode === "preferred") {
    if (count !== 1) context.refuse("memoryPolicy: preferred needs one node");
  } else if (nodes !== undefined) {
    context.refuse(`memoryPolicy: ${mode} has no nodes`);
  }
  return {
    step: "memory_policy",
    values: [number, mask(nodes ?? [])],
    argument: nodes === undefined ? mode : `${mode} ${inBrackets(nodes)}`,
  };
}

/** Of one of several words, its number. Throws TypeError for another one. */
function chosen(what: string, numbers: ReadonlyMap<string, number>, word: unknown): number {
  const number = typeof word === "string" ? numbers.get(word) : undefined;
  if (number === undefined) {
    const words = Array.from(numbers.keys(), (each) => `"${each}"`).join(", ");
    throw new TypeError(`${what} is none of ${words}`);
  }
  return number;
}

/** A bit for each, in whole words of 64, as the kernel reads some masks by these. */
function mask(bits: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(
    bits.length === 0 ? 0 : 8 * (Math.floor(Math.max(...bits) / 64) + 1),
  );
  for (const bit of bits) {
    const at = Math.floor(bit / 8);
    bytes[at] = (bytes[at] ?? 0) | 1 << bit % 8;
  }
  return bytes;
}

function inBrackets(numbers: readonly number[]): string {
  return `[${numbers.join(" ")}]`;
}

function hexadecimal(value: number): string {
  return `0x${value.toString(16)}`;
}
