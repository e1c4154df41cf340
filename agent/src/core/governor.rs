//! How much the agent may do within its own CPU and memory budget.

/// What the agent leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    Normal,
    /// Samplers run less often.
    Reduced,
    /// Also no process metrics, fewer ended things kept, a smaller spool, and a lower cap on events.
    Minimal,
}

impl Level {
    /// As `AgentStatus.governor` names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Reduced => "reduced",
            Self::Minimal => "minimal",
        }
    }

    /// By how much the samplers' pauses grow.
    #[must_use]
    pub fn stretch(self) -> u32 {
        match self {
            Self::Normal => 1,
            Self::Reduced => 3,
            Self::Minimal => 10,
        }
    }

    /// The part of the configured event-rate cap that is left.
    #[must_use]
    pub fn event_rate_cap(self, configured: u32) -> u32 {
        match self {
            Self::Normal | Self::Reduced => configured,
            Self::Minimal if configured == 0 => 10_000,
            Self::Minimal => (configured / 6).max(1),
        }
    }

    fn up(self) -> Self {
        match self {
            Self::Normal => Self::Reduced,
            Self::Reduced | Self::Minimal => Self::Minimal,
        }
    }

    fn down(self) -> Self {
        match self {
            Self::Minimal => Self::Reduced,
            Self::Reduced | Self::Normal => Self::Normal,
        }
    }
}

/// Samples over the budget before a step up: short bursts are what the agent is for.
const OVER_SAMPLES: u32 = 3;
/// Samples well under the budget before a step down.
const UNDER_SAMPLES: u32 = 10;
/// What "well under" is: between this part of the budget and the budget nothing changes.
const UNDER_PART: f64 = 0.7;

/// Steps between the levels with hysteresis.
#[derive(Clone, Debug)]
pub struct Governor {
    cpu_percent_max: f64,
    rss_bytes_max: u64,
    level: Level,
    over: u32,
    under: u32,
}

impl Governor {
    /// A governor of these budgets: percent of one core, bytes resident.
    #[must_use]
    pub fn new(cpu_percent_max: f64, rss_bytes_max: u64) -> Self {
        Self {
            cpu_percent_max,
            rss_bytes_max,
            level: Level::Normal,
            over: 0,
            under: 0,
        }
    }

    /// The present level.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Takes a sample of the last seconds; returns the new level when it changed.
    pub fn sample(&mut self, cpu_percent: f64, rss_bytes: u64) -> Option<Level> {
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let memory = rss_bytes as f64 / self.rss_bytes_max.max(1) as f64;
        let cpu = cpu_percent / self.cpu_percent_max.max(0.01);
        let before = self.level;
        if cpu > 1.0 || memory > 1.0 {
            self.over += 1;
            self.under = 0;
        } else if cpu < UNDER_PART && memory < 0.95 {
            self.under += 1;
            self.over = 0;
        } else {
            self.over = 0;
            self.under = 0;
        }
        if self.over >= OVER_SAMPLES {
            self.over = 0;
            self.level = self.level.up();
        } else if self.under >= UNDER_SAMPLES {
            self.under = 0;
            self.level = self.level.down();
        }
        (self.level != before).then_some(self.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_steps_up_after_three_and_down_after_ten_and_not_between() {
        let mut governor = Governor::new(10.0, 1_000);
        assert_eq!(governor.sample(50.0, 1), None);
        assert_eq!(governor.sample(1.0, 1), None, "a burst");
        assert_eq!(
            [50.0; 3].map(|cpu| governor.sample(cpu, 1)),
            [None, None, Some(Level::Reduced)]
        );
        assert_eq!(
            [1.0; 3].map(|cpu| governor.sample(cpu, 2_000)),
            [None, None, Some(Level::Minimal)]
        );
        for _ in 0..100 {
            assert_eq!(
                governor.sample(8.0, 1),
                None,
                "in the dead band nothing changes"
            );
        }
        let steps: Vec<_> = (0..20).filter_map(|_| governor.sample(1.0, 1)).collect();
        assert_eq!(steps, [Level::Reduced, Level::Normal]);
    }
}
