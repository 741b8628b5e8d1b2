import { readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { STEPS } from "../../ffi/abi.ts";
import {
  CLONE_NEWNS,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  Command,
  type CommandOptions,
  ExecError,
  OSFile,
  SpawnError,
  type SysProcAttr,
} from "../../mod.ts";
import { changesSince, helper, parentState, run, spawnFailure } from "../system.ts";

function explain(options: CommandOptions, path = "/bin/ls"): string[] {
  return new Command(path, [], options).explain().split("\n");
}

const standard = ["fd /dev/null -> 0", "fd /dev/null -> 1", "fd /dev/null -> 2"];

test("contract: explain() of a plain command", () => {
  assertEquals(explain({}), [
    "clone",
    "sigaction",
    ...standard,
    "close_range from 3",
    "sigprocmask",
    "exec /bin/ls",
  ]);
});

test("contract: explain() has every step in the order in which it runs, with its argument", () => {
  const sysProcAttr: SysProcAttr = {
    cloneflags: CLONE_NEWUSER | CLONE_NEWNS,
    uidMappings: [
      { containerID: 0, hostID: 1000, size: 1 },
      { containerID: 5, hostID: 2000, size: 10 },
    ],
    gidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
    cgroupFD: 9,
    unshareflags: CLONE_NEWUTS,
    setsid: true,
    foreground: true,
    ctty: 3,
    pgid: 7,
    chroot: "/r",
    nice: -4,
    rlimits: { CPU: 5, NOFILE: { soft: 1, hard: Infinity }, CORE: Infinity },
    umask: 0o22,
    ambientCaps: [1, 40],
    credential: { uid: 5, gid: 6, groups: [7, 8] },
    pdeathsig: 15,
    noNewPrivs: true,
    noctty: true,
    ptrace: true,
  };
  assertEquals(explain({ dir: "/d", extraFiles: [5, null], sysProcAttr }), [
    "clone CLONE_NEWNS|CLONE_NEWUSER",
    "sigaction",
    "cgroup 9",
    "nice -4",
    "rlimit CPU 5:5",
    "rlimit CORE unlimited:unlimited",
    "uid_map 0 1000 1, 5 2000 10",
    "setgroups_policy deny",
    "gid_map 0 1000 1",
    "unshare CLONE_NEWUTS",
    "setsid",
    "setpgid 7",
    "foreground 3",
    "chroot /r",
    "umask 022",
    "capabilities keep",
    "setgroups [7 8]",
    "setgid 6",
    "setuid 5",
    "capabilities [1 40]",
    "pdeathsig SIGTERM",
    "chdir /d",
    "no_new_privs",
    ...standard,
    "fd 5 -> 3",
    "fd close 4",
    "close_range from 5",
    "noctty",
    "rlimit NOFILE 1:unlimited",
    "ptrace",
    "sigprocmask",
    "exec /bin/ls",
  ]);
});

test("contract: explain() of a user namespace that the child makes, with a terminal", () => {
  const maps = [{ containerID: 0, hostID: 1000, size: 1 }];
  const sysProcAttr: SysProcAttr = {
    unshareflags: CLONE_NEWUSER | CLONE_NEWNS,
    uidMappings: maps,
    gidMappings: maps,
    gidMappingsEnableSetgroups: true,
    setsid: true,
    setctty: true,
    ctty: 2,
    closeFds: false,
  };
  assertEquals(explain({ sysProcAttr }), [
    "clone",
    "sigaction",
    "unshare CLONE_NEWNS|CLONE_NEWUSER",
    "setgroups_policy allow",
    "gid_map 0 1000 1",
    "uid_map 0 1000 1",
    "mount_private /",
    "setsid",
    ...standard,
    "setctty 2",
    "sigprocmask",
    "exec /bin/ls",
  ]);
});

test("contract: explain() says what a stream will be, and of what is open its number", () => {
  using file = OSFile.open("/dev/null");
  const streams = (options: CommandOptions): string[] =>
    explain(options).filter((line) => line.startsWith("fd "));
  const sink = { write(): void {} };
  assertEquals(streams({ stdin: "text", stdout: sink, stderr: "stdout" }), [
    "fd pipe -> 0",
    "fd pipe -> 1",
    "fd pipe -> 2",
  ]);
  assertEquals(streams({ stdin: "inherit", stdout: file, stderr: "inherit" }), [
    "fd 0 -> 0",
    `fd ${file.fd} -> 1`,
    "fd 2 -> 2",
  ]);
});

test("contract: SpawnStep has the words of the native table, in its order", () => {
  const source = readFileSync(new URL("../../src/errors.ts", import.meta.url), "utf8");
  const [, union = ""] = /^export type SpawnStep =([^;]*);/m.exec(source) ?? [];
  const words = Array.from(union.matchAll(/"(\w+)"/g), ([, word = ""]) => word);
  assertEquals(words, [...new Set<string>(["request", "clone", ...STEPS.map(({ word }) => word)])]);
});

test("contract: explain() has no words but those of SpawnStep", () => {
  const words = new Set<string>(["clone", ...STEPS.map(({ word }) => word)]);
  const sysProcAttr: SysProcAttr = { setsid: true, nice: 3, credential: { uid: 1, gid: 1 } };
  for (const line of explain({ sysProcAttr, dir: "/" })) {
    assert(words.has(line.split(" ")[0] ?? ""), line);
  }
});

test("contract: a failed step is the line of explain() that names it", () => {
  const rows: CommandOptions[] = [
    { dir: "/nope" },
    { sysProcAttr: { chroot: "/nope" } },
    { sysProcAttr: { setpgid: true, pgid: 1 } },
    { sysProcAttr: { rlimits: { NOFILE: 2 ** 40 } } },
    { extraFiles: [19_999] },
    { sysProcAttr: { setctty: true, ctty: 0 } },
  ];
  for (const options of rows) {
    const command = new Command(helper, ["exit", "0"], options);
    const lines = command.explain().split("\n");
    const { step, argument } = spawnFailure(() => command.start());
    assert(lines.includes(`${step} ${argument}`), `${step} ${argument}: ${lines}`);
  }
});

test("contract: explain() starts nothing, opens nothing, and may be asked again", async () => {
  run(["exit", "0"]);
  const command = new Command(helper, ["args"], { stdin: "text", stdout: { write() {} } });
  const before = parentState();
  const text = command.explain();
  assertStrictEquals(command.explain(), text);
  assertEquals(changesSince(before), []);
  assertEquals(command.process, undefined);
  assertEquals((await command.run()).exitCode, 0);
  assertStrictEquals(command.explain(), text);
});

test("contract: explain() needs no program that is there, nor rights that it would take", () => {
  const sysProcAttr: SysProcAttr = { chroot: "/nope", credential: { uid: 0, gid: 0 } };
  assertEquals(explain({ sysProcAttr, dir: "/nope" }, "/nope").at(-1), "exec /nope");
});

test("contract: explain() throws as the start does for what can never start", () => {
  const error = assertThrows(
    () => explain({ sysProcAttr: { setctty: true, foreground: true } }),
    SpawnError,
  );
  assertEquals([error.step, error.path], ["request", "/bin/ls"]);
  assertThrows(() => explain({}, "no-such-program-anywhere"), ExecError);
  assertThrows(() => explain({ extraFiles: [-1] }), SpawnError, "file 3 is closed");
  const wrong: CommandOptions = JSON.parse(`{ "sysProcAttr": { "umask": "022" } }`);
  assertThrows(() => explain(wrong), TypeError);
});
