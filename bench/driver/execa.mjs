/** execa, at an exact version from npm, in `.tools/peers/`. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { root } from "../../tools/toolchain.mjs";

const VERSION = "10.2.1";

const folder = join(root, ".tools/peers");
const modules = join(folder, "node_modules");

/** @returns {string | undefined} the module, or none where npm cannot install it */
export function findExeca() {
  if (!isInstalled()) install();
  return isInstalled() ? pathToFileURL(join(modules, "execa/index.js")).href : undefined;
}

function isInstalled() {
  const manifest = join(modules, "execa/package.json");
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).version === VERSION;
}

function install() {
  mkdirSync(folder, { recursive: true });
  process.stderr.write(`Installing execa@${VERSION} into .tools/peers\n`);
  const options = ["--prefix", folder, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"];
  const argv = ["install", ...options, "--loglevel=error", `execa@${VERSION}`];
  const { status } = spawnSync("npm", argv, {
    stdio: ["ignore", process.stderr.fd, process.stderr.fd],
  });
  if (status !== 0) process.stderr.write("npm failed: no execa\n");
}
