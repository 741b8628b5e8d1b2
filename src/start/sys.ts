/** SysProcAttr as a caller has given it: read once, copied, and checked for what it is. */

import type {
  Credential,
  JoinedNamespace,
  Refuse,
  SysProcAttr,
  SysProcIDMap,
} from "./attributes.ts";
import { readMounts } from "./mounts.ts";
import { readWindows, windowsKinds } from "../windows/attributes.ts";
import { checkRecord, fieldsOf, layersOf, unknownField } from "../fields.ts";
import { checkLandlock } from "./landlock.ts";
import type { Capabilities } from "./privileges.ts";
import type { IoPriority, MemoryPolicy, Scheduler } from "./resources.ts";
import { checkSeccomp } from "./seccomp.ts";

const kinds: ReadonlyMap<string, string> = new Map<keyof SysProcAttr, string>([
  ["chroot", "any"],
  ["credential", "object"],
  ["ptrace", "boolean"],
  ["setsid", "boolean"],
  ["setpgid", "boolean"],
  ["pgid", "number"],
  ["setctty", "boolean"],
  ["noctty", "boolean"],
  ["ctty", "number"],
  ["foreground", "boolean"],
  ["pdeathsig", "any"],
  ["joinNamespaces", "list"],
  ["cloneflags", "number"],
  ["unshareflags", "number"],
  ["uidMappings", "list"],
  ["gidMappings", "list"],
  ["gidMappingsEnableSetgroups", "boolean"],
  ["ambientCaps", "list"],
  ["cgroupFD", "any"],
  ["umask", "number"],
  ["rlimits", "object"],
  ["nice", "number"],
  ["noNewPrivs", "boolean"],
  ["capabilities", "object"],
  ["newKeyring", "boolean"],
  ["dumpable", "boolean"],
  ["landlock", "object"],
  ["seccomp", "any"],
  ["affinity", "list"],
  ["scheduler", "object"],
  ["ioPriority", "object"],
  ["timerSlack", "number"],
  ["memoryPolicy", "object"],
  ["oomScoreAdj", "number"],
  ["coredumpFilter", "number"],
  ["personality", "number"],
  ["closeFds", "boolean"],
  ["listenFds", "any"],
  ["mounts", "list"],
  ["pivotRoot", "any"],
  ["hostname", "string"],
  ["domainname", "string"],
  ...windowsKinds,
]);

const credentialNames: ReadonlySet<string> = new Set<keyof Credential>([
  "uid",
  "gid",
  "groups",
  "group",
  "noSetGroups",
  "user",
]);

const mapNames: ReadonlySet<string> = new Set<keyof SysProcIDMap>([
  "containerID",
  "hostID",
  "size",
]);

const capabilityNames: ReadonlySet<string> = new Set<keyof Capabilities>([
  "bounding",
  "permitted",
  "effective",
  "inheritable",
  "securebits",
]);

const schedulerNames: ReadonlySet<string> = new Set<keyof Scheduler>([
  "policy",
  "priority",
  "resetOnFork",
]);

const ioPriorityNames: ReadonlySet<string> = new Set<keyof IoPriority>(["class", "level"]);

const memoryPolicyNames: ReadonlySet<string> = new Set<keyof MemoryPolicy>(["mode", "nodes"]);

const joinedNames: ReadonlySet<string> = new Set<keyof JoinedNamespace>(["fd", "kind"]);

const limitNames: ReadonlySet<string> = new Set(["soft", "hard"]);

/**
 * SysProcAttr, and all that lies in it, as a copy of its own. A misspelt attribute must not be left out in
 * silence, least of all one that takes rights away; nor may a word such as "no" count as true.
 */
export function readSys(sys: SysProcAttr, refuse: Refuse): SysProcAttr {
  checkRecord("sys", sys);
  const fields = read("sys", sys, kinds, refuse);
  for (const [field, value] of Object.entries(fields)) {
    const kind = kinds.get(field);
    if (value === undefined || kind === "any") continue;
    const fits = kind === "list" ? Array.isArray(value) : typeof value === kind && value !== null;
    if (!fits) throw new TypeError(`sys.${field} is not a ${kind}`);
  }
  const { credential, rlimits, uidMappings, gidMappings, ambientCaps, joinNamespaces } = fields;
  if (credential !== undefined) {
    checkRecord("credential", credential);
    const given = read("credential", credential, credentialNames, refuse);
    if (given.groups !== undefined) {
      if (!Array.isArray(given.groups)) throw new TypeError("credential.groups is not a list");
      given.groups = [...given.groups];
    }
    if (given.noSetGroups !== undefined && typeof given.noSetGroups !== "boolean") {
      throw new TypeError("credential.noSetGroups is not a boolean");
    }
    fields.credential = given;
  }
  if (rlimits !== undefined) fields.rlimits = readLimits(rlimits, refuse);
  if (uidMappings !== undefined) fields.uidMappings = readMaps("uidMappings", uidMappings, refuse);
  if (gidMappings !== undefined) fields.gidMappings = readMaps("gidMappings", gidMappings, refuse);
  if (Array.isArray(fields.listenFds)) fields.listenFds = [...fields.listenFds];
  if (fields.mounts !== undefined) fields.mounts = readMounts(fields.mounts, refuse);
  if (ambientCaps !== undefined) fields.ambientCaps = [...ambientCaps];
  if (joinNamespaces !== undefined) fields.joinNamespaces = readJoined(joinNamespaces, refuse);
  readPrivileges(fields, refuse);
  readResources(fields, refuse);
  readWindows(fields, refuse);
  return fields;
}

function readPrivileges(fields: SysProcAttr, refuse: Refuse): void {
  const { capabilities, landlock, seccomp } = fields;
  if (landlock !== undefined) fields.landlock = checkLandlock("sys.landlock", landlock);
  if (seccomp !== undefined) fields.seccomp = checkSeccomp("sys.seccomp", seccomp);
  if (capabilities === undefined) return;
  checkRecord("capabilities", capabilities);
  const given = read("capabilities", capabilities, capabilityNames, refuse);
  for (const set of ["bounding", "permitted", "effective", "inheritable"] as const) {
    const list = given[set];
    if (list !== undefined) given[set] = copyList(`capabilities.${set}`, list);
  }
  fields.capabilities = given;
}

function readResources(fields: SysProcAttr, refuse: Refuse): void {
  const { affinity, scheduler, ioPriority, memoryPolicy } = fields;
  if (affinity !== undefined) fields.affinity = copyList("affinity", affinity);
  if (scheduler !== undefined) {
    checkRecord("scheduler", scheduler);
    const given = read("scheduler", scheduler, schedulerNames, refuse);
    if (given.resetOnFork !== undefined && typeof given.resetOnFork !== "boolean") {
      throw new TypeError("scheduler.resetOnFork is not a boolean");
    }
    fields.scheduler = given;
  }
  if (ioPriority !== undefined) {
    checkRecord("ioPriority", ioPriority);
    fields.ioPriority = read("ioPriority", ioPriority, ioPriorityNames, refuse);
  }
  if (memoryPolicy !== undefined) {
    checkRecord("memoryPolicy", memoryPolicy);
    const given = read("memoryPolicy", memoryPolicy, memoryPolicyNames, refuse);
    if (given.nodes !== undefined) given.nodes = copyList("memoryPolicy.nodes", given.nodes);
    fields.memoryPolicy = given;
  }
}

function copyList(what: string, list: readonly number[]): readonly number[] {
  if (!Array.isArray(list)) throw new TypeError(`${what} is not a list`);
  return [...list];
}

function readMaps(
  what: string,
  maps: readonly SysProcIDMap[],
  refuse: Refuse,
): readonly SysProcIDMap[] {
  return Array.from(maps, (map, index) => {
    const name = `${what}[${index}]`;
    checkRecord(name, map);
    return read(name, map, mapNames, refuse);
  });
}

type Joined = NonNullable<SysProcAttr["joinNamespaces"]>;

/** A descriptor that is no record with its kind is left as it is. */
function readJoined(list: Joined, refuse: Refuse): Joined {
  return Array.from(list, (entry, index) => {
    if (typeof entry !== "object" || entry === null || !("kind" in entry)) return entry;
    return read(`joinNamespaces[${index}]`, entry, joinedNames, refuse);
  });
}

type Limits = NonNullable<SysProcAttr["rlimits"]>;

/** Every name is read: which there are depends on the system, and is the plan's to know. */
function readLimits(limits: Limits, refuse: Refuse): Limits {
  checkRecord("rlimits", limits);
  const names = new Set(Array.from(layersOf(limits), (layer) => Object.keys(layer)).flat());
  const fields = read("rlimits", limits, names, refuse);
  for (const name of names) {
    const limit: unknown = Reflect.get(fields, name);
    if (typeof limit !== "object" || limit === null) continue;
    Reflect.set(fields, name, read(`rlimits.${name}`, limit, limitNames, refuse));
  }
  return fields;
}

function read<T extends object>(
  what: string,
  value: T,
  known: { has(name: string): boolean; keys(): Iterable<string> },
  refuse: Refuse,
): T {
  return fieldsOf(value, known, (name) => refuse(unknownField(what, name, known.keys())));
}
