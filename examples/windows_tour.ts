/**
 * A tour of osexec on Windows, by programs that every Windows has. `node tools/wine.mjs tour` runs it under Wine.
 *
 *     bun examples/windows_tour.ts
 *
 * It changes nothing and ends by itself.
 */

import process from "node:process";
import {
  Command,
  ExitError,
  findProcess,
  lookPath,
  SpawnError,
  startProcess,
  SyscallError,
} from "../mod.ts";

function heading(text: string): void {
  console.log(`\n${text}\n${"-".repeat(text.length)}`);
}

async function outputs(): Promise<void> {
  heading("1. What a command prints, and lines as they come");
  console.log(`  ${(await new Command("cmd", ["/c", "ver"]).text()).trim()}`);
  for await (const line of new Command("cmd", ["/c", "echo one& echo two& echo three"]).lines()) {
    console.log(`  line: ${line.trim()}`);
  }
  const find = new Command("cmd", ["/c", "echo alpha& echo beta& echo gamma"]);
  // find wants its quotes as they are: one of those that read their command line by rules of their own.
  const filter = new Command("find", [], { sysProcAttr: { cmdLine: 'find "ta"' } });
  filter.stdin = find.stdoutPipe();
  const [text] = await Promise.all([filter.text(), find.run()]);
  console.log(`  through a pipe of the kernel's: ${text.split("\r\n").join(" ").trim()}`);
}

function lookUps(): void {
  heading("2. Names: PATH and PATHEXT, and never the current directory by accident");
  console.log(`  cmd is ${lookPath("cmd")}`);
  const command = new Command("cmd", ["/c", "echo", 'a "quoted" word', "C:\\Program Files\\"]);
  console.log(command.explain().replaceAll(/^/gm, "  "));
}

async function failures(): Promise<void> {
  heading("3. What fails says in which step, on what, and why");
  for (const [path, dir] of [["C:\\nope.exe", undefined], [lookPath("cmd"), "C:\\nope"]] as const) {
    try {
      startProcess(path, ["x"], dir === undefined ? {} : { dir });
    } catch (error) {
      if (!(error instanceof SpawnError)) throw error;
      console.log(`  ${error.message}\n    step "${error.step}", ${error.code}, ${error.errno}`);
    }
  }
  const state = await new Command("cmd", ["/c", "exit", "-1073741819"]).run().catch((error) => {
    if (!(error instanceof ExitError)) throw error;
    return error.state;
  });
  console.log(`  an exit code of 32 bits: ${state}`);
  try {
    new Command("C:\\x.bat", ["%PATH%"]).start();
  } catch (error) {
    console.log(`  ${error instanceof Error ? error.message : error}`);
  }
}

/** A program that takes a minute. */
const sleep = "setTimeout(()=>{},60000)";

/** A job is what a process group is elsewhere, and nothing leaves it. */
async function trees(): Promise<void> {
  heading("4. A job: what ends a command ends what it has started");
  const outer = new Command("cmd", ["/c", process.execPath, "-e", sleep], {
    tree: "group",
    timeout: 500,
  });
  const begin = performance.now();
  const error = await outer.run().catch((error) => error);
  console.log(`  ${error instanceof ExitError ? error.state : "it ended by itself"}`);
  console.log(`  long before its minute: ${performance.now() - begin < 10_000}`);
}

async function signals(): Promise<void> {
  heading("5. Signals: kill, and a typed error for the rest");
  const child = startProcess(process.execPath, ["runtime", "-e", sleep]);
  try {
    child.signal("SIGTERM");
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    console.log(`  ${error.message} (${error.code})`);
  }
  findProcess(child.pid).kill();
  console.log(`  ${await child.wait()}`);
}

console.log(`osexec on ${process.platform} ${process.arch}`);
await outputs();
lookUps();
await failures();
await trees();
await signals();
console.log("\nThe end of the tour.");
