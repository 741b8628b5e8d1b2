/** Encodes a start into the one flat buffer that crosses to native code, and decodes the answer. */

import { Answer, MAGIC, Option, Request, StepHeader, STEPS, type StepValues } from "./abi.ts";
import { library } from "./library.ts";
import { encodeText } from "./text.ts";

/** The name of a step of the native table. */
export type StepName = (typeof STEPS)[number]["step"];

/** A step with what it carries, in the order of its fields. */
export type RequestStep = {
  readonly [Name in StepName]: { readonly step: Name; readonly values: StepValues[Name] };
}[StepName];

/** What a field may be. */
type Value = StepValues[StepName][number];

/** A start, ready to be encoded. No string may hold a NUL. */
export interface StartRequest {
  readonly path: string;
  readonly argv: readonly string[];
  readonly envp: readonly string[];
  /** Whether `envp` will never change, so that its bytes may be kept. */
  readonly envpLasts: boolean;
  readonly steps: readonly RequestStep[];
  /** CLONE_NEW* for the clone itself. */
  readonly cloneFlags: number;
}

/** What came of a start. */
export interface StartAnswer {
  readonly pid: number;
  /** -1 where the kernel gave none. */
  readonly pidfd: number;
  /** The index of the failed step, or a value of the generated `Stage`. */
  readonly step: number;
  /** 0: it started, unless `signal` is set. */
  readonly errno: number;
  /** The signal that killed the child before exec, or 0. */
  readonly signal: number;
  /** Bits of the generated `Rung`: what this start went without. */
  readonly rungs: number;
  /** What settle() is to be asked for, once; -1: it is known to have started. */
  readonly pending: number;
}

/** How to make a start. */
export interface StartOptions {
  /** Whether it needs no pidfd. */
  readonly noPidfd?: boolean;
  /** Whether what comes of it may be asked for later: then this thread need not stand still for execve. */
  readonly deferred: boolean;
  /** Whether this thread sleeps until the child prints or ends. */
  readonly sleeps?: boolean;
  /** Whether the thread that makes it is to last as long as this process. */
  readonly lasting?: boolean;
}

/** A row of the native table, and where it stands there. */
interface Row {
  readonly code: number;
  readonly size: number;
  readonly fields: readonly (readonly [kind: string, offset: number])[];
}

/** Those that a start has had: a plain one has five of more than sixty. */
const rows = new Map<StepName, Row>();

function rowOf(step: StepName): Row {
  let row = rows.get(step);
  if (row === undefined) {
    let code = 0;
    while (STEPS[code]!.step !== step) code += 1;
    const { size, fields } = STEPS[code]!;
    rows.set(step, row = { code, size, fields });
  }
  return row;
}

/** Where a step stands in the order in which they run. */
export function stepCode(step: StepName): number {
  return rowOf(step).code;
}

const encoder = new TextEncoder();

/** The buffer of the last request: native code copies it during the call, so one serves them all. */
let scratch = new Uint8Array(16 * 1024);
let view = new DataView(scratch.buffer);
/** Larger ones are not kept. */
const scratchKept = 1024 * 1024;

const answerBytes = new Uint8Array(Answer.size);
const answer = new DataView(answerBytes.buffer);

/** Rungs of the ladder that starts must do without: for tests. */
let forcedRungs = 0;

/** Makes all later starts of this thread do without some rungs of the ladder: for tests. */
export function forceRungs(rungs: number): void {
  forcedRungs = rungs;
}

/** Starts a process: one native call. */
export function start(
  request: StartRequest,
  { noPidfd, deferred, sleeps, lasting }: StartOptions = { deferred: false },
): StartAnswer {
  const options = (deferred ? Option.deferred : 0) | (noPidfd ? Option.no_pidfd : 0) |
    (sleeps ? Option.sleeps : 0);
  const length = encode(request, options);
  if (lasting) library().osexec_spawn_lasting(scratch, length, answerBytes);
  else library().osexec_spawn(scratch, length, answerBytes);
  return decode();
}

/**
 * Waits until a pending start has come to execve or has failed, and answers as start() would have. `signal`
 * is -1 for a child that was killed before: by what, its own status tells. The caller reaps it; `pid` is 0
 * if that is done.
 */
export function settle(pending: number, pid: number): StartAnswer {
  library().osexec_settle(pending, pid, answerBytes);
  return decode();
}

/** Replaces this process: returns only when that failed. */
export function replace(request: StartRequest): StartAnswer {
  const length = encode(request, 0);
  library().osexec_exec(scratch, length, answerBytes);
  return decode();
}

function decode(): StartAnswer {
  if (scratch.length > scratchKept) resize(16 * 1024);
  return {
    pid: answer.getInt32(Answer.pid, true),
    pidfd: answer.getInt32(Answer.pidfd, true),
    step: answer.getInt32(Answer.step, true),
    errno: answer.getInt32(Answer.errno, true),
    signal: answer.getInt32(Answer.signal, true),
    rungs: answer.getUint32(Answer.rungs, true),
    pending: answer.getInt32(Answer.pending, true),
  };
}

/** Puts the request into `scratch`; answers its length. */
function encode(request: StartRequest, options: number): number {
  const argv = block(request.argv);
  const envp = encodedEnvironment(request);
  reserve(measure(request, argv, envp));

  let offset: number = Request.size;
  const pathLength = putText(offset, request.path + "\0");
  offset += pathLength;
  const argvLength = putText(offset, argv);
  const argvOffset = offset;
  offset += argvLength;
  scratch.set(envp, offset);
  const envpLength = envp.length;
  const envpOffset = offset;
  offset = align(offset + envpLength);
  const stepsOffset = offset;
  for (const step of request.steps) offset = putStep(offset, step);

  view.setUint32(Request.magic, MAGIC, true);
  view.setUint32(Request.length, offset, true);
  view.setUint32(Request.clone_flags, request.cloneFlags, true);
  view.setUint32(Request.options, options, true);
  view.setUint32(Request.path, Request.size, true);
  view.setUint32(Request.path_length, pathLength, true);
  view.setUint32(Request.argv, argvOffset, true);
  view.setUint32(Request.argv_length, argvLength, true);
  view.setUint32(Request.argv_count, request.argv.length, true);
  view.setUint32(Request.envp, envpOffset, true);
  view.setUint32(Request.envp_length, envpLength, true);
  view.setUint32(Request.envp_count, request.envp.length, true);
  view.setUint32(Request.steps, stepsOffset, true);
  view.setUint32(Request.steps_length, offset - stepsOffset, true);
  view.setUint32(Request.forced, forcedRungs, true);
  return offset;
}

/** Strings one after the other, each with a NUL at its end. */
function block(strings: readonly string[]): string {
  return strings.length === 0 ? "" : strings.join("\0") + "\0";
}

/** Environments as bytes, by the list they are of: most starts have the same one. */
const environments = new WeakMap<readonly string[], Uint8Array>();

function encodedEnvironment({ envp, envpLasts }: StartRequest): Uint8Array {
  let bytes = environments.get(envp);
  if (bytes === undefined) {
    bytes = encodeText(block(envp));
    if (envpLasts) environments.set(envp, bytes);
  }
  return bytes;
}

/** An upper bound: a UTF-16 unit takes three bytes of UTF-8 at most. */
function measure(request: StartRequest, argv: string, envp: Uint8Array): number {
  let size = Request.size + 3 * (request.path.length + argv.length) + envp.length + 16;
  for (const { step, values } of request.steps) {
    size += StepHeader.size + 8 + rowOf(step).size;
    for (const value of values) size += room(value);
  }
  return size;
}

/** An upper bound of what lies behind the fields, with a NUL. */
function room(value: Value): number {
  if (typeof value === "string") return 3 * value.length + 1;
  if (typeof value !== "object") return 0;
  return value instanceof Uint8Array ? value.length : 4 * value.length + 3;
}

function reserve(size: number): void {
  if (size > scratch.length) resize(Math.max(size, 2 * scratch.length));
}

function resize(size: number): void {
  scratch = new Uint8Array(size);
  view = new DataView(scratch.buffer);
}

function putText(offset: number, text: string): number {
  if (text.isWellFormed()) return encoder.encodeInto(text, scratch.subarray(offset)).written;
  const bytes = encodeText(text);
  scratch.set(bytes, offset);
  return bytes.length;
}

function putStep(offset: number, { step, values }: RequestStep): number {
  const row = rowOf(step);
  if (row.fields.length !== values.length) {
    throw new Error(`${step} with ${values.length} values`);
  }
  const { code, size, fields } = row;
  const start = offset + StepHeader.size;
  scratch.fill(0, start, start + size);
  let tail = start + size;
  for (let index = 0; index < fields.length; index++) {
    const field = fields[index];
    const value: Value | undefined = values[index];
    if (field === undefined || value === undefined) throw new Error(`${step} without a value`);
    const place = start + field[1];
    if (typeof value === "number") {
      view.setUint32(place, value, true);
    } else if (typeof value === "bigint") {
      view.setBigUint64(place, value, true);
    } else {
      if (field[0] === "words") tail = align4(tail);
      view.setUint32(place, tail - place, true);
      const isPath = field[0] === "path";
      const length = putTail(tail, value, isPath);
      // Of words the count, of a path without its NUL.
      view.setUint32(
        place + 4,
        field[0] === "words" ? length / 4 : length - (isPath ? 1 : 0),
        true,
      );
      tail += length;
    }
  }
  view.setUint16(offset + StepHeader.code, code, true);
  view.setUint16(offset + StepHeader.code + 2, 0, true);
  view.setUint32(offset + StepHeader.length, tail - start, true);
  const end = align(tail);
  scratch.fill(0, tail, end);
  return end;
}

/** What a field points to; answers how many bytes it is. */
function putTail(
  offset: number,
  value: string | Uint8Array | readonly number[],
  isPath: boolean,
): number {
  if (typeof value === "string") return putText(offset, isPath ? value + "\0" : value);
  if (value instanceof Uint8Array) {
    scratch.set(value, offset);
    return value.length;
  }
  for (let index = 0; index < value.length; index++) {
    view.setUint32(offset + 4 * index, value[index] ?? 0, true);
  }
  return 4 * value.length;
}

function align4(offset: number): number {
  return (offset + 3) & ~3;
}

function align(offset: number): number {
  return (offset + 7) & ~7;
}
