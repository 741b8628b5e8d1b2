/** How a process ended: the wait status taken apart, and the resources the process had used. */

import { inspectAs } from "../inspection.ts";
import type { OS } from "../os.ts";
import { type SignalName, signalName, signalText } from "./signals.ts";

/**
 * getrusage(2) of a reaped child, together with those of its own children it had waited for. NaN in each field
 * where somebody else has reaped it: that one has it. On Windows there are the times, maxRss, and page faults of both
 * kinds as minorFaults; the rest is NaN.
 */
export interface Rusage {
  /** Processor time spent in the program, in milliseconds. */
  readonly userTime: number;
  /** Processor time spent in the kernel, in milliseconds. */
  readonly systemTime: number;
  /** Peak resident set in bytes, on every system (Linux counts in KiB, macOS in bytes). */
  readonly maxRss: number;
  /** Page faults served without reading from a disk. */
  readonly minorFaults: number;
  /** Page faults that had to read from a disk. */
  readonly majorFaults: number;
  /** Times the file system had to read. */
  readonly blocksIn: number;
  /** Times the file system had to write. */
  readonly blocksOut: number;
  /** Times the process gave the processor up, usually to wait. */
  readonly voluntaryContextSwitches: number;
  /** Times the processor was taken away. */
  readonly involuntaryContextSwitches: number;
}

/** The end of a process: Go's os.ProcessState. Immutable. */
export interface ProcessState {
  /** The process id, which may by now be another process's. */
  readonly pid: number;
  /** The exit code, 0 to 255, on Windows 0 to 2^32 - 1; or -1 if a signal ended the process. */
  readonly exitCode: number;
  /** The signal that ended it, e.g. "SIGKILL" (a real-time signal by number: "SIG34"), or null. */
  readonly signal: SignalName | null;
  /** Whether the signal left a core dump. */
  readonly coreDumped: boolean;
  /** Whether the process ended by itself: true for any exit code, false for a signal. */
  readonly exited: boolean;
  /** Whether it exited with code 0. */
  readonly success: boolean;
  /** `usage.userTime`: milliseconds of processor time spent in the program. */
  readonly userTime: number;
  /** `usage.systemTime`: milliseconds of processor time spent in the kernel. */
  readonly systemTime: number;
  /** The raw wait status of wait(2), unsigned: Go's syscall.WaitStatus. On Windows the exit code. */
  readonly status: number;
  /** The resources it used. */
  readonly usage: Rusage;
  /** When it was started, in milliseconds since the epoch; NaN for what this program has not started. */
  readonly startedAt: number;
  /** Milliseconds of the monotonic clock from its start until its end was seen; NaN as for startedAt. */
  readonly durationMs: number;
  /** Go's text: "exit status 2", "signal: killed", "signal: aborted (core dumped)". */
  toString(): string;
}

/** The low bits that hold 0 for an exit, 0x7f for a stop, or else the signal that ended it. */
const KIND = 0x7f;
const STOPPED = 0x7f;
const CORE = 0x80;
const LINUX_CONTINUED = 0xffff;
const LINUX_SIGTRAP = 5;
const DARWIN_SIGSTOP = 17;

/**
 * Decodes a wait status by the rules of the given system. `usage` is copied, and what comes back is
 * frozen, because every wait() on a process answers with the same object.
 */
export function processState(
  pid: number,
  status: number,
  usage: Rusage,
  os: OS,
  startedAt = NaN,
  durationMs = NaN,
): ProcessState {
  const copy = Object.freeze({ ...usage });
  return Object.freeze(new EndedProcess(pid, status >>> 0, copy, os, startedAt, durationMs));
}

class EndedProcess implements ProcessState {
  readonly pid: number;
  readonly exitCode: number;
  readonly signal: SignalName | null;
  readonly coreDumped: boolean;
  readonly exited: boolean;
  readonly success: boolean;
  readonly userTime: number;
  readonly systemTime: number;
  readonly status: number;
  readonly usage: Rusage;
  readonly startedAt: number;
  readonly durationMs: number;
  readonly #os: OS;

  static {
    inspectAs(this.prototype, "ProcessState", (state) => `${state}, pid ${state.pid}`);
  }

  constructor(
    pid: number,
    status: number,
    usage: Rusage,
    os: OS,
    startedAt: number,
    durationMs: number,
  ) {
    // Windows has an exit code of 32 bits, and nothing else.
    const kind = os === "win32" ? 0 : status & KIND;
    const signaled = kind !== 0 && kind !== STOPPED;
    this.pid = pid;
    this.exited = kind === 0;
    this.exitCode = this.exited ? exitStatus(status, os) : -1;
    this.success = this.exitCode === 0;
    this.signal = signaled ? signalName(kind, os) : null;
    this.coreDumped = signaled && (status & CORE) !== 0;
    this.userTime = usage.userTime;
    this.systemTime = usage.systemTime;
    this.status = status;
    this.usage = usage;
    this.startedAt = startedAt;
    this.durationMs = durationMs;
    this.#os = os;
  }

  toString(): string {
    if (this.exited) return `exit status ${exitText(this.exitCode)}`;
    if (this.signal === null) return stopText(this.status, this.#os);
    const text = `signal: ${signalText(this.status & KIND, this.#os)}`;
    return this.coreDumped ? `${text} (core dumped)` : text;
  }
}

/** In Go's way: the codes of exceptions, 0xc0000005, in the form in which they are known. */
function exitText(code: number): string {
  return code >= 0x1_0000 ? `0x${code.toString(16)}` : `${code}`;
}

function exitStatus(status: number, os: OS): number {
  if (os === "win32") return status;
  const code = status >>> 8;
  return os === "linux" ? code & 0xff : code;
}

/** A wait for the end never sees a stopped child; this keeps the decoding as complete as Go's. */
function stopText(status: number, os: OS): string {
  const argument = status >>> 8;
  if (status === LINUX_CONTINUED && os === "linux") return "continued";
  if (argument === DARWIN_SIGSTOP && os === "darwin") return "continued";
  const signal = argument & 0xff;
  const text = `stop signal: ${signalText(signal, os)}`;
  const trap = os === "linux" && signal === LINUX_SIGTRAP ? argument >>> 8 : 0;
  return trap === 0 ? text : `${text} (trap ${trap})`;
}
