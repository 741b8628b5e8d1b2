//! Keeps the parent's dumpable flag through the starts of children with other credentials.
//!
//! setuid in a child that shares our memory clears the flag for both, as it lives in the mm: from then
//! on this process dumps no core, its /proc files belong to root and no debugger attaches. Go 1.26
//! loses it for good; Bun restores it unlocked and loses it with four threads (both measured).
//! So: the first of overlapping starts notes the flag, the last one puts it back.

const std = @import("std");
const linux = @import("../os/linux.zig");
const shared = @import("../os/shared.zig");
const system = @import("../os/system.zig").system;

const PR_GET_DUMPABLE = 3;
const PR_SET_DUMPABLE = 4;

pub fn enter() void {
    const state = &shared.state().dumpable;
    state.lock.acquire();
    defer state.lock.release();
    // Inside the window the flag may be cleared already, so only the first one may ask.
    if (state.inflight == 0) {
        state.baseline = linux.result(.prctl, .{ PR_GET_DUMPABLE, 0, 0, 0, 0 });
    }
    state.inflight += 1;
}

/// After the child has left our memory.
pub fn leave() void {
    const state = &shared.state().dumpable;
    state.lock.acquire();
    defer state.lock.release();
    state.inflight -= 1;
    if (state.inflight == 0 and state.baseline == 1) {
        _ = linux.call(.prctl, .{ PR_SET_DUMPABLE, 1, 0, 0, 0 });
    }
}

/// Whether fs.suid_dumpable is 1: then a process stays dumpable, and so traceable by its new user,
/// through a change of credentials. What cannot be read counts as the kernel's default, 0.
pub fn followsUser() bool {
    const fd = linux.retry(.openat, .{
        linux.AT_FDCWD,
        "/proc/sys/fs/suid_dumpable",
        linux.O_CLOEXEC,
        0,
    });
    if (fd < 0) return false;
    defer linux.close(fd);
    var digit: [1]u8 = .{'0'};
    _ = linux.retry(.read, .{ fd, &digit, 1 });
    return digit[0] == '1';
}

test "the flag comes back after overlapping starts" {
    const before = linux.result(.prctl, .{ PR_GET_DUMPABLE, 0, 0, 0, 0 });
    enter();
    enter();
    _ = linux.call(.prctl, .{ PR_SET_DUMPABLE, 0, 0, 0, 0 });
    leave();
    try std.testing.expectEqual(0, linux.result(.prctl, .{ PR_GET_DUMPABLE, 0, 0, 0, 0 }));
    leave();
    try std.testing.expectEqual(before, linux.result(.prctl, .{ PR_GET_DUMPABLE, 0, 0, 0, 0 }));
}
