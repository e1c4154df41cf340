//! A subscriber's end of a view.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use mesoscope_proto::v1::TopologyDiff;
use prometheus::IntGauge;

use super::hub::off_thread;
use super::mailbox::{Mailbox, Waiting};
use super::shared::{SharedDiff, SharedView, to_json};

/// Follows one view. Its sequence numbers are its own: they have no gap, however slow it is.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<SharedView>,
    mailbox: Arc<Mailbox>,
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
        let (first, mailbox) = off_thread(move || view.subscribe()).await;
        gauge.inc();
        Self {
            shared,
            mailbox,
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
            None => match self.mailbox.take().await {
                Waiting::Shared(diff) => Content::Shared(diff),
                Waiting::Merged(diff) => Content::Own(diff),
                Waiting::Restart => self.restart().await,
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
        let (first, mailbox) = off_thread(move || view.subscribe()).await;
        self.mailbox = mailbox;
        self.restarting = false;
        Content::Shared(first)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
