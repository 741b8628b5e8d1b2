//! Descriptors for a system that has none: small numbers of this library's own for what it has open, so that
//! TypeScript need not know which system it is on. 0, 1 and 2 are this process's standard handles, whatever those are at
//! the moment; all others are from 3 on, and nobody else's numbers (node:fs, the C library) are among them.
//!
//! One lock for all of it, held for a few instructions at a time and never across a call that may wait.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const errors = @import("errors.zig");
const kernel = @import("kernel.zig");
const posix = errors.posix;

pub const Kind = enum {
    /// On a disk, or NUL: reads and writes at once.
    file,
    /// All that may keep a thread waiting: pipes, consoles, serial lines.
    stream,
    process,
    /// The end of `osexec_reactor` that TypeScript hears from.
    reactor,
    /// A pseudo-console's controlling side: reads by `handle`, writes by `other`.
    terminal,
    /// What stands for a pseudo-console's other side.
    console,
};

/// What a thread of an entry's is at.
pub const Work = struct {
    thread: ?kernel.Handle = null,
    wake: kernel.CONDITION_VARIABLE = .{},
    /// There is something to be done, or being done.
    wanted: bool = false,
    /// It is in a call that may wait.
    is_calling: bool = false,
    /// What a read has brought and nobody has taken, or what is being written.
    start: usize = 0,
    end: usize = 0,
    /// How a write ended that nobody has asked for yet; its bytes are still there.
    is_written: bool = false,
    /// At its end: 0, or the answer that says why.
    result: ?i32 = null,
    bytes: [buffer_size]u8 = undefined,
};

/// What a pipe of ours holds in the kernel, and so what is worth moving at once.
pub const buffer_size = 64 * 1024;

/// One interest of one JavaScript thread's; and what that thread is told, when it has come to that.
pub const Watch = struct {
    reactor: *Reactor,
    /// `ready` is what is waited for, and then which of it has come.
    event: abi.Event,
    next: ?*Watch,
};

pub const Entry = struct {
    kind: Kind,
    /// `invalid`: it has none.
    handle: kernel.Handle,
    /// A terminal's writing end, a process's job.
    other: ?kernel.Handle = null,
    pid: u32 = 0,
    /// Of a terminal and its console: the pseudo-console itself.
    console: ?*Console = null,
    /// The table has one, and so has each thread that is at it.
    references: u32 = 1,
    is_closed: bool = false,
    has_ended: bool = false,
    /// Of RegisterWaitForSingleObject.
    waiting: ?kernel.Handle = null,
    reader: ?*Work = null,
    writer: ?*Work = null,
    watches: ?*Watch = null,
    reactor: ?*Reactor = null,
};

pub const Console = struct {
    /// Null once it has been closed.
    handle: ?kernel.Handle,
    references: u32 = 2,
    /// Nobody prints to it any more when both are none: then who reads it is to come to the end.
    children: u32 = 0,
    has_side: bool = true,
    columns: i32,
    rows: i32,

    /// Closes it, with the lock held: who is in it hears of that (CTRL_CLOSE_EVENT), and its output ends. By a thread of its
    /// own, as that call waits until the output has been read (before Windows 11 24H2).
    pub fn close(console: *Console) void {
        const handle = console.handle orelse return;
        console.handle = null;
        const thread = startThread(closeNow, handle) orelse return;
        _ = kernel.CloseHandle(thread);
    }

    fn closeNow(handle: ?*anyopaque) callconv(.winapi) u32 {
        kernel.ClosePseudoConsole(handle.?);
        return 0;
    }

    /// With the lock held.
    pub fn closeIfUnused(console: *Console) void {
        if (console.children == 0 and !console.has_side) console.close();
    }
};

/// What one JavaScript thread is told of: see `teller.zig`.
pub const Reactor = struct {
    pipe: kernel.Handle,
    wake: kernel.CONDITION_VARIABLE = .{},
    /// What is to be told, in the order in which it came. The watches are this thread's to free.
    first: ?*Watch = null,
    last: ?*Watch = null,
    has_ended: bool = false,
    handle: i32,
    next: ?*Reactor,
    /// Of the read that never brings anything: it ends when who listens has gone.
    reading: kernel.OVERLAPPED = .{ .hEvent = null },
    byte: [1]u8 = undefined,

    /// With the lock held. It takes no memory, and so it cannot fail.
    fn put(reactor: *Reactor, watch: *Watch) void {
        if (reactor.has_ended) return destroy(watch);
        watch.next = null;
        if (reactor.last) |last| last.next = watch else reactor.first = watch;
        reactor.last = watch;
        kernel.WakeAllConditionVariable(&reactor.wake);
    }

    pub fn take(reactor: *Reactor) ?*Watch {
        const watch = reactor.first orelse return null;
        reactor.first = watch.next;
        if (watch.next == null) reactor.last = null;
        return watch;
    }

    /// Nobody reads any more. It is never freed: what watches by it may still be told something.
    pub fn end(reactor: *Reactor) void {
        acquire();
        reactor.has_ended = true;
        kernel.WakeAllConditionVariable(&reactor.wake);
        release();
    }
};

var lock: kernel.SRWLOCK = .{};
/// Something has become ready: for who waits without an event loop.
pub var changed: kernel.CONDITION_VARIABLE = .{};
/// By number, from 3 on: made once, so that the library's file need not hold it.
var entries: []?*Entry = &.{};
const entries_max = 16 * 1024;
const first = 3;
var lowest: usize = 0;
/// The process's own, made when they are first asked for.
var standard: [first]?*Entry = @splat(null);

pub fn acquire() void {
    kernel.AcquireSRWLockExclusive(&lock);
}

pub fn release() void {
    kernel.ReleaseSRWLockExclusive(&lock);
}

/// Waits for a change, the lock given up meanwhile. False: the time is over.
pub fn sleep(on: *kernel.CONDITION_VARIABLE, milliseconds: u32) bool {
    return kernel.SleepConditionVariableSRW(on, &lock, milliseconds, 0) != 0;
}

pub fn create(comptime T: type) ?*T {
    const memory = kernel.HeapAlloc(kernel.GetProcessHeap(), 0, @sizeOf(T)) orelse return null;
    return @ptrCast(@alignCast(memory));
}

pub fn destroy(memory: anytype) void {
    _ = kernel.HeapFree(kernel.GetProcessHeap(), 0, @ptrCast(memory));
}

/// With a small stack. Null: GetLastError says why.
pub fn startThread(start: kernel.ThreadStart, context: ?*anyopaque) ?kernel.Handle {
    return kernel.CreateThread(null, 64 * 1024, start, context, kernel.STACK_SIZE_PARAM_IS_A_RESERVATION, null);
}

/// Another handle of the same, which no child inherits.
pub fn duplicate(handle: kernel.Handle) ?kernel.Handle {
    const self = kernel.GetCurrentProcess();
    var copy: kernel.Handle = undefined;
    const how = kernel.DUPLICATE_SAME_ACCESS;
    return if (kernel.DuplicateHandle(self, handle, self, &copy, 0, 0, how) != 0) copy else null;
}

/// Gives an entry a number. It owns what the entry has from then on; when there is no room that is closed.
pub fn add(entry: Entry) i32 {
    acquire();
    const number = giveNumber(entry);
    release();
    // Outside of the lock, which letting go of a console takes.
    if (number < 0) closeHandles(&entry);
    return number;
}

/// Fills what was added before there was anything to own: nobody else knows its number yet.
pub fn set(number: i32, entry: Entry) void {
    acquire();
    defer release();
    if (find(number)) |made| made.* = entry;
}

fn giveNumber(entry: Entry) i32 {
    if (entries.len == 0) entries = makeEntries() orelse return posix(.NOMEM);
    while (lowest < entries_max and entries[lowest] != null) lowest += 1;
    if (lowest == entries_max) return posix(.MFILE);
    const made = create(Entry) orelse return posix(.NOMEM);
    made.* = entry;
    entries[lowest] = made;
    return @intCast(lowest + first);
}

fn makeEntries() ?[]?*Entry {
    const HEAP_ZERO_MEMORY = 8;
    const memory = kernel.HeapAlloc(kernel.GetProcessHeap(), HEAP_ZERO_MEMORY, entries_max * @sizeOf(?*Entry)) orelse return null;
    return @as([*]?*Entry, @ptrCast(@alignCast(memory)))[0..entries_max];
}

/// The entry of a number, with the lock held; null: there is none.
pub fn find(number: i32) ?*Entry {
    if (number < 0) return null;
    const index: usize = @intCast(number);
    if (index >= first) {
        return if (index - first < entries.len) entries[index - first] else null;
    }
    const handle = kernel.GetStdHandle(kernel.STD_INPUT_HANDLE -% @as(u32, @intCast(index))) orelse return null;
    if (handle == kernel.invalid) return null;
    if (standard[index]) |entry| {
        // Somebody may have called SetStdHandle. The old one stays behind, as its threads do: they may be in a call.
        if (entry.handle == handle) return entry;
    }
    const entry = create(Entry) orelse return null;
    entry.* = .{ .kind = kindOf(handle), .handle = handle };
    standard[index] = entry;
    return entry;
}

pub fn kindOf(handle: kernel.Handle) Kind {
    return switch (kernel.GetFileType(handle)) {
        kernel.FILE_TYPE_PIPE, kernel.FILE_TYPE_CHAR => .stream,
        else => .file,
    };
}

/// The number is free at once; what is behind it goes when its last thread has left it.
pub fn close(number: i32) i32 {
    acquire();
    if (number < first or number - first >= entries.len) {
        release();
        // Standard handles are the process's, and stay open.
        return if (number >= 0 and number < first) 0 else posix(.BADF);
    }
    const index: usize = @intCast(number - first);
    const entry = entries[index] orelse {
        release();
        return posix(.BADF);
    };
    entries[index] = null;
    lowest = @min(lowest, index);
    entry.is_closed = true;
    var watch = entry.watches;
    entry.watches = null;
    const waiting = entry.waiting;
    entry.waiting = null;
    if (entry.console) |console| switch (entry.kind) {
        // Hanging up.
        .terminal => console.close(),
        else => {
            console.has_side = false;
            console.closeIfUnused();
        },
    };
    for ([_]?*Work{ entry.reader, entry.writer }) |each| {
        if (each) |work| kernel.WakeAllConditionVariable(&work.wake);
    }
    interrupt(entry);
    release();
    while (watch) |each| {
        watch = each.next;
        destroy(each);
    }
    // Outside of the lock, which its callback takes.
    if (waiting) |each| _ = kernel.UnregisterWaitEx(each, kernel.invalid);
    if (entry.reactor) |reactor| reactor.end();
    drop(entry);
    return 0;
}

/// A read that waits is of no use to anybody any more. What is being written goes on: those bytes are the child's, as
/// those in a pipe are. With the lock held; it is given up meanwhile.
fn interrupt(entry: *Entry) void {
    const work = entry.reader orelse return;
    const thread = work.thread orelse return;
    // It may be on its way into the call, where there is nothing to be cancelled yet.
    var tries: u32 = 0;
    while (work.is_calling and tries < interrupts_max) : (tries += 1) {
        if (kernel.CancelSynchronousIo(thread) != 0) return;
        release();
        _ = kernel.SwitchToThread();
        acquire();
    }
}

/// Microseconds each. Whoever is not in its call after so many stays until there is something to read, or an end.
const interrupts_max = 1000;

/// Lets go of one reference.
pub fn drop(entry: *Entry) void {
    acquire();
    entry.references -= 1;
    const is_last = entry.references == 0;
    release();
    if (!is_last) return;
    closeHandles(entry);
    for ([_]?*Work{ entry.reader, entry.writer }) |each| if (each) |work| {
        if (work.thread) |thread| _ = kernel.CloseHandle(thread);
        destroy(work);
    };
    destroy(entry);
}

fn closeHandles(entry: *const Entry) void {
    if (entry.handle != kernel.invalid) _ = kernel.CloseHandle(entry.handle);
    if (entry.other) |other| {
        if (entry.kind == .process) forgetJob(other);
        _ = kernel.CloseHandle(other);
    }
    if (entry.console) |console| letGo(console);
}

/// What a child leaves behind is left alone when it has ended: only the end of this process is to end it.
fn forgetJob(job: kernel.Handle) void {
    const none: kernel.JOBOBJECT_EXTENDED_LIMIT_INFORMATION = .{};
    _ = kernel.SetInformationJobObject(job, kernel.JobObjectExtendedLimitInformation, &none, @sizeOf(@TypeOf(none)));
}

pub fn letGo(console: *Console) void {
    acquire();
    defer release();
    console.references -= 1;
    if (console.references > 0) return;
    console.close();
    destroy(console);
}

/// What it is ready for now, with the lock held: bits of `abi.Ready`.
pub fn readiness(entry: *Entry) u32 {
    const in = @backingInt(abi.Ready.in);
    const out = @backingInt(abi.Ready.out);
    return switch (entry.kind) {
        .file, .console => in | out,
        .process => if (hasEnded(entry)) in else 0,
        .reactor => 0,
        .stream, .terminal => blk: {
            var ready: u32 = 0;
            if (entry.reader) |work| {
                if (work.start < work.end or work.result != null) ready |= in;
            }
            const is_writing = if (entry.writer) |work| work.wanted else false;
            if (!is_writing) ready |= out;
            break :blk ready;
        },
    };
}

pub fn hasEnded(entry: *Entry) bool {
    if (!entry.has_ended) {
        entry.has_ended = kernel.WaitForSingleObject(entry.handle, 0) == kernel.WAIT_OBJECT_0;
    }
    return entry.has_ended;
}

/// Tells whoever waits for what has become ready, with the lock held.
pub fn tell(entry: *Entry) void {
    const ready = readiness(entry);
    var place = &entry.watches;
    while (place.*) |watch| {
        if (watch.event.ready & ready == 0) {
            place = &watch.next;
            continue;
        }
        place.* = watch.next;
        watch.event.ready &= ready;
        watch.reactor.put(watch);
    }
    kernel.WakeAllConditionVariable(&changed);
}
