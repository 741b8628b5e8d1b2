/**
 * Where the binary comes from: finds the native libraries in a package and says what they are.
 *
 *     node tools/verify.mjs <tarball | folder>            the libraries, with their sha256
 *     node tools/verify.mjs <tarball | folder> --build    and compares them with a clean build of this checkout
 *
 * Nothing of the package is run. It fails if there is none, if two copies for one target differ, if one is not what
 * the module around it or the package's CHANGELOG.md says, if one is for no known target, and with --build if a
 * clean build by the pinned Zig gives other bytes. For a release, check out its tag first.
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { scratch } from "./job.mjs";
import { cleanBuild, cleanCopy, findLibraries } from "./libraries.mjs";
import { isProgram, root, ToolError, tools } from "./toolchain.mjs";

/** Those that a package has. */
const TARGETS = ["linux", "macos", "windows"].flatMap((os) => [`aarch64_${os}`, `x86_64_${os}`]);

/**
 * The libraries of a package, to be printed, and what is wrong with them.
 *
 * @param {string} path
 * @param {boolean} build
 * @returns {{ found: string[], wrong: string[] }}
 */
export function verify(path, build) {
  const folder = unpack(path);
  const libraries = findLibraries(folder);
  const built = build ? buildAnew() : undefined;
  /** @type {string[]} */
  const found = [];
  /** @type {string[]} */
  const wrong = [];
  for (const target of new Set([...TARGETS, ...libraries.map((each) => each.target)])) {
    const copies = libraries.filter((each) => each.target === target);
    const sums = [...new Set(copies.map(({ sha256 }) => sha256))];
    for (const sum of sums) {
      const places = copies.filter(({ sha256 }) => sha256 === sum).map(({ place }) => place);
      found.push(`${sum}  ${target}`, ...places.map((place) => `    ${place}`));
    }
    if (!TARGETS.includes(target)) wrong.push(`${copies[0]?.place}: is for no known target`);
    else if (copies.length === 0) wrong.push(`${target}: is not there`);
    if (sums.length > 1) wrong.push(`${target}: copies differ`);
    for (const { place, sha256, claimed } of copies) {
      if (claimed !== undefined && claimed !== sha256) wrong.push(`${place}: says ${claimed}`);
    }
    const theirs = built?.get(target);
    if (built === undefined || sums.length === 0) continue;
    if (sums.every((sum) => sum === theirs)) found.push("    a clean build gives the same");
    else wrong.push(`${target}: a clean build gives ${theirs}`);
  }
  wrong.push(...unlike(folder, new Set(libraries.map(({ sha256 }) => sha256))));
  return { found, wrong };
}

/**
 * The sums in the first section of the package's changelog that no library has: all of a release's are there.
 *
 * @param {string} folder
 * @param {Set<string>} sums
 */
function unlike(folder, sums) {
  const path = join(folder, "CHANGELOG.md");
  if (!existsSync(path)) return [];
  const said = sumsOf(readFileSync(path, "utf8"));
  return said.filter((sum) => !sums.has(sum)).map((sum) => `CHANGELOG.md: no library has ${sum}`);
}

/**
 * The sums of the newest version in a changelog.
 *
 * @param {string} changelog
 */
export function sumsOf(changelog) {
  const [, newest = ""] = changelog.split(/^## /m);
  return newest.match(/\b[0-9a-f]{64}\b/g) ?? [];
}

/**
 * The folder of a package that may be a tarball.
 *
 * @param {string} path
 */
function unpack(path) {
  if (!existsSync(path)) throw new ToolError(`${path}: there is no such file`);
  if (statSync(path).isDirectory()) return resolve(path);
  const folder = mkdtempSync(join(scratch, "package-"));
  const { status, stderr, error } = spawnSync("tar", ["-xzf", resolve(path), "-C", folder]);
  if (status !== 0) throw new ToolError(`${path}: ${error?.message ?? stderr}`);
  // npm packs all in one folder, "package".
  const inner = join(folder, "package");
  return existsSync(inner) ? inner : folder;
}

/** @returns {Map<string, string>} the sum by the target */
function buildAnew() {
  const { zig } = tools();
  const place = cleanCopy("verify");
  const { status, error } = spawnSync(zig, cleanBuild, {
    ...place,
    stdio: ["ignore", process.stderr.fd, process.stderr.fd],
  });
  if (status !== 0) throw new ToolError(`Cannot build ${root}: ${error?.message ?? status}`);
  const built = findLibraries(join(place.cwd, "zig-out/dist"));
  return new Map(built.map(({ target, sha256 }) => [target, sha256]));
}

if (isProgram(import.meta.url)) {
  try {
    const paths = process.argv.slice(2).filter((argument) => argument !== "--build");
    const [path] = paths;
    if (path === undefined || paths.length > 1) {
      throw new ToolError("Usage: node tools/verify.mjs <tarball | folder> [--build]");
    }
    const { found, wrong } = verify(path, process.argv.includes("--build"));
    for (const line of found) console.log(line);
    for (const line of wrong) console.error(`WRONG: ${line}`);
    process.exitCode = wrong.length > 0 ? 1 : 0;
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
