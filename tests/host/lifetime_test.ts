import { test } from "node:test";
import { assertEquals, assertGreater } from "@std/assert";
import { findProcess } from "../../mod.ts";
import { helper, runScript } from "../helper.ts";

/** Runs a script that prints the id of a child that is to outlive it, and ends that child. */
async function outlived(source: string): Promise<string[]> {
  const { code, stdout, stderr } = await runScript(
    `const hang = () => osexec.startProcess(${JSON.stringify(helper)}, ["helper", "hang"]);
     ${source}`,
  );
  assertEquals([code, stderr], [0, ""]);
  const [pid, ...rest] = stdout.trimEnd().split("\n");
  assertGreater(Number(pid), 1);
  // Throws if it has not outlived the script.
  const child = findProcess(Number(pid));
  child.kill();
  child.release();
  return rest;
}

test("a script ends by itself though a child runs that it never waits for", async () => {
  await outlived("console.log(hang().pid);");
});

test("a script ends by itself though a command runs that it never waits for", async () => {
  await outlived(
    `const command = new osexec.Command(${JSON.stringify(helper)}, ["hang"]);
     console.log(command.start().pid);`,
  );
});

test("a script ends by itself though it waits for a child, once that is unreferenced", async () => {
  const rest = await outlived(
    `const child = hang();
     console.log(child.pid);
     child.wait().then(() => console.log("ended"));
     child.unref();`,
  );
  assertEquals(rest, []);
});

test("a child may be unreferenced before the wait", async () => {
  await outlived(
    `const child = hang();
     child.unref();
     child.unref();
     console.log(child.pid);
     child.wait();`,
  );
});

test("a script that waits for a child ends after it", async () => {
  const { code, stdout, stderr } = await runScript(
    `const child = osexec.startProcess("/bin/sh", ["sh", "-c", "sleep 0.2; exit 7"]);
     child.wait().then((state) => console.log(String(state)));`,
  );
  assertEquals([code, stdout, stderr], [0, "exit status 7\n", ""]);
});

test("a child that is referenced again holds the script", async () => {
  const { code, stdout, stderr } = await runScript(
    `const child = osexec.startProcess("/bin/sh", ["sh", "-c", "sleep 0.2; exit 7"]);
     child.unref();
     child.wait().then((state) => console.log(String(state)));
     child.ref();`,
  );
  assertEquals([code, stdout, stderr], [0, "exit status 7\n", ""]);
});

test("one unreferenced child of two does not let the script end before the other", async () => {
  const rest = await outlived(
    `const child = hang();
     console.log(child.pid);
     child.wait();
     child.unref();
     const other = osexec.startProcess("/bin/sh", ["sh", "-c", "sleep 0.2; exit 8"]);
     other.wait().then((state) => console.log(String(state)));`,
  );
  assertEquals(rest, ["exit status 8"]);
});

test("a script ends by itself when everything has been waited for", async () => {
  const { code, stdout, stderr } = await runScript(
    `const sh = (script) => new osexec.Command("/bin/sh", ["-c", script]);
     console.log(await sh("echo one").text());
     for await (const line of sh("echo two; echo three").lines()) console.log(line);
     const [reading, writing] = osexec.pipe();
     const read = reading.read(new Uint8Array(1));
     await writing.write(new Uint8Array(1));
     console.log(await read);
     reading.close();
     writing.close();`,
  );
  assertEquals([code, stdout, stderr], [0, "one\n\ntwo\nthree\n1\n", ""]);
});

test("a read that has been given up by closing the file does not hold the script", async () => {
  const { code, stdout, stderr } = await runScript(
    `const [reading] = osexec.pipe();
     reading.read(new Uint8Array(1)).catch((error) => console.log(error.name));
     setTimeout(() => reading.close(), 1);`,
  );
  assertEquals([code, stdout, stderr], [0, "ClosedError\n", ""]);
});

test("a wait that has been given up by releasing the process does not hold the script", async () => {
  const rest = await outlived(
    `const child = hang();
     console.log(child.pid);
     child.wait().catch((error) => console.log(error.name));
     setTimeout(() => child.release(), 1);`,
  );
  assertEquals(rest, ["StateError"]);
});

test("an error that nobody catches ends the script, and is shown", async () => {
  const { code, stderr } = await runScript(
    `await new osexec.Command("/bin/sh", ["-c", "exit 3"]).run();`,
  );
  assertEquals([code, /ExitError: .*exit status 3/.test(stderr)], [1, true], stderr);
});

test("importing does nothing: no library is loaded, and no descriptor opened", async () => {
  const { code, stdout, stderr } = await runScript(
    `import fs from "node:fs";
     const links = fs.readdirSync("/proc/self/fd").map((fd) => {
       try { return fs.readlinkSync("/proc/self/fd/" + fd); } catch { return ""; }
     });
     const mapped = fs.readFileSync("/proc/self/maps", "utf8");
     console.log(Object.keys(osexec).length > 20, links.some((link) => link.includes("osexec (")),
       mapped.includes("memfd:osexec"));`,
  );
  assertEquals([code, stdout, stderr], [0, "true false false\n", ""]);
});
