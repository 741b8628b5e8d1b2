//! /in the child process/: the steps, for both kinds of child, and why each stands where it stands.
//!
//! `calls` is how a child reaches the kernel: by system calls (`child.zig`) or through libc's functions (`child_libc.zig`),
//! where what Linux alone has is refused before the fork. Each call answers a number, or -errno.

const abi = @import("../abi/abi.zig");
const clone = @import("../parent/clone.zig");
const death = @import("death.zig");
const decimal = @import("../os/decimal.zig");
const descriptors = @import("descriptors.zig");
const mounts = @import("mounts.zig");
const namespaces = @import("namespaces.zig");
const roots = @import("roots.zig");
const landlock = @import("landlock.zig");
const linux = @import("../os/linux.zig");
const plans = @import("plan.zig");
const privileges = @import("privileges.zig");
const proc = @import("proc.zig");
const resources = @import("resources.zig");
const system = @import("../os/system.zig").system;
const Plan = plans.Plan;
const fields = abi.steps.fieldsOf;

/// How often, and with which first pause, an exec is tried that meets a file open for writing. Some
/// sibling between clone and exec holds the descriptor, so the wait is short (go.dev/issue/22315);
/// pauses double: 63 ms in all.
const text_busy_tries = 6;
const text_busy_pause_ms = 1;

/// Takes the steps that are left, one after the other. Returns only when one has failed: -errno; which one stands in the
/// report.
pub fn takeAll(calls: anytype, plan: *Plan) i32 {
    while (plan.left.next()) |record| {
        plan.report.step += 1;
        const answer = take(calls, plan, record);
        if (answer < 0) return answer;
    }
    unreachable;
}

fn take(calls: anytype, plan: *Plan, record: plans.Iterator.Record) i32 {
    const payload = record.payload;
    return switch (record.step) {
        // First, while everything is blocked: from the unmasking on, no handler may be left whose
        // code the new image will not have.
        .sigaction => calls.resetHandlers(),
        // What needs this process's own rights: before any namespace takes them away, and before the credentials: root may
        // raise what the new user may not. In a user namespace that the clone itself has made nobody may: there the parent
        // has done it.
        .nice => if (byParent(plan)) 0 else calls.setpriority(fields(.nice, payload).value),
        .rlimit => if (byParent(plan)) 0 else setLimit(calls, fields(.rlimit, payload)),
        // The session before the group: setpgid would make a group leader, whom setsid refuses.
        .setsid => calls.setsid(),
        .setpgid => calls.setpgid(fields(.setpgid, payload).group),
        // After the group is there to be put in front, and with SIGTTOU blocked: the terminal sends
        // it to a background process that does this.
        .foreground => foreground(calls, fields(.foreground, payload)),
        // With the privileges still there, and before chdir, which is meant inside the new root.
        // "/" first: a working directory outside the new root is the way out of it.
        .chroot => chroot(calls, fields(.chroot, payload).path.text()),
        .umask => calls.umask(fields(.umask, payload).mask),
        // Groups, group, user: each takes away the right to do the one before it.
        .setgroups => calls.setgroups(fields(.setgroups, payload).groups.slice()),
        .setgid => calls.setgid(fields(.setgid, payload).id),
        .setuid => calls.setuid(fields(.setuid, payload).id),
        // As the new user, as in Go: whether the directory may be entered is theirs to answer.
        .chdir => calls.chdir(fields(.chdir, payload).path.text()),
        // After every step that may use one of the parent's descriptors.
        .fd => descriptors.install(calls, plan, fields(.fd, payload).target),
        .close_range => calls.closeFrom(@intCast(fields(.close_range, payload).first)),
        // With the descriptors that it tells of; the number is the child's for good by now.
        .listen_fds => writeNumber(plan, calls.getpid()),
        // The child's own descriptors are in place: 0 here and the number in setctty mean those.
        .noctty => calls.giveUpTerminal(),
        .setctty => calls.takeTerminal(fields(.setctty, payload).terminal),
        // dup3 fails beyond the limit. The soft one is the child's to set, also where the parent has raised the hard one.
        .rlimit_nofile => setLimit(calls, fields(.rlimit_nofile, payload)),
        // Last of all that stops the tracer, so that it never traces our own steps
        // (go.dev/issue/21428).
        .ptrace => calls.traceMe(),
        // One call before exec, but for the filter: pending stop and kill signals act from here on.
        .sigprocmask => calls.unblockSignals(),
        .exec => exec(calls, plan),
        else => if (@hasDecl(@TypeOf(calls), "successor"))
            takeLinux(plan, record, @TypeOf(calls).successor)
        else
            // Refused by the parent: `libc` in the rows.
            system.negative(.NOSYS),
    };
}

/// What only Linux has. `successor`: how the second child of a start begins.
fn takeLinux(plan: *Plan, record: plans.Iterator.Record, successor: clone.Entry) i32 {
    const payload = record.payload;
    return switch (record.step) {
        // Before any namespace that its cgroup's path would be seen from.
        .cgroup => if (plan.in_cgroup) 0 else joinCgroup(fields(.cgroup, payload).directory.number),
        // About the process itself, before any namespace: also for those that need no rights for it, /proc is its own as yet.
        .affinity => resources.affinity(fields(.affinity, payload)),
        .scheduler => if (byParent(plan)) 0 else resources.schedulerFor(0, fields(.scheduler, payload)),
        .io_priority => if (byParent(plan)) 0 else resources.ioPriorityFor(0, fields(.io_priority, payload)),
        .timer_slack => resources.timerSlack(fields(.timer_slack, payload)),
        .memory_policy => resources.memoryPolicy(fields(.memory_policy, payload)),
        .oom_score_adj => if (byParent(plan)) 0 else resources.oomScoreAdjFor(0, fields(.oom_score_adj, payload)),
        .coredump_filter => resources.coredumpFilter(fields(.coredump_filter, payload)),
        .personality => resources.personality(fields(.personality, payload)),
        // The parent's, taken while we waited in `enter`.
        .uid_map, .setgroups_policy, .gid_map => 0,
        // Before all that may need the capabilities which a user namespace gives; what is joined before what is made, which
        // then belongs to the namespace that was joined.
        .setns => namespaces.join(plan, fields(.setns, payload)),
        .unshare => linux.result(.unshare, .{fields(.unshare, payload).flags}),
        .self_setgroups_policy => namespaces.setgroupsPolicy(fields(.self_setgroups_policy, payload)),
        .self_gid_map => proc.write(0, "gid_map", fields(.self_gid_map, payload).text.slice()),
        .self_uid_map => proc.write(0, "uid_map", fields(.self_uid_map, payload).text.slice()),
        // After all that is made or joined by now, and before what tells of the child by its number.
        .pid_namespace => if (!plan.joins_processes) 0 else blk: {
            const answer = namespaces.succeed(plan, successor);
            // What came of the other stands in the report.
            if (answer >= 0) death.exit();
            break :blk answer;
        },
        // Or else every mount of the child would show outside (go.dev/issue/19661).
        .mount_private => linux.result(.mount, .{ "none", "/", null, MS_REC | MS_PRIVATE, null }),
        // The mounts of the new root before it takes the old one's place, where what they are made of is; symlinks among
        // them once all is mounted that these may lie in; and last what nothing can be made in any more.
        .new_root => roots.newRoot(plan, fields(.new_root, payload)),
        .mount => mounts.mount(plan, fields(.mount, payload)),
        .symlink => roots.symlink(plan, fields(.symlink, payload)),
        .remount => mounts.remount(plan, fields(.remount, payload)),
        .pivot_root => roots.pivotRoot(plan),
        .hostname => setName(.sethostname, fields(.hostname, payload)),
        .domainname => setName(.setdomainname, fields(.domainname, payload)),
        // By CAP_SETPCAP, which setuid takes out of effect.
        .bounding_set => privileges.boundingSet(fields(.bounding_set, payload)),
        // Or setuid would drop the permitted set, from which the ambient one is raised.
        .keep_capabilities => privileges.keepCapabilities(),
        // After setuid, which clears the ambient set even with KEEPCAPS.
        .ambient_set => privileges.ambientSet(fields(.ambient_set, payload)),
        // They would say something about setuid, and may forbid to raise the ambient set.
        .securebits => privileges.securebits(fields(.securebits, payload)),
        // Those before may need CAP_SETPCAP, which this may take away.
        .capability_sets => privileges.capabilitySets(fields(.capability_sets, payload)),
        // As the user to whom it is to belong.
        .keyring => privileges.newKeyring(),
        // After the credentials: changing those clears it (go.dev/issue/9686).
        .pdeathsig => death.setSignal(plan, fields(.pdeathsig, payload).signal),
        // Changing the credentials sets this too.
        .dumpable => privileges.dumpable(fields(.dumpable, payload)),
        // Before the two that are refused without it.
        .no_new_privs => privileges.noNewPrivileges(),
        // When the child's own descriptors are in place, and out of the way of none: no number is kept for the rules.
        .landlock => landlock.begin(plan, fields(.landlock, payload)),
        .landlock_path => landlock.allowPath(plan, fields(.landlock_path, payload)),
        .landlock_port => landlock.allowPort(plan, fields(.landlock_port, payload)),
        .landlock_restrict => landlock.restrict(plan),
        // No call of ours comes after it but execve, and those of the end of who fails in that.
        .seccomp => privileges.filter(fields(.seccomp, payload)),
        else => linux.negative(.NOSYS),
    };
}

/// Whether what wants the rights that this process has is the parent's to do.
fn byParent(plan: *const Plan) bool {
    return plan.report.step >= plan.outside_from;
}

const MS_REC = 0x4000;
const MS_PRIVATE = 1 << 18;

fn foreground(calls: anytype, wanted: *const abi.steps.Foreground) i32 {
    var leader: i32 = if (wanted.group != 0) wanted.group else calls.getpid();
    return calls.putInFront(wanted.terminal.number, &leader);
}

fn setLimit(calls: anytype, wanted: *const abi.steps.Rlimit) i32 {
    const limits: [2]u64 = .{ wanted.soft, wanted.hard };
    return calls.setrlimit(wanted.resource, &limits);
}

fn chroot(calls: anytype, path: plans.String) i32 {
    const answer = calls.chroot(path);
    if (answer < 0) return answer;
    return calls.chdir("/");
}

/// Into the environment's room for it, which ends in a NUL: as itself in its pid namespace.
fn writeNumber(plan: *const Plan, pid: i32) i32 {
    if (pid < 0) return pid;
    const place = plan.listen_pid orelse return system.negative(.INVAL);
    place[decimal.write(place, @intCast(pid))] = 0;
    return 0;
}

/// Returns only when it failed.
fn exec(calls: anytype, plan: *const Plan) i32 {
    var pause: i32 = text_busy_pause_ms;
    var tries: u32 = 0;
    while (true) : (tries += 1) {
        plan.report.state = .execing;
        const answer = calls.execve(plan.path, plan.argv, plan.envp);
        plan.report.state = .started;
        if (answer != system.negative(.TXTBSY) or tries == text_busy_tries) return answer;
        if (plan.has_filter) {
            // Should the filter end the child for the pause, it has failed by what it was that it paused for.
            plan.report.errno = -answer;
            plan.report.state = .failed;
        }
        calls.pause(pause);
        pause *= 2;
    }
}

fn setName(comptime call: linux.Number, wanted: *const abi.steps.Hostname) i32 {
    const name = wanted.name.slice();
    return linux.result(call, .{ name.ptr, name.len });
}

/// Where clone3 could not do it. Slower by far: the kernel stops every fork of the machine for it.
fn joinCgroup(directory: i32) i32 {
    const O_WRONLY = 1;
    const fd = linux.result(.openat, .{ directory, "cgroup.procs", O_WRONLY | linux.O_CLOEXEC, 0 });
    if (fd < 0) return fd;
    const answer = linux.result(.write, .{ fd, "0", 1 });
    linux.close(fd);
    return @min(answer, 0);
}
