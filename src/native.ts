/** This process as native code sees it: its environment, its directory, and the errors of its calls. */

import process from "node:process";
import { library } from "../ffi/library.ts";
import { currentRuntime } from "../ffi/runtime.ts";
import { SyscallError } from "./errors.ts";
import { currentOS } from "./os.ts";

/** The answer of a native call, or the SyscallError that a negative one stands for. */
export function check(answer: number, syscall: string, path?: string): number {
  if (answer < 0) throw syscallError(-answer, syscall, path);
  return answer;
}

/** The error of a failed call. */
export function syscallError(errno: number, syscall: string, path?: string): SyscallError {
  return new SyscallError({ syscall, errno, os: currentOS(), path });
}

/** A string as native code wants it: UTF-8 with a NUL at the end. */
export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

/** The working directory. Not process.cwd(), for which Deno wants --allow-read. */
export function workingDirectory(): string {
  // PATH_MAX: getcwd(2) answers no longer one.
  const bytes = new Uint8Array(4096);
  const length = check(library().osexec_getcwd(bytes, bytes.length), "getcwd");
  return new TextDecoder().decode(bytes.subarray(0, Math.max(length - 1, 0)));
}

let hostEnvironment: readonly string[] | undefined;

/**
 * This process's environment, as "k=v": `process.env`, which the program may have changed, or where
 * Deno does not allow to read that, what the host was started with.
 */
export function inheritedEnvironment(): string[] {
  if (!currentRuntime().mayReadEnvironment()) return [...hostEnvironment ??= readHostEnvironment()];
  const list: string[] = [];
  for (const [key, value] of Object.entries(process.env)) {
    if (value !== undefined) list.push(`${key}=${value}`);
  }
  return list;
}

/** One variable of this process's environment. */
export function inheritedVariable(name: string): string | undefined {
  if (currentRuntime().mayReadEnvironment(name)) return process.env[name];
  hostEnvironment ??= readHostEnvironment();
  const prefix = `${name}=`;
  return hostEnvironment.find((entry) => entry.startsWith(prefix))?.slice(prefix.length);
}

function readHostEnvironment(): readonly string[] {
  let bytes = new Uint8Array(32 * 1024);
  while (true) {
    const length = check(library().osexec_environ(bytes, bytes.length), "environ");
    if (length > bytes.length) {
      bytes = new Uint8Array(length);
      continue;
    }
    const text = new TextDecoder().decode(bytes.subarray(0, length));
    return text === "" ? [] : text.slice(0, -1).split("\0");
  }
}
