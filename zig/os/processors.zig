//! Whether somebody else wants the processors.

const std = @import("std");
const builtin = @import("builtin");
const linux = @import("linux.zig");

/// How many of the processors that this thread may use are left over by what runs or wants to run, this
/// thread included; negative: how many are missing. Where nothing tells, one is.
///
/// By /proc/loadavg, whose fourth field has counted what runs now since Linux 2.0. In a container it counts
/// for the whole machine, and so finds too few rather than too many.
pub fn idle() i32 {
    if (builtin.os.tag != .linux) return 1;
    const usable = usableCount() orelse return 1;
    const running = runningCount() orelse return 1;
    return usable - running;
}

fn usableCount() ?i32 {
    var mask: [64]u64 = @splat(0);
    const length = linux.result(.sched_getaffinity, .{ 0, @sizeOf(@TypeOf(mask)), &mask });
    if (length < 0) return null;
    var count: i32 = 0;
    for (mask) |word| count += @popCount(word);
    return count;
}

fn runningCount() ?i32 {
    const fd = linux.openFile("/proc/loadavg", 0, 0);
    if (fd < 0) return null;
    defer linux.close(fd);
    var text: [128]u8 = undefined;
    const length = linux.read(fd, &text, text.len);
    if (length < 0) return null;
    return parse(text[0..@intCast(length)]);
}

/// "0.20 0.18 0.12 1/80 11206"
fn parse(text: []const u8) ?i32 {
    var fields = std.mem.tokenizeScalar(u8, text, ' ');
    for (0..3) |_| _ = fields.next();
    var counts = std.mem.splitScalar(u8, fields.next() orelse return null, '/');
    return std.fmt.parseInt(i32, counts.first(), 10) catch null;
}

test "the running ones are counted" {
    try std.testing.expectEqual(1, parse("0.20 0.18 0.12 1/80 11206\n"));
    try std.testing.expectEqual(130, parse("99.20 0.18 0.12 130/2080 11206\n"));
    try std.testing.expectEqual(null, parse("0.20 0.18"));
    try std.testing.expectEqual(null, parse(""));
}

test "a thread that spins is counted" {
    if (builtin.os.tag != .linux) return error.SkipZigTest;
    const running = runningCount() orelse return error.SkipZigTest;
    try std.testing.expect(running >= 1);
    try std.testing.expect(usableCount().? >= 1);
}
