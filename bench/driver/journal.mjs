/** The file of runs: what they were taken on in its first line, and then one run a line. */

import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { ToolError } from "../../tools/toolchain.mjs";

/**
 * @typedef {import("./figures.mjs").Row} Row
 * @typedef {{ machine: string, isQuick: boolean }} Setting
 */

export class Journal {
  /** @type {Setting} */
  setting;
  /** @type {Row[]} */
  rows;
  #path;

  /**
   * @param {string} path
   * @param {Setting} setting
   * @param {Row[]} rows
   */
  constructor(path, setting, rows) {
    this.#path = path;
    this.setting = setting;
    this.rows = rows;
  }

  /**
   * @param {string} path
   * @returns {Journal}
   */
  static read(path) {
    if (!existsSync(path)) throw new ToolError(`There is no ${path}: nothing was measured yet`);
    const [setting, ...rows] = readFileSync(path, "utf8").trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    return new Journal(path, setting, rows);
  }

  /**
   * @param {string} path
   * @param {Setting} setting
   * @returns {Journal}
   */
  static create(path, setting) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${JSON.stringify(setting)}\n`);
    return new Journal(path, setting, []);
  }

  /** The number of the first round that is not in it. */
  get nextRound() {
    return 1 + this.rows.reduce((last, { round }) => Math.max(last, round), -1);
  }

  /**
   * At once, so that nothing is lost when a run of an hour is broken off.
   *
   * @param {Row} row
   */
  add(row) {
    this.rows.push(row);
    appendFileSync(this.#path, `${JSON.stringify(row)}\n`);
  }
}
