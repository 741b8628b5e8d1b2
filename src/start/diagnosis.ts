/**
 * Why a step was refused, beyond the error's own text: above all execve(2), of which it is found out afterwards, by
 * looking at the file. It says only what is certain, and nothing where the child saw other files than this process
 * does.
 */

import { decodeText, encodeText, showText } from "../../ffi/text.ts";
import { library } from "../../ffi/library.ts";
import { Errno } from "../errno.ts";
import { withFile } from "../file/file.ts";
import { cString } from "../native.ts";
import { currentOS } from "../os.ts";
import { joinPath } from "../paths.ts";
import { textOf } from "../tree/proc.ts";
import type { PlannedStep } from "./checks.ts";
import { restrictsExec } from "./landlock.ts";
import type { StartPlan } from "./plan.ts";
import { whyForbidden, whyNoNamespace } from "./forbidden.ts";
import { quote } from "../quote.ts";

/** As much of a start as a diagnosis needs. */
export type RefusedStart = Pick<StartPlan, "path" | "argv" | "envp" | "steps" | "cloneFlags">;

/** A sentence that says what it was and what mends it, or undefined. */
export function diagnose(
  start: RefusedStart,
  planned: PlannedStep,
  errno: number,
): string | undefined {
  const { step } = planned;
  if (isMap(planned)) return mapTooBig(planned.values[0], errno);
  if (planned.step === "ambient_set") return notInBounding(start, planned.values[0], errno);
  if (step === "landlock_restrict" || step === "seccomp") return lacksNoNewPrivs(start, errno);
  if (step === "exec" && errno === Errno.E2BIG) return tooBig(start);
  try {
    const reason = whyForbidden(start, planned, errno);
    if (reason !== undefined || step !== "exec") return reason;
  } catch {
    // No /proc: nothing is known.
    return undefined;
  }
  const seesOthers = start.steps.some(({ step }) => elsewhere.has(step));
  if (seesOthers || start.cloneFlags !== 0 || currentOS() !== "linux") return undefined;
  const dir = start.steps.find((planned) => planned.step === "chdir")?.values[0] ?? ".";
  const path = start.path.startsWith("/") ? start.path : joinPath(dir, start.path);
  try {
    if (errno === Errno.ENOENT) return missingInterpreter(path);
    if (errno === Errno.ENOEXEC) return unknownFormat(path);
    if (errno === Errno.EACCES) return notExecutable(path) ?? notInRules(start, path);
  } catch {
    // Not readable, or gone meanwhile: nothing is certain.
  }
  return undefined;
}

/** The same of the clone itself. */
export function diagnoseClone(start: RefusedStart, errno: number): string | undefined {
  try {
    return whyNoNamespace(start, errno);
  } catch {
    return undefined;
  }
}

/** Steps after which a path leads to another file, or another user asks for it. */
const elsewhere: ReadonlySet<string> = new Set([
  "chroot",
  "unshare",
  "setns",
  "setuid",
  "mount_private",
]);

type MapStep = Extract<PlannedStep, { step: `${string}_map` }>;

function isMap(planned: PlannedStep): planned is MapStep {
  return planned.step.endsWith("_map");
}

/** UID_GID_MAP_MAX_EXTENTS, and a page: user_namespaces(7). */
function mapTooBig(text: string | Uint8Array, errno: number): string | undefined {
  if (typeof text !== "string") return undefined;
  const lines = text.split("\n").length - 1;
  const isTooBig = lines > 340 || text.length >= 4096;
  if (errno !== Errno.EINVAL || !isTooBig) return undefined;
  return `the kernel takes 340 lines, and 4095 bytes: these are ${lines} lines of ${text.length} bytes`;
}

/** MAX_ARG_STRLEN: 32 pages, with the NUL. execve(2). */
const longest = 32 * 4096;

function tooBig({ argv, envp }: RefusedStart): string {
  let total = 0;
  const measure = (
    what: (index: number) => string,
    texts: readonly string[],
  ): string | undefined => {
    for (const [index, text] of texts.entries()) {
      const { length } = encodeText(text);
      if (length >= longest) {
        return `${what(index)} has ${length} bytes, and may have ${longest - 1}`;
      }
      // With its NUL, and the pointer to it.
      total += length + 9;
    }
    return undefined;
  };
  const variable = (index: number): string => `variable ${envp[index]?.split("=", 1)[0]}`;
  return measure((index) => `argument ${index}`, argv) ?? measure(variable, envp) ??
    `arguments and environment have ${total} bytes, and may have a quarter of the stack's limit (ulimit -s), 6 MiB at most`;
}

/** The first bytes of a file. */
function beginningOf(path: string): Uint8Array {
  const bytes = new Uint8Array(4096);
  return bytes.subarray(0, withFile(path, (file) => file.readSync(bytes)) ?? 0);
}

/** The program that a script's first line names, or null: it is none. */
function interpreterOf(bytes: Uint8Array): string | null {
  if (bytes[0] !== 0x23 || bytes[1] !== 0x21) return null;
  const end = bytes.indexOf(0x0a);
  const line = decodeText(bytes.subarray(2, end < 0 ? bytes.length : end));
  return line.replace(/^[ \t]+/, "").split(/[ \t]/, 1)[0] ?? "";
}

function missingInterpreter(path: string): string | undefined {
  const bytes = beginningOf(path);
  const interpreter = interpreterOf(bytes) ?? loaderOf(bytes);
  if (interpreter === null || whyNot(interpreter) !== Errno.ENOENT) return undefined;
  const named = `its interpreter ${quote(showText(interpreter))} does not exist`;
  return interpreter.endsWith("\r")
    ? `${named}: its lines end in CR LF; sed -i 's/\\r$//' mends it`
    : named;
}

function unknownFormat(path: string): string | undefined {
  const bytes = beginningOf(path);
  if (bytes.length === 0) return "it is empty";
  if (isElf(bytes)) return "it is a program for another processor, or damaged";
  // As shells ask, which run such a file themselves.
  if (bytes.includes(0)) return "it is no program";
  return "it has no #! line: name its interpreter there, or run that with the file as its argument";
}

function notExecutable(path: string): string | undefined {
  const reason = whyNot(path);
  if (reason === Errno.EISDIR) return "it is a directory";
  if (reason === 0) {
    const interpreter = interpreterOf(beginningOf(path));
    if (interpreter === null || whyNot(interpreter) === 0) return undefined;
    return `its interpreter ${quote(showText(interpreter))} may not be executed`;
  }
  const mount = mountOf(path);
  if (mount === undefined) return undefined;
  return mount.options.includes("noexec")
    ? `${mount.point} is mounted noexec`
    : "it may not be executed: chmod +x";
}

/** A file that may be executed, where rules of landlock are all that stands in the way. */
function notInRules({ steps }: RefusedStart, path: string): string | undefined {
  const rules = steps.find((planned) => planned.step === "landlock");
  if (rules === undefined || !restrictsExec(rules.values[0])) return undefined;
  if (whyNot(path) !== 0) return undefined;
  return "landlock must let it be executed and read, and its interpreter or loader too";
}

function notInBounding(
  { steps }: RefusedStart,
  wanted: bigint,
  errno: number,
): string | undefined {
  const bounding = steps.find((planned) => planned.step === "bounding_set");
  if (errno !== Errno.EPERM || bounding === undefined) return undefined;
  const missing = wanted & ~bounding.values[0];
  if (missing === 0n) return undefined;
  const first = missing.toString(2).split("").reverse().indexOf("1");
  return `${first} is not in capabilities.bounding`;
}

function lacksNoNewPrivs({ steps }: RefusedStart, errno: number): string | undefined {
  if (errno !== Errno.EPERM && errno !== Errno.EACCES) return undefined;
  if (steps.some(({ step }) => step === "no_new_privs")) return undefined;
  return "without noNewPrivs it takes CAP_SYS_ADMIN";
}

/** Why this process may not execute a file: 0, or the errno. */
function whyNot(path: string): number {
  const bytes = cString(path);
  return -library().osexec_executable(bytes, bytes.length);
}

/** Where a file's file system is mounted, proc_pid_mountinfo(5). Throws for a file that cannot be reached. */
function mountOf(path: string): { readonly point: string; readonly options: string[] } | undefined {
  const O_PATH = 0o10000000;
  const info = withFile(path, ({ fd }) => textOf(`/proc/self/fdinfo/${fd}`), O_PATH);
  const id = /^mnt_id:\s*(\d+)/m.exec(info)?.[1];
  for (const line of textOf("/proc/self/mountinfo").split("\n")) {
    const [mount, , , , point = "", options = ""] = line.split(" ");
    if (mount === id) return { point, options: options.split(",") };
  }
  return undefined;
}

function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/** The dynamic loader that a 64-bit ELF file names (PT_INTERP), or null. elf(5). */
function loaderOf(bytes: Uint8Array): string | null {
  const ELFCLASS64 = 2;
  const PT_INTERP = 3;
  if (!isElf(bytes) || bytes[4] !== ELFCLASS64 || bytes.length < 64) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const size = view.getUint16(54, true);
  const count = view.getUint16(56, true);
  for (let index = 0; index < count; index++) {
    const header = Number(view.getBigUint64(32, true)) + index * size;
    if (header + 56 > bytes.length) return null;
    if (view.getUint32(header, true) !== PT_INTERP) continue;
    const offset = Number(view.getBigUint64(header + 8, true));
    const end = bytes.indexOf(0, offset);
    return end < 0 ? null : decodeText(bytes.subarray(offset, end));
  }
  return null;
}
