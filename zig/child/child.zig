//! /in the child process/: everything between clone and execve, and nothing else.
//!
//! The contract, which every line here keeps:
//! - Raw system calls on memory that was prepared before the clone. No allocation, no lock taken,
//!   no libc, no std function that may panic or log, no thread-local. The child usually shares the
//!   parent's whole memory, whose thread is suspended or goes on meanwhile: whatever it writes, the
//!   parent will find, and what it reads, nobody else may write.
//! - It never returns. It ends in execve, or in exit with the failure in the report.
//! - All 64 signals are blocked from before the clone until the step before exec, so that no
//!   handler of the host runs here and no key at a terminal halts a half-made child (go.dev/issue/18600).
//!   SIGSTOP cannot be blocked: see SECURITY.md.
//! - No other file runs in the child, but for the system call itself (`linux.zig`), the walk over
//!   the records (`plan.zig`) and the descriptor map (`descriptors.zig`).
//!
//! A step is one row in `abi.zig`'s table and one case below; the reason for its place is here.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const descriptors = @import("descriptors.zig");
const linux = @import("../os/linux.zig");
const plans = @import("plan.zig");
const Plan = plans.Plan;

/// Never seen by anyone but a wait that races the report: the parent reaps a failed child itself.
pub const exit_failed = 253;

/// How often, and with which first pause, an exec is tried that meets a file open for writing. Some
/// sibling between clone and exec holds the descriptor, so the wait is short (go.dev/issue/22315);
/// pauses double: 63 ms in all.
const text_busy_tries = 7;
const text_busy_pause_ns = 500_000;

pub fn main(context: *anyopaque) callconv(.c) noreturn {
    const plan: *Plan = @ptrCast(@alignCast(context));
    const report = plan.report;
    var error_number: i32 = 0;
    // Before anything else, as until then the descriptor table is the parent's own.
    if (plan.unshare_from != 0) {
        error_number = linux.result(.close_range, .{
            plan.unshare_from,
            std.math.maxInt(u32),
            linux.CLOSE_RANGE_UNSHARE,
        });
    }
    if (error_number >= 0) error_number = enter(plan);
    var records: plans.Iterator = .{ .bytes = plan.steps };
    var index: i32 = 0;
    while (error_number >= 0) : (index += 1) {
        const record = records.next() orelse unreachable;
        report.step = index;
        error_number = run(plan, record.step, record.payload);
        if (error_number < 0) break;
    }
    report.errno = -error_number;
    report.state = .failed;
    exit();
}

fn exit() noreturn {
    while (true) _ = linux.call(.exit_group, .{exit_failed});
}

/// What a start of a special kind needs before the steps.
fn enter(plan: *Plan) i32 {
    if (plan.exec_pipe >= 0) {
        // Out of the way of every target; closing the rest goes around it.
        const all = plan.descriptors;
        const above = if (all.len == 0) 3 else all[all.len - 1].target + 1;
        // What execve is known by where somebody else holds the pipe: it gives another name.
        _ = linux.call(.prctl, .{ PR_SET_NAME, name_before_exec });
        const moved = linux.result(.fcntl, .{ plan.exec_pipe, linux.F_DUPFD_CLOEXEC, above });
        if (moved < 0) return moved;
        plan.exec_pipe = moved;
    }
    if (!plan.has_parent_steps) return 0;
    // A parent that is killed now must not leave a child waiting for ever.
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

const PR_SET_PDEATHSIG = 1;
const PR_SET_NAME = 15;
/// Of a child in `fork` mode. At most 15 characters.
pub const name_before_exec = "osexec: starts";
const PR_SET_KEEPCAPS = 8;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2;

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
    return decimal(text[@min(offset + " S ".len, text.len)..], ' ');
}

/// Tells the parent, by a word that only shared memory carries over, that CLONE_VM is one: under
/// qemu-user and WSL1 vfork is a fork.
pub fn probe(context: *anyopaque) callconv(.c) noreturn {
    const word: *volatile u32 = @ptrCast(@alignCast(context));
    word.* = 1;
    exit();
}

fn run(plan: *Plan, step: abi.Step, payload: []align(8) const u8) i32 {
    const words: [*]align(8) const u32 = @ptrCast(payload.ptr);
    return switch (step) {
        // First, while everything is blocked: from the unmasking on, no handler may be left whose
        // code the new image will not have.
        .sigaction => resetHandlers(plan),
        // Before any namespace that its cgroup's path would be seen from.
        .cgroup => if (plan.in_cgroup) 0 else joinCgroup(words[0]),
        // The parent's, taken while we waited in `enter`.
        .uid_map, .setgroups_policy, .gid_map => 0,
        // Before all that may need the capabilities which a new user namespace gives.
        .unshare => linux.result(.unshare, .{words[0]}),
        // "deny" before gid_map: the kernel refuses an unprivileged map until setgroups is gone
        // (CVE-2014-8989). The kernel has the file since 3.19.
        .self_setgroups_policy => blk: {
            const policy: []const u8 = if (words[0] != 0) "allow" else "deny";
            const answer = writeFile("/proc/self/setgroups", policy);
            break :blk if (answer == linux.negative(.NOENT)) 0 else answer;
        },
        .self_gid_map => writeFile("/proc/self/gid_map", payload[0 .. payload.len - 1]),
        .self_uid_map => writeFile("/proc/self/uid_map", payload[0 .. payload.len - 1]),
        // Or else every mount of the child would show outside (go.dev/issue/19661).
        .mount_private => linux.result(.mount, .{ "none", "/", null, MS_REC | MS_PRIVATE, null }),
        // The session before the group: setpgid would make a group leader, whom setsid refuses.
        .setsid => linux.result(.setsid, .{}),
        .setpgid => linux.result(.setpgid, .{ 0, words[0] }),
        // After the group is there to be put in front, and with SIGTTOU blocked: the terminal sends
        // it to a background process that does this.
        .foreground => foreground(words[0], words[1]),
        // With the privileges still there, and before chdir, which is meant inside the new root.
        // "/" first: a working directory outside the new root is the way out of it.
        .chroot => chroot(payload),
        // What root may raise and the new user may not: all before the credentials.
        // In a new user namespace nobody may: there the parent has done it, but for the soft NOFILE limit.
        .nice => if (plan.limits_by_parent)
            0
        else
            linux.result(.setpriority, .{ 0, 0, @as(i32, @bitCast(words[0])) }),
        .rlimit => if (plan.limits_by_parent) 0 else setLimit(words),
        .rlimit_nofile => setLimit(words),
        .umask => @min(0, linux.result(.umask, .{words[0]})),
        // Or setuid would drop the permitted set that the ambient one is raised from.
        .keep_capabilities => linux.result(.prctl, .{ PR_SET_KEEPCAPS, 1, 0, 0, 0 }),
        // Groups, group, user: each takes away the right to do the one before it.
        .setgroups => linux.result(.setgroups, .{ payload.len / 4, words }),
        .setgid => hide(plan, .setgid, words[0]),
        .setuid => hide(plan, .setuid, words[0]),
        // After setuid, which clears the ambient set even with KEEPCAPS.
        .capabilities => raiseCapabilities(.{ words[0], words[1] }),
        // After the credentials: changing those clears it (go.dev/issue/9686).
        .pdeathsig => setDeathSignal(plan, words[0]),
        // As the new user, as in Go: whether the directory may be entered is theirs to answer.
        .chdir => linux.result(.chdir, .{payload.ptr}),
        .no_new_privs => linux.result(.prctl, .{ PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0 }),
        // After every step that may use one of the parent's descriptors.
        .fd => descriptors.install(Calls{}, plan, @bitCast(words[1])),
        .close_range => closeFrom(plan, words[0]),
        // With the descriptors that it tells of; the number is the child's for good from the clone on.
        .listen_fds => writeNumber(plan, linux.result(.getpid, .{})),
        // The child's own descriptors are in place: 0 here and the number in setctty mean those.
        .noctty => linux.result(.ioctl, .{ 0, TIOCNOTTY, 0 }),
        .setctty => linux.result(.ioctl, .{ words[0], TIOCSCTTY, 1 }),
        // Last of all that stops the tracer, so that it never traces our own steps
        // (go.dev/issue/21428).
        .ptrace => linux.result(.ptrace, .{ 0, 0, 0, 0 }),
        // One call before exec: pending stop and kill signals act from here on.
        .sigprocmask => blk: {
            const none: u64 = 0;
            break :blk linux.result(.rt_sigprocmask, .{ linux.SIG_SETMASK, &none, null, 8 });
        },
        .exec => exec(plan),
    };
}

/// Into the environment's room for it, which ends in a NUL: as itself in its pid namespace.
pub fn writeNumber(plan: *const Plan, pid: i32) i32 {
    if (pid < 0) return pid;
    const place = plan.listen_pid orelse return linux.negative(.INVAL);
    place[writeDecimal(place, @intCast(pid))] = 0;
    return 0;
}

/// Answers how many digits there are, ten at most.
pub fn writeDecimal(place: [*]u8, value: u32) usize {
    var count: usize = 1;
    var rest = value;
    while (rest >= 10) : (rest /= 10) count += 1;
    rest = value;
    var index = count;
    while (index > 0) : (rest /= 10) {
        index -= 1;
        place[index] = '0' + @as(u8, @intCast(rest % 10));
    }
    return count;
}

const MS_REC = 0x4000;
const MS_PRIVATE = 1 << 18;
const TIOCSPGRP = 0x5410;
const TIOCSCTTY = 0x540e;
const TIOCNOTTY = 0x5422;

/// Where clone3 could not do it. Slower by far: the kernel stops every fork of the machine for it.
fn joinCgroup(directory: u32) i32 {
    const fd = linux.result(.openat, .{ directory, "cgroup.procs", O_WRONLY | linux.O_CLOEXEC, 0 });
    if (fd < 0) return fd;
    const answer = linux.result(.write, .{ fd, "0", 1 });
    linux.close(fd);
    return @min(answer, 0);
}

const O_WRONLY = 1;

/// In one write, as a map's file wants it.
fn writeFile(path: [*:0]const u8, text: []const u8) i32 {
    const fd = linux.result(.openat, .{ linux.AT_FDCWD, path, O_WRONLY | linux.O_CLOEXEC, 0 });
    if (fd < 0) return fd;
    const answer = linux.result(.write, .{ fd, text.ptr, text.len });
    linux.close(fd);
    return @min(answer, 0);
}

fn foreground(terminal: u32, group: u32) i32 {
    var leader: i32 = if (group != 0) @bitCast(group) else linux.result(.getpid, .{});
    return linux.result(.ioctl, .{ terminal, TIOCSPGRP, &leader });
}

/// The resource, and the limits' words: soft lower, soft upper, hard lower, hard upper.
fn setLimit(words: [*]align(8) const u32) i32 {
    const limits = limitsOf(words);
    return linux.result(.prlimit64, .{ 0, words[0], &limits, null });
}

/// Soft and hard.
pub fn limitsOf(words: [*]align(8) const u32) [2]u64 {
    return .{
        @as(u64, words[2]) << 32 | words[1],
        @as(u64, words[4]) << 32 | words[3],
    };
}

/// Changes an id, and shows the copy of the parent's memory to nobody from then on: with fs.suid_dumpable 1 the kernel lets
/// the new user read it. execve ends that.
fn hide(plan: *const Plan, comptime number: linux.Number, id: u32) i32 {
    const PR_SET_DUMPABLE = 4;
    const answer = linux.result(number, .{id});
    if (plan.hides and answer >= 0) return linux.result(.prctl, .{ PR_SET_DUMPABLE, 0, 0, 0, 0 });
    return answer;
}

/// Into the permitted, inheritable and ambient sets: the last is what outlives exec.
fn raiseCapabilities(wanted: [2]u32) i32 {
    const version_3 = 0x20080522;
    const Header = extern struct { version: u32, pid: i32 };
    const Set = extern struct { effective: u32, permitted: u32, inheritable: u32 };
    var header: Header = .{ .version = version_3, .pid = 0 };
    var sets: [2]Set = undefined;
    var answer = linux.result(.capget, .{ &header, &sets });
    if (answer < 0) return answer;
    for (&sets, wanted) |*set, bits| {
        set.permitted |= bits;
        set.inheritable |= bits;
    }
    answer = linux.result(.capset, .{ &header, &sets });
    if (answer < 0) return answer;
    for (0..64) |capability| {
        const bit = @as(u32, 1) << @truncate(capability % 32);
        if (wanted[capability / 32] & bit == 0) continue;
        answer = linux.result(.prctl, .{ PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0 });
        if (answer < 0) return answer;
    }
    return 0;
}

/// The parent may have died before the signal was set, and would then never send it.
fn setDeathSignal(plan: *const Plan, signal: u32) i32 {
    const answer = linux.result(.prctl, .{ PR_SET_PDEATHSIG, signal, 0, 0, 0 });
    if (answer < 0) return answer;
    const is_late = parentIsDead(plan);
    closeProc(plan);
    if (!is_late) return 0;
    const self = linux.result(.getpid, .{});
    // The init of a pid namespace is spared by the default action of every signal.
    if (self == 1) exit();
    // Blocked until the step before exec, and acting there.
    return linux.result(.kill, .{ self, signal });
}

/// The runtimes ignore SIGPIPE and SIGXFSZ, and glibc's posix_spawn leaves 32 and 33 ignored in who
/// it starts; the child gets those four at their defaults. What else is ignored stays so (nohup).
fn resetHandlers(plan: *const Plan) i32 {
    const default: linux.KernelSigaction = .{};
    if (!plan.handlers_cleared) {
        var number: u32 = 1;
        while (number <= 64) : (number += 1) {
            var current: linux.KernelSigaction = .{};
            _ = linux.call(.rt_sigaction, .{ number, null, &current, 8 });
            // 0 is SIG_DFL and 1 is SIG_IGN: both survive exec as they are.
            if (current.handler <= 1) continue;
            _ = linux.call(.rt_sigaction, .{ number, &default, null, 8 });
        }
    }
    for ([_]u32{ linux.SIGPIPE, linux.SIGXFSZ, 32, 33 }) |number| {
        const answer = linux.result(.rt_sigaction, .{ number, &default, null, 8 });
        if (answer < 0) return answer;
    }
    return 0;
}

fn chroot(path: []const u8) i32 {
    const answer = linux.result(.chroot, .{path.ptr});
    if (answer < 0) return answer;
    return linux.result(.chdir, .{"/"});
}

/// How `descriptors.zig` reaches the kernel from here.
const Calls = struct {
    pub fn duplicate(_: Calls, fd: i32, above: i32) i32 {
        return linux.result(.fcntl, .{ fd, linux.F_DUPFD_CLOEXEC, above });
    }

    pub fn place(_: Calls, source: i32, target: i32) i32 {
        return linux.result(.dup3, .{ source, target, 0 });
    }

    pub fn keep(_: Calls, fd: i32) i32 {
        return linux.result(.fcntl, .{ fd, linux.F_SETFD, 0 });
    }

    pub fn close(_: Calls, fd: i32) i32 {
        return linux.result(.close, .{fd});
    }
};

/// Closes, and does not merely mark: a path such as /proc/self/fd/7 must not reach, before exec,
/// what the child was not given (CVE-2024-21626).
fn closeFrom(plan: *const Plan, first: u32) i32 {
    const last = std.math.maxInt(u32);
    const kept = plan.exec_pipe;
    if (!plan.has_close_range) return closeListed(first, kept);
    if (kept < 0) return linux.result(.close_range, .{ first, last, 0 });
    if (kept > first) {
        const answer = linux.result(.close_range, .{ first, kept - 1, 0 });
        if (answer < 0) return answer;
    }
    return linux.result(.close_range, .{ kept + 1, last, 0 });
}

/// /proc/self/fd, or -1. Not before the root has changed, though it may not be there then: a chdir to /proc/self/fd/N
/// would lead out of a chroot by it (CVE-2024-21626). Another directory of that name would say, if it is empty, that there
/// is nothing to close.
fn openListing() i32 {
    const directory = linux.result(.openat, .{
        linux.AT_FDCWD,
        "/proc/self/fd",
        linux.O_DIRECTORY | linux.O_CLOEXEC,
        0,
    });
    if (directory < 0 or linux.isProc(directory)) return directory;
    linux.close(directory);
    return -1;
}

/// Without close_range (Linux < 5.9): read /proc/self/fd and close what is there, but for `kept`. The
/// listing is read again until nothing is left, as closing while reading may skip entries.
pub fn closeListed(first: u32, kept: i32) i32 {
    const directory = openListing();
    if (directory < 0) return closeAll(first, kept);
    while (true) {
        var closed_some = false;
        _ = linux.call(.lseek, .{ directory, 0, 0 });
        while (true) {
            var buffer: [1024]u8 align(8) = undefined;
            const length = linux.result(.getdents64, .{ directory, &buffer, buffer.len });
            if (length < 0) return length;
            if (length == 0) break;
            var offset: usize = 0;
            while (offset < @as(usize, @intCast(length))) {
                // struct linux_dirent64: ino, off, reclen, type, name.
                const record_length = std.mem.readInt(u16, buffer[offset + 16 ..][0..2], .little);
                const fd = decimal(buffer[offset + 19 ..], 0) orelse {
                    offset += record_length;
                    continue;
                };
                offset += record_length;
                if (fd < first or fd == directory or fd == kept) continue;
                linux.close(fd);
                closed_some = true;
            }
        }
        if (!closed_some) break;
    }
    // Close-on-exec would do; unless it stands where nothing may.
    linux.close(directory);
    return 0;
}

/// The last resort, without /proc: every number there can be. Below a limit that was lowered since there may be
/// higher ones.
fn closeAll(first: u32, kept: i32) i32 {
    var limit: [2]u64 = .{ 1024, 1024 };
    const RLIMIT_NOFILE = 7;
    _ = linux.call(.prlimit64, .{ 0, RLIMIT_NOFILE, null, &limit });
    var fd: u64 = first;
    while (fd < std.math.clamp(limit[1], 1 << 16, 1 << 20)) : (fd += 1) {
        if (fd != kept) _ = linux.call(.close, .{fd});
    }
    return 0;
}

fn decimal(text: []const u8, end: u8) ?i32 {
    var value: i32 = 0;
    for (text, 0..) |byte, index| {
        if (byte == end) return if (index == 0) null else value;
        if (byte < '0' or byte > '9') return null;
        value = value *% 10 +% (byte - '0');
    }
    return null;
}

/// Returns only when it failed.
fn exec(plan: *const Plan) i32 {
    var pause: linux.Timespec = .{ .sec = 0, .nsec = text_busy_pause_ns };
    var tries: u32 = 0;
    while (true) : (tries += 1) {
        plan.report.state = .execing;
        const answer = linux.result(.execve, .{ plan.path, plan.argv, plan.envp });
        plan.report.state = .started;
        if (answer != linux.negative(.TXTBSY) or tries == text_busy_tries) return answer;
        _ = linux.call(.nanosleep, .{ &pause, null });
        pause.nsec *%= 2;
    }
}

test "issue 15, 6: a directory that is only called /proc/self/fd is no list of descriptors" {
    if (linux.result(.geteuid, .{}) != 0) return error.SkipZigTest;
    var buffer: [64]u8 = undefined;
    const root = try std.fmt.bufPrintSentinel(&buffer, "/tmp/osexec-proc-{d}", .{linux.result(.getpid, .{})}, 0);
    var paths: [3][96]u8 = undefined;
    for ([_][]const u8{ "", "/proc", "/proc/self", "/proc/self/fd" }, 0..) |below, index| {
        const path = if (index == 0) root else try std.fmt.bufPrintSentinel(&paths[index - 1], "{s}{s}", .{ root, below }, 0);
        try std.testing.expectEqual(0, linux.result(.mkdirat, .{ linux.AT_FDCWD, path.ptr, 0o755 }));
    }
    defer {
        var index: usize = paths.len;
        const AT_REMOVEDIR = 0x200;
        while (index > 0) : (index -= 1) _ = linux.call(.unlinkat, .{ linux.AT_FDCWD, @as([*]u8, &paths[index - 1]), AT_REMOVEDIR });
        _ = linux.call(.unlinkat, .{ linux.AT_FDCWD, root.ptr, AT_REMOVEDIR });
    }
    const true_one = openListing();
    try std.testing.expect(true_one >= 0);
    linux.close(true_one);
    const pid = std.c.fork();
    if (pid == 0) {
        _ = linux.call(.chroot, .{root.ptr});
        _ = linux.call(.exit_group, .{@as(i32, if (openListing() < 0) 0 else 1)});
    }
    var status: i32 = -1;
    _ = linux.retry(.wait4, .{ pid, &status, 0, null });
    try std.testing.expectEqual(0, status);
}
