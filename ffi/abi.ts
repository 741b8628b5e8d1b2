// Generated from zig/abi/abi.zig and zig/lib.zig by `zig build abi`. Do not edit.

/** A digest of all that stands below, its lower and upper half; compared at load. */
export const FINGERPRINT = [590728109, 277301280] as const;

/** The first word of a request. */
export const MAGIC = 0x5845534f;

/** What stands for the child's number in its environment: see zig/abi/abi.zig. */
export const LISTEN_PID_ROOM = "LISTEN_PID=0000000000";

export const Request = {
  size: 64,
  magic: 0,
  length: 4,
  clone_flags: 8,
  options: 12,
  path: 16,
  path_length: 20,
  argv: 24,
  argv_length: 28,
  argv_count: 32,
  envp: 36,
  envp_length: 40,
  envp_count: 44,
  steps: 48,
  steps_length: 52,
  forced: 56,
} as const;

export const StepHeader = {
  size: 8,
  code: 0,
  length: 4,
} as const;

export const Answer = {
  size: 28,
  pid: 0,
  pidfd: 4,
  step: 8,
  errno: 12,
  signal: 16,
  rungs: 20,
  pending: 24,
} as const;

export const Exit = {
  size: 80,
  pid: 0,
  status: 4,
  user_time: 8,
  system_time: 16,
  max_rss: 24,
  minor_faults: 32,
  major_faults: 40,
  blocks_in: 48,
  blocks_out: 56,
  voluntary_switches: 64,
  involuntary_switches: 72,
} as const;

export const Poll = {
  size: 8,
  fd: 0,
  events: 4,
  revents: 6,
} as const;

export const Event = {
  size: 12,
  token: 0,
  fd: 4,
  ready: 8,
} as const;

export const Reactor = {
  size: 8,
  handle: 0,
  fd: 4,
} as const;

export const Stage = {
  clone: -1,
  request: -2,
} as const;

export const Rung = {
  clone3: 1,
  clear_sighand: 2,
  pidfd: 4,
  close_range: 8,
  window: 16,
  memory: 32,
  into_cgroup: 128,
} as const;

export const Ready = {
  in: 1,
  out: 4,
  err: 8,
  hup: 16,
} as const;

export const Lend = {
  always: 0,
  unless_socket: 1,
  back: 2,
} as const;

export const Wait = {
  nohang: 1,
  nowait: 2,
} as const;

export const Option = {
  deferred: 1,
  no_pidfd: 2,
  sleeps: 4,
} as const;

export const Creation = {
  hide_window: 1,
  no_inherit_handles: 2,
  batch: 4,
  inherit_process: 8,
  inherit_thread: 16,
} as const;

/** What each step carries, in the order of its fields. */
export interface StepValues {
  sigaction: readonly [];
  cgroup: readonly [directory: number];
  affinity: readonly [mask: Uint8Array | string];
  scheduler: readonly [policy: number, priority: number];
  nice: readonly [value: number];
  io_priority: readonly [value: number];
  timer_slack: readonly [nanoseconds: bigint];
  memory_policy: readonly [mode: number, nodes: Uint8Array | string];
  oom_score_adj: readonly [value: number];
  coredump_filter: readonly [mask: number];
  personality: readonly [persona: number];
  rlimit: readonly [soft: bigint, hard: bigint, resource: number];
  uid_map: readonly [text: Uint8Array | string];
  setgroups_policy: readonly [allow: number];
  gid_map: readonly [text: Uint8Array | string];
  setns: readonly [namespace: number, kind: number];
  unshare: readonly [flags: number];
  self_setgroups_policy: readonly [allow: number];
  self_gid_map: readonly [text: Uint8Array | string];
  self_uid_map: readonly [text: Uint8Array | string];
  pid_namespace: readonly [];
  mount_private: readonly [];
  new_root: readonly [path: string, covered: number];
  mount: readonly [kind: number, attributes: number, source: string, target: string, options: Uint8Array | string];
  symlink: readonly [content: string, path: string];
  remount: readonly [path: string, attributes: number];
  pivot_root: readonly [];
  hostname: readonly [name: Uint8Array | string];
  domainname: readonly [name: Uint8Array | string];
  setsid: readonly [];
  setpgid: readonly [group: number];
  foreground: readonly [terminal: number, group: number];
  chroot: readonly [path: string];
  umask: readonly [mask: number];
  bounding_set: readonly [kept: bigint];
  keep_capabilities: readonly [];
  setgroups: readonly [groups: readonly number[]];
  setgid: readonly [id: number];
  setuid: readonly [id: number];
  ambient_set: readonly [capabilities: bigint];
  securebits: readonly [bits: number];
  capability_sets: readonly [permitted: bigint, effective: bigint, inheritable: bigint, given: number];
  keyring: readonly [];
  pdeathsig: readonly [signal: number];
  dumpable: readonly [value: number];
  creation: readonly [flags: number, bits: number, token: number, parent: number];
  command_line: readonly [text: string];
  process_security: readonly [descriptor: string];
  thread_security: readonly [descriptor: string];
  job: readonly [limits: number];
  inherit: readonly [handles: readonly number[]];
  chdir: readonly [path: string];
  no_new_privs: readonly [];
  fd: readonly [source: number, target: number];
  close_range: readonly [first: number];
  listen_fds: readonly [];
  noctty: readonly [];
  setctty: readonly [terminal: number];
  landlock: readonly [fs: bigint, net: bigint, scoped: bigint];
  landlock_path: readonly [access: bigint, file_access: bigint, path: string];
  landlock_port: readonly [access: bigint, port: bigint];
  landlock_restrict: readonly [];
  rlimit_nofile: readonly [soft: bigint, hard: bigint, resource: number];
  ptrace: readonly [];
  sigprocmask: readonly [];
  seccomp: readonly [filter: Uint8Array | string];
  exec: readonly [];
}

/**
 * The steps in the order in which they run; the code of a step is its index. `word` is what errors call it, `size` that
 * of its fields, `since` the first Linux that has it, `windows` that no Unix has.
 */
export const STEPS = [
  { step: "sigaction", word: "sigaction", size: 0, fields: [] },
  { step: "cgroup", word: "cgroup", size: 4, fields: [["descriptor", 0]] },
  { step: "affinity", word: "affinity", size: 8, fields: [["bytes", 0]] },
  { step: "scheduler", word: "scheduler", size: 8, fields: [["u32", 0], ["i32", 4]] },
  { step: "nice", word: "nice", size: 4, fields: [["i32", 0]] },
  { step: "io_priority", word: "io_priority", size: 4, fields: [["i32", 0]] },
  { step: "timer_slack", word: "timer_slack", size: 8, fields: [["u64", 0]] },
  { step: "memory_policy", word: "memory_policy", size: 16, fields: [["u32", 0], ["bytes", 8]] },
  { step: "oom_score_adj", word: "oom_score_adj", size: 4, fields: [["i32", 0]] },
  { step: "coredump_filter", word: "coredump_filter", size: 4, fields: [["u32", 0]] },
  { step: "personality", word: "personality", size: 4, fields: [["u32", 0]] },
  { step: "rlimit", word: "rlimit", size: 24, fields: [["u64", 0], ["u64", 8], ["u32", 16]] },
  { step: "uid_map", word: "uid_map", size: 8, fields: [["bytes", 0]] },
  { step: "setgroups_policy", word: "setgroups_policy", size: 4, fields: [["u32", 0]] },
  { step: "gid_map", word: "gid_map", size: 8, fields: [["bytes", 0]] },
  { step: "setns", word: "setns", size: 8, fields: [["descriptor", 0], ["u32", 4]] },
  { step: "unshare", word: "unshare", size: 4, fields: [["u32", 0]] },
  { step: "self_setgroups_policy", word: "setgroups_policy", size: 4, fields: [["u32", 0]] },
  { step: "self_gid_map", word: "gid_map", size: 8, fields: [["bytes", 0]] },
  { step: "self_uid_map", word: "uid_map", size: 8, fields: [["bytes", 0]] },
  { step: "pid_namespace", word: "pid_namespace", size: 0, fields: [] },
  { step: "mount_private", word: "mount_private", size: 0, fields: [] },
  { step: "new_root", word: "new_root", size: 16, fields: [["path", 0], ["u32", 8]] },
  { step: "mount", word: "mount", size: 32, fields: [["u32", 0], ["u32", 4], ["path", 8], ["path", 16], ["bytes", 24]] },
  { step: "symlink", word: "symlink", size: 16, fields: [["path", 0], ["path", 8]] },
  { step: "remount", word: "remount", size: 16, fields: [["path", 0], ["u32", 8]] },
  { step: "pivot_root", word: "pivot_root", size: 0, fields: [] },
  { step: "hostname", word: "hostname", size: 8, fields: [["bytes", 0]] },
  { step: "domainname", word: "domainname", size: 8, fields: [["bytes", 0]] },
  { step: "setsid", word: "setsid", size: 0, fields: [] },
  { step: "setpgid", word: "setpgid", size: 4, fields: [["i32", 0]] },
  { step: "foreground", word: "foreground", size: 8, fields: [["descriptor", 0], ["i32", 4]] },
  { step: "chroot", word: "chroot", size: 8, fields: [["path", 0]] },
  { step: "umask", word: "umask", size: 4, fields: [["u32", 0]] },
  { step: "bounding_set", word: "bounding_set", size: 8, fields: [["u64", 0]] },
  { step: "keep_capabilities", word: "capabilities", size: 0, fields: [] },
  { step: "setgroups", word: "setgroups", size: 8, fields: [["words", 0]] },
  { step: "setgid", word: "setgid", size: 4, fields: [["u32", 0]] },
  { step: "setuid", word: "setuid", size: 4, fields: [["u32", 0]] },
  { step: "ambient_set", word: "capabilities", size: 8, fields: [["u64", 0]], since: "4.3" },
  { step: "securebits", word: "securebits", size: 4, fields: [["u32", 0]] },
  { step: "capability_sets", word: "capabilities", size: 32, fields: [["u64", 0], ["u64", 8], ["u64", 16], ["u32", 24]] },
  { step: "keyring", word: "keyring", size: 0, fields: [] },
  { step: "pdeathsig", word: "pdeathsig", size: 4, fields: [["u32", 0]] },
  { step: "dumpable", word: "dumpable", size: 4, fields: [["u32", 0]] },
  { step: "creation", word: "creation", size: 16, fields: [["u32", 0], ["u32", 4], ["i32", 8], ["i32", 12]], windows: true },
  { step: "command_line", word: "command_line", size: 8, fields: [["path", 0]], windows: true },
  { step: "process_security", word: "process_security", size: 8, fields: [["path", 0]], windows: true },
  { step: "thread_security", word: "thread_security", size: 8, fields: [["path", 0]], windows: true },
  { step: "job", word: "job", size: 4, fields: [["u32", 0]], windows: true },
  { step: "inherit", word: "inherit", size: 8, fields: [["words", 0]], windows: true },
  { step: "chdir", word: "chdir", size: 8, fields: [["path", 0]] },
  { step: "no_new_privs", word: "no_new_privs", size: 0, fields: [] },
  { step: "fd", word: "fd", size: 8, fields: [["i32", 0], ["i32", 4]] },
  { step: "close_range", word: "close_range", size: 4, fields: [["i32", 0]] },
  { step: "listen_fds", word: "listen_fds", size: 0, fields: [] },
  { step: "noctty", word: "noctty", size: 0, fields: [] },
  { step: "setctty", word: "setctty", size: 4, fields: [["i32", 0]] },
  { step: "landlock", word: "landlock", size: 24, fields: [["u64", 0], ["u64", 8], ["u64", 16]], since: "5.13" },
  { step: "landlock_path", word: "landlock", size: 24, fields: [["u64", 0], ["u64", 8], ["path", 16]], since: "5.13" },
  { step: "landlock_port", word: "landlock", size: 16, fields: [["u64", 0], ["u64", 8]], since: "6.7" },
  { step: "landlock_restrict", word: "landlock", size: 0, fields: [], since: "5.13" },
  { step: "rlimit_nofile", word: "rlimit", size: 24, fields: [["u64", 0], ["u64", 8], ["u32", 16]] },
  { step: "ptrace", word: "ptrace", size: 0, fields: [] },
  { step: "sigprocmask", word: "sigprocmask", size: 0, fields: [] },
  { step: "seccomp", word: "seccomp", size: 8, fields: [["bytes", 0]], since: "3.17" },
  { step: "exec", word: "exec", size: 0, fields: [] },
] as const;

/** What the library exports: the operation, and its words of each kind in their order; what it has no use for is 0 and null. */
export type Call = (
  operation: number,
  a: number,
  b: number,
  c: number,
  d: number,
  first: Uint8Array | null,
  second: Uint8Array | null,
) => number;

/** Its name. */
export const ENTRY = "osexec_call";

/** Its words. */
export const ENTRY_WORDS = ["i32", "i32", "i32", "i32", "i32", "buffer", "buffer"] as const;

/** Every native function, by that one. */
export function functionsOf(call: Call) {
  return {
    osexec_abi: (a: number): number => call(0, a, 0, 0, 0, null, null),
    osexec_spawn: (first: Uint8Array, a: number, second: Uint8Array): number => call(1, a, 0, 0, 0, first, second),
    osexec_spawn_lasting: (first: Uint8Array, a: number, second: Uint8Array): number => call(2, a, 0, 0, 0, first, second),
    osexec_settle: (a: number, b: number, first: Uint8Array): number => call(3, a, b, 0, 0, first, null),
    osexec_exec: (first: Uint8Array, a: number, second: Uint8Array): number => call(4, a, 0, 0, 0, first, second),
    osexec_wait: (a: number, b: number, c: number, first: Uint8Array): number => call(5, a, b, c, 0, first, null),
    osexec_usage: (a: number, b: number, first: Uint8Array): number => call(6, a, b, 0, 0, first, null),
    osexec_signal: (a: number, b: number, c: number): number => call(7, a, b, c, 0, null, null),
    osexec_signal_group: (a: number, b: number, c: number): number => call(8, a, b, c, 0, null, null),
    osexec_adopt: (a: number): number => call(9, a, 0, 0, 0, null, null),
    osexec_ended: (first: Uint8Array, a: number): number => call(10, a, 0, 0, 0, first, null),
    osexec_awaited: (a: number, b: number, first: Uint8Array): number => call(11, a, b, 0, 0, first, null),
    osexec_pidfd: (a: number): number => call(12, a, 0, 0, 0, null, null),
    osexec_open: (first: Uint8Array, a: number, b: number, c: number): number => call(13, a, b, c, 0, first, null),
    osexec_open_begin: (first: Uint8Array, a: number, b: number, c: number, second: Uint8Array): number => call(14, a, b, c, 0, first, second),
    osexec_open_end: (a: number): number => call(15, a, 0, 0, 0, null, null),
    osexec_directory: (first: Uint8Array, a: number, b: number): number => call(16, a, b, 0, 0, first, null),
    osexec_rewind: (a: number, b: number): number => call(17, a, b, 0, 0, null, null),
    osexec_close: (a: number): number => call(18, a, 0, 0, 0, null, null),
    osexec_dup: (a: number): number => call(19, a, 0, 0, 0, null, null),
    osexec_pipe: (first: Uint8Array, a: number): number => call(20, a, 0, 0, 0, first, null),
    osexec_socket_pair: (first: Uint8Array, a: number): number => call(21, a, 0, 0, 0, first, null),
    osexec_end_writing: (a: number): number => call(22, a, 0, 0, 0, null, null),
    osexec_give: (a: number, b: number): number => call(23, a, b, 0, 0, null, null),
    osexec_pty: (first: Uint8Array, second: Uint8Array, a: number, b: number): number => call(24, a, b, 0, 0, first, second),
    osexec_read_terminal: (a: number, first: Uint8Array, b: number): number => call(25, a, b, 0, 0, first, null),
    osexec_set_window: (a: number, b: number, c: number): number => call(26, a, b, c, 0, null, null),
    osexec_window: (a: number, first: Uint8Array): number => call(27, a, 0, 0, 0, first, null),
    osexec_terminal_mode: (a: number, b: number): number => call(28, a, b, 0, 0, null, null),
    osexec_read: (a: number, first: Uint8Array, b: number, c: number): number => call(29, a, b, c, 0, first, null),
    osexec_write: (a: number, first: Uint8Array, b: number): number => call(30, a, b, 0, 0, first, null),
    osexec_poll: (first: Uint8Array, a: number, b: number): number => call(31, a, b, 0, 0, first, null),
    osexec_busy_poll: (first: Uint8Array, a: number): number => call(32, a, 0, 0, 0, first, null),
    osexec_idle_processors: (): number => call(33, 0, 0, 0, 0, null, null),
    osexec_lend: (a: number, b: number): number => call(34, a, b, 0, 0, null, null),
    osexec_grow_pipe: (a: number, b: number): number => call(35, a, b, 0, 0, null, null),
    osexec_executable: (first: Uint8Array, a: number): number => call(36, a, 0, 0, 0, first, null),
    osexec_getcwd: (first: Uint8Array, a: number): number => call(37, a, 0, 0, 0, first, null),
    osexec_environ: (first: Uint8Array, a: number): number => call(38, a, 0, 0, 0, first, null),
    osexec_landlock_abi: (): number => call(39, 0, 0, 0, 0, null, null),
    osexec_reactor: (first: Uint8Array): number => call(40, 0, 0, 0, 0, first, null),
    osexec_watch: (a: number, b: number, c: number, d: number): number => call(41, a, b, c, d, null, null),
    osexec_watch_pid: (a: number, b: number, c: number): number => call(42, a, b, c, 0, null, null),
    osexec_unwatch: (a: number, b: number): number => call(43, a, b, 0, 0, null, null),
    osexec_error: (a: number, first: Uint8Array, b: number): number => call(44, a, b, 0, 0, first, null),
  };
}
