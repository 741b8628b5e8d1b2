/** Descriptors handed on by number, as systemd hands sockets to what it starts: sd_listen_fds(3). */

import { LISTEN_PID_ROOM } from "../../ffi/abi.ts";
import type { ProcAttr } from "./attributes.ts";
import type { PlanContext, PlannedStep } from "./checks.ts";
import { showValue } from "../quote.ts";

/** SD_LISTEN_FDS_START. */
const first = 3;
/** FDNAME_MAX of systemd. */
const nameMax = 255;

/** The step in which the child puts its number into the environment that withListenFds() has made. */
export function listenSteps(
  context: PlanContext,
  { files = [], sys = {} }: ProcAttr,
): PlannedStep[] {
  const { listenFds: wanted = false } = sys;
  if (wanted === false) return [];
  if (wanted !== true && !Array.isArray(wanted)) {
    throw new TypeError("sys.listenFds is neither a boolean nor a list");
  }
  const count = files.length - first;
  if (count < 1) context.refuse("listenFds is set, and there is no descriptor from 3 on");
  const closed = files.findIndex((file, target) => target >= first && file === null);
  if (closed >= 0) context.refuse(`listenFds is set, and file ${closed} is null`);
  if (wanted !== true) checkNames(context, wanted, count);
  const last = files.length - 1;
  return [{
    step: "listen_fds",
    values: [],
    argument: count === 1 ? `${first}` : `${first}-${last}`,
  }];
}

/** As fdname_is_valid() of systemd; and a list of another length is taken for none there. */
function checkNames(context: PlanContext, names: readonly unknown[], count: number): void {
  for (const [index, name] of names.entries()) {
    if (typeof name !== "string") throw new TypeError(`listenFds[${index}] is not a string`);
    if (name.length <= nameMax && /^[ -9;-~]*$/.test(name)) continue;
    context.refuse(`listenFds[${index}]: ${showValue(name)} is no name of a descriptor`);
  }
  if (names.length === count) return;
  context.refuse(`listenFds has ${names.length} names for ${count} descriptors`);
}

/** What systemd's own sets; LISTEN_PIDFDID would tell the child that it is not meant. */
const variables = /^LISTEN_(FDS|PID|PIDFDID|FDNAMES)=/;

/** The environment with what the child is told, checked before by listenSteps(). */
export function withListenFds(
  { files = [], sys }: ProcAttr,
  envp: readonly string[],
): readonly string[] {
  const wanted = sys?.listenFds ?? false;
  if (wanted === false) return envp;
  const names = wanted === true ? [] : [`LISTEN_FDNAMES=${wanted.join(":")}`];
  const rest = envp.filter((entry) => !variables.test(entry));
  return [...rest, `LISTEN_FDS=${files.length - first}`, LISTEN_PID_ROOM, ...names];
}
