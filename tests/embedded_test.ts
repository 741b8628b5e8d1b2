import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assert, assertEquals, assertLessOrEqual, assertNotEquals } from "@std/assert";
import { SYMBOLS } from "../ffi/abi.ts";
import { type Embedded, unpack as bytesOf } from "../ffi/embedded.ts";
import { LIBRARY as aarch64Linux } from "../ffi/embedded/aarch64_linux.ts";
import { LIBRARY as aarch64Macos } from "../ffi/embedded/aarch64_macos.ts";
import { LIBRARY as x86Linux } from "../ffi/embedded/x86_64_linux.ts";
import { LIBRARY as x86Macos } from "../ffi/embedded/x86_64_macos.ts";
import { readElf } from "./elf.ts";
import { root } from "./helper.ts";

const linux = [
  { name: "x86_64", library: x86Linux, machine: 62 },
  { name: "aarch64", library: aarch64Linux, machine: 183 },
];

test("each Linux library is for its own processor, and no larger than promised", () => {
  for (const { name, library, machine } of linux) {
    const bytes = bytesOf(library);
    assertEquals(readElf(bytes).machine, machine, name);
    assertLessOrEqual(bytes.length, 48 * 1024, name);
  }
});

test("each Linux library exports what the boundary says", () => {
  for (const { name, library } of linux) {
    const exported = readElf(bytesOf(library)).symbols.filter(({ defined }) => defined);
    // But for the one symbol by which copies in one process find each other.
    const names = exported.map((symbol) => symbol.name)
      .filter((symbol) => !/^osexec_shared_\d+$/.test(symbol));
    assertEquals(names.sort(), Object.keys(SYMBOLS).sort(), name);
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

test("each macOS library is one for its own processor", () => {
  const MH_MAGIC_64 = 0xfeedfacf;
  const rows = [["x86_64", x86Macos, 0x01000007], ["aarch64", aarch64Macos, 0x0100000c]] as const;
  for (const [name, library, cpu] of rows) {
    const view = new DataView(bytesOf(library).buffer);
    assertEquals([view.getUint32(0, true), view.getUint32(4, true)], [MH_MAGIC_64, cpu], name);
  }
});

test("what is embedded is what has been built", (context) => {
  const rows: [file: string, library: Embedded][] = [
    ["libosexec-x86_64_linux.so", x86Linux],
    ["libosexec-aarch64_linux.so", aarch64Linux],
    ["libosexec-x86_64_macos.dylib", x86Macos],
    ["libosexec-aarch64_macos.dylib", aarch64Macos],
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
