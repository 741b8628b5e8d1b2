/** A Worker that starts processes: see workers_test.ts. */

import { parentPort, workerData } from "node:worker_threads";
import { CLONE_NEWUSER, type ProcAttr, SpawnError, startProcess } from "../mod.ts";
import { ownMaps, self } from "./system.ts";

/** What a Worker is to do. */
export interface WorkerTask {
  /** The child program, which everybody may run. */
  readonly helper: string;
  /** How many starts. */
  readonly starts: number;
  /** Whether user namespaces may be made. */
  readonly namespaces: boolean;
  /** Only start one program that hangs, with this parent-death signal or none, and answer its pid. */
  readonly hang?: { readonly pdeathsig?: "SIGKILL" };
}

/** What became of the starts. */
export interface WorkerReport {
  /** The pid of the program that hangs. */
  readonly pid: number;
  /** What was not as expected, the first few of them. */
  readonly surprises: readonly string[];
}

/** Starts to make in turn, each with what has to come of it: an exit, or the step that fails. */
function kinds(namespaces: boolean): { attr: ProcAttr; path?: string; outcome: string }[] {
  const isRoot = self.uid === 0;
  const credential = isRoot ? { uid: 12345, gid: 23456 } : { ...self, noSetGroups: true };
  const maps = { cloneflags: CLONE_NEWUSER, ...ownMaps() };
  return [
    { attr: {}, outcome: "exit status 7" },
    { attr: { sys: { credential } }, outcome: "exit status 7" },
    { attr: {}, path: "/nope", outcome: "exec" },
    { attr: { sys: { credential }, dir: "/nope" }, outcome: "chdir" },
    { attr: { sys: { credential, setsid: true } }, path: "/nope", outcome: "exec" },
    ...namespaces ? [{ attr: { sys: maps }, outcome: "exit status 7" }] : [],
  ];
}

function outcomeOf(path: string, attr: ProcAttr): string {
  try {
    return startProcess(path, ["helper", "exit", "7"], attr).waitSync().toString();
  } catch (error) {
    if (error instanceof SpawnError) return error.step;
    return String(error);
  }
}

function work({ helper, starts, namespaces, hang }: WorkerTask): WorkerReport {
  if (hang !== undefined) {
    return { pid: startProcess(helper, ["helper", "hang"], { sys: hang }).pid, surprises: [] };
  }
  const surprises: string[] = [];
  const all = kinds(namespaces);
  for (let round = 0; round < starts && surprises.length < 3; round++) {
    const kind = all[round % all.length];
    if (kind === undefined) continue;
    const outcome = outcomeOf(kind.path ?? helper, kind.attr);
    if (outcome !== kind.outcome) surprises.push(`${kind.outcome} expected, came to ${outcome}`);
  }
  return { pid: 0, surprises };
}

const task: WorkerTask = workerData;
const report = work(task);
parentPort?.postMessage(report);
// Its thread is to live until it is terminated.
if (task.hang !== undefined) parentPort?.ref();
