/**
 * What this whole run goes without: `tools/check.mjs` runs the suite under filters that refuse system
 * calls, and with a library whose child goes through libc, as on macOS.
 */

import process from "node:process";
import { Rung } from "../ffi/abi.ts";
import { library } from "../ffi/library.ts";
import { start } from "../ffi/request.ts";
import { Process } from "../mod.ts";
import { planStart } from "../src/start/plan.ts";
import { helper } from "./helper.ts";

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

/** Every rung of the ladder: a child through libc goes without them all, and says so. */
const allRungs = Object.values(Rung).reduce((all, rung) => all | rung, 0);

/** A start that asks for nothing. */
const plain = ((): { readonly rungs: number; readonly pidfd: boolean } => {
  const answer = start(planStart(helper, ["helper", "exit", "0"], {}));
  if (answer.errno === 0 && answer.signal === 0) {
    new Process(answer.pid, answer.pidfd < 0 ? null : answer.pidfd).waitSync();
  }
  return { rungs: answer.rungs, pidfd: answer.pidfd >= 0 };
})();

/** How the library of this run makes children, asked of the library itself. */
export const childPath: "raw" | "libc" = plain.rungs === allRungs ? "libc" : "raw";

/**
 * The reason to skip a test of what only Linux's own child can do, or false: a library built with
 * `-Dchild=libc` makes children as on macOS. `tests/start/libc_child_test.ts` has what comes of it there.
 */
export const needsLinuxChild: string | false = childPath === "raw"
  ? false
  : "needs Linux's own child, and this library's goes through libc";

/** The reason to skip a test of landlock of at least this version, or false. */
export function needsLandlock(version: number): string | false {
  if (needsLinuxChild) return needsLinuxChild;
  return library().osexec_landlock_abi() < version ? `needs landlock ${version}` : false;
}

/** The reason to skip a test of a child through libc, or false. */
export const needsLibcChild: string | false = childPath === "libc"
  ? false
  : "needs a library built with -Dchild=libc";

/** The reason to skip a test about pidfds, which macOS and old kernels have none of, or false. */
export const needsPidfd: string | false = plain.pidfd ? false : "needs pidfds";

/**
 * libc's fork(), as rules of zig/tools/filter.zig: glibc asks clone(2) for CHILD_SETTID, CHILD_CLEARTID and
 * SIGCHLD; musl calls fork(2) where the processor has it, else clone(2) for SIGCHLD alone.
 */
export const forkRules: readonly string[] = [
  "clone:0=18874385",
  "clone:0=17",
  ...process.arch === "x64" ? ["fork"] : [],
];

/** The reason to skip a test of what asks for a pidfd of a process that is there, or false. */
export const needsPidfdOpen: string | false = needsPidfd || needsCall("pidfd_open");
