/** Go's context, for one running command: what an AbortSignal does to it, and when. */

import { CancelError, ProcessDoneError } from "./errors.ts";
import { hasEnded, type Process } from "./process.ts";

/** What to do on abort; null: nothing but waitDelay. */
export type Cancel = ((child: Process) => unknown) | null;

/** What the watcher acts on. */
export interface AbortWatchOptions {
  readonly process: Process;
  readonly signal: AbortSignal;
  readonly cancel: Cancel;
  /** Milliseconds from the abort to SIGKILL; 0: never. */
  readonly waitDelay: number;
  /** Ends all copying: called after the SIGKILL, so that the child dies of that and not of SIGPIPE. */
  readonly stopCopies: () => void;
}

/** Watches a signal from the start of a command until its process has been reaped. */
export class AbortWatch {
  readonly #options: AbortWatchOptions;
  readonly #onAbort = (): void => this.#abort();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the time that waitDelay gives is over, by performance.now(). */
  #deadline: number | undefined;
  #failure: { readonly error: unknown } | null = null;
  #cancelling: Promise<void> | undefined;
  #killed = Promise.withResolvers<void>();

  /** Starts watching. */
  constructor(options: AbortWatchOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", this.#onAbort);
  }

  /**
   * The process has been reaped: from now on an abort is none. Resolves to the error that the abort
   * stands for, if there was one, and to what is left of waitDelay.
   */
  async end(): Promise<
    { failure: { readonly error: unknown } | null; deadline: number | undefined }
  > {
    this.#options.signal.removeEventListener("abort", this.#onAbort);
    // A cancel() that never settles is waited for no longer than the process would have been.
    if (this.#cancelling !== undefined) {
      await Promise.race([this.#cancelling, this.#killed.promise]);
    }
    clearTimeout(this.#timer);
    return { failure: this.#failure, deadline: this.#deadline };
  }

  /** Stops watching, whatever has come of it. */
  dispose(): void {
    this.#options.signal.removeEventListener("abort", this.#onAbort);
    clearTimeout(this.#timer);
  }

  #abort(): void {
    const { process, signal, cancel, waitDelay } = this.#options;
    // Go reports a child that has exited but is not reaped yet as cancelled (go.md rule 65).
    if (hasEnded(process)) return;
    if (waitDelay > 0) {
      this.#deadline = performance.now() + waitDelay;
      this.#timer = setTimeout(() => this.#expire(), waitDelay);
    }
    if (cancel === null) return;
    this.#failure = { error: signal.reason };
    this.#cancelling = this.#cancel(cancel, process);
  }

  async #cancel(cancel: (process: Process) => unknown, process: Process): Promise<void> {
    try {
      await cancel(process);
    } catch (error) {
      this.#failure = error instanceof ProcessDoneError ? null : { error: new CancelError(error) };
    }
  }

  #expire(): void {
    const { process, stopCopies } = this.#options;
    try {
      process.kill();
    } catch (error) {
      if (!(error instanceof ProcessDoneError)) {
        this.#failure = { error: new Error(`exec: killing Cmd: ${error}`, { cause: error }) };
      }
    }
    stopCopies();
    this.#killed.resolve();
  }
}
