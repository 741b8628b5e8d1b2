//! /in the child process/: namespaces that are joined, and what a new user namespace wants written.

const abi = @import("../abi/abi.zig");
const clone = @import("../parent/clone.zig");
const linux = @import("../os/linux.zig");
const plans = @import("plan.zig");
const proc = @import("proc.zig");
const Plan = plans.Plan;

/// By the descriptor of a namespace, or a pidfd (Linux 5.8). One of processes is for those that this one makes from then on:
/// see `succeed`.
pub fn join(plan: *Plan, wanted: *const abi.steps.Setns) i32 {
    const NS_GET_NSTYPE = 0xb703;
    const CLONE_NEWPID = 0x2000_0000;
    const fd = wanted.namespace.number;
    const kind = if (wanted.kind != 0) wanted.kind else @max(0, linux.result(.ioctl, .{ fd, NS_GET_NSTYPE, 0 }));
    if (kind & CLONE_NEWPID != 0) plan.joins_processes = true;
    return linux.result(.setns, .{ fd, wanted.kind });
}

/// Before the groups' map, which nobody without privileges may write while setgroups is allowed (user_namespaces(7)).
pub fn setgroupsPolicy(wanted: *const abi.steps.SetgroupsPolicy) i32 {
    const answer = proc.write(0, "setgroups", if (wanted.allow != 0) "allow" else "deny");
    // Linux < 3.19 has no such file, and needs none.
    return if (answer == linux.negative(.NOENT)) 0 else answer;
}

/// Makes a second child, by `entry`, which has joined the namespace of processes for good and goes on in this one's place: a
/// process never changes its own. It is a child of our parent's too (CLONE_PARENT), which reaps both, and runs in our memory
/// while we stand still. The kernel writes its number where the parent finds it, should we be killed meanwhile; and clears a
/// word when it has left, which is what the parent waits for then.
pub fn succeed(plan: *Plan, entry: clone.Entry) i32 {
    const flags = clone.VM | clone.VFORK | clone.PARENT | clone.PARENT_SETTID | clone.CHILD_CLEARTID;
    const number: *i32 = @volatileCast(&plan.report.successor);
    const pid = clone.clone(flags | linux.SIGCHLD, plan.successor_stack, number, &plan.successor_tid, entry, plan);
    return @truncate(@min(pid, 0));
}
