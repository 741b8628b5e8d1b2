/**
 * ConPTY under Wine, as far as Wine 8 has one: that it is made, given to a child, resized and closed. What a program sees
 * of it there is Wine's own doing, and proves nothing of Windows'.
 */

import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Command, openPty, SyscallError } from "../../../mod.ts";

const child = process.env.OSEXEC_CHILD_EXE ?? "";

test("issue 21: a pseudo-console is made, has a size, and is closed", () => {
  const [terminal, side] = openPty();
  assertEquals([terminal.columns, terminal.rows], [80, 24]);
  // Wine 8 has no ResizePseudoConsole, and says so.
  const size = assertThrows(() => terminal.resize(120, 40), SyscallError);
  assertEquals(size.code, "ERROR_CALL_NOT_IMPLEMENTED");
  const raw = assertThrows(() => terminal.setMode("raw"), SyscallError);
  assertEquals(raw.code, "EWINDOWS");
  side.close();
  terminal.close();
});

test("issue 21: a child that has a pseudo-console starts, and ends", async () => {
  await using command = new Command(child, ["exit", "7"], { pty: true });
  command.start();
  const state = await command.wait().catch((error) => error.state);
  assertEquals(state.exitCode, 7);
  assert(command.terminal !== undefined);
});
