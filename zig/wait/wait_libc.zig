//! Waiting by pid and through libc: macOS, and Linux in the build that rehearses it.
//!
//! Of waitid, which macOS has, it uses only the look that leaves a zombie: there it tells no rusage.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const libc = @import("../os/libc.zig");
const system = @import("../os/system.zig").system;
const ends = @import("exit.zig");

const wait4 = libc.function(
    "wait4",
    fn (i32, *i32, i32, *libc.Rusage) callconv(.c) i32,
);
const waitid = libc.function(
    "waitid",
    fn (i32, u32, *libc.ChildInfo, i32) callconv(.c) i32,
);
const kill = libc.function("kill", fn (i32, i32) callconv(.c) i32);

pub fn wait(pid: i32, pidfd: i32, flags: u32, exit: *abi.Exit) i32 {
    _ = pidfd;
    // To wait4, zero and less are groups, and so children that are not ours to reap.
    if (pid <= 0) return system.negative(.INVAL);
    const options: i32 = if (flags & @backingInt(abi.Wait.nohang) != 0) libc.WNOHANG else 0;
    if (flags & @backingInt(abi.Wait.nowait) != 0) return look(pid, options, exit);
    const call = wait4 orelse return system.negative(.NOSYS);
    while (true) {
        var status: i32 = 0;
        var usage = std.mem.zeroes(libc.Rusage);
        const answer = libc.result(call(pid, &status, options, &usage));
        if (answer == system.negative(.INTR)) continue;
        if (answer <= 0) return answer;
        // The stops of a traced child come unasked (kern_exit.c, P_LTRACED), each once.
        if (status & 0xff == 0x7f) continue;
        ends.fill(exit, answer, status, &usage, libc.rss_unit);
        return 1;
    }
}

/// How it ended, and it stays a zombie.
fn look(pid: i32, options: i32, exit: *abi.Exit) i32 {
    const call = waitid orelse return system.negative(.NOSYS);
    while (true) {
        // Left as it is when there is nothing to tell (kern_exit.c, waitid_nocancel).
        var info: libc.ChildInfo = .{};
        const wanted = options | libc.WEXITED | libc.WNOWAIT;
        const answer = libc.result(call(libc.P_PID, @intCast(pid), &info, wanted));
        if (answer == system.negative(.INTR)) continue;
        if (answer < 0) return answer;
        if (info.pid == 0) return 0;
        const status = ends.statusWord(info.code, info.status);
        ends.fill(exit, pid, status, &std.mem.zeroes(libc.Rusage), libc.rss_unit);
        ends.forgetUsage(exit);
        return 1;
    }
}

pub fn signal(pid: i32, pidfd: i32, number: i32) i32 {
    _ = pidfd;
    const call = kill orelse return system.negative(.NOSYS);
    return libc.result(call(pid, number));
}

pub fn signalGroup(pid: i32, pidfd: i32, number: i32) i32 {
    _ = pidfd;
    if (pid == 0) return system.negative(.NOSYS);
    // To kill(2), -1 is everybody.
    if (pid <= 1) return system.negative(.SRCH);
    const call = kill orelse return system.negative(.NOSYS);
    return libc.result(call(-pid, number));
}

pub fn openHandle(pid: i32) i32 {
    _ = pid;
    return system.negative(.NOSYS);
}
