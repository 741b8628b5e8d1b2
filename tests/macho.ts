/** As much of a Mach-O file as tells what a dynamic library offers and needs, and whether it may be loaded. */

/** A symbol that dyld has to find elsewhere. */
export interface Import {
  readonly name: string;
  /** The library that must have it, by its place in `libraries`, from 1. */
  readonly library: number;
  /** Whether it may be missing. */
  readonly weak: boolean;
}

/** A symbol that dyld is told to bind. */
export interface Binding extends Import {
  /** Whether only the first call through it does so. */
  readonly lazy: boolean;
}

/** A part that is mapped. */
export interface Segment {
  readonly name: string;
  /** 1 readable, 2 writable, 4 executable: at first, and at most. */
  readonly protection: readonly [initial: number, most: number];
  /** S_MOD_INIT_FUNC_POINTERS, what runs at the loading, is 9. */
  readonly sectionTypes: readonly number[];
}

/** A code directory of a signature: what the kernel compares each page with. */
export interface CodeDirectory {
  readonly flags: number;
  /** CS_HASHTYPE_SHA256 is 2. */
  readonly hashType: number;
  readonly pageSize: number;
  /** How much of the file it covers, from the start. */
  readonly codeLimit: number;
  readonly hashes: readonly Uint8Array[];
}

/** A signature. */
export interface Signature {
  /** Where it begins in the file. */
  readonly offset: number;
  /** The length of the room for it. */
  readonly size: number;
  readonly directories: readonly CodeDirectory[];
  /** How much of a CMS blob there is: an ad-hoc signature has none, or an empty one. */
  readonly certificate: number;
}

/** A dynamic library. */
export interface MachO {
  /** CPU_TYPE_X86_64 is 0x01000007, CPU_TYPE_ARM64 0x0100000c. */
  readonly cpu: number;
  /** MH_DYLIB is 6. */
  readonly kind: number;
  readonly flags: number;
  /** The libraries it needs, in the order by which imports name them. */
  readonly libraries: readonly string[];
  /** The load commands of those: LC_LOAD_DYLIB is 0xc. */
  readonly libraryCommands: readonly number[];
  readonly segments: readonly Segment[];
  /** The names that dyld finds, by the trie. */
  readonly exports: readonly string[];
  /** The names that the symbol table calls external and defined. */
  readonly definitions: readonly string[];
  /** The names that the symbol table calls undefined. */
  readonly imports: readonly Import[];
  /** What dyld is told to bind. */
  readonly bindings: readonly Binding[];
  /** PLATFORM_MACOS is 1, and a version is 0x000d0000 for 13.0.0. */
  readonly platforms: readonly { readonly platform: number; readonly oldest: number }[];
  /** The 16 bytes of LC_UUID, without which a new dyld refuses a library. */
  readonly uuid: Uint8Array | undefined;
  readonly signature: Signature | undefined;
}

const MH_MAGIC_64 = 0xfeedfacf;
const LC_SYMTAB = 0x2;
const LC_LOAD_DYLIB = 0xc;
const LC_LOAD_WEAK_DYLIB = 0x80000018;
const LC_SEGMENT_64 = 0x19;
const LC_UUID = 0x1b;
const LC_CODE_SIGNATURE = 0x1d;
const LC_REEXPORT_DYLIB = 0x8000001f;
const LC_LAZY_LOAD_DYLIB = 0x20;
const LC_LOAD_UPWARD_DYLIB = 0x80000023;
const LC_DYLD_INFO_ONLY = 0x80000022;
const LC_DYLD_EXPORTS_TRIE = 0x80000033;
const LC_DYLD_CHAINED_FIXUPS = 0x80000034;
const LC_BUILD_VERSION = 0x32;

const SECTION_TYPE = 0xff;

const N_STAB = 0xe0;
const N_TYPE = 0x0e;
const N_EXT = 0x01;
const N_UNDF = 0x0;
const N_WEAK_REF = 0x40;

const BIND_IMMEDIATE = 0x0f;
const BIND_SYMBOL_FLAGS_WEAK_IMPORT = 0x1;

const CSMAGIC_EMBEDDED_SIGNATURE = 0xfade0cc0;
const CSMAGIC_CODEDIRECTORY = 0xfade0c02;
const CSMAGIC_BLOBWRAPPER = 0xfade0b01;

/** Every way to need another library. */
const loading = [
  LC_LOAD_DYLIB,
  LC_LOAD_WEAK_DYLIB,
  LC_REEXPORT_DYLIB,
  LC_LAZY_LOAD_DYLIB,
  LC_LOAD_UPWARD_DYLIB,
];

interface Command {
  readonly code: number;
  readonly at: number;
}

/** Reads a 64-bit Mach-O file of one architecture. */
export function readMachO(bytes: Uint8Array): MachO {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (offset: number): number => view.getUint32(offset, true);
  if (word(0) !== MH_MAGIC_64) throw new Error("no such Mach-O file");
  const commands = loadCommands(view);
  const having = (...codes: number[]): readonly Command[] =>
    commands.filter(({ code }) => codes.includes(code));
  // Imports and exports would be in another form, which nothing here reads.
  const newer = having(LC_DYLD_CHAINED_FIXUPS, LC_DYLD_EXPORTS_TRIE);
  if (newer.length > 0) throw new Error("chained fixups");

  /** What two words of LC_DYLD_INFO_ONLY say where to find. */
  const part = (field: number): Uint8Array => {
    const [info] = having(LC_DYLD_INFO_ONLY);
    if (info === undefined) return new Uint8Array(0);
    const start = word(info.at + field);
    return bytes.subarray(start, start + word(info.at + field + 4));
  };
  const table = having(LC_SYMTAB).flatMap(({ at }) => symbolTable(bytes, at));
  const loads = having(...loading);
  const [signed] = having(LC_CODE_SIGNATURE);
  const [uuid] = having(LC_UUID);
  return {
    cpu: word(4),
    kind: word(12),
    flags: word(24),
    libraries: loads.map(({ at }) => textAt(bytes, at + word(at + 8))),
    libraryCommands: loads.map(({ code }) => code),
    segments: having(LC_SEGMENT_64).map(({ at }) => ({
      name: textAt(bytes, at + 8),
      protection: [word(at + 60), word(at + 56)],
      sectionTypes: Array.from(
        { length: word(at + 64) },
        (_, index) => word(at + 72 + 80 * index + 64) & SECTION_TYPE,
      ),
    })),
    exports: trieNames(part(40)),
    definitions: table.filter(({ defined }) => defined).map(({ name }) => name),
    imports: table.filter(({ defined }) => !defined)
      .map(({ name, description }) => ({
        name,
        library: description >> 8,
        weak: (description & N_WEAK_REF) !== 0,
      })),
    bindings: [
      ...bindings(part(16), false),
      ...bindings(part(24), false),
      ...bindings(part(32), true),
    ],
    platforms: having(LC_BUILD_VERSION)
      .map(({ at }) => ({ platform: word(at + 8), oldest: word(at + 12) })),
    uuid: uuid && bytes.subarray(uuid.at + 8, uuid.at + 24),
    signature: signed && readSignature(bytes, word(signed.at + 8), word(signed.at + 12)),
  };
}

function loadCommands(view: DataView): Command[] {
  const commands: Command[] = [];
  let at = 32;
  for (let left = view.getUint32(16, true); left > 0; left--) {
    commands.push({ code: view.getUint32(at, true), at });
    at += view.getUint32(at + 4, true);
  }
  return commands;
}

/** Text up to its NUL. */
function textAt(bytes: Uint8Array, start: number): string {
  return new TextDecoder().decode(bytes.subarray(start, bytes.indexOf(0, start)));
}

/** The external symbols of LC_SYMTAB, which are struct nlist_64. */
function symbolTable(
  bytes: Uint8Array,
  command: number,
): { readonly name: string; readonly defined: boolean; readonly description: number }[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [symbols = 0, count = 0, strings = 0] = [8, 12, 16]
    .map((field) => view.getUint32(command + field, true));
  return Array.from({ length: count }, (_, index) => symbols + index * 16)
    .filter((at) => {
      const type = view.getUint8(at + 4);
      return (type & N_STAB) === 0 && (type & N_EXT) !== 0;
    })
    .map((at) => ({
      name: textAt(bytes, strings + view.getUint32(at, true)),
      defined: (view.getUint8(at + 4) & N_TYPE) !== N_UNDF,
      description: view.getUint16(at + 6, true),
    }));
}

/** Reads what dyld's streams are made of, from one place to the next. */
class Stream {
  at = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  get ended(): boolean {
    return this.at >= this.#bytes.length;
  }

  byte(): number {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw new Error("the stream ends too early");
    return byte;
  }

  /** A number in LEB128; what it is signed for is not looked at here. */
  number(): number {
    let value = 0;
    for (let scale = 1;; scale *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  text(): string {
    const text = textAt(this.#bytes, this.at);
    this.at += text.length + 1;
    return text;
  }
}

/** The names of an exports trie: each edge adds some letters to the name. */
function trieNames(trie: Uint8Array, start = 0, prefix = ""): string[] {
  if (trie.length === 0) return [];
  const node = new Stream(trie, start);
  const size = node.number();
  const names = size > 0 ? [prefix] : [];
  node.at += size;
  for (let left = node.byte(); left > 0; left--) {
    const name = prefix + node.text();
    names.push(...trieNames(trie, node.number(), name));
  }
  return names;
}

/** What a stream of binding instructions, BIND_OPCODE_*, says to bind. */
function bindings(bytes: Uint8Array, lazy: boolean): Binding[] {
  const stream = new Stream(bytes);
  const found: Binding[] = [];
  let library = 0;
  let name = "";
  let weak = false;
  const bind = (): void => {
    found.push({ name, library, weak, lazy });
  };
  while (!stream.ended) {
    const byte = stream.byte();
    const immediate = byte & BIND_IMMEDIATE;
    switch (byte >> 4) {
      case 0x0: // DONE: after each symbol of the lazy ones.
      case 0x5: // SET_TYPE_IMM
        break;
      case 0x1: // SET_DYLIB_ORDINAL_IMM
        library = immediate;
        break;
      case 0x2: // SET_DYLIB_ORDINAL_ULEB
        library = stream.number();
        break;
      case 0x3: // SET_DYLIB_SPECIAL_IMM: negative, as in "any library"
        library = immediate === 0 ? 0 : immediate - 16;
        break;
      case 0x4: // SET_SYMBOL_TRAILING_FLAGS_IMM
        weak = (immediate & BIND_SYMBOL_FLAGS_WEAK_IMPORT) !== 0;
        name = stream.text();
        break;
      case 0x6: // SET_ADDEND_SLEB
      case 0x7: // SET_SEGMENT_AND_OFFSET_ULEB
      case 0x8: // ADD_ADDR_ULEB
        stream.number();
        break;
      case 0x9: // DO_BIND
      case 0xb: // DO_BIND_ADD_ADDR_IMM_SCALED
        bind();
        break;
      case 0xa: // DO_BIND_ADD_ADDR_ULEB
        stream.number();
        bind();
        break;
      case 0xc: // DO_BIND_ULEB_TIMES_SKIPPING_ULEB
        stream.number();
        stream.number();
        bind();
        break;
      default:
        throw new Error(`binding instruction 0x${byte.toString(16)}`);
    }
  }
  return found;
}

/** A signature, whose numbers are big-endian: cs_blobs.h of xnu. */
function readSignature(bytes: Uint8Array, offset: number, size: number): Signature {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, size);
  const magic = view.getUint32(0);
  if (magic !== CSMAGIC_EMBEDDED_SIGNATURE) throw new Error(`signature 0x${magic.toString(16)}`);
  const blobs = Array.from(
    { length: view.getUint32(8) },
    (_, index) => view.getUint32(16 + index * 8),
  ).map((at) => ({ at, magic: view.getUint32(at), size: view.getUint32(at + 4) }));
  const certificate = blobs.filter((blob) => blob.magic === CSMAGIC_BLOBWRAPPER)
    .reduce((sum, blob) => sum + blob.size - 8, 0);
  const directories = blobs.filter((blob) => blob.magic === CSMAGIC_CODEDIRECTORY)
    .map(({ at }): CodeDirectory => {
      const hashSize = view.getUint8(at + 36);
      const first = offset + at + view.getUint32(at + 16);
      return {
        flags: view.getUint32(at + 12),
        hashType: view.getUint8(at + 37),
        pageSize: 2 ** view.getUint8(at + 39),
        codeLimit: view.getUint32(at + 32),
        hashes: Array.from({ length: view.getUint32(at + 28) }, (_, index) => {
          const start = first + index * hashSize;
          return bytes.subarray(start, start + hashSize);
        }),
      };
    });
  return { offset, size, directories, certificate };
}
