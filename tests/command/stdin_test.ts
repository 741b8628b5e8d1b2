import { test } from "node:test";
import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { Command, ExitError, findProcess, OSFile, pipe, type Stdin } from "../../mod.ts";
import {
  decode,
  Directory,
  encode,
  helper,
  noise,
  runScript,
  sh,
  until,
  wrong,
} from "../helper.ts";
import { children, withoutLeaks } from "../holdings.ts";

/** What the child reads from its stdin. */
async function fed(stdin: Stdin): Promise<string> {
  return await new Command(helper, ["cat", "0"], { stdin }).text();
}

function fedSync(stdin: Stdin): string {
  return decode(new Command(helper, ["cat", "0"], { stdin }).outputSync());
}

/** What the child's stdin is open on. */
async function linkOf(stdin: Stdin | undefined): Promise<string | undefined> {
  const command = new Command(helper, ["fds"], stdin === undefined ? {} : { stdin });
  return /^0 (.*)$/m.exec(await command.text())?.[1];
}

/** An iterator that tells when it is told to stop. */
class Spy implements AsyncIterable<string>, Iterable<string> {
  returned = 0;
  readonly #next: () => string | Promise<string>;

  constructor(next: () => string | Promise<string>) {
    this.#next = next;
  }

  [Symbol.asyncIterator](): AsyncIterator<string> {
    return {
      next: async () => ({ done: false, value: await this.#next() }),
      return: () => {
        this.returned++;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  [Symbol.iterator](): Iterator<string> {
    return {
      next: () => ({ done: false, value: wrong<string>(this.#next()) }),
      return: () => {
        this.returned++;
        return { done: true, value: undefined };
      },
    };
  }
}

/** Only as a synchronous iterable. */
function iterableOnly(spy: Spy): Iterable<string> {
  return { [Symbol.iterator]: () => spy[Symbol.iterator]() };
}

test("absent or null stdin is /dev/null", async () => {
  assertEquals(await linkOf(undefined), "/dev/null");
  assertEquals(await linkOf("null"), "/dev/null");
  assertEquals(fedSync("null"), "");
});

test("an inherited stdin is this process's own", async () => {
  for (const run of ["output", "outputSync"]) {
    const { stdout, code, stderr } = await runScript(
      `const cat = new osexec.Command("cat", [], { stdin: "inherit" });
       console.log(new TextDecoder().decode(await cat.${run}()));`,
      { stdin: ["from", " afar"] },
    );
    assertEquals([code, stdout, stderr], [0, "from afar\n", ""]);
  }
});

test("a descriptor is handed over as it is, by number or by object, and stays open here", async () => {
  using directory = new Directory();
  const path = directory.file("input", "0123456789");
  using file = OSFile.open(path);
  const two = new Uint8Array(2);
  for (const stdin of [file, file.fd, { fd: file.fd }]) {
    assertEquals(await linkOf(stdin), path);
  }
  assertEquals(file.readSync(two), 2);
  // One open file: the child goes on where this process stopped, and the other way round.
  assertEquals(await new Command("dd", ["bs=1", "count=3"], { stdin: file }).text(), "234");
  assertEquals(fedSync(file.fd), "56789");
  assertEquals(file.readSync(two), null);
});

test("a descriptor that is iterable too counts as a descriptor", async () => {
  using directory = new Directory();
  const path = directory.file("input", "by descriptor");
  using file = OSFile.open(path);
  const both = {
    fd: file.fd,
    *[Symbol.iterator]() {
      yield "by iterator";
    },
  };
  assertEquals([await linkOf(both), await fed(both)], [path, "by descriptor"]);
});

test("a string is fed whole, but for the two words", async () => {
  assertEquals(await fed("grün\nlast"), "grün\nlast");
  assertEquals(fedSync("grün\nlast"), "grün\nlast");
  assertEquals([await fed(["null"]), fedSync([encode("inherit")])], ["null", "inherit"]);
});

test("bytes are fed whole, of a view only what it shows", async () => {
  const bytes = encode("-seen-").subarray(1, 5);
  assertEquals([await fed(bytes), fedSync(bytes)], ["seen", "seen"]);
});

test("chunks of an iterable are fed in order, text and bytes mixed", async () => {
  const chunks = ["a", encode("b"), "", new Uint8Array(0), "c"];
  function* generate(): Generator<string | Uint8Array> {
    yield* chunks;
  }
  assertEquals([await fed(chunks), fedSync(chunks)], ["abc", "abc"]);
  assertEquals([await fed(new Set(chunks)), fedSync(new Set(chunks))], ["abc", "abc"]);
  assertEquals([await fed(generate()), fedSync(generate())], ["abc", "abc"]);
});

test("chunks of an async generator are fed as they come", async () => {
  async function* generate(): AsyncGenerator<string | Uint8Array> {
    yield "a";
    await new Promise((resolve) => setTimeout(resolve, 0));
    yield encode("b");
  }
  assertEquals(await fed(generate()), "ab");
});

test("a ReadableStream is fed to its end, and unlocked", async () => {
  const stream = new Blob(["one ", "two"]).stream();
  assertEquals([await fed(stream), stream.locked], ["one two", false]);
});

test("an empty source is an end of file at once", async () => {
  const empty = new ReadableStream<Uint8Array>({ start: (controller) => controller.close() });
  for (const source of ["", new Uint8Array(0), [], empty]) assertEquals(await fed(source), "");
  for (const source of ["", new Uint8Array(0), []]) assertEquals(fedSync(source), "");
});

test("a chunk may be used again once the next one is asked for", async () => {
  const bytes = noise(300_000);
  function* generate(): Generator<Uint8Array> {
    const buffer = new Uint8Array(100_000);
    for (let from = 0; from < bytes.length; from += buffer.length) {
      buffer.set(bytes.subarray(from, from + buffer.length));
      yield buffer;
      buffer.fill(0);
    }
  }
  const expected = bytes.toString();
  assert((await new Command("cat", [], { stdin: generate() }).output()).toString() === expected);
  assert(new Command("cat", [], { stdin: generate() }).outputSync().toString() === expected);
});

test("a source is not asked for more than the child takes", async () => {
  let asked = 0;
  const chunk = new Uint8Array(64 * 1024);
  function* generate(): Generator<Uint8Array> {
    while (true) {
      asked++;
      yield chunk;
    }
  }
  const command = new Command(helper, ["hang"], { stdin: generate() });
  await using running = command;
  running.start();
  await until(() => asked > 0);
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
  // A pipe holds 1 MiB at most.
  assertLess(asked, 20);
});

test("a child that stops reading early is no error", async () => {
  const stdin = new Uint8Array(10 * 1024 * 1024);
  for (const script of ["true", "head -c 1 >/dev/null"]) {
    await sh(script, { stdin }).run();
    sh(script, { stdin }).runSync();
  }
});

test("a source without an end does not outlive the child, and is told to stop", async () => {
  const data = "x".repeat(65_536);
  for (const run of ["run", "runSync"] as const) {
    const spy = new Spy(() => data);
    await sh("head -c 100000 >/dev/null", { stdin: iterableOnly(spy) })[run]();
    assertEquals(spy.returned, 1, run);
  }
  let stopped = false;
  function* generate(): Generator<string> {
    try {
      while (true) yield data;
    } finally {
      stopped = true;
    }
  }
  await sh("true", { stdin: generate() }).run();
  assertEquals(stopped, true);
});

test("a source that never answers is not waited for, and is told to stop", async () => {
  const spy = new Spy(() => Promise.withResolvers<string>().promise);
  await sh("true", { stdin: spy }).run();
  assertEquals(spy.returned, 1);
  const { promise, resolve } = Promise.withResolvers<string>();
  const stream = new ReadableStream<Uint8Array>({
    pull: () => Promise.withResolvers<void>().promise,
    cancel: () => resolve("cancelled"),
  });
  await sh("true", { stdin: stream }).run();
  assertEquals(await promise, "cancelled");
});

test("a source is told to stop when the child has ended, though a grandchild could read on", async () => {
  // The background process holds the reading end, and full, until its own stdin ends.
  const script = "exec 3<&0; sleep 1000 <&3 >/dev/null 2>&1 & echo $!";
  for (const run of ["output", "outputSync"] as const) {
    let asked = 0;
    const spy = new Spy(() => `${asked++}`.padEnd(65_536));
    const pid = Number(decode(await sh(script, { stdin: iterableOnly(spy) })[run]()));
    findProcess(pid).kill();
    assertEquals(spy.returned, 1, run);
  }
});

test("a source that fails while it is told to stop is its owner's affair", async () => {
  for (const run of ["run", "runSync"] as const) {
    const source: Iterable<string> = {
      [Symbol.iterator]: () => ({
        next: () => ({ done: false, value: "x".repeat(65_536) }),
        return: () => {
          throw new Error("unheard");
        },
      }),
    };
    assertEquals((await sh("true", { stdin: source })[run]()).success, true);
  }
});

test("a source's own error rejects as it is, once the child has had an end of file", async () => {
  const failure = new RangeError("no more");
  function* generate(): Generator<string> {
    yield "some";
    throw failure;
  }
  async function* generateLate(): AsyncGenerator<string> {
    yield await Promise.resolve("some");
    throw failure;
  }
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(encode("some"));
      controller.error(failure);
    },
  });
  for (const stdin of [generate(), generateLate(), stream]) {
    const command = new Command("cat", [], { stdin });
    assert(await assertRejects(() => command.output()) === failure);
    assertEquals(command.processState?.success, true);
  }
  const command = new Command("cat", [], { stdin: generate() });
  assert(assertThrows(() => command.outputSync()) === failure);
  assertEquals(command.processState?.success, true);
});

test("a failing exit comes before a source's error", async () => {
  function* generate(): Generator<string> {
    yield "some";
    throw new Error("late");
  }
  await assertRejects(() => sh("cat; exit 3", { stdin: generate() }).run(), ExitError);
  assertThrows(() => sh("cat; exit 3", { stdin: generate() }).runSync(), ExitError);
});

test("a chunk that is neither bytes nor text is a TypeError, and the source is told to stop", async () => {
  for (const run of ["run", "runSync"] as const) {
    const spy = new Spy(() => wrong<string>(7));
    const command = sh("cat", { stdin: iterableOnly(spy) });
    await assertRejects(async () => await command[run](), TypeError, "a chunk of stdin");
    assertEquals(spy.returned, 1, run);
  }
});

test("what cannot be read from is a TypeError at the start, and nothing is left behind", async () => {
  const kinds = [null, true, {}, 1.5, NaN, () => "x", Symbol("x"), new WeakMap(), 10n];
  const locked = new Blob(["x"]).stream();
  locked.getReader();
  await withoutLeaks(() => {
    for (const kind of [...kinds, locked]) {
      assertThrows(() => sh("true", { stdin: wrong<Stdin>(kind) }).start(), TypeError);
    }
  });
});

test("a source that fails to begin fails the start, and nothing is left behind", async () => {
  const failure = new Error("not today");
  const source: Iterable<string> = {
    [Symbol.iterator]() {
      throw failure;
    },
  };
  await withoutLeaks(async () => {
    assert(assertThrows(() => sh("cat", { stdin: source }).start()) === failure);
    assert(assertThrows(() => sh("cat", { stdin: source }).runSync()) === failure);
    assert(await assertRejects(() => sh("cat", { stdin: source }).run()) === failure);
  });
});

test("a synchronous run refuses sources that need the event loop, and starts nothing", async () => {
  const before = children();
  async function* generate(): AsyncGenerator<string> {
    yield await Promise.resolve("x");
  }
  for (const run of ["runSync", "outputSync", "combinedOutputSync"] as const) {
    const stream = new Blob(["x"]).stream();
    for (const stdin of [stream, generate()]) {
      const command = new Command("cat", [], { stdin });
      assertThrows(() => command[run](), TypeError, "synchronous");
      assertEquals(command.process, undefined);
    }
    assertEquals(await fed(stream), "x");
  }
  assertEquals(children(), before);
});

test("an end of a pipe of ours reaches the child in blocking mode", async () => {
  const [reading, writing] = pipe();
  // Reading it here first makes it non-blocking.
  const first = reading.read(new Uint8Array(1));
  await writing.write(encode("ab"));
  assertEquals(await first, 1);
  const flags = await new Command(helper, ["file", "/proc/self/fdinfo/0"], { stdin: reading })
    .text();
  const O_NONBLOCK = 0o4000;
  assertEquals(parseInt(/flags:\s*(\d+)/.exec(flags)?.[1] ?? "", 8) & O_NONBLOCK, 0);
  writing.close();
  assertEquals(await new Command(helper, ["cat", "0"], { stdin: reading }).text(), "b");
  reading.close();
});

test("what a source throws at once is told, however soon the child ends", async () => {
  const failure = new Error("of the source");
  const fail = (): never => {
    throw failure;
  };
  const late = (): AsyncIterable<string> => new Spy(() => Promise.resolve().then(fail));
  for (let run = 0; run < 50; run++) {
    for (const stdin of [iterableOnly(new Spy(fail)), late()]) {
      const command = new Command(helper, ["exit", "0"], { stdin });
      assert(await assertRejects(() => command.run()) === failure);
    }
  }
});
