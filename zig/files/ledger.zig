//! Whose descriptors are whose: the pidfds of a thread's children, and its ends of their pipes.
//!
//! A JavaScript thread that is terminated (a Worker) gives nothing back. Here every such descriptor has the number of the
//! thread that was given it, so that once that thread is gone its children are reaped, and what it had is closed: by the
//! thread of a reactor, which has nothing else to do, and in passing by whoever makes another one.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const linux = @import("../os/linux.zig");
const pty = @import("pty.zig");
const systems = @import("../os/system.zig");
const threads = @import("../os/threads.zig");
const wait_linux = @import("../wait/wait_linux.zig");
const Words = @import("../os/words.zig").Words;
const system = systems.system;

/// By descriptor: the owner's number, or 0.
var owners: Words = undefined;
var has_owners: bool = false;
/// One more than the highest descriptor that has ever had an owner.
var end: u32 = 0;
var lock: system.Lock = .{};
/// Somebody is closing what dead threads had.
var busy: bool = false;

/// Notes that these are this thread's. What has no room is nobody's.
pub fn own(descriptors: []const i32) void {
    if (!@atomicLoad(bool, &has_owners, .acquire) and !make()) return;
    const owner: u32 = @bitCast(system.threadId());
    for (descriptors) |fd| {
        @atomicStore(u32, owners.of(fd) orelse continue, owner, .release);
        _ = @atomicRmw(u32, &end, .Max, @as(u32, @intCast(fd)) + 1, .acq_rel);
    }
}

fn make() bool {
    lock.acquire();
    defer lock.release();
    if (has_owners) return true;
    owners = Words.map() orelse return false;
    @atomicStore(bool, &has_owners, true, .release);
    return true;
}

/// Before `fd` is closed.
pub fn disown(fd: i32) void {
    if (!@atomicLoad(bool, &has_owners, .acquire)) return;
    @atomicStore(u32, owners.of(fd) orelse return, 0, .release);
}

/// How long children of dead threads are left alone, in milliseconds, unless one of them ends.
const interval = 200;

/// Reaps and closes what threads had that are gone. `stay`: until no child of theirs runs any more; otherwise only what
/// can be done at once.
pub fn settleDead(stay: bool) void {
    while (@atomicRmw(bool, &busy, .Xchg, true, .acquire)) {
        if (!stay) return;
        threads.pause(interval);
    }
    defer @atomicStore(bool, &busy, false, .release);
    var running: [64]abi.Poll = undefined;
    while (true) {
        const count = pass(&running);
        if (!stay or count == 0) return;
        _ = system.poll(&running, count, interval);
    }
}

/// Answers how many of `running` have been filled in: children that go on.
fn pass(running: *[64]abi.Poll) u32 {
    if (!@atomicLoad(bool, &has_owners, .acquire)) return 0;
    var count: u32 = 0;
    var alive: u32 = 0;
    for (owners.all()[0..@atomicLoad(u32, &end, .acquire)], 0..) |*word, number| {
        const owner = @atomicLoad(u32, word, .acquire);
        if (owner == 0 or owner == alive) continue;
        if (system.isThread(@bitCast(owner))) {
            alive = owner;
            continue;
        }
        const fd: i32 = @intCast(number);
        const kind = kindOf(fd);
        if (kind != .running) {
            const is_ours = @cmpxchgStrong(u32, word, owner, 0, .acq_rel, .monotonic) == null;
            if (is_ours and kind != .foreign) system.close(fd);
        } else if (count < running.len) {
            running[count] = .{ .fd = fd, .events = 1, .revents = 0 };
            count += 1;
        }
    }
    return count;
}

/// What lies under a number that a dead thread had.
const Kind = enum {
    /// A child's pidfd.
    running,
    /// The same, of one that has been reaped, just now or by somebody else.
    ended,
    pipe,
    /// The controlling side of a terminal: closing it hangs up what runs there.
    terminal,
    /// Somebody else has closed it, and it may be anybody's.
    foreign,
};

fn kindOf(fd: i32) Kind {
    switch (systems.fileType(system.openMode(fd)) orelse return .foreign) {
        .fifo => return .pipe,
        .character => return if (pty.isControlling(fd)) .terminal else .foreign,
        else => {},
    }
    // No other system has pidfds.
    if (system != linux) return .foreign;
    return switch (wait_linux.ended(linux.P_PIDFD, fd, 0)) {
        0 => .running,
        1, linux.negative(.CHILD) => .ended,
        else => .foreign,
    };
}

const testing = std.testing;

test "what a thread has owned is closed once it is gone, and not before" {
    // Nowhere else has a thread a number here.
    if (system != linux) return error.SkipZigTest;
    const Owner = struct {
        var ends: [2]i32 = undefined;
        var goes: bool = false;
        var number: i32 = 0;

        fn run() void {
            number = system.threadId();
            own(&ends);
            disown(ends[1]);
            while (!@atomicLoad(bool, &goes, .acquire)) system.yield();
        }
    };
    try testing.expectEqual(0, system.pipe(&Owner.ends));
    defer system.close(Owner.ends[1]);
    const thread = try std.Thread.spawn(.{}, Owner.run, .{});
    settleDead(false);
    try testing.expect(system.fcntl(Owner.ends[0], system.F_GETFD, 0) >= 0);
    @atomicStore(bool, &Owner.goes, true, .release);
    thread.join();
    // It may be joined a moment before the kernel lets go of it.
    while (system.isThread(Owner.number)) threads.pause(1);
    settleDead(true);
    try testing.expect(system.fcntl(Owner.ends[0], system.F_GETFD, 0) < 0);
    // This one it had given up.
    try testing.expect(system.fcntl(Owner.ends[1], system.F_GETFD, 0) >= 0);
}
