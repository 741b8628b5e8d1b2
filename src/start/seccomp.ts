/** SysProcAttr's seccomp: which system calls a child may make, as a list of names or as a filter of the caller's own. */

import { viewBytes } from "../../ffi/bytes.ts";
import { Errno, errnoCode } from "../errno.ts";
import { checkRecord, fieldsOf, unknownField } from "../fields.ts";
import {
  ALLOW,
  type Answer,
  compilePolicy,
  failWith,
  instructionLength,
  KILL_PROCESS,
  mostInstructions,
} from "./seccomp_filter.ts";
import { type Architecture, isSystemCall } from "./system_calls.ts";

/**
 * Which system calls a program may make: seccomp(2), by the kernel's names (`openat`, `newfstatat`, `umount2`), in
 * place from its execve on, and for all that it starts. What is wrong with them is a TypeError, or for a number out of
 * its bounds a RangeError.
 *
 * A name is one that x86_64 or aarch64 has; where only the other one has it (`open` on aarch64), it is no call and is
 * left out. The C library chooses the call: `open()` is `openat`, `stat()` is `newfstatat` or `statx`. A list of what
 * is allowed must have all that the dynamic loader makes, and `execve`, which every start needs.
 *
 * Calls of another architecture (32-bit programs) and of the x32 ABI end the process.
 */
export interface SeccompRules {
  /**
   * For calls that are in no list: "allow"; "kill", which ends the whole process by SIGSYS; or fail with an error
   * number from 1 to 4095.
   */
  default: "allow" | "kill" | { errno: number };
  /** Not with "allow" as the default, which has them allowed already. */
  allow?: readonly string[] | undefined;
  /** Calls that fail with `errno`. */
  deny?: readonly string[] | undefined;
  /** What those of `deny` fail with, from 1 to 4095. Default 1, EPERM. */
  errno?: number | undefined;
}

const names: ReadonlySet<string> = new Set<keyof SeccompRules>([
  "default",
  "allow",
  "deny",
  "errno",
]);

/** SECCOMP_RET_DATA's most for an error: MAX_ERRNO. */
const mostErrno = 4095;

/** What the attribute of a start holds, checked, as a copy of its own; `what` is its name in errors. */
export function checkSeccomp(what: string, given: unknown): Uint8Array | SeccompRules {
  if (ArrayBuffer.isView(given)) return checkFilter(what, viewBytes(given).slice());
  checkRecord(what, given);
  const rules = fieldsOf<Partial<Record<keyof SeccompRules, unknown>>>(given, names, (name) => {
    throw new TypeError(unknownField(what, name, names));
  });
  const byDefault = checkDefault(`${what}.default`, rules.default);
  const allow = checkNames(`${what}.allow`, rules.allow);
  const deny = checkNames(`${what}.deny`, rules.deny);
  const checked: SeccompRules = { default: byDefault };
  if (allow !== undefined) checked.allow = allow;
  if (deny !== undefined) checked.deny = deny;
  if (rules.errno !== undefined) checked.errno = checkErrno(`${what}.errno`, rules.errno);
  // Neither would do anything: whoever writes it believes that the rest is refused, or fails by that number.
  if (byDefault === "allow" && allow !== undefined) {
    throw new TypeError(`${what}.allow: all calls are allowed already, by ${what}.default`);
  }
  if (checked.errno !== undefined && deny === undefined) {
    throw new TypeError(`${what}.errno is that of ${what}.deny, which is absent`);
  }
  const denied = new Set(deny);
  for (const name of allow ?? []) {
    if (denied.has(name)) throw new TypeError(`${what}: ${name} stands in both allow and deny`);
  }
  const isExecAllowed = byDefault === "allow" ? !denied.has("execve") : allow?.includes("execve");
  if (!isExecAllowed) {
    throw new TypeError(`${what}: execve is not allowed, by which the program is started`);
  }
  return checked;
}

/** The filter of what checkSeccomp() has let through. */
export function compileSeccomp(
  rules: Uint8Array | SeccompRules,
  architecture: Architecture,
): Uint8Array {
  if (rules instanceof Uint8Array) return rules;
  const { allow = [], deny = [], errno = Errno.EPERM } = rules;
  const calls = new Map<string, Answer>();
  for (const name of allow) calls.set(name, ALLOW);
  for (const name of deny) calls.set(name, failWith(errno));
  return compilePolicy({ otherwise: defaultAnswer(rules.default), calls }, architecture);
}

/** In words, for explain(): "default allow, deny 31 calls with EPERM". */
export function describeSeccomp(rules: Uint8Array | SeccompRules): string {
  if (rules instanceof Uint8Array) {
    return `filter of ${count(rules.length / instructionLength, "instruction")}`;
  }
  const { default: byDefault, allow, deny, errno = Errno.EPERM } = rules;
  const words = [
    `default ${typeof byDefault === "string" ? byDefault : errnoCode(byDefault.errno, "linux")}`,
  ];
  if (allow !== undefined) words.push(`allow ${count(new Set(allow).size, "call")}`);
  if (deny !== undefined) {
    words.push(`deny ${count(new Set(deny).size, "call")} with ${errnoCode(errno, "linux")}`);
  }
  return words.join(", ");
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function defaultAnswer(byDefault: SeccompRules["default"]): Answer {
  if (byDefault === "allow") return ALLOW;
  return byDefault === "kill" ? KILL_PROCESS : failWith(byDefault.errno);
}

/** Whether it is a program that ends is the kernel's to find out: EINVAL. */
function checkFilter(what: string, bytes: Uint8Array): Uint8Array {
  const instructions = bytes.length / instructionLength;
  if (!Number.isInteger(instructions)) {
    throw new RangeError(`${what}: ${bytes.length} bytes are no whole instructions of 8 bytes`);
  }
  if (instructions < 1 || instructions > mostInstructions) {
    throw new RangeError(`${what}: ${instructions} instructions are not 1 to ${mostInstructions}`);
  }
  return bytes;
}

function checkDefault(what: string, given: unknown): SeccompRules["default"] {
  if (given === "allow" || given === "kill") return given;
  if (typeof given !== "object" || given === null) {
    throw new TypeError(`${what} is neither "allow" nor "kill" nor an error number`);
  }
  checkRecord(what, given);
  const { errno } = fieldsOf<{ errno?: unknown }>(given, new Set(["errno"]), (name) => {
    throw new TypeError(unknownField(what, name, ["errno"]));
  });
  return { errno: checkErrno(`${what}.errno`, errno) };
}

function checkErrno(what: string, given: unknown): number {
  if (typeof given !== "number") throw new TypeError(`${what} is not a number`);
  if (!Number.isInteger(given) || given < 1 || given > mostErrno) {
    throw new RangeError(`${what} ${given} is not an integer from 1 to ${mostErrno}`);
  }
  return given;
}

function checkNames(what: string, given: unknown): readonly string[] | undefined {
  if (given === undefined) return undefined;
  if (!Array.isArray(given)) throw new TypeError(`${what} is not a list`);
  return Array.from(given, (name: unknown) => {
    if (typeof name !== "string") throw new TypeError(`${what} holds what is not a string`);
    if (!isSystemCall(name)) {
      throw new TypeError(`${what}: there is no system call ${JSON.stringify(name)}`);
    }
    return name;
  });
}
