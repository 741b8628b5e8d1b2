/** Processes: Go's os.StartProcess, os.FindProcess and os.Process. */

import { Exit, Rung, Stage, Wait } from "../ffi/abi.ts";
import { library } from "../ffi/library.ts";
import { forget, forgetProcess, type Watch, watch, watchProcess } from "../ffi/reactor.ts";
import { start } from "../ffi/request.ts";
import type { ProcAttr } from "./attributes.ts";
import { Errno } from "./errno.ts";
import { ProcessDoneError, SpawnError, StateError, SyscallError } from "./errors.ts";
import { fdNumber, lend } from "./file.ts";
import { syscallError } from "./native.ts";
import { currentOS } from "./os.ts";
import { planStart, type StartPlan, stepWord } from "./plan.ts";
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
 * import { startProcess } from "./mod.ts";
 *
 * const child = startProcess("/bin/echo", ["echo", "hello"], { files: [null, 1, 2] });
 * const state = await child.wait();
 * console.log(state.toString()); // "exit status 0"
 * ```
 */
export function startProcess(
  name: string,
  argv: readonly string[],
  attr: ProcAttr = {},
): Process {
  return startChild(name, argv, attr, { pidfd: true });
}

/**
 * startProcess(), for Command: `pidfd` says whether there is to be one. Making, waiting by and closing it
 * takes a fifth of a start's time (measured), and who waits for this one child at once needs none.
 */
export function startChild(
  name: string,
  argv: readonly string[],
  attr: ProcAttr,
  { pidfd }: { readonly pidfd: boolean },
): Process {
  const plan = planStart(name, argv, attr);
  for (const file of attr.files ?? []) {
    if (file !== null) lend(fdNumber(file));
  }
  const answer = start(plan, pidfd ? 0 : Rung.pidfd);
  if (answer.errno !== 0 || answer.signal !== 0) throw spawnError(plan, answer);
  return new Process(answer.pid, answer.pidfd < 0 ? null : answer.pidfd);
}

/**
 * A handle for a process that may not be a child. Never throws for a pid that does not exist: its
 * signal() then throws ProcessDoneError, as in Go. RangeError for pid < 1. wait() on a process that
 * is no child rejects with SyscallError ECHILD.
 */
export function findProcess(pid: number): Process {
  if (!Number.isInteger(pid)) throw new TypeError("A process id is an integer");
  if (pid < 1 || pid > 0x7fffffff) throw new RangeError(`No process has the id ${pid}`);
  const answer = library().osexec_pidfd(pid);
  if (answer === -Errno.ESRCH) return new Process(pid, null, true);
  // Any other refusal (no pidfd_open, no descriptors left): by pid.
  return new Process(pid, answer < 0 ? null : answer);
}

function spawnError(
  plan: StartPlan,
  answer: { readonly step: number; readonly errno: number; readonly signal: number },
): SpawnError {
  const os = currentOS();
  const failed = plan.steps[answer.step];
  const signal = answer.signal === 0 ? undefined : answer.signal;
  const { path } = plan;
  if (failed !== undefined) {
    const { argument } = failed;
    const step = stepWord(failed);
    return new SpawnError({ path, step, os, argument, errno: answer.errno, signal });
  }
  const step = answer.step === Stage.request ? "request" : "clone";
  return new SpawnError({ path, step, os, errno: answer.errno, signal });
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

/**
 * A started process: Go's os.Process. It is waited for and signalled by its pidfd, so that no call
 * ever reaches another process that has got the same pid since. Made by startProcess(), findProcess()
 * and Command.
 *
 * A process that is the init of a pid namespace (cloneflags CLONE_NEWPID) ignores every signal for
 * which it has no handler, SIGTERM among them: only kill() ends it, pid_namespaces(7).
 */
export class Process implements AsyncDisposable {
  static {
    hasEnded = (process) => process.#ended();
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
  #waiting: PromiseWithResolvers<ProcessState> | undefined;

  /** For this package: the handle of a process that exists, or of one that is done. */
  constructor(pid: number, pidfd: number | null, done = false) {
    this.pid = pid;
    this.#handle = { fd: pidfd ?? -1 };
    this.#done = done;
    if (pidfd !== null) registry().register(this, this.#handle);
  }

  /**
   * The pidfd, or null where the kernel has none (macOS, Linux < 5.3, some sandboxes) and once the
   * process has been reaped. Owned by the Process: do not close it.
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
    if (this.#waiting === undefined) {
      this.#waiting = Promise.withResolvers();
      this.#waitFor(this.#waiting);
    }
    return this.#waiting.promise;
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
   * The number 0 asks only whether it could. pidfd_send_signal(2).
   */
  signal(sig: Signal): void {
    const number = signalNumber(sig, currentOS());
    if (this.#done) throw new ProcessDoneError();
    if (this.#released) throw new StateError("os: process already released");
    const answer = library().osexec_signal(this.pid, this.#handle.fd, number);
    if (answer === -Errno.ESRCH) throw new ProcessDoneError();
    if (answer < 0) throw syscallError(-answer, "kill");
  }

  /** Sends SIGKILL; throws as signal() does. */
  kill(): void {
    this.signal("SIGKILL");
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
  }

  /** A pending wait() keeps the event loop alive: the default. */
  ref(): void {
    this.#referenced = true;
    this.#watch?.ref();
  }

  /** A pending wait() lets the event loop end. */
  unref(): void {
    this.#referenced = false;
    this.#watch?.unref();
  }

  /** Kills a process that still runs, and reaps it if it is a child. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#done || this.#released) return;
    try {
      this.kill();
    } catch (error) {
      if (!(error instanceof ProcessDoneError)) throw error;
    }
    try {
      await this.wait();
    } catch (error) {
      // No child, or somebody else has reaped it: there is only the handle to give up.
      if (!(error instanceof SyscallError) || error.errno !== Errno.ECHILD) throw error;
      this.release();
    }
  }

  #waitFor(waiting: PromiseWithResolvers<ProcessState>): void {
    try {
      const state = this.#reap(Wait.nohang);
      if (state !== null) return waiting.resolve(state);
      const again = (): void => {
        this.#watch = undefined;
        this.#waitFor(waiting);
      };
      const { fd } = this.#handle;
      this.#watch = fd < 0 ? watchProcess(this.pid, again) : watch(fd, "in", again);
      if (!this.#referenced) this.#watch.unref();
    } catch (error) {
      waiting.reject(error);
    }
  }

  /** Whether it has ended, reaped or not. */
  #ended(): boolean {
    if (this.#done || this.#released) return true;
    const flags = Wait.nohang | Wait.nowait;
    return library().osexec_wait(this.pid, this.#handle.fd, flags, new Uint8Array(Exit.size)) !==
      0;
  }

  /** The state, or null: it still runs. */
  #reap(flags: number): ProcessState | null {
    if (this.#state !== undefined) return this.#state;
    if (this.#done) throw syscallError(Errno.ECHILD, "wait");
    if (this.#released) throw released();
    const bytes = new Uint8Array(Exit.size);
    const answer = library().osexec_wait(this.pid, this.#handle.fd, flags, bytes);
    if (answer === 0) return null;
    if (answer < 0) throw syscallError(-answer, "waitid");
    const exit = new DataView(bytes.buffer);
    this.#state = processState(
      this.pid,
      exit.getInt32(Exit.status, true),
      rusage(exit),
      currentOS(),
    );
    this.#done = true;
    this.#closePidfd();
    // A waitSync() may be what ends a pending wait().
    this.#waiting?.resolve(this.#state);
    return this.#state;
  }

  #closePidfd(): void {
    this.#watch = undefined;
    if (this.#handle.fd < 0) forgetProcess(this.pid);
    closeHandle(this.#handle);
  }
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
