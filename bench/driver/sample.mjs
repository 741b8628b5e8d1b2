/** What a process holds, seen from outside. */

import { readdirSync, readFileSync } from "node:fs";

/**
 * @typedef {object} Sample
 * @property {number} rss bytes
 * @property {number} peak bytes
 * @property {number} threads all of them
 * @property {number} unnamed threads besides the first that have its name, and those called osexec: the
 * runtimes name theirs, a thread of a library inherits
 * @property {number} descriptors
 * @property {number} children zombies included
 */

/**
 * @param {number} pid
 * @returns {Sample}
 */
export function sample(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kibibytes = (/** @type {string} */ field) =>
    Number(status.match(new RegExp(`^${field}:\\s*(\\d+) kB`, "m"))?.[1]);
  const threads = readdirSync(`/proc/${pid}/task`);
  const names = threads.map((thread) => firstLine(`/proc/${pid}/task/${thread}/comm`));
  const first = firstLine(`/proc/${pid}/comm`);
  return {
    rss: kibibytes("VmRSS") * 1024,
    peak: kibibytes("VmHWM") * 1024,
    threads: threads.length,
    unnamed: names.filter((name) => name === first || name.startsWith("osexec")).length - 1,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    children: childrenOf(pid),
  };
}

/** @param {number} pid */
function childrenOf(pid) {
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  // After the name, which may hold anything: the state, and the parent.
  const parents = processes.map((name) => firstLine(`/proc/${name}/stat`).split(") ").at(-1));
  return parents.filter((rest) => rest?.split(" ")[1] === String(pid)).length;
}

/** @param {string} path */
function firstLine(path) {
  try {
    return readFileSync(path, "utf8").split("\n")[0] ?? "";
  } catch {
    return ""; // It has ended meanwhile.
  }
}
