//! Records of the ring buffer, and of the socket iterator.

use crate::record::record;

/// Bytes of a task's name in the kernel.
pub const COMM_BYTES: usize = 16;
/// Most bytes of arguments in an exec record.
pub const ARGV_BYTES: usize = 256;
/// Most bytes of a path in a cgroup record.
pub const PATH_BYTES: usize = 256;
/// Most bytes of payload in an application or DNS record.
pub const PAYLOAD_BYTES: usize = 512;

/// `Header::kind`. Also the index into the per-CPU loss counters.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Fork`]
    Fork = 1,
    /// [`Exec`], then the arguments
    Exec = 2,
    /// [`Exit`]
    Exit = 3,
    /// [`Connect4`]
    Connect4 = 4,
    /// [`Connect6`]
    Connect6 = 5,
    /// [`Connect4`], of a bind
    Bind4 = 6,
    /// [`Connect6`], of a bind
    Bind6 = 7,
    /// [`TcpEnd4`]
    TcpEnd4 = 8,
    /// [`TcpEnd6`]
    TcpEnd6 = 9,
    /// [`Cgroup`], then the path
    Cgroup = 10,
    /// [`Udp`]
    Udp = 11,
    /// [`Payload`], then the first bytes of a flow
    Application = 12,
    /// [`Payload`], then a DNS message
    Dns = 13,
}

/// One more than the highest [`Kind`].
pub const KINDS: usize = 14;

/// `TcpEnd4::hook` and `TcpEnd6::hook`.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpHook {
    /// `tcp_destroy_sock`
    Destroyed = 0,
    /// `inet_sk_error_report`
    Error = 1,
    /// `tcp_send_reset`
    ResetSent = 2,
}

/// `Cgroup::action`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupChange {
    /// `cgroup_mkdir`
    Created = 0,
    /// `cgroup_rmdir`
    Removed = 1,
    /// `cgroup_notify_populated` with 1
    Populated = 2,
    /// `cgroup_notify_populated` with 0
    Emptied = 3,
}

/// Set in [`Exit::flags`] when the kernel chose the process to free memory.
pub const EXIT_OOM: u32 = 1;
/// Set in [`Exit::flags`] when the status is not known (lower rung).
pub const EXIT_STATUS_UNKNOWN: u32 = 2;
/// Set in [`Exec::flags`] when there were more bytes of arguments than the record took.
pub const EXEC_ARGV_TRUNCATED: u16 = 1;
/// Set in [`Payload::flags`] when the bytes came in, not out.
pub const PAYLOAD_RECEIVED: u16 = 1;
/// Set in [`Payload::flags`] when the connection began with the preface of HTTP/2.
pub const PAYLOAD_HTTP2: u16 = 2;
/// Set in [`Udp::flags`] when the socket is closed.
pub const UDP_CLOSED: u32 = 1;

record! {
    /// First in every record of the ring.
    pub struct Header {
        /// CLOCK_MONOTONIC.
        pub ts: u64,
        /// A [`Kind`].
        pub kind: u32,
        /// Process that the record is about; 0 where there is none.
        pub tgid: u32,
    }

    /// A process was made. `header.tgid` is the child.
    pub struct Fork {
        /// Common head.
        pub header: Header,
        /// `start_boottime` of the child.
        pub start: u64,
        /// `start_boottime` of its parent.
        pub parent_start: u64,
        /// Cgroup of the child.
        pub cgroup: u64,
        /// Its parent (`real_parent`).
        pub parent_tgid: u32,
        /// Its user.
        pub uid: u32,
        /// Inode of its network namespace.
        pub netns: u32,
        /// Its pid in its own pid namespace; 0 in the first.
        pub ns_pid: u32,
        /// Its name.
        pub comm: [u8; COMM_BYTES],
    }

    /// A process replaced its program; the arguments follow, each ended by a zero byte.
    pub struct Exec {
        /// Common head.
        pub header: Header,
        /// `start_boottime`.
        pub start: u64,
        /// `start_boottime` of the parent.
        pub parent_start: u64,
        /// Cgroup.
        pub cgroup: u64,
        /// Inode of the program file.
        pub exe_inode: u64,
        /// Device of the program file.
        pub exe_device: u32,
        /// Parent.
        pub parent_tgid: u32,
        /// User.
        pub uid: u32,
        /// Inode of the network namespace.
        pub netns: u32,
        /// Pid in its own pid namespace; 0 in the first.
        pub ns_pid: u32,
        /// Bytes of arguments that follow.
        pub argv_len: u16,
        /// `EXEC_*`.
        pub flags: u16,
        /// Name.
        pub comm: [u8; COMM_BYTES],
    }

    /// The last thread of a process ended.
    pub struct Exit {
        /// Common head.
        pub header: Header,
        /// `start_boottime`.
        pub start: u64,
        /// Cgroup.
        pub cgroup: u64,
        /// Most pages that were resident.
        pub rss_pages_max: u64,
        /// Time on a CPU, all threads.
        pub cpu_ns: u64,
        /// As `wait` tells it: signal in the low 7 bits, code in the second byte.
        pub status: u32,
        /// `EXIT_*`.
        pub flags: u32,
    }

    /// connect() to, or bind() of, an IPv4 address.
    pub struct Connect4 {
        /// Common head; `tgid` is the caller.
        pub header: Header,
        /// Socket cookie.
        pub cookie: u64,
        /// `start_boottime` of the caller.
        pub start: u64,
        /// Cgroup of the caller.
        pub cgroup: u64,
        /// Inode of the caller's network namespace.
        pub netns: u32,
        /// IPPROTO_TCP or IPPROTO_UDP.
        pub protocol: u16,
        /// Port.
        pub port: u16,
        /// Address, network order.
        pub address: [u8; 4],
        /// Zero.
        pub zero: u32,
    }

    /// connect() to, or bind() of, an IPv6 address.
    pub struct Connect6 {
        /// Common head; `tgid` is the caller.
        pub header: Header,
        /// Socket cookie.
        pub cookie: u64,
        /// `start_boottime` of the caller.
        pub start: u64,
        /// Cgroup of the caller.
        pub cgroup: u64,
        /// Inode of the caller's network namespace.
        pub netns: u32,
        /// IPPROTO_TCP or IPPROTO_UDP.
        pub protocol: u16,
        /// Port.
        pub port: u16,
        /// Address, network order.
        pub address: [u8; 16],
    }

    /// What both families tell of the end of a TCP socket.
    pub struct TcpEnd {
        /// Common head; `tgid` is 0: the current task is not the owner.
        pub header: Header,
        /// Socket cookie.
        pub cookie: u64,
        /// Cgroup of the socket.
        pub cgroup: u64,
        /// Payload sent, without what was sent again.
        pub bytes_sent: u64,
        /// Payload received.
        pub bytes_received: u64,
        /// Inode of the network namespace.
        pub netns: u32,
        /// Owner's user.
        pub uid: u32,
        /// Smoothed round-trip time.
        pub rtt_us: u32,
        /// Segments sent again.
        pub retransmits: u32,
        /// `sk_err`.
        pub error: u16,
        /// A [`TcpHook`].
        pub hook: u16,
        /// Local port.
        pub local_port: u16,
        /// Remote port.
        pub remote_port: u16,
    }

    /// End of a TCP socket over IPv4.
    pub struct TcpEnd4 {
        /// All but the addresses.
        pub end: TcpEnd,
        /// Local address.
        pub local: [u8; 4],
        /// Remote address.
        pub remote: [u8; 4],
    }

    /// End of a TCP socket over IPv6.
    pub struct TcpEnd6 {
        /// All but the addresses.
        pub end: TcpEnd,
        /// Local address.
        pub local: [u8; 16],
        /// Remote address.
        pub remote: [u8; 16],
    }

    /// A cgroup changed; its path follows.
    pub struct Cgroup {
        /// Common head.
        pub header: Header,
        /// Inode of its directory.
        pub cgroup: u64,
        /// A [`CgroupChange`].
        pub action: u32,
        /// Bytes of path that follow.
        pub path_len: u32,
    }

    /// Tier 2: counters of a UDP flow: one socket and one remote end.
    pub struct Udp {
        /// Common head; `tgid` is 0.
        pub header: Header,
        /// Socket cookie.
        pub cookie: u64,
        /// Cgroup of the socket.
        pub cgroup: u64,
        /// The flow.
        pub flow: UdpFlow,
        /// `UDP_*`.
        pub flags: u32,
        /// Zero.
        pub zero: u32,
    }

    /// Both ends and the counters of a UDP flow.
    pub struct UdpFlow {
        /// Remote address; IPv4 in the first four bytes.
        pub remote: [u8; 16],
        /// Local address.
        pub local: [u8; 16],
        /// Remote port.
        pub remote_port: u16,
        /// Local port.
        pub local_port: u16,
        /// 4 or 6; 0 for none.
        pub version: u32,
        /// Payload sent so far.
        pub bytes_sent: u64,
        /// Payload received so far.
        pub bytes_received: u64,
        /// When it was last reported, on the coarse clock.
        pub reported: u64,
    }

    /// Tier 2: the first payload of a flow, or a DNS message; its bytes follow.
    pub struct Payload {
        /// Common head.
        pub header: Header,
        /// Socket cookie.
        pub cookie: u64,
        /// Cgroup of the socket.
        pub cgroup: u64,
        /// Bytes that follow.
        pub len: u16,
        /// `PAYLOAD_*`.
        pub flags: u16,
        /// Local port.
        pub local_port: u16,
        /// Remote port.
        pub remote_port: u16,
    }

    /// One socket of one process, from the iterator.
    pub struct SocketEntry {
        /// Socket cookie.
        pub cookie: u64,
        /// Cgroup of the socket.
        pub cgroup: u64,
        /// `start_boottime` of the process.
        pub start: u64,
        /// Payload sent.
        pub bytes_sent: u64,
        /// Payload received.
        pub bytes_received: u64,
        /// Process.
        pub tgid: u32,
        /// Its file descriptor.
        pub fd: u32,
        /// Inode of the network namespace.
        pub netns: u32,
        /// Owner's user.
        pub uid: u32,
        /// Smoothed round-trip time.
        pub rtt_us: u32,
        /// Segments sent again.
        pub retransmits: u32,
        /// Local port.
        pub local_port: u16,
        /// Remote port.
        pub remote_port: u16,
        /// TCP state.
        pub state: u8,
        /// 6 or 17.
        pub protocol: u8,
        /// 2 or 10.
        pub family: u8,
        /// Zero.
        pub zero: u8,
        /// Local address; IPv4 in the first four bytes.
        pub local: [u8; 16],
        /// Remote address.
        pub remote: [u8; 16],
    }
}
