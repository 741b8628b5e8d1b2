/** What a test under Wine kills: it has a child that is to end with it. */

import process from "node:process";
import { Command } from "../../mod.ts";

const child = new Command(process.env.OSEXEC_CHILD_EXE ?? "", ["sleep"], { endWithParent: true });
console.log(child.start().pid);
await child.wait();
