//! Agents whose stream is at another member, which relays it. An agent has one stream: of two that
//! are told of, the one that it opened later counts, wherever it is.

use std::sync::Arc;

use mesoscope_proto::v1::relayed::Message;
use mesoscope_proto::v1::{
    Batch, Hello, RelayResync, RelayedAgent, RelayedBatch, RelayedEnd, Resync, aggregator_message,
};
use mesoscope_topology::AgentKey;
use prost::Message as _;
use tonic::Status;

use super::hub::Outlet;
use super::intake::Told;
use super::progress::Verdict;
use super::registry::{Registry, Slot, Stream, check_hello, lock, message};
use crate::series::Made;

/// The member that relays, and the connection by which it does.
#[derive(Debug, Clone)]
pub struct Relayer {
    /// Its address.
    pub member: Arc<str>,
    /// Unique among the connections of this process, so that what an old one told is not mistaken.
    pub connection: u64,
}

/// A stream at another member.
#[derive(Debug)]
pub(super) struct Elsewhere {
    relayer: Relayer,
    hello: Hello,
    agent: AgentKey,
    pub(super) reporter: bool,
    holder: String,
}

/// Streams of an agent in the order in which it opened them.
fn age(hello: &Hello) -> (u64, u64) {
    (hello.generation, hello.connection)
}

/// Whether the agent opened `other` later than `one`. Of agents that don't count their streams, it
/// is the one that is heard of later.
pub(super) fn is_overtaken(one: &Hello, other: &Hello) -> bool {
    age(other) > age(one) || (age(other) == age(one) && one.connection == 0)
}

impl Elsewhere {
    /// Whether an agent that was let in with something else has it.
    pub(super) fn is_of_another(&self, holder: &str) -> bool {
        !self.reporter && self.holder != holder
    }

    /// Where it is, when that is the later stream.
    pub(super) fn overtakes(&self, hello: &Hello) -> Option<&Arc<str>> {
        let later = !self.reporter && age(&self.hello) > age(hello);
        later.then_some(&self.relayer.member)
    }
}

/// What is told of an agent's stream here.
pub(super) fn announcement(slot: &Slot, stream: &Stream) -> Message {
    Message::Agent(RelayedAgent {
        hello: Some(stream.hello.clone()),
        sequence_next: slot.progress.expected(),
        snapshot_follows: slot.progress.awaits_snapshot(),
        reporter: false,
        holder: stream.holder.clone(),
    })
}

impl Registry {
    /// Tells a member that begins to listen which agents are here.
    pub fn announce(&self, outlet: &Outlet) {
        let slots: Vec<_> = lock(&self.slots).values().cloned().collect();
        for slot in slots {
            let state = lock(&slot);
            if let Some(stream) = &state.stream {
                outlet.tell(announcement(&state, stream));
            }
        }
    }

    /// A member asks one of the agents here for a snapshot.
    pub fn ask_snapshot(&self, asked: RelayResync) {
        let Some(slot) = lock(&self.slots).get(&asked.agent_id).cloned() else {
            return;
        };
        let mut state = lock(&slot);
        let awaited = state.progress.awaits_snapshot();
        let Some(stream) = state.stream.as_mut().filter(|_| !awaited) else {
            return;
        };
        // One that has been asked for and has not begun does for all.
        if std::mem::replace(&mut stream.snapshot_asked, true) {
            return;
        }
        let reason = asked.reason;
        let resync = message(aggregator_message::Message::Resync(Resync { reason }));
        if stream.outbox.try_send(resync).is_err() {
            stream.replaced.cancel();
        }
    }

    /// An agent has a stream at a member. Gives what to ask of that one.
    ///
    /// # Errors
    /// When it can't be taken in: what the member says is malformed, or there is no room.
    pub fn is_elsewhere(
        &self,
        from: &Relayer,
        told: RelayedAgent,
    ) -> Result<Option<RelayResync>, Status> {
        let hello = told
            .hello
            .ok_or_else(|| Status::invalid_argument("a relayed agent without its Hello"))?;
        check_hello(&hello)?;
        let mut slots = lock(&self.slots);
        let slot = slots.entry(hello.agent_id.clone()).or_default().clone();
        let mut state = lock(&slot);
        let (here, there) = (&state.stream, &state.elsewhere);
        let outdated = here
            .as_ref()
            .is_some_and(|stream| told.reporter || !is_overtaken(&stream.hello, &hello))
            || there.as_ref().is_some_and(|there| {
                there.relayer.connection != from.connection
                    && (there.reporter || !told.reporter)
                    && !is_overtaken(&there.hello, &hello)
            });
        if outdated {
            return Ok(None);
        }
        let connected = self.intake.core.change(|topology, now_ms, events| {
            let agent = topology.connect_agent(&hello, now_ms, events)?;
            topology.reports_to(agent, Some(&from.member));
            self.intake.core.feeds().connected(agent, &hello, now_ms);
            Ok(agent)
        });
        let agent = match connected {
            Ok(agent) => agent,
            Err(refused @ mesoscope_topology::AgentRefused::Full { .. }) => {
                if state.is_fresh() {
                    slots.remove(&hello.agent_id);
                }
                // The others are still to be shown.
                self.refused("no room for a relayed agent");
                tracing::warn!(agent = hello.agent_id, %refused, "left out");
                return Ok(None);
            }
            Err(refused) => return Err(Status::invalid_argument(refused.to_string())),
        };
        if let Some(stream) = state.stream.take() {
            stream.replaced.cancel();
            state.streams += 1;
            self.intake
                .series
                .disconnect(agent, self.intake.core.now_ms());
        }
        state.reporter = None;
        let must_ask =
            state
                .progress
                .relayed(hello.generation, told.sequence_next, told.snapshot_follows);
        let agent_id = hello.agent_id.clone();
        state.elsewhere = Some(Elsewhere {
            relayer: from.clone(),
            hello,
            agent,
            reporter: told.reporter,
            holder: told.holder,
        });
        Ok(must_ask.then(|| RelayResync {
            agent_id,
            reason: "another aggregator begins to follow this agent".to_owned(),
        }))
    }

    /// A batch of an agent that has its stream at a member. Gives what to ask of that one.
    ///
    /// # Errors
    /// When the member relays what no agent can have told.
    pub fn relayed(
        &self,
        from: &Relayer,
        relayed: &RelayedBatch,
    ) -> Result<Option<RelayResync>, Status> {
        let Some(slot) = lock(&self.slots).get(&relayed.agent_id).cloned() else {
            return Ok(None);
        };
        let mut state = lock(&slot);
        // It has moved on, and this is old.
        let Some(agent) = state.at(from).map(|there| there.agent) else {
            return Ok(None);
        };
        let batch = Batch::decode(relayed.batch.as_slice()).map_err(|error| {
            Status::invalid_argument(format!("a relayed batch is none: {error}"))
        })?;
        let resync = |reason: String| {
            let agent_id = relayed.agent_id.clone();
            Ok(Some(RelayResync { agent_id, reason }))
        };
        self.intake.metrics.members.batches.inc();
        let verdict = state
            .progress
            .batch(batch.generation, batch.sequence, batch.snapshot);
        match verdict {
            Verdict::Apply { begin, end } => {
                let told = Told {
                    changes: batch.changes,
                    begin,
                    end,
                    made: Made::Before,
                };
                match self.intake.apply_relayed(agent, told) {
                    Ok(()) => Ok(None),
                    Err(refused) => {
                        state.progress.forget();
                        resync(refused.to_string())
                    }
                }
            }
            Verdict::Duplicate | Verdict::Dropped => Ok(None),
            Verdict::Resync(reason) => resync(reason),
            Verdict::Refuse(reason) => Err(Status::invalid_argument(reason)),
        }
    }

    /// An agent's stream at a member has ended.
    pub fn ended_elsewhere(&self, from: &Relayer, told: &RelayedEnd) {
        let Some(slot) = lock(&self.slots).get(&told.agent_id).cloned() else {
            return;
        };
        let mut state = lock(&slot);
        let same = |there: &Elsewhere| age(&there.hello) == (told.generation, told.connection);
        if state.at(from).is_some_and(same)
            && let Some(there) = state.elsewhere.take()
        {
            self.intake.disconnect(there.agent);
        }
    }

    /// A member relays no more: what its agents see is not known from now on.
    pub fn relayer_lost(&self, from: &Relayer) {
        let slots: Vec<_> = lock(&self.slots).values().cloned().collect();
        for slot in slots {
            let mut state = lock(&slot);
            if state.at(from).is_some()
                && let Some(there) = state.elsewhere.take()
            {
                self.intake.disconnect(there.agent);
            }
        }
    }

    fn refused(&self, reason: &str) {
        let refused = &self.intake.metrics.ingest.refused;
        refused.with_label_values(&[reason]).inc();
    }
}

impl Slot {
    fn at(&self, from: &Relayer) -> Option<&Elsewhere> {
        let there = self.elsewhere.as_ref()?;
        (there.relayer.connection == from.connection).then_some(there)
    }
}

#[cfg(test)]
#[path = "elsewhere_tests.rs"]
mod tests;
