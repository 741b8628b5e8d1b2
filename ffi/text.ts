/**
 * Texts that cross to the kernel, which knows bytes only. A string stands for its UTF-8; bytes that are none
 * stand in a string as lone surrogates U+DC80 to U+DCFF, as in Python (PEP 383), so that what is inherited
 * passes byte for byte and every text can be compared, split and joined as a string.
 */

import { viewBytes } from "./bytes.ts";

/** A text, or its bytes, for what UTF-8 cannot say. No NUL, and no half of a surrogate pair. */
export type Text = string | Uint8Array;

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();
/** With the flag u a surrogate that is half of a pair does not match. */
const strayBytes = /[\udc80-\udcff]/gu;
const halves = /[\ud800-\udc7f\udd00-\udfff]/u;

/** A text as a string. Throws TypeError, by the name `what`, for what is neither kind. */
export function toText(what: string, text: unknown): string {
  if (typeof text === "string") return text;
  if (ArrayBuffer.isView(text)) return decodeText(viewBytes(text));
  throw new TypeError(`${what} is not a string, nor bytes`);
}

/** Whether a string holds half of a surrogate pair, which stands for nothing. */
export function hasHalf(text: string): boolean {
  return !text.isWellFormed() && halves.test(text);
}

/** Bytes as a string. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return decodeSlowly(bytes);
  }
}

function decodeSlowly(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes[at] ?? 0);
    const decoded = decodeOne(bytes.subarray(at, at + length));
    text += decoded ?? String.fromCharCode(0xdc00 + (bytes[at] ?? 0));
    at += decoded === null ? 1 : length;
  }
  return text;
}

function sequenceLength(lead: number): number {
  return lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

function decodeOne(bytes: Uint8Array): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    return null;
  }
}

/** A string as the bytes it stands for. */
export function encodeText(text: string): Uint8Array {
  if (text.isWellFormed()) return encoder.encode(text);
  const parts: Uint8Array[] = [];
  let last = 0;
  for (const { index } of text.matchAll(strayBytes)) {
    parts.push(encoder.encode(text.slice(last, index)));
    parts.push(new Uint8Array([text.charCodeAt(index) - 0xdc00]));
    last = index + 1;
  }
  parts.push(encoder.encode(text.slice(last)));
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** The bytes of a text, which may hold anything but half of a pair. Throws TypeError, by the name `what`. */
export function bytesOf(what: string, text: unknown): Uint8Array {
  if (ArrayBuffer.isView(text)) return viewBytes(text);
  const string = toText(what, text);
  if (hasHalf(string)) throw new TypeError(`${what} contains half of a surrogate pair`);
  return encodeText(string);
}

/** A string for people to read: its stray bytes as "\xff". */
export function showText(text: string): string {
  if (text.isWellFormed()) return text;
  return text.replace(strayBytes, (byte) => `\\x${(byte.charCodeAt(0) - 0xdc00).toString(16)}`);
}
