import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  Command,
  type CommandOptions,
  ExitError,
  findProcess,
  type Process,
  WaitDelayError,
} from "../../mod.ts";
import { decode, Directory, encode, helper, runScript, sh, Sink, until } from "../helper.ts";
import { stateOf, withoutLeaks } from "../holdings.ts";

/** A script that leaves a process behind, which holds stdout, and prints its id. */
const leaving = "sleep 1000 2>/dev/null & echo $!";

/** Ends what `leaving` has left. */
function end(output: Uint8Array | undefined): void {
  const left = findProcess(Number(decode(output)));
  left.kill();
  left.release();
}

test("an abort kills the child, even if nobody waits", async () => {
  const controller = new AbortController();
  const command = new Command(helper, ["hang"], { signal: controller.signal });
  const { pid } = command.start();
  controller.abort();
  await until(() => stateOf(pid) === "Z");
  const error = await assertRejects(() => command.wait(), ExitError, "signal: killed");
  assertEquals(error.signal, "SIGKILL");
});

test("an abort of a child that has ended is none, be it reaped or not", async () => {
  for (const reaped of [true, false]) {
    const controller = new AbortController();
    let cancelled = 0;
    const options: CommandOptions = { signal: controller.signal, cancel: () => cancelled++ };
    const command = new Command(helper, ["exit", "0"], options);
    const child = command.start();
    if (reaped) await child.wait();
    else await until(() => stateOf(child.pid) === "Z");
    controller.abort(new Error("too late"));
    assertEquals([(await command.wait()).success, cancelled], [true, 0]);
  }
});

test("a cancel gets the process, once, and is awaited", async () => {
  const controller = new AbortController();
  const calls: Process[] = [];
  let finished = false;
  const command = new Command(helper, ["hang"], { signal: controller.signal });
  command.cancel = async (child) => {
    calls.push(child);
    child.signal("SIGTERM");
    await child.wait();
    for (let turn = 0; turn < 5; turn++) await new Promise((next) => setTimeout(next, 0));
    finished = true;
  };
  const child = command.start();
  controller.abort();
  controller.abort();
  await assertRejects(() => command.wait(), ExitError, "signal: terminated");
  assertEquals([calls.length, calls[0] === child, finished], [1, true, true]);
});

test("a signal that lives on is not listened to after the command", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...parameters: Parameters<typeof add>) => {
    listeners++;
    add(...parameters);
  };
  signal.removeEventListener = (...parameters: Parameters<typeof remove>) => {
    listeners--;
    remove(...parameters);
  };
  await new Command(helper, ["exit", "0"], { signal }).run();
  await assertRejects(() => new Command(helper, ["exit", "1"], { signal }).output(), ExitError);
  assertThrows(() => new Command("/no/such/program", [], { signal }).start());
  const disposed = new Command(helper, ["hang"], { signal });
  disposed.start();
  assertEquals(listeners, 1);
  await disposed[Symbol.asyncDispose]();
  new Command(helper, ["exit", "0"], { signal }).runSync();
  assertEquals(listeners, 0);
});

test("a pipe that outlives the child is closed after the delay, and what came is kept", async () => {
  await withoutLeaks(async () => {
    const error = await assertRejects(
      () => sh(leaving, { waitDelay: 20 }).output(),
      WaitDelayError,
      "exec: WaitDelay expired before I/O complete",
    );
    assertEquals(decode(error.stderr), "");
    end(error.stdout);
  });
});

test("the delay holds for a synchronous run too", async () => {
  await withoutLeaks(() => {
    const command = sh(leaving, { waitDelay: 20 });
    const error = assertThrows(() => command.outputSync(), WaitDelayError);
    assertEquals(command.processState?.success, true);
    end(error.stdout);
    const failing = sh(`${leaving}; exit 3`, { waitDelay: 20 });
    end(assertThrows(() => failing.outputSync(), ExitError, "exit status 3").stdout);
  });
});

test("a delay longer than a timer can be is none that is over at once", async () => {
  const script = "{ sleep 0.05; echo late; } & echo early";
  for (const waitDelay of [2 ** 31, 1e15, Infinity]) {
    const output = await sh(script, { waitDelay }).text();
    assertEquals([output, sh(script, { waitDelay }).outputSync().length], ["early\nlate\n", 11]);
    const controller = new AbortController();
    const command = sh("trap 'sleep 0.05; exit 0' TERM; echo ready; while :; do sleep 0.01; done", {
      signal: controller.signal,
      cancel: (child) => child.signal("SIGTERM"),
      waitDelay,
    });
    const stdout = command.stdoutPipe();
    command.start();
    for await (const line of stdout.lines()) if (line === "ready") break;
    const reason = new Error("aborted");
    controller.abort(reason);
    assert(await assertRejects(() => command.wait()) === reason);
    stdout.close();
  }
});

test("a descriptor that outlives the child is nothing to wait for", async () => {
  using directory = new Directory();
  for (const run of ["run", "runSync"] as const) {
    const file = directory.file("out");
    const script = 'exec 3>"$0"; sleep 1000 & echo $! >&3';
    await new Command("/bin/sh", ["-c", script, file])[run]();
    end(new Uint8Array(await new Command(helper, ["file", file]).output()));
  }
});

test("a sink that is stuck is waited for no longer than the delay", async () => {
  const stdout = { write: () => new Promise(() => {}) };
  const command = sh("echo x", { stdout, waitDelay: 20 });
  await assertRejects(() => command.run(), WaitDelayError);
  assertEquals(command.processState?.success, true);
});

test("a cancel that is stuck is waited for no longer than the delay", async () => {
  const controller = new AbortController();
  const cancel = (child: Process): Promise<void> => {
    child.kill();
    return new Promise(() => {});
  };
  const command = new Command(helper, ["hang"], {
    signal: controller.signal,
    cancel,
    waitDelay: 20,
  });
  command.start();
  controller.abort();
  await assertRejects(() => command.wait(), ExitError, "signal: killed");
});

test("a child that takes no notice of the cancel is killed after the delay", async () => {
  const controller = new AbortController();
  const command = sh("trap '' TERM; echo ready; exec sleep 1000", {
    signal: controller.signal,
    cancel: (child) => child.signal("SIGTERM"),
    waitDelay: 20,
  });
  const stdout = command.stdoutPipe();
  command.start();
  for await (const line of stdout.lines()) if (line === "ready") break;
  controller.abort();
  const error = await assertRejects(() => command.wait(), ExitError, "signal: killed");
  assertEquals(error.signal, "SIGKILL");
  stdout.close();
});

test("a time limit rejects with its own reason where the child takes it well", async () => {
  const command = sh("trap 'exit 0' TERM; echo ready; while :; do read x || sleep 0.01; done", {
    signal: AbortSignal.timeout(200),
    cancel: (child) => child.signal("SIGTERM"),
    stdout: new Sink(),
  });
  const error = await assertRejects(() => command.run());
  // Before the trap is set it is no good exit.
  assert(error instanceof ExitError || (error instanceof Error && error.name === "TimeoutError"));
  assertEquals(command.processState?.signal ?? null, error instanceof ExitError ? "SIGTERM" : null);
});

test("signals that come while a synchronous run waits do not disturb it", async () => {
  // Only a wait with a bound is left to its caller by the kernel when a signal comes.
  const script = `trap '' USR1
    parent=$PPID child=$$
    { until grep -q "^State:.Z" /proc/$child/status; do :; done
      i=0; while [ $i -lt 2000 ]; do kill -USR1 $parent; i=$((i+1)); done; echo done; } 2>/dev/null &`;
  const { code, stdout, stderr } = await runScript(
    `import process from "node:process";
     process.on("SIGUSR1", () => {});
     const options = { waitDelay: 60_000 };
     const command = new osexec.Command("/bin/sh", ["-c", ${JSON.stringify(script)}], options);
     console.log(new TextDecoder().decode(command.outputSync()).trim());
     process.exit();`,
  );
  assertEquals([code, stdout, stderr], [0, "done\n", ""]);
});

test("an exit handler's disposal does not disturb a run that has ended", async () => {
  const sink = new Sink();
  const command = sh("echo x", { stdout: sink, waitDelay: 20 });
  {
    await using running = command;
    await running.run();
  }
  assertEquals([sink.text(), command.processState?.success], ["x\n", true]);
});

test("T18: without a waitDelay an abort ends the waiting for whoever holds the pipes of a child that has ended", async () => {
  const reason = new Error("enough");
  const late = async (script: string, options: CommandOptions = {}): Promise<unknown> => {
    const controller = new AbortController();
    const stdout = new Sink();
    const command = sh(script, { signal: controller.signal, stdout, ...options });
    const child = command.start();
    await until(() => stdout.text().includes("\n"));
    await child.wait();
    const running = command.wait().catch((error) => error);
    await until(() => command.processState !== undefined);
    controller.abort(reason);
    // Where the abort does nothing, somebody else has to end what holds the pipes.
    if (options.cancel === null) end(encode(stdout.text()));
    const outcome = await running;
    if (options.cancel !== null) end(encode(stdout.text()));
    return outcome;
  };
  assertEquals(String(await late(leaving, { cancel: null })), "exit status 0");
  assertStrictEquals(await late(leaving), reason);
  const failed = await late(`${leaving}; exit 3`);
  assert(failed instanceof ExitError);
  assertEquals([failed.exitCode, failed.cause], [3, reason]);
});
