//! The descriptor window: a few low descriptors, held for the moment of a clone.
//!
//! With CLONE_FILES and close_range(end, ~0, UNSHARE) as its first call, a child copies only the part
//! of the descriptor table below `end`, so that a start costs the same with ten descriptors open as
//! with 20,000 (measured: 119 µs against 2,660 µs). What the child is given must lie below `end`:
//! what does not is put into a slot here until the child has its own table.

const std = @import("std");
const linux = @import("../os/linux.zig");
const shared = @import("../os/shared.zig");
const system = @import("../os/system.zig").system;
const State = shared.Window;

/// Below it stay the numbers that shells and people use by hand.
const lowest = 10;
const word = 64;
/// A window that could not be had this low would save nothing: the copy costs about 30 ns an entry.
const highest = 256;

/// Where the copied part of the table ends. The kernel copies whole words of 64, so nothing is saved by
/// less; where no window could be had low, it has no slots, and serves who needs none.
pub fn boundary() u32 {
    const state = &shared.state().window;
    if (@atomicLoad(State.Stage, &state.stage, .acquire) == .unknown) reserve(state);
    return if (state.stage == .ready) state.end else word;
}

/// /dev/null, which is the window's, or -1: there is none, or the host has closed it.
pub fn nullDevice() i32 {
    _ = boundary();
    const state = &shared.state().window;
    return if (state.stage == .ready and isOurs(state, state.filler)) state.filler else -1;
}

fn reserve(state: *State) void {
    state.lock.acquire();
    defer state.lock.release();
    if (state.stage != .unknown) return;
    const opened = linux.retry(.openat, .{
        linux.AT_FDCWD,
        "/dev/null",
        linux.O_RDWR | linux.O_CLOEXEC,
        0,
    });
    const number = if (opened < 0) 0 else linux.fileNumber(opened);
    var count: usize = 0;
    if (opened >= 0) while (count < shared.slot_count) : (count += 1) {
        const slot = linux.result(.fcntl, .{ opened, linux.F_DUPFD_CLOEXEC, lowest });
        if (slot < 0) break;
        state.slots[count] = slot;
        if (slot >= highest) {
            count += 1;
            break;
        }
    };
    const whole = count == shared.slot_count and state.slots[count - 1] < highest and number != 0;
    if (!whole) {
        for (state.slots[0..count]) |slot| linux.close(slot);
        if (opened >= 0) linux.close(opened);
        @atomicStore(State.Stage, &state.stage, .unavailable, .release);
        return;
    }
    state.filler = opened;
    state.filler_number = number;
    state.end = @max(word, @as(u32, @intCast(state.slots[shared.slot_count - 1])) + 1);
    @atomicStore(u32, &state.taken, ~@as(u32, 0) << shared.slot_count, .release);
    @atomicStore(State.Stage, &state.stage, .ready, .release);
}

/// Whether copying the table of descriptors takes longer than a child does to reach execve. Looked at now and
/// then only: a start that is wrong about it is slow, and no more.
pub fn tableIsLarge() bool {
    const turn = @atomicRmw(u32, &turns, .Add, 1, .monotonic);
    if (turn % turns_kept == 0) @atomicStore(bool, &is_large, holdsMany(), .monotonic);
    return @atomicLoad(bool, &is_large, .monotonic);
}

const turns_kept = 16;
var turns: u32 = 0;
var is_large: bool = false;

/// By the lowest free number where nothing tells the count. The last number that a table has at first: any
/// higher one would make the kernel double the table, which takes 10 ms in a process with threads.
fn holdsMany() bool {
    const count = linux.openCount();
    if (count >= 0) return count >= highest;
    const state = &shared.state().window;
    if (state.stage != .ready) return true;
    const free = linux.result(.fcntl, .{ state.filler, linux.F_DUPFD_CLOEXEC, word - 1 });
    // No descriptor may have such a number: EINVAL. No other one is free: EMFILE.
    if (free < 0) return free != linux.negative(.INVAL);
    linux.close(free);
    return free >= word;
}

fn isOurs(state: *const State, fd: i32) bool {
    return linux.fileNumber(fd) == state.filler_number;
}

/// The slots of one start.
pub const Lease = struct {
    bits: u32 = 0,

    /// Puts `fd` into a free slot and answers the slot's number.
    pub fn add(lease: *Lease, fd: i32) error{ Full, NotOpen }!i32 {
        const state = &shared.state().window;
        // Without it what is put into a slot could not be taken out again.
        if (lease.bits == 0 and !isOurs(state, state.filler)) return error.Full;
        const index = while (take(&state.taken)) |free| {
            // A slot that the host has closed stays taken for good, as its number may be another file's.
            if (isOurs(state, state.slots[free])) break free;
        } else return error.Full;
        lease.bits |= @as(u32, 1) << index;
        const slot = state.slots[index];
        if (linux.result(.dup3, .{ fd, slot, linux.O_CLOEXEC }) < 0) return error.NotOpen;
        return slot;
    }

    fn take(taken: *u32) ?u5 {
        var current = @atomicLoad(u32, taken, .monotonic);
        while (current != std.math.maxInt(u32)) {
            const free: u5 = @intCast(@ctz(~current));
            const bit = @as(u32, 1) << free;
            current = @cmpxchgWeak(u32, taken, current, current | bit, .acquire, .monotonic) orelse
                return free;
        }
        return null;
    }

    /// Lets go of what the slots hold: a pipe's end left here would never reach its end of file.
    pub fn end(lease: *Lease) void {
        if (lease.bits == 0) return;
        const state = &shared.state().window;
        for (state.slots, 0..) |slot, index| {
            const bit = @as(u32, 1) << @intCast(index);
            if (lease.bits & bit == 0) continue;
            _ = linux.call(.dup3, .{ state.filler, slot, linux.O_CLOEXEC });
            _ = @atomicRmw(u32, &state.taken, .And, ~bit, .release);
        }
        lease.bits = 0;
    }
};

test "a lease holds a descriptor and lets go of it" {
    _ = boundary();
    if (shared.state().window.stage != .ready) return error.SkipZigTest;
    var ends: [2]i32 = undefined;
    try std.testing.expectEqual(0, linux.result(.pipe2, .{ &ends, linux.O_CLOEXEC }));
    defer linux.close(ends[0]);
    var lease: Lease = .{};
    const slot = try lease.add(ends[1]);
    try std.testing.expect(slot >= lowest and slot < boundary());
    linux.close(ends[1]);
    var byte: [1]u8 = .{'x'};
    try std.testing.expectEqual(1, linux.result(.write, .{ slot, &byte, 1 }));
    lease.end();
    try std.testing.expectEqual(1, linux.result(.read, .{ ends[0], &byte, 1 }));
    // End of file: nobody holds the writing end any more.
    try std.testing.expectEqual(0, linux.result(.read, .{ ends[0], &byte, 1 }));
}

test "a slot that the host has closed is given up, and so are all without their filler" {
    _ = boundary();
    const state = &shared.state().window;
    if (state.stage != .ready) return error.SkipZigTest;
    const taken = state.taken;
    defer state.taken = taken;
    const first: u5 = @intCast(@ctz(~taken));
    const number = state.slots[first];
    const opened = linux.openFile("/proc/self/exe", 0, 0);
    defer linux.close(opened);
    const theirs = linux.fileNumber(opened);
    try std.testing.expectEqual(number, linux.result(.dup3, .{ opened, number, linux.O_CLOEXEC }));
    var lease: Lease = .{};
    const slot = try lease.add(opened);
    try std.testing.expect(slot != number);
    lease.end();
    try std.testing.expectEqual(theirs, linux.fileNumber(number));
    // Back in its place, for the tests that come after.
    try std.testing.expectEqual(number, linux.result(.dup3, .{ state.filler, number, linux.O_CLOEXEC }));
    const filler = state.filler;
    state.filler = opened;
    defer state.filler = filler;
    try std.testing.expectError(error.Full, lease.add(opened));
}
