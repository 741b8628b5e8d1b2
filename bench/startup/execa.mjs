import process from "node:process";

/** @type {{ execa: (path: string, options: object) => Promise<unknown> }} */
const { execa } = await import(process.env["BENCH_EXECA"] ?? "execa");
await execa(`${process.env["BENCH_CHILDREN"]}/tiny`, { stdio: "inherit" });
