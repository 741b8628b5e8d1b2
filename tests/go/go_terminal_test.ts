/** Go's tests of terminals, on a terminal of their own: a session, its leader and who is in front. */

import { test } from "node:test";
import { assertEquals } from "@std/assert";
import { findProcess, OSFile, pipe } from "../../mod.ts";
import { encode, impersonate, readAll, readText, script } from "../impersonator.ts";

const O_RDWR = 2;
const O_NOCTTY = 0o400;

/** A terminal: [the side of who types, the side of the programs]. */
async function openTerminal(): Promise<[OSFile, OSFile]> {
  const keys = OSFile.open("/dev/ptmx", O_RDWR | O_NOCTTY);
  const number = (await impersonate("unlockpt", [], { extraFiles: [keys] }).text()).trim();
  return [keys, OSFile.open(`/dev/pts/${number}`, O_RDWR | O_NOCTTY)];
}

/** The next line of a file. */
async function readLine(file: OSFile): Promise<string> {
  for await (const line of file.lines()) return line;
  return "";
}

/** Until this text has come from a terminal, which also echoes what is typed. */
async function expect(file: OSFile, text: string): Promise<void> {
  let seen = "";
  while (!seen.endsWith(text)) seen += await readText(file, 1);
}

test("TestForeground, TestForegroundSignal and TestTerminalSignal: a shell's ^Z and fg", async () => {
  const [keys, terminal] = await openTerminal();
  const [told, tell] = pipe();
  const leader = script("leadSession", [], {
    extraFiles: [terminal, tell],
    stderr: "inherit",
    sysProcAttr: { setsid: true, setctty: true, ctty: 3 },
  });
  const stdout = leader.stdoutPipe();
  leader.start();
  terminal.close();
  tell.close();
  const child = findProcess(Number(await readLine(told)));
  await expect(keys, "?");
  await keys.write(encode("\x1a"));
  assertEquals(await readLine(told), "ready");
  child.signal("SIGCONT");
  await keys.write(encode("\n"));
  // Neither SIGTTIN nor SIGTTOU has come, at the start nor after.
  assertEquals(await readAll(stdout), "in front\ntaken\ngiven back\nexit status 0\n");
  assertEquals(`${await leader.wait()}`, "exit status 0");
  child.release();
  for (const file of [keys, told, stdout]) file.close();
});
