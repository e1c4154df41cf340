//! Tier 0: ends of TCP sockets.
//!
//! `tcp_destroy_sock` has the final counters of every socket but a wiped tuple where the connection
//! was refused or aborted; `inet_sk_error_report` and `tcp_send_reset` fire on errors only and still
//! have it. The cookie joins them. The current task is not the owner in any of them.
//!
//! # Minimum kernel version
//!
//! 5.12 (`bpf_get_socket_cookie` in tracing programs), 5.10 for `inet_sk_error_report`'s ancestors: a
//! kernel without one of the three loads the others. Needs BTF.

use aya_ebpf::{
    helpers::generated::{bpf_get_socket_cookie, bpf_skc_to_tcp_sock},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use mesoscope_events::records::{Kind, TcpEnd, TcpEnd4, TcpEnd6, TcpHook};

use crate::{
    kernel::{Object, cgroup_id, offset},
    output::{begin, emit},
};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;
/// Bit of `sk_flags`, set by tcp_fin() (include/net/sock.h): the peer's FIN was taken, and counted
/// as a byte received.
const SOCK_DONE: u64 = 1 << 1;

/// A TCP socket goes (`net/ipv4/inet_connection_sock.c`).
#[btf_tracepoint(function = "tcp_destroy_sock")]
pub fn tcp_destroy_sock(ctx: BtfTracePointContext) -> i32 {
    end(Object::new(ctx.arg::<*const u8>(0)), TcpHook::Destroyed);
    0
}

/// A socket got an error (`net/ipv4/af_inet.c`).
#[btf_tracepoint(function = "inet_sk_error_report")]
pub fn inet_sk_error_report(ctx: BtfTracePointContext) -> i32 {
    let sk = Object::new(ctx.arg::<*const u8>(0));
    if !sk.is_null() && sk.get::<u16>(offset!(sk_protocol)) == IPPROTO_TCP {
        end(sk, TcpHook::Error);
    }
    0
}

/// This end sends a reset (`net/ipv4/tcp_output.c`, `tcp_ipv4.c`). One sent for a listener has no
/// remote port and is not about a connection.
#[btf_tracepoint(function = "tcp_send_reset")]
pub fn tcp_send_reset(ctx: BtfTracePointContext) -> i32 {
    let sk = Object::new(ctx.arg::<*const u8>(0));
    if !sk.is_null() && sk.get::<u16>(offset!(sk_dport)) != 0 {
        end(sk, TcpHook::ResetSent);
    }
    0
}

/// Counters of a TCP socket.
pub struct Counters {
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub rtt_us: u32,
    pub retransmits: u32,
    /// Network order.
    pub local_port: u16,
}

/// Counters of a socket; nothing if it is not a full TCP socket.
#[inline(always)]
pub fn counters(sk: Object) -> Option<Counters> {
    // SAFETY: the helper checks the type and gives null for another kind of socket.
    let tcp = Object::new(unsafe { bpf_skc_to_tcp_sock(sk.as_ptr().cast_mut().cast()) }.cast());
    if tcp.is_null() {
        return None;
    }
    let fin = u64::from(sk.get::<u64>(offset!(sk_flags)) & SOCK_DONE != 0);
    let received = tcp.get::<u64>(offset!(tcp_bytes_received));
    Some(Counters {
        bytes_sent: tcp
            .get::<u64>(offset!(tcp_bytes_sent))
            .wrapping_sub(tcp.get_or(offset!(tcp_bytes_retrans), 0)),
        bytes_received: if received == 0 { 0 } else { received - fin },
        rtt_us: tcp.get::<u32>(offset!(tcp_srtt)) >> 3,
        retransmits: tcp.get(offset!(tcp_retransmits)),
        local_port: tcp.get(offset!(inet_sport)),
    })
}

#[inline(always)]
fn end(sk: Object, hook: TcpHook) {
    let family = sk.get::<u16>(offset!(sk_family));
    let cgroup = cgroup_id(sk.follow(offset!(sk_cgroup)));
    let kind = match family {
        AF_INET => Kind::TcpEnd4,
        AF_INET6 => Kind::TcpEnd6,
        _ => return,
    };
    let Some(header) = begin(kind, 0, cgroup) else {
        return;
    };
    let Some(counters) = counters(sk) else { return };
    let end = TcpEnd {
        header,
        // SAFETY: the helper checks the type.
        cookie: unsafe { bpf_get_socket_cookie(sk.as_ptr().cast_mut().cast()) },
        cgroup,
        bytes_sent: counters.bytes_sent,
        bytes_received: counters.bytes_received,
        netns: sk.follow(offset!(sk_net)).get(offset!(net_inum)),
        uid: sk.get_or(offset!(sk_uid), 0),
        rtt_us: counters.rtt_us,
        retransmits: counters.retransmits,
        error: sk.get::<u32>(offset!(sk_err)) as u16,
        hook: hook as u16,
        local_port: u16::from_be(counters.local_port),
        remote_port: u16::from_be(sk.get(offset!(sk_dport))),
    };
    if family == AF_INET {
        emit(
            kind,
            TcpEnd4 {
                end,
                local: sk.get(offset!(sk_rcv_saddr)),
                remote: sk.get(offset!(sk_daddr)),
            },
        );
    } else {
        emit(
            kind,
            TcpEnd6 {
                end,
                local: sk.get(offset!(sk_v6_rcv_saddr)),
                remote: sk.get(offset!(sk_v6_daddr)),
            },
        );
    }
}
