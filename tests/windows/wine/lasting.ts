/** What is left under Wine when something was closed, given up, or ended: no handle, no thread, no wait. */

import process from "node:process";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ClosedError,
  Command,
  findProcess,
  OSFile,
  type Process,
  SpawnError,
  startProcess,
  SyscallError,
} from "../../../mod.ts";

const child = process.env.OSEXEC_CHILD_EXE ?? "";

function openKernel(): { GetHandleInformation(handle: number, flags: Uint32Array): number } {
  const { dlopen } = process.getBuiltinModule("bun:ffi") as unknown as {
    dlopen(name: string, symbols: object): { symbols: unknown };
  };
  const symbols = { GetHandleInformation: { args: ["i64_fast", "ptr"], returns: "i32" } };
  return dlopen("kernel32.dll", symbols).symbols as ReturnType<typeof openKernel>;
}

const kernel = openKernel();

/** How many handles this process has open, by asking of each value; Wine's GetProcessHandleCount says 0. */
function handles(): number {
  const flags = new Uint32Array(1);
  let count = 0;
  for (let value = 4; value < 16384; value += 4) {
    if (kernel.GetHandleInformation(value, flags) !== 0) count += 1;
  }
  return count;
}

/** A turn after the other, until it is so: what other threads let go of is theirs to say when. */
async function until(is: () => boolean): Promise<boolean> {
  for (let turn = 0; turn < 500 && !is(); turn++) await new Promise((next) => setTimeout(next, 10));
  return is();
}

test("issue 21, 2: closing a pipe ends the read that waits for it, and who writes to it hears", async () => {
  const [reading, writing] = OSFile.pipe();
  const read = reading.read(new Uint8Array(8));
  reading.close();
  await assertRejects(() => read, ClosedError);
  const write = async (): Promise<void> => {
    for (let round = 0; round < 100; round++) await writing.write(new Uint8Array(65536));
  };
  const error = await assertRejects(write, SyscallError);
  assertEquals(error.code, "EPIPE");
  writing.close();
});

test("issue 21, 2: overlapping reads and writes are served in order", async () => {
  const [reading, writing] = OSFile.pipe();
  const texts = ["first ", "second ", "third"];
  await Promise.all(texts.map((text) => writing.write(text)));
  writing.close();
  const chunks: Uint8Array[] = [];
  for await (const chunk of reading) chunks.push(chunk);
  assertEquals(
    new TextDecoder().decode(Uint8Array.from(chunks.flatMap((each) => [...each]))),
    texts.join(""),
  );
  reading.close();
});

test("issue 21, 2: what is fed to a child that reads nothing is no error, and is given up", async () => {
  const input = new Uint8Array(4 << 20);
  assertEquals((await new Command(child, ["exit", "0"], { input }).run()).exitCode, 0);
  assertEquals(new Command(child, ["exit", "0"], { input }).runSync().exitCode, 0);
});

test("issue 21, 2: commands with pipes, waits and failures leave no handle", async () => {
  const round = async (): Promise<void> => {
    await new Command(child, ["stdin"], { input: "a" }).text();
    new Command(child, ["stdin"], { input: "a" }).outputSync();
    await new Command("C:\\nope.exe").run().catch(() => {});
    await new Command(child, ["sleep"], { timeout: 1, tree: "group" }).run().catch(() => {});
    const [reading, writing] = OSFile.pipe();
    const read = reading.read(new Uint8Array(1)).catch(() => {});
    reading.close();
    writing.close();
    await read;
  };
  // The threads of the pool, and of the runtime, are there then.
  for (let count = 0; count < 5; count++) await round();
  assert(handles() > 20, "handles are counted");
  const before = handles();
  for (let count = 0; count < 12; count++) await round();
  const isSame = await until(() => handles() <= before + 4);
  assert(isSame, `${before} handles before, ${handles()} after`);
});

test("issue 21, 2: a start for which there is no number leaves no child", async () => {
  const [reading, writing] = OSFile.pipe();
  const others: Process[] = [];
  const full = assertThrows(() => {
    while (true) others.push(findProcess(process.pid));
  }, SyscallError);
  assertEquals(full.code, "EMFILE");
  const files = [null, writing, null];
  const error = assertThrows(() => startProcess(child, ["child", "std"], { files }), SpawnError);
  assertEquals(error.code, "EMFILE");
  for (const other of others) other.release();
  // A child would have written.
  writing.close();
  assertEquals(await reading.read(new Uint8Array(64)), null);
  reading.close();
});

test("issue 21, 2: sixty-four children at once, each told of", async () => {
  const states = await Promise.all(
    Array.from(
      { length: 64 },
      (_, index) => startProcess(child, ["child", "exit", `${index}`]).wait(),
    ),
  );
  assertEquals(
    states.map(({ exitCode }) => exitCode),
    Array.from({ length: 64 }, (_, index) => index),
  );
});

test("issue 21, 2: the event loop is free while a child is waited for", async () => {
  const running = startProcess(child, ["child", "sleep"]);
  const waiting = running.wait();
  let turns = 0;
  while (turns < 20) {
    await new Promise((next) => setTimeout(next, 1));
    turns += 1;
  }
  running.kill();
  assertEquals((await waiting).exitCode, 1);
});

test("issue 21, 2: what is unref()ed keeps no program alive", async () => {
  const script = process.env.OSEXEC_UNREF_JS ?? "";
  const program = new Command(process.execPath, [script], { timeout: 20_000 });
  assertEquals((await program.text()).trim(), "done");
});

test("issue 21, 2: of Workers that have ended nothing is left", async () => {
  const round = async (): Promise<void> => {
    const worker = new Worker(process.env.OSEXEC_WORKER_JS ?? "");
    await new Promise((resolve) => worker.once("message", resolve));
    await worker.terminate();
  };
  for (let count = 0; count < 3; count++) await round();
  // Bun lets go of a Worker's own some time after its end.
  let before = handles();
  await until(() => before === (before = handles()));
  for (let count = 0; count < 10; count++) await round();
  // One of ours, of a Worker's thread or its pipe, would be ten.
  const isSame = await until(() => handles() < before + 8);
  assert(isSame, `${before} handles before, ${handles()} after`);
});

test("issue 21, 2: a Worker has children of its own", async () => {
  const worker = new Worker(process.env.OSEXEC_WORKER_JS ?? "");
  const [code] = await new Promise<readonly unknown[]>((resolve, reject) => {
    worker.once("message", (...values) => resolve(values));
    worker.once("error", reject);
  });
  assertEquals(code, 7);
  assertEquals((await startProcess(child, ["child", "exit", "3"]).wait()).exitCode, 3);
});
