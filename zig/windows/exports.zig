//! What TypeScript may call, on Windows: the functions of `lib.zig`, by the same names and with the same answers, in the
//! same order.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const console = @import("console.zig");
const errors = @import("errors.zig");
const files = @import("files.zig");
const kernel = @import("kernel.zig");
const process = @import("process.zig");
const starting = @import("start.zig");
const streams = @import("streams.zig");
const table = @import("table.zig");
const teller = @import("teller.zig");

/// Of these as of `lib.zig`'s, which asserts that it is the same.
pub const fingerprint = abi.fingerprintOf(symbols);

pub const unsupported = errors.posix(.OPNOTSUPP);

pub const symbols = struct {
    pub fn osexec_abi(half: i32) i32 {
        // The loader answers the same library to who opens the same file again.
        if (half == 2) return -1;
        keepLoaded();
        return abi.halfOf(fingerprint, half);
    }

    pub fn osexec_spawn(request: [*]const u8, length: i32, answer: *abi.Answer) void {
        starting.start(request[0..@intCast(@max(length, 0))], answer);
    }

    pub fn osexec_spawn_lasting(request: [*]const u8, length: i32, answer: *abi.Answer) void {
        starting.start(request[0..@intCast(@max(length, 0))], answer);
    }

    pub fn osexec_settle(_: i32, _: i32, _: *abi.Answer) i32 {
        return errors.posix(.INVAL);
    }

    pub fn osexec_exec(_: [*]const u8, _: i32, answer: *abi.Answer) void {
        answer.* = .nothing;
        answer.step = @backingInt(abi.Stage.clone);
        answer.errno = -unsupported;
    }

    pub fn osexec_wait(_: i32, pidfd: i32, flags: i32, exit: *abi.Exit) i32 {
        return process.wait(pidfd, @bitCast(flags), exit);
    }

    pub fn osexec_usage(_: i32, pidfd: i32, exit: *abi.Exit) i32 {
        return process.usage(pidfd, exit);
    }

    pub fn osexec_signal(_: i32, pidfd: i32, number: i32) i32 {
        return process.signal(pidfd, number);
    }

    pub fn osexec_signal_group(_: i32, pidfd: i32, number: i32) i32 {
        return process.signalJob(pidfd, number);
    }

    pub fn osexec_adopt(_: i32) i32 {
        return unsupported;
    }

    pub fn osexec_ended(_: [*]i32, _: i32) i32 {
        return 0;
    }

    pub fn osexec_awaited(_: i32, _: i32, _: [*]i32) i32 {
        return 0;
    }

    pub fn osexec_pidfd(pid: i32) i32 {
        return process.open(pid);
    }

    pub fn osexec_open(path: [*]const u8, length: i32, flags: i32, mode: i32) i32 {
        return files.open(path, length, flags, mode);
    }

    pub fn osexec_open_begin(_: [*]const u8, _: i32, _: i32, _: i32, _: *i32) i32 {
        return unsupported;
    }

    pub fn osexec_open_end(_: i32) i32 {
        return errors.posix(.BADF);
    }

    pub fn osexec_directory(path: [*]const u8, length: i32, makes: i32) i32 {
        return files.directory(path, length, makes != 0);
    }

    pub fn osexec_rewind(fd: i32, length: i32) i32 {
        return files.rewind(fd, length);
    }

    pub fn osexec_close(fd: i32) i32 {
        return table.close(fd);
    }

    pub fn osexec_dup(fd: i32) i32 {
        return files.dup(fd);
    }

    pub fn osexec_pipe(ends: *[2]i32, _: i32) i32 {
        return files.pipe(ends);
    }

    pub fn osexec_socket_pair(_: *[2]i32, _: i32) i32 {
        return unsupported;
    }

    pub fn osexec_end_writing(_: i32) i32 {
        return unsupported;
    }

    pub fn osexec_give(_: i32, _: i32) i32 {
        return unsupported;
    }

    pub fn osexec_pty(ends: *[2]i32, name: [*]u8, length: i32, _: i32) i32 {
        return console.open(ends, name, length);
    }

    pub fn osexec_read_terminal(fd: i32, buffer: [*]u8, length: i32) i32 {
        return streams.read(fd, buffer, length, false);
    }

    pub fn osexec_set_window(fd: i32, columns: i32, rows: i32) i32 {
        return console.setWindow(fd, columns, rows);
    }

    pub fn osexec_window(fd: i32, size: *[2]i32) i32 {
        return console.window(fd, size);
    }

    pub fn osexec_terminal_mode(fd: i32, raw: i32) i32 {
        return console.setMode(fd, raw != 0);
    }

    pub fn osexec_read(fd: i32, buffer: [*]u8, length: i32, may_wait: i32) i32 {
        return streams.read(fd, buffer, length, may_wait != 0);
    }

    pub fn osexec_write(fd: i32, buffer: [*]const u8, length: i32) i32 {
        return streams.write(fd, buffer, length);
    }

    pub fn osexec_poll(entries: [*]abi.Poll, count: i32, timeout_ms: i32) i32 {
        return streams.poll(entries, count, timeout_ms);
    }

    pub fn osexec_busy_poll(entries: [*]abi.Poll, count: i32) i32 {
        return streams.poll(entries, count, 0);
    }

    /// As if there were none: nobody has measured here whether asking is quicker than being told.
    pub fn osexec_idle_processors() i32 {
        return -std.math.maxInt(i16);
    }

    /// There is no flag that a child could see.
    pub fn osexec_lend(_: i32, _: i32) i32 {
        return 0;
    }

    pub fn osexec_grow_pipe(_: i32, _: i32) i32 {
        return unsupported;
    }

    pub fn osexec_executable(path: [*]const u8, length: i32) i32 {
        return files.executable(path, length);
    }

    pub fn osexec_getcwd(buffer: [*]u8, length: i32) i32 {
        return files.workingDirectory(buffer, length);
    }

    pub fn osexec_environ(buffer: [*]u8, length: i32) i32 {
        return files.environment(buffer, length);
    }

    pub fn osexec_landlock_abi() i32 {
        return unsupported;
    }

    pub fn osexec_reactor(answer: *abi.Reactor) i32 {
        return teller.create(answer);
    }

    pub fn osexec_watch(handle: i32, fd: i32, ready: i32, token: i32) i32 {
        return streams.watch(handle, fd, ready, token);
    }

    pub fn osexec_watch_pid(_: i32, _: i32, _: i32) i32 {
        return unsupported;
    }

    pub fn osexec_unwatch(handle: i32, fd: i32) i32 {
        return streams.unwatch(handle, fd);
    }

    pub fn osexec_error(code: i32, buffer: [*]u8, length: i32) i32 {
        return errors.describe(code, buffer[0..@intCast(@max(length, 0))]);
    }
};

/// Threads and callbacks of ours run in it for as long as this process does.
fn keepLoaded() void {
    const how = kernel.GET_MODULE_HANDLE_EX_FLAG_PIN | kernel.GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS;
    var module: ?kernel.Handle = null;
    _ = kernel.GetModuleHandleExW(how, @ptrCast(&keepLoaded), &module);
}
