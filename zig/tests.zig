//! Every file with tests; the last test fails when one is missing.

test {
    _ = @import("abi.zig");
    _ = @import("arena.zig");
    _ = @import("child.zig");
    _ = @import("dumpable.zig");
    _ = @import("files.zig");
    _ = @import("filter.zig");
    _ = @import("linux.zig");
    _ = @import("request.zig");
    _ = @import("spawn.zig");
    _ = @import("window.zig");
}
