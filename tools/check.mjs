/**
 * Every check of the project: `npm test`, or `npm test -- NAME…` for those named.
 *
 * A check is shown by its title and its count, and by all of its output when it fails. The others
 * still run then, so that one run shows every failure. The last line is `N passed, N failed`, with
 * `, N skipped` if there were any; the exit code is 1 if anything failed.
 */

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { consumers, npmProject, packOnce } from "./consumers.mjs";
import { checkout, Job, scratch, suiteAsOrdinaryUser, suiteHere } from "./job.mjs";
import { cleanBuild, cleanCopy, generatedDigests } from "./libraries.mjs";
import { makeMusl } from "./musl.mjs";
import { refusesWhatIsNotReady } from "./release_check.mjs";
import { installTelemetry, root, ToolError, tools } from "./toolchain.mjs";

/**
 * @typedef {import("./toolchain.mjs").Tools} Tools
 * @typedef {import("./job.mjs").SuitePlace} SuitePlace
 * @typedef {{ passed: number, failed: number, skipped: number }} Count
 * @typedef {(job: Job) => Promise<Count>} Run
 * @typedef {{ name: string, title: string, run: Run, isSlow?: boolean }} Check
 */

/** Whose blocks of code are checked; `tests/docs/documentation_test.ts` runs them. */
const DOCUMENTS = ["README.md", "docs/GUIDE.md"];

/** A test's. Bun's own of 5 s is too short for a busy machine, Node has none, and Deno takes none. */
const TEST_LIMIT_MS = 60_000;

/**
 * All checks, in the order in which they run: the tests use what the first one builds.
 *
 * @param {Tools} tools
 * @returns {Check[]}
 */
function allChecks(tools) {
  const { bun, deno, node, zig } = tools;
  const sources = ["mod.ts", "trace.ts", ...typeScript("tests"), ...typeScript("examples")];
  const here = () => suiteHere(tools);
  const asUser = () => suiteAsOrdinaryUser(tools);
  /** @type {Check[]} */
  const list = [
    check("zig-build", "the native library and the test programs", [zig, "build"]),
    { name: "zig-test", title: "unit tests and static checks of Zig", run: zigTest(zig) },
    { name: "generated", title: "the generated files are the committed ones", run: generated(zig) },
    {
      name: "reproducible",
      title: "a clean second build is identical",
      run: reproducible(zig),
      isSlow: true,
    },
    { name: "bun", title: "the tests under Bun", run: bunTest(here) },
    { name: "deno", title: "the tests under Deno", run: denoTest(here) },
  ];
  const isRoot = process.platform === "linux" && process.getuid?.() === 0;
  // What runs each time has all three runtimes and both users in it, in less than ten minutes.
  list.push({ name: "node", title: "the tests under Node", run: nodeTest(here), isSlow: isRoot });
  if (isRoot) {
    list.push(
      {
        name: "deno-user",
        title: "the tests under Deno, not as root",
        run: denoTest(asUser),
        isSlow: true,
      },
      { name: "node-user", title: "the tests under Node, not as root", run: nodeTest(asUser) },
    );
  }
  if (process.platform === "linux") {
    list.push(...libcChecks(zig, here, ["deno"]));
    if (isRoot) {
      list.push(...libcChecks(zig, asUser, ["node"], "-user", ", not as root"));
    }
    list.push(...ladderChecks(here));
    if (process.arch === "x64") {
      list.push(muslCheck(here));
      const title = "Go's tests for Windows and a tour there, under Wine";
      list.push({ name: "wine", title, run: underWine, isSlow: true });
    }
  }
  list.push(
    check("deno-check", "types, by Deno", [deno, "check", ...sources]),
    check("deno-check-docs", "types in the documents", [deno, "check", "--doc-only", ...DOCUMENTS]),
    check("deno-lint", "lint", [deno, "lint"]),
    check("deno-fmt", "formatting; `deno fmt` mends it", [deno, "fmt", "--check"]),
    check("deno-doc", "every export is documented", [deno, "doc", "--lint", "mod.ts", "trace.ts"]),
    check("deno-publish", "JSR would take it", [
      ...[deno, "publish", "--config", "jsr.json", "--dry-run", "--allow-dirty"],
    ]),
    check("tsc", "types, by tsc with Bun's", [process.execPath, tools.tsc, "-p", "tsconfig.json"]),
    check("tour-bun", "the tour under Bun", [bun, "run", "examples/tour.ts"]),
    check("tour-deno", "the tour under Deno", [deno, "run", "-A", "examples/tour.ts"]),
    check("tour-node", "the tour under Node", [node, "examples/tour.ts"]),
    { name: "npm-package", title: "the tour with the npm package", run: npmPackage(tools) },
  );
  list.push({
    name: "release",
    title: "what is not ready is not released, and what is forged is found",
    run: (job) => Promise.resolve(one(refusesWhatIsNotReady(job))),
  });
  for (const { name, title, run } of consumers(tools)) {
    list.push({ name, title, run: async (job) => one(await run(job)), isSlow: true });
  }
  return list;
}

/**
 * The suite under each runtime.
 *
 * @typedef {"bun" | "deno" | "node"} Runtime
 * @type {Record<Runtime, { title: string, suite: (where: () => SuitePlace, wrapper?: readonly string[]) => Run }>}
 */
const runtimes = {
  bun: { title: "Bun", suite: bunTest },
  deno: { title: "Deno", suite: denoTest },
  node: { title: "Node", suite: nodeTest },
};

/**
 * The whole suite again with a library whose child goes through libc, which is macOS's way.
 *
 * @param {string} zig
 * @param {() => SuitePlace} where
 * @param {readonly Runtime[]} names
 * @param {string} ending of the checks' names
 * @param {string} remark the end of their titles
 * @returns {Check[]}
 */
function libcChecks(zig, where, names, ending = "", remark = "") {
  const prefix = join(scratch, "libc");
  // Optimized as what is shipped is, so that the tests' time is that of the usual run.
  const build = [zig, "build", "-Dchild=libc", "-Doptimize=safe", "--prefix", prefix];
  const there = () => {
    const place = where();
    const library = join(prefix, "lib/libosexec.so");
    return { ...place, env: { ...place.env, OSEXEC_LIBRARY: library, OSEXEC_CHILD: "libc" } };
  };
  return names.map((name) => ({
    name: `${name}-libc${ending}`,
    title: `the tests under ${runtimes[name].title}, the child of macOS${remark}`,
    run: async (job) => await job.run(build) ? runtimes[name].suite(there)(job) : one(false),
    isSlow: true,
  }));
}

/**
 * What old kernels and sandboxes refuse, and under which runtime the suite is run without it: the one whose own parts go
 * another way then, as Bun's waiting does without pidfds, else whichever it is. What one function alone calls, and clone3
 * with EPERM, under which no runtime lives (glibc makes its threads without it only for ENOSYS),
 * `tests/start/ladder_test.ts` refuses to starts alone.
 *
 * @type {[call: string, name: Runtime][]}
 */
const REFUSALS = [
  ["clone3", "bun"],
  ["close_range", "deno"],
  ["pidfd_open", "bun"],
];

/**
 * The whole suite again where the kernel refuses a system call that starts would rather use.
 *
 * @param {() => SuitePlace} where
 * @returns {Check[]}
 */
function ladderChecks(where) {
  const helper = join(root, "zig-out/bin/helper");
  return REFUSALS.map(([call, name]) => {
    const wrapper = [helper, "deny", call, "ENOSYS", "--"];
    const there = () => {
      const place = where();
      return { ...place, env: { ...place.env, OSEXEC_REFUSED: call } };
    };
    return {
      name: `${name}-no-${call}`,
      title: `the tests under ${runtimes[name].title}, without ${call}`,
      run: runtimes[name].suite(there, wrapper),
      isSlow: true,
    };
  });
}

/**
 * The whole suite under Bun for musl, with programs on musl as children too.
 *
 * @param {() => SuitePlace} here
 * @returns {Check}
 */
function muslCheck(here) {
  return {
    name: "bun-musl",
    title: "the tests under Bun for musl, and npm's package",
    run: async (job) => {
      const place = here();
      const { bun, programs } = makeMusl(join(scratch, "musl"));
      const there = { ...place, bun, env: { ...place.env, OSEXEC_MUSL: programs } };
      // Its bytecode was made on glibc.
      const { name } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
      const files = { "plain.ts": plain.replace("NAME", name) };
      const packaged = await job.run(
        [bun, "plain.ts"],
        await npmProject(job, "musl-package", files),
      );
      return packaged ? bunTest(() => there)(job) : one(false);
    },
    isSlow: true,
  };
}

/**
 * The TypeScript files right in a folder of the checkout.
 *
 * @param {string} folder
 */
function typeScript(folder) {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts")).map((name) => join(folder, name));
}

/**
 * A check that is one command and counts as one.
 *
 * @param {string} name
 * @param {string} title
 * @param {string[]} argv
 * @returns {Check}
 */
function check(name, title, argv) {
  return { name, title, run: async (job) => one(await job.run(argv)) };
}

/**
 * Packs what npm would publish, installs that in a folder of its own, and runs the tour there on all
 * runtimes; its types are to serve both ways in which tsc finds a package. Node before 24, which has no
 * node:ffi, is to get as far as being told so: what it cannot parse it does not load at all.
 *
 * @param {Tools} tools
 * @returns {Run}
 */
function npmPackage({ bun, deno, node, tsc }) {
  return async (job) => {
    const folder = join(scratch, "npm-package");
    const place = { ...checkout, cwd: folder };
    const typeRoots = join(root, ".tools/node_modules");
    const { name } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const tour = readFileSync(join(root, "examples/tour.ts"), "utf8");
    mkdirSync(folder);
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    writeFileSync(join(folder, "tour.ts"), tour.replace('"../mod.ts"', `"${name}"`));
    const verify = [process.execPath, "tools/verify.mjs"];
    writeFileSync(join(folder, "traced.ts"), tracedProgram(name));
    const install = ["npm", "install", "--offline", "--no-audit", "--no-fund"];
    // What nobody uses is nobody's to carry.
    const unused = join(folder, "unused.js");
    writeFileSync(join(folder, "unused.ts"), `import { Command } from "${name}"; console.log(1);`);
    writeFileSync(
      join(folder, "required.cjs"),
      `const { Command } = require("${name}"); new Command("true").run().then(console.log);`,
    );
    const acorn = join(typeRoots, "acorn/bin/acorn");
    const es2022 = ["--ecma2022", "--module", "--silent", join(root, "dist/mod.js")];
    const check = [
      ...[
        process.execPath,
        tsc,
        "tour.ts",
        "traced.ts",
        "--ignoreConfig",
        "--noEmit",
        "--strict",
        "--target",
      ],
      ...["ESNext", "--lib", "ESNext", "--typeRoots", typeRoots, "--types", "bun-types"],
    ];
    /** The same without any of its parts: a start that asks for nothing is to need none. */
    const bare = () => {
      const cwd = join(scratch, "npm-bare");
      cpSync(folder, cwd, { recursive: true });
      const modules = join(cwd, "node_modules", name, "dist/bun");
      for (const file of readdirSync(modules, { recursive: true, encoding: "utf8" })) {
        if (/\.js/.test(file) && !/(^|\/)(mod|core)\.js/.test(file)) rmSync(join(modules, file));
      }
      writeFileSync(join(cwd, "plain.ts"), plain.replace("NAME", name));
      return { ...place, cwd };
    };
    /** The same as another build of Bun takes it, without the bytecode. */
    const textual = () => {
      const cwd = join(scratch, "npm-text");
      cpSync(folder, cwd, { recursive: true });
      const modules = join(cwd, "node_modules", name, "dist/bun");
      const bytecode = readdirSync(modules, { withFileTypes: true }).filter((each) =>
        each.isDirectory()
      );
      if (bytecode.length === 0) throw new ToolError("The package has no bytecode");
      for (const each of bytecode) rmSync(join(modules, each.name), { recursive: true });
      return { ...place, cwd };
    };
    const tarball = await packOnce(job);
    writeFileSync(join(folder, "scarce.ts"), scarce.replace("NAME", name));
    writeFileSync(join(folder, "trace.ts"), trace.replace("NAME", name));
    const succeeded = await job.run([...verify, tarball]) &&
      await job.run([process.execPath, acorn, ...es2022]) &&
      await job.run([...install, tarball], place) &&
      await job.run([bun, "plain.ts"], bare()) &&
      await job.run(["/bin/sh", "-c", 'ulimit -n 64; exec "$0" scarce.ts', bun], place) &&
      await job.run([bun, "trace.ts"], place) &&
      await job.run([deno, "run", "-A", "trace.ts"], place) &&
      await job.run([bun, "tour.ts"], place) &&
      await job.run([bun, "tour.ts"], textual()) &&
      await job.run([deno, "run", "-A", "tour.ts"], place) &&
      await job.run([node, "tour.ts"], place) &&
      await job.run([node, "required.cjs"], place) &&
      await job.run([bun, "traced.ts"], place) &&
      await job.run([deno, "run", "-A", "traced.ts"], place) &&
      await job.run([node, "traced.ts"], place) &&
      await job.run([bun, "build", "unused.ts", "--target=bun", `--outfile=${unused}`], place) &&
      isSmall(job, unused) &&
      await job.run([...check, "--module", "Preserve"], place) &&
      await job.run([...check, "--module", "NodeNext"], place);
    return one(succeeded);
  };
}

/** What needs no part of the package: tools/parts.mjs. */
const plain = `
  import { Command, startProcess } from "NAME";
  new Command("true").runSync();
  await new Command("sh", ["-c", "exit 0"], { dir: "/", stdin: "inherit", stdout: "inherit" }).run();
  const process = startProcess("/bin/true", ["true"]);
  await process.wait();
  const failure = await new Command("/nowhere").run().catch((error) => error);
  const exit = await new Command("false").run().catch((error) => error.name);
  if (failure.code !== "ENOENT" || exit !== "ExitError") throw new Error(failure + " " + exit);
  if (!failure.stack.includes("/dist/bun/" + Bun.revision)) throw new Error("It is not bytecode");
`;

/** A part that cannot be loaded, as no descriptor is left, is an error by name, and tried again. */
const scarce = `
  import { Command, OSFile } from "NAME";
  new Command("true").runSync();
  const held = [];
  try {
    for (;;) held.push(OSFile.open("/dev/null"));
  } catch { /* That was the last one. */ }
  const failure = await new Command("echo", ["it"]).text().catch((error) => error);
  for (const file of held) file.close();
  const text = await new Command("echo", ["it"]).text();
  if (failure.code !== "EMFILE" || text !== "it\\n") throw failure;
`;

/** The line that a trace names is to be in the file that it names: Deno takes one without the other from some maps. */
const trace = `
  import { Command } from "NAME";
  import { readFileSync } from "node:fs";
  const command = new Command("true");
  await command.run();
  try {
    command.start();
    throw new Error("it was started twice");
  } catch (error) {
    const [, file, line] = /\\b(src\\/[\\w/]+\\.ts):(\\d+)/.exec(error.stack) ?? [];
    const text = readFileSync(${JSON.stringify(root)} + "/" + file, "utf8").split("\\n")[line - 1];
    if (!text.includes("new StateError(")) throw new Error(error.stack + "\\n" + text);
  }
`;

/**
 * A program that fails where the package's two modules do not share their observers.
 *
 * @param {string} name
 */
function tracedProgram(name) {
  return `
    import { subscribe } from "node:diagnostics_channel";
    import { Command } from "${name}";
    import { trace } from "${name}/trace";
    let ends = 0;
    subscribe("tracing:osexec:command:asyncEnd", () => ends += 1);
    trace();
    await new Command("true").run();
    if (ends !== 1) throw new Error(ends + " ends of one command");
  `;
}

/**
 * Whether a bundle holds nothing of the package, which has hundreds of kilobytes.
 *
 * @param {Job} job
 * @param {string} bundle
 */
function isSmall(job, bundle) {
  const { size } = statSync(bundle);
  if (size < 1000) return true;
  job.note(`${bundle}: ${size} bytes, of which an unused import is to leave none`);
  return false;
}

/**
 * @param {boolean} succeeded
 * @returns {Count}
 */
function one(succeeded) {
  return { passed: succeeded ? 1 : 0, failed: succeeded ? 0 : 1, skipped: 0 };
}

// ---------------------------------------------------------------- native

/**
 * @param {string} zig
 * @returns {Run}
 */
function zigTest(zig) {
  return async (job) => {
    const succeeded = await job.run([zig, "build", "test", "--summary", "all"]);
    const [, passed, all, rest = ""] =
      job.output.match(/(\d+)\/(\d+) tests passed(?: \((.*)\))?/) ?? [];
    if (passed === undefined) return one(succeeded); // No unit test was built.
    const skipped = Number(rest.match(/(\d+) skipped/)?.[1] ?? 0);
    const failed = Number(all) - Number(passed) - skipped;
    return settle(succeeded, { passed: Number(passed), failed, skipped });
  };
}

/**
 * A program of its own, as it must end Wine's server whatever happens.
 *
 * @type {Run}
 */
async function underWine(job) {
  const succeeded = await job.run([process.execPath, "tools/wine.mjs"]);
  const [, passed = 0, failed = 1] = job.output.match(/^(\d+) passed, (\d+) failed\s*$/m) ?? [];
  return settle(succeeded, { passed: Number(passed), failed: Number(failed), skipped: 0 });
}

/**
 * Generates again, in place.
 *
 * @param {string} zig
 * @returns {Run}
 */
function generated(zig) {
  return async (job) => {
    const before = generatedDigests(root);
    if (!await job.run([zig, "build", "abi", "dist"])) return one(false);
    return one(
      areSame(job, before, generatedDigests(root), "was not up to date and is now: commit it"),
    );
  };
}

/**
 * Generates again in a copy, which no cache helps with and no old output can hide behind.
 *
 * @param {string} zig
 * @returns {Run}
 */
function reproducible(zig) {
  return async (job) => {
    const copy = cleanCopy("second");
    if (!await job.run([zig, ...cleanBuild], copy)) return one(false);
    const [first, second] = [generatedDigests(root), generatedDigests(copy.cwd)];
    return one(areSame(job, first, second, "differs in a clean second build"));
  };
}

/**
 * @param {Job} job
 * @param {Map<string, string>} expected
 * @param {Map<string, string>} actual
 * @param {string} otherwise what to say of a file that is not the same
 */
function areSame(job, expected, actual, otherwise) {
  const files = new Set([...expected.keys(), ...actual.keys()]);
  const wrong = [...files].filter((file) => expected.get(file) !== actual.get(file));
  for (const file of wrong) job.note(`${file} ${otherwise}`);
  return wrong.length === 0;
}

// ---------------------------------------------------------------- the suite

/**
 * @param {() => SuitePlace} where
 * @param {readonly string[]} wrapper a command that runs the runner
 * @returns {Run}
 */
function bunTest(where, wrapper = []) {
  return async (job) => {
    const place = where();
    const report = join(place.reports, "bun.xml");
    const options = [`--timeout=${TEST_LIMIT_MS}`, "--reporter=junit"];
    const argv = [...wrapper, place.bun, "test", ...options, `--reporter-outfile=${report}`];
    return countReport(await job.run(argv, place), report, job);
  };
}

/**
 * Without checking types, which is a check of its own.
 *
 * @param {() => SuitePlace} where
 * @param {readonly string[]} wrapper a command that runs the runner
 * @returns {Run}
 */
function denoTest(where, wrapper = []) {
  return async (job) => {
    const place = where();
    const report = join(place.reports, "deno.xml");
    const options = ["-A", "--no-check", `--junit-path=${report}`];
    const argv = [...wrapper, place.deno, "test", ...options, "tests/"];
    return countReport(await job.run(argv, place), report, job);
  };
}

/**
 * All files in one process, as under Bun. Its cache keeps what Node has stripped of types and compiled: without it
 * each of some hundred scripts takes 0.2 s longer.
 *
 * @param {() => SuitePlace} where
 * @param {readonly string[]} wrapper a command that runs the runner
 * @returns {Run}
 */
function nodeTest(where, wrapper = []) {
  return async (job) => {
    const place = where();
    const report = join(place.reports, "node.xml");
    const env = { ...place.env, NODE_COMPILE_CACHE: join(place.reports, "node-cache") };
    const argv = [
      ...[...wrapper, place.node, "--disable-warning=ExperimentalWarning"],
      ...["--import", "./tests/node.mjs", "--test", "--test-isolation=none"],
      `--test-timeout=${TEST_LIMIT_MS}`,
      ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
      ...["--test-reporter=junit", `--test-reporter-destination=${report}`, "tests/**/*_test.ts"],
    ];
    return countReport(await job.run(argv, { ...place, env }), report, job);
  };
}

/**
 * Counts the tests of a JUnit report, which a runner that crashed has not written.
 *
 * @param {boolean} succeeded
 * @param {string} report
 * @param {Job} job
 * @returns {Count}
 */
function countReport(succeeded, report, job) {
  const xml = existsSync(report) ? readFileSync(report, "utf8") : "";
  const element = /<testcase name="([^"]*)"[^>]*?(?:\/>|>(.*?)<\/testcase>)/gs;
  const cases = [...xml.matchAll(element)].map(([, name = "", body = ""]) => ({ name, body }));

  // Deno lists "suite > test" and also "suite"; only the tests are to be counted.
  const suites = new Set(cases.map(({ name }) => name.split(" &gt; ").slice(0, -1).join(" &gt; ")));
  const tests = cases.filter(({ name }) => !suites.has(name));
  const failed = tests.filter(({ body }) => /<(failure|error)\b/.test(body)).length;
  const skipped = tests.filter(({ body }) => /<skipped\b/.test(body)).length;
  if (tests.length === 0) job.note(`No test is in the report ${report}`);
  const passed = tests.length - failed - skipped;
  return settle(succeeded && tests.length > 0, { passed, failed, skipped });
}

/**
 * A command that failed though every test it counted passed is one failure more than those.
 *
 * @param {boolean} succeeded
 * @param {Count} count
 * @returns {Count}
 */
function settle(succeeded, count) {
  return succeeded || count.failed > 0 ? count : { ...count, failed: 1 };
}

// ---------------------------------------------------------------- reporting

/** @param {Count} count */
function words({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/**
 * Runs one check and shows how it went.
 *
 * @param {Check} check
 * @returns {Promise<Count>}
 */
async function perform({ name, title, run }) {
  console.log(`== ${name}: ${title}`);
  const start = performance.now();
  const job = new Job(name);
  /** @type {Count} */
  let count;
  try {
    count = await run(job);
  } catch (error) {
    job.note(error instanceof Error ? `${error.stack}` : String(error));
    count = one(false);
  }
  if (count.failed > 0) console.log(job.output.trimEnd());
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`   ${count.failed > 0 ? "FAILED" : "ok"}: ${words(count)}, ${seconds} s\n`);
  return count;
}

/**
 * The checks named on the command line, or if none is, all but the slow ones, which CI runs too.
 *
 * @param {Check[]} checks
 * @param {string[]} names
 */
function choose(checks, names) {
  const unknown = names.filter((name) => !checks.some((check) => check.name === name));
  if (unknown.length > 0) {
    const known = checks.map(({ name }) => name).join(", ");
    throw new ToolError(`No check is called ${unknown.join(", ")}. There are: ${known}`);
  }
  if (names.length > 0) return checks.filter(({ name }) => names.includes(name));
  const isFull = [process.env.CI, process.env.OSEXEC_FULL]
    .some((value) => !["", "0", "false"].includes(value ?? ""));
  return checks.filter(({ isSlow }) => isFull || !isSlow);
}

/** @returns {Promise<Count>} */
async function main() {
  const checks = allChecks(tools());
  installTelemetry();
  const chosen = choose(checks, process.argv.slice(2));
  const total = { passed: 0, failed: 0, skipped: 0 };
  /** @type {string[]} */
  const failures = [];
  for (const check of chosen) {
    const count = await perform(check);
    if (count.failed > 0) failures.push(check.name);
    total.passed += count.passed;
    total.failed += count.failed;
    total.skipped += count.skipped;
  }
  const left = checks.filter((check) => !chosen.includes(check)).map(({ name }) => name);
  if (left.length > 0) console.log(`Not run: ${left.join(", ")}`);
  if (failures.length > 0) {
    console.log(`Failed: ${failures.join(", ")}. These alone: npm test -- ${failures.join(" ")}`);
  }
  return total;
}

// Leaving by exit() ends what is running and removes the scratch folder.
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]));
}

let total = one(false);
try {
  total = await main();
} catch (error) {
  console.log(error instanceof ToolError ? error.message : error);
}
console.log(words(total));
process.exitCode = total.failed > 0 ? 1 : 0;
