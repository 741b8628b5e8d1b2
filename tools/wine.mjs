/**
 * The library for Windows under Wine, which is not Windows: Debian's Wine (64-bit), Bun's Windows build from npm, both
 * unpacked and not installed, and the tests that only Windows has. What Wine cannot show is in docs/PLATFORMS.md.
 *
 *     node tools/wine.mjs                    the unit tests, the tests of tests/windows/wine/, npm's package and the tour there
 *     node tools/wine.mjs command            those of one file; "zig", "package" and "tour" are the others
 *     node tools/wine.mjs --run FILE.ts …    runs that Bun with a bundle of the file, and the arguments
 *
 * `.tools/` has what is downloaded. On x86_64 alone. The last line is `N passed, N failed`.
 */

import { spawnSync } from "node:child_process";
import {
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { constants as osConstants } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { Packages } from "./debian.mjs";
import { scratch } from "./job.mjs";
import { isProgram, otherBun, root, toolEnvironment, ToolError, tools } from "./toolchain.mjs";

/** Wine proper, the zlib that its user32.dll is linked with, and what it is linked with itself. */
const PACKAGES = ["wine64", "libwine", "libz-mingw-w64", "libunwind8", "liblzma5"];

/** What the tests run as programs of their own. */
const PROGRAMS = ["parent", "unref", "worker"];

/** What hangs under Wine is not to take all of CI's time. */
const LIMIT_MS = 3 * 60_000;

/** @typedef {{ bun: string, folder: string, library: string, env: Record<string, string | undefined>, end: () => void }} Wine */

/**
 * Makes Wine's world in a folder of its own: a prefix, Bun, and what is built for them.
 *
 * @param {string} place
 * @returns {Wine}
 */
export function makeWine(place) {
  const { zig } = tools();
  const wine = unpackWine();
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  run(zig, ["build", "windows", "--prefix", join(place, "built")], toolEnvironment());
  const folder = join(place, "app");
  mkdirSync(folder);
  const bun = join(folder, "bun.exe");
  copyFileSync(otherBun("windows-x64", "bin/bun.exe"), bun, constants.COPYFILE_FICLONE);
  for (const name of ["bcryptprimitives.dll", "windows_child.exe", "windows-tests.exe"]) {
    copyFileSync(join(place, "built/windows", name), join(folder, name));
  }
  const library = join(folder, "osexec.dll");
  copyFileSync(join(place, "built/dist/libosexec-x86_64_windows.dll"), library);
  const system = join(wine, "usr/lib/x86_64-linux-gnu");
  const env = {
    ...toolEnvironment(),
    WINEPREFIX: join(place, "prefix"),
    WINEDEBUG: "-all",
    // It would offer to download what is for programs that show something.
    WINEDLLOVERRIDES: "mscoree,mshtml,winemenubuilder.exe=",
    LD_LIBRARY_PATH: [system, join(wine, "lib/x86_64-linux-gnu")].join(":"),
    OSEXEC_LIBRARY: windowsPath(library),
    ...Object.fromEntries(
      PROGRAMS.map((name) => [
        `OSEXEC_${name.toUpperCase()}_JS`,
        windowsPath(join(folder, `${name}.js`)),
      ]),
    ),
    OSEXEC_CHILD_EXE: windowsPath(join(folder, "windows_child.exe")),
  };
  const program = join(wine, "usr/lib/wine/wine64");
  const server = join(wine, "usr/lib/wine/wineserver64");
  // The prefix, and a server that stays for all that follows: each start of it takes a second. It and what it starts must
  // not keep our output open.
  const quiet = { env, stdio: /** @type {const} */ ("ignore"), timeout: LIMIT_MS };
  spawnSync(program, ["wineboot", "--init"], quiet);
  const dll = join(wine, "usr/x86_64-w64-mingw32/lib/zlib1.dll");
  copyFileSync(dll, join(place, "prefix/drive_c/windows/system32/zlib1.dll"));
  spawnSync(server, ["-p"], quiet);
  const end = () => void spawnSync(server, ["-k"], quiet);
  // Before the prefix is removed, by which it is found.
  process.prependOnceListener("exit", end);
  return { bun, folder, library, env: { ...env, OSEXEC_WINE: program }, end };
}

/** @returns {string} */
function unpackWine() {
  const kept = join(root, ".tools/wine");
  mkdirSync(kept, { recursive: true });
  const wine = new Packages(kept, "amd64").only("debian", PACKAGES);
  const server = join(wine, "usr/lib/wine/wineserver");
  // Debian's is a script that looks in /usr/lib only.
  rmSync(server, { force: true });
  symlinkSync("wineserver64", server);
  // And its DLLs look for this one there.
  const dll = join(wine, "usr/lib/x86_64-linux-gnu/wine/x86_64-windows/zlib1.dll");
  if (!existsSync(dll)) copyFileSync(join(wine, "usr/x86_64-w64-mingw32/lib/zlib1.dll"), dll);
  return wine;
}

/**
 * A path as Wine's programs have it.
 *
 * @param {string} path
 */
function windowsPath(path) {
  return `Z:${path.replaceAll("/", "\\")}`;
}

/**
 * Runs a program under Wine; answers its output, both streams, and its status.
 *
 * @param {Wine} wine
 * @param {string[]} argv
 * @param {number} [limit]
 */
function underWine({ env, folder }, argv, limit = LIMIT_MS) {
  const { status, signal, error, stdout, stderr } = spawnSync(env.OSEXEC_WINE ?? "", argv, {
    cwd: folder,
    env,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
    timeout: limit,
    killSignal: "SIGKILL",
    stdio: ["ignore", "pipe", "pipe"],
  });
  const why = error?.message ?? signal;
  return { status, output: `${stdout}${stderr}${why ? `\n${why}\n` : ""}` };
}

/**
 * One module of a source and all that it imports: Bun's resolver and Wine's folders do not agree.
 *
 * @param {Wine} wine
 * @param {string} source
 */
function bundle({ folder }, source) {
  const name = `${basename(source, ".ts")}.js`;
  const target = join(folder, name);
  run(tools().bun, ["build", source, "--target=bun", `--outfile=${target}`], toolEnvironment());
  return name;
}

/**
 * @param {string} program
 * @param {string[]} parameters
 * @param {Record<string, string | undefined>} env
 */
function run(program, parameters, env) {
  const options = /** @type {const} */ ({ cwd: root, env, encoding: "utf8" });
  const { status, error, stderr } = spawnSync(program, parameters, options);
  if (status === 0) return;
  const line = [program, ...parameters].join(" ");
  throw new ToolError(`Failed: ${line}: ${error?.message ?? status}\n${stderr ?? ""}`);
}

/** @typedef {{ passed: number, failed: number }} Count */

/**
 * All that is shown under Wine, or what `names` has of it.
 *
 * @param {Wine} wine
 * @param {readonly string[]} names
 * @param {(text: string) => void} print
 * @returns {Count}
 */
export function testUnderWine(wine, names, print) {
  const total = { passed: 0, failed: 0 };
  const add = (
    /** @type {string} */ name,
    /** @type {Count} */ count,
    /** @type {string} */ text,
  ) => {
    total.passed += count.passed;
    total.failed += count.failed;
    if (count.failed > 0 || names.length > 0) print(text);
    print(`${name}: ${count.passed} passed, ${count.failed} failed`);
  };
  const isWanted = (/** @type {string} */ name) => names.length === 0 || names.includes(name);
  if (isWanted("zig")) {
    const { status, output } = underWine(wine, [join(wine.folder, "windows-tests.exe")]);
    const passed = [...output.matchAll(/\.\.\.OK/g)].length;
    add("zig", { passed, failed: status === 0 && passed > 0 ? 0 : 1 }, output);
  }
  const tests = join(root, "tests/windows/wine");
  for (const name of PROGRAMS) bundle(wine, join(root, `tests/windows/${name}.ts`));
  for (const file of readdirSync(tests).sort()) {
    const name = basename(file, ".ts");
    if (!isWanted(name)) continue;
    const module = bundle(wine, join(tests, file));
    const { status, output } = underWine(wine, [
      wine.bun,
      "test",
      "--timeout",
      "30000",
      `./${module}`,
    ]);
    const [passed = 0, failed = 0] = ["pass", "fail"].map((word) =>
      Number(output.match(new RegExp(`^\\s*(\\d+) ${word}$`, "m"))?.[1] ?? 0)
    );
    const isBroken = passed + failed === 0 || (status !== 0 && failed === 0);
    add(name, { passed, failed: failed + (isBroken ? 1 : 0) }, output);
  }
  if (isWanted("package")) {
    // As npm has it, in both forms, with the library that was just built: it is found beside the module, by its name.
    const place = join(wine.folder, "node_modules/osexec");
    const packed = join(wine.folder, "packed");
    mkdirSync(place, { recursive: true });
    mkdirSync(packed);
    run("npm", ["pack", "--pack-destination", packed], toolEnvironment());
    const [tarball = ""] = readdirSync(packed);
    run("tar", ["-xf", join(packed, tarball), "-C", place, "--strip-components=1"], process.env);
    copyFileSync(wine.library, join(place, "dist/native/win32-x64.dll"));
    const own = { ...wine, env: { ...wine.env, OSEXEC_LIBRARY: undefined } };
    for (const name of ["osexec", "./node_modules/osexec/dist/mod.js"]) {
      const script = [
        `import { Command } from ${JSON.stringify(name)}`,
        "console.log(await new Command('cmd', ['/c', 'echo', 'found']).text())",
      ].join(";");
      const { status, output } = underWine(own, [wine.bun, "-e", script]);
      const isFound = status === 0 && output.includes("found");
      add(`package, ${name}`, { passed: isFound ? 1 : 0, failed: isFound ? 0 : 1 }, output);
    }
  }
  if (isWanted("tour")) {
    const module = bundle(wine, join(root, "examples/windows_tour.ts"));
    const { status, output } = underWine(wine, [wine.bun, module]);
    const isWhole = status === 0 && output.includes("The end of the tour.");
    add("tour", { passed: isWhole ? 1 : 0, failed: isWhole ? 0 : 1 }, output);
    if (isWhole && names.length === 0) print(output);
  }
  return total;
}

/**
 * @param {string[]} parameters
 * @returns {number} the exit code
 */
function main(parameters) {
  const wine = makeWine(join(scratch, "wine"));
  const [first, file = "", ...rest] = parameters;
  if (first === "--run") {
    const { status, output } = underWine(wine, [wine.bun, bundle(wine, file), ...rest]);
    process.stdout.write(output);
    return status ?? 1;
  }
  const { passed, failed } = testUnderWine(wine, parameters, (text) => console.log(text));
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

if (isProgram(import.meta.url)) {
  // Leaving by exit() removes the scratch folder, and ends Wine's server.
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
