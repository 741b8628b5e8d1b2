//! The spawn storm: thousands of starts on several threads at once, of every kind and by every way of
//! the ladder, and then a look at what they have left behind. The program is its own child, so that it
//! runs where there is little else: in an emulator, on a bare kernel.
//!
//!     /path/of/storm COUNT LAUNCHER...
//!
//! makes COUNT starts. LAUNCHER, a program by its path and its arguments, runs the child where the kernel
//! cannot, as under qemu-user. The last line is `N passed, N failed`, in which each kind of start counts
//! as one, and each kind of leak.
//!
//! As a child:
//!
//!     storm exit N              exits so
//!     storm kill N              sends itself signal N, and then exits 0
//!     storm letters TEXT        exits 0 if descriptor 3 is a file of TEXT's first byte, and so on (of "-":
//!                               closed), and all descriptors from there on are closed
//!     storm ids UID GID         exits 0 if it has these

const std = @import("std");
const osexec = @import("osexec");
const abi = osexec.abi;
const linux = osexec.linux;
const spawn = osexec.spawn;
const testing = osexec.testing;
const wait = osexec.wait;
const Request = testing.Request;
const Thread = std.Thread;

const thread_count = 4;

/// What is started, and what has to come of it.
const Kind = enum {
    /// A program that exits with a number.
    plain,
    /// One that a signal kills.
    killed,
    /// No such directory.
    chdir,
    /// No such program.
    exec,
    /// Descriptors that have to change places, some of them closed, and nothing but those.
    permuted,
    /// Root of a user namespace: the parent has steps of its own to take.
    mapped,
};
const kinds = std.enums.values(Kind);

/// What a start goes without: every rung of the ladder, and all at once.
const ways = [_]u32{
    0,
    rung(.clear_sighand),
    rung(.clone3),
    rung(.pidfd),
    rung(.close_range),
    rung(.window),
    rung(.memory),
    ~rung(.memory),
    std.math.maxInt(u32),
};

fn rung(value: abi.Rung) u32 {
    return @backingInt(value);
}

/// The files a child gets in another order. They lie at `first_file` and up, so that every order but one
/// is in its own way.
const file_count = 5;
const first_file = 3;
/// The same files once more, beyond the descriptor window.
const far = 300;
/// How far a child looks for descriptors that it should not have.
const highest = far + file_count + 1;

const Strings = []const [*:0]const u8;

/// How to start this program again.
var launcher: Strings = &.{};
var self: []const u8 = undefined;

/// What came of the starts of one kind.
const Tally = struct { done: u32 = 0, failed: u32 = 0, refused: u32 = 0 };
var tallies: [kinds.len]Tally = @splat(.{});
/// The rungs that a start which could have had all of them went without.
var missing: u32 = 0;
var complaints: u32 = 0;
/// Threads whose signal mask was another one after their last start.
var masks_changed: u32 = 0;

pub fn main(init: std.process.Init.Minimal) u8 {
    const arguments: Strings = init.args.vector;
    if (arguments.len < 2) return usage();
    const verb = std.mem.span(arguments[1]);
    if (std.fmt.parseInt(u32, verb, 10)) |count| {
        self = std.mem.span(arguments[0]);
        launcher = arguments[2..];
        if (self[0] != '/' or launcher.len > 4) return usage();
        return storm(count);
    } else |_| {}
    if (arguments.len < 3) return usage();
    if (is(verb, "exit")) return @truncate(number(arguments[2]));
    if (is(verb, "kill")) {
        const pid = linux.result(.getpid, .{});
        _ = linux.call(.kill, .{ pid, number(arguments[2]) });
        return 0;
    }
    if (is(verb, "letters")) return checkLetters(std.mem.span(arguments[2]));
    if (arguments.len < 4) return usage();
    if (is(verb, "ids")) {
        const uid = linux.call(.getuid, .{}) == number(arguments[2]);
        const gid = linux.call(.getgid, .{}) == number(arguments[3]);
        return if (uid and gid) 0 else 1;
    }
    return usage();
}

fn usage() u8 {
    say("usage: /path/of/storm COUNT LAUNCHER...", .{});
    return 64;
}

fn is(verb: []const u8, name: []const u8) bool {
    return std.mem.eql(u8, verb, name);
}

fn number(text: [*:0]const u8) u32 {
    return std.fmt.parseInt(u32, std.mem.span(text), 10) catch std.math.maxInt(u32);
}

/// A line in one write: threads do not mix theirs.
fn say(comptime format: []const u8, arguments: anytype) void {
    var buffer: [512]u8 = undefined;
    const text = std.fmt.bufPrint(&buffer, format ++ "\n", arguments) catch return;
    _ = linux.retry(.write, .{ 1, text.ptr, text.len });
}

/// The first few failures tell what all of them are about.
fn complain(comptime format: []const u8, arguments: anytype) void {
    if (@atomicRmw(u32, &complaints, .Add, 1, .monotonic) < 20) say(format, arguments);
}

// The child's side.

fn checkLetters(letters: []const u8) u8 {
    for (letters, first_file..) |letter, fd| {
        var byte: [1]u8 = .{'-'};
        const answer = linux.result(.pread64, .{ fd, &byte, 1, 0 });
        if (letter == '-' and answer != linux.negative(.BADF)) return 2;
        if (byte[0] != letter) return 1;
    }
    for (first_file + letters.len..highest) |fd| if (isOpen(fd)) return 3;
    return 0;
}

fn isOpen(fd: usize) bool {
    return linux.result(.fcntl, .{ fd, linux.F_GETFD, 0 }) >= 0;
}

// The parent's side.

fn storm(count: u32) u8 {
    makeFiles() catch {
        say("The files for the children cannot be made", .{});
        return 71;
    };
    // What is set up once, and kept, is no leak.
    run(kinds.len * ways.len);
    const warm = tallies;
    tallies = @splat(.{});
    const before: Holdings = .take();
    const start = milliseconds();
    run(count);
    const elapsed = milliseconds() - start;
    const after: Holdings = .take();

    for (&tallies, warm) |*tally, first| tally.failed += first.failed;
    say("{d} starts on {d} threads in {d} ms", .{ count, thread_count, elapsed });
    sayMissing();
    return report(before, after);
}

fn makeFiles() !void {
    const MFD_CLOEXEC = 1;
    for (0..file_count) |index| {
        const fd: i32 = @intCast(first_file + index);
        linux.close(fd);
        const made = linux.result(.memfd_create, .{ "letter", MFD_CLOEXEC });
        if (made != fd) return error.Unexpected;
        const letter: [1]u8 = .{letterOf(index)};
        if (linux.result(.write, .{ fd, &letter, 1 }) != 1) return error.Unexpected;
        const copy: i32 = @intCast(far + index);
        if (linux.result(.dup3, .{ fd, copy, linux.O_CLOEXEC }) != copy) return error.Unexpected;
    }
}

fn letterOf(index: usize) u8 {
    return 'a' + @as(u8, @intCast(index));
}

fn run(count: u32) void {
    var threads: [thread_count]?Thread = @splat(null);
    for (&threads, 0..) |*thread, index| {
        thread.* = Thread.spawn(.{}, runSome, .{ @as(u32, @intCast(index)), count }) catch null;
    }
    for (threads, 0..) |thread, index| {
        if (thread) |each| each.join() else runSome(@intCast(index), count);
    }
}

fn runSome(first: u32, count: u32) void {
    var random: std.Random.DefaultPrng = .init(first);
    const mask = signalMask();
    defer if (signalMask() != mask) {
        _ = @atomicRmw(u32, &masks_changed, .Add, 1, .monotonic);
    };
    var index = first;
    while (index < count) : (index += thread_count) {
        const kind = kinds[index % kinds.len];
        const forced = ways[index / kinds.len % ways.len];
        const outcome = startOne(kind, forced, index, random.random());
        const tally = &tallies[@backingInt(kind)];
        _ = @atomicRmw(u32, &tally.done, .Add, 1, .monotonic);
        const which = switch (outcome) {
            .good => continue,
            .bad => &tally.failed,
            .refused => &tally.refused,
        };
        _ = @atomicRmw(u32, which, .Add, 1, .monotonic);
    }
}

fn signalMask() u64 {
    const mask = linux.maskSignals(0);
    _ = linux.maskSignals(mask);
    return mask;
}

const Outcome = enum { good, bad, refused };

fn startOne(kind: Kind, forced: u32, index: u32, random: std.Random) Outcome {
    const order: Order = .init(random);
    var digits: [16]u8 = undefined;
    const code = index % 256;
    const signals = [_]u32{ 1, 2, linux.SIGKILL, 15 };
    const signal = signals[index % signals.len];
    var request: Request = switch (kind) {
        .plain => again(&.{ "exit", decimal(&digits, code) }),
        .killed => again(&.{ "kill", decimal(&digits, signal) }),
        .permuted => again(&.{ "letters", &order.letters }),
        .mapped => again(&.{ "ids", "0", "0" }),
        .chdir => again(&.{ "exit", "0" }),
        .exec => .init("/no/such/program", &.{"program"}),
    };
    request.forced = forced;
    request.options = if (random.boolean()) @backingInt(abi.Option.deferred) else 0;
    _ = request.step(.sigaction, .{}, "");
    if (kind == .mapped) map(&request);
    var step: ?i32 = if (kind == .chdir) request.step(.chdir, .{ .path = undefined }, "/no/such/place\x00") else null;
    var open: i32 = first_file;
    for (0..first_file) |fd| _ = request.descriptor(@intCast(fd), @intCast(fd));
    if (kind == .permuted) for (order.sources) |source| {
        _ = request.descriptor(source, open);
        open += 1;
    };
    _ = request.step(.close_range, .{ .first = open }, "");

    var answer: abi.Answer = undefined;
    const exec = request.start(&answer);
    if (kind == .exec) step = exec;
    if (answer.pending >= 0) settle(&answer);
    if (forced == 0 and answer.pid >= 0) _ = @atomicRmw(u32, &missing, .Or, answer.rungs, .monotonic);
    return judge(kind, forced, &answer, step, switch (kind) {
        .plain => code << 8,
        .killed => signal,
        else => 0,
    });
}

/// Makes the answer of a deferred start what it would have been if somebody had waited.
fn settle(answer: *abi.Answer) void {
    var outcome: abi.Answer = undefined;
    if (spawn.settle(answer.pending, answer.pid, &outcome) < 0) complain("nothing to settle", .{});
    if (outcome.errno == 0 and outcome.signal == 0) return;
    var exit: abi.Exit = undefined;
    if (wait.wait(answer.pid, answer.pidfd, 0, &exit) != 1) complain("nobody to reap", .{});
    if (answer.pidfd >= 0) linux.close(answer.pidfd);
    outcome.rungs = answer.rungs;
    if (outcome.signal < 0) outcome.signal = exit.status & 0x7f;
    answer.* = outcome;
}

/// The files in a random order, some of them from beyond the window, some closed.
const Order = struct {
    sources: [file_count]i32 = @splat(-1),
    letters: [file_count]u8 = @splat('-'),

    fn init(random: std.Random) Order {
        var files: [file_count]u32 = undefined;
        for (&files, 0..) |*file, index| file.* = @intCast(index);
        random.shuffle(u32, &files);
        var order: Order = .{};
        for (files, &order.sources, &order.letters) |file, *source, *letter| {
            const from: i32 = switch (random.uintLessThan(u8, 8)) {
                0 => continue,
                1 => far,
                else => first_file,
            };
            source.* = from + @as(i32, @intCast(file));
            letter.* = letterOf(file);
        }
        return order;
    }
};

/// `step` is the one that has to fail; without one, `status` is what wait4(2) has to tell.
fn judge(kind: Kind, forced: u32, answer: *const abi.Answer, step: ?i32, status: u32) Outcome {
    if (step) |index| {
        const as_told = answer.pid == -1 and answer.pidfd == -1 and answer.signal == 0 and
            answer.step == index and -answer.errno == linux.negative(.NOENT);
        if (as_told) return .good;
    }
    if (answer.pid < 0) {
        // A sandbox or an emulator may have no user namespaces at all, and a libc has none ever.
        const unknown = answer.step == @backingInt(abi.Stage.clone) or
            -answer.errno == linux.negative(.NOSYS);
        if (kind == .mapped and unknown) return .refused;
        complain("{t}, forced {x}: step {d}, errno {d}, signal {d}", .{
            kind, forced, answer.step, answer.errno, answer.signal,
        });
        return .bad;
    }
    defer if (answer.pidfd >= 0) linux.close(answer.pidfd);
    var exit: abi.Exit = undefined;
    const waited = wait.wait(answer.pid, answer.pidfd, 0, &exit);
    if (step != null or waited != 1 or exit.pid != answer.pid or exit.status != @as(i32, @intCast(status))) {
        complain("{t}, forced {x}: pid {d}, wait {d}, status {x} for {x}", .{
            kind, forced, answer.pid, waited, exit.status, status,
        });
        return .bad;
    }
    return .good;
}

fn decimal(buffer: *[16]u8, value: u32) []const u8 {
    return std.fmt.bufPrint(buffer, "{d}", .{value}) catch unreachable;
}

/// This program as its own child.
fn again(words: []const []const u8) Request {
    var argv: [8][]const u8 = undefined;
    for (launcher, argv[0..launcher.len]) |word, *place| place.* = std.mem.span(word);
    argv[launcher.len] = self;
    @memcpy(argv[launcher.len + 1 ..][0..words.len], words);
    return .init(argv[0], argv[0 .. launcher.len + 1 + words.len]);
}

/// The root of a user namespace, who is us outside: maps that only the parent can write.
fn map(request: *Request) void {
    const CLONE_NEWUSER = 0x1000_0000;
    request.clone_flags = CLONE_NEWUSER;
    var text: [32]u8 = undefined;
    const uid, const gid = .{ linux.result(.getuid, .{}), linux.result(.getgid, .{}) };
    const format = "0 {d} 1\n";
    _ = request.step(.uid_map, .{ .text = undefined }, std.fmt.bufPrint(&text, format, .{uid}) catch unreachable);
    _ = request.step(.setgroups_policy, .{ .allow = 0 }, "");
    _ = request.step(.gid_map, .{ .text = undefined }, std.fmt.bufPrint(&text, format, .{gid}) catch unreachable);
}

// What is left.

/// What a start may not leave behind.
const Holdings = struct {
    descriptors: u32,
    mappings: u32,
    children: bool,

    fn take() Holdings {
        var descriptors: u32 = 0;
        for (0..4096) |fd| {
            if (isOpen(fd)) descriptors += 1;
        }
        var info: linux.ChildInfo = .{};
        const options = linux.WEXITED | linux.WNOHANG | linux.WNOWAIT | linux.WALL;
        const P_ALL = 0;
        const waited = linux.result(.waitid, .{ P_ALL, 0, &info, options, null });
        return .{
            .descriptors = descriptors,
            .mappings = countMappings(),
            .children = waited != linux.negative(.CHILD),
        };
    }
};

fn countMappings() u32 {
    const fd = linux.retry(.openat, .{ linux.AT_FDCWD, "/proc/self/maps", linux.O_CLOEXEC, 0 });
    if (fd < 0) return 0;
    defer linux.close(fd);
    var lines: u32 = 0;
    var buffer: [4096]u8 = undefined;
    while (true) {
        const n = linux.retry(.read, .{ fd, &buffer, buffer.len });
        if (n <= 0) return lines;
        lines += @intCast(std.mem.countScalar(u8, buffer[0..@intCast(n)], '\n'));
    }
}

fn milliseconds() i64 {
    const CLOCK_MONOTONIC = 1;
    var now: linux.Timespec = .{ .sec = 0, .nsec = 0 };
    _ = linux.call(.clock_gettime, .{ CLOCK_MONOTONIC, &now });
    return now.sec * 1000 + @divTrunc(now.nsec, 1_000_000);
}

fn sayMissing() void {
    say("a start without anything forced goes without:{s}", .{if (missing == 0) " nothing" else ""});
    for (std.enums.values(abi.Rung)) |each| {
        if (missing & rung(each) != 0) say("    {t}", .{each});
    }
}

fn report(before: Holdings, after: Holdings) u8 {
    var passed: u32 = 0;
    var failed: u32 = 0;
    var skipped: u32 = 0;
    for (kinds, tallies) |kind, tally| {
        const word = if (tally.failed > 0) word: {
            failed += 1;
            break :word "FAILED";
        } else if (tally.refused > 0) word: {
            skipped += 1;
            break :word "skipped";
        } else word: {
            passed += 1;
            break :word "ok";
        };
        say("{s} {t}: {d} starts, {d} failed, {d} refused by the system", .{
            word, kind, tally.done, tally.failed, tally.refused,
        });
    }
    // Three mappings are an arena, of which one stays for each start that there has ever been at once.
    const mappings_max = before.mappings + 3 * thread_count;
    const leaks = [_]struct { []const u8, bool, u32, u32 }{
        .{ "descriptors", after.descriptors == before.descriptors, before.descriptors, after.descriptors },
        .{ "mappings", after.mappings <= mappings_max, before.mappings, after.mappings },
        .{ "children", !after.children, @intFromBool(before.children), @intFromBool(after.children) },
        .{ "signal masks", masks_changed == 0, 0, masks_changed },
    };
    for (leaks) |leak| {
        const name, const good, const then, const now = leak;
        if (good) passed += 1 else failed += 1;
        say("{s} {s}: {d} before, {d} after", .{ if (good) "ok" else "FAILED", name, then, now });
    }
    if (skipped == 0) {
        say("{d} passed, {d} failed", .{ passed, failed });
    } else {
        say("{d} passed, {d} failed, {d} skipped", .{ passed, failed, skipped });
    }
    return if (failed == 0) 0 else 1;
}
