//! The descriptors of a start before there is a child: what they stand for, and where they lie.

const options = @import("options");
const abi = @import("../abi/abi.zig");
const nowait = @import("../files/nowait.zig");
const outcome = @import("outcome.zig");
const plans = @import("../child/plan.zig");
const stdio = @import("../files/stdio.zig");
const system = @import("../os/system.zig").system;
const window = @import("window.zig");
const Plan = plans.Plan;

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
                answer.step = outcome.indexOf(plan, .fd) + @as(i32, @intCast(index));
                answer.errno = -opened;
                return error.Refused;
            }
            device = opened;
        }
        each.source = device;
    }
    return opened;
}

/// Makes the descriptors fit for the child, and notes which of them are not open: the start is about to open some of its
/// own, the child's pidfd first of all, and they come to lie at the lowest numbers that are free.
pub fn lend(plan: *Plan) void {
    for (plan.descriptors) |*each| {
        if (each.source < 0) continue;
        const how: abi.Lend = if (each.target <= stdio.last) .always else .unless_socket;
        if (nowait.lend(each.source, how) == system.negative(.BADF)) each.source = plans.Descriptor.closed;
    }
    for (plan.borrowed) |fd| if (!isOpen(fd.*)) {
        fd.* = -1;
    };
}

fn isOpen(fd: i32) bool {
    return system.fcntl(fd, system.F_GETFD, 0) >= 0;
}

/// Decides whether the child may drop the upper part of the descriptor table unseen, and makes what
/// it needs lie in the lower part.
pub fn useWindow(plan: *Plan, lease: *window.Lease) void {
    if (plan.close_from < 0 or plan.paths_use_descriptors) return;
    if (plan.lacks(.close_range) or plan.lacks(.window)) return;
    const boundary = window.boundary();
    // Descriptors to keep beyond the boundary would not be there to be kept.
    if (plan.close_from > boundary) return;
    // Slots that were had before they ran out serve all the same: the child gets the whole table then.
    if (leaseAll(plan, lease, boundary)) plan.unshare_from = boundary;
}

/// False: no slot was left.
fn leaseAll(plan: *Plan, lease: *window.Lease, boundary: u32) bool {
    for (plan.descriptors) |*each| if (!leaseOne(&each.source, lease, boundary)) return false;
    for (plan.borrowed) |fd| if (!leaseOne(fd, lease, boundary)) return false;
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
