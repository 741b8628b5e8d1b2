//! Watching a process that has no descriptor, where the poller cannot: a thread that blocks until the
//! process can be waited for, tells, and ends. Go does so for every wait; here it is the last rung
//! (Linux < 5.3, a sandbox, qemu-user).
//!
//! Nothing can call such a thread back, so one may outlive the interest in its process, but not the
//! process; all it holds meanwhile is what `release` lets go of.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const system = @import("../os/system.zig").system;
const threads = @import("../os/threads.zig");
const waiting = @import("../wait/wait.zig");

/// Whom to tell. The pointer stays good from `start` until `done` is called, from another thread.
pub const Listener = struct {
    context: *anyopaque,
    done: *const fn (context: *anyopaque, pid: i32, token: u32) void,
};

const Watch = struct { pid: i32, token: u32, listener: Listener };

/// 0, and `listener.done` will be called once; or -errno, and it will not.
pub fn start(pid: i32, token: u32, listener: Listener) i32 {
    const writable = system.PROT_READ | system.PROT_WRITE;
    const page = system.map(@sizeOf(Watch), writable, system.MAP_PRIVATE) orelse {
        return system.negative(.NOMEM);
    };
    const watch: *Watch = @ptrCast(@alignCast(page));
    watch.* = .{ .pid = pid, .token = token, .listener = listener };
    const answer = threads.start(run, watch);
    if (answer < 0) system.unmap(page, @sizeOf(Watch));
    return answer;
}

fn run(context: ?*anyopaque) callconv(.c) ?*anyopaque {
    const page: *Watch = @ptrCast(@alignCast(context.?));
    const watch = page.*;
    system.unmap(@ptrCast(page), @sizeOf(Watch));
    var exit: abi.Exit = undefined;
    // Whatever it answers: the caller's own wait will hear the same.
    _ = waiting.wait(watch.pid, -1, @backingInt(abi.Wait.nowait), &exit);
    watch.listener.done(watch.listener.context, watch.pid, watch.token);
    return null;
}
