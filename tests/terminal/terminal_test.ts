import process from "node:process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { OSFile, type ProcAttr, startProcess, type SysProcAttr } from "../../mod.ts";
import {
  childStat,
  drive,
  type DriverCase,
  helper,
  needsRoot,
  needsUser,
  openTerminal,
  parseStat,
  spawnFailure,
  startPiped,
  type Stat,
  statOf,
} from "../system.ts";
import { needsLinuxChild } from "../refused.ts";

function failure(
  sys: SysProcAttr,
  attr: ProcAttr = {},
): [step: string, argument: unknown, code: string] {
  const error = spawnFailure(() => startProcess(helper, ["helper", "exit", "0"], { ...attr, sys }));
  return [error.step, error.argument, error.code];
}

const showStat = { argv: ["file", "/proc/self/stat"] };

/** Makes starts in a process that leads a session with a terminal of its own, which is its descriptor 0. */
function driveOnTerminal(
  cases: readonly DriverCase[],
): { stats: Stat[]; terminal: number; leader: number } {
  using terminal = openTerminal();
  const attr: ProcAttr = {
    files: [terminal.slave, null, 2],
    sys: { setsid: true, setctty: true, ctty: 0 },
  };
  const [own, ...results] = drive([showStat, ...cases], { attr });
  for (const { failure } of results) assertEquals(failure, null);
  const stats = results.map(({ output }) => parseStat(output));
  return { stats, terminal: terminal.number, leader: parseStat(own?.output ?? "").session };
}

test("section 1.4, Setctty: a child's descriptor becomes its controlling terminal", () => {
  for (const ctty of [0, 5]) {
    using terminal = openTerminal();
    const files: (OSFile | null)[] = [null, null, null, null, null, null];
    files[ctty] = terminal.slave;
    const stat = childStat({ setsid: true, setctty: true, ctty }, { files });
    assertEquals([stat.terminal, stat.session], [terminal.number, stat.pid]);
    // A session leader is in front.
    assertEquals(stat.foreground, stat.pid);
  }
});

test("section 1.4, Setctty: without setsid the child cannot have one", () => {
  using terminal = openTerminal();
  const files = [terminal.slave];
  assertEquals(failure({ setctty: true, ctty: 0 }, { files }), ["setctty", "0", "EPERM"]);
});

test("rule 68: what is no terminal cannot be the controlling one", () => {
  using file = OSFile.open("/dev/null");
  const files = [null, null, null, file];
  assertEquals(failure({ setsid: true, setctty: true, ctty: 3 }, { files }), [
    "setctty",
    "3",
    "ENOTTY",
  ]);
});

/** Takes the terminal of another session. */
function steal(): string {
  using terminal = openTerminal();
  const files = [terminal.slave];
  const sys = { setsid: true, setctty: true, ctty: 0 };
  const { child: owner, stdout } = startPiped(helper, ["helper", "hang"], { files, sys });
  try {
    assertEquals(statOf(owner.pid)?.terminal, terminal.number);
    const stat = childStat(sys, { files: [terminal.slave, null, 2] });
    return `${stat.terminal === terminal.number}`;
  } finally {
    owner.kill();
    owner.waitSync();
    stdout.close();
  }
}

test("section 1.4, Setctty: root takes the terminal of another session, as in Go", {
  skip: needsRoot || needsLinuxChild,
}, () => {
  assertEquals(steal(), "true");
});

test("section 1.4, Setctty: an ordinary user cannot take the terminal of another session", {
  skip: needsUser,
}, () => {
  const error = spawnFailure(steal);
  assertEquals([error.step, error.argument, error.code], ["setctty", "0", "EPERM"]);
});

test("section 1.4, Noctty: the child gives up the terminal on its descriptor 0, its parent keeps it", () => {
  const { stats: [kept, without, after], terminal } = driveOnTerminal([
    { ...showStat, stdin: 0 },
    { ...showStat, stdin: 0, sys: { noctty: true } },
    showStat,
  ]);
  assertEquals([kept?.terminal, without?.terminal, after?.terminal], [terminal, 0, terminal]);
});

test("rule 68: without a terminal on descriptor 0 there is none to give up", () => {
  using file = OSFile.open("/dev/null");
  assertEquals(failure({ noctty: true }, { files: [file] }), ["noctty", undefined, "ENOTTY"]);
  assertEquals(failure({ noctty: true }, { files: [null] }), ["noctty", undefined, "EBADF"]);
});

test("section 1.4, Foreground: the child leads a new group, in front of the terminal", () => {
  const { stats: [stat], terminal, leader } = driveOnTerminal([
    { ...showStat, sys: { foreground: true, ctty: 0 } },
  ]);
  assertEquals([stat?.terminal, stat?.session], [terminal, leader]);
  assertEquals([stat?.group, stat?.foreground], [stat?.pid, stat?.pid]);
});

test("rule 98: a parent in the background puts its child in front, unharmed by SIGTTOU", () => {
  const one = { ...showStat, sys: { foreground: true, ctty: 0 } };
  const { stats } = driveOnTerminal([one, one, one]);
  for (const stat of stats) assertEquals([stat.group, stat.foreground], [stat.pid, stat.pid]);
});

test("section 1.4, Foreground: pgid puts a group that is there in front, with the child in it", () => {
  const { stats: [first, second], leader } = driveOnTerminal([
    { ...showStat, sys: { foreground: true, ctty: 0 } },
    { ...showStat, sys: { foreground: true, ctty: 0 }, inOwnGroup: true },
  ]);
  assertEquals(first?.foreground, first?.pid);
  assertEquals([second?.group, second?.foreground], [leader, leader]);
});

test("section 1.4, Foreground: ctty is the parent's number, however high, and the child need not have it", () => {
  // Beyond the part of the descriptor table that the child copies.
  const { stats: [stat] } = driveOnTerminal([
    { ...showStat, sys: { foreground: true }, terminal: 700 },
  ]);
  assertEquals(stat?.foreground, stat?.pid);
});

test("rule 68: nothing can be put in front of what is no terminal, or not the child's own", () => {
  using file = OSFile.open("/dev/null");
  const other = failure({ foreground: true, ctty: file.fd });
  assertEquals(other, ["foreground", `${file.fd}`, "ENOTTY"]);
  using terminal = openTerminal();
  const { fd } = terminal.slave;
  assertEquals(failure({ foreground: true, ctty: fd }), ["foreground", `${fd}`, "ENOTTY"]);
  const closed = OSFile.open("/dev/null");
  const number = closed.fd;
  closed.close();
  assertEquals(failure({ foreground: true, ctty: number }), ["foreground", `${number}`, "EBADF"]);
});

test("contract: the tests' own process is as it was, with the terminal that it had", () => {
  const before = statOf(process.pid);
  using terminal = openTerminal();
  childStat({ setsid: true, setctty: true, ctty: 0 }, { files: [terminal.slave, null, 2] });
  const after = statOf(process.pid);
  assertEquals(after?.terminal, before?.terminal);
  assertEquals(after?.foreground, before?.foreground);
});
