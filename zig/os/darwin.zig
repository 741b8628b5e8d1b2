//! macOS, through libSystem: its system call numbers are not stable, its functions are.
//!
//! The kernel facts that stand here were read in xnu-11417.101.15 (macOS 15.4).

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi/abi.zig");
const assert = std.debug.assert;

pub const E = std.c.E;

/// sigset_t is one word, of 31 signals.
pub const sigset_all: u32 = ~@as(u32, 0);
/// Libc keeps none for itself.
pub const sigset_thread: u32 = sigset_all;

pub const F_GETFD = 1;
pub const F_SETFD = 2;
pub const F_GETFL = 3;
pub const F_SETFL = 4;
pub const F_DUPFD_CLOEXEC = 67;
pub const FD_CLOEXEC = 1;
pub const O_NONBLOCK = 0x4;
const O_CLOEXEC = 0x0100_0000;
const AT_FDCWD = -2;

pub const PROT_NONE = 0;
pub const PROT_READ = 1;
pub const PROT_WRITE = 2;
pub const MAP_SHARED = 0x1;
pub const MAP_PRIVATE = 0x2;
pub const MAP_NORESERVE = 0x40;
const MAP_ANONYMOUS = 0x1000;

comptime {
    // Elsewhere this file is looked at for its types alone.
    if (builtin.os.tag == .macos) {
        assert(F_DUPFD_CLOEXEC == std.c.F.DUPFD_CLOEXEC);
        assert(@as(u32, @bitCast(std.c.O{ .CLOEXEC = true })) == O_CLOEXEC);
        assert(@as(u32, @bitCast(std.c.O{ .NONBLOCK = true })) == O_NONBLOCK);
        assert(@as(u32, @bitCast(std.c.MAP{ .TYPE = .PRIVATE, .ANONYMOUS = true })) == MAP_PRIVATE | MAP_ANONYMOUS);
        assert(@sizeOf(std.c.os_unfair_lock) == @sizeOf(Lock));
        assert(@sizeOf(std.c.rlimit) == 16);
        assert(@sizeOf(std.c.sigset_t) == @sizeOf(u32));
        assert(@sizeOf(std.c.pollfd) == @sizeOf(abi.Poll));
    }
}

const c = struct {
    extern "c" fn __error() *c_int;
    extern "c" fn open(path: [*]const u8, flags: c_int, ...) c_int;
    extern "c" fn close(fd: c_int) c_int;
    extern "c" fn pipe(ends: *[2]c_int) c_int;
    extern "c" fn socketpair(domain: c_int, kind: c_int, protocol: c_int, ends: *[2]c_int) c_int;
    extern "c" fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_int, length: u32) c_int;
    extern "c" fn shutdown(fd: c_int, how: c_int) c_int;
    extern "c" fn send(fd: c_int, buffer: [*]const u8, length: usize, flags: c_int) isize;
    extern "c" fn geteuid() c_uint;
    extern "c" fn fchown(fd: c_int, uid: c_uint, gid: c_uint) c_int;
    extern "c" fn read(fd: c_int, buffer: [*]u8, length: usize) isize;
    extern "c" fn write(fd: c_int, buffer: [*]const u8, length: usize) isize;
    extern "c" fn poll(entries: [*]abi.Poll, count: c_uint, timeout: c_int) c_int;
    extern "c" fn sched_yield() c_int;
    extern "c" fn sigpending(set: *u32) c_int;
    extern "c" fn sigwait(set: *const u32, signal: *c_int) c_int;
    extern "c" fn ioctl(fd: c_int, request: c_ulong, ...) c_int;
    extern "c" fn fcntl(fd: c_int, command: c_int, ...) c_int;
    extern "c" fn faccessat(directory: c_int, path: [*]const u8, mode: c_int, flags: c_int) c_int;
    extern "c" fn getcwd(buffer: [*]u8, length: usize) ?[*:0]u8;
    extern "c" fn getrlimit(resource: c_int, limit: *[2]u64) c_int;
    extern "c" fn mmap(at: ?*anyopaque, length: usize, prot: c_int, flags: c_int, fd: c_int, offset: i64) usize;
    extern "c" fn munmap(address: *anyopaque, length: usize) c_int;
    extern "c" fn mprotect(address: *anyopaque, length: usize, prot: c_int) c_int;
    extern "c" fn pthread_sigmask(how: c_int, set: *const u32, before: *u32) c_int;
    extern "c" fn os_unfair_lock_lock(lock: *u32) void;
    extern "c" fn os_unfair_lock_unlock(lock: *u32) void;
};

/// What a function of libc answered, or -errno.
pub fn result(answered: isize) i32 {
    return if (answered == -1) -c.__error().* else @truncate(answered);
}

/// The same, again as long as a signal interrupts it.
fn retry(comptime function: anytype, arguments: anytype) i32 {
    while (true) {
        const answer = result(@call(.auto, function, arguments));
        if (answer != negative(.INTR)) return answer;
    }
}

pub inline fn negative(comptime e: E) i32 {
    return -@as(i32, @backingInt(e));
}

/// Sets this thread's signal mask, and answers the one before.
pub fn maskSignals(mask: u32) u32 {
    const SIG_SETMASK = 3;
    var before: u32 = 0;
    _ = c.pthread_sigmask(SIG_SETMASK, &mask, &before);
    return before;
}

pub fn map(length: usize, protection: u32, flags: u32) ?[*]align(std.heap.page_size_min) u8 {
    const address = c.mmap(null, length, @intCast(protection), @intCast(flags | MAP_ANONYMOUS), -1, 0);
    const MAP_FAILED = std.math.maxInt(usize);
    return if (address == MAP_FAILED) null else @ptrFromInt(address);
}

pub fn unmap(address: [*]u8, length: usize) void {
    _ = c.munmap(address, length);
}

pub fn protect(address: [*]u8, length: usize, protection: u32) i32 {
    return result(c.mprotect(address, length, @intCast(protection)));
}

pub fn openFile(path: [*]const u8, flags: i32, mode: i32) i32 {
    return retry(c.open, .{ path, flags | O_CLOEXEC, mode });
}

pub fn close(fd: i32) void {
    _ = c.close(fd);
}

/// Not repeated on EINTR: the number is free all the same (kern_descrip.c, fp_close_and_unlock).
pub fn closeFile(fd: i32) i32 {
    return result(c.close(fd));
}

/// Keeps a fork from coming between the making of a descriptor and its FD_CLOEXEC: macOS 13 has
/// neither pipe2 nor SOCK_CLOEXEC. It is Go's ForkLock, exclusive as Go's is on darwin.
var fork_lock: Lock = .{};

pub fn beginFork() void {
    fork_lock.acquire();
}

pub fn endFork() void {
    fork_lock.release();
}

pub fn pipe(ends: *[2]i32) i32 {
    fork_lock.acquire();
    defer fork_lock.release();
    const made = result(c.pipe(ends));
    if (made == 0) closeOnExec(ends);
    return made;
}

/// With packets: EPROTONOSUPPORT, as AF_UNIX has no SOCK_SEQPACKET there.
pub fn socketPair(ends: *[2]i32, has_packets: bool) i32 {
    const AF_UNIX = 1;
    const SOCK_STREAM = 1;
    const SOCK_SEQPACKET = 5;
    fork_lock.acquire();
    defer fork_lock.release();
    const kind: c_int = if (has_packets) SOCK_SEQPACKET else SOCK_STREAM;
    const made = result(c.socketpair(AF_UNIX, kind, 0, ends));
    if (made < 0) return made;
    closeOnExec(ends);
    // In place of MSG_NOSIGNAL, which macOS 13 has not.
    for (ends) |fd| {
        const SOL_SOCKET = 0xffff;
        const SO_NOSIGPIPE = 0x1022;
        const on: c_int = 1;
        _ = c.setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, @sizeOf(c_int));
    }
    return 0;
}

/// Nothing more will be written: who reads on the other side comes to the end.
pub fn endWriting(socket: i32) i32 {
    const SHUT_WR = 1;
    return result(c.shutdown(socket, SHUT_WR));
}

fn closeOnExec(ends: *const [2]i32) void {
    for (ends) |fd| _ = c.fcntl(fd, F_SETFD, @as(c_int, FD_CLOEXEC));
}

pub fn read(fd: i32, buffer: [*]u8, length: usize) i32 {
    return retry(c.read, .{ fd, buffer, length });
}

pub fn write(fd: i32, buffer: [*]const u8, length: usize) i32 {
    return retry(c.write, .{ fd, buffer, length });
}

/// Without SIGPIPE when nobody reads any more: see `socketPair`.
pub fn send(socket: i32, buffer: [*]const u8, length: usize) i32 {
    return write(socket, buffer, length);
}

/// The same, of as much as can be taken now.
pub fn sendNow(socket: i32, buffer: [*]const u8, length: usize) i32 {
    const MSG_DONTWAIT = 0x80;
    return retry(c.send, .{ socket, buffer, length, MSG_DONTWAIT });
}

/// A negative time is no bound.
pub fn poll(entries: [*]abi.Poll, count: u32, timeout_ms: i32) i32 {
    return result(c.poll(entries, count, @max(timeout_ms, -1)));
}

/// Sets the position back, and answers 0.
pub fn moveBack(fd: i32, length: i32) i32 {
    const SEEK_CUR = 1;
    return if (std.c.lseek(fd, -@as(i64, length), SEEK_CUR) == -1) -c.__error().* else 0;
}

/// Takes back the SIGPIPE that a write of this thread has raised, while it is blocked.
pub fn discardSigpipe() void {
    const set: u32 = 1 << (13 - 1); // SIGPIPE
    var pending: u32 = 0;
    if (c.sigpending(&pending) != 0 or pending & set == 0) return;
    var taken: c_int = 0;
    _ = c.sigwait(&set, &taken);
}

/// What tells an open file from others of its kind.
pub fn fileNumber(fd: i32) u64 {
    var status: std.c.Stat = undefined;
    return if (std.c.fstat(fd, &status) != 0) 0 else status.ino;
}

/// Not known there: what is made by a thread goes when the other end is closed.
pub fn threadId() i32 {
    return 0;
}

pub fn isThread(tid: i32) bool {
    return tid == 0;
}

pub fn yield() void {
    _ = c.sched_yield();
}

pub fn ioctl(fd: i32, request: u32, argument: usize) i32 {
    return result(c.ioctl(fd, request, argument));
}

pub fn fcntl(fd: i32, command: i32, argument: i32) i32 {
    return result(c.fcntl(fd, command, @as(c_int, argument)));
}

/// The type and permissions of what `path` leads to: struct stat's st_mode.
pub fn fileMode(path: [*]const u8) i32 {
    var status: std.c.Stat = undefined;
    const found = result(std.c.fstatat(AT_FDCWD, @ptrCast(path), &status, 0));
    return if (found < 0) found else status.mode;
}

/// The same of what a descriptor is open on.
pub fn openMode(fd: i32) i32 {
    var status: std.c.Stat = undefined;
    const found = result(std.c.fstat(fd, &status));
    return if (found < 0) found else status.mode;
}

/// Makes a file that is this process's user's another one's; leaves what is somebody else's as it is. Of a pipe macOS
/// refuses it (kern_descrip.c: only vnodes have owners to change).
pub fn give(fd: i32, uid: u32) i32 {
    var status: std.c.Stat = undefined;
    const found = result(std.c.fstat(fd, &status));
    if (found < 0) return found;
    const own = c.geteuid();
    if (status.uid != own or uid == own) return 0;
    const as_it_is = std.math.maxInt(c_uint);
    return result(c.fchown(fd, uid, as_it_is));
}

/// Whether this process's effective user may execute `path`.
pub fn mayExecute(path: [*]const u8) i32 {
    const X_OK = 1;
    const AT_EACCESS = 0x10;
    return result(c.faccessat(AT_FDCWD, path, X_OK, AT_EACCESS));
}

/// The length, NUL included.
pub fn workingDirectory(buffer: [*]u8, length: usize) i32 {
    const path = c.getcwd(buffer, length) orelse return result(-1);
    return @intCast(std.mem.len(path) + 1);
}

/// One more than the highest descriptor this process can ever have; RLIM_INFINITY as a rule.
pub fn descriptorsMax() u64 {
    const RLIMIT_NOFILE = 8;
    var limit: [2]u64 = .{ 0, 0 };
    _ = c.getrlimit(RLIMIT_NOFILE, &limit);
    return limit[1];
}

/// A mutual exclusion: os_unfair_lock, one word that starts at zero.
pub const Lock = extern struct {
    state: u32 = 0,

    pub fn acquire(lock: *Lock) void {
        c.os_unfair_lock_lock(&lock.state);
    }

    pub fn release(lock: *Lock) void {
        c.os_unfair_lock_unlock(&lock.state);
    }
};
