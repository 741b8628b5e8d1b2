/** Bun's own: Bun.spawn, Bun.spawnSync and the Bun shell. */

/** @type {["inherit", "inherit", "inherit"]} */
const inherited = ["inherit", "inherit", "inherit"];
/** @type {["ignore", "ignore", "ignore"]} */
const ignored = ["ignore", "ignore", "ignore"];

/** @param {number | null} code */
function check(code) {
  if (code !== 0) throw new Error(`The child's exit code is ${code}`);
}

/** @type {import("./main.mjs").Adapter} */
export const asynchronous = {
  async run(path) {
    check(await Bun.spawn([path], { stdio: inherited }).exited);
  },
  async quiet(path) {
    check(await Bun.spawn([path], { stdio: ignored }).exited);
  },
  async capture(path) {
    const child = Bun.spawn([path], { stdio: ["inherit", "pipe", "inherit"] });
    const bytes = await child.stdout.bytes();
    check(await child.exited);
    return bytes.length;
  },
  async drain(path, mebibytes) {
    const child = Bun.spawn([path, String(mebibytes)], { stdio: ["inherit", "pipe", "inherit"] });
    let total = 0;
    for await (const chunk of child.stdout) total += chunk.length;
    check(await child.exited);
    return total;
  },
  async feed(path, mebibytes, chunk) {
    const child = Bun.spawn([path, String(mebibytes)], { stdio: ["pipe", "inherit", "inherit"] });
    for (let rest = mebibytes * 2 ** 20; rest > 0; rest -= chunk.length) {
      child.stdin.write(chunk);
      await child.stdin.flush();
    }
    await child.stdin.end();
    check(await child.exited);
  },
};

/** @type {import("./main.mjs").Adapter} */
export const synchronous = {
  run(path) {
    check(Bun.spawnSync([path], { stdio: inherited }).exitCode);
  },
  quiet(path) {
    check(Bun.spawnSync([path], { stdio: ignored }).exitCode);
  },
  capture(path) {
    const result = Bun.spawnSync([path], { stdio: ["inherit", "pipe", "inherit"] });
    check(result.exitCode);
    return result.stdout.length;
  },
};

/** @type {import("./main.mjs").Adapter} */
export const shell = {
  async run(path) {
    await Bun.$`${path}`;
  },
  async capture(path) {
    return (await Bun.$`${path}`.quiet()).stdout.length;
  },
};
