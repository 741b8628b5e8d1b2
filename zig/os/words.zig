//! A word for every number that a descriptor of this process may have: address space alone, but for the pages that are
//! written to.

const std = @import("std");
const system = @import("system.zig").system;

pub const Words = struct {
    first: [*]u32,
    count: u32,

    /// All zero. Null: there is no memory.
    pub fn map() ?Words {
        // Within reason: 64 MiB of address space.
        const count: u32 = @intCast(std.math.clamp(system.descriptorsMax(), 1024, 1 << 24));
        const memory = system.map(
            @as(usize, count) * @sizeOf(u32),
            system.PROT_READ | system.PROT_WRITE,
            system.MAP_PRIVATE | system.MAP_NORESERVE,
        ) orelse return null;
        return .{ .first = @ptrCast(memory), .count = count };
    }

    pub fn unmap(words: Words) void {
        system.unmap(@ptrCast(words.first), @as(usize, words.count) * @sizeOf(u32));
    }

    /// Null for what no descriptor can be, or none could when this was made.
    pub fn of(words: Words, fd: i32) ?*u32 {
        return if (fd >= 0 and fd < words.count) &words.first[@intCast(fd)] else null;
    }

    pub fn all(words: Words) []u32 {
        return words.first[0..words.count];
    }
};

test "each descriptor has a word of its own" {
    const words = Words.map().?;
    defer words.unmap();
    words.of(1023).?.* = 7;
    try std.testing.expectEqual(7, words.all()[1023]);
    try std.testing.expectEqual(0, words.of(0).?.*);
    try std.testing.expectEqual(null, words.of(-1));
    try std.testing.expectEqual(null, words.of(std.math.maxInt(i32)));
}
