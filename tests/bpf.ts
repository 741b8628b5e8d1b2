/** A filter's own machine: the kernel's rules for what it takes (seccomp_check_filter), and what a filter answers. */

import { assert } from "@std/assert";

/** A call as the kernel shows it to a filter: struct seccomp_data. */
export interface Call {
  readonly number: number;
  /** AUDIT_ARCH_*. */
  readonly architecture: number;
  readonly arguments?: readonly bigint[];
}

export const ALLOW = 0x7fff_0000;
export const KILL_PROCESS = 0x8000_0000;

/** SECCOMP_RET_ERRNO with its number. */
export function failing(errno: number): number {
  return 0x0005_0000 + errno;
}

/** AUDIT_ARCH_* of linux/audit.h, with two that share a processor with the first two. */
export const architectures = {
  x86_64: 0xc000_003e,
  aarch64: 0xc000_00b7,
  i386: 0x4000_0003,
  arm: 0x4000_0028,
} as const;

interface Instruction {
  readonly code: number;
  readonly ifTrue: number;
  readonly ifFalse: number;
  readonly k: number;
}

/** A filter that the kernel would take: checked once, asked often. */
export class Filter {
  readonly #instructions: readonly Instruction[];

  constructor(bytes: Uint8Array) {
    assert(bytes.length % 8 === 0 && bytes.length > 0 && bytes.length / 8 <= 4096, "length");
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#instructions = Array.from({ length: bytes.length / 8 }, (_, index) => ({
      code: view.getUint16(8 * index, true),
      ifTrue: view.getUint8(8 * index + 2),
      ifFalse: view.getUint8(8 * index + 3),
      k: view.getUint32(8 * index + 4, true),
    }));
    this.#instructions.forEach(({ code, ifTrue, ifFalse, k }, index) => {
      const where = `instruction ${index}`;
      const left = this.#instructions.length - index - 1;
      if (code === 0x20) assert(k % 4 === 0 && k < 64, `${where} loads from ${k}`);
      else if (code === 0x05) assert(k < left, `${where} jumps out`);
      else if (code === 0x15 || code === 0x35) {
        assert(ifTrue < left && ifFalse < left, `${where} jumps out`);
      } else assert(code === 0x54 || code === 0x06, `${where}: code ${code}`);
    });
    assert(this.#instructions.at(-1)?.code === 0x06, "the last instruction answers");
  }

  get length(): number {
    return this.#instructions.length;
  }

  /** What it answers, and after how many instructions. */
  run(call: Call): { readonly answer: number; readonly steps: number } {
    const data = new DataView(new ArrayBuffer(64));
    data.setUint32(0, call.number, true);
    data.setUint32(4, call.architecture, true);
    call.arguments?.forEach((argument, index) => data.setBigUint64(16 + 8 * index, argument, true));
    let accumulator = 0;
    let steps = 0;
    for (let at = 0;; at++) {
      const instruction = this.#instructions[at];
      assert(instruction !== undefined, "ran past the end");
      const { code, ifTrue, ifFalse, k } = instruction;
      steps++;
      if (code === 0x06) return { answer: k, steps };
      if (code === 0x20) accumulator = data.getUint32(k, true);
      else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
      else if (code === 0x05) at += k;
      else at += (code === 0x15 ? accumulator === k : accumulator >= k) ? ifTrue : ifFalse;
    }
  }

  /** What it answers. */
  answer(call: Call): number {
    return this.run(call).answer;
  }
}
