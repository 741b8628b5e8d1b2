//! The parent's side of a start: from a request to a running child, or to the step that failed.

const options = @import("options");
const abi = @import("../abi/abi.zig");
const arenas = @import("arena.zig");
const attend = @import("attend.zig");
const dumpable = @import("dumpable.zig");
const ladder = @import("ladder.zig");
const ledger = @import("../files/ledger.zig");
const linux = @import("../os/linux.zig");
const outcome = @import("outcome.zig");
const pending = @import("pending.zig");
const plans = @import("../child/plan.zig");
const requests = @import("request.zig");
const shared = @import("../os/shared.zig");
const sources = @import("sources.zig");
const spawn_libc = @import("spawn_libc.zig");
const system = @import("../os/system.zig").system;
const wait = @import("../wait/wait.zig");
const wait_linux = @import("../wait/wait_linux.zig");
const window = @import("window.zig");
const Mode = ladder.Mode;
const Plan = plans.Plan;

/// Starts what `bytes` ask for. Blocks until the child has called execve or has failed, unless the start
/// is deferred.
pub fn start(bytes: []const u8, answer: *abi.Answer) void {
    make(bytes, answer);
    if (answer.pidfd >= 0) ledger.own(&.{answer.pidfd});
}

/// Nothing has been started, for want of a thread to do it.
pub fn failBefore(answer: *abi.Answer, negated: i32) void {
    answer.* = .nothing;
    outcome.fail(answer, .clone, negated);
}

/// start(), but whose the child is stays to be said.
pub fn make(bytes: []const u8, answer: *abi.Answer) void {
    answer.* = .nothing;
    const needed = requests.capacity(bytes) catch |err| return outcome.refuse(answer, err);
    var spare: arenas.Arena = undefined;
    const arena = arenas.acquire(needed, &spare, if (options.child == .raw) pending.reclaim else null) orelse {
        return outcome.fail(answer, .clone, system.negative(.NOMEM));
    };
    defer if (answer.pending < 0) arenas.release(arena, &spare);
    const plan = requests.parse(bytes, arena.room()) catch |err| return outcome.refuse(answer, err);
    arena.report.* = .{};
    plan.report = arena.report;
    plan.left = .{ .bytes = plan.steps };
    // Memory of this start's own cannot outlive it.
    if (arena == &spare) plan.deferred = false;
    if (options.child == .libc) return spawn_libc.run(plan, answer);
    run(plan, arena, answer);
    if (mayLackDescriptors(plan, answer)) {
        const again = requests.parse(bytes, arena.room()) catch return;
        arena.report.* = .{};
        again.report = arena.report;
        again.left = .{ .bytes = again.steps };
        again.deferred = false;
        again.without |= ladder.rung(.window);
        answer.* = .nothing;
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
        if (index != answer.step) continue;
        const facts = abi.steps.factsOf(record.step);
        for (facts.kinds[0..facts.count]) |kind| if (kind == .path) return true;
        return false;
    }
    return false;
}

/// What has become of a pending start: see `osexec_settle`.
pub fn settle(index: i32, pid: i32, answer: *abi.Answer) i32 {
    answer.* = .nothing;
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

fn chooseMode(plan: *Plan) Mode {
    if (plan.lacks(.memory) or !ladder.sharesMemory()) return .{ .shares = false, .waits = false };
    // Sharing memory with a child of other credentials where core dumps follow the user would let
    // the target user write into this process (measured).
    plan.hides = plan.has_credentials and dumpable.followsUser();
    if (plan.hides or plan.memory == .own) return .{ .shares = false, .waits = false };
    // A filter that kills dumps a core, and this process would end with it.
    if (plan.has_filter and ladder.dumpsTogether()) return .{ .shares = false, .waits = false };
    // Its own steps are this thread's to take, and a tracee's stops its to see, while the child runs.
    if (plan.has_parent_steps or plan.has_ptrace) return .{ .shares = plan.memory == .any, .waits = false };
    const deferred = mayDefer(plan);
    return .{ .shares = true, .waits = !deferred, .deferred = deferred };
}

/// Not with a large table of descriptors, of which the child would get a copy: while it runs, this process
/// may close what is its own, so they cannot share one. Nor may the thread end whose death is to be
/// signalled: a suspended one cannot.
fn mayDefer(plan: *const Plan) bool {
    if (!plan.deferred or plan.has_credentials or plan.has_pdeathsig or plan.memory != .any) return false;
    // The child still runs what lies in here when the call is over.
    if (!shared.pin()) return false;
    // To have its place while there are low numbers: a later start may need it.
    if (!plan.lacks(.close_range)) _ = window.boundary();
    return !window.tableIsLarge();
}

fn run(plan: *Plan, arena: *arenas.Arena, answer: *abi.Answer) void {
    plan.successor_stack = arena.stackMiddle();
    if (!ladder.hasCloseRange()) plan.without |= ladder.rung(.close_range);
    // Before anything is opened here.
    sources.lend(plan);
    const opened = sources.openNull(plan, answer) catch return;
    defer if (opened >= 0) linux.close(opened);
    var mode = chooseMode(plan);
    if (!mode.shares) plan.without |= ladder.rung(.memory);
    var number = if (mode.deferred) pending.reserve() else null;
    if (mode.deferred and number == null) mode = .{ .shares = true, .waits = true };
    // A child that the kernel reaps by itself leaves its status with the pidfd alone.
    if (plan.no_pidfd and !ladder.reapsByItself()) plan.without |= ladder.rung(.pidfd);
    var pipe: [2]i32 = .{ -1, -1 };
    if (!mode.shares) {
        const made = linux.result(.pipe2, .{ &pipe, linux.O_CLOEXEC });
        if (made < 0) return outcome.fail(answer, .clone, made);
        plan.exec_pipe = pipe[1];
    }
    defer for (pipe) |end| {
        if (end >= 0) linux.close(end);
    };
    if (plan.has_pdeathsig or plan.has_parent_steps) attend.noteSelf(plan);
    const proc = plan.proc;
    defer if (proc >= 0) linux.close(proc);

    var lease: window.Lease = .{};
    defer lease.end();
    // Where this thread goes on while the child starts, nobody would know when a slot may be let go.
    if (mode.shares and !mode.deferred) sources.useWindow(plan, &lease);

    const guarded = plan.has_credentials and mode.shares;
    const mask = linux.maskSignals(linux.sigset_all);
    defer _ = linux.maskSignals(mask);
    if (guarded) dumpable.enter();
    var made = ladder.makeProcess(plan, arena, mode);
    if (number) |index| if (made.pid < 0) {
        // Shared memory without CLONE_VFORK is nothing that sandboxes expect.
        pending.cancel(index);
        number = null;
        mode = .{ .shares = true, .waits = true };
        made = ladder.makeProcess(plan, arena, mode);
    };
    const parent_failure = if (made.pid < 0) null else attend.attend(plan, mode, made.pid, &pipe);
    if (guarded) dumpable.leave();
    answer.rungs = plan.without;
    if (plan.unshare_from == 0) answer.rungs |= ladder.rung(.window);
    if (made.pid < 0) return outcome.failClone(plan, answer, made.pid);
    if (number) |index| {
        pending.keep(index, arena, plan);
        answer.pid = made.pid;
        answer.pidfd = made.pidfd;
        answer.pending = index;
        return;
    }
    if (plan.has_successor) made = succeed(plan, made);
    outcome.conclude(plan, made.pid, made.pidfd, parent_failure, answer);
}

/// The second child in place of the first, which has nothing more to do: see the step pid_namespace.
fn succeed(plan: *const Plan, first: ladder.Made) ladder.Made {
    const pid = plan.report.successor;
    if (pid <= 0) return first;
    var exit: abi.Exit = undefined;
    _ = wait.wait(first.pid, first.pidfd, 0, &exit);
    if (first.pidfd < 0) return .{ .pid = pid, .pidfd = -1 };
    linux.close(first.pidfd);
    // By its number: it is our child, and not reaped before we do it.
    return .{ .pid = pid, .pidfd = wait_linux.openHandle(pid) };
}
