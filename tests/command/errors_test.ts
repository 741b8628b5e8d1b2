import os from "node:os";
import { test } from "node:test";
import { assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { Errno, errnoCode, errnoText, wouldBlock } from "../../src/errno.ts";
import {
  CancelError,
  ClosedError,
  ExecError,
  ExitError,
  goQuote,
  ProcessDoneError,
  SpawnError,
  StateError,
  SyscallError,
  WaitDelayError,
} from "../../src/errors.ts";
import { currentOS } from "../../src/os.ts";
import { processState } from "../../src/process/process_state.ts";

const USAGE = {
  userTime: 0,
  systemTime: 0,
  maxRss: 0,
  minorFaults: 0,
  majorFaults: 0,
  blocksIn: 0,
  blocksOut: 0,
  voluntaryContextSwitches: 0,
  involuntaryContextSwitches: 0,
};

test("section 1.3: error numbers have the names they have on the system the test runs on", () => {
  const here = currentOS();
  const names = new Map(Object.entries(os.constants.errno));
  const seconds = ["EWOULDBLOCK", ...here === "linux" ? ["EOPNOTSUPP"] : []];
  for (const [name, number] of names) {
    if (!seconds.includes(name)) assertEquals(errnoCode(number, here), name);
    assertEquals(names.get(errnoCode(number, here)), number, name);
  }
  assertEquals(wouldBlock(here), names.get("EWOULDBLOCK"));
  for (const [name, number] of Object.entries(Errno)) assertEquals(names.get(name), number, name);
});

test("section 1.3: of two names for one number the one Go prints", () => {
  assertEquals([errnoCode(11, "linux"), errnoCode(35, "darwin")], ["EAGAIN", "EAGAIN"]);
  assertEquals([wouldBlock("linux"), wouldBlock("darwin")], [11, 35]);
  assertEquals([errnoCode(35, "linux"), errnoCode(11, "darwin")], ["EDEADLK", "EDEADLK"]);
  assertEquals(errnoCode(95, "linux"), "ENOTSUP");
  assertEquals([errnoCode(45, "darwin"), errnoCode(102, "darwin")], ["ENOTSUP", "EOPNOTSUPP"]);
});

test("rule 68: error numbers have Go's texts", () => {
  const rows: [number: number, linux: string, darwin: string][] = [
    [1, "operation not permitted", "operation not permitted"],
    [2, "no such file or directory", "no such file or directory"],
    [7, "argument list too long", "argument list too long"],
    [8, "exec format error", "exec format error"],
    [9, "bad file descriptor", "bad file descriptor"],
    [13, "permission denied", "permission denied"],
    [20, "not a directory", "not a directory"],
    [25, "inappropriate ioctl for device", "inappropriate ioctl for device"],
    [26, "text file busy", "text file busy"],
    [11, "resource temporarily unavailable", "resource deadlock avoided"],
    [35, "resource deadlock avoided", "resource temporarily unavailable"],
    [38, "function not implemented", "socket operation on non-socket"],
  ];
  for (const [number, linux, darwin] of rows) {
    assertEquals(errnoText(number, "linux"), linux);
    assertEquals(errnoText(number, "darwin"), darwin);
  }
});

test("section 1.3: a number without a name is written as a number", () => {
  for (const number of [0, 41, 999, -2]) {
    assertEquals(errnoCode(number, "linux"), `errno ${number}`);
    assertEquals(errnoText(number, "linux"), `errno ${number}`);
  }
  assertEquals(errnoText(107, "darwin"), "errno 107");
});

test("rule 70: a failed call names itself, its file if any, and the reason", () => {
  const open = new SyscallError({ syscall: "open", path: "/nope", errno: 2, os: "linux" });
  assertEquals(open.message, "open /nope: no such file or directory");
  assertEquals([open.syscall, open.errno, open.code, open.path], ["open", 2, "ENOENT", "/nope"]);
  const wait = new SyscallError({ syscall: "waitid", errno: 10, os: "linux" });
  assertEquals(wait.message, "waitid: no child processes");
  assertEquals("path" in wait, false);
});

test("rule 68: a failed exec step reads as in Go", () => {
  const error = new SpawnError({
    path: "/nope",
    step: "exec",
    argument: "/nope",
    errno: 2,
    os: "linux",
  });
  assertEquals(error.message, "fork/exec /nope: no such file or directory");
  assertEquals([error.syscall, error.code, error.step], ["fork/exec", "ENOENT", "exec"]);
  assertEquals([error.path, error.argument], ["/nope", "/nope"]);
  assertInstanceOf(error, SyscallError);
});

test("rule 74: any other step is named, with what it was given", () => {
  const chdir = new SpawnError({
    path: "/bin/ls",
    step: "chdir",
    argument: "/nope",
    errno: 2,
    os: "linux",
  });
  assertEquals(chdir.message, "fork/exec /bin/ls: chdir /nope: no such file or directory");
  assertEquals([chdir.path, chdir.step, chdir.argument], ["/bin/ls", "chdir", "/nope"]);
  const setsid = new SpawnError({ path: "/bin/ls", step: "setsid", errno: 1, os: "linux" });
  assertEquals(setsid.message, "fork/exec /bin/ls: setsid: operation not permitted");
  assertEquals(["argument" in setsid, "signal" in setsid], [false, false]);
});

test("rule 69: an invalid request has a sentence of its own", () => {
  const error = new SpawnError({
    path: "/bin/ls",
    step: "request",
    detail: "argument 2 contains a NUL",
    os: "linux",
  });
  assertEquals(error.message, "fork/exec /bin/ls: argument 2 contains a NUL");
  assertEquals([error.step, error.errno, error.code], ["request", 22, "EINVAL"]);
});

test("contract: a child killed before exec is a failed start", () => {
  const init = {
    path: "/bin/ls",
    step: "chdir",
    argument: "/nope",
    signal: 9,
    os: "linux",
  } as const;
  const error = new SpawnError(init);
  assertEquals(error.message, "fork/exec /bin/ls: chdir /nope: signal: killed");
  assertEquals([error.signal, error.errno, error.code], ["SIGKILL", 4, "EINTR"]);
  assertEquals(new SpawnError({ ...init, os: "darwin", signal: 10 }).signal, "SIGBUS");
  assertEquals(
    new SpawnError({ ...init, step: "exec" }).message,
    "fork/exec /bin/ls: signal: killed",
  );
});

test("rule 2: a path that was refused says why", () => {
  const stat = new ExecError({ command: "/nosuch", errno: 2, os: "linux", syscall: "stat" });
  assertEquals(stat.message, 'exec: "/nosuch": stat /nosuch: no such file or directory');
  assertEquals([stat.command, stat.code, "path" in stat], ["/nosuch", "ENOENT", false]);
  const directory = new ExecError({ command: "/dir", errno: 21, os: "linux" });
  assertEquals([directory.message, directory.code], ['exec: "/dir": is a directory', "EISDIR"]);
  const refused = new ExecError({ command: "/x", errno: 13, os: "darwin" });
  assertEquals([refused.message, refused.code], ['exec: "/x": permission denied', "EACCES"]);
});

test("rule 6: a name that is nowhere in PATH was not found", () => {
  const error = new ExecError({ command: "name", code: "ERR_NOT_FOUND" });
  assertEquals(error.message, 'exec: "name": executable file not found in $PATH');
  assertEquals([error.code, "path" in error], ["ERR_NOT_FOUND", false]);
});

test("rule 7: what was found relative to the current directory is kept", () => {
  const error = new ExecError({ command: "prog", code: "ERR_DOT", path: "bin/prog" });
  const text = "cannot run executable found relative to current directory";
  assertEquals(error.message, `exec: "prog": ${text}`);
  assertEquals([error.code, error.path], ["ERR_DOT", "bin/prog"]);
});

test("rule 14: names are quoted as Go quotes", () => {
  const rows: [text: string, quoted: string][] = [
    ["", '""'],
    ["a b/ü漢🙂", '"a b/ü漢🙂"'],
    ["a\0b", '"a\\x00b"'],
    ["\x07\b\f\n\r\t\v", '"\\a\\b\\f\\n\\r\\t\\v"'],
    ["\"'\\", '"\\"\'\\\\"'],
    ["\x1b\x7f", '"\\x1b\\x7f"'],
    ["\x85\u00a0\u200b\u2028\ufeff", '"\\u0085\\u00a0\\u200b\\u2028\\ufeff"'],
    ["\u{e0001}", '"\\U000e0001"'],
    ["\ud800x", '"\ufffdx"'],
  ];
  for (const [text, quoted] of rows) assertEquals(goQuote(text), quoted);
  const error = new ExecError({ command: "l\0s", code: "ERR_NOT_FOUND" });
  assertEquals(error.message, 'exec: "l\\x00s": executable file not found in $PATH');
});

test("section 1.1: a failed exit reads as its state does, and may carry output", () => {
  const state = processState(7, 0x0300, USAGE, "linux");
  const bare = new ExitError(state);
  assertEquals([bare.message, bare.exitCode, bare.signal], ["exit status 3", 3, null]);
  assertStrictEquals(bare.state, state);
  assertEquals(["stdout" in bare, "stderr" in bare], [false, false]);
  const stdout = new Uint8Array([104, 105]);
  const stderr = new Uint8Array();
  const killed = new ExitError(processState(7, 9, USAGE, "linux"), { stdout, stderr });
  assertEquals([killed.message, killed.exitCode, killed.signal], ["signal: killed", -1, "SIGKILL"]);
  assertStrictEquals(killed.stdout, stdout);
  assertStrictEquals(killed.stderr, stderr);
});

test("section 1.1: an expired wait delay has Go's text, and may carry output", () => {
  const stdout = new Uint8Array([1]);
  const error = new WaitDelayError({ stdout });
  assertEquals(error.message, "exec: WaitDelay expired before I/O complete");
  assertStrictEquals(error.stdout, stdout);
  assertEquals(["stderr" in error, "stdout" in new WaitDelayError()], [false, false]);
});

test("rule 53: a failed cancel wraps what it threw", () => {
  const cause = new RangeError("no such luck");
  const error = new CancelError(cause);
  assertEquals(error.message, "exec: canceling Cmd: no such luck");
  assertStrictEquals(error.cause, cause);
  assertEquals(new CancelError("word").message, "exec: canceling Cmd: word");
  assertEquals(new CancelError(undefined).message, "exec: canceling Cmd: undefined");
});

test("rules 47 and 70: what is finished or closed says so in Go's words", () => {
  assertEquals(new ProcessDoneError().message, "os: process already finished");
  assertEquals(new ClosedError("read", "|0").message, "read |0: file already closed");
  assertEquals(new StateError("exec: already started").message, "exec: already started");
});

test("contract: every error is an Error that carries its class's name", () => {
  const errors: [Error, name: string][] = [
    [new StateError("x"), "StateError"],
    [new SyscallError({ syscall: "open", errno: 2, os: "linux" }), "SyscallError"],
    [new SpawnError({ path: "x", step: "clone", errno: 11, os: "linux" }), "SpawnError"],
    [new ExecError({ command: "x", code: "ERR_NOT_FOUND" }), "ExecError"],
    [new ExitError(processState(1, 1, USAGE, "linux")), "ExitError"],
    [new WaitDelayError(), "WaitDelayError"],
    [new CancelError(null), "CancelError"],
    [new ProcessDoneError(), "ProcessDoneError"],
    [new ClosedError("read", "x"), "ClosedError"],
  ];
  for (const [error, name] of errors) {
    assertInstanceOf(error, Error);
    assertEquals([error.name, error.constructor.name, `${error}`], [
      name,
      name,
      `${name}: ${error.message}`,
    ]);
  }
});

test("contract: a cause is kept where one is given, and only there", () => {
  const cause = new Error("below");
  const errors = [
    new StateError("x", { cause }),
    new SyscallError({ syscall: "open", errno: 2, os: "linux", cause }),
    new SpawnError({ path: "x", step: "clone", errno: 11, os: "linux", cause }),
    new ExecError({ command: "x", code: "ERR_NOT_FOUND", cause }),
    new ProcessDoneError({ cause }),
  ];
  for (const error of errors) assertStrictEquals(error.cause, cause, error.name);
  const bare = new SpawnError({ path: "x", step: "clone", errno: 11, os: "linux" });
  assertEquals("cause" in bare, false);
});
