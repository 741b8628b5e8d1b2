//! Every file with tests.

const builtin = @import("builtin");

test {
    _ = @import("abi/abi.zig");
    _ = @import("abi/entry.zig");
    _ = @import("parent/arena.zig");
    _ = @import("tools/embed_gen.zig");
    _ = @import("os/decimal.zig");
    _ = @import("os/environ.zig");
    _ = @import("files/files.zig");
    _ = @import("tools/filter.zig");
    _ = @import("files/ledger.zig");
    _ = @import("files/nowait.zig");
    _ = @import("files/opener.zig");
    _ = @import("wait/orphans.zig");
    _ = @import("os/processors.zig");
    _ = @import("files/pty.zig");
    _ = @import("parent/request.zig");
    _ = @import("tests/reactor_test.zig");
    _ = @import("parent/spawn.zig");
    _ = @import("tests/spawn_test.zig");
    _ = @import("wait/usage.zig");
    _ = @import("wait/exit.zig");
    _ = @import("os/words.zig");
    if (builtin.os.tag == .linux) {
        _ = @import("child/child.zig");
        _ = @import("child/proc.zig");
        _ = @import("tests/landlock_test.zig");
        _ = @import("tests/privileges_test.zig");
        _ = @import("tests/resources_test.zig");
        _ = @import("parent/dumpable.zig");
        _ = @import("os/linux.zig");
        _ = @import("tests/mounts_test.zig");
        _ = @import("tests/orphan_test.zig");
        _ = @import("parent/ladder.zig");
        _ = @import("parent/pending.zig");
        _ = @import("parent/window.zig");
    }
}
