/** The options of a Command: what they are, and what is wrong with them. */

import { type Text, toText } from "../../ffi/text.ts";
import type { SysProcAttr } from "../start/attributes.ts";
import type { Cancel } from "./abort.ts";
import type { Command } from "./command.ts";
import { checkEndWithParent } from "../tree/end_with_parent.ts";
import type { Env, ExtraEnv } from "../start/environment.ts";
import { StateError } from "../errors.ts";
import { checkRecord, fieldsOf, unknownField } from "../fields.ts";
import { checkSignal, type Fd } from "../file/file.ts";
import { currentOS } from "../os.ts";
import { type Signal, signalNumber } from "../process/signals.ts";
import type { Data } from "./sources.ts";
import type { Stdin, Stdout } from "./stdio.ts";
import type { PtyOptions } from "../terminal/terminal.ts";
import { checkTree } from "../tree/seed.ts";
import type { Tree } from "../tree/tree.ts";

/** The fields of a Command that may be given to its constructor; each says more at Command's own. */
export interface CommandOptions {
  /** The child's whole environment: a record, or a list of "k=v". Default: this process's own. */
  env?: Env | undefined;
  /** Added to what the child would have; undefined takes a variable out. Default: nothing. */
  extraEnv?: ExtraEnv | undefined;
  /** The child's working directory: a path, or a file URL. Default: this process's own. */
  dir?: Text | URL | undefined;
  /**
   * What the child reads: "inherit", "null", a descriptor or file, or data (text, bytes, a Blob, a stream, an iterable).
   * Default "null", /dev/null.
   */
  stdin?: Stdin | undefined;
  /** Data for the child's stdin, whatever its text. Not together with stdin. */
  input?: Data | undefined;
  /** What messages call the command. Default: its words, quoted, cut at 200 characters. */
  label?: string | undefined;
  /**
   * Where stdout goes: "inherit", "null", a descriptor or file, a Writer, a WritableStream, or several of them in a list.
   * Default "null".
   */
  stdout?: Stdout | readonly Stdout[] | undefined;
  /** Where stderr goes: as stdout, or "stdout" for the same place. Default "null". */
  stderr?: Stdout | "stdout" | readonly Stdout[] | undefined;
  /**
   * A pseudo-terminal as 0, 1 and 2, and the controlling one: true, or its size and mode. Not together with stdin, stdout,
   * stderr and input. Default: none.
   */
  pty?: boolean | PtyOptions | undefined;
  /** Entry i becomes descriptor 3+i of the child; null closes it. Default: none. */
  extraFiles?: (Fd | null)[] | undefined;
  /** User and groups, session, limits, namespaces and what else the system does for a child. Default: nothing. */
  sysProcAttr?: SysProcAttr | undefined;
  /** Ends the child when it aborts, by `cancel`. Default: none. */
  signal?: AbortSignal | undefined;
  /** What to do on abort: a function, a signal to send, or null for nothing but waitDelay. Default SIGKILL. */
  cancel?: Cancel | undefined;
  /** Milliseconds from the start until it is aborted with a TimeoutError. Default: no bound. */
  timeout?: number | undefined;
  /**
   * Milliseconds from an abort until SIGKILL, and from the exit until pipes that somebody else holds are closed. Default
   * 0: no bound.
   */
  waitDelay?: number | undefined;
  /** The signal that the child gets when this program ends, however it ends; true: SIGKILL. Default: none. */
  endWithParent?: boolean | Signal | undefined;
  /** How much of what the child starts ends with it: "process", "group", "cgroup" or "namespace". Default "process". */
  tree?: Tree | undefined;
}

const optionNames: ReadonlySet<string> = new Set<keyof CommandOptions>([
  "cancel",
  "dir",
  "endWithParent",
  "env",
  "extraEnv",
  "extraFiles",
  "input",
  "label",
  "pty",
  "signal",
  "stderr",
  "stdin",
  "stdout",
  "sysProcAttr",
  "timeout",
  "tree",
  "waitDelay",
]);

/** The fields that a Command has of its own; a subclass may have others. */
const fieldNames: ReadonlySet<string> = new Set([...optionNames, "args", "err", "path"]);

/** Reads each option once. Throws TypeError for what is none. */
export function readCommandOptions(options: CommandOptions): CommandOptions {
  checkRecord("The command's options", options);
  return fieldsOf(options, optionNames, refuseOption);
}

function refuseOption(name: string): never {
  throw new TypeError(`exec: ${unknownField("CommandOptions", name, optionNames)}`);
}

/** For attributes that are wrong. */
export function refuseAttribute(detail: string): never {
  throw new TypeError(`exec: ${detail}`);
}

/** A directory's path, also of a file URL. */
export function directoryOf(dir: Text | URL): string {
  if (!(dir instanceof URL)) return toText("dir", dir);
  if (dir.protocol !== "file:" || dir.host !== "") {
    throw new TypeError(`dir is no file of this machine: ${dir}`);
  }
  return decodeURIComponent(dir.pathname);
}

/** Throws for fields of wrong types, before a start. `isPlain`: it is of no subclass, which may have others. */
export function checkFields(command: Command, isPlain: boolean): void {
  const { waitDelay, signal, timeout, cancel, label, extraFiles, tree, endWithParent } = command;
  const isBound = signal !== undefined || timeout !== undefined;
  if (cancel !== undefined && cancel !== null && !isBound) {
    throw new StateError(
      "exec: command with a non-nil Cancel was not created with CommandContext: it has no signal",
    );
  }
  if (!Array.isArray(extraFiles)) throw new TypeError("extraFiles is not a list");
  if (label !== undefined && typeof label !== "string") {
    throw new TypeError("label is not a string");
  }
  if (typeof waitDelay !== "number" || !(waitDelay >= 0)) {
    throw new TypeError("waitDelay is not a number of milliseconds");
  }
  // 0 is no bound to some, and no time at all to others.
  if (timeout !== undefined && (typeof timeout !== "number" || !(timeout > 0))) {
    throw new TypeError("timeout is not a positive number of milliseconds");
  }
  if (signal !== undefined) checkSignal(signal);
  checkCancel(cancel);
  if (tree !== undefined) checkTree(tree);
  if (endWithParent !== undefined) checkEndWithParent(endWithParent);
  const names = Object.keys(command);
  if (!isPlain || names.length === fieldNames.size) return;
  for (const name of names) {
    if (!fieldNames.has(name)) {
      throw new TypeError(`exec: ${unknownField("Command", name, fieldNames)}`);
    }
  }
}

/** Throws TypeError for what is no signal. */
function checkCancel(cancel: Cancel | undefined): void {
  if (cancel === undefined || cancel === null || typeof cancel === "function") return;
  signalNumber(cancel, currentOS(), "cancel");
}
