//! How watching connection tracking is going.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of the watcher, totals since it began, for metrics.
#[derive(Debug, Default)]
pub struct ConntrackStats {
    pub(super) received: AtomicU64,
    pub(super) told: AtomicU64,
    pub(super) losses: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) dumps: AtomicU64,
    pub(super) over_limit: AtomicU64,
    pub(super) errors: AtomicU64,
}

impl ConntrackStats {
    /// Messages of the kernel.
    #[must_use]
    pub fn received_total(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Flows passed on to the reader.
    #[must_use]
    pub fn told_total(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Times that the kernel had to drop messages (ENOBUFS); a dump followed each.
    #[must_use]
    pub fn losses_total(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// Messages that were not understood.
    #[must_use]
    pub fn malformed_total(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }

    /// Dumps of the whole table.
    #[must_use]
    pub fn dumps_total(&self) -> u64 {
        self.dumps.load(Ordering::Relaxed)
    }

    /// Flows of dumps left out because of the bound.
    #[must_use]
    pub fn over_limit_total(&self) -> u64 {
        self.over_limit.load(Ordering::Relaxed)
    }

    /// Dumps that failed.
    #[must_use]
    pub fn errors_total(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }
}
