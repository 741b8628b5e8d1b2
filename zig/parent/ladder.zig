//! How a process is made: by the best way that this kernel has.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const arenas = @import("arena.zig");
const child = @import("../child/child.zig");
const clone = @import("clone.zig");
const decimal = @import("../os/decimal.zig");
const linux = @import("../os/linux.zig");
const plans = @import("../child/plan.zig");
const stdio = @import("../files/stdio.zig");
const Plan = plans.Plan;

/// What distinguishes the ways in which a child runs until it has left: facts, of which every combination but two is one
/// (nobody shares the memory and stands still, as the pipe would not be closed; who is deferred does neither wait nor copy).
pub const Mode = struct {
    /// Its memory is ours (CLONE_VM). Else it is a copy, and the end of a pipe tells that the child has left.
    shares: bool,
    /// This thread stands still until the child has left (CLONE_VFORK). Else the kernel clears a word then, and wakes
    /// whoever waits for it.
    waits: bool,
    /// Nobody waits for that: what came of it is asked for later.
    deferred: bool = false,
};

pub const Made = struct { pid: i32, pidfd: i32 };

/// The ladder: what to try, best first. An old kernel or a sandbox refuses some of it with ENOSYS,
/// EINVAL, E2BIG or EPERM (Docker's seccomp filter before 20.10.10 gave EPERM for clone3).
const ladder = [_]u32{
    0,
    rung(.into_cgroup),
    rung(.into_cgroup) | rung(.clear_sighand),
    rung(.into_cgroup) | rung(.clear_sighand) | rung(.clone3),
    rung(.into_cgroup) | rung(.clear_sighand) | rung(.clone3) | rung(.pidfd),
};

pub fn rung(comptime value: abi.Rung) u32 {
    return @backingInt(value);
}

fn has(set: u32, value: abi.Rung) bool {
    return set & @backingInt(value) != 0;
}

/// The first rung that has ever worked for a plain start, so that what is missing is found out once.
var first_rung: u32 = 0;
/// The last plain start has met an EPERM at that rung.
var was_refused: bool = false;

/// -errno in place of the pid: why the best way was refused, or another one for good.
pub fn makeProcess(plan: *Plan, arena: *const arenas.Arena, mode: Mode) Made {
    const given = plan.without &
        (rung(.clone3) | rung(.clear_sighand) | rung(.pidfd) | rung(.into_cgroup));
    const plain = plan.clone_flags == 0 and plan.cgroup == null;
    const first = @atomicLoad(u32, &first_rung, .monotonic);
    plan.in_cgroup = false;
    var refusal: ?i32 = null;
    for (ladder[first..], first..) |missing, index| {
        // Without a cgroup the second rung is the first.
        if (missing == rung(.into_cgroup) and plan.cgroup == null) continue;
        const without = missing | given;
        // clone(2) has no room for it: the bit is one of the exit signal's.
        if (has(without, .clone3) and plan.clone_flags & CLONE_NEWTIME != 0) break;
        var pidfd: i32 = -1;
        const pid = tryClone(plan, arena, mode, without, &pidfd);
        if (pid >= 0) {
            // A namespace or a cgroup may be what was refused, so only a plain start teaches; and of an EPERM only the
            // second one that has nothing but another rung between: it may be a passing one.
            if (plain and index != first) {
                const is_lasting = refusal != linux.negative(.PERM) or
                    @atomicRmw(bool, &was_refused, .Xchg, true, .monotonic);
                if (is_lasting) @atomicStore(u32, &first_rung, @intCast(index), .monotonic);
            } else if (plain) @atomicStore(bool, &was_refused, false, .monotonic);
            plan.without |= without;
            return .{ .pid = pid, .pidfd = stdio.keepOff(pidfd) };
        }
        if (refusal == null) refusal = pid;
        switch (pid) {
            linux.negative(.NOSYS),
            linux.negative(.INVAL),
            linux.negative(.@"2BIG"),
            linux.negative(.PERM),
            => {},
            else => return .{ .pid = pid, .pidfd = -1 },
        }
    }
    return .{ .pid = refusal orelse linux.negative(.NOSYS), .pidfd = -1 };
}

const CLONE_NEWTIME = 0x80;

fn tryClone(
    plan: *Plan,
    arena: *const arenas.Arena,
    mode: Mode,
    without: u32,
    pidfd: *i32,
) i32 {
    var flags: u64 = plan.clone_flags;
    if (mode.shares) flags |= clone.VM;
    if (mode.waits) flags |= clone.VFORK;
    if (mode.shares and !mode.waits) flags |= clone.CHILD_CLEARTID;
    if (plan.unshare_from != 0) flags |= clone.FILES;
    if (!has(without, .pidfd)) flags |= clone.PIDFD;
    plan.handlers_cleared = !has(without, .clear_sighand) and !has(without, .clone3);
    plan.in_cgroup = false;
    // Any value but 0 will do: the child's own is not needed.
    plan.child_tid = 1;
    if (has(without, .clone3)) {
        return @truncate(clone.clone(
            @as(usize, @intCast(flags)) | linux.SIGCHLD,
            arena.stackTop(),
            pidfd,
            &plan.child_tid,
            child.main,
            plan,
        ));
    }
    if (plan.handlers_cleared) flags |= clone.CLEAR_SIGHAND;
    var arguments: clone.Arguments = .{
        .flags = flags,
        .pidfd = @intFromPtr(pidfd),
        .child_tid = @intFromPtr(&plan.child_tid),
        .exit_signal = linux.SIGCHLD,
        .stack = arena.stackBottom(),
        .stack_size = arena.stackTop() - arena.stackBottom(),
    };
    // Linux 5.3 knows 64 bytes of the struct; what is not used need not be known.
    var size: usize = 64;
    if (plan.cgroup) |directory| if (!has(without, .into_cgroup)) {
        plan.in_cgroup = true;
        if (directory.* < 0) return linux.negative(.BADF);
        arguments.flags |= clone.INTO_CGROUP;
        arguments.cgroup = @intCast(directory.*);
        size = @sizeOf(clone.Arguments);
    };
    return @truncate(clone.clone3(&arguments, size, child.main, plan));
}

var shares_memory_state: u32 = 0;

/// Asked once, by a child that writes a word and ends. It sends no SIGCHLD, so the host sees nothing
/// of it (go.dev/issue/71828).
pub fn sharesMemory() bool {
    const unknown, const yes, const no = .{ 0, 1, 2 };
    const known = @atomicLoad(u32, &shares_memory_state, .monotonic);
    if (known != unknown) return known == yes;
    var spare: arenas.Arena = undefined;
    const arena = arenas.acquire(0, &spare, null) orelse return true;
    defer arenas.release(arena, &spare);
    var word: u32 = 0;
    var ignored: i32 = 0;
    const mask = linux.maskSignals(linux.sigset_all);
    defer _ = linux.maskSignals(mask);
    const flags = clone.VM | clone.VFORK;
    const pid = clone.clone(flags, arena.stackTop(), &ignored, null, child.probe, &word);
    if (pid == linux.negative(.INVAL)) {
        // qemu-user, where every process is made by a fork that sends SIGCHLD.
        @atomicStore(u32, &shares_memory_state, no, .monotonic);
        return false;
    }
    // Refused for a reason that the start itself will meet.
    if (pid < 0) return true;
    var info: linux.ChildInfo = .{};
    const flags_of_wait = linux.WEXITED | linux.WALL;
    _ = linux.retry(.waitid, .{ linux.P_PID, pid, &info, flags_of_wait, null });
    const reached = @as(*volatile u32, &word).* == 1;
    @atomicStore(u32, &shares_memory_state, if (reached) yes else no, .monotonic);
    return reached;
}

/// Whether the kernel reaps children: SIGCHLD is ignored, or its handler wants none of them (SA_NOCLDWAIT).
pub fn reapsByItself() bool {
    var current: linux.KernelSigaction = .{};
    _ = linux.call(.rt_sigaction, .{ linux.SIGCHLD, null, &current, 8 });
    const SIG_IGN = 1;
    const SA_NOCLDWAIT = 2;
    return current.handler == SIG_IGN or current.flags & SA_NOCLDWAIT != 0;
}

var close_range_state: u32 = 0;

/// Asked once: a range that holds nothing.
pub fn hasCloseRange() bool {
    const unknown, const present, const absent = .{ 0, 1, 2 };
    const known = @atomicLoad(u32, &close_range_state, .monotonic);
    if (known != unknown) return known == present;
    const last = std.math.maxInt(u32);
    const answer = linux.result(.close_range, .{ last, last, 0 });
    @atomicStore(u32, &close_range_state, if (answer == 0) present else absent, .monotonic);
    return answer == 0;
}

var dumps_together_state: u32 = 0;

/// Whether a core dump kills all who share the memory, and not those of the process alone: up to Linux 5.15
/// (fs/coredump.c, zap_threads). What does not say which it is, or has taken that over, is treated so too.
pub fn dumpsTogether() bool {
    const unknown, const yes, const no = .{ 0, 1, 2 };
    const known = @atomicLoad(u32, &dumps_together_state, .monotonic);
    if (known != unknown) return known == yes;
    // struct utsname: six names of 65 bytes, of which the release is the third.
    var names: [6][65]u8 = @splat(@splat(0));
    const answer = linux.result(.uname, .{&names});
    const together = answer < 0 or !isFrom(&names[2], 5, 16);
    @atomicStore(u32, &dumps_together_state, if (together) yes else no, .monotonic);
    return together;
}

/// Whether a release, "5.15.0-91-generic", is that version or a later one.
fn isFrom(release: []const u8, major: i32, minor: i32) bool {
    const dot = std.mem.findScalar(u8, release, '.') orelse return false;
    const first = decimal.before('.', release) orelse return false;
    const rest = release[dot + 1 ..];
    const end = for (rest) |byte| {
        if (byte < '0' or byte > '9') break byte;
    } else return false;
    const second = decimal.before(end, rest) orelse return false;
    return first > major or (first == major and second >= minor);
}

test "a release is from a version on" {
    for ([_]struct { []const u8, bool }{
        .{ "5.16.0\x00", true },
        .{ "5.16-rc1\x00", true },
        .{ "6.0\x00", true },
        .{ "10.1.2\x00", true },
        .{ "5.15.0-91-generic\x00", false },
        .{ "4.19.0\x00", false },
        .{ "\x00", false },
        .{ "5\x00", false },
        .{ "x.y\x00", false },
    }) |case| {
        const release, const expected = case;
        try std.testing.expectEqual(expected, isFrom(release, 5, 16));
    }
}
