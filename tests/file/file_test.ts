import fs from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { ClosedError, Command, type OpenFlags, OSFile, pipe, SyscallError } from "../../mod.ts";
import { decode, Directory, encode, isRoot, noise, readAll, sh, wrong } from "../helper.ts";
import { descriptors, withoutLeaks } from "../holdings.ts";
import { needsCall } from "../refused.ts";

/** What the kernel knows of an open file: its flags. */
function flagsOf(file: OSFile): number {
  const info = fs.readFileSync(`/proc/self/fdinfo/${file.fd}`, "utf8");
  return parseInt(/^flags:\s*(\d+)$/m.exec(info)?.[1] ?? "", 8);
}

const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;

test("each way to open does what it says to a file that is there", () => {
  using directory = new Directory();
  const rows: [flags: OpenFlags, reads: boolean, writes: boolean, after: string][] = [
    ["r", true, false, "old"],
    ["r+", true, true, "new"],
    ["w", false, true, "new"],
    ["w+", true, true, "new"],
    ["a", false, true, "oldnew"],
    ["a+", true, true, "oldnew"],
    [0, true, false, "old"],
    [1, false, true, "new"],
    [2 | 0o2000, true, true, "oldnew"],
  ];
  for (const [flags, reads, writes, after] of rows) {
    const path = directory.file("file", "old");
    using file = OSFile.open(path, flags);
    const name = `opened ${flags}`;
    if (reads) file.readSync(new Uint8Array(0));
    else assertThrows(() => file.readSync(new Uint8Array(1)), SyscallError, "bad file descriptor");
    if (writes) assertEquals(file.writeSync(encode("new")), 3, name);
    else assertThrows(() => file.writeSync(encode("x")), SyscallError, "bad file descriptor");
    assertEquals(fs.readFileSync(path, "utf8"), after, name);
    assertEquals(flagsOf(file) & O_CLOEXEC, O_CLOEXEC, name);
  }
});

test("each way to open does what it says where there is no file yet", () => {
  using directory = new Directory();
  const rows: [flags: OpenFlags, creates: boolean][] = [
    ["r", false],
    ["r+", false],
    ["w", true],
    ["w+", true],
    ["a", true],
    ["a+", true],
    ["wx", true],
    ["ax", true],
    [1 | 0o100, true],
  ];
  for (const [flags, creates] of rows) {
    const path = directory.join(`file-${flags}`);
    if (creates) {
      OSFile.open(path, flags).close();
      assertEquals(fs.readFileSync(path, "utf8"), "");
      // Now that it is there.
      if (flags !== "wx" && flags !== "ax") continue;
      const error = assertThrows(() => OSFile.open(path, flags), SyscallError, "file exists");
      assertEquals(error.code, "EEXIST");
    } else {
      const error = assertThrows(() => OSFile.open(path, flags), SyscallError);
      assertEquals([error.syscall, error.code, error.errno, error.path], [
        "open",
        "ENOENT",
        2,
        path,
      ]);
      assertEquals(error.message, `open ${path}: no such file or directory`);
    }
  }
});

test("a new file has the mode it is given, under the umask", () => {
  using directory = new Directory();
  const umask = process.umask();
  const rows: [name: string, mode: number | undefined, expected: number][] = [
    ["default", undefined, 0o666 & ~umask],
    ["private", 0o600, 0o600 & ~umask],
    ["all", 0o777, 0o777 & ~umask],
  ];
  for (const [name, mode, expected] of rows) {
    const path = directory.join(name);
    OSFile.open(path, "w", mode).close();
    assertEquals(fs.statSync(path).mode & 0o777, expected, name);
  }
});

test("what cannot be opened is refused, and leaves nothing open", async () => {
  using directory = new Directory();
  await withoutLeaks(() => {
    assertThrows(() => OSFile.open("/tmp\0/x"), SyscallError, "invalid argument");
    assertThrows(() => OSFile.open(directory.path, "w"), SyscallError, "is a directory");
    assertThrows(() => OSFile.open(directory.file("file"), wrong<OpenFlags>("rw")), TypeError);
    assertThrows(
      () => OSFile.open(directory.file("file"), wrong<OpenFlags>("toString")),
      TypeError,
    );
  });
});

test("an open file knows its name and its number, until it is closed", () => {
  using directory = new Directory();
  const path = directory.file("file");
  const file = OSFile.open(path);
  assertEquals([file.name, file.closed], [path, false]);
  assertEquals(descriptors().get(file.fd), path);
  const { fd } = file;
  file.close();
  assertEquals([file.name, file.closed, file.fd], [path, true, -1]);
  assertEquals(descriptors().get(fd), undefined);
});

test("closing again does nothing, not even to who has got the number since", () => {
  const first = OSFile.open("/dev/null");
  const { fd } = first;
  first.close();
  const second = OSFile.open("/dev/zero");
  assertEquals(second.fd, fd);
  first.close();
  first[Symbol.dispose]();
  assertEquals(descriptors().get(fd), "/dev/zero");
  second.close();
});

test("disposal closes", () => {
  let fd: number;
  {
    using file = OSFile.open("/dev/null");
    fd = file.fd;
  }
  assertEquals(descriptors().get(fd), undefined);
});

test("a descriptor can be taken over, and is closed with its file", () => {
  const [reading, writing] = pipe();
  const taken = OSFile.fromFd(reading.fd, "mine");
  assertEquals([taken.fd, taken.name], [reading.fd, "mine"]);
  taken.close();
  assertEquals(descriptors().get(reading.fd), undefined);
  const error = assertThrows(() => writing.writeSync(encode("x")), SyscallError);
  assertEquals(error.code, "EPIPE");
  writing.close();
  for (const fd of [-1, -100]) assertThrows(() => OSFile.fromFd(fd), RangeError);
  for (const fd of [1.5, NaN, wrong<number>("1")]) assertThrows(() => OSFile.fromFd(fd), TypeError);
});

test("a file that is taken over is not made non-blocking, and works all the same", async () => {
  const child = sh("sleep 0.05; echo late");
  const stdout = child.stdoutPipe();
  child.start();
  const taken = OSFile.fromFd(stdout.fd);
  assertEquals(await readAll(taken), "late\n");
  assertEquals(flagsOf(taken) & O_NONBLOCK, 0);
  await child.wait();
  taken.close();
});

test("a pipe's ends are close-on-exec, and named as Go names them", () => {
  const [reading, writing] = pipe();
  for (const end of [reading, writing]) assertEquals(flagsOf(end) & O_CLOEXEC, O_CLOEXEC);
  assertEquals([reading.name, writing.name], ["|0", "|1"]);
  reading.close();
  writing.close();
});

test("a read answers what is there, up to the buffer's length, and null at the end", async () => {
  for (const mode of ["read", "readSync"] as const) {
    const [reading, writing] = pipe();
    writing.writeSync(encode("12345"));
    const buffer = new Uint8Array(3);
    assertEquals([await reading[mode](buffer), decode(buffer)], [3, "123"]);
    assertEquals([await reading[mode](buffer), decode(buffer)], [2, "453"]);
    assertEquals(await reading[mode](new Uint8Array(0)), 0);
    writing.close();
    assertEquals(await reading[mode](new Uint8Array(0)), 0);
    assertEquals([await reading[mode](buffer), await reading[mode](buffer)], [null, null]);
    reading.close();
  }
});

test("a read waits for what is not there yet", async () => {
  const [reading, writing] = pipe();
  const buffer = new Uint8Array(10);
  const pending = reading.read(buffer);
  await writing.write(encode("now"));
  assertEquals([await pending, decode(buffer.subarray(0, 3))], [3, "now"]);
  const child = sh("sleep 0.05; echo later", { stdout: writing });
  child.start();
  assertEquals(reading.readSync(buffer), 6);
  const ended = reading.read(buffer);
  writing.close();
  assertEquals(await ended, null);
  await child.wait();
  reading.close();
});

test("overlapping reads are served in order, and so are overlapping writes", async () => {
  const [reading, writing] = pipe();
  const buffers = Array.from({ length: 5 }, () => new Uint8Array(2));
  const reads = buffers.map((buffer) => reading.read(buffer));
  const writes = ["aa", "bb", "cc", "dd", "ee"].map((text) => writing.write(encode(text)));
  assertEquals(await Promise.all(writes), [2, 2, 2, 2, 2]);
  assertEquals(await Promise.all(reads), [2, 2, 2, 2, 2]);
  assertEquals(buffers.map(decode), ["aa", "bb", "cc", "dd", "ee"]);
  const big = noise(300_000);
  const parts = [big.subarray(0, 200_000), big.subarray(200_000)];
  const written = Promise.all(parts.map((part) => writing.write(part))).then(() => writing.close());
  const chunks: number[] = [];
  for await (const chunk of reading) for (const byte of chunk) chunks.push(byte);
  await written;
  assertEquals(chunks.length, big.length);
  assert(chunks.every((byte, index) => byte === big[index]));
  reading.close();
});

test("a file that is waited for in both directions hears of each", async () => {
  using directory = new Directory();
  const path = directory.join("fifo");
  await new Command("mkfifo", [path]).run();
  using file = OSFile.open(path, "r+");
  const buffer = new Uint8Array(100_000);
  // More than it holds, so that the write waits too, and is ready when the read is not.
  const written = file.write(new Uint8Array(200_000));
  let length = 0;
  while (length < 200_000) length += await file.read(buffer) ?? 0;
  assertEquals([await written, length], [200_000, 200_000]);
  const last = file.read(buffer);
  assertEquals([await file.write(encode("x")), await last], [1, 1]);
});

test("a write takes all it is given, however little the pipe holds", async () => {
  const big = noise(3_000_000);
  const [reading, writing] = pipe();
  const writes = writing.write(big).then((length) => {
    writing.close();
    return length;
  });
  let length = 0;
  for await (const chunk of reading) length += chunk.length;
  assertEquals([await writes, length], [big.length, big.length]);
  reading.close();
  assertEquals(await sized((file) => file.write(new Uint8Array(0))), 0);
  assertEquals(await sized((file) => file.writeSync(new Uint8Array(0))), 0);
});

test("a synchronous write takes all it is given, from a reader in another process", async () => {
  const command = sh("wc -c");
  const stdin = command.stdinPipe();
  const stdout = command.stdoutPipe();
  command.start();
  // Once asynchronously, so that the pipe is non-blocking.
  await stdin.write(encode("x"));
  assertEquals(stdin.writeSync(new Uint8Array(2_000_000)), 2_000_000);
  stdin.close();
  assertEquals((await readAll(stdout)).trim(), "2000001");
  await command.wait();
  stdout.close();
});

test("a write that nobody reads fails with EPIPE, every time, and raises no signal", async () => {
  const [reading, writing] = pipe();
  reading.close();
  for (let round = 0; round < 3; round++) {
    const error = await assertRejects(() => writing.write(encode("x")), SyscallError);
    assertEquals([error.syscall, error.code, error.message], [
      "write",
      "EPIPE",
      "write |1: broken pipe",
    ]);
    assertThrows(() => writing.writeSync(encode("x")), SyscallError, "broken pipe");
  }
  writing.close();
});

test("what the kernel refuses names the call and the file", async () => {
  using directory = OSFile.open("/tmp", "r");
  const text = "read /tmp: is a directory";
  await assertRejects(() => directory.read(new Uint8Array(1)), SyscallError, text);
  assertThrows(() => directory.readSync(new Uint8Array(1)), SyscallError, text);
  await assertRejects(async () => await readAll(directory), SyscallError, text);
  using readOnly = OSFile.open("/dev/null", "r");
  await assertRejects(() => readOnly.write(encode("x")), SyscallError, "bad file descriptor");
});

test("a closed file refuses everything", async () => {
  const [file, other] = pipe();
  file.close();
  other.close();
  const buffer = new Uint8Array(1);
  const read = "read |0: file already closed";
  await assertRejects(() => file.read(buffer), ClosedError, read);
  await assertRejects(() => file.read(new Uint8Array(0)), ClosedError, read);
  await assertRejects(() => other.write(buffer), ClosedError, "write |1: file already closed");
  await assertRejects(() => other.write(new Uint8Array(0)), ClosedError);
  assertThrows(() => file.readSync(buffer), ClosedError, read);
  assertThrows(() => file.readSync(new Uint8Array(0)), ClosedError, read);
  assertThrows(() => other.writeSync(buffer), ClosedError);
  assertThrows(() => other.writeSync(new Uint8Array(0)), ClosedError);
  await assertRejects(async () => await readAll(file), ClosedError);
  await assertRejects(async () => await file.lines()[Symbol.asyncIterator]().next(), ClosedError);
});

test("a close rejects every read and write that is pending", async () => {
  const [reading, writing] = pipe();
  const reads = [reading.read(new Uint8Array(1)), reading.read(new Uint8Array(1))];
  // More than the pipe holds.
  const writes = [writing.write(new Uint8Array(2_000_000)), writing.write(new Uint8Array(1))];
  const [other, idle] = pipe();
  const waiting = other.read(new Uint8Array(1));
  assertEquals(await reads[0], 1);
  assertEquals(await reads[1], 1);
  writing.close();
  for (const write of writes) await assertRejects(() => write, ClosedError, "write |1");
  other.close();
  await assertRejects(() => waiting, ClosedError, "read |0: file already closed");
  reading.close();
  idle.close();
});

test("a file that has got a closed one's number is not disturbed by it", async () => {
  const [reading, writing] = pipe();
  const { fd } = reading;
  const waiting = assertRejects(() => reading.read(new Uint8Array(1)), ClosedError);
  await Promise.resolve();
  reading.close();
  const [again, writingAgain] = pipe();
  assertEquals([again, writingAgain].some((end) => end.fd === fd), true);
  const fresh = again.read(new Uint8Array(1));
  await waiting;
  await writingAgain.write(new Uint8Array(1));
  assertEquals(await fresh, 1);
  for (const end of [writing, again, writingAgain]) end.close();
});

test("regular files and devices are read and written without waiting", async () => {
  using directory = new Directory();
  const path = directory.join("file");
  const bytes = noise(500_000);
  using writing = OSFile.open(path, "w");
  assertEquals(await writing.write(bytes), bytes.length);
  using reading = OSFile.open(path);
  const chunks: Uint8Array[] = [];
  for await (const chunk of reading) chunks.push(chunk);
  assert(new Uint8Array(await new Blob(chunks.map((chunk) => chunk.slice())).arrayBuffer())
    .every((byte, index) => byte === bytes[index]));
  using zero = OSFile.open("/dev/zero");
  assertEquals(await zero.read(new Uint8Array(100)), 100);
});

test("a file that is always ready leaves timers their turn", async () => {
  using zero = OSFile.open("/dev/zero");
  let fired = false;
  setTimeout(() => fired = true, 0);
  const buffer = new Uint8Array(1);
  let reads = 0;
  while (!fired && reads < 1_000_000) reads += await zero.read(buffer) ?? 0;
  assertEquals(fired, true);
});

test("leaving a loop over the chunks early leaves the file open, and the rest in it", async () => {
  const [reading, writing] = pipe();
  await writing.write(encode("first"));
  for await (const chunk of reading) {
    assertEquals(decode(chunk), "first");
    break;
  }
  await writing.write(encode("second"));
  writing.close();
  assertEquals([reading.closed, await readAll(reading)], [false, "second"]);
  reading.close();
});

test("readable is one stream, whose end closes the file", async () => {
  const [reading, writing] = pipe();
  assertStrictEquals(reading.readable, reading.readable);
  writing.writeSync(encode("text"));
  writing.close();
  assertEquals(await new Response(reading.readable).text(), "text");
  assertEquals(reading.closed, true);
});

test("cancelling readable closes the file, and closing the file fails the stream", async () => {
  const [reading, writing] = pipe();
  await reading.readable.cancel();
  assertEquals(reading.closed, true);
  writing.close();
  const [other, idle] = pipe();
  const reader = other.readable.getReader();
  const pending = assertRejects(() => reader.read(), ClosedError);
  await new Promise((resolve) => setTimeout(resolve, 0));
  other.close();
  await pending;
  idle.close();
});

test("writable is one stream, and closing or aborting it closes the file", async () => {
  const [reading, writing] = pipe();
  assertStrictEquals(writing.writable, writing.writable);
  const writer = writing.writable.getWriter();
  await writer.write(encode("text"));
  await writer.close();
  assertEquals([writing.closed, await readAll(reading)], [true, "text"]);
  reading.close();
  const [rest, aborted] = pipe();
  await aborted.writable.abort(new Error("enough"));
  assertEquals([aborted.closed, await readAll(rest)], [true, ""]);
  rest.close();
});

test("one file can be piped into another", async () => {
  using directory = new Directory();
  const bytes = noise(300_000);
  const from = OSFile.open(directory.file("from", bytes));
  const to = OSFile.open(directory.join("to"), "w");
  await from.readable.pipeTo(to.writable);
  assertEquals([from.closed, to.closed], [true, true]);
  assert(fs.readFileSync(directory.join("to")).equals(bytes));
});

/** What such a write to a file comes to. */
async function sized(write: (file: OSFile) => number | Promise<number>): Promise<number> {
  using file = OSFile.open("/dev/null", "w");
  return await write(file);
}

test("F17: fromFd() may take a duplicate, and detach() gives a descriptor back", async () => {
  using directory = new Directory();
  const path = directory.file("file", "abc");
  const number = fs.openSync(path, "r");
  const twin = OSFile.fromFd(number, "twin", { dup: true });
  assert(twin.fd !== number);
  twin.close();
  // The host's own, whatever account it keeps of it.
  assertEquals(fs.readSync(number, new Uint8Array(9)), 3);
  fs.closeSync(number);
  const next = fs.openSync(path, "r");
  assertEquals(fs.readSync(next, new Uint8Array(9)), 3);
  fs.closeSync(next);
  const [reading, writing] = pipe();
  const pending = reading.read(new Uint8Array(1));
  const { fd } = reading;
  assertEquals([reading.detach(), reading.closed, reading.fd], [fd, true, -1]);
  await assertRejects(() => pending, ClosedError);
  assertThrows(() => reading.detach(), ClosedError);
  await writing.write(encode("x"));
  const again = OSFile.fromFd(fd);
  assertEquals(await again.read(new Uint8Array(9)), 1);
  again.close();
  writing.close();
  assertThrows(() => OSFile.fromFd(fd, "gone", { dup: true }), SyscallError, "dup gone: bad file");
});

test("T14: arrays of 2 GiB and more are read into and written as far as the kernel takes at once", {
  // It takes some seconds.
  skip: needsCall() || (isRoot ? false : "once for each runtime is enough"),
}, async () => {
  const big = new Uint8Array(2 ** 31 + 10);
  const [reading, writing] = pipe();
  writing.writeSync(new Uint8Array([1, 2, 3, 4, 5]));
  assertEquals(await reading.read(big), 5);
  writing.writeSync(new Uint8Array([6, 7]));
  assertEquals(reading.readSync(big), 2);
  assertEquals([...big.subarray(0, 5)], [6, 7, 3, 4, 5]);
  reading.close();
  writing.close();
  const count = new Command("wc", ["-c"], { stdin: big });
  assertEquals(Number(await count.text()), big.length);
  assertEquals(
    Number(new TextDecoder().decode(new Command("wc", ["-c"], { stdin: big }).outputSync())),
    big.length,
  );
});
