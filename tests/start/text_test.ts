/** "typed 4": bytes are bytes, from what is inherited to what the child gets. */

import fs from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { decodeText, encodeText, hasHalf, showText } from "../../ffi/text.ts";
import { Command, type Env, exec, OSFile, SpawnError, startProcess } from "../../mod.ts";
import {
  decode,
  Directory,
  encode,
  generator,
  helper,
  runtime,
  sh,
  writeScript,
  wrong,
} from "../helper.ts";

const odd = new Uint8Array([0x61, 0xff, 0xfe, 0x62]);

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

test("typed 4: any bytes are a string and back, and text is itself", () => {
  const next = generator(7);
  for (let round = 0; round < 5_000; round++) {
    const bytes = Uint8Array.from(
      { length: next(40) },
      () => next(3) === 0 ? next(256) : 0x20 + next(90),
    );
    assertEquals(encodeText(decodeText(bytes)), bytes);
    assert(!hasHalf(decodeText(bytes)));
  }
  for (const text of ["", "ascii", "ü€😀", "\ufeffmark", "a\ufffdb"]) {
    assertEquals(encodeText(text), encode(text));
    assertEquals(decodeText(encode(text)), text);
  }
  assertEquals(showText(decodeText(odd)), "a\\xff\\xfeb");
  for (const half of ["\ud800", "a\udbffb", "\udc00"]) assert(hasHalf(half));
});

/** What the shell makes of $X, in hexadecimal. */
const show = 'printf %s "$X" | od -An -tx1';
const shown = " 61 ff fe 62\n";

test("typed 4: arguments, environment, directory and path are taken as bytes", async () => {
  const envs: Env[] = [{ X: odd }, [join(encode("X="), odd)]];
  for (const env of envs) assertEquals(await sh(show, { env }).text(), shown);
  assertEquals(await sh(show, { extraEnv: { X: odd } }).text(), shown);
  const argument = new Command("sh", ["-c", 'printf %s "$0" | od -An -tx1', wrong<string>(odd)]);
  assertEquals(await argument.text(), shown);
  assertEquals(await argument.clone().text(), shown);
  assertEquals(decode(argument.clone().outputSync()), shown);
  assertEquals(`${argument.clone()}`.endsWith("a\\xff\\xfeb"), true);

  using directory = new Directory();
  const path = join(encode(`${directory.path}/`), odd);
  await new Command("mkdir", [path]).run();
  assertEquals(
    await sh("pwd | od -An -tx1", { dir: path }).text().then((text) =>
      text.includes(" 61 ff fe 62 0a")
    ),
    true,
  );
  const program = join(path, encode("/program"));
  await new Command("cp", [helper, program]).run();
  const state = await startProcess(program, [program, "exit", "7"], { dir: path }).wait();
  assertEquals(state.exitCode, 7);
  using file = OSFile.open(join(path, encode("/made")), "w");
  assertEquals(file.name, `${directory.path}/a\\xff\\xfeb/made`);
  const missing = join(path, encode("/none"));
  const error = assertThrows(() => startProcess(missing, ["x"]), SpawnError);
  assertStringIncludes(error.message, "a\\xff\\xfeb/none: no such file");
  const chdir = assertThrows(() => startProcess(helper, ["x"], { dir: missing }), SpawnError);
  assertEquals([chdir.step, chdir.argument], ["chdir", `${directory.path}/a\\xff\\xfeb/none`]);
});

test("typed 4: what is inherited passes byte for byte", async () => {
  using directory = new Directory();
  const script = `
    const show = ${JSON.stringify(show)};
    const asList = new osexec.Command("sh", ["-c", show]);
    console.log((await asList.text()).trim());
    console.log((await new osexec.Command("sh", ["-c", show], { extraEnv: { Y: "1" } }).text()).trim());
    console.log((await new osexec.Command("sh", ["-c", show], { env: asList.environ() }).text()).trim());
    const [reading, writing] = osexec.pipe();
    await osexec.startProcess("/bin/sh", ["sh", "-c", show], { files: [null, writing, 2] }).wait();
    writing.close();
    for await (const line of reading.lines()) console.log(line.trim());`;
  const path = writeScript(directory, script);
  const [program = "", ...flags] = runtime;
  const text = await new Command(program, [...flags, path], { extraEnv: { X: odd } }).text();
  assertEquals(text.trim().split("\n"), Array(4).fill(shown.trim()));
});

test("typed 4: half of a surrogate pair is refused by name", () => {
  const half = "a\ud800b";
  const starts: [start: () => unknown, word: string][] = [
    [() => startProcess(helper, ["x", half]), "argument 1"],
    [() => startProcess(half, ["x"]), "the path"],
    [() => startProcess(helper, ["x"], { dir: half }), "dir"],
    [() => startProcess(helper, ["x"], { env: { X: half } }), "environment variable"],
    [() => startProcess(helper, ["x"], { env: [`X=${half}`] }), "environment variable"],
    [() => startProcess(helper, ["x"], { sys: { chroot: half } }), "chroot"],
    [() => new Command("sh", [half]).start(), "argument 1"],
    [() => exec(helper, [half]), "argument 0"],
  ];
  for (const [start, word] of starts) {
    const error = assertThrows(start, SpawnError, "half of a surrogate pair");
    assertEquals(error.step, "request");
    assertStringIncludes(error.message, word);
  }
  assertThrows(() => OSFile.open(half), Error, "invalid argument");
});

test("typed 3: dir may be a file URL", async () => {
  using directory = new Directory();
  fs.mkdirSync(directory.join("a b"));
  const url = new URL(`file://${directory.path}/a%20b`);
  assertEquals(await new Command("pwd", [], { dir: url }).text(), `${directory.path}/a b\n`);
  assertThrows(() => new Command("pwd", [], { dir: new URL("https://x/") }), TypeError, "dir");
});

test("F11: a mode and flags that are none are refused", () => {
  for (const mode of [NaN, 0.5, -1, 2 ** 32, wrong<number>(null), wrong<number>({})]) {
    assertThrows(() => OSFile.open("/dev/null", "r", mode), TypeError, "mode");
  }
  for (const flags of [2 ** 32, -1, 0.5, NaN]) {
    assertThrows(() => OSFile.open("/dev/null", flags), TypeError);
  }
});
