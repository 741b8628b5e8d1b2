/**
 * What the tests that answer to Go's have in common: the child program, scripts that run in this
 * same runtime, and the handshakes that take the place of sleeping.
 *
 * @module
 */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { Command, type CommandOptions, type OSFile, type Process, type Writer } from "../mod.ts";
import { runtime } from "./helper.ts";

/** The child program, built by `zig build` from `zig/tools/impersonator.zig`. */
export const program = fileURLToPath(new URL("../zig-out/bin/impersonator", import.meta.url));

/** A command that runs the child program with one of its verbs. */
export function impersonate(
  verb: string,
  args: readonly string[] = [],
  options: CommandOptions = {},
): Command {
  return new Command(program, [verb, ...args], options);
}

/** A command that runs a function of `tests/go_script.ts` in this same runtime. */
export function script(
  name: string,
  args: readonly string[] = [],
  options: CommandOptions = {},
): Command {
  const file = fileURLToPath(new URL("go_script.ts", import.meta.url));
  const [program = "", ...flags] = runtime;
  return new Command(program, [...flags, file, name, ...args], options);
}

/** Whether the tests run as root, who may change ids, mount and unshare. */
export const isRoot = process.getuid?.() === 0;
/** For `skip` where a test needs that. */
export const needsRoot: string | false = isRoot ? false : "needs root";

/** A Writer that keeps the text. */
export class TextWriter implements Writer {
  text = "";
  readonly #decoder = new TextDecoder();

  write(chunk: Uint8Array): void {
    this.text += this.#decoder.decode(chunk, { stream: true });
  }
}

/** All that is still to come from a file, as text. */
export async function readAll(file: OSFile): Promise<string> {
  const writer = new TextWriter();
  for await (const chunk of file) writer.write(chunk);
  return writer.text;
}

/** The next `length` bytes of a file, as text. */
export async function readText(file: OSFile, length: number): Promise<string> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const count = await file.read(bytes.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return decode(bytes.subarray(0, filled));
}

/** Text as bytes. */
export function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Bytes as text. */
export function decode(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes);
}

/** Gives other events a turn. Never what a test concludes from: only how it waits for a condition. */
export function turn(milliseconds = 1): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Waits for what nothing tells of; the runner's time limit is the bound. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

/** The letter of the state of a process, e.g. "S", "T", "Z"; "" if there is no such process. */
export function stateOf(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2)[0] ?? "";
  } catch {
    return "";
  }
}

/** Waits until a process has ended, without reaping it. */
export function ended({ pid }: Process): Promise<void> {
  return until(() => ["Z", "X", ""].includes(stateOf(pid)));
}

/** A directory that is removed at the end of its scope. */
export function temporaryDirectory(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "osexec-go-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** An error that a test gives out and wants back. */
export class ArbitraryError extends Error {}
