/** Node's side of the seam: node:ffi, and a node:net socket for the reactor's. */

import {
  connectSocket,
  hostImmediate,
  hostProcess,
  makeTemporaryDirectory,
  memfdBy,
  nodeModule,
} from "./host.ts";
import type {
  LibraryAttempt,
  NativeFunction,
  Opened,
  Runtime,
  Signature,
  Word,
} from "./runtime.ts";

interface NodeFunction {
  arguments: string[];
  return: string;
}

interface NodeFfi {
  dlopen(
    path: string,
    symbols: Readonly<Record<string, NodeFunction>>,
  ): { readonly functions: Record<string, NativeFunction>; readonly lib: { close(): void } };
}

interface NodeProcess {
  readonly platform: string;
  readonly arch: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly versions: { readonly node: string };
  getBuiltinModule?(name: "node:ffi"): NodeFfi | undefined;
}

/** Node as a runtime. */
export function nodeRuntime(): Runtime {
  const { platform, arch } = nodeProcess();
  return {
    platform,
    arch,
    connectsSlowly: false,
    get knowsOrphans() {
      // It waits by SIGCHLD and no pidfd. Of two looks by the loop that does, it has had its child at the second.
      return !isWorker();
    },
    lacks,
    allow() {},
    open,
    memfd: (name, bytes) => memfdBy(open, nodeProcess().arch, name, bytes),
    makeTemporaryDirectory,
    connect: (fd, onData) => connectSocket(platform, fd, onData),
    // A program is replaced together with its process.
    onUnload() {},
    setImmediate: hostImmediate,
    giveTurn,
    get environment() {
      // A Worker has a copy of its own; to list it takes longer than to read libc's.
      return isWorker() ? nodeProcess().env : null;
    },
    variable: (name) => nodeProcess().env[name],
  };
}

function nodeProcess(): NodeProcess {
  return hostProcess() as NodeProcess;
}

let worker: boolean | undefined;

/** Asked once, and of the kernel where that tells, as node:worker_threads takes 1.1 ms to load. */
function isWorker(): boolean {
  if (worker !== undefined) return worker;
  try {
    const [process, , thread] = nodeModule("node:fs").readlinkSync("/proc/thread-self").split("/");
    return worker = process !== thread;
  } catch {
    return worker = !nodeModule("node:worker_threads").isMainThread;
  }
}

function ffi(): NodeFfi | undefined {
  return nodeProcess().getBuiltinModule?.("node:ffi");
}

/** Where the module is there without a flag. */
const firstVersion = "26.9.0";

function lacks(): LibraryAttempt | null {
  if (ffi() !== undefined) return null;
  const { node } = nodeProcess().versions;
  const isOld = node.localeCompare(firstVersion, undefined, { numeric: true }) < 0;
  const remedy = isOld
    ? `osexec needs Node ${firstVersion} or later`
    : "was it started with --no-experimental-ffi, or built without it?";
  return { place: "node:ffi", reason: `it is not in this Node, ${node}: ${remedy}` };
}

const words: Readonly<Record<Word, string>> = { i32: "int32", buffer: "buffer" };

function open(path: string, symbols: Readonly<Record<string, Signature>>): Opened {
  const table: Record<string, NodeFunction> = {};
  for (const [name, { parameters, result }] of Object.entries(symbols)) {
    table[name] = { arguments: parameters.map((word) => words[word]), return: words[result] };
  }
  const { functions, lib } = ffi()!.dlopen(path, table);
  return { functions, close: () => lib.close() };
}

/** From a socket's callback the first immediate comes before any timer is looked at. */
function giveTurn(after: () => void): void {
  hostImmediate(() => hostImmediate(after));
}
