//! Starts whose child is to get a signal when this process ends, and not before.
//!
//! The kernel sends a parent-death signal when the thread ends that has made the child (kernel/exit.c,
//! forget_original_parent). A process's first thread lasts as long as the process. A start from another one, a Worker or
//! the tests of `deno test`, is made by a thread of our own, which never ends.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const ledger = @import("../files/ledger.zig");
const linux = @import("../os/linux.zig");
const spawn = @import("spawn.zig");
const systems = @import("../os/system.zig");
const threads = @import("../os/threads.zig");
const system = systems.system;

/// One start at a time, and the making of the thread.
var lock: system.Lock = .{};
/// What the thread is to do, and where the answer goes. Written by who holds the lock, before `state` says so.
var request: []const u8 = &.{};
var answer_to: *abi.Answer = undefined;
var state: State = .idle;
/// The thread's number, or 0. Not there any more in a child that the host has forked.
var thread: i32 = 0;

const State = enum(u32) { idle, asked, answered };

/// As `spawn.start`.
pub fn start(bytes: []const u8, answer: *abi.Answer) void {
    // Nowhere else is there such a signal: the step is refused.
    if (system != linux or isFirst()) return spawn.start(bytes, answer);
    lock.acquire();
    defer lock.release();
    const made = ensureThread();
    if (made < 0) return spawn.failBefore(answer, made);
    request = bytes;
    answer_to = answer;
    change(.asked);
    while (@atomicLoad(State, &state, .acquire) != .answered) sleep(.asked);
    @atomicStore(State, &state, .idle, .release);
    // Its thread's, not the one's that has made it: see ledger.zig.
    if (answer.pidfd >= 0) ledger.own(&.{answer.pidfd});
}

fn isFirst() bool {
    return linux.threadId() == linux.result(.getpid, .{});
}

fn ensureThread() i32 {
    const number = @atomicLoad(i32, &thread, .acquire);
    if (number != 0 and linux.isThread(number)) return 0;
    @atomicStore(i32, &thread, 0, .release);
    @atomicStore(State, &state, .idle, .release);
    const made = threads.start(serve, null);
    if (made < 0) return made;
    while (@atomicLoad(i32, &thread, .acquire) == 0) sleepOn(@ptrCast(&thread), 0);
    return 0;
}

fn serve(_: ?*anyopaque) callconv(.c) ?*anyopaque {
    @atomicStore(i32, &thread, linux.threadId(), .release);
    wake(@ptrCast(&thread));
    while (true) {
        const now = @atomicLoad(State, &state, .acquire);
        if (now != .asked) {
            sleep(now);
            continue;
        }
        spawn.make(request, answer_to);
        change(.answered);
    }
}

fn change(next: State) void {
    @atomicStore(State, &state, next, .release);
    wake(@ptrCast(&state));
}

fn sleep(current: State) void {
    sleepOn(@ptrCast(&state), @backingInt(current));
}

fn sleepOn(word: *u32, current: u32) void {
    _ = linux.call(.futex, .{ word, linux.FUTEX_WAIT | linux.FUTEX_PRIVATE, current, null, null, 0 });
}

fn wake(word: *u32) void {
    const all = std.math.maxInt(i32);
    _ = linux.call(.futex, .{ word, linux.FUTEX_WAKE | linux.FUTEX_PRIVATE, all, null, null, 0 });
}
