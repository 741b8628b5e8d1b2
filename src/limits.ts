/** umask, nice and resource limits: what a child may use, and how much of it. */

import type { SysProcAttr } from "./attributes.ts";
import { checkInteger, type PlanContext, type PlannedStep } from "./checks.ts";
import { rlimitNumber } from "./constants.ts";

/**
 * The steps of the limits: those before the credentials, as raising a hard limit needs privileges, and
 * that of NOFILE, after the descriptors are in place, as dup2(2) fails beyond it.
 */
export function limitSteps(
  context: PlanContext,
  { nice, rlimits, umask }: SysProcAttr,
): { readonly limits: PlannedStep[]; readonly openFiles: PlannedStep[] } {
  const limits: PlannedStep[] = [];
  const openFiles: PlannedStep[] = [];
  if (nice !== undefined) {
    const value = checkInteger(context, "nice", nice, -20, 19);
    limits.push({ step: "nice", words: [value], argument: `${value}` });
  }
  for (const [name, limit] of Object.entries(rlimits ?? {})) {
    if (limit === undefined) continue;
    const number = rlimitNumber(name, context.os);
    if (number === undefined) context.refuse(`rlimits: there is no ${name} here`);
    const { soft, hard } = typeof limit === "number" ? { soft: limit, hard: limit } : limit;
    const words = [
      number,
      ...limitWords(context, `${name} soft limit`, soft),
      ...limitWords(context, `${name} hard limit`, hard),
    ];
    if (soft > hard) {
      context.refuse(`${name}: the soft limit ${soft} is above the hard one ${hard}`);
    }
    const argument = `${name} ${inWords(soft)}:${inWords(hard)}`;
    if (name === "NOFILE") openFiles.push({ step: "rlimit_nofile", words, argument });
    else limits.push({ step: "rlimit", words, argument });
  }
  if (umask !== undefined) {
    const value = checkInteger(context, "umask", umask, 0, 0o777);
    limits.push({ step: "umask", words: [value], argument: `0${value.toString(8)}` });
  }
  return { limits, openFiles };
}

/** A limit's lower and upper word; RLIM_INFINITY is all ones on Linux, all but the sign on macOS. */
function limitWords(context: PlanContext, what: string, value: unknown): [number, number] {
  if (typeof value !== "number") throw new TypeError(`${what} is not a number`);
  if (value === Infinity) return [0xffffffff, context.os === "linux" ? 0xffffffff : 0x7fffffff];
  if (!Number.isSafeInteger(value) || value < 0) {
    context.refuse(`${what} ${value} is neither a whole number from 0 nor Infinity`);
  }
  return [value % 0x100000000, Math.floor(value / 0x100000000)];
}

function inWords(limit: number): string {
  return limit === Infinity ? "unlimited" : `${limit}`;
}
