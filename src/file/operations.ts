/** What is under way in one direction of a file: one at a time, in the order in which it was asked for. */

import type { Direction, Watch } from "../../ffi/reactor.ts";
import { isTurnSpent, nextTurn } from "../../ffi/turn.ts";
import { type Descriptor, whenReady } from "./descriptor.ts";
import { ClosedError } from "../errors.ts";

/** One operation that runs or waits for its turn. */
export interface Operation<Result> {
  /** Of a cancelled one it never settles. */
  readonly promise: Promise<Result>;
  /** It has not taken place, and will not. Does nothing to one that has. */
  cancel(): void;
}

interface Entry {
  /** Tries it. False: the descriptor must be ready first. Throws nothing. */
  step(): boolean;
  reject(error: unknown): void;
}

/** The queue of one direction. */
export class Operations {
  readonly #file: Descriptor;
  readonly #direction: Direction;
  readonly #entries: Entry[] = [];
  /** While the first one waits for the descriptor. */
  #waiting: { readonly watch?: Watch } | undefined;
  #yielding = false;
  #referenced = true;

  constructor(file: Descriptor, direction: Direction) {
    this.#file = file;
    this.#direction = direction;
  }

  /** Whether what waits keeps the event loop alive: it does at first. */
  hold(referenced: boolean): void {
    this.#referenced = referenced;
    const watch = this.#waiting?.watch;
    if (referenced) watch?.ref();
    else watch?.unref();
  }

  /** Whether one is under way. */
  get isBusy(): boolean {
    return this.#entries.length > 0;
  }

  /** Tries `attempt` at once, or when those before it are done, until it answers something. */
  add<Result>(attempt: () => Result | undefined): Operation<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const { add } = Operations.prototype;
    let isFirst = true;
    let isDone = false;
    const entry: Entry = {
      step() {
        try {
          const result = attempt();
          if (result === undefined) return false;
          isDone = true;
          resolve(result);
        } catch (error) {
          isDone = true;
          // Its frames below this one are ours, and V8 keeps ten in all.
          if (isFirst && error instanceof Error) Error.captureStackTrace?.(error, add);
          reject(error);
        }
        return true;
      },
      reject,
    };
    this.#entries.push(entry);
    if (this.#entries.length === 1) this.#run();
    isFirst = false;
    return { promise: isDone ? promise : traced(promise), cancel: () => this.#remove(entry) };
  }

  /** The file is being closed: nothing more comes of any of them. */
  close(): void {
    this.#stopWaiting();
    const operation = this.#direction === "in" ? "read" : "write";
    for (const { reject } of this.#entries.splice(0)) {
      reject(new ClosedError(operation, this.#file.name));
    }
  }

  #remove(entry: Entry): void {
    const index = this.#entries.indexOf(entry);
    if (index < 0) return;
    this.#entries.splice(index, 1);
    if (index > 0) return;
    this.#stopWaiting();
    this.#run();
  }

  #run(): void {
    if (this.#yielding || this.#waiting !== undefined) return;
    for (let [first] = this.#entries; first !== undefined; [first] = this.#entries) {
      if (isTurnSpent()) return this.#yield();
      if (!first.step()) return this.#wait(first);
      this.#entries.shift();
    }
  }

  #yield(): void {
    this.#yielding = true;
    nextTurn().then(() => {
      this.#yielding = false;
      this.#run();
    });
  }

  #wait(first: Entry): void {
    const wait: { watch?: Watch } = {};
    this.#waiting = wait;
    // A wait that was given up, and one that failed at once, have nothing to say.
    const end = (): boolean => {
      if (this.#waiting !== wait) return false;
      this.#waiting = undefined;
      return true;
    };
    wait.watch = whenReady(this.#file, this.#direction, () => {
      if (end()) this.#run();
    }, (error) => {
      if (!end()) return;
      this.#entries.shift();
      first.reject(error);
      this.#run();
    });
    if (!this.#referenced) wait.watch.unref();
  }

  #stopWaiting(): void {
    this.#waiting?.watch?.cancel();
    this.#waiting = undefined;
  }
}

/** What is tried again has its errors made in a callback of the event loop's; here their stack leads to who waits. */
async function traced<Result>(promise: Promise<Result>): Promise<Result> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof Error) Error.captureStackTrace?.(error);
    throw error;
  }
}
