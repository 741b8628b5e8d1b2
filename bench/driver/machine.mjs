/** What the figures were taken on, in one line for the report. */

import { spawnSync } from "node:child_process";
import { cpus, loadavg, release, totalmem, type } from "node:os";
import process from "node:process";
import { root } from "../../tools/toolchain.mjs";

/** @typedef {import("./build.mjs").Programs} Programs */

/**
 * @param {Programs} programs
 * @returns {string}
 */
export function describeMachine(programs) {
  const [{ model } = { model: "unknown processor" }] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const versions = [
    version("Bun", programs.bun, "--version"),
    version("Deno", programs.deno, "--version"),
    version("Node", programs.node, "--version"),
    version("Go", programs.go && "go", "version"),
    version("Rust", programs.rust && "rustc", "--version"),
    version("Python", programs.python, "--version"),
  ].filter((text) => text !== undefined);
  return [
    `${new Date().toISOString().slice(0, 10)}, ${type()} ${release()}`,
    `${cpus().length} × ${model.trim()}`,
    `${memory} GiB`,
    `load ${loadavg()[0]?.toFixed(1)} at the start`,
    [`osexec ${commit()}`, ...versions].join(", "),
  ].join("; ");
}

/** Of what was measured: the commit, or else the library that stands in for the package's. */
function commit() {
  const library = process.env["OSEXEC_LIBRARY"];
  if (library) return `with ${library}`;
  const options = /** @type {const} */ ({ cwd: root, encoding: "utf8" });
  const name = spawnSync("git", ["rev-parse", "--short", "HEAD"], options).stdout?.trim();
  const sources = ["--", "mod.ts", "src", "ffi"];
  const isChanged = spawnSync("git", ["diff", "--quiet", "HEAD", ...sources], options).status === 1;
  return name ? `${name}${isChanged ? ", changed" : ""}` : "of no commit";
}

/**
 * @param {string} name
 * @param {string | undefined} program
 * @param {string} flag
 */
function version(name, program, flag) {
  if (!program) return undefined;
  const { stdout } = spawnSync(program, [flag], { encoding: "utf8" });
  const [number] = stdout?.match(/\d+\.\d+\.\d+/) ?? [];
  return number === undefined ? undefined : `${name} ${number}`;
}
