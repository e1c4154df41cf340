//! Tier 1: connect() and bind() in their caller's context, so that a connection that is gone before
//! the next socket snapshot has an owner too. Always allows.
//!
//! # Minimum kernel version
//!
//! 4.17 (hooks), 5.8 (ring buffer), 5.16 (`bpf_get_current_task_btf` in these programs). Needs BTF.

use aya_ebpf::{
    helpers::generated::bpf_get_current_task_btf,
    macros::{cgroup_sock, cgroup_sock_addr},
    programs::{SockAddrContext, SockContext},
};

use crate::{
    connect::{Caller, Ipv4, Ipv6, bind, connect},
    kernel::{Object, cgroup_of_task, netns_of_task, offset, start_of},
};

/// connect() to an IPv4 address.
#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    connect::<Task, Ipv4>(ctx)
}

/// connect() to an IPv6 address, IPv4-mapped ones too.
#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    connect::<Task, Ipv6>(ctx)
}

/// An explicit bind() to an IPv4 address has worked.
#[cgroup_sock(post_bind4)]
pub fn post_bind4(ctx: SockContext) -> i32 {
    bind::<Task, Ipv4>(ctx)
}

/// An explicit bind() to an IPv6 address has worked.
#[cgroup_sock(post_bind6)]
pub fn post_bind6(ctx: SockContext) -> i32 {
    bind::<Task, Ipv6>(ctx)
}

/// The caller by its `task_struct`.
#[derive(Clone, Copy)]
struct Task(Object);

impl Caller for Task {
    #[inline(always)]
    fn current() -> Self {
        // SAFETY: gives the current task.
        Self(Object::new(unsafe { bpf_get_current_task_btf() }.cast()))
    }

    #[inline(always)]
    fn tgid(self) -> u32 {
        self.0.get(offset!(task_tgid))
    }

    #[inline(always)]
    fn cgroup(self) -> u64 {
        cgroup_of_task(self.0)
    }

    #[inline(always)]
    fn start(self) -> u64 {
        start_of(self.0)
    }

    #[inline(always)]
    fn netns(self) -> u32 {
        netns_of_task(self.0)
    }
}
