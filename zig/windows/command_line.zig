//! One command line of many arguments: Windows has no other kind, and each program splits its own. By the rules of
//! CommandLineToArgvW and of Microsoft's C library, as Go's EscapeArg writes them.

const std = @import("std");
const builtin = @import("builtin");

/// Appends an argument so that it is read as one, and as it is. `quoted`: in quotes in any case, for a batch file, whose
/// interpreter takes more characters than a space for an end.
pub fn append(line: *std.ArrayList(u8), memory: std.mem.Allocator, argument: []const u8, quoted: bool) !void {
    // Twice as long where it is all quotes, and two quotes about it.
    try line.ensureUnusedCapacity(memory, 2 * argument.len + 2);
    const in_quotes = quoted or argument.len == 0 or std.mem.findAny(u8, argument, " \t") != null;
    if (in_quotes) line.appendAssumeCapacity('"');
    var slashes: usize = 0;
    for (argument) |byte| {
        switch (byte) {
            '\\' => slashes += 1,
            '"' => {
                // Only in front of a quote does a backslash escape anything, and so must be escaped itself.
                line.appendNTimesAssumeCapacity('\\', slashes + 1);
                slashes = 0;
            },
            else => slashes = 0,
        }
        line.appendAssumeCapacity(byte);
    }
    if (in_quotes) {
        line.appendNTimesAssumeCapacity('\\', slashes);
        line.appendAssumeCapacity('"');
    }
}

/// All of them, with a space between two.
pub fn compose(memory: std.mem.Allocator, arguments: []const []const u8, quoted: bool) ![]const u8 {
    var line: std.ArrayList(u8) = .empty;
    for (arguments, 0..) |argument, index| {
        if (index > 0) try line.append(memory, ' ');
        try append(&line, memory, argument, quoted);
    }
    return line.items;
}

/// As CommandLineToArgvW splits what follows the program's name: the tests' own reading of its rules.
fn split(memory: std.mem.Allocator, line: []const u8) ![]const []const u8 {
    var arguments: std.ArrayList([]const u8) = .empty;
    var at: usize = 0;
    while (at < line.len) {
        if (line[at] == ' ' or line[at] == '\t') {
            at += 1;
            continue;
        }
        var argument: std.ArrayList(u8) = .empty;
        var in_quotes = false;
        while (at < line.len and (in_quotes or (line[at] != ' ' and line[at] != '\t'))) {
            var slashes: usize = 0;
            while (at < line.len and line[at] == '\\') : (at += 1) slashes += 1;
            if (at == line.len or line[at] != '"') {
                try argument.appendNTimes(memory, '\\', slashes);
                if (at < line.len and (in_quotes or (line[at] != ' ' and line[at] != '\t'))) {
                    try argument.append(memory, line[at]);
                    at += 1;
                }
                continue;
            }
            try argument.appendNTimes(memory, '\\', slashes / 2);
            at += 1;
            if (slashes % 2 == 1) {
                try argument.append(memory, '"');
            } else if (in_quotes and at < line.len and line[at] == '"') {
                // Two quotes in quotes are one, and the quotes go on, in Microsoft's library since 2008; no line of ours has
                // them.
                try argument.append(memory, '"');
                at += 1;
            } else in_quotes = !in_quotes;
        }
        try arguments.append(memory, argument.items);
    }
    return arguments.items;
}

const testing = std.testing;

extern "shell32" fn CommandLineToArgvW([*:0]const u16, *i32) callconv(.winapi) ?[*][*:0]u16;
extern "kernel32" fn LocalFree(?*anyopaque) callconv(.winapi) ?*anyopaque;

/// What the system makes of it, where there is one to ask.
fn expectOfSystem(memory: std.mem.Allocator, line: []const u8, wanted: []const []const u8) !void {
    if (builtin.os.tag != .windows) return;
    // Its first word is read by other rules.
    const whole = try std.unicode.utf8ToUtf16LeAllocZ(memory, try std.mem.concat(memory, u8, &.{ "x ", line }));
    var count: i32 = 0;
    const found = CommandLineToArgvW(whole, &count) orelse return error.Refused;
    defer _ = LocalFree(@ptrCast(found));
    try testing.expectEqual(wanted.len + 1, @as(usize, @intCast(count)));
    for (wanted, found[1..@intCast(count)]) |text, read| {
        try testing.expectEqualStrings(text, try std.unicode.utf16LeToUtf8Alloc(memory, std.mem.span(read)));
    }
}

test "arguments are written as Go writes them" {
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    const memory = arena.allocator();
    const cases = [_][2][]const u8{
        .{ "", "\"\"" },
        .{ "a", "a" },
        .{ "a b", "\"a b\"" },
        .{ "a\tb", "\"a\tb\"" },
        .{ "a\\", "a\\" },
        .{ "a\\\\b", "a\\\\b" },
        .{ "a b\\", "\"a b\\\\\"" },
        .{ "a\"b", "a\\\"b" },
        .{ "a\\\"b", "a\\\\\\\"b" },
        .{ "\\\\ \"", "\"\\\\ \\\"\"" },
        .{ "C:\\Program Files\\x\\", "\"C:\\Program Files\\x\\\\\"" },
    };
    for (cases) |case| {
        try testing.expectEqualStrings(case[1], try compose(memory, &.{case[0]}, false));
    }
    try testing.expectEqualStrings("a \"\" \"b c\"", try compose(memory, &.{ "a", "", "b c" }, false));
    try testing.expectEqualStrings("\"a\" \"b\\\\\"", try compose(memory, &.{ "a", "b\\" }, true));
}

test "what is joined is split into the same, whatever it holds" {
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    var random: std.Random.DefaultPrng = .init(21);
    const source = random.random();
    const letters = "ab \t\"\\\\\"^&%'\x7f";
    for (0..20_000) |round| {
        defer _ = arena.reset(.retain_capacity);
        const memory = arena.allocator();
        const arguments = try memory.alloc([]const u8, source.intRangeAtMost(usize, 1, 5));
        for (arguments) |*argument| {
            const text = try memory.alloc(u8, source.intRangeAtMost(usize, 0, 12));
            for (text) |*byte| byte.* = letters[source.uintLessThan(usize, letters.len)];
            argument.* = text;
        }
        const line = try compose(memory, arguments, round % 2 == 0);
        try expectOfSystem(memory, line, arguments);
        const read = try split(memory, line);
        try testing.expectEqual(arguments.len, read.len);
        for (arguments, read) |wanted, found| try testing.expectEqualStrings(wanted, found);
    }
}
