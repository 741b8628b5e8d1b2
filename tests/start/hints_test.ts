/** "said 10" for issue 14: what refused a program, after Go's words, and what mends it. */

import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { CLONE_NEWUSER, Command, SpawnError, startProcess } from "../../mod.ts";
import { Directory, isRoot } from "../helper.ts";
import { needsUserNamespaces } from "../system.ts";

/** The hint of a start, by each way of starting. */
async function hintOf(make: () => Command): Promise<string | undefined> {
  const error = await assertRejects(() => make().run(), SpawnError);
  assertEquals(error.step, "exec");
  const words = String(error).replace("SpawnError: ", "");
  assertEquals(error.message, error.hint === undefined ? words : `${words}: ${error.hint}`);
  for (const other of [() => make().start(), () => make().runSync()]) {
    assertEquals(assertThrows(other, SpawnError).message, error.message);
  }
  return error.hint;
}

test("said 10: a script whose interpreter is missing, or ends in CR", async () => {
  using directory = new Directory();
  const missing = directory.file("missing", "#! /no/such/interpreter -x\necho hi\n", 0o755);
  assertEquals(
    await hintOf(() => new Command(missing)),
    "its interpreter /no/such/interpreter does not exist",
  );
  const windows = directory.file("windows", "#!/bin/sh\r\necho hi\r\n", 0o755);
  assertEquals(
    await hintOf(() => new Command(windows)),
    "its interpreter $'/bin/sh\\r' does not exist: its lines end in CR LF; sed -i 's/\\r$//' mends it",
  );
  // What is not there at all has no more to be said of it.
  assertEquals(await hintOf(() => new Command(directory.join("nope"))), undefined);
  // A relative path is the child's, from its own directory.
  const relative = (): Command => new Command("./missing", [], { dir: directory.path });
  assertEquals(await hintOf(relative), "its interpreter /no/such/interpreter does not exist");
});

test("said 10: a program whose loader is missing", async () => {
  using directory = new Directory();
  const elf = new Uint8Array(256);
  const view = new DataView(elf.buffer);
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, process.arch === "arm64" ? 183 : 62, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  const path = new TextEncoder().encode("/lib/ld-nowhere.so.1\0");
  const PT_INTERP = 3;
  view.setUint32(64, PT_INTERP, true);
  view.setBigUint64(72, 128n, true);
  view.setBigUint64(96, BigInt(path.length), true);
  elf.set(path, 128);
  const program = directory.file("elf", elf, 0o755);
  assertEquals(
    await hintOf(() => new Command(program)),
    "its interpreter /lib/ld-nowhere.so.1 does not exist",
  );
});

test("said 10: a file in no format", async () => {
  using directory = new Directory();
  const hint = (name: string, bytes: string | Uint8Array): Promise<string | undefined> => {
    const path = directory.file(name, bytes, 0o755);
    return hintOf(() => new Command(path));
  };
  assertEquals(await hint("empty", ""), "it is empty");
  assert((await hint("script", "echo hi\n"))?.startsWith("it has no #! line"));
  assertEquals(await hint("data", new Uint8Array(100)), "it is no program");
  const elf = new Uint8Array(100);
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  assertEquals(await hint("elf", elf), "it is a program for another processor, or damaged");
});

test("said 10: a file that may not be executed", async () => {
  using directory = new Directory();
  const plain = directory.file("plain", "#!/bin/sh\n");
  assertEquals(await hintOf(() => new Command(plain)), "it may not be executed: chmod +x");
  assertEquals(await hintOf(() => new Command("/")), "it is a directory");
  const script = directory.file("script", `#!${plain}\n`, 0o755);
  assertEquals(
    await hintOf(() => new Command(script)),
    `its interpreter ${plain} may not be executed`,
  );
});

test("said 10: a file on a file system without programs", {
  skip: !isRoot && "needs root",
}, async () => {
  using directory = new Directory();
  await new Command("mount", ["-t", "tmpfs", "-o", "noexec", "none", directory.path]).run();
  try {
    const program = directory.file("program", "#!/bin/sh\n", 0o755);
    assertEquals(
      await hintOf(() => new Command(program)),
      `${directory.path} is mounted noexec`,
    );
  } finally {
    await new Command("umount", [directory.path]).run();
  }
});

test("said 10: what is too long, one string or all together", async () => {
  const one = await hintOf(() => new Command("/bin/true", ["a", "x".repeat(200_000)]));
  assertEquals(one, "argument 2 has 200000 bytes, and may have 131071");
  const env = { SMALL: "1", BIG: "x".repeat(200_000) };
  const variable = await hintOf(() => new Command("/bin/true", [], { env }));
  assertEquals(variable, "variable BIG has 200004 bytes, and may have 131071");
  const many = Array.from({ length: 100 }, () => "x".repeat(100_000));
  const all = await hintOf(() => new Command("/bin/true", many, { env: {} }));
  assert(
    /^arguments and environment have 1000\d+ bytes, and may have a quarter/.test(all ?? ""),
    all,
  );
});

test("said 10: nothing is said where the child saw other files", {
  skip: !isRoot && "needs root",
}, () => {
  using directory = new Directory();
  directory.file("script", "#!/no/such/interpreter\n", 0o755);
  const error = assertThrows(
    () => startProcess("/script", ["script"], { sys: { chroot: directory.path } }),
    SpawnError,
  );
  assertEquals([error.code, error.hint], ["ENOENT", undefined]);
});

test("F5: an id map that is too big says how big, and is not repeated whole", {
  skip: needsUserNamespaces,
}, () => {
  const many = Array.from({ length: 341 }, (_, id) => ({ containerID: id, hostID: id, size: 1 }));
  const long = Array.from({ length: 200 }, (_, id) => {
    const first = 4_000_000_000 + id;
    return { containerID: first, hostID: first, size: 1 };
  });
  for (
    const [uidMappings, size] of [[many, "341 lines of 3190"], [long, "200 lines of 4800"]] as const
  ) {
    const sys = { cloneflags: CLONE_NEWUSER, uidMappings };
    const error = assertThrows(() => startProcess("/bin/true", ["true"], { sys }), SpawnError);
    assertEquals([error.step, error.code], ["uid_map", "EINVAL"]);
    assertEquals(error.hint, `the kernel takes 340 lines, and 4095 bytes: these are ${size} bytes`);
    assert(error.message.length < 350, error.message);
  }
});
