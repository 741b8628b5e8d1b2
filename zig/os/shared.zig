//! What all copies of this library in one process must have in common.
//!
//! Each JavaScript thread loads the library by itself, and from a memfd that is another file each time,
//! so another copy with globals of its own. But the dumpable flag is the process's, and a window of
//! descriptors for each copy would be a leak. So the copies meet by the loader: each makes its symbols
//! global, which puts it into one order with the others, and then asks for the symbol below; all get
//! that of the same, the first one, which stays loaded for good.
//!
//! Where the host's loader cannot be asked (a static host, another libc), each copy keeps to itself.

const std = @import("std");
const builtin = @import("builtin");
const system = @import("system.zig").system;

/// The layout is part of the symbol's name: another version's copy must not be taken for ours.
pub const symbol = std.fmt.comptimePrint("osexec_shared_{d}", .{layout()});

/// Of every field that lies in `Shared`, its name, place and size.
fn layout() u64 {
    @setEvalBranchQuota(100_000);
    var hash: std.hash.Fnv1a_64 = .init();
    for (.{ Shared, Dumpable, Window }) |T| {
        for (std.meta.fieldNames(T)) |name| {
            hash.update(name);
            hash.update(std.fmt.comptimePrint(" {d} {d};", .{
                @offsetOf(T, name),
                @sizeOf(@FieldType(T, name)),
            }));
        }
    }
    return hash.final();
}

/// See `dumpable.zig`.
pub const Dumpable = extern struct {
    lock: system.Lock = .{},
    inflight: u32 = 0,
    baseline: i32 = 0,
};

/// Four starts at once with three descriptors each; a start that finds none takes the ordinary way. Not more,
/// as a child that gets a copy of the whole table has them to close: 0.2 µs each (measured).
pub const slot_count = 12;
/// See `window.zig`.
pub const Window = extern struct {
    lock: system.Lock = .{},
    stage: Stage = .unknown,
    slots: [slot_count]i32 = @splat(-1),
    /// /dev/null, which lies in a slot that is free, and its inode: the host may have closed a slot, and opened
    /// something else under its number.
    filler: i32 = -1,
    filler_number: u64 = 0,
    /// Bit i: slot i is taken, or there is none. All are until the window stands.
    taken: u32 = std.math.maxInt(u32),
    /// The first descriptor that no child needs.
    end: u32 = 0,

    pub const Stage = enum(u32) { unknown, ready, unavailable };
};

pub const Shared = extern struct {
    dumpable: Dumpable = .{},
    window: Window = .{},
    /// The descriptor of the memfd that the first copy was loaded from, or -1.
    library: i32 = -1,
};

var own: Shared = .{};
var found: ?*Shared = null;
var pinned: enum(u8) { no, yes, failed } = .no;

/// Exported under `symbol`.
pub fn address() callconv(.c) *Shared {
    return &own;
}

/// The first copy's.
pub fn state() *Shared {
    if (@atomicLoad(?*Shared, &found, .acquire)) |shared| return shared;
    const shared = meet() orelse &own;
    @atomicStore(?*Shared, &found, shared, .release);
    return shared;
}

/// The descriptor of the memfd that another, the first copy was loaded from, or -1: this is the first, or
/// that one came from a file. Who has just loaded this copy had better use that one.
pub fn firstLibrary() i32 {
    const shared = state();
    return if (shared == &own) -1 else shared.library;
}

const Info = extern struct {
    file: ?[*:0]const u8,
    base: ?*anyopaque,
    name: ?[*:0]const u8,
    symbol: ?*anyopaque,
};

/// A function of the host's loader, or null: in a program of our own there is none to ask.
fn loader(comptime name: []const u8, comptime F: type) ?*const F {
    if (builtin.output_mode != .Lib) return null;
    return @extern(?*const F, .{ .name = name, .linkage = .weak });
}

const dladdr = loader("dladdr", fn (*const anyopaque, *Info) callconv(.c) i32);
const dlopen = loader("dlopen", fn (?[*:0]const u8, i32) callconv(.c) ?*anyopaque);
const dlsym = loader("dlsym", fn (?*anyopaque, [*:0]const u8) callconv(.c) ?*anyopaque);
const dlclose = loader("dlclose", fn (*anyopaque) callconv(.c) i32);

const mac = builtin.os.tag == .macos;
const RTLD_NOW = 2;
const RTLD_NOLOAD: i32 = if (mac) 0x10 else 0x4;
const RTLD_GLOBAL: i32 = if (mac) 0x8 else 0x100;
const RTLD_NODELETE: i32 = if (mac) 0x80 else 0x1000;
const RTLD_DEFAULT: ?*anyopaque = if (mac) @ptrFromInt(@as(usize, @bitCast(@as(isize, -2)))) else null;

fn meet() ?*Shared {
    const file = ownFile() orelse return null;
    const open = dlopen orelse return null;
    const look = dlsym orelse return null;
    const handle = open(file, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL) orelse return null;
    const entry = look(RTLD_DEFAULT, symbol) orelse return null;
    const first: *const fn () callconv(.c) *Shared = @ptrCast(@alignCast(entry));
    const shared = first();
    if (shared == &own) {
        // Other copies hold on to its memory from now on.
        _ = pin();
        own.library = memfd(std.mem.span(file)) orelse -1;
    } else if (dlclose) |close| {
        // Only the first one stays for good; the runtime holds this copy by a handle of its own.
        _ = close(handle);
    }
    return shared;
}

/// Keeps this copy loaded until the process ends: Deno unloads a Worker's libraries with the Worker, be
/// there threads in them or not (seen: a segmentation fault). False: it may go, and nothing of it may be left running.
pub fn pin() bool {
    const State = @TypeOf(pinned);
    const known = @atomicLoad(State, &pinned, .acquire);
    if (known != .no) return known == .yes;
    // A program of our own, or a static one, unloads nothing.
    const open = dlopen orelse return true;
    const kept = if (ownFile()) |file|
        open(file, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE) != null
    else
        false;
    @atomicStore(State, &pinned, if (kept) .yes else .failed, .release);
    return kept;
}

fn ownFile() ?[*:0]const u8 {
    const ask = dladdr orelse return null;
    var info: Info = undefined;
    if (ask(&own, &info) == 0) return null;
    return info.file;
}

fn memfd(path: []const u8) ?i32 {
    const prefix = "/proc/self/fd/";
    if (!std.mem.startsWith(u8, path, prefix)) return null;
    return std.fmt.parseInt(i32, path[prefix.len..], 10) catch null;
}
