//! A landlock domain made step by step, in a process of its own that then tries what it may not.

const std = @import("std");
const abi = @import("../abi/steps.zig");
const fork = @import("fork.zig");
const landlock = @import("../child/landlock.zig");
const privileges = @import("../child/privileges.zig");
const linux = @import("../os/linux.zig");
const plans = @import("../child/plan.zig");
const expectEqual = std.testing.expectEqual;

const EXECUTE = 1;
const WRITE_FILE = 2;
const READ_FILE = 4;
const READ_DIR = 8;
const BIND_TCP = 1;
const CONNECT_TCP = 2;
const SIGNAL = 2;

const Path = extern struct {
    fields: abi.LandlockPath,
    text: [128]u8,

    fn init(access: u64, path: []const u8) Path {
        var made: Path = .{
            .fields = .{
                .access = access,
                .file_access = EXECUTE | WRITE_FILE | READ_FILE,
                .path = .{
                    .offset = @sizeOf(abi.LandlockPath) - @offsetOf(abi.LandlockPath, "path"),
                    .length = @intCast(path.len),
                },
            },
            .text = @splat(0),
        };
        @memcpy(made.text[0..path.len], path);
        return made;
    }
};

/// Only what landlock uses of it.
fn emptyPlan() plans.Plan {
    var plan: plans.Plan = undefined;
    plan.ruleset = -1;
    return plan;
}

fn allow(plan: *plans.Plan, access: u64, path: []const u8) !void {
    const wanted: Path = .init(access, path);
    try expectEqual(0, landlock.allowPath(plan, &wanted.fields));
}

fn open(path: [*:0]const u8, flags: i32) i32 {
    const fd = linux.openFile(path, flags, 0);
    if (fd < 0) return fd;
    linux.close(fd);
    return 0;
}

fn needs(version: i32) !void {
    if (landlock.version() < version) return error.SkipZigTest;
}

/// How many descriptors this process has.
fn openCount() usize {
    var count: usize = 0;
    for (0..256) |fd| {
        if (linux.fcntl(@intCast(fd), linux.F_GETFD, 0) >= 0) count += 1;
    }
    return count;
}

test "issue 17, 9: what no rule allows is refused, and no descriptor is left" {
    try needs(1);
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            const before = openCount();
            var plan = emptyPlan();
            try expectEqual(0, landlock.begin(&plan, &.{ .fs = WRITE_FILE | READ_FILE | READ_DIR, .net = 0, .scoped = 0 }));
            try std.testing.expect(plan.ruleset >= 0);
            try expectEqual(linux.FD_CLOEXEC, linux.fcntl(plan.ruleset, linux.F_GETFD, 0));
            try allow(&plan, READ_FILE | READ_DIR, "/etc");
            // A directory's right is left out for a file, which the kernel would refuse.
            try allow(&plan, READ_FILE | READ_DIR, "/proc/self/status");
            const missing: Path = .init(READ_FILE, "/nope");
            try expectEqual(linux.negative(.NOENT), landlock.allowPath(&plan, &missing.fields));
            try expectEqual(before + 1, openCount());
            try expectEqual(0, privileges.noNewPrivileges());
            try expectEqual(0, landlock.restrict(&plan));
            try expectEqual(before, openCount());
            try expectEqual(-1, plan.ruleset);
            try expectEqual(0, open("/etc/passwd", 0));
            try expectEqual(0, open("/etc", linux.O_DIRECTORY));
            try expectEqual(0, open("/proc/self/status", 0));
            try expectEqual(linux.negative(.ACCES), open("/etc/passwd", linux.O_RDWR));
            try expectEqual(linux.negative(.ACCES), open("/proc/self/stat", 0));
            try expectEqual(linux.negative(.ACCES), open("/", linux.O_DIRECTORY));
        }
    }.body);
}

test "issue 17, 9: rules take no new privileges, or CAP_SYS_ADMIN" {
    try needs(1);
    if (linux.result(.geteuid, .{}) == 0) return error.SkipZigTest;
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            const before = openCount();
            var plan = emptyPlan();
            try expectEqual(0, landlock.begin(&plan, &.{ .fs = READ_FILE, .net = 0, .scoped = 0 }));
            try expectEqual(linux.negative(.PERM), landlock.restrict(&plan));
            try expectEqual(before, openCount());
        }
    }.body);
}

/// A TCP socket of 127.0.0.1 with that port, 0 any.
fn bind(port: u16) i32 {
    const AF_INET = 2;
    const SOCK_STREAM = 1;
    const socket = linux.result(.socket, .{ AF_INET, SOCK_STREAM | linux.O_CLOEXEC, 0 });
    if (socket < 0) return socket;
    defer linux.close(socket);
    const Address = extern struct { family: u16, port: u16, host: [4]u8, rest: [8]u8 = @splat(0) };
    const address: Address = .{
        .family = AF_INET,
        .port = std.mem.nativeToBig(u16, port),
        .host = .{ 127, 0, 0, 1 },
    };
    return linux.result(.bind, .{ socket, &address, @sizeOf(Address) });
}

test "issue 17, 9: a port that no rule allows is refused" {
    try needs(4);
    // Somebody else may have it, or there is no network.
    const port = for (40_000..40_100) |each| {
        if (bind(@intCast(each)) == 0) break @as(u16, @intCast(each));
    } else return error.SkipZigTest;
    try fork.inChild(port, struct {
        fn body(allowed: u16) !void {
            var plan = emptyPlan();
            try expectEqual(0, landlock.begin(&plan, &.{ .fs = 0, .net = BIND_TCP | CONNECT_TCP, .scoped = 0 }));
            try expectEqual(0, landlock.allowPort(&plan, &.{ .access = BIND_TCP, .port = allowed }));
            const none = landlock.allowPort(&plan, &.{ .access = BIND_TCP, .port = 65536 });
            try expectEqual(linux.negative(.INVAL), none);
            try expectEqual(0, privileges.noNewPrivileges());
            try expectEqual(0, landlock.restrict(&plan));
            try expectEqual(0, bind(allowed));
            try expectEqual(linux.negative(.ACCES), bind(allowed + 1));
        }
    }.body);
}

test "issue 17, 9: nobody outside can be sent a signal" {
    try needs(6);
    const parent = linux.result(.getpid, .{});
    try fork.inChild(parent, struct {
        fn body(outside: i32) !void {
            var plan = emptyPlan();
            try expectEqual(0, landlock.begin(&plan, &.{ .fs = 0, .net = 0, .scoped = SIGNAL }));
            try expectEqual(0, privileges.noNewPrivileges());
            try expectEqual(0, linux.result(.kill, .{ outside, 0 }));
            try expectEqual(0, landlock.restrict(&plan));
            try expectEqual(linux.negative(.PERM), linux.result(.kill, .{ outside, 0 }));
            try expectEqual(0, linux.result(.kill, .{ linux.result(.getpid, .{}), 0 }));
        }
    }.body);
}

test "issue 17, 9: what the kernel does not know is refused" {
    try needs(1);
    var plan = emptyPlan();
    try expectEqual(linux.negative(.INVAL), landlock.begin(&plan, &.{ .fs = 1 << 62, .net = 0, .scoped = 0 }));
    // And so is a set that says nothing.
    try expectEqual(linux.negative(.NOMSG), landlock.begin(&plan, &.{ .fs = 0, .net = 0, .scoped = 0 }));
}
