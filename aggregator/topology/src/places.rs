//! Where an address is: which host or container has it, who listens there, and which ends point
//! to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mesoscope_proto::v1::Protocol;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::{
    address::{is_link_local, is_loopback},
    keys::{AgentKey, ContainerKey, EndKey, ListenerKey},
};

/// Who has an address: a container, or the host itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressOwner {
    pub agent: AgentKey,
    pub container: Option<ContainerKey>,
}

/// An address, and the agent where it means something only there.
pub(crate) type ScopedAddress = (Option<AgentKey>, IpAddr);

pub(crate) fn scoped(agent: AgentKey, ip: IpAddr) -> ScopedAddress {
    let local = is_loopback(ip) || is_link_local(ip);
    (local.then_some(agent), ip)
}

/// The place in the lists of ends by remote address. Whoever listens on all addresses has every
/// loopback address, so these have one list.
fn shelf(agent: AgentKey, ip: IpAddr) -> ScopedAddress {
    if is_loopback(ip) {
        (Some(agent), IpAddr::V4(Ipv4Addr::LOCALHOST))
    } else {
        scoped(agent, ip)
    }
}

/// A port of a host.
pub(crate) type Port = (AgentKey, Protocol, u16);

/// The indexes by address and port.
#[derive(Debug, Default)]
pub(crate) struct Places {
    owners: FxHashMap<IpAddr, SmallVec<[AddressOwner; 1]>>,
    listeners: FxHashMap<Port, SmallVec<[ListenerKey; 1]>>,
    /// Published ports of containers.
    published: FxHashMap<Port, (ContainerKey, u16)>,
    /// Ends by the remote address as this host knows it; all loopback addresses of a host are one.
    remotes: FxHashMap<ScopedAddress, Vec<EndKey>>,
    /// Ends of which their local port's listener may say more than the agent did.
    undecided: FxHashMap<Port, FxHashSet<EndKey>>,
}

impl Places {
    pub(crate) fn own(&mut self, ip: IpAddr, owner: AddressOwner) {
        let owners = self.owners.entry(ip).or_default();
        if !owners.contains(&owner) {
            owners.push(owner);
        }
    }

    pub(crate) fn disown(&mut self, ip: IpAddr, owner: AddressOwner) {
        if let Some(owners) = self.owners.get_mut(&ip) {
            owners.retain(|known| *known != owner);
            if owners.is_empty() {
                self.owners.remove(&ip);
            }
        }
    }

    /// True when the agent's host or one of its containers has the address.
    pub(crate) fn owns(&self, agent: AgentKey, ip: IpAddr) -> bool {
        self.owners
            .get(&ip)
            .is_some_and(|owners| owners.iter().any(|owner| owner.agent == agent))
    }

    pub(crate) fn is_owned(&self, ip: IpAddr) -> bool {
        self.owners.contains_key(&ip)
    }

    /// Who has the address, seen from an agent: the agent's own first; others only when all of them
    /// are on one host (every Docker host has a 172.17.0.1).
    pub(crate) fn owners(&self, agent: AgentKey, ip: IpAddr) -> SmallVec<[AddressOwner; 1]> {
        let Some(all) = self.owners.get(&ip) else {
            return SmallVec::new();
        };
        let own: SmallVec<_> = all
            .iter()
            .filter(|owner| owner.agent == agent)
            .copied()
            .collect();
        if !own.is_empty() {
            return own;
        }
        let first = all[0].agent;
        if is_link_local(ip) || all.iter().any(|owner| owner.agent != first) {
            return SmallVec::new();
        }
        all.clone()
    }

    /// All that have the address, whoever looks.
    pub(crate) fn all_owners(&self, ip: IpAddr) -> &[AddressOwner] {
        self.owners.get(&ip).map_or(&[], SmallVec::as_slice)
    }

    /// Who has the address, where nobody else has it.
    pub(crate) fn sole_owner(&self, ip: IpAddr) -> Option<AddressOwner> {
        match self.owners.get(&ip)?.as_slice() {
            [owner] => Some(*owner),
            _ => None,
        }
    }

    pub(crate) fn listen(&mut self, port: Port, listener: ListenerKey) {
        self.listeners.entry(port).or_default().push(listener);
    }

    pub(crate) fn unlisten(&mut self, port: Port, listener: ListenerKey) {
        if let Some(list) = self.listeners.get_mut(&port) {
            list.retain(|known| *known != listener);
            if list.is_empty() {
                self.listeners.remove(&port);
            }
        }
    }

    /// Those that listen there, and those that did and are kept.
    pub(crate) fn listeners(&self, port: Port) -> &[ListenerKey] {
        self.listeners
            .get(&port)
            .map_or(&[], |list| list.as_slice())
    }

    pub(crate) fn publish(
        &mut self,
        agent: AgentKey,
        protocol: Protocol,
        host_port: u16,
        to: (ContainerKey, u16),
    ) {
        self.published.insert((agent, protocol, host_port), to);
    }

    pub(crate) fn unpublish(
        &mut self,
        agent: AgentKey,
        protocol: Protocol,
        host_port: u16,
        container: ContainerKey,
    ) {
        let key = (agent, protocol, host_port);
        if self
            .published
            .get(&key)
            .is_some_and(|(of, _)| *of == container)
        {
            self.published.remove(&key);
        }
    }

    pub(crate) fn published(&self, host_port: Port) -> Option<(ContainerKey, u16)> {
        self.published.get(&host_port).copied()
    }

    /// Lists an end under its remote address; gives its place in the list.
    pub(crate) fn list_remote(&mut self, agent: AgentKey, remote: SocketAddr, end: EndKey) -> u32 {
        let list = self.remotes.entry(shelf(agent, remote.ip())).or_default();
        list.push(end);
        u32::try_from(list.len() - 1).expect("ends are bounded far below 2^32")
    }

    /// Takes an end out again; gives the end whose place in the list is now `slot`.
    pub(crate) fn unlist_remote(
        &mut self,
        agent: AgentKey,
        remote: SocketAddr,
        slot: u32,
    ) -> Option<EndKey> {
        let key = shelf(agent, remote.ip());
        let list = self.remotes.get_mut(&key)?;
        list.swap_remove(slot as usize);
        let moved = list.get(slot as usize).copied();
        if list.is_empty() {
            self.remotes.remove(&key);
        }
        moved
    }

    /// Ends whose remote address, as an agent sees it, may be this one.
    pub(crate) fn pointing_to(&self, agent: AgentKey, ip: IpAddr) -> &[EndKey] {
        self.remotes
            .get(&shelf(agent, ip))
            .map_or(&[], Vec::as_slice)
    }

    pub(crate) fn list_undecided(&mut self, local: Port, end: EndKey) {
        self.undecided.entry(local).or_default().insert(end);
    }

    pub(crate) fn unlist_undecided(&mut self, local: Port, end: EndKey) {
        if let Some(ends) = self.undecided.get_mut(&local) {
            ends.remove(&end);
            if ends.is_empty() {
                self.undecided.remove(&local);
            }
        }
    }

    pub(crate) fn undecided(&self, local: Port) -> impl Iterator<Item = EndKey> + '_ {
        self.undecided.get(&local).into_iter().flatten().copied()
    }
}
