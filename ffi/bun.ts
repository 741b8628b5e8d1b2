/** Bun's side of the seam: bun:ffi, and Bun.connect for the reactor's socket. */

import {
  type EventStream,
  type NativeFunction,
  nodeModule,
  type Opened,
  type Runtime,
  type Signature,
} from "./runtime.ts";

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
    // One dlopen costs 0.3 ms in all, whatever it binds (measured).
    bindsOneByOne: false,
    open,
    memfd,
    makeTemporaryDirectory,
    connect,
    get environment() {
      return bunProcess().env;
    },
    variable: (name) => bunProcess().env[name],
  };
}

function bunProcess(): BunProcess {
  return (globalThis as unknown as { process: BunProcess }).process;
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

function memfd(name: string, bytes: Uint8Array): number {
  // Loading node:fs for the one write takes 2 ms.
  const { memfd_create, write } = openLibc({
    memfd_create: { parameters: ["buffer", "i32"], result: "i32" },
    write: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  });
  const MFD_CLOEXEC = 1;
  const fd = memfd_create!(new TextEncoder().encode(`${name}\0`), MFD_CLOEXEC);
  if (fd < 0) throw new Error("memfd_create failed");
  for (let offset = 0; offset < bytes.length;) {
    const rest = bytes.subarray(offset);
    const written = write!(fd, rest, rest.length);
    if (written <= 0) throw new Error("writing to the memfd failed");
    offset += written;
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
    const arch = bunProcess().arch === "arm64" ? "aarch64" : "x86_64";
    return open(`libc.musl-${arch}.so.1`, symbols).functions;
  }
}

function makeTemporaryDirectory(): string {
  return nodeModule("node:fs").mkdtempSync(`${nodeModule("node:os").tmpdir()}/osexec-`);
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
