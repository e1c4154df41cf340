//! Groups of nodes as nodes, and sums of edges as edges.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use mesoscope_proto::v1;
use rustc_hash::FxHashMap;

use super::{Fields, host_ref, measures, metric, on_host, protocol_name};
use crate::{
    Topology, ViewKind,
    edge::{PORTS_SHOWN, Sums},
    graph::{GraphNode, Subject},
    grouping::{Endpoint, Grouping},
    keys::{AgentKey, EdgeKey, NodeKey},
};

/// Names, addresses and the like that are listed of a group.
const LISTED_MAX: usize = 8;

/// What a node adds to its groups.
#[derive(Debug)]
struct Part {
    agent: Option<AgentKey>,
    label: String,
    state: String,
    health: String,
    health_reason: String,
    first_seen_ms: u64,
    /// Values and what would be full, in the order of the metrics of its kind; none once it has ended.
    metrics: Vec<(f64, f64)>,
}

/// What nodes add to their groups.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    of: FxHashMap<NodeKey, Part>,
    /// The metrics of their kind, without values.
    metrics: Vec<v1::Metric>,
}

impl Parts {
    /// Takes a node in as it is now.
    pub(crate) fn take(&mut self, topology: &Topology, grouping: &Grouping, key: NodeKey) {
        let node = topology.graph(grouping.view).nodes.get(key);
        let Some(node) = node.filter(|node| !node.subject.is_pseudo()) else {
            return;
        };
        let Some(mut message) = topology.render_node(grouping.view, key) else {
            self.of.remove(&key);
            return;
        };
        let metrics = std::mem::take(&mut message.metrics);
        let part = Part {
            agent: topology.agent_of(node),
            label: message.label,
            state: message.state,
            health: message.health,
            health_reason: message.health_reason,
            first_seen_ms: message.first_seen_unix_ms,
            metrics: metrics
                .iter()
                .map(|metric| (metric.value, metric.max))
                .collect(),
        };
        if self.metrics.is_empty() {
            self.metrics = metrics;
        }
        self.of.insert(key, part);
    }

    pub(crate) fn forget(&mut self, key: NodeKey) {
        self.of.remove(&key);
    }

    /// A group as the API has it.
    pub(crate) fn render<T>(
        &self,
        topology: &Topology,
        grouping: &Grouping,
        id: &str,
        members: &BTreeMap<NodeKey, T>,
    ) -> v1::Node {
        if let Some(place) = id.strip_prefix("pseudo;clients;") {
            return topology.render_clients(id, place);
        }
        if id.starts_with("pseudo;") {
            let mut members = members.keys();
            let node = members.find_map(|key| topology.render_node(grouping.view, *key));
            return node.unwrap_or_else(|| v1::Node {
                id: id.into(),
                pseudo: true,
                ..Default::default()
            });
        }
        let parts: Vec<&Part> = members.keys().filter_map(|key| self.of.get(key)).collect();
        let agents: BTreeSet<AgentKey> = parts.iter().filter_map(|part| part.agent).collect();
        let worst = parts
            .iter()
            .min_by_key(|part| (severity(&part.health), &part.label, &part.health_reason));
        let health_reason = worst.filter(|part| !part.health_reason.is_empty());
        let mut node = v1::Node {
            kind: grouping.kind.into(),
            state: state(&parts),
            health: worst.map_or("unknown", |part| &part.health).into(),
            health_reason: health_reason
                .map(|part| format!("{}: {}", part.label, part.health_reason))
                .unwrap_or_default(),
            metrics: self.sums(&parts),
            first_seen_unix_ms: parts
                .iter()
                .map(|part| part.first_seen_ms)
                .min()
                .unwrap_or(0),
            children: u32::try_from(parts.len()).unwrap_or(u32::MAX),
            ..Default::default()
        };
        match Endpoint::parse(id) {
            Some(endpoint) => {
                topology.describe_endpoint(&mut node, endpoint, &parts, members.keys());
            }
            None => {
                let of = grouping.view.base().name();
                let mut fields = Fields::default();
                fields.number(of, &capital(of), parts.len() as u64);
                fields.number("hosts", "Hosts", agents.len() as u64);
                node.label = grouping.name(id).into();
                node.label_minor = format!(
                    "{} on {}",
                    counted(parts.len(), of),
                    counted(agents.len(), "hosts")
                );
                node.metadata = fields.0;
            }
        }
        node.id = id.into();
        node
    }

    /// The sum of each metric; full is what would be full on all hosts together.
    fn sums(&self, parts: &[&Part]) -> Vec<v1::Metric> {
        if parts.iter().all(|part| part.metrics.is_empty()) {
            return Vec::new();
        }
        let sum = |at: usize| {
            let mut values: Vec<f64> = Vec::with_capacity(parts.len());
            let mut full: BTreeMap<AgentKey, f64> = BTreeMap::new();
            for part in parts {
                let Some((value, max)) = part.metrics.get(at) else {
                    continue;
                };
                values.push(*value);
                if let Some(agent) = part.agent {
                    let host = full.entry(agent).or_default();
                    *host = host.max(*max);
                }
            }
            // The same sum whatever the order of the members.
            values.sort_by(f64::total_cmp);
            let mut full: Vec<f64> = full.into_values().collect();
            full.sort_by(f64::total_cmp);
            (values.iter().sum(), full.iter().sum())
        };
        let metrics = self.metrics.iter().enumerate();
        metrics
            .map(|(at, kind)| {
                let (value, max) = sum(at);
                metric(&kind.key, &kind.label, value, &kind.unit, max)
            })
            .collect()
    }
}

/// What an edge of a grouped view is the sum of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SumOf {
    /// A whole edge.
    Edge(EdgeKey),
    /// The connections of an edge to one port, or to those not told apart.
    Port(EdgeKey, Option<u16>),
}

impl Topology {
    /// The measures of a sum of edges; `None` when nothing of it is there.
    pub(crate) fn render_sum(&self, view: ViewKind, parts: &BTreeSet<SumOf>) -> Option<v1::Edge> {
        let graph = self.graph(view);
        let mut sums = Sums::default();
        let mut ports = BTreeSet::new();
        for part in parts {
            match part {
                SumOf::Edge(key) => {
                    let Some(edge) = graph.edges.get(*key) else {
                        continue;
                    };
                    sums.merge(&edge.sums());
                    ports.extend(edge.ports());
                }
                SumOf::Port(key, port) => {
                    let edge = graph.edges.get(*key);
                    let mut by_port = edge.into_iter().flat_map(|edge| edge.by_port());
                    let Some((_, of_port)) = by_port.find(|(known, _)| known == port) else {
                        continue;
                    };
                    sums.merge(of_port);
                    ports.extend(port.map(u32::from));
                }
            }
        }
        (sums.first_seen_ms != u64::MAX).then(|| v1::Edge {
            ports: ports.into_iter().take(PORTS_SHOWN).collect(),
            ..measures(&sums)
        })
    }

    fn agent_of(&self, node: &GraphNode) -> Option<AgentKey> {
        match &node.subject {
            Subject::Process(key) => Some(self.processes.get(*key)?.agent),
            Subject::Container(key) => Some(self.containers.get(*key)?.agent),
            Subject::Host(agent) | Subject::Uncontained(agent) => Some(*agent),
            _ => None,
        }
    }

    /// The host and, when it is one, the container of this id.
    fn place_nodes(&self, place: &str) -> Vec<v1::NodeRef> {
        let view = if place.starts_with("container;") {
            ViewKind::Containers
        } else {
            ViewKind::Hosts
        };
        let Some(key) = self.find_node(view, place) else {
            return Vec::new();
        };
        let mut places = Vec::new();
        match self.graph(view).nodes[key].subject {
            Subject::Container(key) => {
                let Some(container) = self.containers.get(key) else {
                    return Vec::new();
                };
                places.push(v1::NodeRef {
                    view: view.name().into(),
                    id: place.into(),
                    label: container.label().into(),
                });
                places.extend(self.agents.get(container.agent).map(host_ref));
            }
            Subject::Host(agent) => places.extend(self.agents.get(agent).map(host_ref)),
            _ => {}
        }
        places
    }

    /// A node on the host of this place.
    fn at_place(&self, place: &[v1::NodeRef]) -> v1::Node {
        let host = place.last().and_then(|host| host.id.strip_prefix("host;"));
        let agent = host.and_then(|id| self.find_agent(id));
        agent.map_or_else(v1::Node::default, |agent| on_host(&self.agents[agent]))
    }

    /// What connects to others and is no service itself.
    fn render_clients(&self, id: &str, place: &str) -> v1::Node {
        let parents = self.place_nodes(place);
        let name = |at: &v1::NodeRef| at.label.clone();
        let mut node = v1::Node {
            id: id.into(),
            kind: "clients".into(),
            label: match parents.as_slice() {
                [container, _] => container.label.clone(),
                _ => "Clients".into(),
            },
            label_minor: match parents.as_slice() {
                [_, host] => format!("Clients on {}", host.label),
                parents => parents.first().map(name).unwrap_or_default(),
            },
            pseudo: true,
            state: "running".into(),
            health: "unknown".into(),
            ..self.at_place(&parents)
        };
        node.parents = parents;
        node
    }

    fn describe_endpoint<'a>(
        &self,
        node: &mut v1::Node,
        endpoint: Endpoint<'_>,
        parts: &[&Part],
        members: impl Iterator<Item = &'a NodeKey>,
    ) {
        let parents = self.place_nodes(endpoint.place);
        let at = self.at_place(&parents);
        (node.group, node.group_label) = (at.group, at.group_label);
        let names: BTreeSet<&str> = parts.iter().map(|part| part.label.as_str()).collect();
        let host = parents.last().map_or("", |host| &host.label);
        let container = match parents.as_slice() {
            [container, _] => Some(container.label.as_str()),
            _ => None,
        };
        let name = container
            .or(names.first().copied())
            .unwrap_or(host)
            .to_owned();
        node.label = format!("{name}:{}", endpoint.port);
        node.label_minor = format!("{} on {host}", endpoint.protocol);
        let addresses: BTreeSet<SocketAddr> = members
            .filter_map(
                |key| match self.graph(ViewKind::Processes).nodes.get(*key)?.subject {
                    Subject::Process(process) => self.processes.get(process),
                    _ => None,
                },
            )
            .flat_map(|process| &process.listeners)
            .filter_map(|key| self.listeners.get(*key))
            .filter(|listener| {
                protocol_name(listener.protocol) == endpoint.protocol
                    && listener.local.port().to_string() == endpoint.port
            })
            .map(|listener| listener.local)
            .collect();
        let mut fields = Fields::default();
        fields.text("protocol", "Protocol", endpoint.protocol);
        fields.text("port", "Port", endpoint.port);
        let addresses = addresses.iter().map(ToString::to_string);
        fields.add("addresses", "Listens on", "address", listed(addresses));
        let names = names.into_iter().map(str::to_owned);
        fields.text("processes", "Processes", &listed(names));
        node.metadata = fields.0;
        node.parents = parents;
    }
}

fn severity(health: &str) -> u8 {
    match health {
        "critical" => 0,
        "warning" => 1,
        "unknown" => 2,
        _ => 3,
    }
}

/// Running while one of them is.
fn state(parts: &[&Part]) -> String {
    let states: BTreeSet<&str> = parts.iter().map(|part| part.state.as_str()).collect();
    match states.first() {
        _ if states.contains("running") => "running".into(),
        Some(state) => (*state).into(),
        None => String::new(),
    }
}

fn listed(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(LISTED_MAX);
    let mut list: Vec<String> = all.take(LISTED_MAX).collect();
    if more > 0 {
        list.push(format!("and {more} more"));
    }
    list.join(", ")
}

/// "1 process", "2 processes".
fn counted(count: usize, many: &str) -> String {
    let one = match many {
        "processes" => "process",
        "containers" => "container",
        _ => "host",
    };
    format!("{count} {}", if count == 1 { one } else { many })
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
