/** Builds the children and the contestants, and finds the programs that run them. */

import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { makePackage } from "../../tools/package.mjs";
import { root, toolEnvironment, ToolError } from "../../tools/toolchain.mjs";
import { findExeca } from "./execa.mjs";

/**
 * The programs there are; those that may be missing are not on every machine.
 *
 * @typedef {object} Programs
 * @property {string} bun
 * @property {string} deno
 * @property {string} node
 * @property {string} c
 * @property {string} measure
 * @property {string} [go]
 * @property {string} [rust]
 * @property {string} [python]
 * @property {string} [execa] the module
 */

export const benchFolder = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where the children and everything else that is built is put: with what else no commit has. */
export const binFolder = join(root, ".tools/bench");

const CHILDREN = ["tiny", "line", "block", "source", "sink"];
const ZIG_OPTIONS = ["-O", "small", "-fstrip", "-fsingle-threaded", "-fno-unwind-tables"];
const C_OPTIONS = ["-std=gnu11", "-O2", "-Wall", "-Wextra"];

/** The programs in C, with the sources of each and the options beside the usual. */
const C_PROGRAMS = {
  "c": { sources: ["main.c", "spawn.c", "stream.c"], options: ["-pthread"] },
  "measure": { sources: ["measure.c", "spawn.c"], options: [] },
  "libfloor.so": { sources: ["floor.c", "spawn.c"], options: ["-shared", "-fPIC"] },
};

/**
 * Builds what is needed and not up to date.
 *
 * @param {import("../../tools/toolchain.mjs").Tools} tools
 * @param {boolean} withPeers also those that are neither ours, nor C, nor the runtimes' own
 * @returns {Programs}
 */
export function build(tools, withPeers) {
  const { bun, deno, node, zig } = tools;
  mkdirSync(binFolder, { recursive: true });
  buildChildren(zig);
  buildC(zig);
  makePackage(tools);
  writePackageScripts();
  compileExecutables(bun);
  const c = join(binFolder, "c");
  const programs = { bun, deno, node, c, measure: join(binFolder, "measure") };
  if (!withPeers) return programs;
  const optional = { go: buildGo(), rust: buildRust(), python: findPython(), execa: findExeca() };
  const there = Object.entries(optional).filter(([, program]) => program !== undefined);
  return { ...programs, ...Object.fromEntries(there) };
}

/** The start-up scripts, in `binFolder`, with npm's package as installed there instead of the sources. */
function writePackageScripts() {
  const { name } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const installed = join(binFolder, "node_modules", name);
  rmSync(installed, { recursive: true, force: true });
  for (const part of ["package.json", "dist"]) {
    cpSync(join(root, part), join(installed, part), { recursive: true });
  }
  writeFileSync(join(binFolder, "package.json"), '{ "type": "module" }\n');
  for (const file of ["osexec.mjs", "osexec_sync.mjs"]) {
    const script = readFileSync(join(benchFolder, "startup", file), "utf8");
    writeFileSync(join(binFolder, file), script.replace("../../mod.ts", name));
  }
}

/**
 * The scripts of npm's package, and an empty one, each as an executable of Bun's, with bytecode.
 *
 * @param {string} bun
 */
function compileExecutables(bun) {
  writeFileSync(join(binFolder, "empty.mjs"), "");
  for (const name of ["empty", "osexec", "osexec_sync"]) {
    const options = ["--compile", "--bytecode", "--format=esm", "--target=bun"];
    const output = `--outfile=${join(binFolder, `${name}.executable`)}`;
    make(bun, ["build", ...options, join(binFolder, `${name}.mjs`), output]);
  }
}

/** @param {string} zig */
function buildChildren(zig) {
  // Without a libc, so that it is the same file on every Linux.
  const architecture = process.arch === "arm64" ? "aarch64" : "x86_64";
  const target = ["-target", `${architecture}-linux-none`, "-mcpu", "baseline"];
  for (const name of CHILDREN) {
    const source = join(benchFolder, "children", `${name}.zig`);
    const output = join(binFolder, name);
    if (isFresh(output, [source])) continue;
    make(zig, ["build-exe", source, ...ZIG_OPTIONS, ...target, `-femit-bin=${output}`]);
  }
}

/** @param {string} zig */
function buildC(zig) {
  const folder = join(benchFolder, "c");
  for (const [name, { sources, options }] of Object.entries(C_PROGRAMS)) {
    const output = join(binFolder, name);
    if (isFresh(output, filesIn(folder))) continue;
    const files = sources.map((source) => join(folder, source));
    make(zig, ["cc", ...C_OPTIONS, ...options, ...files, "-o", output]);
  }
}

/** @returns {string | undefined} */
function buildGo() {
  const folder = join(benchFolder, "go");
  const output = join(binFolder, "go");
  if (isFresh(output, filesIn(folder))) return output;
  if (!isThere("go", "version")) return undefined;
  return makePeer("go", ["build", "-C", folder, "-o", output, "."]) ? output : undefined;
}

/** @returns {string | undefined} */
function buildRust() {
  const folder = join(benchFolder, "rust");
  const target = join(binFolder, "rust-target");
  const output = join(target, "release/bench");
  if (isFresh(output, [...filesIn(folder), ...filesIn(join(folder, "src"))])) return output;
  if (!isThere("cargo", "--version")) return undefined;
  const manifest = ["--manifest-path", join(folder, "Cargo.toml"), "--target-dir", target];
  return makePeer("cargo", ["build", "--release", "--locked", "--quiet", ...manifest])
    ? output
    : undefined;
}

/**
 * The interpreter itself: what is on the PATH may be a script that looks for it.
 *
 * @returns {string | undefined}
 */
function findPython() {
  const options = ["-c", "import sys; print(sys.executable)"];
  const { status, stdout } = spawnSync("python3", options, { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

/**
 * @param {string} program
 * @param {string} flag
 */
function isThere(program, flag) {
  return spawnSync(program, [flag]).status === 0;
}

/**
 * Whether a file is newer than all that it is made of.
 *
 * @param {string} output
 * @param {string[]} sources
 */
function isFresh(output, sources) {
  if (!existsSync(output)) return false;
  const { mtimeMs } = statSync(output);
  return sources.every((source) => statSync(source).mtimeMs < mtimeMs);
}

/** @param {string} folder */
function filesIn(folder) {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => join(folder, name));
}

/**
 * @param {string} program
 * @param {string[]} parameters
 */
function make(program, parameters) {
  const line = [program, ...parameters].join(" ").replaceAll(`${root}/`, "");
  process.stderr.write(`${line}\n`);
  const { status, error } = spawnSync(program, parameters, {
    stdio: ["ignore", process.stderr.fd, process.stderr.fd],
    env: { ...toolEnvironment(), ZIG_LOCAL_CACHE_DIR: join(root, ".zig-cache"), CGO_ENABLED: "0" },
  });
  if (status !== 0) throw new ToolError(`Cannot build: ${line}: ${error?.message ?? status}`);
}

/**
 * Without a peer one can still measure.
 *
 * @param {string} program
 * @param {string[]} parameters
 */
function makePeer(program, parameters) {
  try {
    make(program, parameters);
    return true;
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    process.stderr.write(`${error.message}; left out\n`);
    return false;
  }
}
