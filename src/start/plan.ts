/** From ProcAttr to the ordered list of steps that the child will take; nothing is opened or started. */

import { STEPS } from "../../ffi/abi.ts";
import { type StartRequest, stepCode } from "../../ffi/request.ts";
import { showText, type Text } from "../../ffi/text.ts";
import { resolveCredential } from "./accounts.ts";
import { OwnAttributes, type ProcAttr, readAttributes, type SysProcAttr } from "./attributes.ts";
import {
  checkInteger,
  checkText,
  type PlanContext,
  planContext,
  type PlannedStep,
} from "./checks.ts";
import { confinementSteps } from "./confinement.ts";
import { isCleanEnvironment, readEnvironment } from "./environment.ts";
import { descriptor, isPlanned } from "./borrowed.ts";
import { fdNumber, nullDevice } from "../file/file.ts";
import { limitSteps } from "./limits.ts";
import { listenSteps, withListenFds } from "./listen.ts";
import { joinSteps, namespaceNames, namespaceSteps, selfMapSteps } from "./namespaces.ts";
import { mountSteps, nameSteps } from "./mounts.ts";
import { inherited } from "../native.ts";
import { currentOS } from "../os.ts";
import { windowsOnly } from "../windows/attributes.ts";
import { windowsSteps } from "../windows/plan.ts";
import { privilegeSteps } from "./privileges.ts";
import { signalName, signalNumber } from "../process/signals.ts";
import { resourceSteps } from "./resources.ts";

/** A start, checked and in order. */
export interface StartPlan extends StartRequest {
  readonly steps: readonly PlannedStep[];
}

/** Fields that only Linux has. */
export const linuxOnly = [
  "pdeathsig",
  "joinNamespaces",
  "cloneflags",
  "unshareflags",
  "uidMappings",
  "gidMappings",
  "gidMappingsEnableSetgroups",
  "ambientCaps",
  "cgroupFD",
  "noNewPrivs",
  "mounts",
  "pivotRoot",
  "hostname",
  "domainname",
  "capabilities",
  "newKeyring",
  "dumpable",
  "landlock",
  "seccomp",
  "affinity",
  "scheduler",
  "ioPriority",
  "timerSlack",
  "memoryPolicy",
  "oomScoreAdj",
  "coredumpFilter",
  "personality",
] as const;

/**
 * Plans the start of a process. Throws SpawnError of step "request" for what can never start, and
 * TypeError for a value of the wrong type.
 */
export function planStart(program: Text, args: readonly Text[], given: ProcAttr): StartPlan {
  const context = planContext(program);
  // Nothing of the caller's is looked at twice: what has been checked is what is run.
  const { name, argv } = checkProgram(context, program, args);
  const attr = given instanceof OwnAttributes ? given : readAttributes(given, context.refuse);
  const { sys } = attr;
  const isWindows = context.os === "win32";
  const steps: PlannedStep[] = isWindows ? windowsSteps(context, name, argv, attr) : [sigaction];
  addDirectory(steps, context, attr);
  addDescriptors(steps, context, attr);
  if (!isWindows) steps.push(sigprocmask);
  steps.push({ step: "exec", values: [], argument: showText(name) });
  if (sys !== undefined && !isWindows) {
    steps.push(...otherSteps(context, attr, sys));
    // In the order of the native table, which says why; those that repeat stay as they are.
    steps.sort((a, b) => stepCode(a.step) - stepCode(b.step));
  }
  const envp = withListenFds(attr, environment(context, attr));
  return {
    path: name,
    argv,
    envp,
    envpLasts: isCleanEnvironment(envp),
    steps,
    cloneFlags: (sys?.cloneflags ?? 0) >>> 0,
  };
}

const sigaction: PlannedStep = { step: "sigaction", values: [] };
const sigprocmask: PlannedStep = { step: "sigprocmask", values: [] };

/** What `sys` asks for. */
function otherSteps(context: PlanContext, attr: ProcAttr, sys: SysProcAttr): PlannedStep[] {
  if (context.os !== "linux") {
    for (const field of linuxOnly) {
      if (sys[field] !== undefined) context.refuse(`${field} is for Linux only`);
    }
  }
  for (const field of windowsOnly()) {
    if (sys[field] !== undefined) context.refuse(`${field} is for Windows only`);
  }
  const steps = [
    ...cgroupSteps(context, sys),
    ...resourceSteps(context, sys),
    ...limitSteps(context, sys),
    ...namespaceSteps(context, sys),
    ...joinSteps(context, sys),
    ...selfMapSteps(context, sys),
    ...mountSteps(context, sys),
    ...nameSteps(context, sys),
    ...sessionSteps(context, sys),
    ...terminalSteps(context, attr),
    ...rootSteps(context, sys),
    ...credentialSteps(context, sys),
    ...privilegeSteps(context, sys),
    ...deathSignalSteps(context, sys),
    ...confinementSteps(context, sys),
    ...listenSteps(context, attr),
    ...flag(sys.noctty, "noctty"),
    ...controllingTerminalSteps(context, attr),
    ...flag(sys.ptrace, "ptrace"),
  ];
  if (sys.scheduler?.resetOnFork && steps.some(({ step }) => step === "pid_namespace")) {
    context.refuse(
      "scheduler.resetOnFork: a program that joins a pid namespace is made by a second fork, which would reset it",
    );
  }
  return steps;
}

/** Checks what every start and exec() have in common, and answers copies as strings. */
export function checkProgram(
  context: PlanContext,
  program: Text,
  args: readonly Text[],
): { readonly name: string; readonly argv: readonly string[] } {
  const name = checkText(context, "the path", program);
  if (!Array.isArray(args)) throw new TypeError("The arguments are not a list");
  const argv: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const argument = args[index];
    const isPlain = typeof argument === "string" && argument.isWellFormed() &&
      !argument.includes("\0");
    argv.push(isPlain ? argument : checkText(context, `argument ${index}`, argument));
  }
  return { name, argv };
}

/** The environment as a list. */
export function environment(context: PlanContext, { env }: ProcAttr): readonly string[] {
  const { list, problem } = env === undefined ? inherited() : readEnvironment(env);
  if (problem !== null) context.refuse(problem);
  return list;
}

/** The word of SpawnStep for a step of the native table. */
export function stepWord(step: PlannedStep): string {
  return STEPS.find((row) => row.step === step.step)?.word ?? step.step;
}

/** The argument of a step in words. That of a descriptor, which every start has, is made when asked for. */
export function stepArgument(planned: PlannedStep): string | undefined {
  if (planned.argument !== undefined) return planned.argument;
  if (planned.step === "close_range") return `from ${planned.values[0]}`;
  if (planned.step !== "fd") return undefined;
  const [source, target] = planned.values;
  return source < 0 ? `close ${target}` : `${source} -> ${target}`;
}

/** The plan for a person to read: a line for each step, in the words of SpawnStep. */
export function explainPlan(plan: StartPlan): string {
  const clone = plan.cloneFlags === 0 ? "clone" : `clone ${namespaceNames(plan.cloneFlags)}`;
  const lines = plan.steps.map((step) => {
    const word = stepWord(step);
    const argument = stepArgument(step);
    return argument === undefined ? word : `${word} ${argument}`;
  });
  return [...currentOS() === "win32" ? [] : [clone], ...lines].join("\n");
}

function flag(on: boolean | undefined, step: "noctty" | "ptrace"): PlannedStep[] {
  return on ? [{ step, values: [] }] : [];
}

function cgroupSteps(context: PlanContext, { cgroupFD }: SysProcAttr): PlannedStep[] {
  if (cgroupFD === undefined) return [];
  const fd = descriptor(context, "cgroupFD", cgroupFD);
  const argument = isPlanned(cgroupFD) ? cgroupFD.label : `${fd}`;
  return [{ step: "cgroup", values: [fd], argument }];
}

function sessionSteps(context: PlanContext, sys: SysProcAttr): PlannedStep[] {
  const steps: PlannedStep[] = [];
  if (sys.setsid) steps.push({ step: "setsid", values: [] });
  if (!sys.setpgid && !sys.foreground) return steps;
  const group = checkInteger(context, "pgid", sys.pgid ?? 0, 0, maxId);
  steps.push({ step: "setpgid", values: [group], argument: `${group}` });
  return steps;
}

/** pid_t. */
const maxId = 0x7fffffff;

/** Go's checks and texts: rule 69. */
function terminalSteps(context: PlanContext, { sys = {} }: ProcAttr): PlannedStep[] {
  if (!sys.foreground) return [];
  if (sys.setctty) context.refuse("both Setctty and Foreground set in SysProcAttr");
  const terminal = checkInteger(context, "ctty", sys.ctty ?? 0, 0, maxId);
  return [{ step: "foreground", values: [terminal, sys.pgid ?? 0], argument: `${terminal}` }];
}

function controllingTerminalSteps(context: PlanContext, attr: ProcAttr): PlannedStep[] {
  const { sys = {}, files = [] } = attr;
  if (!sys.setctty) return [];
  const terminal = checkInteger(context, "ctty", sys.ctty ?? 0, 0, maxId);
  if ((files[terminal] ?? null) === null) {
    context.refuse(`Setctty set but Ctty not valid in child: ${terminal}`);
  }
  return [{ step: "setctty", values: [terminal], argument: `${terminal}` }];
}

function rootSteps(context: PlanContext, { chroot }: SysProcAttr): PlannedStep[] {
  if (chroot === undefined || chroot === "") return [];
  const text = checkText(context, "chroot", chroot);
  return [{ step: "chroot", values: [text], argument: showText(text) }];
}

/** Groups, group, user: Go's rules 106 and 107. */
function credentialSteps(context: PlanContext, sys: SysProcAttr): PlannedStep[] {
  const { credential, gidMappings, gidMappingsEnableSetgroups } = sys;
  if (credential === undefined) return [];
  const { uid, gid, groups } = resolveCredential(context, credential);
  const { noSetGroups } = credential;
  // The all-ones id means "leave it" to the kernel, so it names nobody.
  const last = 0xfffffffe;
  const user = checkInteger(context, "uid", uid, 0, last);
  const group = checkInteger(context, "gid", gid, 0, last);
  for (const each of groups) checkInteger(context, "supplementary group", each, 0, last);
  if (groups.length > 65535) context.refuse(`${groups.length} supplementary groups are too many`);
  const steps: PlannedStep[] = [];
  // Where setgroups is denied there is nothing to drop that could be dropped.
  const denied = gidMappings !== undefined && !gidMappingsEnableSetgroups && groups.length === 0;
  if (!noSetGroups && !denied) {
    steps.push({ step: "setgroups", values: [groups], argument: `[${groups.join(" ")}]` });
  }
  steps.push({ step: "setgid", values: [group], argument: `${group}` });
  steps.push({ step: "setuid", values: [user], argument: `${user}` });
  return steps;
}

function deathSignalSteps(context: PlanContext, { pdeathsig }: SysProcAttr): PlannedStep[] {
  if (pdeathsig === undefined) return [];
  const number = signalNumber(pdeathsig, context.os, "pdeathsig");
  if (number === 0) context.refuse("pdeathsig 0 is no signal");
  return [{ step: "pdeathsig", values: [number], argument: signalName(number, context.os) }];
}

function addDirectory(steps: PlannedStep[], context: PlanContext, { dir }: ProcAttr): void {
  if (dir === undefined || dir === "") return;
  const text = checkText(context, "dir", dir);
  steps.push({ step: "chdir", values: [text], argument: showText(text) });
}

/** The map of descriptors, 0 to 2 closed where it says nothing of them, and the end of all others. */
function addDescriptors(
  steps: PlannedStep[],
  context: PlanContext,
  { files = [], sys }: ProcAttr,
): void {
  const count = Math.max(3, files.length);
  for (let target = 0; target < count; target++) {
    const file = files[target] ?? null;
    if (file === nullDevice) {
      const source = fdNumber(file, "/dev/null");
      const name = context.os === "win32" ? "NUL" : "/dev/null";
      steps.push({ step: "fd", values: [source, target], argument: `${name} -> ${target}` });
      continue;
    }
    const source = file === null ? -1 : descriptor(context, `file ${target}`, file);
    const step: PlannedStep = { step: "fd", values: [source, target] };
    // explain() opens nothing, and says what would be opened instead of its number.
    steps.push(isPlanned(file) ? { ...step, argument: `${file.label} -> ${target}` } : step);
  }
  // On Windows only what is named is inherited.
  if (context.os !== "win32" && (sys?.closeFds ?? true)) {
    steps.push({ step: "close_range", values: [count] });
  }
}
