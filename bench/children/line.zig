//! Writes a line of 12 bytes, as `git rev-parse --short HEAD` does, and exits 0.

const std = @import("std");
const linux = std.os.linux;

pub const panic = std.debug.no_panic;

const line = "0123456789a\n";

/// In place of std's own, which makes system calls before main.
pub export fn _start() noreturn {
    const written = linux.write(1, line, line.len);
    linux.exit_group(if (written == line.len) 0 else 1);
}
