//! Reading and writing without waiting, on descriptors that are not O_NONBLOCK: that flag belongs to the
//! open file, which a child, the host or another process may hold too, so it is never set for our own sake.
//!
//! All answers are those of the system call, or -errno; -EAGAIN: it must be waited for.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi/abi.zig");
const linux = @import("../os/linux.zig");
const systems = @import("../os/system.zig");
const system = systems.system;

const again = system.negative(.AGAIN);

/// At most one read(2). `may_wait`: it stands still until there is something, but for what is O_NONBLOCK.
pub fn read(fd: i32, buffer: [*]u8, length: i32, may_wait: bool) i32 {
    if (length < 0) return system.negative(.INVAL);
    if (may_wait) return system.read(fd, buffer, @intCast(length));
    const answer = transfer(.preadv2, RWF_NOWAIT, fd, buffer, length);
    // A FIFO that nobody has opened for writing yet is at its end, but for poll.
    if (answer == 0 and length > 0 and !isReady(fd, .in)) return again;
    if (answer != again and !isUnsupported(answer)) return answer;
    if (!isReady(fd, .in)) return again;
    if (answer == again and !neverWaits(fd)) return again;
    // Now only another reader of the same terminal or FIFO could make it wait, by being quicker.
    return system.read(fd, buffer, @intCast(length));
}

/// As much as can be taken now, where the system can tell without a doubt; elsewhere piece by piece, each of
/// which a pipe that is ready takes without waiting: PIPE_BUF, pipe(7).
pub fn write(fd: i32, buffer: [*]const u8, length: i32) i32 {
    if (length < 0) return system.negative(.INVAL);
    const answer = transfer(.pwritev2, RWF_NOWAIT | RWF_NOSIGNAL, fd, @constCast(buffer), length);
    if (answer != again and !isUnsupported(answer)) return answer;
    // It never raises SIGPIPE: the runtimes ignore that, but not once a listener for it has been removed.
    const before = system.maskSignals(system.sigset_thread);
    const written = writeMasked(fd, buffer, length);
    if (written == system.negative(.PIPE)) system.discardSigpipe();
    _ = system.maskSignals(before);
    return written;
}

fn writeMasked(fd: i32, buffer: [*]const u8, length: i32) i32 {
    const answer = transfer(.pwritev2, RWF_NOWAIT, fd, @constCast(buffer), length);
    if (answer != again and !isUnsupported(answer)) return answer;
    const ready = readiness(fd, .out);
    if (ready == 0) return again;
    if (neverWaits(fd)) {
        const written = system.write(fd, buffer, @intCast(length));
        // A terminal whose other side nobody has open is full for ever, and ready for ever.
        const is_hung_up = ready & @backingInt(abi.Ready.hup) != 0 and ready & @backingInt(abi.Ready.out) == 0;
        return if (written == again and is_hung_up) system.negative(.IO) else written;
    }
    if (answer == again) return again;
    // A piece of a packet would be another packet.
    if (systems.fileType(system.openMode(fd)) == .socket) return system.sendNow(fd, buffer, @intCast(length));
    const atomic = if (builtin.os.tag == .linux) 4096 else 512;
    const whole: usize = @intCast(length);
    var done: usize = 0;
    while (true) {
        const piece = @min(atomic, whole - done);
        const written = system.write(fd, buffer + done, piece);
        if (written < 0) return if (done > 0) @intCast(done) else written;
        done += @intCast(written);
        if (done == whole or written < piece or !isReady(fd, .out)) return @intCast(done);
    }
}

/// Linux 4.14; of pipes 6.4, and not of FIFOs and terminals.
const RWF_NOWAIT = 8;
/// Linux 6.18.
const RWF_NOSIGNAL = 0x100;

fn transfer(number: linux.Number, flags: u32, fd: i32, buffer: [*]u8, length: i32) i32 {
    if (builtin.os.tag != .linux) return system.negative(.OPNOTSUPP);
    const vector = [_]usize{ @intFromPtr(buffer), @intCast(length) };
    const position: i32 = -1; // The file's own.
    return linux.retry(number, .{ fd, &vector, 1, position, position, flags });
}

/// By the kernel, or by a sandbox that does not know the call.
fn isUnsupported(answer: i32) bool {
    return switch (answer) {
        system.negative(.OPNOTSUPP),
        system.negative(.NOSYS),
        system.negative(.INVAL),
        system.negative(.PERM),
        system.negative(.SPIPE),
        => true,
        else => false,
    };
}

fn isReady(fd: i32, ready: abi.Ready) bool {
    return readiness(fd, ready) != 0;
}

/// Bits of `Ready`; all of them where it cannot be asked for: that is tried, and says why.
fn readiness(fd: i32, ready: abi.Ready) u32 {
    var entry: abi.Poll = .{ .fd = fd, .events = @intCast(@backingInt(ready)), .revents = 0 };
    const answer = system.poll(@ptrCast(&entry), 1, 0);
    return if (answer < 0) ~@as(u32, 0) else @as(u16, @bitCast(entry.revents));
}

/// A file on a disk takes all of it, and so does what is O_NONBLOCK all the same, as far as it can.
fn neverWaits(fd: i32) bool {
    const flags = system.fcntl(fd, system.F_GETFL, 0);
    if (flags >= 0 and flags & system.O_NONBLOCK != 0) return true;
    const kind = systems.fileType(system.openMode(fd));
    return kind == .regular or kind == .block;
}

/// Makes a descriptor fit for a child, which would see O_NONBLOCK too, and most programs take EAGAIN for an
/// error (go.dev/issue/43894). Answers whether the flag was set.
pub fn lend(fd: i32, how: abi.Lend) i32 {
    const flags = system.fcntl(fd, system.F_GETFL, 0);
    if (flags < 0) return flags;
    const is_set = flags & system.O_NONBLOCK != 0;
    if (is_set == (how == .back)) return @intFromBool(is_set);
    if (how == .unless_socket and systems.fileType(system.openMode(fd)) == .socket) return 1;
    const answer = system.fcntl(fd, system.F_SETFL, flags ^ system.O_NONBLOCK);
    return if (answer < 0) answer else @intFromBool(is_set);
}

test "a pipe is read and written as far as it goes" {
    var ends: [2]i32 = undefined;
    try std.testing.expectEqual(0, system.pipe(&ends));
    defer for (ends) |end| system.close(end);
    var bytes: [65536 + 4096]u8 = @splat(1);
    try std.testing.expectEqual(again, read(ends[0], &bytes, bytes.len, false));
    var taken: usize = 0;
    while (taken < 65536) {
        const answer = write(ends[1], &bytes, bytes.len);
        if (answer == again) break;
        try std.testing.expect(answer > 0);
        taken += @intCast(answer);
    }
    try std.testing.expectEqual(again, write(ends[1], &bytes, bytes.len));
    var left = taken;
    while (left > 0) {
        const answer = read(ends[0], &bytes, bytes.len, false);
        try std.testing.expect(answer > 0);
        left -= @intCast(answer);
    }
    try std.testing.expectEqual(again, read(ends[0], &bytes, 1, false));
    const flags = system.fcntl(ends[0], system.F_GETFL, 0);
    try std.testing.expectEqual(0, flags & system.O_NONBLOCK);
}

test "what is lent is blocking" {
    var ends: [2]i32 = undefined;
    try std.testing.expectEqual(0, system.pipe(&ends));
    defer for (ends) |end| system.close(end);
    try std.testing.expectEqual(0, lend(ends[0], .always));
    const flags = system.fcntl(ends[0], system.F_GETFL, 0);
    try std.testing.expectEqual(0, system.fcntl(ends[0], system.F_SETFL, flags | system.O_NONBLOCK));
    try std.testing.expectEqual(1, lend(ends[0], .unless_socket));
    try std.testing.expectEqual(flags, system.fcntl(ends[0], system.F_GETFL, 0));
    try std.testing.expectEqual(0, lend(ends[0], .back));
    try std.testing.expectEqual(1, lend(ends[0], .back));
    try std.testing.expectEqual(1, lend(ends[0], .always));

    try std.testing.expectEqual(0, system.socketPair(&ends, false));
    const before = system.fcntl(ends[0], system.F_GETFL, 0) | system.O_NONBLOCK;
    _ = system.fcntl(ends[0], system.F_SETFL, before);
    try std.testing.expectEqual(1, lend(ends[0], .unless_socket));
    try std.testing.expectEqual(before, system.fcntl(ends[0], system.F_GETFL, 0));
    try std.testing.expectEqual(1, lend(ends[0], .always));
    try std.testing.expectEqual(0, system.fcntl(ends[0], system.F_GETFL, 0) & system.O_NONBLOCK);
}
