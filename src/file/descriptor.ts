/** One open descriptor: trying to read and to write without waiting, and waiting, all by its number. */

import { type Direction, NativeError, type Watch, watch } from "../../ffi/reactor.ts";
import { library } from "../../ffi/library.ts";
import { Poll, Ready } from "../../ffi/abi.ts";
import { nextTurn } from "../../ffi/turn.ts";
import { Errno, wouldBlock } from "../errno.ts";
import { check, syscallError } from "../native.ts";
import { currentOS } from "../os.ts";

/** An open descriptor, and what errors call it. */
export interface Descriptor {
  readonly fd: number;
  readonly name: string;
}

/**
 * One read(2): how many bytes, 0 at end of file; undefined: it must be waited for, and `mayWait` has not helped
 * as somebody has made the file O_NONBLOCK. Throws SyscallError.
 */
export function tryRead(
  { fd, name }: Descriptor,
  p: Uint8Array,
  mayWait = false,
): number | undefined {
  return answerOf(library().osexec_read(fd, p, atMost(p), mayWait ? 1 : 0), "read", name);
}

/** Writes what can be taken now: how many bytes; undefined: it must be waited for. Throws SyscallError. */
export function tryWrite({ fd, name }: Descriptor, p: Uint8Array): number | undefined {
  return answerOf(library().osexec_write(fd, p, atMost(p)), "write", name);
}

/** The kernel takes no more at once, and an i32 holds it. */
function atMost({ length }: Uint8Array): number {
  return Math.min(length, 0x7ffff000);
}

function answerOf(answer: number, call: string, name: string): number | undefined {
  if (answer >= 0) return answer;
  if (-answer === wouldBlock(currentOS())) return undefined;
  throw syscallError(-answer, call, name);
}

/** Calls back once when a descriptor is ready; never, if it is forgotten before. */
export function whenReady(
  { fd, name }: Descriptor,
  direction: Direction,
  ready: () => void,
  fail: (error: unknown) => void,
): Watch {
  return watch(fd, direction, {
    ready,
    fail: (error) => {
      if (!(error instanceof NativeError)) return fail(error);
      // A regular file is always ready, and epoll says so by refusing it.
      if (error.errno === Errno.EPERM) nextTurn().then(ready);
      else fail(syscallError(error.errno, direction === "in" ? "read" : "write", name));
    },
  });
}

/** Stands still until a descriptor is ready, or has ended, or has failed. */
export function block({ fd }: Descriptor, direction: Direction): void {
  check(pollOne(fd, direction, -1), "poll");
}

/** poll(2) of one descriptor: 0, it is not ready; negative, -errno. Milliseconds; -1: no bound. */
export function pollOne(fd: number, direction: Direction, milliseconds: number): number {
  const entry = new Uint8Array(Poll.size);
  const view = new DataView(entry.buffer);
  view.setInt32(Poll.fd, fd, true);
  view.setInt16(Poll.events, Ready[direction], true);
  return library().osexec_poll(entry, 1, milliseconds);
}

/** What a pipe holds until it is grown. */
const chunkSize = 64 * 1024;
/**
 * What a pipe is made to hold that has been full, and so the most that one of ours ever holds: with 64 KiB
 * on two processors the one end mostly waits for the other (measured: 0.8 GiB/s).
 */
export const pipeMax: number = 1024 * 1024;
/** How much is read at once where chunk after chunk was full, and of what comes in packets. */
const bulkSize = 256 * 1024;
/** So many in a row make a bulk: a program that fills one pipe and ends is no stream. */
const bulkReads = 2;
/** Where small chunks are read into, so that each takes no more memory than it has bytes. */
let scratch: Uint8Array<ArrayBuffer> | undefined;

/** What a file is to its reader. All but "file": one of our own making. */
export type FileKind = "file" | "pipe" | "packet" | "terminal";

/** Reading chunk by chunk, in sizes that fit what comes. */
export class ChunkReader {
  /** How many reads in a row have brought a whole chunk. */
  #fullReads = 0;
  /** A pipe of our own that holds no more than it was made to. */
  #growable: boolean;
  /** Whether what does not fit into a chunk is lost. */
  readonly #hasPackets: boolean;
  /** The controlling side of a terminal, which says EIO for its end. */
  readonly #hangsUp: boolean;
  /** Of such a one: it would go on, should somebody open the other side again. */
  #hasEnded = false;

  constructor(kind: FileKind) {
    this.#growable = kind === "pipe";
    this.#hasPackets = kind === "packet";
    this.#hangsUp = kind === "terminal";
  }

  /** A chunk of its own; null at end of file, undefined: it must be waited for. `mayWait`: as tryRead()'s. */
  next(file: Descriptor, mayWait = false): Uint8Array<ArrayBuffer> | null | undefined {
    if (this.#hasPackets || this.#fullReads >= bulkReads) {
      const buffer = new Uint8Array(bulkSize);
      const length = this.into(file, buffer, mayWait);
      return length ? filledPart(buffer, length) : length === undefined ? undefined : null;
    }
    const buffer = scratch ??= new Uint8Array(chunkSize);
    const length = this.into(file, buffer, mayWait);
    if (!length) return length === undefined ? undefined : null;
    if (length < chunkSize) return buffer.slice(0, length);
    // What fills it need not be copied: it goes, and the next read gets another one.
    scratch = undefined;
    return buffer;
  }

  /** One read(2) into the caller's buffer. */
  into(file: Descriptor, p: Uint8Array, mayWait = false): number | undefined {
    const length = this.#hangsUp ? this.#untilHangUp(file, p) : tryRead(file, p, mayWait);
    if (length === undefined) return undefined;
    this.#fullReads = length >= chunkSize ? this.#fullReads + 1 : 0;
    if (this.#fullReads >= bulkReads) this.grow(file);
    return length;
  }

  #untilHangUp(file: Descriptor, p: Uint8Array): number | undefined {
    if (this.#hasEnded) return 0;
    const answer = library().osexec_read_terminal(file.fd, p, atMost(p));
    if (answer !== -Errno.EIO) return answerOf(answer, "read", file.name);
    this.#hasEnded = true;
    return 0;
  }

  /** Whether the pipe holds more now. */
  grow({ fd }: Descriptor): boolean {
    if (!this.#growable) return false;
    this.#growable = false;
    return library().osexec_grow_pipe(fd, pipeMax) >= 0;
  }
}

/** A copy where most of the buffer would be kept alive for nothing. */
function filledPart(buffer: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  return length < buffer.length / 2 ? buffer.slice(0, length) : buffer.subarray(0, length);
}
