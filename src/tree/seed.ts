/** What a start is to be made with for the sake of its tree, and of endWithParent. */

import { Cgroup } from "./cgroup.ts";
import { planContext } from "../start/checks.ts";
import { CLONE_NEWPID, CLONE_NEWUSER } from "../start/constants.ts";
import type { SysProcAttr } from "../start/attributes.ts";
import { endAtExit, endSignal, withDeathSignal } from "./end_with_parent.ts";
import type { PlannedFd } from "../file/file.ts";
import { identity } from "./proc.ts";
import { extendReach, type Process } from "../process/process.ts";
import { type Signal, signalNumber } from "../process/signals.ts";
import { readSys } from "../start/sys.ts";
import { growGroup, type Tree } from "./tree.ts";
import { withJob } from "../windows/plan.ts";

const trees: ReadonlySet<unknown> = new Set<Tree>(["process", "group", "cgroup", "namespace"]);

/** Throws TypeError for what is none. */
export function checkTree(tree: unknown): void {
  if (!trees.has(tree)) {
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
  if (signal !== undefined && signalNumber(signal, "win32") !== signalNumber("SIGKILL", "win32")) {
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
