/** The native libraries that this package carries, and the one for this machine. */

import process from "node:process";
import { LIBRARY as aarch64Linux } from "./embedded/aarch64_linux.ts";
import { LIBRARY as aarch64Macos } from "./embedded/aarch64_macos.ts";
import { LIBRARY as x86Linux } from "./embedded/x86_64_linux.ts";
import { LIBRARY as x86Macos } from "./embedded/x86_64_macos.ts";

interface Embedded {
  readonly size: number;
  readonly data: string;
}

/** Static imports of all four, as the first use is synchronous and cannot import(): 75 KB of text. */
const libraries: Readonly<Record<string, Embedded | undefined>> = {
  "linux-x64": x86Linux,
  "linux-arm64": aarch64Linux,
  "darwin-x64": x86Macos,
  "darwin-arm64": aarch64Macos,
};

/** The bytes of this machine's library. */
export function embeddedLibrary(): Uint8Array {
  const platform = `${process.platform}-${process.arch}`;
  const embedded = libraries[platform];
  if (embedded === undefined) {
    throw new Error(`this package carries no library for ${platform}`);
  }
  return decompress(decodeBase64(embedded.data), embedded.size);
}

/** Both runtimes have it; their types do not yet. */
interface Base64 {
  fromBase64(text: string): Uint8Array;
}

function decodeBase64(text: string): Uint8Array {
  return (Uint8Array as unknown as Base64).fromBase64(text);
}

/** LZ4's block format. What `zig/embed_gen.zig` writes is not untrusted, but a slip must not pass. */
export function decompress(input: Uint8Array, size: number): Uint8Array {
  const output = new Uint8Array(size);
  let from = 0;
  let to = 0;
  /** A length whose nibble is 15 goes on in bytes, up to and including the first below 255. */
  function extend(length: number): number {
    if (length < 15) return length;
    let byte: number;
    do {
      byte = at(input, from++);
      length += byte;
    } while (byte === 255);
    return length;
  }
  while (from < input.length) {
    const token = at(input, from++);
    const literals = extend(token >> 4);
    if (literals > input.length - from) throw new Error("the embedded library is damaged");
    output.set(input.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    if (from >= input.length) break;
    const offset = at(input, from) | at(input, from + 1) << 8;
    from += 2;
    const length = extend(token & 15) + 4;
    if (offset === 0 || offset > to || length > size - to) {
      throw new Error("the embedded library is damaged");
    }
    // A match may overlap what it writes, and then repeats its first `offset` bytes; in whole steps, as a
    // loop over bytes takes 5 ms before it is compiled (measured).
    for (let rest = length; rest > 0;) {
      const step = Math.min(rest, offset);
      output.copyWithin(to, to - offset, to - offset + step);
      to += step;
      rest -= step;
    }
  }
  if (to !== size) throw new Error(`the embedded library has ${to} bytes, expected ${size}`);
  return output;
}

function at(bytes: Uint8Array, index: number): number {
  const byte = bytes[index];
  if (byte === undefined) throw new Error("the embedded library is damaged");
  return byte;
}
