//! The rate of all logs, terminals and files together. Time is an argument.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Read at once after a pause.
const BURST_BYTES: u64 = 256 << 10;

/// Allows so many bytes per second, and a burst.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_s: u64,
    /// When what was taken so far is paid for.
    paid_at: Duration,
}

impl Pace {
    pub(super) fn new(bytes_per_s: u64) -> Self {
        Self {
            bytes_per_s,
            paid_at: Duration::ZERO,
        }
    }

    /// Takes bytes at `now`, and gives how long to wait before the next ones.
    pub(super) fn take(&mut self, now: Duration, bytes: usize) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.paid_at = self.paid_at.max(now) + self.time_of(bytes);
        (self.paid_at - now).saturating_sub(self.time_of(BURST_BYTES))
    }

    fn time_of(&self, bytes: u64) -> Duration {
        Duration::from_micros(bytes.saturating_mul(1_000_000) / self.bytes_per_s)
    }
}

/// Takes bytes, and waits as long as it has to; `began` is what the pace counts from.
pub(super) async fn paced(pace: &Mutex<Pace>, began: Instant, bytes: usize) {
    let wait = {
        let mut pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.take(began.elapsed(), bytes)
    };
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_burst_is_free_and_the_rest_is_paced() {
        let mut pace = Pace::new(1 << 20);
        let second = Duration::from_secs(1);
        assert_eq!(pace.take(second, 256 << 10), Duration::ZERO);
        // A full second of bytes beyond the burst.
        assert_eq!(pace.take(second, MIB), second);
        // After a long pause there is one burst again, not one for each second.
        let later = second * 100;
        assert_eq!(pace.take(later, 256 << 10), Duration::ZERO);
        assert_eq!(pace.take(later, MIB), second);
    }

    #[test]
    fn whoever_waits_as_told_reads_at_the_rate() {
        let mut pace = Pace::new(2 << 20);
        let mut now = Duration::ZERO;
        for _ in 0..640 {
            now += pace.take(now, 16 << 10);
        }
        // 10 MiB, less the burst.
        assert!((now.as_secs_f64() - 4.875).abs() < 0.01, "{now:?}");
    }
}
