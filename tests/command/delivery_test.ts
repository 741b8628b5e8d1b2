/** "streams 4" to "11" and "20": a byte is delivered, or an error says that it was not. */

import fs from "node:fs";
import { createServer } from "node:net";
import { Writable } from "node:stream";
import { runInNewContext } from "node:vm";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { Lend } from "../../ffi/abi.ts";
import { library } from "../../ffi/library.ts";
import {
  Command,
  type Data,
  ExitError,
  OSFile,
  pipe,
  ShortWriteError,
  type Stdin,
  type Stdout,
  WaitDelayError,
} from "../../mod.ts";
import { check } from "../../src/native.ts";
import {
  decode,
  Directory,
  encode,
  isDeno,
  noise,
  readAll,
  runScript,
  sh,
  Sink,
  until,
  wrong,
} from "../helper.ts";
import { withoutLeaks } from "../holdings.ts";

const O_NONBLOCK = 0o4000;

/** The flags of one of this process's descriptors, as open(2) has them. */
function isNonblocking(fd: number): boolean {
  const info = fs.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
  return (parseInt(/^flags:\s*(\d+)/m.exec(info)?.[1] ?? "0", 8) & O_NONBLOCK) !== 0;
}

/** As another child may have left it, or the host. */
function makeNonblocking(fd: number): void {
  check(library().osexec_lend(fd, Lend.back), "fcntl");
  assert(isNonblocking(fd));
}

/** Whether the child of `script` sees its descriptors 0, 1 and 3 as O_NONBLOCK; told by its stderr. */
const flags = "for n in 0 1 3; do grep -s flags: /proc/$$/fdinfo/$n >&2; done; true";

function nonblockingOf(text: string): boolean[] {
  return [...text.matchAll(/flags:\s*(\d+)/g)].map(([, octal = ""]) =>
    (parseInt(octal, 8) & O_NONBLOCK) !== 0
  );
}

test("streams 4: a child's descriptors are blocking, whoever has made them O_NONBLOCK", async () => {
  using directory = new Directory();
  const path = directory.join("fifo");
  await new Command("mkfifo", [path]).run();
  using fifo = OSFile.open(path, "r+");
  const [reading, writing] = pipe();
  for (const run of ["run", "runSync"] as const) {
    for (const each of [fifo, { fd: fifo.fd }, fifo.fd]) {
      for (const { fd } of [fifo, reading, writing]) makeNonblocking(fd);
      const stderr = new Sink();
      const command = sh(flags, { stdin: reading, stdout: writing, extraFiles: [each], stderr });
      await command[run]();
      assertEquals(nonblockingOf(stderr.text()), [false, false, false]);
    }
  }
  for (const end of [reading, writing]) end.close();
});

test("streams 4: a socket that is no stdio of the child's stays as it is, one that is becomes blocking", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert(typeof address === "object" && address !== null);
  const script = `
    import net from "node:net";
    import fs from "node:fs";
    const sockets = () => fs.readdirSync("/proc/self/fd").map(Number).filter((fd) => {
      try { return fs.readlinkSync("/proc/self/fd/" + fd).startsWith("socket:"); } catch { return false; }
    });
    const before = new Set(sockets());
    const socket = net.connect(${address.port}, "127.0.0.1");
    await new Promise((resolve) => socket.once("connect", resolve));
    const fd = sockets().find((fd) => !before.has(fd));
    const err = [];
    const stderr = { write(chunk) { err.push(new TextDecoder().decode(chunk)); } };
    await new osexec.Command("sh", ["-c", ${
    JSON.stringify(flags)
  }], { extraFiles: [fd], stderr }).run();
    await new osexec.Command("sh", ["-c", ${JSON.stringify(flags)}], { stdin: fd, stderr }).run();
    console.log(err.join(""));
    socket.destroy();`;
  const result = await runScript(script);
  server.close();
  assertEquals(result.stderr, "");
  assertEquals(nonblockingOf(result.stdout), [false, false, true, false, false]);
});

test("streams 4: what exec() becomes has blocking stdio, and a failing one leaves it as it was", async () => {
  const script = `
    import { library } from ${
    JSON.stringify(new URL("../../ffi/library.ts", import.meta.url).href)
  };
    library().osexec_lend(1, ${Lend.back});
    try { osexec.exec("/nonexistent", ["x"]); } catch {}
    const flags = (await import("node:fs")).readFileSync("/proc/self/fdinfo/1", "utf8");
    (await import("node:fs")).writeSync(2, flags);
    osexec.exec("/bin/sh", ["sh", "-c", "grep flags: /proc/$$/fdinfo/1 >&2"]);`;
  const { stderr } = await runScript(script);
  assertEquals(nonblockingOf(stderr), [true, false]);
});

test("streams 4: a pipe's number tells nothing of the next one's that gets it", async () => {
  for (let round = 0; round < 3; round++) {
    const [reading, writing] = pipe();
    const pending = reading.read(new Uint8Array(1));
    writing.writeSync(encode("x"));
    assertEquals(await pending, 1);
    // Behind its back, as a host may.
    const { fd } = reading;
    check(library().osexec_close(fd), "close");
    using next = pipe()[0];
    assertEquals(next.fd, fd);
    let turned = false;
    setTimeout(() => turned = true, 1);
    const hanging = next.read(new Uint8Array(1)).catch(() => {});
    await until(() => turned);
    next.close();
    await hanging;
    writing.close();
  }
});

// ------------------------------------------------------------------ 5: short writes

const sizes = [0, 1, 100_000, 3_000_000];

test("streams 5: what a Writer has not taken is written again", async () => {
  for (const size of sizes) {
    const data = noise(size);
    for (const later of [false, true]) {
      const sink = new Sink();
      const stdout = {
        write(chunk: Uint8Array): number | Promise<number> {
          const count = Math.min(chunk.length, 1 + chunk.length * 2 / 3 | 0);
          sink.write(chunk.slice(0, count));
          return later ? Promise.resolve(count) : count;
        },
      };
      await new Command("cat", [], { stdin: data, stdout }).run();
      assertEquals(sink.bytes(), data);
      if (later) continue;
      sink.chunks.length = 0;
      new Command("cat", [], { stdin: data, stdout }).runSync();
      assertEquals(sink.bytes(), data);
    }
  }
});

test("streams 5: a Writer that takes nothing is an error", async () => {
  for (const answer of [0, -1]) {
    const stdout = { write: () => answer };
    const error = await assertRejects(() => sh("echo x; exit 0", { stdout }).run());
    assert(error instanceof ShortWriteError, `${error}`);
    assertEquals(error.message, `short write: ${answer} of 2 bytes`);
    assertThrows(() => sh("echo x", { stdout }).runSync(), ShortWriteError);
    const later = { write: () => Promise.resolve(answer) };
    await assertRejects(() => sh("echo x", { stdout: later }).run(), ShortWriteError);
  }
});

test("streams 5: a number that cannot be a count of the chunk says nothing", async () => {
  for (const answer of [NaN, 0.5, 1e9, Infinity]) {
    await sh("echo x", { stdout: { write: () => answer } }).run();
  }
});

// ------------------------------------------------------------------ 6: Blobs

interface BunFiles {
  file(path: string | number): Blob;
}
const { Bun: bun } = wrong<{ Bun?: BunFiles }>(globalThis);

test("streams 6: a Bun.file(path) is opened as a file", {
  skip: bun === undefined && "needs Bun",
}, async () => {
  assert(bun !== undefined);
  using directory = new Directory();
  const data = noise(3_000_000);
  const from = directory.file("from", data);
  const to = directory.file("to", "what was there before, and is longer");
  for (const run of ["run", "runSync"] as const) {
    const command = new Command("cat", [], { stdin: bun.file(from), stdout: bun.file(to) });
    await command[run]();
    assertEquals(new Uint8Array(fs.readFileSync(to)), data);
  }
  await sh("echo out; echo err >&2", { stdout: bun.file(to), stderr: "stdout" }).run();
  assertEquals(fs.readFileSync(to, "utf8"), "out\nerr\n");
  await assertRejects(() =>
    new Command("cat", [], { stdin: bun.file(directory.join("none")) }).run()
  );
});

test("streams 6: any other Blob is refused by name as an output", () => {
  const blobs: Blob[] = [new Blob(["x"]), new File(["x"], "name")];
  if (bun !== undefined) blobs.push(bun.file(1));
  for (const stdout of blobs) {
    assertThrows(() => sh("true", { stdout }).start(), TypeError, "stdout is a Blob");
    assertThrows(() => sh("true", { stderr: stdout }).runSync(), TypeError, "stderr is a Blob");
  }
});

// ------------------------------------------------------------------ 7: Node's Writables

test("streams 7: Node's Writable holds the child back, and all of it arrives", async () => {
  let taken = 0;
  let most = 0;
  const stdout = new Writable({
    highWaterMark: 1024,
    write(chunk: Uint8Array, _encoding, done) {
      taken += chunk.length;
      most = Math.max(most, stdout.writableLength);
      setTimeout(done, 0);
    },
  });
  await new Command("head", ["-c", "20000000", "/dev/zero"], { stdout }).run();
  assertEquals(taken, 20_000_000);
  assert(most <= 1024 * 1024, `${most} bytes were held`);
  assertEquals([stdout.listenerCount("error"), stdout.listenerCount("close")], [0, 0]);
  assert(!stdout.destroyed);
});

test("streams 7: a Writable that fails, or is closed, ends the copying with its error", async () => {
  const full = new Error("disk full");
  const failing = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done(full) });
  const stdout = failing();
  const error = await assertRejects(() => new Command("yes", [], { stdout }).run(), ExitError);
  assertEquals([error.message, error.cause], [
    "/usr/bin/yes: signal: broken pipe: disk full",
    full,
  ]);
  assertStrictEquals(await assertRejects(() => sh("echo x", { stdout: failing() }).run()), full);

  const closed = new Writable({ write() {} });
  const command = sh("echo x; exec sleep 0", { stdout: closed });
  command.start();
  setTimeout(() => closed.destroy(), 10);
  await assertRejects(() => command.wait());
});

test("streams 7: a synchronous run refuses Node's Writable by name", () => {
  const stdout = new Writable({ write() {} });
  assertThrows(() => sh("echo x", { stdout }).runSync(), TypeError, "Writable of Node's");
});

// ------------------------------------------------------------------ 9: bytes that change

test("streams 9: bytes whose buffer is gone before they are written are an error", async () => {
  const bytes = new Uint8Array(3_000_000);
  const command = new Command("sh", ["-c", "head -c 1000; read line <&3; cat"], {
    stdin: bytes,
    stdout: new Sink(),
    extraFiles: [],
  });
  const [hold, release] = pipe();
  command.extraFiles = [hold];
  command.start();
  hold.close();
  structuredClone(bytes, { transfer: [bytes.buffer] });
  release.close();
  await assertRejects(() => command.wait(), TypeError, "transferred or resized");
});

test("streams 9: so are those of a write()", async () => {
  const [reading, writing] = pipe();
  const bytes = new Uint8Array(3_000_000);
  const write = writing.write(bytes);
  const buffer = new ArrayBuffer(3_000_000, { maxByteLength: 3_000_000 });
  const second = writing.write(new Uint8Array(buffer));
  structuredClone(bytes, { transfer: [bytes.buffer] });
  buffer.resize(10);
  const reads = readAll(reading);
  await assertRejects(() => write, TypeError, "transferred or resized");
  await assertRejects(() => second, TypeError, "transferred or resized");
  writing.close();
  await reads;
  reading.close();
});

// ------------------------------------------------------------------ 10: the end of waitDelay

/** What is printed is there, and somebody else holds the pipe. */
const holding = "echo last; sleep 60 3>&- & echo $! >&3";

async function expiring(stdout: Stdout): Promise<unknown> {
  const [pids, out] = pipe();
  const command = sh(holding, { stdout, waitDelay: 50, extraFiles: [out] });
  command.start();
  out.close();
  const error = await command.wait().then(() => "no error", (error) => error);
  process.kill(Number(await readAll(pids)), "SIGKILL");
  pids.close();
  return error;
}

test("streams 10: what has come until waitDelay's end is delivered to each kind of sink", async () => {
  const kinds: readonly ((sink: Sink) => Stdout)[] = [
    (sink) => sink,
    (sink) => ({
      async write(chunk) {
        await null;
        sink.write(chunk);
      },
    }),
    (sink) => new WritableStream({ write: (chunk) => sink.write(chunk) }),
    (sink) =>
      new Writable({
        write(chunk, _encoding, done) {
          sink.write(chunk);
          done();
        },
      }),
  ];
  for (const kind of kinds) {
    const sink = new Sink();
    const error = await expiring(kind(sink));
    assert(error instanceof WaitDelayError, `${error}`);
    assertEquals(sink.text(), "last\n");
  }
});

test("streams 10: what is only read at the end of waitDelay is delivered, or its failure told", async () => {
  const make = (write: (chunk: Uint8Array) => void): Stdout => {
    let calls = 0;
    return new WritableStream({
      write(chunk) {
        calls += 1;
        // It is busy with the first while the second comes, but not when the delay is over.
        return calls === 1 ? new Promise((resolve) => setTimeout(resolve, 10)) : write(chunk);
      },
    }, { highWaterMark: 0 });
  };
  const sink = new Sink();
  assert(await expiring(make((chunk) => sink.write(chunk))) instanceof WaitDelayError);
  const failure = new Error("no room");
  // The sink of a run that has ended in time otherwise: its own error is what is told.
  const failing = new WritableStream({ write: () => Promise.reject(failure) });
  assertStrictEquals(await expiring(failing), failure);
});

// ------------------------------------------------------------------ 11: views, and byte streams

test("streams 11: every view is its bytes, of another realm too", async () => {
  const views: (ArrayBufferView & { readonly length?: number })[] = [
    new Uint16Array([0x4241, 0x4443]),
    new DataView(encode("-ABCD-").buffer, 1, 4),
    runInNewContext("new Uint8Array([65, 66, 67, 68])"),
    runInNewContext("new Uint16Array([0x4241, 0x4443])"),
  ];
  for (const view of views) {
    const [reading, writing] = pipe();
    assertEquals(await writing.write(view), 4);
    assertEquals(writing.writeSync(view), 4);
    writing.close();
    assertEquals(await readAll(reading), "ABCDABCD");
    reading.close();
    assertEquals(await new Command("cat", [], { stdin: view }).text(), "ABCD");
    assertEquals(
      decode(new Command("cat", [], { stdin: [wrong<Uint8Array>(view)] }).outputSync()),
      "ABCD",
    );
    assertEquals(await new Command("cat", [], { input: view }).text(), "ABCD");
  }
  const target = new Uint16Array(2);
  const [reading, writing] = pipe();
  writing.writeSync(encode("ABCD"));
  assertEquals(await reading.read(target), 4);
  assertEquals([...target], [0x4241, 0x4443]);
  for (const end of [reading, writing]) end.close();
  assertThrows(() => writing.write(wrong<Uint8Array>(["text"])), TypeError);
});

test("streams 11: readable is a byte stream", async () => {
  const [reading, writing] = pipe();
  const reader = reading.readable.getReader({ mode: "byob" });
  writing.writeSync(encode("first"));
  const first = await reader.read(new Uint8Array(3));
  assertEquals(decode(first.value), "fir");
  const second = await reader.read(new Uint8Array(10));
  assertEquals(decode(second.value), "st");
  const pending = reader.read(new Uint8Array(10));
  writing.close();
  const last = await pending;
  assertEquals([last.done, last.value?.length], [true, 0]);
  assert(reading.closed);
});

// ------------------------------------------------------------------ 20: input

test("streams 20: input is data, whatever it says", async () => {
  for (const text of ["inherit", "null", "", "text"]) {
    assertEquals(await new Command("cat", [], { input: text }).text(), text);
    assertEquals(decode(new Command("cat", [], { input: text }).outputSync()), text);
  }
  const bytes = new Uint8Array([98, 121, 116, 101, 115]);
  const inputs: Data[] = [
    bytes,
    bytes.buffer,
    new Blob([bytes]),
    new Response("bytes"),
    new Request("http://x/", { method: "POST", body: "bytes" }),
    [bytes],
    new Blob([bytes]).stream(),
  ];
  for (const input of inputs) {
    assertEquals(await new Command("cat", [], { input }).text(), "bytes");
  }
  assertEquals(await new Command("cat", [], { input: new Response(null) }).text(), "");
});

test("streams 20: input and stdin exclude each other, a descriptor is no input, and a clone has it", async () => {
  await withoutLeaks(() => {
    assertThrows(() => sh("cat", { input: "x", stdin: "y" }).start(), TypeError, "exclude");
    for (const input of [0, { fd: 0 }, null, true, {}]) {
      assertThrows(() => sh("cat", { input: wrong<string>(input) }).start(), TypeError, "input");
    }
  });
  const command = new Command("cat", [], { input: "inherit" });
  assertThrows(() => command.stdinPipe(), Error, "Stdin already set");
  assertEquals(await command.clone().text(), "inherit");
  assert(command.explain().includes("pipe"));
  const used = new Response("x");
  await used.text();
  assertThrows(() => sh("cat", { input: used }).start(), TypeError, "read already");
  const stdin: Stdin = new Blob(["as stdin too"]);
  assertEquals(await new Command("cat", [], { stdin }).text(), "as stdin too");
});

test("streams 5: Deno's writers answer how much they took", {
  skip: !isDeno && "needs Deno",
}, async () => {
  const { Deno: deno } = wrong<
    {
      Deno: {
        open(
          path: string,
          options: object,
        ): Promise<Disposable & { write(p: Uint8Array): Promise<number> }>;
      };
    }
  >(globalThis);
  using directory = new Directory();
  const path = directory.join("file");
  const file = await deno.open(path, { write: true, create: true });
  await new Command("head", ["-c", "20000000", "/dev/zero"], { stdout: file }).run();
  file[Symbol.dispose]();
  assertEquals(fs.statSync(path).size, 20_000_000);
});
