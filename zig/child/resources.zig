//! /in the child process/: what a program may have of the machine: processors, their time, I/O, memory.
//!
//! What needs rights that a new user namespace takes away is a function `…For(pid, …)`: it serves the child itself, with pid
//! 0, and the parent that does it for the child.

const steps = @import("../abi/steps.zig");
const linux = @import("../os/linux.zig");
const proc = @import("proc.zig");

/// A mask shorter than the kernel's has zeros after it, and of a longer one it looks at as much as it has processors.
pub fn affinity(wanted: *const steps.Affinity) i32 {
    const mask = wanted.mask.slice();
    return linux.result(.sched_setaffinity, .{ 0, mask.len, mask.ptr });
}

pub fn schedulerFor(pid: i32, wanted: *const steps.Scheduler) i32 {
    // struct sched_param.
    const priority: i32 = wanted.priority;
    return linux.result(.sched_setscheduler, .{ pid, wanted.policy, &priority });
}

pub fn ioPriorityFor(pid: i32, wanted: *const steps.IoPriority) i32 {
    const IOPRIO_WHO_PROCESS = 1;
    return linux.result(.ioprio_set, .{ IOPRIO_WHO_PROCESS, pid, wanted.value });
}

pub fn timerSlack(wanted: *const steps.TimerSlack) i32 {
    const PR_SET_TIMERSLACK = 29;
    return linux.result(.prctl, .{ PR_SET_TIMERSLACK, wanted.nanoseconds, 0, 0, 0 });
}

/// The policy is the process's own, whoever has its memory; the program keeps it.
pub fn memoryPolicy(wanted: *const steps.MemoryPolicy) i32 {
    const nodes = wanted.nodes.slice();
    if (nodes.len == 0) return linux.result(.set_mempolicy, .{ wanted.mode, null, 0 });
    // The kernel takes one bit less than it is told of (mm/mempolicy.c, get_nodes).
    return linux.result(.set_mempolicy, .{ wanted.mode, nodes.ptr, nodes.len * 8 + 1 });
}

pub fn oomScoreAdjFor(pid: i32, wanted: *const steps.OomScoreAdj) i32 {
    return proc.writeNumber(pid, "oom_score_adj", wanted.value);
}

pub fn coredumpFilter(wanted: *const steps.CoredumpFilter) i32 {
    return proc.writeNumber(0, "coredump_filter", @bitCast(wanted.mask));
}

/// Answers what it was.
pub fn personality(wanted: *const steps.Personality) i32 {
    return @min(0, linux.result(.personality, .{wanted.persona}));
}
