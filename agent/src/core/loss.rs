//! Which gaps the map has, from the counters of the capture.
//!
//! A loss opens a gap; a pass over processes and sockets that began after the last loss closes it.
//! Events that the rate cap withholds open a gap that names the cgroup, for as long as it bites.

use std::collections::BTreeMap;

use mesoscope_capture::{CaptureStats, RecordKind};
use mesoscope_proto::v1::{Gap, GapKind};
use rustc_hash::FxHashMap;

/// The rate cap has let go of a cgroup when it withheld nothing for this long.
const THROTTLE_QUIET_NS: u64 = 3_000_000_000;
/// Cgroups told as throttled at most.
const THROTTLED_MAX: usize = 256;

#[derive(Debug)]
struct Open {
    gap: Gap,
    base: u64,
    changed_unix_ns: u64,
}

/// Counters seen so far, and the gaps that they opened.
#[derive(Debug, Default)]
pub struct Losses {
    lost: BTreeMap<&'static str, u64>,
    open: BTreeMap<&'static str, Open>,
    withheld: FxHashMap<u64, u64>,
    throttled: BTreeMap<u64, Open>,
    /// When the counters were last read: nothing was lost before.
    read_unix_ns: u64,
    losses: u64,
    covered: Option<u64>,
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
    /// Takes over the counters; returns gaps that opened or grew. `container` names a cgroup's.
    pub fn counted(
        &mut self,
        now_unix_ns: u64,
        stats: &CaptureStats,
        container: &dyn Fn(u64) -> String,
    ) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut totals: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (kind, count) in &stats.lost {
            *totals.entry(what(*kind)).or_default() += count;
        }
        for (what, total) in totals {
            let before = self.lost.insert(what, total).unwrap_or(0);
            if total > before {
                gaps.push(self.lost(now_unix_ns, what, before, total));
            }
        }
        for withheld in &stats.withheld {
            let before = self
                .withheld
                .insert(withheld.cgroup_id, withheld.count)
                .unwrap_or(0);
            if withheld.count > before
                && (self.throttled.len() < THROTTLED_MAX
                    || self.throttled.contains_key(&withheld.cgroup_id))
            {
                gaps.push(self.throttled(
                    now_unix_ns,
                    withheld.cgroup_id,
                    before,
                    withheld.count,
                    container,
                ));
            }
        }
        self.withheld.retain(|cgroup_id, _| {
            stats
                .withheld
                .iter()
                .any(|known| known.cgroup_id == *cgroup_id)
        });
        self.quiet = self
            .throttled
            .values()
            .any(|open| now_unix_ns.saturating_sub(open.changed_unix_ns) >= THROTTLE_QUIET_NS);
        self.read_unix_ns = now_unix_ns;
        gaps
    }

    /// A loss that no counter of the capture shows (the start's buffer was full).
    pub fn lost_events(&mut self, now_unix_ns: u64, count: u64) -> Gap {
        self.lost(now_unix_ns, "all", 0, count)
    }

    fn lost(&mut self, now_unix_ns: u64, what: &'static str, before: u64, total: u64) -> Gap {
        self.losses += 1;
        let since = if self.read_unix_ns == 0 {
            now_unix_ns
        } else {
            self.read_unix_ns
        };
        let open = self.open.entry(what).or_insert_with(|| Open {
            gap: Gap {
                kind: GapKind::Lost.into(),
                what: what.into(),
                since_unix_ns: since,
                detail: "the kernel made events faster than the agent read them; processes and sockets are being read again".into(),
                ..Gap::default()
            },
            base: before,
            changed_unix_ns: now_unix_ns,
        });
        open.gap.count = total - open.base;
        open.changed_unix_ns = now_unix_ns;
        open.gap.clone()
    }

    fn throttled(
        &mut self,
        now_unix_ns: u64,
        cgroup_id: u64,
        before: u64,
        total: u64,
        container: &dyn Fn(u64) -> String,
    ) -> Gap {
        let since = if self.read_unix_ns == 0 {
            now_unix_ns
        } else {
            self.read_unix_ns
        };
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
            changed_unix_ns: now_unix_ns,
        });
        open.gap.count = total - open.base;
        open.changed_unix_ns = now_unix_ns;
        open.gap.clone()
    }

    /// Whether processes and sockets have to be read again.
    #[must_use]
    pub fn wants_pass(&self) -> bool {
        !self.open.is_empty() || self.quiet
    }

    /// Gaps that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len() + self.throttled.len()
    }

    /// A pass over processes and sockets begins.
    pub fn pass_begins(&mut self) {
        self.covered = Some(self.losses);
    }

    /// The pass is taken over, and all events before it; returns gaps that it closed.
    pub fn pass_done(&mut self, now_unix_ns: u64) -> Vec<Gap> {
        let whole = self.covered.take() == Some(self.losses);
        let mut closed = Vec::new();
        if whole {
            closed.extend(
                std::mem::take(&mut self.open)
                    .into_values()
                    .map(|open| open.gap),
            );
            let quiet =
                |open: &Open| now_unix_ns.saturating_sub(open.changed_unix_ns) >= THROTTLE_QUIET_NS;
            let done: Vec<u64> = self
                .throttled
                .iter()
                .filter(|(_, open)| quiet(open))
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
            gap.until_unix_ns = now_unix_ns;
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesoscope_capture::Withheld;

    const SECOND: u64 = 1_000_000_000;

    fn lost(count: u64) -> CaptureStats {
        CaptureStats {
            lost: vec![(RecordKind::Fork, count), (RecordKind::TcpEnd, 0)],
            ..CaptureStats::default()
        }
    }

    #[test]
    fn a_loss_is_open_until_a_pass_that_began_after_it() {
        let mut losses = Losses::default();
        let nobody = |_: u64| String::new();
        assert!(losses.counted(SECOND, &lost(0), &nobody).is_empty());
        let gaps = losses.counted(2 * SECOND, &lost(5), &nobody);
        assert_eq!(
            (gaps[0].what.as_str(), gaps[0].count, gaps[0].since_unix_ns),
            ("process", 5, SECOND)
        );
        losses.pass_begins();
        let gaps = losses.counted(3 * SECOND, &lost(7), &nobody);
        assert_eq!((gaps[0].count, gaps[0].since_unix_ns), (7, SECOND));
        assert!(
            losses.pass_done(4 * SECOND).is_empty(),
            "events were lost during the pass"
        );
        assert!(losses.wants_pass());
        losses.pass_begins();
        let closed = losses.pass_done(5 * SECOND);
        assert_eq!(
            (closed.len(), closed[0].until_unix_ns, closed[0].count),
            (1, 5 * SECOND, 7)
        );
        assert!(!losses.wants_pass());
    }

    #[test]
    fn a_throttled_cgroup_is_named_while_it_lasts() {
        let mut losses = Losses::default();
        let stats = |count| CaptureStats {
            withheld: vec![Withheld {
                cgroup_id: 9,
                count,
                last: 0,
            }],
            ..CaptureStats::default()
        };
        let container = |id: u64| format!("container-{id}");
        let gaps = losses.counted(SECOND, &stats(100), &container);
        assert_eq!(
            (gaps[0].container_id.as_str(), gaps[0].count),
            ("container-9", 100)
        );
        assert!(!losses.wants_pass(), "it still bites");
        assert!(
            losses
                .counted(10 * SECOND, &stats(100), &container)
                .is_empty()
        );
        assert!(losses.wants_pass());
        losses.pass_begins();
        let closed = losses.pass_done(10 * SECOND);
        assert_eq!(
            (closed[0].cgroup_id, closed[0].until_unix_ns),
            (9, 10 * SECOND)
        );
    }
}
