/** Issue 18, "Shown by": the programs of docs/FIRST_DAY.md, run as they stand there, and the table of their lines. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { assert, assertEquals } from "@std/assert";
import { Command, lookPath } from "../../mod.ts";
import { decode, Directory, findRuntime, isRoot, root, runtime, type Skip } from "../helper.ts";
import { needsUserNamespaces } from "../system.ts";

const text = readFileSync(join(root, "docs/FIRST_DAY.md"), "utf8");

/** A section's heading, and its blocks by what they are for. */
interface Program {
  readonly title: string;
  readonly blocks: ReadonlyMap<string, string>;
}

const programs: readonly Program[] = text.split(/^## /m).slice(1).map((section) => {
  const [title = ""] = section.split("\n");
  const blocks = section.matchAll(/^```[jt]s (\w+)\n([^]*?)^```$/gm);
  return { title, blocks: new Map(Array.from(blocks, ([, name = "", code = ""]) => [name, code])) };
});

function lines(code: string | undefined): string {
  return code === undefined
    ? "–"
    : `${code.split("\n").filter((line) => line.trim() !== "").length}`;
}

/** By tools of bench/run.mjs, which may not be there. */
const peers = join(root, ".tools/peers/node_modules");

/** What runs a block, and its modules as they are to be found from anywhere; undefined: it is not there. */
function place(
  kind: string,
): { readonly argv: readonly string[]; code(text: string): string } | undefined {
  const module = (name: string, path: string) => (code: string): string =>
    code.replace(`"${name}"`, JSON.stringify(pathToFileURL(path).href));
  if (kind === "osexec") return { argv: runtime, code: module("osexec", join(root, "mod.ts")) };
  if (kind === "bun") {
    const bun = findRuntime("bun");
    return bun === undefined ? undefined : { argv: [bun, "run"], code: (code) => code };
  }
  const node = join(peers, `node-linux-${process.arch}/bin/node`);
  const execa = join(peers, "execa/index.js");
  if (!existsSync(node) || !existsSync(execa)) return undefined;
  return { argv: [node], code: module("execa", execa) };
}

/** What a block prints. */
async function run(kind: string, code: string): Promise<string | undefined> {
  const found = place(kind);
  if (found === undefined) return undefined;
  using directory = new Directory();
  const path = directory.file(kind === "osexec" ? "program.ts" : "program.mjs", found.code(code));
  const [program = "", ...words] = found.argv;
  const command = new Command(program, [...words, path], { stdin: "null" });
  const { stdout, stderr, state } = await command.capture({ check: false });
  assertEquals(`${state}`, "exit status 0", decode(stderr));
  return decode(stdout);
}

/** What is needed of the system, or false. */
function needsPrograms(...names: string[]): string | false {
  for (const name of names) {
    try {
      lookPath(name);
    } catch {
      return `needs ${name}`;
    }
  }
  return false;
}

/** How many processes are this one, whose number is in no other test. */
function countSleeps(): number {
  return readdirSync("/proc").filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8") === "sleep\x001018\x00";
    } catch {
      return false; // No process, or one that has ended since.
    }
  }).length;
}

const byNumber: Readonly<
  Record<string, { readonly needs?: Skip["skip"] | false; check(text: string): void }>
> = {
  1: { check: (text) => assertEquals(text, "10%\n60%\n99%\nTimeoutError\n") },
  2: { check: (text) => assert(text.includes("root\n") && text.endsWith("\n\n")) },
  3: {
    needs: isRoot ? false : "needs root",
    check: (text) => assertEquals(text.match(/^uid=65534.*\n\d: exit code 3$/gm)?.length, 3, text),
  },
  4: {
    check: (text) =>
      assertEquals(
        text.replaceAll(/["'\s]/g, ""),
        String.raw`[out\nmore\n,err\n,out\nerr\nmore\n]outerrmore[out\nerr\nmore\n]`,
      ),
  },
  5: { check: (text) => assertEquals(text, "100 200\n") },
  6: {
    needs: needsUserNamespaces,
    check: (text) => assertEquals(text, "1\n64\n1\nNoNewPrivs:\t1\n\n"),
  },
  7: {
    needs: needsPrograms("bc", "python3"),
    check: (text) => assertEquals(text, "42\n42\n"),
  },
  8: {
    check(text) {
      assertEquals(text, "started\n");
      assertEquals(countSleeps(), 0);
    },
  },
};

test("docs/FIRST_DAY.md: its table counts the lines of its programs", () => {
  const rows = text.split("\n").filter((line) => /^\| \d/.test(line));
  const expected = programs.map(({ title, blocks }) => {
    const counts = ["osexec", "execa", "bun"].map((kind) => lines(blocks.get(kind)));
    return `| ${[title, ...counts].join(" | ")} |`;
  });
  assertEquals(rows, expected);
  assertEquals(rows.length, Object.keys(byNumber).length);
});

for (const { title, blocks } of programs) {
  const { needs = false, check } = byNumber[title.split(".")[0] ?? ""] ??
    { check: () => assert(false) };

  test(`first day ${title}: no longer than its like`, () => {
    const count = (kind: string): number => Number(lines(blocks.get(kind)));
    const other = Math.min(...["execa", "bun"].map(count).filter((each) => !Number.isNaN(each)));
    assert(count("osexec") <= other, `${count("osexec")} lines, and ${other}`);
  });

  for (const [kind, code] of blocks) {
    const skip = needs ||
      (place(kind) === undefined ? `needs ${kind}: node bench/run.mjs gets it` : false);
    test(`first day ${title}: with ${kind}`, { skip }, async () => {
      const printed = await run(kind, code);
      assert(printed !== undefined);
      check(printed);
    });
  }
}
