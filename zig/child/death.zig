//! /in the child process/: its own death where it is not to be, and that of its parent.

const decimal = @import("../os/decimal.zig");
const linux = @import("../os/linux.zig");
const plans = @import("plan.zig");
const Plan = plans.Plan;

const PR_SET_PDEATHSIG = 1;

/// Never seen by anyone but a wait that races the report: the parent reaps a failed child itself.
pub const exit_failed = 253;

/// By another call where a filter of the child's own refuses the first, and by a trap where it refuses both.
pub fn exit() noreturn {
    _ = linux.call(.exit_group, .{exit_failed});
    _ = linux.call(.exit, .{exit_failed});
    @trap();
}

/// The parent may have died before the signal was set, and would then never send it.
pub fn setSignal(plan: *const Plan, signal: u32) i32 {
    const answer = linux.result(.prctl, .{ PR_SET_PDEATHSIG, signal, 0, 0, 0 });
    if (answer < 0) return answer;
    const is_late = parentIsDead(plan);
    closeProc(plan);
    if (!is_late) return 0;
    const self = linux.result(.getpid, .{});
    // The init of a pid namespace is spared by the default action of every signal.
    if (self == 1) exit();
    // Blocked until shortly before exec, and acting there.
    return linux.result(.kill, .{ self, signal });
}

/// A parent that is killed while the child waits for it must not leave it waiting for ever.
pub fn awaitParent(plan: *const Plan) i32 {
    const answer = linux.result(.prctl, .{ PR_SET_PDEATHSIG, linux.SIGKILL, 0, 0, 0 });
    if (answer < 0) return answer;
    if (parentIsDead(plan)) exit();
    if (!plan.has_pdeathsig) closeProc(plan);
    const gate: *u32 = @volatileCast(&plan.report.gate);
    while (@atomicLoad(u32, gate, .acquire) == 0) {
        _ = linux.call(.futex, .{ gate, linux.FUTEX_WAIT, 0, null, null, 0 });
    }
    return linux.result(.prctl, .{ PR_SET_PDEATHSIG, 0, 0, 0, 0 });
}

/// By the parent that the kernel has given us since, if it has. The old one's pidfd would not do: it
/// becomes readable with the last of its threads, long after our own thread sent what signals it had to
/// send (kernel/exit.c, forget_original_parent; 4 ms were seen with 16 threads).
fn parentIsDead(plan: *const Plan) bool {
    const parent = linux.result(.getppid, .{});
    if (parent != 0) return parent != plan.parent_pid;
    const seen = parentInProc(plan.proc) orelse return false;
    return seen != plan.parent_in_proc;
}

/// As soon as it has served: a chdir to /proc/self/fd/N would lead out of a chroot by it (CVE-2024-21626).
fn closeProc(plan: *const Plan) void {
    if (plan.proc >= 0) linux.close(plan.proc);
}

/// From outside, what another pid namespace hides.
fn parentInProc(proc: i32) ?i32 {
    if (proc < 0) return null;
    const fd = linux.result(.openat, .{ proc, "self/stat", linux.O_CLOEXEC, 0 });
    if (fd < 0) return null;
    defer linux.close(fd);
    // "7 (comm) S 1 7 ...": the comm's 15 bytes may hold anything, and only numbers come after them.
    var text: [64]u8 = @splat(0);
    if (linux.result(.read, .{ fd, &text, text.len }) < 0) return null;
    var offset: usize = text.len;
    while (offset > 0 and text[offset - 1] != ')') offset -= 1;
    return decimal.before(' ', text[@min(offset + " S ".len, text.len)..]);
}
