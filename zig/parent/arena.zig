//! The memory of a start: a stack with a guard page, room for the plan, and the report.
//!
//! Kept from start to start, as mapping and unmapping costs 12 µs each time (measured); there are as
//! many as starts have ever overlapped, up to `kept_max`.

const std = @import("std");
const plans = @import("../child/plan.zig");
const system = @import("../os/system.zig").system;

/// The loop needs less than 2 KiB; the rest is for what a system call may push. A forked child has the
/// parent's stack and leaves these pages untouched.
const stack_size = 32 * 1024;
/// One page, on every page size that an arm64 kernel may have.
const guard_size = 64 * 1024;
/// A page each of the largest size, shared, so that a child with private memory can report too.
const report_size = 64 * 1024;
/// Enough for a usual environment.
const room_size = 128 * 1024;
const kept_max = 16;

pub const Arena = struct {
    base: [*]align(std.heap.page_size_min) u8,
    length: usize,
    report: *volatile plans.Report,
    busy: u32,

    /// guard | stack | room
    pub fn stackTop(arena: *const Arena) usize {
        return @intFromPtr(arena.base) + guard_size + stack_size;
    }

    /// Below it is room for a second child, while the first one stands still.
    pub fn stackMiddle(arena: *const Arena) usize {
        return arena.stackBottom() + stack_size / 2;
    }

    pub fn stackBottom(arena: *const Arena) usize {
        return @intFromPtr(arena.base) + guard_size;
    }

    pub fn room(arena: *const Arena) []align(16) u8 {
        const start = guard_size + stack_size;
        return @alignCast(arena.base[start..arena.length]);
    }
};

var kept: [kept_max]Arena = @splat(.{ .base = undefined, .length = 0, .report = undefined, .busy = 0 });

/// An arena with `needed` bytes of room, or null without memory. `reclaim` lets go of those that are kept for nothing.
pub fn acquire(needed: usize, spare: *Arena, reclaim: ?*const fn () void) ?*Arena {
    if (needed <= room_size) {
        if (acquireKept()) |arena| return arena;
        if (reclaim) |letGo| {
            letGo();
            if (acquireKept()) |arena| return arena;
        }
    }
    // Too big a request, or too many starts at once: this one pays for its own.
    if (!mapMemory(spare, std.mem.alignForward(usize, needed, guard_size))) return null;
    return spare;
}

fn acquireKept() ?*Arena {
    for (&kept) |*arena| {
        if (@cmpxchgStrong(u32, &arena.busy, 0, 1, .acquire, .monotonic) != null) continue;
        if (arena.length != 0 or mapMemory(arena, room_size)) return arena;
        @atomicStore(u32, &arena.busy, 0, .release);
        return null;
    }
    return null;
}

pub fn release(arena: *Arena, spare: *Arena) void {
    if (arena == spare) {
        system.unmap(arena.base, arena.length);
        system.unmap(@ptrCast(@volatileCast(arena.report)), report_size);
        return;
    }
    releaseKept(arena);
}

/// For one that is known to be none of a start's own.
pub fn releaseKept(arena: *Arena) void {
    @atomicStore(u32, &arena.busy, 0, .release);
}

fn mapMemory(arena: *Arena, room: usize) bool {
    const length = guard_size + stack_size + room;
    const writable = system.PROT_READ | system.PROT_WRITE;
    const base = system.map(length, writable, system.MAP_PRIVATE) orelse return false;
    const report = system.map(report_size, writable, system.MAP_SHARED) orelse {
        system.unmap(base, length);
        return false;
    };
    if (system.protect(base, guard_size, system.PROT_NONE) != 0) {
        system.unmap(base, length);
        system.unmap(report, report_size);
        return false;
    }
    arena.base = base;
    arena.length = length;
    arena.report = @ptrCast(@alignCast(report));
    return true;
}

test "an arena is kept, and a second one at the same time is another" {
    var spare: Arena = undefined;
    const first = acquire(100, &spare, null).?;
    const second = acquire(100, &spare, null).?;
    try std.testing.expect(first != second);
    release(first, &spare);
    const again = acquire(100, &spare, null).?;
    try std.testing.expectEqual(first, again);
    release(again, &spare);
    release(second, &spare);
    const big = acquire(room_size + 1, &spare, null).?;
    try std.testing.expectEqual(&spare, big);
    try std.testing.expect(big.room().len > room_size);
    release(big, &spare);
}
