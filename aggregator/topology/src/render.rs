//! From the tables to the nodes and edges of the API.

mod container;
mod group;
mod host;
mod process;
mod pseudo;

use std::sync::Arc;

use mesoscope_proto::v1::{self, Protocol};

use crate::{
    Topology, ViewKind,
    agent::Agent,
    edge::{GraphEdge, Sums},
    graph::{GraphNode, Subject},
    keys::{EdgeKey, NodeKey},
};

pub(crate) use container::oom_kills;
pub(crate) use group::{Parts, SumOf};

impl Topology {
    /// A node as the API has it; `None` when it is gone.
    pub(crate) fn render_node(&self, kind: ViewKind, key: NodeKey) -> Option<v1::Node> {
        let node = self.graph(kind).nodes.get(key)?;
        let mut message = match &node.subject {
            Subject::Process(process) => self.render_process(*process)?,
            Subject::Container(container) => self.render_container(*container)?,
            Subject::Host(agent) => self.render_host(*agent)?,
            _ => self.render_pseudo(kind, node),
        };
        message.id = node.id.to_string();
        message.first_seen_unix_ms = node.first_seen_ms;
        Some(message)
    }

    /// An edge as the API has it; `None` when it is gone.
    pub(crate) fn render_edge(&self, kind: ViewKind, key: EdgeKey) -> Option<v1::Edge> {
        let graph = self.graph(kind);
        let edge = graph.edges.get(key)?;
        let source = graph.nodes.get(edge.name.source)?;
        let target = graph.nodes.get(edge.name.target)?;
        Some(v1::Edge {
            id: self.edge_id(edge, source, target).to_string(),
            source: source.id.to_string(),
            target: target.id.to_string(),
            protocol: protocol_name(edge.name.protocol).into(),
            application: self.symbols.name(edge.name.application).to_string(),
            ports: edge.ports(),
            ..measures(&edge.sums())
        })
    }

    fn edge_id<'a>(
        &self,
        edge: &'a GraphEdge,
        source: &GraphNode,
        target: &GraphNode,
    ) -> &'a Arc<str> {
        edge.id.get_or_init(|| {
            let application = self.symbols.name(edge.name.application);
            edge_id(&source.id, &target.id, edge.name.protocol, application).into()
        })
    }

    /// The id of an edge that is there.
    pub(crate) fn id_of_edge(&self, kind: ViewKind, key: EdgeKey) -> Option<Arc<str>> {
        let graph = self.graph(kind);
        let edge = graph.edges.get(key)?;
        let source = graph.nodes.get(edge.name.source)?;
        let target = graph.nodes.get(edge.name.target)?;
        Some(self.edge_id(edge, source, target).clone())
    }
}

pub(crate) fn edge_id(source: &str, target: &str, protocol: Protocol, application: &str) -> String {
    let slash = if application.is_empty() { "" } else { "/" };
    let protocol = protocol_name(protocol);
    format!("{source}>{target}>{protocol}{slash}{application}")
}

/// What connections add up to, as the API has it.
pub(crate) fn measures(sums: &Sums) -> v1::Edge {
    v1::Edge {
        connections_open: sums.open,
        connections_total: sums.total,
        failures_total: sums.failures,
        bytes_forward: sums.forward,
        bytes_back: sums.back,
        rtt_us: sums.rtt_us(),
        retransmits_total: sums.retransmits,
        first_seen_unix_ms: sums.first_seen_ms,
        last_seen_unix_ms: sums.last_seen_ms,
        // More digits are noise, and long.
        connections_per_s: (sums.rates.connections * 100.0).round() / 100.0,
        bytes_forward_per_s: sums.rates.forward.round(),
        bytes_back_per_s: sums.rates.back.round(),
        ..Default::default()
    }
}

/// What changes all the time of a node.
pub(crate) fn node_figures(node: v1::Node) -> v1::NodeFigures {
    v1::NodeFigures {
        id: node.id,
        children: node.children,
        values: node.metrics.iter().map(|metric| metric.value).collect(),
    }
}

/// What changes all the time of an edge.
pub(crate) fn edge_figures(edge: v1::Edge) -> v1::EdgeFigures {
    v1::EdgeFigures {
        id: edge.id,
        connections_open: edge.connections_open,
        connections_total: edge.connections_total,
        failures_total: edge.failures_total,
        bytes_forward: edge.bytes_forward,
        bytes_back: edge.bytes_back,
        rtt_us: edge.rtt_us,
        retransmits_total: edge.retransmits_total,
        last_seen_unix_ms: edge.last_seen_unix_ms,
        connections_per_s: edge.connections_per_s,
        bytes_forward_per_s: edge.bytes_forward_per_s,
        bytes_back_per_s: edge.bytes_back_per_s,
    }
}

pub(crate) fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Unspecified => "",
    }
}

/// A node of something on a host: drawn with the others of that host.
fn on_host(agent: &Agent) -> v1::Node {
    v1::Node {
        group: agent.id.to_string(),
        group_label: agent.hostname.to_string(),
        ..Default::default()
    }
}

fn host_ref(agent: &Agent) -> v1::NodeRef {
    v1::NodeRef {
        view: ViewKind::Hosts.name().into(),
        id: format!("host;{}", agent.id),
        label: agent.hostname.to_string(),
    }
}

/// Fields in their order; empty ones are left out.
#[derive(Default)]
pub(crate) struct Fields(pub Vec<v1::Field>);

impl Fields {
    pub(crate) fn add(&mut self, key: &str, label: &str, kind: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.push(v1::Field {
                key: key.into(),
                label: label.into(),
                value,
                r#type: kind.into(),
            });
        }
    }

    pub(crate) fn text(&mut self, key: &str, label: &str, value: &str) {
        self.add(key, label, "text", value);
    }

    /// A number, left out when it is 0.
    pub(crate) fn number(&mut self, key: &str, label: &str, value: u64) {
        if value != 0 {
            self.add(key, label, "number", value.to_string());
        }
    }

    /// A size, left out when it is 0.
    pub(crate) fn bytes(&mut self, key: &str, label: &str, value: u64) {
        if value != 0 {
            self.add(key, label, "bytes", value.to_string());
        }
    }

    /// A moment (Unix nanoseconds in, milliseconds out), left out when it is 0.
    pub(crate) fn time(&mut self, key: &str, label: &str, unix_ns: u64) {
        if unix_ns != 0 {
            self.add(key, label, "time", (unix_ns / 1_000_000).to_string());
        }
    }
}

fn metric(key: &str, label: &str, value: f64, unit: &str, max: f64) -> v1::Metric {
    // JSON has no word for what is no number.
    let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
    let (value, max) = (finite(value), finite(max));
    v1::Metric {
        key: key.into(),
        label: label.into(),
        value,
        unit: unit.into(),
        max,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a size to be drawn")]
fn as_f64(value: u64) -> f64 {
    value as f64
}
