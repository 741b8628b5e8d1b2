/**
 * The contestants in JavaScript, on Bun, Deno and Node.
 *
 *     RUNTIME main.mjs MODULE-EXPORT WORKLOAD COUNT WARMUP SIZE
 *
 * What the arguments mean, and the line of JSON that every contestant prints, is told in
 * driver/workloads.mjs.
 */

import { openSync, readSync, writeSync } from "node:fs";
import process from "node:process";
import { lateness } from "./lateness.mjs";

/**
 * One way to start processes. What answers at once instead of by a promise blocks the thread.
 * `drain` answers the number of bytes that came, `capture` also.
 *
 * @typedef {object} Adapter
 * @property {(path: string) => void | Promise<void>} run
 * @property {(path: string) => void | Promise<void>} [quiet] with its streams at /dev/null
 * @property {(path: string, length: number) => number | Promise<number>} capture
 * @property {(path: string, mebibytes: number) => Promise<number>} [drain]
 * @property {(path: string, mebibytes: number, chunk: Uint8Array) => Promise<void>} [feed]
 */

const [variant = "", workload = "", ...numbers] = process.argv.slice(2);
const [count = 0, warmup = 0, size = 0] = numbers.map(Number);
const [module = "", name = ""] = variant.split("-");

/** @type {Record<string, Adapter>} */
const adapters = await import(`./${module}.mjs`);
const adapter = /** @type {Adapter} */ (adapters[name]);

/** @param {string} child */
function childPath(child) {
  return `${process.env["BENCH_CHILDREN"]}/${child}`;
}

/** @param {number} number */
async function sequential(number) {
  const path = childPath("tiny");
  const run = workload === "null" ? adapter.quiet : adapter.run;
  if (run === undefined) throw new Error(`${variant} does not do ${workload}`);
  for (let index = 0; index < number; index++) {
    const pending = run(path);
    if (pending) await pending;
  }
}

/**
 * Calls a function so many times, and keeps so many of the calls in flight.
 *
 * @param {number} number
 * @param {() => void | Promise<void>} call
 */
async function parallel(number, call) {
  let left = number;
  const lane = async () => {
    while (left-- > 0) {
      const pending = call();
      if (pending) await pending;
    }
  };
  await Promise.all(Array.from({ length: size }, lane));
}

/**
 * @param {string} child
 * @param {number} expected
 */
async function capture(child, expected) {
  const answer = adapter.capture(childPath(child), expected);
  const length = typeof answer === "number" ? answer : await answer;
  if (length !== expected) throw new Error(`${length} bytes came instead of ${expected}`);
}

/** @param {number} mebibytes */
async function drain(mebibytes) {
  const length = await adapter.drain?.(childPath("source"), mebibytes);
  if (length !== mebibytes * 2 ** 20) throw new Error(`${length} bytes came`);
}

/** @param {number} mebibytes */
async function feed(mebibytes) {
  await adapter.feed?.(childPath("sink"), mebibytes, new Uint8Array(2 ** 16).fill(0x78));
}

/** @param {number} number */
async function work(number) {
  const path = childPath("tiny");
  if (workload === "parallel" || workload === "memory") {
    await parallel(number, () => adapter.run(path));
  } else if (workload === "line" || workload === "block") {
    for (let index = 0; index < number; index++) await capture(workload, size);
  } else if (workload === "lateness") {
    await parallel(number, () => capture("line", 12));
  } else if (workload === "out") {
    await drain(number);
  } else if (workload === "in") {
    await feed(number);
  } else {
    await sequential(number);
  }
}

/** Takes what a process may hold while it starts others. */
function hold() {
  if (workload === "descriptors") {
    return Array.from({ length: size }, () => openSync("/dev/null", "r"));
  }
  const heap = new Uint8Array(workload === "heap" ? size * 2 ** 20 : 0);
  for (let offset = 0; offset < heap.length; offset += 4096) heap[offset] = 1;
  return heap;
}

/**
 * The driver looks at this process, and then lets it go on.
 *
 * @param {string} mark
 */
async function mark(mark) {
  writeSync(2, `MARK ${mark}\n`);
  for (;;) {
    try {
      if (readSync(0, new Uint8Array(1)) === 1) return;
      process.exit(2);
    } catch (error) {
      // Node, when it starts children, makes it non-blocking.
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EAGAIN") throw error;
      await sleep(1);
    }
  }
}

/** @param {number} milliseconds */
function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Twice, as what a finalizer frees is left to the second. */
async function collectGarbage() {
  for (let turn = 0; turn < 2; turn++) {
    if ("Bun" in globalThis) Bun.gc(true);
    else globalThis.gc?.();
    await sleep(500);
  }
}

function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/**
 * Does the work, with the clock running.
 *
 * @param {Record<string, unknown>} figures
 */
async function measure(figures) {
  const cpu = cpuSeconds();
  const begin = performance.now();
  const pending = work(count);
  if (workload === "lateness") figures["late"] = await lateness(pending);
  await pending;
  figures["seconds"] = (performance.now() - begin) / 1e3;
  figures["cpu"] = cpuSeconds() - cpu;
}

/** @type {Record<string, unknown>} */
const figures = {};
if (workload === "memory") await mark("fresh");
if (workload === "heap" || workload === "descriptors") await work(warmup);
const held = hold();
await work(warmup);
if (workload === "lateness") figures["idle"] = await lateness(sleep(500));
if (workload === "memory") {
  await collectGarbage();
  await mark("warm");
}
await measure(figures);
if (workload === "memory") {
  await mark("end");
  await collectGarbage();
  await mark("idle");
}
if (held.length < 0) throw new Error("It must be reachable until here");
console.log(JSON.stringify(figures));
process.exit(0);
