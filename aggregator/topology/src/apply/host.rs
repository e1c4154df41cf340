//! Hosts and agents: inventory, metrics, names of addresses, gaps, status.

use std::net::IpAddr;

use mesoscope_proto::{
    address,
    v1::{self, EventKind},
};

use crate::{
    Topology, ViewKind,
    address::is_name,
    agent::OpenGap,
    entities::{differs, differs_count},
    error::ChangeRefused,
    health,
    keys::{AgentKey, ContainerKey},
    places::AddressOwner,
};

impl Topology {
    pub(super) fn apply_host(&mut self, agent: AgentKey, host: v1::Host, now_ms: u64) {
        let entry = &mut self.agents[agent];
        if entry.host.as_deref() == Some(&host) {
            return;
        }
        let renamed = !host.hostname.is_empty() && *host.hostname != *entry.hostname;
        if renamed {
            entry.hostname = host.hostname.as_str().into();
        }
        let mut addresses: Vec<IpAddr> = host
            .interfaces
            .iter()
            .flat_map(|interface| &interface.addresses)
            .filter_map(|bytes| address::from_bytes(bytes))
            .filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        let namespace = entry.host.as_ref().map_or(0, |host| host.network_namespace);
        let new_namespace = namespace != host.network_namespace;
        entry.host = Some(Box::new(host));
        let before = std::mem::replace(&mut entry.addresses, addresses);
        self.readdress_host(agent, &before, new_namespace, now_ms);
        // Cores and memory are the scale of everybody's metrics.
        self.touch_all_of(agent);
        if renamed {
            self.incomplete_revision += 1;
        }
    }

    fn readdress_host(
        &mut self,
        agent: AgentKey,
        before: &[IpAddr],
        new_namespace: bool,
        now_ms: u64,
    ) {
        let owner = AddressOwner {
            agent,
            container: None,
        };
        let now = self.agents[agent].addresses.clone();
        let gone: Vec<_> = before
            .iter()
            .filter(|ip| !now.contains(ip))
            .copied()
            .collect();
        let come: Vec<_> = now
            .iter()
            .filter(|ip| new_namespace || !before.contains(ip))
            .copied()
            .collect();
        for ip in &gone {
            self.places.disown(*ip, owner);
        }
        for ip in &come {
            self.places.own(*ip, owner);
        }
        for ip in gone.into_iter().chain(come) {
            self.address_moved(agent, ip, now_ms);
        }
    }

    /// The addresses of a container, or of the host for a socket outside of any.
    pub(crate) fn addresses_of(
        &self,
        agent: AgentKey,
        container: Option<ContainerKey>,
    ) -> Vec<IpAddr> {
        let record = container
            .and_then(|key| self.containers.get(key))
            .map(|entry| &entry.record);
        let host = self
            .agents
            .get(agent)
            .map(|agent| agent.addresses.clone())
            .unwrap_or_default();
        let Some(record) = record else {
            return host;
        };
        let own = record
            .addresses
            .iter()
            .filter_map(|bytes| address::from_bytes(bytes));
        // Published ports are reached at the host's addresses.
        own.chain(host).collect()
    }

    pub(super) fn apply_host_metrics(&mut self, agent: AgentKey, metrics: v1::HostMetrics) {
        let entry = &mut self.agents[agent];
        let Some(told) = &mut entry.metrics else {
            // From now on it has metrics.
            entry.metrics = Some(Box::new(metrics));
            self.touch_host(agent);
            return;
        };
        if !host_metrics_differ(told, &metrics) {
            return;
        }
        let before = health::of_host(entry);
        entry.metrics = Some(Box::new(metrics));
        if health::of_host(entry) == before {
            let node = entry.node;
            self.graph_mut(ViewKind::Hosts).touch_figures(node);
        } else {
            self.touch_host(agent);
        }
    }

    pub(super) fn apply_address_name(
        &mut self,
        agent: AgentKey,
        name: &v1::AddressName,
        now_ms: u64,
    ) -> Result<(), ChangeRefused> {
        let Some(ip) = address::from_bytes(&name.address) else {
            return Err(ChangeRefused::Malformed("the address of a name"));
        };
        if !is_name(&name.name) {
            return Err(ChangeRefused::Malformed("the name of an address"));
        }
        let changed = self.names.insert(agent, ip, &name.name, name.from_answer);
        for ip in &changed {
            self.touch_named(*ip);
        }
        if !changed.is_empty() {
            for end in self.ends_pointing_to(agent, ip) {
                let of_agent = self.ends[end].agent == agent;
                if of_agent && self.ends[end].peer.is_none() {
                    self.redraw(&[end], now_ms);
                }
            }
        }
        Ok(())
    }

    pub(super) fn apply_gap(
        &mut self,
        agent: AgentKey,
        gap: v1::Gap,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) -> Result<(), ChangeRefused> {
        if gap.kind() == v1::GapKind::Unspecified {
            return Err(ChangeRefused::Malformed("the kind of a gap"));
        }
        let limit = self.limits.gaps;
        let entry = &mut self.agents[agent];
        let epoch = entry.epoch;
        entry.account(now_ms);
        let same = |open: &OpenGap| {
            (open.gap.kind, &open.gap.what, open.gap.cgroup_id)
                == (gap.kind, &gap.what, gap.cgroup_id)
        };
        let at = entry.gaps.iter().position(same);
        match at {
            Some(at) if gap.until_unix_ns != 0 => {
                entry.gaps.remove(at);
            }
            Some(at) => {
                entry.gaps[at].epoch = epoch;
                if entry.gaps[at].gap == gap {
                    return Ok(());
                }
                entry.gaps[at].gap = gap.clone();
            }
            None if gap.until_unix_ns != 0 => {}
            None => {
                if entry.gaps.len() >= limit {
                    // One entry more would not make the list clearer; the agent stays incomplete.
                    return Err(ChangeRefused::Full("gaps"));
                }
                entry.gaps.push(OpenGap {
                    gap: gap.clone(),
                    epoch,
                });
            }
        }
        self.incomplete_revision += 1;
        let container = entry.containers.get(gap.container_id.as_str()).copied();
        if let Some(container) = container {
            self.touch_container(container);
        }
        self.touch_host(agent);
        if self.events_wanted {
            events.push(v1::Event {
                container: container.map(|key| self.containers[key].to_event()),
                gap: Some(gap.clone()),
                ..self.event(
                    agent,
                    EventKind::Gap,
                    gap.since_unix_ns.max(gap.until_unix_ns),
                )
            });
        }
        Ok(())
    }

    pub(super) fn apply_status(&mut self, agent: AgentKey, status: v1::AgentStatus) {
        let entry = &mut self.agents[agent];
        if !status.capabilities.is_empty() && entry.capabilities != status.capabilities {
            entry.capabilities.clone_from(&status.capabilities);
            self.incomplete_revision += 1;
        }
        let governor = entry.status.as_ref().map(|old| old.governor.clone());
        if governor.as_deref() != Some(&status.governor) {
            self.incomplete_revision += 1;
        }
        entry.status = Some(status);
    }
}

fn host_metrics_differ(told: &v1::HostMetrics, now: &v1::HostMetrics) -> bool {
    differs(told.cpu_cores_used, now.cpu_cores_used, 0.02)
        || differs_count(told.memory_used_bytes, now.memory_used_bytes, 16 << 20)
        || differs(told.load_1m, now.load_1m, 0.05)
        || differs(
            told.network_received_bytes_per_s,
            now.network_received_bytes_per_s,
            1_000.0,
        )
        || differs(
            told.network_sent_bytes_per_s,
            now.network_sent_bytes_per_s,
            1_000.0,
        )
        || differs(
            told.disk_read_bytes_per_s,
            now.disk_read_bytes_per_s,
            10_000.0,
        )
        || differs(
            told.disk_written_bytes_per_s,
            now.disk_written_bytes_per_s,
            10_000.0,
        )
        || differs_count(told.disk_used_bytes, now.disk_used_bytes, 1 << 20)
        || differs_count(told.processes.into(), now.processes.into(), 0)
}
