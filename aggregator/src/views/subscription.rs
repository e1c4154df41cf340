//! A subscriber's end of a view.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::ws::Utf8Bytes;
use mesoscope_proto::v1::TopologyDiff;
use prometheus::IntGauge;

use super::hub::off_thread;
use super::log::{Follower, Following};
use super::shared::{SharedDiff, SharedView, deflate, numbered, to_json};

/// Follows one view. Its sequence numbers are its own: they have no gap, however slow it is.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<SharedView>,
    follower: Follower,
    first: Option<Arc<SharedDiff>>,
    restarting: bool,
    sequence: u64,
    gauge: IntGauge,
}

/// One message of a subscription.
#[derive(Debug)]
pub struct Message {
    content: Content,
    sequence: u64,
}

#[derive(Debug)]
enum Content {
    Shared(Arc<SharedDiff>),
    Own(Box<TopologyDiff>),
}

impl Message {
    /// As JSON.
    #[must_use]
    pub fn json(self) -> Utf8Bytes {
        match self.content {
            Content::Shared(diff) => diff.json(self.sequence),
            Content::Own(mut diff) => {
                diff.sequence = self.sequence;
                to_json(&diff).into()
            }
        }
    }

    /// As JSON, compressed: eight bytes of sequence number, the highest first, which counts and not the
    /// one in the JSON, then the JSON by RFC 1951.
    #[must_use]
    pub fn deflated(self) -> Bytes {
        match self.content {
            Content::Shared(diff) => diff.deflated(self.sequence),
            Content::Own(diff) => numbered(self.sequence, &deflate(&to_json(&diff))),
        }
    }

    /// As a message of gRPC.
    #[must_use]
    pub fn diff(self) -> TopologyDiff {
        let sequence = self.sequence;
        let diff = match self.content {
            Content::Shared(diff) => diff.diff().clone(),
            Content::Own(diff) => *diff,
        };
        TopologyDiff { sequence, ..diff }
    }
}

impl Subscription {
    pub(super) async fn new(shared: Arc<SharedView>, gauge: IntGauge) -> Self {
        let view = shared.clone();
        let (first, follower) = off_thread(move || view.subscribe()).await;
        gauge.inc();
        Self {
            shared,
            follower,
            first: Some(first),
            restarting: false,
            sequence: 0,
            gauge,
        }
    }

    /// The next message; waits for it. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Message {
        let content = match self.first.take() {
            Some(first) => Content::Shared(first),
            None if self.restarting => self.restart().await,
            None => match self.follower.next(self.shared.metrics()).await {
                Following::Shared(diff) => Content::Shared(diff),
                Following::Merged(diff) => Content::Own(diff),
                Following::Restart => self.restart().await,
            },
        };
        self.sequence += 1;
        Message {
            content,
            sequence: self.sequence,
        }
    }

    async fn restart(&mut self) -> Content {
        // A dropped future must not lose the wish to begin again.
        self.restarting = true;
        let view = self.shared.clone();
        let (first, follower) = off_thread(move || view.subscribe()).await;
        self.follower = follower;
        self.restarting = false;
        Content::Shared(first)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
