import { test } from "node:test";
import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { Command, type LineOptions, OSFile, pipe, StateError } from "../../mod.ts";
import { LineSplitter } from "../../src/command/lines.ts";
import {
  decode,
  Directory,
  encode,
  generator,
  noise,
  readAll,
  runScript,
  sh,
  wrong,
} from "../helper.ts";

/** The lines of what comes in such chunks, and what is left over. */
function split(chunks: readonly Uint8Array[]): string[] {
  const splitter = new LineSplitter();
  const lines: string[] = [];
  for (const chunk of chunks) {
    splitter.add(chunk);
    for (let line = splitter.next(); line !== null; line = splitter.next()) lines.push(line);
  }
  const last = splitter.last();
  return last === null ? lines : [...lines, last];
}

/** The same by hand. */
function expected(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines.map((line, index) => {
    const ended = index < lines.length - 1 || text.endsWith("\n");
    return ended && line.endsWith("\r") ? line.slice(0, -1) : line;
  });
}

/** Bytes cut at such places. */
function cut(bytes: Uint8Array, sizes: () => number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let from = 0; from < bytes.length;) {
    const size = sizes();
    chunks.push(bytes.subarray(from, from + size));
    from += size;
  }
  return chunks;
}

async function collect(lines: AsyncIterable<string>): Promise<string[]> {
  const list: string[] = [];
  for await (const line of lines) list.push(line);
  return list;
}

/** A file that holds such a text. */
function holding(directory: Directory, text: string | Uint8Array): OSFile {
  return OSFile.open(directory.file("text", text));
}

test("lines end with a newline, with or without a carriage return, or with the file", () => {
  const rows: [text: string, lines: string[]][] = [
    ["", []],
    ["\n", [""]],
    ["\r\n", [""]],
    ["a", ["a"]],
    ["a\n", ["a"]],
    ["a\r\n", ["a"]],
    ["a\r", ["a\r"]],
    ["a\n\n\nb", ["a", "", "", "b"]],
    ["a\rb\nc\n\r", ["a\rb", "c", "\r"]],
    ["a\r\r\nb\n", ["a\r", "b"]],
    ["grün\nжизнь\n", ["grün", "жизнь"]],
  ];
  for (const [text, lines] of rows) {
    assertEquals(split([encode(text)]), lines, JSON.stringify(text));
    assertEquals(expected(text), lines);
    const bytewise = cut(encode(text), () => 1);
    assertEquals(split(bytewise), lines, `${JSON.stringify(text)} byte by byte`);
  }
});

test("lines are the same however the bytes come in", () => {
  const random = generator(3);
  const letters = ["a", "é", "漢", "🙂", "\n", "\n", "\r\n", "\r"];
  for (let round = 0; round < 300; round++) {
    const length = random(60);
    const text = Array.from({ length }, () => letters[random(letters.length)]).join("");
    const chunks = cut(encode(text), () => 1 + random(9));
    assertEquals(split(chunks), expected(text), JSON.stringify(text));
  }
});

test("a byte order mark counts at the very beginning only, and bad bytes are replaced", () => {
  assertEquals(split([encode("\ufeffa\n\ufeffb\n")]), ["a", "\ufeffb"]);
  assertEquals(split([new Uint8Array([0xff, 0x61, 0x0a, 0xc3])]), ["\ufffda", "\ufffd"]);
});

test("a long line is put together once, not again for each piece of it", () => {
  const chunks = Array.from({ length: 200 }, () => new Uint8Array(1000).fill(0x61));
  const { set } = Uint8Array.prototype;
  let copied = 0;
  Uint8Array.prototype.set = function (source, offset) {
    copied += source.length;
    set.call(this, source, offset);
  };
  let lines: string[];
  try {
    lines = split([...chunks, encode("\nrest")]);
  } finally {
    Uint8Array.prototype.set = set;
  }
  assertEquals([lines.length, lines[0]?.length, lines[1]], [2, 200_000, "rest"]);
  assertLess(copied, 3 * 200_000);
});

test("lines() yields each line of a file", async () => {
  using directory = new Directory();
  using file = holding(directory, "one\ntwo\r\n\nlast");
  assertEquals(await collect(file.lines()), ["one", "two", "", "last"]);
  assertEquals(file.closed, false);
  assertEquals(await collect(file.lines()), []);
});

test("lines() yields a line before the next one is written", async () => {
  const [reading, writing] = pipe();
  const lines = reading.lines()[Symbol.asyncIterator]();
  for (const word of ["first", "second"]) {
    await writing.write(encode(`${word}\nrest of `));
    const { value } = await lines.next();
    assert(typeof value === "string" && value.endsWith(word), value);
  }
  writing.close();
  assertEquals(await lines.next(), { done: false, value: "rest of " });
  assertEquals((await lines.next()).done, true);
  reading.close();
});

test("leaving lines() early leaves the rest to be read, by whatever means", async () => {
  using directory = new Directory();
  const text = "one\ntwo\nthree\nfour\nfive";
  const buffer = new Uint8Array(4);
  using file = holding(directory, text);
  for await (const line of file.lines()) if (line === "one") break;
  assertEquals(file.closed, false);
  assertEquals(file.readSync(buffer), 4);
  assertEquals(decode(buffer), "two\n");
  for await (const line of file.lines()) if (line === "three") break;
  assertEquals(await file.read(buffer), 4);
  assertEquals(decode(buffer), "four");
  for await (const line of file.lines()) if (line === "") break;
  assertEquals(await readAll(file), "five");
  assertEquals(await file.read(buffer), null);
});

test("what is left by lines() comes out of a stream too", async () => {
  using directory = new Directory();
  using file = holding(directory, "one\ntwo\nthree");
  for await (const line of file.lines()) if (line === "one") break;
  assertEquals(await new Response(file.readable).text(), "two\nthree");
});

test("a file of many lines is read line by line without a loss", async () => {
  using directory = new Directory();
  const random = generator(9);
  const text = Array.from({ length: 30_000 }, (_, index) => `${index}`.padEnd(random(40))).join(
    "\n",
  );
  using file = holding(directory, text);
  const lines = text.split("\n");
  let index = 0;
  // Left and taken up again at every thousandth line.
  while (index < lines.length) {
    for await (const line of file.lines()) {
      if (line !== lines[index]) assertEquals(line, lines[index], `line ${index}`);
      index++;
      if (index % 1000 === 0) break;
    }
  }
  assertEquals(await file.read(new Uint8Array(1)), null);
});

test("a line of megabytes is one line", async () => {
  using directory = new Directory();
  const bytes = noise(4 * 1024 * 1024).map((byte) => 0x20 + byte % 64);
  using file = holding(directory, bytes);
  const [line, ...rest] = await collect(file.lines());
  assertEquals([line === decode(bytes), rest], [true, []]);
});

test("T18: one lines() at a time, so that no line is torn in two", async () => {
  const [reading, writing] = pipe();
  await writing.write(encode("a\nb\nc\n"));
  const first = reading.lines();
  const second = reading.lines();
  assertEquals((await first.next()).value, "a");
  await assertRejects(() => second.next(), StateError, "another lines()");
  assertEquals((await first.next()).value, "b");
  await first.return?.();
  writing.close();
  const third = reading.lines();
  assertEquals((await third.next()).value, "c");
  assertEquals((await third.next()).done, true);
  // One that has ended holds nothing.
  assertEquals((await reading.lines().next()).done, true);
  reading.close();
});

test("T18: a byte order mark is one at the beginning of the file only", async () => {
  using directory = new Directory();
  using file = OSFile.open(directory.file("marks", "\ufeffa\n\ufeffb\n\ufeffc\n"));
  const lines: string[] = [];
  for (let count = 0; count < 3; count++) {
    for await (const line of file.lines()) {
      lines.push(line);
      break;
    }
  }
  assertEquals(lines, ["a", "\ufeffb", "\ufeffc"]);
});

test("F11, F5: what waits for a file lets the program end after unref(), and so does a command's copying", async () => {
  const { code, stdout, stderr } = await runScript(`
    const [reading] = osexec.pipe();
    reading.unref();
    reading.read(new Uint8Array(9));
    const [other] = osexec.pipe();
    other.read(new Uint8Array(9)).catch(() => {});
    other.unref();
    const command = new osexec.Command("sleep", ["1000"], { stdout: { write() {} } });
    const process = command.start();
    command.wait().catch(() => {});
    process.unref();
    const input = new osexec.Command("sleep", ["1000"], { input: new Uint8Array(1 << 22) });
    input.start().unref();
    input.wait().catch(() => {});
    console.log(process.pid, input.process.pid);`);
  for (const pid of stdout.trim().split(" ")) await new Command("kill", [pid]).run();
  assertEquals([code, stderr], [0, ""]);
  const held = await runScript(`
    const [reading, writing] = osexec.pipe();
    reading.unref();
    reading.ref();
    setTimeout(() => writing.write(new Uint8Array(3)), 50).unref?.();
    console.log(await reading.read(new Uint8Array(9)));`);
  assertEquals([held.code, held.stderr], [0, ""]);
});

// ---------------------------------------------------------------- its options

async function linesOf(script: string, options: LineOptions): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of sh(script).lines(options)) lines.push(line);
  return lines;
}

test("issue 18, 9: a carriage return ends a line where asked, and stays to tell which it was", async () => {
  const script = "printf '10%%\\r50%%\\rdone\\r\\nnext\\n\\r\\n\\ry'";
  const split = ["10%\r", "50%\r", "done", "next", "", "\r", "y"];
  assertEquals(await linesOf(script, { carriageReturn: true }), split);
  assertEquals(await linesOf(script, {}), ["10%\r50%\rdone", "next", "", "\ry"]);
});

test("issue 18, 9: a line that a carriage return has ended is given before more has come", async () => {
  const command = new Command("cat");
  const input = command.stdinPipe();
  const lines = command.lines({ carriageReturn: true });
  const first = lines.next();
  // Each is given while nothing else is to come; a "\n" right after belongs to the "\r" before it.
  for (const [given, line] of [["50%\r", "50%\r"], ["\nnext\r", "next\r"], ["\r\n", ""]] as const) {
    const next = line === "50%\r" ? first : lines.next();
    await input.write(encode(given));
    assertEquals(await next, { done: false, value: line });
  }
  input.close();
  assertEquals(await lines.next(), { done: true, value: undefined });
});

test("issue 18, 9: a line beyond the limit is a RangeError, and ends the command", async () => {
  assertEquals(
    await linesOf("printf '12345\\r\\n12345\\n12345'", { limit: 5 }),
    Array(3).fill("12345"),
  );
  for (const script of ["printf '123456\\n'", "printf 123456", "exec cat /dev/zero"]) {
    const command = sh(script);
    const error = await Array.fromAsync(command.lines({ limit: 5 })).catch((error) => error);
    assert(error instanceof RangeError, String(error));
    assertEquals(error.message, "a line is longer than 5 bytes");
    assertEquals(command.process?.pidfd, null);
  }
});

test("issue 18, 9: wrong options of lines() are refused by name, at once", () => {
  for (
    const [options, name] of [
      [{ limit: "5" }, "limit"],
      [{ carriageReturn: 1 }, "carriageReturn"],
      [
        { length: 1 },
        "LineOptions has no field length",
      ],
      [null, "options"],
    ] as const
  ) {
    assertThrows(() => sh("").lines(wrong(options)), TypeError, name);
  }
});

test("issue 18, 9: json() parses what was printed, or names who printed what is none", async () => {
  assertEquals(await sh(`echo '{"a": [1]}'`).json(), { a: [1] });
  const error = await sh("echo {", { label: "it" }).json().catch((error) => error);
  assert(error instanceof SyntaxError);
  assert(error.message.startsWith("it: stdout is no JSON: "), error.message);
  const failed = await sh("echo {; exit 3", { label: "it" }).json().catch((error) => error);
  assertEquals(String(failed), "ExitError: exit status 3");
});

test("issue 18, 9: with carriage returns, in pieces of any size, nothing is lost and no line is cut in two", () => {
  const random = generator(9);
  for (let round = 0; round < 300; round++) {
    const text = Array.from({ length: random(40) }, () => "ab\r\n"[random(4)]).join("");
    const bytes = encode(text);
    const whole = new LineSplitter(true, { carriageReturn: true });
    whole.add(bytes);
    const pieces = new LineSplitter(true, { carriageReturn: true });
    const take = (splitter: LineSplitter): string[] => {
      const lines: string[] = [];
      for (let line = splitter.next(); line !== null; line = splitter.next()) lines.push(line);
      return lines;
    };
    const expectation = [...text.matchAll(/([^\r\n]*)(\r\n|\n|\r|$)/g)]
      .filter(([all]) => all !== "")
      .map(([, line = "", end]) => end === "\r" ? `${line}\r` : line);
    const last = whole.last.bind(whole);
    assertEquals([...take(whole), last()].filter((line) => line !== null), expectation);
    const found: string[] = [];
    for (let at = 0; at < bytes.length;) {
      const length = 1 + random(4);
      pieces.add(bytes.subarray(at, at + length));
      found.push(...take(pieces));
      at += length;
    }
    const rest = pieces.last();
    if (rest !== null) found.push(rest);
    // Where a piece ends between the two, "\r\n" is told as "\r".
    const strip = (line: string): string => line.replace(/\r$/, "");
    assertEquals(found.map(strip), expectation.map(strip));
  }
});
