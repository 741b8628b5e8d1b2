/** Points in time, however far off. */

import { type HostTimer, now, startTimer, stopTimer } from "../ffi/host.ts";

/** The longest time in milliseconds that setTimeout takes, and poll(2): longer is none at all to it. */
export const timerMax = 0x7fffffff;

/** Calls back once at a point in time by the clock of host.ts, and not before; at Infinity never. */
export class Timer {
  readonly #deadline: number;
  readonly #action: () => void;
  #handle: HostTimer | undefined;
  #referenced = true;

  /** Starts waiting, and keeps the event loop alive until then, but for unref(). */
  constructor(deadline: number, action: () => void) {
    this.#deadline = deadline;
    this.#action = action;
    if (deadline !== Infinity) this.#wait();
  }

  /** The action will not be called. */
  cancel(): void {
    stopTimer(this.#handle);
  }

  /** Keeps the event loop alive: the default. */
  ref(): void {
    this.#referenced = true;
    this.#handle?.ref();
  }

  /** Lets the event loop end before. */
  unref(): void {
    this.#referenced = false;
    this.#handle?.unref();
  }

  #wait(): void {
    const left = Math.max(0, Math.ceil(this.#deadline - now()));
    this.#handle = startTimer(() => {
      if (now() < this.#deadline) this.#wait();
      else this.#action();
    }, Math.min(left, timerMax));
    if (!this.#referenced) this.#handle.unref();
  }
}
