//! A view of the nodes of a graph, one by one.

use std::sync::Arc;

use mesoscope_proto::v1;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Told, hash_edge, hash_node, without};
use crate::{
    Options, Topology, ViewKind,
    journal::Item,
    keys::{EdgeKey, NodeKey},
};

/// An edge as told, with its nodes.
#[derive(Debug)]
struct ToldEdge {
    told: Told,
    nodes: [NodeKey; 2],
}

#[derive(Debug)]
pub(super) struct PlainView {
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

impl PlainView {
    pub(super) fn new(kind: ViewKind, options: Options) -> Self {
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

    pub(super) fn diff(&mut self, topology: &Topology, now_ms: u64) -> Option<v1::TopologyDiff> {
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
            past: false,
        })
    }

    pub(super) fn snapshot(&self, topology: &Topology, now_ms: u64) -> v1::TopologyDiff {
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

    /// Whether this anchored node is to be seen.
    fn shows(&self, topology: &Topology, key: NodeKey) -> bool {
        let Some(node) = topology.graph(self.kind).nodes.get(key) else {
            return false;
        };
        (self.options.unconnected || !node.edges.is_empty())
            && self.options.allow(topology, &node.subject)
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
