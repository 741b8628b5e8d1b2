/** Running a child while this thread waits: copying in and out, and its exit, in one loop over poll(2). */

import { Poll, Ready } from "../../ffi/abi.ts";
import { restOf } from "../../ffi/bytes.ts";
import { now } from "../../ffi/host.ts";
import { library } from "../../ffi/library.ts";
import { exitDescriptor } from "../../ffi/reactor.ts";
import type { Cancel } from "./abort.ts";
import { block } from "../file/descriptor.ts";
import { Errno } from "../errno.ts";
import { CancelError, ProcessDoneError, SyscallError, TimeoutError } from "../errors.ts";
import { closeQuietly, endReading, type OSFile, readAtOnce, writeAtOnce } from "../file/file.ts";
import { check } from "../native.ts";
import { tellAbort } from "../watch/observe.ts";
import { hasEnded, type Process } from "../process/process.ts";
import type { ProcessState } from "../process/process_state.ts";
import type { OpenSink } from "./sinks.ts";
import type { Source } from "./sources.ts";
import { type Drain, type Feed, Puller, type Stdio } from "./stdio.ts";
import { timerMax } from "../timer.ts";
import { cancelRest, closeTree, endTreeSync, killTree } from "../tree/tree.ts";

/** What a synchronous run came to. */
export interface SyncResult {
  readonly state: ProcessState;
  /** What the timeout's end stands for; null: it has ended in time. */
  readonly abort: { readonly error: unknown } | null;
  /** What a source or a sink threw first. */
  readonly failure: { readonly error: unknown } | null;
  /** Some pipe was still held open when waitDelay had passed. */
  readonly expired: boolean;
}

/** How many chunks of each output are taken when waitDelay is over: at least what a pipe holds at most. */
const lateMax = 16;

/** Command's: what bounds a run. */
export interface SyncBounds {
  readonly timeout?: number;
  readonly cancel?: Cancel;
  readonly waitDelay: number;
}

/** Runs a started process to its end, where there is more to wait for than that. `label`: what errors call it, asked for when there is one. */
export function runToEnd(
  process: Process,
  { feed, drains }: Stdio,
  { timeout = Infinity, cancel, waitDelay }: SyncBounds,
  label: () => string,
): SyncResult {
  /** When the timeout is over, if it is not yet. */
  let limit = now() + timeout;
  let abort: SyncResult["abort"] = null;
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
  const needsExit = input !== null || waitDelay > 0 || timeout !== Infinity;
  const { pidfd } = process;
  const exitFd = pidfd ?? (needsExit ? exitDescriptor(process.pid) : -1);
  let running = exitFd >= 0;
  let expired = false;
  let late = 0;
  try {
    while (running || outputs.size > 0) {
      const [only] = outputs;
      const isBound = deadline !== Infinity || limit !== Infinity;
      if (!running && !isBound && outputs.size === 1 && only !== undefined) {
        // There is nothing else to wait for: a read may block.
        if (attempt(() => only.pump(true))) continue;
        only.close();
        outputs.clear();
        break;
      }
      const poll = new PollSet();
      const exit = running ? poll.add(exitFd, Ready.in) : -1;
      const feeding = running && input?.open ? poll.add(input.fd, Ready.out) : -1;
      const reading = [...outputs].map((output) => ({ output, at: poll.add(output.fd, Ready.in) }));
      const ready = poll.wait(Math.min(deadline, limit));
      if (now() >= limit) {
        limit = Infinity;
        if (running && !hasEnded(process)) {
          abort = cancelSync(process, cancel, timeout, label);
          if (waitDelay > 0) deadline = now() + waitDelay;
        } else if (outputs.size > 0 && waitDelay === 0 && cancel !== null) {
          // There is only whoever else holds the pipes to wait for.
          abort = { error: new TimeoutError(timeout, label()) };
          tellAbort(process, abort.error);
          cancelRest(process, cancel);
          break;
        }
      }
      // What has come in time is still taken, but not what somebody writes for ever.
      if (now() >= deadline && (ready === 0 || ++late > lateMax)) {
        expired = true;
        killTree(process);
        break;
      }
      if (input !== null && poll.ready(feeding) && !attempt(() => input.pump())) input.close();
      for (const { output, at } of reading) {
        if (!poll.ready(at) || attempt(() => output.pump(false))) continue;
        output.close();
        outputs.delete(output);
      }
      if (running && poll.ready(exit) && hasEnded(process)) {
        running = false;
        input?.close();
        if (waitDelay > 0 && deadline === Infinity) deadline = now() + waitDelay;
      }
    }
  } finally {
    // Not by what process.pidfd says now: that goes when a start has turned out to have failed.
    if (pidfd === null && exitFd >= 0) library().osexec_close(exitFd);
    input?.close();
    for (const output of outputs) output.close();
  }
  if (abort !== null && deadline !== Infinity) endTreeSync(process, deadline);
  const failure = failures.length === 0 ? null : { error: failures[0] };
  const state = process.waitSync();
  closeTree(process);
  return { state, abort, failure, expired };
}

/** What an abort does, by this thread alone. Answers the error that it stands for, or null: it had ended. */
function cancelSync(
  process: Process,
  cancel: Cancel | undefined,
  timeout: number,
  label: () => string,
): SyncResult["abort"] {
  const error = new TimeoutError(timeout, label());
  tellAbort(process, error);
  try {
    if (typeof cancel === "function") {
      if (cancel(process) instanceof Promise) {
        throw new TypeError("a synchronous run waits for no promise");
      }
    } else if (cancel !== null) process.kill(cancel);
  } catch (cause) {
    if (cause instanceof ProcessDoneError) return null;
    return { error: new CancelError(cause, "canceling", label()) };
  }
  return cancel === null ? null : { error };
}

class SyncFeed {
  readonly #end: OSFile;
  readonly #source: Source;
  #chunk: Uint8Array = new Uint8Array(0);
  /** Its length when it came, and how much of it is written. */
  #length = 0;
  #offset = 0;

  constructor({ end, source }: Feed) {
    this.#end = end;
    this.#source = source;
  }

  get fd(): number {
    return this.#end.fd;
  }

  get open(): boolean {
    return !this.#end.closed;
  }

  /** Writes once. False: there is no more to write, or nobody reads it. */
  pump(): boolean {
    while (this.#offset === this.#length) {
      const chunk = this.#source.next();
      if (chunk === null) return false;
      if (chunk instanceof Promise) throw new TypeError("a synchronous run waits for no promise");
      this.#chunk = chunk;
      this.#length = chunk.length;
      this.#offset = 0;
    }
    try {
      this.#offset += writeAtOnce(this.#end, restOf(this.#chunk, this.#offset, this.#length)) ?? 0;
    } catch (error) {
      if (error instanceof SyscallError && error.errno === Errno.EPIPE) return false;
      throw error;
    }
    return true;
  }

  /** Closes the pipe, and tells a source that has not ended to stop. */
  close(): void {
    closeQuietly(this.#end);
    this.#source.cancel();
  }
}

class SyncDrain {
  readonly #end: OSFile;
  readonly #sink: OpenSink;

  constructor({ end, sink }: Drain) {
    if (sink instanceof Puller) throw new TypeError("lines() needs an event loop");
    this.#end = end;
    this.#sink = sink;
  }

  get fd(): number {
    return this.#end.fd;
  }

  /** Reads once. `mayWait`: there is nothing else to wait for. False: end of file. */
  pump(mayWait: boolean): boolean {
    const chunk = readAtOnce(this.#end, mayWait);
    if (chunk === null) return false;
    if (chunk !== undefined) this.#sink.write(chunk);
    // Somebody has made it O_NONBLOCK.
    else if (mayWait) block(this.#end, "in");
    return true;
  }

  close(): void {
    endReading(this.#end);
    this.#sink.release();
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

  /** How many are ready: none after the deadline by the clock of host.ts, or for another reason before. */
  wait(deadline: number): number {
    const left = Math.max(0, Math.ceil(deadline - now()));
    const milliseconds = deadline === Infinity ? -1 : Math.min(left, timerMax);
    const answer = library().osexec_poll(this.#bytes, this.#count, milliseconds);
    // A signal has come first.
    return answer === -Errno.EINTR ? 0 : check(answer, "poll");
  }

  ready(index: number): boolean {
    return index >= 0 && this.#view.getInt16(index * Poll.size + Poll.revents, true) !== 0;
  }
}
