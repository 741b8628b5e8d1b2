//! A child's environment as Windows takes it: one block of UTF-16, sorted by names whose case says nothing.

const std = @import("std");

/// Where a name ends: the first "=" that is not the first character, as cmd.exe keeps each drive's directory in "=C:".
pub fn nameOf(entry: []const u8) ?[]const u8 {
    if (entry.len == 0) return null;
    const end = std.mem.findScalarPos(u8, entry, 1, '=') orelse return null;
    return entry[0..end];
}

fn order(_: void, a: []const u8, b: []const u8) bool {
    const left = nameOf(a) orelse a;
    const right = nameOf(b) orelse b;
    return compare(left, right) == .lt;
}

/// Upper-cased by ASCII, as Go's: no name in use has other letters, and Windows itself no longer asks for the order.
fn compare(a: []const u8, b: []const u8) std.math.Order {
    for (0..@min(a.len, b.len)) |index| {
        const left = std.ascii.toUpper(a[index]);
        const right = std.ascii.toUpper(b[index]);
        if (left != right) return std.math.order(left, right);
    }
    return std.math.order(a.len, b.len);
}

/// The block of `entries`: of one name the last, and `root` ("SYSTEMROOT=…"), without which no socket can be made, where
/// they have none. Entries that are no variables are left out. InvalidUtf8 for bytes that are no text.
pub fn make(memory: std.mem.Allocator, entries: []const []const u8, root: []const u8) ![]const u16 {
    var kept: std.ArrayList([]const u8) = .empty;
    var index = entries.len;
    while (index > 0) {
        index -= 1;
        try keep(&kept, memory, entries[index]);
    }
    try keep(&kept, memory, root);
    // A tenth of the code of std.mem.sort, and there are a hundred of them.
    std.sort.insertion([]const u8, kept.items, {}, order);
    var block: std.ArrayList(u16) = .empty;
    for (kept.items) |entry| {
        try block.ensureUnusedCapacity(memory, entry.len + 1);
        const length = try std.unicode.utf8ToUtf16Le(block.unusedCapacitySlice(), entry);
        block.items.len += length;
        block.appendAssumeCapacity(0);
    }
    // An empty one has two as well.
    if (kept.items.len == 0) try block.append(memory, 0);
    try block.append(memory, 0);
    return block.items;
}

fn keep(kept: *std.ArrayList([]const u8), memory: std.mem.Allocator, entry: []const u8) !void {
    const name = nameOf(entry) orelse return;
    for (kept.items) |other| if (compare(nameOf(other).?, name) == .eq) return;
    try kept.append(memory, entry);
}

const testing = std.testing;

fn expectBlock(wanted: []const u8, entries: []const []const u8, root: []const u8) !void {
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    const block = try make(arena.allocator(), entries, root);
    const text = try std.unicode.utf16LeToUtf8Alloc(arena.allocator(), block);
    try testing.expectEqualStrings(wanted, text);
}

test "the block is sorted, without duplicates, whatever their case" {
    try expectBlock("A=1\x00b=2\x00C=3\x00\x00", &.{ "C=3", "b=2", "A=1" }, "");
    try expectBlock("PATH=2\x00\x00", &.{ "Path=1", "PATH=2" }, "");
    try expectBlock("\x00\x00", &.{}, "");
    try expectBlock("=C:=C:\\x\x00A=\x00\x00", &.{ "A=", "=C:=C:\\x", "none", "" }, "");
}

test "SYSTEMROOT is kept, and never replaced" {
    try expectBlock("A=1\x00SYSTEMROOT=C:\\w\x00\x00", &.{"A=1"}, "SYSTEMROOT=C:\\w");
    try expectBlock("SystemRoot=D:\x00\x00", &.{"SystemRoot=D:"}, "SYSTEMROOT=C:\\w");
}

test "names that begin alike stand in the order of Windows" {
    try expectBlock("AB=1\x00ABC=3\x00AB_C=2\x00\x00", &.{ "ABC=3", "AB_C=2", "AB=1" }, "");
}

test "bytes that are no UTF-8 are refused" {
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    try testing.expectError(error.InvalidUtf8, make(arena.allocator(), &.{"A=\xff"}, ""));
}
