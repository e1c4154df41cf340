//! From the kernel's monotonic times to Unix time.

use crate::MonoNs;
use rustix::time::{ClockId, clock_gettime};

/// Turns CLOCK_MONOTONIC and CLOCK_BOOTTIME moments into Unix nanoseconds.
///
/// Wall clocks are set and slewed while an agent lives, so the offsets are re-read: call
/// [`Clock::refresh`] once per drained batch (three vDSO reads). Between two refreshes times of events
/// keep their order, whatever the wall clock does.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    mono_to_unix_ns: i128,
    boot_to_unix_ns: i128,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// Reads the offsets.
    #[must_use]
    pub fn new() -> Self {
        let mut clock = Self {
            mono_to_unix_ns: 0,
            boot_to_unix_ns: 0,
        };
        clock.refresh();
        clock
    }

    /// Reads the offsets again; returns by how many nanoseconds the wall clock moved against the
    /// monotonic one since the last reading (large: somebody set the clock).
    pub fn refresh(&mut self) -> i64 {
        let before = ns(ClockId::Monotonic);
        let unix = ns(ClockId::Realtime);
        let boot = ns(ClockId::Boottime);
        let after = ns(ClockId::Monotonic);
        // The two monotonic readings enclose the others: half the distance is the error, well below a microsecond.
        let mono = before.midpoint(after);
        let moved = unix - mono - self.mono_to_unix_ns;
        self.mono_to_unix_ns = unix - mono;
        self.boot_to_unix_ns = unix - boot;
        i64::try_from(moved).unwrap_or(i64::MAX)
    }

    /// Unix nanoseconds of a CLOCK_MONOTONIC moment (the time of an [`crate::Event`]).
    #[must_use]
    pub fn unix_ns(&self, mono: MonoNs) -> u64 {
        shift(mono, self.mono_to_unix_ns)
    }

    /// Unix nanoseconds of a CLOCK_BOOTTIME moment ([`crate::ProcessId::start_boottime_ns`]).
    #[must_use]
    pub fn unix_ns_from_boot(&self, boottime_ns: u64) -> u64 {
        shift(boottime_ns, self.boot_to_unix_ns)
    }

    /// CLOCK_MONOTONIC now.
    #[must_use]
    pub fn now_mono_ns() -> MonoNs {
        u64::try_from(ns(ClockId::Monotonic)).unwrap_or(0)
    }
}

fn ns(id: ClockId) -> i128 {
    let time = clock_gettime(id);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

fn shift(value: u64, offset: i128) -> u64 {
    u64::try_from(i128::from(value) + offset).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_now() {
        let clock = Clock::new();
        let unix = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970")
            .as_nanos();
        let ours = u128::from(clock.unix_ns(Clock::now_mono_ns()));
        assert!(ours.abs_diff(unix) < 50_000_000, "{ours} against {unix}");
    }

    #[test]
    fn a_jump_of_the_wall_clock_is_followed_and_told() {
        let mut clock = Clock::new();
        clock.mono_to_unix_ns -= 3_600_000_000_000;
        let stale = clock.unix_ns(Clock::now_mono_ns());
        let moved = clock.refresh();
        let fresh = clock.unix_ns(Clock::now_mono_ns());
        assert!(
            moved.abs_diff(3_600_000_000_000) < 50_000_000,
            "moved {moved}"
        );
        assert!(fresh - stale >= 3_599_000_000_000);
    }

    #[test]
    fn a_time_before_1970_is_zero_and_no_panic() {
        let clock = Clock {
            mono_to_unix_ns: -10,
            boot_to_unix_ns: -10,
        };
        assert_eq!(clock.unix_ns(5), 0);
        assert_eq!(clock.unix_ns_from_boot(5), 0);
    }
}
