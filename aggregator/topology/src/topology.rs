//! The state of all agents and the way changes enter it.

use mesoscope_proto::v1;
use slotmap::SlotMap;

use crate::{Limits, Stats, ViewKind};

slotmap::new_key_type! {
    /// An agent within one [`Topology`], for as long as it is known.
    pub struct AgentKey;
}

/// An agent cannot be admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentRefused {
    /// The agent gave no id.
    #[error("the agent has no id: set `--agent-id` or give it an /etc/machine-id")]
    NoId,
    /// The bound on agents is reached.
    #[error("{limit} agents are known already, the most that this aggregator admits")]
    Full {
        /// The bound.
        limit: usize,
    },
}

/// A change is malformed or beyond a bound; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// The agent is not (or no longer) known.
    #[error("the agent is not known")]
    UnknownAgent,
    /// A part without which the change means nothing is missing or malformed.
    #[error("{0} is missing or malformed")]
    Malformed(&'static str),
    /// A bound is reached.
    #[error("the bound on {0} is reached")]
    Full(&'static str),
}

/// The state of all agents, and the graphs made of it.
#[derive(Debug)]
pub struct Topology {
    limits: Limits,
    agents: SlotMap<AgentKey, ()>,
}

impl Topology {
    /// An empty topology within these bounds.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            agents: SlotMap::with_key(),
        }
    }

    /// Whether [`Self::apply`] and the others make events; off saves their cost while nobody
    /// listens. On at first.
    pub fn collect_events(&mut self, _wanted: bool) {}

    /// An agent said hello. The same id again is the same agent; a new generation keeps what is
    /// shown until its snapshot has replaced it.
    ///
    /// # Errors
    /// When the agent has no id or too many agents are known.
    pub fn connect_agent(
        &mut self,
        hello: &v1::Hello,
        _now_ms: u64,
        _events: &mut Vec<v1::Event>,
    ) -> Result<AgentKey, AgentRefused> {
        if hello.agent_id.is_empty() {
            return Err(AgentRefused::NoId);
        }
        if self.agents.len() >= self.limits.agents {
            return Err(AgentRefused::Full {
                limit: self.limits.agents,
            });
        }
        Ok(self.agents.insert(()))
    }

    /// The agent's stream ended. What it saw stays, marked, until it is stale and then forgotten.
    pub fn disconnect_agent(
        &mut self,
        _agent: AgentKey,
        _now_ms: u64,
        _events: &mut Vec<v1::Event>,
    ) {
    }

    /// The agent with this id.
    #[must_use]
    pub fn find_agent(&self, _agent_id: &str) -> Option<AgentKey> {
        None
    }

    /// The agent was heard of (also by a batch without changes).
    pub fn touch(&mut self, _agent: AgentKey, _now_ms: u64) {}

    /// The first part of a snapshot comes: what is not in it will be gone at its end.
    pub fn begin_snapshot(&mut self, _agent: AgentKey) {}

    /// One change of an agent. The same change again changes nothing.
    ///
    /// # Errors
    /// When the change is malformed or beyond a bound: it is counted, and nothing changes.
    pub fn apply(
        &mut self,
        _agent: AgentKey,
        _change: v1::Change,
        _now_ms: u64,
        _events: &mut Vec<v1::Event>,
    ) -> Result<(), ChangeRefused> {
        Ok(())
    }

    /// The last part of a snapshot has been applied: what was not in it is gone.
    pub fn end_snapshot(&mut self, _agent: AgentKey, _now_ms: u64, _events: &mut Vec<v1::Event>) {}

    /// Lets time pass: expiry, rates, stale agents, events that waited for their other end. Call it
    /// a few times per second.
    pub fn advance(&mut self, _now_ms: u64, _events: &mut Vec<v1::Event>) {}

    /// All known agents, by id.
    #[must_use]
    pub fn agents(&self, _now_ms: u64) -> Vec<v1::AgentInfo> {
        Vec::new()
    }

    /// What the map does not show, one clear sentence each.
    #[must_use]
    pub fn incomplete(&self) -> Vec<v1::Incomplete> {
        Vec::new()
    }

    /// Everything known of one node; `None` when the view has no such node.
    #[must_use]
    pub fn node(&self, _view: ViewKind, _id: &str, _environment: bool) -> Option<v1::NodeDetails> {
        None
    }

    /// Fill of every bound and totals, for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
