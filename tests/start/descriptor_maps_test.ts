import { readFileSync, truncateSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertGreater } from "@std/assert";
import { Rung } from "../../ffi/abi.ts";
import { forceRungs } from "../../ffi/request.ts";
import { OSFile, SpawnError, startProcess } from "../../mod.ts";
import { generator, isNode } from "../helper.ts";
import { inheritable } from "../holdings.ts";
import { childPath } from "../refused.ts";
import { descriptors, duplicate, helper, temporaryFolder } from "../system.ts";

/** What a child is to have: for each of its descriptors the parent's number, or null for none. */
type DescriptorMap = readonly (number | null)[];

/** What came of it: the descriptors with what they are of, or the step's argument where that failed. */
type Outcome = Readonly<Record<string, string>> | string;

/** The highest of a child's descriptors that a map may have. */
const lastTarget = 40;

/** Whether a child has another such file at its number: libuv makes its signals' pipe anew after a fork of libc's. */
function isRemade(link: string): boolean {
  return isNode && childPath === "libc" && link.startsWith("pipe:");
}

/** This process's descriptors, told apart by the files they are of, and a file for the child to print into. */
class Table implements Disposable {
  readonly #folder = temporaryFolder();
  readonly #files = new Map<number, OSFile>();
  readonly #output: OSFile;

  constructor() {
    this.#output = OSFile.open(`${this.#folder.path}/output`, "a+");
  }

  /** Opens a file at the lowest free number from `least` on, close-on-exec or not. */
  open(least: number, inherited: boolean): void {
    const file = OSFile.open(`${this.#folder.path}/${this.#files.size}`, "a+");
    const at = inherited ? duplicate(file.fd, least) : duplicateCloseOnExec(file.fd, least);
    file.close();
    this.#files.set(at.fd, at);
  }

  close(fd: number): void {
    this.#files.get(fd)?.close();
    this.#files.delete(fd);
  }

  /** The numbers of the files, and of whatever else of this process lies among the targets. */
  get numbers(): number[] {
    // The library keeps some low numbers open on /dev/null for what it hands over: not a caller's to give.
    const others = [...descriptors()]
      .filter(([fd, link]) => fd <= lastTarget && link !== "/dev/null" && !isRemade(link))
      .map(([fd]) => fd);
    return [...new Set([...this.#files.keys(), ...others])].sort((a, b) => a - b);
  }

  /** Makes holes, at the lowest numbers there are files at. */
  punch(maps: Maps): void {
    for (let count = 0; count < 8; count++) {
      const files = [...this.#files.keys()].sort((a, b) => a - b);
      this.close(maps.pick(files.slice(0, 30)));
    }
  }

  /** The model: what a child with this map has, or which of its descriptors cannot be had. */
  expected(map: DescriptorMap, closeFds: boolean): Outcome {
    const open = descriptors();
    const links: Record<string, string> = {};
    for (const [target, source] of map.entries()) {
      if (source === null) continue;
      const link = open.get(source);
      // In the order of the targets the first one that is closed is the one that fails.
      if (link === undefined) return `${source} -> ${target}`;
      links[target] = link;
    }
    for (const fd of closeFds ? [] : inheritable()) {
      if (fd > Math.max(2, map.length)) links[fd] = open.get(fd) ?? "";
    }
    return links;
  }

  /** The same of a real child, which prints into one descriptor more. */
  actual(map: DescriptorMap, closeFds: boolean): Outcome {
    try {
      const child = startProcess(helper, ["helper", "fds", `${map.length}`], {
        files: [...map, this.#output],
        sys: { closeFds },
      });
      assertEquals(child.waitSync().toString(), "exit status 0");
    } catch (error) {
      if (!(error instanceof SpawnError) || error.step !== "fd") throw error;
      assertEquals(error.code, "EBADF");
      return error.argument ?? "";
    }
    const lines = readFileSync(this.#output.name, "utf8").trimEnd().split("\n");
    truncateSync(this.#output.name);
    const pairs = lines.map((line): [string, string] => {
      const space = line.indexOf(" ");
      return [line.slice(0, space), line.slice(space + 1)];
    });
    return Object.fromEntries(pairs.filter(([fd]) => fd !== `${map.length}`));
  }

  check(map: DescriptorMap, closeFds: boolean): void {
    const about = `closeFds ${closeFds}: ${map.map((fd) => fd ?? "-").join(" ")}`;
    // Before the start, which may not make what is closed look open.
    const expected = this.expected(map, closeFds);
    assertEquals(this.actual(map, closeFds), expected, about);
  }

  [Symbol.dispose](): void {
    for (const file of this.#files.values()) file.close();
    this.#output.close();
    this.#folder[Symbol.dispose]();
  }
}

function duplicateCloseOnExec(fd: number, least: number): OSFile {
  const inherited = duplicate(fd, least);
  // dup(2) by way of /proc opens the file again: with close-on-exec, as OSFile.open() does.
  const again = OSFile.open(`/proc/self/fd/${fd}`, "a+");
  if (again.fd >= least) {
    inherited.close();
    return again;
  }
  again.close();
  return inherited;
}

/** Random numbers, and maps made of them. */
class Maps {
  readonly #random: (below: number) => number;

  constructor(seed: number) {
    this.#random = generator(seed);
  }

  below(count: number): number {
    return this.#random(count);
  }

  pick(numbers: readonly number[]): number {
    const number = numbers[this.below(numbers.length)];
    assert(number !== undefined);
    return number;
  }

  /** Up to 41 descriptors of any source: some twice, some closed, some in the way of a target. */
  any(table: Table): DescriptorMap {
    const { numbers } = table;
    const closed = closedNumbers();
    return Array.from({ length: this.below(lastTarget + 2) }, (_, target) => {
      const kind = this.below(40);
      if (kind === 0) return this.pick(closed);
      if (kind < 10) return null;
      if (kind < 14) return numbers.includes(target) ? target : null;
      return this.pick(numbers);
    });
  }

  /** Descriptors that change places among each other: swaps, and cycles of any length. */
  permutation(table: Table): DescriptorMap {
    const targets = table.numbers.filter((fd) => fd <= lastTarget);
    const sources = [...targets];
    const map: (number | null)[] = new Array(lastTarget + 1).fill(null);
    for (const target of targets) {
      const [source = null] = sources.splice(this.below(sources.length), 1);
      map[target] = source;
    }
    return map;
  }
}

/** The lowest closed numbers, in which whatever a start opens for itself would come to lie. */
function closedNumbers(): number[] {
  const open = descriptors();
  const closed: number[] = [];
  for (let fd = 0; closed.length < 8; fd++) {
    if (!open.has(fd)) closed.push(fd);
  }
  return closed;
}

/** A table with files low and high, and holes between them. */
function fill(table: Table, maps: Maps): void {
  for (let index = 0; index < 50; index++) table.open(0, maps.below(2) === 0);
  for (const least of [70, 90, 130, 200, 300, 700]) table.open(least, maps.below(2) === 0);
  table.punch(maps);
}

/** The ways a child can be made, each of which has to come to the same. */
const ways: readonly (readonly [name: string, rungs: number])[] = [
  ["best", 0],
  ["clone3", Rung.clone3],
  ["close_range", Rung.close_range],
  ["window", Rung.window],
  ["memory", Rung.memory],
  ["memory without close_range", Rung.memory | Rung.close_range],
];

for (const [name, rungs] of ways) {
  test(`rule 111: any map comes out as it was asked for (forced: ${name})`, () => {
    const maps = new Maps(rungs + 1);
    using table = new Table();
    fill(table, maps);
    forceRungs(rungs);
    try {
      for (let round = 0; round < 40; round++) {
        table.check(round % 4 === 3 ? maps.permutation(table) : maps.any(table), round % 2 === 0);
      }
    } finally {
      forceRungs(0);
    }
  });

  test(`rule 111: a closed source fails, whatever a start opens for itself (forced: ${name})`, () => {
    const maps = new Maps(3);
    using table = new Table();
    fill(table, maps);
    forceRungs(rungs);
    try {
      const { numbers } = table;
      const high = Math.max(...numbers);
      for (const closed of [...closedNumbers(), high + 1, high + 2]) {
        table.check([closed], true);
        table.check([null, null, null, closed], true);
        // Sources below their targets are moved out of the way first, to numbers that are free.
        const moved = Array.from({ length: lastTarget + 1 }, (_, target) => target > 30 ? 0 : null);
        table.check([closed, ...moved], true);
        table.check([...moved, closed], false);
      }
    } finally {
      forceRungs(0);
    }
  });
}

const openFiles = Number(
  /^Max open files +\d+ +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 0,
);

test("rule 111: any map comes out as it was asked for among 15,000 other descriptors", {
  skip: openFiles < 16_000 ? "needs a limit of 16,000 open files" : false,
}, () => {
  using null_ = OSFile.open("/dev/null");
  const others = Array.from({ length: 15_000 }, () => duplicate(null_.fd));
  try {
    const maps = new Maps(5);
    using table = new Table();
    for (let index = 0; index < 20; index++) table.open(0, index % 2 === 0);
    assertGreater(Math.max(...table.numbers), 15_000);
    for (let round = 0; round < 6; round++) table.check(maps.any(table), true);
    forceRungs(Rung.close_range);
    table.check(maps.any(table), true);
  } finally {
    forceRungs(0);
    for (const other of others) other.close();
  }
});
