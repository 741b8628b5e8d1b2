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

export type { Credential, Limit, ProcAttr, SysProcAttr, SysProcIDMap } from "./src/attributes.ts";
export type { Cancel } from "./src/abort.ts";
export { type Captured, type CaptureOptions } from "./src/captured.ts";
export { Command } from "./src/command.ts";
export type { CommandOptions } from "./src/command_options.ts";
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
  type RlimitName,
} from "./src/constants.ts";
export type { Env, ExtraEnv } from "./src/environment.ts";
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
} from "./src/file.ts";
export { LibraryError } from "./ffi/library.ts";
export { type LibraryAttempt, PlatformError } from "./ffi/runtime.ts";
export type { Text } from "./ffi/text.ts";
export type { LineOptions } from "./src/lines.ts";
export { type Ended, parallel, type ParallelOptions } from "./src/parallel.ts";
export { Pipeline, pipeline, PipelineError } from "./src/pipeline.ts";
export { Dialogue, DialogueError, type Expectation, type ExpectOptions } from "./src/dialogue.ts";
export { lookPath } from "./src/look_path.ts";
export type { OS } from "./src/os.ts";
export { quote } from "./src/quote.ts";
export { findProcess, Process, startProcess } from "./src/process.ts";
export { type ReapOptions, reapOrphans } from "./src/reap_orphans.ts";
export { exec } from "./src/replace.ts";
export { type Observation, observe } from "./src/observe.ts";
export type { ProcessState, Rusage } from "./src/process_state.ts";
export type { Signal, SignalName } from "./src/signals.ts";
export { openPty, type PtyOptions, Terminal } from "./src/terminal.ts";
export type { Writer } from "./src/sinks.ts";
export type { Data } from "./src/sources.ts";
export type { Stdin, Stdout } from "./src/stdio.ts";
export type { Tree } from "./src/tree.ts";
