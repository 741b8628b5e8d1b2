/** Open files, pipe ends and terminals: Go's *os.File, as far as processes need it. */

import { Lend } from "../../ffi/abi.ts";
import { restOf, viewBytes } from "../../ffi/bytes.ts";
import { library } from "../../ffi/library.ts";
import { forget, type Watch } from "../../ffi/reactor.ts";
import { encodeText, hasHalf, showText, type Text, toText } from "../../ffi/text.ts";
import { block, ChunkReader, type FileKind, tryWrite, whenReady } from "./descriptor.ts";
import { Errno, wouldBlock } from "../errno.ts";
import { ClosedError, goQuote, StateError, SyscallError } from "../errors.ts";
import { readOptions, unsigned } from "../fields.ts";
import { inspectAs } from "../inspection.ts";
import { LineIterator } from "../command/lines.ts";
import { check, cString, syscallError } from "../native.ts";
import { type Operation, Operations } from "./operations.ts";
import { currentOS } from "../os.ts";
import { showValue } from "../quote.ts";

/**
 * Anything that names an open file descriptor of this process. Handing one to a child leaves it open
 * here, the caller's to close. The child gets it in blocking mode, whoever has made it O_NONBLOCK, as the
 * flag is the open file's: cleared here too, but not of a socket that becomes no 0, 1 or 2. docs/STREAMS.md.
 */
export type Fd = number | { readonly fd: number };

/** A descriptor that explain() only speaks of. */
export interface PlannedFd {
  readonly fd: number;
  readonly label: string;
}

/** How OSFile.open opens: fopen-like words, or raw open(2) flags. O_CLOEXEC is always added. */
export type OpenFlags = "r" | "r+" | "w" | "w+" | "a" | "a+" | "wx" | "ax" | number;

/** How OSFile.openAsync() waits. */
export interface OpenOptions {
  /** When it aborts, the waiting ends, and rejects with its reason. null counts as absent. */
  readonly signal?: AbortSignal | null | undefined;
}

const openOptionNames: ReadonlySet<string> = new Set<keyof OpenOptions>(["signal"]);

/** How OSFile.fromFd() takes a descriptor. */
export interface FromFdOptions {
  /** Takes another number of the same open file, and leaves this one the caller's. Default false. */
  readonly dup?: boolean | undefined;
}

const fromFdNames: ReadonlySet<string> = new Set<keyof FromFdOptions>(["dup"]);

/** Throws TypeError for what is no AbortSignal. */
export function checkSignal(signal: unknown): void {
  const isOne = typeof signal === "object" && signal !== null && "addEventListener" in signal &&
    "aborted" in signal;
  if (!isOne) throw new TypeError("signal is not an AbortSignal");
}

/**
 * Makes a descriptor fit for what this process becomes, as a start does for its child: O_NONBLOCK belongs to the open
 * file, whoever has set it, and most programs take EAGAIN for an error (go.dev/issue/43894). Answers whether it was set.
 */
export function lend(fd: number): boolean {
  return library().osexec_lend(fd, Lend.always) > 0;
}

/** There has been no child: sets O_NONBLOCK again. */
export function takeBack(fd: number): void {
  library().osexec_lend(fd, Lend.back);
}

/** What pipe2(2) answers: read at once, so one serves all. */
const pipeEnds = new Int32Array(2);
const pipeBytes = new Uint8Array(pipeEnds.buffer);

/**
 * For copying: what can be read at once. Null at end of file, undefined where it must be waited for. `mayWait`:
 * as tryRead()'s.
 */
export let readAtOnce: (file: OSFile, mayWait?: boolean) => Uint8Array | null | undefined;
/** For copying: resolves when a file can be read; never, if it is closed before. */
export let untilReadable: (file: OSFile) => Promise<void>;
/** For copying: writes what can be taken now. Undefined where it must be waited for. */
export let writeAtOnce: (file: OSFile, p: Uint8Array) => number | undefined;
/** For a command's own use: a pipe that nobody else has the numbers of, and that goes with this thread. */
export let ownPipe: () => [OSFile, OSFile];
/** For pipes of a command's own: close(), but whatever close(2) tells is nobody's to hear. */
export let closeQuietly: (file: OSFile) => void;
/**
 * For who has read to the end, or reads no more: closes the file, but not a terminal of ours. That would hang up a child
 * that has only closed its own side, and goes on.
 */
export let endReading: (file: OSFile) => void;
/** How many bytes lines() has read of a file and not used, which only this object has; 0 of anything else. */
export let heldBytes: (file: Fd) => number;
/**
 * The next chunk, or null at end of file, and how to do without it. `take` is given it at once, before anybody else can
 * read on.
 */
export let readChunk: (
  file: OSFile,
  take?: (chunk: Uint8Array<ArrayBuffer> | null) => void,
) => Operation<Uint8Array | null>;
/** Whoever reads next gets this first: it was read for nobody. */
export let putBack: (file: OSFile, chunks: readonly Uint8Array<ArrayBuffer>[]) => void;
/** The controlling side of a terminal, and the other one. */
export let terminalFiles: (ends: Int32Array, name: string) => [OSFile, OSFile];

/**
 * An open file, pipe end or terminal: Go's *os.File, as far as processes need it. Close it, or declare it with
 * `using`: unlike Go's, one that is forgotten stays open.
 *
 * @example Lines of a file
 * ```ts
 * import { OSFile } from "osexec";
 *
 * using file = OSFile.open("/etc/passwd");
 * for await (const line of file.lines()) console.log(line.split(":")[0]);
 * ```
 */
export class OSFile implements Disposable, AsyncIterable<Uint8Array> {
  #fd: number;
  readonly #name: string;
  readonly #kind: FileKind;
  readonly #reader: ChunkReader;
  #reads: Operations | undefined;
  #writes: Operations | undefined;
  /** What a copy of it waits by. */
  #watch: Watch | undefined;
  #referenced = true;
  /** Whether anything of it has been read here. */
  #hasRead = false;
  /** The lines() that reads it. */
  #lines: LineIterator | undefined;
  /** Bytes that lines() had read and did not use. */
  #leftover: Uint8Array<ArrayBuffer>[] = [];
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Text> | undefined;

  static {
    inspectAs(
      this.prototype,
      "OSFile",
      (file) => `${goQuote(file.name)}, ${file.closed ? "closed" : `fd ${file.fd}`}`,
    );
    readAtOnce = (file, mayWait) => file.closed ? undefined : file.#chunkAtOnce(mayWait);
    untilReadable = (file) =>
      new Promise((resolve, reject) => {
        file.#watch = whenReady(file, "in", resolve, reject);
        if (!file.#referenced) file.#watch.unref();
      });
    writeAtOnce = (file, p) => file.#writeOnce(p);
    readChunk = (file, take) => file.#readChunk(take);
    putBack = (file, chunks) => file.#leftover = [...chunks, ...file.#leftover];
    terminalFiles = ([controlling = -1, other = -1], name) => [
      new OSFile(controlling, name, "terminal"),
      new OSFile(other, name),
    ];
    ownPipe = () => OSFile.#pipe(1);
    closeQuietly = (file) => void file.#close();
    endReading = (file) => {
      if (file.#kind !== "terminal") file.#close();
    };
    heldBytes = (file) => file instanceof OSFile ? file.#giveBack() : 0;
  }

  private constructor(fd: number, name: string, kind: FileKind = "file") {
    this.#fd = fd;
    this.#name = name;
    this.#kind = kind;
    this.#reader = new ChunkReader(kind);
  }

  /**
   * Opens a file; throws SyscallError. `mode` (default 0o666) applies on creation, under the umask.
   * A FIFO is opened for reading at once, and the first read waits for who writes to it: a child that is given
   * it before is at its end. To write to a FIFO that nobody reads, and to wait for the other side before a
   * child is given it, there is openAsync(): this call blocks the thread, for ever if nobody comes. open(2),
   * fifo(7).
   */
  static open(path: Text, flags: OpenFlags = "r", mode = 0o666): OSFile {
    const { name, bytes } = pathOf(path);
    const fd = library().osexec_open(bytes, bytes.length, openFlags(flags), checkMode(mode));
    return new OSFile(check(fd, "open", name), name);
  }

  /**
   * open(), but it blocks nothing, and waits for the other side of a FIFO as open(2) does: by a thread of its
   * own. When `signal` aborts it rejects with its reason; the thread then stays until the other side comes, and
   * closes the file. SyscallError EAGAIN where 64 of them are under way.
   */
  static async openAsync(
    path: Text,
    flags: OpenFlags = "r",
    mode = 0o666,
    options: OpenOptions = {},
  ): Promise<OSFile> {
    const { signal } = readOptions("openAsync()", "OpenOptions", options, openOptionNames);
    if (signal !== undefined && signal !== null) checkSignal(signal);
    signal?.throwIfAborted();
    // It has no FIFOs.
    if (currentOS() === "win32") return OSFile.open(path, flags, mode);
    const { name, bytes } = pathOf(path);
    const number = openFlags(flags);
    const answer = library().osexec_open_begin(
      bytes,
      bytes.length,
      number,
      checkMode(mode),
      pipeBytes,
    );
    const handle = check(answer, "open", name);
    const told = new OSFile(pipeEnds[0] ?? -1, name);
    const aborted = Promise.withResolvers<void>();
    const abort = (): void => aborted.resolve();
    signal?.addEventListener("abort", abort);
    try {
      await Promise.race([untilReadable(told), aborted.promise]);
    } finally {
      signal?.removeEventListener("abort", abort);
      told.#close();
    }
    const fd = library().osexec_open_end(handle);
    if (-fd === wouldBlock(currentOS())) signal?.throwIfAborted();
    return new OSFile(check(fd, "open", name), name);
  }

  /**
   * Takes ownership of an open descriptor: close() will close it. RangeError for what no descriptor is. On Deno not
   * for a number of node:fs or node:net: Deno keeps account of those, and closes whatever has the number later. With
   * `dup` the descriptor stays the caller's, and this is another number of the same open file, right for any: dup(2);
   * SyscallError where there is no room.
   */
  static fromFd(fd: number, name?: string, options: FromFdOptions = {}): OSFile {
    if (!Number.isInteger(fd)) throw new TypeError("A file descriptor is an integer");
    if (fd < 0 || fd > fdMax) throw new RangeError(`A file descriptor is 0 to ${fdMax}, not ${fd}`);
    if (name !== undefined && typeof name !== "string") {
      throw new TypeError("The file's name is not a string");
    }
    const { dup = false } = readOptions("fromFd()", "FromFdOptions", options, fromFdNames);
    if (typeof dup !== "boolean") throw new TypeError("dup is not a boolean");
    const own = dup ? check(library().osexec_dup(unsigned(fd)), "dup", name) : unsigned(fd);
    return new OSFile(own, name ?? `fd ${fd}`);
  }

  /** A close-on-exec pipe: pipe2(2). */
  static pipe(): [OSFile, OSFile] {
    return OSFile.#pipe(0);
  }

  static #pipe(owned: 0 | 1): [OSFile, OSFile] {
    check(library().osexec_pipe(pipeBytes, owned), "pipe2");
    const [reading = -1, writing = -1] = pipeEnds;
    return [new OSFile(reading, "|0", "pipe"), new OSFile(writing, "|1", "pipe")];
  }

  /** See socketPair(). */
  static socketPair(type: "stream" | "packet" = "stream"): [OSFile, OSFile] {
    if (type !== "stream" && type !== "packet") {
      throw new TypeError(`A pair of sockets is "stream" or "packet", not ${showValue(type)}`);
    }
    const kind = type === "packet" ? type : "file";
    check(library().osexec_socket_pair(pipeBytes, type === "packet" ? 1 : 0), "socketpair");
    const [one = -1, other = -1] = pipeEnds;
    return [new OSFile(one, "socket|0", kind), new OSFile(other, "socket|1", kind)];
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
   * p. Overlapping reads are served in order. A close() meanwhile rejects with ClosedError; TypeError if p's
   * buffer is transferred or made shorter meanwhile, and then nothing is read; SyscallError for what read(2)
   * refuses.
   */
  read(p: ArrayBufferView): Promise<number | null> {
    const bytes = viewBytes(p);
    if (this.closed) return Promise.reject(new ClosedError("read", this.#name));
    const { length } = bytes;
    return this.#queue("in").add(() => this.#readOnce(restOf(bytes, 0, length))).promise;
  }

  /**
   * Writes all of p, of a string its UTF-8, without blocking the thread; resolves to its length in bytes. Bytes are read
   * from the call until the promise settles: a TypeError if their buffer is transferred or made shorter meanwhile.
   * Overlapping writes are served in order. EPIPE rejects, it never raises SIGPIPE. write(2).
   */
  write(p: ArrayBufferView | string): Promise<number> {
    const bytes = dataBytes(p);
    if (this.closed) return Promise.reject(new ClosedError("write", this.#name));
    const { length } = bytes;
    let offset = 0;
    return this.#queue("out").add(() => {
      const written = this.#writeOnce(restOf(bytes, offset, length));
      offset += written ?? 0;
      return offset === length ? length : undefined;
    }).promise;
  }

  /** write(), of a string alone: Go's WriteString. Resolves to the number of its bytes. TypeError for what is none. */
  writeString(text: string): Promise<number> {
    if (typeof text !== "string") throw new TypeError("writeString(): the text is not a string");
    return this.write(text);
  }

  /** read(), but it blocks this thread. */
  readSync(p: ArrayBufferView): number | null {
    const bytes = viewBytes(p);
    while (true) {
      this.#open("read");
      const length = this.#readOnce(bytes);
      if (length !== undefined) return length;
      block(this, "in");
    }
  }

  /** write(), but it blocks this thread. StateError while a write() is pending. */
  writeSync(p: ArrayBufferView | string): number {
    const bytes = dataBytes(p);
    this.#open("write");
    // Its bytes would come into the middle of that one's.
    if (this.#writes?.isBusy) throw new StateError(`write ${this.#name}: a write() is pending`);
    for (let offset = 0; offset < bytes.length;) {
      const written = this.#writeOnce(bytes.subarray(offset));
      if (written === undefined) block(this, "out");
      else offset += written;
    }
    return bytes.length;
  }

  /** A byte stream over read(), the same object each time; its end or cancelling it closes the file. */
  get readable(): ReadableStream<Uint8Array> {
    return this.#readable ??= new ReadableStream({
      type: "bytes",
      pull: async (controller) => {
        try {
          await this.#pull(controller);
        } catch (error) {
          this.close();
          throw error;
        }
      },
      cancel: () => this.close(),
    });
  }

  /** A stream over write(), the same object each time; closing or aborting it closes the file. */
  get writable(): WritableStream<Text> {
    return this.#writable ??= new WritableStream<Text>({
      write: async (chunk) => {
        try {
          await this.write(chunk);
        } catch (error) {
          // The stream has failed, and tells nobody else.
          this.close();
          throw error;
        }
      },
      close: () => this.close(),
      abort: () => this.close(),
    });
  }

  /**
   * The lines of the rest of the file, without their "\n" or "\r\n"; a last one without either counts.
   * Leaving the loop early, or return(), leaves the file open, and the rest of it to be read here. What has been
   * read ahead is put back for a child that is given the file, where it has a position; of a pipe such a start is
   * refused. One at a time: StateError while another has been begun, and neither ended nor left.
   */
  lines(): AsyncIterableIterator<string> & AsyncDisposable {
    let reading: Operation<Uint8Array | null> | undefined;
    const iterator: LineIterator = new LineIterator({
      // What another has read ahead is its own.
      begin: () => {
        if (this.#lines !== undefined) {
          throw new StateError(`lines ${this.#name}: another lines() is reading it`);
        }
        this.#lines = iterator;
        return !this.#hasRead;
      },
      next: () => {
        reading = this.#readChunk();
        return reading.promise;
      },
      end: () => {
        this.#lines = undefined;
      },
      isOurs: (error) => error instanceof SyscallError,
      leave: (rest) => {
        if (this.#lines !== iterator) return;
        this.#lines = undefined;
        reading?.cancel();
        this.#leftover = [rest()].filter((bytes) => bytes.length > 0);
      },
    });
    return iterator;
  }

  /** Chunks until end of file. Leaving the loop early leaves the file open. */
  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    while (true) {
      const chunk = await this.#readChunk().promise;
      if (chunk === null) return;
      yield chunk;
    }
  }

  /**
   * Closes it, and rejects what is pending with ClosedError. Idempotent. Throws SyscallError for what close(2)
   * tells: a disk that was full (EDQUOT, ENOSPC of a network file system), or EBADF, as somebody else had closed
   * the number; the file is closed all the same.
   */
  close(): void {
    const answer = this.#close();
    if (answer < 0 && answer !== -Errno.EINTR) throw syscallError(-answer, "close", this.#name);
  }

  /**
   * Of a socket: nothing more will be written, and who reads on the other side comes to the end; it can still be read.
   * Go's CloseWrite, shutdown(2). SyscallError ENOTSOCK for what is no socket.
   */
  closeWrite(): void {
    this.#open("shutdown");
    check(library().osexec_end_writing(this.#fd), "shutdown", this.#name);
  }

  /** What waits for it keeps the event loop alive: the default. */
  ref(): void {
    this.#hold(true);
  }

  /** What waits for it, a read() or a write(), lets the event loop end. */
  unref(): void {
    this.#hold(false);
  }

  /**
   * Gives the descriptor up without closing it, and answers it: it is the caller's from now on. What is pending rejects
   * with ClosedError, and so does all that comes after. ClosedError if it was closed before.
   */
  detach(): number {
    this.#open("detach");
    return this.#letGo();
  }

  /** close(). */
  [Symbol.dispose](): void {
    this.close();
  }

  #close(): number {
    return this.closed ? 0 : library().osexec_close(this.#letGo());
  }

  /** Nothing waits for it, and it has no number any more. */
  #letGo(): number {
    const fd = this.#fd;
    this.#fd = -1;
    this.#reads?.close();
    this.#writes?.close();
    forget(fd);
    return fd;
  }

  #hold(referenced: boolean): void {
    this.#referenced = referenced;
    this.#reads?.hold(referenced);
    this.#writes?.hold(referenced);
    if (referenced) this.#watch?.ref();
    else this.#watch?.unref();
  }

  #queue(direction: "in" | "out"): Operations {
    const existing = direction === "in" ? this.#reads : this.#writes;
    if (existing !== undefined) return existing;
    const queue = new Operations(this, direction);
    if (!this.#referenced) queue.hold(false);
    if (direction === "in") this.#reads = queue;
    else this.#writes = queue;
    return queue;
  }

  #readChunk(
    take?: (chunk: Uint8Array<ArrayBuffer> | null) => void,
  ): Operation<Uint8Array<ArrayBuffer> | null> {
    this.#open("read");
    return this.#queue("in").add(() => {
      const chunk = this.#chunkAtOnce();
      if (chunk !== undefined) take?.(chunk);
      return chunk;
    });
  }

  #chunkAtOnce(mayWait = false): Uint8Array<ArrayBuffer> | null | undefined {
    this.#hasRead = true;
    return this.#leftover.shift() ?? this.#reader.next(this, mayWait);
  }

  /** Puts what lines() has read ahead back, where a file has a position; answers what could not be. */
  #giveBack(): number {
    const length = this.#leftover.reduce((sum, bytes) => sum + bytes.length, 0);
    if (length === 0 || library().osexec_rewind(this.#fd, length) < 0) return length;
    this.#leftover = [];
    return 0;
  }

  /** Null at end of file; undefined: it must be waited for. */
  #readOnce(p: Uint8Array): number | null | undefined {
    if (p.length === 0) return 0;
    this.#hasRead = true;
    const [first] = this.#leftover;
    if (first !== undefined) {
      const kept = Math.min(p.length, first.length);
      p.set(first.subarray(0, kept));
      if (kept === first.length) this.#leftover.shift();
      else this.#leftover[0] = first.subarray(kept);
      return kept;
    }
    const length = this.#reader.into(this, p);
    return length === 0 ? null : length;
  }

  /** A pipe that could not take it is made to hold more, and tried again. */
  #writeOnce(p: Uint8Array): number | undefined {
    if (p.length === 0) return 0;
    const written = tryWrite(this, p);
    if (written !== undefined || !this.#reader.grow(this)) return written;
    return tryWrite(this, p);
  }

  async #pull(controller: ReadableByteStreamController): Promise<void> {
    const view = controller.byobRequest?.view;
    if (view !== undefined && view !== null) {
      const length = await this.read(view);
      if (length === null) this.#closeStream(controller);
      else controller.byobRequest?.respond(length);
      return;
    }
    const chunk = await this.#readChunk().promise;
    if (chunk === null) this.#closeStream(controller);
    else controller.enqueue(chunk);
  }

  #closeStream(controller: ReadableByteStreamController): void {
    if (this.#kind !== "terminal") this.close();
    controller.close();
    // A reader that waits with a buffer of its own gets it back, empty.
    controller.byobRequest?.respond(0);
  }

  /** Throws ClosedError. */
  #open(operation: string): void {
    if (this.#fd < 0) throw new ClosedError(operation, this.#name);
  }
}

/**
 * A close-on-exec pipe: [read end, write end]. Throws SyscallError. pipe2(2).
 *
 * @example A third output
 * ```ts
 * import { Command, pipe } from "osexec";
 *
 * const [reading, writing] = pipe();
 * const command = new Command("sh", ["-c", "echo for fd 3 >&3"], { extraFiles: [writing] });
 * command.start();
 * writing.close(); // the child has it; kept open here, the reading would not end
 * for await (const line of reading.lines()) console.log(line);
 * await command.wait();
 * ```
 */
export function pipe(): [OSFile, OSFile] {
  return OSFile.pipe();
}

/**
 * Two connected sockets, AF_UNIX and close-on-exec, each to be read and written: for a protocol of one's own over one
 * descriptor. One of them is for the child, as stdin and stdout or in extraFiles; close it here after the start, or the
 * other one never comes to its end.
 *
 * "packet" (Linux): each write is a packet, and each read takes one. What of a packet does not fit into the buffer of a
 * read() is lost; reading chunk by chunk takes 256 KiB, more than a packet has by default. An empty packet is not sent,
 * and one from elsewhere reads as the end. A write of more than the socket can hold (net.core.wmem_default) rejects with
 * EMSGSIZE. What the other side had not read when it was closed makes ECONNRESET of the next read or write, and EPIPE of
 * those after it. Throws SyscallError. socketpair(2), unix(7).
 *
 * @example Questions and answers
 * ```ts
 * import { Command, socketPair } from "osexec";
 *
 * const [ours, theirs] = socketPair();
 * const upper = new Command("tr", ["a-z", "A-Z"], { stdin: theirs, stdout: theirs });
 * upper.start();
 * theirs.close();
 * await ours.writeString("question\n");
 * ours.closeWrite();
 * for await (const line of ours.lines()) console.log(line); // "QUESTION"
 * ours.close();
 * await upper.wait();
 * ```
 */
export function socketPair(type: "stream" | "packet" = "stream"): [OSFile, OSFile] {
  return OSFile.socketPair(type);
}

/** Opens a file for one call. By no `using` in these sources: Node 20 and 22 could not even parse the package. */
export function withFile<T>(path: Text, use: (file: OSFile) => T, flags: OpenFlags = "r"): T {
  const file = OSFile.open(path, flags);
  try {
    return use(file);
  } finally {
    file.close();
  }
}

/** /dev/null, for a child: the library has it open, and finds it by this number. */
export const nullDevice: Fd = Object.freeze({ fd: -2 });

/** The greatest number that a descriptor may have: the kernel's is an int. */
export const fdMax = 0x7fffffff;

/** The number of a descriptor, whatever its size. TypeError for what names none, which says `what` it was for. */
export function fdNumber(fd: Fd, what: string): number {
  const number = typeof fd === "object" && fd !== null ? fd.fd : fd;
  if (typeof number !== "number" || !Number.isInteger(number)) {
    throw new TypeError(`${what}: a file descriptor is an integer, or has an integer fd`);
  }
  return unsigned(number);
}

function dataBytes(data: ArrayBufferView | string): Uint8Array {
  return typeof data === "string" ? encodeText(data) : viewBytes(data);
}

function pathOf(path: Text): { readonly name: string; readonly bytes: Uint8Array } {
  const text = toText("the path", path);
  const name = showText(text);
  if (text.includes("\0") || hasHalf(text)) throw syscallError(Errno.EINVAL, "open", name);
  return { name, bytes: cString(text) };
}

function checkMode(mode: number): number {
  if (Number.isInteger(mode) && mode >= 0 && mode <= 0o7777) return unsigned(mode);
  throw new TypeError(`A file's mode is an integer from 0 to 0o7777, not ${showValue(mode)}`);
}

function openFlags(flags: OpenFlags): number {
  if (typeof flags === "number") {
    if (Number.isInteger(flags) && flags >= 0 && flags <= 0x7fffffff) return unsigned(flags);
    throw new TypeError(`Flags of open(2) are an integer from 0 to 2^31 - 1, not ${flags}`);
  }
  // The library for Windows takes Linux's.
  const linux = currentOS() !== "darwin";
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
  if (value === undefined) throw new TypeError(`Unknown way to open a file: ${showValue(flags)}`);
  return value;
}
