//! /in the child process/: everything between clone and execve, and nothing else.
//!
//! The contract, which every line here keeps:
//! - Raw system calls on memory that was prepared before the clone. No allocation, no lock taken,
//!   no libc, no std function that may panic or log, no thread-local. The child usually shares the
//!   parent's whole memory and its thread is suspended: whatever it writes, the parent will find.
//! - It never returns. It ends in execve, or in exit with the failure in the report.
//! - All 64 signals are blocked from before the clone until the step before exec, so that no
//!   handler of the host runs here and no stop signal halts a half-made child (go.dev/issue/18600).
//! - No other file runs in the child, but for the system call itself (`linux.zig`), the walk over
//!   the records (`plan.zig`) and the descriptor map (`descriptors.zig`).
//!
//! A step is one row in `abi.zig`'s table and one case below; the reason for its place is here.

const std = @import("std");
const abi = @import("abi.zig");
const descriptors = @import("descriptors.zig");
const linux = @import("linux.zig");
const plans = @import("plan.zig");
const Plan = plans.Plan;

/// Never seen by anyone but a wait that races the report: the parent reaps a failed child itself.
const exit_failed = 253;

/// How often, and with which first pause, an exec is tried that meets a file open for writing. Some
/// sibling between clone and exec holds the descriptor, so the wait is short (go.dev/issue/22315);
/// pauses double: 63 ms in all.
const text_busy_tries = 7;
const text_busy_pause_ns = 500_000;

pub fn main(context: *anyopaque) callconv(.c) noreturn {
    const plan: *Plan = @ptrCast(@alignCast(context));
    const report = plan.report;
    report.witness = 1;
    var error_number: i32 = 0;
    // Before anything else, as until then the descriptor table is the parent's own.
    if (plan.unshare_from != 0) {
        error_number = linux.result(.close_range, .{
            plan.unshare_from,
            std.math.maxInt(u32),
            linux.CLOSE_RANGE_UNSHARE,
        });
    }
    var records: plans.Iterator = .{ .bytes = plan.steps };
    var index: u32 = 0;
    while (error_number >= 0) : (index += 1) {
        const record = records.next() orelse unreachable;
        report.step = index;
        error_number = run(plan, record.step, record.payload);
        if (error_number < 0) break;
    }
    report.errno = -error_number;
    report.state = .failed;
    while (true) _ = linux.call(.exit_group, .{exit_failed});
}

fn run(plan: *Plan, step: abi.Step, payload: []align(8) const u8) i32 {
    const words: [*]align(8) const u32 = @ptrCast(payload.ptr);
    return switch (step) {
        // First, while everything is blocked: from the unmasking on, no handler may be left whose
        // code the new image will not have.
        .sigaction => resetHandlers(plan),
        // The session before the group: setpgid would make a group leader, whom setsid refuses.
        .setsid => linux.result(.setsid, .{}),
        .setpgid => linux.result(.setpgid, .{ 0, words[0] }),
        // With the privileges still there, and before chdir, which is meant inside the new root.
        // "/" first: a working directory outside the new root is the way out of it.
        .chroot => chroot(payload),
        // Groups, group, user: each takes away the right to do the one before it.
        .setgroups => linux.result(.setgroups, .{ payload.len / 4, words }),
        .setgid => linux.result(.setgid, .{words[0]}),
        .setuid => linux.result(.setuid, .{words[0]}),
        // As the new user, as in Go: whether the directory may be entered is theirs to answer.
        .chdir => linux.result(.chdir, .{payload.ptr}),
        // After every step that may use one of the parent's descriptors.
        .fd => descriptors.install(Calls{}, plan, @bitCast(words[1])),
        .close_range => closeFrom(plan, words[0]),
        // One call before exec: pending stop and kill signals act from here on.
        .sigprocmask => blk: {
            const none: u64 = 0;
            break :blk linux.result(.rt_sigprocmask, .{ linux.SIG_SETMASK, &none, null, 8 });
        },
        .exec => exec(plan),
    };
}

/// The runtimes ignore SIGPIPE and SIGXFSZ, and glibc's posix_spawn leaves 32 and 33 ignored in who
/// it starts; the child gets those four at their defaults. What else is ignored stays so (nohup).
fn resetHandlers(plan: *const Plan) i32 {
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

fn chroot(path: []const u8) i32 {
    const answer = linux.result(.chroot, .{path.ptr});
    if (answer < 0) return answer;
    return linux.result(.chdir, .{"/"});
}

/// How `descriptors.zig` reaches the kernel from here.
const Calls = struct {
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
};

/// Closes, and does not merely mark: a path such as /proc/self/fd/7 must not reach, before exec,
/// what the child was not given (CVE-2024-21626).
fn closeFrom(plan: *const Plan, first: u32) i32 {
    if (plan.has_close_range) {
        return linux.result(.close_range, .{ first, std.math.maxInt(u32), 0 });
    }
    return closeListed(first, -1);
}

/// Without close_range (Linux < 5.9): read /proc/self/fd and close what is there, but for `kept`. The
/// listing is read again until nothing is left, as closing while reading may skip entries.
pub fn closeListed(first: u32, kept: i32) i32 {
    const directory = linux.result(.openat, .{
        linux.AT_FDCWD,
        "/proc/self/fd",
        linux.O_DIRECTORY | linux.O_CLOEXEC,
        0,
    });
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
                const fd = decimal(buffer[offset + 19 ..]) orelse {
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

/// The last resort, in a chroot without /proc: every number there can be.
fn closeAll(first: u32, kept: i32) i32 {
    var limit: [2]u64 = .{ 1024, 1024 };
    const RLIMIT_NOFILE = 7;
    _ = linux.call(.prlimit64, .{ 0, RLIMIT_NOFILE, null, &limit });
    var fd: u64 = first;
    while (fd < @min(limit[1], 1 << 20)) : (fd += 1) {
        if (fd != kept) _ = linux.call(.close, .{fd});
    }
    return 0;
}

fn decimal(name: []const u8) ?i32 {
    var value: i32 = 0;
    for (name, 0..) |byte, index| {
        if (byte == 0) return if (index == 0) null else value;
        if (byte < '0' or byte > '9') return null;
        value = value *% 10 +% (byte - '0');
    }
    return null;
}

/// Returns only when it failed.
fn exec(plan: *const Plan) i32 {
    var pause: linux.Timespec = .{ .sec = 0, .nsec = text_busy_pause_ns };
    var tries: u32 = 0;
    while (true) : (tries += 1) {
        plan.report.state = .execing;
        const answer = linux.result(.execve, .{ plan.path, plan.argv, plan.envp });
        plan.report.state = .started;
        if (answer != linux.negative(.TXTBSY) or tries == text_busy_tries) return answer;
        _ = linux.call(.nanosleep, .{ &pause, null });
        pause.nsec *%= 2;
    }
}
