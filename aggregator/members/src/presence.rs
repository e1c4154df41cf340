//! Who is there, as one member sees it.
//!
//! A member is there while it is heard of. One that falls silent, or whose stream breaks, is missing
//! at once, so that its agents find another; one that appears gets agents only when it has been there
//! for a while, so that one that comes and goes does not drag them along.
//!
//! Members may see different ones for a while. That is safe: an agent has one stream, and a member
//! sends it away only to one that ranks higher for it, so that it never goes in a circle.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::rank::rank;

/// How long things may take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A member that is not heard of for so long is missing.
    pub silence_ms: u64,
    /// A member that appears gets no agents for so long.
    pub settle_ms: u64,
}

/// A member that should be there and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its address.
    pub member: Arc<str>,
    /// Since when.
    pub since_ms: u64,
}

/// The members as one of them sees them. A member is named by its address.
#[derive(Debug)]
pub struct Presence {
    own: Arc<str>,
    patience: Patience,
    others: BTreeMap<Arc<str>, Other>,
}

#[derive(Debug)]
struct Other {
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Missing { since_ms: u64 },
    There { since_ms: u64, heard_ms: u64 },
}

impl Presence {
    /// Alone, under this address.
    #[must_use]
    pub fn new(own: Arc<str>, patience: Patience) -> Self {
        Self {
            own,
            patience,
            others: BTreeMap::new(),
        }
    }

    /// These are the members, this one among them or not. Ones that are new are missing until they
    /// are heard of; ones that are left out are forgotten.
    pub fn list(&mut self, members: &[Arc<str>], now_ms: u64) {
        self.others.retain(|member, _| members.contains(member));
        for member in members.iter().filter(|member| **member != self.own) {
            let state = State::Missing { since_ms: now_ms };
            self.others.entry(member.clone()).or_insert(Other { state });
        }
    }

    /// A member is alive. Gives whether it was missing.
    pub fn heard(&mut self, member: &str, now_ms: u64) -> bool {
        let Some(other) = self.others.get_mut(member) else {
            return false;
        };
        match &mut other.state {
            State::There { heard_ms, .. } => {
                *heard_ms = now_ms.max(*heard_ms);
                false
            }
            State::Missing { .. } => {
                other.state = State::There {
                    since_ms: now_ms,
                    heard_ms: now_ms,
                };
                true
            }
        }
    }

    /// The connection to a member broke. Gives whether it was there.
    pub fn lost(&mut self, member: &str, now_ms: u64) -> bool {
        let other = self.others.get_mut(member);
        let Some(other) = other.filter(|other| matches!(other.state, State::There { .. })) else {
            return false;
        };
        other.state = State::Missing { since_ms: now_ms };
        true
    }

    /// Time has passed: gives those that have gone missing by it.
    pub fn advance(&mut self, now_ms: u64) -> Vec<Arc<str>> {
        let mut lost = Vec::new();
        for (member, other) in &mut self.others {
            if let State::There { heard_ms, .. } = other.state
                && now_ms.saturating_sub(heard_ms) >= self.patience.silence_ms
            {
                other.state = State::Missing { since_ms: heard_ms };
                lost.push(member.clone());
            }
        }
        lost
    }

    /// The address of this member.
    #[must_use]
    pub fn own(&self) -> &Arc<str> {
        &self.own
    }

    /// All members, this one among them, in order.
    #[must_use]
    pub fn members(&self) -> Vec<Arc<str>> {
        let mut all: Vec<_> = self.others.keys().cloned().collect();
        all.push(self.own.clone());
        all.sort();
        all
    }

    /// Whether a member is there.
    #[must_use]
    pub fn is_there(&self, member: &str) -> bool {
        let there = |other: &Other| matches!(other.state, State::There { .. });
        *self.own == *member || self.others.get(member).is_some_and(there)
    }

    /// Those that are not there.
    #[must_use]
    pub fn missing(&self) -> Vec<Missing> {
        let missing = |(member, other): (&Arc<str>, &Other)| match other.state {
            State::Missing { since_ms } => Some(Missing {
                member: member.clone(),
                since_ms,
            }),
            State::There { .. } => None,
        };
        self.others.iter().filter_map(missing).collect()
    }

    /// Who is to look after an agent that can't reach these ones: of those that are there, and have
    /// been for a while, the one with the highest rank. This one is always among them.
    #[must_use]
    pub fn owner(&self, agent_id: &str, unreachable: &[String], now_ms: u64) -> &Arc<str> {
        let settled = |other: &Other| match other.state {
            State::There { since_ms, .. } => {
                now_ms.saturating_sub(since_ms) >= self.patience.settle_ms
            }
            State::Missing { .. } => false,
        };
        let reachable = |member: &str| !unreachable.iter().any(|bad| *bad == *member);
        let others = self.others.iter();
        let others = others.filter(|(member, other)| settled(other) && reachable(member));
        others
            .map(|(member, _)| member)
            .chain([&self.own])
            // Equal ranks are as good as impossible; the name decides, alike for all.
            .max_by_key(|member| (rank(member, agent_id), Reverse(*member)))
            .expect("this member is among them")
    }
}

#[cfg(test)]
#[path = "presence_tests.rs"]
mod tests;
