/** As much of an ELF file as tells what a shared library offers, and what it needs. */

/** A name in a library's table. */
export interface Entry {
  readonly name: string;
  /** Whether it is the library's own; else it asks its host for it. */
  readonly defined: boolean;
  /** Whether it may be missing. */
  readonly weak: boolean;
}

/** A shared library. */
export interface Elf {
  /** EM_X86_64 is 62, EM_AARCH64 183. */
  readonly machine: number;
  readonly symbols: readonly Entry[];
  /** The libraries it needs. */
  readonly needed: readonly string[];
  /** The flags of each part that is mapped: 1 executable, 2 writable, 4 readable. */
  readonly segments: readonly number[];
  /** The same of the stack it asks for. */
  readonly stack: number | undefined;
}

interface Section {
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  /** The section of its strings. */
  readonly link: number;
}

const SHT_DYNAMIC = 6;
const SHT_DYNSYM = 11;
const DT_NEEDED = 1;
const PT_LOAD = 1;
const PT_GNU_STACK = 0x6474e551;
const STB_WEAK = 2;

/** Reads a 64-bit, little-endian ELF file, which must have its table of sections. */
export function readElf(bytes: Uint8Array): Elf {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (offset: number): number => view.getUint32(offset, true);
  const half = (offset: number): number => view.getUint16(offset, true);
  const long = (offset: number): number => Number(view.getBigUint64(offset, true));
  if (word(0) !== 0x464c457f || view.getUint16(4) !== 0x0201) throw new Error("no such ELF file");
  const table = (start: number, size: number, count: number): number[] =>
    Array.from({ length: count }, (_, index) => start + index * size);
  const text = (start: number): string => {
    return new TextDecoder().decode(bytes.subarray(start, bytes.indexOf(0, start)));
  };

  const sections = table(long(0x28), half(0x3a), half(0x3c)).map((at): Section => {
    return { type: word(at + 4), offset: long(at + 24), size: long(at + 32), link: word(at + 40) };
  });
  const programs = table(long(0x20), half(0x36), half(0x38))
    .map((at) => ({ type: word(at), flags: word(at + 4) }));
  const entries = (type: number, size: number): { at: number; strings: number }[] =>
    sections.filter((section) => section.type === type).flatMap(({ offset, size: whole, link }) =>
      table(offset, size, whole / size)
        .map((at) => ({ at, strings: sections[link]?.offset ?? 0 }))
    );

  const symbols = entries(SHT_DYNSYM, 24).map(({ at, strings }): Entry => {
    const binding = view.getUint8(at + 4) >> 4;
    return {
      name: text(strings + word(at)),
      defined: half(at + 6) !== 0,
      weak: binding === STB_WEAK,
    };
  });
  const needed = entries(SHT_DYNAMIC, 16).filter(({ at }) => long(at) === DT_NEEDED)
    .map(({ at, strings }) => text(strings + long(at + 8)));
  return {
    machine: half(0x12),
    symbols: symbols.filter(({ name }) => name !== ""),
    needed,
    segments: programs.filter(({ type }) => type === PT_LOAD).map(({ flags }) => flags),
    stack: programs.find(({ type }) => type === PT_GNU_STACK)?.flags,
  };
}
