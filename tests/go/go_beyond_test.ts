/** Where the contract promises more than Go does about waiting, aborting and what is left to read. */

import { hasEnded } from "../../src/process/process.ts";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  ClosedError,
  Command,
  ExitError,
  findProcess,
  type OSFile,
  pipe,
  startProcess,
  StateError,
  type Stdin,
  type Stdout,
  WaitDelayError,
} from "../../mod.ts";
import { now } from "../../ffi/host.ts";
import { AbortWatch } from "../../src/command/abort.ts";
import { helper } from "../helper.ts";
import {
  ArbitraryError,
  decode,
  encode,
  ended,
  impersonate,
  readAll,
  readText,
  stateOf,
  TextWriter,
  turn,
} from "../impersonator.ts";

/** Much longer than any test runs. */
const tooLong = 600_000;
const never = new Promise<never>(() => {});

/** Keeps this thread from its event loop until all of a file has been read. */
function block(file: OSFile): void {
  const bytes = new Uint8Array(64);
  while (file.readSync(bytes) !== null);
}

/** Keeps this thread from its event loop that long. */
function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/**
 * Calls back right before a timer that is started next, with this delay: in the same round of timers, so
 * that the event loop looks at no descriptor between.
 */
function justBefore(delay: number, action: () => void): void {
  setTimeout(action, delay - 10);
  setTimeout(() => sleep(2 * delay));
}

// ------------------------------------------------------------------ abort

test("beyond rule 65: a child that has ended, though not been reaped, is not aborted", async () => {
  for (const waitDelay of [0, tooLong]) {
    for (const [code, outcome] of [["0", "exit status 0"], ["3", "ExitError: exit status 3"]]) {
      const controller = new AbortController();
      let calls = 0;
      const command = impersonate("exit", [code ?? ""], {
        signal: controller.signal,
        cancel: () => calls++,
        waitDelay,
      });
      await ended(command.start());
      controller.abort();
      assertEquals(await command.wait().then(String, String), outcome);
      assertEquals(calls, 0);
    }
  }
});

test("beyond rule 65: an abort that comes too late to kill is no abort", async () => {
  for (let round = 0; round < 40; round++) {
    const controller = new AbortController();
    const command = impersonate("exit", ["0"], { signal: controller.signal });
    command.start();
    const waiting = command.wait().then(String, String);
    sleep(round % 4 / 4);
    controller.abort();
    const outcome = await waiting;
    assert(["exit status 0", "ExitError: signal: killed"].includes(outcome), outcome);
  }
});

test("rule 52: an abort after the end of the wait calls nothing, and nothing is left on the signal", async () => {
  const { signal, ...controller } = watched();
  let calls = 0;
  const make = (): Command =>
    impersonate("exit", ["0"], { signal, cancel: () => calls++, waitDelay: tooLong });
  for (let round = 0; round < 3; round++) await make().run();
  make().runSync();
  await using _left = Object.assign(make(), { path: "/bin/nonesuch" });
  await assertRejects(() => _left.run());
  assertEquals(controller.listeners(), 0);
  controller.abort();
  await turn();
  assertEquals(calls, 0);
});

/** A signal that counts who listens to it. */
function watched(): { signal: AbortSignal; abort: () => void; listeners: () => number } {
  const controller = new AbortController();
  const { signal } = controller;
  let count = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (type: string, listener: EventListener): void => {
    count++;
    add(type, listener);
  };
  signal.removeEventListener = (type: string, listener: EventListener): void => {
    count--;
    remove(type, listener);
  };
  return { signal, abort: () => controller.abort(), listeners: () => count };
}

test("rule 40: the reason is the signal's own, whatever it is", async () => {
  for (const reason of [new ArbitraryError(), "a text", null, 0]) {
    const controller = new AbortController();
    const command = impersonate("pipetest", [], { signal: controller.signal });
    const stdin = command.stdinPipe();
    command.cancel = () => stdin.close();
    command.start();
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => command.wait()), reason);
    const late = impersonate("exit", ["0"], { signal: controller.signal });
    assertStrictEquals(await assertRejects(() => late.run()), reason);
  }
  const command = impersonate("pipetest", [], { signal: AbortSignal.timeout(5) });
  const stdin = command.stdinPipe();
  command.cancel = () => stdin.close();
  const error = await assertRejects(() => command.run(), DOMException);
  assertEquals(error.name, "TimeoutError");
});

test("rule 39: an abort that comes from a source as early as in the start is not missed", async () => {
  const controller = new AbortController();
  const command = impersonate("hang", ["600000"], {
    signal: controller.signal,
    stdin: (function* (): Generator<string> {
      controller.abort();
      yield "x";
    })(),
  });
  command.start();
  await assertRejects(() => command.wait(), ExitError, "signal: killed");
});

test("rule 67: a stopped child is killed too", async () => {
  const controller = new AbortController();
  const command = impersonate("cat", [], { signal: controller.signal });
  using _stdin = command.stdinPipe();
  const { pid } = command.start();
  command.process?.signal("SIGSTOP");
  while (stateOf(pid) !== "T") await turn();
  controller.abort();
  await assertRejects(() => command.wait(), ExitError, "signal: killed");
});

test("beyond rule 55: a cancel that never settles is waited for no longer than the delay", async () => {
  const controller = new AbortController();
  const reason = new ArbitraryError();
  const make = (): Command =>
    impersonate("pipetest", [], {
      signal: controller.signal,
      cancel: () => never,
      waitDelay: 20,
    });
  const hanging = make();
  const ending = make();
  using _stdin = hanging.stdinPipe();
  const stdin = ending.stdinPipe();
  hanging.start();
  ending.start();
  controller.abort(reason);
  stdin.close();
  // It has ended before the event loop can know that the delay is over.
  while (stateOf(ending.process?.pid ?? 0) !== "Z");
  await assertRejects(() => hanging.wait(), ExitError, "signal: killed");
  assertStrictEquals(await assertRejects(() => ending.wait()), reason);
});

// ------------------------------------------------------------------ waitDelay

test("rule 56: of the delay that an abort began the wait for the pipes has what is left", async () => {
  const controller = new AbortController();
  const process = startProcess(helper, ["helper", "hang"], { files: [null, null, null] });
  const watch = new AbortWatch({
    process,
    signal: controller.signal,
    cancel: null,
    waitDelay: tooLong,
    expire() {},
    label: () => "sleep",
  });
  const before = now();
  controller.abort();
  const after = now();
  await turn(20);
  process.kill();
  const { success } = await process.wait();
  const { deadline = 0, failure } = await watch.end(success);
  assertEquals(failure, null);
  // Begun by the abort, and not anew by the exit.
  assert(deadline >= before + tooLong && deadline <= after + tooLong);
});

test("rule 55: a delay without bound, or beyond what a timer takes, kills nobody", async () => {
  for (const waitDelay of [Infinity, 2 ** 31, 1e15]) {
    const controller = new AbortController();
    const command = impersonate("pipetest", [], {
      signal: controller.signal,
      cancel: () => {},
      waitDelay,
    });
    const stdin = command.stdinPipe();
    using stdout = command.stdoutPipe();
    command.start();
    controller.abort();
    await turn(20);
    await stdin.write(encode("O:alive\n"));
    assertEquals(await readText(stdout, 8), "O:alive\n");
    stdin.close();
    assertStrictEquals(await assertRejects(() => command.wait()), controller.signal.reason);
    const held = await impersonate("echo", ["late"], { waitDelay }).text();
    assertEquals(held, "late\n");
    assertEquals(decode(impersonate("echo", ["x"], { waitDelay, stdin: "y" }).outputSync()), "x\n");
  }
  for (const waitDelay of [-1, NaN]) {
    await assertRejects(() => impersonate("exit", ["0"], { waitDelay }).run(), TypeError);
  }
});

test("beyond rule 60: what has come before the delay was over is not lost to a busy event loop", async () => {
  const [reading, go] = pipe();
  const [done, status] = pipe();
  const text = "late".repeat(10_000);
  // The job lives on after the shell, says something when it is told to, and ends.
  const job = `(read line <&3; printf %s "${text}"; exec >&- 2>&-) 4>&4 & exit 0`;
  const command = new Command("sh", ["-c", job], { waitDelay: 50, extraFiles: [reading, status] });
  const output = command.output();
  reading.close();
  status.close();
  await command.process?.wait();
  justBefore(50, () => {
    go.writeSync(encode("go\n"));
    block(done);
  });
  assertEquals(decode(await output), text);
  for (const file of [go, done]) file.close();
});

test("beyond rule 57: a child that ended before the delay was over is not killed by a busy event loop", async () => {
  const controller = new AbortController();
  const command = impersonate("pipetest", [], {
    signal: controller.signal,
    cancel: null,
    waitDelay: 50,
  });
  const stdin = command.stdinPipe();
  const output = command.output();
  justBefore(50, () => {
    stdin.writeSync(encode("O:out\n"));
    stdin.close();
    const pid = command.process?.pid ?? 0;
    while (stateOf(pid) !== "Z");
  });
  controller.abort();
  assertEquals(decode(await output), "O:out\n");
});

// ------------------------------------------------------------------ what is stuck

test("beyond rule 63: a source that is stuck does not hold the wait, and is told to stop", async () => {
  const told: string[] = [];
  const sources: Stdin[] = [
    { [Symbol.asyncIterator]: () => ({ next: () => never }) },
    {
      [Symbol.asyncIterator]: () => ({
        next: () => never,
        return() {
          told.push("iterator");
          return never;
        },
      }),
    },
    new ReadableStream({
      cancel() {
        told.push("stream");
        return never;
      },
    }),
    new ReadableStream({ pull: () => never, cancel: () => Promise.reject(new ArbitraryError()) }),
    (async function* () {
      yield "one chunk";
      await never;
    })(),
    (function* () {
      try {
        while (true) yield "y".repeat(4096);
      } finally {
        told.push("generator");
      }
    })(),
  ];
  for (const stdin of sources) {
    assertEquals(`${await impersonate("exit", ["0"], { stdin }).run()}`, "exit status 0");
    if (stdin instanceof ReadableStream) assert(!stdin.locked);
  }
  assertEquals(told, ["iterator", "stream", "generator"]);
});

test("beyond rule 63: a sink that is stuck does not hold the wait beyond the delay", async () => {
  const sinks: Stdout[] = [
    { write: () => never },
    new WritableStream({ write: () => never }),
    new WritableStream({ start: () => never }),
  ];
  for (const stdout of sinks) {
    const command = impersonate("echo", ["hello"], { stdout, waitDelay: 20 });
    await assertRejects(() => command.run(), WaitDelayError);
    if (stdout instanceof WritableStream) assert(!stdout.locked);
  }
  // A delay that is over before anything has been read: what is taken then is not yet delivered.
  for (let round = 0; round < 20; round++) {
    const stdout = { write: () => never };
    const command = new Command("echo", ["hello"], { stdout, waitDelay: 0.001 });
    const child = command.start();
    while (!hasEnded(child));
    await assertRejects(() => command.wait(), WaitDelayError);
  }
  const bad = new Command("sh", ["-c", "echo; exit 3"], {
    stdout: { write: () => never },
    waitDelay: 20,
  });
  await assertRejects(() => bad.run(), ExitError, "exit status 3");
});

// ------------------------------------------------------------------ pipes of the caller's

test("beyond rule 47: a wait does not take what stdoutPipe() and stderrPipe() have still to give", async () => {
  const text = "x".repeat(50_000);
  const command = new Command("sh", ["-c", 'cat; printf %s "$TEXT" >&2'], {
    stdin: text,
    env: { TEXT: text },
    waitDelay: 1,
  });
  using stdout = command.stdoutPipe();
  using stderr = command.stderrPipe();
  await command.run();
  await turn(5);
  assertEquals(await readAll(stdout), text);
  assertEquals(await readAll(stderr), text);
});

test("rule 47: a write to stdinPipe() fails after the exit, and after the wait the pipe is closed", async () => {
  const command = impersonate("exit", ["0"]);
  const stdin = command.stdinPipe();
  await ended(command.start());
  const broken = await assertRejects(() => stdin.write(encode("x")));
  assertEquals(`${broken}`, "SyscallError: write |1: broken pipe");
  await command.wait();
  const closed = await assertRejects(() => stdin.write(encode("x")), ClosedError);
  assertEquals(closed.message, "write |1: file already closed");
});

test("beyond rule 58: the delay ends lines() too, and loses none that has come", async () => {
  const [hold, release] = pipe();
  const make = (code: number): Command =>
    new Command("sh", ["-c", `echo one; echo two; cat <&3 & exit ${code}`], {
      waitDelay: 20,
      extraFiles: [hold],
    });
  for (const [code, failure] of [[0, WaitDelayError], [3, ExitError]] as const) {
    const lines: string[] = [];
    const error = await assertRejects(async () => {
      for await (const line of make(code).lines()) {
        lines.push(line);
        // A slow reader is not stuck.
        await turn(40);
      }
    }, failure);
    assertEquals(lines, ["one", "two"]);
    assertEquals(decode(error.stderr), "");
  }
  for (const file of [hold, release]) file.close();
});

test("rule 39: an abort ends lines() while nobody asks for the next", async () => {
  const controller = new AbortController();
  const command = impersonate("yes", [], { signal: controller.signal });
  const lines = command.lines()[Symbol.asyncIterator]();
  assertEquals(await lines.next(), { done: false, value: "y" });
  controller.abort();
  const { process } = command;
  assert(process);
  await ended(process);
  await assertRejects(
    async () => {
      while (!(await lines.next()).done);
    },
    ExitError,
    "signal: killed",
  );
});

// ------------------------------------------------------------------ the process is the caller's too

test("beyond rule 45: a caller's own wait for the process takes nothing from the command's", async () => {
  const command = impersonate("exit", ["3"]);
  const state = await command.start().wait();
  const error = await assertRejects(() => command.wait(), ExitError);
  assertStrictEquals(error.state, state);
  const sync = impersonate("exit", ["0"]);
  sync.start().waitSync();
  assertEquals(`${await sync.wait()}`, "exit status 0");
});

test("rule 46: a released process cannot be waited for, and is left alone", async () => {
  const controller = new AbortController();
  const stdout = new TextWriter();
  const command = impersonate("pipetest", [], { stdout, signal: controller.signal });
  const stdin = command.stdinPipe();
  const process = command.start();
  process.release();
  await assertRejects(() => command.wait(), StateError, "os: process already released");
  await assertRejects(() => command.wait(), StateError, "os: process already released");
  controller.abort();
  await stdin.write(encode("O:still\n"));
  while (stdout.text === "") await turn();
  assertEquals(stdout.text, "O:still\n");
  stdin.close();
  assertEquals(`${await findProcess(process.pid).wait()}`, "exit status 0");
});
