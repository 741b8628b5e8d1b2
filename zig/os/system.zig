//! The system as everything but the start of a child needs it: `linux.zig` or `darwin.zig`.
//!
//! Each answers what the system call answers, or -errno; each makes every new descriptor close-on-exec.

const builtin = @import("builtin");
const darwin = @import("darwin.zig");
const linux = @import("linux.zig");
const seam = @import("seam.zig");

pub const system = switch (builtin.os.tag) {
    .linux => linux,
    .macos => darwin,
    else => @compileError("osexec runs on Linux and macOS"),
};

/// The type of a file, as both systems have it in st_mode.
pub const FileType = enum(u4) { fifo = 1, character = 2, directory = 4, block = 6, regular = 8, socket = 12, _ };

/// Of a mode, or of the -errno in its place, which has none.
pub fn fileType(mode: i32) ?FileType {
    return if (mode < 0) null else @fromBackingInt(@truncate(@as(u32, @bitCast(mode)) >> 12));
}

comptime {
    seam.check(linux, darwin, &.{
        "map",
        "unmap",
        "protect",
        "openFile",
        "close",
        "closeFile",
        "pipe",
        "socketPair",
        "endWriting",
        "read",
        "write",
        "send",
        "sendNow",
        "poll",
        "moveBack",
        "fileNumber",
        "threadId",
        "isThread",
        "discardSigpipe",
        "yield",
        "fcntl",
        "ioctl",
        "fileMode",
        "openMode",
        "give",
        "mayExecute",
        "workingDirectory",
        "descriptorsMax",
        "beginFork",
        "endFork",
    });
    // The rest differs in type: errno values, signal sets, flags.
    for (.{ linux, darwin }) |one| for (.{
        "E",
        "negative",
        "Lock",
        "sigset_all",
        "sigset_thread",
        "maskSignals",
        "F_GETFD",
        "F_SETFD",
        "F_GETFL",
        "F_SETFL",
        "F_DUPFD_CLOEXEC",
        "O_NONBLOCK",
        "PROT_NONE",
        "PROT_READ",
        "PROT_WRITE",
        "MAP_PRIVATE",
        "MAP_SHARED",
        "MAP_NORESERVE",
    }) |name| if (!@hasDecl(one, name)) {
        @compileError(@typeName(one) ++ " lacks " ++ name);
    };
}
