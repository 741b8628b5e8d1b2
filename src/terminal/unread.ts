/** Text that has come and not been used, and looking for something in it while more comes. */

/** How many characters a piece has at most, and how far back a pattern is looked for. */
const span = 64 * 1024;

/** Where something was found. */
export interface Found {
  /** Of the text's beginning. */
  readonly start: number;
  readonly end: number;
  readonly match: RegExpExecArray | string;
}

/** Text in the order in which it came, in pieces: put together it would be copied whole for each of them. */
export class Unread {
  #pieces: string[] = [];
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  /** Takes bytes in; of a character that is not whole yet what is missing may come later. */
  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += span) {
      this.#push(this.#decoder.decode(bytes.subarray(at, at + span), { stream: true }));
    }
  }

  /** Nothing more comes. */
  end(): void {
    this.#push(this.#decoder.decode());
  }

  /** All of it. */
  text(): string {
    return this.#pieces.join("");
  }

  /** The last characters of it, so many at least if there are. */
  tail(count: number): string {
    let text = "";
    for (let at = this.#pieces.length; at > 0 && text.length < count;) {
      text = `${this.#pieces[--at]}${text}`;
    }
    return text;
  }

  /** So many pieces from one on, or fewer, until there is enough to be looked through at once; and the next one. */
  from(index: number): { readonly text: string; readonly next: number } {
    let text = "";
    let next = index;
    for (; next < this.#pieces.length && text.length < span; next++) text += this.#pieces[next];
    return { text, next };
  }

  /** Answers what comes before `end`, and lets go of it. */
  take(end: number): string {
    const taken: string[] = [];
    let index = 0;
    let length = 0;
    for (; length < end; index++) {
      const piece = this.#pieces[index] ?? "";
      taken.push(piece);
      length += piece.length;
    }
    this.#pieces.splice(0, index);
    const whole = taken.join("");
    if (length > end) this.#pieces.unshift(whole.slice(end));
    return whole.slice(0, end);
  }

  #push(text: string): void {
    if (text !== "") this.#pieces.push(text);
  }
}

/**
 * One thing that is looked for. Each character is looked at once, or of a pattern as often as it lies within the last
 * 64 Ki before something new: where it begins cannot be told from what has been seen.
 */
export class Search {
  readonly #unread: Unread;
  readonly #what: string | RegExp;
  readonly #overlap: number;
  #next = 0;
  /** The end of what has been looked through, and where that begins. */
  #carry = "";
  #start = 0;

  /** Begins where the text does. */
  constructor(unread: Unread, what: string | RegExp) {
    this.#unread = unread;
    // By its own place, wherever another search with it has stopped.
    this.#what = typeof what === "string"
      ? what
      : new RegExp(what.source, `${what.flags.replace(/[gy]/g, "")}g`);
    this.#overlap = typeof what === "string" ? Math.max(what.length - 1, 0) : span;
  }

  /** Whether all that has come was looked through. */
  get isDone(): boolean {
    return this.#unread.from(this.#next).text === "";
  }

  /** Looks through the next part. Null: it is not there. */
  step(): Found | null {
    const { text: added, next } = this.#unread.from(this.#next);
    this.#next = next;
    const text = this.#carry + added;
    const found = this.#find(text);
    if (found !== null) return found;
    const kept = Math.min(this.#overlap, text.length);
    this.#start += text.length - kept;
    this.#carry = kept === 0 ? "" : text.slice(-kept);
    return null;
  }

  #find(text: string): Found | null {
    const what = this.#what;
    if (typeof what === "string") {
      const at = text.indexOf(what);
      if (at < 0) return null;
      const start = this.#start + at;
      return { start, end: start + what.length, match: what };
    }
    // What was cut off is not the beginning, for ^ and for what looks behind.
    what.lastIndex = this.#start > 0 ? 1 : 0;
    const match = what.exec(text);
    if (match === null) return null;
    const start = this.#start + match.index;
    return { start, end: start + match[0].length, match };
  }
}
