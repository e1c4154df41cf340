//! What our programs cost the node: their run time, while the kernel measures it.
//!
//! The kernel keeps run time and run count of programs only while somebody asks for it (each run then
//! reads the clock twice, 35-70 ns). So they are measured in windows, and what ran outside of one is
//! not known. Others may have the statistics on for longer: that is not ours to count.

use std::{collections::BTreeMap, os::fd::OwnedFd};

use crate::{MonoNs, ProgramStats};

/// Run times of the windows so far.
#[derive(Debug, Default)]
pub struct Cost {
    window: Option<Window>,
    /// Of the windows that have ended.
    programs: BTreeMap<String, Runs>,
    measured_ns: u64,
}

#[derive(Debug)]
struct Window {
    begun: MonoNs,
    /// What the kernel's counters showed then.
    before: BTreeMap<String, Runs>,
    /// Keeps the kernel's statistics on.
    _statistics: Option<OwnedFd>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Runs {
    time_ns: u64,
    count: u64,
}

impl Runs {
    fn of(program: &ProgramStats) -> Self {
        Self {
            time_ns: program.run_time_ns,
            count: program.run_count,
        }
    }

    /// Of a program that was loaded anew meanwhile, all that it shows is new.
    fn since(self, before: Self) -> Self {
        if self.count < before.count {
            return self;
        }
        Self {
            time_ns: self.time_ns.saturating_sub(before.time_ns),
            count: self.count - before.count,
        }
    }
}

impl Cost {
    /// Whether a window is open.
    pub fn is_measuring(&self) -> bool {
        self.window.is_some()
    }

    /// Opens a window. `statistics` keeps the kernel's counters going, which show `programs` now.
    pub fn begin(&mut self, now: MonoNs, programs: &[ProgramStats], statistics: Option<OwnedFd>) {
        let before = programs
            .iter()
            .map(|program| (program.name.clone(), Runs::of(program)));
        self.window = Some(Window {
            begun: now,
            before: before.collect(),
            _statistics: statistics,
        });
    }

    /// Closes the window.
    pub fn end(&mut self, now: MonoNs, programs: &[ProgramStats]) {
        if self.window.is_none() {
            return;
        }
        (self.programs, self.measured_ns) = self.sums(now, programs);
        self.window = None;
    }

    /// What was measured up to now, the open window included, and for how long.
    pub fn measured(&self, now: MonoNs, programs: &[ProgramStats]) -> (Vec<ProgramStats>, u64) {
        let (sums, measured_ns) = self.sums(now, programs);
        let programs = sums.into_iter().map(|(name, runs)| ProgramStats {
            name,
            run_time_ns: runs.time_ns,
            run_count: runs.count,
        });
        (programs.collect(), measured_ns)
    }

    fn sums(&self, now: MonoNs, programs: &[ProgramStats]) -> (BTreeMap<String, Runs>, u64) {
        let mut sums = self.programs.clone();
        let Some(window) = &self.window else {
            return (sums, self.measured_ns);
        };
        for program in programs {
            let before = window
                .before
                .get(&program.name)
                .copied()
                .unwrap_or_default();
            let runs = Runs::of(program).since(before);
            let sum = sums.entry(program.name.clone()).or_default();
            sum.time_ns += runs.time_ns;
            sum.count += runs.count;
        }
        (sums, self.measured_ns + now.saturating_sub(window.begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn shows(programs: &[(&str, u64, u64)]) -> Vec<ProgramStats> {
        programs
            .iter()
            .map(|(name, run_time_ns, run_count)| ProgramStats {
                name: (*name).to_owned(),
                run_time_ns: *run_time_ns,
                run_count: *run_count,
            })
            .collect()
    }

    #[test]
    fn only_what_ran_within_a_window_counts() {
        let mut cost = Cost::default();
        assert_eq!(
            cost.measured(SECOND, &shows(&[("fork", 7, 1)])),
            (vec![], 0)
        );
        // Somebody else had the statistics on before, and between.
        cost.begin(SECOND, &shows(&[("fork", 7, 1)]), None);
        assert!(cost.is_measuring());
        assert_eq!(
            cost.measured(SECOND * 3 / 2, &shows(&[("fork", 107, 3), ("exit", 50, 1)])),
            (shows(&[("exit", 50, 1), ("fork", 100, 2)]), SECOND / 2)
        );
        cost.end(2 * SECOND, &shows(&[("fork", 207, 4), ("exit", 50, 1)]));
        let first = (shows(&[("exit", 50, 1), ("fork", 200, 3)]), SECOND);
        assert_eq!(
            cost.measured(9 * SECOND, &shows(&[("fork", 9_999, 99)])),
            first
        );
        cost.begin(
            60 * SECOND,
            &shows(&[("fork", 10_000, 100), ("exit", 80, 2)]),
            None,
        );
        // One was loaded anew and begins at 0, one ran no more.
        cost.end(61 * SECOND, &shows(&[("fork", 30, 1), ("exit", 80, 2)]));
        assert_eq!(
            cost.measured(99 * SECOND, &[]),
            (shows(&[("exit", 50, 1), ("fork", 230, 4)]), 2 * SECOND)
        );
        cost.end(99 * SECOND, &shows(&[("fork", 9, 9)]));
        assert_eq!(cost.measured(99 * SECOND, &[]).1, 2 * SECOND);
    }
}
