//! Threads, from the host's own pthread_create: a thread made by a bare clone would be unknown to
//! libc, which would leave it out of a setuid of the whole process (measured, research/cores.md
//! finding 12). The symbols are weak, so that the library needs no libc of its own.

const linux = @import("linux.zig");
const shared = @import("shared.zig");

pub const Main = *const fn (?*anyopaque) callconv(.c) ?*anyopaque;

const pthread_create = @extern(
    ?*const fn (*usize, ?*const anyopaque, Main, ?*anyopaque) callconv(.c) i32,
    .{ .name = "pthread_create", .linkage = .weak },
);
const pthread_detach = @extern(
    ?*const fn (usize) callconv(.c) i32,
    .{ .name = "pthread_detach", .linkage = .weak },
);

/// All but the signals libc keeps for itself (32 to 34): a thread that blocks those would hang every
/// setuid of the process.
const mask = linux.sigset_all & ~@as(u64, 0b111 << 31);

/// Starts a detached thread with its signals blocked: they are the host's to handle.
pub fn start(main: Main, context: ?*anyopaque) i32 {
    const create = pthread_create orelse return linux.negative(.NOSYS);
    const detach = pthread_detach orelse return linux.negative(.NOSYS);
    shared.pin();
    const before = linux.maskSignals(mask);
    defer _ = linux.maskSignals(before);
    var thread: usize = 0;
    const answer = create(&thread, null, main, context);
    if (answer != 0) return -answer;
    _ = detach(thread);
    return 0;
}
