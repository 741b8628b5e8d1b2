/**
 * How check.mjs runs things: one job for each check, which keeps its output and its time limit, and
 * the places a job may run in: the checkout itself, or a copy of it.
 */

import { spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import process from "node:process";
import { root, toolEnvironment } from "./toolchain.mjs";

/**
 * Where and as whom a command runs. Without `uid` and `gid` it is the current user.
 *
 * @typedef {{ cwd: string, env: Record<string, string | undefined>, uid?: number, gid?: number }} Place
 *
 * A place that has its own runtimes, and a folder it may write reports into.
 * @typedef {Place & { bun: string, deno: string, node: string, reports: string }} SuitePlace
 */

/** No check takes long; this only keeps a hang from taking all of CI's time. */
const CHECK_LIMIT_MS = 20 * 60_000;

/** CI ends a run after 90 minutes, and then nothing would say what had failed until then. */
const RUN_END = Date.now() + 80 * 60_000;

/** An id that no machine gives to anyone, so that nothing is allowed to it by accident. */
const ORDINARY_ID = 54321;

/** What is made, not written, and so is not part of a copy. */
const MADE = [".git", ".tools", "dist", ".zig-cache", "zig-out", "node_modules"];

/** A folder for everything that is to be gone afterwards. Others may pass through it. */
export const scratch = mkdtempSync(join(tmpdir(), "osexec-check-"));
chmodSync(scratch, 0o755);
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

/**
 * The checkout, as the current user.
 *
 * @type {Place}
 */
export const checkout = { cwd: root, env: environment() };

/** The commands of one check: their output together, and the time they have together. */
export class Job {
  #path;
  #deadline = Math.min(Date.now() + CHECK_LIMIT_MS, RUN_END);

  /** @param {string} name */
  constructor(name) {
    this.#path = join(scratch, `${name}.log`);
    writeFileSync(this.#path, "");
  }

  /** All that the commands have written so far. */
  get output() {
    return readFileSync(this.#path, "utf8");
  }

  /**
   * Adds a line of our own to the output.
   *
   * @param {string} line
   */
  note(line) {
    appendFileSync(this.#path, `${line}\n`);
  }

  /**
   * Runs one command to its end, and tells whether it succeeded.
   *
   * @param {string[]} argv
   * @param {Place} [place]
   * @returns {Promise<boolean>}
   */
  async run(argv, place = checkout) {
    const [program = "", ...parameters] = argv;
    this.note(`$ ${argv.join(" ")}`);
    // A file, not a pipe: a process that the command leaves behind cannot keep us waiting.
    const log = openSync(this.#path, "a");
    // A process group of its own, so that all of it can be ended.
    const child = spawn(program, parameters, {
      ...place,
      detached: true,
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    const end = () => killGroup(child.pid);
    const timer = setTimeout(() => {
      this.note("\nOut of time, and so ended");
      end();
    }, Math.max(0, this.#deadline - Date.now()));
    // Before the folder with the log is removed.
    process.prependListener("exit", end);
    try {
      const reason = await new Promise((resolve) => {
        child.on("error", (error) => resolve(error.message));
        child.on("exit", (code, signal) => resolve(signal ?? `exit ${code}`));
      });
      const succeeded = reason === "exit 0";
      if (!succeeded) this.note(`Failed: ${reason}`);
      return succeeded;
    } finally {
      clearTimeout(timer);
      process.off("exit", end);
      end();
    }
  }
}

/** @param {number | undefined} pid */
function killGroup(pid) {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The usual case: nothing of the group is left.
  }
}

/** Our own environment without npm's additions, and with what makes output plain. */
function environment() {
  const env = toolEnvironment();
  for (const name of Object.keys(env)) {
    if (name.startsWith("npm_") || name === "INIT_CWD") delete env[name];
  }
  delete env["FORCE_COLOR"];
  delete env["CLICOLOR_FORCE"];
  return { ...env, NO_COLOR: "1" };
}

/**
 * Copies the sources into a new folder.
 *
 * @param {string} to
 * @param {string[]} [also] what is to be copied of what was made
 */
export function copySources(to, also = []) {
  const left = MADE.filter((name) => !also.includes(name));
  cpSync(root, to, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !left.includes(relative(root, path)),
  });
}

/**
 * The checkout as the current user, as a place for the suite.
 *
 * @param {import("./toolchain.mjs").Tools} tools
 * @returns {SuitePlace}
 */
export function suiteHere({ bun, deno, node }) {
  return { ...checkout, bun, deno, node, reports: scratch };
}

/** @type {SuitePlace | undefined} */
let ordinary;

/**
 * A copy of the checkout that belongs to an ordinary user, with a home and runtimes within that
 * user's reach; for root only. The checkout may well lie where only root may look.
 *
 * @param {import("./toolchain.mjs").Tools} tools
 * @returns {SuitePlace}
 */
export function suiteAsOrdinaryUser(tools) {
  if (ordinary) return ordinary;
  const at = (/** @type {string} */ name) => join(scratch, "user", name);
  copySources(at("checkout"), ["zig-out"]);
  for (const name of ["home", "tmp", "reports"]) mkdirSync(at(name), { recursive: true });
  const changed = spawnSync("chown", ["-hR", `${ORDINARY_ID}:${ORDINARY_ID}`, at("")]);
  if (changed.status !== 0) throw new Error(`chown failed: ${changed.stderr ?? changed.error}`);

  // After chown, so that these stay root's.
  for (const name of /** @type {const} */ (["bun", "deno", "node"])) {
    copyFileSync(tools[name], at(name), constants.COPYFILE_FICLONE);
  }
  ordinary = {
    cwd: at("checkout"),
    env: {
      PATH: "/usr/local/bin:/usr/bin:/bin",
      HOME: at("home"),
      TMPDIR: at("tmp"),
      USER: "ordinary",
      LOGNAME: "ordinary",
      SHELL: "/bin/sh",
      LANG: "C.UTF-8",
      NO_COLOR: "1",
      DENO_NO_UPDATE_CHECK: "1",
      ...(process.env["CI"] ? { CI: process.env["CI"] } : {}),
    },
    // Node drops the supplementary groups as well.
    uid: ORDINARY_ID,
    gid: ORDINARY_ID,
    bun: at("bun"),
    deno: at("deno"),
    node: at("node"),
    reports: at("reports"),
  };
  return ordinary;
}
