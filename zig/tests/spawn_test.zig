//! Starts real processes, through whichever way this build has; `zig build test` builds both.

const std = @import("std");
const builtin = @import("builtin");
const options = @import("options");
const abi = @import("../abi/abi.zig");
const libc = @import("../os/libc.zig");
const spawn = @import("../parent/spawn.zig");
const system = @import("../os/system.zig").system;
const testing = @import("testing.zig");
const waiting = @import("../wait/wait.zig");
const Request = testing.Request;
const expectEqual = std.testing.expectEqual;

const is_linux = builtin.os.tag == .linux;

test "a child starts, ends and is reaped" {
    var request: Request = .shell("exit 3");
    _ = request.step(.sigaction, .{}, "");
    try expectEqual(3 << 8, try request.run());
    var killed: Request = .shell("kill -9 $$");
    _ = killed.step(.sigaction, .{}, "");
    try expectEqual(9, try killed.run());
}

test "what a child cost comes with its end" {
    var request: Request = .shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    var answer: abi.Answer = undefined;
    _ = request.start(&answer);
    try testing.expectStarted(&answer);
    var exit: abi.Exit = undefined;
    // A look leaves the zombie.
    try expectEqual(1, waiting.wait(answer.pid, answer.pidfd, @backingInt(abi.Wait.nowait), &exit));
    try expectEqual(0, exit.status);
    try expectEqual(1, waiting.wait(answer.pid, answer.pidfd, 0, &exit));
    if (answer.pidfd >= 0) system.close(answer.pidfd);
    try std.testing.expect(exit.user_time + exit.system_time > 1);
    try std.testing.expect(exit.max_rss > 100_000 and exit.max_rss < 1e9);
    // By pid: a pidfd would still know how it ended.
    try expectEqual(system.negative(.CHILD), waiting.wait(answer.pid, -1, 0, &exit));
}

test "a start that nobody waits for tells later what came of it" {
    if (options.child != .raw) return error.SkipZigTest;
    const before = testing.openCount();
    var answer: abi.Answer = undefined;
    var outcome: abi.Answer = undefined;
    var request: Request = .shell("exit 3");
    request.options = @backingInt(abi.Option.deferred);
    _ = request.step(.sigaction, .{}, "");
    _ = request.start(&answer);
    try testing.expectStarted(&answer);
    // In some emulators a child shares no memory, and then nothing is put off.
    if (answer.pending >= 0) {
        try expectEqual(0, spawn.settle(answer.pending, answer.pid, &outcome));
        try testing.expectOutcome(&outcome, 0, 0);
        try expectEqual(system.negative(.INVAL), spawn.settle(answer.pending, answer.pid, &outcome));
    }
    try expectEqual(3 << 8, try testing.finish(&answer));

    var nowhere: Request = .shell("exit 0");
    nowhere.options = @backingInt(abi.Option.deferred);
    _ = nowhere.step(.sigaction, .{}, "");
    const chdir = nowhere.step(.chdir, .{ .path = undefined }, "/nonexistent\x00");
    _ = nowhere.start(&answer);
    if (answer.pending < 0) return error.SkipZigTest;
    try expectEqual(0, spawn.settle(answer.pending, answer.pid, &outcome));
    try testing.expectOutcome(&outcome, chdir, system.negative(.NOENT));
    _ = try testing.finish(&answer);
    try expectEqual(before, testing.openCount());
}

test "more starts that nobody asks about than there is memory kept for" {
    if (options.child != .raw) return error.SkipZigTest;
    var answers: [40]abi.Answer = undefined;
    var outcome: abi.Answer = undefined;
    for (&answers) |*answer| {
        var request: Request = .shell("exit 4");
        request.options = @backingInt(abi.Option.deferred);
        _ = request.start(answer);
        try testing.expectStarted(answer);
    }
    for (&answers) |*answer| {
        try expectEqual(4 << 8, try testing.finish(answer));
        if (answer.pending < 0) continue;
        try expectEqual(0, spawn.settle(answer.pending, answer.pid, &outcome));
        try testing.expectOutcome(&outcome, 0, 0);
    }
}

test "a child that runs still is waited for without hanging, and takes signals" {
    var request: Request = .shell("exec sleep 100");
    var answer: abi.Answer = undefined;
    _ = request.start(&answer);
    try testing.expectStarted(&answer);
    var exit: abi.Exit = undefined;
    const nohang = @backingInt(abi.Wait.nohang);
    try expectEqual(0, waiting.wait(answer.pid, answer.pidfd, nohang, &exit));
    try expectEqual(0, waiting.wait(answer.pid, answer.pidfd, nohang | @backingInt(abi.Wait.nowait), &exit));
    try expectEqual(0, waiting.signal(answer.pid, answer.pidfd, 15));
    try expectEqual(15, try testing.finish(&answer));
}

test "a failure names its step, and leaves neither process nor descriptor" {
    const before = testing.openCount();
    var answer: abi.Answer = undefined;
    var nothing: Request = .init("/nonexistent", &.{"nonexistent"});
    const exec = nothing.start(&answer);
    try testing.expectFailed(&answer, exec, system.negative(.NOENT));

    var nowhere: Request = .shell("exit 0");
    _ = nowhere.step(.sigaction, .{}, "");
    const chdir = nowhere.step(.chdir, .{ .path = undefined }, "/nonexistent\x00");
    _ = nowhere.start(&answer);
    try testing.expectFailed(&answer, chdir, system.negative(.NOENT));

    // The leader of a session cannot change its group.
    var leader: Request = .shell("exit 0");
    _ = leader.step(.setsid, .{}, "");
    const setpgid = leader.step(.setpgid, .{ .group = 0 }, "");
    _ = leader.start(&answer);
    try testing.expectFailed(&answer, setpgid, system.negative(.PERM));

    var closed: Request = .shell("exit 0");
    _ = closed.descriptor(1, 1);
    const fd = closed.descriptor(1000, 2);
    _ = closed.start(&answer);
    try testing.expectFailed(&answer, fd, system.negative(.BADF));
    try expectEqual(before, testing.openCount());
}

test "descriptors trade places" {
    const before = testing.openCount();
    var one: [2]i32 = undefined;
    var two: [2]i32 = undefined;
    try expectEqual(0, system.pipe(&one));
    try expectEqual(0, system.pipe(&two));
    // A shell takes single digits, so they trade at 3 and 4 what lies in each other's way there.
    var request: Request = .shell("echo to-3 >&3; echo to-4 >&4; echo to-5 >&5; echo no 2>&- >&6 || exit 7");
    const low, const high = .{ @min(one[1], two[1]), @max(one[1], two[1]) };
    const targets = [_]i32{ 3, 4, 5 };
    const sources = [_]i32{ high, low, high };
    for (sources, targets) |source, target| _ = request.descriptor(source, target);
    _ = request.step(.close_range, .{ .first = 6 }, "");
    try expectEqual(7 << 8, try request.run());
    system.close(one[1]);
    system.close(two[1]);
    var buffer: [64]u8 = undefined;
    const from_low = if (low == one[1]) one[0] else two[0];
    const from_high = if (low == one[1]) two[0] else one[0];
    try std.testing.expectEqualStrings("to-4\n", testing.drain(from_low, &buffer));
    try std.testing.expectEqualStrings("to-3\nto-5\n", testing.drain(from_high, &buffer));
    system.close(one[0]);
    system.close(two[0]);
    try expectEqual(before, testing.openCount());
}

test "a cycle of descriptors in their own places" {
    var one: [2]i32 = undefined;
    var two: [2]i32 = undefined;
    try expectEqual(0, system.pipe(&one));
    try expectEqual(0, system.pipe(&two));
    const low, const high = .{ @min(one[1], two[1]), @max(one[1], two[1]) };
    var script: [64]u8 = undefined;
    const text = try std.fmt.bufPrint(&script, "echo low >/dev/fd/{d}; echo high >/dev/fd/{d}", .{ low, high });
    var request: Request = .shell(text);
    _ = request.descriptor(high, low);
    _ = request.descriptor(low, high);
    try expectEqual(0, try request.run());
    system.close(one[1]);
    system.close(two[1]);
    var buffer: [64]u8 = undefined;
    const from_low = if (low == one[1]) one[0] else two[0];
    const from_high = if (low == one[1]) two[0] else one[0];
    try std.testing.expectEqualStrings("high\n", testing.drain(from_low, &buffer));
    try std.testing.expectEqualStrings("low\n", testing.drain(from_high, &buffer));
    system.close(one[0]);
    system.close(two[0]);
}

test "a map over every low number leaves the start's own descriptors alone" {
    const null_fd = system.openFile("/dev/null", 0, 0);
    defer system.close(null_fd);
    var request: Request = .shell("exit 4");
    for (0..80) |target| _ = request.descriptor(null_fd, @intCast(target));
    try expectEqual(4 << 8, try request.run());

    var answer: abi.Answer = undefined;
    var nothing: Request = .init("/nonexistent", &.{"nonexistent"});
    for (0..80) |target| _ = nothing.descriptor(null_fd, @intCast(target));
    const exec = nothing.start(&answer);
    try testing.expectFailed(&answer, exec, system.negative(.NOENT));
}

test "a number that was closed at the call is no descriptor of the start's" {
    // The next to be given out are what a pipe inside the start would get.
    var free: [4]i32 = undefined;
    for (&free) |*fd| fd.* = system.openFile("/dev/null", 0, 0);
    for (free) |fd| system.close(fd);
    for (free) |fd| {
        var answer: abi.Answer = undefined;
        var request: Request = .shell("exit 0");
        const step = request.descriptor(fd, 0);
        _ = request.start(&answer);
        try testing.expectFailed(&answer, step, system.negative(.BADF));
    }
}

test "open descriptors are closed, or stay if they are to" {
    const open = system.openFile("/dev/null", 0, 0);
    defer system.close(open);
    const inherited = 77;
    try expectEqual(inherited, system.fcntl(open, libc.F_DUPFD, inherited));
    defer system.close(inherited);
    const script = "if (: </dev/fd/77) 2>/dev/null; then exit 1; fi";
    var kept: Request = .shell(script);
    try expectEqual(1 << 8, try kept.run());
    var closed: Request = .shell(script);
    _ = closed.step(.close_range, .{ .first = 3 }, "");
    try expectEqual(0, try closed.run());
}

test "the parent's signal mask stays as it was, and the child's is empty" {
    if (!is_linux) return error.SkipZigTest;
    const usr1: u64 = 1 << 9;
    const mask = system.maskSignals(usr1);
    defer _ = system.maskSignals(mask);
    var ends: [2]i32 = undefined;
    try expectEqual(0, system.pipe(&ends));
    defer system.close(ends[0]);
    var request: Request = .shell("while read key value; do case $key in Sig*) echo $key$value;; esac; done </proc/$$/status");
    _ = request.step(.sigaction, .{}, "");
    _ = request.descriptor(ends[1], 1);

    const ignore: libc.Sigaction = .{ .handler = libc.SIG_IGN };
    const functions = libc.Functions.find().?;
    const hup = 1;
    var before: [2]libc.Sigaction = undefined;
    _ = functions.sigaction(hup, &ignore, &before[0]);
    _ = functions.sigaction(libc.SIGPIPE, &ignore, &before[1]);
    const status = request.run();
    _ = functions.sigaction(hup, &before[0], null);
    _ = functions.sigaction(libc.SIGPIPE, &before[1], null);

    try expectEqual(0, try status);
    try expectEqual(usr1, system.maskSignals(usr1));
    system.close(ends[1]);
    var buffer: [512]u8 = undefined;
    const text = testing.drain(ends[0], &buffer);
    errdefer std.debug.print("{s}\n", .{text});
    try std.testing.expect(std.mem.indexOf(u8, text, "SigBlk:0000000000000000\n") != null);
    // SIGHUP alone, as under nohup.
    try std.testing.expect(std.mem.indexOf(u8, text, "SigIgn:0000000000000001\n") != null);
}

test "what only Linux has is refused before the fork" {
    if (options.child == .raw) return error.SkipZigTest;
    var request: Request = .shell("exit 0");
    request.clone_flags = 0x0400_0000;
    var answer: abi.Answer = undefined;
    _ = request.start(&answer);
    try testing.expectFailed(&answer, @backingInt(abi.Stage.clone), system.negative(.NOSYS));
}

/// A file that may be executed, kept open for writing, so that exec finds it busy.
const Busy = struct {
    fd: i32,
    path: [64]u8 = undefined,
    length: usize,

    fn init() !Busy {
        var busy: Busy = .{ .fd = -1, .length = 0 };
        const name = "/tmp/osexec-busy-{d}";
        const id: u32 = @truncate(@intFromPtr(&busy));
        const text = try std.fmt.bufPrintSentinel(&busy.path, name, .{id ^ @as(u32, @truncate(std.testing.random_seed))}, 0);
        busy.length = text.len;
        const from = system.openFile("/bin/sh", 0, 0);
        defer system.close(from);
        const O_WRONLY_CREAT_TRUNC = if (is_linux) 0o1101 else 0x601;
        busy.fd = system.openFile(text.ptr, O_WRONLY_CREAT_TRUNC, 0o755);
        if (busy.fd < 0) return error.SkipZigTest;
        var buffer: [64 * 1024]u8 = undefined;
        while (true) {
            const count = system.read(from, &buffer, buffer.len);
            if (count <= 0) break;
            try expectEqual(count, system.write(busy.fd, &buffer, @intCast(count)));
        }
        return busy;
    }

    fn deinit(busy: *Busy) void {
        const unlink = libc.function("unlink", fn ([*:0]const u8) callconv(.c) i32).?;
        _ = unlink(@ptrCast(&busy.path));
    }

    fn request(busy: *Busy) Request {
        return .init(busy.path[0..busy.length], &.{ "sh", "-c", "exit 5" });
    }
};

test "a busy program is tried again, for a while" {
    // macOS knows ETXTBSY too, but not for a file that is merely open for writing.
    if (!is_linux) return error.SkipZigTest;
    var busy: Busy = try .init();
    defer busy.deinit();
    var never = busy.request();
    var answer: abi.Answer = undefined;
    const exec = never.start(&answer);
    try testing.expectFailed(&answer, exec, system.negative(.TXTBSY));

    const closer = try std.Thread.spawn(.{}, closeLater, .{busy.fd});
    var soon = busy.request();
    // Closed here alone: the child has a copy of its own.
    _ = soon.step(.close_range, .{ .first = 3 }, "");
    try expectEqual(5 << 8, try soon.run());
    closer.join();
}

fn closeLater(fd: i32) void {
    testing.sleep(15);
    system.close(fd);
}

test "a child killed before exec was not started" {
    if (!is_linux) return error.SkipZigTest;
    var busy: Busy = try .init();
    defer busy.deinit();
    defer system.close(busy.fd);
    var answer: abi.Answer = undefined;
    var exec: i32 = undefined;
    // It is killed while it pauses before the next try, or on a slow machine earlier. A hit into the try
    // itself counts as started, and one may come too late.
    for (0..20) |_| {
        var request = busy.request();
        const killer = try std.Thread.spawn(.{}, killChild, .{std.os.linux.gettid()});
        exec = request.start(&answer);
        killer.join();
        // Before its first step, under qemu-user, it is at none.
        if (answer.signal != 0 and answer.step >= 0) break;
        if (answer.pid > 0) _ = try testing.finish(&answer);
    }
    try expectEqual(9, answer.signal);
    try expectEqual(0, answer.errno);
    try std.testing.expect(answer.step >= 0 and answer.step <= exec);
    try expectEqual(-1, answer.pid);
}

fn killChild(parent: i32) void {
    var path: [64]u8 = undefined;
    const text = std.fmt.bufPrintSentinel(&path, "/proc/self/task/{d}/children", .{parent}, 0) catch return;
    for (0..1000) |_| {
        const fd = system.openFile(text.ptr, 0, 0);
        if (fd < 0) return;
        defer system.close(fd);
        var buffer: [32]u8 = undefined;
        const count = system.read(fd, &buffer, buffer.len);
        if (count <= 0) continue;
        const pid = std.fmt.parseInt(i32, std.mem.sliceTo(buffer[0..@intCast(count)], ' '), 10) catch continue;
        testing.sleep(5);
        _ = waiting.signal(pid, -1, 9);
        return;
    }
}

test "many starts at once, from many threads" {
    const before = testing.openCount();
    var threads: [4]std.Thread = undefined;
    var failures: u32 = 0;
    for (&threads) |*thread| thread.* = try std.Thread.spawn(.{}, startMany, .{&failures});
    for (threads) |thread| thread.join();
    try expectEqual(0, failures);
    try expectEqual(before, testing.openCount());
}

fn startMany(failures: *u32) void {
    for (0..40) |round| {
        var request: Request = if (round % 4 == 0)
            .init("/nonexistent", &.{"nonexistent"})
        else
            .shell("exit 6");
        _ = request.step(.close_range, .{ .first = 3 }, "");
        var answer: abi.Answer = undefined;
        _ = request.start(&answer);
        const good = if (round % 4 == 0)
            answer.errno == -system.negative(.NOENT)
        else
            answer.pid > 0 and (testing.finish(&answer) catch -1) == 6 << 8;
        if (!good) _ = @atomicRmw(u32, failures, .Add, 1, .monotonic);
    }
}

test "issue 15, 10: with SA_NOCLDWAIT the status comes by a pidfd" {
    if (options.child != .raw) return error.SkipZigTest;
    const linux = @import("../os/linux.zig");
    var plain: Request = .shell("exit 0");
    var before_all: abi.Answer = undefined;
    _ = plain.start(&before_all);
    const has_pidfds = before_all.pidfd >= 0;
    _ = try testing.finish(&before_all);
    // Linux < 5.3, qemu-user.
    if (!has_pidfds) return error.SkipZigTest;
    const SA_NOCLDWAIT = 2;
    const given: linux.KernelSigaction = .{ .flags = SA_NOCLDWAIT };
    var before: linux.KernelSigaction = .{};
    _ = linux.call(.rt_sigaction, .{ linux.SIGCHLD, &given, &before, 8 });
    defer _ = linux.call(.rt_sigaction, .{ linux.SIGCHLD, &before, null, 8 });
    var request: Request = .shell("exit 7");
    request.options = @backingInt(abi.Option.no_pidfd);
    var answer: abi.Answer = undefined;
    _ = request.start(&answer);
    try testing.expectStarted(&answer);
    try std.testing.expect(answer.pidfd >= 0);
    defer system.close(answer.pidfd);
    var exit: abi.Exit = undefined;
    const waited = waiting.wait(answer.pid, answer.pidfd, 0, &exit);
    // Linux < 6.15: a pidfd knows nothing of it.
    if (waited == system.negative(.CHILD)) return error.SkipZigTest;
    try expectEqual(1, waited);
    try expectEqual(7 << 8, exit.status);
}
