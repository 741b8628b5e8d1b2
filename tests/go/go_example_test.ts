/** The examples of os/exec's documentation, as one writes them here. */

import { test } from "node:test";
import { dirname } from "node:path";
import process from "node:process";
import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { Command, ExecError, ExitError, lookPath } from "../../mod.ts";
import { encode, readAll, TextWriter } from "../impersonator.ts";

test("ExampleLookPath", () => {
  assertMatch(lookPath("sh"), /^\/.*\/sh$/);
  assertThrows(() => lookPath("no-such-fortune"), ExecError, "executable file not found in $PATH");
});

test("ExampleCommand", async () => {
  const stdout = new TextWriter();
  const command = new Command("tr", ["a-z", "A-Z"], { stdin: "some input", stdout });
  await command.run();
  assertEquals(stdout.text, "SOME INPUT");
});

test("ExampleCommand_environment", async () => {
  const command = new Command("sh", ["-c", "echo $FOO"]);
  command.env = [...command.environ(), "FOO=duplicate_value", "FOO=actual_value"];
  assertEquals(await command.text(), "actual_value\n");
  command.env = { ...process.env, FOO: "of a record" };
  assertEquals(await command.clone().text(), "of a record\n");
});

test("ExampleCmd_Output", async () => {
  assertMatch(await new Command("date", ["+%Y"]).text(), /^\d{4}\n$/);
});

test("ExampleCmd_Run", async () => {
  assertEquals(`${await new Command("sleep", ["0.01"]).run()}`, "exit status 0");
});

test("ExampleCmd_Start", async () => {
  const command = new Command("sleep", ["0.01"]);
  command.start();
  assertEquals(`${await command.wait()}`, "exit status 0");
});

test("ExampleCmd_StdoutPipe", async () => {
  const command = new Command("printf", ["%s", '{"Name": "Bob", "Age": 32}']);
  using stdout = command.stdoutPipe();
  command.start();
  const person: { Name: string; Age: number } = JSON.parse(await readAll(stdout));
  await command.wait();
  assertEquals(`${person.Name} is ${person.Age} years old`, "Bob is 32 years old");
});

test("ExampleCmd_StdinPipe", async () => {
  const text = "values written to stdin are passed to cmd's standard input";
  const command = new Command("cat");
  const stdin = command.stdinPipe();
  const output = command.combinedOutput();
  await stdin.write(encode(text));
  stdin.close();
  assertEquals(new TextDecoder().decode(await output), text);
});

test("ExampleCmd_StderrPipe", async () => {
  const command = new Command("sh", ["-c", "echo stdout; echo 1>&2 stderr"]);
  using stderr = command.stderrPipe();
  command.start();
  assertEquals(await readAll(stderr), "stderr\n");
  await command.wait();
});

test("ExampleCmd_CombinedOutput", async () => {
  const command = new Command("sh", ["-c", "echo stdout; echo 1>&2 stderr"]);
  assertEquals(new TextDecoder().decode(await command.combinedOutput()), "stdout\nstderr\n");
});

test("ExampleCmd_Environ", async () => {
  const command = new Command("pwd", [], { dir: ".." });
  command.env = [...command.environ(), "POSIXLY_CORRECT=1"];
  assertEquals(await command.text(), `${dirname(process.cwd())}\n`);
});

test("ExampleCommandContext", async () => {
  const command = new Command("sleep", ["600"], { signal: AbortSignal.timeout(20) });
  await assertRejects(() => command.run(), ExitError, "signal: killed");
});
