//! The numbers 0 to 2 are the program's own, also while it has closed them: what is printed to 2 by anybody
//! in this process must not land in a socket of ours, nor "inherit" hand one to a child.

const system = @import("../os/system.zig").system;

pub const last = 2;

/// The same file at a number above those; where there is none, or `fd` is an error, `fd` as it is.
pub fn keepOff(fd: i32) i32 {
    if (fd < 0 or fd > last) return fd;
    const higher = system.fcntl(fd, system.F_DUPFD_CLOEXEC, last + 1);
    if (higher < 0) return fd;
    system.close(fd);
    return higher;
}

/// The same of two, if they have been made.
pub fn keepBothOff(made: i32, ends: *[2]i32) i32 {
    if (made >= 0) for (ends) |*end| {
        end.* = keepOff(end.*);
    };
    return made;
}
