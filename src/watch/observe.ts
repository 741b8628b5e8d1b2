/** What becomes of each command, told to whoever wants to know. */

import { throwUncaught, wallClock } from "../../ffi/host.ts";
import { currentRuntime } from "../../ffi/runtime.ts";
import type { Command } from "../command/command.ts";
import { Debugger } from "./debug.ts";
import { Errno } from "../errno.ts";
import { asError, SyscallError } from "../errors.ts";
import { onReaped, type Process } from "../process/process.ts";
import type { ProcessState } from "../process/process_state.ts";
import { showValue } from "../quote.ts";

/**
 * One thing that has become of a command; `at`: when, in ms since the epoch. Each "start" is followed by one "failed" or
 * one "end", and by nothing after that:
 *
 * - "start": start() or one of its kin was called, and nothing has been done yet.
 * - "started": there is a process. Of run() and its kin, which do not wait for execve, a "failed" may still follow.
 * - "failed": it could not be started; or how it ended is not known, as somebody else has reaped it, or its handle was
 *   released.
 * - "abort": its signal has aborted, or its time is over, for that reason, while it ran or its output was waited for.
 * - "end": it has been reaped, and all that wait() waits for is done; `error` is what wait() rejects with. Where nobody
 *   calls the command's wait(), but for the process, or disposes of it, there is no error. Where nobody reaps it there
 *   is no end either.
 */
export type Observation =
  | { readonly kind: "start"; readonly command: Command; readonly at: number }
  | {
    readonly kind: "started";
    readonly command: Command;
    readonly pid: number;
    readonly at: number;
  }
  | {
    readonly kind: "failed";
    readonly command: Command;
    readonly error: Error;
    readonly at: number;
  }
  | {
    readonly kind: "abort";
    readonly command: Command;
    readonly pid: number;
    readonly reason: unknown;
    readonly at: number;
  }
  | {
    readonly kind: "end";
    readonly command: Command;
    readonly pid: number;
    readonly state: ProcessState;
    readonly error?: Error;
    readonly at: number;
  };

/** What is called with each observation. */
export type Observer = (observation: Observation) => unknown;

/** In a box: the same function may be there twice. */
const observers = new Set<{ readonly observer: Observer }>();
/** Whether OSEXEC_DEBUG has been read. */
let isAsked = false;
let debug: Debugger | undefined;
/** Within an observer. */
let isTelling = false;

/**
 * Calls `observer` at each command's start, started, failed, abort and end, from now on until what it answers is
 * disposed of: of every Command of this module and this thread that is started meanwhile, in whichever way. It is called at once, in the
 * async context (AsyncLocalStorage) of who starts the command, or waits for it. What it throws is reported by the runtime
 * as an uncaught error, and changes no run; what it answers is ignored. Commands that it starts itself before it returns
 * are not observed. TypeError for what is no function.
 *
 * @example
 * ```ts
 * import { Command, observe } from "osexec";
 *
 * using _watching = observe((event) => {
 *   if (event.kind === "end") console.log(`${event.command}: ${event.state}`);
 * });
 * await new Command("true").run(); // /usr/bin/true: exit status 0
 * ```
 */
export function observe(observer: (observation: Observation) => void): Disposable {
  if (typeof observer !== "function") {
    throw new TypeError(`the observer is no function, but ${showValue(observer)}`);
  }
  const entry = { observer };
  observers.add(entry);
  return { [Symbol.dispose]: () => void observers.delete(entry) };
}

/** For Command: whether anybody wants to know. It is asked at each start. */
export function isObserved(): boolean {
  if (!isAsked) readVariable();
  return observers.size > 0 && !isTelling;
}

/** For Command: our end of a pipe of its own, which may be what somebody waits for in vain. */
export function tellPipe(command: Command): void {
  if (isObserved()) debug?.took(command);
}

/** For what ends a command: an abort has come to it. */
export function tellAbort(process: Process, reason: unknown): void {
  lives.get(process)?.abort(reason);
}

function readVariable(): void {
  isAsked = true;
  const value = currentRuntime().variable("OSEXEC_DEBUG") ?? "";
  if (value === "" || value === "0") return;
  const made = debug = new Debugger();
  observers.add({ observer: (observation) => made.hear(observation) });
}

function tell(observation: Observation): void {
  isTelling = true;
  for (const { observer } of observers) {
    try {
      observer(observation);
    } catch (error) {
      throwUncaught(error);
    }
  }
  isTelling = false;
}

/** Those that an abort may come to. */
const lives = new WeakMap<Process, Life>();

/** One run of a command that is observed. */
export class Life {
  readonly #command: Command;
  #process: Process | undefined;
  /** Reaped, or released. */
  #isGone = false;
  /** Who waits for the command tells the end. */
  #isFollowed = false;
  #isOver = false;

  /** Tells the start. */
  constructor(command: Command) {
    this.#command = command;
    tell({ kind: "start", command, at: wallClock() });
  }

  /** There is a process. */
  started(process: Process): void {
    this.#process = process;
    lives.set(process, this);
    const gone = Promise.withResolvers<void>();
    onReaped(process, () => {
      this.#isGone = true;
      gone.resolve();
    });
    // By a promise, in the context of who has started it; and its state is known by then.
    gone.promise.then(() => {
      if (!this.#isFollowed) this.#settle(null);
    });
    tell({ kind: "started", command: this.#command, pid: process.pid, at: wallClock() });
  }

  /** There is none, or how it ended is not known. */
  failed(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    tell({ kind: "failed", command: this.#command, error: asError(error), at: wallClock() });
  }

  /** See tellAbort(). */
  abort(reason: unknown): void {
    const pid = this.#process?.pid;
    if (pid === undefined || this.#isOver) return;
    tell({ kind: "abort", command: this.#command, pid, reason, at: wallClock() });
  }

  /** Tells the end when the command's wait() has one. */
  async follow(waiting: Promise<ProcessState>): Promise<ProcessState> {
    // Of a second wait(), which is refused.
    if (this.#isFollowed) return waiting;
    this.#isFollowed = true;
    try {
      const state = await waiting;
      this.#settle(null);
      return state;
    } catch (error) {
      this.#settle({ error });
      throw error;
    }
  }

  /** The same for a Sync method. */
  followSync(wait: () => ProcessState): ProcessState {
    this.#isFollowed = true;
    try {
      const state = wait();
      this.#settle(null);
      return state;
    } catch (error) {
      this.#settle({ error });
      throw error;
    }
  }

  #settle(failure: { readonly error: unknown } | null): void {
    const process = this.#process;
    if (this.#isOver || process === undefined) return;
    if (!this.#isGone) {
      // It was only the waiting that failed, and may be tried again.
      if (!isLost(failure?.error)) this.#isFollowed = false;
      else this.failed(failure?.error);
      return;
    }
    let state: ProcessState;
    try {
      state = process.waitSync();
    } catch (error) {
      return this.failed(error);
    }
    this.#isOver = true;
    const error = failure === null ? {} : { error: asError(failure.error) };
    const { pid } = process;
    tell({ kind: "end", command: this.#command, pid, state, ...error, at: wallClock() });
  }
}

/** Whether somebody else has reaped it. */
function isLost(error: unknown): boolean {
  return error instanceof SyscallError && error.errno === Errno.ECHILD;
}
