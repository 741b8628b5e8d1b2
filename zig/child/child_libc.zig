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
//! The steps are in `steps.zig`, the same for both children; those that this one has say so in their rows.

const builtin = @import("builtin");
const child = @import("child.zig");
const death = @import("death.zig");
const libc = @import("../os/libc.zig");
const plans = @import("plan.zig");
const steps = @import("steps.zig");
const system = @import("../os/system.zig").system;
const Plan = plans.Plan;

/// What the child has of the parent's. The functions are volatile so that no optimizer sees through
/// them to a direct call, whose lazily bound stub would ask the dynamic linker here.
pub const Context = struct {
    plan: *Plan,
    functions: *const volatile libc.Functions,
    bell: i32,
};

pub fn main(context: Context) noreturn {
    const report = context.plan.report;
    report.errno = -steps.takeAll(Calls{ .context = context }, context.plan);
    report.state = .failed;
    context.functions._exit(death.exit_failed);
}

/// Every signal that is not ignored goes to its default with no flags, also one that was there already:
/// macOS keeps SA_SIGINFO and its kin through exec (kern_sig.c, execsigs), and a runtime in the new
/// image that finds them believes a handler stands there (github.com/microsoft/dcp/issues/244).
fn resetAll(context: Context) i32 {
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

/// How the steps reach the kernel from here.
const Calls = struct {
    context: Context,

    pub fn resetHandlers(calls: Calls) i32 {
        return resetAll(calls.context);
    }

    pub fn setpriority(calls: Calls, value: i32) i32 {
        return calls.result(calls.context.functions.setpriority(0, 0, value));
    }

    pub fn setrlimit(calls: Calls, resource: u32, limits: *const [2]u64) i32 {
        return calls.result(calls.context.functions.setrlimit(@bitCast(resource), limits));
    }

    pub fn setsid(calls: Calls) i32 {
        return calls.result(calls.context.functions.setsid());
    }

    pub fn setpgid(calls: Calls, group: i32) i32 {
        return calls.result(calls.context.functions.setpgid(0, group));
    }

    pub fn getpid(calls: Calls) i32 {
        return calls.context.functions.getpid();
    }

    pub fn putInFront(calls: Calls, terminal: i32, group: *const i32) i32 {
        return calls.result(calls.context.functions.ioctl(terminal, libc.TIOCSPGRP, group));
    }

    pub fn chroot(calls: Calls, path: plans.String) i32 {
        return calls.result(calls.context.functions.chroot(path));
    }

    pub fn chdir(calls: Calls, path: plans.String) i32 {
        return calls.result(calls.context.functions.chdir(path));
    }

    pub fn umask(calls: Calls, mask: u32) i32 {
        _ = calls.context.functions.umask(@intCast(mask));
        return 0;
    }

    pub fn setgroups(calls: Calls, groups: []const u32) i32 {
        return calls.result(calls.context.functions.setgroups(@intCast(groups.len), groups.ptr));
    }

    pub fn setgid(calls: Calls, id: u32) i32 {
        return calls.result(calls.context.functions.setgid(id));
    }

    pub fn setuid(calls: Calls, id: u32) i32 {
        return calls.result(calls.context.functions.setuid(id));
    }

    pub fn duplicate(calls: Calls, fd: i32, above: i32) i32 {
        return calls.result(calls.context.functions.fcntl(fd, system.F_DUPFD_CLOEXEC, above));
    }

    pub fn place(calls: Calls, source: i32, target: i32) i32 {
        return calls.result(calls.context.functions.dup2(source, target));
    }

    pub fn keep(calls: Calls, fd: i32) i32 {
        const none: i32 = 0;
        return calls.result(calls.context.functions.fcntl(fd, system.F_SETFD, none));
    }

    pub fn close(calls: Calls, fd: i32) i32 {
        return calls.result(calls.context.functions.close(fd));
    }

    pub fn closeFrom(calls: Calls, first: u32) i32 {
        return closeAbove(calls.context, first);
    }

    pub fn giveUpTerminal(calls: Calls) i32 {
        return calls.result(calls.context.functions.ioctl(0, libc.TIOCNOTTY, @as(usize, 0)));
    }

    pub fn takeTerminal(calls: Calls, terminal: i32) i32 {
        return calls.result(calls.context.functions.ioctl(terminal, libc.TIOCSCTTY, @as(usize, 0)));
    }

    pub fn traceMe(calls: Calls) i32 {
        return calls.result(@intCast(calls.context.functions.ptrace(0, 0, null, libc.ptrace_data)));
    }

    pub fn unblockSignals(calls: Calls) i32 {
        return calls.result(calls.context.functions.sigprocmask(libc.SIG_SETMASK, &libc.sigset_none, null));
    }

    pub fn execve(calls: Calls, path: plans.String, argv: plans.Strings, envp: plans.Strings) i32 {
        return calls.result(calls.context.functions.execve(path, argv, envp));
    }

    pub fn pause(calls: Calls, milliseconds: i32) void {
        _ = calls.context.functions.poll(null, 0, milliseconds);
    }

    fn result(calls: Calls, answered: i32) i32 {
        return if (answered == -1) -calls.context.functions.errno.* else answered;
    }
};

const closeAbove = switch (builtin.os.tag) {
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
