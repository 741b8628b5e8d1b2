/** How far the end of a command reaches: the child alone, or what it has started as well. */

import { now } from "../../ffi/host.ts";
import { library } from "../../ffi/library.ts";
import type { Cancel } from "../command/abort.ts";
import { Errno } from "../errno.ts";
import { currentOS } from "../os.ts";
import {
  endReach,
  extendReach,
  hasEnded,
  hasReach,
  holdWith,
  isDying,
  letGo,
  type Process,
  type Reach,
  signalRest,
} from "../process/process.ts";
import { signalNumber } from "../process/signals.ts";
import { Timer } from "../timer.ts";

/** What of a child's descendants ends with it: see Command's `tree`. */
export type Tree = "process" | "group" | "cgroup" | "namespace";

/** For ./seed.ts: what ends with the child is its process group. */
export function growGroup(process: Process): void {
  extendReach(process, group);
}

const group: Reach = {
  needsLeader: true,
  isDying: false,
  signal(number, pid, pidfd) {
    const answer = library().osexec_signal_group(pid, pidfd, number);
    // A leader may have joined another group of its session.
    const leaves = pid > 0 && (number === SIGKILL || answer === -Errno.ESRCH);
    if (!leaves) return answer;
    const alone = library().osexec_signal(pid, pidfd, number);
    return answer === -Errno.ESRCH ? alone : answer;
  },
  end() {},
};

/**
 * SIGKILL for all that kill() reaches, also where the child itself has ended. Answers whether that still ran; throws as
 * kill() does, but for a child that has ended.
 */
export function killTree(process: Process): boolean {
  const runs = !hasEnded(process);
  if (runs) process.kill();
  else if (hasReach(process)) killRest(process);
  return runs;
}

/** SIGKILL for what is left. The child itself has ended, and of the rest nobody was promised anything. */
function killRest(process: Process): void {
  signalRest(process, SIGKILL);
}

const SIGKILL = 9;

/** What an abort does that comes when the child has ended: its tree gets the signal, or SIGKILL. */
export function cancelRest(process: Process, cancel: Cancel | undefined): void {
  if (!hasReach(process)) return;
  if (typeof cancel === "string" || typeof cancel === "number") {
    signalRest(process, signalNumber(cancel, currentOS()));
  } else killRest(process);
}

/** How long what no system tells of is left unasked for, in milliseconds. */
const pauseMax = 50;
/** How long what has been killed is waited for. */
const dyingMax = 1000;

/**
 * The child has ended, and so has the copying: reaps it. `deadline`: an abort's, until when what is left of the tree has
 * time to end by itself.
 */
export async function endTree(process: Process, deadline: number | undefined): Promise<void> {
  if (!hasReach(process)) return;
  if (deadline !== undefined) {
    // Then it need not be kept, as a zombie that is left until the deadline.
    if (outlives(process)) letGo(process);
    await untilEmpty(process, deadline);
    killRest(process);
  }
  letGo(process);
  if (isDying(process)) await untilEmpty(process, now() + dyingMax);
  if (!isLeft(process)) endReach(process);
}

/** Kills what is left when a command is disposed of. */
export async function disposeTree(process: Process): Promise<void> {
  if (!hasReach(process)) return;
  killRest(process);
  letGo(process);
  if (isDying(process)) await untilEmpty(process, now() + dyingMax);
  endReach(process);
}

async function untilEmpty(process: Process, deadline: number): Promise<void> {
  const pause = new Pause(process);
  for (let length = 1; isLeft(process) && now() < deadline; length = next(length)) {
    await pause.until(Math.min(now() + length, deadline));
  }
}

/** endTree() of a Sync method's, before it reaps the child. */
export function endTreeSync(process: Process, deadline: number): void {
  if (!hasReach(process)) return;
  if (outlives(process)) process.waitSync();
  untilEmptySync(process, deadline);
  killRest(process);
}

/** When the child of a Sync method has been reaped. */
export function closeTree(process: Process): void {
  if (!hasReach(process)) return;
  if (isDying(process)) untilEmptySync(process, now() + dyingMax);
  if (!isLeft(process)) endReach(process);
}

function untilEmptySync(process: Process, deadline: number): void {
  const none = new Uint8Array(0);
  for (let length = 1; isLeft(process) && now() < deadline; length = next(length)) {
    library().osexec_poll(none, 0, Math.min(length, Math.ceil(deadline - now())));
  }
}

function next(length: number): number {
  return Math.min(2 * length, pauseMax);
}

/** A group's leader that has not been reaped is left as well. */
function isLeft(process: Process): boolean {
  return signalRest(process, 0) !== -Errno.ESRCH;
}

/** Whether an ended child's pidfd will do for its group when it has been reaped. */
function outlives({ pidfd }: Process): boolean {
  const answer = group.signal(0, 0, pidfd ?? -1);
  return answer === 0 || answer === -Errno.EPERM;
}

/** A timer after the other, for as long as the process keeps the event loop alive. */
class Pause {
  #timer: Timer | undefined;
  #referenced = true;

  constructor(process: Process) {
    holdWith(process, this);
  }

  until(time: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#timer = new Timer(time, resolve);
    if (!this.#referenced) this.#timer.unref();
    return promise;
  }

  ref(): void {
    this.#referenced = true;
    this.#timer?.ref();
  }

  unref(): void {
    this.#referenced = false;
    this.#timer?.unref();
  }
}
