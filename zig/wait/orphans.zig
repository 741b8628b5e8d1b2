//! What the reaping of orphans asks of the kernel: who has ended, and whom somebody of this process waits for.

const std = @import("std");
const builtin = @import("builtin");
const decimal = @import("../os/decimal.zig");
const linux = @import("../os/linux.zig");
const system = @import("../os/system.zig").system;

/// Whether orphans become this process's children: answers what it was before.
pub fn adopt(on: bool) i32 {
    if (builtin.os.tag != .linux) return system.negative(.NOSYS);
    const PR_SET_CHILD_SUBREAPER = 36;
    const PR_GET_CHILD_SUBREAPER = 37;
    var before: i32 = 0;
    const asked = linux.result(.prctl, .{ PR_GET_CHILD_SUBREAPER, &before, 0, 0, 0 });
    if (asked < 0) return asked;
    const set = linux.result(.prctl, .{ PR_SET_CHILD_SUBREAPER, @intFromBool(on), 0, 0, 0 });
    return if (set < 0) set else @intFromBool(before != 0);
}

/// The children of the process's first thread that have ended, as many as `pids` holds: the kernel gives orphans to that
/// one (kernel/exit.c, find_alive_thread), so that what other threads have made is none. proc_pid_task(5), "children".
pub fn ended(pids: [*]i32, length: i32) i32 {
    if (builtin.os.tag != .linux) return system.negative(.NOSYS);
    // Most often nobody has.
    const any = peek(linux.P_ALL, 0);
    if (any <= 0) return if (any == linux.negative(.CHILD)) 0 else any;
    var path: [64]u8 = undefined;
    write(&path, "/proc/self/task/", linux.result(.getpid, .{}), "/children");
    const fd = linux.retry(.openat, .{ linux.AT_FDCWD, &path, linux.O_CLOEXEC, 0 });
    if (fd < 0) return fd;
    defer linux.close(fd);
    var count: u32 = 0;
    var pid: i32 = 0;
    var text: [4096]u8 = undefined;
    while (count < length) {
        const read = linux.retry(.read, .{ fd, &text, text.len });
        if (read < 0) return read;
        if (read == 0) break;
        for (text[0..@intCast(read)]) |digit| {
            if (digit >= '0' and digit <= '9') {
                pid = pid *% 10 +% (digit - '0');
                continue;
            }
            if (pid > 0 and count < length and peek(linux.P_PID, pid) > 0) {
                pids[count] = pid;
                count += 1;
            }
            pid = 0;
        }
    }
    return @intCast(count);
}

/// 1: there is one that has ended, which stays as it is.
fn peek(id_type: u32, id: i32) i32 {
    var info: linux.ChildInfo = .{};
    const options = linux.WEXITED | linux.WNOHANG | linux.WNOWAIT | linux.WALL;
    const answer = linux.retry(.waitid, .{ id_type, id, &info, options, null });
    return if (answer < 0) answer else @intFromBool(info.pid != 0);
}

/// Whom the pidfds among `count` descriptors from `from` on are of: who waits without blocking a thread waits by one. As
/// many as `pids` holds, which is at least `count`.
pub fn awaited(from: i32, count: i32, pids: [*]i32) i32 {
    if (builtin.os.tag != .linux) return system.negative(.NOSYS);
    var found: u32 = 0;
    var fd = from;
    while (fd < from + count) : (fd += 1) {
        if (!isPidfd(fd)) continue;
        const pid = pidOf(fd);
        if (pid == linux.negative(.BADF)) continue;
        if (pid < 0) return pid;
        if (pid == 0) continue;
        pids[found] = pid;
        found += 1;
    }
    return @intCast(found);
}

/// Or another file without a name of its own. Much quicker than to read what /proc has of it.
fn isPidfd(fd: i32) bool {
    const PID_FS_MAGIC = 0x50494446;
    // Before Linux 6.9.
    const ANON_INODE_FS_MAGIC = 0x09041934;
    // struct statfs, whose first word is the type: 120 bytes.
    var status: [15]u64 = @splat(0);
    if (linux.result(.fstatfs, .{ fd, &status }) < 0) return false;
    return status[0] == PID_FS_MAGIC or status[0] == ANON_INODE_FS_MAGIC;
}

/// 0: none, or of one that has been reaped. proc_pid_fdinfo(5).
fn pidOf(pidfd: i32) i32 {
    var path: [64]u8 = undefined;
    write(&path, "/proc/thread-self/fdinfo/", pidfd, "");
    const fd = linux.retry(.openat, .{ linux.AT_FDCWD, &path, linux.O_CLOEXEC, 0 });
    // Closed meanwhile.
    if (fd == linux.negative(.NOENT)) return linux.negative(.BADF);
    if (fd < 0) return fd;
    defer linux.close(fd);
    var text: [1024]u8 = undefined;
    const read = linux.retry(.read, .{ fd, &text, text.len });
    if (read < 0) return read;
    const key = "\nPid:\t";
    var rest: []const u8 = text[0..@intCast(read)];
    while (!std.mem.startsWith(u8, rest, key)) {
        if (rest.len == 0) return 0;
        rest = rest[1..];
    }
    var pid: i32 = 0;
    for (rest[key.len..]) |digit| {
        // -1: it has been reaped.
        if (digit < '0' or digit > '9') break;
        pid = pid *% 10 +% (digit - '0');
    }
    return pid;
}

/// A path with a number in it, without the weight of std.fmt.
fn write(path: *[64]u8, before: []const u8, number: i32, after: []const u8) void {
    @memcpy(path[0..before.len], before);
    const end = before.len + decimal.write(path[before.len..].ptr, @bitCast(number));
    @memcpy(path[end..][0..after.len], after);
    path[end + after.len] = 0;
}

const testing = std.testing;

test "a pidfd tells whom it is of" {
    if (builtin.os.tag != .linux) return error.SkipZigTest;
    const self = linux.result(.getpid, .{});
    const fd = linux.result(.pidfd_open, .{ self, 0 });
    // A sandbox may have none.
    if (fd < 0) return error.SkipZigTest;
    var pids: [4]i32 = @splat(0);
    try testing.expectEqual(1, awaited(fd, 1, &pids));
    try testing.expectEqual(self, pids[0]);
    linux.close(fd);
    try testing.expectEqual(0, awaited(fd, 1, &pids));
}
