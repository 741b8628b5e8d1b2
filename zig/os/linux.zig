//! Raw Linux system calls, as the parent side and the child side share them.
//!
//! Everything here is one instruction away from the kernel: no libc, no errno variable, no
//! cancellation point, no retry. A result below zero is a negated errno.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi/abi.zig");
const linux = std.os.linux;

pub const Number = linux.SYS;
pub const E = linux.E;

/// Every signal, 32 and 33 included: libc's sigfillset leaves those out, and a setxid broadcast
/// that reached a child sharing our memory would run its handler there (musl a0473a0c).
pub const sigset_all: u64 = ~@as(u64, 0);

/// All but the signals libc keeps for itself (32 to 34): a thread that blocks those would hang every
/// setuid of the process.
pub const sigset_thread: u64 = sigset_all & ~@as(u64, 0b111 << 31);

pub const SIGKILL = 9;
pub const SIGPIPE = 13;
pub const SIGCHLD = 17;
pub const SIGXFSZ = 25;
pub const SIG_BLOCK = 0;
pub const SIG_SETMASK = 2;

pub const O_NONBLOCK = 0o4000;
pub const O_CLOEXEC = 0o2000000;
pub const O_RDWR = 2;
pub const O_PATH = 0o10000000;
pub const O_DIRECTORY: u32 = if (builtin.cpu.arch == .aarch64) 0o40000 else 0o200000;

pub const F_GETFD = 1;
pub const F_SETFD = 2;
pub const F_GETFL = 3;
pub const F_SETFL = 4;
pub const F_DUPFD_CLOEXEC = 1030;
pub const F_SETPIPE_SZ = 1031;
pub const FD_CLOEXEC = 1;
pub const AT_FDCWD: i32 = -100;
pub const AT_EACCESS = 0x200;
pub const AT_EMPTY_PATH = 0x1000;

pub const PROT_NONE = 0;
pub const PROT_READ = 1;
pub const PROT_WRITE = 2;
pub const MAP_SHARED = 0x01;
pub const MAP_PRIVATE = 0x02;
pub const MAP_ANONYMOUS = 0x20;
pub const MAP_NORESERVE = 0x4000;

pub const CLOSE_RANGE_UNSHARE = 2;

pub const P_ALL = 0;
pub const P_PID = 1;
pub const P_PIDFD = 3;
pub const WNOHANG = 1;
pub const WSTOPPED = 2;
pub const WEXITED = 4;
pub const WNOWAIT = 0x0100_0000;
pub const WALL = 0x4000_0000;

pub const EPOLLIN = 1;
pub const EPOLLOUT = 4;
pub const EPOLLERR = 8;
pub const EPOLLHUP = 16;
pub const EPOLLRDHUP = 0x2000;
pub const EPOLLONESHOT: u32 = 1 << 30;
pub const EPOLL_CTL_ADD = 1;
pub const EPOLL_CTL_DEL = 2;
pub const EPOLL_CTL_MOD = 3;

pub const FUTEX_WAIT = 0;
pub const FUTEX_WAKE = 1;
pub const FUTEX_PRIVATE = 128;

/// One system call; integers and pointers alike. Negative: -errno.
pub inline fn call(number: Number, arguments: anytype) isize {
    const a = arguments;
    return @bitCast(switch (a.len) {
        0 => linux.syscall0(number),
        1 => linux.syscall1(number, word(a[0])),
        2 => linux.syscall2(number, word(a[0]), word(a[1])),
        3 => linux.syscall3(number, word(a[0]), word(a[1]), word(a[2])),
        4 => linux.syscall4(number, word(a[0]), word(a[1]), word(a[2]), word(a[3])),
        5 => linux.syscall5(number, word(a[0]), word(a[1]), word(a[2]), word(a[3]), word(a[4])),
        6 => linux.syscall6(
            number,
            word(a[0]),
            word(a[1]),
            word(a[2]),
            word(a[3]),
            word(a[4]),
            word(a[5]),
        ),
        else => @compileError("a system call takes at most six arguments"),
    });
}

/// The same, narrowed to the i32 that crosses the boundary.
pub inline fn result(number: Number, arguments: anytype) i32 {
    return @truncate(call(number, arguments));
}

/// The same, again as long as a signal interrupts it.
pub fn retry(number: Number, arguments: anytype) i32 {
    while (true) {
        const answer = result(number, arguments);
        if (answer != negative(.INTR)) return answer;
    }
}

inline fn word(value: anytype) usize {
    return switch (@typeInfo(@TypeOf(value))) {
        .pointer => @intFromPtr(value),
        .optional => @intFromPtr(value),
        .comptime_int => @bitCast(@as(isize, value)),
        .int => |info| if (info.signedness == .signed)
            @bitCast(@as(isize, value))
        else
            @as(usize, value),
        .null => 0,
        else => @compileError("not an argument of a system call: " ++ @typeName(@TypeOf(value))),
    };
}

pub inline fn negative(comptime e: E) i32 {
    return -@as(i32, @backingInt(e));
}

pub fn close(fd: i32) void {
    _ = call(.close, .{fd});
}

/// Sets this thread's signal mask, and answers the one before.
pub fn maskSignals(mask: u64) u64 {
    var before: u64 = 0;
    _ = call(.rt_sigprocmask, .{ SIG_SETMASK, &mask, &before, @sizeOf(u64) });
    return before;
}

pub fn map(length: usize, protection: u32, flags: u32) ?[*]align(std.heap.page_size_min) u8 {
    const address = call(.mmap, .{ null, length, protection, flags | MAP_ANONYMOUS, -1, 0 });
    if (address < 0 and address > -4096) return null;
    return @ptrFromInt(@as(usize, @bitCast(address)));
}

pub fn unmap(address: [*]u8, length: usize) void {
    _ = call(.munmap, .{ address, length });
}

pub fn protect(address: [*]u8, length: usize, protection: u32) i32 {
    return result(.mprotect, .{ address, length, protection });
}

pub fn openFile(path: [*]const u8, flags: i32, mode: i32) i32 {
    return retry(.openat, .{ AT_FDCWD, path, flags | O_CLOEXEC, mode });
}

/// Not repeated on EINTR: Linux has let go of the descriptor all the same, and the number may be
/// another thread's by then.
pub fn closeFile(fd: i32) i32 {
    return result(.close, .{fd});
}

pub fn pipe(ends: *[2]i32) i32 {
    return result(.pipe2, .{ ends, O_CLOEXEC });
}

pub fn socketPair(ends: *[2]i32, has_packets: bool) i32 {
    const AF_UNIX = 1;
    const SOCK_STREAM = 1;
    const SOCK_SEQPACKET = 5;
    const kind: u32 = if (has_packets) SOCK_SEQPACKET else SOCK_STREAM;
    return result(.socketpair, .{ AF_UNIX, kind | O_CLOEXEC, 0, ends });
}

/// Nothing more will be written: who reads on the other side comes to the end.
pub fn endWriting(socket: i32) i32 {
    const SHUT_WR = 1;
    return result(.shutdown, .{ socket, SHUT_WR });
}

pub fn read(fd: i32, buffer: [*]u8, length: usize) i32 {
    return retry(.read, .{ fd, buffer, length });
}

pub fn write(fd: i32, buffer: [*]const u8, length: usize) i32 {
    return retry(.write, .{ fd, buffer, length });
}

/// Without SIGPIPE when nobody reads any more.
pub fn send(socket: i32, buffer: [*]const u8, length: usize) i32 {
    const MSG_NOSIGNAL = 0x4000;
    return retry(.sendto, .{ socket, buffer, length, MSG_NOSIGNAL, null, 0 });
}

/// The same, of as much as can be taken now.
pub fn sendNow(socket: i32, buffer: [*]const u8, length: usize) i32 {
    const MSG_NOSIGNAL = 0x4000;
    const MSG_DONTWAIT = 0x40;
    return retry(.sendto, .{ socket, buffer, length, MSG_NOSIGNAL | MSG_DONTWAIT, null, 0 });
}

/// A negative time is no bound.
pub fn poll(entries: [*]abi.Poll, count: u32, timeout_ms: i32) i32 {
    var time: Timespec = .{
        .sec = @divTrunc(timeout_ms, 1000),
        .nsec = @as(i64, @rem(timeout_ms, 1000)) * 1_000_000,
    };
    const bound: ?*Timespec = if (timeout_ms < 0) null else &time;
    return result(.ppoll, .{ entries, count, bound, null, 8 });
}

/// Sets the position back, and answers 0.
pub fn moveBack(fd: i32, length: i32) i32 {
    const SEEK_CUR = 1;
    const answer = call(.lseek, .{ fd, -@as(isize, length), SEEK_CUR });
    return if (answer < 0) @truncate(answer) else 0;
}

/// Takes back the SIGPIPE that a write of this thread has raised, while it is blocked.
pub fn discardSigpipe() void {
    const set: u64 = 1 << (SIGPIPE - 1);
    const time: Timespec = .{ .sec = 0, .nsec = 0 };
    _ = call(.rt_sigtimedwait, .{ &set, null, &time, 8 });
}

/// What tells an open file from others of its kind: its inode; 0 where that is not to be had.
pub fn fileNumber(fd: i32) u64 {
    var status: Statx = undefined;
    const found = result(.statx, .{ fd, "", AT_EMPTY_PATH, Statx.INO, &status });
    return if (found < 0) 0 else status.inode;
}

pub fn threadId() i32 {
    return result(.gettid, .{});
}

/// Whether a thread of this process has that number.
pub fn isThread(tid: i32) bool {
    return result(.tgkill, .{ result(.getpid, .{}), tid, 0 }) != negative(.SRCH);
}

pub fn yield() void {
    _ = call(.sched_yield, .{});
}

pub fn ioctl(fd: i32, request: u32, argument: usize) i32 {
    return result(.ioctl, .{ fd, request, argument });
}

pub fn fcntl(fd: i32, command: i32, argument: i32) i32 {
    return result(.fcntl, .{ fd, command, argument });
}

/// The type and permissions of what `path` leads to: struct stat's st_mode.
pub fn fileMode(path: [*]const u8) i32 {
    var status: Statx = undefined;
    const found = result(.statx, .{ AT_FDCWD, path, 0, Statx.TYPE | Statx.MODE, &status });
    return if (found < 0) found else status.mode;
}

/// The same of what a descriptor is open on.
pub fn openMode(fd: i32) i32 {
    var status: Statx = undefined;
    const mask = Statx.TYPE | Statx.MODE;
    const found = result(.statx, .{ fd, "", AT_EMPTY_PATH, mask, &status });
    return if (found < 0) found else status.mode;
}

/// Makes a file that is this process's user's another one's; leaves what is somebody else's as it is.
pub fn give(fd: i32, uid: u32) i32 {
    var status: Statx = undefined;
    const found = result(.statx, .{ fd, "", AT_EMPTY_PATH, Statx.UID, &status });
    if (found < 0) return found;
    const own: u32 = @bitCast(result(.geteuid, .{}));
    if (status.uid != own or uid == own) return 0;
    const as_it_is: i32 = -1;
    return result(.fchown, .{ fd, uid, as_it_is });
}

/// Whether a descriptor is open in a /proc that is one.
pub fn isProc(fd: i32) bool {
    const PROC_SUPER_MAGIC = 0x9fa0;
    // struct statfs, whose first word is the type: 120 bytes.
    var status: [15]u64 = @splat(0);
    return result(.fstatfs, .{ fd, &status }) == 0 and status[0] == PROC_SUPER_MAGIC;
}

/// How many descriptors this process has open, or -1: Linux < 6.2, or no /proc.
pub fn openCount() i64 {
    var status: Statx = undefined;
    const found = result(.statx, .{ AT_FDCWD, "/proc/self/fd", 0, Statx.SIZE, &status });
    return if (found < 0 or status.size == 0) -1 else @intCast(status.size);
}

const Statx = extern struct {
    mask: u32,
    block_size: u32,
    attributes: u64,
    links: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    padding: u16,
    inode: u64,
    size: u64,
    rest: [208]u8,

    const TYPE = 1;
    const MODE = 2;
    const UID = 8;
    const INO = 0x100;
    const SIZE = 0x200;

    comptime {
        std.debug.assert(@sizeOf(Statx) == 256);
        std.debug.assert(@offsetOf(Statx, "mode") == 28);
        std.debug.assert(@offsetOf(Statx, "size") == 40);
    }
};

/// Whether this process's effective user may execute `path`.
pub fn mayExecute(path: [*]const u8) i32 {
    const X_OK = 1;
    return result(.faccessat2, .{ AT_FDCWD, path, X_OK, AT_EACCESS });
}

/// The length, NUL included.
pub fn workingDirectory(buffer: [*]u8, length: usize) i32 {
    return result(.getcwd, .{ buffer, length });
}

/// One more than the highest descriptor this process can ever have.
pub fn descriptorsMax() u64 {
    const RLIMIT_NOFILE = 7;
    var limit: [2]u64 = .{ 0, 0 };
    _ = call(.prlimit64, .{ 0, RLIMIT_NOFILE, null, &limit });
    return limit[1];
}

/// Nothing to keep apart: pipe2 and socketpair set FD_CLOEXEC themselves.
pub fn beginFork() void {}
pub fn endFork() void {}

/// struct epoll_event: packed on x86-64 alone.
pub const EpollEvent = if (builtin.cpu.arch == .x86_64)
    extern struct {
        events: u32,
        data: u64 align(4),

        comptime {
            std.debug.assert(@sizeOf(@This()) == 12);
        }
    }
else
    extern struct {
        events: u32,
        data: u64,

        comptime {
            std.debug.assert(@sizeOf(@This()) == 16);
        }
    };

/// The kernel's struct sigaction: x86-64 and arm64 both have SA_RESTORER (asm/signal.h), and with it the field.
pub const KernelSigaction = extern struct {
    handler: usize = 0,
    flags: usize = 0,
    restorer: usize = 0,
    mask: u64 = 0,

    comptime {
        const assert = std.debug.assert;
        const theirs = linux.k_sigaction;
        assert(@sizeOf(KernelSigaction) == @sizeOf(theirs));
        assert(@offsetOf(KernelSigaction, "flags") == @offsetOf(theirs, "flags"));
        assert(@offsetOf(KernelSigaction, "restorer") == @offsetOf(theirs, "restorer"));
        assert(@offsetOf(KernelSigaction, "mask") == @offsetOf(theirs, "mask"));
        assert(@sizeOf(KernelSigaction) == 32);
    }
};

/// struct rusage of a 64-bit kernel.
pub const Rusage = extern struct {
    utime: Timeval,
    stime: Timeval,
    /// KiB.
    maxrss: i64,
    ixrss: i64,
    idrss: i64,
    isrss: i64,
    minflt: i64,
    majflt: i64,
    nswap: i64,
    inblock: i64,
    oublock: i64,
    msgsnd: i64,
    msgrcv: i64,
    nsignals: i64,
    nvcsw: i64,
    nivcsw: i64,

    pub const Timeval = extern struct { sec: i64, usec: i64 };

    comptime {
        std.debug.assert(@sizeOf(Rusage) == 144);
    }
};

/// The part of siginfo_t that waitid(2) fills.
pub const ChildInfo = extern struct {
    signo: i32 = 0,
    errno: i32 = 0,
    code: i32 = 0,
    padding: i32 = 0,
    pid: i32 = 0,
    uid: u32 = 0,
    status: i32 = 0,
    rest: [100]u8 = @splat(0),

    comptime {
        std.debug.assert(@sizeOf(ChildInfo) == 128);
        std.debug.assert(@offsetOf(ChildInfo, "status") == 24);
    }
};

pub const Timespec = extern struct { sec: i64, nsec: i64 };

// What is written down here by hand, against what std has of the kernel's headers, on each architecture.
comptime {
    const assert = std.debug.assert;
    for (.{
        .{ EPOLLIN, linux.EPOLL.IN },            .{ EPOLLOUT, linux.EPOLL.OUT },
        .{ EPOLLERR, linux.EPOLL.ERR },          .{ EPOLLHUP, linux.EPOLL.HUP },
        .{ EPOLLRDHUP, linux.EPOLL.RDHUP },      .{ EPOLLONESHOT, linux.EPOLL.ONESHOT },
        .{ EPOLL_CTL_ADD, linux.EPOLL.CTL_ADD }, .{ EPOLL_CTL_DEL, linux.EPOLL.CTL_DEL },
        .{ EPOLL_CTL_MOD, linux.EPOLL.CTL_MOD }, .{ AT_FDCWD, linux.AT.FDCWD },
        .{ AT_EMPTY_PATH, linux.AT.EMPTY_PATH }, .{ F_GETFD, linux.F.GETFD },
        .{ F_SETFD, linux.F.SETFD },             .{ F_GETFL, linux.F.GETFL },
        .{ F_SETFL, linux.F.SETFL },             .{ F_DUPFD_CLOEXEC, linux.F.DUPFD_CLOEXEC },
        .{ FD_CLOEXEC, linux.FD_CLOEXEC },       .{ SIG_BLOCK, linux.SIG.BLOCK },
        .{ SIG_SETMASK, linux.SIG.SETMASK },
    }) |pair| assert(pair[0] == pair[1]);
    const flags: linux.O = .{ .ACCMODE = .RDWR, .NONBLOCK = true, .CLOEXEC = true, .DIRECTORY = true };
    assert(@as(u32, @bitCast(flags)) == O_RDWR | O_NONBLOCK | O_CLOEXEC | O_DIRECTORY);
    assert(@as(u32, @bitCast(linux.O{ .PATH = true })) == O_PATH);
    for (.{
        .{ SIGKILL, linux.SIG.KILL }, .{ SIGPIPE, linux.SIG.PIPE },
        .{ SIGCHLD, linux.SIG.CHLD }, .{ SIGXFSZ, linux.SIG.XFSZ },
    }) |pair| {
        assert(pair[0] == @backingInt(pair[1]));
    }
    assert(@sizeOf(EpollEvent) == @sizeOf(linux.epoll_event));
    assert(@offsetOf(EpollEvent, "data") == @offsetOf(linux.epoll_event, "data"));
    assert(@offsetOf(Rusage, "maxrss") == @offsetOf(linux.rusage, "maxrss"));
    assert(@offsetOf(Rusage, "nivcsw") == @offsetOf(linux.rusage, "nivcsw"));
    assert(@sizeOf(ChildInfo) == @sizeOf(linux.siginfo_t));
    assert(@sizeOf(Timespec) == @sizeOf(linux.timespec));
    assert(@sizeOf(abi.Poll) == @sizeOf(linux.pollfd));
    assert(@offsetOf(abi.Poll, "revents") == @offsetOf(linux.pollfd, "revents"));
    assert(@sizeOf(Statx) == @sizeOf(linux.Statx));
    assert(@offsetOf(Statx, "inode") == @offsetOf(linux.Statx, "ino"));
    assert(@offsetOf(Statx, "mode") == @offsetOf(linux.Statx, "mode"));
}

/// A mutual exclusion that needs no libc: three states, as in Drepper's "Futexes are tricky".
pub const Lock = extern struct {
    state: u32 = 0,

    pub fn acquire(lock: *Lock) void {
        if (@cmpxchgStrong(u32, &lock.state, 0, 1, .acquire, .monotonic) == null) return;
        while (@atomicRmw(u32, &lock.state, .Xchg, 2, .acquire) != 0) {
            _ = call(.futex, .{ &lock.state, FUTEX_WAIT | FUTEX_PRIVATE, 2, null, null, 0 });
        }
    }

    pub fn release(lock: *Lock) void {
        if (@atomicRmw(u32, &lock.state, .Xchg, 0, .release) == 2) {
            _ = call(.futex, .{ &lock.state, FUTEX_WAKE | FUTEX_PRIVATE, 1, null, null, 0 });
        }
    }
};

test "a lock is free again after release" {
    var lock: Lock = .{};
    lock.acquire();
    try std.testing.expectEqual(1, lock.state);
    lock.release();
    try std.testing.expectEqual(0, lock.state);
}

test "a failing call answers its errno, negated" {
    try std.testing.expectEqual(negative(.BADF), result(.close, .{-1}));
}

test "issue 15, 3: the kernel writes a sigaction where ours lies, and no byte beyond" {
    const Guarded = extern struct {
        before: u64 = 0xaaaa_aaaa_aaaa_aaaa,
        action: KernelSigaction = .{},
        after: [4]u64 = @splat(0x5555_5555_5555_5555),
    };
    const SIGUSR2 = 12;
    const SA_RESTART = 0x1000_0000;
    const given: KernelSigaction = .{ .handler = 1, .flags = SA_RESTART, .mask = 1 << 20 };
    var kept: KernelSigaction = .{};
    try std.testing.expectEqual(0, result(.rt_sigaction, .{ SIGUSR2, &given, &kept, 8 }));
    defer _ = result(.rt_sigaction, .{ SIGUSR2, &kept, null, 8 });
    var read_back: Guarded = .{};
    try std.testing.expectEqual(0, result(.rt_sigaction, .{ SIGUSR2, null, &read_back.action, 8 }));
    const untouched: Guarded = .{};
    try std.testing.expectEqual(untouched.before, read_back.before);
    try std.testing.expectEqualSlices(u64, &untouched.after, &read_back.after);
    try std.testing.expectEqual(1, read_back.action.handler);
    try std.testing.expectEqual(SA_RESTART, read_back.action.flags & SA_RESTART);
    try std.testing.expectEqual(1 << 20, read_back.action.mask);
}
