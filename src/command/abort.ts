/** Go's context, for one running command: what an AbortSignal does to it, and when. */

import { now } from "../../ffi/host.ts";
import { CancelError, ProcessDoneError } from "../errors.ts";
import { tellAbort } from "../watch/observe.ts";
import { hasEnded, holdWith, onReaped, type Process } from "../process/process.ts";
import type { Signal } from "../process/signals.ts";
import { Timer } from "../timer.ts";
import { cancelRest, killTree } from "../tree/tree.ts";

/** What to do on abort: a function, or a signal to send; null: nothing but waitDelay. */
export type Cancel = ((child: Process) => unknown) | Signal | null;

/** What the watcher acts on. */
export interface AbortWatchOptions {
  readonly process: Process;
  readonly signal: AbortSignal;
  /** Absent: SIGKILL. */
  readonly cancel: Cancel | undefined;
  /** Milliseconds from the abort to SIGKILL; 0: never. */
  readonly waitDelay: number;
  /** Ends all copying: called after the SIGKILL, so that the child dies of that and not of SIGPIPE. */
  readonly expire: () => void;
  /** What errors call the command: asked for when there is one. */
  readonly label: () => string;
}

/** What came of the watching. */
export interface AbortOutcome {
  /** The error that the abort stands for; null: there was no abort. */
  readonly failure: { readonly error: unknown } | null;
  /** When the time that waitDelay gives is over, by the clock of host.ts, if the abort has begun it. */
  readonly deadline: number | undefined;
}

/** Watches a signal from the start of a command until its process has been reaped. */
export class AbortWatch {
  readonly #options: AbortWatchOptions;
  readonly #onAbort = (): void => this.#abort();
  readonly #aborted = Promise.withResolvers<void>();
  /** What is the caller's to do on abort: by a promise, in the context of who has started the command. */
  readonly #acting: Promise<void>;
  #timer: Timer | undefined;
  #deadline: number | undefined;
  #failure: AbortOutcome["failure"] = null;
  #cancelling: Promise<void> | undefined;
  /** The abort has sent a SIGKILL, for want of a cancel(). */
  #killed = false;
  /** The same, as waitDelay was over. */
  #killedLate = false;
  #ended = false;
  #listens = true;
  /** An abort is one, whatever else the signal dispatches. */
  #hasBegun = false;
  readonly #expired = Promise.withResolvers<void>();

  /** Starts watching. */
  constructor(options: AbortWatchOptions) {
    this.#options = options;
    this.#acting = this.#aborted.promise.then(() => this.#act());
    options.signal.addEventListener("abort", this.#onAbort);
    // Also where nobody waits for the command, but for its process.
    onReaped(options.process, () => this.#stopListening());
    // It may have come out of the start itself, where a source has been asked for its first chunk.
    if (options.signal.aborted) this.#abort();
  }

  /** Whether it has sent a SIGKILL. */
  get killed(): boolean {
    return this.#killed || this.#killedLate;
  }

  /** The process has been reaped: from now on an abort is none. `success`: it had exited with 0. */
  async end(success: boolean): Promise<AbortOutcome> {
    this.#ended = true;
    this.#stopListening();
    // A cancel() that never settles is waited for no longer than the process would have been.
    if (this.#cancelling !== undefined) {
      await Promise.race([this.#cancelling, this.#expired.promise]);
    }
    this.#timer?.cancel();
    // Nobody exits with 0 of SIGKILL: it has come too late, and Go reports an abort all the same.
    const late = success && this.#killed;
    return { failure: late ? null : this.#failure, deadline: this.#deadline };
  }

  /**
   * After end(): where an abort has not come yet and there is no waitDelay, one that comes before `copied` ends the
   * copying, as there is only whoever else holds the pipes to wait for. Answers its reason, boxed, if it did.
   */
  async outlive(copied: Promise<unknown>): Promise<AbortOutcome["failure"]> {
    const { process, signal, cancel, waitDelay, expire } = this.#options;
    if (cancel === null || waitDelay > 0 || this.#failure !== null) return null;
    let cut: AbortOutcome["failure"] = null;
    const onAbort = (): void => {
      if (!signal.aborted || cut !== null) return;
      cut = { error: signal.reason };
      expire();
      cancelRest(process, cancel);
    };
    signal.addEventListener("abort", onAbort);
    onAbort();
    await copied;
    signal.removeEventListener("abort", onAbort);
    if (cut !== null) tellAbort(process, signal.reason);
    return cut;
  }

  /** Stops watching, whatever has come of it, and waits for no cancel() any more. */
  dispose(): void {
    this.#ended = true;
    this.#stopListening();
    this.#timer?.cancel();
    this.#expired.resolve();
  }

  #stopListening(): void {
    if (!this.#listens) return;
    this.#listens = false;
    this.#options.signal.removeEventListener("abort", this.#onAbort);
  }

  /** At once: a moment later it may have ended by itself. */
  #abort(): void {
    const { process, signal, cancel, waitDelay } = this.#options;
    // Go reports a child that has exited but is not reaped yet as cancelled.
    if (this.#ended || !signal.aborted || this.#hasBegun || hasEnded(process)) return;
    this.#hasBegun = true;
    if (waitDelay > 0) this.#deadline = now() + waitDelay;
    if (cancel !== null) {
      this.#failure = { error: signal.reason };
      this.#cancelling = this.#acting;
      if (cancel === undefined) this.#cancel(() => this.#kill(process));
      else if (typeof cancel !== "function") this.#cancel(() => process.kill(cancel));
    }
    this.#aborted.resolve();
  }

  async #act(): Promise<void> {
    const { process, signal, cancel } = this.#options;
    // In the context of who has started it. What had already ended was not aborted.
    if (cancel === null || this.#failure !== null) tellAbort(process, signal.reason);
    if (this.#deadline !== undefined && !this.#ended) {
      this.#timer = new Timer(this.#deadline, () => this.#expire());
      holdWith(process, this.#timer);
    }
    if (typeof cancel === "function") await this.#cancel(() => cancel(process));
  }

  async #cancel(action: () => unknown): Promise<void> {
    try {
      await action();
    } catch (error) {
      const failed = (): Error => new CancelError(error, "canceling", this.#options.label());
      this.#failure = error instanceof ProcessDoneError ? null : { error: failed() };
    }
  }

  #kill(process: Process): void {
    process.kill();
    this.#killed = true;
  }

  #expire(): void {
    const { process, expire, label } = this.#options;
    try {
      // One that has ended in time may not have been noticed by a busy event loop.
      if (killTree(process)) this.#killedLate = true;
    } catch (error) {
      if (!(error instanceof ProcessDoneError)) {
        this.#failure = { error: new CancelError(error, "killing", label()) };
      }
    }
    expire();
    this.#expired.resolve();
  }
}
