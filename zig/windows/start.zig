//! A start on Windows: one CreateProcessW. The child gets the three handles that it is to have and those that are named,
//! and nothing else, whatever this process has marked inheritable (PROC_THREAD_ATTRIBUTE_HANDLE_LIST): so no two starts
//! need to take turns, in this process or with the host's own.

const std = @import("std");
const abi = @import("../abi/abi.zig");
const block = @import("block.zig");
const command_line = @import("command_line.zig");
const consoles = @import("console.zig");
const errors = @import("errors.zig");
const kernel = @import("kernel.zig");
const plans = @import("../child/plan.zig");
const request = @import("../parent/request.zig");
const table = @import("table.zig");

const utf16 = std.unicode.utf8ToUtf16LeAllocZ;
const fields = abi.steps.fieldsOf;

/// Which step it was, and why.
const Failure = struct { step: i32, errno: i32 };

/// What the steps ask for, and what has been opened for it so far.
const Start = struct {
    memory: std.mem.Allocator,
    flags: u32 = 0,
    bits: u32 = 0,
    token: ?kernel.Handle = null,
    parent: ?kernel.Handle = null,
    line: ?[*:0]u16 = null,
    directory: ?[:0]const u16 = null,
    /// Which record that was.
    directory_step: i32 = 0,
    job_limits: ?u32 = null,
    process_security: kernel.SECURITY_ATTRIBUTES = .{},
    thread_security: kernel.SECURITY_ATTRIBUTES = .{},
    /// Copies by the child's number, in the process of `owner`; null: none.
    standard: [3]?kernel.Handle = @splat(null),
    named: []const kernel.Handle = &.{},
    console: ?*table.Console = null,
    job: ?kernel.Handle = null,
    /// The number that the process is to have, before there is one: else there might be a child, and no number.
    number: i32 = -1,

    fn discard(attempt: *Start) void {
        for (attempt.standard) |copy| {
            if (copy) |handle| close(attempt.owner(), handle);
        }
        for ([_]?*anyopaque{
            attempt.process_security.lpSecurityDescriptor,
            attempt.thread_security.lpSecurityDescriptor,
        }) |each| {
            if (each != null) _ = kernel.LocalFree(each);
        }
        if (attempt.job) |job| _ = kernel.CloseHandle(job);
        if (attempt.number >= 0) _ = table.close(attempt.number);
    }

    /// In whose table the child looks its handles up.
    fn owner(attempt: *const Start) kernel.Handle {
        return attempt.parent orelse kernel.GetCurrentProcess();
    }
};

fn close(owner: kernel.Handle, handle: kernel.Handle) void {
    const self = kernel.GetCurrentProcess();
    if (owner == self) {
        _ = kernel.CloseHandle(handle);
        return;
    }
    // Of another process's there is no other way than to take it over. With nobody to take it Wine 8 leaves it open.
    var copy: kernel.Handle = undefined;
    const how = kernel.DUPLICATE_CLOSE_SOURCE | kernel.DUPLICATE_SAME_ACCESS;
    if (kernel.DuplicateHandle(owner, handle, self, &copy, 0, 0, how) != 0) _ = kernel.CloseHandle(copy);
}

pub fn start(bytes: []const u8, answer: *abi.Answer) void {
    answer.* = .nothing;
    const size = room_least + room_factor * bytes.len;
    const memory = if (bytes.len > length_max) null else kernel.HeapAlloc(kernel.GetProcessHeap(), 0, size);
    var failure: ?Failure = .{ .step = @backingInt(abi.Stage.clone), .errno = -errors.posix(.NOMEM) };
    if (memory) |room| {
        defer _ = kernel.HeapFree(kernel.GetProcessHeap(), 0, room);
        var allocator: std.heap.FixedBufferAllocator = .init(@as([*]u8, @ptrCast(room))[0..size]);
        failure = tryStart(allocator.allocator(), bytes, answer);
    }
    if (failure) |found| {
        answer.step = found.step;
        answer.errno = found.errno;
    }
}

/// A command line has 32767 characters at most, and an environment as many of old.
const length_max = 4 * 1024 * 1024;
/// A start's copies: the request's own, the lists of its strings, and all of it in UTF-16, of the arguments quoted and of
/// lists that grow twice as much.
const room_factor = 32;
/// What names no byte of the request: the attributes, SYSTEMROOT, an absolute path.
const room_least = 256 * 1024;

fn tryStart(memory: std.mem.Allocator, bytes: []const u8, answer: *abi.Answer) ?Failure {
    const malformed: Failure = .{ .step = @backingInt(abi.Stage.request), .errno = -errors.posix(.INVAL) };
    const no_memory: Failure = .{ .step = @backingInt(abi.Stage.clone), .errno = -errors.posix(.NOMEM) };
    const capacity = request.capacity(bytes) catch return malformed;
    const room = memory.alignedAlloc(u8, .@"16", capacity) catch return no_memory;
    const plan = request.parse(bytes, room) catch return malformed;

    var attempt: Start = .{ .memory = memory };
    defer attempt.discard();
    var records: plans.Iterator = .{ .bytes = plan.steps };
    var index: i32 = 0;
    while (records.next()) |record| : (index += 1) {
        const errno = switch (record.step) {
            .exec => create(&attempt, plan, answer),
            else => take(&attempt, record),
        } catch |reason| switch (reason) {
            error.OutOfMemory => errors.posix(.NOMEM),
            else => errors.posix(.INVAL),
        };
        if (record.step == .chdir) attempt.directory_step = index;
        const is_directory = record.step == .exec and errno == errors.ofCode(ERROR_DIRECTORY);
        if (errno < 0) return .{ .step = if (is_directory) attempt.directory_step else index, .errno = -errno };
    }
    return null;
}

/// What CreateProcess says of the directory that it was given, of which it has a copy.
const ERROR_DIRECTORY = 267;

fn take(attempt: *Start, record: plans.Iterator.Record) !i32 {
    const payload = record.payload;
    switch (record.step) {
        .creation => {
            const given = fields(.creation, payload);
            attempt.flags = given.flags;
            attempt.bits = given.bits;
            attempt.token = handleOf(given.token);
            attempt.parent = handleOf(given.parent);
            attempt.process_security.bInheritHandle = @intFromBool(has(attempt, .inherit_process));
            attempt.thread_security.bInheritHandle = @intFromBool(has(attempt, .inherit_thread));
        },
        .command_line => attempt.line = (try wide(attempt, &fields(.command_line, payload).text)).ptr,
        .process_security => {
            return readSecurity(attempt, &fields(.process_security, payload).descriptor, &attempt.process_security);
        },
        .thread_security => {
            return readSecurity(attempt, &fields(.thread_security, payload).descriptor, &attempt.thread_security);
        },
        .job => attempt.job_limits = fields(.job, payload).limits,
        .chdir => attempt.directory = try wide(attempt, &fields(.chdir, payload).path),
        .fd => return give(attempt, fields(.fd, payload).source, fields(.fd, payload).target),
        .inherit => {
            const words = fields(.inherit, payload).handles.slice();
            const named = try attempt.memory.alloc(kernel.Handle, words.len);
            for (named, words) |*handle, word| handle.* = handleOf(@bitCast(word)) orelse return errors.posix(.BADF);
            attempt.named = named;
        },
        else => return errors.posix(.NOSYS),
    }
    return 0;
}

fn has(attempt: *const Start, bit: abi.steps.CreationBit) bool {
    return attempt.bits & @backingInt(bit) != 0;
}

/// A handle has 32 significant bits, sign-extended, on every Windows.
fn handleOf(word: i32) ?kernel.Handle {
    return @ptrFromInt(@as(usize, @bitCast(@as(isize, word))));
}

fn wide(attempt: *const Start, path: *const abi.steps.Path) ![:0]u16 {
    return utf16(attempt.memory, std.mem.span(path.text()));
}

fn readSecurity(attempt: *Start, given: *const abi.steps.Path, security: *kernel.SECURITY_ATTRIBUTES) !i32 {
    const SDDL_REVISION_1 = 1;
    const text = try wide(attempt, given);
    const place = &security.lpSecurityDescriptor;
    const made = kernel.ConvertStringSecurityDescriptorToSecurityDescriptorW(text, SDDL_REVISION_1, place, null);
    return if (made == 0) errors.last() else 0;
}

/// A copy of the handle that the child may inherit, in the process that it is to be the child of.
fn give(attempt: *Start, source: i32, target: i32) i32 {
    if (target < 0 or target > 2) return errors.posix(.OPNOTSUPP);
    const place: usize = @intCast(target);
    if (source == -1) return 0;
    if (source == plans.Descriptor.null_device) {
        const access = kernel.GENERIC_READ | kernel.GENERIC_WRITE;
        const name = comptime std.unicode.utf8ToUtf16LeStringLiteral("NUL");
        const nul = kernel.CreateFileW(name, access, kernel.FILE_SHARE_ALL, null, kernel.OPEN_EXISTING, 0, null);
        if (nul == kernel.invalid) return errors.last();
        defer _ = kernel.CloseHandle(nul);
        return duplicate(attempt, nul, place);
    }
    table.acquire();
    defer table.release();
    const entry = table.find(source) orelse {
        // A program without a console may have none of the three to hand on.
        return if (source >= 0 and source <= 2) 0 else errors.posix(.BADF);
    };
    switch (entry.kind) {
        .process, .reactor => return errors.posix(.INVAL),
        .console => {
            const console = entry.console.?;
            if (attempt.console) |other| if (other != console) return errors.posix(.INVAL);
            attempt.console = console;
            return 0;
        },
        .file, .stream, .terminal => return duplicate(attempt, entry.handle, place),
    }
}

fn duplicate(attempt: *Start, handle: kernel.Handle, place: usize) i32 {
    var copy: kernel.Handle = undefined;
    const how = kernel.DUPLICATE_SAME_ACCESS;
    if (kernel.DuplicateHandle(kernel.GetCurrentProcess(), handle, attempt.owner(), &copy, 0, 1, how) == 0) {
        return errors.last();
    }
    attempt.standard[place] = copy;
    return 0;
}

fn create(attempt: *Start, plan: *const plans.Plan, answer: *abi.Answer) !i32 {
    const memory = attempt.memory;
    const path = try programPath(attempt, try utf16(memory, std.mem.span(plan.path)));
    const line = attempt.line orelse blk: {
        const arguments = try slices(memory, plan.argv);
        // cmd.exe runs what the line begins with, and would look for that in the current directory first.
        if (has(attempt, .batch) and arguments.len > 0) arguments[0] = try std.unicode.utf16LeToUtf8Alloc(memory, path);
        const text = try command_line.compose(memory, arguments, has(attempt, .batch));
        break :blk (try utf16(memory, text)).ptr;
    };
    const environment = try block.make(memory, try slices(memory, plan.envp), try systemRoot(memory));

    var info: kernel.STARTUPINFOEXW = .{ .StartupInfo = .{ .cb = @sizeOf(kernel.STARTUPINFOEXW) } };
    const startup = &info.StartupInfo;
    if (has(attempt, .hide_window)) startup.dwFlags |= kernel.STARTF_USESHOWWINDOW;
    // In a console it has that one's: said by handles that are none, or else it would have this process's own where those
    // are redirected.
    startup.dwFlags |= kernel.STARTF_USESTDHANDLES;
    const in_console = attempt.console != null;
    startup.hStdInput = if (in_console) kernel.invalid else attempt.standard[0];
    startup.hStdOutput = if (in_console) kernel.invalid else attempt.standard[1];
    startup.hStdError = if (in_console) kernel.invalid else attempt.standard[2];
    const handles = try inherited(attempt);
    const is_inheriting = handles.len > 0 and !has(attempt, .no_inherit_handles);

    var size: usize = 0;
    const attributes_max = 3;
    _ = kernel.InitializeProcThreadAttributeList(null, attributes_max, 0, &size);
    const list: *anyopaque = (try memory.alignedAlloc(u8, .@"16", size)).ptr;
    if (kernel.InitializeProcThreadAttributeList(list, attributes_max, 0, &size) == 0) return errors.last();
    defer kernel.DeleteProcThreadAttributeList(list);
    info.lpAttributeList = list;
    if (attempt.parent) |*parent| {
        if (!update(list, kernel.PROC_THREAD_ATTRIBUTE_PARENT_PROCESS, @ptrCast(parent), @sizeOf(kernel.Handle))) return errors.last();
    }
    if (is_inheriting) {
        if (!update(list, kernel.PROC_THREAD_ATTRIBUTE_HANDLE_LIST, @ptrCast(handles.ptr), handles.len * @sizeOf(kernel.Handle))) {
            return errors.last();
        }
    }
    if (attempt.console) |console| {
        if (console.handle == null) return errors.posix(.IO);
        // The one attribute that is the value itself.
        if (!update(list, kernel.PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE, console.handle, @sizeOf(kernel.Handle))) {
            return errors.last();
        }
    }
    if (attempt.job_limits) |limits| {
        const failure = makeJob(attempt, limits);
        if (failure < 0) return failure;
    }
    attempt.number = table.add(.{ .kind = .process, .handle = kernel.invalid });
    if (attempt.number < 0) return attempt.number;

    var flags = attempt.flags | kernel.CREATE_UNICODE_ENVIRONMENT | kernel.EXTENDED_STARTUPINFO_PRESENT;
    // What it starts itself is to be in its job as well.
    if (attempt.job != null) flags |= kernel.CREATE_SUSPENDED;
    var made: kernel.PROCESS_INFORMATION = undefined;
    const directory: ?[*:0]const u16 = if (attempt.directory) |directory| directory.ptr else null;
    const security = .{ &attempt.process_security, &attempt.thread_security };
    const is_made = if (attempt.token) |token|
        kernel.CreateProcessAsUserW(token, path.ptr, line, security[0], security[1], @intFromBool(is_inheriting), flags, environment.ptr, directory, &info, &made)
    else
        kernel.CreateProcessW(path.ptr, line, security[0], security[1], @intFromBool(is_inheriting), flags, environment.ptr, directory, &info, &made);
    if (is_made == 0) return errors.last();
    defer _ = kernel.CloseHandle(made.hThread);
    if (attempt.job) |job| {
        if (kernel.AssignProcessToJobObject(job, made.hProcess) == 0) {
            const reason = errors.last();
            _ = kernel.TerminateProcess(made.hProcess, 1);
            _ = kernel.CloseHandle(made.hProcess);
            return reason;
        }
        if (attempt.flags & kernel.CREATE_SUSPENDED == 0) _ = kernel.ResumeThread(made.hThread);
    }
    if (attempt.console) |console| consoles.begin(console, made.hProcess);
    table.set(attempt.number, .{ .kind = .process, .handle = made.hProcess, .other = attempt.job, .pid = made.dwProcessId });
    answer.pid = @bitCast(made.dwProcessId);
    answer.pidfd = attempt.number;
    attempt.job = null;
    attempt.number = -1;
    return 0;
}

fn update(list: *anyopaque, attribute: usize, value: ?*const anyopaque, size: usize) bool {
    return kernel.UpdateProcThreadAttribute(list, 0, attribute, value, size, null, null) != 0;
}

fn makeJob(attempt: *Start, limits: u32) i32 {
    const job = kernel.CreateJobObjectW(null, null) orelse return errors.last();
    attempt.job = job;
    if (limits == 0) return 0;
    const wanted: kernel.JOBOBJECT_EXTENDED_LIMIT_INFORMATION = .{ .LimitFlags = limits };
    const kind = kernel.JobObjectExtendedLimitInformation;
    const is_set = kernel.SetInformationJobObject(job, kind, &wanted, @sizeOf(@TypeOf(wanted)));
    return if (is_set == 0) errors.last() else 0;
}

/// What the child inherits, each once: a list that has one twice, or a null, is refused or taken for empty.
fn inherited(attempt: *const Start) ![]const kernel.Handle {
    var handles: std.ArrayList(kernel.Handle) = .empty;
    for (attempt.standard) |each| {
        if (each) |handle| try appendOnce(&handles, attempt.memory, handle);
    }
    for (attempt.named) |handle| try appendOnce(&handles, attempt.memory, handle);
    return handles.items;
}

fn appendOnce(handles: *std.ArrayList(kernel.Handle), memory: std.mem.Allocator, handle: kernel.Handle) !void {
    if (std.mem.findScalar(kernel.Handle, handles.items, handle) == null) try handles.append(memory, handle);
}

fn slices(memory: std.mem.Allocator, strings: plans.Strings) ![][]const u8 {
    var list: std.ArrayList([]const u8) = .empty;
    var index: usize = 0;
    while (strings[index]) |string| : (index += 1) try list.append(memory, std.mem.span(string));
    return list.items;
}

/// Windows looks for a relative path from this process's directory on, and only then goes to the child's: as after a
/// chdir it is to be the child's, as in Go.
fn programPath(attempt: *const Start, path: [:0]const u16) ![:0]const u16 {
    const directory = attempt.directory orelse return path;
    if (path.len == 0 or directory.len == 0) return path;
    if (path.len > 1 and isSlash(path[0]) and isSlash(path[1])) return path;
    if (path.len > 2 and path[1] == ':' and isSlash(path[2])) return path;
    const base = try full(attempt.memory, directory);
    const has_drive = path.len > 1 and path[1] == ':';
    // "C:x": from that drive's own directory on, which is the child's if it is on that drive.
    if (has_drive and (base.len == 0 or upper(base[0]) != upper(path[0]))) return full(attempt.memory, path);
    const start_at = if (isSlash(path[0])) base[0..@min(2, base.len)] else base;
    const slash: []const u16 = if (isSlash(path[0])) &.{} else &.{'\\'};
    const rest = if (has_drive) path[2..] else path;
    const parts = [_][]const u16{ start_at, slash, rest };
    return full(attempt.memory, try std.mem.concatWithSentinel(attempt.memory, u16, &parts, 0));
}

fn isSlash(unit: u16) bool {
    return unit == '\\' or unit == '/';
}

fn upper(unit: u16) u16 {
    return if (unit >= 'a' and unit <= 'z') unit - ('a' - 'A') else unit;
}

/// Absolute; as it is where it has no such form.
fn full(memory: std.mem.Allocator, path: [:0]const u16) ![:0]const u16 {
    const length = kernel.GetFullPathNameW(path, 0, @constCast(path.ptr), null);
    if (length == 0) return path;
    const buffer = try memory.alloc(u16, length);
    const written = kernel.GetFullPathNameW(path, length, buffer.ptr, null);
    if (written == 0 or written >= length) return path;
    return buffer[0..written :0];
}

/// "SYSTEMROOT=C:\windows", or "" where this process has none itself.
fn systemRoot(memory: std.mem.Allocator) ![]const u8 {
    var buffer: [512]u16 = undefined;
    const name = comptime std.unicode.utf8ToUtf16LeStringLiteral("SYSTEMROOT");
    const length = kernel.GetEnvironmentVariableW(name, &buffer, buffer.len);
    if (length == 0 or length >= buffer.len) return "";
    const value = try std.unicode.wtf16LeToWtf8Alloc(memory, buffer[0..length]);
    return std.mem.concat(memory, u8, &.{ "SYSTEMROOT=", value });
}
