/** A command's terminal: what goes together with it, and what a child must be for it. */

import type { SysProcAttr } from "../start/attributes.ts";
import type { PlanContext } from "../start/checks.ts";
import { readSys } from "../start/sys.ts";
import { type PtyOptions, readPtyOptions } from "./terminal.ts";

/** A command's `pty` as options; undefined: it is to have none. Throws TypeError for what is neither. */
export function ptyOptions(pty: unknown): PtyOptions | undefined {
  if (pty === undefined || pty === false) return undefined;
  if (pty === true) return {};
  if (typeof pty !== "object" || pty === null) {
    throw new TypeError("pty is neither a boolean nor an object with fields");
  }
  return readPtyOptions("pty", pty);
}

/** The attributes of a child whose 0 is its controlling terminal. TypeError for what contradicts that. */
export function withSession(
  sys: SysProcAttr | undefined,
  { os, refuse }: PlanContext,
): SysProcAttr {
  // A pseudo-console is told of by the start itself.
  if (os === "win32") return sys ?? {};
  if (sys === undefined) return { setsid: true, setctty: true };
  const own = readSys(sys, refuse);
  const { setsid, setctty, noctty, foreground, setpgid, ctty = 0 } = own;
  const contradicts: Readonly<Record<string, boolean>> = {
    setsid: setsid === false,
    setctty: setctty === false,
    noctty: noctty === true,
    foreground: foreground === true,
    setpgid: setpgid === true,
    // All three are the terminal.
    ctty: !(ctty >= 0 && ctty <= 2),
  };
  for (const [name, is] of Object.entries(contradicts)) {
    if (is) throw new TypeError(`pty and sysProcAttr.${name} contradict each other`);
  }
  return { ...own, setsid: true, setctty: true };
}
