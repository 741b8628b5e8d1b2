//! What a process has used so far: on Linux from /proc, as no call tells it of another process that runs.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi/abi.zig");
const decimal = @import("../os/decimal.zig");
const linux = @import("../os/linux.zig");
const system = @import("../os/system.zig").system;
const wait_linux = @import("wait_linux.zig");
const ends = @import("exit.zig");
const waiting = @import("wait.zig");

/// The unit of times in /proc/PID/stat: USER_HZ of asm-generic/param.h, which x86-64 and arm64 both have.
const tick_ms = 1000 / 100;
/// What ru_inblock and ru_oublock count.
const block_size = 512;

/// 0: `exit` is filled, but for its status. -ESRCH: the process has been reaped. Its own and that of the children it
/// has waited for, as in a wait, but for the peak of its memory and the switches, which are its first thread's.
pub fn soFar(pid: i32, pidfd: i32, exit: *abi.Exit) i32 {
    if (builtin.os.tag != .linux) return system.negative(.OPNOTSUPP);
    // Of a child that has ended and that nobody has reaped a wait that leaves it tells all.
    const look = @backingInt(abi.Wait.nohang) | @backingInt(abi.Wait.nowait);
    if (wait_linux.wait(pid, pidfd, look, exit) > 0) {
        return if (std.math.isNan(exit.user_time)) linux.negative(.SRCH) else 0;
    }
    var found: Found = .{ .exit = exit };
    found.number = numberInProc(pid, pidfd, &found);
    if (found.number < 0) return found.number;
    exit.pid = pid;
    exit.status = 0;
    ends.forgetUsage(exit);
    const read = readAll(&found);
    // The number may have been given to another process meanwhile, but not before this one was reaped.
    if (waiting.signal(pid, pidfd, 0) == linux.negative(.SRCH)) return linux.negative(.SRCH);
    return read;
}

/// What the files of /proc are read into.
const Found = struct {
    exit: *abi.Exit,
    /// The process's number there.
    number: i32 = 0,
};

/// The number that /proc has for the process, which may be another pid namespace's; or -errno.
fn numberInProc(pid: i32, pidfd: i32, found: *Found) i32 {
    const self = linux.result(.getpid, .{});
    const read = if (pidfd >= 0)
        readLines(found, "/proc/self/fdinfo/", pidfd, "", takeNumber)
    else
        // Of one's own number one knows both.
        readLines(found, "/proc/self/status", null, "", takeNumber);
    if (read < 0) return read;
    if (pidfd < 0) return if (found.number == self) pid else linux.negative(.NOENT);
    if (found.number < 0) return linux.negative(.SRCH);
    return if (found.number == 0) linux.negative(.NOENT) else found.number;
}

fn takeNumber(found: *Found, line: []const u8) void {
    if (valueOf(line, "Pid:")) |value| found.number = @intFromFloat(numberOf(value));
}

fn readAll(found: *Found) i32 {
    var read = readLines(found, "/proc/", found.number, "/stat", takeStat);
    if (read >= 0) read = readLines(found, "/proc/", found.number, "/status", takeStatus);
    // Only who may trace a process may see its traffic, and a kernel may keep no account of it.
    if (read >= 0) _ = readLines(found, "/proc/", found.number, "/io", takeTraffic);
    return read;
}

/// "7 (comm) S 1 ...": the comm may hold anything, and only numbers come after it. Where it has a line's end in it, the
/// line that counts is the last.
fn takeStat(found: *Found, line: []const u8) void {
    var start = line.len;
    while (start > 0 and line[start - 1] != ')') start -= 1;
    // The comm is field 2 of proc_pid_stat(5).
    var field: usize = 2;
    var values: [18]f64 = @splat(0);
    for (line[start..], start + 1..) |byte, next| {
        if (byte != ' ') continue;
        field += 1;
        if (field == values.len) break;
        values[field] = numberOf(line[next..]);
    }
    if (field < values.len) return;
    const exit = found.exit;
    exit.minor_faults = values[10] + values[11];
    exit.major_faults = values[12] + values[13];
    exit.user_time = (values[14] + values[16]) * tick_ms;
    exit.system_time = (values[15] + values[17]) * tick_ms;
}

fn takeStatus(found: *Found, line: []const u8) void {
    const exit = found.exit;
    if (valueOf(line, "VmHWM:")) |value| exit.max_rss = numberOf(value) * 1024;
    if (valueOf(line, "voluntary_ctxt_switches:")) |value| exit.voluntary_switches = numberOf(value);
    if (valueOf(line, "nonvoluntary_ctxt_switches:")) |value| exit.involuntary_switches = numberOf(value);
}

fn takeTraffic(found: *Found, line: []const u8) void {
    const exit = found.exit;
    if (valueOf(line, "read_bytes:")) |value| exit.blocks_in = @floor(numberOf(value) / block_size);
    if (valueOf(line, "write_bytes:")) |value| exit.blocks_out = @floor(numberOf(value) / block_size);
}

/// What stands behind a name.
noinline fn valueOf(line: []const u8, name: []const u8) ?[]const u8 {
    if (!std.mem.startsWith(u8, line, name)) return null;
    var value = line[name.len..];
    while (value.len > 0 and (value[0] == ' ' or value[0] == '\t')) value = value[1..];
    return value;
}

/// The number that a text begins with, which is exact below 2^53.
noinline fn numberOf(text: []const u8) f64 {
    const is_negative = text.len > 0 and text[0] == '-';
    var value: f64 = 0;
    for (text[@intFromBool(is_negative)..]) |byte| {
        if (byte < '0' or byte > '9') break;
        value = value * 10 + @as(f64, @floatFromInt(byte - '0'));
    }
    return if (is_negative) -value else value;
}

/// Line by line: a process of many groups has a long one. What of a line is beyond the first 512 bytes is left out.
noinline fn readLines(
    found: *Found,
    before: []const u8,
    number: ?i32,
    behind: []const u8,
    take: *const fn (*Found, []const u8) void,
) i32 {
    var buffer: [1024]u8 = undefined;
    @memcpy(buffer[0..before.len], before);
    var end_of_path = before.len;
    if (number) |value| end_of_path += decimal.write(buffer[before.len..].ptr, @intCast(value));
    @memcpy(buffer[end_of_path..][0..behind.len], behind);
    buffer[end_of_path + behind.len] = 0;
    const fd = linux.retry(.openat, .{ linux.AT_FDCWD, &buffer, linux.O_CLOEXEC, 0 });
    if (fd < 0) return fd;
    defer linux.close(fd);
    // Whatever else is mounted there knows nothing of it.
    if (!linux.isProc(fd)) return linux.negative(.NOENT);
    var line: [512]u8 = undefined;
    var kept: usize = 0;
    while (true) {
        const length = linux.retry(.read, .{ fd, &buffer, buffer.len });
        if (length <= 0) return length;
        for (buffer[0..@intCast(length)]) |byte| {
            if (byte == '\n') {
                take(found, line[0..kept]);
                kept = 0;
            } else if (kept < line.len) {
                line[kept] = byte;
                kept += 1;
            }
        }
    }
}

test "what this process has used so far" {
    if (builtin.os.tag != .linux) return error.SkipZigTest;
    var exit: abi.Exit = undefined;
    const self = linux.result(.getpid, .{});
    try std.testing.expectEqual(0, soFar(self, -1, &exit));
    try std.testing.expectEqual(self, exit.pid);
    try std.testing.expect(exit.max_rss > 100_000);
    try std.testing.expect(exit.minor_faults > 0);
    try std.testing.expect(exit.voluntary_switches >= 0);
    var found: Found = .{ .exit = &exit, .number = 0x7fff_fff0 };
    try std.testing.expectEqual(linux.negative(.NOENT), readAll(&found));
}

test "a name with line ends and brackets in it leaves the numbers as they are" {
    var exit: abi.Exit = undefined;
    ends.forgetUsage(&exit);
    var found: Found = .{ .exit = &exit };
    takeStat(&found, "7 (a) b");
    takeStat(&found, ") (c) S 1 7 7 0 -1 4194560 100 20 3 4 50 60 7 8 20 0 1 0 5");
    try std.testing.expectEqual(120, exit.minor_faults);
    try std.testing.expectEqual(7, exit.major_faults);
    try std.testing.expectEqual(570, exit.user_time);
    try std.testing.expectEqual(680, exit.system_time);
}
