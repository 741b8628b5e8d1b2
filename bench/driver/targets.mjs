/** What the figures are to be, and whether they are. */

import { availableParallelism } from "node:os";
import { findLine } from "./figures.mjs";
import { difference, figure, table } from "./format.mjs";
import { REFERENCE } from "./workloads.mjs";

/**
 * @typedef {import("./figures.mjs").Line} Line
 * @typedef {import("./figures.mjs").Results} Results
 *
 * One thing to be true: what was measured, and what it should be, in words.
 *
 * @typedef {object} Check
 * @property {string} what
 * @property {string} measured
 * @property {string} wanted
 * @property {boolean} isMet
 *
 * Finds a contestant's line in a workload, if it was measured.
 * @typedef {(workload: string, contestant: string) => Line | undefined} Find
 */

const MIB = 2 ** 20;

/** Fewer rounds show nothing: one of them is easily a bad minute of the machine. */
const ROUNDS_WANTED = 7;

/** How many times the reference's time each may take. */
const RATIOS = [
  { workload: "sequential", what: "one at a time", sync: 1.2, bun: 1.5, deno: 1.5, node: 1.88 },
  { workload: "parallel", what: "16 in flight", sync: undefined, bun: 1.5, deno: 1.5, node: 1.88 },
  { workload: "block", what: "64 KiB captured", sync: 1.4, bun: 1.4, deno: 1.4, node: 1.75 },
];

/** How many times its own time without it each may take while holding something. */
const HELD = [
  { workload: "heap", what: "2 GiB touched, to plain", limit: 1.2 },
  { workload: "descriptors", what: "15,000 descriptors, to few", limit: 1.3 },
];

/** Where the reference is no faster than this, a share of it will do. */
const STREAM = { wanted: 2.3, reference: 2.6, share: 0.9 };

/** How much more than with three times "inherit" a start may take with streams that are not spoken of. */
const NULL_TO_INHERIT = 1.05;

/** Milliseconds above the empty script, or the empty executable. */
const STARTUP = {
  "npm's, ": { bun: 3, deno: 4, node: 5 },
  "from sources, ": { bun: 5, deno: 8, node: undefined },
  "an executable, ": { bun: 2.5, deno: undefined, node: undefined },
};

/** By the names of the contestants. */
const STARTUP_FORMS = { "npm's, ": "-npm", "from sources, ": "", "an executable, ": "-executable" };

/** How many times what osexec takes on Deno each may take on Node. */
const NODE_TO_DENO = 1.25;

const GROWTH_MAX = 2 * MIB;

/** @type {readonly ["bun", "deno", "node"]} */
const RUNTIMES = ["bun", "deno", "node"];

/** The runtime's own API that lateness is compared with. */
const OWN = { bun: "bun-spawn", deno: "deno-Command", node: "node-spawn" };

/**
 * All that could be checked with what was measured.
 *
 * @param {Results} results
 * @returns {Check[]}
 */
export function checks(results) {
  /** @type {Find} */
  const find = (workload, contestant) => findLine(results, workload, contestant);
  return [
    ...ratioChecks(find),
    ...nullChecks(find),
    ...streamChecks(find),
    ...heldChecks(find),
    ...latenessChecks(find),
    ...startupChecks(find),
    ...memoryChecks(find),
    ...nodeChecks(results),
  ];
}

/**
 * Every figure of Node's beside Deno's; of rates the other way round.
 *
 * @param {Results} results
 * @returns {Check[]}
 */
function nodeChecks(results) {
  const compared = ["each", "held", "stream"];
  return [...results.keys()].filter(({ kind }) => compared.includes(kind))
    .flatMap(({ name, kind }) =>
      ["osexec", "osexec-sync"].flatMap((form) => {
        const node = findLine(results, name, `node-${form}`)?.middle;
        const deno = findLine(results, name, `deno-${form}`)?.middle;
        if (node === undefined || deno === undefined) return [];
        const ratio = kind === "stream" ? deno / node : node / deno;
        return atMost(`${name}, ${form} on Node`, ratio, NODE_TO_DENO, " × Deno's");
      })
    );
}

/**
 * @param {string} what
 * @param {number | undefined} measured
 * @param {number} limit
 * @param {string} unit
 * @returns {Check[]} none if it was not measured
 */
function atMost(what, measured, limit, unit) {
  if (measured === undefined || Number.isNaN(measured)) return [];
  const isMet = measured <= limit;
  return [{ what, measured: `${figure(measured)}${unit}`, wanted: `≤ ${limit}${unit}`, isMet }];
}

/**
 * @param {Find} find
 * @returns {Check[]}
 */
function ratioChecks(find) {
  return RATIOS.flatMap(({ workload, what, sync, ...limits }) =>
    RUNTIMES.flatMap((runtime) => {
      const ours = `${runtime}-osexec`;
      const blocking = sync === undefined ? [] : atMost(
        `${what}, Sync, ${runtime}`,
        find(workload, `${ours}-sync`)?.ratio,
        sync,
        " × C",
      );
      const ratio = find(workload, ours)?.ratio;
      return [...blocking, ...atMost(`${what}, ${runtime}`, ratio, limits[runtime], " × C")];
    })
  );
}

/**
 * @param {Find} find
 * @returns {Check[]}
 */
function nullChecks(find) {
  return RUNTIMES.flatMap((runtime) =>
    ["-sync", ""].flatMap((form) => {
      const name = `${runtime}-osexec${form}`;
      const [quiet, loud] = [find("null", name)?.ratio, find("sequential", name)?.ratio];
      if (quiet === undefined || loud === undefined) return [];
      const what = `default stdio, ${form === "" ? "" : "Sync, "}${runtime}`;
      return atMost(what, quiet / loud, NULL_TO_INHERIT, ' × "inherit"');
    })
  );
}

/**
 * @param {Find} find
 * @returns {Check[]}
 */
function streamChecks(find) {
  return ["out", "in"].flatMap((workload) => {
    const reference = find(workload, REFERENCE)?.middle;
    if (reference === undefined) return [];
    const isFast = reference >= STREAM.reference;
    const wanted = isFast ? STREAM.wanted : STREAM.share * reference;
    const words = `≥ ${figure(wanted)} (C: ${figure(reference)})`;
    return RUNTIMES.flatMap((runtime) => {
      const measured = find(workload, `${runtime}-osexec`)?.middle;
      if (measured === undefined) return [];
      const what = `${workload === "out" ? "1 GiB out" : "256 MiB in"}, ${runtime}`;
      const isMet = measured >= wanted;
      return [{ what, measured: `${figure(measured)} GiB/s`, wanted: words, isMet }];
    });
  });
}

/**
 * @param {Find} find
 * @returns {Check[]}
 */
function heldChecks(find) {
  return HELD.flatMap(({ workload, what, limit }) =>
    RUNTIMES.flatMap((runtime) => {
      const names = [`${runtime}-osexec-sync`, `${runtime}-osexec`];
      return names.flatMap((name) => {
        const words = `${what}, ${name.endsWith("sync") ? "Sync, " : ""}${runtime}`;
        return atMost(words, find(workload, name)?.plainRatio, limit, " × itself");
      });
    })
  );
}

/**
 * @param {Find} find
 * @returns {Check[]}
 */
function latenessChecks(find) {
  return RUNTIMES.flatMap((runtime) => {
    const ours = find("lateness", `${runtime}-osexec`)?.middle;
    const own = find("lateness", OWN[runtime]);
    if (ours === undefined || own === undefined) return [];
    return [{
      what: `timers late, p99, ${runtime}`,
      measured: `${figure(ours)} ms`,
      wanted: `< ${figure(own.middle)} (${own.label})`,
      isMet: ours < own.middle,
    }];
  });
}

/**
 * @param {Find} find
 * @returns {Check[]}
 */
function startupChecks(find) {
  const forms = /** @type {(keyof typeof STARTUP)[]} */ (Object.keys(STARTUP));
  return forms.flatMap((form) =>
    RUNTIMES.flatMap((runtime) =>
      ["-sync", ""].flatMap((suffix) => {
        const limit = STARTUP[form][runtime];
        const above = find("startup", `${runtime}-osexec${STARTUP_FORMS[form]}${suffix}`)?.above;
        const what = `start-up above empty, ${form}${suffix === "" ? "" : "Sync, "}${runtime}`;
        return limit === undefined ? [] : atMost(what, above, limit, " ms");
      })
    )
  );
}

/**
 * @param {Find} find
 * @returns {Check[]}
 */
function memoryChecks(find) {
  const threadsMax = availableParallelism() + 1;
  return RUNTIMES.flatMap((runtime) =>
    [`${runtime}-osexec-sync`, `${runtime}-osexec`].flatMap((name) => {
      const growth = find("memory", name)?.growth;
      if (!growth) return [];
      const who = `${name.endsWith("sync") ? "Sync, " : ""}${runtime}`;
      const left = `${growth.descriptors} and ${growth.zombies}`;
      return [{
        what: `memory grown, ${who}`,
        measured: `${difference(growth.rss / MIB)} MiB`,
        wanted: `< ${GROWTH_MAX / MIB} MiB`,
        isMet: growth.rss < GROWTH_MAX,
      }, {
        what: `descriptors and zombies left, ${who}`,
        measured: left,
        wanted: "0 and 0",
        isMet: growth.descriptors <= 0 && growth.zombies === 0,
      }, {
        what: `native threads, ${who}`,
        measured: String(growth.threads),
        wanted: `≤ ${threadsMax}`,
        isMet: growth.threads <= threadsMax,
      }];
    })
  );
}

/**
 * @param {readonly Check[]} list
 * @returns {string} in Markdown
 */
export function checklist(list) {
  const rows = list.map(({ what, measured, wanted, isMet }) => [
    ...[what, measured, wanted],
    isMet ? "yes" : "**no**",
  ]);
  return table(["", "measured", "wanted", "met"], rows);
}

/**
 * Why a run is no proof, if it is none.
 *
 * @param {Results} results
 * @param {boolean} isQuick
 * @returns {string | undefined}
 */
export function reservation(results, isQuick) {
  const few = [...results].filter(([{ rounds = ROUNDS_WANTED }, lines]) =>
    rounds >= ROUNDS_WANTED && lines.some((line) => line.rounds < ROUNDS_WANTED)
  );
  const names = few.map(([{ name }]) => name).join(", ");
  const reasons = [
    ...isQuick ? ["it was a quick run"] : [],
    ...few.length > 0 ? [`fewer than ${ROUNDS_WANTED} rounds of ${names}`] : [],
  ];
  return reasons.length === 0 ? undefined : `This proves nothing: ${reasons.join("; ")}.`;
}
