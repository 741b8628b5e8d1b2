/** Words as a shell would read them, and as a terminal may show them. */

import { showText } from "../ffi/text.ts";

/** What no POSIX shell does anything with. */
const plain = /^[\w@%+=:,./-]+$/;
/** Made when it is asked for: 0.2 ms on Deno. */
const controls = (flags: "u" | "gu"): RegExp => new RegExp("\\p{Cc}", flags);

/**
 * A command line as a POSIX shell would read it back; control characters as $'\\x1b', which bash, zsh, ksh and
 * POSIX 2024 know. TypeError for what is no string, or holds a NUL, which no argument can.
 *
 * @example
 * ```ts
 * import { quote } from "osexec";
 *
 * console.log(quote("echo", "it's", "a b", "")); // echo 'it'\\''s' 'a b' ''
 * ```
 */
export function quote(...words: readonly string[]): string {
  return words.map(quoteOne).join(" ");
}

function quoteOne(word: string): string {
  if (typeof word !== "string") throw new TypeError("a word to be quoted is not a string");
  if (word.includes("\0")) throw new TypeError("a word to be quoted holds a NUL");
  if (plain.test(word)) return word;
  if (!controls("u").test(word)) return `'${word.replaceAll("'", "'\\''")}'`;
  const text = word.replace(/[\\']/g, "\\$&").replace(controls("gu"), escape);
  return `$'${text}'`;
}

/** What messages call a command: its label, or its words, quoted and cut. */
export function nameOf(
  { label, path, args }: {
    readonly label?: string;
    readonly path: string;
    readonly args: readonly string[];
  },
): string {
  if (label !== undefined) return label;
  const words = [path, ...args.slice(1)].filter((word) => !word.includes("\0"));
  const line = quote(...words.map(showText));
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

/** A text in which no character does anything but show. */
export function escapeControls(text: string): string {
  return controls("u").test(text) ? text.replace(controls("gu"), escape) : text;
}

function escape(character: string): string {
  const code = character.charCodeAt(0);
  if (character === "\n") return "\\n";
  if (character === "\t") return "\\t";
  if (character === "\r") return "\\r";
  // Above ASCII a byte would not be the character.
  return code < 0x80 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u00${code.toString(16)}`;
}

/** A value of any kind as a message shows it. */
export function showValue(value: unknown): string {
  try {
    return escapeControls(String(value).slice(0, 100));
  } catch {
    return `an ${typeof value}`;
  }
}
