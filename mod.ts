/**
 * Go's os/exec, os.StartProcess and syscall.SysProcAttr for Bun, Deno and Node.
 *
 * Commands run without a shell: nothing is expanded, quoted or interpreted. A start that fails says in
 * which step and why. Importing this module does nothing; the first use loads the native library.
 *
 * @example
 * ```ts
 * import { Command } from "osexec";
 *
 * console.log(await new Command("uname", ["-sr"]).text());
 * ```
 *
 * @module
 */

export type { SecurityAttributes, WindowsAttributes } from "./src/windows/attributes.ts";
export type {
  Credential,
  JoinedNamespace,
  Limit,
  ProcAttr,
  SysProcAttr,
  SysProcIDMap,
} from "./src/start/attributes.ts";
export type { Cancel } from "./src/command/abort.ts";
export { type Captured, type CaptureOptions } from "./src/command/captured.ts";
export { Command } from "./src/command/command.ts";
export type { CommandOptions } from "./src/command/command_options.ts";
export {
  Cap,
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from "./src/start/constants.ts";
export type { Env, ExtraEnv } from "./src/start/environment.ts";
export type { RlimitName } from "./src/start/limits.ts";
export {
  CancelError,
  type CapturedOutput,
  ClosedError,
  ExecError,
  type ExecErrorInit,
  type ExitCause,
  ExitError,
  ProcessDoneError,
  ShortWriteError,
  SpawnError,
  type SpawnErrorInit,
  type SpawnStep,
  StateError,
  SyscallError,
  type SyscallErrorInit,
  TimeoutError,
  type Told,
  WaitDelayError,
} from "./src/errors.ts";
export {
  type Fd,
  type FromFdOptions,
  type OpenFlags,
  type OpenOptions,
  OSFile,
  pipe,
  socketPair,
} from "./src/file/file.ts";
export { LibraryError } from "./ffi/library.ts";
export { type LibraryAttempt, PlatformError } from "./ffi/runtime.ts";
export type { Text } from "./ffi/text.ts";
export type { LineOptions } from "./src/command/lines.ts";
export { type Ended, parallel, type ParallelOptions } from "./src/command/parallel.ts";
export { Pipeline, pipeline, PipelineError } from "./src/command/pipeline.ts";
export {
  Dialogue,
  DialogueError,
  type Expectation,
  type ExpectOptions,
} from "./src/terminal/dialogue.ts";
export type { LandlockRules } from "./src/start/landlock.ts";
export { lookPath } from "./src/start/look_path.ts";
export type { Mount } from "./src/start/mounts.ts";
export { sandbox, type SandboxOptions } from "./src/start/sandbox.ts";
export type { OS } from "./src/os.ts";
export { quote } from "./src/quote.ts";
export { findProcess, Process, startProcess } from "./src/process/process.ts";
export { type ReapOptions, reapOrphans } from "./src/tree/reap_orphans.ts";
export type { Capabilities } from "./src/start/privileges.ts";
export { exec } from "./src/start/replace.ts";
export type { IoPriority, MemoryPolicy, Scheduler } from "./src/start/resources.ts";
export { type Observation, observe } from "./src/watch/observe.ts";
export type { SeccompRules } from "./src/start/seccomp.ts";
export type { ProcessState, Rusage } from "./src/process/process_state.ts";
export type { Signal, SignalName } from "./src/process/signals.ts";
export { openPty, type PtyOptions, Terminal } from "./src/terminal/terminal.ts";
export type { Writer } from "./src/command/sinks.ts";
export type { Data } from "./src/command/sources.ts";
export type { Stdin, Stdout } from "./src/command/stdio.ts";
export type { Tree } from "./src/tree/tree.ts";
