/** From rows, one for each run of a contestant, to one line for each contestant of a workload. */

import { REFERENCE, workloads } from "./workloads.mjs";

/**
 * @typedef {import("./measure.mjs").Sample} Sample
 * @typedef {import("./workloads.mjs").Workload} Workload
 * @typedef {import("./contestants.mjs").Kind} Kind
 *
 * One run. Contestants are kept by label and kind, so that rows can be reported without them.
 *
 * @typedef {object} Row
 * @property {string} workload
 * @property {string} contestant
 * @property {string} label
 * @property {Kind} kind
 * @property {string} [empty]
 * @property {number} round
 * @property {number} count
 * @property {number} [seconds]
 * @property {number} [cpu]
 * @property {number} [plain]
 * @property {number[]} [late]
 * @property {number[]} [idle]
 * @property {Record<string, Sample>} [marks]
 * @property {string} [error]
 *
 * A contestant in a workload. Low, middle and high are the least, the median and the greatest of its
 * runs, in the workload's unit; of lateness: median, 99th percentile and greatest of all timers.
 *
 * @typedef {object} Line
 * @property {string} contestant
 * @property {string} label
 * @property {Kind} kind
 * @property {number} rounds
 * @property {number} low
 * @property {number} middle
 * @property {number} high
 * @property {number} [ratio] to the reference: the median of the ratios within a round
 * @property {number} [cpu] in the workload's unit, of streams in seconds
 * @property {number} [plain] held: the median without what it holds
 * @property {number} [plainRatio] held: to itself without, the median of the ratios within a round
 * @property {number} [above] startup: above the empty script of the same runtime, within a round
 * @property {number} [idle] lateness: the 99th percentile with nothing to do
 * @property {number} [timers] lateness: how many fired
 * @property {Growth} [growth] memory
 * @property {string} [error]
 *
 * What is left of many children, from after the warm-up.
 *
 * @typedef {object} Growth
 * @property {number} before bytes resident
 * @property {number} after bytes resident, after a collection of garbage as before
 * @property {number} rss the difference, in bytes
 * @property {number} uncollected the same, but before the collection
 * @property {number} descriptors
 * @property {number} zombies
 * @property {number} threads of the library's own, at most
 * @property {number} allThreads at the end
 *
 * The lines of each workload that was measured, the best first.
 * @typedef {ReadonlyMap<Workload, Line[]>} Results
 */

const MIB = 2 ** 20;

/**
 * @param {readonly Row[]} rows
 * @returns {Results}
 */
export function summarize(rows) {
  /** @type {Map<Workload, Line[]>} */
  const results = new Map();
  for (const workload of workloads) {
    const own = rows.filter((row) => row.workload === workload.name);
    if (own.length === 0) continue;
    const names = [...new Set(own.map(({ contestant }) => contestant))];
    const lines = names.map((name) => lineOf(name, own, workload));
    const sign = workload.kind === "stream" ? -1 : 1;
    const rank = (/** @type {Line} */ { middle }) =>
      Number.isNaN(middle) ? Infinity : sign * middle;
    results.set(workload, lines.sort((a, b) => rank(a) - rank(b)));
  }
  return results;
}

/**
 * @param {Results} results
 * @param {string} workload
 * @param {string} contestant
 * @returns {Line | undefined} none where it was not measured, or failed
 */
export function findLine(results, workload, contestant) {
  for (const [{ name }, lines] of results) {
    if (name !== workload) continue;
    return lines.find((line) => line.contestant === contestant && line.error === undefined);
  }
  return undefined;
}

/**
 * @param {string} name
 * @param {Row[]} rows of the workload
 * @param {Workload} workload
 * @returns {Line}
 */
function lineOf(name, rows, workload) {
  const all = rows.filter(({ contestant }) => contestant === name);
  const own = all.filter(({ error }) => error === undefined);
  const [{ label, kind } = { label: name, kind: /** @type {Kind} */ ("peer") }] = all;
  const rounds = new Set(own.map(({ round }) => round)).size;
  const head = { contestant: name, label, kind, rounds };
  const last = all.at(-1);
  if (own.length === 0) {
    return { ...head, low: NaN, middle: NaN, high: NaN, error: `${last?.error}` };
  }
  if (workload.kind === "lateness") return { ...head, ...latenessOf(own) };
  if (workload.kind === "memory") return { ...head, ...memoryOf(own) };
  const values = own.map((row) => value(row, workload));
  /** @type {Line} */
  const line = { ...head, ...spread(values), cpu: median(own.map((row) => cpu(row, workload))) };
  const ratio = paired(own, rows, REFERENCE, (a, b) => timeOf(a) / timeOf(b));
  if (ratio !== undefined) line.ratio = ratio;
  if (workload.kind === "held") {
    line.plain = median(own.map((row) => (row.plain ?? NaN) / row.count * 1e6));
    line.plainRatio = median(own.map((row) => (row.seconds ?? NaN) / (row.plain ?? NaN)));
  }
  const empty = own[0]?.empty;
  if (empty !== undefined && empty !== name) {
    const above = paired(own, rows, empty, (a, b) => (timeOf(a) - timeOf(b)) * 1e3);
    if (above !== undefined) line.above = above;
  }
  return line;
}

/**
 * @param {Row} row
 * @param {Workload} workload
 */
function value(row, { kind }) {
  if (kind === "stream") return row.count / 1024 / (row.seconds ?? NaN);
  return timeOf(row) * (kind === "startup" ? 1e3 : 1e6);
}

/**
 * @param {Row} row
 * @param {Workload} workload
 */
function cpu(row, { kind }) {
  if (kind === "stream") return row.cpu ?? NaN;
  return (row.cpu ?? NaN) / row.count * (kind === "startup" ? 1e3 : 1e6);
}

/**
 * Seconds for one child or mebibyte.
 *
 * @param {Row} row
 */
function timeOf({ seconds, count }) {
  return (seconds ?? NaN) / count;
}

/**
 * The median over the rounds of what a contestant is to another in the same round, so that a slow
 * minute of the machine counts for both.
 *
 * @param {Row[]} own
 * @param {Row[]} rows
 * @param {string} other
 * @param {(own: Row, other: Row) => number} compare
 * @returns {number | undefined}
 */
function paired(own, rows, other, compare) {
  const others = new Map(
    rows.filter(({ contestant, error }) => contestant === other && error === undefined)
      .map((row) => [row.round, row]),
  );
  const values = own.flatMap((row) => {
    const partner = others.get(row.round);
    return partner ? [compare(row, partner)] : [];
  });
  return values.length > 0 ? median(values) : undefined;
}

/**
 * Of the timers of all runs together: one run has too few for a 99th percentile.
 *
 * @param {Row[]} rows
 */
function latenessOf(rows) {
  const late = rows.flatMap((row) => row.late ?? []);
  return {
    low: quantile(late, 0.5),
    middle: quantile(late, 0.99),
    high: quantile(late, 1),
    idle: quantile(rows.flatMap((row) => row.idle ?? []), 0.99),
    timers: late.length,
  };
}

/** @param {Row[]} rows */
function memoryOf(rows) {
  const growths = rows.map(growthOf);
  // The worst of them: a leak that shows only now and then is one.
  const [growth] = growths.toSorted((a, b) => b.rss - a.rss);
  return { ...spread(growths.map(({ rss }) => rss / MIB)), ...(growth ? { growth } : {}) };
}

/**
 * @param {Row} row
 * @returns {Growth}
 */
function growthOf({ marks = {} }) {
  const { fresh, warm, end, idle } = marks;
  if (!fresh || !warm || !end || !idle) throw new Error("A mark is missing");
  return {
    before: warm.rss,
    after: idle.rss,
    rss: idle.rss - warm.rss,
    uncollected: end.rss - warm.rss,
    descriptors: idle.descriptors - warm.descriptors,
    zombies: idle.children,
    threads: Math.max(warm.unnamed, end.unnamed, idle.unnamed) - fresh.unnamed,
    allThreads: end.threads,
  };
}

/** @param {number[]} values */
function spread(values) {
  return { low: quantile(values, 0), middle: median(values), high: quantile(values, 1) };
}

/** @param {number[]} values */
function median(values) {
  return quantile(values, 0.5);
}

/**
 * Between two values where the share falls between two.
 *
 * @param {number[]} values
 * @param {number} share
 */
function quantile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)] ?? NaN;
  const above = sorted[Math.ceil(position)] ?? NaN;
  return below + (above - below) * (position - Math.floor(position));
}
