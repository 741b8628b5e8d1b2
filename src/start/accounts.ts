/** Users and groups by their names: passwd(5) and group(5), and for what stands in neither getent(1). */

import { Exit } from "../../ffi/abi.ts";
import { library } from "../../ffi/library.ts";
import { start } from "../../ffi/request.ts";
import { decodeText, type Text } from "../../ffi/text.ts";
import type { Credential } from "./attributes.ts";
import { Collector } from "../command/capture.ts";
import type { PlanContext } from "./checks.ts";
import { ExecError, SyscallError } from "../errors.ts";
import { closeQuietly, fdNumber, nullDevice, type OSFile, pipe, withFile } from "../file/file.ts";
import { lookPath } from "./look_path.ts";

/** A credential in numbers. */
export interface Ids {
  readonly uid: unknown;
  readonly gid: unknown;
  readonly groups: readonly number[];
}

/**
 * A credential's numbers, its names looked up by this process, in its own root. A user's name brings its group and its
 * supplementary groups, unless they are given; initgroups(3) counts the group among them.
 */
export function resolveCredential(context: PlanContext, credential: Credential): Ids {
  const { user, group, groups } = credential;
  if (user !== undefined && credential.uid !== undefined) {
    context.refuse("credential has a uid and a user, which are the same");
  }
  if (group !== undefined && credential.gid !== undefined) {
    context.refuse("credential has a gid and a group, which are the same");
  }
  const account = user === undefined ? undefined : findUser(context, user);
  const uid = account?.uid ?? credential.uid;
  const given = group === undefined ? credential.gid : findGroup(context, group);
  const gid = given ?? account?.gid;
  if (account?.name === undefined || groups !== undefined || credential.noSetGroups) {
    return { uid, gid, groups: groups ?? [] };
  }
  const own = account.groups(account.name);
  return { uid, gid, groups: [...new Set(typeof gid === "number" ? [gid, ...own] : own)] };
}

/** A user that was found. */
interface Account {
  readonly uid: number;
  /** Absent for a bare number: what it belongs to is not looked up. */
  readonly name?: string;
  readonly gid?: number;
  groups(name: string): readonly number[];
}

function findUser(context: PlanContext, user: string | number): Account {
  const id = idOf("credential.user", user);
  if (id !== null) return { uid: id, groups: () => [] };
  const name = String(user);
  const local = entryOf(linesOf("/etc/passwd"), name);
  const entry = local ?? entryOf(getent("passwd", name), name);
  if (entry === undefined) return context.refuse(`there is no user ${JSON.stringify(name)}`);
  const [, , uid, gid] = entry;
  const groups = local === undefined ? groupsBySystem : groupsByFile;
  return { uid: numberOf(uid), gid: numberOf(gid), name, groups };
}

function findGroup(context: PlanContext, group: string | number): number {
  const id = idOf("credential.group", group);
  if (id !== null) return id;
  const name = String(group);
  const entry = entryOf(linesOf("/etc/group"), name) ?? entryOf(getent("group", name), name);
  if (entry === undefined) return context.refuse(`there is no group ${JSON.stringify(name)}`);
  return numberOf(entry[2]);
}

/** NaN, which is refused, for what is none: an empty field is not root. */
function numberOf(field = ""): number {
  return /^\d+$/.test(field) ? Number(field) : NaN;
}

/** A number, also in digits, or null: it is a name. */
function idOf(what: string, value: unknown): number | null {
  if (typeof value === "number") return value;
  if (typeof value !== "string") throw new TypeError(`${what} is neither a name nor a number`);
  return /^\d+$/.test(value) ? Number(value) : null;
}

function entryOf(lines: readonly string[], name: string): readonly string[] | undefined {
  return lines.map((line) => line.split(":")).find(([first]) => first === name && name !== "");
}

function groupsByFile(name: string): readonly number[] {
  return linesOf("/etc/group").map((line) => line.split(":"))
    .filter(([, , , members = ""]) => members.split(",").includes(name))
    .map(([, , gid]) => numberOf(gid));
}

/** "name   4 24 27" */
function groupsBySystem(name: string): readonly number[] {
  const [line = ""] = getent("initgroups", name);
  return line.split(/\s+/).slice(1).filter((word) => word !== "").map(numberOf);
}

/** None where there is no such file. */
function linesOf(path: Text): readonly string[] {
  try {
    return withFile(path, readLines);
  } catch (error) {
    if (error instanceof SyscallError) return [];
    throw error;
  }
}

function readLines(file: OSFile): readonly string[] {
  const collector = new Collector();
  while (true) {
    const chunk = new Uint8Array(64 * 1024);
    const length = file.readSync(chunk);
    if (length === null) break;
    collector.write(chunk.subarray(0, length));
  }
  return decodeText(collector.bytes()).split("\n").filter((line) => line !== "");
}

/**
 * What getent(1) prints; nothing where there is none. Its plan is made by hand, as the plans of src/start/plan.ts need what it
 * finds.
 */
function getent(database: string, key: string): readonly string[] {
  const program = findGetent();
  // A name that is none, or an option to it.
  if (program === null || key === "" || key.startsWith("-") || key.includes("\0")) return [];
  const [output, input] = pipe();
  try {
    return answerOf(program, ["getent", database, key], output, input);
  } finally {
    closeQuietly(output);
    closeQuietly(input);
  }
}

function answerOf(
  program: string,
  argv: readonly string[],
  output: OSFile,
  input: OSFile,
): readonly string[] {
  const nothing = fdNumber(nullDevice, "/dev/null");
  const answer = start({
    path: program,
    argv,
    envp: [],
    envpLasts: false,
    steps: [
      { step: "sigaction", values: [] },
      { step: "fd", values: [nothing, 0] },
      { step: "fd", values: [input.fd, 1] },
      { step: "fd", values: [nothing, 2] },
      { step: "close_range", values: [3] },
      { step: "sigprocmask", values: [] },
      { step: "exec", values: [] },
    ],
    cloneFlags: 0,
  });
  input.close();
  if (answer.errno !== 0 || answer.signal !== 0) return [];
  try {
    return readLines(output);
  } finally {
    library().osexec_wait(answer.pid, answer.pidfd, 0, new Uint8Array(Exit.size));
    if (answer.pidfd >= 0) library().osexec_close(answer.pidfd);
  }
}

function findGetent(): string | null {
  try {
    return lookPath("getent");
  } catch (error) {
    if (error instanceof ExecError) return null;
    throw error;
  }
}
