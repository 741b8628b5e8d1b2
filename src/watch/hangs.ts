/** What a command that does not end waits for, by what the kernel says of its pipes: for OSEXEC_DEBUG. */

import { library } from "../../ffi/library.ts";
import { decodeText } from "../../ffi/text.ts";
import type { Command } from "../command/command.ts";
import { pollOne } from "../file/descriptor.ts";
import { fdNumber, OSFile, ownPipe } from "../file/file.ts";
import { cString } from "../native.ts";
import { hasEnded } from "../process/process.ts";
import { isFd } from "../command/stdio.ts";

/** So many numbers in a row without a file, and there are taken to be no more: the kernel gives the lowest that is free. */
const gap = 256;
const O_WRONLY = 1;
const O_NONBLOCK = 0o4000;

/** An end of a pipe. */
interface PipeEnd {
  /** What both ends have in common. */
  readonly pipe: string;
  readonly writes: boolean;
}

/** By the pipe: the numbers of its reading and of its writing ends. */
type Ends = Map<string, { readonly reading: number[]; readonly writing: number[] }>;

/** This process's own ends of pipes, as they are when they are first asked for. */
export class Holdings {
  #ends: Ends | undefined;
  #mount: string | null = null;

  /** Its ends here: [reading, writing]; none that is not a pipe's. */
  of(pipe: string): readonly [reading: readonly number[], writing: readonly number[]] {
    const { reading = [], writing = [] } = this.#all().get(pipe) ?? {};
    return [reading, writing];
  }

  /** What a descriptor of a process's is, by /proc; null: no pipe's end, or it may not be looked at. */
  end(pid: number | "self", fd: number): PipeEnd | null {
    this.#all();
    return this.#read(`/proc/${pid}/fdinfo/${fd}`);
  }

  #all(): Ends {
    if (this.#ends !== undefined) return this.#ends;
    const ends: Ends = this.#ends = new Map();
    // Pipes have a file system of their own: whose mount has which number, one of ours tells.
    const [reading, writing] = ownPipe();
    this.#mount = field(readText(`/proc/self/fdinfo/${reading.fd}`), "mnt_id");
    reading.close();
    writing.close();
    let last = 0;
    for (let fd = 0; fd <= last + gap; fd++) {
      const text = readText(`/proc/self/fdinfo/${fd}`);
      if (text === "") continue;
      last = fd;
      const end = this.#parse(text);
      if (end === null) continue;
      const both = ends.get(end.pipe) ?? { reading: [], writing: [] };
      ends.set(end.pipe, both);
      (end.writes ? both.writing : both.reading).push(fd);
    }
    return ends;
  }

  #read(path: string): PipeEnd | null {
    return this.#parse(readText(path));
  }

  #parse(text: string): PipeEnd | null {
    const pipe = field(text, "ino");
    // Before Linux 5.14 there is no "ino".
    if (pipe === null || this.#mount === null || field(text, "mnt_id") !== this.#mount) return null;
    return { pipe, writes: (parseInt(field(text, "flags") ?? "0", 8) & 3) !== 0 };
  }
}

/** What it waits for, in words; a program that only takes its time "still runs". Null: it was given up. */
export function whatHolds(command: Command, holdings: Holdings): string | null {
  const { process, processState, stdin, stdout, stderr } = command;
  // As a pipeline does with the stages after one that cannot be started.
  const isOpen = (file: unknown): boolean => file instanceof OSFile && !file.closed;
  if (process === undefined && ![stdin, stdout, stderr].some(isOpen)) return null;
  if (process === undefined) return "never started: start() or run() does that";
  const reasons = pipeReasons(command, process.pid, holdings);
  if (processState !== undefined) reasons.unshift("has ended, but its output is still held open");
  else if (hasEnded(process)) {
    reasons.unshift("has ended, but nobody waits for it: wait() does that");
  } else if (reasons.length === 0) return "still runs";
  return reasons.join("; ");
}

function pipeReasons(command: Command, pid: number, holdings: Holdings): string[] {
  const { stdin, stdout, stderr, extraFiles } = command;
  const reasons = new Set<string>();
  for (const [fd, given] of [stdin, stdout, stderr, ...extraFiles].entries()) {
    const end = holdings.end(pid, fd) ?? openEnd(given, holdings);
    if (end === null) continue;
    const [reading, writing] = holdings.of(end.pipe);
    const name = ["stdin", "stdout", "stderr"][fd] ?? `fd ${fd}`;
    if (!end.writes) {
      if (writing.length > 0) reasons.add(`its ${name} was never closed (fd ${writing[0]} here)`);
      continue;
    }
    const [ours] = reading;
    if (ours === undefined) continue;
    if (isFull(ours)) reasons.add(`its ${name} is full and nobody reads (fd ${ours} here)`);
    if (writing.length > 0) {
      const what = `the writing end of its ${name}'s pipe was never closed (fd ${writing[0]} here)`;
      reasons.add(`${what}, so reading fd ${ours} does not end`);
    }
  }
  return [...reasons];
}

/** Of a command's own file, if that is still open here. */
function openEnd(given: unknown, holdings: Holdings): PipeEnd | null {
  const number = isFd(given) ? fdNumber(given, "a file") : -1;
  return number < 0 ? null : holdings.end("self", number);
}

/** Whether a pipe takes no more, by its reading end: which is opened for writing, for that moment. */
function isFull(reading: number): boolean {
  const path = cString(`/proc/self/fd/${reading}`);
  const fd = library().osexec_open(path, path.length, O_WRONLY | O_NONBLOCK, 0);
  if (fd < 0) return false;
  const answer = pollOne(fd, "out", 0);
  library().osexec_close(fd);
  return answer === 0;
}

/** A small file; "": there is none. */
function readText(name: string): string {
  const path = cString(name);
  const fd = library().osexec_open(path, path.length, 0, 0);
  if (fd < 0) return "";
  const bytes = new Uint8Array(512);
  const length = library().osexec_read(fd, bytes, bytes.length, 1);
  library().osexec_close(fd);
  return length > 0 ? decodeText(bytes.subarray(0, length)) : "";
}

function field(text: string, name: string): string | null {
  return text.match(new RegExp(`^${name}:\\s*(\\S+)`, "m"))?.[1] ?? null;
}
