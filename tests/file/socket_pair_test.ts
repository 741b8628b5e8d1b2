/** Issue 18, 11: two connected sockets, for a protocol of one's own; and strings wherever bytes are taken (9). */

import { Buffer } from "node:buffer";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ClosedError, Command, OSFile, pipe, socketPair, SyscallError } from "../../mod.ts";
import {
  decode,
  Directory,
  encode,
  helper,
  noise,
  readAll,
  runScript,
  runtime,
  sh,
  wrong,
} from "../helper.ts";
import { needsPython, python } from "../python.ts";
import { inheritable, withoutLeaks } from "../holdings.ts";

test("issue 18, 9: a string is written as its UTF-8, and counts in bytes", async () => {
  using directory = new Directory();
  const path = directory.join("file");
  using file = OSFile.open(path, "w");
  const text = "grüße 🎉\n";
  const length = encode(text).length;
  assertEquals(await file.writeString(text), length);
  assertEquals(await file.write(text), length);
  assertEquals(file.writeSync(text), length);
  assertEquals([await file.writeString(""), await file.write(""), file.writeSync("")], [0, 0, 0]);
  const writer = file.writable.getWriter();
  await writer.write(text);
  await writer.write(encode("bytes\n"));
  await writer.close();
  assertEquals(await readAll(OSFile.open(path)), text.repeat(4) + "bytes\n");
  await assertRejects(() => file.writeString("x"), ClosedError);
  const [reading, writing] = pipe();
  assertThrows(() => writing.writeString(wrong(encode("x"))), TypeError, "is not a string");
  // What is no UTF-8 stands in a string as half of a surrogate pair: as in every other text.
  await writing.write("\udcff\ud800");
  writing.close();
  const buffer = new Uint8Array(9);
  assertEquals([...buffer.subarray(0, await reading.read(buffer) ?? 0)], [0xff, 0xef, 0xbf, 0xbd]);
  reading.close();
});

test("issue 18, 9: strings to a child's stdin keep their order with bytes", async () => {
  const cat = new Command("cat");
  const stdin = cat.stdinPipe();
  const output = cat.stdoutPipe();
  cat.start();
  const writes = [stdin.writeString("a"), stdin.write(encode("b")), stdin.write("c")];
  await Promise.all(writes);
  stdin.close();
  assertEquals(await readAll(output), "abc");
  output.close();
  await cat.wait();
});

test("socketPair: what is written to one is read from the other, both ways", async () => {
  await withoutLeaks(async () => {
    const [one, other] = socketPair();
    assertEquals(inheritable().filter((fd) => fd === one.fd || fd === other.fd), []);
    const bytes = noise(3_000_000);
    const read = async (file: OSFile): Promise<Uint8Array> => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of file) chunks.push(chunk);
      return new Uint8Array(await new Blob(chunks.map((chunk) => chunk.slice())).arrayBuffer());
    };
    const send = async (file: OSFile): Promise<void> => {
      await file.write(bytes);
      file.closeWrite();
    };
    const [, , forth, back] = await Promise.all([send(one), send(other), read(other), read(one)]);
    assert(Buffer.compare(forth, bytes) === 0 && Buffer.compare(back, bytes) === 0);
    // Closed for writing is not closed.
    assertEquals([one.closed, await one.read(new Uint8Array(1))], [false, null]);
    await assertRejects(() => one.write("x"), SyscallError, "broken pipe");
    one.close();
    other.close();
    await assertRejects(() => one.write("x"), ClosedError);
    assertThrows(() => one.closeWrite(), ClosedError);
  });
});

test("socketPair: a read waits for the other side without holding the thread up, and a close ends it", async () => {
  const [one, other] = socketPair();
  const buffer = new Uint8Array(16);
  const pending = one.read(buffer);
  await other.writeString("late");
  assertEquals(decode(buffer.subarray(0, await pending ?? 0)), "late");
  const ended = one.read(buffer);
  other.close();
  assertEquals(await ended, null);
  one.close();
});

test("socketPair: a child that has it as stdin and stdout answers over it", async () => {
  const [ours, theirs] = socketPair();
  const child = sh('while read -r line; do echo "<$line>"; done', {
    stdin: theirs,
    stdout: theirs,
  });
  child.start();
  theirs.close();
  await ours.writeString("one\ntwo\n");
  const lines = ours.lines();
  assertEquals([(await lines.next()).value, (await lines.next()).value], ["<one>", "<two>"]);
  await ours.writeString("three\n");
  assertEquals((await lines.next()).value, "<three>");
  ours.closeWrite();
  assertEquals((await lines.next()).done, true);
  await child.wait();
  ours.close();
});

test("socketPair: packets keep their boundaries, to a child and back", needsPython, async () => {
  const [ours, theirs] = socketPair("packet");
  // A read(2) of 64 KiB takes one packet and no more.
  const script = `
import os
while True:
    packet = os.read(3, 65536)
    if not packet: break
    os.write(3, b"%d" % len(packet))
`;
  const child = new Command(python, ["-c", script], { extraFiles: [theirs], stderr: "inherit" });
  child.start();
  theirs.close();
  const sizes = [1, 20_000, 3, 4096, 4097];
  const writes = sizes.map((size) => ours.write(new Uint8Array(size)));
  assertEquals(await Promise.all(writes), sizes);
  const answers: number[] = [];
  for await (const chunk of ours) {
    answers.push(Number(decode(chunk)));
    if (answers.length === sizes.length) break;
  }
  assertEquals(answers, sizes);
  ours.close();
  await child.wait();
});

test("socketPair: a large packet is read whole, and what does not fit into a buffer is lost", async () => {
  const [one, other] = socketPair("packet");
  const large = noise(150_000);
  await one.write(large);
  await one.writeString("next");
  const iterator = other[Symbol.asyncIterator]();
  assertEquals((await iterator.next()).value, large);
  assertEquals(decode((await iterator.next()).value), "next");
  await one.writeString("123456");
  await one.writeString("seven");
  const buffer = new Uint8Array(3);
  assertEquals([await other.read(buffer), decode(buffer)], [3, "123"]);
  assertEquals([other.readSync(buffer), decode(buffer)], [3, "sev"]);
  const error = await assertRejects(() => one.write(new Uint8Array(100_000_000)), SyscallError);
  assertEquals(error.code, "EMSGSIZE");
  // Overlapping ones wait for room, and come one by one.
  const writes = Array.from(
    { length: 40 },
    (_, index) => one.write(new Uint8Array(10_000 + index)),
  );
  for (let index = 0; index < 40; index++) {
    assertEquals((await iterator.next()).value?.length, 10_000 + index);
  }
  await Promise.all(writes);
  one.close();
  other.close();
});

test("socketPair: writing when the other end is closed is EPIPE by name, and no signal", async () => {
  const { code, stdout } = await runScript(`
    import process from "node:process";
    const listener = () => {};
    // From its last listener's going on the runtimes leave SIGPIPE at its default.
    process.on("SIGPIPE", listener);
    process.removeListener("SIGPIPE", listener);
    for (const type of ["stream", "packet"]) {
      const [one, other] = osexec.socketPair(type);
      other.close();
      for (const write of [() => one.write("x"), () => one.writeSync("x")]) {
        try {
          await write();
          console.log("written");
        } catch (error) {
          console.log(type, error.name, error.code, error.syscall);
        }
      }
      one.close();
    }
  `);
  const lines = ["stream", "packet"].map((type) => `${type} SyscallError EPIPE write\n`.repeat(2));
  assertEquals([code, stdout], [0, lines.join("")]);
});

test("socketPair: what the other end had not read is told by ECONNRESET", async () => {
  const [one, other] = socketPair();
  await one.writeString("never read");
  other.close();
  const error = await assertRejects(() => one.read(new Uint8Array(1)), SyscallError);
  assertEquals([error.code, error.message], [
    "ECONNRESET",
    "read socket|0: connection reset by peer",
  ]);
  one.close();
});

test("closeWrite() of what is no socket is ENOTSOCK", () => {
  const [reading, writing] = pipe();
  const error = assertThrows(() => writing.closeWrite(), SyscallError);
  assertEquals([error.code, error.syscall], ["ENOTSOCK", "shutdown"]);
  reading.close();
  writing.close();
});

test("a pair of another type is refused by name", () => {
  assertThrows(() => socketPair(wrong("datagram")), TypeError, "not datagram");
});

test("socketPair: no child but the one that is given an end has it", async () => {
  const [one, other] = socketPair();
  assertEquals((await new Command(helper, ["fds"]).text()).includes("socket:"), false);
  const given = await new Command(helper, ["fds"], { extraFiles: [other] }).text();
  assertEquals(given.match(/socket:/g)?.length, 1);
  one.close();
  other.close();
});

test("socketPair: a packet is one also where a kernel writes to no socket without waiting", async () => {
  const source = `
    const [one, other] = osexec.socketPair("packet");
    const [stream, end] = osexec.socketPair();
    console.log(await one.write(new Uint8Array(20_000)));
    console.log(await other.read(new Uint8Array(30_000)));
    const pending = stream.write(new Uint8Array(1_000_000));
    let total = 0;
    while (total < 1_000_000) total += await end.read(new Uint8Array(65_536));
    console.log(await pending, total);
  `;
  // Linux < 4.14, and a sandbox that knows neither call.
  const rules = ["preadv2", "ENOSYS", "pwritev2", "ENOSYS"];
  const { stdout, stderr } = await runScript(source, {
    runtime: [helper, "deny", ...rules, "--", ...runtime],
  });
  assertEquals([stdout, stderr], ["20000\n20000\n1000000 1000000\n", ""]);
});
