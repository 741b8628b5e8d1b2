/** How far the end of a command reaches: the child alone, or what it has started as well. */

import { now } from "../../ffi/host.ts";
import { library, prepare } from "../../ffi/library.ts";
import { Cgroup } from "./cgroup.ts";
import { planContext } from "../start/checks.ts";
import { CLONE_NEWPID, CLONE_NEWUSER } from "../start/constants.ts";
import type { Cancel } from "../command/abort.ts";
import type { SysProcAttr } from "../start/attributes.ts";
import { endAtExit, endSignal, withDeathSignal } from "./end_with_parent.ts";
import { Errno } from "../errno.ts";
import type { PlannedFd } from "../file/file.ts";
import { currentOS } from "../os.ts";
import { identity } from "./proc.ts";
import {
  endReach,
  extendReach,
  hasEnded,
  hasReach,
  holdWith,
  isDying,
  letGo,
  type Process,
  type Reach,
  signalRest,
} from "../process/process.ts";
import { type Signal, signalNumber } from "../process/signals.ts";
import { readSys } from "../start/sys.ts";
import { Timer } from "../timer.ts";
import { withJob } from "../windows/plan.ts";

/** What of a child's descendants ends with it: see Command's `tree`. */
export type Tree = "process" | "group" | "cgroup" | "namespace";

const trees: ReadonlySet<unknown> = new Set<Tree>(["process", "group", "cgroup", "namespace"]);

/** Throws TypeError for what is none. */
export function checkTree(tree: unknown): void {
  if (tree !== undefined && !trees.has(tree)) {
    throw new TypeError(`tree is not one of ${[...trees].map((each) => `"${each}"`).join(", ")}`);
  }
}

/** What is asked of a start beyond sysProcAttr, before there is a process. */
export interface Seed {
  /** What the start is to be made with. */
  readonly sys: SysProcAttr;
  /** ChildOptions's. */
  readonly lasting: boolean;
  /** The process is there. */
  grow(child: Process): void;
  /** There will be none. */
  discard(): void;
}

/** Command's. */
export interface SeedOptions {
  readonly tree: Tree | undefined;
  readonly endWithParent: boolean | Signal | undefined;
  /** With what a terminal asks. */
  readonly sysProcAttr: SysProcAttr | undefined;
  /** The program. */
  readonly path: string;
}

/**
 * Prepares a start; undefined: there is nothing to prepare. `explains`: nothing is made. Throws SpawnError for what cannot
 * be had, and for what the options and sysProcAttr make of each other.
 */
export function seed(options: SeedOptions, explains: boolean): Seed | undefined {
  const { tree = "process", endWithParent, sysProcAttr, path } = options;
  const signal = endSignal(endWithParent);
  if (tree === "process" && signal === undefined) return undefined;
  const { os, refuse } = planContext(path);
  let sys = sysProcAttr === undefined ? {} : readSys(sysProcAttr, refuse);
  if (os === "win32") return seedJob(options, sys, refuse);
  const lasting = signal !== undefined && os === "linux";
  if (lasting) sys = withDeathSignal(sys, signal, refuse);
  const planted = plant(tree, sys, path, explains);
  if (signal === undefined || lasting) return { lasting, ...planted };
  const grow = (child: Process): void => {
    planted.grow(child);
    endAtExit(child, signal);
  };
  return { ...planted, lasting, grow };
}

/** On Windows a job object is both: a tree, and what ends it when this process's handle is closed by the kernel. */
function seedJob(
  { tree = "process", endWithParent }: SeedOptions,
  sys: SysProcAttr,
  refuse: (detail: string) => never,
): Seed {
  const isTree = tree === "group";
  if (!isTree && tree !== "process") refuse(`tree "${tree}" is for Linux only`);
  const signal = endSignal(endWithParent);
  if (signal !== undefined && signalNumber(signal, "win32") !== SIGKILL) {
    refuse(`endWithParent ${signal}: Windows has SIGKILL only`);
  }
  return {
    sys: withJob(sys, isTree, signal !== undefined),
    lasting: false,
    grow: isTree ? growGroup : nothing,
    discard: nothing,
  };
}

function plant(
  tree: Tree,
  sys: SysProcAttr,
  program: string,
  explains: boolean,
): Omit<Seed, "lasting"> {
  const { os, refuse } = planContext(program);
  if (tree === "process") return { sys, grow: nothing, discard: nothing };
  if (tree === "group") {
    return { sys: leadingGroup(sys, refuse), grow: growGroup, discard: nothing };
  }
  if (os !== "linux") refuse(`tree "${tree}" is for Linux only`);
  if (tree === "namespace") {
    return { sys: ownNamespace(sys, refuse), grow: nothing, discard: nothing };
  }
  if (sys.cgroupFD !== undefined) {
    refuse('tree "cgroup" makes a cgroup of its own: not with cgroupFD');
  }
  if (explains) {
    const cgroupFD: PlannedFd = { fd: 0, label: "of its own" };
    return { sys: { ...sys, cgroupFD }, grow: nothing, discard: nothing };
  }
  const cgroup = new Cgroup(program);
  return {
    sys: { ...sys, cgroupFD: cgroup.directory },
    grow(child) {
      cgroup.begin(child);
      extendReach(child, cgroup);
    },
    discard: () => cgroup.end(),
  };
}

function nothing(): void {}

/** A group of the child's own; that of a session of its own is one. */
function leadingGroup(sys: SysProcAttr, refuse: (detail: string) => never): SysProcAttr {
  if ((sys.setpgid || sys.foreground) && (sys.pgid ?? 0) !== 0) {
    const reason = `pgid ${sys.pgid} is somebody else's`;
    refuse(`tree "group" wants a group of the child's own, and ${reason}`);
  }
  prepare("osexec_signal_group");
  return sys.setsid || sys.foreground ? sys : { ...sys, setpgid: true };
}

/**
 * A pid namespace, whose init is the child: the kernel ends what is in it before the init's end is told. Who may not make
 * one alone makes a user namespace as well, in which he is himself.
 */
function ownNamespace(sys: SysProcAttr, refuse: (detail: string) => never): SysProcAttr {
  const { cloneflags = 0, unshareflags = 0 } = sys;
  const born = (cloneflags | CLONE_NEWPID) >>> 0;
  if ((unshareflags & CLONE_NEWPID) !== 0) {
    refuse(
      'tree "namespace" wants CLONE_NEWPID in cloneflags: by unshareflags the child is not in it',
    );
  }
  const self = identity();
  if ((cloneflags & CLONE_NEWUSER) !== 0 || self.isAdmin) return { ...sys, cloneflags: born };
  if ((unshareflags & CLONE_NEWUSER) !== 0) {
    refuse(
      'tree "namespace" wants CLONE_NEWUSER in cloneflags, as this user may not make a pid namespace alone',
    );
  }
  const { uid, gid } = self;
  return {
    uidMappings: [{ containerID: uid, hostID: uid, size: 1 }],
    gidMappings: [{ containerID: gid, hostID: gid, size: 1 }],
    ...sys,
    cloneflags: (born | CLONE_NEWUSER) >>> 0,
  };
}

function growGroup(process: Process): void {
  extendReach(process, group);
}

const group: Reach = {
  needsLeader: true,
  isDying: false,
  signal(number, pid, pidfd) {
    const answer = library().osexec_signal_group(pid, pidfd, number);
    // A leader may have joined another group of its session.
    const leaves = pid > 0 && (number === SIGKILL || answer === -Errno.ESRCH);
    if (!leaves) return answer;
    const alone = library().osexec_signal(pid, pidfd, number);
    return answer === -Errno.ESRCH ? alone : answer;
  },
  end: nothing,
};

/**
 * SIGKILL for all that kill() reaches, also where the child itself has ended. Answers whether that still ran; throws as
 * kill() does, but for a child that has ended.
 */
export function killTree(process: Process): boolean {
  const runs = !hasEnded(process);
  if (runs) process.kill();
  else if (hasReach(process)) killRest(process);
  return runs;
}

/** SIGKILL for what is left. The child itself has ended, and of the rest nobody was promised anything. */
function killRest(process: Process): void {
  signalRest(process, SIGKILL);
}

const SIGKILL = 9;

/** What an abort does that comes when the child has ended: its tree gets the signal, or SIGKILL. */
export function cancelRest(process: Process, cancel: Cancel | undefined): void {
  if (!hasReach(process)) return;
  if (typeof cancel === "string" || typeof cancel === "number") {
    signalRest(process, signalNumber(cancel, currentOS()));
  } else killRest(process);
}

/** How long what no system tells of is left unasked for, in milliseconds. */
const pauseMax = 50;
/** How long what has been killed is waited for. */
const dyingMax = 1000;

/**
 * The child has ended, and so has the copying: reaps it. `deadline`: an abort's, until when what is left of the tree has
 * time to end by itself.
 */
export async function endTree(process: Process, deadline: number | undefined): Promise<void> {
  if (!hasReach(process)) return;
  if (deadline !== undefined) {
    // Then it need not be kept, as a zombie that is left until the deadline.
    if (outlives(process)) letGo(process);
    await untilEmpty(process, deadline);
    killRest(process);
  }
  letGo(process);
  if (isDying(process)) await untilEmpty(process, now() + dyingMax);
  if (!isLeft(process)) endReach(process);
}

/** Kills what is left when a command is disposed of. */
export async function disposeTree(process: Process): Promise<void> {
  if (!hasReach(process)) return;
  killRest(process);
  letGo(process);
  if (isDying(process)) await untilEmpty(process, now() + dyingMax);
  endReach(process);
}

async function untilEmpty(process: Process, deadline: number): Promise<void> {
  const pause = new Pause(process);
  for (let length = 1; isLeft(process) && now() < deadline; length = next(length)) {
    await pause.until(Math.min(now() + length, deadline));
  }
}

/** endTree() of a Sync method's, before it reaps the child. */
export function endTreeSync(process: Process, deadline: number): void {
  if (!hasReach(process)) return;
  if (outlives(process)) process.waitSync();
  untilEmptySync(process, deadline);
  killRest(process);
}

/** When the child of a Sync method has been reaped. */
export function closeTree(process: Process): void {
  if (!hasReach(process)) return;
  if (isDying(process)) untilEmptySync(process, now() + dyingMax);
  if (!isLeft(process)) endReach(process);
}

function untilEmptySync(process: Process, deadline: number): void {
  const none = new Uint8Array(0);
  for (let length = 1; isLeft(process) && now() < deadline; length = next(length)) {
    library().osexec_poll(none, 0, Math.min(length, Math.ceil(deadline - now())));
  }
}

function next(length: number): number {
  return Math.min(2 * length, pauseMax);
}

/** A group's leader that has not been reaped is left as well. */
function isLeft(process: Process): boolean {
  return signalRest(process, 0) !== -Errno.ESRCH;
}

/** Whether an ended child's pidfd will do for its group when it has been reaped. */
function outlives({ pidfd }: Process): boolean {
  const answer = group.signal(0, 0, pidfd ?? -1);
  return answer === 0 || answer === -Errno.EPERM;
}

/** A timer after the other, for as long as the process keeps the event loop alive. */
class Pause {
  #timer: Timer | undefined;
  #referenced = true;

  constructor(process: Process) {
    holdWith(process, this);
  }

  until(time: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#timer = new Timer(time, resolve);
    if (!this.#referenced) this.#timer.unref();
    return promise;
  }

  ref(): void {
    this.#referenced = true;
    this.#timer?.ref();
  }

  unref(): void {
    this.#referenced = false;
    this.#timer?.unref();
  }
}
