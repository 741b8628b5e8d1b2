/** The steps that put a child under rules of landlock(7) and a filter of seccomp(2). Linux only. */

import { library } from "../../ffi/library.ts";
import { showText } from "../../ffi/text.ts";
import { currentArchitecture } from "../os.ts";
import type { SysProcAttr } from "./attributes.ts";
import type { PlanContext, PlannedStep } from "./checks.ts";
import { describeLandlock, LANDLOCK_ACCESS_FILE, landlockFor } from "./landlock.ts";
import { compileSeccomp, describeSeccomp } from "./seccomp.ts";

/** Their steps, and no_new_privs, without which neither is to be had but by CAP_SYS_ADMIN. */
export function confinementSteps(context: PlanContext, sys: SysProcAttr): PlannedStep[] {
  const steps = [...landlockSteps(context, sys), ...seccompSteps(sys)];
  if (sys.noNewPrivs ?? steps.length > 0) steps.push({ step: "no_new_privs", values: [] });
  return steps;
}

function landlockSteps(context: PlanContext, { landlock }: SysProcAttr): PlannedStep[] {
  if (landlock === undefined) return [];
  const version = Math.max(0, library().osexec_landlock_abi());
  const { handledAccessFs, handledAccessNet, scoped, paths, ports } = landlockFor(
    landlock,
    version,
    context.refuse,
  );
  // Nothing is asked for, or nothing of it is had.
  if (handledAccessFs === 0 && handledAccessNet === 0 && scoped === 0) return [];
  const values = [BigInt(handledAccessFs), BigInt(handledAccessNet), BigInt(scoped)] as const;
  const steps: PlannedStep[] = [
    { step: "landlock", values, argument: describeLandlock(landlock) },
  ];
  const file = BigInt(LANDLOCK_ACCESS_FILE);
  for (const { path, access } of paths) {
    const values = [BigInt(access), file, path] as const;
    steps.push({ step: "landlock_path", values, argument: showText(path) });
  }
  for (const { port, access } of ports) {
    const values = [BigInt(access), BigInt(port)] as const;
    steps.push({ step: "landlock_port", values, argument: `port ${port}` });
  }
  steps.push({ step: "landlock_restrict", values: [], argument: "restrict" });
  return steps;
}

function seccompSteps({ seccomp }: SysProcAttr): PlannedStep[] {
  if (seccomp === undefined) return [];
  const filter = compileSeccomp(seccomp, currentArchitecture());
  return [{ step: "seccomp", values: [filter], argument: describeSeccomp(seccomp) }];
}
