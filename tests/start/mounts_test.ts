import { chmodSync, existsSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  CLONE_NEWIPC,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  Command,
  type Mount,
  SpawnError,
  startProcess,
  type SysProcAttr,
} from "../../mod.ts";
import { wrong } from "../helper.ts";
import { needsCall, needsLinuxChild } from "../refused.ts";
import {
  helper,
  inNamespace,
  needsRoot,
  needsUserNamespaces,
  ownMaps,
  run,
  runProgram,
  self,
  spawnFailure,
  temporaryFolder,
} from "../system.ts";

const needs = needsUserNamespaces || needsCall("clone3");

/** A line of /proc/self/mountinfo, proc_pid_mountinfo(5). */
interface Line {
  readonly root: string;
  readonly point: string;
  readonly options: readonly string[];
  readonly type: string;
  readonly own: readonly string[];
}

function parse(text: string): Map<string, Line> {
  const lines = text.trimEnd().split("\n").map((line): [string, Line] => {
    const [mount = "", file = ""] = line.split(" - ");
    const [, , , root = "", point = "", options = ""] = mount.split(" ");
    const [type = "", , own = ""] = file.split(" ");
    return [point, { root, point, options: options.split(","), type, own: own.split(",") }];
  });
  return new Map(lines);
}

/** In namespaces of its own, as root of them: this user. */
function isolated(sys: SysProcAttr, flags = 0): SysProcAttr {
  const cloneflags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | flags;
  return { cloneflags, ...ownMaps(), ...sys };
}

const inRoot = "/t/helper";

/** A root of mounts alone, with the tests' child and a /proc. */
function rooted(mounts: readonly Mount[], flags = 0): SysProcAttr {
  return isolated({
    pivotRoot: "/",
    mounts: [
      { type: "tmpfs", target: "/" },
      { type: "bind", source: helper, target: inRoot },
      { type: "proc", target: "/proc" },
      ...mounts,
    ],
  }, flags);
}

/** What the child has mounted. */
function mounted(sys: SysProcAttr): Map<string, Line> {
  return parse(runProgram(inRoot, ["helper", "file", "/proc/self/mountinfo"], { sys }));
}

/** Runs the tests' child in the new root. */
function inside(argv: readonly string[], sys: SysProcAttr): string {
  return runProgram(inRoot, ["helper", ...argv], { sys });
}

function failure(sys: SysProcAttr, path = inRoot): [step: string, argument: unknown, code: string] {
  const error = spawnFailure(() => startProcess(path, ["helper", "exit", "0"], { sys }));
  return [error.step, error.argument, error.code];
}

/** A shell's script in a root with this machine's programs: its output. */
function script(text: string, mounts: readonly Mount[], sys: SysProcAttr = {}): string {
  const programs = ["/usr", "/bin", "/lib", "/lib64"].filter((path) => existsSync(path));
  const binds = programs.map((path): Mount => {
    return { type: "bind", source: path, target: path, readOnly: true };
  });
  const attr = { ...rooted([...binds, ...mounts]), ...sys };
  return runProgram("/bin/sh", ["sh", "-c", `(${text}) 2>&1; :`], { sys: attr });
}

test("issue 17, 7: pivotRoot: of the old root nothing is left, and the directory is the new one", {
  skip: needs,
}, () => {
  const points = [...mounted(rooted([])).keys()];
  assertEquals(points.sort(), ["/", "/proc", inRoot].sort());
  assertEquals(inside(["cwd"], rooted([])).trimEnd(), "/");
});

test("issue 17, 7: pivotRoot: a directory with what is in it, which stays as it is", {
  skip: needs,
}, () => {
  using folder = temporaryFolder();
  mkdirSync(`${folder.path}/t`);
  writeFileSync(`${folder.path}/t/helper`, readFileSync(helper));
  chmodSync(`${folder.path}/t/helper`, 0o755);
  const sys = isolated({ pivotRoot: folder.path, mounts: [{ type: "proc", target: "/made/proc" }] });
  const text = inside(["file", "/made/proc/self/mountinfo"], sys);
  const lines = parse(text);
  assertEquals([...lines.keys()], ["/", "/made/proc"]);
  assert(folder.path.endsWith(lines.get("/")?.root ?? "none"), text);
  // The mount point is made in the directory itself; what was mounted there is not to be seen.
  assertEquals(existsSync(`${folder.path}/made/proc/self`), false);
  assertEquals(existsSync(`${folder.path}/made/proc`), true);
  assert(!readFileSync("/proc/self/mountinfo", "utf8").includes(folder.path));
});

test("issue 17, 7: dir and chroot are paths in the new root", { skip: needs }, () => {
  const made: Mount = { type: "tmpfs", target: "/some/where" };
  const attr = { sys: rooted([made]), dir: "/some/where" };
  assertEquals(runProgram(inRoot, ["helper", "cwd"], attr).trimEnd(), "/some/where");
  const sys = { ...rooted([made]), chroot: "/t" };
  assertEquals(runProgram("/helper", ["helper", "cwd"], { sys }).trimEnd(), "/");
});

test("issue 17, 7: bind: with each attribute, and with none", { skip: needs }, () => {
  using folder = temporaryFolder();
  const bind = (target: string, more: Partial<Mount> = {}): Mount => {
    return { type: "bind", source: folder.path, target, ...more };
  };
  const lines = mounted(rooted([
    bind("/none"),
    bind("/ro", { readOnly: true }),
    bind("/nosuid", { noSuid: true }),
    bind("/nodev", { noDev: true }),
    bind("/noexec", { noExec: true }),
    bind("/all", { readOnly: true, noSuid: true, noDev: true, noExec: true }),
  ]));
  // What the file system of the folder has already, its binds have.
  const usual = lines.get("/none")?.options ?? [];
  for (const name of ["ro", "nosuid", "nodev", "noexec"]) {
    const options = lines.get(`/${name}`)?.options ?? [];
    assertEquals(options.filter((each) => !usual.includes(each)), [name], name);
    assert(lines.get("/all")?.options.includes(name), name);
  }
});

test("issue 17, 7: bind: read-only is refused to write to, and a program on noexec to run", {
  skip: needs,
}, () => {
  using folder = temporaryFolder();
  const bind: Mount = { type: "bind", source: folder.path, target: "/there" };
  inside(["write", "/there/file", "text"], rooted([bind]));
  assertEquals(readFileSync(`${folder.path}/file`, "utf8"), "text");
  const error = script("echo more > /there/file", [{ ...bind, readOnly: true }]);
  assert(error.includes("Read-only file system"), error);
  const noExec: Mount = { type: "bind", source: helper, target: "/there/helper", noExec: true };
  assertEquals(failure(rooted([noExec]), "/there/helper"), ["exec", "/there/helper", "EACCES"]);
});

test("issue 17, 7: bind: read-only is so for all that is mounted below, too", { skip: needs }, () => {
  const outer = isolated({
    mounts: [{ type: "tmpfs", target: "/tmp" }],
  });
  assert(parse(run(["file", "/proc/self/mountinfo"], { sys: outer })).has("/tmp"));
  // /proc and /dev are mounts of this process's, below the root that is bound here.
  const lines = mounted(rooted([{ type: "bind", source: "/", target: "/all", readOnly: true }]));
  const below = [...lines.values()].filter(({ point }) => point.startsWith("/all/"));
  assert(below.length > 0, "something is mounted below /");
  for (const { point, options } of below) assert(options.includes("ro"), point);
});

test("issue 17, 7: bind: a source that is a symlink is what it leads to, here", { skip: needs }, () => {
  using folder = temporaryFolder();
  writeFileSync(`${folder.path}/file`, "what it leads to");
  symlinkSync("file", `${folder.path}/link`);
  const bind: Mount = { type: "bind", source: `${folder.path}/link`, target: "/deep/er/file" };
  assertEquals(inside(["file", "/deep/er/file"], rooted([bind])), "what it leads to");
});

test("issue 17, 7: bind: without recursive only what is there itself", { skip: needs || needsRoot }, () => {
  const sys: SysProcAttr = {
    unshareflags: CLONE_NEWNS,
    pivotRoot: "/",
    mounts: [
      { type: "tmpfs", target: "/" },
      { type: "bind", source: helper, target: inRoot },
      { type: "bind", source: "/proc", target: "/proc" },
      { type: "bind", source: "/", target: "/old", recursive: false },
    ],
  };
  const points = [...mounted(sys).keys()];
  assertEquals(points.filter((point) => point.startsWith("/old/")), []);
  assert(points.includes("/old"));
});

test("issue 17, 7: tmpfs: its size, its mode, and read-only once all is in it", { skip: needs }, () => {
  const size = 256 * 1024;
  const lines = mounted(rooted([
    { type: "tmpfs", target: "/small", size, mode: 0o1750, readOnly: true },
    { type: "tmpfs", target: "/small/deeper" },
  ]));
  const { options, own, type } = lines.get("/small") ?? { options: [], own: [], type: "" };
  assertEquals(type, "tmpfs");
  for (const option of ["ro", "nosuid", "nodev"]) assert(options.includes(option), option);
  for (const option of ["size=256k", "mode=1750"]) assert(own.includes(option), `${option}: ${own}`);
  assert(lines.get("/small/deeper")?.options.includes("rw"));
  const text = script(
    "head -c 300000 /dev/zero > /small/file; wc -c < /small/file; for i in $(seq 300); do : > /small/$i || exit; done",
    [
      { type: "dev", target: "/dev" },
      { type: "tmpfs", target: "/small", size },
    ],
  );
  assertEquals(text.match(/No space left on device/g)?.length, 2, text);
  assert(text.includes(`${size}\n`), text);
});

test("issue 17, 7: proc: the processes of the child's own pid namespace", { skip: needs }, () => {
  const lines = mounted(rooted([]));
  for (const option of ["nosuid", "nodev", "noexec"]) {
    assert(lines.get("/proc")?.options.includes(option), option);
  }
  assertEquals(inside(["link", "/proc/self"], rooted([])).trimEnd(), "1");
  const processes = script("cd /proc; echo [0-9]*", []);
  // The shell, and the one between the parentheses.
  assert(processes.trimEnd().split(" ").length <= 2, processes);
});

test("issue 17, 7: mqueue: the queues of the child's ipc namespace", { skip: needs }, () => {
  const sys = rooted([{ type: "mqueue", target: "/dev/mqueue" }], CLONE_NEWIPC);
  const line = mounted(sys).get("/dev/mqueue");
  assertEquals(line?.type, "mqueue");
  assert(line?.options.includes("noexec"));
});

test("issue 17, 7: dev: what programs look for in it, with terminals of its own", { skip: needs }, () => {
  const dev: Mount = { type: "dev", target: "/dev", size: 65536 };
  const text = script(
    [
      "ls /dev",
      "echo into > /dev/null && echo written",
      "head -c 3 /dev/zero | wc -c",
      "echo x > /dev/full || echo full",
      "head -c 5 /dev/urandom | wc -c",
      "readlink /dev/fd /dev/stdin /dev/stdout /dev/stderr /dev/ptmx /dev/core",
      "ls /dev/pts",
      "stat -c %a /dev/pts/ptmx /dev/shm",
      "echo shared > /dev/shm/file && cat /dev/shm/file",
      "touch /dev/null/x 2>/dev/null || echo no directory",
      "head -c 100000 /dev/zero > /dev/shm/big",
    ].join("; "),
    [dev],
  );
  assertEquals(text.split("\n"), [
    ..."core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero".split(" "),
    "written",
    "3",
    "sh: 1: echo: echo: I/O error".slice(0, 0) || text.split("\n")[16] ?? "",
    "full",
    "5",
    "/proc/self/fd",
    "/proc/self/fd/0",
    "/proc/self/fd/1",
    "/proc/self/fd/2",
    "pts/ptmx",
    "/proc/kcore",
    "ptmx",
    "666",
    "1777",
    "shared",
    "no directory",
    text.split("\n")[31] ?? "",
    "",
  ]);
  assert(text.split("\n")[31]?.includes("No space left"), text);
  const lines = mounted(rooted([{ ...dev, readOnly: true }]));
  assert(lines.get("/dev")?.options.includes("ro"));
  assert(lines.get("/dev/shm")?.options.includes("rw"));
  assertEquals(lines.get("/dev/pts")?.type, "devpts");
});
