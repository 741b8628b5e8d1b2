//! The reactor: one native thread that tells JavaScript which descriptors have become ready, and which
//! processes have ended.
//!
//! One per JavaScript thread that ever waits asynchronously. It only watches and tells: records go
//! down a socketpair whose other end the runtime's own event loop reads, so no callback ever enters
//! JavaScript from here, and reading, writing and reaping stay calls of the JavaScript thread.
//!
//! The thread ends when the other end is closed (a terminated Worker on Bun), and after
//! `idle_ms` with nothing to watch; the next watch starts it again. Deno leaves that end open at
//! terminate(): there it is closed here once the thread that had it is gone.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi/abi.zig");
const exit_watch = @import("exit_watch.zig");
const ledger = @import("../files/ledger.zig");
const epoll = @import("epoll.zig");
const kqueue = @import("kqueue.zig");
const pollers = @import("poller.zig");
const seam = @import("../os/seam.zig");
const stdio = @import("../files/stdio.zig");
const system = @import("../os/system.zig").system;
const threads = @import("../os/threads.zig");
const Words = @import("../os/words.zig").Words;
const poller = switch (builtin.os.tag) {
    .linux => epoll,
    .macos => kqueue,
    else => @compileError("osexec runs on Linux and macOS"),
};

comptime {
    seam.check(epoll, kqueue, &.{ "open", "watchPeer", "arm", "disarm", "wait", "watches_processes" });
}

const idle_ms = 10_000;
const reactors_max = 1024;

const Reactor = struct {
    poller: i32,
    /// Our end of the socketpair, and what tells it from another file of its number.
    socket: i32,
    socket_number: u64,
    /// JavaScript's, to be closed for a thread that is gone.
    other: i32,
    other_number: u64,
    /// The thread that has made it, which is JavaScript's.
    owner: i32,
    /// The token each descriptor is armed with, by descriptor; 0: none. Whoever takes a token out,
    /// the thread on an event or JavaScript on unwatch, owns the one decrement of `armed`.
    tokens: Words,
    armed: u32 = 0,
    /// Guards `running` and the decision to end.
    lock: system.Lock = .{},
    running: bool = false,
    /// The table's, and one for each `exit_watch`. The last to go frees all.
    references: u32 = 1,
    /// Keeps the records of the thread and of an `exit_watch` whole.
    send_lock: system.Lock = .{},
};

var table_lock: system.Lock = .{};
var table: [reactors_max]?*Reactor = @splat(null);

/// Makes a reactor; its thread starts with the first watch.
pub fn create(answer: *abi.Reactor) i32 {
    sweep();
    var ends: [2]i32 = undefined;
    const made = stdio.keepBothOff(system.socketPair(&ends, false), &ends);
    if (made < 0) return made;
    // JavaScript's end alone: the thread may block on a full socket, the runtimes must not.
    _ = system.fcntl(ends[0], system.F_SETFL, system.O_NONBLOCK);
    const answered = build(ends[1], ends[0]);
    if (answered < 0) {
        system.close(ends[0]);
        system.close(ends[1]);
        return answered;
    }
    answer.* = .{ .handle = answered, .fd = ends[0] };
    return 0;
}

fn build(socket: i32, other: i32) i32 {
    const opened = stdio.keepOff(poller.open());
    if (opened < 0) return opened;
    const answer = register(opened, socket, other);
    if (answer < 0) system.close(opened);
    return answer;
}

fn register(opened: i32, socket: i32, other: i32) i32 {
    const watched = poller.watchPeer(opened, socket);
    if (watched < 0) return watched;
    const writable = system.PROT_READ | system.PROT_WRITE;
    const tokens = Words.map() orelse return system.negative(.NOMEM);
    const page = system.map(@sizeOf(Reactor), writable, system.MAP_PRIVATE) orelse {
        tokens.unmap();
        return system.negative(.NOMEM);
    };
    const reactor: *Reactor = @ptrCast(@alignCast(page));
    reactor.* = .{
        .poller = opened,
        .socket = socket,
        .socket_number = system.fileNumber(socket),
        .other = other,
        .other_number = system.fileNumber(other),
        .owner = system.threadId(),
        .tokens = tokens,
    };
    table_lock.acquire();
    defer table_lock.release();
    for (&table, 0..) |*entry, index| {
        if (entry.* != null) continue;
        @atomicStore(?*Reactor, entry, reactor, .release);
        return @intCast(index);
    }
    tokens.unmap();
    system.unmap(page, @sizeOf(Reactor));
    return system.negative(.AGAIN);
}

fn find(handle: i32) ?*Reactor {
    if (handle < 0 or handle >= reactors_max) return null;
    return @atomicLoad(?*Reactor, &table[@intCast(handle)], .acquire);
}

/// Arms `fd` for one event, which will come as a record with `token` (positive).
pub fn watch(handle: i32, fd: i32, ready: i32, token: i32) i32 {
    const reactor = find(handle) orelse return system.negative(.BADF);
    const word = reactor.tokens.of(fd) orelse return system.negative(.BADF);
    if (token <= 0) return system.negative(.INVAL);
    if (@atomicRmw(u32, word, .Xchg, @bitCast(token), .acq_rel) == 0) {
        _ = @atomicRmw(u32, &reactor.armed, .Add, 1, .acq_rel);
    }
    var answer = poller.arm(reactor.poller, fd, @bitCast(ready), @bitCast(token));
    if (answer >= 0) answer = ensureRunning(reactor);
    if (answer < 0) disarm(reactor, word);
    return answer;
}

/// Must come before the descriptor is closed: a child between clone and exec may hold a copy, and then
/// closing does not take it out of the epoll set (seen).
pub fn unwatch(handle: i32, fd: i32) i32 {
    const reactor = find(handle) orelse return system.negative(.BADF);
    disarm(reactor, reactor.tokens.of(fd) orelse return system.negative(.BADF));
    return poller.disarm(reactor.poller, fd);
}

/// Asks for one record with `token` (positive), and `in` for what is ready, once `pid` can be waited
/// for, or cannot be a child of ours at all. There is no taking it back: a process ends once.
pub fn watchPid(handle: i32, pid: i32, token: i32) i32 {
    const reactor = find(handle) orelse return system.negative(.BADF);
    if (pid <= 0 or token <= 0) return system.negative(.INVAL);
    if (!poller.watches_processes) return watchByThread(reactor, pid, @bitCast(token));
    // Counted and running first: the event may come before this returns.
    _ = @atomicRmw(u32, &reactor.armed, .Add, 1, .acq_rel);
    var answer = ensureRunning(reactor);
    if (answer >= 0) answer = poller.armProcess(reactor.poller, pid, @bitCast(token));
    if (answer < 0) _ = @atomicRmw(u32, &reactor.armed, .Sub, 1, .acq_rel);
    return answer;
}

fn watchByThread(reactor: *Reactor, pid: i32, token: u32) i32 {
    _ = @atomicRmw(u32, &reactor.references, .Add, 1, .acq_rel);
    const listener: exit_watch.Listener = .{ .context = reactor, .done = processEnded };
    const answer = exit_watch.start(pid, token, listener);
    if (answer < 0) release(reactor);
    return answer;
}

/// On a thread of `exit_watch`.
fn processEnded(context: *anyopaque, pid: i32, token: u32) void {
    const reactor: *Reactor = @ptrCast(@alignCast(context));
    // That nobody reads any more is for the reactor's own thread to find out, or for `sweep`.
    _ = send(reactor, &.{.{ .token = token, .fd = -pid, .ready = @backingInt(abi.Ready.in) }});
    release(reactor);
}

fn disarm(reactor: *Reactor, word: *u32) void {
    if (@atomicRmw(u32, word, .Xchg, 0, .acq_rel) != 0) {
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
    var events: [pollers.batch]pollers.Event = undefined;
    while (true) {
        const count = poller.wait(reactor.poller, &events, idle_ms);
        if (count == 0) ledger.settleDead(false);
        if (count == 0 and isOrphaned(reactor)) break;
        if (count == 0 and rest(reactor)) return null;
        // Somebody has closed the poller, and perhaps opened something else under its number.
        if (count < 0 and count != system.negative(.INTR)) {
            if (!tellAll(reactor)) break;
            reactor.lock.acquire();
            defer reactor.lock.release();
            reactor.running = false;
            return null;
        }
        if (count <= 0) continue;
        if (!tell(reactor, events[0..@intCast(count)])) break;
    }
    const owner = reactor.owner;
    remove(reactor);
    settleFor(owner);
    return null;
}

/// The end that JavaScript had is gone: with the thread, which may take a moment more, or with the program it ran
/// (`deno run --watch`), and then what is there is the next one's.
fn settleFor(owner: i32) void {
    for (0..200) |_| {
        if (!system.isThread(owner)) return ledger.settleDead(true);
        threads.pause(10);
    }
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
fn tell(reactor: *Reactor, events: []const pollers.Event) bool {
    var records: [pollers.batch]abi.Event = undefined;
    var count: usize = 0;
    for (events) |event| {
        if (event.token == pollers.peer) return false;
        if (reactor.tokens.of(event.fd)) |word| {
            // Disarmed or armed anew since: not this event's any more.
            if (@cmpxchgStrong(u32, word, event.token, 0, .acq_rel, .monotonic) != null) continue;
        }
        _ = @atomicRmw(u32, &reactor.armed, .Sub, 1, .acq_rel);
        records[count] = .{ .token = event.token, .fd = event.fd, .ready = event.ready };
        count += 1;
    }
    return send(reactor, records[0..count]);
}

/// Every watch there is has ended: what is tried or asked for then says why. False: nobody reads any more.
fn tellAll(reactor: *Reactor) bool {
    for (reactor.tokens.all(), 0..) |*word, fd| {
        const token = @atomicLoad(u32, word, .acquire);
        if (token == 0 or @cmpxchgStrong(u32, word, token, 0, .acq_rel, .monotonic) != null) continue;
        _ = @atomicRmw(u32, &reactor.armed, .Sub, 1, .acq_rel);
        const ready = @backingInt(abi.Ready.err);
        if (!send(reactor, &.{.{ .token = token, .fd = @intCast(fd), .ready = ready }})) return false;
    }
    return true;
}

/// Blocks while the socket is full: JavaScript is behind, and loses nothing by it.
fn send(reactor: *Reactor, records: []const abi.Event) bool {
    reactor.send_lock.acquire();
    defer reactor.send_lock.release();
    // Nothing of ours belongs into what has got the number since.
    if (system.fileNumber(reactor.socket) != reactor.socket_number) return false;
    var bytes: []const u8 = std.mem.sliceAsBytes(records);
    while (bytes.len > 0) {
        const sent = system.send(reactor.socket, bytes.ptr, bytes.len);
        if (sent < 0) return false;
        bytes = bytes[@intCast(sent)..];
    }
    return true;
}

/// Lets go of the reactors whose thread rests and whose other end was closed meanwhile, which no thread
/// was there to see.
fn sweep() void {
    defer ledger.settleDead(false);
    table_lock.acquire();
    defer table_lock.release();
    for (&table) |*entry| {
        const reactor = entry.* orelse continue;
        reactor.lock.acquire();
        const abandoned = !reactor.running and
            (hungUp(reactor.socket) or isOrphaned(reactor));
        reactor.lock.release();
        if (!abandoned) continue;
        @atomicStore(?*Reactor, entry, null, .release);
        release(reactor);
    }
}

/// Whether the thread that reads is gone without having closed its end, and then closes it. The number of a
/// thread that has ended may be another's by now: then this waits for that one's end too.
fn isOrphaned(reactor: *Reactor) bool {
    if (hungUp(reactor.socket) or system.isThread(reactor.owner)) return false;
    // Its number may be another file's, if somebody has closed it after all.
    if (system.fileNumber(reactor.other) == reactor.other_number) system.close(reactor.other);
    return true;
}

fn hungUp(socket: i32) bool {
    var entry: [1]abi.Poll = .{.{ .fd = socket, .events = 0, .revents = 0 }};
    const hup: i16 = @intCast(@backingInt(abi.Ready.hup));
    return system.poll(&entry, 1, 0) == 1 and entry[0].revents & hup != 0;
}

/// By its own thread, when the other end has been closed.
fn remove(reactor: *Reactor) void {
    table_lock.acquire();
    for (&table) |*entry| {
        if (entry.* == reactor) @atomicStore(?*Reactor, entry, null, .release);
    }
    table_lock.release();
    release(reactor);
}

fn release(reactor: *Reactor) void {
    if (@atomicRmw(u32, &reactor.references, .Sub, 1, .acq_rel) != 1) return;
    system.close(reactor.poller);
    system.close(reactor.socket);
    reactor.tokens.unmap();
    system.unmap(@ptrCast(reactor), @sizeOf(Reactor));
}
