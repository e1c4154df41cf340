//! One view: makes its differences, places its nodes, hands them to its subscribers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::extract::ws::Utf8Bytes;
use mesoscope_layout::{Change, Layout, Settings};
use mesoscope_proto::v1::{Edge, Incomplete, Node, TopologyDiff};
use mesoscope_topology::{Options, View, ViewKind};

use super::mailbox::Mailbox;
use super::past::Places;
use crate::core::Core;
use crate::metrics::Metrics;

/// Differences of a view are not made more often.
pub(super) const DIFF_PERIOD: Duration = Duration::from_millis(100);

/// A view with its options, and everyone who looks at it.
#[derive(Debug)]
pub(super) struct SharedView {
    pub(super) kind: ViewKind,
    core: Arc<Core>,
    metrics: Arc<Metrics>,
    /// What is said of the aggregator itself, beside what the topology lacks.
    banner: Option<Incomplete>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    view: View,
    layout: Layout,
    nodes: HashMap<String, Node>,
    edges: HashMap<String, Edge>,
    incomplete: Vec<Incomplete>,
    nodes_hidden: u32,
    sequence: u64,
    refreshed: Option<Instant>,
    used: Instant,
    subscribers: Vec<Weak<Mailbox>>,
}

/// A difference that several subscribers get, turned into JSON once.
#[derive(Debug)]
pub(super) struct SharedDiff {
    diff: TopologyDiff,
    json: OnceLock<String>,
}

impl SharedDiff {
    fn new(diff: TopologyDiff) -> Self {
        Self {
            diff,
            json: OnceLock::new(),
        }
    }

    pub(super) fn diff(&self) -> &TopologyDiff {
        &self.diff
    }

    /// The JSON with a subscriber's own sequence number. The number stands near the beginning, so
    /// that the rest is made once for all.
    pub(super) fn json(&self, sequence: u64) -> Utf8Bytes {
        let json = self.json.get_or_init(|| to_json(&self.diff));
        renumber(json, self.diff.sequence, sequence).into()
    }
}

pub(super) fn to_json(diff: &TopologyDiff) -> String {
    // Plain data: text keys, numbers, strings.
    serde_json::to_string(diff).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

fn renumber(json: &str, from: u64, to: u64) -> String {
    json.replacen(
        &format!("\"sequence\":{from},"),
        &format!("\"sequence\":{to},"),
        1,
    )
}

impl SharedView {
    pub(super) fn new(
        kind: ViewKind,
        options: Options,
        core: Arc<Core>,
        metrics: Arc<Metrics>,
        banner: Option<Incomplete>,
    ) -> Self {
        Self {
            kind,
            core,
            metrics,
            banner,
            state: Mutex::new(State {
                view: View::new(kind, options),
                layout: Layout::new(Settings::default()),
                nodes: HashMap::new(),
                edges: HashMap::new(),
                incomplete: Vec::new(),
                nodes_hidden: 0,
                sequence: 0,
                refreshed: None,
                used: Instant::now(),
                subscribers: Vec::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the next difference and hands it out; false when nothing has changed. Blocking: call it
    /// off the async threads.
    pub(super) fn refresh(&self) -> bool {
        self.refresh_state(&mut self.state())
    }

    fn refresh_state(&self, state: &mut State) -> bool {
        let begun = Instant::now();
        state.refreshed = Some(begun);
        state
            .subscribers
            .retain(|mailbox| mailbox.strong_count() > 0);
        let now_ms = self.core.now_ms();
        let Some(mut diff) = state.view.diff(&self.core.read(), now_ms) else {
            return false;
        };
        let first = state.sequence == 0;
        if first || diff.reset || diff.incomplete_changed {
            diff.incomplete.extend(self.banner.clone());
            diff.incomplete_changed = true;
        }
        state.place(&mut diff);
        state.remember(&mut diff);
        let diff = Arc::new(SharedDiff::new(diff));
        for mailbox in state.subscribers.iter().filter_map(Weak::upgrade) {
            mailbox.put(&diff, &self.metrics);
        }
        self.metrics
            .views
            .diff_build
            .observe(begun.elapsed().as_secs_f64());
        true
    }

    /// The whole view, at most [`DIFF_PERIOD`] old. Blocking.
    pub(super) fn snapshot(&self) -> TopologyDiff {
        let mut state = self.state();
        self.snapshot_state(&mut state)
    }

    /// The whole view, and a mailbox for what follows. Blocking.
    pub(super) fn subscribe(&self) -> (Arc<SharedDiff>, Arc<Mailbox>) {
        let mut state = self.state();
        let snapshot = self.snapshot_state(&mut state);
        let mailbox = Arc::new(Mailbox::default());
        state.subscribers.push(Arc::downgrade(&mailbox));
        (Arc::new(SharedDiff::new(snapshot)), mailbox)
    }

    fn snapshot_state(&self, state: &mut State) -> TopologyDiff {
        state.used = Instant::now();
        let due = state.refreshed.is_none_or(|at| at.elapsed() >= DIFF_PERIOD);
        if due {
            self.refresh_state(state);
        }
        let incomplete = if state.sequence == 0 {
            // Nothing has been told yet: the map is empty, the banner is not.
            self.banner.clone().into_iter().collect()
        } else {
            state.incomplete.clone()
        };
        TopologyDiff {
            view: self.kind.name().to_owned(),
            sequence: state.sequence,
            reset: true,
            time_unix_ms: self.core.now_ms(),
            nodes: state.nodes.values().cloned().collect(),
            edges: state.edges.values().cloned().collect(),
            incomplete,
            incomplete_changed: true,
            nodes_hidden: state.nodes_hidden,
            ..Default::default()
        }
    }

    /// Where its nodes are, for views of the past.
    pub(super) fn places(&self) -> Places {
        let state = self.state();
        Places {
            layout: state.layout.clone(),
            nodes: state.nodes.clone(),
            edges: state.edges.clone(),
        }
    }

    /// Whether somebody is subscribed.
    pub(super) fn is_watched(&self) -> bool {
        let state = self.state();
        state
            .subscribers
            .iter()
            .any(|mailbox| mailbox.strong_count() > 0)
    }

    /// How long nobody has asked for it or been subscribed.
    pub(super) fn unused(&self) -> Duration {
        let mut state = self.state();
        if state
            .subscribers
            .iter()
            .any(|mailbox| mailbox.strong_count() > 0)
        {
            state.used = Instant::now();
        }
        state.used.elapsed()
    }

    /// Nodes and edges.
    pub(super) fn size(&self) -> (usize, usize) {
        let state = self.state();
        (state.nodes.len(), state.edges.len())
    }
}

impl State {
    /// Lets the layout follow the difference and fills in where its nodes are drawn. Nodes that had
    /// to move join the difference.
    fn place(&mut self, diff: &mut TopologyDiff) {
        let moved = {
            let changes = layout_changes(&self.nodes, &self.edges, diff);
            if changes.is_empty() {
                Vec::new()
            } else {
                self.layout.update(&changes)
            }
        };
        for node in &mut diff.nodes {
            if let Some((x, y)) = self.layout.position(&node.id) {
                (node.x, node.y) = (x, y);
            }
        }
        let told: std::collections::HashSet<String> =
            diff.nodes.iter().map(|node| node.id.clone()).collect();
        for moved in moved {
            if told.contains(&*moved.id) {
                continue;
            }
            // After a reset the cache holds what the difference has replaced.
            if !diff.reset
                && let Some(node) = self.nodes.get(&*moved.id)
            {
                let (x, y) = (moved.x, moved.y);
                diff.nodes.push(Node {
                    x,
                    y,
                    ..node.clone()
                });
            }
        }
    }

    fn remember(&mut self, diff: &mut TopologyDiff) {
        if diff.reset {
            self.nodes.clear();
            self.edges.clear();
        }
        for id in &diff.nodes_removed {
            self.nodes.remove(id);
        }
        for id in &diff.edges_removed {
            self.edges.remove(id);
        }
        for node in &diff.nodes {
            self.nodes.insert(node.id.clone(), node.clone());
        }
        for edge in &diff.edges {
            self.edges.insert(edge.id.clone(), edge.clone());
        }
        if diff.incomplete_changed || diff.reset {
            self.incomplete.clone_from(&diff.incomplete);
        }
        self.nodes_hidden = diff.nodes_hidden;
        self.sequence += 1;
        diff.sequence = self.sequence;
    }
}

/// What a difference means to the layout that so far has these nodes and edges.
pub(super) fn layout_changes<'a>(
    known_nodes: &'a HashMap<String, Node>,
    known_edges: &'a HashMap<String, Edge>,
    diff: &'a TopologyDiff,
) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    let mut nodes_gone: Vec<&str> = diff.nodes_removed.iter().map(String::as_str).collect();
    let mut edges_gone: Vec<&str> = diff.edges_removed.iter().map(String::as_str).collect();
    if diff.reset {
        let nodes: std::collections::HashSet<&String> =
            diff.nodes.iter().map(|node| &node.id).collect();
        let edges: std::collections::HashSet<&String> =
            diff.edges.iter().map(|edge| &edge.id).collect();
        let gone = known_nodes.keys().filter(|id| !nodes.contains(id));
        nodes_gone.extend(gone.map(String::as_str));
        let gone = known_edges.keys().filter(|id| !edges.contains(id));
        edges_gone.extend(gone.map(String::as_str));
    }
    changes.extend(edges_gone.into_iter().map(|id| Change::EdgeRemoved { id }));
    changes.extend(nodes_gone.into_iter().map(|id| Change::NodeRemoved { id }));
    for node in &diff.nodes {
        let known = known_nodes.get(&node.id);
        if known.is_none_or(|known| known.group != node.group) {
            changes.push(Change::Node {
                id: &node.id,
                group: &node.group,
            });
        }
    }
    for edge in &diff.edges {
        if !known_edges.contains_key(&edge.id) {
            changes.push(Change::Edge {
                id: &edge.id,
                source: &edge.source,
                target: &edge.target,
                weight: 1.0,
            });
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_takes_each_subscribers_number_and_nothing_else_changes() {
        let node = Node {
            label: "\"sequence\":7,".to_owned(),
            ..Default::default()
        };
        let diff = TopologyDiff {
            view: "hosts".to_owned(),
            sequence: 7,
            nodes: vec![node],
            ..Default::default()
        };
        let shared = SharedDiff::new(diff.clone());
        let back: TopologyDiff = serde_json::from_str(&shared.json(42)).expect("own output");
        assert_eq!(
            back,
            TopologyDiff {
                sequence: 42,
                ..diff
            }
        );
    }
}
