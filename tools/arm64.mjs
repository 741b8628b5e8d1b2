/**
 * Runs the library on arm64 where there is none: on a real arm64 Linux kernel in a machine that QEMU
 * emulates, or, with `--user`, under qemu-user, which translates the program and hands its system calls
 * to this kernel, and where a vfork shares no memory.
 *
 *     node tools/arm64.mjs             the unit tests, the spawn storm, and the tour in arm64's Bun
 *     node tools/arm64.mjs --suite     on that kernel, all of the tests in arm64's Bun: very slow
 *     node tools/arm64.mjs --user      the first under qemu-user
 *
 * QEMU is installed by apt-get if it is not there, which takes root. The kernel and what the guest needs
 * are unpacked into `.tools/arm64/`, from Debian's packages and from npm; remove it to get newer ones.
 * The last line is `N passed, N failed`, with `, N skipped` if there were any; the exit code is 1 if
 * anything failed.
 */

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { Archive } from "./cpio.mjs";
import { ensureInstalled, Packages } from "./debian.mjs";
import { bootArm64, initFolders, initScript } from "./guest.mjs";
import { otherBun, root, toolEnvironment, ToolError, tools } from "./toolchain.mjs";

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Count
 * @typedef {(output: string) => Count | undefined} Counter what a program says of itself
 * @typedef {{ name: string, title: string, argv: string[], count: Counter }} Stage
 */

/** Where everything is that is got or made for this. */
const folder = join(root, ".tools/arm64");

/** What of Debian is in the guest. The first process there runs on busybox alone. */
const GUEST_PACKAGES = [
  ...["busybox-static", "base-files", "base-passwd", "netbase", "libc6", "dash"],
  ...["coreutils", "findutils", "grep", "mawk", "mount", "procps", "util-linux"],
];

/** What those packages make when they are installed, which here they are not. */
const GUEST_LINKS = [
  ["bin/sh", "dash"],
  ["usr/bin/awk", "mawk"],
  ["etc/passwd", "/usr/share/base-passwd/passwd.master"],
  ["etc/group", "/usr/share/base-passwd/group.master"],
];

/** How many starts the storm makes. By libc each takes several times as long, for the dynamic linker. */
const STORM = { raw: 6_000, libc: 1_200 };

/** On two processors that nobody else uses, all of it takes a fifth of this. */
const LIMIT_MS = 20 * 60_000;
const SUITE_LIMIT_MS = 120 * 60_000;

/** A test may take this long there. */
const TEST_LIMIT_MS = 10 * 60_000;

/**
 * What is run, with the folders as they are in the guest or here.
 *
 * @param {{ programs: string, bun: string, launcher: string[] }} places
 * @returns {Stage[]}
 */
function stages({ programs, bun, launcher }) {
  const ways = /** @type {const} */ ([["raw", "system calls"], ["libc", "libc"]]);
  const native = ways.flatMap(([way, words]) => [
    {
      name: `tests-${way}`,
      title: `the unit tests, the child by ${words}`,
      argv: [`${programs}/test-${way}`],
      count: countTests,
    },
    {
      name: `storm-${way}`,
      title: `the spawn storm, the child by ${words}`,
      argv: [`${programs}/storm-${way}`, `${STORM[way]}`, ...launcher],
      count: countStorm,
    },
  ]);
  const tour = {
    name: "tour",
    title: "the tour in arm64's Bun",
    argv: [bun, "run", "examples/tour.ts"],
    count: () => ({ passed: 1, failed: 0, skipped: 0 }),
  };
  return [...native, tour];
}

/** @type {Stage[]} */
const suite = [{
  name: "suite",
  title: "the tests in arm64's Bun",
  argv: ["bun", "test", `--timeout=${TEST_LIMIT_MS}`],
  count: countBunTests,
}];

/** @type {Counter} */
function countBunTests(output) {
  const number = (/** @type {string} */ word) =>
    Number(output.match(new RegExp(`^ *(\\d+) ${word}$`, "m"))?.[1] ?? 0);
  return { passed: number("pass"), failed: number("fail"), skipped: number("skip") };
}

/** @type {Counter} */
function countTests(output) {
  const all = output.match(/^All (\d+) tests passed\.$/m);
  if (all) return { passed: Number(all[1]), failed: 0, skipped: 0 };
  const some = output.match(/^(\d+) passed; (\d+) skipped; (\d+) failed\.$/m);
  if (!some) return undefined;
  return { passed: Number(some[1]), skipped: Number(some[2]), failed: Number(some[3]) };
}

/** @type {Counter} */
function countStorm(output) {
  const found = output.match(/^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/m);
  if (!found) return undefined;
  return { passed: Number(found[1]), failed: Number(found[2]), skipped: Number(found[3] ?? 0) };
}

/** The stages as they go: shows each of their lines, and adds up what came of them. */
class Progress {
  total = { passed: 0, failed: 0, skipped: 0 };
  #stages;
  #output = "";
  #start = 0;

  /** @param {Stage[]} stages in the order in which they run */
  constructor(stages) {
    this.#stages = [...stages];
  }

  /** @param {string} name */
  begin(name) {
    const title = this.#stages.find((stage) => stage.name === name)?.title;
    console.log(`== ${name}: ${title}`);
    this.#output = "";
    this.#start = performance.now();
  }

  /** @param {string} line */
  line(line) {
    this.#output += `${line}\n`;
    console.log(`   | ${line}`);
  }

  /**
   * @param {string} name
   * @param {number | string} status
   */
  end(name, status) {
    const index = this.#stages.findIndex((stage) => stage.name === name);
    const [stage] = this.#stages.splice(index, 1);
    const count = stage?.count(this.#output) ?? { passed: 0, failed: 0, skipped: 0 };
    const ran = count.passed + count.failed + count.skipped;
    // One that ended badly, or ran nothing, is one failure more than it has counted.
    if (count.failed === 0 && (status !== 0 || ran === 0)) {
      if (stage?.name === "tour") count.passed = 0;
      count.failed = 1;
    }
    const seconds = ((performance.now() - this.#start) / 1000).toFixed(1);
    const word = count.failed > 0 ? `FAILED (exit ${status})` : "ok";
    console.log(`   ${word}: ${words(count)}, ${seconds} s\n`);
    this.total.passed += count.passed;
    this.total.failed += count.failed;
    this.total.skipped += count.skipped;
  }

  /** What was to run and has not ended is a failure. */
  finish() {
    for (const { name } of this.#stages) console.log(`FAILED: ${name} has not come to its end`);
    this.total.failed += this.#stages.length;
    return this.total;
  }
}

/** @param {Count} count */
function words({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** All that is built of the project, for arm64 with glibc, which Bun and Deno have too. */
function build() {
  const prefix = join(folder, "build");
  const target = ["-Dtarget=aarch64-linux-gnu", "--prefix", prefix];
  run(tools().zig, ["build", "install", "programs", ...target], {
    cwd: root,
    env: toolEnvironment(),
  });
  return prefix;
}

/**
 * @param {string} program
 * @param {string[]} parameters
 * @param {import("node:child_process").SpawnSyncOptions} [options]
 */
function run(program, parameters, options) {
  const stdio = /** @type {const} */ (["ignore", process.stderr.fd, process.stderr.fd]);
  const result = spawnSync(program, parameters, { ...options, stdio: [...stdio] });
  if (result.status === 0) return;
  const reason = result.error?.message ?? `exit ${result.status ?? result.signal}`;
  throw new ToolError(`Failed: ${[program, ...parameters].join(" ")}: ${reason}`);
}

/**
 * @param {Stage[]} list
 * @param {number} limitMs
 * @returns {Promise<Count>}
 */
async function onKernel(list, limitMs) {
  ensureInstalled("qemu-system-aarch64", "qemu-system-arm");
  const packages = new Packages(folder, "arm64");
  // "cloud" is the kernel without the drivers of real machines: a third of the download.
  const boot = join(packages.latest("linux-image-cloud-arm64"), "boot");
  const kernel = readdirSync(boot).find((name) => name.startsWith("vmlinuz-"));
  if (!kernel) throw new ToolError(`There is no kernel in ${boot}`);

  const path = join(folder, "root.cpio");
  const archive = new Archive(path);
  archive.file("init", initScript(list));
  for (const name of initFolders) archive.folder(name);
  archive.copy(packages.tree("guest", GUEST_PACKAGES), "");
  for (const [name = "", target = ""] of GUEST_LINKS) archive.link(name, target);
  archive.copy(otherBun("linux-aarch64"), "usr/bin/bun");
  const built = build();
  archive.copy(join(built, "programs"), "programs");
  archive.copy(join(built, "bin"), "osexec/zig-out/bin");
  for (const name of sources()) archive.copy(join(root, name), `osexec/${name}`);
  archive.close();

  console.log(`${kernel} in an emulated machine\n`);
  const progress = new Progress(list);
  const options = { kernel: join(boot, kernel), root: path, limitMs, console: progress };
  const reason = await bootArm64(options);
  if (reason) console.log(`FAILED: the emulated machine: ${reason}`);
  return progress.finish();
}

/** What is right in the checkout, and was written and not made. */
function sources() {
  const made = ["zig-out", "node_modules"];
  return readdirSync(root).filter((name) => !name.startsWith(".") && !made.includes(name));
}

/** @returns {Promise<Count>} */
async function underUser() {
  ensureInstalled("qemu-aarch64", "qemu-user");
  const libc = new Packages(folder, "arm64").tree("libc", ["libc6"]);
  const emulator = spawnSync("sh", ["-c", "command -v qemu-aarch64"], { encoding: "utf8" });
  const launcher = [emulator.stdout.trim(), "-L", libc];
  const list = stages({
    programs: join(build(), "programs"),
    bun: otherBun("linux-aarch64"),
    launcher,
  });
  const progress = new Progress(list);
  const deadline = performance.now() + LIMIT_MS;
  for (const { name, argv } of list) {
    progress.begin(name);
    progress.end(name, await runLines([...launcher, ...argv], deadline, progress));
  }
  return progress.finish();
}

/**
 * Runs a command here, in a process group of its own.
 *
 * @param {string[]} argv
 * @param {number} deadline
 * @param {Progress} progress
 * @returns {Promise<number | string>} how it ended
 */
async function runLines([program = "", ...parameters], deadline, progress) {
  const env = { ...process.env, NO_COLOR: "1" };
  const child = spawn(program, parameters, {
    cwd: root,
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const end = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // The usual case: nothing of the group is left.
    }
  };
  process.on("exit", end);
  const timer = setTimeout(() => {
    progress.line("Out of time, and so ended");
    end();
  }, Math.max(0, deadline - performance.now()));
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on("line", (line) => progress.line(line));
  }
  try {
    return await new Promise((resolve) => {
      child.on("error", (error) => resolve(error.message));
      child.on("close", (code, signal) => resolve(code ?? `${signal}`));
    });
  } finally {
    clearTimeout(timer);
    process.off("exit", end);
    end();
  }
}

// Leaving by exit() ends what is running.
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]));
}

/** @type {Record<string, () => Promise<Count>>} */
const modes = {
  "": () => onKernel(stages({ programs: "/programs", bun: "bun", launcher: [] }), LIMIT_MS),
  "--suite": () => onKernel(suite, SUITE_LIMIT_MS),
  "--user": underUser,
};

let total = { passed: 0, failed: 1, skipped: 0 };
try {
  const perform = modes[process.argv.slice(2).join(" ")];
  if (!perform) throw new ToolError("Usage: node tools/arm64.mjs [--suite | --user]");
  mkdirSync(folder, { recursive: true });
  total = await perform();
} catch (error) {
  console.log(error instanceof ToolError ? error.message : error);
}
console.log(words(total));
process.exitCode = total.failed > 0 ? 1 : 0;
