/** What stdin, stdout and stderr may be, which descriptors the child gets, and what is to be copied. */

import { Collector, EndsCollector } from "./capture.ts";
import {
  closeQuietly,
  type Fd,
  fdNumber,
  nullDevice,
  OSFile,
  ownPipe,
  type PlannedFd,
} from "../file/file.ts";
import { ptyOptions } from "../terminal/pty.ts";
import {
  checkSink,
  isSink,
  type OpenSink,
  openSink,
  openSyncSink,
  type Sink,
  type Writer,
} from "./sinks.ts";
import {
  checkSource,
  type Data,
  isBlob,
  isWhole,
  openSource,
  openSyncSource,
  type Source,
} from "./sources.ts";
import { OwnFileSink, TeeSink } from "./tee.ts";
import {
  makePty,
  type PtyOptions,
  takeOutput,
  type Terminal,
  terminalFile,
} from "../terminal/terminal.ts";

/**
 * What feeds the child's stdin. Absent or "null": /dev/null. "inherit": this process's own. A
 * descriptor is handed over as it is, and so is the file of a Bun.file(path). Everything else goes through a
 * pipe, fed while the child runs; a child that stops reading early is no error, and a source that is still
 * open when the child has ended is cancelled (stream.cancel(), iterator.return()), never waited for. A
 * source's own error rejects as it is, unwrapped. Bytes are read until they are written, so they must stay
 * as they are until then: that their buffer is transferred or made shorter is a TypeError. A value that is a
 * descriptor and also an iterable or a writer (an OSFile, process.stdout) counts as a descriptor. A string
 * that is data, not a word: `input`.
 */
export type Stdin = "null" | "inherit" | Fd | Data;

/**
 * Absent or "null": /dev/null. A sink's own error ends the copying, closes the pipe and rejects as it
 * is. A WritableStream is released, not closed. A Blob with a path, as Bun.file() makes, is opened as a file,
 * made or emptied, and handed over. One and the same object as stdout and stderr: one pipe, so writes never
 * interleave out of order. Several in a list get the same bytes, in order, each as it stands here; the slowest holds the
 * child back.
 */
export type Stdout = "null" | "inherit" | Fd | Writer | WritableStream<Uint8Array> | Blob;

/** A pipe's writing end, and what to write into it. */
export interface Feed<S extends Source = Source> {
  readonly end: OSFile;
  readonly source: S;
}

/** A pipe's reading end, and where to put what comes out of it. */
export interface Drain {
  readonly end: OSFile;
  readonly sink: OpenSink | Puller;
}

/** The three streams, opened. */
export interface Stdio {
  /** The child's 0, 1 and 2. */
  readonly files: readonly [Fd, Fd, Fd];
  /** This process's copies of the child's ends, to be closed once the child has them. */
  readonly childEnds: readonly OSFile[];
  readonly feed: Feed | null;
  readonly drains: readonly Drain[];
  /** Whether opening it has asked nothing of anybody, so that it can be done without a start. */
  readonly isInert: boolean;
  /** What all three are, and the controlling side of it. */
  readonly pty?: { readonly terminal: Terminal; readonly side: OSFile };
}

/** What a command has for its three streams. */
export interface StdioOptions {
  readonly stdin?: Stdin | undefined;
  readonly input?: Data | undefined;
  readonly stdout?: Stdout | readonly Stdout[] | undefined;
  readonly stderr?: Stdout | "stdout" | readonly Stdout[] | undefined;
  readonly pty?: boolean | PtyOptions | undefined;
}

/** A sink that is no sink: what comes is asked for, by lines(). */
export class Puller {
  /** Only so that it can stand where a Writer does. */
  write(): never {
    throw new TypeError("it is read from, not written to");
  }
}

/**
 * Opens what the streams need, and the sources and sinks: all that may throw, before there is a child.
 * `blocking`: for a synchronous run. `unread`: a terminal's output is left to whoever starts the command. Leaves nothing
 * open, and nothing locked, when it throws.
 */
export function openStdio(options: StdioOptions, blocking: boolean, unread: boolean): Stdio {
  const pty = checkStdio(options);
  const { stdin, input, stdout, stderr } = options;
  if (pty !== undefined) return openPtyStdio(pty, stdout, unread);
  const opener = new Opener(blocking);
  try {
    const in_ = input === undefined ? opener.stdin(stdin) : opener.data(input, "input");
    const out = opener.output(stdout, 1);
    const isSame = stderr === stdout && isToBeCopied(stderr) && (isList(stderr) || isSink(stderr));
    const err = stderr === "stdout" || isSame ? out : opener.output(stderr, 2);
    return {
      files: [in_, out, err],
      childEnds: opener.childEnds,
      feed: opener.feed,
      drains: opener.drains,
      isInert: opener.isInert,
    };
  } catch (error) {
    closeStdio(opener);
    throw error;
  }
}

/** One terminal for all three, which what a command itself takes is copied from. */
function openPtyStdio(options: PtyOptions, stdout: StdioOptions["stdout"], unread: boolean): Stdio {
  const [terminal, side] = makePty(options, true);
  const taker = isOwn(stdout) ? stdout : unread ? undefined : nowhere;
  if (taker !== undefined) takeOutput(terminal, "the command");
  const sink = taker === undefined || taker instanceof Puller ? taker : openSink(taker, "stdout");
  return {
    files: [side, side, side],
    childEnds: [side],
    feed: null,
    drains: sink === undefined ? [] : [{ end: terminalFile(terminal), sink }],
    isInert: true,
    pty: { terminal, side },
  };
}

/** Where a terminal's output goes that nobody has asked for: as of an absent stdout. */
const nowhere: Writer = { write() {} };

/** What output() and its kin have put there. */
export function isOwn(stream: unknown): stream is Collector | EndsCollector | Puller {
  return [Collector, EndsCollector, Puller].some((own) => stream instanceof own);
}

/** There is no child, or none any more: closes the pipes and lets go of sources and sinks. */
export function closeStdio(
  { childEnds, feed, drains, pty }: Omit<Stdio, "files" | "isInert">,
): void {
  for (const file of childEnds) closeQuietly(file);
  if (pty !== undefined) closeQuietly(terminalFile(pty.terminal));
  for (const { end, sink } of drains) {
    closeQuietly(end);
    if (!(sink instanceof Puller)) sink.release();
  }
  if (feed === null) return;
  closeQuietly(feed.end);
  feed.source.cancel();
}

/**
 * The pipes that a child's streams are, or the child's side of its terminal; of a stream that is another command's pipe,
 * that one's.
 */
export function pipesOf({ feed, drains, pty }: Stdio, streams: readonly unknown[]): Fd[] {
  // The other side's file is /dev/ptmx, which is everybody's.
  if (pty !== undefined) return [pty.side];
  const own = [...feed === null ? [] : [feed], ...drains].map(({ end }) => end);
  return [...own, ...streams.filter(isCommandPipe)];
}

/** The streams as openStdio() would open them, with nothing opened. */
export function describeStdio(options: StdioOptions): readonly Fd[] {
  const { stdin, input, stdout, stderr } = options;
  if (checkStdio(options) !== undefined) return [0, 1, 2].map((fd) => planned(fd, "pty"));
  const in_ = input === undefined ? describeStream(stdin, 0) : planned(0, "pipe");
  const out = describeStream(stdout, 1);
  const err = stderr === "stdout" ? out : describeStream(stderr, 2);
  return [in_, out, err];
}

function describeStream(
  stream: Stdin | Stdout | readonly Stdout[] | undefined,
  inherited: number,
): Fd {
  if (stream === undefined || stream === "null") return nullDevice;
  if (stream === "inherit") return inherited;
  if (isFd(stream)) return stream;
  return planned(inherited, pathOf(stream) ?? "pipe");
}

/**
 * Throws TypeError for what can be neither opened nor described: all that is known before anything is opened. Answers the
 * options of the terminal that stands in place of all three.
 */
function checkStdio({ stdin, input, stdout, stderr, pty }: StdioOptions): PtyOptions | undefined {
  const terminal = ptyOptions(pty);
  if (terminal !== undefined) {
    for (const [name, stream] of Object.entries({ stdin, input, stdout, stderr })) {
      if (stream === undefined || isOwn(stream)) continue;
      throw new TypeError(`pty and ${name} exclude each other: the terminal is all three`);
    }
    return terminal;
  }
  if (input !== undefined) {
    if (stdin !== undefined) throw new TypeError("stdin and input exclude each other");
    if (isFd(input)) throw new TypeError("input is a descriptor, which is for stdin");
    checkSource(input, "input");
  } else if (isToBeCopied(stdin)) checkSource(stdin, "stdin");
  if (isToBeCopied(stdout)) checkOutput(stdout, "stdout");
  if (stderr !== "stdout" && isToBeCopied(stderr)) checkOutput(stderr, "stderr");
  return undefined;
}

/** Whether it is no word, and no descriptor. */
function isToBeCopied(stream: unknown): boolean {
  return stream !== undefined && stream !== "null" && stream !== "inherit" && !isFd(stream);
}

/** Array.isArray does not narrow to a readonly array, hence a guard of our own. */
function isList(value: unknown): value is readonly Stdout[] {
  return Array.isArray(value);
}

function checkOutput(stdout: unknown, name: string): void {
  if (isList(stdout)) {
    if (stdout.length === 0) throw new TypeError(`${name} is a list of nothing`);
    for (const [index, each] of stdout.entries()) {
      const one = `${name}[${index}]`;
      if (isList(each)) throw new TypeError(`${one} is a list in a list`);
      if (isToBeCopied(each)) checkOutput(each, one);
    }
    return;
  }
  if (!isBlob(stdout)) {
    if (!(stdout instanceof Puller)) checkSink(stdout, name);
  } else if (pathOf(stdout) === undefined) {
    throw new TypeError(`${name} is a Blob that is no file: Bun.file(path) is one`);
  }
}

function planned(fd: number, label: string): PlannedFd {
  return { fd, label };
}

class Opener {
  readonly childEnds: OSFile[] = [];
  readonly drains: Drain[] = [];
  readonly #blocking: boolean;
  feed: Feed | null = null;
  isInert = true;

  constructor(blocking: boolean) {
    this.#blocking = blocking;
  }

  stdin(stdin: Stdin | undefined): Fd {
    if (stdin === undefined || stdin === "null") return nullDevice;
    if (stdin === "inherit") return 0;
    if (!isFd(stdin)) return this.data(stdin, "stdin");
    // Of a start that fails it must be left open.
    if (isCommandPipe(stdin)) this.isInert = false;
    return stdin;
  }

  data(data: Data, name: string): Fd {
    const path = pathOf(data);
    if (path !== undefined) return this.#open(path, "r");
    if (!isWhole(data)) this.isInert = false;
    const source = this.#blocking ? openSyncSource(data, name) : openSource(data, name);
    return this.#pipe(() => source.cancel(), ([reading, writing]) => {
      this.feed = { end: writing, source };
      return reading;
    });
  }

  output(stdout: Stdout | readonly Stdout[] | undefined, inherited: 1 | 2): Fd {
    if (stdout === undefined || stdout === "null") return nullDevice;
    if (stdout === "inherit") return inherited;
    if (isCommandPipe(stdout)) this.isInert = false;
    if (isFd(stdout)) return stdout;
    const name = inherited === 1 ? "stdout" : "stderr";
    if (isBlob(stdout)) return this.#open(pathOf(stdout) ?? "", "w");
    const sink = isList(stdout)
      ? this.#openList(stdout, inherited, name)
      : this.#openSink(stdout, name);
    const release = (): void => {
      if (!(sink instanceof Puller)) sink.release();
    };
    return this.#pipe(release, ([reading, writing]) => {
      this.drains.push({ end: reading, sink });
      return writing;
    });
  }

  #openList(list: readonly Stdout[], inherited: 1 | 2, name: string): TeeSink {
    const sinks: OpenSink[] = [];
    try {
      for (const [index, each] of list.entries()) {
        const sink = this.#openOne(each, inherited, `${name}[${index}]`);
        if (sink !== null) sinks.push(sink);
      }
    } catch (error) {
      for (const sink of sinks) sink.release();
      throw error;
    }
    return new TeeSink(sinks);
  }

  /** What a whole stream would hand over is written to here. Null: it is let go. */
  #openOne(stdout: Stdout, inherited: 1 | 2, name: string): OpenSink | null {
    if (stdout === undefined || stdout === "null") return null;
    if (stdout === "inherit" || isFd(stdout)) {
      const fd = fdNumber(stdout === "inherit" ? inherited : stdout, name);
      return new OwnFileSink(OSFile.fromFd(fd, name, { dup: true }), this.#blocking);
    }
    if (isBlob(stdout)) {
      return new OwnFileSink(OSFile.open(pathOf(stdout) ?? "", "w"), this.#blocking);
    }
    return this.#blocking ? openSyncSink(stdout, name) : openSink(stdout, name);
  }

  #openSink(sink: Sink | Puller, name: string): OpenSink | Puller {
    if (sink instanceof Puller) return sink;
    return this.#blocking ? openSyncSink(sink, name) : openSink(sink, name);
  }

  /** `use` takes our end, and answers the child's. */
  #pipe(release: () => void, use: (ends: [OSFile, OSFile]) => OSFile): Fd {
    let ends: [OSFile, OSFile];
    try {
      ends = ownPipe();
    } catch (error) {
      release();
      throw error;
    }
    const end = use(ends);
    this.childEnds.push(end);
    return end;
  }

  #open(path: string, flags: "r" | "w"): Fd {
    const file = OSFile.open(path, flags);
    this.childEnds.push(file);
    return file;
  }
}

/** The path of a Blob that is a file on this machine: Bun's. Not of a File, whose name is none. */
function pathOf(value: unknown): string | undefined {
  if (!isBlob(value) || !("name" in value) || typeof value.name !== "string") return undefined;
  const isFile = "writer" in value && !(typeof File === "function" && value instanceof File);
  return isFile && !("presign" in value) ? value.name : undefined;
}

/** Whether a value names a descriptor. */
export function isFd(value: unknown): value is Fd {
  if (typeof value === "number") return true;
  return typeof value === "object" && value !== null && "fd" in value &&
    typeof value.fd === "number";
}

/** A file that is marked as our end of a command's pipe. */
interface CommandPipe {
  readonly fd: number;
  close(): void;
}

/**
 * Marks one: as another command's stream it is handed over for good. On the object, under a name that every
 * copy of this module knows, as the other command may be another copy's.
 */
const commandPipe = Symbol.for("@osexec/osexec/command-pipe");

/** Marks our end of a command's pipe. */
export function markCommandPipe(file: OSFile): void {
  Object.defineProperty(file, commandPipe, { value: true });
}

/** Whether a value is our end of a command's pipe, be the command another copy's of this module. */
function isCommandPipe(value: unknown): value is CommandPipe {
  return typeof value === "object" && value !== null && Reflect.get(value, commandPipe) === true;
}

/** Closes our ends of other commands' pipes that a child has been given, whichever copy's of this module. */
export function handOver({ stdin, stdout, stderr }: StdioOptions): void {
  closeCommandPipe(stdin);
  closeCommandPipe(stdout);
  closeCommandPipe(stderr);
}

function closeCommandPipe(stream: unknown): void {
  if (!isCommandPipe(stream)) return;
  try {
    stream.close();
  } catch {
    // Somebody else has closed its number: there is a child now, which is not to be lost by that.
  }
}
