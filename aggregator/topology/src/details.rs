//! Everything known of one node.

mod group;
mod sections;
mod tree;

use mesoscope_proto::v1;
use rustc_hash::FxHashSet;

use crate::{
    Topology, ViewKind,
    agent::Agent,
    end::{Drawn, End},
    entities::{Container, Process},
    graph::Subject,
    grouping,
    keys::{AgentKey, ContainerKey, EndKey, NodeKey},
    render::protocol_name,
};

/// Connections in one answer.
const CONNECTIONS_MAX: usize = 500;
/// Children in one answer.
const CHILDREN_MAX: usize = 2_000;

/// The part of a list that an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// So many are passed over.
    pub skip: usize,
    /// So many are told at most.
    pub take: usize,
}

impl Part {
    /// Nothing of it.
    pub const NONE: Self = Self { skip: 0, take: 0 };
    const CHILDREN: Self = Self {
        skip: 0,
        take: CHILDREN_MAX,
    };
    const CONNECTIONS: Self = Self {
        skip: 0,
        take: CONNECTIONS_MAX,
    };

    /// Leaves the part, and tells how many come behind it.
    fn cut<T>(self, list: &mut Vec<T>) -> u32 {
        list.drain(..self.skip.min(list.len()));
        let behind = list.len().saturating_sub(self.take);
        list.truncate(self.take);
        u32::try_from(behind).unwrap_or(u32::MAX)
    }
}

impl Topology {
    /// Everything known of one node; `None` when the view has no such node.
    #[must_use]
    pub fn node(&self, view: ViewKind, id: &str, environment: bool) -> Option<v1::NodeDetails> {
        self.node_in_part(view, id, environment, Part::CHILDREN, Part::CONNECTIONS)
    }

    /// The same with other parts of its children and connections. Children are in the order of their
    /// labels (processes: of their start); connections that are open come first, the latest before
    /// the others.
    #[must_use]
    pub fn node_in_part(
        &self,
        view: ViewKind,
        id: &str,
        environment: bool,
        children: Part,
        connections: Part,
    ) -> Option<v1::NodeDetails> {
        let mut details = self.details(view, id, environment, connections)?;
        details.children_left_out = children.cut(&mut details.children);
        Some(details)
    }

    fn details(
        &self,
        view: ViewKind,
        id: &str,
        environment: bool,
        connections: Part,
    ) -> Option<v1::NodeDetails> {
        if let Some(grouping) = grouping::of(view) {
            // What is no group in it is what it is in the other view.
            if let Some(details) = self.group_details(grouping, id, connections) {
                return Some(details);
            }
        }
        let key = self.find_node(view, id)?;
        let node = &self.graph(view).nodes[key];
        let mut details = v1::NodeDetails {
            node: self.render_node(view, key),
            sections: self.sections(view, key, environment)?,
            plugins: self.plugins_of(view, key).cloned().collect(),
            ..Default::default()
        };
        match &node.subject {
            Subject::Container(container) => {
                let agent = self.containers.get(*container)?.agent;
                self.add_tree(agent, Some(Some(*container)), &mut details);
                details.children = self.processes_of(agent, Some(*container));
                let services = self.services_at(agent, *container);
                details.children.extend(services);
            }
            Subject::Host(agent) => {
                self.add_tree(*agent, None, &mut details);
                details.children = self.containers_of(self.agents.get(*agent)?);
            }
            Subject::Uncontained(agent) => {
                self.add_tree(*agent, Some(None), &mut details);
                details.children = self.processes_of(*agent, None);
            }
            _ => {}
        }
        if let Some(shown) = &mut details.node {
            shown.parents.extend(self.groups_of(view.base(), node));
        }
        self.add_connections(view, &[key], |_| true, connections, &mut details);
        Some(details)
    }

    pub(crate) fn find_node(&self, view: ViewKind, id: &str) -> Option<NodeKey> {
        let (kind, rest) = id.split_once(';')?;
        let graph = self.graph(view);
        let key = match (view, kind) {
            (ViewKind::Processes, "process") => {
                let mut parts = rest.rsplitn(3, ';');
                let start = parts.next()?.parse().ok()?;
                let pid = parts.next()?.parse().ok()?;
                let agent = &self.agents[self.find_agent(parts.next()?)?];
                self.processes[*agent.processes.get(&(pid, start))?].node
            }
            (ViewKind::Containers, "container") => {
                let container = match rest.split_once(';') {
                    Some((id, agent)) => {
                        *self.agents[self.find_agent(agent)?].containers.get(id)?
                    }
                    None => *self.container_ids.get(rest)?,
                };
                self.containers[container].node
            }
            (ViewKind::Hosts, "host") => self.agents[self.find_agent(rest)?].node,
            (_, "pseudo") => graph.find_pseudo(&self.pseudo_subject(rest)?)?,
            _ => return None,
        };
        graph.nodes.contains_key(key).then_some(key)
    }

    fn pseudo_subject(&self, rest: &str) -> Option<Subject> {
        let (kind, name) = rest.split_once(';')?;
        Some(match (kind, name) {
            ("internet", "in") => Subject::Internet { clients: true },
            ("internet", "out") => Subject::Internet { clients: false },
            ("uncontained", agent) => Subject::Uncontained(self.find_agent(agent)?),
            ("service", name) => Subject::Service(name.into()),
            ("address", "others") => Subject::Others,
            ("address", text) => match text.split_once(';') {
                Some((ip, agent)) => {
                    Subject::Address(ip.parse().ok()?, Some(self.find_agent(agent)?))
                }
                None => Subject::Address(text.parse().ok()?, None),
            },
            _ => return None,
        })
    }

    fn processes_of(&self, agent: AgentKey, container: Option<ContainerKey>) -> Vec<v1::NodeRef> {
        let Some(agent) = self.agents.get(agent) else {
            return Vec::new();
        };
        let mut inside: Vec<&Process> = agent
            .processes
            .values()
            .map(|key| &self.processes[*key])
            .filter(|process| process.container == container && !self.is_over(process))
            .filter(|process| !process.record.kernel_thread)
            .collect();
        inside.sort_by_key(|process| (process.start, process.pid));
        let graph = self.graph(ViewKind::Processes);
        let refer = |process: &Process| v1::NodeRef {
            view: ViewKind::Processes.name().into(),
            id: graph.nodes[process.node].id.to_string(),
            label: format!("{} ({})", process.label(), process.pid),
        };
        inside.into_iter().map(refer).collect()
    }

    fn containers_of(&self, agent: &Agent) -> Vec<v1::NodeRef> {
        let mut containers: Vec<&Container> = agent
            .containers
            .values()
            .map(|key| &self.containers[*key])
            .collect();
        containers.sort_by(|a, b| (a.label(), &a.id).cmp(&(b.label(), &b.id)));
        let graph = self.graph(ViewKind::Containers);
        let refer = |container: &Container| v1::NodeRef {
            view: ViewKind::Containers.name().into(),
            id: graph.nodes[container.node].id.to_string(),
            label: container.label().into(),
        };
        containers.into_iter().map(refer).collect()
    }

    /// The connections that are drawn at some nodes and wanted, the latest first.
    fn add_connections(
        &self,
        view: ViewKind,
        nodes: &[NodeKey],
        wanted: impl Fn(&Drawn) -> bool,
        part: Part,
        details: &mut v1::NodeDetails,
    ) {
        let graph = self.graph(view);
        let listed = nodes.iter().filter_map(|key| graph.nodes.get(*key));
        let edges: FxHashSet<_> = listed.flat_map(|node| node.edges.iter().copied()).collect();
        let drawn_here = |end: &End| {
            end.drawn.as_ref().is_some_and(|drawn| {
                let edge = drawn.edges[view.index()];
                edge.is_some_and(|edge| edges.contains(&edge)) && wanted(drawn)
            })
        };
        let subject = match nodes {
            [one] => graph.nodes.get(*one).map(|node| &node.subject),
            _ => None,
        };
        let mut here: Vec<EndKey> = match subject {
            // Its own list is short; only for the others every end is asked.
            Some(Subject::Process(process)) => {
                let own = self
                    .processes
                    .get(*process)
                    .map(|process| process.ends.clone());
                let mut holders: Vec<_> = own.unwrap_or_default();
                for end in &mut holders {
                    if self.ends[*end].drawn.is_none() {
                        *end = self.ends[*end].peer.unwrap_or(*end);
                    }
                }
                let listed: FxHashSet<_> = holders.into_iter().collect();
                let far = self
                    .ends
                    .iter()
                    .filter(|(key, end)| !listed.contains(key) && drawn_here(end));
                let far: Vec<_> = far.map(|(key, _)| key).collect();
                listed
                    .into_iter()
                    .filter(|key| drawn_here(&self.ends[*key]))
                    .chain(far)
                    .collect()
            }
            _ => self
                .ends
                .iter()
                .filter(|(_, end)| drawn_here(end))
                .map(|(key, _)| key)
                .collect(),
        };
        here.sort_by_key(|key| {
            let end = &self.ends[*key];
            (
                !end.facts.is_open(),
                std::cmp::Reverse(end.facts.opened_unix_ns),
                end.cookie,
            )
        });
        details.connections_left_out = part.cut(&mut here);
        details.connections = here
            .into_iter()
            .filter_map(|end| self.connection_at(view, nodes, &self.ends[end]))
            .collect();
    }

    /// A connection as seen from a node.
    fn connection_at(
        &self,
        view: ViewKind,
        nodes: &[NodeKey],
        drawer: &End,
    ) -> Option<v1::ConnectionDetails> {
        let peer = drawer.peer.and_then(|peer| self.ends.get(peer));
        let edge = drawer.drawn.as_ref()?.edges[view.index()]?;
        let name = self.graph(view).edges.get(edge)?.name;
        let outward = nodes.contains(&name.source);
        let other = if outward { name.target } else { name.source };
        let begins = self.begins(drawer, peer);
        // The end at this node, if an agent reported that one; else the other end, turned round.
        let (end, turned) = match (begins == outward, peer) {
            (true, _) => (drawer, false),
            (false, Some(peer)) => (peer, false),
            (false, None) => (drawer, true),
        };
        let facts = &end.facts;
        let (local, remote) = if turned {
            (facts.real_remote(), facts.local)
        } else {
            (facts.local, facts.remote)
        };
        let (sent, received) = if turned {
            (facts.bytes_received, facts.bytes_sent)
        } else {
            (facts.bytes_sent, facts.bytes_received)
        };
        let peer_node = self.render_node(view, other)?;
        Some(v1::ConnectionDetails {
            direction: if outward { "out" } else { "in" }.into(),
            local: Some(local.into()),
            remote: Some(remote.into()),
            protocol: protocol_name(facts.protocol).into(),
            application: self.symbols.name(facts.application).to_string(),
            state: state_name(facts.state).into(),
            peer: Some(v1::NodeRef {
                view: view.base().name().into(),
                id: peer_node.id,
                label: peer_node.label,
            }),
            bytes_sent: sent,
            bytes_received: received,
            rtt_us: facts.rtt_us,
            retransmits: facts.retransmits,
            opened_unix_ms: end.facts.opened_unix_ns / 1_000_000,
            closed_unix_ms: end.closed_ms(),
        })
    }
}

fn state_name(state: v1::ConnectionState) -> &'static str {
    match state {
        v1::ConnectionState::Unspecified => "",
        v1::ConnectionState::Open => "open",
        v1::ConnectionState::Closed => "closed",
        v1::ConnectionState::Reset => "reset",
        v1::ConnectionState::Failed => "failed",
    }
}
