//! Bytes of UDP flows, and the answers of DNS.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{__sk_buff, BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    btf_maps::SkStorage,
    helpers::generated::{
        bpf_get_socket_cookie, bpf_jiffies64, bpf_ktime_get_coarse_ns, bpf_sk_storage_get,
        bpf_skb_cgroup_id,
    },
    macros::{btf_map, cgroup_sock},
    programs::SockContext,
};
use mesoscope_events::records::{Kind, PAYLOAD_RECEIVED, UDP_CLOSED, Udp, UdpFlow};

use super::{ALLOW, IPPROTO_UDP, ip_header, load, payload};
use crate::output::{add, begin, emit};

const UDP_HEADER_BYTES: u32 = 8;
const DNS_PORT: u16 = 53;
const DNS_HEADER_BYTES: u32 = 12;
/// How often a flow's counters are reported while they change.
const REPORT_NS: u64 = 1_000_000_000;
/// Remote ends that one UDP socket has counters for.
const FLOWS: usize = 4;

/// Per UDP socket.
#[repr(C)]
pub struct Flows {
    cgroup: u64,
    /// Bytes of flows that had to give their place to others.
    gone_sent: u64,
    gone_received: u64,
    flows: [Flow; FLOWS],
}

/// [`UdpFlow`], but addresses are words, which compare fast.
#[repr(C)]
struct Flow {
    remote: [u64; 2],
    local: [u64; 2],
    /// Remote port, local port.
    ports: [u16; 2],
    version: u32,
    bytes_sent: u64,
    bytes_received: u64,
    /// On the coarse clock.
    reported: u64,
    /// In jiffies: when the clock was asked whether it is time for a report.
    looked_at: u64,
}

impl Flow {
    #[inline(always)]
    fn told(&self) -> UdpFlow {
        let bytes = |words: [u64; 2]| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&words[0].to_ne_bytes());
            bytes[8..].copy_from_slice(&words[1].to_ne_bytes());
            bytes
        };
        UdpFlow {
            remote: bytes(self.remote),
            local: bytes(self.local),
            remote_port: self.ports[0],
            local_port: self.ports[1],
            version: self.version,
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
            reported: self.reported,
        }
    }
}

#[btf_map]
static UDP_FLOWS: SkStorage<Flows> = SkStorage::new();

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
    let flows = unsafe { &*flows };
    let mut totals = (flows.gone_sent, flows.gone_received);
    for flow in &flows.flows {
        totals.0 += flow.bytes_sent;
        totals.1 += flow.bytes_received;
    }
    totals
}

#[inline(always)]
fn flows_map() -> *mut c_void {
    (&raw const UDP_FLOWS).cast_mut().cast()
}

/// Headers of IPv4 without options and of UDP.
pub type Ipv4Head = [u8; 28];
/// Version 4, five words of header.
const PLAIN_IPV4: u8 = 0x45;

/// Whether these are such headers.
#[inline(always)]
pub fn is_plain(head: &Ipv4Head) -> bool {
    head[0] == PLAIN_IPV4 && head[9] == IPPROTO_UDP
}

/// Who a datagram is of, and how long it is.
pub struct Datagram {
    local: [u64; 2],
    remote: [u64; 2],
    /// Remote port, then local port, as in [`UdpFlow`].
    ports: [u16; 2],
    version: u32,
    /// Where the payload begins.
    start: u32,
    bytes: u32,
}

impl Datagram {
    /// What nearly all are: a header of IPv4 without options, then that of UDP.
    #[inline(always)]
    pub fn plain(skb: *mut __sk_buff, head: &Ipv4Head, received: bool) -> Option<Self> {
        let is_tail = head[6] & 0x1f != 0 || head[7] != 0;
        if is_tail {
            return None;
        }
        let address = |at: usize| {
            let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            [u64::from(u32::from_ne_bytes(bytes)), 0]
        };
        let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        Self::new(
            skb,
            received,
            4,
            20,
            [address(12), address(16)],
            [port(20), port(22)],
        )
    }

    /// IPv6, options, headers that are not in the linear part.
    #[inline(always)]
    pub fn other(skb: *mut __sk_buff, received: bool) -> Option<Self> {
        let version = load::<u8>(skb, 0)? >> 4;
        if version == 4 && load::<u8>(skb, 9)? != IPPROTO_UDP {
            return None;
        }
        let ip = ip_header(skb, IPPROTO_UDP)?;
        let addresses = if version == 4 {
            load::<[u32; 2]>(skb, 12)?.map(|address| [address.into(), 0])
        } else {
            load::<[[u64; 2]; 2]>(skb, 8)?
        };
        let ports = load::<[u16; 2]>(skb, ip)?.map(u16::from_be);
        Self::new(skb, received, version.into(), ip, addresses, ports)
    }

    /// `addresses` and `ports`: source, destination.
    #[inline(always)]
    fn new(
        skb: *mut __sk_buff,
        received: bool,
        version: u32,
        ip: u32,
        addresses: [[u64; 2]; 2],
        ports: [u16; 2],
    ) -> Option<Self> {
        let start = ip + UDP_HEADER_BYTES;
        // SAFETY: the context is valid.
        let len = unsafe { (*skb).len };
        if len < start {
            return None;
        }
        let [source, destination] = addresses;
        let (local, remote, ports) = if received {
            (destination, source, ports)
        } else {
            (source, destination, [ports[1], ports[0]])
        };
        Some(Self {
            local,
            remote,
            ports,
            version,
            start,
            bytes: len - start,
        })
    }

    #[inline(always)]
    fn is_of(&self, flow: &Flow) -> bool {
        flow.remote == self.remote && flow.ports == self.ports && flow.version == self.version
    }
}

#[inline(always)]
pub fn packet(skb: *mut __sk_buff, sk: *mut bpf_sock, datagram: &Datagram, received: bool) {
    // SAFETY: creates zeroed storage that lives as long as the socket, or gives null when there is no
    // memory.
    let flows = unsafe {
        bpf_sk_storage_get(
            flows_map(),
            sk.cast(),
            core::ptr::null_mut(),
            u64::from(BPF_SK_STORAGE_GET_F_CREATE),
        )
        .cast::<Flows>()
        .as_mut()
    };
    let Some(flows) = flows else { return };
    let index = if datagram.is_of(&flows.flows[0]) {
        0
    } else {
        place(skb, flows, datagram)
    };
    let flow = &mut flows.flows[index % FLOWS];
    add(
        if received {
            &raw mut flow.bytes_received
        } else {
            &raw mut flow.bytes_sent
        },
        datagram.bytes.into(),
    );
    // SAFETY: reads a variable, where the clock is a call.
    let tick = unsafe { bpf_jiffies64() };
    if flow.looked_at != tick {
        flow.looked_at = tick;
        // SAFETY: reads a clock.
        let now = unsafe { bpf_ktime_get_coarse_ns() };
        if now - flow.reported >= REPORT_NS {
            flow.reported = now;
            // SAFETY: gives the cookie of the packet's socket.
            report(
                unsafe { bpf_get_socket_cookie(skb.cast()) },
                flows.cgroup,
                flow,
                0,
            );
        }
    }
    if received && datagram.ports[0] == DNS_PORT && datagram.bytes >= DNS_HEADER_BYTES {
        payload(
            Kind::Dns,
            skb,
            sk,
            datagram.start,
            datagram.bytes,
            PAYLOAD_RECEIVED,
        );
    }
}

/// The flow's place; a new one takes that of the flow which has been silent for longest.
#[inline(always)]
fn place(skb: *mut __sk_buff, flows: &mut Flows, datagram: &Datagram) -> usize {
    let mut oldest = 0;
    for index in 0..FLOWS {
        if datagram.is_of(&flows.flows[index]) {
            return index;
        }
        if flows.flows[index].reported < flows.flows[oldest % FLOWS].reported {
            oldest = index;
        }
    }
    if flows.cgroup == 0 {
        // SAFETY: gives the cgroup of the packet's socket.
        flows.cgroup = unsafe { bpf_skb_cgroup_id(skb) };
    }
    // Two CPUs that take the same place at once may mix a packet's bytes into the other flow.
    let flow = &mut flows.flows[oldest % FLOWS];
    if flow.version != 0 {
        // SAFETY: gives the cookie of the packet's socket.
        report(
            unsafe { bpf_get_socket_cookie(skb.cast()) },
            flows.cgroup,
            flow,
            UDP_CLOSED,
        );
        add(&raw mut flows.gone_sent, flow.bytes_sent);
        add(&raw mut flows.gone_received, flow.bytes_received);
    }
    *flow = Flow {
        remote: datagram.remote,
        local: datagram.local,
        ports: datagram.ports,
        version: datagram.version,
        bytes_sent: 0,
        bytes_received: 0,
        reported: 0,
        looked_at: 0,
    };
    oldest
}

#[inline(always)]
fn report(cookie: u64, cgroup: u64, flow: &Flow, flags: u32) {
    if let Some(header) = begin(Kind::Udp, 0, cgroup) {
        emit(
            Kind::Udp,
            Udp {
                header,
                cookie,
                cgroup,
                flow: flow.told(),
                flags,
                zero: 0,
            },
        );
    }
}
