/** execa, from where the driver has installed it. */

import process from "node:process";

/** @typedef {(path: string, options: object) => Promise<{ stdout: Uint8Array }>} Execa */

/** @type {{ execa: Execa }} */
const { execa } = await import(process.env["BENCH_EXECA"] ?? "execa");

const captured = {
  stdin: "inherit",
  stderr: "inherit",
  encoding: "buffer",
  stripFinalNewline: false,
};

/** @type {import("./main.mjs").Adapter} */
export const asynchronous = {
  async run(path) {
    await execa(path, { stdio: "inherit" });
  },
  async capture(path) {
    return (await execa(path, captured)).stdout.length;
  },
};
