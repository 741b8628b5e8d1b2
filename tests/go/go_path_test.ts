/** os/exec's tests of looking programs up, of PWD, and of the tables inside the package. */

import { test } from "node:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import {
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { Command, ExecError, lookPath, SpawnError, SyscallError } from "../../mod.ts";
import { EndsCollector } from "../../src/command/capture.ts";
import { dedupEnvironment, environmentProblem } from "../../src/start/environment.ts";
import {
  decode,
  encode,
  impersonate,
  isRoot,
  needsRoot,
  program,
  temporaryDirectory,
} from "../impersonator.ts";

/** This process's directory and variables, put back at the end of a test. */
function place(directory: string, variables: Record<string, string>): Disposable {
  const before = process.cwd();
  const old = new Map(Object.keys(variables).map((key) => [key, process.env[key]]));
  process.chdir(directory);
  Object.assign(process.env, variables);
  return {
    [Symbol.dispose]() {
      process.chdir(before);
      for (const [key, value] of old) {
        if (value === undefined) delete process.env[key];
        else process.env[key] = value;
      }
    },
  };
}

/** What a look-up fails with. */
function refusal(name: string): ExecError {
  return assertThrows(() => lookPath(name), ExecError);
}

function executable(path: string, content: string | Uint8Array = new Uint8Array([1, 2, 3])): void {
  writeFileSync(path, content);
  chmodSync(path, 0o755);
}

const PATH = process.env["PATH"] ?? "";

for (const dir of [".", "../testdir"]) {
  test(`TestLookPath/PATH=${dir}: what is found relative to here is refused, but may be run`, async () => {
    using temporary = temporaryDirectory();
    const here = join(temporary.path, "testdir");
    mkdirSync(here);
    executable(join(here, "execabs-test"));
    using _ = place(here, { PATH: `${dir}${delimiter}${PATH}` });
    const found = join(dir, "execabs-test");
    assertEquals(lookPath(`${dir}/execabs-test`), `${dir}/execabs-test`);
    const error = refusal("execabs-test");
    assertEquals([error.code, error.path, error.command], ["ERR_DOT", found, "execabs-test"]);
    assertEquals(
      error.message,
      'exec: "execabs-test": cannot run executable found relative to current directory',
    );
    const command = new Command("execabs-test");
    assertInstanceOf(command.err, ExecError);
    assertEquals([command.err.code, command.path], ["ERR_DOT", found]);
    assertThrows(() => command.clone().start(), ExecError);
    // It is no program, which only running it can tell.
    delete command.err;
    const failure = await assertRejects(() => command.run(), SpawnError);
    assertEquals(`${failure}`, `SpawnError: fork/exec ${found}: exec format error`);
  });
}

test("TestLookPath/PATH=$PWD: an absolute directory that is this one is no relative one", () => {
  using temporary = temporaryDirectory();
  executable(join(temporary.path, "execabs-test"));
  const absolute = `${temporary.path}${delimiter}.${delimiter}${PATH}`;
  using _ = place(temporary.path, { PATH: absolute });
  assertEquals(lookPath("execabs-test"), join(temporary.path, "execabs-test"));
  assertStrictEquals(new Command("execabs-test").err, undefined);
});

test("TestLookPath/PATH=$OTHER: a program here is in no one's way", () => {
  using temporary = temporaryDirectory();
  using other = temporaryDirectory();
  executable(join(temporary.path, "execabs-test"));
  executable(join(other.path, "execabs-test"));
  using _ = place(temporary.path, { PATH: `${other.path}${delimiter}${PATH}` });
  assertEquals(lookPath("execabs-test"), join(other.path, "execabs-test"));
});

for (
  const [name, path] of [
    ["$OTHER2", PATH],
    ["exe", program],
    ["exe/xx", join(program, "xx")],
  ] as const
) {
  test(`TestLookPath/PATH=${name}: what names no file is never found`, () => {
    using temporary = temporaryDirectory();
    using _ = place(temporary.path, { PATH: path });
    for (const file of ["", ".", ".."]) {
      const error = refusal(file);
      assertEquals([error.code, error.path], ["ERR_NOT_FOUND", undefined], file);
    }
    assertEquals(refusal("abc/..").code, "ENOENT");
    mkdirSync("abc");
    assertEquals(refusal("abc/..").message, 'exec: "abc/..": is a directory');
  });
}

test("TestLookPathNotFound: the error names what was looked for", () => {
  for (const name of ["some-non-existent-path", "non-existent-path/slashed"]) {
    const error = refusal(name);
    assertEquals([error.command, error.path], [name, undefined]);
  }
  assertEquals(
    refusal("some-non-existent-path").message,
    'exec: "some-non-existent-path": executable file not found in $PATH',
  );
});

test("TestLookPathUnixEmptyPath: an empty PATH has no element, an empty element is here", () => {
  using temporary = temporaryDirectory();
  executable(join(temporary.path, "exec_me"), "");
  for (const [path, code] of [["", "ERR_NOT_FOUND"], [":", "ERR_DOT"], ["/nope:", "ERR_DOT"]]) {
    using _ = place(temporary.path, { PATH: path ?? "" });
    assertEquals(refusal("exec_me").code, code, path);
  }
  using _ = place(temporary.path, { PATH: "" });
  delete process.env["PATH"];
  assertEquals(refusal("exec_me").code, "ERR_NOT_FOUND");
});

test("TestFindExecutableVsNoexec: on a file system without programs there is none", {
  skip: needsRoot,
}, async () => {
  using temporary = temporaryDirectory();
  const { path } = temporary;
  await new Command("mount", ["-t", "tmpfs", "tmpfs", path]).combinedOutput();
  try {
    const file = join(path, "program");
    executable(file, "#!/bin/sh\necho 123\n");
    assertEquals(lookPath(file), file);
    assertEquals(await new Command(file).text(), "123\n");
    await new Command("mount", ["-o", "remount,noexec", path]).combinedOutput();
    const error = await assertRejects(() => new Command(file).run(), SpawnError);
    assertEquals(`${error}`, `SpawnError: fork/exec ${file}: permission denied`);
    assertEquals(refusal(file).message, `exec: "${file}": permission denied`);
  } finally {
    await new Command("umount", [path]).run();
  }
});

test("TestFaccessat: what counts is whether it may be run, by its mode, its kind and its target", () => {
  using temporary = temporaryDirectory();
  const at = (name: string): string => join(temporary.path, name);
  writeFileSync(at("plain"), "");
  mkdirSync(at("directory"));
  symlinkSync("plain", at("to-plain"));
  symlinkSync("nowhere", at("to-nowhere"));
  executable(at("program"));
  symlinkSync("program", at("to-program"));
  assertEquals(refusal(at("plain")).code, "EACCES");
  assertEquals(refusal(at("directory")).code, "EISDIR");
  assertEquals(refusal(at("to-plain")).code, "EACCES");
  assertEquals(refusal(at("to-nowhere")).code, "ENOENT");
  assertEquals(refusal(at("plain/below")).code, "ENOTDIR");
  assertEquals(lookPath(at("to-program")), at("to-program"));
});

test("rule 2: a name with a slash is looked at as it is, and the error says what was wrong", () => {
  const message = (name: string): string => refusal(name).message;
  assertEquals(message("/nosuch"), 'exec: "/nosuch": stat /nosuch: no such file or directory');
  assertEquals(message("/"), 'exec: "/": is a directory');
  assertEquals(message("/etc/passwd"), 'exec: "/etc/passwd": permission denied');
  assertEquals(
    message("/etc/passwd/x"),
    'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory',
  );
  using _ = place(dirname(program), { PATH: "" });
  assertEquals(lookPath("./impersonator"), "./impersonator");
});

test("rule 2: below a directory that may not be searched nothing can be looked at", {
  skip: isRoot && "is for an ordinary user",
}, () => {
  using temporary = temporaryDirectory();
  const closed = join(temporary.path, "closed");
  mkdirSync(closed);
  executable(join(closed, "program"));
  chmodSync(closed, 0o600);
  const file = join(closed, "program");
  assertEquals(refusal(file).message, `exec: "${file}": stat ${file}: permission denied`);
  chmodSync(closed, 0o700);
});

test("rules 5 and 6: the first that may be run wins, and what else went wrong does not show", () => {
  using temporary = temporaryDirectory();
  const at = (name: string): string => join(temporary.path, name);
  for (const name of ["a", "b", "c", "d"]) mkdirSync(at(name));
  writeFileSync(at("a/tool"), "");
  mkdirSync(at("b/tool"));
  executable(at("c/tool"));
  executable(at("d/tool"));
  const elements = [at("nowhere"), at("a/tool"), at("a"), at("b"), `${at("c")}//`, at("d")];
  using _ = place("/", { PATH: elements.join(delimiter) });
  assertEquals(lookPath("tool"), at("c/tool"));
  process.env["PATH"] = [at("a"), at("b")].join(delimiter);
  assertEquals(refusal("tool").code, "ERR_NOT_FOUND");
});

test("rule 11: what is no program is found, and fails when it is run", async () => {
  using temporary = temporaryDirectory();
  const at = (name: string): string => join(temporary.path, name);
  executable(at("empty"), "");
  executable(at("text"), "echo no shell reads this\n");
  executable(at("interpreter"), "#!/no/such/interpreter\n");
  for (
    const [name, text] of [
      ["empty", "exec format error"],
      ["text", "exec format error"],
      ["interpreter", "no such file or directory"],
    ]
  ) {
    const path = at(name ?? "");
    assertEquals(lookPath(path), path);
    const error = await assertRejects(() => new Command(path).run(), SpawnError);
    assertEquals([error.step, `${error}`], ["exec", `SpawnError: fork/exec ${path}: ${text}`]);
  }
});

test("rules 12 and 13: neither env nor dir has a say in what a name means", async () => {
  using temporary = temporaryDirectory();
  executable(join(temporary.path, "osexec-tool"), "#!/bin/sh\necho found\n");
  const env = { PATH: temporary.path };
  await assertRejects(() => new Command("osexec-tool", [], { env }).run(), ExecError);
  const { path: dir } = temporary;
  await assertRejects(() => new Command("osexec-tool", [], { dir }).run(), ExecError);
  assertEquals(await new Command("./osexec-tool", [], { dir }).text(), "found\n");
});

test("rule 14: a NUL in a name is not found, and in a path or an argument refused", () => {
  assertEquals(refusal("a\0b").message, 'exec: "a\\x00b": executable file not found in $PATH');
  assertInstanceOf(new Command("a\0b").err, ExecError);
  for (const command of [new Command("/bin/a\0b"), new Command("/bin/echo", ["a\0b"])]) {
    const error = assertThrows(() => command.start(), SpawnError);
    assertEquals([error.step, error.code], ["request", "EINVAL"]);
  }
});

// ------------------------------------------------------------------ PWD

function pwdOf(command: Command): string[] {
  return command.environ().filter((entry) => entry.startsWith("PWD="));
}

test("TestImplicitPWD: a directory without an environment sets PWD", async () => {
  using temporary = temporaryDirectory();
  const cwd = realpathSync(temporary.path);
  using _ = place(cwd, { PWD: cwd });
  const rows: [dir: string, pwd: string][] = [
    ["", cwd],
    [".", cwd],
    ["..", dirname(cwd)],
    [cwd, cwd],
    [`${cwd}/..`, dirname(cwd)],
  ];
  for (const [dir, pwd] of rows) {
    const command = impersonate("pwd", [], { dir });
    assertEquals(pwdOf(command), [`PWD=${pwd}`], dir);
    assertEquals(await command.text(), `${pwd}\n`, dir);
  }
  delete process.env["PWD"];
  assertEquals(pwdOf(impersonate("pwd")), []);
});

test("TestExplicitPWD: an environment that is given has the PWD that it says", async () => {
  using temporary = temporaryDirectory();
  const cwd = realpathSync(temporary.path);
  const link = join(cwd, "link");
  symlinkSync(cwd, link);
  using _ = place(cwd, {});
  for (
    const [dir, pwd] of [
      [undefined, cwd],
      [undefined, link],
      [link, cwd],
      [cwd, link],
    ] as const
  ) {
    const command = impersonate("pwd");
    command.env = [...command.environ(), `PWD=${pwd}`];
    if (dir !== undefined) command.dir = dir;
    assertEquals(pwdOf(command), [`PWD=${pwd}`]);
    assertEquals(await command.text(), `${pwd}\n`);
  }
  // Without one the link keeps its name.
  assertEquals(await impersonate("pwd", [], { dir: link }).text(), `${link}\n`);
});

test("rule 16: without a working directory only a relative dir has no PWD", async () => {
  const gone = mkdtempSync(join(tmpdir(), "osexec-gone-"));
  using _ = place(gone, {});
  rmdirSync(gone);
  assertEquals(pwdOf(impersonate("pwd", [], { dir: "/usr" })), ["PWD=/usr"]);
  assertEquals(await impersonate("pwd", [], { dir: "/usr" }).text(), "/usr\n");
  const relative = impersonate("pwd", [], { dir: "." });
  assertEquals(pwdOf(relative), pwdOf(impersonate("pwd")));
  const error = await assertRejects(() => relative.run(), SyscallError);
  assertEquals([error.syscall, error.code], ["getcwd", "ENOENT"]);
});

test("rules 22 and 76: a bad directory is named, with attributes or without", async () => {
  for (const sysProcAttr of [undefined, {}, { setsid: true }]) {
    const run = (dir: string): Promise<SpawnError> => {
      const command = impersonate("pwd", [], { dir });
      if (sysProcAttr !== undefined) command.sysProcAttr = sysProcAttr;
      return assertRejects(() => command.run(), SpawnError);
    };
    const missing = await run("/no/such/directory");
    assertEquals([missing.step, missing.argument], ["chdir", "/no/such/directory"]);
    assertEquals(
      missing.message,
      `fork/exec ${program}: chdir /no/such/directory: no such file or directory`,
    );
    const file = await run("/etc/passwd");
    assertEquals(file.message, `fork/exec ${program}: chdir /etc/passwd: not a directory`);
  }
});

// ------------------------------------------------------------------ tables

test("TestDedupEnv: of each key the last, in the order of the list", () => {
  const rows: [list: string[], kept: string[]][] = [
    [["k1=v1", "k2=v2", "K1=v3"], ["k1=v1", "k2=v2", "K1=v3"]],
    [["k1=v1", "K1=V2", "k1=v3"], ["K1=V2", "k1=v3"]],
    [["=a", "=b", "foo", "bar"], ["=b", "foo", "bar"]],
    [["=C:=C:\\golang", "=D:=D:\\tmp", "=D:=D:\\"], ["=C:=C:\\golang", "=D:=D:\\"]],
    [["dodgy", "entries"], ["dodgy", "entries"]],
    [["A=a\0b", "B=b", "C\0C=c"], ["B=b"]],
  ];
  for (const [list, kept] of rows) {
    assertEquals([...dedupEnvironment(list)], kept);
    const nul = list.some((entry) => entry.includes("\0"));
    assertEquals(environmentProblem(list), nul ? "environment variable contains NUL" : null);
  }
});

test("TestPrefixSuffixSaver: the two ends are kept, and what was left out is counted", () => {
  const rows: [writes: string[], saved: string][] = [
    [[], ""],
    [["a"], "a"],
    [["abc", "d"], "abcd"],
    [["abc", "d", "e"], "ab\n... omitting 1 bytes ...\nde"],
    [["ab______________________yz"], "ab\n... omitting 22 bytes ...\nyz"],
    [["ab_______________________y", "z"], "ab\n... omitting 23 bytes ...\nyz"],
  ];
  for (const [writes, saved] of rows) {
    const saver = new EndsCollector(2);
    for (const text of writes) saver.write(encode(text));
    assertEquals(decode(saver.bytes()), saved);
  }
});
