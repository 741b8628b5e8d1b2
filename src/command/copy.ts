/**
 * Copying into and out of a running child, without blocking the thread: (a) a byte is delivered, or an error
 * says that it was not; (b) what a child, a source or a sink does takes no more than a turn's time.
 *
 * By async functions, so that sources and sinks are called in the context of whoever has begun the copying
 * (AsyncLocalStorage), and by such as wait only where there is something to wait for.
 */

import { isTurnSpent, nextTurn } from "../../ffi/turn.ts";
import { join } from "./capture.ts";
import { pipeMax } from "../file/descriptor.ts";
import { Errno } from "../errno.ts";
import { SyscallError } from "../errors.ts";
import { endReading, type OSFile, readAtOnce, readChunk, untilReadable } from "../file/file.ts";
import type { OpenSink } from "./sinks.ts";
import type { Source } from "./sources.ts";

/** Why a copy was ended before its end: its time was over, or nobody wants it any more. */
export type Stop = "expired" | "disposed";

/** A copy that runs. */
export interface Copy {
  /** Resolves when it has ended, and never rejects: to what the source or the sink threw, in a box. */
  readonly done: Promise<CopyResult>;
  /** Ends it now: closes the pipe, and waits for neither a source nor a sink that is stuck. */
  stop(): void;
  /** stop(), when its time is over: what has come out of the child until now is still taken. */
  expire(): void;
}

/** How a copy ended. */
export interface CopyResult {
  readonly failure: { readonly error: unknown } | null;
  readonly stopped: Stop | null;
}

/** Is told at once how a copy has ended: by the time that its promise tells, its child may have been waited for. */
export type Told = (result: CopyResult) => void;

/** What feeds a child. */
export interface Feeding extends Copy {
  /** Whether it has ended. */
  readonly hasEnded: boolean;
}

/** Feeds a source into a pipe. That the child stops reading (EPIPE) is no failure: Go's rule 30. */
export function feed(end: OSFile, source: Source, told: Told): Feeding {
  const ending = new Ending(end, () => source.cancel(), told);
  ending.follow(async () => {
    while (!ending.has) {
      // The first one at once, so that a source is begun before it can be told to stop.
      const next = source.next();
      const chunk = next instanceof Promise ? await next : next;
      if (chunk === null || ending.has) return;
      try {
        await end.write(chunk);
      } catch (error) {
        if (error instanceof SyscallError && error.errno === Errno.EPIPE) return;
        throw error;
      }
      if (isTurnSpent()) await nextTurn();
    }
  });
  const stop = (): void => ending.stop("disposed");
  return {
    done: ending.done,
    get hasEnded() {
      return ending.has;
    },
    stop,
    expire: stop,
  };
}

/** Drains a pipe into a sink. A sink's failure closes the pipe, so that the child gets SIGPIPE. */
export function drain(end: OSFile, sink: OpenSink, told: Told): Copy {
  const ending = new Ending(end, () => sink.release(), told);
  let stuck = false;
  let expiring = false;
  ending.follow(async () => {
    // What has only just been cloned has written nothing.
    await untilReadable(end);
    while (!ending.has) {
      if (isTurnSpent()) await nextTurn();
      // The rest is takeRest()'s, and so is the end.
      if (expiring) return await never;
      const chunk = readAtOnce(end);
      if (chunk === null) return;
      if (chunk === undefined) {
        await untilReadable(end);
        continue;
      }
      const writing = sink.write(chunk);
      if (writing === undefined) continue;
      stuck = true;
      await writing;
      stuck = false;
    }
  });
  /** What is in the pipe, to a sink that takes it now or at least says now that it does not. */
  async function takeRest(): Promise<void> {
    const { rest, isWhole } = restOf(end);
    const writing = rest.length === 0 ? undefined : sink.write(rest);
    const isTaken = writing === undefined ||
      await Promise.race([writing.then(() => true), nextTurn().then(() => false)]);
    if (!isWhole || !isTaken) ending.stop("expired");
  }
  return {
    done: ending.done,
    stop: () => ending.stop("disposed"),
    expire() {
      if (ending.has) return;
      if (stuck) return ending.stop("expired");
      expiring = true;
      ending.follow(takeRest);
    },
  };
}

/** What lines() reads: no further ahead than it is asked, until its time is over. */
export interface Pull extends Copy {
  /** The next chunk; null after the last. Rejects for what read(2) refuses. */
  next(): Promise<Uint8Array | null>;
}

/** A pipe, to be read chunk by chunk. */
export function pull(end: OSFile, told: Told): Pull {
  const stopped = Promise.withResolvers<void>();
  const ending = new Ending(end, () => stopped.resolve(), told);
  let rest: Uint8Array | null = null;
  const takeRest = (): Uint8Array | null => {
    const chunk = rest;
    rest = null;
    return chunk;
  };
  return {
    done: ending.done,
    stop: () => ending.stop("disposed"),
    expire() {
      if (ending.has) return;
      const left = restOf(end);
      if (left.rest.length > 0) rest = left.rest;
      if (left.isWhole) ending.finish({ failure: null, stopped: null });
      else ending.stop("expired");
    },
    async next() {
      if (ending.has) return takeRest();
      const reading = readChunk(end).promise;
      const chunk = await reading.catch((error) => {
        if (!ending.has) throw error;
        return null;
      });
      if (chunk !== null) return chunk;
      ending.finish({ failure: null, stopped: null });
      return takeRest();
    },
  };
}

/** No more than a pipe holds, from a child that writes for ever. `isWhole`: that was the end of it. */
function restOf(end: OSFile): { readonly rest: Uint8Array; readonly isWhole: boolean } {
  const chunks: Uint8Array[] = [];
  let size = 0;
  let chunk = readAtOnce(end);
  while (chunk !== null && chunk !== undefined) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= pipeMax) break;
    chunk = readAtOnce(end);
  }
  return { rest: join(chunks, size), isWhole: chunk === null };
}

const never = new Promise<never>(() => {});

/** The end of a copy, which comes once. */
class Ending {
  readonly #end: OSFile;
  readonly #release: () => void;
  readonly #told: Told;
  readonly #result = Promise.withResolvers<CopyResult>();
  #has = false;

  /** `end`: the pipe to close. `release`: lets go of the source or the sink. */
  constructor(end: OSFile, release: () => void, told: Told) {
    this.#end = end;
    this.#release = release;
    this.#told = told;
  }

  get done(): Promise<CopyResult> {
    return this.#result.promise;
  }

  /** Whether it has come. */
  get has(): boolean {
    return this.#has;
  }

  /** Comes with the end of the copying. */
  follow(copying: () => Promise<void>): void {
    copying().then(
      () => this.finish({ failure: null, stopped: null }),
      (error) => this.finish({ failure: { error }, stopped: null }),
    );
  }

  finish(given: CopyResult): void {
    if (this.#has) return;
    this.#has = true;
    endReading(this.#end);
    let result = given;
    try {
      this.#release();
    } catch (error) {
      // Of what only looks like a stream.
      result = { ...given, failure: given.failure ?? { error } };
    }
    this.#told(result);
    this.#result.resolve(result);
  }

  stop(why: Stop): void {
    this.finish({ failure: null, stopped: why });
  }
}
