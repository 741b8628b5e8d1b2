/** A command's timeout: an abort that comes by itself. */

import { anySignal, HostAbortController, now } from "../../ffi/host.ts";
import { TimeoutError } from "../errors.ts";
import { onReaped, type Process } from "../process/process.ts";
import { Timer } from "../timer.ts";

/** What ends in time. */
export interface TimeoutOptions {
  readonly process: Process;
  /** Milliseconds from now. */
  readonly timeout: number;
  /** What errors call the command. */
  readonly label: () => string;
  /** Whether there is copying, which may go on when the process has ended. */
  readonly copies: boolean;
}

/** Aborts its signal, with a TimeoutError for a reason, unless it is cancelled before. */
export class Timeout {
  readonly #controller = new HostAbortController();
  readonly #timer: Timer;

  /** Begins. Who waits for the process, or copies, keeps the event loop alive: this does not. */
  constructor({ process, timeout, label, copies }: TimeoutOptions) {
    this.#timer = new Timer(now() + timeout, () => {
      this.#controller.abort(new TimeoutError(timeout, label()));
    });
    this.#timer.unref();
    if (!copies) onReaped(process, () => this.#timer.cancel());
  }

  /** What aborts. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** It will not abort. */
  cancel(): void {
    this.#timer.cancel();
  }
}

/** The two in one, or the one there is. */
export function eitherSignal(
  one: AbortSignal | undefined,
  other: AbortSignal | undefined,
): AbortSignal | undefined {
  return one === undefined || other === undefined ? one ?? other : anySignal([one, other]);
}
