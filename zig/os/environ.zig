//! This process's environment, as libc keeps it: which another thread may be changing.
//!
//! setenv(3) reallocates the list and frees the old one, under a lock that no foreign code can take: Rust's,
//! and so Deno's, is its own. So the memory is read by process_vm_readv(2), which answers EFAULT where a plain
//! read would be a fault: first the list, until it has stood still for that long and nobody is changing it, then what it
//! points to, which glibc keeps for good.

const std = @import("std");
const builtin = @import("builtin");
const libc = @import("libc.zig");
const linux = @import("linux.zig");
const system = @import("system.zig").system;
const threads = @import("threads.zig");

/// So many looks at a list that does not stand still.
const looks_max = 1008;
/// And so many without a pause of a millisecond.
const looks_quick = 1000;
/// So much of a variable at once.
const piece = 1024;
/// The smallest that a page is.
const page_min = 4096;

/// Writes the environment as NUL-terminated strings behind the buffer's first 8 bytes, if there is room;
/// answers the bytes that all of it takes, or more than there is room for. The 8 bytes are a sum of the list:
/// -EEXIST if it is that which they held.
pub fn read(buffer: [*]u8, length: i32) i32 {
    if (length < 8) return system.negative(.INVAL);
    const sum = buffer[0..8];
    const room = buffer[8..@intCast(length)];
    if (builtin.os.tag != .linux) return plainly(room);
    for (0..looks_max) |count| {
        const answer = look(sum, room) catch |err| switch (err) {
            error.Changed => {
                // Who changes it may have been stopped between freeing the old list and naming the new one, on a busy
                // machine for milliseconds.
                if (count < looks_quick) system.yield() else threads.pause(1);
                continue;
            },
            error.Refused => return plainly(room),
            error.Known => return system.negative(.EXIST),
        };
        return std.math.cast(i32, answer) orelse system.negative(.@"2BIG");
    }
    return system.negative(.AGAIN);
}

const Error = error{ Changed, Refused, Known };
const Vector = extern struct { base: usize, len: usize };

/// Reads this process's own memory; answers how much of it. `Changed`: it is not there any more.
fn peek(address: usize, into: []u8) Error!usize {
    const local: Vector = .{ .base = @intFromPtr(into.ptr), .len = into.len };
    const remote: Vector = .{ .base = address, .len = into.len };
    const pid = linux.call(.getpid, .{});
    const answer = linux.call(.process_vm_readv, .{ pid, &local, 1, &remote, 1, 0 });
    if (answer > 0) return @intCast(answer);
    return if (answer == linux.negative(.FAULT) or answer == 0) error.Changed else error.Refused;
}

fn list() usize {
    return @intFromPtr(libc.environment() orelse return 0);
}

/// A list as it was: how many bytes of addresses, and a sum of them.
const List = struct { size: usize, sum: u64 };

/// Null: there is no room for it.
fn readList(from: usize, addresses: []u8) Error!?List {
    var sum: u64 = from;
    var size: usize = 0;
    var read_to: usize = 0;
    while (true) : (size += 8) {
        if (size + 8 > addresses.len) return null;
        // As far as there is memory, again from where that was not whole. To the end of a page at most: behind a list that
        // lies on the stack there is little, and to find no page takes the kernel 1 µs of 6.6 (measured).
        if (size + 8 > read_to) {
            const left_of_page = page_min - (from + size) % page_min;
            read_to = size + try peek(from + size, addresses[size..][0..@min(left_of_page, addresses.len - size)]);
        }
        if (size + 8 > read_to) return error.Changed;
        const address = std.mem.readInt(u64, addresses[size..][0..8], .little);
        if (address == 0) return .{ .size = size, .sum = sum };
        sum = (sum ^ address) *% 0x100000001b3;
    }
}

/// Until nobody is within a call that changes the environment: they have one lock, which unsetenv(3) of what is not there
/// takes too. Without a libc, or in one without that lock, there is nothing to wait for.
fn settle() void {
    const unsetenv = libc.function("unsetenv", fn ([*:0]const u8) callconv(.c) i32) orelse return;
    _ = unsetenv("OSEXEC_NOT_THERE");
}

fn look(known: *[8]u8, room: []u8) Error!usize {
    const from = list();
    if (from == 0) return 0;
    // The list goes to the room's second half, and what it points to into the first.
    const half = room.len / 2;
    const addresses = room[half..];
    const found = try readList(from, addresses) orelse return 2 * room.len + 64;
    if (list() != from) return error.Changed;
    if (std.mem.readInt(u64, known, .little) == found.sum) return error.Known;
    // Whoever has freed this list, and not yet named the new one, may have left it with an end where it had none: the same
    // again when he is done is true.
    settle();
    const again = try readList(from, addresses) orelse return error.Changed;
    if (list() != from or again.sum != found.sum) return error.Changed;
    var needed: usize = 0;
    var index: usize = 0;
    while (index < again.size) : (index += 8) {
        const address = std.mem.readInt(u64, addresses[index..][0..8], .little);
        needed += try copy(address, room[@min(needed, half)..half]);
    }
    if (needed > half) return room.len + needed;
    std.mem.writeInt(u64, known, again.sum, .little);
    return needed;
}

/// One variable and its NUL, as far as there is room; how much it takes.
fn copy(address: usize, room: []u8) Error!usize {
    var bytes: [piece]u8 = undefined;
    var size: usize = 0;
    while (true) {
        const got = bytes[0..try peek(address + size, &bytes)];
        const end = std.mem.findScalar(u8, got, 0);
        const part = got[0..if (end) |at| at + 1 else got.len];
        if (size + part.len <= room.len) @memcpy(room[size..][0..part.len], part);
        size += part.len;
        if (end != null) return size;
    }
}

/// macOS, and where the call is refused.
fn plainly(room: []u8) i32 {
    const vector = libc.environment() orelse return 0;
    var needed: usize = 0;
    var index: usize = 0;
    while (vector[index]) |entry| : (index += 1) {
        const text = std.mem.span(entry);
        const end = needed + text.len + 1;
        if (end <= room.len) {
            @memcpy(room[needed .. end - 1], text);
            room[end - 1] = 0;
        }
        needed = end;
    }
    return std.math.cast(i32, needed) orelse system.negative(.@"2BIG");
}

fn isReadAgain(_: void) !void {
    const clearenv = libc.function("clearenv", fn () callconv(.c) i32) orelse return error.SkipZigTest;
    try std.testing.expect(list() != 0);
    _ = clearenv();
    try std.testing.expectEqual(0, list());
}

test "the environment's list is asked for each time, whatever an optimizer knows of it" {
    if (builtin.os.tag != .linux) return error.SkipZigTest;
    try @import("../tests/fork.zig").inChild({}, isReadAgain);
}

test "both ways of reading agree" {
    var first: [65536]u8 = @splat(0);
    var second: [65536]u8 = undefined;
    const length = read(&first, first.len);
    try std.testing.expect(length > 0);
    try std.testing.expectEqual(length, plainly(&second));
    const size: usize = @intCast(length);
    try std.testing.expectEqualSlices(u8, second[0..size], first[8..][0..size]);
    if (builtin.os.tag != .linux) return;
    // Refused under qemu-user and by some sandboxes.
    var byte: [1]u8 = .{1};
    var copied: [1]u8 = .{0};
    _ = peek(@intFromPtr(&byte), &copied) catch |err| {
        return if (err == error.Refused) error.SkipZigTest else err;
    };
    try std.testing.expectEqual(system.negative(.EXIST), read(&first, first.len));
    var small: [16]u8 = @splat(0);
    try std.testing.expect(read(&small, small.len) > small.len);
}
