/** Puts the report where it is kept: plots and tables in bench/results, tables in the documents. */

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, ToolError } from "../../tools/toolchain.mjs";
import { benchFolder } from "./build.mjs";
import { plot } from "./plot.mjs";
import { referenceLine, summaryTable, workloadTable } from "./tables.mjs";
import { checklist, checks, reservation } from "./targets.mjs";

/**
 * @typedef {import("./figures.mjs").Results} Results
 * @typedef {import("./journal.mjs").Setting} Setting
 * @typedef {import("./workloads.mjs").Workload} Workload
 */

const folder = join(benchFolder, "results");

/** What is written into, and between which markers. */
const REPORT = { file: join(root, "docs/PERFORMANCE.md"), marker: "bench report" };

/**
 * A plot for each workload.
 *
 * @param {Results} results
 * @param {string} deno
 */
export function writePlots(results, deno) {
  mkdirSync(folder, { recursive: true });
  const files = [...results].flatMap(([workload, lines]) => {
    if (lines.every(({ error }) => error !== undefined)) return [];
    const file = join(folder, `${workload.name}.svg`);
    writeFileSync(file, plot(workload, lines));
    return [file];
  });
  format(deno, files);
}

/**
 * All tables, for the terminal and for docs/PERFORMANCE.md.
 *
 * @param {Results} results
 * @param {Setting} setting
 * @param {(workload: Workload) => string} [picture] what stands above the table of a workload
 */
export function report(results, setting, picture = () => "") {
  const parts = [`Taken on: ${setting.machine}.`];
  const warning = reservation(results, setting.isQuick);
  for (const [workload, lines] of results) {
    const rounds = Math.max(...lines.map((line) => line.rounds));
    parts.push(`### ${workload.title}`, picture(workload), `Rounds: ${rounds}.`);
    parts.push(workloadTable(workload, lines));
  }
  parts.push("### Together", summaryTable(results), referenceLine(results));
  const list = checks(results);
  if (list.length > 0) parts.push("### Wanted and had", checklist(list));
  if (warning) parts.push(warning);
  return parts.filter((part) => part !== "").join("\n\n");
}

/** Throws if there is no place to write into: better before hours of measuring than after. */
export function checkDocuments() {
  splitAt(REPORT.file, REPORT.marker);
}

/**
 * Replaces what stands between the markers of docs/PERFORMANCE.md.
 *
 * @param {Results} results
 * @param {Setting} setting
 * @param {string} deno
 */
export function writeDocuments(results, setting, deno) {
  const picture = (/** @type {Workload} */ { name, title }) =>
    `![${title}](../bench/results/${name}.svg)`;
  write(REPORT, report(results, setting, picture));
  format(deno, [REPORT.file]);
}

/**
 * @param {{ file: string, marker: string }} place
 * @param {string} text
 */
function write({ file, marker }, text) {
  const { before, after } = splitAt(file, marker);
  writeFileSync(file, `${before}\n\n${text}\n\n${after}`);
}

/**
 * A file up to and with its first marker, and from its second one on.
 *
 * @param {string} file
 * @param {string} marker
 */
function splitAt(file, marker) {
  const begin = `<!-- begin ${marker} -->`;
  const end = `<!-- end ${marker} -->`;
  const text = readFileSync(file, "utf8");
  const from = text.indexOf(begin) + begin.length;
  const to = text.indexOf(end);
  if (from >= begin.length && to >= from) {
    return { before: text.slice(0, from), after: text.slice(to) };
  }
  throw new ToolError(`${file} lacks the lines ${begin} and ${end}, between which to write`);
}

/**
 * By what checks the formatting, which so has the last word on it.
 *
 * @param {string} deno
 * @param {string[]} files
 */
function format(deno, files) {
  if (files.length > 0) spawnSync(deno, ["fmt", "--quiet", ...files], { cwd: root });
}
