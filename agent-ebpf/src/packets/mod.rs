//! Tier 2: what only packets tell. UDP bytes per flow, DNS answers, and what protocol a connection
//! speaks, by its first payload. Attached on demand, for all or for chosen cgroups; it costs packet-bound
//! work some percent while it is attached.
//!
//! The kernel side only picks candidates; user space parses them.
//!
//! # Minimum kernel version
//!
//! 5.11 (`bpf_ktime_get_coarse_ns`), 5.9 (`cgroup/sock_release`), 5.8 (ring buffer), 5.1 (a TCP socket's segments). BTF is not needed.

mod connections;
mod datagrams;

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock},
    helpers::generated::{
        bpf_get_socket_cookie, bpf_skb_cgroup_id, bpf_skb_load_bytes, bpf_tcp_sock,
    },
    macros::cgroup_skb,
    programs::SkBuffContext,
};
use mesoscope_events::records::{Kind, PAYLOAD_BYTES, Payload};

use crate::output::{begin, bounded, reserve};
use datagrams::Datagram;
pub use datagrams::udp_totals;

const ALLOW: i32 = 1;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;

/// A packet for a socket of the cgroup.
#[cgroup_skb(ingress)]
pub fn packet_in(ctx: SkBuffContext) -> i32 {
    look(ctx.skb.skb, true);
    ALLOW
}

/// A packet of a socket of the cgroup.
#[cgroup_skb(egress)]
pub fn packet_out(ctx: SkBuffContext) -> i32 {
    look(ctx.skb.skb, false);
    ALLOW
}

/// The packet begins at its IP header.
#[inline(always)]
fn look(skb: *mut __sk_buff, received: bool) {
    // SAFETY: the context is valid for the run of the program.
    let sk = unsafe { (*skb).__bindgen_anon_2.sk };
    if sk.is_null() {
        return;
    }
    if let Some(head) = head::<datagrams::Ipv4Head>(skb)
        && datagrams::is_plain(&head)
    {
        if let Some(datagram) = Datagram::plain(skb, &head, received) {
            datagrams::packet(skb, sk, &datagram, received);
        }
        return;
    }
    // SAFETY: not null; gives null for what is no full TCP socket.
    let tcp_sock = unsafe { bpf_tcp_sock(sk) };
    if !tcp_sock.is_null() {
        // SAFETY: not null.
        connections::packet(skb, sk, unsafe { &*tcp_sock }, received);
    } else if let Some(datagram) = Datagram::other(skb, received) {
        datagrams::packet(skb, sk, &datagram, received);
    }
}

/// Bytes of the packet's linear part, or nothing if it is shorter.
#[inline(always)]
fn head<T: Copy>(skb: *mut __sk_buff) -> Option<T> {
    // SAFETY: the verifier knows both as the packet's bounds.
    let (data, end) = unsafe { ((*skb).data as usize, (*skb).data_end as usize) };
    if data + size_of::<T>() > end {
        return None;
    }
    // SAFETY: inside of the packet; every bit pattern is a value of the arrays that this is used for.
    Some(unsafe { core::ptr::read_unaligned(data as *const T) })
}

/// Loads from anywhere in the packet.
#[inline(always)]
fn load<T: Copy>(skb: *mut __sk_buff, offset: u32) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the destination has the size that is said; on failure it is not read.
    unsafe {
        let failed = bpf_skb_load_bytes(
            skb.cast(),
            offset,
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
        );
        (failed == 0).then(|| value.assume_init())
    }
}

/// Length of the IP header; nothing for packets with extension headers or fragments' tails.
#[inline(always)]
fn ip_header(skb: *mut __sk_buff, protocol: u8) -> Option<u32> {
    let first = load::<u8>(skb, 0)?;
    match first >> 4 {
        4 => {
            let offset_of_fragment = u16::from_be(load::<u16>(skb, 6)?) & 0x1fff;
            (offset_of_fragment == 0).then_some(u32::from(first & 15) * 4)
        }
        6 => (load::<u8>(skb, 6)? == protocol).then_some(40),
        _ => None,
    }
}

#[repr(C)]
struct PayloadRecord {
    payload: Payload,
    bytes: [u8; PAYLOAD_BYTES],
}

/// Hands the first bytes of a payload (at least one) to user space. An interrupt may run this program again on the
/// same CPU, so they go straight into the ring and not over a scratch map.
#[inline(always)]
fn payload(kind: Kind, skb: *mut __sk_buff, sk: *mut bpf_sock, start: u32, len: u32, flags: u16) {
    // SAFETY: gives the cgroup of the packet's socket.
    let cgroup = unsafe { bpf_skb_cgroup_id(skb) };
    let Some(header) = begin(kind, 0, cgroup) else {
        return;
    };
    let Some(mut entry) = reserve::<PayloadRecord>(kind) else {
        return;
    };
    let record = entry.as_mut_ptr();
    let last = u64::from(len.min(PAYLOAD_BYTES as u32)).wrapping_sub(1);
    let len = bounded(last, PAYLOAD_BYTES as u64 - 1) + 1;
    // SAFETY: inside of the reserved record; all of it is written before it is submitted. The ports of
    // a full socket are readable.
    unsafe {
        core::ptr::write_bytes(
            (&raw mut (*record).bytes).cast::<u64>(),
            0,
            PAYLOAD_BYTES / 8,
        );
        let copied = bpf_skb_load_bytes(
            skb.cast(),
            start,
            (&raw mut (*record).bytes).cast(),
            len as u32,
        ) == 0;
        (*record).payload = Payload {
            header,
            cookie: bpf_get_socket_cookie(skb.cast()),
            cgroup,
            len: if copied { len as u16 } else { 0 },
            flags,
            local_port: (*sk).src_port as u16,
            remote_port: u16::from_be((*sk).dst_port),
        };
    }
    crate::output::submit(entry);
}
