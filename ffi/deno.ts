/** Deno's side of the seam: Deno.dlopen, and a node:net socket for the reactor's. */

import {
  type EventStream,
  type NativeFunction,
  nodeModule,
  type Opened,
  type Runtime,
  type Signature,
  type Word,
} from "./runtime.ts";

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
    querySync(descriptor: { name: string; variable: string }): { state: string };
  };
  build: { readonly os: string; readonly arch: string };
  env: { get(name: string): string | undefined };
}

/** Deno as a runtime. */
export function denoRuntime(): Runtime {
  const { os, arch } = deno().build;
  return {
    platform: os,
    arch: arch === "aarch64" ? "arm64" : "x64",
    // A function with a buffer costs 0.3 ms to bind (measured).
    bindsOneByOne: true,
    open,
    memfd,
    makeTemporaryDirectory: () => deno().makeTempDirSync({ prefix: "osexec-" }),
    connect,
    environment: null,
    variable(name) {
      const { state } = deno().permissions.querySync({ name: "env", variable: name });
      return state === "granted" ? deno().env.get(name) : undefined;
    },
  };
}

function deno(): DenoGlobal {
  return (globalThis as unknown as { Deno: DenoGlobal }).Deno;
}

function open(
  path: string,
  symbols: Readonly<Record<string, Signature>>,
): Opened {
  const opened = deno().dlopen(path, symbols);
  const functions = opened.symbols as Record<string, NativeFunction>;
  return { functions, close: () => opened.close() };
}

function memfd(name: string, bytes: Uint8Array): number {
  // Addresses, not buffers: three times as quick to bind, and bound for this one use.
  const { memfd_create, write } = openLibc({
    memfd_create: { parameters: ["pointer", "i32"], result: "i32" },
    write: { parameters: ["i32", "pointer", "usize"], result: "isize" },
  });
  const of = deno().UnsafePointer.of;
  const MFD_CLOEXEC = 1;
  const fd = Number(memfd_create!(of(new TextEncoder().encode(`${name}\0`)), MFD_CLOEXEC));
  if (fd < 0) throw new Error("memfd_create failed");
  for (let offset = 0; offset < bytes.length;) {
    const rest = bytes.subarray(offset);
    const written = Number(write!(fd, of(rest), BigInt(rest.length)));
    if (written <= 0) throw new Error("writing to the memfd failed");
    offset += written;
  }
  return fd;
}

/** The host's own libc: by glibc's name, or by musl's. */
function openLibc(
  symbols: Readonly<Record<string, DenoFunction>>,
): Record<string, (...parameters: unknown[]) => unknown> {
  try {
    return deno().dlopen("libc.so.6", symbols).symbols;
  } catch (error) {
    // Without --allow-ffi nothing else can succeed, and Deno's own word is the best one.
    if (error instanceof Error && error.name === "NotCapable") throw error;
    return deno().dlopen(`libc.musl-${deno().build.arch}.so.1`, symbols).symbols;
  }
}

function connect(fd: number, onData: (chunk: Uint8Array) => void): EventStream {
  const net = nodeModule("node:net");
  const socket = new net.Socket({ fd, readable: true, writable: false });
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
