//! A view with its options, and what its subscribers have been told of it.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use mesoscope_proto::v1;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use crate::{
    Options, Topology, ViewKind,
    graph::Subject,
    journal::Item,
    keys::{AgentKey, EdgeKey, NodeKey},
};

/// What subscribers know of a node or edge.
#[derive(Debug)]
struct Told {
    id: Arc<str>,
    /// Of the message: news that change nothing shown are not sent.
    hash: u64,
}

/// An edge as told, with its nodes.
#[derive(Debug)]
struct ToldEdge {
    told: Told,
    nodes: [NodeKey; 2],
}

/// One view with its options. Subscribers with equal options share one and its differences.
#[derive(Debug)]
pub struct View {
    kind: ViewKind,
    options: Options,
    sequence: u64,
    started: bool,
    cursor: u64,
    nodes: FxHashMap<NodeKey, Told>,
    edges: FxHashMap<EdgeKey, ToldEdge>,
    /// Number of told edges of each floating node: it is shown while it has any.
    floating: FxHashMap<NodeKey, u32>,
    /// Told nodes that are not pseudo nodes.
    real_nodes: usize,
    hidden: u32,
    incomplete_revision: u64,
}

/// A difference in the making.
#[derive(Default)]
struct Draft {
    nodes: Vec<v1::Node>,
    edges: Vec<v1::Edge>,
    nodes_removed: Vec<Arc<str>>,
    edges_removed: Vec<Arc<str>>,
    /// Floating nodes whose edges changed: looked at last.
    floating: FxHashSet<NodeKey>,
}

impl View {
    /// A view of which nothing has been told yet: its first difference is the whole view.
    #[must_use]
    pub fn new(kind: ViewKind, options: Options) -> Self {
        Self {
            kind,
            options,
            sequence: 0,
            started: false,
            cursor: 0,
            nodes: FxHashMap::default(),
            edges: FxHashMap::default(),
            floating: FxHashMap::default(),
            real_nodes: 0,
            hidden: 0,
            incomplete_revision: 0,
        }
    }

    /// Which view it is.
    #[must_use]
    pub fn kind(&self) -> ViewKind {
        self.kind
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What changed since the last call, or `None`. The first has `reset` set. The work is
    /// proportional to the change.
    pub fn diff(&mut self, topology: &Topology, now_ms: u64) -> Option<v1::TopologyDiff> {
        let graph = topology.graph(self.kind);
        let mut draft = Draft::default();
        match graph.journal.read(self.cursor) {
            Some(entries) => {
                for (revision, item) in entries {
                    self.consider(topology, item, revision, &mut draft);
                }
            }
            None => self.consider_all(topology, &mut draft),
        }
        self.cursor = graph.journal.revision();
        for node in std::mem::take(&mut draft.floating) {
            self.consider_floating(topology, node, &mut draft);
        }
        self.finish(topology, draft, now_ms)
    }

    fn finish(
        &mut self,
        topology: &Topology,
        draft: Draft,
        now_ms: u64,
    ) -> Option<v1::TopologyDiff> {
        let reset = !std::mem::replace(&mut self.started, true);
        let incomplete_changed = self.incomplete_revision != topology.incomplete_revision;
        let hidden = self.count_hidden(topology);
        let nothing = draft.nodes.is_empty()
            && draft.edges.is_empty()
            && draft.nodes_removed.is_empty()
            && draft.edges_removed.is_empty();
        if nothing && !incomplete_changed && hidden == self.hidden && !reset {
            return None;
        }
        self.incomplete_revision = topology.incomplete_revision;
        self.hidden = hidden;
        self.sequence += 1;
        // An id that went and came again (as another entry) is a change and not a removal.
        let again: FxHashSet<&str> = draft.nodes.iter().map(|node| &*node.id).collect();
        let nodes_removed = without(&draft.nodes_removed, &again);
        let again: FxHashSet<&str> = draft.edges.iter().map(|edge| &*edge.id).collect();
        let edges_removed = without(&draft.edges_removed, &again);
        Some(v1::TopologyDiff {
            view: self.kind.name().into(),
            sequence: self.sequence,
            reset,
            time_unix_ms: now_ms,
            nodes_removed,
            edges_removed,
            nodes: draft.nodes,
            edges: draft.edges,
            incomplete: if incomplete_changed || reset {
                topology.incomplete()
            } else {
                Vec::new()
            },
            incomplete_changed: incomplete_changed || reset,
            nodes_hidden: hidden,
        })
    }

    /// The whole view as of the last [`Self::diff`], with `reset` set and its sequence number: what a
    /// subscriber gets that joins later. The next difference continues from it.
    ///
    /// Things that changed since that difference are shown as they are now; they come again in the
    /// next one. Things that came since are not in it, and what went is left out.
    #[must_use]
    pub fn snapshot(&self, topology: &Topology, now_ms: u64) -> v1::TopologyDiff {
        let nodes: Vec<_> = self
            .nodes
            .keys()
            .filter_map(|key| topology.render_node(self.kind, *key))
            .collect();
        let shown: FxHashSet<&str> = nodes.iter().map(|node| &*node.id).collect();
        let edges = self
            .edges
            .keys()
            .filter_map(|key| topology.render_edge(self.kind, *key))
            .filter(|edge| shown.contains(&*edge.source) && shown.contains(&*edge.target))
            .collect();
        v1::TopologyDiff {
            view: self.kind.name().into(),
            sequence: self.sequence,
            reset: true,
            time_unix_ms: now_ms,
            edges,
            incomplete: topology.incomplete(),
            incomplete_changed: true,
            nodes_hidden: self.hidden,
            nodes,
            ..Default::default()
        }
    }

    fn consider(&mut self, topology: &Topology, item: Item, revision: u64, draft: &mut Draft) {
        let graph = topology.graph(self.kind);
        match item {
            // A later entry of the same item stands for this one.
            Item::Node(key)
                if graph
                    .nodes
                    .get(key)
                    .is_some_and(|node| node.revision != revision) => {}
            Item::Edge(key)
                if graph
                    .edges
                    .get(key)
                    .is_some_and(|edge| edge.revision != revision) => {}
            Item::Node(key) => self.consider_node(topology, key, draft),
            Item::Edge(key) => self.consider_edge(topology, key, draft),
        }
    }

    /// Everything anew: the journal no longer reaches back to what was told.
    fn consider_all(&mut self, topology: &Topology, draft: &mut Draft) {
        let graph = topology.graph(self.kind);
        let gone: Vec<_> = self
            .edges
            .keys()
            .filter(|key| !graph.edges.contains_key(**key))
            .copied()
            .collect();
        for key in gone {
            self.consider_edge(topology, key, draft);
        }
        let gone: Vec<_> = self
            .nodes
            .keys()
            .filter(|key| !graph.nodes.contains_key(**key))
            .copied()
            .collect();
        for key in gone {
            self.consider_node(topology, key, draft);
        }
        for key in graph.nodes.keys() {
            self.consider_node(topology, key, draft);
        }
        for key in graph.edges.keys() {
            self.consider_edge(topology, key, draft);
        }
    }

    fn consider_node(&mut self, topology: &Topology, key: NodeKey, draft: &mut Draft) {
        let graph = topology.graph(self.kind);
        let Some(node) = graph.nodes.get(key) else {
            self.remove_node(topology, key, draft);
            return;
        };
        if !node.subject.is_anchored() {
            draft.floating.insert(key);
            return;
        }
        let was_shown = self.nodes.contains_key(&key);
        if self.shows(topology, key) {
            self.tell_node(topology, key, draft);
            if !was_shown {
                self.real_nodes += usize::from(!node.subject.is_pseudo());
                for edge in &node.edges {
                    self.consider_edge(topology, *edge, draft);
                }
            }
        } else if was_shown {
            for edge in &node.edges {
                self.drop_edge(*edge, draft);
            }
            self.remove_node(topology, key, draft);
        }
    }

    fn remove_node(&mut self, topology: &Topology, key: NodeKey, draft: &mut Draft) {
        self.floating.remove(&key);
        if let Some(told) = self.nodes.remove(&key) {
            let pseudo = told.id.starts_with("pseudo;");
            self.real_nodes -= usize::from(!pseudo);
            draft.nodes_removed.push(told.id);
        }
        debug_assert!(
            topology
                .graph(self.kind)
                .nodes
                .get(key)
                .is_none_or(|node| !node.subject.is_anchored() || !self.shows(topology, key)),
            "a shown node stays"
        );
    }

    fn tell_node(&mut self, topology: &Topology, key: NodeKey, draft: &mut Draft) {
        let Some(message) = topology.render_node(self.kind, key) else {
            return;
        };
        let hash = hash_node(&message);
        match self.nodes.get_mut(&key) {
            Some(told) if told.hash == hash => return,
            Some(told) => told.hash = hash,
            None => {
                let id = topology.graph(self.kind).nodes[key].id.clone();
                self.nodes.insert(key, Told { id, hash });
            }
        }
        draft.nodes.push(message);
    }

    fn consider_edge(&mut self, topology: &Topology, key: EdgeKey, draft: &mut Draft) {
        let graph = topology.graph(self.kind);
        let Some(edge) = graph.edges.get(key) else {
            self.drop_edge(key, draft);
            return;
        };
        let nodes = [edge.name.source, edge.name.target];
        let anchored = nodes.map(|node| {
            graph
                .nodes
                .get(node)
                .is_some_and(|node| node.subject.is_anchored())
        });
        let allowed = nodes
            .iter()
            .zip(anchored)
            .all(|(node, anchored)| !anchored || self.shows(topology, *node));
        if !allowed || anchored == [false, false] {
            self.drop_edge(key, draft);
            return;
        }
        let Some(message) = topology.render_edge(self.kind, key) else {
            return;
        };
        let hash = hash_edge(&message);
        match self.edges.get_mut(&key) {
            Some(edge) if edge.told.hash == hash => return,
            Some(edge) => edge.told.hash = hash,
            None => {
                let Some(id) = topology.id_of_edge(self.kind, key) else {
                    return;
                };
                self.edges.insert(
                    key,
                    ToldEdge {
                        told: Told { id, hash },
                        nodes,
                    },
                );
                for (node, anchored) in nodes.into_iter().zip(anchored) {
                    if !anchored {
                        *self.floating.entry(node).or_default() += 1;
                        draft.floating.insert(node);
                    }
                }
            }
        }
        draft.edges.push(message);
    }

    fn drop_edge(&mut self, key: EdgeKey, draft: &mut Draft) {
        let Some(edge) = self.edges.remove(&key) else {
            return;
        };
        for node in edge.nodes {
            if let Some(count) = self.floating.get_mut(&node) {
                *count -= 1;
                draft.floating.insert(node);
            }
        }
        draft.edges_removed.push(edge.told.id);
    }

    fn consider_floating(&mut self, topology: &Topology, key: NodeKey, draft: &mut Draft) {
        let there = topology.graph(self.kind).nodes.contains_key(key);
        if there && self.floating.get(&key).is_some_and(|count| *count > 0) {
            self.tell_node(topology, key, draft);
        } else {
            self.remove_node(topology, key, draft);
        }
    }

    /// Whether the options let this anchored node be seen.
    fn shows(&self, topology: &Topology, key: NodeKey) -> bool {
        let Some(node) = topology.graph(self.kind).nodes.get(key) else {
            return false;
        };
        let connected = !node.edges.is_empty();
        let (agent, allowed) = match &node.subject {
            Subject::Process(process) => {
                let Some(process) = topology.processes.get(*process) else {
                    return false;
                };
                let allowed = (self.options.kernel_threads || !process.record.kernel_thread)
                    && (self.options.ended || !topology.is_over(process));
                (process.agent, allowed)
            }
            Subject::Container(container) => {
                let Some(container) = topology.containers.get(*container) else {
                    return false;
                };
                (
                    container.agent,
                    self.options.ended || !container.has_ended(),
                )
            }
            Subject::Host(agent) | Subject::Uncontained(agent) => (*agent, true),
            _ => return false,
        };
        allowed && (self.options.unconnected || connected) && self.wants_host(topology, agent)
    }

    fn wants_host(&self, topology: &Topology, agent: AgentKey) -> bool {
        let hosts = &self.options.hosts;
        hosts.is_empty()
            || topology.agents.get(agent).is_some_and(|agent| {
                hosts
                    .iter()
                    .any(|host| **host == *agent.id || **host == *agent.hostname)
            })
    }

    fn count_hidden(&self, topology: &Topology) -> u32 {
        let by_options = topology
            .graph(self.kind)
            .real_nodes
            .saturating_sub(self.real_nodes);
        let by_bounds = match self.kind {
            ViewKind::Processes if self.options.ended => topology.evicted_early_count,
            _ => 0,
        };
        u32::try_from(by_options)
            .unwrap_or(u32::MAX)
            .saturating_add(by_bounds)
    }
}

fn without(removed: &[Arc<str>], again: &FxHashSet<&str>) -> Vec<String> {
    removed
        .iter()
        .filter(|id| !again.contains(&***id))
        .map(ToString::to_string)
        .collect()
}

fn hash_node(node: &v1::Node) -> u64 {
    let mut hasher = FxHasher::default();
    let v1::Node {
        label,
        label_minor,
        group_label,
        state,
        health,
        health_reason,
        ..
    } = node;
    [
        label,
        label_minor,
        group_label,
        state,
        health,
        health_reason,
    ]
    .hash(&mut hasher);
    node.group.hash(&mut hasher);
    node.children.hash(&mut hasher);
    for field in &node.metadata {
        (&field.key, &field.value).hash(&mut hasher);
    }
    for metric in &node.metrics {
        (&metric.key, metric.value.to_bits(), metric.max.to_bits()).hash(&mut hasher);
    }
    for parent in &node.parents {
        (&parent.id, &parent.label).hash(&mut hasher);
    }
    hasher.finish()
}

fn hash_edge(edge: &v1::Edge) -> u64 {
    let mut hasher = FxHasher::default();
    (
        edge.connections_open,
        edge.connections_total,
        edge.failures_total,
    )
        .hash(&mut hasher);
    (
        edge.bytes_forward,
        edge.bytes_back,
        edge.rtt_us,
        edge.retransmits_total,
    )
        .hash(&mut hasher);
    (edge.first_seen_unix_ms, edge.last_seen_unix_ms, &edge.ports).hash(&mut hasher);
    for rate in [
        edge.connections_per_s,
        edge.bytes_forward_per_s,
        edge.bytes_back_per_s,
    ] {
        rate.to_bits().hash(&mut hasher);
    }
    hasher.finish()
}
