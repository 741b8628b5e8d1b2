/** The checks that a start's arguments must pass, and how it is refused. */

import type { RequestStep } from "../../ffi/request.ts";
import { hasHalf, showText, toText } from "../../ffi/text.ts";
import { SpawnError } from "../errors.ts";
import { currentOS, type OS } from "../os.ts";

/** A step as errors and explain() name it. */
export type PlannedStep = RequestStep & {
  /** The argument in words: "/nope" for chdir, "1337" for setuid. Absent: see stepArgument(). */
  readonly argument?: string;
};

/** What the parts of a plan report a bad value through. */
export interface PlanContext {
  readonly os: OS;
  /** Throws SpawnError of step "request". */
  refuse(detail: string): never;
}

/** The context of the start of one program. */
export function planContext(name: unknown): PlanContext {
  const os = currentOS();
  const path = showText(toText("the path", name));
  return {
    os,
    refuse(detail) {
      throw new SpawnError({ path, step: "request", os, detail });
    },
  };
}

/** Checks a text that becomes a C string; answers it as a string. */
export function checkText(context: PlanContext, what: string, given: unknown): string {
  const text = toText(what, given);
  if (text.includes("\0")) context.refuse(`${what} contains a NUL`);
  if (hasHalf(text)) context.refuse(`${what} contains half of a surrogate pair`);
  return text;
}

/** Checks a number that must be whole and within bounds; answers it. */
export function checkInteger(
  context: PlanContext,
  what: string,
  value: unknown,
  least: number,
  most: number,
): number {
  if (typeof value !== "number") throw new TypeError(`${what} is not a number`);
  if (!Number.isInteger(value) || value < least || value > most) {
    context.refuse(`${what} ${value} is not an integer from ${least} to ${most}`);
  }
  return value;
}
