//! Files, pipes and directories by the flags of Linux's open(2), which are what TypeScript speaks; and this process's
//! own surroundings.

const std = @import("std");
const errors = @import("errors.zig");
const kernel = @import("kernel.zig");
const table = @import("table.zig");
const posix = errors.posix;

/// The longest path that Windows knows at all, in UTF-16 and with its NUL.
const path_max = 32 * 1024;

/// A path on the stack, as Windows takes it.
const Path = struct {
    units: [path_max]u16,

    fn read(path: *Path, text: [*]const u8, length: i32) ?[*:0]const u16 {
        if (length < 2 or length > path_max or text[@intCast(length - 1)] != 0) return null;
        const end = std.unicode.utf8ToUtf16Le(&path.units, text[0..@intCast(length - 1)]) catch return null;
        path.units[end] = 0;
        return path.units[0..end :0].ptr;
    }
};

const O_ACCMODE = 3;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;

pub fn open(text: [*]const u8, length: i32, flags: i32, mode: i32) i32 {
    var path: Path = undefined;
    const name = path.read(text, length) orelse return posix(.INVAL);
    const access: u32 = switch (flags & O_ACCMODE) {
        0 => kernel.GENERIC_READ,
        1 => kernel.GENERIC_WRITE,
        2 => kernel.GENERIC_READ | kernel.GENERIC_WRITE,
        else => return posix(.INVAL),
    };
    // Without the right to write anywhere else, each write goes to the end.
    const appending: u32 = kernel.FILE_GENERIC_WRITE & ~@as(u32, kernel.FILE_WRITE_DATA);
    const rights = if (flags & O_APPEND != 0) (access & ~@as(u32, kernel.GENERIC_WRITE)) | appending else access;
    const creation: u32 = if (flags & O_CREAT != 0)
        (if (flags & O_EXCL != 0) kernel.CREATE_NEW else if (flags & O_TRUNC != 0) kernel.CREATE_ALWAYS else kernel.OPEN_ALWAYS)
    else if (flags & O_TRUNC != 0) kernel.TRUNCATE_EXISTING else kernel.OPEN_EXISTING;
    const attributes: u32 = if (flags & O_CREAT != 0 and mode & 0o200 == 0) kernel.FILE_ATTRIBUTE_READONLY else kernel.FILE_ATTRIBUTE_NORMAL;
    const handle = kernel.CreateFileW(name, rights, kernel.FILE_SHARE_ALL, null, creation, attributes, null);
    if (handle == kernel.invalid) return errors.last();
    return table.add(.{ .kind = table.kindOf(handle), .handle = handle });
}

pub fn dup(number: i32) i32 {
    const copy: table.Entry = blk: {
        table.acquire();
        defer table.release();
        const entry = table.find(number) orelse return posix(.BADF);
        if (entry.kind != .file and entry.kind != .stream) return posix(.INVAL);
        const handle = table.duplicate(entry.handle) orelse return errors.last();
        break :blk .{ .kind = entry.kind, .handle = handle };
    };
    return table.add(copy);
}

pub fn pipe(ends: *[2]i32) i32 {
    var reading: kernel.Handle = undefined;
    var writing: kernel.Handle = undefined;
    if (kernel.CreatePipe(&reading, &writing, null, table.buffer_size) == 0) return errors.last();
    ends[0] = table.add(.{ .kind = .stream, .handle = reading });
    if (ends[0] < 0) {
        _ = kernel.CloseHandle(writing);
        return ends[0];
    }
    ends[1] = table.add(.{ .kind = .stream, .handle = writing });
    if (ends[1] >= 0) return 0;
    _ = table.close(ends[0]);
    return ends[1];
}

/// Sets a file's position back.
pub fn rewind(number: i32, length: i32) i32 {
    table.acquire();
    defer table.release();
    const entry = table.find(number) orelse return posix(.BADF);
    if (entry.kind != .file) return posix(.SPIPE);
    const from_here = 1;
    return if (kernel.SetFilePointerEx(entry.handle, -@as(i64, length), null, from_here) == 0) errors.last() else 0;
}

pub fn directory(text: [*]const u8, length: i32, makes: bool) i32 {
    var path: Path = undefined;
    const name = path.read(text, length) orelse return posix(.INVAL);
    const is_done = if (makes) kernel.CreateDirectoryW(name, null) else kernel.RemoveDirectoryW(name);
    return if (is_done == 0) errors.last() else 0;
}

/// Go's chkStat: whether it is there, and no directory. What Windows runs is for its name to say.
pub fn executable(text: [*]const u8, length: i32) i32 {
    var path: Path = undefined;
    const name = path.read(text, length) orelse return posix(.INVAL);
    const attributes = kernel.GetFileAttributesW(name);
    if (attributes == kernel.INVALID_FILE_ATTRIBUTES) {
        const ERROR_FILE_NOT_FOUND = 2;
        const ERROR_PATH_NOT_FOUND = 3;
        const code = kernel.GetLastError();
        if (code == ERROR_FILE_NOT_FOUND or code == ERROR_PATH_NOT_FOUND) return posix(.NOENT);
        return errors.ofCode(code);
    }
    return if (attributes & kernel.FILE_ATTRIBUTE_DIRECTORY != 0) posix(.ACCES) else 0;
}

/// With a NUL at its end, as getcwd(2) answers it.
pub fn workingDirectory(buffer: [*]u8, length: i32) i32 {
    var path: Path = undefined;
    const units = kernel.GetCurrentDirectoryW(path.units.len, &path.units);
    if (units == 0) return errors.last();
    if (length <= 0 or 3 * units + 1 > length) return posix(.NAMETOOLONG);
    const written = std.unicode.wtf16LeToWtf8(buffer[0..@intCast(length)], path.units[0..units]);
    buffer[written] = 0;
    return @intCast(written + 1);
}

/// In front of it the sum that the list was read with: see `zig/os/environ.zig`. Here it is read each time.
const sum_size = 8;

/// "k=v" and a NUL, each; answers the length, which may be more than there is room for.
pub fn environment(buffer: [*]u8, length: i32) i32 {
    const strings = kernel.GetEnvironmentStringsW() orelse return posix(.NOMEM);
    defer _ = kernel.FreeEnvironmentStringsW(strings);
    var end: usize = 0;
    while (strings[end] != 0 or (end > 0 and strings[end - 1] != 0)) end += 1;
    const size = std.unicode.calcWtf8Len(strings[0..end]);
    if (length < sum_size or size > length - sum_size) return @intCast(size);
    return @intCast(std.unicode.wtf16LeToWtf8(buffer[sum_size..@intCast(length)], strings[0..end]));
}
