//! From bytes of the ring to events. Whatever the bytes are, the outcome is an event or a refusal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mesoscope_events::records::{self as raw, Kind};

use crate::event::{
    CgroupAction, EXIT_CODE_UNKNOWN, Event, EventKind, ProcessId, Protocol, RecordKind, Socket,
    TcpEndKind,
};
use crate::payload::{dns_answer, recognise};

/// The kernel's clock ticks of field 22 of `/proc/PID/stat` (CLK_TCK 100), in nanoseconds: starts are
/// cut to them, so that every source gives the same key.
const TICK_NS: u64 = 10_000_000;
/// Bytes in a page, for figures that the kernel keeps in pages.
fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// Which counter a record belongs to; `None` for a kind that is not known.
#[must_use]
pub fn record_kind(kind: u32) -> Option<RecordKind> {
    Some(match kind {
        1 => RecordKind::Fork,
        2 => RecordKind::Exec,
        3 => RecordKind::Exit,
        4 | 5 => RecordKind::Connect,
        6 | 7 => RecordKind::Bind,
        8 | 9 => RecordKind::TcpEnd,
        10 => RecordKind::Cgroup,
        11 => RecordKind::Udp,
        12 => RecordKind::Application,
        13 => RecordKind::Dns,
        _ => return None,
    })
}

/// What one record told: at most two events (the answer of a DNS server also tells what its flow speaks),
/// none when a candidate was no known protocol after all.
pub type Told = [Option<EventKind>; 2];

/// Decodes one record of the ring; `None` when it is truncated, of an unknown kind or says of itself
/// what can not be.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<(RecordKind, [Option<Event>; 2])> {
    let header = raw::Header::read(bytes)?;
    let kind = record_kind(header.kind)?;
    let one = |event: Option<EventKind>| Some([Some(event?), None]);
    let told: Told = match kind {
        RecordKind::Fork => one(fork(bytes)),
        RecordKind::Exec => one(exec(bytes)),
        RecordKind::Exit => one(exit(bytes)),
        RecordKind::Connect => one(connect(bytes, header.kind == Kind::Connect4 as u32)),
        RecordKind::Bind => one(bind(bytes, header.kind == Kind::Bind4 as u32)),
        RecordKind::TcpEnd => one(tcp_end(bytes, header.kind == Kind::TcpEnd4 as u32)),
        RecordKind::Cgroup => one(cgroup(bytes)),
        RecordKind::Udp => one(udp(bytes)),
        RecordKind::Application => application(bytes),
        RecordKind::Dns => dns(bytes),
    }?;
    Some((
        kind,
        told.map(|event| {
            event.map(|kind| Event {
                time: header.ts,
                kind,
            })
        }),
    ))
}

/// Decodes one entry of the socket iterator.
#[must_use]
pub fn socket(bytes: &[u8]) -> Option<Socket> {
    let entry = raw::SocketEntry::read(bytes)?;
    let v4 = match entry.family {
        2 => true,
        10 => false,
        _ => return None,
    };
    let address = |address: [u8; 16]| {
        if v4 {
            IpAddr::from([address[0], address[1], address[2], address[3]])
        } else {
            unmapped(address)
        }
    };
    Some(Socket {
        cookie: entry.cookie,
        protocol: protocol(entry.protocol.into())?,
        tcp_state: entry.state,
        local: SocketAddr::new(address(entry.local), entry.local_port),
        remote: SocketAddr::new(address(entry.remote), entry.remote_port),
        network_namespace: entry.netns.into(),
        process: process(entry.tgid, entry.start),
        fd: entry.fd,
        cgroup_id: entry.cgroup,
        uid: entry.uid,
        bytes_sent: entry.bytes_sent,
        bytes_received: entry.bytes_received,
        rtt_us: entry.rtt_us,
        retransmits: entry.retransmits,
    })
}

fn fork(bytes: &[u8]) -> Option<EventKind> {
    let fork = raw::Fork::read(bytes)?;
    Some(EventKind::Fork {
        child: process(fork.header.tgid, fork.start),
        parent: process(fork.parent_tgid, fork.parent_start),
        comm: text(&fork.comm),
        uid: fork.uid,
        cgroup_id: fork.cgroup,
        network_namespace: fork.netns.into(),
        namespaced_pid: fork.ns_pid,
    })
}

fn exec(bytes: &[u8]) -> Option<EventKind> {
    let exec = raw::Exec::read(bytes)?;
    let len = usize::from(exec.argv_len);
    if len > raw::ARGV_BYTES {
        return None;
    }
    let argv = bytes.get(raw::Exec::SIZE..)?.get(..len)?;
    Some(EventKind::Exec {
        process: process(exec.header.tgid, exec.start),
        parent: process(exec.parent_tgid, exec.parent_start),
        comm: text(&exec.comm),
        argv: arguments(argv),
        argv_truncated: exec.flags & raw::EXEC_ARGV_TRUNCATED != 0,
        uid: exec.uid,
        cgroup_id: exec.cgroup,
        network_namespace: exec.netns.into(),
        namespaced_pid: exec.ns_pid,
        executable_inode: exec.exe_inode,
        executable_device: device(exec.exe_device),
    })
}

fn exit(bytes: &[u8]) -> Option<EventKind> {
    let exit = raw::Exit::read(bytes)?;
    Some(EventKind::Exit {
        process: process(exit.header.tgid, exit.start),
        code: if exit.flags & raw::EXIT_STATUS_UNKNOWN != 0 {
            EXIT_CODE_UNKNOWN
        } else {
            i32::from((exit.status >> 8).to_le_bytes()[0])
        },
        signal: exit.status & 0x7f,
        oom: exit.flags & raw::EXIT_OOM != 0,
        rss_bytes_max: exit.rss_pages_max.saturating_mul(page_bytes()),
        cpu_ns: exit.cpu_ns,
        cgroup_id: exit.cgroup,
    })
}

/// What connect and bind records have in common: the caller and an address.
struct Call {
    cookie: u64,
    process: ProcessId,
    cgroup_id: u64,
    network_namespace: u64,
    protocol: Protocol,
    address: SocketAddr,
}

fn call(bytes: &[u8], v4: bool) -> Option<Call> {
    if v4 {
        let call = raw::Connect4::read(bytes)?;
        Some(Call {
            cookie: call.cookie,
            process: process(call.header.tgid, call.start),
            cgroup_id: call.cgroup,
            network_namespace: call.netns.into(),
            protocol: protocol(call.protocol)?,
            address: SocketAddr::new(IpAddr::from(call.address), call.port),
        })
    } else {
        let call = raw::Connect6::read(bytes)?;
        Some(Call {
            cookie: call.cookie,
            process: process(call.header.tgid, call.start),
            cgroup_id: call.cgroup,
            network_namespace: call.netns.into(),
            protocol: protocol(call.protocol)?,
            address: SocketAddr::new(unmapped(call.address), call.port),
        })
    }
}

fn connect(bytes: &[u8], v4: bool) -> Option<EventKind> {
    let Call {
        cookie,
        process,
        cgroup_id,
        network_namespace,
        protocol,
        address,
    } = call(bytes, v4)?;
    Some(EventKind::Connect {
        cookie,
        process,
        cgroup_id,
        network_namespace,
        protocol,
        remote: address,
    })
}

fn bind(bytes: &[u8], v4: bool) -> Option<EventKind> {
    let Call {
        cookie,
        process,
        cgroup_id,
        network_namespace,
        protocol,
        address,
    } = call(bytes, v4)?;
    Some(EventKind::Bind {
        cookie,
        process,
        cgroup_id,
        network_namespace,
        protocol,
        local: address,
    })
}

fn tcp_end(bytes: &[u8], v4: bool) -> Option<EventKind> {
    let (end, local, remote) = if v4 {
        let end = raw::TcpEnd4::read(bytes)?;
        (end.end, IpAddr::from(end.local), IpAddr::from(end.remote))
    } else {
        let end = raw::TcpEnd6::read(bytes)?;
        (end.end, unmapped(end.local), unmapped(end.remote))
    };
    Some(EventKind::TcpEnd {
        cookie: end.cookie,
        end: match end.hook {
            0 => TcpEndKind::Destroyed,
            1 => TcpEndKind::Error,
            2 => TcpEndKind::ResetSent,
            _ => return None,
        },
        local: SocketAddr::new(local, end.local_port),
        remote: SocketAddr::new(remote, end.remote_port),
        network_namespace: end.netns.into(),
        cgroup_id: end.cgroup,
        uid: end.uid,
        bytes_sent: end.bytes_sent,
        bytes_received: end.bytes_received,
        rtt_us: end.rtt_us,
        retransmits: end.retransmits,
        error: end.error.into(),
    })
}

fn cgroup(bytes: &[u8]) -> Option<EventKind> {
    let change = raw::Cgroup::read(bytes)?;
    let len = usize::try_from(change.path_len).ok()?;
    if len > raw::PATH_BYTES {
        return None;
    }
    Some(EventKind::Cgroup {
        action: match change.action {
            0 => CgroupAction::Created,
            1 => CgroupAction::Removed,
            2 => CgroupAction::Populated,
            3 => CgroupAction::Emptied,
            _ => return None,
        },
        cgroup_id: change.cgroup,
        path: text(bytes.get(raw::Cgroup::SIZE..)?.get(..len)?),
    })
}

/// The kernel's own form of a device number (`MAJOR`, `MINOR` in include/linux/kdev_t.h) to that of `stat`.
fn device(number: u32) -> u64 {
    rustix::fs::makedev(number >> 20, number & 0x000f_ffff)
}

fn udp(bytes: &[u8]) -> Option<EventKind> {
    let udp = raw::Udp::read(bytes)?;
    let address = |address: [u8; 16]| match udp.flow.version {
        4 => Some(IpAddr::from([
            address[0], address[1], address[2], address[3],
        ])),
        6 => Some(unmapped(address)),
        _ => None,
    };
    Some(EventKind::UdpFlow {
        cookie: udp.cookie,
        local: SocketAddr::new(address(udp.flow.local)?, udp.flow.local_port),
        remote: SocketAddr::new(address(udp.flow.remote)?, udp.flow.remote_port),
        network_namespace: 0,
        cgroup_id: udp.cgroup,
        bytes_sent: udp.flow.bytes_sent,
        bytes_received: udp.flow.bytes_received,
        closed: udp.flags & raw::UDP_CLOSED != 0,
    })
}

/// The head of a payload record and the payload.
fn payload(bytes: &[u8]) -> Option<(raw::Payload, &[u8])> {
    let head = raw::Payload::read(bytes)?;
    let len = usize::from(head.len);
    if len > raw::PAYLOAD_BYTES {
        return None;
    }
    Some((head, bytes.get(raw::Payload::SIZE..)?.get(..len)?))
}

fn application(bytes: &[u8]) -> Option<Told> {
    let (head, payload) = payload(bytes)?;
    let recognised = recognise(payload, head.flags & raw::PAYLOAD_HTTP2 != 0);
    Some([
        recognised.map(|(application, server_name)| EventKind::Application {
            cookie: head.cookie,
            application,
            server_name,
        }),
        None,
    ])
}

fn dns(bytes: &[u8]) -> Option<Told> {
    let (head, payload) = payload(bytes)?;
    let Some((name, addresses)) = dns_answer(payload) else {
        return Some([None, None]);
    };
    Some([
        Some(EventKind::DnsAnswer {
            cgroup_id: head.cgroup,
            name,
            addresses,
        }),
        Some(EventKind::Application {
            cookie: head.cookie,
            application: "dns",
            server_name: String::new(),
        }),
    ])
}

pub(crate) fn process(pid: u32, start_boottime_ns: u64) -> ProcessId {
    ProcessId {
        pid,
        start_boottime_ns: start_boottime_ns - start_boottime_ns % TICK_NS,
    }
}

fn protocol(number: u16) -> Option<Protocol> {
    match number {
        6 => Some(Protocol::Tcp),
        17 => Some(Protocol::Udp),
        _ => None,
    }
}

/// IPv4-mapped addresses are IPv4: both ends of a connection then have the same names for them.
fn unmapped(address: [u8; 16]) -> IpAddr {
    let address = Ipv6Addr::from(address);
    address
        .to_ipv4_mapped()
        .map_or(IpAddr::V6(address), |address: Ipv4Addr| IpAddr::V4(address))
}

/// Text up to the first zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Arguments, each ended by a zero byte, the last perhaps cut.
pub(crate) fn arguments(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes
        .split(|byte| *byte == 0)
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect()
}

#[cfg(test)]
mod tests;
