//! One socket as the kernel describes it.
//!
//! Requests are netlink-packet-sock-diag's. Answers are parsed here: that crate drops the cgroup
//! id, and takes three times as long.
//!
//! Source: `include/uapi/linux/inet_diag.h`, `include/uapi/linux/tcp.h` (`struct tcp_info`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mesoscope_capture::event::Protocol;
use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};

use crate::netlink::{attributes, u32_at, u64_at};

const NLM_F_REQUEST_DUMP: u16 = 0x301;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_CGROUP_ID: u16 = 21;
/// Bytes of `struct inet_diag_msg`.
const MESSAGE_BYTES: usize = 72;

const TCP_CLOSE_WAIT: u8 = 8;
const TCP_LAST_ACK: u8 = 9;
const TCP_CLOSING: u8 = 11;

/// A family and protocol to be dumped.
pub(super) const DUMPS: [(u8, Protocol); 4] = [
    (AF_INET, Protocol::Tcp),
    (AF_INET6, Protocol::Tcp),
    (AF_INET, Protocol::Udp),
    (AF_INET6, Protocol::Udp),
];

/// The request for all sockets of a family and protocol that a process holds: not those that the
/// kernel keeps for itself (TIME_WAIT, handshakes that are under way).
pub(super) fn request(family: u8, protocol: Protocol, sequence: u32) -> Vec<u8> {
    let (protocol, states) = match protocol {
        Protocol::Tcp => {
            let others = StateFlags::TIME_WAIT | StateFlags::SYN_RECV | StateFlags::CLOSE;
            (IPPROTO_TCP, StateFlags::all() - others)
        }
        Protocol::Udp => (IPPROTO_UDP, StateFlags::ESTABLISHED | StateFlags::CLOSE),
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST_DUMP;
    header.sequence_number = sequence;
    let inet = InetRequest {
        family,
        protocol,
        extensions: ExtensionFlags::INFO,
        states,
        socket_id: if family == AF_INET {
            SocketId::new_v4()
        } else {
            SocketId::new_v6()
        },
    };
    let message = SockDiagMessage::InetRequest(inet);
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    bytes
}

/// A socket, without its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub tcp_state: u8,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub cookie: u64,
    pub uid: u32,
    /// 0 for a socket that no process holds any more.
    pub inode: u32,
    pub cgroup_id: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub rtt_us: u32,
    pub retransmits: u32,
}

impl Description {
    /// `None` when the answer does not have the documented form.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let &[family, tcp_state, ..] = payload else {
            return None;
        };
        let mut description = Self {
            tcp_state,
            local: socket_addr(family, payload, 8, 4)?,
            remote: socket_addr(family, payload, 24, 6)?,
            cookie: cookie(payload)?,
            uid: u32_at(payload, 64)?,
            inode: u32_at(payload, 68)?,
            cgroup_id: 0,
            bytes_sent: 0,
            bytes_received: 0,
            rtt_us: 0,
            retransmits: 0,
        };
        for (kind, value) in attributes(payload.get(MESSAGE_BYTES..)?) {
            match kind {
                INET_DIAG_CGROUP_ID => description.cgroup_id = u64_at(value, 0)?,
                INET_DIAG_INFO => description.take_tcp_info(value),
                _ => {}
            }
        }
        Some(description)
    }

    /// Older kernels have a shorter `struct tcp_info`: what is missing stays 0.
    fn take_tcp_info(&mut self, info: &[u8]) {
        self.rtt_us = u32_at(info, 68).unwrap_or(0);
        self.retransmits = u32_at(info, 100).unwrap_or(0);
        let received = u64_at(info, 128).unwrap_or(0);
        // The peer's FIN counts as a byte.
        let has_fin = matches!(self.tcp_state, TCP_CLOSE_WAIT | TCP_LAST_ACK | TCP_CLOSING);
        self.bytes_received = received.saturating_sub(u64::from(has_fin));
        self.bytes_sent = match (u64_at(info, 200), u64_at(info, 208)) {
            (Some(sent), Some(retransmitted)) => sent.saturating_sub(retransmitted),
            // Before Linux 4.19 only what was acknowledged is known, our SYN included.
            _ => u64_at(info, 120).unwrap_or(0).saturating_sub(1),
        };
    }
}

/// Mapped IPv4 addresses are told as IPv4, as everywhere.
fn socket_addr(
    family: u8,
    payload: &[u8],
    address_at: usize,
    port_at: usize,
) -> Option<SocketAddr> {
    let bytes: [u8; 16] = *payload.get(address_at..)?.first_chunk()?;
    let port = u16::from_be_bytes(*payload.get(port_at..)?.first_chunk()?);
    let address: IpAddr = match family {
        AF_INET => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into(),
        AF_INET6 => IpAddr::from(Ipv6Addr::from(bytes)).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// Two halves, the lower one first.
fn cookie(payload: &[u8]) -> Option<u64> {
    let low = u64::from(u32_at(payload, 44)?);
    let high = u64::from(u32_at(payload, 48)?);
    Some(high << 32 | low)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(description: &Description) -> Vec<u8> {
        let mut bytes = vec![0_u8; MESSAGE_BYTES];
        let is_v4 = description.local.is_ipv4();
        bytes[0] = if is_v4 { AF_INET } else { AF_INET6 };
        bytes[1] = description.tcp_state;
        for (socket, port_at, address_at) in
            [(description.local, 4, 8), (description.remote, 6, 24)]
        {
            bytes[port_at..port_at + 2].copy_from_slice(&socket.port().to_be_bytes());
            let octets = match socket.ip() {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            bytes[address_at..address_at + octets.len()].copy_from_slice(&octets);
        }
        bytes[44..52].copy_from_slice(&description.cookie.to_le_bytes());
        bytes[64..68].copy_from_slice(&description.uid.to_ne_bytes());
        bytes[68..72].copy_from_slice(&description.inode.to_ne_bytes());
        bytes.extend(12_u16.to_ne_bytes());
        bytes.extend(INET_DIAG_CGROUP_ID.to_ne_bytes());
        bytes.extend(description.cgroup_id.to_ne_bytes());
        let mut info = vec![0_u8; 232];
        info[68..72].copy_from_slice(&description.rtt_us.to_ne_bytes());
        info[100..104].copy_from_slice(&description.retransmits.to_ne_bytes());
        info[128..136].copy_from_slice(&description.bytes_received.to_ne_bytes());
        info[200..208].copy_from_slice(&description.bytes_sent.to_ne_bytes());
        bytes.extend(236_u16.to_ne_bytes());
        bytes.extend(INET_DIAG_INFO.to_ne_bytes());
        bytes.extend(info);
        bytes
    }

    fn any_description() -> impl Strategy<Value = Description> {
        let address = any::<bool>().prop_flat_map(|v4| {
            let ip = (any::<u32>(), 1_u128 << 100..).prop_map(move |(short, long)| {
                if v4 {
                    IpAddr::from(Ipv4Addr::from(short))
                } else {
                    IpAddr::from(Ipv6Addr::from(long))
                }
            });
            proptest::collection::vec((ip, any::<u16>()), 2)
        });
        let numbers = (any::<u64>(), any::<u32>(), any::<u32>(), any::<u64>());
        let counters = (any::<u64>(), any::<u64>(), any::<u32>(), any::<u32>());
        (address, numbers, counters).prop_map(
            |(ends, (cookie, uid, inode, cgroup_id), counters)| Description {
                tcp_state: 1,
                local: SocketAddr::from(ends[0]),
                remote: SocketAddr::from(ends[1]),
                cookie,
                uid,
                inode,
                cgroup_id,
                bytes_sent: counters.0,
                bytes_received: counters.1,
                rtt_us: counters.2,
                retransmits: counters.3,
            },
        )
    }

    proptest! {
        #[test]
        fn descriptions_come_back(description in any_description()) {
            prop_assert_eq!(Description::parse(&answer(&description)), Some(description));
        }

        #[test]
        fn an_answer_cut_anywhere_or_damaged_never_panics(
            description in any_description(), cut in 0..400_usize, at in 0..320_usize, byte: u8,
        ) {
            let mut bytes = answer(&description);
            let length = bytes.len();
            let found = Description::parse(&bytes[..cut.min(length)]);
            prop_assert_eq!(found.is_some(), cut >= MESSAGE_BYTES);
            bytes[at % length] = byte;
            Description::parse(&bytes);
        }
    }

    #[test]
    fn a_fin_and_an_old_kernel() {
        let mut description = Description {
            tcp_state: TCP_CLOSE_WAIT,
            local: "1.2.3.4:5".parse().expect("literal"),
            remote: "[::ffff:1.2.3.4]:6".parse().expect("literal"),
            cookie: 0,
            uid: 0,
            inode: 0,
            cgroup_id: 0,
            bytes_sent: 0,
            bytes_received: 0,
            rtt_us: 0,
            retransmits: 0,
        };
        let mut info = vec![0; 136];
        info[120..128].copy_from_slice(&101_u64.to_ne_bytes());
        info[128..136].copy_from_slice(&51_u64.to_ne_bytes());
        description.take_tcp_info(&info);
        assert_eq!(
            (description.bytes_sent, description.bytes_received),
            (100, 50)
        );
    }
}
