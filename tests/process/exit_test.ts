import fs from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertRejects, assertThrows } from "@std/assert";
import { Command, ExitError, type ProcessState, startProcess } from "../../mod.ts";
import { Directory, helper, sh, until } from "../helper.ts";
import { stateOf } from "../holdings.ts";

/** How the child program ends by one of its verbs, and no error for it. */
function ended(...args: string[]): ProcessState {
  return startProcess(helper, ["helper", ...args]).waitSync();
}

test("an exit code of 0 is success, and run() resolves to the state", async () => {
  const command = new Command(helper, ["exit", "0"]);
  const state = await command.run();
  assertEquals([state.exitCode, state.success, state.exited], [0, true, true]);
  assertEquals([state.signal, state.coreDumped, state.status], [null, false, 0]);
  assertEquals(String(state), "exit status 0");
  assertEquals([command.processState, command.process?.pid], [state, state.pid]);
});

test("any other exit code rejects with ExitError, which holds the state", async () => {
  for (const code of [1, 2, 42, 255]) {
    const command = new Command(helper, ["exit", `${code}`]);
    const error = await assertRejects(() => command.run(), ExitError, `exit status ${code}`);
    assertEquals([error.exitCode, error.signal, error.state.success], [code, null, false]);
    assertEquals([error.state.exited, error.state.status], [true, code << 8]);
    assert(command.processState === error.state);
    assertEquals(["stdout" in error, "stderr" in error], [false, false]);
  }
});

test("a failing exit throws ExitError from runSync() too, and the state is kept", () => {
  const command = new Command(helper, ["exit", "42"]);
  const error = assertThrows(() => command.runSync(), ExitError, "exit status 42");
  assertEquals([error.exitCode, command.processState?.exitCode], [42, 42]);
});

test("an exit code is what is left of it in eight bits", () => {
  assertEquals(ended("exit", "256").exitCode, 0);
  assertEquals(ended("exit", "259").exitCode, 3);
  assertEquals(ended("exit", "-1").exitCode, 255);
});

test("a child that a signal ended has that signal and no exit code", async () => {
  const rows: [number: number, name: string, text: string][] = [
    // Not SIGHUP, SIGINT or SIGQUIT, which nohup and shells make their children ignore.
    [9, "SIGKILL", "signal: killed"],
    [10, "SIGUSR1", "signal: user defined signal 1"],
    [13, "SIGPIPE", "signal: broken pipe"],
    [14, "SIGALRM", "signal: alarm clock"],
    [15, "SIGTERM", "signal: terminated"],
  ];
  for (const [number, name, text] of rows) {
    const command = new Command(helper, ["kill", `${number}`]);
    const { state, ...error } = await assertRejects(() => command.run(), ExitError, text);
    assertEquals([error.signal, error.exitCode], [name, -1]);
    assertEquals([state.exitCode, state.exited, state.success], [-1, false, false]);
    assertEquals([state.signal, state.coreDumped, state.status], [name, false, number]);
    assertEquals(String(state), text);
  }
});

test("a real-time signal goes by its number, those that libc keeps for itself too", () => {
  for (const number of [32, 33, 34, 35, 64]) {
    const state = ended("kill", `${number}`);
    assertEquals([state.signal, `${state}`], [`SIG${number}`, `signal: signal ${number}`]);
  }
});

test("a signal that is ignored by default ends nobody", () => {
  assertEquals(String(ended("kill", "17")), "exit status 0");
});

test("a fatal signal leaves a core where the limits allow it, and the state says so", async () => {
  using directory = new Directory();
  const program = directory.helper();
  const pattern = fs.readFileSync("/proc/sys/kernel/core_pattern", "utf8").trim();
  for (const limit of ["0", "unlimited"]) {
    const script = `ulimit -c ${limit} || exit 77; exec "$0" kill 11`;
    const command = new Command("/bin/sh", ["-c", script, program], { dir: directory.path });
    const { state } = await assertRejects(() => command.run(), ExitError);
    // The hard limit may forbid cores altogether.
    if (state.exitCode === 77) continue;
    assertEquals([state.signal, state.exitCode], ["SIGSEGV", -1]);
    const text = "signal: segmentation fault";
    assertEquals(`${state}`, state.coreDumped ? `${text} (core dumped)` : text);
    assertEquals(state.status, state.coreDumped ? 0x8b : 0x0b);
    // A pattern that names a program, or a directory, is somebody else's.
    if (/^[|/]/.test(pattern)) continue;
    assertEquals(state.coreDumped, fs.readdirSync(directory.path).length > 1, `limit ${limit}`);
  }
});

test("a shell's own code for a signalled child is an exit code like any other", async () => {
  const command = new Command("/bin/sh", ["-c", '"$0" kill 15; exit $?', helper]);
  const error = await assertRejects(() => command.run(), ExitError, "exit status 143");
  assertEquals([error.exitCode, error.signal], [143, null]);
});

test("the usage counts memory and time, and the state's times are the usage's", async () => {
  const state = await sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done").run();
  const { usage } = state;
  assertGreater(usage.maxRss, 4096);
  assertGreater(usage.minorFaults, 0);
  assertGreater(usage.userTime + usage.systemTime, 0);
  assertEquals([state.userTime, state.systemTime], [usage.userTime, usage.systemTime]);
  for (const [name, value] of Object.entries(usage)) {
    assert(Number.isFinite(value) && value >= 0, `${name} is ${value}`);
  }
});

test("a child that gives up the processor to wait has voluntary switches", async () => {
  const command = new Command(helper, ["cat", "0"]);
  const input = command.stdinPipe();
  const { pid } = command.start();
  // It sleeps in its read until the pipe is closed.
  await until(() => stateOf(pid) === "S");
  input.close();
  const { usage } = await command.wait();
  assertGreater(usage.voluntaryContextSwitches, 0);
});

test("a state cannot be changed, and is one and the same object each time", async () => {
  const child = startProcess(helper, ["helper", "exit", "7"]);
  const state = await child.wait();
  assert(await child.wait() === state && child.waitSync() === state);
  assert(Object.isFrozen(state) && Object.isFrozen(state.usage));
  assertEquals(state.pid, child.pid);
});
