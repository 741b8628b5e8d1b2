/**
 * What a program in a sandbox has no use for: the filter of `seccomp: "default"`. All else is allowed, as new programs
 * make new calls; what is refused here is refused or asked for a capability by at least one of flatpak
 * (common/flatpak-run.c), Docker (profiles/seccomp/default.json) and systemd (groups outside @system-service in
 * src/shared/seccomp-util.c), most of it by all three.
 *
 * The kernel refuses most of it to an ordinary user anyway. It is here for three reasons: root of a user namespace is
 * let in further by many of them, what they lead to is where the kernel's holes have been, and some reach what no
 * namespace is around.
 */

import {
  ALLOW,
  type Answer,
  type ArgumentTest,
  compilePolicy,
  failWith,
} from "./seccomp_filter.ts";
import { CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS } from "./constants.ts";
import { CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS } from "./constants.ts";
import { Errno } from "../errno.ts";
import type { Architecture } from "./system_calls.ts";

const refused = [
  // Mounts: what was made read-only, masked or left out is to stay so, even for root of a user namespace. The calls of
  // the new interface are refused too (CVE-2021-41133 of flatpak). statmount and listmount only tell.
  "chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree open_tree_attr",
  "pivot_root umount2",

  // Namespaces: the way out by a descriptor of one. Making new ones is refused below, by flags.
  "setns",

  // A handle of a file opens it wherever it lies on its file system, outside the root too: Docker's escape "shocker".
  // name_to_handle_at only gives them.
  "open_by_handle_at",

  // Other processes: their memory, descriptors and registers, and which of their objects are the same. Not only the
  // outside, which a pid namespace hides: PTRACE_TRACEME alone has given root (CVE-2019-13272). A debugger, or
  // LeakSanitizer, needs rules of its own.
  "kcmp pidfd_getfd process_vm_readv process_vm_writev ptrace",

  // Looking into the kernel: its log, its counters and its programs. perf and bpf have had the most holes of all.
  "bpf lookup_dcookie perf_event_open syslog",

  // Two that make exploits of other holes reliable, or go around this filter: userfaultfd halts the kernel in the
  // middle of a copy, and io_uring does what other calls are refused, without asking the filter. A program without
  // them takes epoll.
  "io_uring_enter io_uring_register io_uring_setup userfaultfd",

  // Keyrings belong to the user id, not to a namespace: they hold tickets and keys of the outside.
  "add_key keyctl request_key",

  // The clock, of which there is one. adjtimex and clock_adjtime read it too, and ask for CAP_SYS_TIME to set it.
  "clock_settime settimeofday",

  // The machine: its modules, ports, swap, next kernel and end; its accounting, quotas and names; and fanotify, which
  // watches whole file systems.
  "delete_module finit_module init_module",
  "ioperm iopl",
  "kexec_file_load kexec_load reboot",
  "swapoff swapon",
  "acct fanotify_init quotactl quotactl_fd setdomainname sethostname vhangup",

  // Memory of other processes and nodes: flatpak and Docker refuse them. Who asks for a policy, such as an allocator,
  // goes on without.
  "get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node",

  // Of old programs only; modify_ldt has told kernel addresses. Of the rest of @obsolete there is nothing left.
  "_sysctl modify_ldt sysfs uselib ustat",
];

const permissionDenied: Answer = failWith(Errno.EPERM);
const all = 0xffff_ffff;

/** CLONE_NEW* of clone(2), whose bit of CLONE_NEWTIME is the signal's. */
const newNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
  CLONE_NEWPID | CLONE_NEWNET;

/** CLONE_VM, FS, FILES, SIGHAND, THREAD and SYSVSEM: what unshare(2) may do without privileges. */
const ownThings = 0x0005_0f00;

const tests: readonly ArgumentTest[] = [
  // A user namespace gives every capability in it, and with them the way to most of what is refused above.
  onlyOf("clone", 0, newNamespaces),

  // By what is allowed, as new namespaces come with new bits (UNSHARE_EMPTY_MNTNS of Linux 7.1), in either half.
  onlyOf("unshare", 0, ~ownThings),
  { ...onlyOf("unshare", 0, all), half: "upper" },

  // TIOCSTI types into the terminal, which the shell outside reads (CVE-2017-5226); TIOCLINUX pastes on a console
  // (CVE-2023-28100).
  { ...onlyOf("ioctl", 1, all), values: [0x5412, 0x541c], when: "one" },

  // What Docker allows: this system's, Linux 2.6's version number, both for 32 bits, and asking. The rest gives up
  // address randomization, or makes readable memory executable.
  onlyOf("personality", 0, all, [0, 8, 0x2_0000, 0x2_0008, all]),

  // AF_UNSPEC, UNIX, INET, INET6, NETLINK, as flatpak has it: vsock reaches the machine's host, which no network
  // namespace is around, and the other families are seldom used code that loads as a module when it is asked for.
  ...["socket", "socketpair"].map((call) => ({
    ...onlyOf(call, 0, all, [0, 1, 2, 10, 16]),
    answer: failWith(97), // EAFNOSUPPORT
  })),
];

/** A call that fails with EPERM unless these bits of an argument's lower half are one of the values. */
function onlyOf(call: string, argument: number, mask: number, values = [0]): ArgumentTest {
  return { call, argument, half: "lower", mask, values, when: "none", answer: permissionDenied };
}

/** The names that the filter refuses altogether. */
export function defaultRefusals(): readonly string[] {
  return refused.flatMap((group) => group.split(" "));
}

/** The filter of a sandbox that asks for no other. */
export function defaultSeccomp(architecture: Architecture): Uint8Array {
  const calls = new Map(defaultRefusals().map((name) => [name, permissionDenied]));
  // Its flags lie in memory, where no filter can look; without it the C library falls back to clone (CVE-2021-41133).
  calls.set("clone3", failWith(38)); // ENOSYS
  return compilePolicy({ otherwise: ALLOW, calls, tests }, architecture);
}
