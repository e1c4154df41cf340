//! Ends of TCP connections, by `sock_ops`.

use aya_ebpf::{
    bindings::{
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB,
        BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG, BPF_SOCK_OPS_TCP_CONNECT_CB,
        BPF_SOCK_OPS_TCP_LISTEN_CB, bpf_sock_ops,
    },
    helpers::generated::bpf_get_socket_cookie,
    macros::sock_ops,
    programs::SockOpsContext,
};
use mesoscope_events::records::{Kind, TcpEnd, TcpEnd4, TcpEnd6, TcpHook};

use crate::{
    kernel::words,
    output::{begin_uncapped, emit},
};

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const TCP_FIN_WAIT2: u32 = 5;
const TCP_CLOSE: u32 = 7;
const TCP_LAST_ACK: u32 = 9;
const TCP_CLOSING: u32 = 11;

/// The life of a TCP socket: asks to be called for its changes of state, and reports the last one.
#[sock_ops]
pub fn plain_tcp(ctx: SockOpsContext) -> u32 {
    match ctx.op() {
        BPF_SOCK_OPS_TCP_CONNECT_CB
        | BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB
        | BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB
        | BPF_SOCK_OPS_TCP_LISTEN_CB => {
            let flags = ctx.cb_flags() | BPF_SOCK_OPS_STATE_CB_FLAG;
            // Refused only for a socket that is no full one: then there is nothing to report.
            let _ = ctx.set_cb_flags(flags as i32);
        }
        BPF_SOCK_OPS_STATE_CB if ctx.arg(1) == TCP_CLOSE => tcp_end(ctx.ops),
        _ => {}
    }
    1
}

#[inline(always)]
fn tcp_end(ops: *mut bpf_sock_ops) {
    let header = begin_uncapped(Kind::TcpEnd4, 0);
    // SAFETY: the context is valid for the run of the program.
    unsafe {
        let before = (*ops).__bindgen_anon_1.args[0];
        // bytes_acked counts our SYN, and our FIN once it is acknowledged; bytes_received counts the
        // peer's FIN. From these states both FINs are through when the socket closes.
        let closed_by_both =
            before == TCP_FIN_WAIT2 || before == TCP_LAST_ACK || before == TCP_CLOSING;
        let (acknowledged, received) = ((*ops).bytes_acked, (*ops).bytes_received);
        let overhead = 1 + u64::from(closed_by_both);
        let end = TcpEnd {
            header,
            cookie: bpf_get_socket_cookie(ops.cast()),
            cgroup: 0,
            bytes_sent: if acknowledged > overhead {
                acknowledged - overhead
            } else {
                0
            },
            bytes_received: if received > 0 {
                received - u64::from(closed_by_both)
            } else {
                0
            },
            netns: 0,
            uid: 0,
            rtt_us: (*ops).srtt_us >> 3,
            retransmits: (*ops).total_retrans,
            error: 0,
            hook: TcpHook::Destroyed as u16,
            local_port: (*ops).local_port as u16,
            remote_port: u32::from_be((*ops).remote_port) as u16,
        };
        match (*ops).family {
            AF_INET => emit(
                Kind::TcpEnd4,
                TcpEnd4 {
                    end,
                    local: (*ops).local_ip4.to_ne_bytes(),
                    remote: (*ops).remote_ip4.to_ne_bytes(),
                },
            ),
            AF_INET6 => {
                let mut end = end;
                end.header.kind = Kind::TcpEnd6 as u32;
                emit(
                    Kind::TcpEnd6,
                    TcpEnd6 {
                        end,
                        local: words(&raw const (*ops).local_ip6),
                        remote: words(&raw const (*ops).remote_ip6),
                    },
                );
            }
            _ => {}
        }
    }
}
