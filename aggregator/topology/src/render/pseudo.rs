//! Nodes that stand for what no agent sees, or for many at once.

use mesoscope_proto::v1;

use super::{Fields, host_ref, on_host};
use crate::{
    Topology, ViewKind,
    graph::{GraphNode, Subject},
    keys::AgentKey,
};

impl Topology {
    pub(super) fn render_pseudo(&self, kind: ViewKind, node: &GraphNode) -> v1::Node {
        let mut message = match &node.subject {
            Subject::Uncontained(agent) => self.render_uncontained(*agent),
            Subject::Internet { clients } => v1::Node {
                kind: "internet".into(),
                label: "The Internet".into(),
                label_minor: if *clients {
                    "Inbound connections"
                } else {
                    "Outbound connections"
                }
                .into(),
                ..Default::default()
            },
            Subject::Service(name) => v1::Node {
                kind: "service".into(),
                label: name.to_string(),
                label_minor: "Service".into(),
                ..Default::default()
            },
            Subject::Address(ip, scope) => self.render_address(kind, node, *ip, *scope),
            Subject::Others | Subject::Process(_) | Subject::Container(_) | Subject::Host(_) => {
                v1::Node {
                    kind: "address".into(),
                    label: "Other addresses".into(),
                    label_minor: "Beyond the bound on single addresses".into(),
                    ..Default::default()
                }
            }
        };
        message.pseudo = true;
        message.state = "running".into();
        // Nobody of ours looks at it.
        message.health = if matches!(node.subject, Subject::Uncontained(_)) {
            "ok"
        } else {
            "unknown"
        }
        .into();
        message
    }

    fn render_uncontained(&self, agent: AgentKey) -> v1::Node {
        let Some(agent) = self.agents.get(agent) else {
            return v1::Node::default();
        };
        v1::Node {
            kind: "uncontained".into(),
            label: "Uncontained".into(),
            label_minor: agent.hostname.to_string(),
            parents: vec![host_ref(agent)],
            ..on_host(agent)
        }
    }

    fn render_address(
        &self,
        kind: ViewKind,
        node: &GraphNode,
        ip: std::net::IpAddr,
        scope: Option<AgentKey>,
    ) -> v1::Node {
        let owner = self.places.sole_owner(ip);
        let agent = scope
            .or(owner.map(|owner| owner.agent))
            .and_then(|agent| self.agents.get(agent));
        let container = owner
            .and_then(|owner| owner.container)
            .and_then(|key| self.containers.get(key));
        let mut message = agent
            .filter(|_| kind != ViewKind::Hosts)
            .map(on_host)
            .unwrap_or_default();
        let name = self.name_for_label(kind, node, ip);
        let mut fields = Fields::default();
        fields.add("address", "Address", "address", ip.to_string());
        message.kind = "address".into();
        message.metadata = fields.0;
        (message.label, message.label_minor) = match (container, agent, name) {
            (Some(container), _, _) => (ip.to_string(), container.label().into()),
            (None, Some(agent), _) => (ip.to_string(), agent.hostname.to_string()),
            (None, None, Some(name)) => (name, ip.to_string()),
            (None, None, None) => (ip.to_string(), String::new()),
        };
        message
    }

    /// A name that an agent connected to the address knows for it.
    fn name_for_label(
        &self,
        kind: ViewKind,
        node: &GraphNode,
        ip: std::net::IpAddr,
    ) -> Option<String> {
        let graph = self.graph(kind);
        let agent_of = |key| match graph.nodes.get(key)?.subject {
            Subject::Process(process) => Some(self.processes.get(process)?.agent),
            Subject::Container(container) => Some(self.containers.get(container)?.agent),
            Subject::Host(agent) | Subject::Uncontained(agent) => Some(agent),
            _ => None,
        };
        // Those with many edges are asked only a few times.
        let edges = node
            .edges
            .iter()
            .take(8)
            .filter_map(|edge| graph.edges.get(*edge));
        let names = edges
            .flat_map(|edge| [edge.name.source, edge.name.target])
            .filter_map(agent_of)
            .filter_map(|agent| self.names.get(agent, ip));
        names.map(|name| name.name.to_string()).min()
    }
}
