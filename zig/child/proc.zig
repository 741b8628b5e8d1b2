//! The files of /proc/PID, as both sides of a start write them: raw system calls, and no memory but the stack's.

const std = @import("std");
const decimal = @import("../os/decimal.zig");
const linux = @import("../os/linux.zig");

/// In one write, as these files want it. `pid` 0: the caller's own.
pub fn write(pid: i32, comptime name: []const u8, text: []const u8) i32 {
    var path: [longest + name.len]u8 = undefined;
    const O_WRONLY = 1;
    const fd = linux.retry(.openat, .{ linux.AT_FDCWD, pathOf(&path, pid, name), O_WRONLY | linux.O_CLOEXEC, 0 });
    if (fd < 0) return fd;
    defer linux.close(fd);
    // Whatever else is mounted there would take the text and do nothing.
    if (!linux.isProc(fd)) return linux.negative(.NOENT);
    return @min(0, linux.retry(.write, .{ fd, text.ptr, text.len }));
}

/// A number, as these files want it.
pub fn writeNumber(pid: i32, comptime name: []const u8, value: i32) i32 {
    var text: [11]u8 = undefined;
    text[0] = '-';
    const digits = decimal.write(text[1..], @abs(value));
    return write(pid, name, if (value < 0) text[0 .. digits + 1] else text[1 .. digits + 1]);
}

/// "/proc/", a pid of ten digits, "/", and the NUL.
const longest = 6 + 10 + 1 + 1;

fn pathOf(path: []u8, pid: i32, name: []const u8) [*]const u8 {
    var length: usize = 0;
    for ("/proc/") |byte| append(path, &length, byte);
    if (pid == 0) {
        for ("self") |byte| append(path, &length, byte);
    } else {
        length += decimal.write(path[length..].ptr, @abs(pid));
    }
    append(path, &length, '/');
    for (name) |byte| append(path, &length, byte);
    append(path, &length, 0);
    return path.ptr;
}

fn append(path: []u8, length: *usize, byte: u8) void {
    path[length.*] = byte;
    length.* += 1;
}

test "a path is this process's, or another's with each of its digits" {
    var path: [longest + "comm".len]u8 = undefined;
    for ([_]struct { i32, []const u8 }{
        .{ 0, "/proc/self/comm" },
        .{ 7, "/proc/7/comm" },
        .{ std.math.maxInt(i32), "/proc/2147483647/comm" },
    }) |case| {
        const pid, const expected = case;
        const made: [*:0]const u8 = @ptrCast(pathOf(&path, pid, "comm"));
        try std.testing.expectEqualStrings(expected, std.mem.span(made));
    }
}

test "a file that is not there, or not for writing, answers why" {
    try std.testing.expectEqual(linux.negative(.NOENT), write(0, "nope", "1"));
    try std.testing.expectEqual(linux.negative(.NOENT), write(std.math.maxInt(i32), "comm", "1"));
}
