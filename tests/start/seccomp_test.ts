/** Issue 17, 10: lists of system calls as filters; what they answer, by the rules of BPF and by the kernel itself. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import { Command } from "../../mod.ts";
import {
  checkSeccomp,
  compileSeccomp,
  describeSeccomp,
  type SeccompRules,
} from "../../src/start/seccomp.ts";
import { defaultRefusals, defaultSeccomp } from "../../src/start/seccomp_default.ts";
import { compilePolicy } from "../../src/start/seccomp_filter.ts";
import {
  type Architecture,
  isSystemCall,
  systemCallNames,
  systemCallNumber,
} from "../../src/start/system_calls.ts";
import { ALLOW, architectures, failing, Filter, KILL_PROCESS } from "../bpf.ts";
import { decode, Directory, generator, root, runScript, runtime, type Skip } from "../helper.ts";
import { needsPython, python } from "../python.ts";
import { needsLinuxChild } from "../refused.ts";

const both: readonly Architecture[] = ["x86_64", "aarch64"];

/** Beyond the last call, so that numbers of calls to come are tried too. */
const beyond = 600;

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

function number(name: string, architecture: Architecture): number {
  const found = systemCallNumber(name, architecture);
  assert(found !== undefined, `${name} on ${architecture}`);
  return found;
}

function compile(rules: SeccompRules, architecture: Architecture): Filter {
  return new Filter(compileSeccomp(checkSeccomp("seccomp", rules), architecture));
}

// ------------------------------------------------------------------ the table

const zig = join(root, ".tools/zig/ziglang/lib/std/os/linux/syscalls.zig");

/** The calls of an architecture in the Zig compiler's table, which is made from Linux's sources. */
function zigTable(name: string): Map<string, number> {
  const text = readFileSync(zig, "utf8");
  const [, table = ""] = new RegExp(`pub const ${name} = enum\\(usize\\) \\{(.*?)\\n\\};`, "s")
    .exec(text) ?? [];
  const calls = new Map<string, number>();
  for (const [, call = "", value] of table.matchAll(/^ {4}@?"?(\w+)"? = (\d+),$/gm)) {
    // Zig leaves the underscore out.
    calls.set(call === "sysctl" ? "_sysctl" : call, Number(value));
  }
  return calls;
}

function ownTable(architecture: Architecture): Map<string, number> {
  return new Map(
    systemCallNames(architecture).map((name) => [name, number(name, architecture)]),
  );
}

test("issue 17, 10: the table has each call that the Zig compiler's has, and no other", {
  skip: existsSync(zig) ? false : "needs the compiler's sources in .tools",
}, () => {
  for (const [architecture, name] of [["x86_64", "X64"], ["aarch64", "Arm64"]] as const) {
    const expected = zigTable(name);
    assertGreater(expected.size, 320, architecture);
    assertEquals(ownTable(architecture), new Map([...expected].sort(([, a], [, b]) => a - b)));
  }
});

const header = [
  "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
  "/usr/include/asm/unistd_64.h",
].find((path) => existsSync(path));

test("issue 17, 10: the table has each call of this machine's headers", {
  skip: header === undefined ? "needs asm/unistd_64.h of x86_64" : false,
}, () => {
  const text = readFileSync(header ?? "", "utf8");
  const found = [...text.matchAll(/^#define __NR_(\w+) (\d+)$/gm)];
  assertGreater(found.length, 320);
  for (const [, name = "", value] of found) {
    assertEquals(systemCallNumber(name, "x86_64"), Number(value), name);
  }
});

test("issue 17, 10: of aarch64's calls none is missing on x86_64, and new ones have one number", () => {
  const x86 = new Set(systemCallNames("x86_64"));
  for (const name of systemCallNames("aarch64")) {
    assert(x86.has(name), name);
    if (number(name, "aarch64") < 424) continue;
    assertEquals(number(name, "aarch64"), number(name, "x86_64"), name);
  }
  assertEquals(systemCallNumber("open", "aarch64"), undefined);
  assert(isSystemCall("open") && !isSystemCall("opne") && !isSystemCall("424"));
});

// ------------------------------------------------------------------ what a filter answers

test("issue 17, 10: a filter answers for every number what the lists say", () => {
  const cases: [rules: SeccompRules, allow: number, deny: number, other: number][] = [
    [{ default: "allow", deny: ["openat", "open", "read", "rseq_slice_yield"] }, 0, EPERM, 0],
    [{ default: "allow", deny: ["ptrace"], errno: 4095 }, 0, 4095, 0],
    [{ default: "kill", allow: ["execve", "read", "write", "open"] }, 0, 0, -1],
    [
      { default: "kill", allow: ["execve", "listns"], deny: ["connect"], errno: 13 },
      0,
      13,
      -1,
    ],
    [{ default: { errno: ENOSYS }, allow: ["execve", "exit_group"], deny: ["read"] }, 0, 1, ENOSYS],
    [{ default: "allow" }, 0, 0, 0],
  ];
  const meaning = (errno: number): number =>
    errno === 0 ? ALLOW : errno === -1 ? KILL_PROCESS : failing(errno);
  for (const [rules, allow, deny, other] of cases) {
    for (const architecture of both) {
      const filter = compile(rules, architecture);
      const numbers = (names: readonly string[] = []): Set<number | undefined> =>
        new Set(names.map((name) => systemCallNumber(name, architecture)));
      const [allowed, denied] = [numbers(rules.allow), numbers(rules.deny)];
      for (let nr = 0; nr < beyond; nr++) {
        const expected = allowed.has(nr) ? allow : denied.has(nr) ? deny : other;
        const answer = filter.answer({ number: nr, architecture: architectures[architecture] });
        assertEquals(answer, meaning(expected), `${architecture} ${nr} ${describeSeccomp(rules)}`);
      }
    }
  }
});

test("issue 17, 10: a call of another architecture ends the process, whatever its number", () => {
  for (const architecture of both) {
    const filter = compile({ default: "allow", deny: ["ptrace"] }, architecture);
    for (const other of Object.values(architectures)) {
      if (other === architectures[architecture]) continue;
      for (const nr of [0, 1, 11, 59, 101, 221, 0x4000_0000, 0xffff_ffff]) {
        assertEquals(filter.answer({ number: nr, architecture: other }), KILL_PROCESS);
      }
    }
  }
});

test("issue 17, 10: a call of the x32 ABI ends the process, and -1 is no such call", () => {
  for (
    const rules of [{ default: "allow" }, { default: { errno: 5 }, allow: ["execve"] }] as const
  ) {
    const other = rules.default === "allow" ? ALLOW : failing(5);
    const filter = compile(rules, "x86_64");
    const answer = (nr: number): number =>
      filter.answer({ number: nr, architecture: architectures.x86_64 });
    assertEquals(answer(0x3fff_ffff), other);
    for (const nr of [0x4000_0000, 0x4000_0001, 0x4000_0200, 0x7fff_ffff, 0xffff_fffe]) {
      assertEquals(answer(nr), KILL_PROCESS, nr.toString(16));
    }
    assertEquals(answer(0xffff_ffff), other);
    const generic = compile(rules, "aarch64");
    const elsewhere = { number: 0x4000_0000, architecture: architectures.aarch64 };
    assertEquals(generic.answer(elsewhere), other);
  }
});

test("issue 17, 10: any two lists answer as a look-up in them does, in at most 16 steps", () => {
  const next = generator(17);
  const every = systemCallNames("x86_64");
  for (let round = 0; round < 60; round++) {
    const lists: Record<"allow" | "deny", string[]> = { allow: [], deny: [] };
    // From nothing to nearly everything, and in no order.
    const density = next(101);
    for (const name of every) {
      if (name !== "execve" && next(100) < density) lists[next(2) ? "allow" : "deny"].push(name);
    }
    lists.allow.push("execve");
    const byDefault = ([{ errno: 1 + next(4095) }, "kill"] as const)[next(2)] ?? "kill";
    const rules = { default: byDefault, ...lists, errno: 1 + next(4095) };
    const other = byDefault === "kill" ? KILL_PROCESS : failing(byDefault.errno);
    for (const architecture of both) {
      const filter = compile(rules, architecture);
      const allowed = new Set(lists.allow.map((name) => systemCallNumber(name, architecture)));
      const denied = new Set(lists.deny.map((name) => systemCallNumber(name, architecture)));
      for (let nr = 0; nr < beyond; nr++) {
        const call = { number: nr, architecture: architectures[architecture] };
        const { answer, steps } = filter.run(call);
        const expected = allowed.has(nr) ? ALLOW : denied.has(nr) ? failing(rules.errno) : other;
        if (answer !== expected) assertEquals(answer, expected, `round ${round}, ${nr}`);
        // 4 for the architecture and the number, a comparison for each halving with a jump beyond 255, the answer.
        assertLess(steps, 17);
      }
    }
  }
});

test("issue 17, 10: the longest list there can be stays below what the kernel takes", () => {
  // Each call with an end of its own: no two are one range.
  for (const architecture of both) {
    const calls = new Map(systemCallNames(architecture).map((name, at) => [name, failing(at + 1)]));
    const filter = new Filter(compilePolicy({ otherwise: ALLOW, calls }, architecture));
    assertLess(filter.length, 1024);
    for (const [name, answer] of calls) {
      const call = {
        number: number(name, architecture),
        architecture: architectures[architecture],
      };
      assertEquals(filter.answer(call), answer, name);
    }
  }
});

test("issue 17, 10: a test of an argument looks at the bits it names, and goes on where it has none", () => {
  const test = {
    call: "read",
    argument: 5,
    half: "lower",
    mask: 0xf0,
    values: [0x10, 0x20],
  } as const;
  const calls = new Map([["read", failing(3)]]);
  const tests = [
    { ...test, when: "one", answer: failing(1) },
    {
      ...test,
      argument: 0,
      half: "upper",
      mask: 0xffff_ffff,
      values: [7],
      when: "none",
      answer: failing(2),
    },
  ] as const;
  const filter = new Filter(compilePolicy({ otherwise: ALLOW, calls, tests }, "aarch64"));
  const answer = (first: bigint, last: bigint): number =>
    filter.answer({
      number: number("read", "aarch64"),
      architecture: architectures.aarch64,
      arguments: [first, 0n, 0n, 0n, 0n, last],
    });
  assertEquals(answer(0n, 0x10n), failing(1));
  assertEquals(answer(0n, 0xffff_ff2fn), failing(1));
  assertEquals(answer(0n, 0x10_0000_0010n), failing(1));
  assertEquals(answer(0n, 0x30n), failing(2));
  assertEquals(answer(7n, 0x30n), failing(2));
  assertEquals(answer(0x7_ffff_ffffn, 0x30n), failing(3));
});

test("issue 17, 10: a jump over 255 instructions is a short one, over 256 a long one", () => {
  for (let length = 240; length <= 255; length++) {
    const values = Array.from({ length }, (_, at) => at);
    const one = {
      call: "read",
      argument: 0,
      half: "lower",
      mask: -1,
      values,
      when: "one",
    } as const;
    const tests = [{ ...one, answer: failing(1) }];
    const filter = new Filter(
      compilePolicy({ otherwise: ALLOW, calls: new Map(), tests }, "x86_64"),
    );
    const answer = (nr: number, first: number): number => {
      const architecture = architectures.x86_64;
      return filter.answer({ number: nr, architecture, arguments: [BigInt(first)] });
    };
    for (const value of values) assertEquals(answer(0, value), failing(1), `${length}`);
    assertEquals(answer(0, length), ALLOW, `${length}`);
    for (const nr of [1, 2, 471]) assertEquals(answer(nr, 0), ALLOW, `${length}`);
    assertEquals(answer(0x4000_0000, 0), KILL_PROCESS, `${length}`);
  }
});

// ------------------------------------------------------------------ what is refused

function refused(
  given: unknown,
  ErrorClass: typeof TypeError | typeof RangeError,
  why: string,
): void {
  assertThrows(() => checkSeccomp("sys.seccomp", given), ErrorClass, why);
}

test("issue 17, 10: rules that are none, or contradict themselves, are refused by name", () => {
  refused(undefined, TypeError, "sys.seccomp is not an object");
  refused(null, TypeError, "sys.seccomp is not an object");
  refused("default", TypeError, "sys.seccomp is not an object");
  refused([], TypeError, "sys.seccomp is not an object");
  refused({}, TypeError, "sys.seccomp.default is neither");
  refused({ default: "deny" }, TypeError, "sys.seccomp.default is neither");
  refused({ default: { errno: "EPERM" } }, TypeError, "sys.seccomp.default.errno is not a number");
  refused({ default: {} }, TypeError, "sys.seccomp.default.errno is not a number");
  refused({ default: { errno: 1, deny: [] } }, TypeError, "sys.seccomp.default has no field deny");
  refused({ default: "allow", denied: [] }, TypeError, "sys.seccomp has no field denied");
  refused({ default: "allow", deny: "ptrace" }, TypeError, "sys.seccomp.deny is not a list");
  refused(
    { default: "allow", deny: [101] },
    TypeError,
    "sys.seccomp.deny holds what is not a string",
  );
  refused({ default: "allow", deny: ["opne"] }, TypeError, 'there is no system call "opne"');
  refused({ default: "kill", allow: ["execve", "constructor"] }, TypeError, '"constructor"');
  refused({ default: "allow", allow: ["read"] }, TypeError, "sys.seccomp.allow: all calls are");
  refused({ default: "allow", errno: 1 }, TypeError, "sys.seccomp.deny, which is absent");
  refused(
    { default: "kill", allow: ["execve", "read"], deny: ["read"] },
    TypeError,
    "read stands in both allow and deny",
  );
  refused({ default: "kill" }, TypeError, "execve is not allowed");
  refused({ default: { errno: 1 }, allow: ["execveat"] }, TypeError, "execve is not allowed");
  refused({ default: "allow", deny: ["execve"] }, TypeError, "execve is not allowed");
  for (const errno of [0, -1, 1.5, 4096, NaN]) {
    refused(
      { default: { errno } },
      RangeError,
      `sys.seccomp.default.errno ${errno} is not an integer`,
    );
    refused({ default: "allow", deny: [], errno }, RangeError, `sys.seccomp.errno ${errno} is not`);
  }
});

test("issue 17, 10: what has been checked is a copy", () => {
  const deny = ["ptrace"];
  const checked = checkSeccomp("seccomp", { default: "allow", deny });
  deny.push("bpf");
  assertEquals(checked, { default: "allow", deny: ["ptrace"] });
  const bytes = new Uint8Array(16);
  const filter = checkSeccomp("seccomp", bytes.subarray(8));
  bytes.fill(1);
  assertEquals(filter, new Uint8Array(8));
});

test("issue 17, 10: a filter as bytes is whole instructions, as many as the kernel takes", () => {
  const answer = compileSeccomp(checkSeccomp("seccomp", new Uint8Array(8).fill(6)), "x86_64");
  assertEquals(answer, new Uint8Array(8).fill(6));
  assertEquals(checkSeccomp("seccomp", new BigUint64Array(2)), new Uint8Array(16));
  checkSeccomp("seccomp", new Uint8Array(8 * 4096));
  refused(new Uint8Array(0), RangeError, "sys.seccomp: 0 instructions are not 1 to 4096");
  refused(new Uint8Array(8 * 4097), RangeError, "sys.seccomp: 4097 instructions are not");
  refused(new Uint8Array(12), RangeError, "sys.seccomp: 12 bytes are no whole instructions");
  refused(new ArrayBuffer(8), TypeError, "sys.seccomp is not an object");
});

test("issue 17, 10: a filter in words", () => {
  const said: [SeccompRules | Uint8Array, string][] = [
    [{ default: "allow" }, "default allow"],
    [
      { default: "allow", deny: ["bpf", "ptrace", "bpf"] },
      "default allow, deny 2 calls with EPERM",
    ],
    [
      { default: "kill", allow: ["execve"], deny: ["bpf"], errno: 38 },
      "default kill, allow 1 call, deny 1 call with ENOSYS",
    ],
    [{ default: { errno: 13 }, allow: ["execve", "read"] }, "default EACCES, allow 2 calls"],
    [new Uint8Array(8), "filter of 1 instruction"],
    [new Uint8Array(24), "filter of 3 instructions"],
  ];
  for (const [rules, words] of said) assertEquals(describeSeccomp(rules), words);
});

// ------------------------------------------------------------------ the sandbox's filter

/** What the sandbox's filter answers for a call. */
function byDefault(
  architecture: Architecture,
): (name: string, ...parameters: readonly (number | bigint)[]) => number {
  const filter = new Filter(defaultSeccomp(architecture));
  return (name, ...parameters) =>
    filter.answer({
      number: number(name, architecture),
      architecture: architectures[architecture],
      arguments: parameters.map((each) => BigInt.asUintN(64, BigInt(each))),
    });
}

test("issue 17, 10: the sandbox's filter refuses each call of its list, and no other", () => {
  const names = defaultRefusals();
  assertEquals(names.length, new Set(names).size);
  for (const name of names) assert(isSystemCall(name), name);
  for (const architecture of both) {
    const answer = byDefault(architecture);
    const none = new Set(names);
    for (const name of systemCallNames(architecture)) {
      const expected = name === "clone3"
        ? failing(ENOSYS)
        : none.has(name)
        ? failing(EPERM)
        : ALLOW;
      assertEquals(answer(name), expected, `${architecture} ${name}`);
    }
    const filter = new Filter(defaultSeccomp(architecture));
    for (const nr of [472, 599, 0xffff_ffff]) {
      const call = { number: nr, architecture: architectures[architecture] };
      assertEquals(filter.answer(call), ALLOW, `${architecture} ${nr}`);
    }
    assertLess(filter.length, 256);
  }
});

test("issue 17, 10: the sandbox's filter looks at the arguments of ioctl, clone, unshare, personality and socket", () => {
  const upper = 0xdead_beef_0000_0000n;
  const namespaces = [
    0x2_0000,
    0x200_0000,
    0x400_0000,
    0x800_0000,
    0x1000_0000,
    0x2000_0000,
    0x4000_0000,
  ];
  for (const architecture of both) {
    const answer = byDefault(architecture);
    for (const request of [0x5412n, 0x541cn]) {
      assertEquals(answer("ioctl", 0, request), failing(EPERM));
      assertEquals(answer("ioctl", 0, upper | request), failing(EPERM));
    }
    for (const request of [0x5401, 0x5413, 0x541b, 0x541d, 0]) {
      assertEquals(answer("ioctl", 0x5412, request), ALLOW, request.toString(16));
    }
    // A thread's, a fork's and a vfork's flags.
    for (const flags of [0x3d_0f00, 0x120_0011, 0x4111, 0x91, 17]) {
      assertEquals(answer("clone", flags), ALLOW, flags.toString(16));
      for (const each of namespaces) assertEquals(answer("clone", flags | each), failing(EPERM));
    }
    for (const flags of [0, 0x200, 0x400, 0x4_0000, 0x5_0f00]) {
      assertEquals(answer("unshare", flags), ALLOW, flags.toString(16));
      for (const each of [...namespaces, 0x80, 0x10_0000, 0x8000_0000]) {
        assertEquals(answer("unshare", BigInt(flags) | BigInt(each)), failing(EPERM));
      }
      assertEquals(answer("unshare", BigInt(flags) | 1n << 37n), failing(EPERM));
    }
    for (const persona of [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff, -1]) {
      assertEquals(answer("personality", persona), ALLOW);
    }
    for (const persona of [0x4_0000, 0x40_0000, 1, 0x2_0001]) {
      assertEquals(answer("personality", persona), failing(EPERM));
    }
    for (const call of ["socket", "socketpair"]) {
      for (const family of [0, 1, 2, 10, 16]) assertEquals(answer(call, family, 1), ALLOW);
      for (const family of [3, 9, 11, 17, 31, 38, 40, 44, 4095]) {
        assertEquals(answer(call, family, 1), failing(EAFNOSUPPORT));
        assertEquals(answer(call, upper | BigInt(family)), failing(EAFNOSUPPORT));
      }
    }
  }
});

// ------------------------------------------------------------------ the kernel

/** Installs the filter on its stdin in a child for each call, makes the call, and prints its errno or minus the signal. */
const tryCalls = `
import ctypes, json, mmap, os, resource, sys
libc = ctypes.CDLL(None, use_errno=True)
filter = sys.stdin.buffer.read()
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]
program = Program(len(filter) // 8, filter)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("b814000000cd80c3")) # mov eax, 20 (getpid of i386); int 0x80; ret
other = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
results = []
for call in json.loads(sys.argv[1]):
    arguments = [ctypes.c_long(each) for each in call or []]
    pid = os.fork()
    if pid == 0:
        if filter:
            if libc.prctl(38, 1, 0, 0, 0): os._exit(250)
            if libc.prctl(22, 2, ctypes.byref(program), 0, 0): os._exit(251)
        if call is None: result = 0 if other() > 0 else 38
        else: result = ctypes.get_errno() if libc.syscall(*arguments) == -1 else 0
        os._exit(result)
    _, status = os.waitpid(pid, 0)
    results.append(os.waitstatus_to_exitcode(status))
print(json.dumps(results))
`;

/** This machine's; where it is another one, no test asks. */
const here: Architecture = process.arch === "arm64" ? "aarch64" : "x86_64";

/** Whether this machine lets a process have a filter: some sandboxes do not. */
const needsFilters: Skip = await (async () => {
  if (needsLinuxChild) return { skip: needsLinuxChild };
  if (!["x64", "arm64"].includes(process.arch)) return { skip: "needs x86_64 or aarch64" };
  if (needsPython.skip !== undefined) return needsPython;
  const [result] = await tried(compileSeccomp({ default: "allow" }, here), [[nr("getpid")]]);
  return result === 0 ? {} : { skip: `needs seccomp filters: ${result}` };
})();

/** A call's number on this machine. */
function nr(name: string): number {
  return number(name, here);
}

/** What comes of calls below a filter: 0, an errno, or minus a signal. null: a call of i386. */
async function tried(
  filter: Uint8Array,
  calls: readonly (readonly number[] | null)[],
): Promise<readonly number[]> {
  const { stdout } = await new Command(python, ["-c", tryCalls, JSON.stringify(calls)], {
    input: filter,
  }).capture();
  return JSON.parse(decode(stdout));
}

const SIGSYS = -31;

test(
  "issue 17, 10: the kernel takes the filters and answers as they say",
  needsFilters,
  async () => {
    const calls = ["getpid", "getppid", "uname", "sched_yield"].map((
      name,
    ) => [nr(name)]);
    // What Python itself makes between the filter and the call, and to end.
    const needed = "execve exit_group brk mmap munmap mprotect madvise futex rt_sigprocmask getpid";
    const allow = needed.split(" ");
    const cases: [SeccompRules, number[]][] = [
      [{ default: "allow", deny: ["getppid", "uname"], errno: 77 }, [0, 77, 77, 0]],
      [{ default: "kill", allow }, [0, SIGSYS, SIGSYS, SIGSYS]],
      [{ default: "kill", allow, deny: ["uname"] }, [0, SIGSYS, EPERM, SIGSYS]],
      [{ default: { errno: ENOSYS }, allow, deny: ["uname"], errno: 13 }, [0, ENOSYS, 13, ENOSYS]],
    ];
    for (const [rules, expected] of cases) {
      const filter = compileSeccomp(checkSeccomp("seccomp", rules), here);
      assertEquals(await tried(filter, calls), expected, describeSeccomp(rules));
    }
  },
);

test("issue 17, 10: the kernel ends what calls by the tables of i386 and x32", {
  skip: needsFilters.skip ?? (here === "x86_64" ? false : "needs x86_64"),
}, async () => {
  const calls = [[0x4000_0000 + 39], null, [-1]];
  const [x32, i386, none] = await tried(new Uint8Array(0), calls);
  assertEquals(none, ENOSYS);
  const filter = compileSeccomp({ default: "allow" }, "x86_64");
  const [x32Below, i386Below, noneBelow] = await tried(filter, calls);
  // A kernel without x32 says so by ENOSYS, after the filter; one without i386 ends it by SIGSEGV, before.
  assert(x32 === 0 || x32 === ENOSYS, `${x32}`);
  assertEquals(x32Below, SIGSYS);
  assertEquals(i386Below, i386 === 0 ? SIGSYS : i386);
  assertEquals(noneBelow, ENOSYS);
});

test(
  "issue 17, 10: under the sandbox's filter the kernel refuses what the filter refuses",
  needsFilters,
  async () => {
    const cases: [call: number[], result: number][] = [
      [[nr("getpid")], 0],
      [[nr("clone3"), 0, 0], ENOSYS],
      [[nr("clone"), 0x1000_0011, 0, 0, 0, 0], EPERM],
      [[nr("unshare"), 0x400], 0],
      [[nr("unshare"), 0x1000_0000], EPERM],
      [[nr("ioctl"), 99, 0x5412, 0], EPERM],
      [[nr("ioctl"), 99, 0x1_0000_5412, 0], EPERM],
      [[nr("ioctl"), 99, 0x5401, 0], 9],
      [[nr("socket"), 1, 1, 0], 0],
      [[nr("socket"), 40, 1, 0], EAFNOSUPPORT],
      [[nr("personality"), 0xffff_ffff], 0],
      [[nr("personality"), 0x4_0000], EPERM],
      // With arguments that would do no harm, were they not refused; vhangup has none.
      ...defaultRefusals().filter((name) =>
        name !== "vhangup" && systemCallNumber(name, here) !== undefined
      )
        .map((name): [number[], number] => [[nr(name), -1, -1, -1, -1, -1, -1], EPERM]),
    ];
    const results = await tried(defaultSeccomp(here), cases.map(([call]) => call));
    cases.forEach(([call, expected], at) => assertEquals(results[at], expected, `${call}`));
  },
);

/** Installs the filter on its stdin and becomes another program. */
const become = `
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
filter = sys.stdin.buffer.read()
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]
program = Program(len(filter) // 8, filter)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
    sys.exit("no filter")
os.execv(sys.argv[1], sys.argv[1:])
`;

async function under(filter: Uint8Array, ...words: readonly string[]): Promise<string> {
  const { stdout } = await new Command(python, ["-c", become, ...words], { input: filter })
    .capture();
  return decode(stdout).trim();
}

test("issue 17, 10: under the sandbox's filter pipelines, threads, sockets and a compiler work", {
  skip: needsFilters.skip ?? false,
}, async () => {
  const filter = defaultSeccomp(here);
  const sorted = "echo 3 1 2 | tr ' ' '\\n' | sort | tail -1";
  assertEquals(await under(filter, "/bin/sh", "-c", sorted), "3");
  const threads = `
import socket, subprocess, threading
one, other = socket.socketpair()
thread = threading.Thread(target=lambda: one.sendall(subprocess.check_output(["echo", "said"])))
thread.start(); thread.join()
print(other.recv(10).decode())`;
  assertEquals(await under(filter, python, "-c", threads), "said");
  if (existsSync("/usr/bin/gcc")) {
    using directory = new Directory();
    const source = directory.file("main.c", "int main(void) { return 42; }");
    const compiled = `gcc -o ${directory.join("main")} ${source} && ${
      directory.join("main")
    }; echo $?`;
    assertEquals(await under(filter, "/bin/sh", "-c", compiled), "42");
  }
});

test("issue 17, 10: under the sandbox's filter this runtime works, and this package in it", {
  skip: needsFilters.skip ?? false,
}, async () => {
  const { code, stdout, stderr } = await runScript(
    `
    import { readFile } from "node:fs/promises";
    import { setTimeout } from "node:timers/promises";
    await setTimeout(1);
    const text = await readFile(new URL(import.meta.url), "utf8");
    console.log(text.length > 0, await new osexec.Command("echo", ["said"]).text());
    `,
    { runtime: [python, "-c", become, ...runtime], input: defaultSeccomp(here) },
  );
  assertEquals({ code, stdout: stdout.trim() }, { code: 0, stdout: "true said" }, stderr);
});
