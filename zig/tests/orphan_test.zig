//! A child whose parent is killed while it starts it, and the signal that it asked for.
//!
//! The kernel sends that signal when the thread that made the child ends, and gives the child another
//! parent in the same moment; the rest of the old parent's threads may take milliseconds more to end.
//! Here the child asks just then: a fifo holds it back in the step before until it has been given away,
//! and a tracer keeps one thread of its parent's for as long.
//!
//! Held back in the same way: a child that is to be traced, and gets a signal meanwhile.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const death = @import("../child/death.zig");
const options = @import("options");
const testing = @import("testing.zig");
const linux = std.os.linux;

const __WALL = 0x40000000;

/// How the parent ends where the namespace is refused to it.
const not_permitted = 3;
/// And where nothing can be traced: under qemu-user.
const untraceable = 4;

/// A cgroup that is none: who joins it waits until the gate is opened, as opening a fifo to write waits for a reader.
const Gate = struct {
    folder: i32,
    buffer: [64]u8,
    path: [:0]const u8,

    const fifo = "cgroup.procs";

    fn make(gate: *Gate) !void {
        const number = linux.getpid();
        gate.path = try std.fmt.bufPrintSentinel(&gate.buffer, "/tmp/osexec-gate-{d}", .{number}, 0);
        if (linux.errno(linux.mkdir(gate.path, 0o700)) != .SUCCESS) return error.NoFolder;
        errdefer _ = linux.rmdir(gate.path);
        gate.folder = @intCast(linux.open(gate.path, .{ .PATH = true, .CLOEXEC = true }, 0));
        errdefer _ = linux.close(gate.folder);
        const made = linux.mknodat(gate.folder, fifo, linux.S.IFIFO | 0o600, 0);
        if (linux.errno(made) != .SUCCESS) return error.NoFifo;
    }

    fn open(gate: *const Gate) i32 {
        return @intCast(linux.openat(gate.folder, fifo, .{ .NONBLOCK = true, .CLOEXEC = true }, 0));
    }

    fn remove(gate: *const Gate) void {
        _ = linux.unlinkat(gate.folder, fifo, 0);
        _ = linux.close(gate.folder);
        _ = linux.rmdir(gate.path);
    }
};

test "a child whose parent is dying dies too, if it asked to" {
    if (options.child != .raw) return error.SkipZigTest;
    try orphan(0);
}

test "a child in a pid namespace of its own, where getppid(2) is 0, dies with its parent too" {
    if (options.child != .raw) return error.SkipZigTest;
    try orphan(linux.CLONE.NEWPID);
}

fn orphan(flags: u32) !void {
    const made_reaper = linux.prctl(@backingInt(linux.PR.SET_CHILD_SUBREAPER), 1, 0, 0, 0);
    // qemu-user does not know it, and the child would be given to somebody else.
    if (linux.errno(made_reaper) != .SUCCESS) return error.SkipZigTest;
    defer _ = linux.prctl(@backingInt(linux.PR.SET_CHILD_SUBREAPER), 0, 0, 0, 0);
    var gate: Gate = undefined;
    try gate.make();
    defer gate.remove();

    const parent = std.c.fork();
    if (parent < 0) return error.NoFork;
    if (parent == 0) startUnder(gate.folder, flags);
    const child = childOf(parent) orelse return switch (reap(parent)) {
        not_permitted << 8 => error.SkipZigTest,
        else => error.NotStarted,
    };
    const thread = otherThread(parent) orelse return error.NoThread;
    // Where nothing can be traced nothing is held: under qemu-user, and in some sandboxes.
    const traced = linux.errno(linux.ptrace(linux.PTRACE.SEIZE, thread, 0, 0, 0)) == .SUCCESS;
    _ = linux.kill(parent, .KILL);
    while (parentOf(child) == parent) {}
    const opened = gate.open();
    defer _ = linux.close(opened);
    // The init of a pid namespace cannot kill itself.
    const expected = if (flags == 0) 9 else @as(i32, death.exit_failed) << 8;
    const status = reap(child);
    if (traced) _ = reap(thread);
    try std.testing.expectEqual(9, reap(parent));
    try std.testing.expectEqual(expected, status);
    if (!traced) return error.SkipZigTest;
}

test "issue 15, 1: a signal that is pending does not stop a tracee before its exec for good" {
    if (options.child != .raw) return error.SkipZigTest;
    for ([_]u32{ 0, @backingInt(abi.Rung.memory) }) |forced| {
        for ([_]linux.SIG{ .WINCH, .TSTP, .USR1 }) |signal| try startTraced(forced, signal);
    }
}

fn startTraced(forced: u32, signal: linux.SIG) !void {
    var gate: Gate = undefined;
    try gate.make();
    defer gate.remove();

    const parent = std.c.fork();
    if (parent < 0) return error.NoFork;
    if (parent == 0) traceUnder(gate.folder, forced);
    const child = childOf(parent) orelse return error.NotStarted;
    // It waits for a reader of the fifo, with all signals blocked.
    var text: [64]u8 = undefined;
    for (0..1000) |_| {
        var fields = stat(child, &text);
        if (std.mem.eql(u8, fields.next() orelse "", "S")) break;
        testing.sleep(1);
    }
    _ = linux.kill(child, signal);
    const opened = gate.open();
    defer _ = linux.close(opened);
    for (0..5000) |_| {
        var status: i32 = 0;
        const waited = linux.waitpid(parent, &status, linux.W.NOHANG);
        if (waited == 0) {
            testing.sleep(1);
            continue;
        }
        if (status == untraceable << 8) return error.SkipZigTest;
        // USR1 kills it, and that is a start that has failed by a signal.
        return std.testing.expectEqual(@as(i32, if (signal == .USR1) 10 else 0) << 8, status);
    }
    _ = linux.kill(parent, .KILL);
    _ = linux.kill(child, .KILL);
    _ = reap(parent);
    return error.Halted;
}

test "issue 15, 12: a foreign fork that holds the exec pipe holds nobody" {
    const parent = std.c.fork();
    if (parent < 0) return error.NoFork;
    if (parent == 0) startBeside();
    try std.testing.expectEqual(0, reap(parent));
}

/// The parent: another thread forks all the time, and what it forks keeps all descriptors for twenty seconds. It ends with 1
/// if a start waited for that.
fn startBeside() noreturn {
    const Forker = struct {
        var pids: [200]i32 = @splat(0);
        var done: bool = false;

        fn run() void {
            for (&pids) |*pid| {
                pid.* = std.c.fork();
                if (pid.* != 0) continue;
                testing.sleep(20_000);
                linux.exit_group(0);
            }
            @atomicStore(bool, &done, true, .release);
        }
    };
    const thread = std.Thread.spawn(.{}, Forker.run, .{}) catch linux.exit_group(2);
    var longest: i64 = 0;
    while (!@atomicLoad(bool, &Forker.done, .acquire)) {
        var request: testing.Request = .shell("exec sleep 60");
        request.forced = @backingInt(abi.Rung.memory);
        var answer: abi.Answer = undefined;
        const before = milliseconds();
        _ = request.start(&answer);
        longest = @max(longest, milliseconds() - before);
        if (answer.pid > 0) _ = linux.kill(answer.pid, .KILL);
    }
    thread.join();
    for (Forker.pids) |pid| if (pid > 0) {
        _ = linux.kill(pid, .KILL);
    };
    linux.exit_group(if (longest < 5_000) 0 else 1);
}

fn milliseconds() i64 {
    var time: linux.timespec = undefined;
    _ = linux.clock_gettime(.MONOTONIC, &time);
    return time.sec * 1000 + @divTrunc(time.nsec, 1_000_000);
}

/// The parent: it ends with the number of the signal that the start has failed by.
fn traceUnder(folder: i32, forced: u32) noreturn {
    var request: testing.Request = .shell("exit 1");
    request.forced = @backingInt(abi.Rung.into_cgroup) | forced;
    _ = request.step(.cgroup, .{ .directory = .{ .number = folder } }, "");
    _ = request.step(.ptrace, .{}, "");
    var answer: abi.Answer = undefined;
    _ = request.start(&answer);
    if (answer.pid > 0) _ = linux.kill(answer.pid, .KILL);
    if (answer.errno == @backingInt(linux.E.NOSYS)) linux.exit_group(untraceable);
    linux.exit_group(if (answer.pid > 0) 0 else if (answer.signal != 0) answer.signal else 99);
}

/// The parent: it ends in the middle of the start, or because it may not start so.
fn startUnder(folder: i32, flags: u32) noreturn {
    _ = std.Thread.spawn(.{}, testing.sleep, .{-1}) catch linux.exit_group(2);
    var request: testing.Request = .shell("exit 1");
    request.clone_flags = flags;
    // Into a cgroup step by step, as the clone cannot: the fifo's opening for writing waits for a reader.
    request.forced = @backingInt(abi.Rung.into_cgroup);
    _ = request.step(.cgroup, .{ .directory = .{ .number = folder } }, "");
    _ = request.step(.pdeathsig, .{ .signal = 9 }, "");
    var answer: abi.Answer = undefined;
    _ = request.start(&answer);
    linux.exit_group(if (answer.errno == @backingInt(linux.E.PERM)) not_permitted else 1);
}

/// The process that this one is about to start; null: it has ended instead.
fn childOf(parent: i32) ?i32 {
    var path: [64]u8 = undefined;
    const format = "/proc/{d}/task/{d}/children";
    const name = std.fmt.bufPrintSentinel(&path, format, .{ parent, parent }, 0) catch unreachable;
    while (true) {
        var buffer: [64]u8 = undefined;
        const text = read(name, &buffer);
        if (std.mem.findScalar(u8, text, ' ')) |end| {
            return std.fmt.parseInt(i32, text[0..end], 10) catch null;
        }
        var fields = stat(parent, &buffer);
        if (std.mem.eql(u8, fields.next() orelse "Z", "Z")) return null;
    }
}

/// A thread of the process that is not its first.
fn otherThread(pid: i32) ?i32 {
    var path: [64]u8 = undefined;
    // Threads get their ids from the same row as processes.
    for (1..1000) |distance| {
        const thread = pid + @as(i32, @intCast(distance));
        const format = "/proc/{d}/task/{d}/stat";
        const name = std.fmt.bufPrintSentinel(&path, format, .{ pid, thread }, 0) catch unreachable;
        var buffer: [16]u8 = undefined;
        if (read(name, &buffer).len > 0) return thread;
    }
    return null;
}

fn parentOf(pid: i32) i32 {
    var buffer: [64]u8 = undefined;
    var fields = stat(pid, &buffer);
    _ = fields.next();
    return std.fmt.parseInt(i32, fields.next() orelse return -1, 10) catch -1;
}

/// What /proc/PID/stat has behind the program's name: the state first, then the parent.
fn stat(pid: i32, buffer: []u8) std.mem.TokenIterator(u8, .scalar) {
    var path: [64]u8 = undefined;
    const name = std.fmt.bufPrintSentinel(&path, "/proc/{d}/stat", .{pid}, 0) catch unreachable;
    const text = read(name, buffer);
    const end = std.mem.findScalarLast(u8, text, ')') orelse text.len;
    return std.mem.tokenizeScalar(u8, text[@min(end + 1, text.len)..], ' ');
}

fn read(path: [*:0]const u8, buffer: []u8) []const u8 {
    const fd: isize = @bitCast(linux.open(path, .{ .CLOEXEC = true }, 0));
    if (fd < 0) return "";
    defer _ = linux.close(@intCast(fd));
    const length: isize = @bitCast(linux.read(@intCast(fd), buffer.ptr, buffer.len));
    return buffer[0..@intCast(@max(length, 0))];
}

fn reap(pid: i32) i32 {
    var status: i32 = 0;
    while (linux.errno(linux.waitpid(pid, &status, __WALL)) == .INTR) {}
    return status;
}
