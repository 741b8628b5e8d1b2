/**
 * What the tests that answer to Go's must do in a process of its own: one function each, run by
 * `script()` of `impersonator.ts`. It says what it has to say on stdout.
 *
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { Worker } from "node:worker_threads";
import {
  Command,
  exec,
  findProcess,
  OSFile,
  type Process,
  ProcessDoneError,
  startProcess,
  type SysProcAttr,
} from "../mod.ts";
import { encode, impersonate, program, stateOf, until } from "./impersonator.ts";

const scripts: Record<string, (args: readonly string[]) => void | Promise<void>> = {
  countSignals,
  exchange,
  hangUp,
  leadSession,
  leaveOrphan,
  reusePid,
  startInStorm,
};

/** How often SIGCHLD comes for the first child ever started here. */
async function countSignals(): Promise<void> {
  let count = 0;
  const come = Promise.withResolvers<void>();
  // A listener alone does not.
  const alive = setInterval(() => {}, 60_000);
  process.on("SIGCHLD", () => {
    count++;
    come.resolve();
  });
  await new Command(program, ["exit", "0"]).run();
  await come.promise;
  // A child that ends later than all that the first start may have tried out before.
  await new Command(program, ["hang", "50"]).run();
  await until(() => count >= 2);
  console.log(count);
  clearInterval(alive);
  process.exit();
}

/** Becomes another program while other threads are at work. */
function exchange(args: readonly string[]): void {
  const busy = "for (let i = 0; i >= 0; i = (i + 1) % 1000);";
  for (let index = 0; index < 4; index++) new Worker(busy, { eval: true });
  const argv = ["impersonator", "echo", ...args];
  setTimeout(() => exec(program, argv, [`PATH=${process.env["PATH"]}`]), 20);
}

/** Starts a child that is to have a signal at this process's death, as another user if it can be. */
async function leaveOrphan([path = program]: readonly string[]): Promise<void> {
  const sysProcAttr: SysProcAttr = { pdeathsig: "SIGUSR1" };
  if (process.getuid?.() === 0) sysProcAttr.credential = { uid: 65534, gid: 65534 };
  const command = new Command(path, ["deathsignal"], {
    stdin: "inherit",
    stdout: "inherit",
    sysProcAttr,
  });
  await command.run();
}

/** What a child has of a SIGHUP that is ignored here. */
async function hangUp(): Promise<void> {
  await new Command("grep", ["SigIgn", "/proc/self/status"], { stdout: "inherit" }).run();
}

/** Starts children while signals rain on the whole process group. */
async function startInStorm(): Promise<void> {
  process.on("SIGWINCH", () => {});
  const storm = impersonate("storm", ["28"]);
  const stdin = storm.stdinPipe();
  using stdout = storm.stdoutPipe();
  storm.start();
  await stdout.read(new Uint8Array(1));
  const rounds = Array.from({ length: 20 }, async (_, index) => {
    const command = impersonate("exit", ["0"]);
    if (index % 2 === 0) command.runSync();
    else await command.run();
  });
  await Promise.all(rounds);
  stdin.close();
  await storm.wait();
  console.log("OK");
  process.exit();
}

/** As the init of a pid namespace: lets a process have the pid of one that has been reaped. */
async function reusePid(): Promise<void> {
  impersonate("mount", ["/proc"]).runSync();
  while (true) {
    const first = startProcess(program, ["impersonator", "exit", "0"]);
    const { pid } = first;
    const handles = [first, findProcess(pid), findProcess(pid)];
    handles[2]?.release();
    await first.wait();
    const second = impersonate("cat");
    using stdin = second.stdinPipe();
    writeFileSync("/proc/sys/kernel/ns_last_pid", `${pid - 1}`);
    const isSame = second.start().pid === pid;
    if (isSame) {
      console.log("reused");
      for (const handle of handles) console.log(refusal(handle));
    }
    await stdin.write(encode("x"));
    stdin.close();
    const state = await second.wait();
    // A new thread of the runtime's has been quicker: another pid, then.
    if (!isSame) continue;
    console.log(`${state}`);
    process.exit();
  }
}

function refusal(handle: Process): string {
  try {
    handle.kill();
    return "killed";
  } catch (error) {
    return error instanceof ProcessDoneError ? "done" : `${error}`;
  }
}

/**
 * As the leader of a session whose terminal is descriptor 3: lets a child be stopped by its keys, and
 * takes the terminal from it and gives it back, as a shell does. Descriptor 4 is where to tell of it.
 */
async function leadSession(): Promise<void> {
  const control = OSFile.fromFd(4);
  const terminal = { fd: 3 };
  const extraFiles = [terminal];
  const foreground = async (group: number): Promise<number> =>
    Number(await impersonate("foreground", [`${group}`], { extraFiles }).text());
  const stops = ["SIGTTIN", "SIGTTOU", "SIGTSTP"] as const;
  for (const signal of stops) process.on(signal, () => console.log(signal));

  const child = impersonate("answer", [], {
    extraFiles,
    stderr: "inherit",
    sysProcAttr: { foreground: true, ctty: terminal.fd },
  });
  const { pid } = child.start();
  console.log(await foreground(0) === pid ? "in front" : "not in front");
  control.writeSync(encode(`${pid}\n`));
  await until(() => stateOf(pid) === "T");
  const own = Number(readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ")[2]);
  console.log(await foreground(own) === pid ? "taken" : "not taken");
  console.log(await foreground(pid) === own ? "given back" : "not given back");
  control.writeSync(encode("ready\n"));
  console.log(`${await child.wait()}`);
  process.exit();
}

const [name = "", ...args] = process.argv.slice(2);
const run = scripts[name];
if (run === undefined) throw new TypeError(`There is no script ${name}`);
await run(args);
