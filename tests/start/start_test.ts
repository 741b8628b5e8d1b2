import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  Command,
  type Env,
  OSFile,
  pipe,
  type ProcAttr,
  SpawnError,
  startProcess,
} from "../../mod.ts";
import {
  decode,
  Directory,
  helper,
  keepsIgnoredSignals,
  readAll,
  runScript,
  runtime,
  sh,
  Variable,
  wrong,
} from "../helper.ts";
import { field } from "../holdings.ts";

/** What the child program prints, started without a Command. */
async function printed(argv: readonly string[], attr: ProcAttr = {}): Promise<string> {
  const [reading, writing] = pipe();
  const child = startProcess(helper, argv, { ...attr, files: [null, writing, 2] });
  writing.close();
  const text = await readAll(reading);
  reading.close();
  assertEquals(String(await child.wait()), "exit status 0");
  return text;
}

/** The environment that a child of startProcess() sees. */
async function environmentOf(env?: Env): Promise<string[]> {
  return lines(await printed(["helper", "env"], env === undefined ? {} : { env }));
}

function lines(text: string): string[] {
  return text === "" ? [] : text.trimEnd().split("\n");
}

/** The variables of this process, as "k=v". */
function own(): string[] {
  return Object.entries(process.env).map(([key, value]) => `${key}=${value}`).sort();
}

test("argv is the child's own, the first one too, whatever the path", async () => {
  assertEquals(await printed(["other", "args", "", "a b", "grün"]), "other\nargs\n\na b\ngrün\n");
  const command = new Command(helper, ["args", "x"]);
  command.args[0] = "-login";
  assertEquals(await command.text(), "-login\nargs\nx\n");
});

test("a command without arguments has the path as its own name", async () => {
  const command = new Command("/bin/sh");
  command.args = [];
  command.stdin = 'echo "$0"';
  assertEquals(await command.text(), "/bin/sh\n");
});

test("an empty argv does not hurt", async () => {
  // Linux makes it one empty string from 5.18 on, which the child program refuses.
  using nowhere = OSFile.open("/dev/null", "w");
  const state = await startProcess(helper, [], { files: [null, null, nowhere] }).wait();
  assertEquals(state.exitCode, 64);
});

test("an absolute path is run as it is, and may be changed until the start", async () => {
  const command = new Command("no-such-program", ["args"]);
  assertThrows(() => command.clone().start(), Error, "executable file not found");
  command.path = helper;
  delete command.err;
  assertEquals(await command.text(), "no-such-program\nargs\n");
});

test("a relative path is resolved in the child's directory, not in ours", async () => {
  using directory = new Directory();
  directory.helper("sub/program");
  const dir = directory.join("sub");
  assertEquals(await new Command("./program", ["args"], { dir }).text(), "./program\nargs\n");
  assertEquals(
    await new Command("sub/program", ["args"], { dir: directory.path }).text(),
    "sub/program\nargs\n",
  );
  const state = await startProcess("./program", ["p", "exit", "7"], { dir }).wait();
  assertEquals(state.exitCode, 7);
  const error = assertThrows(() => new Command("./program").start(), SpawnError);
  assertEquals([error.step, error.code, error.path], ["exec", "ENOENT", "./program"]);
});

test("the working directory is dir, or this process's own", async () => {
  using directory = new Directory();
  assertEquals(
    await new Command("/bin/pwd", ["-P"], { dir: directory.path }).text(),
    `${directory.path}\n`,
  );
  for (const options of [{}, { dir: "" }]) {
    assertEquals(await new Command("/bin/pwd", ["-P"], options).text(), `${process.cwd()}\n`);
  }
  assertEquals(await sh("/bin/pwd -P", { dir: ".." }).text(), `${dirname(process.cwd())}\n`);
});

test("PWD names dir where the environment is not given, symbolic links and all", async () => {
  using directory = new Directory();
  fs.mkdirSync(directory.join("real"));
  fs.symlinkSync("real", directory.join("link"));
  const cwd = process.cwd();
  const rows: [dir: string, pwd: string][] = [
    [directory.join("link"), directory.join("link")],
    [`${directory.path}/./real/../link/`, directory.join("link")],
    [".", cwd],
    ["..", dirname(cwd)],
    [`../${basename(cwd)}`, cwd],
  ];
  for (const [dir, pwd] of rows) {
    const command = new Command(helper, ["env"], { dir });
    const values = (list: string[]): string[] => list.filter((entry) => entry.startsWith("PWD="));
    assertEquals(values(command.environ()), [`PWD=${pwd}`], dir);
    assertEquals(values(lines(await command.text())), [`PWD=${pwd}`], dir);
  }
});

test("PWD is left alone without dir, and where the environment is given", async () => {
  using _ = new Variable("PWD", "/as/it/was");
  assertStringIncludes(await new Command(helper, ["env"]).text(), "PWD=/as/it/was\n");
  const given = new Command(helper, ["env"], { dir: "/", env: ["PWD=/mine", "A=1"] });
  assertEquals(await given.text(), "PWD=/mine\nA=1\n");
  assertEquals(await new Command(helper, ["env"], { dir: "/", env: {} }).text(), "");
});

test("startProcess() adds no PWD and takes the environment as it is", async () => {
  const env = ["A=1", "A=2", "no equals sign", "=x", "B="];
  assertEquals(lines(await printed(["h", "env"], { env, dir: "/" })), env);
});

test("without an environment of its own the child has this process's", async () => {
  using variable = new Variable("OSEXEC_TEST_VARIABLE", "grün = blue");
  assertEquals((await environmentOf()).sort(), own());
  assertEquals(lines(await new Command(helper, ["env"]).text()).sort(), own());
  assertEquals(lines(decode(new Command(helper, ["env"]).outputSync())).sort(), own());
  assertStringIncludes(own().join("\n"), "OSEXEC_TEST_VARIABLE=grün = blue");
  variable.set(undefined);
  assertEquals((await environmentOf()).sort(), own());
});

test("a record is the whole environment, and undefined deletes", async () => {
  const env = { A: "1", B: undefined, EMPTY: "", SPACE: "a b" };
  assertEquals(await environmentOf(env), ["A=1", "EMPTY=", "SPACE=a b"]);
  assertEquals(lines(await new Command(helper, ["env"], { env }).text()), [
    "A=1",
    "EMPTY=",
    "SPACE=a b",
  ]);
});

test("of a list the last of a key wins, and it keeps its place", async () => {
  const env = ["FOO=bad", "BAR=1", "FOO=good", "odd", "", "BAR=1"];
  assertEquals(lines(await new Command(helper, ["env"], { env }).text()), [
    "FOO=good",
    "odd",
    "BAR=1",
  ]);
});

test("an empty environment is empty, not inherited", async () => {
  for (const env of [[], {}, { A: undefined }]) {
    assertEquals(await environmentOf(env), []);
    assertEquals(await new Command(helper, ["env"], { env }).text(), "");
  }
});

test("environ() shows what the child would get", async () => {
  for (const env of [undefined, [], ["B=2", "A=1", "B=3"], { A: "1", B: undefined }]) {
    const command = new Command(helper, ["env"]);
    if (env !== undefined) command.env = env;
    // Deno has no order of its own for this process's variables.
    const order = (list: string[]): string[] => env === undefined ? list.sort() : list;
    assertEquals(order(command.environ()), order(lines(await command.text())));
  }
  const bad = new Command(helper, [], { env: ["A=1", "B=\0", "C=3"] });
  assertEquals(bad.environ(), ["A=1", "C=3"]);
});

test("what is neither text nor a list is a TypeError", () => {
  const attributes: [string, ProcAttr][] = [
    ["env", { env: wrong<Env>(7) }],
    ["a variable", { env: wrong<Env>({ A: 1 }) }],
    ["an entry", { env: wrong<Env>(["A=1", null]) }],
    ["dir", { dir: wrong<string>(7) }],
  ];
  for (const [name, attr] of attributes) {
    assertThrows(() => startProcess(helper, ["helper"], attr), TypeError, "", name);
  }
  assertThrows(() => startProcess(wrong<string>(7), ["helper"]), TypeError);
  assertThrows(() => startProcess(helper, wrong<string[]>("helper")), TypeError);
  assertThrows(() => startProcess(helper, wrong<string[]>(["helper", 7])), TypeError);
  assertThrows(() => new Command(wrong<string>(undefined)), TypeError);
});

test("startProcess() looks nothing up in PATH", () => {
  const error = assertThrows(() => startProcess("sh", ["sh"]), SpawnError);
  assertEquals([error.step, error.code], ["exec", "ENOENT"]);
});

test("a script with an interpreter runs, and one without is not given to a shell", async () => {
  using directory = new Directory();
  const script = directory.file("script", '#!/bin/sh\necho "$1"\n', 0o755);
  assertEquals(await new Command(script, ["hello"]).text(), "hello\n");
  const plain = directory.file("plain", "echo hello\n", 0o755);
  assertThrows(() => new Command(plain).start(), SpawnError, "exec format error");
});

test("nothing is expanded, quoted or interpreted", async () => {
  const odd = ["$HOME", "*", "a;b", "'q'", '"', "\\", "\n", "`id`", "-x"];
  assertEquals(await printed(["h", "args", ...odd]), ["h", "args", ...odd, ""].join("\n"));
});

test("the child blocks no signal, and SIGPIPE and SIGXFSZ are at their defaults", async () => {
  const status = await printed(["helper", "id"]);
  assertEquals(field(status, "SigBlk"), "0".repeat(16));
  assertEquals(field(status, "SigCgt"), "0".repeat(16));
  const ignored = BigInt(`0x${field(status, "SigIgn")}`);
  for (const signal of [13n, 25n, 32n, 33n]) {
    assertEquals(ignored >> (signal - 1n) & 1n, 0n, `${signal}`);
  }
});

test("what else this process ignores stays ignored, as under nohup", async () => {
  const { stdout } = await runScript(
    `console.log(await new osexec.Command(${JSON.stringify(helper)}, ["id"]).text());`,
    { runtime: ["/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh", ...runtime] },
  );
  const ignored = BigInt(`0x${field(stdout, "SigIgn")}`);
  const hangup = keepsIgnoredSignals ? 1n : 0n;
  for (const [signal, bit] of [[1n, hangup], [13n, 0n], [25n, 0n]] as const) {
    assertEquals(ignored >> (signal - 1n) & 1n, bit, `${signal}`);
  }
});

test("the child is a child of this process, in its group and session", async () => {
  const [reading, writing] = pipe();
  const child = startProcess(helper, ["helper", "id"], { files: [null, writing, null] });
  writing.close();
  const status = await readAll(reading);
  reading.close();
  assertEquals(field(status, "Pid"), `${child.pid}`);
  assertEquals(field(status, "PPid"), `${process.pid}`);
  const mine = fs.readFileSync("/proc/self/status", "utf8");
  for (const name of ["NSpgid", "NSsid", "Uid", "Gid", "Groups"]) {
    assertEquals(field(status, name), field(mine, name), name);
  }
  await child.wait();
});

test("a long list of arguments and variables arrives whole", async () => {
  const argv = Array.from({ length: 5_000 }, (_, index) => `argument ${index}`);
  const env = Array.from({ length: 2_000 }, (_, index) => `V${index}=${"x".repeat(index % 90)}`);
  assertEquals(await printed(["h", "args", ...argv]), ["h", "args", ...argv, ""].join("\n"));
  assertEquals(await environmentOf(env), env);
});

test("a start fails before anything is printed where the program is missing in dir", async () => {
  await assertRejects(
    () => new Command("gofmt/x", [], { dir: join("/", "usr") }).run(),
    SpawnError,
    "fork/exec gofmt/x: no such file or directory",
  );
});
