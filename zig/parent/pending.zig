//! Starts that nobody waited for: made, but not yet known to have reached execve.
//!
//! A thread that vforks stands still until the child has called execve, 50 µs of the 100 that a start
//! takes; one that clones with CLONE_VM alone is free after 12 (measured), while the child does its
//! steps on another processor. What the child runs on, its stack and its plan, must then outlive the
//! call: it stays in here until the kernel has cleared `child_tid`, which it does at the very point at
//! which a vfork would end.
//!
//! An entry belongs to whoever started it until it is settled; what the child ran on is let go of
//! earlier, as soon as somebody else needs it.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const arenas = @import("arena.zig");
const plans = @import("../child/plan.zig");
const linux = @import("../os/linux.zig");
const wait_linux = @import("../wait/wait_linux.zig");

/// All zeros when free, so that the table takes no room in the library's file.
const Entry = struct {
    taken: bool = false,
    /// The thread that is to settle it.
    owner: i32 = 0,
    /// Null once the child has left: then `outcome` tells how.
    arena: ?*arenas.Arena = null,
    plan: ?*plans.Plan = null,
    outcome: plans.Report = std.mem.zeroes(plans.Report),
};

/// A start that finds no room waits for its exec, as any other.
const entries_max = 256;

var lock: linux.Lock = .{};
var entries: [entries_max]Entry = @splat(.{});
/// Where to look first, so that few of many are looked at.
var next_free: usize = 0;

/// Room for a start, or null. To be taken before the clone.
pub fn reserve() ?i32 {
    lock.acquire();
    defer lock.release();
    return find() orelse {
        forgetDead();
        return find();
    };
}

fn find() ?i32 {
    for (0..entries_max) |offset| {
        const index = (next_free + offset) % entries_max;
        if (entries[index].taken) continue;
        entries[index] = .{ .taken = true, .owner = linux.threadId() };
        next_free = index + 1;
        return @intCast(index);
    }
    return null;
}

/// Those of a thread that was terminated meanwhile are nobody's to settle, once their children have left.
fn forgetDead() void {
    for (&entries) |*entry| {
        if (linux.isThread(entry.owner)) continue;
        if (entry.arena == null or leave(entry, false) == 0) entry.taken = false;
    }
}

/// There is no child after all.
pub fn cancel(index: i32) void {
    lock.acquire();
    defer lock.release();
    entries[@intCast(index)].taken = false;
}

/// The child runs on `arena`, which is `pending`'s from now on.
pub fn keep(index: i32, arena: *arenas.Arena, plan: *plans.Plan) void {
    lock.acquire();
    defer lock.release();
    const entry = &entries[@intCast(index)];
    entry.arena = arena;
    entry.plan = plan;
}

/// Waits until the child has called execve or has gone, answers how far it came, and forgets the entry.
/// `pid`: the child's, or 0: it has been reaped. Null: there is no such entry.
pub fn settle(index: i32, pid: i32) ?plans.Report {
    if (index < 0 or index >= entries_max) return null;
    const entry = &entries[@intCast(index)];
    var ended = pid == 0;
    while (true) {
        lock.acquire();
        if (!entry.taken) {
            lock.release();
            return null;
        }
        const tid = leave(entry, ended);
        if (tid == 0) {
            entry.taken = false;
            next_free = @intCast(index);
            const outcome = entry.outcome;
            lock.release();
            return outcome;
        }
        // Kept mapped for good, so that a look that comes late reads another start's at worst.
        const word = &entry.plan.?.child_tid;
        lock.release();
        ended = wait_linux.waitCleared(word, tid, pid);
    }
}

/// Lets go of all memory that no child runs on any more.
pub fn reclaim() void {
    lock.acquire();
    defer lock.release();
    for (&entries) |*entry| {
        if (entry.taken) _ = leave(entry, false);
    }
}

/// Under the lock. 0: the child has left, and what it ran on is let go of.
fn leave(entry: *Entry, ended: bool) u32 {
    const arena = entry.arena orelse return 0;
    const plan = entry.plan.?;
    const tid = @atomicLoad(u32, &plan.child_tid, .acquire);
    if (tid != 0 and !ended) return tid;
    entry.outcome = plan.report.*;
    arenas.releaseKept(arena);
    entry.arena = null;
    return 0;
}

test "an entry is settled once the child has left" {
    var plan: plans.Plan = undefined;
    var report: plans.Report = .{ .state = .failed, .step = 3, .errno = 2 };
    plan.report = &report;
    plan.child_tid = 0;
    var spare: arenas.Arena = undefined;
    const arena = arenas.acquire(0, &spare, null).?;
    const index = reserve().?;
    keep(index, arena, &plan);
    const outcome = settle(index, 1).?;
    try std.testing.expectEqual(plans.Report.State.failed, outcome.state);
    try std.testing.expectEqual(3, outcome.step);
    try std.testing.expectEqual(null, settle(index, 1));
    // The memory is free again.
    const again = arenas.acquire(0, &spare, null).?;
    try std.testing.expectEqual(arena, again);
    arenas.release(again, &spare);
}

test "a child that has ended has left, even if the kernel did not say so" {
    var plan: plans.Plan = undefined;
    var report: plans.Report = .{ .state = .execing };
    plan.report = &report;
    plan.child_tid = 1;
    var spare: arenas.Arena = undefined;
    for ([_]i32{ 0, linux.result(.getpid, .{}) }) |pid| {
        const index = reserve().?;
        keep(index, arenas.acquire(0, &spare, null).?, &plan);
        // This process is no child of its own, so there is nobody to wait for.
        try std.testing.expectEqual(plans.Report.State.execing, settle(index, pid).?.state);
    }
}

test "entries run out, and come back" {
    var taken: [entries_max]i32 = undefined;
    for (&taken) |*index| index.* = reserve().?;
    try std.testing.expectEqual(null, reserve());
    for (taken) |index| cancel(index);
    const index = reserve().?;
    cancel(index);
}

test "issue 15, 5: the entries of a thread that is gone come back" {
    const Taker = struct {
        var number: i32 = 0;

        fn run() void {
            number = linux.threadId();
            for (0..entries_max) |_| _ = reserve();
        }
    };
    const thread = try std.Thread.spawn(.{}, Taker.run, .{});
    thread.join();
    // It may be joined a moment before the kernel lets go of it.
    while (linux.isThread(Taker.number)) linux.yield();
    const index = reserve() orelse return error.NoneLeft;
    cancel(index);
}
