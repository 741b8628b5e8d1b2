/** Deno's side of the seam: Deno.dlopen, and a node:net socket for the reactor's. */

import { connectSocket, hostDeno, hostImmediate, makeMemfd, now, openLibc } from "./host.ts";
import type { NativeFunction, Opened, Runtime, Signature, Word } from "./runtime.ts";

type DenoWord = Word | "pointer" | "usize" | "isize";

interface DenoFunction {
  readonly parameters: readonly DenoWord[];
  readonly result: DenoWord;
}

interface DenoGlobal {
  dlopen(
    path: string,
    symbols: Readonly<Record<string, DenoFunction>>,
  ): { symbols: Record<string, (...parameters: unknown[]) => unknown>; close(): void };
  UnsafePointer: { of(bytes: Uint8Array): unknown };
  makeTempDirSync(options: { prefix: string }): string;
  permissions: {
    querySync(descriptor: { name: string; variable?: string }): { state: string };
    requestSync(descriptor: { name: string }): { state: string };
  };
  build: { readonly os: string; readonly arch: string };
  env: { get(name: string): string | undefined };
}

/** Deno as a runtime. */
export function denoRuntime(): Runtime {
  const { os } = deno().build;
  const platform = os === "windows" ? "win32" : os;
  return {
    platform,
    arch: nodeArch(),
    connectsSlowly: os !== "windows",
    // It waits by pidfds.
    knowsOrphans: true,
    lacks: () => null,
    allow,
    open,
    memfd,
    makeTemporaryDirectory: () => deno().makeTempDirSync({ prefix: "osexec-" }),
    connect: (fd, onData) => connectSocket(platform, fd, onData),
    // `deno run --watch`: in the same process, and with the same thread.
    onUnload: (action) => globalThis.addEventListener("unload", action),
    setImmediate,
    giveTurn,
    environment: null,
    variable(name) {
      const { state } = deno().permissions.querySync({ name: "env", variable: name });
      return state === "granted" ? deno().env.get(name) : undefined;
    },
  };
}

/** One question where Deno would ask four, of files that nobody has heard of; and one answer. */
function allow(): void {
  const { permissions } = deno();
  const ffi = { name: "ffi" };
  if (permissions.querySync(ffi).state === "granted") return;
  if (permissions.requestSync(ffi).state === "granted") return;
  const error = new Error("osexec needs --allow-ffi, without a list of paths");
  error.name = "NotCapable";
  throw error;
}

function nodeArch(): string {
  return deno().build.arch === "aarch64" ? "arm64" : "x64";
}

function deno(): DenoGlobal {
  return hostDeno() as DenoGlobal;
}

function open(
  path: string,
  symbols: Readonly<Record<string, Signature>>,
): Opened {
  const opened = deno().dlopen(path, symbols);
  const functions = opened.symbols as Record<string, NativeFunction>;
  return { functions, close: () => opened.close() };
}

/** By addresses, not buffers: three times as quick to bind, and bound for this one use. */
function memfd(name: string, bytes: Uint8Array): number {
  const { dlopen, UnsafePointer: { of } } = deno();
  const libc = openLibc(nodeArch(), (path) =>
    dlopen(path, {
      memfd_create: { parameters: ["pointer", "i32"], result: "i32" },
      write: { parameters: ["i32", "pointer", "usize"], result: "isize" },
    }).symbols);
  return makeMemfd(
    {
      create: (text, flags) => Number(libc.memfd_create!(of(text), flags)),
      write: (fd, rest) => Number(libc.write!(fd, of(rest), BigInt(rest.length))),
    },
    name,
    bytes,
  );
}

/** Taken at once, as ./host.ts does; not on Node, where that takes 1 ms. */
const Channel = hostDeno() === undefined ? undefined : MessageChannel;

/** Turns that are had by a message each, which takes 30 to 100 µs. */
let messages = 64;

/** setImmediate takes 6 ms to load as a global, of node:timers 21; a first message takes 2. */
function setImmediate(turn: () => void): void {
  if (messages === 0 || Channel === undefined) {
    hostImmediate(turn);
    return;
  }
  messages -= 1;
  const { port1, port2 } = new Channel();
  port1.onmessage = () => {
    port1.close();
    port2.close();
    turn();
  };
  port2.postMessage(null);
}

/**
 * Its loop looks at descriptors only when nothing else is to be done, or every 61st time: tokio's event_interval.
 * With one immediate every 8 ms a socket was heard after 500 ms (measured); so many take 0.2 ms, and a timer of
 * 0 ms takes 1.1.
 */
const ticks = 62;
/** Milliseconds after which whoever asks for a turn has not kept the loop from others. */
const quiet = 50;
let lastTurn = 0;

function giveTurn(after: () => void): void {
  const isBusy = now() - lastTurn < quiet;
  const end = (): void => {
    lastTurn = now();
    after();
  };
  // The first one of all is also the first use of immediates: see setImmediate().
  if (!isBusy) return setImmediate(end);
  let left = ticks;
  const tick = (): void => {
    left -= 1;
    if (left < 0) end();
    else hostImmediate(tick);
  };
  tick();
}
