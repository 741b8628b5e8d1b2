/**
 * That tools/release.mjs refuses what is not ready, and tools/verify.mjs what is not as it should be: a copy that
 * is, with one thing wrong at a time.
 */

import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { scratch } from "./job.mjs";
import { findLibraries } from "./libraries.mjs";
import { refusals } from "./release.mjs";
import { root } from "./toolchain.mjs";
import { verify } from "./verify.mjs";

/**
 * What is changed in a file that is ready, and what is refused then.
 *
 * @type {[file: string, from: RegExp, to: string, refusal: RegExp][]}
 */
const faults = [
  [
    "package.json",
    /"version": ".*"/,
    '"version": "9.9.9"',
    /: its version is .*, not package.json's 9/,
  ],
  ["jsr.json", /"version": ".*"/, '"version": "9.9.9"', /^jsr.json: its version is 9.9.9/],
  ["build.zig.zon", /\.version = ".*"/, '.version = "9.9.9"', /^build.zig.zon: its version/],
  ["build.zig.zon", /_zig_version = ".*"/, '_zig_version = "0.1.0"', /^build.zig.zon: zig 0.1.0/],
  ["README.md", /^Version \S+,/m, "Version 9.9.9,", /^README.md: its version is 9.9.9/],
  ["README.md", /$/, "\nIt is not yet published.\n", /^README.md: says that this is not published/],
  ["package.json", /"repository": ".*"/, '"repository": ""', /^package.json: no repository/],
  ["CHANGELOG.md", /\(20.*\)/, "(unreleased)", /^CHANGELOG.md: "## .*" is to be/],
  [
    "CHANGELOG.md",
    /[0-9a-f]{63}/,
    `${"0".repeat(63)}`,
    /^CHANGELOG.md: is to say "\w+ [0-9a-f]{64}"/,
  ],
  ["CHANGELOG.md", /^- .*/m, "", /^CHANGELOG.md: nothing is said/],
];

/**
 * The same of what a package carries.
 *
 * @type {[file: string, from: RegExp, to: string, refusal: RegExp][]}
 */
const forgeries = [
  // Three bytes of the machine code.
  [
    "ffi/embedded/x86_64_linux.ts",
    /("[A-Za-z0-9+/]{4000})..../,
    "$1XXXX",
    /x86_64_linux.*: (?:says|copies differ)|no library has/,
  ],
  [
    "ffi/embedded/x86_64_linux.ts",
    /parts:/,
    "pieces:",
    /^x86_64_linux: is not there|no library has/,
  ],
  ["ffi/embedded/x86_64_linux.ts", /sha256 \w{64}/, `sha256 ${"0".repeat(64)}`, /: says 0000/],
  ["CHANGELOG.md", /[0-9a-f]{64}/, "0".repeat(64), /^CHANGELOG.md: no library has 0000/],
  ["src/x.ts", /^/, 'size: 4, parts: [[0, "AAAA"]]', /^src\/x.ts: is for no known target/],
];

/** @param {import("./job.mjs").Job} job */
export function refusesWhatIsNotReady(job) {
  const folder = join(scratch, "ready");
  const files = ["package.json", "jsr.json", "build.zig.zon", "README.md", "CHANGELOG.md"];
  mkdirSync(folder);
  for (const file of [...files, "ffi/embedded"]) {
    cpSync(join(root, file), join(folder, file), { recursive: true });
  }
  const read = (/** @type {string} */ file) => readFileSync(join(folder, file), "utf8");
  const write = (/** @type {string} */ file, /** @type {string} */ text) =>
    writeFileSync(join(folder, file), text);

  const manifest = JSON.parse(read("package.json"));
  const sums = findLibraries(join(folder, "ffi/embedded"))
    .map(({ target, sha256 }) => `    ${target} ${sha256}\n`).join("");
  write(
    "package.json",
    JSON.stringify({ ...manifest, repository: "github:someone/osexec" }, null, 1),
  );
  write("CHANGELOG.md", `# Changelog\n\n## ${manifest.version} (2026-12-01)\n\n- All.\n\n${sums}`);
  write("README.md", `Version ${manifest.version}, published.\n`);

  mkdirSync(join(folder, "src"));
  write("src/x.ts", "");

  let succeeded = true;
  const wrongs = () => verify(folder, false).wrong;
  for (
    const { find, cases } of [{ find: () => refusals(folder), cases: faults }, {
      find: wrongs,
      cases: forgeries,
    }]
  ) {
    for (const line of find()) {
      job.note(`refused what is right: ${line}`);
      succeeded = false;
    }
    for (const [file, from, to, refusal] of cases) {
      const good = read(file);
      write(file, good.replace(from, to));
      const lines = find();
      write(file, good);
      if (lines.length > 0 && lines.every((line) => refusal.test(line))) continue;
      job.note(`${file}, ${from} -> ${to}: ${JSON.stringify(lines)}`);
      succeeded = false;
    }
  }
  return succeeded;
}
