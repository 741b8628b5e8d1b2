/**
 * Readiness by asking, in turns of the runtime's own event loop, instead of by being told.
 *
 * What the reactor tells takes two threads that sleep and are woken: of a child that ends after 100 µs
 * that is half the time until wait() knows it (measured). So for half a millisecond after a start what is
 * waited for is asked for first, once a turn; what takes longer is the reactor's, and so is everything when
 * no start was made of late, as a thread that asks uses up its processor. Other events get their turns
 * meanwhile. Where it mostly was in vain it is tried but rarely, and not at all while somebody else wants
 * this processor.
 */

import type { Library } from "./library.ts";
import { currentRuntime } from "./runtime.ts";

/** What of the library is called here. */
export type BusyPollLibrary = Pick<Library, "osexec_busy_poll" | "osexec_idle_processors">;

/** Whose descriptors they are. */
export interface BusyPollListener {
  /** It is ready, with poll(2)'s revents, and is asked for no longer. */
  ready(fd: number, revents: number): void;
  /** It took too long, and is asked for no longer. */
  giveUp(fd: number): void;
}

/** So many descriptors at once; with more of them there is enough to do without. */
export const capacity = 64;

/** Turns of the loop in which nothing was ready, after a start; each takes 1 to 2 µs. */
export const patience = 256;

/** Milliseconds. Giving way to a child of ours takes less, and to anybody else a slice: 3 ms, mostly. */
const contention = 1;

/** So seldom it is looked whether there is a processor left for a child: that takes 5 µs. */
const looks = 16;

const creditMax = 32;
const lossOfMiss = 8;

/** So many refusals until the next attempt, at first; twice as many each time it fails. */
export const pauseMin = 32;
const pauseMax = 4096;

/** The descriptors that are asked for at present. */
export class BusyPoll {
  readonly #library: BusyPollLibrary;
  readonly #listener: BusyPollListener;
  readonly #setImmediate: (turn: () => void) => void;
  readonly #turn = (): void => this.#ask();
  /** Two for each: the descriptor, and what is wanted and what there is, 16 bits each. */
  readonly #words = new Int32Array(capacity * 2);
  readonly #bytes = new Uint8Array(this.#words.buffer);
  /** By `#emptyTurns`. */
  readonly #deadlines = new Float64Array(capacity);
  #count = 0;
  #emptyTurns = 0;
  /** By `#emptyTurns`: when the last start is too long ago. */
  #end = 0;
  #scheduled = false;
  /** Whether asking has been worth it of late. */
  #credit = creditMax;
  #pause = pauseMin;
  #attempts = 0;
  #hasRoom = true;
  /** Until the next attempt. */
  #refusals = 0;

  constructor(native: BusyPollLibrary, listener: BusyPollListener) {
    this.#library = native;
    this.#listener = listener;
    this.#setImmediate = currentRuntime().setImmediate();
  }

  /** A process has been started: some of what is waited for next may come soon. */
  expect(): void {
    this.#end = this.#emptyTurns + patience;
  }

  /** Begins to ask, if that promises anything. False: it does not. */
  tries(fd: number, events: number): boolean {
    if (this.#emptyTurns >= this.#end) return false;
    if (this.#attempts % looks === 0) {
      // What is asked for, and this one, are mostly children of ours, and among those that want one.
      this.#hasRoom = this.#library.osexec_idle_processors() + this.#count >= 0;
    }
    this.#attempts += 1;
    if (!this.#hasRoom) return false;
    if (this.#refusals > 0) {
      this.#refusals -= 1;
      return false;
    }
    const index = this.#count;
    if (index === capacity) return false;
    this.#count += 1;
    this.#words[2 * index] = fd;
    this.#words[2 * index + 1] = events;
    this.#deadlines[index] = this.#end;
    this.#schedule();
    return true;
  }

  /** Changes what is wanted of a descriptor that is asked for. False: it is not. */
  change(fd: number, events: number): boolean {
    const index = this.#find(fd);
    if (index < 0) return false;
    this.#words[2 * index + 1] = events;
    return true;
  }

  /** False: it was not asked for. */
  delete(fd: number): boolean {
    const index = this.#find(fd);
    if (index < 0) return false;
    this.#remove(index);
    return true;
  }

  #find(fd: number): number {
    for (let index = 0; index < this.#count; index++) {
      if (this.#words[2 * index] === fd) return index;
    }
    return -1;
  }

  #remove(index: number): void {
    const last = this.#count -= 1;
    this.#words.copyWithin(2 * index, 2 * last, 2 * last + 2);
    this.#deadlines[index] = this.#deadlines[last] ?? 0;
  }

  #schedule(): void {
    if (this.#scheduled || this.#count === 0) return;
    this.#scheduled = true;
    this.#setImmediate(this.#turn);
  }

  #ask(): void {
    this.#scheduled = false;
    if (this.#count === 0) return;
    const before = performance.now();
    const answer = this.#library.osexec_busy_poll(this.#bytes, this.#count);
    const isAlone = performance.now() - before < contention;
    if (answer > 0) this.#takeReady(isAlone);
    if (!isAlone) this.#lose(this.#credit);
    else if (answer <= 0) this.#emptyTurns += 1;
    this.#expire(isAlone ? this.#emptyTurns : Infinity);
    this.#schedule();
  }

  #takeReady(isAlone: boolean): void {
    const due: number[] = [];
    for (let index = 0; index < this.#count;) {
      const revents = (this.#words[2 * index + 1] ?? 0) >>> 16;
      if (revents === 0) {
        index += 1;
        continue;
      }
      due.push(this.#words[2 * index] ?? 0, revents);
      this.#remove(index);
    }
    if (isAlone) this.#win();
    // After all are taken out: a callback may begin to ask for anything anew.
    for (let index = 0; index < due.length; index += 2) {
      this.#listener.ready(due[index] ?? 0, due[index + 1] ?? 0);
    }
  }

  /** Gives up what has been asked for too long. */
  #expire(now: number): void {
    const before = this.#count;
    for (let index = 0; index < this.#count;) {
      if ((this.#deadlines[index] ?? 0) > now) {
        index += 1;
        continue;
      }
      const fd = this.#words[2 * index] ?? 0;
      this.#remove(index);
      this.#listener.giveUp(fd);
    }
    if (this.#count < before) this.#lose(lossOfMiss);
  }

  #win(): void {
    if (this.#credit < creditMax) this.#credit += 1;
    else this.#pause = pauseMin;
  }

  #lose(loss: number): void {
    this.#credit -= loss;
    if (this.#credit > 0) return;
    this.#credit = lossOfMiss;
    this.#refusals = this.#pause;
    this.#pause = Math.min(pauseMax, this.#pause * 2);
  }
}
