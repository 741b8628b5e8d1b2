//! Pseudo-terminals: making one, its window and its modes. Both are asked and set by the controlling side, which speaks
//! for the other one too.
//!
//! All answers are those of the system call, or -errno.

const std = @import("std");
const builtin = @import("builtin");
const nowait = @import("nowait.zig");
const stdio = @import("stdio.zig");
const systems = @import("../os/system.zig");
const system = systems.system;

const is_linux = builtin.os.tag == .linux;

/// The requests of ioctl(2): asm-generic/ioctls.h, which x86-64 and arm64 share; sys/ttycom.h and sys/ioccom.h of macOS.
const Request = if (is_linux) struct {
    const lock: u32 = 0x4004_5431; // TIOCSPTLCK
    const number: u32 = 0x8004_5430; // TIOCGPTN
    const peer: u32 = 0x5441; // TIOCGPTPEER
    const get_modes: u32 = 0x5401; // TCGETS
    const set_modes: u32 = 0x5402; // TCSETS
    const get_window: u32 = 0x5413;
    const set_window: u32 = 0x5414;
} else struct {
    const grant: u32 = 0x2000_7454; // TIOCPTYGRANT
    const unlock: u32 = 0x2000_7452; // TIOCPTYUNLK
    const name: u32 = 0x4080_7453; // TIOCPTYGNAME
    const get_modes: u32 = 0x4048_7413; // TIOCGETA
    const set_modes: u32 = 0x8048_7414; // TIOCSETA
    const get_window: u32 = 0x4008_7468;
    const set_window: u32 = 0x8008_7467;
};

const O_RDWR = 2;
const O_NOCTTY = if (is_linux) 0o400 else 0x2_0000;

/// struct winsize.
const Window = extern struct { rows: u16, columns: u16, width: u16 = 0, height: u16 = 0 };

/// The kernel's struct termios, which has fewer `cc` than libc's.
const Modes = if (is_linux) extern struct {
    iflag: std.os.linux.tc_iflag_t,
    oflag: std.os.linux.tc_oflag_t,
    cflag: std.os.linux.tc_cflag_t,
    lflag: std.os.linux.tc_lflag_t,
    line: u8,
    cc: [19]u8,

    comptime {
        std.debug.assert(@sizeOf(@This()) == 36);
    }
} else std.c.termios;

/// The longest name of a terminal, NUL included: TIOCPTYGNAME's.
const name_max = 128;

/// Makes one: `ends` are the controlling side and the other one, `name` the path of that, NUL included, whose length is
/// the answer. The controlling side is the caller's to own.
///
/// The controlling side is O_NONBLOCK, the one file that is made so here: a terminal is ready for one byte, say, and a
/// write of two would wait. Nobody else has this open file.
pub fn open(ends: *[2]i32, name: [*]u8, length: i32) i32 {
    if (length < name_max) return system.negative(.INVAL);
    const flags = O_RDWR | O_NOCTTY;
    const controlling = stdio.keepOff(system.openFile("/dev/ptmx", flags | system.O_NONBLOCK, 0));
    if (controlling < 0) return controlling;
    const found = nameOf(controlling, name[0..name_max]);
    const other = if (found < 0) found else stdio.keepOff(openPeer(controlling, name));
    if (other < 0) {
        system.close(controlling);
        return other;
    }
    ends.* = .{ controlling, other };
    return found;
}

fn nameOf(controlling: i32, name: *[name_max]u8) i32 {
    if (!is_linux) {
        for ([_]u32{ Request.grant, Request.unlock }) |request| {
            const answer = system.ioctl(controlling, request, 0);
            if (answer < 0) return answer;
        }
        const answer = system.ioctl(controlling, Request.name, @intFromPtr(name));
        if (answer < 0) return answer;
        const end = std.mem.indexOfScalar(u8, name, 0) orelse return system.negative(.INVAL);
        return @intCast(end + 1);
    }
    var is_locked: i32 = 0;
    const unlocked = system.ioctl(controlling, Request.lock, @intFromPtr(&is_locked));
    if (unlocked < 0) return unlocked;
    const number = numberOf(controlling);
    if (number < 0) return number;
    const text = std.fmt.bufPrintSentinel(name, "/dev/pts/{d}", .{number}, 0) catch unreachable;
    return @intCast(text.len + 1);
}

/// Of the controlling side of one; of anything else -errno.
fn numberOf(fd: i32) i32 {
    var number: i32 = 0;
    const answer = system.ioctl(fd, Request.number, @intFromPtr(&number));
    return if (answer < 0) answer else number;
}

/// Whether it is a controlling side.
pub fn isControlling(fd: i32) bool {
    return is_linux and numberOf(fd) >= 0;
}

/// From the file itself, so that neither a chroot nor another /dev matters; by its name where that is refused (Linux
/// before 4.13, some sandboxes).
fn openPeer(controlling: i32, name: [*]const u8) i32 {
    if (is_linux) {
        const flags = O_RDWR | O_NOCTTY | @import("../os/linux.zig").O_CLOEXEC;
        const answer = system.ioctl(controlling, Request.peer, flags);
        switch (answer) {
            system.negative(.MFILE), system.negative(.NFILE), system.negative(.NOMEM) => return answer,
            else => if (answer >= 0) return answer,
        }
    }
    return openByName(name);
}

fn openByName(name: [*]const u8) i32 {
    return system.openFile(name, O_RDWR | O_NOCTTY, 0);
}

/// All that can be read of a controlling side now: one read(2) brings 4 KiB at most. Where somebody was given it, for whom
/// it is not O_NONBLOCK any more, as of any other file.
pub fn read(fd: i32, buffer: [*]u8, length: i32) i32 {
    const flags = system.fcntl(fd, system.F_GETFL, 0);
    if (length < 0 or flags < 0 or flags & system.O_NONBLOCK == 0) {
        return nowait.read(fd, buffer, length, false);
    }
    const whole: usize = @intCast(length);
    var done: usize = 0;
    while (done < whole) {
        const answer = system.read(fd, buffer + done, whole - done);
        if (answer <= 0) return if (done > 0) @intCast(done) else answer;
        done += @intCast(answer);
    }
    return length;
}

/// What runs there gets SIGWINCH, if it is another one.
pub fn setWindow(fd: i32, columns: i32, rows: i32) i32 {
    const window: Window = .{
        .columns = std.math.cast(u16, columns) orelse return system.negative(.INVAL),
        .rows = std.math.cast(u16, rows) orelse return system.negative(.INVAL),
    };
    return system.ioctl(fd, Request.set_window, @intFromPtr(&window));
}

/// Columns and rows.
pub fn getWindow(fd: i32, size: *[2]i32) i32 {
    var window: Window = undefined;
    const answer = system.ioctl(fd, Request.get_window, @intFromPtr(&window));
    if (answer >= 0) size.* = .{ window.columns, window.rows };
    return answer;
}

/// As cfmakeraw(3) has it; or what a new terminal has, and UTF-8, of which an erased character may be several bytes.
/// Neither touches the speed, nor the characters that stand for signals.
pub fn setMode(fd: i32, raw: bool) i32 {
    var modes: Modes = undefined;
    const answer = system.ioctl(fd, Request.get_modes, @intFromPtr(&modes));
    if (answer < 0) return answer;
    const cooked = !raw;
    modes.iflag.IGNBRK = false;
    modes.iflag.BRKINT = false;
    modes.iflag.PARMRK = false;
    modes.iflag.ISTRIP = false;
    modes.iflag.INLCR = false;
    modes.iflag.IGNCR = false;
    modes.iflag.ICRNL = cooked;
    modes.iflag.IXON = cooked;
    modes.iflag.IUTF8 = cooked;
    modes.oflag.OPOST = cooked;
    modes.oflag.ONLCR = cooked;
    modes.lflag.ECHO = cooked;
    modes.lflag.ECHOE = cooked;
    modes.lflag.ECHOK = cooked;
    modes.lflag.ECHOCTL = cooked;
    modes.lflag.ECHOKE = cooked;
    modes.lflag.ECHONL = false;
    modes.lflag.ICANON = cooked;
    modes.lflag.ISIG = cooked;
    modes.lflag.IEXTEN = cooked;
    modes.cflag.CSIZE = .CS8;
    modes.cflag.PARENB = false;
    if (raw) {
        modes.cc[@backingInt(std.c.V.MIN)] = 1;
        modes.cc[@backingInt(std.c.V.TIME)] = 0;
    }
    return system.ioctl(fd, Request.set_modes, @intFromPtr(&modes));
}

const testing = std.testing;

test "a terminal has a name, a window and modes, and its other side is the same by either way" {
    var ends: [2]i32 = undefined;
    var name: [name_max]u8 = undefined;
    const length = open(&ends, &name, name.len);
    if (length == system.negative(.NOENT)) return error.SkipZigTest;
    try testing.expect(length > 0);
    defer for (ends) |end| system.close(end);
    try testing.expectEqual(0, name[@intCast(length - 1)]);
    const again = openByName(&name);
    try testing.expect(again >= 0);
    defer system.close(again);
    try testing.expectEqual(system.fileNumber(ends[1]), system.fileNumber(again));
    try testing.expectEqual(is_linux, isControlling(ends[0]));
    try testing.expect(!isControlling(ends[1]));

    try testing.expectEqual(0, setWindow(ends[0], 132, 43));
    var size: [2]i32 = undefined;
    try testing.expectEqual(0, getWindow(ends[1], &size));
    try testing.expectEqual([2]i32{ 132, 43 }, size);
    try testing.expectEqual(system.negative(.INVAL), setWindow(ends[0], 65536, 1));

    var buffer: [8]u8 = undefined;
    try testing.expectEqual(0, setMode(ends[0], true));
    try testing.expectEqual(1, system.write(ends[1], "\n", 1));
    try testing.expectEqual(1, system.read(ends[0], &buffer, buffer.len));
    try testing.expectEqual(0, setMode(ends[0], false));
    try testing.expectEqual(1, system.write(ends[1], "\n", 1));
    try testing.expectEqual(2, system.read(ends[0], &buffer, buffer.len));
    try testing.expectEqualStrings("\r\n", buffer[0..2]);
}

test "what is written to a terminal that nobody has open ends, and waits for nothing" {
    var ends: [2]i32 = undefined;
    var name: [name_max]u8 = undefined;
    if (open(&ends, &name, name.len) == system.negative(.NOENT)) return error.SkipZigTest;
    defer system.close(ends[0]);
    try testing.expectEqual(0, setMode(ends[0], true));
    const bytes: [64 * 1024]u8 = @splat('x');
    const again = system.negative(.AGAIN);
    while (nowait.write(ends[0], &bytes, bytes.len) != again) {}
    system.close(ends[1]);
    // What the other side had not taken yet may still be taken from it.
    var answer = again;
    while (answer == again or answer > 0) answer = nowait.write(ends[0], &bytes, bytes.len);
    try testing.expectEqual(system.negative(.IO), answer);
}
