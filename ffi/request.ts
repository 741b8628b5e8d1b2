/** Encodes a start into the one flat buffer that crosses to native code, and decodes the answer. */

import { Answer, MAGIC, Request, StepHeader, STEPS } from "./abi.ts";
import { library } from "./library.ts";
import { encodeText } from "./text.ts";

/** The name of a step of the native table. */
export type StepName = (typeof STEPS)[number]["step"];

/** A step with what it carries: a path, or 32-bit words. */
export interface RequestStep {
  readonly step: StepName;
  readonly text?: string;
  readonly words?: readonly number[];
}

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
  /** Bits of the generated `Rung` that it is to do without. */
  readonly without: number;
  /** Whether what comes of it may be asked for later: then this thread need not stand still for execve. */
  readonly deferred: boolean;
  /** Whether the thread that makes it is to last as long as this process. */
  readonly lasting?: boolean;
}

const codes: ReadonlyMap<string, number> = new Map(STEPS.map(({ step }, code) => [step, code]));
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
  { without, deferred, lasting }: StartOptions = { without: 0, deferred: false },
): StartAnswer {
  const length = encode(request, without | forcedRungs, deferred);
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
  const length = encode(request, forcedRungs, false);
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
function encode(request: StartRequest, forced: number, deferred: boolean): number {
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
  view.setUint32(Request.deferred, deferred ? 1 : 0, true);
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
  view.setUint32(Request.forced, forced, true);
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
  for (const { text, words } of request.steps) {
    size += StepHeader.size + 8 + 3 * (text?.length ?? 0) + 4 * (words?.length ?? 0);
  }
  return size;
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

function putStep(offset: number, { step, text, words }: RequestStep): number {
  const code = codes.get(step);
  if (code === undefined) throw new Error(`unknown step ${step}`);
  const start = offset + StepHeader.size;
  let length = 0;
  if (text !== undefined) length = putText(start, text + "\0");
  if (words !== undefined) {
    for (const word of words) {
      view.setUint32(start + length, word, true);
      length += 4;
    }
  }
  view.setUint16(offset + StepHeader.code, code, true);
  view.setUint16(offset + StepHeader.code + 2, 0, true);
  view.setUint32(offset + StepHeader.length, length, true);
  const end = align(start + length);
  for (let index = start + length; index < end; index++) scratch[index] = 0;
  return end;
}

function align(offset: number): number {
  return (offset + 7) & ~7;
}
