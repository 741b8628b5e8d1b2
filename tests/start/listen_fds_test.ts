/** Issue 18, 11: listening sockets handed on by number, as systemd does it: sd_listen_fds(3). */

import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Rung } from "../../ffi/abi.ts";
import { forceRungs } from "../../ffi/request.ts";
import { CLONE_NEWPID, Command, type CommandOptions, SpawnError, startProcess } from "../../mod.ts";
import { environmentWith, helper, runScript, runtime, sh, until, wrong } from "../helper.ts";
import { needsPython, python } from "../python.ts";
import { inNamespace, needsUserNamespaces } from "../system.ts";

const activate = "/usr/bin/systemd-socket-activate";

/** What sd_listen_fds_with_names() does, and then a connection on the first one. */
const service = `
import os, select, socket, sys
if int(os.environ["LISTEN_PID"], 10) != os.getpid(): sys.exit("not for me")
count = int(os.environ["LISTEN_FDS"], 10)
names = os.environ["LISTEN_FDNAMES"].split(":")
print(count, names, flush=True)
listening = socket.socket(fileno=3)
select.select([listening], [], [])
connection, _ = listening.accept()
connection.sendall(b"%d" % os.getpid())
connection.close()
`;

/** A listening socket, and its descriptor: of a kind that all runtimes have. */
async function listen(): Promise<{ server: Server; fd: number; port: number }> {
  const sockets = (): number[] =>
    readdirSync("/proc/self/fd").map(Number).filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
      } catch {
        return false;
      }
    });
  const before = sockets();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const [fd = -1] = sockets().filter((each) => !before.includes(each));
  const address = server.address();
  assert(typeof address === "object" && address !== null && fd >= 0);
  return { server, fd, port: address.port };
}

/** All that comes over a connection. */
function ask(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(port, "127.0.0.1");
    socket.on("data", (chunk) => text += String(chunk));
    socket.on("end", () => resolve(text));
    socket.on("error", reject);
  });
}

test(
  "listenFds: a service that follows sd_listen_fds takes a connection on our socket",
  needsPython,
  async () => {
    const { server, fd, port } = await listen();
    const command = new Command(python, ["-c", service], {
      extraFiles: [fd, 1],
      stderr: "inherit",
      sysProcAttr: { listenFds: ["http", "other one"] },
    });
    const lines = command.lines();
    const first = lines.next();
    const { pid } = await until(() => command.process !== undefined).then(() => command.process!);
    // Or this process would take the connection.
    server.close();
    assertEquals((await first).value, "2 ['http', 'other one']");
    assertEquals(await ask(port), `${pid}`);
    assertEquals((await lines.next()).done, true);
  },
);

/** What the child is told, and its own pid. */
const script = "echo $LISTEN_FDS $LISTEN_PID ${LISTEN_FDNAMES-none} ${LISTEN_PIDFDID-none} $$";

/** Checks what `script` has printed. */
function check(text: string, count: number, names: string): string {
  const [fds, pid, ...rest] = text.trim().split(" ");
  assertEquals([fds, ...rest], [`${count}`, names, "none", pid]);
  return pid ?? "";
}

test("listenFds: LISTEN_PID is the child's own pid, in every way of starting it", async () => {
  const options: CommandOptions = { extraFiles: [0], sysProcAttr: { listenFds: true } };
  const rungs = [0, Rung.memory, Rung.clone3, Rung.window, Rung.close_range];
  try {
    for (const rung of rungs) {
      forceRungs(rung);
      check(new TextDecoder().decode(sh(script, options).outputSync()), 1, "none");
      check(await sh(script, options).text(), 1, "none");
      const command = sh(script, options);
      const stdout = command.stdoutPipe();
      const { pid } = command.start();
      let text = "";
      for await (const line of stdout.lines()) text += line;
      await command.wait();
      assertEquals(check(text, 1, "none"), `${pid}`);
      stdout.close();
    }
  } finally {
    forceRungs(0);
  }
});

test("listenFds: starts at the same time have each its own, and others have none", async () => {
  const told = { extraFiles: [0, 1, 2], sysProcAttr: { listenFds: ["a", "", "c"] } };
  const texts = await Promise.all(
    Array.from({ length: 24 }, (_, index) => sh(script, index % 3 === 0 ? {} : told).text()),
  );
  const pids = new Set<string>();
  for (const [index, text] of texts.entries()) {
    if (index % 3 !== 0) pids.add(check(text, 3, "a::c"));
    // The environment that all of them have inherited is as it was.
    else assertEquals(text.split(" ").slice(0, 2), ["none", "none"]);
  }
  assertEquals(pids.size, 16);
});

test("listenFds: what the child would have had under these names is replaced", async () => {
  const own = { LISTEN_FDS: "9", LISTEN_PID: "1", LISTEN_FDNAMES: "x:y", LISTEN_PIDFDID: "7" };
  const env = environmentWith({ ...own, KEPT: "yes" });
  const extraFiles = [0];
  const text = (options: CommandOptions): Promise<string> =>
    sh(`${script}; echo $KEPT`, { env, extraFiles, ...options }).text();
  const [told = "", kept] = (await text({ sysProcAttr: { listenFds: true } })).split("\n");
  check(told, 1, "none");
  assertEquals(kept, "yes");
  // Without it they are variables as any other.
  assertEquals((await text({})).split(" ").slice(0, 4), ["9", "1", "x:y", "7"]);
  const state = await startProcess("/bin/sh", ["sh", "-c", "test $LISTEN_PID = $$"], {
    env: [],
    files: [0, 1, 2, 0],
    sys: { listenFds: true },
  }).wait();
  assertEquals(state.exitCode, 0);
});

test(
  "listenFds: in a pid namespace it is the pid there",
  { skip: needsUserNamespaces },
  async () => {
    const sysProcAttr = { ...inNamespace(CLONE_NEWPID), listenFds: true };
    assertEquals(check(await sh(script, { extraFiles: [0], sysProcAttr }).text(), 1, "none"), "1");
  },
);

test("listenFds: explain() has the step, with the numbers", () => {
  const lines = (extraFiles: number[]): string[] =>
    sh("", { extraFiles, sysProcAttr: { listenFds: true } }).explain().split("\n");
  assertEquals(lines([0]).filter((line) => line.startsWith("listen")), ["listen_fds 3"]);
  assertEquals(lines([0, 0]).filter((line) => line.startsWith("listen")), ["listen_fds 3-4"]);
  assertEquals(sh("", { extraFiles: [0] }).explain().includes("listen"), false);
});

test("listenFds: what cannot be handed on so is refused by name", () => {
  const cases: [options: CommandOptions, message: string][] = [
    [
      { sysProcAttr: { listenFds: true } },
      "listenFds is set, and there is no descriptor from 3 on",
    ],
    [
      { extraFiles: [0, null], sysProcAttr: { listenFds: true } },
      "listenFds is set, and file 4 is null",
    ],
    [
      { extraFiles: [0], sysProcAttr: { listenFds: [] } },
      "listenFds has 0 names for 1 descriptors",
    ],
    [{ extraFiles: [0], sysProcAttr: { listenFds: ["a:b"] } }, "listenFds[0]: a:b is no name"],
    [{ extraFiles: [0], sysProcAttr: { listenFds: ["a\nb"] } }, "listenFds[0]: a\\nb is no name"],
    [{ extraFiles: [0], sysProcAttr: { listenFds: ["é"] } }, "listenFds[0]: é is no name"],
    [{ extraFiles: [0], sysProcAttr: { listenFds: ["x".repeat(256)] } }, "listenFds[0]: xxx"],
  ];
  for (const [options, message] of cases) {
    const error = assertThrows(() => sh("", options).start(), SpawnError, message);
    assertEquals(error.step, "request");
  }
  for (const listenFds of ["yes", 1, null, [1]]) {
    const options = { extraFiles: [0], sysProcAttr: { listenFds: wrong<boolean>(listenFds) } };
    assertThrows(() => sh("", options).start(), TypeError, "listenFds");
  }
});

test("listenFds: what systemd hands to this program goes on to its child", {
  skip: existsSync(activate) ? needsPython.skip ?? false : `needs ${activate}`,
}, async () => {
  const source = `
    const child = new osexec.Command(${JSON.stringify(python)}, ["-c", ${
    JSON.stringify(service)
  }], {
      extraFiles: [3],
      stdout: "inherit",
      stderr: "inherit",
      sysProcAttr: { listenFds: [process.env.LISTEN_FDNAMES ?? "web"] },
    });
    await child.run();
  `;
  const library = process.env.OSEXEC_LIBRARY;
  // It passes on no more of the environment than it is told to.
  const passed = library === undefined ? [] : [`--setenv=OSEXEC_LIBRARY=${library}`];
  const { server, port } = await listen();
  server.close();
  const running = runScript(`import process from "node:process";\n${source}`, {
    runtime: [activate, `--listen=127.0.0.1:${port}`, "--fdname=web", ...passed, ...runtime],
  });
  // The first connection also starts the program.
  let answer = "";
  for (let attempt = 0; attempt < 1000 && answer === ""; attempt++) {
    answer = await ask(port).catch(() =>
      new Promise<string>((resolve) => setTimeout(resolve, 10, ""))
    );
  }
  const { code, stdout, stderr } = await running;
  assertEquals([code, stdout], [0, "1 ['web']\n"], stderr);
  assert(Number(answer) > 0);
});

test("listenFds: the program has nothing but what was handed on", async () => {
  const sysProcAttr = { listenFds: true };
  const text = await new Command(helper, ["fds"], { extraFiles: [0], sysProcAttr }).text();
  assertEquals(text.trim().split("\n").map((line) => line.split(" ")[0]), ["0", "1", "2", "3"]);
});
