// Programs on musl as children, and a host on musl: see tools/musl.mjs, which names their folder.

import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  CLONE_NEWPID,
  CLONE_NEWUSER,
  Command,
  ExitError,
  pipeline,
  SpawnError,
} from "../../mod.ts";
import { decode, Directory, isBun, noise, runScript } from "../helper.ts";
import { needsUserNamespaces, openTerminal, ownMaps, statusFields } from "../system.ts";

const programs = process.env.OSEXEC_MUSL ?? "";
const needsMusl: string | false = programs === ""
  ? "needs OSEXEC_MUSL, as in `npm test -- bun-musl`"
  : false;
const shell = join(programs, "mksh");

/** tests/musl.c, each way. */
const kinds = ["static", "dynamic"];

test("issue 19, 5: this run's own libc is musl", {
  skip: needsMusl || (!isBun && "needs Bun: there is no Deno for musl"),
}, () => {
  const files = readFileSync("/proc/self/maps", "utf8");
  assert(/\/x86_64-linux-musl\/libc\.so$/m.test(files), files);
  assert(!files.includes("libc.so.6"), files);
});

for (const kind of kinds) {
  const path = join(programs, kind);
  const command = (...args: string[]): Command => new Command(path, args);

  test(`issue 19, 5: a ${kind} program on musl gets its arguments, and its end is told`, {
    skip: needsMusl,
  }, async () => {
    assertEquals(await command("args", "two words", "").text(), `${path}\nargs\ntwo words\n\n`);
    assertEquals(decode(command("args", "x").outputSync()), `${path}\nargs\nx\n`);
    const failed = await assertRejects(() => command("shell", "exit 7").run(), ExitError);
    assertEquals(String(failed.state), "exit status 7");
    const killed = await assertRejects(() => command("kill", "15").run(), ExitError);
    assertEquals(String(killed.state), "signal: terminated");
  });

  test(`issue 19, 5: a ${kind} program on musl reads and writes by stdio, 4 MiB each way`, {
    skip: needsMusl,
  }, async () => {
    const input = noise(4 << 20);
    const outputs = [
      await new Command(path, ["cat"], { input }).output(),
      new Command(path, ["cat"], { input }).outputSync(),
    ];
    for (const output of outputs) assertEquals(output, input);
  });

  test(`issue 19, 5: a ${kind} program on musl has no signal blocked, nor its libc's ignored`, {
    skip: needsMusl,
  }, async () => {
    const lasting = command("signals");
    const out = lasting.stdoutPipe();
    lasting.start();
    const texts = [await new Response(out.readable).text()];
    await lasting.wait();
    texts.push(await command("signals").text());
    texts.push(decode(command("signals").outputSync()));
    // SIGPIPE, SIGXFSZ, and the three that musl keeps for itself.
    const ours = [13, 25, 32, 33, 34].reduce((mask, signal) => mask | 1n << BigInt(signal - 1), 0n);
    for (const text of texts) {
      const fields = statusFields(text);
      assertEquals(fields.get("SigBlk"), "0".repeat(16));
      assertEquals(BigInt(`0x${fields.get("SigIgn")}`) & ours, 0n, text);
    }
  });

  test(`issue 19, 5: the threads of a ${kind} program on musl get the signals of their libc`, {
    skip: needsMusl,
  }, async () => {
    assertEquals(await command("threads").text(), "4 cancelled\n");
    assertEquals(decode(command("threads").outputSync()), "4 cancelled\n");
  });

  test(`issue 19, 5: exec() becomes a ${kind} program on musl`, { skip: needsMusl }, async () => {
    const argv = JSON.stringify(["name", "shell", "echo from $0; exit 5"]);
    const { code, stdout } = await runScript(`osexec.exec(${JSON.stringify(path)}, ${argv});`);
    assertEquals([code, stdout], [5, "from sh\n"]);
  });
}

test("issue 19, 5: a pipeline goes through programs on musl and on the system's libc", {
  skip: needsMusl,
}, async () => {
  const lines = pipeline(
    new Command(shell, ["-c", "for n in 3 1 2; do echo $n; done"]),
    new Command(join(programs, "dynamic"), ["cat"]),
    new Command("sort"),
    new Command(join(programs, "static"), ["cat"]),
  );
  assertEquals(await lines.text(), "1\n2\n3\n");
});

test("issue 19, 5: a shell on musl is the first process of an empty root", {
  skip: needsMusl || needsUserNamespaces,
}, async () => {
  using directory = new Directory();
  copyFileSync(shell, directory.join("sh"));
  const alone = new Command("/sh", ["-c", "echo $$ $PWD; echo /*"], {
    dir: "/",
    sysProcAttr: { chroot: directory.path, cloneflags: CLONE_NEWUSER | CLONE_NEWPID, ...ownMaps() },
  });
  assertEquals(await alone.text(), "1 /\n/sh\n");
});

test("issue 19, 5: a shell on musl has the terminal, stops a job and takes it up again", {
  skip: needsMusl,
}, async () => {
  using terminal = openTerminal();
  const job = `${join(programs, "static")} kill 19`;
  const child = new Command(shell, ["-m", "-c", `${job}; jobs; fg; echo $?; tty`], {
    stdin: terminal.slave,
    sysProcAttr: { setsid: true, setctty: true, ctty: 0 },
  });
  const lines = (await child.text()).trimEnd().split("\n");
  assert(lines[0]?.includes("Stopped"), lines[0]);
  assertEquals([lines[1], lines[2]], [job, "0"]);
  assert(lines[3]?.startsWith("/dev/pts/"), lines[3]);
});

test("issue 19, 5: a program on musl where musl is not says whose loader is missing", {
  skip: needsMusl || (existsSync("/lib/ld-musl-x86_64.so.1") && "musl is installed here"),
}, async () => {
  const error = await assertRejects(
    () => new Command(join(programs, "foreign"), ["args"]).run(),
    SpawnError,
  );
  assertEquals(error.step, "exec");
  assertEquals(error.hint, "its interpreter /lib/ld-musl-x86_64.so.1 does not exist");
});
