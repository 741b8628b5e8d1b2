/** What the three streams may be: shared sinks, sinks that push back, the web's streams, handed over pipes. */

import { test } from "node:test";
import { readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { Lend } from "../../ffi/abi.ts";
import { library } from "../../ffi/library.ts";
import {
  Command,
  type CommandOptions,
  ExitError,
  OSFile,
  pipe,
  SpawnError,
  type Writer,
} from "../../mod.ts";
import { check } from "../../src/native.ts";
import { withoutLeaks } from "../holdings.ts";
import {
  ArbitraryError,
  decode,
  encode,
  impersonate,
  readAll,
  stateOf,
  temporaryDirectory,
  TextWriter,
} from "../impersonator.ts";

/** What the child's first three descriptors are. */
function links(options: CommandOptions): Command {
  return new Command(
    "readlink",
    ["/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"],
    options,
  );
}

/** Ten lines, by turns on stdout and stderr. */
const both = 'for i in 0 1 2 3 4; do echo "out $i"; echo "err $i" >&2; done';
const inOrder = Array.from({ length: 5 }, (_, i) => `out ${i}\nerr ${i}\n`).join("");

/** A stream that keeps the text. */
function textStream(): { stream: WritableStream<Uint8Array>; writer: TextWriter } {
  const writer = new TextWriter();
  return { stream: new WritableStream({ write: (chunk) => writer.write(chunk) }), writer };
}

test("rule 34: one and the same sink for both streams gets them in order, by one pipe", async () => {
  const writer = new TextWriter();
  await new Command("sh", ["-c", both], { stdout: writer, stderr: writer }).run();
  assertEquals(writer.text, inOrder);
  const { stream, writer: streamed } = textStream();
  await new Command("sh", ["-c", both], { stdout: stream, stderr: stream }).run();
  assertEquals(streamed.text, inOrder);
  const sync = new TextWriter();
  new Command("sh", ["-c", both], { stdout: sync, stderr: sync }).runSync();
  assertEquals(sync.text, inOrder);
  assertEquals(decode(await new Command("sh", ["-c", both]).combinedOutput()), inOrder);
  const [, one, other] = (await links({ stderr: "stdout" }).text()).split("\n");
  assertEquals(one, other);
});

test("rule 34: two sinks get a pipe each", async () => {
  const stderr = new TextWriter();
  const [, one, other] = (await links({ stderr }).text()).split("\n");
  assert(one !== other && one?.startsWith("pipe:") && other?.startsWith("pipe:"));
  const command = new Command("sh", ["-c", both], { stderr });
  assertEquals((await command.text()) + stderr.text, inOrder.replace(/err .\n/g, "") + stderr.text);
  assertEquals(stderr.text, inOrder.replace(/out .\n/g, ""));
});

test('contract: "stdout" as stderr is wherever stdout goes: 2>&1', async () => {
  using temporary = temporaryDirectory();
  const path = join(temporary.path, "file");
  {
    using file = OSFile.open(path, "w");
    await new Command("sh", ["-c", both], { stdout: file, stderr: "stdout" }).run();
  }
  assertEquals(readFileSync(path, "utf8"), inOrder);
  const stdout = new TextWriter();
  await new Command("sh", ["-c", both], { stdout, stderr: "stdout" }).run();
  assertEquals(stdout.text, inOrder);
  const own = readlinkSync("/proc/self/fd/1");
  const same =
    '[ "$(readlink /proc/self/fd/2)" = "$1" ] && [ /proc/self/fd/1 -ef /proc/self/fd/2 ]';
  for (const [word, link] of [["inherit", own], ["null", "/dev/null"]] as const) {
    await new Command("sh", ["-c", same, "sh", link], { stdout: word, stderr: "stdout" }).run();
  }
  // Go's way to say it after StdoutPipe.
  const piped = new Command("sh", ["-c", both]);
  using reading = piped.stdoutPipe();
  if (piped.stdout !== undefined) piped.stderr = piped.stdout;
  await piped.run();
  assertEquals(await readAll(reading), inOrder);
});

test("rule 24: a stream that is not spoken of is /dev/null, and the word says the same", async () => {
  const stdout = new TextWriter();
  await links({ stdout }).run();
  assertEquals(stdout.text.split("\n").map((link) => link.replace(/\d+/, "N")), [
    "/dev/null",
    "pipe:[N]",
    "/dev/null",
    "",
  ]);
  assertEquals(await impersonate("cat", [], { stdin: "null" }).text(), "");
  await new Command("sh", ["-c", both], { stdout: "null", stderr: "null" }).run();
  assertEquals(await impersonate("cat", [], { stdin: ["inherit"] }).text(), "inherit");
});

// ------------------------------------------------------------------ descriptors

/** The flags of a descriptor, as open(2) has them. */
function flags(fd: number): number {
  const [, octal = ""] =
    readFileSync(`/proc/self/fdinfo/${fd}`, "utf8").match(/^flags:\s*(\d+)/m) ??
      [];
  return parseInt(octal, 8);
}

const O_NONBLOCK = 0o4000;

test("rule 26: a file that is handed over stays open here, and is in blocking mode there", async () => {
  const [reading, writing] = pipe();
  const pending = reading.read(new Uint8Array(1));
  await writing.write(encode("x"));
  assertEquals(await pending, 1);
  // What has been done with them here has not changed their mode; another child may have.
  for (const end of [reading, writing]) {
    assertEquals(flags(end.fd) & O_NONBLOCK, 0);
    check(library().osexec_lend(end.fd, Lend.back), "fcntl");
    assertEquals(flags(end.fd) & O_NONBLOCK, O_NONBLOCK);
  }
  const child = impersonate("cat", [], { stdin: reading, stdout: writing });
  // As numbers too.
  child.extraFiles = [reading.fd, writing.fd];
  child.start();
  assertEquals([flags(reading.fd) & O_NONBLOCK, flags(writing.fd) & O_NONBLOCK], [0, 0]);
  assert(!reading.closed && !writing.closed);
  child.process?.kill();
  await assertRejects(() => child.wait(), ExitError);
  // And it can still be read and written here, without blocking the thread.
  const again = reading.read(new Uint8Array(2));
  await writing.write(encode("yz"));
  assertEquals(await again, 2);
  for (const end of [reading, writing]) end.close();
});

test("contract: what is a descriptor and also a source or a sink counts as a descriptor", async () => {
  using temporary = temporaryDirectory();
  const path = join(temporary.path, "file");
  using file = OSFile.open(path, "w+");
  const sink = Object.assign(new TextWriter(), { fd: file.fd });
  await impersonate("echo", ["to the descriptor"], { stdout: sink }).run();
  assertEquals(sink.text, "");
  using same = OSFile.open(path);
  assertEquals(await impersonate("cat", [], { stdin: same }).text(), "to the descriptor\n");
});

// ------------------------------------------------------------------ pushing back

test("contract: a Writer's promise pushes back, and each chunk is the sink's to keep", async () => {
  const gate = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const chunks: Uint8Array[] = [];
  let writing = 0;
  const stdout: Writer = {
    async write(chunk) {
      assertEquals(++writing, 1);
      chunks.push(chunk);
      started.resolve();
      await gate.promise;
      writing--;
    },
  };
  const size = 8 << 20;
  const command = new Command("head", ["-c", `${size}`, "/dev/zero"], { stdout });
  const { pid } = command.start();
  await started.promise;
  // It cannot have written so much to a pipe that nobody empties.
  assert(stateOf(pid) !== "Z");
  assertEquals(chunks.length, 1);
  gate.resolve();
  await command.wait();
  assertEquals(chunks.reduce((sum, { length }) => sum + length, 0), size);
  assertEquals(new Set(chunks.map(({ buffer }) => buffer)).size, chunks.length);
});

test("contract: a WritableStream pushes back too", async () => {
  const gate = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  let size = 0;
  const stdout = new WritableStream<Uint8Array>({
    async write({ length }) {
      size += length;
      started.resolve();
      await gate.promise;
    },
  });
  const command = new Command("head", ["-c", `${8 << 20}`, "/dev/zero"], { stdout });
  const { pid } = command.start();
  await started.promise;
  assert(stateOf(pid) !== "Z");
  gate.resolve();
  await command.wait();
  assertEquals(size, 8 << 20);
});

// ------------------------------------------------------------------ the web's streams

test("rule 32: a sink is not closed, and a stream released, for the next command", async () => {
  const { stream, writer } = textStream();
  let closed = 0;
  const closing = Object.assign(new TextWriter(), { close: () => closed++, end: () => closed++ });
  for (const text of ["one", "two"]) {
    await impersonate("echo", [text], { stdout: stream }).run();
    assert(!stream.locked);
    await impersonate("echo", [text], { stdout: closing }).run();
  }
  assertEquals([writer.text, closing.text, closed], ["one\ntwo\n", "one\ntwo\n", 0]);
  await stream.close();
});

test("contract: a stream that was read to its end is released, one that was not is cancelled", async () => {
  const whole = new Blob(["all of it"]).stream();
  assertEquals(await impersonate("cat", [], { stdin: whole }).text(), "all of it");
  assert(!whole.locked);
  assertStrictEquals((await whole.getReader().read()).done, true);
  let cancelled = 0;
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(1024)),
    cancel: () => void cancelled++,
  });
  assertEquals(await impersonate("echo", ["x"], { stdin: endless }).text(), "x\n");
  assertEquals(cancelled, 1);
  assert(!endless.locked);
  const failure = new ArbitraryError();
  const failing = new ReadableStream<Uint8Array>({ pull: () => Promise.reject(failure) });
  assertStrictEquals(
    await assertRejects(() => impersonate("cat", [], { stdin: failing }).run()),
    failure,
  );
  assert(!failing.locked);
});

test("contract: a stream that somebody else has locked is refused, and nothing was started", async () => {
  const stdin = new ReadableStream<Uint8Array>();
  const stdout = new WritableStream<Uint8Array>();
  stdin.getReader();
  stdout.getWriter();
  await withoutLeaks(() => {
    for (const options of [{ stdin }, { stdout }, { stderr: stdout }]) {
      const command = impersonate("cat", [], options);
      assertThrows(() => command.start(), TypeError, "is locked to");
      assertStrictEquals(command.process, undefined);
    }
  });
});

test("contract: an OSFile's streams are the pipe's", async () => {
  const command = impersonate("cat");
  const stdin = command.stdinPipe();
  const stdout = command.stdoutPipe();
  command.start();
  const text = new Response(stdout.readable).text();
  await new Blob(["through ", "both"]).stream().pipeTo(stdin.writable);
  assertEquals(await text, "through both");
  await command.wait();
  assert(stdin.closed && stdout.closed);
});

// ------------------------------------------------------------------ pipelines

test("contract: a pipe as another command's stdin is handed over: SIGPIPE ends the first", async () => {
  await withoutLeaks(async () => {
    const yes = impersonate("yes");
    const head = new Command("head", ["-n", "2"]);
    const between = yes.stdoutPipe();
    head.stdin = between;
    yes.start();
    const output = head.text();
    assert(between.closed);
    assertEquals(await output, "y\ny\n");
    await assertRejects(() => yes.wait(), ExitError, "signal: broken pipe");
  });
});

test("contract: so it is whichever is started first, over three commands, and in the Sync methods", async () => {
  const make = (): [Command, Command, Command] => {
    const first = new Command("printf", ["%s\\n", "c", "a", "b"]);
    const second = new Command("sort");
    const third = new Command("tr", ["a-z", "A-Z"]);
    second.stdin = first.stdoutPipe();
    third.stdin = second.stdoutPipe();
    return [first, second, third];
  };
  const forward = make();
  for (const command of forward.slice(0, 2)) command.start();
  assertEquals(await forward[2].text(), "A\nB\nC\n");
  const backward = make();
  const output = backward[2].text();
  for (const command of backward.slice(0, 2).reverse()) command.start();
  assertEquals(await output, "A\nB\nC\n");
  const sync = make();
  for (const command of sync.slice(0, 2)) command.start();
  assertEquals(decode(sync[2].outputSync()), "A\nB\nC\n");
  const all = [forward, backward, sync].flatMap((commands) => commands.slice(0, 2));
  for (const command of all) assertEquals(`${await command.wait()}`, "exit status 0");
});

test("contract: a start that fails hands nothing over", async () => {
  const first = impersonate("echo", ["kept"]);
  const between = first.stdoutPipe();
  const second = new Command("/bin/nonesuch", [], { stdin: between });
  assertThrows(() => second.start(), SpawnError);
  await first.run();
  assertEquals(await impersonate("cat", [], { stdin: between }).text(), "kept\n");
  assert(between.closed);
});
