/** Descriptors of this process that a child is given, or uses until it has its own. */

import type { PlanContext } from "./checks.ts";
import { type Fd, fdMax, fdNumber, heldBytes, type PlannedFd } from "../file/file.ts";

/** The number of a descriptor that the child is given. */
export function descriptor(context: PlanContext, what: string, file: Fd): number {
  const fd = fdNumber(file, what);
  // A closed OSFile says -1.
  if (fd === -1) context.refuse(`${what} is closed`);
  if (fd < 0 || fd > fdMax) {
    context.refuse(`${what}: ${fd} is no descriptor, which are 0 to ${fdMax}`);
  }
  const held = heldBytes(file);
  if (held > 0) {
    context.refuse(
      `${what} holds ${held} bytes that lines() has read: the child would not get them. Read them, or hand over readable`,
    );
  }
  return fd;
}

/** Whether a descriptor stands for one that explain() does not open. */
export function isPlanned(file: Fd | null): file is PlannedFd {
  return typeof file === "object" && file !== null && "label" in file;
}
