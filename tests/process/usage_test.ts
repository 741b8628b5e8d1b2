/** Issue 18, 8: what a process has used so far. */

import { readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  Command,
  findProcess,
  ProcessDoneError,
  type Rusage,
  startProcess,
  StateError,
} from "../../mod.ts";
import { helper, isRoot, needsRoot, runScript, runtime, sh, type Skip, until } from "../helper.ts";
import { stateOf, withoutLeaks } from "../holdings.ts";
import { needsCall, needsLinuxChild } from "../refused.ts";

const fields = [
  "userTime",
  "systemTime",
  "maxRss",
  "minorFaults",
  "majorFaults",
  "blocksIn",
  "blocksOut",
  "voluntaryContextSwitches",
  "involuntaryContextSwitches",
] as const;

/** For a test in a pid namespace of its own. */
const ownPids: Skip = needsLinuxChild ? { skip: needsLinuxChild } : needsRoot;

function cpu({ userTime, systemTime }: Rusage): number {
  return userTime + systemTime;
}

test("usage() of a child that runs grows, and never beyond what its state has in the end", async () => {
  const busy = sh("while :; do :; done");
  const child = busy.start();
  const first = child.usage();
  assertEquals(Object.keys(first).sort(), [...fields].sort());
  assert(Object.isFrozen(first));
  for (const field of fields) assert(first[field] >= 0, field);
  await until(() => cpu(child.usage()) >= 100);
  const last = child.usage();
  child.kill();
  const state = await child.wait();
  for (const field of ["userTime", "systemTime", "minorFaults", "majorFaults"] as const) {
    // A state's times are exact, and those of one that runs whole ticks, scaled anew each time.
    const tick = field.endsWith("Time") ? 20 : 0;
    assert(last[field] <= state.usage[field] + tick, `${field}: ${last[field]}`);
  }
  assert(cpu(last) >= 100 && cpu(last) <= cpu(state.usage) + 20);
  await assertRejectsWait(busy);
});

/** It was killed. */
async function assertRejectsWait(command: Command): Promise<void> {
  await command.wait().then(() => assert(false), () => {});
}

test("usage() says what /proc says", async () => {
  const child = startProcess(helper, ["helper", "hang"]);
  await until(() => stateOf(child.pid) === "S");
  const usage = child.usage();
  const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
  const peak = Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]);
  const switches = Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)?.[1]);
  const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  const io = readFileSync(`/proc/${child.pid}/io`, "utf8");
  const read = Number(/^read_bytes: (\d+)$/m.exec(io)?.[1]);
  assertEquals([usage.maxRss, usage.voluntaryContextSwitches, usage.minorFaults, usage.blocksIn], [
    peak * 1024,
    switches,
    Number(stat[7]),
    Math.floor(read / 512),
  ]);
  child.kill();
  await child.wait();
});

test("usage() counts the children that have been waited for, in ticks of 10 ms", async () => {
  assertEquals(await new Command("getconf", ["CLK_TCK"]).text(), "100\n");
  const command = sh("(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done); echo; read x");
  const stdin = command.stdinPipe();
  using stdout = command.stdoutPipe();
  const child = command.start();
  await stdout.read(new Uint8Array(1));
  const usage = child.usage();
  assert(usage.userTime > 0 && usage.userTime % 10 === 0, `${usage.userTime}`);
  stdin.close();
  await command.wait().catch(() => {});
});

test("usage() of a child that has ended is exactly its state's, before a wait and after", async () => {
  const child = startProcess("/bin/sh", [
    "sh",
    "-c",
    "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done",
  ]);
  await until(() => stateOf(child.pid) === "Z");
  const before = child.usage();
  const state = await child.wait();
  assertEquals(before, state.usage);
  assert(child.usage() === state.usage);
  child.release();
  assert(child.usage() === state.usage);
});

test("usage() of a foreign process is its own, and of one that is gone ProcessDoneError", async () => {
  const itself = findProcess(process.pid);
  assert(cpu(itself.usage()) > 0 && itself.usage().maxRss > 1_000_000);
  itself.release();
  const error = assertThrows(() => itself.usage(), StateError);
  assertEquals(error.message, "os: process already released");
  const child = startProcess(helper, ["helper", "hang"]);
  const other = findProcess(child.pid);
  await until(() => stateOf(child.pid) === "S");
  assertEquals(other.usage().maxRss, child.usage().maxRss);
  child.kill();
  await child.wait();
  assertThrows(() => other.usage(), ProcessDoneError);
  assertThrows(() => findProcess(child.pid).usage(), ProcessDoneError);
  other.release();
});

test("usage() of a process that may not be traced has no blocks, and all else", {
  skip: isRoot ? "needs an ordinary user" : false,
}, () => {
  const usage = findProcess(1).usage();
  assertEquals([usage.blocksIn, usage.blocksOut], [NaN, NaN]);
  assert(usage.minorFaults > 0);
});

test("usage() leaves nothing open", async () => {
  await withoutLeaks(async () => {
    const child = startProcess(helper, ["helper", "hang"]);
    for (let round = 0; round < 100; round++) child.usage();
    child.kill();
    await child.wait();
  });
});

test("usage() never is another process's that has got the pid since", {
  skip: ownPids.skip ?? needsCall("pidfd_open"),
}, async () => {
  // In a pid namespace of its own, so that no other test gets in between.
  const { code, stdout, stderr } = await runScript(
    `
    import fs from "node:fs";
    let other;
    let again;
    // Another child each time: a new thread of the runtime's may have got the number of one for good.
    for (let attempt = 0; attempt < 1000 && again === undefined; attempt++) {
      const child = osexec.startProcess("/bin/true", ["true"]);
      other = osexec.findProcess(child.pid);
      await child.wait();
      fs.writeFileSync("/proc/sys/kernel/ns_last_pid", String(child.pid - 1));
      const next = osexec.startProcess("/bin/sleep", ["sleep", "1000"]);
      if (next.pid === child.pid) again = next;
      else {
        await next[Symbol.asyncDispose]();
        other.release();
      }
    }
    console.log(again.usage().maxRss > 0);
    try {
      other.usage();
    } catch (error) {
      console.log(error.name);
    }
    await again[Symbol.asyncDispose]();
    `,
    { runtime: ["unshare", "--pid", "--fork", "--mount-proc", ...runtime] },
  );
  assertEquals([code, stdout, stderr], [0, "true\nProcessDoneError\n", ""]);
});

test("usage() is the process's own where /proc numbers it otherwise", ownPids, async () => {
  // This pid namespace still sees the /proc of the one around it, where 2 is a kernel thread without memory.
  const { code, stdout, stderr } = await runScript(
    `
    import fs from "node:fs";
    await using child = osexec.startProcess("/bin/sleep", ["sleep", "1000"]);
    const outer = /^Pid:\\s*(\\d+)$/m.exec(fs.readFileSync("/proc/self/fdinfo/" + child.pidfd, "utf8"))[1];
    const name = fs.readFileSync("/proc/" + outer + "/comm", "utf8");
    console.log(child.pid === Number(outer), name.trim(), child.usage().maxRss > 0);
    `,
    { runtime: ["unshare", "--pid", "--fork", ...runtime] },
  );
  assertEquals([code, stdout, stderr], [0, "false sleep true\n", ""]);
});
