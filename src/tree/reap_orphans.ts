/** Reaping what nobody waits for, in a program that gets the orphans below it. */

import { Exit, Wait } from "../../ffi/abi.ts";
import { hostProcess, now, throwUncaught } from "../../ffi/host.ts";
import { library } from "../../ffi/library.ts";
import { currentRuntime } from "../../ffi/runtime.ts";
import { isTurnSpent, nextTurn } from "../../ffi/turn.ts";
import { StateError, SyscallError } from "../errors.ts";
import { readOptions } from "../fields.ts";
import { check } from "../native.ts";
import { currentOS } from "../os.ts";
import { textOf } from "./proc.ts";
import { Timer } from "../timer.ts";

/** What reapOrphans() is told. */
export interface ReapOptions {
  /** Called for each orphan that has been reaped, with its raw wait status, wait(2). What it throws is uncaught. */
  readonly onOrphan?: ((pid: number, status: number) => void) | undefined;
}

const optionNames: ReadonlySet<string> = new Set<keyof ReapOptions>(["onOrphan"]);

/**
 * Reaps the processes that nobody waits for, until it is disposed of: for a program that is process 1 of a container, or
 * else by making it the reaper of its descendants (PR_SET_CHILD_SUBREAPER of prctl(2)), where orphans are then its children.
 * Without it they stay zombies. Never takes the status of a child that this library, Bun, Deno or node:child_process waits
 * for: it reaps no process for which a pidfd is open here, none that another thread has started, and none that has not
 * been a zombie at three looks, half a second apart. A native library that starts processes in this program, and waits for
 * them later than that and without a pidfd, would lose their statuses. So would Node's main thread, whose child_process has
 * no pidfds, to a Worker that reaps while it stands still: on Node only the main thread may. Does not keep the event loop
 * alive. Linux with pidfds (5.3) and /proc: SyscallError elsewhere; StateError while another one is at it, and in a Worker
 * of Node's.
 *
 * @example The first process of a container
 * ```ts
 * import { Command, reapOrphans } from "osexec";
 *
 * using _ = reapOrphans({ onOrphan: (pid) => console.error(`reaped ${pid}`) });
 * await new Command("sh", ["-c", "true"]).run();
 * ```
 */
export function reapOrphans(options: ReapOptions = {}): Disposable {
  const { onOrphan } = readOptions("reapOrphans", "ReapOptions", options, optionNames);
  if (onOrphan !== undefined && typeof onOrphan !== "function") {
    throw new TypeError("onOrphan is no function");
  }
  if (isReaping) {
    throw new StateError("os: orphans are reaped already", { hint: "dispose of the other one" });
  }
  if (!currentRuntime().knowsOrphans) {
    const words = "os: a Worker of Node's cannot tell orphans from what child_process waits for";
    throw new StateError(words, { hint: "reap on the main thread" });
  }
  return new Reaper(onOrphan);
}

let isReaping = false;

/** Milliseconds between two looks. */
const pause = 500;
/** At so many looks an orphan has been seen as a zombie: whoever waits for it in a thread has had it by then. */
const looksMin = 3;
/** How many zombies are looked at, and how many descriptors together. */
const zombiesMax = 16384;
const batch = 1024;

/** One that has ended, and is still there. */
interface Zombie {
  /** What tells it from a later one of its pid: its start, in ticks since boot. */
  readonly startedAt: string;
  looks: number;
}

class Reaper implements Disposable {
  readonly #onOrphan: ReapOptions["onOrphan"];
  readonly #wasReaper: number;
  #zombies = new Map<number, Zombie>();
  #timer: Timer | undefined;
  #isDisposed = false;

  /** Throws where it could not tell whose a zombie is. */
  constructor(onOrphan: ReapOptions["onOrphan"]) {
    this.#onOrphan = onOrphan;
    // It has no orphans, and says so.
    if (currentOS() === "win32") check(library().osexec_adopt(1), "prctl");
    const { pid } = hostProcess() as { readonly pid: number };
    const pidfd = check(library().osexec_pidfd(pid), "pidfd_open");
    try {
      // Also where nobody has ended yet it is to be known whether that will be seen.
      textOf(`/proc/self/task/${pid}/children`);
      if (!pidfds(pidfd, 1).includes(pid)) {
        throw new SyscallError({
          syscall: "read",
          errno: 2,
          os: "linux",
          path: "/proc/self/fdinfo",
        });
      }
    } finally {
      library().osexec_close(pidfd);
    }
    ended();
    this.#wasReaper = check(library().osexec_adopt(1), "prctl");
    isReaping = true;
    this.#wait();
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    isReaping = false;
    this.#timer?.cancel();
    library().osexec_adopt(this.#wasReaper);
  }

  #wait(): void {
    if (this.#isDisposed) return;
    this.#timer = new Timer(now() + pause, () => {
      this.#look().catch(throwUncaught).finally(() => this.#wait());
    });
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const zombies = new Map<number, Zombie>();
    let isRipe = false;
    for (const pid of ended()) {
      const known = this.#zombies.get(pid);
      const looks = (known?.looks ?? 0) + 1;
      const startedAt = known?.startedAt ?? startOf(pid);
      if (startedAt !== undefined) zombies.set(pid, { startedAt, looks });
      isRipe ||= looks >= looksMin;
      if (isTurnSpent()) await nextTurn();
    }
    this.#zombies = zombies;
    if (isRipe) await this.#reapRipe();
  }

  async #reapRipe(): Promise<void> {
    const awaited = await allPidfds();
    for (const [pid, { looks, startedAt }] of this.#zombies) {
      if (looks < looksMin || awaited.has(pid)) continue;
      if (isTurnSpent()) await nextTurn();
      if (this.#isDisposed) return;
      // Somebody may have reaped it since it was looked at, and have started another one.
      if (startOf(pid) !== startedAt) continue;
      const answer = library().osexec_wait(pid, -1, Wait.nohang, exitBytes);
      this.#zombies.delete(pid);
      if (answer > 0) this.#tell(pid, exitView.getInt32(Exit.status, true));
    }
  }

  #tell(pid: number, status: number): void {
    try {
      this.#onOrphan?.(pid, status);
    } catch (error) {
      throwUncaught(error);
    }
  }
}

const exitBytes = new Uint8Array(Exit.size);
const exitView = new DataView(exitBytes.buffer);
const pidBytes = new Uint8Array(4 * zombiesMax);
const pidView = new DataView(pidBytes.buffer);

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => pidView.getInt32(4 * index, true));
}

/** The children that have ended and may be orphans. */
function ended(): number[] {
  return numbers(check(library().osexec_ended(pidBytes, zombiesMax), "children"));
}

/** Whom those of so many descriptors are of that are pidfds. */
function pidfds(from: number, count: number): number[] {
  return numbers(check(library().osexec_awaited(from, count, pidBytes), "fdinfo"));
}

async function allPidfds(): Promise<ReadonlySet<number>> {
  const all = new Set<number>();
  // Where descriptors lie, rounded up.
  const end = Number(/^FDSize:\s*(\d+)$/m.exec(textOf("/proc/self/status"))?.[1]);
  for (let from = 0; from < end; from += batch) {
    for (const pid of pidfds(from, Math.min(batch, end - from))) all.add(pid);
    if (isTurnSpent()) await nextTurn();
  }
  return all;
}

/** Field 22 of proc_pid_stat(5); undefined: it is gone. */
function startOf(pid: number): string | undefined {
  try {
    return textOf(`/proc/${pid}/stat`).split(") ").at(-1)?.split(" ")[19];
  } catch {
    return undefined;
  }
}
