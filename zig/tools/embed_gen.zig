//! Turns a built library into a TypeScript module: `embed_gen <library> <name> <most bytes>`.
//!
//! Base64 of what is not zero, and no compression: node:zlib takes 8 to 10 ms to load on Bun and Deno,
//! and a decoder in TypeScript (LZ4's) 2 to 5 ms to run, as nothing of it is compiled yet (measured).
//! The text is half as long again for that. It stands in a function, as a constant would be made by every
//! program that loads this package: 1.5 ms on Deno for those of four platforms (measured).

const std = @import("std");

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
    var buffer: [4096]u8 = undefined;
    var stdout = std.Io.File.stdout().writer(init.io, &buffer);
    const w = &stdout.interface;
    var digest: [std.crypto.hash.sha2.Sha256.digest_length]u8 = undefined;
    std.crypto.hash.sha2.Sha256.hash(bytes, &digest, .{});
    try w.print(
        \\// Generated from zig/ by `zig build dist`. Do not edit.
        \\// sha256 {x}, as `node tools/verify.mjs . --build` finds it: SECURITY.md, "How to check the binary".
        \\
        \\import type {{ Embedded }} from "../embedded.ts";
        \\
        \\/** The library for {s}: its size in bytes, and by their offsets the parts of it that are not zero, in base64. */
        \\export const LIBRARY = (): Embedded => ({{
        \\  size: {d},
        \\  parts: [
        \\
    , .{ &digest, arguments[2], bytes.len });
    for (try split(memory, bytes)) |part| {
        const text = try memory.alloc(u8, std.base64.standard.Encoder.calcSize(part.bytes.len));
        try w.print("    [{d}, \"{s}\"],\n", .{
            part.offset,
            std.base64.standard.Encoder.encode(text, part.bytes),
        });
    }
    try w.writeAll("  ],\n});\n");
    try w.flush();
}

/// A shorter run of zeros is not worth a part of its own: a part costs about 30 bytes of text.
const zeros_min = 64;

const Part = struct { offset: usize, bytes: []const u8 };

/// What is not zero: a library is padded to whole pages, and a macOS one to pages of 16 KiB.
fn split(memory: std.mem.Allocator, bytes: []const u8) ![]const Part {
    var parts: std.ArrayList(Part) = .empty;
    var start: usize = 0;
    while (true) {
        start = std.mem.indexOfNonePos(u8, bytes, start, &.{0}) orelse break;
        const end = std.mem.indexOfPos(u8, bytes, start, &@as([zeros_min]u8, @splat(0))) orelse bytes.len;
        try parts.append(memory, .{ .offset = start, .bytes = bytes[start..end] });
        start = end;
    }
    return parts.items;
}

test "what is split is all but the longer runs of zeros" {
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();
    const zeros: [zeros_min]u8 = @splat(0);
    const parts = try split(arena.allocator(), zeros ++ "ab" ++ zeros ++ "c\x00d" ++ zeros);
    try std.testing.expectEqual(2, parts.len);
    try std.testing.expectEqual(zeros_min, parts[0].offset);
    try std.testing.expectEqualStrings("ab", parts[0].bytes);
    try std.testing.expectEqualStrings("c\x00d", parts[1].bytes);
    try std.testing.expectEqual(0, (try split(arena.allocator(), &zeros)).len);
}
