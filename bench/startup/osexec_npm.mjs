// @ts-ignore: it is there once the bench has made it.
import { Command } from "../../dist/mod.js";

// Not by node:process, which takes 13 ms to load on Deno.
const { Bun, Deno } = /** @type {any} */ (globalThis);
const path = `${Deno ? Deno.env.get("BENCH_CHILDREN") : Bun.env["BENCH_CHILDREN"]}/tiny`;
await new Command(path, [], { stdin: "inherit", stdout: "inherit", stderr: "inherit" }).run();
