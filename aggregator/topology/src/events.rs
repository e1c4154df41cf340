//! Facts as events, with what the reader needs beside them: who, where, in which container.

use mesoscope_proto::v1::{self, ConnectionState, EventKind};

use crate::{
    Topology,
    end::{End, Facts, Held},
    keys::{AgentKey, ContainerKey, EndKey, Owner, ProcessKey},
};

/// The two ends' processes and containers, as far as known.
struct Parties {
    process: Option<ProcessKey>,
    container: Option<ContainerKey>,
    peer_process: Option<ProcessKey>,
    peer_container: Option<ContainerKey>,
}

impl Topology {
    pub(crate) fn event(&self, agent: AgentKey, kind: EventKind, time_unix_ns: u64) -> v1::Event {
        let (agent_id, hostname) = self
            .agents
            .get(agent)
            .map(|agent| (agent.id.to_string(), agent.hostname.to_string()))
            .unwrap_or_default();
        v1::Event {
            kind: kind.into(),
            time_unix_ns,
            agent_id,
            hostname,
            ..Default::default()
        }
    }

    pub(crate) fn process_event(
        &self,
        process: ProcessKey,
        kind: EventKind,
        events: &mut Vec<v1::Event>,
    ) {
        if !self.events_wanted {
            return;
        }
        let entry = &self.processes[process];
        let time_unix_ns = match (&entry.record.exit, kind) {
            (Some(exit), EventKind::ProcessExited) => exit.time_unix_ns,
            _ => entry.record.time_unix_ns,
        };
        events.push(v1::Event {
            process: Some(self.process_message(process)),
            container: self.container_message(entry.container),
            ..self.event(entry.agent, kind, time_unix_ns)
        });
    }

    pub(crate) fn process_message(&self, process: ProcessKey) -> v1::Process {
        let entry = &self.processes[process];
        let container = entry.container.and_then(|key| self.containers.get(key));
        entry.to_message(container.map(|container| &*container.id))
    }

    fn container_message(&self, container: Option<ContainerKey>) -> Option<v1::Container> {
        Some(self.containers.get(container?)?.to_event())
    }

    pub(crate) fn container_event(
        &self,
        container: ContainerKey,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) {
        if self.events_wanted {
            let entry = &self.containers[container];
            events.push(v1::Event {
                container: Some(entry.to_event()),
                ..self.event(
                    entry.agent,
                    EventKind::Container,
                    now_ms.saturating_mul(1_000_000),
                )
            });
        }
    }

    /// Lets the events of an end go when both sides are known or no other side is expected; else
    /// they wait a moment, so that the connecting and the listening process are both named.
    pub(crate) fn offer_events(&mut self, key: EndKey, now_ms: u64, events: &mut Vec<v1::Event>) {
        let end = &self.ends[key];
        if !end.held.any() {
            return;
        }
        if !self.events_wanted {
            self.ends[key].held = Held::default();
            return;
        }
        let parties = self.parties(end);
        let known = |process: Option<ProcessKey>| {
            process
                .and_then(|key| self.processes.get(key))
                .is_some_and(|process| process.known)
        };
        let complete =
            known(parties.process) && (known(parties.peer_process) || !self.expects_peer(end));
        if complete {
            self.let_go(key, events);
            return;
        }
        if std::mem::replace(&mut self.ends[key].held.queued, true) {
            return;
        }
        let until = now_ms.saturating_add(self.limits.join_hold_ms);
        self.held_events.push_back((until, key));
        while self.held_events.len() > self.limits.held_events {
            if let Some((_, oldest)) = self.held_events.pop_front() {
                self.totals.held_events_cut_short += 1;
                self.let_go(oldest, events);
            }
        }
    }

    /// Emits what waits of an end.
    pub(crate) fn let_go(&mut self, key: EndKey, events: &mut Vec<v1::Event>) {
        let Some(end) = self.ends.get_mut(key) else {
            return;
        };
        let held = std::mem::take(&mut end.held);
        let end = &self.ends[key];
        if held.opened {
            events.push(self.connection_event(end, EventKind::ConnectionOpened));
        }
        if held.ended {
            let kind = match end.facts.state {
                ConnectionState::Failed => EventKind::ConnectionFailed,
                _ => EventKind::ConnectionClosed,
            };
            events.push(self.connection_event(end, kind));
        }
    }

    /// Emits what has waited long enough.
    pub(crate) fn flush_held(&mut self, now_ms: u64, events: &mut Vec<v1::Event>) {
        while let Some((until, key)) = self.held_events.front().copied() {
            if until > now_ms {
                break;
            }
            self.held_events.pop_front();
            self.let_go(key, events);
        }
    }

    /// The details of a process came: its connections' events need wait no longer for them.
    pub(crate) fn flush_held_of(
        &mut self,
        process: ProcessKey,
        now_ms: u64,
        events: &mut Vec<v1::Event>,
    ) {
        let ends = &self.processes[process].ends;
        let mut held: Vec<EndKey> = Vec::new();
        for key in ends {
            let end = &self.ends[*key];
            let peer = end
                .peer
                .filter(|peer| self.ends.get(*peer).is_some_and(|peer| peer.held.any()));
            held.extend(end.held.any().then_some(*key));
            held.extend(peer);
        }
        for key in held {
            self.offer_events(key, now_ms, events);
        }
    }

    fn parties(&self, end: &End) -> Parties {
        let here = self.place_of_end(end);
        let there = match end.peer.and_then(|peer| self.ends.get(peer)) {
            Some(peer) => self.place_of_end(peer),
            None => self.place_of_remote(end),
        };
        Parties {
            process: here.owner.process(),
            container: here.container,
            peer_process: there.owner.process(),
            peer_container: there.container,
        }
    }

    fn connection_event(&self, end: &End, kind: EventKind) -> v1::Event {
        let parties = self.parties(end);
        let process = |key: Option<ProcessKey>| {
            let key = key.filter(|key| self.processes.contains_key(*key));
            key.map(|key| self.process_message(key))
        };
        let time_unix_ns = match kind {
            EventKind::ConnectionOpened => end.facts.opened_unix_ns,
            _ => end.facts.closed_unix_ns,
        };
        v1::Event {
            process: process(parties.process),
            peer_process: process(parties.peer_process),
            container: self.container_message(parties.container),
            peer_container: self.container_message(parties.peer_container),
            connection: Some(self.connection_message(end, kind == EventKind::ConnectionOpened)),
            ..self.event(end.agent, kind, time_unix_ns)
        }
    }

    /// An end as the wire has it; `opening` leaves out how it ended.
    pub(crate) fn connection_message(&self, end: &End, opening: bool) -> v1::Connection {
        let Facts {
            protocol,
            direction,
            state,
            local,
            remote,
            ..
        } = end.facts;
        let facts = &end.facts;
        let translated = facts.translated();
        let process = match end.owner {
            Owner::Known(key) => self.processes.get(key),
            Owner::Unknown | Owner::Gone => None,
        };
        let container = end.container.and_then(|key| self.containers.get(key));
        let mut message = v1::Connection {
            cookie: end.cookie,
            protocol: protocol.into(),
            direction: direction.into(),
            state: state.into(),
            local: Some(local.into()),
            remote: Some(remote.into()),
            translated_local: translated.local.map(Into::into),
            translated_remote: translated.remote.map(Into::into),
            network_namespace: facts.network_namespace,
            process: process.map(|process| v1::ProcessKey {
                pid: process.pid,
                start_boottime_ns: process.start,
            }),
            cgroup_id: facts.cgroup_id,
            container_id: container
                .map(|container| container.id.to_string())
                .unwrap_or_default(),
            bytes_sent: facts.bytes_sent,
            bytes_received: facts.bytes_received,
            rtt_us: facts.rtt_us,
            retransmits: facts.retransmits,
            opened_unix_ns: facts.opened_unix_ns,
            closed_unix_ns: facts.closed_unix_ns,
            error: facts.error,
            application: self.symbols.name(facts.application).to_string(),
            application_seen: facts.application_seen,
            server_name: facts.server_name.as_deref().unwrap_or_default().into(),
            adopted: facts.adopted,
        };
        if opening {
            message.state = ConnectionState::Open.into();
            message.closed_unix_ns = 0;
            message.error = 0;
        }
        message
    }
}
