/** Deno's own: Deno.Command. */

/**
 * What is used of it: tsc has Bun's types and not Deno's.
 *
 * @typedef {object} DenoChild
 * @property {ReadableStream<Uint8Array>} stdout
 * @property {WritableStream<Uint8Array>} stdin
 * @property {Promise<{ code: number }>} status
 *
 * @typedef {object} DenoCommand
 * @property {() => DenoChild} spawn
 * @property {() => Promise<{ code: number, stdout: Uint8Array }>} output
 * @property {() => { code: number, stdout: Uint8Array }} outputSync
 *
 * @typedef {{ Command: new (path: string, options: object) => DenoCommand }} DenoGlobal
 */

const { Command } = /** @type {{ Deno: DenoGlobal }} */ (/** @type {unknown} */ (globalThis)).Deno;

const inherited = { stdin: "inherit", stdout: "inherit", stderr: "inherit" };
const ignored = { stdin: "null", stdout: "null", stderr: "null" };
const captured = { stdin: "inherit", stdout: "piped", stderr: "inherit" };
const fed = { stdin: "piped", stdout: "inherit", stderr: "inherit" };

/**
 * @template {{ code: number }} Result
 * @param {Result} result
 */
function check(result) {
  if (result.code !== 0) throw new Error(`The child's exit code is ${result.code}`);
  return result;
}

/** @type {import("./main.mjs").Adapter} */
export const asynchronous = {
  async run(path) {
    check(await new Command(path, inherited).spawn().status);
  },
  async quiet(path) {
    check(await new Command(path, ignored).spawn().status);
  },
  async capture(path) {
    return check(await new Command(path, captured).output()).stdout.length;
  },
  async drain(path, mebibytes) {
    const child = new Command(path, { args: [String(mebibytes)], ...captured }).spawn();
    let total = 0;
    for await (const chunk of child.stdout) total += chunk.length;
    check(await child.status);
    return total;
  },
  async feed(path, mebibytes, chunk) {
    const child = new Command(path, { args: [String(mebibytes)], ...fed }).spawn();
    const writer = child.stdin.getWriter();
    for (let rest = mebibytes * 2 ** 20; rest > 0; rest -= chunk.length) await writer.write(chunk);
    await writer.close();
    check(await child.status);
  },
};

/** @type {import("./main.mjs").Adapter} */
export const synchronous = {
  run(path) {
    check(new Command(path, inherited).outputSync());
  },
  quiet(path) {
    check(new Command(path, ignored).outputSync());
  },
  capture(path) {
    return check(new Command(path, captured).outputSync()).stdout.length;
  },
};
