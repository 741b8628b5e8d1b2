/**
 * The package for npm, in `dist/`: the whole of it as one module of JavaScript with its map, for Bun as several
 * (parts.mjs), its types, the libraries, and a list of what is in them (CycloneDX).
 *
 *     node tools/package.mjs
 *
 * `npm pack` and `npm publish` run it first. JSR takes the sources as they are. npm cannot: below
 * node_modules only Bun runs TypeScript, and Deno refuses it. One module instead of forty also starts
 * sooner (docs/PERFORMANCE.md, "Start-up").
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { billOfMaterials } from "./materials.mjs";
import { isProgram, javaScriptTools, root, toolEnvironment, ToolError } from "./toolchain.mjs";

/** What package.json exports but to Bun: its types are beside it. */
const packagedModule = join(root, "dist/mod.js");

/**
 * Makes `dist/` anew.
 *
 * @param {ReturnType<typeof javaScriptTools>} tools
 */
export function makePackage({ bun }) {
  const folder = join(root, "dist");
  rmSync(folder, { recursive: true, force: true });
  // Not minified, which would save half a millisecond of start-up and cost every stack trace its names.
  run([bun, "build", "mod.ts", "--target=bun", "--sourcemap=linked", `--outdir=${folder}`]);
  finishMap(`${packagedModule}.map`);
  // osexec/trace: of the main module's one copy, whose commands it is to hear of.
  const trace = join(folder, "trace.js");
  run([bun, "build", "trace.ts", "--target=bun", "--external=./mod.ts", `--outfile=${trace}`]);
  // Bun leaves out "node:", without which Deno knows the module in packages only.
  const text = readFileSync(trace, "utf8").replace(
    '"diagnostics_channel"',
    '"node:diagnostics_channel"',
  );
  writeFileSync(trace, text.replace('from "./mod.ts"', 'from "./mod.js"'));
  run([process.execPath, "tools/declarations.mjs"]);
  run([bun, "tools/parts.mjs"]);
  for (const file of readdirSync(join(folder, "bun"), { recursive: true, encoding: "utf8" })) {
    if (file.endsWith(".map")) finishMap(join(folder, "bun", file));
  }
  // Beside the module, by the names that ffi/library.ts looks for. What is bundled has no files, and uses the text.
  mkdirSync(join(folder, "native"));
  run([bun, "-e", unpackLibraries]);
  const native = join(folder, "native");
  const libraries = readdirSync(native).map((name) => ({
    name,
    bytes: readFileSync(join(native, name)),
  }));
  writeFileSync(join(folder, "sbom.cdx.json"), billOfMaterials(libraries));
}

/**
 * Makes traces say "npm:osexec@0.1.0/src/command/command.ts:724" on Deno, which takes no path from a map, and
 * ".../osexec/dist/bun/src/command/command.ts:724" on Bun; and takes out the text of the libraries and of
 * what parts.mjs has made, which nobody debugs.
 *
 * @param {string} path of the map
 */
function finishMap(path) {
  const { name, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  /** @type {{ sources: string[], sourcesContent: (string | null)[] }} */
  const map = JSON.parse(readFileSync(path, "utf8"));
  const sources = map.sources.map((source) => source.replace(/^(\.\.\/)+/, ""));
  const sourcesContent = map.sourcesContent.map((text, index) =>
    /^(ffi\/embedded\/|stub:|core:|entry:|part:)/.test(sources[index] ?? "") ? null : text
  );
  const sourceRoot = `npm:${name}@${version}/`;
  writeFileSync(path, JSON.stringify({ ...map, sourceRoot, sources, sourcesContent }));
}

/** A program in TypeScript: from the very modules that a bundle has. */
const unpackLibraries = `
  import { writeFileSync } from "node:fs";
  import { libraries, unpack } from "./ffi/embedded.ts";
  // Windows' are files alone: their text would be read by every start everywhere else.
  import { LIBRARY as x64 } from "./ffi/embedded/x86_64_windows.ts";
  import { LIBRARY as arm64 } from "./ffi/embedded/aarch64_windows.ts";
  const windows = { "win32-x64.dll": x64, "win32-arm64.dll": arm64 };
  for (const [name, library] of Object.entries({ ...libraries, ...windows })) {
    writeFileSync("dist/native/" + name, unpack(library()), { mode: 0o755 });
  }
`;

/** @param {string[]} argv */
function run([program = "", ...parameters]) {
  const { status, signal, error } = spawnSync(program, parameters, {
    cwd: root,
    env: toolEnvironment(),
    // Standard output is `npm pack`'s, which prints there what it has made.
    stdio: ["ignore", process.stderr.fd, process.stderr.fd],
  });
  if (status === 0) return;
  const reason = error?.message ?? `exit ${status ?? signal}`;
  throw new ToolError(`Cannot make the package: ${[program, ...parameters].join(" ")}: ${reason}`);
}

if (isProgram(import.meta.url)) {
  try {
    makePackage(javaScriptTools());
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
