//! The host's libc: what the libc path of a start calls, on macOS and, for its tests, on Linux.
//!
//! On Linux every symbol is weak, so that the library itself needs no libc and one file serves glibc
//! and musl: the host has loaded one, and its loader has filled these in. On macOS they are libSystem's.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi/abi.zig");
const linux = @import("linux.zig");
const plans = @import("../child/plan.zig");
const assert = std.debug.assert;

const is_linux = builtin.os.tag == .linux;

/// A function of libc, or null in a host that has none of it.
pub fn function(comptime name: []const u8, comptime F: type) ?*const F {
    return @extern(?*const F, .{ .name = name, .linkage = if (is_linux) .weak else .strong });
}

/// The host's own environment, as libc keeps it.
pub fn environment() ?plans.Strings {
    if (is_linux) {
        // Not const: what is declared so the compiler reads once, whatever changes it meanwhile.
        const environ = @extern(?*volatile ?plans.Strings, .{ .name = "environ", .linkage = .weak });
        return (environ orelse return null).*;
    }
    // Only the main program may use `environ` itself there.
    const get = function("_NSGetEnviron", fn () callconv(.c) *const ?plans.Strings).?;
    return get().*;
}

/// struct sigaction of glibc and musl, which is not the kernel's; and of macOS.
pub const Sigaction = if (is_linux) extern struct {
    handler: usize = 0,
    mask: Sigset = @splat(0),
    flags: i32 = 0,
    restorer: usize = 0,

    comptime {
        assert(@sizeOf(@This()) == 152);
    }
} else extern struct {
    handler: usize = 0,
    mask: Sigset = 0,
    flags: i32 = 0,

    comptime {
        assert(@sizeOf(@This()) == @sizeOf(std.c.Sigaction));
        assert(@offsetOf(@This(), "flags") == @offsetOf(std.c.Sigaction, "flags"));
    }
};

pub const Sigset = if (is_linux) [16]u64 else u32;
pub const sigset_none: Sigset = if (is_linux) @splat(0) else 0;
pub const SIG_SETMASK = if (is_linux) 2 else 3;
pub const SIG_IGN = 1;
pub const SIGPIPE = 13;
pub const SIGXFSZ = 25;
/// One more than the last signal.
pub const NSIG = if (is_linux) 65 else 32;

/// Memory that counts as 64-bit words on both, and times whose microseconds are 32 bits on macOS.
pub const Rusage = if (is_linux) linux.Rusage else std.c.rusage;
/// Bytes in a unit of `Rusage.maxrss`.
pub const rss_unit = if (is_linux) 1024 else 1;

pub const F_DUPFD = 0;

pub const TIOCSPGRP: c_ulong = if (is_linux) 0x5410 else 0x8004_7476;
pub const TIOCSCTTY: c_ulong = if (is_linux) 0x540e else 0x2000_7461;
pub const TIOCNOTTY: c_ulong = if (is_linux) 0x5422 else 0x2000_7471;

/// The last argument of ptrace(2): a pointer on Linux, an int on macOS.
pub const ptrace_data = if (is_linux) @as(?*anyopaque, null) else @as(i32, 0);
const PtraceAnswer = if (is_linux) c_long else i32;

pub const P_PID = 1;
pub const WNOHANG = 1;
pub const WEXITED = 4;
pub const WNOWAIT = if (is_linux) linux.WNOWAIT else 0x20;

/// The part of siginfo_t that waitid(2) fills.
pub const ChildInfo = if (is_linux) linux.ChildInfo else extern struct {
    signo: i32 = 0,
    errno: i32 = 0,
    code: i32 = 0,
    pid: i32 = 0,
    uid: u32 = 0,
    status: i32 = 0,
    rest: [80]u8 = @splat(0),

    comptime {
        assert(@sizeOf(@This()) == @sizeOf(std.c.siginfo_t));
        assert(@offsetOf(@This(), "status") == @offsetOf(std.c.siginfo_t, "status"));
    }
};

comptime {
    assert(@sizeOf(Rusage) == 144);
}

/// What `proc_pidinfo` tells of a descriptor: struct proc_fdinfo.
pub const OpenDescriptor = extern struct { fd: i32, kind: u32 };

/// The functions of a start, looked up before the fork: a first call through a lazily bound symbol
/// takes the dynamic linker's lock, which another thread may hold for ever in the child's copy.
pub const Functions = struct {
    fork: *const fn () callconv(.c) i32,
    _exit: *const fn (i32) callconv(.c) noreturn,
    execve: *const fn (plans.String, plans.Strings, plans.Strings) callconv(.c) i32,
    setsid: *const fn () callconv(.c) i32,
    setpgid: *const fn (i32, i32) callconv(.c) i32,
    getpgid: *const fn (i32) callconv(.c) i32,
    chroot: *const fn (plans.String) callconv(.c) i32,
    chdir: *const fn (plans.String) callconv(.c) i32,
    setgroups: *const fn (if (is_linux) usize else i32, [*]const u32) callconv(.c) i32,
    setgid: *const fn (u32) callconv(.c) i32,
    setuid: *const fn (u32) callconv(.c) i32,
    close: *const fn (i32) callconv(.c) i32,
    dup2: *const fn (i32, i32) callconv(.c) i32,
    fcntl: *const fn (i32, i32, ...) callconv(.c) i32,
    poll: *const fn (?[*]abi.Poll, if (is_linux) usize else u32, i32) callconv(.c) i32,
    sigaction: *const fn (i32, ?*const Sigaction, ?*Sigaction) callconv(.c) i32,
    sigprocmask: *const fn (i32, *const Sigset, ?*Sigset) callconv(.c) i32,
    getpid: *const fn () callconv(.c) i32,
    ioctl: *const fn (i32, c_ulong, ...) callconv(.c) i32,
    setpriority: *const fn (i32, u32, i32) callconv(.c) i32,
    setrlimit: *const fn (i32, *const [2]u64) callconv(.c) i32,
    umask: *const fn (if (is_linux) u32 else u16) callconv(.c) if (is_linux) u32 else u16,
    ptrace: *const fn (i32, i32, ?*anyopaque, @TypeOf(ptrace_data)) callconv(.c) PtraceAnswer,
    getdtablesize: Darwin(fn () callconv(.c) i32),
    proc_pidinfo: Darwin(fn (i32, i32, u64, [*]OpenDescriptor, i32) callconv(.c) i32),
    /// Where this thread, which will be the child's, has its errno.
    errno: *const i32,

    fn Darwin(comptime F: type) type {
        return if (is_linux) void else *const F;
    }

    /// Null in a host without libc.
    pub fn find() ?Functions {
        var functions: Functions = undefined;
        inline for (comptime std.meta.fieldNames(Functions)) |name| {
            const Field = @FieldType(Functions, name);
            if (comptime std.mem.eql(u8, name, "errno")) {
                functions.errno = errnoPlace() orelse return null;
            } else if (Field != void) {
                const F = @typeInfo(Field).pointer.child;
                @field(functions, name) = function(name, F) orelse return null;
            }
        }
        return functions;
    }
};

fn errnoPlace() ?*const i32 {
    const name = if (is_linux) "__errno_location" else "__error";
    const place = function(name, fn () callconv(.c) *const i32) orelse return null;
    return place();
}

/// What a function of libc answered, or -errno.
pub fn result(answered: i32) i32 {
    return if (answered == -1) -errnoPlace().?.* else answered;
}
