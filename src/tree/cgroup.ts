/** A cgroup v2 of a command's own: made before its start, ended by one write, and removed. cgroups(7). */

import { now } from "../../ffi/host.ts";
import { library } from "../../ffi/library.ts";
import { showText } from "../../ffi/text.ts";
import { Errno } from "../errno.ts";
import { SpawnError, SyscallError } from "../errors.ts";
import { closeQuietly, OSFile } from "../file/file.ts";
import { cString } from "../native.ts";
import { currentOS } from "../os.ts";
import { ownCgroup, textOf } from "./proc.ts";
import type { Reach } from "../process/process.ts";
import { Timer } from "../timer.ts";

/** How many have been made by this thread; and what tells threads from each other. */
let count = 0;
const mark = Math.random().toString(36).slice(2, 10);

/** Those that could not be removed when they were done with. */
const remaining = new Set<string>();

/** Closes and removes the cgroups of commands that nobody holds any more. */
let abandoned: FinalizationRegistry<Cgroup> | undefined;

/** A cgroup in which a child is born. */
export class Cgroup implements Reach {
  readonly needsLeader = false;
  /** What the child is cloned into; closed by begin(). */
  readonly directory: OSFile;
  readonly #path: string;
  /** As /proc/PID/cgroup has it. */
  readonly #name: string;
  /** Open from the start: when it is needed there may be no descriptor left. */
  readonly #kill: OSFile;
  #hasEnded = false;
  #isDying = false;

  /** Makes one below this process's own. Throws SpawnError of step "cgroup". */
  constructor(program: string) {
    const own = found(program);
    sweep();
    let last: string;
    let made: number;
    do {
      last = `osexec-${mark}-${++count}`;
      made = change(`${own.directory}/${last}`, 1);
    } while (made === -Errno.EEXIST);
    this.#name = `${own.name === "/" ? "" : own.name}/${last}`;
    this.#path = `${own.directory}/${last}`;
    if (made < 0) throw failed(program, own.directory, -made, remedy(-made));
    let directory: OSFile | undefined;
    try {
      directory = OSFile.open(this.#path);
      this.#kill = OSFile.open(`${this.#path}/cgroup.kill`, "w");
      this.directory = directory;
    } catch (error) {
      if (directory !== undefined) closeQuietly(directory);
      remove(this.#path);
      if (!(error instanceof SyscallError)) throw error;
      const hint = error.errno === Errno.ENOENT ? "cgroup.kill is Linux 5.14's" : undefined;
      throw failed(program, error.path ?? this.#path, error.errno, hint);
    }
  }

  /** There is a child in it. `holder`: when that is gone, nobody asks any more. */
  begin(holder: object): void {
    closeQuietly(this.directory);
    abandoned ??= new FinalizationRegistry((cgroup) => cgroup.end());
    abandoned.register(holder, this);
  }

  get isDying(): boolean {
    return this.#isDying;
  }

  signal(number: number): number {
    if (this.#hasEnded) return -Errno.ESRCH;
    const SIGKILL = 9;
    try {
      if (!/^populated 1$/m.test(textOf(`${this.#path}/cgroup.events`))) return -Errno.ESRCH;
      if (number === SIGKILL) {
        this.#kill.writeSync(new Uint8Array([0x31]));
        this.#isDying = true;
      } else if (number !== 0) return this.#signalEach(number);
      return 0;
    } catch (error) {
      if (error instanceof SyscallError) return -error.errno;
      throw error;
    }
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    closeQuietly(this.directory);
    closeQuietly(this.#kill);
    remove(this.#path);
  }

  /**
   * There is no file for it: to those that are in it now, each by a pidfd, which is looked at again; without pidfds by
   * its pid, as everything is then.
   */
  #signalEach(number: number): number {
    let answer = -Errno.ESRCH;
    for (const line of textOf(`${this.#path}/cgroup.procs`).split("\n")) {
      const pid = Number(line);
      // Of one in another pid namespace there is no number here.
      if (pid <= 0) continue;
      const pidfd = library().osexec_pidfd(pid);
      if (pidfd === -Errno.ESRCH) continue;
      const sent = this.#holds(pid) ? library().osexec_signal(pid, pidfd, number) : -Errno.ESRCH;
      if (pidfd >= 0) library().osexec_close(pidfd);
      if (sent >= 0 || answer === -Errno.ESRCH) answer = sent;
    }
    return answer;
  }

  #holds(pid: number): boolean {
    try {
      const line = textOf(`/proc/${pid}/cgroup`).split("\n").find((each) => each.startsWith("0::"));
      return line === `0::${this.#name}`;
    } catch {
      return false;
    }
  }
}

function found(program: string): { readonly name: string; readonly directory: string } {
  let own: ReturnType<typeof ownCgroup>;
  try {
    own = ownCgroup();
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    throw failed(program, error.path ?? "/proc", error.errno, undefined);
  }
  if (own !== null) return own;
  const hint = "no cgroup v2 that holds this process is mounted here";
  throw failed(program, "/sys/fs/cgroup", Errno.ENOENT, hint);
}

function failed(program: string, argument: string, errno: number, hint?: string): SpawnError {
  const path = showText(program);
  return new SpawnError({ path, step: "cgroup", os: currentOS(), argument, errno, hint });
}

/** What would allow it. */
function remedy(errno: number): string | undefined {
  const EROFS = 30;
  if (errno === EROFS) return "a container must have its cgroups mounted writable";
  if (errno !== Errno.EACCES && errno !== Errno.EPERM) return undefined;
  return "root may, and whoever this process's cgroup is delegated to: systemd-run --user --scope -p Delegate=yes";
}

/** mkdir(2) or rmdir(2). */
function change(path: string, makes: 0 | 1): number {
  const bytes = cString(path);
  return library().osexec_directory(bytes, bytes.length, makes);
}

/** The last of its processes may be gone a moment before it is gone from here: then it is tried again. */
function remove(path: string, pause = 1): void {
  const answer = change(path, 0);
  remaining.delete(path);
  if (answer >= 0 || answer === -Errno.ENOENT) return;
  remaining.add(path);
  const pauseMax = 500;
  if (pause > pauseMax) return;
  new Timer(now() + pause, () => remaining.has(path) && remove(path, 2 * pause)).unref();
}

function sweep(): void {
  for (const path of remaining) remove(path, Infinity);
}
