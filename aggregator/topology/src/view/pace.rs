//! How often a view tells figures.

use crate::journal::Item;

/// How a view tells what changes all the time: metrics, rates, counts. What comes, goes, or looks
/// different is not held back by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Figures of one thing are told at most this often; after a quiet time at once.
    pub period_ms: u64,
    /// Things of which a difference tells figures at most; the others wait for the next ones, those that
    /// have waited longest first.
    pub items_max: usize,
    /// The least time between two differences, by which it is known how long waiting takes.
    pub diff_ms: u64,
    /// Figures of edges are told all together, once per period, and none in between: messages of many
    /// can be packed much smaller than many messages.
    pub edges_together: bool,
    /// Where only figures have changed, only these are told.
    pub parts: bool,
}

impl Default for Pace {
    /// Everything at once and whole.
    fn default() -> Self {
        Self {
            period_ms: 0,
            items_max: usize::MAX,
            diff_ms: 0,
            edges_together: false,
            parts: false,
        }
    }
}

impl Pace {
    /// From when on figures may be told that changed now and were last told then.
    pub(super) fn due_ms(&self, item: Item, told_ms: u64, now_ms: u64) -> u64 {
        let together = self.edges_together && self.period_ms > 0;
        match item {
            Item::Edge(_) if together => (now_ms / self.period_ms + 1) * self.period_ms,
            _ => told_ms.saturating_add(self.period_ms),
        }
    }

    /// How old figures are at most, while so many things wait.
    pub(super) fn period_of(&self, waiting: usize) -> u32 {
        let turns = waiting.div_ceil(self.items_max.max(1));
        let queue_ms = u64::try_from(turns)
            .unwrap_or(u64::MAX)
            .saturating_mul(self.diff_ms);
        u32::try_from(self.period_ms.max(queue_ms)).unwrap_or(u32::MAX)
    }
}
