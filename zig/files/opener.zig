//! Opening a file on a thread of its own, for what may wait: a FIFO whose peer is not there, a slow disk.
//!
//! Who has asked is told by a pipe that reaches its end, then takes the answer or gives it up. Whichever of
//! the two comes first decides who closes the file: the thread one that nobody wants any more.

const std = @import("std");
const files = @import("files.zig");
const system = @import("../os/system.zig").system;
const threads = @import("../os/threads.zig");

const path_max = 4096;

const State = enum(u32) { free, pending, done, abandoned };

const Opening = struct {
    state: State = .free,
    flags: i32 = 0,
    mode: i32 = 0,
    /// The pipe's end that the thread closes.
    told: i32 = 0,
    result: i32 = 0,
    path: [path_max]u8 = @splat(0),

    fn change(opening: *Opening, from: State, to: State) bool {
        return @cmpxchgStrong(State, &opening.state, from, to, .acq_rel, .acquire) == null;
    }
};

/// So many at once; of zeroes, which take no room in the file.
var openings: [64]Opening = @splat(.{});

/// Begins to open `path`, `length` bytes the last of which is NUL. Answers a handle for `finish`, and in `told`
/// the descriptor that has reached its end when there is an answer; the caller closes it.
pub fn begin(path: [*]const u8, length: i32, flags: i32, mode: i32, told: *i32) i32 {
    if (!files.isString(path, length)) return system.negative(.INVAL);
    if (length > path_max) return system.negative(.NAMETOOLONG);
    const handle = reserve() orelse return system.negative(.AGAIN);
    const opening = &openings[handle];
    var ends: [2]i32 = undefined;
    const made = files.pipe(&ends, false);
    if (made < 0) return refuse(opening, made);
    const count: usize = @intCast(length);
    @memcpy(opening.path[0..count], path[0..count]);
    opening.flags = flags;
    opening.mode = mode;
    opening.told = ends[1];
    const started = threads.start(run, opening);
    if (started < 0) {
        for (ends) |end| system.close(end);
        return refuse(opening, started);
    }
    told.* = ends[0];
    return @intCast(handle);
}

/// The opened file, or -errno; -EAGAIN: there is no answer yet, and none is wanted any more.
pub fn finish(handle: i32) i32 {
    if (handle < 0 or handle >= openings.len) return system.negative(.INVAL);
    const opening = &openings[@intCast(handle)];
    if (opening.change(.pending, .abandoned)) return system.negative(.AGAIN);
    const result = opening.result;
    return if (opening.change(.done, .free)) result else system.negative(.INVAL);
}

fn reserve() ?usize {
    for (&openings, 0..) |*opening, handle| {
        if (opening.change(.free, .pending)) return handle;
    }
    return null;
}

fn refuse(opening: *Opening, answer: i32) i32 {
    _ = opening.change(.pending, .free);
    return answer;
}

fn run(context: ?*anyopaque) callconv(.c) ?*anyopaque {
    const opening: *Opening = @ptrCast(@alignCast(context.?));
    const told = opening.told;
    const result = system.openFile(&opening.path, opening.flags, opening.mode);
    opening.result = result;
    if (!opening.change(.pending, .done)) {
        if (result >= 0) system.close(result);
        _ = opening.change(.abandoned, .free);
    }
    system.close(told);
    return null;
}

test "a file is opened, and one that is not wanted is closed" {
    var told: i32 = -1;
    const path = "/dev/null\x00";
    const handle = begin(path, path.len, 0, 0, &told);
    try std.testing.expect(handle >= 0);
    var byte: [1]u8 = undefined;
    try std.testing.expectEqual(0, system.read(told, &byte, 1));
    system.close(told);
    const fd = finish(handle);
    try std.testing.expect(fd >= 0);
    system.close(fd);
    try std.testing.expectEqual(system.negative(.INVAL), finish(handle));

    const nothing = "/nonexistent\x00";
    const failing = begin(nothing, nothing.len, 0, 0, &told);
    try std.testing.expectEqual(0, system.read(told, &byte, 1));
    system.close(told);
    try std.testing.expectEqual(system.negative(.NOENT), finish(failing));
    try std.testing.expectEqual(system.negative(.INVAL), begin(nothing, 3, 0, 0, &told));
}
