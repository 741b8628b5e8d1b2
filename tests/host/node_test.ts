/** What is Node's alone: its flags, its permission model, its Workers, its executables. */

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { Command, ExitError } from "../../mod.ts";
import {
  Directory,
  environmentWith,
  findRuntime,
  isDeno,
  isNode,
  root,
  runScript,
  runtime,
  Sink,
  writeScript,
} from "../helper.ts";

const needsNode = isNode ? {} : { skip: "needs Node" };

/** Says how it went to start something. */
const start = `
  console.log("imported");
  try {
    console.log(String(new osexec.Command("true").runSync()));
  } catch (error) {
    console.log(error.name, error.code, error.message);
  }`;

test("Node: without node:ffi a LibraryError says which version has it", needsNode, async () => {
  const pretend = `Object.defineProperty(process.versions, "node", { value: "22.9.0" });`;
  const { stdout, stderr } = await runScript(pretend + start, {
    runtime: [...runtime, "--no-experimental-ffi"],
  });
  assertEquals([stdout.split("\n"), stderr], [[
    "imported",
    "LibraryError undefined cannot load the native library of osexec; tried",
    "  node:ffi: it is not in this Node, 22.9.0: osexec needs Node 26.9.0 or later",
    "",
  ], ""]);
});

test("Node: without node:ffi a LibraryError says which flag takes it away", needsNode, async () => {
  const library = { OSEXEC_LIBRARY: "/no/such/libosexec.so" };
  const { stdout } = await runScript(start, {
    runtime: [...runtime, "--no-experimental-ffi"],
    // It is not even looked for.
    env: environmentWith(library),
  });
  assertStringIncludes(
    stdout,
    `node:ffi: it is not in this Node, ${process.versions.node}: was it started with --no-experimental-ffi`,
  );
});

test("Node: its warning is its own, and comes with the first use", needsNode, async () => {
  const [node = ""] = runtime;
  const used = await runScript(start, { runtime: [node] });
  assertEquals(used.stdout, "imported\nexit status 0\n");
  assertEquals(used.stderr.match(/ExperimentalWarning: FFI/g)?.length, 1);
  const unused = await runScript(`console.log(typeof osexec.Command);`, { runtime: [node] });
  assertEquals([unused.stdout, unused.stderr], ["function\n", ""]);
});

/** What a program under the permission model must read to be loaded at all. */
function restricted(...flags: string[]): readonly string[] {
  return [...runtime, "--disable-warning=SecurityWarning", "--permission", ...flags];
}

test("Node: --permission takes --allow-ffi, and not --allow-child-process", needsNode, async () => {
  const script = `${start}
    process.env.FROM = "here";
    for await (const line of new osexec.Command("sh", ["-c", "sleep 0.05; echo $FROM; pwd"]).lines()) {
      console.log(line);
    }
    using file = osexec.OSFile.open("/dev/null", "r+");
    const child = osexec.startProcess("/bin/sh", ["sh", "-c", "exit 7"], { files: [file] });
    console.log(String(await child.wait()));`;
  const { stdout, stderr } = await runScript(script, {
    runtime: restricted(
      "--allow-ffi",
      `--allow-fs-read=${root}`,
      `--allow-fs-read=${fs.realpathSync(os.tmpdir())}`,
    ),
  });
  assertEquals([stdout.split("\n"), stderr], [
    ["imported", "exit status 0", "here", process.cwd(), "exit status 7", ""],
    "",
  ]);
});

test("Node: without --allow-ffi the first use throws Node's own error", needsNode, async () => {
  const { stdout, stderr } = await runScript(start, { runtime: restricted("--allow-fs-read=*") });
  const [first, error, ...rest] = stdout.split("\n");
  assertEquals([first, rest, stderr], ["imported", [""], ""]);
  assertStringIncludes(error ?? "", "Error ERR_ACCESS_DENIED ");
  assertStringIncludes(error ?? "", "--allow-ffi");
});

test(
  "Node: what exec() becomes has stdio, which Node marks close-on-exec; a failing one leaves the marks",
  needsNode,
  async () => {
    using directory = new Directory();
    const unknown = directory.file("unknown", "no program", 0o755);
    const { stdout, stderr } = await runScript(`
    import fs from "node:fs";
    const isMarked = (fd) => (parseInt(fs.readFileSync("/proc/self/fdinfo/" + fd, "utf8").match(/flags:\\s*(\\d+)/)[1], 8) & 0o2000000) !== 0;
    const marks = () => [0, 1, 2].map(isMarked).join();
    const before = marks();
    try { osexec.exec(${
      JSON.stringify(unknown)
    }, ["x"]); } catch (error) { fs.writeSync(1, error.code + "\\n"); }
    fs.writeSync(1, before + " " + (marks() === before) + "\\n");
    osexec.exec("/bin/sh", ["sh", "-c", "echo out; echo err >&2"]);`);
    assertEquals([stdout, stderr], ["ENOEXEC\ntrue,true,true true\nout\n", "err\n"]);
  },
);

test("a thread's children get the environment that it sees", {
  skip: isDeno && "Deno hands down libc's, of which node:worker_threads gives a Worker a copy",
}, async () => {
  const { stdout, stderr } = await runScript(`
    import os from "node:os";
import process from "node:process";
    import { isMainThread, Worker } from "node:worker_threads";
    const look = async () => {
      const seen = (await new osexec.Command("sh", ["-c", "echo $OSEXEC_SEEN"]).text()).trim();
      console.log(seen === process.env.OSEXEC_SEEN, isMainThread && seen);
    };
    const change = (value) => { process.env.OSEXEC_SEEN = value; };
    if (isMainThread) {
      change("main");
      await look();
      const worker = new Worker(new URL(import.meta.url));
      await new Promise((resolve, reject) => worker.once("exit", resolve).once("error", reject));
      change("main again");
      await look();
    } else {
      await look();
      change("worker");
      await look();
    }`);
  assertEquals([stdout.split("\n"), stderr], [
    ["true main", "true false", "true false", "true main again", ""],
    "",
  ]);
});

const bun = findRuntime("bun");

test("an executable made by Node carries the library, and needs nothing around it", {
  skip: !isNode ? "needs Node" : bun === undefined && "needs bun, which makes one module of it",
  timeout: 120_000,
}, async () => {
  using directory = new Directory();
  using elsewhere = new Directory();
  const script = writeScript(
    directory,
    `console.log((await new osexec.Command("/bin/echo", ["from", "the", "executable"]).text()).trim());
     for await (const line of new osexec.Command("/bin/sh", ["-c", "echo a; sleep 0.05; echo b"]).lines()) {
       console.log(line);
     }
     console.log(new osexec.Command("/bin/sh", ["-c", "exit 0"]).runSync().toString());`,
  );
  const main = directory.join("main.mjs");
  const options = { stdio: "pipe", cwd: directory.path, env: process.env } as const;
  execFileSync(bun ?? "", ["build", "--target=node", `--outfile=${main}`, script], options);
  const program = elsewhere.join("program");
  const config = {
    main,
    mainFormat: "module",
    output: program,
    disableExperimentalSEAWarning: true,
  };
  const path = directory.file("sea.json", JSON.stringify(config));
  execFileSync(process.execPath, ["--build-sea", path], options);
  fs.rmSync(directory.path, { recursive: true });
  const stdout = new Sink();
  const env = ["TMPDIR=/no/such/directory"];
  const code = await new Command(program, [], { env, dir: elsewhere.path, stdout }).run()
    .then(() => 0, (error) => {
      if (error instanceof ExitError) return error.exitCode;
      throw error;
    });
  assertEquals([code, stdout.text()], [0, "from the executable\na\nb\nexit status 0\n"]);
  // Nothing is left, as nothing was unpacked.
  assertEquals(fs.readdirSync(elsewhere.path), ["program"]);
});
