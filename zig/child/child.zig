//! /in the child process/: everything between clone and execve, and nothing else.
//!
//! The contract, which every line here keeps:
//! - Raw system calls on memory that was prepared before the clone. No allocation, no lock taken,
//!   no libc, no std function that may panic or log, no thread-local. The child usually shares the
//!   parent's whole memory, whose thread is suspended or goes on meanwhile: whatever it writes, the
//!   parent will find, and what it reads, nobody else may write.
//! - It never returns. It ends in execve, or in exit with the failure in the report.
//! - All 64 signals are blocked from before the clone until the step before exec, so that no
//!   handler of the host runs here and no key at a terminal halts a half-made child (go.dev/issue/18600).
//!   SIGSTOP cannot be blocked: see SECURITY.md.
//! - No other file runs in the child but those of this folder, the calls themselves (`linux.zig`, `clone.zig`), and
//!   numbers as text (`decimal.zig`).
//!
//! What is here is how a child begins, and how it reaches the kernel; the steps are in `steps.zig`.

const std = @import("std");
const death = @import("death.zig");
const decimal = @import("../os/decimal.zig");
const linux = @import("../os/linux.zig");
const plans = @import("plan.zig");
const steps = @import("steps.zig");
const Plan = plans.Plan;

pub fn main(context: *anyopaque) callconv(.c) noreturn {
    const plan: *Plan = @ptrCast(@alignCast(context));
    var answer: i32 = 0;
    // Before anything else, as until then the descriptor table is the parent's own.
    if (plan.unshare_from != 0) {
        answer = linux.result(.close_range, .{
            plan.unshare_from,
            std.math.maxInt(u32),
            linux.CLOSE_RANGE_UNSHARE,
        });
    }
    if (answer >= 0) answer = enter(plan);
    if (answer < 0) fail(plan, answer);
    goOn(plan);
}

/// In place of `main`'s child, which stands still until this one has left: see the step pid_namespace.
fn succeed(context: *anyopaque) callconv(.c) noreturn {
    goOn(@ptrCast(@alignCast(context)));
}

fn goOn(plan: *Plan) noreturn {
    fail(plan, steps.takeAll(Calls{ .plan = plan }, plan));
}

fn fail(plan: *Plan, answer: i32) noreturn {
    plan.report.errno = -answer;
    plan.report.state = .failed;
    death.exit();
}

/// What a start of a special kind needs before the steps.
fn enter(plan: *Plan) i32 {
    // Else execve moves this child to another processor, which has to be woken first, and with this it does not: a capture
    // takes 10 to 20 % less (measured on Linux 6.18). Why, as it seems: from 6.12 on who sleeps may stay in the queue for a
    // while (DELAY_DEQUEUE), execve looks for the shortest queue, and now the parent leaves this one. Before the steps, of
    // which some forbid it (seccomp), or make it cost a period (SCHED_DEADLINE).
    if (plan.sleeps) _ = linux.call(.sched_yield, .{});
    if (plan.exec_pipe >= 0) {
        // Out of the way of every target; closing the rest goes around it.
        const all = plan.descriptors;
        const above = if (all.len == 0) 3 else all[all.len - 1].target + 1;
        // What execve is known by where somebody else holds the pipe: it gives another name.
        _ = linux.call(.prctl, .{ PR_SET_NAME, name_before_exec });
        const moved = linux.result(.fcntl, .{ plan.exec_pipe, linux.F_DUPFD_CLOEXEC, above });
        if (moved < 0) return moved;
        plan.exec_pipe = moved;
    }
    return if (plan.has_parent_steps) death.awaitParent(plan) else 0;
}

const PR_SET_NAME = 15;
/// Of a child with a copy of the memory. At most 15 characters.
pub const name_before_exec = "osexec: starts";

/// Tells the parent, by a word that only shared memory carries over, that CLONE_VM is one: under
/// qemu-user and WSL1 vfork is a fork.
pub fn probe(context: *anyopaque) callconv(.c) noreturn {
    const word: *volatile u32 = @ptrCast(@alignCast(context));
    word.* = 1;
    death.exit();
}

const TIOCSPGRP = 0x5410;
const TIOCSCTTY = 0x540e;
const TIOCNOTTY = 0x5422;

/// How the steps reach the kernel from here.
const Calls = struct {
    plan: *Plan,

    pub const successor = succeed;

    pub fn resetHandlers(calls: Calls) i32 {
        return resetAll(calls.plan);
    }

    pub fn setpriority(_: Calls, value: i32) i32 {
        return linux.result(.setpriority, .{ 0, 0, value });
    }

    pub fn setrlimit(_: Calls, resource: u32, limits: *const [2]u64) i32 {
        return linux.result(.prlimit64, .{ 0, resource, limits, null });
    }

    pub fn setsid(_: Calls) i32 {
        return linux.result(.setsid, .{});
    }

    pub fn setpgid(_: Calls, group: i32) i32 {
        return linux.result(.setpgid, .{ 0, group });
    }

    pub fn getpid(_: Calls) i32 {
        return linux.result(.getpid, .{});
    }

    pub fn putInFront(_: Calls, terminal: i32, group: *const i32) i32 {
        return linux.result(.ioctl, .{ terminal, TIOCSPGRP, group });
    }

    pub fn chroot(_: Calls, path: plans.String) i32 {
        return linux.result(.chroot, .{path});
    }

    pub fn chdir(_: Calls, path: plans.String) i32 {
        return linux.result(.chdir, .{path});
    }

    pub fn umask(_: Calls, mask: u32) i32 {
        return @min(0, linux.result(.umask, .{mask}));
    }

    pub fn setgroups(_: Calls, groups: []const u32) i32 {
        return linux.result(.setgroups, .{ groups.len, groups.ptr });
    }

    pub fn setgid(calls: Calls, id: u32) i32 {
        return hide(calls.plan, .setgid, id);
    }

    pub fn setuid(calls: Calls, id: u32) i32 {
        return hide(calls.plan, .setuid, id);
    }

    pub fn duplicate(_: Calls, fd: i32, above: i32) i32 {
        return linux.result(.fcntl, .{ fd, linux.F_DUPFD_CLOEXEC, above });
    }

    pub fn place(_: Calls, source: i32, target: i32) i32 {
        return linux.result(.dup3, .{ source, target, 0 });
    }

    pub fn keep(_: Calls, fd: i32) i32 {
        return linux.result(.fcntl, .{ fd, linux.F_SETFD, 0 });
    }

    pub fn close(_: Calls, fd: i32) i32 {
        return linux.result(.close, .{fd});
    }

    pub fn closeFrom(calls: Calls, first: u32) i32 {
        return closeAbove(calls.plan, first);
    }

    pub fn giveUpTerminal(_: Calls) i32 {
        return linux.result(.ioctl, .{ 0, TIOCNOTTY, 0 });
    }

    pub fn takeTerminal(_: Calls, terminal: i32) i32 {
        return linux.result(.ioctl, .{ terminal, TIOCSCTTY, 1 });
    }

    pub fn traceMe(_: Calls) i32 {
        return linux.result(.ptrace, .{ 0, 0, 0, 0 });
    }

    pub fn unblockSignals(_: Calls) i32 {
        const none: u64 = 0;
        return linux.result(.rt_sigprocmask, .{ linux.SIG_SETMASK, &none, null, 8 });
    }

    pub fn execve(_: Calls, path: plans.String, argv: plans.Strings, envp: plans.Strings) i32 {
        return linux.result(.execve, .{ path, argv, envp });
    }

    pub fn pause(_: Calls, milliseconds: i32) void {
        const time: linux.Timespec = .{ .sec = 0, .nsec = @as(i64, milliseconds) * 1_000_000 };
        _ = linux.call(.nanosleep, .{ &time, null });
    }
};

/// Changes an id, and shows the copy of the parent's memory to nobody from then on: with fs.suid_dumpable 1 the kernel lets
/// the new user read it. execve ends that.
fn hide(plan: *const Plan, comptime number: linux.Number, id: u32) i32 {
    const PR_SET_DUMPABLE = 4;
    const answer = linux.result(number, .{id});
    if (plan.hides and answer >= 0) return linux.result(.prctl, .{ PR_SET_DUMPABLE, 0, 0, 0, 0 });
    return answer;
}

/// The runtimes ignore SIGPIPE and SIGXFSZ, and glibc's posix_spawn leaves 32 and 33 ignored in who
/// it starts; the child gets those four at their defaults. What else is ignored stays so (nohup).
fn resetAll(plan: *const Plan) i32 {
    const default: linux.KernelSigaction = .{};
    if (!plan.handlers_cleared) {
        var number: u32 = 1;
        while (number <= 64) : (number += 1) {
            var current: linux.KernelSigaction = .{};
            _ = linux.call(.rt_sigaction, .{ number, null, &current, 8 });
            // 0 is SIG_DFL and 1 is SIG_IGN: both survive exec as they are.
            if (current.handler <= 1) continue;
            _ = linux.call(.rt_sigaction, .{ number, &default, null, 8 });
        }
    }
    for ([_]u32{ linux.SIGPIPE, linux.SIGXFSZ, 32, 33 }) |number| {
        const answer = linux.result(.rt_sigaction, .{ number, &default, null, 8 });
        if (answer < 0) return answer;
    }
    return 0;
}

/// Closes, and does not merely mark: a path such as /proc/self/fd/7 must not reach, before exec,
/// what the child was not given (CVE-2024-21626).
fn closeAbove(plan: *const Plan, first: u32) i32 {
    const last = std.math.maxInt(u32);
    const kept = plan.exec_pipe;
    if (plan.lacks(.close_range)) return closeListed(first, kept);
    if (kept < 0) return linux.result(.close_range, .{ first, last, 0 });
    if (kept > first) {
        const answer = linux.result(.close_range, .{ first, kept - 1, 0 });
        if (answer < 0) return answer;
    }
    return linux.result(.close_range, .{ kept + 1, last, 0 });
}

/// /proc/self/fd, or -1. Not before the root has changed, though it may not be there then: a chdir to /proc/self/fd/N
/// would lead out of a chroot by it (CVE-2024-21626). Another directory of that name would say, if it is empty, that there
/// is nothing to close.
fn openListing() i32 {
    const directory = linux.result(.openat, .{
        linux.AT_FDCWD,
        "/proc/self/fd",
        linux.O_DIRECTORY | linux.O_CLOEXEC,
        0,
    });
    if (directory < 0 or linux.isProc(directory)) return directory;
    linux.close(directory);
    return -1;
}

/// Without close_range (Linux < 5.9): read /proc/self/fd and close what is there, but for `kept`. The
/// listing is read again until nothing is left, as closing while reading may skip entries.
pub fn closeListed(first: u32, kept: i32) i32 {
    const directory = openListing();
    if (directory < 0) return closeAll(first, kept);
    while (true) {
        var closed_some = false;
        _ = linux.call(.lseek, .{ directory, 0, 0 });
        while (true) {
            var buffer: [1024]u8 align(8) = undefined;
            const length = linux.result(.getdents64, .{ directory, &buffer, buffer.len });
            if (length < 0) return length;
            if (length == 0) break;
            var offset: usize = 0;
            while (offset < @as(usize, @intCast(length))) {
                // struct linux_dirent64: ino, off, reclen, type, name.
                const record_length = std.mem.readInt(u16, buffer[offset + 16 ..][0..2], .little);
                const fd = decimal.before(0, buffer[offset + 19 ..]) orelse {
                    offset += record_length;
                    continue;
                };
                offset += record_length;
                if (fd < first or fd == directory or fd == kept) continue;
                linux.close(fd);
                closed_some = true;
            }
        }
        if (!closed_some) break;
    }
    // Close-on-exec would do; unless it stands where nothing may.
    linux.close(directory);
    return 0;
}

/// The last resort, without /proc: every number there can be. Below a limit that was lowered since there may be
/// higher ones.
fn closeAll(first: u32, kept: i32) i32 {
    var limit: [2]u64 = .{ 1024, 1024 };
    const RLIMIT_NOFILE = 7;
    _ = linux.call(.prlimit64, .{ 0, RLIMIT_NOFILE, null, &limit });
    var fd: u64 = first;
    while (fd < std.math.clamp(limit[1], 1 << 16, 1 << 20)) : (fd += 1) {
        if (fd != kept) _ = linux.call(.close, .{fd});
    }
    return 0;
}

test "issue 15, 6: a directory that is only called /proc/self/fd is no list of descriptors" {
    if (linux.result(.geteuid, .{}) != 0) return error.SkipZigTest;
    var buffer: [64]u8 = undefined;
    const root = try std.fmt.bufPrintSentinel(&buffer, "/tmp/osexec-proc-{d}", .{linux.result(.getpid, .{})}, 0);
    var paths: [3][96]u8 = undefined;
    for ([_][]const u8{ "", "/proc", "/proc/self", "/proc/self/fd" }, 0..) |below, index| {
        const path = if (index == 0) root else try std.fmt.bufPrintSentinel(&paths[index - 1], "{s}{s}", .{ root, below }, 0);
        try std.testing.expectEqual(0, linux.result(.mkdirat, .{ linux.AT_FDCWD, path.ptr, 0o755 }));
    }
    defer {
        var index: usize = paths.len;
        const AT_REMOVEDIR = 0x200;
        while (index > 0) : (index -= 1) _ = linux.call(.unlinkat, .{ linux.AT_FDCWD, @as([*]u8, &paths[index - 1]), AT_REMOVEDIR });
        _ = linux.call(.unlinkat, .{ linux.AT_FDCWD, root.ptr, AT_REMOVEDIR });
    }
    const true_one = openListing();
    try std.testing.expect(true_one >= 0);
    linux.close(true_one);
    const pid = std.c.fork();
    if (pid == 0) {
        _ = linux.call(.chroot, .{root.ptr});
        _ = linux.call(.exit_group, .{@as(i32, if (openListing() < 0) 0 else 1)});
    }
    var status: i32 = -1;
    _ = linux.retry(.wait4, .{ pid, &status, 0, null });
    try std.testing.expectEqual(0, status);
}
