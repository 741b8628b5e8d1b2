import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  findProcess,
  type Process,
  ProcessDoneError,
  type Signal,
  startProcess,
  StateError,
  SyscallError,
} from "../../mod.ts";
import { environmentWith, helper, runScript, runtime, sh, until, wrong } from "../helper.ts";
import { children, descriptors, stateOf } from "../holdings.ts";

/** A child that stays until it is told to go. */
function hanging(): Process {
  return startProcess(helper, ["helper", "hang"]);
}

/** A child that has ended, and is waited for by nobody yet. */
async function zombie(code = 0): Promise<Process> {
  const child = startProcess(helper, ["helper", "exit", `${code}`]);
  await until(() => stateOf(child.pid) === "Z");
  return child;
}

test("every wait answers with the same state, at the same time or later", async () => {
  const child = hanging();
  const waits = [child.wait(), child.wait()];
  child.kill();
  const [first, second] = await Promise.all(waits);
  assert(first === second && await child.wait() === first && child.waitSync() === first);
  assertEquals(first?.signal, "SIGKILL");
});

test("waitSync() ends a wait that is pending", async () => {
  const child = hanging();
  const waiting = child.wait();
  child.kill();
  const state = child.waitSync();
  assert(await waiting === state);
});

test("a stopped child has not ended, and can go on", async () => {
  const child = hanging();
  let ended = false;
  const waiting = child.wait().then(() => ended = true);
  child.signal("SIGSTOP");
  await until(() => stateOf(child.pid) === "T");
  child.signal("SIGCONT");
  await until(() => stateOf(child.pid) === "S");
  assertEquals(ended, false);
  child.signal("SIGSTOP");
  await until(() => stateOf(child.pid) === "T");
  child.kill();
  await waiting;
  assertEquals(child.waitSync().signal, "SIGKILL");
});

test("a signal goes by name or by number", async () => {
  const rows: [Signal, string][] = [
    ["SIGTERM", "SIGTERM"],
    [15, "SIGTERM"],
    ["SIGALRM", "SIGALRM"],
    ["SIGRTMIN+1", "SIG35"],
    [64, "SIG64"],
  ];
  for (const [signal, name] of rows) {
    const child = hanging();
    child.signal(0);
    child.signal(signal);
    assertEquals((await child.wait()).signal, name);
  }
});

test("an unknown signal is a TypeError, and reaches nobody", async () => {
  const child = hanging();
  for (const signal of ["SIGNOTHING", "TERM", -1, 65, 1.5, null, undefined]) {
    assertThrows(() => child.signal(wrong<Signal>(signal)), TypeError, "Unknown signal");
  }
  child.signal(0);
  child.kill();
  assertEquals((await child.wait()).signal, "SIGKILL");
});

test("a child that has ended takes signals until it is reaped, and then never again", async () => {
  const child = await zombie(3);
  child.signal("SIGTERM");
  child.kill();
  assertEquals((await child.wait()).exitCode, 3);
  for (const action of [() => child.signal("SIGTERM"), () => child.signal(0), () => child.kill()]) {
    assertThrows(action, ProcessDoneError, "os: process already finished");
  }
});

test("a child that somebody else has reaped takes no signals either", async () => {
  const child = await zombie();
  findProcess(child.pid).waitSync();
  assertThrows(() => child.signal("SIGTERM"), ProcessDoneError);
});

test("a released process can neither be signalled nor waited for", async () => {
  const child = hanging();
  const { pid } = child;
  child.release();
  child.release();
  const text = "os: process already released";
  assertThrows(() => child.signal("SIGTERM"), StateError, text);
  assertThrows(() => child.kill(), StateError, text);
  assertThrows(() => child.waitSync(), StateError, text);
  await assertRejects(() => child.wait(), StateError, text);
  assertEquals([child.pid, child.pidfd, stateOf(pid) === null], [pid, null, false]);
  const found = findProcess(pid);
  found.kill();
  assertEquals((await found.wait()).signal, "SIGKILL");
});

test("a release rejects a wait that is pending", async () => {
  const child = hanging();
  const { pid } = child;
  const waiting = assertRejects(() => child.wait(), StateError, "os: process already released");
  child.release();
  await waiting;
  await findProcess(pid)[Symbol.asyncDispose]();
});

test("a release after the wait changes nothing", async () => {
  const child = hanging();
  child.kill();
  const state = await child.wait();
  child.release();
  assert(await child.wait() === state);
  assertThrows(() => child.signal(0), ProcessDoneError);
});

test("the pidfd is one, is the Process's own, and goes with it", async () => {
  const child = hanging();
  const { pidfd } = child;
  if (pidfd !== null) {
    assertEquals(descriptors().get(pidfd), "anon_inode:[pidfd]");
    child.kill();
    await child.wait();
    assertEquals([child.pidfd, descriptors().get(pidfd)], [null, undefined]);
  } else {
    child.kill();
    await child.wait();
  }
});

test("disposal kills a process that still runs, and reaps it", async () => {
  let pid = 0;
  {
    await using child = hanging();
    pid = child.pid;
  }
  assertEquals([stateOf(pid), children().includes(pid)], [null, false]);
});

test("disposal of a process that has ended, or was released, does nothing", async () => {
  const ended = await zombie(4);
  await ended[Symbol.asyncDispose]();
  assertEquals(ended.waitSync().exitCode, 4);
  await ended[Symbol.asyncDispose]();
  const released = hanging();
  const { pid } = released;
  released.release();
  await released[Symbol.asyncDispose]();
  assertEquals(stateOf(pid) === null, false);
  await findProcess(pid)[Symbol.asyncDispose]();
});

test("a process can be found, asked for, and signalled", async () => {
  findProcess(process.pid).signal(0);
  const child = hanging();
  const found = findProcess(child.pid);
  assertEquals([found.pid, found.pidfd === child.pidfd], [child.pid, child.pidfd === null]);
  found.signal("SIGTERM");
  assertEquals((await child.wait()).signal, "SIGTERM");
  assertThrows(() => found.signal(0), ProcessDoneError);
  found.release();
});

test("a process that is not there is found to be done", async () => {
  // The largest id there can be is below this.
  const gone = findProcess(0x7fffffff);
  assertThrows(() => gone.signal("SIGTERM"), ProcessDoneError);
  assertThrows(() => gone.kill(), ProcessDoneError);
  const error = await assertRejects(() => gone.wait(), SyscallError, "no child processes");
  assertEquals([error.code, gone.pidfd], ["ECHILD", null]);
  assertThrows(() => gone.waitSync(), SyscallError);
  gone.release();
});

test("a process that is no child cannot be waited for", async () => {
  for (const pid of [1, process.ppid]) {
    const other = findProcess(pid);
    const error = await assertRejects(
      () => other.wait(),
      SyscallError,
      "waitid: no child processes",
    );
    assertEquals(error.code, "ECHILD");
    other.release();
  }
});

test("a child can be found again, and waited for by who found it", async () => {
  const child = startProcess(helper, ["helper", "exit", "9"]);
  const found = findProcess(child.pid);
  assertEquals((await found.wait()).exitCode, 9);
});

test("an id that no process has is refused", () => {
  for (const pid of [0, -1, -process.pid, 2 ** 31, 2 ** 40]) {
    assertThrows(() => findProcess(pid), RangeError);
  }
  for (const pid of [1.5, NaN, wrong<number>("1"), wrong<number>(null)]) {
    assertThrows(() => findProcess(pid), TypeError);
  }
});

test("where children are not kept for waiting, the state is the real one or none", async () => {
  const ignoring = ["/usr/bin/env", "--ignore-signal=CHLD"];
  const able = await sh(`${ignoring.join(" ")} true 2>/dev/null || echo no`).text();
  if (able !== "") return;
  const { stdout, code } = await runScript(
    `const child = osexec.startProcess(${JSON.stringify(helper)}, ["helper", "exit", "7"]);
     const text = await child.wait().then(String, (error) => error.code);
     const again = osexec.startProcess(${JSON.stringify(helper)}, ["helper", "kill", "15"]);
     let sync;
     try { sync = String(again.waitSync()); } catch (error) { sync = error.code; }
     console.log(text + "; " + sync);`,
    { runtime: [...ignoring, ...runtime], env: environmentWith({}) },
  );
  const honest = ["exit status 7; signal: terminated\n", "ECHILD; ECHILD\n"];
  assertEquals([code, honest.includes(stdout)], [0, true], stdout);
});

test("F8: wait() on a process that is no child says why not, or how it ended, and never a success made up", async () => {
  // A grandchild, which its own parent reaps.
  const command = sh("sleep 60 & echo $!; wait $!; echo reaped; read x; true");
  const input = command.stdinPipe();
  const output = command.stdoutPipe();
  command.start();
  const lines = output.lines();
  const stranger = findProcess(Number((await lines.next()).value));
  // Where the kernel can tell, it is waited for.
  const early = stranger.wait().then(String, (error: unknown) => error);
  stranger.kill();
  assertEquals((await lines.next()).value, "reaped");
  const late = await findProcess(stranger.pid).wait().then(String, (error: unknown) => error);
  for (const answer of [await early, late]) {
    const isTyped = answer instanceof SyscallError && answer.code === "ECHILD";
    assert(isTyped || answer === "signal: killed", String(answer));
  }
  input.close();
  await command.wait();
});
