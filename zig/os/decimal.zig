//! Numbers as text, for whoever may call nothing: what is here takes no memory and cannot fail.

const std = @import("std");

/// Answers how many digits there are, ten at most.
pub fn write(place: [*]u8, value: u32) usize {
    var count: usize = 1;
    var rest = value;
    while (rest >= 10) : (rest /= 10) count += 1;
    rest = value;
    var index = count;
    while (index > 0) : (rest /= 10) {
        index -= 1;
        place[index] = '0' + @as(u8, @intCast(rest % 10));
    }
    return count;
}

/// What stands before `end`, or null: that is no number.
pub fn before(end: u8, text: []const u8) ?i32 {
    var value: i32 = 0;
    for (text, 0..) |byte, index| {
        if (byte == end) return if (index == 0) null else value;
        if (byte < '0' or byte > '9') return null;
        value = value *% 10 +% (byte - '0');
    }
    return null;
}

test "a number is written, and read again" {
    var text: [11]u8 = @splat(' ');
    for ([_]u32{ 0, 9, 10, 4096, 2147483647 }) |value| {
        const length = write(&text, value);
        text[length] = ' ';
        try std.testing.expectEqual(@as(i32, @intCast(value)), before(' ', &text).?);
    }
    for ([_][]const u8{ "", " ", "7", "7x ", "-1 " }) |none| try std.testing.expectEqual(null, before(' ', none));
}
