import fs from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Command, type CommandOptions, ExitError, OSFile, type Stdout } from "../../mod.ts";
import {
  decode,
  Directory,
  encode,
  helper,
  noise,
  runScript,
  sh,
  Sink,
  until,
  wrong,
} from "../helper.ts";
import { children, stateOf, withoutLeaks } from "../holdings.ts";

/** What the child's stdout and stderr are open on, told through a third descriptor. */
async function linksOf(options: CommandOptions): Promise<(string | undefined)[]> {
  using directory = new Directory();
  const path = directory.join("links");
  using file = OSFile.open(path, "w");
  const script = "for fd in 1 2; do link=$(readlink /proc/$$/fd/$fd); echo $link >&3; done";
  await sh(script, { ...options, extraFiles: [file] }).run();
  return fs.readFileSync(path, "utf8").trimEnd().split("\n");
}

/** A stream that keeps what is written to it. */
function keeping(): { stream: WritableStream<Uint8Array>; sink: Sink; ends: string[] } {
  const sink = new Sink();
  const ends: string[] = [];
  const stream = new WritableStream<Uint8Array>({
    write: (chunk) => sink.write(chunk),
    close: () => void ends.push("closed"),
    abort: () => void ends.push("aborted"),
  });
  return { stream, sink, ends };
}

test("absent or null outputs are /dev/null", async () => {
  assertEquals(await linksOf({}), ["/dev/null", "/dev/null"]);
  assertEquals(await linksOf({ stdout: "null", stderr: "null" }), ["/dev/null", "/dev/null"]);
});

test("inherited outputs are this process's own, each for its own", async () => {
  for (const run of ["run", "runSync"]) {
    const result = await runScript(
      `const stdio = { stdout: "inherit", stderr: "inherit" };
       await new osexec.Command("sh", ["-c", "echo out; echo err >&2"], stdio).${run}();`,
    );
    assertEquals(result, { code: 0, stdout: "out\n", stderr: "err\n" });
  }
});

test("a descriptor is handed over as it is, by number or by object, and stays open here", async () => {
  using directory = new Directory();
  const path = directory.join("output");
  using file = OSFile.open(path, "w+");
  for (const stdout of [file, file.fd, { fd: file.fd }]) {
    assertEquals(await linksOf({ stdout }), [path, "/dev/null"]);
  }
  file.writeSync(encode("a"));
  await sh("printf b", { stdout: file }).run();
  sh("printf c >&2", { stderr: file.fd }).runSync();
  file.writeSync(encode("d"));
  assertEquals(fs.readFileSync(path, "utf8"), "abcd");
});

test("a descriptor that can write too counts as a descriptor", async () => {
  using directory = new Directory();
  const path = directory.join("output");
  using file = OSFile.open(path, "w");
  const sink = new Sink();
  await sh("echo x", { stdout: { fd: file.fd, write: (chunk) => sink.write(chunk) } }).run();
  assertEquals([fs.readFileSync(path, "utf8"), sink.chunks.length], ["x\n", 0]);
});

test("a Writer gets every byte, is never closed, and keeps its chunks", async () => {
  using directory = new Directory();
  const bytes = noise(1_000_000);
  const file = directory.file("big", bytes);
  for (const run of ["run", "runSync"] as const) {
    let closed = 0;
    const stdout = Object.assign(new Sink(), { close: () => closed++, end: () => closed++ });
    await new Command(helper, ["file", file], { stdout })[run]();
    assertEquals([stdout.bytes().toString() === bytes.toString(), closed], [true, 0], run);
  }
});

test("stdout and stderr are two streams where they are two sinks", async () => {
  for (const run of ["run", "runSync"] as const) {
    const stdout = new Sink();
    const stderr = new Sink();
    await sh("echo out; echo err >&2", { stdout, stderr })[run]();
    assertEquals([stdout.text(), stderr.text()], ["out\n", "err\n"], run);
  }
});

test("a Writer's promise holds back the next chunk, and in the end the child", async () => {
  let { promise, resolve } = Promise.withResolvers<void>();
  let calls = 0;
  const stdout = {
    write(): Promise<void> {
      calls++;
      return promise;
    },
  };
  const command = new Command("head", ["-c", "8388608", "/dev/zero"], { stdout });
  const { pid } = command.start();
  const waiting = command.wait();
  for (let round = 1; round < 4; round++) {
    await until(() => calls === round);
    // Full to the brim: it sleeps, as all it can do is wait for its reader.
    await until(() => stateOf(pid) === "S");
    for (let turn = 0; turn < 20; turn++) await new Promise((next) => setTimeout(next, 0));
    assertEquals([calls, stateOf(pid)], [round, "S"]);
    const release = resolve;
    ({ promise, resolve } = Promise.withResolvers<void>());
    release();
  }
  resolve();
  assertEquals((await waiting).success, true);
});

test("writes never overlap, and none begins before the one before it has ended", async () => {
  using directory = new Directory();
  const bytes = noise(1_000_000);
  const events: string[] = [];
  const sink = new Sink();
  const stdout = {
    async write(chunk: Uint8Array): Promise<void> {
      events.push("begin");
      await new Promise((resolve) => setTimeout(resolve, 0));
      sink.write(chunk);
      events.push("end");
    },
  };
  await new Command(helper, ["file", directory.file("big", bytes)], { stdout }).run();
  assert(sink.bytes().toString() === bytes.toString());
  events.forEach((event, index) => assertEquals(event, index % 2 === 0 ? "begin" : "end"));
});

test("run() resolves only when the last promise of a Writer has", async () => {
  let written = false;
  const stdout = {
    async write(): Promise<void> {
      for (let turn = 0; turn < 20; turn++) await new Promise((next) => setTimeout(next, 0));
      written = true;
    },
  };
  await sh("echo x", { stdout }).run();
  assertEquals(written, true);
});

test("a WritableStream gets every byte, and is unlocked and not closed", async () => {
  using directory = new Directory();
  const bytes = noise(1_000_000);
  const { stream, sink, ends } = keeping();
  await new Command(helper, ["file", directory.file("big", bytes)], { stdout: stream }).run();
  assert(sink.bytes().toString() === bytes.toString());
  assertEquals([stream.locked, ends], [false, []]);
  await sh("printf more >&2", { stderr: stream }).run();
  await stream.close();
  assertEquals([decode(sink.bytes().slice(-4)), ends], ["more", ["closed"]]);
});

test("stderr as stdout goes wherever stdout goes when it starts", async () => {
  using directory = new Directory();
  const path = directory.join("output");
  using file = OSFile.open(path, "w");
  assertEquals(await linksOf({ stderr: "stdout" }), ["/dev/null", "/dev/null"]);
  assertEquals(await linksOf({ stdout: file, stderr: "stdout" }), [path, path]);
  const sink = new Sink();
  const command = sh("echo 1; echo 2 >&2; echo 3", { stderr: "stdout" });
  command.stdout = sink;
  await command.run();
  assertEquals(sink.text(), "1\n2\n3\n");
  const { stream, sink: kept } = keeping();
  await sh("echo 1; echo 2 >&2; echo 3", { stdout: stream, stderr: "stdout" }).run();
  assertEquals([kept.text(), stream.locked], ["1\n2\n3\n", false]);
  assertEquals(await sh("echo 1; echo 2 >&2", { stderr: "stdout" }).text(), "1\n2\n");
});

test("one object for both is one pipe, in which nothing changes places", async () => {
  const script = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; echo $i >&2; done";
  const expected = [..."123456789"].map((i) => `${i}\n${i}\n`).join("");
  for (const run of ["run", "runSync"] as const) {
    const sink = new Sink();
    await sh(script, { stdout: sink, stderr: sink })[run]();
    assertEquals(sink.text(), expected, run);
  }
  const { stream, sink } = keeping();
  await sh(script, { stdout: stream, stderr: stream }).run();
  assertEquals([sink.text(), stream.locked], [expected, false]);
  const both = new Sink();
  const [out, err] = await linksOf({ stdout: both, stderr: both });
  assertEquals(out, err);
  const [other, another] = await linksOf({ stdout: new Sink(), stderr: new Sink() });
  assert(other?.startsWith("pipe:") && another?.startsWith("pipe:") && other !== another);
});

test("a sink that fails closes the pipe, so that the child gets SIGPIPE", async () => {
  const failure = new Error("enough");
  const failing: [name: string, stdout: Stdout][] = [
    ["a Writer", {
      write() {
        throw failure;
      },
    }],
    ["a Writer's promise", { write: () => Promise.reject(failure) }],
    ["a stream", new WritableStream<Uint8Array>({ write: () => Promise.reject(failure) })],
  ];
  for (const [name, stdout] of failing) {
    const command = new Command("yes", [], { stdout });
    const error = await assertRejects(() => command.run(), ExitError, "signal: broken pipe", name);
    assertEquals(error.signal, "SIGPIPE");
  }
  const [[, stdout] = []] = failing;
  const command = new Command("yes", [], { stdout: stdout ?? "null" });
  assertThrows(() => command.runSync(), ExitError, "signal: broken pipe");
});

test("a sink's own error rejects as it is where the child has succeeded", async () => {
  const failure = new RangeError("no room");
  const failing: Stdout[] = [
    {
      write() {
        throw failure;
      },
    },
    { write: () => Promise.reject(failure) },
    new WritableStream<Uint8Array>({
      write() {
        throw failure;
      },
    }),
  ];
  for (const stdout of failing) {
    const command = sh("echo x", { stdout });
    assert(await assertRejects(() => command.run()) === failure);
    assertEquals(command.processState?.success, true);
  }
  const command = sh("echo x", { stdout: failing[0] ?? "null" });
  assert(assertThrows(() => command.runSync()) === failure);
  assertEquals(command.processState?.success, true);
});

test("of several failing sinks the first to fail is heard", async () => {
  const [first, second] = [new Error("first"), new Error("second")];
  const stdout = { write: () => Promise.reject(first) };
  const gate = Promise.withResolvers<void>();
  const stderr = {
    async write(): Promise<void> {
      await gate.promise;
      throw second;
    },
  };
  const command = sh("echo x >&2; trap '' PIPE; while echo x; do :; done 2>/dev/null; true", {
    stdout,
    stderr,
  });
  const child = command.start();
  const waiting = command.wait();
  // The loop ends with stdout's pipe.
  await child.wait();
  gate.resolve();
  assert(await assertRejects(() => waiting) === first);
});

test("an errored stream's own error rejects", async () => {
  const failure = new Error("broken before");
  const stream = new WritableStream<Uint8Array>({
    start: (controller) => controller.error(failure),
  });
  assert(await assertRejects(() => sh("echo x", { stdout: stream }).run()) === failure);
  assertEquals(stream.locked, false);
});

test("what cannot be written to is a TypeError at the start, and nothing is left behind", async () => {
  const locked = new WritableStream<Uint8Array>();
  locked.getWriter();
  const readable = new ReadableStream<Uint8Array>();
  const kinds = ["text", null, true, {}, { write: 1 }, readable, () => {}, [], 1.5, NaN, locked];
  await withoutLeaks(() => {
    for (const kind of kinds) {
      const sink = wrong<Stdout>(kind);
      assertThrows(() => sh("true", { stdout: sink }).start(), TypeError);
      assertThrows(() => sh("true", { stderr: sink }).start(), TypeError);
      const others = { stdin: "fed", stdout: new Sink() };
      assertThrows(() => sh("true", { ...others, stderr: sink }).runSync(), TypeError);
    }
    assertThrows(() => sh("true", { stdout: wrong<Stdout>("stdout") }).start(), TypeError);
  });
});

test("a synchronous run refuses streams, and starts nothing", () => {
  const before = children();
  const { stream } = keeping();
  const streams: CommandOptions[] = [{ stdout: stream }, { stderr: stream }];
  for (const options of streams) {
    const command = sh("echo x", options);
    assertThrows(() => command.runSync(), TypeError, "synchronous");
    assertEquals(command.process, undefined);
  }
  assertThrows(() => sh("", { stderr: stream }).outputSync(), TypeError, "synchronous");
  assertEquals([children(), stream.locked], [before, false]);
});

test("a Writer's promise ends a synchronous run's copying, and its rejection ends no program", () => {
  let calls = 0;
  const stdout = {
    write(): Promise<void> {
      calls++;
      return Promise.reject(new Error("unheard"));
    },
  };
  assertThrows(() => sh("echo x", { stdout }).runSync(), TypeError, "promise");
  assertEquals(calls, 1);
});
