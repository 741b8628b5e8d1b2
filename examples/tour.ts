/**
 * A tour of osexec, on programs that every Linux has:
 *
 *     npx --yes bun@1.4.5 examples/tour.ts
 *     deno run -A examples/tour.ts
 *     node examples/tour.ts
 *
 * It needs no privileges; as root it shows more. It changes nothing and ends by itself.
 */

import process from "node:process";
import { Command, ExitError, OSFile, type ProcessState, SpawnError } from "../mod.ts";

/** What the closing table says of one process. */
interface Cost {
  readonly name: string;
  readonly command: Command;
  /** Milliseconds from before the start until after the reaping. */
  wall: number;
}

const costs: Cost[] = [];

/** Runs something that starts and waits for a command, and notes how long that took. */
async function timed<T>(
  command: Command,
  action: () => Promise<T>,
  name = command.args[0] ?? command.path,
): Promise<T> {
  const cost: Cost = { name, command, wall: 0 };
  costs.push(cost);
  const begin = performance.now();
  try {
    return await action();
  } finally {
    cost.wall = performance.now() - begin;
  }
}

function heading(text: string): void {
  console.log(`\n${text}\n${"-".repeat(text.length)}`);
}

/** Five programs, each reading what the one before writes. No byte passes through JavaScript between them. */
async function pipeline(): Promise<void> {
  heading("1. A pipeline: the longest files of /etc, in lines");
  const find = new Command("find", ["/etc", "-type", "f", "-perm", "-o=r", "-print0"]);
  const count = new Command("xargs", ["-0", "wc", "-l"]);
  const files = new Command("grep", ["-v", " total$"]);
  const sort = new Command("sort", ["-n"]);
  const tail = new Command("tail", ["-n", "4"]);

  // stdoutPipe() makes a pipe of the kernel's. As another command's stdin it is handed over for good, so
  // that, as in a shell, a program whose reader has ended gets SIGPIPE.
  count.stdin = find.stdoutPipe();
  files.stdin = count.stdoutPipe();
  sort.stdin = files.stdoutPipe();
  tail.stdin = sort.stdoutPipe();

  // run() has started its child before it returns its promise, so all five run at once. No stderr is set, so
  // it is /dev/null: what find says of directories that are closed to an ordinary user is not shown.
  const writers = [find, count, files, sort];
  const exits = writers.map((command) => timed(command, () => command.run()).catch(exitOf));
  console.log((await timed(tail, () => tail.text())).trimEnd());
  const states = await Promise.all(exits);
  console.log(`  (${states.map((state, at) => `${writers[at]?.args[0]}: ${state}`).join(", ")})`);
}

/** An exit that is not 0 rejects with an ExitError, as in Go; find's is 1 for what it may not look into. */
function exitOf(error: unknown): ProcessState {
  if (error instanceof ExitError) return error.state;
  throw error;
}

/** A line is there as soon as the child has written it. Leaving such a loop early ends the child. */
async function lines(): Promise<void> {
  heading("2. Lines as they come: numbers with more prime factors than any before");
  const sieve = new Command("awk", [`BEGIN {
    for (n = 2; n <= 700000; n++) {
      if (!(n in factors)) for (m = n; m <= 700000; m += n) factors[m] = factors[m] " x " n
      count = split(factors[n], list, " x ")
      if (count > most) { most = count; print n " =" substr(factors[n], 3); fflush() }
    }
  }`]);
  await timed(sieve, async () => {
    const begin = performance.now();
    for await (const line of sieve.lines()) {
      const after = (performance.now() - begin).toFixed(0).padStart(5);
      console.log(`  after ${after} ms: ${line}`);
    }
  });
}

/** What a child does to itself before it becomes the program: all of it, or there is no child. */
async function otherUser(): Promise<void> {
  heading("3. Another user and group, no supplementary groups, a new session");
  const sysProcAttr = { credential: { uid: 65534, gid: 65534, groups: [] }, setsid: true };
  const id = new Command("id", [], { sysProcAttr });
  const seen = "^(Pid|NSsid|Uid|Gid|Groups|CapEff):";
  const status = new Command("grep", ["-E", seen, "/proc/self/status"], { sysProcAttr });
  try {
    console.log(`  ${(await timed(id, () => id.text())).trimEnd()}`);
    const text = await timed(status, () => status.text());
    console.log(text.trimEnd().replaceAll(/^/gm, "  ").replaceAll("\t", " "));
  } catch (error) {
    if (!(error instanceof SpawnError)) throw error;
    console.log(`  User ${process.getuid?.()} may not do that. The first step that is refused:`);
    show(error);
  }
}

/** A failed start names its step. Nothing is left of it: no process, no zombie, no descriptor. */
function show(error: SpawnError): void {
  console.log(`  ${error.name}: ${error.message}`);
  console.log(`  step "${error.step}", argument "${error.argument}", code ${error.code}`);
}

/** Go's context: the abort of the signal calls cancel; what still runs after waitDelay is killed. */
async function abort(name: string, script: string): Promise<void> {
  const controller = new AbortController();
  const service = new Command("sh", ["-c", script], {
    signal: controller.signal,
    cancel: (child) => child.signal("SIGTERM"),
    waitDelay: 500,
  });
  using log = service.stdoutPipe();
  await timed(service, async () => {
    service.start();
    let aborted = 0;
    for await (const line of log.lines()) {
      console.log(`  ${name}: ${line}`);
      if (line !== "ready") continue;
      aborted = performance.now();
      controller.abort(new Error("the tour goes on"));
    }
    try {
      await service.wait();
    } catch (error) {
      // A command that was aborted is no success, even with exit code 0: then it is the abort's reason.
      const after = (performance.now() - aborted).toFixed(0);
      console.log(`  ${name}: ended after ${after} ms, ${service.processState}; ${error}`);
    }
  }, name);
}

/** getrusage(2) of every process above, which its wait has brought along. */
async function table(): Promise<void> {
  heading("6. What each process cost");
  const row = (name: string, ...cells: readonly string[]): void =>
    console.log(`  ${name.padEnd(10)}${cells.map((cell) => cell.padStart(12)).join("")}`);
  row("", "wall ms", "user ms", "system ms", "peak MiB");
  const own = await ownPeak();
  for (const { name, command, wall } of costs) {
    const usage = command.processState?.usage;
    if (usage === undefined) continue; // It has never started.
    // Linux counts a child as large as its parent until it calls execve, and keeps that maximum.
    const peak = (Math.max(usage.maxRss, own) / 2 ** 20).toFixed(0);
    row(
      name,
      wall.toFixed(0),
      usage.userTime.toFixed(1),
      usage.systemTime.toFixed(1),
      usage.maxRss > own ? peak : `<= ${peak}`,
    );
  }
}

/** The peak memory of this process up to now, in bytes. */
async function ownPeak(): Promise<number> {
  using status = OSFile.open("/proc/self/status");
  for await (const line of status.lines()) {
    if (line.startsWith("VmHWM:")) return parseInt(line.slice("VmHWM:".length)) * 1024;
  }
  return 0;
}

console.log(
  `osexec in ${navigator.userAgent}, ${await new Command("uname", ["-srm"]).text()}`.trim(),
);

await pipeline();
await lines();
await otherUser();

heading("4. Aborting two services: SIGTERM, and after 500 ms SIGKILL");
await abort("polite", "trap 'echo saving; exit 0' TERM; echo ready; while :; do sleep 0.1; done");
// An ignored signal stays ignored in the program that takes the shell's place.
await abort("stubborn", "trap '' TERM; echo ready; exec sleep 60");

heading("5. A start that fails says where");
const missing = new Command("ls", [], { dir: "/no/such/place" });
// What start() would make the child do, in the words that a SpawnError uses. It starts nothing.
console.log(missing.explain().replaceAll(/^/gm, "    "));
try {
  await missing.run();
} catch (error) {
  if (!(error instanceof SpawnError)) throw error;
  show(error);
}

await table();
