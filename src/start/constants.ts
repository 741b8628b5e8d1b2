/** Numbers of the kernel's interface that callers of SysProcAttr need by name. */

/** A new time namespace, for `cloneflags` or `unshareflags`: time_namespaces(7). */
export const CLONE_NEWTIME: number = 0x00000080;
/** A new mount namespace: mount_namespaces(7). */
export const CLONE_NEWNS: number = 0x00020000;
/** A new cgroup namespace: cgroup_namespaces(7). */
export const CLONE_NEWCGROUP: number = 0x02000000;
/** A new namespace of host and domain name: uts_namespaces(7). */
export const CLONE_NEWUTS: number = 0x04000000;
/** A new namespace of System V IPC and POSIX message queues: ipc_namespaces(7). */
export const CLONE_NEWIPC: number = 0x08000000;
/** A new user namespace: user_namespaces(7). */
export const CLONE_NEWUSER: number = 0x10000000;
/** A new process id namespace: pid_namespaces(7). */
export const CLONE_NEWPID: number = 0x20000000;
/** A new network namespace: network_namespaces(7). */
export const CLONE_NEWNET: number = 0x40000000;

/**
 * Linux capability numbers by name, without the CAP_ of capabilities(7), for `ambientCaps`:
 * `Cap.NET_BIND_SERVICE === 10`. Those of Linux 5.9, to which none was added up to 6.18.
 */
export const Cap: Readonly<Record<string, number>> = Object.freeze({
  CHOWN: 0,
  DAC_OVERRIDE: 1,
  DAC_READ_SEARCH: 2,
  FOWNER: 3,
  FSETID: 4,
  KILL: 5,
  SETGID: 6,
  SETUID: 7,
  SETPCAP: 8,
  LINUX_IMMUTABLE: 9,
  NET_BIND_SERVICE: 10,
  NET_BROADCAST: 11,
  NET_ADMIN: 12,
  NET_RAW: 13,
  IPC_LOCK: 14,
  IPC_OWNER: 15,
  SYS_MODULE: 16,
  SYS_RAWIO: 17,
  SYS_CHROOT: 18,
  SYS_PTRACE: 19,
  SYS_PACCT: 20,
  SYS_ADMIN: 21,
  SYS_BOOT: 22,
  SYS_NICE: 23,
  SYS_RESOURCE: 24,
  SYS_TIME: 25,
  SYS_TTY_CONFIG: 26,
  MKNOD: 27,
  LEASE: 28,
  AUDIT_WRITE: 29,
  AUDIT_CONTROL: 30,
  SETFCAP: 31,
  MAC_OVERRIDE: 32,
  MAC_ADMIN: 33,
  SYSLOG: 34,
  WAKE_ALARM: 35,
  BLOCK_SUSPEND: 36,
  AUDIT_READ: 37,
  PERFMON: 38,
  BPF: 39,
  CHECKPOINT_RESTORE: 40,
});
