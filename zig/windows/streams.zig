//! Reading, writing and waiting. A pipe or a console of Windows cannot be asked whether it would wait, so what may wait
//! is done by a thread for each direction, made when it is first needed: readiness is that it has come back. To the
//! caller it looks as on Unix: try, be told to wait (-EAGAIN), and try again.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const errors = @import("errors.zig");
const kernel = @import("kernel.zig");
const table = @import("table.zig");
const teller = @import("teller.zig");
const Entry = table.Entry;
const Work = table.Work;
const posix = errors.posix;

const again = posix(.AGAIN);
const ERROR_BROKEN_PIPE = 109;

/// What is there, at once; -EAGAIN: the thread has been sent for it.
pub fn read(number: i32, buffer: [*]u8, length: i32, may_wait: bool) i32 {
    if (length < 0) return posix(.INVAL);
    table.acquire();
    defer table.release();
    const entry = find(number) orelse return posix(.BADF);
    if (entry.kind == .file) return unlocked(readNow, .{ entry.handle, buffer, @intCast(length) });
    while (true) {
        if (!ask(entry)) return posix(.NOMEM);
        const work = entry.reader.?;
        if (work.start < work.end) {
            const count = @min(work.end - work.start, @as(usize, @intCast(length)));
            @memcpy(buffer[0..count], work.bytes[work.start..][0..count]);
            work.start += count;
            return @intCast(count);
        }
        if (work.result) |result| return result;
        if (!may_wait) return again;
        _ = table.sleep(&table.changed, kernel.INFINITE);
        // Somebody may have closed it meanwhile.
        if (table.find(number) != entry) return posix(.BADF);
    }
}

/// What can be read or written, with the lock held.
fn find(number: i32) ?*Entry {
    const entry = table.find(number) orelse return null;
    return switch (entry.kind) {
        .file, .stream, .terminal => entry,
        .process, .reactor, .console => null,
    };
}

/// Makes a call that may wait, the lock given up meanwhile.
fn unlocked(comptime call: anytype, arguments: std.meta.ArgsTuple(@TypeOf(call))) i32 {
    table.release();
    defer table.acquire();
    return @call(.auto, call, arguments);
}

/// 0: the end.
fn readNow(handle: kernel.Handle, buffer: [*]u8, length: u32) i32 {
    var count: u32 = 0;
    return if (kernel.ReadFile(handle, buffer, length, &count, null) != 0) @intCast(count) else endOrFailure();
}

fn endOrFailure() i32 {
    const ERROR_HANDLE_EOF = 38;
    const code = kernel.GetLastError();
    return if (code == ERROR_HANDLE_EOF or code == ERROR_BROKEN_PIPE) 0 else errors.ofCode(code);
}

/// For a thread: a writer may write nothing, which ends no pipe. Of a console it does: Ctrl-Z.
fn readSomething(handle: kernel.Handle, buffer: [*]u8, length: u32) i32 {
    const is_pipe = kernel.GetFileType(handle) == kernel.FILE_TYPE_PIPE;
    while (true) {
        var count: u32 = 0;
        if (kernel.ReadFile(handle, buffer, length, &count, null) == 0) return endOrFailure();
        if (count > 0 or !is_pipe) return @intCast(count);
    }
}

/// Sends the reader for more if it has nothing, with the lock held. False: there is no memory, or no thread.
fn ask(entry: *Entry) bool {
    const work = entry.reader orelse begin(entry, .reader) orelse return false;
    if (work.wanted or work.start < work.end or work.result != null) return true;
    work.wanted = true;
    kernel.WakeAllConditionVariable(&work.wake);
    return true;
}

/// Whole, or not at all yet: the writer has taken a copy, and who tries again with the same bytes learns what became of
/// it. Who has given up meanwhile and comes with others waits for those before.
pub fn write(number: i32, buffer: [*]const u8, length: i32) i32 {
    if (length < 0) return posix(.INVAL);
    table.acquire();
    defer table.release();
    const entry = find(number) orelse return posix(.BADF);
    if (entry.kind == .file) return unlocked(writeNow, .{ entry.handle, buffer, @intCast(length) });
    const work = entry.writer orelse begin(entry, .writer) orelse return posix(.NOMEM);
    if (work.wanted) return again;
    const count = @min(@as(usize, @intCast(length)), table.buffer_size);
    if (work.is_written) {
        work.is_written = false;
        const before = work.bytes[0..work.end];
        if (work.result) |result| {
            work.result = null;
            return result;
        }
        const is_same = before.len <= length and std.mem.eql(u8, before, buffer[0..before.len]);
        if (is_same) return @intCast(before.len);
    }
    @memcpy(work.bytes[0..count], buffer[0..count]);
    work.end = count;
    work.wanted = true;
    kernel.WakeAllConditionVariable(&work.wake);
    return again;
}

fn writeNow(handle: kernel.Handle, buffer: [*]const u8, length: u32) i32 {
    var done: u32 = 0;
    while (done < length) {
        var count: u32 = 0;
        if (kernel.WriteFile(handle, buffer + done, length - done, &count, null) == 0) return brokenPipe();
        if (count == 0) return posix(.IO);
        done += count;
    }
    return @intCast(done);
}

/// By POSIX's name where nobody reads any more: that is what a copy looks for.
fn brokenPipe() i32 {
    const ERROR_NO_DATA = 232;
    const ERROR_PIPE_NOT_CONNECTED = 233;
    return switch (kernel.GetLastError()) {
        ERROR_BROKEN_PIPE, ERROR_NO_DATA, ERROR_PIPE_NOT_CONNECTED => posix(.PIPE),
        else => |code| errors.ofCode(code),
    };
}

const Direction = enum { reader, writer };

/// With the lock held: the thread has the entry until it is closed.
fn begin(entry: *Entry, comptime direction: Direction) ?*Work {
    const work = table.create(Work) orelse return null;
    work.* = .{ .bytes = undefined };
    entry.references += 1;
    const start: kernel.ThreadStart = if (direction == .reader) readAll else writeAll;
    work.thread = table.startThread(start, entry) orelse {
        entry.references -= 1;
        table.destroy(work);
        return null;
    };
    @field(entry, @tagName(direction)) = work;
    return work;
}

fn readAll(context: ?*anyopaque) callconv(.winapi) u32 {
    const entry: *Entry = @ptrCast(@alignCast(context.?));
    table.acquire();
    const work = entry.reader.?;
    while (awaitWork(entry, work)) {
        work.is_calling = true;
        const answer = unlocked(readSomething, .{ entry.handle, &work.bytes, work.bytes.len });
        work.is_calling = false;
        work.wanted = false;
        work.start = 0;
        work.end = if (answer > 0) @intCast(answer) else 0;
        // Another program of this console may have ended a line with Ctrl-Z: that is no end for ever, but it is one.
        if (answer <= 0) work.result = answer;
        table.tell(entry);
    }
    table.release();
    table.drop(entry);
    return 0;
}

fn writeAll(context: ?*anyopaque) callconv(.winapi) u32 {
    const entry: *Entry = @ptrCast(@alignCast(context.?));
    table.acquire();
    const work = entry.writer.?;
    while (awaitWork(entry, work)) {
        const answer = unlocked(writeNow, .{ entry.other orelse entry.handle, &work.bytes, @intCast(work.end) });
        work.wanted = false;
        work.is_written = true;
        if (answer < 0) work.result = answer;
        table.tell(entry);
    }
    table.release();
    table.drop(entry);
    return 0;
}

/// False: the entry is closed, and what was wanted of it has been done. A write that was taken is still made.
fn awaitWork(entry: *Entry, work: *Work) bool {
    while (!work.wanted) {
        if (entry.is_closed) return false;
        _ = table.sleep(&work.wake, kernel.INFINITE);
    }
    return work == entry.writer or !entry.is_closed;
}

/// Puts a watch in place of the one that this reactor has, or tells at once.
pub fn watch(handle: i32, number: i32, events: i32, token: i32) i32 {
    table.acquire();
    defer table.release();
    const reactor = teller.find(handle) orelse return posix(.BADF);
    const entry = table.find(number) orelse return posix(.BADF);
    // As epoll says of a regular file: it is always ready.
    if (entry.kind == .file) return posix(.PERM);
    remove(entry, reactor);
    const made = table.create(table.Watch) orelse return posix(.NOMEM);
    made.* = .{
        .reactor = reactor,
        .event = .{ .token = @bitCast(token), .fd = number, .ready = @bitCast(events) },
        .next = entry.watches,
    };
    entry.watches = made;
    const answer = prepare(entry, @bitCast(events));
    if (answer < 0) {
        remove(entry, reactor);
        return answer;
    }
    if (table.readiness(entry) & made.event.ready != 0) table.tell(entry);
    return 0;
}

pub fn unwatch(handle: i32, number: i32) i32 {
    table.acquire();
    defer table.release();
    const reactor = teller.find(handle) orelse return posix(.BADF);
    const entry = table.find(number) orelse return posix(.BADF);
    remove(entry, reactor);
    return 0;
}

fn remove(entry: *Entry, reactor: *table.Reactor) void {
    var place = &entry.watches;
    while (place.*) |each| {
        if (each.reactor != reactor) {
            place = &each.next;
            continue;
        }
        place.* = each.next;
        table.destroy(each);
    }
}

/// Sees to it that what is waited for will be told, with the lock held.
fn prepare(entry: *Entry, events: u32) i32 {
    switch (entry.kind) {
        .stream, .terminal => {
            if (events & @backingInt(abi.Ready.in) != 0 and !ask(entry)) return posix(.NOMEM);
        },
        .process => if (!table.hasEnded(entry) and entry.waiting == null) {
            const how = kernel.WT_EXECUTEONLYONCE | kernel.WT_EXECUTEINWAITTHREAD;
            var waiting: kernel.Handle = undefined;
            if (kernel.RegisterWaitForSingleObject(&waiting, entry.handle, ended, entry, kernel.INFINITE, how) == 0) {
                return errors.last();
            }
            entry.waiting = waiting;
        },
        else => {},
    }
    return 0;
}

/// By a thread of the system's pool. The entry is there: closing it waits for this.
fn ended(context: ?*anyopaque, _: u8) callconv(.winapi) void {
    const entry: *Entry = @ptrCast(@alignCast(context.?));
    table.acquire();
    entry.has_ended = true;
    table.tell(entry);
    table.release();
}

/// poll(2): how many are ready; 0: none within the time.
pub fn poll(list: [*]abi.Poll, count: i32, timeout_ms: i32) i32 {
    const polled = list[0..@intCast(@max(count, 0))];
    const end = if (timeout_ms < 0) null else kernel.GetTickCount64() + @as(u64, @intCast(timeout_ms));
    table.acquire();
    defer table.release();
    while (true) {
        const ready = look(polled);
        if (ready != 0) return ready;
        var left: u32 = kernel.INFINITE;
        if (end) |time| {
            const now = kernel.GetTickCount64();
            if (now >= time) return 0;
            left = @intCast(time - now);
        }
        _ = table.sleep(&table.changed, left);
    }
}

fn look(polled: []abi.Poll) i32 {
    const POLLNVAL = 0x20;
    var ready: i32 = 0;
    for (polled) |*each| {
        each.revents = 0;
        if (each.fd < 0) continue;
        if (table.find(each.fd)) |entry| {
            const answer = prepare(entry, @as(u16, @bitCast(each.events)));
            if (answer < 0) return answer;
            each.revents = @bitCast(@as(u16, @truncate(table.readiness(entry))));
            each.revents &= each.events;
        } else each.revents = POLLNVAL;
        if (each.revents != 0) ready += 1;
    }
    return ready;
}
