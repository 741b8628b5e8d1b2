/**
 * Terminals: this library on both runtimes beside node-pty on Node.
 *
 *     npm install --prefix /tmp/peer @lydell/node-pty
 *     node bench/pty.mjs /tmp/peer/node_modules/@lydell/node-pty [ROUNDS]
 *
 * In each round every contestant does every workload once, each in a process of its own; node-pty under the Node that runs
 * this. What came too short is counted: a terminal's last bytes are easily lost.
 */

import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { tools } from "../tools/toolchain.mjs";

const self = fileURLToPath(import.meta.url);

/**
 * What runs a program in a terminal to its end, and answers how many bytes came.
 *
 * @typedef {(file: string, args: string[]) => Promise<number>} Run
 */

/** @type {Record<string, { times: number, bytes: number, file: string, args: string[] }>} */
const workloads = {
  start: { times: 200, bytes: 0, file: "/bin/true", args: [] },
  lines: { times: 200, bytes: 16_893, file: "/usr/bin/seq", args: ["3000"] },
  // stty, as node-pty has no raw mode.
  out: {
    times: 1,
    bytes: 200_000_000,
    file: "/bin/sh",
    args: ["-c", "stty raw; exec head -c 200000000 /dev/zero"],
  },
};

const [name, ...rest] = process.argv.slice(2);
if (name === "--do") await work(rest[0] ?? "", rest[1]);
else main(name, Number(rest[0] ?? 5));

/**
 * @param {string} workload
 * @param {string | undefined} peer
 */
async function work(workload, peer) {
  const chosen = workloads[workload];
  if (chosen === undefined) throw new Error(`no workload ${workload}`);
  const { times, bytes, file, args } = chosen;
  const run = peer === undefined ? await ours() : theirs(peer);
  await run("/bin/true", []);
  let short = 0;
  const begun = performance.now();
  for (let time = 0; time < times; time++) {
    if (await run(file, args) < bytes) short++;
  }
  console.log(JSON.stringify({ ms: (performance.now() - begun) / times, short }));
  process.exit(0);
}

/** @returns {Promise<Run>} */
async function ours() {
  const { Command } = await import("../mod.ts");
  return async (file, args) => (await new Command(file, args, { pty: true }).output()).length;
}

/**
 * @param {string} path
 * @returns {Run}
 */
function theirs(path) {
  const pty = createRequire(self)(path);
  return (file, args) =>
    new Promise((resolve) => {
      let length = 0;
      const child = pty.spawn(file, args, { cols: 80, rows: 24, encoding: null });
      child.onData((/** @type {Uint8Array} */ data) => length += data.length);
      child.onExit(() => resolve(length));
    });
}

/**
 * @param {string | undefined} peer
 * @param {number} rounds
 */
function main(peer, rounds) {
  const { bun, deno } = tools();
  /** @type {Record<string, string[]>} */
  const contestants = {
    "osexec on Bun": [bun, "run", self],
    "osexec on Deno": [deno, "run", "-A", "--no-check", self],
    ...peer === undefined ? {} : { "node-pty": [process.execPath, self] },
  };
  /** @type {Map<string, { ms: number, short: number }[]>} */
  const results = new Map();
  for (let round = 0; round < rounds; round++) {
    for (const workload of Object.keys(workloads)) {
      for (const [contestant, [program = "", ...args]] of Object.entries(contestants)) {
        const more = contestant === "node-pty" ? [workload, peer ?? ""] : [workload];
        const { stdout, stderr } = spawnSync(program, [...args, "--do", ...more]);
        if (String(stdout) === "") throw new Error(`${contestant}: ${stderr}`);
        const key = `${workload} ${contestant}`;
        results.set(key, [...results.get(key) ?? [], JSON.parse(String(stdout))]);
      }
    }
  }
  for (const [key, runs] of results) {
    const sorted = runs.map(({ ms }) => ms).sort((a, b) => a - b);
    const median = sorted[sorted.length >> 1] ?? NaN;
    const { times = 1, bytes = 0 } = workloads[key.split(" ")[0] ?? ""] ?? {};
    const short = runs.reduce((sum, run) => sum + run.short, 0);
    const rate = bytes > 1e6 ? `, ${(bytes / 1000 / median).toFixed(0)} MB/s` : "";
    const range = `${sorted[0]?.toFixed(2)} to ${sorted.at(-1)?.toFixed(2)}`;
    console.log(
      `${key}: ${median.toFixed(2)} ms (${range})${rate}; ${short} of ${
        times * runs.length
      } incomplete`,
    );
  }
}
