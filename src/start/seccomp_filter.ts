/**
 * A filter of system calls as the kernel takes it: classic BPF over struct seccomp_data (linux/seccomp.h,
 * linux/bpf_common.h). It has loads of words, jumps forward, AND and answers, and nothing else: of such a filter the
 * kernel finds out beforehand which calls it always allows, and does not run it for those (Linux 5.11).
 */

import { type Architecture, systemCallNumber } from "./system_calls.ts";

/** struct sock_filter's bytes. */
export const instructionLength = 8;

/** BPF_MAXINSNS: the most instructions of a filter. */
export const mostInstructions = 4096;

/** What a filter answers: SECCOMP_RET_* of linux/seccomp.h; of ERRNO the lower 16 bits are the number. */
export type Answer = number;

/** The call is made. */
export const ALLOW: Answer = 0x7fff_0000;

/** The whole process ends as by SIGSYS, with a core dump, and no handler is asked. */
export const KILL_PROCESS: Answer = 0x8000_0000;

/** The call is not made, and fails by this number. */
export function failWith(errno: number): Answer {
  return 0x0005_0000 | errno;
}

/** A test of one argument of a call; what it does not answer goes on to the next test of that call. */
export interface ArgumentTest {
  readonly call: string;
  /** From 0. */
  readonly argument: number;
  /**
   * Which half of it. The lower one alone where the kernel takes an int: the upper one may then be anything, and must
   * not be a way around the test (CVE-2019-10063 of flatpak).
   */
  readonly half: "lower" | "upper";
  /** The bits that are looked at. */
  readonly mask: number;
  /** At most 255, as a jump passes over them. */
  readonly values: readonly number[];
  /** When it answers: where those bits are one of the values, or none of them. */
  readonly when: "one" | "none";
  readonly answer: Answer;
}

/** A filter before it is instructions. */
export interface Policy {
  /** For what is not named. */
  readonly otherwise: Answer;
  /** By name; those of other architectures are no calls here. */
  readonly calls: ReadonlyMap<string, Answer>;
  readonly tests?: readonly ArgumentTest[];
}

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, k: number];

const load = 0x20; // BPF_LD | BPF_W | BPF_ABS
const and = 0x54; // BPF_ALU | BPF_AND | BPF_K
const jump = 0x05; // BPF_JMP | BPF_JA
const jumpIfEqual = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const jumpIfNotLess = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const answer = 0x06; // BPF_RET | BPF_K

/** struct seccomp_data; both architectures have the lower word of an argument first. */
const offsetOf = { number: 0, architecture: 4, arguments: 16 } as const;

/** AUDIT_ARCH_*: the ELF machine, 64 bits, little-endian. */
const auditArchitecture = { x86_64: 0xc000_003e, aarch64: 0xc000_00b7 } as const;

/** The most that a conditional jump skips: its offsets are bytes. */
const farthest = 0xff;

/** Numbers from `first` to the next range's, and what they lead to; the same list is the same end. */
interface Range {
  readonly first: number;
  readonly end: readonly Instruction[];
}

/**
 * A policy as instructions for one architecture, the kernel's bytes. A call by another architecture's table, which
 * the same process may make (int 0x80, arm's on aarch64) and where the numbers are others, ends the process; so does
 * one by x32's.
 */
export function compilePolicy(policy: Policy, architecture: Architecture): Uint8Array {
  // From the end, as a jump has to know how far it goes, and all go forward.
  const reversed: Instruction[] = [];
  writeTree(reversed, rangesOf(policy, architecture));
  reversed.push(
    [load, 0, 0, offsetOf.number],
    [answer, 0, 0, KILL_PROCESS],
    [jumpIfEqual, 1, 0, auditArchitecture[architecture]],
    [load, 0, 0, offsetOf.architecture],
  );
  return encode(reversed.reverse());
}

function rangesOf({ otherwise, calls, tests = [] }: Policy, architecture: Architecture): Range[] {
  const ends = new Map<number, readonly Instruction[]>();
  const answers = new Map<Answer, readonly Instruction[]>();
  const answering = (given: Answer): readonly Instruction[] => {
    const known = answers.get(given) ?? [[answer, 0, 0, given]];
    answers.set(given, known);
    return known;
  };
  for (const [name, given] of calls) {
    const number = systemCallNumber(name, architecture);
    if (number !== undefined) ends.set(number, answering(given));
  }
  // From the last one, so that each stands before what follows when it does not answer.
  for (const test of tests.toReversed()) {
    const number = systemCallNumber(test.call, architecture);
    if (number === undefined) continue;
    ends.set(number, [...testing(test), ...ends.get(number) ?? answering(otherwise)]);
  }
  if (architecture === "x86_64") {
    // __X32_SYSCALL_BIT. -1 has it too, and is what a tracer puts in place of a call that is not to be made.
    return rangesFrom(ends, answering(otherwise), [
      { first: 0x4000_0000, end: answering(KILL_PROCESS) },
      { first: 0xffff_ffff, end: answering(otherwise) },
    ]);
  }
  return rangesFrom(ends, answering(otherwise), []);
}

/** As few as there can be: neighbours with one end are one. `above`: those above all calls. */
function rangesFrom(
  ends: ReadonlyMap<number, readonly Instruction[]>,
  otherwise: readonly Instruction[],
  above: readonly Range[],
): Range[] {
  const ranges: Range[] = [];
  const add = (range: Range): void => {
    if (ranges.at(-1)?.first === range.first) ranges.pop();
    if (ranges.at(-1)?.end !== range.end) ranges.push(range);
  };
  add({ first: 0, end: otherwise });
  for (const [number, end] of [...ends].sort(([one], [other]) => one - other)) {
    add({ first: number, end });
    add({ first: number + 1, end: otherwise });
  }
  above.forEach(add);
  return ranges;
}

/**
 * Finds the range of a number by halving, so that a long list costs a call nine comparisons, not hundreds. Twice as
 * many instructions as ranges, and the long jumps: 1,600 if every other number were another end.
 */
function writeTree(
  reversed: Instruction[],
  ranges: readonly Range[],
  from = 0,
  to = ranges.length,
): void {
  const half = (from + to) >> 1;
  const middle = ranges[half];
  if (middle === undefined) return;
  if (half === from) {
    reversed.push(...middle.end.toReversed());
    return;
  }
  writeTree(reversed, ranges, half, to);
  const above = reversed.length;
  writeTree(reversed, ranges, from, half);
  const below = reversed.length - above;
  if (below <= farthest) reversed.push([jumpIfNotLess, below, 0, middle.first]);
  else reversed.push([jump, 0, 0, below], [jumpIfNotLess, 0, 1, middle.first]);
}

/** What a test does before its call goes on behind it. */
function testing(
  { argument, half, mask, values, when, answer: given }: ArgumentTest,
): Instruction[] {
  const offset = offsetOf.arguments + 8 * argument + (half === "lower" ? 0 : 4);
  const instructions: Instruction[] = [[load, 0, 0, offset]];
  if (mask >>> 0 !== 0xffff_ffff) instructions.push([and, 0, 0, mask]);
  values.forEach((value, index) => {
    const left = values.length - 1 - index;
    if (when === "none") instructions.push([jumpIfEqual, left + 1, 0, value]);
    else instructions.push([jumpIfEqual, left, left === 0 ? 1 : 0, value]);
  });
  return [...instructions, [answer, 0, 0, given]];
}

/** Both architectures have the lower byte first, as has whatever runs this. */
function encode(instructions: readonly Instruction[]): Uint8Array {
  const words = new Uint32Array(2 * instructions.length);
  let at = 0;
  for (const [code, ifTrue, ifFalse, k] of instructions) {
    words[at++] = code | ifTrue << 16 | ifFalse << 24;
    words[at++] = k;
  }
  return new Uint8Array(words.buffer);
}
