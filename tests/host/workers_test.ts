import { readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { assert, assertEquals } from "@std/assert";
import { CLONE_NEWPID, CLONE_NEWUSER, findProcess, type SysProcAttr } from "../../mod.ts";
import { generator, isRoot, runScript } from "../helper.ts";
import type { WorkerReport, WorkerTask } from "../start_worker.ts";
import {
  changesSince,
  descriptors,
  dumpable,
  helperFolder,
  inNamespace,
  needsRoot,
  needsUserNamespaces,
  ownMaps,
  parentState,
  processes,
  run,
  runtimeCommand,
  self,
  startPiped,
  statOf,
  statusFields,
  until,
} from "../system.ts";
import { childPath, needsCall, needsLinuxChild } from "../refused.ts";

/** A Worker at its task, and its report. */
function startWorker(workerData: WorkerTask): { worker: Worker; report: Promise<WorkerReport> } {
  const worker = new Worker(new URL("../start_worker.ts", import.meta.url), { workerData });
  const report = new Promise<WorkerReport>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  return { worker, report };
}

test("contract: eight threads start processes of every kind at once, and nothing is left behind", {
  timeout: 300_000,
}, async () => {
  using folder = helperFolder();
  // A child through libc is a copy of this whole process: fewer show as much there.
  const starts = childPath === "libc" ? 200 : 1000;
  const task = { helper: folder.helper, starts, namespaces: !needsUserNamespaces };
  // What Workers leave in the process comes with the first ones.
  await runWorkers(2, { ...task, starts: 10 });
  run(["exit", "0"]);
  const before = parentState();
  const open = openKinds();
  // Fewer are no matter: what an earlier test has dropped may be collected meanwhile.
  const more = (): string[] =>
    [...openKinds()].filter(([kind, count]) => count > (open.get(kind) ?? 0)).map(([kind]) => kind);
  assertEquals(await runWorkers(8, task), []);
  // The runtimes' own descriptors for a thread come and go under other numbers.
  const changes = (): string[] =>
    changesSince(before).filter((each) => !each.startsWith("descriptor") && !isFewerThreads(each));
  await until("the threads' end", () => more().length === 0 && changes().length === 0)
    .catch((error) => {
      throw new Error(JSON.stringify([more(), changes()]), { cause: error });
    });
  assertEquals(dumpable(), 1);
});

/** Whether a change is that threads of earlier tests have ended, having long had nothing to do. */
function isFewerThreads(change: string): boolean {
  const [, from, to] = change.match(/^threads of the library: (\d+) -> (\d+)$/) ?? [];
  return Number(to) < Number(from);
}

/** What the open descriptors are of, and how many of each there are. */
function openKinds(): Map<string, number> {
  const kinds = new Map<string, number>();
  for (const link of descriptors().values()) {
    const kind = link.replaceAll(/\d+/g, "");
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  return kinds;
}

async function runWorkers(count: number, task: WorkerTask): Promise<string[]> {
  const all = Array.from({ length: count }, () => startWorker(task));
  const reports = await Promise.all(all.map(({ report }) => report));
  await Promise.all(all.map(({ worker }) => worker.terminate()));
  return reports.flatMap(({ surprises }) => surprises);
}

/** It takes one to two minutes: once for each runtime is enough. */
const needsTime = process.env.CI && isRoot ? false : "runs as root with CI=1";

test("F6: after 1,100 Workers that have waited for a child, the next one can wait too", {
  skip: needsTime || needsLinuxChild || needsCall(),
  timeout: 600_000,
}, async () => {
  const { code, stdout, stderr } = await runScript(`
    import fs from "node:fs";
    import process from "node:process";
    import { Worker, isMainThread, parentPort } from "node:worker_threads";
    if (isMainThread) {
      const held = () => [fs.readdirSync("/proc/self/fd").length, fs.readdirSync("/proc/self/task").length];
      const job = async () => {
        const worker = new Worker(new URL(import.meta.url));
        const answer = await new Promise((resolve) => worker.once("message", resolve));
        await worker.terminate();
        if (answer !== "exit status 0") throw new Error(answer);
      };
      let begun = 0;
      const lane = async () => {
        while (begun++ < 1100) await job();
      };
      await Promise.all([job(), job(), job()]);
      const before = held();
      await Promise.all([lane(), lane(), lane()]);
      const deadline = performance.now() + 60_000;
      let after = held();
      while ((after[0] > before[0] || after[1] > before[1]) && performance.now() < deadline) {
        await new Promise((next) => setTimeout(next, 100));
        after = held();
      }
      console.log(JSON.stringify({ before, after }));
      process.exit(after[0] > before[0] || after[1] > before[1] ? 1 : 0);
    } else {
      // Longer than it is asked for: by the reactor.
      const wait = new osexec.Command("sleep", ["0.005"]).run();
      parentPort.postMessage(await wait.then(String, String));
    }`);
  console.log(`descriptors and threads: ${stdout.trim()}`);
  assertEquals([code, stderr], [0, ""]);
});

test(
  "section 1.4, Pdeathsig: a Worker's children die with it if they asked for it, and only then",
  {
    skip: needsLinuxChild,
  },
  async () => {
    using folder = helperFolder();
    const task = { helper: folder.helper, starts: 0, namespaces: false };
    const dying = startWorker({ ...task, hang: { pdeathsig: "SIGKILL" } });
    const staying = startWorker({ ...task, hang: {} });
    const [{ pid: first }, { pid: second }] = await Promise.all([dying.report, staying.report]);
    await Promise.all([dying.worker.terminate(), staying.worker.terminate()]);
    assertEquals((await findProcess(first).wait()).toString(), "signal: killed");
    await using survivor = findProcess(second);
    assert(statOf(survivor.pid)?.state !== "Z");
  },
);

// ---------------------------------------------------------------- the parent is killed

/** In the environment of everything that one of these tests has started. */
function mark(): string {
  return `OSEXEC_TEST_MARK=${process.pid}-${Math.random()}`;
}

/** The processes with this mark. A zombie has no environment any more. */
function marked(mark: string): number[] {
  return processes().filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(mark);
    } catch {
      return false;
    }
  });
}

/** Runs driver.ts for a while, and kills it. */
async function killDriver(
  mode: "churn" | "scatter",
  cases: readonly { path: string; argv: readonly string[]; sys: SysProcAttr }[],
  mark: string,
  milliseconds: number,
): Promise<void> {
  const argv = runtimeCommand("./driver.ts", [mode, JSON.stringify(cases)]);
  const [name = "", value = ""] = mark.split("=");
  const env = { ...process.env, [name]: value };
  const { child, stdout } = startPiped(argv[0] ?? "", argv, { env });
  const byte = new Uint8Array(1);
  assertEquals(await stdout.read(byte), 1);
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
  child.kill();
  assertEquals((await child.wait()).toString(), "signal: killed");
  stdout.close();
}

/** Waits until there is no process with this mark, and hands out those that there are. */
async function untilGone(mark: string, look: (pid: number) => void): Promise<void> {
  let clear = 0;
  try {
    await until("their end", () => {
      const left = marked(mark);
      for (const pid of left) look(pid);
      // In the middle of its exec a process has no environment for a moment.
      clear = left.length === 0 ? clear + 1 : 0;
      return clear === 3;
    });
  } finally {
    for (const pid of marked(mark)) process.kill(pid, "SIGKILL");
  }
}

const rounds = 15;

test("contract: a parent killed at any time leaves no child that asked to die with it", {
  skip: needsLinuxChild,
  timeout: 300_000,
}, async () => {
  using folder = helperFolder();
  const random = generator(11);
  const pdeathsig = "SIGKILL";
  const credential = self.uid === 0
    ? { uid: 12345, gid: 23456, groups: [7] }
    : { ...self, noSetGroups: true };
  const sys: SysProcAttr[] = [{ pdeathsig }, { pdeathsig, credential }];
  if (!needsUserNamespaces) {
    sys.push({ pdeathsig, cloneflags: CLONE_NEWUSER, ...ownMaps() });
    sys.push({ pdeathsig, ...inNamespace(CLONE_NEWPID), setsid: true });
  }
  const cases = sys.map((each) => ({ path: folder.helper, argv: ["hang"], sys: each }));
  for (let round = 0; round < rounds; round++) {
    const own = mark();
    await killDriver("scatter", cases, own, random(30));
    await untilGone(own, () => {});
  }
});

test("contract: a parent killed at any time leaves no child that is not yet who it was to be", {
  skip: needsRoot,
  timeout: 300_000,
}, async () => {
  using folder = helperFolder();
  const random = generator(12);
  const cases = [{
    path: folder.helper,
    argv: ["hang"],
    sys: { credential: { uid: 12345, gid: 23456, groups: [7] }, setsid: true, umask: 0o77 },
  }];
  let seen = 0;
  for (let round = 0; round < rounds; round++) {
    const own = mark();
    await killDriver("scatter", cases, own, random(30));
    await untilGone(own, (pid) => {
      // On its way to the program it is nobody's to use yet, and must come there.
      if (programOf(pid) !== folder.helper) return;
      const fields = statusFields(readFileSync(`/proc/${pid}/status`, "utf8"));
      process.kill(pid, "SIGKILL");
      assertEquals(fields.get("Uid"), "12345 12345 12345 12345");
      assertEquals(fields.get("Gid"), "23456 23456 23456 23456");
      assertEquals([fields.get("Groups"), fields.get("Umask")], ["7", "0077"]);
      assertEquals(fields.get("CapPrm"), "0".repeat(16));
      seen++;
    });
  }
  assert(seen > 0);
});

function programOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return "";
  }
}
