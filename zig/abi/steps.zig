//! The steps of a start: what each carries, where it stands, and all that distinguishes it.
//!
//! The rows stand in the order in which the steps run: the validator refuses a request in which the codes ever decrease, so
//! an encoder can not put a step in the wrong place. A step is one row here, one case in `zig/child/`, one test; why it
//! stands where it stands is with its case. `abi_gen.zig` prints the rows for TypeScript, whose encoder follows them.

const std = @import("std");
const assert = std.debug.assert;

/// A descriptor of this process that the child uses before its own are in place. It is leased into the window, and known to
/// be closed (-1) where it was not open when the start began.
pub const Descriptor = extern struct { number: i32 };

/// A NUL-terminated string among what follows the fields, at so many bytes from here: no pointer crosses the boundary.
/// A path through this process's own descriptors (/proc/self/fd/7) makes the child keep all of them until exec.
pub const Path = extern struct {
    offset: u32,
    /// Without the NUL.
    length: u32,

    pub fn text(path: *const Path) [*:0]const u8 {
        return @ptrCast(at(path, path.offset));
    }
};

/// Bytes, whatever they are.
pub const Bytes = extern struct {
    offset: u32,
    length: u32,

    pub fn slice(bytes: *const Bytes) []const u8 {
        return at(bytes, bytes.offset)[0..bytes.length];
    }
};

/// 32-bit words.
pub const Words = extern struct {
    offset: u32,
    count: u32,

    pub fn slice(words: *const Words) []const u32 {
        const first: [*]const u32 = @ptrCast(@alignCast(at(words, words.offset)));
        return first[0..words.count];
    }
};

inline fn at(field: *const anyopaque, offset: u32) [*]const u8 {
    return @as([*]const u8, @ptrCast(field)) + offset;
}

/// What a field may be.
pub const Kind = enum {
    i32,
    u32,
    u64,
    descriptor,
    path,
    bytes,
    words,

    pub fn of(comptime T: type) Kind {
        return switch (T) {
            i32 => .i32,
            u32 => .u32,
            u64 => .u64,
            Descriptor => .descriptor,
            Path => .path,
            Bytes => .bytes,
            Words => .words,
            else => @compileError("no field of a step can be " ++ @typeName(T)),
        };
    }
};

/// Who takes a step. `either`: the clone itself where the kernel can, else the child. `windows`: no Unix has it.
pub const Side = enum { child, parent, either, windows };

/// Whose memory a child may have that takes the step, as some change what belongs to the memory and not to the process.
pub const Memory = enum {
    /// This process's, while its thread goes on.
    any,
    /// This process's, while its thread stands still: or the kernel does to both what it does to one.
    waits,
    /// A copy of its own.
    own,
};

/// With whose rights. `outside`: those of this process, which a new user namespace takes away; where the clone makes one
/// they are the parent's to use, on the child.
pub const Rights = enum { child, outside };

pub const Row = struct {
    /// The case of `Step`.
    step: Step,
    /// The word of `SpawnStep` that errors and `explain()` use.
    word: []const u8,
    Fields: type = extern struct {},
    /// May stand in a request more than once, one after the other.
    repeats: bool = false,
    side: Side = .child,
    memory: Memory = .any,
    rights: Rights = .child,
    /// It changes who the child is: what is shared with it is to be kept from that user meanwhile.
    credentials: bool = false,
    /// The child that goes through libc has it too.
    libc: bool = false,
    /// The first Linux that has what it needs. Null: every one that the runtimes run on.
    since: ?[]const u8 = null,
};

pub const Step = enum(u16) {
    sigaction,
    cgroup,
    affinity,
    scheduler,
    nice,
    io_priority,
    timer_slack,
    memory_policy,
    oom_score_adj,
    coredump_filter,
    personality,
    rlimit,
    uid_map,
    setgroups_policy,
    gid_map,
    setns,
    unshare,
    self_setgroups_policy,
    self_gid_map,
    self_uid_map,
    pid_namespace,
    mount_private,
    new_root,
    mount,
    symlink,
    remount,
    pivot_root,
    hostname,
    domainname,
    setsid,
    setpgid,
    foreground,
    chroot,
    umask,
    bounding_set,
    keep_capabilities,
    setgroups,
    setgid,
    setuid,
    ambient_set,
    securebits,
    capability_sets,
    keyring,
    pdeathsig,
    dumpable,
    creation,
    command_line,
    process_security,
    thread_security,
    job,
    inherit,
    chdir,
    no_new_privs,
    fd,
    close_range,
    listen_fds,
    noctty,
    setctty,
    landlock,
    landlock_path,
    landlock_port,
    landlock_restrict,
    rlimit_nofile,
    ptrace,
    sigprocmask,
    seccomp,
    exec,
};

pub const Cgroup = extern struct { directory: Descriptor };
/// A mask, as sched_setaffinity(2) takes it: a bit for each processor.
pub const Affinity = extern struct { mask: Bytes };
/// The policy, SCHED_RESET_ON_FORK with it; and the priority.
pub const Scheduler = extern struct { policy: u32, priority: i32 };
pub const Nice = extern struct { value: i32 };
/// As ioprio_set(2) takes it: the class in the upper three bits of 16.
pub const IoPriority = extern struct { value: i32 };
pub const TimerSlack = extern struct { nanoseconds: u64 };
/// A mode of set_mempolicy(2), and a bit for each node.
pub const MemoryPolicy = extern struct { mode: u32, reserved: u32 = 0, nodes: Bytes };
pub const OomScoreAdj = extern struct { value: i32 };
pub const CoredumpFilter = extern struct { mask: u32 };
pub const Personality = extern struct { persona: u32 };
pub const Rlimit = extern struct { soft: u64, hard: u64, resource: u32, reserved: u32 = 0 };
pub const Map = extern struct { text: Bytes };
/// 1: "allow", 0: "deny".
pub const SetgroupsPolicy = extern struct { allow: u32 };
/// The CLONE_NEW* of setns(2): 0 for whichever namespace the descriptor is, a pidfd needs one or more.
pub const Setns = extern struct { namespace: Descriptor, kind: u32 };
pub const Unshare = extern struct { flags: u32 };
/// Becomes what "/" is to the mounts that follow, and what pivot_root puts in its place.
pub const NewRoot = extern struct {
    path: Path,
    /// 1: a mount at "/" will lie on it all, so that it needs not be one itself.
    covered: u32,
    reserved: u32 = 0,
};
pub const Mount = extern struct {
    kind: MountKind,
    /// MOUNT_ATTR_* of mount_setattr(2), and `mount_recursive`.
    attributes: u32,
    /// A path of this process's, looked up before the root changes: of a bind.
    source: Path,
    /// Below the new root, if there is one, whatever symlinks lead out of it.
    target: Path,
    /// Pairs for fsconfig(2), each a name and a value, NUL-terminated; a flag's value is empty.
    options: Bytes,
};
pub const MountKind = enum(u32) {
    bind,
    tmpfs,
    proc,
    devpts,
    overlay,
    mqueue,
    /// What is there is hidden: a file by /dev/null, a directory by an empty one that nobody writes to.
    mask,
    /// Not validated.
    _,
};
/// Above what MOUNT_ATTR_* uses (MOUNT_ATTR_NOSYMFOLLOW is 0x200000).
pub const mount_recursive: u32 = 1 << 31;
/// A symlink at `path`, below the new root.
pub const Symlink = extern struct { content: Path, path: Path };
/// More attributes for what is mounted there by now.
pub const Remount = extern struct { path: Path, attributes: u32, reserved: u32 = 0 };
pub const Hostname = extern struct { name: Bytes };
pub const Setpgid = extern struct { group: i32 };
/// The terminal's descriptor, the parent's number; and the group, or 0 for the child's own.
pub const Foreground = extern struct { terminal: Descriptor, group: i32 };
pub const Directory = extern struct { path: Path };
pub const Umask = extern struct { mask: u32 };
/// Bits of capabilities: those to keep.
pub const BoundingSet = extern struct { kept: u64 };
pub const Setgroups = extern struct { groups: Words };
pub const Id = extern struct { id: u32 };
pub const Securebits = extern struct { bits: u32 };
/// Bits of capabilities. `given`: 1 permitted, 2 effective, 4 inheritable; what is not given stays, as far as it may.
pub const CapabilitySets = extern struct {
    permitted: u64,
    effective: u64,
    inheritable: u64,
    given: u32,
    reserved: u32 = 0,
};
pub const AmbientSet = extern struct { capabilities: u64 };
pub const Pdeathsig = extern struct { signal: u32 };
pub const Dumpable = extern struct { value: u32 };
/// CREATE_* of CreateProcess; bits of `CreationBit`; the handles of a token and of the parent process, or 0. A handle of
/// Windows has 32 significant bits, sign-extended.
pub const Creation = extern struct { flags: u32, bits: u32, token: i32, parent: i32 };
pub const CreationBit = enum(u32) {
    hide_window = 1,
    no_inherit_handles = 2,
    /// The program is a batch file: every argument stands in quotes.
    batch = 4,
    /// The handles of the process and of its first thread are inheritable.
    inherit_process = 8,
    inherit_thread = 16,
};
pub const CommandLine = extern struct { text: Path };
/// A security descriptor in SDDL.
pub const Security = extern struct { descriptor: Path };
/// JOB_OBJECT_LIMIT_*.
pub const Job = extern struct { limits: u32 };
pub const Inherit = extern struct { handles: Words };
/// -1: closed; -2: /dev/null, whichever descriptor that is. See `plan.Descriptor`.
pub const Fd = extern struct { source: i32, target: i32 };
pub const CloseRange = extern struct { first: i32 };
/// The child's number.
pub const Terminal = extern struct { terminal: i32 };
/// LANDLOCK_ACCESS_FS_*, _NET_* and LANDLOCK_SCOPE_* that are refused but for what the rules allow.
pub const Landlock = extern struct { fs: u64, net: u64, scoped: u64 };
/// `file_access`: of these what a file may have, as the kernel refuses the others for one.
pub const LandlockPath = extern struct { access: u64, file_access: u64, path: Path };
pub const LandlockPort = extern struct { access: u64, port: u64 };
/// struct sock_filter, 8 bytes each.
pub const Seccomp = extern struct { filter: Bytes };

pub const table = [_]Row{
    .{ .step = .sigaction, .word = "sigaction", .libc = true },
    .{ .step = .cgroup, .word = "cgroup", .Fields = Cgroup, .side = .either },
    .{ .step = .affinity, .word = "affinity", .Fields = Affinity },
    .{ .step = .scheduler, .word = "scheduler", .Fields = Scheduler, .rights = .outside },
    .{ .step = .nice, .word = "nice", .Fields = Nice, .rights = .outside, .libc = true },
    .{ .step = .io_priority, .word = "io_priority", .Fields = IoPriority, .rights = .outside },
    .{ .step = .timer_slack, .word = "timer_slack", .Fields = TimerSlack },
    .{ .step = .memory_policy, .word = "memory_policy", .Fields = MemoryPolicy },
    // The kernel gives it to everybody who shares the memory, but for a child of vfork (mm/oom, __set_oom_adj).
    .{ .step = .oom_score_adj, .word = "oom_score_adj", .Fields = OomScoreAdj, .rights = .outside, .memory = .own },
    // A flag of the memory, which the program inherits from it.
    .{ .step = .coredump_filter, .word = "coredump_filter", .Fields = CoredumpFilter, .memory = .own },
    .{ .step = .personality, .word = "personality", .Fields = Personality },
    .{ .step = .rlimit, .word = "rlimit", .Fields = Rlimit, .repeats = true, .rights = .outside, .libc = true },
    .{ .step = .uid_map, .word = "uid_map", .Fields = Map, .side = .parent },
    .{ .step = .setgroups_policy, .word = "setgroups_policy", .Fields = SetgroupsPolicy, .side = .parent },
    .{ .step = .gid_map, .word = "gid_map", .Fields = Map, .side = .parent },
    .{ .step = .setns, .word = "setns", .Fields = Setns, .repeats = true, .credentials = true },
    .{ .step = .unshare, .word = "unshare", .Fields = Unshare },
    .{ .step = .self_setgroups_policy, .word = "setgroups_policy", .Fields = SetgroupsPolicy },
    .{ .step = .self_gid_map, .word = "gid_map", .Fields = Map },
    .{ .step = .self_uid_map, .word = "uid_map", .Fields = Map },
    .{ .step = .pid_namespace, .word = "pid_namespace", .memory = .waits },
    .{ .step = .mount_private, .word = "mount_private" },
    .{ .step = .new_root, .word = "new_root", .Fields = NewRoot },
    .{ .step = .mount, .word = "mount", .Fields = Mount, .repeats = true },
    .{ .step = .symlink, .word = "symlink", .Fields = Symlink, .repeats = true },
    .{ .step = .remount, .word = "remount", .Fields = Remount, .repeats = true },
    .{ .step = .pivot_root, .word = "pivot_root" },
    .{ .step = .hostname, .word = "hostname", .Fields = Hostname },
    .{ .step = .domainname, .word = "domainname", .Fields = Hostname },
    .{ .step = .setsid, .word = "setsid", .libc = true },
    .{ .step = .setpgid, .word = "setpgid", .Fields = Setpgid, .libc = true },
    .{ .step = .foreground, .word = "foreground", .Fields = Foreground, .libc = true },
    .{ .step = .chroot, .word = "chroot", .Fields = Directory, .libc = true },
    .{ .step = .umask, .word = "umask", .Fields = Umask, .libc = true },
    .{ .step = .bounding_set, .word = "bounding_set", .Fields = BoundingSet },
    .{ .step = .keep_capabilities, .word = "capabilities" },
    .{ .step = .setgroups, .word = "setgroups", .Fields = Setgroups, .credentials = true, .libc = true },
    .{ .step = .setgid, .word = "setgid", .Fields = Id, .credentials = true, .libc = true },
    .{ .step = .setuid, .word = "setuid", .Fields = Id, .credentials = true, .libc = true },
    .{ .step = .ambient_set, .word = "capabilities", .Fields = AmbientSet, .since = "4.3" },
    .{ .step = .securebits, .word = "securebits", .Fields = Securebits },
    .{ .step = .capability_sets, .word = "capabilities", .Fields = CapabilitySets },
    .{ .step = .keyring, .word = "keyring" },
    .{ .step = .pdeathsig, .word = "pdeathsig", .Fields = Pdeathsig },
    // A flag of the memory.
    .{ .step = .dumpable, .word = "dumpable", .Fields = Dumpable, .memory = .own },
    // What creates the process on Windows, where exec is CreateProcessW and the other steps say with what.
    .{ .step = .creation, .word = "creation", .Fields = Creation, .side = .windows },
    .{ .step = .command_line, .word = "command_line", .Fields = CommandLine, .side = .windows },
    .{ .step = .process_security, .word = "process_security", .Fields = Security, .side = .windows },
    .{ .step = .thread_security, .word = "thread_security", .Fields = Security, .side = .windows },
    .{ .step = .job, .word = "job", .Fields = Job, .side = .windows },
    .{ .step = .inherit, .word = "inherit", .Fields = Inherit, .side = .windows },
    .{ .step = .chdir, .word = "chdir", .Fields = Directory, .libc = true },
    .{ .step = .no_new_privs, .word = "no_new_privs" },
    .{ .step = .fd, .word = "fd", .Fields = Fd, .repeats = true, .libc = true },
    .{ .step = .close_range, .word = "close_range", .Fields = CloseRange, .libc = true },
    // The environment has a LISTEN_PID with room for the number: see `abi.listen_pid_room`.
    .{ .step = .listen_fds, .word = "listen_fds", .libc = true },
    .{ .step = .noctty, .word = "noctty", .libc = true },
    .{ .step = .setctty, .word = "setctty", .Fields = Terminal, .libc = true },
    .{ .step = .landlock, .word = "landlock", .Fields = Landlock, .since = "5.13" },
    .{ .step = .landlock_path, .word = "landlock", .Fields = LandlockPath, .repeats = true, .since = "5.13" },
    .{ .step = .landlock_port, .word = "landlock", .Fields = LandlockPort, .repeats = true, .since = "6.7" },
    .{ .step = .landlock_restrict, .word = "landlock", .since = "5.13" },
    .{ .step = .rlimit_nofile, .word = "rlimit", .Fields = Rlimit, .rights = .outside, .libc = true },
    .{ .step = .ptrace, .word = "ptrace", .libc = true },
    .{ .step = .sigprocmask, .word = "sigprocmask", .libc = true },
    .{ .step = .seccomp, .word = "seccomp", .Fields = Seccomp, .since = "3.17" },
    .{ .step = .exec, .word = "exec", .libc = true },
};

/// NGROUPS_MAX of Linux.
pub const groups_max = 65536 - 1;

pub const Field = struct { name: []const u8, kind: Kind, offset: u16 };

/// What a row's fields come to.
pub const Shape = struct { size: u32, fields: []const Field };

/// By code. Of a `reserved` field nobody says anything.
pub const shapes: [table.len]Shape = shapes: {
    @setEvalBranchQuota(100_000);
    var list: [table.len]Shape = undefined;
    for (table, 0..) |row, code| {
        assert(@backingInt(row.step) == code);
        assert(@typeInfo(row.Fields).@"struct".layout == .@"extern");
        var fields: []const Field = &.{};
        for (std.meta.fieldNames(row.Fields)) |name| {
            if (std.mem.eql(u8, name, "reserved")) continue;
            const T = @FieldType(row.Fields, name);
            const kind: Kind = if (T == MountKind) .u32 else .of(T);
            fields = fields ++ .{Field{ .name = name, .kind = kind, .offset = @offsetOf(row.Fields, name) }};
        }
        list[code] = .{ .size = @sizeOf(row.Fields), .fields = fields };
    }
    break :shapes list;
};

comptime {
    assert(table.len == @typeInfo(Step).@"enum".field_names.len);
}

/// A row as the library has it at hand: a table holds types and slices, which are there at compile time alone or want to be
/// relocated at each load.
pub const Facts = struct {
    repeats: bool,
    side: Side,
    memory: Memory,
    rights: Rights,
    credentials: bool,
    libc: bool,
    size: u8,
    count: u8,
    kinds: [fields_max]Kind,
    offsets: [fields_max]u8,

    const fields_max = 5;
};

/// By code.
pub const facts: [table.len]Facts = facts: {
    var list: [table.len]Facts = undefined;
    for (table, shapes, &list) |row, shape, *each| {
        each.* = .{
            .repeats = row.repeats,
            .side = row.side,
            .memory = row.memory,
            .rights = row.rights,
            .credentials = row.credentials,
            .libc = row.libc,
            .size = shape.size,
            .count = shape.fields.len,
            .kinds = @splat(.u32),
            .offsets = @splat(0),
        };
        for (shape.fields, 0..) |field, index| {
            each.kinds[index] = field.kind;
            each.offsets[index] = field.offset;
        }
    }
    break :facts list;
};

/// Of a record.
pub fn factsOf(step: Step) *const Facts {
    return &facts[@backingInt(step)];
}

/// The fields of a record that has been validated.
pub fn fieldsOf(comptime step: Step, payload: []align(8) const u8) *const table[@backingInt(step)].Fields {
    return @ptrCast(payload.ptr);
}
