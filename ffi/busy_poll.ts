/**
 * Readiness by asking, in turns of the runtime's own event loop, instead of by being told.
 *
 * What the reactor tells takes two threads that sleep and are woken: of a child that ends after 100 µs
 * that is half the time until wait() knows it (measured). So for most of a millisecond after a start what is
 * waited for is asked for first, in each turn; what takes longer is the reactor's, and so is everything when
 * no start was made of late, as a thread that asks uses up its processor. Other events get their turns
 * meanwhile. Where it mostly was in vain it is tried but rarely, and not at all while somebody else wants
 * this processor.
 */

import type { Library } from "./library.ts";
import { now } from "./host.ts";
import { currentRuntime } from "./runtime.ts";

/** What of the library is called here. */
export type BusyPollLibrary = Pick<Library, "osexec_busy_poll" | "osexec_idle_processors">;

/** What is ready, with poll(2)'s revents. */
export interface ReadyDescriptor {
  readonly fd: number;
  readonly revents: number;
}

/**
 * What a turn has come to: those that are ready, and those that took too long. None of them is asked for
 * any longer. In one call, so that nobody closes one of them, and uses its number again, before the rest
 * has been told.
 */
export type BusyPollListener = (ready: readonly ReadyDescriptor[], late: readonly number[]) => void;

/** So many descriptors at once; with more of them there is enough to do without. */
export const capacity = 64;

/** Turns of the loop in which nothing was ready, after a start; each takes 10 to 15 µs, where several are waited for 2 to 5. */
export const patience = 64;

/** Milliseconds. Giving way to a child of ours takes less, and to anybody else a slice: 3 ms, mostly. */
const contention = 1;

/**
 * So seldom it is looked whether there is a processor left for a child: that takes 5 µs. Where there is none it is looked
 * again each time, as most of what else runs is a compiler's thread for a moment, and being told takes 100 µs more.
 */
const looks = 16;

/** What most turns come to. */
const none: readonly never[] = [];

const creditMax = 32;
const lossOfMiss = 8;

/** So many refusals until the next attempt, at first; twice as many each time it fails. */
export const pauseMin = 32;
const pauseMax = 4096;

/** The descriptors that are asked for at present. */
export class BusyPoll {
  readonly #library: BusyPollLibrary;
  readonly #listener: BusyPollListener;
  /** In milliseconds. */
  readonly #now: () => number;
  readonly #runtime = currentRuntime();
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

  constructor(
    native: BusyPollLibrary,
    listener: BusyPollListener,
    clock: () => number = now,
  ) {
    this.#library = native;
    this.#listener = listener;
    this.#now = clock;
  }

  /** A process has been started: some of what is waited for next may come soon. */
  expect(): void {
    this.#end = this.#emptyTurns + patience;
  }

  /** Begins to ask, if that promises anything. False: it does not. */
  tries(fd: number, events: number): boolean {
    if (this.#emptyTurns >= this.#end) return false;
    if (!this.#hasRoom || this.#attempts % looks === 0) {
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

  /** Looks once, now: poll(2)'s revents. */
  askOnce(fd: number, events: number): number {
    const words = new Int32Array([fd, events]);
    const answer = this.#library.osexec_busy_poll(new Uint8Array(words.buffer), 1);
    return answer > 0 ? (words[1] ?? 0) >>> 16 : 0;
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

  /** Answers the descriptor; the last one takes its place. */
  #remove(index: number): number {
    const fd = this.#words[2 * index] ?? 0;
    const last = this.#count -= 1;
    this.#words.copyWithin(2 * index, 2 * last, 2 * last + 2);
    this.#deadlines[index] = this.#deadlines[last] ?? 0;
    return fd;
  }

  #schedule(): void {
    if (this.#scheduled || this.#count === 0) return;
    this.#scheduled = true;
    this.#runtime.setImmediate(this.#turn);
  }

  #ask(): void {
    this.#scheduled = false;
    if (this.#count === 0) return;
    const before = this.#now();
    const answer = this.#library.osexec_busy_poll(this.#bytes, this.#count);
    const isAlone = this.#now() - before < contention;
    if (answer <= 0) this.#emptyTurns += 1;
    const ready = answer > 0 ? this.#takeReady() : none;
    const late = this.#takeLate(isAlone ? this.#emptyTurns : Infinity);
    if (!isAlone) this.#lose(this.#credit);
    else if (late.length > 0) this.#lose(lossOfMiss);
    else if (ready.length > 0) this.#win();
    this.#schedule();
    if (ready.length > 0 || late.length > 0) this.#listener(ready, late);
  }

  #takeReady(): ReadyDescriptor[] {
    const ready: ReadyDescriptor[] = [];
    for (let index = 0; index < this.#count;) {
      const revents = (this.#words[2 * index + 1] ?? 0) >>> 16;
      if (revents === 0) index += 1;
      else ready.push({ fd: this.#remove(index), revents });
    }
    return ready;
  }

  /** What has been asked for too long. */
  #takeLate(now: number): readonly number[] {
    let late: number[] | undefined;
    for (let index = 0; index < this.#count;) {
      if ((this.#deadlines[index] ?? 0) > now) index += 1;
      else (late ??= []).push(this.#remove(index));
    }
    return late ?? none;
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
