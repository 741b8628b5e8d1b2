//! What the tests that start processes share: requests written by hand, and the counting of descriptors.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const spawn = @import("../parent/spawn.zig");
const system = @import("../os/system.zig").system;
const waiting = @import("../wait/wait.zig");

/// A request in the making: strings first, then the steps, in order.
pub const Request = struct {
    bytes: [16 * 1024]u8 align(8) = @splat(0),
    length: u32 = @sizeOf(abi.Request),
    steps: u32 = 0,
    count: i32 = 0,
    clone_flags: u32 = 0,
    /// Bits of `abi.Rung`.
    forced: u32 = 0,
    path: Span,
    argv: Span,
    argv_count: u32,
    /// Bits of `abi.Option`.
    options: u32 = 0,

    const Span = struct { offset: u32 = 0, length: u32 = 0 };

    pub fn init(path: []const u8, argv: []const []const u8) Request {
        var request: Request = .{ .path = .{}, .argv = .{}, .argv_count = @intCast(argv.len) };
        request.path.offset = request.length;
        request.string(path);
        request.path.length = request.length - request.path.offset;
        request.argv.offset = request.length;
        for (argv) |argument| request.string(argument);
        request.argv.length = request.length - request.argv.offset;
        request.length = std.mem.alignForward(u32, request.length, 8);
        request.steps = request.length;
        return request;
    }

    /// What `sh -c script` needs, up to the steps between.
    pub fn shell(script: []const u8) Request {
        return .init("/bin/sh", &.{ "sh", "-c", script });
    }

    fn string(request: *Request, text: []const u8) void {
        @memcpy(request.bytes[request.length..][0..text.len], text);
        request.bytes[request.length + text.len] = 0;
        request.length += @intCast(text.len + 1);
    }

    /// A step by its fields; what a path, bytes or words point to is `tail`, a path's with its NUL. Answers the step's index.
    pub fn step(
        request: *Request,
        comptime code: abi.Step,
        fields: abi.steps.table[@backingInt(code)].Fields,
        tail: []const u8,
    ) i32 {
        var payload = fields;
        const size = @sizeOf(@TypeOf(payload));
        inline for (abi.steps.shapes[@backingInt(code)].fields) |field| switch (field.kind) {
            .path, .bytes, .words => {
                const T = @FieldType(@TypeOf(payload), field.name);
                @field(payload, field.name) = if (T == abi.steps.Words)
                    .{ .offset = size - field.offset, .count = @intCast(tail.len / 4) }
                else
                    .{ .offset = size - field.offset, .length = @intCast(tail.len) };
                if (T == abi.steps.Path) @field(payload, field.name).length -= 1;
            },
            else => {},
        };
        const header: *abi.StepHeader = @ptrCast(@alignCast(&request.bytes[request.length]));
        const length = size + tail.len;
        header.* = .{ .code = @backingInt(code), .length = @intCast(length) };
        const place = request.bytes[request.length + @sizeOf(abi.StepHeader) ..];
        @memcpy(place[0..size], std.mem.asBytes(&payload));
        @memcpy(place[size..length], tail);
        request.length += @intCast(@sizeOf(abi.StepHeader) + std.mem.alignForward(usize, length, 8));
        request.count += 1;
        return request.count - 1;
    }

    pub fn descriptor(request: *Request, source: i32, target: i32) i32 {
        return request.step(.fd, .{ .source = source, .target = target }, "");
    }

    /// The last steps of every start, and the start. Answers the exec step's index.
    pub fn start(request: *Request, answer: *abi.Answer) i32 {
        _ = request.step(.sigprocmask, .{}, "");
        const exec = request.step(.exec, .{}, "");
        const header: *abi.Request = @ptrCast(&request.bytes);
        header.* = .{
            .magic = abi.magic,
            .length = request.length,
            .clone_flags = request.clone_flags,
            .path = request.path.offset,
            .path_length = request.path.length,
            .argv = request.argv.offset,
            .argv_length = request.argv.length,
            .argv_count = request.argv_count,
            .envp = request.steps,
            .envp_length = 0,
            .envp_count = 0,
            .steps = request.steps,
            .steps_length = request.length - request.steps,
            .forced = request.forced,
            .options = request.options,
        };
        spawn.start(request.bytes[0..request.length], answer);
        return exec;
    }

    /// Starts it, which must succeed, and answers the status it ended with.
    pub fn run(request: *Request) !i32 {
        var answer: abi.Answer = undefined;
        _ = request.start(&answer);
        try expectStarted(&answer);
        return finish(&answer);
    }
};

pub fn expectStarted(answer: *const abi.Answer) !void {
    errdefer std.debug.print("{any}\n", .{answer.*});
    try std.testing.expectEqual(0, answer.errno);
    try std.testing.expectEqual(0, answer.signal);
    try std.testing.expect(answer.pid > 0);
}

/// What a pending start has come to.
pub fn expectOutcome(answer: *const abi.Answer, step: i32, errno: i32) !void {
    errdefer std.debug.print("{any}\n", .{answer.*});
    try std.testing.expectEqual(step, answer.step);
    try std.testing.expectEqual(-errno, answer.errno);
    try std.testing.expectEqual(0, answer.signal);
}

/// That it failed, so, and left no process.
pub fn expectFailed(answer: *const abi.Answer, step: i32, errno: i32) !void {
    errdefer std.debug.print("{any}\n", .{answer.*});
    try std.testing.expectEqual(step, answer.step);
    try std.testing.expectEqual(-errno, answer.errno);
    try std.testing.expectEqual(-1, answer.pid);
    try std.testing.expectEqual(-1, answer.pidfd);
    try std.testing.expectEqual(0, answer.signal);
}

/// Reaps, and answers the status.
pub fn finish(answer: *const abi.Answer) !i32 {
    var exit: abi.Exit = undefined;
    try std.testing.expectEqual(1, waiting.wait(answer.pid, answer.pidfd, 0, &exit));
    try std.testing.expectEqual(answer.pid, exit.pid);
    if (answer.pidfd >= 0) system.close(answer.pidfd);
    return exit.status;
}

/// All that the other end of a pipe writes, up to its end.
pub fn drain(fd: i32, buffer: []u8) []u8 {
    var length: usize = 0;
    while (length < buffer.len) {
        const count = system.read(fd, buffer[length..].ptr, buffer.len - length);
        if (count <= 0) break;
        length += @intCast(count);
    }
    return buffer[0..length];
}

var settled: bool = false;

/// How many of the low descriptors are open, once the first start of all has taken its own for good
/// (`window.zig`).
pub fn openCount() usize {
    if (!settled) {
        settled = true;
        var first: Request = .shell("exit 0");
        _ = first.step(.close_range, .{ .first = 3 }, "");
        _ = first.run() catch {};
    }
    var count: usize = 0;
    for (0..1024) |fd| {
        if (system.fcntl(@intCast(fd), system.F_GETFD, 0) >= 0) count += 1;
    }
    return count;
}

pub const sleep = @import("../os/threads.zig").pause;
