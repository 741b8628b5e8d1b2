import fs from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { currentRuntime } from "../../ffi/runtime.ts";
import {
  Command,
  type Fd,
  OSFile,
  pipe,
  SpawnError,
  startProcess,
  type SysProcAttr,
} from "../../mod.ts";
import { decode, Directory, generator, helper, readAll, runScript, sh } from "../helper.ts";
import { descriptors, inheritable, withoutLeaks } from "../holdings.ts";

/** Files of this process, one on each descriptor, whose names tell them apart. */
class Files implements Disposable {
  readonly files: OSFile[] = [];
  readonly #directory = new Directory();

  constructor(count: number) {
    for (let index = 0; index < count; index++) {
      this.files.push(OSFile.open(this.#directory.join(`f${index}`), "a+"));
    }
  }

  [Symbol.dispose](): void {
    for (const file of this.files) file.close();
    this.#directory[Symbol.dispose]();
  }
}

/** A child's descriptors under such a map. They are told through a file, as they may all be taken. */
async function seen(
  files: readonly (Fd | null)[],
  closeFds?: boolean,
): Promise<Record<string, string>> {
  const [reading, writing] = pipe();
  // Where the map has no 1, this is what the child program prints to; it is taken out again below.
  const own = files[1] === undefined || files[1] === null;
  const map = own ? [files[0] ?? null, writing, ...files.slice(2)] : [...files];
  const child = startProcess(helper, ["helper", "fds"], {
    files: map,
    ...(closeFds === undefined ? {} : { sys: { closeFds } }),
  });
  writing.close();
  let list = await readAll(reading);
  reading.close();
  assertEquals(String(await child.wait()), "exit status 0");
  if (!own) {
    const [, printed] = map;
    assert(printed instanceof OSFile);
    list = fs.readFileSync(printed.name, "utf8");
    fs.truncateSync(printed.name);
  }
  const found: Record<string, string> = {};
  for (const line of list.trimEnd().split("\n")) {
    const [fd = "", link = ""] = line.split(" ");
    if (!own || fd !== "1") found[fd] = link;
  }
  return found;
}

/** What the child should have. */
function expected(files: readonly (Fd | null)[]): Record<string, string> {
  const links = descriptors();
  const wanted: Record<string, string> = {};
  for (const [fd, file] of files.entries()) {
    const link = links.get(typeof file === "number" ? file : file?.fd ?? -1);
    if (link !== undefined) wanted[fd] = link;
  }
  return wanted;
}

test("without a map the child has no descriptors at all", async () => {
  for (const attr of [{}, { files: [] }]) {
    await using child = startProcess(helper, ["helper", "hang"], attr);
    assertEquals(fs.readdirSync(`/proc/${child.pid}/fd`), []);
  }
});

test("entry i of the map becomes descriptor i, and null closes it", async () => {
  using held = new Files(3);
  const [a, b, c] = held.files;
  assert(a !== undefined && b !== undefined && c !== undefined);
  const maps: (Fd | null)[][] = [
    [a],
    [a, null, b],
    [null, null, a],
    [a, a, a],
    [a, b, c],
    [a, null, null, null, b, null, c],
    [a.fd, null, { fd: b.fd }, c.fd],
  ];
  for (const map of maps) assertEquals(await seen(map), expected(map));
});

test("descriptors may change places with each other", async () => {
  using held = new Files(3);
  const [a, b, c] = held.files.map((file) => file.fd);
  assert(a !== undefined && b !== undefined && c !== undefined);
  const map: (Fd | null)[] = [];
  [map[a], map[b], map[c]] = [b, c, a];
  const whole = Array.from(map, (file) => file ?? null);
  assertEquals(await seen(whole), expected(whole));
  [map[a], map[b], map[c]] = [a, c, b];
  const fixed = Array.from(map, (file) => file ?? null);
  assertEquals(await seen(fixed), expected(fixed));
});

test("the standard descriptors may change places with each other", async () => {
  const { code, stdout, stderr } = await runScript(
    `import process from "node:process";
     const files = [2, 1, 0];
     const child = osexec.startProcess(${JSON.stringify(helper)}, ["helper", "fds"], { files });
     process.exitCode = (await child.wait()).exitCode;
     console.log(await new osexec.Command("readlink", ["/proc/" + process.pid + "/fd/0",
       "/proc/" + process.pid + "/fd/1", "/proc/" + process.pid + "/fd/2"]).text());`,
    { stdin: "text" },
  );
  assertEquals([code, stderr], [0, ""]);
  const [two, one, zero, ...own] = stdout.trimEnd().split("\n");
  assertEquals([`0 ${own[2]}`, `1 ${own[1]}`, `2 ${own[0]}`], [two, one, zero]);
  assertEquals(new Set(own).size, 3);
});

test("any map comes out as it was asked for", async () => {
  using held = new Files(90);
  const { files } = held;
  const numbers = files.map((file) => file.fd);
  const most = Math.max(...numbers);
  // Sources below, among and above the targets, and above the part of the table that is copied.
  assertGreater(most, 100);
  const random = generator(7);
  for (let round = 0; round < 60; round++) {
    const length = random(4) === 0 ? random(most + 20) : random(12);
    const density = 1 + random(4);
    const map: (Fd | null)[] = [];
    for (let fd = 0; fd < length; fd++) {
      const source = files[random(files.length)] ?? null;
      map.push(random(density) === 0 ? source : null);
    }
    assertEquals(await seen(map), expected(map), `round ${round}: ${show(map)}`);
  }
});

test("any map comes out as it was asked for where the child keeps the others", async () => {
  using held = new Files(40);
  const { files } = held;
  const random = generator(11);
  for (let round = 0; round < 20; round++) {
    const map: (Fd | null)[] = [];
    const length = random(60);
    for (let fd = 0; fd < length; fd++) {
      map.push(random(2) === 0 ? files[random(files.length)] ?? null : null);
    }
    const links = descriptors();
    const wanted = expected(map);
    for (const fd of inheritable()) {
      if (fd >= Math.max(3, map.length)) wanted[fd] = links.get(fd) ?? "";
    }
    assertEquals(await seen(map, false), wanted, `round ${round}: ${show(map)}`);
  }
});

test("more descriptors than there is room for in the window are handed over all the same", async () => {
  using held = new Files(150);
  const map = [null, null, null, ...held.files.slice(60)];
  assertEquals(await seen(map), expected(map));
});

test("a high descriptor number is no harder than a low one", async () => {
  using held = new Files(2);
  const [a, b] = held.files;
  assert(a !== undefined && b !== undefined);
  const map: (Fd | null)[] = new Array(700).fill(null);
  map[699] = a;
  map[650] = b;
  assertEquals(await seen(map), expected(map));
});

test("a descriptor opened without close-on-exec is closed in the child, unless it may stay", async () => {
  using directory = new Directory();
  const path = directory.file("inherited");
  using file = OSFile.open(path);
  using low = OSFile.fromFd(duplicate(file.fd));
  using held = new Files(100);
  using high = OSFile.fromFd(duplicate(file.fd));
  assertGreater(high.fd, low.fd + held.files.length - 1);
  const kept = async (sysProcAttr: SysProcAttr): Promise<string[]> => {
    const list = await new Command(helper, ["fds"], { sysProcAttr }).text();
    return list.split("\n").filter((line) => line.endsWith(path));
  };
  assertEquals(await kept({}), []);
  assertEquals(await kept({ closeFds: true }), []);
  assertEquals(await kept({ closeFds: false }), [`${low.fd} ${path}`, `${high.fd} ${path}`]);
});

test("what this process has opened itself never reaches a child unasked", async () => {
  using held = new Files(3);
  const [reading, writing] = pipe();
  const own = new Set(held.files.map((file) => file.name));
  for (const closeFds of [true, false]) {
    const command = new Command(helper, ["fds"], { sysProcAttr: { closeFds } });
    const list = (await command.text()).trimEnd().split("\n").map((line) => line.split(" ")[1]);
    assertEquals(list.filter((link) => own.has(link ?? "")), []);
    assertEquals(list.includes(descriptors().get(writing.fd)), false);
  }
  reading.close();
  writing.close();
});

test("extra files follow the three streams, and null closes one", async () => {
  using held = new Files(2);
  const [a, b] = held.files;
  assert(a !== undefined && b !== undefined);
  const command = new Command(helper, ["fds"], { extraFiles: [a, null, b.fd] });
  const list = (await command.text()).trimEnd().split("\n").slice(3);
  assertEquals(list, [`3 ${a.name}`, `5 ${b.name}`]);
  command.extraFiles.push(a);
  assertEquals(command.clone().extraFiles.length, 4);
});

test("an extra file is the same open file: what is read there is read here", async () => {
  using directory = new Directory();
  using file = OSFile.open(directory.file("text", "first second"));
  const command = sh("dd bs=1 count=6 <&3 2>/dev/null", { extraFiles: [file] });
  assertEquals(await command.text(), "first ");
  assertEquals(
    decode(new Command(helper, ["cat", "3"], { extraFiles: [file] }).outputSync()),
    "second",
  );
  assertEquals(file.closed, false);
});

test("starts at the same time have each their own extra file", async () => {
  using held = new Files(20);
  const lists = await Promise.all(
    held.files.map((file) => new Command(helper, ["fds"], { extraFiles: [file] }).text()),
  );
  lists.forEach((list, index) => {
    assertEquals(list.trimEnd().split("\n").slice(3), [`3 ${held.files[index]?.name}`]);
  });
});

test("a closed OSFile is refused before anything is started", async () => {
  using directory = new Directory();
  const file = OSFile.open(directory.file("closed"));
  file.close();
  await withoutLeaks(() => {
    const rows: [() => unknown, string][] = [
      [() => startProcess(helper, ["h"], { files: [file] }), "file 0 is closed"],
      [() => startProcess(helper, ["h"], { files: [null, 1, file] }), "file 2 is closed"],
      [() => startProcess(helper, ["h"], { files: [-1] }), "file 0 is closed"],
      [() => new Command(helper, [], { stdin: file }).start(), "file 0 is closed"],
      [() => new Command(helper, [], { stdout: file }).start(), "file 1 is closed"],
      [() => new Command(helper, [], { stderr: file }).runSync(), "file 2 is closed"],
      [() => new Command(helper, [], { extraFiles: [null, file] }).start(), "file 4 is closed"],
    ];
    for (const [start, message] of rows) {
      const error = assertThrows(start, SpawnError, message);
      assertEquals([error.step, error.code], ["request", "EINVAL"]);
    }
  });
});

test("what is no descriptor is a TypeError", () => {
  for (const fd of [1.5, NaN, Infinity]) {
    assertThrows(() => startProcess(helper, ["h"], { files: [fd] }), TypeError, "descriptor");
  }
});

/** dup(2), which leaves the close-on-exec flag off. */
function duplicate(fd: number): number {
  const symbols = { dup: { parameters: ["i32"], result: "i32" } } as const;
  for (
    const name of ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`]
  ) {
    try {
      return currentRuntime().open(name, symbols).functions.dup?.(fd) ?? -1;
    } catch {
      // The other libc.
    }
  }
  throw new Error("no libc");
}

function show(map: readonly (Fd | null)[]): string {
  return map.map((file) => typeof file === "number" ? file : file?.fd ?? "-").join(" ");
}
