//! sink MIB: reads stdin to its end, a mebibyte at a time, and exits 0 if that is how much there was.

const std = @import("std");
const linux = std.os.linux;

pub const panic = std.debug.no_panic;

var chunk: [1024 * 1024]u8 = undefined;

pub fn main(init: std.process.Init.Minimal) u8 {
    const arguments = init.args.vector;
    if (arguments.len != 2) return 64;
    const mebibytes = std.fmt.parseInt(u32, std.mem.span(arguments[1]), 10) catch return 64;
    var total: usize = 0;
    while (true) {
        const length = linux.read(0, &chunk, chunk.len);
        if (linux.errno(length) != .SUCCESS) return 2;
        if (length == 0) break;
        total += length;
    }
    return if (total == @as(usize, mebibytes) * chunk.len) 0 else 3;
}
