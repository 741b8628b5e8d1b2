//! exec: this process becomes the program.

const std = @import("std");
const options = @import("options");
const abi = @import("../abi/abi.zig");
const arenas = @import("arena.zig");
const files = @import("../files/files.zig");
const linux = @import("../os/linux.zig");
const outcome = @import("outcome.zig");
const plans = @import("../child/plan.zig");
const requests = @import("request.zig");
const spawn_libc = @import("spawn_libc.zig");
const system = @import("../os/system.zig").system;
const Plan = plans.Plan;

/// Why execve refused; everything is as it was before.
fn replaceRaw(plan: *const Plan) i32 {
    const default: linux.KernelSigaction = .{};
    const numbers = [_]u32{ linux.SIGPIPE, linux.SIGXFSZ };
    var before: [numbers.len]linux.KernelSigaction = @splat(.{});
    for (numbers, &before) |number, *old| {
        _ = linux.call(.rt_sigaction, .{ number, &default, old, 8 });
    }
    const mask = linux.maskSignals(0);
    const failure = linux.result(.execve, .{ plan.path, plan.argv, plan.envp });
    _ = linux.maskSignals(mask);
    for (numbers, &before) |number, *old| {
        _ = linux.call(.rt_sigaction, .{ number, old, null, 8 });
    }
    return failure;
}

/// With 0, 1 and 2 open in the program that it becomes: Node marks them close-on-exec on its start.
fn replaceWithStdio(plan: *const Plan) i32 {
    var marks: [3]i32 = undefined;
    for (&marks, 0..) |*mark, fd| {
        mark.* = system.fcntl(@intCast(fd), system.F_GETFD, 0);
        if (mark.* > 0) _ = system.fcntl(@intCast(fd), system.F_SETFD, 0);
    }
    const failure = switch (options.child) {
        .raw => replaceRaw(plan),
        .libc => spawn_libc.replace(plan),
    };
    for (marks, 0..) |mark, fd| {
        if (mark > 0) _ = system.fcntl(@intCast(fd), system.F_SETFD, mark);
    }
    return failure;
}

/// Replaces this process's image: returns only when that failed, with everything as it was before.
pub fn replace(bytes: []const u8, answer: *abi.Answer) void {
    answer.* = .nothing;
    const needed = requests.capacity(bytes) catch |err| return outcome.refuse(answer, err);
    var spare: arenas.Arena = undefined;
    const arena = arenas.acquire(needed, &spare, null) orelse {
        return outcome.fail(answer, .clone, linux.negative(.NOMEM));
    };
    defer arenas.release(arena, &spare);
    const plan = requests.parse(bytes, arena.room()) catch |err| return outcome.refuse(answer, err);
    // What can be known is known first: with SIGPIPE at its default a write to a pipe that nobody reads, by another
    // thread, ends this process.
    const refused = files.executable(plan.path, @intCast(std.mem.len(plan.path) + 1));
    const failure = if (refused == system.negative(.ISDIR))
        // execve's word for it.
        system.negative(.ACCES)
    else if (refused < 0)
        refused
    else
        replaceWithStdio(plan);
    answer.step = outcome.indexOf(plan, .exec);
    answer.errno = -failure;
}
