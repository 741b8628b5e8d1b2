//! The surface: every function TypeScript may call, each a check and one internal call. One function is exported, which
//! calls them by their numbers: see `abi/entry.zig`.

const std = @import("std");
const builtin = @import("builtin");
const assert = std.debug.assert;
const abi = @import("abi/abi.zig");
const entry = @import("abi/entry.zig");
const environ = @import("os/environ.zig");
const files = @import("files/files.zig");
const landlock = @import("child/landlock.zig");
const ledger = @import("files/ledger.zig");
const launcher = @import("parent/launcher.zig");
const nowait = @import("files/nowait.zig");
const opener = @import("files/opener.zig");
const orphans = @import("wait/orphans.zig");
const processors = @import("os/processors.zig");
const pty = @import("files/pty.zig");
const replace = @import("parent/replace.zig");
const reactor = @import("reactor/reactor.zig");
const shared = @import("os/shared.zig");
const spawn = @import("parent/spawn.zig");
const system = @import("os/system.zig").system;
const usage = @import("wait/usage.zig");
const waiting = @import("wait/wait.zig");
const windows = @import("windows/exports.zig");

/// A library must not print or unwind inside its host: a broken invariant traps.
pub const panic = std.debug.no_panic;

/// What both sides compare at load.
pub const fingerprint = abi.fingerprintOf(symbols);

/// `abi_gen.zig` reflects over this to write the functions of `ffi/abi.ts`.
pub const symbols = struct {
    /// The fingerprint's lower (0) or upper (1) half; and (2) the descriptor of the memfd that the first
    /// copy of the library in this process came from, or -1: this is the first. The first of all, in each version: it is
    /// what a library of another one is asked for.
    pub fn osexec_abi(half: i32) i32 {
        if (half == 2) return shared.firstLibrary();
        return abi.halfOf(fingerprint, half);
    }

    /// The outcome is in `answer`.
    pub fn osexec_spawn(request: [*]const u8, length: i32, answer: *abi.Answer) void {
        spawn.start(request[0..@intCast(@max(length, 0))], answer);
    }

    /// The same, by a thread that lasts as long as this process does.
    pub fn osexec_spawn_lasting(request: [*]const u8, length: i32, answer: *abi.Answer) void {
        launcher.start(request[0..@intCast(@max(length, 0))], answer);
    }

    /// Waits until a pending start has come to execve or has failed, and tells in `answer` as
    /// `osexec_spawn` would have, but for `signal`: -1 there is a child that was killed before, whose
    /// own status tells by what. The caller reaps it; `pid` is 0 if that is done. -EINVAL: there is none.
    pub fn osexec_settle(pending: i32, pid: i32, answer: *abi.Answer) i32 {
        return spawn.settle(pending, pid, answer);
    }

    /// Returns only when it failed: why is in `answer`.
    pub fn osexec_exec(request: [*]const u8, length: i32, answer: *abi.Answer) void {
        replace.replace(request[0..@intCast(@max(length, 0))], answer);
    }

    pub fn osexec_wait(pid: i32, pidfd: i32, flags: i32, exit: *abi.Exit) i32 {
        return waiting.wait(pid, pidfd, @bitCast(flags), exit);
    }

    /// What a process that may still run has used so far: `exit.status` says nothing.
    pub fn osexec_usage(pid: i32, pidfd: i32, exit: *abi.Exit) i32 {
        return usage.soFar(pid, pidfd, exit);
    }

    pub fn osexec_signal(pid: i32, pidfd: i32, number: i32) i32 {
        return waiting.signal(pid, pidfd, number);
    }

    /// To the process group that `pid` leads. `pid` 0: the leader has been reaped, and the pidfd alone will do.
    pub fn osexec_signal_group(pid: i32, pidfd: i32, number: i32) i32 {
        return waiting.signalGroup(pid, pidfd, number);
    }

    /// Whether this process is to get the orphans below it. Answers what it was.
    pub fn osexec_adopt(on: i32) i32 {
        return orphans.adopt(on != 0);
    }

    /// Children of the first thread that have ended.
    pub fn osexec_ended(pids: [*]i32, length: i32) i32 {
        return orphans.ended(pids, length);
    }

    /// Whom the pidfds among so many descriptors are of.
    pub fn osexec_awaited(from: i32, count: i32, pids: [*]i32) i32 {
        return orphans.awaited(from, count, pids);
    }

    pub fn osexec_pidfd(pid: i32) i32 {
        return waiting.openHandle(pid);
    }

    pub fn osexec_open(path: [*]const u8, length: i32, flags: i32, mode: i32) i32 {
        return files.open(path, length, flags, mode);
    }

    /// Answers a handle for `osexec_open_end`, which is to be called when `told` has reached its end, or to give
    /// it up.
    pub fn osexec_open_begin(
        path: [*]const u8,
        length: i32,
        flags: i32,
        mode: i32,
        told: *i32,
    ) i32 {
        return opener.begin(path, length, flags, mode, told);
    }

    pub fn osexec_open_end(handle: i32) i32 {
        return opener.finish(handle);
    }

    /// Makes a directory, or removes one that is empty.
    pub fn osexec_directory(path: [*]const u8, length: i32, makes: i32) i32 {
        return files.makeDirectory(path, length, makes != 0);
    }

    /// Sets a file's position back by so many bytes.
    pub fn osexec_rewind(fd: i32, length: i32) i32 {
        return files.rewind(fd, length);
    }

    pub fn osexec_close(fd: i32) i32 {
        return files.close(fd);
    }

    /// Another number of the same open file, close-on-exec and above 2.
    pub fn osexec_dup(fd: i32) i32 {
        return files.dup(fd);
    }

    /// `owned`: they are this thread's alone, and go with it.
    pub fn osexec_pipe(ends: *[2]i32, owned: i32) i32 {
        return files.pipe(ends, owned != 0);
    }

    pub fn osexec_socket_pair(ends: *[2]i32, has_packets: i32) i32 {
        return files.socketPair(ends, has_packets != 0);
    }

    pub fn osexec_end_writing(fd: i32) i32 {
        return system.endWriting(fd);
    }

    /// Makes a pipe, or a terminal, of this process's user another user's.
    pub fn osexec_give(fd: i32, uid: i32) i32 {
        return system.give(fd, @bitCast(uid));
    }

    /// The controlling side of a new terminal and the other one; `name` gets the path of that, NUL included, and the
    /// answer is its length. `owned`: the controlling side is this thread's alone, and goes with it.
    pub fn osexec_pty(ends: *[2]i32, name: [*]u8, length: i32, owned: i32) i32 {
        const answer = pty.open(ends, name, length);
        if (answer >= 0 and owned != 0) ledger.own(ends[0..1]);
        return answer;
    }

    /// All there is, of a controlling side.
    pub fn osexec_read_terminal(fd: i32, buffer: [*]u8, length: i32) i32 {
        return pty.read(fd, buffer, length);
    }

    pub fn osexec_set_window(fd: i32, columns: i32, rows: i32) i32 {
        return pty.setWindow(fd, columns, rows);
    }

    /// Columns and rows.
    pub fn osexec_window(fd: i32, size: *[2]i32) i32 {
        return pty.getWindow(fd, size);
    }

    /// `raw`: 1; 0: as a new one, "cooked".
    pub fn osexec_terminal_mode(fd: i32, raw: i32) i32 {
        return pty.setMode(fd, raw != 0);
    }

    pub fn osexec_read(fd: i32, buffer: [*]u8, length: i32, may_wait: i32) i32 {
        return nowait.read(fd, buffer, length, may_wait != 0);
    }

    pub fn osexec_write(fd: i32, buffer: [*]const u8, length: i32) i32 {
        return nowait.write(fd, buffer, length);
    }

    pub fn osexec_poll(entries: [*]abi.Poll, count: i32, timeout_ms: i32) i32 {
        return files.poll(entries, count, timeout_ms);
    }

    pub fn osexec_busy_poll(entries: [*]abi.Poll, count: i32) i32 {
        return files.busyPoll(entries, count);
    }

    pub fn osexec_idle_processors() i32 {
        return processors.idle();
    }

    pub fn osexec_lend(fd: i32, how: i32) i32 {
        const known = std.enums.fromInt(abi.Lend, how) orelse return system.negative(.INVAL);
        return nowait.lend(fd, known);
    }

    pub fn osexec_grow_pipe(fd: i32, size: i32) i32 {
        return files.growPipe(fd, size);
    }

    pub fn osexec_executable(path: [*]const u8, length: i32) i32 {
        return files.executable(path, length);
    }

    pub fn osexec_getcwd(buffer: [*]u8, length: i32) i32 {
        return files.workingDirectory(buffer, length);
    }

    pub fn osexec_environ(buffer: [*]u8, length: i32) i32 {
        return environ.read(buffer, length);
    }

    /// The version of landlock that the kernel has. -ENOSYS: none; -EOPNOTSUPP: it is not enabled.
    pub fn osexec_landlock_abi() i32 {
        return if (builtin.os.tag == .linux) landlock.version() else system.negative(.NOSYS);
    }

    pub fn osexec_reactor(answer: *abi.Reactor) i32 {
        return reactor.create(answer);
    }

    pub fn osexec_watch(handle: i32, fd: i32, ready: i32, token: i32) i32 {
        return reactor.watch(handle, fd, ready, token);
    }

    pub fn osexec_watch_pid(handle: i32, pid: i32, token: i32) i32 {
        return reactor.watchPid(handle, pid, token);
    }

    pub fn osexec_unwatch(handle: i32, fd: i32) i32 {
        return reactor.unwatch(handle, fd);
    }

    /// Windows alone: what a code of GetLastError is called, a NUL, and what it says. Answers the length.
    pub fn osexec_error(_: i32, _: [*]u8, _: i32) i32 {
        return system.negative(.NOSYS);
    }
};

/// The same functions, by whichever system this is for.
const exported = if (builtin.os.tag == .windows) windows.symbols else symbols;
const unknown = if (builtin.os.tag == .windows) windows.unsupported else system.negative(.NOSYS);

comptime {
    if (builtin.os.tag == .windows) assert(windows.fingerprint == fingerprint);
    for (@typeInfo(symbols).@"struct".decl_names) |name| {
        assert(@TypeOf(@field(exported, name)) == @TypeOf(@field(symbols, name)));
    }
    if (builtin.output_mode == .Lib) @export(&entry.Entry(exported, unknown).call, .{ .name = entry.name });
    // Not for TypeScript: for another copy of this library.
    if (builtin.output_mode == .Lib and builtin.os.tag != .windows) @export(&shared.address, .{ .name = shared.symbol });
}
