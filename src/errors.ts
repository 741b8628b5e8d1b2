/** The errors of this package. Their messages are Go's where Go has one. */

import { Errno, errnoCode, errnoText, shownErrno } from "./errno.ts";
import { currentOS, type OS } from "./os.ts";
import type { ProcessState } from "./process/process_state.ts";
import { escapeControls } from "./quote.ts";
import { type SignalName, signalName, signalText } from "./process/signals.ts";

/** What a message adds to Go's words; `cause` may be given too. */
export interface Told extends ErrorOptions {
  /** The command it is about, as ExitError names it. */
  readonly command?: string | undefined;
  /** What mends it. */
  readonly hint?: string | undefined;
}

/** Go's words, the command in parentheses, and what mends it. */
function told(words: string, { command = "", hint }: Told): string {
  const text = command === "" ? words : `${words} (${command})`;
  return hint === undefined ? text : `${text}: ${hint}`;
}

/**
 * The call does not fit the state of the object: started twice, not started, wait() twice, "Stdout
 * already set", no command, already released. Messages begin with Go's, e.g. "exec: already started", and go on with
 * the command and what to do; String() of it has Go's words alone.
 */
export class StateError extends Error {
  /** "StateError". */
  override readonly name: string = "StateError";
  /** The command, as the message has it; "" where it was none's. */
  readonly command: string;
  readonly #words: string;

  /** `words`: Go's. */
  constructor(words = "", also: Told = {}) {
    super(told(words, also), also);
    this.command = also.command ?? "";
    this.#words = words;
  }

  /** "StateError: exec: already started": as Go says it, for who compares. */
  override toString(): string {
    return `${this.name}: ${this.#words}`;
  }
}

/** What a SyscallError is made from; `cause` may be given too. */
export interface SyscallErrorInit extends ErrorOptions {
  /** The call that failed, as the message names it: "open", "waitid". */
  readonly syscall: string;
  /** The error number, positive. */
  readonly errno: number;
  /** The system whose error number it is. */
  readonly os: OS;
  /** The file it was about, if any. */
  readonly path?: string | undefined;
  /** The whole message; default: made of the fields above. */
  readonly message?: string | undefined;
}

/**
 * A system call failed outside a spawn. The message is that of Go's *PathError or *SyscallError:
 * "open /nope: no such file or directory", "waitid: no child processes".
 */
export class SyscallError extends Error {
  /** "SyscallError", or the name of the subclass. */
  override readonly name: string = "SyscallError";
  /** The call that failed, e.g. "open". */
  readonly syscall: string;
  /** The error number, positive. On Windows what GetLastError says. */
  readonly errno: number;
  /** The error number's name, e.g. "ENOENT", on Windows "ERROR_FILE_NOT_FOUND", or `errno 999` if it has none. */
  readonly code: string;
  /** The file it was about; absent if there was none. */
  declare readonly path?: string;

  /** Makes the error of one failed call. */
  constructor(init: SyscallErrorInit) {
    const { syscall, errno, os, path } = init;
    const subject = path === undefined ? syscall : `${syscall} ${path}`;
    super(init.message ?? `${subject}: ${errnoText(errno, os)}`, init);
    this.syscall = syscall;
    this.errno = shownErrno(errno, os);
    this.code = errnoCode(errno, os);
    if (path !== undefined) this.path = path;
  }
}

/**
 * One step of a spawn plan. The words are the kernel's own where it has one. "request": the
 * arguments are invalid (a NUL in a string, two attributes that exclude each other). "clone": the
 * process could not be made. The rest stand in the order in which they run; "creation" to "inherit" are Windows'.
 */
export type SpawnStep =
  | ("request" | "clone" | "sigaction" | "cgroup" | "affinity" | "scheduler" | "nice")
  | ("io_priority" | "timer_slack" | "memory_policy" | "oom_score_adj" | "coredump_filter")
  | ("personality" | "rlimit" | "uid_map" | "setgroups_policy" | "gid_map" | "setns" | "unshare")
  | ("pid_namespace" | "mount_private" | "new_root" | "mount" | "symlink" | "remount")
  | ("pivot_root" | "hostname" | "domainname" | "setsid" | "setpgid" | "foreground" | "chroot")
  | ("umask" | "bounding_set" | "capabilities" | "setgroups" | "setgid" | "setuid" | "securebits")
  | ("keyring" | "pdeathsig" | "dumpable" | "creation" | "command_line" | "process_security")
  | ("thread_security" | "job" | "inherit" | "chdir" | "no_new_privs" | "fd" | "close_range")
  | ("listen_fds" | "noctty" | "setctty" | "landlock" | "ptrace" | "sigprocmask" | "seccomp")
  | "exec"
  | (string & Record<never, never>);

/** What a SpawnError is made from; `cause` may be given too. */
export interface SpawnErrorInit extends ErrorOptions {
  /** The program that was to run. */
  readonly path: string;
  /** The step that failed. */
  readonly step: SpawnStep;
  /** The system whose numbers `errno` and `signal` are. */
  readonly os: OS;
  /** What the step was given; absent: the message names the step alone. */
  readonly argument?: string | undefined;
  /** The error number, positive. Default: EINTR with a `signal`, EINVAL without. */
  readonly errno?: number | undefined;
  /** The number of the signal that killed the child during the step. */
  readonly signal?: number | undefined;
  /** What is wrong, in a sentence that takes the place of the step and the error's text. */
  readonly detail?: string | undefined;
  /** What it was about, and what mends it, to stand after that. */
  readonly hint?: string | undefined;
  /** What was to be done to `path`. Default: "fork/exec". */
  readonly syscall?: "fork/exec" | "exec" | undefined;
}

/**
 * A process could not be started: Go's *PathError with Op "fork/exec", and the step that failed.
 * `syscall` is "fork/exec", or "exec" where exec() has thrown it. Message: "fork/exec /bin/ls: chdir /nope: no such
 * file or directory"; for the exec step itself, as Go's: "fork/exec /nope: no such file or directory", and what that
 * was about where it can be found out: ": its interpreter /bin/bsh does not exist"; for an invalid request the
 * reason: "fork/exec /bin/ls: argument 2 contains a NUL".
 *
 * @example
 * ```ts
 * import { Command, SpawnError } from "osexec";
 *
 * await new Command("true", [], { dir: "/nope" }).run().catch((error) => {
 *   if (error instanceof SpawnError) console.log(error.step, error.code); // chdir ENOENT
 * });
 * ```
 */
export class SpawnError extends SyscallError {
  /** "SpawnError". */
  override readonly name: string = "SpawnError";
  /** The program that was to run. */
  declare readonly path: string;
  /** The step that failed. */
  readonly step: SpawnStep;
  /** What the step was given, e.g. "/nope" for chdir, "1337" for setuid; absent if nothing. */
  declare readonly argument?: string;
  /**
   * Set when a signal killed the child before exec (Go reports such a start as a success). No call
   * of the child failed then, and `errno` and `code` say EINTR.
   */
  declare readonly signal?: SignalName;
  /** What refused the program, and what mends it, where that could be found out; absent otherwise. */
  declare readonly hint?: string;
  readonly #words: string;

  /** Makes the error of one failed start. */
  constructor(init: SpawnErrorInit) {
    const { path, step, os, argument, signal } = init;
    const errno = signal === undefined ? init.errno ?? Errno.EINVAL : Errno.EINTR;
    const { syscall = "fork/exec", hint } = init;
    const reason = init.detail ?? stepReason(init, errno);
    const words = `${syscall} ${path}: ${reason}`;
    super({ ...init, syscall, errno, message: told(words, { hint }) });
    this.#words = words;
    if (hint !== undefined) this.hint = hint;
    this.step = step;
    if (argument !== undefined) this.argument = argument;
    if (signal !== undefined) this.signal = signalName(signal, os);
  }

  /** "SpawnError: fork/exec /nope: no such file or directory": as Go says it, for who compares. */
  override toString(): string {
    return `${this.name}: ${this.#words}`;
  }
}

function stepReason({ step, argument, signal, os }: SpawnErrorInit, errno: number): string {
  const text = signal === undefined ? errnoText(errno, os) : `signal: ${signalText(signal, os)}`;
  if (step === "exec") return text;
  return argument === undefined ? `${step}: ${text}` : `${step} ${argument}: ${text}`;
}

/** What an ExecError is made from; `cause` may be given too. */
export type ExecErrorInit =
  & ErrorOptions
  & {
    /** The name that was looked up. */
    readonly command: string;
  }
  & (
    | { readonly code: "ERR_NOT_FOUND" }
    /** `path`: what was found. */
    | { readonly code: "ERR_DOT"; readonly path: string }
    /** `syscall`: the call that refused, if the message is to name it, as Go's does for stat. */
    | { readonly errno: number; readonly os: OS; readonly syscall?: string | undefined }
  );

/**
 * A program was not found: Go's exec.Error. Messages: `exec: "name": executable file not found in
 * $PATH`, `exec: "name": cannot run executable found relative to current directory`, and for a path
 * with a slash the reason: `exec: "/nope": stat /nope: no such file or directory`.
 */
export class ExecError extends Error {
  /** "ExecError". */
  override readonly name: string = "ExecError";
  /** The name that was looked up. */
  readonly command: string;
  /**
   * "ERR_NOT_FOUND": no directory of PATH has it. "ERR_DOT": the first that has it is relative to
   * the current directory. Else the errno's name where a path with a slash was refused: "ENOENT",
   * "EACCES", "EISDIR", "ENOTDIR".
   */
  readonly code: "ERR_NOT_FOUND" | "ERR_DOT" | (string & Record<never, never>);
  /** With ERR_DOT what was found, relative to the current directory; else absent. */
  declare readonly path?: string;

  /** Makes the error of one look-up. */
  constructor(init: ExecErrorInit) {
    super(`exec: ${goQuote(init.command)}: ${lookupReason(init)}`, init);
    this.command = init.command;
    this.code = "code" in init ? init.code : errnoCode(init.errno, init.os);
    if ("path" in init) this.path = init.path;
  }
}

/** As the system's shell spells it. */
function currentPathName(): string {
  return currentOS() === "win32" ? "%PATH%" : "$PATH";
}

function lookupReason(init: ExecErrorInit): string {
  if ("errno" in init) {
    const text = errnoText(init.errno, init.os);
    return init.syscall === undefined ? text : `${init.syscall} ${init.command}: ${text}`;
  }
  return init.code === "ERR_DOT"
    ? "cannot run executable found relative to current directory"
    : `executable file not found in ${currentPathName()}`;
}

/** What a command had printed before it failed, as far as it was captured. */
export interface CapturedOutput {
  /** stdout's bytes. */
  readonly stdout?: Uint8Array | undefined;
  /** stderr's bytes. */
  readonly stderr?: Uint8Array | undefined;
}

/** Why a command did not exit with code 0, as far as this process knows. */
export interface ExitCause {
  /** The reason of the abort that ended it, or what a source or a sink of its threw. */
  readonly error: unknown;
  /** Whether the message is to tell of it: of the reason of an abort Go's tells nothing. */
  readonly isTold: boolean;
}

/**
 * A command did not exit with code 0: Go's exec.ExitError. The message is the command (its label, or quoted and
 * cut at 200 characters), Go's text, and what is known of the reason: that its timeout was over, what a source or a
 * sink had thrown, or the last line of a stderr that was kept, control characters escaped. `git clone /x: exit status
 * 128: fatal: …`.
 * String() of it is without the command and that line; Go's own text is `String(error.state)`.
 *
 * @example
 * ```ts
 * import { Command, ExitError } from "osexec";
 *
 * const grep = new Command("grep", ["nothing", "/etc/passwd"]);
 * await grep.run().catch((error) => {
 *   if (!(error instanceof ExitError) || error.exitCode !== 1) throw error; // 1: no line had it
 * });
 * ```
 */
export class ExitError extends Error {
  /** "ExitError". */
  override readonly name: string = "ExitError";
  /** How the process ended. */
  declare readonly state: ProcessState;
  /** The exit code, or -1 if a signal ended the process. */
  readonly exitCode: number;
  /** The signal that ended the process, or null. */
  readonly signal: SignalName | null;
  /** What output(), text() or their Sync kin had captured, perhaps empty; undefined otherwise. */
  declare readonly stdout?: Uint8Array;
  /**
   * stderr, or its first and last 32 KiB with "\n... omitting N bytes ...\n" between; undefined
   * where stderr was taken by the caller. Set by output(), text(), lines() and their Sync kin.
   */
  declare readonly stderr?: Uint8Array;

  readonly #text: string;
  /** The command, as the message has it; "" for an error of somebody else's making. */
  readonly command: string;

  /** The reason of the abort that ended it, or what a source or a sink threw; absent if neither did. */
  declare readonly cause?: unknown;

  /** Makes the error of one failed exit. */
  constructor(
    state: ProcessState,
    output: CapturedOutput = {},
    cause: ExitCause | null = null,
    command = "",
  ) {
    const told = cause?.isTold ? `: ${reasonOf(cause.error)}` : "";
    const head = command === "" ? "" : `${command}: `;
    const late = cause?.error instanceof TimeoutError ? `: ${timedOut(cause.error.timeout)}` : "";
    const tail = told === "" ? lastLine(output.stderr) : told;
    super(`${head}${state}${late}${tail}`, cause === null ? undefined : { cause: cause.error });
    this.command = command;
    this.#text = `ExitError: ${state}${told}`;
    // The two fields below say it to who prints an error's properties.
    Object.defineProperty(this, "state", { value: state, configurable: true, writable: true });
    this.exitCode = state.exitCode;
    this.signal = state.signal;
    keep(this, output);
  }

  /** "ExitError: exit status 2": as Go says it, for who compares. */
  override toString(): string {
    return this.#text;
  }

  /** For logs: in words, and of stderr the last 2 KiB. */
  toJSON(): Record<string, unknown> {
    const { name, message, exitCode, signal, state, stderr } = this;
    return { name, message, exitCode, signal, state: `${state}`, ...lastWords(stderr) };
  }
}

/** Keeps what was captured, but not for who lists an error's properties: megabytes, byte by byte. */
function keep(error: Error, output: CapturedOutput): void {
  for (const name of ["stdout", "stderr"] as const) {
    const value = output[name];
    if (value === undefined) continue;
    Object.defineProperty(error, name, { value, configurable: true, writable: true });
  }
}

/** ": " and the last line that says something, or nothing. */
function lastLine(stderr: Uint8Array | undefined): string {
  if (stderr === undefined) return "";
  const text = new TextDecoder().decode(stderr.subarray(-2048)).trimEnd();
  const line = text.slice(text.lastIndexOf("\n") + 1);
  return line === "" ? "" : `: ${escapeControls(line.slice(-300))}`;
}

function lastWords(stderr: Uint8Array | undefined): { readonly stderr?: string } {
  if (stderr === undefined) return {};
  return { stderr: new TextDecoder().decode(stderr.subarray(-2048)) };
}

/**
 * The command exited with code 0, but its pipes were still held open when waitDelay had passed:
 * Go's ErrWaitDelay, "exec: WaitDelay expired before I/O complete".
 */
export class WaitDelayError extends Error {
  /** "WaitDelayError". */
  override readonly name: string = "WaitDelayError";
  /** The command, as the message has it; "" for an error of somebody else's making. */
  readonly command: string;
  /** What had been captured of stdout, as for ExitError. */
  declare readonly stdout?: Uint8Array;
  /** What had been captured of stderr, as for ExitError. */
  declare readonly stderr?: Uint8Array;

  /** Makes the error of one command. */
  constructor(output: CapturedOutput = {}, command = "") {
    super(told(waitDelayWords, { command }));
    this.command = command;
    keep(this, output);
  }

  /** As Go says it, for who compares. */
  override toString(): string {
    return `${this.name}: ${waitDelayWords}`;
  }

  /** For logs: in words, and of stderr the last 2 KiB. */
  toJSON(): Record<string, unknown> {
    const { name, message, stderr } = this;
    return { name, message, ...lastWords(stderr) };
  }
}

const waitDelayWords = "exec: WaitDelay expired before I/O complete";

/**
 * A command's cancel() failed, or the SIGKILL at the end of its waitDelay: `cause` is what that threw.
 * Messages: "exec: canceling Cmd: …", "exec: killing Cmd: …", and the command in parentheses; String() of it is
 * without that.
 */
export class CancelError extends Error {
  /** "CancelError". */
  override readonly name: string = "CancelError";
  /** The command, as the message has it; "" for an error of somebody else's making. */
  readonly command: string;
  readonly #words: string;

  /** Wraps what was thrown. */
  constructor(cause: unknown, doing: "canceling" | "killing" = "canceling", command = "") {
    const words = `exec: ${doing} Cmd: ${reasonOf(cause)}`;
    super(told(words, { command }), { cause });
    this.command = command;
    this.#words = words;
  }

  /** As Go says it, for who compares. */
  override toString(): string {
    return `${this.name}: ${this.#words}`;
  }
}

/**
 * A command's `timeout` was over: the cause of the ExitError of what it ended, or itself what is thrown where the child
 * exited with 0 all the same. Message: "sleep 10: timed out after 100 ms".
 *
 * @example
 * ```ts
 * import { Command, TimeoutError } from "osexec";
 *
 * await new Command("sleep", ["10"], { timeout: 100 }).run()
 *   .catch((error) => console.log(error.cause instanceof TimeoutError)); // true
 * ```
 */
export class TimeoutError extends Error {
  /** "TimeoutError". */
  override readonly name: string = "TimeoutError";
  /** Milliseconds: the timeout that was given. */
  readonly timeout: number;
  /** The command, as the message has it; "" for an error of somebody else's making. */
  readonly command: string;

  /** Makes the error of one command. `detail`: what more the message says. */
  constructor(timeout: number, command = "", detail = "") {
    super(`${command === "" ? "" : `${command}: `}${timedOut(timeout)}${detail}`);
    this.timeout = timeout;
    this.command = command;
  }
}

function timedOut(timeout: number): string {
  return `timed out after ${timeout} ms`;
}

/** What was thrown, as an Error: an abort's reason may be anything. */
export function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason), { cause: reason });
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

/** A Writer took less than it was given, and nothing of the rest: Go's io.ErrShortWrite, "short write". */
export class ShortWriteError extends Error {
  /** "ShortWriteError". */
  override readonly name: string = "ShortWriteError";

  /** `answer`: what write() said of the `length` bytes it was given. */
  constructor(answer: number, length: number) {
    super(`short write: ${answer} of ${length} bytes`);
  }
}

/**
 * The process has ended: Go's os.ErrProcessDone, "os: process already finished". A cancel() may
 * throw one to say so.
 */
export class ProcessDoneError extends Error {
  /** "ProcessDoneError". */
  override readonly name: string = "ProcessDoneError";

  /** Makes the error; `options` may hold a cause. */
  constructor(options?: ErrorOptions) {
    super("os: process already finished", options);
  }
}

/** The file was closed: Go's os.ErrClosed. Message: "read |0: file already closed". */
export class ClosedError extends Error {
  /** "ClosedError". */
  override readonly name: string = "ClosedError";

  /** `operation` is what was asked of the file ("read"), `name` the file's name ("|0"). */
  constructor(operation: string, name: string) {
    super(`${operation} ${name}: file already closed`);
  }
}

/** The escapes of Go's string literals that have a letter. */
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["\x07", "\\a"],
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\v", "\\v"],
  ["\\", "\\\\"],
  ['"', '\\"'],
]);

/**
 * Go's strconv.Quote: the text in double quotes, with Go's escapes for quotes, backslashes and what
 * does not print. A lone surrogate is what UTF-8 makes of it, U+FFFD.
 */
export function goQuote(text: string): string {
  return `"${text.toWellFormed().replace(/["\\]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, escaped)}"`;
}

function escaped(character: string): string {
  const letter = ESCAPES.get(character);
  if (letter !== undefined) return letter;
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  if (code < 0x20 || code === 0x7f) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}
