/** Sinks that keep what they are given: all of it, or its two ends. */

import type { Writer } from "./sinks.ts";

/** Keeps everything, or so many bytes. */
export class Collector implements Writer {
  readonly #limit: number;
  readonly #exceeded: () => void;
  #chunks: Uint8Array[] = [];
  #length = 0;
  #isExceeded = false;

  /** `exceeded`: called once, when there is more. What it throws ends the copying. */
  constructor(limit = Infinity, exceeded: () => void = () => {}) {
    this.#limit = limit;
    this.#exceeded = exceeded;
  }

  /** Whether there was more than it keeps. */
  get isExceeded(): boolean {
    return this.#isExceeded;
  }

  /** Takes a chunk, as far as there is room. */
  write(chunk: Uint8Array): void {
    const room = this.#limit - this.#length;
    const kept = chunk.length > room ? chunk.slice(0, room) : chunk;
    if (kept.length > 0) this.#chunks.push(kept);
    this.#length += kept.length;
    if (kept.length === chunk.length || this.#isExceeded) return;
    this.#isExceeded = true;
    this.#exceeded();
  }

  /** All of it, in one piece; the chunks are let go. */
  bytes(): Uint8Array {
    const whole = join(this.#chunks, this.#length);
    this.#chunks = [whole];
    return whole;
  }
}

const endSize = 32 * 1024;

/**
 * Keeps the first and the last 32 KiB, as Go does for ExitError.Stderr: the beginning tells what was
 * tried, the end why it failed.
 */
export class EndsCollector implements Writer {
  readonly #head: Uint8Array[] = [];
  #headLength = 0;
  #tail: Uint8Array[] = [];
  #tailLength = 0;
  #omitted = 0;
  readonly #size: number;

  /** `size`: how many bytes of each end. */
  constructor(size = endSize) {
    this.#size = size;
  }

  /** Takes a chunk. */
  write(chunk: Uint8Array): void {
    const room = this.#size - this.#headLength;
    const first = chunk.slice(0, room);
    if (first.length > 0) {
      this.#head.push(first);
      this.#headLength += first.length;
    }
    const rest = chunk.subarray(first.length);
    if (rest.length === 0) return;
    this.#tail.push(rest);
    this.#tailLength += rest.length;
    // Not at every chunk, so that each byte is moved about once.
    if (this.#tailLength > 2 * this.#size) this.#trim();
  }

  /** The whole, or the ends with "\n... omitting N bytes ...\n" between. */
  bytes(): Uint8Array {
    this.#trim();
    const parts = [...this.#head];
    let length = this.#headLength + this.#tailLength;
    if (this.#omitted > 0) {
      const text = new TextEncoder().encode(`\n... omitting ${this.#omitted} bytes ...\n`);
      parts.push(text);
      length += text.length;
    }
    return join([...parts, ...this.#tail], length);
  }

  #trim(): void {
    const excess = this.#tailLength - this.#size;
    if (excess <= 0) return;
    this.#omitted += excess;
    this.#tail = [join(this.#tail, this.#tailLength).slice(excess)];
    this.#tailLength = this.#size;
  }
}

/** All chunks in one piece of `length` bytes. */
export function join(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const [only] = chunks;
  if (chunks.length === 1 && only !== undefined) return only;
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
