/** What stdin, stdout and stderr may be, which descriptors the child gets, and what is to be copied. */

import { type Fd, OSFile, pipe } from "./file.ts";

/**
 * What feeds the child's stdin. Absent or "null": /dev/null. "inherit": this process's own. A
 * descriptor is handed over as it is. Everything else goes through a pipe, fed while the child runs; a
 * child that stops reading early is no error, and a source that is still open when the child has ended
 * is cancelled (stream.cancel(), iterator.return()), never waited for. A source's own error rejects as
 * it is, unwrapped. A value that is a descriptor and also an iterable or a writer (an OSFile,
 * process.stdout) counts as a descriptor. A string that is data, not a word: wrap it as [text] or
 * encode it if it could equal "null" or "inherit".
 */
export type Stdin =
  | "null"
  | "inherit"
  | Fd
  | string
  | Uint8Array
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array | string>
  | Iterable<Uint8Array | string>;

/**
 * A sink for output: any object with write(), which may return a promise to push back. Each chunk is the
 * sink's to keep. It is never closed.
 */
export interface Writer {
  /** Takes a chunk. What it throws, or rejects with, ends the copying. */
  write(chunk: Uint8Array): unknown;
}

/**
 * Absent or "null": /dev/null. A sink's own error ends the copying, closes the pipe and rejects as it
 * is. A WritableStream is released, not closed. One and the same object as stdout and stderr: one pipe,
 * so writes never interleave out of order.
 */
export type Stdout = "null" | "inherit" | Fd | Writer | WritableStream<Uint8Array>;

/** What is copied into the child. */
export type Source = Exclude<Stdin, Fd>;
/** What is copied out of the child goes here. */
export type Sink = Writer | WritableStream<Uint8Array>;

/** A pipe's writing end, and what to write into it. */
export interface Feed {
  readonly end: OSFile;
  readonly source: Source;
}

/** A pipe's reading end, and where to put what comes out of it. */
export interface Drain {
  readonly end: OSFile;
  readonly sink: Sink;
}

/** The three streams, opened. */
export interface Stdio {
  /** The child's 0, 1 and 2. */
  readonly files: readonly [Fd, Fd, Fd];
  /** This process's copies of the child's ends, to be closed once the child has them. */
  readonly childEnds: readonly OSFile[];
  readonly feed: Feed | null;
  readonly drains: readonly Drain[];
}

/** What a command has for its three streams. */
export interface StdioOptions {
  readonly stdin?: Stdin | undefined;
  readonly stdout?: Stdout | undefined;
  readonly stderr?: Stdout | "stdout" | undefined;
}

/** Opens what the streams need. Leaves nothing open when it throws. */
export function openStdio({ stdin, stdout, stderr }: StdioOptions): Stdio {
  const opener = new Opener();
  try {
    const in_ = opener.input(stdin);
    const out = opener.output(stdout, 1);
    const err = stderr === "stdout" || (isSink(stderr) && stderr === stdout)
      ? out
      : opener.output(stderr, 2);
    return {
      files: [in_, out, err],
      childEnds: opener.childEnds,
      feed: opener.feed,
      drains: opener.drains,
    };
  } catch (error) {
    opener.closeAll();
    throw error;
  }
}

/** A descriptor that explain() only speaks of. */
interface PlannedFd {
  readonly fd: number;
  readonly label: string;
}

/** The streams as openStdio() would open them, with nothing opened. */
export function describeStdio({ stdin, stdout, stderr }: StdioOptions): readonly Fd[] {
  const out = describeStream(stdout, 1);
  const err = stderr === "stdout" ? out : describeStream(stderr, 2);
  return [describeStream(stdin, 0), out, err];
}

function describeStream(stream: Stdin | Stdout | undefined, inherited: number): Fd {
  if (stream === undefined || stream === "null") return planned(inherited, "/dev/null");
  if (stream === "inherit") return inherited;
  return isFd(stream) ? stream : planned(inherited, "pipe");
}

function planned(fd: number, label: string): PlannedFd {
  return { fd, label };
}

class Opener {
  readonly childEnds: OSFile[] = [];
  readonly drains: Drain[] = [];
  feed: Feed | null = null;

  input(stdin: Stdin | undefined): Fd {
    if (stdin === undefined || stdin === "null") return this.#null("r");
    if (stdin === "inherit") return 0;
    if (isFd(stdin)) return stdin;
    if (!isSource(stdin)) throw new TypeError("stdin is not something that can be read from");
    if (isReadableStream(stdin) && stdin.locked) {
      throw new TypeError("stdin is a stream that is locked to a reader");
    }
    const [reading, writing] = pipe();
    this.childEnds.push(reading);
    this.feed = { end: writing, source: stdin };
    return reading;
  }

  output(stdout: Stdout | undefined, inherited: 1 | 2): Fd {
    if (stdout === undefined || stdout === "null") return this.#null("r+");
    if (stdout === "inherit") return inherited;
    if (isFd(stdout)) return stdout;
    const name = inherited === 1 ? "stdout" : "stderr";
    if (!isSink(stdout)) throw new TypeError(`${name} is not something that can be written to`);
    if (isWritableStream(stdout) && stdout.locked) {
      throw new TypeError(`${name} is a stream that is locked to a writer`);
    }
    const [reading, writing] = pipe();
    this.childEnds.push(writing);
    this.drains.push({ end: reading, sink: stdout });
    return writing;
  }

  closeAll(): void {
    for (const file of this.childEnds) file.close();
    for (const { end } of this.drains) end.close();
    this.feed?.end.close();
  }

  #null(flags: "r" | "r+"): Fd {
    const file = OSFile.open("/dev/null", flags);
    this.childEnds.push(file);
    return file;
  }
}

/** Whether a value names a descriptor. */
export function isFd(value: unknown): value is Fd {
  if (typeof value === "number") return true;
  return typeof value === "object" && value !== null && "fd" in value &&
    typeof value.fd === "number";
}

/** Whether a value is a web stream to write to. */
export function isWritableStream(value: unknown): value is WritableStream<Uint8Array> {
  return typeof value === "object" && value !== null && "getWriter" in value;
}

/** Whether a value is a web stream to read from. */
export function isReadableStream(value: unknown): value is ReadableStream<Uint8Array> {
  return typeof value === "object" && value !== null && "getReader" in value;
}

/** Whether a value gives its elements by promises. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<Uint8Array | string> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

function isSource(value: unknown): value is Source {
  if (typeof value === "string" || value instanceof Uint8Array) return true;
  if (typeof value !== "object" || value === null) return false;
  return isReadableStream(value) || isAsyncIterable(value) || Symbol.iterator in value;
}

function isSink(value: unknown): value is Sink {
  if (typeof value !== "object" || value === null) return false;
  if (isFd(value)) return false;
  return isWritableStream(value) || ("write" in value && typeof value.write === "function");
}
