//! What a child may no more, set in a process of its own and read back from the kernel.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi/steps.zig");
const fork = @import("fork.zig");
const privileges = @import("../child/privileges.zig");
const linux = @import("../os/linux.zig");
const expectEqual = std.testing.expectEqual;

const CAP_CHOWN = 0;
const CAP_KILL = 5;
const CAP_SETPCAP = 8;

const PR_GET_DUMPABLE = 3;
const PR_CAPBSET_READ = 23;
const PR_GET_SECUREBITS = 27;
const PR_GET_NO_NEW_PRIVS = 39;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_IS_SET = 1;
const SECBIT_NO_CAP_AMBIENT_RAISE = 0x40;
const nobody = 65534;

fn prctl(option: i32, argument: u32) i32 {
    return linux.result(.prctl, .{ option, argument, 0, 0, 0 });
}

fn hasAmbient(capability: u32) bool {
    return linux.result(.prctl, .{ PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0 }) == 1;
}

/// Who runs the tests as an ordinary user is capable in a user namespace of its own.
fn becomeCapable() !void {
    if (linux.result(.geteuid, .{}) == 0) return;
    const CLONE_NEWUSER = 0x1000_0000;
    if (linux.result(.unshare, .{CLONE_NEWUSER}) < 0) return error.SkipZigTest;
}

/// A line of /proc/self/status in hexadecimal.
fn setOf(comptime name: []const u8) !u64 {
    const fd = linux.openFile("/proc/self/status", 0, 0);
    if (fd < 0) return error.NoFile;
    defer linux.close(fd);
    var text: [8192]u8 = undefined;
    const length = linux.read(fd, &text, text.len);
    var lines = std.mem.splitScalar(u8, text[0..@intCast(length)], '\n');
    while (lines.next()) |line| {
        if (!std.mem.startsWith(u8, line, name ++ ":\t")) continue;
        return std.fmt.parseInt(u64, line[name.len + 2 ..], 16);
    }
    return error.NoLine;
}

test "issue 17, 8: the bounding set is what is kept of it" {
    const before = try setOf("CapBnd");
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            try becomeCapable();
            const had = try setOf("CapBnd");
            const kept: u64 = 1 << CAP_CHOWN | 1 << CAP_KILL | 1 << 63;
            try expectEqual(0, privileges.boundingSet(&.{ .kept = kept }));
            try expectEqual(had & kept, try setOf("CapBnd"));
        }
    }.body);
    try expectEqual(before, try setOf("CapBnd"));
}

test "issue 17, 8: to keep all that is there takes no right, to drop some takes CAP_SETPCAP" {
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            try becomeCapable();
            const nothing: abi.CapabilitySets = .{ .permitted = 0, .effective = 0, .inheritable = 0, .given = 7 };
            try expectEqual(0, privileges.capabilitySets(&nothing));
            const all = try setOf("CapBnd");
            try expectEqual(0, privileges.boundingSet(&.{ .kept = all }));
            if (all == 0) return error.SkipZigTest;
            try expectEqual(linux.negative(.PERM), privileges.boundingSet(&.{ .kept = 0 }));
        }
    }.body);
}

test "issue 17, 8: of the three sets those that are given change, and the effective one with the permitted" {
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            try becomeCapable();
            const all = try setOf("CapPrm");
            const two: u64 = 1 << CAP_CHOWN | 1 << CAP_KILL;
            var wanted: abi.CapabilitySets = .{ .permitted = 0, .effective = two, .inheritable = 0, .given = 2 };
            try expectEqual(0, privileges.capabilitySets(&wanted));
            try expectEqual(.{ two, all }, .{ try setOf("CapEff"), try setOf("CapPrm") });
            wanted = .{ .permitted = 1 << CAP_KILL, .effective = 0, .inheritable = 1 << CAP_KILL, .given = 5 };
            try expectEqual(0, privileges.capabilitySets(&wanted));
            const one: u64 = 1 << CAP_KILL;
            const now = .{ try setOf("CapEff"), try setOf("CapPrm"), try setOf("CapInh") };
            try expectEqual(.{ one, one, one }, now);
            // What is gone does not come back.
            wanted.permitted = two;
            try expectEqual(linux.negative(.PERM), privileges.capabilitySets(&wanted));
            try expectEqual(one, try setOf("CapPrm"));
        }
    }.body);
}

test "issue 17, 8: after setuid a child has its ambient set, its securebits, and then the sets that are given" {
    if (linux.result(.geteuid, .{}) != 0) return error.SkipZigTest;
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            const two: u64 = 1 << CAP_CHOWN | 1 << CAP_KILL;
            try expectEqual(0, privileges.boundingSet(&.{ .kept = two }));
            try expectEqual(0, privileges.keepCapabilities());
            try expectEqual(0, linux.result(.setuid, .{nobody}));
            try expectEqual(0, try setOf("CapEff"));
            try expectEqual(0, privileges.ambientSet(&.{ .capabilities = two }));
            // From here on nobody raises one any more: so it comes after the ambient set.
            try expectEqual(0, privileges.securebits(&.{ .bits = SECBIT_NO_CAP_AMBIENT_RAISE }));
            try expectEqual(SECBIT_NO_CAP_AMBIENT_RAISE, prctl(PR_GET_SECUREBITS, 0));
            try expectEqual(linux.negative(.PERM), privileges.ambientSet(&.{ .capabilities = two }));
            // What put them in effect was there for that one call.
            try expectEqual(0, try setOf("CapEff"));
            const wanted: abi.CapabilitySets = .{ .permitted = two, .effective = 0, .inheritable = two, .given = 5 };
            try expectEqual(0, privileges.capabilitySets(&wanted));
            try expectEqual(.{ two, two }, .{ try setOf("CapPrm"), try setOf("CapAmb") });
            try expectEqual(true, hasAmbient(CAP_KILL));
            // Now who asks has no right to it, and for what is so already needs none.
            try expectEqual(linux.negative(.PERM), privileges.securebits(&.{ .bits = 1 }));
            try expectEqual(0, privileges.securebits(&.{ .bits = SECBIT_NO_CAP_AMBIENT_RAISE }));
        }
    }.body);
}

test "issue 17, 8: securebits as they are take no right, though capabilities are kept" {
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            const before = prctl(PR_GET_SECUREBITS, 0);
            const nothing: abi.CapabilitySets = .{ .permitted = 0, .effective = 0, .inheritable = 0, .given = 7 };
            try expectEqual(0, privileges.capabilitySets(&nothing));
            try expectEqual(0, privileges.keepCapabilities());
            try expectEqual(0, privileges.securebits(&.{ .bits = @intCast(before) }));
            try expectEqual(linux.negative(.PERM), privileges.securebits(&.{ .bits = @intCast(before ^ 1) }));
        }
    }.body);
}

test "issue 17, 8: a child has a session keyring of its own" {
    const KEYCTL_GET_KEYRING_ID = 0;
    const KEY_SPEC_SESSION_KEYRING = -3;
    const session = struct {
        fn session() i32 {
            return linux.result(.keyctl, .{ KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0 });
        }
    }.session;
    const before = session();
    // No keys in this kernel, or not for this container.
    if (before == linux.negative(.NOSYS) or before == linux.negative(.PERM)) return error.SkipZigTest;
    try fork.inChild(before, struct {
        fn body(given: i32) !void {
            try expectEqual(0, privileges.newKeyring());
            const own = session();
            try std.testing.expect(own > 0 and own != given);
        }
    }.body);
    try expectEqual(before, session());
}

test "issue 17, 8: a child is dumpable or not, and gets no new privileges" {
    const before = prctl(PR_GET_DUMPABLE, 0);
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            try expectEqual(0, privileges.dumpable(&.{ .value = 0 }));
            try expectEqual(0, prctl(PR_GET_DUMPABLE, 0));
            try expectEqual(0, privileges.dumpable(&.{ .value = 1 }));
            try expectEqual(1, prctl(PR_GET_DUMPABLE, 0));
            // 2 is the kernel's alone to set.
            try expectEqual(linux.negative(.INVAL), privileges.dumpable(&.{ .value = 2 }));
            try expectEqual(0, privileges.noNewPrivileges());
            try expectEqual(1, prctl(PR_GET_NO_NEW_PRIVS, 0));
        }
    }.body);
    try expectEqual(before, prctl(PR_GET_DUMPABLE, 0));
}

const Instruction = extern struct { code: u16, if_true: u8 = 0, if_false: u8 = 0, k: u32 };

/// Of the calls one has this answer, and all others pass.
const Filter = extern struct {
    fields: abi.Seccomp,
    instructions: [4]Instruction,

    const allow = 0x7fff_0000;
    const errno = 0x5_0000;
    const kill = 0x8000_0000;

    fn init(number: linux.Number, verdict: u32) Filter {
        return .{
            .fields = .{ .filter = .{ .offset = @sizeOf(abi.Seccomp), .length = 4 * @sizeOf(Instruction) } },
            .instructions = .{
                .{ .code = 0x20, .k = 0 },
                .{ .code = 0x15, .if_false = 1, .k = @intCast(@backingInt(number)) },
                .{ .code = 0x06, .k = verdict },
                .{ .code = 0x06, .k = allow },
            },
        };
    }
};

/// It is not there under qemu-user.
fn needsSeccomp() !void {
    const PR_GET_SECCOMP = 21;
    if (prctl(PR_GET_SECCOMP, 0) < 0) return error.SkipZigTest;
}

test "issue 17, 10: a filter answers for the kernel, without privileges to come or with CAP_SYS_ADMIN" {
    try needsSeccomp();
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            const filter: Filter = .init(.getppid, Filter.errno | 93);
            if (linux.result(.geteuid, .{}) != 0) {
                try expectEqual(linux.negative(.ACCES), privileges.filter(&filter.fields));
            }
            try expectEqual(0, privileges.noNewPrivileges());
            try expectEqual(0, privileges.filter(&filter.fields));
            try expectEqual(-93, linux.result(.getppid, .{}));
        }
    }.body);
}

test "issue 17, 10: a filter that the kernel does not take is refused" {
    try needsSeccomp();
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            try expectEqual(0, privileges.noNewPrivileges());
            var filter: Filter = .init(.getppid, Filter.kill);
            for ([_]u32{ 0, 7, 31 }) |length| {
                filter.fields.filter.length = length;
                try expectEqual(linux.negative(.INVAL), privileges.filter(&filter.fields));
            }
            // It ends without an answer.
            filter.fields.filter.length = 16;
            try expectEqual(linux.negative(.INVAL), privileges.filter(&filter.fields));
        }
    }.body);
}

test "issue 17, 10: without seccomp(2) a filter goes in by prctl(2)" {
    try needsSeccomp();
    try fork.inChild({}, struct {
        fn body(_: void) !void {
            try expectEqual(0, privileges.noNewPrivileges());
            const without: Filter = .init(.seccomp, Filter.errno | 38);
            try expectEqual(0, privileges.filter(&without.fields));
            const filter: Filter = .init(.getppid, Filter.errno | 93);
            try expectEqual(0, privileges.filter(&filter.fields));
            try expectEqual(-93, linux.result(.getppid, .{}));
        }
    }.body);
}
