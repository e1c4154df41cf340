//! connect() and bind() without what only the task structure tells.

use aya_ebpf::{
    macros::{cgroup_sock, cgroup_sock_addr},
    programs::{SockAddrContext, SockContext},
};

use super::current;
use crate::connect::{Caller, Ipv4, Ipv6, bind, connect};

/// connect() to an IPv4 address.
#[cgroup_sock_addr(connect4)]
pub fn plain_connect4(ctx: SockAddrContext) -> i32 {
    connect::<TaskIds, Ipv4>(ctx)
}

/// connect() to an IPv6 address.
#[cgroup_sock_addr(connect6)]
pub fn plain_connect6(ctx: SockAddrContext) -> i32 {
    connect::<TaskIds, Ipv6>(ctx)
}

/// An explicit bind() to an IPv4 address has worked.
#[cgroup_sock(post_bind4)]
pub fn plain_bind4(ctx: SockContext) -> i32 {
    bind::<TaskIds, Ipv4>(ctx)
}

/// An explicit bind() to an IPv6 address has worked.
#[cgroup_sock(post_bind6)]
pub fn plain_bind6(ctx: SockContext) -> i32 {
    bind::<TaskIds, Ipv6>(ctx)
}

/// The caller by the ids that helpers give of the current task.
#[derive(Clone, Copy)]
struct TaskIds;

impl Caller for TaskIds {
    #[inline(always)]
    fn current() -> Self {
        Self
    }

    #[inline(always)]
    fn tgid(self) -> u32 {
        current::tgid()
    }

    #[inline(always)]
    fn cgroup(self) -> u64 {
        current::cgroup()
    }

    #[inline(always)]
    fn start(self) -> u64 {
        0
    }

    #[inline(always)]
    fn netns(self) -> u32 {
        0
    }
}
