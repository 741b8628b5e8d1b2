/**
 * Measures osexec against C, the runtimes' own ways, and whatever else is on this machine:
 *
 *     node bench/run.mjs            everything; about half an hour
 *     node bench/run.mjs --quick    whether it works at all, in a minute or two
 *     node bench/run.mjs --help     what can be chosen
 *
 * In each round every contestant does the workload once, in an order that is shuffled anew, so that
 * whatever else the machine does hits all alike. docs/PERFORMANCE.md tells how to read what is printed.
 */

import process from "node:process";
import { ToolError, tools } from "../tools/toolchain.mjs";
import { build } from "./driver/build.mjs";
import { allContestants } from "./driver/contestants.mjs";
import { summarize } from "./driver/figures.mjs";
import { Journal } from "./driver/journal.mjs";
import { describeMachine } from "./driver/machine.mjs";
import { perform } from "./driver/measure.mjs";
import { HELP, readOptions } from "./driver/options.mjs";
import { checkDocuments, report, writeDocuments, writePlots } from "./driver/publish.mjs";
import { workloads } from "./driver/workloads.mjs";

/**
 * @typedef {import("./driver/contestants.mjs").Contestant} Contestant
 * @typedef {import("./driver/options.mjs").Options} Options
 * @typedef {import("./driver/workloads.mjs").Workload} Workload
 */

/**
 * The contestants of a workload that were chosen. The reference is always one: ratios are to it.
 *
 * @param {readonly Contestant[]} all
 * @param {Workload} workload
 * @param {Options} options
 */
function chosenFor(all, { name, kind }, { contestants, isQuick }) {
  return all.filter((each) => {
    const takesPart = kind === "startup" ? each.startup : each.workloads.includes(name);
    if (!takesPart) return false;
    if (each.kind === "reference" || each.name.endsWith("-empty")) return true;
    if (contestants) return contestants.test(each.name);
    return !isQuick || each.kind === "ours" || each.kind === "own";
  });
}

/**
 * One round of a workload.
 *
 * @param {Workload} workload
 * @param {Contestant[]} contestants
 * @param {number} round
 * @param {{ isQuick: boolean, measure: string, journal: Journal }} context
 */
async function performRound(workload, contestants, round, { isQuick, measure, journal }) {
  for (const contestant of shuffled(repeated(contestants, workload.runs ?? 1))) {
    const { name, label, kind, empty, counts } = contestant;
    const usual = isQuick ? workload.quick : workload.count;
    const count = Math.min(usual, counts?.[workload.name] ?? usual);
    const head = { workload: workload.name, contestant: name, label, kind, round, count };
    const row = { ...head, ...(empty === undefined ? {} : { empty }) };
    try {
      journal.add({ ...row, ...await perform(contestant, workload, count, measure) });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      journal.add({ ...row, error: reason });
      process.stderr.write(`${workload.name}, ${name}: ${reason}\n`);
    }
  }
}

/**
 * @template Item
 * @param {readonly Item[]} items
 * @param {number} times
 */
function repeated(items, times) {
  return Array.from({ length: times }, () => items).flat();
}

/**
 * @template Item
 * @param {Item[]} items
 */
function shuffled(items) {
  const keyed = items.map((item) => ({ item, key: Math.random() }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

/**
 * @param {Options} options
 * @param {import("../tools/toolchain.mjs").Tools} toolchain
 * @returns {Promise<Journal>}
 */
async function measureAll(options, toolchain) {
  const { isQuick, rounds, results, isAppending } = options;
  const programs = build(toolchain, !isQuick || options.contestants !== undefined);
  const all = allContestants(programs, options.otherCheckout);
  const chosen = workloads.filter(({ name }) => options.workloads.test(name));
  const setting = { machine: describeMachine(programs), isQuick };
  const journal = isAppending ? Journal.read(results) : Journal.create(results, setting);
  const first = journal.nextRound;
  for (const workload of chosen) {
    const contestants = chosenFor(all, workload, options);
    const limit = Math.min(rounds, workload.rounds ?? rounds);
    for (let round = 0; round < limit; round++) {
      const begin = performance.now();
      const context = { isQuick, measure: programs.measure, journal };
      await performRound(workload, contestants, first + round, context);
      const seconds = ((performance.now() - begin) / 1e3).toFixed(0);
      process.stderr.write(`${workload.name} ${round + 1}/${limit}: ${seconds} s\n`);
    }
  }
  return journal;
}

/** @param {import("../tools/toolchain.mjs").Tools} toolchain */
function list(toolchain) {
  console.log("Workloads:");
  for (const { name, title } of workloads) console.log(`  ${name.padEnd(20)} ${title}`);
  console.log("Contestants:");
  const contestants = allContestants(build(toolchain, true));
  for (const { name, label } of contestants) console.log(`  ${name.padEnd(20)} ${label}`);
}

async function main() {
  const options = readOptions();
  if (!options) return console.log(HELP);
  const toolchain = tools();
  if (options.isListing) return list(toolchain);
  if (options.isWriting) checkDocuments();
  const { rows, setting } = options.isReporting
    ? Journal.read(options.results)
    : await measureAll(options, toolchain);
  const results = summarize(rows);
  console.log(report(results, setting));
  writePlots(results, toolchain.deno);
  if (options.isWriting) writeDocuments(results, setting, toolchain.deno);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof ToolError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
