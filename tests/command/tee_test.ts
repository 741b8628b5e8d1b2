/** One output to several places: a list as stdout or stderr. */

import { readFileSync } from "node:fs";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Command, type CommandOptions, OSFile, pipe, SyscallError } from "../../mod.ts";
import { Directory, noise, readAll, runScript, sh, Sink, wrong } from "../helper.ts";

/** By both kinds of waiting. */
async function both(
  script: string,
  options: () => CommandOptions & Record<never, never>,
  check: (given: CommandOptions) => void | Promise<void>,
): Promise<void> {
  const awaited = options();
  await sh(script, awaited).run();
  await check(awaited);
  const sync = options();
  sh(script, sync).runSync();
  await check(sync);
}

test("issue 18, 8: each of a list gets the same bytes, in order", async () => {
  const bytes = noise(1_000_000);
  const sinks = [new Sink(), new Sink(), new Sink()];
  await new Command("cat", [], { input: bytes, stdout: sinks }).run();
  for (const sink of sinks) assertEquals(sink.bytes(), bytes);
  const late = [new Sink(), new Sink()];
  new Command("cat", [], { input: bytes, stdout: [...late, "null"] }).runSync();
  for (const sink of late) assertEquals(sink.bytes(), bytes);
});

test("issue 18, 8: files, descriptors and sinks of every kind stand in a list", async () => {
  using directory = new Directory();
  const path = directory.join("copy");
  using file = OSFile.open(path, "w");
  let collected: Sink;
  await both("echo x; echo y", () => {
    collected = new Sink();
    return { stdout: ["null", file, { fd: file.fd }, file.fd, collected] };
  }, () => assertEquals(collected.text(), "x\ny\n"));
  // Twice by three: each is a duplicate of the one file, and ours stays open.
  assertEquals(readFileSync(path, "utf8").length, 2 * 3 * 4);
  assertEquals(file.closed, false);

  const web = new TransformStream<Uint8Array, Uint8Array>();
  const node = new PassThrough();
  const fromWeb = new Response(web.readable).text();
  await sh("echo x", { stdout: [web.writable, node] }).run();
  await web.writable.close();
  assertEquals([await fromWeb, String(node.read())], ["x\n", "x\n"]);
});

test('issue 18, 8: "inherit" in a list is this program\'s own stdout or stderr', async () => {
  const { code, stdout, stderr } = await runScript(`
    const chunks = [];
    const sink = { write: (chunk) => void chunks.push(chunk) };
    const script = "echo out; echo err >&2";
    const options = { stdout: ["inherit", sink], stderr: ["inherit"] };
    await new osexec.Command("sh", ["-c", script], options).run();
    new osexec.Command("sh", ["-c", script], options).runSync();
    console.log(chunks.reduce((sum, { length }) => sum + length, 0));`);
  assertEquals([code, stdout, stderr], [0, "out\nout\n8\n", "err\nerr\n"]);
});

test("issue 18, 8: one and the same list as stdout and stderr is one pipe", async () => {
  const script = "echo 1; echo 2 >&2; echo 3; echo 4 >&2";
  for (const stderr of ["same", "stdout"] as const) {
    let sink: Sink;
    await both(script, () => {
      sink = new Sink();
      const list = [sink];
      return { stdout: list, stderr: stderr === "same" ? list : stderr };
    }, () => assertEquals(sink.text(), "1\n2\n3\n4\n"));
  }
});

test("issue 18, 8: what one of a list throws ends the copying for all, and the slowest holds it back", async () => {
  const error = new Error("full");
  const failing = {
    write: (): never => {
      throw error;
    },
  };
  for (const stdout of [[failing, new Sink()], [new Sink(), failing]]) {
    const command = new Command("yes", [], { stdout });
    assertEquals((await command.run().catch((error) => error)).cause, error);
    const sync = new Command("yes", [], { stdout });
    assertEquals(assertThrows(() => sync.runSync(), Error).cause, error);
  }
  const rejecting = { write: (): Promise<never> => Promise.reject(error) };
  const stdout = [rejecting, new Sink(), rejecting];
  assertEquals(
    (await new Command("yes", [], { stdout }).run().catch((error) => error)).cause,
    error,
  );
  const order: string[] = [];
  let calls = 0;
  const slow = {
    async write(): Promise<void> {
      const call = ++calls;
      await new Promise((resolve) => setTimeout(resolve, 10));
      order.push(`slow ${call}`);
    },
  };
  let seen = 0;
  const quick = { write: () => void order.push(`quick ${++seen}`) };
  await new Command("cat", [], { input: noise(300_000), stdout: [slow, quick] }).run();
  assertEquals(
    order,
    Array.from({ length: seen }, (_, n) => [`quick ${n + 1}`, `slow ${n + 1}`]).flat(),
  );
});

test("issue 18, bad input: a list in a list, and what is no output, are refused by its place", () => {
  const start = (stdout: unknown) => () =>
    new Command("true", [], { stdout: wrong(stdout) }).runSync();
  assertThrows(start([]), TypeError, "stdout is a list of nothing");
  assertThrows(start([new Sink(), []]), TypeError, "stdout[1] is a list in a list");
  assertThrows(start([new Sink(), "stdout"]), TypeError, "stdout[1]");
  assertThrows(start([{}]), TypeError, "stdout[0]");
  assertThrows(start([1.5]), TypeError, "stdout[0]");
  assertThrows(start([new Blob([])]), TypeError, "stdout[0]");
  const error = assertThrows(start([new Sink(), 999_999]), Error);
  assert(error instanceof SyscallError && error.code === "EBADF", String(error));
});

test("issue 18, 8: a list leaves no descriptor, and a clone has its own", async () => {
  const [reading, writing] = pipe();
  const command = sh("echo x", { stdout: [writing, new Sink()] });
  const copy = command.clone();
  assert(copy.stdout !== command.stdout);
  await command.run();
  await copy.run();
  writing.close();
  // Its end comes when the last copy of the writing end is closed.
  assertEquals(await readAll(reading), "x\nx\n");
});
