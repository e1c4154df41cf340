//! Which agents have a stream, and how far each has come. One stream per agent at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesoscope_proto::v1::relayed::Message as Relayed;
use mesoscope_proto::v1::{
    AgentMessage, AggregatorMessage, Batch, Hello, Redirect, RelayedBatch, RelayedEnd, Welcome,
};
use mesoscope_proto::v1::{agent_message, aggregator_message};
use mesoscope_topology::{AgentKey, ChangeRefused};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::elsewhere::{Elsewhere, announcement};
use super::hub::Hub;
use super::intake::{Intake, Told};
use super::progress::{Progress, Verdict};
use super::reporters::{Holder, Reporter};
use crate::core::Core;
use crate::members::Membership;
use crate::metrics::Metrics;
use crate::series::{Made, Recorder};
use crate::store::Settings;
use crate::tier2::Setting;

/// Messages waiting for an agent that does not read.
const OUTBOX: usize = 16;
/// A member that an agent could not reach is tried again after this.
const UNREACHABLE_MS: u64 = 30_000;

/// All agents that have or had a stream.
#[derive(Debug)]
pub struct Registry {
    pub(super) intake: Intake,
    settings: Arc<Settings>,
    pub(super) members: Arc<Membership>,
    pub(super) slots: Mutex<HashMap<String, Arc<Mutex<Slot>>>>,
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) progress: Progress,
    pub(super) stream: Option<Stream>,
    /// Who reports in its place, or did.
    pub(super) reporter: Option<Reporter>,
    /// Where its stream is, if it is at another member.
    pub(super) elsewhere: Option<Elsewhere>,
    /// Grows with each stream, so that a replaced one can't touch what follows.
    pub(super) streams: u64,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) hello: Hello,
    pub(super) holder: String,
    agent: AgentKey,
    pub(super) outbox: mpsc::Sender<AggregatorMessage>,
    pub(super) replaced: CancellationToken,
    /// For another member; it has not begun.
    pub(super) snapshot_asked: bool,
    /// Up to when it counts that the agent could not reach a member, in Unix milliseconds.
    unreachable_until_ms: u64,
}

/// An agent's stream, from its Hello to its end. Dropping it disconnects the agent.
#[derive(Debug)]
pub(super) struct Session {
    intake: Intake,
    slot: Arc<Mutex<Slot>>,
    number: u64,
    agent: AgentKey,
    /// Batches before this one were made before the stream began.
    sequence_next: u64,
    /// The agent, for logs.
    pub(super) agent_id: String,
    /// Messages for the agent from elsewhere.
    pub(super) inbox: mpsc::Receiver<AggregatorMessage>,
    /// Cancelled when a newer stream of the same agent takes over.
    pub(super) replaced: CancellationToken,
}

/// What came of a batch.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// In the topology, or known to be there.
    Yes,
    /// Not in the topology; ask the agent for a snapshot.
    Resync(String),
    /// Dropped: a snapshot was asked for before.
    Dropped,
}

impl Slot {
    /// Nobody has told anything under this id.
    pub(super) fn is_fresh(&self) -> bool {
        self.streams == 0 && self.reporter.is_none() && self.elsewhere.is_none()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn message(message: aggregator_message::Message) -> AggregatorMessage {
    AggregatorMessage {
        message: Some(message),
    }
}

impl Registry {
    /// A registry that feeds this topology and these series, and tells agents these settings.
    #[must_use]
    pub fn new(
        core: Arc<Core>,
        metrics: Arc<Metrics>,
        settings: Arc<Settings>,
        series: Arc<Recorder>,
        members: Arc<Membership>,
    ) -> Arc<Self> {
        let intake = Intake {
            core,
            metrics,
            series,
            hub: Arc::new(Hub::default()),
        };
        Arc::new(Self {
            intake,
            settings,
            members,
            slots: Mutex::default(),
        })
    }

    /// Begins a stream with its first message.
    pub(super) fn open(
        &self,
        first: AgentMessage,
        holder: &Holder,
    ) -> Result<(Session, Welcome), Status> {
        let Some(agent_message::Message::Hello(hello)) = first.message else {
            return Err(Status::invalid_argument(
                "the first message of a stream is Hello",
            ));
        };
        check_hello(&hello)?;
        // Held to the end, so that nobody cleans the slot away before the topology knows the agent.
        let mut slots = lock(&self.slots);
        let slot = slots.entry(hello.agent_id.clone()).or_default().clone();
        let mut state = lock(&slot);
        if let Some(stream) = &state.stream {
            if hello.generation < stream.hello.generation {
                return Err(Status::already_exists(format!(
                    "agent {:?} is connected with a newer generation ({}); two agents may share an id: \
                     set --agent-id on one of them",
                    hello.agent_id, stream.hello.generation
                )));
            }
            stream.replaced.cancel();
        }
        let holder = holder.text();
        let there = state.elsewhere.as_ref();
        if there.is_some_and(|there| there.is_of_another(&holder)) {
            return Err(Status::permission_denied(format!(
                "the id {:?} belongs to an agent with another token or certificate: set --agent-id",
                hello.agent_id
            )));
        }
        if let Some(member) = there.and_then(|there| there.overtakes(&hello)) {
            return Err(Status::already_exists(format!(
                "agent {:?} has opened a later stream, to {member}; two agents may share an id: set \
                 --agent-id on one of them",
                hello.agent_id
            )));
        }
        let connected = self.intake.core.change(|topology, now_ms, events| {
            let agent = topology.connect_agent(&hello, now_ms, events)?;
            topology.reports_to(agent, None);
            self.intake.core.feeds().connected(agent, &hello, now_ms);
            Ok(agent)
        });
        let agent = match connected {
            Ok(agent) => agent,
            Err(refused) => {
                let refused: mesoscope_topology::AgentRefused = refused;
                if state.is_fresh() {
                    slots.remove(&hello.agent_id);
                }
                return Err(Status::resource_exhausted(refused.to_string()));
            }
        };
        let now_ms = self.intake.core.now_ms();
        self.intake.series.connect(agent, &hello.agent_id, now_ms);
        let welcome = state.progress.welcome(&hello, env!("CARGO_PKG_VERSION"));
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let replaced = CancellationToken::new();
        if let Some(setting) = self.settings.of(&hello.agent_id) {
            // A fresh channel has room.
            let _ = outbox.try_send(configure(setting));
        }
        // It knows its node better than any reporter.
        state.reporter = None;
        state.elsewhere = None;
        state.streams += 1;
        let stream = Stream {
            hello: hello.clone(),
            holder,
            agent,
            outbox,
            replaced: replaced.clone(),
            snapshot_asked: false,
            unreachable_until_ms: now_ms.saturating_add(UNREACHABLE_MS),
        };
        self.intake.hub.tell(&announcement(&state, &stream));
        state.stream = Some(stream);
        let session = Session {
            intake: self.intake.clone(),
            slot: slot.clone(),
            number: state.streams,
            agent,
            sequence_next: hello.sequence_next,
            agent_id: hello.agent_id,
            inbox,
            replaced,
        };
        Ok((session, welcome))
    }

    /// The members, and what the agents here tell them.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.intake.hub
    }

    /// A connection to another member broke.
    pub fn count_loss(&self) {
        self.intake.metrics.members.losses.inc();
    }

    /// Who shares the agents.
    #[must_use]
    pub fn members(&self) -> &Arc<Membership> {
        &self.members
    }

    /// Sends agents that others are to look after there, a few at a time.
    pub fn send_away(&self, most: usize) {
        let now_ms = self.intake.core.now_ms();
        let slots: Vec<_> = lock(&self.slots).values().cloned().collect();
        let mut sent = 0;
        for slot in slots {
            let mut state = lock(&slot);
            let Some(stream) = &mut state.stream else {
                continue;
            };
            if now_ms >= stream.unreachable_until_ms {
                stream.hello.unreachable.clear();
            }
            let Some(owner) = self.members.other_owner(&stream.hello) else {
                continue;
            };
            // Should it stay, it is not sent again for a while.
            stream.hello.unreachable.push(owner.to_string());
            stream.unreachable_until_ms = now_ms.saturating_add(UNREACHABLE_MS);
            let url = owner.to_string();
            let redirect = message(aggregator_message::Message::Redirect(Redirect { url }));
            if stream.outbox.try_send(redirect).is_err() {
                stream.replaced.cancel();
            }
            self.intake.metrics.members.redirects.inc();
            sent += 1;
            if sent == most {
                return;
            }
        }
    }

    /// Whether an agent has a stream.
    #[must_use]
    pub fn is_connected(&self, agent_id: &str) -> bool {
        let slot = lock(&self.slots).get(agent_id).cloned();
        slot.is_some_and(|slot| lock(&slot).stream.is_some())
    }

    /// Tells an agent its settings as they are now; they have changed. At each connect it is told by
    /// itself.
    pub fn tell_settings(&self, agent_id: &str) {
        let Some(slot) = lock(&self.slots).get(agent_id).cloned() else {
            return;
        };
        let state = lock(&slot);
        // Read under the lock: of two changes at a time, the later one is told last.
        let (Some(stream), Some(setting)) = (&state.stream, self.settings.of(agent_id)) else {
            return;
        };
        if stream.outbox.try_send(configure(setting)).is_err() {
            // It does not read: the settings reach it when it comes back.
            stream.replaced.cancel();
        }
    }

    /// Drops what is kept of agents that the topology has forgotten.
    pub fn clean(&self) {
        let mut slots = lock(&self.slots);
        slots.retain(|agent_id, slot| {
            lock(slot).stream.is_some() || self.intake.core.read().find_agent(agent_id).is_some()
        });
    }
}

fn configure(setting: Setting) -> AggregatorMessage {
    message(aggregator_message::Message::Configure(setting.into()))
}

pub(super) fn check_hello(hello: &Hello) -> Result<(), Status> {
    const NAME_BYTES_MAX: usize = 256;
    for (what, text) in [
        ("agent_id", &hello.agent_id),
        ("hostname", &hello.hostname),
        ("version", &hello.version),
    ] {
        if text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(Status::invalid_argument(format!(
                "{what} is longer than {NAME_BYTES_MAX} bytes or has control characters"
            )));
        }
    }
    if hello.agent_id.is_empty() {
        return Err(Status::invalid_argument(
            "the agent has no id: set --agent-id or give it an /etc/machine-id",
        ));
    }
    Ok(())
}

impl Session {
    /// Takes in one batch.
    pub(super) fn take(&self, batch: Batch) -> Result<Taken, Status> {
        let mut state = lock(&self.slot);
        if state.streams != self.number {
            return Err(self.replaced_status());
        }
        let ingest = &self.intake.metrics.ingest;
        ingest.batches.inc();
        if batch.changes.iter().any(|change| change.change.is_none()) {
            ingest.refused.with_label_values(&["empty change"]).inc();
            return Err(Status::invalid_argument(
                "a change of the batch holds nothing",
            ));
        }
        match state
            .progress
            .batch(batch.generation, batch.sequence, batch.snapshot)
        {
            Verdict::Apply { begin, end } => {
                let hub = &self.intake.hub;
                let relayed = hub.is_wanted().then(|| batch.encode_to_vec());
                if let Err(refused) = self.apply(batch, begin, end) {
                    state.progress.forget();
                    return Err(Status::unavailable(format!("{refused}; connect again")));
                }
                if let Some(stream) = state.stream.as_mut().filter(|_| begin) {
                    stream.snapshot_asked = false;
                }
                if let Some(batch) = relayed {
                    let agent_id = self.agent_id.clone();
                    hub.tell(&Relayed::Batch(RelayedBatch { agent_id, batch }));
                }
                Ok(Taken::Yes)
            }
            Verdict::Duplicate => {
                ingest.duplicates.inc();
                Ok(Taken::Yes)
            }
            Verdict::Dropped => {
                ingest.dropped.inc();
                Ok(Taken::Dropped)
            }
            Verdict::Resync(reason) => {
                ingest.resyncs.inc();
                Ok(Taken::Resync(reason))
            }
            Verdict::Refuse(reason) => {
                ingest.refused.with_label_values(&["protocol"]).inc();
                Err(Status::invalid_argument(reason))
            }
        }
    }

    fn apply(&self, batch: Batch, begin: bool, end: bool) -> Result<(), ChangeRefused> {
        let made = if batch.sequence < self.sequence_next {
            Made::Before
        } else {
            Made::Now {
                agent_ns: batch.time_unix_ns,
            }
        };
        let told = Told {
            changes: batch.changes,
            begin,
            end,
            made,
        };
        self.intake.apply(self.agent, told)
    }

    /// The sequence number that the agent may forget up to.
    pub(super) fn acknowledged(&self) -> Option<u64> {
        let state = lock(&self.slot);
        (state.streams == self.number).then(|| state.progress.acknowledged())?
    }

    pub(super) fn replaced_status(&self) -> Status {
        Status::already_exists(format!(
            "a newer stream of agent {:?} has taken over; two agents may share an id: set --agent-id \
             on one of them",
            self.agent_id
        ))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut state = lock(&self.slot);
        if state.streams != self.number {
            return;
        }
        if let Some(stream) = state.stream.take() {
            self.intake.disconnect(stream.agent);
            self.intake.hub.tell(&Relayed::End(RelayedEnd {
                agent_id: stream.hello.agent_id,
                generation: stream.hello.generation,
                connection: stream.hello.connection,
            }));
        }
    }
}
