//! Watches real pipes and processes with a real reactor thread.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const reactor = @import("../reactor/reactor.zig");
const system = @import("../os/system.zig").system;
const testing = @import("testing.zig");
const waiting = @import("../wait/wait.zig");
const expectEqual = std.testing.expectEqual;

const in: i32 = @backingInt(abi.Ready.in);
const out: i32 = @backingInt(abi.Ready.out);

const Reactor = struct {
    handle: i32,
    fd: i32,

    fn init() !Reactor {
        var answer: abi.Reactor = undefined;
        try expectEqual(0, reactor.create(&answer));
        return .{ .handle = answer.handle, .fd = answer.fd };
    }

    fn deinit(it: Reactor) void {
        system.close(it.fd);
    }

    /// The next record, or null when none comes in time.
    fn next(it: Reactor, milliseconds: i32) ?abi.Event {
        var entry: [1]abi.Poll = .{.{ .fd = it.fd, .events = 1, .revents = 0 }};
        if (system.poll(&entry, 1, milliseconds) != 1) return null;
        var record: abi.Event = undefined;
        const size = @sizeOf(abi.Event);
        return if (system.read(it.fd, std.mem.asBytes(&record), size) == size) record else null;
    }

    fn expect(it: Reactor, token: u32, ready: u32) !void {
        const record = it.next(5000) orelse return error.NothingCame;
        try expectEqual(token, record.token);
        try expectEqual(ready, record.ready & ready);
    }
};

fn write(fd: i32) !void {
    try expectEqual(1, system.write(fd, "x", 1));
}

test "one record for each watch" {
    const it: Reactor = try .init();
    defer it.deinit();
    var ends: [2]i32 = undefined;
    try expectEqual(0, system.pipe(&ends));
    try expectEqual(0, reactor.watch(it.handle, ends[0], in, 7));
    try expectEqual(null, it.next(30));
    try write(ends[1]);
    const record = it.next(5000) orelse return error.NothingCame;
    try expectEqual(abi.Event{ .token = 7, .fd = ends[0], .ready = @intCast(in) }, record);
    try expectEqual(null, it.next(30));
    // What was not read is still there.
    try expectEqual(0, reactor.watch(it.handle, ends[0], in, 8));
    try it.expect(8, @intCast(in));
    try expectEqual(0, reactor.watch(it.handle, ends[1], out, 9));
    try it.expect(9, @intCast(out));
    var byte: [1]u8 = undefined;
    try expectEqual(1, system.read(ends[0], &byte, 1));
    try expectEqual(0, reactor.watch(it.handle, ends[0], in, 10));
    system.close(ends[1]);
    try it.expect(10, @backingInt(abi.Ready.hup));
    try expectEqual(0, reactor.unwatch(it.handle, ends[0]));
    system.close(ends[0]);
}

test "a watch taken back, or replaced, tells nothing" {
    const it: Reactor = try .init();
    defer it.deinit();
    var ends: [2]i32 = undefined;
    try expectEqual(0, system.pipe(&ends));
    defer for (ends) |end| system.close(end);
    try expectEqual(0, reactor.watch(it.handle, ends[0], in, 1));
    try expectEqual(0, reactor.unwatch(it.handle, ends[0]));
    try write(ends[1]);
    try expectEqual(null, it.next(30));
    for (2..200) |token| {
        try expectEqual(0, reactor.watch(it.handle, ends[0], in, @intCast(token)));
        if (token % 2 == 0) _ = reactor.unwatch(it.handle, ends[0]);
    }
    // Some may have come between a watch and its end; after the last nothing but the last.
    var last: ?abi.Event = null;
    while (it.next(100)) |record| last = record;
    try expectEqual(199, last.?.token);
}

test "what cannot be watched is refused" {
    const it: Reactor = try .init();
    defer it.deinit();
    const file = system.openFile("/bin/sh", 0, 0);
    defer system.close(file);
    try expectEqual(system.negative(.PERM), reactor.watch(it.handle, file, in, 1));
    try expectEqual(system.negative(.BADF), reactor.watch(it.handle, -1, in, 1));
    try expectEqual(system.negative(.INVAL), reactor.watch(it.handle, file, in, 0));
    try expectEqual(system.negative(.INVAL), reactor.watchPid(it.handle, 0, 1));
    try expectEqual(system.negative(.INVAL), reactor.watchPid(it.handle, 1, 0));
    try expectEqual(system.negative(.BADF), reactor.watchPid(1023, 1, 1));
    try expectEqual(null, it.next(10));
}

/// A shell that ends when its standard input does.
const Child = struct {
    answer: abi.Answer,
    input: i32,

    fn init() !Child {
        var ends: [2]i32 = undefined;
        try expectEqual(0, system.pipe(&ends));
        var request: testing.Request = .shell("read line; exit 2");
        _ = request.descriptor(ends[0], 0);
        var child: Child = .{ .answer = undefined, .input = ends[1] };
        _ = request.start(&child.answer);
        system.close(ends[0]);
        try testing.expectStarted(&child.answer);
        return child;
    }

    fn end(child: *Child) void {
        system.close(child.input);
    }
};

test "a process by its pid" {
    const it: Reactor = try .init();
    defer it.deinit();
    var child: Child = try .init();
    const pid = child.answer.pid;
    try expectEqual(0, reactor.watchPid(it.handle, pid, 5));
    try expectEqual(0, reactor.watchPid(it.handle, pid, 6));
    try expectEqual(null, it.next(30));
    child.end();
    // Two waits, two records, in any order.
    const first = it.next(5000).?;
    const second = it.next(5000).?;
    try expectEqual(5 + 6, first.token + second.token);
    try expectEqual(@as(u32, @intCast(in)), first.ready);
    try expectEqual(-pid, first.fd);
    // It can be waited for from the record on.
    var exit: abi.Exit = undefined;
    try expectEqual(1, waiting.wait(pid, -1, @backingInt(abi.Wait.nohang) | @backingInt(abi.Wait.nowait), &exit));
    try expectEqual(2 << 8, exit.status);
    // Of one that has ended already it tells at once; and of one that is gone.
    try expectEqual(0, reactor.watchPid(it.handle, pid, 9));
    try it.expect(9, @intCast(in));
    try expectEqual(2 << 8, try testing.finish(&child.answer));
    try expectEqual(0, reactor.watchPid(it.handle, pid, 10));
    try it.expect(10, @intCast(in));
    try expectEqual(null, it.next(30));
}

test "a reactor whose reader has gone frees everything" {
    // Whatever the first reactor of all leaves behind is there from now on.
    (try Reactor.init()).deinit();
    const before = testing.openCount();
    var child: Child = try .init();
    for (0..3) |round| {
        const it: Reactor = try .init();
        var ends: [2]i32 = undefined;
        try expectEqual(0, system.pipe(&ends));
        // Never used, with its thread running, and with a process watched.
        if (round > 0) try expectEqual(0, reactor.watch(it.handle, ends[0], in, 1));
        if (round > 1) try expectEqual(0, reactor.watchPid(it.handle, child.answer.pid, 2));
        it.deinit();
        for (ends) |end| system.close(end);
    }
    testing.sleep(50);
    child.end();
    _ = try testing.finish(&child.answer);
    // The next reactor sweeps away the ones that no thread was there to free.
    for (0..100) |_| {
        const it: Reactor = try .init();
        const open = testing.openCount();
        it.deinit();
        // Its own two ends, and its poller.
        if (open <= before + 3) return;
        testing.sleep(20);
    }
    return error.DescriptorsLeft;
}

test "F6: threads that end and close nothing take no place for good" {
    const Ending = struct {
        var answer: abi.Reactor = undefined;
        var created: i32 = 0;

        fn run() void {
            created = reactor.create(&answer);
        }
    };
    const before = testing.openCount();
    // More than there are places.
    for (0..1100) |_| {
        const thread = try std.Thread.spawn(.{}, Ending.run, .{});
        thread.join();
        try expectEqual(0, Ending.created);
    }
    const last: Reactor = try .init();
    last.deinit();
    // The last of the others goes with the next one that is made.
    const again: Reactor = try .init();
    again.deinit();
    try std.testing.expect(testing.openCount() <= before + 8);
}
