//! The child that the tests run: static, so that it runs in an empty chroot too.
//!
//!     helper fds              every open descriptor, a line each: number, link
//!     helper args ARG...      argv, a line each, argv[0] first
//!     helper env              the environment, a line each
//!     helper cat FD           copies a descriptor to stdout
//!     helper file PATH        copies a file to stdout
//!     helper exit N           exits so
//!     helper kill N           sends itself signal N, and then exits 0
//!     helper hang             waits for a signal for ever
//!     helper id               pid, ppid, pgid, sid, uids, gids and groups as the kernel has them

const std = @import("std");
const linux = std.os.linux;

pub const panic = std.debug.no_panic;

pub fn main(init: std.process.Init.Minimal) u8 {
    const arguments = init.args.vector;
    if (arguments.len < 2) return usage();
    const verb = std.mem.span(arguments[1]);
    const rest = arguments[2..];
    if (is(verb, "fds")) return listDescriptors();
    if (is(verb, "args")) {
        for (arguments) |argument| line(std.mem.span(argument));
        return 0;
    }
    if (is(verb, "env")) {
        for (init.environ.block.slice) |entry| line(std.mem.span(entry.?));
        return 0;
    }
    if (is(verb, "id")) return copyFile("/proc/self/status");
    if (is(verb, "hang")) while (true) {
        _ = linux.syscall0(.pause);
    };
    if (rest.len < 1) return usage();
    const word = std.mem.span(rest[0]);
    if (is(verb, "cat")) return copy(number(word));
    if (is(verb, "file")) return copyFile(rest[0]);
    if (is(verb, "exit")) return @truncate(@as(u32, @bitCast(number(word))));
    if (is(verb, "kill")) {
        _ = linux.syscall2(.kill, @as(usize, @intCast(linux.getpid())), @intCast(number(word)));
        return 0;
    }
    return usage();
}

fn usage() u8 {
    write(2, "helper: unknown verb\n");
    return 64;
}

fn is(verb: []const u8, name: []const u8) bool {
    return std.mem.eql(u8, verb, name);
}

fn number(text: []const u8) i32 {
    return std.fmt.parseInt(i32, text, 10) catch -1;
}

fn line(text: []const u8) void {
    write(1, text);
    write(1, "\n");
}

fn write(fd: i32, text: []const u8) void {
    var rest = text;
    while (rest.len > 0) {
        const n: isize = @bitCast(linux.write(fd, rest.ptr, rest.len));
        if (n <= 0) linux.exit_group(74);
        rest = rest[@intCast(n)..];
    }
}

/// By asking for each, not by /proc, so that no descriptor of its own is in the way.
fn listDescriptors() u8 {
    var fd: i32 = 0;
    while (fd < 4096) : (fd += 1) {
        const flags: isize = @bitCast(linux.fcntl(fd, 1, 0));
        if (flags < 0) continue;
        var path: [32]u8 = undefined;
        const name = std.fmt.bufPrintSentinel(&path, "/proc/self/fd/{d}", .{fd}, 0) catch return 70;
        var target: [512]u8 = undefined;
        const length: isize = @bitCast(linux.readlink(name, &target, target.len));
        var text: [600]u8 = undefined;
        line(std.fmt.bufPrint(&text, "{d} {s}", .{
            fd,
            if (length > 0) target[0..@intCast(length)] else "?",
        }) catch return 70);
    }
    return 0;
}

fn copyFile(path: [*:0]const u8) u8 {
    const fd: isize = @bitCast(linux.open(path, .{}, 0));
    if (fd < 0) {
        write(2, "helper: cannot open the file\n");
        return 66;
    }
    return copy(@intCast(fd));
}

fn copy(fd: i32) u8 {
    var buffer: [4096]u8 = undefined;
    while (true) {
        const n: isize = @bitCast(linux.read(fd, &buffer, buffer.len));
        if (n < 0) return 74;
        if (n == 0) return 0;
        write(1, buffer[0..@intCast(n)]);
    }
}
