//! The parent's side of a start: from a request to a running child, or to the step that failed.

const std = @import("std");
const options = @import("options");
const abi = @import("../abi/abi.zig");
const arenas = @import("arena.zig");
const child = @import("../child/child.zig");
const clone = @import("clone.zig");
const dumpable = @import("dumpable.zig");
const files = @import("../files/files.zig");
const ledger = @import("../files/ledger.zig");
const linux = @import("../os/linux.zig");
const pending = @import("pending.zig");
const plans = @import("../child/plan.zig");
const requests = @import("request.zig");
const shared = @import("../os/shared.zig");
const spawn_libc = @import("spawn_libc.zig");
const stdio = @import("../files/stdio.zig");
const system = @import("../os/system.zig").system;
const wait = @import("../wait/wait.zig");
const wait_linux = @import("../wait/wait_linux.zig");
const window = @import("window.zig");
const Plan = plans.Plan;

const nothing: abi.Answer = .{
    .pid = -1,
    .pidfd = -1,
    .step = 0,
    .errno = 0,
    .signal = 0,
    .rungs = 0,
    .pending = -1,
};

/// Starts what `bytes` ask for. Blocks until the child has called execve or has failed, unless the start
/// is deferred.
pub fn start(bytes: []const u8, answer: *abi.Answer) void {
    make(bytes, answer);
    if (answer.pidfd >= 0) ledger.own(&.{answer.pidfd});
}

/// Nothing has been started, for want of a thread to do it.
pub fn failBefore(answer: *abi.Answer, negated: i32) void {
    answer.* = nothing;
    fail(answer, .clone, negated);
}

/// start(), but whose the child is stays to be said.
pub fn make(bytes: []const u8, answer: *abi.Answer) void {
    answer.* = nothing;
    const needed = requests.capacity(bytes) catch |err| return refuse(answer, err);
    var spare: arenas.Arena = undefined;
    const arena = arenas.acquire(needed, &spare) orelse {
        return fail(answer, .clone, system.negative(.NOMEM));
    };
    defer if (answer.pending < 0) arenas.release(arena, &spare);
    const plan = requests.parse(bytes, arena.room()) catch |err| return refuse(answer, err);
    // Memory of this start's own cannot outlive it.
    if (arena == &spare) plan.deferred = false;
    if (options.child == .libc) return spawn_libc.run(plan, arena, answer);
    run(plan, arena, answer);
    if (mayLackDescriptors(plan, answer)) {
        const again = requests.parse(bytes, arena.room()) catch return;
        again.deferred = false;
        again.forced |= rung(.window);
        answer.* = nothing;
        run(again, arena, answer);
    }
}

/// Whether a path was not found that may lead through a descriptor (a symlink to /proc/self/fd/9) which the child,
/// with a part of the table, has not: then it must have all.
fn mayLackDescriptors(plan: *const Plan, answer: *const abi.Answer) bool {
    if (answer.errno != -linux.negative(.NOENT) or plan.unshare_from == 0) return false;
    if (answer.step < 0) return false;
    var records: plans.Iterator = .{ .bytes = plan.steps };
    var index: i32 = 0;
    while (records.next()) |record| : (index += 1) {
        if (index == answer.step) return record.step == .chroot or record.step == .chdir;
    }
    return false;
}

/// What has become of a pending start: see `osexec_settle`.
pub fn settle(index: i32, pid: i32, answer: *abi.Answer) i32 {
    answer.* = nothing;
    const none = system.negative(.INVAL);
    const report = switch (options.child) {
        .raw => pending.settle(index, pid) orelse return none,
        .libc => return none,
    };
    if (report.state == .execing) return 0;
    answer.step = report.step;
    if (report.state == .failed) answer.errno = report.errno else answer.signal = -1;
    return 0;
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

/// How the parent learns that the child has left for good, and whose memory it runs in meanwhile.
const Mode = enum {
    /// Our memory, this thread suspended: the quick one.
    vfork,
    /// A copy of our memory, this thread suspended.
    private,
    /// Our memory, this thread free for its own steps: the kernel wakes a futex when the child is gone.
    futex,
    /// A copy of our memory, this thread free: a pipe reaches its end.
    fork,
    /// As `futex`, but nobody waits: what came of it is asked for later.
    deferred,
};

fn chooseMode(plan: *Plan) Mode {
    if (has(plan.forced, .fork) or !sharesMemory()) return .fork;
    // Sharing memory with a child of other credentials where core dumps follow the user would let
    // the target user write into this process (measured, research/cores.md finding 3).
    plan.hides = plan.has_credentials and dumpable.followsUser();
    const alone = has(plan.forced, .private) or plan.hides;
    if (plan.has_parent_steps or plan.has_ptrace) return if (alone) .fork else .futex;
    if (alone) return .private;
    return if (mayDefer(plan)) .deferred else .vfork;
}

/// Not with a large table of descriptors, of which the child would get a copy: while it runs, this process
/// may close what is its own, so they cannot share one. Nor may the thread end whose death is to be
/// signalled: a suspended one cannot.
fn mayDefer(plan: *const Plan) bool {
    if (!plan.deferred or plan.has_credentials or plan.has_pdeathsig) return false;
    // The child still runs what lies in here when the call is over.
    if (!shared.pin()) return false;
    // To have its place while there are low numbers: a later start may need it.
    if (plan.has_close_range) _ = window.boundary();
    return !window.tableIsLarge();
}

fn run(plan: *Plan, arena: *arenas.Arena, answer: *abi.Answer) void {
    arena.report.* = .{};
    plan.report = arena.report;
    plan.has_close_range = hasCloseRange() and !has(plan.forced, .close_range);
    // Before anything is opened here.
    noteClosed(plan);
    const opened = openNull(plan, answer) catch return;
    defer if (opened >= 0) linux.close(opened);
    var mode = chooseMode(plan);
    var number = if (mode == .deferred) pending.reserve() else null;
    if (mode == .deferred and number == null) mode = .vfork;
    // A child that the kernel reaps by itself leaves its status with the pidfd alone.
    if (has(plan.forced, .pidfd) and reapsByItself()) plan.forced &= ~rung(.pidfd);
    var pipe: [2]i32 = .{ -1, -1 };
    if (mode == .fork) {
        const made = linux.result(.pipe2, .{ &pipe, linux.O_CLOEXEC });
        if (made < 0) return fail(answer, .clone, made);
        plan.exec_pipe = pipe[1];
    }
    defer for (pipe) |end| {
        if (end >= 0) linux.close(end);
    };
    if (plan.has_pdeathsig or plan.has_parent_steps) {
        noteSelf(plan);
    }
    const proc = plan.proc;
    defer if (proc >= 0) linux.close(proc);

    var lease: window.Lease = .{};
    defer lease.end();
    // Where this thread goes on while the child starts, nobody would know when a slot may be let go.
    if (mode != .fork and mode != .deferred) useWindow(plan, &lease);

    const guarded = plan.has_credentials and (mode == .vfork or mode == .futex);
    const mask = linux.maskSignals(linux.sigset_all);
    defer _ = linux.maskSignals(mask);
    if (guarded) dumpable.enter();
    var made = makeProcess(plan, arena, mode);
    if (number) |index| if (made.pid < 0) {
        // Shared memory without CLONE_VFORK is nothing that sandboxes expect.
        pending.cancel(index);
        number = null;
        mode = .vfork;
        made = makeProcess(plan, arena, mode);
    };
    const parent_failure = if (made.pid < 0) null else attend(plan, mode, made, &pipe);
    if (guarded) dumpable.leave();
    answer.rungs = made.rungs;
    if (plan.unshare_from == 0) answer.rungs |= @backingInt(abi.Rung.window);
    if (!plan.has_close_range) answer.rungs |= @backingInt(abi.Rung.close_range);
    if (made.pid < 0) return failClone(plan, answer, made.pid);
    if (number) |index| {
        pending.keep(index, arena, plan);
        answer.pid = made.pid;
        answer.pidfd = made.pidfd;
        answer.pending = index;
        return;
    }
    conclude(plan, made.pid, made.pidfd, parent_failure, answer);
}

/// What has become of the child, once it has reached execve or has died, or was killed for a failure of
/// the parent's own.
pub fn conclude(
    plan: *const Plan,
    pid: i32,
    pidfd: i32,
    parent_failure: ?ParentFailure,
    answer: *abi.Answer,
) void {
    const state = plan.report.state;
    if (parent_failure == null and state == .execing) {
        answer.pid = pid;
        answer.pidfd = pidfd;
        return;
    }
    var exit: abi.Exit = undefined;
    const reaped = wait.wait(pid, pidfd, 0, &exit);
    // glibc forgot this one (BZ 31695).
    if (pidfd >= 0) system.close(pidfd);
    const signal = if (reaped > 0) exit.status & 0x7f else 0;
    // A step of the parent's fails too where the child has failed or died before: then that is why.
    const killed_by_us = state != .failed and (signal == 0 or signal == linux.SIGKILL);
    if (parent_failure) |failure| if (killed_by_us) {
        answer.step = failure.step;
        answer.errno = -failure.answer;
        return;
    };
    answer.step = plan.report.step;
    if (state == .failed) {
        answer.errno = plan.report.errno;
        return;
    }
    // It died on the way. glibc and Go call this a start (research/cores.md finding 8).
    answer.signal = signal;
    // Somebody else reaped it, and nothing tells how it ended.
    if (answer.signal == 0) answer.errno = -system.negative(.CHILD);
}

/// Puts /dev/null where the descriptors want it: the window's, or one of this start's own, which is answered, to be
/// closed once there is a child.
pub fn openNull(plan: *Plan, answer: *abi.Answer) error{Refused}!i32 {
    var device: i32 = -1;
    var opened: i32 = -1;
    for (plan.descriptors, 0..) |*each, index| {
        if (each.source != plans.Descriptor.null_device) continue;
        if (device < 0 and options.child == .raw) device = window.nullDevice();
        if (device < 0) {
            const O_RDWR = 2;
            opened = system.openFile("/dev/null", O_RDWR, 0);
            if (opened < 0) {
                answer.step = indexOf(plan, .fd) + @as(i32, @intCast(index));
                answer.errno = -opened;
                return error.Refused;
            }
            device = opened;
        }
        each.source = device;
    }
    return opened;
}

/// Notes which of the descriptors are not open: the start is about to open some of its own, the child's
/// pidfd first of all, and they come to lie at the lowest numbers that are free.
pub fn noteClosed(plan: *Plan) void {
    for (plan.descriptors) |*each| {
        if (each.source >= 0 and !isOpen(each.source)) each.source = plans.Descriptor.closed;
    }
    for (plan.borrowed) |each| if (each) |fd| {
        if (!isOpen(fd.*)) fd.* = -1;
    };
}

/// What a child has to know this process by, to notice its death.
fn noteSelf(plan: *Plan) void {
    plan.parent_pid = linux.result(.getpid, .{});
    const flags = linux.O_PATH | linux.O_DIRECTORY | linux.O_CLOEXEC;
    const proc = linux.retry(.openat, .{ linux.AT_FDCWD, "/proc", flags, 0 });
    if (proc < 0) return;
    var link: [16]u8 = undefined;
    const length = linux.result(.readlinkat, .{ proc, "self", &link, link.len });
    const text = link[0..@intCast(@max(length, 0))];
    plan.parent_in_proc = std.fmt.parseInt(i32, text, 10) catch return linux.close(proc);
    plan.proc = proc;
}

fn isOpen(fd: i32) bool {
    return system.fcntl(fd, system.F_GETFD, 0) >= 0;
}

/// What the last attempt was refused for is the cgroup's fault if it was to clone into one, but for what
/// any clone may be refused for.
fn failClone(plan: *const Plan, answer: *abi.Answer, negated: i32) void {
    fail(answer, .clone, negated);
    if (!plan.in_cgroup) return;
    if (negated == linux.negative(.AGAIN) or negated == linux.negative(.NOMEM)) return;
    answer.step = indexOf(plan, .cgroup);
}

/// Whether the kernel reaps children: SIGCHLD is ignored, or its handler wants none of them (SA_NOCLDWAIT).
fn reapsByItself() bool {
    var current: linux.KernelSigaction = .{};
    _ = linux.call(.rt_sigaction, .{ linux.SIGCHLD, null, &current, 8 });
    const SIG_IGN = 1;
    const SA_NOCLDWAIT = 2;
    return current.handler == SIG_IGN or current.flags & SA_NOCLDWAIT != 0;
}

fn indexOf(plan: *const Plan, step: abi.Step) i32 {
    var records: plans.Iterator = .{ .bytes = plan.steps };
    var index: i32 = 0;
    while (records.next()) |record| : (index += 1) {
        if (record.step == step) break;
    }
    return index;
}

pub const ParentFailure = struct { step: i32, answer: i32 };

/// The parent's part while the child runs, where it has one: its own steps, and the wait for the end.
fn attend(plan: *Plan, mode: Mode, made: Made, pipe: *[2]i32) ?ParentFailure {
    if (mode != .futex and mode != .fork) return null;
    const failure = takeSteps(plan, made.pid);
    // By pid: the child is not reaped before we do it.
    if (failure != null) _ = linux.call(.kill, .{ made.pid, linux.SIGKILL });
    const gate: *u32 = @volatileCast(&plan.report.gate);
    @atomicStore(u32, gate, 1, .release);
    _ = linux.call(.futex, .{ gate, linux.FUTEX_WAKE, 1, null, null, 0 });
    if (mode == .fork) {
        linux.close(pipe[1]);
        pipe[1] = -1;
        while (!atEnd(pipe[0], if (plan.has_ptrace) 1 else 20)) {
            if (plan.has_ptrace) attendTracee(plan, made.pid, pipe[0]);
            // A fork of somebody else's, at the wrong moment, holds the pipe for as long as it likes.
            if (hasLeft(plan, made.pid)) break;
        }
        return failure;
    }
    while (true) {
        if (plan.has_ptrace) attendTracee(plan, made.pid, -1);
        const tid = @atomicLoad(u32, &plan.child_tid, .acquire);
        if (tid == 0 or wait_linux.waitCleared(&plan.child_tid, tid, made.pid)) return failure;
    }
}

/// A tracee is stopped by any signal, one that was pending when it unblocked them included, and only this thread can let
/// it go on: whoever waits for its exec must look. `end`: of the exec pipe, where there is one.
pub fn attendTracee(plan: *Plan, pid: i32, end: i32) void {
    const signal = wait_linux.stoppedBy(pid);
    if (signal == 0) return;
    // The stop at exec itself is the tracer's to see, and comes after these.
    const SIGTRAP = 5;
    const has_left = if (end < 0)
        @atomicLoad(u32, &plan.child_tid, .acquire) == 0
    else
        atEnd(end, 0) or (signal == SIGTRAP and plan.report.state == .execing);
    if (!has_left) wait_linux.resumeTracee(pid, signal);
}

/// Whether a pipe has reached its end within so many milliseconds.
pub fn atEnd(end: i32, milliseconds: i32) bool {
    var entry: [1]abi.Poll = .{.{ .fd = end, .events = 1, .revents = 0 }};
    return system.poll(&entry, 1, milliseconds) > 0;
}

/// Whether a child has ended, or has the name of what it executes.
fn hasLeft(plan: *const Plan, pid: i32) bool {
    if (wait_linux.hasEnded(pid)) return true;
    if (plan.report.state != .execing) return false;
    var buffer: [64]u8 = undefined;
    const path = std.fmt.bufPrintSentinel(&buffer, "/proc/{d}/comm", .{pid}, 0) catch return false;
    const fd = linux.retry(.openat, .{ linux.AT_FDCWD, path.ptr, linux.O_CLOEXEC, 0 });
    if (fd < 0) return false;
    defer linux.close(fd);
    var name: [32]u8 = undefined;
    const length = linux.retry(.read, .{ fd, &name, name.len });
    const expected = child.name_before_exec ++ "\n";
    return length > 0 and !std.mem.eql(u8, name[0..@intCast(length)], expected);
}

/// The id maps of a child in a new user namespace, which only somebody outside may write.
fn takeSteps(plan: *const Plan, pid: i32) ?ParentFailure {
    var records: plans.Iterator = .{ .bytes = plan.steps };
    var index: i32 = 0;
    while (records.next()) |record| : (index += 1) {
        const name: []const u8, const text: []const u8 = switch (record.step) {
            .uid_map => .{ "uid_map", record.payload[0 .. record.payload.len - 1] },
            .gid_map => .{ "gid_map", record.payload[0 .. record.payload.len - 1] },
            .setgroups_policy => .{ "setgroups", if (record.payload[0] != 0) "allow" else "deny" },
            .nice, .rlimit, .rlimit_nofile => {
                if (!plan.limits_by_parent) continue;
                const set = setLimits(pid, record.step, @ptrCast(record.payload.ptr));
                if (set < 0) return .{ .step = index, .answer = set };
                continue;
            },
            else => continue,
        };
        const answer = writeProc(pid, name, text);
        // Linux < 3.19 has no setgroups file, and needs none.
        if (answer == linux.negative(.NOENT) and record.step == .setgroups_policy) continue;
        if (answer < 0) return .{ .step = index, .answer = answer };
    }
    return null;
}

/// What the child of a new user namespace may not do for itself. Of NOFILE only the hard limit, and only up: its
/// descriptors are to be put in place below the soft one yet.
fn setLimits(pid: i32, step: abi.Step, words: [*]align(8) const u32) i32 {
    if (step == .nice) {
        const PRIO_PROCESS = 0;
        return linux.result(.setpriority, .{ PRIO_PROCESS, pid, @as(i32, @bitCast(words[0])) });
    }
    var limits = child.limitsOf(words);
    if (step == .rlimit_nofile) {
        var current: [2]u64 = .{ 0, 0 };
        const asked = linux.result(.prlimit64, .{ pid, words[0], null, &current });
        if (asked < 0 or limits[1] <= current[1]) return asked;
        limits[0] = current[0];
    }
    return linux.result(.prlimit64, .{ pid, words[0], &limits, null });
}

fn writeProc(pid: i32, name: []const u8, text: []const u8) i32 {
    const O_WRONLY = 1;
    var buffer: [64]u8 = undefined;
    const path = std.fmt.bufPrintSentinel(&buffer, "/proc/{d}/{s}", .{ pid, name }, 0) catch {
        return linux.negative(.NAMETOOLONG);
    };
    const fd = linux.retry(.openat, .{ linux.AT_FDCWD, path.ptr, O_WRONLY | linux.O_CLOEXEC, 0 });
    if (fd < 0) return fd;
    defer linux.close(fd);
    // Whatever else is mounted there would take the text and do nothing.
    if (!linux.isProc(fd)) return linux.negative(.NOENT);
    // In one write, as a map's file wants it.
    return @min(0, linux.retry(.write, .{ fd, text.ptr, text.len }));
}

/// Decides whether the child may drop the upper part of the descriptor table unseen, and makes what
/// it needs lie in the lower part.
fn useWindow(plan: *Plan, lease: *window.Lease) void {
    if (plan.close_from < 0 or plan.paths_use_descriptors) return;
    if (!plan.has_close_range or has(plan.forced, .window)) return;
    const boundary = window.boundary();
    // Descriptors to keep beyond the boundary would not be there to be kept.
    if (plan.close_from > boundary) return;
    // Slots that were had before they ran out serve all the same: the child gets the whole table then.
    if (leaseAll(plan, lease, boundary)) plan.unshare_from = boundary;
}

/// False: no slot was left.
fn leaseAll(plan: *Plan, lease: *window.Lease, boundary: u32) bool {
    for (plan.descriptors) |*each| if (!leaseOne(&each.source, lease, boundary)) return false;
    for (plan.borrowed) |each| {
        if (each) |fd| if (!leaseOne(fd, lease, boundary)) return false;
    }
    return leaseOne(&plan.proc, lease, boundary);
}

fn leaseOne(fd: *i32, lease: *window.Lease, boundary: u32) bool {
    if (fd.* < boundary) return true;
    fd.* = lease.add(fd.*) catch |err| switch (err) {
        // Left as it is, the child finds it closed, in the step that names it.
        error.NotOpen => return true,
        error.Full => return false,
    };
    return true;
}

const Made = struct { pid: i32, pidfd: i32, rungs: u32 };

/// The ladder: what to try, best first. An old kernel or a sandbox refuses some of it with ENOSYS,
/// EINVAL, E2BIG or EPERM (Docker's seccomp filter before 20.10.10 gave EPERM for clone3).
const ladder = [_]u32{
    0,
    rung(.into_cgroup),
    rung(.into_cgroup) | rung(.clear_sighand),
    rung(.into_cgroup) | rung(.clear_sighand) | rung(.clone3),
    rung(.into_cgroup) | rung(.clear_sighand) | rung(.clone3) | rung(.pidfd),
};

fn rung(comptime value: abi.Rung) u32 {
    return @backingInt(value);
}

fn has(set: u32, value: abi.Rung) bool {
    return set & @backingInt(value) != 0;
}

/// The first rung that has ever worked for a plain start, so that what is missing is found out once.
var first_rung: u32 = 0;
/// The last plain start has met an EPERM at that rung.
var was_refused: bool = false;

fn makeProcess(plan: *Plan, arena: *const arenas.Arena, mode: Mode) Made {
    const forced = plan.forced &
        (rung(.clone3) | rung(.clear_sighand) | rung(.pidfd) | rung(.into_cgroup));
    const plain = plan.clone_flags == 0 and plan.cgroup() == null;
    const first = @atomicLoad(u32, &first_rung, .monotonic);
    plan.in_cgroup = false;
    var refusal: ?i32 = null;
    for (ladder[first..], first..) |missing, index| {
        // Without a cgroup the second rung is the first.
        if (missing == rung(.into_cgroup) and plan.cgroup() == null) continue;
        const without = missing | forced;
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
            const how: u32 = switch (mode) {
                .vfork, .futex, .deferred => 0,
                .private => rung(.private),
                .fork => rung(.fork),
            };
            const kept = stdio.keepOff(pidfd);
            return .{ .pid = pid, .pidfd = kept, .rungs = without | how };
        }
        if (refusal == null) refusal = pid;
        switch (pid) {
            linux.negative(.NOSYS),
            linux.negative(.INVAL),
            linux.negative(.@"2BIG"),
            linux.negative(.PERM),
            => {},
            else => return .{ .pid = pid, .pidfd = -1, .rungs = without },
        }
    }
    return .{ .pid = refusal orelse linux.negative(.NOSYS), .pidfd = -1, .rungs = 0 };
}

const CLONE_NEWTIME = 0x80;

fn tryClone(
    plan: *Plan,
    arena: *const arenas.Arena,
    mode: Mode,
    without: u32,
    pidfd: *i32,
) i32 {
    var flags: u64 = plan.clone_flags | @as(u64, switch (mode) {
        .vfork => clone.VM | clone.VFORK,
        .private => clone.VFORK,
        .futex, .deferred => clone.VM | clone.CHILD_CLEARTID,
        .fork => 0,
    });
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
    if (plan.cgroup()) |directory| if (!has(without, .into_cgroup)) {
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
fn sharesMemory() bool {
    const unknown, const yes, const no = .{ 0, 1, 2 };
    const known = @atomicLoad(u32, &shares_memory_state, .monotonic);
    if (known != unknown) return known == yes;
    var spare: arenas.Arena = undefined;
    const arena = arenas.acquire(0, &spare) orelse return true;
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

/// Why execve refused; everything is as it was before.
fn replaceRaw(plan: *const Plan) i32 {
    const default: linux.KernelSigaction = .{};
    const numbers = [_]u32{ linux.SIGPIPE, linux.SIGXFSZ };
    var before: [numbers.len]linux.KernelSigaction = @splat(.{});
    for (numbers, &before) |number, *old| {
        _ = linux.call(.rt_sigaction, .{ number, &default, old, 8 });
    }
    const mask = linux.maskSignals(0);
    const failure = linux.result(.execve, .{ plan.path, plan.argv, plan.envp });
    _ = linux.maskSignals(mask);
    for (numbers, &before) |number, *old| {
        _ = linux.call(.rt_sigaction, .{ number, old, null, 8 });
    }
    return failure;
}

/// With 0, 1 and 2 open in the program that it becomes: Node marks them close-on-exec on its start.
fn replaceWithStdio(plan: *const Plan) i32 {
    var marks: [3]i32 = undefined;
    for (&marks, 0..) |*mark, fd| {
        mark.* = system.fcntl(@intCast(fd), system.F_GETFD, 0);
        if (mark.* > 0) _ = system.fcntl(@intCast(fd), system.F_SETFD, 0);
    }
    const failure = switch (options.child) {
        .raw => replaceRaw(plan),
        .libc => spawn_libc.replace(plan),
    };
    for (marks, 0..) |mark, fd| {
        if (mark > 0) _ = system.fcntl(@intCast(fd), system.F_SETFD, mark);
    }
    return failure;
}

/// Replaces this process's image: returns only when that failed, with everything as it was before.
pub fn replace(bytes: []const u8, answer: *abi.Answer) void {
    answer.* = nothing;
    const needed = requests.capacity(bytes) catch |err| return refuse(answer, err);
    var spare: arenas.Arena = undefined;
    const arena = arenas.acquire(needed, &spare) orelse {
        return fail(answer, .clone, linux.negative(.NOMEM));
    };
    defer arenas.release(arena, &spare);
    const plan = requests.parse(bytes, arena.room()) catch |err| return refuse(answer, err);
    // What can be known is known first: with SIGPIPE at its default a write to a pipe that nobody reads, by another
    // thread, ends this process.
    const refused = files.executable(plan.path, @intCast(std.mem.len(plan.path) + 1));
    const failure = if (refused == system.negative(.ISDIR))
        // execve's word for it.
        system.negative(.ACCES)
    else if (refused < 0)
        refused
    else
        replaceWithStdio(plan);
    answer.step = indexOf(plan, .exec);
    answer.errno = -failure;
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
