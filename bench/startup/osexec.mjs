import { Command } from "../../mod.ts";

// Not by node:process, which takes 13 ms to load on Deno.
const { Bun, Deno } = /** @type {any} */ (globalThis);
const env = Deno ? Deno.env.toObject() : (Bun ?? globalThis.process).env;
const path = `${env["BENCH_CHILDREN"]}/tiny`;
await new Command(path, [], { stdin: "inherit", stdout: "inherit", stderr: "inherit" }).run();
