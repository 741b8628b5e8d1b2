/** osexec itself, on each of its runtimes. */

import process from "node:process";

// Another checkout's, when the driver compares two.
const module = process.env["BENCH_OSEXEC"] ?? "../../mod.ts";

/** @type {typeof import("../../mod.ts")} */
const { Command } = await import(module);

const inherited = /** @type {const} */ ({ stdin: "inherit", stdout: "inherit", stderr: "inherit" });
const captured = /** @type {const} */ ({ stdin: "inherit", stderr: "inherit" });
const fed = /** @type {const} */ ({ stdout: "inherit", stderr: "inherit" });

/** @type {import("./main.mjs").Adapter} */
export const asynchronous = {
  async run(path) {
    await new Command(path, [], inherited).run();
  },
  async quiet(path) {
    await new Command(path).run();
  },
  async capture(path) {
    return (await new Command(path, [], captured).output()).length;
  },
  async drain(path, mebibytes) {
    const command = new Command(path, [String(mebibytes)], captured);
    const stdout = command.stdoutPipe();
    command.start();
    const chunk = new Uint8Array(2 ** 20);
    let total = 0;
    for (let length; (length = await stdout.read(chunk)) !== null;) total += length;
    await command.wait();
    return total;
  },
  async feed(path, mebibytes, chunk) {
    const command = new Command(path, [String(mebibytes)], fed);
    const stdin = command.stdinPipe();
    command.start();
    for (let rest = mebibytes * 2 ** 20; rest > 0; rest -= chunk.length) await stdin.write(chunk);
    stdin.close();
    await command.wait();
  },
};

/** @type {import("./main.mjs").Adapter} */
export const synchronous = {
  run(path) {
    new Command(path, [], inherited).runSync();
  },
  quiet(path) {
    new Command(path).runSync();
  },
  capture(path) {
    return new Command(path, [], captured).outputSync().length;
  },
};
