//! What the reactor sleeps in: epoll or kqueue, each in a file of its own behind the same functions; `reactor.zig`
//! chooses.
//!
//!     open() i32                              a new poller, a descriptor
//!     watchPeer(poller, socket) i32           tells once the other end of `socket` is closed
//!     arm(poller, fd, ready, token) i32       one event, for any bit of `ready`; again: in place of it
//!     disarm(poller, fd) i32
//!     armProcess(poller, pid, token) i32      one event once `pid` can be waited for: only where
//!                                             `watches_processes`
//!     wait(poller, events, count, ms) i32     how many events came; 0 when the time is up

/// Room for the events of one sleep.
pub const batch = 64;

/// The token of the socket's own event; others are positive.
pub const peer: u32 = 0;

pub const Event = struct {
    /// What it was armed with.
    token: u32,
    /// The descriptor; or a process's id, negated.
    fd: i32,
    /// Bits of `abi.Ready`.
    ready: u32,
};
