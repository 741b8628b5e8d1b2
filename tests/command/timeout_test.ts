/** A command's own time: `timeout`, and what its state says of it. */

import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Command,
  type CommandOptions,
  ExitError,
  findProcess,
  startProcess,
  TimeoutError,
} from "../../mod.ts";
import { Directory, runScript, sh, wrong } from "../helper.ts";

/** What a run that is too long rejects with, by each kind of waiting. */
async function failures(make: () => Command): Promise<unknown[]> {
  const caught: unknown[] = [];
  for (const method of ["run", "output", "text", "combinedOutput"] as const) {
    await make()[method]().catch((error) => caught.push(error));
  }
  for (const method of ["runSync", "outputSync", "combinedOutputSync"] as const) {
    const command = make();
    try {
      command[method]();
    } catch (error) {
      caught.push(error);
    }
  }
  assertEquals(caught.length, 7);
  return caught;
}

const asleep = (options: CommandOptions): Command => sh("exec sleep 60", options);

/** It ends well when its stdin is closed, which cancel does. */
function untilCancelled(options: CommandOptions, cancelled: () => void): Command {
  const command = new Command("cat", [], options);
  const input = command.stdinPipe();
  command.cancel = () => {
    cancelled();
    input.close();
  };
  return command;
}

test("issue 18, 5: a child that is too long is killed, and a TimeoutError is the cause", async () => {
  for (const error of await failures(() => asleep({ timeout: 50, label: "it" }))) {
    assert(error instanceof ExitError, String(error));
    assertEquals(error.message, "it: signal: killed: timed out after 50 ms");
    assertEquals(String(error), "ExitError: signal: killed");
    assertEquals(error.state.signal, "SIGKILL");
    const { cause } = error;
    assert(cause instanceof TimeoutError);
    assertEquals([cause.message, cause.timeout], ["it: timed out after 50 ms", 50]);
  }
});

test("issue 18, 5: cancel runs when the time is over, and waitDelay begins", async () => {
  // A signal that ends nothing.
  for (
    const error of await failures(() => asleep({ timeout: 50, cancel: "SIGCONT", waitDelay: 50 }))
  ) {
    assert(error instanceof ExitError, String(error));
    assertEquals([error.signal, error.cause instanceof TimeoutError], ["SIGKILL", true]);
  }
});

test("issue 18, 5: what exits with 0 for it all the same throws the TimeoutError itself", async () => {
  let calls = 0;
  const make = (): Command => untilCancelled({ timeout: 50, label: "it" }, () => calls++);
  for (const error of await failures(make)) {
    assert(error instanceof TimeoutError, String(error));
    assertEquals([error.message, error.command], ["it: timed out after 50 ms", "it"]);
  }
  assertEquals(calls, 7);
});

test("issue 18, 5: the time also ends the waiting for whoever holds the pipes", async () => {
  using directory = new Directory();
  const pidFile = directory.join("pid");
  const script = `sleep 60 & echo $! > ${pidFile}; echo x`;
  for (
    const run of [() => sh(script, { timeout: 300 }).text(), () => {
      const command = sh(script, { timeout: 300 });
      return new Promise((resolve) => resolve(command.outputSync()));
    }]
  ) {
    const error = await run().then(() => null, (error: unknown) => error);
    assert(error instanceof TimeoutError, String(error));
    findProcess(Number((await new Command("cat", [pidFile]).text()).trim())).kill();
  }
});

test("issue 18, 5: what ends in time is not touched by it", async () => {
  for (const timeout of [60_000, 1e300, Infinity]) {
    assertEquals(String(await sh("exit 0", { timeout }).run()), "exit status 0");
    assertEquals(String(sh("exit 0", { timeout }).runSync()), "exit status 0");
    assertEquals(await sh("echo x", { timeout }).text(), "x\n");
    await assertRejects(() => sh("exit 3", { timeout }).run(), ExitError, "exit status 3");
    assertThrows(() => sh("exit 3", { timeout }).runSync(), ExitError, "exit status 3");
  }
});

test("issue 18, 5: beside a signal, whichever comes first", async () => {
  const controller = new AbortController();
  const reason = new Error("by hand");
  const command = sh("exec sleep 60", { timeout: 60_000, signal: controller.signal });
  const run = command.run();
  controller.abort(reason);
  assertEquals((await run.catch((error) => error)).cause, reason);
  const { signal } = new AbortController();
  const late = await sh("exec sleep 60", { timeout: 50, signal }).run().catch((error) => error);
  assert(late.cause instanceof TimeoutError);
});

test("issue 18, 5: it keeps no program alive, whose command has ended or is let go", async () => {
  const { code, stdout, stderr } = await runScript(`
    await new osexec.Command("true", [], { timeout: 60_000 }).run();
    const started = new osexec.Command("sleep", ["60"], { timeout: 60_000 }).start();
    const waiting = new osexec.Command("sleep", ["60"], { timeout: 60_000 });
    waiting.run();
    waiting.process.unref();
    console.log(started.pid, waiting.process.pid);`);
  for (const pid of stdout.split(" ")) findProcess(Number(pid)).kill();
  assertEquals([code, stderr], [0, ""]);
});

test("issue 18, 5: a wrong timeout is refused by its name", () => {
  for (const timeout of [0, -1, NaN, "5", 5n, null, {}]) {
    const command = new Command("true", [], { timeout: wrong(timeout) });
    assertThrows(() => command.runSync(), TypeError, "timeout");
    assertEquals(command.process, undefined);
  }
  const cancel = (): never => {
    throw new Error("not called");
  };
  assertEquals(
    String(new Command("true", [], { cancel, timeout: 60_000 }).runSync()),
    "exit status 0",
  );
});

test("issue 18, 8: a state says when it began, and how long it took", async () => {
  const before = Date.now();
  const states = [
    await sh("sleep 0.05").run(),
    sh("sleep 0.05").runSync(),
    await startProcess("/bin/sleep", ["sleep", "0.05"]).wait(),
  ];
  for (const { startedAt, durationMs } of states) {
    assert(startedAt >= before && startedAt <= Date.now(), `${startedAt}`);
    assert(durationMs >= 50 && durationMs < 30_000, `${durationMs}`);
  }
  const child = startProcess("/bin/true", ["true"]);
  const found = await findProcess(child.pid).wait();
  assertEquals([found.startedAt, found.durationMs], [NaN, NaN]);
});
