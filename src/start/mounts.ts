/** Mounts, and the root that they are below: what a child sees of the file system. */

import { encodeText, showText, type Text } from "../../ffi/text.ts";
import type { SysProcAttr } from "./attributes.ts";
import { checkInteger, checkText, type PlanContext, type PlannedStep } from "./checks.ts";
import { CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWUTS } from "./constants.ts";
import { joins } from "./namespaces.ts";
import { checkRecord, fieldsOf, unknownField } from "../fields.ts";

/** What is mounted, and how: see {@link SysProcAttr.mounts}. */
export interface Mount {
  /**
   * - `"bind"`: the file or directory `source` of this process, with what is mounted below it.
   * - `"tmpfs"`: an empty directory in memory.
   * - `"proc"`: the processes of the child's pid namespace, which is to be a new one (CLONE_NEWPID) where the child is no root.
   * - `"devpts"`: terminals of its own, and `ptmx` beside them that everybody may open.
   * - `"mqueue"`: the POSIX message queues of the child's ipc namespace.
   * - `"overlay"`: the directories `lower` with `upper` on top, where changes go, and `work` beside `upper` on the same file
   *   system; without these two nothing can be changed.
   * - `"dev"`: a /dev with null, zero, full, random, urandom, tty, terminals of its own (pts, ptmx), fd, stdin, stdout, stderr,
   *   core, and shm, a tmpfs. Only below `pivotRoot`.
   * - `"mask"`: what is at `target` is hidden: a file reads as empty, a directory is empty and nobody's to write to.
   * - `"symlink"`: no mount: a symlink at `target` that says `source`. Only below `pivotRoot`, and made after all mounts.
   * - `"remount"`: what is mounted at `target` by then, after all mounts, gets readOnly, noSuid, noDev, noExec on top of what it has.
   */
  type:
    | "bind"
    | "tmpfs"
    | "proc"
    | "devpts"
    | "overlay"
    | "mqueue"
    | "dev"
    | "mask"
    | "symlink"
    | "remount";
  /** bind: a path of this process, symlinks followed. symlink: what it says. */
  source?: Text | undefined;
  /**
   * Where: an absolute path without "..", below `pivotRoot` if there is one. There symlinks on the way lead to what they will
   * for the program, never out of it, and what is missing is made: directories (0755), and for a bind of a file an empty
   * file. Without `pivotRoot` it must be there.
   */
  target: Text;
  /** A tmpfs or a "dev" can be written to until everything is mounted. Default false; a mask is. */
  readOnly?: boolean | undefined;
  /** bind, remount: with all that is mounted below. Default true, which a user namespace insists on for a bind. */
  recursive?: boolean | undefined;
  /** No set-user-ID, set-group-ID or file capabilities. Default: true, but for bind, overlay and remount false. */
  noSuid?: boolean | undefined;
  /** Devices cannot be opened. Default: true, but for bind, overlay, remount and devpts false. */
  noDev?: boolean | undefined;
  /** Nothing can be executed. Default: for proc, mqueue and devpts true. */
  noExec?: boolean | undefined;
  /**
   * tmpfs: bytes, rounded up to pages, and a file for each KiB. Default: half of the memory. dev: of shm, 64 MiB by default.
   */
  size?: number | undefined;
  /** tmpfs: of the directory. Default 0o755. */
  mode?: number | undefined;
  /** overlay: the uppermost first. */
  lower?: readonly Text[] | undefined;
  /** overlay: where changes go. */
  upper?: Text | undefined;
  /** overlay: an empty directory on the file system of `upper`. */
  work?: Text | undefined;
}

type Type = Mount["type"];

/** Fields that not every type has, and the types that have them. */
const special: readonly (readonly [field: keyof Mount, types: readonly Type[]])[] = [
  ["source", ["bind", "symlink"]],
  ["recursive", ["bind", "remount"]],
  ["size", ["tmpfs", "dev"]],
  ["mode", ["tmpfs"]],
  ["lower", ["overlay"]],
  ["upper", ["overlay"]],
  ["work", ["overlay"]],
];

const flagNames = ["readOnly", "noSuid", "noDev", "noExec"] as const;

/** MOUNT_ATTR_* of mount_setattr(2), in the order of `flagNames`. */
const RDONLY = 1;
const NOSUID = 2;
const NODEV = 4;
const NOEXEC = 8;
/** `mount_recursive` of steps.zig. */
const RECURSIVE = 0x80000000;

/** MountKind of steps.zig, and which of noSuid, noDev, noExec it has unless it is told. */
const kinds: ReadonlyMap<Type, readonly [kind: number, attributes: number]> = new Map([
  ["bind", [0, 0]],
  ["tmpfs", [1, NOSUID | NODEV]],
  ["proc", [2, NOSUID | NODEV | NOEXEC]],
  ["devpts", [3, NOSUID | NOEXEC]],
  ["overlay", [4, 0]],
  ["mqueue", [5, NOSUID | NODEV | NOEXEC]],
  // No nodev: it would be refused for /dev/null, in place of being empty.
  ["mask", [6, RDONLY | NOSUID | NOEXEC]],
  ["dev", [1, NOSUID | NOEXEC]],
  ["remount", [0, 0]],
  ["symlink", [0, 0]],
]);

const devices = ["null", "zero", "full", "random", "urandom", "tty"] as const;

const deviceLinks = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
  ["core", "/proc/kcore"],
  ["ptmx", "pts/ptmx"],
] as const;

/** Of a "dev" the device nodes themselves, which lie elsewhere: there is room for what points to them. */
const deviceFolder = 64 * 1024;
const sharedMemory = 64 * 1024 * 1024;

/** The steps of one list, by their kind, as each kind's stand together. */
class Steps {
  readonly mounts: PlannedStep[] = [];
  readonly symlinks: PlannedStep[] = [];
  readonly remounts: PlannedStep[] = [];
  readonly #inUserNamespace: boolean;

  constructor({ cloneflags = 0, unshareflags = 0 }: SysProcAttr) {
    this.#inUserNamespace = ((cloneflags | unshareflags) & CLONE_NEWUSER) !== 0;
  }

  add(context: PlanContext, what: string, mount: Mount, hasRoot: boolean): void {
    const target = checkTarget(context, `${what}.target`, mount.target);
    const attributes = attributesOf(mount);
    const { type } = mount;
    if (!hasRoot && (type === "dev" || type === "symlink")) {
      context.refuse(`${what}: a ${type} is for pivotRoot, which is absent`);
    }
    switch (type) {
      case "bind": {
        const source = checkText(context, `${what}.source`, mount.source);
        const recursive = (mount.recursive ?? true) ? RECURSIVE : 0;
        this.#mount({ kind: "bind", source, target, attributes: (attributes | recursive) >>> 0 });
        break;
      }
      case "tmpfs": {
        const size = mount.size === undefined ? undefined : checkSize(context, what, mount.size);
        const mode = checkInteger(context, `${what}.mode`, mount.mode ?? 0o755, 0, 0o7777);
        this.#tmpfs(target, attributes, mode, size);
        break;
      }
      case "dev":
        this.#dev(target, attributes, checkSize(context, what, mount.size ?? sharedMemory));
        break;
      case "devpts":
        this.#mount({ kind: "devpts", target, attributes, options: terminals });
        break;
      case "overlay":
        this.#mount({
          kind: "overlay",
          target,
          attributes,
          options: this.#layers(context, what, mount),
        });
        break;
      case "mask":
        this.#mount({
          kind: "mask",
          source: "/dev/null",
          target,
          attributes,
          options: [["mode", "0555"]],
        });
        break;
      case "symlink":
        this.#symlink(target, checkText(context, `${what}.source`, mount.source));
        break;
      case "remount":
        if (attributes === 0) context.refuse(`${what} asks for nothing`);
        this.#remount(target, (attributes | ((mount.recursive ?? true) ? RECURSIVE : 0)) >>> 0);
        break;
      default:
        this.#mount({ kind: type, target, attributes });
    }
  }

  #mount({ kind, source = "", target, attributes, options = [] }: {
    readonly kind: Type;
    readonly source?: string;
    readonly target: string;
    readonly attributes: number;
    readonly options?: readonly Option[];
  }): void {
    const [number] = kinds.get(kind) ?? [0];
    const bytes = encodeText(options.map(([name, value]) => `${name}\0${value}\0`).join(""));
    const what = source === "" || kind === "mask" ? [kind, target] : [kind, source, "->", target];
    const words = options.filter(([name]) => name !== "nr_inodes")
      .map(([name, value]) => value === "" ? name : `${name}=${value}`);
    const argument = showText([...what, ...attributeNames(attributes), ...words].join(" "));
    this.mounts.push({
      step: "mount",
      values: [number, attributes, source, target, bytes],
      argument,
    });
  }

  #tmpfs(target: string, attributes: number, mode: number, size: number | undefined): void {
    const options: Option[] = [["mode", mode.toString(8).padStart(4, "0")]];
    if (size !== undefined) {
      // Empty files take none of the size.
      options.push(["size", `${size}`], ["nr_inodes", `${Math.ceil(size / 1024) + 1}`]);
    }
    // What is mounted in it is made in it first.
    this.#mount({ kind: "tmpfs", target, attributes: attributes & ~RDONLY, options });
    if ((attributes & RDONLY) !== 0) this.#remount(target, RDONLY);
  }

  #dev(target: string, attributes: number, size: number): void {
    const below = (name: string): string => `${target === "/" ? "" : target}/${name}`;
    this.#tmpfs(target, attributes, 0o755, deviceFolder);
    for (const name of devices) {
      this.#mount({ kind: "bind", source: `/dev/${name}`, target: below(name), attributes: 0 });
    }
    this.#mount({
      kind: "devpts",
      target: below("pts"),
      attributes: NOSUID | NOEXEC,
      options: terminals,
    });
    this.#tmpfs(below("shm"), NOSUID | NODEV, 0o1777, size);
    for (const [name, content] of deviceLinks) this.#symlink(below(name), content);
  }

  #symlink(path: string, content: string): void {
    const argument = showText(`${path} -> ${content}`);
    this.symlinks.push({ step: "symlink", values: [content, path], argument });
  }

  #remount(path: string, attributes: number): void {
    const argument = showText([path, ...attributeNames(attributes)].join(" "));
    this.remounts.push({ step: "remount", values: [path, attributes], argument });
  }

  #layers(context: PlanContext, what: string, { lower = [], upper, work }: Mount): Option[] {
    if (lower.length === 0) context.refuse(`${what} has no lower directory`);
    if (lower.length === 1 && upper === undefined && work === undefined) {
      context.refuse(`${what}: two directories at least are laid over each other`);
    }
    if ((upper === undefined) !== (work === undefined)) {
      context.refuse(`${what}: upper and work go together`);
    }
    const below = lower.map((path, index) => checkText(context, `${what}.lower[${index}]`, path));
    const options: Option[] = [];
    for (const [name, path] of [["upperdir", upper], ["workdir", work]] as const) {
      if (path !== undefined) {
        options.push([name, escape(checkText(context, `${what}.${name}`, path))]);
      }
    }
    // trusted.* is for the root of the machine alone (Linux 5.11).
    if (this.#inUserNamespace) options.push(["userxattr", ""]);
    const whole: Option[] = [["lowerdir", below.map(escape).join(":")], ...options];
    const length = whole.reduce(
      (sum, [name, value]) => sum + encodeText(`${name},${value},`).length,
      0,
    );
    // mount(2) takes a page of options; more can only be said one by one, as they are (Linux 6.8).
    if (length <= 4096) return whole;
    return [...below.map((path): Option => ["lowerdir+", path]), ...options];
  }
}

type Option = readonly [name: string, value: string];

/** No group: of a user namespace that has no tty group the kernel would refuse it. */
const terminals: readonly Option[] = [["newinstance", ""], ["ptmxmode", "0666"], ["mode", "0620"]];

/** A path among overlay's options. */
function escape(path: string): string {
  return path.replace(/[\\,:]/g, (character) => `\\${character}`);
}

function attributesOf(mount: Mount): number {
  const [, usual = 0] = kinds.get(mount.type) ?? [];
  return flagNames.reduce((attributes, name, index) => {
    const bit = 1 << index;
    const on = mount[name] ?? (usual & bit) !== 0;
    return on ? attributes | bit : attributes;
  }, 0);
}

function attributeNames(attributes: number): string[] {
  const names = [[RDONLY, "ro"], [NOSUID, "nosuid"], [NODEV, "nodev"], [NOEXEC, "noexec"]] as const;
  const words: string[] = names.filter(([bit]) => (attributes & bit) !== 0).map(([, name]) => name);
  return (attributes & RECURSIVE) === 0 ? words : ["rec", ...words];
}

function checkSize(context: PlanContext, what: string, size: number): number {
  return checkInteger(context, `${what}.size`, size, 1, Number.MAX_SAFE_INTEGER);
}

/** Answers it without "//", "/./" and a "/" at the end: so that "/" is written in one way. */
function checkTarget(context: PlanContext, what: string, given: Text): string {
  const path = checkText(context, what, given);
  if (!path.startsWith("/")) context.refuse(`${what} ${showText(path)} is not absolute`);
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) context.refuse(`${what} ${showText(path)} has a ".."`);
  return `/${names.join("/")}`;
}

function checkMount(context: PlanContext, what: string, mount: Mount): void {
  const { type } = mount;
  if (!kinds.has(type)) context.refuse(`${what}: there is no type ${String(type)}`);
  for (const [field, types] of special) {
    if (mount[field] !== undefined && !types.includes(type)) {
      context.refuse(`${what}: a ${type} has no ${field}`);
    }
  }
  for (const field of [...flagNames, "recursive"] as const) {
    const value: unknown = mount[field];
    if (value === undefined) continue;
    if (typeof value !== "boolean") throw new TypeError(`${what}.${field} is not a boolean`);
    if (type === "mask" || type === "symlink") context.refuse(`${what}: a ${type} has no ${field}`);
  }
}

/**
 * The child's mounts, and its root. Of the mount namespace that a clone makes the mounts are the parent's still, which would
 * see what is mounted there.
 */
export function mountSteps(context: PlanContext, sys: SysProcAttr): PlannedStep[] {
  const { mounts = [], pivotRoot, cloneflags = 0, unshareflags = 0 } = sys;
  const hasRoot = pivotRoot !== undefined;
  if (mounts.length === 0 && !hasRoot) return [];
  const isBorn = (cloneflags & CLONE_NEWNS) !== 0;
  const isMade = (unshareflags & CLONE_NEWNS) !== 0;
  if (!isBorn && !isMade && !joins(sys, "mnt")) {
    const field = hasRoot ? "pivotRoot" : "mounts";
    context.refuse(`${field} needs CLONE_NEWNS in cloneflags or in unshareflags`);
  }
  const steps = new Steps(sys);
  for (const [index, mount] of mounts.entries()) {
    const what = `mounts[${index}]`;
    checkMount(context, what, mount);
    steps.add(context, what, mount, hasRoot);
  }
  const list: PlannedStep[] = [];
  // unshare's own are private by now.
  if (isBorn && !isMade) list.push({ step: "mount_private", values: [], argument: "/" });
  if (pivotRoot !== undefined) {
    const path = checkText(context, "pivotRoot", pivotRoot);
    const first = mounts[0];
    const covers = first !== undefined &&
      checkTarget(context, "mounts[0].target", first.target) === "/" &&
      !["symlink", "remount", "mask"].includes(first.type);
    list.push({ step: "new_root", values: [path, covers ? 1 : 0], argument: showText(path) });
  }
  list.push(...steps.mounts, ...steps.symlinks, ...steps.remounts);
  if (hasRoot) list.push({ step: "pivot_root", values: [] });
  return list;
}

/** The names of the machine, which are the UTS namespace's. */
export function nameSteps(context: PlanContext, sys: SysProcAttr): PlannedStep[] {
  const { cloneflags = 0, unshareflags = 0 } = sys;
  const steps: PlannedStep[] = [];
  for (const field of ["hostname", "domainname"] as const) {
    const given = sys[field];
    if (given === undefined) continue;
    if (((cloneflags | unshareflags) & CLONE_NEWUTS) === 0 && !joins(sys, "uts")) {
      context.refuse(`${field} needs CLONE_NEWUTS in cloneflags or in unshareflags`);
    }
    const name = checkText(context, field, given);
    const bytes = encodeText(name);
    // __NEW_UTS_LEN
    if (bytes.length > 64) context.refuse(`${field} has ${bytes.length} bytes, and may have 64`);
    steps.push({ step: field, values: [bytes], argument: showText(name) });
  }
  return steps;
}

const mountNames: ReadonlySet<string> = new Set<keyof Mount>([
  "type",
  "source",
  "target",
  "readOnly",
  "recursive",
  "noSuid",
  "noDev",
  "noExec",
  "size",
  "mode",
  "lower",
  "upper",
  "work",
]);

/** `mounts`, read once. */
export function readMounts(
  mounts: readonly Mount[],
  refuse: PlanContext["refuse"],
): readonly Mount[] {
  return Array.from(mounts, (mount, index) => {
    const what = `mounts[${index}]`;
    checkRecord(what, mount);
    const fields = fieldsOf(
      mount,
      mountNames,
      (name) => refuse(unknownField(what, name, mountNames)),
    );
    if (fields.lower !== undefined) {
      if (!Array.isArray(fields.lower)) throw new TypeError(`${what}.lower is not a list`);
      fields.lower = [...fields.lower];
    }
    return fields;
  });
}
