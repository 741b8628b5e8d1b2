//! The records of the reactor, on Windows: down a named pipe, which the event loop of each runtime reads, as it could
//! no anonymous one. One thread for each JavaScript thread: it sleeps until there is a record to be written.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const decimal = @import("../os/decimal.zig");
const errors = @import("errors.zig");
const kernel = @import("kernel.zig");
const table = @import("table.zig");

pub const Reactor = struct {
    pipe: kernel.Handle,
    wake: kernel.CONDITION_VARIABLE = .{},
    /// What is to be told, in the order in which it came. The watches are this thread's to free.
    first: ?*table.Watch = null,
    last: ?*table.Watch = null,
    has_ended: bool = false,
    handle: i32,
    next: ?*Reactor,

    /// With the lock of the table held. It takes no memory, and so it cannot fail.
    pub fn put(reactor: *Reactor, watch: *table.Watch) void {
        watch.next = null;
        if (reactor.last) |last| last.next = watch else reactor.first = watch;
        reactor.last = watch;
        kernel.WakeAllConditionVariable(&reactor.wake);
    }

    fn take(reactor: *Reactor) ?*table.Watch {
        const watch = reactor.first orelse return null;
        reactor.first = watch.next;
        if (watch.next == null) reactor.last = null;
        return watch;
    }

    /// Nobody reads any more. It is never freed: what watches by it may still be told something.
    pub fn end(reactor: *Reactor) void {
        table.acquire();
        reactor.has_ended = true;
        kernel.WakeAllConditionVariable(&reactor.wake);
        table.release();
    }
};

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
    const flags = kernel.STACK_SIZE_PARAM_IS_A_RESERVATION;
    const thread = kernel.CreateThread(null, 64 * 1024, run, reactor, flags, null) orelse {
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
            table.acquire();
            if (table.find(number)) |entry| entry.reactor = reactor;
            table.release();
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
    const mode = kernel.PIPE_ACCESS_OUTBOUND | kernel.FILE_FLAG_FIRST_PIPE_INSTANCE;
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
    waitForReader(reactor.pipe);
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
        if (!writeAll(reactor.pipe, std.mem.sliceAsBytes(batch[0..count]))) break;
    }
    _ = kernel.CloseHandle(reactor.pipe);
    return 0;
}

/// Somebody else who has guessed the name is sent away.
fn waitForReader(pipe: kernel.Handle) void {
    const ERROR_PIPE_CONNECTED = 535;
    while (true) {
        if (kernel.ConnectNamedPipe(pipe, null) == 0 and kernel.GetLastError() != ERROR_PIPE_CONNECTED) return;
        var pid: u32 = 0;
        // Where it cannot be asked it is this one: the pipe takes one only.
        if (kernel.GetNamedPipeClientProcessId(pipe, &pid) == 0 or pid == kernel.GetCurrentProcessId()) return;
        _ = kernel.DisconnectNamedPipe(pipe);
    }
}

fn writeAll(pipe: kernel.Handle, bytes: []const u8) bool {
    var done: usize = 0;
    while (done < bytes.len) {
        var written: u32 = 0;
        if (kernel.WriteFile(pipe, bytes.ptr + done, @intCast(bytes.len - done), &written, null) == 0) return false;
        done += written;
    }
    return true;
}
