import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
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
  OSFile,
  SpawnError,
  startProcess,
  type SysProcAttr,
} from "../../mod.ts";
import { wrong } from "../helper.ts";
import { needsCall, needsLinuxChild } from "../refused.ts";
import {
  drive,
  helper,
  needsRoot,
  needsUserNamespaces,
  ownMaps,
  run,
  runProgram,
  spawnFailure,
  startPiped,
  temporaryFolder,
} from "../system.ts";

const needs = needsUserNamespaces;

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
  const sys = isolated({
    pivotRoot: folder.path,
    mounts: [{ type: "proc", target: "/made/proc" }],
  });
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

test(
  "issue 17, 7: bind: read-only is so for all that is mounted below, too",
  { skip: needs },
  () => {
    // /proc and /dev are mounts of this process's, below the root that is bound here.
    const lines = mounted(rooted([{ type: "bind", source: "/", target: "/all", readOnly: true }]));
    const below = [...lines.values()].filter(({ point }) => point.startsWith("/all/"));
    assert(below.length > 0, "something is mounted below /");
    for (const { point, options } of below) assert(options.includes("ro"), point);
  },
);

test(
  "issue 17, 7: bind: a source that is a symlink is what it leads to, here",
  { skip: needs },
  () => {
    using folder = temporaryFolder();
    writeFileSync(`${folder.path}/file`, "what it leads to");
    symlinkSync("file", `${folder.path}/link`);
    const bind: Mount = { type: "bind", source: `${folder.path}/link`, target: "/deep/er/file" };
    assertEquals(inside(["file", "/deep/er/file"], rooted([bind])), "what it leads to");
  },
);

test(
  "issue 17, 7: bind: without recursive only what is there itself",
  { skip: needs || needsRoot },
  () => {
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
  },
);

test(
  "issue 17, 7: tmpfs: its size, its mode, and read-only once all is in it",
  { skip: needs },
  () => {
    const size = 256 * 1024;
    const lines = mounted(rooted([
      { type: "tmpfs", target: "/small", size, mode: 0o1750, readOnly: true },
      { type: "tmpfs", target: "/small/deeper" },
    ]));
    const line = lines.get("/small");
    assertEquals(line?.type, "tmpfs");
    for (const option of ["ro", "nosuid", "nodev"]) assert(line?.options.includes(option), option);
    for (const option of ["size=256k", "mode=1750"]) assert(line?.own.includes(option), option);
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
  },
);

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

test(
  "issue 17, 7: dev: what programs look for in it, with terminals of its own",
  { skip: needs },
  () => {
    const dev: Mount = { type: "dev", target: "/dev", size: 65536 };
    const shows = (text: string, expected: string): void => {
      assertEquals(script(text, [dev]).trimEnd(), expected, text);
    };
    shows(
      "cd /dev; echo *",
      "core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero",
    );
    shows("echo into > /dev/null; wc -c < /dev/null", "0");
    shows("head -c 3 /dev/zero | od -An -tx1", " 00 00 00");
    shows("head -c 5 /dev/urandom | wc -c; head -c 5 /dev/random | wc -c", "5\n5");
    shows("(echo x > /dev/full) 2> /dev/null || echo full", "full");
    shows(
      "cd /dev; readlink fd stdin stdout stderr ptmx core",
      "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n/proc/kcore",
    );
    shows("ls /dev/pts; stat -c %a /dev/pts/ptmx /dev/shm", "ptmx\n666\n1777");
    shows("echo shared > /dev/shm/file; cat /dev/shm/file", "shared");
    shows("head -c 100000 /dev/zero > /dev/shm/big 2> /dev/null; wc -c < /dev/shm/big", "65536");
    const lines = mounted(rooted([{ ...dev, readOnly: true }]));
    assert(lines.get("/dev")?.options.includes("ro"));
    assert(lines.get("/dev/shm")?.options.includes("rw"));
    assertEquals(lines.get("/dev/pts")?.type, "devpts");
  },
);

test("issue 17, 7: a path that is no UTF-8", { skip: needs }, () => {
  using folder = temporaryFolder();
  const encoder = new TextEncoder();
  // Made by a child, as not every runtime has such names.
  const inner = Uint8Array.of(...encoder.encode(`${folder.path}/a`), 0xff);
  const target = Uint8Array.of(0x2f, 0x78, 0xfe);
  runProgram("/bin/mkdir", ["mkdir", wrong<string>(inner)]);
  const list = script("ls /x*; ls -d /x* | od -An -tx1", [
    { type: "tmpfs", target },
    { type: "bind", source: inner, target: Uint8Array.of(...target, 0x2f, 0x63) },
  ]);
  assertEquals(list.trimEnd(), "c\n 2f 78 fe 0a");
});

test("issue 17, 7: overlay: what is below is to be seen, and what changes goes on top", {
  skip: needs,
}, () => {
  using folder = temporaryFolder();
  // What separates options and layers is in their names.
  const [one, two, upper, work] = ["o,n:e", "t\\wo", "up,p\\er", "wo,rk"].map((name) => {
    const path = `${folder.path}/${name}`;
    mkdirSync(path);
    return path;
  });
  writeFileSync(`${one}/first`, "of the uppermost");
  writeFileSync(`${two}/first`, "of the lowest");
  writeFileSync(`${two}/second`, "of the lowest");
  const lower = [one ?? "", two ?? ""];
  const overlay: Mount = { type: "overlay", target: "/o", lower };
  const both = inside(["file", "/o/first", "/o/second"], rooted([overlay]));
  assertEquals(both, "of the uppermostof the lowest");
  assert(script("echo > /o/new", [overlay]).includes("Read-only file system"));
  inside(["write", "/o/new", "made"], rooted([{ ...overlay, upper, work }]));
  assertEquals(readFileSync(`${upper}/new`, "utf8"), "made");
  assertEquals(existsSync(`${one}/new`), false);
  // The kernel's own, which nobody but root may enter.
  chmodSync(`${work}/work`, 0o700);
});

test("issue 17, 7: overlay: more layers than fill a page of options", { skip: needs }, () => {
  using folder = temporaryFolder();
  const lower = Array.from({ length: 60 }, (_, index) => {
    const path = `${folder.path}/${"long".repeat(25)}:${index}`;
    mkdirSync(path);
    writeFileSync(`${path}/${index}`, `${index}.`);
    return path;
  });
  const sys = rooted([{ type: "overlay", target: "/o", lower }]);
  try {
    assertEquals(inside(["file", "/o/0", "/o/59"], sys), "0.59.");
  } catch (error) {
    // Before Linux 6.8, or without the new mount API.
    if (!(error instanceof SpawnError)) throw error;
    assertEquals([error.step, /EINVAL|ENOSYS|E2BIG/.test(error.code)], ["mount", true]);
  }
});

test("issue 17, 7: mask: a file reads as empty, a directory is empty", { skip: needs }, () => {
  using folder = temporaryFolder();
  mkdirSync(`${folder.path}/keys`);
  for (const name of ["secret", "keys/key"]) writeFileSync(`${folder.path}/${name}`, "hidden");
  const text = script(
    "cat /s/secret; ls /s/keys; echo x > /s/keys/x; echo x > /s/secret; cat /s/secret",
    [
      { type: "bind", source: folder.path, target: "/s" },
      { type: "mask", target: "/s/secret" },
      { type: "mask", target: "/s/keys" },
    ],
  );
  assert(!text.includes("hidden"), text);
  assertEquals(text.match(/Read-only file system/g)?.length, 1, text);
  assertEquals(readFileSync(`${folder.path}/secret`, "utf8"), "hidden");
  const absent: Mount = { type: "mask", target: "/s/none" };
  assertEquals(failure(rooted([absent])), [
    "mount",
    "mask /s/none ro nosuid noexec mode=0555",
    "ENOENT",
  ]);
});

test(
  "issue 17, 7: symlink: made after all mounts, in directories that are made",
  { skip: needs },
  () => {
    const sys = rooted([
      { type: "symlink", source: "../t/helper", target: "/bin/program" },
      { type: "symlink", source: "nowhere", target: "/tmp/link" },
      { type: "tmpfs", target: "/tmp" },
    ]);
    assertEquals(
      runProgram("/bin/program", ["helper", "link", "/tmp/link"], { sys }).trimEnd(),
      "nowhere",
    );
  },
);

test(
  "issue 17, 7: remount: the attributes that a mount has by then, and more",
  { skip: needs },
  () => {
    const sys = isolated({
      pivotRoot: "/",
      mounts: [
        { type: "proc", target: "/proc" },
        { type: "remount", target: "/", readOnly: true, noSuid: true },
      ],
    });
    const lines = parse(run(["file", "/proc/self/mountinfo"], { sys }));
    assert(lines.size > 1);
    for (const { point, options } of lines.values()) {
      assert(options.includes("ro") && options.includes("nosuid"), point);
    }
    const one = mounted(rooted([
      { type: "tmpfs", target: "/a" },
      { type: "tmpfs", target: "/a/b" },
      { type: "remount", target: "/a", noExec: true, recursive: false },
    ]));
    assert(one.get("/a")?.options.includes("noexec"));
    assert(!one.get("/a/b")?.options.includes("noexec"));
    const none: Mount = { type: "remount", target: "/t", readOnly: true };
    assertEquals(failure(rooted([none])), ["remount", "/t rec ro", "EINVAL"]);
  },
);

test(
  "issue 17, 7: without pivotRoot mounts go on what is there; outside nothing is to be seen of them",
  {
    skip: needs,
  },
  () => {
    using folder = temporaryFolder();
    const before = readFileSync("/proc/self/mountinfo", "utf8");
    const bind: Mount = { type: "bind", source: "/proc", target: folder.path, noExec: true };
    const sys = isolated({ mounts: [bind] });
    assert(parse(run(["file", "/proc/self/mountinfo"], { sys })).has(folder.path));
    assertEquals(readFileSync("/proc/self/mountinfo", "utf8"), before);
    const absent: Mount = { type: "tmpfs", target: `${folder.path}/none` };
    const [step, , code] = failure(isolated({ mounts: [absent] }), helper);
    assertEquals([step, code], ["mount", "ENOENT"]);
    assertEquals(existsSync(`${folder.path}/none`), false);
  },
);

test("issue 17, 7: in a namespace that the child makes for itself, and in one that it joins", {
  skip: needs,
}, () => {
  using folder = temporaryFolder();
  const made: SysProcAttr = {
    unshareflags: CLONE_NEWUSER | CLONE_NEWNS,
    ...ownMaps(),
    pivotRoot: "/",
    mounts: [
      // "/" by another of its names.
      { type: "tmpfs", target: "//./" },
      { type: "bind", source: helper, target: inRoot },
      { type: "bind", source: "/proc", target: "/proc" },
    ],
  };
  assert(!mounted(made).has("/usr"));
  const { child: owner, stdout } = startPiped(helper, ["helper", "hang"], { sys: isolated({}) });
  const file = (kind: string): OSFile => OSFile.open(`/proc/${owner.pid}/ns/${kind}`, "r");
  try {
    using user = file("user");
    using mnt = file("mnt");
    const joinNamespaces = [{ fd: user, kind: "user" }, { fd: mnt, kind: "mnt" }] as const;
    const argv = ["file", "/proc/self/mountinfo"];
    const mounts: Mount[] = [{ type: "tmpfs", target: folder.path }];
    // What is mounted there stays there.
    assert(parse(run(argv, { sys: { joinNamespaces, mounts } })).has(folder.path));
    assert(parse(run(argv, { sys: { joinNamespaces } })).has(folder.path));
    assert(!parse(run(argv)).has(folder.path));
  } finally {
    owner.kill();
    owner.waitSync();
    stdout.close();
  }
});

test("issue 17, 7: mounts of a shared tree stay in the child's namespace, however it is made", {
  skip: needs || needsRoot,
}, () => {
  using folder = temporaryFolder();
  // A runtime with all its mounts shared with the namespaces to come, as systemd has them.
  const sys = (flags: SysProcAttr): SysProcAttr => ({
    ...flags,
    mounts: [{ type: "tmpfs", target: folder.path }],
  });
  const argv = ["file", "/proc/self/mountinfo"];
  const cases = [{ cloneflags: CLONE_NEWNS }, { unshareflags: CLONE_NEWNS }];
  const results = drive(
    [...cases.map((flags) => ({ argv, sys: sys(flags) })), { argv }],
    { under: [helper, "share"], attr: { sys: { unshareflags: CLONE_NEWNS } } },
  );
  assertEquals(results.map(({ failure }) => failure), [null, null, null]);
  assertEquals(results.map(({ output }) => parse(output).has(folder.path)), [true, true, false]);
});

test("issue 17, 7: no symlink in the new root leads a mount out of it", { skip: needs }, () => {
  using folder = temporaryFolder();
  for (const name of ["root", "root/t", "outside", "root/outside"]) {
    mkdirSync(`${folder.path}/${name}`);
  }
  symlinkSync(`${folder.path}/outside`, `${folder.path}/root/absolute`);
  symlinkSync("../outside", `${folder.path}/root/relative`);
  symlinkSync("../../../../../../proc/self/root", `${folder.path}/root/magic`);
  const sys = (target: string): SysProcAttr =>
    isolated({
      pivotRoot: `${folder.path}/root`,
      mounts: [
        { type: "bind", source: helper, target: inRoot },
        { type: "proc", target: "/proc" },
        { type: "tmpfs", target },
      ],
    });
  // As for the program: "/.." is "/".
  assert(mounted(sys("/relative")).has("/outside"));
  for (const target of ["/absolute", "/absolute/deep", "/magic/there"]) {
    const error = spawnFailure(() =>
      startProcess(inRoot, ["helper", "exit", "0"], { sys: sys(target) })
    );
    assertEquals([error.step, error.code], ["mount", "ELOOP"], target);
  }
  assertEquals(existsSync(`${folder.path}/outside/deep`), false);
});

test(
  "issue 17, 7: on a kernel without the new mount API it is mount(2), which cannot do one thing",
  {
    skip: needs || needsCall(),
  },
  () => {
    const refused = ["open_tree", "move_mount", "fsopen", "mount_setattr", "openat2"];
    using folder = temporaryFolder();
    const lower = ["first", "second"].map((name) => `${folder.path}/${name}`);
    for (const path of lower) mkdirSync(path);
    const below: Mount = { type: "bind", source: folder.path, target: "/b", recursive: false };
    const mounts: Mount[] = [
      { ...below, readOnly: true, noExec: true },
      { type: "tmpfs", target: "/s", size: 65536, mode: 0o1777, readOnly: true },
      { type: "devpts", target: "/s/pts" },
      { type: "overlay", target: "/o", lower },
      { type: "mask", target: "/t/helper" },
      { type: "bind", source: helper, target: "/u/helper" },
      { type: "symlink", source: "u", target: "/v" },
    ];
    const path = "/v/helper";
    const argv = ["file", "/proc/self/mountinfo"];
    const whole: Mount = { type: "bind", source: folder.path, target: "/b", readOnly: true };
    // A filter that is older than the calls says EPERM to them.
    for (const errno of ["ENOSYS", "EPERM"]) {
      const [all, impossible] = drive(
        [{ path, argv, sys: rooted(mounts) }, { path: inRoot, argv, sys: rooted([whole]) }],
        { under: [helper, "deny", ...refused.flatMap((call) => [call, errno]), "--"] },
      );
      assertEquals(all?.failure, null);
      const lines = parse(all?.output ?? "");
      const has = (point: string, ...options: string[]): void => {
        for (const option of options) assert(lines.get(point)?.options.includes(option), point);
      };
      has("/b", "ro", "noexec");
      has("/s", "ro", "nosuid", "nodev");
      has("/s/pts", "rw", "nosuid", "noexec");
      assertEquals(lines.get("/s")?.own.includes("size=64k"), true);
      assertEquals(lines.get("/o")?.type, "overlay");
      assertEquals(lines.get("/t/helper")?.root, "/null");
      const { step, code, message = "" } = impossible?.failure ?? {};
      assertEquals([step, code], ["mount", errno]);
      const says = message.includes("by mount_setattr(2) alone: Linux 5.12");
      assertEquals(says, errno === "ENOSYS", message);
    }
  },
);

test("issue 17, 7: hostname and domainname are the child's alone", { skip: needs }, () => {
  const before = readFileSync("/proc/sys/kernel/hostname", "utf8");
  const sys = rooted([], CLONE_NEWUTS);
  const files = ["/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname"];
  const names = { hostname: "in-the-box", domainname: "of.the.box" };
  assertEquals(inside(["file", ...files], { ...sys, ...names }), "in-the-box\nof.the.box\n");
  assertEquals(readFileSync("/proc/sys/kernel/hostname", "utf8"), before);
  const unshared = { ...rooted([]), unshareflags: CLONE_NEWUTS, hostname: "h".repeat(64) };
  assertEquals(inside(["file", files[0] ?? ""], unshared), `${"h".repeat(64)}\n`);
});

test("issue 17, 7: what fails is the mount itself, in words", { skip: needs }, () => {
  assertEquals(
    failure(rooted([{ type: "bind", source: "/osexec-none", target: "/x", readOnly: true }])),
    ["mount", "bind /osexec-none -> /x rec ro", "ENOENT"],
  );
  assertEquals(
    failure(rooted([{ type: "tmpfs", target: `${inRoot}/below` }])),
    ["mount", `tmpfs ${inRoot}/below nosuid nodev mode=0755`, "ENOTDIR"],
  );
  assertEquals(failure(isolated({ pivotRoot: "/osexec-none" })), [
    "new_root",
    "/osexec-none",
    "ENOENT",
  ]);
  assertEquals(failure(isolated({ pivotRoot: helper })), ["new_root", helper, "ENOTDIR"]);
  assertEquals(
    failure(rooted([{ type: "symlink", source: "x", target: "/t" }])),
    ["symlink", "/t -> x", "EEXIST"],
  );
});

test("issue 17, 7: no descriptor of the mounts is left to the program", { skip: needs }, () => {
  // Where it closes nothing, it has what this process has without close-on-exec, and no more.
  const numbers = (path: string, sys: SysProcAttr): (string | undefined)[] => {
    const text = runProgram(path, ["helper", "fds"], { sys: { ...sys, closeFds: false } });
    return text.trimEnd().split("\n").map((line) => line.split(" ")[0]);
  };
  const dev: Mount = { type: "dev", target: "/dev" };
  const sys = rooted([dev, { type: "tmpfs", target: "/x", readOnly: true }]);
  assertEquals(numbers(inRoot, sys), numbers(helper, {}));
});

test("issue 17, 7: what contradicts itself is refused before there is a child", {
  skip: needsLinuxChild,
}, () => {
  const at = { target: "/x" };
  const detail = (sys: SysProcAttr): string => {
    const error = spawnFailure(() => startProcess(helper, ["helper"], { sys }));
    assertEquals(error.step, "request");
    return error.message;
  };
  const refused = (mount: unknown, text: string, more: SysProcAttr = { pivotRoot: "/" }): void => {
    const message = detail({ cloneflags: CLONE_NEWNS, mounts: [wrong<Mount>(mount)], ...more });
    assert(message.includes(text), `${message}: ${text}`);
  };
  refused({ type: "floppy", ...at }, "mounts[0]: there is no type floppy");
  refused({ type: "tmpfs", ...at, source: "/y" }, "mounts[0]: a tmpfs has no source");
  refused({ type: "bind", source: "/y", ...at, size: 1 }, "a bind has no size");
  refused({ type: "mask", ...at, readOnly: false }, "a mask has no readOnly");
  refused({ type: "tmpfs", target: "x" }, "mounts[0].target x is not absolute");
  refused({ type: "tmpfs", target: "/x/../y" }, '/x/../y has a ".."');
  refused({ type: "tmpfs", target: "/x\0y" }, "mounts[0].target contains a NUL");
  refused({ type: "tmpfs", ...at, size: 0 }, "mounts[0].size 0 is not an integer from 1");
  refused({ type: "tmpfs", ...at, mode: 0o10000 }, "mounts[0].mode 4096 is not an integer from 0");
  refused({ type: "overlay", ...at }, "mounts[0] has no lower directory");
  refused(
    { type: "overlay", ...at, lower: ["/a"] },
    "two directories at least are laid over each other",
  );
  refused({ type: "overlay", ...at, lower: ["/a"], upper: "/b" }, "upper and work go together");
  refused({ type: "remount", ...at }, "mounts[0] asks for nothing");
  refused({ type: "bind", source: "/y", ...at, readonly: true }, "what it wants is readOnly");
  refused({ type: "dev", ...at }, "a dev is for pivotRoot, which is absent", {});
  refused({ type: "symlink", source: "y", ...at }, "a symlink is for pivotRoot", {});
  const words = [
    [{ mounts: [{ type: "tmpfs", target: "/x" }] }, "mounts needs CLONE_NEWNS"],
    [{ pivotRoot: "/" }, "pivotRoot needs CLONE_NEWNS"],
    [{ hostname: "x" }, "hostname needs CLONE_NEWUTS"],
    [{ cloneflags: CLONE_NEWNS, domainname: "x" }, "domainname needs CLONE_NEWUTS"],
    [
      { cloneflags: CLONE_NEWUTS, hostname: "x".repeat(65) },
      "hostname has 65 bytes, and may have 64",
    ],
  ] as const;
  for (const [sys, text] of words) assert(detail(sys).includes(text), text);
  for (
    const mounts of [
      [null],
      [{ type: "bind", ...at }],
      [{ type: "tmpfs", ...at, readOnly: 1 }],
      "x",
    ]
  ) {
    const sys = { cloneflags: CLONE_NEWNS, mounts: wrong<Mount[]>(mounts) };
    assertThrows(
      () => startProcess(helper, ["helper"], { sys }),
      TypeError,
      undefined,
      `${mounts}`,
    );
  }
});

test("issue 17, 7: explain() says each mount in its turn", { skip: needsLinuxChild }, () => {
  const sysProcAttr: SysProcAttr = {
    cloneflags: CLONE_NEWNS | CLONE_NEWUTS,
    pivotRoot: "/",
    mounts: [
      { type: "tmpfs", target: "/", readOnly: true, size: 4096 },
      { type: "symlink", source: "usr/bin", target: "/bin" },
      { type: "bind", source: "/usr", target: "/usr", readOnly: true },
      { type: "overlay", target: "/o", lower: ["/a:b", "/c"] },
    ],
    hostname: "box",
  };
  const lines = new Command("/bin/true", [], { sysProcAttr }).explain().split("\n");
  const first = lines.indexOf("mount_private /");
  assertEquals(lines.slice(first, lines.indexOf("hostname box") + 1), [
    "mount_private /",
    "new_root /",
    "mount tmpfs / nosuid nodev mode=0755 size=4096",
    "mount bind /usr -> /usr rec ro",
    "mount overlay /o lowerdir=/a\\:b:/c",
    "symlink /bin -> usr/bin",
    "remount / ro",
    "pivot_root",
    "hostname box",
  ]);
});
