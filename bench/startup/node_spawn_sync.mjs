import { spawnSync } from "node:child_process";
import process from "node:process";

const result = spawnSync(`${process.env["BENCH_CHILDREN"]}/tiny`, [], { stdio: "inherit" });
if (result.status !== 0) throw new Error("It failed");
