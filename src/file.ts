/** Open files, pipe ends and terminals: Go's *os.File, as far as processes need it. */

import { library } from "../ffi/library.ts";
import { forget, NativeError, watch } from "../ffi/reactor.ts";
import { Errno, wouldBlock } from "./errno.ts";
import { ClosedError } from "./errors.ts";
import { LineSplitter } from "./lines.ts";
import { check, cString, syscallError } from "./native.ts";
import { currentOS } from "./os.ts";

/**
 * Anything that names an open file descriptor of this process. Handing one to a child leaves it open
 * here, the caller's to close; the child gets it in blocking mode if it is an end of a pipe or
 * terminal of ours.
 */
export type Fd = number | { readonly fd: number };

/** How OSFile.open opens: fopen-like words, or raw open(2) flags. O_CLOEXEC is always added. */
export type OpenFlags = "r" | "r+" | "w" | "w+" | "a" | "a+" | "wx" | "ax" | number;

/**
 * Descriptors that are O_NONBLOCK because an OSFile of this thread made them so. By number, as a
 * child may be given the bare number; an OSFile owns its number while it is open.
 */
const nonblocking = new Set<number>();
/** Descriptors that a child has been given: the flag is shared with it, and stays cleared. */
const lent = new Set<number>();

/**
 * Makes a descriptor fit for a child: O_NONBLOCK belongs to the open file, so a child would see it
 * too, and most programs take EAGAIN for an error (go.dev/issue/43894).
 */
export function lend(fd: number): void {
  if (!nonblocking.delete(fd)) return;
  lent.add(fd);
  check(library().osexec_nonblock(fd, 0), "fcntl");
}

/** What a write to a file that may not be made O_NONBLOCK can take without blocking: PIPE_BUF. */
const atomicWrite = 4096;
/** How many operations in a row may go on without giving the event loop a turn. */
const turnMax = 64;
let turns = 0;

/** What a pipe holds until it is grown. */
const chunkSize = 64 * 1024;
/**
 * What a pipe is made to hold that has been full, and so the most that one of ours ever holds: with 64 KiB
 * on two processors the one end mostly waits for the other (measured: 0.8 GiB/s).
 */
export const pipeMax: number = 1024 * 1024;
/** How much is read at once where chunk after chunk was full. */
const bulkSize = 256 * 1024;
/** So many in a row make a bulk: a program that fills one pipe and ends is no stream. */
const bulkReads = 2;
/** What pipe2(2) answers: read at once, so one serves all. */
const pipeEnds = new Int32Array(2);
const pipeBytes = new Uint8Array(pipeEnds.buffer);
/** Where small chunks are read into, so that each takes no more memory than it has bytes. */
let scratch: Uint8Array | undefined;

/** For copying: what can be read at once. Null at end of file, undefined where it must be waited for. */
export let readAtOnce: (file: OSFile) => Uint8Array | null | undefined;
/** The same, where poll(2) has said that a read will not block. */
export let readReady: (file: OSFile) => Uint8Array | null | undefined;
/** For copying: calls back once when a file can be read; never, if it is closed before. */
export let whenReadable: (
  file: OSFile,
  ready: () => void,
  fail: (error: unknown) => void,
) => void;

/**
 * An open file, pipe end or terminal: Go's *os.File, as far as processes need it.
 *
 * @example Lines of a file
 * ```ts
 * import { OSFile } from "./mod.ts";
 *
 * using file = OSFile.open("/etc/passwd");
 * for await (const line of file.lines()) console.log(line.split(":")[0]);
 * ```
 */
export class OSFile implements Disposable, AsyncIterable<Uint8Array> {
  #fd: number;
  readonly #name: string;
  /** The open file description is this object's alone, so that O_NONBLOCK disturbs nobody. */
  readonly #exclusive: boolean;
  #reading: Promise<void> = Promise.resolve();
  #writing: Promise<void> = Promise.resolve();
  /** What close() must reject. */
  readonly #pending = new Set<(error: Error) => void>();
  /** Bytes that lines() had read and did not use. */
  #leftover = new Uint8Array(0);
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;

  /** A pipe of this object's own that holds no more than it was made to. */
  #growable: boolean;
  /** How many reads in a row have brought a whole chunk. */
  #fullReads = 0;

  static {
    readAtOnce = (file) => file.closed || !file.#prepare("read") ? undefined : file.#readOnce();
    readReady = (file) => file.#readOnce();
    whenReadable = (file, ready, fail) => file.#watch("in", "read", ready, fail);
  }

  private constructor(fd: number, name: string, exclusive: boolean, growable = false) {
    this.#fd = fd;
    this.#name = name;
    this.#exclusive = exclusive;
    this.#growable = growable;
  }

  /**
   * Opens a file; throws SyscallError. `mode` (default 0o666) applies on creation, under the umask.
   * open(2).
   */
  static open(path: string, flags: OpenFlags = "r", mode = 0o666): OSFile {
    if (path.includes("\0")) throw syscallError(Errno.EINVAL, "open", path);
    const bytes = cString(path);
    const fd = library().osexec_open(bytes, bytes.length, openFlags(flags), mode);
    return new OSFile(check(fd, "open", path), path, true);
  }

  /** Takes ownership of an open descriptor: close() will close it. RangeError for a negative one. */
  static fromFd(fd: number, name = `fd ${fd}`): OSFile {
    if (!Number.isInteger(fd)) throw new TypeError("A file descriptor is an integer");
    if (fd < 0) throw new RangeError(`No file descriptor is negative: ${fd}`);
    return new OSFile(fd, name, false);
  }

  /** A close-on-exec pipe: pipe2(2). */
  static pipe(): [OSFile, OSFile] {
    check(library().osexec_pipe(pipeBytes), "pipe2");
    const [reading = -1, writing = -1] = pipeEnds;
    return [new OSFile(reading, "|0", true, true), new OSFile(writing, "|1", true, true)];
  }

  /** The descriptor; -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  /** The path it was opened by, "|0" and "|1" for a pipe's ends, or what fromFd() was told. */
  get name(): string {
    return this.#name;
  }

  /** Whether close() has been called. */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /**
   * Reads up to p.length bytes without blocking the thread; null at end of file, 0 only for an empty
   * p. Overlapping reads are served in order. A close() meanwhile rejects with ClosedError; SyscallError
   * for what read(2) refuses.
   */
  read(p: Uint8Array): Promise<number | null> {
    return this.#queueRead(() => this.#readNow(p));
  }

  /**
   * Writes all of p without blocking the thread; resolves to p.length. Overlapping writes are served in
   * order. EPIPE rejects, it never raises SIGPIPE. write(2).
   */
  write(p: Uint8Array): Promise<number> {
    const result = this.#writing.then(() => this.#writeNow(p));
    this.#writing = result.then(ignore, ignore);
    return result;
  }

  /** read(), but it blocks this thread. */
  readSync(p: Uint8Array): number | null {
    if (p.length === 0) return this.#open("read") && 0;
    const kept = this.#takeLeftover(p);
    if (kept > 0) return kept;
    while (true) {
      const length = this.#readInto(p);
      if (length !== undefined) return length === 0 ? null : length;
      block(this.#fd, "in");
    }
  }

  /** write(), but it blocks this thread. */
  writeSync(p: Uint8Array): number {
    let offset = 0;
    while (offset < p.length) {
      const rest = p.subarray(offset);
      const answer = library().osexec_write(this.#open("write"), rest, rest.length);
      if (answer >= 0) offset += answer;
      else if (blocks(answer)) block(this.#fd, "out");
      else throw syscallError(-answer, "write", this.#name);
    }
    this.#open("write");
    return p.length;
  }

  /** A byte stream over read(), the same object each time; its end or cancelling it closes the file. */
  get readable(): ReadableStream<Uint8Array> {
    return this.#readable ??= new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const chunk = await this.#chunk();
        if (chunk !== null) return controller.enqueue(chunk);
        this.close();
        controller.close();
      },
      cancel: () => this.close(),
    }, { highWaterMark: 0 });
  }

  /** A stream over write(), the same object each time; closing or aborting it closes the file. */
  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= new WritableStream<Uint8Array>({
      write: async (chunk) => {
        await this.write(chunk);
      },
      close: () => this.close(),
      abort: () => this.close(),
    });
  }

  /**
   * The lines of the rest of the file, without their "\n" or "\r\n"; a last one without either counts.
   * Leaving the loop early leaves the file open, and the rest of it to be read.
   */
  async *lines(): AsyncIterable<string> {
    const splitter = new LineSplitter();
    try {
      for await (const chunk of this) {
        splitter.add(chunk);
        for (let line = splitter.next(); line !== null; line = splitter.next()) yield line;
      }
      const last = splitter.last();
      if (last !== null) yield last;
    } finally {
      this.#leftover = splitter.rest();
    }
  }

  /** Chunks until end of file. Leaving the loop early leaves the file open. */
  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (let chunk = await this.#chunk(); chunk !== null; chunk = await this.#chunk()) yield chunk;
  }

  /** Closes it, and rejects what is pending with ClosedError. Idempotent. */
  close(): void {
    const fd = this.#fd;
    if (fd < 0) return;
    this.#fd = -1;
    nonblocking.delete(fd);
    lent.delete(fd);
    forget(fd);
    library().osexec_close(fd);
    for (const reject of this.#pending) reject(new ClosedError("close", this.#name));
    this.#pending.clear();
  }

  /** close(). */
  [Symbol.dispose](): void {
    this.close();
  }

  #queueRead<Result>(action: () => Promise<Result>): Promise<Result> {
    const result = this.#reading.then(action);
    this.#reading = result.then(ignore, ignore);
    return result;
  }

  /** A chunk of its own, or null at end of file. */
  #chunk(): Promise<Uint8Array | null> {
    return this.#queueRead(async () => {
      const kept = this.#leftover;
      if (kept.length > 0) {
        this.#leftover = new Uint8Array(0);
        return kept;
      }
      await this.#mayRead();
      while (true) {
        const chunk = this.#readOnce();
        if (chunk !== undefined) return chunk;
        await this.#ready("in", "read");
      }
    });
  }

  async #readNow(p: Uint8Array): Promise<number | null> {
    if (p.length === 0) return this.#open("read") && 0;
    const kept = this.#takeLeftover(p);
    if (kept > 0) return kept;
    await this.#mayRead();
    while (true) {
      const length = this.#readInto(p);
      if (length !== undefined) return length === 0 ? null : length;
      await this.#ready("in", "read");
    }
  }

  /** Resolves when a read would not block, or can be tried without blocking. */
  #mayRead(): Promise<void> {
    return this.#prepare("read") ? this.#turn("in", "read") : this.#ready("in", "read");
  }

  /** One read(2): its bytes, null at end of file, undefined where it would block. */
  #readOnce(): Uint8Array | null | undefined {
    if (this.#fullReads >= bulkReads) {
      const buffer = new Uint8Array(bulkSize);
      const length = this.#readInto(buffer);
      return length ? filledPart(buffer, length) : length === undefined ? undefined : null;
    }
    scratch ??= new Uint8Array(chunkSize);
    const length = this.#readInto(scratch);
    return length ? scratch.slice(0, length) : length === undefined ? undefined : null;
  }

  /** One read(2). Undefined: it would block. */
  #readInto(p: Uint8Array): number | undefined {
    const answer = library().osexec_read(this.#open("read"), p, p.length);
    if (answer < 0) {
      if (blocks(answer)) return undefined;
      throw syscallError(-answer, "read", this.#name);
    }
    this.#fullReads = answer >= chunkSize ? this.#fullReads + 1 : 0;
    if (this.#fullReads >= bulkReads) this.#grow();
    return answer;
  }

  /** Whether more may be written now. */
  #grow(): boolean {
    if (!this.#growable) return false;
    this.#growable = false;
    return library().osexec_grow_pipe(this.#fd, pipeMax) >= 0;
  }

  async #writeNow(p: Uint8Array): Promise<number> {
    let offset = 0;
    while (offset < p.length) {
      const free = this.#prepare("write");
      if (!free) await this.#ready("out", "write");
      else await this.#turn("out", "write");
      const rest = p.subarray(offset, free ? p.length : offset + atomicWrite);
      const answer = library().osexec_write(this.#open("write"), rest, rest.length);
      if (answer >= 0) offset += answer;
      else if (!blocks(answer)) throw syscallError(-answer, "write", this.#name);
      else if (!this.#grow()) await this.#ready("out", "write");
    }
    this.#open("write");
    return p.length;
  }

  /** The descriptor, or ClosedError. */
  #open(operation: string): number {
    if (this.#fd < 0) throw new ClosedError(operation, this.#name);
    return this.#fd;
  }

  #takeLeftover(p: Uint8Array): number {
    const length = Math.min(p.length, this.#leftover.length);
    p.set(this.#leftover.subarray(0, length));
    this.#leftover = this.#leftover.slice(length);
    return length;
  }

  /**
   * Makes the file O_NONBLOCK if nobody else sees the flag, so that reading and writing may be tried
   * at once. False: it must be asked first whether they would block.
   */
  #prepare(operation: string): boolean {
    const fd = this.#open(operation);
    if (nonblocking.has(fd)) return true;
    if (!this.#exclusive || lent.has(fd)) return false;
    check(library().osexec_nonblock(fd, 1), "fcntl", this.#name);
    nonblocking.add(fd);
    return true;
  }

  /** Gives timers and other events their turn when this thread has long been busy with ready files. */
  async #turn(direction: "in" | "out", operation: string): Promise<void> {
    turns += 1;
    if (turns % turnMax === 0) await this.#ready(direction, operation);
  }

  /** Resolves when the file is ready; rejects with ClosedError when it is closed meanwhile. */
  #ready(direction: "in" | "out", operation: string): Promise<void> {
    this.#open(operation);
    return new Promise((resolve, reject) => {
      const onClose = (): void => reject(new ClosedError(operation, this.#name));
      const done = (): void => {
        this.#pending.delete(onClose);
        resolve();
      };
      this.#pending.add(onClose);
      this.#watch(direction, operation, done, (error) => {
        this.#pending.delete(onClose);
        reject(error);
      });
    });
  }

  /** Calls `ready` back once; never, if the file is closed before. */
  #watch(
    direction: "in" | "out",
    operation: string,
    ready: () => void,
    fail: (error: unknown) => void,
  ): void {
    watch(this.#fd, direction, {
      ready,
      fail: (error) => {
        if (!(error instanceof NativeError)) return fail(error);
        // A regular file is always ready, and epoll says so by refusing it.
        if (error.errno === Errno.EPERM) setTimeout(ready, 0);
        else fail(syscallError(error.errno, operation, this.#name));
      },
    });
  }
}

/** A close-on-exec pipe: [read end, write end]. Throws SyscallError. pipe2(2). */
export function pipe(): [OSFile, OSFile] {
  return OSFile.pipe();
}

/** The number of a descriptor. TypeError for what names none. */
export function fdNumber(fd: Fd): number {
  const number = typeof fd === "object" && fd !== null ? fd.fd : fd;
  if (typeof number !== "number" || !Number.isInteger(number)) {
    throw new TypeError("A file descriptor is an integer, or has an integer fd");
  }
  return number;
}

function ignore(): void {}

/** A copy where most of the buffer would be kept alive for nothing. */
function filledPart(buffer: Uint8Array, length: number): Uint8Array {
  return length < buffer.length / 2 ? buffer.slice(0, length) : buffer.subarray(0, length);
}

function blocks(answer: number): boolean {
  return -answer === wouldBlock(currentOS());
}

function block(fd: number, direction: "in" | "out"): void {
  const POLLIN = 1;
  const POLLOUT = 4;
  const entry = new Uint8Array(8);
  const view = new DataView(entry.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, direction === "in" ? POLLIN : POLLOUT, true);
  check(library().osexec_poll(entry, 1, -1), "poll");
}

function openFlags(flags: OpenFlags): number {
  if (typeof flags === "number") return flags;
  const linux = currentOS() === "linux";
  const O_RDONLY = 0;
  const O_WRONLY = 1;
  const O_RDWR = 2;
  const O_CREAT = linux ? 0o100 : 0x200;
  const O_EXCL = linux ? 0o200 : 0x800;
  const O_TRUNC = linux ? 0o1000 : 0x400;
  const O_APPEND = linux ? 0o2000 : 0x8;
  const words: ReadonlyMap<string, number> = new Map([
    ["r", O_RDONLY],
    ["r+", O_RDWR],
    ["w", O_WRONLY | O_CREAT | O_TRUNC],
    ["w+", O_RDWR | O_CREAT | O_TRUNC],
    ["a", O_WRONLY | O_CREAT | O_APPEND],
    ["a+", O_RDWR | O_CREAT | O_APPEND],
    ["wx", O_WRONLY | O_CREAT | O_TRUNC | O_EXCL],
    ["ax", O_WRONLY | O_CREAT | O_APPEND | O_EXCL],
  ]);
  const value = words.get(flags);
  if (value === undefined) throw new TypeError(`Unknown way to open a file: ${String(flags)}`);
  return value;
}
