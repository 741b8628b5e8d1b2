//! /in the child process/: what is mounted, in the child's own mount namespace.
//!
//! By the mount API of Linux 5.2, with which a mount is complete before it is to be seen anywhere: open_tree, fsopen,
//! fsmount, mount_setattr (5.12), move_mount; and by mount(2) where the kernel has none of it (gVisor) or a filter refuses
//! it. That one needs a /proc, and cannot make a whole tree read-only.

const linux = @import("../os/linux.zig");
const plans = @import("plan.zig");
const roots = @import("roots.zig");
const steps = @import("../abi/steps.zig");
const Plan = plans.Plan;

/// MOUNT_ATTR_RDONLY, _NOSUID, _NODEV and _NOEXEC are MS_RDONLY and so on.
const attributes_max = 0xf;
const MS_REMOUNT = 0x20;

pub fn mount(plan: *Plan, fields: *const steps.Mount) i32 {
    return switch (fields.kind) {
        .bind => bind(plan, fields),
        .tmpfs => make(plan, fields, "tmpfs"),
        .proc => make(plan, fields, "proc"),
        .devpts => make(plan, fields, "devpts"),
        .mqueue => make(plan, fields, "mqueue"),
        .overlay => overlay(plan, fields),
        .mask => mask(plan, fields),
        _ => linux.negative(.INVAL),
    };
}

/// By mount(2), to which every kernel since 3.18 says the same of the same options; one by one, which is for more of them
/// than fill a page, from Linux 6.8 on.
fn overlay(plan: *Plan, fields: *const steps.Mount) i32 {
    const one_by_one = "lowerdir+";
    const options = fields.options.slice();
    for (one_by_one, 0..) |byte, index| {
        if (index == options.len or options[index] != byte) return makeOld(plan, fields, "overlay");
    }
    return make(plan, fields, "overlay");
}

/// What of this process's tree is there, there too.
fn bind(plan: *Plan, fields: *const steps.Mount) i32 {
    const source = fields.source.text();
    const is_recursive = fields.attributes & steps.mount_recursive != 0;
    const recursive: u32 = if (is_recursive) roots.AT_RECURSIVE else 0;
    const flags = roots.OPEN_TREE_CLONE | roots.OPEN_TREE_CLOEXEC | recursive;
    const tree = linux.result(.open_tree, .{ linux.AT_FDCWD, source, flags });
    if (roots.isUnknown(tree)) return bindOld(plan, fields, tree);
    if (tree < 0) return tree;
    const attributes = fields.attributes & attributes_max;
    if (attributes != 0) {
        const answer = setAttributes(tree, attributes, recursive);
        if (answer < 0) {
            linux.close(tree);
            // Linux 5.2 to 5.11: it cannot be changed before it is mounted.
            return if (roots.isUnknown(answer)) bindOld(plan, fields, answer) else answer;
        }
    }
    const target = roots.openTarget(plan, &fields.target, missing(tree));
    return place(plan, fields, tree, target);
}

fn missing(source: i32) roots.Missing {
    return if (roots.isDirectory(source)) .directory else .file;
}

/// Puts the tree on the target, and lets go of both.
fn place(plan: *Plan, fields: *const steps.Mount, tree: i32, target: i32) i32 {
    var answer = target;
    if (target >= 0) {
        answer = roots.attach(tree, target);
        linux.close(target);
    }
    if (answer >= 0 and covers(plan, fields)) return roots.enter(plan, tree);
    linux.close(tree);
    return answer;
}

/// Whether it lies on the new root itself.
fn covers(plan: *const Plan, fields: *const steps.Mount) bool {
    return plan.root >= 0 and roots.isRoot(fields.target.text());
}

/// struct mount_attr.
const Attributes = extern struct { set: u64, clear: u64 = 0, propagation: u64 = 0, namespace: u64 = 0 };

fn setAttributes(tree: i32, attributes: u32, recursive: u32) i32 {
    const wanted: Attributes = .{ .set = attributes };
    const flags = linux.AT_EMPTY_PATH | recursive;
    return linux.result(.mount_setattr, .{ tree, "", flags, &wanted, @sizeOf(Attributes) });
}

/// A file system of its own.
fn make(plan: *Plan, fields: *const steps.Mount, kind: plans.String) i32 {
    const FSOPEN_CLOEXEC = 1;
    const context = linux.result(.fsopen, .{ kind, FSOPEN_CLOEXEC });
    if (roots.isUnknown(context)) return makeOld(plan, fields, kind);
    if (context < 0) return context;
    const tree = complete(context, fields.options.slice(), fields.attributes & attributes_max);
    linux.close(context);
    if (tree < 0) return tree;
    return place(plan, fields, tree, roots.openTarget(plan, &fields.target, .directory));
}

fn complete(context: i32, options: []const u8, attributes: u32) i32 {
    const FSCONFIG_SET_FLAG = 0;
    const FSCONFIG_SET_STRING = 1;
    const FSCONFIG_CMD_CREATE = 6;
    const FSMOUNT_CLOEXEC = 1;
    var offset: usize = 0;
    while (offset < options.len) {
        const name = options.ptr + offset;
        offset = after(options, offset);
        const has_value = offset < options.len and options[offset] != 0;
        const value: ?[*]const u8 = if (has_value) options.ptr + offset else null;
        offset = after(options, offset);
        const command: u32 = if (has_value) FSCONFIG_SET_STRING else FSCONFIG_SET_FLAG;
        const answer = linux.result(.fsconfig, .{ context, command, name, value, 0 });
        if (answer < 0) return answer;
    }
    const answer = linux.result(.fsconfig, .{ context, FSCONFIG_CMD_CREATE, null, null, 0 });
    if (answer < 0) return answer;
    return linux.result(.fsmount, .{ context, FSMOUNT_CLOEXEC, attributes });
}

/// Behind the next NUL.
fn after(options: []const u8, from: usize) usize {
    var offset = from;
    while (offset < options.len and options[offset] != 0) offset += 1;
    return @min(offset + 1, options.len);
}

/// A file is hidden by /dev/null, which nobody can read anything from, and a directory by an empty one.
fn mask(plan: *Plan, fields: *const steps.Mount) i32 {
    const target = roots.openTarget(plan, &fields.target, .nothing);
    if (target < 0) return target;
    const is_directory = roots.isDirectory(target);
    linux.close(target);
    return if (is_directory) make(plan, fields, "tmpfs") else bind(plan, fields);
}

/// More attributes, for what is mounted there by now.
pub fn remount(plan: *const Plan, fields: *const steps.Remount) i32 {
    const target = roots.openTarget(plan, &fields.path, .nothing);
    if (target < 0) return target;
    defer linux.close(target);
    const recursive: u32 = if (fields.attributes & steps.mount_recursive != 0) roots.AT_RECURSIVE else 0;
    const attributes = fields.attributes & attributes_max;
    const answer = setAttributes(target, attributes, recursive);
    return if (roots.isUnknown(answer) and recursive == 0) remountOld(target, attributes) else answer;
}

/// `answer`: what the new way had for one.
fn bindOld(plan: *Plan, fields: *const steps.Mount, answer: i32) i32 {
    const is_recursive = fields.attributes & steps.mount_recursive != 0;
    const attributes = fields.attributes & attributes_max;
    // Only the uppermost mount of a tree would get them.
    if (is_recursive and attributes != 0) return answer;
    const path = linux.O_PATH | linux.O_CLOEXEC;
    const source = linux.result(.openat, .{ linux.AT_FDCWD, fields.source.text(), path, 0 });
    if (source < 0) return source;
    const target = roots.openTarget(plan, &fields.target, missing(source));
    if (target < 0) {
        linux.close(source);
        return target;
    }
    const name: roots.Name = .of(source);
    const recursive: u32 = if (is_recursive) roots.MS_REC else 0;
    const mounted = roots.mountOn(target, @ptrCast(&name.text), null, roots.MS_BIND | recursive, null);
    linux.close(source);
    return finishOld(plan, fields, target, mounted, attributes);
}

/// Options are "name\0value\0…" up to here, and "name=value,…" from here on.
fn makeOld(plan: *Plan, fields: *const steps.Mount, kind: plans.String) i32 {
    const target = roots.openTarget(plan, &fields.target, .directory);
    if (target < 0) return target;
    const options: []u8 = @constCast(fields.options.slice());
    var is_name = true;
    for (options, 0..) |*byte, index| {
        if (byte.* != 0) continue;
        // An empty option between two commas is none.
        const has_value = is_name and index + 1 < options.len and options[index + 1] != 0;
        byte.* = if (index + 1 == options.len) 0 else if (has_value) '=' else ',';
        is_name = !is_name;
    }
    const attributes = fields.attributes & attributes_max;
    const answer = roots.mountOn(target, kind, kind, attributes, if (options.len == 0) null else options.ptr);
    return finishOld(plan, fields, target, answer, 0);
}

/// What mount(2) has put on `target`, which it lets go of, is found by its path alone.
fn finishOld(plan: *Plan, fields: *const steps.Mount, target: i32, mounted: i32, attributes: u32) i32 {
    linux.close(target);
    if (mounted < 0) return mounted;
    if (covers(plan, fields)) {
        const answer = roots.enterMount(plan);
        if (answer < 0 or attributes == 0) return answer;
    } else if (attributes == 0) return 0;
    const made = roots.openTarget(plan, &fields.target, .nothing);
    if (made < 0) return made;
    defer linux.close(made);
    return remountOld(made, attributes);
}

/// With what it has already: a mount that was lent to a user namespace keeps that, or the kernel refuses it all.
fn remountOld(target: i32, attributes: u32) i32 {
    // struct statfs: the flags are its last word but four.
    var status: [15]u64 = @splat(0);
    const answer = linux.result(.fstatfs, .{ target, &status });
    if (answer < 0) return answer;
    const ST_NOATIME = 0x400;
    const ST_NODIRATIME = 0x800;
    const ST_RELATIME = 0x1000;
    const MS_RELATIME = 1 << 21;
    const flags: u32 = @truncate(status[10]);
    const kept = flags & (attributes_max | ST_NOATIME | ST_NODIRATIME);
    const times: u32 = if (flags & ST_RELATIME != 0) MS_RELATIME else 0;
    return roots.mountOn(target, "none", null, MS_REMOUNT | roots.MS_BIND | kept | times | attributes, null);
}
