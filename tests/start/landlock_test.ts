/** Issue 17, 9: what Landlock is asked for, by the versions of its interface, and what the kernel makes of it. */

import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Command } from "../../mod.ts";
import {
  checkLandlock,
  describeLandlock,
  LANDLOCK_ACCESS_FILE,
  landlockFor,
  LandlockFs,
  LandlockNet,
  type LandlockRules,
  LandlockScope,
} from "../../src/start/landlock.ts";
import { decode, Directory, helper, root, type Skip } from "../helper.ts";
import { needsPython, python } from "../python.ts";
import { needsLinuxChild } from "../refused.ts";

const newest = 7;
const reading = LandlockFs.READ_FILE | LandlockFs.READ_DIR;
/** Bits 1 to 12 but those of reading. */
const changing = 0x1fff & ~reading & ~LandlockFs.EXECUTE;
const writing = changing | LandlockFs.REFER | LandlockFs.TRUNCATE | LandlockFs.IOCTL_DEV;
const both = LandlockScope.ABSTRACT_UNIX_SOCKET | LandlockScope.SIGNAL;

function refuse(detail: string): never {
  throw new Error(detail);
}

function dataFor(rules: LandlockRules, abi = newest): ReturnType<typeof landlockFor> {
  return landlockFor(checkLandlock("landlock", rules), abi, refuse);
}

// ------------------------------------------------------------------ the numbers

const headers = [
  join(root, ".tools/zig/ziglang/lib/libc/include/any-linux-any/linux/landlock.h"),
  "/usr/include/linux/landlock.h",
].filter((path) => existsSync(path));

test("issue 17, 9: the rights have the numbers of linux/landlock.h", {
  skip: headers.length === 0 ? "needs linux/landlock.h" : false,
}, () => {
  const own = new Map<string, number>([
    ...Object.entries(LandlockFs).map(([name, bit]) => [`ACCESS_FS_${name}`, bit] as const),
    ...Object.entries(LandlockNet).map(([name, bit]) => [`ACCESS_NET_${name}`, bit] as const),
    ...Object.entries(LandlockScope).map(([name, bit]) => [`SCOPE_${name}`, bit] as const),
  ]);
  const found = new Map<string, number>();
  for (const path of headers) {
    const text = readFileSync(path, "utf8");
    for (
      const [, name = "", bit] of text.matchAll(/^#define LANDLOCK_(\w+)\s+\(1ULL << (\d+)\)/gm)
    ) {
      found.set(name, 1 << Number(bit));
    }
  }
  // An older header lacks some, a newer one has more.
  for (const [name, bit] of found) {
    if (own.has(name)) assertEquals(own.get(name), bit, name);
  }
  if (headers.length === 2) { for (const name of own.keys()) assert(found.has(name), name); }
});

// ------------------------------------------------------------------ what is asked for

test("issue 17, 9: a list that is absent restricts nothing, an empty one leaves nothing", () => {
  const nothing = { handledAccessFs: 0, handledAccessNet: 0, scoped: 0, paths: [], ports: [] };
  const asked: [LandlockRules, Partial<ReturnType<typeof landlockFor>>][] = [
    [{}, {}],
    [{ write: [] }, { handledAccessFs: writing }],
    [{ bindTcp: [] }, { handledAccessNet: LandlockNet.BIND_TCP }],
    [{ connectTcp: [] }, { handledAccessNet: LandlockNet.CONNECT_TCP }],
    [{ scoped: true }, { scoped: both }],
    [{ scoped: false, bestEffort: true }, { bestEffort: true }],
  ];
  for (const [rules, expected] of asked) {
    assertEquals(dataFor(rules), { ...nothing, bestEffort: false, ...expected });
  }
});

test("issue 17, 9: a path and a port stand there once, with all that their lists give", () => {
  assertEquals(
    dataFor({
      read: ["/usr", "/tmp", "/usr"],
      execute: ["/usr", new TextEncoder().encode("/bin")],
      write: ["/tmp"],
      bindTcp: [0, 80],
      connectTcp: [80, 443],
    }),
    {
      handledAccessFs: reading | writing | LandlockFs.EXECUTE,
      handledAccessNet: 3,
      scoped: 0,
      paths: [
        { path: "/usr", access: reading | LandlockFs.EXECUTE },
        { path: "/tmp", access: reading | writing },
        { path: "/bin", access: LandlockFs.EXECUTE },
      ],
      ports: [
        { port: 0, access: LandlockNet.BIND_TCP },
        { port: 80, access: LandlockNet.BIND_TCP | LandlockNet.CONNECT_TCP },
        { port: 443, access: LandlockNet.CONNECT_TCP },
      ],
      bestEffort: false,
    },
  );
});

test("issue 17, 9: where writing is not restricted, rename from one directory to another is not either", () => {
  const { handledAccessFs, paths } = dataFor({ read: ["/usr"], execute: ["/"] });
  assertEquals(handledAccessFs, reading | LandlockFs.EXECUTE | LandlockFs.REFER);
  assertEquals(paths, [
    { path: "/usr", access: reading },
    { path: "/", access: LandlockFs.EXECUTE | LandlockFs.REFER },
  ]);
  assertEquals(dataFor({ connectTcp: [] }).paths, []);
});

test("issue 17, 9: what a file's rule may have is left of each list's rights", () => {
  for (const list of ["read", "write", "execute"] as const) {
    for (let abi = 1; abi <= newest; abi++) {
      const { paths } = dataFor({ [list]: ["/file"], bestEffort: true }, abi);
      const [file] = paths;
      assert(
        file?.path === "/file" && (file.access & LANDLOCK_ACCESS_FILE) !== 0,
        `${list} ${abi}`,
      );
    }
  }
});

test("issue 17, 9: a kernel without what is asked is refused, with the version that has it", () => {
  const cases: [LandlockRules, abi: number, words: string | null][] = [
    [{}, 0, null],
    [{ read: [] }, 0, "has no Landlock, or has it turned off; LANDLOCK_ACCESS_FS_READ_FILE, "],
    [{ scoped: true }, 0, "LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, LANDLOCK_SCOPE_SIGNAL came"],
    [{ write: [] }, 1, "version 1; LANDLOCK_ACCESS_FS_REFER came with version 2, Linux 5.19"],
    [{ read: [] }, 1, "version 1; LANDLOCK_ACCESS_FS_REFER came with version 2, Linux 5.19"],
    [{ read: [], execute: [] }, 2, null],
    [{ write: [] }, 2, "version 2; LANDLOCK_ACCESS_FS_TRUNCATE came with version 3, Linux 6.2"],
    [{ write: [] }, 3, "LANDLOCK_ACCESS_FS_IOCTL_DEV came with version 5, Linux 6.10"],
    [{ write: [] }, 4, "LANDLOCK_ACCESS_FS_IOCTL_DEV came with version 5, Linux 6.10"],
    [{ write: [] }, 5, null],
    [{ bindTcp: [1] }, 3, "LANDLOCK_ACCESS_NET_BIND_TCP came with version 4, Linux 6.7"],
    [{ connectTcp: [] }, 3, "version 3; LANDLOCK_ACCESS_NET_CONNECT_TCP came with version 4"],
    [{ bindTcp: [], connectTcp: [] }, 4, null],
    [{ scoped: true }, 5, "LANDLOCK_SCOPE_SIGNAL came with version 6, Linux 6.12"],
    [{ scoped: true, write: [] }, 6, null],
    [{ scoped: true, write: [] }, 99, null],
  ];
  for (const [rules, abi, words] of cases) {
    if (words === null) dataFor(rules, abi);
    else assertThrows(() => dataFor(rules, abi), Error, words);
    dataFor({ ...rules, bestEffort: true }, abi);
  }
});

test("issue 17, 9: the best effort asks for what the kernel has, and for no more", () => {
  const rules: LandlockRules = {
    read: ["/usr"],
    bindTcp: [80],
    connectTcp: [443],
    scoped: true,
    bestEffort: true,
  };
  const all = { ...rules, write: ["/tmp"] };
  const known = [0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff, 0xffff, 0xffff, 0xffff];
  for (const [abi, fs] of known.entries()) {
    const data = dataFor(all, abi);
    assertEquals(data.handledAccessFs, (reading | writing) & fs, `${abi}`);
    assertEquals(data.handledAccessNet, abi < 4 ? 0 : 3, `${abi}`);
    assertEquals(data.scoped, abi < 6 ? 0 : both, `${abi}`);
    // A right that is not handled is EINVAL, an empty rule ENOMSG.
    for (const { access } of data.paths) {
      assert(access !== 0 && (access & ~data.handledAccessFs) === 0, `${abi}`);
    }
    assertEquals(data.paths.length, abi === 0 ? 0 : 2);
    assertEquals(data.ports.length, abi < 4 ? 0 : 2);
    const paths = dataFor(rules, abi).paths.map(({ path }) => path);
    assertEquals(paths, abi === 0 ? [] : abi === 1 ? ["/usr"] : ["/usr", "/"]);
  }
});

test("issue 17, 9: rules that are none are refused by name", () => {
  const cases: [unknown, string][] = [
    [undefined, "sys.landlock is not an object"],
    [["/usr"], "sys.landlock is not an object"],
    [{ readonly: ["/usr"] }, "sys.landlock has no field readonly"],
    [{ bindTCP: [1] }, "sys.landlock has no field bindTCP; what it wants is bindTcp"],
    [{ read: "/usr" }, "sys.landlock.read is not a list"],
    [{ write: [1] }, "sys.landlock.write: a path is not a string, nor bytes"],
    [{ write: new Array(1) }, "sys.landlock.write: a path is not a string, nor bytes"],
    [{ execute: ["a\0b"] }, "sys.landlock.execute: a path contains a NUL"],
    [{ execute: ["\ud800"] }, "sys.landlock.execute: a path contains half of a surrogate pair"],
    [{ connectTcp: 80 }, "sys.landlock.connectTcp is not a list"],
    [{ connectTcp: ["80"] }, "sys.landlock.connectTcp: a port is not a number"],
    [{ scoped: 1 }, "sys.landlock.scoped is not a boolean"],
    [{ bestEffort: "yes" }, "sys.landlock.bestEffort is not a boolean"],
  ];
  for (const [given, why] of cases) {
    assertThrows(() => checkLandlock("sys.landlock", given), TypeError, why);
  }
  for (const port of [-1, 65536, 1.5, NaN]) {
    assertThrows(
      () => checkLandlock("sys.landlock", { bindTcp: [port] }),
      RangeError,
      `sys.landlock.bindTcp: the port ${port} is not an integer from 0 to 65535`,
    );
  }
  const read = ["/usr"];
  const checked = checkLandlock("sys.landlock", { read, write: undefined, bindTcp: [-0] });
  read.push("/");
  assertEquals(checked, { read: ["/usr"], bindTcp: [0] });
});

test("issue 17, 9: rules in words", () => {
  const said: [LandlockRules, string][] = [
    [{}, ""],
    [{ write: [] }, "write"],
    [
      { scoped: true, connectTcp: [80, 443], read: ["/usr", new Uint8Array([47, 255])], write: [] },
      "read /usr /\\xff, write, connectTcp 80 443, scoped",
    ],
    [{ bindTcp: [], execute: ["/bin"], bestEffort: true }, "execute /bin, bindTcp, best effort"],
  ];
  for (const [rules, words] of said) {
    assertEquals(describeLandlock(checkLandlock("landlock", rules)), words);
  }
});

// ------------------------------------------------------------------ the kernel

/** Makes each attempt in a child of its own, below a ruleset, and prints their errnos. */
const tryAttempts = `
import ctypes, fcntl, json, os, signal, socket, stat, struct, sys, termios
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    result = libc.syscall(*[each if isinstance(each, bytes) else ctypes.c_long(each) for each in arguments])
    if result < 0: raise OSError(ctypes.get_errno(), str(arguments))
    return result
if sys.argv[1] == "version":
    try: print(call(444, 0, 0, 1))
    except OSError as error: print(0)
    sys.exit()
given = json.loads(sys.argv[1])
data = given["data"]
def restrict():
    ruleset = call(444, struct.pack("<QQQ", data["handledAccessFs"], data["handledAccessNet"], data["scoped"]), 24, 0)
    for rule in data["paths"]:
        fd = os.open(rule["path"], os.O_PATH | os.O_CLOEXEC)
        access = rule["access"]
        if not stat.S_ISDIR(os.fstat(fd).st_mode): access &= given["file"]
        call(445, ruleset, 1, struct.pack("<Qi", access, fd), 0)
    for rule in data["ports"]: call(445, ruleset, 2, struct.pack("<QQ", rule["access"], rule["port"]), 0)
    call(157 if os.uname().machine == "x86_64" else 167, 38, 1, 0, 0, 0)
    call(446, ruleset, 0)
def connect(family, address):
    with socket.socket(family) as one: one.connect(address)
def bind(port):
    with socket.socket(socket.AF_INET) as one: one.bind(("127.0.0.1", port))
verbs = {
    "read": lambda path: os.read(os.open(path, os.O_RDONLY), 1),
    "list": os.listdir,
    "write": lambda path: os.write(os.open(path, os.O_WRONLY), b"x"),
    "truncate": lambda path: os.truncate(path, 0),
    "make": lambda path: os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)),
    "mkdir": os.mkdir,
    "remove": os.unlink,
    "rename": os.rename,
    "ioctl": lambda path: fcntl.ioctl(os.open(path, os.O_RDONLY), termios.TCGETS, bytes(60)),
    "execute": lambda path: os.execv(path, [path, "exit", "0"]),
    "connect": lambda port: connect(socket.AF_INET, ("127.0.0.1", port)),
    "bind": bind,
    "signal": lambda: os.kill(os.getppid(), 0),
    "abstract": lambda: connect(socket.AF_UNIX, outside.getsockname()),
}
outside = socket.socket(socket.AF_UNIX)
outside.bind(b"")
outside.listen()
results = []
for verb, *rest in given["attempts"]:
    pid = os.fork()
    if pid == 0:
        result = 0
        try:
            try: restrict()
            except OSError as error:
                print(error, file=sys.stderr)
                os._exit(250)
            verbs[verb](*rest)
        except OSError as error: result = error.errno
        os._exit(result)
    _, status = os.waitpid(pid, 0)
    results.append(os.waitstatus_to_exitcode(status))
print(json.dumps(results))
`;

type Attempt = readonly (string | number)[];

async function runPython(argument: string): Promise<string> {
  const { stdout } = await new Command(python, ["-c", tryAttempts, argument]).capture();
  return decode(stdout).trim();
}

/** The kernel's version of the interface; 0 where there is no Landlock. */
const abi = needsLinuxChild || needsPython.skip ? 0 : Number(await runPython("version"));

function needsVersion(version: number): Skip {
  return abi >= version ? {} : { skip: `needs Landlock's version ${version}, here is ${abi}` };
}

const EPERM = 1;
const EACCES = 13;
const EXDEV = 18;
const ENOTTY = 25;

/** Makes the attempts under these rules, and compares their errnos. */
async function attempt(
  rules: LandlockRules,
  expected: readonly (readonly [attempt: Attempt, errno: number])[],
): Promise<void> {
  const data = dataFor(rules, abi);
  const attempts = expected.map(([each]) => each);
  const answer = await runPython(JSON.stringify({ data, file: LANDLOCK_ACCESS_FILE, attempts }));
  const results: readonly number[] = JSON.parse(answer);
  const said = (each: Attempt, errno: number | undefined): string => `${each.join(" ")}: ${errno}`;
  assertEquals(
    attempts.map((each, at) => said(each, results[at])),
    expected.map(([each, errno]) => said(each, errno)),
  );
}

/** Two directories with a file and a program in each. */
class Places extends Directory {
  constructor() {
    super();
    for (const name of ["in", "out"]) {
      mkdirSync(this.join(name));
      this.file(`${name}/file`, "text");
      this.file(`${name}/other`, "text");
      copyFileSync(helper, this.join(name, "program"));
      chmodSync(this.join(name, "program"), 0o755);
    }
  }
}

test(
  "issue 17, 9: the kernel lets read only where it is allowed, and all else be done",
  needsVersion(2),
  async () => {
    using places = new Places();
    const [inside, outside] = [places.join("in"), places.join("out")];
    await attempt({ read: [inside, `${outside}/other`, `${outside}/program`] }, [
      [["read", `${inside}/file`], 0],
      [["list", inside], 0],
      [["read", `${outside}/file`], EACCES],
      [["read", `${outside}/other`], 0],
      [["list", outside], EACCES],
      [["read", "/etc/passwd"], EACCES],
      [["write", `${outside}/file`], 0],
      [["execute", `${outside}/program`], 0],
      [["make", `${outside}/made`], 0],
      // Out of where it may be read it may be moved, but not into it, which would make it readable.
      [["rename", `${inside}/other`, `${outside}/moved`], 0],
      [["rename", `${outside}/moved`, `${inside}/other`], EXDEV],
      [["rename", `${outside}/file`, `${outside}/renamed`], 0],
    ]);
  },
);

test(
  "issue 17, 9: the kernel lets write only where it is allowed, a single file too",
  needsVersion(5),
  async () => {
    using places = new Places();
    const [inside, outside] = [places.join("in"), places.join("out")];
    mkdirSync(`${inside}/deeper`);
    await attempt({ write: [inside, `${outside}/other`] }, [
      [["read", `${outside}/file`], 0],
      [["write", `${outside}/file`], EACCES],
      [["truncate", `${outside}/file`], EACCES],
      [["make", `${outside}/made`], EACCES],
      [["mkdir", `${outside}/made`], EACCES],
      [["remove", `${outside}/file`], EACCES],
      [["remove", `${outside}/other`], EACCES],
      [["write", `${outside}/other`], 0],
      [["truncate", `${outside}/other`], 0],
      [["rename", `${inside}/file`, `${outside}/moved`], EACCES],
      [["rename", `${inside}/file`, `${inside}/deeper/file`], 0],
      [["write", `${inside}/deeper/file`], 0],
      [["truncate", `${inside}/deeper/file`], 0],
      [["make", `${inside}/made`], 0],
      [["mkdir", `${inside}/directory`], 0],
      [["remove", `${inside}/made`], 0],
      [["ioctl", "/dev/null"], EACCES],
    ]);
    await attempt({ write: [inside, "/dev/null"] }, [[["ioctl", "/dev/null"], ENOTTY]]);
  },
);

test("issue 17, 9: the kernel runs only what it is allowed to", needsVersion(2), async () => {
  using places = new Places();
  const [inside, outside] = [places.join("in"), places.join("out")];
  await attempt({ execute: [inside] }, [
    [["execute", `${inside}/program`], 0],
    [["execute", `${outside}/program`], EACCES],
    [["execute", "/bin/true"], EACCES],
    [["read", `${outside}/program`], 0],
  ]);
  // What is run is opened for reading: being allowed to run everything does not allow to read anything.
  await attempt({ execute: ["/"], read: [`${inside}/program`] }, [
    [["execute", `${inside}/program`], 0],
    [["execute", `${outside}/program`], EACCES],
    [["read", `${inside}/file`], EACCES],
  ]);
});

test(
  "issue 17, 9: the kernel lets connect to, and take, only the ports that are allowed",
  needsVersion(4),
  async () => {
    const servers = await Promise.all([0, 1].map(async () => {
      const server = createServer((socket) => socket.destroy());
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }));
    try {
      const [one, other] = servers.map((server) => {
        const address = server.address();
        assert(typeof address === "object" && address !== null);
        return address.port;
      });
      assert(one !== undefined && other !== undefined);
      await attempt({ connectTcp: [one] }, [
        [["connect", one], 0],
        [["connect", other], EACCES],
        [["bind", 0], 0],
      ]);
      await attempt({ bindTcp: [0] }, [
        [["connect", other], 0],
        [["bind", 0], 0],
        [["bind", 4], EACCES],
      ]);
      await attempt({ bindTcp: [] }, [[["bind", 0], EACCES]]);
    } finally {
      for (const server of servers) server.close();
    }
  },
);

test("issue 17, 9: the kernel keeps signals and abstract sockets in", needsVersion(6), async () => {
  await attempt({ scoped: true }, [[["signal"], EPERM], [["abstract"], EPERM]]);
  await attempt({ connectTcp: [] }, [[["signal"], 0], [["abstract"], 0]]);
});
