//! A view with its options, and what its subscribers have been told of it.

use mesoscope_proto::v1;

use crate::{Options, Topology, ViewKind};

/// One view with its options. Subscribers with equal options share one and its differences.
#[derive(Debug)]
pub struct View {
    kind: ViewKind,
    options: Options,
    sequence: u64,
}

impl View {
    /// A view of which nothing has been told yet: its first difference is the whole view.
    #[must_use]
    pub fn new(kind: ViewKind, options: Options) -> Self {
        Self {
            kind,
            options,
            sequence: 0,
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
    pub fn diff(&mut self, _topology: &Topology, _now_ms: u64) -> Option<v1::TopologyDiff> {
        None
    }

    /// The whole view as of the last [`Self::diff`], with `reset` set and its sequence number: what a
    /// subscriber gets that joins later. The next difference continues from it.
    #[must_use]
    pub fn snapshot(&self, _topology: &Topology, now_ms: u64) -> v1::TopologyDiff {
        v1::TopologyDiff {
            view: self.kind.name().into(),
            sequence: self.sequence,
            reset: true,
            time_unix_ms: now_ms,
            ..Default::default()
        }
    }
}
