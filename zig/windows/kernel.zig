//! What is called of Windows: its own names and types, declared here as winnt.h, winbase.h, processthreadsapi.h and
//! their kin have them. Every layout that Windows reads or writes is asserted.

const std = @import("std");
const assert = std.debug.assert;

pub const Handle = *anyopaque;
pub const Bool = i32;

/// INVALID_HANDLE_VALUE, and also what GetCurrentProcess answers.
pub const invalid: Handle = @ptrFromInt(std.math.maxInt(usize));

pub const SRWLOCK = extern struct { ptr: usize = 0 };
pub const CONDITION_VARIABLE = extern struct { ptr: usize = 0 };

pub const SECURITY_ATTRIBUTES = extern struct {
    nLength: u32 = @sizeOf(SECURITY_ATTRIBUTES),
    lpSecurityDescriptor: ?*anyopaque = null,
    bInheritHandle: Bool = 0,
};

pub const STARTUPINFOW = extern struct {
    cb: u32,
    lpReserved: ?[*:0]u16 = null,
    lpDesktop: ?[*:0]u16 = null,
    lpTitle: ?[*:0]u16 = null,
    dwX: u32 = 0,
    dwY: u32 = 0,
    dwXSize: u32 = 0,
    dwYSize: u32 = 0,
    dwXCountChars: u32 = 0,
    dwYCountChars: u32 = 0,
    dwFillAttribute: u32 = 0,
    dwFlags: u32 = 0,
    wShowWindow: u16 = 0,
    cbReserved2: u16 = 0,
    lpReserved2: ?*u8 = null,
    hStdInput: ?Handle = null,
    hStdOutput: ?Handle = null,
    hStdError: ?Handle = null,
};

pub const STARTUPINFOEXW = extern struct {
    StartupInfo: STARTUPINFOW,
    lpAttributeList: ?*anyopaque = null,
};

pub const PROCESS_INFORMATION = extern struct {
    hProcess: Handle,
    hThread: Handle,
    dwProcessId: u32,
    dwThreadId: u32,
};

pub const FILETIME = extern struct { low: u32 = 0, high: u32 = 0 };

pub const PROCESS_MEMORY_COUNTERS = extern struct {
    cb: u32 = @sizeOf(PROCESS_MEMORY_COUNTERS),
    PageFaultCount: u32 = 0,
    PeakWorkingSetSize: usize = 0,
    WorkingSetSize: usize = 0,
    QuotaPeakPagedPoolUsage: usize = 0,
    QuotaPagedPoolUsage: usize = 0,
    QuotaPeakNonPagedPoolUsage: usize = 0,
    QuotaNonPagedPoolUsage: usize = 0,
    PagefileUsage: usize = 0,
    PeakPagefileUsage: usize = 0,
};

pub const JOBOBJECT_BASIC_ACCOUNTING_INFORMATION = extern struct {
    TotalUserTime: i64 = 0,
    TotalKernelTime: i64 = 0,
    ThisPeriodTotalUserTime: i64 = 0,
    ThisPeriodTotalKernelTime: i64 = 0,
    TotalPageFaultCount: u32 = 0,
    TotalProcesses: u32 = 0,
    ActiveProcesses: u32 = 0,
    TotalTerminatedProcesses: u32 = 0,
};

/// JOBOBJECT_EXTENDED_LIMIT_INFORMATION; of all its limits one word is ours.
pub const JOBOBJECT_EXTENDED_LIMIT_INFORMATION = extern struct {
    PerProcessUserTimeLimit: i64 = 0,
    PerJobUserTimeLimit: i64 = 0,
    LimitFlags: u32 = 0,
    MinimumWorkingSetSize: usize = 0,
    MaximumWorkingSetSize: usize = 0,
    ActiveProcessLimit: u32 = 0,
    Affinity: usize = 0,
    PriorityClass: u32 = 0,
    SchedulingClass: u32 = 0,
    IoInfo: [6]u64 = @splat(0),
    ProcessMemoryLimit: usize = 0,
    JobMemoryLimit: usize = 0,
    PeakProcessMemoryUsed: usize = 0,
    PeakJobMemoryUsed: usize = 0,
};

pub const OVERLAPPED = extern struct {
    Internal: usize = 0,
    InternalHigh: usize = 0,
    Offset: u32 = 0,
    OffsetHigh: u32 = 0,
    hEvent: ?Handle,
};

pub const COORD = extern struct { X: i16, Y: i16 };

comptime {
    assert(@sizeOf(SRWLOCK) == 8 and @sizeOf(CONDITION_VARIABLE) == 8);
    assert(@sizeOf(SECURITY_ATTRIBUTES) == 24);
    assert(@sizeOf(STARTUPINFOW) == 104 and @offsetOf(STARTUPINFOW, "hStdInput") == 80);
    assert(@sizeOf(STARTUPINFOEXW) == 112);
    assert(@sizeOf(PROCESS_INFORMATION) == 24);
    assert(@sizeOf(PROCESS_MEMORY_COUNTERS) == 72);
    assert(@sizeOf(JOBOBJECT_BASIC_ACCOUNTING_INFORMATION) == 48);
    assert(@sizeOf(JOBOBJECT_EXTENDED_LIMIT_INFORMATION) == 144);
    assert(@offsetOf(JOBOBJECT_EXTENDED_LIMIT_INFORMATION, "IoInfo") == 64);
    assert(@sizeOf(OVERLAPPED) == 32);
    assert(@sizeOf(COORD) == 4);
}

pub const INFINITE = 0xffff_ffff;
pub const WAIT_OBJECT_0 = 0;
pub const WAIT_TIMEOUT = 258;

pub const STD_INPUT_HANDLE: u32 = @bitCast(@as(i32, -10));
pub const FILE_TYPE_DISK = 1;
pub const FILE_TYPE_CHAR = 2;
pub const FILE_TYPE_PIPE = 3;

pub const GENERIC_READ = 0x8000_0000;
pub const GENERIC_WRITE = 0x4000_0000;
pub const FILE_APPEND_DATA = 4;
pub const FILE_GENERIC_WRITE = 0x0012_0116;
pub const FILE_WRITE_DATA = 2;
pub const FILE_SHARE_ALL = 7;
pub const CREATE_NEW = 1;
pub const CREATE_ALWAYS = 2;
pub const OPEN_EXISTING = 3;
pub const OPEN_ALWAYS = 4;
pub const TRUNCATE_EXISTING = 5;
pub const FILE_ATTRIBUTE_READONLY = 1;
pub const FILE_ATTRIBUTE_DIRECTORY = 0x10;
pub const FILE_ATTRIBUTE_NORMAL = 0x80;
pub const INVALID_FILE_ATTRIBUTES = 0xffff_ffff;

pub const DUPLICATE_CLOSE_SOURCE = 1;
pub const DUPLICATE_SAME_ACCESS = 2;

pub const CREATE_SUSPENDED = 4;
pub const CREATE_UNICODE_ENVIRONMENT = 0x400;
pub const EXTENDED_STARTUPINFO_PRESENT = 0x8_0000;
pub const STARTF_USESHOWWINDOW = 1;
pub const STARTF_USESTDHANDLES = 0x100;

pub const PROC_THREAD_ATTRIBUTE_PARENT_PROCESS = 0x0002_0000;
pub const PROC_THREAD_ATTRIBUTE_HANDLE_LIST = 0x0002_0002;
pub const PROC_THREAD_ATTRIBUTE_PSEUDOCONSOLE = 0x0002_0016;

pub const PROCESS_TERMINATE = 1;
pub const PROCESS_QUERY_INFORMATION = 0x400;
pub const PROCESS_QUERY_LIMITED_INFORMATION = 0x1000;
pub const SYNCHRONIZE = 0x10_0000;

pub const WT_EXECUTEONLYONCE = 8;
/// The callback does nothing but take a lock for a moment and wake somebody.
pub const WT_EXECUTEINWAITTHREAD = 4;

pub const PIPE_ACCESS_DUPLEX = 3;
pub const FILE_FLAG_OVERLAPPED = 0x4000_0000;
pub const FILE_FLAG_FIRST_PIPE_INSTANCE = 0x8_0000;
pub const PIPE_REJECT_REMOTE_CLIENTS = 8;

pub const JobObjectBasicAccountingInformation = 1;
pub const JobObjectExtendedLimitInformation = 9;
pub const JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK = 0x1000;
pub const JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE = 0x2000;

/// The DLL stays as long as the process does: threads and callbacks of ours run in it.
pub const GET_MODULE_HANDLE_EX_FLAG_PIN = 1;
pub const GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS = 4;

pub const STACK_SIZE_PARAM_IS_A_RESERVATION = 0x1_0000;

pub const ThreadStart = *const fn (?*anyopaque) callconv(.winapi) u32;
pub const WaitCallback = *const fn (?*anyopaque, u8) callconv(.winapi) void;

pub extern "kernel32" fn GetLastError() callconv(.winapi) u32;
pub extern "kernel32" fn CloseHandle(Handle) callconv(.winapi) Bool;
pub extern "kernel32" fn GetCurrentProcess() callconv(.winapi) Handle;
pub extern "kernel32" fn GetCurrentProcessId() callconv(.winapi) u32;
pub extern "kernel32" fn GetStdHandle(u32) callconv(.winapi) ?Handle;
pub extern "kernel32" fn GetFileType(Handle) callconv(.winapi) u32;
pub extern "kernel32" fn DuplicateHandle(Handle, Handle, ?Handle, ?*Handle, u32, Bool, u32) callconv(.winapi) Bool;
pub extern "kernel32" fn GetProcessHeap() callconv(.winapi) Handle;
pub extern "kernel32" fn HeapAlloc(Handle, u32, usize) callconv(.winapi) ?*anyopaque;
pub extern "kernel32" fn HeapFree(Handle, u32, ?*anyopaque) callconv(.winapi) Bool;

pub extern "kernel32" fn AcquireSRWLockExclusive(*SRWLOCK) callconv(.winapi) void;
pub extern "kernel32" fn ReleaseSRWLockExclusive(*SRWLOCK) callconv(.winapi) void;
pub extern "kernel32" fn SleepConditionVariableSRW(*CONDITION_VARIABLE, *SRWLOCK, u32, u32) callconv(.winapi) Bool;
pub extern "kernel32" fn WakeAllConditionVariable(*CONDITION_VARIABLE) callconv(.winapi) void;
pub extern "kernel32" fn GetTickCount64() callconv(.winapi) u64;

pub extern "kernel32" fn CreateThread(?*SECURITY_ATTRIBUTES, usize, ThreadStart, ?*anyopaque, u32, ?*u32) callconv(.winapi) ?Handle;
pub extern "kernel32" fn CancelSynchronousIo(Handle) callconv(.winapi) Bool;
pub extern "kernel32" fn SwitchToThread() callconv(.winapi) Bool;
pub extern "kernel32" fn ResumeThread(Handle) callconv(.winapi) u32;
pub extern "kernel32" fn RegisterWaitForSingleObject(*Handle, Handle, WaitCallback, ?*anyopaque, u32, u32) callconv(.winapi) Bool;
pub extern "kernel32" fn UnregisterWaitEx(Handle, ?Handle) callconv(.winapi) Bool;
pub extern "kernel32" fn WaitForSingleObject(Handle, u32) callconv(.winapi) u32;
pub extern "kernel32" fn GetModuleHandleExW(u32, ?*const anyopaque, *?Handle) callconv(.winapi) Bool;

pub extern "kernel32" fn CreatePipe(*Handle, *Handle, ?*SECURITY_ATTRIBUTES, u32) callconv(.winapi) Bool;
pub extern "kernel32" fn CreateNamedPipeW([*:0]const u16, u32, u32, u32, u32, u32, u32, ?*SECURITY_ATTRIBUTES) callconv(.winapi) Handle;
pub extern "kernel32" fn ConnectNamedPipe(Handle, ?*OVERLAPPED) callconv(.winapi) Bool;
pub extern "kernel32" fn DisconnectNamedPipe(Handle) callconv(.winapi) Bool;
pub extern "kernel32" fn GetNamedPipeClientProcessId(Handle, *u32) callconv(.winapi) Bool;
pub extern "kernel32" fn ReadFile(Handle, [*]u8, u32, ?*u32, ?*OVERLAPPED) callconv(.winapi) Bool;
pub extern "kernel32" fn WriteFile(Handle, [*]const u8, u32, ?*u32, ?*OVERLAPPED) callconv(.winapi) Bool;
pub extern "kernel32" fn GetOverlappedResult(Handle, *OVERLAPPED, *u32, Bool) callconv(.winapi) Bool;
pub extern "kernel32" fn CreateEventW(?*SECURITY_ATTRIBUTES, Bool, Bool, ?[*:0]const u16) callconv(.winapi) ?Handle;
pub extern "kernel32" fn CreateFileW([*:0]const u16, u32, u32, ?*SECURITY_ATTRIBUTES, u32, u32, ?Handle) callconv(.winapi) Handle;
pub extern "kernel32" fn SetFilePointerEx(Handle, i64, ?*i64, u32) callconv(.winapi) Bool;
pub extern "kernel32" fn GetFileAttributesW([*:0]const u16) callconv(.winapi) u32;
pub extern "kernel32" fn GetFullPathNameW([*:0]const u16, u32, [*]u16, ?*?[*:0]u16) callconv(.winapi) u32;
pub extern "kernel32" fn GetCurrentDirectoryW(u32, [*]u16) callconv(.winapi) u32;
pub extern "kernel32" fn CreateDirectoryW([*:0]const u16, ?*SECURITY_ATTRIBUTES) callconv(.winapi) Bool;
pub extern "kernel32" fn RemoveDirectoryW([*:0]const u16) callconv(.winapi) Bool;

pub extern "kernel32" fn GetEnvironmentStringsW() callconv(.winapi) ?[*]u16;
pub extern "kernel32" fn FreeEnvironmentStringsW([*]u16) callconv(.winapi) Bool;
pub extern "kernel32" fn GetEnvironmentVariableW([*:0]const u16, [*]u16, u32) callconv(.winapi) u32;
pub extern "kernel32" fn FormatMessageW(u32, ?*const anyopaque, u32, u32, [*]u16, u32, ?*anyopaque) callconv(.winapi) u32;

pub extern "kernel32" fn InitializeProcThreadAttributeList(?*anyopaque, u32, u32, *usize) callconv(.winapi) Bool;
pub extern "kernel32" fn UpdateProcThreadAttribute(*anyopaque, u32, usize, ?*const anyopaque, usize, ?*anyopaque, ?*usize) callconv(.winapi) Bool;
pub extern "kernel32" fn DeleteProcThreadAttributeList(*anyopaque) callconv(.winapi) void;
pub extern "kernel32" fn CreateProcessW(?[*:0]const u16, ?[*:0]u16, ?*SECURITY_ATTRIBUTES, ?*SECURITY_ATTRIBUTES, Bool, u32, ?*const anyopaque, ?[*:0]const u16, *STARTUPINFOEXW, *PROCESS_INFORMATION) callconv(.winapi) Bool;
pub extern "advapi32" fn CreateProcessAsUserW(?Handle, ?[*:0]const u16, ?[*:0]u16, ?*SECURITY_ATTRIBUTES, ?*SECURITY_ATTRIBUTES, Bool, u32, ?*const anyopaque, ?[*:0]const u16, *STARTUPINFOEXW, *PROCESS_INFORMATION) callconv(.winapi) Bool;
pub extern "advapi32" fn ConvertStringSecurityDescriptorToSecurityDescriptorW([*:0]const u16, u32, *?*anyopaque, ?*u32) callconv(.winapi) Bool;
pub extern "kernel32" fn LocalFree(?*anyopaque) callconv(.winapi) ?*anyopaque;
pub extern "kernel32" fn OpenProcess(u32, Bool, u32) callconv(.winapi) ?Handle;
pub extern "kernel32" fn TerminateProcess(Handle, u32) callconv(.winapi) Bool;
pub extern "kernel32" fn GetExitCodeProcess(Handle, *u32) callconv(.winapi) Bool;
pub extern "kernel32" fn GetProcessTimes(Handle, *FILETIME, *FILETIME, *FILETIME, *FILETIME) callconv(.winapi) Bool;
pub extern "kernel32" fn K32GetProcessMemoryInfo(Handle, *PROCESS_MEMORY_COUNTERS, u32) callconv(.winapi) Bool;
pub extern "kernel32" fn CreateJobObjectW(?*SECURITY_ATTRIBUTES, ?[*:0]const u16) callconv(.winapi) ?Handle;
pub extern "kernel32" fn AssignProcessToJobObject(Handle, Handle) callconv(.winapi) Bool;
pub extern "kernel32" fn TerminateJobObject(Handle, u32) callconv(.winapi) Bool;
pub extern "kernel32" fn SetInformationJobObject(Handle, u32, *const anyopaque, u32) callconv(.winapi) Bool;
pub extern "kernel32" fn QueryInformationJobObject(Handle, u32, *anyopaque, u32, ?*u32) callconv(.winapi) Bool;

pub extern "kernel32" fn CreatePseudoConsole(COORD, Handle, Handle, u32, *Handle) callconv(.winapi) i32;
pub extern "kernel32" fn ResizePseudoConsole(Handle, COORD) callconv(.winapi) i32;
pub extern "kernel32" fn ClosePseudoConsole(Handle) callconv(.winapi) void;
