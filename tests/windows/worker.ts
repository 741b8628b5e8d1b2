/** What a test under Wine runs in a Worker. */

import process from "node:process";
import { parentPort } from "node:worker_threads";
import { Command } from "../../mod.ts";

const child = new Command(process.env.OSEXEC_CHILD_EXE ?? "", ["exit", "7"]);
const state = await child.run().catch((error) => error.state);
parentPort?.postMessage(state.exitCode);
