/**
 * Starts made in a runtime of its own, for tests whose process must be another one: under a filter, in
 * another session, or about to be killed.
 *
 *     driver.ts cases JSON     makes the starts and prints what came of each: see DriverCase
 *     driver.ts exec JSON      becomes a program: { path, argv, env }
 *     driver.ts churn JSON     makes the starts again and again, for ever; prints a byte after the first
 *     driver.ts scatter JSON   the same, without waiting for any, a hundred times
 *     driver.ts rungs          prints the rungs of the ladder that a plain start went without
 *     driver.ts look NAME      prints where a program is
 */

import process from "node:process";
import { forceRungs, start } from "../ffi/request.ts";
import {
  type Env,
  exec,
  lookPath,
  OSFile,
  type ProcAttr,
  Process,
  SpawnError,
  startProcess,
  type Text,
} from "../mod.ts";
import { planStart } from "../src/start/plan.ts";
import { startChild } from "../src/process/process.ts";
import {
  cgroupNumber,
  changesSince,
  type DriverCase,
  type DriverResult,
  duplicate,
  helper,
  namespaceNumber,
  parentState,
  readAll,
  startPiped,
} from "./system.ts";

function attributes(one: DriverCase): { readonly attr: ProcAttr; readonly opened: OSFile[] } {
  const opened: OSFile[] = [];
  const sys = { ...one.sys };
  if (one.inOwnGroup) sys.pgid = process.pid;
  if (one.cgroup !== undefined) {
    using directory = OSFile.open(one.cgroup, "r");
    const copy = duplicate(directory.fd, cgroupNumber);
    opened.push(copy);
    sys.cgroupFD = copy;
  }
  if (one.namespace !== undefined) {
    using file = OSFile.open(`/proc/self/ns/${one.namespace}`, "r");
    const copy = duplicate(file.fd, namespaceNumber);
    opened.push(copy);
    sys.joinNamespaces = [{ fd: copy, kind: one.namespace }];
  }
  if (one.terminal !== undefined) {
    const copy = duplicate(0, one.terminal);
    opened.push(copy);
    sys.ctty = copy.fd;
  }
  const attr: ProcAttr = { files: [one.stdin ?? null, null, 2, ...one.extra ?? []], sys };
  if (one.dir !== undefined) attr.dir = one.dir;
  return { attr, opened };
}

/** startProcess(), but what came of it is told by the wait. */
function startDeferred(name: Text, argv: readonly Text[], attr?: ProcAttr): Process {
  return startChild(name, argv, attr ?? {}, { pidfd: true, deferred: true });
}

/** What the program printed; throws SpawnError. */
function runOne(one: DriverCase, how: typeof startProcess): string {
  const { attr, opened } = attributes(one);
  const argv = ["helper", ...one.argv ?? ["exit", "0"]];
  forceRungs(one.forced ?? 0);
  try {
    const { child, stdout } = startPiped(one.path ?? helper, argv, attr, how);
    const output = readAll(stdout);
    stdout.close();
    const state = child.waitSync();
    return state.success ? output : `${output}${state}`;
  } finally {
    forceRungs(0);
    for (const file of opened) file.close();
  }
}

type Outcome = Omit<DriverResult, "changed">;

function resultOf(one: DriverCase, how = startProcess): Outcome {
  try {
    return { failure: null, output: runOne(one, how) };
  } catch (error) {
    if (!(error instanceof SpawnError)) throw error;
    const { step, argument = null, code, signal = null, message } = error;
    return { failure: { step, argument, code, signal, message }, output: "" };
  }
}

function results(cases: readonly DriverCase[]): DriverResult[] {
  // The library, its window and its arena are there from now on.
  resultOf({});
  parentState();
  return cases.map((one) => {
    const before = parentState();
    const result = resultOf(one);
    const deferred = one.isOfWindow ? result : resultOf(one, startDeferred);
    if (JSON.stringify(deferred.failure) !== JSON.stringify(result.failure)) {
      throw new Error(`deferred, it comes to ${JSON.stringify([deferred, result])}`);
    }
    return { ...result, changed: changesSince(before) };
  });
}

interface ExecRequest {
  readonly path: string;
  readonly argv: readonly string[];
  readonly env?: Env;
}

function replace({ path, argv, env }: ExecRequest): void {
  const before = parentState();
  try {
    exec(path, argv, env);
  } catch (error) {
    if (!(error instanceof SpawnError)) throw error;
    print(`${error.message}\n${changesSince(before).join("\n")}`);
  }
}

/** Of the second start: the first one finds out what is missing. */
function plainRungs(): number {
  let rungs = 0;
  for (let round = 0; round < 2; round++) {
    const answer = start(planStart(helper, ["helper", "exit", "0"], {}));
    if (answer.errno !== 0) throw new Error(`errno ${answer.errno}`);
    new Process(answer.pid, answer.pidfd < 0 ? null : answer.pidfd).waitSync();
    rungs = answer.rungs;
  }
  return rungs;
}

function churn(cases: readonly DriverCase[]): never {
  resultOf({});
  print(".");
  while (true) {
    for (const one of cases) resultOf(one);
  }
}

function scatter(cases: readonly DriverCase[]): void {
  resultOf({});
  print(".");
  let last: Process | undefined;
  for (let round = 0; round < 100; round++) {
    for (const one of cases) {
      const { attr, opened } = attributes(one);
      last = startProcess(one.path ?? helper, ["helper", ...one.argv ?? []], attr);
      for (const file of opened) file.close();
    }
  }
  // None of them ends by itself.
  last?.waitSync();
}

function print(text: string): void {
  const stdout = OSFile.fromFd(1);
  stdout.writeSync(new TextEncoder().encode(text));
}

const [, , mode, argument = "null"] = process.argv;
if (mode === "exec") {
  const request: ExecRequest = JSON.parse(argument);
  replace(request);
} else if (mode === "rungs") {
  print(`${plainRungs()}`);
} else if (mode === "look") {
  print(lookPath(argument));
} else {
  const cases: DriverCase[] = JSON.parse(argument);
  if (mode === "cases") print(JSON.stringify(results(cases)));
  if (mode === "churn") churn(cases);
  if (mode === "scatter") scatter(cases);
}
