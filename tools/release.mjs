/**
 * A release: refuses what is not ready, and publishes to npm and JSR what was checked.
 *
 *     node tools/release.mjs --dry-run    shows what is refused, and all that would be published
 *     node tools/release.mjs              publishes; in .github/workflows/release.yml alone
 *
 * Nobody has a token: both registries take the word of the workflow (trusted publishing), and sign where the
 * package was built (provenance). CONTRIBUTING.md, "A release", says how one is prepared.
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { scratch } from "./job.mjs";
import { findLibraries } from "./libraries.mjs";
import {
  isProgram,
  javaScriptTools,
  root,
  toolEnvironment,
  ToolError,
  ZIG_VERSION,
} from "./toolchain.mjs";
import { sumsOf, verify } from "./verify.mjs";

/** The address in the words that package.json may have it in: the one place where it stands. */
const ADDRESS = /^(?:github:|git\+https:\/\/github\.com\/)([\w.-]+\/[\w.-]+?)(?:\.git)?$/;

/**
 * Why a checkout cannot be released, as far as its files say.
 *
 * @param {string} folder
 * @returns {string[]}
 */
export function refusals(folder) {
  const read = (/** @type {string} */ file) => readFileSync(join(folder, file), "utf8");
  const { version, repository } = JSON.parse(read("package.json"));
  const changelog = read("CHANGELOG.md");
  const [, newest = ""] = changelog.split(/^## /m);
  const sums = new Set(sumsOf(changelog));
  const versions = {
    "jsr.json": JSON.parse(read("jsr.json")).version,
    "build.zig.zon": read("build.zig.zon").match(/\.version = "(.*)"/)?.[1],
    "CHANGELOG.md": newest.match(/^\S+/)?.[0],
    "README.md": read("README.md").match(/^Version (\d+\.\d+\.\d+\S*?)[,.]\s/m)?.[1],
  };
  const zig = read("build.zig.zon").match(/\.minimum_zig_version = "(.*)"/)?.[1];
  const lines = Object.entries(versions)
    .filter(([, each]) => each !== version)
    .map(([file, each]) => `${file}: its version is ${each}, not package.json's ${version}`);
  if (zig !== ZIG_VERSION) {
    lines.push(`build.zig.zon: zig ${zig}, but the tools are ${ZIG_VERSION}`);
  }
  if (addressOf(repository) === undefined) {
    lines.push(
      'package.json: no repository; `npm pkg set repository="github:OWNER/NAME"` says where this is, and npm makes ' +
        "homepage and bugs of it",
    );
  }
  if (!/^\S+ \(20\d\d-\d\d-\d\d\)\n/.test(newest)) {
    lines.push(`CHANGELOG.md: "## ${newest.split("\n")[0]}" is to be "## ${version} (the day)"`);
  }
  if (!/^- /m.test(newest)) lines.push("CHANGELOG.md: nothing is said of what is new");
  for (const { target, sha256 } of findLibraries(join(folder, "ffi/embedded"))) {
    if (!sums.has(sha256)) lines.push(`CHANGELOG.md: is to say "${target} ${sha256}"`);
  }
  if (/not (?:yet )?published|neither is published/i.test(read("README.md"))) {
    lines.push("README.md: says that this is not published");
  }
  return lines;
}

/**
 * The name of the repository, or undefined: there is none.
 *
 * @param {unknown} repository package.json's
 * @returns {string | undefined}
 */
function addressOf(repository) {
  const isRecord = typeof repository === "object" && repository !== null;
  const address = isRecord && "url" in repository ? repository.url : repository;
  return typeof address === "string" ? ADDRESS.exec(address)?.[1] : undefined;
}

/**
 * Why it cannot be released, as far as git says.
 *
 * @param {string} tag
 * @returns {string[]}
 */
function refusalsOfGit(tag) {
  const git = (/** @type {string[]} */ ...argv) => {
    const { status, stdout, stderr } = spawnSync("git", argv, { cwd: root, encoding: "utf8" });
    if (status !== 0) throw new ToolError(`git ${argv.join(" ")}: ${stderr}`);
    return stdout.trim();
  };
  const dirty = git("status", "--porcelain");
  const lines = dirty === ""
    ? []
    : [`git: not committed:\n    ${dirty.replaceAll("\n", "\n    ")}`];
  if (!git("tag", "--points-at", "HEAD").split("\n").includes(tag)) {
    lines.push(`git: HEAD has no tag ${tag}`);
  }
  return lines;
}

/**
 * Why this is not the place to publish from: a workflow, of the very repository and for the very tag.
 *
 * @param {string} tag
 * @returns {string[]}
 */
function refusalsOfPlace(tag) {
  const { env } = process;
  const { repository } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  if (!env["ACTIONS_ID_TOKEN_REQUEST_URL"]) {
    return [
      "this is no workflow with `id-token: write`: push the tag, and .github/workflows/release.yml publishes",
    ];
  }
  const lines = [];
  if (env["GITHUB_REPOSITORY"] !== addressOf(repository)) {
    lines.push(`package.json: its repository is not this one, ${env["GITHUB_REPOSITORY"]}`);
  }
  if (env["GITHUB_REF"] !== `refs/tags/${tag}`) lines.push(`${env["GITHUB_REF"]} is not ${tag}`);
  return lines;
}

/**
 * Runs a program where this one's output goes.
 *
 * @param {string[]} argv
 * @returns {boolean}
 */
function run([program = "", ...parameters]) {
  console.log(`$ ${[program, ...parameters].join(" ")}`);
  const options = { cwd: root, env: toolEnvironment() };
  return spawnSync(program, parameters, { ...options, stdio: "inherit" }).status === 0;
}

/**
 * Checks all, and then publishes.
 *
 * @param {boolean} isDry
 * @returns {boolean} whether nothing is refused
 */
function release(isDry) {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const tag = `v${version}`;
  const { deno } = javaScriptTools();
  const wrong = [...refusals(root), ...refusalsOfGit(tag), ...(isDry ? [] : refusalsOfPlace(tag))];
  // What takes minutes is for what may be released; a dry run shows all.
  if (isDry || wrong.length === 0) {
    const packed = join(scratch, "release");
    mkdirSync(packed);
    const [tarball = ""] = run(["npm", "pack", "--pack-destination", packed])
      ? readdirSync(packed).map((file) => join(packed, file))
      : [];
    if (tarball === "") wrong.push("npm: cannot pack it");
    else {
      const library = verify(tarball, true);
      for (const line of library.found) console.log(line);
      wrong.push(...library.wrong, ...verify(join(root, "ffi/embedded"), false).wrong);
    }
    // JSR first: it passes over a version that it has, so that a release which stops between the two can go on.
    const jsr = [deno, "publish", "--config", "jsr.json"];
    const npm = ["npm", "publish", tarball];
    for (const argv of [jsr, npm]) {
      // What is not committed has been told.
      const dry = argv === jsr ? ["--dry-run", "--allow-dirty"] : ["--dry-run"];
      if (!run([...argv, ...dry])) wrong.push(`${argv[0]}: refuses it in a dry run`);
    }
    if (wrong.length === 0 && !isDry) return run(jsr) && run(npm);
    const would = wrong.length === 0 ? "would" : "would, were nothing refused,";
    console.log(`\nA release of ${tag} ${would} run\n    ${jsr.join(" ")}\n    ${npm.join(" ")}`);
  }
  for (const line of wrong) console.error(`REFUSED: ${line}`);
  return wrong.length === 0;
}

if (isProgram(import.meta.url)) {
  try {
    const [flag, ...more] = process.argv.slice(2);
    if (more.length > 0 || (flag !== undefined && flag !== "--dry-run")) {
      throw new ToolError("Usage: node tools/release.mjs [--dry-run]");
    }
    process.exitCode = release(flag === "--dry-run") ? 0 : 1;
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
