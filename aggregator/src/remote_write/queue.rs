//! Bodies that wait. Values in, values out.
//!
//! In order, one at a time, since a Prometheus takes no values that are older than what it has. When
//! there is no more room the oldest that is not under way goes.

use std::collections::VecDeque;

use hyper::body::Bytes;

/// The first wait; each one after it is twice as long.
const WAIT_MS_MIN: u64 = 1_000;
/// The longest wait, unless the server asks for more.
const WAIT_MS_MAX: u64 = 60_000;
/// The longest wait that a server may ask for.
const ASKED_MS_MAX: u64 = 600_000;

/// What became of samples, and of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Samples that were taken.
    pub sent: u64,
    /// Samples that the server refused.
    pub refused: u64,
    /// Samples that there was no room for.
    pub no_room: u64,
    /// Requests that failed.
    pub failed: u64,
}

/// What to do now.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    Rest,
    Wait { until_ms: u64 },
    Send(Bytes),
}

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Taken,
    Refused,
    Failed { retry_after_ms: Option<u64> },
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<(Bytes, u64)>,
    bytes: usize,
    bytes_max: usize,
    under_way: bool,
    attempts: u32,
    not_before_ms: u64,
    pub counts: Counts,
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            bytes_max,
            under_way: false,
            attempts: 0,
            not_before_ms: 0,
            counts: Counts::default(),
        }
    }

    /// Bytes that wait, and how many may.
    pub(super) fn fill(&self) -> (usize, usize) {
        (self.bytes, self.bytes_max)
    }

    /// Adds a body with so many samples behind the others.
    pub(super) fn push(&mut self, body: Bytes, samples: u64) {
        self.bytes += body.len();
        self.waiting.push_back((body, samples));
        let kept = usize::from(self.under_way);
        while self.bytes > self.bytes_max && self.waiting.len() > kept {
            if let Some((body, samples)) = self.waiting.remove(kept) {
                self.bytes -= body.len();
                self.counts.no_room += samples;
            }
        }
    }

    /// What to do now. After [`Step::Send`] comes [`Self::went`].
    pub(super) fn next(&mut self, now_ms: u64) -> Step {
        let Some((body, _)) = self.waiting.front() else {
            return Step::Rest;
        };
        if now_ms < self.not_before_ms {
            let until_ms = self.not_before_ms;
            return Step::Wait { until_ms };
        }
        self.under_way = true;
        Step::Send(body.clone())
    }

    /// How the request went.
    pub(super) fn went(&mut self, outcome: Outcome, now_ms: u64) {
        self.under_way = false;
        if let Outcome::Failed { retry_after_ms } = outcome {
            let doubled = WAIT_MS_MIN << self.attempts.min(16);
            let asked_ms = retry_after_ms.unwrap_or(0).min(ASKED_MS_MAX);
            self.not_before_ms = now_ms.saturating_add(doubled.min(WAIT_MS_MAX).max(asked_ms));
            self.attempts = self.attempts.saturating_add(1);
            self.counts.failed += 1;
            return;
        }
        (self.attempts, self.not_before_ms) = (0, 0);
        let Some((body, samples)) = self.waiting.pop_front() else {
            return;
        };
        self.bytes -= body.len();
        if outcome == Outcome::Taken {
            self.counts.sent += samples;
        } else {
            self.counts.failed += 1;
            self.counts.refused += samples;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILED: Outcome = Outcome::Failed {
        retry_after_ms: None,
    };

    fn body(byte: u8) -> Bytes {
        vec![byte; 10].into()
    }

    #[test]
    fn what_fails_is_sent_again_before_the_next_and_what_is_refused_is_not() {
        let mut queue = Queue::new(1_000);
        queue.push(body(1), 5);
        queue.push(body(2), 6);
        queue.push(body(3), 7);
        assert_eq!(queue.next(0), Step::Send(body(1)));
        queue.went(FAILED, 0);
        assert_eq!(queue.next(999), Step::Wait { until_ms: 1_000 });
        assert_eq!(queue.next(1_000), Step::Send(body(1)));
        let asked = Outcome::Failed {
            retry_after_ms: Some(30_000),
        };
        queue.went(asked, 1_000);
        assert_eq!(queue.next(30_999), Step::Wait { until_ms: 31_000 });
        assert_eq!(queue.next(31_000), Step::Send(body(1)));
        queue.went(Outcome::Taken, 31_000);
        assert_eq!(queue.next(31_000), Step::Send(body(2)));
        queue.went(Outcome::Refused, 31_000);
        assert_eq!(queue.next(31_000), Step::Send(body(3)));
        let expected = Counts {
            sent: 5,
            refused: 6,
            no_room: 0,
            failed: 3,
        };
        assert_eq!((queue.counts, queue.fill()), (expected, (10, 1_000)));
    }

    #[test]
    fn without_room_the_oldest_that_is_not_under_way_goes() {
        let mut queue = Queue::new(25);
        queue.push(body(1), 1);
        assert_eq!(queue.next(0), Step::Send(body(1)));
        queue.push(body(2), 2);
        queue.push(body(3), 3);
        assert_eq!((queue.counts.no_room, queue.fill().0), (2, 20));
        queue.went(Outcome::Taken, 0);
        assert_eq!(queue.next(0), Step::Send(body(3)));
    }

    proptest! {
        #[test]
        fn the_bound_holds_and_every_sample_is_accounted_for(
            steps in proptest::collection::vec((0u8..5, 0u64..100_000), 1..300),
        ) {
            let mut queue = Queue::new(55);
            let (mut now, mut pushed, mut under_way) = (0, 0, false);
            for (what, later_ms) in steps {
                now += later_ms;
                match what {
                    0 | 1 => {
                        queue.push(body(what), 1);
                        pushed += 1;
                    }
                    _ if under_way => {
                        let outcome = [Outcome::Taken, Outcome::Refused, FAILED][usize::from(what - 2)];
                        queue.went(outcome, now);
                        under_way = false;
                    }
                    _ => under_way = matches!(queue.next(now), Step::Send(_)),
                }
                let (bytes, most) = queue.fill();
                prop_assert!(bytes <= most);
                let Counts { sent, refused, no_room, .. } = queue.counts;
                let waiting = u64::try_from(bytes / 10).expect("small");
                prop_assert_eq!(sent + refused + no_room + waiting, pushed);
            }
        }
    }
}
