/** Points in time, however far off. */

/** The longest time in milliseconds that setTimeout takes, and poll(2): longer is none at all to it. */
export const timerMax = 0x7fffffff;

/** Both runtimes' timers are objects, as Node's are, whatever their types say. */
function hold(handle: unknown, on: boolean): void {
  const name = on ? "ref" : "unref";
  if (typeof handle !== "object" || handle === null) return;
  const method: unknown = Reflect.get(handle, name);
  if (typeof method === "function") method.call(handle);
}

/** Calls back once at a point in time by performance.now(), and not before; at Infinity never. */
export class Timer {
  readonly #deadline: number;
  readonly #action: () => void;
  #handle: ReturnType<typeof setTimeout> | undefined;
  #referenced = true;

  /** Starts waiting, and keeps the event loop alive until then, but for unref(). */
  constructor(deadline: number, action: () => void) {
    this.#deadline = deadline;
    this.#action = action;
    if (deadline !== Infinity) this.#wait();
  }

  /** The action will not be called. */
  cancel(): void {
    clearTimeout(this.#handle);
  }

  /** Keeps the event loop alive: the default. */
  ref(): void {
    this.#referenced = true;
    hold(this.#handle, true);
  }

  /** Lets the event loop end before. */
  unref(): void {
    this.#referenced = false;
    hold(this.#handle, false);
  }

  #wait(): void {
    const left = Math.max(0, Math.ceil(this.#deadline - performance.now()));
    this.#handle = setTimeout(() => {
      if (performance.now() < this.#deadline) this.#wait();
      else this.#action();
    }, Math.min(left, timerMax));
    if (!this.#referenced) hold(this.#handle, false);
  }
}
