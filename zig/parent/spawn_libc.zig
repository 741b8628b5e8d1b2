//! The parent's side of a start by fork, where libc is the way to the kernel: macOS, and Linux in the
//! build that rehearses it.
//!
//! What raw clones tell for nothing, that the child has reached execve or has failed, a pipe has to
//! tell here: the bell, whose writing end the child holds, close-on-exec, and nobody else but a foreign
//! fork at the wrong moment (see `hear`). How far the child came stands in the report, which lies in shared memory, so that a child killed before exec is
//! told from one that was started (Go's and glibc's pipes carry an errno, and call both a start).

const builtin = @import("builtin");
const abi = @import("../abi/abi.zig");
const child = @import("../child/child_libc.zig");
const libc = @import("../os/libc.zig");
const plans = @import("../child/plan.zig");
const attend = @import("attend.zig");
const outcome = @import("outcome.zig");
const sources = @import("sources.zig");
const system = @import("../os/system.zig").system;
const wait_libc = @import("../wait/wait_libc.zig");
const Plan = plans.Plan;

/// What this way goes without: all that makes the other one fast.
const rungs_missing = rungs: {
    var bits: u32 = 0;
    for (@typeInfo(abi.Rung).@"enum".field_values) |value| bits |= value;
    break :rungs bits;
};

pub fn run(plan: *Plan, answer: *abi.Answer) void {
    answer.rungs = rungs_missing;
    if (!supported(plan, answer)) return;
    // Before anything is opened here.
    sources.lend(plan);
    const opened = sources.openNull(plan, answer) catch return;
    defer if (opened >= 0) system.close(opened);
    const functions = libc.Functions.find() orelse {
        return outcome.fail(answer, .clone, system.negative(.NOSYS));
    };
    var bell: [2]i32 = undefined;
    const made = system.pipe(&bell);
    if (made < 0) return outcome.fail(answer, .clone, made);
    const apart = keepApart(plan, &bell);
    if (apart < 0) {
        for (bell) |end| system.close(end);
        return outcome.fail(answer, .clone, apart);
    }

    const mask = system.maskSignals(system.sigset_all);
    system.beginFork();
    prepareHost();
    const pid = functions.fork();
    if (pid == 0) child.main(.{ .plan = plan, .functions = &functions, .bell = bell[1] });
    const refusal = libc.result(pid);
    system.endFork();
    _ = system.maskSignals(mask);

    system.close(bell[1]);
    if (pid > 0) hear(plan, &functions, pid, bell[0]);
    system.close(bell[0]);
    if (pid < 0) return outcome.fail(answer, .clone, refusal);
    outcome.conclude(plan, pid, -1, null, answer);
}

/// Until the child has executed or has gone.
fn hear(plan: *Plan, functions: *const libc.Functions, pid: i32, bell: i32) void {
    while (!attend.atEnd(bell, if (plan.has_ptrace) 1 else 20)) {
        // As in `spawn.zig`: a tracee that a signal stops before exec waits for us.
        if (builtin.os.tag == .linux and plan.has_ptrace) attend.attendTracee(plan, pid, bell);
        // A fork of somebody else's, at the wrong moment, holds the bell for as long as it likes.
        if (hasLeft(plan, functions, pid)) return;
    }
}

/// Whether a child has ended, or has executed: then its parent may not set its group any more, EACCES. One in a session of
/// its own is refused for that, and not known by it (setpgid(2), both systems).
fn hasLeft(plan: *const Plan, functions: *const libc.Functions, pid: i32) bool {
    var exit: abi.Exit = undefined;
    const flags = @backingInt(abi.Wait.nohang) | @backingInt(abi.Wait.nowait);
    const ended = wait_libc.wait(pid, -1, flags, &exit);
    if (ended == 1 or ended == system.negative(.CHILD)) return true;
    // Not before: it may be about to change its group itself.
    if (plan.report.state != .execing) return false;
    const set = functions.setpgid(pid, functions.getpgid(pid));
    return libc.result(set) == system.negative(.ACCES);
}

/// execve in place: why it refused, with everything as it was before.
pub fn replace(plan: *const Plan) i32 {
    const functions = libc.Functions.find() orelse return system.negative(.NOSYS);
    const default: libc.Sigaction = .{};
    const numbers = [_]i32{ libc.SIGPIPE, libc.SIGXFSZ };
    var before: [numbers.len]libc.Sigaction = @splat(.{});
    for (numbers, &before) |number, *old| _ = functions.sigaction(number, &default, old);
    var mask: libc.Sigset = libc.sigset_none;
    _ = functions.sigprocmask(libc.SIG_SETMASK, &libc.sigset_none, &mask);
    const failure = libc.result(functions.execve(plan.path, plan.argv, plan.envp));
    _ = functions.sigprocmask(libc.SIG_SETMASK, &mask, null);
    for (numbers, &before) |number, *old| _ = functions.sigaction(number, old, null);
    return failure;
}

/// Refuses what the child could not do, before there is one, by the step that asks for it.
fn supported(plan: *const Plan, answer: *abi.Answer) bool {
    var records: plans.Iterator = .{ .bytes = plan.steps };
    var index: i32 = 0;
    while (records.next()) |record| : (index += 1) {
        if (abi.steps.factsOf(record.step).libc) continue;
        answer.step = index;
        answer.errno = -system.negative(.NOSYS);
        return false;
    }
    if (plan.clone_flags == 0) return true;
    outcome.fail(answer, .clone, system.negative(.NOSYS));
    return false;
}

/// Puts the bell where no record of the map can hit it.
fn keepApart(plan: *Plan, bell: *[2]i32) i32 {
    const all = plan.descriptors;
    for (all) |descriptor| {
        if (descriptor.target != bell[1]) continue;
        const above = all[all.len - 1].target + 1;
        const moved = system.fcntl(bell[1], system.F_DUPFD_CLOEXEC, above);
        if (moved < 0) return moved;
        system.close(bell[1]);
        bell[1] = moved;
        break;
    }
    return 0;
}

/// Behind the lock of `beginFork`.
var host_prepared: bool = false;

/// Two corners of Apple's libraries are set up on first use by the handlers that run in a forked child,
/// where a lock held at the fork hangs them for ever; so they are set up here, before any fork, as Go
/// does (runtime/os_darwin.go, osinit_hack; go.dev/issue/33565, go.dev/issue/56784).
fn prepareHost() void {
    if (builtin.os.tag != .macos or host_prepared) return;
    host_prepared = true;
    const notify_is_valid_token = libc.function(
        "notify_is_valid_token",
        fn (i32) callconv(.c) bool,
    ).?;
    const xpc_date_create_from_current = libc.function(
        "xpc_date_create_from_current",
        fn () callconv(.c) ?*anyopaque,
    ).?;
    _ = notify_is_valid_token(0);
    _ = xpc_date_create_from_current();
}
