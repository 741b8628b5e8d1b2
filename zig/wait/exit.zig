//! How a process ended, as the boundary tells it, out of what the kernel tells.

const std = @import("std");
const abi = @import("../abi/abi.zig");

/// Of waitid's codes: CLD_EXITED, CLD_KILLED, CLD_DUMPED.
pub fn isEnd(code: i32) bool {
    return code >= 1 and code <= 3;
}

/// The status word of wait4(2), which waitid(2) takes apart.
pub fn statusWord(code: i32, status: i32) i32 {
    const CLD_EXITED = 1;
    const CLD_KILLED = 2;
    const CLD_DUMPED = 3;
    return switch (code) {
        CLD_EXITED => (status & 0xff) << 8,
        CLD_KILLED => status & 0x7f,
        CLD_DUMPED => (status & 0x7f) | 0x80,
        else => status,
    };
}

/// `usage` is a struct rusage, whose maxrss counts so many bytes.
pub fn fill(exit: *abi.Exit, pid: i32, status: i32, usage: anytype, rss_unit: f64) void {
    exit.* = .{
        .pid = pid,
        .status = status,
        .user_time = milliseconds(usage.utime),
        .system_time = milliseconds(usage.stime),
        .max_rss = @as(f64, @floatFromInt(usage.maxrss)) * rss_unit,
        .minor_faults = @floatFromInt(usage.minflt),
        .major_faults = @floatFromInt(usage.majflt),
        .blocks_in = @floatFromInt(usage.inblock),
        .blocks_out = @floatFromInt(usage.oublock),
        .voluntary_switches = @floatFromInt(usage.nvcsw),
        .involuntary_switches = @floatFromInt(usage.nivcsw),
    };
}

/// What nobody has measured.
pub fn forgetUsage(exit: *abi.Exit) void {
    inline for (@typeInfo(abi.Exit).@"struct".field_names) |name| {
        if (@FieldType(abi.Exit, name) == f64) @field(exit, name) = std.math.nan(f64);
    }
}

fn milliseconds(time: anytype) f64 {
    return @as(f64, @floatFromInt(time.sec)) * 1000 + @as(f64, @floatFromInt(time.usec)) / 1000;
}

test "a status word is put together again" {
    try std.testing.expectEqual(3 << 8, statusWord(1, 3));
    try std.testing.expectEqual(9, statusWord(2, 9));
    try std.testing.expectEqual(0x80 | 6, statusWord(3, 6));
    // macOS puts the high byte of a 32-bit exit value here too (kern_exit.c, p_xhighbits).
    try std.testing.expectEqual(0x34 << 8, statusWord(1, 0x1200_0034));
}
