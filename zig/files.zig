//! Descriptors outside a start: opening, pipes, reading and writing, readiness, what may be executed.
//!
//! All answers are those of the system call, or -errno.

const std = @import("std");
const abi = @import("abi.zig");
const linux = @import("linux.zig");

/// `path` is `length` bytes, the last of which is NUL.
pub fn open(path: [*]const u8, length: i32, flags: i32, mode: i32) i32 {
    if (!isString(path, length)) return linux.negative(.INVAL);
    const closing = flags | linux.O_CLOEXEC;
    return linux.retry(.openat, .{ linux.AT_FDCWD, path, closing, mode });
}

/// Close-on-exec from the start: another thread may clone in between.
pub fn pipe(ends: *[2]i32) i32 {
    return linux.result(.pipe2, .{ ends, linux.O_CLOEXEC });
}

/// Not repeated on EINTR: Linux has let go of the descriptor all the same, and the number may be
/// another thread's by then.
pub fn close(fd: i32) i32 {
    return linux.result(.close, .{fd});
}

pub fn read(fd: i32, buffer: [*]u8, length: i32) i32 {
    if (length < 0) return linux.negative(.INVAL);
    return linux.retry(.read, .{ fd, buffer, length });
}

pub fn write(fd: i32, buffer: [*]const u8, length: i32) i32 {
    if (length < 0) return linux.negative(.INVAL);
    return linux.retry(.write, .{ fd, buffer, length });
}

/// Repeated on EINTR with the whole time again only where there is no bound on it.
pub fn poll(entries: [*]abi.Poll, count: i32, timeout_ms: i32) i32 {
    if (count < 0) return linux.negative(.INVAL);
    while (true) {
        var time: linux.Timespec = .{
            .sec = @divTrunc(timeout_ms, 1000),
            .nsec = @as(i64, @rem(timeout_ms, 1000)) * 1_000_000,
        };
        const bound: ?*linux.Timespec = if (timeout_ms < 0) null else &time;
        const answer = linux.result(.ppoll, .{ entries, count, bound, null, 8 });
        if (answer != linux.negative(.INTR) or timeout_ms >= 0) return answer;
    }
}

/// Sets or clears O_NONBLOCK; answers whether it was set before.
pub fn setNonblocking(fd: i32, on: i32) i32 {
    const flags = linux.result(.fcntl, .{ fd, linux.F_GETFL, 0 });
    if (flags < 0) return flags;
    const was = flags & linux.O_NONBLOCK != 0;
    if (was != (on != 0)) {
        const answer = linux.result(.fcntl, .{ fd, linux.F_SETFL, flags ^ linux.O_NONBLOCK });
        if (answer < 0) return answer;
    }
    return @intFromBool(was);
}

/// Go's findExecutable: a file, no directory, that this process's effective user may execute.
pub fn executable(path: [*]const u8, length: i32) i32 {
    if (!isString(path, length)) return linux.negative(.INVAL);
    var status: Statx = undefined;
    const found = linux.result(.statx, .{ linux.AT_FDCWD, path, 0, Statx.TYPE | Statx.MODE, &status });
    if (found < 0) return found;
    if (status.mode & Statx.S_IFMT == Statx.S_IFDIR) return linux.negative(.ISDIR);
    const allowed = linux.result(.faccessat2, .{ linux.AT_FDCWD, path, 1, linux.AT_EACCESS });
    return switch (allowed) {
        // Linux < 5.8, or a sandbox (go.dev/issue/58552): the mode's own word, as in Go.
        linux.negative(.NOSYS), linux.negative(.PERM) => if (status.mode & 0o111 != 0)
            0
        else
            linux.negative(.ACCES),
        else => allowed,
    };
}

const Statx = extern struct {
    mask: u32,
    block_size: u32,
    attributes: u64,
    links: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    padding: u16,
    rest: [224]u8,

    const TYPE = 1;
    const MODE = 2;
    const S_IFMT = 0o170000;
    const S_IFDIR = 0o040000;

    comptime {
        std.debug.assert(@sizeOf(Statx) == 256);
        std.debug.assert(@offsetOf(Statx, "mode") == 28);
    }
};

/// The working directory, NUL included, or ERANGE.
pub fn workingDirectory(buffer: [*]u8, length: i32) i32 {
    if (length < 0) return linux.negative(.INVAL);
    return linux.result(.getcwd, .{ buffer, length });
}

/// The host's own environment, as libc keeps it: a weak symbol, so that the library needs no libc.
const environ = @extern(?*const ?[*:null]const ?[*:0]const u8, .{
    .name = "environ",
    .linkage = .weak,
});

/// Writes the environment as NUL-terminated strings, as far as they fit; answers the bytes that all
/// of it takes.
pub fn environment(buffer: [*]u8, length: i32) i32 {
    if (length < 0) return linux.negative(.INVAL);
    const vector = (environ orelse return 0).* orelse return 0;
    const room = buffer[0..@intCast(length)];
    var needed: usize = 0;
    var index: usize = 0;
    while (vector[index]) |entry| : (index += 1) {
        const text = std.mem.span(entry);
        const end = needed + text.len + 1;
        if (end <= room.len) {
            @memcpy(room[needed .. end - 1], text);
            room[end - 1] = 0;
        }
        needed = end;
    }
    return std.math.cast(i32, needed) orelse linux.negative(.@"2BIG");
}

fn isString(path: [*]const u8, length: i32) bool {
    return length > 0 and path[@intCast(length - 1)] == 0;
}

test "what may be executed" {
    const shell = "/bin/sh\x00";
    try std.testing.expectEqual(0, executable(shell, shell.len));
    const directory = "/\x00";
    try std.testing.expectEqual(linux.negative(.ISDIR), executable(directory, directory.len));
    const nothing = "/nonexistent\x00";
    try std.testing.expectEqual(linux.negative(.NOENT), executable(nothing, nothing.len));
    try std.testing.expectEqual(linux.negative(.INVAL), executable(nothing, 3));
}
