//! The whole view: taken in for the first time, and made for those who join later.

use mesoscope_proto::v1;
use rustc_hash::FxHashSet;

use super::{super::Outline, Draft, PlainView};
use crate::{
    Topology,
    journal::Item,
    keys::{EdgeKey, NodeKey},
};

impl PlainView {
    /// Takes the first part of all that is shown in, `items` of it, as told. True when that was all.
    pub(in crate::view) fn prime(
        &mut self,
        topology: &Topology,
        now_ms: u64,
        items: usize,
    ) -> bool {
        if self.started {
            return true;
        }
        let graph = topology.graph(self.kind);
        let mut draft = Draft {
            now_ms,
            figures_left: self.pace.items_max,
            ..Draft::default()
        };
        let primed = match &mut self.priming {
            Some(left) => left,
            none => {
                self.cursor = graph.journal.skip();
                self.figures_cursor = graph.figures.skip();
                none.insert(graph.items())
            }
        };
        let part = primed.split_off(primed.len().saturating_sub(items));
        let done = primed.is_empty();
        for item in part {
            match item {
                Item::Node(key) => self.consider_node(topology, key, &mut draft),
                Item::Edge(key) => self.consider_edge(topology, key, &mut draft),
            }
        }
        for node in std::mem::take(&mut draft.floating) {
            self.consider_floating(topology, node, &mut draft);
        }
        if done {
            self.priming = None;
            self.started = true;
            self.sequence = 1;
            self.again = true;
        }
        done
    }

    /// What has been told, by its keys.
    pub(in crate::view) fn outline(&mut self) -> Outline {
        self.again = true;
        Outline {
            nodes: self.nodes.keys().copied().collect(),
            edges: self.edges.keys().copied().collect(),
        }
    }

    /// Adds what is still there of a part of an outline to a picture.
    pub(in crate::view) fn fill(
        &self,
        topology: &Topology,
        (nodes, edges): (&[NodeKey], &[EdgeKey]),
        picture: &mut v1::TopologyDiff,
    ) {
        let nodes = nodes.iter();
        let edges = edges.iter();
        picture
            .nodes
            .extend(nodes.filter_map(|key| topology.render_node(self.kind, *key)));
        picture
            .edges
            .extend(edges.filter_map(|key| topology.render_edge(self.kind, *key)));
    }

    pub(in crate::view) fn snapshot(&self, topology: &Topology, now_ms: u64) -> v1::TopologyDiff {
        let mut picture = v1::TopologyDiff {
            time_unix_ms: now_ms,
            ..Default::default()
        };
        let nodes: Vec<_> = self.nodes.keys().copied().collect();
        let edges: Vec<_> = self.edges.keys().copied().collect();
        self.fill(topology, (&nodes, &edges), &mut picture);
        self.complete(topology, &mut picture);
        picture
    }

    /// Makes a picture of nodes and edges a whole message.
    pub(in crate::view) fn complete(&self, topology: &Topology, picture: &mut v1::TopologyDiff) {
        let shown: FxHashSet<&str> = picture.nodes.iter().map(|node| &*node.id).collect();
        picture
            .edges
            .retain(|edge| shown.contains(&*edge.source) && shown.contains(&*edge.target));
        picture.view = self.kind.name().into();
        picture.sequence = self.sequence;
        picture.reset = true;
        picture.incomplete = topology.incomplete();
        picture.incomplete_changed = true;
        picture.nodes_hidden = self.count_hidden(topology);
        picture.figures_period_ms = self.pace.period_of(self.waiting.len());
    }
}
