/** Attributes that no start can have: refused before any clone, and named. */

import { readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { currentRuntime } from "../../ffi/runtime.ts";
import { CLONE_NEWUSER, OSFile, type ProcAttr, startProcess, type SysProcAttr } from "../../mod.ts";
import { childrenOf, helper, spawnFailure } from "../system.ts";

/** The reason for which a start is refused before any clone. */
function refusal(sys: SysProcAttr, attr: ProcAttr = {}): string {
  const before = childrenOf(process.pid);
  const error = spawnFailure(() => startProcess("/nope", ["nope"], { ...attr, sys }));
  assertEquals([error.step, error.code], ["request", "EINVAL"], error.message);
  assertEquals(childrenOf(process.pid), before);
  return error.message.replace("fork/exec /nope: ", "");
}

test("rule 69: attributes that exclude each other are refused, and named", () => {
  const both = "both Setctty and Foreground set in SysProcAttr";
  assertEquals(refusal({ setctty: true, foreground: true, setsid: true }, { files: [0] }), both);
  const uidMappings = [{ containerID: 0, hostID: 0, size: 1 }];
  assertStringIncludes(refusal({ uidMappings }), "uidMappings needs CLONE_NEWUSER");
  assertStringIncludes(refusal({ gidMappings: uidMappings }), "gidMappings needs CLONE_NEWUSER");
  const flags = { cloneflags: CLONE_NEWUSER, unshareflags: CLONE_NEWUSER };
  assertStringIncludes(refusal({ ...flags, uidMappings }), "uidMappings");
});

test("rule 69: a ctty that the child will not have is refused, and named", () => {
  for (const ctty of [1, 3, 1000]) {
    const reason = refusal({ setsid: true, setctty: true, ctty }, { files: [0, null, 2] });
    assertEquals(reason, `Setctty set but Ctty not valid in child: ${ctty}`);
  }
  assertStringIncludes(refusal({ setsid: true, setctty: true }), "Ctty not valid in child: 0");
  for (const ctty of [-1, 0.5, NaN, 2 ** 31]) {
    assertStringIncludes(refusal({ setctty: true, ctty }, { files: [0] }), `ctty ${ctty}`);
    assertStringIncludes(refusal({ foreground: true, ctty }), `ctty ${ctty}`);
  }
});

test("contract: a capability above the kernel's last is refused, and named", () => {
  const last = Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8"));
  for (const capability of [last + 1, 63, 64, -1, 1.5]) {
    assertStringIncludes(
      refusal({ ambientCaps: [0, capability] }),
      `ambientCaps: capability ${capability}`,
    );
  }
});

test("contract: an id map that is empty, overlaps or ends beyond the last id is refused, and named", () => {
  const cloneflags = CLONE_NEWUSER;
  const line = (containerID: number, hostID: number, size: number) => ({
    containerID,
    hostID,
    size,
  });
  for (const field of ["uidMappings", "gidMappings"] as const) {
    const refused = (lines: SysProcAttr["uidMappings"]): string => {
      const reason = refusal({ cloneflags, [field]: lines });
      assertStringIncludes(reason, field);
      return reason;
    };
    assertStringIncludes(refused([]), "empty");
    assertStringIncludes(refused([line(0, 0, 0)]), "size 0");
    assertStringIncludes(refused([line(-1, 0, 1)]), "containerID -1");
    assertStringIncludes(refused([line(0, 2 ** 32, 1)]), `hostID ${2 ** 32}`);
    assertStringIncludes(refused([line(0, 0, 10), line(9, 100, 1)]), "containerID overlap");
    assertStringIncludes(refused([line(5, 105, 1), line(0, 100, 10)]), "containerID overlap");
    assertStringIncludes(refused([line(0, 100, 10), line(20, 109, 2)]), "hostID overlap");
    assertStringIncludes(refused([line(1, 0, 2 ** 32 - 1)]), "beyond the last id");
  }
});

test("contract: clone flags that are no namespace are refused, and named", () => {
  const CLONE_VM = 0x100;
  const CLONE_THREAD = 0x10000;
  for (const flags of [CLONE_VM, CLONE_THREAD, CLONE_NEWUSER | CLONE_VM, -1, 0.5, 2 ** 32]) {
    assertStringIncludes(refusal({ cloneflags: flags }), `cloneflags 0x${flags.toString(16)}`);
    assertStringIncludes(refusal({ unshareflags: flags }), `unshareflags 0x${flags.toString(16)}`);
  }
});

test("contract: numbers out of range are refused, and named", () => {
  const many = Array(65536).fill(1);
  const rows: [sys: SysProcAttr, reason: string][] = [
    [{ credential: { uid: -1, gid: 0 } }, "uid -1"],
    [{ credential: { uid: 0, gid: 0xffffffff } }, "gid 4294967295"],
    [{ credential: { uid: 0, gid: 0, groups: [1, 1.5] } }, "supplementary group 1.5"],
    [{ credential: { uid: 0, gid: 0, groups: many } }, "65536 supplementary groups are too many"],
    [{ setpgid: true, pgid: -5 }, "pgid -5"],
    [{ umask: 0o1000 }, "umask 512"],
    [{ umask: -1 }, "umask -1"],
    [{ nice: 20 }, "nice 20"],
    [{ nice: -21 }, "nice -21"],
    [{ rlimits: { NOFILE: -1 } }, "NOFILE soft limit -1"],
    [{ rlimits: { CPU: { soft: 1, hard: 0.5 } } }, "CPU hard limit 0.5"],
    [{ rlimits: { CPU: { soft: 2, hard: 1 } } }, "CPU: the soft limit 2 is above the hard one 1"],
    [{ rlimits: { DATA: { soft: Infinity, hard: 1 } } }, "DATA: the soft limit Infinity"],
    [{ pdeathsig: 0 }, "pdeathsig 0"],
    [{ chroot: "/a\0b" }, "chroot contains a NUL"],
  ];
  for (const [sys, reason] of rows) assertStringIncludes(refusal(sys), reason);
});

test("contract: a closed cgroupFD is refused, and named", () => {
  const file = OSFile.open("/dev/null");
  file.close();
  assertEquals(refusal({ cgroupFD: file }), "cgroupFD is closed");
});

test("contract: a limit that this system does not have is refused, and named", () => {
  const rlimits: Record<string, number> = JSON.parse(`{ "SBSIZE": 1 }`);
  assertEquals(refusal({ rlimits }), "rlimits: there is no SBSIZE here");
});

test("contract: a value of the wrong type is a TypeError", () => {
  const texts = [
    `{ "chroot": 5 }`,
    `{ "credential": { "uid": "root", "gid": 0 } }`,
    `{ "credential": { "uid": 0 } }`,
    `{ "credential": { "uid": 0, "gid": 0, "groups": ["wheel"] } }`,
    `{ "setpgid": true, "pgid": "1" }`,
    `{ "foreground": true, "ctty": "0" }`,
    `{ "pdeathsig": "KILL" }`,
    `{ "pdeathsig": {} }`,
    `{ "cloneflags": "0x100" }`,
    `{ "unshareflags": null }`,
    `{ "cloneflags": 268435456, "uidMappings": [{ "containerID": 0, "hostID": 0 }] }`,
    `{ "cloneflags": 268435456, "uidMappings": {} }`,
    `{ "ambientCaps": ["NET_RAW"] }`,
    `{ "cgroupFD": "0" }`,
    `{ "umask": "022" }`,
    `{ "nice": "1" }`,
    `{ "rlimits": { "CPU": "1" } }`,
    `{ "rlimits": { "CPU": { "soft": 1 } } }`,
  ];
  for (const text of texts) {
    const sys: SysProcAttr = JSON.parse(text);
    assertThrows(() => startProcess(helper, ["helper"], { sys }), TypeError, "", text);
  }
});

test("contract: a Linux-only field is refused on another system, and named", () => {
  const runtime = currentRuntime();
  const { platform } = runtime;
  const maps = [{ containerID: 0, hostID: 0, size: 1 }];
  const fields: SysProcAttr[] = [
    { pdeathsig: "SIGTERM" },
    { cloneflags: CLONE_NEWUSER },
    { unshareflags: CLONE_NEWUSER },
    { uidMappings: maps },
    { gidMappings: maps },
    { gidMappingsEnableSetgroups: true },
    { ambientCaps: [1] },
    { cgroupFD: 0 },
    { noNewPrivs: true },
  ];
  Object.defineProperty(runtime, "platform", { value: "darwin" });
  try {
    for (const sys of fields) {
      assertEquals(refusal(sys), `${Object.keys(sys)} is for Linux only`);
    }
  } finally {
    Object.defineProperty(runtime, "platform", { value: platform });
  }
});
