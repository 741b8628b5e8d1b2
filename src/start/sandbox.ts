/** sandbox(): what an ordinary user may give to a program that is not trusted, as one object. */

import { showText, type Text, toText } from "../../ffi/text.ts";
import type { SysProcAttr } from "./attributes.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from "./constants.ts";
import { SyscallError } from "../errors.ts";
import { checkRecord, readOptions } from "../fields.ts";
import { withFile } from "../file/file.ts";
import type { Mount } from "./mounts.ts";
import { currentArchitecture, currentOS } from "../os.ts";
import { checkSeccomp, type SeccompRules } from "./seccomp.ts";
import { defaultSeccomp } from "./seccomp_default.ts";
import { identity, textOf } from "../tree/proc.ts";

/** What a program in a sandbox() may see and do; what is not said it may not. */
export interface SandboxOptions {
  /**
   * Absolute paths of this process that are there, under the same names, to be read and executed. With "/usr" come /bin,
   * /lib, /lib64, /sbin, as they are here. Default: none, and so no program.
   */
  readOnly?: readonly Text[] | undefined;
  /** The same, to be written to as well, by whom this process's user may. */
  writable?: readonly Text[] | undefined;
  /** A /tmp of its own in memory, of so many bytes; true: 64 MiB. Default false. */
  tmp?: boolean | number | undefined;
  /** A /proc of its own processes. Default false. */
  proc?: boolean | undefined;
  /** A minimal /dev: null, zero, full, random, urandom, tty, terminals of its own, shm (64 MiB). Default false. */
  dev?: boolean | undefined;
  /** This process's network. Default false: there is only a loopback device, and that is down. */
  network?: boolean | undefined;
  /** The name of its machine. Default: this one's. */
  hostname?: string | undefined;
  /** Who it takes itself for; to the rest of the system it is this process's user. Default: that one. */
  user?: { readonly uid: number; readonly gid: number } | undefined;
  /**
   * Which system calls it may make: SysProcAttr's `seccomp`; false: all. Default "default": no namespaces, mounts, keys, BPF,
   * io_uring, tracing of the kernel, and what else of its calls ordinary programs have no use for: they fail with EPERM,
   * clone3 with ENOSYS.
   */
  seccomp?: "default" | SeccompRules | Uint8Array | false | undefined;
  /** As SysProcAttr's. Of NPROC only its own processes count; but where this process is root, none do. */
  rlimits?: SysProcAttr["rlimits"];
  /**
   * It ends with the thread that has started it, by SIGKILL: SysProcAttr's pdeathsig. Default true. Of a Worker that is to
   * end before it, or where the Command has endWithParent, false.
   */
  dieWithParent?: boolean | undefined;
}

const optionNames: ReadonlySet<string> = new Set<keyof SandboxOptions>([
  "readOnly",
  "writable",
  "tmp",
  "proc",
  "dev",
  "network",
  "hostname",
  "user",
  "seccomp",
  "rlimits",
  "dieWithParent",
]);

const usualSize = 64 * 1024 * 1024;

/** Of the root itself, which holds what is mounted in it and nothing else. */
const rootSize = 1024 * 1024;

/**
 * The attributes of a program that is not to be trusted, for an ordinary user: it sees what `options` names and nothing else.
 *
 * It has a user namespace, and in it mount, pid, ipc, uts and cgroup namespaces of its own, and a network one unless `network`;
 * a root in memory, read-only, with what is named; no capability, and no way to any (no_new_privs, nosuid, nodev); a filter of
 * system calls; and a session of its own, so that it cannot type into this one's terminal (TIOCSTI). The environment, the descriptors and the
 * directory are the Command's to say: there is nothing of them that a program in the sandbox would not get. `explain()`
 * prints each step.
 *
 * The program is number 1 of its pid namespace, and so
 * - all that it has started ends with it;
 * - what is orphaned becomes its child, and stays a zombie unless it waits for it;
 * - of signals from inside it gets only those that it handles; those from outside that it does not handle do nothing
 *   either, but for SIGKILL and SIGSTOP: `cancel` is to be the default, which kills.
 *
 * A shell between, which does not exec it (`sh -c "program; exit $?"`), does for the first two.
 *
 * Throws TypeError for what contradicts itself: a path that is both read-only and writable, one that is not absolute. Where
 * the system forbids it, the start fails, in the step that was refused, with what would allow it.
 *
 * @example
 * ```ts
 * import { Command, sandbox } from "osexec";
 *
 * const sysProcAttr = sandbox({ readOnly: ["/usr"], tmp: true, proc: true, rlimits: { CPU: 10 } });
 * const script = "touch /tmp/mine; ls / /tmp; touch /usr/mine";
 * console.log(await new Command("/bin/sh", ["-c", `${script} 2>&1; exit 0`], { env: {}, sysProcAttr }).text());
 * ```
 */
export function sandbox(options: SandboxOptions): SysProcAttr {
  const read = readOptions("sandbox()", "SandboxOptions", options, optionNames);
  const places = new Places();
  for (const path of list("readOnly", read.readOnly)) places.addPath("readOnly", path);
  for (const path of list("writable", read.writable)) places.addPath("writable", path);
  // Elsewhere the start says that it is Linux's.
  const { uid, gid } = currentOS() === "linux" ? identity() : { uid: 0, gid: 0 };
  const tmp = sizeOf(read.tmp);
  if (tmp !== undefined) {
    const target = "/tmp";
    places.add("tmp", { type: "tmpfs", target, size: tmp, mode: 0o1777 });
  }
  // Of the machine's root also who has no capability may write to the kernel's own files.
  if (isOn("proc", read.proc)) {
    places.add("proc", { type: "proc", target: "/proc", readOnly: uid === 0 });
  }
  if (isOn("dev", read.dev)) places.add("dev", { type: "dev", target: "/dev" });
  const inside = checkUser(read.user ?? { uid, gid });
  const network = isOn("network", read.network) ? 0 : CLONE_NEWNET;
  const sys: SysProcAttr = {
    cloneflags: CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
      CLONE_NEWCGROUP | network,
    uidMappings: [{ containerID: inside.uid, hostID: uid, size: 1 }],
    gidMappings: [{ containerID: inside.gid, hostID: gid, size: 1 }],
    pivotRoot: "/",
    mounts: places.mounts(),
    setsid: true,
    noNewPrivs: true,
    // With no_new_privs execve gives none back, not even to a root of this namespace.
    capabilities: { permitted: [], effective: [], inheritable: [] },
    // With a network of its own there is nothing of that to be reached.
    landlock: { scoped: true, bestEffort: true },
  };
  const seccomp = read.seccomp ?? "default";
  if (seccomp === "default") sys.seccomp = defaultSeccomp(currentArchitecture());
  else if (seccomp !== false) sys.seccomp = checkSeccomp("sandbox: seccomp", seccomp);
  // The usual filter refuses all that reaches a key; else it is to have no session's keys.
  if (seccomp !== "default") sys.newKeyring = true;
  if (read.hostname !== undefined) sys.hostname = read.hostname;
  if (read.rlimits !== undefined) sys.rlimits = read.rlimits;
  if (isOn("dieWithParent", read.dieWithParent ?? true)) sys.pdeathsig = "SIGKILL";
  return sys;
}

/** What is to be seen in the root, by its path. */
class Places {
  readonly #mounts = new Map<string, readonly [option: string, mount: Mount]>();

  addPath(option: "readOnly" | "writable", given: unknown): void {
    const path = normal(option, given);
    const readOnly = option === "readOnly";
    // Devices, and programs that give rights, are of the outside.
    this.add(option, {
      type: "bind",
      source: path,
      target: path,
      readOnly,
      noSuid: true,
      noDev: true,
    });
  }

  add(option: string, mount: Mount & { readonly target: string }): void {
    const [other] = this.#mounts.get(mount.target) ?? [];
    if (other !== undefined && other !== option) {
      throw new TypeError(`sandbox: ${showText(mount.target)} is both ${other} and ${option}`);
    }
    this.#mounts.set(mount.target, [option, mount]);
  }

  /** What has moved into /usr is a symlink there, or still a directory. */
  #addLinks(): void {
    for (const name of ["bin", "lib", "lib32", "lib64", "libx32", "sbin"]) {
      const path = `/${name}`;
      const own = identityOf(path);
      if (own === undefined || this.#mounts.has(path)) continue;
      if (own === "" || own !== identityOf(`/usr/${name}`)) this.addPath("readOnly", path);
      else this.add("readOnly", { type: "symlink", source: `usr/${name}`, target: path });
    }
  }

  /** What is below such a symlink is mounted where that leads to: it is made last. */
  #behindLink(path: string): string {
    const first = `/${path.split("/")[1]}`;
    const [, mount] = this.#mounts.get(first) ?? [];
    return mount?.type === "symlink" && path !== first ? `/usr${path}` : path;
  }

  /** What lies in another comes after it. */
  mounts(): Mount[] {
    const hasRoot = this.#mounts.has("/");
    if (this.#mounts.has("/usr") && !hasRoot) this.#addLinks();
    const mounts = [...this.#mounts].map(([path, [, mount]]): [string, Mount] => {
      const target = this.#behindLink(path);
      return [target, { ...mount, target }];
    });
    mounts.sort(([a], [b]) => depth(a) - depth(b) || (a < b ? -1 : 1));
    const list = mounts.map(([, mount]) => mount);
    if (hasRoot) return list;
    return [{ type: "tmpfs", target: "/", size: rootSize, readOnly: true }, ...list];
  }
}

function depth(path: string): number {
  return path === "/" ? 0 : path.split("/").length;
}

function list(option: string, paths: readonly Text[] | undefined): readonly unknown[] {
  if (paths === undefined) return [];
  if (!Array.isArray(paths)) throw new TypeError(`sandbox: ${option} is not a list`);
  return paths;
}

/** Without "//", "/./" and a "/" at the end. */
function normal(option: string, given: unknown): string {
  const path = toText(`sandbox: ${option}`, given);
  const problem = path.startsWith("/")
    ? path.includes("\0")
      ? "contains a NUL"
      : path.split("/").includes("..")
      ? 'has a ".."'
      : undefined
    : "is not absolute";
  if (problem !== undefined) {
    throw new TypeError(`sandbox: ${option}: ${showText(path)} ${problem}`);
  }
  return `/${path.split("/").filter((name) => name !== "" && name !== ".").join("/")}`;
}

function isOn(option: string, given: unknown): boolean {
  if (given !== undefined && typeof given !== "boolean") {
    throw new TypeError(`sandbox: ${option} is not a boolean`);
  }
  return given === true;
}

function sizeOf(tmp: unknown): number | undefined {
  if (typeof tmp !== "number") return isOn("tmp", tmp) ? usualSize : undefined;
  if (!Number.isSafeInteger(tmp) || tmp <= 0) {
    throw new TypeError(`sandbox: tmp: ${tmp} is no number of bytes`);
  }
  return tmp;
}

function checkUser(user: { readonly uid: number; readonly gid: number }): typeof user {
  checkRecord("sandbox: user", user);
  const { uid, gid } = user;
  for (const [name, id] of [["uid", uid], ["gid", gid]] as const) {
    if (!Number.isInteger(id) || id < 0 || id >= 0xffffffff) {
      throw new TypeError(`sandbox: user.${name} ${id} is no id`);
    }
  }
  return { uid, gid };
}

/**
 * What tells a file from every other, proc_pid_fdinfo(5); "" where the kernel does not tell (before Linux 5.14), and undefined:
 * there is none.
 */
function identityOf(path: string): string | undefined {
  const O_PATH = 0o10000000;
  try {
    const info = withFile(path, ({ fd }) => textOf(`/proc/self/fdinfo/${fd}`), O_PATH);
    const fields = info.match(/^(?:mnt_id|ino):.*$/gm) ?? [];
    return fields.length === 2 ? fields.join() : "";
  } catch (error) {
    if (error instanceof SyscallError) return undefined;
    throw error;
  }
}
