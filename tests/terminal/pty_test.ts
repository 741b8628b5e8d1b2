import fs from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  CLONE_NEWUSER,
  ClosedError,
  Command,
  type CommandOptions,
  ExitError,
  openPty,
  OSFile,
  type PtyOptions,
  SpawnError,
  startProcess,
  StateError,
  SyscallError,
  type SysProcAttr,
  type Terminal,
  TimeoutError,
  WaitDelayError,
} from "../../mod.ts";
import { decode, helper, isRoot, noise, runScript, runtime, sh, Sink, wrong } from "../helper.ts";
import { withoutLeaks } from "../holdings.ts";
import { needsCall, needsLinuxChild } from "../refused.ts";
import {
  descriptors,
  helperFolder,
  needsRoot,
  needsUserNamespaces,
  ownMaps,
  parseStat,
} from "../system.ts";

const pty = true;

/** All that is left to be read. */
async function rest(terminal: Terminal | undefined): Promise<Uint8Array> {
  const sink = new Sink();
  const buffer = new Uint8Array(64 * 1024);
  while (true) {
    const length = await terminal?.read(buffer);
    if (length === null || length === undefined) return sink.bytes();
    sink.write(buffer.slice(0, length));
  }
}

/** Reads until a text has come. */
async function readUntil(terminal: Terminal | undefined, text: string): Promise<string> {
  const buffer = new Uint8Array(4096);
  let all = "";
  while (!all.includes(text)) {
    const length = await terminal?.read(buffer);
    if (length === null || length === undefined) throw new Error(`it ended after ${all}`);
    all += decode(buffer.subarray(0, length));
  }
  return all;
}

// ---------------------------------------------------------------- what a child has

test("pty: 0, 1 and 2 are one terminal, the controlling one of a session that the child leads", async () => {
  const text = await new Command(helper, ["file", "/proc/self/stat"], { pty }).text();
  const stat = parseStat(text);
  const firstMajor = 136;
  assertEquals([stat.session, stat.group, stat.foreground], [stat.pid, stat.pid, stat.pid]);
  assertEquals(stat.terminal >> 8, firstMajor);
  const script = "for fd in 0 1 2; do test -t $fd && readlink /proc/self/fd/$fd; done; tty";
  const names = (await sh(script, { pty }).text()).trim().split("\r\n");
  assertEquals(new Set(names).size, 1);
  assert(/^\/dev\/pts\/\d+$/.test(names[0] ?? ""), names[0]);
});

test("pty: the child has no other descriptor, and extraFiles come after the three", async () => {
  using null_ = OSFile.open("/dev/null");
  const lines = (options: CommandOptions): Promise<string> =>
    new Command(helper, ["fds"], { pty, ...options }).text();
  const numbers = (text: string): string[] =>
    text.trim().split("\r\n").map((line) => line.split(/\s/)[0] ?? "");
  assertEquals(numbers(await lines({})).slice(0, 3), ["0", "1", "2"]);
  const [, , , fourth = "", ...more] = (await lines({ extraFiles: [null_] })).trim().split("\r\n");
  assert(/^3\s.*\/dev\/null/.test(fourth), fourth);
  assertEquals(more.filter((line) => line.includes("/dev/")), []);
});

test("pty: a window of 80 columns and 24 rows, or as asked", async () => {
  const size = (options: boolean | PtyOptions): Promise<string> =>
    new Command("stty", ["size"], { pty: options }).text();
  assertEquals(await size(true), "24 80\r\n");
  assertEquals(await size({}), "24 80\r\n");
  assertEquals(await size({ columns: 132 }), "24 132\r\n");
  assertEquals(await size({ columns: 65535, rows: 1 }), "1 65535\r\n");
});

test("pty: resize() is told by SIGWINCH, and a size that the child sets is seen here", async () => {
  const script = `trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.01; done`;
  await using command = sh(script, { pty });
  command.start();
  const { terminal } = command;
  assert(terminal !== undefined);
  await readUntil(terminal, "ready");
  terminal.resize(100, 50);
  assertEquals([terminal.columns, terminal.rows], [100, 50]);
  assert((await readUntil(terminal, "50 100")).includes("50 100\r\n"));
  await command.wait();

  await using other = sh("stty rows 7 columns 9; echo done; read line", { pty });
  other.start();
  await readUntil(other.terminal, "done");
  assertEquals([other.terminal?.columns, other.terminal?.rows], [9, 7]);
  if (other.terminal !== undefined) other.terminal.columns = 11;
  assertEquals([other.terminal?.columns, other.terminal?.rows], [11, 7]);
});

test("pty: cooked it echoes and ends lines by CR LF; Ctrl-D ends the input", async () => {
  await using command = new Command("cat", [], { pty });
  command.start();
  await command.terminal?.write("héllo\rbye\r\x04");
  const state = await command.wait();
  assertEquals(state.toString(), "exit status 0");
  // Each line is echoed as it is typed, and printed when cat has it.
  const lines = decode(await rest(command.terminal)).split("\r\n").filter((line) => line !== "");
  assertEquals([...lines].sort(), ["bye", "bye", "héllo", "héllo"]);
});

test("pty: cooked an erased character is a whole one of UTF-8", async () => {
  await using command = new Command("head", ["-n1"], { pty });
  command.start();
  await command.terminal?.write("aé\x7fb\r");
  await command.wait();
  assert(decode(await rest(command.terminal)).endsWith("\r\nab\r\n"));
});

test("pty: raw it is exact, all 256 bytes of them, both ways", async () => {
  const all = Uint8Array.from({ length: 256 }, (_, index) => index);
  await using command = new Command("cat", [], { pty: { mode: "raw" } });
  command.start();
  const { terminal } = command;
  assert(terminal !== undefined);
  const data = Uint8Array.from([...all, ...noise(100_000), ...all]);
  const writing = terminal.write(data);
  const came = new Uint8Array(data.length);
  for (let at = 0; at < came.length;) {
    at += await terminal.read(came.subarray(at)) ?? 0;
  }
  assertEquals(await writing, data.length);
  assertEquals(came, data);
  terminal.close();
  await assertRejects(() => command.wait(), ExitError, "signal: hangup");
});

test("pty: setMode() changes it while a program runs", async () => {
  await using command = sh("stty -a; read line; stty -a; read line; stty -a", { pty });
  command.start();
  const { terminal } = command;
  assert(/ icanon .* echo /s.test(await readUntil(terminal, "echoke")));
  terminal?.setMode("raw");
  await terminal?.write("\n");
  assert(/-icanon .*-echo /s.test(await readUntil(terminal, "echoke")));
  terminal?.setMode("cooked");
  await terminal?.write("\r");
  assert(/ icanon .* echo /s.test(await readUntil(terminal, "echoke")));
  await command.wait();
});

// ---------------------------------------------------------------- what it prints

const size = 20_000_000;

test("pty: 20 MB come whole, and so does what nobody has read before the end", async () => {
  const options = { pty: { mode: "raw" } } as const;
  const output = await new Command("head", ["-c", `${size}`, "/dev/zero"], options).output();
  assertEquals([output.length, output.every((byte) => byte === 0)], [size, true]);

  // wait() keeps it.
  await using command = new Command("seq", ["400000"], { pty });
  command.start();
  await command.wait();
  const text = decode(await rest(command.terminal));
  const lines = Array.from({ length: 400_000 }, (_, index) => `${index + 1}\r\n`);
  assertEquals(text === lines.join(""), true);
});

test("pty: what is read in the middle of a wait() comes in order, and once", async () => {
  await using command = new Command("seq", ["200000"], { pty });
  command.start();
  const waiting = command.wait();
  // It reads for a while, and is then relieved.
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  const text = decode(await rest(command.terminal));
  await waiting;
  const lines = Array.from({ length: 200_000 }, (_, index) => `${index + 1}\r\n`);
  assertEquals(text === lines.join(""), true);
});

test("pty: output() and its kin, lines() and the Sync methods take it", async () => {
  const make = (): Command => sh("echo out; echo err >&2", { pty });
  const both = "out\r\nerr\r\n";
  assertEquals(await make().text(), both);
  assertEquals(decode(await make().output()), both);
  assertEquals(decode(await make().combinedOutput()), both);
  assertEquals(decode(make().outputSync()), both);
  assertEquals(decode(make().combinedOutputSync()), both);
  assertEquals(await Array.fromAsync(make().lines()), ["out", "err"]);
  const captured = await make().capture();
  assertEquals([captured.text(), captured.stderr.length], [both, 0]);
  assertEquals((await make().capture({ all: true })).text(), both);
  assertEquals(make().captureSync().text(), both);
  assertEquals(await sh("echo '[1]'", { pty }).json(), [1]);
  const error = await assertRejects(() => sh("echo out; exit 3", { pty }).text(), ExitError);
  assertEquals([error.exitCode, decode(error.stdout), error.stderr], [3, "out\r\n", undefined]);
});

test("pty: run() is held back by nothing, and leaves nothing open", async () => {
  const command = new Command("seq", ["100000"], { pty });
  const running = command.run();
  assertEquals(command.terminal?.columns, 80);
  await assertRejects(
    async () => await command.terminal?.read(new Uint8Array(1)),
    StateError,
    "the command reads it",
  );
  assertThrows(() => command.terminal?.readable, StateError, "the command reads it");
  assertEquals((await running).toString(), "exit status 0");
  assertEquals(command.terminal?.fd, -1);
  assertEquals(new Command("seq", ["100000"], { pty }).runSync().toString(), "exit status 0");
});

test("pty: run() takes what is typed meanwhile", async () => {
  const command = sh("read line; test x$line = xyes", { pty });
  const running = command.run();
  await command.terminal?.write("yes\r");
  assertEquals((await running).success, true);
});

test("pty: who has read something and then only waits holds nothing back", async () => {
  await using command = sh("echo ready; read line; seq 100000", { pty });
  command.start();
  const { terminal } = command;
  await readUntil(terminal, "ready\r\n");
  await terminal?.write("go\r");
  const waiting = command.wait();
  // A read() and the keeping take turns.
  const first = await readUntil(terminal, "\r\n10\r\n");
  await waiting;
  const lines = Array.from({ length: 100_000 }, (_, index) => `${index + 1}\r\n`);
  assertEquals(`${first}${decode(await rest(terminal))}` === `go\r\n${lines.join("")}`, true);
});

test("pty: a second wait() disturbs nothing", async () => {
  await using command = new Command("seq", ["100000"], { pty });
  command.start();
  const waiting = command.wait();
  await assertRejects(() => command.wait(), StateError, "Wait was already called");
  assertEquals((await waiting).success, true);
  assert(decode(await rest(command.terminal)).endsWith("\r\n100000\r\n"));

  const other = sh("seq 50000; (trap '' HUP; (sleep 0.05; echo late) &)", { pty });
  const text = other.text();
  let isOver = false;
  text.finally(() => isOver = true);
  while (!isOver) {
    await assertRejects(() => other.wait(), StateError, "Wait was already called");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert((await text).endsWith("\r\n50000\r\nlate\r\n"));
});

test("pty: reading ends once, and stays at its end", async () => {
  await using command = sh("echo x", { pty });
  command.start();
  await command.wait();
  const { terminal } = command;
  const buffer = new Uint8Array(100);
  assertEquals(await terminal?.read(buffer), 3);
  assertEquals(await terminal?.read(buffer), null);
  assertEquals(await terminal?.read(buffer), null);
  // Also where somebody opens the other side again.
  fs.writeFileSync(terminal?.name ?? "", "later");
  assertEquals(await terminal?.read(buffer), null);
});

test("pty: a child that closes its own side goes on", async () => {
  const script = "echo begun; exec 0<&- 1>&- 2>&-; sleep 0.1; exit 7";
  for (const run of ["output", "outputSync"] as const) {
    const error = await assertRejects(async () => await sh(script, { pty })[run](), ExitError);
    assertEquals([error.exitCode, decode(error.stdout)], [7, "begun\r\n"]);
  }
  await using command = sh(script, { pty });
  command.start();
  const chunks = await Array.fromAsync(command.terminal?.readable ?? []);
  assertEquals(chunks.map(decode).join(""), "begun\r\n");
  await assertRejects(() => command.wait(), ExitError, "exit status 7");
});

test("pty: whoever else keeps it open may go on printing", async () => {
  const script = "(trap '' HUP; (sleep 0.05; echo late) &); echo early";
  assertEquals(await sh(script, { pty }).text(), "early\r\nlate\r\n");
  assertEquals(decode(sh(script, { pty }).outputSync()), "early\r\nlate\r\n");
});

test("pty: whoever else keeps it open is waited for no longer than waitDelay", async () => {
  const script = "(trap '' HUP; setsid sleep 1000 & echo $!); echo said";
  const ended = (text: string): boolean => process.kill(Number.parseInt(text, 10), "SIGKILL");
  for (const run of ["output", "outputSync"] as const) {
    const error = await assertRejects(
      async () => await sh(script, { pty, waitDelay: 50 })[run](),
      WaitDelayError,
    );
    const said = decode(error.stdout);
    ended(said);
    assert(said.endsWith("said\r\n"), said);
  }
  // Of what the caller reads the end is the caller's to wait for.
  await using command = sh(script, { pty });
  command.start();
  await command.wait();
  ended(await readUntil(command.terminal, "said"));
});

test("pty: stream by stream, and cancelling hangs up", async () => {
  await using command = new Command("cat", [], { pty: { mode: "raw" } });
  command.start();
  const { terminal } = command;
  assert(terminal !== undefined);
  assertStrictEquals(terminal.readable, terminal.readable);
  const writer = terminal.writable.getWriter();
  await writer.write("a");
  await writer.write(new Uint8Array([0xff]));
  await writer.close();
  const reader = terminal.readable.getReader();
  const bytes: number[] = [];
  while (bytes.length < 2) bytes.push(...(await reader.read()).value ?? []);
  assertEquals(bytes, [97, 255]);
  await reader.cancel();
  await assertRejects(() => command.wait(), ExitError, "signal: hangup");
});

// ---------------------------------------------------------------- its end

test("pty: closing it is a SIGHUP, and so is the end of the block that has the command", async () => {
  const script = "trap 'exit 9' HUP; echo ready; while :; do sleep 0.01; done";
  await using command = sh(script, { pty });
  command.start();
  await readUntil(command.terminal, "ready");
  const pending = command.terminal?.read(new Uint8Array(1));
  command.terminal?.close();
  await assertRejects(async () => await pending, ClosedError);
  await assertRejects(() => command.wait(), ExitError, "exit status 9");
  await assertRejects(async () => await command.terminal?.write("x"), ClosedError);
  assertThrows(() => command.terminal?.resize(1, 1), ClosedError);
  assertThrows(() => command.terminal?.columns, ClosedError);
  assertThrows(() => command.terminal?.setMode("raw"), ClosedError);

  let terminal: Terminal | undefined;
  {
    await using left = new Command("cat", [], { pty });
    left.start();
    terminal = left.terminal;
  }
  assertEquals(terminal?.fd, -1);
});

test("pty: an abort and a timeout end it as any other", async () => {
  for (const run of ["run", "output", "runSync"] as const) {
    const command = new Command("sleep", ["1000"], { pty, timeout: 50 });
    const error = await assertRejects(async () => await command[run](), ExitError);
    assert(error.cause instanceof TimeoutError);
  }
});

test("pty: a write that nobody takes holds nothing up, and ends with who might", async () => {
  await using command = sh("read line", { pty: { mode: "raw" } });
  command.start();
  const { terminal } = command;
  let isDone = false;
  const writing = terminal?.write("x".repeat(1_000_000)).finally(() => isDone = true);
  const refused = assertRejects(async () => await writing, SyscallError, "input/output error");
  // Here the event loop goes on.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(isDone, false);
  command.process?.kill();
  await assertRejects(() => command.wait(), ExitError);
  await refused;
});

test("pty: a start that fails, and a command that ends, leave nothing behind", async () => {
  await withoutLeaks(async () => {
    assertThrows(() => new Command("/nonexistent", [], { pty }).start(), SpawnError);
    await assertRejects(() => new Command("/nonexistent", [], { pty }).output(), SpawnError);
    assertThrows(() => new Command("true", [], { pty, dir: "/nope" }).runSync(), SpawnError);
    await new Command("true", [], { pty }).run();
    new Command("true", [], { pty }).runSync();
    await Array.fromAsync(new Command("true", [], { pty }).lines());
    for await (const _ of new Command("yes", [], { pty }).lines()) break;
    await using command = new Command("yes", [], { pty });
    command.start();
    // Of the child's side this process keeps none.
    const names = [...descriptors().values()].filter((name) => name.startsWith("/dev/p"));
    assertEquals(names.filter((name) => name === command.terminal?.name), []);
    using _terminal = await openAlone();
  });
});

async function openAlone(): Promise<Terminal> {
  const [terminal, side] = openPty({ columns: 10, rows: 20, mode: "raw" });
  const sys = { setsid: true, setctty: true };
  const files = [side, side, side];
  const child = startProcess("/bin/sh", ["sh", "-c", "stty size < /dev/tty"], { files, sys });
  side.close();
  assertEquals(decode(await rest(terminal)), "20 10\n");
  assertEquals((await child.wait()).toString(), "exit status 0");
  return terminal;
}

test("openPty: both sides, for startProcess() and whatever else", async () => {
  using terminal = await openAlone();
  assert(/^\/dev\/pts\/\d+$/.test(terminal.name));
  const [one, other] = openPty();
  assertEquals([one.columns, one.rows, other.name], [80, 24, one.name]);
  other.writeSync(new TextEncoder().encode("x\n"));
  assertEquals(await readUntil(one, "\n"), "x\r\n");
  await one.write("typed\r");
  const buffer = new Uint8Array(100);
  assertEquals(decode(buffer.subarray(0, await other.read(buffer) ?? 0)), "typed\n");
  one.close();
  assertEquals(await other.read(buffer), null);
  other.close();
});

test("openPty: one that a child was given goes on to be read here", async () => {
  const [terminal, side] = openPty({ mode: "raw" });
  // As a child is to find it, it is in blocking mode from then on.
  const given = await sh("cat /proc/self/fdinfo/3", {
    extraFiles: [terminal],
  }).text();
  const O_NONBLOCK = 0o4000;
  assertEquals(Number.parseInt(/flags:\s*(\d+)/.exec(given)?.[1] ?? "", 8) & O_NONBLOCK, 0);
  const buffer = new Uint8Array(100);
  const reading = terminal.read(buffer);
  await new Promise((resolve) => setTimeout(resolve, 1));
  side.writeSync(new Uint8Array([1, 2, 3]));
  assertEquals(await reading, 3);
  side.writeSync(new Uint8Array(50));
  side.close();
  assertEquals(await terminal.read(buffer), 50);
  assertEquals(await terminal.read(buffer), null);
  terminal.close();
});

test("openPty: where the kernel has no TIOCGPTPEER the other side is opened by its name", {
  skip: needsCall(),
}, async () => {
  const TIOCGPTPEER = 0x5441;
  const refused = [helper, "deny", `ioctl:1=${TIOCGPTPEER}`, "ENOTTY", "--", ...runtime];
  const source = `console.log(await new osexec.Command("tty", [], { pty: true }).text());`;
  const { code, stdout, stderr } = await runScript(source, { runtime: refused });
  assertEquals([code, stderr], [0, ""]);
  assert(stdout.startsWith("/dev/pts/"), stdout);
});

// ---------------------------------------------------------------- with other steps

test("pty: in a chroot without a /dev", { skip: needsRoot || needsLinuxChild }, async () => {
  using folder = helperFolder();
  const sysProcAttr = { chroot: folder.path };
  const command = new Command("/helper", ["args", "inside"], { pty, sysProcAttr });
  assertEquals(await command.text(), "/helper\r\nargs\r\ninside\r\n");
});

test("pty: it belongs to the child's user", { skip: needsRoot }, async () => {
  const nobody = { uid: 65534, gid: 65534 };
  const script = `stat -c %u "$(tty)"; echo opened > "$(tty)"`;
  for (const credential of [nobody, { ...nobody, uid: 12345 }]) {
    const text = await sh(script, { pty, dir: "/", sysProcAttr: { credential } }).text();
    assertEquals(text, `${credential.uid}\r\nopened\r\n`);
  }
});

test("pty: within a user namespace", { skip: needsUserNamespaces }, async () => {
  const script = `id -u; stat -c %u "$(tty)"; echo opened > "$(tty)"`;
  const sysProcAttr: SysProcAttr = { cloneflags: CLONE_NEWUSER, ...ownMaps() };
  assertEquals(await sh(script, { pty, sysProcAttr }).text(), "0\r\n0\r\nopened\r\n");
  if (!isRoot) return;
  const maps = [{ containerID: 0, hostID: 100_000, size: 1000 }];
  const mapped = { cloneflags: CLONE_NEWUSER, uidMappings: maps, gidMappings: maps };
  const credential = { uid: 5, gid: 5, noSetGroups: true };
  const inside = await sh(script, { pty, dir: "/", sysProcAttr: { ...mapped, credential } }).text();
  assertEquals(inside, "5\r\n5\r\nopened\r\n");
});

test("pty: with umask, nice, limits as usual", async () => {
  const sysProcAttr: SysProcAttr = { umask: 0o077, nice: 7, rlimits: { NOFILE: 50 }, ctty: 1 };
  const text = await sh("umask; nice; ulimit -n; tty >/dev/null && echo tty", {
    pty,
    sysProcAttr: { ...sysProcAttr, setsid: true, setctty: true },
  }).text();
  assertEquals(text, "0077\r\n7\r\n50\r\ntty\r\n");
});

test("pty: twenty at once", async () => {
  const texts = await Promise.all(
    Array.from({ length: 20 }, (_, index) => sh(`tty; seq ${index} 20000`, { pty }).text()),
  );
  const names = texts.map((text) => text.split("\r\n")[0]);
  assertEquals(new Set(names).size, 20);
  for (const [index, text] of texts.entries()) {
    assertEquals(text.split("\r\n").length, 20_000 - index + 1 + 2);
    assert(text.endsWith("\r\n20000\r\n"));
  }
});

test("pty: a Worker has them too, and one that is terminated hangs up", async () => {
  const { code, stdout, stderr } = await runScript(`
    import fs from "node:fs";
    import process from "node:process";
    import { Worker, isMainThread, parentPort } from "node:worker_threads";
    if (isMainThread) {
      const worker = new Worker(new URL(import.meta.url));
      const { text, pid } = await new Promise((resolve) => worker.once("message", resolve));
      const open = () => fs.readdirSync("/proc/self/fd").filter((fd) => {
        try { return fs.readlinkSync("/proc/self/fd/" + fd).includes("ptmx"); } catch { return false; }
      }).length;
      const before = open();
      await worker.terminate();
      // Without a pidfd nobody has it to reap it.
      const gone = () => {
        try { return fs.readFileSync("/proc/" + pid + "/stat", "utf8").includes(") Z "); } catch { return true; }
      };
      const deadline = performance.now() + 40_000;
      // On Deno a later reactor sees that the thread is gone.
      while (open() > 0 && performance.now() < deadline) {
        await new osexec.Command("sleep", ["0.02"]).run();
        await new Promise((next) => setTimeout(next, 20));
      }
      while (!gone() && performance.now() < deadline) {
        await new Promise((next) => setTimeout(next, 20));
      }
      console.log(JSON.stringify({ text, before, after: open(), gone: gone() }));
      process.exit(0);
    } else {
      const text = await new osexec.Command("echo", ["hi"], { pty: true }).text();
      const command = new osexec.Command("sleep", ["1000"], { pty: true });
      command.start();
      command.wait().catch(() => {});
      setTimeout(() => parentPort.postMessage({ text, pid: command.process.pid }), 10);
    }`);
  assertEquals([code, stderr], [0, ""]);
  assertEquals(JSON.parse(stdout), { text: "hi\r\n", before: 1, after: 0, gone: true });
});

// ---------------------------------------------------------------- what it refuses

test("pty: together with what excludes it: TypeError, and nothing is opened", async () => {
  const refuses = (make: () => Command, words: string): void => {
    assertThrows(() => make().start(), TypeError, words);
    assertThrows(() => make().explain(), TypeError, words);
    assertThrows(() => make().runSync(), TypeError, words);
  };
  await withoutLeaks(() => {
    for (
      const [name, options] of Object.entries(
        {
          stdin: { stdin: "inherit" },
          input: { input: "x" },
          stdout: { stdout: "inherit" },
          stderr: { stderr: "stdout" },
        } satisfies Record<string, CommandOptions>,
      )
    ) refuses(() => new Command("true", [], { pty, ...options }), `pty and ${name} exclude`);
    for (const [name, method] of [["stdin", "stdinPipe"], ["stdout", "stdoutPipe"]] as const) {
      for (const run of ["start", "runSync"] as const) {
        const command = new Command("true", [], { pty });
        using pipe = command[method]();
        assertThrows(() => command[run](), TypeError, `pty and ${name} exclude`);
        assertEquals(pipe.closed, true);
      }
    }
    for (
      const [name, sysProcAttr] of Object.entries(
        {
          setsid: { setsid: false },
          setctty: { setctty: false },
          noctty: { noctty: true },
          foreground: { foreground: true },
          setpgid: { setpgid: true },
          ctty: { ctty: 3 },
        } satisfies Record<string, SysProcAttr>,
      )
    ) refuses(() => new Command("true", [], { pty, sysProcAttr }), `pty and sysProcAttr.${name}`);
  });
});

test("pty: what is no size and no mode", () => {
  for (const columns of [0, -1, 65536, 2 ** 32]) {
    assertThrows(() => openPty({ columns }), RangeError, "columns is 1 to 65535");
    assertThrows(() => openPty({ rows: columns }), RangeError, "rows is 1 to 65535");
  }
  for (const columns of [1.5, NaN, "80", null, {}]) {
    assertThrows(() => openPty({ columns: wrong<number>(columns) }), TypeError, "columns is not");
  }
  assertThrows(() => openPty({ mode: wrong<"raw">("rare") }), TypeError, "mode is neither");
  assertThrows(() => openPty(wrong<PtyOptions>({ cols: 80 })), TypeError, "no field cols");
  const [terminal, side] = openPty();
  side.close();
  assertThrows(() => terminal.resize(0, 1), RangeError, "columns");
  assertThrows(() => terminal.setMode(wrong<"raw">("")), TypeError, "mode");
  terminal.close();
  terminal.close();
});

test("pty: explain() says so, clone() has it too, and false is none", async () => {
  const command = new Command("tty", [], { pty: { columns: 99 } });
  const lines = command.explain().split("\n");
  for (const line of ["setsid", "fd pty -> 0", "fd pty -> 2", "setctty 0"]) {
    assert(lines.includes(line), `${line} in ${lines}`);
  }
  assertEquals(command.clone().pty, { columns: 99 });
  assert((await command.clone().text()).startsWith("/dev/pts/"));
  const none = sh("tty; true", { pty: false });
  assertEquals([await none.text(), none.terminal], ["not a tty\n", undefined]);
});
