/** The reactor's socket until the runtime reads it, where that takes long to begin. */

import { type HostTimer, now, startTimer, stopTimer } from "./host.ts";
import type { EventStream } from "./runtime.ts";

/** What the socket is to them who wait by it. */
export interface Unread {
  /** Reads what is there: how many bytes, 0: it has been closed, or negative: nothing is there. */
  read(bytes: Uint8Array): number;
  receive(chunk: Uint8Array): void;
  /** Has the runtime read it from now on. */
  connect(): EventStream;
}

/** Milliseconds of one wait, and how often in all it is looked, before the runtime is to read. */
const waitMax = 1000;
const looksMax = 64;

/**
 * node:net takes 25 ms to load on Deno, and holds the event loop meanwhile: more than most children run. So at first it is
 * looked whether there is anything to read, each time after an eighth of what has been waited for already, for as long as
 * something that is waited for keeps the event loop alive. Who waits for long, or often, has node:net in the end.
 */
export class FirstWaits implements EventStream {
  readonly #socket: Unread;
  #stream: EventStream | undefined;
  #isReferenced = false;
  #isClosed = false;
  #timer: HostTimer | undefined;
  #since = 0;
  #looks = 0;

  constructor(socket: Unread) {
    this.#socket = socket;
  }

  ref(): void {
    this.#isReferenced = true;
    this.#stream?.ref();
    this.#since = now();
    this.#wait();
  }

  unref(): void {
    this.#isReferenced = false;
    this.#stream?.unref();
    stopTimer(this.#timer);
    this.#timer = undefined;
  }

  listen(): void {
    if (this.#stream !== undefined || this.#isClosed) return;
    stopTimer(this.#timer);
    this.#timer = undefined;
    this.#stream = this.#socket.connect();
    if (this.#isReferenced) this.#stream.ref();
    else this.#stream.unref();
  }

  #wait(): void {
    if (this.#stream !== undefined || this.#timer !== undefined) return;
    if (this.#isClosed || !this.#isReferenced) return;
    const waited = now() - this.#since;
    if (waited > waitMax || this.#looks === looksMax) return this.listen();
    this.#looks += 1;
    this.#timer = startTimer(() => this.#look(), Math.max(1, waited / 8));
  }

  #look(): void {
    this.#timer = undefined;
    const bytes = new Uint8Array(4096);
    const length = this.#socket.read(bytes);
    if (length === 0) this.#isClosed = true;
    if (length > 0) {
      this.#since = now();
      this.#socket.receive(bytes.subarray(0, length));
    }
    this.#wait();
  }
}
