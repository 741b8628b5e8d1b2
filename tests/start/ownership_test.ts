/** Issue 18, 12: a pipe that becomes the stdio of another user's child can be opened again by its path there. */

import { statSync } from "node:fs";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import {
  CLONE_NEWUSER,
  type Command,
  type CommandOptions,
  pipe,
  pipeline,
  type SysProcAttr,
} from "../../mod.ts";
import {
  decode,
  Directory,
  helper,
  isBun,
  isRoot,
  needsRoot,
  readAll,
  runScript,
  runtime,
  sh,
  Sink,
} from "../helper.ts";
import { needsLinuxChild } from "../refused.ts";
import { self } from "../system.ts";

const sysProcAttr: SysProcAttr = { credential: { uid: 65534, gid: 65534 } };
/** All three by their paths, as nginx and php-fpm do. */
const script = "cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr";

function nobody(options: CommandOptions = {}): Command {
  return sh(script, { input: "in\n", sysProcAttr, ...options });
}

test(
  "another user's child opens its streams by their paths, whoever reads them",
  needsRoot,
  async () => {
    const stderr = new Sink();
    assertEquals(decode(await nobody({ stderr }).output()), "in\nout\n");
    assertEquals(stderr.text(), "err\n");
    assertEquals(decode(nobody({ stderr: "stdout" }).outputSync()), "in\nout\nerr\n");
    assertEquals(decode(await nobody().combinedOutput()), "in\nout\nerr\n");
    const captured = await nobody().capture();
    assertEquals([captured.text("stdout"), captured.text("stderr")], ["in\nout\n", "err\n"]);
    const lines: string[] = [];
    for await (const line of nobody({ stderr: new Sink() }).lines()) lines.push(line);
    assertEquals(lines, ["in", "out"]);
    const sinks = [new Sink(), new Sink()];
    await nobody({ stdout: sinks, stderr: "stdout" }).run();
    assertEquals(sinks.map((sink) => sink.text()), ["in\nout\nerr\n", "in\nout\nerr\n"]);
  },
);

test("so it does of what stdinPipe() and its kin have made", needsRoot, async () => {
  const command = sh(script, { sysProcAttr });
  const stdin = command.stdinPipe();
  using stdout = command.stdoutPipe();
  using stderr = command.stderrPipe();
  command.start();
  await stdin.writeString("in\n");
  stdin.close();
  assertEquals([await readAll(stdout), await readAll(stderr)], ["in\nout\n", "err\n"]);
  await command.wait();
});

test(
  "so it does of another command's pipe, if that one's child is nobody's else",
  needsRoot,
  async () => {
    const read = (): Command => sh("cat /dev/stdin", { sysProcAttr });
    assertEquals(await pipeline(sh("echo x"), read()).text(), "x\n");
    // Both are the same user's.
    assertEquals(await pipeline(sh("echo x >/dev/stdout", { sysProcAttr }), read()).text(), "x\n");
    // The first one's stays the first one's, who has it already.
    const other = { credential: { uid: 12_345, gid: 12_345 } };
    const last = sh("cat; cat /dev/stdin", { sysProcAttr: other, stderr: "stdout" });
    const captured = await pipeline(sh("echo x >/dev/stdout", { sysProcAttr }), last)
      .capture({ check: false });
    assertMatch(captured.text(), /^x\n.*Permission denied/);
  },
);

test("in a user namespace the pipe is the host's user of the map", {
  skip: needsLinuxChild || (isRoot ? false : "needs root"),
}, async () => {
  const maps = [{ containerID: 0, hostID: 100_000, size: 1000 }];
  const born: SysProcAttr = {
    cloneflags: CLONE_NEWUSER,
    uidMappings: maps,
    gidMappings: maps,
    gidMappingsEnableSetgroups: true,
    credential: { uid: 33, gid: 33 },
  };
  const text = "cat /dev/stdin; stat -L -c %u /dev/stdout; echo err >/dev/stderr";
  const captured = await sh(text, { input: "in\n", sysProcAttr: born }).capture();
  assertEquals([captured.text("stdout"), captured.text("stderr")], ["in\n33\n", "err\n"]);
});

test("what is not made for the child keeps its owner", needsRoot, async () => {
  using directory = new Directory();
  const [reading, writing] = pipe();
  await sh("echo x", { stdout: writing, sysProcAttr }).run();
  const owner = (file: { fd: number }): number => statSync(`/proc/self/fd/${file.fd}`).uid;
  assertEquals([owner(reading), owner(writing)], [0, 0]);
  reading.close();
  writing.close();
  if (!isBun) return;
  const path = directory.file("output");
  const { file } = Reflect.get(globalThis, "Bun") as { file(path: string): Blob };
  await sh("echo x", { stdout: file(path), sysProcAttr }).run();
  assertEquals(statSync(path).uid, 0);
});

test("a child of this user's own opens them too, as it always has", async () => {
  const own = isRoot ? {} : { credential: { ...self, noSetGroups: true } };
  const captured = await sh(script, { input: "in\n", sysProcAttr: own }).capture();
  assertEquals([captured.text("stdout"), captured.text("stderr")], ["in\nout\n", "err\n"]);
});

test("a pipe that may not be given away is no reason not to start", needsRoot, async () => {
  const source = `
    const sysProcAttr = { credential: { uid: 65534, gid: 65534 } };
    const child = new osexec.Command("sh", ["-c", "echo x; echo y >/dev/stdout"], { sysProcAttr });
    const { stdout, stderr } = await child.capture({ check: false });
    console.log(new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
  `;
  const { stdout } = await runScript(source, {
    runtime: [helper, "deny", "fchown", "EPERM", "--", ...runtime],
  });
  assertMatch(stdout, /^x\n.*Permission denied/);
});
