import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  CLONE_NEWNS,
  CLONE_NEWUSER,
  Command,
  openPty,
  OSFile,
  sandbox,
  type SandboxOptions,
  startProcess,
  type SysProcAttr,
} from "../../mod.ts";
import { wrong } from "../helper.ts";
import { needsCall, needsLandlock, needsLinuxChild } from "../refused.ts";
import {
  duplicate,
  helper,
  needsRoot,
  needsUserNamespaces,
  runProgram,
  self,
  startPiped,
  statusFields,
  temporaryFolder,
} from "../system.ts";

const needs = needsUserNamespaces;

/** A sandbox with this machine's programs and the tests' child. */
function box(options: SandboxOptions = {}): ReturnType<typeof sandbox> {
  const readOnly = ["/usr", helper, ...options.readOnly ?? []];
  return sandbox({ proc: true, tmp: true, ...options, readOnly });
}

/** What a shell prints there, on both streams. */
function script(text: string, options: SandboxOptions = {}): string {
  const argv = ["sh", "-c", `(${text}) 2>&1; :`];
  return runProgram("/bin/sh", argv, { sys: box(options) }).trimEnd();
}

/** What of errors the tests look for. */
const errors: ReadonlyMap<string, string> = new Map([
  ["-1", "EPERM"],
  ["-2", "ENOENT"],
  ["-3", "ESRCH"],
  ["-5", "EIO"],
  ["-6", "ENXIO"],
  ["-9", "EBADF"],
  ["-13", "EACCES"],
  ["-16", "EBUSY"],
  ["-22", "EINVAL"],
  ["-25", "ENOTTY"],
  ["-26", "ETXTBSY"],
  ["-30", "EROFS"],
  ["-38", "ENOSYS"],
  ["-101", "ENETUNREACH"],
  ["-111", "ECONNREFUSED"],
]);

/** What system calls answer, as the tests' child says it: a number, or an error's name. */
function answersOf(text: string, argv: readonly string[]): string[] {
  // Bytes that an argument points to are shown again.
  const shown = new Set(argv.filter((word) => word.startsWith("#")).map((word) => word.slice(1)));
  const lines = text.trimEnd().split("\n").filter((line) => !shown.has(line));
  return lines.map((line) => errors.get(line) ?? line);
}

/** What they answer there. */
function calls(
  list: readonly (readonly (string | number)[])[],
  options: SandboxOptions = {},
): string[] {
  const argv = list.flatMap((call, index) => [...index === 0 ? [] : ["--"], ...call.map(String)]);
  return answersOf(runProgram(helper, ["helper", "calls", ...argv], { sys: box(options) }), argv);
}

/** A process outside, which is there until the block ends. */
function outsider(): Disposable & { readonly pid: number; readonly isThere: () => boolean } {
  const { child, stdout } = startPiped(helper, ["helper", "hang"]);
  return {
    pid: child.pid,
    isThere: () =>
      statusFields(readFileSync(`/proc/${child.pid}/status`, "utf8")).get("State")?.[0] !== "Z",
    [Symbol.dispose]() {
      child.kill();
      child.waitSync();
      stdout.close();
    },
  };
}

/** As this user and as root of its namespace, with the filter and with what lies behind it alone. */
const layers: readonly SandboxOptions[] = [{ uid: self.uid, gid: self.gid }, { uid: 0, gid: 0 }]
  .flatMap((user) => [{ user }, { user, seccomp: false }]);

const MS_REMOUNT = 32;
const MS_BIND = 4096;
const MNT_DETACH = 2;

test(
  "issue 17, 12: sandbox: a program sees what it was given, and nothing else",
  { skip: needs },
  () => {
    using folder = temporaryFolder();
    writeFileSync(`${folder.path}/mine`, "mine");
    const seen = script("cd /; echo *; ls -d /etc /home /root /sys /var", {
      writable: [folder.path],
    });
    const [first = "", ...others] = seen.split("\n");
    const top = (path: string): string => path.split("/")[1] ?? "";
    const given = new Set(["usr", "proc", "tmp", top(folder.path), top(helper)]);
    for (const name of ["bin", "lib", "lib32", "lib64", "libx32", "sbin"]) {
      if (existsSync(`/${name}`)) given.add(name);
    }
    assertEquals(first.split(" "), [...given].sort());
    assertEquals(others.length, 5, seen);
    for (const line of others) assert(line.includes("No such file or directory"), line);
  },
);

test(
  "issue 17, 12: sandbox: with /usr comes what has moved there, as it is here",
  { skip: needs },
  () => {
    const mounts = sandbox({ readOnly: ["/usr"] }).mounts ?? [];
    for (const name of ["bin", "lib", "lib64", "sbin"]) {
      const path = `/${name}`;
      const mount = mounts.find(({ target }) => target === path);
      assertEquals(mount !== undefined, existsSync(path), path);
      if (mount === undefined) continue;
      const isMerged =
        statSync(path).ino === statSync(`/usr/${name}`, { throwIfNoEntry: false })?.ino;
      assertEquals(mount.type, isMerged ? "symlink" : "bind", path);
    }
  },
);

test("issue 17, 12: sandbox: what lies below such a symlink, and the whole root", {
  skip: needs,
}, () => {
  const below = "/lib/x86_64-linux-gnu";
  if (existsSync(below)) {
    assert(script(`ls -d ${below}/libc.so.6`, { readOnly: [below] }).endsWith("libc.so.6"));
  }
  using folder = temporaryFolder();
  const text = script(
    `ls -d /etc; echo x > ${folder.path}/x; echo x > /etc/x; echo x > /usr/x; ls -d /proc/[0-9]* | wc -l`,
    { readOnly: ["/"], writable: [folder.path], tmp: false },
  );
  const [etc, ...others] = text.split("\n");
  assertEquals(etc, "/etc");
  assertEquals(text.match(/Read-only file system|Permission denied/g)?.length, 2, text);
  assert(Number(others.at(-1)) < 8, text);
  assert(existsSync(`${folder.path}/x`));
});

test("issue 17, 12: escape: the keys of this session", { skip: needs }, () => {
  const KEYCTL_GET_KEYRING_ID = 0;
  const KEY_SPEC_SESSION_KEYRING = -3;
  const ask = ["keyctl", KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0];
  assertEquals(calls([ask]), ["EPERM"]);
  // Where the filter lets it ask, it has keys of its own.
  assertEquals(sandbox({ seccomp: false }).newKeyring, true);
});

test("issue 17, 12: sandbox: it writes where it may, as this user, and nowhere else", {
  skip: needs,
}, () => {
  using folder = temporaryFolder();
  using other = temporaryFolder();
  mkdirSync(`${other.path}/inner`);
  const text = script(
    [
      `echo out > ${folder.path}/out && cat ${folder.path}/out`,
      `echo x > ${other.path}/x; echo x > ${other.path}/inner/x; echo x > /x; echo x > /usr/x; mkdir /new`,
      "echo t > /tmp/t && cat /tmp/t",
    ].join("; "),
    { writable: [folder.path, `${other.path}/inner`], readOnly: [other.path] },
  );
  assertEquals(text.match(/Read-only file system/g)?.length, 4, text);
  assert(text.startsWith("out\n") && text.endsWith("t"), text);
  assertEquals(readFileSync(`${folder.path}/out`, "utf8"), "out\n");
  assertEquals(statSync(`${folder.path}/out`).uid, self.uid);
  assert(existsSync(`${other.path}/inner/x`));
  assert(!existsSync("/tmp/t"));
});

test("issue 17, 12: sandbox: /tmp holds so many bytes, and no more", { skip: needs }, () => {
  const text = script("head -c 2000000 /dev/zero > /tmp/big; wc -c < /tmp/big", {
    tmp: 1024 * 1024,
    dev: true,
  });
  assert(text.includes("No space left on device"), text);
  assert(text.endsWith("1048576"), text);
});

test("issue 17, 12: sandbox: who it is, and whom it may take itself for", { skip: needs }, () => {
  using folder = temporaryFolder();
  assertEquals(script("id -u; id -g; id -G"), `${self.uid}\n${self.gid}\n${self.gid}`);
  const user = { uid: 4321, gid: 1234 };
  const made = script(`id -u; id -g; echo x > ${folder.path}/x; stat -c %u ${folder.path}/x`, {
    user,
    writable: [folder.path],
  });
  assertEquals(made, "4321\n1234\n4321");
  assertEquals(statSync(`${folder.path}/x`).uid, self.uid);
});

test("issue 17, 12: sandbox: no capability, whoever it takes itself for", { skip: needs }, () => {
  for (const uid of new Set([self.uid, 0, 4321])) {
    const fields = statusFields(script("cat /proc/self/status", { user: { uid, gid: 0 } }));
    for (const name of ["CapInh", "CapPrm", "CapEff", "CapAmb"]) {
      assertEquals(fields.get(name), "0000000000000000", `${name} of ${uid}`);
    }
    assertEquals(fields.get("NoNewPrivs"), "1");
  }
});

test(
  "issue 17, 12: sandbox: the hostname, the limits and the parent's death",
  { skip: needs },
  () => {
    assertEquals(script("cat /proc/sys/kernel/hostname", { hostname: "box" }), "box");
    assertEquals(script("ulimit -t", { rlimits: { CPU: 7 } }), "7");
    // The session is its own: number, parent, group, session.
    assertEquals(script("cut -d' ' -f6 /proc/self/stat"), "1");
    const death = (options: SandboxOptions): string =>
      runProgram(helper, ["helper", "death"], { sys: box(options) }).trimEnd();
    assertEquals([death({}), death({ dieWithParent: false })], ["9", "0"]);
  },
);

test("issue 17, 12: sandbox: with the init of its pid namespace ends all that it has started", {
  skip: needs,
}, () => {
  const text = script("setsid sleep 1000 & echo $!; cat /proc/1/comm; ls -d /proc/[0-9]* | wc -l", {
    dev: true,
  });
  const [, init, count] = text.split("\n");
  assertEquals(init, "sh");
  assert(Number(count) < 8, text);
  // The pipe has come to its end, which the one in the background held too.
});

test("issue 17, 12: sandbox: no network but its own loopback device; or this process's", {
  skip: needs,
}, async () => {
  const server = createServer((socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert(address !== null && typeof address === "object");
  const port = address.port.toString(16).padStart(4, "0");
  const there = [
    ["socket", 2, 1, 0],
    ["connect", 0, `#0200${port}7f000001${"00".repeat(8)}`, 16],
  ];
  assertEquals(calls(there)[1], "ENETUNREACH");
  assertEquals(calls(there, { network: true })[1], "0");
  const devices = script("cut -d: -s -f1 /proc/net/dev");
  assertEquals(devices.trim(), "lo");
  await new Promise((resolve) => server.close(resolve));
});

// ---------------------------------------------------------------- the ways out

test("issue 17, 12: escape: the old root, by the working directory, by .. and by /proc", {
  skip: needs,
}, () => {
  const own = readlinkSync("/proc/self/ns/mnt");
  const text = script(
    "pwd; cd ../../..; pwd; for p in /proc/1/root /proc/self/root /proc/self/cwd /proc/self/cwd/..; do ls $p/etc; done; readlink /proc/1/ns/mnt",
  );
  const lines = text.split("\n");
  assertEquals(lines.slice(0, 2), ["/", "/"]);
  assertEquals(text.match(/No such file or directory/g)?.length, 4, text);
  assert(lines.at(-1) !== own, text);
});

test(
  "issue 17, 12: escape: the old root by a descriptor that was left open here",
  { skip: needs },
  () => {
    using root = OSFile.open("/", "r");
    // Without close-on-exec.
    using copy = duplicate(root.fd, 400);
    const open = runProgram(helper, ["helper", "fds"], { sys: box() }).trimEnd().split("\n");
    const numbers = open.map((line) => line.split(" ")[0]);
    assertEquals(numbers, ["1", "2"], `${copy.fd}: ${open.join()}`);
    const [fchdir, chroot] = calls([["fchdir", copy.fd], ["chroot", ":."]]);
    assertEquals([fchdir, chroot], ["EBADF", "EPERM"]);
  },
);

test("issue 17, 12: escape: the program's own file, by /proc/self/exe", { skip: needs }, () => {
  const O_RDWR = 2;
  const [opened = "", link = ""] = calls([
    ["openat", -100, ":/proc/self/exe", O_RDWR],
    ["openat", -100, `:${helper}`, O_RDWR],
  ]);
  // Read-only, or in use.
  for (const answer of [opened, link]) assert(/^(EROFS|ETXTBSY|EACCES)$/.test(answer), answer);
});

test(
  "issue 17, 12: escape: ptrace, signals and memory of a process outside",
  { skip: needs },
  () => {
    using other = outsider();
    const PTRACE_ATTACH = 16;
    const { pid } = other;
    // What may not be, and what is not there; and what is refused in all of this run.
    const none = needsCall("pidfd_open") ? /^(?:EPERM|ENOENT|ENOSYS)$/ : /^(?:EPERM|ENOENT)$/;
    assertEquals(
      calls([
        ["kill", pid, 9],
        ["ptrace", PTRACE_ATTACH, pid, 0, 0],
        ["pidfd_open", pid, 0],
        ["tgkill", pid, pid, 9],
        ["setpriority", 0, pid, 19],
        ["openat", -100, `:/proc/${pid}/mem`, 0],
        // Everybody, which in there is nobody else.
        ["kill", -1, 9],
      ]).map((answer) => answer.replace(none, "ESRCH")),
      new Array(7).fill("ESRCH"),
    );
    assert(other.isThere());
  },
);

test("issue 17, 12: escape: an abstract socket of this machine", { skip: needs }, () => {
  // struct sockaddr_un of a name that begins with a NUL; the number keeps it apart from another run's.
  const name = `osexec-${process.pid}`;
  const address = `#010000${[...name].map((letter) => letter.charCodeAt(0).toString(16)).join("")}`;
  const length = 3 + name.length;
  const connect = [["socket", 1, 1, 0], ["connect", 0, address, length]];
  const serve = `socket 1 1 0 -- bind 0 ${address} ${length} -- listen 0 5 -- ppoll 0 0 0 0 0`;
  const { child, stdout } = startPiped(helper, ["helper", "calls", ...serve.split(" ")]);
  try {
    const chunk = new Uint8Array(256);
    // The answers of socket, bind, with what it was given, and listen.
    let text = "";
    while (text.split("\n").length < 5) {
      text += new TextDecoder().decode(chunk.subarray(0, stdout.readSync(chunk) ?? 0));
    }
    assertEquals(text.trimEnd().split("\n").slice(0, 2), ["0", "0"]);
    assertEquals(calls(connect), ["0", "ECONNREFUSED"]);
    const expected = needsLandlock(6) === false ? "EPERM" : "0";
    assertEquals(calls(connect, { network: true }), ["0", expected]);
  } finally {
    child.kill();
    child.waitSync();
    stdout.close();
  }
});

test("issue 17, 12: escape: typing into the terminal (TIOCSTI)", { skip: needs }, () => {
  const [terminal, theirs] = openPty();
  // Somebody outside has it, as the shell from which this process was started.
  const files = [theirs, null, 2];
  const owner = startProcess(helper, ["helper", "hang"], {
    files,
    sys: { setsid: true, setctty: true, ctty: 0 },
  });
  try {
    const TIOCSTI = 0x5412;
    const TIOCSCTTY = 0x540e;
    const attempts = [
      "ioctl 0",
      `${TIOCSTI} :x -- ioctl 0 ${TIOCSCTTY} 1 -- openat -100 :/dev/tty 2`,
    ];
    const argv = ["helper", "calls", ...attempts.join(" ").split(" ")];
    const answers = answersOf(
      runProgram(helper, argv, { files, sys: box({ dev: true, seccomp: false }) }),
      argv,
    );
    // Newer kernels have it for nobody (dev.tty.legacy_tiocsti).
    assert(/^(EPERM|EIO)$/.test(answers[0] ?? ""), answers.join());
    assertEquals(answers.slice(1), ["EPERM", "ENXIO"]);
  } finally {
    owner.kill();
    owner.waitSync();
    theirs.close();
    terminal.close();
  }
});

test("issue 17, 12: escape: symlinks in what it may write to lead to what is inside", {
  skip: needs,
}, () => {
  using folder = temporaryFolder();
  using secrets = temporaryFolder();
  writeFileSync(`${secrets.path}/secret`, "hidden");
  symlinkSync(`${secrets.path}/secret`, `${folder.path}/link`);
  symlinkSync(secrets.path, `${folder.path}/folder`);
  const text = script(`cat ${folder.path}/link ${folder.path}/folder/secret`, {
    writable: [folder.path],
  });
  assertEquals(text.match(/No such file or directory/g)?.length, 2, text);
  assert(!text.includes("hidden"));
});

test("issue 17, 12: escape: mounts that it makes, changes or takes away", { skip: needs }, () => {
  using folder = temporaryFolder();
  for (const options of layers) {
    const answers = calls([
      ["mount", ":tmpfs", ":/tmp", ":tmpfs", 0, 0],
      ["mount", ":none", ":/usr", 0, MS_REMOUNT | MS_BIND, 0],
      ["mount", ":none", ":/", 0, MS_REMOUNT | MS_BIND, 0],
      ["umount2", ":/usr", MNT_DETACH],
      ["umount2", ":/proc", MNT_DETACH],
      ["pivot_root", ":/tmp", ":/tmp"],
      ["chroot", ":/tmp"],
      ["unshare", CLONE_NEWNS],
      ["open_tree", -100, ":/usr", 1],
      ["fsopen", ":tmpfs", 0],
      ["mknodat", -100, ":/tmp/disk", 0o060666, 0x800],
      ["setns", 1, 0],
      ["open_by_handle_at", -100, "#00", 0],
      ["sethostname", ":mine", 4],
    ], { ...options, readOnly: [folder.path] });
    for (const answer of answers) {
      assert(/^(EPERM|EINVAL|EACCES|ENOSYS|EBADF)$/.test(answer), answers.join());
    }
  }
});

test("issue 17, 12: escape: a user namespace of its own, to have all capabilities in", {
  skip: needs,
}, () => {
  for (const options of layers) {
    const answers = calls([
      ["unshare", CLONE_NEWUSER | CLONE_NEWNS],
      ["mount", ":none", ":/usr", 0, MS_REMOUNT | MS_BIND, 0],
      ["mount", ":none", ":/", 0, MS_REMOUNT | MS_BIND, 0],
      ["mount", ":none", ":/proc", 0, MS_REMOUNT | MS_BIND, 0],
      ["umount2", ":/usr", MNT_DETACH],
      ["umount2", ":/", MNT_DETACH],
      ["openat", -100, ":/usr/osexec-test", 0o101, 0o600],
      ["openat", -100, ":/osexec-test", 0o101, 0o600],
      ["openat", -100, ":/proc/sys/kernel/core_pattern", 1],
    ], options);
    // The filter refuses it. Where there is none, what was mounted before is locked.
    assertEquals(answers[0], options.seccomp === false ? "0" : "EPERM");
    for (const answer of answers.slice(1, 6)) {
      assert(/^(EPERM|EINVAL|EBUSY)$/.test(answer), answers.join());
    }
    for (const answer of answers.slice(6)) assert(/^(EROFS|EACCES)$/.test(answer), answers.join());
  }
});

test("issue 17, 12: escape: other users, groups and capabilities", { skip: needs }, () => {
  for (const options of layers) {
    const other = options.user?.uid === 0 ? 1 : 0;
    // struct __user_cap_header_struct of version 3, and all capabilities.
    const header = "#2205082000000000";
    const answers = calls([
      ["setgroups", 1, ":root"],
      ["setuid", other],
      ["setgid", other],
      ["setresuid", other, other, other],
      ["capset", header, `#${"ff".repeat(24)}`],
      ["prctl", 47, 2, 21, 0, 0],
      ["openat", -100, ":/proc/self/uid_map", 1],
      ["prctl", 38, 0, 0, 0, 0],
    ], options);
    for (const [index, answer] of answers.entries()) {
      // uid_map may be opened by who it belongs to; there is one already.
      if (index === 6) continue;
      assert(/^(EPERM|EINVAL)$/.test(answer), answers.join());
    }
    const text = script(
      "echo allow > /proc/self/setgroups; echo 0 0 1 > /proc/self/uid_map",
      options,
    );
    assertEquals(
      text.match(/Permission denied|not permitted|Read-only|I\/O error/g)?.length,
      2,
      text,
    );
  }
});

test("issue 17, 12: escape: a set-user-ID program gives nothing", {
  skip: needs || needsRoot,
}, () => {
  using folder = temporaryFolder();
  const program = `${folder.path}/helper`;
  copyFileSync(helper, program);
  chownSync(program, 4321, 4321);
  chmodSync(program, 0o6755);
  // Outside it does.
  const uids = (sys?: SysProcAttr): string | undefined =>
    statusFields(runProgram(program, ["helper", "id"], { sys })).get("Uid");
  assertEquals(uids()?.split(" ").slice(0, 2), ["0", "4321"]);
  for (const options of layers) {
    const inside = options.user?.uid ?? 0;
    const sys = box({ ...options, readOnly: [folder.path] });
    assertEquals(uids(sys), new Array(4).fill(inside).join(" "));
  }
});

test("issue 17, 12: escape: the kernel's own files in /proc", { skip: needs }, () => {
  const O_WRONLY = 1;
  const files = [
    "sys/kernel/core_pattern",
    "sys/kernel/hostname",
    "sysrq-trigger",
    "sys/vm/drop_caches",
  ];
  // Opening says it all; and where it were allowed, nothing has been written.
  const attempts = files.map((file) => ["openat", -100, `:/proc/${file}`, O_WRONLY]);
  for (const options of layers) {
    for (const answer of calls(attempts, options)) {
      assert(/^(EACCES|EROFS|EPERM|ENOENT)$/.test(answer), answer);
    }
  }
});

// ---------------------------------------------------------------- what it takes

test(
  "issue 17, 12: sandbox: what contradicts itself is a TypeError",
  { skip: needsLinuxChild },
  () => {
    const refused = (options: unknown, text: string): void => {
      assertThrows(() => sandbox(wrong<SandboxOptions>(options)), TypeError, text);
    };
    refused({ readOnly: ["/a"], writable: ["/b", "/a/"] }, "/a is both readOnly and writable");
    refused({ readOnly: ["a"] }, "readOnly: a is not absolute");
    refused({ writable: ["/a/../b"] }, 'writable: /a/../b has a ".."');
    refused({ writable: ["/a\0"] }, "contains a NUL");
    refused({ writable: ["/tmp"], tmp: true }, "/tmp is both writable and tmp");
    refused({ readOnly: ["/proc"], proc: true }, "/proc is both readOnly and proc");
    refused({ readOnly: "/usr" }, "readOnly is not a list");
    refused({ readOnly: [1] }, "readOnly is not a string, nor bytes");
    refused({ tmp: 0 }, "tmp: 0 is no number of bytes");
    refused({ tmp: "yes" }, "tmp is not a boolean");
    refused({ proc: 1 }, "proc is not a boolean");
    refused({ network: "no" }, "network is not a boolean");
    refused({ user: { uid: -1, gid: 0 } }, "user.uid -1 is no id");
    refused({ user: 0 }, "user is not an object");
    refused({ readonly: ["/usr"] }, "what it wants is readOnly");
    refused(null, "is not an object");
  },
);

test("issue 17, 12: sandbox: explain() says all of it, and starts nothing", {
  skip: needsLinuxChild,
}, () => {
  const sysProcAttr = sandbox({ readOnly: ["/usr"], proc: true, tmp: 4096, hostname: "box" });
  const text = new Command("/usr/bin/true", [], { sysProcAttr }).explain();
  for (
    const line of [
      "new_root /",
      "mount tmpfs / nosuid nodev mode=0755 size=1048576",
      "mount bind /usr -> /usr rec ro nosuid nodev",
      "mount tmpfs /tmp nosuid nodev mode=1777 size=4096",
      "remount / ro",
      "pivot_root",
      "hostname box",
      "setsid",
      "pdeathsig SIGKILL",
      "no_new_privs",
      "exec /usr/bin/true",
    ]
  ) assert(`\n${text}\n`.includes(`\n${line}\n`), `${line}\n${text}`);
});

test("issue 17, 12: sandbox: what is not there is the step that says so", { skip: needs }, () => {
  const sys = sandbox({ readOnly: ["/osexec-none"] });
  assertThrows(
    () => startProcess("/usr/bin/true", ["true"], { sys }),
    Error,
    "mount bind /osexec-none -> /osexec-none rec ro nosuid nodev: no such file or directory",
  );
});
