/** Commands under Wine: what is copied, waited for, killed and left. */

import fs from "node:fs";
import os from "node:os";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Command,
  exec,
  ExecError,
  ExitError,
  findProcess,
  lookPath,
  OSFile,
  parallel,
  Pipeline,
  type Process,
  ProcessDoneError,
  reapOrphans,
  socketPair,
  SpawnError,
  startProcess,
  StateError,
  SyscallError,
  TimeoutError,
} from "../../../mod.ts";
import { lookPathRows, pathOf } from "../paths.ts";

const child = process.env.OSEXEC_CHILD_EXE ?? "";

function echo(text: string): Command {
  return new Command("cmd", ["/c", "echo", text]);
}

/** Whose number a child prints. */
async function processIn(stdout: OSFile): Promise<Process> {
  const buffer = new Uint8Array(32);
  const length = await stdout.read(buffer) ?? 0;
  return findProcess(Number(new TextDecoder().decode(buffer.subarray(0, length))));
}

test("Go's TestEcho and TestCatStdin: output, text, and what is fed", async () => {
  assertEquals(await echo("foo").text(), "foo\r\n");
  const input = "input string\nline 2\n";
  assertEquals(await new Command(child, ["stdin"], { input }).text(), input);
  assertEquals(
    new TextDecoder().decode(new Command(child, ["stdin"], { input }).outputSync()),
    input,
  );
});

test("Go's TestExitStatus and TestExitCode", async () => {
  const error = await assertRejects(() => new Command(child, ["exit", "42"]).run(), ExitError);
  assertEquals([error.exitCode, `${error.state}`, error.signal], [42, "exit status 42", null]);
  const command = new Command(child, ["exit", "0"]);
  assertEquals((await command.run()).exitCode, 0);
  assertEquals(command.processState?.success, true);
});

test("a megabyte goes in and comes out, and nothing is lost or twice", async () => {
  const input = new Uint8Array(1 << 20).map((_, index) => index * 7 + (index >> 10));
  const output = await new Command(child, ["stdin"], { input }).output();
  assertEquals(output.length, input.length);
  assert(output.every((byte, index) => byte === input[index]));
  const sync = new Command(child, ["stdin"], { input }).outputSync();
  assert(sync.length === input.length && sync.every((byte, index) => byte === input[index]));
});

test("a child that writes nothing has not come to its end", async () => {
  assertEquals(await new Command(child, ["empty"]).text(), "after nothing\n");
});

test("Go's TestPipes: stdinPipe, stdoutPipe and what is said between", async () => {
  const command = new Command(child, ["stdin"]);
  const [stdin, stdout] = [command.stdinPipe(), command.stdoutPipe()];
  command.start();
  const buffer = new Uint8Array(64);
  for (const line of ["one\n", "two\n", "three\n"]) {
    await stdin.write(line);
    const length = await stdout.read(buffer);
    assertEquals(new TextDecoder().decode(buffer.subarray(0, length ?? 0)), line);
  }
  stdin.close();
  assertEquals(await stdout.read(buffer), null);
  assert((await command.wait()).success);
});

test("lines come as they are printed, and leaving the loop ends the child", async () => {
  const seen: string[] = [];
  for await (const line of new Command("cmd", ["/c", "echo a& echo b& echo c"]).lines()) {
    seen.push(line.trimEnd());
  }
  assertEquals(seen, ["a", "b", "c"]);
  const endless = new Command(child, ["spawn"]);
  for await (const line of endless.lines()) {
    assert(Number(line) > 0);
    findProcess(Number(line)).kill();
    break;
  }
  assertEquals(endless.process?.pid !== undefined, true);
});

test("a pipeline, and commands side by side", async () => {
  const pipeline = new Pipeline([
    echo("through"),
    new Command(child, ["stdin"]),
    new Command(child, ["stdin"]),
  ]);
  assertEquals((await pipeline.text()).trim(), "through");
  let count = 0;
  for await (const { state } of parallel(["1", "2", "3", "4"].map(echo), { concurrency: 2 })) {
    assert(state?.success);
    count += 1;
  }
  assertEquals(count, 4);
});

test("stdout and stderr in one, and files by their handles", async () => {
  const both = await new Command("cmd", ["/c", "echo out& echo err>&2"]).combinedOutput();
  assertEquals(
    new TextDecoder().decode(both).replaceAll("\r", "").replaceAll(" ", ""),
    "out\nerr\n",
  );
  const path = `${os.tmpdir()}\\out.txt`;
  {
    using file = OSFile.open(path, "w");
    await new Command("cmd", ["/c", "echo into"], { stdout: file }).run();
  }
  {
    using file = OSFile.open(path, "a");
    await file.write("more\n");
  }
  assertEquals(fs.readFileSync(path, "utf8"), "into\r\nmore\n");
  using file = OSFile.open(path);
  const lines: string[] = [];
  for await (const line of file.lines()) lines.push(line);
  assertEquals(lines, ["into", "more"]);
});

test("what is built on these: capture(), a list of outputs, a dialogue, a stream", async () => {
  const { stdout, state } = await new Command("cmd", ["/c", "echo a& exit 3"]).capture({
    check: false,
  });
  assertEquals([new TextDecoder().decode(stdout), state.exitCode], ["a\r\n", 3]);
  const seen: number[] = [];
  const sink = new WritableStream<Uint8Array>({ write: (chunk) => void seen.push(chunk.length) });
  const path = `${os.tmpdir()}\\tee.txt`;
  {
    using file = OSFile.open(path, "w");
    await new Command("cmd", ["/c", "echo both"], { stdout: [file, sink] }).run();
  }
  assertEquals([seen.reduce((sum, each) => sum + each, 0), fs.readFileSync(path, "utf8")], [
    6,
    "both\r\n",
  ]);
  const asking = new Command("cmd", ["/c", "set /p x=name? & echo got"]);
  const dialogue = asking.interact();
  await dialogue.expect(/name/);
  await dialogue.send("bob\r\n");
  await dialogue.expect(/got/);
  await asking.wait();
});

test("Go's TestContext and WaitDelay: abort, timeout and what they throw", async () => {
  const slow = new Command(child, ["sleep"], { timeout: 100 });
  const error = await assertRejects(() => slow.run(), ExitError);
  assert(error.cause instanceof TimeoutError);
  assertEquals(error.exitCode, 1);
  const controller = new AbortController();
  const aborted = new Command(child, ["sleep"], { signal: controller.signal });
  const run = aborted.run();
  controller.abort(new Error("enough"));
  await assertRejects(() => run, ExitError);
  const sync = new Command(child, ["sleep"], { timeout: 100 });
  assertThrows(() => sync.runSync(), ExitError);
});

test("Go's Process.Kill and Signal: kill only, a typed error for the rest, and ErrProcessDone", async () => {
  const process = startProcess(child, ["child", "sleep"]);
  process.signal(0);
  const refused = assertThrows(() => process.signal("SIGTERM"), SyscallError);
  assertEquals([refused.code, refused.message], ["EWINDOWS", "kill: not supported by windows"]);
  assertThrows(() => process.signal("SIGNOPE" as "SIGTERM"), TypeError);
  process.kill();
  const state = await process.wait();
  assertEquals([state.exitCode, state.signal, `${state}`], [1, null, "exit status 1"]);
  assertEquals(await process.wait(), state);
  assertThrows(() => process.kill(), ProcessDoneError);
});

test("findProcess: any process may be waited for, and none that is not there", async () => {
  const own = startProcess(child, ["child", "sleep"]);
  const found = findProcess(own.pid);
  const waiting = found.wait();
  own.kill();
  assertEquals((await waiting).exitCode, 1);
  assertEquals((await own.wait()).exitCode, 1);
  assertThrows(() => findProcess(0x7ffffff0).kill(), ProcessDoneError);
});

test("usage: of one that runs, and of one that has ended", async () => {
  const process = startProcess(child, ["child", "sleep"]);
  const usage = process.usage();
  assert(usage.maxRss > 0 && usage.userTime >= 0, JSON.stringify(usage));
  process.kill();
  const state = await process.wait();
  assert(state.systemTime >= 0 && state.durationMs > 0);
});

test("issue 21: a job is the tree, which ends what the child has started", async () => {
  const command = new Command(child, ["spawn"], { tree: "group" });
  const stdout = command.stdoutPipe();
  const process = command.start();
  const grandchild = await processIn(stdout);
  grandchild.signal(0);
  process.kill();
  assertEquals((await grandchild.wait()).exitCode, 1);
  await assertRejects(() => command.wait(), ExitError);
  stdout.close();
});

test("issue 21: a job also lets go of pipes that a grandchild holds, in both kinds of run", async () => {
  const options = { tree: "group", timeout: 300 } as const;
  const begin = performance.now();
  await assertRejects(() => new Command(child, ["spawn"], options).output(), ExitError);
  assertThrows(() => new Command(child, ["spawn"], options).outputSync(), ExitError);
  assert(performance.now() - begin < 20_000);
});

test("issue 21: without one it is left alone", async () => {
  const command = new Command(child, ["spawn"]);
  const stdout = command.stdoutPipe();
  const process = command.start();
  const grandchild = await processIn(stdout);
  process.kill();
  await assertRejects(() => command.wait(), ExitError);
  grandchild.signal(0);
  grandchild.kill();
  stdout.close();
});

test("issue 21: what is Linux's is refused by name", () => {
  const refused = (options: ConstructorParameters<typeof Command>[2]): string =>
    assertThrows(() => new Command(child, [], options).start(), SpawnError).message;
  assert(refused({ tree: "cgroup" }).includes('tree "cgroup" is for Linux only'));
  assert(refused({ sysProcAttr: { setsid: true } }).includes("setsid is for Unix only"));
  assert(refused({ extraFiles: [1] }).includes("no descriptors beyond 2"));
  assert(refused({ endWithParent: "SIGTERM" }).includes("Windows has SIGKILL only"));
});

test("issue 21: what Windows has not says so, by Go's error", async () => {
  const code = (run: () => unknown): string => assertThrows(run, SyscallError).code;
  assertEquals(code(() => exec(child, ["child", "exit", "0"])), "EWINDOWS");
  assertEquals(code(() => socketPair()), "EWINDOWS");
  assertEquals(code(() => reapOrphans()), "EWINDOWS");
  const leaderless = startProcess(child, ["child", "sleep"]);
  assertThrows(() => leaderless.signalGroup("SIGKILL"), StateError);
  leaderless.kill();
  await leaderless.wait();
  const path = `${os.tmpdir()}\\async.txt`;
  fs.writeFileSync(path, "there");
  using file = await OSFile.openAsync(path);
  const buffer = new Uint8Array(8);
  assertEquals(await file.read(buffer), 5);
  assertEquals(await file.read(buffer), null);
});

test("issue 21: a child that ends with its parent does so when the parent is killed", async () => {
  const parent = new Command(process.execPath, [process.env.OSEXEC_PARENT_JS ?? ""]);
  const stdout = parent.stdoutPipe();
  parent.start();
  const grandchild = await processIn(stdout);
  grandchild.signal(0);
  parent.process?.kill();
  await assertRejects(() => parent.wait(), ExitError);
  await grandchild.wait();
  stdout.close();
});

/** Runs with other variables and another directory. */
function surrounded(
  variables: Record<string, string | undefined>,
  directory: string,
  run: () => void,
): void {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  const cwd = process.cwd();
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  for (const [name, value] of Object.entries(variables)) set(name, value);
  process.chdir(directory);
  try {
    run();
  } finally {
    process.chdir(cwd);
    for (const [name, value] of before) set(name, value);
  }
}

for (const row of lookPathRows) {
  test(`Go's TestLookPathWindows: ${row.name}`, () => {
    const root = fs.realpathSync(fs.mkdtempSync(`${os.tmpdir()}\\osexec-`));
    for (const file of row.files) {
      const path = `${root}\\${file}`;
      fs.mkdirSync(file.endsWith("\\") ? path : path.replace(/\\[^\\]*$/, ""), { recursive: true });
      if (!file.endsWith("\\")) fs.writeFileSync(path, "@echo it\r\n");
    }
    const { PATHEXT = ".COM;.EXE;.BAT;.CMD" } = { PATHEXT: row.pathext };
    surrounded({ PATH: pathOf(row, root), PATHEXT }, root, () => {
      if (row.code === undefined) {
        assertEquals(lookPath(row.searchFor).replace(`${root}\\`, ""), row.want);
        return;
      }
      const error = assertThrows(() => lookPath(row.searchFor), ExecError);
      assertEquals([error.code, error.path], [row.code, row.want]);
    });
  });
}

test("Go's TestAbsCommandWithDoubledExtension", async () => {
  const root = fs.mkdtempSync(`${os.tmpdir()}\\osexec-`);
  const com = `${root}\\example.com`;
  fs.writeFileSync(`${com}.bat`, "@echo it\r\n");
  const error = await assertRejects(() => new Command(com).run(), SpawnError);
  assertEquals(error.code, "ERROR_FILE_NOT_FOUND");
  assertEquals(lookPath(com), `${com}.bat`);
  assertEquals((await new Command(`${com}.bat`).text()).trim(), "it");
});
