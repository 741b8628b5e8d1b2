/** External commands: Go's exec.Cmd. */

import { showText, type Text, toText } from "../../ffi/text.ts";
import type { SysProcAttr } from "../start/attributes.ts";
import type { Cancel } from "./abort.ts";
import { Collector, EndsCollector } from "./capture.ts";
import {
  Capture,
  type Captured,
  type CaptureOptions,
  decodeOutput,
  parseOutput,
  readCaptureOptions,
  takenBy,
  withSink,
} from "./captured.ts";
import { attributesOf, childEnvironment, seedOf } from "../start/child.ts";
import { converse, type Dialogue } from "../terminal/dialogue.ts";
import { dedupEnvironment, type Env, type ExtraEnv } from "../start/environment.ts";
import {
  type CapturedOutput,
  ExecError,
  ExitError,
  goQuote,
  SpawnError,
  StateError,
  SyscallError,
  WaitDelayError,
} from "../errors.ts";
import {
  checkFields,
  type CommandOptions,
  directoryOf,
  readCommandOptions,
  refuseAttribute,
} from "./command_options.ts";
import { closeQuietly, type Fd, type OSFile, pipe } from "../file/file.ts";
import { ptyOptions } from "../terminal/pty.ts";
import { inspectAs } from "../inspection.ts";
import { LineIterator, type LineOptions, type LineSource, readLineOptions } from "./lines.ts";
import { Listener } from "../terminal/listener.ts";
import { isToBeLookedUp, lookPath } from "../start/look_path.ts";
import { withExtension } from "../windows/look_path.ts";
import { currentOS } from "../os.ts";
import { inheritedEnvironment } from "../native.ts";
import { isObserved, Life, tellPipe } from "../watch/observe.ts";
import { explainPlan, planStart } from "../start/plan.ts";
import { type Process, settleStart, startChild } from "../process/process.ts";
import type { ProcessState } from "../process/process_state.ts";
import { escapeControls, nameOf } from "../quote.ts";
import { causeOf, Run, waitedAlready } from "./run.ts";
import type { Data } from "./sources.ts";
import type { Signal } from "../process/signals.ts";
import {
  closeStdio,
  describeStdio,
  handOver,
  isOwn,
  markCommandPipe,
  openStdio,
  pipesOf,
  Puller,
  type Stdin,
  type Stdio,
  type Stdout,
} from "./stdio.ts";
import { runToEnd, type SyncResult } from "./sync.ts";
import { readSys } from "../start/sys.ts";
import type { PtyOptions, Terminal } from "../terminal/terminal.ts";
import type { Seed } from "../tree/seed.ts";
import { closeTree, disposeTree, killTree, type Tree } from "../tree/tree.ts";

/** For who uses a command a second time. */
const again = "clone() makes a fresh one";

/** For Pipeline: whether start() or one of its kin was called. */
export let isStarted: (command: Command) => boolean;

/** For Pipeline: what lines() reads, and how it ends. */
export let lineSource: (command: Command, options: LineOptions) => LineSource;

/** For Pipeline: keeps the ends of stderr for the error's sake, if nobody takes it. */
export let keepErrors: (command: Command) => void;

/** The three streams' own pipes, which stdinPipe() and its kin have made. */
interface OwnPipes {
  /** The child's ends, closed once it has them. */
  readonly childEnds: OSFile[];
  /** Ours: closed when the start fails. */
  readonly parentEnds: OSFile[];
  stdin: OSFile | undefined;
}

/**
 * An external command being prepared or run: Go's exec.Cmd. One use: start it once; clone() it to run it
 * again. All fields may be changed until start(). No shell is involved, and nothing is quoted or expanded.
 *
 * @example What a command prints
 * ```ts
 * import { Command } from "osexec";
 *
 * console.log(await new Command("uname", ["-sr"]).text());
 * ```
 *
 * @example Lines as they come, with a time limit
 * ```ts
 * import { Command } from "osexec";
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
  /** Added to what the child would have (env, or this process's environment); undefined removes. */
  extraEnv?: ExtraEnv;
  /** The child's working directory. Also sets PWD in the child when env is absent. */
  dir?: Text;
  /** What feeds the child's stdin. Absent: /dev/null. */
  stdin?: Stdin;
  /** Data for the child's stdin, whatever its text: "inherit" is seven letters. Not together with stdin. */
  input?: Data;
  /** What messages call this command, in place of its quoted words: for secret or long arguments. */
  label?: string;
  /** Where the child's stdout goes; to several places in a list, as by tee(1). Absent: /dev/null. */
  stdout?: Stdout | readonly Stdout[];
  /** Where the child's stderr goes. "stdout" means wherever stdout goes when start() runs: 2>&1. */
  stderr?: Stdout | "stdout" | readonly Stdout[];
  /**
   * 0, 1 and 2 are a pseudo-terminal, the controlling one of a session that the child leads; stdin, input, stdout and
   * stderr must be absent, and no pipes asked for: TypeError. output() and its kin, and lines(), take what it prints; run()
   * lets it go. After start() it is the caller's to read, `terminal`, and to close (`await using` does); wait() keeps in
   * memory what nobody reads meanwhile, and does not wait for its end. As root, it belongs to the child's user.
   */
  pty?: boolean | PtyOptions;
  /** Entry i becomes fd 3+i; null closes it. */
  extraFiles: (Fd | null)[];
  /** What the system does beyond that. */
  sysProcAttr?: SysProcAttr;
  /**
   * Go's context: when it aborts, cancel runs (even if nobody waits). If already aborted, start() throws
   * its reason. The Sync methods only look at it before they start. An abort ends the child and not what the child
   * has started: whatever of that holds the pipes open is waited for, unless waitDelay bounds it. One that comes when
   * the child has ended, and without a waitDelay, ends that waiting. A command that was started and is never waited for
   * is kept by its signal, with its pidfd, for as long as that lives: an abort must find it.
   */
  signal?: AbortSignal;
  /**
   * Milliseconds from start(); then as an abort whose reason is a TimeoutError: cancel runs, and waitDelay begins. The
   * Sync methods heed it too. Absent or Infinity: no bound. Beside `signal`, whichever comes first.
   */
  timeout?: number;
  /**
   * What to do on abort; absent: kill(). null: nothing but waitDelay. A promise it returns is awaited. May
   * throw ProcessDoneError to mean "it had already ended"; anything else it throws is the cause of a
   * CancelError. Not called for a child that has already ended, reaped or not: that is no abort. Anything
   * but null here without a signal or a timeout is refused at the start, StateError. In a Sync run, which
   * waits for no promise, it must answer none.
   */
  cancel?: Cancel;
  /**
   * Go's WaitDelay, in milliseconds: how long after abort until SIGKILL, and after exit until the pipes are
   * closed. 0, the default: no bound.
   */
  waitDelay: number;
  /**
   * How far cancel, timeout, waitDelay's end, `await using` and kill() reach; what ends by itself leaves its descendants
   * alone. "process", the default: the child. "group": its process group, of its own; what starts a session or joins another
   * group (setsid, daemons, the jobs of an interactive shell) gets away. `await using` after a wait() reaches it from Linux
   * 6.9 on. "cgroup": a cgroup v2 of its own below this process's, which nothing without rights over others leaves; made and
   * removed here. Signals but SIGKILL reach what is in it at the moment, and nothing in cgroups below it. "namespace": a pid
   * namespace, in which the child is process 1 and which nothing outlives; signals but SIGKILL reach the child alone, and
   * end it only if it handles them. As an ordinary user in a user namespace as well. SpawnError where it cannot be had, or
   * contradicts sysProcAttr; the last two are Linux's. On Windows "group" is a job object, which nothing leaves.
   */
  tree?: Tree;
  /**
   * The signal that the child gets when this program ends, however it ends; true: SIGKILL. On Linux the kernel sends it
   * (PR_SET_PDEATHSIG of prctl(2)), also where a Worker has started the child, and never for the Worker's own end; not to
   * a child that executes a set-user-ID program or changes its credentials. On Windows the kernel ends it, by
   * SIGKILL alone. Elsewhere it is sent at exit and on SIGTERM,
   * SIGINT and SIGHUP. What the child has started ends with it where `tree` is "namespace".
   */
  endWithParent?: boolean | Signal;
  /** Why the name could not be resolved: start() throws it. May be deleted to run `path` all the same. */
  err?: Error;

  static {
    inspectAs(this.prototype, "Command", (command) => {
      const { process } = command;
      const how = command.#processState ?? (process === undefined ? "not started" : "running");
      return `${goQuote(command.toString())}, ${how}`;
    });
    isStarted = (command) => command.#started;
    lineSource = (command, options) => command.#lineSource(options);
    keepErrors = (command) => command.#keepErrors();
  }

  #process: Process | undefined;
  #processState: ProcessState | undefined;
  #started = false;
  readonly #pipes: OwnPipes = { childEnds: [], parentEnds: [], stdin: undefined };
  #run: Run | undefined;
  #listener: Listener | undefined;
  /** Why run() or one of its kin could not start it. */
  #failure: SpawnError | undefined;
  /** Where somebody observes. */
  #life: Life | undefined;
  /** What output() and its kin take, for the error's sake. */
  #captured: CapturedOutput = {};

  /**
   * Resolves `name` with lookPath if it holds no slash; a failure is kept in `err`, and start() throws it
   * (before looking at the signal).
   */
  constructor(program: Text, args: readonly Text[] = [], options: CommandOptions = {}) {
    const name = toText("The command's name", program);
    if (!Array.isArray(args)) {
      throw new TypeError("The command's arguments are not an array; its options come after them");
    }
    const given = readCommandOptions(options);
    this.path = name;
    this.args = [name];
    for (const each of args) {
      this.args.push(
        typeof each === "string" ? each : toText(`argument ${this.args.length}`, each),
      );
    }
    const { env, extraEnv, dir, stdin, input, label, stdout, stderr } = given;
    this.extraFiles = given.extraFiles ?? [];
    this.waitDelay = given.waitDelay ?? 0;
    const { sysProcAttr, signal, timeout, cancel, pty, tree, endWithParent } = given;
    if (env !== undefined) this.env = env;
    if (extraEnv !== undefined) this.extraEnv = extraEnv;
    if (dir !== undefined) this.dir = directoryOf(dir);
    if (stdin !== undefined) this.stdin = stdin;
    if (input !== undefined) this.input = input;
    if (label !== undefined) this.label = label;
    if (stdout !== undefined) this.stdout = stdout;
    if (stderr !== undefined) this.stderr = stderr;
    if (pty !== undefined) this.pty = pty;
    if (sysProcAttr !== undefined) this.sysProcAttr = sysProcAttr;
    // null counts as absent, as in fetch.
    if (signal !== undefined && signal !== null) this.signal = signal;
    if (timeout !== undefined) this.timeout = timeout;
    if (cancel !== undefined) this.cancel = cancel;
    if (tree !== undefined) this.tree = tree;
    if (endWithParent !== undefined) this.endWithParent = endWithParent;
    if (name !== "" && isToBeLookedUp(name)) this.#resolve(name);
  }

  /** The process, once started. */
  get process(): Process | undefined {
    // A start that nobody has waited for yet may have failed, and then there is none. wait() tells why, each time.
    const process = this.#process;
    return process === undefined || settleStart(process) !== null ? undefined : process;
  }

  /** The controlling side of its `pty`, once started. */
  get terminal(): Terminal | undefined {
    return this.#listener?.terminal;
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
    return this.#start({ deferred: false });
  }

  /**
   * After start(), once: waits for exit, closes stdinPipe(), and waits for the copying of stdin, stdout and
   * stderr. Rejects in Go's order: ExitError, then abort reason or CancelError, then a copying error or
   * WaitDelayError. run(), output(), text(), combinedOutput() and lines() wait by this one, also where a subclass
   * has its own.
   */
  async wait(): Promise<ProcessState> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#process === undefined) {
      throw this.#state("exec: not started", "start() or run() does");
    }
    // A Sync method has waited.
    if (this.#run === undefined) throw waitedAlready(this.#name());
    try {
      const end = this.#run.wait(this.#captured, (state) => this.#processState = state);
      return await (this.#life?.follow(end) ?? end);
    } catch (error) {
      if (error instanceof SpawnError) this.#closePipes();
      throw error;
    }
  }

  /**
   * Runs it to its end: start() and wait(). Rejects with ExitError for every end but exit code 0, and with ExecError or
   * SpawnError if it could not be started. stdout and stderr go where they are set to: by default nowhere, /dev/null.
   */
  async run(): Promise<ProcessState> {
    this.#start({ deferred: true });
    return await this.wait();
  }

  /**
   * Runs it and answers stdout's bytes; rejects as run() does. stdout must be unset, StateError; of stderr, where that is
   * unset, the ends are kept for the ExitError's .stderr, whose .stdout has what was printed.
   */
  async output(): Promise<Uint8Array> {
    const output = this.#capture();
    this.#start({ deferred: true });
    await this.wait();
    return output.bytes();
  }

  /** output(), of stdout and stderr through one pipe, in order; both must be unset. ExitError has it in .stdout. */
  async combinedOutput(): Promise<Uint8Array> {
    const output = this.#captureCombined();
    this.#start({ deferred: true });
    await this.wait();
    return output.bytes();
  }

  /**
   * Runs it and answers stdout as a string, its last newline included; rejects as output() does. Decoded as new
   * TextDecoder() does. RangeError for more than a string can hold: half a GB.
   */
  async text(): Promise<string> {
    return decodeOutput(await this.output());
  }

  /**
   * run(), with all that it printed and how it ended. Rejects as output() does, unless options.check is false: then of
   * what could not be started, and of more than options.limit (RangeError), alone. stderr is taken if nobody else has;
   * what `stdout` is already ("inherit", a file) gets it as well.
   */
  async capture(options: CaptureOptions = {}): Promise<Captured> {
    const capture = this.#beginCapture(options);
    return await this.run().then(
      (state) => capture.end(this.#name(), state),
      (error) => capture.fail(this.#name(), error, this.#processState),
    );
  }

  /** capture(), as runSync(). */
  captureSync(options: CaptureOptions = {}): Captured {
    const capture = this.#beginCapture(options);
    let state: ProcessState;
    try {
      state = this.#runSync();
    } catch (error) {
      return capture.fail(this.#name(), error, this.#processState);
    }
    return capture.end(this.#name(), state);
  }

  /** text(), parsed as JSON. SyntaxError, which names the command, for what is none. */
  async json(): Promise<unknown> {
    return parseOutput(await this.text(), () => this.#name());
  }

  /**
   * Starts at the first next(), and gives stdout's lines as they come; then waits, and throws as wait() does.
   * Leaving the loop early, or return() at any time, kills the child and reaps it. After an abort that has
   * killed the child there are no more lines. A line beyond options.limit is a RangeError, and ends it as well.
   */
  lines(options: LineOptions = {}): AsyncIterableIterator<string> & AsyncDisposable {
    return new LineIterator(this.#lineSource(options));
  }

  #lineSource(options: LineOptions): LineSource {
    let waiting: Promise<ProcessState> | undefined;
    return {
      options: readLineOptions(options),
      next: async () => {
        // From the start on, so that waitDelay also bounds the wait for a line.
        waiting ??= this.#startLines();
        return await this.#run?.lines?.next() ?? null;
      },
      end: () => waiting,
      leave: () => this[Symbol.asyncDispose](),
      isCut: () => this.#run?.isCut ?? false,
      isOurs: (error) => error instanceof ExitError || error instanceof SpawnError,
    };
  }

  /**
   * start() and wait() without an event loop turn: native calls that block this thread. stdin may be any kind
   * but a Blob, a stream or an async iterable, stdout and stderr any but a WritableStream or a Writable of
   * Node's; a TypeError for those, and for a Writer that answers with a promise.
   */
  runSync(): ProcessState {
    return this.#runSync();
  }

  /** output(), as runSync(). */
  outputSync(): Uint8Array {
    const output = this.#capture();
    this.#runSync();
    return output.bytes();
  }

  /** combinedOutput(), as runSync(). */
  combinedOutputSync(): Uint8Array {
    const output = this.#captureCombined();
    this.#runSync();
    return output.bytes();
  }

  /**
   * The parent's end of a pipe to the child's stdin, before start(). wait() closes it. As another command's stdout
   * or stderr the pipe itself is handed over: that command's start() closes it here.
   */
  stdinPipe(): OSFile {
    this.#checkUnset("Stdin", this.stdin ?? this.input);
    const [reading, writing] = pipe();
    this.#pipes.childEnds.push(reading);
    this.#pipes.parentEnds.push(writing);
    this.#pipes.stdin = writing;
    markCommandPipe(writing);
    tellPipe(this);
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

  /**
   * Starts it, for a dialogue by its `pty`, or else by pipes as its stdin and stdout. wait() keeps in memory what the
   * dialogue does not read meanwhile. Throws as start() and stdinPipe() do.
   */
  interact(): Dialogue {
    const hasPty = ptyOptions(this.pty) !== undefined;
    if (!hasPty) {
      this.#checkUnset("Stdin", this.stdin ?? this.input);
      this.#checkUnset("Stdout", this.stdout);
    }
    const pipes = hasPty ? null : { input: this.stdinPipe(), output: this.stdoutPipe() };
    const process = this.start();
    if (pipes !== null) this.#listener = Listener.ofPipe(pipes.output, process);
    return converse(this.#listener, pipes, () => this.#name());
  }

  /** The environment the child would get now, as "k=v", deduplicated, entries with a NUL left out; without listenFds'. */
  environ(): string[] {
    let list: readonly string[];
    try {
      list = childEnvironment(this).list;
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
    this.#checkStartable();
    const attributes = attributesOf(this, describeStdio(this), seedOf(this, true));
    const plan = planStart(this.#program(), this.#argv(), attributes);
    return explainPlan(plan);
  }

  /**
   * A fresh, unstarted copy: of the fields as they are now, sysProcAttr with all that lies in it, but for what
   * stdinPipe() and its kin, or output() and its, have put there. `env` is shared.
   */
  clone(): Command {
    const copy = new Command("", [], {
      extraFiles: [...this.extraFiles],
      waitDelay: this.waitDelay,
    });
    copy.path = this.path;
    copy.args = [...this.args];
    const { env, extraEnv, dir, stdin, input, label, stdout, stderr } = this;
    const { sysProcAttr, signal, timeout, cancel, err, pty, tree, endWithParent } = this;
    const own = (value: unknown): boolean =>
      isOwn(value) ||
      this.#pipes.childEnds.some((file) => file === value);
    if (env !== undefined) copy.env = env;
    if (extraEnv !== undefined) copy.extraEnv = extraEnv;
    if (dir !== undefined) copy.dir = dir;
    if (stdin !== undefined && !own(stdin)) copy.stdin = stdin;
    if (input !== undefined) copy.input = input;
    if (label !== undefined) copy.label = label;
    // A list is a command's own, and what capture() has put into it is not for another one.
    const copyOf = <T>(output: T): T =>
      Array.isArray(output) ? output.filter((each) => !own(each)) as typeof output : output;
    if (stdout !== undefined && !own(stdout)) copy.stdout = copyOf(stdout);
    if (stderr !== undefined && !own(stderr)) {
      copy.stderr = stderr === stdout && copy.stdout !== undefined ? copy.stdout : copyOf(stderr);
    }
    if (pty !== undefined) copy.pty = typeof pty === "object" ? { ...pty } : pty;
    if (sysProcAttr !== undefined) copy.sysProcAttr = { ...readSys(sysProcAttr, refuseAttribute) };
    if (signal !== undefined) copy.signal = signal;
    if (timeout !== undefined) copy.timeout = timeout;
    if (cancel !== undefined) copy.cancel = cancel;
    if (tree !== undefined) copy.tree = tree;
    if (endWithParent !== undefined) copy.endWithParent = endWithParent;
    if (err !== undefined) copy.err = err;
    return copy;
  }

  /**
   * Go's: the path and the arguments, or the name as given if it could not be found, joined by spaces. Control
   * characters are escaped, as in Go's strings. What a shell would take: quote().
   */
  toString(): string {
    const words = this.err === undefined ? [this.path, ...this.args.slice(1)] : this.args;
    return escapeControls(showText(words.join(" ")));
  }

  /**
   * Kills a child that still runs, reaps it, and closes the pipes without waiting for whoever else holds them.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const { process } = this;
    try {
      if (process !== undefined) await this.#run?.dispose();
    } finally {
      this.#closePipes();
      if (process !== undefined) await disposeTree(process);
    }
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

  /** The start proper. `deferred`: that it has failed may be told by the wait. */
  #start({ deferred }: { readonly deferred: boolean }): Process {
    const { process, stdio } = this.#startChild({ deferred, blocking: false });
    const { signal, timeout = Infinity, cancel, waitDelay } = this;
    this.#run = new Run({
      process,
      stdio,
      stdinPipe: this.#pipes.stdin,
      signal,
      timeout,
      cancel,
      waitDelay,
      listener: () => this.#listener,
      label: () => this.#name(),
    });
    return process;
  }

  /** All of it that may fail. `blocking`: this thread waits for the end. */
  #startChild(
    { deferred, blocking }: { readonly deferred: boolean; readonly blocking: boolean },
  ): { readonly process: Process; readonly stdio: Stdio } {
    if (this.#started) throw this.#state("exec: already started", again);
    this.#started = true;
    if (isObserved()) this.#life = new Life(this);
    let stdio: Stdio | undefined;
    let planted: Seed | undefined;
    try {
      this.#checkStartable();
      // What runs it to its end takes a terminal's output.
      stdio = openStdio(this, blocking, !deferred);
      planted = seedOf(this, false);
      // Without a feed or a bound the outputs' ends are all there is to wait for before the exit.
      const pidfd = !blocking || stdio.feed !== null || this.waitDelay > 0 ||
        this.timeout !== undefined || planted !== undefined;
      // A start that fails later than it is made must have done nothing that cannot be undone.
      const mayDefer = stdio.isInert && this.#pipes.childEnds.length === 0;
      const attributes = attributesOf(this, stdio.files, planted);
      // Another user's child opens them by their paths only if they are that user's.
      const pipes = attributes.sys?.credential === undefined
        ? []
        : [...this.#pipes.childEnds, ...pipesOf(stdio, [this.stdin])];
      const options = {
        pidfd,
        deferred: deferred && mayDefer && this.tree !== "cgroup",
        sleeps: blocking && stdio.drains.length > 0,
        lasting: planted?.lasting ?? false,
        pipes,
      };
      this.#process = startChild(this.#program(), this.#argv(), attributes, options);
      planted?.grow(this.#process);
    } catch (error) {
      planted?.discard();
      if (stdio !== undefined) closeStdio(stdio);
      this.#closePipes();
      // Of a start that may be told of later: the same whether it was or not.
      if (deferred && error instanceof SpawnError) this.#failure = error;
      this.#life?.failed(error);
      throw error;
    }
    for (const end of stdio.childEnds) closeQuietly(end);
    for (const end of this.#pipes.childEnds) closeQuietly(end);
    // They belong to the child now: kept open here, a writer got no SIGPIPE, and a reader no end.
    handOver(this);
    this.#life?.started(this.#process);
    if (stdio.pty !== undefined) {
      this.#listener = Listener.ofTerminal(stdio.pty.terminal, stdio, this.#process);
    }
    return { process: this.#process, stdio };
  }

  #startLines(): Promise<ProcessState> {
    this.#checkUnused("Stdout");
    this.stdout = new Puller();
    this.#keepErrors();
    this.start();
    const waiting = this.wait();
    waiting.catch(() => {});
    return waiting;
  }

  #closePipes(): void {
    for (const end of [...this.#pipes.childEnds, ...this.#pipes.parentEnds]) closeQuietly(end);
    this.#listener?.hangUp();
  }

  /** What is run: on Windows the path may lack its extension. */
  #program(): string {
    return currentOS() === "win32" ? withExtension(this.path, this.dir) : this.path;
  }

  #argv(): readonly string[] {
    return this.args.length === 0 ? [this.path] : this.args;
  }

  #checkStartable(): void {
    if (this.path === "" && this.err === undefined) this.err = new StateError("exec: no command");
    if (this.err !== undefined) throw this.err;
    checkFields(this, Object.getPrototypeOf(this) === Command.prototype);
    this.signal?.throwIfAborted();
  }

  #runSync(): ProcessState {
    const { process, stdio } = this.#startChild({ deferred: true, blocking: true });
    const wait = (): ProcessState => this.#waitSync(process, stdio);
    return this.#life?.followSync(wait) ?? wait();
  }

  #waitSync(process: Process, stdio: Stdio): ProcessState {
    const { state, abort, failure, expired } = this.#runToEnd(process, stdio);
    this.#processState = state;
    if (this.#pipes.stdin !== undefined) closeQuietly(this.#pipes.stdin);
    this.#listener?.end(true);
    if (!state.success) {
      throw new ExitError(state, this.#captured, causeOf(abort, failure), this.#name());
    }
    if (abort !== null) throw abort.error;
    if (failure !== null) throw failure.error;
    if (expired) throw new WaitDelayError(this.#captured, this.#name());
    return state;
  }

  #runToEnd(process: Process, stdio: Stdio): SyncResult {
    try {
      if (stdio.feed !== null || stdio.drains.length > 0 || this.timeout !== undefined) {
        return runToEnd(process, stdio, this, () => this.#name());
      }
      const state = process.waitSync();
      closeTree(process);
      return { state, abort: null, failure: null, expired: false };
    } catch (error) {
      closeStdio(stdio);
      if (!(error instanceof SpawnError)) {
        process.kill();
        process.waitSync();
      }
      disposeTree(process).catch(() => {});
      this.#process = undefined;
      this.#closePipes();
      throw error;
    }
  }

  /** For messages. */
  #name(): string {
    return nameOf(this);
  }

  #beginCapture(options: CaptureOptions): Capture {
    const read = readCaptureOptions(options);
    const { stdout } = this;
    // A pipe of stdoutPipe() is that one reader's alone.
    const isOwn = this.#pipes.childEnds.some((end) => end === stdout);
    this.#checkUnused(...isOwn ? ["Stdout" as const] : [], ...read.all ? ["Stderr" as const] : []);
    const capture = new Capture(read, this.#takesErrors, () => {
      const { process } = this;
      if (process !== undefined) killTree(process);
    });
    this.stdout = withSink(stdout, capture.stdout);
    if (capture.stderr !== undefined) this.stderr = read.all ? "stdout" : capture.stderr;
    this.#captured = takenBy(capture.stdout, read.all ? undefined : capture.stderr);
    return capture;
  }

  #capture(): Collector {
    this.#checkUnused("Stdout");
    const output = new Collector();
    this.stdout = output;
    this.#captured = takenBy(output, this.#captureErrors());
    return output;
  }

  /** Not of a terminal, which has both in one. */
  get #takesErrors(): boolean {
    return this.stderr === undefined && (this.pty === undefined || this.pty === false);
  }

  /** Takes stderr if nobody else has. */
  #captureErrors(): EndsCollector | undefined {
    if (!this.#takesErrors) return undefined;
    const errors = new EndsCollector();
    this.stderr = errors;
    return errors;
  }

  /** For the error's sake alone. */
  #keepErrors(): void {
    this.#captured = takenBy(undefined, this.#captureErrors());
  }

  #captureCombined(): Collector {
    this.#checkUnused("Stdout", "Stderr");
    const output = new Collector();
    this.stdout = output;
    this.stderr = output;
    this.#captured = takenBy(output, undefined);
    return output;
  }

  /** Before output() and its kin: what a second one would otherwise be told is that stdout is set, by the first. */
  #checkUnused(...taken: readonly ("Stdout" | "Stderr")[]): void {
    if (this.#started) throw this.#state("exec: already started", again);
    for (const name of taken) {
      const value = name === "Stdout" ? this.stdout : this.stderr;
      if (value === undefined) continue;
      const hint = "output(), combinedOutput(), text() and lines() take it themselves";
      throw this.#state(`exec: ${name} already set`, hint);
    }
  }

  #checkUnset(name: "Stdin" | "Stdout" | "Stderr", value: unknown): void {
    if (value !== undefined) throw this.#state(`exec: ${name} already set`);
    // Also of a start that has failed: nothing would close the pipe.
    if (this.#started) throw this.#state(`exec: ${name}Pipe after process started`, again);
  }

  #state(words: string, hint?: string): StateError {
    return new StateError(words, { command: this.#name(), hint });
  }

  #outputPipe(): [OSFile, OSFile] {
    const [reading, writing] = pipe();
    this.#pipes.childEnds.push(writing);
    this.#pipes.parentEnds.push(reading);
    markCommandPipe(reading);
    tellPipe(this);
    return [reading, writing];
  }
}
