import fs from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Command, ExecError, lookPath, SpawnError } from "../../mod.ts";
import { Directory, needsUser, Variable, WorkingDirectory, wrong } from "../helper.ts";

/** Makes a program that prints its own name. */
function program(directory: Directory, name: string, mode = 0o755): string {
  return directory.file(name, `#!/bin/sh\necho ${name}\n`, mode);
}

/** Checks that a name is not found, and with which code. */
function refused(name: string, code: string, text: string): ExecError {
  const error = assertThrows(() => lookPath(name), ExecError, text);
  assertEquals([error.code, error.command], [code, name]);
  return error;
}

function notFound(name: string): void {
  const error = refused(name, "ERR_NOT_FOUND", "executable file not found in $PATH");
  assertEquals("path" in error, false);
}

test("rule 1: no name, and the names of directories, are never found", () => {
  using directory = new Directory();
  const here = program(directory, "prog");
  for (const path of [directory.path, here, `${here}/..`, ".", "", `${directory.path}:.`]) {
    using _ = new Variable("PATH", path);
    for (const name of ["", ".", ".."]) notFound(name);
  }
});

test("rule 2: a name with a slash is checked where it is, whatever PATH says", () => {
  using directory = new Directory();
  using _cwd = new WorkingDirectory(directory.path);
  using _path = new Variable("PATH", directory.join("bin"));
  const path = program(directory, "bin/prog");
  for (const name of [path, "bin/prog", "./bin/prog", "bin//prog", "bin/../bin/prog"]) {
    assertEquals(lookPath(name), name);
  }
});

test("rule 2: a name with a slash that is no program says why", () => {
  using directory = new Directory();
  const plain = directory.file("plain", "", 0o644);
  const missing = directory.join("missing");
  refused(missing, "ENOENT", `exec: "${missing}": stat ${missing}: no such file or directory`);
  refused(plain, "EACCES", `exec: "${plain}": permission denied`);
  refused(directory.path, "EISDIR", `exec: "${directory.path}": is a directory`);
  const below = `${plain}/x`;
  refused(below, "ENOTDIR", `exec: "${below}": stat ${below}: not a directory`);
  refused("/", "EISDIR", 'exec: "/": is a directory');
});

test("rule 3: a name without a slash is sought in PATH as it is now, in order", () => {
  using directory = new Directory();
  const first = program(directory, "a/prog");
  const second = program(directory, "b/prog");
  using path = new Variable("PATH", `${directory.join("a")}:${directory.join("b")}`);
  assertEquals(lookPath("prog"), first);
  path.set(`${directory.join("b")}:${directory.join("a")}`);
  assertEquals(lookPath("prog"), second);
  path.set(`/no/such/dir:${directory.join("b")}`);
  assertEquals(lookPath("prog"), second);
  path.set(directory.path);
  notFound("prog");
});

test("rule 3: without PATH, or with an empty one, nothing is found", () => {
  using directory = new Directory();
  program(directory, "prog");
  using _cwd = new WorkingDirectory(directory.path);
  for (const value of [undefined, ""]) {
    using _path = new Variable("PATH", value);
    for (const name of ["prog", "sh", "ls"]) notFound(name);
  }
});

test("rule 4: an empty element of PATH is the current directory", () => {
  using directory = new Directory();
  program(directory, "prog");
  using _cwd = new WorkingDirectory(directory.path);
  for (const value of [":", ":/no/such/dir", "/no/such/dir:", "/no::/such"]) {
    using _path = new Variable("PATH", value);
    const error = refused("prog", "ERR_DOT", "found relative to current directory");
    assertEquals(error.path, "prog");
  }
});

test("rule 5: what is found is written without detours", () => {
  using directory = new Directory();
  const path = program(directory, "bin/prog");
  for (const element of ["bin", "./bin/", "bin//", "other/../bin"]) {
    using _ = new Variable("PATH", `${directory.path}/${element}`);
    assertEquals(lookPath("prog"), path, element);
  }
});

test("rule 6: what is no program is passed over, for whatever reason", () => {
  using directory = new Directory();
  directory.file("plain/prog", "", 0o644);
  fs.mkdirSync(directory.join("dir/prog"), { recursive: true });
  directory.file("file");
  fs.mkdirSync(directory.join("links"));
  fs.symlinkSync("nowhere", directory.join("links/prog"));
  const bad = ["plain", "dir", "file", "links", "missing"].map((name) => directory.join(name));
  using path = new Variable("PATH", bad.join(":"));
  notFound("prog");
  const good = program(directory, "good/prog");
  path.set([...bad, directory.join("good")].join(":"));
  assertEquals(lookPath("prog"), good);
});

test("rule 6: a directory that may not be entered is passed over", needsUser, () => {
  using directory = new Directory();
  program(directory, "closed/prog");
  const good = program(directory, "good/prog");
  fs.chmodSync(directory.join("closed"), 0);
  using path = new Variable("PATH", directory.join("closed"));
  notFound("prog");
  path.set(`${directory.join("closed")}:${directory.join("good")}`);
  assertEquals(lookPath("prog"), good);
  fs.chmodSync(directory.join("closed"), 0o755);
});

test("rule 7: what is found relative to the current directory is refused, and ends the search", () => {
  using directory = new Directory();
  program(directory, "bin/prog");
  const good = program(directory, "good/prog");
  using _cwd = new WorkingDirectory(directory.join("bin"));
  const rows: [element: string, path: string][] = [
    [".", "prog"],
    ["", "prog"],
    ["./", "prog"],
    ["../bin", "../bin/prog"],
    ["../bin/.", "../bin/prog"],
  ];
  for (const [element, path] of rows) {
    using _path = new Variable("PATH", `/no:${element}:${directory.join("good")}`);
    const error = refused(
      "prog",
      "ERR_DOT",
      'exec: "prog": cannot run executable found relative to current directory',
    );
    assertEquals(error.path, path);
  }
  using _path = new Variable("PATH", `missing:../missing:${directory.join("good")}`);
  assertEquals(lookPath("prog"), good);
});

test("rule 7: a command keeps what was found, and runs it once that is allowed", async () => {
  using directory = new Directory();
  program(directory, "prog");
  using _cwd = new WorkingDirectory(directory.path);
  using _path = new Variable("PATH", ".:/bin:/usr/bin");
  const command = new Command("prog");
  assert(command.err instanceof ExecError);
  assertEquals([command.path, command.err.code], ["prog", "ERR_DOT"]);
  assertThrows(() => command.clone().start(), ExecError);
  delete command.err;
  assertEquals(await command.text(), "prog\n");
});

test("rule 8: the same directory by an absolute name comes first if it stands first", () => {
  using directory = new Directory();
  const path = program(directory, "prog");
  using _cwd = new WorkingDirectory(directory.path);
  using variable = new Variable("PATH", `${directory.path}:.`);
  assertEquals(lookPath("prog"), path);
  variable.set(`.:${directory.path}`);
  refused("prog", "ERR_DOT", "current directory");
});

test("rule 9: symbolic links are followed, and any right to execute of ours will do", () => {
  using directory = new Directory();
  program(directory, "real", 0o700);
  fs.symlinkSync("real", directory.join("link"));
  using _ = new Variable("PATH", directory.path);
  assertEquals([lookPath("real"), lookPath("link")], [
    directory.join("real"),
    directory.join("link"),
  ]);
});

test("rule 9: another user's right to execute is none of ours", needsUser, () => {
  using directory = new Directory();
  const path = program(directory, "prog", 0o611);
  refused(path, "EACCES", "permission denied");
  using _ = new Variable("PATH", directory.path);
  notFound("prog");
});

test("rule 11: what a program holds is not looked at", () => {
  using directory = new Directory();
  directory.file("empty", "", 0o755);
  directory.file("script", "#!/no/such/interpreter\n", 0o755);
  using _ = new Variable("PATH", directory.path);
  assertEquals(lookPath("empty"), directory.join("empty"));
  assertEquals(lookPath("script"), directory.join("script"));
  assertThrows(() => new Command("empty").start(), SpawnError, "exec format error");
  assertThrows(() => new Command("script").start(), SpawnError, "no such file or directory");
});

test("rule 12: neither the command's environment nor its directory have a say", async () => {
  using directory = new Directory();
  const here = program(directory, "a/prog");
  program(directory, "b/prog");
  using _ = new Variable("PATH", directory.join("a"));
  const env = { PATH: directory.join("b") };
  const command = new Command("prog", [], { env, dir: directory.join("b") });
  assertEquals([command.path, await command.text()], [here, "a/prog\n"]);
});

test("rule 13: a command whose name has a slash is not looked up at all", () => {
  for (const name of ["/no/such/program", "./no-such-program", "a/b"]) {
    const command = new Command(name);
    assertEquals([command.path, command.err], [name, undefined]);
    assertThrows(() => command.start(), SpawnError, `fork/exec ${name}: no such file`);
  }
});

test("rule 14: a NUL makes a name one that is not found, or cannot be a path", () => {
  const text = 'exec: "l\\x00s": executable file not found in $PATH';
  assertEquals(refused("l\0s", "ERR_NOT_FOUND", text).message, text);
  const error = assertThrows(() => lookPath("/bin/l\0s"), ExecError, "invalid argument");
  assertEquals(error.code, "EINVAL");
});

test("rule 15: the path may be changed after the look-up, and its error stays", () => {
  using _ = new Variable("PATH", "/no/such/dir");
  const command = new Command("prog");
  command.path = "/bin/sh";
  assertThrows(() => command.start(), ExecError, "executable file not found in $PATH");
});

test("contract: what is no string is a TypeError", () => {
  // A clean PATH, to which a name is joined without a look at it.
  using _ = new Variable("PATH", "/bin:/usr/bin");
  for (const name of [undefined, null, 7, ["sh"], {}]) {
    assertThrows(() => lookPath(wrong<string>(name)), TypeError);
  }
});
