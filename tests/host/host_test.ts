/** "host N" for issue 14, T and F for issue 22: what the host does to its globals, signals, environment, threads. */

import fs from "node:fs";
import { test } from "node:test";
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { watch } from "../../ffi/reactor.ts";
import {
  Command,
  findProcess,
  OSFile,
  pipe,
  Process,
  SpawnError,
  startProcess,
  SyscallError,
  type Writer,
} from "../../mod.ts";
import {
  Directory,
  encode,
  helper,
  isBun,
  isDeno,
  isRoot,
  runScript,
  runtime,
  sh,
  until,
  writeScript,
  wrong,
} from "../helper.ts";
import { needsCall, needsLinuxChild, needsPidfd } from "../refused.ts";

// ------------------------------------------------------------------ the environment

test(
  "F1: a start while a Worker sets environment variables reads what is there, and nothing freed",
  {
    skip: !isDeno && "needs Deno, whose Workers share libc's environment",
  },
  async () => {
    const writer =
      `let n = 0; setInterval(() => { for (let i = 0; i < 20; i++) Deno.env.set("V" + n++ % 3000, "x".repeat(n % 50)); }, 0);`;
    const { code, stdout, stderr } = await runScript(`
    new Worker("data:text/javascript,${encodeURIComponent(writer)}", { type: "module" });
    const end = performance.now() + 3000;
    while (performance.now() < end) {
      for (const entry of new osexec.Command("true").environ()) {
        if (/^V/.test(entry) && !/^V\\d+=x*$/.test(entry)) throw new Error("torn: " + entry);
      }
      await new osexec.Command("true").run();
    }
    console.log("ok");
    Deno.exit();`);
    assertEquals([code, stdout, stderr], [0, "ok\n", ""]);
  },
);

test("T6: of a variable that is inherited twice the child gets the one that this process sees", async () => {
  const script = `
    const child = await new osexec.Command("/usr/bin/env").text();
    const mine = (await import("node:process")).default.env.X;
    console.log(mine, child.match(/^X=.*$/mg).join());`;
  using directory = new Directory();
  const path = directory.file(
    "script.ts",
    `import * as osexec from ${
      JSON.stringify(new URL("../../mod.ts", import.meta.url).href)
    };\n${script}`,
  );
  const out = directory.join("out");
  using file = OSFile.open(out, "w");
  const home = `HOME=${directory.path}`;
  const env = [home, "X=first", "X=second", "PATH=/usr/bin:/bin", "NO_COLOR=1"];
  const [program = "", ...flags] = runtime;
  const state = await startProcess(program, [program, ...flags, path], {
    files: [null, file, 2],
    env,
  }).wait();
  assertEquals(state.exitCode, 0);
  const [mine, child] = fs.readFileSync(out, "utf8").trim().split(" ");
  assertEquals(child, `X=${mine}`);
});

test("T7: what no environment can hold is refused by name, inherited too", {
  skip: !isBun && "needs Bun, whose process.env takes it",
}, async () => {
  for (const [name, value] of [["A=B", "c"], ["A", "x\0INJ=1"], ["", "empty"]]) {
    const { stdout } = await runScript(`
      process.env[${JSON.stringify(name)}] = ${JSON.stringify(value)};
      if (!(${
      JSON.stringify(name)
    } in process.env)) { console.log("environment is not taken"); process.exit(); }
      for (const start of [() => new osexec.Command("/bin/true").start(), () => osexec.startProcess("/bin/true", ["true"])]) {
        try { start(); console.log("started"); } catch (error) { console.log(error.message); }
      }`);
    assertStringIncludes(stdout, "environment");
    assert(!stdout.includes("started"), stdout);
  }
});

// ------------------------------------------------------------------ globals

test("host 16, T15: the host's globals may be replaced or deleted after the load", async () => {
  const { code, stdout, stderr } = await runScript(`
    const { Command } = osexec;
    const exit = ${isDeno ? "Deno.exit" : "process.exit.bind(process)"};
    const log = console.log;
    await new Command("true").run();
    const never = () => { throw new Error("a fake"); };
    for (const name of ["setTimeout", "clearTimeout", "setInterval", "setImmediate", "clearImmediate", "queueMicrotask", "MessageChannel", "Date"]) {
      Object.defineProperty(globalThis, name, { value: never, configurable: true, writable: true });
    }
    performance.now = () => 0;
    delete globalThis.process;
    delete globalThis.Deno;
    const controller = new AbortController();
    const killed = new Command("sleep", ["60"], { signal: controller.signal, waitDelay: 50, cancel: () => {} });
    const run = killed.run().catch((error) => String(error.state));
    controller.abort();
    log(await run);
    // Long enough for the thread to be made.
    log(await new Command("sh", ["-c", "sleep 0.3; echo text"]).text());
    const lines = [];
    for await (const line of new Command("seq", ["3"]).lines()) lines.push(line);
    log(lines.join());
    log(String(new Command("true").runSync()));
    exit(0);`);
  assertEquals(stderr, "");
  assertEquals([code, stdout], [0, "signal: killed\ntext\n\n1,2,3\nexit status 0\n"]);
});

test(
  "T18: somebody's globals make no other runtime of this one",
  { skip: isBun && "it is asked first whether it is Bun" },
  async () => {
    using directory = new Directory();
    const mod = JSON.stringify(new URL("../../mod.ts", import.meta.url).href);
    const path = directory.file(
      "script.ts",
      `globalThis.Bun = { version: "1.0.0" };
     globalThis.Deno ??= { version: { deno: "2.0.0" }, internal: Symbol(), build: {}, env: {} };
     const { Command } = await import(${mod});
     console.log((await new Command("echo", ["it"]).text()).trim());`,
    );
    const [program = "", ...flags] = runtime;
    assertEquals(await new Command(program, [...flags, path]).text(), "it\n");
  },
);

test(
  "T9: with the ffi permission given back, all goes on whose library is loaded",
  {
    skip: !isDeno && "needs Deno",
  },
  async () => {
    const { stdout, stderr } = await runScript(`
    new osexec.Command("true").runSync();
    Deno.permissions.revokeSync({ name: "ffi" });
    console.log(String(await new osexec.Command("sh", ["-c", "sleep 0.3"]).run()));
    console.log((await new osexec.Command("sh", ["-c", "sleep 0.1; cat"], { stdin: "text" }).text()));
    const child = new osexec.Command("sleep", ["60"]).start();
    child.kill();
    console.log(String(await child.wait()));
    console.log(await new osexec.Command("echo", ["to all"], { tree: "group" }).text());
    using file = osexec.OSFile.open("/dev/null", "r+");
    console.log(await file.write(new Uint8Array(3)));`);
    assertEquals([stdout, stderr], ["exit status 0\ntext\nsignal: killed\nto all\n\n3\n", ""]);
  },
);

test(
  "issue 16, 1: Deno's node:net is not loaded for the first children, but for who keeps nothing alive",
  {
    skip: !isDeno && "needs Deno",
  },
  async () => {
    const { stdout, stderr } = await runScript(`
    import process from "node:process";
    const load = process.getBuiltinModule;
    const loaded = [];
    process.getBuiltinModule = (name) => {
      loaded.push(name);
      return load(name);
    };
    const { Command, startProcess } = osexec;
    console.log(String(await new Command("sleep", ["0.05"]).run()), await new Command("sh", ["-c", "sleep 0.05; echo it"]).text());
    console.log(loaded.includes("node:net"));
    const child = startProcess("/bin/sh", ["sh", "-c", "sleep 0.1; exit 3"]);
    const waiting = child.wait();
    child.unref();
    const alive = setTimeout(() => {}, 60_000);
    console.log(String(await waiting), loaded.includes("node:net"));
    clearTimeout(alive);
    // Waited for and left: the program ends all the same.
    const other = startProcess("/bin/sleep", ["sleep", "60"]);
    other.wait();
    setTimeout(() => {
      other.unref();
      other.signal("SIGKILL");
    }, 20);`);
    assertEquals([stdout, stderr], ["exit status 0 it\n\nfalse\nexit status 3 true\n", ""]);
  },
);

// ------------------------------------------------------------------ signals

test("F10: a write to who does not read raises no SIGPIPE, whatever listeners there were", async () => {
  const { code, stdout } = await runScript(`
    import process from "node:process";
    const heard = () => console.log("heard");
    process.on("SIGPIPE", heard);
    process.off("SIGPIPE", heard);
    await new osexec.Command("true", [], { stdin: new Uint8Array(3_000_000) }).run();
    new osexec.Command("true", [], { stdin: new Uint8Array(3_000_000) }).runSync();
    const [reading, writing] = osexec.pipe();
    reading.close();
    for (const write of [() => writing.write(new Uint8Array(9)), async () => writing.writeSync(new Uint8Array(9))]) {
      console.log(await write().catch((error) => error.code));
    }
    await new Promise((done) => setTimeout(done, 50));
    console.log("alive");`);
  assertEquals([code, stdout], [0, "EPIPE\nEPIPE\nalive\n"]);
});

test("host 17: the disposal of one that may not be killed finishes, and tells what refused it", {
  skip: isRoot && "needs an ordinary user",
}, async () => {
  const init = findProcess(1);
  assertThrows(() => init.kill(), SyscallError, "not permitted");
  const error = await assertRejects(() => init[Symbol.asyncDispose](), SyscallError);
  assertEquals([error.syscall, error.code, init.pidfd], ["kill", "EPERM", null]);
});

// ------------------------------------------------------------------ waiting when there is no room

/** What a script prints that may have 128 descriptors, and can take all that are left and let them go again. */
async function crowded(action: string): Promise<string> {
  using directory = new Directory();
  const path = writeScript(
    directory,
    `import fs from "node:fs";
     const held = [];
     const fill = () => { try { for (;;) held.push(fs.openSync("/dev/null", "r")); } catch {} };
     const free = () => { for (const fd of held.splice(0)) fs.closeSync(fd); };
     ${action}`,
  );
  const [program = "", ...flags] = runtime;
  const sysProcAttr = { rlimits: { NOFILE: 128 } };
  return await new Command(program, [...flags, path], { sysProcAttr }).text();
}

test("T10, F3, host 14: a child is waited for, though there is no descriptor for a thread", {
  skip: needsPidfd,
}, async () => {
  const output = await crowded(`
    const child = osexec.startProcess("/bin/sh", ["sh", "-c", "sleep 0.2; exit 3"], { files: [null, null, null] });
    const [reading, writing] = osexec.pipe();
    fill();
    const read = reading.read(new Uint8Array(9));
    setTimeout(() => writing.writeSync(new Uint8Array([65])), 50);
    console.log(String(await child.wait()), await read);
    free();
    console.log(String(await child.wait()), (await new osexec.Command("echo", ["again"]).text()).trim());`);
  assertEquals(output, "exit status 3 1\nexit status 3 again\n");
});

test("F7: findProcess() without room for a pidfd is an error, and no handle by number", {
  skip: needsPidfd || needsCall("pidfd_open"),
}, async () => {
  const output = await crowded(`
    const child = osexec.startProcess("/bin/sleep", ["sleep", "60"], { files: [null, null, null] });
    fill();
    let word = "a handle";
    try { osexec.findProcess(child.pid); } catch (error) { word = error.code; }
    free();
    child.kill();
    await child.wait();
    console.log(word);`);
  assertEquals(output, "EMFILE\n");
});

test("F13: what one callback of the reactor throws keeps none of the others from being called", async () => {
  const { stdout } = await runScript(`
    import process from "node:process";
    import { watch } from ${JSON.stringify(new URL("../../ffi/reactor.ts", import.meta.url).href)};
    let thrown = 0;
    process.on("uncaughtException", () => thrown++);
    let called = 0;
    const files = Array.from({ length: 6 }, osexec.pipe);
    for (const [index, [reading]] of files.entries()) {
      watch(reading.fd, "in", { ready() { called++; if (index === 1) throw new Error("boom"); }, fail() {} });
    }
    for (const [, writing] of files) writing.writeSync(new Uint8Array(1));
    const end = performance.now() + 5000;
    while (called < 6 && performance.now() < end) await new Promise((done) => setTimeout(done, 5));
    console.log(called, thrown);
    process.exit();`);
  assertEquals(stdout, "6 1\n");
  assertEquals(typeof watch, "function");
});

// ------------------------------------------------------------------ how things end

test("T11: a stream of a file that fails closes the file", async () => {
  const [reading, writing] = pipe();
  reading.close();
  await assertRejects(() => new Blob(["x"]).stream().pipeTo(writing.writable));
  assert(writing.closed);
  using directory = new Directory();
  const folder = OSFile.open(directory.path);
  await assertRejects(() => folder.readable.getReader().read());
  assert(folder.closed);
});

test("T12: the abort listener goes when the process has been reaped, by whoever", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...rest: Parameters<typeof add>) => {
    listeners += 1;
    add(...rest);
  };
  signal.removeEventListener = (...rest: Parameters<typeof remove>) => {
    listeners -= 1;
    remove(...rest);
  };
  await new Command(helper, ["exit", "0"], { signal }).start().wait();
  new Command(helper, ["exit", "0"], { signal }).start().waitSync();
  const released = new Command(helper, ["exit", "0"], { signal }).start();
  assertEquals(listeners, 1);
  released.release();
  assertEquals(listeners, 0);
});

test("T13: what only looks like a stream ends the run with its error", async () => {
  const stdout = wrong<Writer>({
    getWriter: () => ({ ready: Promise.resolve(), write: () => Promise.resolve() }),
  });
  await assertRejects(() => sh("echo x", { stdout }).run(), TypeError);
});

test("T16: signal: null is none", async () => {
  const command = new Command(helper, ["exit", "0"], { signal: wrong<AbortSignal>(null) });
  assertEquals(String(await command.run()), "exit status 0");
  const later = new Command(helper, ["exit", "0"]);
  later.signal = wrong<AbortSignal>(null);
  assertThrows(() => later.start(), TypeError, "signal");
});

test("T17: a command's stdinPipe() as another's stdout is a pipeline", async () => {
  const to = new Command("cat");
  const from = new Command("echo", ["hello"], { stdout: to.stdinPipe() });
  const [, text] = await Promise.all([from.run(), to.text()]);
  assertEquals(text, "hello\n");
});

test("F11: close() tells what close(2) does", () => {
  const file = OSFile.open("/dev/null");
  const twin = OSFile.fromFd(file.fd, "twin");
  file.close();
  const error = assertThrows(() => twin.close(), SyscallError);
  assertEquals([error.message, twin.closed], ["close twin: bad file descriptor", true]);
  twin.close();
});

test("F16: a regular file that is not ours alone is written in whole pieces", async () => {
  using directory = new Directory();
  const path = directory.join("out");
  using opened = OSFile.open(path, "w");
  const file = OSFile.fromFd(opened.fd);
  let timers = 0;
  const timer = setInterval(() => timers += 1, 0);
  await file.write(new Uint8Array(8 << 20));
  clearInterval(timer);
  // 2,048 turns of a timer it was.
  assert(timers < 200, `${timers}`);
  assertEquals(fs.statSync(path).size, 8 << 20);
});

test("T18: writeSync() while a write() is pending is refused", async () => {
  const [reading, writing] = pipe();
  const pending = writing.write(new Uint8Array(3 << 20));
  assertThrows(() => writing.writeSync(encode("x")), Error, "pending");
  let size = 0;
  const draining = (async () => {
    for await (const chunk of reading) size += chunk.length;
  })();
  await pending;
  writing.close();
  await draining;
  assertEquals(size, 3 << 20);
  reading.close();
});

test("T18: an abort event without an abort does nothing, and cancel is called once", async () => {
  const controller = new AbortController();
  let calls = 0;
  const command = sh("exec sleep 60", {
    signal: controller.signal,
    cancel: (child) => {
      calls += 1;
      child.kill();
    },
  });
  command.start();
  controller.signal.dispatchEvent(new Event("abort"));
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(calls, 0);
  controller.abort();
  controller.signal.dispatchEvent(new Event("abort"));
  await assertRejects(() => command.wait());
  assertEquals(calls, 1);
});

test(
  "T3, T4, F9: a pipe is read and written beside children and the host's own, without standing still",
  {
    skip: needsLinuxChild,
  },
  async () => {
    const [reading, writing] = pipe();
    const child = startProcess("/usr/bin/yes", ["yes"], { files: [null, writing, 2] });
    const ours = OSFile.fromFd(writing.fd);
    let isOver = false;
    let turns = 0;
    const timer = setInterval(() => turns += 1, 5);
    const writes = (async () => {
      while (!isOver) await ours.write(encode("parent\n"));
    })();
    const reads = (async () => {
      const p = new Uint8Array(65536);
      while (await reading.read(p) !== null);
    })();
    await until(() => turns >= 20);
    isOver = true;
    child.kill();
    await child.wait();
    await writes;
    clearInterval(timer);
    writing.close();
    await reads;
    reading.close();
  },
);

test("T3: a file is not made O_NONBLOCK under a running child", async () => {
  const [reading, writing] = pipe();
  const child = startProcess("/usr/bin/seq", ["seq", "1", "200000"], { files: [null, writing, 2] });
  await writing.write(encode("from us\n"));
  await new Promise((resolve) => setTimeout(resolve, 50));
  writing.close();
  let size = 0;
  for await (const chunk of reading) size += chunk.length;
  assertEquals([String(await child.wait()), size], ["exit status 0", 1_288_903]);
  reading.close();
  assert(child instanceof Process);
  assert(SpawnError.prototype instanceof SyscallError);
});
