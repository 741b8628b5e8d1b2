//! Waiting on Linux, by pidfd where there is one.

const std = @import("std");
const abi = @import("abi.zig");
const linux = @import("linux.zig");
const waiting = @import("wait.zig");

pub fn wait(pid: i32, pidfd: i32, flags: u32, exit: *abi.Exit) i32 {
    var options: u32 = linux.WEXITED | linux.WALL;
    if (flags & @backingInt(abi.Wait.nohang) != 0) options |= linux.WNOHANG;
    if (flags & @backingInt(abi.Wait.nowait) != 0) options |= linux.WNOWAIT;
    var info: linux.ChildInfo = .{};
    var usage: linux.Rusage = std.mem.zeroes(linux.Rusage);
    const id_type: u32 = if (pidfd >= 0) linux.P_PIDFD else linux.P_PID;
    const id = if (pidfd >= 0) pidfd else pid;
    var answer = linux.retry(.waitid, .{ id_type, id, &info, options, &usage });
    // The stops of a tracee of ours come unasked, each once, and are no end.
    while (answer >= 0 and info.pid != 0 and !waiting.isEnd(info.code)) {
        if (options & linux.WNOWAIT != 0) return 0;
        info = .{};
        answer = linux.retry(.waitid, .{ id_type, id, &info, options, &usage });
    }
    if (answer == linux.negative(.INVAL) and pidfd >= 0) {
        // P_PIDFD is Linux 5.4, CLONE_PIDFD 5.2.
        answer = linux.retry(.waitid, .{ linux.P_PID, pid, &info, options, &usage });
    }
    if (answer == linux.negative(.CHILD) and pidfd >= 0) {
        const status = statusOfReaped(pidfd) orelse return answer;
        waiting.fill(exit, pid, status, &std.mem.zeroes(linux.Rusage), 1024);
        // Measured by nobody.
        waiting.forgetUsage(exit);
        return 1;
    }
    if (answer < 0) return answer;
    if (info.pid == 0) return 0;
    waiting.fill(exit, info.pid, waiting.statusWord(info.code, info.status), &usage, 1024);
    return 1;
}

/// struct pidfd_info, the 64 bytes of its first version (Linux 6.13).
const PidfdInfo = extern struct {
    mask: u64 = EXIT,
    cgroup: u64 = 0,
    ids: [11]u32 = @splat(0),
    exit_code: i32 = 0,

    const EXIT = 1 << 3;
    /// _IOWR(0xFF, 11, struct pidfd_info)
    const GET_INFO = 0xc000_0000 | (64 << 16) | (0xff << 8) | 11;

    comptime {
        std.debug.assert(@sizeOf(PidfdInfo) == 64);
    }
};

/// How a child ended that something else has reaped, or that SIGCHLD's being ignored has: the pidfd
/// still knows, from Linux 6.15 on.
fn statusOfReaped(pidfd: i32) ?i32 {
    var info: PidfdInfo = .{};
    if (linux.result(.ioctl, .{ pidfd, PidfdInfo.GET_INFO, &info }) < 0) return null;
    return if (info.mask & PidfdInfo.EXIT != 0) info.exit_code else null;
}

pub fn signal(pid: i32, pidfd: i32, number: i32) i32 {
    if (pidfd < 0) return linux.result(.kill, .{ pid, number });
    const answer = linux.result(.pidfd_send_signal, .{ pidfd, number, null, 0 });
    // Refused by a sandbox that lets clone's pidfd pass.
    if (answer == linux.negative(.NOSYS)) return linux.result(.kill, .{ pid, number });
    return answer;
}

pub fn openHandle(pid: i32) i32 {
    return linux.result(.pidfd_open, .{ pid, 0 });
}
