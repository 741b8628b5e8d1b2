/** From ProcAttr to the ordered list of steps that the child will take: pure, and nothing is started. */

import type { RequestStep, StartRequest } from "../ffi/request.ts";
import type { ProcAttr, SysProcAttr } from "./attributes.ts";
import { environmentList, environmentProblem } from "./environment.ts";
import { SpawnError } from "./errors.ts";
import { fdNumber } from "./file.ts";
import { inheritedEnvironment } from "./native.ts";
import { currentOS } from "./os.ts";

/** A step as errors and explain() name it. */
export interface PlannedStep extends RequestStep {
  /** The argument in words: "/nope" for chdir, "1337" for setuid. */
  readonly argument?: string;
}

/** A start, checked and in order. */
export interface StartPlan extends StartRequest {
  readonly steps: readonly PlannedStep[];
}

/** What a plan's parts report what is wrong through. */
interface Context {
  readonly path: string;
  refuse(detail: string): never;
}

/**
 * Plans the start of a process. Throws SpawnError of step "request" for what can never start, and
 * TypeError for a value of the wrong type.
 */
export function planStart(name: string, argv: readonly string[], attr: ProcAttr): StartPlan {
  const os = currentOS();
  const context: Context = {
    path: name,
    refuse(detail) {
      throw new SpawnError({ path: name, step: "request", os, detail });
    },
  };
  checkText(context, "the path", name);
  if (!Array.isArray(argv)) throw new TypeError("The arguments are not a list");
  for (const [index, argument] of argv.entries()) {
    checkText(context, `argument ${index}`, argument);
  }
  const sys = attr.sys ?? {};
  const steps = [
    { step: "sigaction" } as const,
    ...sessionSteps(sys),
    ...rootSteps(context, sys),
    ...credentialSteps(context, sys),
    ...directorySteps(context, attr),
    ...descriptorSteps(context, attr),
    { step: "sigprocmask" } as const,
    { step: "exec", argument: name } as const,
  ];
  return { path: name, argv, envp: environment(context, attr), steps, cloneFlags: 0, cgroup: -1 };
}

function checkText(context: Context, what: string, text: unknown): void {
  if (typeof text !== "string") throw new TypeError(`${what} is not a string`);
  if (text.includes("\0")) context.refuse(`${what} contains a NUL`);
}

function environment(context: Context, { env }: ProcAttr): readonly string[] {
  if (env === undefined) return inheritedEnvironment();
  const problem = environmentProblem(env);
  if (problem !== null) context.refuse(problem);
  return environmentList(env);
}

function sessionSteps({ setsid, setpgid, pgid }: SysProcAttr): PlannedStep[] {
  const steps: PlannedStep[] = [];
  if (setsid) steps.push({ step: "setsid" });
  if (setpgid) steps.push({ step: "setpgid", words: [pgid ?? 0], argument: `${pgid ?? 0}` });
  return steps;
}

function rootSteps(context: Context, { chroot }: SysProcAttr): PlannedStep[] {
  if (chroot === undefined) return [];
  checkText(context, "chroot", chroot);
  return [{ step: "chroot", text: chroot, argument: chroot }];
}

/** Groups, group, user: Go's rule 106 and 107. */
function credentialSteps(context: Context, { credential }: SysProcAttr): PlannedStep[] {
  if (credential === undefined) return [];
  const { uid, gid, groups = [], noSetGroups } = credential;
  for (const [what, id] of [["uid", uid], ["gid", gid]] as const) checkId(context, what, id);
  for (const group of groups) checkId(context, "a supplementary group", group);
  const steps: PlannedStep[] = [];
  if (!noSetGroups) {
    steps.push({ step: "setgroups", words: groups, argument: `[${groups.join(" ")}]` });
  }
  steps.push({ step: "setgid", words: [gid], argument: `${gid}` });
  steps.push({ step: "setuid", words: [uid], argument: `${uid}` });
  return steps;
}

/** The all-ones id means "leave it" to the kernel, so it names nobody. */
function checkId(context: Context, what: string, id: unknown): void {
  if (typeof id !== "number") throw new TypeError(`${what} is not a number`);
  if (!Number.isInteger(id) || id < 0 || id >= 0xffffffff) {
    context.refuse(`${what} ${id} is not an id between 0 and 4294967294`);
  }
}

function directorySteps(context: Context, { dir }: ProcAttr): PlannedStep[] {
  if (dir === undefined || dir === "") return [];
  checkText(context, "dir", dir);
  return [{ step: "chdir", text: dir, argument: dir }];
}

/** The map of descriptors, 0 to 2 closed where it says nothing of them, and the end of all others. */
function descriptorSteps(context: Context, { files = [], sys }: ProcAttr): PlannedStep[] {
  const steps: PlannedStep[] = [];
  const count = Math.max(3, files.length);
  for (let target = 0; target < count; target++) {
    const file = files[target] ?? null;
    const source = file === null ? -1 : fdNumber(file);
    if (file !== null && source < 0) context.refuse(`file ${target} is closed`);
    const argument = source < 0 ? `close ${target}` : `${source} -> ${target}`;
    steps.push({ step: "fd", words: [source, target], argument });
  }
  if (sys?.closeFds ?? true) {
    steps.push({ step: "close_range", words: [count], argument: `from ${count}` });
  }
  return steps;
}
