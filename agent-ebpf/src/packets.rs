//! Tier 2: what only packets tell. UDP bytes per flow, DNS answers, and what protocol a connection
//! speaks, by its first payload. Attached on demand, for all or for chosen cgroups; it costs packet-bound
//! work some percent while it is attached.
//!
//! The kernel side only picks candidates; user space parses them.
//!
//! # Minimum kernel version
//!
//! 5.11 (`bpf_ktime_get_coarse_ns`), 5.9 (`cgroup/sock_release`), 5.8 (ring buffer). BTF is not needed.

use core::{ffi::c_void, mem::MaybeUninit};

use aya_ebpf::{
    bindings::{__sk_buff, BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    btf_maps::SkStorage,
    helpers::generated::{
        bpf_get_socket_cookie, bpf_ktime_get_coarse_ns, bpf_sk_fullsock, bpf_sk_storage_get,
        bpf_skb_cgroup_id, bpf_skb_load_bytes,
    },
    macros::{btf_map, cgroup_skb, cgroup_sock},
    programs::{SkBuffContext, SockContext},
};
use mesoscope_events::records::{
    Kind, PAYLOAD_BYTES, PAYLOAD_HTTP2, PAYLOAD_RECEIVED, Payload, UDP_CLOSED, Udp, UdpFlow,
};

use crate::output::{add, begin, bounded, emit, reserve};

const ALLOW: i32 = 1;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;
const DNS_PORT: u16 = 53;
const DNS_HEADER_BYTES: u32 = 12;
/// Payload packets of each direction that are looked at before a connection is left alone.
const LOOKS: u8 = 3;
/// The same for HTTP/2, whose first request may come after some frames of settings.
const LOOKS_HTTP2: u8 = 8;
/// How often a flow's counters are reported while they change.
const REPORT_NS: u64 = 1_000_000_000;
/// Remote ends that one UDP socket has counters for.
const FLOWS: usize = 4;

/// Per TCP socket.
#[repr(C)]
pub struct Looks {
    /// Looks left; [sent, received].
    left: [u8; 2],
    begun: u8,
    http2: u8,
}

/// Per UDP socket.
#[repr(C)]
pub struct Flows {
    cgroup: u64,
    bytes_sent: u64,
    bytes_received: u64,
    flows: [UdpFlow; FLOWS],
}

#[btf_map]
static TCP_LOOKS: SkStorage<Looks> = SkStorage::new();
#[btf_map]
static UDP_FLOWS: SkStorage<Flows> = SkStorage::new();

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

/// A socket is closed by its last holder: the last word on its UDP flows.
#[cgroup_sock(sock_release)]
pub fn socket_release(ctx: SockContext) -> i32 {
    // SAFETY: looks up without creating.
    let flows =
        unsafe { bpf_sk_storage_get(flows_map(), ctx.sock.cast(), core::ptr::null_mut(), 0) }
            .cast::<Flows>();
    if flows.is_null() {
        return ALLOW;
    }
    // SAFETY: gives the cookie of the context's socket.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.sock.cast()) };
    // SAFETY: storage of this type, alive as long as the socket.
    let flows = unsafe { &mut *flows };
    for flow in &flows.flows {
        if flow.version != 0 {
            report(cookie, flows.cgroup, flow, UDP_CLOSED);
        }
    }
    ALLOW
}

/// Totals of a UDP socket, for the snapshot: (sent, received).
#[inline(always)]
pub fn udp_totals(sk: *const u8) -> (u64, u64) {
    // SAFETY: looks up without creating; the verifier checks the type of the socket.
    let flows =
        unsafe { bpf_sk_storage_get(flows_map(), sk.cast_mut().cast(), core::ptr::null_mut(), 0) }
            .cast::<Flows>();
    if flows.is_null() {
        return (0, 0);
    }
    // SAFETY: storage of this type.
    unsafe { ((*flows).bytes_sent, (*flows).bytes_received) }
}

#[inline(always)]
fn flows_map() -> *mut c_void {
    (&raw const UDP_FLOWS).cast_mut().cast()
}

#[inline(always)]
fn look(skb: *mut __sk_buff, received: bool) {
    // SAFETY: the context is valid for the run of the program.
    let sk = unsafe { (*skb).__bindgen_anon_2.sk };
    if sk.is_null() {
        return;
    }
    // SAFETY: not null; gives null for a socket that is not full (a handshake, TIME_WAIT).
    let sk = unsafe { bpf_sk_fullsock(sk) };
    if sk.is_null() {
        return;
    }
    // SAFETY: a full socket.
    match unsafe { (*sk).protocol } {
        IPPROTO_TCP => tcp(skb, sk, received),
        IPPROTO_UDP => udp(skb, sk, received),
        _ => {}
    }
}

/// Loads from the packet, which begins at its IP header.
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

/// Length of the IP header and its version; nothing for packets with extension headers or fragments' tails.
#[inline(always)]
fn ip_header(skb: *mut __sk_buff, protocol: u8) -> Option<(u32, u32)> {
    let first = load::<u8>(skb, 0)?;
    match first >> 4 {
        4 => {
            let offset_of_fragment = u16::from_be(load::<u16>(skb, 6)?) & 0x1fff;
            (offset_of_fragment == 0).then_some((u32::from(first & 15) * 4, 4))
        }
        6 => (load::<u8>(skb, 6)? == protocol).then_some((40, 6)),
        _ => None,
    }
}

#[inline(always)]
fn tcp(skb: *mut __sk_buff, sk: *mut bpf_sock, received: bool) {
    let map = (&raw const TCP_LOOKS).cast_mut().cast();
    // SAFETY: looks up without creating.
    let mut looks =
        unsafe { bpf_sk_storage_get(map, sk.cast(), core::ptr::null_mut(), 0) }.cast::<Looks>();
    let direction = usize::from(received);
    if !looks.is_null() {
        // SAFETY: storage of this type.
        if unsafe { (*looks).left[direction] } == 0 {
            return;
        }
    }
    let Some((ip, _)) = ip_header(skb, IPPROTO_TCP as u8) else {
        return;
    };
    let Some(data_offset) = load::<u8>(skb, ip + 12) else {
        return;
    };
    let start = ip + u32::from(data_offset >> 4) * 4;
    // SAFETY: the context is valid.
    let len = unsafe { (*skb).len };
    if len < start + 8 {
        return;
    }
    if looks.is_null() {
        // SAFETY: creates zeroed storage, or gives null when there is no memory.
        looks = unsafe {
            bpf_sk_storage_get(
                map,
                sk.cast(),
                core::ptr::null_mut(),
                u64::from(BPF_SK_STORAGE_GET_F_CREATE),
            )
        }
        .cast();
        if looks.is_null() {
            return;
        }
    }
    // SAFETY: storage of this type.
    let looks = unsafe { &mut *looks };
    if looks.begun == 0 {
        looks.begun = 1;
        looks.left = [LOOKS; 2];
    }
    looks.left[direction] -= 1;
    let Some(head) = load::<[u8; 6]>(skb, start) else {
        return;
    };
    let mut flags = if received { PAYLOAD_RECEIVED } else { 0 };
    match candidate(head) {
        Candidate::Http2 => {
            looks.http2 = 1;
            looks.left = [LOOKS_HTTP2; 2];
        }
        Candidate::Other => looks.left = [0; 2],
        Candidate::None if looks.http2 == 0 => return,
        Candidate::None => {}
    }
    if looks.http2 != 0 {
        flags |= PAYLOAD_HTTP2;
    }
    payload(Kind::Application, skb, sk, start, len - start, flags);
}

enum Candidate {
    Http2,
    Other,
    None,
}

/// By the first bytes: methods and status lines of HTTP/1, the preface of HTTP/2, a TLS hello.
#[inline(always)]
fn candidate(head: [u8; 6]) -> Candidate {
    match &head[..4] {
        b"PRI " => Candidate::Http2,
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"OPTI" | b"PATC" | b"CONN" | b"TRAC"
        | b"HTTP" => Candidate::Other,
        // A handshake record of TLS 1.x with a ClientHello.
        [0x16, 3, ..] if head[5] == 1 => Candidate::Other,
        _ => Candidate::None,
    }
}

#[inline(always)]
fn udp(skb: *mut __sk_buff, sk: *mut bpf_sock, received: bool) {
    let Some((ip, version)) = ip_header(skb, IPPROTO_UDP as u8) else {
        return;
    };
    let Some(ports) = load::<[u16; 2]>(skb, ip) else {
        return;
    };
    // SAFETY: the context is valid.
    let len = unsafe { (*skb).len };
    if len < ip + 8 {
        return;
    }
    let bytes = u64::from(len - ip - 8);
    let (mut source, mut destination) = ([0u8; 16], [0u8; 16]);
    if version == 4 {
        let Some(addresses) = load::<[[u8; 4]; 2]>(skb, 12) else {
            return;
        };
        source[..4].copy_from_slice(&addresses[0]);
        destination[..4].copy_from_slice(&addresses[1]);
    } else {
        let Some(addresses) = load::<[[u8; 16]; 2]>(skb, 8) else {
            return;
        };
        [source, destination] = addresses;
    }
    let ports = [u16::from_be(ports[0]), u16::from_be(ports[1])];
    let (local, remote, local_port, remote_port) = if received {
        (destination, source, ports[1], ports[0])
    } else {
        (source, destination, ports[0], ports[1])
    };

    // SAFETY: creates zeroed storage, or gives null when there is no memory.
    let flows = unsafe {
        bpf_sk_storage_get(
            flows_map(),
            sk.cast(),
            core::ptr::null_mut(),
            u64::from(BPF_SK_STORAGE_GET_F_CREATE),
        )
    }
    .cast::<Flows>();
    if flows.is_null() {
        return;
    }
    // SAFETY: storage of this type.
    let flows = unsafe { &mut *flows };
    if flows.cgroup == 0 {
        // SAFETY: gives the cgroup of the packet's socket.
        flows.cgroup = unsafe { bpf_skb_cgroup_id(skb) };
    }
    add(
        if received {
            &raw mut flows.bytes_received
        } else {
            &raw mut flows.bytes_sent
        },
        bytes,
    );
    // SAFETY: reads a clock.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let mut oldest = 0;
    let mut oldest_reported = u64::MAX;
    let mut found = FLOWS;
    for index in 0..FLOWS {
        let flow = &flows.flows[index];
        if flow.version == version
            && flow.remote_port == remote_port
            && flow.local_port == local_port
            && flow.remote == remote
        {
            found = index;
            break;
        }
        if flow.reported < oldest_reported {
            oldest_reported = flow.reported;
            oldest = index;
        }
    }
    // SAFETY: gives the cookie of the packet's socket.
    let cookie = unsafe { bpf_get_socket_cookie(skb.cast()) };
    if found == FLOWS {
        // Two CPUs that take the same slot at once may mix a packet's bytes into the other flow.
        found = oldest;
        let flow = &mut flows.flows[found];
        if flow.version != 0 {
            report(cookie, flows.cgroup, flow, UDP_CLOSED);
        }
        *flow = UdpFlow {
            remote,
            local,
            remote_port,
            local_port,
            version,
            bytes_sent: 0,
            bytes_received: 0,
            reported: 0,
        };
    }
    let flow = &mut flows.flows[found % FLOWS];
    add(
        if received {
            &raw mut flow.bytes_received
        } else {
            &raw mut flow.bytes_sent
        },
        bytes,
    );
    if now - flow.reported >= REPORT_NS {
        flow.reported = now;
        report(cookie, flows.cgroup, flow, 0);
    }
    if received && remote_port == DNS_PORT && bytes >= u64::from(DNS_HEADER_BYTES) {
        payload(Kind::Dns, skb, sk, ip + 8, bytes as u32, PAYLOAD_RECEIVED);
    }
}

#[inline(always)]
fn report(cookie: u64, cgroup: u64, flow: &UdpFlow, flags: u32) {
    if let Some(header) = begin(Kind::Udp, 0, cgroup) {
        emit(
            Kind::Udp,
            Udp {
                header,
                cookie,
                cgroup,
                flow: *flow,
                flags,
                zero: 0,
            },
        );
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
