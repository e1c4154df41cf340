//! What waits for one webhook. Values in, values out.
//!
//! In order, one at a time: the first is tried until it is taken, refused, or given up. When there is
//! no more room the oldest that is not under way goes, since what is new matters more.

use std::collections::VecDeque;
use std::sync::Arc;

use super::notice::Notice;

/// Notices that wait for one webhook.
pub const QUEUE_MAX: usize = 1_000;
/// The first wait; each one after it is twice as long.
const WAIT_MS_MIN: u64 = 1_000;
/// The longest wait.
const WAIT_MS_MAX: u64 = 300_000;

/// A notice and its number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub notice: Arc<Notice>,
    pub sequence: u64,
    /// From 1.
    pub attempt: u32,
}

/// What to do now.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Nothing waits.
    Rest,
    /// Nothing before this time.
    Wait { until_ms: u64 },
    /// Make this request, and say how it went.
    Send(Call),
}

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was taken.
    Taken,
    /// It will never be taken.
    Refused,
    /// It may be taken later; the receiver may say when.
    Failed { retry_after_ms: Option<u64> },
}

/// What became of notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Taken by the receiver.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Dropped since the receiver will never take them.
    pub refused: u64,
    /// Dropped since the receiver did not take them for too long.
    pub given_up: u64,
    /// Dropped since there was no room.
    pub no_room: u64,
}

/// The queue of one webhook.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<(u64, Arc<Notice>)>,
    /// Of the last one that came.
    sequence: u64,
    give_up_ms: u64,
    /// Of the first in the queue.
    under_way: bool,
    attempts: u32,
    tried_first_ms: u64,
    not_before_ms: u64,
    pub counts: Counts,
}

impl Queue {
    /// `give_up_ms`: how long the same notice is tried.
    pub(super) fn new(give_up_ms: u64) -> Self {
        Self {
            waiting: VecDeque::new(),
            sequence: 0,
            give_up_ms,
            under_way: false,
            attempts: 0,
            tried_first_ms: 0,
            not_before_ms: 0,
            counts: Counts::default(),
        }
    }

    /// Notices that wait, the one under way included.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a notice behind the others.
    pub(super) fn push(&mut self, notice: Arc<Notice>) {
        if self.waiting.len() == QUEUE_MAX {
            let oldest = usize::from(self.under_way);
            self.waiting.remove(oldest);
            if oldest == 0 {
                self.begin_anew();
            }
            self.counts.no_room += 1;
        }
        self.sequence += 1;
        self.waiting.push_back((self.sequence, notice));
    }

    /// What to do now. After [`Step::Send`] comes [`Self::went`].
    pub(super) fn next(&mut self, now_ms: u64) -> Step {
        let Some((sequence, notice)) = self.waiting.front() else {
            return Step::Rest;
        };
        if now_ms < self.not_before_ms {
            return Step::Wait {
                until_ms: self.not_before_ms,
            };
        }
        if self.attempts == 0 {
            self.tried_first_ms = now_ms;
        }
        self.attempts += 1;
        self.under_way = true;
        Step::Send(Call {
            notice: notice.clone(),
            sequence: *sequence,
            attempt: self.attempts,
        })
    }

    /// How the request went. `jitter` is random, from 0 to 1: many aggregators don't come back to a
    /// receiver at the same moment.
    pub(super) fn went(&mut self, outcome: Outcome, now_ms: u64, jitter: f64) {
        self.under_way = false;
        match outcome {
            Outcome::Taken => {
                self.counts.delivered += 1;
                self.done();
            }
            Outcome::Refused => {
                self.counts.failed += 1;
                self.counts.refused += 1;
                self.done();
            }
            Outcome::Failed { retry_after_ms } => {
                self.counts.failed += 1;
                let asked_ms = retry_after_ms.unwrap_or(0).min(self.give_up_ms);
                let wait_ms = wait_ms(self.attempts, jitter).max(asked_ms);
                self.not_before_ms = now_ms.saturating_add(wait_ms);
                let given_up_ms = self.tried_first_ms.saturating_add(self.give_up_ms);
                if self.not_before_ms > given_up_ms {
                    self.counts.given_up += 1;
                    let not_before_ms = self.not_before_ms;
                    self.done();
                    // The next one would fail as well.
                    self.not_before_ms = not_before_ms;
                }
            }
        }
    }

    fn done(&mut self) {
        self.waiting.pop_front();
        self.begin_anew();
        self.not_before_ms = 0;
    }

    fn begin_anew(&mut self) {
        self.attempts = 0;
    }
}

/// Half of it is random.
fn wait_ms(attempts: u32, jitter: f64) -> u64 {
    let doublings = attempts.saturating_sub(1).min(16);
    let whole = (WAIT_MS_MIN << doublings).min(WAIT_MS_MAX);
    let half = whole / 2;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few minutes in milliseconds, times at most 1"
    )]
    let random = (half as f64 * jitter.clamp(0.0, 1.0)) as u64;
    half + random
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
