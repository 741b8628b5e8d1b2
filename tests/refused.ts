/** What the kernel refuses to this whole run: `tools/check.mjs` runs the suite under such filters too. */

import process from "node:process";

/** The system calls that a filter around this run refuses, by their names. */
const refused: readonly string[] = (process.env.OSEXEC_REFUSED ?? "").split(",").filter(Boolean);

/**
 * Why a test cannot show its point in this run, or false: what it is about needs the call, and has no
 * other way. Without a name: any filter would be in the way of the test's own.
 */
export function needsCall(name?: string): string | false {
  const found = name === undefined ? refused[0] : refused.find((call) => call === name);
  return found === undefined ? false : `the kernel refuses ${found} in this run`;
}
