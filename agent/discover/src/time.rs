//! Unix time out of the kernel's boot clock.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// One tick of field 22 of `/proc/PID/stat`: USER_HZ is 100 on every architecture that we build for.
pub const TICK_NS: u64 = 10_000_000;

/// Unix time now, in nanoseconds.
#[must_use]
pub fn unix_now_ns() -> u64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds since boot, suspend included (CLOCK_BOOTTIME).
#[must_use]
pub fn boottime_now_ns() -> u64 {
    to_ns(clock_gettime(ClockId::Boottime))
}

/// Unix time of the boot by the present clock, in nanoseconds.
#[must_use]
pub fn boot_unix_ns() -> u64 {
    to_ns(clock_gettime(ClockId::Realtime)).saturating_sub(boottime_now_ns())
}

fn to_ns(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000) + nanoseconds
}
