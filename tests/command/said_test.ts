/** "said N" for issue 14, F for issue 22: what is said of commands and errors, and what goes beside the environment. */

import process from "node:process";
import { test } from "node:test";
import { inspect } from "node:util";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  CancelError,
  Command,
  ExitError,
  findProcess,
  OSFile,
  type ProcessState,
  quote,
  SpawnError,
  startProcess,
  StateError,
  WaitDelayError,
} from "../../mod.ts";
import { Directory, isBun, isDeno, runScript, runtime, sh, writeScript, wrong } from "../helper.ts";
import { needsCall, needsLinuxChild, needsPidfd } from "../refused.ts";

test("said 5: extraEnv adds to what the child would have, and undefined removes", async () => {
  const extraEnv = { A: "1", B: undefined };
  const env = { B: "2", C: "3" };
  const show = (options: object): Promise<string> =>
    new Command("/usr/bin/env", [], options).text();
  assertEquals(await show({ env, extraEnv }), "C=3\nA=1\n");
  assertEquals(await show({ env: ["B=2", "C=3", "A=0"], extraEnv }), "C=3\nA=1\n");
  const inherited = await show({ extraEnv: { OSEXEC_SAID: "yes", PATH: undefined } });
  assert(/^OSEXEC_SAID=yes$/m.test(inherited) && !/^PATH=/m.test(inherited), inherited);
  const command = new Command("/usr/bin/env", [], { env: {}, extraEnv });
  assertEquals(await command.clone().text(), "A=1\n");
  assertEquals(command.environ(), ["A=1"]);
  for (const key of ["", "A=B", "A\0"]) {
    const refused = new Command("/usr/bin/env", [], { extraEnv: { [key]: "x" } });
    assertEquals(assertThrows(() => refused.start(), SpawnError).step, "request");
  }
  assertThrows(() => sh("", { extraEnv: wrong({ A: 1 }) }).start(), TypeError, '"A"');
});

test("said 5: every option may be undefined", async () => {
  const maybe: string | undefined = undefined;
  const command = new Command("pwd", [], {
    dir: maybe,
    env: undefined,
    extraEnv: undefined,
    signal: undefined,
    sysProcAttr: { chroot: maybe, umask: undefined, credential: undefined },
  });
  assertEquals(await command.text(), `${process.cwd()}\n`);
});

test("said 5: quote() is read back by shells as it was", async () => {
  const words = [
    "plain",
    "",
    "a b",
    "it's",
    '"',
    "$HOME",
    "`id`",
    "\\",
    "*",
    "a\nb",
    "\x1b[31m",
    "\t'\\",
    "ü€😀",
    "-n",
    "~",
    "!",
    "#",
  ];
  const line = quote(...words);
  assert(!line.includes("\x1b") && !line.includes("\n"), line);
  const out = await new Command("bash", ["-c", `printf '%s\\0' ${line}`]).text();
  assertEquals(out.split("\0").slice(0, -1), words);
  const simple = words.filter((word) => !/\p{Cc}/u.test(word));
  const posix = await new Command("sh", ["-c", `printf '%s\\0' ${quote(...simple)}`]).text();
  assertEquals(posix.split("\0").slice(0, -1), simple);
  assertEquals(quote("ls", "-la", "/tmp/x"), "ls -la /tmp/x");
  for (const bad of ["a\0b", wrong<string>(7)]) assertThrows(() => quote(bad), TypeError);
});

test("said 5: toString() shows control characters, and does nothing with them", () => {
  assertEquals(
    `${new Command("/bin/echo", ["\x1b[2J", "a\nb", "\x9b"])}`,
    "/bin/echo \\x1b[2J a\\nb \\u009b",
  );
});

test("said 7: an ExitError says which command, and what it had said last", async () => {
  const script = "echo one >&2; printf 'fatal: \\033[31mno\\n\\n' >&2; exit 128";
  const error = await assertRejects(() => sh(script).output(), ExitError);
  assertEquals(error.command, quote("/bin/sh", "-c", script));
  assertEquals(error.message, `${error.command}: exit status 128: fatal: \\x1b[31mno`);
  assertEquals([String(error), String(error.state)], [
    "ExitError: exit status 128",
    "exit status 128",
  ]);
  assertEquals(assertThrows(() => sh(script).outputSync(), ExitError).message, error.message);
  const long = new Command("/bin/sh", ["-c", "exit 1", "x".repeat(500)]);
  assert((await assertRejects(() => long.run(), ExitError)).message.length < 250);
  const secret = new Command("/bin/sh", ["-c", "exit 1", "password"], { label: "login" });
  assertEquals(
    (await assertRejects(() => secret.clone().run(), ExitError)).message,
    "login: exit status 1",
  );
});

test("said 8: the stack of what run() and its kin reject with names who called", async () => {
  async function caller(run: () => Promise<unknown>): Promise<string> {
    try {
      await run();
    } catch (error) {
      assert(error instanceof Error);
      return error.stack ?? "";
    }
    return "no error";
  }
  const none = (): Command => new Command("/nonexistent");
  for (
    const run of [
      async () => await none().run(),
      async () => await none().text(),
      async () => await none().output(),
      async () => await sh("exit 3").run(),
      async () => await sh("exit 3").text(),
    ]
  ) {
    const stack = await caller(run);
    assert(stack.includes("said_test"), stack);
  }
});

test("said 8: so does that of lines()", async () => {
  async function caller(command: Command): Promise<string> {
    try {
      for await (const _ of command.lines());
    } catch (error) {
      assert(error instanceof Error);
      return error.stack ?? "";
    }
    return "no error";
  }
  for (const command of [sh("exit 3"), sh("echo x; exit 3"), new Command("/nonexistent")]) {
    assert((await caller(command)).includes("said_test"), await caller(command.clone()));
  }
  // What is not of our making keeps its own.
  const error = new Error("theirs");
  const { stack } = error;
  const signal = AbortSignal.abort(error);
  await assertRejects(() => sh("", { signal }).lines().next(), Error, "theirs");
  assertEquals(error.stack, stack);
});

test("said 8: and that of each class of error", async () => {
  const controller = new AbortController();
  const cancel = (): void => {
    throw new Error("x");
  };
  const refusing = wrong<never>({ write: () => 0 });
  const held = sh("sleep 10 & echo $!", { waitDelay: 20 });
  const ways: Record<string, () => unknown> = {
    StateError: () => new Command("true").wait(),
    SyscallError: async () => {
      using directory = OSFile.open("/");
      await directory.read(new Uint8Array(3));
    },
    "SyscallError in a later turn": async () => {
      using directory = OSFile.open("/");
      // Longer than a turn may take: the read has to wait for the next one.
      for (const end = performance.now() + 20; performance.now() < end;);
      await directory.read(new Uint8Array(3));
    },
    "SyscallError of lines()": async () => {
      using directory = OSFile.open("/");
      for await (const _ of directory.lines());
    },
    SpawnError: () => new Command("/nope").run(),
    ExecError: () => new Command("no-such-thing").run(),
    ExitError: () => sh("exit 1").run(),
    WaitDelayError: () => held.output(),
    CancelError: async () => {
      const running = new Command("sleep", ["0.05"], { signal: controller.signal, cancel }).run();
      controller.abort();
      await running;
    },
    ShortWriteError: () => sh("echo x", { stdout: refusing }).run(),
    ProcessDoneError: async () => {
      const child = startProcess("/bin/true", ["true"]);
      await child.wait();
      child.kill();
    },
    ClosedError: async () => {
      const file = OSFile.open("/");
      file.close();
      await file.read(new Uint8Array(1));
    },
  };
  async function caller(way: () => unknown): Promise<Error> {
    try {
      await way();
    } catch (error) {
      assert(error instanceof Error);
      return error;
    }
    throw new Error("no error");
  }
  for (const [name, way] of Object.entries(ways)) {
    const error = await caller(way);
    assertEquals(error.name, name.split(" ")[0]);
    assert(error.stack?.includes("said_test"), `${name}: ${error.stack}`);
    if (error instanceof WaitDelayError) {
      process.kill(Number(new TextDecoder().decode(error.stdout)), "SIGKILL");
    }
  }
});

test("said 6: one wait() for all, and a failure is told whenever it is asked for", async () => {
  class Waited extends Command {
    waits = 0;
    override async wait(): Promise<ProcessState> {
      this.waits++;
      await Promise.resolve();
      // To look must change nothing.
      void this.process?.pid;
      return await super.wait();
    }
  }
  const make = (path = "/bin/true"): Waited => new Waited(path);
  const ways: ((command: Waited) => Promise<unknown>)[] = [
    (command) => command.run(),
    (command) => command.output(),
    (command) => command.text(),
    (command) => command.combinedOutput(),
    (command) => command.lines().next(),
  ];
  for (const way of ways) {
    const command = make();
    await way(command);
    assertEquals(command.waits, 1, String(way));
    const failing = make("/nonexistent");
    await assertRejects(() => way(failing), SpawnError);
    assertEquals(failing.process, undefined);
  }
  const failing = make("/nonexistent");
  const failure = await assertRejects(() => failing.run(), SpawnError);
  assertStrictEquals(await assertRejects(() => failing.wait(), SpawnError), failure);
});

test("said 7: the other errors of a command name it too, after Go's words", async () => {
  const named = (options: object = {}): Command => sh("exit 0", { label: "job 7", ...options });
  const twice = named();
  await assertRejects(() => twice.wait(), StateError, "exec: not started (job 7): start()");
  await twice.run();
  await assertRejects(() => twice.wait(), StateError, "already called (job 7): processState");
  const again = assertThrows(() => twice.start(), StateError);
  assertEquals([again.message, again.command, `${again}`], [
    "exec: already started (job 7): clone() makes a fresh one",
    "job 7",
    "StateError: exec: already started",
  ]);
  const held = sh("sleep 10 & echo $!", { label: "job 8", waitDelay: 20 });
  const late = await assertRejects(() => held.output(), WaitDelayError);
  process.kill(Number(new TextDecoder().decode(late.stdout)), "SIGKILL");
  assertEquals([late.command, late.message], [
    "job 8",
    "exec: WaitDelay expired before I/O complete (job 8)",
  ]);
  const controller = new AbortController();
  const cancel = (): void => {
    controller.signal.throwIfAborted();
  };
  const cancelled = new Command("cat", [], { label: "job 9", signal: controller.signal, cancel });
  const input = cancelled.stdinPipe();
  const running = cancelled.run();
  controller.abort(new Error("no"));
  input.close();
  const error = await assertRejects(() => running, CancelError);
  assertEquals(error.message, "exec: canceling Cmd: no (job 9)");
});

test("said 11: a text that no string holds says so, and what serves", async () => {
  // As long as it would have to be, without so much being printed.
  class Big extends Command {
    override output(): Promise<Uint8Array> {
      return Promise.resolve(new Uint8Array(2 ** 29 + 1));
    }
  }
  if (isBun) {
    assertEquals((await new Big("true").text()).length, 2 ** 29 + 1);
    return;
  }
  await assertRejects(() => new Big("true").text(), RangeError, "536870913 bytes");
});

test("said 9: what is printed is a line", async () => {
  const command = sh("exit 3");
  const before = inspect(command);
  const error = await assertRejects(() => command.output(), ExitError);
  using file = OSFile.open("/dev/null");
  const child = command.process;
  for (
    const [value, name] of [
      [command, "Command"],
      [error.state, "ProcessState"],
      [child, "Process"],
      [file, "OSFile"],
    ]
  ) {
    const text = inspect(value);
    assert(text.startsWith(`${name} {`) && !text.includes("\n"), text);
  }
  assertEquals(inspect(error.state), `ProcessState { exit status 3, pid ${error.state.pid} }`);
  assert(before.includes("not started"), before);
});

test("said 9: as the runtime itself prints it", async () => {
  const { stdout } = await runScript(`
    const command = new osexec.Command("true");
    const state = await command.run();
    console.log(state);
    console.log(command, osexec.OSFile.open("/dev/null"));`);
  const lines = stdout.trimEnd().split("\n");
  assertEquals(lines.length, 2);
  assert(/^ProcessState \{ exit status 0, pid \d+ \}$/.test(lines[0] ?? ""), stdout);
});

test("said 10: a command that is used a second time says so, and what to do", async () => {
  const command = sh("echo x");
  await command.text();
  for (const again of [() => command.text(), () => command.combinedOutput()]) {
    await assertRejects(
      again,
      StateError,
      "exec: already started (/bin/sh -c 'echo x'): clone() makes",
    );
  }
  assertThrows(() => command.outputSync(), StateError, "clone()");
  assertEquals(await command.clone().text(), "x\n");
});

test("F15: an error in a log is words, and not megabytes", async () => {
  const script = "head -c 1000000 /dev/zero; head -c 5000 /dev/zero | tr '\\0' e >&2; exit 3";
  const error = await assertRejects(() => sh(script).output(), ExitError);
  assertEquals(error.stdout?.length, 1_000_000);
  const { stderr, ...rest } = JSON.parse(JSON.stringify(error));
  assertEquals(rest, {
    name: "ExitError",
    message: error.message,
    exitCode: 3,
    signal: null,
    state: "exit status 3",
  });
  assertEquals(stderr, "e".repeat(2048));
  assert(inspect(error).length < 2000);
});

test("F4: the usage of a child that another handle has reaped is not made up", {
  skip: needsPidfd || needsCall("pidfd_open"),
}, async () => {
  const child = startProcess("/bin/sh", ["sh", "-c", "exit 4"], { files: [null, null, null] });
  const other = findProcess(child.pid);
  const first = await child.wait();
  // Linux before 6.15 does not tell.
  const second = await other.wait().catch(() => null);
  assert(first.usage.maxRss > 0);
  if (second === null) return;
  assertEquals(second.exitCode, 4);
  assert(Object.values(second.usage).every(Number.isNaN));
});

test("F12: what the library keeps is not at 0 to 2, though a daemon has closed them", {
  skip: needsLinuxChild,
}, async () => {
  using directory = new Directory();
  const log = directory.join("log");
  const path = writeScript(
    directory,
    `
    import fs from "node:fs";
    const file = osexec.OSFile.open(${JSON.stringify(log)}, "w");
    const say = (text) => file.writeSync(new TextEncoder().encode(text + "\\n"));
    new osexec.Command("true").runSync();
    for (const fd of [0, 1, 2]) osexec.OSFile.fromFd(fd).close();
    const wait = () => Promise.race([osexec.startProcess("/bin/sleep", ["sleep", "0.05"]).wait().then(String),
      new Promise((done) => setTimeout(() => done("never"), 5000))]);
    say(await wait());
    const [reading, writing] = osexec.pipe();
    say([reading.fd, writing.fd].some((fd) => fd < 3));
    for (const fd of [0, 1, 2]) {
      let link = "closed";
      try { link = fs.readlinkSync("/proc/self/fd/" + fd); } catch {}
      if (/socket|pipe|pidfd|eventpoll/.test(link)) say(fd + " " + link);
    }
    say(await wait());
    ${isDeno ? "Deno" : "process"}.exit();`,
  );
  const [program = "", ...flags] = runtime;
  await new Command(program, [...flags, path]).run();
  using file = OSFile.open(log);
  const lines: string[] = [];
  for await (const line of file.lines()) lines.push(line);
  assertEquals(lines, ["exit status 0", "false", "exit status 0"]);
});

test("host 18: without --allow-ffi one error says which permission, and no path", {
  skip: !isDeno && "needs Deno",
}, async () => {
  using directory = new Directory();
  const path = writeScript(
    directory,
    `
    try { new osexec.Command("true").runSync(); } catch (error) { console.log(error.name, error.message); }`,
  );
  for (const flags of [[], ["--deny-ffi"], ["--allow-ffi=libc.so.6"]]) {
    const argv = ["run", "--quiet", "--no-prompt", ...flags, path];
    assertEquals(
      await new Command(process.execPath, argv).text(),
      "NotCapable osexec needs --allow-ffi, without a list of paths\n",
    );
  }
});
