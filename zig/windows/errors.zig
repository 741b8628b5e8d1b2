//! Two families of error numbers in one i32, as every answer of the boundary is: what this library says in POSIX's
//! words, by Linux's numbers, and above `own` what GetLastError says. TypeScript tells them apart by that.

const std = @import("std");
const kernel = @import("kernel.zig");

/// No code of Windows' own that a call here may answer is as great: WinError.h's system codes end at 15999.
pub const windows_from = 0x1_0000;

/// What TypeScript looks at to decide what to do next, and what Windows has no code for. Go invents numbers for these;
/// OPNOTSUPP is its EWINDOWS, "not supported by windows".
pub fn posix(number: std.os.linux.E) i32 {
    return -@as(i32, @backingInt(number));
}

/// The answer of a call that has just failed.
pub fn last() i32 {
    return ofCode(kernel.GetLastError());
}

pub fn ofCode(code: u32) i32 {
    return -@as(i32, @intCast(@min(code, @as(u32, 0xffff)))) - windows_from;
}

/// The codes that a start, a wait or a file may end in, by Go's names for them. The texts are the system's own.
const names = [_]struct { u16, []const u8 }{
    .{ 1, "ERROR_INVALID_FUNCTION" },
    .{ 2, "ERROR_FILE_NOT_FOUND" },
    .{ 3, "ERROR_PATH_NOT_FOUND" },
    .{ 4, "ERROR_TOO_MANY_OPEN_FILES" },
    .{ 5, "ERROR_ACCESS_DENIED" },
    .{ 6, "ERROR_INVALID_HANDLE" },
    .{ 8, "ERROR_NOT_ENOUGH_MEMORY" },
    .{ 11, "ERROR_BAD_FORMAT" },
    .{ 14, "ERROR_OUTOFMEMORY" },
    .{ 18, "ERROR_NO_MORE_FILES" },
    .{ 19, "ERROR_WRITE_PROTECT" },
    .{ 31, "ERROR_GEN_FAILURE" },
    .{ 32, "ERROR_SHARING_VIOLATION" },
    .{ 33, "ERROR_LOCK_VIOLATION" },
    .{ 38, "ERROR_HANDLE_EOF" },
    .{ 50, "ERROR_NOT_SUPPORTED" },
    .{ 80, "ERROR_FILE_EXISTS" },
    .{ 87, "ERROR_INVALID_PARAMETER" },
    .{ 109, "ERROR_BROKEN_PIPE" },
    .{ 112, "ERROR_DISK_FULL" },
    .{ 120, "ERROR_CALL_NOT_IMPLEMENTED" },
    .{ 122, "ERROR_INSUFFICIENT_BUFFER" },
    .{ 123, "ERROR_INVALID_NAME" },
    .{ 126, "ERROR_MOD_NOT_FOUND" },
    .{ 127, "ERROR_PROC_NOT_FOUND" },
    .{ 145, "ERROR_DIR_NOT_EMPTY" },
    .{ 161, "ERROR_BAD_PATHNAME" },
    .{ 183, "ERROR_ALREADY_EXISTS" },
    .{ 191, "ERROR_INVALID_EXE_SIGNATURE" },
    .{ 193, "ERROR_BAD_EXE_FORMAT" },
    .{ 206, "ERROR_FILENAME_EXCED_RANGE" },
    .{ 216, "ERROR_EXE_MACHINE_TYPE_MISMATCH" },
    .{ 231, "ERROR_PIPE_BUSY" },
    .{ 232, "ERROR_NO_DATA" },
    .{ 267, "ERROR_DIRECTORY" },
    .{ 740, "ERROR_ELEVATION_REQUIRED" },
    .{ 995, "ERROR_OPERATION_ABORTED" },
    .{ 998, "ERROR_NOACCESS" },
    .{ 1168, "ERROR_NOT_FOUND" },
    .{ 1260, "ERROR_ACCESS_DISABLED_BY_POLICY" },
    .{ 1314, "ERROR_PRIVILEGE_NOT_HELD" },
    .{ 1337, "ERROR_INVALID_SID" },
    .{ 1338, "ERROR_INVALID_SECURITY_DESCR" },
    .{ 1450, "ERROR_NO_SYSTEM_RESOURCES" },
    .{ 1455, "ERROR_COMMITMENT_LIMIT" },
    .{ 1816, "ERROR_NOT_ENOUGH_QUOTA" },
};

pub fn nameOf(code: u32) ?[]const u8 {
    for (names) |each| if (each[0] == code) return each[1];
    return null;
}

/// Writes the name, or nothing, a NUL, and the system's English text; answers the length of all.
pub fn describe(code: i32, buffer: []u8) i32 {
    const name = nameOf(@bitCast(code)) orelse "";
    if (buffer.len < name.len + 1) return posix(.INVAL);
    @memcpy(buffer[0..name.len], name);
    buffer[name.len] = 0;
    var text: [256]u16 = undefined;
    const from_system = 0x1000;
    const ignore_inserts = 0x200;
    const english = 0x409;
    var length: usize = 0;
    for ([_]u32{ english, 0 }) |language| {
        length = kernel.FormatMessageW(from_system | ignore_inserts, null, @bitCast(code), language, &text, text.len, null);
        if (length > 0) break;
    }
    while (length > 0 and (text[length - 1] <= ' ' or text[length - 1] == '.')) length -= 1;
    const room = buffer[name.len + 1 ..];
    if (room.len < 3 * length) return @intCast(name.len + 1);
    return @intCast(name.len + 1 + std.unicode.wtf16LeToWtf8(room, text[0..length]));
}

test "the names stand in the order of their codes" {
    var before: u16 = 0;
    for (names) |each| {
        try std.testing.expect(each[0] > before);
        before = each[0];
    }
    try std.testing.expectEqualStrings("ERROR_ACCESS_DENIED", nameOf(5).?);
    try std.testing.expectEqual(null, nameOf(7));
}
