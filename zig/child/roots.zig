//! /in the child process/: another root, and finding what lies below it.
//!
//! A path below the new root is looked up as the program will see it later: a symlink in it, absolute or with "..",
//! leads to somewhere below the new root too, and never out of it (openat2(2), RESOLVE_IN_ROOT; Linux 5.6). Whoever can
//! write there meanwhile gains nothing by putting a symlink in the way (runc's CVE-2019-16884, CVE-2021-30465): what is
//! mounted on is a descriptor, opened once. What is not there is made, each directory through its parent's descriptor.

const decimal = @import("../os/decimal.zig");
const linux = @import("../os/linux.zig");
const plans = @import("plan.zig");
const steps = @import("../abi/steps.zig");
const Plan = plans.Plan;

pub const AT_RECURSIVE = 0x8000;
pub const OPEN_TREE_CLONE = 1;
pub const OPEN_TREE_CLOEXEC = linux.O_CLOEXEC;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
pub const MS_BIND = 0x1000;
pub const MS_REC = 0x4000;
const MNT_DETACH = 2;
const O_NOFOLLOW: u32 = if (@import("builtin").cpu.arch == .aarch64) 0o100000 else 0o400000;
const path_only = linux.O_PATH | linux.O_CLOEXEC;

/// What "/" is to the mounts that follow. It is made a mount of its own, as pivot_root(2) wants it, unless a mount will
/// cover it anyway.
pub fn newRoot(plan: *Plan, fields: *const steps.NewRoot) i32 {
    // What is made below it has the modes that it is made with; pivotRoot() gives back the mask.
    plan.umask = linux.result(.umask, .{0});
    const path = fields.path.text();
    const directory = linux.result(.openat, .{ linux.AT_FDCWD, path, path_only | linux.O_DIRECTORY, 0 });
    if (directory < 0) return directory;
    plan.root = directory;
    plan.root_path = path;
    if (fields.covered != 0) return 0;
    // Recursively: without what is mounted below it the kernel lends no directory to another user namespace.
    const flags = linux.AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
    const tree = linux.result(.open_tree, .{ directory, "", flags });
    if (isUnknown(tree)) {
        const answer = mountOn(directory, path, null, MS_BIND | MS_REC, null);
        return if (answer < 0) answer else enterMount(plan);
    }
    if (tree < 0) return tree;
    const answer = attach(tree, directory);
    if (answer >= 0) return enter(plan, tree);
    linux.close(tree);
    return answer;
}

/// What a mount covers everything below the new root with becomes the new root.
pub fn enter(plan: *Plan, directory: i32) i32 {
    linux.close(plan.root);
    plan.root = directory;
    return 0;
}

/// The same where there is no descriptor of it yet: by its path, which leads to what is mounted there last.
pub fn enterMount(plan: *Plan) i32 {
    const path = plan.root_path orelse return linux.negative(.INVAL);
    // A look-up begins below what is mounted on the root itself, and ".." there goes on to it (fs/namei.c, handle_dots).
    const again: plans.String = if (isRoot(path)) "/.." else path;
    const directory = linux.result(.openat, .{ linux.AT_FDCWD, again, path_only | linux.O_DIRECTORY, 0 });
    return if (directory < 0) directory else enter(plan, directory);
}

/// Whether a path is "/", or "//".
pub fn isRoot(path: plans.String) bool {
    var index: usize = 0;
    while (path[index] == '/') index += 1;
    return index > 0 and path[index] == 0;
}

/// Whether a call is one that the kernel does not have, or a filter does not know: those of Docker before 20.10 say EPERM to
/// all that came after them. Where it is the right that is missing, the older call says so too.
pub fn isUnknown(answer: i32) bool {
    return answer == linux.negative(.NOSYS) or answer == linux.negative(.PERM);
}

/// Puts a tree that is mounted nowhere in its place.
pub fn attach(tree: i32, target: i32) i32 {
    const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    return linux.result(.move_mount, .{ tree, "", target, "", flags });
}

/// mount(2), on what a descriptor is of: in /proc, which must be there.
pub fn mountOn(target: i32, source: plans.String, kind: ?plans.String, flags: u32, options: ?[*]const u8) i32 {
    var name: Name = .of(target);
    return linux.result(.mount, .{ source, &name.text, kind, flags, options });
}

/// /proc/self/fd/N.
pub const Name = struct {
    text: [32]u8,

    pub fn of(fd: i32) Name {
        const folder = "/proc/self/fd/";
        var name: Name = .{ .text = @splat(0) };
        for (folder, 0..) |byte, index| name.text[index] = byte;
        _ = decimal.write(name.text[folder.len..].ptr, @intCast(fd));
        return name;
    }
};

/// What is made where there is nothing.
pub const Missing = enum { nothing, file, directory };

/// What is at a path, as an O_PATH descriptor: below the new root, or without one as for everybody.
pub fn openTarget(plan: *const Plan, path: *const steps.Path, missing: Missing) i32 {
    if (plan.root < 0) return linux.result(.openat, .{ linux.AT_FDCWD, path.text(), path_only, 0 });
    const text = @constCast(path.text());
    const found = openBelow(plan.root, text);
    if (found != linux.negative(.NOENT) or missing == .nothing) return found;
    return make(plan.root, text, missing);
}

/// A symlink, whose directory is made where it is missing.
pub fn symlink(plan: *const Plan, fields: *const steps.Symlink) i32 {
    const text = @constCast(fields.path.text());
    var name: usize = 0;
    var index: usize = 0;
    while (text[index] != 0) : (index += 1) {
        if (text[index] == '/') name = index + 1;
    }
    if (name == 0) return linux.negative(.INVAL);
    const kept = text[name];
    text[name] = 0;
    var parent = openBelow(plan.root, text);
    if (parent == linux.negative(.NOENT)) parent = make(plan.root, text, .directory);
    text[name] = kept;
    if (parent < 0) return parent;
    defer linux.close(parent);
    return linux.result(.symlinkat, .{ fields.content.text(), parent, text + name });
}

/// struct open_how.
const How = extern struct { flags: u64, mode: u64 = 0, resolve: u64 };
const RESOLVE_NO_MAGICLINKS = 2;
const RESOLVE_IN_ROOT = 0x10;

/// A ".." that meets a mount or a rename elsewhere is EAGAIN; so often in a row nothing meets one by chance.
const tries_max = 64;

/// `path` may be written to, and is afterwards as it was.
fn openBelow(root: i32, path: [*:0]u8) i32 {
    const how: How = .{ .flags = path_only, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    var tries: u32 = 0;
    while (true) : (tries += 1) {
        const found = linux.result(.openat2, .{ root, path, &how, @sizeOf(How) });
        if (isUnknown(found)) return walk(root, path);
        if (found != linux.negative(.AGAIN) or tries == tries_max) return found;
    }
}

/// Before Linux 5.6: one component after the other, and ELOOP where one is a symlink.
fn walk(root: i32, path: [*:0]u8) i32 {
    var directory = linux.result(.fcntl, .{ root, linux.F_DUPFD_CLOEXEC, 0 });
    var components: Components = .{ .path = path };
    while (directory >= 0) {
        const component = components.next() orelse return directory;
        const next = component.open(directory);
        linux.close(directory);
        if (next < 0) return next;
        directory = if (isSymlink(next)) blk: {
            linux.close(next);
            break :blk linux.negative(.LOOP);
        } else next;
    }
    return directory;
}

/// Makes what is missing of a path, its end at least, and answers that one's descriptor.
fn make(root: i32, path: [*:0]u8, missing: Missing) i32 {
    var parent = root;
    var components: Components = .{ .path = path };
    var is_missing = false;
    while (components.next()) |component| {
        var next = linux.negative(.NOENT);
        if (!is_missing and !component.is_last) next = component.openUpTo(root);
        if (next == linux.negative(.NOENT)) {
            is_missing = true;
            next = component.make(parent, missing == .file and component.is_last);
        }
        if (parent != root) linux.close(parent);
        if (next < 0) return next;
        parent = next;
    }
    return parent;
}

fn isSymlink(fd: i32) bool {
    const S_IFLNK = 0o120000;
    const mode = linux.openMode(fd);
    return mode >= 0 and mode & 0o170000 == S_IFLNK;
}

pub fn isDirectory(fd: i32) bool {
    const S_IFDIR = 0o040000;
    const mode = linux.openMode(fd);
    return mode >= 0 and mode & 0o170000 == S_IFDIR;
}

/// The names of a path, each of which is NUL-terminated for the moment that it is used.
const Components = struct {
    path: [*:0]u8,
    end: usize = 0,

    const Component = struct {
        path: [*:0]u8,
        start: usize,
        end: usize,
        is_last: bool,

        fn cut(component: Component) u8 {
            const kept = component.path[component.end];
            component.path[component.end] = 0;
            return kept;
        }

        fn open(component: Component, parent: i32) i32 {
            const name = component.path + component.start;
            const kept = component.cut();
            defer component.path[component.end] = kept;
            // Out of the root it would lead.
            if (name[0] == '.' and name[1] == '.' and name[2] == 0) return linux.negative(.XDEV);
            return linux.result(.openat, .{ parent, name, path_only | O_NOFOLLOW, 0 });
        }

        fn openUpTo(component: Component, root: i32) i32 {
            const kept = component.cut();
            defer component.path[component.end] = kept;
            return openBelow(root, component.path);
        }

        /// Somebody else may make the same at the same time. But what is a symlink leads nowhere, or it had been found.
        fn make(component: Component, parent: i32, is_file: bool) i32 {
            const S_IFREG = 0o100000;
            const name = component.path + component.start;
            const kept = component.cut();
            const made = if (is_file)
                linux.result(.mknodat, .{ parent, name, S_IFREG | 0o444, 0 })
            else
                linux.result(.mkdirat, .{ parent, name, 0o755 });
            component.path[component.end] = kept;
            if (made < 0 and made != linux.negative(.EXIST)) return made;
            const there = component.open(parent);
            if (made >= 0 or there < 0 or !isSymlink(there)) return there;
            linux.close(there);
            return linux.negative(.LOOP);
        }
    };

    fn next(components: *Components) ?Component {
        const path = components.path;
        var start = components.end;
        while (path[start] == '/') start += 1;
        if (path[start] == 0) return null;
        var end = start;
        while (path[end] != 0 and path[end] != '/') end += 1;
        components.end = end;
        var rest = end;
        while (path[rest] == '/') rest += 1;
        return .{ .path = path, .start = start, .end = end, .is_last = path[rest] == 0 };
    }
};

/// The new root takes the old one's place, and of the old one nothing is left to be reached: it lies on the new one for a
/// moment, where "." finds it (pivot_root(2), NOTES), and is let go of with all that is mounted in it.
pub fn pivotRoot(plan: *Plan) i32 {
    var answer = linux.result(.fchdir, .{plan.root});
    if (answer >= 0) answer = linux.result(.pivot_root, .{ ".", "." });
    if (answer >= 0) answer = linux.result(.umount2, .{ ".", MNT_DETACH });
    if (answer >= 0) answer = linux.result(.chdir, .{"/"});
    linux.close(plan.root);
    plan.root = -1;
    _ = linux.call(.umask, .{plan.umask});
    return answer;
}
