/** Namespaces and id maps: what Linux alone has. */

import type { JoinedNamespace, SysProcAttr, SysProcIDMap } from "./attributes.ts";
import { checkInteger, type PlanContext, type PlannedStep } from "./checks.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from "./constants.ts";
import { descriptor, isPlanned } from "./borrowed.ts";
import type { Fd } from "../file/file.ts";
import { showValue } from "../quote.ts";

const names = [
  ["CLONE_NEWTIME", CLONE_NEWTIME],
  ["CLONE_NEWNS", CLONE_NEWNS],
  ["CLONE_NEWCGROUP", CLONE_NEWCGROUP],
  ["CLONE_NEWUTS", CLONE_NEWUTS],
  ["CLONE_NEWIPC", CLONE_NEWIPC],
  ["CLONE_NEWUSER", CLONE_NEWUSER],
  ["CLONE_NEWPID", CLONE_NEWPID],
  ["CLONE_NEWNET", CLONE_NEWNET],
] as const;

const allNamespaces = names.reduce((bits, [, bit]) => bits | bit, 0);

/** CLONE_NEW* bits in words. */
export function namespaceNames(flags: number): string {
  return names.filter(([, bit]) => (flags & bit) !== 0).map(([name]) => name).join("|");
}

/** The maps that the parent writes, for a child that is born into a user namespace. */
export function namespaceSteps(context: PlanContext, sys: SysProcAttr): PlannedStep[] {
  const born = checkFlags(context, "cloneflags", sys.cloneflags);
  const made = checkFlags(context, "unshareflags", sys.unshareflags);
  checkMapsWanted(context, sys, born, made);
  if ((born & CLONE_NEWUSER) === 0) return [];
  const { uidMappings, gidMappings } = sys;
  const steps: PlannedStep[] = [];
  if (uidMappings !== undefined) {
    steps.push({ step: "uid_map", ...map(context, "uidMappings", uidMappings) });
  }
  if (gidMappings !== undefined) {
    steps.push({ step: "setgroups_policy", ...policy(sys) });
    steps.push({ step: "gid_map", ...map(context, "gidMappings", gidMappings) });
  }
  return steps;
}

/** By the names that /proc/PID/ns has. */
const kinds: ReadonlyMap<unknown, number> = new Map<JoinedNamespace["kind"], number>([
  ["user", CLONE_NEWUSER],
  ["pid", CLONE_NEWPID],
  ["net", CLONE_NEWNET],
  ["mnt", CLONE_NEWNS],
  ["uts", CLONE_NEWUTS],
  ["ipc", CLONE_NEWIPC],
  ["cgroup", CLONE_NEWCGROUP],
  ["time", CLONE_NEWTIME],
]);

/** setns(2), and the second child where it may have been a namespace of processes: of which kind a file is the child asks. */
export function joinSteps(context: PlanContext, sys: SysProcAttr): PlannedStep[] {
  const { joinNamespaces = [], cloneflags = 0 } = sys;
  let mayBePid = false;
  const steps = joinNamespaces.map((entry, index): PlannedStep => {
    const what = `joinNamespaces[${index}]`;
    const { fd, kind } = joined(what, entry);
    const flag = kind === undefined ? 0 : kinds.get(kind) ?? 0;
    if (flag === 0 || flag === CLONE_NEWPID) mayBePid = true;
    const number = descriptor(context, what, fd);
    const shown = isPlanned(fd) ? fd.label : `${number}`;
    const argument = kind === undefined ? shown : `${kind} ${shown}`;
    return { step: "setns", values: [number, flag], argument };
  });
  if (!mayBePid) return steps;
  // The kernel lets no init of a namespace have a sibling.
  if ((cloneflags & CLONE_NEWPID) !== 0) {
    context.refuse("joinNamespaces may join a pid namespace, and cloneflags makes one");
  }
  return [...steps, { step: "pid_namespace", values: [] }];
}

/** Whether a namespace of this kind is joined, or one that may be of it. */
export function joins(
  { joinNamespaces = [] }: SysProcAttr,
  wanted: JoinedNamespace["kind"],
): boolean {
  return joinNamespaces.some((entry, index) => {
    const { kind } = joined(`joinNamespaces[${index}]`, entry);
    return kind === undefined || kind === wanted;
  });
}

/** An entry of joinNamespaces. */
function joined(what: string, entry: Fd | JoinedNamespace): Partial<JoinedNamespace> & { fd: Fd } {
  if (typeof entry !== "object" || !("kind" in entry)) return { fd: entry };
  const { fd, kind } = entry;
  if (!kinds.has(kind)) {
    throw new TypeError(
      `${what}.kind ${showValue(kind)} is none of ${[...kinds.keys()].join(", ")}`,
    );
  }
  return { fd, kind };
}

/** unshare(2), and the maps that a child writes for itself: Go's rule 102. */
export function selfMapSteps(context: PlanContext, sys: SysProcAttr): PlannedStep[] {
  const flags = checkFlags(context, "unshareflags", sys.unshareflags);
  if (flags === 0) return [];
  const steps: PlannedStep[] = [
    { step: "unshare", values: [flags], argument: namespaceNames(flags) },
  ];
  const { uidMappings, gidMappings } = sys;
  if ((flags & CLONE_NEWUSER) !== 0) {
    if (gidMappings !== undefined) {
      steps.push({ step: "self_setgroups_policy", ...policy(sys) });
      steps.push({ step: "self_gid_map", ...map(context, "gidMappings", gidMappings) });
    }
    if (uidMappings !== undefined) {
      steps.push({ step: "self_uid_map", ...map(context, "uidMappings", uidMappings) });
    }
  }
  if ((flags & CLONE_NEWNS) !== 0) steps.push({ step: "mount_private", values: [], argument: "/" });
  return steps;
}

function checkFlags(context: PlanContext, field: string, flags: unknown): number {
  if (flags === undefined) return 0;
  if (typeof flags !== "number") throw new TypeError(`${field} is not a number`);
  // Compared before the operators on bits, which look at the lower 32 alone.
  const within = Number.isInteger(flags) && flags >= 0 && flags <= allNamespaces;
  if (!within || (flags & ~allNamespaces) !== 0) {
    context.refuse(`${field} 0x${flags.toString(16)} holds other flags than CLONE_NEW*`);
  }
  return flags;
}

function checkMapsWanted(context: PlanContext, sys: SysProcAttr, born: number, made: number): void {
  const bornUser = (born & CLONE_NEWUSER) !== 0;
  const madeUser = (made & CLONE_NEWUSER) !== 0;
  for (const field of ["uidMappings", "gidMappings"] as const) {
    if (sys[field] === undefined) continue;
    if (!bornUser && !madeUser) {
      context.refuse(`${field} needs CLONE_NEWUSER in cloneflags or in unshareflags`);
    }
    if (bornUser && madeUser) {
      context.refuse(`${field}: CLONE_NEWUSER stands in both cloneflags and unshareflags`);
    }
  }
}

function policy({ gidMappingsEnableSetgroups }: SysProcAttr): {
  values: readonly [number];
  argument: string;
} {
  return gidMappingsEnableSetgroups
    ? { values: [1], argument: "allow" }
    : { values: [0], argument: "deny" };
}

/** A map's text, a line each. Ranges that overlap the kernel would only call EINVAL. */
function map(
  context: PlanContext,
  field: string,
  lines: readonly SysProcIDMap[],
): { values: readonly [string]; argument: string } {
  if (lines.length === 0) context.refuse(`${field} is empty`);
  const last = 0xffffffff;
  for (const { containerID, hostID, size } of lines) {
    checkInteger(context, `${field}: containerID`, containerID, 0, last);
    checkInteger(context, `${field}: hostID`, hostID, 0, last);
    checkInteger(context, `${field}: size`, size, 1, last);
  }
  for (const side of ["containerID", "hostID"] as const) {
    const sorted = lines.toSorted((a, b) => a[side] - b[side]);
    for (const [index, line] of sorted.entries()) {
      const end = line[side] + line.size;
      const next = sorted[index + 1];
      if (end > last || (next !== undefined && next[side] < end)) {
        context.refuse(`${field}: the ranges of ${side} overlap or end beyond the last id`);
      }
    }
  }
  const rows = lines.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}`);
  const shown = rows.length > linesShown
    ? [...rows.slice(0, linesShown), `… (${rows.length} lines)`]
    : rows;
  return { values: [rows.map((row) => `${row}\n`).join("")], argument: shown.join(", ") };
}

/** So many of a map's lines stand in messages. */
const linesShown = 8;
