/**
 * "issue 15, shown by": what a start, its copying and a wait take is refused once, one after the other.
 * Whatever comes of it is a success or an error of the contract, leaves neither a child nor a descriptor, and
 * loses no output; and the next start works.
 */

import fs from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Directory, helper, root, runScript, runtime, type ScriptResult } from "../helper.ts";
import { needsCall, needsLinuxChild, needsPidfd } from "../refused.ts";

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
  pty: async () => await new Command("/bin/echo", ["x"], { pty: true }).text(),
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
const right = { run: "exit status 0", text: "x\\n", pty: "x\\r\\n", input: "300000", lines: "a", later: "exit status 0",
  start: "exit status 0", sync: "exit status 0", textSync: "x\\n", inputSync: "300000" };
`;

const common = `
import fs from "node:fs";
import process from "node:process";
${kinds}
// Deno makes what it hears signals by when it needs it first, and ends itself where it cannot.
process.once("SIGUSR2", () => {});
await new Promise((next) => setTimeout(next, 1));
const count = () => fs.readdirSync("/proc/self/fd").length;
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
  console.log(`issue 15: ${JSON.stringify(tally)} of ${10 * 13} runs`);
});

// ---------------------------------------------------------------- one call after the other

/** The calls of the parent's side that make something or take memory, by their numbers. */
const calls: Readonly<Record<string, readonly [x64: number, arm64: number]>> = {
  clone: [56, 220],
  clone3: [435, 435],
  epoll_create1: [291, 20],
  epoll_ctl: [233, 21],
  fcntl: [72, 25],
  memfd_create: [319, 279],
  mmap: [9, 222],
  openat: [257, 56],
  pidfd_open: [434, 434],
  pipe2: [293, 59],
  socketpair: [53, 199],
};

const F_DUPFD_CLOEXEC = 1030;
const errnos = { EMFILE: 24, ENFILE: 23, ENOMEM: 12, EAGAIN: 11 };

/** What came of it, by the call, the errno, and the outcomes that were seen. */
type Table = Record<string, Record<string, Record<string, true>>>;

/** What the scripts share that make calls fail by zig/tools/injector.zig. */
const injected = (control: string): string => `
${common}
const errnos = ${JSON.stringify(errnos)};
const codes = Object.keys(errnos);
const control = fs.openSync(${JSON.stringify(control)}, "r+");
/** The call "target" of this process's that comes from these addresses fails from now on. */
function arm(target, code, [begin, end]) {
  const view = new DataView(new ArrayBuffer(40));
  view.setBigUint64(0, begin, true);
  view.setBigUint64(8, end, true);
  [target, errnos[code] ?? 0, process.pid, 0, -1].forEach((word, at) => view.setInt32(16 + 4 * at, word, true));
  fs.writeSync(control, new Uint8Array(view.buffer), 0, 40, 0);
}
/** Which call it was; -1: there were not so many. */
function disarm() {
  const view = new DataView(new ArrayBuffer(40));
  fs.readSync(control, new Uint8Array(view.buffer), 0, 40, 0);
  arm(-1, "", [0n, 0n]);
  return view.getInt32(32, true);
}
/** Where the library's code lies. */
function code() {
  const line = fs.readFileSync("/proc/self/maps", "utf8").split("\\n")
    .find((line) => line.includes("r-xp") && /memfd:osexec|libosexec/.test(line));
  return line.split(" ")[0].split("-").map((word) => BigInt("0x" + word));
}
const everywhere = [0n, (1n << 63n) - 1n];
const faults = [];
const table = {};
/** One run in which a call fails; false if there were not so many. */
async function once(name, target, code, range) {
  arm(target, code, range);
  let outcome;
  try {
    const answer = await kinds[name]();
    outcome = answer === right[name] ? "succeeds" : "WRONG " + answer;
  } catch (error) {
    outcome = told(error);
  }
  const number = disarm();
  const where = name + ", call " + target + " (number " + number + ") " + code + ": ";
  if (number < 0) {
    if (outcome !== "succeeds") faults.push(where + outcome);
    return false;
  }
  if (outcome !== "succeeds" && outcome !== code) faults.push(where + outcome);
  if (children() !== "") faults.push(where + "a child is left, " + children());
  const after = await kinds[name]();
  if (after !== right[name]) faults.push(where + "after it " + after);
  ((table[number] ??= {})[code] ??= {})[outcome] = true;
  return true;
}
`;

/** Runs a script under it, of calls by these rules. */
async function inject(source: string, rules: readonly string[]): Promise<ScriptResult> {
  using directory = new Directory();
  const control = directory.file("control", new Uint8Array(4096));
  return await runScript(injected(control) + source, {
    runtime: [helper, "inject", control, ...rules, "--", ...runtime],
  });
}

/** All but the loader's memfd, which libc makes, and what libc does for a thread. */
const ours = Object.keys(calls).filter((name) => name !== "memfd_create")
  .map((name) => name === "fcntl" ? `fcntl:1=${F_DUPFD_CLOEXEC}` : name);

/** Adds what a script has seen, and answers whether anything failed in it. */
function take({ code, stdout, stderr }: ScriptResult, into: Table): boolean {
  assertEquals([code, stderr], [0, ""]);
  const { faults, table, more } = JSON.parse(stdout);
  assertEquals(faults, []);
  for (const [number, row] of Object.entries<Table[string]>(table)) {
    const name = Object.keys(calls).find((name) =>
      calls[name]?.[process.arch === "arm64" ? 1 : 0] === Number(number)
    ) ?? number;
    for (const [errno, outcomes] of Object.entries(row)) {
      Object.assign((into[name] ??= {})[errno] ??= {}, outcomes);
    }
  }
  return more;
}

/** The table as the documentation has it. */
function told(table: Table): string[] {
  return Object.keys(table).sort().map((name) =>
    [
      name,
      ...Object.keys(errnos).map((errno) =>
        Object.keys(table[name]?.[errno] ?? {}).sort().reverse().join(" or ")
      ),
    ].join(" | ")
  );
}

/** The rows of docs/ARCHITECTURE.md under a heading. */
function rows(heading: string): string[] {
  const text = fs.readFileSync(`${root}/docs/ARCHITECTURE.md`, "utf8");
  const [, section = ""] = text.split(`\n${heading}\n`);
  const [table = ""] = section.split("\n## ");
  return table.split("\n").filter((line) => line.startsWith("| `"))
    .map((line) =>
      line.replaceAll("`", "").split("|").slice(1, -1).map((cell) => cell.trim())
        .slice(0, 1 + Object.keys(errnos).length).join(" | ")
    );
}

test("issue 15: each call that makes something fails once in each kind of run, by each errno", {
  skip: needsLinuxChild || needsCall(),
}, async () => {
  const table: Table = {};
  take(
    await inject(
      `
      for (const kind of Object.values(kinds)) await kind();
      const range = code();
      const before = count();
      for (const name of Object.keys(kinds)) for (const code of codes) {
        let target = 0;
        while (await once(name, target, code, range)) target++;
      }
      for (const kind of Object.values(kinds)) await kind();
      if (count() > before) faults.push("descriptors: " + before + " to " + count());
      console.log(JSON.stringify({ faults, table }));
      process.exit(0);`,
      ours,
    ),
    table,
  );
  // What is made once in a process: each time in a new one.
  const first = async (errno: string, isLoading: boolean): Promise<void> => {
    for (let target = 0, more = true; more; target++) {
      const result = await inject(
        isLoading
          ? `const more = await once("run", ${target}, "${errno}", everywhere);
            console.log(JSON.stringify({ faults, table, more }));
            process.exit(0);`
          : `// What loads the library, and starts nothing.
            for (const end of osexec.pipe()) end.close();
            const more = await once("later", ${target}, "${errno}", code());
            console.log(JSON.stringify({ faults, table, more }));
            process.exit(0);`,
        isLoading ? ["memfd_create"] : ours,
      );
      more = take(result, table);
    }
  };
  await Promise.all(Object.keys(errnos).map((errno) => first(errno, false)));
  await Promise.all(Object.keys(errnos).map((errno) => first(errno, true)));
  assertEquals(told(table), rows("## What one failing call does"));
});

test("issue 15, 14: one EPERM of a clone3 is this start's alone, and not what the kernel has", {
  skip: needsLinuxChild || needsCall(),
}, async () => {
  const { code, stdout, stderr } = await inject(
    `
    const { start } = await import(${JSON.stringify(`${root}/ffi/request.ts`)});
    const { planStart } = await import(${JSON.stringify(`${root}/src/start/plan.ts`)});
    errnos.EPERM = 1;
    const rungs = () => {
      const { pid, pidfd, rungs } = start(planStart("/bin/true", ["true"], {}));
      new osexec.Process(pid, pidfd).waitSync();
      return rungs;
    };
    const before = rungs();
    arm(0, "EPERM", code());
    const during = rungs();
    console.log(JSON.stringify([before, during !== before, disarm(), rungs()]));
    process.exit(0);`,
    ["clone3"],
  );
  const [clone3] = calls.clone3 ?? [];
  assertEquals([code, JSON.parse(stdout), stderr], [0, [0, true, clone3, 0], ""]);
});
