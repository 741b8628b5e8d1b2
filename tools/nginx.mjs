/**
 * Debian's nginx for this machine, unpacked below .tools/ and not installed: what tests/command/supervisor_test.ts runs, if it is
 * there or in PATH.
 *
 *     node tools/nginx.mjs     gets it, and prints its path
 */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { Packages } from "./debian.mjs";
import { root, ToolError } from "./toolchain.mjs";

const architectures = new Map([["x64", "amd64"], ["arm64", "arm64"]]);

try {
  const architecture = architectures.get(process.arch);
  if (architecture === undefined) throw new ToolError(`Debian has no nginx for ${process.arch}`);
  const folder = join(root, ".tools/debian");
  const program = join(
    new Packages(folder, architecture).only("nginx", ["nginx"]),
    "usr/sbin/nginx",
  );
  // Its libraries are this machine's: all of them common.
  const { status, stderr } = spawnSync(program, ["-v"], { encoding: "utf8" });
  if (status !== 0) throw new ToolError(`${program} does not run here: ${stderr}`);
  process.stdout.write(`${program}\n`);
} catch (error) {
  if (!(error instanceof ToolError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
