/** The environment of a child: Go's rules for duplicates and PWD, over a record or a list. */

import { hasHalf, type Text, toText } from "../../ffi/text.ts";
import { goQuote } from "../errors.ts";
import { isRecord, layersOf } from "../fields.ts";
import { currentOS } from "../os.ts";
import { absolutePath } from "../paths.ts";

/**
 * The environment: a record (undefined deletes; an empty key or one with "=" is refused at the
 * start), or Go's list of "k=v", in which the last of a key wins. A NUL is refused at the start:
 * SpawnError, step "request".
 */
export type Env = Readonly<Record<string, Text | undefined>> | readonly Text[];

/** What is added to an environment, or with undefined taken out of it. */
export type ExtraEnv = Readonly<Record<string, Text | undefined>>;

/** An environment that has been read once. */
export interface ReadEnvironment {
  /**
   * A new list of "k=v", in its own order. A list is taken verbatim; of a record the undefined values are left
   * out, and so is what `problem` is about, so that no key can pass for another.
   */
  readonly list: readonly string[];
  /**
   * Why a start refuses it, as a sentence for SpawnError's step "request", or null. A NUL is refused in Go's
   * words (go.dev/issue/56284: it would smuggle in a second variable), and so is a record's key that would
   * read back as another: empty, or with a "=".
   */
  readonly problem: string | null;
}

/** Reads an environment. Throws TypeError for what is none, or for a value that is not a string. */
export function readEnvironment(env: Env): ReadEnvironment {
  if (!isList(env)) return readVariables(variables(env));
  if (isClean(env)) return { list: env, problem: null };
  const list = Array.from(env, (entry, index) => toText(`Environment entry ${index}`, entry));
  if (list.some(hasNul)) return { list, problem: nulProblem };
  return { list, problem: list.some(hasHalf) ? halfProblem : null };
}

/** The same, of names and values. */
export function readVariables(entries: Iterable<readonly [string, string]>): ReadEnvironment {
  const list: string[] = [];
  let problem: string | null = null;
  for (const [key, value] of entries) {
    const wrong = variableProblem(key, value);
    problem ??= wrong;
    if (wrong === null || wrong === nulProblem || wrong === halfProblem) {
      list.push(`${key}=${value}`);
    }
  }
  return { list, problem };
}

/** A list with `extra` in it. */
export function extendEnvironment(list: readonly string[], extra: ExtraEnv): ReadEnvironment {
  const values = allVariables(extra, "extraEnv");
  const added = readVariables(setOnly(values, "extraEnv:"));
  const folds = foldsCase();
  const keys = new Set(Array.from(values.keys(), (key) => folds ? key.toUpperCase() : key));
  const rest = list.filter((entry) => !keys.has(keyOf(entry, folds) ?? ""));
  return { list: [...rest, ...added.list], problem: added.problem };
}

const nulProblem = "environment variable contains NUL";
const halfProblem = "environment variable contains half of a surrogate pair";

function variableProblem(key: string, value: string): string | null {
  if (key === "") return "environment key is empty";
  // Windows keeps each drive's directory in "=C:".
  if (key.includes("=", currentOS() === "win32" ? 1 : 0)) {
    return `environment key ${goQuote(key)} contains "="`;
  }
  if (hasNul(key) || hasNul(value)) return nulProblem;
  return hasHalf(key) || hasHalf(value) ? halfProblem : null;
}

/** Why a start refuses this environment: see ReadEnvironment. */
export function environmentProblem(env: Env): string | null {
  return readEnvironment(env).problem;
}

/** The environment as a list: see ReadEnvironment. */
export function environmentList(env: Env): readonly string[] {
  return readEnvironment(env).list;
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
  const kept = freezeUnique(firstOfEach(list.toReversed()).reverse());
  if (frozen.has(list)) deduplicated.set(list, kept);
  return kept;
}

/** Freezes a list that has been checked, and in which no key comes twice. */
export function freezeUnique(list: string[]): readonly string[] {
  const unique = freezeEnvironment(list);
  clean.add(unique);
  deduplicated.set(unique, unique);
  return unique;
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

function isClean(list: readonly Text[]): list is readonly string[] {
  return clean.has(list);
}

const frozen = new WeakSet<readonly string[]>();
const clean = new WeakSet<Env>();
/** By the list: a program's own environment seldom changes between two starts. */
const deduplicated = new WeakMap<readonly string[], readonly string[]>();

/**
 * The list with the PWD that Go adds when a command has a directory and no environment of its own:
 * POSIX wants PWD to name the working directory. `cwd` is this process's, and must be absolute.
 */
export function withPwd(list: readonly string[], dir: string, cwd: string): string[] {
  return [...list, `PWD=${absolutePath(dir, cwd)}`];
}

function keyOf(entry: string, folds: boolean): string | null {
  const first = entry.indexOf("=");
  if (first < 0) return null;
  const key = entry.slice(0, first > 0 ? first : Math.max(entry.indexOf("=", 1), 0));
  return folds ? key.toUpperCase() : key;
}

/** Whether the case of a name says nothing. Asked once for a list: a first start has nothing compiled. */
function foldsCase(): boolean {
  return currentOS() === "win32";
}

function hasNul(text: string): boolean {
  return text.includes("\0");
}

/** Array.isArray does not narrow to a readonly array, hence a guard of our own. */
function isList(env: Env): env is readonly Text[] {
  return Array.isArray(env);
}

function variables(record: Readonly<Record<string, Text | undefined>>): Map<string, string> {
  return setOnly(allVariables(record, "The environment"), "Environment");
}

/** Own ones, and those of prototypes, as of Object.create(process.env): each read once. */
function allVariables(record: unknown, what: string): Map<string, unknown> {
  if (typeof record === "object" && record !== null && Symbol.iterator in record) {
    throw new TypeError(`${what} is a Map or another iterable: Object.fromEntries() of it`);
  }
  if (!isRecord(record)) throw new TypeError(`${what} is neither a record nor a list`);
  const values = new Map<string, unknown>();
  for (const layer of layersOf(record)) {
    for (const key of Object.keys(layer)) {
      if (!values.has(key)) values.set(key, Reflect.get(record, key));
    }
  }
  return values;
}

function setOnly(values: ReadonlyMap<string, unknown>, whose: string): Map<string, string> {
  const set = new Map<string, string>();
  for (const [key, value] of values) {
    if (value === undefined) continue;
    set.set(key, toText(`${whose} variable ${goQuote(key)}`, value));
  }
  return set;
}

/**
 * Of entries with one name the first, as libc's getenv has it, and so Go's copy of the environment. Without what has no
 * name and no place in one: empty entries, and those with a NUL.
 */
export function firstOfEach(list: readonly string[]): string[] {
  const folds = foldsCase();
  const seen = new Set<string>();
  const kept: string[] = [];
  for (const entry of list) {
    if (entry === "" || hasNul(entry)) continue;
    const key = keyOf(entry, folds);
    if (key !== null) {
      if (seen.has(key)) continue;
      seen.add(key);
    }
    kept.push(entry);
  }
  return kept;
}
