//! source MIB: writes that many mebibytes, one at a time, and exits 0.

const std = @import("std");
const linux = std.os.linux;

pub const panic = std.debug.no_panic;

var chunk: [1024 * 1024]u8 = undefined;

pub fn main(init: std.process.Init.Minimal) u8 {
    const arguments = init.args.vector;
    if (arguments.len != 2) return 64;
    const mebibytes = std.fmt.parseInt(u32, std.mem.span(arguments[1]), 10) catch return 64;
    // Pages of its own: unwritten ones would all be the kernel's one page of zeros.
    @memset(&chunk, 'x');
    for (0..mebibytes) |_| {
        var rest: []const u8 = &chunk;
        while (rest.len > 0) {
            const written = linux.write(1, rest.ptr, rest.len);
            if (linux.errno(written) != .SUCCESS) return 1;
            rest = rest[written..];
        }
    }
    return 0;
}
