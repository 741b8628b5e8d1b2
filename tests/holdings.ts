/** What this process holds: descriptors, children, threads, signal masks; and whether that grows. */

import fs from "node:fs";
import process from "node:process";
import { AssertionError } from "@std/assert";

/** Every open descriptor with what it is open on, as in "pipe:[4711]". */
export function descriptors(): Map<number, string> {
  const open = new Map<number, string>();
  for (const name of fs.readdirSync("/proc/self/fd")) {
    try {
      open.set(Number(name), fs.readlinkSync(`/proc/self/fd/${name}`));
    } catch {
      // The descriptor that the directory was read through.
    }
  }
  return open;
}

/** The descriptors that a child would inherit: those without O_CLOEXEC. */
export function inheritable(): number[] {
  const O_CLOEXEC = 0o2000000;
  return [...descriptors().keys()].filter((fd) => {
    const info = fs.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
    const flags = /^flags:\s*(\d+)/m.exec(info)?.[1] ?? "0";
    return (parseInt(flags, 8) & O_CLOEXEC) === 0;
  });
}

/** The thread ids of this process. */
export function threads(): string[] {
  return fs.readdirSync("/proc/self/task");
}

/** The process ids of all children, zombies among them. */
export function children(): number[] {
  const pids: number[] = [];
  for (const thread of threads()) {
    const list = readIfThere(`/proc/self/task/${thread}/children`) ?? "";
    pids.push(...list.split(" ").filter((pid) => pid !== "").map(Number));
  }
  return pids.sort((a, b) => a - b);
}

/** The letter of a process's state, "Z" for a zombie, or null: there is no such process. */
export function stateOf(pid: number): string | null {
  const stat = readIfThere(`/proc/${pid}/stat`);
  // The name in parentheses may hold anything.
  return stat === null ? null : stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
}

/** The blocked signals of each thread. */
export function signalMasks(): Map<string, string> {
  const masks = new Map<string, string>();
  for (const thread of threads()) {
    const status = readIfThere(`/proc/self/task/${thread}/status`);
    if (status !== null) masks.set(thread, field(status, "SigBlk"));
  }
  return masks;
}

/** A field of /proc/PID/status. */
export function field(status: string, name: string): string {
  const value = new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status)?.[1];
  if (value === undefined) throw new Error(`no ${name} in ${status}`);
  return value;
}

function readIfThere(path: string): string | null {
  try {
    return fs.readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** How much of what, and the masks apart, as they do not count. */
interface Holdings {
  readonly counts: Map<string, number>;
  readonly masks: Map<string, string>;
  readonly ignored: string;
}

function holdings(): Holdings {
  const counts = new Map<string, number>();
  const count = (kind: string, more: number): void => {
    counts.set(kind, (counts.get(kind) ?? 0) + more);
  };
  for (const link of descriptors().values()) count(`open on ${link.replace(/\[\d+\]/, "")}`, 1);
  count("children", children().length);
  count("threads", threads().length);
  const ignored = field(fs.readFileSync(`/proc/${process.pid}/status`, "utf8"), "SigIgn");
  return { counts, masks: signalMasks(), ignored };
}

function growth(before: Holdings, after: Holdings): string[] {
  const grown: string[] = [];
  for (const [kind, count] of after.counts) {
    const more = count - (before.counts.get(kind) ?? 0);
    if (more > 0) grown.push(`${more} more ${kind}`);
  }
  for (const [thread, mask] of after.masks) {
    const old = before.masks.get(thread) ?? mask;
    if (old !== mask) grown.push(`thread ${thread} blocks ${mask}, not ${old}`);
  }
  if (before.ignored !== after.ignored) grown.push(`${after.ignored} ignored`);
  return grown;
}

/**
 * Fails if every run of `action` leaves something behind. What is only made once, or by the runtime's
 * own threads now and then, is forgiven: one of four runs must leave nothing.
 */
export async function withoutLeaks(action: () => unknown): Promise<void> {
  await action();
  const left: string[] = [];
  for (let round = 0; round < 4; round++) {
    const before = holdings();
    await action();
    const grown = growth(before, holdings());
    if (grown.length === 0) return;
    left.push(grown.join(", "));
  }
  throw new AssertionError(`each run leaves something behind:\n${left.join("\n")}`);
}
