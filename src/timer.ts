/** Points in time, however far off. */

/** The longest time in milliseconds that setTimeout takes, and poll(2): longer is none at all to it. */
export const timerMax = 0x7fffffff;

/** Calls back once at a point in time by performance.now(), and not before; at Infinity never. */
export class Timer {
  readonly #deadline: number;
  readonly #action: () => void;
  #handle: ReturnType<typeof setTimeout> | undefined;

  /** Starts waiting, and keeps the event loop alive until then. */
  constructor(deadline: number, action: () => void) {
    this.#deadline = deadline;
    this.#action = action;
    if (deadline !== Infinity) this.#wait();
  }

  /** The action will not be called. */
  cancel(): void {
    clearTimeout(this.#handle);
  }

  #wait(): void {
    const left = Math.max(0, Math.ceil(this.#deadline - performance.now()));
    this.#handle = setTimeout(() => {
      if (performance.now() < this.#deadline) this.#wait();
      else this.#action();
    }, Math.min(left, timerMax));
  }
}
