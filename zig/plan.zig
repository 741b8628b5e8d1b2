//! A validated start, laid out in memory that the child may read and write: what `request.zig`
//! makes, what `spawn.zig` completes and what `child.zig` runs. Plain data, no behaviour.

const std = @import("std");
const abi = @import("abi.zig");

pub const String = [*:0]const u8;
pub const Strings = [*:null]const ?String;

/// How far a child has come. In memory that parent and child share in every mode.
pub const Report = extern struct {
    state: State = .started,
    /// The record that runs, or ran when the child died.
    step: u32 = 0,
    /// Positive, once the state is `failed`.
    errno: i32 = 0,
    /// Written by the child and seen by the parent only where the clone shared memory.
    witness: u32 = 0,

    pub const State = enum(u32) {
        /// Some step before exec is running: a child that dies now was not started.
        started,
        /// execve has been called: a child that dies now had been started.
        execing,
        failed,
    };
};

/// One descriptor of the child-to-be.
pub const Descriptor = extern struct {
    /// The number the source has in the child now, or -1 to close the target. The child rewrites
    /// it when it moves a source out of the way.
    source: i32,
    target: i32,
};

pub const Plan = struct {
    path: String,
    argv: Strings,
    envp: Strings,
    /// Step records, ending with exec.
    steps: []align(8) const u8,
    descriptors: []Descriptor,
    clone_flags: u32,
    cgroup: i32,
    forced: u32,
    /// Some path leads through this process's own descriptors (/proc/self/fd, /dev/fd), so the
    /// child must keep all of them until exec.
    paths_use_descriptors: bool,
    /// The first descriptor from which on all are closed, or -1: closeFds is false.
    close_from: i32,
    has_credentials: bool,

    report: *volatile Report = undefined,
    /// The child's first call is close_range(this, ~0, UNSHARE); 0: its table is its own already.
    unshare_from: u32 = 0,
    /// The kernel has reset the handlers (CLONE_CLEAR_SIGHAND).
    handlers_cleared: bool = false,
    has_close_range: bool = true,
};

/// Walks the records of a validated list.
pub const Iterator = struct {
    bytes: []align(8) const u8,
    offset: usize = 0,

    pub const Record = struct { step: abi.Step, payload: []align(8) const u8 };

    pub fn next(iterator: *Iterator) ?Record {
        if (iterator.offset >= iterator.bytes.len) return null;
        const header: *const abi.StepHeader = @ptrCast(@alignCast(&iterator.bytes[iterator.offset]));
        const start = iterator.offset + @sizeOf(abi.StepHeader);
        iterator.offset = start + std.mem.alignForward(usize, header.length, 8);
        return .{
            .step = @fromBackingInt(header.code),
            .payload = @alignCast(iterator.bytes[start .. start + header.length]),
        };
    }
};
