/** SysProcAttr's landlock: what a child may do with files, ports and processes, by landlock(7). */

import { hasHalf, showText, type Text, toText } from "../../ffi/text.ts";
import { checkRecord, fieldsOf, unknownField, unsigned } from "../fields.ts";

/**
 * What a program, and all that it starts, may do from its execve on, beside what its user may: landlock(7). A list that
 * is absent restricts nothing; an empty one leaves nothing. Of a list's paths each is allowed with all that lies below
 * it; they are resolved when the program starts, and what lies at such a path later, or is mounted there, is another
 * file. What the child has open already it keeps.
 *
 * What the kernel cannot do is refused (SpawnError), unless `bestEffort` is set. Wrong values are a TypeError, a port
 * out of its bounds a RangeError.
 */
export interface LandlockRules {
  /** Where files may be opened for reading, and directories listed. Linux 5.13. */
  read?: readonly Text[] | undefined;
  /**
   * Where files may be opened for writing, truncated, made, renamed and removed, and devices asked by ioctl(2). Reading
   * is not in it. Linux 6.10 for all of that, 5.13 for most: 6.2 for truncate, 5.19 for rename to another directory.
   */
  write?: readonly Text[] | undefined;
  /**
   * What execve(2) may run: the program itself, and its interpreter or dynamic loader. The kernel opens these for
   * reading, so that where `read` is given they must be in both, as libraries must be in `read`. Linux 5.13.
   */
  execute?: readonly Text[] | undefined;
  /** The TCP ports that bind(2) may take, from 0 (any free one) to 65535. Linux 6.7. */
  bindTcp?: readonly number[] | undefined;
  /** The TCP ports that connect(2) may reach, on whatever host. UDP and other sockets are not restricted. Linux 6.7. */
  connectTcp?: readonly number[] | undefined;
  /** No signals to, and no abstract sockets of, processes outside. Default false. Linux 6.12. */
  scoped?: boolean | undefined;
  /** Do what the kernel can, and without Landlock nothing, instead of failing. Default false. */
  bestEffort?: boolean | undefined;
}

/** What landlock_create_ruleset(2), landlock_add_rule(2) and landlock_restrict_self(2) are called with. */
export interface LandlockData {
  readonly handledAccessFs: number;
  readonly handledAccessNet: number;
  readonly scoped: number;
  /**
   * Each path once. Of one that is no directory the kernel takes only LANDLOCK_ACCESS_FILE (EINVAL), of which there is
   * always something left: who opens it with O_PATH asks fstat(2).
   */
  readonly paths: readonly { readonly path: string; readonly access: number }[];
  /** Each port once. */
  readonly ports: readonly { readonly port: number; readonly access: number }[];
  readonly bestEffort: boolean;
}

/** linux/landlock.h's LANDLOCK_ACCESS_FS_*. */
export const LandlockFs = {
  EXECUTE: 1 << 0,
  WRITE_FILE: 1 << 1,
  READ_FILE: 1 << 2,
  READ_DIR: 1 << 3,
  REMOVE_DIR: 1 << 4,
  REMOVE_FILE: 1 << 5,
  MAKE_CHAR: 1 << 6,
  MAKE_DIR: 1 << 7,
  MAKE_REG: 1 << 8,
  MAKE_SOCK: 1 << 9,
  MAKE_FIFO: 1 << 10,
  MAKE_BLOCK: 1 << 11,
  MAKE_SYM: 1 << 12,
  REFER: 1 << 13,
  TRUNCATE: 1 << 14,
  IOCTL_DEV: 1 << 15,
} as const;

/** linux/landlock.h's LANDLOCK_ACCESS_NET_*. */
export const LandlockNet = { BIND_TCP: 1 << 0, CONNECT_TCP: 1 << 1 } as const;

/** linux/landlock.h's LANDLOCK_SCOPE_*. */
export const LandlockScope = { ABSTRACT_UNIX_SOCKET: 1 << 0, SIGNAL: 1 << 1 } as const;

/** The rights that a rule of a single file may have: the kernel's own ACCESS_FILE. */
export const LANDLOCK_ACCESS_FILE: number = LandlockFs.EXECUTE | LandlockFs.WRITE_FILE |
  LandlockFs.READ_FILE | LandlockFs.TRUNCATE | LandlockFs.IOCTL_DEV;

const reading = LandlockFs.READ_FILE | LandlockFs.READ_DIR;
/** All of the first version but reading and executing; what has come since is listed with its version. */
const changing = LandlockFs.WRITE_FILE | LandlockFs.REMOVE_DIR | LandlockFs.REMOVE_FILE |
  LandlockFs.MAKE_CHAR | LandlockFs.MAKE_DIR | LandlockFs.MAKE_REG | LandlockFs.MAKE_SOCK |
  LandlockFs.MAKE_FIFO | LandlockFs.MAKE_BLOCK | LandlockFs.MAKE_SYM;
const writing = changing | LandlockFs.REFER | LandlockFs.TRUNCATE | LandlockFs.IOCTL_DEV;
const scopes = LandlockScope.ABSTRACT_UNIX_SOCKET | LandlockScope.SIGNAL;

/**
 * Which version of the kernel's interface brought what, by Documentation/userspace-api/landlock.rst. Version 7 (Linux
 * 6.15) is about what is logged. What later ones can restrict (sockets by path, UDP) nothing here asks for, so that the
 * same rules mean the same on every kernel.
 */
const versions: readonly {
  readonly abi: number;
  readonly linux: string;
  readonly fs?: number;
  readonly net?: number;
  readonly scoped?: number;
}[] = [
  { abi: 1, linux: "5.13", fs: reading | changing | LandlockFs.EXECUTE },
  { abi: 2, linux: "5.19", fs: LandlockFs.REFER },
  { abi: 3, linux: "6.2", fs: LandlockFs.TRUNCATE },
  { abi: 4, linux: "6.7", net: LandlockNet.BIND_TCP | LandlockNet.CONNECT_TCP },
  { abi: 5, linux: "6.10", fs: LandlockFs.IOCTL_DEV },
  { abi: 6, linux: "6.12", scoped: scopes },
];

const pathLists = [["read", reading], ["write", writing], ["execute", LandlockFs.EXECUTE]] as const;
const portLists = [
  ["bindTcp", LandlockNet.BIND_TCP],
  ["connectTcp", LandlockNet.CONNECT_TCP],
] as const;

const names: ReadonlySet<string> = new Set<keyof LandlockRules>([
  "read",
  "write",
  "execute",
  "bindTcp",
  "connectTcp",
  "scoped",
  "bestEffort",
]);

/** What the attribute of a start holds, checked, as a copy of its own; `what` is its name in errors. */
export function checkLandlock(what: string, given: unknown): LandlockRules {
  checkRecord(what, given);
  const rules = fieldsOf<Partial<Record<keyof LandlockRules, unknown>>>(given, names, (name) => {
    throw new TypeError(unknownField(what, name, names));
  });
  const checked: LandlockRules = {};
  for (const [name] of pathLists) {
    const list = checkList(`${what}.${name}`, rules[name]);
    if (list !== undefined) checked[name] = list.map((path) => checkPath(`${what}.${name}`, path));
  }
  for (const [name] of portLists) {
    const list = checkList(`${what}.${name}`, rules[name]);
    if (list !== undefined) checked[name] = list.map((port) => checkPort(`${what}.${name}`, port));
  }
  for (const name of ["scoped", "bestEffort"] as const) {
    const value = rules[name];
    if (value === undefined) continue;
    if (typeof value !== "boolean") throw new TypeError(`${what}.${name} is not a boolean`);
    checked[name] = value;
  }
  return checked;
}

/**
 * What checkLandlock() has let through, for a kernel of this version of the interface (landlock_create_ruleset's
 * LANDLOCK_CREATE_RULESET_VERSION; 0 where it has none). `refuse` is called with what cannot be had, unless the best
 * effort will do. Where nothing is left to handle there is no ruleset to be made: the kernel answers ENOMSG.
 */
export function landlockFor(
  rules: LandlockRules,
  abi: number,
  refuse: (detail: string) => never,
): LandlockData {
  const wanted = dataOf(rules);
  let [fs, net, scoped] = [0, 0, 0];
  for (const version of versions) {
    const { fs: newFs = 0, net: newNet = 0, scoped: newScoped = 0 } = version;
    if (version.abi <= abi) {
      [fs, net, scoped] = [fs | newFs, net | newNet, scoped | newScoped];
      continue;
    }
    const missing = [
      ...rightNames(wanted.handledAccessFs & newFs, LandlockFs, "ACCESS_FS_"),
      ...rightNames(wanted.handledAccessNet & newNet, LandlockNet, "ACCESS_NET_"),
      ...rightNames(wanted.scoped & newScoped, LandlockScope, "SCOPE_"),
    ];
    if (missing.length === 0 || wanted.bestEffort) continue;
    const has = abi === 0 ? "has no Landlock, or has it turned off" : `has version ${abi}`;
    refuse(
      `landlock: the kernel ${has}; ${missing.join(", ")} came with version ${version.abi}, ` +
        `Linux ${version.linux}`,
    );
  }
  const within = <T extends { readonly access: number }>(list: readonly T[], had: number): T[] =>
    list.map((each) => ({ ...each, access: each.access & had })).filter(({ access }) => access);
  return {
    handledAccessFs: wanted.handledAccessFs & fs,
    handledAccessNet: wanted.handledAccessNet & net,
    scoped: wanted.scoped & scoped,
    paths: within(wanted.paths, fs),
    ports: within(wanted.ports, net),
    bestEffort: wanted.bestEffort,
  };
}

/** In words, for explain(): "read /usr /lib, write, connectTcp 443, scoped". */
export function describeLandlock(rules: LandlockRules): string {
  const words: string[] = [];
  for (const [name] of pathLists) {
    const paths = rules[name];
    if (paths !== undefined) {
      words.push([name, ...paths.map((path) => showText(toText(name, path)))].join(" "));
    }
  }
  for (const [name] of portLists) {
    const ports = rules[name];
    if (ports !== undefined) words.push([name, ...ports].join(" "));
  }
  if (rules.scoped) words.push("scoped");
  if (rules.bestEffort) words.push("best effort");
  return words.join(", ");
}

/** As the newest kernel takes it. */
function dataOf(rules: LandlockRules): LandlockData {
  const [files, paths] = merge(pathLists.map(([name, access]) => {
    return [rules[name]?.map((path) => toText(name, path)), access];
  }));
  const [handledAccessNet, ports] = merge(portLists.map(([name, access]) => [rules[name], access]));
  let handledAccessFs = files;
  if (files !== 0 && rules.write === undefined) {
    // A ruleset for files that does not handle REFER refuses it everywhere, and with it rename and link from one
    // directory to another. Where writing is not restricted neither is that, as far as it gives no new rights.
    handledAccessFs |= LandlockFs.REFER;
    paths.set("/", (paths.get("/") ?? 0) | LandlockFs.REFER);
  }
  return {
    handledAccessFs,
    handledAccessNet,
    scoped: rules.scoped ? scopes : 0,
    paths: Array.from(paths, ([path, access]) => ({ path, access })),
    ports: Array.from(ports, ([port, access]) => ({ port, access })),
    bestEffort: rules.bestEffort ?? false,
  };
}

/** The rights of all lists that are there, and which of them each of their members has. */
function merge<T>(
  lists: readonly (readonly [list: readonly T[] | undefined, access: number])[],
): [handled: number, members: Map<T, number>] {
  let handled = 0;
  const members = new Map<T, number>();
  for (const [list, access] of lists) {
    if (list === undefined) continue;
    handled |= access;
    for (const member of list) members.set(member, (members.get(member) ?? 0) | access);
  }
  return [handled, members];
}

/** Whether rules that handle this take a file's being executed in hand: ld.so and an interpreter are read too. */
export function restrictsExec(handledAccessFs: bigint): boolean {
  return (handledAccessFs & BigInt(LandlockFs.EXECUTE | LandlockFs.READ_FILE)) !== 0n;
}

function rightNames(
  bits: number,
  rights: Readonly<Record<string, number>>,
  prefix: string,
): string[] {
  return Object.entries(rights).filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => `LANDLOCK_${prefix}${name}`);
}

function checkList(what: string, given: unknown): readonly unknown[] | undefined {
  if (given === undefined) return undefined;
  if (!Array.isArray(given)) throw new TypeError(`${what} is not a list`);
  // Holes too become members.
  return Array.from(given);
}

function checkPath(what: string, given: unknown): string {
  const path = toText(`${what}: a path`, given);
  if (path.includes("\0")) throw new TypeError(`${what}: a path contains a NUL`);
  if (hasHalf(path)) throw new TypeError(`${what}: a path contains half of a surrogate pair`);
  return path;
}

function checkPort(what: string, given: unknown): number {
  if (typeof given !== "number") throw new TypeError(`${what}: a port is not a number`);
  if (!Number.isInteger(given) || given < 0 || given > 65535) {
    throw new RangeError(`${what}: the port ${given} is not an integer from 0 to 65535`);
  }
  return unsigned(given);
}
