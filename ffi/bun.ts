/** Bun's side of the seam: bun:ffi, and Bun.connect for the reactor's socket. */

import {
  connectSocket,
  hostBun,
  hostImmediate,
  hostProcess,
  makeTemporaryDirectory,
  memfdBy,
} from "./host.ts";
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

interface BunProcess {
  readonly platform: string;
  readonly arch: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  getBuiltinModule(name: "bun:ffi"): BunFfi;
}

/** Bun as a runtime. */
export function bunRuntime(): Runtime {
  const { platform, arch } = bunProcess();
  return {
    platform,
    arch,
    connectsSlowly: false,
    // It waits by pidfds.
    knowsOrphans: true,
    lacks: () => null,
    allow() {},
    open,
    memfd: (name, bytes) => memfdBy(open, bunProcess().arch, name, bytes),
    makeTemporaryDirectory,
    connect: platform === "win32" ? (fd, onData) => connectSocket(platform, fd, onData) : connect,
    // Its globals outlive a reload: see ./reactor.ts.
    onUnload() {},
    setImmediate: hostImmediate,
    giveTurn: hostImmediate,
    get environment() {
      return bunProcess().env;
    },
    variable: (name) => bunProcess().env[name],
  };
}

function bunProcess(): BunProcess {
  return hostProcess() as BunProcess;
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
  const opened = bunProcess().getBuiltinModule("bun:ffi").dlopen(path, table);
  return { functions: opened.symbols, close: () => opened.close() };
}

function connect(fd: number, onData: (chunk: Uint8Array) => void): EventStream {
  const bun = hostBun() as BunGlobal;
  let socket: BunSocket | undefined;
  let referenced = false;
  function apply(): void {
    if (referenced) socket?.ref();
    else socket?.unref();
  }
  bun.connect({
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
