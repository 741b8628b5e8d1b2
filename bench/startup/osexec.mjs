import process from "node:process";
import { Command } from "../../mod.ts";

const path = `${process.env["BENCH_CHILDREN"]}/tiny`;
await new Command(path, [], { stdin: "inherit", stdout: "inherit", stderr: "inherit" }).run();
