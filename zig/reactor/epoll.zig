//! epoll(7), one of the two pollers: see `poller.zig`.

const linux = @import("../os/linux.zig");
const pollers = @import("poller.zig");

/// A process that has a descriptor, a pidfd, is watched by that; any other needs `exit_watch.zig`.
pub const watches_processes = false;

/// The data of the socket's own registration: no descriptor and token have it.
const peer_data = ~@as(u64, 0);

pub fn open() i32 {
    return linux.result(.epoll_create1, .{linux.O_CLOEXEC});
}

pub fn watchPeer(poller: i32, socket: i32) i32 {
    var event: linux.EpollEvent = .{ .events = linux.EPOLLRDHUP, .data = peer_data };
    return linux.result(.epoll_ctl, .{ poller, linux.EPOLL_CTL_ADD, socket, &event });
}

pub fn arm(poller: i32, fd: i32, ready: u32, token: u32) i32 {
    var event: linux.EpollEvent = .{
        .events = ready | linux.EPOLLONESHOT,
        .data = @as(u64, token) << 32 | @as(u32, @bitCast(fd)),
    };
    // A descriptor watched before stays registered, disarmed, so most calls are a MOD.
    const answer = linux.result(.epoll_ctl, .{ poller, linux.EPOLL_CTL_MOD, fd, &event });
    if (answer != linux.negative(.NOENT)) return answer;
    return linux.result(.epoll_ctl, .{ poller, linux.EPOLL_CTL_ADD, fd, &event });
}

pub fn disarm(poller: i32, fd: i32) i32 {
    const answer = linux.result(.epoll_ctl, .{ poller, linux.EPOLL_CTL_DEL, fd, null });
    return if (answer == linux.negative(.NOENT)) 0 else answer;
}

pub fn wait(poller: i32, events: *[pollers.batch]pollers.Event, timeout_ms: i32) i32 {
    var raw: [pollers.batch]linux.EpollEvent = undefined;
    const count = linux.result(.epoll_pwait, .{ poller, &raw, raw.len, timeout_ms, null, 8 });
    if (count <= 0) return count;
    for (raw[0..@intCast(count)], events[0..@intCast(count)]) |from, *event| {
        event.* = if (from.data == peer_data)
            .{ .token = pollers.peer, .fd = -1, .ready = from.events & 0x1f }
        else
            .{
                .token = @truncate(from.data >> 32),
                .fd = @bitCast(@as(u32, @truncate(from.data))),
                .ready = from.events & 0x1f,
            };
    }
    return count;
}
