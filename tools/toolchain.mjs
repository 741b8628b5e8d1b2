/**
 * The tools this project is built and tested with, each at one exact version, in `.tools/` of the
 * checkout. The first use downloads them from npm and PyPI; nothing else on the machine is touched.
 *
 *     node tools/toolchain.mjs                     prints where each tool is
 *     node tools/toolchain.mjs zig build test      runs one with the given arguments
 *
 * The tools are bun, deno, node, zig and tsc.
 */

import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** @typedef {{ bun: string, deno: string, node: string, zig: string, tsc: string }} Tools */

/** The package "node" only fetches this one, by an install script; so it is named here, and no script is run. */
const NODE_PACKAGE = `${
  process.platform === "darwin" && process.arch === "arm64" ? "node-bin" : "node"
}-${process.platform}-${process.arch}`;

/**
 * The exact versions from npm. `@types/node` is named because bun-types would take any; acorn reads the package as
 * the oldest JavaScript that it is to be.
 */
const NPM_PACKAGES = {
  "bun": "1.4.5",
  "deno": "2.9.6",
  [NODE_PACKAGE]: "26.10.0",
  "acorn": "8.19.0",
  "typescript": "7.0.2",
  "bun-types": "1.4.5",
  "@types/node": "26.6.6",
};

/** What `tests/watch/trace_test.ts` makes spans with, in a folder of its own: exact versions from npm. */
const TELEMETRY_PACKAGES = {
  "@opentelemetry/api": "1.9.0",
  "@opentelemetry/sdk-trace-base": "2.12.1",
};

/**
 * The exact versions of what makes the declarations of npm's package, and of what its users have and look at it
 * with: in a folder of their own, `.tools/packaging`, as only that needs them.
 */
const PACKAGING = {
  "@arethetypeswrong/cli": "0.18.5",
  "@rollup/plugin-node-resolve": "16.0.3",
  "@rollup/plugin-replace": "6.0.3",
  "@yarnpkg/cli-dist": "4.18.1",
  "esbuild": "0.28.2",
  "pnpm": "12.21.0",
  "publint": "0.3.25",
  "rollup": "4.68.8",
  "rollup-plugin-dts": "6.5.1",
  // The last with an interface for programs, and the first that our types are promised for.
  "typescript": "5.9.3",
  "typescript-5.4": "npm:typescript@5.4.5",
  "vitest": "5.1.2",
};

/** The exact version of `ziglang` from PyPI. Another Zig would build other bytes. */
export const ZIG_VERSION = "0.17.1";

/** Downloads that take longer than this are taken to hang. */
const INSTALL_LIMIT_MS = 20 * 60_000;

/** The root of the checkout. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const folder = join(root, ".tools");
const modules = join(folder, "node_modules");
const zigFolder = join(folder, "zig");
const packagingFolder = join(folder, "packaging");

/** A tool that cannot be had, in words for whoever ran the command. */
export class ToolError extends Error {
  /** @override */
  name = "ToolError";
}

/**
 * Finds the tools, and installs what is missing or has another version.
 *
 * @returns {Tools}
 */
export function tools() {
  return { ...javaScriptTools(), zig: findZig() ?? installZig() };
}

/**
 * The same without zig, for what needs no Python.
 *
 * @returns {Omit<Tools, "zig">}
 */
export function javaScriptTools() {
  return findJavaScriptTools() ?? installJavaScriptTools();
}

/**
 * The environment the tools are to be run with.
 *
 * @returns {Record<string, string | undefined>}
 */
export function toolEnvironment() {
  return {
    ...process.env,
    // Where CI can keep it, and so that no other project's cache decides what is built here.
    ZIG_GLOBAL_CACHE_DIR: join(folder, "zig-cache"),
    DENO_NO_UPDATE_CHECK: "1",
  };
}

/** @returns {Omit<Tools, "zig"> | undefined} */
function findJavaScriptTools() {
  if (!hasPackages(modules, NPM_PACKAGES)) return undefined;
  // The packages "bun" and "deno" only pick one of these by an install script, and npm 11 runs
  // those when asked to only; so they are picked here. An older npm installs glibc and musl both.
  const bun = firstThatIs(NPM_PACKAGES.bun, filesBelow("@oven", "bin/bun"));
  const deno = firstThatIs(NPM_PACKAGES.deno, filesBelow("@deno", "deno"));
  const node = firstThatIs(NPM_PACKAGES[NODE_PACKAGE] ?? "", [
    join(modules, NODE_PACKAGE, "bin/node"),
  ]);
  const tsc = join(modules, "typescript/bin/tsc");
  return bun && deno && node && existsSync(tsc) ? { bun, deno, node, tsc } : undefined;
}

/** Installs OpenTelemetry's packages below `.tools/opentelemetry`, if they are not there. */
export function installTelemetry() {
  packagesIn(join(folder, "opentelemetry"), TELEMETRY_PACKAGES);
}

/**
 * The `node_modules` that has PACKAGING, and installs what is missing or has another version.
 *
 * @returns {string}
 */
export function packagingTools() {
  return packagesIn(packagingFolder, PACKAGING);
}

/**
 * Installs what is missing in a folder, or has another version there.
 *
 * @param {string} place
 * @param {Readonly<Record<string, string>>} wanted
 * @returns {string} its `node_modules`
 */
function packagesIn(place, wanted) {
  const found = join(place, "node_modules");
  if (!hasPackages(found, wanted)) installPackages(place, wanted);
  return found;
}

/**
 * Whether a `node_modules` has these packages in these versions.
 *
 * @param {string} where
 * @param {Readonly<Record<string, string>>} packages
 */
function hasPackages(where, packages) {
  return Object.entries(packages).every(([name, wanted]) => {
    const manifest = join(where, name, "package.json");
    if (!existsSync(manifest)) return false;
    // What has another name here is given as "npm:name@version".
    return JSON.parse(readFileSync(manifest, "utf8")).version === wanted.split("@").at(-1);
  });
}

/**
 * @param {string} place
 * @param {Record<string, string>} wanted
 * @returns {string[]}
 */
function installPackages(place, wanted) {
  rmSync(join(place, "node_modules"), { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  const packages = Object.entries(wanted).map(([name, version]) => `${name}@${version}`);
  install("npm", [
    ...["install", "--prefix", place, "--no-save", "--ignore-scripts", "--include=optional"],
    ...["--no-audit", "--no-fund", "--loglevel=error", ...packages],
  ]);
  return packages;
}

/** @returns {Omit<Tools, "zig">} */
function installJavaScriptTools() {
  const packages = installPackages(folder, NPM_PACKAGES);
  const found = findJavaScriptTools();
  if (found) return found;
  throw new ToolError(`npm installed ${packages.join(", ")}, but they do not run on this machine`);
}

/**
 * Bun for another system than this one, of the version that everything is tested with.
 *
 * @param {string} system as npm's package has it, e.g. "linux-x64-musl"
 * @param {string} [file] in that package
 * @returns {string}
 */
export function otherBun(system, file = "bin/bun") {
  const name = `@oven/bun-${system}`;
  const place = join(folder, "bun", `${system}-${NPM_PACKAGES.bun}`);
  const bun = join(place, "node_modules", name, file);
  if (existsSync(bun)) return bun;
  mkdirSync(place, { recursive: true });
  install("npm", [
    ...["install", "--prefix", place, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"],
    // It is for another system, which npm takes for a mistake.
    ...["--force", "--loglevel=error", `${name}@${NPM_PACKAGES.bun}`],
  ]);
  if (!existsSync(bun)) throw new ToolError(`npm has installed no ${bun}`);
  return bun;
}

/**
 * Packages of PyPI, for whichever system and Python, unpacked into a folder of their own.
 *
 * @param {string} name of the folder in `.tools/`
 * @param {readonly string[]} packages with their versions
 * @param {readonly string[]} options of pip
 * @returns {string} the folder
 */
export function pythonPackages(name, packages, options) {
  const place = join(folder, name);
  const what = [...options, ...packages].join(" ");
  // What it was made of, written last.
  const stamp = `${place}.packages`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === what) return place;
  rmSync(place, { recursive: true, force: true });
  mkdirSync(dirname(place), { recursive: true });
  pip(place, [...options, ...packages]);
  writeFileSync(stamp, what);
  return place;
}

/** @returns {string | undefined} */
function findZig() {
  return firstThatIs(ZIG_VERSION, [join(zigFolder, "ziglang/zig"), "zig"]);
}

/** @returns {string} */
function installZig() {
  if (spawnSync("python3", ["-m", "pip", "--version"]).status !== 0) {
    throw new ToolError(
      `Cannot install zig ${ZIG_VERSION}: python3 with pip is needed (Debian: apt-get install ` +
        `python3-pip), or a zig of exactly that version on the PATH`,
    );
  }
  rmSync(zigFolder, { recursive: true, force: true });
  pip(zigFolder, [`ziglang==${ZIG_VERSION}`]);
  const found = findZig();
  if (found) return found;
  throw new ToolError(`pip installed ziglang ${ZIG_VERSION}, but it does not run on this machine`);
}

/**
 * @param {string} place a folder of its own: not the system's Python, so PEP 668 has nothing against it
 * @param {string[]} parameters
 */
function pip(place, parameters) {
  install("python3", [
    ...["-m", "pip", "install", "--target", place, "--no-deps", "--no-compile"],
    ...["--only-binary", ":all:", "--quiet", ...parameters],
  ]);
}

/**
 * @param {string} program
 * @param {string[]} parameters
 */
function install(program, parameters) {
  const line = [program, ...parameters].join(" ");
  process.stderr.write(`Installing: ${line}\n`);
  const result = spawnSync(program, parameters, {
    // Standard output is for the answer of whoever called.
    stdio: ["ignore", process.stderr.fd, process.stderr.fd],
    timeout: INSTALL_LIMIT_MS,
    env: {
      ...process.env,
      PIP_DISABLE_PIP_VERSION_CHECK: "1",
      PIP_ROOT_USER_ACTION: "ignore",
      PIP_USER: "0", // It would contradict --target.
    },
  });
  if (result.status === 0) return;
  const reason = result.error?.message ?? `exit ${result.status ?? result.signal}`;
  throw new ToolError(`Cannot install the tools: ${line}: ${reason}`);
}

/**
 * The given file of each package below a scope, whether or not it exists.
 *
 * @param {string} scope
 * @param {string} file
 */
function filesBelow(scope, file) {
  const path = join(modules, scope);
  return existsSync(path) ? readdirSync(path).map((name) => join(path, name, file)) : [];
}

/**
 * The first program that runs and says it has this version.
 *
 * @param {string} version
 * @param {string[]} programs
 */
function firstThatIs(version, programs) {
  return programs.find((program) => {
    const flag = program.endsWith("zig") ? "version" : "--version";
    const { status, stdout } = spawnSync(program, [flag], { encoding: "utf8" });
    return status === 0 && stdout.match(/\d+\.\d+\.\d+\S*/)?.[0] === version;
  });
}

/**
 * Whether a module is the program, and not imported by another.
 *
 * @param {string} url its own
 */
export function isProgram(url) {
  return process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(url);
}

/**
 * Runs one tool in the caller's place.
 *
 * @param {string | undefined} name
 * @param {string[]} parameters
 * @returns {number} the exit code
 */
function main(name, parameters) {
  const found = tools();
  if (name === undefined) {
    for (const [tool, path] of Object.entries(found)) console.log(`${tool.padEnd(5)}${path}`);
    return 0;
  }
  const program = Object.entries(found).find(([tool]) => tool === name)?.[1];
  if (!program) {
    throw new ToolError(`No tool is called "${name}": ${Object.keys(found).join(", ")}`);
  }
  const [file, ...rest] = name === "tsc"
    ? [process.execPath, program, ...parameters]
    : [program, ...parameters];
  const result = spawnSync(file, rest, { stdio: "inherit", env: toolEnvironment() });
  if (result.error) throw new ToolError(`Cannot run ${program}: ${result.error.message}`);
  return result.status ?? 1;
}

if (isProgram(import.meta.url)) {
  try {
    process.exitCode = main(process.argv[2], process.argv.slice(3));
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
