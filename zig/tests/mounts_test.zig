//! New roots and what is mounted in them, each made by a child in a mount namespace of its own, which then looks at
//! what has come of it. Once by the mount API of Linux 5.2 and openat2, and once as on a kernel that has neither.

const std = @import("std");
const filters = @import("../tools/filter.zig");
const mounts = @import("../child/mounts.zig");
const plans = @import("../child/plan.zig");
const roots = @import("../child/roots.zig");
const steps = @import("../abi/steps.zig");
const sys = @import("../os/linux.zig");
const linux = std.os.linux;

const RDONLY = 1;
const NOSUID = 2;
const NODEV = 4;
const NOEXEC = 8;

/// A step's fields with what they point to.
fn Record(comptime Fields: type) type {
    return struct {
        fields: Fields,
        bytes: [1024]u8 = @splat(0),
        used: usize = 0,

        fn put(record: *@This(), comptime name: []const u8, text: []const u8) void {
            const place = record.bytes[record.used..];
            @memcpy(place[0..text.len], text);
            record.used += text.len + 1;
            const field = &@field(record.fields, name);
            field.* = .{ .offset = @intCast(@intFromPtr(place.ptr) - @intFromPtr(field)), .length = @intCast(text.len) };
        }
    };
}

/// What a child does in its namespace.
const Child = struct {
    plan: plans.Plan,

    fn root(child: *Child, path: []const u8, covered: u32) i32 {
        var record: Record(steps.NewRoot) = .{ .fields = .{ .path = undefined, .covered = covered } };
        record.put("path", path);
        const answer = roots.newRoot(&child.plan, &record.fields);
        // The record is gone with this function.
        child.plan.root_path = if (roots.isRoot(record.fields.path.text())) "/" else null;
        return answer;
    }

    fn mount(child: *Child, kind: steps.MountKind, source: []const u8, target: []const u8, attributes: u32, options: []const u8) i32 {
        var record: Record(steps.Mount) = .{ .fields = .{
            .kind = kind,
            .attributes = attributes,
            .source = undefined,
            .target = undefined,
            .options = undefined,
        } };
        record.put("source", source);
        record.put("target", target);
        record.put("options", options);
        const answer = mounts.mount(&child.plan, &record.fields);
        expect(std.mem.eql(u8, std.mem.span(record.fields.target.text()), target), "the target's text is as it was");
        return answer;
    }

    fn symlink(child: *Child, content: []const u8, path: []const u8) i32 {
        var record: Record(steps.Symlink) = .{ .fields = .{ .content = undefined, .path = undefined } };
        record.put("content", content);
        record.put("path", path);
        return roots.symlink(&child.plan, &record.fields);
    }

    fn remount(child: *Child, path: []const u8, attributes: u32) i32 {
        var record: Record(steps.Remount) = .{ .fields = .{ .path = undefined, .attributes = attributes } };
        record.put("path", path);
        return mounts.remount(&child.plan, &record.fields);
    }
};

fn expect(holds: bool, comptime what: []const u8) void {
    if (holds) return;
    std.debug.print("not so: {s}\n", .{what});
    linux.exit_group(1);
}

fn expectAnswer(expected: i32, answer: i32, comptime what: []const u8) void {
    if (expected == answer) return;
    std.debug.print("{s}: {d} instead of {d}\n", .{ what, answer, expected });
    linux.exit_group(1);
}

/// How the child ends where the namespace is refused to it.
const refused = 3;

/// The kernel before Linux 5.2.
const new_calls = [_][]const u8{ "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "mount_setattr", "openat2" };

fn inNamespace(body: *const fn (child: *Child) void, without: []const []const u8) !void {
    const pid = std.c.fork();
    if (pid < 0) return error.NoFork;
    if (pid == 0) {
        enterNamespace();
        if (without.len > 0) {
            var filter: filters.Filter = .init();
            for (without) |call| filter.add(call, "ENOSYS") catch linux.exit_group(2);
            if (@as(isize, @bitCast(filter.install())) < 0) linux.exit_group(refused);
        }
        var child: Child = .{ .plan = undefined };
        child.plan.root = -1;
        child.plan.root_path = null;
        child.plan.umask = 0;
        body(&child);
        linux.exit_group(0);
    }
    var status: i32 = -1;
    _ = sys.retry(.wait4, .{ pid, &status, 0, null });
    if (status == refused << 8) return error.SkipZigTest;
    try std.testing.expectEqual(0, status);
}

/// With this user's own id, which may then write to what it mounts.
fn enterNamespace() void {
    const uid = linux.getuid();
    const gid = linux.getgid();
    const flags: u32 = linux.CLONE.NEWNS | linux.CLONE.NEWUSER;
    if (sys.result(.unshare, .{flags}) < 0) linux.exit_group(refused);
    var buffer: [64]u8 = undefined;
    write("/proc/self/setgroups", "deny");
    write("/proc/self/gid_map", std.fmt.bufPrint(&buffer, "{d} {d} 1\n", .{ gid, gid }) catch unreachable);
    write("/proc/self/uid_map", std.fmt.bufPrint(&buffer, "{d} {d} 1\n", .{ uid, uid }) catch unreachable);
    const MS_PRIVATE = 1 << 18;
    if (sys.result(.mount, .{ "none", "/", null, roots.MS_REC | MS_PRIVATE, null }) < 0) linux.exit_group(refused);
}

fn write(path: [*:0]const u8, text: []const u8) void {
    const fd = sys.result(.openat, .{ sys.AT_FDCWD, path, 1, 0 });
    if (fd < 0) linux.exit_group(refused);
    if (sys.result(.write, .{ fd, text.ptr, text.len }) < 0) linux.exit_group(refused);
    sys.close(fd);
}

fn openCount() u32 {
    var count: u32 = 0;
    for (0..256) |fd| {
        if (sys.result(.fcntl, .{ fd, sys.F_GETFD, 0 }) >= 0) count += 1;
    }
    return count;
}

fn modeOf(path: [*:0]const u8) i32 {
    return sys.fileMode(path);
}

const EROFS = -30;
const ENOENT = -2;
const EACCES = -13;
const ENOSYS = -38;
const EXDEV = -18;
const ELOOP = -40;
const O_CREAT = 0o100;
const O_WRONLY = 1;

fn create(path: [*:0]const u8) i32 {
    const fd = sys.result(.openat, .{ sys.AT_FDCWD, path, O_CREAT | O_WRONLY, 0o600 });
    if (fd < 0) return fd;
    sys.close(fd);
    return 0;
}

/// A root of nothing but a tmpfs, as a sandbox has it.
fn makeRoot(child: *Child, recursive: u32) void {
    const open = openCount();
    expectAnswer(0, child.root("/", 1), "new_root");
    expectAnswer(0, child.mount(.tmpfs, "", "/", NOSUID | NODEV, "mode\x000755\x00size\x001048576\x00"), "tmpfs on /");
    expectAnswer(0, child.mount(.bind, "/usr", "/usr", recursive | NODEV, ""), "bind of a directory");
    expectAnswer(0, child.mount(.bind, "/dev/null", "/dev/deep/null", 0, ""), "bind of a file");
    expectAnswer(0, child.mount(.tmpfs, "", "/tmp", NOSUID | NODEV | NOEXEC, "mode\x001777\x00"), "tmpfs on /tmp");
    expectAnswer(0, child.mount(.devpts, "", "/dev/pts", NOSUID | NOEXEC, "newinstance\x00\x00ptmxmode\x000666\x00"), "devpts");
    expectAnswer(0, child.symlink("usr/bin", "/bin"), "symlink");
    expectAnswer(0, child.symlink("../etc", "/made/for/it"), "symlink in a directory that is made");
    expectAnswer(0, child.remount("/", RDONLY), "remount of /");
    expectAnswer(0, roots.pivotRoot(&child.plan), "pivot_root");
    expectAnswer(@intCast(open), @intCast(openCount()), "open descriptors");
    expect(child.plan.root == -1, "the root's descriptor is given up");
}

fn lookAround() void {
    var path: [128]u8 = undefined;
    const length = sys.result(.getcwd, .{ &path, path.len });
    expect(length == 2 and path[0] == '/', "the working directory is the new root");
    expect(modeOf("/proc") == ENOENT and modeOf("/home") == ENOENT, "nothing of the old root is there");
    expect(modeOf("/bin/sh") & 0o170000 == 0o100000, "the symlink leads to the bound directory");
    expectAnswer(EROFS, create("/file"), "a file in the read-only root");
    expectAnswer(0, create("/tmp/file"), "a file in /tmp");
    expect(modeOf("/tmp") == 0o41777, "the mode that a tmpfs was given");
    expect(modeOf("/usr") & 0o777 == 0o755 and modeOf("/dev/deep") == 0o40755, "the modes of what was made");
    expect(modeOf("/dev/deep/null") & 0o170000 == 0o020000, "a device is bound on a file");
    expect(modeOf("/dev/pts/ptmx") == 0o20666, "the mode of a new instance's ptmx");
    const fd = sys.result(.openat, .{ sys.AT_FDCWD, "/dev/deep/null", O_WRONLY, 0 });
    expect(fd >= 0, "a device that is bound without nodev can be opened");
}

fn newApi(child: *Child) void {
    makeRoot(child, steps.mount_recursive);
    lookAround();
}

test "issue 17, 7: a root of mounts alone, by the new mount API" {
    try inNamespace(newApi, &.{});
}

fn oldApi(child: *Child) void {
    // What lies below /usr the kernel would want to be lent too, in another user namespace; here there is nothing.
    makeRoot(child, 0);
    lookAround();
}

test "issue 17, 7: a root of mounts alone, by mount(2)" {
    try inNamespace(oldApi, &new_calls);
}

test "issue 17, 7: a root of mounts alone, without mount_setattr, which is of Linux 5.12" {
    try inNamespace(oldApi, &.{"mount_setattr"});
}

fn wholeTree(child: *Child) void {
    expectAnswer(0, child.root("/", 1), "new_root");
    expectAnswer(0, child.mount(.tmpfs, "", "/", 0, ""), "tmpfs");
    expectAnswer(ENOSYS, child.mount(.bind, "/usr", "/usr", steps.mount_recursive | RDONLY, ""), "read-only");
    expectAnswer(ENOSYS, child.remount("/", steps.mount_recursive | RDONLY), "remount");
}

test "issue 17, 7: a whole tree is not made read-only in part where there is no mount_setattr" {
    try inNamespace(wholeTree, &.{"mount_setattr"});
    try inNamespace(wholeTree, &new_calls);
}

/// A directory with symlinks that lead out of it.
const Trap = struct {
    buffer: [64]u8,
    path: [:0]const u8,

    fn make(trap: *Trap) !void {
        trap.path = try std.fmt.bufPrintSentinel(&trap.buffer, "/tmp/osexec-trap-{d}", .{linux.getpid()}, 0);
        var buffer: [96]u8 = undefined;
        for ([_][]const u8{ "", "/inside", "/outside", "/root", "/root/inside", "/root/outside-is-not-here" }) |below| {
            const path = try std.fmt.bufPrintSentinel(&buffer, "{s}{s}", .{ trap.path, below }, 0);
            try std.testing.expectEqual(0, sys.result(.mkdirat, .{ sys.AT_FDCWD, path.ptr, 0o755 }));
        }
        for ([_][2][:0]const u8{
            .{ "../outside", "up" },
            .{ "/inside", "absolute" },
            .{ "/nowhere", "dangling" },
            .{ "/proc/self/fd", "magic" },
        }) |link| {
            const path = try std.fmt.bufPrintSentinel(&buffer, "{s}/root/{s}", .{ trap.path, link[1] }, 0);
            try std.testing.expectEqual(0, sys.result(.symlinkat, .{ link[0].ptr, sys.AT_FDCWD, path.ptr }));
        }
        trap_path = trap.path;
    }

    fn remove(trap: *Trap) void {
        var buffer: [96]u8 = undefined;
        const all = [_][]const u8{
            "/root/up",      "/root/absolute", "/root/dangling",    "/root/magic",  "/root/outside/made",        "/root/outside",
            "/root/new/dir", "/root/new",      "/root/inside/deep", "/root/inside", "/root/outside-is-not-here", "/root",
            "/outside",      "/inside",        "",
        };
        const AT_REMOVEDIR = 0x200;
        for (all) |below| {
            const path = std.fmt.bufPrintSentinel(&buffer, "{s}{s}", .{ trap.path, below }, 0) catch unreachable;
            if (sys.result(.unlinkat, .{ sys.AT_FDCWD, path.ptr, AT_REMOVEDIR }) < 0) {
                _ = sys.call(.unlinkat, .{ sys.AT_FDCWD, path.ptr, 0 });
            }
        }
    }
};

var trap_path: [:0]const u8 = "";

fn enterTrap(child: *Child) void {
    var buffer: [96]u8 = undefined;
    const path = std.fmt.bufPrint(&buffer, "{s}/root", .{trap_path}) catch unreachable;
    var record: Record(steps.NewRoot) = .{ .fields = .{ .path = undefined, .covered = 0 } };
    record.put("path", path);
    expectAnswer(0, roots.newRoot(&child.plan, &record.fields), "new_root");
    child.plan.root_path = null;
}

fn trapped(child: *Child) void {
    enterTrap(child);
    expectAnswer(0, child.mount(.tmpfs, "", "/absolute", 0, "mode\x000700\x00"), "an absolute symlink leads to the new root's");
    // As if the root were "/": ".." does not leave it, and what is missing is made in it.
    expectAnswer(ELOOP, child.mount(.tmpfs, "", "/up", 0, ""), "a symlink to what is not there");
    expectAnswer(ELOOP, child.mount(.tmpfs, "", "/dangling/deep", 0, ""), "a directory below a dangling symlink");
    expectAnswer(ENOENT, child.remount("/magic/3", RDONLY), "a symlink into a /proc that the new root has not");
    expectAnswer(0, child.mount(.tmpfs, "", "/new/dir", 0, ""), "a directory that is made");
    expectAnswer(0, roots.pivotRoot(&child.plan), "pivot_root");
    expect(modeOf("/inside") == 0o40700, "what was mounted by the absolute symlink");
    expect(modeOf("/new/dir") & 0o170000 == 0o040000, "what was made");
}

test "issue 17, 7: no symlink below the new root leads a mount out of it" {
    var trap: Trap = undefined;
    try trap.make();
    defer trap.remove();
    try inNamespace(trapped, &.{});
}

fn trappedOld(child: *Child) void {
    enterTrap(child);
    expectAnswer(ELOOP, child.mount(.tmpfs, "", "/absolute", 0, ""), "an absolute symlink");
    expectAnswer(ELOOP, child.mount(.tmpfs, "", "/up", 0, ""), "a symlink to what is above");
    expectAnswer(ELOOP, child.mount(.tmpfs, "", "/absolute/deep", 0, ""), "a directory below a symlink");
    expectAnswer(EXDEV, child.mount(.tmpfs, "", "/inside/../../outside", 0, ""), "a path that leads above");
    expectAnswer(0, child.mount(.tmpfs, "", "//new//dir/", 0, "mode\x000700\x00"), "a directory that is made");
    expectAnswer(0, roots.pivotRoot(&child.plan), "pivot_root");
    expect(modeOf("/new/dir") == 0o40700, "what was made");
}

test "issue 17, 7: nor where there is no openat2: there no symlink is followed" {
    var trap: Trap = undefined;
    try trap.make();
    defer trap.remove();
    try inNamespace(trappedOld, &new_calls);
}

fn masked(child: *Child) void {
    expectAnswer(0, child.root("/", 0), "new_root");
    expectAnswer(0, child.mount(.mask, "/dev/null", "/etc/passwd", NOSUID | NOEXEC, "mode\x000555\x00"), "a file");
    expectAnswer(0, child.mount(.mask, "/dev/null", "/usr/lib", NOSUID | NOEXEC | RDONLY, "mode\x000555\x00"), "a directory");
    expectAnswer(ENOENT, child.mount(.mask, "/dev/null", "/not/there", NOSUID, ""), "what is not there");
    expectAnswer(0, child.remount("/", RDONLY), "remount");
    expectAnswer(0, roots.pivotRoot(&child.plan), "pivot_root");
    expect(modeOf("/etc/passwd") & 0o170000 == 0o020000, "the file is a device");
    expect(modeOf("/usr/lib") == 0o40555, "the directory is an empty one");
    expectAnswer(EROFS, create("/osexec-test"), "a file in the old root, read-only");
}

test "issue 17, 7: what is masked is hidden, by both APIs" {
    try inNamespace(masked, &.{});
    try inNamespace(masked, &new_calls);
}

fn withoutRoot(child: *Child) void {
    expectAnswer(ENOENT, child.mount(.tmpfs, "", "/osexec-not-there", 0, ""), "nothing is made");
    expectAnswer(0, child.mount(.tmpfs, "", "/tmp", NOEXEC, "size\x00" ++ "65536\x00"), "tmpfs");
    expectAnswer(0, create("/tmp/file"), "a file in it");
    expectAnswer(0, child.remount("/tmp", RDONLY), "remount");
    expectAnswer(EROFS, create("/tmp/other"), "a file in it, read-only");
    expectAnswer(0, child.mount(.bind, "/dev", "/tmp", steps.mount_recursive, ""), "bind");
    expect(modeOf("/tmp/null") & 0o170000 == 0o020000, "what is bound");
}

test "issue 17, 7: without a new root mounts go on what is there, in the child's own" {
    try inNamespace(withoutRoot, &.{});
    try inNamespace(withoutRoot, &new_calls);
}
