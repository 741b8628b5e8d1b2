//! A process by its handle, which is what a pidfd is on Linux: it never means another one that has got the number.

const abi = @import("../abi/abi.zig");
const ends = @import("../wait/exit.zig");
const errors = @import("errors.zig");
const kernel = @import("kernel.zig");
const table = @import("table.zig");
const posix = errors.posix;

/// A process that may not be a child: a child is nothing special here, and may be waited for by anybody.
pub fn open(pid: i32) i32 {
    const ERROR_INVALID_PARAMETER = 87;
    const rights = kernel.SYNCHRONIZE | kernel.PROCESS_TERMINATE;
    const handle = for ([_]u32{
        rights | kernel.PROCESS_QUERY_INFORMATION,
        rights | kernel.PROCESS_QUERY_LIMITED_INFORMATION,
        kernel.SYNCHRONIZE | kernel.PROCESS_QUERY_LIMITED_INFORMATION,
    }) |each| {
        if (kernel.OpenProcess(each, 0, @bitCast(pid))) |handle| break handle;
        if (kernel.GetLastError() == ERROR_INVALID_PARAMETER) return posix(.SRCH);
    } else return errors.last();
    return table.add(.{ .kind = .process, .handle = handle, .pid = @bitCast(pid) });
}

/// A copy of the process's handle and of its job's, for a call outside of the lock. null: no process has this number.
const Copy = struct {
    handle: kernel.Handle,
    job: ?kernel.Handle,
    pid: u32,

    fn of(number: i32) ?Copy {
        table.acquire();
        defer table.release();
        const entry = table.find(number) orelse return null;
        if (entry.kind != .process) return null;
        return .{
            .handle = table.duplicate(entry.handle) orelse return null,
            .job = if (entry.other) |job| table.duplicate(job) else null,
            .pid = entry.pid,
        };
    }

    fn close(copy: Copy) void {
        _ = kernel.CloseHandle(copy.handle);
        if (copy.job) |job| _ = kernel.CloseHandle(job);
    }
};

/// As waitid(2): the number; 0: it still runs.
pub fn wait(number: i32, flags: u32, exit: *abi.Exit) i32 {
    const copy = Copy.of(number) orelse return posix(.CHILD);
    defer copy.close();
    const time: u32 = if (flags & @backingInt(abi.Wait.nohang) != 0) 0 else kernel.INFINITE;
    switch (kernel.WaitForSingleObject(copy.handle, time)) {
        kernel.WAIT_OBJECT_0 => {},
        kernel.WAIT_TIMEOUT => return 0,
        else => return errors.last(),
    }
    var code: u32 = 0;
    if (kernel.GetExitCodeProcess(copy.handle, &code) == 0) return errors.last();
    fill(copy, exit);
    exit.status = @bitCast(code);
    return exit.pid;
}

/// What it has used so far.
pub fn usage(number: i32, exit: *abi.Exit) i32 {
    const copy = Copy.of(number) orelse return posix(.SRCH);
    defer copy.close();
    fill(copy, exit);
    return exit.pid;
}

fn fill(copy: Copy, exit: *abi.Exit) void {
    exit.pid = @bitCast(copy.pid);
    exit.status = 0;
    ends.forgetUsage(exit);
    var made: kernel.FILETIME = .{};
    var ended: kernel.FILETIME = .{};
    var in_kernel: kernel.FILETIME = .{};
    var in_program: kernel.FILETIME = .{};
    if (kernel.GetProcessTimes(copy.handle, &made, &ended, &in_kernel, &in_program) != 0) {
        exit.user_time = milliseconds(in_program);
        exit.system_time = milliseconds(in_kernel);
    }
    var memory: kernel.PROCESS_MEMORY_COUNTERS = .{};
    if (kernel.K32GetProcessMemoryInfo(copy.handle, &memory, @sizeOf(@TypeOf(memory))) != 0) {
        exit.max_rss = @floatFromInt(memory.PeakWorkingSetSize);
        // Windows counts both kinds in one.
        exit.minor_faults = @floatFromInt(memory.PageFaultCount);
    }
}

/// Of steps of 100 ns.
fn milliseconds(time: kernel.FILETIME) f64 {
    return @as(f64, @floatFromInt(@as(u64, time.high) << 32 | time.low)) / 1e4;
}

const SIGKILL = 9;
/// Go's: what a killed process has exited with.
const killed = 1;

/// There is one signal, and the question whether it could be sent.
pub fn signal(number: i32, sig: i32) i32 {
    const copy = Copy.of(number) orelse return posix(.SRCH);
    defer copy.close();
    if (kernel.WaitForSingleObject(copy.handle, 0) == kernel.WAIT_OBJECT_0) return posix(.SRCH);
    if (sig == 0) return 0;
    if (sig != SIGKILL) return posix(.OPNOTSUPP);
    if (kernel.TerminateProcess(copy.handle, killed) != 0) return 0;
    const reason = errors.last();
    // It may have ended by itself just now.
    return if (kernel.WaitForSingleObject(copy.handle, 0) == kernel.WAIT_OBJECT_0) posix(.SRCH) else reason;
}

/// The same for all that is in its job.
pub fn signalJob(number: i32, sig: i32) i32 {
    const copy = Copy.of(number) orelse return posix(.SRCH);
    defer copy.close();
    const job = copy.job orelse return posix(.SRCH);
    var counts: kernel.JOBOBJECT_BASIC_ACCOUNTING_INFORMATION = .{};
    const size = @sizeOf(@TypeOf(counts));
    const kind = kernel.JobObjectBasicAccountingInformation;
    if (kernel.QueryInformationJobObject(job, kind, &counts, size, null) == 0) return errors.last();
    if (counts.ActiveProcesses == 0) return posix(.SRCH);
    if (sig == 0) return 0;
    if (sig != SIGKILL) return posix(.OPNOTSUPP);
    return if (kernel.TerminateJobObject(job, killed) != 0) 0 else errors.last();
}
