//! The history of all agents, within its bound.

use std::sync::Arc;

use mesoscope_proto::v1;
use rustc_hash::FxHashMap;

use crate::RESOLUTION_MS;
use crate::inbox::Taken;
use crate::log::Log;
use crate::past::{Past, PastAgent};
use crate::state::Keeps;

/// Notes that are under way when time is asked for may be as old.
const SLACK_MS: u64 = 500;
/// A moment is read with so much before it told one by one, so that rates are as they were.
const TAIL_MS: u64 = 20_000;

/// The bounds of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How far back it goes.
    pub keep_ms: u64,
    /// Bytes of everything that is kept.
    pub bytes_max: usize,
    /// How long the topology keeps what is over.
    pub keeps: Keeps,
}

/// How far the history goes, and how full it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The first moment that can be shown.
    pub from_ms: u64,
    /// The last one.
    pub to_ms: u64,
    /// It would go further back if there were more room.
    pub shortened: bool,
    /// Bytes in use.
    pub bytes: usize,
    /// Agents whose history had no room at all: the map of a moment says so.
    pub agents_left_out: usize,
}

/// The moment can't be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfReach {
    /// Too long ago.
    #[error("the history reaches back to {from_ms} (Unix milliseconds)")]
    TooOld {
        /// The first moment that can be shown.
        from_ms: u64,
    },
    /// It is yet to come.
    #[error("that moment is yet to come")]
    Future,
}

/// An agent for which there was no room.
#[derive(Debug)]
struct LeftOut {
    hello: v1::Hello,
    gone_ms: Option<u64>,
}

/// What agents told, for a while.
#[derive(Debug)]
pub struct History {
    limits: Limits,
    started_ms: u64,
    to_ms: u64,
    logs: FxHashMap<Arc<str>, Log>,
    /// Agents for which there was no room.
    left_out: FxHashMap<Arc<str>, LeftOut>,
    bytes: usize,
    /// The beginning of what was given up last for want of room.
    cut_ms: u64,
}

impl History {
    /// Nothing is known of the time before now.
    #[must_use]
    pub fn new(limits: Limits, now_ms: u64) -> Self {
        Self {
            limits,
            started_ms: now_ms,
            to_ms: now_ms,
            logs: FxHashMap::default(),
            left_out: FxHashMap::default(),
            bytes: 0,
            cut_ms: 0,
        }
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Takes what an agent told.
    pub fn take(&mut self, agent_id: &str, taken: &Taken, now_ms: u64) {
        if let Some(log) = self.logs.get_mut(agent_id) {
            let before = log.bytes();
            log.take(taken);
            self.bytes = self.bytes + log.bytes() - before;
            return;
        }
        let news = taken.news();
        let left_out = self.left_out.get_mut(agent_id);
        let whole = left_out.is_none();
        let mut hello = news.hello;
        if let Some(left_out) = left_out {
            match &hello {
                Some((_, hello)) => left_out.hello.clone_from(hello),
                None => hello = Some((news.first_ms, left_out.hello.clone())),
            }
            left_out.gone_ms = news.gone_ms;
            // It comes back with all that there is, or not at all.
            if !news.begins_snapshot {
                return;
            }
        }
        let Some((connected_ms, hello)) = hello else {
            return;
        };
        let mut log = Log::new(whole, connected_ms.min(now_ms));
        if !whole {
            log.connected(connected_ms, hello);
        }
        log.take(taken);
        self.bytes += log.bytes();
        self.logs.insert(agent_id.into(), log);
    }

    /// Lets time pass: compresses, begins segments, drops what is too old or has no room. To be called
    /// about once per [`RESOLUTION_MS`], after everything that waits was taken.
    pub fn sweep(&mut self, now_ms: u64) {
        let Limits { keep_ms, keeps, .. } = self.limits;
        self.bytes = 0;
        self.logs.retain(|_, log| {
            log.tidy(now_ms, keep_ms, keeps);
            let gone = log.gone_ms().is_some_and(|gone_ms| {
                gone_ms
                    .saturating_add(keeps.agents_ms)
                    .saturating_add(keep_ms)
                    < now_ms
            });
            if !gone {
                self.bytes += log.bytes();
            }
            !gone
        });
        let logs = &self.logs;
        self.left_out.retain(|id, left_out| {
            let came_back_ms = logs.get(id).map(|log| log.begins_ms().0);
            let over_ms = came_back_ms.or(left_out.gone_ms);
            over_ms.is_none_or(|over_ms| over_ms.saturating_add(keep_ms) > now_ms)
        });
        self.make_room(now_ms);
        let to_ms = now_ms.saturating_sub(SLACK_MS);
        self.to_ms = self.to_ms.max(to_ms - to_ms % RESOLUTION_MS);
    }

    fn make_room(&mut self, now_ms: u64) {
        while self.bytes > self.limits.bytes_max {
            let oldest = self.logs.iter_mut().filter(|(_, log)| log.segments() > 1);
            let oldest = oldest.min_by_key(|(_, log)| log.begins_ms().0);
            if let Some((_, log)) = oldest {
                let before = log.bytes();
                log.drop_oldest();
                self.cut_ms = self.cut_ms.max(log.begins_ms().0);
                self.bytes = self.bytes + log.bytes() - before;
                continue;
            }
            // Each has only its last segment: the longest one is told anew from its state.
            let Some((id, log)) = self.logs.iter_mut().max_by_key(|(_, log)| log.bytes()) else {
                return;
            };
            let before = log.bytes();
            log.begin_segment(now_ms, self.limits.keeps);
            if log.bytes() < before + before / 2 {
                self.bytes = self.bytes + log.bytes() - before;
                continue;
            }
            // Its state alone is most of it: there is no room for it at all.
            let id = id.clone();
            if let Some(log) = self.logs.remove(&id) {
                self.bytes -= before;
                let hello = log
                    .span(u64::MAX, u64::MAX)
                    .read(self.limits.keeps, |_, _| {})
                    .standing
                    .map(|standing| standing.hello);
                let left_out = LeftOut {
                    hello: hello.unwrap_or_default(),
                    gone_ms: log.gone_ms(),
                };
                self.left_out.insert(id, left_out);
            }
        }
    }

    /// How far it goes.
    #[must_use]
    pub fn reach(&self) -> Reach {
        let window_ms = self.to_ms.saturating_sub(self.limits.keep_ms);
        let from_ms = self.started_ms.max(window_ms).max(self.cut_ms);
        Reach {
            // The first whole step.
            from_ms: from_ms.next_multiple_of(RESOLUTION_MS),
            to_ms: self.to_ms,
            shortened: self.cut_ms > self.started_ms.max(window_ms) || !self.left_out.is_empty(),
            bytes: self.bytes,
            agents_left_out: self.left_out.len(),
        }
    }

    /// What is needed to show the map as it was. Moments lie [`RESOLUTION_MS`] apart: the last one up to
    /// `time_ms` is taken.
    ///
    /// # Errors
    /// When it is too long ago, or later than `now_ms`.
    pub fn at(&self, time_ms: u64, now_ms: u64) -> Result<Past, OutOfReach> {
        let reach = self.reach();
        if time_ms > now_ms {
            return Err(OutOfReach::Future);
        }
        let at_ms = time_ms.min(reach.to_ms);
        let at_ms = at_ms - at_ms % RESOLUTION_MS;
        if at_ms < reach.from_ms {
            let from_ms = reach.from_ms;
            return Err(OutOfReach::TooOld { from_ms });
        }
        let tail_ms = at_ms.saturating_sub(TAIL_MS);
        let logs = self
            .logs
            .iter()
            .filter(|(_, log)| log.begins_ms().0 <= at_ms);
        let mut agents: Vec<_> = logs
            .map(|(id, log)| PastAgent {
                id: id.clone(),
                span: log.span(at_ms, tail_ms),
            })
            .collect();
        agents.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        let mut left_out: Vec<_> = self
            .left_out
            .iter()
            .filter(|(id, _)| {
                self.logs
                    .get(*id)
                    .is_none_or(|log| log.begins_ms().0 > at_ms)
            })
            .map(|(id, left_out)| (id.clone(), left_out.hello.hostname.clone()))
            .collect();
        left_out.sort_unstable();
        Ok(Past {
            at_ms,
            tail_ms,
            keeps: self.limits.keeps,
            agents,
            left_out,
        })
    }
}
