/** The native libraries wherever they are: in a file of their own, or as text in a module. */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { copySources, scratch } from "./job.mjs";
import { toolEnvironment } from "./toolchain.mjs";

/**
 * A library that was found.
 *
 * @typedef {object} Found
 * @property {string} target what it says it is for, in the words of `zig build dist`: "x86_64_linux"
 * @property {string} place the file that it is or is in
 * @property {string} sha256
 * @property {string} [claimed] the sum that the module which has it says it has
 */

/** What is neither a package's nor a source. */
const ELSEWHERE = [".git", ".tools", ".zig-cache", "zig-out", "node_modules", "bench"];

/**
 * All libraries below a folder: nothing of it is run.
 *
 * @param {string} folder
 * @returns {Found[]}
 */
export function findLibraries(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const parts = relative(folder, path).split("/");
      return !parts.some((part) => ELSEWHERE.includes(part));
    });
  return files.sort().flatMap((path) => {
    const place = relative(folder, path);
    const bytes = readFileSync(path);
    const target = targetOf(bytes);
    if (target !== undefined) return [{ target, place, sha256: digest(bytes) }];
    return /\.m?[jt]s$/.test(path) ? inModule(bytes.toString("utf8"), place) : [];
  });
}

/**
 * The text that zig/tools/embed_gen.zig writes, also after a bundler has printed it its own way.
 *
 * @param {string} text
 * @param {string} place
 * @returns {Found[]}
 */
export function inModule(text, place) {
  const claimed = text.match(/^\/\/ sha256 ([0-9a-f]{64}),/m)?.[1];
  // A number may have become "9e4".
  const library =
    /size:\s*([\de]+),\s*parts:\s*\[((?:\s*\[[\de]+,\s*"[A-Za-z0-9+/=]*"\],?)+)\s*\]/g;
  return [...text.matchAll(library)].map(([, size, parts = ""]) => {
    const bytes = Buffer.alloc(Number(size));
    for (const [, offset, part = ""] of parts.matchAll(/\[([\de]+),\s*"([^"]*)"\]/g)) {
      Buffer.from(part, "base64").copy(bytes, Number(offset));
    }
    const target = targetOf(bytes) ?? "no library";
    return { target, place, sha256: digest(bytes), ...(claimed ? { claimed } : {}) };
  });
}

/**
 * What a file is for by its own header, or undefined: it is neither ELF, Mach-O nor PE.
 *
 * @param {Buffer} bytes
 */
function targetOf(bytes) {
  if (bytes.length < 20) return undefined;
  const magic = bytes.readUInt32LE(0);
  if (magic === 0x464c457f) {
    const machine = bytes.readUInt16LE(18);
    return { 62: "x86_64_linux", 183: "aarch64_linux" }[machine] ?? `ELF, machine ${machine}`;
  }
  if (magic === 0xfeedfacf) {
    const cpu = bytes.readUInt32LE(4);
    return { 0x01000007: "x86_64_macos", 0x0100000c: "aarch64_macos" }[cpu] ?? `Mach-O, CPU ${cpu}`;
  }
  // "MZ", and where its header for Windows is.
  if (bytes.readUInt16LE(0) === 0x5a4d && bytes.length > 0x40) {
    const header = bytes.readUInt32LE(0x3c);
    if (header + 6 > bytes.length || bytes.readUInt32LE(header) !== 0x4550) return undefined;
    const machine = bytes.readUInt16LE(header + 4);
    return { 0x8664: "x86_64_windows", 0xaa64: "aarch64_windows" }[machine] ??
      `PE, machine ${machine}`;
  }
  return undefined;
}

/** @param {Uint8Array} bytes */
export function digest(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

/** What `zig build abi dist` writes into the source tree. */
const GENERATED = ["ffi/abi.ts", "ffi/embedded"];

/**
 * The digest of each generated file by its path within the tree.
 *
 * @param {string} tree
 * @returns {Map<string, string>}
 */
export function generatedDigests(tree) {
  const files = GENERATED.flatMap((path) =>
    path.endsWith(".ts") ? [path] : readdirSync(join(tree, path)).map((file) => `${path}/${file}`)
  );
  return new Map(files.map((file) => [file, digest(readFileSync(join(tree, file)))]));
}

/**
 * A copy of the sources, in the scratch folder, as a place to build them that no old output can hide in. What Zig's global
 * cache helps with is Zig's own: the program that reads build.zig, three minutes of 0.17's work, and its runtime.
 *
 * @param {string} name of the copy
 * @returns {import("./job.mjs").Place}
 */
export function cleanCopy(name) {
  const cwd = join(scratch, name);
  copySources(cwd);
  for (const file of generatedDigests(cwd).keys()) writeFileSync(join(cwd, file), "");
  const env = {
    ...toolEnvironment(),
    ZIG_LOCAL_CACHE_DIR: join(cwd, ".zig-cache"),
  };
  return { cwd, env };
}

/** What a clean copy is built by, with zig. */
export const cleanBuild = ["build", "abi", "dist"];
