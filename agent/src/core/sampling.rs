//! When the run time of the kernel programs is measured, and which share of a core it comes to.
//!
//! The measuring itself costs each run two reads of the clock, so it is done for a second in a minute:
//! a sixtieth of the cost, and of the time.

use std::time::Duration;

use mesoscope_capture::{CaptureStats, MonoNs, SNAPSHOT_PROGRAM};

/// How long a window is open, at least: it ends with the tick after.
const WINDOW_NS: u64 = 1_000_000_000;
/// How long none is. With the window that is no divisor of a minute, so that what happens on the
/// minute is in a window as often as anything else.
const PAUSE_NS: u64 = 60 * WINDOW_NS;

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Begin to measure.
    Begin,
    /// Stop measuring.
    End,
}

/// Windows in which the run time is measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Windows {
    open: bool,
    next: MonoNs,
}

impl Windows {
    /// Time passes. The first window opens at once.
    pub fn step(&mut self, now: MonoNs) -> Option<Step> {
        if now < self.next {
            return None;
        }
        self.open = !self.open;
        let (step, lasts) = if self.open {
            (Step::Begin, WINDOW_NS)
        } else {
            (Step::End, PAUSE_NS)
        };
        self.next = now.saturating_add(lasts);
        Some(step)
    }
}

/// How much of the past the last window outweighs: one burst on the second is not the rule.
const NEW_PART: f64 = 0.25;

/// The share of a core that the kernel programs take, from windows of any length.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProgramsShare {
    run_time_ns: u64,
    measured_ns: u64,
    share: Option<f64>,
}

impl ProgramsShare {
    /// Takes over what was measured up to now; `passed` since the last call. Returns the share, in
    /// percent of one core: exact while all of the time is measured, else smoothed, and 0 while
    /// nothing was.
    pub fn percent(&mut self, stats: &CaptureStats, passed: Duration) -> f64 {
        // The snapshot runs while the agent reads it: that is in the agent's own time already.
        let programs = stats.programs.iter();
        let of_others = programs.filter(|program| program.name != SNAPSHOT_PROGRAM);
        let run_time_ns: u64 = of_others.map(|program| program.run_time_ns).sum();
        let ran = Duration::from_nanos(run_time_ns.saturating_sub(self.run_time_ns));
        let measured =
            Duration::from_nanos(stats.programs_measured_ns.saturating_sub(self.measured_ns));
        self.run_time_ns = run_time_ns;
        self.measured_ns = stats.programs_measured_ns;
        if !measured.is_zero() {
            let now = ran.as_secs_f64() / measured.as_secs_f64();
            let all_of_it = measured >= passed / 2;
            self.share = Some(match self.share {
                Some(before) if !all_of_it => before + (now - before) * NEW_PART,
                _ => now,
            });
        }
        100.0 * self.share.unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesoscope_capture::ProgramStats;

    const TICK: u64 = 100_000_000;

    #[test]
    fn a_second_in_sixty_one_and_never_twice_on_the_same_second_of_a_minute() {
        let mut windows = Windows::default();
        let mut steps = Vec::new();
        for now in (5 * TICK..).step_by(100_000_000).take(20_000) {
            steps.extend(windows.step(now).map(|step| (step, now)));
        }
        assert_eq!(steps[0], (Step::Begin, 5 * TICK));
        for pair in steps.chunks_exact(2) {
            let [(Step::Begin, begun), (Step::End, ended)] = pair else {
                panic!("{pair:?}");
            };
            assert_eq!(ended - begun, WINDOW_NS);
        }
        let begun = |at: usize| steps[2 * at].1;
        assert_eq!(begun(1) - begun(0), 61 * WINDOW_NS);
        assert_ne!(begun(1) % PAUSE_NS, begun(0) % PAUSE_NS);
    }

    fn stats(run_time_ns: u64, measured_ns: u64) -> CaptureStats {
        let program = ProgramStats {
            run_time_ns,
            ..ProgramStats::default()
        };
        let snapshot = ProgramStats {
            name: SNAPSHOT_PROGRAM.to_owned(),
            ..program.clone()
        };
        CaptureStats {
            programs: vec![program.clone(), snapshot, program],
            programs_measured_ns: measured_ns,
            ..CaptureStats::default()
        }
    }

    #[test]
    fn the_share_is_that_of_the_windows() {
        let five = Duration::from_secs(5);
        let near =
            |percent: f64, wanted: f64| assert!((percent - wanted).abs() < 1e-9, "{percent}");
        let mut share = ProgramsShare::default();
        near(share.percent(&CaptureStats::default(), five), 0.0);
        near(share.percent(&stats(5_000_000, WINDOW_NS), five), 1.0);
        // Between the windows nothing is known that is newer.
        near(share.percent(&stats(5_000_000, WINDOW_NS), five), 1.0);
        near(share.percent(&stats(30_000_000, 2 * WINDOW_NS), five), 2.0);
        // Measured all the time it is what it is.
        let mut share = ProgramsShare::default();
        near(share.percent(&stats(25_000_000, 5 * WINDOW_NS), five), 1.0);
        near(
            share.percent(&stats(100_000_000, 10 * WINDOW_NS), five),
            3.0,
        );
    }
}
