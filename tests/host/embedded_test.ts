import { createHash } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assert, assertEquals, assertLessOrEqual, assertNotEquals } from "@std/assert";
import { ENTRY } from "../../ffi/abi.ts";
import { type Embedded, unpack } from "../../ffi/embedded.ts";
import { LIBRARY as aarch64Linux } from "../../ffi/embedded/aarch64_linux.ts";
import { LIBRARY as aarch64Macos } from "../../ffi/embedded/aarch64_macos.ts";
import { LIBRARY as aarch64Windows } from "../../ffi/embedded/aarch64_windows.ts";
import { LIBRARY as x86Linux } from "../../ffi/embedded/x86_64_linux.ts";
import { LIBRARY as x86Macos } from "../../ffi/embedded/x86_64_macos.ts";
import { LIBRARY as x86Windows } from "../../ffi/embedded/x86_64_windows.ts";
import { readElf } from "../elf.ts";
import { root } from "../helper.ts";
import { type CodeDirectory, readMachO } from "../macho.ts";

const linux = [
  { name: "x86_64", library: x86Linux, machine: 62 },
  { name: "aarch64", library: aarch64Linux, machine: 183 },
];

function bytesOf(library: () => Embedded): Uint8Array {
  return unpack(library());
}

test("each Linux library is for its own processor, and no larger than promised", () => {
  const build = fs.readFileSync(join(root, "build.zig"), "utf8");
  const most = Number(/linux_size_max = (\d+) \* 1024;/.exec(build)?.[1]) * 1024;
  for (const { name, library, machine } of linux) {
    const bytes = bytesOf(library);
    assertEquals(readElf(bytes).machine, machine, name);
    assertLessOrEqual(bytes.length, most, name);
  }
});

test("each module says the sum of its library, by which it can be checked", () => {
  const libraries = {
    x86_64_linux: x86Linux,
    aarch64_linux: aarch64Linux,
    x86_64_macos: x86Macos,
    aarch64_macos: aarch64Macos,
    x86_64_windows: x86Windows,
    aarch64_windows: aarch64Windows,
  };
  for (const [name, library] of Object.entries(libraries)) {
    const text = fs.readFileSync(join(root, `ffi/embedded/${name}.ts`), "utf8");
    const sum = createHash("sha256").update(bytesOf(library)).digest("hex");
    assertEquals(/^\/\/ sha256 (\w+),/m.exec(text)?.[1], sum, name);
  }
});

test("each Linux library exports what the boundary says", () => {
  for (const { name, library } of linux) {
    const exported = readElf(bytesOf(library)).symbols.filter(({ defined }) => defined);
    // But for the one symbol by which copies in one process find each other.
    const names = exported.map((symbol) => symbol.name)
      .filter((symbol) => !/^osexec_shared_\d+$/.test(symbol));
    assertEquals(names, [ENTRY], name);
  }
});

test("no Linux library needs another one, nor a symbol that may not be missing", () => {
  for (const { name, library } of linux) {
    const { symbols, needed } = readElf(bytesOf(library));
    assertEquals(needed, [], name);
    const wanted = symbols.filter(({ defined }) => !defined);
    assertEquals(wanted.filter(({ weak }) => !weak), [], name);
    // It does ask for some, so the table has been read.
    assertEquals(wanted.some((symbol) => symbol.name === "environ"), true, name);
  }
});

test("nothing of a Linux library is both writable and executable, and its stack is not", () => {
  const [executable, writable] = [1, 2];
  for (const { name, library } of linux) {
    const { segments, stack } = readElf(bytesOf(library));
    assertNotEquals(segments.length, 0);
    for (const flags of segments) {
      assertNotEquals(flags & (executable | writable), executable | writable, name);
    }
    assertEquals((stack ?? executable) & executable, 0, name);
  }
});

const macos = [
  { name: "x86_64", library: x86Macos, cpu: 0x01000007 },
  { name: "aarch64", library: aarch64Macos, cpu: 0x0100000c },
];

/** What a macOS library asks libSystem for, each with a leading underscore in the file. */
const libSystem = {
  /** `Functions` in zig/os/libc.zig: the child's, and so taken before the fork. */
  child: [
    ..."_exit chdir chroot close dup2 execve fcntl fork getdtablesize getpgid getpid ioctl poll"
      .split(" "),
    ..."proc_pidinfo ptrace setgid setgroups setpgid setpriority setrlimit setsid".split(" "),
    ..."setuid sigaction sigprocmask umask".split(" "),
  ],
  /** zig/os/darwin.zig, zig/reactor/kqueue.zig, zig/wait/wait_libc.zig: the system calls of this process. */
  parent: [
    ..."__error faccessat fchown fstat fstatat getcwd geteuid getrlimit kevent kill kqueue".split(
      " ",
    ),
    ..."lseek mmap mprotect munmap open pipe read sched_yield send setsockopt shutdown".split(" "),
    ..."sigpending sigwait socketpair wait4 waitid write".split(" "),
  ],
  /** The reactor's thread, locks, and the environment, which only the main program may name. */
  process: [
    ..."_NSGetEnviron os_unfair_lock_lock os_unfair_lock_unlock".split(" "),
    ..."pthread_create pthread_detach pthread_sigmask".split(" "),
  ],
  /** What is set up before the first fork: prepareHost in zig/parent/spawn_libc.zig. */
  prepared: ["notify_is_valid_token", "xpc_date_create_from_current"],
  /** What the compiler calls. */
  compiler: ["memcpy", "memset"],
};

/** zig/os/shared.zig, where copies of the library meet; they may be missing. */
const loader = ["dladdr", "dlclose", "dlopen", "dlsym"];

/** The name in C. x86_64 has two stat(2): the one with inodes of 64 bits, which arm64 has alone, is meant. */
function inC(symbol: string): string {
  return symbol.replace(/^_/, "").replace(/^(fstat|fstatat)\$INODE64$/, "$1");
}

test("each macOS library is one for its own processor, for macOS 13 and later", () => {
  const MH_DYLIB = 6;
  const PLATFORM_MACOS = 1;
  for (const { name, library, cpu } of macos) {
    const { cpu: own, kind, platforms, uuid } = readMachO(bytesOf(library));
    assertEquals([own, kind], [cpu, MH_DYLIB], name);
    assertEquals(platforms, [{ platform: PLATFORM_MACOS, oldest: 13 << 16 }], name);
    assert(uuid?.some((byte) => byte !== 0), `${name}: LC_UUID`);
  }
});

test("each macOS library exports what the boundary says", () => {
  for (const { name, library } of macos) {
    const { exports, definitions } = readMachO(bytesOf(library));
    // But for the symbol by which copies find each other, and two that Zig's linker makes for any library.
    const names = exports.filter((symbol) => !/^_osexec_shared_\d+$/.test(symbol))
      .filter((symbol) => symbol !== "__mh_dylib_header" && symbol !== "___dso_handle");
    assertEquals(exports.length, names.length + 3, name);
    assertEquals(names, [`_${ENTRY}`], name);
    assertEquals([...definitions].sort(), [...exports].sort(), name);
  }
});

test("each macOS library needs libSystem alone, and of it these functions", () => {
  const LC_LOAD_DYLIB = 0xc;
  // The loader's own, which a lazily bound call goes through.
  const binder = { name: "dyld_stub_binder", library: 1, weak: false };
  const rows = [...Object.values(libSystem).flat(), ...loader]
    .map((name) => ({ name, library: 1, weak: loader.includes(name) }));
  const byName = (one: { name: string }, other: { name: string }): number =>
    one.name < other.name ? -1 : 1;
  for (const { name, library } of macos) {
    const { libraries, libraryCommands, imports, bindings } = readMachO(bytesOf(library));
    assertEquals([libraries, libraryCommands], [["/usr/lib/libSystem.B.dylib"], [LC_LOAD_DYLIB]]);
    const found = imports.map((each) => ({ ...each, name: inC(each.name) }));
    assertEquals(found.sort(byName), [binder, ...rows].sort(byName), name);
    // The symbol table is for people: this is what dyld goes by.
    const bound = new Map(bindings.map(({ name, library, weak }) => [name, { library, weak }]));
    const told = [...bound].map(([name, rest]) => ({ name: inC(name), ...rest }));
    assertEquals(told.sort(byName), found, name);
  }
});

test("the macOS library for x86_64 asks for the stat of 64-bit inodes", () => {
  const { imports } = readMachO(bytesOf(x86Macos));
  const found = imports.map((each) => each.name).filter((symbol) => symbol.includes("stat"));
  assertEquals(found.sort(), ["_fstat$INODE64", "_fstatat$INODE64"]);
});

test("all that a child calls on macOS is bound before the fork, and nothing by its first call alone", () => {
  for (const { name, library } of macos) {
    const { bindings } = readMachO(bytesOf(library));
    const early = bindings.filter(({ lazy }) => !lazy).map((each) => inC(each.name));
    assertEquals(libSystem.child.filter((each) => !early.includes(each)), [], name);
    // Some are lazy, so the two have been told apart.
    assert(bindings.some(({ lazy }) => lazy), name);
  }
});

test("nothing of a macOS library is both writable and executable, nor runs when it is loaded", () => {
  const [writable, executable] = [2, 4];
  const S_MOD_INIT_FUNC_POINTERS = 0x9;
  const S_INIT_FUNC_OFFSETS = 0x16;
  for (const { name, library } of macos) {
    const { segments } = readMachO(bytesOf(library));
    assertEquals(segments.map((each) => each.name), [
      "__TEXT",
      "__DATA_CONST",
      "__DATA",
      "__LINKEDIT",
    ]);
    for (const { protection, sectionTypes } of segments) {
      for (const bits of protection) {
        assertNotEquals(bits & (writable | executable), writable | executable, name);
      }
      assert(!sectionTypes.includes(S_MOD_INIT_FUNC_POINTERS), name);
      assert(!sectionTypes.includes(S_INIT_FUNC_OFFSETS), name);
    }
  }
});

/** The pages whose content is not what a signature says. */
function changedPages(bytes: Uint8Array, { codeLimit, pageSize, hashes }: CodeDirectory): number[] {
  const wrong: number[] = [];
  for (const [page, hash] of hashes.entries()) {
    const end = Math.min((page + 1) * pageSize, codeLimit);
    const actual = createHash("sha256").update(bytes.subarray(page * pageSize, end)).digest();
    if (!actual.equals(hash)) wrong.push(page);
  }
  return wrong;
}

test("the macOS library for arm64 has an ad-hoc signature, and is what that was made of", () => {
  const CS_ADHOC = 2;
  const CS_HASHTYPE_SHA256 = 2;
  const bytes = bytesOf(aarch64Macos);
  const { signature } = readMachO(bytes);
  assert(signature !== undefined, "LC_CODE_SIGNATURE");
  assertEquals([signature.offset + signature.size, signature.certificate], [bytes.length, 0]);
  const [directory, ...others] = signature.directories;
  assert(directory !== undefined && others.length === 0, "one code directory");
  assertEquals([directory.flags & CS_ADHOC, directory.hashType], [CS_ADHOC, CS_HASHTYPE_SHA256]);
  // All that comes before it is covered.
  assertEquals(directory.codeLimit, signature.offset);
  assertEquals(directory.hashes.length, Math.ceil(directory.codeLimit / directory.pageSize));
  assertEquals(changedPages(bytes, directory), []);
  // A byte that changed would show.
  const changed = bytes.slice();
  changed[directory.pageSize + 1] = 0xff ^ (bytes[directory.pageSize + 1] ?? 0);
  assertEquals(changedPages(changed, directory), [1]);
});

test("what is embedded is what has been built", (context) => {
  const rows: [file: string, library: () => Embedded][] = [
    ["libosexec-x86_64_linux.so", x86Linux],
    ["libosexec-aarch64_linux.so", aarch64Linux],
    ["libosexec-x86_64_macos.dylib", x86Macos],
    ["libosexec-aarch64_macos.dylib", aarch64Macos],
    ["libosexec-x86_64_windows.dll", x86Windows],
    ["libosexec-aarch64_windows.dll", aarch64Windows],
  ];
  let compared = 0;
  for (const [file, library] of rows) {
    const built = join(root, "zig-out/dist", file);
    if (!fs.existsSync(built)) continue;
    // `zig build dist` writes both: it must be run again after a change of the checkout.
    assert(fs.readFileSync(built).equals(bytesOf(library)), `${built} is an old one`);
    compared++;
  }
  if (compared === 0) context.skip("needs `zig build dist`");
});
