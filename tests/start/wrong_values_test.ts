/**
 * "typed 3" for issue 14: every public function, method and option is given every kind of wrong value. What it does not
 * take it refuses by an error of the contract that names the argument; nothing is taken in silence, and no engine's
 * own words come through.
 */

import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import {
  ClosedError,
  Command,
  type CommandOptions,
  exec,
  ExecError,
  ExitError,
  findProcess,
  lookPath,
  observe,
  openPty,
  OSFile,
  pipe,
  type Process,
  quote,
  reapOrphans,
  socketPair,
  SpawnError,
  startProcess,
  StateError,
  SyscallError,
  TimeoutError,
} from "../../mod.ts";
import { trace } from "../../trace.ts";
import { wrong } from "../helper.ts";
import { withoutLeaks } from "../holdings.ts";
import { needsLinuxChild, needsPidfdOpen } from "../refused.ts";

/** One of each kind; made anew, as some are used up. */
function values(): unknown[] {
  return [
    undefined,
    null,
    true,
    false,
    0,
    -1,
    -0,
    0.5,
    NaN,
    Infinity,
    -Infinity,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    1e300,
    1n,
    -1n,
    2n ** 64n,
    "",
    "x",
    "5",
    "a\0b",
    "\ud800",
    "SIGNOPE",
    "inherit",
    Symbol("s"),
    {},
    { fd: -1 },
    { fd: "0" },
    { length: 3 },
    { unknown: 1 },
    Object.create(null),
    [],
    [[]],
    [null],
    [1],
    [Symbol("s")],
    ["a\0b"],
    () => {},
    class {},
    new Date(0),
    new Map([["A", "1"]]),
    new Set(),
    new Uint8Array([65, 66]),
    new ArrayBuffer(2),
    new DataView(new ArrayBuffer(2)),
    /x/,
    new Error("x"),
    Promise.resolve(1),
    new Proxy({}, {}),
    new URL("https://example.org/x"),
  ];
}

/** What is tried: a way to give one argument, the name that a refusal has, and what is no wrong value there. */
interface Trial {
  readonly what: string;
  readonly names: RegExp;
  give(value: unknown): unknown;
  takes(value: unknown): boolean;
  /** What is taken or refused, as this user and this machine may or may not. */
  readonly depends?: (value: unknown) => boolean;
}

const contract = [
  TypeError,
  RangeError,
  ClosedError,
  ExecError,
  ExitError,
  SpawnError,
  StateError,
  SyscallError,
];

/** How engines say that a value was not what code had counted on. */
const engine =
  /is not a function|cannot read|not iterable|undefined is|null is|is not a constructor|private|cannot convert|can't convert|Cannot mix|\bFFI\b/i;

const isText = (value: unknown): boolean =>
  value instanceof Uint8Array || (typeof value === "string" && !/[\0\ud800]/.test(value));
const isAbsent = (value: unknown): boolean => value === undefined;
const whole = (least: number, most: number) => (value: unknown): boolean =>
  typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
const either = (...tests: ((value: unknown) => boolean)[]) => (value: unknown): boolean =>
  tests.some((test) => test(value));
/** Records without a field. */
const isEmpty = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).length === 0 &&
  Object.prototype.toString.call(value) === "[object Object]";
const isList = (items: (item: unknown) => boolean) => (value: unknown): boolean =>
  Array.isArray(value) && value.every(items);
const isBytes = (value: unknown): boolean => ArrayBuffer.isView(value);
const isStopped = async (action: () => Process): Promise<void> => {
  const process = action();
  await process.wait();
};

/** Where it is not the option's own. */
const nameOf: ReadonlyMap<string, RegExp> = new Map([
  ["dir", /dir/],
  ["env", /environment/i],
  ["stdin", /stdin|file 0/],
  ["input", /input|stdin/],
  ["stdout", /stdout|file 1/],
  ["stderr", /stderr|file 2/],
  ["extraFiles", /extraFiles|file \d/],
  ["sysProcAttr", /sys/],
  ["cancel", /cancel/i],
]);

function option(name: keyof CommandOptions, takes: Trial["takes"]): Trial {
  return {
    what: `CommandOptions.${name}`,
    names: nameOf.get(name) ?? new RegExp(name, "i"),
    give: async (value) => {
      const others = name === "cancel" ? { signal: new AbortController().signal } : {};
      const make = (): Command =>
        new Command("/bin/true", [], { ...others, [name]: wrong<undefined>(value) });
      // Both say the same.
      const explained = refusalOf(() => make().explain());
      try {
        await make().run();
      } catch (error) {
        assert(error instanceof Error);
        // A moment may be too short even for this one.
        if (error instanceof ExitError && error.cause instanceof TimeoutError) {
          return assertEquals(explained, undefined, `explain() with ${name}`);
        }
        // What only the kernel can tell, or only reading the source.
        if (error instanceof SpawnError && error.step !== "request") throw error;
        if (error.message.startsWith("a chunk of")) throw error;
        assertEquals(explained?.message, error.message, `explain() with ${name}`);
        throw error;
      }
      assertEquals(explained, undefined, `explain() with ${name}`);
    },
    takes: either(isAbsent, takes),
  };
}

function refusalOf(action: () => unknown): Error | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    assert(error instanceof Error);
    return error;
  }
}

const attributeNames: ReadonlyMap<string, RegExp> = new Map([
  ["env", /environment/i],
  ["files", /file/],
  ["sys.credential", /credential|uid/],
  ["sys.cgroupFD", /cgroup/],
  ["sys.ambientCaps", /ambientCaps|capabilit/],
]);

function attribute(
  path: string,
  takes: Trial["takes"],
  depends: Trial["takes"] = () => false,
): Trial {
  const keys = path.split(".");
  return {
    what: `ProcAttr.${path}`,
    names: attributeNames.get(path) ?? new RegExp(keys.at(-1) ?? "", "i"),
    give: (value) => {
      let attr = value;
      for (const key of [...keys].reverse()) attr = { [key]: attr };
      const whole = { uid: process.getuid?.(), gid: process.getgid?.(), noSetGroups: true };
      const complete = keys.length > 2 && keys[1] === "credential"
        ? merge(attr, { sys: { credential: whole } })
        : attr;
      return isStopped(() => startProcess("/bin/true", ["true"], wrong(complete)));
    },
    takes: either(isAbsent, takes),
    depends,
  };
}

/** One that a child through libc cannot have. */
function ofLinux(
  path: string,
  takes: Trial["takes"],
  depends: Trial["takes"] = () => false,
): Trial {
  return attribute(
    path,
    takes,
    needsLinuxChild === false ? depends : (value) => takes(value) || depends(value),
  );
}

/** One that may not be absent. */
function required(path: string): Trial {
  return { ...attribute(path, () => false, whole(0, 0xfffffffe)), takes: () => false };
}

/** What `defaults` has and `value` has not. */
function merge(value: unknown, defaults: object): unknown {
  if (typeof value !== "object" || value === null) return value;
  const merged: Record<string, unknown> = { ...value };
  for (const [key, other] of Object.entries(defaults)) {
    if (!(key in merged)) merged[key] = other;
    else if (typeof other === "object" && other !== null) merged[key] = merge(merged[key], other);
  }
  return merged;
}

/** { fd: "0" } is one. */
const isVariables = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).length === 1 &&
  Object.values(value).every((each) => each === "0");
function isData(value: unknown): boolean {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value) || value instanceof Set ||
    isList((item) => typeof item === "string")(value);
}

const isEnv = either(
  isEmpty,
  isVariables,
  isList((item) => typeof item === "string" && item.includes("=") && !item.includes("\0")),
);
const isFd = either(whole(0, 2));
const isOutput = either(isFd, (value) => value === "inherit");
const isOutputs = (value: unknown): boolean =>
  isList(isOutput)(value) && Array.isArray(value) && value.length > 0;

const trials: Trial[] = [
  {
    what: "new Command(program)",
    names: /command|argument|path|"x"|executable|exec/i,
    give: (program) => new Command(wrong(program)).run(),
    takes: () => false,
  },
  {
    what: "new Command(, args)",
    names: /argument/,
    give: (args) => new Command("/bin/true", wrong(args)).run(),
    takes: either(isAbsent, isList(isText)),
  },
  {
    what: "new Command(, [argument])",
    names: /argument 1/,
    give: (argument) => new Command("/bin/true", [wrong(argument)]).run(),
    takes: isText,
  },
  {
    what: "new Command(, , options)",
    names: /options|unknown|fd|length/i,
    give: (options) => new Command("/bin/true", [], wrong(options)).run(),
    takes: either(isAbsent, isEmpty),
  },
  option("env", isEnv),
  option("extraEnv", either(isEmpty, isVariables)),
  option("dir", (value) => value === ""),
  option(
    "stdin",
    (value) => isFd(value) || value === "inherit" || typeof value === "string" || isData(value),
  ),
  option("input", (value) => typeof value === "string" || isData(value)),
  option("stdout", either(isOutput, isOutputs)),
  option("stderr", either(isOutput, isOutputs)),
  option(
    "extraFiles",
    either(isList(either(isFd, (item) => item === null)), (value) => value === null),
  ),
  option("label", (value) => typeof value === "string"),
  option("pty", either((value) => typeof value === "boolean", isEmpty)),
  option("signal", (value) => value === null),
  option("cancel", either((value) => value === null || typeof value === "function", whole(0, 64))),
  option("timeout", (value) => typeof value === "number" && value > 0),
  option("tree", () => false),
  {
    ...option("endWithParent", either((value) => typeof value === "boolean", whole(1, 64))),
    names: /endWithParent|pdeathsig/,
    depends: () => needsLinuxChild !== false,
  },
  option("waitDelay", (value) => value === null || (typeof value === "number" && value >= 0)),
  option("sysProcAttr", isEmpty),
  {
    what: "startProcess(name)",
    names: /path|fork\/exec/,
    give: (name) => isStopped(() => startProcess(wrong(name), ["x"])),
    takes: () => false,
  },
  {
    what: "startProcess(, argv)",
    names: /argument/,
    give: (argv) => isStopped(() => startProcess("/bin/true", wrong(argv))),
    takes: isList(isText),
  },
  {
    what: "startProcess(, , attr)",
    names: /attr/,
    give: (attr) => isStopped(() => startProcess("/bin/true", ["true"], wrong(attr))),
    takes: either(isAbsent, isEmpty),
  },
  attribute("dir", (value) => value === ""),
  attribute("env", isEnv),
  attribute("files", isList(either(isFd, (item) => item === null))),
  attribute("sys", isEmpty),
  attribute("sys.chroot", (value) => value === ""),
  attribute("sys.credential", () => false),
  required("sys.credential.uid"),
  required("sys.credential.gid"),
  // Without it the groups are dropped, which is root's to do.
  attribute(
    "sys.credential.noSetGroups",
    (value) => typeof value === "boolean",
    (value) => value === undefined || value === false,
  ),
  // What is traced is this process's to go on with: true is given by others.
  { ...attribute("sys.ptrace", (value) => value === false), depends: (value) => value === true },
  attribute("sys.setsid", (value) => typeof value === "boolean"),
  attribute("sys.setpgid", (value) => typeof value === "boolean"),
  attribute("sys.pgid", (value) => typeof value === "number"),
  attribute("sys.setctty", (value) => value === false),
  attribute("sys.noctty", (value) => value === false),
  attribute("sys.ctty", (value) => typeof value === "number"),
  attribute("sys.foreground", (value) => value === false),
  attribute("sys.pdeathsig", () => false),
  attribute("sys.cloneflags", whole(0, 0)),
  attribute("sys.unshareflags", whole(0, 0)),
  attribute("sys.uidMappings", () => false),
  attribute("sys.gidMappings", () => false),
  attribute("sys.gidMappingsEnableSetgroups", (value) => typeof value === "boolean"),
  attribute("sys.ambientCaps", isList(() => false), isList((item) => item === 1)),
  attribute("sys.cgroupFD", () => false),
  attribute("sys.umask", whole(0, 0o777)),
  attribute("sys.rlimits", isEmpty),
  attribute("sys.rlimits.CORE", (value) => value === 0, (value) => typeof value !== "object"),
  attribute("sys.nice", whole(0, 19), whole(-20, 19)),
  attribute(
    "sys.noNewPrivs",
    (value) => typeof value === "boolean",
    () => needsLinuxChild !== false,
  ),
  ofLinux("sys.capabilities", isEmpty),
  ofLinux("sys.capabilities.bounding", () => false, isList(whole(0, 40))),
  ofLinux("sys.capabilities.securebits", () => false, whole(0, 0xfff)),
  ofLinux("sys.newKeyring", (value) => value === false, (value) => value === true),
  ofLinux("sys.dumpable", (value) => typeof value === "boolean"),
  ofLinux("sys.landlock", isEmpty),
  ofLinux("sys.landlock.read", () => false, isList(isText)),
  ofLinux("sys.landlock.scoped", (value) => value === false, (value) => value === true),
  ofLinux("sys.seccomp", () => false),
  { ...ofLinux("sys.seccomp.default", () => false), takes: () => false },
  ofLinux("sys.affinity", () => false, isList(whole(0, 8191))),
  ofLinux("sys.scheduler", () => false),
  { ...ofLinux("sys.scheduler.policy", () => false), takes: () => false },
  ofLinux("sys.ioPriority", () => false),
  { ...ofLinux("sys.ioPriority.class", () => false), takes: () => false },
  ofLinux("sys.timerSlack", whole(1, Number.MAX_SAFE_INTEGER)),
  ofLinux("sys.memoryPolicy", () => false),
  { ...ofLinux("sys.memoryPolicy.mode", () => false), takes: () => false },
  ofLinux("sys.oomScoreAdj", () => false, whole(-1000, 1000)),
  ofLinux("sys.coredumpFilter", whole(0, 0x1ff)),
  ofLinux("sys.personality", whole(0, 0xffff_fffe)),
  attribute("sys.closeFds", (value) => typeof value === "boolean"),
  attribute("sys.listenFds", (value) => value === false),
  {
    what: "exec(program)",
    names: /path|exec /,
    give: (program) => exec(wrong(program), ["x"]),
    takes: () => false,
  },
  {
    what: "exec(, args)",
    names: /argument|exec \/nonexistent/,
    give: (args) => exec("/nonexistent", wrong(args)),
    takes: () => false,
  },
  {
    what: "exec(, , env)",
    names: /env|exec \/nonexistent/i,
    give: (env) => exec("/nonexistent", ["x"], wrong(env)),
    takes: () => false,
  },
  {
    what: "findProcess(pid)",
    names: /process id|has the id/,
    give: (pid) => findProcess(wrong(pid)).release(),
    takes: whole(1, 0x7fffffff),
  },
  {
    what: "reapOrphans(options)",
    names: /options|unknown|fd|length/i,
    give: (options) => reapOrphans(wrong(options))[Symbol.dispose](),
    takes: either(isAbsent, isEmpty),
    depends: () => needsPidfdOpen !== false,
  },
  {
    what: "reapOrphans({ onOrphan })",
    names: /onOrphan/,
    give: (onOrphan) => reapOrphans(wrong({ onOrphan }))[Symbol.dispose](),
    takes: either(isAbsent, (value) => typeof value === "function"),
    depends: () => needsPidfdOpen !== false,
  },
  {
    what: "lookPath(file)",
    names: /program|exec: /,
    give: (file) => lookPath(wrong(file)),
    takes: () => false,
  },
  {
    what: "quote(word)",
    names: /word/,
    give: (word) => quote(wrong(word)),
    takes: (value) => typeof value === "string" && !value.includes("\0"),
  },
  {
    what: "observe(observer)",
    names: /observer/,
    give: (observer) => observe(wrong(observer))[Symbol.dispose](),
    takes: (value) => typeof value === "function",
  },
  {
    what: "trace(options)",
    names: /options|unknown|fd|length/,
    give: (options) => trace(wrong(options))[Symbol.dispose](),
    takes: either(isAbsent, isEmpty),
  },
  {
    what: "trace({ api })",
    names: /api/,
    give: (api) => trace({ api: wrong(api) })[Symbol.dispose](),
    takes: isAbsent,
  },
  {
    what: "trace({ args })",
    names: /args/,
    give: (args) => trace({ args: wrong(args) })[Symbol.dispose](),
    takes: either(isAbsent, (value) => typeof value === "boolean"),
  },
  {
    what: "OSFile.open(path)",
    names: /path|open /,
    give: (path) => OSFile.open(wrong(path)).close(),
    takes: () => false,
  },
  {
    what: "OSFile.open(, flags)",
    names: /flags|open a file|open \/dev\/null/i,
    give: (flags) => OSFile.open("/dev/null", wrong(flags)).close(),
    takes: either(isAbsent, whole(0, 0)),
  },
  {
    what: "OSFile.open(, , mode)",
    names: /mode/,
    give: (mode) => OSFile.open("/dev/null", "r", wrong(mode)).close(),
    takes: either(isAbsent, whole(0, 0o7777)),
  },
  {
    what: "OSFile.openAsync(path)",
    names: /path|open /,
    give: async (path) => (await OSFile.openAsync(wrong(path))).close(),
    takes: () => false,
  },
  {
    what: "OSFile.openAsync(, , , options)",
    names: /options|signal|unknown|fd|length/,
    give: async (options) => (await OSFile.openAsync("/dev/null", "r", 0, wrong(options))).close(),
    takes: either(isAbsent, isEmpty),
  },
  {
    what: "OSFile.openAsync(, , , { signal })",
    names: /signal/,
    give: async (signal) =>
      (await OSFile.openAsync("/dev/null", "r", 0, { signal: wrong(signal) })).close(),
    takes: either(isAbsent, (value) => value === null),
  },
  {
    what: "socketPair(type)",
    names: /pair of sockets/,
    give: (type) => socketPair(wrong(type)).forEach((end) => end.close()),
    takes: isAbsent,
  },
  {
    what: "openPty(options)",
    names: /options|unknown|fd|length|PtyOptions/,
    give: (options) => openPty(wrong(options)).forEach((side) => side.close()),
    takes: either(isAbsent, isEmpty),
  },
  ...(["columns", "rows", "mode"] as const).map((name): Trial => ({
    what: `openPty({ ${name} })`,
    names: new RegExp(name),
    give: (value) => openPty({ [name]: wrong<undefined>(value) }).forEach((side) => side.close()),
    takes: isAbsent,
  })),
  {
    what: "OSFile.fromFd(fd)",
    names: /descriptor/,
    give: (fd) => void OSFile.fromFd(wrong(fd)),
    takes: whole(0, 0x7fffffff),
  },
  {
    what: "OSFile.fromFd(, name)",
    names: /name/,
    give: (name) => void OSFile.fromFd(0, wrong(name)),
    takes: either(isAbsent, (value) => typeof value === "string"),
  },
  {
    what: "OSFile.fromFd(, , options)",
    names: /options|FromFdOptions/,
    give: (options) => void OSFile.fromFd(0, "0", wrong(options)),
    takes: either(isAbsent, isEmpty),
  },
  {
    what: "OSFile.fromFd(, , { dup })",
    names: /dup/,
    give: (dup) => {
      const file = OSFile.fromFd(0, "0", { dup: wrong(dup) });
      if (dup === true) file.close();
    },
    takes: either(isAbsent, (value) => typeof value === "boolean"),
  },
];

const shown = (value: unknown): string => {
  try {
    return `${typeof value} ${
      JSON.stringify(value, (_, item) => typeof item === "bigint" ? `${item}n` : item) ??
        String(value)
    }`;
  } catch {
    return typeof value;
  }
};

const never = Symbol("never");
const late = (): Promise<unknown> =>
  new Promise((resolve) => setTimeout(() => resolve(never), 5_000).unref?.());

/** What is wrong with the answer to one value, or undefined. */
async function faultOf(trial: Trial, value: unknown): Promise<string | undefined> {
  const taken = trial.takes(value);
  const told = `${trial.what} = ${shown(value)}`;
  const depends = trial.depends?.(value) ?? false;
  if (depends && trial.what.endsWith("ptrace")) return undefined;
  try {
    if (await Promise.race([trial.give(value), late()]) === never) return `${told}: never settles`;
  } catch (error) {
    if (!(error instanceof Error)) return `${told}: threw ${String(error)}`;
    const said = `${error.name}: ${error.message}`;
    if (depends) return undefined;
    if (taken && trial.what !== "OSFile.open(, flags)") return `${told}: is to be taken: ${said}`;
    if (!contract.some((type) => error instanceof type)) return `${told}: untyped: ${said}`;
    if (!trial.names.test(error.message)) return `${told}: does not name it: ${said}`;
    if (error.constructor === TypeError && engine.test(error.message)) {
      return `${told}: the engine's words: ${said}`;
    }
    return undefined;
  }
  return taken || depends ? undefined : `${told}: was taken`;
}

async function tryAll(list: readonly Trial[]): Promise<number> {
  const faults: string[] = [];
  let count = 0;
  for (const trial of list) {
    for (const value of values()) {
      count++;
      const fault = await faultOf(trial, value);
      if (fault !== undefined) faults.push(fault);
    }
  }
  assertEquals(faults, []);
  return count;
}

test("typed 3: every function and option refuses every wrong value by name", async () => {
  await withoutLeaks(async () => {
    const count = await tryAll(trials);
    console.log(`typed 3: ${count} wrong and right values given to ${trials.length} arguments`);
  });
});

test("typed 3: every method refuses every wrong value by name", async () => {
  await withoutLeaks(async () => {
    const child = startProcess("/bin/sleep", ["sleep", "1000"]);
    const [reading, writing] = pipe();
    const fill = (): number => writing.writeSync(new Uint8Array(8));
    const [terminal, side] = openPty();
    await using cat = new Command("cat");
    const dialogue = cat.interact();
    const isSignal = either(whole(0, 0));
    const methods: Trial[] = [
      {
        what: "Process.signal(sig)",
        names: /signal/i,
        give: (sig) => child.signal(wrong(sig)),
        takes: isSignal,
      },
      {
        what: "Process.kill(sig)",
        names: /signal/i,
        give: (sig) => sig === undefined || child.kill(wrong(sig)),
        takes: either(isAbsent, isSignal),
      },
      ...(["read", "readSync"] as const).map((method): Trial => ({
        what: `OSFile.${method}(p)`,
        names: /array|view|buffer|bytes/i,
        give: (p) => {
          fill();
          return reading[method](wrong(p));
        },
        takes: isBytes,
      })),
      ...(["write", "writeSync"] as const).map((method): Trial => ({
        what: `OSFile.${method}(p)`,
        names: /array|view|buffer|bytes/i,
        give: (p) => writing[method](wrong(p)),
        takes: either(isBytes, (value) => typeof value === "string"),
      })),
      {
        what: "OSFile.writeString(text)",
        names: /is not a string/,
        give: (text) => writing.writeString(wrong(text)),
        takes: (value) => typeof value === "string",
      },
      {
        what: "Terminal.resize(columns)",
        names: /columns/,
        give: (columns) => terminal.resize(wrong(columns), 1),
        takes: () => false,
      },
      {
        what: "Terminal.resize(, rows)",
        names: /rows/,
        give: (rows) => terminal.resize(1, wrong(rows)),
        takes: () => false,
      },
      {
        what: "Terminal.setMode(mode)",
        names: /mode/,
        give: (mode) => terminal.setMode(wrong(mode)),
        takes: () => false,
      },
      {
        what: "Terminal.read(buffer)",
        names: /array|view|buffer|bytes/i,
        give: (buffer) => {
          side.writeSync(new Uint8Array(8));
          return terminal.read(wrong(buffer));
        },
        takes: isBytes,
      },
      {
        what: "Terminal.write(data)",
        names: /data/,
        give: (data) => terminal.write(wrong(data)),
        takes: either(
          isBytes,
          (value) => typeof value === "string" && !value.includes("\ud800"),
        ),
      },
      {
        what: "Dialogue.send(data)",
        names: /data/,
        give: (data) => dialogue.send(wrong(data)),
        takes: either(
          isBytes,
          (value) => typeof value === "string" && !value.includes("\ud800"),
        ),
      },
      {
        what: "Dialogue.expect(what)",
        names: /expect/,
        give: (what) => dialogue.expect(wrong(what), { timeout: 0 }),
        takes: () => false,
        // It has been said or not.
        depends: (value) => typeof value === "string" || value instanceof RegExp,
      },
      {
        what: "Dialogue.expect(, { timeout })",
        names: /timeout/,
        give: (timeout) => dialogue.expect("", { timeout: wrong(timeout) }),
        takes: either(isAbsent, (value) => typeof value === "number" && value >= 0),
      },
    ];
    const count = await tryAll(methods);
    console.log(`typed 3: ${count} wrong and right values given to ${methods.length} methods`);
    child.kill();
    await child.wait();
    terminal.close();
    side.close();
    reading.close();
    writing.close();
  });
});
