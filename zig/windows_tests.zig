//! The tests of `zig/windows/`. What is arithmetic runs everywhere; what calls Windows runs under Wine.

const builtin = @import("builtin");

test {
    _ = @import("windows/block.zig");
    _ = @import("windows/command_line.zig");
    _ = @import("windows/console.zig");
    if (builtin.os.tag == .windows) {
        _ = @import("windows/errors.zig");
        _ = @import("windows/exports.zig");
        _ = @import("windows/start.zig");
    }
}
