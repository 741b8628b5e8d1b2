//! Waiting on Linux, by pidfd where there is one.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const linux = @import("../os/linux.zig");
const ends = @import("exit.zig");

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
    while (answer >= 0 and info.pid != 0 and !ends.isEnd(info.code)) {
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
        ends.fill(exit, pid, status, &std.mem.zeroes(linux.Rusage), 1024);
        // Measured by nobody.
        ends.forgetUsage(exit);
        return 1;
    }
    if (answer < 0) return answer;
    if (info.pid == 0) return 0;
    ends.fill(exit, info.pid, ends.statusWord(info.code, info.status), &usage, 1024);
    return 1;
}

/// Whether a child has ended: 1, or 0, or -errno. It is reaped, unless `options` are WNOWAIT. The stops of a tracee of ours
/// come unasked too, and are no end.
pub fn ended(id_type: u32, id: i32, options: u32) i32 {
    var info: linux.ChildInfo = .{};
    const all = options | linux.WEXITED | linux.WNOHANG | linux.WALL;
    const answer = linux.retry(.waitid, .{ id_type, id, &info, all, null });
    if (answer < 0) return answer;
    return @intFromBool(info.pid != 0 and ends.isEnd(info.code));
}

/// The same of one that nobody waits for yet. Any refusal but ECHILD (a sandbox that knows no waitid) says nothing of it.
pub fn hasEnded(pid: i32) bool {
    const answer = ended(linux.P_PID, pid, linux.WNOWAIT);
    return answer == 1 or answer == linux.negative(.CHILD);
}

/// Waits a while for the kernel to clear `tid`, which holds `value`, because `pid` has left this memory.
/// True: that child has ended, though the word may still stand: Linux before 5.17 leaves it alone where the
/// child dumps core.
pub fn waitCleared(tid: *u32, value: u32, pid: i32) bool {
    const time: linux.Timespec = .{ .sec = 0, .nsec = 20_000_000 };
    // The kernel's wake is not a private one.
    const answer = linux.result(.futex, .{ tid, linux.FUTEX_WAIT, value, &time, null, 0 });
    return answer == linux.negative(.TIMEDOUT) and hasEnded(pid);
}

/// The signal that a child of this thread's has been stopped for, or 0. Takes nothing away from a later wait.
pub fn stoppedBy(pid: i32) i32 {
    var info: linux.ChildInfo = .{};
    const options = linux.WSTOPPED | linux.WNOHANG | linux.WNOWAIT | linux.WALL;
    const asked = linux.retry(.waitid, .{ linux.P_PID, pid, &info, options, null });
    return if (asked == 0 and info.pid != 0) info.status else 0;
}

/// Lets a tracee that a signal has stopped go on with that signal; but for one that would only stop it again.
pub fn resumeTracee(pid: i32, number: i32) void {
    const PTRACE_CONT = 7;
    var info: linux.ChildInfo = .{};
    const options = linux.WSTOPPED | linux.WNOHANG | linux.WALL;
    _ = linux.retry(.waitid, .{ linux.P_PID, pid, &info, options, null });
    // SIGSTOP, SIGTSTP, SIGTTIN and SIGTTOU.
    const stops = number >= 19 and number <= 22;
    _ = linux.call(.ptrace, .{ PTRACE_CONT, pid, 0, if (stops) 0 else number });
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

pub fn signalGroup(pid: i32, pidfd: i32, number: i32) i32 {
    const PIDFD_SIGNAL_PROCESS_GROUP = 4;
    if (pidfd >= 0) {
        const flags = PIDFD_SIGNAL_PROCESS_GROUP;
        const answer = linux.result(.pidfd_send_signal, .{ pidfd, number, null, flags });
        // Linux before 6.9 knows no flag; a sandbox may know no such call.
        const is_unknown = answer == linux.negative(.INVAL) or answer == linux.negative(.NOSYS);
        if (!is_unknown) return answer;
    }
    if (pid == 0) return linux.negative(.NOSYS);
    // To kill(2), -1 is everybody.
    if (pid <= 1) return linux.negative(.SRCH);
    return linux.result(.kill, .{ -pid, number });
}

pub fn openHandle(pid: i32) i32 {
    return linux.result(.pidfd_open, .{ pid, 0 });
}
