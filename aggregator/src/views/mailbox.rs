//! What waits for one subscriber: at most one difference, into which later ones are merged.

use std::sync::{Arc, Mutex, PoisonError};

use mesoscope_proto::v1::TopologyDiff;
use tokio::sync::Notify;

use super::merge::merge;
use super::shared::SharedDiff;
use crate::metrics::Metrics;

/// Removed ids in a waiting difference. Beyond, the subscriber gets the whole view anew.
const REMOVED_MAX: usize = 20_000;

/// A subscriber's mailbox.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    waiting: Mutex<Option<Waiting>>,
    arrived: Notify,
}

/// What a subscriber finds.
#[derive(Debug)]
pub(super) enum Waiting {
    /// One difference, shared with the others.
    Shared(Arc<SharedDiff>),
    /// Several, merged.
    Merged(Box<TopologyDiff>),
    /// So much that the whole view is less.
    Restart,
}

impl Mailbox {
    /// Puts a difference in.
    pub(super) fn put(&self, diff: &Arc<SharedDiff>, metrics: &Metrics) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let merged = match waiting.take() {
            None => Waiting::Shared(diff.clone()),
            Some(Waiting::Restart) => Waiting::Restart,
            Some(older) => {
                metrics.views.coalesced.inc();
                let mut older = match older {
                    Waiting::Merged(older) => older,
                    Waiting::Shared(older) => Box::new(older.diff().clone()),
                    Waiting::Restart => Box::default(),
                };
                merge(&mut older, diff.diff());
                if older.nodes_removed.len() + older.edges_removed.len() > REMOVED_MAX {
                    metrics.views.restarted.inc();
                    Waiting::Restart
                } else {
                    Waiting::Merged(older)
                }
            }
        };
        *waiting = Some(merged);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Takes what waits, or waits for it. Nothing is lost when the future is dropped.
    pub(super) async fn take(&self) -> Waiting {
        loop {
            let waiting = self
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(waiting) = waiting {
                return waiting;
            }
            self.arrived.notified().await;
        }
    }
}
