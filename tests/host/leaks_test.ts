import fs from "node:fs";
import { test } from "node:test";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Command,
  ExitError,
  findProcess,
  OSFile,
  type Process,
  SpawnError,
  startProcess,
  type Stdin,
} from "../../mod.ts";
import { decode, Directory, helper, sh, Sink, until, wrong } from "../helper.ts";
import { children, descriptors, stateOf, withoutLeaks } from "../holdings.ts";
import { needsPidfd } from "../refused.ts";

const slow = { timeout: 120_000 };

/** Every kind of start in turn, some of which fail: twenty in all. */
async function twenty(): Promise<void> {
  const sync = new Command(helper, ["exit", "0"]);
  sync.runSync();
  assertEquals(decode(new Command(helper, ["args", "x"]).outputSync()), `${helper}\nargs\nx\n`);
  assertThrows(() => new Command(helper, ["exit", "3"]).outputSync(), ExitError);
  assertThrows(() => new Command(helper, ["kill", "9"]).runSync(), ExitError);
  assertThrows(() => new Command("/no/such/program").runSync(), SpawnError);
  assertThrows(() => new Command(helper, [], { dir: "/no/such/dir" }).start(), SpawnError);
  assertThrows(() => startProcess(helper, ["h"], { files: [777] }), SpawnError);
  assertThrows(() => startProcess(helper, ["\0"]), SpawnError);
  assertThrows(() => new Command("no-such-program").start());
  assertThrows(() => new Command(helper, [], { stdin: wrong<Stdin>({}) }).start(), TypeError);
  startProcess(helper, ["h", "exit", "1"]).waitSync();
  const file = OSFile.open("/dev/null", "r+");
  const process = startProcess(helper, ["h", "fds"], { files: [file, file, file] });
  file.close();
  const hanging = startProcess(helper, ["h", "hang"]);
  hanging.kill();
  const piped = new Command(helper, ["cat", "0"], { stdout: new Sink(), stderr: new Sink() });
  const stdin = piped.stdinPipe();
  piped.start();
  const early = sh("echo 1; echo 2; echo 3");
  const aborted = new Command(helper, ["hang"], { signal: AbortSignal.abort() });
  await Promise.all([
    process.wait(),
    hanging.wait(),
    new Command(helper, ["cat", "0"], { stdin: "text" }).text(),
    assertRejects(() => new Command(helper, ["exit", "3"]).combinedOutput(), ExitError),
    assertRejects(() => new Command("/no/such/program").output(), SpawnError),
    assertRejects(() => aborted.run()),
    (async () => {
      await stdin.write(new Uint8Array(100_000));
      stdin.close();
      await piped.wait();
    })(),
    (async () => {
      for await (const line of early.lines()) if (line === "2") break;
    })(),
  ]);
}

test("a thousand starts of every kind leave nothing behind", slow, async () => {
  await withoutLeaks(async () => {
    for (let round = 0; round < 50; round++) await twenty();
  });
});

test("two hundred children at once leave nothing behind", slow, async () => {
  await withoutLeaks(async () => {
    const commands = Array.from({ length: 200 }, () => new Command(helper, ["cat", "0"]));
    const pipes = commands.map((command) => command.stdinPipe());
    for (const command of commands) command.start();
    assertEquals(children().length >= 200, true);
    for (const pipe of pipes) pipe.close();
    const states = await Promise.all(commands.map((command) => command.wait()));
    assertEquals(states.every((state) => state.success), true);
  });
});

test("disposal of a running command leaves nothing behind", async () => {
  await withoutLeaks(async () => {
    const stdout = new Sink();
    const command = new Command("yes", [], { stdout, stderr: new Sink(), stdin: ["x"] });
    {
      await using running = command;
      running.start();
    }
    assertEquals(stateOf(command.process?.pid ?? 0), null);
    assertEquals(command.process?.pidfd, null);
  });
});

test("an unwaited child is a zombie until it is waited for, and then it is gone", async () => {
  const before = new Set(children());
  const child = startProcess(helper, ["h", "exit", "5"]);
  await until(() => stateOf(child.pid) === "Z");
  assertEquals(children().filter((pid) => !before.has(pid)), [child.pid]);
  if (!needsPidfd) assertEquals(descriptors().get(child.pidfd ?? -1), "anon_inode:[pidfd]");
  assertEquals(child.waitSync().exitCode, 5);
  assertEquals([stateOf(child.pid), child.pidfd], [null, null]);
  assertEquals(children().filter((pid) => !before.has(pid)), []);
});

test("a released child's pidfd is closed, and the child is not reaped", async () => {
  const child = startProcess(helper, ["h", "exit", "6"]);
  const { pid } = child;
  const pidfd = child.pidfd ?? -1;
  if (!needsPidfd) assertEquals(descriptors().get(pidfd), "anon_inode:[pidfd]");
  child.release();
  assertEquals([child.pidfd, descriptors().get(pidfd)], [null, undefined]);
  await until(() => stateOf(pid) === "Z");
  // Whoever finds it again may reap it.
  assertEquals((await findProcess(pid).wait()).exitCode, 6);
});

test("a program that has just been written is run, whoever was started meanwhile", slow, () => {
  using directory = new Directory();
  const path = directory.join("program");
  const bytes = fs.readFileSync(helper);
  // A child that is started while the file is open has a copy of the descriptor until its own exec is
  // through, and the new program is busy as long: go.dev/issue/22315.
  for (let round = 0; round < 100; round++) {
    fs.rmSync(path, { force: true });
    const file = OSFile.open(path, "wx", 0o755);
    file.writeSync(bytes);
    const bystander = startProcess("/bin/sh", ["sh", "-c", "exit 0"], { sys: { closeFds: false } });
    file.close();
    const child = startProcess(path, ["h", "exit", "0"]);
    assertEquals([child.waitSync().success, bystander.waitSync().success], [true, true]);
  }
});

test("a program that is open for writing for a moment is waited for", slow, async () => {
  using directory = new Directory();
  const path = directory.helper();
  // The other process holds the program open until it sees that a child is on its way to exec it.
  const holder = new Command("/bin/sh", [
    "-c",
    `exec 3>>"$0"; echo open; parent=$PPID; while :; do
       for task in /proc/$parent/task/*; do
         pids=; read -r pids <$task/children
         for pid in $pids; do
           case " $$ ${children().join(" ")} " in *" $pid "*) continue ;; esac
           grep -q "^State:.S" /proc/$pid/status && exit 0
         done
       done
     done 2>/dev/null`,
    path,
  ]);
  const stdout = holder.stdoutPipe();
  holder.start();
  for await (const line of stdout.lines()) if (line === "open") break;
  let child: Process | undefined;
  // On a busy machine the other process may need more than one start to see one.
  for (let attempt = 0; attempt < 100 && child === undefined; attempt++) {
    try {
      child = startProcess(path, ["h", "exit", "0"]);
    } catch (error) {
      assertEquals(error instanceof SpawnError && error.code, "ETXTBSY");
    }
  }
  assertEquals(child?.waitSync().success, true);
  await holder.wait();
  stdout.close();
});
