/** The signals of Linux and macOS: names to numbers and back, and the texts that Go prints. */

import { unsigned } from "../fields.ts";
import type { OS } from "../os.ts";
import { showValue } from "../quote.ts";

/**
 * A signal's name as in signal(7): "SIGTERM", and on Linux "SIGRTMIN+3", "SIGRTMAX-1" or "SIG34"
 * for a real-time signal.
 */
export type SignalName = `SIG${string}`;

/** A signal by name or number. 0 sends nothing and only asks whether the process exists. */
export type Signal = SignalName | number;

/** Name and text by number. */
type SignalTable = Readonly<Record<number, readonly [name: SignalName, text: string] | undefined>>;

/** The rows that agree in number, name and text. Made when a name is first asked for. */
const common = (): SignalTable => ({
  1: ["SIGHUP", "hangup"],
  2: ["SIGINT", "interrupt"],
  3: ["SIGQUIT", "quit"],
  4: ["SIGILL", "illegal instruction"],
  8: ["SIGFPE", "floating point exception"],
  9: ["SIGKILL", "killed"],
  11: ["SIGSEGV", "segmentation fault"],
  13: ["SIGPIPE", "broken pipe"],
  14: ["SIGALRM", "alarm clock"],
  15: ["SIGTERM", "terminated"],
  21: ["SIGTTIN", "stopped (tty input)"],
  22: ["SIGTTOU", "stopped (tty output)"],
  26: ["SIGVTALRM", "virtual timer expired"],
  27: ["SIGPROF", "profiling timer expired"],
});

/** What Linux adds: signal(7), as x86_64 and aarch64 have it. */
const linux = (): SignalTable => ({
  ...common(),
  5: ["SIGTRAP", "trace/breakpoint trap"],
  6: ["SIGABRT", "aborted"],
  7: ["SIGBUS", "bus error"],
  10: ["SIGUSR1", "user defined signal 1"],
  12: ["SIGUSR2", "user defined signal 2"],
  16: ["SIGSTKFLT", "stack fault"],
  17: ["SIGCHLD", "child exited"],
  18: ["SIGCONT", "continued"],
  19: ["SIGSTOP", "stopped (signal)"],
  20: ["SIGTSTP", "stopped"],
  23: ["SIGURG", "urgent I/O condition"],
  24: ["SIGXCPU", "CPU time limit exceeded"],
  25: ["SIGXFSZ", "file size limit exceeded"],
  28: ["SIGWINCH", "window changed"],
  29: ["SIGIO", "I/O possible"],
  30: ["SIGPWR", "power failure"],
  31: ["SIGSYS", "bad system call"],
});

/** What macOS adds: <sys/signal.h>. */
const darwin = (): SignalTable => ({
  ...common(),
  5: ["SIGTRAP", "trace/BPT trap"],
  6: ["SIGABRT", "abort trap"],
  7: ["SIGEMT", "EMT trap"],
  10: ["SIGBUS", "bus error"],
  12: ["SIGSYS", "bad system call"],
  16: ["SIGURG", "urgent I/O condition"],
  17: ["SIGSTOP", "suspended (signal)"],
  18: ["SIGTSTP", "suspended"],
  19: ["SIGCONT", "continued"],
  20: ["SIGCHLD", "child exited"],
  23: ["SIGIO", "I/O possible"],
  24: ["SIGXCPU", "cputime limit exceeded"],
  25: ["SIGXFSZ", "filesize limit exceeded"],
  28: ["SIGWINCH", "window size changes"],
  29: ["SIGINFO", "information request"],
  30: ["SIGUSR1", "user defined signal 1"],
  31: ["SIGUSR2", "user defined signal 2"],
});

/** The last signal that has a name of its own, on both systems. */
const LAST_NAMED = 31;

/** SIGRTMIN as programs see it: the kernel's is 32, of which glibc keeps two for itself. */
const RTMIN = 34;

/** SIGRTMAX, and the largest signal number of Linux. */
const RTMAX = 64;

/** Second names, as Go's syscall package has them, and the ends of the real-time range. */
const ALIASES: Readonly<Record<OS, ReadonlyMap<string, number>>> = {
  linux: new Map([
    ["SIGIOT", 6],
    ["SIGCLD", 17],
    ["SIGPOLL", 29],
    ["SIGUNUSED", 31],
    ["SIGRTMIN", RTMIN],
    ["SIGRTMAX", RTMAX],
  ]),
  darwin: new Map([["SIGIOT", 6]]),
  // Names alone: of all of them Windows has SIGKILL.
  win32: new Map(),
};

/**
 * The number of a signal. Takes the names of signal(7) with the second names Go knows (SIGIOT,
 * SIGCLD, SIGPOLL, SIGUNUSED), and on Linux SIGRTMIN (34, as in glibc), SIGRTMIN+n, SIGRTMAX,
 * SIGRTMAX-n and, as `signalName` writes them, SIG32 to SIG64; or a number from 0 to 64 (31 on
 * macOS). Throws TypeError for anything else, which says `what` it was for.
 */
export function signalNumber(signal: Signal, os: OS, what?: string): number {
  const unknown = (shown: string): never => {
    throw new TypeError(`${what === undefined ? "" : `${what}: `}Unknown signal ${shown}`);
  };
  if (typeof signal === "string") {
    const number = named(signal, os) ?? ALIASES[os].get(signal) ?? unnamed(signal, os);
    return number ?? unknown(`"${signal}"`);
  }
  if (Number.isInteger(signal) && signal >= 0 && signal <= lastSignal(os)) return unsigned(signal);
  return unknown(showValue(signal));
}

/** The name of a signal number, e.g. "SIGKILL"; a real-time or unknown one by number, "SIG34". */
export function signalName(number: number, os: OS): SignalName {
  return row(number, os)?.[0] ?? `SIG${number}`;
}

/** What Go's syscall.Signal.String() says, e.g. "killed"; `signal 35` for one without a text. */
export function signalText(number: number, os: OS): string {
  return row(number, os)?.[1] ?? `signal ${number}`;
}

let linuxTable: SignalTable | undefined;
let darwinTable: SignalTable | undefined;

function row(number: number, os: OS): readonly [name: SignalName, text: string] | undefined {
  const table = os === "darwin" ? darwinTable ??= darwin() : linuxTable ??= linux();
  return table[number];
}

function lastSignal(os: OS): number {
  return os === "linux" ? RTMAX : LAST_NAMED;
}

function named(name: string, os: OS): number | undefined {
  for (let number = 1; number <= LAST_NAMED; number++) {
    if (row(number, os)?.[0] === name) return number;
  }
  return undefined;
}

/** Tries every spelling of every signal without a name, which refuses SIG9 and SIGRTMIN+31. */
function unnamed(name: string, os: OS): number | undefined {
  for (let number = LAST_NAMED + 1; number <= lastSignal(os); number++) {
    if (name === `SIG${number}`) return number;
    if (number < RTMIN) continue;
    if (name === `SIGRTMIN+${number - RTMIN}`) return number;
    if (name === `SIGRTMAX-${RTMAX - number}`) return number;
  }
  return undefined;
}
