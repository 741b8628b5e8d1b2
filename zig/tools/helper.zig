//! The child that the tests run: static, so that it runs in an empty chroot too.
//!
//!     helper fds [FD]         every open descriptor, a line each: number, link; written to FD
//!     helper args ARG...      argv, a line each, argv[0] first
//!     helper env              the environment, a line each
//!     helper cat FD           copies a descriptor to stdout
//!     helper file PATH...     copies files to stdout
//!     helper link PATH...     what symbolic links hold, a line each
//!     helper cwd              the working directory
//!     helper death            the number of the signal that the parent's death will send
//!     helper write PATH TEXT  writes a text into a new file
//!     helper exit N           exits so
//!     helper kill N           sends itself signal N, and then exits 0
//!     helper hang             waits for a signal for ever
//!     helper id               pid, ppid, pgid, sid, uids, gids and groups as the kernel has them
//!     helper mount PATH       mounts a tmpfs there and copies the list of mounts to stdout
//!     helper call NAME ARG... makes a system call and prints its answer, -errno. An argument is a number; or :TEXT or #HEX,
//!                             which point to that; the bytes of the latter are printed too, a line each, as they are then
//!     helper calls NAME ARG... [-- NAME ARG...]...    several, one after the other
//!
//! And what puts something over the program that it then becomes, looked up in PATH:
//!
//!     helper share PROGRAM ARG...                     all mounts shared with namespaces to come
//!     helper deny RULE ERRNO... -- PROGRAM ARG...     system calls refused: see filter.zig
//!     helper inject FILE RULE... -- PROGRAM ARG...    one of them made to fail: see injector.zig

const std = @import("std");
const linux = std.os.linux;
const Filter = @import("filter.zig").Filter;
const injector = @import("injector.zig");

pub const panic = std.debug.no_panic;

const Strings = []const [*:0]const u8;

pub fn main(init: std.process.Init.Minimal) u8 {
    const arguments = init.args.vector;
    if (arguments.len < 2) return usage();
    const verb = std.mem.span(arguments[1]);
    const rest: Strings = arguments[2..];
    const environment = init.environ.block.slice;
    if (is(verb, "fds")) {
        return listDescriptors(if (rest.len == 0) 1 else number(std.mem.span(rest[0])));
    }
    if (is(verb, "args")) {
        for (arguments) |argument| line(std.mem.span(argument));
        return 0;
    }
    if (is(verb, "env")) {
        for (environment) |entry| line(std.mem.span(entry.?));
        return 0;
    }
    if (is(verb, "id")) return copyFile("/proc/self/status");
    if (is(verb, "cwd")) return workingDirectory();
    if (is(verb, "death")) return deathSignal();
    if (is(verb, "hang")) while (true) {
        // Not pause(2), which only the older architectures have.
        _ = linux.syscall5(.ppoll, 0, 0, 0, 0, 0);
    };
    if (rest.len < 1) return usage();
    const word = std.mem.span(rest[0]);
    if (is(verb, "cat")) return copy(number(word));
    if (is(verb, "file")) {
        for (rest) |path| if (copyFile(path) != 0) return 66;
        return 0;
    }
    if (is(verb, "link")) {
        for (rest) |path| showLink(1, path);
        return 0;
    }
    if (is(verb, "exit")) return @truncate(@as(u32, @bitCast(number(word))));
    if (is(verb, "kill")) {
        _ = linux.syscall2(.kill, @as(usize, @intCast(linux.getpid())), @intCast(number(word)));
        return 0;
    }
    if (is(verb, "mount")) return mount(rest[0]);
    if (is(verb, "call")) return call(word, rest[1..]);
    if (is(verb, "calls")) return callAll(rest);
    if (is(verb, "share")) return share(rest, environment);
    if (is(verb, "deny")) return deny(rest, environment);
    if (is(verb, "inject")) return inject(rest, environment);
    if (rest.len < 2) return usage();
    if (is(verb, "write")) return writeFile(rest[0], std.mem.span(rest[1]));
    return usage();
}

fn usage() u8 {
    return fail(64, "unknown verb, or an argument is missing");
}

fn fail(code: u8, why: []const u8) u8 {
    write(2, "helper: ");
    write(2, why);
    write(2, "\n");
    return code;
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
fn listDescriptors(output: i32) u8 {
    var fd: i32 = 0;
    // More than any test opens.
    while (fd < 20_000) : (fd += 1) {
        const flags: isize = @bitCast(linux.fcntl(fd, 1, 0));
        if (flags < 0) continue;
        var path: [32]u8 = undefined;
        const name = std.fmt.bufPrintSentinel(&path, "/proc/self/fd/{d}", .{fd}, 0) catch return 70;
        var text: [32]u8 = undefined;
        write(output, std.fmt.bufPrint(&text, "{d} ", .{fd}) catch return 70);
        showLink(output, name);
    }
    return 0;
}

fn showLink(output: i32, path: [*:0]const u8) void {
    var target: [4096]u8 = undefined;
    const length: isize = @bitCast(linux.readlink(path, &target, target.len));
    write(output, if (length > 0) target[0..@intCast(length)] else "?");
    write(output, "\n");
}

fn workingDirectory() u8 {
    var path: [4096]u8 = undefined;
    const length: isize = @bitCast(linux.getcwd(&path, path.len));
    if (length <= 0) return fail(71, "no working directory");
    // The kernel counts the NUL.
    line(path[0..@intCast(length - 1)]);
    return 0;
}

/// /proc does not show it.
fn deathSignal() u8 {
    const PR_GET_PDEATHSIG = 2;
    var signal: i32 = -1;
    _ = linux.prctl(PR_GET_PDEATHSIG, @intFromPtr(&signal), 0, 0, 0);
    var text: [16]u8 = undefined;
    line(std.fmt.bufPrint(&text, "{d}", .{signal}) catch return 70);
    return 0;
}

fn copyFile(path: [*:0]const u8) u8 {
    const fd: isize = @bitCast(linux.open(path, .{}, 0));
    if (fd < 0) return fail(66, "cannot open the file");
    defer _ = linux.close(@intCast(fd));
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

fn writeFile(path: [*:0]const u8, text: []const u8) u8 {
    const flags: linux.O = .{ .ACCMODE = .WRONLY, .CREAT = true, .EXCL = true };
    const fd: isize = @bitCast(linux.open(path, flags, 0o666));
    if (fd < 0) return fail(73, "cannot make the file");
    write(@intCast(fd), text);
    return 0;
}

fn mount(path: [*:0]const u8) u8 {
    if (linux.mount("tmpfs", path, "tmpfs", 0, 0) != 0) return fail(71, "cannot mount");
    return copyFile("/proc/self/mountinfo");
}

fn call(name: []const u8, rest: Strings) u8 {
    const which = std.meta.stringToEnum(linux.SYS, name) orelse return fail(64, name);
    var arguments: [6]usize = @splat(0);
    var buffers: [6][256]u8 align(8) = undefined;
    var lengths: [6]usize = @splat(0);
    if (rest.len > arguments.len) return usage();
    for (rest, 0..) |argument, index| {
        const text = std.mem.span(argument);
        arguments[index] = switch (text[0]) {
            ':' => @intFromPtr(argument + 1),
            '#' => hex: {
                const bytes = std.fmt.hexToBytes(&buffers[index], text[1..]) catch return fail(64, text);
                lengths[index] = bytes.len;
                break :hex @intFromPtr(bytes.ptr);
            },
            else => @bitCast(std.fmt.parseInt(isize, text, 0) catch return fail(64, text)),
        };
    }
    const a = &arguments;
    const answer: isize = @bitCast(linux.syscall6(which, a[0], a[1], a[2], a[3], a[4], a[5]));
    var text: [512]u8 = undefined;
    line(std.fmt.bufPrint(&text, "{d}", .{answer}) catch return 70);
    for (&buffers, lengths) |*buffer, length| {
        if (length > 0) line(std.fmt.bufPrint(&text, "{x}", .{buffer[0..length]}) catch return 70);
    }
    return 0;
}

fn callAll(all: Strings) u8 {
    var rest = all;
    while (rest.len > 0) {
        var count: usize = 0;
        while (count < rest.len and !is(std.mem.span(rest[count]), "--")) count += 1;
        if (count == 0) return usage();
        const code = call(std.mem.span(rest[0]), rest[1..count]);
        if (code != 0) return code;
        rest = rest[@min(count + 1, rest.len)..];
    }
    return 0;
}

fn share(program: Strings, environment: []const ?[*:0]const u8) u8 {
    const MS_REC = 0x4000;
    const MS_SHARED = 1 << 20;
    if (linux.mount("none", "/", null, MS_REC | MS_SHARED, 0) != 0) {
        return fail(71, "cannot share the mounts");
    }
    return become(program, environment);
}

fn deny(arguments: Strings, environment: []const ?[*:0]const u8) u8 {
    var filter: Filter = .init();
    var rest = arguments;
    while (rest.len > 0 and !is(std.mem.span(rest[0]), "--")) : (rest = rest[2..]) {
        if (rest.len < 2) return usage();
        const rule = std.mem.span(rest[0]);
        filter.add(rule, std.mem.span(rest[1])) catch return fail(64, rule);
    }
    if (rest.len < 2) return usage();
    if (filter.install() != 0) return fail(71, "the kernel refused the filter");
    return become(rest[1..], environment);
}

fn inject(arguments: Strings, environment: []const ?[*:0]const u8) u8 {
    var filter: Filter = .init();
    var rest = arguments[1..];
    while (rest.len > 0 and !is(std.mem.span(rest[0]), "--")) : (rest = rest[1..]) {
        const rule = std.mem.span(rest[0]);
        filter.add(rule, "ASK") catch return fail(64, rule);
    }
    if (rest.len < 2) return usage();
    injector.install(&filter, arguments[0]) catch |failure| return fail(71, @errorName(failure));
    return become(rest[1..], environment);
}

/// By execveat, so that the filter may refuse execve.
fn become(program: Strings, environment: []const ?[*:0]const u8) u8 {
    // Both lie where the kernel put them, each followed by a null.
    const argv: [*:null]const ?[*:0]const u8 = @ptrCast(program.ptr);
    const envp: [*:null]const ?[*:0]const u8 = @ptrCast(environment.ptr);
    const name = std.mem.span(program[0]);
    const flags: linux.EXECVEAT = .{ .SYMLINK_NOFOLLOW = false, .EMPTY_PATH = false };
    if (std.mem.findScalar(u8, name, '/') != null) {
        _ = linux.execveat(linux.AT.FDCWD, program[0], argv, envp, flags);
        return fail(71, name);
    }
    var directories = std.mem.splitScalar(u8, searchPath(environment), ':');
    while (directories.next()) |directory| {
        var buffer: [4096]u8 = undefined;
        const path = std.fmt.bufPrintSentinel(&buffer, "{s}/{s}", .{ directory, name }, 0) catch {
            continue;
        };
        _ = linux.execveat(linux.AT.FDCWD, path, argv, envp, flags);
    }
    return fail(71, name);
}

fn searchPath(environment: []const ?[*:0]const u8) []const u8 {
    for (environment) |entry| {
        const text = std.mem.span(entry.?);
        if (std.mem.startsWith(u8, text, "PATH=")) return text["PATH=".len..];
    }
    return "/usr/bin:/bin";
}
