//! A validated start, laid out in memory that the child may read and write: what `request.zig`
//! makes, what `spawn.zig` completes and what `child.zig` runs. Plain data, no behaviour.

const std = @import("std");
const abi = @import("../abi/abi.zig");

pub const String = [*:0]const u8;
pub const Strings = [*:null]const ?String;

/// How far a child has come. In memory that parent and child share in every mode.
pub const Report = extern struct {
    state: State = .started,
    /// The record that runs, or ran when the child died. Before the first: `Stage.clone`.
    step: i32 = @backingInt(abi.Stage.clone),
    /// Positive, once the state is `failed`.
    errno: i32 = 0,
    /// 0 until the parent has taken its steps; the child waits for that.
    gate: u32 = 0,
    /// The child that the first one has made in its place, as this process numbers it, or 0: see the step pid_namespace.
    successor: i32 = 0,

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

    /// A source that is /dev/null, whichever descriptor that is: the library has one.
    pub const null_device = -2;

    /// A source that was not open when the start began. Its number may be open in the child, as what
    /// the start itself has opened since, so the child does not look.
    pub const closed = std.math.minInt(i32);
};

pub const Plan = struct {
    path: String,
    argv: Strings,
    envp: Strings,
    /// Step records, ending with exec.
    steps: []align(8) const u8,
    descriptors: []Descriptor,
    clone_flags: u32,
    /// Bits of `Rung` that this start is to do without, for a test or because it has no use for them; and those that it turns
    /// out to have done without.
    without: u32,
    /// Nobody waits for execve: see `pending.zig`.
    deferred: bool,
    no_pidfd: bool,
    /// The thread that makes the child sleeps until that prints or ends.
    sleeps: bool,
    /// Numbers of descriptors that the child uses before its own are in place: they lie in the records, and are rewritten
    /// there when a descriptor is moved into the window.
    borrowed: []*i32 = &.{},
    /// Of these, the one of the step cgroup.
    cgroup: ?*i32 = null,
    /// What the rows of the steps come to: whose memory the child may have.
    memory: abi.steps.Memory = .any,
    has_credentials: bool = false,
    /// Whether the parent has steps of its own to take while the child waits.
    has_parent_steps: bool = false,
    /// From this record on, what wants this process's rights is the parent's to do: a new user namespace has taken them away.
    outside_from: i32 = std.math.maxInt(i32),
    has_pdeathsig: bool = false,
    /// This thread will be the child's tracer, and so must be there when a signal stops it before exec.
    has_ptrace: bool = false,
    /// The child puts itself under a filter, which may end it for what it calls from then on.
    has_filter: bool = false,
    /// The child makes another one, which is the start's: see the step pid_namespace.
    has_successor: bool = false,
    /// Some path leads through this process's own descriptors (/proc/self/fd, /dev/fd), so the
    /// child must keep all of them until exec.
    paths_use_descriptors: bool = false,
    /// Where the child puts its own number, in `envp`: its digits and a NUL.
    listen_pid: ?[*]u8 = null,
    /// The first descriptor from which on all are closed, or -1: closeFds is false.
    close_from: i32 = -1,

    /// The child has a copy of this process's memory which its new user could read (fs.suid_dumpable is 1).
    hides: bool = false,

    /// The steps that the child has not taken yet; `report.step` counts the others.
    left: Iterator = .{ .bytes = &.{} },
    report: *volatile Report = undefined,
    /// The child's first call is close_range(this, ~0, UNSHARE); 0: its table is its own already.
    unshare_from: u32 = 0,
    /// The kernel has reset the handlers (CLONE_CLEAR_SIGHAND).
    handlers_cleared: bool = false,
    /// The clone put the child into its cgroup.
    in_cgroup: bool = false,
    /// This process, for a child that must notice its death.
    parent_pid: i32 = 0,
    /// /proc, or -1: where a child of another pid namespace looks, as its getppid(2) is 0.
    proc: i32 = -1,
    /// This process as that /proc numbers it: it may belong to an outer pid namespace.
    parent_in_proc: i32 = 0,
    /// The kernel clears it, and wakes whoever waits, when the child has left our memory.
    child_tid: u32 = 0,
    /// What "/" is to the mounts, where it is not the child's own: the step new_root has opened it. -1: it is.
    root: i32 = -1,
    root_path: ?String = null,
    /// This process's, while what is made below the new root gets the modes that it is made with.
    umask: i32 = 0,
    /// Of landlock, while its rules are being added.
    ruleset: i32 = -1,
    /// The child has joined a namespace of processes.
    joins_processes: bool = false,
    /// For the second child; and the word that the kernel clears when that one has left our memory.
    successor_stack: usize = 0,
    successor_tid: u32 = 1,
    /// The writing end of a close-on-exec pipe, or -1: the parent takes its end for the exec.
    exec_pipe: i32 = -1,

    pub fn lacks(plan: *const Plan, rung: abi.Rung) bool {
        return plan.without & @backingInt(rung) != 0;
    }
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
