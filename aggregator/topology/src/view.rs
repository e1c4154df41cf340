//! A view with its options, and what its subscribers have been told of it.

mod grouped;
mod plain;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use mesoscope_proto::v1;
use rustc_hash::{FxHashSet, FxHasher};

use crate::{Options, Topology, ViewKind, grouping};
use grouped::GroupedView;
use plain::PlainView;

/// What subscribers know of a node or edge.
#[derive(Debug)]
struct Told {
    id: Arc<str>,
    /// Of the message: news that change nothing shown are not sent.
    hash: u64,
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
    /// A view of which nothing has been told yet: its first difference is the whole view.
    #[must_use]
    pub fn new(kind: ViewKind, options: Options) -> Self {
        let inner = match grouping::of(kind) {
            None => Inner::Plain(PlainView::new(kind, options.clone())),
            Some(grouping) => Inner::Grouped(GroupedView::new(grouping, options.clone())),
        };
        Self {
            kind,
            options,
            inner,
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
    (node.children, node.first_seen_unix_ms).hash(&mut hasher);
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
