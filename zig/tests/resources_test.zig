//! What a child may have of the machine, each set in a process of its own and read back from the kernel.

const std = @import("std");
const abi = @import("../abi/steps.zig");
const fork = @import("fork.zig");
const resources = @import("../child/resources.zig");
const linux = @import("../os/linux.zig");
const expectEqual = std.testing.expectEqual;

const Affinity = extern struct {
    fields: abi.Affinity,
    mask: [128]u8 = @splat(0),

    fn init(length: u32) Affinity {
        return .{ .fields = .{ .mask = .{ .offset = @sizeOf(abi.Affinity), .length = length } } };
    }
};

test "issue 17, 11: a child runs on the processors that it is given" {
    var before: [128]u8 = @splat(0);
    const size = linux.result(.sched_getaffinity, .{ 0, before.len, &before });
    try std.testing.expect(size > 0);
    const last = for (0..before.len) |index| {
        const at = before.len - 1 - index;
        if (before[at] != 0) break 8 * at + 7 - @clz(before[at]);
    } else unreachable;
    try fork.inChild(@as(u32, @intCast(last)), struct {
        fn body(processor: u32) !void {
            // As many words as the number needs, and not as many as the kernel has processors.
            var wanted: Affinity = .init(processor / 64 * 8 + 8);
            wanted.mask[processor / 8] = @as(u8, 1) << @intCast(processor % 8);
            try expectEqual(0, resources.affinity(&wanted.fields));
            var now: [128]u8 = @splat(0);
            _ = linux.result(.sched_getaffinity, .{ 0, now.len, &now });
            try std.testing.expectEqualSlices(u8, &wanted.mask, &now);
        }
    }.body);
    var after: [128]u8 = @splat(0);
    _ = linux.result(.sched_getaffinity, .{ 0, after.len, &after });
    try std.testing.expectEqualSlices(u8, &before, &after);
}

test "issue 17, 11: a mask without a processor that is there is refused" {
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            const none: Affinity = .init(16);
            try expectEqual(linux.negative(.INVAL), resources.affinity(&none.fields));
        }
    }.body);
}

const SCHED_BATCH = 3;
const SCHED_IDLE = 5;
const SCHED_RESET_ON_FORK = 0x4000_0000;

fn policyOf(pid: i32) i32 {
    return linux.result(.sched_getscheduler, .{pid});
}

test "issue 17, 11: the policy of a child, by itself and by its parent" {
    const before = policyOf(0);
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            const batch: abi.Scheduler = .{ .policy = SCHED_BATCH | SCHED_RESET_ON_FORK, .priority = 0 };
            try expectEqual(0, resources.schedulerFor(0, &batch));
            try expectEqual(SCHED_BATCH | SCHED_RESET_ON_FORK, policyOf(0));
        }
    }.body);
    var held = try fork.Held.start();
    defer held.end();
    const idle: abi.Scheduler = .{ .policy = SCHED_IDLE, .priority = 0 };
    try expectEqual(0, resources.schedulerFor(held.pid, &idle));
    try expectEqual(SCHED_IDLE, policyOf(held.pid));
    const wrong: abi.Scheduler = .{ .policy = SCHED_IDLE, .priority = 1 };
    try expectEqual(linux.negative(.INVAL), resources.schedulerFor(held.pid, &wrong));
    try expectEqual(before, policyOf(0));
}

test "issue 17, 11: the I/O priority of a child, by itself and by its parent" {
    const read = struct {
        fn read(pid: i32) i32 {
            return linux.result(.ioprio_get, .{ 1, pid });
        }
    }.read;
    const before = read(0);
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            const idle: abi.IoPriority = .{ .value = 3 << 13 };
            try expectEqual(0, resources.ioPriorityFor(0, &idle));
            try expectEqual(3 << 13, linux.result(.ioprio_get, .{ 1, 0 }));
        }
    }.body);
    var held = try fork.Held.start();
    defer held.end();
    const least: abi.IoPriority = .{ .value = 2 << 13 | 7 };
    try expectEqual(0, resources.ioPriorityFor(held.pid, &least));
    try expectEqual(2 << 13 | 7, read(held.pid));
    try expectEqual(linux.negative(.INVAL), resources.ioPriorityFor(held.pid, &.{ .value = 4 << 13 }));
    try expectEqual(before, read(0));
}

test "issue 17, 11: a child's timers may be late by so many nanoseconds" {
    const PR_GET_TIMERSLACK = 30;
    const before = linux.result(.prctl, .{ PR_GET_TIMERSLACK, 0, 0, 0, 0 });
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            try expectEqual(0, resources.timerSlack(&.{ .nanoseconds = 123_456_789 }));
            try expectEqual(123_456_789, linux.result(.prctl, .{ PR_GET_TIMERSLACK, 0, 0, 0, 0 }));
        }
    }.body);
    try expectEqual(before, linux.result(.prctl, .{ PR_GET_TIMERSLACK, 0, 0, 0, 0 }));
}

const MemoryPolicy = extern struct {
    fields: abi.MemoryPolicy,
    nodes: [8]u8 = @splat(0),

    fn init(mode: u32, length: u32) MemoryPolicy {
        const offset = @sizeOf(abi.MemoryPolicy) - @offsetOf(abi.MemoryPolicy, "nodes");
        return .{ .fields = .{ .mode = mode, .nodes = .{ .offset = offset, .length = length } } };
    }
};

const MPOL_PREFERRED = 1;
const MPOL_BIND = 2;
const MPOL_LOCAL = 4;

fn memoryMode(nodes: *[128]u8) i32 {
    var mode: i32 = -1;
    const answer = linux.result(.get_mempolicy, .{ &mode, nodes, nodes.len * 8, 0, 0 });
    return if (answer < 0) answer else mode;
}

test "issue 17, 11: a child's memory comes from the nodes that it is given" {
    var nodes: [128]u8 = @splat(0);
    // Not built in, or not allowed: as in many a container.
    if (memoryMode(&nodes) < 0) return error.SkipZigTest;
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            var now: [128]u8 = @splat(0);
            var bind: MemoryPolicy = .init(MPOL_BIND, 8);
            bind.nodes[0] = 1;
            try expectEqual(0, resources.memoryPolicy(&bind.fields));
            try expectEqual(MPOL_BIND, memoryMode(&now));
            try expectEqual(1, now[0]);
            // There is no such node.
            bind.nodes = .{ 0, 0, 0, 0, 0, 0, 0, 0x80 };
            try expectEqual(linux.negative(.INVAL), resources.memoryPolicy(&bind.fields));
            const local: MemoryPolicy = .init(MPOL_LOCAL, 0);
            try expectEqual(0, resources.memoryPolicy(&local.fields));
            try expectEqual(MPOL_LOCAL, memoryMode(&now));
        }
    }.body);
}

/// A file of /proc/PID, and the number in it.
fn numberIn(pid: i32, comptime name: []const u8, base: u8) !i32 {
    var buffer: [64]u8 = undefined;
    const path = try std.fmt.bufPrintSentinel(&buffer, "/proc/{d}/{s}", .{ pid, name }, 0);
    const fd = linux.openFile(path.ptr, 0, 0);
    if (fd < 0) return error.NoFile;
    defer linux.close(fd);
    var text: [32]u8 = undefined;
    const length = linux.read(fd, &text, text.len);
    return std.fmt.parseInt(i32, std.mem.trim(u8, text[0..@intCast(length)], "\n"), base);
}

test "issue 17, 11: how soon a child is ended for want of memory, by itself and by its parent" {
    const self = linux.result(.getpid, .{});
    const before = try numberIn(self, "oom_score_adj", 10);
    try fork.inChild(before, struct {
        fn body(given: i32) !void {
            const pid = linux.result(.getpid, .{});
            for ([_]i32{ @max(given, 7), 1000 }) |value| {
                try expectEqual(0, resources.oomScoreAdjFor(0, &.{ .value = value }));
                try expectEqual(value, try numberIn(pid, "oom_score_adj", 10));
            }
            try expectEqual(linux.negative(.INVAL), resources.oomScoreAdjFor(0, &.{ .value = 1001 }));
            try expectEqual(linux.negative(.INVAL), resources.oomScoreAdjFor(0, &.{ .value = -1001 }));
        }
    }.body);
    var held = try fork.Held.start();
    defer held.end();
    try expectEqual(0, resources.oomScoreAdjFor(held.pid, &.{ .value = 612 }));
    try expectEqual(612, try numberIn(held.pid, "oom_score_adj", 10));
    // To lower it takes CAP_SYS_RESOURCE.
    const lowered = resources.oomScoreAdjFor(held.pid, &.{ .value = -1000 });
    if (lowered == 0) {
        try expectEqual(-1000, try numberIn(held.pid, "oom_score_adj", 10));
    } else {
        try expectEqual(linux.negative(.ACCES), lowered);
    }
    try expectEqual(before, try numberIn(self, "oom_score_adj", 10));
}

test "issue 17, 11: what a child's core has in it" {
    const self = linux.result(.getpid, .{});
    const before = numberIn(self, "coredump_filter", 16) catch return error.SkipZigTest;
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            const pid = linux.result(.getpid, .{});
            for ([_]u32{ 0, 0x10, 0x1ff }) |mask| {
                try expectEqual(0, resources.coredumpFilter(&.{ .mask = mask }));
                try expectEqual(@as(i32, @intCast(mask)), try numberIn(pid, "coredump_filter", 16));
            }
        }
    }.body);
    try expectEqual(before, try numberIn(self, "coredump_filter", 16));
}

test "issue 17, 11: a child has the personality that it is given" {
    const unchanged: u32 = 0xffff_ffff;
    const before = linux.result(.personality, .{unchanged});
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            const ADDR_NO_RANDOMIZE = 0x4_0000;
            try expectEqual(0, resources.personality(&.{ .persona = ADDR_NO_RANDOMIZE }));
            try expectEqual(ADDR_NO_RANDOMIZE, linux.result(.personality, .{unchanged}));
            // It answers what it was, which is no failure.
            try expectEqual(0, resources.personality(&.{ .persona = 0 }));
        }
    }.body);
    try expectEqual(before, linux.result(.personality, .{unchanged}));
}
