import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ClosedError,
  Command,
  ExitError,
  OSFile,
  StateError,
  SyscallError,
  WaitDelayError,
} from "../../mod.ts";
import { decode, encode, helper, noise, readAll, sh, Sink } from "../helper.ts";
import { withoutLeaks } from "../holdings.ts";

/** Answers "O:text" on stdout and "E:text" on stderr, until the end of its input. */
const pipetest = `while IFS= read -r line; do
  case $line in O:*) echo "$line" ;; E:*) echo "$line" >&2 ;; *) exit 1 ;; esac
done`;

/** The next line of a file, read no further than that. */
async function line(file: OSFile): Promise<string | null> {
  for await (const text of file.lines()) return text;
  return null;
}

test("three pipes carry a dialogue, and wait() ends well", async () => {
  const command = sh(pipetest);
  const stdin = command.stdinPipe();
  const stdout = command.stdoutPipe();
  const stderr = command.stderrPipe();
  command.start();
  for (let round = 0; round < 3; round++) {
    await stdin.write(encode(`O:I am output ${round}\n`));
    assertEquals(await line(stdout), `O:I am output ${round}`);
    await stdin.write(encode(`E:I am error ${round}\n`));
    assertEquals(await line(stderr), `E:I am error ${round}`);
  }
  stdin.close();
  assertEquals((await command.wait()).success, true);
  assertEquals([await line(stdout), await line(stderr)], [null, null]);
  stdout.close();
  stderr.close();
});

test("a pipe is an OSFile with a descriptor, and so is what it sets", () => {
  const command = sh("");
  const pipes = [command.stdinPipe(), command.stdoutPipe(), command.stderrPipe()];
  for (const end of [...pipes, command.stdin, command.stdout, command.stderr]) {
    assert(end instanceof OSFile && end.fd > 2 && !end.closed);
  }
  for (const end of [...pipes, command.stdin, command.stdout, command.stderr]) {
    assert(end instanceof OSFile);
    end.close();
  }
});

test("wait() closes stdinPipe(), and closing it before is no error", async () => {
  for (const closes of [true, false]) {
    const command = new Command(helper, ["exit", "0"]);
    const stdin = command.stdinPipe();
    command.start();
    if (closes) stdin.close();
    await command.wait();
    assertEquals(stdin.closed, true);
    stdin.close();
    await assertRejects(() => stdin.write(encode("x")), ClosedError, "file already closed");
  }
});

test("a write to a child that has ended fails with EPIPE until it is waited for", async () => {
  const command = new Command(helper, ["exit", "0"]);
  const stdin = command.stdinPipe();
  const child = command.start();
  await child.wait();
  const error = await assertRejects(() => stdin.write(encode("x")), SyscallError);
  assertEquals([error.code, error.message], ["EPIPE", "write |1: broken pipe"]);
  await command.wait();
});

test("a write that is pending when wait() closes the pipe is rejected, and wait() is not", async () => {
  // The grandchild keeps the reading end open, and full, past the child's exit.
  const command = sh("exec 3<&0; cat <&4 3<&3 >/dev/null & exit 0");
  const held = sh("");
  const guard = held.stdinPipe();
  assert(held.stdin instanceof OSFile);
  command.extraFiles = [null, held.stdin];
  const stdin = command.stdinPipe();
  command.start();
  const writing = assertRejects(() => stdin.write(noise(4 * 1024 * 1024)), ClosedError);
  assertEquals((await command.wait()).success, true);
  await writing;
  held.stdin.close();
  guard.close();
});

test("a write and wait() at the same time are safe", async () => {
  for (let round = 0; round < 20; round++) {
    const stdout = new Sink();
    const command = new Command("cat", [], { stdout });
    const stdin = command.stdinPipe();
    command.start();
    const writing = stdin.write(encode("some data")).then(() => stdin.close());
    await Promise.all([writing, command.wait()]);
    assertEquals(stdout.text(), "some data");
  }
});

test("what is unread is still there after wait()", async () => {
  const command = sh("echo out; echo err >&2");
  const stdout = command.stdoutPipe();
  const stderr = command.stderrPipe();
  command.start();
  await command.wait();
  assertEquals([stdout.closed, stderr.closed], [false, false]);
  assertEquals([await readAll(stdout), await readAll(stderr)], ["out\n", "err\n"]);
  stdout.close();
  stderr.close();
});

test("what is unread is still there after waitDelay", async () => {
  const command = sh("echo out; sleep 1000 & echo $! >&2", { waitDelay: 50 });
  const stdout = command.stdoutPipe();
  const stderr = new Sink();
  command.stderr = stderr;
  command.start();
  // The sleeping grandchild holds both pipes open.
  await assertRejects(() => command.wait(), WaitDelayError);
  assertEquals(await line(stdout), "out");
  await new Command("kill", [stderr.text().trim()]).run();
  assertEquals(await readAll(stdout), "");
  stdout.close();
});

test("a second start is refused, and the first one's pipes stay open", async () => {
  const command = new Command("cat");
  const stdin = command.stdinPipe();
  const stdout = command.stdoutPipe();
  command.start();
  assertThrows(() => command.start(), StateError, "exec: already started");
  assertEquals([stdin.closed, stdout.closed], [false, false]);
  await stdin.write(encode("still here\n"));
  assertEquals(await line(stdout), "still here");
  stdin.close();
  await command.wait();
  stdout.close();
});

test("a stream that is set already has no pipe, neither by hand nor twice", async () => {
  const command = new Command("true", [], { stdin: "null", stdout: "null", stderr: "stdout" });
  const rows = [
    [() => command.stdinPipe(), "Stdin"],
    [() => command.stdoutPipe(), "Stdout"],
    [() => command.stderrPipe(), "Stderr"],
  ] as const;
  for (const [make, name] of rows) {
    assertThrows(make, StateError, `exec: ${name} already set`);
  }
  const twice = new Command("true");
  const stdout = twice.stdoutPipe();
  assertThrows(() => twice.stdoutPipe(), StateError, "exec: Stdout already set");
  await assertRejects(() => twice.output(), StateError, "exec: Stdout already set");
  assertEquals(stdout.closed, false);
  await twice[Symbol.asyncDispose]();
});

test("there are no pipes after the start", async () => {
  const command = new Command("true");
  command.start();
  const rows = [
    [() => command.stdinPipe(), "StdinPipe"],
    [() => command.stdoutPipe(), "StdoutPipe"],
    [() => command.stderrPipe(), "StderrPipe"],
  ] as const;
  for (const [make, name] of rows) {
    assertThrows(make, StateError, `exec: ${name} after process started`);
  }
  await command.wait();
});

test("a failing start closes all pipes", async () => {
  await withoutLeaks(() => {
    for (const name of ["no-such-program", "/no/such/program"]) {
      const command = new Command(name);
      const ends = [command.stdinPipe(), command.stdoutPipe(), command.stderrPipe()];
      assertThrows(() => command.start(), Error, name);
      assertEquals(ends.map((end) => end.closed), [true, true, true]);
    }
  });
});

test("another command's stdoutPipe() as stdin is a pipeline", async () => {
  const bytes = noise(3_000_000);
  const first = new Command("cat", [], { stdin: bytes });
  const second = new Command("cat", [], { stdin: first.stdoutPipe() });
  const third = new Command("cat", [], { stdin: second.stdoutPipe() });
  first.start();
  second.start();
  const output = await third.output();
  await Promise.all([first.wait(), second.wait()]);
  assert(output.toString() === bytes.toString());
});

test("a pipeline's writer gets SIGPIPE when its reader ends", async () => {
  const yes = new Command("yes");
  const pipe = yes.stdoutPipe();
  const head = new Command("head", ["-n", "1"], { stdin: pipe });
  yes.start();
  assertEquals(await head.text(), "y\n");
  assertEquals(pipe.closed, true);
  const error = await assertRejects(() => yes.wait(), ExitError, "signal: broken pipe");
  assertEquals(error.signal, "SIGPIPE");
});

test("stderr on stdout's pipe is 2>&1", async () => {
  const command = sh("echo 1; echo 2 >&2; echo 3");
  const stdout = command.stdoutPipe();
  command.stderr = command.stdout ?? "null";
  command.start();
  assertEquals(await readAll(stdout), "1\n2\n3\n");
  await command.wait();
  stdout.close();
});

test("pipes serve a synchronous run, as far as they hold", () => {
  const command = new Command("cat");
  const stdin = command.stdinPipe();
  const stdout = command.stdoutPipe();
  stdin.writeSync(encode("fits"));
  stdin.close();
  command.runSync();
  const bytes = new Uint8Array(10);
  assertEquals(stdout.readSync(bytes), 4);
  assertEquals([decode(bytes.subarray(0, 4)), stdout.readSync(bytes)], ["fits", null]);
  stdout.close();
});

test("a clone has its own pipes, or none", async () => {
  const command = new Command("cat");
  const stdin = command.stdinPipe();
  const stdout = command.stdoutPipe();
  const copy = command.clone();
  assertEquals([copy.stdin, copy.stdout], [undefined, undefined]);
  copy.stdin = "from the copy";
  assertEquals(await copy.text(), "from the copy");
  command.start();
  await stdin.write(encode("from the first"));
  stdin.close();
  assertEquals(await readAll(stdout), "from the first");
  await command.wait();
  stdout.close();
});

test("disposal closes the pipes of a command that was never started", async () => {
  await withoutLeaks(async () => {
    const command = new Command("true");
    const ends = [command.stdinPipe(), command.stdoutPipe(), command.stderrPipe()];
    await command[Symbol.asyncDispose]();
    assertEquals(ends.map((end) => end.closed), [true, true, true]);
  });
});
