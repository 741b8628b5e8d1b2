//! A seam between systems: two complete files that offer the same declarations, one of which is built.
//!
//! Zig analyses only what is used, so that without this check a function missing on macOS, or one
//! whose type had drifted, would be found by whoever builds there; so both files are compared on
//! every target.

const std = @import("std");

/// Refuses to compile unless `a` and `b` both have each of `names`, with one type.
pub fn check(comptime a: type, comptime b: type, comptime names: []const []const u8) void {
    for (names) |name| {
        for ([_]type{ a, b }) |T| if (!@hasDecl(T, name)) {
            @compileError(@typeName(T) ++ " lacks " ++ name);
        };
        const A = @TypeOf(@field(a, name));
        const B = @TypeOf(@field(b, name));
        if (A != B) @compileError(std.fmt.comptimePrint("{s} is {s} in {s}, but {s} in {s}", .{
            name,
            @typeName(A),
            @typeName(a),
            @typeName(B),
            @typeName(b),
        }));
    }
}
