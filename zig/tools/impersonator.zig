//! The child of the tests that answer to Go's: what Go's own test binary impersonates, in one static
//! program. `helper` is for what a child sees; this one is for how a child behaves.
//!
//!     impersonator echo ARG...       the arguments, a space between, and a newline
//!     impersonator echoenv KEY...    the variables' values, a line each
//!     impersonator cat FILE...       stdin, or the files; exit 2 if one of them cannot be opened
//!     impersonator pipetest          lines "O:..." to stdout, "E:..." to stderr, exit 1 at any other
//!     impersonator stdinClose        exit 0 if stdin is "Some test string." and ends
//!     impersonator exit N            exits so
//!     impersonator describefiles     what descriptor 3 is
//!     impersonator stderrfail        "some stderr text" on stderr, exit 1
//!     impersonator yes               "y" for ever
//!     impersonator pwd               the directory: by $PWD if that names it
//!     impersonator read3             descriptor 3's bytes; exit 1 if a descriptor above is open
//!     impersonator hang MS OPTION... closes stdout when it is ready, sleeps, and exits 0
//!         -interrupt       exits 0 at SIGINT, which it ignores otherwise; exit 2 at SIGQUIT
//!         -subsleep MS     leaves a child behind, which hangs so long and has stdin and stderr
//!         -probe MS        writes to stderr that often, and exits 1 when it cannot
//!         -read            reads stdin to its end before it sleeps
//!     impersonator deathsignal       "start"; then "ok" at SIGUSR1, or exit 1 at the end of stdin
//!     impersonator storm N           sends its process group signal N until stdin ends
//!     impersonator pidfdsignal N     sends signal N to the process whose pidfd is descriptor 3
//!     impersonator unlockpt          unlocks the terminal whose master is descriptor 3: its number
//!     impersonator foreground GROUP  the foreground group of the terminal 3, which GROUP then is
//!     impersonator answer            writes a byte to the terminal 3, and waits for a newline there
//!     impersonator mount DIR         mounts a proc file system there

const std = @import("std");
const linux = std.os.linux;

pub const panic = std.debug.no_panic;

const Verb = enum {
    echo,
    echoenv,
    cat,
    pipetest,
    stdinClose,
    exit,
    describefiles,
    stderrfail,
    yes,
    pwd,
    read3,
    hang,
    deathsignal,
    storm,
    pidfdsignal,
    unlockpt,
    foreground,
    answer,
    mount,
};

const Arguments = []const [*:0]const u8;

var environment: [:null]const ?[*:0]const u8 = undefined;

pub fn main(init: std.process.Init.Minimal) u8 {
    environment = init.environ.block.slice;
    const all = init.args.vector;
    const name = if (all.len < 2) "" else std.mem.span(all[1]);
    const verb = std.meta.stringToEnum(Verb, name) orelse return fail("unknown verb");
    const arguments = all[2..];
    return switch (verb) {
        .echo => echo(arguments),
        .echoenv => echoEnvironment(arguments),
        .cat => cat(arguments),
        .pipetest => pipeTest(),
        .stdinClose => stdinClose(),
        .exit => @truncate(@as(u32, @bitCast(number(arguments, 0)))),
        .describefiles => describe(),
        .stderrfail => fail("some stderr text"),
        .yes => while (true) print(1, "y\n"),
        .pwd => workingDirectory(),
        .read3 => read3(),
        .hang => hang(arguments),
        .deathsignal => deathSignal(),
        .storm => storm(@intCast(number(arguments, 0))),
        .pidfdsignal => answer(linux.syscall4(
            .pidfd_send_signal,
            3,
            @intCast(number(arguments, 0)),
            0,
            0,
        )),
        .unlockpt => unlockTerminal(),
        .foreground => foreground(number(arguments, 0)),
        .answer => answerOnTerminal(),
        .mount => answer(linux.mount("none", arguments[0], "proc", 0, 0)),
    };
}

// ------------------------------------------------------------------ words in, words out

fn number(arguments: Arguments, index: usize) i32 {
    if (index >= arguments.len) return 0;
    return std.fmt.parseInt(i32, std.mem.span(arguments[index]), 10) catch 0;
}

fn is(argument: [*:0]const u8, word: []const u8) bool {
    return std.mem.eql(u8, std.mem.span(argument), word);
}

/// False: nobody reads it any more.
fn tryPrint(fd: i32, text: []const u8) bool {
    var rest = text;
    while (rest.len > 0) {
        const written: isize = @bitCast(linux.write(fd, rest.ptr, rest.len));
        if (written <= 0) return false;
        rest = rest[@intCast(written)..];
    }
    return true;
}

fn print(fd: i32, text: []const u8) void {
    if (!tryPrint(fd, text)) linux.exit_group(1);
}

fn printNumber(fd: i32, comptime format: []const u8, value: i64) void {
    var text: [64]u8 = undefined;
    print(fd, std.fmt.bufPrint(&text, format, .{value}) catch "");
}

fn fail(text: []const u8) u8 {
    print(2, text);
    print(2, "\n");
    return 1;
}

/// Exit 0, or exit 2 with the errno on stderr.
fn answer(result: usize) u8 {
    const signed: isize = @bitCast(result);
    if (signed >= 0) return 0;
    printNumber(2, "errno {d}\n", -signed);
    return 2;
}

/// What was read; 0 at the end.
fn read(fd: i32, buffer: []u8) usize {
    const length: isize = @bitCast(linux.read(fd, buffer.ptr, buffer.len));
    if (length < 0) linux.exit_group(1);
    return @intCast(length);
}

fn copy(from: i32, to: i32) void {
    var buffer: [16 * 1024]u8 = undefined;
    while (true) {
        const length = read(from, &buffer);
        if (length == 0) return;
        print(to, buffer[0..length]);
    }
}

/// As much as the buffer holds.
fn readAll(fd: i32, buffer: []u8) []u8 {
    var length: usize = 0;
    while (length < buffer.len) {
        const more = read(fd, buffer[length..]);
        if (more == 0) break;
        length += more;
    }
    return buffer[0..length];
}

// ------------------------------------------------------------------ echo and its like

fn echo(arguments: Arguments) u8 {
    for (arguments, 0..) |argument, index| {
        if (index > 0) print(1, " ");
        print(1, std.mem.span(argument));
    }
    print(1, "\n");
    return 0;
}

fn variable(key: []const u8) ?[:0]const u8 {
    for (environment) |entry| {
        const text = std.mem.span(entry.?);
        if (text.len > key.len and text[key.len] == '=' and std.mem.startsWith(u8, text, key)) {
            return text[key.len + 1 ..];
        }
    }
    return null;
}

fn echoEnvironment(keys: Arguments) u8 {
    for (keys) |key| {
        print(1, variable(std.mem.span(key)) orelse "");
        print(1, "\n");
    }
    return 0;
}

fn cat(files: Arguments) u8 {
    if (files.len == 0) copy(0, 1);
    var code: u8 = 0;
    for (files) |file| {
        const fd: isize = @bitCast(linux.open(file, .{ .CLOEXEC = true }, 0));
        if (fd >= 0) {
            copy(@intCast(fd), 1);
            continue;
        }
        code = 2;
        print(2, "Error: open ");
        print(2, std.mem.span(file));
        print(2, "\n");
    }
    return code;
}

fn pipeTest() u8 {
    var line: [4096]u8 = undefined;
    var length: usize = 0;
    // A byte at a time: nothing is read ahead of what it answers to.
    while (read(0, line[length..][0..1]) == 1) {
        length += 1;
        if (line[length - 1] != '\n') {
            if (length == line.len) return 1;
            continue;
        }
        const text = line[0..length];
        length = 0;
        if (std.mem.startsWith(u8, text, "O:")) {
            print(1, text);
        } else if (std.mem.startsWith(u8, text, "E:")) {
            print(2, text);
        } else {
            return 1;
        }
    }
    return 0;
}

fn stdinClose() u8 {
    var buffer: [4096]u8 = undefined;
    const text = readAll(0, &buffer);
    return if (std.mem.eql(u8, text, "Some test string.")) 0 else fail("Error: another string");
}

// ------------------------------------------------------------------ descriptors and directories

fn describe() u8 {
    var target: [512]u8 = undefined;
    const length: isize = @bitCast(linux.readlink("/proc/self/fd/3", &target, target.len));
    print(1, "fd3: ");
    print(1, if (length > 0) target[0..@intCast(length)] else "closed");
    print(1, "\n");
    return 0;
}

fn read3() u8 {
    var buffer: [4096]u8 = undefined;
    const text = readAll(3, &buffer);
    var fd: i32 = 4;
    while (fd < 1024) : (fd += 1) {
        const flags: isize = @bitCast(linux.fcntl(fd, linux.F.GETFD, 0));
        if (flags < 0) continue;
        printNumber(1, "descriptor {d} has leaked\n", fd);
        return 1;
    }
    print(1, text);
    return 0;
}

/// pwd -L, and Go's os.Getwd.
fn workingDirectory() u8 {
    if (variable("PWD")) |path| {
        if (std.mem.startsWith(u8, path, "/") and areSame(path, ".")) {
            print(1, path);
            print(1, "\n");
            return 0;
        }
    }
    var buffer: [4096]u8 = undefined;
    const length: isize = @bitCast(linux.getcwd(&buffer, buffer.len));
    if (length <= 0) return fail("no working directory");
    print(1, buffer[0..@intCast(length - 1)]);
    print(1, "\n");
    return 0;
}

fn areSame(one: [:0]const u8, other: [:0]const u8) bool {
    var stats: [2]linux.Statx = undefined;
    for ([_][:0]const u8{ one, other }, &stats) |path, *stat| {
        const result: isize = @bitCast(linux.statx(linux.AT.FDCWD, path, 0, .BASIC_STATS, stat));
        if (result < 0) return false;
    }
    return stats[0].ino == stats[1].ino and stats[0].dev_major == stats[1].dev_major and
        stats[0].dev_minor == stats[1].dev_minor;
}

// ------------------------------------------------------------------ hanging, and signals

fn signalSet(signals: []const linux.SIG) linux.sigset_t {
    var set = linux.sigemptyset();
    for (signals) |signal| linux.sigaddset(&set, signal);
    return set;
}

/// Keeps the signals from doing anything.
fn block(signals: []const linux.SIG) void {
    const set = signalSet(signals);
    _ = linux.sigprocmask(linux.SIG.BLOCK, &set, null);
}

/// A descriptor to read the signals from, which it blocks.
fn listen(signals: []const linux.SIG) i32 {
    block(signals);
    const set = signalSet(signals);
    return @intCast(linux.signalfd(-1, &set, linux.SFD.CLOEXEC));
}

/// The signal that has come.
fn receive(fd: i32) linux.SIG {
    var info: linux.signalfd_siginfo = undefined;
    _ = read(fd, std.mem.asBytes(&info));
    return @fromBackingInt(info.signo);
}

fn now() i64 {
    var time: linux.timespec = undefined;
    _ = linux.clock_gettime(.MONOTONIC, &time);
    return time.sec * 1000 + @divTrunc(time.nsec, 1_000_000);
}

fn hang(arguments: Arguments) u8 {
    const sleep = number(arguments, 0);
    var subsleep: ?[*:0]const u8 = null;
    var probe: [*:0]const u8 = "0";
    var exits_at_interrupt = false;
    var reads = false;
    for (arguments, 0..) |argument, index| {
        if (is(argument, "-subsleep")) subsleep = arguments[index + 1];
        if (is(argument, "-probe")) probe = arguments[index + 1];
        if (is(argument, "-interrupt")) exits_at_interrupt = true;
        if (is(argument, "-read")) reads = true;
    }
    if (subsleep) |time| leaveBehind(time, probe);

    const signals = listen(if (exits_at_interrupt) &.{ .INT, .QUIT } else &.{.QUIT});
    block(&.{ .INT, .PIPE });
    _ = linux.close(1);

    var fds: [2]linux.pollfd = .{
        .{ .fd = signals, .events = linux.POLL.IN },
        .{ .fd = if (reads) 0 else -1, .events = linux.POLL.IN },
    };
    var buffer: [4096]u8 = undefined;
    while (fds[1].fd == 0) {
        _ = linux.poll(&fds, fds.len, -1);
        if (fds[0].revents != 0) return interrupted(signals);
        if (fds[1].revents != 0 and read(0, &buffer) == 0) fds[1].fd = -1;
    }

    const interval = std.fmt.parseInt(i32, std.mem.span(probe), 10) catch 0;
    const end = now() + sleep;
    while (true) {
        const left = end - now();
        if (left <= 0) break;
        const time: i32 = @intCast(if (interval > 0) @min(interval, left) else left);
        _ = linux.poll(&fds, 1, time);
        if (fds[0].revents != 0) return interrupted(signals);
        if (interval > 0 and !tryPrint(2, "ok\n")) return 1;
    }
    _ = tryPrint(2, "slept\n");
    return 0;
}

/// Go's runtime exits with 2 at SIGQUIT, after it has said a lot.
fn interrupted(signals: i32) u8 {
    if (receive(signals) == .INT) return 0;
    _ = tryPrint(2, "quit\n");
    return 2;
}

/// Starts a child that has stdin and stderr, and waits until it is ready.
fn leaveBehind(time: [*:0]const u8, probe: [*:0]const u8) void {
    var ends: [2]i32 = undefined;
    _ = linux.pipe2(&ends, .{ .CLOEXEC = true });
    const pid: isize = @bitCast(linux.fork());
    if (pid == 0) {
        _ = linux.dup3(ends[1], 1, 0);
        const argv: [6:null]?[*:0]const u8 = .{
            "impersonator",
            "hang",
            time,
            "-read",
            "-probe",
            probe,
        };
        _ = linux.execve("/proc/self/exe", &argv, environment.ptr);
        linux.exit_group(127);
    }
    _ = linux.close(ends[1]);
    copy(ends[0], 2);
    printNumber(2, "left {d}\n", pid);
}

fn deathSignal() u8 {
    const signals = listen(&.{.USR1});
    print(1, "start\n");
    var fds: [2]linux.pollfd = .{
        .{ .fd = signals, .events = linux.POLL.IN },
        .{ .fd = 0, .events = linux.POLL.IN },
    };
    _ = linux.poll(&fds, fds.len, -1);
    if (fds[0].revents == 0) return fail("not ok");
    print(1, "ok\n");
    return 0;
}

fn storm(number_of: u32) u8 {
    const signal: linux.SIG = @fromBackingInt(number_of);
    block(&.{signal});
    var fds: [1]linux.pollfd = .{.{ .fd = 0, .events = linux.POLL.IN }};
    print(1, "start\n");
    // Not without a pause: a sleep that is interrupted more often than every 50 µs, the kernel's timer slack,
    // has the longer to go each time, and the runtimes do sleep (seen: Deno, for ever).
    const pause: linux.timespec = .{ .sec = 0, .nsec = 200_000 };
    while (true) {
        _ = linux.kill(0, signal);
        var left = pause;
        _ = linux.ppoll(&fds, fds.len, &left, null);
        if (fds[0].revents != 0) return 0;
    }
}

// ------------------------------------------------------------------ terminals

const TIOCGPGRP = 0x540f;
const TIOCSPGRP = 0x5410;
const TIOCGPTN = 0x8004_5430;
const TIOCSPTLCK = 0x4004_5431;

fn unlockTerminal() u8 {
    var locked: i32 = 0;
    var index: i32 = 0;
    const unlocked = answer(linux.ioctl(3, TIOCSPTLCK, @intFromPtr(&locked)));
    if (unlocked != 0) return unlocked;
    const numbered = answer(linux.ioctl(3, TIOCGPTN, @intFromPtr(&index)));
    printNumber(1, "{d}\n", index);
    return numbered;
}

/// Without a group it only tells.
fn foreground(group: i32) u8 {
    // A process of the background is stopped for this otherwise.
    block(&.{.TTOU});
    var old: i32 = 0;
    const got = answer(linux.ioctl(3, TIOCGPGRP, @intFromPtr(&old)));
    if (got != 0) return got;
    printNumber(1, "{d}\n", old);
    var new = group;
    return if (group == 0) 0 else answer(linux.ioctl(3, TIOCSPGRP, @intFromPtr(&new)));
}

fn answerOnTerminal() u8 {
    print(3, "?");
    var byte: [1]u8 = undefined;
    if (read(3, &byte) == 1 and byte[0] == '\n') return 0;
    return fail("it was no newline");
}
