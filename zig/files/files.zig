//! Descriptors outside a start: opening, pipes, readiness, what may be executed.
//!
//! All answers are those of the system call, or -errno.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi/abi.zig");
const linux = @import("../os/linux.zig");
const ledger = @import("ledger.zig");
const nowait = @import("nowait.zig");
const stdio = @import("stdio.zig");
const systems = @import("../os/system.zig");
const system = systems.system;

/// `path` is `length` bytes, the last of which is NUL. A FIFO is opened for reading without waiting for who
/// writes to it: the first read waits for that.
pub fn open(path: [*]const u8, length: i32, flags: i32, mode: i32) i32 {
    if (!isString(path, length)) return system.negative(.INVAL);
    const O_ACCMODE = 3;
    const is_plain = flags & (O_ACCMODE | system.O_NONBLOCK) == 0;
    if (!is_plain or systems.fileType(system.fileMode(path)) != .fifo) {
        return system.openFile(path, flags, mode);
    }
    const fd = system.openFile(path, flags | system.O_NONBLOCK, mode);
    if (fd >= 0) _ = nowait.lend(fd, .always);
    return fd;
}

/// Close-on-exec from the start: another thread may clone in between.
pub fn pipe(ends: *[2]i32, owned: bool) i32 {
    const answer = stdio.keepBothOff(system.pipe(ends), ends);
    if (answer >= 0 and owned) ledger.own(ends);
    return answer;
}

/// Two ends that are both read and written.
pub fn socketPair(ends: *[2]i32, has_packets: bool) i32 {
    return stdio.keepBothOff(system.socketPair(ends, has_packets), ends);
}

pub fn dup(fd: i32) i32 {
    const stdio_end = 3;
    return system.fcntl(fd, system.F_DUPFD_CLOEXEC, stdio_end);
}

pub fn close(fd: i32) i32 {
    ledger.disown(fd);
    return system.closeFile(fd);
}

/// Repeated on EINTR with the whole time again only where there is no bound on it.
pub fn poll(entries: [*]abi.Poll, count: i32, timeout_ms: i32) i32 {
    if (count < 0) return system.negative(.INVAL);
    while (true) {
        const answer = system.poll(entries, @intCast(count), timeout_ms);
        if (answer != system.negative(.INTR) or timeout_ms >= 0) return answer;
    }
}

/// So many descriptors tell of one child: its end, and its outputs.
const one_child = 3;

/// For one child it is looked so often in a turn of the loop: the turns made two thirds of an awaited start's garbage on V8.
const looks = 8;
/// Between two looks, so that whoever shares the core gets something of it: 0.5 to 1 µs.
const rests = 32;

/// What is ready now, for who asks again soon. A new child may stand behind this thread in the queue of one
/// processor, though another is idle (seen as a start that takes 500 µs instead of 100). With several of them
/// in flight there is enough to do without, and timers would be later for it.
pub fn busyPoll(entries: [*]abi.Poll, count: i32) i32 {
    if (count < 0) return system.negative(.INVAL);
    if (count > one_child) return system.poll(entries, @intCast(count), 0);
    system.yield();
    for (0..looks) |_| {
        const answer = system.poll(entries, @intCast(count), 0);
        if (answer != 0) return answer;
        for (0..rests) |_| std.atomic.spinLoopHint();
    }
    return 0;
}

/// Back by so many bytes; -ESPIPE for what has no position.
pub fn rewind(fd: i32, length: i32) i32 {
    return system.moveBack(fd, length);
}

/// Makes a directory, or removes an empty one: a cgroup, which no other system has.
pub fn makeDirectory(path: [*]const u8, length: i32, makes: bool) i32 {
    if (builtin.os.tag != .linux) return system.negative(.NOSYS);
    if (!isString(path, length)) return system.negative(.INVAL);
    const AT_REMOVEDIR = 0x200;
    if (makes) return linux.result(.mkdirat, .{ linux.AT_FDCWD, path, 0o755 });
    return linux.result(.unlinkat, .{ linux.AT_FDCWD, path, AT_REMOVEDIR });
}

/// Makes a pipe hold more, where the system can and allows it: an ordinary user has 64 MiB of pipes in all
/// (/proc/sys/fs/pipe-user-pages-soft).
pub fn growPipe(fd: i32, size: i32) i32 {
    if (builtin.os.tag != .linux) return system.negative(.NOSYS);
    return system.fcntl(fd, linux.F_SETPIPE_SZ, size);
}

/// Go's findExecutable: a file, no directory, that this process's effective user may execute.
pub fn executable(path: [*]const u8, length: i32) i32 {
    if (!isString(path, length)) return system.negative(.INVAL);
    const mode = system.fileMode(path);
    if (mode < 0) return mode;
    if (systems.fileType(mode) == .directory) return system.negative(.ISDIR);
    const allowed = system.mayExecute(path);
    return switch (allowed) {
        // Linux < 5.8, or a sandbox (go.dev/issue/58552): the mode's own word, as in Go.
        system.negative(.NOSYS), system.negative(.PERM) => if (mode & 0o111 != 0)
            0
        else
            system.negative(.ACCES),
        else => allowed,
    };
}

/// The working directory, NUL included, or ERANGE.
pub fn workingDirectory(buffer: [*]u8, length: i32) i32 {
    if (length < 0) return system.negative(.INVAL);
    return system.workingDirectory(buffer, @intCast(length));
}

pub fn isString(path: [*]const u8, length: i32) bool {
    return length > 0 and path[@intCast(length - 1)] == 0;
}

test "what may be executed" {
    const shell = "/bin/sh\x00";
    try std.testing.expectEqual(0, executable(shell, shell.len));
    const directory = "/\x00";
    try std.testing.expectEqual(system.negative(.ISDIR), executable(directory, directory.len));
    const nothing = "/nonexistent\x00";
    try std.testing.expectEqual(system.negative(.NOENT), executable(nothing, nothing.len));
    try std.testing.expectEqual(system.negative(.INVAL), executable(nothing, 3));
}
