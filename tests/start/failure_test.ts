import fs from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import {
  Command,
  type Env,
  OSFile,
  type ProcAttr,
  type Process,
  SpawnError,
  startProcess,
  SyscallError,
} from "../../mod.ts";
import { Directory, helper, isRoot, needsRoot, needsUser, sh } from "../helper.ts";
import { children, withoutLeaks } from "../holdings.ts";

/** How a start must fail. */
interface Failure {
  readonly step: string;
  readonly code: string;
  readonly argument?: string;
  /** What comes after "fork/exec PATH: ". */
  readonly text: string;
}

/** Checks that such a start fails so, by every way of starting, and leaves nothing behind. */
async function fails(path: string, attr: ProcAttr, failure: Failure): Promise<void> {
  const check = (error: SpawnError): void => {
    assertEquals([error.step, error.code, error.argument], [
      failure.step,
      failure.code,
      failure.argument,
    ]);
    assertEquals(`${error}`, `SpawnError: fork/exec ${path}: ${failure.text}`);
    assertEquals([error.path, error.syscall, error.signal], [path, "fork/exec", undefined]);
    assert(error instanceof SyscallError && error.errno > 0);
  };
  const make = (): Command => {
    const command = new Command("/", ["helper", "exit", "0"], {
      extraFiles: [...attr.files ?? []].slice(3),
    });
    command.path = path;
    if (attr.dir !== undefined) command.dir = attr.dir;
    if (attr.env !== undefined) command.env = attr.env;
    if (attr.sys !== undefined) command.sysProcAttr = attr.sys;
    return command;
  };
  await withoutLeaks(async () => {
    check(assertThrows(() => startProcess(path, ["helper", "exit", "0"], attr), SpawnError));
    check(assertThrows(() => make().start(), SpawnError));
    check(assertThrows(() => make().outputSync(), SpawnError));
    check(await assertRejects(() => make().output(), SpawnError));
  });
}

/** Those of the exec step, which Go's texts do not name. */
function exec(path: string, code: string, text: string): Failure {
  return { step: "exec", code, argument: path, text };
}

test("a missing program fails the exec step", async () => {
  await fails(
    "/no/such/program",
    {},
    exec("/no/such/program", "ENOENT", "no such file or directory"),
  );
});

test("a program that may not be executed fails the exec step", async () => {
  using directory = new Directory();
  const path = directory.file("program", "", 0o644);
  await fails(path, {}, exec(path, "EACCES", "permission denied"));
  await fails(directory.path, {}, exec(directory.path, "EACCES", "permission denied"));
});

test("a file as a directory of the path fails the exec step", async () => {
  using directory = new Directory();
  const path = `${directory.file("file")}/program`;
  await fails(path, {}, exec(path, "ENOTDIR", "not a directory"));
});

test("a loop of symbolic links fails the exec step", async () => {
  using directory = new Directory();
  const path = directory.join("loop");
  fs.symlinkSync("loop", path);
  await fails(path, {}, exec(path, "ELOOP", "too many levels of symbolic links"));
});

test("a file in no format fails the exec step, and no shell is tried", async () => {
  using directory = new Directory();
  for (const content of ["", "echo hello\n"]) {
    const path = directory.file("program", content, 0o755);
    await fails(path, {}, exec(path, "ENOEXEC", "exec format error"));
  }
});

test("a missing interpreter fails the exec step, as in the program's own place", async () => {
  using directory = new Directory();
  const path = directory.file("script", "#!/no/such/interpreter\n", 0o755);
  await fails(path, {}, exec(path, "ENOENT", "no such file or directory"));
});

test("an argument that is too long fails the exec step", async () => {
  const long = "x".repeat(256 * 1024);
  await withoutLeaks(() => {
    const error = assertThrows(() => startProcess(helper, ["helper", long]), SpawnError);
    assertEquals([error.step, error.code], ["exec", "E2BIG"]);
    assertEquals(`${error}`, `SpawnError: fork/exec ${helper}: argument list too long`);
  });
});

test("an environment that is too long fails the exec step", async () => {
  const env = Array.from({ length: 70 }, (_, index) => `V${index}=${"x".repeat(100_000)}`);
  await fails(helper, { env }, exec(helper, "E2BIG", "argument list too long"));
});

test("a request that no kernel would take is refused as one", async () => {
  // More than the native side is ready to copy.
  const argv = new Array(70).fill("x".repeat(1024 * 1024));
  await withoutLeaks(() => {
    const error = assertThrows(() => startProcess(helper, argv), SpawnError);
    assertEquals([error.step, error.code], ["request", "E2BIG"]);
  });
});

test("a directory that is missing, or is none, fails the chdir step", async () => {
  using directory = new Directory();
  const missing = directory.join("missing");
  const file = directory.file("file");
  await fails(helper, { dir: missing }, {
    step: "chdir",
    code: "ENOENT",
    argument: missing,
    text: `chdir ${missing}: no such file or directory`,
  });
  await fails(helper, { dir: file }, {
    step: "chdir",
    code: "ENOTDIR",
    argument: file,
    text: `chdir ${file}: not a directory`,
  });
});

test("a directory that may not be entered fails the chdir step", needsUser, async () => {
  using directory = new Directory();
  const dir = directory.join("closed");
  fs.mkdirSync(dir, { mode: 0 });
  await fails(helper, { dir }, {
    step: "chdir",
    code: "EACCES",
    argument: dir,
    text: `chdir ${dir}: permission denied`,
  });
  fs.chmodSync(dir, 0o700);
});

test("the directory is entered with the new credentials", needsRoot, async () => {
  using directory = new Directory();
  const dir = directory.join("closed");
  fs.mkdirSync(dir, { mode: 0o700 });
  await fails(helper, { dir, sys: { credential: { uid: 54_321, gid: 54_321 } } }, {
    step: "chdir",
    code: "EACCES",
    argument: dir,
    text: `chdir ${dir}: permission denied`,
  });
});

test("a root directory that is missing fails the chroot step", async () => {
  const chroot = "/no/such/root";
  await fails(helper, { sys: { chroot } }, {
    step: "chroot",
    code: "ENOENT",
    argument: chroot,
    text: `chroot ${chroot}: no such file or directory`,
  });
});

test("a new root directory fails the chroot step for an ordinary user", needsUser, async () => {
  await fails(helper, { sys: { chroot: "/" } }, {
    step: "chroot",
    code: "EPERM",
    argument: "/",
    text: "chroot /: operation not permitted",
  });
});

test("a program that is not in the new root fails the exec step", needsRoot, async () => {
  using directory = new Directory();
  const sys = { chroot: directory.path };
  await fails(helper, { sys }, exec(helper, "ENOENT", "no such file or directory"));
});

test("credentials fail the first step that an ordinary user may not take", needsUser, async () => {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  const denied = (step: string, argument: string): Failure => {
    return { step, code: "EPERM", argument, text: `${step} ${argument}: operation not permitted` };
  };
  const groups = { uid, gid, groups: [1, 2] };
  await fails(helper, { sys: { credential: { uid, gid } } }, denied("setgroups", "[]"));
  await fails(helper, { sys: { credential: groups } }, denied("setgroups", "[1 2]"));
  const group = { uid, gid: 1, noSetGroups: true };
  await fails(helper, { sys: { credential: group } }, denied("setgid", "1"));
  const user = { uid: 0, gid, noSetGroups: true };
  await fails(helper, { sys: { credential: user } }, denied("setuid", "0"));
});

test("one's own credentials without groups are nobody's business", async () => {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  const sysProcAttr = { credential: { uid, gid, noSetGroups: true } };
  await new Command(helper, ["exit", "0"], { sysProcAttr }).run();
  // A changed identity must not have taken this process's own /proc away from it.
  assertEquals(fs.statSync("/proc/self/fd").uid, uid);
});

test("a process group that is not there, or not ours, fails the setpgid step", async () => {
  for (const pgid of [1, 0x3fffffff]) {
    await fails(helper, { sys: { setpgid: true, pgid } }, {
      step: "setpgid",
      code: "EPERM",
      argument: `${pgid}`,
      text: `setpgid ${pgid}: operation not permitted`,
    });
  }
});

test("a session leader cannot join a group: setsid with setpgid fails the setpgid step", async () => {
  await fails(helper, { sys: { setsid: true, setpgid: true } }, {
    step: "setpgid",
    code: "EPERM",
    argument: "0",
    text: "setpgid 0: operation not permitted",
  });
});

test("a descriptor that is not open fails the fd step", async () => {
  const files = [null, null, null, null, 777];
  await fails(helper, { files }, {
    step: "fd",
    code: "EBADF",
    argument: "777 -> 4",
    text: "fd 777 -> 4: bad file descriptor",
  });
  for (const options of [{ stdin: 777 }, { stdout: 777 }, { stderr: 777 }]) {
    const error = assertThrows(() => new Command(helper, [], options).start(), SpawnError);
    assertEquals([error.step, error.code], ["fd", "EBADF"]);
    assertMatch(error.argument ?? "", /^777 -> [012]$/);
  }
});

test("permuted descriptors do not hide why a start has failed", async () => {
  const files = [0, 2, 1];
  await withoutLeaks(() => {
    const error = assertThrows(() => startProcess("/", ["x"], { files }), SpawnError);
    assertEquals([error.step, error.code], ["exec", "EACCES"]);
  });
});

test("a NUL anywhere is refused in the request, and nothing is started", async () => {
  const text = "contains a NUL";
  const starts: [start: () => unknown, message: string][] = [
    [() => startProcess("/bin/tr\0ue", ["true"]), `the path ${text}`],
    [() => startProcess(helper, ["h", "a\0b"]), `argument 1 ${text}`],
    [() => startProcess(helper, ["h"], { dir: "/\0" }), `dir ${text}`],
    [() => startProcess(helper, ["h"], { sys: { chroot: "/\0" } }), `chroot ${text}`],
    [() => startProcess(helper, ["h"], { env: ["A=\0"] }), "environment variable contains NUL"],
    [
      () => startProcess(helper, ["h"], { env: { "A\0": "" } }),
      "environment variable contains NUL",
    ],
    [() => new Command("/bin/tr\0ue").start(), `the path ${text}`],
    [() => new Command(helper, ["\0"]).start(), `argument 1 ${text}`],
    [() => new Command(helper, [], { dir: "\0" }).start(), `dir ${text}`],
    [() => new Command(helper, [], { env: ["\0"] }).start(), "environment variable contains NUL"],
    [() => new Command(helper, [], { env: { A: "\0" } }).runSync(), "variable contains NUL"],
  ];
  await withoutLeaks(() => {
    for (const [start, message] of starts) {
      const error = assertThrows(start, SpawnError, message);
      assertEquals([error.step, error.code, error.argument], ["request", "EINVAL", undefined]);
    }
  });
});

test("a record's key that would be another one's is refused in the request", async () => {
  const rows: [env: Env, text: string][] = [
    [{ "": "x" }, "environment key is empty"],
    [{ "A=B": "x" }, 'environment key "A=B" contains "="'],
  ];
  for (const [env, text] of rows) {
    await fails(helper, { env }, { step: "request", code: "EINVAL", text });
  }
});

test("an id that names nobody is refused in the request", async () => {
  for (const id of [-1, 0xffffffff, 2 ** 32, 1.5, NaN]) {
    const rows = [
      [{ uid: id, gid: 0 }, "uid"],
      [{ uid: 0, gid: id }, "gid"],
      [{ uid: 0, gid: 0, groups: [0, id] }, "supplementary group"],
    ] as const;
    for (const [credential, what] of rows) {
      const text = `${what} ${id} is not an integer from 0 to 4294967294`;
      await fails(helper, { sys: { credential } }, { step: "request", code: "EINVAL", text });
    }
  }
});

test("a program that is open for writing is text file busy, in the exec step", async () => {
  using directory = new Directory();
  const path = directory.helper();
  const file = OSFile.open(path, "r+");
  await withoutLeaks(() => {
    const error = assertThrows(() => startProcess(path, ["h", "exit", "0"]), SpawnError);
    assertEquals([error.step, error.code], ["exec", "ETXTBSY"]);
    assertEquals(error.message, `fork/exec ${path}: text file busy`);
  });
  file.close();
  assertEquals((await startProcess(path, ["h", "exit", "0"]).wait()).success, true);
});

test("a child that is killed on its way is a failed start, which names the signal", async () => {
  using directory = new Directory();
  const path = directory.helper();
  using _writer = OSFile.open(path, "r+");
  // The exec is tried again and again, as the file is busy; this kills the child that sleeps between.
  const hunter = sh(
    `while :; do
       for task in /proc/${process.pid}/task/*; do
         pids=
         read -r pids <$task/children
         for pid in $pids; do
           case " $$ ${children().join(" ")} " in *" $pid "*) continue ;; esac
           grep -q "^State:.S" /proc/$pid/status && kill -9 $pid
         done
       done
     done 2>/dev/null`,
  );
  await using _hunting = hunter;
  hunter.start();
  let killed: SpawnError | undefined;
  for (let attempt = 0; attempt < 200 && killed === undefined; attempt++) {
    const error = failureUnlessHit(path);
    // A hunter that has had no turn misses its prey, and then the start fails as a busy one does.
    if (error?.signal !== undefined) killed = error;
    else if (error !== undefined) assertEquals(error.code, "ETXTBSY");
  }
  assertEquals([killed?.step, killed?.signal, killed?.code], ["exec", "SIGKILL", "EINTR"]);
  assertEquals(killed?.message, `fork/exec ${path}: signal: killed`);
});

/** Of a busy program: why its start has failed; undefined: it was killed in the exec itself. */
function failureUnlessHit(path: string): SpawnError | undefined {
  let child: Process;
  try {
    child = startProcess(path, ["h", "exit", "0"]);
  } catch (error) {
    if (error instanceof SpawnError) return error;
    throw error;
  }
  // Nobody can tell that from a kill after it, so it counts as started.
  assertEquals(child.waitSync().toString(), "signal: killed");
  return undefined;
}

test("an ordinary user is told so by the tests that need one", () => {
  assertEquals([needsRoot.skip === undefined, needsUser.skip === undefined], [isRoot, !isRoot]);
});
