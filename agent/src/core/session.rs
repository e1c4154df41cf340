//! What to send over the connection to the aggregator: greeting, batches, snapshots.
//!
//! One [`Session`] lives as long as the agent. Connections come and go under it; what was not
//! acknowledged is sent again, or a snapshot takes its place.

use mesoscope_capture::MonoNs;
use mesoscope_proto::v1::{
    AggregatorMessage, Capability, Configure, Gap, GapKind, Hello, aggregator_message::Message,
};
use prost::bytes::Bytes;

use super::batch::Batcher;
use super::node_state::NodeState;
use crate::store::spool::Spool;

/// Ends that were read late may be older than the batch that told them.
const TOLD_MARGIN_NS: u64 = 2_000_000_000;

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Away,
    /// Hello was sent.
    Greeting,
    Live,
}

/// Who we are, for Hello.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Identity {
    pub agent_id: String,
    pub hostname: String,
    pub version: String,
    pub generation: u64,
}

/// Counters, totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SessionCounters {
    pub batches: u64,
    pub batch_bytes: u64,
    pub snapshots: u64,
    pub connects: u64,
    pub resyncs: u64,
    pub overflows: u64,
}

/// The protocol with the aggregator.
#[derive(Debug)]
pub struct Session {
    identity: Identity,
    next_sequence: u64,
    spool: Spool,
    link: Link,
    snapshot_needed: bool,
    /// The open gap of an overflow.
    overflowed: Option<Gap>,
    counters: SessionCounters,
}

impl Session {
    /// A session that keeps at most `spool_bytes` of unacknowledged batches.
    #[must_use]
    pub fn new(identity: Identity, spool_bytes: usize) -> Self {
        Self {
            identity,
            next_sequence: 1,
            spool: Spool::new(spool_bytes),
            link: Link::Away,
            snapshot_needed: true,
            overflowed: None,
            counters: SessionCounters::default(),
        }
    }

    /// A connection was made: the first message to send.
    pub fn connected(&mut self, capabilities: Vec<Capability>) -> Hello {
        self.link = Link::Greeting;
        self.counters.connects += 1;
        Hello {
            agent_id: self.identity.agent_id.clone(),
            hostname: self.identity.hostname.clone(),
            version: self.identity.version.clone(),
            generation: self.identity.generation,
            sequence_first: self.spool.first().unwrap_or(self.next_sequence),
            sequence_next: self.next_sequence,
            capabilities,
            connection: self.counters.connects,
            ..Hello::default()
        }
    }

    /// The connection broke.
    pub fn disconnected(&mut self) {
        self.link = Link::Away;
        self.spool.rewind();
    }

    /// The aggregator said something; returns settings for the driver.
    pub fn received(&mut self, message: AggregatorMessage) -> Option<Configure> {
        match message.message? {
            Message::Welcome(welcome) if self.link == Link::Greeting => {
                self.link = Link::Live;
                let first = self.spool.first().unwrap_or(self.next_sequence);
                let held = (first..=self.next_sequence).contains(&welcome.sequence_expected);
                if welcome.resume && held && !self.snapshot_needed {
                    self.spool.acknowledge(welcome.sequence_expected - 1);
                    self.spool.rewind();
                } else {
                    self.snapshot_needed = true;
                }
                None
            }
            Message::Welcome(_) => None,
            Message::Ack(ack) => {
                if ack.sequence < self.next_sequence {
                    self.spool.acknowledge(ack.sequence);
                }
                None
            }
            Message::Resync(resync) => {
                tracing::info!(reason = resync.reason, "the aggregator asks for a snapshot");
                self.counters.resyncs += 1;
                self.snapshot_needed = true;
                None
            }
            Message::Configure(configure) => Some(configure),
            // The uplink takes these itself.
            Message::Members(_) | Message::Redirect(_) => None,
        }
    }

    /// Moves what changed into the spool; a snapshot where one is needed.
    pub fn flush(&mut self, now: MonoNs, now_unix_ns: u64, state: &mut NodeState) {
        match (self.snapshot_needed, self.link) {
            (true, Link::Live) => self.flush_snapshot(now, now_unix_ns, state),
            // The snapshot will hold it.
            (true, _) => state.flush(&mut |_| {}),
            (false, _) if state.has_changes() => self.flush_changes(now, now_unix_ns, state),
            (false, _) => {}
        }
    }

    fn flush_changes(&mut self, now: MonoNs, now_unix_ns: u64, state: &mut NodeState) {
        let (spool, counters) = (&mut self.spool, &mut self.counters);
        let mut fits = true;
        let mut push = |batch: super::batch::Encoded| {
            counters.batches += 1;
            counters.batch_bytes += batch.bytes.len() as u64;
            fits = fits && spool.push(batch, now, false).is_ok();
        };
        let mut batcher = Batcher::new(
            self.identity.generation,
            &mut self.next_sequence,
            now_unix_ns,
            false,
            &mut push,
        );
        state.flush(&mut |change| batcher.add(change));
        batcher.finish();
        if !fits {
            self.overflow(now_unix_ns, state);
        }
    }

    fn overflow(&mut self, now_unix_ns: u64, state: &mut NodeState) {
        self.spool.clear();
        self.snapshot_needed = true;
        self.counters.overflows += 1;
        let gap = self.overflowed.get_or_insert_with(|| Gap {
            kind: GapKind::Spool.into(),
            what: "all".into(),
            since_unix_ns: now_unix_ns,
            detail: "the aggregator was away (or slow) for longer than the agent's spool lasts (--spool-bytes)".into(),
            ..Gap::default()
        });
        state.gap(gap.clone());
    }

    fn flush_snapshot(&mut self, now: MonoNs, now_unix_ns: u64, state: &mut NodeState) {
        if let Some(gap) = self.overflowed.take() {
            state.gap(Gap {
                until_unix_ns: now_unix_ns,
                ..gap
            });
        }
        let since = self.spool.acknowledged().saturating_sub(TOLD_MARGIN_NS);
        self.spool.clear();
        let (spool, counters) = (&mut self.spool, &mut self.counters);
        counters.snapshots += 1;
        let mut push = |batch: super::batch::Encoded| {
            counters.batches += 1;
            counters.batch_bytes += batch.bytes.len() as u64;
            // A batch of a snapshot always fits.
            let _ = spool.push(batch, now, true);
        };
        let mut batcher = Batcher::new(
            self.identity.generation,
            &mut self.next_sequence,
            now_unix_ns,
            true,
            &mut push,
        );
        state.snapshot(since, &mut |change| batcher.add(change));
        batcher.finish();
        self.snapshot_needed = false;
    }

    /// The next message to send. While a snapshot is needed there is none: what the spool holds would
    /// take the aggregator back to an earlier state.
    pub fn next_to_send(&mut self) -> Option<Bytes> {
        self.may_send().then(|| self.spool.next_unsent()).flatten()
    }

    /// Whether a message waits to be sent.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.may_send() && self.spool.has_unsent()
    }

    fn may_send(&self) -> bool {
        self.link == Link::Live && !self.snapshot_needed
    }

    /// Whether the aggregator is there and has greeted us.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.link == Link::Live
    }

    /// Whether everything was told and acknowledged.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.spool.is_empty() && !self.snapshot_needed
    }

    /// Changes the bound of the spool.
    pub fn set_spool_bytes(&mut self, spool_bytes: usize) {
        self.spool.set_limit(spool_bytes);
    }

    /// Bytes in the spool and its bound.
    #[must_use]
    pub fn spool_fill(&self) -> (usize, usize) {
        self.spool.fill()
    }

    /// Counters for metrics.
    #[must_use]
    pub fn counters(&self) -> SessionCounters {
        self.counters
    }

    /// Who we are.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}
