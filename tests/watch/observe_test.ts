/** observe(): what is told of each command, on every path, and that telling it changes nothing. */

import { AsyncLocalStorage } from "node:async_hooks";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  Command,
  type CommandOptions,
  ExitError,
  findProcess,
  type Observation,
  observe,
  parallel,
  pipeline,
  SpawnError,
  startProcess,
  StateError,
  SyscallError,
  TimeoutError,
} from "../../mod.ts";
import { Life } from "../../src/watch/observe.ts";
import { runScript, sh, Sink, until } from "../helper.ts";

/** Observes for the length of a block. */
class Watch implements Disposable {
  readonly seen: Observation[] = [];
  readonly #watching = observe((observation) => void this.seen.push(observation));

  /** The kinds of what was told of one command. */
  kinds(command: Command): string {
    return this.of(command).map(({ kind }) => kind).join(" ");
  }

  of(command: Command): Observation[] {
    return this.seen.filter((observation) => observation.command === command);
  }

  only<Kind extends Observation["kind"]>(command: Command, kind: Kind): Of<Kind> {
    const [one, another] = this.of(command).filter((each): each is Of<Kind> => each.kind === kind);
    assert(one !== undefined && another === undefined, `${kind} of ${this.kinds(command)}`);
    return one;
  }

  [Symbol.dispose](): void {
    this.#watching[Symbol.dispose]();
  }
}

type Of<Kind extends Observation["kind"]> = Extract<Observation, { kind: Kind }>;

/** Every way to run a command to its end. */
const ways: Readonly<Record<string, (command: Command) => unknown>> = {
  run: (command) => command.run(),
  wait: (command) => (command.start(), command.wait()),
  output: (command) => command.output(),
  text: (command) => command.text(),
  combinedOutput: (command) => command.combinedOutput(),
  capture: (command) => command.capture(),
  lines: (command) => Array.fromAsync(command.lines()),
  runSync: (command) => command.runSync(),
  outputSync: (command) => command.outputSync(),
  combinedOutputSync: (command) => command.combinedOutputSync(),
  captureSync: (command) => command.captureSync(),
  pipeline: (command) => pipeline(command).run(),
  parallel: (command) => Array.fromAsync(parallel([command])),
};

/** What a way has thrown. */
async function errorOf(action: () => unknown): Promise<unknown> {
  try {
    await action();
    return undefined;
  } catch (error) {
    return error;
  }
}

for (const [name, way] of Object.entries(ways)) {
  test(`issue 20, 10: ${name}: start, started and end, with what they tell`, async () => {
    using watch = new Watch();
    const command = sh("echo x");
    const before = Date.now();
    await way(command);
    assertEquals(watch.kinds(command), "start started end");
    const { pid, state, error } = watch.only(command, "end");
    assertStrictEquals(state, command.processState);
    assertEquals([pid, error], [state.pid, undefined]);
    assertEquals(watch.only(command, "started").pid, pid);
    for (const { at } of watch.of(command)) assert(at >= before && at <= Date.now());
  });

  test(`issue 20, 10: ${name}: a failing command's end has what the wait rejects with`, async () => {
    using watch = new Watch();
    const command = sh("exit 3");
    const thrown = await errorOf(() => way(command));
    assertEquals(watch.kinds(command), "start started end");
    const { state, error } = watch.only(command, "end");
    assertEquals(state.exitCode, 3);
    assert(error instanceof ExitError);
    if (thrown instanceof ExitError) assertStrictEquals(error, thrown);
  });

  test(`issue 20, 10: ${name}: what cannot be started has failed`, async () => {
    using watch = new Watch();
    const command = new Command("/nonexistent/program");
    const thrown = await errorOf(() => way(command));
    assert(/^start (started )?failed$/.test(watch.kinds(command)), watch.kinds(command));
    const { error } = watch.only(command, "failed");
    assert(error instanceof SpawnError);
    if (thrown !== undefined) assertStrictEquals(error, thrown);
  });

  test(`issue 20, 10: ${name}: an abort is told between start and end, with its reason`, async () => {
    using watch = new Watch();
    const command = sh("exec sleep 60", { timeout: 50 });
    await errorOf(() => way(command));
    assertEquals(watch.kinds(command), "start started abort end");
    const { pid, reason } = watch.only(command, "abort");
    assert(reason instanceof TimeoutError);
    const { state, error, pid: ended } = watch.only(command, "end");
    assertEquals([state.signal, ended], ["SIGKILL", pid]);
    assertStrictEquals(error?.cause, reason);
  });
}

test("issue 20, 10: what start() refuses is a failed start, and a second start() is none", async () => {
  using watch = new Watch();
  const refused: [Command, unknown][] = [
    [new Command("no-such-program-anywhere"), Error],
    [new Command("true", [], { signal: AbortSignal.abort(new Error("before")) }), Error],
    [new Command("true", ["a\0b"]), SpawnError],
  ];
  for (const [command] of refused) {
    const error = assertThrows(() => command.start());
    assertEquals(watch.kinds(command), "start failed");
    assertStrictEquals(watch.only(command, "failed").error, error);
  }
  const command = new Command("true");
  await command.run();
  assertThrows(() => command.start(), StateError);
  assertThrows(() => command.runSync(), StateError);
  await assertRejects(() => command.wait(), StateError);
  assertEquals(watch.kinds(command), "start started end");
});

test("issue 20, 10: a signal that aborts is told, and a second wait() tells nothing", async () => {
  using watch = new Watch();
  const controller = new AbortController();
  const command = sh("exec sleep 60", { signal: controller.signal, cancel: "SIGTERM" });
  command.start();
  const waiting = command.wait();
  await assertRejects(() => command.wait(), StateError);
  controller.abort("enough");
  await assertRejects(() => waiting, ExitError);
  assertEquals(watch.kinds(command), "start started abort end");
  assertEquals(watch.only(command, "abort").reason, "enough");
});

test("issue 20, 10: an abort that only cuts off the waiting for the output is one too", async () => {
  using watch = new Watch();
  const controller = new AbortController();
  const stdout = new Sink();
  // Ended, while its child keeps the pipe.
  const command = sh("sleep 60 & echo $!", { signal: controller.signal, stdout });
  command.start();
  const waiting = errorOf(() => command.wait());
  await until(() => command.processState !== undefined);
  controller.abort("enough");
  assertEquals(await waiting, "enough");
  assertEquals(watch.kinds(command), "start started abort end");
  const { state, error } = watch.only(command, "end");
  assertEquals([state.success, error?.cause], [true, "enough"]);
  new Command("kill", [stdout.text().trim()]).runSync();
});

test("issue 20, 10: an end comes also where nobody waits for the command, but for its process", async () => {
  using watch = new Watch();
  const command = sh("exit 3");
  const state = await command.start().wait();
  await until(() => watch.of(command).length > 2);
  assertEquals(watch.kinds(command), "start started end");
  const end = watch.only(command, "end");
  assertStrictEquals(end.state, state);
  assertEquals("error" in end, false);
  // Too late to be told.
  await assertRejects(() => command.wait(), ExitError);
  assertEquals(watch.kinds(command), "start started end");
});

test("issue 20, 10: `await using` ends it, and a released process has failed", async () => {
  using watch = new Watch();
  let disposed: Command;
  {
    await using command = sh("exec sleep 60", { stdout: new Sink() });
    disposed = command;
    command.start();
  }
  assertEquals(watch.kinds(disposed), "start started end");
  assertEquals(watch.only(disposed, "end").state.signal, "SIGKILL");

  const released = new Command("true");
  const process = released.start();
  const { pid } = process;
  process.release();
  await until(() => watch.of(released).length > 2);
  assertEquals(watch.kinds(released), "start started failed");
  assert(watch.only(released, "failed").error instanceof StateError);
  assertEquals(watch.only(released, "started").pid, pid);
});

test("issue 20, 10: one that cannot be waited for has failed; a wait that may be tried again is no end", async () => {
  using watch = new Watch();
  // What Command does, with a process that is no child of ours: as one is that somebody else has reaped.
  const lost = new Command("true");
  const life = new Life(lost);
  const stranger = findProcess(process.ppid);
  life.started(stranger);
  const error = await assertRejects(() => life.follow(stranger.wait()), SyscallError);
  assertEquals(error.code, "ECHILD");
  await assertRejects(() => life.follow(stranger.wait()), SyscallError);
  stranger.release();
  assertEquals(watch.kinds(lost), "start started failed");
  assertStrictEquals(watch.only(lost, "failed").error, error);

  const patient = new Command("true");
  const second = new Life(patient);
  const child = startProcess("/bin/true", ["true"]);
  second.started(child);
  const scarce = new SyscallError({ syscall: "wait", errno: 24, os: "linux" });
  assertStrictEquals(await errorOf(() => second.follow(Promise.reject(scarce))), scarce);
  assertEquals(watch.kinds(patient), "start started");
  await second.follow(child.wait());
  assertEquals(watch.kinds(patient), "start started end");
});

test("issue 20, 10: what parallel() ends for another's failure was aborted for it", async () => {
  using watch = new Watch();
  const [bad, slow] = [sh("exit 3"), sh("exec sleep 60")];
  await Array.fromAsync(parallel([slow, bad], { concurrency: 2, failFast: true }));
  assertEquals(watch.kinds(bad), "start started end");
  assertEquals(watch.kinds(slow), "start started abort end");
  assertStrictEquals(watch.only(slow, "abort").reason, watch.only(bad, "end").error);
});

test("issue 20, 10: lines() that are left have an end", async () => {
  using watch = new Watch();
  const command = new Command("yes");
  for await (const line of command.lines()) {
    assertEquals(line, "y");
    break;
  }
  await until(() => watch.of(command).length > 2);
  assertEquals(watch.kinds(command), "start started end");
});

test("issue 20, 10: of a pipeline that cannot be started whole each stage has failed or ended", async () => {
  using watch = new Watch();
  const stages = [new Command("yes"), new Command("/nonexistent/program"), new Command("cat")];
  await assertRejects(() => pipeline(...stages).run(), SpawnError);
  const [first, second, third] = stages;
  await until(() => watch.of(first!).length > 2);
  assertEquals(watch.kinds(first!), "start started end");
  assertEquals(watch.kinds(second!), "start failed");
  assertEquals(watch.kinds(third!), "");
});

test("issue 20, 10: a source that throws in a Sync run leaves one end", async () => {
  using watch = new Watch();
  function* source(): Generator<string> {
    yield "x";
    throw new Error("no more");
  }
  for (const method of ["runSync", "run"] as const) {
    const command = new Command("cat", [], { stdin: source() });
    const error = await errorOf(() => command[method]());
    assert(error instanceof Error && error.message === "no more", String(error));
    assertEquals(watch.kinds(command), "start started end");
    assertStrictEquals(watch.only(command, "end").error, error);
  }
});

test("issue 20, 10: observers run in the context of who starts, or waits", async () => {
  const storage = new AsyncLocalStorage<string>();
  const contexts: string[] = [];
  using _ = observe(({ kind, command }) => {
    contexts.push(`${command.label} ${kind} ${storage.getStore()}`);
  });
  const controller = new AbortController();
  const options = (label: string): CommandOptions => ({ label });
  const runs = ["a", "b"].map((name) =>
    storage.run(name, () => new Command("true", [], options(name)).run())
  );
  const aborted = storage.run("c", async () => {
    await sh("exec sleep 60", { label: "c", signal: controller.signal }).run().catch(() => {});
  });
  const unwaited = storage.run("d", () => new Command("true", [], options("d")).start());
  storage.run("elsewhere", () => controller.abort());
  await Promise.all([...runs, aborted, storage.run("elsewhere", () => unwaited.wait())]);
  await until(() => contexts.includes("d end d"));
  for (const each of contexts) {
    const [label, , context] = each.split(" ");
    assertEquals(context, label, each);
  }
  assertEquals(contexts.length, 13);
});

test("issue 20, 10: it is told until it is disposed of, and as often as it observes", () => {
  let count = 0;
  const observer = (): void => void count++;
  const [first, second] = [observe(observer), observe(observer)];
  new Command("true").runSync();
  assertEquals(count, 6);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  new Command("true").runSync();
  assertEquals(count, 9);
  second[Symbol.dispose]();
  new Command("true").runSync();
  assertEquals(count, 9);
});

test("issue 20, 10: who stops observing in the middle hears no more, and breaks nothing", () => {
  const kinds: string[] = [];
  const watching = observe(({ kind }) => {
    kinds.push(kind);
    if (kind === "started") watching[Symbol.dispose]();
  });
  new Command("true").runSync();
  assertEquals(kinds, ["start", "started"]);
});

test("issue 20, 10: a command that an observer starts is not observed, so it is no endless loop", () => {
  using watch = new Watch();
  const inner = new Command("true");
  using _ = observe(({ kind }) => void (kind === "end" && inner.runSync()));
  const outer = new Command("true");
  outer.runSync();
  assertEquals([watch.kinds(outer), watch.kinds(inner)], ["start started end", ""]);
  assertEquals(inner.processState?.success, true);
});

test("issue 20, 10: what an observer throws is uncaught, and changes no run", async () => {
  const { code, stdout, stderr } = await runScript(`
    import process from "node:process";
    const caught: string[] = [];
    process.on("uncaughtException", (error) => caught.push(error.message));
    const kinds: string[] = [];
    osexec.observe(({ kind }) => { throw new Error(kind); });
    osexec.observe(({ kind }) => { kinds.push(kind); });
    console.log(await new osexec.Command("echo", ["a"]).text());
    console.log(new TextDecoder().decode(new osexec.Command("echo", ["b"]).outputSync()));
    const error = await new osexec.Command("sleep", ["60"], { timeout: 20 }).run().catch((e) => e);
    console.log(String(error));
    await new Promise((resolve) => setTimeout(resolve, 1));
    console.log(kinds.join() === caught.join(), caught.join());
  `);
  assertEquals([code, stderr], [0, ""]);
  const three = "start,started,end";
  assertEquals(
    stdout,
    `a\n\nb\n\nExitError: signal: killed\ntrue ${three},${three},start,started,abort,end\n`,
  );
});
