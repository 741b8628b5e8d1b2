/** Running a child while this thread waits: copying in and out, and its exit, in one loop over poll(2). */

import { Poll, Ready } from "../ffi/abi.ts";
import { library } from "../ffi/library.ts";
import { exitDescriptor } from "../ffi/reactor.ts";
import { toBytes } from "./copy.ts";
import { Errno, wouldBlock } from "./errno.ts";
import { readReady } from "./file.ts";
import { check, syscallError } from "./native.ts";
import { currentOS } from "./os.ts";
import { hasEnded, type Process } from "./process.ts";
import type { ProcessState } from "./process_state.ts";
import {
  type Drain,
  type Feed,
  isAsyncIterable,
  isReadableStream,
  isWritableStream,
  type Stdio,
  type StdioOptions,
} from "./stdio.ts";
import { timerMax } from "./timer.ts";

/** What a synchronous run came to. */
export interface SyncResult {
  readonly state: ProcessState;
  /** What a source or a sink threw first. */
  readonly failure: { readonly error: unknown } | null;
  /** Some pipe was still held open when waitDelay had passed. */
  readonly expired: boolean;
}

/** Refuses what needs the event loop. Throws TypeError. */
export function checkSyncStdio({ stdin, stdout, stderr }: StdioOptions): void {
  if (isReadableStream(stdin) || (isAsyncIterable(stdin) && !("fd" in stdin))) {
    throw new TypeError("a synchronous run cannot read stdin from a stream or an async iterable");
  }
  if (isWritableStream(stdout) || isWritableStream(stderr)) {
    throw new TypeError("a synchronous run cannot write to a WritableStream");
  }
}

/** How many chunks of each output are taken when waitDelay is over: at least what a pipe holds at most. */
const lateMax = 16;

/** Runs a started process to its end. `waitDelay`: as Command's. */
export function runToEnd(process: Process, { feed, drains }: Stdio, waitDelay: number): SyncResult {
  if (feed === null && drains.length === 0) {
    return { state: process.waitSync(), failure: null, expired: false };
  }
  const failures: unknown[] = [];
  const input = feed === null ? null : new SyncFeed(feed);
  const outputs = new Set(drains.map((drain) => new SyncDrain(drain)));
  const attempt = (action: () => boolean): boolean => {
    try {
      return action();
    } catch (error) {
      failures.push(error);
      return false;
    }
  };
  let deadline = Infinity;
  // Without a feed and a delay the outputs' ends are all there is to wait for before the exit.
  const needsExit = input !== null || waitDelay > 0;
  const { pidfd } = process;
  const exitFd = pidfd ?? (needsExit ? exitDescriptor(process.pid) : -1);
  let running = exitFd >= 0;
  let expired = false;
  let late = 0;
  try {
    while (running || outputs.size > 0) {
      const [only] = outputs;
      if (!running && deadline === Infinity && outputs.size === 1 && only !== undefined) {
        // There is nothing else to wait for: a read may block.
        if (attempt(() => only.pump())) continue;
        only.close();
        outputs.clear();
        break;
      }
      const poll = new PollSet();
      const exit = running ? poll.add(exitFd, Ready.in) : -1;
      const feeding = running && input?.open ? poll.add(input.fd, Ready.out) : -1;
      const reading = [...outputs].map((output) => ({ output, at: poll.add(output.fd, Ready.in) }));
      const ready = poll.wait(deadline);
      // What has come in time is still taken, but not what somebody writes for ever.
      if (performance.now() >= deadline && (ready === 0 || ++late > lateMax)) {
        expired = true;
        break;
      }
      if (input !== null && poll.ready(feeding) && !attempt(() => input.pump())) input.close();
      for (const { output, at } of reading) {
        if (!poll.ready(at) || attempt(() => output.pump())) continue;
        output.close();
        outputs.delete(output);
      }
      if (running && poll.ready(exit) && hasEnded(process)) {
        running = false;
        input?.close();
        if (waitDelay > 0) deadline = performance.now() + waitDelay;
      }
    }
  } finally {
    // Not by what process.pidfd says now: that goes when a start has turned out to have failed.
    if (pidfd === null && exitFd >= 0) library().osexec_close(exitFd);
    input?.close();
    for (const output of outputs) output.close();
  }
  const failure = failures.length === 0 ? null : { error: failures[0] };
  return { state: process.waitSync(), failure, expired };
}

class SyncFeed {
  readonly #feed: Feed;
  readonly #chunks: Iterator<Uint8Array | string>;
  #ended = false;
  #rest = new Uint8Array(0);

  constructor(feed: Feed) {
    this.#feed = feed;
    const { source } = feed;
    const whole = typeof source === "string" || source instanceof Uint8Array;
    if (!whole && !(Symbol.iterator in source)) throw new TypeError("stdin is not iterable");
    this.#chunks = (whole ? [source] : source)[Symbol.iterator]();
    check(library().osexec_nonblock(feed.end.fd, 1), "fcntl");
  }

  get fd(): number {
    return this.#feed.end.fd;
  }

  get open(): boolean {
    return !this.#feed.end.closed;
  }

  /** Writes once. False: there is no more to write, or nobody reads it. */
  pump(): boolean {
    while (this.#rest.length === 0) {
      const chunk = this.#next();
      if (chunk === null) return false;
      this.#rest = new Uint8Array(chunk);
    }
    const answer = library().osexec_write(this.fd, this.#rest, this.#rest.length);
    if (answer === -Errno.EPIPE) return false;
    if (answer >= 0) this.#rest = this.#rest.subarray(answer);
    else if (-answer !== wouldBlock(currentOS())) throw syscallError(-answer, "write", "|1");
    return true;
  }

  /** Closes the pipe, and tells a source that has not ended to stop. */
  close(): void {
    this.#feed.end.close();
    if (this.#ended) return;
    this.#ended = true;
    try {
      this.#chunks.return?.();
    } catch {
      // Its owner's affair: nobody reads from it any more.
    }
  }

  #next(): Uint8Array | null {
    let result: IteratorResult<Uint8Array | string>;
    try {
      result = this.#chunks.next();
    } catch (error) {
      this.#ended = true;
      throw error;
    }
    if (result.done) this.#ended = true;
    // A chunk of the wrong type leaves the source open, to be told to stop.
    return result.done ? null : toBytes(result.value);
  }
}

class SyncDrain {
  readonly #drain: Drain;

  constructor(drain: Drain) {
    this.#drain = drain;
  }

  get fd(): number {
    return this.#drain.end.fd;
  }

  /** Reads once, which cannot block after poll's word. False: end of file. */
  pump(): boolean {
    const { end, sink } = this.#drain;
    const chunk = readReady(end);
    if (chunk === null) return false;
    if (isWritableStream(sink)) throw new TypeError("a synchronous run needs a Writer");
    if (chunk !== undefined) sink.write(chunk);
    return true;
  }

  close(): void {
    this.#drain.end.close();
  }
}

/** The descriptors of one poll(2). */
class PollSet {
  readonly #bytes = new Uint8Array(4 * Poll.size);
  readonly #view = new DataView(this.#bytes.buffer);
  #count = 0;

  /** Answers the index to ask about later. */
  add(fd: number, ready: number): number {
    const offset = this.#count * Poll.size;
    this.#view.setInt32(offset + Poll.fd, fd, true);
    this.#view.setInt16(offset + Poll.events, ready, true);
    this.#view.setInt16(offset + Poll.revents, 0, true);
    return this.#count++;
  }

  /** How many are ready: none after the deadline by performance.now(), or for another reason before. */
  wait(deadline: number): number {
    const left = Math.max(0, Math.ceil(deadline - performance.now()));
    const milliseconds = deadline === Infinity ? -1 : Math.min(left, timerMax);
    const answer = library().osexec_poll(this.#bytes, this.#count, milliseconds);
    // A signal has come first.
    return answer === -Errno.EINTR ? 0 : check(answer, "poll");
  }

  ready(index: number): boolean {
    return index >= 0 && this.#view.getInt16(index * Poll.size + Poll.revents, true) !== 0;
  }
}
