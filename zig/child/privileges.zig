//! /in the child process/: what a program may do that others may not, and what it never will again.

const steps = @import("../abi/steps.zig");
const linux = @import("../os/linux.zig");

const PR_SET_DUMPABLE = 4;
const PR_SET_KEEPCAPS = 8;
const PR_SET_SECCOMP = 22;
const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
const PR_GET_SECUREBITS = 27;
const PR_SET_SECUREBITS = 28;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2;

const CAP_SETPCAP = 8;

/// The three sets that capset(2) knows, each with a bit for each capability.
const Sets = struct {
    effective: u64,
    permitted: u64,
    inheritable: u64,

    const Header = extern struct { version: u32 = 0x20080522, pid: i32 = 0 };
    const Half = extern struct { effective: u32, permitted: u32, inheritable: u32 };

    fn get(sets: *Sets) i32 {
        var header: Header = .{};
        var halves: [2]Half = undefined;
        const answer = linux.result(.capget, .{ &header, &halves });
        if (answer < 0) return answer;
        sets.* = .{
            .effective = @as(u64, halves[1].effective) << 32 | halves[0].effective,
            .permitted = @as(u64, halves[1].permitted) << 32 | halves[0].permitted,
            .inheritable = @as(u64, halves[1].inheritable) << 32 | halves[0].inheritable,
        };
        return 0;
    }

    fn set(sets: *const Sets) i32 {
        var header: Header = .{};
        var halves: [2]Half = undefined;
        for (&halves, [2]u6{ 0, 32 }) |*half, shift| half.* = .{
            .effective = @truncate(sets.effective >> shift),
            .permitted = @truncate(sets.permitted >> shift),
            .inheritable = @truncate(sets.inheritable >> shift),
        };
        return linux.result(.capset, .{ &header, &halves });
    }
};

/// What is not there need not be dropped: that would take a right which who has nothing to drop may not have.
pub fn boundingSet(wanted: *const steps.BoundingSet) i32 {
    var capability: u32 = 0;
    while (capability < 64) : (capability += 1) {
        const is_there = linux.result(.prctl, .{ PR_CAPBSET_READ, capability, 0, 0, 0 });
        // There are no more of them.
        if (is_there == linux.negative(.INVAL)) return 0;
        if (is_there < 0) return is_there;
        if (is_there == 0 or wanted.kept >> @intCast(capability) & 1 != 0) continue;
        const answer = linux.result(.prctl, .{ PR_CAPBSET_DROP, capability, 0, 0, 0 });
        if (answer < 0) return answer;
    }
    return 0;
}

pub fn keepCapabilities() i32 {
    return linux.result(.prctl, .{ PR_SET_KEEPCAPS, 1, 0, 0, 0 });
}

/// Into the permitted, inheritable and ambient sets: the last is what outlives exec.
pub fn ambientSet(wanted: *const steps.AmbientSet) i32 {
    var sets: Sets = undefined;
    var answer = sets.get();
    if (answer < 0) return answer;
    sets.permitted |= wanted.capabilities;
    sets.inheritable |= wanted.capabilities;
    answer = sets.set();
    if (answer < 0) return answer;
    var capability: u32 = 0;
    while (capability < 64) : (capability += 1) {
        if (wanted.capabilities >> @intCast(capability) & 1 == 0) continue;
        answer = linux.result(.prctl, .{ PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0 });
        if (answer < 0) return answer;
    }
    return 0;
}

/// By CAP_SETPCAP, which setuid has left in the permitted set alone: put into effect for this one call.
pub fn securebits(wanted: *const steps.Securebits) i32 {
    const current = linux.result(.prctl, .{ PR_GET_SECUREBITS, 0, 0, 0, 0 });
    if (current < 0) return current;
    // As they are already: anybody may have that. KEEP_CAPS, which our own step may have set, execve takes away.
    const SECBIT_KEEP_CAPS = 0x10;
    if ((@as(u32, @bitCast(current)) ^ wanted.bits) & ~@as(u32, SECBIT_KEEP_CAPS) == 0) return 0;
    var sets: Sets = undefined;
    const known = sets.get();
    if (known < 0) return known;
    const before = sets;
    sets.effective |= sets.permitted & 1 << CAP_SETPCAP;
    const raised = if (sets.effective == before.effective) 0 else sets.set();
    if (raised < 0) return raised;
    const answer = linux.result(.prctl, .{ PR_SET_SECUREBITS, wanted.bits, 0, 0, 0 });
    if (answer < 0 or sets.effective == before.effective) return answer;
    return before.set();
}

pub fn capabilitySets(wanted: *const steps.CapabilitySets) i32 {
    var sets: Sets = undefined;
    const known = sets.get();
    if (known < 0) return known;
    if (wanted.given & 1 != 0) sets.permitted = wanted.permitted;
    sets.effective = if (wanted.given & 2 != 0) wanted.effective else sets.effective & sets.permitted;
    if (wanted.given & 4 != 0) sets.inheritable = wanted.inheritable;
    return sets.set();
}

/// A session keyring of its own, empty and without a name. Answers its number, which is of no use to us.
pub fn newKeyring() i32 {
    const KEYCTL_JOIN_SESSION_KEYRING = 1;
    return @min(0, linux.result(.keyctl, .{ KEYCTL_JOIN_SESSION_KEYRING, null }));
}

pub fn dumpable(wanted: *const steps.Dumpable) i32 {
    return linux.result(.prctl, .{ PR_SET_DUMPABLE, wanted.value, 0, 0, 0 });
}

pub fn noNewPrivileges() i32 {
    return linux.result(.prctl, .{ PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0 });
}

/// Of our own calls only execve is made under it, and if that fails those of the child's end.
pub fn filter(wanted: *const steps.Seccomp) i32 {
    const instructions = wanted.filter.slice();
    // struct sock_fprog, whose length is 16 bits: the kernel takes 4096 instructions.
    const Program = extern struct { length: u16, instructions: [*]const u8 };
    const size = 8;
    const most = 4096;
    if (instructions.len % size != 0 or instructions.len > most * size) return linux.negative(.INVAL);
    const program: Program = .{ .length = @intCast(instructions.len / size), .instructions = instructions.ptr };
    const SECCOMP_SET_MODE_FILTER = 1;
    const answer = linux.result(.seccomp, .{ SECCOMP_SET_MODE_FILTER, 0, &program });
    if (answer != linux.negative(.NOSYS)) return answer;
    // The older name of the same: Linux has both since 3.17, but what looks like Linux may not.
    const SECCOMP_MODE_FILTER = 2;
    return linux.result(.prctl, .{ PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0 });
}
