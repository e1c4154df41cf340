//! Batches that the aggregator has not acknowledged, bounded in bytes.

use std::collections::VecDeque;

use mesoscope_capture::MonoNs;
use prost::bytes::Bytes;

use crate::core::batch::Encoded;

/// The batches would not fit any more; none is kept.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the spool of {limit_bytes} bytes is full")]
pub struct Overflow {
    limit_bytes: usize,
}

#[derive(Debug)]
struct Kept {
    batch: Encoded,
    made: MonoNs,
}

/// Unacknowledged batches in their order.
#[derive(Debug)]
pub struct Spool {
    kept: VecDeque<Kept>,
    bytes: usize,
    limit_bytes: usize,
    sent: usize,
    acknowledged: MonoNs,
}

impl Spool {
    /// An empty spool of `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            bytes: 0,
            limit_bytes,
            sent: 0,
            acknowledged: 0,
        }
    }

    /// Keeps a batch. A batch of a snapshot always fits: what it may hold is bounded by the state.
    ///
    /// # Errors
    /// When it does not fit; the spool is empty then.
    pub fn push(&mut self, batch: Encoded, made: MonoNs, snapshot: bool) -> Result<(), Overflow> {
        if !snapshot && self.bytes + batch.bytes.len() > self.limit_bytes {
            self.clear();
            return Err(Overflow {
                limit_bytes: self.limit_bytes,
            });
        }
        self.bytes += batch.bytes.len();
        self.kept.push_back(Kept { batch, made });
        Ok(())
    }

    /// Changes the bound. What is kept over it stays until the next batch does not fit.
    pub fn set_limit(&mut self, limit_bytes: usize) {
        self.limit_bytes = limit_bytes;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.kept = VecDeque::new();
        self.bytes = 0;
        self.sent = 0;
    }

    /// Forgets everything up to and including `sequence`.
    pub fn acknowledge(&mut self, sequence: u64) {
        while let Some(kept) = self.kept.front()
            && kept.batch.sequence <= sequence
        {
            self.bytes -= kept.batch.bytes.len();
            self.acknowledged = self.acknowledged.max(kept.made);
            self.kept.pop_front();
            self.sent = self.sent.saturating_sub(1);
        }
    }

    /// The next batch to be sent.
    pub fn next_unsent(&mut self) -> Option<Bytes> {
        let kept = self.kept.get(self.sent)?;
        self.sent += 1;
        Some(kept.batch.bytes.clone())
    }

    /// Whether a batch waits to be sent.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        self.sent < self.kept.len()
    }

    /// Sends everything that is kept again.
    pub fn rewind(&mut self) {
        self.sent = 0;
    }

    /// Sequence of the oldest batch.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.kept.front().map(|kept| kept.batch.sequence)
    }

    /// When the newest acknowledged batch was made; what ended before was told.
    #[must_use]
    pub fn acknowledged(&self) -> MonoNs {
        self.acknowledged
    }

    /// Bytes kept and the bound.
    #[must_use]
    pub fn fill(&self) -> (usize, usize) {
        (self.bytes, self.limit_bytes)
    }

    /// Batches kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}
