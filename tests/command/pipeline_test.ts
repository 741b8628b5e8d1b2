/** Commands that read each other's output, and many of them at a time. */

import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Command,
  ExitError,
  parallel,
  type ParallelOptions,
  pipe,
  pipeline,
  PipelineError,
  SpawnError,
  StateError,
} from "../../mod.ts";
import { runScript, sh, until, wrong } from "../helper.ts";

const cat = (): Command => new Command("cat");

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

// ---------------------------------------------------------------- pipeline

test("issue 18, 7: each stage reads what the one before prints", async () => {
  const make = () =>
    pipeline(sh("printf 'b\\na\\nb\\n'"), new Command("sort"), new Command("uniq"));
  assertEquals(await make().text(), "a\nb\n");
  assertEquals(new TextDecoder().decode(await make().output()), "a\nb\n");
  assertEquals(await all(make().lines()), ["a", "b"]);
  assertEquals((await make().run()).map(String), Array(3).fill("exit status 0"));
  assertEquals(await pipeline(sh("echo x")).text(), "x\n");
});

test("issue 18, 7: much flows through it, and its first and last stage have their own streams", async () => {
  const bytes = new Uint8Array(5_000_000).fill(7);
  const first = new Command("cat", [], { input: bytes });
  assertEquals(await pipeline(first, cat(), cat()).output(), bytes);
  const [reading, writing] = pipe();
  const copying = new Response(reading.readable).text();
  await pipeline(sh("echo x"), new Command("cat", [], { stdout: writing })).run();
  writing.close();
  assertEquals(await copying, "x\n");
});

test("issue 18, 7: what ends by SIGPIPE has not failed, when the next one ended well", async () => {
  assertEquals(await pipeline(new Command("yes"), new Command("head", ["-n1"])).text(), "y\n");
  const stages = pipeline(new Command("yes"), cat(), new Command("head", ["-n1"]));
  assertEquals((await stages.run()).map(String), [
    "signal: broken pipe",
    "signal: broken pipe",
    "exit status 0",
  ]);
  const error = await pipeline(new Command("yes"), sh("read x; exit 3")).run().catch((e) => e);
  assert(error instanceof PipelineError);
  assertEquals(error.errors.map(String), [
    "ExitError: signal: broken pipe",
    "ExitError: exit status 3",
  ]);
});

test("issue 18, 7: a failing stage fails the whole, with every stage's state", async () => {
  const make = () =>
    pipeline(
      sh("echo why >&2; exit 2", { label: "first" }),
      new Command("cat", [], { label: "second" }),
      sh("cat; exit 3", { label: "third" }),
    );
  for (const run of [() => make().text(), () => make().output(), () => all(make().lines())]) {
    const error = await run().then(() => null, (error: unknown) => error);
    assert(error instanceof PipelineError, String(error));
    assertEquals(error.message, "pipeline: stage 1 of 3: first: exit status 2: why");
    assertEquals(error.errors.map(String), [
      "ExitError: exit status 2",
      "null",
      "ExitError: exit status 3",
    ]);
    assertEquals(error.states.map(String), ["exit status 2", "exit status 0", "exit status 3"]);
    assertEquals(error.cause, error.errors[0]);
  }
});

test("issue 18, 7: a stage that does not start ends the others, and says why", async () => {
  const make = (place: number) =>
    pipeline(...[0, 1, 2].map((at) => at === place ? new Command("/nope") : sh("exec sleep 60")));
  for (const place of [0, 1, 2]) {
    const stages = make(place);
    assertThrows(() => stages.start(), SpawnError, "/nope");
    for (const run of [() => make(place).run(), () => make(place).text()]) {
      await assertRejects(run, SpawnError, "/nope");
    }
    const lines = make(place).lines();
    await assertRejects(() => all(lines), SpawnError, "/nope");
    assertEquals(await lines.next(), { done: true, value: undefined });
    const started = stages.commands.flatMap(({ process }) => process ?? []);
    const states = await Promise.all(started.map((process) => process.wait()));
    assertEquals(new Set(states.map(String)), new Set(place === 0 ? [] : ["signal: killed"]));
  }
});

test("issue 18, 7: leaving its lines, or disposing of it, ends all stages", async () => {
  const stages = pipeline(new Command("yes"), cat(), cat());
  for await (const line of stages.lines()) {
    assertEquals(line, "y");
    break;
  }
  assert(stages.commands.every(({ process }) => process?.pidfd === null));
  const asleep = pipeline(sh("exec sleep 60"), cat());
  asleep.start();
  await asleep[Symbol.asyncDispose]();
  assert(asleep.commands.every(({ process }) => process?.pidfd === null));
  const long = pipeline(sh("exec sleep 60"), cat());
  const iterator = long.lines();
  const next = iterator.next();
  await iterator.return?.();
  assertEquals((await next).done, true);
});

test("issue 18, 7: capture() of a pipeline is the last stage's, and may take no failure for one", async () => {
  const make = () => pipeline(sh("echo out; exit 2"), sh("cat; echo err >&2; exit 3"));
  const captured = await make().capture({ check: false });
  assertEquals([captured.text(), captured.text("stderr")], ["out\n", "err\n"]);
  assertEquals(captured.state.exitCode, 3);
  await assertRejects(() => make().capture(), PipelineError, "stage 1 of 2");
  await assertRejects(
    () => pipeline(sh("exit 2"), cat()).capture(),
    PipelineError,
    "exit status 2",
  );
  assertEquals((await pipeline(sh("exit 2"), cat()).capture({ check: false })).text(), "");
  const much = () => pipeline(new Command("yes"), cat()).capture({ check: false, limit: 10 });
  await assertRejects(much, RangeError, "longer than 10 bytes");
  await assertRejects(
    () => pipeline(sh(""), cat()).capture(wrong({ limit: "1" })),
    TypeError,
    "limit",
  );
});

test("issue 18, 7: a line beyond the limit ends all stages", async () => {
  const stages = pipeline(new Command("yes", ["12345"]), cat());
  await assertRejects(() => all(stages.lines({ limit: 4 })), RangeError, "longer than 4 bytes");
  assert(stages.commands.every(({ process }) => process?.pidfd === null));
});

test("issue 18, bad input: a stage whose stdin or stdout is taken, used or no command is refused first", async () => {
  const used = sh("exit 0");
  await used.run();
  for (
    const [stages, words] of [
      [
        [sh(""), new Command("cat", [], { stdin: "null" })],
        "exec: Stdin already set (/usr/bin/cat)",
      ],
      [[sh(""), new Command("cat", [], { input: "x" })], "exec: Stdin already set (/usr/bin/cat)"],
      [[sh("", { stdout: "null", label: "it" }), cat()], "exec: Stdout already set (it)"],
      [[sh(""), used], "exec: already started (/bin/sh -c exit 0)"],
    ] as const
  ) {
    for (const run of [() => pipeline(...stages).start(), () => pipeline(...stages).text()]) {
      const error = await Promise.resolve().then(run).then(() => null, (error: unknown) => error);
      assert(error instanceof StateError, String(error));
      assert(error.message.startsWith(words), error.message);
      assertEquals(stages[0].process, undefined);
    }
  }
  const twice = cat();
  assertThrows(() => pipeline(twice, twice), TypeError, "stage 2 is in the pipeline twice");
  assertThrows(() => pipeline(), TypeError, "at least one");
  assertThrows(() => pipeline(wrong("cat")), TypeError, "stage 1 is no Command");
  await assertRejects(() => pipeline(cat()).wait(), StateError, "not started");
});

test("issue 18, 7: pipelines leave no descriptor and no child", async () => {
  const { code, stdout, stderr } = await runScript(`
    import fs from "node:fs";
    import process from "node:process";
    const { Command, pipeline } = osexec;
    const make = (name) => pipeline(new Command("yes"), new Command("cat"), new Command(name, ["-n1"]));
    const run = async () => {
      await make("head").text();
      await make("/nope").text().catch(() => {});
      await make("false").run().catch(() => {});
      for await (const _ of make("head").lines()) break;
    };
    // What is made once: on Deno for signals, and for a child that runs longer.
    process.once("SIGUSR2", () => {});
    await new Command("sleep", ["0.05"]).text();
    for (let times = 0; times < 5; times++) await run();
    const count = () => fs.readdirSync("/proc/self/fd").length;
    const before = count();
    for (let times = 0; times < 20; times++) await run();
    const children = fs.readFileSync("/proc/self/task/" + process.pid + "/children", "utf8");
    console.log(count() - before, JSON.stringify(children.trim()));`);
  assertEquals([code, stdout, stderr], [0, '0 ""\n', ""]);
});

// ---------------------------------------------------------------- parallel

test("issue 18, 10: all are run, so many at a time, and each is given as it ends", async () => {
  let running = 0;
  let most = 0;
  const counting = class extends Command {
    override async run(): ReturnType<Command["run"]> {
      most = Math.max(most, ++running);
      try {
        return await super.run();
      } finally {
        running--;
      }
    }
  };
  const jobs = Array.from({ length: 40 }, (_, n) => new counting("sh", ["-c", `exit ${n % 3}`]));
  const ended = await all(parallel(jobs, { concurrency: 8 }));
  assertEquals(most, 8);
  ended.sort((a, b) => a.index - b.index);
  assertEquals(ended.map(({ index }) => index), jobs.map((_, index) => index));
  for (const { index, command, state, error } of ended) {
    assertEquals(command, jobs[index]);
    assertEquals(state?.exitCode, index % 3);
    assertEquals(error instanceof ExitError, index % 3 !== 0);
  }
  const order = await all(parallel([sh("sleep 0.3"), sh("exit 0")]));
  assertEquals(order.map(({ index }) => index), [1, 0]);
});

test("issue 18, 10: no more is taken of an iterable than there is room for", async () => {
  let taken = 0;
  let closed = false;
  async function* source(): AsyncGenerator<Command> {
    try {
      for (;;) {
        taken++;
        yield sh("exit 0");
      }
    } finally {
      closed = true;
    }
  }
  let seen = 0;
  for await (const { error } of parallel(source(), { concurrency: 2 })) {
    assertEquals(error, undefined);
    assert(taken <= seen + 3, `${taken}`);
    if (++seen === 10) break;
  }
  assertEquals(closed, true);
});

test("issue 18, 10: what cannot be started is an error of its own", async () => {
  const ended = await all(parallel([new Command("/nope"), sh("exit 0")], { concurrency: 1 }));
  assertEquals(ended.map(({ error }) => error instanceof SpawnError), [true, false]);
  assertEquals(ended.map(({ state }) => state?.exitCode), [undefined, 0]);
});

test("issue 18, 10: with failFast the first failure ends the rest", async () => {
  const jobs = [sh("exec sleep 60"), sh("exit 3"), sh("exit 0")];
  const ended = await all(parallel(jobs, { concurrency: 2, failFast: true }));
  assertEquals(ended.map(({ index, state }) => [index, String(state)]), [
    [1, "exit status 3"],
    [0, "signal: killed"],
  ]);
  assertEquals(ended[1]?.error?.cause, ended[0]?.error);
  assertEquals(jobs[2]?.process, undefined);
});

test("issue 18, 10: an abort ends what runs by its own cancel, starts nothing more, and is thrown", async () => {
  const controller = new AbortController();
  const jobs = Array.from({ length: 3 }, () => {
    const command = cat();
    const input = command.stdinPipe();
    command.cancel = () => input.close();
    command.timeout = 60_000;
    return command;
  });
  const ends: unknown[] = [];
  const reason = new Error("enough");
  const run = (async () => {
    const options = { concurrency: 2, signal: controller.signal };
    for await (const { state, error } of parallel(jobs, options)) {
      ends.push([state?.exitCode, error]);
    }
  })();
  await until(() => jobs[1]?.process !== undefined);
  controller.abort(reason);
  assertEquals(await run.catch((error) => error), reason);
  assertEquals([ends, jobs[2]?.process], [[[0, reason], [0, reason]], undefined]);
  const early = parallel([sh("exit 0")], { signal: AbortSignal.abort(reason) });
  assertEquals(await all(early).catch((error) => error), reason);
});

test("issue 18, 10: leaving the loop kills what runs", async () => {
  const jobs = [sh("exec sleep 60"), sh("exit 0")];
  for await (const { index } of parallel(jobs, { concurrency: 2 })) {
    assertEquals(index, 1);
    break;
  }
  assertEquals(jobs[0]?.process?.pidfd, null);
});

test("issue 18, 10: what an iterable throws, or gives that is no command, ends the rest and is thrown", async () => {
  for (
    const last of [() => wrong<Command>("x"), () => {
      throw new TypeError("mine: no Command");
    }]
  ) {
    const job = sh("exec sleep 60");
    const source = (function* () {
      yield job;
      yield last();
    })();
    await assertRejects(() => all(parallel(source, { concurrency: 2 })), TypeError, "no Command");
    assertEquals(job.process?.pidfd, null);
  }
});

test("issue 18, bad input: options of parallel() are refused by name, at once", () => {
  const give = (options: unknown) => () => parallel([], wrong<ParallelOptions>(options));
  assertThrows(give({ concurrency: 0 }), TypeError, "concurrency");
  assertThrows(give({ concurrency: "2" }), TypeError, "concurrency");
  assertThrows(give({ failFast: 1 }), TypeError, "failFast");
  assertThrows(give({ signal: {} }), TypeError, "signal");
  assertThrows(give({ limit: 1 }), TypeError, "ParallelOptions has no field limit");
  assertThrows(give(null), TypeError, "options");
  assertThrows(() => parallel(wrong(5)), TypeError, "iterable");
});
