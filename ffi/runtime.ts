/** The seam between the runtimes: what each must offer, and which one this is. */

import { bunRuntime } from "./bun.ts";
import { denoRuntime } from "./deno.ts";
import { hostBun, hostDeno, isNode } from "./host.ts";
import { nodeRuntime } from "./node.ts";

/** A word of the boundary's vocabulary: see `zig/tools/abi_gen.zig`. */
export type Word = "i32" | "buffer";

/** The type of one native function. */
export interface Signature {
  readonly parameters: readonly Word[];
  readonly result: Word;
}

/** A native function, as the runtimes hand it out. */
export type NativeFunction = (...parameters: (number | Uint8Array | null)[]) => number;

/** Functions of an opened library, and how to let go of it. */
export interface Opened {
  readonly functions: Record<string, NativeFunction>;
  close(): void;
}

/** The reading end of the reactor's socket, in the runtime's own event loop. */
export interface EventStream {
  /** Keeps the event loop alive. */
  ref(): void;
  /** Lets the event loop end: nothing that keeps it alive is waited for. */
  unref(): void;
  /** From now on something may be waited for that does not keep the event loop alive. */
  listen?(): void;
}

/** One place a library was looked for, and why it did not serve. */
export interface LibraryAttempt {
  /** "memfd", "temporary file", the file of npm's package, OSEXEC_LIBRARY and its value, or "node:ffi". */
  readonly place: string;
  /** What failed there. */
  readonly reason: string;
}

/** What a runtime must offer. Nothing of it may load Node's modules at import: on Deno that takes 13 ms. */
export interface Runtime {
  /** The system, in the words of `process.platform`. */
  readonly platform: string;
  /** The processor, in the words of `process.arch`. */
  readonly arch: string;
  /** Whether connect() holds the event loop for long, so that it pays to do without it at first. */
  readonly connectsSlowly: boolean;
  /** Whether on this thread the children that the runtime waits for can be told from orphans that have ended. */
  readonly knowsOrphans: boolean;
  /** What is not there at all that opening a library takes, and why; null: nothing. */
  lacks(): LibraryAttempt | null;
  /** Asks for what opening a library needs, once and by the right name. Throws an error named NotCapable. */
  allow(): void;
  /** Opens a library and binds functions of it. Opening the same path again is the same library. */
  open(path: string, symbols: Readonly<Record<string, Signature>>): Opened;
  /** Writes the bytes into a new memfd and answers its descriptor, which stays open. */
  memfd(name: string, bytes: Uint8Array): number;
  /** Makes a private directory for a temporary file. */
  makeTemporaryDirectory(): string;
  /** Reads chunks from a socket that the stream then owns. It starts out without keeping the loop alive. */
  connect(fd: number, onData: (chunk: Uint8Array) => void): EventStream;
  /** Calls back when this thread's program is about to be replaced, and what it has open to be left open. */
  onUnload(action: () => void): void;
  /** Calls back in the event loop's next turn, without letting it wait for anything before. */
  setImmediate(turn: () => void): void;
  /** Calls back when the event loop has looked at its timers and at its descriptors. */
  giveTurn(after: () => void): void;
  /** The runtime's own copy of the environment, which programs write to; null: they write to libc's. */
  readonly environment: Readonly<Record<string, string | undefined>> | null;
  /** A variable of the environment, if it may be read without asking the user. */
  variable(name: string): string | undefined;
}

/** osexec has no library for this system or processor, or this is neither Bun, Deno nor Node. Thrown at the first use. */
export class PlatformError extends Error {
  /** "PlatformError". */
  override readonly name: string = "PlatformError";
  /** What there is nothing for, e.g. "win32", "linux-riscv64". */
  readonly platform: string;

  /** `platform`: what there is nothing for. `detail`: what there would have to be. */
  constructor(platform: string, detail: string) {
    super(`${detail}; this is ${platform}`);
    this.platform = platform;
  }
}

let current: Runtime | undefined;

/** The runtime that this code runs in. */
export function currentRuntime(): Runtime {
  return current ??= detect();
}

function detect(): Runtime {
  if (hostBun() !== undefined) return bunRuntime();
  if (hostDeno() !== undefined) return denoRuntime();
  if (isNode()) return nodeRuntime();
  throw new PlatformError("none of them", "osexec runs in Bun, in Deno and in Node");
}
