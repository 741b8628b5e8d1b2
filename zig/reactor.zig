//! The reactor: one native thread that tells JavaScript which descriptors have become ready.
//!
//! One per JavaScript thread that ever waits asynchronously. It only watches and tells: records go
//! down a socketpair whose other end the runtime's own event loop reads, so no callback ever enters
//! JavaScript from here, and reading, writing and reaping stay calls of the JavaScript thread.
//!
//! The thread ends when the other end is closed (a terminated Worker on Bun), and after
//! `idle_ms` with nothing to watch (Deno leaves that end open at terminate()); the next watch starts
//! it again.

const std = @import("std");
const abi = @import("abi.zig");
const linux = @import("linux.zig");
const threads = @import("threads.zig");

const idle_ms = 10_000;
const batch = 64;
const reactors_max = 1024;
/// The data of the socket's own registration: no descriptor and token have it.
const peer_data = std.math.maxInt(u64);

const Reactor = struct {
    epoll: i32,
    /// Our end of the socketpair.
    socket: i32,
    /// The token each descriptor is armed with, by descriptor; 0: none. Whoever takes a token out,
    /// the thread on an event or JavaScript on unwatch, owns the one decrement of `armed`.
    tokens: [*]u32,
    tokens_len: u32,
    armed: u32 = 0,
    /// Guards `running` and the decision to end.
    lock: linux.Lock = .{},
    running: bool = false,
};

var table_lock: linux.Lock = .{};
var table: [reactors_max]?*Reactor = @splat(null);

/// Makes a reactor; its thread starts with the first watch.
pub fn create(answer: *abi.Reactor) i32 {
    var ends: [2]i32 = undefined;
    const AF_UNIX = 1;
    const SOCK_STREAM = 1;
    const made = linux.result(.socketpair, .{
        AF_UNIX,
        SOCK_STREAM | linux.O_CLOEXEC,
        0,
        &ends,
    });
    if (made < 0) return made;
    // JavaScript's end alone: the thread may block on a full socket, the runtimes must not.
    _ = linux.call(.fcntl, .{ ends[0], linux.F_SETFL, linux.O_NONBLOCK });
    const answered = build(ends[1]);
    if (answered < 0) {
        linux.close(ends[0]);
        linux.close(ends[1]);
        return answered;
    }
    answer.* = .{ .handle = answered, .fd = ends[0] };
    return 0;
}

fn build(socket: i32) i32 {
    const epoll = linux.result(.epoll_create1, .{linux.O_CLOEXEC});
    if (epoll < 0) return epoll;
    const answer = register(epoll, socket);
    if (answer < 0) linux.close(epoll);
    return answer;
}

fn register(epoll: i32, socket: i32) i32 {
    var event: linux.EpollEvent = .{ .events = linux.EPOLLRDHUP, .data = peer_data };
    const added = linux.result(.epoll_ctl, .{ epoll, linux.EPOLL_CTL_ADD, socket, &event });
    if (added < 0) return added;
    const count = descriptorsMax();
    const tokens = mapTokens(count) orelse return linux.negative(.NOMEM);
    const page = linux.map(
        @sizeOf(Reactor),
        linux.PROT_READ | linux.PROT_WRITE,
        linux.MAP_PRIVATE,
    ) orelse {
        unmapTokens(tokens, count);
        return linux.negative(.NOMEM);
    };
    const reactor: *Reactor = @ptrCast(@alignCast(page));
    reactor.* = .{ .epoll = epoll, .socket = socket, .tokens = tokens, .tokens_len = count };
    table_lock.acquire();
    defer table_lock.release();
    for (&table, 0..) |*entry, index| {
        if (entry.* != null) continue;
        entry.* = reactor;
        return @intCast(index);
    }
    unmapTokens(tokens, count);
    linux.unmap(page, @sizeOf(Reactor));
    return linux.negative(.AGAIN);
}

fn find(handle: i32) ?*Reactor {
    if (handle < 0 or handle >= reactors_max) return null;
    return @atomicLoad(?*Reactor, &table[@intCast(handle)], .acquire);
}

/// Arms `fd` for one event, which will come as a record with `token` (positive).
pub fn watch(handle: i32, fd: i32, ready: i32, token: i32) i32 {
    const reactor = find(handle) orelse return linux.negative(.BADF);
    if (fd < 0 or fd >= reactor.tokens_len) return linux.negative(.BADF);
    if (token <= 0) return linux.negative(.INVAL);
    const word = &reactor.tokens[@intCast(fd)];
    if (@atomicRmw(u32, word, .Xchg, @bitCast(token), .acq_rel) == 0) {
        _ = @atomicRmw(u32, &reactor.armed, .Add, 1, .acq_rel);
    }
    var event: linux.EpollEvent = .{
        .events = @as(u32, @bitCast(ready)) | linux.EPOLLONESHOT,
        .data = @as(u64, @as(u32, @bitCast(token))) << 32 | @as(u32, @bitCast(fd)),
    };
    // A descriptor watched before stays registered, disarmed, so most calls are a MOD.
    var answer = linux.result(.epoll_ctl, .{ reactor.epoll, linux.EPOLL_CTL_MOD, fd, &event });
    if (answer == linux.negative(.NOENT)) {
        answer = linux.result(.epoll_ctl, .{ reactor.epoll, linux.EPOLL_CTL_ADD, fd, &event });
    }
    if (answer >= 0) answer = ensureRunning(reactor);
    if (answer < 0) disarm(reactor, fd);
    return answer;
}

/// Must come before the descriptor is closed: a child between clone and exec may hold a copy, and then
/// closing does not take it out of the epoll set (seen).
pub fn unwatch(handle: i32, fd: i32) i32 {
    const reactor = find(handle) orelse return linux.negative(.BADF);
    if (fd < 0 or fd >= reactor.tokens_len) return linux.negative(.BADF);
    disarm(reactor, fd);
    const answer = linux.result(.epoll_ctl, .{ reactor.epoll, linux.EPOLL_CTL_DEL, fd, null });
    return if (answer == linux.negative(.NOENT)) 0 else answer;
}

fn disarm(reactor: *Reactor, fd: i32) void {
    if (@atomicRmw(u32, &reactor.tokens[@intCast(fd)], .Xchg, 0, .acq_rel) != 0) {
        _ = @atomicRmw(u32, &reactor.armed, .Sub, 1, .acq_rel);
    }
}

fn ensureRunning(reactor: *Reactor) i32 {
    reactor.lock.acquire();
    defer reactor.lock.release();
    if (reactor.running) return 0;
    const answer = threads.start(run, reactor);
    if (answer == 0) reactor.running = true;
    return answer;
}

fn run(context: ?*anyopaque) callconv(.c) ?*anyopaque {
    const reactor: *Reactor = @ptrCast(@alignCast(context.?));
    var events: [batch]linux.EpollEvent = undefined;
    while (true) {
        const idle = @atomicLoad(u32, &reactor.armed, .acquire) == 0;
        const timeout: i32 = if (idle) idle_ms else -1;
        const count = linux.result(.epoll_pwait, .{
            reactor.epoll,
            &events,
            batch,
            timeout,
            null,
            8,
        });
        if (count == 0 and rest(reactor)) return null;
        if (count <= 0) continue;
        if (!tell(reactor, events[0..@intCast(count)])) break;
    }
    destroy(reactor);
    return null;
}

/// Ends the thread unless a watch has come in meanwhile.
fn rest(reactor: *Reactor) bool {
    reactor.lock.acquire();
    defer reactor.lock.release();
    if (@atomicLoad(u32, &reactor.armed, .acquire) != 0) return false;
    reactor.running = false;
    return true;
}

/// Writes a record for each event that is still wanted. False: nobody reads any more.
fn tell(reactor: *Reactor, events: []const linux.EpollEvent) bool {
    var records: [batch]abi.Event = undefined;
    var count: usize = 0;
    for (events) |event| {
        if (event.data == peer_data) return false;
        const token: u32 = @truncate(event.data >> 32);
        const fd: u32 = @truncate(event.data);
        // Disarmed or armed anew since: not this event's any more.
        const taken = @cmpxchgStrong(u32, &reactor.tokens[fd], token, 0, .acq_rel, .monotonic);
        if (taken != null) continue;
        _ = @atomicRmw(u32, &reactor.armed, .Sub, 1, .acq_rel);
        records[count] = .{ .token = token, .ready = event.events & 0x1f };
        count += 1;
    }
    return send(reactor.socket, std.mem.sliceAsBytes(records[0..count]));
}

/// Blocks while the socket is full: JavaScript is behind, and loses nothing by it.
fn send(socket: i32, bytes: []const u8) bool {
    const MSG_NOSIGNAL = 0x4000;
    var rest_of = bytes;
    while (rest_of.len > 0) {
        const sent = linux.retry(.sendto, .{
            socket,
            rest_of.ptr,
            rest_of.len,
            MSG_NOSIGNAL,
            null,
            0,
        });
        if (sent < 0) return false;
        rest_of = rest_of[@intCast(sent)..];
    }
    return true;
}

fn destroy(reactor: *Reactor) void {
    table_lock.acquire();
    for (&table) |*entry| {
        if (entry.* == reactor) @atomicStore(?*Reactor, entry, null, .release);
    }
    table_lock.release();
    linux.close(reactor.epoll);
    linux.close(reactor.socket);
    unmapTokens(reactor.tokens, reactor.tokens_len);
    linux.unmap(@ptrCast(reactor), @sizeOf(Reactor));
}

/// As many as this process may ever have open, within reason: 64 MiB of address space, no memory.
fn descriptorsMax() u32 {
    const RLIMIT_NOFILE = 7;
    var limit: [2]u64 = .{ 0, 0 };
    _ = linux.call(.prlimit64, .{ 0, RLIMIT_NOFILE, null, &limit });
    return @intCast(std.math.clamp(limit[1], 1024, 1 << 24));
}

fn mapTokens(count: u32) ?[*]u32 {
    const memory = linux.map(
        @as(usize, count) * 4,
        linux.PROT_READ | linux.PROT_WRITE,
        linux.MAP_PRIVATE | linux.MAP_NORESERVE,
    ) orelse return null;
    return @ptrCast(memory);
}

fn unmapTokens(tokens: [*]u32, count: u32) void {
    linux.unmap(@ptrCast(tokens), @as(usize, count) * 4);
}
