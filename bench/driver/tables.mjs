/** The tables of a report. */

import { findLine } from "./figures.mjs";
import { difference, figure, table } from "./format.mjs";
import { REFERENCE } from "./workloads.mjs";

/**
 * @typedef {import("./figures.mjs").Line} Line
 * @typedef {import("./figures.mjs").Results} Results
 * @typedef {import("./workloads.mjs").Workload} Workload
 * @typedef {{ head: string, cell: (line: Line) => string }} Column
 */

const MIB = 2 ** 20;

/** @param {Workload} workload */
function columnsOf({ kind, unit }) {
  /** @type {Column[]} */
  const spread = [
    { head: unit, cell: ({ middle }) => figure(middle) },
    { head: "least", cell: ({ low }) => figure(low) },
    { head: "most", cell: ({ high }) => figure(high) },
  ];
  /** @type {Column} */
  const ratio = { head: "× C", cell: (line) => figure(line.ratio) };
  /** @type {Column} */
  const cpu = { head: "own CPU", cell: (line) => figure(line.cpu) };
  /** @type {Record<Workload["kind"], Column[]>} */
  const columns = {
    each: [ratio, ...spread, cpu],
    stream: [...spread, { head: "C's time ×", cell: ratio.cell }, { ...cpu, head: "own CPU, s" }],
    held: [
      { head: "× itself without", cell: (line) => figure(line.plainRatio) },
      ...spread,
      { head: "without", cell: (line) => figure(line.plain) },
      ratio,
    ],
    startup: [
      { head: "above the empty script", cell: (line) => difference(line.above) },
      ...spread,
      cpu,
    ],
    lateness: [
      { head: "p50, ms", cell: ({ low }) => figure(low) },
      { head: "p99", cell: ({ middle }) => figure(middle) },
      { head: "greatest", cell: ({ high }) => figure(high) },
      { head: "p99 with nothing to do", cell: ({ idle }) => figure(idle) },
      { head: "timers", cell: ({ timers }) => String(timers ?? "–") },
    ],
    memory: [
      { head: "MiB grown", cell: ({ growth }) => difference(growth && growth.rss / MIB) },
      { head: "uncollected", cell: ({ growth }) => difference(growth && growth.uncollected / MIB) },
      { head: "MiB before", cell: ({ growth }) => figure(growth && growth.before / MIB) },
      { head: "after", cell: ({ growth }) => figure(growth && growth.after / MIB) },
      { head: "descriptors", cell: ({ growth }) => integer(growth?.descriptors) },
      { head: "zombies", cell: ({ growth }) => integer(growth?.zombies) },
      { head: "own threads", cell: ({ growth }) => integer(growth?.threads) },
      { head: "all threads", cell: ({ growth }) => integer(growth?.allThreads) },
    ],
  };
  return columns[kind];
}

/** @param {number | undefined} value */
function integer(value) {
  return value === undefined ? "–" : String(value);
}

/**
 * All contestants of a workload, the best first.
 *
 * @param {Workload} workload
 * @param {Line[]} list
 */
export function workloadTable(workload, list) {
  const columns = columnsOf(workload);
  const rows = list.map((line) => {
    const label = line.kind === "ours" ? `**${line.label}**` : line.label;
    if (line.error) return [label, `failed: ${line.error.split("\n").at(-1)?.slice(0, 60)}`];
    return [label, ...columns.map(({ cell }) => cell(line))];
  });
  return table(["", ...columns.map(({ head }) => head)], rows);
}

// ---------------------------------------------------------------- the README's

/**
 * A row of the summary: of which workload, by column the contestant's name, and which of its figures.
 *
 * @typedef {object} Summary
 * @property {string} title
 * @property {string} workload
 * @property {readonly string[]} contestants
 * @property {(line: Line) => number | undefined} pick
 */

const COLUMNS = ["osexec on Bun", "on Deno", "on Node", "Bun", "Deno", "Node", "Go", "Rust"];
const BLOCKING = [
  ...[
    "bun-osexec-sync",
    "deno-osexec-sync",
    "node-osexec-sync",
    "bun-spawnSync",
    "deno-outputSync",
  ],
  ...["node-spawnSync", "go", "rust-std"],
];
const ASYNCHRONOUS = [
  ...["bun-osexec", "deno-osexec", "node-osexec", "bun-spawn", "deno-Command"],
  ...["node-spawn", "go", "rust-tokio"],
];

/** @type {Summary[]} */
const SUMMARY = [
  summary("One at a time, blocking, × C", "sequential", BLOCKING, ({ ratio }) => ratio),
  summary("One at a time, × C", "sequential", ASYNCHRONOUS, ({ ratio }) => ratio),
  summary("Streams at /dev/null, blocking, × C", "null", BLOCKING, ({ ratio }) => ratio),
  summary("Streams at /dev/null, × C", "null", ASYNCHRONOUS, ({ ratio }) => ratio),
  summary("16 in flight, × C", "parallel", ASYNCHRONOUS, ({ ratio }) => ratio),
  summary("12 bytes captured, × C", "line", ASYNCHRONOUS, ({ ratio }) => ratio),
  summary("64 KiB captured, blocking, × C", "block", BLOCKING, ({ ratio }) => ratio),
  summary("64 KiB captured, × C", "block", ASYNCHRONOUS, ({ ratio }) => ratio),
  summary("1 GiB out, GiB/s", "out", ASYNCHRONOUS, ({ middle }) => middle),
  summary("256 MiB in, GiB/s", "in", ASYNCHRONOUS, ({ middle }) => middle),
  summary("With 15,000 descriptors open, µs", "descriptors", ASYNCHRONOUS, ({ middle }) => middle),
  summary("With 2 GiB touched, µs", "heap", ASYNCHRONOUS, ({ middle }) => middle),
  summary(
    "A whole script, ms",
    "startup",
    ASYNCHRONOUS.with(7, "rust-std"),
    ({ middle }) => middle,
  ),
  summary("A 1 ms timer meanwhile, ms late, p99", "lateness", ASYNCHRONOUS, ({ middle }) => middle),
  summary("MiB grown by 100,000 children", "memory", ASYNCHRONOUS, ({ middle }) => middle),
];

/**
 * @param {string} title
 * @param {string} workload
 * @param {readonly string[]} contestants
 * @param {(line: Line) => number | undefined} pick
 * @returns {Summary}
 */
function summary(title, workload, contestants, pick) {
  return { title, workload, contestants, pick };
}

/**
 * The main figures of the main contestants, the best of each row in bold.
 *
 * @param {Results} results
 */
export function summaryTable(results) {
  const rows = SUMMARY.flatMap(({ title, workload, contestants, pick }) => {
    const values = contestants.map((contestant) => {
      const line = findLine(results, workload, contestant);
      return line && pick(line);
    });
    const known = values.filter((value) => value !== undefined);
    if (known.length === 0) return [];
    const isMoreBetter = title.endsWith("GiB/s");
    const best = isMoreBetter ? Math.max(...known) : Math.min(...known);
    const cells = values.map((value) => value === best ? `**${figure(value)}**` : figure(value));
    return [[title, ...cells]];
  });
  return table(["", ...COLUMNS], rows);
}

/**
 * What the reference took, which the ratios are to.
 *
 * @param {Results} results
 */
export function referenceLine(results) {
  const parts = [...results.keys()].flatMap(({ name, kind, unit }) => {
    const line = kind === "memory" ? undefined : findLine(results, name, REFERENCE);
    return line ? [`${name} ${figure(line.middle)} ${unit}`] : [];
  });
  return `C itself: ${parts.join(", ")}.`;
}
