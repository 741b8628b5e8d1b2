//! Prints `ffi/abi.ts`. Run by `zig build abi`.

const std = @import("std");
const osexec = @import("osexec");
const abi = osexec.abi;
const entry = osexec.entry;
const lib = osexec.lib;

pub fn main(init: std.process.Init) !void {
    var buffer: [4096]u8 = undefined;
    var stdout = std.Io.File.stdout().writer(init.io, &buffer);
    const w = &stdout.interface;

    try w.writeAll(
        \\// Generated from zig/abi/abi.zig and zig/lib.zig by `zig build abi`. Do not edit.
        \\
        \\/** A digest of all that stands below, its lower and upper half; compared at load. */
        \\
    );
    const halves = .{ abi.halfOf(lib.fingerprint, 0), abi.halfOf(lib.fingerprint, 1) };
    try w.print("export const FINGERPRINT = [{d}, {d}] as const;\n", halves);
    try w.print("\n/** The first word of a request. */\nexport const MAGIC = 0x{x};\n", .{abi.magic});

    try w.print(
        "\n/** What stands for the child's number in its environment: see zig/abi/abi.zig. */\n" ++
            "export const LISTEN_PID_ROOM = \"{s}\";\n",
        .{abi.listen_pid_room},
    );

    inline for (comptime std.meta.fieldNames(@TypeOf(abi.structs))) |name| {
        const T = @field(abi.structs, name);
        try w.print("\nexport const {s} = {{\n  size: {d},\n", .{ name, @sizeOf(T) });
        inline for (comptime std.meta.fieldNames(T)) |field| {
            if (comptime std.mem.eql(u8, field, "reserved")) continue;
            try w.print("  {s}: {d},\n", .{ field, @offsetOf(T, field) });
        }
        try w.writeAll("} as const;\n");
    }
    inline for (comptime std.meta.fieldNames(@TypeOf(abi.enums))) |name| {
        const info = @typeInfo(@field(abi.enums, name)).@"enum";
        try w.print("\nexport const {s} = {{\n", .{name});
        inline for (info.field_names, info.field_values) |field, value| {
            try w.print("  {s}: {d},\n", .{ field, value });
        }
        try w.writeAll("} as const;\n");
    }

    try w.writeAll(
        \\
        \\/** What each step carries, in the order of its fields. */
        \\export interface StepValues {
        \\
    );
    for (rows) |row| {
        try w.print("  {t}: readonly [", .{row.step});
        for (row.fields, 0..) |field, index| {
            try w.print("{s}{s}: {s}", .{ if (index == 0) "" else ", ", field.name, tsType(field.kind) });
        }
        try w.writeAll("];\n");
    }
    try w.writeAll(
        \\}
        \\
        \\/**
        \\ * The steps in the order in which they run; the code of a step is its index. `word` is what errors call it, `size` that
        \\ * of its fields, `since` the first Linux that has it, `windows` that no Unix has.
        \\ */
        \\export const STEPS = [
        \\
    );
    for (rows) |row| {
        try w.print("  {{ step: \"{t}\", word: \"{s}\", size: {d}, fields: [", .{ row.step, row.word, row.size });
        for (row.fields, 0..) |field, index| {
            try w.print("{s}[\"{t}\", {d}]", .{ if (index == 0) "" else ", ", field.kind, field.offset });
        }
        try w.writeAll("]");
        if (row.is_windows) try w.writeAll(", windows: true");
        if (row.since) |since| try w.print(", since: \"{s}\"", .{since});
        try w.writeAll(" },\n");
    }
    try w.writeAll("] as const;\n");

    try w.writeAll(
        \\
        \\/** What the library exports: the operation, and its words of each kind in their order; what it has no use for is 0 and null. */
        \\export type Call = (
        \\  operation: number,
        \\  a: number,
        \\  b: number,
        \\  c: number,
        \\  d: number,
        \\  first: Uint8Array | null,
        \\  second: Uint8Array | null,
        \\) => number;
        \\
        \\/** Its name. */
        \\
    );
    try w.print("export const ENTRY = \"{s}\";\n\n/** Its words. */\nexport const ENTRY_WORDS = [\"i32\"", .{entry.name});
    for (0..entry.words_max.numbers) |_| try w.writeAll(", \"i32\"");
    for (0..entry.words_max.buffers) |_| try w.writeAll(", \"buffer\"");
    try w.writeAll(
        \\] as const;
        \\
        \\/** Every native function, by that one. */
        \\export function functionsOf(call: Call) {
        \\  return {
        \\
    );
    inline for (@typeInfo(lib.symbols).@"struct".decl_names, 0..) |name, number| {
        try writeFunction(w, name, number, @TypeOf(@field(lib.symbols, name)));
    }
    try w.writeAll("  };\n}\n");
    try w.flush();
}

fn writeFunction(w: *std.Io.Writer, comptime name: []const u8, number: usize, comptime Function: type) !void {
    const info = @typeInfo(Function).@"fn";
    try w.print("    {s}: (", .{name});
    // As the words of the one function are called.
    const numbers = "abcd";
    const buffers = [_][]const u8{ "first", "second" };
    comptime var used: entry.Words = .{};
    inline for (info.param_types, 0..) |Param, index| {
        const comma = if (index == 0) "" else ", ";
        if (comptime std.mem.eql(u8, ffiType(Param.?), "i32")) {
            try w.print("{s}{c}: number", .{ comma, numbers[used.numbers] });
            used.numbers += 1;
        } else {
            try w.print("{s}{s}: Uint8Array", .{ comma, buffers[used.buffers] });
            used.buffers += 1;
        }
    }
    try w.print("): number => call({d}", .{number});
    for (numbers, 0..) |letter, index| try w.print(", {c}", .{if (index < used.numbers) letter else '0'});
    for (buffers, 0..) |buffer, index| try w.print(", {s}", .{if (index < used.buffers) buffer else "null"});
    try w.writeAll("),\n");
}

const Row = struct {
    step: abi.Step,
    word: []const u8,
    size: u32,
    fields: []const abi.steps.Field,
    is_windows: bool,
    since: ?[]const u8,
};

/// The table without its types, which are there at compile time alone.
const rows: [abi.steps.table.len]Row = rows: {
    var list: [abi.steps.table.len]Row = undefined;
    for (abi.steps.table, abi.steps.shapes, &list) |row, shape, *each| each.* = .{
        .step = row.step,
        .word = row.word,
        .size = shape.size,
        .fields = shape.fields,
        .is_windows = row.side == .windows,
        .since = row.since,
    };
    break :rows list;
};

/// The vocabulary of the boundary. A type outside it does not compile.
fn ffiType(comptime T: type) []const u8 {
    return switch (T) {
        void, i32 => @typeName(T),
        else => switch (@typeInfo(T)) {
            .pointer => |info| if (info.size == .slice)
                @compileError("slices cannot cross the boundary: " ++ @typeName(T))
            else
                "buffer",
            else => @compileError("only i32 and buffers cross the boundary: " ++ @typeName(T)),
        },
    };
}

/// What TypeScript gives for a field.
fn tsType(kind: abi.steps.Kind) []const u8 {
    return switch (kind) {
        .i32, .u32, .descriptor => "number",
        .u64 => "bigint",
        .path => "string",
        .bytes => "Uint8Array | string",
        .words => "readonly number[]",
    };
}
