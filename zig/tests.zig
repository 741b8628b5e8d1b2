//! Every file with tests.

const builtin = @import("builtin");

test {
    _ = @import("abi.zig");
    _ = @import("arena.zig");
    _ = @import("embed_gen.zig");
    _ = @import("environ.zig");
    _ = @import("files.zig");
    _ = @import("filter.zig");
    _ = @import("ledger.zig");
    _ = @import("nowait.zig");
    _ = @import("opener.zig");
    _ = @import("orphans.zig");
    _ = @import("processors.zig");
    _ = @import("pty.zig");
    _ = @import("request.zig");
    _ = @import("reactor_test.zig");
    _ = @import("spawn.zig");
    _ = @import("spawn_test.zig");
    _ = @import("usage.zig");
    _ = @import("wait.zig");
    _ = @import("words.zig");
    if (builtin.os.tag == .linux) {
        _ = @import("child.zig");
        _ = @import("dumpable.zig");
        _ = @import("linux.zig");
        _ = @import("orphan_test.zig");
        _ = @import("pending.zig");
        _ = @import("window.zig");
    }
}
