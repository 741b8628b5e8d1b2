import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import {
  Command,
  SpawnError,
  startProcess,
  type SysProcAttr,
  type WindowsAttributes,
} from "../../mod.ts";
import { STEPS } from "../../ffi/abi.ts";
import type { PlanContext } from "../../src/start/checks.ts";
import { processState, type Rusage } from "../../src/process/process_state.ts";
import { windowsOnly } from "../../src/windows/attributes.ts";
import { windowsSteps, withJob } from "../../src/windows/plan.ts";

class Refusal extends Error {}

const context: PlanContext = {
  os: "win32",
  refuse(detail) {
    throw new Refusal(detail);
  },
};

function steps(
  sys: SysProcAttr = {},
  argv: readonly string[] = ["a"],
  program = "C:\\a.exe",
): unknown[][] {
  return windowsSteps(context, program, argv, { sys }).map(({ step, values }) => [step, values]);
}

/** A value of the kind that a field takes. */
const values: Required<WindowsAttributes> = {
  hideWindow: true,
  cmdLine: "a",
  creationFlags: 1,
  token: 1,
  processAttributes: {},
  threadAttributes: {},
  noInheritHandles: true,
  additionalInheritedHandles: [1],
  parentProcess: 1,
  jobFlags: 0,
};

for (const field of windowsOnly()) {
  test(
    `issue 21, 4: ${field} is refused by name on a Unix`,
    { skip: process.platform === "win32" },
    () => {
      const sys = { [field]: values[field] };
      const error = assertThrows(() => startProcess("/bin/true", ["true"], { sys }), SpawnError);
      assertEquals(error.step, "request");
      assertEquals(error.message, `fork/exec /bin/true: ${field} is for Windows only`);
      const command = new Command("true", [], { sysProcAttr: sys });
      assertThrows(() => command.start(), SpawnError, `${field} is for Windows only`);
    },
  );
}

test("issue 21, 4: what a Unix has is refused by name on Windows", () => {
  const fields: SysProcAttr = {
    chroot: "/",
    credential: { uid: 0 },
    setsid: true,
    setpgid: true,
    umask: 0,
    nice: 1,
    pdeathsig: 9,
    closeFds: false,
    listenFds: true,
    rlimits: {},
  };
  for (const [field, value] of Object.entries(fields)) {
    assertThrows(() => steps({ [field]: value }), Refusal, `${field} is for Unix only`);
  }
  const four = { files: [null, null, null, 3] };
  assertThrows(() => windowsSteps(context, "C:\\a.exe", [], four), Refusal, "beyond 2");
});

test("issue 21, 1: Go's attributes become the words of the native steps, in their order", () => {
  assertEquals(steps(), [["creation", [0, 0, 0, 0]]]);
  const all = steps({
    hideWindow: true,
    cmdLine: "a  b",
    creationFlags: 0x10,
    token: 4,
    processAttributes: { securityDescriptor: "D:", inheritHandle: true },
    threadAttributes: { inheritHandle: true },
    noInheritHandles: true,
    additionalInheritedHandles: [8, 12],
    parentProcess: -4,
    jobFlags: 0x2000,
  });
  assertEquals(all, [
    ["creation", [0x10, 1 | 2 | 8 | 16, 4, -4]],
    ["command_line", ["a  b"]],
    ["process_security", ["D:"]],
    ["job", [0x2000]],
    ["inherit", [[8, 12]]],
  ]);
  const order = STEPS.map(({ step }) => step as string);
  const places = all.map(([step]) => order.indexOf(step as string));
  assertEquals(places, places.toSorted((a, b) => a - b));
});

test("issue 21, 1: values out of range are refused by name", () => {
  assertThrows(() => steps({ creationFlags: -1 }), Refusal, "creationFlags -1");
  assertThrows(() => steps({ token: 2 ** 40 }), Refusal, "token");
  assertThrows(() => steps({ cmdLine: "a\0b" }), Refusal, "cmdLine contains a NUL");
  assertThrows(() => steps({ additionalInheritedHandles: [0.5] }), Refusal, "additionalInherited");
});

test("CVE-2024-24576: a batch file's arguments are quoted, or refused", () => {
  const batch = 4;
  for (const program of ["C:\\a.bat", "C:\\A.CMD", "a.bat.", "a.cmd  .. "]) {
    assertEquals(steps({}, ["a", "b c&d|e<f>g^h(i)"], program), [["creation", [0, batch, 0, 0]]]);
    for (const wrong of ['a"b', "%PATH%", "a!b", "a\nb", "a\rb"]) {
      assertThrows(
        () => steps({}, ["a", "b", wrong], program),
        Refusal,
        "argument 2 of a batch file has",
      );
    }
    assertThrows(
      () => steps({}, ["a"], `C:\\%TEMP%\\${program}`),
      Refusal,
      "the path of a batch file has",
    );
    // The caller's own line is the caller's own.
    assertEquals(steps({ cmdLine: '"a" %X%' }, ["a", '"'], program)[1], [
      "command_line",
      ['"a" %X%'],
    ]);
  }
  assertEquals(steps({}, ["a", '"%!'], "C:\\bat.exe"), [["creation", [0, 0, 0, 0]]]);
  assertEquals(steps({}, ["a", '"%!'], "C:\\x.bat\\a.exe"), [["creation", [0, 0, 0, 0]]]);
});

test("issue 21, 1: a tree is a job, and what ends with this process is in one that is closed with it", () => {
  assertEquals(withJob({}, true, false), { jobFlags: 0 });
  assertEquals(withJob({}, true, true), { jobFlags: 0x2000 });
  assertEquals(withJob({}, false, true), { jobFlags: 0x3000 });
  assertEquals(withJob({ jobFlags: 8, hideWindow: true }, true, false), {
    jobFlags: 8,
    hideWindow: true,
  });
});

test("issue 21, 1: an exit code of Windows has 32 bits, and Go's text", () => {
  const usage = {} as Rusage;
  const state = (status: number): readonly unknown[] => {
    const state = processState(1, status, usage, "win32");
    return [state.exitCode, state.success, state.exited, state.signal, `${state}`];
  };
  assertEquals(state(0), [0, true, true, null, "exit status 0"]);
  assertEquals(state(256), [256, false, true, null, "exit status 256"]);
  assertEquals(state(0xffff), [0xffff, false, true, null, "exit status 65535"]);
  assertEquals(state(0xc0000005 | 0), [0xc0000005, false, true, null, "exit status 0xc0000005"]);
  assertEquals(state(-1), [0xffffffff, false, true, null, "exit status 0xffffffff"]);
});
