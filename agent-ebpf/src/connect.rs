//! connect() and bind(): what their hooks see, and the record of it. Both rungs and both families of
//! addresses meet here; a [`Caller`] tells what its rung knows of the calling task.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{bpf_sock, bpf_sock_addr},
    helpers::generated::bpf_get_socket_cookie,
    programs::{SockAddrContext, SockContext},
};
use mesoscope_events::records::{Connect4, Connect6, Header, Kind};

use crate::{
    kernel::words,
    output::{begin, emit},
};

const ALLOW: i32 = 1;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;

/// The task that calls. Each answer costs loads, so it is asked for what a record needs when it does.
pub trait Caller: Copy {
    fn current() -> Self;
    fn tgid(self) -> u32;
    fn cgroup(self) -> u64;
    /// `start_boottime`; 0 when it is not known.
    fn start(self) -> u64;
    /// Inode of its network namespace; 0 when it is not known.
    fn netns(self) -> u32;
}

pub type Ipv4 = [u8; 4];
pub type Ipv6 = [u8; 16];

/// What differs between the families.
pub trait Address: Copy {
    type Record: Copy + 'static;
    const CONNECT: Kind;
    const BIND: Kind;

    /// Where connect() goes.
    ///
    /// # Safety
    /// The context is that of the running program, a connect() hook of this family.
    unsafe fn destination(ctx: *const bpf_sock_addr) -> Self;

    /// What bind() has bound.
    ///
    /// # Safety
    /// The context is that of the running program, a bind() hook of this family.
    unsafe fn bound(ctx: *const bpf_sock) -> Self;

    fn record(self, call: Call) -> Self::Record;
}

/// What both families tell of a call.
pub struct Call {
    header: Header,
    cookie: u64,
    start: u64,
    cgroup: u64,
    netns: u32,
    protocol: u16,
    port: u16,
}

/// connect() is called.
#[inline(always)]
pub fn connect<C: Caller, A: Address>(ctx: SockAddrContext) -> i32 {
    let ctx = ctx.sock_addr;
    // SAFETY: the context is valid for the run of the program.
    let (protocol, port, address) =
        unsafe { ((*ctx).protocol, (*ctx).user_port, A::destination(ctx)) };
    report::<C, A>(
        A::CONNECT,
        ctx.cast(),
        protocol,
        u16::from_be(port as u16),
        address,
    );
    ALLOW
}

/// An explicit bind() has worked.
#[inline(always)]
pub fn bind<C: Caller, A: Address>(ctx: SockContext) -> i32 {
    let ctx = ctx.sock;
    // SAFETY: the context is valid for the run of the program.
    let (protocol, port, address) = unsafe { ((*ctx).protocol, (*ctx).src_port, A::bound(ctx)) };
    report::<C, A>(A::BIND, ctx.cast(), protocol, port as u16, address);
    ALLOW
}

#[inline(always)]
fn report<C: Caller, A: Address>(
    kind: Kind,
    ctx: *mut c_void,
    protocol: u32,
    port: u16,
    address: A,
) {
    if protocol != IPPROTO_TCP && protocol != IPPROTO_UDP {
        return;
    }
    let caller = C::current();
    let cgroup = caller.cgroup();
    let Some(header) = begin(kind, caller.tgid(), cgroup) else {
        return;
    };
    let call = Call {
        header,
        // SAFETY: `ctx` is the context of the running program.
        cookie: unsafe { bpf_get_socket_cookie(ctx) },
        start: caller.start(),
        cgroup,
        netns: caller.netns(),
        protocol: protocol as u16,
        port,
    };
    emit(kind, address.record(call));
}

impl Address for Ipv4 {
    type Record = Connect4;
    const CONNECT: Kind = Kind::Connect4;
    const BIND: Kind = Kind::Bind4;

    #[inline(always)]
    unsafe fn destination(ctx: *const bpf_sock_addr) -> Self {
        // SAFETY: the caller's.
        unsafe { (*ctx).user_ip4 }.to_ne_bytes()
    }

    #[inline(always)]
    unsafe fn bound(ctx: *const bpf_sock) -> Self {
        // SAFETY: the caller's.
        unsafe { (*ctx).src_ip4 }.to_ne_bytes()
    }

    #[inline(always)]
    fn record(self, call: Call) -> Connect4 {
        Connect4 {
            header: call.header,
            cookie: call.cookie,
            start: call.start,
            cgroup: call.cgroup,
            netns: call.netns,
            protocol: call.protocol,
            port: call.port,
            address: self,
            zero: 0,
        }
    }
}

impl Address for Ipv6 {
    type Record = Connect6;
    const CONNECT: Kind = Kind::Connect6;
    const BIND: Kind = Kind::Bind6;

    #[inline(always)]
    unsafe fn destination(ctx: *const bpf_sock_addr) -> Self {
        // SAFETY: the caller's.
        unsafe { words(&raw const (*ctx).user_ip6) }
    }

    #[inline(always)]
    unsafe fn bound(ctx: *const bpf_sock) -> Self {
        // SAFETY: the caller's.
        unsafe { words(&raw const (*ctx).src_ip6) }
    }

    #[inline(always)]
    fn record(self, call: Call) -> Connect6 {
        Connect6 {
            header: call.header,
            cookie: call.cookie,
            start: call.start,
            cgroup: call.cgroup,
            netns: call.netns,
            protocol: call.protocol,
            port: call.port,
            address: self,
        }
    }
}
