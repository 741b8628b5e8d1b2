/** umask, nice and resource limits: what a child may use, and how much of it. */

import type { SysProcAttr } from "./attributes.ts";
import type { OS } from "../os.ts";
import { checkInteger, type PlanContext, type PlannedStep } from "./checks.ts";

/** The steps of the limits. */
export function limitSteps(
  context: PlanContext,
  { nice, rlimits, umask }: SysProcAttr,
): PlannedStep[] {
  const steps: PlannedStep[] = [];
  if (nice !== undefined) {
    const value = checkInteger(context, "nice", nice, -20, 19);
    steps.push({ step: "nice", values: [value], argument: `${value}` });
  }
  for (const [name, limit] of Object.entries(rlimits ?? {})) {
    if (limit === undefined) continue;
    const number = rlimitNumber(name, context.os);
    if (number === undefined) context.refuse(`rlimits: there is no ${name} here`);
    if (!["number", "bigint", "object"].includes(typeof limit) || limit === null) {
      throw new TypeError(`rlimits.${name} is neither a number, a bigint nor soft and hard`);
    }
    const { soft, hard } = typeof limit === "object" ? limit : { soft: limit, hard: limit };
    const [least, most] = [
      limitValue(context, `${name} soft limit`, soft),
      limitValue(context, `${name} hard limit`, hard),
    ];
    if (least > most) {
      context.refuse(`${name}: the soft limit ${soft} is above the hard one ${hard}`);
    }
    const unlimited = infinity(context);
    const inWords = (value: bigint): string => value === unlimited ? "unlimited" : `${value}`;
    const argument = `${name} ${inWords(least)}:${inWords(most)}`;
    const step = name === "NOFILE" ? "rlimit_nofile" : "rlimit";
    steps.push({ step, values: [least, most, number], argument });
  }
  if (umask !== undefined) {
    const value = checkInteger(context, "umask", umask, 0, 0o777);
    steps.push({ step: "umask", values: [value], argument: `0${value.toString(8)}` });
  }
  return steps;
}

/** RLIM_INFINITY: all ones on Linux, all but the sign on macOS. */
function infinity({ os }: PlanContext): bigint {
  return os === "linux" ? 0xffff_ffff_ffff_ffffn : 0x7fff_ffff_ffff_ffffn;
}

function limitValue(context: PlanContext, what: string, value: unknown): bigint {
  if (typeof value !== "number" && typeof value !== "bigint") {
    throw new TypeError(`${what} is neither a number nor a bigint`);
  }
  const most = infinity(context);
  if (value === Infinity) return most;
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    context.refuse(`${what} ${value} is neither a whole number from 0 nor Infinity`);
  }
  if (value < 0 || value > most) {
    context.refuse(`${what} ${value} is not one from 0 to ${most}, or Infinity`);
  }
  return BigInt(value);
}

/** A resource limit, as getrlimit(2) names it without RLIMIT_; the second row is Linux's alone. */
export type RlimitName =
  | ("AS" | "CORE" | "CPU" | "DATA" | "FSIZE" | "MEMLOCK" | "NOFILE" | "NPROC" | "RSS" | "STACK")
  | ("LOCKS" | "MSGQUEUE" | "NICE" | "RTPRIO" | "RTTIME" | "SIGPENDING");

/** Linux's number, then macOS's where it has the limit; AS and RSS are one limit there. */
const RLIMITS: ReadonlyMap<string, readonly [linux: number, darwin?: number]> = new Map([
  ["CPU", [0, 0]],
  ["FSIZE", [1, 1]],
  ["DATA", [2, 2]],
  ["STACK", [3, 3]],
  ["CORE", [4, 4]],
  ["RSS", [5, 5]],
  ["NPROC", [6, 7]],
  ["NOFILE", [7, 8]],
  ["MEMLOCK", [8, 6]],
  ["AS", [9, 5]],
  ["LOCKS", [10]],
  ["SIGPENDING", [11]],
  ["MSGQUEUE", [12]],
  ["NICE", [13]],
  ["RTPRIO", [14]],
  ["RTTIME", [15]],
]);

/** The number of a resource limit, or undefined where the system has none of that name. */
export function rlimitNumber(name: string, os: OS): number | undefined {
  return RLIMITS.get(name)?.[os === "linux" ? 0 : 1];
}
