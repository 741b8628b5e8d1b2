/** What of a child's descendants ends with it: `tree`, and signals to a process group. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertFalse, assertRejects, assertThrows } from "@std/assert";
import { Rung } from "../../ffi/abi.ts";
import { forceRungs } from "../../ffi/request.ts";
import {
  CLONE_NEWPID,
  Command,
  type CommandOptions,
  ExitError,
  findProcess,
  OSFile,
  ProcessDoneError,
  SpawnError,
  startProcess,
  StateError,
  TimeoutError,
  type Tree,
  WaitDelayError,
} from "../../mod.ts";
import { ownCgroup } from "../../src/tree/proc.ts";
import { withoutLeaks } from "../holdings.ts";
import { needsPidfd } from "../refused.ts";
import { Directory, isRoot, sh, until, wrong } from "../helper.ts";

/** The three programs of issue 18. Each writes the pid of what it leaves behind into $0, and goes on or ends by $1. */
const leaving = {
  "a background job": 'sleep 1000 & echo $! >"$0"',
  "a double fork": '(sh -c \'sleep 1000 & echo $! >"$0"\' "$0") &',
  "an escapee by setsid": 'setsid sh -c \'echo $$ >"$0"; exec sleep 1000\' "$0" &',
} as const;

type Escape = keyof typeof leaving;

/** What it says to the reader: that the pid is written. */
const written = 'until [ -s "$0" ]; do sleep 0.01; done; echo ready';

/** What a test's command has left, which is killed at the end of the test. */
class Left implements Disposable {
  readonly #directory = new Directory();
  /** Where it writes that it has begun; and, in its environment, what tells it from others, by whatever pid. */
  readonly path = this.#directory.join("pid");

  /** The sleeps that run: a zombie that nobody has reaped yet does not. */
  get pids(): number[] {
    return readdirSync("/proc").map(Number).filter((pid) => {
      try {
        const isOurs = readFileSync(`/proc/${pid}/environ`, "utf8").includes(this.path);
        return isOurs && readFileSync(`/proc/${pid}/comm`, "utf8") === "sleep\n";
      } catch {
        return false;
      }
    });
  }

  get runs(): boolean {
    return this.pids.length > 0;
  }

  [Symbol.dispose](): void {
    for (const pid of this.pids) process.kill(pid, "SIGKILL");
    this.#directory[Symbol.dispose]();
  }
}

/** A command that leaves something behind, says so, and then does what `then` says. */
function leaver(left: Left, how: Escape, then: string, options: CommandOptions): Command {
  const script = `${leaving[how]}\n${written}; ${then}`;
  return command(left, script, options);
}

function command(left: Left, script: string, options: CommandOptions): Command {
  const extraEnv = { LEFT: left.path };
  return new Command("/bin/sh", ["-c", script, left.path], { ...options, extraEnv });
}

/** What the child itself goes on as: not as a sleep. */
const goesOn = "exec tail -f /dev/null >/dev/null";

/** The ways in which a command may end before its time. Each ends `command`, which has said that it is ready. */
const ends: Readonly<Record<string, (command: Command, abort: () => void) => Promise<void>>> = {
  async kill(command) {
    command.process?.kill();
    await assertRejects(() => command.wait(), ExitError);
  },
  async abort(command, abort) {
    const waiting = command.wait();
    abort();
    await assertRejects(() => waiting, ExitError);
  },
  async "await using"(command) {
    await command[Symbol.asyncDispose]();
  },
};

function aborter(): { readonly signal: AbortSignal; abort(): void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}

async function begun(command: Command): Promise<void> {
  const output = command.stdoutPipe();
  command.start();
  const bytes = new Uint8Array(6);
  await output.read(bytes);
  output.close();
}

const caught: Readonly<Record<Tree, readonly Escape[]>> = {
  process: [],
  group: ["a background job", "a double fork"],
  cgroup: ["a background job", "a double fork", "an escapee by setsid"],
  namespace: ["a background job", "a double fork", "an escapee by setsid"],
};

const escapes = Object.keys(leaving) as Escape[];

/** Why a tree cannot be had here, or false. */
function needs(tree: Tree): string | false {
  try {
    new Command("true", [], { tree }).runSync();
    return false;
  } catch (error) {
    if (!(error instanceof SpawnError)) throw error;
    return error.message;
  }
}

for (const tree of ["process", "group", "cgroup", "namespace"] as const) {
  for (const escape of escapes) {
    const isCaught = caught[tree].includes(escape);
    const name = `issue 18, 4: tree "${tree}" ${isCaught ? "ends" : "does not end"} ${escape}`;
    test(name, { skip: needs(tree) }, async () => {
      for (const [name, end] of Object.entries(ends)) {
        using left = new Left();
        const { signal, abort } = aborter();
        await using command = leaver(left, escape, goesOn, { tree, signal });
        await begun(command);
        await until(() => left.runs);
        await end(command, abort);
        if (isCaught) await until(() => !left.runs);
        else assert(left.runs, name);
      }
    });
  }
}

/** Without that a group is out of reach once its leader has been reaped. */
const needsGroups: string | false = needsPidfd ||
  (parseFloat(release().replace(/\.(\d)\./, ".0$1.")) >= 6.09 ? false : "needs Linux 6.9");

/** What ends by itself in a pid namespace takes all with it. */
const outlived = (["group", "cgroup"] as const).filter((tree) => needs(tree) === false);

test("issue 18, 4: what ends by itself leaves its descendants alone, until it is disposed of", async () => {
  for (const tree of outlived) {
    if (tree === "group" && needsGroups !== false) continue;
    for (const run of ["run", "runSync"] as const) {
      using left = new Left();
      {
        await using command = leaver(left, "a background job", "exit 0", { tree });
        await command[run]();
        await until(() => left.runs);
        assertThrows(() => command.process?.kill(), ProcessDoneError);
        assert(left.runs);
      }
      await until(() => !left.runs);
    }
  }
});

test("issue 18, 4: what holds the pipes when the child has ended is ended with waitDelay", async () => {
  for (const tree of outlived) {
    for (const run of ["run", "runSync"] as const) {
      using left = new Left();
      const command = leaver(left, "a background job", "exit 0", { tree, waitDelay: 100 });
      command.stdout = { write: () => {} };
      await assertRejects(async () => await command[run](), WaitDelayError);
      await until(() => !left.runs);
    }
  }
});

test("issue 18, 4: ... and by a timeout that comes when the child has ended", async () => {
  for (const tree of outlived) {
    for (const run of ["run", "runSync"] as const) {
      using left = new Left();
      const command = leaver(left, "a background job", "exit 0", { tree, timeout: 500 });
      command.stdout = { write: () => {} };
      await assertRejects(async () => await command[run](), TimeoutError);
      await until(() => !left.runs);
    }
  }
});

test("issue 18, 4: a signal for cancel goes to all, and waitDelay ends who does not heed it", async () => {
  for (const tree of outlived) {
    for (const run of ["run", "runSync"] as const) {
      using left = new Left();
      const script = `trap '' TERM; sleep 1000 & trap - TERM; exec sleep 1000`;
      const options = { tree, timeout: 500, cancel: "SIGTERM", waitDelay: 200 } as const;
      const stubborn = command(left, script, options);
      const error = await assertRejects(async () => await stubborn[run](), ExitError);
      assertEquals(error.signal, "SIGTERM");
      await until(() => !left.runs);
    }
  }
});

// Of a group, a zombie that this machine's process 1 has not reaped yet is left.
test("issue 18, 4: what heeds it is not waited for until waitDelay's end", {
  skip: needs("cgroup"),
}, async () => {
  for (const run of ["run", "runSync"] as const) {
    using left = new Left();
    const options = { tree: "cgroup", timeout: 300, cancel: "SIGTERM", waitDelay: 6e8 } as const;
    const heedful = leaver(left, "a background job", goesOn, options);
    await assertRejects(async () => await heedful[run](), ExitError);
    await until(() => !left.runs);
  }
});

test("issue 18, 4: a group whose leader alone was in it is not waited for", {
  skip: needsGroups,
}, async () => {
  for (const run of ["run", "runSync"] as const) {
    const options = { tree: "group", timeout: 200, cancel: "SIGTERM", waitDelay: 6e8 } as const;
    await assertRejects(async () => await sh("exec sleep 1000", options)[run](), ExitError);
  }
});

test("issue 18, 4: without pidfds a group is signalled before its leader is reaped", async () => {
  forceRungs(Rung.pidfd);
  try {
    using left = new Left();
    const late = leaver(left, "a background job", "exit 3", { tree: "group", waitDelay: 100 });
    late.stdout = { write: () => {} };
    const child = late.start();
    assertEquals(child.pidfd, null);
    const waiting = late.wait();
    // It has been seen to end, and is a zombie.
    assertEquals((await child.wait()).exitCode, 3);
    assert(/\) Z/.test(readFileSync(`/proc/${child.pid}/stat`, "utf8")));
    await assertRejects(() => waiting, ExitError);
    assertFalse(existsSync(`/proc/${child.pid}`));
    await until(() => !left.runs);
  } finally {
    forceRungs(0);
  }
});

test("issue 18, 4: a start that fails leaves nothing, with a tree too", async () => {
  await withoutLeaks(async () => {
    for (const tree of ["group", ...outlived, "namespace"] as const) {
      if (needs(tree) !== false) continue;
      for (const run of ["run", "runSync", "text"] as const) {
        const missing = sh("", { tree, dir: "/nonexistent" });
        const error = await assertRejects(async () => await missing[run](), SpawnError);
        assertEquals(error.step, "chdir");
      }
    }
  });
});

test("issue 18, 4: signalGroup reaches a group, and tells who leads none", async () => {
  using left = new Left();
  const script = `${leaving["a background job"]}\n${written}; sleep 1000`;
  const argv = ["sh", "-c", script, left.path];
  const env = { LEFT: left.path, PATH: "/usr/bin:/bin" };
  using none = OSFile.open("/dev/null", "w");
  const leader = startProcess("/bin/sh", argv, {
    env,
    files: [null, none, 2],
    sys: { setpgid: true },
  });
  await until(() => existsSync(left.path) && readFileSync(left.path, "utf8") !== "");
  leader.signalGroup(0);
  leader.signalGroup("SIGTERM");
  assertEquals((await leader.wait()).signal, "SIGTERM");
  await until(() => !left.runs);
  assertThrows(() => leader.signalGroup("SIGTERM"), ProcessDoneError);

  const other = startProcess("/bin/sleep", ["sleep", "1000"]);
  const error = assertThrows(() => other.signalGroup("SIGTERM"), StateError);
  assertEquals(error.message.split(":")[0], "os");
  assert(/setpgid, setsid or tree/.test(error.message), error.message);
  other.kill();
  assertEquals((await other.wait()).signal, "SIGKILL");
  assertThrows(() => findProcess(process.pid).signalGroup(wrong("SIGNOPE")), TypeError);
});

test("issue 18, 4: a group that is somebody else's is no tree", async () => {
  const command = sh("exit 0", { tree: "group", sysProcAttr: { setpgid: true, pgid: 1 } });
  const error = await assertRejects(() => command.run(), SpawnError);
  assertEquals(error.step, "request");
  assert(/pgid 1 is somebody else's/.test(error.message), error.message);
  assert(/^setpgid 0$/m.test(sh("", { tree: "group" }).explain()));
  for (const attributes of [{ setsid: true }, { setpgid: true }]) {
    await sh('[ "$(ps -o pgid= -p $$ | tr -d " ")" = $$ ]', {
      tree: "group",
      sysProcAttr: attributes,
    }).run();
  }
});

/** The cgroups below this process's own, but for those that have been there all along. */
function cgroups(before: readonly string[] = []): string[] {
  const own = ownCgroup()?.directory ?? "";
  return readdirSync(own).filter((name) => name.startsWith("osexec-") && !before.includes(name));
}

test(
  "issue 18, 4: a cgroup is there for as long as it is needed",
  { skip: needs("cgroup") },
  async () => {
    const before = cgroups();
    const tree = "cgroup";
    assertEquals(
      (await sh("grep ^0:: /proc/self/cgroup", { tree }).text()).includes("/osexec-"),
      true,
    );
    sh("", { tree }).runSync();
    await assertRejects(() => new Command("/nonexistent", [], { tree }).run(), SpawnError);
    await assertRejects(() => sh("", { tree, dir: "/nonexistent" }).text(), SpawnError);
    const cgroupFD = 0;
    const both = assertThrows(
      () => sh("", { tree, sysProcAttr: { cgroupFD } }).start(),
      SpawnError,
    );
    assertEquals(both.step, "request");
    await until(() => cgroups(before).length === 0);
    // A file of the kernel's cannot be one that a child leaves open.
    assert(/^cgroup of its own$/m.test(sh("", { tree }).explain()));
    assertEquals(cgroups(before).length, 0);
  },
);

test("issue 18, 4: a cgroup that may not be made says why, and what would allow it", {
  skip: isRoot ? "is for an ordinary user" : false,
}, () => {
  const reason = needs("cgroup");
  // In a cgroup that is delegated to this user it may be made.
  if (reason === false) return;
  assert(/: cgroup .*(Delegate=yes|no cgroup v2|mounted writable)/.test(reason), reason);
});

test("issue 18, 4: what is no pid namespace is refused", { skip: needs("namespace") }, () => {
  const sysProcAttr = { unshareflags: CLONE_NEWPID };
  const error = assertThrows(() => sh("", { tree: "namespace", sysProcAttr }).start(), SpawnError);
  assert(/CLONE_NEWPID in cloneflags/.test(error.message), error.message);
  assertThrows(() => sh("", { tree: wrong("all") }).start(), TypeError, "tree");
});

test("issue 18, 4: the child of a pid namespace is its init, as the same user", {
  skip: needs("namespace"),
}, async () => {
  const ids = await sh("echo $$ $(id -u) $(id -g)", { tree: "namespace" }).text();
  assertEquals(ids.trim(), `1 ${process.getuid?.()} ${process.getgid?.()}`);
});
