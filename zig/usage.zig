//! What a process has used so far: on Linux from /proc, as no call tells it of another process that runs.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("abi.zig");
const linux = @import("linux.zig");
const system = @import("system.zig").system;
const waiting = @import("wait.zig");

/// The unit of times in /proc/PID/stat: USER_HZ of asm-generic/param.h, which x86-64 and arm64 both have.
const tick_ms = 1000 / 100;
/// What ru_inblock and ru_oublock count.
const block_size = 512;

/// 0: `exit` is filled, but for its status. -ESRCH: the process has been reaped. Its own and that of the children it
/// has waited for, as in a wait, but for the peak of its memory and the switches, which are its first thread's.
pub fn soFar(pid: i32, pidfd: i32, exit: *abi.Exit) i32 {
    if (builtin.os.tag != .linux) return system.negative(.OPNOTSUPP);
    if (hasEnded(pid, pidfd, exit)) return 0;
    const number = numberInProc(pid, pidfd);
    if (number < 0) return number;
    exit.pid = pid;
    exit.status = 0;
    waiting.forgetUsage(exit);
    const read = readAll(number, exit);
    // The number may have been given to another process meanwhile, but not before this one was reaped.
    if (waiting.signal(pid, pidfd, 0) == linux.negative(.SRCH)) return linux.negative(.SRCH);
    return read;
}

/// Of a child that nobody has reaped yet a wait that leaves it tells all.
fn hasEnded(pid: i32, pidfd: i32, exit: *abi.Exit) bool {
    var info: linux.ChildInfo = .{};
    var usage: linux.Rusage = std.mem.zeroes(linux.Rusage);
    const options = linux.WEXITED | linux.WNOHANG | linux.WNOWAIT | linux.WALL;
    const id_type: u32 = if (pidfd >= 0) linux.P_PIDFD else linux.P_PID;
    const id = if (pidfd >= 0) pidfd else pid;
    const answer = linux.retry(.waitid, .{ id_type, id, &info, options, &usage });
    if (answer < 0 or info.pid == 0 or !waiting.isEnd(info.code)) return false;
    waiting.fill(exit, pid, 0, &usage, 1024);
    return true;
}

/// The number that /proc has for the process, which may be another pid namespace's; or -errno.
fn numberInProc(pid: i32, pidfd: i32) i32 {
    if (pidfd >= 0) {
        var buffer: [64]u8 = undefined;
        const path = std.fmt.bufPrintSentinel(&buffer, "/proc/self/fdinfo/{d}", .{pidfd}, 0) catch unreachable;
        var number: i32 = 0;
        const read = readLines(path, &number, struct {
            fn take(found: *i32, line: []const u8) void {
                const value = valueOf(line, "Pid:") orelse return;
                found.* = std.fmt.parseInt(i32, value, 10) catch 0;
            }
        }.take);
        if (read < 0) return read;
        if (number < 0) return linux.negative(.SRCH);
        return if (number == 0) linux.negative(.NOENT) else number;
    }
    var link: [16]u8 = undefined;
    const length = linux.result(.readlinkat, .{ linux.AT_FDCWD, "/proc/self", &link, link.len });
    const self = std.fmt.parseInt(i32, link[0..@intCast(@max(length, 0))], 10) catch 0;
    return if (self == linux.result(.getpid, .{})) pid else linux.negative(.NOENT);
}

fn readAll(number: i32, exit: *abi.Exit) i32 {
    var buffer: [64]u8 = undefined;
    for ([_][]const u8{ "stat", "status", "io" }, [_]*const fn (*abi.Exit, []const u8) void{
        takeStat,
        takeStatus,
        takeTraffic,
    }) |name, take| {
        const path = std.fmt.bufPrintSentinel(&buffer, "/proc/{d}/{s}", .{ number, name }, 0) catch unreachable;
        const read = readLines(path, exit, take);
        // Only who may trace a process may see its traffic, and a kernel may keep no account of it.
        if (read < 0 and take != &takeTraffic) return read;
    }
    return 0;
}

/// "7 (comm) S 1 ...": the comm may hold anything, and only numbers come after it. Where it has a line's end in it, the
/// line that counts is the last.
fn takeStat(exit: *abi.Exit, line: []const u8) void {
    const end = std.mem.findScalarLast(u8, line, ')') orelse return;
    var fields = std.mem.tokenizeScalar(u8, line[end + 1 ..], ' ');
    // The first one behind the comm is field 3 of proc_pid_stat(5).
    var values: [18]f64 = @splat(0);
    for (values[3..]) |*value| value.* = numberOf(fields.next() orelse return);
    exit.minor_faults = values[10] + values[11];
    exit.major_faults = values[12] + values[13];
    exit.user_time = (values[14] + values[16]) * tick_ms;
    exit.system_time = (values[15] + values[17]) * tick_ms;
}

fn takeStatus(exit: *abi.Exit, line: []const u8) void {
    if (valueOf(line, "VmHWM:")) |value| exit.max_rss = numberOf(value) * 1024;
    if (valueOf(line, "voluntary_ctxt_switches:")) |value| exit.voluntary_switches = numberOf(value);
    if (valueOf(line, "nonvoluntary_ctxt_switches:")) |value| exit.involuntary_switches = numberOf(value);
}

fn takeTraffic(exit: *abi.Exit, line: []const u8) void {
    if (valueOf(line, "read_bytes:")) |value| exit.blocks_in = @floor(numberOf(value) / block_size);
    if (valueOf(line, "write_bytes:")) |value| exit.blocks_out = @floor(numberOf(value) / block_size);
}

/// "Name:\t  123 kB"
fn valueOf(line: []const u8, name: []const u8) ?[]const u8 {
    if (!std.mem.startsWith(u8, line, name)) return null;
    const value = std.mem.trim(u8, line[name.len..], " \t");
    return if (std.mem.endsWith(u8, value, " kB")) value[0 .. value.len - " kB".len] else value;
}

fn numberOf(text: []const u8) f64 {
    return @floatFromInt(std.fmt.parseInt(i64, text, 10) catch 0);
}

/// Line by line: a process of many groups has a long one. What of a line is beyond the buffer is left out.
fn readLines(
    path: [:0]const u8,
    context: anytype,
    take: *const fn (@TypeOf(context), []const u8) void,
) i32 {
    const O_RDONLY = 0;
    const fd = linux.retry(.openat, .{ linux.AT_FDCWD, path.ptr, O_RDONLY | linux.O_CLOEXEC, 0 });
    if (fd < 0) return fd;
    defer linux.close(fd);
    // Whatever else is mounted there knows nothing of it.
    if (!linux.isProc(fd)) return linux.negative(.NOENT);
    var buffer: [2048]u8 = undefined;
    var kept: usize = 0;
    while (true) {
        const length = linux.retry(.read, .{ fd, buffer[kept..].ptr, buffer.len - kept });
        if (length < 0) return length;
        var rest: []const u8 = buffer[0 .. kept + @as(usize, @intCast(length))];
        while (std.mem.findScalar(u8, rest, '\n')) |end| {
            take(context, rest[0..end]);
            rest = rest[end + 1 ..];
        }
        if (length == 0) return 0;
        kept = if (rest.len == buffer.len) 0 else rest.len;
        std.mem.copyForwards(u8, buffer[0..kept], rest[0..kept]);
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
    try std.testing.expectEqual(linux.negative(.NOENT), readAll(0x7fff_fff0, &exit));
}

test "a name with line ends and brackets in it leaves the numbers as they are" {
    var exit: abi.Exit = undefined;
    waiting.forgetUsage(&exit);
    takeStat(&exit, "7 (a) b");
    takeStat(&exit, ") (c) S 1 7 7 0 -1 4194560 100 20 3 4 50 60 7 8 20 0 1 0 5");
    try std.testing.expectEqual(120, exit.minor_faults);
    try std.testing.expectEqual(7, exit.major_faults);
    try std.testing.expectEqual(570, exit.user_time);
    try std.testing.expectEqual(680, exit.system_time);
}
