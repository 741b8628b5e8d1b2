//! The library as a module, for the programs of `zig/tools/` that are made of parts of it: a program's root may import
//! only what lies beside or below it.

pub const abi = @import("abi/abi.zig");
pub const entry = @import("abi/entry.zig");
pub const lib = @import("lib.zig");
pub const linux = @import("os/linux.zig");
pub const spawn = @import("parent/spawn.zig");
pub const testing = @import("tests/testing.zig");
pub const wait = @import("wait/wait.zig");
