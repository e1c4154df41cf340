//! Where an address is: which host or container has it, who listens there, and which ends point
//! to it.

use std::net::{IpAddr, SocketAddr};

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

/// The indexes by address and port.
#[derive(Debug, Default)]
pub(crate) struct Places {
    owners: FxHashMap<IpAddr, SmallVec<[AddressOwner; 1]>>,
    listeners: FxHashMap<(AgentKey, Protocol, u16), SmallVec<[ListenerKey; 1]>>,
    /// Published ports of containers.
    published: FxHashMap<(AgentKey, Protocol, u16), (ContainerKey, u16)>,
    /// Ends by the remote address as this host knows it.
    remotes: FxHashMap<ScopedAddress, Vec<EndKey>>,
    /// Ends whose process the agent did not name, by their local port.
    unattributed: FxHashMap<(AgentKey, Protocol, u16), FxHashSet<EndKey>>,
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

    /// Who has the address, where nobody else has it.
    pub(crate) fn sole_owner(&self, ip: IpAddr) -> Option<AddressOwner> {
        match self.owners.get(&ip)?.as_slice() {
            [owner] => Some(*owner),
            _ => None,
        }
    }

    pub(crate) fn listen(
        &mut self,
        agent: AgentKey,
        protocol: Protocol,
        port: u16,
        listener: ListenerKey,
    ) {
        self.listeners
            .entry((agent, protocol, port))
            .or_default()
            .push(listener);
    }

    pub(crate) fn unlisten(
        &mut self,
        agent: AgentKey,
        protocol: Protocol,
        port: u16,
        listener: ListenerKey,
    ) {
        let key = (agent, protocol, port);
        if let Some(list) = self.listeners.get_mut(&key) {
            list.retain(|known| *known != listener);
            if list.is_empty() {
                self.listeners.remove(&key);
            }
        }
    }

    pub(crate) fn listeners(
        &self,
        agent: AgentKey,
        protocol: Protocol,
        port: u16,
    ) -> &[ListenerKey] {
        self.listeners
            .get(&(agent, protocol, port))
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

    pub(crate) fn published(
        &self,
        agent: AgentKey,
        protocol: Protocol,
        host_port: u16,
    ) -> Option<(ContainerKey, u16)> {
        self.published.get(&(agent, protocol, host_port)).copied()
    }

    /// Lists an end under its remote address; gives its place in the list.
    pub(crate) fn list_remote(&mut self, agent: AgentKey, remote: SocketAddr, end: EndKey) -> u32 {
        let list = self.remotes.entry(scoped(agent, remote.ip())).or_default();
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
        let key = scoped(agent, remote.ip());
        let list = self.remotes.get_mut(&key)?;
        list.swap_remove(slot as usize);
        let moved = list.get(slot as usize).copied();
        if list.is_empty() {
            self.remotes.remove(&key);
        }
        moved
    }

    pub(crate) fn pointing_to(&self, address: ScopedAddress) -> &[EndKey] {
        self.remotes.get(&address).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn set_unattributed(
        &mut self,
        agent: AgentKey,
        protocol: Protocol,
        port: u16,
        end: EndKey,
    ) {
        self.unattributed
            .entry((agent, protocol, port))
            .or_default()
            .insert(end);
    }

    pub(crate) fn set_attributed(
        &mut self,
        agent: AgentKey,
        protocol: Protocol,
        port: u16,
        end: EndKey,
    ) {
        let key = (agent, protocol, port);
        if let Some(ends) = self.unattributed.get_mut(&key) {
            ends.remove(&end);
            if ends.is_empty() {
                self.unattributed.remove(&key);
            }
        }
    }

    pub(crate) fn unattributed(
        &self,
        agent: AgentKey,
        protocol: Protocol,
        port: u16,
    ) -> Vec<EndKey> {
        self.unattributed
            .get(&(agent, protocol, port))
            .map(|ends| ends.iter().copied().collect())
            .unwrap_or_default()
    }
}
