/**
 * The package for npm, in `dist/`: the whole of it as one module of JavaScript, and its types.
 *
 *     node tools/package.mjs
 *
 * `npm pack` and `npm publish` run it first. JSR takes the sources as they are. npm cannot: below
 * node_modules only Bun runs TypeScript, and Deno refuses it. One module instead of forty also starts
 * sooner (docs/PERFORMANCE.md, "Start-up").
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { isProgram, javaScriptTools, root, toolEnvironment, ToolError } from "./toolchain.mjs";

/** What package.json exports: its types are beside it. */
export const packagedModule = join(root, "dist/mod.js");

/**
 * Makes `dist/` anew.
 *
 * @param {ReturnType<typeof javaScriptTools>} tools
 */
export function makePackage({ bun, tsc }) {
  const folder = join(root, "dist");
  rmSync(folder, { recursive: true, force: true });
  // Not minified, which would save half a millisecond of start-up and cost every stack trace its names.
  run([bun, "build", "mod.ts", "--target=bun", `--outfile=${packagedModule}`]);
  // osexec/trace: of the main module's one copy, whose commands it is to hear of.
  const trace = join(folder, "trace.js");
  run([bun, "build", "trace.ts", "--target=bun", "--external=./mod.ts", `--outfile=${trace}`]);
  // Bun leaves out "node:", without which Deno knows the module in packages only.
  const text = readFileSync(trace, "utf8").replace(
    '"diagnostics_channel"',
    '"node:diagnostics_channel"',
  );
  writeFileSync(trace, text.replace('from "./mod.ts"', 'from "./mod.js"'));
  run([process.execPath, tsc, "-p", "tools/tsconfig.package.json"]);
  // Beside the module, by the names that ffi/library.ts looks for. What is bundled has no files, and uses the text.
  mkdirSync(join(folder, "native"));
  run([bun, "-e", unpackLibraries]);
  // All their text once more, as a type that nothing mentions.
  rmSync(join(folder, "ffi/embedded"), { recursive: true });
}

/** A program in TypeScript: from the very modules that a bundle has. */
const unpackLibraries = `
  import { writeFileSync } from "node:fs";
  import { libraries, unpack } from "./ffi/embedded.ts";
  for (const [name, library] of Object.entries(libraries)) {
    writeFileSync("dist/native/" + name, unpack(library), { mode: 0o755 });
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
