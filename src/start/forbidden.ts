/**
 * Why the system forbids a namespace or a mount, and what would allow it. As diagnosis.ts it says only what is certain: what
 * the kernel tells of itself and of this process.
 */

import { showText } from "../../ffi/text.ts";
import type { PlannedStep } from "./checks.ts";
import { CLONE_NEWUSER } from "./constants.ts";
import { Errno, errnoCode } from "../errno.ts";
import { cString } from "../native.ts";
import { library } from "../../ffi/library.ts";
import type { StartPlan } from "./plan.ts";
import { identity, textOf } from "../tree/proc.ts";

/** As much of a start as is looked at. */
type RefusedStart = Pick<StartPlan, "path" | "steps" | "cloneFlags">;

/** Of the clone itself, which is no step of the list. */
export function whyNoNamespace(start: RefusedStart, errno: number): string | undefined {
  return asksForUser(start) ? whyNoUserNamespace(errnoCode(errno, "linux")) : undefined;
}

/** Of a step; undefined for one that has to do with neither. */
export function whyForbidden(
  start: RefusedStart,
  planned: PlannedStep,
  errno: number,
): string | undefined {
  const code = errnoCode(errno, "linux");
  switch (planned.step) {
    case "unshare":
      return asksForUser(start) ? whyNoUserNamespace(code) : undefined;
    case "mount_private":
    case "new_root":
    case "pivot_root":
    case "hostname":
    case "domainname":
      return whyPowerless(start, code) ?? whyNoRoot(planned, code);
    case "mount":
      return whyPowerless(start, code) ?? whyNoMount(planned.values, code);
    case "remount":
      return whyPowerless(start, code) ?? whyNoRemount(planned.values[1], code);
    case "exec": {
      const hasRoot = start.steps.some(({ step }) => step === "pivot_root");
      if (!hasRoot || code !== "ENOENT") return undefined;
      return "below pivotRoot it sees what mounts puts there: this, its interpreter or its loader is not among it";
    }
    default:
      return undefined;
  }
}

function asksForUser({ cloneFlags, steps }: RefusedStart): boolean {
  const made = steps.find((planned) => planned.step === "unshare")?.values[0] ?? 0;
  return ((cloneFlags | made) & CLONE_NEWUSER) !== 0;
}

/** A setting of the kernel's, or undefined where it has none of that name. */
function setting(name: string): string | undefined {
  try {
    return textOf(`/proc/sys/${name.replaceAll(".", "/")}`).trim();
  } catch {
    return undefined;
  }
}

const appArmor = "kernel.apparmor_restrict_unprivileged_userns";

const appArmorReason =
  `AppArmor lets only programs whose profile says "userns" have rights in a user namespace: a profile for this one in /etc/apparmor.d, or sysctl ${appArmor}=0, allows it`;

/** user_namespaces(7), and what distributions have added to it. */
function whyNoUserNamespace(code: string): string | undefined {
  if (code === "ENOSPC" && setting("user.max_user_namespaces") === "0") {
    return "user namespaces are switched off here; sysctl user.max_user_namespaces allows so many";
  }
  if (code !== "EPERM" && code !== "EACCES") return undefined;
  const { isAdmin } = identity();
  // Debian's and Arch's kernels.
  if (!isAdmin && setting("kernel.unprivileged_userns_clone") === "0") {
    return "user namespaces are root's alone here; sysctl kernel.unprivileged_userns_clone=1 allows them to everybody";
  }
  // Ubuntu's.
  if (!isAdmin && setting(appArmor) === "1") return appArmorReason;
  if (isInChroot()) {
    return "the root of this process is no mount, as after chroot(2), and so it may make no user namespace";
  }
  if (isFiltered()) {
    return "this process is under a seccomp filter, as a container's is, which may refuse it: one that allows user namespaces (docker run --security-opt seccomp=PROFILE) would do";
  }
  return undefined;
}

/** What Ubuntu does to a user namespace that it lets be made: there are no capabilities in it. */
function whyPowerless(start: RefusedStart, code: string): string | undefined {
  if (code !== "EPERM" && code !== "EACCES") return undefined;
  if (asksForUser(start)) {
    return !identity().isAdmin && setting(appArmor) === "1" ? appArmorReason : undefined;
  }
  return identity().isAdmin
    ? undefined
    : "that takes CAP_SYS_ADMIN: CLONE_NEWUSER in cloneflags gives it, in a user namespace";
}

function isFiltered(): boolean {
  const SECCOMP_MODE_FILTER = "2";
  const status = textOf("/proc/thread-self/status");
  return /^Seccomp:\s*(\d)/m.exec(status)?.[1] === SECCOMP_MODE_FILTER;
}

function whyNoRoot({ step }: PlannedStep, code: string): string | undefined {
  const isOfRoot = step === "mount_private" || step === "pivot_root";
  if (!isOfRoot || code !== "EINVAL" || !isInChroot()) return undefined;
  return "the root of this process is no mount, as after chroot(2), and so it cannot be changed as one";
}

/** The kernel tells of mounts below a process's root, and of the root if it is one. */
function isInChroot(): boolean {
  return !mounts().includes("/");
}

type Values<Step extends PlannedStep["step"]> = Extract<PlannedStep, { step: Step }>["values"];

/** MountKind of steps.zig: of those the ones that say something. */
const bind = 0;
const proc = 2;

function whyNoMount(
  [kind, attributes, source, target]: Values<"mount">,
  code: string,
): string | undefined {
  const isRecursive = attributes >= 0x80000000;
  switch (code) {
    case "ENOENT":
      return kind === bind ? whoIsMissing(source, target) : undefined;
    case "EPERM":
      return kind === proc ? whyNoProc() : undefined;
    case "EINVAL":
      return kind === bind && !isRecursive
        ? "what is mounted below it has to come with it into another user namespace: recursive"
        : undefined;
    case "EROFS":
      return `there is nothing at ${
        showText(target)
      } to mount it on, and in what is read-only nothing can be made`;
    case "ENODEV":
      return "this kernel has no such file system";
    case "ENOSYS":
      return isRecursive ? needsSetattr : undefined;
    default:
      return undefined;
  }
}

const needsSetattr =
  "what is mounted below can get the same attributes by mount_setattr(2) alone: Linux 5.12, or a sandbox that lets it pass";

function whyNoRemount(attributes: number, code: string): string | undefined {
  if (code === "EINVAL") {
    return "it is no mount point: a bind of it onto itself makes it one";
  }
  return code === "ENOSYS" && attributes >= 0x80000000 ? needsSetattr : undefined;
}

/** Of a bind both may be; what is below the new root is known to the child alone. */
function whoIsMissing(source: string, target: string): string | undefined {
  const bytes = cString(source);
  // Whether it may be executed does not matter here: there is something, or nothing.
  const isMissing = library().osexec_executable(bytes, bytes.length) === -Errno.ENOENT;
  return isMissing ? `${showText(source)} does not exist` : `${showText(target)} does not exist`;
}

/**
 * The kernel lets a user namespace have a new /proc only where it sees all of one already: mount_too_revealing() of
 * fs/namespace.c. Containers cover parts of theirs.
 */
function whyNoProc(): string | undefined {
  const covered = mounts().filter((point) => point.startsWith("/proc/"));
  const [first] = covered;
  if (first === undefined) return undefined;
  const all = covered.length === 1 ? first : `${first} and ${covered.length - 1} more of it`;
  return `parts of this /proc are covered (${all}), as a container's are, and so there may be no other: a bind of /proc will do, or a container whose /proc is whole (docker run --security-opt systempaths=unconfined, podman run --security-opt unmask=ALL)`;
}

/** The mount points that this process sees: proc_pid_mountinfo(5). */
function mounts(): string[] {
  const lines = textOf("/proc/self/mountinfo").split("\n").filter((line) => line !== "");
  return lines.map((line) => line.split(" ")[4] ?? "");
}
