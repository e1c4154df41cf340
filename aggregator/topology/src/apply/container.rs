//! Containers: what the cgroup and the runtime say, metrics, cgroup events.

use std::{net::IpAddr, sync::Arc};

use mesoscope_proto::{
    address,
    v1::{self, ContainerState, EventKind, Protocol},
};

use crate::{
    Topology, ViewKind,
    address::is_id,
    entities::{Container, container_metrics_differ},
    error::ChangeRefused,
    graph::Subject,
    health,
    keys::{AgentKey, ContainerKey},
    places::{AddressOwner, scoped},
    plugins::About,
};

impl Topology {
    pub(super) fn apply_container(
        &mut self,
        agent: AgentKey,
        record: v1::Container,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) -> Result<(), ChangeRefused> {
        let key = self.ensure_container(agent, &record.id, now_ms)?;
        let epoch = self.agents[agent].epoch;
        let entry = &mut self.containers[key];
        entry.epoch = epoch;
        if entry.known && *entry.record == record {
            return Ok(());
        }
        let news = !entry.known
            || entry.record.state != record.state
            || entry.record.name != record.name
            || entry.record.oom_killed != record.oom_killed
            || entry.record.oom_kills != record.oom_kills
            || entry.record.restarts != record.restarts;
        let new = !entry.known;
        entry.known = true;
        let before = std::mem::replace(&mut *entry.record, record);
        self.readdress_container(key, &before, now_ms);
        self.touch_container(key);
        if self.containers[key].is_removed() {
            self.end_container(key, now_ms);
        } else {
            self.containers[key].ending = false;
        }
        if new {
            self.touch_host(agent);
        }
        let now = &self.containers[key].record;
        let (renamed, moved) = (
            before.name != now.name,
            before.labels != now.labels
                || before.pod_namespace != now.pod_namespace
                || before.network_mode != now.network_mode,
        );
        if renamed || moved {
            // Their second line has the name; the rest decides which views show them.
            self.touch_processes_in(key);
        }
        if renamed {
            for ip in own_addresses(&self.containers[key].record) {
                self.address_moved(agent, ip, now_ms);
            }
        }
        if news && !self.agents[agent].in_snapshot {
            self.container_event(key, now_ms, events);
        }
        Ok(())
    }

    /// The container of this id; an entry without details when it is new.
    pub(crate) fn ensure_container(
        &mut self,
        agent: AgentKey,
        id: &str,
        now_ms: u64,
    ) -> Result<ContainerKey, ChangeRefused> {
        let epoch = self.agents[agent].epoch;
        if let Some(key) = self.agents[agent].containers.get(id).copied() {
            let entry = &mut self.containers[key];
            entry.epoch = epoch;
            if !entry.known && entry.is_removed() {
                // Given up too early: something of it is still there.
                entry.record.set_state(ContainerState::Unspecified);
                entry.ending = false;
                self.touch_container(key);
            }
            return Ok(key);
        }
        if !is_id(id) {
            return Err(ChangeRefused::Malformed("the id of a container"));
        }
        while self.containers.len() >= self.limits.containers {
            let Some((_, oldest)) = self.ended_containers.pop_front() else {
                return Err(ChangeRefused::Full("containers"));
            };
            self.remove_container(oldest);
        }
        // Ids are unique in the world; two agents on one host see the same container.
        let taken = self.container_ids.contains_key(id);
        let node_id = if taken {
            format!("container;{id};{}", self.agents[agent].id)
        } else {
            format!("container;{id}")
        };
        let graph = &mut self.graphs[ViewKind::Containers.index()];
        let key = self.containers.insert_with_key(|key| Container {
            agent,
            id: id.into(),
            known: false,
            record: Box::new(v1::Container {
                id: id.into(),
                ..Default::default()
            }),
            metrics: None,
            processes: 0,
            node: graph.insert(Subject::Container(key), node_id.into(), now_ms),
            epoch,
            ending: false,
        });
        let id = self.containers[key].id.clone();
        if !taken {
            self.container_ids.insert(id.clone(), key);
        }
        self.agents[agent].containers.insert(id, key);
        self.unknown_containers.push(key);
        self.touch_host(agent);
        Ok(key)
    }

    /// Moves the indexes of addresses and published ports from the old record to the new one.
    fn readdress_container(&mut self, key: ContainerKey, before: &v1::Container, now_ms: u64) {
        let entry = &self.containers[key];
        let agent = entry.agent;
        let owner = AddressOwner {
            agent,
            container: Some(key),
        };
        let (old, new) = (own_addresses(before), own_addresses(&entry.record));
        let (old_ports, new_ports) = (published(before), published(&entry.record));
        for ip in old.iter().filter(|ip| !new.contains(ip)) {
            self.places.disown(*ip, owner);
        }
        for ip in new.iter().filter(|ip| !old.contains(ip)) {
            self.places.own(*ip, owner);
        }
        for (protocol, host_port, _) in &old_ports {
            self.places.unpublish(agent, *protocol, *host_port, key);
        }
        for (protocol, host_port, port) in &new_ports {
            self.places
                .publish(agent, *protocol, *host_port, (key, *port));
        }
        let moved = old
            .iter()
            .chain(&new)
            .filter(|ip| old.contains(ip) != new.contains(ip));
        for ip in moved.copied().collect::<Vec<_>>() {
            self.address_moved(agent, ip, now_ms);
        }
        if old_ports != new_ports {
            let addresses = self.agents[agent].addresses.clone();
            for ip in addresses {
                let ports = |port| {
                    new_ports
                        .iter()
                        .chain(&old_ports)
                        .any(|(_, host, _)| *host == port)
                };
                for end in self.ends_pointing_to(agent, ip) {
                    if ports(self.ends[end].facts.real_remote().port()) {
                        self.redraw(&[end], now_ms);
                    }
                }
            }
        }
    }

    /// An address has come to, or left, a host or container: connections to it may belong elsewhere.
    pub(crate) fn address_moved(&mut self, agent: AgentKey, ip: IpAddr, now_ms: u64) {
        self.touch_named(ip);
        for end in self.ends_pointing_to(agent, ip) {
            let mut changed = self.rejoin(end);
            if !changed.contains(&end) {
                changed.push(end);
            }
            self.redraw(&changed, now_ms);
        }
    }

    /// The name that DNS has for a container: for the first by the alphabet of its addresses that
    /// have one. Where others have the address too, what its own host knows of it counts.
    pub(crate) fn dns_name_of(&self, container: &Container) -> Option<Arc<str>> {
        let of_address = |ip: IpAddr| {
            let own = scoped(container.agent, ip).0.is_some();
            let here = |owner: &AddressOwner| owner.agent == container.agent;
            if own || !self.places.all_owners(ip).iter().all(here) {
                return self.names.get(container.agent, ip);
            }
            self.names.of_any(ip)
        };
        let names = own_addresses(&container.record)
            .into_iter()
            .filter_map(of_address);
        names.map(|name| name.name.clone()).min()
    }

    /// An address has another name, or another owner: the containers that have it may be called
    /// otherwise.
    pub(crate) fn touch_named(&mut self, ip: IpAddr) {
        let owners = self.places.all_owners(ip).iter();
        let containers: Vec<_> = owners.filter_map(|owner| owner.container).collect();
        for container in containers {
            self.touch_container(container);
        }
    }

    fn touch_processes_in(&mut self, container: ContainerKey) {
        let agent = self.containers[container].agent;
        let inside: Vec<_> = self.agents[agent]
            .processes
            .values()
            .filter(|key| self.processes[**key].container == Some(container))
            .copied()
            .collect();
        for process in inside {
            self.touch_process(process);
        }
    }

    /// The container is gone from its host: it is kept for a while.
    pub(crate) fn end_container(&mut self, key: ContainerKey, now_ms: u64) {
        if std::mem::replace(&mut self.containers[key].ending, true) {
            return;
        }
        let until = now_ms.saturating_add(self.limits.ended_keep_ms);
        self.ended_containers.push_back((until, key));
        self.touch_container(key);
    }

    /// Forgets a container; connections of it are no longer in the view of containers.
    pub(crate) fn remove_container(&mut self, key: ContainerKey) {
        if self.containers.contains_key(key) {
            self.touch_processes_in(key);
        }
        let Some(entry) = self.containers.remove(key) else {
            return;
        };
        self.plugins.forget(About::Container(key));
        let owner = AddressOwner {
            agent: entry.agent,
            container: Some(key),
        };
        for ip in own_addresses(&entry.record) {
            self.places.disown(ip, owner);
            self.touch_named(ip);
        }
        for (protocol, host_port, _) in published(&entry.record) {
            self.places.unpublish(entry.agent, protocol, host_port, key);
        }
        if self.container_ids.get(&entry.id) == Some(&key) {
            self.container_ids.remove(&entry.id);
        }
        if let Some(agent) = self.agents.get_mut(entry.agent) {
            agent.containers.remove(&entry.id);
        }
        self.graph_mut(ViewKind::Containers).remove_node(entry.node);
        self.touch_host(entry.agent);
    }

    pub(super) fn apply_container_metrics(
        &mut self,
        agent: AgentKey,
        mut metrics: v1::ContainerMetrics,
    ) -> Result<(), ChangeRefused> {
        if metrics.container_id.is_empty() {
            return Err(ChangeRefused::Malformed("the id of a container"));
        }
        let Some(key) = self.agents[agent]
            .containers
            .get(metrics.container_id.as_str())
            .copied()
        else {
            return Ok(());
        };
        // The container has it.
        metrics.container_id = String::new();
        let of_agent = &self.agents[agent];
        let entry = &mut self.containers[key];
        let Some(told) = &mut entry.metrics else {
            // From now on it has metrics.
            entry.metrics = Some(Box::new(metrics));
            self.touch_container(key);
            return Ok(());
        };
        if !container_metrics_differ(told, &metrics) {
            return Ok(());
        }
        let before = health::of_container(entry, of_agent);
        entry.metrics = Some(Box::new(metrics));
        let node = entry.node;
        let now = health::of_container(entry, of_agent);
        if before == now {
            self.graph_mut(ViewKind::Containers).touch_figures(node);
        } else {
            self.touch_container(key);
        }
        Ok(())
    }

    pub(super) fn cgroup_event(
        &mut self,
        agent: AgentKey,
        event: v1::CgroupEvent,
        events: &mut Vec<v1::Event>,
    ) {
        if !self.events_wanted {
            return;
        }
        let container = self.agents[agent]
            .containers
            .get(event.container_id.as_str())
            .copied();
        events.push(v1::Event {
            container: container.map(|key| self.containers[key].to_event()),
            cgroup: Some(event.clone()),
            ..self.event(agent, EventKind::Cgroup, event.time_unix_ns)
        });
    }
}

/// Addresses that are the container's own; with the host's network it has none.
fn own_addresses(record: &v1::Container) -> Vec<IpAddr> {
    let gone = record.state() == ContainerState::Removed;
    if gone || record.network_mode == "host" {
        return Vec::new();
    }
    record
        .addresses
        .iter()
        .filter_map(|bytes| address::from_bytes(bytes))
        .filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
        .collect()
}

/// Published ports as (protocol, port of the host, port of the container).
pub(super) fn published(record: &v1::Container) -> Vec<(Protocol, u16, u16)> {
    if record.state() == ContainerState::Removed {
        return Vec::new();
    }
    let protocol = |name: &str| match name {
        "udp" => Some(Protocol::Udp),
        "tcp" | "" => Some(Protocol::Tcp),
        _ => None,
    };
    record
        .ports
        .iter()
        .filter(|port| port.host_port != 0)
        .filter_map(|port| {
            let host_port = u16::try_from(port.host_port).ok()?;
            let container_port = u16::try_from(port.container_port).ok()?;
            Some((protocol(&port.protocol)?, host_port, container_port))
        })
        .collect()
}
