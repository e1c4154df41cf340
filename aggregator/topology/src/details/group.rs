//! Everything known of a group.

use std::collections::{BTreeMap, BTreeSet};

use mesoscope_proto::v1;

use super::Part;
use crate::{
    Topology, ViewKind,
    end::Drawn,
    grouping::{self, Endpoint, Grouping},
    keys::{AgentKey, ContainerKey, NodeKey},
    render::{Fields, Parts, protocol_name},
};

/// Services of a container, and hosts of a group, in one answer.
const REFERENCES_MAX: usize = 100;

impl Topology {
    /// Everything known of a group; `None` when nothing is in it.
    pub(super) fn group_details(
        &self,
        grouping: &Grouping,
        id: &str,
        connections: Part,
    ) -> Option<v1::NodeDetails> {
        if id.starts_with("pseudo;") && !id.starts_with("pseudo;clients;") {
            return None;
        }
        let members = self.members_of(grouping, id);
        let mut parts = Parts::default();
        let mut nodes = BTreeMap::new();
        for key in &members {
            parts.take(self, grouping, *key);
            nodes.insert(*key, ());
        }
        if members.is_empty() {
            return None;
        }
        let mut node = parts.render(self, grouping, id, &nodes);
        let base = grouping.view.base();
        let mut hosts = BTreeMap::new();
        let mut children = Vec::new();
        for key in &members {
            let Some(member) = self.render_node(base, *key) else {
                continue;
            };
            let host = member
                .parents
                .into_iter()
                .find(|parent| parent.view == "hosts");
            hosts.extend(host.map(|host| (host.id.clone(), host)));
            children.push(v1::NodeRef {
                view: base.name().into(),
                id: member.id,
                label: match base {
                    ViewKind::Processes => format!("{} · {}", member.label, member.label_minor),
                    _ => member.label,
                },
            });
        }
        children.sort_by(|a, b| (&a.label, &a.id).cmp(&(&b.label, &b.id)));
        let known: BTreeSet<String> = node.parents.iter().map(|known| known.id.clone()).collect();
        let new = hosts.into_values().filter(|host| !known.contains(&host.id));
        node.parents.extend(new.take(REFERENCES_MAX));
        let about = v1::Section {
            title: "About".into(),
            fields: node.metadata.clone(),
        };
        let mut details = v1::NodeDetails {
            sections: if about.fields.is_empty() {
                vec![v1::Section {
                    fields: about_clients(&node),
                    ..about
                }]
            } else {
                vec![about]
            },
            children,
            ..Default::default()
        };
        let endpoint = Endpoint::parse(id);
        let wanted =
            |drawn: &Drawn| endpoint.is_none_or(|endpoint| self.reaches(drawn, &nodes, endpoint));
        self.add_connections(base, &members, wanted, connections, &mut details);
        details.node = Some(node);
        Some(details)
    }

    /// Nodes that are in a group, or stand behind it by connections that reached them there.
    fn members_of(&self, grouping: &Grouping, id: &str) -> Vec<NodeKey> {
        let graph = self.graph(grouping.view);
        let endpoint = Endpoint::parse(id).filter(|_| grouping.is_by_port());
        let clients = id.starts_with("pseudo;clients;");
        let is_in = |key: NodeKey| {
            let node = &graph.nodes[key];
            if clients {
                let begins = |edge| {
                    graph
                        .edges
                        .get(edge)
                        .is_some_and(|edge| edge.name.source == key)
                };
                return node.edges.iter().any(|edge| begins(*edge))
                    && grouping.source(self, node).as_deref() == Some(id);
            }
            if grouping
                .groups(self, node)
                .iter()
                .any(|group| **group == *id)
            {
                return true;
            }
            let Some(endpoint) = endpoint else {
                return false;
            };
            grouping.place(self, node).as_deref() == Some(endpoint.place)
                && node.edges.iter().any(|edge| {
                    let edge = graph
                        .edges
                        .get(*edge)
                        .filter(|edge| edge.name.target == key);
                    edge.is_some_and(|edge| {
                        protocol_name(edge.name.protocol) == endpoint.protocol
                            && edge
                                .by_port()
                                .any(|(port, _)| port_name(port) == endpoint.port)
                    })
                })
        };
        graph.nodes.keys().filter(|key| is_in(*key)).collect()
    }

    /// Whether a connection is one to an endpoint of these nodes.
    fn reaches(
        &self,
        drawn: &Drawn,
        nodes: &BTreeMap<NodeKey, ()>,
        endpoint: Endpoint<'_>,
    ) -> bool {
        let graph = self.graph(ViewKind::Processes);
        let edge = drawn.edges[ViewKind::Processes.index()].and_then(|edge| graph.edges.get(edge));
        edge.is_some_and(|edge| {
            nodes.contains_key(&edge.name.target)
                && protocol_name(edge.name.protocol) == endpoint.protocol
                && (drawn.share.port.to_string() == endpoint.port || endpoint.port == "others")
        })
    }

    /// The endpoints that the processes of a container listen on.
    pub(super) fn services_at(&self, agent: AgentKey, within: ContainerKey) -> Vec<v1::NodeRef> {
        let Some((agent, services)) = self.agents.get(agent).zip(grouping::of(ViewKind::Services))
        else {
            return Vec::new();
        };
        let graph = self.graph(ViewKind::Processes);
        let mut found = BTreeMap::new();
        let inside = agent
            .processes
            .values()
            .filter_map(|key| self.processes.get(*key));
        for process in inside.filter(|process| process.container == Some(within)) {
            let Some(node) = graph.nodes.get(process.node) else {
                continue;
            };
            for id in services.groups(self, node) {
                let label = self.group_label(services, node, &id);
                found.insert(id, label);
            }
        }
        let refer = |(id, label): (std::sync::Arc<str>, String)| v1::NodeRef {
            view: ViewKind::Services.name().into(),
            id: id.to_string(),
            label,
        };
        found.into_iter().take(REFERENCES_MAX).map(refer).collect()
    }
}

fn about_clients(node: &v1::Node) -> Vec<v1::Field> {
    let mut fields = Fields::default();
    fields.text("about", "About", &node.label_minor);
    fields.0
}

fn port_name(port: Option<u16>) -> String {
    port.map_or_else(|| "others".into(), |port| port.to_string())
}
