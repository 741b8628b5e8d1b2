import os from "node:os";
import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { Cap } from "../../src/start/constants.ts";
import { rlimitNumber } from "../../src/start/limits.ts";
import { currentOS } from "../../src/os.ts";
import { processState, type Rusage } from "../../src/process/process_state.ts";
import { type Signal, signalName, signalNumber, signalText } from "../../src/process/signals.ts";

const USAGE: Rusage = {
  userTime: 12.5,
  systemTime: 3.25,
  maxRss: 4096,
  minorFaults: 1,
  majorFaults: 2,
  blocksIn: 3,
  blocksOut: 4,
  voluntaryContextSwitches: 5,
  involuntaryContextSwitches: 6,
};

test("section 1.3: names and numbers are those of the system the test runs on", () => {
  const here = currentOS();
  let count = 0;
  for (const [name, number] of Object.entries(os.constants.signals)) {
    assertEquals(signalNumber(`SIG${name.slice(3)}`, here), number, name);
    assertEquals(signalNumber(signalName(number, here), here), number, name);
    count++;
  }
  assertEquals(count >= 31, true, `only ${count} signals`);
});

test("section 1.3: the same name has another number on another system", () => {
  const rows: [name: Signal, linux: number, darwin: number][] = [
    ["SIGHUP", 1, 1],
    ["SIGKILL", 9, 9],
    ["SIGTERM", 15, 15],
    ["SIGBUS", 7, 10],
    ["SIGUSR1", 10, 30],
    ["SIGUSR2", 12, 31],
    ["SIGCHLD", 17, 20],
    ["SIGCONT", 18, 19],
    ["SIGSTOP", 19, 17],
    ["SIGTSTP", 20, 18],
    ["SIGURG", 23, 16],
    ["SIGIO", 29, 23],
    ["SIGSYS", 31, 12],
    ["SIGIOT", 6, 6],
  ];
  for (const [name, linux, darwin] of rows) {
    assertEquals(signalNumber(name, "linux"), linux, `${name} on Linux`);
    assertEquals(signalNumber(name, "darwin"), darwin, `${name} on macOS`);
  }
});

test("section 1.3: every number becomes a name and the same number again", () => {
  for (let number = 1; number <= 64; number++) {
    assertEquals(signalNumber(signalName(number, "linux"), "linux"), number);
    if (number < 32) assertEquals(signalNumber(signalName(number, "darwin"), "darwin"), number);
  }
});

test("contract: real-time signals by offset and by number, on Linux", () => {
  const rows: [Signal, number][] = [
    ["SIGRTMIN", 34],
    ["SIGRTMIN+0", 34],
    ["SIGRTMIN+3", 37],
    ["SIGRTMIN+30", 64],
    ["SIGRTMAX", 64],
    ["SIGRTMAX-1", 63],
    ["SIGRTMAX-30", 34],
    ["SIG34", 34],
    ["SIG64", 64],
    [64, 64],
  ];
  for (const [name, number] of rows) {
    assertEquals(signalNumber(name, "linux"), number, String(name));
    assertThrows(() => signalNumber(name, "darwin"), TypeError, "Unknown signal");
  }
  assertEquals(signalName(34, "linux"), "SIG34");
  assertEquals(signalName(9, "linux"), "SIGKILL");
});

test("contract: what is no signal is a TypeError that names it", () => {
  const names: Signal[] = [
    "SIGFOO",
    "SIG",
    "SIGkill",
    "SIG0",
    "SIG9",
    "SIG65",
    "SIG034",
    "SIGRTMIN+31",
    "SIGRTMIN-1",
    "SIGRTMAX-31",
    "SIGRTMAX+1",
    "SIGRTMIN+",
    "SIGtoString",
  ];
  for (const name of names) {
    assertThrows(() => signalNumber(name, "linux"), TypeError, `Unknown signal "${name}"`);
  }
  for (const number of [-1, 65, 1.5, NaN, Infinity]) {
    assertThrows(() => signalNumber(number, "linux"), TypeError, `Unknown signal ${number}`);
  }
  assertThrows(() => signalNumber(32, "darwin"), TypeError, "Unknown signal 32");
  assertThrows(() => signalNumber("SIGPWR", "darwin"), TypeError, 'Unknown signal "SIGPWR"');
  assertThrows(() => signalNumber("SIGINFO", "linux"), TypeError, 'Unknown signal "SIGINFO"');
  assertThrows(() => signalNumber(JSON.parse("null"), "linux"), TypeError, "Unknown signal null");
});

test("contract: 0 asks whether the process exists", () => {
  assertEquals(signalNumber(0, "linux"), 0);
  assertEquals(signalNumber(0, "darwin"), 0);
});

test("rule 71: signals have Go's texts", () => {
  const rows: [number: number, linux: string, darwin: string][] = [
    [5, "trace/breakpoint trap", "trace/BPT trap"],
    [6, "aborted", "abort trap"],
    [9, "killed", "killed"],
    [11, "segmentation fault", "segmentation fault"],
    [13, "broken pipe", "broken pipe"],
    [15, "terminated", "terminated"],
    [17, "child exited", "suspended (signal)"],
    [24, "CPU time limit exceeded", "cputime limit exceeded"],
    [35, "signal 35", "signal 35"],
    [0, "signal 0", "signal 0"],
  ];
  for (const [number, linux, darwin] of rows) {
    assertEquals(signalText(number, "linux"), linux);
    assertEquals(signalText(number, "darwin"), darwin);
  }
});

test("section 1.6: an exit carries its code, and only 0 is success", () => {
  const ok = processState(7, 0, USAGE, "linux");
  assertEquals([ok.pid, ok.exited, ok.success, ok.exitCode, ok.signal], [7, true, true, 0, null]);
  const two = processState(7, 0x0200, USAGE, "linux");
  assertEquals([two.exited, two.success, two.exitCode, two.status], [true, false, 2, 0x0200]);
  assertEquals(processState(7, 0xff00, USAGE, "darwin").exitCode, 255);
});

test("section 1.6: Linux takes eight bits of the code, macOS all there are", () => {
  assertEquals(processState(1, 0x12300, USAGE, "linux").exitCode, 0x23);
  assertEquals(processState(1, 0x12300, USAGE, "darwin").exitCode, 0x123);
  assertEquals(processState(1, -256, USAGE, "darwin").exitCode, 0xffffff);
  assertEquals(processState(1, -256, USAGE, "linux").status, 0xffffff00);
});

test("section 1.6: a signal leaves no exit code, and the core flag is not part of it", () => {
  const killed = processState(1, 9, USAGE, "linux");
  assertEquals([killed.exited, killed.success, killed.exitCode], [false, false, -1]);
  assertEquals([killed.signal, killed.coreDumped], ["SIGKILL", false]);
  const dumped = processState(1, 0x80 | 6, USAGE, "linux");
  assertEquals([dumped.signal, dumped.coreDumped], ["SIGABRT", true]);
  assertEquals(processState(1, 10, USAGE, "linux").signal, "SIGUSR1");
  assertEquals(processState(1, 10, USAGE, "darwin").signal, "SIGBUS");
  assertEquals(processState(1, 34, USAGE, "linux").signal, "SIG34");
});

test("section 1.6: a stopped or continued child has neither ended nor dumped core", () => {
  for (const status of [0x137f, 0xffff]) {
    const state = processState(1, status, USAGE, "linux");
    assertEquals([state.exited, state.success, state.exitCode], [false, false, -1]);
    assertEquals([state.signal, state.coreDumped], [null, false]);
  }
});

test("rule 50: the texts of every kind of status", () => {
  const rows: [status: number, linux: string, darwin: string][] = [
    [0, "exit status 0", "exit status 0"],
    [0x0200, "exit status 2", "exit status 2"],
    [9, "signal: killed", "signal: killed"],
    [0x80 | 6, "signal: aborted (core dumped)", "signal: abort trap (core dumped)"],
    [35, "signal: signal 35", "signal: signal 35"],
    [0x117f, "stop signal: child exited", "continued"],
    [0x137f, "stop signal: stopped (signal)", "stop signal: continued"],
    [0x057f, "stop signal: trace/breakpoint trap", "stop signal: trace/BPT trap"],
    [0x6057f, "stop signal: trace/breakpoint trap (trap 6)", "stop signal: trace/BPT trap"],
    [0xffff, "continued", "stop signal: signal 255"],
  ];
  for (const [status, linux, darwin] of rows) {
    assertEquals(String(processState(1, status, USAGE, "linux")), linux);
    assertEquals(String(processState(1, status, USAGE, "darwin")), darwin);
  }
});

test("contract: the times are the usage's, and nothing of a state can be changed", () => {
  const usage = { ...USAGE };
  const state = processState(1, 0, usage, "linux");
  assertEquals([state.userTime, state.systemTime], [12.5, 3.25]);
  usage.maxRss = 1;
  assertEquals(state.usage.maxRss, 4096);
  assertEquals([Object.isFrozen(state), Object.isFrozen(state.usage)], [true, true]);
});

test("contract: all capabilities to the kernel's last, without a gap", () => {
  const numbers = Object.values(Cap).sort((a, b) => a - b);
  assertEquals(numbers, Array.from({ length: 41 }, (_, index) => index));
  assertEquals([Cap.NET_BIND_SERVICE, Cap.SYS_ADMIN, Cap.CHECKPOINT_RESTORE], [10, 21, 40]);
});

test("contract: a limit has the number of its system, or none", () => {
  assertEquals([rlimitNumber("NOFILE", "linux"), rlimitNumber("NOFILE", "darwin")], [7, 8]);
  assertEquals([rlimitNumber("AS", "linux"), rlimitNumber("RSS", "linux")], [9, 5]);
  assertEquals([rlimitNumber("AS", "darwin"), rlimitNumber("RSS", "darwin")], [5, 5]);
  assertEquals([rlimitNumber("RTTIME", "linux"), rlimitNumber("RTTIME", "darwin")], [
    15,
    undefined,
  ]);
  assertEquals([rlimitNumber("toString", "linux"), rlimitNumber("nofile", "linux")], [
    undefined,
    undefined,
  ]);
});
