//! Network interfaces of the host's own namespace.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use mesoscope_proto::address;
use mesoscope_proto::v1::NetworkInterface;
use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustc_hash::FxHashMap;

use crate::namespace;
use crate::netlink::{Message, dump};
use crate::paths::Paths;
use crate::text::read;

/// Interfaces told at most: a node with thousands of containers has a veth for each.
const INTERFACES_MAX: usize = 4096;
/// Addresses told of an interface at most.
const ADDRESSES_MAX: usize = 256;

const NLM_F_REQUEST_DUMP: u16 = 0x301;

/// Every interface, in the kernel's order. Those of other namespaces are not the host's.
pub(super) fn interfaces(paths: &Paths) -> Vec<NetworkInterface> {
    let init = paths.host_network_namespace();
    // Without the right to look, ours is the best guess: an agent is to run in the host's.
    let listed = if namespace::is_own(&init).unwrap_or(true) {
        list()
    } else {
        namespace::in_network_namespace(&init, list).flatten()
    };
    let mut interfaces = listed.unwrap_or_else(|error| {
        tracing::warn!(%error, "the network interfaces could not be listed");
        Vec::new()
    });
    for interface in &mut interfaces {
        interface.speed_mbps = speed(&paths.sys, &interface.name);
    }
    interfaces
}

fn list() -> io::Result<Vec<NetworkInterface>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    let mut buffer = Vec::new();
    let mut interfaces = Vec::new();
    let mut at: FxHashMap<u32, usize> = FxHashMap::default();
    let links = RouteNetlinkMessage::GetLink(LinkMessage::default());
    dump(&socket, &request(links, 1), 1, &mut buffer, |message| {
        if let Some(RouteNetlinkMessage::NewLink(link)) = parse(&message)
            && interfaces.len() < INTERFACES_MAX
        {
            at.insert(link.header.index, interfaces.len());
            interfaces.push(interface(&link));
        }
    })?;
    let addresses = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    dump(&socket, &request(addresses, 2), 2, &mut buffer, |message| {
        if let Some(RouteNetlinkMessage::NewAddress(found)) = parse(&message)
            && let Some(interface) = at
                .get(&found.header.index)
                .and_then(|at| interfaces.get_mut(*at))
            && let Some(local) = local_address(&found)
            && interface.addresses.len() < ADDRESSES_MAX
        {
            interface.addresses.push(address::to_bytes(local));
        }
    })?;
    Ok(interfaces)
}

fn request(message: RouteNetlinkMessage, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST_DUMP;
    header.sequence_number = sequence;
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    bytes
}

fn parse(message: &Message<'_>) -> Option<RouteNetlinkMessage> {
    let bytes = crate::netlink::dump_request(message.kind, message.sequence, message.payload);
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes)
        .ok()?
        .payload
    {
        NetlinkPayload::InnerMessage(inner) => Some(inner),
        _ => None,
    }
}

fn interface(link: &LinkMessage) -> NetworkInterface {
    let mut interface = NetworkInterface {
        up: link
            .header
            .flags
            .contains(LinkFlags::Up | LinkFlags::Running),
        ..NetworkInterface::default()
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Address(mac) => interface.mac = mac_text(mac),
            _ => {}
        }
    }
    interface
}

/// The interface's own address: on point-to-point links ADDRESS is the peer's and LOCAL ours.
fn local_address(message: &AddressMessage) -> Option<IpAddr> {
    let of = |local: bool| {
        message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                AddressAttribute::Local(address) if local => Some(*address),
                AddressAttribute::Address(address) if !local => Some(*address),
                _ => None,
            })
    };
    of(true).or_else(|| of(false))
}

fn mac_text(mac: &[u8]) -> String {
    let pairs: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

/// Megabits per second; drivers say -1 or nothing when they do not know.
fn speed(sys: &Path, name: &str) -> u64 {
    read(&sys.join("class/net").join(name).join("speed"))
        .parse()
        .unwrap_or(0)
}
