/** Cuts bytes into lines, and gives them one by one. */

import { isTurnSpent, nextTurn } from "../../ffi/turn.ts";
import { type Known, readOptions } from "../fields.ts";

/** How lines are cut. */
export interface LineOptions {
  /**
   * Whether "\r" ends a line too, as of progress bars. A line that it alone has ended keeps it, which tells the two
   * apart; "\r\n" is one end. Default false.
   */
  carriageReturn?: boolean | undefined;
  /** Bytes of the longest line, its end not counted; a longer one is a RangeError. Default: no bound. */
  limit?: number | undefined;
}

const optionNames: ReadonlySet<string> = new Set<keyof LineOptions>(["carriageReturn", "limit"]);

/** Reads options once. Throws TypeError for what is wrong with them. */
export function readLineOptions(options: LineOptions): Known<LineOptions> {
  const given = readOptions("lines()", "LineOptions", options, optionNames);
  const { carriageReturn = false, limit = Infinity } = given;
  if (typeof carriageReturn !== "boolean") throw new TypeError("carriageReturn is no boolean");
  if (typeof limit !== "number" || !(limit >= 0)) {
    throw new TypeError("limit is not a number of bytes");
  }
  return { carriageReturn, limit };
}

const newline = 0x0a;
const carriageReturn = 0x0d;

/**
 * Takes chunks and gives lines without their "\n" or "\r\n". It splits bytes, not text, so that what
 * is left over can be given back; no byte of a longer UTF-8 sequence is a newline.
 */
export class LineSplitter {
  #chunks: Uint8Array[] = [];
  /** How many of the chunks are known to hold no newline. */
  #searched = 0;
  #length = 0;
  #first: boolean;
  readonly #takesReturns: boolean;
  readonly #limit: number;
  /** A "\r" was the last byte there was: a "\n" that comes first belongs to it. */
  #hasReturned = false;
  #isTooLong = false;

  /** `first`: it begins where the file does, so that a byte order mark is one. */
  constructor(first = true, options: LineOptions = {}) {
    this.#first = first;
    this.#takesReturns = options.carriageReturn ?? false;
    this.#limit = options.limit ?? Infinity;
  }

  /** Whether the next line is longer than it may be: there are none from then on. */
  get isTooLong(): boolean {
    return this.#isTooLong;
  }

  /** Takes a chunk in. */
  add(chunk: Uint8Array): void {
    const isRest = this.#hasReturned && chunk[0] === newline;
    if (chunk.length > 0) this.#hasReturned = false;
    const bytes = isRest ? chunk.subarray(1) : chunk;
    this.#chunks.push(bytes);
    this.#length += bytes.length;
  }

  /** The next whole line, or null: there is none yet. */
  next(): string | null {
    // Not in the whole, which would have to be put together for each piece of a long line.
    while (this.#searched < this.#chunks.length && !this.#ends(this.#chunks[this.#searched])) {
      this.#searched++;
    }
    if (this.#searched === this.#chunks.length) {
      // Its end, and what goes with that, may be what has come last.
      this.#isTooLong ||= this.#length > this.#limit + 1;
      return null;
    }
    const bytes = this.rest();
    const [cut, after] = this.#end(bytes);
    this.#isTooLong ||= cut > this.#limit + (bytes[cut - 1] === carriageReturn ? 1 : 0);
    if (this.#isTooLong) return null;
    this.#hasReturned = this.#takesReturns && after === bytes.length &&
      bytes[after - 1] === carriageReturn;
    this.#replace(bytes.subarray(after));
    return this.#decode(bytes.subarray(0, cut));
  }

  #ends(chunk: Uint8Array | undefined): boolean {
    if (chunk === undefined) return false;
    return this.#takesReturns ? firstEnd(chunk) >= 0 : chunk.includes(newline);
  }

  /** Where the first line is cut, and where the next one begins. */
  #end(bytes: Uint8Array): readonly [cut: number, after: number] {
    if (this.#takesReturns) {
      const end = firstEnd(bytes);
      if (bytes[end] === newline) return [end, end + 1];
      return bytes[end + 1] === newline ? [end, end + 2] : [end + 1, end + 1];
    }
    const end = bytes.indexOf(newline);
    return [bytes[end - 1] === carriageReturn ? end - 1 : end, end + 1];
  }

  /** The unfinished last line, or null: there is none. */
  last(): string | null {
    this.#isTooLong ||= this.#length > this.#limit;
    if (this.#length === 0 || this.#isTooLong) return null;
    const bytes = this.rest();
    this.#replace(new Uint8Array(0));
    return this.#decode(bytes);
  }

  /** The bytes that have become no line yet. */
  rest(): Uint8Array<ArrayBuffer> {
    const [only] = this.#chunks;
    if (this.#chunks.length === 1 && only !== undefined && only.buffer instanceof ArrayBuffer) {
      return new Uint8Array(only.buffer, only.byteOffset, only.length);
    }
    const bytes = new Uint8Array(this.#length);
    let offset = 0;
    for (const chunk of this.#chunks) {
      bytes.set(chunk, offset);
      offset += chunk.length;
    }
    this.#chunks = [bytes];
    return bytes;
  }

  #replace(bytes: Uint8Array): void {
    this.#chunks = bytes.length === 0 ? [] : [bytes];
    this.#length = bytes.length;
    this.#searched = 0;
  }

  /** As a stream decoder would: a byte order mark counts as one at the very beginning only. */
  #decode(bytes: Uint8Array): string {
    const text = new TextDecoder("utf-8", { ignoreBOM: !this.#first }).decode(bytes);
    this.#first = false;
    return text;
  }
}

/** Of either kind, or -1. In one search: one for each would go to the end of all that has come, for every line. */
function firstEnd(bytes: Uint8Array): number {
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] === newline || bytes[at] === carriageReturn) return at;
  }
  return -1;
}

/** Where lines come from, and what becomes of it. */
export interface LineSource {
  /** Before the first next(). Answers whether it is at the beginning of the file. Default: it is. */
  begin?(): boolean;
  /** The next chunk, or null: there is no more. Called again only when that has come. */
  next(): Promise<Uint8Array | null>;
  /** After the last line: what it throws is thrown in place of the end. */
  end(): unknown;
  /** Instead of the end: it is left early, or has failed. `rest`: puts together what has become no line. */
  leave(rest: () => Uint8Array<ArrayBuffer>): unknown;
  /** Whether it has made what it throws, and not the caller. */
  isOurs?(error: unknown): boolean;
  /** Whether lines that are there already are wanted no more. */
  isCut?(): boolean;
  /** How they are cut. */
  readonly options?: LineOptions;
}

type Line = IteratorResult<string, undefined>;

/**
 * The lines of all chunks; a last one without a newline counts. No generator, whose return() would wait for
 * a next() that is under way: for a line that may never come.
 */
export class LineIterator implements AsyncIterableIterator<string>, AsyncDisposable {
  readonly #source: LineSource;
  #splitter: LineSplitter | undefined;
  /** Calls of next() that wait, the first of them for what #run() brings. */
  readonly #waiting: PromiseWithResolvers<Line>[] = [];
  /** There is no next chunk: a terminal would have to say so again. */
  #exhausted = false;
  #ended = false;

  /** Asks for nothing before the first next(). */
  constructor(source: LineSource) {
    this.#source = source;
  }

  /** The next line. */
  next(): Promise<Line> {
    if (this.#ended) return Promise.resolve(end);
    if (this.#waiting.length === 0 && !isTurnSpent()) {
      const value = this.#ready();
      if (value !== null) return Promise.resolve({ done: false, value });
    }
    return this.#wait();
  }

  /** Leaves it: at once, whatever a next() waits for, which then resolves to the end. */
  async return(): Promise<Line> {
    if (!this.#ended) await this.#leave();
    return end;
  }

  /** return(), but it rejects with `error`. */
  async throw(error: unknown): Promise<Line> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #wait(): Promise<Line> {
    const waiting = Promise.withResolvers<Line>();
    if (this.#waiting.push(waiting) === 1) this.#run();
    try {
      return await waiting.promise;
    } catch (error) {
      // Made where the event loop had told of it; here its stack leads to who waits.
      if (this.#source.isOurs?.(error) && error instanceof Error) Error.captureStackTrace?.(error);
      throw error;
    }
  }

  #ready(): string | null {
    return this.#source.isCut?.() ? null : this.#splitter?.next() ?? null;
  }

  /** Serves those that wait. */
  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      try {
        const value = await this.#produce();
        if (this.#ended) return;
        if (value === null) return this.#end();
        this.#waiting.shift()?.resolve({ done: false, value });
      } catch (error) {
        if (!this.#ended) await this.#fail(error);
        return;
      }
    }
  }

  /** A line, or null after the last one. */
  async #produce(): Promise<string | null> {
    const { options } = this.#source;
    const splitter = this.#splitter ??= new LineSplitter(this.#source.begin?.(), options);
    while (true) {
      if (isTurnSpent()) await nextTurn();
      const line = this.#ready();
      if (line !== null || this.#ended) return line;
      if (splitter.isTooLong) throw tooLong(options);
      const chunk = this.#exhausted ? null : await this.#source.next();
      if (this.#ended) return null;
      if (chunk !== null) {
        splitter.add(chunk);
        continue;
      }
      this.#exhausted = true;
      const last = this.#source.isCut?.() ? null : splitter.last();
      if (splitter.isTooLong) throw tooLong(options);
      if (last === null) await this.#source.end();
      return last;
    }
  }

  async #fail(error: unknown): Promise<void> {
    const first = this.#waiting.shift();
    try {
      await this.#leave();
    } catch {
      // What has failed first is told.
    }
    first?.reject(error);
  }

  async #leave(): Promise<void> {
    this.#end();
    await this.#source.leave(() => this.#splitter?.rest() ?? new Uint8Array(0));
  }

  #end(): void {
    this.#ended = true;
    for (const { resolve } of this.#waiting.splice(0)) resolve(end);
  }
}

function tooLong(options: LineOptions | undefined): RangeError {
  return new RangeError(`a line is longer than ${options?.limit} bytes`);
}

const end: Line = { done: true, value: undefined };
