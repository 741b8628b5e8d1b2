/** What of a child's descendants ends with it: `tree`, and signals to a process group. */

import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Command,
  type CommandOptions,
  ExitError,
  findProcess,
  OSFile,
  ProcessDoneError,
  SpawnError,
  startProcess,
  StateError,
  TimeoutError,
  type Tree,
  WaitDelayError,
} from "../mod.ts";
import { Directory, sh, until, wrong } from "./helper.ts";

/** The three programs of issue 18. Each writes the pid of what it leaves behind into $0, and goes on or ends by $1. */
const leaving = {
  "a background job": 'sleep 1000 & echo $! >"$0"',
  "a double fork": '(sh -c \'sleep 1000 & echo $! >"$0"\' "$0") &',
  "an escapee by setsid": 'setsid sh -c \'echo $$ >"$0"; exec sleep 1000\' "$0" &',
} as const;

type Escape = keyof typeof leaving;

/** What it says to the reader: that the pid is written. */
const written = 'until [ -s "$0" ]; do sleep 0.01; done; echo ready';

/** A process that a test's child has left, which is killed at the end of the test. */
class Left implements Disposable {
  readonly #directory = new Directory();
  readonly path = this.#directory.join("pid");

  get pid(): number {
    return Number(readFileSync(this.path, "utf8"));
  }

  /** Whether it runs: a zombie that nobody has reaped yet does not. */
  get runs(): boolean {
    const path = `/proc/${this.pid}/stat`;
    if (!existsSync(path)) return false;
    return !/\) [ZX]/.test(readFileSync(path, "utf8"));
  }

  [Symbol.dispose](): void {
    if (existsSync(this.path) && this.runs) process.kill(this.pid, "SIGKILL");
    this.#directory[Symbol.dispose]();
  }
}

/** A command that leaves something behind, says so, and then does what `then` says. */
function leaver(left: Left, how: Escape, then: string, options: CommandOptions): Command {
  const script = `${leaving[how]}\n${written}; ${then}`;
  return new Command("/bin/sh", ["-c", script, left.path], options);
}

/** The ways in which a command may end before its time. Each ends `command`, which has said that it is ready. */
const ends: Readonly<Record<string, (command: Command, abort: () => void) => Promise<void>>> = {
  async kill(command) {
    command.process?.kill();
    await assertRejects(() => command.wait(), ExitError);
  },
  async abort(command, abort) {
    const waiting = command.wait();
    abort();
    await assertRejects(() => waiting, ExitError);
  },
  async "await using"(command) {
    await command[Symbol.asyncDispose]();
  },
};

function aborter(): { readonly signal: AbortSignal; abort(): void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}

async function begun(command: Command): Promise<void> {
  const output = command.stdoutPipe();
  command.start();
  const bytes = new Uint8Array(6);
  await output.read(bytes);
  output.close();
}

const caught: Readonly<Record<Tree, readonly Escape[]>> = {
  process: [],
  group: ["a background job", "a double fork"],
  cgroup: ["a background job", "a double fork", "an escapee by setsid"],
  namespace: ["a background job", "a double fork", "an escapee by setsid"],
};

const escapes = Object.keys(leaving) as Escape[];

for (const tree of ["process", "group"] as const) {
  for (const escape of escapes) {
    const isCaught = caught[tree].includes(escape);
    test(`issue 18, 4: tree "${tree}" ${isCaught ? "ends" : "does not end"} ${escape}`, async () => {
      for (const [name, end] of Object.entries(ends)) {
        using left = new Left();
        const { signal, abort } = aborter();
        await using command = leaver(left, escape, "exec sleep 1000", { tree, signal });
        await begun(command);
        assert(left.runs, name);
        await end(command, abort);
        if (isCaught) await until(() => !left.runs);
        else assert(left.runs, name);
      }
    });
  }
}

test("issue 18, 4: what ends by itself leaves its descendants alone, until it is disposed of", async () => {
  using left = new Left();
  {
    await using command = leaver(left, "a background job", "exit 0", { tree: "group" });
    await command.run();
    assert(left.runs);
    assertThrows(() => command.process?.kill(), ProcessDoneError);
    assert(left.runs);
  }
  await until(() => !left.runs);
});

test("issue 18, 4: what holds the pipes when the child has ended is ended with waitDelay", async () => {
  for (const run of ["async", "sync"]) {
    using left = new Left();
    const output = leaver(left, "a background job", "exit 0", { tree: "group", waitDelay: 100 });
    output.stdout = { write: () => {} };
    if (run === "async") await assertRejects(() => output.run(), WaitDelayError);
    else assertThrows(() => output.runSync(), WaitDelayError);
    await until(() => !left.runs);
  }
});

test("issue 18, 4: ... and by an abort or a timeout that comes when the child has ended", async () => {
  for (const run of ["async", "sync"]) {
    using left = new Left();
    const output = leaver(left, "a background job", "exit 0", { tree: "group", timeout: 400 });
    output.stdout = { write: () => {} };
    if (run === "async") await assertRejects(() => output.run(), TimeoutError);
    else assertThrows(() => output.runSync(), TimeoutError);
    await until(() => !left.runs);
  }
});

test("issue 18, 4: a signal for cancel goes to all, and waitDelay ends who does not heed it", async () => {
  for (const run of ["async", "sync"]) {
    using left = new Left();
    const script = `trap '' TERM; sleep 1000 & echo $! >"$0"; trap - TERM; exec sleep 1000`;
    const options = { tree: "group", timeout: 300, cancel: "SIGTERM", waitDelay: 200 } as const;
    const command = new Command("/bin/sh", ["-c", script, left.path], options);
    const error = run === "async"
      ? await assertRejects(() => command.run(), ExitError)
      : assertThrows(() => command.runSync(), ExitError);
    assertEquals(error.signal, "SIGTERM");
    await until(() => !left.runs);
  }
});

test("issue 18, 4: signalGroup reaches a group, and tells who leads none", async () => {
  using left = new Left();
  const script = `${leaving["a background job"]}\n${written}; sleep 1000`;
  const argv = ["sh", "-c", script, left.path];
  using none = OSFile.open("/dev/null", "w");
  const leader = startProcess("/bin/sh", argv, { files: [null, none, 2], sys: { setpgid: true } });
  await until(() => existsSync(left.path) && readFileSync(left.path, "utf8") !== "");
  leader.signalGroup(0);
  leader.signalGroup("SIGTERM");
  assertEquals((await leader.wait()).signal, "SIGTERM");
  await until(() => !left.runs);
  assertThrows(() => leader.signalGroup("SIGTERM"), ProcessDoneError);

  const other = startProcess("/bin/sleep", ["sleep", "1000"]);
  const error = assertThrows(() => other.signalGroup("SIGTERM"), StateError);
  assertEquals(error.message.split(":")[0], "os");
  assert(/setpgid, setsid or tree/.test(error.message), error.message);
  other.kill();
  assertEquals((await other.wait()).signal, "SIGKILL");
  assertThrows(() => findProcess(process.pid).signalGroup(wrong("SIGNOPE")), TypeError);
});

test("issue 18, 4: a group that is somebody else's is no tree", async () => {
  const command = sh("exit 0", { tree: "group", sysProcAttr: { setpgid: true, pgid: 1 } });
  const error = await assertRejects(() => command.run(), SpawnError);
  assertEquals(error.step, "request");
  assert(/pgid 1 is somebody else's/.test(error.message), error.message);
  assert(/^setpgid 0$/m.test(sh("", { tree: "group" }).explain()));
  for (const attributes of [{ setsid: true }, { setpgid: true }]) {
    await sh('[ "$(ps -o pgid= -p $$ | tr -d " ")" = $$ ]', {
      tree: "group",
      sysProcAttr: attributes,
    }).run();
  }
});
