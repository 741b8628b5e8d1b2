/** "host 19" for issue 14: Deno's own sanitizers find nothing in a program's tests. */

import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Command } from "../../mod.ts";
import { Directory, isDeno, runtime, writeScript } from "../helper.ts";

/** What a program's tests would do. */
const ordinary = `
const { Command, findProcess, lookPath, OSFile, pipe, startProcess } = osexec;
// The library is loaded, and what waits is made, before the first test.
await new Command("true").text();
const tests = {
  run: () => new Command("true").run(),
  text: () => new Command("echo", ["hi"]).text(),
  output: () => new Command("seq", ["100000"]).output(),
  sync: () => new Command("echo", ["hi"]).outputSync(),
  input: () => new Command("cat", [], { input: "x".repeat(300000) }).text(),
  inputSync: () => new Command("cat", [], { input: "x" }).outputSync(),
  lines: async () => { for await (const _ of new Command("seq", ["9"]).lines()); },
  early: async () => { for await (const _ of new Command("yes").lines()) break; },
  dir: () => new Command("pwd", [], { dir: "." }).text(),
  abort: () => new Command("sleep", ["9"], { signal: AbortSignal.timeout(30) }).run().catch(() => {}),
  fail: () => new Command("/nope").run().catch(() => {}),
  start: () => startProcess("/bin/sleep", ["sleep", "0.01"]).wait(),
  find: () => { const it = findProcess(Deno.pid); it.signal(0); it.release(); },
  look: () => lookPath("sh"),
  files: async () => {
    using file = OSFile.open("/etc/passwd");
    for await (const _ of file.lines()) break;
    file.readSync(new Uint8Array(3));
    await new Command("cat", [], { stdin: file }).text();
    using other = await OSFile.openAsync("/etc/passwd");
    await other.read(new Uint8Array(3));
  },
  pipes: async () => {
    const [r, w] = pipe();
    const reading = r.read(new Uint8Array(3));
    await w.write(new Uint8Array(3));
    await reading;
    r.close();
    w.close();
  },
  using: async () => { await using command = new Command("sleep", ["9"]); command.start(); },
};
for (const [name, action] of Object.entries(tests)) {
  Deno.test({ name, sanitizeOps: true, sanitizeResources: true, sanitizeExit: true,
    fn: async () => { await action(); } });
}
`;

test("host 19: Deno's sanitizers find nothing in ordinary tests, once a command has run", {
  skip: !isDeno && "needs Deno",
}, async () => {
  using directory = new Directory();
  const path = writeScript(directory, ordinary);
  const [deno = ""] = runtime;
  const command = new Command(deno, ["test", "--quiet", "--allow-all", "--no-check", path]);
  const output = await command.combinedOutput().catch((error) => error.stdout);
  const text = new TextDecoder().decode(output);
  assert(!/FAILED|Leaks/.test(text), text);
  const passed = /(\d+) passed \| 0 failed/.exec(text);
  assertEquals(passed?.[1], "17", text);
});
