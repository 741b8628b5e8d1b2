//! What the tests under Wine start: it says what it was started with, as it is told to by its second word.
//!
//!     args            GetCommandLineW as it is, and each argument as CommandLineToArgvW reads it
//!     env             the environment block, entry by entry
//!     exit CODE       ends with the code, which may have 32 bits
//!     std             the kinds of the three standard handles, or "none"
//!     handle VALUE    the kind of that handle here
//!     stdin           copies standard input to standard output
//!     sleep           until it is ended
//!     spawn           starts itself as "sleep", says its number, and sleeps
//!     cwd             the working directory
//!     write VALUE TEXT   writes the text to that handle
//!     parent          the number of the process that this is a child of
//!     window          whether STARTUPINFO hides the window

const std = @import("std");

const Handle = *anyopaque;
extern "kernel32" fn GetCommandLineW() callconv(.winapi) [*:0]u16;
extern "shell32" fn CommandLineToArgvW([*:0]const u16, *i32) callconv(.winapi) ?[*][*:0]u16;
extern "kernel32" fn GetEnvironmentStringsW() callconv(.winapi) [*]u16;
extern "kernel32" fn GetStdHandle(u32) callconv(.winapi) ?Handle;
extern "kernel32" fn GetFileType(?Handle) callconv(.winapi) u32;
extern "kernel32" fn WriteFile(?Handle, [*]const u8, u32, ?*u32, ?*anyopaque) callconv(.winapi) i32;
extern "kernel32" fn ReadFile(?Handle, [*]u8, u32, ?*u32, ?*anyopaque) callconv(.winapi) i32;
extern "kernel32" fn ExitProcess(u32) callconv(.winapi) noreturn;
extern "ntdll" fn NtQueryInformationProcess(Handle, u32, *[6]usize, u32, ?*u32) callconv(.winapi) i32;
extern "kernel32" fn Sleep(u32) callconv(.winapi) void;
extern "kernel32" fn GetCurrentDirectoryW(u32, [*]u16) callconv(.winapi) u32;
extern "kernel32" fn GetStartupInfoW(*[104]u8) callconv(.winapi) void;
extern "kernel32" fn GetModuleFileNameW(?Handle, [*]u16, u32) callconv(.winapi) u32;
extern "kernel32" fn CreateProcessW([*:0]const u16, ?[*:0]u16, ?*anyopaque, ?*anyopaque, i32, u32, ?*anyopaque, ?[*:0]const u16, *[104]u8, *[24]u8) callconv(.winapi) i32;

fn standard(index: u32) ?Handle {
    return GetStdHandle(@as(u32, @bitCast(@as(i32, -10))) -% index);
}

fn print(text: []const u8) void {
    var done: usize = 0;
    while (done < text.len) {
        var count: u32 = 0;
        if (WriteFile(standard(1), text.ptr + done, @intCast(text.len - done), &count, null) == 0) ExitProcess(97);
        done += count;
    }
}

var buffer: [256 * 1024]u8 = undefined;

/// A line, whatever its text holds: control characters do not get into these tests' arguments.
fn printWide(text: []const u16) void {
    const length = std.unicode.wtf16LeToWtf8(&buffer, text);
    buffer[length] = '\n';
    print(buffer[0 .. length + 1]);
}

fn lengthOf(text: [*:0]const u16) usize {
    var end: usize = 0;
    while (text[end] != 0) end += 1;
    return end;
}

fn narrow(text: [*:0]const u16, to: []u8) []const u8 {
    return to[0..std.unicode.wtf16LeToWtf8(to, text[0..lengthOf(text)])];
}

fn kind(handle: ?Handle) []const u8 {
    if (handle == null) return "none\n";
    return switch (GetFileType(handle)) {
        1 => "disk\n",
        2 => "char\n",
        3 => "pipe\n",
        else => "unknown\n",
    };
}

pub fn main() void {
    const line = GetCommandLineW();
    var count: i32 = 0;
    const arguments = (CommandLineToArgvW(line, &count) orelse ExitProcess(98))[0..@intCast(count)];
    if (count < 2) ExitProcess(99);
    var word: [64]u8 = undefined;
    const what = narrow(arguments[1], &word);
    var other: [64]u8 = undefined;
    const operand = if (count > 2) narrow(arguments[2], &other) else "";
    if (std.mem.eql(u8, what, "args")) {
        printWide(line[0..lengthOf(line)]);
        for (arguments) |argument| printWide(argument[0..lengthOf(argument)]);
    } else if (std.mem.eql(u8, what, "env")) {
        var at = GetEnvironmentStringsW();
        while (at[0] != 0) {
            const entry: [*:0]u16 = @ptrCast(at);
            printWide(entry[0..lengthOf(entry)]);
            at += lengthOf(entry) + 1;
        }
    } else if (std.mem.eql(u8, what, "exit")) {
        ExitProcess(std.fmt.parseInt(u32, operand, 10) catch 96);
    } else if (std.mem.eql(u8, what, "std")) {
        for (0..3) |index| print(kind(standard(@intCast(index))));
    } else if (std.mem.eql(u8, what, "handle")) {
        print(kind(@ptrFromInt(std.fmt.parseInt(usize, operand, 10) catch 0)));
    } else if (std.mem.eql(u8, what, "stdin")) {
        var read: u32 = 0;
        while (ReadFile(standard(0), &buffer, 4096, &read, null) != 0 and read > 0) print(buffer[0..read]);
    } else if (std.mem.eql(u8, what, "spawn")) {
        spawn();
    } else if (std.mem.eql(u8, what, "cwd")) {
        var path: [1024]u16 = undefined;
        printWide(path[0..GetCurrentDirectoryW(path.len, &path)]);
    } else if (std.mem.eql(u8, what, "window")) {
        var info: [104]u8 = undefined;
        GetStartupInfoW(&info);
        const flags = std.mem.readInt(u32, info[60..64], .little);
        const show = std.mem.readInt(u16, info[64..66], .little);
        print(if (flags & 1 != 0 and show == 0) "hidden\n" else "shown\n");
    } else if (std.mem.eql(u8, what, "write")) {
        const handle: ?Handle = @ptrFromInt(std.fmt.parseInt(usize, operand, 10) catch 0);
        var written: u32 = 0;
        const text = narrow(arguments[3], &buffer);
        if (WriteFile(handle, text.ptr, @intCast(text.len), &written, null) == 0) ExitProcess(93);
    } else if (std.mem.eql(u8, what, "parent")) {
        // PROCESS_BASIC_INFORMATION, whose last field it is.
        var info: [6]usize = undefined;
        _ = NtQueryInformationProcess(@ptrFromInt(std.math.maxInt(usize)), 0, &info, @sizeOf(@TypeOf(info)), null);
        var text: [16]u8 = undefined;
        print(std.fmt.bufPrint(&text, "{d}\n", .{info[5]}) catch unreachable);
    } else if (std.mem.eql(u8, what, "sleep")) {
        Sleep(0xffff_ffff);
    } else ExitProcess(95);
}

fn spawn() void {
    var path: [1024:0]u16 = undefined;
    path[GetModuleFileNameW(null, &path, path.len)] = 0;
    var line: [16:0]u16 = undefined;
    for ("child sleep", 0..) |byte, index| line[index] = byte;
    line["child sleep".len] = 0;
    var info: [104]u8 = @splat(0);
    info[0] = 104;
    var made: [24]u8 align(8) = undefined;
    if (CreateProcessW(&path, &line, null, null, 0, 0, null, null, &info, &made) == 0) ExitProcess(94);
    var text: [16]u8 = undefined;
    print(std.fmt.bufPrint(&text, "{d}\n", .{std.mem.readInt(u32, made[16..20], .little)}) catch unreachable);
    Sleep(0xffff_ffff);
}
