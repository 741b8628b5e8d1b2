/** Where a child's output goes, chunk by chunk: each kind takes it in its own way, and tells by it. */

import { ShortWriteError } from "../errors.ts";
import { isThenable } from "./sources.ts";

/**
 * A sink for output: any object with write(). Each chunk is the sink's to keep, and none comes before the one
 * before it is done. What write() answers says when that is, and how much it has taken, as Deno's and Go's
 * writers do:
 *
 * - a promise: it is done when that resolves; what it rejects with ends the copying, and so does what write()
 *   throws;
 * - a whole number below the chunk's length, at once or by a promise: only so many bytes of it were taken.
 *   The rest is written again; ShortWriteError for 0 and for less. So do not answer something else that is a
 *   number: `(chunk) => chunks.push(chunk)` does;
 * - anything else: all of it.
 *
 * It is never closed. Of Node's Writables each chunk's callback is waited for, and "error" and "close" are
 * heeded; Bun's FileSink is flushed after each chunk.
 */
export interface Writer {
  /** Takes a chunk. */
  write(chunk: Uint8Array): unknown;
}

/** What output is copied to. */
export type Sink = Writer | WritableStream<Uint8Array>;

/** A sink, one chunk at a time. */
export interface OpenSink {
  /** Undefined: it has been taken. No other chunk may come before the promise settles. */
  write(chunk: Uint8Array): Promise<void> | undefined;
  /** Lets go of it. */
  release(): void;
}

/** Whether a value is a sink. */
export function isSink(value: unknown): value is Sink {
  return isWritableStream(value) || isWriter(value);
}

/** Throws TypeError for what cannot be written to, or not now: `name` is what the error calls it. */
export function checkSink(sink: unknown, name: string): asserts sink is Sink {
  if (!isSink(sink)) throw new TypeError(`${name} is not something that can be written to`);
  if (isWritableStream(sink) && sink.locked) {
    throw new TypeError(`${name} is a stream that is locked to a writer`);
  }
}

/** Opens a sink that has been checked. Throws what its getWriter() throws. */
export function openSink(sink: Sink, name: string): OpenSink {
  if (isWritableStream(sink)) return new StreamSink(sink);
  if (isNodeWritable(sink)) return new NodeSink(sink, name);
  if (isFileSink(sink)) return { write: (chunk) => flushed(sink, chunk), release() {} };
  return { write: (chunk) => settle(sink, chunk, sink.write(chunk)), release() {} };
}

/** Opens a sink that is written to without an event loop. TypeError for one that needs it. */
export function openSyncSink(sink: Sink, name: string): OpenSink {
  if (isWritableStream(sink)) {
    throw new TypeError(`a synchronous run cannot write ${name} to a WritableStream`);
  }
  if (isNodeWritable(sink)) {
    throw new TypeError(`a synchronous run cannot write ${name} to a Writable of Node's`);
  }
  return {
    write(chunk) {
      let rest = chunk;
      do {
        const answer = sink.write(rest);
        if (isThenable(answer)) {
          Promise.resolve(answer).catch(ignore);
          throw new TypeError(
            `a synchronous run cannot wait for the promise that ${name}'s write() answers`,
          );
        }
        rest = isFileSink(sink) ? taken : restAfter(rest, answer);
      } while (rest.length > 0);
      return undefined;
    },
    release() {},
  };
}

const taken = new Uint8Array(0);

/** What a Writer has not taken of a chunk. */
function restAfter(chunk: Uint8Array, answer: unknown): Uint8Array {
  if (typeof answer !== "number" || !Number.isInteger(answer)) return taken;
  if (answer >= chunk.length) return taken;
  if (answer <= 0) throw new ShortWriteError(answer, chunk.length);
  return chunk.subarray(answer);
}

/** Writes until all is taken: here, as far as nothing has to be waited for. */
function settle(sink: Writer, chunk: Uint8Array, first: unknown): Promise<void> | undefined {
  let rest = chunk;
  let answer = first;
  while (!isThenable(answer)) {
    rest = restAfter(rest, answer);
    if (rest.length === 0) return undefined;
    answer = sink.write(rest);
  }
  return settleLater(sink, rest, answer);
}

async function settleLater(sink: Writer, chunk: Uint8Array, first: unknown): Promise<void> {
  let rest = restAfter(chunk, await first);
  while (rest.length > 0) rest = restAfter(rest, await sink.write(rest));
}

class StreamSink implements OpenSink {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;

  constructor(stream: WritableStream<Uint8Array>) {
    this.#writer = stream.getWriter();
  }

  /** Not ready first: of one that waits, the lock may be let go before it would have been written. */
  write(chunk: Uint8Array): Promise<void> {
    return this.#writer.write(chunk);
  }

  release(): void {
    // That the stream fails later is its owner's to hear.
    this.#writer.closed.catch(ignore);
    this.#writer.ready.catch(ignore);
    this.#writer.releaseLock();
  }
}

/** As far as a Writable of node:stream is needed. */
interface NodeWritable {
  write(chunk: Uint8Array, done: (error?: unknown) => void): boolean;
  on(event: string, listener: (error?: unknown) => void): unknown;
  removeListener(event: string, listener: (error?: unknown) => void): unknown;
}

class NodeSink implements OpenSink {
  readonly #stream: NodeWritable;
  readonly #name: string;
  #reject: ((error: unknown) => void) | undefined;
  #failure: { readonly error: unknown } | undefined;
  readonly #onError = (error: unknown): void => this.#fail(error);
  readonly #onClose = (): void =>
    this.#fail(new Error(`${this.#name} was closed before all was written`));

  constructor(stream: NodeWritable, name: string) {
    this.#stream = stream;
    this.#name = name;
    stream.on("error", this.#onError);
    stream.on("close", this.#onClose);
  }

  write(chunk: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure.error);
      this.#reject = reject;
      this.#stream.write(chunk, (error) => {
        if (error === undefined || error === null) resolve();
        else this.#fail(error);
      });
    });
  }

  release(): void {
    this.#stream.removeListener("close", this.#onClose);
    // An "error" may still come of what the write's callback has told: unheard it would end the program.
    if (this.#failure === undefined) this.#stream.removeListener("error", this.#onError);
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#reject?.(error);
  }
}

/** Bun's: it answers how many bytes it holds, those of earlier chunks among them. */
interface FileSink extends Writer {
  flush(): unknown;
}

async function flushed(sink: FileSink, chunk: Uint8Array): Promise<void> {
  await sink.write(chunk);
  await sink.flush();
}

function isFileSink(sink: Writer): sink is FileSink {
  return hasMethods(sink, ["flush", "end", "start", "ref"]);
}

function isNodeWritable(sink: object): sink is NodeWritable {
  return hasMethods(sink, ["write", "on", "removeListener", "emit"]);
}

/** Whether a value is a web stream to write to. */
export function isWritableStream(value: unknown): value is WritableStream<Uint8Array> {
  return typeof value === "object" && value !== null && hasMethods(value, ["getWriter"]);
}

function isWriter(value: unknown): value is Writer {
  return typeof value === "object" && value !== null && hasMethods(value, ["write"]);
}

function hasMethods(value: object, names: readonly string[]): boolean {
  return names.every((name) => typeof Reflect.get(value, name) === "function");
}

function ignore(): void {}
