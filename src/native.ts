/** This process as native code sees it: its environment, its directory, and the errors of its calls. */

import { library } from "../ffi/library.ts";
import { decodeText, encodeText } from "../ffi/text.ts";
import { currentRuntime } from "../ffi/runtime.ts";
import {
  firstOfEach,
  freezeEnvironment,
  freezeUnique,
  type ReadEnvironment,
  readVariables,
} from "./start/environment.ts";
import { Errno, wouldBlock } from "./errno.ts";
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

/** A string as native code wants it: its bytes with a NUL at the end. */
export function cString(text: string): Uint8Array {
  return encodeText(`${text}\0`);
}

/** The working directory. Not process.cwd(), for which Deno wants --allow-read. */
export function workingDirectory(): string {
  // PATH_MAX: getcwd(2) answers no longer one.
  const bytes = new Uint8Array(4096);
  const length = check(library().osexec_getcwd(bytes, bytes.length), "getcwd");
  return decodeText(bytes.subarray(0, Math.max(length - 1, 0)));
}

/** The last answer, to be given again as long as nothing has changed: what it became is kept by it. */
let last: ReadEnvironment = { list: [], problem: null };
/** Of `last`: where it was read from native code, the bytes. */
let inheritedBytes = new Uint8Array(0);

/**
 * This process's environment, as "k=v", which the program may have changed: `process.env` on Bun, which
 * keeps its own copy, and libc's on Deno, where `process.env` writes through to it, costs 80 µs to list
 * (measured) and needs a permission. The same list as long as nothing has changed.
 */
export function inheritedEnvironment(): readonly string[] {
  return inherited().list;
}

/** The same, and why a start refuses it: Bun's `process.env` takes what no environment can hold. */
export function inherited(): ReadEnvironment {
  const { environment } = currentRuntime();
  if (environment !== null) readProcessEnvironment(environment);
  else readHostEnvironment();
  return last;
}

/** One variable of this process's environment. */
export function inheritedVariable(name: string): string | undefined {
  const { environment } = currentRuntime();
  if (environment !== null) return environment[name];
  const prefix = `${name}=`;
  return inheritedEnvironment().find((entry) => entry.startsWith(prefix))?.slice(prefix.length);
}

/** Of `last`, where it was read from `process.env`: the names and the values. */
let inheritedKeys: readonly string[] = [];
let inheritedValues: readonly (string | undefined)[] = [];

function readProcessEnvironment(env: Readonly<Record<string, string | undefined>>): void {
  // Comparing what is there takes a sixth of the time that Object.entries() takes on Bun (measured).
  const keys = Object.keys(env);
  let same = keys.length === inheritedKeys.length;
  for (let index = 0; same && index < keys.length; index++) {
    const key = keys[index];
    same = key !== undefined && key === inheritedKeys[index] && env[key] === inheritedValues[index];
  }
  if (same) return;
  inheritedKeys = keys;
  inheritedValues = keys.map((key) => env[key]);
  const entries: [string, string][] = [];
  for (const [index, key] of keys.entries()) {
    const value = inheritedValues[index];
    if (value !== undefined) entries.push([key, value]);
  }
  if (entries.some(isDamaged)) mend(entries);
  const { list, problem } = readVariables(entries);
  // Names of an object come once; what Windows takes for one name may be two there.
  const isUnique = problem === null && currentOS() !== "win32";
  last = { list: isUnique ? freezeUnique([...list]) : freezeEnvironment([...list]), problem };
}

/** Whether it may have been made of bytes that are no UTF-8. */
function isDamaged([key, value]: readonly [string, string]): boolean {
  return value.includes("\ufffd") || key.includes("\ufffd");
}

/** Puts what libc has in place of what `process.env` could not hold, if the program has not changed it. */
function mend(entries: [string, string][]): void {
  readHostEnvironment();
  const lossy = new TextDecoder("utf-8", { ignoreBOM: true });
  const whole = new Map(
    entriesOf(inheritedBytes).map((entry) => [lossy.decode(encodeText(entry)), entry]),
  );
  for (const pair of entries) {
    const entry = isDamaged(pair) ? whole.get(pair.join("=")) : undefined;
    if (entry === undefined) continue;
    const at = entry.indexOf("=");
    pair[0] = entry.slice(0, at);
    pair[1] = entry.slice(at + 1);
  }
}

/** In front of the environment: of the list that it was read from. */
const sumSize = 8;
let environmentBuffer = new Uint8Array(16 * 1024);

function readHostEnvironment(): void {
  let length = readEnviron();
  // It may have grown again meanwhile.
  while (length > environmentBuffer.length - sumSize) {
    environmentBuffer = new Uint8Array(2 * length + sumSize);
    length = readEnviron();
  }
  if (length < 0) return;
  const bytes = environmentBuffer.subarray(sumSize, sumSize + length);
  if (sameBytes(bytes, inheritedBytes)) return;
  inheritedBytes = bytes.slice();
  last = { list: freezeUnique(firstOfEach(entriesOf(inheritedBytes))), problem: null };
}

function entriesOf(bytes: Uint8Array): string[] {
  const text = decodeText(bytes);
  return text === "" ? [] : text.slice(0, -1).split("\0");
}

/**
 * Negative: it is what it was; or somebody has begun to change it, and was stopped in the middle for longer than one
 * waits: then what it was before.
 */
function readEnviron(): number {
  const answer = library().osexec_environ(environmentBuffer, environmentBuffer.length);
  const isChanging = -answer === wouldBlock(currentOS()) && inheritedBytes.length > 0;
  return answer === -Errno.EEXIST || isChanging ? answer : check(answer, "environ");
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) {
    if (a[index] !== b[index]) return false;
  }
  return true;
}
