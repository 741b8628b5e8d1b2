//! Stands in for a library of Windows 10 that Wine 8 has not: Bun's Windows build takes its random numbers from there.

/// RtlGenRandom, by the name that advapi32.dll exports it under.
extern "advapi32" fn SystemFunction036(buffer: [*]u8, length: u32) callconv(.winapi) u8;

export fn ProcessPrng(buffer: [*]u8, length: usize) callconv(.winapi) i32 {
    var done: usize = 0;
    while (done < length) {
        const part: u32 = @intCast(@min(length - done, 1 << 20));
        if (SystemFunction036(buffer + done, part) == 0) return 0;
        done += part;
    }
    return 1;
}
