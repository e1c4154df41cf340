//! What the kernel told, as typed values: the contract between the capture and the node state.

use std::net::SocketAddr;

/// A moment: nanoseconds of CLOCK_MONOTONIC. `Clock` turns it into Unix time.
pub type MonoNs = u64;

/// A process: pid in the host's namespace and start, as `mesoscope.v1.ProcessKey` (the start cut to
/// 10 ms ticks).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// Thread-group id in the host's pid namespace.
    pub pid: u32,
    /// CLOCK_BOOTTIME at the start, cut to 10 ms.
    pub start_boottime_ns: u64,
}

/// `code` of [`EventKind::Exit`] when it is not known how the process ended (lower rung); `signal` is 0 then.
pub const EXIT_CODE_UNKNOWN: i32 = -1;

/// One record of the ring buffer, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it happened.
    pub time: MonoNs,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the fields are those of `mesoscope.v1`, documented there
pub enum EventKind {
    /// A process (not a thread) was made.
    Fork {
        child: ProcessId,
        parent: ProcessId,
        comm: String,
        uid: u32,
        cgroup_id: u64,
        network_namespace: u64,
        namespaced_pid: u32,
    },
    /// A process replaced its program.
    Exec {
        process: ProcessId,
        parent: ProcessId,
        comm: String,
        argv: Vec<String>,
        argv_truncated: bool,
        uid: u32,
        cgroup_id: u64,
        network_namespace: u64,
        namespaced_pid: u32,
        executable_inode: u64,
        executable_device: u64,
    },
    /// The last thread of a process ended.
    Exit {
        process: ProcessId,
        code: i32,
        signal: u32,
        oom: bool,
        rss_bytes_max: u64,
        cpu_ns: u64,
        cgroup_id: u64,
    },
    /// A local process called connect(); always before the connection's end.
    Connect {
        cookie: u64,
        process: ProcessId,
        cgroup_id: u64,
        network_namespace: u64,
        protocol: Protocol,
        remote: SocketAddr,
    },
    /// A local process bound an explicit port (servers).
    Bind {
        cookie: u64,
        process: ProcessId,
        cgroup_id: u64,
        network_namespace: u64,
        protocol: Protocol,
        local: SocketAddr,
    },
    /// A TCP socket ended, with its final counters; or failed (error set). Records of one cookie can
    /// repeat: the first with a non-zero tuple names the ends, the last has the counters.
    TcpEnd {
        cookie: u64,
        end: TcpEndKind,
        local: SocketAddr,
        remote: SocketAddr,
        network_namespace: u64,
        cgroup_id: u64,
        uid: u32,
        bytes_sent: u64,
        bytes_received: u64,
        rtt_us: u32,
        retransmits: u32,
        error: u32,
    },
    /// A cgroup was made, removed, populated or emptied.
    Cgroup {
        action: CgroupAction,
        cgroup_id: u64,
        path: String,
    },
    /// Tier 2: bytes of a UDP flow so far, or its end.
    UdpFlow {
        cookie: u64,
        local: SocketAddr,
        remote: SocketAddr,
        network_namespace: u64,
        cgroup_id: u64,
        bytes_sent: u64,
        bytes_received: u64,
        closed: bool,
    },
    /// Tier 2: what the first payload of a flow was recognised as ("http", "http2", "grpc", "tls",
    /// "dns"), with the server name or host where it carried one.
    Application {
        cookie: u64,
        application: &'static str,
        server_name: String,
    },
    /// Tier 2: names out of a DNS answer.
    DnsAnswer {
        cgroup_id: u64,
        name: String,
        addresses: Vec<std::net::IpAddr>,
    },
}

/// Transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// Which hook saw a TCP socket's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpEndKind {
    /// `tcp_destroy_sock`: counters are final; the tuple may be wiped (zero).
    Destroyed,
    /// `inet_sk_error_report`: `error` holds the errno (refused, timed out, reset, unreachable).
    Error,
    /// `tcp_send_reset`: this end sent a reset.
    ResetSent,
}

/// What happened to a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CgroupAction {
    Created,
    Removed,
    Populated,
    Emptied,
}

/// One live socket, from the pass over all sockets of all namespaces.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Socket {
    pub cookie: u64,
    pub protocol: Protocol,
    /// TCP state as in `include/net/tcp_states.h` (1 established, 10 listen, ...); 7 for unconnected UDP.
    pub tcp_state: u8,
    pub local: SocketAddr,
    /// Zero address and port when it is not connected.
    pub remote: SocketAddr,
    pub network_namespace: u64,
    pub process: ProcessId,
    pub fd: u32,
    pub cgroup_id: u64,
    pub uid: u32,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub rtt_us: u32,
    pub retransmits: u32,
}

/// Which records a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum RecordKind {
    Fork,
    Exec,
    Exit,
    Connect,
    Bind,
    TcpEnd,
    Cgroup,
    Udp,
    Application,
    Dns,
}

/// Events of one cgroup that the in-kernel rate cap withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// The cgroup.
    pub cgroup_id: u64,
    /// How many since the agent started.
    pub count: u64,
    /// When the cap last bit.
    pub last: MonoNs,
}

/// Records that the kernel did not deliver, totals since the capture started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LossCounters {
    /// Could not be delivered (ring full), per kind, summed over CPUs.
    pub lost: Vec<(RecordKind, u64)>,
    /// Withheld by the rate cap, per cgroup.
    pub withheld: Vec<Withheld>,
}

/// Counters of the capture, totals since it started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaptureStats {
    /// Records read per kind.
    pub received: Vec<(RecordKind, u64)>,
    /// Records the kernel did not deliver.
    pub losses: LossCounters,
    /// Records that failed validation in user space (truncated, unknown kind): a bug or a version mismatch.
    pub malformed: u64,
    /// Ring buffer fill at the last drain and its size.
    pub ring_used_bytes: u64,
    /// Size of the ring buffer.
    pub ring_size_bytes: u64,
    /// Run time and run count per program while they were measured; empty where they never were.
    pub programs: Vec<ProgramStats>,
    /// For how long they were measured.
    pub programs_measured_ns: u64,
    /// Entries and capacity per map that can fill.
    pub maps: Vec<MapFill>,
}

/// Cost of one kernel program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ProgramStats {
    pub name: String,
    pub run_time_ns: u64,
    pub run_count: u64,
}

/// How full a map is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct MapFill {
    pub name: String,
    pub entries: u64,
    pub capacity: u64,
}
