/** os/exec's tests of pipes, sources, sinks and extra files. */

import { test } from "node:test";
import { readlinkSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  ClosedError,
  Command,
  ExitError,
  OSFile,
  pipe,
  ProcessDoneError,
  SpawnError,
  type Stdin,
  type Stdout,
} from "../../mod.ts";
import {
  ArbitraryError,
  decode,
  encode,
  impersonate,
  readAll,
  readText,
  temporaryDirectory,
  TextWriter,
  turn,
} from "../impersonator.ts";

/** The next line of a pipe, read a byte at a time. */
async function readLine(file: OSFile): Promise<string> {
  let line = "";
  for (let byte = await readText(file, 1); byte !== "\n"; byte = await readText(file, 1)) {
    assert(byte !== "", "the end has come before a newline");
    line += byte;
  }
  return line;
}

test("TestEchoFileRace: writing to stdinPipe() and waiting get along", async () => {
  const command = impersonate("echo");
  const stdin = command.stdinPipe();
  command.start();
  const writing = stdin.write(encode("echo\n")).catch((error) => error);
  assertEquals(`${await command.wait()}`, "exit status 0");
  const result = await writing;
  const { code } = Object(result);
  assert(result === 5 || code === "EPIPE" || result instanceof ClosedError, `${result}`);
});

test("TestPipes: a dialogue over three pipes comes in order", async () => {
  const command = impersonate("pipetest");
  const stdin = command.stdinPipe();
  using stdout = command.stdoutPipe();
  using stderr = command.stderrPipe();
  command.start();
  await stdin.write(encode("O:I am output\n"));
  assertEquals(await readLine(stdout), "O:I am output");
  await stdin.write(encode("E:I am error\n"));
  assertEquals(await readLine(stderr), "E:I am error");
  await stdin.write(encode("O:I am output2\n"));
  assertEquals(await readLine(stdout), "O:I am output2");
  stdin.close();
  assertEquals(`${await command.wait()}`, "exit status 0");
  assertEquals([await readAll(stdout), await readAll(stderr)], ["", ""]);
});

test("TestStdinClose: stdinPipe() is a file, and closing it and the wait's closing it get along", async () => {
  const command = impersonate("stdinClose");
  const stdin = command.stdinPipe();
  assert(stdin.fd > 2);
  command.start();
  const writing = stdin.write(encode("Some test string.")).then(() => stdin.close());
  assertEquals(`${await command.wait()}`, "exit status 0");
  await writing;
  stdin.close();
  assertEquals([stdin.closed, stdin.fd], [true, -1]);
});

test("TestStdinCloseRace: so do a kill, a write, a close and a wait at once", async () => {
  for (let round = 0; round < 10; round++) {
    const command = impersonate("stdinClose");
    const stdin = command.stdinPipe();
    const process = command.start();
    const waiting = assertRejects(() => command.wait(), ExitError);
    const writing = stdin.write(encode("unexpected string")).then(() => stdin.close(), () => {});
    await turn(0);
    try {
      process.kill();
    } catch (error) {
      // It has read the wrong string, and exited.
      assertInstanceOf(error, ProcessDoneError);
    }
    await Promise.all([waiting, writing]);
  }
});

test("TestExtraFiles: the child has descriptor 3, and none of ours above it", async () => {
  const server = createServer((socket) => void socket.resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert(typeof address === "object" && address !== null);
  const client = connect(address.port, "127.0.0.1");
  await new Promise<void>((resolve) => client.on("connect", () => resolve()));
  using temporary = temporaryDirectory();
  const path = join(temporary.path, "file");
  writeFileSync(path, "Hello, fd 3!");
  using file = OSFile.open(path);
  const [reading, writing] = pipe();
  assertEquals(await impersonate("read3", [], { extraFiles: [file] }).text(), "Hello, fd 3!");
  for (const end of [reading, writing]) end.close();
  client.destroy();
  await new Promise((resolve) => server.close(resolve));
});

test("TestExtraFilesRace: children that start together each have their own descriptor 3", async () => {
  for (let round = 0; round < 10; round++) {
    const pairs = Array.from({ length: 4 }, () => pipe());
    const children = pairs.map(([reading]) => {
      const link = readlinkSync(`/proc/self/fd/${reading.fd}`);
      const command = impersonate("describefiles", [], { extraFiles: [reading] });
      return { link, output: command.combinedOutput() };
    });
    for (const { link, output } of children) assertEquals(decode(await output), `fd3: ${link}\n`);
    for (const end of pairs.flat()) end.close();
  }
});

test("gap: null in extraFiles is a descriptor that the child has not", async () => {
  const [reading, writing] = pipe();
  const options = { extraFiles: [null, reading, null, 1] };
  const open = "for fd in 3 4 5 6 7; do [ -e /proc/self/fd/$fd ] && echo $fd; done; exit 0";
  assertEquals(await new Command("sh", ["-c", open], options).text(), "4\n6\n");
  assertEquals(await impersonate("describefiles", [], options).text(), "fd3: closed\n");
  for (const end of [reading, writing]) end.close();
});

test("gap: a closed file is refused, where Go closes the descriptor without a word", () => {
  const [reading, writing] = pipe();
  for (const end of [reading, writing]) end.close();
  for (const options of [{ stdin: reading }, { stdout: writing }, { extraFiles: [reading] }]) {
    const error = assertThrows(() => impersonate("cat", [], options).start(), SpawnError);
    assertEquals(error.step, "request");
  }
  const error = assertThrows(() => impersonate("cat", [], { stdin: 9999 }).start(), SpawnError);
  assertEquals([error.step, error.argument, error.code], ["fd", "9999 -> 0", "EBADF"]);
});

for (
  const [name, source] of [
    ["10MB", () => "x".repeat(10 << 20)],
    ["10MB of bytes", () => new Uint8Array(10 << 20)],
    ["Infinite", async function* () {
      while (true) {
        yield "x".repeat(64 * 1024);
        await turn();
      }
    }],
    [
      "Infinite stream",
      () => new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(64 * 1024)) }),
    ],
  ] satisfies [string, () => Stdin][]
) {
  test(`TestIgnorePipeErrorOnSuccess/${name}: that a child reads nothing is no error`, async () => {
    const stdout = new TextWriter();
    const command = impersonate("echo", ["foo"], { stdin: source(), stdout });
    assertEquals(`${await command.run()}`, "exit status 0");
    assertEquals(stdout.text, "foo\n");
  });
}

// ------------------------------------------------------------------ sources and sinks that fail

test("TestClosePipeOnCopyError: a sink that fails ends a child that goes on writing", async () => {
  const failure = new ArbitraryError("unexpected EOF");
  const sinks: Stdout[] = [
    {
      write() {
        throw failure;
      },
    },
    { write: () => Promise.reject(failure) },
    new WritableStream({ write: () => Promise.reject(failure) }),
    new WritableStream({ start: (controller) => controller.error(failure) }),
  ];
  for (const stdout of sinks) {
    const error = await assertRejects(() => impersonate("yes", [], { stdout }).run(), ExitError);
    assertEquals(`${error.state}`, "signal: broken pipe");
    assertEquals([String(error), error.cause], [
      "ExitError: signal: broken pipe: unexpected EOF",
      failure,
    ]);
  }
});

test("rule 44: after a good exit the sink's error is reported, as it is", async () => {
  const failure = new ArbitraryError();
  const sinks: (() => Stdout)[] = [
    () => ({
      write() {
        throw failure;
      },
    }),
    () => ({ write: () => Promise.reject(failure) }),
    () => new WritableStream({ write: () => Promise.reject(failure) }),
  ];
  for (const sink of sinks) {
    const command = new Command("echo", ["foo"], { stdout: sink() });
    assertStrictEquals(await assertRejects(() => command.run()), failure);
    const other = impersonate("pipetest", [], { stdin: "E:foo\n", stderr: sink() });
    assertStrictEquals(await assertRejects(() => other.output()), failure);
    const bad = new Command("sh", ["-c", "echo; exit 3"], { stdout: sink() });
    await assertRejects(() => bad.run(), ExitError, "exit status 3");
  }
});

test("rule 30: so is a source's, but for a child that ended badly", async () => {
  const failure = new ArbitraryError();
  const sources: (() => Stdin)[] = [
    function* () {
      yield "one";
      throw failure;
    },
    async function* () {
      yield encode("one");
      throw failure;
    },
    () => new ReadableStream({ pull: (controller) => controller.error(failure) }),
  ];
  for (const source of sources) {
    const stdout = new TextWriter();
    const command = impersonate("cat", [], { stdin: source(), stdout });
    assertStrictEquals(await assertRejects(() => command.run()), failure);
    const bad = new Command("sh", ["-c", "cat >&2; exit 3"], { stdin: source() });
    await assertRejects(() => bad.run(), ExitError, "exit status 3");
  }
});

test("rule 33: of several failures the first is reported", async () => {
  const failing = (failure: Error, then?: () => void): Stdout => ({
    write() {
      then?.();
      throw failure;
    },
  });
  const [first, second] = [new ArbitraryError("first"), new ArbitraryError("second")];
  for (const [one, other] of [["O:", "E:"], ["E:", "O:"]]) {
    const command = impersonate("pipetest");
    const stdin = command.stdinPipe();
    // What goes to the other one is asked for only when the one has failed.
    const proceed = (): void => void stdin.writeSync(encode(`${other}\n`));
    const sinks = [failing(first, proceed), failing(second, () => stdin.close())];
    const [stdout, stderr] = one === "O:" ? sinks : sinks.reverse();
    Object.assign(command, { stdout, stderr });
    command.start();
    await stdin.write(encode(`${one}\n`));
    assertStrictEquals(await assertRejects(() => command.wait()), first);
  }
});

test("contract: a chunk that is neither bytes nor text is a TypeError, and ends the source", async () => {
  let told = 0;
  function* numbers(): Generator<string> {
    try {
      // JSON.parse has no type.
      yield JSON.parse("1");
    } finally {
      told++;
    }
  }
  const error = await assertRejects(() => impersonate("cat", [], { stdin: numbers() }).run());
  assertEquals(`${error}`, "TypeError: a chunk of stdin is neither a Uint8Array nor a string");
  assertThrows(() => impersonate("cat", [], { stdin: numbers() }).runSync(), TypeError);
  assertEquals(told, 2);
});
