//! Pauses between attempts to reach a runtime.

use std::time::Duration;

/// Pauses between attempts, doubling up to a bound, with jitter so that the agents of a cluster do
/// not all knock at the same time.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// Between half of the present pause and all of it; the next one is twice as long.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for pause_ms in [100, 200, 350, 350] {
            let pause = backoff.next_pause();
            assert!(pause <= Duration::from_millis(pause_ms), "{pause:?}");
            assert!(pause >= Duration::from_millis(pause_ms / 2), "{pause:?}");
        }
        backoff.reset();
        assert!(backoff.next_pause() <= Duration::from_millis(100));
    }
}
