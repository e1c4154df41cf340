//! Which gaps the map has, from the counters of the capture.
//!
//! A loss opens a gap; a pass over processes and sockets that began after the last loss closes it.
//! Events that the rate cap withholds open a gap that names the cgroup, for as long as it bites.
//!
//! The counters are looked at once a second, and more often while something may be lost, so that the
//! pass begins soon after. A pass in the midst of a storm is made for nothing, so that while events
//! go on being lost there is one every few seconds only.

use std::collections::BTreeMap;
use std::time::Duration;

use mesoscope_capture::{LossCounters, MonoNs, RecordKind};
use mesoscope_proto::v1::{Gap, GapKind};
use rustc_hash::FxHashMap;

/// The rate cap has let go of a cgroup when it withheld nothing for this long.
const THROTTLE_QUIET_NS: u64 = 3_000_000_000;
/// Cgroups told as throttled at most.
const THROTTLED_MAX: usize = 256;
/// How often the counters are looked at while a gap is open or the ring was half full.
const LOOK_NS: u64 = 250_000_000;
/// While events go on being lost the world is read again, but not more often than this.
const PASS_PAUSE_MAX: Duration = Duration::from_secs(5);
/// When they are lost no longer it is read again at once, but not more often than this.
const PASS_PAUSE_MIN: Duration = Duration::from_millis(250);
/// Passes for a loss take this part of a core at most.
const PASS_SHARE: u32 = 10;

/// A moment by both clocks: gaps are told by the wall clock, which can jump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// CLOCK_MONOTONIC.
    pub mono_ns: MonoNs,
    /// Wall clock.
    pub unix_ns: u64,
}

#[derive(Debug)]
struct Open {
    gap: Gap,
    base: u64,
    changed: MonoNs,
}

impl Open {
    fn is_quiet(&self, now: Moment) -> bool {
        now.mono_ns.saturating_sub(self.changed) >= THROTTLE_QUIET_NS
    }
}

/// Counters seen so far, and the gaps that they opened.
#[derive(Debug, Default)]
pub struct Losses {
    lost: BTreeMap<&'static str, u64>,
    open: BTreeMap<&'static str, Open>,
    withheld: FxHashMap<u64, u64>,
    throttled: BTreeMap<u64, Open>,
    /// When the counters were last read: nothing was lost before.
    read: Option<Moment>,
    ring_was_half_full: bool,
    /// Reads that found something lost.
    losses: u64,
    /// The last read was one of them.
    losing: bool,
    /// `losses` when the pass began that is under way.
    covered: Option<u64>,
    pass_began: Option<MonoNs>,
    quiet: bool,
}

/// What a record's loss leaves out of the map.
fn what(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Fork | RecordKind::Exec | RecordKind::Exit => "process",
        RecordKind::Connect | RecordKind::Bind | RecordKind::TcpEnd => "connection",
        RecordKind::Cgroup => "cgroup",
        RecordKind::Udp => "udp",
        RecordKind::Application | RecordKind::Dns => "protocol",
    }
}

impl Losses {
    /// Whether the counters are worth a look out of turn. `ring_was_half_full`: since this was last asked.
    pub fn look_due(&mut self, now: MonoNs, ring_was_half_full: bool) -> bool {
        self.ring_was_half_full |= ring_was_half_full;
        let since = self.read.map_or(0, |read| read.mono_ns);
        (self.ring_was_half_full || self.open() > 0) && now.saturating_sub(since) >= LOOK_NS
    }

    /// Takes over the counters; returns gaps that opened or grew. `container` names a cgroup's.
    pub fn counted(
        &mut self,
        now: Moment,
        counters: &LossCounters,
        container: &dyn Fn(u64) -> String,
    ) -> Vec<Gap> {
        self.ring_was_half_full = false;
        let losses_before = self.losses;
        let mut gaps = Vec::new();
        let mut totals: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (kind, count) in &counters.lost {
            *totals.entry(what(*kind)).or_default() += count;
        }
        for (what, total) in totals {
            let before = self.lost.insert(what, total).unwrap_or(0);
            if total > before {
                gaps.push(self.lost(now, what, before, total));
            }
        }
        for withheld in &counters.withheld {
            let before = self
                .withheld
                .insert(withheld.cgroup_id, withheld.count)
                .unwrap_or(0);
            if withheld.count > before
                && (self.throttled.len() < THROTTLED_MAX
                    || self.throttled.contains_key(&withheld.cgroup_id))
            {
                gaps.push(self.throttled(
                    now,
                    withheld.cgroup_id,
                    before,
                    withheld.count,
                    container,
                ));
            }
        }
        self.withheld.retain(|cgroup_id, _| {
            counters
                .withheld
                .iter()
                .any(|known| known.cgroup_id == *cgroup_id)
        });
        self.quiet = self.throttled.values().any(|open| open.is_quiet(now));
        self.read = Some(now);
        self.losing = self.losses > losses_before;
        gaps
    }

    /// A loss that no counter of the capture shows (the start's buffer was full).
    pub fn lost_events(&mut self, now: Moment, count: u64) -> Gap {
        self.lost(now, "all", 0, count)
    }

    fn lost(&mut self, now: Moment, what: &'static str, before: u64, total: u64) -> Gap {
        self.losses += 1;
        let since = self.read.unwrap_or(now).unix_ns;
        let open = self.open.entry(what).or_insert_with(|| Open {
            gap: Gap {
                kind: GapKind::Lost.into(),
                what: what.into(),
                since_unix_ns: since,
                detail: "the kernel made events faster than the agent read them; processes and sockets are being read again".into(),
                ..Gap::default()
            },
            base: before,
            changed: now.mono_ns,
        });
        open.gap.count = total - open.base;
        open.changed = now.mono_ns;
        open.gap.clone()
    }

    fn throttled(
        &mut self,
        now: Moment,
        cgroup_id: u64,
        before: u64,
        total: u64,
        container: &dyn Fn(u64) -> String,
    ) -> Gap {
        let since = self.read.unwrap_or(now).unix_ns;
        let open = self.throttled.entry(cgroup_id).or_insert_with(|| Open {
            gap: Gap {
                kind: GapKind::Throttled.into(),
                what: "all".into(),
                since_unix_ns: since,
                cgroup_id,
                container_id: container(cgroup_id),
                detail: "this cgroup makes events faster than the cap allows (--event-rate-cap); the workload is not held back".into(),
                ..Gap::default()
            },
            base: before,
            changed: now.mono_ns,
        });
        open.gap.count = total - open.base;
        open.changed = now.mono_ns;
        open.gap.clone()
    }

    /// Whether a pass over processes and sockets is wanted now. The last one took `pass_took`.
    #[must_use]
    pub fn pass_due(&self, now: MonoNs, pass_took: Duration) -> bool {
        if self.open.is_empty() && !self.quiet {
            return false;
        }
        let Some(began) = self.pass_began else {
            return true;
        };
        let pause = if self.losing {
            PASS_PAUSE_MAX
        } else {
            (pass_took * PASS_SHARE).clamp(PASS_PAUSE_MIN, PASS_PAUSE_MAX)
        };
        Duration::from_nanos(now.saturating_sub(began)) >= pause
    }

    /// Gaps that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len() + self.throttled.len()
    }

    /// A pass over processes and sockets begins.
    pub fn pass_begins(&mut self, now: MonoNs) {
        self.covered = Some(self.losses);
        self.pass_began = Some(now);
    }

    /// The pass is taken over, and all events before it; returns gaps that it closed.
    pub fn pass_done(&mut self, now: Moment) -> Vec<Gap> {
        let whole = self.covered.take() == Some(self.losses);
        let mut closed = Vec::new();
        if whole {
            closed.extend(
                std::mem::take(&mut self.open)
                    .into_values()
                    .map(|open| open.gap),
            );
            let done: Vec<u64> = self
                .throttled
                .iter()
                .filter(|(_, open)| open.is_quiet(now))
                .map(|(id, _)| *id)
                .collect();
            closed.extend(
                done.iter()
                    .filter_map(|id| self.throttled.remove(id))
                    .map(|open| open.gap),
            );
            self.quiet = false;
        }
        for gap in &mut closed {
            gap.until_unix_ns = now.unix_ns;
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesoscope_capture::Withheld;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MS;
    const TOOK: Duration = Duration::from_millis(20);

    fn at(mono_ns: MonoNs) -> Moment {
        Moment {
            mono_ns,
            unix_ns: mono_ns + 1_000 * SECOND,
        }
    }

    fn unix(mono_ns: MonoNs) -> u64 {
        at(mono_ns).unix_ns
    }

    fn lost(count: u64) -> LossCounters {
        LossCounters {
            lost: vec![(RecordKind::Fork, count), (RecordKind::TcpEnd, 0)],
            ..LossCounters::default()
        }
    }

    fn nobody(_: u64) -> String {
        String::new()
    }

    #[test]
    fn a_loss_is_open_until_a_pass_that_began_after_it() {
        let mut losses = Losses::default();
        assert!(losses.counted(at(SECOND), &lost(0), &nobody).is_empty());
        let gaps = losses.counted(at(2 * SECOND), &lost(5), &nobody);
        assert_eq!(
            (gaps[0].what.as_str(), gaps[0].count, gaps[0].since_unix_ns),
            ("process", 5, unix(SECOND))
        );
        losses.pass_begins(2 * SECOND);
        let gaps = losses.counted(at(3 * SECOND), &lost(7), &nobody);
        assert_eq!((gaps[0].count, gaps[0].since_unix_ns), (7, unix(SECOND)));
        assert!(
            losses.pass_done(at(4 * SECOND)).is_empty(),
            "events were lost during the pass"
        );
        losses.counted(at(4 * SECOND), &lost(7), &nobody);
        assert!(losses.pass_due(4 * SECOND, TOOK));
        losses.pass_begins(4 * SECOND);
        let closed = losses.pass_done(at(5 * SECOND));
        assert_eq!(
            (closed.len(), closed[0].until_unix_ns, closed[0].count),
            (1, unix(5 * SECOND), 7)
        );
        assert!(!losses.pass_due(99 * SECOND, TOOK));
    }

    #[test]
    fn a_throttled_cgroup_is_named_while_it_lasts() {
        let mut losses = Losses::default();
        let stats = |count| LossCounters {
            withheld: vec![Withheld {
                cgroup_id: 9,
                count,
                last: 0,
            }],
            ..LossCounters::default()
        };
        let container = |id: u64| format!("container-{id}");
        let gaps = losses.counted(at(SECOND), &stats(100), &container);
        assert_eq!(
            (gaps[0].container_id.as_str(), gaps[0].count),
            ("container-9", 100)
        );
        assert!(!losses.pass_due(SECOND, TOOK), "it still bites");
        // The wall clock jumps; how long it has been quiet is not its business.
        let jumped = Moment {
            unix_ns: 9_999 * SECOND,
            ..at(2 * SECOND)
        };
        assert!(losses.counted(jumped, &stats(100), &container).is_empty());
        assert!(!losses.pass_due(2 * SECOND, TOOK));
        assert!(
            losses
                .counted(at(10 * SECOND), &stats(100), &container)
                .is_empty()
        );
        assert!(losses.pass_due(10 * SECOND, TOOK));
        losses.pass_begins(10 * SECOND);
        let closed = losses.pass_done(at(10 * SECOND));
        assert_eq!(
            (closed[0].cgroup_id, closed[0].until_unix_ns),
            (9, unix(10 * SECOND))
        );
    }

    #[test]
    fn nobody_looks_more_often_while_nothing_is_wrong() {
        let mut losses = Losses::default();
        losses.counted(at(SECOND), &lost(0), &nobody);
        for tick in 0..600 {
            assert!(!losses.look_due(SECOND + tick * 100 * MS, false));
        }
        // Half full once: one look, soon.
        assert!(!losses.look_due(SECOND + 100 * MS, true));
        assert!(losses.look_due(SECOND + 250 * MS, false));
        losses.counted(at(SECOND + 250 * MS), &lost(0), &nobody);
        assert!(!losses.look_due(SECOND + 900 * MS, false));
    }

    /// The driver as far as it matters here: ticks of 100 ms, a read of all counters each second, and
    /// passes that take a while. Returns when each pass began, and when the gap was closed.
    fn drive(lost_at: &dyn Fn(u64) -> u64, pass_takes: u64, until: u64) -> (Vec<u64>, Option<u64>) {
        let mut losses = Losses::default();
        let (mut begun, mut closed, mut running, mut second) = (Vec::new(), None, None, 0);
        let mut told = 0;
        for now in (0..until).step_by(100 * 1_000_000) {
            let total = lost_at(now);
            // What does not fit was in a ring that was full.
            let half_full = total > told;
            told = total;
            let in_turn = now - second >= SECOND;
            if losses.look_due(now, half_full) || in_turn {
                second = if in_turn { now } else { second };
                losses.counted(at(now), &lost(total), &nobody);
            }
            if running.is_none() && losses.pass_due(now, Duration::from_nanos(pass_takes)) {
                losses.pass_begins(now);
                begun.push(now);
                running = Some(now + pass_takes);
            }
            if running.is_some_and(|ends| ends <= now) {
                running = None;
                losses.counted(at(now), &lost(total), &nobody);
                if !losses.pass_done(at(now)).is_empty() && closed.is_none() {
                    closed = Some(now);
                }
            }
        }
        (begun, closed)
    }

    #[test]
    fn after_one_burst_the_gap_closes_within_a_second_and_a_storm_is_not_read_all_the_time() {
        let burst_at = 10 * SECOND + 30 * MS;
        let burst = |now| if now >= burst_at { 500 } else { 0 };
        let (begun, closed) = drive(&burst, 80 * MS, 20 * SECOND);
        let closed = closed.expect("closed");
        assert!(closed - burst_at < SECOND, "{}", closed - burst_at);
        assert_eq!(begun.len(), 1);
        // A minute of losses: a pass every five seconds, and one soon after the end.
        let storm = |now: u64| (now.clamp(10 * SECOND, 70 * SECOND) - 10 * SECOND) / MS;
        let (begun, closed) = drive(&storm, 80 * MS, 80 * SECOND);
        assert!(begun.len() <= 15, "{begun:?}");
        let closed = closed.expect("closed");
        assert!(closed > 70 * SECOND && closed < 72 * SECOND, "{closed}");
        // A node with so many processes that a pass takes a second is not read all the time.
        let (begun, closed) = drive(&burst, SECOND, 60 * SECOND);
        assert_eq!(begun.len(), 1);
        assert!(closed.is_some());
    }

    proptest! {
        /// Wherever a burst begins and ends, the gap is closed within two seconds of its end, and
        /// never before it.
        #[test]
        fn a_gap_closes_within_two_seconds_of_the_last_loss(
            begins in 1_000u64..9_000,
            lasts in 0u64..8_000,
            pass_takes in 1u64..160,
        ) {
            let (begins, ends) = (begins * MS, (begins + lasts) * MS);
            let lost_at = |now: u64| {
                if now < begins { 0 } else { now.min(ends) / MS + 1 }
            };
            let (_, closed) = drive(&lost_at, pass_takes * MS, ends + 10 * SECOND);
            let closed = closed.expect("closed");
            prop_assert!(closed >= ends);
            prop_assert!(closed - ends < 2 * SECOND, "{} ms after", (closed - ends) / MS);
        }
    }
}
