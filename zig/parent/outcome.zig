//! What comes of a start: how an answer says so, for both ways of making a child.

const abi = @import("../abi/abi.zig");
const linux = @import("../os/linux.zig");
const plans = @import("../child/plan.zig");
const requests = @import("request.zig");
const system = @import("../os/system.zig").system;
const wait = @import("../wait/wait.zig");
const Plan = plans.Plan;

/// There is no plan.
pub fn refuse(answer: *abi.Answer, err: requests.Error) void {
    fail(answer, .request, switch (err) {
        error.Malformed => system.negative(.INVAL),
        error.TooBig => system.negative(.@"2BIG"),
    });
}

pub fn fail(answer: *abi.Answer, stage: abi.Stage, negated: i32) void {
    answer.step = @backingInt(stage);
    answer.errno = -negated;
}

/// What the last attempt was refused for is the cgroup's fault if it was to clone into one, but for what
/// any clone may be refused for.
pub fn failClone(plan: *const Plan, answer: *abi.Answer, negated: i32) void {
    fail(answer, .clone, negated);
    if (!plan.in_cgroup) return;
    if (negated == linux.negative(.AGAIN) or negated == linux.negative(.NOMEM)) return;
    answer.step = indexOf(plan, .cgroup);
}

/// Of the first record of a step.
pub fn indexOf(plan: *const Plan, step: abi.Step) i32 {
    var records: plans.Iterator = .{ .bytes = plan.steps };
    var index: i32 = 0;
    while (records.next()) |record| : (index += 1) {
        if (record.step == step) break;
    }
    return index;
}

/// A step of the parent's that has failed.
pub const ParentFailure = struct { step: i32, answer: i32 };

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
    // It died on the way. glibc and Go call this a start.
    answer.signal = signal;
    // Somebody else reaped it, and nothing tells how it ended.
    if (answer.signal == 0) answer.errno = -system.negative(.CHILD);
}
