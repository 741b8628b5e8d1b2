//! /in the forked child/: everything between fork and execve where libc is the way to the kernel.
//!
//! The contract, which every line here keeps:
//! - Of libc only functions that POSIX calls async-signal-safe, or that are a bare system call, through
//!   addresses taken before the fork (`libc.zig`): another thread may have held any lock at the fork,
//!   and in this copy of the process nobody will ever let go of it.
//! - It never returns. It ends in execve, or in _exit with the failure in the report.
//! - All signals are blocked until the step before exec, as in `child.zig`.
//! - `bell`, the writing end of a close-on-exec pipe, stays open until exec or death: its end of file
//!   is how the parent learns that one of them has come.
//!
//! A step is one case in `run` and one in `supports`. Where a step stands in the order, and why, is in
//! `child.zig`: these are the same.

const builtin = @import("builtin");
const abi = @import("../abi/abi.zig");
const child = @import("child.zig");
const descriptors = @import("descriptors.zig");
const libc = @import("../os/libc.zig");
const plans = @import("plan.zig");
const system = @import("../os/system.zig").system;
const Plan = plans.Plan;

/// Never seen by anyone but a wait that races the report: the parent reaps a failed child itself.
const exit_failed = 253;

/// How often, and with which first pause, an exec is tried that meets a file open for writing: see
/// `child.zig`. Pauses double: 63 ms in all.
const text_busy_tries = 6;
const text_busy_pause_ms = 1;

/// Whether this child can run a step at all. What it cannot is refused before the fork, by the step's
/// name: the Linux facilities that the rest of these records ask for have no counterpart here.
pub fn supports(step: abi.Step) bool {
    return switch (step) {
        .sigaction,
        .setsid,
        .setpgid,
        .foreground,
        .chroot,
        .nice,
        .rlimit,
        .umask,
        .setgroups,
        .setgid,
        .setuid,
        .chdir,
        .fd,
        .close_range,
        .listen_fds,
        .noctty,
        .setctty,
        .rlimit_nofile,
        .ptrace,
        .sigprocmask,
        .exec,
        => true,
        .cgroup,
        .uid_map,
        .setgroups_policy,
        .gid_map,
        .unshare,
        .self_setgroups_policy,
        .self_gid_map,
        .self_uid_map,
        .mount_private,
        .keep_capabilities,
        .capabilities,
        .pdeathsig,
        .no_new_privs,
        => false,
    };
}

/// What the child has of the parent's. The functions are volatile so that no optimizer sees through
/// them to a direct call, whose lazily bound stub would ask the dynamic linker here.
pub const Context = struct {
    plan: *Plan,
    functions: *const volatile libc.Functions,
    bell: i32,

    fn result(context: Context, answered: i32) i32 {
        return if (answered == -1) -context.functions.errno.* else answered;
    }
};

pub fn main(context: Context) noreturn {
    const report = context.plan.report;
    var records: plans.Iterator = .{ .bytes = context.plan.steps };
    var index: i32 = 0;
    const failure = while (records.next()) |record| : (index += 1) {
        report.step = index;
        const answer = run(context, record.step, record.payload);
        if (answer < 0) break answer;
    } else unreachable;
    report.errno = -failure;
    report.state = .failed;
    context.functions._exit(exit_failed);
}

fn run(context: Context, step: abi.Step, payload: []align(8) const u8) i32 {
    const functions = context.functions;
    const words: [*]align(8) const u32 = @ptrCast(payload.ptr);
    return switch (step) {
        .sigaction => resetHandlers(context),
        .setsid => context.result(functions.setsid()),
        .setpgid => context.result(functions.setpgid(0, @bitCast(words[0]))),
        .foreground => foreground(context, words[0], words[1]),
        .chroot => chroot(context, @ptrCast(payload.ptr)),
        .nice => context.result(functions.setpriority(0, 0, @bitCast(words[0]))),
        .rlimit, .rlimit_nofile => setLimit(context, words),
        .umask => blk: {
            _ = functions.umask(@intCast(words[0]));
            break :blk 0;
        },
        .setgroups => context.result(functions.setgroups(@intCast(payload.len / 4), words)),
        .setgid => context.result(functions.setgid(words[0])),
        .setuid => context.result(functions.setuid(words[0])),
        .chdir => context.result(functions.chdir(@ptrCast(payload.ptr))),
        .fd => descriptors.install(Calls{ .context = context }, context.plan, @bitCast(words[1])),
        .close_range => closeFrom(context, words[0]),
        .listen_fds => child.writeNumber(context.plan, context.result(functions.getpid())),
        .noctty => context.result(functions.ioctl(0, libc.TIOCNOTTY, @as(usize, 0))),
        .setctty => context.result(functions.ioctl(@bitCast(words[0]), libc.TIOCSCTTY, @as(usize, 0))),
        .ptrace => context.result(@intCast(functions.ptrace(0, 0, null, libc.ptrace_data))),
        // Refused by the parent: see `supports`.
        .cgroup,
        .uid_map,
        .setgroups_policy,
        .gid_map,
        .unshare,
        .self_setgroups_policy,
        .self_gid_map,
        .self_uid_map,
        .mount_private,
        .keep_capabilities,
        .capabilities,
        .pdeathsig,
        .no_new_privs,
        => system.negative(.NOSYS),
        .sigprocmask => context.result(
            functions.sigprocmask(libc.SIG_SETMASK, &libc.sigset_none, null),
        ),
        .exec => exec(context),
    };
}

/// Every signal that is not ignored goes to its default with no flags, also one that was there already:
/// macOS keeps SA_SIGINFO and its kin through exec (kern_sig.c, execsigs), and a runtime in the new
/// image that finds them believes a handler stands there (github.com/microsoft/dcp/issues/244).
fn resetHandlers(context: Context) i32 {
    const default: libc.Sigaction = .{};
    var number: i32 = 1;
    while (number < libc.NSIG) : (number += 1) {
        var current: libc.Sigaction = .{};
        // SIGKILL and SIGSTOP have none, and glibc keeps 32 and 33 for itself.
        if (context.functions.sigaction(number, null, &current) < 0) continue;
        const stays = switch (number) {
            // The runtimes ignore these two, for themselves.
            libc.SIGPIPE, libc.SIGXFSZ => false,
            else => current.handler == libc.SIG_IGN,
        };
        if (!stays) _ = context.functions.sigaction(number, &default, null);
    }
    return 0;
}

fn foreground(context: Context, terminal: u32, group: u32) i32 {
    const functions = context.functions;
    var leader: i32 = if (group != 0) @bitCast(group) else functions.getpid();
    return context.result(functions.ioctl(@bitCast(terminal), libc.TIOCSPGRP, &leader));
}

/// The resource, and the limits' words: soft lower, soft upper, hard lower, hard upper.
fn setLimit(context: Context, words: [*]align(8) const u32) i32 {
    const limits = child.limitsOf(words);
    return context.result(context.functions.setrlimit(@bitCast(words[0]), &limits));
}

fn chroot(context: Context, path: plans.String) i32 {
    const answer = context.result(context.functions.chroot(path));
    if (answer < 0) return answer;
    return context.result(context.functions.chdir("/"));
}

/// How `descriptors.zig` reaches the kernel from here.
const Calls = struct {
    context: Context,

    pub fn duplicate(calls: Calls, fd: i32, above: i32) i32 {
        const context = calls.context;
        return context.result(context.functions.fcntl(fd, system.F_DUPFD_CLOEXEC, above));
    }

    pub fn place(calls: Calls, source: i32, target: i32) i32 {
        return calls.context.result(calls.context.functions.dup2(source, target));
    }

    pub fn keep(calls: Calls, fd: i32) i32 {
        const none: i32 = 0;
        return calls.context.result(calls.context.functions.fcntl(fd, system.F_SETFD, none));
    }

    pub fn close(calls: Calls, fd: i32) i32 {
        return calls.context.result(calls.context.functions.close(fd));
    }
};

const closeFrom = switch (builtin.os.tag) {
    .linux => closeByDirectory,
    else => closeByList,
};

/// By system calls even here: reading a directory through libc takes memory and locks.
fn closeByDirectory(context: Context, first: u32) i32 {
    return child.closeListed(first, context.bell);
}

/// macOS lists a process's descriptors lowest first, as many as fit (proc_info.c, proc_pidfdlist), so
/// once these are closed the next listing shows the rest.
fn closeByList(context: Context, first: u32) i32 {
    // Or the list would be filled first, by a memset that is libc's and lazily bound.
    @setRuntimeSafety(false);
    const PROC_PIDLISTFDS = 1;
    const functions = context.functions;
    var list: [256]libc.OpenDescriptor = undefined;
    while (true) {
        const bytes = functions.proc_pidinfo(functions.getpid(), PROC_PIDLISTFDS, 0, &list, @sizeOf(@TypeOf(list)));
        // Zero is failure too (libproc.c).
        if (bytes <= 0) return closeAll(context, first);
        const count = @as(usize, @intCast(bytes)) / @sizeOf(libc.OpenDescriptor);
        var closed_some = false;
        for (list[0..count]) |open| {
            if (open.fd < first or open.fd == context.bell) continue;
            _ = functions.close(open.fd);
            closed_some = true;
        }
        if (closed_some) continue;
        // Full of what stays open: the rest is beyond what a listing shows.
        return if (count == list.len) closeAll(context, first) else 0;
    }
}

/// The last resort, in a sandbox that forbids the listing: every number there can be.
fn closeAll(context: Context, first: u32) i32 {
    const count = context.functions.getdtablesize();
    var fd: i32 = @intCast(first);
    while (fd < count) : (fd += 1) {
        if (fd != context.bell) _ = context.functions.close(fd);
    }
    return 0;
}

/// Returns only when it failed.
fn exec(context: Context) i32 {
    const plan = context.plan;
    var pause: i32 = text_busy_pause_ms;
    var tries: u32 = 0;
    while (true) : (tries += 1) {
        plan.report.state = .execing;
        const answer = context.result(context.functions.execve(plan.path, plan.argv, plan.envp));
        plan.report.state = .started;
        if (answer != system.negative(.TXTBSY) or tries == text_busy_tries) return answer;
        _ = context.functions.poll(null, 0, pause);
        pause *= 2;
    }
}
