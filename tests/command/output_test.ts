import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Command, ExitError, StateError } from "../../mod.ts";
import { EndsCollector } from "../../src/command/capture.ts";
import { decode, Directory, encode, helper, noise, sh, Sink } from "../helper.ts";

const big = noise(8 * 1024 * 1024);

/** What stderr becomes in an ExitError: the ends of it. */
function ends(bytes: Uint8Array): string {
  const size = 32 * 1024;
  if (bytes.length <= 2 * size) return bytes.toString();
  const text = encode(`\n... omitting ${bytes.length - 2 * size} bytes ...\n`);
  const parts = [...bytes.subarray(0, size), ...text, ...bytes.subarray(-size)];
  return parts.toString();
}

test("output() resolves to stdout's bytes alone", async () => {
  const command = sh("echo out; echo err >&2; printf '\\377\\000'");
  assertEquals(await command.output(), new Uint8Array([...encode("out\n"), 255, 0]));
  assertEquals(command.processState?.success, true);
});

test("outputSync() returns the same", () => {
  assertEquals(decode(sh("echo out; echo err >&2").outputSync()), "out\n");
});

test("no output is an empty array, not nothing", async () => {
  assertEquals(await new Command(helper, ["exit", "0"]).output(), new Uint8Array(0));
  assertEquals(new Command(helper, ["exit", "0"]).outputSync(), new Uint8Array(0));
  assertEquals(await new Command(helper, ["exit", "0"]).text(), "");
});

test("text() decodes as TextDecoder does: no byte order mark, a bad byte replaced", async () => {
  const command = sh("printf '\\357\\273\\277gr\\303\\274n \\377\\357\\273\\277'");
  assertEquals(await command.text(), "grün \ufffd\ufeff");
});

test("8 MiB come through every way of capturing, unchanged", async () => {
  using directory = new Directory();
  const file = directory.file("big", big);
  const rows: [name: string, bytes: Uint8Array][] = [
    ["output", await new Command(helper, ["file", file]).output()],
    ["outputSync", new Command(helper, ["file", file]).outputSync()],
    ["combinedOutput", await new Command(helper, ["file", file]).combinedOutput()],
    ["combinedOutputSync", new Command(helper, ["file", file]).combinedOutputSync()],
  ];
  for (const [name, bytes] of rows) assert(same(bytes, big), name);
});

test("8 MiB go in and come out again at the same time", async () => {
  assert(same(await new Command("cat", [], { stdin: big }).output(), big), "output");
  assert(same(new Command("cat", [], { stdin: big }).outputSync(), big), "outputSync");
});

test("8 MiB on stdout and as many on stderr at once do not block each other", async () => {
  using directory = new Directory();
  const file = directory.file("big", big);
  for (const run of ["run", "runSync"] as const) {
    const stdout = new Sink();
    const stderr = new Sink();
    const command = new Command("/bin/sh", ["-c", 'cat "$0" & cat "$0" >&2; wait', file], {
      stdout,
      stderr,
    });
    await command[run]();
    assert(same(stdout.bytes(), big) && same(stderr.bytes(), big), run);
  }
});

test("combinedOutput() has both streams through one pipe, in the order they were written", async () => {
  const script = "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done";
  const expected = [..."123456789"].map((i) => `out ${i}\nerr ${i}\n`).join("");
  assertEquals(decode(await sh(script).combinedOutput()), expected);
  assertEquals(decode(sh(script).combinedOutputSync()), expected);
});

test("combinedOutput() gives the child one and the same pipe twice", async () => {
  const list = decode(await new Command(helper, ["fds"]).combinedOutput());
  const [, out, err] = list.split("\n").map((line) => line.split(" ")[1]);
  assert(out?.startsWith("pipe:"), list);
  assertEquals(err, out);
});

test("a failing exit carries what was printed, and stderr where it was not taken", async () => {
  const script = "echo partial; echo some stderr text >&2; exit 1";
  const failures = [
    await assertRejects(() => sh(script).output(), ExitError, "exit status 1"),
    await assertRejects(() => sh(script).text(), ExitError, "exit status 1"),
    assertThrows(() => sh(script).outputSync(), ExitError, "exit status 1"),
  ];
  for (const { stdout, stderr } of failures) {
    assertEquals([decode(stdout), decode(stderr)], ["partial\n", "some stderr text\n"]);
  }
});

test("a failing exit that printed nothing carries empty arrays, not undefined ones", async () => {
  const failures = [
    await assertRejects(() => sh("exit 1").output(), ExitError),
    assertThrows(() => sh("exit 1").outputSync(), ExitError),
  ];
  for (const { stdout, stderr } of failures) {
    assertEquals([stdout, stderr], [new Uint8Array(0), new Uint8Array(0)]);
  }
});

test("stderr that went elsewhere is not in the ExitError", async () => {
  const sink = new Sink();
  for (const stderr of ["null", "stdout", sink] as const) {
    const command = sh("echo out; echo err >&2; exit 3", { stderr });
    const error = await assertRejects(() => command.output(), ExitError);
    assertEquals("stderr" in error, false);
    assertEquals(decode(error.stdout), stderr === "stdout" ? "out\nerr\n" : "out\n");
  }
  assertEquals(sink.text(), "err\n");
});

test("combinedOutput()'s failing exit has both streams in its stdout", async () => {
  const script = "echo out; echo err >&2; exit 3";
  const failures = [
    await assertRejects(() => sh(script).combinedOutput(), ExitError),
    assertThrows(() => sh(script).combinedOutputSync(), ExitError),
  ];
  for (const error of failures) {
    assertEquals([decode(error.stdout), "stderr" in error], ["out\nerr\n", false]);
  }
});

test("run()'s failing exit carries no output: nobody asked for it", async () => {
  const stdout = new Sink();
  const error = await assertRejects(() => sh("echo x; exit 1", { stdout }).run(), ExitError);
  assertEquals(["stdout" in error, "stderr" in error, stdout.text()], [false, false, "x\n"]);
});

test("lines()' failing exit carries stderr", async () => {
  const seen: string[] = [];
  const command = sh("echo one; echo why >&2; exit 4");
  const error = await assertRejects(
    async () => {
      for await (const line of command.lines()) seen.push(line);
    },
    ExitError,
    "exit status 4",
  );
  assertEquals([seen, decode(error.stderr), "stdout" in error], [["one"], "why\n", false]);
});

test("of a long stderr both ends are kept, and what is left out is counted", async () => {
  using directory = new Directory();
  for (const length of [65_535, 65_536, 65_537, 100_000, 3_000_000]) {
    const bytes = noise(length, length);
    const file = directory.file("err", bytes);
    const script = 'cat "$0" >&2; exit 1';
    const failures = [
      await assertRejects(() => new Command("sh", ["-c", script, file]).output(), ExitError),
      assertThrows(() => new Command("sh", ["-c", script, file]).outputSync(), ExitError),
    ];
    for (const { stderr } of failures) assert(stderr?.toString() === ends(bytes), `${length}`);
  }
});

test("the ends are the same however the bytes come in", () => {
  const whole = encode("abcdefghijklmnopqrstuvwxyz");
  const rows: [length: number, kept: string][] = [
    [0, ""],
    [4, "abcd"],
    [8, "abcdefgh"],
    [9, "abcd\n... omitting 1 bytes ...\nfghi"],
    [26, "abcd\n... omitting 18 bytes ...\nwxyz"],
  ];
  for (const [length, kept] of rows) {
    for (let step = 1; step <= 26; step++) {
      const collector = new EndsCollector(4);
      for (let from = 0; from < length; from += step) {
        collector.write(whole.slice(from, Math.min(from + step, length)));
      }
      assertEquals(decode(collector.bytes()), kept, `${length} by ${step}`);
    }
  }
});

test("output that is captured may not go elsewhere too", async () => {
  const stdout = new Sink();
  const taken = "exec: Stdout already set";
  await assertRejects(() => sh("", { stdout }).output(), StateError, taken);
  await assertRejects(() => sh("", { stdout: "null" }).text(), StateError, taken);
  await assertRejects(() => sh("", { stdout }).combinedOutput(), StateError, taken);
  assertThrows(() => sh("", { stdout }).outputSync(), StateError, taken);
  assertThrows(() => sh("", { stdout }).combinedOutputSync(), StateError, taken);
  const other = "exec: Stderr already set";
  await assertRejects(() => sh("", { stderr: stdout }).combinedOutput(), StateError, other);
  assertThrows(() => sh("", { stderr: stdout }).combinedOutputSync(), StateError, other);
});

test("a clone of a command that has been captured can be captured again", async () => {
  const command = sh("echo again; exit 5");
  const first = await assertRejects(() => command.output(), ExitError);
  const copies = [
    await assertRejects(() => command.clone().output(), ExitError),
    assertThrows(() => command.clone().outputSync(), ExitError),
    await assertRejects(() => command.clone().combinedOutput(), ExitError),
  ];
  for (const error of [first, ...copies]) assertEquals(decode(error.stdout), "again\n");
});

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
