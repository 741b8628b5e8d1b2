import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { ExecError } from "../../mod.ts";
import {
  lookPathOnWindows,
  type Surroundings,
  withExtension,
} from "../../src/windows/look_path.ts";
import { lookPathRows, pathOf } from "./paths.ts";

const root = "C:\\root";

/** A machine with these files, by their paths below the current directory. */
function machine(
  files: readonly string[],
  variables: Readonly<Record<string, string | undefined>>,
): Surroundings {
  const there = new Set(files.map((file) => `${root}\\${file}`.toLowerCase()));
  return {
    variable: (name) => variables[name],
    directory: () => root,
    isFile(path) {
      const whole = /^[a-z]:/i.test(path) ? path : `${root}\\${path.replace(/^\.\\/, "")}`;
      return there.has(whole.toLowerCase());
    },
  };
}

for (const row of lookPathRows) {
  test(`issue 21, 1: Go's LookPath on Windows: ${row.name}`, () => {
    const system = machine(row.files, { PATH: pathOf(row, root), PATHEXT: row.pathext });
    const look = (): string => lookPathOnWindows(row.searchFor, system);
    if (row.code === undefined) {
      assertEquals(look().replace(`${root}\\`, ""), row.want);
      return;
    }
    const error = assertThrows(look, ExecError);
    assertEquals([error.code, error.command, error.path], [row.code, row.searchFor, row.want]);
  });
}

test("issue 21, 1: NoDefaultCurrentDirectoryInExePath leaves the current directory out", () => {
  const variables = { PATH: `${root}\\p`, NoDefaultCurrentDirectoryInExePath: "" };
  assertEquals(
    lookPathOnWindows("a", machine(["a.exe", "p\\a.exe"], variables)),
    `${root}\\p\\a.exe`,
  );
});

test("issue 21, 1: elements of PATH in quotes are read without them", () => {
  const system = machine(["p;q\\a.exe", "p\\a.exe"], { PATH: `"${root}\\p"` });
  assertEquals(lookPathOnWindows("a", system), `${root}\\p\\a.exe`);
});

test("issue 21, 1: a path gets its extension from where it is to run", () => {
  const system = machine(["a.exe", "p\\a.exe", "p\\b.bat"], {});
  assertEquals(withExtension(".\\a", undefined, system), ".\\a.exe");
  assertEquals(withExtension("a", undefined, system), ".\\a.exe");
  assertEquals(withExtension(".\\b", `${root}\\p`, system), ".\\b.bat");
  assertEquals(withExtension(`${root}\\p\\a`, "elsewhere", system), `${root}\\p\\a.exe`);
  // One that has an extension of PATHEXT is not looked for.
  assertEquals(withExtension(".\\nope.exe", undefined, system), ".\\nope.exe");
  const error = assertThrows(() => withExtension(".\\b", undefined, system), ExecError);
  assertEquals(error.code, "ERR_NOT_FOUND");
});
