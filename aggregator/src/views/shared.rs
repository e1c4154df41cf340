//! One view: makes its differences, places its nodes, hands them to its subscribers.

use std::collections::HashSet;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ws::Utf8Bytes;
use flate2::{Compression, write::DeflateEncoder};
use mesoscope_layout::{Change, Layout, Moved, Settings};
use mesoscope_proto::v1::{Incomplete, Node, Place, TopologyDiff};
use mesoscope_topology::{Options, Pace, View, ViewKind};

use super::log::{Follower, Log};
use crate::core::Core;
use crate::metrics::Metrics;

/// Differences of a view are not made more often.
pub(super) const DIFF_PERIOD: Duration = Duration::from_millis(100);

/// Things of which one difference tells new figures at most; what a large view tells in a second stays
/// what a page can take.
const FIGURES_MAX: usize = 500;
/// Nodes and edges of a picture that are made while the topology is held.
const PART: usize = 2_000;

/// A view with its options, and everyone who looks at it.
#[derive(Debug)]
pub(super) struct SharedView {
    pub(super) kind: ViewKind,
    core: Arc<Core>,
    metrics: Arc<Metrics>,
    /// What is said of the aggregator itself, beside what the topology lacks.
    banner: Option<Incomplete>,
    log: Arc<Log>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    view: View,
    /// All of the view has been taken in once.
    begun: bool,
    layout: Layout,
    sequence: u64,
    used: Instant,
}

/// A difference that several subscribers get, turned into JSON once.
#[derive(Debug)]
pub(super) struct SharedDiff {
    diff: TopologyDiff,
    json: OnceLock<String>,
    deflated: OnceLock<Vec<u8>>,
}

impl SharedDiff {
    pub(super) fn new(diff: TopologyDiff) -> Self {
        Self {
            diff,
            json: OnceLock::new(),
            deflated: OnceLock::new(),
        }
    }

    pub(super) fn diff(&self) -> &TopologyDiff {
        &self.diff
    }

    /// The JSON with a subscriber's own sequence number. The number stands near the beginning, so
    /// that the rest is made once for all.
    pub(super) fn json(&self, sequence: u64) -> Utf8Bytes {
        renumber(self.raw_json(), self.diff.sequence, sequence).into()
    }

    /// The JSON compressed, behind a subscriber's own sequence number.
    pub(super) fn deflated(&self, sequence: u64) -> Bytes {
        let deflated = self.deflated.get_or_init(|| deflate(self.raw_json()));
        numbered(sequence, deflated)
    }

    fn raw_json(&self) -> &str {
        self.json.get_or_init(|| to_json(&self.diff))
    }
}

/// A number of eight bytes, the highest first, and what follows it.
pub(super) fn numbered(sequence: u64, deflated: &[u8]) -> Bytes {
    [&sequence.to_be_bytes(), deflated].concat().into()
}

/// RFC 1951, without a head: as browsers take it under the name "deflate-raw".
pub(super) fn deflate(json: &str) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    // A vector takes everything.
    let _ = encoder.write_all(json.as_bytes());
    encoder.finish().unwrap_or_default()
}

/// A message of its own, compressed, behind its sequence number.
pub fn deflated(diff: &TopologyDiff) -> Bytes {
    numbered(diff.sequence, &deflate(&to_json(diff)))
}

/// A message as JSON.
pub fn to_json(diff: &TopologyDiff) -> String {
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
            log: Arc::default(),
            state: Mutex::new(State {
                view: View::with_pace(kind, options, pace(kind)),
                begun: false,
                layout: Layout::new(Settings::default()),
                sequence: 0,
                used: Instant::now(),
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
        let started = Instant::now();
        let now_ms = self.core.now_ms();
        let Some(mut diff) = state.view.diff(&self.core.read(), now_ms) else {
            return false;
        };
        if diff.incomplete_changed {
            diff.incomplete.extend(self.banner.clone());
        }
        state.place(&mut diff);
        state.sequence += 1;
        diff.sequence = state.sequence;
        if self.is_watched() {
            self.log.put(Arc::new(SharedDiff::new(diff)));
        } else {
            self.log.clear();
        }
        let took = started.elapsed().as_secs_f64();
        self.metrics.views.diff_build.observe(took);
        true
    }

    /// The whole view as it is. Blocking.
    pub(super) fn snapshot(&self) -> TopologyDiff {
        let mut state = self.state();
        self.snapshot_state(&mut state)
    }

    /// The whole view, and somebody who follows it from there. Blocking.
    pub(super) fn subscribe(&self) -> (Arc<SharedDiff>, Follower) {
        let mut state = self.state();
        let snapshot = self.snapshot_state(&mut state);
        let follower = Follower::new(&self.log, state.sequence);
        (Arc::new(SharedDiff::new(snapshot)), follower)
    }

    fn snapshot_state(&self, state: &mut State) -> TopologyDiff {
        state.used = Instant::now();
        let begins = !state.begun;
        if begins {
            let now_ms = self.core.now_ms();
            while !state.view.prime(&self.core.read(), now_ms, PART) {}
            state.begun = true;
        } else {
            self.refresh_state(state);
        }
        let mut outline = state.view.outline();
        let mut picture = TopologyDiff {
            time_unix_ms: self.core.now_ms(),
            ..Default::default()
        };
        let view = &state.view;
        while !view.fill(&self.core.read(), &mut outline, PART, &mut picture) {}
        picture.incomplete.extend(self.banner.clone());
        picture.sequence = state.sequence;
        if begins {
            state.place(&mut picture);
        } else {
            state.put_places(&mut picture.nodes);
        }
        picture
    }

    /// Where its nodes are, for views of the past.
    pub(super) fn layout(&self) -> Layout {
        self.state().layout.clone()
    }

    /// Whether somebody is subscribed.
    pub(super) fn is_watched(&self) -> bool {
        self.log.followers() > 0
    }

    /// How long nobody has asked for it or been subscribed.
    pub(super) fn unused(&self) -> Duration {
        let mut state = self.state();
        if self.is_watched() {
            state.used = Instant::now();
        }
        state.used.elapsed()
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Nodes and edges.
    pub(super) fn size(&self) -> (usize, usize) {
        self.state().view.size()
    }
}

impl State {
    /// Lets the layout follow a difference and fills in where its nodes are drawn. Other nodes that
    /// had to move join it as places.
    fn place(&mut self, diff: &mut TopologyDiff) {
        let changes = layout_changes(diff);
        if !changes.is_empty() {
            let moved = self.layout.update(&changes);
            let told: HashSet<&str> = diff.nodes.iter().map(|node| &*node.id).collect();
            let others = moved.into_iter().filter(|moved| !told.contains(&*moved.id));
            let place = |moved: Moved| Place {
                id: moved.id.to_string(),
                x: moved.x,
                y: moved.y,
            };
            diff.places = others.map(place).collect();
        }
        self.put_places(&mut diff.nodes);
    }

    fn put_places(&self, nodes: &mut [Node]) {
        for node in nodes {
            if let Some((x, y)) = self.layout.position(&node.id) {
                (node.x, node.y) = (x, y);
            }
        }
    }
}

/// What a difference means to the layout, which passes over what it knows.
pub(super) fn layout_changes(diff: &TopologyDiff) -> Vec<Change<'_>> {
    let gone = diff.edges_removed.iter();
    let mut changes: Vec<_> = gone.map(|id| Change::EdgeRemoved { id }).collect();
    let gone = diff.nodes_removed.iter();
    changes.extend(gone.map(|id| Change::NodeRemoved { id }));
    changes.extend(diff.nodes.iter().map(|node| Change::Node {
        id: &node.id,
        group: &node.group,
    }));
    changes.extend(diff.edges.iter().map(|edge| Change::Edge {
        id: &edge.id,
        source: &edge.source,
        target: &edge.target,
        weight: 1.0,
    }));
    changes
}

/// How a kind of view tells figures. The sizes of things are measured each 5 s or more; whoever looks
/// at processes looks at what goes on now.
fn pace(kind: ViewKind) -> Pace {
    let of_processes = kind.base() == ViewKind::Processes;
    Pace {
        period_ms: if of_processes { 1_000 } else { 5_000 },
        items_max: FIGURES_MAX,
        diff_ms: DIFF_PERIOD.as_millis().try_into().unwrap_or(u64::MAX),
        edges_together: !of_processes,
        parts: true,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_compressed_is_the_json_behind_its_number() {
        let shared = SharedDiff::new(TopologyDiff {
            view: "hosts".to_owned(),
            sequence: 7,
            ..Default::default()
        });
        let told = shared.deflated(42);
        let (number, deflated) = told.split_at(8);
        assert_eq!(number, 42_u64.to_be_bytes());
        let mut json = String::new();
        flate2::read::DeflateDecoder::new(deflated)
            .read_to_string(&mut json)
            .expect("own output");
        assert_eq!(json, shared.raw_json());
    }

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
