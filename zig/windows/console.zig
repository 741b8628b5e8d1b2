//! ConPTY: Windows' pseudo-terminal. It is no pair of descriptors: this process has two pipes, one to type by and one
//! that is printed to, and the child is told of the console between them when it is made.

const std = @import("std");
const builtin = @import("builtin");
const errors = @import("errors.zig");
const kernel = @import("kernel.zig");
const table = @import("table.zig");
const posix = errors.posix;

const name = "conpty\x00";

pub fn open(ends: *[2]i32, buffer: [*]u8, length: i32) i32 {
    if (length < name.len) return posix(.INVAL);
    var typed: kernel.Handle = undefined;
    var typing: kernel.Handle = undefined;
    var printed: kernel.Handle = undefined;
    var printing: kernel.Handle = undefined;
    if (kernel.CreatePipe(&typed, &typing, null, 0) == 0) return errors.last();
    // The console has copies of its own.
    defer _ = kernel.CloseHandle(typed);
    if (kernel.CreatePipe(&printed, &printing, null, 0) == 0) {
        const reason = errors.last();
        _ = kernel.CloseHandle(typing);
        return reason;
    }
    defer _ = kernel.CloseHandle(printing);
    const answer = make(ends, typed, printing, typing, printed);
    if (answer < 0) return answer;
    @memcpy(buffer[0..name.len], name);
    return name.len;
}

fn make(ends: *[2]i32, typed: kernel.Handle, printing: kernel.Handle, typing: kernel.Handle, printed: kernel.Handle) i32 {
    const console = table.create(table.Console) orelse {
        _ = kernel.CloseHandle(typing);
        _ = kernel.CloseHandle(printed);
        return posix(.NOMEM);
    };
    console.* = .{ .handle = null, .columns = 80, .rows = 24 };
    var handle: kernel.Handle = undefined;
    const result = kernel.CreatePseudoConsole(.{ .X = 80, .Y = 24 }, typed, printing, 0, &handle);
    if (result < 0) {
        _ = kernel.CloseHandle(typing);
        _ = kernel.CloseHandle(printed);
        table.destroy(console);
        return failure(result);
    }
    console.handle = handle;
    ends[0] = table.add(.{ .kind = .terminal, .handle = printed, .other = typing, .console = console });
    ends[1] = table.add(.{ .kind = .console, .handle = kernel.invalid, .console = console });
    if (ends[0] >= 0 and ends[1] >= 0) return 0;
    for (ends) |end| if (end >= 0) {
        _ = table.close(end);
    };
    return posix(.MFILE);
}

pub fn setWindow(number: i32, columns: i32, rows: i32) i32 {
    table.acquire();
    defer table.release();
    const console = consoleOf(number) orelse return posix(.BADF);
    const handle = console.handle orelse return posix(.IO);
    const size: kernel.COORD = .{ .X = clamp(columns), .Y = clamp(rows) };
    if (size.X == console.columns and size.Y == console.rows) return 0;
    const result = kernel.ResizePseudoConsole(handle, size);
    if (result < 0) return failure(result);
    console.columns = size.X;
    console.rows = size.Y;
    return 0;
}

/// Of an HRESULT, whose lower half is a code where its upper one says so.
fn failure(result: i32) i32 {
    const E_NOTIMPL = 0x8000_4001;
    const ERROR_GEN_FAILURE = 31;
    const ERROR_CALL_NOT_IMPLEMENTED = 120;
    const bits: u32 = @bitCast(result);
    if (bits == E_NOTIMPL) return errors.ofCode(ERROR_CALL_NOT_IMPLEMENTED);
    return errors.ofCode(if (bits >> 16 == 0x8007) bits & 0xffff else ERROR_GEN_FAILURE);
}

/// A console's coordinates have 15 bits.
fn clamp(size: i32) i16 {
    return @intCast(@min(@max(size, 1), std.math.maxInt(i16)));
}

/// It tells nobody what has become of its size: what it was last set to.
pub fn window(number: i32, size: *[2]i32) i32 {
    table.acquire();
    defer table.release();
    const console = consoleOf(number) orelse return posix(.BADF);
    size.* = .{ console.columns, console.rows };
    return 0;
}

/// The mode is the child's own to set, SetConsoleMode: a new one is "cooked".
pub fn setMode(number: i32, is_raw: bool) i32 {
    table.acquire();
    defer table.release();
    _ = consoleOf(number) orelse return posix(.BADF);
    return if (is_raw) posix(.OPNOTSUPP) else 0;
}

/// A child of a console's: when it has ended, and all others, and nobody else can start one, the console is closed.
const Inmate = struct {
    process: kernel.Handle,
    waiting: kernel.Handle,
    console: *table.Console,

    fn ended(context: ?*anyopaque, _: u8) callconv(.winapi) void {
        const inmate: *Inmate = @ptrCast(@alignCast(context.?));
        const console = inmate.console;
        table.acquire();
        console.children -= 1;
        console.closeIfUnused();
        const waiting = inmate.waiting;
        table.release();
        // Not waited for: this is the callback itself.
        _ = kernel.UnregisterWaitEx(waiting, null);
        _ = kernel.CloseHandle(inmate.process);
        table.destroy(inmate);
        table.letGo(console);
    }
};

/// Notes that a process was started in it.
pub fn begin(console: *table.Console, process: kernel.Handle) void {
    const inmate = table.create(Inmate) orelse return;
    inmate.console = console;
    inmate.process = table.duplicate(process) orelse return table.destroy(inmate);
    // The callback waits for the lock, and so for its own handle.
    table.acquire();
    defer table.release();
    const how = kernel.WT_EXECUTEONLYONCE;
    if (kernel.RegisterWaitForSingleObject(&inmate.waiting, inmate.process, Inmate.ended, inmate, kernel.INFINITE, how) == 0) {
        _ = kernel.CloseHandle(inmate.process);
        return table.destroy(inmate);
    }
    console.children += 1;
    console.references += 1;
}

fn consoleOf(number: i32) ?*table.Console {
    const entry = table.find(number) orelse return null;
    return entry.console;
}

test "an HRESULT of Windows' own codes is that code" {
    try std.testing.expectEqual(errors.ofCode(87), failure(@bitCast(@as(u32, 0x8007_0057))));
    try std.testing.expectEqual(errors.ofCode(120), failure(@bitCast(@as(u32, 0x8000_4001))));
    try std.testing.expectEqual(errors.ofCode(31), failure(@bitCast(@as(u32, 0x8000_ffff))));
}

test "sizes are cut to what a console has room for" {
    try std.testing.expectEqual(1, clamp(0));
    try std.testing.expectEqual(32767, clamp(65535));
    try std.testing.expectEqual(120, clamp(120));
}

test "a terminal that there is no number for leaves none of its own" {
    if (builtin.os.tag != .windows) return error.SkipZigTest;
    var last: i32 = -1;
    while (true) {
        const number = table.add(.{ .kind = .reactor, .handle = kernel.invalid });
        if (number < 0) break;
        last = number;
    }
    defer for (3..@intCast(last + 1)) |number| {
        _ = table.close(@intCast(number));
    };
    var ends: [2]i32 = undefined;
    var text: [16]u8 = undefined;
    try std.testing.expectEqual(posix(.MFILE), open(&ends, &text, text.len));
    // One of the two that it takes.
    _ = table.close(last);
    try std.testing.expectEqual(posix(.MFILE), open(&ends, &text, text.len));
    try std.testing.expectEqual(last, table.add(.{ .kind = .reactor, .handle = kernel.invalid }));
}
