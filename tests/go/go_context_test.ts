/** os/exec's tests of contexts, Cancel and WaitDelay, and the table of what comes of each case. */

import { test } from "node:test";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import {
  CancelError,
  Command,
  type CommandOptions,
  ExitError,
  ProcessDoneError,
  WaitDelayError,
} from "../../mod.ts";
import {
  ArbitraryError,
  encode,
  impersonate,
  readAll,
  readText,
  stateOf,
  TextWriter,
  turn,
  until,
} from "../impersonator.ts";

/** Much longer than any test runs. */
const tooLong = 600_000;

/** A source that has no end, and tells when it is told to stop. */
class Ticks implements AsyncIterable<string> {
  readonly stopped = Promise.withResolvers<void>();

  async *[Symbol.asyncIterator](): AsyncIterator<string> {
    try {
      while (true) {
        await turn();
        yield `${Date.now()}\n`;
      }
    } finally {
      this.stopped.resolve();
    }
  }
}

/** A command that hangs, when its signal handling is in place. */
async function startHang(
  milliseconds: number,
  flags: readonly string[],
  options: CommandOptions,
): Promise<{ command: Command; stderr: TextWriter; stdin: Ticks }> {
  const stderr = new TextWriter();
  const stdin = new Ticks();
  const args = [`${milliseconds}`, ...flags];
  const command = impersonate("hang", args, { ...options, stdin, stderr });
  const stdout = command.stdoutPipe();
  command.start();
  assertEquals(await readAll(stdout), "");
  stdout.close();
  return { command, stderr, stdin };
}

/** The child that a hanging command has left behind must end, as nobody reads its stderr any more. */
async function orphanEnds(stderr: TextWriter): Promise<void> {
  const [, pid = ""] = stderr.text.match(/^left (\d+)$/m) ?? [];
  assert(Number(pid) > 0, stderr.text);
  await until(() => ["", "Z"].includes(stateOf(Number(pid))));
}

test("TestContext: an abort ends a command in the middle of a dialogue", async () => {
  const controller = new AbortController();
  const command = impersonate("pipetest", [], { signal: controller.signal });
  const stdin = command.stdinPipe();
  using stdout = command.stdoutPipe();
  command.start();
  await stdin.write(encode("O:hi\n"));
  assertEquals(await readText(stdout, 5), "O:hi\n");
  queueMicrotask(() => controller.abort());
  assertEquals(
    String((await assertRejects(() => command.wait(), ExitError)).state),
    "signal: killed",
  );
});

test("TestContextCancel: an abort ends a command that nobody waits for yet", async () => {
  const controller = new AbortController();
  const command = impersonate("cat", [], { signal: controller.signal });
  const stdin = command.stdinPipe();
  command.start();
  await stdin.write(encode("echo"));
  controller.abort();
  const error = await assertRejects(async () => {
    while (true) {
      await stdin.write(encode("echo"));
      await turn();
    }
  });
  assertEquals(`${error}`, "SyscallError: write |1: broken pipe");
  await assertRejects(() => command.wait(), ExitError, "signal: killed");
});

test("TestWaitInterrupt/Wait: without an abort and a delay the exit is waited for", async () => {
  const { signal } = new AbortController();
  const cancel = (): never => {
    throw new ArbitraryError("nobody has aborted");
  };
  const { command, stdin } = await startHang(1, [], { signal, cancel });
  assertEquals(`${await command.wait()}`, "exit status 0");
  assertStrictEquals(command.processState?.exited, true);
  await stdin.stopped.promise;
});

test("TestWaitInterrupt/WaitDelay: an abort without a cancel lets a late exit be a success", async () => {
  const controller = new AbortController();
  const options = { signal: controller.signal, cancel: null, waitDelay: tooLong };
  const { command } = await startHang(tooLong, ["-interrupt"], options);
  controller.abort();
  await turn();
  command.process?.signal("SIGINT");
  assertEquals(`${await command.wait()}`, "exit status 0");
});

test("TestWaitInterrupt/SIGKILL-hang: pipes that outlive a killed child are closed after the delay", async () => {
  const controller = new AbortController();
  const flags = ["-subsleep", `${tooLong}`, "-probe", "1"];
  const options = { signal: controller.signal, waitDelay: 10 };
  const { command, stderr } = await startHang(tooLong, flags, options);
  controller.abort();
  assertEquals((await assertRejects(() => command.wait(), ExitError)).signal, "SIGKILL");
  await orphanEnds(stderr);
});

test("TestWaitInterrupt/Exit-hang: after a good exit such pipes are a WaitDelayError", async () => {
  const flags = ["-subsleep", `${tooLong}`, "-probe", "1"];
  const { command, stderr } = await startHang(1, flags, { waitDelay: 10 });
  const error = await assertRejects(() => command.wait(), WaitDelayError);
  assertEquals(`${error}`, "WaitDelayError: exec: WaitDelay expired before I/O complete");
  assertEquals(`${command.processState}`, "exit status 0");
  await orphanEnds(stderr);
});

test("TestWaitInterrupt/SIGINT-ignored: what does not end at the cancel is killed after the delay", async () => {
  const controller = new AbortController();
  const { command } = await startHang(tooLong, [], {
    signal: controller.signal,
    cancel: (process) => process.signal("SIGINT"),
    waitDelay: 10,
  });
  controller.abort();
  assertEquals(
    String((await assertRejects(() => command.wait(), ExitError)).state),
    "signal: killed",
  );
});

test("TestWaitInterrupt/SIGINT-handled: a good exit after the cancel is the abort's reason", async () => {
  const controller = new AbortController();
  const { command } = await startHang(tooLong, ["-interrupt"], {
    signal: controller.signal,
    cancel: (process) => process.signal("SIGINT"),
  });
  controller.abort();
  const { reason } = controller.signal;
  assertStrictEquals(await assertRejects(() => command.wait()), reason);
  assertInstanceOf(reason, DOMException);
  assertEquals(`${command.processState}`, "exit status 0");
});

test("TestWaitInterrupt/SIGQUIT: a bad exit after the cancel is the exit's error", async () => {
  const controller = new AbortController();
  const { command, stderr } = await startHang(tooLong, [], {
    signal: controller.signal,
    cancel: (process) => process.signal("SIGQUIT"),
  });
  controller.abort();
  assertEquals((await assertRejects(() => command.wait(), ExitError)).exitCode, 2);
  assertEquals(stderr.text, "quit\n");
});

test("TestCancelErrors/success after error: a cancel's error wraps what it threw", async () => {
  const controller = new AbortController();
  const command = impersonate("pipetest", [], { signal: controller.signal });
  const stdin = command.stdinPipe();
  const arbitrary = new ArbitraryError("arbitrary error");
  command.cancel = () => {
    stdin.close();
    throw arbitrary;
  };
  command.start();
  controller.abort();
  const error = await assertRejects(() => command.wait(), CancelError);
  assertEquals(`${error}`, "CancelError: exec: canceling Cmd: arbitrary error");
  assertStrictEquals(error.cause, arbitrary);
});

test("TestCancelErrors/success after ErrProcessDone: a cancel may find that it came too late", async () => {
  const controller = new AbortController();
  const called = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  const command = impersonate("pipetest", [], {
    signal: controller.signal,
    async cancel() {
      called.resolve();
      await done.promise;
      throw new ProcessDoneError({ cause: "stdout closed" });
    },
  });
  const stdin = command.stdinPipe();
  using stdout = command.stdoutPipe();
  command.start();
  controller.abort();
  await called.promise;
  stdin.close();
  assertEquals(await readAll(stdout), "");
  done.resolve();
  assertEquals(`${await command.wait()}`, "exit status 0");
});

for (
  const [name, thrown] of [
    ["killed after error", new ArbitraryError()],
    ["killed after spurious ErrProcessDone", new ProcessDoneError()],
  ] as const
) {
  test(`TestCancelErrors/${name}: the delay's SIGKILL is what is reported`, async () => {
    const controller = new AbortController();
    let calls = 0;
    const command = impersonate("pipetest", [], {
      signal: controller.signal,
      waitDelay: 1,
      cancel() {
        calls++;
        throw thrown;
      },
    });
    using _stdin = command.stdinPipe();
    command.start();
    controller.abort();
    const error = await assertRejects(() => command.wait(), ExitError);
    assertEquals([String(error.state), calls], ["signal: killed", 1]);
    // What Go does not tell: a cancel that has failed, as wait() would tell it after a success.
    if (thrown instanceof ProcessDoneError) return assertEquals(error.cause, undefined);
    assertInstanceOf(error.cause, CancelError);
    assertStrictEquals(error.cause.cause, thrown);
  });
}

test("TestCancelErrors/nonzero exit after error: the exit is what is reported", async () => {
  const controller = new AbortController();
  const called = Promise.withResolvers<void>();
  // It fails when its stdin ends, and so not before the abort.
  const command = new Command("sh", ["-c", "read line; exit 1"], {
    signal: controller.signal,
    cancel() {
      called.resolve();
      throw new ArbitraryError();
    },
  });
  const stdin = command.stdinPipe();
  command.start();
  controller.abort();
  await called.promise;
  stdin.close();
  assertEquals(
    String((await assertRejects(() => command.wait(), ExitError)).state),
    "exit status 1",
  );
});
