import { test } from "node:test";
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import * as osexec from "../../mod.ts";
import { Command, findProcess, OSFile, pipe, Process, startProcess } from "../../mod.ts";
import type { Checks } from "../contract.ts";
import { helper } from "../helper.ts";

/** The contract of the types is kept where this compiles. */
export type { Checks };

const FUNCTIONS = ["exec", "findProcess", "lookPath", "pipe", "startProcess"];

const NAMESPACES: Readonly<Record<string, number>> = {
  CLONE_NEWTIME: 0x80,
  CLONE_NEWNS: 0x20000,
  CLONE_NEWCGROUP: 0x2000000,
  CLONE_NEWUTS: 0x4000000,
  CLONE_NEWIPC: 0x8000000,
  CLONE_NEWUSER: 0x10000000,
  CLONE_NEWPID: 0x20000000,
  CLONE_NEWNET: 0x40000000,
};

const ERRORS = [
  "CancelError",
  "ClosedError",
  "ExecError",
  "ExitError",
  "ProcessDoneError",
  "SpawnError",
  "StateError",
  "SyscallError",
  "WaitDelayError",
];

const COMMAND_METHODS = [
  "start",
  "wait",
  "run",
  "output",
  "combinedOutput",
  "text",
  "lines",
  "runSync",
  "outputSync",
  "combinedOutputSync",
  "stdinPipe",
  "stdoutPipe",
  "stderrPipe",
  "environ",
  "explain",
  "clone",
  "toString",
];

const PROCESS_METHODS = ["wait", "waitSync", "signal", "kill", "release", "ref", "unref"];

const FILE_METHODS = ["read", "write", "readSync", "writeSync", "lines", "close"];

/** The kind of each export or member. */
function kinds(holder: object, names: readonly (string | symbol)[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of names) found[String(name)] = typeof Reflect.get(holder, name);
  return found;
}

function all(names: readonly (string | symbol)[], kind: string): Record<string, string> {
  return Object.fromEntries(names.map((name) => [String(name), kind]));
}

test("every function of the contract is exported", () => {
  assertEquals(kinds(osexec, FUNCTIONS), all(FUNCTIONS, "function"));
});

test("every constant of the contract is exported, with the kernel's value", () => {
  for (const [name, value] of Object.entries(NAMESPACES)) {
    assertEquals(Reflect.get(osexec, name), value, name);
  }
  assertEquals(osexec.Cap.NET_BIND_SERVICE, 10);
});

test("every class of the contract is exported under its own name", () => {
  for (const name of ["Command", "OSFile", "Process", ...ERRORS]) {
    const exported: unknown = Reflect.get(osexec, name);
    assert(typeof exported === "function", name);
    assertEquals([exported.name, typeof exported.prototype], [name, "object"]);
  }
});

test("every error of the contract is an Error, and a failed spawn a failed system call", () => {
  for (const name of ERRORS) {
    const exported: unknown = Reflect.get(osexec, name);
    assert(typeof exported === "function", name);
    assertInstanceOf(exported.prototype, Error, name);
  }
  assertInstanceOf(osexec.SpawnError.prototype, osexec.SyscallError);
});

test("a Command has every method of the contract", () => {
  const names = [...COMMAND_METHODS, Symbol.asyncDispose];
  assertEquals(kinds(Command.prototype, names), all(names, "function"));
});

test("a Command has every field of the contract, and the optional ones absent at first", () => {
  const command = new Command("/bin/true");
  assertEquals(kinds(command, ["path", "waitDelay"]), { path: "string", waitDelay: "number" });
  assertEquals([command.args, command.extraFiles], [["/bin/true"], []]);
  const optional = ["env", "dir", "stdin", "stdout", "stderr", "sysProcAttr", "signal", "cancel"];
  const absent = [...optional, "err", "process", "processState"];
  assertEquals(kinds(command, absent), all(absent, "undefined"));
});

test("a Command takes every option of the contract into its fields", () => {
  const options = {
    env: { A: "1" },
    dir: "/",
    stdin: "null",
    stdout: "inherit",
    stderr: "stdout",
    extraFiles: [null, 2],
    sysProcAttr: { setsid: true },
    signal: new AbortController().signal,
    cancel: null,
    waitDelay: 5,
  } as const;
  const command = new Command("/bin/true", [], { ...options, extraFiles: [null, 2] });
  for (const [name, value] of Object.entries(options)) {
    assertEquals(Reflect.get(command, name), value, name);
  }
});

test("a Process has every member of the contract", () => {
  const names = [...PROCESS_METHODS, Symbol.asyncDispose];
  assertEquals(kinds(Process.prototype, names), all(names, "function"));
  const child = startProcess(helper, ["helper", "exit", "0"]);
  assertEquals(kinds(child, ["pid"]), { pid: "number" });
  assert(child.pidfd === null || child.pidfd > 2);
  child.waitSync();
  assertInstanceOf(child, Process);
  assertInstanceOf(findProcess(1), Process);
});

test("a ProcessState has every field of the contract", () => {
  const state = new Command(helper, ["exit", "0"]).runSync();
  const numbers = ["pid", "exitCode", "userTime", "systemTime", "status"];
  const flags = ["coreDumped", "exited", "success"];
  assertEquals(kinds(state, numbers), all(numbers, "number"));
  assertEquals(kinds(state, flags), all(flags, "boolean"));
  assertEquals([state.signal, typeof state.usage, typeof state.toString], [
    null,
    "object",
    "function",
  ]);
});

test("an OSFile has every member of the contract", () => {
  const names = [...FILE_METHODS, Symbol.asyncIterator, Symbol.dispose];
  assertEquals(kinds(OSFile.prototype, names), all(names, "function"));
  assertEquals(kinds(OSFile, ["open", "fromFd"]), { open: "function", fromFd: "function" });
  const [reading, writing] = pipe();
  for (const file of [reading, writing]) {
    assert(file instanceof OSFile);
    assertEquals(kinds(file, ["fd", "name", "closed", "readable", "writable"]), {
      fd: "number",
      name: "string",
      closed: "boolean",
      readable: "object",
      writable: "object",
    });
    file.close();
  }
});
