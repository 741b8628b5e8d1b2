//! Turns a built library into a TypeScript module: `embed_gen <library> <name> <most bytes>`.
//!
//! LZ4's block format, then base64. LZ4 because its decoder is twenty lines of TypeScript: loading
//! node:zlib for a better ratio takes 8 to 10 ms in both runtimes (measured), more than the rest of
//! the start together.

const std = @import("std");
const assert = std.debug.assert;

pub fn main(init: std.process.Init) !void {
    const memory = init.arena.allocator();
    const arguments = try init.minimal.args.toSlice(memory);
    if (arguments.len != 4) return error.Usage;
    const bytes = try std.Io.Dir.cwd().readFileAlloc(
        init.io,
        arguments[1],
        memory,
        .limited(16 << 20),
    );
    const most = try std.fmt.parseInt(usize, arguments[3], 10);
    if (bytes.len > most) {
        std.debug.print("{s}: {d} bytes, more than the {d} it may have\n", .{
            arguments[2], bytes.len, most,
        });
        return error.TooBig;
    }
    const packed_bytes = try compress(memory, bytes);
    const text = try memory.alloc(u8, std.base64.standard.Encoder.calcSize(packed_bytes.len));

    var buffer: [4096]u8 = undefined;
    var stdout = std.Io.File.stdout().writer(init.io, &buffer);
    const w = &stdout.interface;
    try w.print(
        \\// Generated from zig/ by `zig build dist`. Do not edit.
        \\
        \\/** The library for {s}: its size in bytes, and LZ4 in base64. */
        \\export const LIBRARY = {{
        \\  size: {d},
        \\  data:
        \\    "{s}",
        \\}} as const;
        \\
    , .{ arguments[2], bytes.len, std.base64.standard.Encoder.encode(text, packed_bytes) });
    try w.flush();
}

const match_min = 4;
/// The format's rules: the last five bytes are literals, and no match starts in the last twelve.
const literals_last = 5;
const match_free = 12;
const offset_max = 65535;

/// Greedy, over chains of four-byte hashes, longest match first found wins: slow and small, as it
/// runs once a release.
fn compress(memory: std.mem.Allocator, input: []const u8) ![]u8 {
    var output: std.ArrayList(u8) = .empty;
    const none = std.math.maxInt(u32);
    const heads = try memory.alloc(u32, 1 << 16);
    @memset(heads, none);
    const chain = try memory.alloc(u32, input.len);
    var anchor: usize = 0;
    var position: usize = 0;
    while (position + match_free < input.len) {
        var best_length: usize = 0;
        var best_offset: usize = 0;
        var candidate = heads[hash(input[position..])];
        while (candidate != none and position - candidate <= offset_max) {
            const length = common(input, candidate, position);
            if (length > best_length) {
                best_length = length;
                best_offset = position - candidate;
            }
            candidate = chain[candidate];
        }
        if (best_length < match_min) {
            insert(input, heads, chain, position);
            position += 1;
            continue;
        }
        try sequence(memory, &output, input[anchor..position], best_offset, best_length);
        const end = position + best_length;
        while (position < end) : (position += 1) {
            if (position + match_min <= input.len) insert(input, heads, chain, position);
        }
        anchor = end;
    }
    try sequence(memory, &output, input[anchor..], 0, 0);
    return output.items;
}

fn hash(bytes: []const u8) u16 {
    const value = std.mem.readInt(u32, bytes[0..4], .little);
    return @truncate((value *% 2654435761) >> 16);
}

fn insert(input: []const u8, heads: []u32, chain: []u32, position: usize) void {
    const slot = &heads[hash(input[position..])];
    chain[position] = slot.*;
    slot.* = @intCast(position);
}

fn common(input: []const u8, from: usize, to: usize) usize {
    const most = input.len - literals_last - to;
    var length: usize = 0;
    while (length < most and input[from + length] == input[to + length]) length += 1;
    return length;
}

/// One sequence: literals, then a match of `length` bytes from `offset` before; no match at the end.
fn sequence(
    memory: std.mem.Allocator,
    output: *std.ArrayList(u8),
    literals: []const u8,
    offset: usize,
    length: usize,
) !void {
    const match = if (length == 0) 0 else length - match_min;
    const token: u8 = @as(u8, @min(literals.len, 15)) << 4 | @as(u8, @min(match, 15));
    try output.append(memory, token);
    try extend(memory, output, literals.len);
    try output.appendSlice(memory, literals);
    if (length == 0) return;
    assert(offset > 0 and offset <= offset_max);
    try output.appendSlice(memory, &.{ @truncate(offset), @intCast(offset >> 8) });
    try extend(memory, output, match);
}

fn extend(memory: std.mem.Allocator, output: *std.ArrayList(u8), length: usize) !void {
    if (length < 15) return;
    var rest = length - 15;
    while (rest >= 255) : (rest -= 255) try output.append(memory, 255);
    try output.append(memory, @intCast(rest));
}
