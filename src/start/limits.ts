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
    const words = [number, ...halves(least), ...halves(most)];
    const unlimited = infinity(context);
    const inWords = (value: bigint): string => value === unlimited ? "unlimited" : `${value}`;
    const argument = `${name} ${inWords(least)}:${inWords(most)}`;
    if (name === "NOFILE") openFiles.push({ step: "rlimit_nofile", words, argument });
    else limits.push({ step: "rlimit", words, argument });
  }
  if (umask !== undefined) {
    const value = checkInteger(context, "umask", umask, 0, 0o777);
    limits.push({ step: "umask", words: [value], argument: `0${value.toString(8)}` });
  }
  return { limits, openFiles };
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

/** The lower and the upper word. */
function halves(value: bigint): [number, number] {
  return [Number(value & 0xffff_ffffn), Number(value >> 32n)];
}
