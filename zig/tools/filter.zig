//! A seccomp filter that refuses some system calls, for the tests: a sandbox or an old kernel, made to
//! measure.
//!
//! A rule is a call's name, and perhaps what its arguments must be, by their numbers from 0:
//!
//!     clone3                       every clone3
//!     prctl:0=8                    PR_SET_KEEPCAPS
//!     rt_sigprocmask:0=2,2=0       SIG_SETMASK that does not ask for the old mask
//!
//! Of each argument only the lower 32 bits are looked at: the upper ones of an int are anything.

const std = @import("std");
const builtin = @import("builtin");
const linux = std.os.linux;

pub const Error = error{ BadRule, BadAction, TooManyRules };

/// AUDIT_ARCH_*: the ELF machine, 64 bits, little-endian. (Zig 0.17.1's own table does not compile.)
const architecture: u32 = 0xc000_0000 | @as(u32, switch (builtin.cpu.arch) {
    .x86_64 => 62,
    .aarch64 => 183,
    else => @compileError("no filter for this architecture"),
});

/// struct sock_filter.
const Instruction = extern struct {
    code: u16,
    if_true: u8 = 0,
    if_false: u8 = 0,
    k: u32,

    const load = 0x20;
    const jump_equal = 0x15;
    const answer = 0x06;
};

/// struct sock_fprog.
const Program = extern struct {
    length: u16,
    instructions: [*]const Instruction,
};

pub const Filter = struct {
    instructions: [1024]Instruction = undefined,
    length: u16 = 0,

    /// A filter that lets everything pass, and calls of another architecture for good.
    pub fn init() Filter {
        var filter: Filter = .{};
        filter.append(.{ .code = Instruction.load, .k = @offsetOf(linux.SECCOMP.data, "arch") });
        filter.append(.{ .code = Instruction.jump_equal, .if_true = 1, .k = architecture });
        filter.append(.{ .code = Instruction.answer, .k = linux.SECCOMP.RET.ALLOW });
        return filter;
    }

    /// Adds a rule; of those that match a call the first one counts. The action is an errno by name
    /// (ENOSYS), KILL (SIGSYS for the process), ASK (a supervisor: see injector.zig), or ALLOW.
    pub fn add(filter: *Filter, rule: []const u8, action: []const u8) Error!void {
        const verdict = try parseAction(action);
        var parts = std.mem.splitScalar(u8, rule, ':');
        const name = parts.first();
        const number = std.meta.stringToEnum(linux.SYS, name) orelse return error.BadRule;
        const conditions = parts.rest();
        const count: u16 = if (conditions.len == 0)
            0
        else
            @intCast(std.mem.countScalar(u8, conditions, ',') + 1);
        if (count > 6) return error.BadRule;
        // A test is a load and a jump; what does not match goes on behind this rule's answer.
        var left: u16 = 2 * (count + 1) + 1;
        if (filter.length + left + 1 > filter.instructions.len) return error.TooManyRules;
        left -= 2;
        filter.expect(@offsetOf(linux.SECCOMP.data, "nr"), @intCast(@backingInt(number)), left);
        var rest = std.mem.splitScalar(u8, conditions, ',');
        for (0..count) |_| {
            const condition = rest.next() orelse return error.BadRule;
            const equals = std.mem.findScalar(u8, condition, '=') orelse return error.BadRule;
            const index = std.fmt.parseInt(u3, condition[0..equals], 10) catch return error.BadRule;
            if (index > 5) return error.BadRule;
            const value = std.fmt.parseInt(i64, condition[equals + 1 ..], 0) catch {
                return error.BadRule;
            };
            left -= 2;
            const offset = @offsetOf(linux.SECCOMP.data, "arg0") + 8 * @as(u32, index);
            filter.expect(offset, @truncate(@as(u64, @bitCast(value))), left);
        }
        filter.append(.{ .code = Instruction.answer, .k = verdict });
    }

    /// Goes `otherwise` instructions further unless the word at `offset` is `value`.
    fn expect(filter: *Filter, offset: u32, value: u32, otherwise: u16) void {
        filter.append(.{ .code = Instruction.load, .k = offset });
        filter.append(.{
            .code = Instruction.jump_equal,
            .if_false = @intCast(otherwise),
            .k = value,
        });
    }

    fn append(filter: *Filter, instruction: Instruction) void {
        filter.instructions[filter.length] = instruction;
        filter.length += 1;
    }

    /// Puts it over this process and all that it will start. Answers as the system call does.
    pub fn install(filter: *Filter) usize {
        return filter.installWith(0);
    }

    /// The same with flags of SECCOMP_SET_MODE_FILTER.
    pub fn installWith(filter: *Filter, flags: u32) usize {
        filter.append(.{ .code = Instruction.answer, .k = linux.SECCOMP.RET.ALLOW });
        const program: Program = .{
            .length = filter.length,
            .instructions = &filter.instructions,
        };
        const answer = linux.seccomp(linux.SECCOMP.SET_MODE_FILTER, flags, &program);
        if (@as(isize, @bitCast(answer)) >= 0) return answer;
        // Without CAP_SYS_ADMIN the kernel asks for this first. Not done for root, who would lose
        // what the tests want to see: a set-user-ID program, and capabilities of files.
        const PR_SET_NO_NEW_PRIVS = 38;
        _ = linux.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        return linux.seccomp(linux.SECCOMP.SET_MODE_FILTER, flags, &program);
    }
};

fn parseAction(action: []const u8) Error!u32 {
    if (std.mem.eql(u8, action, "KILL")) return linux.SECCOMP.RET.KILL_PROCESS;
    if (std.mem.eql(u8, action, "ASK")) return linux.SECCOMP.RET.USER_NOTIF;
    if (std.mem.eql(u8, action, "ALLOW")) return linux.SECCOMP.RET.ALLOW;
    if (action.len < 2 or action[0] != 'E') return error.BadAction;
    const errno = std.meta.stringToEnum(linux.E, action[1..]) orelse return error.BadAction;
    return @as(u32, linux.SECCOMP.RET.ERRNO) | @as(u32, @backingInt(errno));
}

/// What the filter says to a call: a BPF machine of the three instructions there are.
fn judge(filter: *const Filter, number: linux.SYS, arguments: [6]u32) u32 {
    var at: usize = 0;
    var loaded: u32 = 0;
    while (at < filter.length) : (at += 1) {
        const instruction = filter.instructions[at];
        switch (instruction.code) {
            Instruction.load => loaded = switch (instruction.k) {
                0 => @intCast(@backingInt(number)),
                4 => architecture,
                else => |offset| arguments[(offset - 16) / 8],
            },
            Instruction.jump_equal => at += if (loaded == instruction.k)
                instruction.if_true
            else
                instruction.if_false,
            else => return instruction.k,
        }
    }
    return linux.SECCOMP.RET.ALLOW;
}

test "a rule is for its call, and for the arguments it names" {
    var filter: Filter = .init();
    try filter.add("clone3:1=64", "EPERM");
    try filter.add("rt_sigprocmask:0=2,2=0", "KILL");
    try filter.add("setsid", "ENOSYS");
    const allow = linux.SECCOMP.RET.ALLOW;
    const errno = linux.SECCOMP.RET.ERRNO;
    try std.testing.expectEqual(errno + 1, judge(&filter, .clone3, .{ 7, 64, 0, 0, 0, 0 }));
    try std.testing.expectEqual(allow, judge(&filter, .clone3, .{ 64, 88, 0, 0, 0, 0 }));
    const kill = linux.SECCOMP.RET.KILL_PROCESS;
    try std.testing.expectEqual(kill, judge(&filter, .rt_sigprocmask, .{ 2, 9, 0, 8, 0, 0 }));
    try std.testing.expectEqual(allow, judge(&filter, .rt_sigprocmask, .{ 2, 9, 9, 8, 0, 0 }));
    try std.testing.expectEqual(errno + 38, judge(&filter, .setsid, @splat(0)));
    try std.testing.expectEqual(allow, judge(&filter, .setpgid, @splat(0)));
}

test "of two rules for a call the first one counts" {
    var filter: Filter = .init();
    try filter.add("clone3:1=88", "ALLOW");
    try filter.add("clone3", "EPERM");
    const allow = linux.SECCOMP.RET.ALLOW;
    try std.testing.expectEqual(allow, judge(&filter, .clone3, .{ 0, 88, 0, 0, 0, 0 }));
    try std.testing.expect(judge(&filter, .clone3, .{ 0, 64, 0, 0, 0, 0 }) != allow);
}

test "a rule that means nothing is refused" {
    var filter: Filter = .init();
    const rules = [_][]const u8{ "", "clone4", "prctl:0", "prctl:6=1", "prctl:0=x", "prctl:0=1,", ":0=1" };
    for (rules) |rule| {
        try std.testing.expectError(error.BadRule, filter.add(rule, "EPERM"));
    }
    for ([_][]const u8{ "", "E", "PERM", "ENOTHING" }) |action| {
        try std.testing.expectError(error.BadAction, filter.add("setsid", action));
    }
}
