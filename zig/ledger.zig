//! Whose descriptors are whose: the pidfds of a thread's children, and its ends of their pipes.
//!
//! A JavaScript thread that is terminated (a Worker) gives nothing back. Here every such descriptor has the number of the
//! thread that was given it, so that once that thread is gone its children are reaped, and what it had is closed: by the
//! thread of a reactor, which has nothing else to do, and in passing by whoever makes another one.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("abi.zig");
const linux = @import("linux.zig");
const system = @import("system.zig").system;
const waiting = @import("wait.zig");

/// By descriptor: the owner's number, or 0.
var owners: ?[*]u32 = null;
var owners_len: u32 = 0;
/// One more than the highest descriptor that has ever had an owner.
var end: u32 = 0;
var lock: system.Lock = .{};
/// Somebody is closing what dead threads had.
var busy: bool = false;

/// Notes that `fd` is this thread's. What has no room is nobody's.
pub fn own(fd: i32) void {
    const word = wordOf(fd, true) orelse return;
    @atomicStore(u32, word, @bitCast(system.threadId()), .release);
    _ = @atomicRmw(u32, &end, .Max, @as(u32, @intCast(fd)) + 1, .acq_rel);
}

/// Before `fd` is closed.
pub fn disown(fd: i32) void {
    const word = wordOf(fd, false) orelse return;
    @atomicStore(u32, word, 0, .release);
}

fn wordOf(fd: i32, make: bool) ?*u32 {
    const known = @atomicLoad(?[*]u32, &owners, .acquire) orelse
        (if (make) table() else null) orelse return null;
    return if (fd >= 0 and fd < owners_len) &known[@intCast(fd)] else null;
}

fn table() ?[*]u32 {
    lock.acquire();
    defer lock.release();
    if (owners) |known| return known;
    // Address space alone, but for the pages that are written to.
    const count: u32 = @intCast(std.math.clamp(system.descriptorsMax(), 1024, 1 << 24));
    const memory = system.map(
        @as(usize, count) * 4,
        system.PROT_READ | system.PROT_WRITE,
        system.MAP_PRIVATE | system.MAP_NORESERVE,
    ) orelse return null;
    owners_len = count;
    @atomicStore(?[*]u32, &owners, @ptrCast(memory), .release);
    return owners;
}

/// Reaps and closes what threads had that are gone. `stay`: until no child of theirs runs any more; otherwise only what
/// can be done at once.
pub fn settleDead(stay: bool) void {
    while (@atomicRmw(bool, &busy, .Xchg, true, .acquire)) {
        if (!stay) return;
        pause(null, 0);
    }
    defer @atomicStore(bool, &busy, false, .release);
    var running: [64]abi.Poll = undefined;
    while (true) {
        const count = pass(&running);
        if (!stay or count == 0) return;
        pause(&running, count);
    }
}

/// Answers how many of `running` have been filled in: children that go on.
fn pass(running: *[64]abi.Poll) u32 {
    const known = @atomicLoad(?[*]u32, &owners, .acquire) orelse return 0;
    var count: u32 = 0;
    var alive: u32 = 0;
    for (known[0..@min(@atomicLoad(u32, &end, .acquire), owners_len)], 0..) |*word, fd| {
        const owner = @atomicLoad(u32, word, .acquire);
        if (owner == 0 or owner == alive) continue;
        if (system.isThread(@bitCast(owner))) {
            alive = owner;
            continue;
        }
        if (!hasEnded(@intCast(fd))) {
            if (count == running.len) continue;
            running[count] = .{ .fd = @intCast(fd), .events = 1, .revents = 0 };
            count += 1;
        } else if (@cmpxchgStrong(u32, word, owner, 0, .acq_rel, .monotonic) == null) {
            if (isKnown(@intCast(fd))) system.close(@intCast(fd));
        }
    }
    return count;
}

/// False: it is the pidfd of a child that runs. Reaps one that has ended.
fn hasEnded(fd: i32) bool {
    if (builtin.os.tag != .linux) return true;
    var info: linux.ChildInfo = .{};
    const options = linux.WEXITED | linux.WNOHANG | linux.WALL;
    const answer = linux.retry(.waitid, .{ linux.P_PIDFD, fd, &info, options, null });
    return answer < 0 or (info.pid != 0 and waiting.isEnd(info.code));
}

/// Whether it is what it was when it got its owner: a number that somebody else has closed may be another file's.
fn isKnown(fd: i32) bool {
    const S_IFMT = 0o170000;
    const S_IFIFO = 0o010000;
    const mode = system.openMode(fd);
    if (mode >= 0 and mode & S_IFMT == S_IFIFO) return true;
    if (builtin.os.tag != .linux) return false;
    var info: linux.ChildInfo = .{};
    const options = linux.WEXITED | linux.WNOHANG | linux.WNOWAIT | linux.WALL;
    // ECHILD alone is said of the pidfd of a process that has been reaped.
    return linux.retry(.waitid, .{ linux.P_PIDFD, fd, &info, options, null }) == linux.negative(.CHILD);
}

fn pause(running: ?*[64]abi.Poll, count: u32) void {
    var none: [1]abi.Poll = undefined;
    _ = system.poll(if (running) |entries| entries else &none, count, 200);
}

const testing = std.testing;

test "what a thread has owned is closed once it is gone, and not before" {
    const Owner = struct {
        var ends: [2]i32 = undefined;
        var goes: bool = false;

        fn run() void {
            own(ends[0]);
            own(ends[1]);
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
    settleDead(true);
    try testing.expect(system.fcntl(Owner.ends[0], system.F_GETFD, 0) < 0);
    // This one it had given up.
    try testing.expect(system.fcntl(Owner.ends[1], system.F_GETFD, 0) >= 0);
}
