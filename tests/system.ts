/** What the tests of the child path need of the kernel: the child program, and a look at a process. */

import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { assertEquals } from "@std/assert";
import { currentRuntime, type Signature } from "../ffi/runtime.ts";
import {
  CLONE_NEWNS,
  CLONE_NEWUSER,
  OSFile,
  pipe,
  type ProcAttr,
  type Process,
  SpawnError,
  startProcess,
  type SysProcAttr,
} from "../mod.ts";
import { isNode, runtime } from "./helper.ts";
import { needsLinuxChild } from "./refused.ts";

/** The static program of zig/tools/helper.zig, which `zig build` makes. */
export const helper: string = fileURLToPath(new URL("../zig-out/bin/helper", import.meta.url));

const uid = process.getuid?.() ?? -1;
const gid = process.getgid?.() ?? -1;

/** Who the tests run as. */
export const self: { readonly uid: number; readonly gid: number } = { uid, gid };

/** The reason to skip a test that needs root, or false. */
export const needsRoot: string | false = uid === 0 ? false : "needs root";

/** The reason to skip a test of what root is not subject to, or false. */
export const needsUser: string | false = uid === 0 ? "is for an ordinary user" : false;

/** The id map that a process of this user may write for itself: `inside` is this user. */
export function ownMaps(inside = 0): SysProcAttr {
  return {
    uidMappings: [{ containerID: inside, hostID: uid, size: 1 }],
    gidMappings: [{ containerID: inside, hostID: gid, size: 1 }],
  };
}

/** What makes a namespace allowed: root needs nothing, another user a user namespace around it. */
export function inNamespace(cloneflags: number): SysProcAttr {
  return uid === 0 ? { cloneflags } : { cloneflags: cloneflags | CLONE_NEWUSER, ...ownMaps() };
}

/** The reason to skip a test of user namespaces, or false: some distributions forbid them. */
export const needsUserNamespaces: string | false = (() => {
  if (needsLinuxChild) return needsLinuxChild;
  try {
    run(["exit", "0"], { sys: { cloneflags: CLONE_NEWUSER | CLONE_NEWNS, ...ownMaps() } });
    return false;
  } catch (error) {
    if (error instanceof SpawnError) return `needs user namespaces: ${error.message}`;
    throw error;
  }
})();

/** Where cgroup v2 is mounted, or undefined. */
export const cgroupRoot: string | undefined = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
  .find((path) => existsSync(`${path}/cgroup.procs`) && existsSync(`${path}/cgroup.controllers`));

/** The reason to skip a test that makes cgroups, or false. */
export const needsCgroups: string | false = needsRoot || needsLinuxChild ||
  (cgroupRoot === undefined ? "needs cgroup v2" : false);

/** A folder that everybody may read and that is gone after the block. */
export function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(`${tmpdir()}/osexec-test-`);
  chmodSync(path, 0o755);
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A folder with a copy of the helper in it, which everybody may run, and which may be a root directory. */
export function helperFolder(): Disposable & { readonly path: string; readonly helper: string } {
  const folder = temporaryFolder();
  copyFileSync(helper, `${folder.path}/helper`);
  return {
    path: folder.path,
    helper: `${folder.path}/helper`,
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

/** Starts a program with a pipe as its stdout. `start`: how, if not by startProcess(). */
export function startPiped(
  path: string,
  argv: readonly string[],
  attr: ProcAttr = {},
  start: typeof startProcess = startProcess,
): { readonly child: Process; readonly stdout: OSFile } {
  const [stdout, writing] = pipe();
  try {
    const files = [...attr.files ?? [null, null, 2]];
    files[1] = writing;
    return { child: start(path, argv, { ...attr, files }), stdout };
  } catch (error) {
    stdout.close();
    throw error;
  } finally {
    writing.close();
  }
}

/** All there is to read. */
export function readAll(file: OSFile): string {
  const chunk = new Uint8Array(64 * 1024);
  const decoder = new TextDecoder();
  let text = "";
  while (true) {
    const length = file.readSync(chunk);
    if (length === null) return text + decoder.decode();
    text += decoder.decode(chunk.subarray(0, length), { stream: true });
  }
}

/** Runs a program to its end, which must be exit 0, and answers what it printed. */
export function runProgram(path: string, argv: readonly string[], attr: ProcAttr = {}): string {
  const { child, stdout } = startPiped(path, argv, attr);
  const text = readAll(stdout);
  stdout.close();
  assertEquals(child.waitSync().toString(), "exit status 0", text);
  return text;
}

/** Runs the helper and answers what it printed. */
export function run(argv: readonly string[], attr: ProcAttr = {}): string {
  return runProgram(helper, ["helper", ...argv], attr);
}

/** run(), its lines. */
export function runLines(argv: readonly string[], attr: ProcAttr = {}): string[] {
  return run(argv, attr).trimEnd().split("\n");
}

/** The fields of /proc/PID/status. */
export function statusFields(text: string): Map<string, string> {
  return new Map(
    text.split("\n").filter((line) => line !== "").map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim().replaceAll("\t", " ")];
    }),
  );
}

/** The processors that a process may run on, by its /proc/PID/status: "0-2,5". */
export function processorsOf(status: ReadonlyMap<string, string>): number[] {
  const ranges = status.get("Cpus_allowed_list")?.split(",") ?? [];
  return ranges.flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/** One that this process may run on. */
export const processor: number = existsSync("/proc/self/status")
  ? processorsOf(statusFields(readFileSync("/proc/self/status", "utf8")))[0] ?? 0
  : 0;

/** What the child sees of itself in /proc/self/status. */
export function childStatus(sys: SysProcAttr, attr: ProcAttr = {}): Map<string, string> {
  return statusFields(run(["file", "/proc/self/status"], { ...attr, sys }));
}

/** The numbers of /proc/PID/stat that the tests look at: proc_pid_stat(5). */
export interface Stat {
  readonly pid: number;
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  readonly terminal: number;
  readonly foreground: number;
  readonly nice: number;
}

/** Reads /proc/PID/stat's text. */
export function parseStat(text: string): Stat {
  // The name in parentheses may hold anything.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const field = (number: number): number => Number(fields[number - 3]);
  return {
    pid: Number.parseInt(text, 10),
    state: fields[0] ?? "",
    parent: field(4),
    group: field(5),
    session: field(6),
    terminal: field(7),
    foreground: field(8),
    nice: field(19),
  };
}

/** What the child sees of itself in /proc/self/stat. */
export function childStat(sys: SysProcAttr, attr: ProcAttr = {}): Stat {
  return parseStat(run(["file", "/proc/self/stat"], { ...attr, sys }));
}

/** The state of a process, or undefined: there is none of this id any more. */
export function statOf(pid: number | string): Stat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return undefined;
  }
}

/** Waits until something holds. What it waits for comes by itself; the time only ends a broken test. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`20 s passed without ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** The SpawnError of a start that must fail. */
export function spawnFailure(start: () => unknown): SpawnError {
  try {
    start();
  } catch (error) {
    if (error instanceof SpawnError) return error;
    throw error;
  }
  throw new Error("The start succeeded");
}

/** Functions of the host's libc. */
export function libc(
  symbols: Readonly<Record<string, Signature>>,
): (name: string, ...parameters: (number | Uint8Array)[]) => number {
  const arch = process.arch === "arm64" ? "aarch64" : "x86_64";
  const names = ["libc.so.6", `libc.musl-${arch}.so.1`];
  let failure: unknown;
  for (const name of names) {
    try {
      const { functions } = currentRuntime().open(name, symbols);
      return (symbol, ...parameters) => {
        const call = functions[symbol];
        if (call === undefined) throw new Error(`libc has no ${symbol}`);
        return call(...parameters);
      };
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

const i32 = "i32";
const calls = libc({
  prctl: { parameters: [i32, i32, i32, i32, i32], result: i32 },
  fcntl: { parameters: [i32, i32, i32], result: i32 },
  ioctl: { parameters: [i32, i32, "buffer"], result: i32 },
});

/** prctl(2) with numbers alone. */
export function prctl(option: number, argument = 0): number {
  return calls("prctl", option, argument, 0, 0, 0);
}

const PR_GET_DUMPABLE = 3;
const PR_GET_KEEPCAPS = 7;

/** Whether this process dumps core, and can be looked into by its own user. */
export function dumpable(): number {
  return prctl(PR_GET_DUMPABLE);
}

/** A copy of a descriptor, without close-on-exec, at the lowest free number from `least` on. */
export function duplicate(fd: number, least = 0): OSFile {
  const F_DUPFD = 0;
  return OSFile.fromFd(calls("fcntl", fd, F_DUPFD, least));
}

/** A pseudoterminal that is nobody's controlling terminal yet; `number` is what /proc/PID/stat calls it. */
export function openTerminal(): Disposable & {
  readonly master: OSFile;
  readonly slave: OSFile;
  readonly number: number;
} {
  const O_RDWR = 2;
  const O_NOCTTY = 0o400;
  const TIOCSPTLCK = 0x40045431;
  const TIOCGPTN = 0x80045430;
  const master = OSFile.open("/dev/ptmx", O_RDWR | O_NOCTTY);
  const number = new Uint8Array(4);
  assertEquals(calls("ioctl", master.fd, TIOCSPTLCK, number), 0);
  assertEquals(calls("ioctl", master.fd, TIOCGPTN | 0, number), 0);
  const minor = new DataView(number.buffer).getUint32(0, true);
  const slave = OSFile.open(`/dev/pts/${minor}`, O_RDWR | O_NOCTTY);
  const firstMajor = 136;
  return {
    master,
    slave,
    number: (firstMajor + (minor >> 8)) << 8 | minor & 0xff,
    [Symbol.dispose]() {
      slave.close();
      master.close();
    },
  };
}

/** This process, as far as a start could change it: what, and how it is, once it no longer changes by itself. */
export function parentState(): Map<string, string> {
  for (let tries = 0; tries < settleTries; tries++) {
    const state = snapshot();
    if (differences(state, snapshot()).length === 0) return state;
    pause();
  }
  throw new Error("This process never comes to rest");
}

/** What is not as it was, and stays so: threads of the runtime that are being born pass by. */
export function changesSince(before: ReadonlyMap<string, string>): string[] {
  let changes: string[] = [];
  for (let tries = 0; tries < settleTries; tries++) {
    changes = differences(before, snapshot());
    if (changes.length === 0) break;
    if (tries > 10) pause();
  }
  return changes;
}

const settleTries = 200;

/** A millisecond, in which this thread does nothing: others may want its processor. */
function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}

function snapshot(): Map<string, string> {
  const state = new Map<string, string>();
  const read = (path: string): string => readFileSync(path, "utf8");
  for (
    const name of ["coredump_filter", "oom_score_adj", "limits", "uid_map", "setgroups", "cgroup"]
  ) {
    state.set(name, read(`/proc/self/${name}`));
  }
  for (const name of ["cwd", "root", ...namespaceLinks]) {
    state.set(name, readlinkSync(`/proc/self/${name}`));
  }
  const status = statusFields(read("/proc/self/status"));
  for (const [name, value] of status) {
    if (/^(Umask|Uid|Gid|Groups|TracerPid|VmLck|THP|CoreDumping|Cap|NoNew|Secc)/.test(name)) {
      state.set(name, value);
    }
  }
  let threads = 0;
  for (const task of readdirSync("/proc/self/task")) {
    const fields = statusFields(readIfThere(`/proc/self/task/${task}/status`));
    if (fields.get("SigBlk") === libraryMask) threads++;
    for (const name of ["SigBlk", "SigIgn", "SigCgt"]) {
      const which = task === `${process.pid}` ? "main thread" : `${thread} ${task}`;
      state.set(`${which} (${fields.get("Name")}) ${name}`, fields.get(name) ?? "");
    }
  }
  state.set(libraryThreads, `${threads}`);
  const { group, session, terminal, foreground, nice } = parseStat(read("/proc/self/stat"));
  state.set("stat", JSON.stringify({ group, session, terminal, foreground, nice }));
  state.set("dumpable", `${dumpable()}`);
  state.set("keepcaps", `${prctl(PR_GET_KEEPCAPS)}`);
  // Of a process that is not dumpable they belong to root.
  state.set("owner of /proc/self/fd", `${statSync("/proc/self/fd").uid}`);
  for (const [fd, link] of descriptors()) state.set(`descriptor ${fd}`, link);
  state.set("children", childrenOf(process.pid).join(" "));
  return state;
}

const thread = "thread";
const libraryThreads = "threads of the library";

/** Every signal but those that cannot be blocked, and libc's own: see zig/os/threads.zig. */
const libraryMask = "fffffffc7ffbfeff";

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

const namespaceLinks = [
  "cgroup",
  "ipc",
  "mnt",
  "net",
  "pid",
  "pid_for_children",
  "time",
  "user",
  "uts",
]
  .map((name) => `ns/${name}`);

/** The open descriptors of this process, with what they are of. */
export function descriptors(): Map<number, string> {
  const open = new Map<number, string>();
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      open.set(Number(name), readlinkSync(`/proc/self/fd/${name}`));
    } catch {
      // What the listing itself was read from.
    }
  }
  return open;
}

/** The processes, zombies too, whose parent is this one. */
export function childrenOf(pid: number): number[] {
  return processes().filter((other) => statOf(other)?.parent === pid);
}

/** The ids of all processes. */
export function processes(): number[] {
  return readdirSync("/proc").map(Number).filter((pid) => Number.isInteger(pid) && pid > 0);
}

/** What is not the same; a thread only counts where it was there before and still is. */
function differences(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): string[] {
  const keys = new Set([...before.keys(), ...after.keys()]);
  return [...keys]
    .filter((key) => before.get(key) !== after.get(key))
    .filter((key) => !key.startsWith(thread) || (before.has(key) && after.has(key)))
    // One that has waited for an earlier test's child, where there are no pidfds, may end meanwhile.
    .filter((key) => key !== libraryThreads || Number(after.get(key)) > Number(before.get(key)))
    .map((key) => `${key}: ${before.get(key)} -> ${after.get(key)}`);
}

/** The command line that runs a script in a runtime of its own, of the kind that runs the tests. */
export function runtimeCommand(script: string, argv: readonly string[] = []): string[] {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const imports = isNode ? ["--import", new URL("node.mjs", import.meta.url).href] : [];
  return [...runtime, ...imports, path, ...argv];
}

/** High enough to be free, and to be beyond the part of the descriptor table that a child copies. */
export const cgroupNumber = 777;

/** The same, of a namespace. */
export const namespaceNumber = 778;

/** A start that driver.ts makes, in a process of its own. */
export interface DriverCase {
  /** Joins the namespace of this kind that the process is in already. */
  readonly namespace?: "net" | "pid";
  /** Default: the helper. */
  readonly path?: string;
  /** What the program is to do, without argv[0]. Default: exit with 0. */
  readonly argv?: readonly string[];
  readonly dir?: string;
  readonly sys?: SysProcAttr;
  /** Descriptors from 3 on. */
  readonly extra?: readonly (number | null)[];
  /** Descriptor 0. */
  readonly stdin?: number;
  /** The directory of a cgroup, for cgroupFD: opened at `cgroupNumber`. */
  readonly cgroup?: string;
  /** Rungs of the ladder to do without. */
  readonly forced?: number;
  /** pgid: the driver's own group. */
  readonly inOwnGroup?: boolean;
  /** ctty: a copy of descriptor 0, at this number or above. */
  readonly terminal?: number;
  /** It is about the descriptor window, which a deferred start does without. */
  readonly isOfWindow?: boolean;
}

/** What came of it. */
export interface DriverResult {
  readonly failure: {
    readonly step: string;
    readonly argument: string | null;
    readonly code: string;
    readonly signal: string | null;
    readonly message: string;
  } | null;
  /** What the program printed. */
  readonly output: string;
  /** What the start changed in the process that made it. */
  readonly changed: readonly string[];
}

/** Makes starts in a runtime of its own, which `argv` puts under something and `attr` describes. */
export function drive(
  cases: readonly DriverCase[],
  { under = [], attr = {} }: { readonly under?: readonly string[]; readonly attr?: ProcAttr } = {},
): DriverResult[] {
  const argv = [...under, ...runtimeCommand("./driver.ts", ["cases", JSON.stringify(cases)])];
  const results: DriverResult[] = JSON.parse(runProgram(argv[0] ?? "", argv, attr));
  // Whoever compares them one by one would compare nothing.
  assertEquals(results.length, cases.length);
  return results;
}
