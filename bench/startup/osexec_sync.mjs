import process from "node:process";
import { Command } from "../../mod.ts";

const path = `${process.env["BENCH_CHILDREN"]}/tiny`;
new Command(path, [], { stdin: "inherit", stdout: "inherit", stderr: "inherit" }).runSync();
