const path = `${Bun.env["BENCH_CHILDREN"]}/tiny`;
const result = Bun.spawnSync([path], { stdio: ["inherit", "inherit", "inherit"] });
if (result.exitCode !== 0) throw new Error("It failed");
