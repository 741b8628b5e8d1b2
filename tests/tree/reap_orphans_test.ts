/** `reapOrphans`: it reaps what nobody waits for, and takes no status from anybody. */

import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Command, reapOrphans, StateError } from "../../mod.ts";
import { Directory, isNode, isRoot, runScript, runtime, writeScript, wrong } from "../helper.ts";
import { needsPidfdOpen } from "../refused.ts";

/** What makes a program the first process of a pid namespace, with a /proc of its own. */
const first = ["unshare", ...isRoot ? [] : ["--user", "--map-root-user"], "--pid", "--fork"]
  .concat("--mount-proc", "--kill-child");

const needsNamespace: string | false = ((): string | false => {
  try {
    const [program = "", ...flags] = first;
    new Command(program, [...flags, "true"]).runSync();
    return false;
  } catch (error) {
    return `needs a pid namespace: ${error}`;
  }
})();

/** In a process of its own, which must print what is expected. */
async function prints(
  source: string,
  expected: string,
  wrapper: readonly string[] = [],
): Promise<void> {
  const { code, stdout, stderr } = await runScript(source, { runtime: [...wrapper, ...runtime] });
  assertEquals([code, stdout.trim(), code === 0 ? "" : stderr], [0, expected, ""]);
}

/** The names of the children that are zombies. */
const zombies = `
import fs from "node:fs";
import process from "node:process";
function zombies() {
  const path = "/proc/self/task/" + process.pid + "/children";
  return fs.readFileSync(path, "utf8").trim().split(" ").filter((pid) => {
    try {
      return pid !== "" && fs.readFileSync("/proc/" + pid + "/stat", "utf8").includes(") Z ");
    } catch {
      return false;
    }
  }).length;
}
async function until(condition) {
  for (const end = Date.now() + 40_000; !condition();) {
    if (Date.now() > end) throw new Error("in vain waited until " + condition);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
const leave = (count, code) =>
  new osexec.Command("sh", ["-c", "i=0; while [ $i -lt " + count + " ]; do (sh -c 'exit " + code + "' &); i=$((i+1)); done"]);
`;

/** Every way to start a child that a program of this runtime has, each with a status of its own to expect. */
const everybody = `
import { exec, spawn, spawnSync } from "node:child_process";
let before = "";
const sh = (code) => ["-c", before + "exit " + code];
const ways = {
  child_process: (code) => new Promise((resolve) => spawn("sh", sh(code)).on("exit", resolve)),
  exec: (code) => new Promise((resolve) => exec(before + "exit " + code, (error) => resolve(error?.code ?? 0))),
  spawnSync: (code) => spawnSync("sh", sh(code)).status,
  osexec: (code) => osexec.startProcess("/bin/sh", ["sh", ...sh(code)]).wait().then((state) => state.exitCode),
  run: (code) => new osexec.Command("sh", sh(code)).run().then((state) => 0, (error) => error.exitCode),
  runSync: (code) => {
    try {
      return new osexec.Command("sh", sh(code)).runSync().exitCode;
    } catch (error) {
      return error.exitCode;
    }
  },
  ...("Deno" in globalThis
    ? {
      deno: (code) => new Deno.Command("sh", { args: sh(code) }).output().then((output) => output.code),
      denoSync: (code) => new Deno.Command("sh", { args: sh(code) }).outputSync().code,
    }
    : "Bun" in globalThis
    ? {
      bun: (code) => Bun.spawn(["sh", ...sh(code)]).exited,
      bunSync: (code) => Bun.spawnSync(["sh", ...sh(code)]).exitCode,
    }
    : {}),
};
async function checkAll(round) {
  const all = Object.entries(ways).map(async ([name, way], index) => {
    const code = 1 + (7 * round + index) % 250;
    const status = await way(code);
    if (status !== code) throw new Error(name + " had " + status + " in place of " + code);
  });
  await Promise.all(all);
}
`;

test("issue 18, 5: 260 orphans of process 1 are reaped, and nobody loses a status meanwhile", {
  skip: needsPidfdOpen || needsNamespace,
}, async () => {
  await prints(
    `${zombies}${everybody}
    const reaped = [];
    const reaper = osexec.reapOrphans({ onOrphan: (pid, status) => reaped.push(status) });
    if (process.pid !== 1) throw new Error("not the first process");
    await leave(260, 3).run();
    for (let round = 0; reaped.length < 260; round++) {
      if (round > 5000) throw new Error("only " + reaped.length);
      await checkAll(round);
    }
    await until(() => zombies() === 0);
    reaper[Symbol.dispose]();
    console.log(reaped.length, reaped.every((status) => status === 3 << 8));`,
    "260 true",
    first,
  );
});

test("issue 18, 5: without it they stay", { skip: needsPidfdOpen || needsNamespace }, async () => {
  await prints(
    `${zombies} await leave(260, 3).run(); await until(() => zombies() === 260); console.log("all");`,
    "all",
    first,
  );
});

/** Ends children while this thread stands still, for longer than it takes to reap an orphan, and then waits for them. */
const waitsLate = `
      before = "sleep 0.4; ";
      const held = osexec.startProcess("/bin/sh", ["sh", ...sh(77)]);
      const slow = Object.entries(ways).filter(([name]) => !name.endsWith("Sync")).map(async ([name, way], index) => {
        const status = await way(100 + index);
        if (status !== 100 + index) throw new Error(name + " had " + status);
      });
      await leave(5, 3).run();
      // Four looks and more, of which this thread sees nothing.
      new osexec.Command("sleep", ["2.5"]).runSync();
      await Promise.all(slow);
      await until(() => reaped === 5);
      console.log((await held.wait()).exitCode, reaped);
      process.exit(0);`;

test("issue 18, 5: what has ended long ago and is waited for late keeps its status", {
  skip: needsPidfdOpen,
}, async () => {
  await prints(
    `${zombies}${everybody}
      let reaped = 0;
      osexec.reapOrphans({ onOrphan: () => reaped++ });
      ${waitsLate}`,
    "77 5",
  );
});

/** A Worker reaps, which looks on while the first thread stands still. */
const inWorker = `${zombies}${everybody}
    import { isMainThread, parentPort, Worker } from "node:worker_threads";
    import { fileURLToPath } from "node:url";
    if (isMainThread) {
      const worker = new Worker(fileURLToPath(import.meta.url));
      let reaped = 0;
      await new Promise((resolve, reject) => worker.on("error", reject).on("message", (message) => {
        if (message === "begun") resolve();
        else reaped++;
      }));
      ${waitsLate}
    } else {
      osexec.reapOrphans({ onOrphan: (pid) => parentPort.postMessage(pid) });
      parentPort.postMessage("begun");
      setInterval(() => {}, 1000);
    }`;

test("issue 18, 5: ... while a Worker reaps", { skip: needsPidfdOpen || isNode }, async () => {
  await prints(inWorker, "77 5");
});

test("issue 18, 5: a Worker of Node's is refused it: whose a zombie is it could not tell", {
  skip: needsPidfdOpen || !isNode,
}, async () => {
  const { code, stderr } = await runScript(inWorker);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "StateError]: os: a Worker of Node's cannot tell orphans");
});

test("issue 18, 5: orphans are this process's children for as long as it reaps", {
  skip: needsPidfdOpen,
}, async () => {
  await prints(
    `${zombies}
    const reaped = [];
    {
      using reaper = osexec.reapOrphans({ onOrphan: (pid, status) => reaped.push([pid, status]) });
      await leave(20, 5).run();
      await until(() => reaped.length === 20);
    }
    await leave(20, 5).run();
    await new Promise((resolve) => setTimeout(resolve, 100));
    console.log(zombies(), new Set(reaped.map(([pid]) => pid)).size, reaped[0][1] >> 8);`,
    "0 20 5",
  );
});

test("issue 18, 5: it does not keep the event loop alive, and what a callback throws is uncaught", {
  skip: needsPidfdOpen,
}, async () => {
  await prints(`osexec.reapOrphans(); console.log("done");`, "done");
  const { code, stderr } = await runScript(`
    osexec.reapOrphans({ onOrphan: () => { throw new Error("of the callback"); } });
    await new osexec.Command("sh", ["-c", "(true &)"]).run();
    setTimeout(() => {}, 20_000);
  `);
  assert(code !== 0 && stderr.includes("of the callback"), stderr);
});

test("issue 18, 5: reapOrphans takes a function, once", { skip: needsPidfdOpen }, () => {
  assertThrows(() => reapOrphans({ onOrphan: wrong(1) }), TypeError, "onOrphan");
  assertThrows(() => reapOrphans(wrong({ onorphan: 1 })), TypeError, "onOrphan");
  assertThrows(() => reapOrphans(wrong(1)), TypeError);
  using _ = reapOrphans();
  assertThrows(() => reapOrphans(), StateError);
});

test("issue 18, 5: where /proc tells nothing of this process it is refused", {
  skip: needsPidfdOpen || needsNamespace,
}, async () => {
  using directory = new Directory();
  const path = writeScript(
    directory,
    `
    try {
      osexec.reapOrphans();
    } catch (error) {
      console.log(error.name);
    }
  `,
  );
  const flags = first.filter((flag) => flag !== "--mount-proc").slice(1);
  const output = await new Command("unshare", [...flags, ...runtime, path], {
    extraEnv: { TMPDIR: process.env.TMPDIR },
  }).text();
  assertEquals(output.trim(), "SyscallError");
});
