/** Bun's side of the seam: bun:ffi, and Bun.connect for the reactor's socket. */

import process from "node:process";
import type { EventStream, NativeFunction, Opened, Runtime, Signature } from "./runtime.ts";

interface BunFunction {
  args: string[];
  returns: string;
}

interface BunFfi {
  dlopen(
    path: string,
    symbols: Record<string, BunFunction>,
  ): { symbols: Record<string, NativeFunction>; close(): void };
}

interface BunSocket {
  ref(): void;
  unref(): void;
}

interface BunGlobal {
  connect(options: {
    fd: number;
    socket: {
      open(socket: BunSocket): void;
      data(socket: BunSocket, chunk: Uint8Array): void;
      error(): void;
      close(): void;
    };
  }): Promise<BunSocket>;
}

/** Bun as a runtime. */
export function bunRuntime(): Runtime {
  return {
    // One dlopen costs 0.3 ms in all, whatever it binds (measured).
    bindsOneByOne: false,
    open,
    memfd,
    makeTemporaryDirectory,
    connect,
    keepsEnvironment: true,
    mayReadEnvironment: () => true,
  };
}

/** A built-in module, now: a static import of bun:ffi would not load in Deno, and import() is late. */
function builtin<Module>(name: string): Module {
  return process.getBuiltinModule(name) as unknown as Module;
}

function open(
  path: string,
  symbols: Readonly<Record<string, Signature>>,
): Opened {
  const table: Record<string, BunFunction> = {};
  for (const [name, { parameters, result }] of Object.entries(symbols)) {
    table[name] = {
      args: parameters.map((word) => word === "buffer" ? "ptr" : word),
      returns: result,
    };
  }
  const opened = builtin<BunFfi>("bun:ffi").dlopen(path, table);
  return { functions: opened.symbols, close: () => opened.close() };
}

function memfd(name: string, bytes: Uint8Array): number {
  const fs = builtin<typeof import("node:fs")>("node:fs");
  const { memfd_create } = openLibc({
    memfd_create: { parameters: ["buffer", "i32"], result: "i32" },
  });
  const MFD_CLOEXEC = 1;
  const fd = memfd_create!(new TextEncoder().encode(`${name}\0`), MFD_CLOEXEC);
  if (fd < 0) throw new Error("memfd_create failed");
  for (let offset = 0; offset < bytes.length;) {
    offset += fs.writeSync(fd, bytes, offset);
  }
  return fd;
}

/** The host's own libc: by glibc's name, or by musl's. */
function openLibc(
  symbols: Readonly<Record<string, Signature>>,
): Record<string, NativeFunction> {
  try {
    return open("libc.so.6", symbols).functions;
  } catch {
    const arch = process.arch === "arm64" ? "aarch64" : "x86_64";
    return open(`libc.musl-${arch}.so.1`, symbols).functions;
  }
}

function makeTemporaryDirectory(): string {
  const fs = builtin<typeof import("node:fs")>("node:fs");
  const os = builtin<typeof import("node:os")>("node:os");
  return fs.mkdtempSync(`${os.tmpdir()}/osexec-`);
}

function connect(fd: number, onData: (chunk: Uint8Array) => void): EventStream {
  const { Bun } = globalThis as unknown as { Bun: BunGlobal };
  let socket: BunSocket | undefined;
  let referenced = false;
  function apply(): void {
    if (referenced) socket?.ref();
    else socket?.unref();
  }
  Bun.connect({
    fd,
    socket: {
      open(opened) {
        socket = opened;
        apply();
      },
      data(_, chunk) {
        onData(chunk);
      },
      error() {},
      close() {},
    },
  });
  return {
    ref() {
      referenced = true;
      apply();
    },
    unref() {
      referenced = false;
      apply();
    },
  };
}
