import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import {
  dedupEnvironment,
  type Env,
  environmentList,
  environmentProblem,
  withPwd,
} from "../../src/start/environment.ts";
import { absolutePath, joinPath } from "../../src/paths.ts";

const NUL_PROBLEM = "environment variable contains NUL";

test("rule 16: PWD is the directory made absolute by its text alone", () => {
  const rows: [dir: string, pwd: string][] = [
    ["", "/home/me"],
    [".", "/home/me"],
    ["..", "/home"],
    ["../../..", "/"],
    ["sub/./dir/", "/home/me/sub/dir"],
    ["sub//../other", "/home/me/other"],
    ["/tmp/", "/tmp"],
    ["//tmp/../var", "/var"],
    ["/", "/"],
  ];
  for (const [dir, pwd] of rows) assertEquals(absolutePath(dir, "/home/me"), pwd, dir);
});

test("a name is joined to a directory as filepath.Join does it, whatever the directory looks like", () => {
  const rows: [directory: string, path: string][] = [
    ["/usr/bin", "/usr/bin/ls"],
    ["/usr/bin/", "/usr/bin/ls"],
    ["/usr//bin", "/usr/bin/ls"],
    ["/usr/./bin", "/usr/bin/ls"],
    ["/usr/../bin", "/bin/ls"],
    ["/usr/.local", "/usr/.local/ls"],
    ["/", "/ls"],
    [".", "ls"],
    ["./bin", "bin/ls"],
    ["bin", "bin/ls"],
  ];
  for (const [directory, path] of rows) assertEquals(joinPath(directory, "ls"), path, directory);
});

test("rule 16: the added PWD beats an inherited one, and the list given is left alone", () => {
  const inherited = ["PWD=/old", "HOME=/root"];
  const added = withPwd(inherited, "..", "/usr/lib");
  assertEquals(added, ["PWD=/old", "HOME=/root", "PWD=/usr"]);
  assertEquals(dedupEnvironment(added), ["HOME=/root", "PWD=/usr"]);
  assertEquals(inherited, ["PWD=/old", "HOME=/root"]);
});

test("rule 17: the last of a key wins and keeps its place", () => {
  assertEquals(dedupEnvironment(["a=1", "b=2", "a=3", "c=4"]), ["b=2", "a=3", "c=4"]);
  assertEquals(dedupEnvironment(["a=1", "a=2", "a=1"]), ["a=1"]);
  assertEquals(dedupEnvironment(["a=1=2", "a=", "ab=1"]), ["a=", "ab=1"]);
  assertEquals(dedupEnvironment([]), []);
});

test("rule 17: a leading = belongs to the key", () => {
  const list = ["=C:=/one", "=D:=/two", "=D:=/three", "D:=/four"];
  assertEquals(dedupEnvironment(list), ["=C:=/one", "=D:=/three", "D:=/four"]);
});

test("rule 18: keys that differ in case are different keys", () => {
  assertEquals(dedupEnvironment(["path=1", "PATH=2", "path=3"]), ["PATH=2", "path=3"]);
});

test("rule 18: entries without = are all kept, empty ones dropped", () => {
  assertEquals(dedupEnvironment(["odd", "", "a=1", "odd", ""]), ["odd", "a=1", "odd"]);
});

test("rule 18: entries whose only = is the first character share the empty key", () => {
  assertEquals(dedupEnvironment(["=a", "x=1", "=b", "bare"]), ["x=1", "=b", "bare"]);
  assertEquals(dedupEnvironment(["=a", "==b"]), ["=a", "==b"]);
});

test("rule 18: keys that objects are born with are keys like any other", () => {
  assertEquals(dedupEnvironment(["toString=1", "__proto__=2"]), ["toString=1", "__proto__=2"]);
});

test("rule 19: an entry with a NUL is left out, and hides no other", () => {
  assertEquals(dedupEnvironment(["A=a\0b", "B=b", "C\0C=c"]), ["B=b"]);
  assertEquals(dedupEnvironment(["A=good", "A=bad\0"]), ["A=good"]);
});

test("rule 19: a NUL anywhere is a problem, in Go's words", () => {
  const bad: Env[] = [
    ["A=a\0b"],
    ["A=a", "B\0=b"],
    ["\0"],
    { A: "a\0" },
    { "A\0B": "a" },
  ];
  for (const env of bad) assertEquals(environmentProblem(env), NUL_PROBLEM);
  const good: Env[] = [[], {}, ["A=a", "odd", "", "=x", "=C:=c"], { A: "", B: "=\n" }];
  for (const env of good) assertEquals(environmentProblem(env), null);
});

test("contract: a record's empty key, or one with =, is a problem", () => {
  assertEquals(environmentProblem({ A: "1", "": "2" }), "environment key is empty");
  assertEquals(environmentProblem({ "A=B": "1" }), 'environment key "A=B" contains "="');
  assertEquals(environmentProblem({ '"\n=': "1" }), 'environment key "\\"\\n=" contains "="');
  assertEquals(environmentProblem({ "": undefined, "A=B": undefined }), null);
});

test("contract: undefined deletes, and no bad key passes for another", () => {
  const env = { A: "1", B: undefined, C: "", D: "x=y", "": "no", "A=B": "no" };
  assertEquals(environmentList(env), ["A=1", "C=", "D=x=y"]);
  assertEquals(environmentList(Object.assign(Object.create({ UP: "1" }), { A: "2" })), [
    "A=2",
    "UP=1",
  ]);
});

test("contract: a list is taken verbatim, as a copy", () => {
  const list = ["a=1", "a=2", "", "odd", "=x", "n=\0"];
  const copy = environmentList(list);
  assertEquals(copy, list);
  list.push("more=1");
  assertEquals(copy.length, 6);
});

test("contract: what is not a string is a TypeError that names it", () => {
  const wrong: [json: string, message: string][] = [
    ['{"A":"1","B":2}', 'Environment variable "B" is not a string'],
    ['{"A":null}', 'Environment variable "A" is not a string'],
    ['["A=1",3]', "Environment entry 1 is not a string"],
    ['"A=1"', "The environment is neither a record nor a list"],
    ["null", "The environment is neither a record nor a list"],
  ];
  for (const [json, message] of wrong) {
    assertThrows(() => environmentProblem(JSON.parse(json)), TypeError, message);
    assertThrows(() => environmentList(JSON.parse(json)), TypeError, message);
  }
});
