/** What a start on Windows is made of beyond a directory and three descriptors: Go's SysProcAttr there. */

import { Creation } from "../../ffi/abi.ts";
import type { ProcAttr, SysProcAttr } from "../start/attributes.ts";
import { type SecurityAttributes, windowsOnly } from "./attributes.ts";
import { checkInteger, checkText, type PlanContext, type PlannedStep } from "../start/checks.ts";
import { goQuote } from "../errors.ts";

/** The steps before the directory. Refuses what Windows has not, by name. */
export function windowsSteps(
  context: PlanContext,
  program: string,
  argv: readonly string[],
  { files = [], sys = {} }: ProcAttr,
): PlannedStep[] {
  const known: ReadonlySet<string> = new Set<string>(windowsOnly());
  for (const [field, value] of Object.entries(sys)) {
    if (value !== undefined && !known.has(field)) context.refuse(`${field} is for Unix only`);
  }
  if (files.length > 3) {
    context.refuse(
      "a child on Windows has no descriptors beyond 2: sysProcAttr.additionalInheritedHandles",
    );
  }
  const { cmdLine, creationFlags = 0, token = 0, parentProcess = 0, jobFlags } = sys;
  const flags = checkInteger(context, "creationFlags", creationFlags, 0, 0xffff_ffff);
  const isBatch = cmdLine === undefined && runsByShell(program);
  if (isBatch) {
    checkBatch(context, program, "the path");
    argv.slice(1).forEach((argument, index) =>
      checkBatch(context, argument, `argument ${index + 1}`)
    );
  }
  const bits = (sys.hideWindow ? Creation.hide_window : 0) |
    (sys.noInheritHandles ? Creation.no_inherit_handles : 0) |
    (isBatch ? Creation.batch : 0) |
    (sys.processAttributes?.inheritHandle ? Creation.inherit_process : 0) |
    (sys.threadAttributes?.inheritHandle ? Creation.inherit_thread : 0);
  const handles = [
    handle(context, "token", token),
    handle(context, "parentProcess", parentProcess),
  ] as const;
  const steps: PlannedStep[] = [
    { step: "creation", values: [flags, bits, ...handles], argument: `0x${flags.toString(16)}` },
  ];
  if (cmdLine !== undefined && cmdLine !== "") {
    const text = checkText(context, "cmdLine", cmdLine);
    steps.push({ step: "command_line", values: [text], argument: text });
  }
  steps.push(...securitySteps(context, "process_security", sys.processAttributes));
  steps.push(...securitySteps(context, "thread_security", sys.threadAttributes));
  if (jobFlags !== undefined) {
    const limits = checkInteger(context, "jobFlags", jobFlags, 0, 0xffff_ffff);
    steps.push({ step: "job", values: [limits], argument: `0x${limits.toString(16)}` });
  }
  return [...steps, ...inheritSteps(context, sys)];
}

function securitySteps(
  context: PlanContext,
  step: "process_security" | "thread_security",
  attributes: SecurityAttributes | undefined,
): PlannedStep[] {
  const { securityDescriptor: given } = attributes ?? {};
  if (given === undefined || given === "") return [];
  const text = checkText(context, "securityDescriptor", given);
  return [{ step, values: [text], argument: text }];
}

function inheritSteps(context: PlanContext, sys: SysProcAttr): PlannedStep[] {
  const { additionalInheritedHandles: handles = [] } = sys;
  if (handles.length === 0) return [];
  if (handles.length > 1024) context.refuse(`${handles.length} inherited handles are too many`);
  const words = handles.map((each) => handle(context, "additionalInheritedHandles", each));
  return [{ step: "inherit", values: [words], argument: handles.join(" ") }];
}

/** The 32 bits that are significant of one. */
function handle(context: PlanContext, what: string, value: number): number {
  return checkInteger(context, what, value, -0x8000_0000, 0x7fff_ffff);
}

/** Whether CreateProcess hands it to cmd.exe, which it does by the name alone; dots and spaces at its end do not count. */
function runsByShell(program: string): boolean {
  return /\.(?:bat|cmd)[. ]*$/i.test(program);
}

/**
 * cmd.exe reads a batch file's arguments by rules of its own (CVE-2024-24576). In quotes it takes all characters as they
 * are but these, for which there is no quoting that holds in every setting of its.
 */
function checkBatch(context: PlanContext, argument: string, what: string): void {
  const [found] = /["%!\r\n]/.exec(argument) ?? [];
  if (found === undefined) return;
  context.refuse(
    `${what} of a batch file has ${goQuote(found)}, which cmd.exe does not take as it is: ` +
      "sysProcAttr.cmdLine is passed on as you write it",
  );
}

/** JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK: what the child starts is not in its job. */
const breakaway = 0x1000;
/** JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, which the kernel does when this process ends, however that ends. */
const killOnClose = 0x2000;

/** The attributes of a child whose tree is a job, that ends with this process, or both. */
export function withJob(sys: SysProcAttr, isTree: boolean, endsWithParent: boolean): SysProcAttr {
  const { jobFlags = 0 } = sys;
  const limits = (isTree ? 0 : breakaway) | (endsWithParent ? killOnClose : 0);
  return { ...sys, jobFlags: jobFlags | limits };
}
