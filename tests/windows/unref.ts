/** What a test under Wine runs: it leaves a child behind that it has given up waiting for. */

import process from "node:process";
import { startProcess } from "../../mod.ts";

const child = startProcess(process.env.OSEXEC_CHILD_EXE ?? "", ["child", "sleep"]);
child.wait().catch(() => {});
child.unref();
process.on("exit", () => child.kill());
console.log("done");
