//! The last differences of a view, once for all who follow it: however many are slow, and however
//! slow, nothing is kept for each of them but how far it has come.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use mesoscope_proto::v1::TopologyDiff;
use tokio::sync::watch;

use super::merge::merge;
use super::shared::SharedDiff;
use crate::metrics::Metrics;

/// Differences that are kept: half a minute of them.
const DIFFS_MAX: usize = 300;
/// Nodes, edges, figures and removed ids in them, together; one difference may have more. Who is
/// further behind gets the whole view anew.
const ITEMS_MAX: usize = 20_000;

/// The differences, with the number of the newest.
#[derive(Debug)]
pub(super) struct Log {
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    diffs: VecDeque<Arc<SharedDiff>>,
    items: usize,
}

/// What follows for somebody.
#[derive(Debug)]
pub(super) enum Following {
    /// One difference, shared with the others.
    Shared(Arc<SharedDiff>),
    /// Several, merged.
    Merged(Box<TopologyDiff>),
    /// So many that the whole view is less.
    Restart,
}

/// Somebody who follows a view.
#[derive(Debug)]
pub(super) struct Follower {
    log: Arc<Log>,
    newest: watch::Receiver<u64>,
    /// All up to this number has been taken.
    taken: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            ring: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }
}

fn items(diff: &TopologyDiff) -> usize {
    diff.nodes.len()
        + diff.edges.len()
        + diff.nodes_removed.len()
        + diff.edges_removed.len()
        + diff.node_figures.len()
        + diff.edge_figures.len()
        + diff.places.len()
}

impl Log {
    /// Adds the next difference.
    pub(super) fn put(&self, diff: Arc<SharedDiff>) {
        let number = diff.diff().sequence;
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.items += items(diff.diff());
        ring.diffs.push_back(diff);
        while ring.diffs.len() > DIFFS_MAX || (ring.items > ITEMS_MAX && ring.diffs.len() > 1) {
            if let Some(oldest) = ring.diffs.pop_front() {
                ring.items -= items(oldest.diff());
            }
        }
        drop(ring);
        self.newest.send_replace(number);
    }

    /// How many follow.
    pub(super) fn followers(&self) -> usize {
        self.newest.receiver_count()
    }

    /// Nobody follows: whoever comes next begins with the whole view.
    pub(super) fn clear(&self) {
        *self.ring.lock().unwrap_or_else(PoisonError::into_inner) = Ring::default();
    }

    /// What came after this number, and the number that it reaches to. `None`: nothing.
    fn after(&self, taken: u64, metrics: &Metrics) -> Option<(Following, u64)> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = ring.diffs.back()?.diff().sequence;
        let oldest = ring.diffs.front()?.diff().sequence;
        if newest <= taken {
            return None;
        }
        if oldest > taken + 1 {
            metrics.views.restarted.inc();
            return Some((Following::Restart, taken));
        }
        let behind = usize::try_from(newest - taken).unwrap_or(usize::MAX);
        let first = ring.diffs.len().saturating_sub(behind);
        let missed: Vec<_> = ring.diffs.range(first..).cloned().collect();
        // Merging takes its time, and others want to go on.
        drop(ring);
        let (first, later) = missed.split_first()?;
        if later.is_empty() {
            return Some((Following::Shared(first.clone()), newest));
        }
        let mut merged = Box::new(first.diff().clone());
        for diff in later {
            metrics.views.coalesced.inc();
            merge(&mut merged, diff.diff());
        }
        Some((Following::Merged(merged), newest))
    }
}

impl Follower {
    /// Follows from behind this number on.
    pub(super) fn new(log: &Arc<Log>, taken: u64) -> Self {
        Self {
            log: log.clone(),
            newest: log.newest.subscribe(),
            taken,
        }
    }

    /// Takes what follows, or waits for it. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self, metrics: &Metrics) -> Following {
        loop {
            self.newest.mark_unchanged();
            if let Some((following, taken)) = self.log.after(self.taken, metrics) {
                self.taken = taken;
                return following;
            }
            if self.newest.changed().await.is_err() {
                // The log is held by this follower: it can't be gone.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mesoscope_proto::v1::Node;

    use super::*;

    fn diff(sequence: u64, ids: std::ops::Range<u64>) -> Arc<SharedDiff> {
        let node = |id: u64| Node {
            id: id.to_string(),
            ..Default::default()
        };
        Arc::new(SharedDiff::new(TopologyDiff {
            sequence,
            nodes: ids.map(node).collect(),
            ..Default::default()
        }))
    }

    #[tokio::test]
    async fn the_slow_get_one_merged_difference_and_the_very_slow_begin_anew() {
        let metrics = Metrics::new().expect("names are unique");
        let log = Arc::new(Log::default());
        let [mut prompt, mut slow, mut slower] = [0; 3].map(|taken| Follower::new(&log, taken));
        assert_eq!(log.followers(), 3);
        log.put(diff(1, 0..2));
        let first = prompt.next(&metrics).await;
        assert!(matches!(first, Following::Shared(diff) if diff.diff().sequence == 1));
        log.put(diff(2, 1..4));
        let Following::Merged(merged) = slow.next(&metrics).await else {
            panic!("two differences");
        };
        assert_eq!((merged.sequence, merged.nodes.len()), (2, 4));
        assert_eq!(metrics.views.coalesced.get(), 1);
        for sequence in 3..=400 {
            log.put(diff(sequence, 0..1));
        }
        assert!(matches!(slower.next(&metrics).await, Following::Restart));
        assert!(matches!(prompt.next(&metrics).await, Following::Restart));
        assert_eq!(metrics.views.restarted.get(), 2);
    }

    #[test]
    fn large_differences_are_not_kept_for_long() {
        let log = Log::default();
        for sequence in 1..=20 {
            log.put(diff(sequence, 0..8_000));
        }
        let ring = log.ring.lock().expect("nobody panics");
        assert_eq!((ring.diffs.len(), ring.items), (2, 16_000));
    }
}
