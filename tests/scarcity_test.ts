/**
 * "issue 15, shown by": each descriptor that a start, its copying and a wait take is refused once, one after the
 * other: with so many left, the call after the last of them has EMFILE. Whatever comes of it is a success or an error of the contract, leaves neither a child nor a descriptor, and loses no output; and the
 * next start works.
 */

import fs from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { root, runScript, runtime } from "./helper.ts";
import { needsLinuxChild, needsPidfd } from "./refused.ts";

/** The table of docs/ARCHITECTURE.md. */
function documented(): Record<string, number> {
  const text = fs.readFileSync(`${root}/docs/ARCHITECTURE.md`, "utf8");
  const table = text.slice(text.indexOf("## What a run takes"));
  const rows = table.matchAll(/^\| `(\w+)` +\|[^|]*\| +(\d+) +\|$/gm);
  return Object.fromEntries(Array.from(rows, ([, name = "", count]) => [name, Number(count)]));
}

/** Kinds of runs, what each answers where nothing is refused, and how it is told. */
const kinds = `
const { Command, OSFile, startProcess, SyscallError, SpawnError } = osexec;
const big = "y".repeat(300_000);
const kinds = {
  run: async () => String(await new Command("/bin/true").run()),
  text: async () => await new Command("/bin/echo", ["x"]).text(),
  input: async () => String((await new Command("/bin/cat", [], { input: big }).text()).length),
  lines: async () => {
    const lines = [];
    for await (const line of new Command("/bin/echo", ["a"]).lines()) lines.push(line);
    return lines.join();
  },
  later: async () => String(await new Command("/bin/sleep", ["0.03"]).run()),
  start: async () => String(await startProcess("/bin/true", ["true"], { files: [null, null, null] }).wait()),
  sync: async () => String(new Command("/bin/true").runSync()),
  textSync: async () => new TextDecoder().decode(new Command("/bin/echo", ["x"]).outputSync()),
  inputSync: async () => String(new Command("/bin/cat", [], { input: big }).outputSync().length),
};
const right = { run: "exit status 0", text: "x\\n", input: "300000", lines: "a", later: "exit status 0",
  start: "exit status 0", sync: "exit status 0", textSync: "x\\n", inputSync: "300000" };
`;

const common = `
import fs from "node:fs";
import process from "node:process";
${kinds}
const children = () => fs.readFileSync("/proc/self/task/" + process.pid + "/children", "utf8").trim();
const told = (error) => {
  const typed = error instanceof SyscallError || error instanceof SpawnError;
  return typed && codes.includes(error.code) ? error.code : "WRONG " + error;
};
`;

test("issue 15: with each number of descriptors left a run succeeds, or fails by name and leaves nothing", async () => {
  const { code, stdout, stderr } = await runScript(
    `${common}
    const codes = ["EMFILE"];
    // Deno makes what it hears signals by when it needs it first, and ends itself where it cannot.
    process.once("SIGUSR2", () => {});
    await new Promise((next) => setTimeout(next, 1));
    const count = () => fs.readdirSync("/proc/self/fd").length;
    // What the library keeps comes with the first of all; what an awaited run keeps is to be refused too.
    new Command("/bin/true").runSync();
    const tally = {};
    const needs = { sync: 0 };
    const faults = [];
    for (const [name, kind] of Object.entries(kinds)) {
      for (let left = 0; left <= 12; left++) {
        const held = [];
        try {
          for (;;) held.push(OSFile.open("/etc/passwd"));
        } catch { /* That was the last one. */ }
        for (let index = 0; index < left; index++) held.pop()?.close();
        let outcome;
        try {
          const answer = await kind();
          outcome = answer === right[name] ? "ok" : "WRONG " + answer;
        } catch (error) {
          outcome = told(error);
        }
        for (const file of held) file.close();
        tally[outcome] = (tally[outcome] ?? 0) + 1;
        if (outcome !== "ok") needs[name] = left + 1;
        if (outcome.startsWith("WRONG")) faults.push(name + " with " + left + ": " + outcome);
        if (children() !== "") faults.push(name + " with " + left + ": a child is left, " + children());
        const after = await kind();
        if (after !== right[name]) faults.push(name + " with " + left + ", after: " + after);
      }
    }
    const before = count();
    for (const kind of Object.values(kinds)) await kind();
    if (count() > before) faults.push("descriptors: " + before + " to " + count());
    console.log(JSON.stringify({ tally, faults, needs }));
    process.exit(0);`,
    { runtime: ["/bin/sh", "-c", 'ulimit -n 128; exec "$@"', "sh", ...runtime] },
  );
  assertEquals([code, stderr], [0, ""]);
  const { tally, faults, needs } = JSON.parse(stdout);
  assertEquals(faults, []);
  assert(tally.ok > 0 && tally.EMFILE > 0, stdout);
  // The table of the documentation is of a kernel that refuses nothing.
  if (needsLinuxChild === false && needsPidfd === false) assertEquals(needs, documented());
  console.log(`issue 15: ${JSON.stringify(tally)} of ${9 * 13} runs`);
});
