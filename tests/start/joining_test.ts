import process from "node:process";
import { closeSync, copyFileSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { Rung } from "../../ffi/abi.ts";
import { library } from "../../ffi/library.ts";
import { forceRungs } from "../../ffi/request.ts";
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  Command,
  type JoinedNamespace,
  OSFile,
  type Process,
  SpawnError,
  startProcess,
  type SysProcAttr,
} from "../../mod.ts";
import {
  helper,
  inNamespace,
  needsUserNamespaces,
  ownMaps,
  run,
  runLines,
  self,
} from "../system.ts";
import { Directory, wrong } from "../helper.ts";
import { needsPidfdOpen } from "../refused.ts";

const skip = needsUserNamespaces;

/** A process that waits in namespaces of its own. */
class Holder implements Disposable {
  readonly #child: Process;

  constructor(sys: SysProcAttr) {
    this.#child = startProcess(helper, ["helper", "hang"], { files: [null, null, 2], sys });
  }

  get pid(): number {
    return this.#child.pid;
  }

  link(kind: string): string {
    return readlinkSync(`/proc/${this.pid}/ns/${kind}`);
  }

  file(kind: JoinedNamespace["kind"]): JoinedNamespace & Disposable {
    const fd = openSync(`/proc/${this.pid}/ns/${kind}`, "r");
    return { fd, kind, [Symbol.dispose]: () => closeSync(fd) };
  }

  [Symbol.dispose](): void {
    this.#child.kill();
    this.#child.waitSync();
  }
}

const kinds = ["net", "uts", "ipc", "cgroup", "mnt"] as const;
const flags = CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWNS;

test(
  "issue 17, 6: a child joins namespaces by their files, in every way of starting it",
  { skip },
  () => {
    using holder = new Holder(inNamespace(flags));
    const links = kinds.map((kind) => holder.link(kind));
    using user = holder.file("user");
    // Root's are of the user namespace that it is in already, which nobody joins again.
    const first = self.uid === 0 ? [] : [user];
    const files = kinds.map((kind) => holder.file(kind));
    try {
      for (const rungs of [0, Rung.clone3, Rung.memory, Rung.window]) {
        forceRungs(rungs);
        const argv = ["link", ...kinds.map((kind) => `/proc/self/ns/${kind}`)];
        // The mount namespace last: it brings another /proc along.
        assertEquals(runLines(argv, { sys: { joinNamespaces: [...first, ...files] } }), links);
        const bare = [...first, ...files].map(({ fd }) => fd);
        assertEquals(runLines(argv, { sys: { joinNamespaces: bare } }), links);
      }
    } finally {
      forceRungs(0);
      for (const file of files) file[Symbol.dispose]();
    }
  },
);

test("issue 17, 6: a child joins namespaces by a pidfd", { skip: skip || needsPidfdOpen }, () => {
  using holder = new Holder(inNamespace(CLONE_NEWUTS));
  const fd = library().osexec_pidfd(holder.pid);
  try {
    const user: JoinedNamespace[] = self.uid === 0 ? [] : [{ fd, kind: "user" }];
    const joinNamespaces: JoinedNamespace[] = [...user, { fd, kind: "uts" }];
    assertEquals(runLines(["link", "/proc/self/ns/uts"], { sys: { joinNamespaces } }), [
      holder.link("uts"),
    ]);
  } finally {
    library().osexec_close(fd);
  }
});

test("issue 17, 6: in a pid namespace that it joins the child is a child of this process's", {
  skip,
}, () => {
  using holder = new Holder(inNamespace(CLONE_NEWPID));
  const link = holder.link("pid");
  using user = holder.file("user");
  using pid = holder.file("pid");
  const joinNamespaces = self.uid === 0 ? [pid] : [user, pid];
  for (const rungs of [0, Rung.clone3, Rung.memory, Rung.window, Rung.pidfd]) {
    forceRungs(rungs);
    try {
      assertEquals(runLines(["link", "/proc/self/ns/pid"], { sys: { joinNamespaces } }), [link]);
      const child = startProcess(helper, ["helper", "exit", "7"], { sys: { joinNamespaces } });
      assertEquals(readlinkSync(`/proc/${child.pid}/ns/pid`), link);
      assertEquals(child.waitSync().exitCode, 7);
    } finally {
      forceRungs(0);
    }
  }
});

test("issue 17, 6: what fails in the second child is told by its step, and nothing is left", {
  skip,
}, () => {
  using holder = new Holder(inNamespace(CLONE_NEWPID));
  using user = holder.file("user");
  using pid = holder.file("pid");
  const joinNamespaces = self.uid === 0 ? [pid] : [user, pid];
  for (const rungs of [0, Rung.clone3, Rung.memory]) {
    forceRungs(rungs);
    try {
      const error = assertThrows(
        () => startProcess(helper, ["helper"], { dir: "/nowhere", sys: { joinNamespaces } }),
        SpawnError,
      );
      assertEquals([error.step, error.argument, error.code], ["chdir", "/nowhere", "ENOENT"]);
      const exec = assertThrows(
        () => startProcess("/nowhere", ["x"], { sys: { joinNamespaces } }),
        SpawnError,
      );
      assertEquals([exec.step, exec.code], ["exec", "ENOENT"]);
    } finally {
      forceRungs(0);
    }
  }
});

test(
  "issue 17, 6: a command in a joined pid namespace is awaited and captured as any",
  { skip },
  async () => {
    using holder = new Holder(inNamespace(CLONE_NEWPID));
    using user = holder.file("user");
    using pid = holder.file("pid");
    const joinNamespaces = self.uid === 0 ? [pid] : [user, pid];
    const sysProcAttr = { joinNamespaces };
    assertEquals(
      await new Command("sh", ["-c", "echo $PPID; cat"], { sysProcAttr, stdin: "x" }).text(),
      "0\nx",
    );
    const ended = new Command("sleep", ["60"], { sysProcAttr });
    ended.start();
    ended.process?.kill();
    await ended.wait().catch(() => undefined);
    assertEquals(ended.processState?.signal, "SIGKILL");
  },
);

test(
  "issue 17, 6: a first child that is killed leaves the second in nobody's way",
  { skip },
  () => {
    using holder = new Holder(inNamespace(CLONE_NEWPID));
    using user = holder.file("user");
    using pid = holder.file("pid");
    const joinNamespaces = self.uid === 0 ? [pid] : [user, pid];
    using directory = new Directory();
    const program = directory.join("busy");
    copyFileSync(helper, program);
    const own = readlinkSync("/proc/self/ns/pid");
    // Kills whoever makes its children in the namespace and is not in it itself, once, and says so.
    const script = `while :; do
    for child in $(cat /proc/${process.pid}/task/*/children); do
      [ "$(readlink /proc/$child/ns/pid_for_children)" = "${holder.link("pid")}" ] || continue
      [ "$(readlink /proc/$child/ns/pid)" = "${own}" ] || continue
      kill -9 $child && exit 0
    done
  done`;
    for (const rungs of [0, Rung.clone3]) {
      forceRungs(rungs);
      try {
        const killer = startProcess("/bin/sh", ["sh", "-c", script], { files: [null, null, 2] });
        // While it is open for writing the second child tries again for 63 ms, and the first stands still.
        for (let killed = false; !killed;) {
          using _open = OSFile.open(program, "r+");
          const error = assertThrows(
            () => startProcess(program, ["busy"], { sys: { joinNamespaces } }),
            SpawnError,
          );
          assertEquals([error.step, error.code], ["exec", "ETXTBSY"]);
          killed = readFileSync(`/proc/${killer.pid}/stat`, "utf8").includes(") Z ");
        }
        assertEquals(killer.waitSync().exitCode, 0);
      } finally {
        forceRungs(0);
      }
    }
  },
);

test("issue 17, 6: limits are set with the rights that a joined user namespace takes away", {
  skip: skip || (self.uid === 0 ? false : "needs root"),
}, () => {
  using holder = new Holder({ cloneflags: CLONE_NEWUSER, ...ownMaps() });
  using user = holder.file("user");
  const sys = { joinNamespaces: [user], nice: -3, rlimits: { CORE: { soft: 0, hard: Infinity } } };
  const fields = run(["file", "/proc/self/stat"], { sys }).split(") ")[1]?.split(" ") ?? [];
  assertEquals(fields[16], "-3");
});

test(
  "issue 17, 6: what is no namespace, or not that kind, is refused by the step",
  { skip },
  () => {
    using file = OSFile.open("/dev/null", "r");
    using holder = new Holder(inNamespace(CLONE_NEWUTS));
    using uts = holder.file("uts");
    const cases: [JoinedNamespace | OSFile, string][] = [
      [file, `${file.fd}`],
      [{ fd: uts.fd, kind: "net" }, `net ${uts.fd}`],
    ];
    for (const [entry, argument] of cases) {
      const error = assertThrows(
        () => startProcess(helper, ["helper"], { sys: { joinNamespaces: [entry] } }),
        SpawnError,
      );
      assertEquals([error.step, error.argument, error.code], ["setns", argument, "EINVAL"]);
    }
  },
);

test("issue 17, 6: values that are none are refused before anything is started", { skip }, () => {
  const refused = (joinNamespaces: unknown, more: SysProcAttr = {}): string => {
    const sys = { joinNamespaces: wrong<[]>(joinNamespaces), ...more };
    const error = assertThrows(() => startProcess(helper, ["helper"], { sys }), Error);
    return error instanceof SpawnError ? error.step : error.name;
  };
  assertEquals(refused("net"), "TypeError");
  assertEquals(refused([{ fd: 0, kind: "nothing" }]), "TypeError");
  assertEquals(refused([-1]), "request");
  assertEquals(refused([{ fd: 0, kind: "pid" }], { cloneflags: CLONE_NEWPID }), "request");
});
