/** os/exec's tests of the command itself: its output, its exit, its environment and its text. */

import { test } from "node:test";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { dirname } from "node:path";
import {
  Command,
  ExecError,
  ExitError,
  lookPath,
  SpawnError,
  StateError,
  type Stdin,
} from "../../mod.ts";
import { withoutLeaks } from "../holdings.ts";
import {
  ArbitraryError,
  decode,
  impersonate,
  program,
  readAll,
  TextWriter,
} from "../impersonator.ts";

test("TestEcho: output() is what the child printed", async () => {
  assertEquals(await impersonate("echo", ["foo bar", "baz"]).text(), "foo bar baz\n");
  assertEquals(decode(impersonate("echo", ["foo bar", "baz"]).outputSync()), "foo bar baz\n");
});

test("TestCommandRelativeName: a relative path is resolved in dir, not here", async () => {
  const bin = dirname(program);
  const command = impersonate("echo", ["foo"], { dir: dirname(bin) });
  command.path = "bin/impersonator";
  assertEquals(await command.text(), "foo\n");
});

test("TestCatStdin: stdin is fed as it is, newline or not", async () => {
  const input = "Input string\nLine 2";
  const bytes = new TextEncoder().encode(input);
  const sources: (() => Stdin)[] = [
    () => input,
    () => bytes,
    () => [input.slice(0, 5), bytes.subarray(5)],
    () => new Blob([input]).stream(),
    async function* () {
      yield input.slice(0, 1);
      yield bytes.subarray(1);
    },
  ];
  for (const source of sources) {
    assertEquals(await impersonate("cat", [], { stdin: source() }).text(), input);
  }
});

test("TestCatGoodAndBadFile: combinedOutput() has both streams in order, and the exit is an error", async () => {
  const command = impersonate("cat", ["/bogus/file.foo", "/etc/passwd"]);
  const error = await assertRejects(() => command.combinedOutput(), ExitError, "exit status 2");
  const [first, ...body] = decode(error.stdout).split("\n");
  assertEquals(first, "Error: open /bogus/file.foo");
  assertStringIncludes(body.join("\n"), "root:");
  assertStrictEquals(error.stderr, undefined);
});

test("TestNoExistExecutable: a program that is not there cannot be run", async () => {
  const error = await assertRejects(() => new Command("/no-exist-executable").run(), SpawnError);
  assertEquals(error.message, "fork/exec /no-exist-executable: no such file or directory");
});

test("TestExitStatus: a failing exit is an ExitError with Go's text", async () => {
  const command = impersonate("exit", ["42"]);
  const error = await assertRejects(() => command.run(), ExitError);
  assertEquals(String(error.state), "exit status 42");
  assertStrictEquals(error.state, command.processState);
});

test("TestExitCode: the code is the child's, and there is none before a wait", async () => {
  const rows: [command: Command, code: number][] = [
    [impersonate("exit", ["42"]), 42],
    [impersonate("cat", ["/no-exist-executable"]), 2],
    [impersonate("exit", ["255"]), 255],
    [impersonate("exit", ["256"]), 0],
    [impersonate("cat"), 0],
  ];
  for (const [command, code] of rows) {
    assertEquals(command.processState, undefined);
    await command.run().catch((error) => assertInstanceOf(error, ExitError));
    assertEquals(command.processState?.exitCode, code);
  }
});

test("TestNilProcessStateString: before a wait there is no state", async () => {
  const command = impersonate("cat");
  assertStrictEquals(command.processState, undefined);
  assertStrictEquals(command.process, undefined);
  command.start();
  assertStrictEquals(command.processState, undefined);
  await command.wait();
  assertEquals(`${command.processState}`, "exit status 0");
});

test("TestPipeLookPathLeak: a name that is not found leaves no descriptor of three pipes", async () => {
  await withoutLeaks(async () => {
    for (let round = 0; round < 6; round++) {
      const command = new Command("something-that-does-not-exist-executable");
      const pipes = [command.stdinPipe(), command.stdoutPipe(), command.stderrPipe()];
      await assertRejects(() => command.run(), ExecError, "executable file not found in $PATH");
      assertEquals(pipes.map(({ closed }) => closed), [true, true, true]);
    }
  });
});

test("TestOutputStderrCapture: ExitError has what went to stderr", async () => {
  const error = await assertRejects(() => impersonate("stderrfail").output(), ExitError);
  assertEquals(decode(error.stderr), "some stderr text\n");
  assertEquals(decode(error.stdout), "");
  const inLines = await assertRejects(() => Array.fromAsync(impersonate("stderrfail").lines()));
  assertInstanceOf(inLines, ExitError);
  assertEquals(decode(inLines.stderr), "some stderr text\n");
});

test("TestOutputStderrCapture: not where the caller has taken it, nor by run()", async () => {
  const stderr = new TextWriter();
  const taken = impersonate("stderrfail", [], { stderr });
  assertStrictEquals((await assertRejects(() => taken.output(), ExitError)).stderr, undefined);
  assertEquals(stderr.text, "some stderr text\n");
  const merged = impersonate("stderrfail", [], { stderr: "stdout" });
  const error = await assertRejects(() => merged.output(), ExitError);
  assertStrictEquals(error.stderr, undefined);
  assertEquals(decode(error.stdout), "some stderr text\n");
  const run = await assertRejects(() => impersonate("stderrfail").run(), ExitError);
  assertStrictEquals(run.stderr, undefined);
  assertStrictEquals(run.stdout, undefined);
});

test("gap: what was printed before a failing exit is kept, by every way to capture it", async () => {
  const make = (): Command => new Command("sh", ["-c", "echo out; echo err >&2; exit 3"]);
  const failures = [
    await assertRejects(() => make().output(), ExitError),
    await assertRejects(() => make().text(), ExitError),
    assertThrows(() => make().outputSync(), ExitError),
  ];
  for (const error of failures) {
    assertEquals([error.exitCode, decode(error.stdout), decode(error.stderr)], [
      3,
      "out\n",
      "err\n",
    ]);
  }
  const combined = assertThrows(() => make().combinedOutputSync(), ExitError);
  assertEquals(decode(combined.stdout), "out\nerr\n");
});

test("TestDedupEnvEcho: of a variable that is given twice the child has the last", async () => {
  const command = impersonate("echoenv", ["FOO"]);
  command.env = [...command.environ(), "FOO=bad", "FOO=good"];
  assertEquals(decode(await command.combinedOutput()), "good\n");
});

test("TestEnvNULCharacter: a NUL in the environment is refused, not cut off", async () => {
  const command = impersonate("echoenv", ["FOO", "BAR"]);
  command.env = [...command.environ(), "FOO=foo\0BAR=bar"];
  assertEquals(command.environ().filter((entry) => entry.startsWith("FOO=")), []);
  const error = await assertRejects(() => command.combinedOutput(), SpawnError);
  assertEquals(error.step, "request");
  assertEquals(error.message, `fork/exec ${program}: environment variable contains NUL`);
});

test("TestString: a command as text is its path and its arguments, unquoted", () => {
  const echo = lookPath("echo");
  assertEquals(new Command("echo").toString(), echo);
  assertEquals(new Command("echo", ["a"]).toString(), `${echo} a`);
  assertEquals(new Command("echo", ["a b", "c"]).toString(), `${echo} a b c`);
  const emptied = new Command("echo");
  emptied.args = [];
  assertEquals(emptied.toString(), echo);
});

test("TestStringPathNotResolved: a name that was not found stays as it was given", () => {
  const command = new Command("makemeasandwich", ["-lettuce"]);
  assertEquals(command.toString(), "makemeasandwich -lettuce");
});

test("TestPathRace: a command has its text while it runs", async () => {
  const command = impersonate("exit", ["0"]);
  const running = command.combinedOutput();
  assertEquals(command.toString(), `${program} exit 0`);
  await running;
  assertEquals(command.toString(), `${program} exit 0`);
});

test("TestNoPath: without a path there is no command", () => {
  assertEquals(assertThrows(() => new Command("").start(), StateError).message, "exec: no command");
});

test("TestStart_twice: a second start is refused, whatever came of the first", async () => {
  const missing = new Command("/bin/nonesuch");
  assertThrows(() => missing.start(), SpawnError);
  const again = assertThrows(() => missing.start(), StateError);
  assertEquals(`${again}`, "StateError: exec: already started");
  await using running = impersonate("cat");
  running.start();
  assertThrows(() => running.start(), StateError, "exec: already started");
  await running.wait();
  assertThrows(() => running.runSync(), StateError, "exec: already started");
});

test("TestDoubleStartLeavesPipesOpen: the pipes of the first start outlive a second", async () => {
  const command = impersonate("pipetest");
  const stdin = command.stdinPipe();
  const stdout = command.stdoutPipe();
  command.start();
  assertThrows(() => command.start(), StateError, "exec: already started");
  const text = readAll(stdout);
  await stdin.write(new TextEncoder().encode("O:Hello, pipe!\n"));
  stdin.close();
  assertEquals(await text, "O:Hello, pipe!\n");
  await command.wait();
  stdout.close();
});

test("TestConcurrentExec: those that hang do not keep those that exit", async () => {
  const controller = new AbortController();
  const hanging = Array.from({ length: 8 }, () => {
    const command = impersonate("pipetest", [], { signal: controller.signal });
    const stdin = command.stdinPipe();
    command.cancel = () => stdin.close();
    command.start();
    return command;
  });
  const exiting = Array.from({ length: 8 }, () => impersonate("exit", ["0"]).run());
  for (const state of await Promise.all(exiting)) assert(state.success);
  const reason = new ArbitraryError();
  controller.abort(reason);
  for (const command of hanging) {
    assertStrictEquals(await assertRejects(() => command.wait()), reason);
  }
});

test("TestAbsPathExec: an absolute path is kept and run as it is", async () => {
  const command = new Command(program, ["echo", "hi"]);
  assertEquals(command.path, program);
  assertEquals(await command.text(), "hi\n");
  const bare = new Command("");
  bare.path = program;
  bare.args = [];
  // Without a verb the program exits with 1; argv[0] is the path then.
  assertEquals((await assertRejects(() => bare.run(), ExitError)).exitCode, 1);
  const elsewhere = new Command("");
  elsewhere.path = "impersonator";
  elsewhere.dir = "/";
  const error = await assertRejects(() => elsewhere.run(), SpawnError);
  assertEquals([error.step, error.code], ["exec", "ENOENT"]);
});

test("TestAbsPathExec/modified: what counts is the path at the start", async () => {
  const command = new Command("/bin/false");
  command.path = program;
  command.args = ["renamed", "echo", "ran"];
  assertEquals(await command.text(), "ran\n");
  const argv0 = new Command(lookPath("sh"));
  argv0.args = ["my-name", "-c", "echo $0"];
  assertEquals(await argv0.text(), "my-name\n");
});

test("rule 36: the words for a stream that is taken, and for a pipe that comes too late", async () => {
  const set = impersonate("cat", [], { stdin: "", stdout: "null", stderr: "null" });
  assertThrows(() => set.stdinPipe(), StateError, "exec: Stdin already set");
  assertThrows(() => set.stdoutPipe(), StateError, "exec: Stdout already set");
  assertThrows(() => set.stderrPipe(), StateError, "exec: Stderr already set");
  await assertRejects(() => set.output(), StateError, "exec: Stdout already set");
  await assertRejects(() => set.combinedOutput(), StateError, "exec: Stdout already set");
  delete set.stdout;
  await assertRejects(() => set.combinedOutput(), StateError, "exec: Stderr already set");
  await using twice = impersonate("cat");
  twice.stdoutPipe();
  assertThrows(() => twice.stdoutPipe(), StateError, "exec: Stdout already set");
  await using running = impersonate("cat");
  running.start();
  assertThrows(() => running.stdinPipe(), StateError, "exec: StdinPipe after process started");
  assertThrows(() => running.stdoutPipe(), StateError, "exec: StdoutPipe after process started");
  assertThrows(() => running.stderrPipe(), StateError, "exec: StderrPipe after process started");
});

test("rule 38: what start() looks at first: the call, the look-up, the options, the signal", () => {
  const reason = new ArbitraryError();
  const signal = AbortSignal.abort(reason);
  const refusal = (command: Command): unknown => assertThrows(() => command.start());
  const missing = new Command("makemeasandwich", [], { signal });
  assertInstanceOf(refusal(missing), ExecError);
  assertEquals(`${refusal(missing)}`, "StateError: exec: already started");
  assertEquals(`${refusal(new Command("", [], { signal }))}`, "StateError: exec: no command");
  assertStrictEquals(refusal(new Command("/bin/nonesuch", [], { signal })), reason);
  const alone = refusal(new Command("/bin/nonesuch", [], { cancel: () => {} }));
  assertInstanceOf(alone, StateError);
  assertMatch(alone.message, /^exec: command with a non-nil Cancel was not created with /);
});

test("rule 38: a start that is refused has not touched a stream that it was given", async () => {
  const stdin = new Blob(["data"]).stream();
  const stdout = new WritableStream<Uint8Array>();
  const command = impersonate("cat", [], { stdin, stdout, signal: AbortSignal.abort() });
  assertThrows(() => command.start(), DOMException);
  assert(!stdin.locked && !stdout.locked);
  assertEquals(await new Response(stdin).text(), "data");
});

test("rule 41: a wait needs a start, and there is one", async () => {
  const command = impersonate("cat");
  await assertRejects(() => command.wait(), StateError, "exec: not started");
  command.start();
  const waiting = command.wait();
  await assertRejects(() => command.wait(), StateError, "exec: Wait was already called");
  assert((await waiting).success);
  await assertRejects(() => command.wait(), StateError, "exec: Wait was already called");
});

test("rule 44: a look-up's error may be deleted, and then the path is run", async () => {
  const command = new Command("makemeasandwich", ["exit", "0"]);
  assertInstanceOf(command.err, ExecError);
  command.path = program;
  assertThrows(() => command.clone().start(), ExecError);
  delete command.err;
  assert((await command.clone().run()).success);
});

test("rule 51: clone() runs a command again, whatever had been captured or piped", async () => {
  const command = impersonate("pipetest", [], { stdin: "O:out\nE:err\n" });
  assertEquals(await command.text(), "O:out\n");
  const again = command.clone();
  assertStrictEquals(again.stdout, undefined);
  assertStrictEquals(again.stderr, undefined);
  assertEquals(decode(await again.combinedOutput()), "O:out\nE:err\n");
  assertEquals(decode(again.clone().outputSync()), "O:out\n");
  assertEquals(await Array.fromAsync(command.clone().lines()), ["O:out"]);
  const piped = impersonate("cat");
  piped.stdinPipe().close();
  piped.stdoutPipe();
  // Go's way to say 2>&1.
  if (piped.stdout !== undefined) piped.stderr = piped.stdout;
  const fresh = piped.clone();
  assertEquals([fresh.stdin, fresh.stdout, fresh.stderr], [undefined, undefined, undefined]);
  await using _ = piped;
});

test("rule 51: a clone shares nothing that can be changed", () => {
  const command = impersonate("cat", [], {
    env: { A: "1" },
    extraFiles: [null],
    sysProcAttr: { setsid: true },
  });
  const copy = command.clone();
  assertEquals(copy.env, command.env);
  assertEquals(copy.sysProcAttr, command.sysProcAttr);
  copy.args.push("more");
  copy.extraFiles.push(null);
  copy.sysProcAttr = Object.assign(copy.sysProcAttr ?? {}, { setsid: false });
  assertEquals(command.args.length, 2);
  assertEquals(command.extraFiles.length, 1);
  assertEquals(command.sysProcAttr?.setsid, true);
});
