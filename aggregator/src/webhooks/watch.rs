//! What of the topology's changes is told. Values in, values out.
//!
//! Each container is compared with how it was last known, so that one that ended while its agent was
//! away is told when the agent is back, and one that had ended before the first look is not.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use mesoscope_proto::v1;
use mesoscope_topology::Standing;

use super::notice::{Agent, Kind, Notice, has_ended};

/// A container that is first heard of when it has ended is told only when that was not long ago.
const NEWS_NS: u64 = 600 * 1_000_000_000;
/// Ids of notices that are remembered: two agents of one host tell of the same container.
const TOLD_MAX: usize = 16_384;

/// How agents and their containers were last known.
#[derive(Debug, Default)]
pub(super) struct Watch {
    delay_ms: u64,
    agents: HashMap<Arc<str>, Seen>,
    told: Told,
}

#[derive(Debug, Default)]
struct Seen {
    away: Trouble,
    incomplete: Trouble,
    containers: HashMap<Box<str>, ContainerSeen>,
}

/// Something that has to last before it is told.
#[derive(Debug, Default)]
struct Trouble {
    since_ms: Option<u64>,
    told: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Began,
    Over,
}

impl Trouble {
    fn look(&mut self, there: bool, delay_ms: u64, now_ms: u64) -> Option<Turn> {
        if !there {
            self.since_ms = None;
            return std::mem::take(&mut self.told).then_some(Turn::Over);
        }
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        if self.told || now_ms.saturating_sub(since_ms) < delay_ms {
            return None;
        }
        self.told = true;
        Some(Turn::Began)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ContainerSeen {
    ended: bool,
    oom_kills: u64,
    oom_killed: bool,
}

#[derive(Debug, Default)]
struct Told {
    ids: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
}

impl Told {
    fn is_first(&mut self, id: &str) -> bool {
        let id: Arc<str> = id.into();
        if !self.ids.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > TOLD_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

impl Watch {
    /// `delay_ms`: how long agents are away and data is incomplete before it is told.
    pub(super) fn new(delay_ms: u64) -> Self {
        Self {
            delay_ms,
            ..Self::default()
        }
    }

    /// Containers that are remembered.
    pub(super) fn containers(&self) -> usize {
        self.agents.values().map(|seen| seen.containers.len()).sum()
    }

    /// Looks at how all agents stand. `why` gives what is missing of one.
    pub(super) fn agents(
        &mut self,
        standings: &[Standing],
        why: impl Fn(&str) -> Vec<String>,
        now_ms: u64,
    ) -> Vec<Notice> {
        let there: HashSet<&str> = standings.iter().map(|agent| &*agent.id).collect();
        self.agents.retain(|id, _| there.contains(&**id));
        let mut notices = Vec::new();
        for standing in standings {
            let seen = self.agents.entry(standing.id.clone()).or_default();
            let agent = || Agent {
                id: standing.id.to_string(),
                hostname: standing.hostname.to_string(),
                last_seen_unix_ms: Some(standing.last_seen_ms),
            };
            let host = &standing.hostname;
            let away = !standing.connected;
            match seen.away.look(away, self.delay_ms, now_ms) {
                Some(Turn::Began) => {
                    let summary = format!(
                        "The agent of {host} is away: what happens there is not shown on the map."
                    );
                    let kind = Kind::AgentOffline;
                    notices.push(Notice::of_agent(kind, agent(), now_ms, summary));
                }
                Some(Turn::Over) => {
                    let summary = format!("The agent of {host} is back.");
                    let kind = Kind::AgentOnline;
                    notices.push(Notice::of_agent(kind, agent(), now_ms, summary));
                }
                None => {}
            }
            // One that is away is told so; what it lacks is known when it is back.
            if away {
                seen.incomplete.since_ms = None;
                continue;
            }
            match seen
                .incomplete
                .look(!standing.complete, self.delay_ms, now_ms)
            {
                Some(Turn::Began) => {
                    let summary = format!("What the map shows of {host} is incomplete.");
                    let notice = Notice::of_agent(Kind::DataIncomplete, agent(), now_ms, summary);
                    notices.push(notice.because(why(&standing.id)));
                }
                Some(Turn::Over) => {
                    let summary = format!("What the map shows of {host} is complete again.");
                    let kind = Kind::DataComplete;
                    notices.push(Notice::of_agent(kind, agent(), now_ms, summary));
                }
                None => {}
            }
        }
        notices
    }

    /// A container of an agent changed.
    pub(super) fn container(
        &mut self,
        agent_id: &str,
        hostname: &str,
        container: &v1::Container,
        now_ms: u64,
    ) -> Vec<Notice> {
        let seen = self.agents.entry(agent_id.into()).or_default();
        let now = ContainerSeen {
            ended: has_ended(container),
            oom_kills: container.oom_kills,
            oom_killed: container.oom_killed,
        };
        let before = if container.state() == v1::ContainerState::Removed {
            seen.containers.remove(&*container.id)
        } else {
            seen.containers.insert(container.id.as_str().into(), now)
        };
        let before = before.unwrap_or_else(|| {
            // Not heard of before: what it tells is news, unless it is old.
            let now_ns = now_ms.saturating_mul(1_000_000);
            let since_ns = container
                .finished_unix_ns
                .max(container.last_oom_kill_unix_ns);
            let is_old = since_ns != 0 && now_ns.saturating_sub(since_ns) > NEWS_NS;
            ContainerSeen {
                ended: is_old && now.ended,
                oom_kills: if is_old { now.oom_kills } else { 0 },
                oom_killed: is_old && now.oom_killed,
            }
        });
        self.compare(agent_id, hostname, container, (before, now), now_ms)
    }

    /// All containers of an agent, after it has told all. Of those that are first heard of nothing is
    /// told: they may have ended at any time.
    pub(super) fn all_containers(
        &mut self,
        agent_id: &str,
        hostname: &str,
        containers: &[v1::Container],
        now_ms: u64,
    ) -> Vec<Notice> {
        let seen = self.agents.entry(agent_id.into()).or_default();
        let mut before = std::mem::take(&mut seen.containers);
        let mut notices = Vec::new();
        for container in containers {
            let now = ContainerSeen {
                ended: has_ended(container),
                oom_kills: container.oom_kills,
                oom_killed: container.oom_killed,
            };
            let was = before.remove(&*container.id).unwrap_or(now);
            notices.extend(self.compare(agent_id, hostname, container, (was, now), now_ms));
            if container.state() != v1::ContainerState::Removed
                && let Some(seen) = self.agents.get_mut(agent_id)
            {
                seen.containers.insert(container.id.as_str().into(), now);
            }
        }
        notices
    }

    fn compare(
        &mut self,
        agent_id: &str,
        hostname: &str,
        container: &v1::Container,
        (before, now): (ContainerSeen, ContainerSeen),
        now_ms: u64,
    ) -> Vec<Notice> {
        let agent = || Agent {
            id: agent_id.to_owned(),
            hostname: hostname.to_owned(),
            last_seen_unix_ms: None,
        };
        let now_ns = now_ms.saturating_mul(1_000_000);
        let known = |ns: u64| if ns == 0 { now_ns } else { ns };
        let mut notices = Vec::new();
        // A start begins to count anew.
        let killed = now.oom_kills > before.oom_kills
            || (now.oom_killed && !before.oom_killed && now.oom_kills == 0);
        if killed {
            let since_ns = match container.last_oom_kill_unix_ns {
                0 => known(container.finished_unix_ns),
                ns => ns,
            };
            let kind = Kind::ContainerOom;
            notices.push(Notice::of_container(
                kind,
                agent(),
                container,
                since_ns,
                now_ms,
            ));
        }
        if now.ended && !before.ended && (container.exit_code != 0 || now.oom_killed) {
            let since_ns = known(container.finished_unix_ns);
            let kind = Kind::ContainerDied;
            notices.push(Notice::of_container(
                kind,
                agent(),
                container,
                since_ns,
                now_ms,
            ));
        }
        notices.retain(|notice| self.told.is_first(&notice.id));
        notices
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
