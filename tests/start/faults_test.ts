import { test } from "node:test";
import { needsCall, needsLandlock, needsLinuxChild } from "../refused.ts";
import { needsRoot, needsUserNamespaces } from "../system.ts";
import { isNode } from "../helper.ts";
import { cannot, fails } from "./faults.ts";

test(
  "step clone (refused) fails by its name, and nothing changes here",
  { skip: cannot("clone (refused)", "fail") },
  fails("clone (refused)"),
);

test("step clone (the descriptor table) fails by its name, and nothing changes here", {
  skip: cannot("clone (the descriptor table)", "fail") || needsCall("close_range"),
}, fails("clone (the descriptor table)"));

test("step clone (the wait for the maps) fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("clone (the wait for the maps)"));

test(
  "step sigaction fails by its name, and nothing changes here",
  { skip: cannot("sigaction", "fail") },
  fails("sigaction"),
);

test(
  "step cgroup fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("cgroup"),
);

test(
  "step uid_map fails by its name, and nothing changes here",
  { skip: needsUserNamespaces },
  fails("uid_map"),
);

test("step setgroups_policy fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("setgroups_policy"));

test(
  "step gid_map fails by its name, and nothing changes here",
  { skip: needsUserNamespaces },
  fails("gid_map"),
);

test("step setns fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("setns"));

test("step pid_namespace fails by its name, and nothing changes here", {
  skip: needsRoot || needsLinuxChild,
}, fails("pid_namespace"));

test(
  "step unshare fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("unshare"),
);

test("step self_setgroups_policy fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("self_setgroups_policy"));

test(
  "step self_gid_map fails by its name, and nothing changes here",
  { skip: needsUserNamespaces },
  fails("self_gid_map"),
);

test(
  "step self_uid_map fails by its name, and nothing changes here",
  { skip: needsUserNamespaces },
  fails("self_uid_map"),
);

test("step mount_private fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("mount_private"));

test("step new_root fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("new_root"));

test("step mount fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("mount"));

test("step mount (its place) fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("mount (its place)"));

test("step symlink fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("symlink"));

test("step remount fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("remount"));

test("step pivot_root fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("pivot_root"));

test("step pivot_root (the old root) fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("pivot_root (the old root)"));

test("step hostname fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("hostname"));

test("step domainname fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("domainname"));

test(
  "step setsid fails by its name, and nothing changes here",
  { skip: cannot("setsid", "fail") },
  fails("setsid"),
);

test(
  "step setpgid fails by its name, and nothing changes here",
  { skip: cannot("setpgid", "fail") },
  fails("setpgid"),
);

test(
  "step foreground fails by its name, and nothing changes here",
  { skip: cannot("foreground", "fail") },
  fails("foreground"),
);

test(
  "step chroot fails by its name, and nothing changes here",
  { skip: cannot("chroot", "fail") },
  fails("chroot"),
);

test("step affinity fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("affinity"));

test("step scheduler fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("scheduler"));

test(
  "step nice fails by its name, and nothing changes here",
  { skip: cannot("nice", "fail") },
  fails("nice"),
);

test("step io_priority fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("io_priority"));

test("step timer_slack fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("timer_slack"));

test("step memory_policy fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("memory_policy"));

test("step oom_score_adj fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("oom_score_adj"));

test("step coredump_filter fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("coredump_filter"));

test("step personality fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("personality"));

test(
  "step rlimit fails by its name, and nothing changes here",
  { skip: cannot("rlimit", "fail") },
  fails("rlimit"),
);

test(
  "step umask fails by its name, and nothing changes here",
  { skip: cannot("umask", "fail") },
  fails("umask"),
);

test("step bounding_set fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("bounding_set"));

test("step bounding_set (what is dropped) fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("bounding_set (what is dropped)"));

test("step keep_capabilities fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("keep_capabilities"));

test(
  "step setgroups fails by its name, and nothing changes here",
  { skip: cannot("setgroups", "fail") },
  fails("setgroups"),
);

test(
  "step setgid fails by its name, and nothing changes here",
  { skip: cannot("setgid", "fail") },
  fails("setgid"),
);

test(
  "step setuid fails by its name, and nothing changes here",
  { skip: cannot("setuid", "fail") },
  fails("setuid"),
);

test("step capabilities (capget) fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("capabilities (capget)"));

test("step capabilities (capset) fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("capabilities (capset)"));

test(
  "step ambient_set fails by its name, and nothing changes here",
  { skip: needsUserNamespaces },
  fails("ambient_set"),
);

test("step securebits fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("securebits"));

test("step securebits (what is set) fails by its name, and nothing changes here", {
  skip: needsUserNamespaces,
}, fails("securebits (what is set)"));

test("step capability_sets fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("capability_sets"));

test("step keyring fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("keyring"));

test(
  "step pdeathsig fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("pdeathsig"),
);

test("step dumpable fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("dumpable"));

test(
  "step chdir fails by its name, and nothing changes here",
  { skip: cannot("chdir", "fail") },
  fails("chdir"),
);

test(
  "step no_new_privs fails by its name, and nothing changes here",
  { skip: needsLinuxChild },
  fails("no_new_privs"),
);

test(
  "step fd fails by its name, and nothing changes here",
  { skip: cannot("fd", "fail") },
  fails("fd"),
);

test("step fd (a source that is in the way) fails by its name, and nothing changes here", {
  skip: cannot("fd (a source that is in the way)", "fail"),
}, fails("fd (a source that is in the way)"));

test(
  "step close_range fails by its name, and nothing changes here",
  { skip: cannot("close_range", "fail") || needsCall("close_range") },
  fails("close_range"),
);

test(
  "step listen_fds fails by its name, and nothing changes here",
  { skip: cannot("listen_fds", "fail") },
  fails("listen_fds"),
);

test(
  "step noctty fails by its name, and nothing changes here",
  { skip: cannot("noctty", "fail") },
  fails("noctty"),
);

test(
  "step setctty fails by its name, and nothing changes here",
  { skip: cannot("setctty", "fail") },
  fails("setctty"),
);

test("step landlock fails by its name, and nothing changes here", {
  skip: needsLandlock(1),
}, fails("landlock"));

test("step landlock_path fails by its name, and nothing changes here", {
  skip: needsLandlock(1),
}, fails("landlock_path"));

test("step landlock_port fails by its name, and nothing changes here", {
  skip: needsLandlock(4),
}, fails("landlock_port"));

test("step landlock_restrict fails by its name, and nothing changes here", {
  skip: needsLandlock(1),
}, fails("landlock_restrict"));

test(
  "step rlimit_nofile fails by its name, and nothing changes here",
  { skip: cannot("rlimit_nofile", "fail") },
  fails("rlimit_nofile"),
);

test(
  "step ptrace fails by its name, and nothing changes here",
  { skip: cannot("ptrace", "fail") },
  fails("ptrace"),
);

test(
  "step sigprocmask fails by its name, and nothing changes here",
  {
    skip: cannot("sigprocmask", "fail") || isNode && "Node ends where the call fails on its start",
  },
  fails("sigprocmask"),
);

test("step seccomp fails by its name, and nothing changes here", {
  skip: needsLinuxChild,
}, fails("seccomp"));

test(
  "step exec fails by its name, and nothing changes here",
  { skip: cannot("exec", "fail") },
  fails("exec"),
);
