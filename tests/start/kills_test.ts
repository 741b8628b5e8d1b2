import { test } from "node:test";
import { needsCall, needsLandlock, needsLinuxChild } from "../refused.ts";
import { needsRoot, needsUserNamespaces } from "../system.ts";
import { isNode } from "../helper.ts";
import { cannot, kills } from "./faults.ts";

test("step clone (the descriptor table) is named where the child is killed in it", {
  skip: cannot("clone (the descriptor table)", "be killed") || needsCall("close_range"),
}, kills("clone (the descriptor table)"));

test("step clone (the wait for the maps) is named where the child is killed in it", {
  skip: needsUserNamespaces,
}, kills("clone (the wait for the maps)"));

test(
  "step sigaction is named where the child is killed in it",
  { skip: cannot("sigaction", "be killed") },
  kills("sigaction"),
);

test(
  "step cgroup is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("cgroup"),
);

test("step setns is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("setns"));

test("step pid_namespace is named where the child is killed in it", {
  skip: needsRoot || needsLinuxChild,
}, kills("pid_namespace"));

test(
  "step unshare is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("unshare"),
);

test("step self_setgroups_policy is named where the child is killed in it", {
  skip: needsUserNamespaces,
}, kills("self_setgroups_policy"));

test(
  "step self_gid_map is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("self_gid_map"),
);

test(
  "step self_uid_map is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("self_uid_map"),
);

test(
  "step mount_private is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("mount_private"),
);

test(
  "step new_root is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("new_root"),
);

test(
  "step mount is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("mount"),
);

test(
  "step mount (its place) is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("mount (its place)"),
);

test(
  "step symlink is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("symlink"),
);

test(
  "step remount is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("remount"),
);

test(
  "step pivot_root is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("pivot_root"),
);

test(
  "step pivot_root (the old root) is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("pivot_root (the old root)"),
);

test(
  "step hostname is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("hostname"),
);

test(
  "step domainname is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("domainname"),
);

test(
  "step setsid is named where the child is killed in it",
  { skip: cannot("setsid", "be killed") },
  kills("setsid"),
);

test(
  "step setpgid is named where the child is killed in it",
  { skip: cannot("setpgid", "be killed") },
  kills("setpgid"),
);

test(
  "step foreground is named where the child is killed in it",
  { skip: cannot("foreground", "be killed") },
  kills("foreground"),
);

test(
  "step chroot is named where the child is killed in it",
  { skip: cannot("chroot", "be killed") },
  kills("chroot"),
);

test("step affinity is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("affinity"));

test("step scheduler is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("scheduler"));

test(
  "step nice is named where the child is killed in it",
  { skip: cannot("nice", "be killed") },
  kills("nice"),
);

test("step io_priority is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("io_priority"));

test("step timer_slack is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("timer_slack"));

test("step memory_policy is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("memory_policy"));

test("step oom_score_adj is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("oom_score_adj"));

test("step coredump_filter is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("coredump_filter"));

test("step personality is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("personality"));

test(
  "step rlimit is named where the child is killed in it",
  { skip: cannot("rlimit", "be killed") },
  kills("rlimit"),
);

test(
  "step umask is named where the child is killed in it",
  { skip: cannot("umask", "be killed") },
  kills("umask"),
);

test("step bounding_set is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("bounding_set"));

test("step bounding_set (what is dropped) is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("bounding_set (what is dropped)"));

test(
  "step keep_capabilities is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("keep_capabilities"),
);

test(
  "step setgroups is named where the child is killed in it",
  { skip: cannot("setgroups", "be killed") },
  kills("setgroups"),
);

test(
  "step setgid is named where the child is killed in it",
  { skip: cannot("setgid", "be killed") },
  kills("setgid"),
);

test(
  "step setuid is named where the child is killed in it",
  { skip: cannot("setuid", "be killed") },
  kills("setuid"),
);

test("step capabilities (capget) is named where the child is killed in it", {
  skip: needsLinuxChild || isNode && "Node makes the call itself, on its start",
}, kills("capabilities (capget)"));

test("step capabilities (capset) is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("capabilities (capset)"));

test(
  "step ambient_set is named where the child is killed in it",
  { skip: needsUserNamespaces },
  kills("ambient_set"),
);

test("step securebits is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("securebits"));

test("step securebits (what is set) is named where the child is killed in it", {
  skip: needsUserNamespaces,
}, kills("securebits (what is set)"));

test("step capability_sets is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("capability_sets"));

test("step keyring is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("keyring"));

test(
  "step pdeathsig is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("pdeathsig"),
);

test("step dumpable is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("dumpable"));

test(
  "step chdir is named where the child is killed in it",
  { skip: cannot("chdir", "be killed") },
  kills("chdir"),
);

test(
  "step no_new_privs is named where the child is killed in it",
  { skip: needsLinuxChild },
  kills("no_new_privs"),
);

test(
  "step fd is named where the child is killed in it",
  { skip: cannot("fd", "be killed") },
  kills("fd"),
);

test("step fd (a source that is in the way) is named where the child is killed in it", {
  skip: cannot("fd (a source that is in the way)", "be killed"),
}, kills("fd (a source that is in the way)"));

test(
  "step close_range is named where the child is killed in it",
  { skip: cannot("close_range", "be killed") || needsCall("close_range") },
  kills("close_range"),
);

test(
  "step noctty is named where the child is killed in it",
  { skip: cannot("noctty", "be killed") },
  kills("noctty"),
);

test(
  "step setctty is named where the child is killed in it",
  { skip: cannot("setctty", "be killed") },
  kills("setctty"),
);

test("step landlock is named where the child is killed in it", {
  skip: needsLandlock(1),
}, kills("landlock"));

test("step landlock_path is named where the child is killed in it", {
  skip: needsLandlock(1),
}, kills("landlock_path"));

test("step landlock_port is named where the child is killed in it", {
  skip: needsLandlock(4),
}, kills("landlock_port"));

test("step landlock_restrict is named where the child is killed in it", {
  skip: needsLandlock(1),
}, kills("landlock_restrict"));

test(
  "step ptrace is named where the child is killed in it",
  { skip: cannot("ptrace", "be killed") },
  kills("ptrace"),
);

test("step seccomp is named where the child is killed in it", {
  skip: needsLinuxChild,
}, kills("seccomp"));
