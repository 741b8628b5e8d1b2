const path = `${Bun.env["BENCH_CHILDREN"]}/tiny`;
const child = Bun.spawn([path], { stdio: ["inherit", "inherit", "inherit"] });
if (await child.exited !== 0) throw new Error("It failed");
