//! /in the child process/: a landlock(7) domain, rule by rule.
//!
//! Its steps come when the child's descriptors are in place, so that the set of rules needs no number out of their way; and
//! the paths are looked up where the program will be: below its root, from its directory, with its rights.

const steps = @import("../abi/steps.zig");
const linux = @import("../os/linux.zig");
const Plan = @import("plan.zig").Plan;

const LANDLOCK_RULE_PATH_BENEATH = 1;
const LANDLOCK_RULE_NET_PORT = 2;

/// The version of landlock that the kernel has, from 1 on; -ENOSYS: none was built in, -EOPNOTSUPP: it was not enabled at
/// boot.
pub fn version() i32 {
    const LANDLOCK_CREATE_RULESET_VERSION = 1;
    return linux.result(.landlock_create_ruleset, .{ null, 0, LANDLOCK_CREATE_RULESET_VERSION });
}

/// Makes the set of rules; what is in none of them is refused.
pub fn begin(plan: *Plan, wanted: *const steps.Landlock) i32 {
    // A kernel that knows less of the struct takes it as long as what it does not know is 0.
    plan.ruleset = linux.result(.landlock_create_ruleset, .{ wanted, @sizeOf(steps.Landlock), 0 });
    return @min(0, plan.ruleset);
}

pub fn allowPath(plan: *const Plan, wanted: *const steps.LandlockPath) i32 {
    const flags = linux.O_PATH | linux.O_CLOEXEC;
    const fd = linux.result(.openat, .{ linux.AT_FDCWD, wanted.path.text(), flags, 0 });
    if (fd < 0) return fd;
    defer linux.close(fd);
    const mode = linux.openMode(fd);
    if (mode < 0) return mode;
    const S_IFMT = 0o170000;
    const S_IFDIR = 0o040000;
    const is_directory = mode & S_IFMT == S_IFDIR;
    // struct landlock_path_beneath_attr, which is packed: 12 bytes.
    const Rule = extern struct { access: u64, parent: i32 };
    const rule: Rule = .{
        .access = if (is_directory) wanted.access else wanted.access & wanted.file_access,
        .parent = fd,
    };
    return linux.result(.landlock_add_rule, .{ plan.ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0 });
}

pub fn allowPort(plan: *const Plan, wanted: *const steps.LandlockPort) i32 {
    return linux.result(.landlock_add_rule, .{ plan.ruleset, LANDLOCK_RULE_NET_PORT, wanted, 0 });
}

/// Puts this process under the rules, for good; nothing is left of them but that.
pub fn restrict(plan: *Plan) i32 {
    const answer = linux.result(.landlock_restrict_self, .{ plan.ruleset, 0 });
    linux.close(plan.ruleset);
    plan.ruleset = -1;
    return answer;
}
