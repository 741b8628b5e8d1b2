/**
 * A program in a sandbox: sandbox() beside bubblewrap, and beside the same program in none.
 *
 *     node bench/sandbox.mjs BWRAP [ROUNDS]
 *
 * BWRAP is bubblewrap's program: of another place than /usr/bin, say where its libraries are by LD_LIBRARY_PATH. Each runtime
 * is a process of its own, in which a round starts each contestant once, by the same Command, and waits for its end. Both
 * sandboxes show the same: /usr and what has moved there read-only, a /proc, a /dev and a /tmp of its own, no network, a session
 * of its own, and an end with the parent. sandbox() filters system calls too, which bubblewrap leaves to its caller.
 */

import { spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { tools } from "../tools/toolchain.mjs";

const self = fileURLToPath(import.meta.url);

const program = "/usr/bin/true";

/** @param {string} bwrap */
function bubblewrap(bwrap) {
  const links = ["bin", "lib", "lib64", "sbin"].flatMap((
    name,
  ) => ["--symlink", `usr/${name}`, `/${name}`]);
  return [
    bwrap,
    ...["--unshare-all", "--die-with-parent", "--new-session"],
    ...["--ro-bind", "/usr", "/usr", ...links],
    ...["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--remount-ro", "/"],
    program,
  ];
}

const [name, ...rest] = process.argv.slice(2);
if (name === "--do") await work(rest[0] ?? "", Number(rest[1]));
else main(name, Number(rest[0] ?? 300));

/**
 * @param {string} bwrap
 * @param {number} rounds
 */
async function work(bwrap, rounds) {
  const { Command, sandbox } = await import("../mod.ts");
  const sysProcAttr = sandbox({ readOnly: ["/usr"], tmp: true, proc: true, dev: true });
  const bare = { ...sysProcAttr };
  delete bare.seccomp;
  delete bare.landlock;
  const [path = "", ...args] = bubblewrap(bwrap);
  /** @type {Record<string, () => Promise<unknown>>} */
  const contestants = {
    "no sandbox": () => new Command(program).run(),
    "sandbox()": () => new Command(program, [], { sysProcAttr }).run(),
    "without seccomp and Landlock": () => new Command(program, [], { sysProcAttr: bare }).run(),
    bubblewrap: () => new Command(path, args).run(),
  };
  /** @type {Record<string, number[]>} */
  const times = {};
  const warm = Math.ceil(rounds / 10);
  for (let round = -warm; round < rounds; round++) {
    for (const [contestant, run] of Object.entries(contestants)) {
      const begun = performance.now();
      await run();
      if (round >= 0) (times[contestant] ??= []).push(performance.now() - begun);
    }
  }
  console.log(JSON.stringify(times));
}

/**
 * @param {string | undefined} bwrap
 * @param {number} rounds
 */
function main(bwrap, rounds) {
  if (bwrap === undefined) throw new Error("usage: node bench/sandbox.mjs BWRAP [ROUNDS]");
  const { bun, deno, node } = tools();
  const runtimes = { Bun: [bun], Deno: [deno, "run", "-A"], Node: [node] };
  console.log("| runtime | contestant | median, ms | 10% | 90% |\n| --- | --- | --- | --- | --- |");
  for (const [runtime, [path = "", ...flags]] of Object.entries(runtimes)) {
    const argv = [...flags, self, "--do", bwrap, `${rounds}`];
    const { status, stdout } = spawnSync(path, argv, { stdio: ["ignore", "pipe", "inherit"] });
    if (status !== 0) throw new Error(`${runtime}: exit status ${status}`);
    /** @type {Record<string, number[]>} */
    const times = JSON.parse(stdout.toString());
    for (const [contestant, list] of Object.entries(times)) {
      const sorted = list.toSorted((a, b) => a - b);
      const at = (/** @type {number} */ part) =>
        (sorted[Math.floor(part * sorted.length)] ?? 0).toFixed(2);
      console.log(`| ${runtime} | ${contestant} | ${at(0.5)} | ${at(0.1)} | ${at(0.9)} |`);
    }
  }
}
