/** The environment of a child: Go's rules for duplicates and PWD, over a record or a list. */

import { goQuote } from "./errors.ts";
import { absolutePath } from "./paths.ts";

/**
 * The environment: a record (undefined deletes; an empty key or one with "=" is refused at the
 * start), or Go's list of "k=v", in which the last of a key wins. A NUL is refused at the start:
 * SpawnError, step "request".
 */
export type Env = Readonly<Record<string, string | undefined>> | readonly string[];

/**
 * Why a start refuses this environment, as a sentence for SpawnError's step "request", or null if
 * it does not. A NUL is refused in Go's words (go.dev/issue/56284: it would smuggle in a second
 * variable), and so is a record's key that would read back as another: empty, or with a "=".
 * Throws TypeError for what is no environment at all, or a value that is not a string.
 */
export function environmentProblem(env: Env): string | null {
  if (clean.has(env)) return null;
  if (!isList(env)) {
    for (const [key, value] of variables(env)) {
      if (key === "") return "environment key is empty";
      if (key.includes("=")) return `environment key ${goQuote(key)} contains "="`;
      if (hasNul(key) || hasNul(value)) return "environment variable contains NUL";
    }
    return null;
  }
  return checkedList(env).some(hasNul) ? "environment variable contains NUL" : null;
}

/**
 * The environment as a new list of "k=v", in its own order. A list is taken verbatim; of a record
 * the undefined values and the keys that `environmentProblem` refuses are left out, so that no key
 * can pass for another. Throws TypeError as `environmentProblem` does.
 */
export function environmentList(env: Env): readonly string[] {
  if (isList(env)) return clean.has(env) ? env : [...checkedList(env)];
  const list: string[] = [];
  for (const [key, value] of variables(env)) {
    if (key !== "" && !key.includes("=")) list.push(`${key}=${value}`);
  }
  return list;
}

/**
 * Go's dedupEnv: of entries with one key the last stays, at its own place. A key is what stands
 * before the first "=" that is not the entry's first character; where there is no "=" but that one,
 * it is empty. Entries without any "=" are kept as they are, empty ones and those with a NUL are
 * left out.
 */
export function dedupEnvironment(list: readonly string[]): readonly string[] {
  const known = deduplicated.get(list);
  if (known !== undefined) return known;
  const kept = freezeEnvironment(dedup(list));
  clean.add(kept);
  if (frozen.has(list)) deduplicated.set(list, kept);
  return kept;
}

/** Freezes a list, so that what has been made of it may be kept: asking Object.isFrozen costs 6 µs on Bun. */
export function freezeEnvironment(list: string[]): readonly string[] {
  frozen.add(list);
  return Object.freeze(list);
}

/** Whether a list was checked and cannot change any more. */
export function isCleanEnvironment(list: readonly string[]): boolean {
  return clean.has(list);
}

const frozen = new WeakSet<readonly string[]>();
const clean = new WeakSet<Env>();
/** By the list: a program's own environment seldom changes between two starts. */
const deduplicated = new WeakMap<readonly string[], readonly string[]>();

function dedup(list: readonly string[]): string[] {
  const seen = new Set<string>();
  const kept: string[] = [];
  for (const entry of list.toReversed()) {
    if (entry === "" || hasNul(entry)) continue;
    const key = keyOf(entry);
    if (key !== null) {
      if (seen.has(key)) continue;
      seen.add(key);
    }
    kept.push(entry);
  }
  return kept.reverse();
}

/**
 * The list with the PWD that Go adds when a command has a directory and no environment of its own:
 * POSIX wants PWD to name the working directory. `cwd` is this process's, and must be absolute.
 */
export function withPwd(list: readonly string[], dir: string, cwd: string): string[] {
  return [...list, `PWD=${absolutePath(dir, cwd)}`];
}

function keyOf(entry: string): string | null {
  const first = entry.indexOf("=");
  if (first < 0) return null;
  return entry.slice(0, first > 0 ? first : Math.max(entry.indexOf("=", 1), 0));
}

function hasNul(text: string): boolean {
  return text.includes("\0");
}

/** Array.isArray does not narrow to a readonly array, hence a guard of our own. */
function isList(env: Env): env is readonly string[] {
  return Array.isArray(env);
}

function checkedList(list: readonly string[]): readonly string[] {
  for (const [index, entry] of list.entries()) {
    if (typeof entry !== "string") {
      throw new TypeError(`Environment entry ${index} is not a string`);
    }
  }
  return list;
}

function variables(record: Readonly<Record<string, string | undefined>>): [string, string][] {
  if (typeof record !== "object" || record === null) {
    throw new TypeError("The environment is neither a record nor a list");
  }
  const set: [string, string][] = [];
  for (const [key, value] of Object.entries(record)) {
    if (value === undefined) continue;
    if (typeof value !== "string") {
      throw new TypeError(`Environment variable ${goQuote(key)} is not a string`);
    }
    set.push([key, value]);
  }
  return set;
}
