/** Copying into and out of a running child, without blocking the thread. */

import { Errno } from "./errno.ts";
import { SyscallError } from "./errors.ts";
import { type OSFile, pipeMax, readAtOnce, whenReadable } from "./file.ts";
import {
  type Drain,
  type Feed,
  isAsyncIterable,
  isReadableStream,
  isWritableStream,
  type Sink,
  type Source,
} from "./stdio.ts";

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
  readonly stopped: boolean;
}

/** Feeds a source into a pipe. That the child stops reading (EPIPE) is no failure: Go's rule 30. */
export function feed({ end, source }: Feed): Copy {
  const chunks = reader(source);
  const ending = new Ending(end, () => chunks.cancel());
  ending.follow(async () => {
    while (true) {
      const chunk = await chunks.next();
      if (chunk === null || ending.has) return;
      try {
        await end.write(chunk);
      } catch (error) {
        if (error instanceof SyscallError && error.errno === Errno.EPIPE) return;
        throw error;
      }
    }
  });
  const stop = (): void => ending.stop();
  return { done: ending.done, stop, expire: stop };
}

/** Drains a pipe into a sink. A sink's failure closes the pipe, so that the child gets SIGPIPE. */
export function drain({ end, sink }: Drain): Copy {
  const chunks = writer(sink);
  const ending = new Ending(end, () => chunks.release());
  let stuck = false;
  const fail = (error: unknown): void => ending.finish({ failure: { error }, stopped: false });
  // By callbacks: a promise for each step would cost more than the steps.
  function pump(): void {
    try {
      for (let reads = 0; !ending.has && reads < readsMax; reads++) {
        const chunk = readAtOnce(end);
        if (chunk === undefined) break;
        if (chunk === null) return ending.finish({ failure: null, stopped: false });
        const writing = chunks.write(chunk);
        if (writing === undefined) continue;
        stuck = true;
        writing.then(() => {
          stuck = false;
          pump();
        }, fail);
        return;
      }
    } catch (error) {
      return fail(error);
    }
    if (!ending.has) whenReadable(end, pump, fail);
  }
  whenReadable(end, pump, fail);
  function take(chunk: Uint8Array): boolean {
    const writing = chunks.write(chunk);
    writing?.catch(ignore);
    return writing === undefined;
  }
  return {
    done: ending.done,
    stop: () => ending.stop(),
    expire: () => stuck ? ending.stop() : ending.expire(take),
  };
}

/** What lines() reads: no further ahead than it is asked, until its time is over. */
export interface Pull extends Copy {
  /** Its chunks, once. Throws for what read(2) refuses. */
  chunks(): AsyncIterable<Uint8Array>;
}

/** A pipe, to be read chunk by chunk. */
export function pull(end: OSFile): Pull {
  const ending = new Ending(end, () => {});
  const rest: Uint8Array[] = [];
  return {
    done: ending.done,
    stop: () => ending.stop(),
    expire: () => ending.expire((chunk) => rest.push(chunk) > 0),
    async *chunks() {
      try {
        for await (const chunk of end) yield chunk;
        ending.finish({ failure: null, stopped: false });
      } catch (error) {
        if (!ending.has) throw error;
      }
      yield* rest;
    },
  };
}

/** How often a pipe is read without giving the event loop a turn: 4 MiB where it is a stream. */
const readsMax = 16;

/** The end of a copy, which comes once. */
class Ending {
  readonly #end: OSFile;
  readonly #release: () => void;
  readonly #result = Promise.withResolvers<CopyResult>();
  #has = false;

  /** `end`: the pipe to close. `release`: lets go of the source or the sink. */
  constructor(end: OSFile, release: () => void) {
    this.#end = end;
    this.#release = release;
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
      () => this.finish({ failure: null, stopped: false }),
      (error) => this.finish({ failure: { error }, stopped: false }),
    );
  }

  finish(result: CopyResult): void {
    if (this.#has) return;
    this.#has = true;
    this.#end.close();
    this.#release();
    this.#result.resolve(result);
  }

  stop(): void {
    this.finish({ failure: null, stopped: true });
  }

  /**
   * stop(), but what is in the pipe goes to `take` first, until that says false: it must wait. No more than a
   * pipe holds, from a child that writes for ever.
   */
  expire(take: (chunk: Uint8Array) => boolean): void {
    let stopped = true;
    try {
      for (let size = 0; !this.#has && size < pipeMax;) {
        const chunk = readAtOnce(this.#end);
        if (chunk === null) stopped = false;
        if (chunk === null || chunk === undefined || !take(chunk)) break;
        size += chunk.length;
      }
      this.finish({ failure: null, stopped });
    } catch (error) {
      this.finish({ failure: { error }, stopped: false });
    }
  }
}

/** A source, one chunk at a time. */
interface Chunks {
  next(): Promise<Uint8Array | null>;
  /** Tells the source that no more is wanted, and waits for nothing. Idempotent. */
  cancel(): void;
}

const encoder = new TextEncoder();

/** A chunk as bytes. Throws TypeError for what is neither bytes nor text. */
export function toBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk === "string") return encoder.encode(chunk);
  throw new TypeError("a chunk of stdin is neither a Uint8Array nor a string");
}

function reader(source: Source): Chunks {
  if (typeof source === "string" || source instanceof Uint8Array) return once(toBytes(source));
  if (isReadableStream(source)) return fromStream(source);
  return fromIterator(
    isAsyncIterable(source) ? source[Symbol.asyncIterator]() : source[Symbol.iterator](),
  );
}

function once(bytes: Uint8Array): Chunks {
  let rest: Uint8Array | null = bytes;
  return {
    next() {
      const chunk = rest;
      rest = null;
      return Promise.resolve(chunk);
    },
    cancel() {},
  };
}

function fromStream(stream: ReadableStream<Uint8Array>): Chunks {
  const source = stream.getReader();
  let ended = false;
  return {
    async next() {
      const { done, value } = await source.read().catch((error) => {
        ended = true;
        throw error;
      });
      ended ||= done;
      return done ? null : toBytes(value);
    },
    cancel() {
      if (!ended) source.cancel().catch(ignore);
      ended = true;
      // Only once the cancelling has begun, and with no read left open.
      const release = (): void => source.releaseLock();
      source.closed.then(release, release);
    },
  };
}

function fromIterator(
  iterator: AsyncIterator<Uint8Array | string> | Iterator<Uint8Array | string>,
): Chunks {
  let ended = false;
  return {
    async next() {
      let result: IteratorResult<Uint8Array | string>;
      try {
        result = await iterator.next();
      } catch (error) {
        ended = true;
        throw error;
      }
      if (result.done) ended = true;
      // A chunk of the wrong type leaves the source open, to be told to stop.
      return result.done ? null : toBytes(result.value);
    },
    cancel() {
      if (ended) return;
      ended = true;
      try {
        Promise.resolve(iterator.return?.()).catch(ignore);
      } catch {
        // Its owner's affair: nobody waits for it any more.
      }
    },
  };
}

/** A sink, one chunk at a time. */
interface Sinking {
  /** Undefined: it has been taken. No other chunk may come before the promise settles. */
  write(chunk: Uint8Array): Promise<void> | undefined;
  release(): void;
}

function writer(sink: Sink): Sinking {
  if (isWritableStream(sink)) return toStream(sink);
  return {
    write(chunk) {
      const answer = sink.write(chunk);
      return isThenable(answer) ? Promise.resolve(answer).then(ignore) : undefined;
    },
    release() {},
  };
}

function toStream(stream: WritableStream<Uint8Array>): Sinking {
  const target = stream.getWriter();
  return {
    async write(chunk) {
      await target.ready;
      await target.write(chunk);
    },
    release() {
      target.releaseLock();
      target.closed.catch(ignore);
    },
  };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (typeof value === "object" || typeof value === "function") && value !== null &&
    "then" in value;
}

function ignore(): void {}
