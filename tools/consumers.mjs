/**
 * The package as its users have it: in fresh projects, by the package managers, bundlers and compilers that people
 * use. check.mjs has the quick part of it, `npm-package`; these are slow, and so CI's.
 */

import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { checkout, scratch } from "./job.mjs";
import { inModule } from "./libraries.mjs";
import { packagingTools, root } from "./toolchain.mjs";

/**
 * @typedef {import("./toolchain.mjs").Tools} Tools
 * @typedef {import("./job.mjs").Job} Job
 * @typedef {(job: Job) => Promise<boolean>} Succeeds
 * @typedef {{ name: string, title: string, run: Succeeds }} Consumer
 */

const { name, version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** The tarball's name, in `npm pack`'s own words. */
const tarball = `${name}-${version}.tgz`;

/** What each project runs. */
const program = `
  import { Command } from "${name}";
  const text = await new Command("echo", ["it runs"]).text();
  if (text !== "it runs\\n") throw new Error(text);
`;

/** The same for bundles, which are to say so where they have no library for the machine. */
const bundled = `
  import { Command } from "${name}";
  const text = () => new Command("echo", ["it runs"]).text();
  const answer = await Promise.try(text).catch((error) => String(error));
  if (answer !== process.env.EXPECTED) throw new Error(answer);
`;

/** Every flag that makes tsc see more, of those that the oldest one knows. */
const strictest = {
  strict: true,
  skipLibCheck: false,
  allowUnreachableCode: false,
  allowUnusedLabels: false,
  exactOptionalPropertyTypes: true,
  isolatedModules: true,
  noFallthroughCasesInSwitch: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noPropertyAccessFromIndexSignature: true,
  noUncheckedIndexedAccess: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  verbatimModuleSyntax: true,
};

/** @type {Promise<string> | undefined} */
let packed;

/**
 * Makes what npm would publish, once for all checks of a run.
 *
 * @param {Job} job
 * @returns {Promise<string>} the tarball
 */
export function packOnce(job) {
  return packed ??= (async () => {
    const to = join(scratch, "packed");
    mkdirSync(to);
    if (!await job.run(["npm", "pack", "--pack-destination", to])) {
      throw new Error("npm pack failed");
    }
    return join(to, tarball);
  })();
}

/**
 * @param {Tools} tools
 * @returns {Consumer[]}
 */
export function consumers(tools) {
  return [
    { name: "package-lint", title: "publint and attw have nothing against the package", run: lint },
    { name: "package-types", title: "its types, from TypeScript 5.4 on", run: types(tools) },
    { name: "package-bundles", title: "bundles of it, for one platform too", run: bundles(tools) },
    { name: "package-managers", title: "it by pnpm, and by Yarn PnP", run: managers(tools) },
    { name: "package-vitest", title: "it in vitest, run by Node", run: vitest(tools) },
  ];
}

/**
 * A program of `.tools/packaging`.
 *
 * @param {string} command
 */
const bin = (command) => join(packagingTools(), ".bin", command);

/**
 * A new project with files in it.
 *
 * @param {string} folder
 * @param {Readonly<Record<string, string>>} files
 */
function project(folder, files) {
  const cwd = join(scratch, folder);
  mkdirSync(cwd);
  for (const [file, text] of Object.entries(files)) writeFileSync(join(cwd, file), text);
  // Neither their caches nor their settings are the user's.
  return { cwd, env: { ...checkout.env, HOME: join(scratch, "home"), XDG_DATA_HOME: undefined } };
}

/**
 * A new project into which npm has installed the package.
 *
 * @param {Job} job
 * @param {string} folder
 * @param {Readonly<Record<string, string>>} files
 */
export async function npmProject(job, folder, files) {
  const place = project(folder, { "package.json": '{ "type": "module" }', ...files });
  const install = ["npm", "install", "--offline", "--no-audit", "--no-fund", await packOnce(job)];
  if (!await job.run(install, place)) throw new Error("npm install failed");
  return place;
}

/** @type {Succeeds} */
async function lint(job) {
  const file = await packOnce(job);
  return await job.run([bin("publint"), "run", file, "--strict"]) &&
    await job.run([bin("attw"), file, "--profile", "esm-only", "--format", "ascii"]);
}

/**
 * With the DOM's types, which the oldest compiler has, and with Bun's and Node's, which are for newer ones.
 *
 * @param {Tools} tools
 * @returns {Succeeds}
 */
function types({ deno, tsc }) {
  return async (job) => {
    /** @type {[compiler: string, lib: string[], types: string[]][]} */
    const settings = [
      [join(packagingTools(), "typescript-5.4/bin/tsc"), ["ES2022", "DOM"], []],
      [join(packagingTools(), "typescript/bin/tsc"), ["ES2022", "DOM"], []],
      [join(packagingTools(), "typescript/bin/tsc"), ["ESNext"], ["bun-types"]],
      [tsc, ["ES2022", "DOM"], []],
      [tsc, ["ES2022"], ["node"]],
      [tsc, ["ESNext"], ["bun-types"]],
    ];
    const place = await npmProject(job, "types", { "use.ts": program });
    for (const [compiler, lib, types] of settings) {
      for (const module of ["NodeNext", "Preserve"]) {
        const compilerOptions = {
          ...strictest,
          ...{ noEmit: true, target: "ES2022", lib, types, module },
          ...(module === "Preserve" ? { moduleResolution: "Bundler" } : {}),
          typeRoots: ["", "@types"].map((at) => join(root, ".tools/node_modules", at)),
        };
        const config = { compilerOptions, files: ["use.ts"] };
        writeFileSync(join(place.cwd, "tsconfig.json"), JSON.stringify(config));
        job.note(JSON.stringify({ lib, types, module }));
        if (!await job.run([process.execPath, compiler, "-p", "."], place)) return false;
      }
    }
    return await job.run([deno, "check", "use.ts"], place);
  };
}

/**
 * Each bundler, with all libraries and with one: OSEXEC_PLATFORM of ffi/embedded.ts.
 *
 * @param {Tools} tools
 * @returns {Succeeds}
 */
function bundles({ bun, deno, node }) {
  return async (job) => {
    const plugins = pluginsOfRollup();
    const place = await npmProject(job, "bundles", {
      "use.ts": bundled,
      "use.js": bundled,
      "all.config.mjs": plugins(""),
      "one.config.mjs": plugins(", replace(JSON.parse(process.env.REPLACED))"),
    });
    /** @param {string} platform */
    const makers = (platform) => {
      const one = platform === "all" ? [] : [`OSEXEC_PLATFORM="${platform}"`];
      const defined = one.flatMap((each) => ["--define", each.replace("=", ":")]);
      const out = (/** @type {string} */ by) => `${by}-${platform}.js`;
      const esbuild = [bin("esbuild"), "use.ts", "--bundle", "--format=esm", "--platform=node"];
      const rollup = [bin("rollup"), "-c", `${one.length === 0 ? "all" : "one"}.config.mjs`];
      return new Map([
        [out("esbuild"), [...esbuild, ...one.map((each) => `--define:${each}`)]],
        [out("rollup"), [...rollup, "use.js", "--format", "es", "--file", out("rollup")]],
        [out("bun"), [bun, "build", "use.ts", "--target=bun", ...defined]],
      ]);
    };
    const here = `${process.platform}-${process.arch}`;
    for (const platform of ["all", here, "darwin-arm64"]) {
      const replaced = { OSEXEC_PLATFORM: JSON.stringify(platform), preventAssignment: true };
      const serves = platform === "all" || platform === here;
      const expected = `PlatformError: osexec carries libraries for ${platform}; this is ${here}`;
      const EXPECTED = serves ? "it runs\n" : expected;
      const there = {
        ...place,
        env: { ...place.env, EXPECTED, REPLACED: JSON.stringify(replaced) },
      };
      for (const [file, argv] of makers(platform)) {
        const output = file.startsWith("rollup") ? [] : [`--outfile=${file}`];
        if (!await job.run([...argv, ...output], there)) return false;
        if (!carries(job, join(place.cwd, file), platform)) return false;
        if (!await job.run([bun, file], there)) return false;
        if (!await job.run([deno, "run", "-A", file], there)) return false;
        if (!await job.run([node, file], there)) return false;
      }
    }
    const compile = [bun, "build", "--compile", "use.ts", "--outfile=use"];
    const elsewhere = { cwd: "/", env: { ...place.env, EXPECTED: "it runs\n" } };
    return await job.run([...compile, "--define", `OSEXEC_PLATFORM:"${here}"`], place) &&
      await job.run([join(place.cwd, "use")], elsewhere);
  };
}

/**
 * A configuration of rollup, which finds no package by itself.
 *
 * @returns {(more: string) => string}
 */
function pluginsOfRollup() {
  const from = (/** @type {string} */ plugin) =>
    JSON.stringify(join(packagingTools(), "@rollup", plugin, "dist/es/index.js"));
  return (more) => `
    import { nodeResolve } from ${from("plugin-node-resolve")};
    import replace from ${from("plugin-replace")};
    export default { plugins: [nodeResolve()${more}] };
  `;
}

/**
 * Whether a bundle has the libraries that it is to have.
 *
 * @param {Job} job
 * @param {string} file
 * @param {string} platform one, or "all"
 */
function carries(job, file, platform) {
  const text = readFileSync(file, "utf8");
  const found = inModule(text, file).map(({ target }) => target).sort().join(" ");
  /** @type {Readonly<Record<string, string>>} */
  const expected = {
    "all": "aarch64_linux aarch64_macos x86_64_linux x86_64_macos",
    "linux-x64": "x86_64_linux",
    "linux-arm64": "aarch64_linux",
    "darwin-x64": "x86_64_macos",
    "darwin-arm64": "aarch64_macos",
  };
  job.note(`${file}: ${text.length} characters, ${found}`);
  return found === expected[platform];
}

/**
 * From the tarball, without a network.
 *
 * @param {Tools} tools
 * @returns {Succeeds}
 */
function managers({ bun, deno, node }) {
  return async (job) => {
    const dependencies = { [name]: `file:${await packOnce(job)}` };
    const files = {
      "package.json": JSON.stringify({ name: "fresh", type: "module", dependencies }),
      "use.ts": program,
    };
    const pnpm = project("pnpm", files);
    const yarn = project("yarn", {
      ...files,
      "yarn.lock": "",
      ".yarnrc.yml":
        "enableGlobalCache: false\nenableNetwork: false\nenableTelemetry: false\nnodeLinker: pnp\n",
    });
    const store = join(scratch, "pnpm-store");
    // Neither runtime knows PnP; esbuild does, and reads the package in its zip file.
    const bundle = ["use.ts", "--bundle", "--format=esm", "--platform=node", "--outfile=out.js"];
    return await job.run([bin("pnpm"), "install", "--offline", "--store-dir", store], pnpm) &&
      await job.run([bun, "use.ts"], pnpm) &&
      await job.run([deno, "run", "-A", "use.ts"], pnpm) &&
      await job.run([node, "use.ts"], pnpm) &&
      // CI makes it refuse to write the lock file of a new project.
      await job.run([bin("yarn"), "install", "--no-immutable"], yarn) &&
      await job.run([bin("esbuild"), ...bundle], yarn) &&
      await job.run([bun, "out.js"], yarn) &&
      await job.run([deno, "run", "-A", "out.js"], yarn) &&
      await job.run([node, "out.js"], yarn);
  };
}

/** A suite that stops the clocks, changes the environment, and runs in threads and in processes. */
const suite = `
  import { expect, test, vi } from "vitest";
  import { Command, ExitError, TimeoutError } from "${name}";
  test("output", async () => {
    vi.stubEnv("OF_VITEST", "yes");
    expect(await new Command("sh", ["-c", "echo $OF_VITEST"]).text()).toBe("yes\\n");
  });
  test("a failure", async () => {
    await expect(new Command("false").run()).rejects.toBeInstanceOf(ExitError);
  });
  test("fake timers", async () => {
    vi.useFakeTimers();
    const run = new Command("sleep", ["60"], { timeout: 50 }).run();
    await expect(run).rejects.toMatchObject({ cause: expect.any(TimeoutError) });
    vi.useRealTimers();
  });
`;

/**
 * @param {Tools} tools
 * @returns {Succeeds}
 */
function vitest({ node }) {
  return async (job) => {
    const place = await npmProject(job, "vitest", { "use.test.ts": suite });
    symlinkSync(join(packagingTools(), "vitest"), join(place.cwd, "node_modules/vitest"));
    const program = join(place.cwd, "node_modules/vitest/vitest.mjs");
    for (const pool of ["forks", "threads", "vmThreads"]) {
      if (!await job.run([node, program, "run", `--pool=${pool}`], place)) return false;
    }
    return true;
  };
}
