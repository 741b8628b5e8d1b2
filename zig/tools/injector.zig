//! Lets one system call of a program fail, for the tests: the nth of those that the library makes in its
//! parent, whichever that is.
//!
//! A filter that only knows numbers cannot count, and cannot tell the library's mmap from that of the
//! runtime it lives in. So it asks a supervisor (seccomp_unotify(2)), which looks at where the call was
//! made. What it looks for stands in a file that the program itself writes: see `Control`.

const std = @import("std");
const linux = std.os.linux;
const Filter = @import("filter.zig").Filter;

/// What the program asks for, at the beginning of the file; all but `seen` and `number` are its own.
const Control = extern struct {
    /// Where the library's code lies: calls from elsewhere are let through, and not counted.
    begin: u64,
    end: u64,
    /// Which of them fails, counted from 0; a negative one: none.
    target: i32,
    errno: i32,
    /// Only calls of this process are meant; those of its children come from the same addresses.
    pid: i32,
    /// How many there were.
    seen: i32,
    /// The number of the call that failed.
    number: i32,
    padding: i32 = 0,
};

comptime {
    std.debug.assert(@sizeOf(Control) == 40);
}

/// Since Linux 5.19: a call that the supervisor has been told of is not begun again, and so counted
/// twice, because of a signal.
const WAIT_KILLABLE_RECV = 1 << 5;

pub const Error = error{ File, Fork, Refused };

/// Puts the filter over this process, and a supervisor beside it which is nobody's child and ends with
/// the last who has the filter.
pub fn install(filter: *Filter, file: [*:0]const u8) Error!void {
    const fd = try valid(linux.open(file, .{ .ACCMODE = .RDWR }, 0), error.File);
    const address = linux.mmap(
        null,
        std.heap.page_size_min,
        .{ .READ = true, .WRITE = true },
        .{ .TYPE = .SHARED },
        fd,
        0,
    );
    _ = try valid(address, error.File);
    _ = linux.close(fd);
    const control: *volatile Control = @ptrFromInt(address);
    var ends: [2]i32 = undefined;
    _ = try valid(linux.pipe2(&ends, .{ .CLOEXEC = true }), error.Fork);
    // It shares the descriptors, so that it has the listener when this process has; execve parts them.
    const CLONE_FILES = 0x400;
    const SIGCHLD = 17;
    const middle: usize = @bitCast(linux.syscall5(.clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
    if (try valid(middle, error.Fork) == 0) {
        const second: isize = @bitCast(linux.syscall5(.clone, CLONE_FILES, 0, 0, 0, 0));
        if (second != 0) linux.exit_group(if (second < 0) 1 else 0);
        supervise(ends[0], control);
        linux.exit_group(0);
    }
    var status: i32 = undefined;
    _ = linux.waitpid(@intCast(middle), &status, 0);
    if (status != 0) return error.Fork;
    const flags = linux.SECCOMP.FILTER_FLAG.NEW_LISTENER | WAIT_KILLABLE_RECV;
    const listener = try valid(filter.installWith(flags), error.Refused);
    _ = linux.write(ends[1], std.mem.asBytes(&listener), @sizeOf(i32));
}

fn valid(answer: usize, failure: Error) Error!i32 {
    const signed: isize = @bitCast(answer);
    if (signed < 0 and signed > -4096) return failure;
    return @truncate(signed);
}

fn supervise(messages: i32, control: *volatile Control) void {
    var listener: i32 = -1;
    const length = linux.read(messages, std.mem.asBytes(&listener), @sizeOf(i32));
    if (length != @sizeOf(i32)) return;
    while (true) {
        var entry = [1]linux.pollfd{.{ .fd = listener, .events = linux.POLL.IN, .revents = 0 }};
        _ = linux.poll(&entry, 1, -1);
        if (entry[0].revents & linux.POLL.IN == 0) {
            if (entry[0].revents != 0) return;
            continue;
        }
        var call = std.mem.zeroes(linux.SECCOMP.notif);
        if (linux.ioctl(listener, linux.SECCOMP.IOCTL_NOTIF.RECV, @intFromPtr(&call)) != 0) continue;
        var answer: linux.SECCOMP.notif_resp = .{
            .id = call.id,
            .val = 0,
            .@"error" = 0,
            .flags = linux.SECCOMP.USER_NOTIF_FLAG_CONTINUE,
        };
        if (isMeant(call, control)) {
            if (control.seen == control.target) {
                control.number = call.data.nr;
                answer.@"error" = -control.errno;
                answer.flags = 0;
            }
            control.seen += 1;
        }
        _ = linux.ioctl(listener, linux.SECCOMP.IOCTL_NOTIF.SEND, @intFromPtr(&answer));
    }
}

fn isMeant(call: linux.SECCOMP.notif, control: *volatile Control) bool {
    const from = call.data.instruction_pointer;
    if (from < control.begin or from >= control.end) return false;
    var path: [64]u8 = undefined;
    const thread = std.fmt.bufPrintSentinel(
        &path,
        "/proc/{d}/task/{d}",
        .{ control.pid, call.pid },
        0,
    ) catch return false;
    return linux.access(thread, 0) == 0;
}
