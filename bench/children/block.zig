//! Writes 64 KiB, a default pipe full, and exits 0.

const std = @import("std");
const linux = std.os.linux;

pub const panic = std.debug.no_panic;

const block: [64 * 1024]u8 align(4096) = @splat('x');

/// In place of std's own, which makes system calls before main.
pub export fn _start() noreturn {
    var rest: []const u8 = &block;
    while (rest.len > 0) {
        const written = linux.write(1, rest.ptr, rest.len);
        if (linux.errno(written) != .SUCCESS) linux.exit_group(1);
        rest = rest[written..];
    }
    linux.exit_group(0);
}
