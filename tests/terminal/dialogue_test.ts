import fs from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ClosedError,
  Command,
  type CommandOptions,
  type Dialogue,
  DialogueError,
  ExecError,
  lookPath,
  StateError,
  SyscallError,
  TimeoutError,
} from "../../mod.ts";
import { Directory, sh, type Skip, wrong } from "../helper.ts";
import { withoutLeaks } from "../holdings.ts";
import { needsRoot, self } from "../system.ts";

/** So long that only a broken test comes to it. */
const timeout = 30_000;

/** The reason to skip a test with a real program that is not here. */
function needs(...programs: string[]): Skip {
  for (const name of programs) {
    try {
      lookPath(name);
    } catch (error) {
      if (error instanceof ExecError) return { skip: `${name} is not installed` };
      throw error;
    }
  }
  return {};
}

/** A program in a terminal whose answers are plain text. */
function talk(
  name: string,
  args: readonly string[] = [],
  options: CommandOptions = {},
): { readonly command: Command; readonly dialogue: Dialogue } & AsyncDisposable {
  const extraEnv = { TERM: "dumb", LC_ALL: "C", ...options.extraEnv };
  const command = new Command(name, args, { pty: true, ...options, extraEnv });
  const dialogue = command.interact();
  return { command, dialogue, [Symbol.asyncDispose]: () => command[Symbol.asyncDispose]() };
}

/** Whichever way it goes. */
const ways: readonly CommandOptions[] = [{ pty: true }, { pty: { mode: "raw" } }, {}];

// ---------------------------------------------------------------- what expect() does

test("dialogue: each expect() begins where the last match ended, and nothing between is lost", async () => {
  for (const options of ways) {
    await using command = sh("printf 'one two three'; read line; printf \"got $line.\"", options);
    const dialogue = command.interact();
    assertEquals(await dialogue.expect("one", { timeout }), { before: "", match: "one" });
    assertEquals(await dialogue.expect("three", { timeout }), { before: " two ", match: "three" });
    await dialogue.send("it\n");
    assertEquals((await dialogue.expect("got it.", { timeout })).match, "got it.");
    assertEquals((await command.wait()).success, true);
  }
});

test("dialogue: a pattern's groups, and its place in what came before it", async () => {
  await using command = sh("printf 'user: root, id: 42\\nuser: nobody\\n'; read line");
  const dialogue = command.interact();
  const pattern = /id: (?<id>\d+)\n/gy;
  pattern.lastIndex = 17;
  const { before, match } = await dialogue.expect(pattern, { timeout });
  assert(typeof match !== "string");
  assertEquals(before, "user: root, ");
  assertEquals([match[0], match.groups?.id, match.index], ["id: 42\n", "42", 12]);
  assertEquals(match.input, "user: root, id: 42\n");
  assertEquals(pattern.lastIndex, 17);
  // ^ is where the last one ended.
  assertEquals((await dialogue.expect(/^user: (\w+)/, { timeout })).match[1], "nobody");
  await dialogue.end();
  await assertRejects(() => command.wait());
});

test("dialogue: a character of several bytes may come in pieces", async () => {
  const script = "printf '\\342'; sleep 0.02; printf '\\202'; sleep 0.02; printf '\\254!'";
  for (const options of ways) {
    await using command = sh(script, options);
    assertEquals(await command.interact().expect("€!", { timeout }), { before: "", match: "€!" });
  }
  await using cut = sh("printf 'a\\342\\202'");
  const dialogue = cut.interact();
  const error = await assertRejects(() => dialogue.expect("b", { timeout }), DialogueError);
  assertEquals(error.received, "a\ufffd");
});

test("dialogue: a TimeoutError takes nothing away", async () => {
  for (const options of ways) {
    await using command = sh("printf begun; read line; printf ended", options);
    const dialogue = command.interact();
    await dialogue.expect("be", { timeout });
    const error = await assertRejects(() => dialogue.expect(/never/, { timeout: 5 }), TimeoutError);
    assertEquals(error.timeout, 5);
    const words = 'timed out after 5 ms: waited for /never/; it said: "gun"';
    assert(error.message.includes(words), error.message);
    await assertRejects(() => dialogue.expect("gunned", { timeout: 0 }), TimeoutError);
    assertEquals(await dialogue.expect("gun", { timeout }), { before: "", match: "gun" });
    await dialogue.send("\n");
    assertEquals((await dialogue.expect("ended", { timeout })).match, "ended");
    await command.wait();
  }
});

test("dialogue: an output that ends is an error with what had come", async () => {
  for (const options of ways) {
    await using command = sh("printf 'it says this'; exit 3", { ...options, label: "the program" });
    const dialogue = command.interact();
    await dialogue.expect("it ", { timeout });
    const error = await assertRejects(() => dialogue.expect("that", { timeout }), DialogueError);
    assertEquals([error.received, error.expected, error.command], [
      "says this",
      "that",
      "the program",
    ]);
    assertEquals(
      error.message,
      'the program: the output ended before "that"; it said: "says this"',
    );
    await assertRejects(() => dialogue.expect(/x/), DialogueError, "before /x/");
    // What has come is there all the same.
    assertEquals(await dialogue.expect("this", { timeout }), { before: "says ", match: "this" });
    await assertRejects(() => command.wait(), "exit status 3");
  }
});

test("dialogue: several at once are served in order", async () => {
  await using command = sh("sleep 0.02; echo a; sleep 0.02; echo b; sleep 0.02; echo c");
  const dialogue = command.interact();
  const given = ["a\n", /b\n/, "c\n"].map((what) => dialogue.expect(what, { timeout }));
  const late = assertRejects(() => dialogue.expect("a", { timeout }), DialogueError);
  assertEquals((await Promise.all(given)).map(({ before }) => before), ["", "", ""]);
  await late;
});

test("dialogue: what wait() waits through is kept, however much it is", async () => {
  for (const options of ways) {
    await using command = sh("seq 200000; echo end", options);
    const dialogue = command.interact();
    await dialogue.expect(/^1\r?\n/, { timeout });
    await command.wait();
    const { before } = await dialogue.expect("end", { timeout });
    const lines = Array.from({ length: 199_999 }, (_, index) => index + 2);
    assertEquals(before.replaceAll("\r", "") === `${lines.join("\n")}\n`, true);
  }
});

test("dialogue: an expect() during a wait() reads in its turn", async () => {
  for (const options of ways) {
    await using command = sh("seq 100000; read line; seq 100000; echo end", options);
    const dialogue = command.interact();
    const waiting = command.wait();
    await dialogue.expect(/^100000\r?\n/m, { timeout });
    await dialogue.send("\n");
    assertEquals((await waiting).success, true);
    const { before } = await dialogue.expect("end", { timeout });
    assertEquals(before.trim().split(/\r?\n/).filter((line) => line !== "").length, 100_000);
  }
});

/** In time that grows with the square of it, each would take hours. */
test("dialogue: 30 MB before a match, and 100,000 matches", async () => {
  for (const what of ["END", /E[N]D$/m]) {
    await using command = sh("head -c 30000000 /dev/zero | tr '\\0' x; printf 'END'");
    const { before } = await command.interact().expect(what, { timeout });
    assertEquals([before.length, before.replaceAll("x", "")], [30_000_000, ""]);
  }
  await using command = new Command("seq", ["100000"]);
  const dialogue = command.interact();
  for (let number = 1; number <= 100_000; number++) {
    const { before } = await dialogue.expect(number % 2 === 0 ? `${number}\n` : /^\d+\n/);
    assertEquals(before, "");
  }
  await command.wait();
});

test("dialogue: a pattern is found across 64 Ki characters, and ^ is no place where it was cut", async () => {
  const script =
    "head -c 200000 /dev/zero | tr '\\0' a; printf b; head -c 60000 /dev/zero | tr '\\0' c; printf d";
  await using command = sh(script);
  const dialogue = command.interact();
  await assertRejects(() => dialogue.expect(/^a+d/, { timeout }), DialogueError);
  await assertRejects(() => dialogue.expect(/^b/, { timeout }), DialogueError);
  const { before, match } = await dialogue.expect(/(?<=a)bc+d/, { timeout });
  assert(typeof match !== "string");
  assertEquals([before.length, match[0].length, match.index], [200_000, 60_002, 200_000]);
  assertEquals(match.input.length, 260_002);
});

test("dialogue: a terminal that is closed rejects what waits for it", async () => {
  await using command = new Command("cat", [], { pty: true });
  const dialogue = command.interact();
  const waiting = assertRejects(() => dialogue.expect("x", { timeout }), ClosedError);
  await assertRejects(
    async () => await command.terminal?.read(new Uint8Array(1)),
    StateError,
    "interact() reads it",
  );
  command.terminal?.close();
  await waiting;
  await assertRejects(() => dialogue.send("x"), ClosedError);
});

test("dialogue: who sends to a program that has ended is told", async () => {
  await using command = new Command("true");
  const dialogue = command.interact();
  await assertRejects(() => dialogue.expect("x", { timeout }), DialogueError);
  const error = await assertRejects(async () => {
    while (true) await dialogue.send("x".repeat(100_000));
  }, SyscallError);
  assertEquals(error.code, "EPIPE");
});

test("dialogue: what is wrong is refused by name, and leaves nothing behind", async () => {
  await withoutLeaks(async () => {
    await using command = new Command("cat");
    const dialogue = command.interact();
    for (const what of [undefined, null, 1, {}, [], Symbol("s")]) {
      await assertRejects(() => dialogue.expect(wrong<string>(what)), TypeError, "what to expect");
      await assertRejects(() => dialogue.send(wrong<string>(what)), TypeError, "data is not");
    }
    await assertRejects(() => dialogue.send("\ud800"), TypeError, "data contains half");
    for (const wait of [-1, NaN, "1", null]) {
      const options = { timeout: wrong<number>(wait) };
      await assertRejects(() => dialogue.expect("x", options), TypeError, "timeout is not");
    }
    await assertRejects(() => dialogue.expect("x", wrong({ time: 1 })), TypeError, "no field time");
    assertThrows(() => command.interact(), StateError);
    assertThrows(
      () => new Command("cat", [], { stdin: "x" }).interact(),
      StateError,
      "Stdin already",
    );
    assertThrows(
      () => new Command("cat", [], { stdout: 1 }).interact(),
      StateError,
      "Stdout already",
    );
    assertThrows(() => new Command("/nonexistent").interact());
    assertThrows(() => new Command("/nonexistent", [], { pty: true }).interact());
  });
});

// ---------------------------------------------------------------- real programs

test("dialogue: bash, with jobs: Ctrl-Z, bg, fg and Ctrl-C", needs("bash"), async () => {
  const extraEnv = { PS1: "ready> ", HISTFILE: "/dev/null" };
  await using bash = talk("bash", ["--norc", "--noprofile", "-i"], { extraEnv });
  const { command, dialogue } = bash;
  const prompt = async (): Promise<string> =>
    (await dialogue.expect("ready> ", { timeout })).before;
  await prompt();
  // What is typed before a program has the terminal may be read by bash, as with any type-ahead: it says when it has.
  await dialogue.send("bash -c 'while echo tick; do read -t 0.02 line; done'\r");
  await dialogue.expect("tick\r\n", { timeout });
  await dialogue.send("\x1a");
  await dialogue.expect(/\[1\]\+\s+Stopped/, { timeout });
  await prompt();
  await dialogue.send("fg\r");
  await dialogue.expect("tick\r\n", { timeout });
  await dialogue.send("\x03");
  await prompt();
  await dialogue.send("echo status $?\r");
  await dialogue.expect("status 130\r\n", { timeout });
  await prompt();
  await dialogue.send("sh -c 'echo u\"\"p; exec sleep 1000'\r");
  await dialogue.expect("up\r\n", { timeout });
  await dialogue.send("\x1a");
  await dialogue.expect("Stopped", { timeout });
  await prompt();
  await dialogue.send("bg\r");
  await dialogue.expect("&\r\n", { timeout });
  await prompt();
  await dialogue.send("jobs\r");
  await dialogue.expect(/\[1\]\+\s+Running/, { timeout });
  await prompt();
  await dialogue.send("kill %1; wait %1; echo status $?\r");
  await dialogue.expect("status 143\r\n", { timeout });
  await prompt();
  await dialogue.send("exit 5\r");
  await assertRejects(() => command.wait(), "exit status 5");
});

test("dialogue: vi writes a file", needs("vi"), async () => {
  using directory = new Directory();
  const path = directory.join("poem.txt");
  await using vi = talk("vi", ["-u", "NONE", path], { extraEnv: { TERM: "vt100" } });
  await vi.dialogue.expect("poem.txt", { timeout });
  await vi.dialogue.send("iRoses are red\rViolets too\x1b:wq\r");
  assertEquals((await vi.command.wait()).success, true);
  assertEquals(fs.readFileSync(path, "utf8"), "Roses are red\nViolets too\n");
});

test("dialogue: less turns pages, as many lines as there are", needs("less"), async () => {
  using directory = new Directory();
  const lines = Array.from({ length: 1000 }, (_, index) => `line ${index + 1}\n`);
  const path = directory.file("long.txt", lines.join(""));
  const extraEnv = { TERM: "vt100", LESS: "", LESSHISTFILE: "-" };
  await using less = talk("less", [path], { extraEnv, pty: { rows: 11, columns: 40 } });
  const { dialogue, command } = less;
  const { before } = await dialogue.expect("line 10\r\n", { timeout });
  assert(before.includes("line 9\r\n") && !before.includes("line 11"), before);
  command.terminal?.resize(40, 31);
  await dialogue.expect("line 30", { timeout });
  await dialogue.send("G");
  await dialogue.expect("line 1000", { timeout });
  await dialogue.send("q");
  assertEquals((await command.wait()).success, true);
});

test("dialogue: top shows itself, and stops when asked to", needs("top"), async () => {
  await using top = talk("top", [], { extraEnv: { TERM: "vt100" } });
  await top.dialogue.expect("load average", { timeout });
  await top.dialogue.send("q");
  assertEquals((await top.command.wait()).success, true);
});

test("dialogue: python3 -i, with Ctrl-C and Ctrl-D", needs("python3"), async () => {
  const extraEnv = { PYTHON_BASIC_REPL: "1", PYTHONSTARTUP: undefined };
  await using python = talk("python3", ["-q", "-i"], { extraEnv });
  const { dialogue, command } = python;
  await dialogue.expect(">>> ", { timeout });
  await dialogue.send("6 * 7\r");
  assertEquals((await dialogue.expect(/^(\d+)\r\n/m, { timeout })).match[1], "42");
  await dialogue.expect(">>> ", { timeout });
  await dialogue.end();
  assertEquals((await command.wait()).success, true);

  await using other = talk("python3", ["-q", "-i"], { extraEnv });
  await other.dialogue.expect(">>> ", { timeout });
  // Not time.sleep(): a signal that comes just before it does not end it.
  const script = "import os; os.write(1, b'as' + b'leep')\\nwhile True: pass";
  await other.dialogue.send(`exec("${script}")\r`);
  await other.dialogue.expect("asleep", { timeout });
  await other.dialogue.send("\x03");
  await other.dialogue.expect("KeyboardInterrupt", { timeout });
  await other.dialogue.expect(">>> ", { timeout });
});

test("dialogue: bc, over a terminal and over pipes", needs("bc"), async () => {
  for (const pty of [true, false]) {
    await using bc = talk("bc", ["-q"], { pty });
    await bc.dialogue.send("2 ^ 100\n");
    await bc.dialogue.expect("1267650600228229401496703205376", { timeout });
    await bc.dialogue.send("scale = 5; 1 / 3\n");
    assertEquals((await bc.dialogue.expect(/\.(3+)\r?\n/, { timeout })).match[1], "33333");
    if (pty) await bc.dialogue.send("quit\n");
    else await bc.dialogue.end();
    assertEquals((await bc.command.wait()).success, true);
  }
});

/** ssh-keygen wants a user that has a name. */
const needsName: Skip = new RegExp(`^[^:]*:[^:]*:${self.uid}:`, "m")
    .test(fs.readFileSync("/etc/passwd", "utf8"))
  ? needs("ssh-keygen")
  : { skip: "this user has no name" };

test(
  "dialogue: ssh-keygen asks at its terminal, and echoes no secret",
  needsName,
  async () => {
    using directory = new Directory();
    const path = directory.join("key");
    await using keygen = talk("ssh-keygen", ["-t", "ed25519", "-f", path], {
      extraEnv: { SSH_ASKPASS_REQUIRE: "never" },
    });
    const { dialogue, command } = keygen;
    await dialogue.expect(/Enter passphrase[^:]*: /, { timeout });
    await dialogue.send("a secret\r");
    const { before } = await dialogue.expect(/again[^:]*: /, { timeout });
    await dialogue.send("a secret\r");
    const { before: after } = await dialogue.expect("fingerprint", { timeout });
    assert(!`${before}${after}`.includes("secret"));
    assertEquals((await command.wait()).success, true);
    assert(fs.readFileSync(path, "utf8").startsWith("-----BEGIN OPENSSH PRIVATE KEY-----"));
  },
);

test("dialogue: su asks another user for a password", {
  skip: needsRoot || (needs("su").skip ?? false),
}, async () => {
  const credential = { uid: 65534, gid: 65534 };
  await using su = talk("su", ["-c", "id"], { dir: "/", sysProcAttr: { credential } });
  await su.dialogue.expect(/password: ?/i, { timeout });
  await su.dialogue.send("wrong\r");
  const { before } = await su.dialogue.expect(/failure|incorrect/i, { timeout });
  assert(!before.includes("wrong"), before);
  await assertRejects(() => su.command.wait());
});

test("dialogue: script(1) has a terminal within the terminal", needs("script"), async () => {
  await using script = talk("script", ["-q", "-c", "tty; stty size", "/dev/null"], {
    pty: { columns: 77, rows: 33 },
  });
  const { match } = await script.dialogue.expect(/(\/dev\/pts\/\d+)\r+\n33 77/, { timeout });
  assert(match[1] !== script.command.terminal?.name);
  assertEquals((await script.command.wait()).success, true);
});

test("dialogue: tmux, detached from and attached to again", needs("tmux"), async () => {
  using directory = new Directory();
  // Keys that come at once would count as pasted.
  const configuration = directory.file("tmux.conf", "set -g assume-paste-time 0\n");
  const words = ["-f", configuration, "-S", directory.join("socket")];
  const extraEnv = { TERM: "vt100", LC_ALL: "C.UTF-8", TMUX: undefined };
  try {
    await using first = talk("tmux", [...words, "new-session", "echo in-$((40+2)); exec cat"], {
      extraEnv,
    });
    await first.dialogue.expect("in-42", { timeout });
    await first.dialogue.send("\x02d");
    await first.dialogue.expect("detached", { timeout });
    assertEquals((await first.command.wait()).success, true);
    await using second = talk("tmux", [...words, "attach"], { extraEnv });
    await second.dialogue.expect("in-42", { timeout });
    await second.dialogue.send("typed\r");
    await second.dialogue.expect(/typed[^]*typed/, { timeout });
    await second.dialogue.send("\x04");
    await second.dialogue.expect("exited", { timeout });
    assertEquals((await second.command.wait()).success, true);
  } finally {
    await new Command("tmux", [...words, "kill-server"]).run().catch(() => {});
  }
});

test("dialogue: a program that talks for ever ends with the block", async () => {
  let pid: number | undefined;
  {
    await using yes = talk("yes");
    await yes.dialogue.expect("y\r\ny\r\n", { timeout });
    pid = yes.command.process?.pid;
  }
  assertThrows(() => process.kill(pid ?? 0, 0));
});
