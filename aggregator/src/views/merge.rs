//! Two differences in a row as one.

use std::collections::{BTreeSet, HashMap, HashSet};

use mesoscope_proto::v1::TopologyDiff;

/// Merges `newer` into `older`: applying the result is the same as applying both in their order.
/// The sequence number is that of the newer one.
pub fn merge(older: &mut TopologyDiff, newer: &TopologyDiff) {
    if newer.reset {
        older.clone_from(newer);
        return;
    }
    older.sequence = newer.sequence;
    older.time_unix_ms = newer.time_unix_ms;
    older.nodes_hidden = newer.nodes_hidden;
    if newer.incomplete_changed {
        older.incomplete.clone_from(&newer.incomplete);
        older.incomplete_changed = true;
    }
    older.figures_period_ms = newer.figures_period_ms;
    merge_parts(older, newer);
    let reset = older.reset;
    merge_items(
        (&mut older.nodes, &mut older.nodes_removed),
        (&newer.nodes, &newer.nodes_removed),
        |node| &node.id,
        reset,
    );
    merge_items(
        (&mut older.edges, &mut older.edges_removed),
        (&newer.edges, &newer.edges_removed),
        |edge| &edge.id,
        reset,
    );
}

/// Figures and places: the newer ones of each thing, and none that are older than the thing itself.
fn merge_parts(older: &mut TopologyDiff, newer: &TopologyDiff) {
    let nodes = newer.nodes.iter().map(|node| &node.id);
    let gone: HashSet<&String> = nodes.chain(&newer.nodes_removed).collect();
    replace(
        &mut older.node_figures,
        &newer.node_figures,
        &gone,
        |part| &part.id,
    );
    replace(&mut older.places, &newer.places, &gone, |part| &part.id);
    let edges = newer.edges.iter().map(|edge| &edge.id);
    let gone: HashSet<&String> = edges.chain(&newer.edges_removed).collect();
    replace(
        &mut older.edge_figures,
        &newer.edge_figures,
        &gone,
        |part| &part.id,
    );
}

fn replace<T: Clone>(
    parts: &mut Vec<T>,
    newer: &[T],
    gone: &HashSet<&String>,
    id: impl Fn(&T) -> &String,
) {
    if parts.is_empty() {
        parts.extend_from_slice(newer);
        return;
    }
    let again: HashSet<&String> = newer.iter().map(&id).collect();
    parts.retain(|part| !gone.contains(id(part)) && !again.contains(id(part)));
    parts.extend_from_slice(newer);
}

fn merge_items<T: Clone>(
    (items, removed): (&mut Vec<T>, &mut Vec<String>),
    (newer_items, newer_removed): (&[T], &[String]),
    id: impl Fn(&T) -> &String,
    reset: bool,
) {
    // Within one difference, an id is either changed or removed.
    let gone: BTreeSet<&String> = newer_removed.iter().collect();
    if !gone.is_empty() {
        items.retain(|item| !gone.contains(id(item)));
    }
    if !newer_items.is_empty() {
        let back: BTreeSet<&String> = newer_items.iter().map(&id).collect();
        removed.retain(|id| !back.contains(id));
        let places: HashMap<String, usize> = items
            .iter()
            .enumerate()
            .map(|(place, item)| (id(item).clone(), place))
            .collect();
        for item in newer_items {
            match places.get(id(item)) {
                Some(place) => items[*place] = item.clone(),
                None => items.push(item.clone()),
            }
        }
    }
    // After a reset nothing else is there that could be removed.
    if !reset {
        let known: BTreeSet<&String> = removed.iter().collect();
        let fresh: Vec<String> = gone
            .into_iter()
            .filter(|id| !known.contains(id))
            .cloned()
            .collect();
        removed.extend(fresh);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mesoscope_proto::v1::{Edge, EdgeFigures, Incomplete, Node, NodeFigures, Place};
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Default, PartialEq)]
    struct Page {
        nodes: BTreeMap<String, Node>,
        edges: BTreeMap<String, Edge>,
        incomplete: Vec<Incomplete>,
        hidden: u32,
    }

    impl Page {
        fn apply(&mut self, diff: &TopologyDiff) {
            if diff.reset {
                *self = Self::default();
            }
            for id in &diff.nodes_removed {
                self.nodes.remove(id);
            }
            for id in &diff.edges_removed {
                self.edges.remove(id);
            }
            let nodes = diff.nodes.iter().cloned();
            self.nodes.extend(nodes.map(|node| (node.id.clone(), node)));
            let edges = diff.edges.iter().cloned();
            self.edges.extend(edges.map(|edge| (edge.id.clone(), edge)));
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
                self.incomplete.clone_from(&diff.incomplete);
            }
            self.hidden = diff.nodes_hidden;
        }
    }

    /// Ids 0..8 each are untouched, changed, removed, or given figures or a place.
    fn diffs() -> impl Strategy<Value = TopologyDiff> {
        let touched = || proptest::collection::vec(0_u8..5, 8);
        let rest = (0_u8..8, any::<bool>(), 0_u32..3, any::<f32>());
        (touched(), touched(), rest).prop_map(|(nodes, edges, (reset, incomplete, hidden, x))| {
            let reset = reset == 0;
            let ids = |touched: &[u8], wanted: u8| -> Vec<String> {
                let places = (0_u8..).zip(touched).filter(|(_, what)| **what == wanted);
                places.map(|(id, _)| id.to_string()).collect()
            };
            let node = |id| Node {
                id,
                x,
                ..Default::default()
            };
            let edge = |id| Edge {
                id,
                rtt_us: hidden,
                ..Default::default()
            };
            let removed = |touched: &[u8]| if reset { Vec::new() } else { ids(touched, 2) };
            TopologyDiff {
                reset,
                nodes: ids(&nodes, 1).into_iter().map(node).collect(),
                nodes_removed: removed(&nodes),
                edges: ids(&edges, 1).into_iter().map(edge).collect(),
                edges_removed: removed(&edges),
                node_figures: ids(&nodes, 3)
                    .into_iter()
                    .map(|id| NodeFigures {
                        id,
                        children: hidden,
                        ..Default::default()
                    })
                    .collect(),
                places: ids(&nodes, 4)
                    .into_iter()
                    .map(|id| Place { id, x, y: x })
                    .collect(),
                edge_figures: ids(&edges, 3)
                    .into_iter()
                    .map(|id| EdgeFigures {
                        id,
                        rtt_us: 10 + hidden,
                        ..Default::default()
                    })
                    .collect(),
                incomplete_changed: incomplete,
                incomplete: vec![Incomplete::default(); usize::from(incomplete)],
                nodes_hidden: hidden,
                ..Default::default()
            }
        })
    }

    proptest! {
        #[test]
        fn merged_is_the_same_as_one_after_the_other(
            start in diffs(),
            all in proptest::collection::vec(diffs(), 1..6),
        ) {
            let mut one_by_one = Page::default();
            one_by_one.apply(&start);
            let mut at_once = one_by_one.clone();
            let mut merged = all[0].clone();
            for diff in &all {
                one_by_one.apply(diff);
            }
            for diff in &all[1..] {
                merge(&mut merged, diff);
            }
            at_once.apply(&merged);
            prop_assert_eq!(at_once, one_by_one);
        }
    }
}
