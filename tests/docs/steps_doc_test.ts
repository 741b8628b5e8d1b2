import { readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { STEPS } from "../../ffi/abi.ts";

/** The rows of the table, a list of cells each, without its head. */
function rows(): string[][] {
  const text = readFileSync(new URL("../../docs/STEPS.md", import.meta.url), "utf8");
  const lines = text.split("\n").filter((line) => line.startsWith("| "));
  return lines.slice(2).map((line) => line.slice(2, -2).split(" | "));
}

/** Whether a cell, "file: name", names a test that is there. */
function namesTest(cell: string): boolean {
  const colon = cell.indexOf(": ");
  const source = readFileSync(new URL(`../${cell.slice(0, colon)}`, import.meta.url), "utf8");
  const name = JSON.stringify(cell.slice(colon + 2));
  return source.replaceAll(/\btest\(\s+/g, "test(").includes(`test(${name},`);
}

test("docs/STEPS.md has every step of the native table, in its order, with its word", () => {
  const documented = rows().map(([step = "", word = ""]) => ({ step, word }));
  // Those of Windows are in docs/PLATFORMS.md.
  const own = STEPS.filter((row) => !("windows" in row));
  assertEquals(documented, own.map(({ step, word }) => ({ step, word })));
});

test("docs/STEPS.md says of every step what it does, why it stands there, and who asks for it", () => {
  for (const cells of rows()) {
    assertEquals(cells.length, 7, cells[0]);
    assert(cells.every((cell) => cell.trim() !== ""), cells[0]);
  }
});

test("docs/STEPS.md names for every step a test that shows it, and one that shows it failing", () => {
  for (const [step, , , , , works = "", fails = ""] of rows()) {
    assert(namesTest(works), `${step}: there is no test ${works}`);
    assert(namesTest(fails), `${step}: there is no test ${fails}`);
    // Of two steps with the same word each has a failing test of its own.
    assert(fails.includes(`step ${step} fails`), `${step}: ${fails}`);
  }
});
