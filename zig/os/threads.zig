//! Threads, from the host's own pthread_create: a thread made by a bare clone would be unknown to
//! libc, which would leave it out of a setuid of the whole process (measured).

const abi = @import("../abi/abi.zig");
const libc = @import("libc.zig");
const shared = @import("shared.zig");
const system = @import("system.zig").system;

pub const Main = *const fn (?*anyopaque) callconv(.c) ?*anyopaque;

const pthread_create = libc.function(
    "pthread_create",
    fn (*usize, ?*const anyopaque, Main, ?*anyopaque) callconv(.c) i32,
);
const pthread_detach = libc.function("pthread_detach", fn (usize) callconv(.c) i32);

/// For threads of the library's own.
pub fn pause(milliseconds: i32) void {
    var none: [1]abi.Poll = undefined;
    _ = system.poll(&none, 0, milliseconds);
}

/// Starts a detached thread with its signals blocked: they are the host's to handle.
pub fn start(main: Main, context: ?*anyopaque) i32 {
    const create = pthread_create orelse return system.negative(.NOSYS);
    const detach = pthread_detach orelse return system.negative(.NOSYS);
    if (!shared.pin()) return system.negative(.NOMEM);
    const before = system.maskSignals(system.sigset_thread);
    defer _ = system.maskSignals(before);
    var thread: usize = 0;
    const answer = create(&thread, null, main, context);
    if (answer != 0) return -answer;
    _ = detach(thread);
    return 0;
}
