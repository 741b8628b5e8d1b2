//! The parent's part while a child starts: its own steps, and the wait for the child's end or its exec.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const child = @import("../child/child.zig");
const ladder = @import("ladder.zig");
const linux = @import("../os/linux.zig");
const outcome = @import("outcome.zig");
const plans = @import("../child/plan.zig");
const proc = @import("../child/proc.zig");
const resources = @import("../child/resources.zig");
const system = @import("../os/system.zig").system;
const wait_linux = @import("../wait/wait_linux.zig");
const ParentFailure = outcome.ParentFailure;
const Plan = plans.Plan;
const fields = abi.steps.fieldsOf;

/// What a child has to know this process by, to notice its death.
pub fn noteSelf(plan: *Plan) void {
    plan.parent_pid = linux.result(.getpid, .{});
    const flags = linux.O_PATH | linux.O_DIRECTORY | linux.O_CLOEXEC;
    const folder = linux.retry(.openat, .{ linux.AT_FDCWD, "/proc", flags, 0 });
    if (folder < 0) return;
    var link: [16]u8 = undefined;
    const length = linux.result(.readlinkat, .{ folder, "self", &link, link.len });
    const text = link[0..@intCast(@max(length, 0))];
    plan.parent_in_proc = std.fmt.parseInt(i32, text, 10) catch return linux.close(folder);
    plan.proc = folder;
}

/// Until the child has executed or has ended: the parent's steps, and the wait where the clone does not do it.
pub fn attend(plan: *Plan, mode: ladder.Mode, pid: i32, pipe: *[2]i32) ?ParentFailure {
    if (mode.deferred) return null;
    if (mode.waits) {
        awaitSuccessor(plan);
        return null;
    }
    const failure = takeSteps(plan, pid);
    // By pid: the child is not reaped before we do it.
    if (failure != null) _ = linux.call(.kill, .{ pid, linux.SIGKILL });
    const gate: *u32 = @volatileCast(&plan.report.gate);
    @atomicStore(u32, gate, 1, .release);
    _ = linux.call(.futex, .{ gate, linux.FUTEX_WAKE, 1, null, null, 0 });
    if (!mode.shares) {
        linux.close(pipe[1]);
        pipe[1] = -1;
        while (!atEnd(pipe[0], if (plan.has_ptrace) 1 else 20)) {
            // The second child, where there is one by now.
            const last = if (plan.report.successor > 0) plan.report.successor else pid;
            if (plan.has_ptrace) attendTracee(plan, last, pipe[0]);
            // A fork of somebody else's, at the wrong moment, holds the pipe for as long as it likes.
            if (hasLeft(plan, last)) break;
        }
        return failure;
    }
    while (true) {
        if (plan.has_ptrace) attendTracee(plan, pid, -1);
        const tid = @atomicLoad(u32, &plan.child_tid, .acquire);
        if (tid == 0 or wait_linux.waitCleared(&plan.child_tid, tid, pid)) return failure;
    }
}

/// A first child that was killed may have left the second one in our memory. With a copy of it the pipe tells.
fn awaitSuccessor(plan: *Plan) void {
    const pid = plan.report.successor;
    if (pid <= 0) return;
    while (true) {
        const tid = @atomicLoad(u32, &plan.successor_tid, .acquire);
        if (tid == 0 or wait_linux.waitCleared(&plan.successor_tid, tid, pid)) return;
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

/// What only somebody outside may do: the id maps of a child in a new user namespace, and what wants the rights that it has
/// no more.
fn takeSteps(plan: *const Plan, pid: i32) ?ParentFailure {
    var records: plans.Iterator = .{ .bytes = plan.steps };
    var index: i32 = 0;
    while (records.next()) |record| : (index += 1) {
        const payload = record.payload;
        // What wants the rights that the child has no more.
        const is_outside = index >= plan.outside_from;
        const answer = switch (record.step) {
            .uid_map => proc.write(pid, "uid_map", fields(.uid_map, payload).text.slice()),
            .gid_map => proc.write(pid, "gid_map", fields(.gid_map, payload).text.slice()),
            .setgroups_policy => blk: {
                const allow = fields(.setgroups_policy, payload).allow != 0;
                const written = proc.write(pid, "setgroups", if (allow) "allow" else "deny");
                // Linux < 3.19 has no setgroups file, and needs none.
                break :blk if (written == linux.negative(.NOENT)) 0 else written;
            },
            .scheduler => if (is_outside) resources.schedulerFor(pid, fields(.scheduler, payload)) else 0,
            .io_priority => if (is_outside) resources.ioPriorityFor(pid, fields(.io_priority, payload)) else 0,
            .oom_score_adj => if (is_outside) resources.oomScoreAdjFor(pid, fields(.oom_score_adj, payload)) else 0,
            .nice => if (is_outside) linux.result(.setpriority, .{ PRIO_PROCESS, pid, fields(.nice, payload).value }) else 0,
            .rlimit => if (is_outside) setLimit(pid, fields(.rlimit, payload)) else 0,
            .rlimit_nofile => if (is_outside) raiseLimit(pid, fields(.rlimit_nofile, payload)) else 0,
            else => 0,
        };
        if (answer < 0) return .{ .step = index, .answer = answer };
    }
    return null;
}

const PRIO_PROCESS = 0;

fn setLimit(pid: i32, wanted: *const abi.steps.Rlimit) i32 {
    const limits: [2]u64 = .{ wanted.soft, wanted.hard };
    return linux.result(.prlimit64, .{ pid, wanted.resource, &limits, null });
}

/// Only the hard limit, and only up: the child's descriptors are to be put in place below the soft one yet.
fn raiseLimit(pid: i32, wanted: *const abi.steps.Rlimit) i32 {
    var limits: [2]u64 = .{ 0, 0 };
    const asked = linux.result(.prlimit64, .{ pid, wanted.resource, null, &limits });
    if (asked < 0 or wanted.hard <= limits[1]) return asked;
    limits[1] = wanted.hard;
    return linux.result(.prlimit64, .{ pid, wanted.resource, &limits, null });
}
