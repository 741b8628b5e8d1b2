//! /in the child process/: puts the descriptor map in place, the same way for both kinds of child.
//!
//! `calls` is how a child reaches the kernel: `duplicate(fd, above)`, `place(source, target)`,
//! `keep(fd)` and `close(fd)`, each of which answers a number or -errno.

const plans = @import("plan.zig");
const system = @import("../os/system.zig").system;
const Plan = plans.Plan;
const closed = plans.Descriptor.closed;

/// Installs one descriptor of the map. Targets ascend, so the only sources in danger are those below
/// their own target; the first record moves all of these above the last target, with F_DUPFD, which
/// never lands on an open descriptor (Go's dup3 to a guessed number does: go.dev/issue/61751).
pub fn install(calls: anytype, plan: *Plan, target: i32) i32 {
    const all = plan.descriptors;
    var index: usize = 0;
    while (all[index].target != target) index += 1;
    const above = all[all.len - 1].target + 1;
    if (index == 0) {
        const first = plan.report.step;
        for (all, 0..) |*descriptor, later| {
            if (descriptor.source < 0 or descriptor.source >= descriptor.target) continue;
            // A failure now is that record's.
            plan.report.step = first + @as(i32, @intCast(later));
            const moved = calls.duplicate(descriptor.source, above);
            // A closed source waits for its turn.
            if (moved >= 0) {
                descriptor.source = moved;
            } else if (moved != system.negative(.BADF)) {
                return moved;
            } else descriptor.source = closed;
        }
        plan.report.step = first;
    }
    const source = all[index].source;
    if (source == closed) return system.negative(.BADF);
    if (source < 0) {
        const answer = calls.close(target);
        return if (answer == system.negative(.BADF)) 0 else answer;
    }
    // dup3 of a descriptor onto itself is EINVAL, and would keep FD_CLOEXEC (glibc BZ 23640).
    if (source == target) return calls.keep(target);
    return calls.place(source, target);
}
