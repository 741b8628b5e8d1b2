//! The one description of the boundary: every layout, code and limit that TypeScript and Zig share.
//!
//! `abi_gen.zig` prints it to `ffi/abi.ts`; a stale file fails the build, and the fingerprint below
//! is compared once at load, so the two sides can never meet with different ideas of it.
//! Only i32 and caller-owned buffers cross; offsets inside a buffer, never pointers.

const std = @import("std");
const assert = std.debug.assert;

pub const steps = @import("steps.zig");
pub const Step = steps.Step;

/// "OSEX", little-endian: catches a buffer that is no request at all.
pub const magic: u32 = 0x5845534f;

/// The header of a spawn request. All offsets count from the header's first byte.
pub const Request = extern struct {
    magic: u32,
    /// Bytes in all, header included.
    length: u32,
    /// CLONE_NEW* for the clone itself.
    clone_flags: u32,
    /// Bits of `Option`.
    options: u32 = 0,
    /// The program: one NUL-terminated string.
    path: u32,
    path_length: u32,
    /// `argv_count` strings, one after the other, each NUL-terminated.
    argv: u32,
    argv_length: u32,
    argv_count: u32,
    envp: u32,
    envp_length: u32,
    envp_count: u32,
    /// Step records, each aligned to 8.
    steps: u32,
    steps_length: u32,
    /// Test hooks: which rungs of the ladder to pretend are missing. See `Rung`.
    forced: u32,
    reserved: u32 = 0,

    comptime {
        assert(@sizeOf(Request) == 64);
        assert(@alignOf(Request) == 4);
    }
};

/// How a start is to be made.
pub const Option = enum(u32) {
    /// The caller does not wait for execve if it need not, but asks for the outcome later.
    deferred = 1,
    /// It has no use for a pidfd.
    no_pidfd = 2,
    /// The thread that makes it sleeps until the child prints or ends.
    sleeps = 4,
};

/// CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
pub const namespaces: u32 = 0x7e02_0080;

/// The head of a step record; its payload follows, padded to 8 bytes.
pub const StepHeader = extern struct {
    code: u16,
    reserved: u16 = 0,
    /// Payload bytes, without the padding.
    length: u32,

    comptime {
        assert(@sizeOf(StepHeader) == 8);
    }
};

/// What a spawn answers.
pub const Answer = extern struct {
    pid: i32,
    /// -1 where the kernel gave none.
    pidfd: i32,
    /// The index of the record that failed, or one of `Stage`'s values.
    step: i32,
    /// Positive; 0 with `signal` set when the child was killed before exec.
    errno: i32,
    signal: i32,
    /// Bits of `Rung`: which parts of the ladder this start went without.
    rungs: u32,
    /// What `osexec_settle` is to be asked for, once; -1: the child has called execve.
    pending: i32,

    /// Neither a process nor a failure.
    pub const nothing: Answer = .{
        .pid = -1,
        .pidfd = -1,
        .step = 0,
        .errno = 0,
        .signal = 0,
        .rungs = 0,
        .pending = -1,
    };

    comptime {
        assert(@sizeOf(Answer) == 28);
    }
};

/// Values of `Answer.step` that are no record's index.
pub const Stage = enum(i32) {
    /// The process could not be made.
    clone = -1,
    /// The request itself is malformed: a defect of the encoder, never of the user.
    request = -2,
};

/// Rungs of the ladder for old kernels and sandboxes, as bits.
pub const Rung = enum(u32) {
    /// clone(2) in place of clone3(2).
    clone3 = 1,
    /// No CLONE_CLEAR_SIGHAND: the child resets 64 dispositions itself.
    clear_sighand = 2,
    /// No pidfd.
    pidfd = 4,
    /// No close_range(2): the child reads /proc/self/fd.
    close_range = 8,
    /// No descriptor window: the child gets a full copy of the table.
    window = 16,
    /// No CLONE_VM: the child has a copy of the memory, and a pipe's end tells of the exec.
    memory = 32,
    /// No CLONE_INTO_CGROUP: the child writes itself into cgroup.procs.
    into_cgroup = 128,
};

/// How a child ended, and what it cost. Times are in milliseconds, sizes in bytes; f64 because all
/// of them may pass 2^31 and every one is exact below 2^53.
pub const Exit = extern struct {
    pid: i32,
    /// The raw wait status, as wait4(2) gives it.
    status: i32,
    user_time: f64,
    system_time: f64,
    max_rss: f64,
    minor_faults: f64,
    major_faults: f64,
    blocks_in: f64,
    blocks_out: f64,
    voluntary_switches: f64,
    involuntary_switches: f64,

    comptime {
        assert(@sizeOf(Exit) == 80);
    }
};

/// One descriptor of `osexec_poll`: struct pollfd.
pub const Poll = extern struct {
    fd: i32,
    events: i16,
    revents: i16,

    comptime {
        assert(@sizeOf(Poll) == 8);
    }
};

/// What the reactor thread writes down its socket: one record a watched descriptor that is ready.
pub const Event = extern struct {
    token: u32,
    /// The descriptor; or a process's id, negated.
    fd: i32,
    /// Bits of `Ready`.
    ready: u32,

    comptime {
        assert(@sizeOf(Event) == 12);
    }
};

/// How a descriptor is made fit for a child: its O_NONBLOCK is cleared.
pub const Lend = enum(u32) {
    always = 0,
    /// Who takes a socket that is not its stdio knows what it gets, and its owner's event loop would stand
    /// still without the flag.
    unless_socket = 1,
    /// It is set again: there has been no child.
    back = 2,
};

/// What a descriptor is watched for, and what it became: the values of EPOLLIN, EPOLLOUT, EPOLLERR
/// and EPOLLHUP, which poll(2) shares on every Linux.
pub const Ready = enum(u32) {
    in = 1,
    out = 4,
    err = 8,
    hup = 16,
};

/// What `osexec_reactor` answers.
pub const Reactor = extern struct {
    handle: i32,
    /// The end that JavaScript reads events from.
    fd: i32,

    comptime {
        assert(@sizeOf(Reactor) == 8);
    }
};

/// Flags of `osexec_wait`.
pub const Wait = enum(u32) {
    /// Answer at once: 0 when the child still runs.
    nohang = 1,
    /// Leave the child a zombie.
    nowait = 2,
};

/// What stands for the child's own number in its environment until the child puts it there: sd_listen_fds(3). As many
/// digits as a pid_t may have.
pub const listen_pid_room = "LISTEN_PID=0000000000";

pub const structs = .{
    .Request = Request,
    .StepHeader = StepHeader,
    .Answer = Answer,
    .Exit = Exit,
    .Poll = Poll,
    .Event = Event,
    .Reactor = Reactor,
};
pub const enums = .{ .Stage = Stage, .Rung = Rung, .Ready = Ready, .Lend = Lend, .Wait = Wait, .Option = Option, .Creation = steps.CreationBit };

/// A digest of every layout, code, word and signature (`symbols`: what is exported): equal digests mean that both sides were built
/// from the same boundary.
pub fn fingerprintOf(comptime symbols: type) u64 {
    @setEvalBranchQuota(1_000_000);
    var digest: Digest = .{};
    for (std.meta.fieldNames(@TypeOf(structs))) |name| {
        const T = @field(structs, name);
        digest.add(name, &.{ @sizeOf(T), @alignOf(T) });
        for (std.meta.fieldNames(T)) |field| {
            digest.add(field, &.{@offsetOf(T, field)});
            digest.add(@typeName(@FieldType(T, field)), &.{});
        }
    }
    for (std.meta.fieldNames(@TypeOf(enums))) |name| {
        const info = @typeInfo(@field(enums, name)).@"enum";
        digest.add(name, &.{});
        for (info.field_names, info.field_values) |field, value| digest.add(field, &.{value});
    }
    digest.add(listen_pid_room, &.{});
    for (steps.table, steps.shapes) |row, shape| {
        digest.add(@tagName(row.step), &.{ shape.size, @intFromBool(row.repeats) });
        digest.add(row.word, &.{});
        for (shape.fields) |field| digest.add(field.name, &.{ field.offset, @backingInt(field.kind) });
    }
    for (@typeInfo(symbols).@"struct".decl_names) |name| {
        const info = @typeInfo(@TypeOf(@field(symbols, name))).@"fn";
        digest.add(name, &.{});
        // Parameter by parameter: the name of the whole type would spell out the target's calling
        // convention, and the digest must be the same on every target.
        for (info.param_types) |Param| digest.add(@typeName(Param.?), &.{});
        digest.add(@typeName(info.return_type.?), &.{});
    }
    return digest.hash.final();
}

/// Its lower (0) or upper (1) half, as each function answers an i32.
pub inline fn halfOf(fingerprint: u64, half: i32) i32 {
    const shift: u6 = if (half == 0) 0 else 32;
    return @bitCast(@as(u32, @truncate(fingerprint >> shift)));
}

/// Of names and numbers as they are: to print each took the compiler minutes.
const Digest = struct {
    hash: std.hash.Fnv1a_64 = .init(),

    fn add(digest: *Digest, name: []const u8, numbers: []const i64) void {
        digest.hash.update(name);
        digest.hash.update(",");
        for (numbers) |number| digest.hash.update(&std.mem.toBytes(std.mem.nativeToLittle(i64, number)));
    }
};
