/** Node and execa, at exact versions from npm, in `.tools/peers/`. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { root } from "../../tools/toolchain.mjs";

/**
 * The package "node" only fetches one of these, by an install script. Named by hand, no script is run.
 */
const NODE_PACKAGE = `node-linux-${process.arch}`;
const PACKAGES = { [NODE_PACKAGE]: "26.10.0", "execa": "10.2.1" };

const folder = join(root, ".tools/peers");
const modules = join(folder, "node_modules");

/**
 * @returns {{ node: string, execa?: string }} a program and a module; where npm cannot install them,
 * the Node that runs this, and no execa
 */
export function findNode() {
  if (!areInstalled()) install();
  if (!areInstalled()) return { node: process.execPath };
  const execa = pathToFileURL(join(modules, "execa/index.js")).href;
  return { node: join(modules, NODE_PACKAGE, "bin/node"), execa };
}

function areInstalled() {
  return Object.entries(PACKAGES).every(([name, version]) => {
    const manifest = join(modules, name, "package.json");
    return existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).version === version;
  });
}

function install() {
  mkdirSync(folder, { recursive: true });
  const packages = Object.entries(PACKAGES).map(([name, version]) => `${name}@${version}`);
  process.stderr.write(`Installing ${packages.join(", ")} into .tools/peers\n`);
  const options = ["--prefix", folder, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"];
  const { status } = spawnSync("npm", ["install", ...options, "--loglevel=error", ...packages], {
    stdio: ["ignore", process.stderr.fd, process.stderr.fd],
  });
  if (status !== 0) process.stderr.write("npm failed: this Node, and no execa\n");
}
