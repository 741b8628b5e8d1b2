import { mkdirSync, readFileSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { Rung } from "../../ffi/abi.ts";
import { forceRungs } from "../../ffi/request.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  startProcess,
  type SysProcAttr,
  type SysProcIDMap,
} from "../../mod.ts";
import {
  childStat,
  childStatus,
  drive,
  helper,
  helperFolder,
  inNamespace,
  needsRoot,
  needsUser,
  needsUserNamespaces,
  ownMaps,
  run,
  runLines,
  runProgram,
  self,
  spawnFailure,
  startPiped,
  statusFields,
  temporaryFolder,
} from "../system.ts";
import { needsCall, needsLinuxChild } from "../refused.ts";

/** The namespaces by the names of their links, with the flag of each. */
const namespaces: readonly (readonly [link: string, flag: number])[] = [
  ["cgroup", CLONE_NEWCGROUP],
  ["ipc", CLONE_NEWIPC],
  ["mnt", CLONE_NEWNS],
  ["net", CLONE_NEWNET],
  ["pid", CLONE_NEWPID],
  ["time", CLONE_NEWTIME],
  ["user", CLONE_NEWUSER],
  ["uts", CLONE_NEWUTS],
];

const links = namespaces.map(([link]) => `/proc/self/ns/${link}`);

/** The namespaces in which a child is not with its parent. */
function newNamespaces(sys: SysProcAttr): string[] {
  const inside = runLines(["link", ...links], { sys });
  const own = links.map((link) => readlinkSync(link));
  return namespaces.map(([link]) => link).filter((_, index) => inside[index] !== own[index]);
}

/** What an ordinary user needs a user namespace for. */
const userToo = self.uid === 0 ? [] : ["user"];

function failure(sys: SysProcAttr): [step: string, argument: unknown, code: string] {
  const error = spawnFailure(() => startProcess(helper, ["helper", "exit", "0"], { sys }));
  return [error.step, error.argument, error.code];
}

/** The numbers of /proc/PID/uid_map. */
function mapLines(text: string): number[][] {
  return text.trimEnd().split("\n").map((line) => line.trim().split(/ +/).map(Number));
}

test("section 1.4, Cloneflags: the child is born in each new namespace, and in no other", {
  skip: needsUserNamespaces || needsCall("clone3"),
}, () => {
  assertEquals(newNamespaces({}), []);
  for (const [link, flag] of namespaces) {
    const expected = [...new Set([link, ...userToo])].sort();
    assertEquals(newNamespaces(inNamespace(flag)), expected, link);
  }
});

test("section 1.4, Cloneflags: all namespaces at once", {
  skip: needsUserNamespaces || needsCall("clone3"),
}, () => {
  const all = namespaces.reduce((bits, [, flag]) => bits | flag, 0);
  const sys = { cloneflags: all, ...ownMaps() };
  assertEquals(newNamespaces(sys), namespaces.map(([link]) => link));
});

test("section 1.4, Unshareflags: the child makes each new namespace, and no other", {
  skip: needsUserNamespaces,
}, () => {
  for (const [link, flag] of namespaces) {
    // The maker of a pid namespace stays outside.
    if (flag === CLONE_NEWPID) continue;
    const sys: SysProcAttr = self.uid === 0
      ? { unshareflags: flag }
      : { unshareflags: flag | CLONE_NEWUSER, ...ownMaps() };
    assertEquals(newNamespaces(sys), [...new Set([link, ...userToo])].sort(), link);
  }
});

test("section 1.4, Unshareflags: a pid namespace is for the child's children", {
  skip: needsUserNamespaces,
}, () => {
  // One command alone: when the first process of a pid namespace ends, no other can be started in it.
  const command = ["sh", "-c", "readlink /proc/self/ns/pid /proc/$$/ns/pid; :"];
  const sys = self.uid === 0
    ? { unshareflags: CLONE_NEWPID }
    : { unshareflags: CLONE_NEWPID | CLONE_NEWUSER, ...ownMaps() };
  const text = runProgram("/bin/sh", command, { sys });
  const [grandchild, made] = text.split("\n");
  assertEquals(made, readlinkSync("/proc/self/ns/pid"));
  assert(grandchild !== made && grandchild?.startsWith("pid:["), text);
});

test(
  "rule 127: in a new pid namespace the child is number 1",
  { skip: needsUserNamespaces },
  () => {
    const fields = childStatus(inNamespace(CLONE_NEWPID));
    assertEquals(fields.get("NSpid")?.split(" ")[1], "1");
  },
);

test("rule 127: the init of a pid namespace is spared by SIGTERM, and ended by SIGKILL", {
  skip: needsUserNamespaces,
}, () => {
  const argv = ["helper", "hang"];
  const { child, stdout } = startPiped(helper, argv, { sys: inNamespace(CLONE_NEWPID) });
  child.signal("SIGTERM");
  child.kill();
  assertEquals(child.waitSync().toString(), "signal: killed");
  stdout.close();
});

test("rule 127: the new pid namespace and pdeathsig go together", {
  skip: needsUserNamespaces,
}, () => {
  assertEquals(run(["death"], { sys: { ...inNamespace(CLONE_NEWPID), pdeathsig: 15 } }), "15\n");
});

test("rule 92: without clone3 a time namespace cannot be had, by cloneflags", {
  skip: needsUserNamespaces,
}, () => {
  forceRungs(Rung.clone3);
  try {
    assertEquals(failure(inNamespace(CLONE_NEWTIME)), ["clone", undefined, "ENOSYS"]);
    const link = ["link", "/proc/self/ns/uts"];
    assert(
      runLines(link, { sys: inNamespace(CLONE_NEWUTS) })[0] !== readlinkSync("/proc/self/ns/uts"),
    );
  } finally {
    forceRungs(0);
  }
});

test("section 1.4, Cloneflags: an ordinary user needs a user namespace for the others", {
  skip: needsUser || needsLinuxChild,
}, () => {
  assertEquals(failure({ cloneflags: CLONE_NEWNET }), ["clone", undefined, "EPERM"]);
  assertEquals(failure({ unshareflags: CLONE_NEWNET }), ["unshare", "CLONE_NEWNET", "EPERM"]);
});

// ---------------------------------------------------------------- mounts

/**
 * Where the mounts of the parent are shared with namespaces that are made from its own, whether one that the
 * child makes shows up in the child, and whether it does in the parent.
 */
function propagation(sys: SysProcAttr): [inside: boolean, outside: boolean] {
  using folder = temporaryFolder();
  const target = `${folder.path}/mounted`;
  mkdirSync(target);
  const own = inNamespace(CLONE_NEWNS);
  const [inside, after] = drive([
    { argv: ["mount", target], sys },
    { argv: ["file", "/proc/self/mountinfo"] },
  ], { under: [helper, "share"], attr: { sys: own } });
  assertEquals([inside?.failure, after?.failure], [null, null]);
  return [inside?.output.includes(target) ?? false, after?.output.includes(target) ?? false];
}

test("section 1.4, Unshareflags: with CLONE_NEWNS the child's mounts are its own", {
  skip: needsUserNamespaces,
}, () => {
  assertEquals(propagation({ unshareflags: CLONE_NEWNS }), [true, false]);
  // As in Go, a namespace that the child is born into is left as it is: this is how it would be otherwise.
  assertEquals(propagation({ cloneflags: CLONE_NEWNS }), [true, true]);
});

// ---------------------------------------------------------------- user namespaces

test("rule 101: the parent writes the maps of a user namespace that the child is born into", {
  skip: needsUserNamespaces,
}, () => {
  for (const rungs of [0, Rung.clone3, Rung.memory]) {
    forceRungs(rungs);
    try {
      const sys = { cloneflags: CLONE_NEWUSER, ...ownMaps(7) };
      const text = run(["file", "/proc/self/uid_map", "/proc/self/gid_map"], { sys });
      assertEquals(mapLines(text), [[7, self.uid, 1], [7, self.gid, 1]]);
      assertEquals(run(["file", "/proc/self/setgroups"], { sys }), "deny\n");
      assertEquals(childStatus(sys).get("Uid"), "7 7 7 7");
    } finally {
      forceRungs(0);
    }
  }
});

test("rule 102: the child writes the maps of a user namespace that it makes", {
  skip: needsUserNamespaces,
}, () => {
  const sys = { unshareflags: CLONE_NEWUSER, ...ownMaps(8) };
  const text = run(["file", "/proc/self/uid_map", "/proc/self/gid_map"], { sys });
  assertEquals(mapLines(text), [[8, self.uid, 1], [8, self.gid, 1]]);
  assertEquals(run(["file", "/proc/self/setgroups"], { sys }), "deny\n");
  assertEquals(childStatus(sys).get("Uid"), "8 8 8 8");
});

test("rule 103: without maps the child is nobody", { skip: needsUserNamespaces }, () => {
  for (const sys of [{ cloneflags: CLONE_NEWUSER }, { unshareflags: CLONE_NEWUSER }]) {
    const overflow = readFileSync("/proc/sys/kernel/overflowuid", "utf8").trim();
    assertEquals(childStatus(sys).get("Uid"), Array(4).fill(overflow).join(" "));
    assertEquals(run(["file", "/proc/self/uid_map"], { sys }), "");
  }
});

test("section 1.4, UidMappings: each line is there, as far as root may write it", {
  skip: needsRoot || needsUserNamespaces,
}, () => {
  const lines: SysProcIDMap[] = [
    { containerID: 0, hostID: 100_000, size: 65_536 },
    { containerID: 70_000, hostID: 0, size: 10 },
    { containerID: 0xfffffffe, hostID: 5_000_000, size: 1 },
  ];
  const expected = [[0, 100_000, 65_536], [70_000, 0, 10], [0xfffffffe, 5_000_000, 1]];
  const sys = { cloneflags: CLONE_NEWUSER, uidMappings: lines, gidMappings: lines };
  const text = run(["file", "/proc/self/uid_map", "/proc/self/gid_map"], { sys });
  assertEquals(mapLines(text), [...expected, ...expected]);
});

test(
  "section 1.4, GidMappingsEnableSetgroups: the policy is deny, or allow where root asks for it",
  {
    skip: needsRoot || needsUserNamespaces,
  },
  () => {
    const read = (sys: SysProcAttr): string =>
      run(["file", "/proc/self/setgroups"], { sys }).trim();
    const born = { cloneflags: CLONE_NEWUSER, ...ownMaps() };
    assertEquals(read(born), "deny");
    assertEquals(read({ ...born, gidMappingsEnableSetgroups: false }), "deny");
    assertEquals(read({ ...born, gidMappingsEnableSetgroups: true }), "allow");
  },
);

test("section 1.4, GidMappingsEnableSetgroups: without gidMappings it does nothing", {
  skip: needsUserNamespaces,
}, () => {
  const { uidMappings = [] } = ownMaps();
  const sys: SysProcAttr = {
    cloneflags: CLONE_NEWUSER,
    uidMappings,
    gidMappingsEnableSetgroups: false,
  };
  assertEquals(run(["file", "/proc/self/setgroups"], { sys }), "allow\n");
});

test("section 1.4, GidMappingsEnableSetgroups: where allowed, a credential's groups are set", {
  skip: needsRoot || needsUserNamespaces,
}, () => {
  // The checkout may lie where another user cannot go.
  using folder = helperFolder();
  const sys = {
    cloneflags: CLONE_NEWUSER,
    uidMappings: [{ containerID: 0, hostID: 0, size: 100 }],
    gidMappings: [{ containerID: 0, hostID: 0, size: 100 }],
    gidMappingsEnableSetgroups: true,
    credential: { uid: 3, gid: 4, groups: [5, 6] },
  };
  const argv = ["helper", "file", "/proc/self/status"];
  const fields = statusFields(runProgram(folder.helper, argv, { sys }));
  assertEquals([fields.get("Uid"), fields.get("Gid")], ["3 3 3 3", "4 4 4 4"]);
  assertEquals(fields.get("Groups"), "5 6");
});

test(
  "rule 104: an ordinary user cannot allow setgroups",
  { skip: needsUser || needsLinuxChild },
  () => {
    const sys = { cloneflags: CLONE_NEWUSER, ...ownMaps(), gidMappingsEnableSetgroups: true };
    assertEquals(failure(sys), ["gid_map", `0 ${self.gid} 1`, "EPERM"]);
  },
);

test("rule 104: nor can anybody in a user namespace that the child makes", {
  skip: needsUserNamespaces,
}, () => {
  const sys = { unshareflags: CLONE_NEWUSER, ...ownMaps(), gidMappingsEnableSetgroups: true };
  assertEquals(failure(sys), ["gid_map", `0 ${self.gid} 1`, "EPERM"]);
});

test("rule 101: an ordinary user cannot map others, in the map that is named", {
  skip: needsUser || needsLinuxChild,
}, () => {
  const { uidMappings = [], gidMappings = [] } = ownMaps();
  const others = [{ containerID: 0, hostID: 0, size: 1 }];
  for (const flags of ["cloneflags", "unshareflags"] as const) {
    const uids = failure({ [flags]: CLONE_NEWUSER, gidMappings, uidMappings: others });
    assertEquals(uids, ["uid_map", "0 0 1", "EPERM"]);
    const gids = failure({ [flags]: CLONE_NEWUSER, uidMappings, gidMappings: others });
    assertEquals(gids, ["gid_map", "0 0 1", "EPERM"]);
  }
});

test("rule 101: a map of more lines than the kernel takes fails, in the map that is named", {
  skip: needsUserNamespaces,
}, () => {
  // UID_GID_MAP_MAX_EXTENTS is 340.
  const lines = Array.from({ length: 341 }, (_, id) => ({ containerID: id, hostID: id, size: 1 }));
  const { uidMappings = [], gidMappings = [] } = ownMaps();
  for (const flags of ["cloneflags", "unshareflags"] as const) {
    const [uids, , uidCode] = failure({ [flags]: CLONE_NEWUSER, gidMappings, uidMappings: lines });
    assertEquals([uids, uidCode], ["uid_map", "EINVAL"]);
    const [gids, , gidCode] = failure({ [flags]: CLONE_NEWUSER, uidMappings, gidMappings: lines });
    assertEquals([gids, gidCode], ["gid_map", "EINVAL"]);
  }
});

test(
  "rule 96: a session of its own in every namespace of its own",
  { skip: needsUserNamespaces },
  () => {
    const stat = childStat({ ...inNamespace(CLONE_NEWPID | CLONE_NEWNS), setsid: true });
    assertEquals([stat.session, stat.group], [stat.pid, stat.pid]);
  },
);

test("contract: the parent stays in its own namespaces", {
  skip: needsUserNamespaces || needsCall("clone3"),
}, () => {
  const read = (): string[] => links.map((link) => readlinkSync(link));
  const before = read();
  const all = namespaces.reduce((bits, [, flag]) => bits | flag, 0);
  run(["exit", "0"], { sys: { unshareflags: all & ~CLONE_NEWPID, ...ownMaps() } });
  run(["exit", "0"], { sys: { cloneflags: all, ...ownMaps() } });
  assertEquals(read(), before);
});
