//! When each sampler is due, and how it stretches with its own cost.

use std::time::Duration;

use mesoscope_capture::MonoNs;

use super::governor::Level;

/// Something that is done again and again.
#[derive(Clone, Debug)]
pub struct Cadence {
    base: Duration,
    /// Share of a core that it may use.
    share: f64,
    cost: Duration,
    last: MonoNs,
    running: bool,
}

impl Cadence {
    /// Every `base`, or less often so that it costs at most `share` of a core.
    #[must_use]
    pub fn new(base: Duration, share: f64) -> Self {
        Self {
            base,
            share,
            cost: Duration::ZERO,
            last: 0,
            running: false,
        }
    }

    /// The pause between two beginnings now.
    #[must_use]
    pub fn interval(&self, level: Level) -> Duration {
        let affordable = self.cost.as_secs_f64() / self.share;
        let base = Duration::from_secs_f64(affordable.clamp(self.base.as_secs_f64(), 600.0));
        base * level.stretch()
    }

    /// Whether it is time; if so, it counts as begun.
    pub fn begins(&mut self, now: MonoNs, level: Level) -> bool {
        let interval = u64::try_from(self.interval(level).as_nanos()).unwrap_or(u64::MAX);
        let due = !self.running && (self.last == 0 || now.saturating_sub(self.last) >= interval);
        if due {
            self.last = now;
            self.running = true;
        }
        due
    }

    /// It begins out of turn.
    pub fn begins_early(&mut self, now: MonoNs) {
        self.last = now;
        self.running = true;
    }

    /// It could not begin after all, and is due again after its pause.
    pub fn did_not_begin(&mut self) {
        self.running = false;
    }

    /// What it last took.
    #[must_use]
    pub fn cost(&self) -> Duration {
        self.cost
    }

    /// Time since it last began.
    #[must_use]
    pub fn since_last(&self, now: MonoNs) -> Duration {
        Duration::from_nanos(now.saturating_sub(self.last))
    }

    /// Whether it has begun and not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// It ended and took this long.
    pub fn ended(&mut self, cost: Duration) {
        self.running = false;
        // A slow pass counts at once, a quick one only in part: the machine may just be idle.
        self.cost = cost.max((self.cost * 3 + cost) / 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_costly_sampler_runs_less_often() {
        let mut cadence = Cadence::new(Duration::from_secs(1), 0.005);
        assert!(cadence.begins(1, Level::Normal));
        assert!(
            !cadence.begins(2_000_000_000, Level::Normal),
            "it still runs"
        );
        cadence.ended(Duration::from_millis(1));
        assert_eq!(cadence.interval(Level::Normal), Duration::from_secs(1));
        cadence.ended(Duration::from_millis(50));
        assert_eq!(cadence.interval(Level::Normal), Duration::from_secs(10));
        assert!(!cadence.begins(9_000_000_000, Level::Normal));
        assert!(cadence.begins(10_000_000_001, Level::Normal));
        assert!(cadence.interval(Level::Reduced) > cadence.interval(Level::Normal));
        cadence.did_not_begin();
        assert!(!cadence.begins(10_000_000_002, Level::Normal));
        assert!(cadence.begins(20_000_000_002, Level::Normal));
    }
}
