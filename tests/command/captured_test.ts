/** capture(): what a command has printed, and how it ended, in one object. */

import { inspect } from "node:util";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Captured,
  type CaptureOptions,
  Command,
  type CommandOptions,
  ExitError,
  SpawnError,
  StateError,
} from "../../mod.ts";
import { decode, sh, Sink, wrong } from "../helper.ts";

/** The same by both kinds of waiting; what it rejects with, boxed. */
async function both(
  script: string,
  options?: CaptureOptions,
  given?: CommandOptions,
): Promise<(Captured | { readonly error: unknown })[]> {
  const awaited = await sh(script, given).capture(options).catch((error: unknown) => ({ error }));
  try {
    return [awaited, sh(script, given).captureSync(options)];
  } catch (error) {
    return [awaited, { error }];
  }
}

const texts = ({ stdout, stderr, all }: Captured): string[] => [stdout, stderr, all].map(decode);

test("issue 18, 8: stdout and stderr apart, with the state", async () => {
  for (const captured of await both("echo out; echo err >&2")) {
    assert("state" in captured);
    assertEquals(texts(captured), ["out\n", "err\n", ""]);
    assertEquals([captured.text(), captured.text("stderr")], ["out\n", "err\n"]);
    assertEquals([String(captured.state), captured.truncated], ["exit status 0", false]);
    assert(captured.state.durationMs > 0);
    assertEquals(inspect(captured), "Captured { exit status 0, stdout: 4 bytes, stderr: 4 bytes }");
  }
});

test("issue 18, 8: both in the order in which they were written", async () => {
  for (const captured of await both("echo 1; echo 2 >&2; echo 3; echo 4 >&2", { all: true })) {
    assert("state" in captured);
    assertEquals(texts(captured), ["", "", "1\n2\n3\n4\n"]);
    assertEquals(captured.text(), "1\n2\n3\n4\n");
  }
});

test("issue 18, 8: what stdout is to be already gets it as well, as by tee(1)", async () => {
  for (const all of [false, true]) {
    for (const run of ["capture", "captureSync"] as const) {
      const log = new Sink();
      const command = sh("echo 1; echo 2 >&2; echo 3", { stdout: [log] });
      const spare = command.clone();
      const captured = await command[run]({ all });
      assertEquals(texts(captured), all ? ["", "", "1\n2\n3\n"] : ["1\n3\n", "2\n", ""]);
      assertEquals(log.text(), all ? "1\n2\n3\n" : "1\n3\n");
      // Neither it nor a copy made later hands on what was captured.
      await spare.run();
      await command.clone().run();
      assertEquals(captured.text(), all ? "1\n2\n3\n" : "1\n3\n");
    }
  }
});

test("issue 18, 8: capture() does not share a pipe with its reader", () => {
  const command = sh("echo");
  using stdout = command.stdoutPipe();
  assertThrows(() => command.captureSync(), StateError, "exec: Stdout already set");
  stdout.close();
});

test("issue 18, 8: a failure rejects with what there was, or is told by the state alone", async () => {
  const script = "echo out; echo err >&2; exit 3";
  for (const captured of await both(script)) {
    assert("error" in captured && captured.error instanceof ExitError);
    const { stdout, stderr } = captured.error;
    assertEquals([decode(stdout), decode(stderr)], ["out\n", "err\n"]);
  }
  for (const captured of await both(script, { check: false })) {
    assert("state" in captured);
    assertEquals([...texts(captured), captured.state.exitCode], ["out\n", "err\n", "", 3]);
  }
  for (
    const captured of await both("echo out; exec sleep 60", { check: false }, { timeout: 1000 })
  ) {
    assert("state" in captured);
    assertEquals([captured.text(), captured.state.signal], ["out\n", "SIGKILL"]);
  }
});

test("issue 18, 8: what could not be started rejects in any case", async () => {
  const make = (): Command => new Command("/nope");
  assert(await make().capture({ check: false }).catch((error) => error) instanceof SpawnError);
  assertThrows(() => make().captureSync({ check: false }), SpawnError);
});

test("issue 18, 8: more than the limit ends the command, whoever holds the pipe", async () => {
  for (const script of ["yes", "yes & wait", "yes >&2", "exec cat /dev/zero"]) {
    for (const captured of await both(script, { limit: 1000, check: false }, { label: "it" })) {
      assert("error" in captured && captured.error instanceof RangeError, inspect(captured));
      const what = script.includes(">&2") ? "stderr" : "stdout";
      assertEquals(captured.error.message, `it: ${what} is longer than 1000 bytes`);
    }
  }
  for (const captured of await both("yes | head -c 2000", { limit: 1000, all: true })) {
    assert("error" in captured && captured.error instanceof RangeError);
    assert(captured.error.message.endsWith("output is longer than 1000 bytes"));
  }
});

test("issue 18, 8: or what is more is let go, and told", async () => {
  const script = "printf 123456; printf 12345 >&2";
  for (const captured of await both(script, { limit: 5, onLimit: "truncate" })) {
    assert("state" in captured);
    assertEquals([...texts(captured), captured.truncated], ["12345", "12345", "", true]);
  }
  for (const captured of await both(script, { limit: 6, onLimit: "truncate" })) {
    assert("state" in captured);
    assertEquals([...texts(captured), captured.truncated], ["123456", "12345", "", false]);
  }
});

test("issue 18, 8: a stderr of the command's own is left to it", async () => {
  const stderr = new Sink();
  const captured = await sh("echo out; echo err >&2", { stderr }).capture();
  assertEquals([texts(captured), stderr.text()], [["out\n", "", ""], "err\n"]);
  const all = await sh("", { stderr }).capture({ all: true }).catch((error) => error);
  assert(all instanceof StateError && all.message.startsWith("exec: Stderr already set"));
});

test("issue 18, bad input: options of capture() are refused by name", async () => {
  for (
    const [options, name] of [
      [{ all: 1 }, "all"],
      [{ check: "no" }, "check"],
      [{ limit: -1 }, "limit"],
      [
        { onLimit: "stop" },
        "onLimit",
      ],
      [{ maxBuffer: 1 }, "CaptureOptions has no field maxBuffer"],
      [null, "options"],
    ] as const
  ) {
    for (const captured of await both("", wrong(options))) {
      assert("error" in captured && captured.error instanceof TypeError, name);
      assert(captured.error.message.includes(name), captured.error.message);
    }
  }
  const captured = await sh("").capture();
  assertThrows(() => captured.text(wrong("both")), TypeError, "text()");
});
