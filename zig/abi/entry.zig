//! The one exported function, which calls all others by their numbers.

const std = @import("std");
const assert = std.debug.assert;

/// What the library exports. Not each function: to bind one costs a first start on Deno 0.25 ms (measured).
pub const name = "osexec_call";

/// The one function for all of `symbols`: calls that of the number with its words, i32 and buffers each in their order. What
/// it has no use for is 0 and null. `unknown`: what a number that nothing has is answered.
pub fn Entry(comptime symbols: type, comptime unknown: i32) type {
    return struct {
        const names = @typeInfo(symbols).@"struct".decl_names;

        comptime {
            var most: Words = .{};
            for (names) |each| {
                const words: Words = .of(@TypeOf(@field(symbols, each)));
                most = .{ .numbers = @max(most.numbers, words.numbers), .buffers = @max(most.buffers, words.buffers) };
            }
            // Not one more than is needed, and as many as abi_gen.zig writes.
            assert(most.numbers == words_max.numbers and most.buffers == words_max.buffers);
        }

        pub fn call(
            operation: i32,
            a: i32,
            b: i32,
            c: i32,
            d: i32,
            first: ?*anyopaque,
            second: ?*anyopaque,
        ) callconv(.c) i32 {
            return switch (operation) {
                inline 0...names.len - 1 => |number| {
                    const function = @field(symbols, names[number]);
                    const arguments = argumentsOf(@TypeOf(function), .{ a, b, c, d }, .{ first, second });
                    // Not all of them in one frame, of which each call would pay for the largest.
                    const answer = @call(.never_inline, function, arguments);
                    return if (@TypeOf(answer) == void) 0 else answer;
                },
                else => unknown,
            };
        }
    };
}

/// How many words of each kind a function takes, or at most.
pub const Words = struct {
    numbers: usize = 0,
    buffers: usize = 0,

    fn of(comptime Function: type) Words {
        var words: Words = .{};
        for (@typeInfo(Function).@"fn".param_types) |Param| {
            if (Param.? == i32) words.numbers += 1 else words.buffers += 1;
        }
        return words;
    }
};

/// What the one function takes besides the operation.
pub const words_max: Words = .{ .numbers = 4, .buffers = 2 };

inline fn argumentsOf(
    comptime Function: type,
    numbers: [words_max.numbers]i32,
    buffers: [words_max.buffers]?*anyopaque,
) std.meta.ArgsTuple(Function) {
    // An empty buffer's address may be null, and is not looked at.
    @setRuntimeSafety(false);
    var arguments: std.meta.ArgsTuple(Function) = undefined;
    comptime var used: Words = .{};
    inline for (@typeInfo(Function).@"fn".param_types, 0..) |Param, index| {
        if (Param.? == i32) {
            arguments[index] = numbers[used.numbers];
            used.numbers += 1;
        } else {
            arguments[index] = @ptrCast(@alignCast(buffers[used.buffers]));
            used.buffers += 1;
        }
    }
    return arguments;
}

test "an operation gets its words in their order, and answers what its function does" {
    const seen = struct {
        var numbers: [4]i32 = @splat(0);
        var buffers: [2]?*anyopaque = @splat(null);
    };
    const list = struct {
        pub fn add(a: i32, b: i32) i32 {
            return a + b;
        }

        pub fn keep(first: [*]u8, a: i32, b: i32, second: *u32, c: i32, d: i32) void {
            seen.numbers = .{ a, b, c, d };
            seen.buffers = .{ first, second };
        }

        pub fn three() i32 {
            return 3;
        }
    };
    const call = Entry(list, -38).call;
    var bytes: [4]u8 = @splat(0);
    var word: u32 = 0;
    try std.testing.expectEqual(7, call(0, 3, 4, 9, 9, null, null));
    try std.testing.expectEqual(0, call(1, 5, 6, 7, 8, &bytes, &word));
    try std.testing.expectEqual([4]i32{ 5, 6, 7, 8 }, seen.numbers);
    try std.testing.expectEqual([2]?*anyopaque{ &bytes, &word }, seen.buffers);
    try std.testing.expectEqual(3, call(2, 0, 0, 0, 0, null, null));
    for ([_]i32{ 3, -1, std.math.maxInt(i32), std.math.minInt(i32) }) |number| {
        try std.testing.expectEqual(-38, call(number, 1, 2, 3, 4, null, null));
    }
}
