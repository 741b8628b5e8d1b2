/** OSEXEC_DEBUG=1: its lines, and what it says of commands that do not end, by programs of their own. */

import process from "node:process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { Command } from "../../mod.ts";
import {
  Directory,
  environmentWith,
  isDeno,
  runScript,
  runtime,
  type ScriptOptions,
  writeScript,
} from "../helper.ts";

const debugging: ScriptOptions = { env: environmentWith({ OSEXEC_DEBUG: "1" }) };

/** Its lines, without what differs each time. */
function lines(stderr: string): string[] {
  return stderr.trimEnd().split("\n").map((line) =>
    line.replace(/pid \d+/, "pid N").replace(/after \d+ ms/g, "after T ms")
      .replace(/\(fd \d+ here\)/, "(fd N here)").replace(/reading fd \d+/, "reading fd N")
  );
}

/** Runs a script that does not end until it has told what a command waits for. Answers that, and ends the script. */
async function hang(source: string): Promise<string> {
  using directory = new Directory();
  const [program = "", ...flags] = runtime;
  const script = new Command(program, [...flags, writeScript(directory, source)], {
    ...debugging,
    // The line is long there by then.
    timeout: 50_000,
  });
  const errors = script.stderrPipe();
  script.start();
  const waiting = script.wait().catch(() => {});
  let told = "it told nothing";
  for await (const line of errors.lines()) {
    if (line.endsWith(": started")) continue;
    told = lines(line).join();
    break;
  }
  errors.close();
  await script[Symbol.asyncDispose]();
  await waiting;
  return told;
}

/** What newcomers write, and what it says of it. */
const hangs: readonly (readonly [source: string, told: string])[] = [
  [
    // The pipe is read, start() forgotten.
    `const yes = new osexec.Command("yes", [], { label: "yes" });
     for await (const chunk of yes.stdoutPipe()) console.log(chunk.length);`,
    "osexec: yes: after 5 s: never started: start() or run() does that",
  ],
  [
    // The writing end of a pipe is not closed: of one that is read here,
    `const [reading, writing] = osexec.pipe();
     const echo = new osexec.Command("echo", ["x"], { label: "echo", stdout: writing });
     echo.start();
     for await (const line of reading.lines()) console.log(line);
     await echo.wait();`,
    "osexec: echo (pid N): after 5 s: has ended, but nobody waits for it: wait() does that; the writing end of its " +
    "stdout's pipe was never closed (fd N here), so reading fd N does not end",
  ],
  [
    // as its descriptor 3,
    `const [reading, writing] = osexec.pipe();
     const sleep = new osexec.Command("sleep", ["30"], { label: "sleep", extraFiles: [writing] });
     sleep.start();
     sleep.wait();
     for await (const line of reading.lines()) console.log(line);`,
    "osexec: sleep (pid N): after 5 s: the writing end of its fd 3's pipe was never closed (fd N here), so reading " +
    "fd N does not end",
  ],
  [
    // and of one that the child reads.
    `const [reading, writing] = osexec.pipe();
     const cat = new osexec.Command("cat", [], { label: "cat", stdin: reading });
     cat.start();
     reading.close();
     await writing.write(new Uint8Array(3));
     await cat.wait();`,
    "osexec: cat (pid N): after 5 s: its stdin was never closed (fd N here)",
  ],
  [
    // stdinPipe() is not closed before wait().
    `const cat = new osexec.Command("cat", [], { label: "cat" });
     await cat.stdinPipe().write(new Uint8Array(3)).catch(() => {});
     cat.start();
     await cat.wait();`,
    "osexec: cat (pid N): after 5 s: its stdin was never closed (fd N here)",
  ],
  [
    // stdout is never read.
    `const yes = new osexec.Command("yes", [], { label: "yes" });
     yes.stdoutPipe();
     yes.start();
     await yes.wait();`,
    "osexec: yes (pid N): after 5 s: its stdout is full and nobody reads (fd N here)",
  ],
  [
    // Only slow: nothing is made up.
    `await new osexec.Command("sleep", ["30"], { label: "sleep" }).text();`,
    "osexec: sleep (pid N): after 5 s: still runs",
  ],
  [
    // It has ended; what it has started has not.
    `await new osexec.Command("sh", ["-c", "sleep 30 &"], { label: "sh" }).output();`,
    "osexec: sh (pid N): after 5 s: has ended, but its output is still held open",
  ],
];

test("issue 20, 11: each silent hang has its line", async () => {
  const told = await Promise.all(hangs.map(([source]) => hang(source)));
  assertEquals(told, hangs.map(([, line]) => line));
});

test("issue 20, 10: a line at each start and end, with status and time", async () => {
  const { code, stdout, stderr } = await runScript(
    `
    const { Command } = osexec;
    await new Command("true", ["a b", "%s %d\\n"]).run();
    try { new Command("sh", ["-c", "exit 3"], { label: "secret" }).runSync(); } catch {}
    await new Command("/nonexistent/program").run().catch(() => {});
    try { new Command("/nonexistent/program").start(); } catch {}
    await new Command("sleep", ["60"], { label: "sleep", timeout: 20 }).run().catch(() => {});
    const sink = { write() { throw new Error("full"); } };
    await new Command("echo", ["x"], { label: "echo", stdout: sink }).run().catch(() => {});
  `,
    debugging,
  );
  assertEquals([code, stdout], [0, ""]);
  const gone = "fork/exec /nonexistent/program: no such file or directory";
  const paths = lines(stderr).map((line) => line.replace(/\S+\/true/, "true"));
  assertEquals(paths, [
    "osexec: true 'a b' $'%s %d\\n' (pid N): started",
    "osexec: true 'a b' $'%s %d\\n' (pid N): exit status 0 after T ms",
    "osexec: secret (pid N): started",
    "osexec: secret (pid N): exit status 3 after T ms",
    // A start that is deferred has a process, as long as nobody has looked.
    ...paths.includes("osexec: /nonexistent/program (pid N): started")
      ? ["osexec: /nonexistent/program (pid N): started"]
      : [],
    `osexec: /nonexistent/program: failed: ${gone}`,
    `osexec: /nonexistent/program: failed: ${gone}`,
    "osexec: sleep (pid N): started",
    "osexec: sleep (pid N): aborted: TimeoutError: sleep: timed out after T ms",
    "osexec: sleep (pid N): signal: killed after T ms: TimeoutError: sleep: timed out after T ms",
    "osexec: echo (pid N): started",
    "osexec: echo (pid N): exit status 0 after T ms: full",
  ]);
});

/** Ways in which a program ends. */
const ends: Readonly<Record<string, string>> = {
  "by itself": "sleep.process.unref();",
  "by process.exit()": "(await import('node:process')).default.exit(0);",
  ...isDeno ? { "by Deno.exit()": "Deno.exit(0);" } : {},
};

for (const [name, end] of Object.entries(ends)) {
  test(`issue 20, 10: a program that ends ${name} tells what has not ended`, async () => {
    const { stdout, stderr } = await runScript(
      `
      const sleep = new osexec.Command("sleep", ["1"], { label: "sleep" });
      sleep.start();
      const unstarted = new osexec.Command("cat", [], { label: "cat" });
      unstarted.stdinPipe();
      ${end}
    `,
      debugging,
    );
    assertEquals(stdout, "");
    const told = lines(stderr).filter((line) => line.startsWith("osexec: ")).slice(1);
    assertEquals(told.toSorted(), [
      "osexec: cat: at exit: never started: start() or run() does that",
      "osexec: sleep (pid N): at exit: still runs",
    ]);
  });
}

test("issue 20, 10: stages of a pipeline that was given up are not told of as never started", async () => {
  const { stdout, stderr } = await runScript(
    `
    const { Command, pipeline } = osexec;
    const sleep = new Command("/bin/sleep", ["60"]);
    const stages = [sleep, new Command("/nonexistent/program"), new Command("/bin/cat")];
    await pipeline(...stages).run().catch(() => {});
  `,
    debugging,
  );
  assertEquals(stdout, "");
  assertEquals(lines(stderr), [
    "osexec: /bin/sleep 60 (pid N): started",
    "osexec: /nonexistent/program: failed: fork/exec /nonexistent/program: no such file or directory",
    "osexec: /bin/sleep 60 (pid N): signal: killed after T ms",
  ]);
});

test("issue 20, 10: nothing is told where nobody has asked, or may", async () => {
  const source = `
    await new osexec.Command("/bin/true").run();
    const cat = new osexec.Command("/bin/cat");
    cat.stdinPipe();
    cat.start();
    cat.process.unref();
    console.log("done");
  `;
  for (const value of [undefined, "", "0"]) {
    const result = await runScript(source, { env: environmentWith({ OSEXEC_DEBUG: value }) });
    assertEquals(result, { code: 0, stdout: "done\n", stderr: "" });
  }
  if (!isDeno) return;
  // Denied, and not asked for: a prompt would be on stderr.
  const program = [process.execPath, "run", "--quiet", "--allow-ffi", "--allow-env=OSEXEC_LIBRARY"];
  const result = await runScript(source, { ...debugging, runtime: program });
  assertEquals(result, { code: 0, stdout: "done\n", stderr: "" });
});

test("issue 20, 10: on Deno it is told with --allow-ffi and that variable alone", {
  skip: isDeno ? false : "needs Deno",
}, async () => {
  const variables = "--allow-env=OSEXEC_LIBRARY,OSEXEC_DEBUG";
  const { code, stderr } = await runScript(
    `const cat = new osexec.Command("/bin/cat", [], { label: "cat" });
     cat.stdinPipe();
     cat.start().unref();`,
    { ...debugging, runtime: [process.execPath, "run", "--quiet", "--allow-ffi", variables] },
  );
  assertEquals(code, 0);
  assertEquals(lines(stderr), [
    "osexec: cat (pid N): started",
    "osexec: cat (pid N): at exit: its stdin was never closed (fd N here)",
  ]);
});
