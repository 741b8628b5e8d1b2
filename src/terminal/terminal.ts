/** Pseudo-terminals: the controlling side of one, and what a child of it is given. */

import { library } from "../../ffi/library.ts";
import { bytesOf, decodeText, type Text } from "../../ffi/text.ts";
import { Attendant } from "./attendant.ts";
import { ClosedError, goQuote, StateError } from "../errors.ts";
import { readOptions, unsigned } from "../fields.ts";
import { type OSFile, terminalFiles } from "../file/file.ts";
import { inspectAs } from "../inspection.ts";
import { check } from "../native.ts";
import { showValue } from "../quote.ts";

/** How a terminal is made. */
export interface PtyOptions {
  /** How many characters a line has, 1 to 65535. Default 80. */
  columns?: number | undefined;
  /** How many lines there are, 1 to 65535. Default 24. */
  rows?: number | undefined;
  /**
   * "cooked": echo, line editing, signals from keys (Ctrl-C, Ctrl-Z), "\n" printed as "\r\n". "raw": every byte as it is,
   * both ways. What runs there may change it. Default "cooked".
   */
  mode?: "cooked" | "raw" | undefined;
}

const optionNames: ReadonlySet<string> = new Set<keyof PtyOptions>(["columns", "mode", "rows"]);

/** For Command: the controlling side as a file. */
export let terminalFile: (terminal: Terminal) => OSFile;
/** For Command: what reads while its child is waited for. */
export let terminalAttendant: (terminal: Terminal) => Attendant;
/** For Command: it is read by something else from now on, which errors name. */
export let takeOutput: (terminal: Terminal, by: string) => void;
/** openPty(), of options that have been read. `owned`: for a command's own use; it goes with this thread. */
export let makePty: (options: PtyOptions, owned: boolean) => [Terminal, OSFile];

/**
 * The controlling side of a pseudo-terminal: what a terminal window is to the programs in it. What is written to it is
 * typed; what they print is read from it. Made by openPty(), and by a Command's `pty`. Close it, or declare it with
 * `using`: one that is forgotten stays open. pty(7).
 *
 * Reading ends, by null, when nobody has the other side open any more, after the last byte.
 *
 * @example A shell to type into
 * ```ts
 * import { Command } from "osexec";
 *
 * await using shell = new Command("sh", [], { pty: true });
 * shell.start();
 * const terminal = shell.terminal!;
 * terminal.resize(100, 40);
 * await terminal.write("stty size; exit\r");
 * for await (const chunk of terminal.readable) console.log(new TextDecoder().decode(chunk));
 * await shell.wait();
 * ```
 */
export class Terminal implements Disposable {
  readonly #file: OSFile;
  readonly #attendant: Attendant;
  #taker: string | undefined;
  #isStreamed = false;
  #writable: WritableStream<Text> | undefined;

  static {
    inspectAs(
      this.prototype,
      "Terminal",
      ({ name, fd }) => `${goQuote(name)}, ${fd < 0 ? "closed" : `fd ${fd}`}`,
    );
    terminalFile = (terminal) => terminal.#file;
    terminalAttendant = (terminal) => terminal.#attendant;
    takeOutput = (terminal, by) => terminal.#taker = by;
    makePty = (options, owned) => Terminal.#make(options, owned);
  }

  private constructor(file: OSFile) {
    this.#file = file;
    this.#attendant = new Attendant(file);
  }

  static #make(options: PtyOptions, owned: boolean): [Terminal, OSFile] {
    const { columns = 80, rows = 24, mode = "cooked" } = options;
    const ends = new Int32Array(2);
    const bytes = new Uint8Array(128);
    const endBytes = new Uint8Array(ends.buffer);
    const answer = library().osexec_pty(endBytes, bytes, bytes.length, owned ? 1 : 0);
    const name = decodeText(bytes.subarray(0, check(answer, "open", "/dev/ptmx") - 1));
    const [file, other] = terminalFiles(ends, name);
    const terminal = new Terminal(file);
    try {
      terminal.resize(columns, rows);
      terminal.setMode(mode);
    } catch (error) {
      file.close();
      other.close();
      throw error;
    }
    return [terminal, other];
  }

  /** The path of the other side, "/dev/pts/3": what tty(1) says there. */
  get name(): string {
    return this.#file.name;
  }

  /** The descriptor; -1 once closed. */
  get fd(): number {
    return this.#file.fd;
  }

  /** How many characters a line has now; what runs there may have changed it. Setting it is a resize(). */
  get columns(): number {
    return this.#window()[0];
  }

  set columns(columns: number) {
    this.resize(columns, this.rows);
  }

  /** How many lines there are now. Setting it is a resize(). */
  get rows(): number {
    return this.#window()[1];
  }

  set rows(rows: number) {
    this.resize(this.columns, rows);
  }

  /** Another size, 1 to 65535 each: what runs in the foreground there gets SIGWINCH, if it is one. TIOCSWINSZ. */
  resize(columns: number, rows: number): void {
    checkSize("columns", columns);
    checkSize("rows", rows);
    const fd = this.#open("resize");
    check(library().osexec_set_window(fd, unsigned(columns), unsigned(rows)), "ioctl", this.name);
  }

  /** See PtyOptions.mode. termios(3). */
  setMode(mode: "cooked" | "raw"): void {
    checkMode(mode);
    const fd = this.#open("setMode");
    check(library().osexec_terminal_mode(fd, mode === "raw" ? 1 : 0), "tcsetattr", this.name);
  }

  /**
   * Reads what was printed, without blocking the thread: see OSFile.read(). Null at the end, which EIO tells, and from
   * then on. StateError where the command reads it itself: output() and its kin, lines(), run() and interact() do.
   */
  async read(buffer: ArrayBufferView): Promise<number | null> {
    this.#checkTaker();
    this.#attendant.stepAside();
    try {
      return await this.#file.read(buffer);
    } finally {
      this.#attendant.comeBack();
    }
  }

  /**
   * Types: see OSFile.write(). Answers how many bytes that were. In "cooked" mode "\r" is the Enter key, "\x03" Ctrl-C,
   * and "\x04" at the beginning of a line the end of input; a line has 4095 bytes at most, and the rest of a longer one
   * is lost. SyscallError EIO where nobody has the other side open any more.
   */
  async write(data: Text): Promise<number> {
    return await this.#file.write(bytesOf("data", data));
  }

  /** A byte stream over read(), the same object each time; cancelling it closes the terminal. */
  get readable(): ReadableStream<Uint8Array> {
    this.#checkTaker();
    // For good: who has a stream reads as fast as it can take it.
    if (!this.#isStreamed) this.#attendant.stepAside();
    this.#isStreamed = true;
    return this.#file.readable;
  }

  /**
   * A stream over write(), the same object each time. Closing it leaves the terminal open, as that would hang up; the
   * end of input is "\x04".
   */
  get writable(): WritableStream<Text> {
    return this.#writable ??= new WritableStream<Text>({
      write: async (chunk) => void await this.write(chunk),
    });
  }

  /** Hangs up: what runs there gets SIGHUP. Rejects what is pending with ClosedError. Idempotent. */
  close(): void {
    this.#file.close();
  }

  /** close(). */
  [Symbol.dispose](): void {
    this.close();
  }

  #window(): readonly [columns: number, rows: number] {
    const size = new Int32Array(2);
    const answer = library().osexec_window(this.#open("window"), new Uint8Array(size.buffer));
    check(answer, "ioctl", this.name);
    return [size[0] ?? 0, size[1] ?? 0];
  }

  /** Throws StateError where it is not the caller's to read. */
  #checkTaker(): void {
    if (this.#taker === undefined) return;
    throw new StateError(`read ${this.name}: ${this.#taker} reads it`);
  }

  /** Throws ClosedError. */
  #open(operation: string): number {
    const { fd, name } = this.#file;
    if (fd < 0) throw new ClosedError(operation, name);
    return fd;
  }
}

/**
 * A new pseudo-terminal: [the controlling side, the side for a child]. As a child's 0, 1 and 2 and its controlling
 * terminal: `files: [child, child, child]` with `sys: { setsid: true, setctty: true }`, and closed here then, or reading
 * does not end. A Command's `pty` does all that. SyscallError where there is no /dev/ptmx, or no more of them.
 * posix_openpt(3), by TIOCGPTPEER.
 *
 * @example A program of startProcess() in a terminal
 * ```ts
 * import { openPty, startProcess } from "osexec";
 *
 * const [terminal, side] = openPty({ columns: 100 });
 * const sys = { setsid: true, setctty: true };
 * const child = startProcess("/bin/stty", ["stty", "size"], { files: [side, side, side], sys });
 * side.close();
 * for await (const chunk of terminal.readable) console.log(new TextDecoder().decode(chunk)); // 24 100
 * await child.wait();
 * ```
 */
export function openPty(options: PtyOptions = {}): [Terminal, OSFile] {
  return makePty(readPtyOptions("openPty()", options), false);
}

/** Reads options once, which `what` has been given. Throws TypeError, or RangeError for a size that is none. */
export function readPtyOptions(what: string, options: PtyOptions): PtyOptions {
  const read = readOptions(what, "PtyOptions", options, optionNames);
  if (read.columns !== undefined) checkSize("columns", read.columns);
  if (read.rows !== undefined) checkSize("rows", read.rows);
  if (read.mode !== undefined) checkMode(read.mode);
  return read;
}

function checkSize(name: string, value: unknown): void {
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw new TypeError(`${name} is not an integer`);
  }
  // struct winsize has 16 bits for each, and 0 says that nobody knows.
  if (value < 1 || value > 65535) throw new RangeError(`${name} is 1 to 65535, not ${value}`);
}

function checkMode(mode: unknown): void {
  if (mode === "cooked" || mode === "raw") return;
  throw new TypeError(`mode is neither "cooked" nor "raw": ${showValue(mode)}`);
}
