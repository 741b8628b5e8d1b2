/** Copying into and out of a running child, without blocking the thread. */

import { Errno } from "./errno.ts";
import { SyscallError } from "./errors.ts";
import type { OSFile } from "./file.ts";
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
}

/** How a copy ended. */
export interface CopyResult {
  readonly failure: { readonly error: unknown } | null;
  readonly stopped: boolean;
}

/** Feeds a source into a pipe. That the child stops reading (EPIPE) is no failure: Go's rule 30. */
export function feed({ end, source }: Feed): Copy {
  const chunks = reader(source);
  return run(end, () => chunks.cancel(), async (stopped) => {
    while (true) {
      const chunk = await chunks.next();
      if (chunk === null || stopped()) return;
      try {
        await end.write(chunk);
      } catch (error) {
        if (error instanceof SyscallError && error.errno === Errno.EPIPE) return chunks.cancel();
        throw error;
      }
    }
  });
}

/** Drains a pipe into a sink. A sink's failure closes the pipe, so that the child gets SIGPIPE. */
export function drain({ end, sink }: Drain): Copy {
  const chunks = writer(sink);
  return run(end, () => chunks.release(), async (stopped) => {
    for await (const chunk of end) {
      if (stopped()) return;
      await chunks.write(chunk);
    }
  });
}

function run(
  end: OSFile,
  release: () => void,
  body: (stopped: () => boolean) => Promise<void>,
): Copy {
  const { promise, resolve } = Promise.withResolvers<CopyResult>();
  let ended = false;
  function finish(result: CopyResult): void {
    if (ended) return;
    ended = true;
    end.close();
    release();
    resolve(result);
  }
  body(() => ended).then(
    () => finish({ failure: null, stopped: false }),
    (error) => finish({ failure: { error }, stopped: false }),
  );
  return { done: promise, stop: () => finish({ failure: null, stopped: true }) };
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
      source.closed.then(() => source.releaseLock(), ignore);
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
  write(chunk: Uint8Array): Promise<void>;
  release(): void;
}

function writer(sink: Sink): Sinking {
  if (!isWritableStream(sink)) {
    return {
      async write(chunk) {
        await sink.write(chunk);
      },
      release() {},
    };
  }
  const target = sink.getWriter();
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

function ignore(): void {}
