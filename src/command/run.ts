/** One run of a command: its process, the copying around it, what an abort does to it, and what it comes to. */

import { now } from "../../ffi/host.ts";
import { nextTurn } from "../../ffi/turn.ts";
import { AbortWatch, type Cancel } from "./abort.ts";
import {
  type Copy,
  type CopyResult,
  drain,
  feed,
  type Feeding,
  type Pull,
  pull,
  type Told,
} from "./copy.ts";
import {
  CancelError,
  type CapturedOutput,
  type ExitCause,
  ExitError,
  ShortWriteError,
  SpawnError,
  StateError,
  SyscallError,
  WaitDelayError,
} from "../errors.ts";
import { closeQuietly, type OSFile } from "../file/file.ts";
import type { Listener } from "../terminal/listener.ts";
import { hasReach, holdWith, keepLeader, letGo, type Process } from "../process/process.ts";
import type { ProcessState } from "../process/process_state.ts";
import { Puller, type Stdio } from "./stdio.ts";
import { eitherSignal, Timeout } from "./timeout.ts";
import { Timer } from "../timer.ts";
import { endTree, killTree } from "../tree/tree.ts";

/** What a run is made of; the child has been started. */
export interface RunOptions {
  readonly process: Process;
  readonly stdio: Stdio;
  /** Our end of stdinPipe(): closed when the child has ended. */
  readonly stdinPipe: OSFile | undefined;
  readonly signal: AbortSignal | undefined;
  /** Milliseconds, or Infinity. */
  readonly timeout: number;
  readonly cancel: Cancel | undefined;
  /** Command's. */
  readonly waitDelay: number;
  /** Of what no copy takes: asked for when the end is waited for. */
  readonly listener: () => Listener | undefined;
  /** What errors call it: asked for when there is one. */
  readonly label: () => string;
}

/** A child that runs, with its copying. */
export class Run {
  readonly #options: RunOptions;
  readonly #input: Feeding | undefined;
  readonly #outputs: readonly Copy[];
  /** In the order in which they ended: the first failure is the one reported. */
  readonly #results: CopyResult[] = [];
  readonly #told: Told = (result) => this.#results.push(result);
  readonly #timeout: Timeout | undefined;
  readonly #abort: AbortWatch | undefined;
  /** What lines() reads. */
  readonly lines: Pull | undefined;
  #waited = false;
  #isCut = false;

  /** Begins the copying. Throws nothing: what may throw has been done before there was a child. */
  constructor(options: RunOptions) {
    const { process, stdio, signal: given, timeout, cancel, waitDelay, label } = options;
    this.#options = options;
    if (stdio.feed !== null) {
      holdWith(process, stdio.feed.end);
      this.#input = feed(stdio.feed.end, stdio.feed.source, this.#told);
    }
    const outputs: Copy[] = [];
    for (const { end, sink } of stdio.drains) {
      // What keeps the event loop alive for the child's sake follows the child's ref() and unref().
      holdWith(process, end);
      if (sink instanceof Puller) outputs.push(this.lines = pull(end, this.#told));
      else outputs.push(drain(end, sink, this.#told));
    }
    this.#outputs = outputs;
    if (timeout !== Infinity) {
      this.#timeout = new Timeout({ process, timeout, label, copies: outputs.length > 0 });
    }
    const signal = eitherSignal(given, this.#timeout?.signal);
    if (signal === undefined) return;
    const expire = (): void => this.#expire();
    this.#abort = new AbortWatch({ process, signal, waitDelay, cancel, expire, label });
  }

  /** Whether an abort has killed the child: nobody waits for the rest of its lines any more. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** Waits for the child and the copying: see Command.wait(). `onExit`: the child has been reaped. */
  async wait(
    captured: CapturedOutput,
    onExit: (state: ProcessState) => void,
  ): Promise<ProcessState> {
    const { process } = this.#options;
    if (this.#waited) throw waitedAlready(this.#options.label());
    this.#waited = true;
    const listener = this.#options.listener();
    listener?.begin();
    let hasEnded = false;
    try {
      keepLeader(process);
      const seen = await process.wait();
      hasEnded = true;
      onExit(seen);
      // What a source has thrown by now counts, and is told within a turn.
      if (this.#input?.hasEnded === false) await nextTurn();
      this.#closeInput();
      // Most runs have none of it, and what is not awaited costs nothing.
      const abort = this.#abort === undefined ? undefined : await this.#abort.end(seen.success);
      if (this.#abort?.killed && !seen.success) {
        this.#isCut = true;
        this.lines?.stop();
      }
      const { stops, cut } = this.#outputs.length === 0
        ? nothingToCopy
        : await this.#settle(abort?.deadline);
      this.#timeout?.cancel();
      let state = seen;
      if (hasReach(process)) {
        await endTree(process, abort?.deadline);
        // By now it has been reaped, and by libc that tells more than the look before.
        onExit(state = await process.wait());
      }
      this.#check(state, captured, { abort: abort?.failure ?? null, stops, cut });
      return state;
    } catch (error) {
      if (!hasEnded) await this.#giveUp(error);
      // Somebody else has reaped it.
      hasEnded ||= error instanceof SyscallError;
      throw error;
    } finally {
      listener?.end(hasEnded);
    }
  }

  /** Throws what the run has come to, in Go's order, unless all is well. */
  #check(
    state: ProcessState,
    captured: CapturedOutput,
    { abort, stops, cut }: Settled & { readonly abort: Settled["cut"] },
  ): void {
    const failure = this.#results.find((result) => result.failure !== null)?.failure;
    if (!state.success) {
      throw new ExitError(state, captured, causeOf(abort ?? cut, failure), this.#options.label());
    }
    if (abort !== null) throw traced(abort.error);
    if (failure) throw traced(failure.error);
    if (stops.includes("expired")) {
      throw cut === null ? new WaitDelayError(captured, this.#options.label()) : cut.error;
    }
    if (stops.includes("disposed")) {
      const command = this.#options.label();
      throw new StateError("exec: disposed of before all output had been read", { command });
    }
  }

  /** Kills a child that still runs, reaps it, and ends the copying. */
  async dispose(): Promise<void> {
    this.#timeout?.cancel();
    this.#abort?.dispose();
    // It kills at once. One that may not be killed ends perhaps when nobody reads from it any more.
    const dying = this.#options.process[Symbol.asyncDispose]();
    this.#stop();
    await dying;
  }

  /** The child could not be waited for. */
  async #giveUp(error: unknown): Promise<void> {
    this.#waited = false;
    this.#timeout?.cancel();
    this.#abort?.dispose();
    letGo(this.#options.process);
    if (error instanceof SpawnError) {
      // Made where the event loop had told of it; here its stack leads to who waits.
      Error.captureStackTrace?.(error);
      this.#stop();
    } else if (!(error instanceof StateError)) {
      // Somebody else has reaped it, and it has ended. A released one goes on, and so does its copying.
      this.#closeInput();
      if (this.#outputs.length > 0) await this.#settle(undefined);
    }
  }

  /** The process has ended: nobody reads its stdin any more. */
  #closeInput(): void {
    const { stdinPipe } = this.#options;
    this.#input?.stop();
    if (stdinPipe !== undefined) closeQuietly(stdinPipe);
  }

  /** Waits for the outputs, no longer than waitDelay or an abort allows. */
  async #settle(deadline: number | undefined): Promise<Settled> {
    const { process, waitDelay } = this.#options;
    const end = deadline ?? now() + (waitDelay || Infinity);
    const timer = new Timer(end, () => {
      // In this order: once it is killed the pipes would seem to have ended in time.
      this.#expire();
      killTree(process);
    });
    holdWith(process, timer);
    const copied = Promise.all(this.#outputs.map((copy) => copy.done));
    const cut = await this.#abort?.outlive(copied) ?? null;
    const stops = (await copied).map(({ stopped }) => stopped);
    timer.cancel();
    return { stops, cut: stops.includes("expired") ? cut : null };
  }

  #stop(): void {
    this.#input?.stop();
    for (const copy of this.#outputs) copy.stop();
  }

  #expire(): void {
    this.#input?.expire();
    for (const copy of this.#outputs) copy.expire();
  }
}

/** Errors that are always of our making, in a callback of the event loop's: here their stack leads to who waits. */
function traced(error: unknown): unknown {
  if (error instanceof CancelError || error instanceof ShortWriteError) {
    Error.captureStackTrace?.(error);
  }
  return error;
}

/** How the outputs ended. */
interface Settled {
  readonly stops: readonly CopyResult["stopped"][];
  /** The reason of the abort that has cut them off. */
  readonly cut: { readonly error: unknown } | null;
}

const nothingToCopy: Settled = { stops: [], cut: null };

/** Of a command that is waited for twice. */
export function waitedAlready(command: string): StateError {
  return new StateError("exec: Wait was already called", {
    command,
    hint: "processState tells how it ended",
  });
}

/** Of an ExitError: an abort comes before what a source or a sink threw. */
export function causeOf(
  abort: { readonly error: unknown } | null | undefined,
  failure: { readonly error: unknown } | null | undefined,
): ExitCause | null {
  if (abort) return { error: abort.error, isTold: false };
  return failure ? { error: failure.error, isTold: true } : null;
}
