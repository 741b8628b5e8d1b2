/** Cuts bytes into lines. */

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
  #first = true;

  /** Takes a chunk in. */
  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** The next whole line, or null: there is none yet. */
  next(): string | null {
    // Not in the whole, which would have to be put together for each piece of a long line.
    while (this.#chunks[this.#searched]?.includes(newline) === false) this.#searched++;
    if (this.#searched === this.#chunks.length) return null;
    const bytes = this.rest();
    const end = bytes.indexOf(newline);
    this.#replace(bytes.subarray(end + 1));
    const cut = bytes[end - 1] === carriageReturn ? end - 1 : end;
    return this.#decode(bytes.subarray(0, cut));
  }

  /** The unfinished last line, or null: there is none. */
  last(): string | null {
    if (this.#length === 0) return null;
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

/** The lines of all chunks; a last one without a newline counts. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncIterable<string> {
  const splitter = new LineSplitter();
  for await (const chunk of chunks) {
    splitter.add(chunk);
    for (let line = splitter.next(); line !== null; line = splitter.next()) yield line;
  }
  const last = splitter.last();
  if (last !== null) yield last;
}
