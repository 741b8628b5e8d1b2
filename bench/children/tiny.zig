//! Exits 0 at once: the smallest child the kernel can run. It is what a start costs and nothing else.

const std = @import("std");

pub const panic = std.debug.no_panic;

/// In place of std's own, which makes system calls before main.
pub export fn _start() noreturn {
    std.os.linux.exit_group(0);
}
