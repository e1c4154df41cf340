//! A view as the differences so far have made it.

use std::collections::BTreeMap;

use mesoscope_proto::v1::{Edge, Incomplete, Node, TopologyDiff};

/// Nodes and edges by id.
#[derive(Debug, Default)]
pub struct State {
    pub nodes: BTreeMap<String, Node>,
    pub edges: BTreeMap<String, Edge>,
    pub incomplete: Vec<Incomplete>,
    pub hidden: u32,
}

impl State {
    /// Takes a difference in.
    pub fn apply(&mut self, diff: TopologyDiff) {
        if diff.reset {
            *self = Self::default();
        }
        for id in &diff.nodes_removed {
            self.nodes.remove(id);
        }
        for id in &diff.edges_removed {
            self.edges.remove(id);
        }
        self.nodes
            .extend(diff.nodes.into_iter().map(|node| (node.id.clone(), node)));
        self.edges
            .extend(diff.edges.into_iter().map(|edge| (edge.id.clone(), edge)));
        for figures in &diff.node_figures {
            if let Some(node) = self.nodes.get_mut(&figures.id) {
                figures.apply_to(node);
            }
        }
        for figures in &diff.edge_figures {
            if let Some(edge) = self.edges.get_mut(&figures.id) {
                figures.apply_to(edge);
            }
        }
        for place in &diff.places {
            if let Some(node) = self.nodes.get_mut(&place.id) {
                (node.x, node.y) = (place.x, place.y);
            }
        }
        if diff.incomplete_changed || diff.reset {
            self.incomplete = diff.incomplete;
        }
        self.hidden = diff.nodes_hidden;
    }

    /// The label of a node, else its id.
    pub fn label<'a>(&'a self, id: &'a str) -> &'a str {
        match self.nodes.get(id) {
            Some(node) if !node.label.is_empty() => &node.label,
            _ => id,
        }
    }
}

/// A metric of a node; `None` where it is not known, or no number.
pub fn metric(node: &Node, key: &str) -> Option<f64> {
    node.metrics
        .iter()
        .find(|metric| metric.key == key)
        .map(|metric| metric.value)
        .filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, label: &str) -> Node {
        Node {
            id: id.into(),
            label: label.into(),
            ..Node::default()
        }
    }

    #[test]
    fn differences_add_replace_remove_and_reset() {
        let mut state = State::default();
        state.apply(TopologyDiff {
            reset: true,
            nodes: vec![node("a", "1"), node("b", "")],
            ..TopologyDiff::default()
        });
        state.apply(TopologyDiff {
            nodes: vec![node("a", "2")],
            nodes_removed: vec!["b".into()],
            incomplete: vec![Incomplete::default()],
            incomplete_changed: true,
            ..TopologyDiff::default()
        });
        assert_eq!(state.nodes.len(), 1);
        assert_eq!(state.label("a"), "2");
        assert_eq!(state.label("b"), "b");
        state.apply(TopologyDiff::default());
        assert_eq!(
            state.incomplete.len(),
            1,
            "an empty list without a change is no change"
        );
        state.apply(TopologyDiff {
            reset: true,
            ..TopologyDiff::default()
        });
        assert!(state.nodes.is_empty() && state.incomplete.is_empty());
    }
}
