/** What a command has printed and how it ended, in one object. */

import { Collector } from "./capture.ts";
import type { CapturedOutput } from "../errors.ts";
import { type Known, readOptions } from "../fields.ts";
import { inspectAs } from "../inspection.ts";
import type { ProcessState } from "../process/process_state.ts";
import type { Stdout } from "./stdio.ts";

/** How capture() takes what is printed. */
export interface CaptureOptions {
  /**
   * Both outputs through one pipe, in the order in which the child writes them; `stdout` and `stderr` are then empty.
   * Default false.
   */
  all?: boolean | undefined;
  /** Whether a failure rejects; without it the state says what there was. Default true. */
  check?: boolean | undefined;
  /** How many bytes of each output are kept. Default: all. */
  limit?: number | undefined;
  /** What comes of more: the command is killed, and RangeError; or it is let go. Default "error". */
  onLimit?: "error" | "truncate" | undefined;
}

const optionNames: ReadonlySet<string> = new Set<keyof CaptureOptions>([
  "all",
  "check",
  "limit",
  "onLimit",
]);

/** Reads options once. Throws TypeError for what is wrong with them. */
export function readCaptureOptions(options: CaptureOptions): Known<CaptureOptions> {
  const given = readOptions("capture()", "CaptureOptions", options, optionNames);
  const { all = false, check = true, limit = Infinity, onLimit = "error" } = given;
  for (const [name, value] of Object.entries({ all, check })) {
    if (typeof value !== "boolean") throw new TypeError(`${name} is no boolean`);
  }
  if (typeof limit !== "number" || !(limit >= 0)) {
    throw new TypeError("limit is not a number of bytes");
  }
  if (onLimit !== "error" && onLimit !== "truncate") {
    throw new TypeError('onLimit is neither "error" nor "truncate"');
  }
  return { all, check, limit, onLimit };
}

/** What a command has printed, and how it ended. */
export interface Captured {
  /** stdout's bytes; none with `all`. */
  readonly stdout: Uint8Array;
  /** stderr's; none with `all`, and where the command's own `stderr` took them. */
  readonly stderr: Uint8Array;
  /** With `all`, both, in the order in which the child wrote them; else none. */
  readonly all: Uint8Array;
  /** How it ended. */
  readonly state: ProcessState;
  /** Whether `limit` cut something off. */
  readonly truncated: boolean;
  /** One of them, decoded as new TextDecoder() does. Default "stdout", and "all" with `all`. */
  text(of?: "stdout" | "stderr" | "all"): string;
}

/** The collectors of one capture(). */
export class Capture {
  readonly stdout: Collector;
  /** Absent: somebody else takes it. */
  readonly stderr: Collector | undefined;
  readonly options: Known<CaptureOptions>;

  constructor(options: Known<CaptureOptions>, takesErrors: boolean, kill: () => void) {
    const { all, limit, onLimit } = options;
    const exceeded = (): void => {
      if (onLimit !== "error") return;
      kill();
      // What else holds the pipe might go on for ever.
      throw new RangeError(`more than ${limit} bytes`);
    };
    this.options = options;
    this.stdout = new Collector(limit, exceeded);
    if (takesErrors) this.stderr = all ? this.stdout : new Collector(limit, exceeded);
  }

  /** Of a command, `name` to messages, that has ended well. */
  end(name: string, state: ProcessState): Captured {
    const tooMuch = this.#tooMuch(name, undefined);
    if (tooMuch !== null) throw tooMuch;
    return new CapturedRun(this, state);
  }

  /** Throws why it has failed, unless it has ended, which `state` tells, and nobody wants to know. */
  fail(name: string, error: unknown, state: ProcessState | undefined): Captured {
    const tooMuch = this.#tooMuch(name, error);
    if (tooMuch !== null) throw tooMuch;
    if (this.options.check || state === undefined) throw error;
    return new CapturedRun(this, state);
  }

  #tooMuch(name: string, cause: unknown): RangeError | null {
    const { all, limit, onLimit } = this.options;
    if (onLimit !== "error") return null;
    const outputs = { [all ? "output" : "stdout"]: this.stdout, stderr: this.stderr };
    for (const [what, output] of Object.entries(outputs)) {
      if (!output?.isExceeded) continue;
      return new RangeError(`${name}: ${what} is longer than ${limit} bytes`, { cause });
    }
    return null;
  }
}

/** What stdout is to be already, and one more: as by tee(1). */
export function withSink(
  stdout: Stdout | readonly Stdout[] | undefined,
  sink: Collector,
): Stdout | readonly Stdout[] {
  if (stdout === undefined || stdout === "null") return sink;
  return [stdout, sink].flat();
}

/** What has been taken so far, for errors. */
export function takenBy(
  output: { bytes(): Uint8Array } | undefined,
  errors: { bytes(): Uint8Array } | undefined,
): CapturedOutput {
  return {
    get stdout() {
      return output?.bytes();
    },
    get stderr() {
      return errors?.bytes();
    },
  };
}

const none = new Uint8Array(0);

class CapturedRun implements Captured {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  readonly all: Uint8Array;
  readonly state: ProcessState;
  readonly truncated: boolean;
  readonly #usual: "stdout" | "all";

  static {
    inspectAs(this.prototype, "Captured", ({ stdout, stderr, all, state }) => {
      const sizes = Object.entries({ stdout, stderr, all }).filter(([, { length }]) => length > 0);
      return [String(state), ...sizes.map(([name, { length }]) => `${name}: ${length} bytes`)].join(
        ", ",
      );
    });
  }

  constructor({ stdout, stderr, options }: Capture, state: ProcessState) {
    this.#usual = options.all ? "all" : "stdout";
    this.stdout = options.all ? none : stdout.bytes();
    this.stderr = options.all ? none : stderr?.bytes() ?? none;
    this.all = options.all ? stdout.bytes() : none;
    this.state = state;
    this.truncated = stdout.isExceeded || (stderr?.isExceeded ?? false);
  }

  text(of: "stdout" | "stderr" | "all" = this.#usual): string {
    if (of !== "stdout" && of !== "stderr" && of !== "all") {
      throw new TypeError('text() is of "stdout", "stderr" or "all"');
    }
    return new TextDecoder().decode(this[of]);
  }
}

/** What text() answers. Throws RangeError. */
export function decodeOutput(bytes: Uint8Array): string {
  try {
    return new TextDecoder().decode(bytes);
  } catch (error) {
    const reason =
      `stdout's ${bytes.length} bytes are more than a string holds: take output() or lines()`;
    throw new RangeError(`exec: ${reason}`, { cause: error });
  }
}

/** What json() answers. Throws SyntaxError, which names the command. */
export function parseOutput(text: string, label: () => string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SyntaxError(`${label()}: stdout is no JSON: ${reason}`, { cause: error });
  }
}
