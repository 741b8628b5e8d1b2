/** `endWithParent`: what was started ends when the program does, however it ends. */

import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertFalse, assertRejects, assertThrows } from "@std/assert";
import { Command, type CommandOptions, ExitError, SpawnError } from "../../mod.ts";
import { Directory, isRoot, root, runtime, sh, until, writeScript, wrong } from "../helper.ts";
import { needsLinuxChild } from "../refused.ts";

/** Whether it runs: a zombie that nobody has reaped yet does not. */
function runs(pid: number): boolean {
  const path = `/proc/${pid}/stat`;
  return existsSync(path) && !/\) [ZX]/.test(readFileSync(path, "utf8"));
}

/** A program that starts what `start` starts, and says the pids of its children; killed with the block. */
class Program implements AsyncDisposable {
  readonly #directory = new Directory();
  readonly #command: Command;
  readonly #output;

  constructor(source: string, options: CommandOptions = {}) {
    const [program = "", ...flags] = runtime;
    const path = writeScript(this.#directory, source);
    this.#command = new Command(program, [...flags, path], options);
    this.#output = this.#command.stdoutPipe();
    this.#command.start();
  }

  /** The numbers of the next line. */
  async numbers(): Promise<number[]> {
    for await (const line of this.#output.lines()) return line.split(" ").map(Number);
    throw new Error("it says nothing");
  }

  kill(): void {
    this.#command.process?.kill();
  }

  async wait(): Promise<unknown> {
    return await this.#command.wait().catch((error) => error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#command[Symbol.asyncDispose]();
    this.#output.close();
    this.#directory[Symbol.dispose]();
  }
}

const starts = `
const children = [
  new osexec.Command("sleep", ["1000"], { endWithParent: true }),
  new osexec.Command("sleep", ["1000"], { endWithParent: "SIGTERM" }),
  new osexec.Command("sleep", ["1000"], { endWithParent: false }),
].map((command) => command.start().pid);
console.log(children.join(" "));
`;

const endings = {
  "by SIGKILL": "await new Promise(() => setInterval(() => {}, 1000));",
  "by exit": 'import process from "node:process"; setTimeout(() => process.exit(3), 10);',
  "by an uncaught error": 'setTimeout(() => { throw new Error("uncaught"); }, 10);',
  "by itself": "",
};

for (const [how, source] of Object.entries(endings)) {
  test(
    `issue 18, 5: endWithParent: the program is ended ${how}`,
    { skip: needsLinuxChild },
    async () => {
      await using program = new Program(starts + source);
      const [one = 0, other = 0, third = 0] = await program.numbers();
      if (how === "by SIGKILL") {
        assertEquals([one, other, third].map(runs), [true, true, true]);
        program.kill();
      }
      await program.wait();
      await until(() => !runs(one) && !runs(other));
      assert(runs(third));
      process.kill(third, "SIGKILL");
    },
  );
}

const worker = `
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { fileURLToPath } from "node:url";
import process from "node:process";
if (isMainThread) {
  const worker = new Worker(fileURLToPath(import.meta.url));
  const pids = await new Promise((resolve) => worker.once("message", resolve));
  await worker.terminate();
  // The death of its thread would have been told by now, or is told while another child starts and ends.
  for (let run = 0; run < 20; run++) await new osexec.Command("true").run();
  console.log(pids);
  setInterval(() => {}, 1000);
} else {
  const start = (sys) => new osexec.Command("sleep", ["1000"], sys).start().pid;
  const pids = [
    start({ endWithParent: true }),
    start({ endWithParent: true, sysProcAttr: { setsid: true } }),
    start({ sysProcAttr: { pdeathsig: "SIGKILL" } }),
  ];
  parentPort.postMessage(pids.join(" "));
  setInterval(() => {}, 1000);
}
`;

test("issue 18, 5: endWithParent: what a Worker has started outlives it, and not the program", {
  skip: needsLinuxChild,
}, async () => {
  await using program = new Program(worker);
  const [one = 0, other = 0, bound = 0] = await program.numbers();
  assertEquals([runs(one), runs(other)], [true, true]);
  // That is the thread's own.
  await until(() => !runs(bound));
  assertEquals([runs(one), runs(other)], [true, true]);
  program.kill();
  await until(() => !runs(one) && !runs(other));
});

test("issue 18, 5: endWithParent outlives the change of credentials of the start", {
  skip: needsLinuxChild || (isRoot ? false : "needs root"),
}, async () => {
  await using program = new Program(`
    const credential = { uid: 65534, gid: 65534 };
    const sleep = new osexec.Command("sleep", ["1000"], { endWithParent: true, sysProcAttr: { credential } });
    console.log(sleep.start().pid);
    setInterval(() => {}, 1000);
  `);
  const [pid = 0] = await program.numbers();
  assert(runs(pid));
  program.kill();
  await until(() => !runs(pid));
});

test("issue 18, 5: endWithParent: a Worker's child is waited for, and its start may fail", {
  skip: needsLinuxChild,
}, async () => {
  // Under deno test this is no first thread.
  const script = "grep -q . /proc/self/stat; exit 7";
  const error = await assertRejects(() => sh(script, { endWithParent: true }).run(), ExitError);
  assertEquals(error.exitCode, 7);
  assertEquals(await sh("echo yes", { endWithParent: "SIGTERM" }).text(), "yes\n");
  assertEquals(sh("exit 0", { endWithParent: true }).runSync().exitCode, 0);
  const missing = sh("", { endWithParent: true, dir: "/nonexistent" });
  assertEquals((await assertRejects(() => missing.run(), SpawnError)).step, "chdir");
  const many = Array.from({ length: 40 }, () => sh("exit 0", { endWithParent: true }).run());
  for (const state of await Promise.all(many)) assert(state.success);
});

/** Why there is no pid namespace to be had, as on some systems, or false. */
const needsNamespace: string | false = needsLinuxChild || (() => {
  try {
    sh("exit 0", { tree: "namespace" }).runSync();
    return false;
  } catch (error) {
    if (!(error instanceof SpawnError)) throw error;
    return error.message;
  }
})();

test("issue 18, 5: endWithParent with a pid namespace ends all that is in it", {
  skip: needsNamespace,
}, async () => {
  await using program = new Program(`
    const options = { tree: "namespace", endWithParent: true };
    const script = "setsid sleep 1000 & exec sleep 1000";
    console.log(new osexec.Command("sh", ["-c", script], options).start().pid);
    setInterval(() => {}, 1000);
  `);
  const [init = 0] = await program.numbers();
  const inside = (): number[] => {
    const path = `/proc/${init}/task/${init}/children`;
    return existsSync(path) ? readFileSync(path, "utf8").trim().split(" ").map(Number) : [];
  };
  await until(() => inside().length === 1 && runs(inside()[0] ?? 0));
  const [escapee = 0] = inside();
  program.kill();
  await until(() => !runs(init) && !runs(escapee));
});

test("issue 18, 5: endWithParent is a boolean or a signal, and excludes pdeathsig", () => {
  for (const value of [1.5, "SIGNOPE", null, {}, 0]) {
    assertThrows(() => sh("", { endWithParent: wrong(value) }).start(), TypeError, "endWithParent");
  }
  const both = sh("", { endWithParent: true, sysProcAttr: { pdeathsig: "SIGTERM" } });
  assertEquals(assertThrows(() => both.start(), SpawnError).step, "request");
  assert(/^pdeathsig SIGKILL$/m.test(sh("", { endWithParent: true }).explain()));
  assertFalse(/pdeathsig/.test(sh("", { endWithParent: false }).explain()));
});

const byHooks = `
import process from "node:process";
import { endAtExit } from ${JSON.stringify(`${root}/src/tree/end_with_parent.ts`)};
const children = [0, 1].map(() => new osexec.Command("sleep", ["1000"]).start());
for (const child of children) endAtExit(child, "SIGTERM");
const gone = new osexec.Command("true").start();
endAtExit(gone, "SIGTERM");
await gone.wait();
console.log(children.map((child) => child.pid).join(" "));
`;

for (const [how, source] of Object.entries(endings)) {
  if (how === "by SIGKILL" || how === "by itself") continue;
  test(`issue 18, 5: where the kernel tells nobody, children are ended at exit: ${how}`, async () => {
    await using program = new Program(byHooks + source.replace(/import [^;]*;/, ""));
    const [one = 0, other = 0] = await program.numbers();
    await program.wait();
    await until(() => !runs(one) && !runs(other));
  });
}

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  test(`issue 18, 5: where the kernel tells nobody, children are ended by ${signal}`, async () => {
    await using program = new Program(
      `${byHooks} console.log(process.pid); setInterval(() => {}, 1000);`,
    );
    const [one = 0, other = 0] = await program.numbers();
    const [self = 0] = await program.numbers();
    process.kill(self, signal);
    const error = await program.wait();
    assert(error instanceof ExitError);
    assertEquals(error.signal, signal);
    await until(() => !runs(one) && !runs(other));
  });
}
