/** The command line. */

import { join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { ToolError } from "../../tools/toolchain.mjs";
import { benchFolder } from "./build.mjs";

/**
 * @typedef {object} Options
 * @property {boolean} isQuick
 * @property {number} rounds
 * @property {RegExp} workloads
 * @property {RegExp | undefined} contestants
 * @property {string | undefined} otherCheckout
 * @property {string} results the file of rows
 * @property {boolean} isAppending
 * @property {boolean} isReporting only, from the file
 * @property {boolean} isWriting into the documents
 * @property {boolean} isListing
 */

export const HELP = `node bench/run.mjs [OPTION...]

  --quick               3 rounds, few children, only osexec, C and the runtimes' own
  --rounds N            7 unless given
  --workloads REGEX     only these
  --contestants REGEX   only these, and C
  --compare CHECKOUT    osexec of another checkout beside this one's
  --results FILE        where the runs are noted; bench/results/last.jsonl unless given
  --append              keep what is noted there, and add rounds to it
  --report              run nothing, and report what is noted there
  --write-docs        put the tables into docs/PERFORMANCE.md
  --list                what there is to choose from
  --help`;

/** @returns {Options | undefined} nothing if help was asked for */
export function readOptions() {
  const { values } = parse();
  if (values.help) return undefined;
  const rounds = values.rounds ?? (values.quick ? "3" : "7");
  if (!/^[1-9]\d*$/.test(rounds)) throw new ToolError(`No number of rounds: ${rounds}`);
  return {
    isQuick: values.quick ?? false,
    rounds: Number(rounds),
    workloads: pattern(values.workloads ?? ""),
    contestants: values.contestants === undefined ? undefined : pattern(values.contestants),
    otherCheckout: values.compare === undefined ? undefined : resolve(values.compare),
    results: resolve(values.results ?? join(benchFolder, "results/last.jsonl")),
    isAppending: values.append ?? false,
    isReporting: values.report ?? false,
    isWriting: values["write-docs"] ?? false,
    isListing: values.list ?? false,
  };
}

function parse() {
  const flag = /** @type {const} */ ({ type: "boolean" });
  const text = /** @type {const} */ ({ type: "string" });
  try {
    return parseArgs({
      args: process.argv.slice(2),
      options: {
        "quick": flag,
        "rounds": text,
        "workloads": text,
        "contestants": text,
        "compare": text,
        "results": text,
        "append": flag,
        "report": flag,
        "write-docs": flag,
        "list": flag,
        "help": flag,
      },
    });
  } catch (error) {
    throw new ToolError(`${error instanceof Error ? error.message : error}\n\n${HELP}`);
  }
}

/** @param {string} text */
function pattern(text) {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new ToolError(error instanceof Error ? error.message : String(error));
  }
}
