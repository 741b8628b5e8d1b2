// What is claimed of the platforms stands in docs/PLATFORMS.md alone; and where the version and the packages' files stand.

import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertMatch } from "@std/assert";

const BEGIN = "<!-- begin platforms -->";
const END = "<!-- end platforms -->";

/** What a file has between the marks. */
function table(file: string): string {
  const text = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
  const parts = text.split(BEGIN);
  assertEquals(parts.length, 2, `${file}: one ${BEGIN}`);
  const [inner, ...after] = (parts[1] ?? "").split(END);
  assertEquals(after.length, 1, `${file}: one ${END}`);
  return (inner ?? "").trim();
}

test("docs/PLATFORMS.md says of everything that was run on what, and when", () => {
  const lines = table("docs/PLATFORMS.md").split("\n");
  const rows = lines.map((line) => line.slice(2, -2).split("|").map((cell) => cell.trim()));
  assertEquals(rows[0], ["platform", "run", "only built", "on", "date"]);
  assert(rows.length > 3, "rows");
  for (const [platform = "", run = "", built = "", on = "", date = "", ...more] of rows.slice(2)) {
    assertEquals(more, [], platform);
    assert(run !== "" && built !== "" && on !== "", platform);
    if (run === "nothing") assertEquals(on, "–", platform);
    else assert(on !== "–", platform);
    assertMatch(date, /^20\d\d-\d\d-\d\d$/, platform);
  }
});

test("the version is the same wherever it stands", () => {
  const read = (file: string): string =>
    readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
  const { version } = JSON.parse(read("package.json"));
  assertEquals(JSON.parse(read("jsr.json")).version, version);
  assertEquals(/^## (\S+)/m.exec(read("CHANGELOG.md"))?.[1], version);
  assertEquals(/^Version (\d+\.\d+\.\d+\S*?)[,.]\s/m.exec(read("README.md"))?.[1], version);
  assertEquals(/\.version = "(.*)"/.exec(read("build.zig.zon"))?.[1], version);
});

test("what the packages name is there, and JSR's names nothing that is not in it", () => {
  const read = (file: string): string =>
    readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
  const { exports, publish, ...more } = JSON.parse(read("jsr.json"));
  assertEquals(Object.keys(more).sort(), ["compilerOptions", "license", "name", "version"]);
  for (const path of Object.values<string>(exports)) {
    assert(publish.include.includes(path.slice("./".length)), path);
  }
  const { files } = JSON.parse(read("package.json"));
  // dist/ is made when it is packed.
  for (const name of [...publish.include, ...files.filter((file: string) => file !== "dist")]) {
    assert(existsSync(new URL(`../../${name}`, import.meta.url)), name);
  }
});
