/** node:child_process, which Node, Bun and Deno have. */

import { Buffer } from "node:buffer";
import { spawn, spawnSync } from "node:child_process";

/**
 * @param {import("node:child_process").ChildProcess} child
 * @returns {Promise<void>}
 */
function closed(child) {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`The child's exit code is ${code}`));
    });
  });
}

/**
 * @template {{ status: number | null, error?: Error | undefined }} Result
 * @param {Result} result
 */
function check(result) {
  if (result.status === 0) return result;
  throw result.error ?? new Error(`The child's exit code is ${result.status}`);
}

/** @type {import("./main.mjs").Adapter} */
export const asynchronous = {
  run(path) {
    return closed(spawn(path, [], { stdio: "inherit" }));
  },
  quiet(path) {
    return closed(spawn(path, [], { stdio: "ignore" }));
  },
  async capture(path) {
    const child = spawn(path, [], { stdio: ["inherit", "pipe", "inherit"] });
    /** @type {Buffer[]} */
    const chunks = [];
    child.stdout.on("data", (chunk) => chunks.push(chunk));
    await closed(child);
    return Buffer.concat(chunks).length;
  },
  async drain(path, mebibytes) {
    const child = spawn(path, [String(mebibytes)], { stdio: ["inherit", "pipe", "inherit"] });
    let total = 0;
    child.stdout.on("data", (chunk) => total += chunk.length);
    await closed(child);
    return total;
  },
  async feed(path, mebibytes, chunk) {
    const child = spawn(path, [String(mebibytes)], { stdio: ["pipe", "inherit", "inherit"] });
    const end = closed(child);
    for (let rest = mebibytes * 2 ** 20; rest > 0; rest -= chunk.length) {
      if (child.stdin.write(chunk)) continue;
      await new Promise((resolve) => child.stdin.once("drain", resolve));
    }
    child.stdin.end();
    await end;
  },
};

/** @type {import("./main.mjs").Adapter} */
export const synchronous = {
  run(path) {
    check(spawnSync(path, [], { stdio: "inherit" }));
  },
  quiet(path) {
    check(spawnSync(path, [], { stdio: "ignore" }));
  },
  capture(path) {
    return check(spawnSync(path, [], { stdio: ["inherit", "pipe", "inherit"] })).stdout.length;
  },
};
