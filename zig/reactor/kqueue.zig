//! kqueue(2), one of the two pollers: see `poller.zig`.
//!
//! A descriptor has a filter for reading and one for writing, each armed and fired alone, so that
//! firing one may leave the other behind: it carries the old token then, by which the reactor knows it.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const darwin = @import("../os/darwin.zig");
const pollers = @import("poller.zig");
const waiting = @import("../wait/wait.zig");

const Kevent = std.c.Kevent;
const EV = std.c.EV;
const EVFILT = std.c.EVFILT;
const NOTE = std.c.NOTE;

const in = @backingInt(abi.Ready.in);
const out = @backingInt(abi.Ready.out);
const err = @backingInt(abi.Ready.err);
const hup = @backingInt(abi.Ready.hup);

pub const watches_processes = true;

/// How long to wait before looking again at a process that has told of its end but is no zombie yet.
const look_again_us = 1000;

/// Close-on-exec by itself, and close-on-fork (kern_event.c, kqueue_internal).
pub fn open() i32 {
    return darwin.result(std.c.kqueue());
}

pub fn watchPeer(poller: i32, socket: i32) i32 {
    return change(poller, .{
        .ident = @intCast(socket),
        .filter = EVFILT.READ,
        .flags = EV.ADD | EV.CLEAR,
        .udata = pollers.peer,
    });
}

pub fn arm(poller: i32, fd: i32, ready: u32, token: u32) i32 {
    if (ready & (in | out) == 0) return darwin.negative(.INVAL);
    // As epoll does: such a file is always ready, while the filter keeps still at its end.
    if (isRegular(fd)) return darwin.negative(.PERM);
    if (ready & in != 0) {
        const answer = armOne(poller, fd, EVFILT.READ, token);
        if (answer < 0) return answer;
    }
    if (ready & out != 0) {
        const answer = armOne(poller, fd, EVFILT.WRITE, token);
        if (answer < 0) return answer;
    }
    return 0;
}

fn armOne(poller: i32, fd: i32, filter: i16, token: u32) i32 {
    const answer = change(poller, .{
        .ident = @intCast(fd),
        .filter = filter,
        .flags = EV.ADD | EV.ONESHOT,
        .udata = token,
    });
    // A directory, or a device such as /dev/null that knows no kqueue (vfs_vnops.c, vn_kqfilter).
    return if (answer == darwin.negative(.INVAL)) darwin.negative(.PERM) else answer;
}

fn isRegular(fd: i32) bool {
    var status: std.c.Stat = undefined;
    if (std.c.fstat(fd, &status) != 0) return false;
    return status.mode & 0o170000 == 0o100000;
}

pub fn disarm(poller: i32, fd: i32) i32 {
    for ([_]i16{ EVFILT.READ, EVFILT.WRITE }) |filter| {
        const answer = change(poller, .{
            .ident = @intCast(fd),
            .filter = filter,
            .flags = EV.DELETE,
        });
        if (answer < 0 and answer != darwin.negative(.NOENT)) return answer;
    }
    return 0;
}

/// By token too, so that the same process can be waited for twice.
pub fn armProcess(poller: i32, pid: i32, token: u32) i32 {
    const answer = change(poller, .{
        .ident = @intCast(pid),
        .filter = EVFILT.PROC,
        .flags = EV.ADD | EV.ONESHOT | EV.UDATA_SPECIFIC,
        .fflags = NOTE.EXIT,
        .udata = token,
    });
    // It is on its way out already, or out (kern_event.c, filt_procattach): have a look at once.
    if (answer == darwin.negative(.SRCH)) return lookAgain(poller, pid, token, 1);
    return answer;
}

fn lookAgain(poller: i32, pid: i32, token: u32, after_us: isize) i32 {
    return change(poller, .{
        .ident = @intCast(pid),
        .filter = EVFILT.TIMER,
        .flags = EV.ADD | EV.ONESHOT | EV.UDATA_SPECIFIC,
        .fflags = NOTE.USECONDS,
        .data = after_us,
        .udata = token,
    });
}

pub fn wait(poller: i32, events: *[pollers.batch]pollers.Event, timeout_ms: i32) i32 {
    var raw: [pollers.batch]Kevent = undefined;
    const time: std.c.timespec = .{
        .sec = @divTrunc(timeout_ms, 1000),
        .nsec = @as(isize, @rem(timeout_ms, 1000)) * 1_000_000,
    };
    const bound: ?*const std.c.timespec = if (timeout_ms < 0) null else &time;
    const count = darwin.result(std.c.kevent(poller, &raw, 0, &raw, raw.len, bound));
    if (count <= 0) return count;
    var kept: usize = 0;
    for (raw[0..@intCast(count)]) |event| {
        events[kept] = translate(poller, event) orelse continue;
        kept += 1;
    }
    return @intCast(kept);
}

fn translate(poller: i32, event: Kevent) ?pollers.Event {
    const token: u32 = @truncate(event.udata);
    const ended = event.flags & EV.EOF != 0;
    switch (event.filter) {
        EVFILT.PROC, EVFILT.TIMER => {
            // NOTE_EXIT comes before the process is a zombie (kern_exit.c, proc_exit).
            const pid: i32 = @intCast(event.ident);
            if (!canBeWaitedFor(pid) and lookAgain(poller, pid, token, look_again_us) >= 0) return null;
            return .{ .token = token, .fd = -pid, .ready = in };
        },
        EVFILT.READ => {
            if (token == pollers.peer and !ended) return null;
            const bytes: u32 = if (event.data > 0 or !ended) in else 0;
            return .{ .token = token, .fd = @intCast(event.ident), .ready = bytes | failure(event) };
        },
        else => {
            // A pipe that nobody reads: what epoll calls EPOLLERR.
            const broken: u32 = if (ended) err else 0;
            return .{ .token = token, .fd = @intCast(event.ident), .ready = out | broken };
        },
    }
}

fn failure(event: Kevent) u32 {
    if (event.flags & EV.EOF == 0) return 0;
    // A socket's own error.
    return if (event.fflags != 0) hup | err else hup;
}

/// Also of one that is not ours or that somebody has reaped: the wait itself will say so.
fn canBeWaitedFor(pid: i32) bool {
    var exit: abi.Exit = undefined;
    const flags = @backingInt(abi.Wait.nohang) | @backingInt(abi.Wait.nowait);
    return waiting.wait(pid, -1, flags, &exit) != 0;
}

fn change(poller: i32, wanted: struct {
    ident: usize,
    filter: i16,
    flags: u16,
    fflags: u32 = 0,
    data: isize = 0,
    udata: usize = 0,
}) i32 {
    const event: Kevent = .{
        .ident = wanted.ident,
        .filter = wanted.filter,
        .flags = wanted.flags,
        .fflags = wanted.fflags,
        .data = wanted.data,
        .udata = wanted.udata,
    };
    var none: [1]Kevent = undefined;
    return darwin.result(std.c.kevent(poller, &.{event}, 1, &none, 0, null));
}
