/** The system calls of Linux by name: their numbers on the two architectures whose filters are written here. */

/** An architecture of Linux, in the words of uname(2). */
export type Architecture = "x86_64" | "aarch64";

/**
 * Every call up to Linux 7.2, in x86_64's order (asm/unistd_64.h); a number stands where it does not go on from the
 * call before. After the colon is aarch64's number, which is asm-generic/unistd.h's; without one there is no such call
 * there, but from 424 on, where all architectures count alike. Of aarch64's none is missing on x86_64.
 * tests/start/seccomp_test.ts compares this with the headers. One text, as 5 KB of it cost 0.15 ms of a program's
 * start and the map, of which most programs have no use, 0.1 ms.
 */
const table = `
  read:63 write:64 open close:57 stat fstat:80 lstat poll lseek:62 mmap:222 mprotect:226 munmap:215
  brk:214 rt_sigaction:134 rt_sigprocmask:135 rt_sigreturn:139 ioctl:29 pread64:67 pwrite64:68
  readv:65 writev:66 access pipe select sched_yield:124 mremap:216 msync:227 mincore:232
  madvise:233 shmget:194 shmat:196 shmctl:195 dup:23 dup2 pause nanosleep:101 getitimer:102 alarm
  setitimer:103 getpid:172 sendfile:71 socket:198 connect:203 accept:202 sendto:206 recvfrom:207
  sendmsg:211 recvmsg:212 shutdown:210 bind:200 listen:201 getsockname:204 getpeername:205
  socketpair:199 setsockopt:208 getsockopt:209 clone:220 fork vfork execve:221 exit:93 wait4:260
  kill:129 uname:160 semget:190 semop:193 semctl:191 shmdt:197 msgget:186 msgsnd:189 msgrcv:188
  msgctl:187 fcntl:25 flock:32 fsync:82 fdatasync:83 truncate:45 ftruncate:46 getdents getcwd:17
  chdir:49 fchdir:50 rename mkdir rmdir creat link unlink symlink readlink chmod fchmod:52 chown
  fchown:55 lchown umask:166 gettimeofday:169 getrlimit:163 getrusage:165 sysinfo:179 times:153
  ptrace:117 getuid:174 syslog:116 getgid:176 setuid:146 setgid:144 geteuid:175 getegid:177
  setpgid:154 getppid:173 getpgrp setsid:157 setreuid:145 setregid:143 getgroups:158 setgroups:159
  setresuid:147 getresuid:148 setresgid:149 getresgid:150 getpgid:155 setfsuid:151 setfsgid:152
  getsid:156 capget:90 capset:91 rt_sigpending:136 rt_sigtimedwait:137 rt_sigqueueinfo:138
  rt_sigsuspend:133 sigaltstack:132 utime mknod uselib personality:92 ustat statfs:43 fstatfs:44
  sysfs getpriority:141 setpriority:140 sched_setparam:118 sched_getparam:121
  sched_setscheduler:119 sched_getscheduler:120 sched_get_priority_max:125
  sched_get_priority_min:126 sched_rr_get_interval:127 mlock:228 munlock:229 mlockall:230
  munlockall:231 vhangup:58 modify_ldt pivot_root:41 _sysctl prctl:167 arch_prctl adjtimex:171
  setrlimit:164 chroot:51 sync:81 acct:89 settimeofday:170 mount:40 umount2:39 swapon:224
  swapoff:225 reboot:142 sethostname:161 setdomainname:162 iopl ioperm create_module
  init_module:105 delete_module:106 get_kernel_syms query_module quotactl:60 nfsservctl:42 getpmsg
  putpmsg afs_syscall tuxcall security gettid:178 readahead:213 setxattr:5 lsetxattr:6 fsetxattr:7
  getxattr:8 lgetxattr:9 fgetxattr:10 listxattr:11 llistxattr:12 flistxattr:13 removexattr:14
  lremovexattr:15 fremovexattr:16 tkill:130 time futex:98 sched_setaffinity:122
  sched_getaffinity:123 set_thread_area io_setup:0 io_destroy:1 io_getevents:4 io_submit:2
  io_cancel:3 get_thread_area lookup_dcookie:18 epoll_create epoll_ctl_old epoll_wait_old
  remap_file_pages:234 getdents64:61 set_tid_address:96 restart_syscall:128 semtimedop:192
  fadvise64:223 timer_create:107 timer_settime:110 timer_gettime:108 timer_getoverrun:109
  timer_delete:111 clock_settime:112 clock_gettime:113 clock_getres:114 clock_nanosleep:115
  exit_group:94 epoll_wait epoll_ctl:21 tgkill:131 utimes vserver mbind:235 set_mempolicy:237
  get_mempolicy:236 mq_open:180 mq_unlink:181 mq_timedsend:182 mq_timedreceive:183 mq_notify:184
  mq_getsetattr:185 kexec_load:104 waitid:95 add_key:217 request_key:218 keyctl:219 ioprio_set:30
  ioprio_get:31 inotify_init inotify_add_watch:27 inotify_rm_watch:28 migrate_pages:238 openat:56
  mkdirat:34 mknodat:33 fchownat:54 futimesat newfstatat:79 unlinkat:35 renameat:38 linkat:37
  symlinkat:36 readlinkat:78 fchmodat:53 faccessat:48 pselect6:72 ppoll:73 unshare:97
  set_robust_list:99 get_robust_list:100 splice:76 tee:77 sync_file_range:84 vmsplice:75
  move_pages:239 utimensat:88 epoll_pwait:22 signalfd timerfd_create:85 eventfd fallocate:47
  timerfd_settime:86 timerfd_gettime:87 accept4:242 signalfd4:74 eventfd2:19 epoll_create1:20
  dup3:24 pipe2:59 inotify_init1:26 preadv:69 pwritev:70 rt_tgsigqueueinfo:240 perf_event_open:241
  recvmmsg:243 fanotify_init:262 fanotify_mark:263 prlimit64:261 name_to_handle_at:264
  open_by_handle_at:265 clock_adjtime:266 syncfs:267 sendmmsg:269 setns:268 getcpu:168
  process_vm_readv:270 process_vm_writev:271 kcmp:272 finit_module:273 sched_setattr:274
  sched_getattr:275 renameat2:276 seccomp:277 getrandom:278 memfd_create:279 kexec_file_load:294
  bpf:280 execveat:281 userfaultfd:282 membarrier:283 mlock2:284 copy_file_range:285 preadv2:286
  pwritev2:287 pkey_mprotect:288 pkey_alloc:289 pkey_free:290 statx:291 io_pgetevents:292 rseq:293
  uretprobe uprobe 424 pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree
  move_mount fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2 pidfd_getfd
  faccessat2 process_madvise epoll_pwait2 mount_setattr quotactl_fd landlock_create_ruleset
  landlock_add_rule landlock_restrict_self memfd_secret process_mrelease futex_waitv
  set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue
  statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat
  getxattrat listxattrat removexattrat open_tree_attr file_getattr file_setattr listns
  rseq_slice_yield
`;

/** From here on a new call has one number everywhere (Linux 5.1). */
const firstCommon = 424;

/** x86_64's number and aarch64's, -1 for none. */
type Numbers = readonly [x86_64: number, aarch64: number];

let numbers: ReadonlyMap<string, Numbers> | undefined;

function readTable(): ReadonlyMap<string, Numbers> {
  const calls = new Map<string, Numbers>();
  let next = 0;
  for (const word of table.trim().split(/\s+/)) {
    if (/^\d/.test(word)) {
      next = Number(word);
      continue;
    }
    const [name = "", generic = next < firstCommon ? -1 : next] = word.split(":");
    calls.set(name, [next++, Number(generic)]);
  }
  return calls;
}

/** Whether one of the architectures has a call of this name. */
export function isSystemCall(name: string): boolean {
  return (numbers ??= readTable()).has(name);
}

/** A call's number, or undefined where the architecture has none of that name. */
export function systemCallNumber(name: string, architecture: Architecture): number | undefined {
  const number = (numbers ??= readTable()).get(name)?.[architecture === "x86_64" ? 0 : 1];
  return number === -1 ? undefined : number;
}

/** Every name of an architecture. */
export function systemCallNames(architecture: Architecture): readonly string[] {
  const names = (numbers ??= readTable()).keys();
  return [...names].filter((name) => systemCallNumber(name, architecture) !== undefined);
}
