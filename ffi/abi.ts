// Generated from zig/abi/abi.zig and zig/lib.zig by `zig build abi`. Do not edit.

/** A digest of all that stands below, its lower and upper half; compared at load. */
export const FINGERPRINT = [-968404902, 2126145753] as const;

/** The first word of a request. */
export const MAGIC = 0x5845534f;

/** What stands for the child's number in its environment: see zig/abi/abi.zig. */
export const LISTEN_PID_ROOM = "LISTEN_PID=0000000000";

export const Request = {
  size: 64,
  magic: 0,
  length: 4,
  clone_flags: 8,
  deferred: 12,
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
  private: 32,
  fork: 64,
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

/**
 * The steps in the order in which they run; the code of a step is its index. `word` is what
 * errors call it; `words` is how many 32-bit words it carries, "text" that it carries a path.
 */
export const STEPS = [
  { step: "sigaction", word: "sigaction", payload: [0, 0] },
  { step: "cgroup", word: "cgroup", payload: [1, 1] },
  { step: "uid_map", word: "uid_map", payload: "text" },
  { step: "setgroups_policy", word: "setgroups_policy", payload: [1, 1] },
  { step: "gid_map", word: "gid_map", payload: "text" },
  { step: "unshare", word: "unshare", payload: [1, 1] },
  { step: "self_setgroups_policy", word: "setgroups_policy", payload: [1, 1] },
  { step: "self_gid_map", word: "gid_map", payload: "text" },
  { step: "self_uid_map", word: "uid_map", payload: "text" },
  { step: "mount_private", word: "mount_private", payload: [0, 0] },
  { step: "setsid", word: "setsid", payload: [0, 0] },
  { step: "setpgid", word: "setpgid", payload: [1, 1] },
  { step: "foreground", word: "foreground", payload: [2, 2] },
  { step: "chroot", word: "chroot", payload: "text" },
  { step: "nice", word: "nice", payload: [1, 1] },
  { step: "rlimit", word: "rlimit", payload: [5, 5] },
  { step: "umask", word: "umask", payload: [1, 1] },
  { step: "keep_capabilities", word: "capabilities", payload: [0, 0] },
  { step: "setgroups", word: "setgroups", payload: [0, 65535] },
  { step: "setgid", word: "setgid", payload: [1, 1] },
  { step: "setuid", word: "setuid", payload: [1, 1] },
  { step: "capabilities", word: "capabilities", payload: [2, 2] },
  { step: "pdeathsig", word: "pdeathsig", payload: [1, 1] },
  { step: "chdir", word: "chdir", payload: "text" },
  { step: "no_new_privs", word: "no_new_privs", payload: [0, 0] },
  { step: "fd", word: "fd", payload: [2, 2] },
  { step: "close_range", word: "close_range", payload: [1, 1] },
  { step: "listen_fds", word: "listen_fds", payload: [0, 0] },
  { step: "noctty", word: "noctty", payload: [0, 0] },
  { step: "setctty", word: "setctty", payload: [1, 1] },
  { step: "rlimit_nofile", word: "rlimit", payload: [5, 5] },
  { step: "ptrace", word: "ptrace", payload: [0, 0] },
  { step: "sigprocmask", word: "sigprocmask", payload: [0, 0] },
  { step: "exec", word: "exec", payload: [0, 0] },
] as const;

export const SYMBOLS = {
  osexec_abi: { parameters: ["i32"], result: "i32" },
  osexec_spawn: { parameters: ["buffer", "i32", "buffer"], result: "void" },
  osexec_spawn_lasting: { parameters: ["buffer", "i32", "buffer"], result: "void" },
  osexec_settle: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  osexec_exec: { parameters: ["buffer", "i32", "buffer"], result: "void" },
  osexec_wait: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  osexec_usage: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  osexec_signal: { parameters: ["i32", "i32", "i32"], result: "i32" },
  osexec_signal_group: { parameters: ["i32", "i32", "i32"], result: "i32" },
  osexec_adopt: { parameters: ["i32"], result: "i32" },
  osexec_ended: { parameters: ["buffer", "i32"], result: "i32" },
  osexec_awaited: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  osexec_pidfd: { parameters: ["i32"], result: "i32" },
  osexec_open: { parameters: ["buffer", "i32", "i32", "i32"], result: "i32" },
  osexec_open_begin: { parameters: ["buffer", "i32", "i32", "i32", "buffer"], result: "i32" },
  osexec_open_end: { parameters: ["i32"], result: "i32" },
  osexec_directory: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  osexec_rewind: { parameters: ["i32", "i32"], result: "i32" },
  osexec_close: { parameters: ["i32"], result: "i32" },
  osexec_dup: { parameters: ["i32"], result: "i32" },
  osexec_pipe: { parameters: ["buffer", "i32"], result: "i32" },
  osexec_socket_pair: { parameters: ["buffer", "i32"], result: "i32" },
  osexec_end_writing: { parameters: ["i32"], result: "i32" },
  osexec_give: { parameters: ["i32", "i32"], result: "i32" },
  osexec_pty: { parameters: ["buffer", "buffer", "i32", "i32"], result: "i32" },
  osexec_read_terminal: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  osexec_set_window: { parameters: ["i32", "i32", "i32"], result: "i32" },
  osexec_window: { parameters: ["i32", "buffer"], result: "i32" },
  osexec_terminal_mode: { parameters: ["i32", "i32"], result: "i32" },
  osexec_read: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  osexec_write: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  osexec_poll: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  osexec_busy_poll: { parameters: ["buffer", "i32"], result: "i32" },
  osexec_idle_processors: { parameters: [], result: "i32" },
  osexec_lend: { parameters: ["i32", "i32"], result: "i32" },
  osexec_grow_pipe: { parameters: ["i32", "i32"], result: "i32" },
  osexec_executable: { parameters: ["buffer", "i32"], result: "i32" },
  osexec_getcwd: { parameters: ["buffer", "i32"], result: "i32" },
  osexec_environ: { parameters: ["buffer", "i32"], result: "i32" },
  osexec_reactor: { parameters: ["buffer"], result: "i32" },
  osexec_watch: { parameters: ["i32", "i32", "i32", "i32"], result: "i32" },
  osexec_watch_pid: { parameters: ["i32", "i32", "i32"], result: "i32" },
  osexec_unwatch: { parameters: ["i32", "i32"], result: "i32" },
} as const;
