//! When figures are told, and as what.

use mesoscope_proto::v1;

use super::{
    super::{Told, hash_edge, hash_edge_figures, hash_node, hash_node_figures},
    Draft, Least, PlainView, ToldEdge,
};
use crate::{
    Topology,
    journal::Item,
    keys::{EdgeKey, NodeKey},
    render,
};

impl PlainView {
    /// Tells the figures that are due, and lets others wait.
    pub(super) fn follow_figures(&mut self, topology: &Topology, draft: &mut Draft) {
        while draft.figures_left > 0
            && let Some((due_ms, item)) = self.waiting.due(draft.now_ms)
        {
            // One that was told whole meanwhile waits anew, if at all.
            if self
                .told(item)
                .is_some_and(|told| told.waits == Some(due_ms))
            {
                self.tell_figures(topology, item, true, draft);
            }
        }
        let graph = topology.graph(self.kind);
        match graph.figures.read(self.figures_cursor) {
            Some(entries) => {
                for (_, item) in entries {
                    self.consider_figures(topology, item, draft);
                }
            }
            None => {
                let nodes: Vec<_> = self.nodes.keys().copied().map(Item::Node).collect();
                let edges: Vec<_> = self.edges.keys().copied().map(Item::Edge).collect();
                for item in nodes.into_iter().chain(edges) {
                    self.consider_figures(topology, item, draft);
                }
            }
        }
        self.figures_cursor = graph.figures.revision();
    }

    fn told(&mut self, item: Item) -> Option<&mut Told> {
        match item {
            Item::Node(key) => self.nodes.get_mut(&key),
            Item::Edge(key) => self.edges.get_mut(&key).map(|edge| &mut edge.told),
        }
    }

    pub(super) fn consider_figures(&mut self, topology: &Topology, item: Item, draft: &mut Draft) {
        let pace = self.pace;
        let Some(told) = self.told(item) else {
            return;
        };
        if told.waits.is_some() {
            return;
        }
        let due_ms = pace.due_ms(item, told.figures_ms, draft.now_ms);
        if due_ms <= draft.now_ms && draft.figures_left > 0 {
            self.tell_figures(topology, item, false, draft);
        } else {
            let due_ms = due_ms.max(draft.now_ms);
            told.waits = Some(due_ms);
            self.waiting.put(due_ms, item);
        }
    }

    /// Tells an item's figures as they are. One that has waited is told even if it is as told before:
    /// a picture that was made meanwhile may hold something else.
    fn tell_figures(&mut self, topology: &Topology, item: Item, waited: bool, draft: &mut Draft) {
        let Some(told) = self.told(item) else {
            return;
        };
        if waited {
            told.waits = None;
        }
        let least = if waited || self.again {
            Least::Figures
        } else {
            Least::Nothing
        };
        match item {
            Item::Node(key) => {
                if let Some(message) = topology.render_node(self.kind, key) {
                    self.put_node(key, message, least, draft);
                }
            }
            Item::Edge(key) => {
                if let Some(message) = topology.render_edge(self.kind, key) {
                    self.put_edge(key, message, least, draft);
                }
            }
        }
    }

    /// Tells a node that was told before: as much of it as differs, and this at the least.
    pub(super) fn put_node(
        &mut self,
        key: NodeKey,
        message: v1::Node,
        least: Least,
        draft: &mut Draft,
    ) {
        let Some(told) = self.nodes.get_mut(&key) else {
            return;
        };
        let (hash, figures) = (hash_node(&message), hash_node_figures(&message));
        let whole = told.hash != hash || least == Least::Whole;
        if !whole && told.figures == figures && least == Least::Nothing {
            return;
        }
        (told.hash, told.figures, told.figures_ms) = (hash, figures, draft.now_ms);
        told.waits = None;
        draft.figures_left = draft.figures_left.saturating_sub(1);
        if whole || !self.pace.parts {
            draft.nodes.push(message);
        } else {
            draft.node_figures.push(render::node_figures(message));
        }
    }

    pub(super) fn put_edge(
        &mut self,
        key: EdgeKey,
        message: v1::Edge,
        least: Least,
        draft: &mut Draft,
    ) {
        let Some(ToldEdge { told, .. }) = self.edges.get_mut(&key) else {
            return;
        };
        let (hash, figures) = (hash_edge(&message), hash_edge_figures(&message));
        let whole = told.hash != hash || least == Least::Whole;
        if !whole && told.figures == figures && least == Least::Nothing {
            return;
        }
        (told.hash, told.figures, told.figures_ms) = (hash, figures, draft.now_ms);
        told.waits = None;
        draft.figures_left = draft.figures_left.saturating_sub(1);
        if whole || !self.pace.parts {
            draft.edges.push(message);
        } else {
            draft.edge_figures.push(render::edge_figures(message));
        }
    }
}
