/** Issue 17, 9 and 10: children under landlock and seccomp, and that what is refused by them leaves the start its words. */

import { chmodSync, closeSync, copyFileSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Rung } from "../../ffi/abi.ts";
import { Command, OSFile, startProcess, type SysProcAttr } from "../../mod.ts";
import { systemCallNumber } from "../../src/start/system_calls.ts";
import {
  changesSince,
  childStatus,
  drive,
  type DriverCase,
  dumpable,
  helper,
  helperFolder,
  needsRoot,
  needsUser,
  parentState,
  run,
  runLines,
  runProgram,
  self,
  spawnFailure,
  temporaryFolder,
} from "../system.ts";
import { needsPython, python } from "../python.ts";
import { needsCall, needsLandlock, needsLinuxChild } from "../refused.ts";

const needsSeccomp: string | false = needsLinuxChild || needsCall("seccomp");

/** How a child ends that does this. What it says of it nobody hears. */
function ending(argv: readonly string[], sys: SysProcAttr): string {
  using nothing = OSFile.open("/dev/null", "w");
  const files = [null, nothing, nothing];
  return startProcess(helper, ["helper", ...argv], { sys, files }).waitSync().toString();
}

// ---------------------------------------------------------------- landlock: files

test(
  "issue 17, 9: the child reads what it may, and nothing else",
  { skip: needsLandlock(1) },
  () => {
    using folder = temporaryFolder();
    writeFileSync(`${folder.path}/in`, "within\n");
    const landlock = { read: [helper, folder.path] };
    assertEquals(run(["file", `${folder.path}/in`], { sys: { landlock } }), "within\n");
    assertEquals(ending(["file", "/etc/passwd"], { landlock }), "exit status 66");
    // What is not restricted is not: it may write where it likes.
    assertEquals(run(["write", `${folder.path}/out`, "x"], { sys: { landlock } }), "");
  },
);

test(
  "issue 17, 9: the child writes where it may, and nowhere else",
  { skip: needsLandlock(1) },
  () => {
    using folder = temporaryFolder();
    mkdirSync(`${folder.path}/in`);
    const landlock = { write: [`${folder.path}/in`], bestEffort: true };
    assertEquals(run(["write", `${folder.path}/in/new`, "x"], { sys: { landlock } }), "");
    assertEquals(ending(["write", `${folder.path}/new`, "x"], { landlock }), "exit status 73");
    assertEquals(run(["file", `${folder.path}/in/new`], { sys: { landlock } }), "x");
  },
);

test("issue 17, 9: the child executes what it may, and a start that may not fails in exec", {
  skip: needsLandlock(1),
}, () => {
  const sys: SysProcAttr = { landlock: { execute: ["/etc"] } };
  const { step, code, argument, hint } = spawnFailure(() => run(["exit", "0"], { sys }));
  assertEquals([step, code, argument], ["exec", "EACCES", helper]);
  assertEquals(
    hint,
    "landlock must let it be executed and read, and its interpreter or loader too",
  );
  assertEquals(run(["args"], { sys: { landlock: { execute: [helper] } } }), "helper\nargs\n");
});

test(
  "issue 17, 9: a path is looked up in the child's directory, and a file's has a file's rights",
  {
    skip: needsLandlock(1),
  },
  () => {
    using folder = helperFolder();
    writeFileSync(`${folder.path}/one`, "1\n");
    writeFileSync(`${folder.path}/two`, "2\n");
    const sys: SysProcAttr = { landlock: { read: ["helper", "one"] } };
    const argv = (file: string): string[] => ["helper", "file", file];
    assertEquals(runProgram("./helper", argv("one"), { dir: folder.path, sys }), "1\n");
    using nothing = OSFile.open("/dev/null", "w");
    const files = [null, nothing, nothing];
    const child = startProcess("./helper", argv("two"), { dir: folder.path, files, sys });
    assertEquals(child.waitSync().toString(), "exit status 66");
  },
);

test("issue 17, 9: a path is looked up in the child's root", {
  skip: needsRoot || needsLandlock(1),
}, () => {
  using folder = helperFolder();
  mkdirSync(`${folder.path}/data`);
  writeFileSync(`${folder.path}/data/file`, "below\n");
  const sys: SysProcAttr = { chroot: folder.path, landlock: { read: ["/helper", "/data"] } };
  assertEquals(runProgram("/helper", ["helper", "file", "/data/file"], { sys }), "below\n");
});

test(
  "issue 17, 9: a path that is not there, or that the child's user may not reach, fails by its step",
  {
    skip: needsLandlock(1),
  },
  () => {
    const failure = (sys: SysProcAttr): readonly unknown[] => {
      const { step, code, argument } = spawnFailure(() => run(["exit", "0"], { sys }));
      return [step, code, argument];
    };
    const missing = failure({ landlock: { read: [helper, "/nope"] } });
    assertEquals(missing, ["landlock", "ENOENT", "/nope"]);
    if (needsRoot) return;
    using folder = temporaryFolder();
    mkdirSync(`${folder.path}/closed/inner`, { recursive: true });
    chmodSync(`${folder.path}/closed`, 0o700);
    const path = `${folder.path}/closed/inner`;
    const credential = { uid: 12345, gid: 12345 };
    assertEquals(failure({ credential, landlock: { read: [path] } }), ["landlock", "EACCES", path]);
  },
);

test("issue 17, 9: nothing of the rules is left among the child's descriptors", {
  skip: needsLandlock(1),
}, () => {
  const numbers = (closeFds: boolean): string[] => {
    const sys: SysProcAttr = { closeFds, landlock: { read: ["/"], execute: ["/"] } };
    return runLines(["fds"], { sys }).map((line) => line.split(" ")[0] ?? "");
  };
  assertEquals(numbers(true), ["1", "2"]);
  assert(
    !runLines(["fds"], { sys: { closeFds: false, landlock: { read: ["/"] } } })
      .some((line) => line.includes("landlock")),
  );
});

// ---------------------------------------------------------------- landlock: the rest

test(
  "issue 17, 9: with scoped the child sends nobody outside a signal",
  { skip: needsLandlock(6) },
  () => {
    const argv = ["call", "kill", `${process.pid}`, "0"];
    assertEquals(run(argv), "0\n");
    assertEquals(run(argv, { sys: { landlock: { scoped: true } } }), "-1\n");
  },
);

const bindAndConnect = `
import errno, socket, sys
def attempt(what, port):
    with socket.socket() as s:
        try:
            getattr(s, what)(("127.0.0.1", port))
        except OSError as e:
            return errno.errorcode[e.errno]
    return "ok"
print(*[attempt(what, int(port)) for what in ("bind", "connect") for port in sys.argv[1:]])
`;

test("issue 17, 9: the child binds and connects to the ports that it may, and to no others", {
  skip: needsPython.skip || needsLandlock(4),
}, async () => {
  const servers = [createServer(), createServer()] as const;
  const ports = await Promise.all(servers.map((server) =>
    new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    })
  ));
  const [first = 0] = ports;
  const ends = (sys: SysProcAttr): string =>
    runProgram(python, ["python3", "-c", bindAndConnect, ...ports.map(String)], { sys }).trim();
  try {
    assertEquals(ends({}), "EADDRINUSE EADDRINUSE ok ok");
    const both = { bindTcp: [first], connectTcp: [first] };
    assertEquals(ends({ landlock: both }), "EADDRINUSE EACCES ok EACCES");
    assertEquals(ends({ landlock: { connectTcp: [] } }), "EADDRINUSE EADDRINUSE EACCES EACCES");
  } finally {
    for (const server of servers) server.close();
  }
});

test("issue 17, 9: rules that say nothing are no rules", { skip: needsLinuxChild }, () => {
  assertEquals(childStatus({ landlock: {} }).get("NoNewPrivs"), childStatus({}).get("NoNewPrivs"));
  const explained = new Command("/bin/ls", [], { sysProcAttr: { landlock: {} } }).explain();
  assertEquals(explained, new Command("/bin/ls").explain());
});

test("issue 17, 9: landlock implies noNewPrivs, unless that is false, which takes CAP_SYS_ADMIN", {
  skip: needsLandlock(1),
}, () => {
  const landlock = { read: ["/"] };
  assertEquals(childStatus({ landlock }).get("NoNewPrivs"), "1");
  const sys: SysProcAttr = { landlock, noNewPrivs: false };
  if (self.uid === 0) {
    assertEquals(childStatus(sys).get("NoNewPrivs"), childStatus({}).get("NoNewPrivs"));
  } else if (childStatus({}).get("NoNewPrivs") === "0") {
    const { step, code, hint } = spawnFailure(() => childStatus(sys));
    assertEquals([step, code], ["landlock", "EPERM"]);
    assertEquals(hint, "without noNewPrivs it takes CAP_SYS_ADMIN");
  }
});

test(
  "issue 17, 9: where the kernel has no landlock it is refused, or left out where the best effort will do",
  {
    skip: needsLinuxChild || needsCall(),
  },
  () => {
    const under = [helper, "deny", "landlock_create_ruleset", "ENOSYS", "--"];
    const [plain, best] = drive([
      { sys: { landlock: { read: ["/"] } } },
      { argv: ["file", "/etc/passwd"], sys: { landlock: { read: [], bestEffort: true } } },
    ], { under });
    assertEquals(plain?.failure?.step, "request");
    assert(plain?.failure?.message.includes("has no Landlock"), plain?.failure?.message);
    assertEquals(best?.failure, null);
    assert(best?.output.includes("root:"));
  },
);

test("issue 17, 9: explain() has the rules, each with its path or its port", {
  skip: needsLandlock(4),
}, () => {
  const sysProcAttr: SysProcAttr = {
    dumpable: false,
    landlock: { read: ["/usr"], write: ["/tmp"], connectTcp: [443], bestEffort: true },
    rlimits: { NOFILE: 64 },
  };
  const lines = new Command("/bin/ls", [], { sysProcAttr }).explain().split("\n");
  const steps = lines.slice(lines.indexOf("dumpable false") + 1);
  assertEquals(steps.filter((line) => !line.startsWith("fd ")), [
    "no_new_privs",
    "close_range from 3",
    "landlock read /usr, write /tmp, connectTcp 443, best effort",
    "landlock /usr",
    "landlock /tmp",
    "landlock port 443",
    "landlock restrict",
    "rlimit NOFILE 64:64",
    "sigprocmask",
    "exec /bin/ls",
  ]);
});

// ---------------------------------------------------------------- seccomp

test(
  "issue 17, 10: a call of the list fails with its error, others do not",
  { skip: needsSeccomp },
  () => {
    const seccomp = { default: "allow", deny: ["getppid", "getpgid"], errno: 93 } as const;
    assertEquals(run(["call", "getppid"], { sys: { seccomp } }), "-93\n");
    assertEquals(run(["call", "getpgid", "0"], { sys: { seccomp } }), "-93\n");
    assertEquals(run(["call", "getsid", "0"], { sys: { seccomp } }), run(["call", "getsid", "0"]));
    assertEquals(childStatus({ seccomp }).get("NoNewPrivs"), "1");
    assertEquals(childStatus({ seccomp }).get("Seccomp"), "2");
  },
);

test("issue 17, 10: a call that is not allowed kills the program", { skip: needsSeccomp }, () => {
  const allow = ["execve", "write", "exit_group", "exit", "arch_prctl", "prctl", "rt_sigaction"];
  const sys: SysProcAttr = {
    seccomp: {
      default: "kill",
      allow: [...allow, "prlimit64", "mprotect", "mmap", "sigaltstack"],
    },
    rlimits: { CORE: 0 },
  };
  assertEquals(run(["args"], { sys }), "helper\nargs\n");
  assertEquals(ending(["call", "getppid"], sys), "signal: bad system call");
});

/** BPF instructions: [code, if true, if false, k]. */
function filter(
  ...instructions: readonly (readonly [number, number, number, number])[]
): Uint8Array {
  const bytes = new Uint8Array(8 * instructions.length);
  const view = new DataView(bytes.buffer);
  for (const [index, [code, yes, no, k]] of instructions.entries()) {
    view.setUint16(8 * index, code, true);
    view.setUint8(8 * index + 2, yes);
    view.setUint8(8 * index + 3, no);
    view.setUint32(8 * index + 4, k, true);
  }
  return bytes;
}

const ALLOW = 0x7fff_0000;
const KILL_PROCESS = 0x8000_0000;
const ERRNO = 0x5_0000;

/** Everything passes but these calls, which get that answer. */
function refusing(answer: number, ...names: readonly string[]): Uint8Array {
  const architecture = process.arch === "arm64" ? "aarch64" : "x86_64";
  const tests = names.map((name, index) => {
    const number = systemCallNumber(name, architecture);
    assert(number !== undefined, name);
    return [0x15, names.length - index, 0, number] as const;
  });
  return filter([0x20, 0, 0, 0], ...tests, [0x06, 0, 0, ALLOW], [0x06, 0, 0, answer]);
}

test("issue 17, 10: a filter of the caller's own is taken as it is", { skip: needsSeccomp }, () => {
  const seccomp = refusing(ERRNO | 77, "getppid");
  assertEquals(run(["call", "getppid"], { sys: { seccomp } }), "-77\n");
  // Changed after the start it is another one.
  const command = new Command(helper, ["call", "getppid"], { sysProcAttr: { seccomp } });
  seccomp.fill(0);
  const { step, code, argument } = spawnFailure(() => run(["exit", "0"], { sys: { seccomp } }));
  assertEquals([step, code, argument], ["seccomp", "EINVAL", "filter of 4 instructions"]);
  void command;
});

test("issue 17, 10: seccomp takes noNewPrivs, or CAP_SYS_ADMIN", {
  skip: needsUser || needsSeccomp,
}, () => {
  if (childStatus({}).get("NoNewPrivs") !== "0") return;
  const sys: SysProcAttr = { seccomp: { default: "allow" }, noNewPrivs: false };
  const { step, code, argument, hint } = spawnFailure(() => run(["exit", "0"], { sys }));
  assertEquals([step, code, argument], ["seccomp", "EACCES", "default allow"]);
  assertEquals(hint, "without noNewPrivs it takes CAP_SYS_ADMIN");
});

test("issue 17, 10: root may do without noNewPrivs", { skip: needsRoot || needsSeccomp }, () => {
  const before = childStatus({}).get("NoNewPrivs");
  const status = childStatus({ seccomp: { default: "allow" }, noNewPrivs: false });
  assertEquals([status.get("NoNewPrivs"), status.get("Seccomp")], [before, "2"]);
});

test("issue 17, 10: where the kernel has no seccomp(2) the filter goes in by prctl(2)", {
  skip: needsSeccomp || needsCall(),
}, () => {
  const one: DriverCase = {
    argv: ["call", "getppid"],
    sys: { seccomp: { default: "allow", deny: ["getppid"], errno: 93 } },
  };
  const [result] = drive([one], { under: [helper, "deny", "seccomp", "ENOSYS", "--"] });
  assertEquals(result?.output, "-93\n");
});

// ---------------------------------------------------------------- what comes of a start under a filter

/** Whatever the filter says to what the child calls at its end. */
const harsh: readonly (readonly [name: string, seccomp: Uint8Array])[] = needsSeccomp ? [] : [
  ["exit_group fails", refusing(ERRNO | 1, "exit_group")],
  ["exit_group and exit fail", refusing(ERRNO | 1, "exit_group", "exit")],
  ["exit_group kills", refusing(KILL_PROCESS, "exit_group")],
];

for (const [name, seccomp] of harsh) {
  test(`issue 17, 10: a start that fails in exec says so where ${name}`, () => {
    const before = parentState();
    const sys: SysProcAttr = { seccomp, rlimits: { CORE: 0 } };
    const { step, code, argument } = spawnFailure(() => startProcess("/nope", ["nope"], { sys }));
    assertEquals([step, code, argument], ["exec", "ENOENT", "/nope"]);
    assertEquals(changesSince(before), []);
  });
}

test(
  "issue 17, 10: a filter that refuses execve is named by the step exec; one that kills ends the child alone",
  {
    skip: needsSeccomp,
  },
  () => {
    const before = parentState();
    const { step, code, argument } = spawnFailure(() =>
      run(["exit", "0"], { sys: { seccomp: refusing(ERRNO | 13, "execve") } })
    );
    assertEquals([step, code, argument], ["exec", "EACCES", helper]);
    // As whoever dies in execve: it may have been the program.
    const sys: SysProcAttr = { seccomp: refusing(KILL_PROCESS, "execve"), rlimits: { CORE: 0 } };
    assertEquals(ending(["exit", "0"], sys), "signal: bad system call");
    assertEquals([changesSince(before), dumpable()], [[], 1]);
  },
);

test(
  "issue 17, 10: a program that is open for writing is named so, whatever the filter says to a pause",
  {
    skip: needsSeccomp,
  },
  () => {
    using folder = temporaryFolder();
    const path = `${folder.path}/busy`;
    copyFileSync(helper, path);
    chmodSync(path, 0o755);
    const fd = openSync(path, "r+");
    try {
      for (const answer of [ERRNO | 1, KILL_PROCESS]) {
        const seccomp = refusing(answer, "nanosleep", "clock_nanosleep", "ppoll");
        const sys: SysProcAttr = { seccomp, rlimits: { CORE: 0 } };
        const { step, code } = spawnFailure(() => startProcess(path, ["busy"], { sys }));
        assertEquals([step, code], ["exec", "ETXTBSY"]);
      }
    } finally {
      closeSync(fd);
    }
  },
);

for (
  const [name, forced] of [["nothing", 0], ["clone3", Rung.clone3], [
    "memory",
    Rung.memory,
  ]] as const
) {
  test(`issue 17: under landlock and seccomp a start changes nothing here (without ${name})`, {
    skip: needsSeccomp || needsLandlock(1),
  }, () => {
    const sys: SysProcAttr = {
      landlock: { read: ["/"], execute: ["/"] },
      seccomp: { default: "allow", deny: ["getppid"] },
    };
    const results = drive([
      { argv: ["call", "getppid"], sys, forced },
      { path: "/nope", sys, forced },
    ]);
    assertEquals(results.map(({ output }) => output), ["-1\n", ""]);
    assertEquals(results.map(({ failure }) => failure?.code), [undefined, "ENOENT"]);
    for (const { changed } of results) assertEquals(changed, []);
  });
}
