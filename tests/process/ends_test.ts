/** "streams 13" to "19": how reading and copying end, and in whose context callbacks run. */

import { AsyncLocalStorage } from "node:async_hooks";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import type * as osexec from "../../mod.ts";
import {
  Command,
  ExitError,
  OSFile,
  pipe,
  StateError,
  type Stdin,
  type Stdout,
  SyscallError,
} from "../../mod.ts";
import { Directory, encode, readAll, root, runScript, sh, until, wrong } from "../helper.ts";
import { stateOf, withoutLeaks } from "../holdings.ts";

const end: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** Resolves to "late" unless the promise settles within ten seconds: by then it would never. */
function soon<T>(promise: Promise<T>): Promise<T | "late"> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => timer = setTimeout(resolve, 10_000, "late"));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// ------------------------------------------------------------------ 13: lines() is left

test("streams 13: return() ends a command's lines at once, whatever a next() waits for", async () => {
  await withoutLeaks(async () => {
    const command = sh("echo first; exec sleep 60");
    const lines = command.lines();
    assertEquals(await lines.next(), { done: false, value: "first" });
    const pending = [lines.next(), lines.next()];
    assertEquals(await soon(lines.return?.() ?? Promise.reject()), end);
    assertEquals(await Promise.all(pending), [end, end]);
    assertEquals(await lines.next(), end);
    assertEquals(stateOf(command.process?.pid ?? 0), null);
  });
});

test("streams 13: throw() does the same, and rejects", async () => {
  const command = sh("exec sleep 60");
  const lines = command.lines();
  const pending = lines.next();
  await until(() => command.process !== undefined);
  const failure = new Error("enough");
  assertStrictEquals(
    await assertRejects(() => lines.throw?.(failure) ?? Promise.resolve()),
    failure,
  );
  assertEquals(await pending, end);
});

test("streams 13: lines() that nobody has asked for starts nothing", async () => {
  const command = sh("exit 1");
  const lines = command.lines();
  assertEquals(await lines.return?.(), end);
  assertEquals(command.process, undefined);
  assertEquals(await lines.next(), end);
});

test("streams 13: a file's lines are left without closing it, and what is unread stays", async () => {
  const [reading, writing] = pipe();
  const lines = reading.lines();
  writing.writeSync(encode("one\ntw"));
  assertEquals(await lines.next(), { done: false, value: "one" });
  const pending = lines.next();
  // It has read "tw", and waits.
  assertEquals(await soon(lines.return?.() ?? Promise.reject()), end);
  assertEquals(await pending, end);
  writing.writeSync(encode("o\nthree"));
  writing.close();
  assert(!reading.closed);
  assertEquals(await readAll(reading), "two\nthree");
  reading.close();
});

test("streams 13: await using leaves lines()", async () => {
  const command = sh("echo first; exec sleep 60");
  {
    await using lines = command.lines();
    assertEquals(await lines.next(), { done: false, value: "first" });
  }
  assertEquals(command.processState?.signal, "SIGKILL");
  assertEquals(stateOf(command.process?.pid ?? 0), null);
});

// ------------------------------------------------------------------ 14: disposal in each state of an abort

const hangs: Readonly<Record<string, () => unknown>> = {
  "never settles": () => new Promise(() => {}),
  "has settled": () => {},
  "has failed": () => Promise.reject(new Error("no")),
};

test("streams 14: disposal ends run() and wait() in each state of an abort", async () => {
  for (const waitDelay of [0, 60_000]) {
    for (const [state, cancel] of Object.entries(hangs)) {
      for (const when of ["before", "during", "after"] as const) {
        const controller = new AbortController();
        const command = sh("exec sleep 60", { signal: controller.signal, cancel, waitDelay });
        const run = command.run().then(() => "ran", (error) => error);
        if (when === "during") controller.abort();
        else if (when === "after") {
          controller.abort();
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        await soon(command[Symbol.asyncDispose]());
        if (when === "before") controller.abort();
        const error = await soon(run);
        assert(error instanceof ExitError, `${state}, ${when}, ${waitDelay}: ${error}`);
        assertEquals(error.signal, "SIGKILL");
      }
    }
  }
});

// ------------------------------------------------------------------ 15: what cannot begin

test("streams 15: a sink or a source that cannot begin fails the start, and locks nothing", async () => {
  const failure = new Error("not today");
  await withoutLeaks(async () => {
    const stream = new WritableStream();
    const broken = wrong<WritableStream<Uint8Array>>({
      getWriter() {
        throw failure;
      },
    });
    for (
      const outputs of [{ stdout: stream, stderr: broken }, { stdout: broken, stderr: stream }]
    ) {
      const source = new Blob(["x"]).stream();
      const command = sh("echo x", { ...outputs, stdin: source });
      assertStrictEquals(await assertRejects(() => command.run()), failure);
      assertEquals(stream.locked, false);
      assertEquals(command.process, undefined);
    }
    const iterable = wrong<Stdin>({
      [Symbol.asyncIterator]() {
        throw failure;
      },
    });
    assertStrictEquals(
      await assertRejects(() => sh("cat", { stdin: iterable, stdout: stream }).run()),
      failure,
    );
    assertEquals(stream.locked, false);
  });
});

test("streams 15: a start that fails lets go of streams", async () => {
  const stdout = new WritableStream();
  const input = new Blob(["x"]).stream();
  await assertRejects(() => new Command("/nonexistent", [], { input, stdout }).run(), SyscallError);
  assertEquals(stdout.locked, false);
  await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(input.locked, false);
});

// ------------------------------------------------------------------ 16: timers, disposal, causes, pipes

test("streams 16: a waitDelay holds no program that does not wait for the child", async () => {
  const script = `
    const begun = performance.now();
    const controller = new AbortController();
    const command = new osexec.Command("sleep", ["60"], { signal: controller.signal, waitDelay: 30_000 });
    command.start();
    command.process.unref();
    controller.abort();
    command.wait().catch(() => {});
    process.on("exit", () => console.log(performance.now() - begun < 15_000 ? "at once" : "late"));`;
  assertEquals(await runScript(script), { code: 0, stdout: "at once\n", stderr: "" });
});

test("streams 16: a disposal is no waitDelay: what it cuts off is told as itself", async () => {
  const [hold, release] = pipe();
  // The child has ended well, and a grandchild holds its output.
  const command = sh("echo x; cat <&3 & exit 0", { extraFiles: [hold] });
  const text = command.text();
  await until(() =>
    stateOf(command.process?.pid ?? 0) !== "R" && command.processState !== undefined
  );
  await command[Symbol.asyncDispose]();
  await assertRejects(() => text, StateError, "disposed of");
  for (const each of [hold, release]) each.close();
});

test("streams 16: an ExitError tells what a sink or a source had thrown", async () => {
  const failure = new Error("enough");
  const stdout: Stdout = {
    write() {
      throw failure;
    },
  };
  for (const run of ["run", "runSync"] as const) {
    const command = new Command("yes", [], { stdout });
    const error = await assertRejects(async () => await command[run](), ExitError);
    assertEquals([`${error.state}`, error.cause], ["signal: broken pipe", failure]);
    assertEquals(String(error), "ExitError: signal: broken pipe: enough");
  }
  const controller = new AbortController();
  const aborted = sh("exec sleep 60", { signal: controller.signal });
  aborted.start();
  controller.abort(failure);
  const error = await assertRejects(() => aborted.wait(), ExitError);
  assertEquals([String(error.state), error.cause], ["signal: killed", failure]);
  const plain = await assertRejects(() => sh("exit 3").run(), ExitError);
  assert(!("cause" in plain));
});

test("streams 16: no pipe is made after a start, failed or not", async () => {
  await withoutLeaks(async () => {
    const failed = new Command("/nonexistent");
    await assertRejects(() => failed.run(), SyscallError);
    const running = sh("exit 0");
    await running.run();
    for (const command of [failed, running]) {
      for (const name of ["stdinPipe", "stdoutPipe", "stderrPipe"] as const) {
        assertThrows(() => command[name](), StateError, "after process started");
      }
    }
  });
});

// ------------------------------------------------------------------ 17: contexts

test("streams 17: each callback runs in the context of who has started the command", async () => {
  const storage = new AsyncLocalStorage<string>();
  const wrongs: string[] = [];
  let calls = 0;
  const look = (where: string, mine: string): void => {
    calls += 1;
    const found = storage.getStore();
    if (found !== mine) wrongs.push(`${where} of ${mine} in ${found}`);
  };
  const one = (id: string): Promise<void> =>
    storage.run(id, async () => {
      const controller = new AbortController();
      async function* source(): AsyncGenerator<string> {
        look("source", id);
        yield "x";
        await new Promise((resolve) => setTimeout(resolve, 5));
        look("source, later", id);
        yield "y";
      }
      const command = sh("echo a; echo e >&2; sleep 0.02; echo b; cat >/dev/null; exec sleep 60", {
        signal: controller.signal,
        cancel: (process) => {
          look("cancel", id);
          process.kill();
        },
        stdin: source(),
        stdout: {
          write() {
            look("Writer", id);
          },
        },
        stderr: new WritableStream({
          write() {
            look("WritableStream", id);
          },
        }),
      });
      command.start();
      aborts.push(() => controller.abort());
      await command.wait().catch(() => look("after wait()", id));
      for await (const _ of sh("echo 1; sleep 0.01; echo 2").lines()) look("lines()", id);
    });
  const aborts: (() => void)[] = [];
  const all = Array.from({ length: 8 }, (_, index) => one(`request ${index}`));
  await new Promise((resolve) => setTimeout(resolve, 100));
  // From outside of each.
  for (const abort of aborts) abort();
  await Promise.all(all);
  assertEquals(wrongs, []);
  assert(calls >= 8 * 8, `${calls}`);
});

// ------------------------------------------------------------------ 18: FIFOs

async function fifo(directory: Directory): Promise<string> {
  const path = directory.join("fifo");
  await new Command("mkfifo", [path]).run();
  return path;
}

test("streams 18: a FIFO is opened for reading before its writer is there, and read when it is", async () => {
  using directory = new Directory();
  const path = await fifo(directory);
  using file = OSFile.open(path);
  const reading = readAll(file);
  let turns = 0;
  while (turns < 10) await new Promise((resolve) => setTimeout(resolve, 1, turns += 1));
  await new Command("sh", ["-c", 'echo through >"$0"', path]).run();
  assertEquals(await reading, "through\n");
});

test("streams 18: readSync() waits for the writer", async () => {
  using directory = new Directory();
  const path = await fifo(directory);
  using file = OSFile.open(path);
  const writer = new Command("sh", ["-c", 'echo through >"$0"', path]);
  writer.start();
  const bytes = new Uint8Array(100);
  assertEquals(file.readSync(bytes), 8);
  await writer.wait();
  assertEquals(file.readSync(bytes), null);
});

test("streams 18: openAsync() waits for the other side, both ways, and the loop turns", async () => {
  await withoutLeaks(async () => {
    using directory = new Directory();
    const path = await fifo(directory);
    for (const flags of ["w", "r"] as const) {
      const opening = OSFile.openAsync(path, flags);
      let opened = false;
      opening.then(() => opened = true);
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
      assertEquals(opened, false);
      const script = flags === "w" ? 'cat <"$0"' : 'echo through >"$0"';
      const other = new Command("sh", ["-c", script, path]).text();
      using file = await opening;
      if (flags === "w") await file.write(encode("through\n"));
      else assertEquals(await readAll(file), "through\n");
      file.close();
      assertEquals(await other, flags === "w" ? "through\n" : "");
    }
  });
});

test("streams 18: openAsync() can be given up, and fails as open() does", async () => {
  using directory = new Directory();
  const path = await fifo(directory);
  const controller = new AbortController();
  const opening = OSFile.openAsync(path, "w", 0, { signal: controller.signal });
  const reason = new Error("enough");
  controller.abort(reason);
  assertStrictEquals(await assertRejects(() => opening), reason);
  assertStrictEquals(
    await assertRejects(() => OSFile.openAsync(path, "w", 0, { signal: controller.signal })),
    reason,
  );
  const none = directory.join("none");
  const error = await assertRejects(() => OSFile.openAsync(none), SyscallError);
  assertEquals(error.message, `open ${none}: no such file or directory`);
  await assertRejects(() => OSFile.openAsync("a\0b"), SyscallError, "invalid argument");
  // What stays of the first one ends, and closes what it has opened.
  await new Command("sh", ["-c", 'cat <"$0"', path]).run();
  using made = await OSFile.openAsync(directory.join("made"), "wx", 0o600);
  assertEquals(await made.write(encode("x")), 1);
});

// ------------------------------------------------------------------ 19: two copies

test("streams 19: a pipe of one copy's command is handed over to another copy's", async () => {
  using directory = new Directory();
  for (const name of ["mod.ts", "src", "ffi"]) {
    cpSync(join(root, name), directory.join(name), { recursive: true });
  }
  const other: typeof osexec = await import(directory.join("mod.ts"));
  assert(other.Command !== Command);
  const yes = new Command("yes");
  const head = new other.Command("head", ["-n", "1"]);
  head.stdin = yes.stdoutPipe();
  yes.start();
  assertEquals(await head.text(), "y\n");
  const error = await soon(yes.wait().then(String, (error) => error));
  assert(error instanceof ExitError && error.signal === "SIGPIPE", `${error}`);

  const [reading, writing] = pipe();
  const first = reading.read(new Uint8Array(1));
  writing.writeSync(encode("A"));
  assertEquals(await first, 1);
  const cat = new other.Command("cat", [], { stdin: reading });
  const text = cat.text();
  writing.writeSync(encode("late"));
  writing.close();
  assertEquals(await text, "late");
  reading.close();
});
