//! A view with its options, and what its subscribers have been told of it.

mod grouped;
mod pace;
mod plain;
mod waiting;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use mesoscope_proto::v1;
use rustc_hash::{FxHashSet, FxHasher};

use crate::{
    Options, Topology, ViewKind, grouping,
    keys::{EdgeKey, NodeKey},
};
use grouped::GroupedView;
pub use pace::Pace;
use plain::PlainView;

/// What subscribers know of a node or edge.
#[derive(Debug)]
struct Told {
    id: Arc<str>,
    /// Of the message without its figures: news that change nothing shown are not sent.
    hash: u64,
    /// Of its figures, and when they were told.
    figures: u64,
    figures_ms: u64,
    /// Its figures have changed and are told later.
    waits: Option<u64>,
}

impl Told {
    fn new(id: Arc<str>, hash: u64, figures: u64, now_ms: u64) -> Self {
        Self {
            id,
            hash,
            figures,
            figures_ms: now_ms,
            waits: None,
        }
    }
}

/// What a view has told, to make a picture of part by part.
#[derive(Debug)]
pub struct Outline {
    nodes: Vec<NodeKey>,
    edges: Vec<EdgeKey>,
}

/// One view with its options. Subscribers with equal options share one and its differences.
#[derive(Debug)]
pub struct View {
    kind: ViewKind,
    options: Options,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Plain(PlainView),
    Grouped(GroupedView),
}

impl View {
    /// A view of which nothing has been told yet: its first difference is the whole view. Everything is
    /// told at once, and whole.
    #[must_use]
    pub fn new(kind: ViewKind, options: Options) -> Self {
        Self::with_pace(kind, options, Pace::default())
    }

    /// A view that tells figures at this pace.
    #[must_use]
    pub fn with_pace(kind: ViewKind, options: Options, pace: Pace) -> Self {
        let inner = match grouping::of(kind) {
            None => Inner::Plain(PlainView::new(kind, options.clone(), pace)),
            Some(grouping) => Inner::Grouped(GroupedView::new(grouping, options.clone(), pace)),
        };
        Self {
            kind,
            options,
            inner,
        }
    }

    /// Nodes and edges that have been told.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        match &self.inner {
            Inner::Plain(view) => view.size(),
            Inner::Grouped(view) => view.size(),
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
    /// proportional to the change; of a grouped view, to the groups that changed and their members.
    pub fn diff(&mut self, topology: &Topology, now_ms: u64) -> Option<v1::TopologyDiff> {
        match &mut self.inner {
            Inner::Plain(view) => view.diff(topology, now_ms),
            Inner::Grouped(view) => view.diff(topology, now_ms),
        }
    }

    /// The whole view as of the last [`Self::diff`], with `reset` set and its sequence number: what a
    /// subscriber gets that joins later. The next difference continues from it.
    ///
    /// Things that changed since that difference are shown as they are now; they come again in the
    /// next one. Things that came since are not in it, and what went is left out.
    #[must_use]
    pub fn snapshot(&self, topology: &Topology, now_ms: u64) -> v1::TopologyDiff {
        match &self.inner {
            Inner::Plain(view) => view.snapshot(topology, now_ms),
            Inner::Grouped(view) => view.snapshot(topology, now_ms),
        }
    }

    /// Takes the first `items` that have not been taken in yet as told, without telling them; true when
    /// that was all. The first [`Self::picture`] has them, and [`Self::diff`] goes on from there. So the
    /// topology need not be held for all of a large view. Nothing is done once the view has begun.
    pub fn prime(&mut self, topology: &Topology, now_ms: u64, items: usize) -> bool {
        match &mut self.inner {
            Inner::Plain(view) => view.prime(topology, now_ms, items),
            // Groups are few.
            Inner::Grouped(view) => {
                view.prime(topology, now_ms);
                true
            }
        }
    }

    /// What [`Self::fill`] makes a picture of. The topology may change between the parts: what comes
    /// out is at least as new as what was told, and together with the differences that follow it is
    /// the view.
    pub fn outline(&mut self) -> Outline {
        match &mut self.inner {
            Inner::Plain(view) => view.outline(),
            Inner::Grouped(_) => Outline {
                nodes: Vec::new(),
                edges: Vec::new(),
            },
        }
    }

    /// Adds up to `items` of an outline to a picture and takes them from the outline; true when that
    /// was all. What is gone in the meantime is left out.
    pub fn fill(
        &self,
        topology: &Topology,
        outline: &mut Outline,
        items: usize,
        picture: &mut v1::TopologyDiff,
    ) -> bool {
        match &self.inner {
            Inner::Plain(view) => {
                let nodes = outline.nodes.len().saturating_sub(items);
                let nodes = outline.nodes.split_off(nodes);
                let edges = outline.edges.len();
                let edges = edges.saturating_sub(items.saturating_sub(nodes.len()));
                let edges = outline.edges.split_off(edges);
                view.fill(topology, (&nodes, &edges), picture);
                let all = outline.nodes.is_empty() && outline.edges.is_empty();
                if all {
                    view.complete(topology, picture);
                }
                all
            }
            Inner::Grouped(view) => {
                *picture = view.snapshot(topology, picture.time_unix_ms);
                true
            }
        }
    }
}

/// Ids that went and did not come again.
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
    node.first_seen_unix_ms.hash(&mut hasher);
    for field in &node.metadata {
        (&field.key, &field.value).hash(&mut hasher);
    }
    for metric in &node.metrics {
        (&metric.key, metric.max.to_bits()).hash(&mut hasher);
    }
    for parent in &node.parents {
        (&parent.id, &parent.label).hash(&mut hasher);
    }
    hasher.finish()
}

fn hash_node_figures(node: &v1::Node) -> u64 {
    let mut hasher = FxHasher::default();
    node.children.hash(&mut hasher);
    for metric in &node.metrics {
        metric.value.to_bits().hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether any connection is open is no figure: who closes the last one is told at once.
fn hash_edge(edge: &v1::Edge) -> u64 {
    let mut hasher = FxHasher::default();
    let open = edge.connections_open > 0;
    (open, edge.first_seen_unix_ms, &edge.ports).hash(&mut hasher);
    hasher.finish()
}

fn hash_edge_figures(edge: &v1::Edge) -> u64 {
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
        edge.last_seen_unix_ms,
    )
        .hash(&mut hasher);
    for rate in [
        edge.connections_per_s,
        edge.bytes_forward_per_s,
        edge.bytes_back_per_s,
    ] {
        rate.to_bits().hash(&mut hasher);
    }
    hasher.finish()
}
