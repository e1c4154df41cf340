//! Who tells: while a source is silent, a value that it told before says nothing.

use std::collections::VecDeque;

/// Silences that are remembered, the oldest merged into one when there are more.
const SILENCES_MAX: usize = 64;

/// A source and its silences.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    /// From and until, in milliseconds; `u64::MAX` while it lasts.
    silences: VecDeque<(u64, u64)>,
    /// What was not told since the last whole account is gone.
    pub(crate) whole_ms: u64,
}

impl Source {
    pub(crate) fn speaks(&mut self, now_ms: u64) {
        if let Some((_, until)) = self.silences.back_mut().filter(|last| last.1 == u64::MAX) {
            *until = now_ms;
        }
    }

    pub(crate) fn falls_silent(&mut self, now_ms: u64) {
        if self.silent_since().is_some() {
            return;
        }
        self.silences.push_back((now_ms, u64::MAX));
        if self.silences.len() > SILENCES_MAX
            && let Some((from, _)) = self.silences.pop_front()
            && let Some(next) = self.silences.front_mut()
        {
            next.0 = from;
        }
    }

    /// Since when it is silent.
    pub(crate) fn silent_since(&self) -> Option<u64> {
        let last = self.silences.back()?;
        (last.1 == u64::MAX).then_some(last.0)
    }

    /// Whether it was silent all this time.
    pub(crate) fn was_silent(&self, from_ms: u64, to_ms: u64) -> bool {
        let within = |silence: &(u64, u64)| silence.0 <= from_ms && to_ms <= silence.1;
        self.silences.iter().any(within)
    }

    /// Forgets silences that ended before.
    pub(crate) fn forget_before(&mut self, oldest_ms: u64) {
        while self
            .silences
            .front()
            .is_some_and(|first| first.1 < oldest_ms)
        {
            self.silences.pop_front();
        }
    }
}
