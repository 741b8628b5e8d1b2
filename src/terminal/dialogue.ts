/** Talking with a program as a person would: wait for what it says, answer, go on. */

import { now } from "../../ffi/host.ts";
import { isTurnSpent, nextTurn } from "../../ffi/turn.ts";
import { bytesOf, type Text } from "../../ffi/text.ts";
import type { Attendant } from "./attendant.ts";
import { goQuote, StateError, TimeoutError } from "../errors.ts";
import { readOptions } from "../fields.ts";
import { type OSFile, readAtOnce, readChunk } from "../file/file.ts";
import type { Listener } from "./listener.ts";
import { showValue } from "../quote.ts";
import { takeOutput, terminalFile } from "./terminal.ts";
import { Timer } from "../timer.ts";
import { type Found, Search, Unread } from "./unread.ts";

/** How Dialogue.expect() waits. */
export interface ExpectOptions {
  /** Milliseconds from the call. Default: no bound. */
  timeout?: number | undefined;
}

const optionNames: ReadonlySet<string> = new Set<keyof ExpectOptions>(["timeout"]);

/** What Dialogue.expect() has found. */
export interface Expectation {
  /** What had come before it, since the last one. */
  readonly before: string;
  /** The text, or what the pattern's exec() answers; its `input` is `before` and the match. */
  readonly match: RegExpExecArray | string;
}

/**
 * The output has ended before what expect() waited for. Message: "bc: the output ended before \"ready\"; it said:
 * \"…\"", with the last 200 characters.
 */
export class DialogueError extends Error {
  /** "DialogueError". */
  override readonly name: string = "DialogueError";
  /** All that had come since the last match. */
  readonly received: string;
  /** What was waited for. */
  readonly expected: string | RegExp;
  /** The command, as the message has it; "" for an error of somebody else's making. */
  readonly command: string;

  /** Makes the error of one expect(). */
  constructor(expected: string | RegExp, received: string, command = "") {
    const words = `the output ended before ${describe(expected, received)}`;
    super(command === "" ? words : `${command}: ${words}`);
    this.expected = expected;
    this.received = received;
    this.command = command;
  }
}

/** What was waited for, and the last of what was said instead. */
function describe(expected: string | RegExp, received: string): string {
  const what = typeof expected === "string" ? goQuote(expected) : String(expected);
  return received === "" ? what : `${what}; it said: ${goQuote(received.slice(-200))}`;
}

/** What a dialogue is made of. */
export interface DialogueParts {
  /** Where what is sent goes to. */
  readonly input: OSFile;
  /** Where what is said comes from. */
  readonly output: OSFile;
  /** Who reads that otherwise. */
  readonly attendant: Attendant;
  /** What errors call the command: asked for when there is one. */
  readonly label: () => string;
}

/** How much is read before it is looked through. */
const batchSize = 64 * 1024;

/**
 * expect(1), over a command's terminal or over its stdin and stdout: made by Command.interact(). Nothing that comes between
 * two calls is lost: each expect() begins where the last match ended. It reads only while one of them waits, so that a
 * program that says more is held back, or while the command's wait() does. What a terminal echoes comes as well.
 *
 * @example A calculator
 * ```ts
 * import { Command } from "osexec";
 *
 * await using shell = new Command("sh", ["-i"], { pty: true, env: { PS1: "ready> " } });
 * const dialogue = shell.interact();
 * await dialogue.expect("ready> ", { timeout: 5_000 });
 * await dialogue.send("echo $((6 * 7))\r");
 * const { match } = await dialogue.expect(/^\d+/m, { timeout: 5_000 });
 * console.log(match[0]); // "42"
 * ```
 */
export class Dialogue {
  readonly #parts: DialogueParts;
  readonly #unread = new Unread();
  #hasEnded = false;
  /** The last expect() there is: they are served in order. */
  #last: Promise<void> = Promise.resolve();

  /** For this package: of a command that has been started. */
  constructor(parts: DialogueParts) {
    this.#parts = parts;
  }

  /**
   * Writes: a terminal's Enter key is "\r", a line's end elsewhere "\n". Rejects with SyscallError EIO (a terminal) or
   * EPIPE where nobody reads it any more, ClosedError where it has been closed.
   */
  async send(data: Text): Promise<void> {
    await this.#parts.input.write(bytesOf("data", data));
  }

  /** Ends what it reads: closes the pipe, or types Ctrl-D, which counts at the beginning of a terminal's line. */
  async end(): Promise<void> {
    const { input, output } = this.#parts;
    if (input === output) await this.send("\x04");
    else input.close();
  }

  /**
   * Waits for a text or a pattern, and answers what was said up to it. A pattern matches as soon as what has come does:
   * /\d+/ may match the first of several digits. It is looked for in all that has come since the last match, if it is no
   * longer than 64 Ki characters; its flags g and y count for nothing. TimeoutError after `timeout` ms, and what has come
   * is still there for the next one; DialogueError where the output ends before.
   */
  async expect(what: string | RegExp, options: ExpectOptions = {}): Promise<Expectation> {
    checkPattern(what);
    const { timeout = Infinity } = readOptions("expect()", "ExpectOptions", options, optionNames);
    if (typeof timeout !== "number" || !(timeout >= 0)) {
      throw new TypeError("timeout is not a number of milliseconds");
    }
    const wait = new Wait(timeout, () => {
      const detail = `: waited for ${describe(what, this.#unread.tail(200))}`;
      return new TimeoutError(timeout, this.#parts.label(), detail);
    });
    const before = this.#last;
    const done = Promise.withResolvers<void>();
    this.#last = done.promise;
    try {
      await Promise.race([before, wait.over]);
      return await this.#find(what, wait);
    } catch (error) {
      // Made in a callback of the event loop's; here its stack leads to who waits.
      if (error instanceof TimeoutError) Error.captureStackTrace?.(error);
      throw error;
    } finally {
      wait.end();
      // Also of one that has given up: who comes after it has waited for those before as well.
      before.then(() => done.resolve());
    }
  }

  async #find(what: string | RegExp, wait: Wait): Promise<Expectation> {
    const search = new Search(this.#unread, what);
    while (true) {
      while (!search.isDone) {
        const found = search.step();
        if (found !== null) return this.#take(found);
        if (isTurnSpent()) await nextTurn();
        wait.check();
      }
      if (this.#hasEnded) {
        throw new DialogueError(what, this.#unread.text(), this.#parts.label());
      }
      await this.#more(wait);
    }
  }

  #take({ start, end, match }: Found): Expectation {
    const input = this.#unread.take(end);
    const before = input.slice(0, start);
    if (typeof match !== "string") Object.assign(match, { index: start, input });
    return { before, match };
  }

  /** Reads, until something has come. */
  async #more(wait: Wait): Promise<void> {
    const { output, attendant } = this.#parts;
    attendant.stepAside();
    try {
      // Taken at once, so that nothing is lost of what has come in the very moment in which time is over.
      const reading = readChunk(output, (chunk) => this.#add(chunk));
      try {
        await Promise.race([reading.promise, wait.over]);
      } catch (error) {
        reading.cancel();
        throw error;
      }
      for (let size = 0; size < batchSize && !this.#hasEnded;) {
        const chunk = readAtOnce(output);
        if (chunk === undefined) break;
        this.#add(chunk);
        size += chunk?.length ?? 0;
      }
    } finally {
      attendant.comeBack();
    }
  }

  #add(chunk: Uint8Array | null): void {
    if (chunk !== null) return this.#unread.add(chunk);
    this.#hasEnded = true;
    this.#unread.end();
  }
}

/** For Command: over its pipes, or else its terminal. */
export function converse(
  listener: Listener | undefined,
  pipes: Pick<DialogueParts, "input" | "output"> | null,
  label: () => string,
): Dialogue {
  const { terminal, attendant } = listener ?? {};
  if (pipes === null && terminal !== undefined) takeOutput(terminal, "interact()");
  const file = terminal && terminalFile(terminal);
  const ends = pipes ?? (file && { input: file, output: file });
  if (ends === undefined || attendant === undefined) {
    throw new StateError("exec: there is nothing to talk by");
  }
  return new Dialogue({ ...ends, attendant, label });
}

/** The time that an expect() has. */
class Wait {
  readonly #deadline: number;
  readonly #error: () => TimeoutError;
  readonly #over = Promise.withResolvers<never>();
  readonly #timer: Timer;

  constructor(timeout: number, error: () => TimeoutError) {
    this.#deadline = now() + timeout;
    this.#error = error;
    // Nobody may be waiting at the time.
    this.#over.promise.catch(() => {});
    this.#timer = new Timer(this.#deadline, () => this.#over.reject(error()));
  }

  /** Rejects when it is over. */
  get over(): Promise<never> {
    return this.#over.promise;
  }

  /** Throws if it is over. */
  check(): void {
    if (now() >= this.#deadline) throw this.#error();
  }

  end(): void {
    this.#timer.cancel();
  }
}

function checkPattern(what: unknown): asserts what is string | RegExp {
  if (typeof what === "string" || what instanceof RegExp) return;
  throw new TypeError(`what to expect is neither a string nor a RegExp: ${showValue(what)}`);
}
