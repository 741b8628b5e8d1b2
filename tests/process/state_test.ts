import fs from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Command,
  ExecError,
  ExitError,
  findProcess,
  SpawnError,
  StateError,
  SyscallError,
} from "../../mod.ts";
import { Directory, encode, helper, sh, Sink, until, wrong } from "../helper.ts";
import { children, stateOf, withoutLeaks } from "../holdings.ts";

const already = "exec: already started";

test("a command starts once, whatever came of it", async () => {
  const command = new Command(helper, ["exit", "0"]);
  await command.run();
  assertThrows(() => command.start(), StateError, already);
  await assertRejects(() => command.run(), StateError, already);
  assertThrows(() => command.runSync(), StateError, already);
  const failed = new Command("/no/such/program");
  assertThrows(() => failed.start(), SpawnError);
  assertThrows(() => failed.start(), StateError, already);
  const missing = new Command("no-such-program");
  assertThrows(() => missing.start(), ExecError);
  assertThrows(() => missing.start(), StateError, already);
});

test("a synchronous run is a start too", async () => {
  const command = new Command(helper, ["exit", "0"]);
  command.runSync();
  assertThrows(() => command.runSync(), StateError, already);
  await assertRejects(() => command.wait(), StateError, "exec: Wait was already called");
});

test("wait() comes after the start", async () => {
  await assertRejects(() => new Command(helper).wait(), StateError, "exec: not started");
  const failed = new Command("/no/such/program");
  assertThrows(() => failed.start(), SpawnError);
  await assertRejects(() => failed.wait(), StateError, "exec: not started");
});

test("wait() comes once", async () => {
  const command = new Command(helper, ["exit", "3"]);
  command.start();
  const first = command.wait();
  await assertRejects(() => command.wait(), StateError, "exec: Wait was already called");
  await assertRejects(() => first, ExitError, "exit status 3");
  await assertRejects(() => command.wait(), StateError, "exec: Wait was already called");
});

test("process and processState appear with the start and with the wait", async () => {
  const command = new Command(helper, ["exit", "3"]);
  assertEquals([command.process, command.processState], [undefined, undefined]);
  const child = command.start();
  assertEquals([command.process === child, command.processState], [true, undefined]);
  await assertRejects(() => command.wait(), ExitError);
  assertEquals(command.processState?.exitCode, 3);
  const failed = new Command("/no/such/program");
  assertThrows(() => failed.start(), SpawnError);
  assertEquals([failed.process, failed.processState], [undefined, undefined]);
});

test("a command without a name is no command", () => {
  const command = new Command("");
  assertEquals([command.path, command.args, command.err], ["", [""], undefined]);
  assertThrows(() => command.start(), StateError, "exec: no command");
});

test("a failed look-up is kept, and thrown by the start before the abort's reason", async () => {
  const signal = AbortSignal.abort(new Error("aborted"));
  const command = new Command("no-such-program", ["x"], { signal });
  const text = 'exec: "no-such-program": executable file not found in $PATH';
  assert(command.err instanceof ExecError);
  assertEquals([command.err.message, command.path], [text, "no-such-program"]);
  assert(await assertRejects(() => command.run()) === command.err);
});

test("a failed look-up may be forgiven", async () => {
  const command = new Command("no-such-program", ["exit", "0"]);
  delete command.err;
  command.path = helper;
  assertEquals((await command.run()).success, true);
});

test("an abort before the start is thrown by it, and nothing is started", async () => {
  const before = children();
  const reason = new RangeError("too late");
  for (const start of ["start", "run", "output", "runSync", "outputSync"] as const) {
    const command = new Command(helper, ["hang"], { signal: AbortSignal.abort(reason) });
    assert(await assertRejects(async () => await command[start]()) === reason);
    assertEquals([command.process, children()], [undefined, before]);
    assertThrows(() => command.start(), StateError, already);
  }
});

test("the start throws the first of what is wrong", () => {
  const signal = AbortSignal.abort(new RangeError("aborted"));
  const cancel = (): void => {};
  const bad = { signal, dir: "/no/such/dir" };
  // Already started, the look-up, a cancel without a signal, the abort, the spawn.
  const lookup = new Command("no-such-program", [], { cancel });
  assertThrows(() => lookup.start(), ExecError);
  assertThrows(() => lookup.start(), StateError, already);
  assertThrows(() => new Command(helper, [], { cancel }).start(), StateError, "Cancel");
  assertThrows(() => new Command(helper, [], bad).start(), RangeError, "aborted");
  assertThrows(() => new Command(helper, [], { dir: bad.dir }).start(), SpawnError);
});

test("a cancel without a signal is refused, but for null", async () => {
  assertThrows(
    () => new Command(helper, [], { cancel: () => {} }).start(),
    StateError,
    "exec: command with a non-nil Cancel was not created with CommandContext",
  );
  await new Command(helper, ["exit", "0"], { cancel: null }).run();
});

test("a wait delay that is no time is a TypeError", () => {
  for (const waitDelay of [-1, NaN, wrong<number>("soon")]) {
    assertThrows(() => new Command(helper, [], { waitDelay }).start(), TypeError, "waitDelay");
  }
});

test("toString() is the path and the arguments, or the name that was not found", () => {
  const rows: [Command, string][] = [
    [new Command("/bin/echo", ["a", "b c", ""]), "/bin/echo a b c "],
    [new Command("no-such-program", ["x"]), "no-such-program x"],
    [new Command("/bin/echo"), "/bin/echo"],
    [new Command(""), ""],
  ];
  for (const [command, text] of rows) assertEquals(`${command}`, text);
  const found = new Command("sh", ["-c"]);
  assertEquals(`${found}`, `${found.path} -c`);
  assert(found.path.startsWith("/"));
  found.args = [];
  assertEquals(`${found}`, found.path);
});

test("a clone is unstarted, and neither changes the other", async () => {
  const sink = new Sink();
  const command = sh("echo $A", { env: { A: "1" }, stdout: sink, waitDelay: 7 });
  await command.run();
  const copy = command.clone();
  assertEquals([copy.process, copy.processState], [undefined, undefined]);
  assertEquals([copy.path, copy.args, copy.env, copy.waitDelay], [
    command.path,
    command.args,
    command.env,
    7,
  ]);
  copy.args.push("x");
  copy.extraFiles.push(null);
  copy.env = { A: "2" };
  assertEquals([command.args.length, command.extraFiles.length], [3, 0]);
  await copy.run();
  await command.clone().run();
  assertEquals(sink.text(), "1\n2\n1\n");
  const missing = new Command("no-such-program").clone();
  assertThrows(() => missing.start(), ExecError);
});

test("the command's wait() takes over from its process's", async () => {
  const command = sh("echo x; exit 4", { stdout: new Sink() });
  const state = await command.start().wait();
  assertEquals(state.exitCode, 4);
  const error = await assertRejects(() => command.wait(), ExitError);
  assert(error.state === state && command.processState === state);
});

test("a released process leaves nothing to wait for, but its copying goes on", async () => {
  await withoutLeaks(async () => {
    const stdout = new Sink();
    const command = new Command(helper, ["cat", "0"], { stdout });
    const stdin = command.stdinPipe();
    const child = command.start();
    const { pid } = child;
    child.release();
    await assertRejects(() => command.wait(), StateError, "os: process already released");
    assertEquals([stdin.closed, command.processState], [false, undefined]);
    await stdin.write(encode("text"));
    await until(() => stdout.text() === "text");
    stdin.close();
    await findProcess(pid).wait();
    // What is left of the copying ends with the pipe.
    await new Promise((resolve) => setTimeout(resolve, 10));
  });
});

test("a child that somebody else has reaped is never a made-up success", async () => {
  const command = new Command(helper, ["exit", "7"], { stdout: new Sink() });
  const { pid } = command.start();
  assertEquals(findProcess(pid).waitSync().exitCode, 7);
  const error = await assertRejects(() => command.wait());
  // The pidfd can tell from Linux 6.15 on.
  if (error instanceof ExitError) assertEquals(error.exitCode, 7);
  else assert(error instanceof SyscallError && error.code === "ECHILD", String(error));
});

test("lines() yields lines as they come, and the state is there at the end", async () => {
  const command = sh("echo one; echo; printf 'two\\r\\nthree'; read x; echo $x");
  const stdin = command.stdinPipe();
  const seen: string[] = [];
  for await (const line of command.lines()) {
    seen.push(line);
    // It comes before the child has gone on.
    if (line === "two") {
      stdin.writeSync(new TextEncoder().encode("four\n"));
      stdin.close();
    }
  }
  assertEquals(seen, ["one", "", "two", "threefour"]);
  assertEquals(command.processState?.success, true);
});

test("lines() starts when it is first asked, and as start() does", async () => {
  const lines = new Command("/no/such/program").lines();
  const iterator = lines[Symbol.asyncIterator]();
  await assertRejects(() => iterator.next(), SpawnError);
  const taken = sh("", { stdout: "null" }).lines()[Symbol.asyncIterator]();
  await assertRejects(() => taken.next(), StateError, "exec: Stdout already set");
});

test("leaving lines() early kills the child and reaps it", async () => {
  for (const leave of ["break", "throw"]) {
    const command = sh("echo one; exec sleep 1000");
    let pid = 0;
    const loop = async (): Promise<void> => {
      for await (const line of command.lines()) {
        pid = command.process?.pid ?? 0;
        assertEquals([line, stateOf(pid) === null], ["one", false]);
        if (leave === "break") break;
        throw new RangeError("left");
      }
    };
    if (leave === "break") await loop();
    else await assertRejects(loop, RangeError, "left");
    assertEquals([stateOf(pid), children().includes(pid)], [null, false]);
  }
});

test("disposal kills a child that still runs, reaps it, and waits for nobody else", async () => {
  using directory = new Directory();
  const file = directory.file("pid");
  const script = 'sleep 1000 & echo $! >"$0"; exec sleep 1000';
  const command = new Command("/bin/sh", ["-c", script, file], { stdout: new Sink() });
  const { pid } = command.start();
  await until(() => fs.readFileSync(file, "utf8").endsWith("\n"));
  await command[Symbol.asyncDispose]();
  assertEquals([stateOf(pid), command.process?.pidfd], [null, null]);
  // It has the other end of the pipe, and is not ours.
  const other = findProcess(Number(fs.readFileSync(file, "utf8")));
  other.kill();
  other.release();
});

test("disposal of a command that has ended, or never began, does nothing", async () => {
  const ended = new Command(helper, ["exit", "0"]);
  await ended.run();
  await ended[Symbol.asyncDispose]();
  await ended[Symbol.asyncDispose]();
  assertEquals(ended.processState?.success, true);
  await using never = new Command(helper, ["hang"]);
  assertEquals(never.process, undefined);
});
