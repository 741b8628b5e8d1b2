/**
 * Readiness of descriptors, as callbacks on this JavaScript thread: by asking for a short while
 * (`busy_poll.ts`), and from then on by the native reactor thread.
 *
 * The thread writes one record for each watched descriptor that became ready into a socket, which the
 * runtime's own event loop reads. The loop is kept alive exactly while some watch asks for it.
 */

import { Event, Reactor as ReactorAnswer, Ready } from "./abi.ts";
import { BusyPoll, type ReadyDescriptor } from "./busy_poll.ts";
import { FirstWaits } from "./first_waits.ts";
import { type HostTimer, startTimer, throwUncaught } from "./host.ts";
import { type Library, library } from "./library.ts";
import { currentRuntime, type EventStream } from "./runtime.ts";
import { turnBegins } from "./turn.ts";

/** One interest in one descriptor. It ends with its callback, or by cancel(). */
export interface Watch {
  /** Keeps the event loop alive until the end of the watch. */
  ref(): void;
  /** Lets the event loop end before. */
  unref(): void;
  /** The callback will not run. */
  cancel(): void;
}

/** What to wait for. */
export type Direction = "in" | "out";

/** How a watch ends: by one of these, once, or by cancel(). */
export interface WatchCallbacks {
  /** The descriptor is ready, or has ended, or has failed: trying it tells which. */
  ready(): void;
  /** It cannot be watched. May be called at once. */
  fail(error: unknown): void;
}

/** A native call failed: the errno, negated, as native code gives it. */
export class NativeError extends Error {
  /** Positive. */
  readonly errno: number;

  /** Makes the error of a negative answer. */
  constructor(answer: number) {
    super(`native call failed: errno ${-answer}`);
    this.errno = -answer;
  }
}

class Interest implements Watch {
  readonly fd: number;
  readonly direction: Direction;
  readonly callbacks: WatchCallbacks;
  referenced = false;
  active = true;
  readonly #reactor: Reactor;

  constructor(reactor: Reactor, fd: number, direction: Direction, callbacks: WatchCallbacks) {
    this.#reactor = reactor;
    this.fd = fd;
    this.direction = direction;
    this.callbacks = callbacks;
  }

  ref(): void {
    if (this.referenced || !this.active) return;
    this.referenced = true;
    this.#reactor.reference(1);
  }

  unref(): void {
    if (!this.active) return;
    this.#release();
    this.#reactor.hush(this);
  }

  cancel(): void {
    if (!this.active) return;
    this.end();
    this.#reactor.drop(this);
  }

  end(): void {
    this.#release();
    this.active = false;
  }

  #release(): void {
    if (!this.referenced) return;
    this.referenced = false;
    this.#reactor.reference(-1);
  }
}

/** All interests in one descriptor: it can be registered only once. */
interface Entry {
  /** What the thread has it armed with; 0: it has not. */
  token: number;
  interests: Interest[];
}

/**
 * The entries by their descriptors, or by the negated ids of processes that have no pidfd. Not all in one Map: V8
 * makes it a new table every few additions and removals, and the old one, once it is old enough to be collected but
 * rarely, keeps the next one with all that is in it. What belongs to a start then survives as if it were still wanted
 * (seen on Deno: 140 KB more in each collection, and a young generation that grows for it).
 */
class Entries {
  readonly #descriptors: (Entry | undefined)[] = [];
  readonly #processes = new Map<number, Entry>();

  get(fd: number): Entry | undefined {
    return fd >= 0 ? this.#descriptors[fd] : this.#processes.get(fd);
  }

  set(fd: number, entry: Entry): void {
    if (fd >= 0) this.#descriptors[fd] = entry;
    else this.#processes.set(fd, entry);
  }

  delete(fd: number): void {
    if (fd >= 0) this.#descriptors[fd] = undefined;
    else this.#processes.delete(fd);
  }
}

class Reactor {
  readonly #library: Library;
  readonly #poll: BusyPoll;
  readonly #entries = new Entries();
  #thread: Thread | undefined;
  /** Waited for without the thread, and when they are asked for next. */
  readonly #late = new Set<number>();
  #timer: HostTimer | undefined;
  #nextToken = 1;
  #references = 0;
  /** Whether something was ever waited for that does not keep the event loop alive. */
  #isHushed = false;
  /** Taken out of their entries, and still to be called. */
  readonly #due: Interest[] = [];
  /** A record whose rest is still to come. */
  #partial = new Uint8Array(0);

  constructor() {
    this.#library = library();
    this.#poll = new BusyPoll(this.#library, (ready, late) => this.#asked(ready, late));
  }

  expect(): void {
    this.#poll.expect();
  }

  watch(fd: number, direction: Direction, callbacks: WatchCallbacks): Watch {
    const interest = new Interest(this, fd, direction, callbacks);
    const entry = this.#add(interest);
    const events = wanted(entry);
    if (this.#poll.change(fd, events)) return interest;
    if (entry.token === 0 && this.#poll.tries(fd, events)) return interest;
    this.#arm(fd, entry);
    return interest;
  }

  /** The end of a process that has no pidfd. Its entry goes under the pid's negative. */
  watchProcess(pid: number, callbacks: WatchCallbacks): Watch {
    const interest = new Interest(this, -pid, "in", callbacks);
    this.#arm(-pid, this.#add(interest));
    return interest;
  }

  #add(interest: Interest): Entry {
    let entry = this.#entries.get(interest.fd);
    if (entry === undefined) {
      entry = { token: 0, interests: [] };
      this.#entries.set(interest.fd, entry);
    }
    entry.interests.push(interest);
    interest.ref();
    return entry;
  }

  /** Ends all watches of the descriptor, and takes it out of the native set. */
  forget(fd: number): void {
    for (const interest of this.#due) if (interest.fd === fd) interest.end();
    const entry = this.#entries.get(fd);
    if (entry === undefined) return;
    for (const interest of entry.interests) interest.end();
    this.#poll.delete(fd);
    this.#entries.delete(fd);
    // A process's watch cannot be taken back: its event will find nobody. What has had its event is
    // disarmed, and leaves the set when its last copy is closed.
    if (fd >= 0 && entry.token !== 0) this.#library.osexec_unwatch(this.#started().handle, fd);
  }

  reference(change: 1 | -1): void {
    const before = this.#references;
    this.#references += change;
    if (before === 0) this.#thread?.stream.ref();
    else if (this.#references === 0) this.#thread?.stream.unref();
    if (before === 0 || this.#references === 0) this.#holdTimer();
  }

  drop(interest: Interest): void {
    const entry = this.#entries.get(interest.fd);
    if (entry === undefined) return;
    entry.interests = entry.interests.filter((other) => other !== interest);
    // Nothing to wait for: whatever event still comes finds nobody.
    if (entry.interests.length === 0) this.#poll.delete(interest.fd);
  }

  /** Asking keeps the event loop alive, which this one is not to. */
  hush({ fd }: Interest): void {
    this.#isHushed = true;
    this.#thread?.stream.listen?.();
    if (this.#poll.delete(fd)) this.#giveUp(fd);
  }

  #giveUp(fd: number): void {
    const entry = this.#entries.get(fd);
    if (entry !== undefined) this.#arm(fd, entry);
  }

  #arm(fd: number, entry: Entry): void {
    try {
      this.#armNow(fd, entry);
    } catch (error) {
      if (error instanceof NativeError && scarce.has(error.errno)) return this.#askLater(fd);
      // Natively none of them is armed now, whatever was before.
      const { interests } = entry;
      this.#entries.delete(fd);
      for (const interest of interests) interest.end();
      for (const { callbacks } of interests) callbacks.fail(error);
    }
  }

  /** There is no thread to be had, or no descriptor for one: it is asked for from time to time until there is. */
  #askLater(fd: number): void {
    this.#late.add(fd);
    if (this.#timer !== undefined) return;
    this.#timer = startTimer(() => {
      this.#timer = undefined;
      this.#askNow();
    }, interval);
    if (this.#references === 0) this.#holdTimer();
  }

  #askNow(): void {
    const late = [...this.#late];
    this.#late.clear();
    const partly: number[] = [];
    for (const fd of late) {
      const entry = this.#entries.get(fd);
      if (entry === undefined) continue;
      const revents = fd < 0 ? Ready.in : this.#poll.askOnce(fd, wanted(entry));
      if (revents === 0) this.#arm(fd, entry);
      else this.#takeReady(fd, revents, partly);
    }
    this.#settle(partly);
  }

  #holdTimer(): void {
    if (this.#references > 0) this.#timer?.ref();
    else this.#timer?.unref();
  }

  #armNow(fd: number, entry: Entry): void {
    const { handle } = this.#started();
    // Never twice in a process's life, but for what wraps around after two thousand million.
    entry.token = this.#nextToken;
    this.#nextToken = this.#nextToken === 0x7fffffff ? 1 : this.#nextToken + 1;
    const answer = fd < 0
      ? this.#library.osexec_watch_pid(handle, -fd, entry.token)
      : this.#library.osexec_watch(handle, fd, wanted(entry), entry.token);
    if (answer < 0) throw new NativeError(answer);
  }

  /** The thread, made for the first that must wait for long. */
  #started(): Thread {
    if (this.#thread !== undefined) return this.#thread;
    const { handle, fd } = create(this.#library);
    const runtime = currentRuntime();
    const receive = (chunk: Uint8Array): void => this.#receive(chunk);
    const connect = (): EventStream => runtime.connect(fd, receive);
    const read = (bytes: Uint8Array): number =>
      this.#library.osexec_read(fd, bytes, bytes.length, 0);
    const stream = runtime.connectsSlowly ? new FirstWaits({ read, receive, connect }) : connect();
    runtime.onUnload(() => void this.#library.osexec_close(fd));
    if (this.#references > 0) stream.ref();
    if (this.#isHushed) stream.listen?.();
    return this.#thread = { handle, stream };
  }

  #receive(chunk: Uint8Array): void {
    let bytes = chunk;
    if (this.#partial.length > 0) {
      bytes = new Uint8Array(this.#partial.length + chunk.length);
      bytes.set(this.#partial);
      bytes.set(chunk, this.#partial.length);
    }
    const whole = bytes.length - bytes.length % Event.size;
    this.#partial = bytes.slice(whole);
    const partly: number[] = [];
    for (let offset = 0; offset < whole; offset += Event.size) {
      const fd = word(bytes, offset + Event.fd);
      const entry = this.#entries.get(fd);
      // Not what it is armed with now: an old one.
      if (entry === undefined || entry.token !== word(bytes, offset + Event.token)) continue;
      entry.token = 0;
      this.#takeReady(fd, word(bytes, offset + Event.ready), partly);
    }
    this.#settle(partly);
  }

  #asked(ready: readonly ReadyDescriptor[], late: readonly number[]): void {
    const rest = [...late];
    for (const { fd, revents } of ready) this.#takeReady(fd, revents, rest);
    this.#settle(rest);
  }

  /** Makes due what a descriptor is ready for, and adds it to `partly` if something else is waited for too. */
  #takeReady(fd: number, ready: number, partly: number[]): void {
    const entry = this.#entries.get(fd);
    if (entry === undefined) return;
    const ended = (ready & ~(Ready.in | Ready.out)) !== 0;
    const rest: Interest[] = [];
    for (const interest of entry.interests) {
      const isDue = ended || (ready & Ready[interest.direction]) !== 0;
      (isDue ? this.#due : rest).push(interest);
    }
    entry.interests = rest;
    if (rest.length > 0) partly.push(fd);
  }

  /** After all of a turn is taken in: a callback may watch, cancel and forget. */
  #settle(rest: readonly number[]): void {
    turnBegins();
    for (const fd of rest) this.#giveUp(fd);
    for (let next = this.#due.shift(); next !== undefined; next = this.#due.shift()) {
      if (!next.active) continue;
      next.end();
      try {
        next.callbacks.ready();
      } catch (error) {
        // The others are to be called all the same.
        throwUncaught(error);
      }
    }
  }
}

/** Milliseconds between two looks at what the thread cannot be had for. */
const interval = 5;

/** ENOMEM, EAGAIN (Linux and macOS), ENFILE, EMFILE, ENOSPC. */
const scarce: ReadonlySet<number> = new Set([11, 12, 23, 24, 28, 35]);

/** The native thread that this one has, and the stream of its records. */
interface Thread {
  readonly handle: number;
  readonly stream: EventStream;
}

function wanted(entry: Entry): number {
  let ready = 0;
  for (const { direction } of entry.interests) ready |= Ready[direction];
  return ready;
}

/** Not by a DataView, for which Bun must first give the bytes a buffer: that takes longer than all the rest. */
function word(bytes: Uint8Array, offset: number): number {
  const low = (bytes[offset] ?? 0) | (bytes[offset + 1] ?? 0) << 8;
  const high = (bytes[offset + 2] ?? 0) | (bytes[offset + 3] ?? 0) << 8;
  return low | high << 16;
}

/** A native reactor, and the socket its records come by: closing that ends it. */
function create(native: Library): { readonly handle: number; readonly fd: number } {
  const bytes = new Uint8Array(ReactorAnswer.size);
  const answer = native.osexec_reactor(bytes);
  if (answer < 0) throw new NativeError(answer);
  const view = new DataView(bytes.buffer);
  return {
    handle: view.getInt32(ReactorAnswer.handle, true),
    fd: view.getInt32(ReactorAnswer.fd, true),
  };
}

/**
 * A descriptor that becomes readable when a process that has no pidfd can be waited for, or can not be
 * at all: for a thread that waits without its event loop. The caller closes it.
 */
export function exitDescriptor(pid: number): number {
  const native = library();
  const { handle, fd } = create(native);
  const answer = native.osexec_watch_pid(handle, pid, 1);
  if (answer >= 0) return fd;
  native.osexec_close(fd);
  throw new NativeError(answer);
}

/**
 * This thread's, under the name of this very module: `bun --hot` evaluates that anew at each reload, and a
 * reactor that nobody knows any more would stay.
 */
const key = Symbol.for(`@osexec/osexec/reactor ${import.meta.url}`);

interface Holder {
  [key]?: Reactor;
}

const holder = globalThis as Holder;

function reactor(): Reactor {
  return holder[key] ??= new Reactor();
}

/** Says that a process was started whose end, or output, may be watched for at once. */
export function expectSoon(): void {
  reactor().expect();
}

/**
 * Calls back once when `fd` is ready, keeping the event loop alive until then. Fails with NativeError:
 * EPERM for what is always ready (a regular file), EBADF.
 */
export function watch(fd: number, direction: Direction, callbacks: WatchCallbacks): Watch {
  return reactor().watch(fd, direction, callbacks);
}

/** Calls back once when a process that has no pidfd can be waited for, or can not be at all. */
export function watchProcess(pid: number, callbacks: WatchCallbacks): Watch {
  return reactor().watchProcess(pid, callbacks);
}

/** The same as forget(), for watchProcess(). */
export function forgetProcess(pid: number): void {
  holder[key]?.forget(-pid);
}

/** Must be called before closing a descriptor that has ever been watched; no callback comes after it. */
export function forget(fd: number): void {
  holder[key]?.forget(fd);
}
