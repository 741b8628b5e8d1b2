//! Waiting for a child, signalling it, and what it cost.
//!
//! Only ever this child: the host waits for its own, and an unwaited child stays a zombie.

const options = @import("options");
const abi = @import("../abi/abi.zig");
const by_libc = @import("wait_libc.zig");
const by_pidfd = @import("wait_linux.zig");
const seam = @import("../os/seam.zig");

const implementation = switch (options.child) {
    .raw => by_pidfd,
    .libc => by_libc,
};

comptime {
    seam.check(by_pidfd, by_libc, &.{ "wait", "signal", "signalGroup", "openHandle" });
}

/// 1: `exit` is filled. 0: it still runs (with `nohang`). Negative: -errno; ECHILD when somebody else
/// has reaped it and the kernel does not tell how it ended.
pub const wait = implementation.wait;

/// Sends a signal by pidfd, or by pid where there is none. By pid it must not have been reaped: the
/// caller keeps account of that.
pub const signal = implementation.signal;

/// Sends a signal to the process group that `pid` leads: by pidfd where the kernel can (Linux 6.9), which reaches the right
/// group even when its leader has been reaped; else by number, which is the leader's for as long as it is not. `pid` 0: it
/// is, and only the pidfd will do. -ENOSYS: it does not; -ESRCH: there is no such group.
pub const signalGroup = implementation.signalGroup;

/// A pidfd for a process that something else has started.
pub const openHandle = implementation.openHandle;
