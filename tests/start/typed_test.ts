/** "typed N" for issue 14, T and F for issue 22: what a caller gives is read once, whole, and refused by name. */

import { test } from "node:test";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  Command,
  type CommandOptions,
  type Credential,
  type Env,
  ExitError,
  OSFile,
  pipe,
  type ProcAttr,
  SpawnError,
  startProcess,
  type SysProcAttr,
} from "../../mod.ts";
import {
  decode,
  Directory,
  encode,
  helper,
  isDeno,
  isRoot,
  runScript,
  sh,
  wrong,
} from "../helper.ts";
import { withoutLeaks } from "../holdings.ts";

// ------------------------------------------------------------------ 1: what is misspelt

test("typed 1: an option that is none is refused, with its name here", () => {
  const cases: [options: object, words: string[]][] = [
    [{ sysProcattr: {} }, ["sysProcattr", "sysProcAttr"]],
    [{ cwd: "/" }, ["cwd", "dir"]],
    [{ uid: 1 }, ["uid", "sysProcAttr.credential"]],
    [{ killSignal: "SIGTERM" }, ["killSignal", "cancel"]],
    [{ shell: true }, ["shell", "sh"]],
    [{ stdio: "inherit" }, ["stdio", "stdin"]],
    [{ nonsense: 1 }, ["nonsense"]],
    [Object.create({ cwd: "/" }), ["cwd"]],
  ];
  for (const [options, words] of cases) {
    const error = assertThrows(() => new Command("true", [], options), TypeError);
    for (const each of words) assertStringIncludes(error.message, each);
  }
  // What is undefined is not there.
  new Command("true", [], wrong<CommandOptions>({ cwd: undefined, dir: undefined }));
});

test("typed 1: a Command's own unknown property is refused at the start, a subclass's is not", async () => {
  const command = new Command("true");
  Object.assign(command, { cwd: "/" });
  assertStringIncludes(assertThrows(() => command.start(), TypeError).message, "dir");
  class Mine extends Command {
    note = "mine";
  }
  await new Mine("true").run();
});

test("typed 1: at every level below an unknown name is refused by SpawnError's step request", () => {
  const cases: [attr: object, words: string[]][] = [
    [{ cwd: "/" }, ["attr has no field cwd", "dir"]],
    [{ sys: { uid: 1 } }, ["sys has no field uid"]],
    [{ sys: { credential: { uid: 0, gid: 0, supplementaryGroups: [27] } } }, [
      "supplementaryGroups",
      "groups",
    ]],
    [{ sys: { rlimits: { NOFILE: { soft: 1, hard: 1, max: 2 } } } }, ["rlimits.NOFILE", "max"]],
    [{ sys: { uidMappings: [{ containerId: 0, hostID: 0, size: 1 }] } }, [
      "containerId",
      "containerID",
    ]],
  ];
  for (const [attr, words] of cases) {
    const error = assertThrows(
      () => startProcess(helper, ["helper", "exit", "0"], wrong<ProcAttr>(attr)),
      SpawnError,
    );
    assertEquals(error.step, "request");
    for (const each of words) assertStringIncludes(error.message, each);
  }
});

// ------------------------------------------------------------------ 2: read once, through getters and prototypes

/** Counts how often it is looked at. */
class Once {
  reads = 0;
  readonly #value: number;
  constructor(value: number) {
    this.#value = value;
  }
  get umask(): number {
    this.reads += 1;
    return this.#value;
  }
}

test("typed 2: attributes count through getters and prototypes, once, and in a clone", async () => {
  class Masked {
    get umask(): number {
      return 0o27;
    }
  }
  for (const sysProcAttr of [new Masked(), Object.create({ umask: 0o27 })]) {
    const command = sh("umask", { sysProcAttr });
    const clone = command.clone();
    assertEquals(await command.text(), "0027\n");
    assertEquals(await clone.text(), "0027\n");
    assertStringIncludes(clone.clone().explain(), "umask 027");
  }
  const { umask: _, ...rest } = Object.getOwnPropertyDescriptors(Once.prototype);
  assert(!("umask" in rest));
  let reads = 0;
  const sys = Object.defineProperty({}, "umask", {
    enumerable: true,
    get: () => reads++ === 0 ? 0o22 : 0o77,
  });
  const child = sh("umask", { sysProcAttr: sys });
  assertEquals([await child.text(), reads], ["0022\n", 1]);
});

test("typed 2: limits count through prototypes, and without one, and in a clone", async () => {
  const limits: NonNullable<SysProcAttr["rlimits"]>[] = [
    Object.create({ NOFILE: 64 }),
    Object.assign(Object.create(null), { NOFILE: 64 }),
    { NOFILE: Object.create({ soft: 64, hard: 64 }) },
  ];
  for (const rlimits of limits) {
    const command = sh("ulimit -n", { sysProcAttr: { rlimits } });
    assertEquals(await command.clone().clone().text(), "64\n");
    assertEquals(await command.text(), "64\n");
  }
});

test("typed 2: a credential counts in a clone", { skip: !isRoot && "needs root" }, async () => {
  class Nobody implements Credential {
    get uid(): number {
      return 65534;
    }
    get gid(): number {
      return 65534;
    }
  }
  const command = new Command("id", ["-u"], { sysProcAttr: { credential: new Nobody() } });
  assertEquals(await command.clone().text(), "65534\n");
  assertEquals(await command.text(), "65534\n");
});

test("typed 2: an environment counts through prototypes, and each variable is read once", async () => {
  let reads = 0;
  const env: Env = Object.defineProperty(Object.create({ UP: "1", BOTH: "up" }), "BOTH", {
    enumerable: true,
    get: () => `own ${++reads}`,
  });
  assertEquals(await new Command("/usr/bin/env", [], { env }).text(), "BOTH=own 1\nUP=1\n");
  const bare: Env = Object.assign(Object.create(null), { isPrototypeOf: "x" });
  assertEquals(await new Command("/usr/bin/env", [], { env: bare }).text(), "isPrototypeOf=x\n");
});

test("typed 2: a clone shares nothing of its attributes", () => {
  const sysProcAttr = { credential: { uid: 1, gid: 1, groups: [1] } };
  const clone = new Command("true", [], { sysProcAttr }).clone();
  sysProcAttr.credential.uid = 0;
  sysProcAttr.credential.groups.push(27);
  assertEquals(clone.sysProcAttr?.credential?.uid, 1);
  assertEquals(clone.sysProcAttr?.credential?.groups, [1]);
});

// ------------------------------------------------------------------ 3: kinds

test("typed 3: values of other kinds are refused by name", async () => {
  const a = (args: unknown, options?: unknown): unknown =>
    new Command("ls", wrong<string[]>(args), wrong<CommandOptions>(options));
  for (const args of ["-la", { dir: "/" }, null, new Set(["-l"])]) {
    assertThrows(() => a(args), TypeError, "arguments");
  }
  assertThrows(() => a([], "options"), TypeError, "options");
  for (const waitDelay of ["200", 5n, NaN, -1, null]) {
    const command = sh("true", wrong<CommandOptions>({ waitDelay }));
    if (waitDelay === null) await command.run();
    else assertThrows(() => command.start(), TypeError, "waitDelay");
  }
  const env = wrong<Env>(new Map([["A", "1"]]));
  assertThrows(() => sh("true", { env }).start(), TypeError, "Map");
  const { signal } = new AbortController();
  assertThrows(
    () => sh("true", { signal, cancel: wrong<"SIGTERM">("SIGNOPE") }).start(),
    TypeError,
  );
  assertThrows(() => sh("true", { signal: wrong<AbortSignal>({}) }).start(), TypeError, "signal");
});

test("typed 3: a limit may be a bigint, up to no limit at all", async () => {
  const limit = (value: unknown): Command =>
    sh("ulimit -f", { sysProcAttr: { rlimits: { FSIZE: wrong<number>(value) } } });
  const shown = (value: unknown): string =>
    /rlimit (FSIZE .*)/.exec(limit(value).explain())?.[1] ?? "";
  assertEquals(await limit(1024n).text(), "2\n");
  assertEquals(shown(2n ** 60n + 1n), "FSIZE 1152921504606846977:1152921504606846977");
  assertEquals(shown(Infinity), "FSIZE unlimited:unlimited");
  assertEquals(shown(2n ** 64n - 1n), "FSIZE unlimited:unlimited");
  assertEquals(shown({ soft: 5, hard: 2n ** 60n }), "FSIZE 5:1152921504606846976");
  for (const value of [-1, -1n, 2n ** 64n, 2 ** 60, 0.5, NaN, { soft: 2n, hard: 1 }]) {
    const error = assertThrows(() => limit(value).explain(), SpawnError, "FSIZE");
    assertEquals(error.step, "request");
  }
  for (const value of ["5", true, { soft: 1, hard: "2" }, { soft: 1 }]) {
    assertThrows(() => limit(value).explain(), TypeError, "FSIZE");
  }
});

test("typed 3: a signal that is none says what it was for", () => {
  const sysProcAttr = { pdeathsig: 99 };
  assertThrows(() => sh("", { sysProcAttr }).start(), TypeError, "pdeathsig: Unknown signal 99");
  const cancel = wrong<"SIGTERM">("SIGNOPE");
  const signal = new AbortController().signal;
  assertThrows(() => sh("", { cancel, signal }).start(), TypeError, "cancel: Unknown signal");
});

test("typed 3: a system without a library is a PlatformError, at the first use", async () => {
  const pretend = isDeno
    ? `Object.defineProperty(Deno, "build", { value: { ...Deno.build, os: "plan9" } });`
    : `Object.defineProperty(process, "platform", { value: "plan9" });`;
  const { code, stdout, stderr } = await runScript(`
    ${pretend}
    try { osexec.startProcess("/bin/true", []); } catch (error) {
      console.log(error.name, error.platform, error instanceof osexec.PlatformError);
    }`);
  assertEquals([code, stdout, stderr], [0, "PlatformError plan9 true\n", ""]);
});

test("typed 3: cancel may be a signal, and so may what kill() sends", async () => {
  const controller = new AbortController();
  const command = sh("exec sleep 60", { signal: controller.signal, cancel: "SIGTERM" });
  const child = command.start();
  controller.abort();
  assertEquals((await assertRejects(() => command.wait(), ExitError)).signal, "SIGTERM");
  assert(command.processState !== undefined);
  const other = startProcess("/bin/sleep", ["sleep", "60"], { files: [null, null, null] });
  other.kill("SIGINT");
  assertEquals((await other.wait()).signal, "SIGINT");
  assertEquals(child.pid, command.processState.pid);
});

// ------------------------------------------------------------------ 22: what is read, and how

const numbers = [-1, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 53, 1e300, -(2 ** 31)];

test("T2, F2: a descriptor's number is never cut", async () => {
  await withoutLeaks(() => {
    for (const fd of numbers) {
      const starts: (() => unknown)[] = [
        () => startProcess(helper, ["helper", "exit", "0"], { files: [null, fd, null] }),
        () => new Command(helper, ["exit", "0"], { stdout: fd }).start(),
        () => new Command(helper, ["exit", "0"], { stdin: fd }).runSync(),
        () => new Command(helper, ["exit", "0"], { extraFiles: [fd] }).start(),
        () => new Command(helper, ["exit", "0"], { sysProcAttr: { cgroupFD: fd } }).start(),
      ];
      for (const start of starts) {
        const error = assertThrows(start, SpawnError);
        assertEquals(error.step, "request");
        assert(/file \d|cgroupFD/.test(error.message), error.message);
      }
      assertThrows(() => OSFile.fromFd(fd), RangeError);
    }
  });
});

test("T8: what Object.prototype has never counts", async () => {
  const polluted: Record<string, unknown> = {
    env: { EVIL: "1" },
    dir: "/nonexistent",
    sysProcAttr: { umask: 0o77 },
    sys: { umask: 0o77 },
    files: [null, null, null],
    credential: { uid: 1, gid: 1 },
    chroot: "/nonexistent",
    stdin: "evil",
    input: "evil",
    signal: AbortSignal.abort(),
    cancel: () => {},
    waitDelay: 1,
    extraFiles: [0],
    soft: 1,
    groups: [27],
    closeFds: false,
  };
  const plain = new Command("sh", ["-c", "umask; id -u; pwd; cat"], { sysProcAttr: {} });
  const expected = await plain.clone().text();
  const explained = plain.explain();
  for (const [name, value] of Object.entries(polluted)) {
    Object.defineProperty(Object.prototype, name, {
      value,
      configurable: true,
      enumerable: true,
      writable: true,
    });
    try {
      const command = new Command("sh", ["-c", "umask; id -u; pwd; cat"], { sysProcAttr: {} });
      assertEquals(command.explain(), explained, name);
      assertEquals(decode(command.outputSync()), expected, name);
      const state = startProcess(helper, ["helper", "exit", "0"]).waitSync();
      assertEquals(state.exitCode, 0, name);
      assertEquals(command.clone().explain(), explained, name);
    } finally {
      Reflect.deleteProperty(Object.prototype, name);
    }
  }
});

test("F18: nothing of the caller's is looked at twice, so that a start within a start disturbs nothing", async () => {
  let reads = 0;
  const argv = new Proxy(["echo", "outer"], {
    get(target, key): unknown {
      reads += 1;
      if (reads < 20) startProcess("/bin/true", ["true"]).waitSync();
      return Reflect.get(target, key);
    },
  });
  const [reading, writing] = pipe();
  const state = await startProcess("/bin/echo", argv, { files: [null, writing, 2] }).wait();
  assertEquals(state.exitCode, 0);
  const bytes = new Uint8Array(10);
  assertEquals(decode(bytes.subarray(0, await reading.read(bytes) ?? 0)), "outer\n");
  class Joined extends Array<string> {
    override join(): string {
      return "other";
    }
  }
  const joined = Joined.from(["-c", "echo checked"]);
  assertEquals(await new Command("sh", joined).text(), "checked\n");
  for (const end of [reading, writing]) end.close();
});

test("F14: an array's own length says nothing", async () => {
  const [reading, writing] = pipe();
  writing.writeSync(new Uint8Array(60_000).fill(65));
  const arrays = Array.from({ length: 50 }, () => new Uint8Array(1024));
  class Longer extends Uint8Array {
    override get length(): number {
      return 60_000;
    }
  }
  const own = Object.defineProperty(new Uint8Array(1024), "length", { value: 60_000 });
  for (const liar of [own, new Longer(1024)]) {
    assertEquals(await reading.read(liar), 1024);
    assertEquals(reading.readSync(liar), 1024);
  }
  assert(arrays.every((array) => array.every((byte) => byte === 0)));
  const short = Object.defineProperty(encode("whole"), "length", { value: 1 });
  const [second, other] = pipe();
  assertEquals(await other.write(short), 5);
  assertEquals(await second.read(new Uint8Array(9)), 5);
  for (const end of [reading, writing, second, other]) end.close();
});

test("T5: read() into a buffer that is gone meanwhile is an error, and nothing is read", async () => {
  const [reading, writing] = pipe();
  const gone = new Uint8Array(100);
  const resized = new Uint8Array(new ArrayBuffer(100, { maxByteLength: 100 }));
  for (
    const spoil of [
      () => structuredClone(gone, { transfer: [gone.buffer] }),
      () => wrong<{ resize(length: number): void }>(resized.buffer).resize(0),
    ]
  ) {
    const pending = reading.read(gone.length > 0 ? gone : resized);
    spoil();
    writing.writeSync(encode("data"));
    await assertRejects(() => pending, TypeError, "transferred or resized");
    assertEquals(await reading.read(new Uint8Array(9)), 4);
  }
  assertEquals(await reading.read(new Uint8Array(0)), 0);
  for (const end of [reading, writing]) end.close();
});

test("T1: what lines() has read ahead goes with the file, or the start is refused", async () => {
  using directory = new Directory();
  const path = directory.file("file", "header\nbody1\nbody2\n");
  for (const how of ["stdin", "extraFiles"] as const) {
    using file = OSFile.open(path);
    for await (const line of file.lines()) {
      assertEquals(line, "header");
      break;
    }
    const command = how === "stdin"
      ? new Command("cat", [], { stdin: file })
      : sh("cat <&3", { extraFiles: [file] });
    assertEquals(await command.text(), "body1\nbody2\n");
  }
  const from = new Command("printf", ["header\\nbody1\\n"]);
  using out = from.stdoutPipe();
  await from.run();
  for await (const _ of out.lines()) break;
  const refused = new Command("cat", [], { stdin: out });
  const error = await assertRejects(() => refused.text(), SpawnError);
  assertEquals(error.step, "request");
  assertStringIncludes(error.message, "file 0 holds 6 bytes");
  // Nothing is lost by it.
  assertEquals(await new Command("cat", [], { stdin: out.readable }).text(), "body1\n");
});
