/** What only Windows does beyond a process's directory, environment and files: Go's syscall.SysProcAttr there. */

import { checkRecord, fieldsOf, unknownField } from "../fields.ts";

/** Go's syscall.SecurityAttributes. */
export interface SecurityAttributes {
  /** In SDDL, "D:P(A;;GA;;;SY)"; absent: the default one. */
  securityDescriptor?: string | undefined;
  /** Whether children of this process that inherit may inherit the handle. Default false. */
  inheritHandle?: boolean | undefined;
}

/**
 * The fields of SysProcAttr that Windows has, where it has none of the others. A handle is the value of a HANDLE, as a
 * number. Refused elsewhere with a SpawnError of step "request" that names the field.
 */
export interface WindowsAttributes {
  /** The window that the child would open first is not shown, SW_HIDE. */
  hideWindow?: boolean | undefined;
  /**
   * The command line as it stands, in place of the arguments, which are otherwise quoted by the rules of
   * CommandLineToArgvW. The one way to give a batch file an argument with a quote, "%", "!" or a line's end: which
   * cmd.exe would take for its own, and which is otherwise refused (CVE-2024-24576).
   */
  cmdLine?: string | undefined;
  /** CREATE_*, DETACHED_PROCESS and their kin: CreateProcess's dwCreationFlags. */
  creationFlags?: number | undefined;
  /** The handle of a token, in whose security context the child runs: CreateProcessAsUser. */
  token?: number | undefined;
  /** Who may do what with the child's process. */
  processAttributes?: SecurityAttributes | undefined;
  /** The same for its first thread. */
  threadAttributes?: SecurityAttributes | undefined;
  /** The child inherits no handle at all, not even its 0, 1 and 2. */
  noInheritHandles?: boolean | undefined;
  /** Handles that are inheritable already, which the child gets with its 0, 1 and 2, under the same values. */
  additionalInheritedHandles?: readonly number[] | undefined;
  /** The handle of a process in whose place this one starts the child: what is inherited is that one's. */
  parentProcess?: number | undefined;
  /**
   * Beyond Go: puts the child into a job object of its own with these limits, JOB_OBJECT_LIMIT_* that take no value;
   * 0: with none. Command's `tree` "group" and `endWithParent` make one.
   */
  jobFlags?: number | undefined;
}

/** What each field is, as src/start/sys.ts has it. */
export const windowsKinds: readonly (readonly [name: keyof WindowsAttributes, kind: string])[] = [
  ["hideWindow", "boolean"],
  ["cmdLine", "string"],
  ["creationFlags", "number"],
  ["token", "number"],
  ["processAttributes", "object"],
  ["threadAttributes", "object"],
  ["noInheritHandles", "boolean"],
  ["additionalInheritedHandles", "list"],
  ["parentProcess", "number"],
  ["jobFlags", "number"],
];

const names: readonly (keyof WindowsAttributes)[] = windowsKinds.map(([name]) => name);

/** The names of the fields. A function, as tools/parts.mjs lets no constant out of a part. */
export function windowsOnly(): readonly (keyof WindowsAttributes)[] {
  return names;
}

const securityNames: ReadonlySet<string> = new Set<keyof SecurityAttributes>([
  "securityDescriptor",
  "inheritHandle",
]);

/** Copies of its own of what lies in them. */
export function readWindows(fields: WindowsAttributes, refuse: (detail: string) => never): void {
  for (const name of ["processAttributes", "threadAttributes"] as const) {
    const given = fields[name];
    if (given === undefined) continue;
    checkRecord(name, given);
    fields[name] = fieldsOf(
      given,
      securityNames,
      (unknown) => refuse(unknownField(name, unknown, securityNames.keys())),
    );
  }
  const { additionalInheritedHandles: handles } = fields;
  if (handles !== undefined) fields.additionalInheritedHandles = [...handles];
}
