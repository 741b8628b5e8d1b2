/** Go's rules where the thread waits: what Run and Output mean for runSync() and outputSync(). */

import { test } from "node:test";
import {
  assertEquals,
  assertLess,
  assertMatch,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Command, ExitError, pipe, WaitDelayError } from "../../mod.ts";
import { ArbitraryError, decode, encode, impersonate, TextWriter } from "../impersonator.ts";

/** Much longer than any test runs. */
const tooLong = 600_000;

test("TestEcho, TestCatStdin and TestExitStatus hold for the Sync methods", () => {
  assertEquals(decode(impersonate("echo", ["foo bar", "baz"]).outputSync()), "foo bar baz\n");
  const stdin = ["Input string\n", encode("Line 2")];
  assertEquals(decode(impersonate("cat", [], { stdin }).outputSync()), "Input string\nLine 2");
  const failing = impersonate("exit", ["42"]);
  const error = assertThrows(() => failing.runSync(), ExitError);
  assertEquals(String(error.state), "exit status 42");
  assertStrictEquals(failing.processState, error.state);
});

test("TestIgnorePipeErrorOnSuccess holds for the Sync methods", () => {
  let told = 0;
  function* endless(): Generator<string> {
    try {
      while (true) yield "x".repeat(4096);
    } finally {
      told++;
    }
  }
  for (const stdin of ["x".repeat(10 << 20), endless()]) {
    assertEquals(decode(impersonate("echo", ["foo"], { stdin }).outputSync()), "foo\n");
    assertEquals(`${impersonate("exit", ["0"], { stdin: endless() }).runSync()}`, "exit status 0");
  }
  assertEquals(told, 3);
});

test("TestClosePipeOnCopyError and rule 44 hold for the Sync methods", () => {
  const failure = new ArbitraryError();
  const stdout = {
    write(): never {
      throw failure;
    },
  };
  assertThrows(() => impersonate("yes", [], { stdout }).runSync(), ExitError, "broken pipe");
  assertStrictEquals(
    assertThrows(() => new Command("echo", ["foo"], { stdout }).runSync()),
    failure,
  );
  const bad = new Command("sh", ["-c", "echo; exit 3"], { stdout });
  assertThrows(() => bad.runSync(), ExitError, "exit status 3");
});

test("TestWaitInterrupt/Exit-hang holds for the Sync methods, and what came is kept", () => {
  const flags = ["-subsleep", "600000", "-probe", "1"];
  for (const millisecond of [10, 50]) {
    const command = impersonate("hang", ["1", ...flags], { waitDelay: millisecond });
    const error = assertThrows(() => command.combinedOutputSync(), WaitDelayError);
    assertMatch(decode(error.stdout), /^left \d+$/m);
    assertEquals(`${command.processState}`, "exit status 0");
  }
});

test("beyond rule 60: a job that writes for ever does not hold a Sync method beyond the delay", () => {
  const stdout = new TextWriter();
  const make = (code: number): Command =>
    new Command("sh", ["-c", `yes & exit ${code}`], { stdout: { write() {} }, waitDelay: 50 });
  assertThrows(() => make(0).runSync(), WaitDelayError);
  assertThrows(() => make(3).runSync(), ExitError, "exit status 3");
  assertEquals(stdout.text, "");
});

test("beyond rule 60: what has come before the delay was over is not lost by a slow Writer", () => {
  const [reading, go] = pipe();
  const [done, status] = pipe();
  const text = "late".repeat(10_000);
  // Only after the exit, from which the delay counts.
  const exited = "while grep -q ') [^Z]' /proc/$$/stat; do :; done";
  // It closes its stdout before the descriptor that tells of it: an exit closes them in no order.
  const job = `(${exited}; echo ready; read line <&3; printf %s "${text}"; exec >&-) & exit 0`;
  const clock = performance.now;
  let output = "";
  const stdout = {
    write(chunk: Uint8Array): void {
      output += decode(chunk);
      if (output !== "ready\n") return;
      go.writeSync(encode("go\n"));
      status.close();
      while (done.readSync(new Uint8Array(1)) !== null);
      // The job has written it all and ended, and now so has the delay.
      performance.now = () => clock.call(performance) + 2 * tooLong;
    },
  };
  const extraFiles = [reading, status];
  try {
    new Command("sh", ["-c", job], { stdout, waitDelay: tooLong, extraFiles }).runSync();
  } finally {
    performance.now = clock;
  }
  assertEquals(output, `ready\n${text}`);
  for (const end of [reading, go, done]) end.close();
});

test("beyond rule 63: a Sync method gives a grandchild that reads stdin its end", () => {
  const start = performance.now();
  const stdin = (function* (): Generator<string> {
    while (true) yield "x\n";
  })();
  const command = new Command("sh", ["-c", "exec 3<&0; cat <&3 >/dev/null & exit 0"], { stdin });
  assertEquals(decode(command.outputSync()), "");
  assertLess(performance.now() - start, 60_000);
});

test("rule 38: a Sync method looks at the signal before the start, and not again", () => {
  const reason = new ArbitraryError();
  const signal = AbortSignal.abort(reason);
  assertStrictEquals(assertThrows(() => impersonate("echo", [], { signal }).runSync()), reason);
  const controller = new AbortController();
  const stdout = {
    write() {
      controller.abort();
    },
  };
  const command = impersonate("echo", [], { signal: controller.signal, stdout });
  assertEquals(`${command.runSync()}`, "exit status 0");
});
