const { Deno } = /** @type {any} */ (globalThis);
const path = `${Deno.env.get("BENCH_CHILDREN")}/tiny`;
const command = new Deno.Command(path, { stdin: "inherit", stdout: "inherit", stderr: "inherit" });
if ((await command.spawn().status).code !== 0) throw new Error("It failed");
