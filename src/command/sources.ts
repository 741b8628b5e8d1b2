/** What feeds a child's stdin: data of many kinds, given out chunk by chunk. */

import { restOf, viewBytes } from "../../ffi/bytes.ts";

/** Data for a child's stdin. A string is its text, whatever it says. */
export type Data =
  | string
  | ArrayBufferView
  | ArrayBuffer
  | Blob
  | Request
  | Response
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array | string>
  | Iterable<Uint8Array | string>;

type Chunk = Uint8Array | null;

/** A source, one chunk at a time; null after the last. */
export interface Source<Next = Chunk | Promise<Chunk>> {
  next(): Next;
  /** Tells it that no more is wanted, and waits for nothing. Idempotent. */
  cancel(): void;
}

/** Whether a value can be a source. */
export function isData(value: unknown): value is Data {
  if (typeof value === "string") return true;
  if (typeof value !== "object" || value === null) return false;
  return isBytes(value) || isBlob(value) || isBody(value) || isReadableStream(value) ||
    isAsyncIterable(value) || Symbol.iterator in value;
}

/** Throws TypeError for what cannot be read, or cannot any more: `name` is what the error calls it. */
export function checkSource(data: unknown, name: string): asserts data is Data {
  if (!isData(data)) throw new TypeError(`${name} is not something that can be read from`);
  if (isWhole(data) || isBlob(data)) return;
  if (isBody(data) && data.bodyUsed) {
    throw new TypeError(`${name} has a body that has been read already`);
  }
  const stream = isBody(data) ? data.body : data;
  if (isReadableStream(stream) && stream.locked) {
    throw new TypeError(`${name} is a stream that is locked to a reader`);
  }
}

/** Whether it is all there now, so that nothing happens when it is asked for chunks. */
export function isWhole(data: Data): data is string | ArrayBufferView | ArrayBuffer {
  return typeof data === "string" || isBytes(data);
}

/** Opens a source that has been checked: `name` is what errors call it. */
export function openSource(data: Data, name: string): Source {
  if (isWhole(data)) return once(wholeBytes(data));
  const stream = streamOf(data);
  if (stream === null) return once(new Uint8Array(0));
  return stream === undefined ? new IteratorSource(data, name) : fromStream(stream);
}

/** Opens a source that needs no event loop. TypeError for one that does. */
export function openSyncSource(data: Data, name: string): Source<Chunk> {
  if (isWhole(data)) return once(wholeBytes(data));
  if (isBlob(data) || isBody(data) || isReadableStream(data) || isAsyncIterable(data)) {
    throw new TypeError(
      `a synchronous run cannot read ${name} from a stream, a Blob or an async iterable`,
    );
  }
  const source = new IteratorSource(data, name);
  return {
    next() {
      const chunk = source.next();
      if (!isThenable(chunk)) return chunk;
      Promise.resolve(chunk).catch(ignore);
      throw new TypeError(`a synchronous run cannot wait for the promises of ${name}`);
    },
    cancel: () => source.cancel(),
  };
}

const encoder = new TextEncoder();

/** A chunk as bytes. Throws TypeError for what is neither bytes nor text. */
export function toBytes(chunk: unknown): Uint8Array {
  if (typeof chunk === "string") return encoder.encode(chunk);
  if (ArrayBuffer.isView(chunk)) return viewBytes(chunk);
  throw new TypeError("a chunk of stdin is neither a Uint8Array nor a string");
}

function wholeBytes(data: string | ArrayBufferView | ArrayBuffer): Uint8Array {
  return typeof data === "string" || ArrayBuffer.isView(data)
    ? toBytes(data)
    : new Uint8Array(data);
}

function once(bytes: Uint8Array): Source<Chunk> {
  const { length } = bytes;
  let rest: Chunk = bytes;
  return {
    next() {
      const chunk = rest;
      rest = null;
      return chunk === null ? null : restOf(chunk, 0, length);
    },
    cancel() {},
  };
}

/** The stream of what has one, null for an empty body, undefined for what has none. */
function streamOf(data: Data): ReadableStream<Uint8Array> | null | undefined {
  if (typeof data !== "object") return undefined;
  if (isReadableStream(data)) return data;
  if (isBlob(data)) return data.stream();
  return isBody(data) ? data.body : undefined;
}

function fromStream(stream: ReadableStream<Uint8Array>): Source {
  const reader = stream.getReader();
  let ended = false;
  return {
    async next() {
      const { done, value } = await reader.read().catch((error) => {
        ended = true;
        throw error;
      });
      ended ||= done;
      return done ? null : toBytes(value);
    },
    cancel() {
      if (!ended) reader.cancel().catch(ignore);
      ended = true;
      // Only once the cancelling has begun, and with no read left open.
      const release = (): void => reader.releaseLock();
      reader.closed.then(release, release);
    },
  };
}

class IteratorSource implements Source {
  readonly #iterator: AsyncIterator<unknown> | Iterator<unknown>;
  readonly #name: string;
  #ended = false;

  constructor(data: Data, name: string) {
    this.#iterator = iteratorOf(data, name);
    this.#name = name;
  }

  next(): Chunk | Promise<Chunk> {
    let result: unknown;
    try {
      result = this.#iterator.next();
    } catch (error) {
      this.#ended = true;
      throw error;
    }
    // A chunk of the wrong type leaves the source open, to be told to stop.
    return isThenable(result) ? this.#later(result) : this.#take(result);
  }

  cancel(): void {
    if (this.#ended) return;
    this.#ended = true;
    try {
      Promise.resolve(this.#iterator.return?.()).catch(ignore);
    } catch {
      // Its owner's affair: nobody waits for it any more.
    }
  }

  async #later(result: PromiseLike<unknown>): Promise<Chunk> {
    const settled = await Promise.resolve(result).catch((error) => {
      this.#ended = true;
      throw error;
    });
    return this.#take(settled);
  }

  #take(result: unknown): Chunk {
    if (typeof result !== "object" || result === null) {
      throw new TypeError(`${this.#name} gives ${String(result)}, which is no iterator's result`);
    }
    this.#ended = "done" in result && Boolean(result.done);
    return this.#ended ? null : toBytes("value" in result ? result.value : undefined);
  }
}

function iteratorOf(data: unknown, name: string): AsyncIterator<unknown> | Iterator<unknown> {
  if (isAsyncIterable(data)) return data[Symbol.asyncIterator]();
  if (isIterable(data)) return data[Symbol.iterator]();
  throw new TypeError(`${name} is not something that can be read from`);
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}

/** Whether a value gives its elements by promises. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

/** Whether a value is a web stream to read from. */
export function isReadableStream(value: unknown): value is ReadableStream<Uint8Array> {
  return typeof value === "object" && value !== null && "getReader" in value;
}

/** Whether a value is a Blob, of whichever realm. */
export function isBlob(value: unknown): value is Blob {
  return typeof value === "object" && value !== null && "stream" in value &&
    "arrayBuffer" in value && "slice" in value && "size" in value;
}

/** Whether a value can be waited for. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (typeof value === "object" || typeof value === "function") && value !== null &&
    "then" in value && typeof value.then === "function";
}

/** A view of bytes, or a buffer: of whichever realm, so by its tag. */
function isBytes(value: object): value is ArrayBufferView | ArrayBuffer {
  if (ArrayBuffer.isView(value)) return true;
  const tag = Object.prototype.toString.call(value);
  return tag === "[object ArrayBuffer]" || tag === "[object SharedArrayBuffer]";
}

/** A Request or a Response. */
function isBody(value: unknown): value is Request | Response {
  return typeof value === "object" && value !== null && "body" in value && "bodyUsed" in value;
}

function ignore(): void {}
