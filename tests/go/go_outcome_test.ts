/**
 * What comes of each case of exit, abort, cancel and waitDelay: as in Go, and where the contract promises
 * more than Go does.
 */

import { test } from "node:test";
import { assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "@std/assert";
import {
  CancelError,
  Command,
  type CommandOptions,
  ExitError,
  pipe,
  ProcessDoneError,
  WaitDelayError,
} from "../../mod.ts";
import {
  ArbitraryError,
  decode,
  impersonate,
  readAll,
  readText,
  TextWriter,
} from "../impersonator.ts";

/** Much longer than any test runs. */
const tooLong = 600_000;

/** Runs a child that says it is ready, aborts, and lets it exit with this code. */
async function abortAndExit(code: number, options: CommandOptions): Promise<unknown> {
  const controller = new AbortController();
  const reason = new ArbitraryError("the reason");
  const command = new Command("sh", ["-c", `echo; read line; exit ${code}`], {
    signal: controller.signal,
    ...options,
  });
  const stdin = command.stdinPipe();
  using stdout = command.stdoutPipe();
  command.start();
  await readText(stdout, 1);
  controller.abort(reason);
  stdin.close();
  return await command.wait().then(String, (error) => error === reason ? "the reason" : error);
}

test("outcome: a cancel that succeeds, and exit 0: the reason; another exit: ExitError", async () => {
  const options = { cancel: () => {} };
  assertEquals(await abortAndExit(0, options), "the reason");
  const error = await abortAndExit(3, options);
  assertInstanceOf(error, ExitError);
  assertEquals(error.exitCode, 3);
});

test("outcome: a cancel that fails, and exit 0: CancelError; another exit: ExitError", async () => {
  for (const thrown of [new ArbitraryError("no"), "a text", undefined]) {
    const cancel = (): never => {
      throw thrown;
    };
    const error = await abortAndExit(0, { cancel });
    assertInstanceOf(error, CancelError);
    assertStrictEquals(error.cause, thrown);
    const rejecting = await abortAndExit(0, { cancel: () => Promise.reject(thrown) });
    assertInstanceOf(rejecting, CancelError);
    assertStrictEquals(rejecting.cause, thrown);
    assertInstanceOf(await abortAndExit(3, { cancel }), ExitError);
  }
});

test("outcome: a cancel that says the process is done, and exit 0: a success", async () => {
  const cancel = (): never => {
    throw new ProcessDoneError();
  };
  assertEquals(await abortAndExit(0, { cancel }), "exit status 0");
  assertEquals(await abortAndExit(0, { cancel, waitDelay: tooLong }), "exit status 0");
  assertInstanceOf(await abortAndExit(3, { cancel }), ExitError);
});

test("outcome: no cancel, and exit 0 later: a success", async () => {
  assertEquals(await abortAndExit(0, { cancel: null }), "exit status 0");
  assertEquals(await abortAndExit(0, { cancel: null, waitDelay: tooLong }), "exit status 0");
  assertInstanceOf(await abortAndExit(3, { cancel: null }), ExitError);
});

test("outcome: no cancel, and no exit within the delay: killed", async () => {
  const controller = new AbortController();
  const command = impersonate("hang", [`${tooLong}`], {
    signal: controller.signal,
    cancel: null,
    waitDelay: 20,
  });
  command.start();
  controller.abort();
  await assertRejects(() => command.wait(), ExitError, "signal: killed");
});

/**
 * Runs a shell, whose background job then still holds stdout when it exits with `code`, until `release` is
 * closed.
 */
function leaving(code: number, options: CommandOptions): Disposable & { command: Command } {
  const [hold, release] = pipe();
  const shell = `echo ready; cat <&3 & exit ${code}`;
  const command = new Command("sh", ["-c", shell], { ...options, extraFiles: [hold] });
  return {
    command,
    [Symbol.dispose]() {
      hold.close();
      release.close();
    },
  };
}

test("outcome: a pipe that outlives the exit: WaitDelayError after 0, ExitError after another", async () => {
  const stdout = new TextWriter();
  using good = leaving(0, { stdout, waitDelay: 20 });
  await assertRejects(() => good.command.run(), WaitDelayError);
  using bad = leaving(3, { stdout, waitDelay: 20 });
  await assertRejects(() => bad.command.run(), ExitError, "exit status 3");
  assertEquals(stdout.text, "ready\nready\n");
});

test("outcome: a WaitDelayError has what was captured until then", async () => {
  using run = leaving(0, { waitDelay: 20 });
  const error = await assertRejects(() => run.command.output(), WaitDelayError);
  assertEquals([decode(error.stdout), decode(error.stderr)], ["ready\n", ""]);
  using combined = leaving(0, { waitDelay: 20 });
  const other = await assertRejects(() => combined.command.combinedOutput(), WaitDelayError);
  assertEquals(decode(other.stdout), "ready\n");
  assertStrictEquals(other.stderr, undefined);
  using bad = leaving(3, { waitDelay: 20 });
  const exit = await assertRejects(() => bad.command.output(), ExitError);
  assertEquals(decode(exit.stdout), "ready\n");
});

test("outcome: a file that outlives the exit is nothing to wait for", async () => {
  const [reading, writing] = pipe();
  const run = leaving(0, { stdout: writing });
  assertEquals(`${await run.command.run()}`, "exit status 0");
  writing.close();
  run[Symbol.dispose]();
  assertEquals(await readAll(reading), "ready\n");
  reading.close();
});
