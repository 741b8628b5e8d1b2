/** Runs one contestant through one workload, once. */

import { spawn } from "node:child_process";
import process from "node:process";
import { binFolder } from "./build.mjs";
import { sample } from "./sample.mjs";

/**
 * What a contestant's line says, see workloads.mjs, and of two runs what the other took.
 *
 * @typedef {object} Figures
 * @property {number} seconds
 * @property {number} cpu
 * @property {number} [plain]
 * @property {number[]} [late]
 * @property {number[]} [idle]
 *
 * @typedef {import("./sample.mjs").Sample} Sample
 * @typedef {import("./contestants.mjs").Contestant} Contestant
 * @typedef {import("./workloads.mjs").Workload} Workload
 */

/** The longest, 100,000 children by Node, takes two minutes. */
const LIMIT_MS = 10 * 60_000;

/** The environment has a usual size; what is in it is the same for all. */
const VARIABLES = 30;

/**
 * @param {Contestant} contestant
 * @param {Workload} workload
 * @param {number} count
 * @param {string} measure the watch for whole programs
 * @returns {Promise<Figures & { marks?: Record<string, Sample> }>}
 */
export async function perform(contestant, workload, count, measure) {
  const once = (/** @type {Workload} */ what) => performOnce(contestant, what, count, measure);
  if (workload.kind !== "held") return await once(workload);
  // In two processes, right after each other: what an engine learns in the first half of its run would
  // make the second half quicker.
  const isPlainFirst = Math.random() < 0.5;
  const before = isPlainFirst ? await once({ ...workload, size: 0 }) : undefined;
  const figures = await once(workload);
  const { seconds } = before ?? await once({ ...workload, size: 0 });
  return { ...figures, plain: seconds };
}

/**
 * @param {Contestant} contestant
 * @param {Workload} workload
 * @param {number} count
 * @param {string} measure
 * @returns {Promise<Figures & { marks?: Record<string, Sample> }>}
 */
async function performOnce(contestant, workload, count, measure) {
  const argv = argvOf(contestant, workload, count, measure);
  const run = new Run(argv, environment(contestant), workload.kind === "memory");
  const output = await run.end();
  const figures = /** @type {Figures} */ (JSON.parse(output.trim().split("\n").at(-1) ?? ""));
  return workload.kind === "memory" ? { ...figures, marks: run.marks } : figures;
}

/**
 * @param {Contestant} contestant
 * @param {Workload} workload
 * @param {number} count
 * @param {string} measure
 */
function argvOf({ argv, startup }, { name, kind, warmup, size }, count, measure) {
  if (kind === "startup") return [measure, String(count), ...startup ?? []];
  const numbers = [count, Math.min(warmup, count), size].map(String);
  const whole = [...argv, name, ...numbers];
  if (name !== "descriptors") return whole;
  // Some raise the limit themselves and others do not.
  const script = `ulimit -Sn ${size + 200} && exec "$@"`;
  return ["sh", "-c", script, "sh", ...whole];
}

/** @param {Contestant} contestant */
function environment({ env }) {
  /** @type {Record<string, string>} */
  const variables = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: process.env["HOME"] ?? "/",
    LANG: "C.UTF-8",
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
    BENCH_CHILDREN: binFolder,
    ...env,
  };
  const library = process.env["OSEXEC_LIBRARY"];
  if (library) variables["OSEXEC_LIBRARY"] = library;
  for (let index = Object.keys(variables).length; index < VARIABLES; index++) {
    variables[`FILLER_${index}`] = "x".repeat(40);
  }
  return variables;
}

/** A contestant that runs. */
class Run {
  /** @type {Record<string, Sample>} */
  marks = {};
  #child;
  #output = "";
  #errors = "";

  /**
   * @param {string[]} argv
   * @param {Record<string, string>} env
   * @param {boolean} isWatched whether it asks to be looked at
   */
  constructor([program = "", ...parameters], env, isWatched) {
    this.#child = spawn(program, parameters, {
      env,
      cwd: "/",
      stdio: [isWatched ? "pipe" : "ignore", "pipe", "pipe"],
      timeout: LIMIT_MS,
      killSignal: "SIGKILL",
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (text) => this.#output += text);
    this.#child.stderr?.setEncoding("utf8").on("data", (text) => this.#read(text));
    // A contestant that has failed does not read what it is sent.
    this.#child.stdin?.on("error", () => {});
  }

  /** @param {string} text */
  #read(text) {
    this.#errors += text;
    const [, mark] = this.#errors.match(/^MARK (\w+)\n$/m) ?? [];
    if (mark === undefined || this.#child.pid === undefined) return;
    this.#errors = "";
    this.marks[mark] = sample(this.#child.pid);
    this.#child.stdin?.write("x");
  }

  /**
   * @returns {Promise<string>} what it printed
   */
  end() {
    return new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (code, signal) => {
        if (code === 0) resolve(this.#output);
        else reject(new Error(`${signal ?? `exit ${code}`}: ${this.#errors.trim().slice(-300)}`));
      });
    });
  }
}
