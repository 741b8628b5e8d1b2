/** External commands: Go's exec.Cmd. */

import type { ProcAttr, SysProcAttr } from "./attributes.ts";
import { AbortWatch, type Cancel } from "./abort.ts";
import { Collector, EndsCollector } from "./capture.ts";
import { type Copy, type CopyResult, drain, feed, pull } from "./copy.ts";
import {
  dedupEnvironment,
  type Env,
  environmentList,
  environmentProblem,
  withPwd,
} from "./environment.ts";
import {
  type CapturedOutput,
  ExecError,
  ExitError,
  SpawnError,
  StateError,
  SyscallError,
  WaitDelayError,
} from "./errors.ts";
import { type Fd, OSFile, pipe } from "./file.ts";
import { linesOf } from "./lines.ts";
import { lookPath } from "./look_path.ts";
import { inheritedEnvironment, workingDirectory } from "./native.ts";
import { explainPlan, planStart } from "./plan.ts";
import { type Process, settleStart, startChild } from "./process.ts";
import type { ProcessState } from "./process_state.ts";
import { describeStdio, openStdio, type Stdin, type Stdio, type Stdout } from "./stdio.ts";
import { checkSyncStdio, runToEnd, type SyncResult } from "./sync.ts";
import { Timer } from "./timer.ts";

/** The fields of a Command that may be given to its constructor. */
export interface CommandOptions {
  /** See Command.env. */
  env?: Env;
  /** See Command.dir. */
  dir?: string;
  /** See Command.stdin. */
  stdin?: Stdin;
  /** See Command.stdout. */
  stdout?: Stdout;
  /** See Command.stderr. */
  stderr?: Stdout | "stdout";
  /** See Command.extraFiles. */
  extraFiles?: (Fd | null)[];
  /** See Command.sysProcAttr. */
  sysProcAttr?: SysProcAttr;
  /** See Command.signal. */
  signal?: AbortSignal;
  /** See Command.cancel. */
  cancel?: Cancel;
  /** See Command.waitDelay. */
  waitDelay?: number;
}

/** The three streams' own pipes, which stdinPipe() and its kin have made. */
interface OwnPipes {
  /** The child's ends, closed once it has them. */
  readonly childEnds: OSFile[];
  /** Ours: closed when the start fails. */
  readonly parentEnds: OSFile[];
  stdin?: OSFile;
}

/** Reading ends that stdoutPipe() gave out: as another command's stdin they are handed over for good. */
const outputPipes = new WeakSet<OSFile>();

function isOutputPipe(stdin: Stdin | undefined): stdin is OSFile {
  return stdin instanceof OSFile && outputPipes.has(stdin);
}

/**
 * An external command being prepared or run: Go's exec.Cmd. One use: start it once; clone() it to run it
 * again. All fields may be changed until start(). No shell is involved, and nothing is quoted or expanded.
 *
 * @example What a command prints
 * ```ts
 * import { Command } from "./mod.ts";
 *
 * console.log(await new Command("uname", ["-sr"]).text());
 * ```
 *
 * @example Lines as they come, with a time limit
 * ```ts
 * import { Command } from "./mod.ts";
 *
 * const ping = new Command("sh", ["-c", "for i in 1 2 3; do echo $i; done"], {
 *   signal: AbortSignal.timeout(5_000),
 *   cancel: (process) => process.signal("SIGTERM"),
 *   waitDelay: 1_000,
 * });
 * for await (const line of ping.lines()) console.log(line);
 * ```
 */
export class Command implements AsyncDisposable {
  /** The program's path; a relative one is resolved in `dir`, by the kernel. */
  path: string;
  /** argv, the name first. Empty: the path alone. */
  args: string[];
  /** The child's whole environment, of duplicates the last. Absent: this process's own. */
  env?: Env;
  /** The child's working directory. Also sets PWD in the child when env is absent. */
  dir?: string;
  /** What feeds the child's stdin. Absent: /dev/null. */
  stdin?: Stdin;
  /** Where the child's stdout goes. Absent: /dev/null. */
  stdout?: Stdout;
  /** Where the child's stderr goes. "stdout" means wherever stdout goes when start() runs: 2>&1. */
  stderr?: Stdout | "stdout";
  /** Entry i becomes fd 3+i; null closes it. */
  extraFiles: (Fd | null)[];
  /** What the system does beyond that. */
  sysProcAttr?: SysProcAttr;
  /**
   * Go's context: when it aborts, cancel runs (even if nobody waits). If already aborted, start() throws
   * its reason. The Sync methods only look at it before they start.
   */
  signal?: AbortSignal;
  /**
   * What to do on abort; absent: kill(). null: nothing but waitDelay. A promise it returns is awaited. May
   * throw ProcessDoneError to mean "it had already ended"; anything else it throws is the cause of a
   * CancelError. Not called for a child that has already ended, reaped or not: that is no abort. A function
   * here without a signal is refused at the start.
   */
  cancel?: Cancel;
  /**
   * Go's WaitDelay, in milliseconds: how long after abort until SIGKILL, and after exit until the pipes are
   * closed. 0, the default: no bound.
   */
  waitDelay: number;
  /** Why the name could not be resolved: start() throws it. May be deleted to run `path` all the same. */
  err?: Error;

  #process: Process | undefined;
  #processState: ProcessState | undefined;
  #started = false;
  #waited = false;
  readonly #pipes: OwnPipes = { childEnds: [], parentEnds: [] };
  #stdin: Copy | undefined;
  #outputs: Copy[] = [];
  /** In the order in which they ended: the first failure is the one reported. */
  readonly #results: CopyResult[] = [];
  #abort: AbortWatch | undefined;

  /**
   * Resolves `name` with lookPath if it holds no slash; a failure is kept in `err`, and start() throws it
   * (before looking at the signal).
   */
  constructor(name: string, args: readonly string[] = [], options: CommandOptions = {}) {
    if (typeof name !== "string") throw new TypeError("The command's name is not a string");
    this.path = name;
    this.args = [name, ...args];
    this.extraFiles = options.extraFiles ?? [];
    this.waitDelay = options.waitDelay ?? 0;
    const { env, dir, stdin, stdout, stderr, sysProcAttr, signal, cancel } = options;
    if (env !== undefined) this.env = env;
    if (dir !== undefined) this.dir = dir;
    if (stdin !== undefined) this.stdin = stdin;
    if (stdout !== undefined) this.stdout = stdout;
    if (stderr !== undefined) this.stderr = stderr;
    if (sysProcAttr !== undefined) this.sysProcAttr = sysProcAttr;
    if (signal !== undefined) this.signal = signal;
    if (cancel !== undefined) this.cancel = cancel;
    if (name !== "" && !name.includes("/")) this.#resolve(name);
  }

  /** The process, once started. */
  get process(): Process | undefined {
    // A start that nobody has waited for yet may have failed, and then there is none.
    if (this.#process !== undefined && settleStart(this.#process) !== null) {
      this.#process = undefined;
    }
    return this.#process;
  }

  /** How the process ended, once wait() or a Sync method has reaped it. */
  get processState(): ProcessState | undefined {
    return this.#processState;
  }

  /**
   * Starts, without waiting. Throws StateError, ExecError, the abort reason, or SpawnError, in this order;
   * SyscallError if a pipe cannot be made, TypeError for a value of the wrong type.
   */
  start(): Process {
    return this.#startCopying({ deferred: false });
  }

  /**
   * After start(), once: waits for exit, closes stdinPipe(), and waits for the copying of stdin, stdout and
   * stderr. Rejects in Go's order: ExitError, then abort reason or CancelError, then a copying error or
   * WaitDelayError.
   */
  async wait(): Promise<ProcessState> {
    return await this.#wait({});
  }

  /** start() and wait(). */
  async run(): Promise<ProcessState> {
    this.#startCopying({ deferred: true });
    return await this.wait();
  }

  /**
   * run(), and stdout's bytes. A failing exit rejects with ExitError, whose .stderr holds the ends of stderr
   * if that was not taken, and whose .stdout what was printed.
   */
  async output(): Promise<Uint8Array> {
    const capture = this.#capture();
    this.#startCopying({ deferred: true });
    await this.#wait(capture);
    return capture.stdout;
  }

  /** stdout and stderr through one pipe; a failing exit's ExitError has it in .stdout. */
  async combinedOutput(): Promise<Uint8Array> {
    const capture = this.#captureCombined();
    this.#startCopying({ deferred: true });
    await this.#wait(capture);
    return capture.stdout;
  }

  /** output(), decoded as new TextDecoder() does. */
  async text(): Promise<string> {
    return new TextDecoder().decode(await this.output());
  }

  /**
   * Starts, and yields stdout's lines as they come; then waits, and throws as wait() does. Leaving the loop
   * early kills the child and reaps it.
   */
  async *lines(): AsyncIterable<string> {
    const output = pull(this.stdoutPipe());
    const errors = this.#captureErrors();
    let ended = false;
    try {
      this.start();
      this.#outputs.push(this.#track(output));
      // From now on, so that waitDelay also bounds the wait for a line.
      const waiting = this.#wait({
        get stderr() {
          return errors?.bytes();
        },
      });
      waiting.catch(() => {});
      yield* linesOf(output.chunks());
      await waiting;
      ended = true;
    } finally {
      if (!ended) await this[Symbol.asyncDispose]();
    }
  }

  /**
   * start() and wait() without an event loop turn: native calls that block this thread. stdin may be any kind
   * but a stream or async iterable, stdout and stderr any but a WritableStream (TypeError); a Writer's promise
   * is not awaited.
   */
  runSync(): ProcessState {
    return this.#runSync({});
  }

  /** output(), as runSync(). */
  outputSync(): Uint8Array {
    const capture = this.#capture();
    this.#runSync(capture);
    return capture.stdout;
  }

  /** combinedOutput(), as runSync(). */
  combinedOutputSync(): Uint8Array {
    const capture = this.#captureCombined();
    this.#runSync(capture);
    return capture.stdout;
  }

  /** The parent's end of a pipe to the child's stdin, before start(). wait() closes it. */
  stdinPipe(): OSFile {
    this.#checkUnset("Stdin", this.stdin);
    const [reading, writing] = pipe();
    this.#pipes.childEnds.push(reading);
    this.#pipes.parentEnds.push(writing);
    this.#pipes.stdin = writing;
    this.stdin = reading;
    return writing;
  }

  /**
   * The parent's end of a pipe from the child's stdout, before start(). Unlike Go's it is closed neither by
   * wait() nor by waitDelay: nothing unread is lost. As another command's stdin the pipe itself is handed over:
   * that command's start() closes it here, so that this one gets SIGPIPE when that one ends.
   */
  stdoutPipe(): OSFile {
    this.#checkUnset("Stdout", this.stdout);
    const [reading, writing] = this.#outputPipe();
    this.stdout = writing;
    return reading;
  }

  /** stdoutPipe(), of stderr. */
  stderrPipe(): OSFile {
    this.#checkUnset("Stderr", this.stderr);
    const [reading, writing] = this.#outputPipe();
    this.stderr = writing;
    return reading;
  }

  /** The environment the child would get now, as "k=v", deduplicated, entries with a NUL left out. */
  environ(): string[] {
    let list: readonly string[];
    try {
      list = this.#environment();
    } catch (error) {
      // There is no working directory, which is for start() to say, as in Go.
      if (!(error instanceof SyscallError)) throw error;
      list = inheritedEnvironment();
    }
    return [...dedupEnvironment(list)];
  }

  /**
   * What start() would make the child do, a line for each step, in the words of SpawnStep with their
   * arguments, for a person to read; starts nothing. A stream that will be a pipe stands as "pipe". Throws as
   * start() does for what can never start. No other system has this.
   */
  explain(): string {
    if (this.err !== undefined) throw this.err;
    const plan = planStart(this.path, this.#argv(), this.#attributes(describeStdio(this)));
    return explainPlan(plan);
  }

  /**
   * A fresh, unstarted copy: of the fields as they are now, but for what stdinPipe() and its kin, or output()
   * and its, have put there.
   */
  clone(): Command {
    const copy = new Command("", [], {
      extraFiles: [...this.extraFiles],
      waitDelay: this.waitDelay,
    });
    copy.path = this.path;
    copy.args = [...this.args];
    const { env, dir, stdin, stdout, stderr, sysProcAttr, signal, cancel, err } = this;
    const own = (value: unknown): boolean =>
      value instanceof Collector || value instanceof EndsCollector ||
      this.#pipes.childEnds.some((file) => file === value);
    if (env !== undefined) copy.env = env;
    if (dir !== undefined) copy.dir = dir;
    if (stdin !== undefined && !own(stdin)) copy.stdin = stdin;
    if (stdout !== undefined && !own(stdout)) copy.stdout = stdout;
    if (stderr !== undefined && !own(stderr)) copy.stderr = stderr;
    if (sysProcAttr !== undefined) copy.sysProcAttr = { ...sysProcAttr };
    if (signal !== undefined) copy.signal = signal;
    if (cancel !== undefined) copy.cancel = cancel;
    if (err !== undefined) copy.err = err;
    return copy;
  }

  /** Go's: the path and the arguments, or the name as given if it could not be found, joined by spaces. */
  toString(): string {
    if (this.err !== undefined) return this.args.join(" ");
    return [this.path, ...this.args.slice(1)].join(" ");
  }

  /**
   * Kills a child that still runs, reaps it, and closes the pipes without waiting for whoever else holds them.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort?.dispose();
    const { process } = this;
    if (process !== undefined) await process[Symbol.asyncDispose]();
    this.#stopCopies();
    for (const end of [...this.#pipes.childEnds, ...this.#pipes.parentEnds]) end.close();
  }

  #resolve(name: string): void {
    try {
      this.path = lookPath(name);
    } catch (error) {
      if (!(error instanceof ExecError)) throw error;
      this.err = error;
      if (error.path !== undefined) this.path = error.path;
    }
  }

  #startCopying(way: { readonly deferred: boolean }): Process {
    return this.#start({ ...way, blocking: false }, (stdio) => {
      if (stdio.feed !== null) this.#stdin = this.#track(feed(stdio.feed));
      this.#outputs = stdio.drains.map((each) => this.#track(drain(each)));
    });
  }

  /**
   * The start proper: `begin` begins the copying. `deferred`: that it has failed may be told by the wait.
   * `blocking`: this thread waits for the end.
   */
  #start(
    { deferred, blocking }: { readonly deferred: boolean; readonly blocking: boolean },
    begin: (stdio: Stdio) => void,
  ): Process {
    if (this.#started) throw new StateError("exec: already started");
    this.#started = true;
    let stdio: Stdio | undefined;
    try {
      this.#checkStartable();
      stdio = openStdio(this);
      this.#process = startChild(
        this.path,
        this.#argv(),
        this.#attributes(stdio.files),
        {
          pidfd: !this.#blocksUntilExit(stdio, blocking),
          deferred: deferred && this.#mayDefer(stdio),
        },
      );
    } catch (error) {
      this.#giveUp(stdio);
      throw error;
    } finally {
      for (const end of [...stdio?.childEnds ?? [], ...this.#pipes.childEnds]) end.close();
    }
    this.#closeHandedOver();
    const process = this.#process;
    try {
      begin(stdio);
    } catch (error) {
      this.#abandon(process, stdio);
      throw error;
    }
    this.#watchSignal(process);
    return process;
  }

  /** Whether a start that fails later than it is made has done nothing meanwhile that cannot be undone. */
  #mayDefer({ feed }: Stdio): boolean {
    const { stdin } = this;
    // A source would have been asked for chunks, and an output's pipe handed over.
    if (feed !== null && typeof feed.source !== "string" && !(feed.source instanceof Uint8Array)) {
      return false;
    }
    if (isOutputPipe(stdin)) return false;
    return this.#pipes.childEnds.length === 0;
  }

  /** Ends a child whose copying could not begin or go on: its start has failed after all. */
  #abandon(process: Process, stdio: Stdio): void {
    process.kill();
    process.waitSync();
    this.#giveUp(stdio);
  }

  /** There is no process. */
  #giveUp(stdio?: Stdio): void {
    this.#process = undefined;
    this.#stopCopies();
    stdio?.feed?.end.close();
    for (const { end } of stdio?.drains ?? []) end.close();
    for (const end of this.#pipes.parentEnds) end.close();
  }

  /** Whether the exit need not be noticed before all output has ended: then no pidfd is needed. */
  #blocksUntilExit(stdio: Stdio, blocking: boolean): boolean {
    return blocking && stdio.feed === null && !(this.waitDelay > 0);
  }

  #argv(): readonly string[] {
    return this.args.length === 0 ? [this.path] : this.args;
  }

  #attributes(streams: readonly Fd[]): ProcAttr {
    const attr: ProcAttr = {
      env: this.#startEnvironment(),
      files: [...streams, ...this.extraFiles],
    };
    if (this.dir !== undefined) attr.dir = this.dir;
    if (this.sysProcAttr !== undefined) attr.sys = this.sysProcAttr;
    return attr;
  }

  #checkStartable(): void {
    if (this.path === "" && this.err === undefined) this.err = new StateError("exec: no command");
    if (this.err !== undefined) throw this.err;
    if (typeof this.cancel === "function" && this.signal === undefined) {
      throw new StateError(
        "exec: command with a non-nil Cancel was not created with CommandContext: it has no signal",
      );
    }
    if (!(this.waitDelay >= 0)) throw new TypeError("waitDelay is not a number of milliseconds");
    this.signal?.throwIfAborted();
  }

  /** Another command's output pipe belongs to the child now: kept open here, its writer got no SIGPIPE. */
  #closeHandedOver(): void {
    const { stdin } = this;
    if (isOutputPipe(stdin)) stdin.close();
  }

  #watchSignal(process: Process): void {
    const { signal, waitDelay } = this;
    if (signal === undefined) return;
    this.#abort = new AbortWatch({
      process,
      signal,
      waitDelay,
      cancel: this.cancel,
      expire: () => this.#expireCopies(),
    });
  }

  #track(copy: Copy): Copy {
    copy.done.then((result) => this.#results.push(result));
    return copy;
  }

  #stopCopies(): void {
    this.#stdin?.stop();
    for (const copy of this.#outputs) copy.stop();
  }

  #expireCopies(): void {
    this.#stdin?.expire();
    for (const copy of this.#outputs) copy.expire();
  }

  async #wait(captured: CapturedOutput): Promise<ProcessState> {
    const process = this.#process;
    if (process === undefined) throw new StateError("exec: not started");
    if (this.#waited) throw new StateError("exec: Wait was already called");
    this.#waited = true;
    let state: ProcessState;
    try {
      state = await process.wait();
    } catch (error) {
      this.#waited = false;
      this.#abort?.dispose();
      if (error instanceof SpawnError) {
        this.#giveUp();
        throw error;
      }
      // Somebody else has reaped it, and it has ended. A released one goes on, and so does its copying.
      if (!(error instanceof StateError)) {
        this.#closeInput();
        await this.#settleCopies(undefined);
      }
      throw error;
    }
    this.#processState = state;
    this.#closeInput();
    const abort = await this.#abort?.end(state.success);
    const expired = await this.#settleCopies(abort?.deadline);
    if (!state.success) throw new ExitError(state, captured);
    if (abort?.failure) throw abort.failure.error;
    const failure = this.#results.find((result) => result.failure !== null)?.failure;
    if (failure) throw failure.error;
    if (expired) throw new WaitDelayError(captured);
    return state;
  }

  /** The process has ended: nobody reads its stdin any more. */
  #closeInput(): void {
    this.#stdin?.stop();
    this.#pipes.stdin?.close();
  }

  /** Waits for the copying, no longer than waitDelay allows. True: some of it had to be stopped. */
  async #settleCopies(
    deadline = performance.now() + (this.waitDelay || Infinity),
  ): Promise<boolean> {
    if (this.#outputs.length === 0) return false;
    const timer = new Timer(deadline, () => this.#expireCopies());
    const results = await Promise.all(this.#outputs.map((copy) => copy.done));
    timer.cancel();
    return results.some(({ stopped }) => stopped);
  }

  #runSync(captured: CapturedOutput): ProcessState {
    checkSyncStdio(this);
    let stdio: Stdio | undefined;
    const { signal } = this;
    const process = this.#start({ deferred: true, blocking: true }, (opened) => {
      stdio = opened;
    });
    // Nothing of it can be heard while this thread waits.
    if (signal !== undefined) this.#abort?.dispose();
    this.#waited = true;
    if (stdio === undefined) throw new StateError("exec: not started");
    const { state, failure, expired } = this.#runToEnd(process, stdio);
    this.#processState = state;
    this.#pipes.stdin?.close();
    if (!state.success) throw new ExitError(state, captured);
    if (failure !== null) throw failure.error;
    if (expired) throw new WaitDelayError(captured);
    return state;
  }

  #runToEnd(process: Process, stdio: Stdio): SyncResult {
    try {
      return runToEnd(process, stdio, this.waitDelay);
    } catch (error) {
      if (error instanceof SpawnError) this.#giveUp(stdio);
      else this.#abandon(process, stdio);
      throw error;
    }
  }

  #capture(): { readonly stdout: Uint8Array; readonly stderr: Uint8Array | undefined } {
    if (this.stdout !== undefined) throw new StateError("exec: Stdout already set");
    const output = new Collector();
    this.stdout = output;
    const errors = this.#captureErrors();
    return {
      get stdout() {
        return output.bytes();
      },
      get stderr() {
        return errors?.bytes();
      },
    };
  }

  /** Takes stderr if nobody else has. */
  #captureErrors(): EndsCollector | undefined {
    if (this.stderr !== undefined) return undefined;
    const errors = new EndsCollector();
    this.stderr = errors;
    return errors;
  }

  #captureCombined(): { readonly stdout: Uint8Array } {
    if (this.stdout !== undefined) throw new StateError("exec: Stdout already set");
    if (this.stderr !== undefined) throw new StateError("exec: Stderr already set");
    const output = new Collector();
    this.stdout = output;
    this.stderr = output;
    return {
      get stdout() {
        return output.bytes();
      },
    };
  }

  #checkUnset(name: "Stdin" | "Stdout" | "Stderr", value: unknown): void {
    if (value !== undefined) throw new StateError(`exec: ${name} already set`);
    if (this.#process !== undefined) {
      throw new StateError(`exec: ${name}Pipe after process started`);
    }
  }

  #outputPipe(): [OSFile, OSFile] {
    const [reading, writing] = pipe();
    this.#pipes.childEnds.push(writing);
    this.#pipes.parentEnds.push(reading);
    outputPipes.add(reading);
    return [reading, writing];
  }

  #environment(): readonly string[] {
    if (this.env !== undefined) return environmentList(this.env);
    const inherited = inheritedEnvironment();
    const { dir } = this;
    if (dir === undefined || dir === "") return inherited;
    return withPwd(inherited, dir, dir.startsWith("/") ? "/" : workingDirectory());
  }

  /** As the start gets it: with what makes it impossible still in, for the start to name. */
  #startEnvironment(): Env {
    const { env } = this;
    if (env !== undefined && environmentProblem(env) !== null) return env;
    return dedupEnvironment(this.#environment());
  }
}
