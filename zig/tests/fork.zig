//! Processes for the tests of a child's steps: what one does to itself is seen in it, and gone with it.

const std = @import("std");
const linux = @import("../os/linux.zig");

const passed = 0;
const failed = 1;
const skipped = 2;

/// Runs `body` in a process of its own. What it prints when an expectation fails is seen; error.SkipZigTest skips the test.
pub fn inChild(argument: anytype, comptime body: fn (@TypeOf(argument)) anyerror!void) !void {
    const pid = std.c.fork();
    if (pid < 0) return error.NoFork;
    if (pid == 0) end(if (body(argument)) passed else |err| switch (err) {
        error.SkipZigTest => skipped,
        else => failed,
    });
    return switch (statusOf(pid)) {
        passed << 8 => {},
        skipped << 8 => error.SkipZigTest,
        failed << 8 => error.FailedInChild,
        else => |status| {
            std.debug.print("the child ended with status {x}\n", .{status});
            return error.ChildDied;
        },
    };
}

/// The status with which a process ends that runs `body`, which is to end it.
pub fn statusAfter(argument: anytype, comptime body: fn (@TypeOf(argument)) i32) !i32 {
    const pid = std.c.fork();
    if (pid < 0) return error.NoFork;
    if (pid == 0) end(body(argument));
    return statusOf(pid);
}

/// A process that does nothing, to be changed from outside.
pub const Held = struct {
    pid: i32,

    pub fn start() !Held {
        const pid = std.c.fork();
        if (pid < 0) return error.NoFork;
        if (pid == 0) {
            const PR_SET_PDEATHSIG = 1;
            _ = linux.call(.prctl, .{ PR_SET_PDEATHSIG, linux.SIGKILL, 0, 0, 0 });
            while (true) _ = linux.call(.ppoll, .{ null, 0, null, null, 0 });
        }
        return .{ .pid = pid };
    }

    pub fn end(held: Held) void {
        _ = linux.call(.kill, .{ held.pid, linux.SIGKILL });
        _ = statusOf(held.pid);
    }
};

fn end(code: i32) noreturn {
    while (true) _ = linux.call(.exit_group, .{code});
}

fn statusOf(pid: i32) i32 {
    var status: i32 = -1;
    _ = linux.retry(.wait4, .{ pid, &status, 0, null });
    return status;
}
