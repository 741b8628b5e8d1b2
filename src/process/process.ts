/** Processes: Go's os.StartProcess, os.FindProcess and os.Process. */

import { Exit, Stage, Wait } from "../../ffi/abi.ts";
import { now, wallClock } from "../../ffi/host.ts";
import { library } from "../../ffi/library.ts";
import {
  expectSoon,
  forget,
  forgetProcess,
  NativeError,
  type Watch,
  watch,
  watchProcess,
} from "../../ffi/reactor.ts";
import { settle, start, type StartAnswer } from "../../ffi/request.ts";
import { showText, type Text } from "../../ffi/text.ts";
import type { ProcAttr } from "../start/attributes.ts";
import { diagnose, diagnoseClone } from "../start/diagnosis.ts";
import { Errno } from "../errno.ts";
import { ProcessDoneError, SpawnError, StateError, SyscallError } from "../errors.ts";
import type { Fd } from "../file/file.ts";
import { inspectAs } from "../inspection.ts";
import { syscallError } from "../native.ts";
import { currentOS } from "../os.ts";
import { givePipes } from "../start/ownership.ts";
import { planStart, type StartPlan, stepArgument, stepWord } from "../start/plan.ts";
import { type ProcessState, processState, type Rusage } from "./process_state.ts";
import { type Signal, signalNumber } from "./signals.ts";

/**
 * Go's os.StartProcess: no PATH look-up, no shell. argv[0] is the child's own name. Throws SpawnError,
 * which names the step that failed, or TypeError for a value of the wrong type; nothing leaks when it
 * does. The child has an empty signal mask, and SIGPIPE and SIGXFSZ, which the runtimes ignore, at their
 * defaults; what else this process ignores (SIGHUP under nohup) stays ignored, as in Go.
 *
 * @example A program with its own descriptors
 * ```ts
 * import { startProcess } from "osexec";
 *
 * const child = startProcess("/bin/echo", ["echo", "hello"], { files: [null, 1, 2] });
 * const state = await child.wait();
 * console.log(state.toString()); // "exit status 0"
 * ```
 */
export function startProcess(
  name: Text,
  argv: readonly Text[],
  attr: ProcAttr = {},
): Process {
  return startChild(name, argv, attr, { pidfd: true, deferred: false });
}

/** How Command makes a start. */
export interface ChildOptions {
  /**
   * Whether there is to be a pidfd. Making, waiting by and closing it takes a fifth of a start's time
   * (measured), and who waits for this one child at once needs none.
   */
  readonly pidfd: boolean;
  /**
   * Whether this thread need not stand still until the child has called execve, half of a start's time
   * (measured): then wait() or settleStart() tells a failure.
   */
  readonly deferred: boolean;
  /** Whether this thread sleeps until the child prints or ends: see enter() in zig/child/child.zig. */
  readonly sleeps?: boolean;
  /** Pipes made for this child, which become its user's. */
  readonly pipes?: readonly Fd[];
  /** Whether the thread that makes it, of whose end a pdeathsig tells, is to last as long as this process. */
  readonly lasting?: boolean;
}

/** startProcess(), for Command. */
export function startChild(
  name: Text,
  argv: readonly Text[],
  attr: ProcAttr,
  { pidfd, deferred, sleeps = false, lasting = false, pipes = [] }: ChildOptions,
): Process {
  const plan = planStart(name, argv, attr);
  if (pipes.length > 0) givePipes(plan, attr, pipes);
  const startedAt = wallClock();
  const begun = now();
  const answer = start(plan, { noPidfd: !pidfd, deferred, sleeps, lasting });
  if (hasFailed(answer)) throw spawnError(plan, answer);
  // Without a pidfd it is waited for by this thread, which then does nothing else.
  if (pidfd) expectSoon();
  const pending = answer.pending < 0 ? null : { number: answer.pending, plan };
  const pidfdOrNull = answer.pidfd < 0 ? null : answer.pidfd;
  return new Process(answer.pid, pidfdOrNull, false, pending, startedAt, begun);
}

/** A start of which it is not known whether it has reached execve. */
interface PendingStart {
  readonly number: number;
  readonly plan: StartPlan;
}

function hasFailed({ errno, signal }: StartAnswer): boolean {
  return errno !== 0 || signal !== 0;
}

/**
 * A handle for a process that may not be a child. Never throws for a pid that does not exist: its
 * signal() then throws ProcessDoneError, as in Go. TypeError for what is no integer, RangeError for pid < 1;
 * SyscallError where there is no descriptor left for a pidfd. wait() on a process that is no child rejects with
 * SyscallError ECHILD; where the kernel can tell (Linux 6.15) it has an answer once that process has ended and been
 * reaped by its parent. On Windows any process may be waited for.
 *
 * @example Whether a process is there
 * ```ts
 * import { findProcess, ProcessDoneError } from "osexec";
 *
 * try {
 *   findProcess(2 ** 22 - 1).signal(0);
 * } catch (error) {
 *   console.log(error instanceof ProcessDoneError); // true: there is none
 * }
 * ```
 */
export function findProcess(pid: number): Process {
  if (!Number.isInteger(pid)) throw new TypeError("A process id is an integer");
  if (pid < 1 || pid > 0x7fffffff) throw new RangeError(`No process has the id ${pid}`);
  const answer = library().osexec_pidfd(pid);
  if (answer === -Errno.ESRCH) return new Process(pid, null, true);
  // A handle by pid alone is not safe, and would stay so when there is room again.
  if (scarce.has(-answer)) throw syscallError(-answer, "pidfd_open");
  // Any other refusal (no pidfd_open, a sandbox): by pid.
  return new Process(pid, answer < 0 ? null : answer);
}

/** For want of descriptors, or of memory. */
const scarce: ReadonlySet<number> = new Set([Errno.EMFILE, Errno.ENFILE, Errno.ENOMEM]);

function spawnError(
  plan: StartPlan,
  answer: { readonly step: number; readonly errno: number; readonly signal: number },
): SpawnError {
  const os = currentOS();
  const failed = plan.steps[answer.step];
  const signal = answer.signal === 0 ? undefined : answer.signal;
  const path = showText(plan.path);
  if (failed !== undefined) {
    const argument = stepArgument(failed);
    const step = stepWord(failed);
    const hint = diagnose(plan, failed, answer.errno);
    return new SpawnError({ path, step, os, argument, errno: answer.errno, signal, hint });
  }
  const step = answer.step === Stage.request ? "request" : "clone";
  const hint = step === "clone" ? diagnoseClone(plan, answer.errno) : undefined;
  return new SpawnError({ path, step, os, errno: answer.errno, signal, hint });
}

/** A pidfd, for as long as it is open. */
interface Handle {
  fd: number;
}

/**
 * Closes the pidfds of processes that nobody holds any more, as Go's os.Process does. Nothing is ever
 * unregistered, which costs 15 µs on Bun: a closed handle says so itself.
 */
let abandoned: FinalizationRegistry<Handle> | undefined;

function registry(): FinalizationRegistry<Handle> {
  return abandoned ??= new FinalizationRegistry(closeHandle);
}

function closeHandle(handle: Handle): void {
  const { fd } = handle;
  if (fd < 0) return;
  handle.fd = -1;
  forget(fd);
  library().osexec_close(fd);
}

/** For Command: whether a process has ended, be it reaped or not. */
export let hasEnded: (child: Process) => boolean;

/** What keeps the event loop alive, or lets it end. */
export interface Holder {
  ref(): void;
  unref(): void;
}

/** For Command: a timer or a pipe of the child's keeps the event loop alive as a wait() of it does. */
export let holdWith: (child: Process, holder: Holder) => void;

/** For Command: calls back once when a process has been reaped, by whichever call, or released. */
export let onReaped: (child: Process, heard: () => void) => void;

/** How far kill() goes, where that is beyond the process itself. */
export interface Reach {
  /**
   * Sends a signal to all that is left, and answers as kill(2): negative, -errno; -ESRCH: nothing is left. `pid` is 0 once
   * the child has been reaped, and `pidfd` negative once that is closed.
   */
  signal(number: number, pid: number, pidfd: number): number;
  /** Whether it must not be reaped before its signal is sent. */
  readonly needsLeader: boolean;
  /** Whether it will soon tell that nothing is left: all of it has been killed. */
  readonly isDying: boolean;
  /** Nobody will ask again. May be called more than once. */
  end(): void;
}

/** For Command: kill() goes so far. */
export let extendReach: (child: Process, reach: Reach) => void;

/** For Command: whether kill() goes further than the child. */
export let hasReach: (child: Process) => boolean;

/** For Command: when it ends it is to be seen, and kept for its group's sake until letGo(). */
export let keepLeader: (child: Process) => void;

/** For Command: reaps what keepLeader() has kept. */
export let letGo: (child: Process) => void;

/** For Command: whether what kill() reaches is as good as gone. */
export let isDying: (child: Process) => boolean;

/** For Command: a signal to what kill() reaches, also where the child has been reaped. Answers as Reach's. */
export let signalRest: (child: Process, number: number) => number;

/** For Command: nothing will be asked any more of what kill() reaches beyond the child. */
export let endReach: (child: Process) => void;

/** For Command: why a deferred start has failed, once it has come to execve; null: it has not. */
export let settleStart: (child: Process) => SpawnError | null;

/**
 * A started process: Go's os.Process. It is waited for and signalled by its pidfd, so that no call
 * ever reaches another process that has got the same pid since. Made by startProcess(), findProcess()
 * and Command.
 *
 * A process that is the init of a pid namespace (cloneflags CLONE_NEWPID) ignores every signal for
 * which it has no handler, SIGTERM among them: only kill() ends it, pid_namespaces(7).
 *
 * @example What it uses while it runs, and in the end
 * ```ts
 * import { Command } from "osexec";
 *
 * await using command = new Command("sleep", ["60"]);
 * const child = command.start();
 * console.log(child.pid, child.usage().maxRss);
 * child.signal("SIGTERM");
 * console.log(`${await child.wait()}`); // signal: terminated
 * ```
 */
export class Process implements AsyncDisposable {
  static {
    inspectAs(this.prototype, "Process", (process) => {
      const how = process.#released ? "released" : process.#done ? "ended" : "running";
      return `pid ${process.pid}, ${process.#state ?? how}`;
    });
    hasEnded = (process) => process.#ended();
    settleStart = (process) => process.#settle();
    onReaped = (process, heard) => (process.#listeners ??= []).push(heard);
    extendReach = (process, reach) => process.#reach = reach;
    hasReach = (process) => process.#reach !== null;
    keepLeader = (process) => process.#isKept = process.#reach?.needsLeader ?? false;
    letGo = (process) => process.#letGo();
    isDying = (process) => process.#reach?.isDying ?? false;
    signalRest = (process, number) => process.#signalRest(number);
    endReach = (process) => process.#endReach();
    holdWith = (process, holder) => {
      (process.#holders ??= []).push(holder);
      if (!process.#referenced) holder.unref();
    };
  }

  /** The process id. */
  readonly pid: number;
  readonly #handle: Handle;
  #state: ProcessState | undefined;
  /** Ended and reaped, though perhaps not by us. */
  #done: boolean;
  #released = false;
  #referenced = true;
  #watch: Watch | undefined;
  #holders: Holder[] | undefined;
  #listeners: (() => void)[] | undefined;
  #waiting: PromiseWithResolvers<ProcessState> | undefined;
  #pending: PendingStart | null;
  /** By the two clocks; NaN for what this program has not started. */
  readonly #startedAt: number;
  readonly #begun: number;
  #failure: SpawnError | null = null;
  #reach: Reach | null = null;
  /** Its pidfd, when it has been reaped, and some of what kill() reaches is left. */
  #rest: Handle | null = null;
  /** It is not to be reaped yet. */
  #isKept = false;

  /** For this package: the handle of a process that exists, or of one that is done. */
  constructor(
    pid: number,
    pidfd: number | null,
    done = false,
    pending: PendingStart | null = null,
    startedAt = NaN,
    begun = NaN,
  ) {
    this.pid = pid;
    this.#startedAt = startedAt;
    this.#begun = begun;
    this.#handle = { fd: pidfd ?? -1 };
    this.#done = done;
    this.#pending = pending;
    // Who has a start pending waits for its end, and so closes the pidfd: registering takes longer than that.
    if (pidfd !== null && pending === null) registry().register(this, this.#handle);
  }

  /**
   * The pidfd, or null where the kernel has none (macOS, Linux < 5.3, some sandboxes) and once the
   * process has been reaped; on Windows this library's number for the process's handle. Owned by the Process: do not close it.
   */
  get pidfd(): number | null {
    const { fd } = this.#handle;
    return fd < 0 ? null : fd;
  }

  /**
   * Waits for exit and reaps. Calling it again returns the same state. Does not block the thread;
   * keeps the event loop alive unless unref()ed. Until a wait the ended child stays a zombie, which
   * takes signals without error: nothing reaps it before. Only ever waits for this child. If something
   * else has reaped it (or SIGCHLD is ignored), the state still comes from the pidfd where the kernel
   * can tell (Linux 6.15); otherwise it rejects with SyscallError ECHILD: never a made-up success.
   * Rejects with StateError once released. waitid(2).
   */
  wait(): Promise<ProcessState> {
    if (this.#waiting !== undefined) return this.#waiting.promise;
    const waiting = Promise.withResolvers<ProcessState>();
    this.#waiting = waiting;
    // A failure may pass: the next wait() asks anew.
    waiting.promise.catch(() => this.#waiting = undefined);
    // What has only just been cloned has not ended.
    this.#waitFor(waiting, this.#pending === null);
    return waiting.promise;
  }

  /** wait(), but it blocks this thread. */
  waitSync(): ProcessState {
    while (true) {
      const state = this.#reap(0);
      if (state !== null) return state;
    }
  }

  /**
   * Sends a signal. Throws ProcessDoneError once the process has been reaped, StateError once released,
   * TypeError for an unknown name, SyscallError where the kernel refuses; never reaches a reused pid.
   * The number 0 asks only whether it could. pidfd_send_signal(2). Windows has SIGKILL, TerminateProcess, and no other:
   * SyscallError of the code EWINDOWS.
   */
  signal(sig: Signal): void {
    const number = this.#checkSignal(sig);
    checkSent(library().osexec_signal(this.pid, this.#handle.fd, number));
  }

  /**
   * Sends SIGKILL, or another signal, as far as Command's `tree` says: by default to the process alone. Throws as signal()
   * does.
   */
  kill(sig: Signal = "SIGKILL"): void {
    if (this.#reach === null) return this.signal(sig);
    const number = this.#checkSignal(sig);
    checkSent(this.#signalRest(number));
  }

  /**
   * Sends a signal to the process group that the process leads, which must not have been reaped: Go's
   * syscall.Kill(-pid, sig), but never to a group that has got the same number since. Throws as signal() does, and
   * StateError where it leads no group: `sysProcAttr.setpgid`, `setsid` or Command's `tree: "group"` would make it one.
   * kill(2), by the pidfd from Linux 6.9 on.
   */
  signalGroup(sig: Signal): void {
    const number = this.#checkSignal(sig);
    const { fd } = this.#handle;
    const answer = library().osexec_signal_group(this.pid, fd, number);
    if (answer === -Errno.ESRCH && library().osexec_signal(this.pid, fd, 0) !== answer) {
      throw new StateError("os: process leads no group", {
        hint: 'sysProcAttr.setpgid, setsid or tree: "group" would make it one',
      });
    }
    checkSent(answer);
  }

  /**
   * While it runs: what it has used so far, from /proc; once it has ended, what its state has. Together with that of its
   * own children it had waited for, but for three: maxRss is its own peak, and the context switches are its first
   * thread's. Processor time counts in steps of 10 ms. blocksIn and blocksOut are NaN where /proc/PID/io may not be read,
   * and maxRss of what has no memory. By a pidfd never another process's that has got the pid since. Throws as signal() does:
   * ProcessDoneError once it has been reaped by somebody else. SyscallError ENOENT or EACCES where there is no such /proc,
   * or one that hides it, and EOPNOTSUPP on macOS.
   */
  usage(): Rusage {
    if (this.#state !== undefined) return this.#state.usage;
    if (this.#done) throw new ProcessDoneError();
    if (this.#released) throw released();
    const answer = library().osexec_usage(this.pid, this.#handle.fd, exitBytes);
    if (answer === -Errno.ESRCH) throw new ProcessDoneError();
    if (answer < 0) throw syscallError(-answer, "usage", `/proc/${this.pid}`);
    return Object.freeze(rusage(exitView));
  }

  /**
   * Gives the handle up without waiting, and without reaping; wait() then rejects with StateError. Does
   * nothing to a process that has been waited for, nor a second time.
   */
  release(): void {
    if (this.#done || this.#released) return;
    this.#released = true;
    this.#waiting?.reject(released());
    this.#closePidfd();
    this.#endReach();
    this.#tellEnd();
  }

  /**
   * A pending wait(), a waitDelay that runs, and the copying of a Command's streams keep the event loop alive: the
   * default. What a source or a sink of the caller's waits for does so by itself.
   */
  ref(): void {
    this.#referenced = true;
    this.#watch?.ref();
    for (const holder of this.#holders ?? []) holder.ref();
  }

  /** They let the event loop end. */
  unref(): void {
    this.#referenced = false;
    this.#watch?.unref();
    for (const holder of this.#holders ?? []) holder.unref();
  }

  /**
   * Kills a process that still runs, and reaps it if it is a child. One that may not be killed is waited for,
   * and what refused it is thrown in the end.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#done || this.#released) return;
    let refusal: { readonly error: unknown } | null = null;
    try {
      this.kill();
    } catch (error) {
      if (!(error instanceof ProcessDoneError)) refusal = { error };
    }
    try {
      await this.wait();
    } catch (error) {
      // No child, or somebody else has reaped it: there is only the handle to give up.
      if (!(error instanceof SyscallError) || error.errno !== Errno.ECHILD) throw error;
      this.release();
    }
    if (refusal !== null) throw refusal.error;
  }

  #waitFor(waiting: PromiseWithResolvers<ProcessState>, mayHaveEnded: boolean): void {
    try {
      const state = mayHaveEnded ? this.#reap(Wait.nohang) : null;
      if (state !== null) return waiting.resolve(state);
      const callbacks = {
        ready: (): void => {
          this.#watch = undefined;
          this.#waitFor(waiting, true);
        },
        fail: (error: unknown): void =>
          waiting.reject(
            error instanceof NativeError ? syscallError(error.errno, "wait") : error,
          ),
      };
      const { fd } = this.#handle;
      this.#watch = fd < 0 ? watchProcess(this.pid, callbacks) : watch(fd, "in", callbacks);
      if (!this.#referenced) this.#watch.unref();
    } catch (error) {
      waiting.reject(error);
    }
  }

  /** Whether it has ended, reaped or not. */
  #ended(): boolean {
    if (this.#settle() !== null || this.#done || this.#released) return true;
    const flags = Wait.nohang | Wait.nowait;
    const answer = library().osexec_wait(this.pid, this.#handle.fd, flags, exitBytes);
    // Any other failure says nothing of the process.
    return answer > 0 || answer === -Errno.ECHILD;
  }

  /** The state, or null: it still runs. */
  #reap(flags: number): ProcessState | null {
    if (this.#state !== undefined) return this.#state;
    if (this.#failure !== null) throw this.#failure;
    if (this.#done) throw syscallError(Errno.ECHILD, "wait");
    if (this.#released) throw released();
    const how = this.#isKept ? flags | Wait.nowait : flags;
    const answer = library().osexec_wait(this.pid, this.#handle.fd, how, exitBytes);
    if (answer === 0) return null;
    if (answer < 0) throw this.#settle() ?? syscallError(-answer, "waitid");
    const status = exitView.getInt32(Exit.status, true);
    const usage = rusage(exitView);
    if (!this.#isKept) this.#gone();
    this.#tellEnd();
    const failure = this.#settle(status);
    if (failure !== null) {
      if (!this.#done) this.#bury();
      throw failure;
    }
    const duration = now() - this.#begun;
    this.#state = processState(this.pid, status, usage, currentOS(), this.#startedAt, duration);
    // A waitSync() may be what ends a pending wait().
    this.#waiting?.resolve(this.#state);
    return this.#state;
  }

  /**
   * Waits for a deferred start to come to execve: why it has failed, or null. `status`: it has been reaped
   * with that one; it is reaped otherwise, if it has failed.
   */
  #settle(status?: number): SpawnError | null {
    if (this.#pending === null) return this.#failure;
    const { number, plan } = this.#pending;
    this.#pending = null;
    const answer = settle(number, status === undefined ? this.pid : 0);
    if (!hasFailed(answer)) return null;
    this.#failure = spawnError(plan, withSignal(answer, status ?? this.#bury()));
    this.#waiting?.reject(this.#failure);
    return this.#failure;
  }

  /** Reaps a child that has failed before execve. Answers its status, or 0: somebody else has reaped it. */
  #bury(): number {
    const answer = library().osexec_wait(this.pid, this.#handle.fd, 0, exitBytes);
    this.#gone();
    this.#tellEnd();
    return answer > 0 ? exitView.getInt32(Exit.status, true) : 0;
  }

  /** Checks what every signal must pass; answers its number. */
  #checkSignal(sig: Signal): number {
    const number = signalNumber(sig, currentOS());
    if (this.#done) throw new ProcessDoneError();
    if (this.#released) throw new StateError("os: process already released");
    return number;
  }

  #signalRest(number: number): number {
    const reach = this.#reach;
    const fd = (this.#rest ?? this.#handle).fd;
    const isGone = this.#done && fd < 0 && reach?.needsLeader;
    if (reach === null || isGone) return -Errno.ESRCH;
    return reach.signal(number, this.#done ? 0 : this.pid, fd);
  }

  /** It has been reaped. Its pidfd is kept where that still names something that is left. */
  #gone(): void {
    this.#done = true;
    const { fd } = this.#handle;
    const left = fd >= 0 && this.#reach?.needsLeader ? this.#reach.signal(0, 0, fd) : -Errno.ESRCH;
    if (left === 0 || left === -Errno.EPERM) {
      forget(fd);
      this.#rest = { fd };
      registry().register(this, this.#rest);
      this.#handle.fd = -1;
    }
    this.#closePidfd();
  }

  #letGo(): void {
    if (!this.#isKept) return;
    this.#isKept = false;
    const known = this.#state;
    if (known === undefined || this.#done) return;
    this.#state = undefined;
    try {
      const state = this.#reap(Wait.nohang);
      // By libc a look tells nothing of the usage.
      if (state !== null && Number.isNaN(known.usage.maxRss)) return;
    } catch {
      // Somebody else has reaped it.
      this.#gone();
    }
    this.#state = known;
  }

  #endReach(): void {
    this.#reach?.end();
    if (this.#rest !== null) closeHandle(this.#rest);
    this.#rest = null;
  }

  #tellEnd(): void {
    const listeners = this.#listeners;
    this.#listeners = undefined;
    for (const heard of listeners ?? []) heard();
  }

  #closePidfd(): void {
    this.#watch = undefined;
    if (this.#handle.fd < 0) forgetProcess(this.pid);
    closeHandle(this.#handle);
  }
}

/** A child that was killed before execve: its status tells by what, if nobody else has reaped it. */
function withSignal(answer: StartAnswer, status: number): StartAnswer {
  if (answer.errno !== 0) return answer;
  const signal = status & 0x7f;
  return { ...answer, signal, errno: signal === 0 ? Errno.ECHILD : 0 };
}

/** What native code tells of an end: read at once, so one serves all. */
const exitBytes = new Uint8Array(Exit.size);
const exitView = new DataView(exitBytes.buffer);

/** Throws for the answer of a signal that was not sent. */
function checkSent(answer: number): void {
  if (answer === -Errno.ESRCH) throw new ProcessDoneError();
  if (answer < 0) throw syscallError(-answer, "kill");
}

function released(): StateError {
  return new StateError("os: process already released");
}

function rusage(exit: DataView): Rusage {
  const field = (offset: number): number => exit.getFloat64(offset, true);
  return {
    userTime: field(Exit.user_time),
    systemTime: field(Exit.system_time),
    maxRss: field(Exit.max_rss),
    minorFaults: field(Exit.minor_faults),
    majorFaults: field(Exit.major_faults),
    blocksIn: field(Exit.blocks_in),
    blocksOut: field(Exit.blocks_out),
    voluntaryContextSwitches: field(Exit.voluntary_switches),
    involuntaryContextSwitches: field(Exit.involuntary_switches),
  };
}
