/** Several commands, each reading what the one before it prints. */

import { type Captured, type CaptureOptions, readCaptureOptions } from "./captured.ts";
import { Command, isStarted, keepErrors, lineSource } from "./command.ts";
import { asError, ExitError, StateError } from "../errors.ts";
import { LineIterator, type LineOptions } from "./lines.ts";
import type { ProcessState } from "../process/process_state.ts";

/**
 * A stage of a pipeline has failed; the message names the first of them and says what its own error says:
 * "pipeline: stage 2 of 3: grep x: exit status 1".
 */
export class PipelineError extends Error {
  /** "PipelineError". */
  override readonly name: string = "PipelineError";
  /** Each stage's error, or null where it has not failed. */
  readonly errors: readonly (Error | null)[];
  /** How each stage ended; undefined where it is not known. */
  readonly states: readonly (ProcessState | undefined)[];

  /** Makes the error of the stages' errors, one of which is none. Its `cause` is the first of them. */
  constructor(
    errors: readonly (Error | null)[],
    states: readonly (ProcessState | undefined)[] = [],
  ) {
    const index = errors.findIndex((error) => error !== null);
    const cause = errors[index];
    super(`pipeline: stage ${index + 1} of ${errors.length}: ${cause?.message}`, { cause });
    this.errors = errors;
    this.states = states;
  }
}

/**
 * Commands with real pipes between them, as one: made by pipeline(). One use, as of a Command. The first one's stdin,
 * the last one's stdout and each one's stderr, signal, timeout and all else are the commands' own.
 *
 * @example Which stage has failed
 * ```ts
 * import { Command, pipeline, PipelineError } from "osexec";
 *
 * const stages = pipeline(new Command("echo", ["text"]), new Command("grep", ["nothing"]));
 * await stages.text().catch((error) => {
 *   if (!(error instanceof PipelineError)) throw error;
 *   console.log(error.states.map(String)); // [ "exit status 0", "exit status 1" ]
 * });
 * ```
 */
export class Pipeline implements AsyncDisposable {
  /** The stages, in the order of the data. */
  readonly commands: readonly Command[];
  #started = false;
  #waiting: Promise<readonly ProcessState[]> | undefined;

  /** See pipeline(). */
  constructor(commands: readonly Command[]) {
    this.commands = [...commands];
    if (this.commands.length === 0) throw new TypeError("a pipeline has at least one command");
    for (const [index, command] of this.commands.entries()) {
      if (!(command instanceof Command)) throw new TypeError(`stage ${index + 1} is no Command`);
      if (this.commands.indexOf(command) !== index) {
        throw new TypeError(`stage ${index + 1} is in the pipeline twice: clone() makes another`);
      }
    }
  }

  /**
   * Starts the stages, the first one first. If one cannot be started the others are killed and reaped, and what it
   * threw is thrown. StateError, before anything is started, for a stage that was started before, or whose stdin or
   * stdout would have to be a pipe and is something else.
   */
  start(): void {
    this.#check();
    this.#start(this.commands);
  }

  /**
   * After start(): waits for every stage, and answers their states. PipelineError if one has failed; of SIGPIPE no stage
   * has failed whose successor ended well: that one wanted no more, as `head` does. What could not be started is thrown
   * as start() throws it.
   */
  wait(): Promise<readonly ProcessState[]> {
    if (!this.#started) return Promise.reject(new StateError("exec: not started"));
    return this.#waiting ?? this.#wait(this.commands.map((command) => command.wait()));
  }

  /** start() and wait(). */
  async run(): Promise<readonly ProcessState[]> {
    this.start();
    return await this.wait();
  }

  /** run(), and the bytes of the last stage's stdout. Ends of each stderr that is not taken are kept for the errors. */
  async output(): Promise<Uint8Array> {
    return await this.#take((last) => last.output());
  }

  /** output(), as text: see Command.text(). */
  async text(): Promise<string> {
    return await this.#take((last) => last.text());
  }

  /**
   * run(), with what the last stage printed and how it ended: see Command.capture(). Without options.check no stage's
   * failure rejects; each has its processState.
   */
  async capture(options: CaptureOptions = {}): Promise<Captured> {
    const read = readCaptureOptions(options);
    return await this.#take((last) => last.capture(read), read.check);
  }

  /**
   * Starts at the first next(), and gives the last stage's lines as they come; then waits, and throws as wait() does.
   * Leaving it early kills all stages and reaps them. See Command.lines().
   */
  lines(options: LineOptions = {}): AsyncIterableIterator<string> & AsyncDisposable {
    const last = this.#last();
    const source = lineSource(last, options);
    let rest: readonly Promise<ProcessState>[] | undefined;
    return new LineIterator({
      ...source,
      next: async () => {
        rest ??= this.#startRest();
        return await source.next();
      },
      end: async () => {
        const end = Promise.resolve(source.end()).then(() => stateOf(last));
        await this.#wait([...rest ?? [], end]);
      },
      leave: () => this[Symbol.asyncDispose](),
      isOurs: (error) => error instanceof PipelineError || (source.isOurs?.(error) ?? false),
    });
  }

  /** Kills the stages that still run, and reaps them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.commands.map((command) => command[Symbol.asyncDispose]()));
  }

  /** What the last stage gives, when all have ended. `check`: whether a failing stage throws. */
  async #take<T>(take: (last: Command) => Promise<T>, check = true): Promise<T> {
    const rest = this.#startRest();
    const last = this.#last();
    const taken = take(last);
    try {
      await this.#wait([...rest, taken.then(() => stateOf(last))]);
    } catch (error) {
      if (check || !(error instanceof PipelineError)) throw error;
    }
    return await taken;
  }

  #last(): Command {
    return this.commands.at(-1)!;
  }

  /** All but the last one, which starts itself. Answers their ends. */
  #startRest(): readonly Promise<ProcessState>[] {
    this.#check();
    const rest = this.commands.slice(0, -1);
    for (const command of rest) keepErrors(command);
    this.#start(rest);
    const ends = rest.map((command) => command.wait());
    for (const end of ends) end.catch(() => {});
    return ends;
  }

  #check(): void {
    const { length } = this.commands;
    for (const [index, command] of this.commands.entries()) {
      const refuse = (words: string, hint?: string): never => {
        throw new StateError(words, { command: command.label ?? command.toString(), hint });
      };
      if (isStarted(command)) refuse("exec: already started", "clone() makes a fresh one");
      if (index > 0 && (command.stdin ?? command.input) !== undefined) {
        refuse("exec: Stdin already set", "in a pipeline it is the stage before");
      }
      if (index < length - 1 && command.stdout !== undefined) {
        refuse("exec: Stdout already set", "in a pipeline it is the next stage");
      }
    }
  }

  #start(commands: readonly Command[]): void {
    this.#started = true;
    try {
      for (const [index, command] of this.commands.entries()) {
        if (index > 0) command.stdin = this.commands[index - 1]!.stdoutPipe();
      }
      for (const command of commands) command.start();
    } catch (error) {
      this.#abandon();
      throw error;
    }
  }

  /** Kills at once; that they are reaped nobody waits for. */
  #abandon(): void {
    this[Symbol.asyncDispose]().catch(() => {});
  }

  #wait(ends: readonly Promise<ProcessState>[]): Promise<readonly ProcessState[]> {
    return this.#waiting ??= this.#waitFor(ends);
  }

  async #waitFor(ends: readonly Promise<ProcessState>[]): Promise<readonly ProcessState[]> {
    for (const [index, end] of ends.entries()) {
      end.catch(() => {
        // It was never there: nobody reads what the others write, and nobody writes what they read.
        if (this.commands[index]?.processState === undefined) this.#abandon();
      });
    }
    const results = await Promise.allSettled(ends);
    for (const [index, result] of results.entries()) {
      const isUnstarted = this.commands[index]?.processState === undefined;
      // As start() does: that the others were killed for it is no failure of theirs.
      if (result.status === "rejected" && isUnstarted) throw result.reason;
    }
    const errors: (Error | null)[] = [];
    for (const [index, result] of [...results.entries()].toReversed()) {
      const error = result.status === "fulfilled" ? null : asError(result.reason);
      const isUnwanted = error instanceof ExitError && error.signal === "SIGPIPE" &&
        errors[0] === null && index < results.length - 1;
      errors.unshift(isUnwanted ? null : error);
    }
    const states = this.commands.map(({ processState }) => processState);
    if (errors.some((error) => error !== null)) throw new PipelineError(errors, states);
    return states.filter((state) => state !== undefined);
  }
}

/** Of a stage that has been waited for without an error. */
function stateOf({ processState }: Command): Promise<ProcessState> {
  return processState === undefined
    ? Promise.reject(new StateError("exec: not started"))
    : Promise.resolve(processState);
}

/**
 * Commands with real pipes between them, as one object: nothing of what flows there passes through this program. None of
 * them is started yet.
 *
 * @example
 * ```ts
 * import { Command, pipeline } from "osexec";
 *
 * const words = pipeline(
 *   new Command("printf", ["b\\na\\nb\\n"]),
 *   new Command("sort"),
 *   new Command("uniq", ["-c"]),
 * );
 * console.log(await words.text());
 * ```
 */
export function pipeline(...commands: readonly Command[]): Pipeline {
  return new Pipeline(commands);
}
