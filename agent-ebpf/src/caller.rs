//! Tier 1: connect() and bind() in their caller's context, so that a connection that is gone before
//! the next socket snapshot has an owner too. Always allows.
//!
//! # Minimum kernel version
//!
//! 4.17 (hooks), 5.8 (ring buffer), 5.16 (`bpf_get_current_task_btf` in these programs). Needs BTF.

use aya_ebpf::{
    helpers::generated::{bpf_get_current_task_btf, bpf_get_socket_cookie},
    macros::{cgroup_sock, cgroup_sock_addr},
    programs::{SockAddrContext, SockContext},
};
use mesoscope_events::records::{Connect4, Connect6, Kind};

use crate::{
    kernel::{Object, cgroup_of_task, netns_of_task, offset, start_of},
    output::{begin, emit},
};

pub const ALLOW: i32 = 1;
pub const IPPROTO_TCP: u32 = 6;
pub const IPPROTO_UDP: u32 = 17;

/// connect() to an IPv4 address.
#[cgroup_sock_addr(connect4)]
pub fn connect4(ctx: SockAddrContext) -> i32 {
    let (protocol, port, address) = destination4(&ctx);
    report4(
        Kind::Connect4,
        ctx.sock_addr.cast(),
        protocol,
        port,
        address,
    );
    ALLOW
}

/// connect() to an IPv6 address, IPv4-mapped ones too.
#[cgroup_sock_addr(connect6)]
pub fn connect6(ctx: SockAddrContext) -> i32 {
    let (protocol, port, address) = destination6(&ctx);
    report6(
        Kind::Connect6,
        ctx.sock_addr.cast(),
        protocol,
        port,
        address,
    );
    ALLOW
}

/// An explicit bind() to an IPv4 address has worked.
#[cgroup_sock(post_bind4)]
pub fn post_bind4(ctx: SockContext) -> i32 {
    let (protocol, port, address) = bound4(&ctx);
    report4(Kind::Bind4, ctx.sock.cast(), protocol, port, address);
    ALLOW
}

/// An explicit bind() to an IPv6 address has worked.
#[cgroup_sock(post_bind6)]
pub fn post_bind6(ctx: SockContext) -> i32 {
    let (protocol, port, address) = bound6(&ctx);
    report6(Kind::Bind6, ctx.sock.cast(), protocol, port, address);
    ALLOW
}

/// Protocol, port and address that a connect4 hook was called for.
#[inline(always)]
pub fn destination4(ctx: &SockAddrContext) -> (u32, u16, [u8; 4]) {
    let ctx = ctx.sock_addr;
    // SAFETY: the context is valid for the run of the program.
    let (protocol, port, address) = unsafe { ((*ctx).protocol, (*ctx).user_port, (*ctx).user_ip4) };
    (protocol, u16::from_be(port as u16), address.to_ne_bytes())
}

/// Protocol, port and address that a connect6 hook was called for.
#[inline(always)]
pub fn destination6(ctx: &SockAddrContext) -> (u32, u16, [u8; 16]) {
    let ctx = ctx.sock_addr;
    // SAFETY: the context is valid for the run of the program.
    let (protocol, port, address) = unsafe {
        (
            (*ctx).protocol,
            (*ctx).user_port,
            words(&raw const (*ctx).user_ip6),
        )
    };
    (protocol, u16::from_be(port as u16), address)
}

/// Protocol, port and address that a post_bind4 hook was called for.
#[inline(always)]
pub fn bound4(ctx: &SockContext) -> (u32, u16, [u8; 4]) {
    // SAFETY: the context is valid for the run of the program.
    let (protocol, port, address) = unsafe {
        (
            (*ctx.sock).protocol,
            (*ctx.sock).src_port,
            (*ctx.sock).src_ip4,
        )
    };
    (protocol, port as u16, address.to_ne_bytes())
}

/// Protocol, port and address that a post_bind6 hook was called for.
#[inline(always)]
pub fn bound6(ctx: &SockContext) -> (u32, u16, [u8; 16]) {
    // SAFETY: the context is valid for the run of the program.
    unsafe {
        (
            (*ctx.sock).protocol,
            (*ctx.sock).src_port as u16,
            words(&raw const (*ctx.sock).src_ip6),
        )
    }
}

/// The context allows loads of whole words only.
///
/// # Safety
/// `address` is a field of a context.
#[inline(always)]
pub unsafe fn words(address: *const [u32; 4]) -> [u8; 16] {
    let word = |index: usize| {
        // SAFETY: inside of the field.
        unsafe { core::ptr::read_volatile(address.cast::<u32>().add(index)) }.to_ne_bytes()
    };
    let (a, b, c, d) = (word(0), word(1), word(2), word(3));
    [
        a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2],
        d[3],
    ]
}

#[inline(always)]
fn report4(kind: Kind, ctx: *mut core::ffi::c_void, protocol: u32, port: u16, address: [u8; 4]) {
    if protocol != IPPROTO_TCP && protocol != IPPROTO_UDP {
        return;
    }
    // SAFETY: gives the current task.
    let task = Object::new(unsafe { bpf_get_current_task_btf() }.cast());
    let cgroup = cgroup_of_task(task);
    let Some(header) = begin(kind, task.get(offset!(task_tgid)), cgroup) else {
        return;
    };
    // SAFETY: `ctx` is the context of the running program.
    let cookie = unsafe { bpf_get_socket_cookie(ctx) };
    emit(
        kind,
        Connect4 {
            header,
            cookie,
            start: start_of(task),
            cgroup,
            netns: netns_of_task(task),
            protocol: protocol as u16,
            port,
            address,
            zero: 0,
        },
    );
}

#[inline(always)]
fn report6(kind: Kind, ctx: *mut core::ffi::c_void, protocol: u32, port: u16, address: [u8; 16]) {
    if protocol != IPPROTO_TCP && protocol != IPPROTO_UDP {
        return;
    }
    // SAFETY: gives the current task.
    let task = Object::new(unsafe { bpf_get_current_task_btf() }.cast());
    let cgroup = cgroup_of_task(task);
    let Some(header) = begin(kind, task.get(offset!(task_tgid)), cgroup) else {
        return;
    };
    // SAFETY: `ctx` is the context of the running program.
    let cookie = unsafe { bpf_get_socket_cookie(ctx) };
    emit(
        kind,
        Connect6 {
            header,
            cookie,
            start: start_of(task),
            cgroup,
            netns: netns_of_task(task),
            protocol: protocol as u16,
            port,
            address,
        },
    );
}
