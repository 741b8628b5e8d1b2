import { execFileSync } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Command, ExitError } from "../../mod.ts";
import { decode, Directory, findRuntime, Sink, writeScript } from "../helper.ts";

const bun = findRuntime("bun");

const script = `
  console.log((await new osexec.Command("/bin/echo", ["from", "the", "executable"]).text()).trim());
  for await (const line of new osexec.Command("/bin/sh", ["-c", "echo a; echo b"]).lines()) {
    console.log(line);
  }
  console.log(new osexec.Command("/bin/sh", ["-c", "exit 0"]).runSync().toString());
  try {
    osexec.startProcess("/no/such/program", ["x"]);
  } catch (error) {
    console.log(error instanceof osexec.SpawnError, error.message);
  }
  console.log(JSON.stringify(new osexec.Command("/bin/true").environ()));
`;

test("an executable made by Bun carries the library, and needs nothing around it", {
  ...(bun === undefined ? { skip: "needs bun" } : {}),
  timeout: 120_000,
}, async () => {
  using directory = new Directory();
  using elsewhere = new Directory();
  const built = directory.join("program");
  const args = ["build", "--compile", `--outfile=${built}`, writeScript(directory, script)];
  execFileSync(bun ?? "", args, { stdio: "pipe", cwd: directory.path, env: process.env });
  const program = elsewhere.join("moved");
  // Not a rename, which stays within a file system.
  fs.copyFileSync(built, program);
  fs.rmSync(directory.path, { recursive: true });
  for (const env of [[], ["TMPDIR=/no/such/directory"]]) {
    const stdout = new Sink();
    const stderr = new Sink();
    const command = new Command(program, [], { env, dir: elsewhere.path, stdout, stderr });
    const code = await command.run().then(() => 0, (error) => {
      if (error instanceof ExitError) return error.exitCode;
      throw error;
    });
    assertEquals([code, decode(stderr.bytes())], [0, ""]);
    assertEquals(stdout.text().trimEnd().split("\n"), [
      "from the executable",
      "a",
      "b",
      "exit status 0",
      "true fork/exec /no/such/program: no such file or directory",
      JSON.stringify(env),
    ]);
    // Nothing is left, as nothing was unpacked.
    assertEquals(fs.readdirSync(elsewhere.path), ["moved"]);
  }
});
