/**
 * The public contract as types: what the exports must at least be. `deno check` compares them with
 * what `mod.ts` exports, by the list at the end; nothing here runs.
 */

import type * as osexec from "../mod.ts";
import type { Env, Fd, OpenFlags, Signal, SignalName, Stdin, Stdout } from "../mod.ts";

interface OSFile extends Disposable, AsyncIterable<Uint8Array> {
  readonly fd: number;
  readonly name: string;
  readonly closed: boolean;
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<osexec.Text>;
  read(p: Uint8Array): Promise<number | null>;
  write(p: Uint8Array | string): Promise<number>;
  writeString(text: string): Promise<number>;
  readSync(p: Uint8Array): number | null;
  writeSync(p: Uint8Array | string): number;
  closeWrite(): void;
  lines(): AsyncIterable<string>;
  close(): void;
}

interface ProcAttr {
  dir?: osexec.Text | undefined;
  env?: Env | undefined;
  files?: readonly (Fd | null)[] | undefined;
  sys?: SysProcAttr | undefined;
}

interface Process extends AsyncDisposable {
  readonly pid: number;
  readonly pidfd: number | null;
  wait(): Promise<ProcessState>;
  waitSync(): ProcessState;
  signal(sig: Signal): void;
  usage(): Rusage;
  kill(sig?: Signal): void;
  signalGroup(sig: Signal): void;
  release(): void;
  ref(): void;
  unref(): void;
}

interface ProcessState {
  readonly pid: number;
  readonly exitCode: number;
  readonly signal: SignalName | null;
  readonly coreDumped: boolean;
  readonly exited: boolean;
  readonly success: boolean;
  readonly userTime: number;
  readonly systemTime: number;
  readonly status: number;
  readonly usage: Rusage;
  toString(): string;
}

interface Rusage {
  readonly userTime: number;
  readonly systemTime: number;
  readonly maxRss: number;
  readonly minorFaults: number;
  readonly majorFaults: number;
  readonly blocksIn: number;
  readonly blocksOut: number;
  readonly voluntaryContextSwitches: number;
  readonly involuntaryContextSwitches: number;
}

/** Of api-next.d.ts: a user or a group by name stands in place of its number. */
interface Credential {
  uid?: number | undefined;
  gid?: number | undefined;
  user?: string | number | undefined;
  group?: string | number | undefined;
  groups?: readonly number[] | undefined;
  noSetGroups?: boolean | undefined;
}

interface SysProcIDMap {
  containerID: number;
  hostID: number;
  size: number;
}

type RlimitName =
  | ("AS" | "CORE" | "CPU" | "DATA" | "FSIZE" | "MEMLOCK" | "NOFILE" | "NPROC" | "RSS" | "STACK")
  | ("LOCKS" | "MSGQUEUE" | "NICE" | "RTPRIO" | "RTTIME" | "SIGPENDING");

type Limit = number | bigint;

/** Of api-next.d.ts, as what follows; `memoryPolicy` is not there. */
interface Capabilities {
  bounding?: readonly number[] | undefined;
  permitted?: readonly number[] | undefined;
  effective?: readonly number[] | undefined;
  inheritable?: readonly number[] | undefined;
  securebits?: number | undefined;
}

interface LandlockRules {
  read?: readonly osexec.Text[] | undefined;
  write?: readonly osexec.Text[] | undefined;
  execute?: readonly osexec.Text[] | undefined;
  bindTcp?: readonly number[] | undefined;
  connectTcp?: readonly number[] | undefined;
  scoped?: boolean | undefined;
  bestEffort?: boolean | undefined;
}

interface SeccompRules {
  default: "allow" | "kill" | { errno: number };
  allow?: readonly string[] | undefined;
  deny?: readonly string[] | undefined;
  errno?: number | undefined;
}

interface Scheduler {
  policy: "other" | "batch" | "idle" | "fifo" | "rr";
  priority?: number | undefined;
  resetOnFork?: boolean | undefined;
}

interface IoPriority {
  class: "realtime" | "best-effort" | "idle";
  level?: number | undefined;
}

interface MemoryPolicy {
  mode: "default" | "bind" | "interleave" | "preferred" | "local";
  nodes?: readonly number[] | undefined;
}

interface SysProcAttr {
  chroot?: osexec.Text | undefined;
  credential?: Credential | undefined;
  ptrace?: boolean | undefined;
  setsid?: boolean | undefined;
  setpgid?: boolean | undefined;
  pgid?: number | undefined;
  setctty?: boolean | undefined;
  noctty?: boolean | undefined;
  ctty?: number | undefined;
  foreground?: boolean | undefined;
  pdeathsig?: Signal | undefined;
  cloneflags?: number | undefined;
  unshareflags?: number | undefined;
  uidMappings?: readonly SysProcIDMap[] | undefined;
  gidMappings?: readonly SysProcIDMap[] | undefined;
  gidMappingsEnableSetgroups?: boolean | undefined;
  ambientCaps?: readonly number[] | undefined;
  cgroupFD?: Fd | undefined;
  umask?: number | undefined;
  rlimits?:
    | Readonly<Partial<Record<RlimitName, Limit | { soft: Limit; hard: Limit }>>>
    | undefined;
  nice?: number | undefined;
  noNewPrivs?: boolean | undefined;
  capabilities?: Capabilities | undefined;
  landlock?: LandlockRules | undefined;
  seccomp?: Uint8Array | SeccompRules | undefined;
  affinity?: readonly number[] | undefined;
  scheduler?: Scheduler | undefined;
  ioPriority?: IoPriority | undefined;
  timerSlack?: number | undefined;
  memoryPolicy?: MemoryPolicy | undefined;
  oomScoreAdj?: number | undefined;
  coredumpFilter?: number | undefined;
  personality?: number | undefined;
  dumpable?: boolean | undefined;
  newKeyring?: boolean | undefined;
  closeFds?: boolean | undefined;
  listenFds?: boolean | readonly string[] | undefined;
}

interface CommandOptions {
  env?: Env | undefined;
  dir?: osexec.Text | undefined;
  stdin?: Stdin | undefined;
  stdout?: Stdout | readonly Stdout[] | undefined;
  stderr?: Stdout | "stdout" | readonly Stdout[] | undefined;
  extraFiles?: (Fd | null)[] | undefined;
  sysProcAttr?: SysProcAttr | undefined;
  signal?: AbortSignal | undefined;
  cancel?: ((child: osexec.Process) => unknown) | osexec.Signal | null | undefined;
  timeout?: number | undefined;
  waitDelay?: number | undefined;
  pty?: boolean | PtyOptions | undefined;
  tree?: "process" | "group" | "cgroup" | "namespace" | undefined;
  endWithParent?: boolean | osexec.Signal | undefined;
}

interface Command extends AsyncDisposable {
  path: string;
  args: string[];
  env?: Env;
  dir?: osexec.Text;
  stdin?: Stdin;
  stdout?: Stdout | readonly Stdout[];
  stderr?: Stdout | "stdout" | readonly Stdout[];
  extraFiles: (Fd | null)[];
  sysProcAttr?: SysProcAttr;
  signal?: AbortSignal;
  cancel?: ((child: osexec.Process) => unknown) | osexec.Signal | null;
  waitDelay: number;
  pty?: boolean | PtyOptions;
  readonly terminal: Terminal | undefined;
  interact(): Dialogue;
  tree?: "process" | "group" | "cgroup" | "namespace";
  endWithParent?: boolean | osexec.Signal;
  err?: Error;
  readonly process: Process | undefined;
  readonly processState: ProcessState | undefined;
  start(): Process;
  wait(): Promise<ProcessState>;
  run(): Promise<ProcessState>;
  output(): Promise<Uint8Array>;
  combinedOutput(): Promise<Uint8Array>;
  text(): Promise<string>;
  lines(): AsyncIterable<string>;
  runSync(): ProcessState;
  outputSync(): Uint8Array;
  combinedOutputSync(): Uint8Array;
  stdinPipe(): OSFile;
  stdoutPipe(): OSFile;
  stderrPipe(): OSFile;
  environ(): string[];
  explain(): string;
  clone(): Command;
  toString(): string;
}

interface SyscallError extends Error {
  readonly syscall: string;
  readonly errno: number;
  readonly code: string;
  readonly path?: string;
}

interface SpawnError extends SyscallError {
  readonly path: string;
  readonly step: osexec.SpawnStep;
  readonly argument?: string;
  readonly signal?: SignalName;
}

interface ExecError extends Error {
  readonly command: string;
  readonly code: string;
  readonly path?: string;
}

interface ExitError extends Error {
  readonly state: ProcessState;
  readonly exitCode: number;
  readonly signal: SignalName | null;
  readonly stdout?: Uint8Array;
  readonly stderr?: Uint8Array;
}

interface WaitDelayError extends Error {
  readonly stdout?: Uint8Array;
  readonly stderr?: Uint8Array;
}

/** Of api-next.d.ts. */
type Observation =
  | { kind: "start"; command: osexec.Command; at: number }
  | { kind: "started"; command: osexec.Command; pid: number; at: number }
  | { kind: "failed"; command: osexec.Command; error: Error; at: number }
  | { kind: "abort"; command: osexec.Command; pid: number; reason: unknown; at: number }
  | {
    kind: "end";
    command: osexec.Command;
    pid: number;
    state: osexec.ProcessState;
    error?: Error;
    at: number;
  };

/** A class that only this package makes instances of. */
interface ClassOf<T> {
  readonly prototype: T;
}

interface Module {
  OSFile: ClassOf<OSFile> & {
    open(path: string, flags?: OpenFlags, mode?: number): OSFile;
    fromFd(fd: number, name?: string): OSFile;
  };
  pipe(): [OSFile, OSFile];
  socketPair(type?: "stream" | "packet"): [OSFile, OSFile];
  startProcess(name: string, argv: readonly string[], attr?: ProcAttr): Process;
  findProcess(pid: number): Process;
  Process: ClassOf<Process>;
  reapOrphans(options?: { onOrphan?: (pid: number, status: number) => void }): Disposable;
  CLONE_NEWTIME: number;
  CLONE_NEWNS: number;
  CLONE_NEWCGROUP: number;
  CLONE_NEWUTS: number;
  CLONE_NEWIPC: number;
  CLONE_NEWUSER: number;
  CLONE_NEWPID: number;
  CLONE_NEWNET: number;
  Cap: Readonly<Record<string, number>>;
  exec(path: string, argv: readonly string[], env?: Env): never;
  lookPath(file: string): string;
  observe(observer: (observation: Observation) => void): Disposable;
  Command: new (name: string, args?: readonly string[], options?: CommandOptions) => Command;
  StateError: ClassOf<Error>;
  SyscallError: ClassOf<SyscallError>;
  SpawnError: ClassOf<SpawnError>;
  ExecError: ClassOf<ExecError>;
  ExitError: ClassOf<ExitError>;
  WaitDelayError: ClassOf<WaitDelayError>;
  CancelError: ClassOf<Error>;
  ProcessDoneError: ClassOf<Error>;
  ClosedError: ClassOf<Error>;
  openPty(options?: PtyOptions): [Terminal, OSFile];
  Terminal: ClassOf<Terminal>;
  Dialogue: ClassOf<Dialogue>;
  DialogueError: ClassOf<Error>;
}

/** Of api-next.d.ts: terminals. */
interface PtyOptions {
  columns?: number | undefined;
  rows?: number | undefined;
  mode?: "cooked" | "raw" | undefined;
}

interface Terminal extends Disposable {
  readonly name: string;
  readonly fd: number;
  columns: number;
  rows: number;
  resize(columns: number, rows: number): void;
  setMode(mode: "cooked" | "raw"): void;
  read(buffer: Uint8Array): Promise<number | null>;
  write(data: osexec.Text): Promise<number>;
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<osexec.Text>;
  close(): void;
}

interface Expectation {
  readonly before: string;
  readonly match: RegExpExecArray | string;
}

interface Dialogue {
  send(data: osexec.Text): Promise<void>;
  expect(what: string | RegExp, options?: { timeout?: number }): Promise<Expectation>;
}

/** Fails to compile unless `Given` can stand wherever `Wanted` is wanted. */
type Check<Given extends Wanted, Wanted> = [Given, Wanted];

/** What is exported is what was promised, and what callers hand in is taken. */
export type Checks = [
  Check<typeof osexec, Module>,
  Check<osexec.Observation, Observation>,
  Check<ProcAttr, osexec.ProcAttr>,
  Check<SysProcAttr, osexec.SysProcAttr>,
  Check<CommandOptions, osexec.CommandOptions>,
  Check<"null" | "inherit" | Fd | string | Uint8Array | ReadableStream<Uint8Array>, Stdin>,
  Check<AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>, Stdin>,
  Check<"null" | "inherit" | Fd | osexec.Writer | WritableStream<Uint8Array>, Stdout>,
  Check<{ write(chunk: Uint8Array): unknown }, osexec.Writer>,
  Check<Readonly<Record<string, string | undefined>> | readonly string[], Env>,
  Check<number | { readonly fd: number }, Fd>,
  Check<"r" | "r+" | "w" | "w+" | "a" | "a+" | "wx" | "ax" | number, OpenFlags>,
  Check<`SIG${string}` | number, Signal>,
  Check<RlimitName, osexec.RlimitName>,
  Check<PtyOptions, osexec.PtyOptions>,
];
