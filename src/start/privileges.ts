/** What a child may do that others may not, and what it never will again. Linux only. */

import type { SysProcAttr } from "./attributes.ts";
import { checkInteger, type PlanContext, type PlannedStep } from "./checks.ts";
import { withFile } from "../file/file.ts";

/**
 * A child's sets of capabilities, as numbers (`Cap`): capabilities(7). A set that is absent stays as it is, an empty one
 * leaves nothing.
 *
 * What a program has in the end execve(2) decides: root gets what is in `inheritable` or in `bounding`, unless
 * `securebits` say otherwise; another user `ambientCaps`; and a file's own capabilities come to that, as far as they are in
 * `bounding`, unless there is `noNewPrivs`. So to take rights away for good `bounding` is the set. `permitted` and `effective`
 * are those of the child until then: its last steps go by them, such as entering `dir`.
 */
export interface Capabilities {
  /**
   * Those that the program, and all that it starts, may ever have; what this process's own set has not is not in it
   * either. To take some away needs CAP_SETPCAP.
   */
  bounding?: readonly number[] | undefined;
  /** Some of those that are permitted: none can be added. It must have `ambientCaps`. */
  permitted?: readonly number[] | undefined;
  /** Some of the permitted ones. */
  effective?: readonly number[] | undefined;
  /** Kept over execve(2), for root and for files that have them inheritable. It must have `ambientCaps`. */
  inheritable?: readonly number[] | undefined;
  /**
   * SECBIT_* of capabilities(7), all of them at once: 1 NOROOT (root gets no capabilities for being root), 4
   * NO_SETUID_FIXUP (a change of user changes no set), 64 NO_CAP_AMBIENT_RAISE; twice each: that bit can not be changed
   * any more. They are set after `credential` and `ambientCaps`, and so say nothing about those. Needs CAP_SETPCAP unless
   * they are so already.
   */
  securebits?: number | undefined;
}

/** Of the three sets that capset(2) takes, in the order of the bits of `given`. */
const threeSets = ["permitted", "effective", "inheritable"] as const;

/** The steps of capabilities, keys and core dumps. */
export function privilegeSteps(context: PlanContext, sys: SysProcAttr): PlannedStep[] {
  return [
    ...boundingSteps(context, sys),
    ...ambientSteps(context, sys),
    ...setSteps(context, sys),
    ...(sys.newKeyring ? [{ step: "keyring", values: [] } as const] : []),
    ...dumpableSteps(context, sys),
  ];
}

function boundingSteps(
  context: PlanContext,
  { ambientCaps, capabilities }: SysProcAttr,
): PlannedStep[] {
  const steps: PlannedStep[] = [];
  const bounding = capabilities?.bounding;
  if (bounding !== undefined) {
    const kept = bits(context, "capabilities.bounding", bounding);
    steps.push({ step: "bounding_set", values: [kept], argument: inBrackets(bounding) });
  }
  const goesOn = hasAny(ambientCaps) || capabilities?.securebits !== undefined ||
    threeSets.some((set) => capabilities?.[set] !== undefined);
  if (goesOn) steps.push({ step: "keep_capabilities", values: [], argument: "keep" });
  return steps;
}

function ambientSteps(
  context: PlanContext,
  { ambientCaps, capabilities }: SysProcAttr,
): PlannedStep[] {
  if (ambientCaps === undefined || !hasAny(ambientCaps)) return [];
  const raised = bits(context, "ambientCaps", ambientCaps);
  for (const set of ["permitted", "inheritable"] as const) {
    const given = capabilities?.[set];
    const missing = given && ambientCaps.find((each) => !given.includes(each));
    if (missing !== undefined) {
      context.refuse(`ambientCaps: ${missing} is not in capabilities.${set}`);
    }
  }
  return [{ step: "ambient_set", values: [raised], argument: inBrackets(ambientCaps) }];
}

function setSteps(context: PlanContext, { capabilities }: SysProcAttr): PlannedStep[] {
  const steps: PlannedStep[] = [];
  if (capabilities?.securebits !== undefined) {
    const value = checkInteger(
      context,
      "capabilities.securebits",
      capabilities.securebits,
      0,
      0xfff,
    );
    steps.push({ step: "securebits", values: [value], argument: `0x${value.toString(16)}` });
  }
  const sets = threeSets.map((set) => capabilities?.[set]);
  if (sets.some((set) => set !== undefined)) {
    const [permitted = 0n, effective = 0n, inheritable = 0n] = sets.map((set, index) =>
      bits(context, `capabilities.${threeSets[index]}`, set ?? [])
    );
    const given = sets.reduce((all, set, index) => set === undefined ? all : all | 1 << index, 0);
    const words = sets.map((set, index) => set && `${threeSets[index]} ${inBrackets(set)}`);
    steps.push({
      step: "capability_sets",
      values: [permitted, effective, inheritable, given],
      argument: words.filter((each) => each !== undefined).join(" "),
    });
  }
  return steps;
}

function dumpableSteps(
  context: PlanContext,
  { credential, dumpable }: SysProcAttr,
): PlannedStep[] {
  if (dumpable === undefined) return [];
  // Until execve it has a copy of this memory, which a change of user has hidden from that user.
  if (dumpable && credential !== undefined) {
    context.refuse("dumpable: true with a credential would show that user this process's memory");
  }
  return [{ step: "dumpable", values: [dumpable ? 1 : 0], argument: `${dumpable}` }];
}

function hasAny(list: readonly number[] | undefined): boolean {
  return list !== undefined && list.length > 0;
}

/** A bit for each capability. */
function bits(context: PlanContext, what: string, list: readonly number[]): bigint {
  const last = lastCapability();
  let all = 0n;
  for (const each of list) {
    all |= 1n << BigInt(checkInteger(context, `${what}: capability`, each, 0, last));
  }
  return all;
}

function inBrackets(numbers: readonly number[]): string {
  return `[${numbers.join(" ")}]`;
}

/** The kernel's last capability, once it has been asked. */
let asked: number | undefined;

/** The kernel's last capability; what it cannot be asked for is the last one known, 40. */
function lastCapability(): number {
  return asked ??= askedCapability() ?? 40;
}

function askedCapability(): number | undefined {
  try {
    const bytes = new Uint8Array(16);
    const path = "/proc/sys/kernel/cap_last_cap";
    const length = withFile(path, (file) => file.readSync(bytes)) ?? 0;
    const number = Number.parseInt(new TextDecoder().decode(bytes.subarray(0, length)), 10);
    return Number.isNaN(number) ? undefined : number;
  } catch {
    return undefined;
  }
}
