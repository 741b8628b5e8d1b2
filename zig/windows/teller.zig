//! The records of the reactor, on Windows: down a named pipe, which the event loop of each runtime reads, as it could
//! no anonymous one. One thread for each JavaScript thread: it sleeps until there is a record to be written.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const decimal = @import("../os/decimal.zig");
const errors = @import("errors.zig");
const kernel = @import("kernel.zig");
const table = @import("table.zig");

const Reactor = table.Reactor;

const ERROR_IO_PENDING = 997;

/// All there have ever been: one for each JavaScript thread.
var newest: ?*Reactor = null;

/// Its `fd` is also the number in the pipe's name: `\\.\pipe\osexec-PID-FD`.
pub fn create(answer: *abi.Reactor) i32 {
    const reactor = table.create(Reactor) orelse return errors.posix(.NOMEM);
    reactor.* = .{ .pipe = kernel.invalid, .handle = 0, .next = null };
    const number = reserve(reactor);
    if (number < 0) {
        table.destroy(reactor);
        return number;
    }
    table.acquire();
    reactor.next = newest;
    if (newest) |before| reactor.handle = before.handle + 1;
    newest = reactor;
    table.release();
    const thread = table.startThread(run, reactor) orelse {
        const reason = errors.last();
        _ = kernel.CloseHandle(reactor.pipe);
        _ = table.close(number);
        return reason;
    };
    _ = kernel.CloseHandle(thread);
    answer.* = .{ .handle = reactor.handle, .fd = number };
    return 0;
}

/// A number, and a pipe of that name. Somebody may have a pipe of it, for mischief or from a process that had the same
/// id: then another number.
fn reserve(reactor: *Reactor) i32 {
    var taken: [16]i32 = undefined;
    var count: usize = 0;
    defer for (taken[0..count]) |number| {
        _ = table.close(number);
    };
    while (true) {
        const number = table.add(.{ .kind = .reactor, .handle = kernel.invalid });
        if (number < 0) return number;
        if (makePipe(number)) |pipe| {
            reactor.pipe = pipe;
            table.set(number, .{ .kind = .reactor, .handle = kernel.invalid, .reactor = reactor });
            return number;
        }
        const reason = errors.last();
        if (count == taken.len) {
            _ = table.close(number);
            return reason;
        }
        taken[count] = number;
        count += 1;
    }
}

/// Ours alone: the first instance of its name, with room for no other, and from this machine only.
fn makePipe(number: i32) ?kernel.Handle {
    var name: [64:0]u16 = undefined;
    writeName(&name, kernel.GetCurrentProcessId(), @bitCast(number));
    const mode = kernel.PIPE_ACCESS_DUPLEX | kernel.FILE_FLAG_OVERLAPPED | kernel.FILE_FLAG_FIRST_PIPE_INSTANCE;
    const pipe = kernel.CreateNamedPipeW(&name, mode, kernel.PIPE_REJECT_REMOTE_CLIENTS, 1, 4096, 0, 0, null);
    return if (pipe == kernel.invalid) null else pipe;
}

fn writeName(name: *[64:0]u16, pid: u32, number: u32) void {
    const prefix = "\\\\.\\pipe\\osexec-";
    var text: [prefix.len + 21]u8 = undefined;
    @memcpy(text[0..prefix.len], prefix);
    var length = prefix.len + decimal.write(text[prefix.len..].ptr, pid);
    text[length] = '-';
    length += 1 + decimal.write(text[length + 1 ..].ptr, number);
    for (text[0..length], 0..) |byte, index| name[index] = byte;
    name[length] = 0;
}

/// With the lock held.
pub fn find(handle: i32) ?*Reactor {
    var next = newest;
    while (next) |reactor| : (next = reactor.next) if (reactor.handle == handle) return reactor;
    return null;
}

fn run(context: ?*anyopaque) callconv(.winapi) u32 {
    const reactor: *Reactor = @ptrCast(@alignCast(context.?));
    const event = kernel.CreateEventW(null, 1, 0, null);
    var call: kernel.OVERLAPPED = .{ .hEvent = event };
    waitForReader(reactor.pipe, &call);
    const watching = watchReader(reactor);
    var batch: [64]abi.Event = undefined;
    while (true) {
        table.acquire();
        while (reactor.first == null and !reactor.has_ended) {
            _ = table.sleep(&reactor.wake, kernel.INFINITE);
        }
        var count: usize = 0;
        while (count < batch.len) : (count += 1) {
            const watch = reactor.take() orelse break;
            batch[count] = watch.event;
            table.destroy(watch);
        }
        const has_ended = reactor.has_ended;
        table.release();
        if (has_ended) break;
        if (!writeAll(reactor.pipe, &call, std.mem.sliceAsBytes(batch[0..count]))) break;
    }
    reactor.end();
    if (watching) |handle| _ = kernel.UnregisterWaitEx(handle, kernel.invalid);
    _ = kernel.CloseHandle(reactor.pipe);
    for ([_]?kernel.Handle{ event, reactor.reading.hEvent }) |each| {
        if (each) |handle| _ = kernel.CloseHandle(handle);
    }
    return 0;
}

/// Hears of the end of who listens, which may be a Worker's. Null: nobody will.
fn watchReader(reactor: *Reactor) ?kernel.Handle {
    const event = kernel.CreateEventW(null, 1, 0, null) orelse return null;
    reactor.reading.hEvent = event;
    // It fails at once, without a sign, where that one has gone already.
    const is_done = kernel.ReadFile(reactor.pipe, &reactor.byte, 1, null, &reactor.reading) != 0;
    if (is_done or kernel.GetLastError() != ERROR_IO_PENDING) reactor.end();
    var watching: kernel.Handle = undefined;
    const how = kernel.WT_EXECUTEONLYONCE | kernel.WT_EXECUTEINWAITTHREAD;
    const is_watched = kernel.RegisterWaitForSingleObject(&watching, event, gone, reactor, kernel.INFINITE, how) != 0;
    return if (is_watched) watching else null;
}

fn gone(context: ?*anyopaque, _: u8) callconv(.winapi) void {
    const reactor: *Reactor = @ptrCast(@alignCast(context.?));
    reactor.end();
}

/// Somebody else who has guessed the name is sent away.
fn waitForReader(pipe: kernel.Handle, call: *kernel.OVERLAPPED) void {
    const ERROR_PIPE_CONNECTED = 535;
    while (true) {
        if (kernel.ConnectNamedPipe(pipe, call) == 0 and kernel.GetLastError() != ERROR_PIPE_CONNECTED) {
            var none: u32 = 0;
            if (kernel.GetOverlappedResult(pipe, call, &none, 1) == 0) return;
        }
        var pid: u32 = 0;
        // Where it cannot be asked it is this one: the pipe takes one only.
        if (kernel.GetNamedPipeClientProcessId(pipe, &pid) == 0 or pid == kernel.GetCurrentProcessId()) return;
        _ = kernel.DisconnectNamedPipe(pipe);
    }
}

fn writeAll(pipe: kernel.Handle, call: *kernel.OVERLAPPED, bytes: []const u8) bool {
    var done: usize = 0;
    while (done < bytes.len) {
        var written: u32 = 0;
        const is_made = kernel.WriteFile(pipe, bytes.ptr + done, @intCast(bytes.len - done), null, call) != 0;
        if (!is_made and kernel.GetLastError() != ERROR_IO_PENDING) return false;
        if (kernel.GetOverlappedResult(pipe, call, &written, 1) == 0) return false;
        done += written;
    }
    return true;
}
