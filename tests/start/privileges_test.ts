import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Cap, CLONE_NEWNS, CLONE_NEWUSER, Command, type SysProcAttr } from "../../mod.ts";
import { wrong } from "../helper.ts";
import {
  childStatus,
  needsRoot,
  needsUser,
  needsUserNamespaces,
  ownMaps,
  run,
  runLines,
  self,
  spawnFailure,
  temporaryFolder,
} from "../system.ts";
import { needsLinuxChild } from "../refused.ts";

const isRoot = self.uid === 0;

/** A user namespace in which the child is root. */
const inside: SysProcAttr = { cloneflags: CLONE_NEWUSER, ...ownMaps() };

/** What makes the child capable: root is. */
const capable: SysProcAttr = isRoot ? {} : inside;

/** The reason to skip a test that needs a capable child, or false. */
const needsCapable: string | false = needsLinuxChild || (isRoot ? false : needsUserNamespaces);

const { CHOWN = 0, KILL = 5, NET_RAW = 13 } = Cap;

/** The sets of a child, by their names in /proc/PID/status without "Cap". */
function sets(sys: SysProcAttr, ...names: readonly string[]): bigint[] {
  const status = childStatus({ ...capable, ...sys });
  return names.map((name) => BigInt(`0x${status.get(`Cap${name}`)}`));
}

function bit(...capabilities: readonly number[]): bigint {
  return capabilities.reduce((all, each) => all | 1n << BigInt(each), 0n);
}

// ---------------------------------------------------------------- sets

test("issue 17, 8: what is not in bounding no program of the child's has, root's neither", {
  skip: needsCapable,
}, () => {
  const had = sets({}, "Bnd")[0] ?? 0n;
  const kept = [CHOWN, KILL, NET_RAW];
  const expected = bit(...kept) & had;
  const now = sets({ capabilities: { bounding: kept } }, "Bnd", "Prm", "Eff");
  assertEquals(now, [expected, expected, expected]);
  assertEquals(sets({ capabilities: { bounding: [] } }, "Bnd", "Prm", "Eff"), [0n, 0n, 0n]);
});

test("issue 17, 8: to keep all that there is takes no right", { skip: needsLinuxChild }, () => {
  const bounding = Object.values(Cap);
  const had = childStatus({}).get("CapBnd");
  assertEquals(childStatus({ capabilities: { bounding } }).get("CapBnd"), had);
});

test("issue 17, 8: bounding fails by its step for who has not CAP_SETPCAP", {
  skip: needsUser || needsLinuxChild,
}, () => {
  const { step, code, argument } = spawnFailure(() =>
    run([], { sys: { capabilities: { bounding: [CHOWN, KILL] } } })
  );
  assertEquals([step, code, argument], ["bounding_set", "EPERM", "[0 5]"]);
});

test("issue 17, 8: the inheritable set is the program's", { skip: needsCapable }, () => {
  const inheritable = [CHOWN, KILL];
  assertEquals(sets({ capabilities: { inheritable } }, "Inh"), [bit(...inheritable)]);
  assertEquals(sets({ capabilities: { inheritable: [] } }, "Inh"), [0n]);
  // Root's program has it though it is not in bounding any more.
  const both = sets({ capabilities: { inheritable, bounding: inheritable } }, "Inh", "Prm");
  assertEquals(both, [bit(...inheritable), bit(...inheritable)]);
});

test("issue 17, 8: the child's last steps go by its effective and permitted sets", {
  skip: needsCapable,
}, () => {
  using folder = temporaryFolder();
  const dir = `${folder.path}/closed`;
  mkdirSync(dir);
  chmodSync(dir, 0);
  const enter = (capabilities?: SysProcAttr["capabilities"]): string =>
    run(["cwd"], { dir, sys: { ...capable, capabilities } });
  assertEquals(enter(), `${dir}\n`);
  const { DAC_READ_SEARCH = 2 } = Cap;
  assertEquals(enter({ permitted: [DAC_READ_SEARCH], effective: [DAC_READ_SEARCH] }), `${dir}\n`);
  for (const capabilities of [{ effective: [] }, { permitted: [] }, { permitted: [CHOWN] }]) {
    const { step, code } = spawnFailure(() => enter(capabilities));
    assertEquals([step, code], ["chdir", "EACCES"]);
  }
  // Root's program has them again: only the bounding set takes them away for good.
  const [after = 0n] = sets({ capabilities: { permitted: [], effective: [] } }, "Prm");
  assert(after !== 0n);
  // Or the folder could not be removed.
  chmodSync(dir, 0o755);
});

test("issue 17, 8: a set with what the child has not fails by its step", {
  skip: needsUser || needsLinuxChild,
}, () => {
  const capabilities = { permitted: [KILL], effective: [] };
  const { step, code, argument } = spawnFailure(() => run([], { sys: { capabilities } }));
  assertEquals([step, code, argument], ["capabilities", "EPERM", "permitted [5] effective []"]);
});

test("issue 17, 8: another user has the ambient set alone, whatever is permitted", {
  skip: needsRoot || needsLinuxChild,
}, () => {
  const sys: SysProcAttr = {
    credential: { uid: 12345, gid: 12345 },
    ambientCaps: [KILL],
    capabilities: { bounding: [CHOWN, KILL], permitted: [CHOWN, KILL], inheritable: [KILL] },
  };
  const now = sets(sys, "Prm", "Eff", "Inh", "Amb", "Bnd");
  const one = bit(KILL);
  assertEquals(now, [one, one, one, one, bit(CHOWN, KILL)]);
});

test("issue 17, 8: an ambient capability that bounding has not is named", {
  skip: needsCapable,
}, () => {
  const sys: SysProcAttr = {
    ...capable,
    ambientCaps: [KILL],
    capabilities: { bounding: [CHOWN], inheritable: [KILL] },
  };
  const failure = spawnFailure(() => run([], { sys }));
  assertEquals([failure.step, failure.code, failure.argument], ["capabilities", "EPERM", "[5]"]);
  assertEquals(failure.hint, "5 is not in capabilities.bounding");
});

// ---------------------------------------------------------------- securebits

const PR_GET_SECUREBITS = "27";
const NOROOT = 1;
const NO_CAP_AMBIENT_RAISE = 0x40;

test("issue 17, 8: with NOROOT root is an ordinary user", { skip: needsCapable }, () => {
  const sys: SysProcAttr = { ...capable, capabilities: { securebits: NOROOT | NOROOT << 1 } };
  assertEquals(run(["call", "prctl", PR_GET_SECUREBITS], { sys }), "3\n");
  assertEquals(sets(sys, "Prm", "Eff"), [0n, 0n]);
});

test("issue 17, 8: securebits are set after the credentials and the ambient set", {
  skip: needsRoot || needsLinuxChild,
}, () => {
  const sys: SysProcAttr = {
    credential: { uid: 12345, gid: 12345 },
    ambientCaps: [KILL],
    // With CAP_SETPCAP, which is not permitted any more in the end.
    capabilities: { permitted: [KILL], securebits: NO_CAP_AMBIENT_RAISE },
  };
  assertEquals(run(["call", "prctl", PR_GET_SECUREBITS], { sys }), `${NO_CAP_AMBIENT_RAISE}\n`);
  assertEquals(sets(sys, "Amb", "Eff"), [bit(KILL), bit(KILL)]);
});

test("issue 17, 8: securebits as they are take no right, others CAP_SETPCAP", {
  skip: needsUser || needsLinuxChild,
}, () => {
  const start = (securebits: number): string =>
    run(["call", "prctl", PR_GET_SECUREBITS], { sys: { capabilities: { securebits } } });
  const now = Number(run(["call", "prctl", PR_GET_SECUREBITS]));
  assertEquals(start(now), `${now}\n`);
  const { step, code, argument } = spawnFailure(() => start(now ^ NO_CAP_AMBIENT_RAISE));
  assertEquals([step, code], ["securebits", "EPERM"]);
  assertEquals(argument, `0x${(now ^ NO_CAP_AMBIENT_RAISE).toString(16)}`);
});

// ---------------------------------------------------------------- keys

const keyring = ["call", "keyctl", "0", "-3", "0"];

/** The reason to skip a test of keyrings, or false: a kernel may have none, and a container may forbid them. */
const needsKeys: string | false = needsLinuxChild || (() => {
  const answer = Number(run(keyring));
  return answer === -38 || answer === -1 ? "needs keyctl" : false;
})();

test(
  "issue 17, 8: newKeyring gives the child a session keyring of its own, which belongs to its user",
  {
    skip: needsKeys,
  },
  () => {
    const before = run(keyring);
    const sys: SysProcAttr = { newKeyring: true };
    const first = Number(run(keyring, { sys }));
    assert(first > 0 && `${first}\n` !== before);
    assert(Number(run(keyring, { sys })) !== first);
    assertEquals(run(keyring), before);
    if (!isRoot) return;
    const KEYCTL_DESCRIBE = "6";
    const argv = ["call", "keyctl", KEYCTL_DESCRIBE, "-3", `#${"00".repeat(100)}`, "100"];
    const [, hex = ""] = runLines(argv, {
      sys: { newKeyring: true, credential: { uid: 12345, gid: 23456 } },
    });
    const bytes = Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
    const described = new TextDecoder().decode(bytes).split(";");
    assertEquals(described.slice(0, 3), ["keyring", "12345", "23456"]);
  },
);

// ---------------------------------------------------------------- root in a user namespace

/** Of the kernel: [name, error]. */
const EPERM = -1;
const EACCES = -13;
const EINVAL = -22;
const ENOSYS = -38;

/** A file system on a block device that this kernel has. */
const blockSystem: string | undefined = process.platform === "linux"
  ? readFileSync("/proc/filesystems", "utf8").split("\n").find((line) =>
    /^\t(?!fuseblk)/.test(line)
  )
    ?.trim()
  : undefined;

/** What root does and root in a user namespace may not, with the kernel's answers. Nothing of it does harm to who may. */
const attempts: readonly (readonly [
  what: string,
  argv: readonly string[],
  answers: readonly number[],
])[] = [
  ...blockSystem === undefined ? [] : [
    [
      "mounts a file system of a block device",
      ["mount", ":/dev/null", ":/mnt", `:${blockSystem}`, "0", "0"],
      [EPERM],
    ] as const,
  ],
  ["gives a file to an id that is not mapped", ["fchownat", "-100", ":.", "1", "-1", "0"], [
    EINVAL,
  ]],
  ["raises a hard limit", ["prlimit64", "0", "8", `#${"ff".repeat(16)}`, "0"], [EPERM]],
  ["loads a module", ["init_module", "#00", "1", ":"], [EPERM, ENOSYS]],
  ["sets the clock", ["settimeofday", "0", "0"], [EPERM]],
  ["raises the nice value of others", ["setpriority", "0", `${process.pid}`, "-20"], [
    EACCES,
    EPERM,
  ]],
  ["gets a real-time priority", ["sched_setscheduler", "0", "1", "#01000000"], [EPERM]],
  ["turns off the keyboard's reboot", ["reboot", "0xfee1dead", "672274793", "0", "0"], [
    EPERM,
    EINVAL,
  ]],
  ["names the host", ["sethostname", `:${hostname()}`, `${hostname().length}`], [EPERM]],
  ["ends the accounting of processes", ["acct", "0"], [EPERM, ENOSYS]],
  ["makes a device", ["mknodat", "-100", ":osexec-device", "0o020600", "0x103"], [EPERM]],
  ["reads the kernel's log", ["syslog", "3", "#00", "1"], [EPERM]],
  ["is ended later than before", ["kcmp", `${process.pid}`, "1", "0", "0", "0"], [EPERM, ENOSYS]],
];

test("issue 17, 8: root in a user namespace is not root", { skip: needsUserNamespaces }, () => {
  using folder = temporaryFolder();
  const sys: SysProcAttr = {
    ...inside,
    cloneflags: CLONE_NEWUSER | CLONE_NEWNS,
    rlimits: { MEMLOCK: 4096 },
  };
  const status = childStatus(sys);
  // It has every capability, and over nothing that is not its namespace's.
  assertEquals(status.get("Uid"), "0 0 0 0");
  assertEquals(status.get("CapEff"), status.get("CapBnd"));
  assert(BigInt(`0x${status.get("CapEff")}`) >= bit(...Object.values(Cap)));
  for (const [what, argv, answers] of attempts) {
    const [answer] = runLines(["call", ...argv], { sys, dir: folder.path });
    assert(answers.includes(Number(answer)), `it ${what}: ${answer}`);
  }
  // And what it may do is seen by nobody else.
  assertEquals(run(["call", "mount", ":none", ":/mnt", ":tmpfs", "0", "0"], { sys }), "0\n");
  assert(!readFileSync("/proc/self/mountinfo", "utf8").includes(" /mnt rw"));
});

// ---------------------------------------------------------------- the plan

test("issue 17, 8: explain() has each of them, in the order in which they run", {
  skip: process.platform !== "linux",
}, () => {
  const sysProcAttr: SysProcAttr = {
    capabilities: {
      bounding: [1, 2, 40],
      permitted: [1, 2],
      effective: [],
      inheritable: [1],
      securebits: 0x2f,
    },
    credential: { uid: 1, gid: 2 },
    ambientCaps: [1],
    newKeyring: true,
    pdeathsig: "SIGKILL",
    dumpable: false,
  };
  const command = new Command("/bin/ls", [], { dir: "/d", sysProcAttr });
  assertEquals(command.explain().split("\n").slice(2, 14), [
    "bounding_set [1 2 40]",
    "capabilities keep",
    "setgroups []",
    "setgid 2",
    "setuid 1",
    "capabilities [1]",
    "securebits 0x2f",
    "capabilities permitted [1 2] effective [] inheritable [1]",
    "keyring",
    "pdeathsig SIGKILL",
    "dumpable false",
    "chdir /d",
  ]);
  // What asks for nothing is not there.
  const nothing = { capabilities: {}, newKeyring: false };
  const plain = new Command("/bin/ls", [], { sysProcAttr: nothing }).explain();
  assertEquals(plain, new Command("/bin/ls").explain());
});

/** What is asked for, and the words of the refusal. */
const refused: readonly (readonly [sys: SysProcAttr, detail: string])[] = [
  [{ capabilities: { bounding: [64] } }, "capabilities.bounding: capability 64 is not an integer"],
  [{ capabilities: { permitted: [-1] } }, "capabilities.permitted: capability -1 is not"],
  [{ capabilities: { effective: [0.5] } }, "capabilities.effective: capability 0.5 is not"],
  [{ capabilities: { inheritable: [63] } }, "capabilities.inheritable: capability 63 is not"],
  [
    { capabilities: { securebits: 0x1000 } },
    "capabilities.securebits 4096 is not an integer from 0 to 4095",
  ],
  [
    { dumpable: true, credential: { uid: 1, gid: 1 } },
    "dumpable: true with a credential would show that user this process's memory",
  ],
  [
    { ambientCaps: [1, 2], capabilities: { permitted: [1] } },
    "ambientCaps: 2 is not in capabilities.permitted",
  ],
  [
    { ambientCaps: [1, 2], capabilities: { inheritable: [2] } },
    "ambientCaps: 1 is not in capabilities.inheritable",
  ],
];

for (const [sysProcAttr, detail] of refused) {
  test(`issue 17, 8: refused, as ${detail}`, { skip: process.platform !== "linux" }, () => {
    const failure = spawnFailure(() => new Command("/bin/ls", [], { sysProcAttr }).explain());
    assertEquals(failure.step, "request");
    assert(failure.message.includes(detail), failure.message);
  });
}

test("issue 17, 8: values of another type are a TypeError that names them", {
  skip: process.platform !== "linux",
}, () => {
  const cases: readonly (readonly [sys: unknown, message: string])[] = [
    [{ capabilities: [1] }, "capabilities is not an object with fields"],
    [{ capabilities: { bounding: 1 } }, "capabilities.bounding is not a list"],
    [
      { capabilities: { permitted: ["KILL"] } },
      "capabilities.permitted: capability is not a number",
    ],
    [{ capabilities: { securebits: "0" } }, "capabilities.securebits is not a number"],
    [{ newKeyring: "no" }, "sys.newKeyring is not a boolean"],
    [{ dumpable: 0 }, "sys.dumpable is not a boolean"],
  ];
  for (const [sys, message] of cases) {
    const start = (): unknown =>
      new Command("/bin/ls", [], { sysProcAttr: wrong<SysProcAttr>(sys) }).explain();
    assertThrows(start, TypeError, message);
  }
  const unknown = wrong<SysProcAttr>({ capabilities: { ambient: [1] } });
  const { message } = spawnFailure(() =>
    new Command("/bin/ls", [], { sysProcAttr: unknown }).explain()
  );
  assert(message.includes("capabilities has no field ambient"), message);
});
