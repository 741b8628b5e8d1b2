//! The parent's side of a start: from a request to a running child, or to the step that failed.

const std = @import("std");
const options = @import("options");
const abi = @import("abi.zig");
const arenas = @import("arena.zig");
const child = @import("child.zig");
const clone = @import("clone.zig");
const dumpable = @import("dumpable.zig");
const linux = @import("linux.zig");
const plans = @import("plan.zig");
const requests = @import("request.zig");
const spawn_libc = @import("spawn_libc.zig");
const system = @import("system.zig").system;
const wait = @import("wait.zig");
const window = @import("window.zig");
const Plan = plans.Plan;

/// Starts what `bytes` ask for. Blocks until the child has called execve or has failed.
pub fn start(bytes: []const u8, answer: *abi.Answer) void {
    answer.* = .{ .pid = -1, .pidfd = -1, .step = 0, .errno = 0, .signal = 0, .rungs = 0 };
    const needed = requests.capacity(bytes) catch |err| return refuse(answer, err);
    var spare: arenas.Arena = undefined;
    const arena = arenas.acquire(needed, &spare) orelse {
        return fail(answer, .clone, system.negative(.NOMEM));
    };
    defer arenas.release(arena, &spare);
    const plan = requests.parse(bytes, arena.room()) catch |err| return refuse(answer, err);
    switch (options.child) {
        .raw => run(plan, arena, answer),
        .libc => spawn_libc.run(plan, arena, answer),
    }
}

fn refuse(answer: *abi.Answer, err: requests.Error) void {
    fail(answer, .request, switch (err) {
        error.Malformed => system.negative(.INVAL),
        error.TooBig => system.negative(.@"2BIG"),
    });
}

pub fn fail(answer: *abi.Answer, stage: abi.Stage, negated: i32) void {
    answer.step = @backingInt(stage);
    answer.errno = -negated;
}

fn run(plan: *Plan, arena: *const arenas.Arena, answer: *abi.Answer) void {
    arena.report.* = .{};
    plan.report = arena.report;
    plan.has_close_range = hasCloseRange() and !has(plan.forced, .close_range);

    var lease: window.Lease = .{};
    defer lease.end();
    useWindow(plan, &lease);

    // Sharing memory with a child of other credentials where core dumps follow the user would let
    // the target user write into this process (measured, research/cores.md finding 3).
    const private = has(plan.forced, .private) or
        (plan.has_credentials and dumpable.followsUser());
    const guarded = plan.has_credentials and !private;

    const mask = linux.maskSignals(linux.sigset_all);
    defer _ = linux.maskSignals(mask);
    if (guarded) dumpable.enter();
    const made = makeProcess(plan, arena, private);
    if (guarded) dumpable.leave();
    answer.rungs = made.rungs;
    if (plan.unshare_from == 0) answer.rungs |= @backingInt(abi.Rung.window);
    if (made.pid < 0) return fail(answer, .clone, made.pid);
    conclude(plan, made.pid, made.pidfd, answer);
}

/// What has become of the child, once it has reached execve or has died.
pub fn conclude(plan: *const Plan, pid: i32, pidfd: i32, answer: *abi.Answer) void {
    switch (plan.report.state) {
        .execing => {
            answer.pid = pid;
            answer.pidfd = pidfd;
            return;
        },
        .failed => {
            answer.step = @bitCast(plan.report.step);
            answer.errno = plan.report.errno;
        },
        // It died on the way. glibc and Go call this a start (research/cores.md finding 8).
        .started => answer.step = @bitCast(plan.report.step),
    }
    var exit: abi.Exit = undefined;
    const reaped = wait.wait(pid, pidfd, 0, &exit);
    if (plan.report.state == .started) {
        answer.signal = if (reaped > 0) exit.status & 0x7f else 0;
        // Somebody else reaped it, and nothing tells how it ended.
        if (answer.signal == 0) answer.errno = -system.negative(.CHILD);
    }
    // glibc forgot this one (BZ 31695).
    if (pidfd >= 0) system.close(pidfd);
}

/// Decides whether the child may drop the upper part of the descriptor table unseen, and makes what
/// it needs lie in the lower part.
fn useWindow(plan: *Plan, lease: *window.Lease) void {
    if (plan.close_from < 0 or plan.paths_use_descriptors) return;
    if (!plan.has_close_range or has(plan.forced, .window)) return;
    const boundary = window.boundary();
    if (boundary == 0) return;
    // Descriptors to keep beyond the boundary would not be there to be kept.
    if (plan.close_from > boundary) return;
    for (plan.descriptors) |*descriptor| {
        if (descriptor.source < boundary) continue;
        descriptor.source = lease.add(descriptor.source) catch |err| switch (err) {
            // Left as it is, the child finds it closed, in the step that names it.
            error.NotOpen => continue,
            error.Full => return restore(plan),
        };
    }
    plan.unshare_from = boundary;
}

/// No slot was left: the original numbers are still in the records.
fn restore(plan: *Plan) void {
    var records: plans.Iterator = .{ .bytes = plan.steps };
    var index: usize = 0;
    while (records.next()) |record| {
        if (record.step != .fd) continue;
        plan.descriptors[index].source = std.mem.readInt(i32, record.payload[0..4], .little);
        index += 1;
    }
}

const Made = struct { pid: i32, pidfd: i32, rungs: u32 };

/// The ladder: what to try, best first. An old kernel or a sandbox refuses some of it with ENOSYS,
/// EINVAL, E2BIG or EPERM (Docker's seccomp filter before 20.10.10 gave EPERM for clone3).
const ladder = [_]u32{
    0,
    rung(.clear_sighand),
    rung(.clone3) | rung(.clear_sighand),
    rung(.clone3) | rung(.clear_sighand) | rung(.pidfd),
};

fn rung(comptime value: abi.Rung) u32 {
    return @backingInt(value);
}

fn has(set: u32, value: abi.Rung) bool {
    return set & @backingInt(value) != 0;
}

/// The first rung that has ever worked for a plain start, so that what is missing is found out once.
var first_rung: u32 = 0;

fn makeProcess(plan: *Plan, arena: *const arenas.Arena, private: bool) Made {
    const forced = plan.forced & (rung(.clone3) | rung(.clear_sighand) | rung(.pidfd));
    const first = @atomicLoad(u32, &first_rung, .monotonic);
    var refusal: i32 = 0;
    for (ladder[first..], first..) |missing, index| {
        const without = missing | forced;
        var pidfd: i32 = -1;
        const pid = tryClone(plan, arena, private, without, &pidfd);
        if (pid >= 0) {
            // A namespace flag may be what was refused, so only a plain start teaches anything.
            if (plan.clone_flags == 0 and plan.cgroup < 0 and index != first) {
                @atomicStore(u32, &first_rung, @intCast(index), .monotonic);
            }
            const mode: u32 = if (private) rung(.private) else 0;
            return .{ .pid = pid, .pidfd = pidfd, .rungs = without | mode };
        }
        if (refusal == 0) refusal = pid;
        switch (pid) {
            linux.negative(.NOSYS),
            linux.negative(.INVAL),
            linux.negative(.@"2BIG"),
            linux.negative(.PERM),
            => {},
            else => return .{ .pid = pid, .pidfd = -1, .rungs = without },
        }
    }
    return .{ .pid = refusal, .pidfd = -1, .rungs = 0 };
}

fn tryClone(
    plan: *Plan,
    arena: *const arenas.Arena,
    private: bool,
    without: u32,
    pidfd: *i32,
) i32 {
    var flags: u64 = clone.VFORK | @as(u64, plan.clone_flags);
    if (!private) flags |= clone.VM;
    if (plan.unshare_from != 0) flags |= clone.FILES;
    if (!has(without, .pidfd)) flags |= clone.PIDFD;
    plan.handlers_cleared = !has(without, .clear_sighand) and !has(without, .clone3);
    if (has(without, .clone3)) {
        return @truncate(clone.clone(
            @as(usize, @intCast(flags)) | linux.SIGCHLD,
            arena.stackTop(),
            pidfd,
            null,
            child.main,
            plan,
        ));
    }
    if (plan.handlers_cleared) flags |= clone.CLEAR_SIGHAND;
    const arguments: clone.Arguments = .{
        .flags = flags,
        .pidfd = @intFromPtr(pidfd),
        .exit_signal = linux.SIGCHLD,
        .stack = arena.stackBottom(),
        .stack_size = arena.stackTop() - arena.stackBottom(),
    };
    // Linux 5.3 knows 64 bytes of the struct; what is not used need not be known.
    const size: usize = 64;
    return @truncate(clone.clone3(&arguments, size, child.main, plan));
}

var close_range_state: u32 = 0;

/// Asked once: a range that holds nothing.
fn hasCloseRange() bool {
    const unknown, const present, const absent = .{ 0, 1, 2 };
    const known = @atomicLoad(u32, &close_range_state, .monotonic);
    if (known != unknown) return known == present;
    const last = std.math.maxInt(u32);
    const answer = linux.result(.close_range, .{ last, last, 0 });
    @atomicStore(u32, &close_range_state, if (answer == 0) present else absent, .monotonic);
    return answer == 0;
}
