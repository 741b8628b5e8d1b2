/** Every block of TypeScript in the documents and in the doc comments runs as it stands. */

import fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { assert, assertEquals } from "@std/assert";
import { root, runScript } from "../helper.ts";
import { needsLinuxChild, needsPidfdOpen } from "../refused.ts";

/** A block and where it stands. */
interface Block {
  readonly title: string;
  readonly code: string;
}

/** The blocks of a document, in order; a doc comment's lines have had their stars taken off. */
function blocksOf(file: string, text: string): Block[] {
  const blocks: Block[] = [];
  for (const found of text.matchAll(/^```ts\n(.*?)^```$/gms)) {
    const line = text.slice(0, found.index).split("\n").length;
    blocks.push({ title: `${file}:${line}`, code: found[1] ?? "" });
  }
  return blocks;
}

/** All TypeScript below a folder. */
function sources(folder: string): string[] {
  return fs.readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name)).sort();
}

function read(file: string): string {
  return fs.readFileSync(join(root, file), "utf8");
}

const documents = ["README.md", "docs/GUIDE.md"];
const commented = ["mod.ts", ...sources("src")];
const blocks = [
  ...documents.flatMap((file) => blocksOf(file, read(file))),
  ...commented.flatMap((file) => blocksOf(file, read(file).replace(/^ *\* ?/gm, ""))),
];

/** The package by its name, as its users import it, is this checkout. */
function program({ code }: Block): string {
  const here = JSON.stringify(pathToFileURL(join(root, "mod.ts")).href);
  return code.replaceAll('"osexec"', here);
}

test("documentation: every block names the package as its users do", () => {
  assert(blocks.length > 30, `${blocks.length} blocks`);
  const others = blocks.filter(({ code }) => !code.includes('from "osexec"'));
  assertEquals(others.map(({ title }) => title), []);
});

for (const block of blocks) {
  // They show what Linux has, and some of it what only a kernel with pidfds has.
  const needs = needsLinuxChild || (block.code.includes("reapOrphans") && needsPidfdOpen);
  test(`documentation: ${block.title} runs as it stands`, {
    skip: needs,
    timeout: 60_000,
  }, async () => {
    const { code, stderr } = await runScript(program(block));
    assertEquals({ code, stderr: code === 0 ? "" : stderr }, { code: 0, stderr: "" });
  });
}
