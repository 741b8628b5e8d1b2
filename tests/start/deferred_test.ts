/**
 * Starts that do not stand still for execve: run(), output() and combinedOutput(), and their Sync forms. To who
 * uses them they must look like any other start.
 */

import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { library } from "../../ffi/library.ts";
import { CLONE_NEWPID, Command, ExitError, OSFile, SpawnError } from "../../mod.ts";
import { Directory, encode, helper, needsRoot, readAll, sh, WorkingDirectory } from "../helper.ts";
import { withoutLeaks } from "../holdings.ts";
import { needsLinuxChild } from "../refused.ts";

const missing = "/nonexistent/program";

test("a start that fails rejects with its step, and leaves nothing", async () => {
  await withoutLeaks(async () => {
    for (const method of ["run", "output", "combinedOutput", "text"] as const) {
      const command = new Command(missing);
      const error = await assertRejects(() => command[method](), SpawnError, "", method);
      assertEquals([error.step, error.code, error.path], ["exec", "ENOENT", missing], method);
      assertStrictEquals(command.process, undefined, method);
      assertStrictEquals(command.processState, undefined, method);
    }
    for (const method of ["runSync", "outputSync", "combinedOutputSync"] as const) {
      const command = new Command(missing, [], { dir: "/nonexistent" });
      const error = assertThrows(() => command[method](), SpawnError, "", method);
      assertEquals([error.step, error.argument], ["chdir", "/nonexistent"], method);
      assertStrictEquals(command.process, undefined, method);
    }
  });
});

test("no descriptor is closed twice by a start that fails, which might be another's by then", async () => {
  const native = library();
  const close = native.osexec_close;
  const answers: number[] = [];
  const record = (fd: number): number => {
    const answer = close(fd);
    answers.push(answer);
    return answer;
  };
  Object.defineProperty(native, "osexec_close", { value: record, configurable: true });
  try {
    for (const options of [{}, { stdin: ["text"] }, { stdin: encode("text") }, { waitDelay: 1 }]) {
      assertThrows(() => new Command(missing, [], options).outputSync(), SpawnError);
      await assertRejects(() => new Command(missing, [], options).output(), SpawnError);
    }
  } finally {
    Object.defineProperty(native, "osexec_close", { value: close, configurable: true });
  }
  assertEquals(answers.filter((answer) => answer !== 0), []);
  assert(answers.length > 0);
});

test("who looks at the process of a start that has failed finds none, and the error still comes", async () => {
  const command = new Command(missing);
  const running = command.run();
  assertStrictEquals(command.process, undefined);
  await assertRejects(() => running, SpawnError, "no such file or directory");
});

test("the process can be reached while the command runs", async () => {
  const command = sh("echo $$; exec sleep 100");
  const running = command.output();
  const { process } = command;
  assert(process !== undefined);
  process.kill();
  const error = await assertRejects(() => running, ExitError);
  assertEquals(error.signal, "SIGKILL");
  assertEquals(error.state.pid, process.pid);
  assertStrictEquals(await process.wait(), error.state);
});

test("an abort at once ends a command that runs, and is nothing to one that has failed", async () => {
  const controller = new AbortController();
  const running = sh("exec sleep 100", { signal: controller.signal }).run();
  const { signal } = controller;
  const failing = assertRejects(() => new Command(missing, [], { signal }).run(), SpawnError);
  controller.abort();
  // Go's order: how it ended comes first.
  assertEquals((await assertRejects(() => running, ExitError)).signal, "SIGKILL");
  await failing;
});

test("a start that fails asks no source for anything", async () => {
  let asked = 0;
  function* source(): Generator<string> {
    asked++;
    yield "text";
  }
  await assertRejects(() => new Command(missing, [], { stdin: source() }).run(), SpawnError);
  assertThrows(() => new Command(missing, [], { stdin: source() }).runSync(), SpawnError);
  assertEquals(asked, 0);
  // Text is nobody's to keep.
  await assertRejects(() => new Command(missing, [], { stdin: ["text"] }).run(), SpawnError);
});

test("an output's pipe is not handed over to a command that cannot start", async () => {
  const first = sh("echo kept");
  const stdout = first.stdoutPipe();
  first.start();
  await assertRejects(() => new Command(missing, [], { stdin: stdout }).run(), SpawnError);
  assertEquals(await readAll(stdout), "kept\n");
  stdout.close();
  await first.wait();
});

test("what this process does right after a start does not change the child", async () => {
  using directory = new Directory();
  const file = OSFile.open(directory.file("input", "from the file"));
  const mask = process.umask(0o027);
  let running: Promise<Uint8Array>;
  using _here = new WorkingDirectory(directory.path);
  try {
    running = sh("pwd; umask; cat", { stdin: file }).output();
  } finally {
    process.umask(mask);
  }
  process.chdir("/");
  file.close();
  const output = new TextDecoder().decode(await running);
  assertEquals(output, `${directory.path}\n0027\nfrom the file`);
});

test("more at once than there is room for, some of which cannot start", async () => {
  await withoutLeaks(async () => {
    const commands = Array.from({ length: 600 }, (_, index) => {
      return index % 3 === 0
        ? new Command(missing).run()
        : new Command(helper, ["exit", "0"]).run();
    });
    const results = await Promise.allSettled(commands);
    for (const [index, result] of results.entries()) {
      if (index % 3 !== 0) assertEquals(result.status, "fulfilled", `${index}`);
      else assert(result.status === "rejected" && result.reason instanceof SpawnError, `${index}`);
    }
  });
});

test("with a thousand descriptors open a command runs as with a few", async () => {
  const open = Array.from({ length: 1000 }, () => OSFile.open("/dev/null"));
  try {
    // Which way is taken is asked about now and then only.
    for (let round = 0; round < 40; round++) {
      assertEquals(new TextDecoder().decode(await sh("echo hi").output()), "hi\n");
      assertThrows(() => new Command(missing).runSync(), SpawnError);
    }
  } finally {
    for (const file of open) file.close();
  }
});

test(
  "other credentials and namespaces start as ever",
  { skip: needsRoot.skip || needsLinuxChild },
  async () => {
    const credential = { uid: 54321, gid: 54321 };
    const output = await sh("id -u", { sysProcAttr: { credential } }).text();
    assertEquals(output, "54321\n");
    const inner = await sh("echo $$", { sysProcAttr: { cloneflags: CLONE_NEWPID } }).text();
    assertEquals(inner, "1\n");
  },
);
