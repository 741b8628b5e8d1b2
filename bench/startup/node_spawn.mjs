import { spawn } from "node:child_process";
import process from "node:process";

const child = spawn(`${process.env["BENCH_CHILDREN"]}/tiny`, [], { stdio: "inherit" });
child.on("close", (code) => {
  if (code !== 0) throw new Error("It failed");
});
