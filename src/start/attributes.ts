/** What a process is started with: Go's os.ProcAttr and syscall.SysProcAttr, and what lies beyond; and how it is read. */

import type { Text } from "../../ffi/text.ts";
import type { PlanContext } from "./checks.ts";
import type { Env } from "./environment.ts";
import { checkRecord, fieldsOf, unknownField } from "../fields.ts";
import type { Fd } from "../file/file.ts";
import type { RlimitName } from "./limits.ts";
import type { Mount } from "./mounts.ts";
import type { LandlockRules } from "./landlock.ts";
import type { Capabilities } from "./privileges.ts";
import type { IoPriority, MemoryPolicy, Scheduler } from "./resources.ts";
import type { SeccompRules } from "./seccomp.ts";
import type { Signal } from "../process/signals.ts";
import { readSys } from "./sys.ts";
import type { WindowsAttributes } from "../windows/attributes.ts";

/** How startProcess() starts a process: Go's os.ProcAttr. */
export interface ProcAttr {
  /** The child's working directory. Default: this process's own. */
  dir?: Text | undefined;
  /** The child's whole environment. Default: this process's own. */
  env?: Env | undefined;
  /**
   * Entry i becomes the child's descriptor i; null closes descriptor i. When absent, the child has
   * 0, 1 and 2 closed, as in Go.
   */
  files?: readonly (Fd | null)[] | undefined;
  /** What the system does beyond that. */
  sys?: SysProcAttr | undefined;
}

/**
 * Who the child runs as: Go's syscall.Credential. A user, by `uid` or `user`, and a group must be known; a user's name
 * brings its own group.
 */
export interface Credential {
  /** User id: real, effective and saved. */
  uid?: number | undefined;
  /** Group id: real, effective and saved. */
  gid?: number | undefined;
  /** Supplementary groups; empty drops them all, and so does absent where `user` is no name, as in Go. */
  groups?: readonly number[] | undefined;
  /**
   * In place of uid: a name, or a number. A name brings its group and its supplementary groups unless they are given. It
   * is looked up at the start, in this process's root: in /etc/passwd and /etc/group, and if it is not there by getent(1).
   * A name that nobody has is refused (SpawnError, step "request").
   */
  user?: string | number | undefined;
  /** In place of gid: a name, or a number. */
  group?: string | number | undefined;
  /** Leaves the supplementary groups as they are. */
  noSetGroups?: boolean | undefined;
}

/** A resource limit in the resource's own unit, getrlimit(2); Infinity is none. */
export type Limit = number | bigint;

/** One line of an id map, user_namespaces(7): Go's syscall.SysProcIDMap. */
export interface SysProcIDMap {
  /** First id inside the namespace. */
  containerID: number;
  /** First id outside. */
  hostID: number;
  /** How many ids. */
  size: number;
}

/** A namespace by a descriptor that does not say which one is meant. */
export interface JoinedNamespace {
  /** A namespace's file, or a pidfd. */
  fd: Fd;
  /** Which of the process's, or what the file must be. */
  kind: "user" | "pid" | "net" | "mnt" | "uts" | "ipc" | "cgroup" | "time";
}

/**
 * Go's syscall.SysProcAttr: fields marked L are Linux only, and all of these Unix's: on Windows there are those of
 * WindowsAttributes. They are refused elsewhere with a SpawnError of step "request" that names the field, as are
 * attributes that exclude each other (setctty with foreground) or lie out of range (ctty, a capability above the
 * kernel's last).
 */
export interface SysProcAttr extends WindowsAttributes {
  /**
   * The child's root directory, chroot(2). Without a dir the child starts in the new root's "/"; Go
   * leaves it outside, which is an escape.
   */
  chroot?: Text | undefined;
  /** Who the child runs as; absent: who this process is. */
  credential?: Credential | undefined;
  /** The child is traced by this thread from exec on, PTRACE_TRACEME of ptrace(2). */
  ptrace?: boolean | undefined;
  /** The child leads a new session, setsid(2). */
  setsid?: boolean | undefined;
  /** The child joins the group `pgid`. With setsid the kernel refuses it: step "setpgid", EPERM. */
  setpgid?: boolean | undefined;
  /** With setpgid: the process group; 0 or absent: a new one, the child's own. */
  pgid?: number | undefined;
  /** Makes ctty, a CHILD fd, the controlling terminal; needs setsid. */
  setctty?: boolean | undefined;
  /** Gives up the controlling terminal on the child's fd 0. */
  noctty?: boolean | undefined;
  /** The child's fd with setctty, the PARENT's with foreground. */
  ctty?: number | undefined;
  /** Puts the child's process group in the foreground of the terminal ctty; implies setpgid. */
  foreground?: boolean | undefined;
  /**
   * L: the signal the child gets when the thread that started it ends, PR_SET_PDEATHSIG of prctl(2).
   * That thread is the JavaScript thread of the start: a Worker's children die with the Worker.
   */
  pdeathsig?: Signal | undefined;
  /**
   * L: namespaces that are there and the child joins, in this order, setns(2): before it makes any by unshareflags. Each by
   * its file (/proc/PID/ns/net), or by a pidfd with its `kind` (Linux 5.8). Who joins a user namespace has all
   * capabilities in it, and so stands first where it is to open the others. With one of processes the program runs in a
   * second child, as nobody changes the own one: it is this process's child all the same. A mount namespace brings its root
   * and working directory.
   */
  joinNamespaces?: readonly (Fd | JoinedNamespace)[] | undefined;
  /** L: CLONE_NEW*: namespaces that the child is born into. */
  cloneflags?: number | undefined;
  /** L: CLONE_NEW*: namespaces that the child makes for itself, unshare(2). */
  unshareflags?: number | undefined;
  /** L: /proc/PID/uid_map of a new user namespace. */
  uidMappings?: readonly SysProcIDMap[] | undefined;
  /** L: /proc/PID/gid_map of a new user namespace. */
  gidMappings?: readonly SysProcIDMap[] | undefined;
  /** L: what /proc/PID/setgroups gets with gidMappings: default false writes "deny". */
  gidMappingsEnableSetgroups?: boolean | undefined;
  /** L: CAP_*: capabilities that outlive exec, capabilities(7). */
  ambientCaps?: readonly number[] | undefined;
  /**
   * L: a cgroup v2 directory, in which the child is born: Go's UseCgroupFD and CgroupFD. A bad one
   * fails in step "cgroup".
   */
  cgroupFD?: Fd | undefined;

  /** The child's file mode creation mask, umask(2). */
  umask?: number | undefined;
  /**
   * Soft and hard limits set in the child; a number sets both, Infinity is no limit, and what is above 2^53 is a
   * bigint. NOFILE is set after the descriptors are in place. The JavaScript runtimes raise the soft NOFILE limit and
   * their children inherit that.
   */
  rlimits?:
    | Readonly<Partial<Record<RlimitName, Limit | { soft: Limit; hard: Limit }>>>
    | undefined;
  /** The child's nice value itself, -20 to 19. */
  nice?: number | undefined;
  /**
   * L: the program, and all that it starts, never gets rights by execve(2): no set-user-ID, no capabilities of files,
   * PR_SET_NO_NEW_PRIVS. Default: true with `landlock` or `seccomp`, which need it of whoever has not CAP_SYS_ADMIN.
   */
  noNewPrivs?: boolean | undefined;
  /** L: the sets of capabilities, and what the kernel does with them. */
  capabilities?: Capabilities | undefined;
  /** L: a session keyring of the child's own, empty, instead of this process's: session-keyring(7). */
  newKeyring?: boolean | undefined;
  /**
   * L: whether the child dumps core, and can be traced and looked into by others of its user, PR_SET_DUMPABLE: UNTIL
   * execve(2), which makes every program dumpable again but one that its user may not read, or that changes its user.
   * Until then the child has a copy of this process's memory: true with a `credential` is refused.
   */
  dumpable?: boolean | undefined;
  /**
   * L: which files, ports and processes it reaches. Its paths are looked up in the child's root, from its directory and
   * with its rights, when its descriptors are in place. It implies `noNewPrivs`.
   */
  landlock?: LandlockRules | undefined;
  /**
   * L: which system calls it may make: rules, or a filter of 8 bytes an instruction (BPF, struct sock_filter), as
   * libseccomp exports one. It is in place for execve(2) itself, which must be allowed. It implies `noNewPrivs`.
   */
  seccomp?: Uint8Array | SeccompRules | undefined;
  /**
   * L: the processors that the child may run on, by their numbers from 0, sched_setaffinity(2). Those that there are not,
   * or that its cgroup has not, the kernel leaves out; where none is left it is step "affinity", EINVAL.
   */
  affinity?: readonly number[] | undefined;
  /** L: how it gets time. With "other" and "batch" see also `nice`. */
  scheduler?: Scheduler | undefined;
  /** L: how it gets to the disk. */
  ioPriority?: IoPriority | undefined;
  /** L: by how many nanoseconds its timers may be late, from 1 on, PR_SET_TIMERSLACK. The system's own is 50,000. */
  timerSlack?: number | undefined;
  /** L: which node's memory it gets. */
  memoryPolicy?: MemoryPolicy | undefined;
  /**
   * L: -1000 (never) to 1000 (first): whether it is ended where there is no memory left, proc_pid_oom_score_adj(5). To go
   * lower than it has been needs CAP_SYS_RESOURCE.
   */
  oomScoreAdj?: number | undefined;
  /** L: what its core has in it, a bit for each kind of memory, 0 to 0x1ff: core(5). */
  coredumpFilter?: number | undefined;
  /** L: personality(2), such as 0x40000: no address space layout randomization. All bits at once; 0 is Linux. */
  personality?: number | undefined;
  /**
   * Close every other descriptor from max(3, number of files) on, even one opened without O_CLOEXEC.
   * Default true; false is Go's behaviour. On Bun false hands down little: Bun marks what it opens, and on its start
   * whatever it finds from 4 on, close-on-exec. What is to be handed down (make's jobserver) belongs in `files`.
   */
  closeFds?: boolean | undefined;
  /**
   * The descriptors from 3 on (`extraFiles`) are handed over as systemd hands sockets over, sd_listen_fds(3): the child's
   * environment has LISTEN_FDS, their number, LISTEN_PID, the child's own pid, which the child itself puts there, and with
   * a list LISTEN_FDNAMES, a name for each, in order: ASCII without control characters and ":", 255 at most. What it had
   * under these names is replaced. Refused where there is no such descriptor, or one of them is null.
   */
  listenFds?: boolean | readonly string[] | undefined;

  /**
   * L: what is mounted in the child's own mount namespace, in this order; nothing of it shows outside. Needs CLONE_NEWNS, and
   * of who is not root CLONE_NEWUSER too, with an id map. A `source` is found where this process would find it, a `target`
   * below `pivotRoot`. What fails is the step "mount" ("remount", "symlink") with the mount in words as its argument.
   *
   * @example A program that sees /usr, read-only, and a directory of its own in memory:
   * ```ts
   * import { CLONE_NEWNS, CLONE_NEWUSER, Command, type Mount, type SysProcAttr } from "osexec";
   * import { existsSync } from "node:fs";
   * import process from "node:process";
   *
   * const programs = ["/usr", "/lib", "/lib64"].filter((path) => existsSync(path));
   * const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
   * const sysProcAttr: SysProcAttr = {
   *   cloneflags: CLONE_NEWUSER | CLONE_NEWNS,
   *   uidMappings: [{ containerID: uid, hostID: uid, size: 1 }],
   *   gidMappings: [{ containerID: gid, hostID: gid, size: 1 }],
   *   pivotRoot: "/",
   *   mounts: [
   *     { type: "tmpfs", target: "/", readOnly: true },
   *     ...programs.map((path): Mount => ({ type: "bind", source: path, target: path, readOnly: true })),
   *     { type: "tmpfs", target: "/tmp", size: 1024 * 1024, mode: 0o1777 },
   *   ],
   * };
   * console.log(await new Command("/usr/bin/ls", ["/"], { sysProcAttr }).text());
   * ```
   */
  mounts?: readonly Mount[] | undefined;
  /**
   * L: the directory that becomes the child's root, pivot_root(2), with all that `mounts` puts below it; the old root is let go
   * of. It stays as it is: with a mount at "/" first, which covers it, any directory will do, such as "/". The child starts in
   * its "/"; `chroot` and `dir` are paths inside. Needs CLONE_NEWNS.
   */
  pivotRoot?: Text | undefined;
  /** L: the name of the machine in the child's UTS namespace, 64 bytes at most. Needs CLONE_NEWUTS. */
  hostname?: string | undefined;
  /** L: its NIS domain name, likewise. */
  domainname?: string | undefined;
}

/** How an unknown field is refused: by SpawnError at a start, by TypeError elsewhere. */
export type Refuse = PlanContext["refuse"];

const attributeNames: ReadonlySet<string> = new Set<keyof ProcAttr>(["dir", "env", "files", "sys"]);

/** A Command's own, which it has read itself: every field is there, so that no prototype is asked. */
export class OwnAttributes implements ProcAttr {
  readonly dir: ProcAttr["dir"];
  readonly env: ProcAttr["env"];
  readonly files: ProcAttr["files"];
  readonly sys: ProcAttr["sys"];

  /** `sys` is read here. */
  constructor({ dir, env, files, sys }: Required<ProcAttr>, refuse: Refuse) {
    this.dir = dir;
    this.env = env;
    this.files = files;
    this.sys = sys === undefined ? undefined : readSys(sys, refuse);
  }
}

/** The attributes of a start. */
export function readAttributes(attr: ProcAttr, refuse: Refuse): ProcAttr {
  checkRecord("attr", attr);
  const fields = fieldsOf(
    attr,
    attributeNames,
    (name) => refuse(unknownField("attr", name, attributeNames.keys())),
  );
  if (fields.files !== undefined) {
    if (!Array.isArray(fields.files)) throw new TypeError("attr.files is not a list");
    fields.files = [...fields.files];
  }
  if (fields.sys !== undefined) fields.sys = readSys(fields.sys, refuse);
  return fields;
}
