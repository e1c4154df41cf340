//! One message of connection tracking, without allocating.
//!
//! Our own parser and not netlink-packet-netfilter's: every message of a node's every flow comes
//! through here, most are dropped at once, and that one builds a tree of vectors for each.
//!
//! Source: `include/uapi/linux/netfilter/nfnetlink_conntrack.h`, `nf_conntrack_common.h`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mesoscope_capture::event::Protocol;

use crate::netlink::{attribute, attributes};

/// `IPCTNL_MSG_CT_DELETE` of the conntrack subsystem.
const MESSAGE_DELETE: u16 = 0x0102;
/// `IPCTNL_MSG_CT_NEW` of the conntrack subsystem; updates and dumps have it, too.
const MESSAGE_NEW: u16 = 0x0100;
/// Bytes of `struct nfgenmsg`.
const HEADER_BYTES: usize = 4;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_COUNTERS_ORIG: u16 = 9;
const CTA_COUNTERS_REPLY: u16 = 10;
const CTA_ID: u16 = 12;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_COUNTERS_BYTES: u16 = 2;
const IPS_SEEN_REPLY: u32 = 1 << 1;

/// One direction of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Who sent.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
}

/// A flow as connection tracking knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatFlow {
    /// Transport protocol.
    pub protocol: Protocol,
    /// As the first packet was sent.
    pub original: Tuple,
    /// As answers arrive. Without translation, `original` the other way round.
    pub reply: Tuple,
    /// The kernel's id of the flow (CTA_ID); unique while the flow lives.
    pub id: u32,
    /// Bytes in the original direction, IP headers included; known of dumped and destroyed flows
    /// where `nf_conntrack_acct` was on when the flow began.
    pub bytes_original: Option<u64>,
    /// Bytes in the reply direction, IP headers included.
    pub bytes_reply: Option<u64>,
    /// An answer has been seen.
    pub replied: bool,
    /// The kernel has forgotten the flow: counters are final.
    pub destroyed: bool,
}

/// What a message turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Flow(NatFlow),
    /// Neither TCP nor UDP, or no flow at all.
    Other,
    Malformed,
}

impl NatFlow {
    /// Whether addresses or ports were translated.
    #[must_use]
    pub fn is_translated(&self) -> bool {
        self.original.source != self.reply.destination
            || self.original.destination != self.reply.source
    }

    /// Parses a message of nfnetlink's conntrack subsystem: its type and what follows the netlink
    /// header.
    pub(super) fn parse(kind: u16, payload: &[u8]) -> Parsed {
        if kind != MESSAGE_NEW && kind != MESSAGE_DELETE {
            return Parsed::Other;
        }
        let Some(body) = payload.get(HEADER_BYTES..) else {
            return Parsed::Malformed;
        };
        match Self::parse_attributes(body) {
            Some(Some(flow)) => Parsed::Flow(Self {
                destroyed: kind == MESSAGE_DELETE,
                ..flow
            }),
            Some(None) => Parsed::Other,
            None => Parsed::Malformed,
        }
    }

    /// `None` when malformed, `Some(None)` for another protocol.
    fn parse_attributes(body: &[u8]) -> Option<Option<Self>> {
        let mut original = None;
        let mut reply = None;
        let mut flow = FlowRest::default();
        for (kind, value) in attributes(body) {
            match kind {
                CTA_TUPLE_ORIG => match protocol(value)? {
                    Some(protocol) => original = Some((protocol, tuple(value)?)),
                    None => return Some(None),
                },
                CTA_TUPLE_REPLY => reply = Some(tuple(value)?),
                CTA_STATUS => flow.status = be_u32(value)?,
                CTA_ID => flow.id = be_u32(value)?,
                CTA_COUNTERS_ORIG => flow.bytes_original = bytes(value),
                CTA_COUNTERS_REPLY => flow.bytes_reply = bytes(value),
                _ => {}
            }
        }
        let (protocol, original) = original?;
        Some(Some(Self {
            protocol,
            original,
            reply: reply?,
            id: flow.id,
            bytes_original: flow.bytes_original,
            bytes_reply: flow.bytes_reply,
            replied: flow.status & IPS_SEEN_REPLY != 0,
            destroyed: false,
        }))
    }
}

#[derive(Default)]
struct FlowRest {
    status: u32,
    id: u32,
    bytes_original: Option<u64>,
    bytes_reply: Option<u64>,
}

/// The protocol of a tuple; `Some(None)` for one that we do not show.
fn protocol(tuple: &[u8]) -> Option<Option<Protocol>> {
    let number = attribute(attribute(tuple, CTA_TUPLE_PROTO)?, CTA_PROTO_NUM)?;
    Some(match number {
        [6] => Some(Protocol::Tcp),
        [17] => Some(Protocol::Udp),
        [_] => None,
        _ => return None,
    })
}

fn tuple(tuple: &[u8]) -> Option<Tuple> {
    let addresses = attribute(tuple, CTA_TUPLE_IP)?;
    let ports = attribute(tuple, CTA_TUPLE_PROTO)?;
    let (mut source, mut destination) = (None, None);
    for (kind, value) in attributes(addresses) {
        match kind {
            CTA_IP_V4_SRC => source = Some(v4(value)?),
            CTA_IP_V4_DST => destination = Some(v4(value)?),
            CTA_IP_V6_SRC => source = Some(v6(value)?),
            CTA_IP_V6_DST => destination = Some(v6(value)?),
            _ => {}
        }
    }
    let port = |kind| Some(u16::from_be_bytes(attribute(ports, kind)?.try_into().ok()?));
    Some(Tuple {
        source: SocketAddr::new(source?, port(CTA_PROTO_SRC_PORT)?),
        destination: SocketAddr::new(destination?, port(CTA_PROTO_DST_PORT)?),
    })
}

fn v4(bytes: &[u8]) -> Option<IpAddr> {
    let octets: [u8; 4] = bytes.try_into().ok()?;
    Some(Ipv4Addr::from(octets).into())
}

fn v6(bytes: &[u8]) -> Option<IpAddr> {
    let octets: [u8; 16] = bytes.try_into().ok()?;
    Some(Ipv6Addr::from(octets).into())
}

fn bytes(counters: &[u8]) -> Option<u64> {
    let value = attribute(counters, CTA_COUNTERS_BYTES)?;
    Some(u64::from_be_bytes(value.try_into().ok()?))
}

fn be_u32(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).expect("short");
        to.extend(length.to_ne_bytes());
        to.extend(kind.to_ne_bytes());
        to.extend(value);
        to.resize(to.len().next_multiple_of(4), 0);
    }

    fn tuple_bytes(tuple: &Tuple, protocol: u8) -> Vec<u8> {
        let mut addresses = Vec::new();
        for (address, v4_kind) in [
            (tuple.source, CTA_IP_V4_SRC),
            (tuple.destination, CTA_IP_V4_DST),
        ] {
            match address.ip() {
                IpAddr::V4(v4) => put(&mut addresses, v4_kind, &v4.octets()),
                IpAddr::V6(v6) => put(&mut addresses, v4_kind + 2, &v6.octets()),
            }
        }
        let mut ports = Vec::new();
        put(&mut ports, CTA_PROTO_NUM, &[protocol]);
        put(
            &mut ports,
            CTA_PROTO_SRC_PORT,
            &tuple.source.port().to_be_bytes(),
        );
        put(
            &mut ports,
            CTA_PROTO_DST_PORT,
            &tuple.destination.port().to_be_bytes(),
        );
        let mut bytes = Vec::new();
        // The kernel sets the "nested" flag.
        put(&mut bytes, CTA_TUPLE_IP | 0x8000, &addresses);
        put(&mut bytes, CTA_TUPLE_PROTO | 0x8000, &ports);
        bytes
    }

    fn message(flow: &NatFlow, protocol: u8) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0];
        put(
            &mut bytes,
            CTA_TUPLE_ORIG | 0x8000,
            &tuple_bytes(&flow.original, protocol),
        );
        put(
            &mut bytes,
            CTA_TUPLE_REPLY | 0x8000,
            &tuple_bytes(&flow.reply, protocol),
        );
        let status = if flow.replied { 0xa } else { 0x8_u32 };
        put(&mut bytes, CTA_STATUS, &status.to_be_bytes());
        put(&mut bytes, CTA_ID, &flow.id.to_be_bytes());
        for (kind, count) in [
            (CTA_COUNTERS_ORIG, flow.bytes_original),
            (CTA_COUNTERS_REPLY, flow.bytes_reply),
        ] {
            if let Some(count) = count {
                let mut counters = Vec::new();
                put(&mut counters, 1, &7_u64.to_be_bytes());
                put(&mut counters, CTA_COUNTERS_BYTES, &count.to_be_bytes());
                put(&mut bytes, kind | 0x8000, &counters);
            }
        }
        bytes
    }

    fn any_socket(v6: bool) -> impl Strategy<Value = SocketAddr> {
        (any::<[u8; 16]>(), any::<u16>()).prop_map(move |(octets, port)| {
            let ip = if v6 {
                IpAddr::from(octets)
            } else {
                IpAddr::from(<[u8; 4]>::try_from(&octets[..4]).expect("four"))
            };
            SocketAddr::new(ip, port)
        })
    }

    fn any_flow() -> impl Strategy<Value = NatFlow> {
        let ends = any::<bool>().prop_flat_map(|v6| {
            (
                any_socket(v6),
                any_socket(v6),
                any_socket(v6),
                any_socket(v6),
            )
        });
        let rest = (
            any::<u32>(),
            any::<Option<u64>>(),
            any::<Option<u64>>(),
            any::<bool>(),
            any::<bool>(),
        );
        (ends, rest, any::<bool>()).prop_map(
            |((a, b, c, d), (id, sent, received, replied, destroyed), tcp)| NatFlow {
                protocol: if tcp { Protocol::Tcp } else { Protocol::Udp },
                original: Tuple {
                    source: a,
                    destination: b,
                },
                reply: Tuple {
                    source: c,
                    destination: d,
                },
                id,
                bytes_original: sent,
                bytes_reply: received,
                replied,
                destroyed,
            },
        )
    }

    fn parse(flow: &NatFlow, protocol: u8) -> Parsed {
        let kind = if flow.destroyed {
            MESSAGE_DELETE
        } else {
            MESSAGE_NEW
        };
        NatFlow::parse(kind, &message(flow, protocol))
    }

    proptest! {
        #[test]
        fn flows_come_back(flow in any_flow()) {
            let protocol = if flow.protocol == Protocol::Tcp { 6 } else { 17 };
            prop_assert_eq!(parse(&flow, protocol), Parsed::Flow(flow));
        }

        #[test]
        fn other_protocols_are_not_shown(flow in any_flow(), protocol in 18_u8..) {
            prop_assert_eq!(parse(&flow, protocol), Parsed::Other);
        }

        #[test]
        fn a_message_cut_anywhere_or_damaged_never_panics(
            flow in any_flow(), cut in 0..200_usize, at in 0..200_usize, byte: u8,
        ) {
            let mut bytes = message(&flow, 6);
            let length = bytes.len();
            bytes[at % length] = byte;
            NatFlow::parse(MESSAGE_NEW, &bytes[..cut.min(length)]);
            NatFlow::parse(MESSAGE_DELETE, &bytes);
        }

        #[test]
        fn translation_is_what_is_not_mirrored(a in any_socket(false), b in any_socket(false), c in any_socket(false)) {
            let mut flow = NatFlow {
                protocol: Protocol::Tcp,
                original: Tuple { source: a, destination: b },
                reply: Tuple { source: b, destination: a },
                id: 0, bytes_original: None, bytes_reply: None, replied: false, destroyed: false,
            };
            prop_assert!(!flow.is_translated());
            flow.reply.source = c;
            prop_assert_eq!(flow.is_translated(), b != c);
        }
    }
}
