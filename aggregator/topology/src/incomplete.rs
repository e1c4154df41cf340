//! What the map does not show, in sentences.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesoscope_proto::v1::{self, GapKind};
use rustc_hash::FxHashMap;

use crate::{Topology, agent::Agent};

/// Entries of the list; a cluster with more problems than these needs another tool first.
const ENTRIES_MAX: usize = 1_000;

impl Topology {
    /// What the map does not show, one clear sentence each.
    #[must_use]
    pub fn incomplete(&self) -> Vec<v1::Incomplete> {
        let mut agents: Vec<_> = self.agents.values().collect();
        agents.sort_by(|a, b| a.id.cmp(&b.id));
        let mut list = self.list_aggregators();
        for agent in agents {
            // Its aggregator's line says it.
            if self.went_with(agent).is_none() {
                self.list_agent(agent, &mut list);
            }
            list.truncate(ENTRIES_MAX);
        }
        let (count, last_ms) = self.undrawn;
        if last_ms != 0 {
            list.push(v1::Incomplete {
                gap: Some(v1::Gap {
                    kind: GapKind::Governor.into(),
                    what: "edge".into(),
                    since_unix_ns: last_ms.saturating_mul(1_000_000),
                    count,
                    detail: "the aggregator's bound is reached".into(),
                    ..Default::default()
                }),
                message: format!(
                    "{count} times an edge or an address had no room on the map, last at {}: this aggregator's bounds on edges or pseudo nodes are reached.",
                    clock(last_ms)
                ),
                ..Default::default()
            });
        }
        list
    }

    /// The aggregator that is missing and that an agent without a stream reported to last.
    fn went_with(&self, agent: &Agent) -> Option<&Arc<str>> {
        let aggregator = agent.aggregator.as_ref().filter(|_| !agent.connected)?;
        let mut missing = self.aggregators_missing.iter();
        missing
            .find(|(missing, _)| missing == aggregator)
            .map(|(missing, _)| missing)
    }

    /// A line for each aggregator that is missing.
    fn list_aggregators(&self) -> Vec<v1::Incomplete> {
        let mut hosts: FxHashMap<&Arc<str>, BTreeSet<&str>> = FxHashMap::default();
        for agent in self.agents.values() {
            if let Some(aggregator) = self.went_with(agent) {
                hosts.entry(aggregator).or_default().insert(&agent.hostname);
            }
        }
        let missing = self.aggregators_missing.iter();
        let line = |(aggregator, since_ms): &(Arc<str>, u64)| {
            let since = clock(*since_ms);
            let hosts = hosts.get(aggregator);
            let message = match hosts {
                Some(hosts) => format!(
                    "The aggregator {aggregator} has been missing since {since}: what happens on {} is not shown until the agents there have found another one.",
                    named(hosts)
                ),
                None => format!(
                    "The aggregator {aggregator} has been missing since {since}: the agents known to report to it have found another one; one that reaches only it is not on this map."
                ),
            };
            v1::Incomplete {
                gap: Some(v1::Gap {
                    kind: GapKind::Spool.into(),
                    what: "all".into(),
                    since_unix_ns: since_ms.saturating_mul(1_000_000),
                    count: hosts.map_or(0, |hosts| u64::try_from(hosts.len()).unwrap_or(u64::MAX)),
                    detail: "aggregator missing".into(),
                    ..Default::default()
                }),
                message,
                ..Default::default()
            }
        };
        missing.map(line).collect()
    }

    fn list_agent(&self, agent: &Agent, list: &mut Vec<v1::Incomplete>) {
        let host = &agent.hostname;
        let mut add = |gap: v1::Gap, message: String| {
            list.push(v1::Incomplete {
                agent_id: agent.id.to_string(),
                hostname: host.to_string(),
                gap: Some(gap),
                message,
            });
        };
        let everything = |since_ms: u64, detail: &str| v1::Gap {
            kind: GapKind::Spool.into(),
            what: "all".into(),
            since_unix_ns: since_ms.saturating_mul(1_000_000),
            detail: detail.into(),
            ..Default::default()
        };
        if !agent.connected {
            let message = format!(
                "The agent of {host} has been silent since {}: what happens there is not shown; check that mesoscope-agent runs and reaches this aggregator.",
                clock(agent.last_seen_ms)
            );
            add(everything(agent.last_seen_ms, "agent silent"), message);
            return;
        }
        if !agent.has_snapshot {
            let message = format!(
                "The first snapshot of {host} has not arrived yet: what is shown of it may be old or missing."
            );
            add(everything(agent.connected_ms, "no snapshot yet"), message);
        }
        for open in &agent.gaps {
            let message = self.gap_in_words(agent, &open.gap);
            add(open.gap.clone(), message);
        }
        for left in &agent.left_out {
            let gap = v1::Gap {
                kind: GapKind::Governor.into(),
                what: left.what.into(),
                since_unix_ns: left.since_ms.saturating_mul(1_000_000),
                count: left.count,
                detail: "the aggregator's bound is reached".into(),
                ..Default::default()
            };
            let message = format!(
                "{} {} of {host} are left out since {}: this aggregator's bound on {} is reached.",
                left.count,
                left.what,
                clock(left.since_ms),
                left.what
            );
            add(gap, message);
        }
        let told = |name: &str| {
            agent
                .gaps
                .iter()
                .any(|open| open.gap.kind() == GapKind::Capability && open.gap.what == name)
        };
        for capability in agent
            .capabilities
            .iter()
            .filter(|capability| !capability.available)
        {
            if told(&capability.name) {
                continue;
            }
            let gap = v1::Gap {
                kind: GapKind::Capability.into(),
                what: capability.name.clone(),
                detail: capability.reason.clone(),
                ..Default::default()
            };
            let message = self.gap_in_words(agent, &gap);
            add(gap, message);
        }
    }

    fn gap_in_words(&self, agent: &Agent, gap: &v1::Gap) -> String {
        let host = &agent.hostname;
        let since = clock(gap.since_unix_ns / 1_000_000);
        let count = if gap.count == 0 {
            String::new()
        } else {
            format!("{} ", gap.count)
        };
        let what = match gap.what.as_str() {
            "" | "all" => String::new(),
            what => format!("{what} "),
        };
        match gap.kind() {
            GapKind::Lost => format!(
                "{count}{what}events of {host} were lost since {since}: the kernel made them faster than the agent could read; the next snapshot closes the gap."
            ),
            GapKind::Throttled => format!(
                "{count}{what}events of {} on {host} are withheld since {since}: they are more than the cap allows (--event-rate-cap). The work itself is not held back, and others are seen as before.",
                self.throttled(agent, gap)
            ),
            GapKind::Spool => format!(
                "{count}{what}changes of {host} were dropped since {since} while this aggregator was away; the next snapshot closes the gap."
            ),
            GapKind::Governor => format!(
                "The agent of {host} leaves out {}since {since} to stay within its own budget{}; raise --cpu-budget or --memory-budget to see all.",
                if what.is_empty() {
                    "detail ".into()
                } else {
                    what
                },
                in_brackets(&gap.detail)
            ),
            GapKind::Capability | GapKind::Unspecified => {
                let detail = if gap.detail.is_empty() {
                    "run `mesoscope-agent features` there to see why"
                } else {
                    gap.detail.trim_end_matches('.')
                };
                format!("{host} does not have {}: {detail}.", gap.what)
            }
        }
    }

    fn throttled(&self, agent: &Agent, gap: &v1::Gap) -> String {
        let container = agent
            .containers
            .get(gap.container_id.as_str())
            .and_then(|key| self.containers.get(*key));
        match container {
            Some(container) => format!("container {}", container.label()),
            None if !gap.container_id.is_empty() => {
                format!(
                    "container {}",
                    gap.container_id.get(..12).unwrap_or(&gap.container_id)
                )
            }
            // The inode of the hierarchy's root: what runs outside of any cgroup of its own.
            None if gap.cgroup_id == 1 => "processes outside any container".into(),
            None => format!("cgroup {}", gap.cgroup_id),
        }
    }
}

/// The first few of them, and how many more.
fn named(hosts: &BTreeSet<&str>) -> String {
    const NAMED_MAX: usize = 5;
    let first: Vec<_> = hosts.iter().take(NAMED_MAX).copied().collect();
    let mut text = first.join(", ");
    if let Some(more) = hosts.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn in_brackets(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(" ({detail})")
    }
}

/// A Unix time in milliseconds as "2026-01-31 12:00:05 UTC" (civil-from-days, H. Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms").
pub(crate) fn clock(unix_ms: u64) -> String {
    let seconds = unix_ms / 1_000;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_knows_leap_days() {
        assert_eq!(clock(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(clock(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(clock(1_795_262_402_000), "2026-11-21 12:00:02 UTC");
    }
}
