//! Sockets by sock_diag(7): the lower rung, where eBPF is not available.
//!
//! * [`SockDiag`]: a pass over the sockets of a namespace, or of every one.
//! * `message`: the kernel's messages; `owners`: which process holds a socket.

mod message;
mod owners;
mod pass;

pub use pass::{SockDiag, SocketPass};
