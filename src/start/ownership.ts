/** Whose a child's pipes and its terminal are: who wants to open one again by its path must be its owner. */

import { library } from "../../ffi/library.ts";
import type { ProcAttr, SysProcAttr } from "./attributes.ts";
import { CLONE_NEWUSER } from "./constants.ts";
import { type Fd, fdNumber } from "../file/file.ts";
import type { StartPlan } from "./plan.ts";

/**
 * Makes pipes that were made for a child its user's, and a terminal, as login(1) and sshd(8) do. A pipe belongs to who has made it, and may be opened by nobody else,
 * though /dev/stderr, /dev/stdin and /proc/self/fd/1 are paths to it which nginx and php-fpm open for their logs; runc and
 * systemd do the same. One that has gone to another user already, with another command of a pipeline, stays that one's.
 * Where it is not allowed, the child has the descriptors all the same.
 */
export function givePipes(plan: StartPlan, { sys }: ProcAttr, pipes: readonly Fd[]): void {
  const uid = plan.steps.find((planned) => planned.step === "setuid")?.values[0];
  const user = uid === undefined ? undefined : hostUser(uid, sys);
  if (user === undefined) return;
  for (const pipe of pipes) library().osexec_give(fdNumber(pipe, "a pipe"), user | 0);
}

/** A child's user as this process knows it; undefined: there is none, for a user namespace without a map for it. */
function hostUser(uid: number, sys: SysProcAttr | undefined): number | undefined {
  const { cloneflags = 0, unshareflags = 0, uidMappings = [] } = sys ?? {};
  if (((cloneflags | unshareflags) & CLONE_NEWUSER) === 0) return uid;
  const line = uidMappings.find(({ containerID, size }) => {
    return uid >= containerID && uid < containerID + size;
  });
  return line === undefined ? undefined : line.hostID + uid - line.containerID;
}
