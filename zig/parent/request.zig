//! From untrusted bytes to a validated plan.
//!
//! The caller's buffer is copied first and never looked at again: JavaScriptCore moves small typed
//! arrays, and another thread may write to a shared one. Everything is checked before the clone, as
//! after it there is nobody left to trap an out-of-bounds access but the host's whole process.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi/abi.zig");
const plans = @import("../child/plan.zig");
const steps = abi.steps;
const Plan = plans.Plan;

pub const Error = error{
    /// The bytes are no request: a defect of the encoder.
    Malformed,
    /// More than `length_max`.
    TooBig,
};

/// Far above what execve takes (a quarter of the stack limit, 6 MiB at most).
pub const length_max = 64 * 1024 * 1024;

/// The bytes that `parse` needs in all, or why the header is no good. Looks at the header alone.
pub fn capacity(bytes: []const u8) Error!usize {
    const header = try readHeader(bytes);
    if (header.length > length_max) return error.TooBig;
    // A string takes a byte at least, and a record eight, so the counts are bounded by the length.
    if (header.argv_count > header.length or header.envp_count > header.length) {
        return error.Malformed;
    }
    const pointers = (@as(usize, header.argv_count) + header.envp_count + 2) * @sizeOf(usize);
    // A record with a descriptor takes 16 bytes at least.
    const descriptors = @as(usize, header.steps_length) / 16 * (@sizeOf(plans.Descriptor) + @sizeOf(*i32));
    return std.mem.alignForward(usize, header.length, 8) + pointers + descriptors +
        @sizeOf(Plan) + 5 * 16;
}

fn readHeader(bytes: []const u8) Error!abi.Request {
    if (bytes.len < @sizeOf(abi.Request)) return error.Malformed;
    var header: abi.Request = undefined;
    @memcpy(std.mem.asBytes(&header), bytes[0..@sizeOf(abi.Request)]);
    if (header.magic != abi.magic or header.length != bytes.len) return error.Malformed;
    if (header.steps_length > header.length) return error.Malformed;
    // Any other flag would change what a clone is: CLONE_THREAD alone would do for a disaster.
    if (header.clone_flags & ~abi.namespaces != 0) return error.Malformed;
    return header;
}

/// Copies the request into `arena`, which `capacity` has sized, and checks all of it.
pub fn parse(bytes: []const u8, arena: []align(16) u8) Error!*Plan {
    var allocator: std.heap.FixedBufferAllocator = .init(arena);
    const memory = allocator.allocator();
    const copy = memory.alignedAlloc(u8, .@"8", bytes.len) catch return error.TooBig;
    @memcpy(copy, bytes);
    // From the copy: the original may have changed since `capacity` looked at it.
    const header = try readHeader(copy);

    const plan = memory.create(Plan) catch return error.TooBig;
    plan.* = .{
        .path = try string(try section(copy, header.path, header.path_length)),
        .argv = try strings(memory, try section(copy, header.argv, header.argv_length), header.argv_count),
        .envp = try strings(memory, try section(copy, header.envp, header.envp_length), header.envp_count),
        .steps = &.{},
        .descriptors = &.{},
        .clone_flags = header.clone_flags,
        .without = header.forced,
        .deferred = header.options & @backingInt(abi.Option.deferred) != 0,
        .no_pidfd = header.options & @backingInt(abi.Option.no_pidfd) != 0,
        .sleeps = header.options & @backingInt(abi.Option.sleeps) != 0,
    };
    if (usesDescriptors(plan.path)) plan.paths_use_descriptors = true;
    const records = try section(copy, header.steps, header.steps_length);
    if (header.steps % 8 != 0) return error.Malformed;
    plan.steps = @alignCast(records);
    const count = try checkSteps(plan.steps);
    plan.descriptors = memory.alloc(plans.Descriptor, count.descriptors) catch return error.TooBig;
    plan.borrowed = memory.alloc(*i32, count.borrowed) catch return error.TooBig;
    try collect(plan);
    return plan;
}

fn section(bytes: []align(8) u8, offset: u32, length: u32) Error![]u8 {
    const end = @as(usize, offset) + length;
    if (end > bytes.len) return error.Malformed;
    return bytes[offset..end];
}

fn string(bytes: []const u8) Error!plans.String {
    if (bytes.len == 0 or bytes[bytes.len - 1] != 0) return error.Malformed;
    if (std.mem.indexOfScalar(u8, bytes, 0) != bytes.len - 1) return error.Malformed;
    return bytes[0 .. bytes.len - 1 :0].ptr;
}

/// The vector of pointers to `count` strings that lie one after the other.
fn strings(memory: std.mem.Allocator, bytes: []u8, count: u32) Error!plans.Strings {
    const vector = memory.allocSentinel(?plans.String, count, null) catch return error.TooBig;
    var rest = bytes;
    for (vector) |*entry| {
        const end = std.mem.indexOfScalar(u8, rest, 0) orelse return error.Malformed;
        entry.* = rest[0..end :0].ptr;
        rest = rest[end + 1 ..];
    }
    if (rest.len != 0) return error.Malformed;
    return vector.ptr;
}

const Count = struct { descriptors: usize = 0, borrowed: usize = 0 };

/// Checks every record against its row; answers how much there is to collect.
fn checkSteps(bytes: []align(8) const u8) Error!Count {
    if (bytes.len % 8 != 0) return error.Malformed;
    var offset: usize = 0;
    var previous: ?u16 = null;
    var target_before: i32 = -1;
    var count: Count = .{};
    while (offset < bytes.len) {
        // Both are multiples of eight, so a whole header is there.
        const header: *const abi.StepHeader = @ptrCast(@alignCast(&bytes[offset]));
        if (header.code >= steps.facts.len or header.reserved != 0) return error.Malformed;
        const facts = &steps.facts[header.code];
        if (facts.side == .windows and builtin.os.tag != .windows) return error.Malformed;
        const start = offset + @sizeOf(abi.StepHeader);
        if (header.length > bytes.len - start) return error.Malformed;
        if (previous) |code| {
            if (header.code < code) return error.Malformed;
            if (header.code == code and !facts.repeats) return error.Malformed;
        }
        previous = header.code;
        const payload: []align(8) const u8 = @alignCast(bytes[start .. start + header.length]);
        count.borrowed += try checkFields(facts, payload);
        switch (@as(abi.Step, @fromBackingInt(header.code))) {
            .fd => {
                const fields = steps.fieldsOf(.fd, payload);
                if (fields.source < plans.Descriptor.null_device or fields.target <= target_before) return error.Malformed;
                target_before = fields.target;
                // The next number up must exist too.
                if (fields.target == std.math.maxInt(i32)) return error.Malformed;
                count.descriptors += 1;
            },
            .close_range => if (steps.fieldsOf(.close_range, payload).first < 0) return error.Malformed,
            .setgroups => if (steps.fieldsOf(.setgroups, payload).groups.count > steps.groups_max) return error.Malformed,
            else => {},
        }
        offset = std.mem.alignForward(usize, start + header.length, 8);
    }
    const last: u16 = previous orelse return error.Malformed;
    if (last != @backingInt(abi.Step.exec)) return error.Malformed;
    return count;
}

/// Whether all that the fields point to lies in the payload behind them; answers how many descriptors are among them.
fn checkFields(facts: *const steps.Facts, payload: []align(8) const u8) Error!usize {
    if (payload.len < facts.size) return error.Malformed;
    var descriptors: usize = 0;
    for (facts.kinds[0..facts.count], facts.offsets[0..facts.count]) |kind, offset| switch (kind) {
        .i32, .u32, .u64 => {},
        .descriptor => descriptors += 1,
        .path => {
            const bytes = try pointed(facts, offset, payload, 1, 1);
            if (std.mem.findScalar(u8, bytes, 0) != bytes.len - 1) return error.Malformed;
        },
        .bytes => _ = try pointed(facts, offset, payload, 1, 0),
        .words => if ((try pointed(facts, offset, payload, 4, 0)).len % 4 != 0) return error.Malformed,
    };
    return descriptors;
}

/// What the field at `place` points to: `unit` bytes so many times, and `more`.
fn pointed(facts: *const steps.Facts, place: usize, payload: []align(8) const u8, unit: u64, more: u64) Error![]const u8 {
    const field = payload[place..];
    const offset = @as(u64, place) + std.mem.readInt(u32, field[0..4], .little);
    const end = offset + unit * std.mem.readInt(u32, field[4..8], .little) + more;
    if (offset < facts.size or offset % unit != 0 or end > payload.len) return error.Malformed;
    return payload[@intCast(offset)..@intCast(end)];
}

/// What the parent side needs to know of the steps before it clones: what their rows say, and a little of what they carry.
fn collect(plan: *Plan) Error!void {
    const CLONE_NEWUSER = 0x1000_0000;
    var records: plans.Iterator = .{ .bytes = plan.steps };
    var index: i32 = 0;
    var descriptors: usize = 0;
    var borrowed: usize = 0;
    var in_new_user = plan.clone_flags & CLONE_NEWUSER != 0;
    while (records.next()) |record| : (index += 1) {
        const facts = steps.factsOf(record.step);
        if (facts.credentials) plan.has_credentials = true;
        if (facts.side == .parent) plan.has_parent_steps = true;
        plan.memory = @fromBackingInt(@max(@backingInt(plan.memory), @backingInt(facts.memory)));
        if (in_new_user and facts.rights == .outside and index < plan.outside_from) {
            plan.outside_from = index;
            plan.has_parent_steps = true;
        }
        for (facts.kinds[0..facts.count], facts.offsets[0..facts.count]) |kind, offset| {
            const place = record.payload[offset..];
            switch (kind) {
                .descriptor => {
                    // The records lie in the arena, which is ours to write to.
                    plan.borrowed[borrowed] = @ptrCast(@alignCast(@constCast(place.ptr)));
                    borrowed += 1;
                },
                .path => {
                    const path: *const steps.Path = @ptrCast(@alignCast(place.ptr));
                    if (usesDescriptors(path.text())) plan.paths_use_descriptors = true;
                },
                else => {},
            }
        }
        switch (record.step) {
            .fd => {
                const fields = steps.fieldsOf(.fd, record.payload);
                plan.descriptors[descriptors] = .{ .source = fields.source, .target = fields.target };
                descriptors += 1;
            },
            .close_range => plan.close_from = steps.fieldsOf(.close_range, record.payload).first,
            .cgroup => plan.cgroup = plan.borrowed[borrowed - 1],
            .setns => {
                const kind = steps.fieldsOf(.setns, record.payload).kind;
                if (kind == 0 or kind & CLONE_NEWUSER != 0) in_new_user = true;
            },
            .unshare => if (steps.fieldsOf(.unshare, record.payload).flags & CLONE_NEWUSER != 0) {
                in_new_user = true;
            },
            .pid_namespace => plan.has_successor = true,
            .pdeathsig => plan.has_pdeathsig = true,
            .ptrace => plan.has_ptrace = true,
            .seccomp => plan.has_filter = true,
            .listen_fds => plan.listen_pid = listenPid(plan.envp) orelse return error.Malformed,
            else => {},
        }
    }
}

/// The digits to be replaced. They lie in the arena, and so are this start's alone, whatever the caller keeps.
fn listenPid(envp: plans.Strings) ?[*]u8 {
    var index: usize = 0;
    while (envp[index]) |entry| : (index += 1) {
        if (!std.mem.eql(u8, std.mem.span(entry), abi.listen_pid_room)) continue;
        return @constCast(entry + std.mem.findScalar(u8, abi.listen_pid_room, '=').? + 1);
    }
    return null;
}

fn usesDescriptors(path: plans.String) bool {
    const text = std.mem.span(path);
    return std.mem.startsWith(u8, text, "/proc/") or std.mem.startsWith(u8, text, "/dev/fd");
}

const testing = std.testing;

/// A request with one of everything, for the tests.
const Example = struct {
    bytes: [192]u8 align(8) = @splat(0),
    length: usize = 0,

    fn init() Example {
        var example: Example = .{};
        const path = "/bin/true\x00";
        const argv = "true\x00-x\x00";
        const envp = "A=1\x00";
        @memcpy(example.bytes[64..][0..path.len], path);
        @memcpy(example.bytes[80..][0..argv.len], argv);
        @memcpy(example.bytes[96..][0..envp.len], envp);
        var offset: usize = 104;
        const records = [_]struct { abi.Step, []const u8 }{
            .{ .setsid, "" },
            .{ .chdir, "\x08\x00\x00\x00\x04\x00\x00\x00/tmp\x00" },
            .{ .fd, "\x05\x00\x00\x00\x00\x00\x00\x00" },
            .{ .fd, "\xff\xff\xff\xff\x01\x00\x00\x00" },
            .{ .exec, "" },
        };
        const start = offset;
        for (records) |record| {
            const header: *abi.StepHeader = @ptrCast(@alignCast(&example.bytes[offset]));
            header.* = .{ .code = @backingInt(record[0]), .length = @intCast(record[1].len) };
            @memcpy(example.bytes[offset + 8 ..][0..record[1].len], record[1]);
            offset += 8 + std.mem.alignForward(usize, record[1].len, 8);
        }
        const header: *abi.Request = @ptrCast(&example.bytes);
        header.* = .{
            .magic = abi.magic,
            .length = @intCast(offset),
            .clone_flags = 0,
            .path = 64,
            .path_length = path.len,
            .argv = 80,
            .argv_length = argv.len,
            .argv_count = 2,
            .envp = 96,
            .envp_length = envp.len,
            .envp_count = 1,
            .steps = @intCast(start),
            .steps_length = @intCast(offset - start),
            .forced = 0,
        };
        example.length = offset;
        return example;
    }
};

var test_arena: [64 * 1024]u8 align(16) = undefined;

fn parseExample(bytes: []const u8) Error!*Plan {
    if (try capacity(bytes) > test_arena.len) return error.TooBig;
    return parse(bytes, &test_arena);
}

test "a request becomes a plan" {
    const example: Example = .init();
    const plan = try parseExample(example.bytes[0..example.length]);
    try testing.expectEqualStrings("/bin/true", std.mem.span(plan.path));
    try testing.expectEqualStrings("-x", std.mem.span(plan.argv[1].?));
    try testing.expectEqual(null, plan.argv[2]);
    try testing.expectEqualStrings("A=1", std.mem.span(plan.envp[0].?));
    try testing.expectEqual(2, plan.descriptors.len);
    try testing.expectEqual(5, plan.descriptors[0].source);
    try testing.expectEqual(-1, plan.descriptors[1].source);
    try testing.expectEqual(-1, plan.close_from);
}

test "records that go back in the order of steps are refused" {
    var example: Example = .init();
    const header: *abi.StepHeader = @ptrCast(@alignCast(&example.bytes[104]));
    header.code = @backingInt(abi.Step.sigprocmask);
    try testing.expectError(error.Malformed, parseExample(example.bytes[0..example.length]));
}

test "a step that may stand once is refused twice" {
    var example: Example = .init();
    const second: *abi.StepHeader = @ptrCast(@alignCast(&example.bytes[104 + 8]));
    second.* = .{ .code = @backingInt(abi.Step.setsid), .length = 0 };
    try testing.expectError(error.Malformed, parseExample(example.bytes[0..example.length]));
}

test "what only Windows does is refused elsewhere" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    for (&steps.facts, 0..) |*facts, code| {
        if (facts.side != .windows) continue;
        // The step, with fields that are well formed, and exec.
        var example: Example = .init();
        const request: *abi.Request = @ptrCast(&example.bytes);
        @memset(example.bytes[request.steps..], 0);
        const payload = 32;
        const records = [_]abi.StepHeader{
            .{ .code = @intCast(code), .length = payload },
            .{ .code = @backingInt(abi.Step.exec), .length = 0 },
        };
        @memcpy(example.bytes[request.steps..][0..8], std.mem.asBytes(&records[0]));
        @memcpy(example.bytes[request.steps + 8 + payload ..][0..8], std.mem.asBytes(&records[1]));
        for (facts.kinds[0..facts.count], facts.offsets[0..facts.count]) |kind, offset| switch (kind) {
            // To nothing, behind the fields.
            .path, .bytes, .words => example.bytes[request.steps + 8 + offset] = facts.size - offset,
            else => {},
        };
        request.steps_length = 8 + payload + 8;
        request.length = request.steps + request.steps_length;
        try testing.expectError(error.Malformed, parseExample(example.bytes[0..request.length]));
    }
}

test "every truncation is refused" {
    const example: Example = .init();
    for (0..example.length) |length| {
        try testing.expectError(error.Malformed, parseExample(example.bytes[0..length]));
    }
}

test "random bytes and flipped bits never crash the validator" {
    var random: std.Random.DefaultPrng = .init(0x05ec);
    const source = random.random();
    for (0..200_000) |round| {
        var example: Example = .init();
        if (round % 4 == 0) {
            source.bytes(&example.bytes);
            if (round % 8 == 0) {
                const header: *abi.Request = @ptrCast(&example.bytes);
                header.magic = abi.magic;
                header.length = example.bytes.len;
                example.length = example.bytes.len;
            }
        } else for (0..source.intRangeAtMost(usize, 1, 6)) |_| {
            const bit = source.uintLessThan(usize, example.length * 8);
            example.bytes[bit / 8] ^= @as(u8, 1) << @intCast(bit % 8);
        }
        const plan = parseExample(example.bytes[0..example.length]) catch continue;
        // What was accepted ends in exec and can be walked to its end.
        var records: plans.Iterator = .{ .bytes = plan.steps };
        var last: ?abi.Step = null;
        while (records.next()) |record| last = record.step;
        try testing.expectEqual(abi.Step.exec, last.?);
    }
}
