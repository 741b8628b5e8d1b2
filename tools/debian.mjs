/**
 * Debian's packages of some architecture, unpacked and not installed. It is this machine's own apt
 * that gets them, from wherever it gets everything, but with lists and a state of its own: what is
 * installed here, and for which architectures, stays as it is.
 */

import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ToolError } from "./toolchain.mjs";

/** Downloads that take longer than this are taken to hang. */
const LIMIT_MS = 10 * 60_000;

/** Packages of one architecture, in folders below a given one. */
export class Packages {
  #folder;
  /** @type {string[]} */
  #options;
  #hasNewLists = false;

  /**
   * @param {string} folder
   * @param {string} architecture in Debian's words
   */
  constructor(folder, architecture) {
    this.#folder = folder;
    const state = join(folder, "apt");
    this.#options = [
      `Dir::State=${state}`,
      // An empty file: nothing is installed, so every dependency is to be got.
      `Dir::State::status=${join(state, "status")}`,
      `Dir::Cache=${state}`,
      `APT::Architecture=${architecture}`,
      `APT::Architectures=${architecture}`,
      "APT::Sandbox::User=root",
      "Debug::NoLocking=true",
    ].flatMap((option) => ["-o", option]);
  }

  /**
   * The folder `name`, where these packages and all that they depend on are unpacked together.
   *
   * @param {string} name
   * @param {readonly string[]} packages
   * @returns {string}
   */
  tree(name, packages) {
    return this.#unpack(name, packages.join(", "), (download) => {
      const options = ["-o", `Dir::Cache::archives=${download}`];
      const install = ["install", "-y", "--download-only", "--no-install-recommends"];
      run("apt-get", [...this.#options, ...options, ...install, ...packages]);
    });
  }

  /**
   * The folder `name`, where these packages alone are unpacked.
   *
   * @param {string} name
   * @param {readonly string[]} packages
   * @returns {string}
   */
  only(name, packages) {
    return this.#unpack(name, `${packages.join(", ")} alone`, (download) => {
      run("apt-get", [...this.#options, "download", ...packages], download);
    });
  }

  /**
   * The folder where the package is unpacked that this one stands for, as one stands for the newest
   * kernel: the first that it depends on, and that one alone.
   *
   * @param {string} name
   * @returns {string}
   */
  latest(name) {
    return this.#unpack(name, name, (download) => {
      const text = run("apt-cache", [...this.#options, "show", "--no-all-versions", name]);
      const found = text.match(/^Depends: ([^\s,]+)/m)?.[1];
      if (!found) throw new ToolError(`Debian's package ${name} depends on nothing`);
      run("apt-get", [...this.#options, "download", found], download);
    });
  }

  /**
   * @param {string} name of the folder
   * @param {string} what in words
   * @param {(folder: string) => void} download
   */
  #unpack(name, what, download) {
    const place = join(this.#folder, name);
    // What it was made of, written last.
    const stamp = `${place}.packages`;
    if (existsSync(stamp) && readFileSync(stamp, "utf8") === what) return place;
    rmSync(place, { recursive: true, force: true });
    process.stderr.write(`Getting Debian's ${what}\n`);
    this.#refresh();
    const archives = join(this.#folder, "archives");
    rmSync(archives, { recursive: true, force: true });
    mkdirSync(join(archives, "partial"), { recursive: true });
    download(archives);
    const files = readdirSync(archives).filter((file) => file.endsWith(".deb"));
    if (files.length === 0) throw new ToolError(`apt-get has downloaded nothing for ${what}`);
    for (const file of files) run("dpkg-deb", ["-x", file, "unpacked"], archives);
    renameSync(join(archives, "unpacked"), place);
    rmSync(archives, { recursive: true });
    writeFileSync(stamp, what);
    return place;
  }

  /** Lists that are days old name versions that are gone. */
  #refresh() {
    if (this.#hasNewLists) return;
    const state = join(this.#folder, "apt");
    mkdirSync(join(state, "lists/partial"), { recursive: true });
    mkdirSync(join(state, "archives/partial"), { recursive: true });
    writeFileSync(join(state, "status"), "");
    run("apt-get", [...this.#options, "update"]);
    this.#hasNewLists = true;
  }
}

/**
 * Sees to it that a program is there, as a package of this machine's own; for that one must be root.
 *
 * @param {string} program
 * @param {string} name the package with it
 */
export function ensureInstalled(program, name) {
  if (spawnSync(program, ["--version"]).status === 0) return;
  // dpkg waits for its lock: another of these may be at work.
  const options = ["-o", "DPkg::Lock::Timeout=300", "--no-install-recommends"];
  const packages = ["install", "-y", ...options, name];
  if (process.getuid?.() !== 0) {
    throw new ToolError(`${program} is needed. As root: apt-get install ${name}`);
  }
  process.stderr.write(`Installing ${name}\n`);
  run("apt-get", ["update"]);
  run("apt-get", packages);
}

/**
 * @param {string} program
 * @param {string[]} parameters
 * @param {string} [cwd]
 * @returns {string} its standard output
 */
function run(program, parameters, cwd = "/") {
  const result = spawnSync(program, parameters, {
    cwd,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
    timeout: LIMIT_MS,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
  });
  if (result.status === 0) return result.stdout;
  const reason = result.error?.message ?? `exit ${result.status ?? result.signal}`;
  const line = [program, ...parameters].join(" ");
  throw new ToolError(`Failed: ${line}: ${reason}\n${result.stderr ?? ""}`);
}
