/** Many commands, some of them at a time. */

import { HostAbortController, hostProcessors } from "../../ffi/host.ts";
import { Command } from "./command.ts";
import { asError } from "../errors.ts";
import { readOptions } from "../fields.ts";
import { checkSignal } from "../file/file.ts";
import type { ProcessState } from "../process/process_state.ts";
import { eitherSignal } from "./timeout.ts";

/** How parallel() runs its commands. */
export interface ParallelOptions {
  /** How many run at a time. Default: as many as the runtime says there are processors. */
  concurrency?: number | undefined;
  /** When it aborts, nothing more is started, and what runs is aborted as by a signal of its own. */
  signal?: AbortSignal | undefined;
  /** Whether the first failure ends the rest in the same way. Default false. */
  failFast?: boolean | undefined;
}

/** One of many commands, once it has ended. */
export interface Ended {
  /** Its place in the input, from 0. */
  readonly index: number;
  /** The command itself. */
  readonly command: Command;
  /** How it ended; absent where it could not be started. */
  readonly state?: ProcessState | undefined;
  /** What its run() rejected with; absent where it did not. */
  readonly error?: Error | undefined;
}

const optionNames: ReadonlySet<string> = new Set<keyof ParallelOptions>([
  "concurrency",
  "failFast",
  "signal",
]);

/**
 * Runs each command by its run(), and gives each as it ends. Of an iterable no more is taken than there is room to run.
 * A failing command is no error of the whole: see Ended.error. When `signal` has aborted and all have ended, its reason
 * is thrown. Leaving the loop early kills what runs, and reaps it. TypeError for what is no Command; what the iterable
 * throws is thrown when those that run have been ended.
 *
 * @example
 * ```ts
 * import { Command, parallel } from "osexec";
 *
 * const jobs = ["1", "2", "3"].map((n) => new Command("sh", ["-c", `exit ${n}`]));
 * for await (const { index, state } of parallel(jobs, { concurrency: 2 })) {
 *   console.log(index, `${state}`); // 0 "exit status 1", …
 * }
 * ```
 */
export function parallel(
  commands: Iterable<Command> | AsyncIterable<Command>,
  options: ParallelOptions = {},
): AsyncGenerator<Ended, undefined> {
  const given = readOptions("parallel()", "ParallelOptions", options, optionNames);
  const { concurrency = hostProcessors(), signal, failFast = false } = given;
  if (typeof concurrency !== "number" || !(concurrency >= 1)) {
    throw new TypeError("concurrency is not a number of commands");
  }
  if (typeof failFast !== "boolean") throw new TypeError("failFast is no boolean");
  if (signal !== undefined) checkSignal(signal);
  return run(iteratorOf(commands), concurrency, signal, failFast);
}

function iteratorOf(
  commands: Iterable<Command> | AsyncIterable<Command>,
): Iterator<Command> | AsyncIterator<Command> {
  const isObject = typeof commands === "object" && commands !== null;
  if (isObject && Symbol.asyncIterator in commands) return commands[Symbol.asyncIterator]();
  if (isObject && Symbol.iterator in commands) return commands[Symbol.iterator]();
  throw new TypeError("The commands are no iterable");
}

async function* run(
  source: Iterator<Command> | AsyncIterator<Command>,
  concurrency: number,
  signal: AbortSignal | undefined,
  failFast: boolean,
): AsyncGenerator<Ended, undefined> {
  signal?.throwIfAborted();
  const rest = new HostAbortController();
  const running = new Map<number, Job>();
  /** The next command, while it is waited for. */
  let pull: Promise<Pulled> | undefined;
  let isExhausted = false;
  let count = 0;
  const aborted = Promise.withResolvers<"aborted">();
  const onAbort = (): void => {
    rest.abort(signal?.reason);
    aborted.resolve("aborted");
  };
  signal?.addEventListener("abort", onAbort);
  try {
    while (true) {
      const isOpen: boolean = !isExhausted && !rest.signal.aborted;
      if (isOpen && running.size < concurrency) pull ??= pullFrom(source);
      const waiting: Promise<Pulled | "aborted">[] = [];
      if (isOpen && pull !== undefined) waiting.push(pull, aborted.promise);
      if (waiting.length === 0 && running.size === 0) break;
      const ends = Array.from(running.values(), ({ end }) => end);
      const first = await Promise.race([...waiting, ...ends]);
      if (first === "aborted") continue;
      if ("next" in first) {
        pull = undefined;
        isExhausted = first.next.done ?? false;
        if (first.next.done) continue;
        const index = count++;
        running.set(index, begin(first.next.value, index, rest.signal));
        continue;
      }
      running.delete(first.index);
      if (failFast && first.error !== undefined) rest.abort(first.error);
      yield first;
    }
  } finally {
    signal?.removeEventListener("abort", onAbort);
    // One that is waited for by a next() is told, and not waited for.
    const leaving = isExhausted ? undefined : Promise.resolve(source.return?.());
    leaving?.catch(() => {});
    const jobs = [...running.values()];
    await Promise.all(jobs.map(({ command }) => command[Symbol.asyncDispose]()));
    await Promise.all(jobs.map(({ end }) => end));
    if (pull === undefined) await leaving;
  }
  signal?.throwIfAborted();
  return undefined;
}

/** What the iterable has given, told from what has ended. */
interface Pulled {
  readonly next: IteratorResult<Command>;
}

function pullFrom(
  source: Iterator<Command> | AsyncIterator<Command>,
): Promise<Pulled> {
  const pull = (async () => ({ next: await source.next() }))();
  // It may come when nobody waits any more.
  pull.catch(() => {});
  return pull;
}

/** A command that runs. */
interface Job {
  readonly command: Command;
  /** Never rejects. */
  readonly end: Promise<Ended>;
}

function begin(command: Command, index: number, rest: AbortSignal): Job {
  if (!(command instanceof Command)) throw new TypeError(`command ${index} is no Command`);
  return { command, end: finish(command, index, rest) };
}

async function finish(command: Command, index: number, rest: AbortSignal): Promise<Ended> {
  try {
    command.signal = eitherSignal(command.signal, rest) ?? rest;
    return { index, command, state: await command.run() };
  } catch (reason) {
    return { index, command, state: command.processState, error: asError(reason) };
  }
}
