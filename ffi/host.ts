/**
 * What the runtimes take from their host in the same way: globals, modules of Node's, and libc.
 *
 * Globals are taken when this module loads: later a program may replace them (fake timers), or delete them.
 */

import type { EventStream, Runtime } from "./runtime.ts";

/** A global as it is now, to be read when it is needed: some of Deno's take milliseconds to load (timers 9). */
function take(name: string): () => unknown {
  const { get, value } = Object.getOwnPropertyDescriptor(globalThis, name) ?? {};
  return get === undefined ? () => value : () => get.call(globalThis);
}

const takeProcess = take("process") as () => HostProcess | undefined;
const takeImmediate = take("setImmediate") as () => (turn: () => void) => unknown;
const takeTimeout = take("setTimeout") as () => typeof setTimeout;
const takeStop = take("clearTimeout") as () => typeof clearTimeout;
const takeNavigator = take("navigator") as () => { hardwareConcurrency?: number } | undefined;
const takeBun = take("Bun");
const takeDeno = take("Deno");

interface HostProcess {
  readonly pid: number;
  on(event: "exit", action: () => void): unknown;
  getBuiltinModule(name: string): unknown;
  readonly versions?: { readonly bun?: string; readonly node?: string };
}

/** The host's `process`. */
export function hostProcess(): unknown {
  return takeProcess();
}

/** Bun's global, or undefined: on Deno it may be somebody's shim. */
export function hostBun(): unknown {
  const bun = takeBun();
  return bun !== undefined && takeProcess()?.versions?.bun !== undefined ? bun : undefined;
}

/** Deno's global, or undefined: on Node it may be somebody's shim. Not asked of `process`: 17 ms on Deno. */
export function hostDeno(): unknown {
  const deno = takeDeno() as { readonly internal?: symbol } | undefined;
  const key = deno?.internal;
  return typeof key === "symbol" && key in deno! ? deno : undefined;
}

/** Whether it is Node, or says so, as Bun and Deno do too. */
export function isNode(): boolean {
  return takeProcess()?.versions?.node !== undefined;
}

/** How many processors the runtime says there are. */
export function hostProcessors(): number {
  return takeNavigator()?.hardwareConcurrency ?? 1;
}

/** AbortController. */
export const HostAbortController: typeof AbortController = AbortController;

/** AbortSignal.any(). */
export const anySignal: typeof AbortSignal.any = AbortSignal.any.bind(AbortSignal);

/** A timer, as the runtimes have them: Node's. */
export interface HostTimer {
  ref(): void;
  unref(): void;
}

/** Milliseconds of the monotonic clock. Not by `performance` on Node, where that takes 0.9 ms to load. */
export const now: () => number = takeClock();

function takeClock(): () => number {
  if (takeBun() !== undefined || hostDeno() !== undefined || !isNode()) {
    return performance.now.bind(performance);
  }
  const { hrtime } = hostProcess() as { hrtime(): [number, number] };
  return () => {
    const [seconds, nanoseconds] = hrtime();
    return seconds * 1e3 + nanoseconds / 1e6;
  };
}

/** Milliseconds since the epoch. */
export const wallClock: () => number = Date.now;

const { queueMicrotask: queue } = globalThis;

/** setTimeout(). */
export function startTimer(action: () => void, milliseconds: number): HostTimer {
  const start = takeTimeout();
  return start(action, milliseconds) as unknown as HostTimer;
}

/** clearTimeout(). */
export function stopTimer(timer: HostTimer | undefined): void {
  if (timer === undefined) return;
  const stop = takeStop();
  stop(timer as unknown as number);
}

/** setImmediate(). */
export function hostImmediate(turn: () => void): void {
  takeImmediate()(turn);
}

/** Throws where nobody catches it: the host tells of it as it does. */
export function throwUncaught(error: unknown): void {
  queue(() => {
    throw error;
  });
}

/** Calls back when the program is about to end, by itself or by process.exit(). */
export function onExit(action: () => void): void {
  takeProcess()?.on("exit", action);
}

const { console: { error: print } } = globalThis;

/** A line on standard error. */
export function printError(line: string): void {
  print(line);
}

/** One of Node's modules, now: import() is late, and a static import is paid for by who never needs it. */
export function nodeModule(name: "node:fs"): typeof import("node:fs");
export function nodeModule(name: "node:net"): typeof import("node:net");
export function nodeModule(name: "node:os"): typeof import("node:os");
export function nodeModule(name: "node:path/posix"): typeof import("node:path/posix");
export function nodeModule(name: "node:path/win32"): typeof import("node:path/win32");
export function nodeModule(
  name: "node:worker_threads",
): typeof import("node:worker_threads");
export function nodeModule(name: string): unknown {
  const load = (): unknown => takeProcess()?.getBuiltinModule(name);
  const deno = hostDeno();
  if (deno === undefined || "Deno" in globalThis) return load();
  // Deno's own modules look for it while they load.
  Object.defineProperty(globalThis, "Deno", { value: deno, configurable: true });
  try {
    return load();
  } finally {
    Reflect.deleteProperty(globalThis, "Deno");
  }
}

/** The runtime's own word for a lack of --allow-ffi: Deno's NotCapable, or Node's ERR_ACCESS_DENIED. */
export function isDenied(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === "NotCapable" || ("permission" in error && error.permission === "FFI");
}

/** The functions of libc that a memfd takes, as a runtime calls them. */
export interface MemfdCalls {
  create(name: Uint8Array, flags: number): number;
  write(fd: number, bytes: Uint8Array): number;
}

/**
 * Opens the host's own libc by glibc's name, or by musl's. `arch`: in the words of `process.arch`. Without
 * --allow-ffi nothing else can succeed, and the runtime's own word is the best one.
 */
export function openLibc<Opened>(arch: string, open: (name: string) => Opened): Opened {
  const names = ["libc.so.6", `libc.musl-${arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];
  const reasons: string[] = [];
  for (const name of names) {
    try {
      return open(name);
    } catch (error) {
      if (isDenied(error)) throw error;
      reasons.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(reasons.join("; "));
}

/** A name as libc takes it. */
function cText(name: string): Uint8Array {
  return new TextEncoder().encode(`${name}\0`);
}

/** Writes the bytes into a new memfd and answers its descriptor, which stays open. */
export function makeMemfd({ create, write }: MemfdCalls, name: string, bytes: Uint8Array): number {
  const MFD_CLOEXEC = 1;
  const fd = create(cText(name), MFD_CLOEXEC);
  if (fd < 0) throw new Error("memfd_create failed");
  for (let offset = 0; offset < bytes.length;) {
    const written = write(fd, bytes.subarray(offset));
    if (written <= 0) throw new Error("writing to the memfd failed");
    offset += written;
  }
  return fd;
}

/** Makes a private directory for a temporary file. */
export function makeTemporaryDirectory(): string {
  return nodeModule("node:fs").mkdtempSync(`${nodeModule("node:os").tmpdir()}/osexec-`);
}

/** A memfd by what opens libraries here. Not by node:fs for the one write, which takes 2 ms to load on Bun. */
export function memfdBy(
  open: Runtime["open"],
  arch: string,
  name: string,
  bytes: Uint8Array,
): number {
  const libc = openLibc(arch, (path) =>
    open(path, {
      memfd_create: { parameters: ["buffer", "i32"], result: "i32" },
      write: { parameters: ["i32", "buffer", "i32"], result: "i32" },
    }).functions);
  return makeMemfd(
    {
      create: (text, flags) => libc.memfd_create!(text, flags),
      write: (fd, rest) => libc.write!(fd, rest, rest.length),
    },
    name,
    bytes,
  );
}

/**
 * Reads a socket by node:net, which then owns it, and does not keep the event loop alive; on Windows, where no runtime
 * takes a handle, the pipe of that number: see zig/windows/teller.zig.
 */
export function connectSocket(
  platform: string,
  fd: number,
  onData: (chunk: Uint8Array) => void,
): EventStream {
  const { Socket } = nodeModule("node:net");
  const socket = platform === "win32"
    ? new Socket().connect(`\\\\.\\pipe\\osexec-${takeProcess()?.pid}-${fd}`)
    : new Socket({ fd, readable: true, writable: false });
  socket.on("data", (chunk: Uint8Array) => onData(chunk));
  socket.on("error", () => {});
  socket.unref();
  return {
    ref() {
      socket.ref();
    },
    unref() {
      socket.unref();
    },
  };
}
