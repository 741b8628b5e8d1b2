//! The two ways to make a process, as bare system calls that continue on another stack.
//!
//! The child never returns into the caller's frame: it enters `entry` on the stack it was given,
//! and `entry` ends in execve or exit. That is what makes CLONE_VM safe here (go.dev/issue/20732).

const std = @import("std");
const builtin = @import("builtin");
const assert = std.debug.assert;

pub const VM = 0x100;
pub const FILES = 0x400;
pub const PIDFD = 0x1000;
pub const VFORK = 0x4000;
pub const PARENT = 0x8000;
pub const PARENT_SETTID = 0x0010_0000;
pub const CHILD_CLEARTID = 0x0020_0000;
pub const CLEAR_SIGHAND = 0x1_0000_0000;
pub const INTO_CGROUP = 0x2_0000_0000;

/// struct clone_args, CLONE_ARGS_SIZE_VER2 (Linux 5.7).
pub const Arguments = extern struct {
    flags: u64 = 0,
    pidfd: u64 = 0,
    child_tid: u64 = 0,
    parent_tid: u64 = 0,
    exit_signal: u64 = 0,
    stack: u64 = 0,
    stack_size: u64 = 0,
    tls: u64 = 0,
    set_tid: u64 = 0,
    set_tid_size: u64 = 0,
    cgroup: u64 = 0,

    comptime {
        assert(@sizeOf(Arguments) == 88);
    }
};

pub const Entry = *const fn (*anyopaque) callconv(.c) noreturn;

/// clone3(2), Linux 5.3. `size` is what the kernel is told: an older one knows less of the struct.
pub fn clone3(arguments: *const Arguments, size: usize, entry: Entry, context: *anyopaque) isize {
    assert(arguments.stack % 16 == 0 and arguments.stack_size % 16 == 0);
    return switch (builtin.cpu.arch) {
        .x86_64 => asm volatile (
            \\ syscall
            \\ testq %%rax, %%rax
            \\ jnz 1f
            \\ xorl %%ebp, %%ebp
            \\ movq %%r8, %%rdi
            \\ callq *%%r9
            \\ ud2
            \\1:
            : [answer] "={rax}" (-> isize),
            : [number] "{rax}" (@as(usize, 435)),
              [arguments] "{rdi}" (arguments),
              [size] "{rsi}" (size),
              [context] "{r8}" (context),
              [entry] "{r9}" (entry),
            : .{ .rcx = true, .r11 = true, .memory = true }),
        .aarch64 => asm volatile (
            \\ svc #0
            \\ cbnz x0, 1f
            \\ mov x29, xzr
            \\ mov x30, xzr
            \\ mov x0, x9
            \\ blr x10
            \\ brk #1
            \\1:
            : [answer] "={x0}" (-> isize),
            : [number] "{x8}" (@as(usize, 435)),
              [arguments] "{x0}" (arguments),
              [size] "{x1}" (size),
              [context] "{x9}" (context),
              [entry] "{x10}" (entry),
            : .{ .memory = true }),
        else => @compileError("no clone for this architecture"),
    };
}

/// clone(2), for kernels and sandboxes without clone3. The pidfd, if asked for, lands in
/// `parent_tid` (Linux 5.2).
pub fn clone(flags: usize, stack_top: usize, parent_tid: *i32, child_tid: ?*u32, entry: Entry, context: *anyopaque) isize {
    assert(stack_top % 16 == 0);
    return switch (builtin.cpu.arch) {
        .x86_64 => asm volatile (
            \\ syscall
            \\ testq %%rax, %%rax
            \\ jnz 1f
            \\ xorl %%ebp, %%ebp
            \\ movq %%r12, %%rdi
            \\ callq *%%r9
            \\ ud2
            \\1:
            : [answer] "={rax}" (-> isize),
            : [number] "{rax}" (@as(usize, 56)),
              [flags] "{rdi}" (flags),
              [stack] "{rsi}" (stack_top),
              [parent_tid] "{rdx}" (parent_tid),
              [child_tid] "{r10}" (child_tid),
              [tls] "{r8}" (@as(usize, 0)),
              [context] "{r12}" (context),
              [entry] "{r9}" (entry),
            : .{ .rcx = true, .r11 = true, .memory = true }),
        .aarch64 => asm volatile (
            \\ svc #0
            \\ cbnz x0, 1f
            \\ mov x29, xzr
            \\ mov x30, xzr
            \\ mov x0, x9
            \\ blr x10
            \\ brk #1
            \\1:
            : [answer] "={x0}" (-> isize),
            : [number] "{x8}" (@as(usize, 220)),
              [flags] "{x0}" (flags),
              [stack] "{x1}" (stack_top),
              [parent_tid] "{x2}" (parent_tid),
              [tls] "{x3}" (@as(usize, 0)),
              [child_tid] "{x4}" (child_tid),
              [context] "{x9}" (context),
              [entry] "{x10}" (entry),
            : .{ .memory = true }),
        else => @compileError("no clone for this architecture"),
    };
}
