//! The records of the reactor, on Windows: down a named pipe, which the event loop of each runtime reads, as it could
//! no anonymous one. One thread for each JavaScript thread: it sleeps until there is a record to be written.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const errors = @import("errors.zig");
const kernel = @import("kernel.zig");
const table = @import("table.zig");

pub const Reactor = struct {
    pipe: kernel.Handle,
    wake: kernel.CONDITION_VARIABLE = .{},
    records: std.ArrayList(abi.Event) = .empty,
    has_ended: bool = false,

    /// With the lock of the table held. Memory is there or the process has none for anything.
    pub fn put(reactor: *Reactor, event: abi.Event) void {
        reactor.records.append(memory, event) catch return;
        kernel.WakeAllConditionVariable(&reactor.wake);
    }

    /// Nobody reads any more. It is never freed: what watches by it may still be told something.
    pub fn end(reactor: *Reactor) void {
        table.acquire();
        reactor.has_ended = true;
        kernel.WakeAllConditionVariable(&reactor.wake);
        table.release();
    }
};

const memory = std.heap.page_allocator;

/// By the handles that TypeScript has, in the order in which they were made.
var reactors: std.ArrayList(*Reactor) = .empty;

/// Its `fd` is also the number in the pipe's name: `\\.\pipe\osexec-PID-FD`.
pub fn create(answer: *abi.Reactor) i32 {
    const reactor = table.create(Reactor) orelse return errors.posix(.NOMEM);
    reactor.* = .{ .pipe = kernel.invalid };
    const number = reserve(reactor);
    if (number < 0) {
        table.destroy(reactor);
        return number;
    }
    table.acquire();
    const handle: i32 = @intCast(reactors.items.len);
    const is_kept = if (reactors.append(memory, reactor)) |_| true else |_| false;
    table.release();
    const flags = kernel.STACK_SIZE_PARAM_IS_A_RESERVATION;
    const thread = if (is_kept) kernel.CreateThread(null, 64 * 1024, run, reactor, flags, null) else null;
    if (thread == null) {
        const reason = if (is_kept) errors.last() else errors.posix(.NOMEM);
        _ = kernel.CloseHandle(reactor.pipe);
        _ = table.close(number);
        return reason;
    }
    _ = kernel.CloseHandle(thread.?);
    answer.* = .{ .handle = handle, .fd = number };
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
    var text: [64]u8 = undefined;
    const written = std.fmt.bufPrint(&text, "\\\\.\\pipe\\osexec-{d}-{d}", .{ pid, number }) catch unreachable;
    for (written, 0..) |byte, index| name[index] = byte;
    name[written.len] = 0;
}

pub fn find(handle: i32) ?*Reactor {
    if (handle < 0 or handle >= reactors.items.len) return null;
    return reactors.items[@intCast(handle)];
}

fn run(context: ?*anyopaque) callconv(.winapi) u32 {
    const reactor: *Reactor = @ptrCast(@alignCast(context.?));
    waitForReader(reactor.pipe);
    var batch: [64]abi.Event = undefined;
    while (true) {
        table.acquire();
        while (reactor.records.items.len == 0 and !reactor.has_ended) {
            _ = table.sleep(&reactor.wake, kernel.INFINITE);
        }
        const count = @min(batch.len, reactor.records.items.len);
        @memcpy(batch[0..count], reactor.records.items[0..count]);
        reactor.records.replaceRangeAssumeCapacity(0, count, &.{});
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
