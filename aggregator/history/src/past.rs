//! The map as it was: a fresh topology is told what the agents had told up to then, in the order of
//! their times, and is rendered as the live one is.

use std::sync::Arc;

use mesoscope_proto::v1::{self, ContainerState, change::Change};
use mesoscope_topology::{AgentKey, Limits, Topology};

use crate::code::entry::Op;
use crate::log::Span;
use crate::state::{Keeps, Kept, State};

/// Time passes in steps of this length, as it does live, in the seconds before the moment.
const STEP_MS: u64 = 200;

/// What is needed to show the map at a moment. It is small, and independent of the history.
#[derive(Debug)]
pub struct Past {
    pub(crate) at_ms: u64,
    pub(crate) tail_ms: u64,
    pub(crate) keeps: Keeps,
    pub(crate) agents: Vec<PastAgent>,
    pub(crate) left_out: Vec<(Arc<str>, String)>,
}

#[derive(Debug)]
pub(crate) struct PastAgent {
    pub(crate) id: Arc<str>,
    pub(crate) span: Span,
}

/// The map at a moment.
#[derive(Debug)]
pub struct Moment {
    /// When it was, in Unix milliseconds.
    pub at_ms: u64,
    /// All that was known then but for figures, which series have.
    pub topology: Topology,
    /// Figures of containers that series don't have: kills for want of memory, and how much the limit
    /// holds it back; by agent.
    pub pressures: Vec<(AgentKey, v1::ContainerMetrics)>,
    /// What of that time is not known any more, beside what was not known then.
    pub incomplete: Vec<v1::Incomplete>,
}

/// Something that happened, for the topology.
enum Event {
    Connect(Box<v1::Hello>),
    Disconnect,
    SnapshotBegins,
    SnapshotEnds,
    Change(Box<Change>),
}

type Events = Vec<(u64, u32, Event)>;

impl Past {
    /// The moment that it is of, in Unix milliseconds.
    #[must_use]
    pub fn at_ms(&self) -> u64 {
        self.at_ms
    }

    /// Makes the map. It takes as long as the map is large: about a second for 1,000 hosts.
    #[must_use]
    pub fn recall(&self, limits: Limits) -> Moment {
        let mut events = Events::new();
        let mut pressures = Vec::new();
        for (number, agent) in (0_u32..).zip(&self.agents) {
            self.events_of(agent, number, &mut events, &mut pressures);
        }
        // Those of one time and agent stay in their order.
        events.sort_by_key(|(at_ms, ..)| *at_ms);
        let mut topology = Topology::new(limits);
        topology.collect_events(false);
        let keys = self.feed(&mut topology, events);
        let pressures = pressures
            .into_iter()
            .filter_map(|(number, told): (u32, _)| Some((keys[number as usize]?, told)))
            .collect();
        Moment {
            at_ms: self.at_ms,
            topology,
            pressures,
            incomplete: self.incomplete(),
        }
    }

    fn feed(&self, topology: &mut Topology, events: Events) -> Vec<Option<AgentKey>> {
        let mut keys: Vec<Option<AgentKey>> = vec![None; self.agents.len()];
        let nobody = &mut Vec::new();
        let mut advanced_ms = 0;
        for (at_ms, number, event) in events {
            while at_ms >= advanced_ms + STEP_MS {
                // Where nothing happens, time may pass at once, but for the last seconds.
                let next_ms = advanced_ms + STEP_MS;
                advanced_ms = if next_ms > self.tail_ms {
                    next_ms
                } else {
                    at_ms.min(self.tail_ms).max(next_ms)
                };
                topology.advance(advanced_ms, nobody);
            }
            let key = &mut keys[number as usize];
            match (event, *key) {
                (Event::Connect(hello), _) => {
                    *key = topology.connect_agent(&hello, at_ms, nobody).ok();
                }
                (_, None) => {}
                (Event::Disconnect, Some(agent)) => topology.disconnect_agent(agent, at_ms, nobody),
                (Event::SnapshotBegins, Some(agent)) => topology.begin_snapshot(agent),
                (Event::SnapshotEnds, Some(agent)) => topology.end_snapshot(agent, at_ms, nobody),
                (Event::Change(change), Some(agent)) => {
                    let change = v1::Change {
                        change: Some(*change),
                    };
                    // What was refused then is refused now.
                    let _ = topology.apply(agent, change, at_ms, nobody);
                }
            }
        }
        while advanced_ms < self.at_ms {
            let next_ms = advanced_ms + STEP_MS;
            advanced_ms = if next_ms > self.tail_ms {
                next_ms.min(self.at_ms)
            } else {
                self.tail_ms.max(next_ms)
            };
            topology.advance(advanced_ms, nobody);
        }
        keys
    }

    fn events_of(
        &self,
        agent: &PastAgent,
        number: u32,
        events: &mut Events,
        pressures: &mut Vec<(u32, v1::ContainerMetrics)>,
    ) {
        let mut late = Vec::new();
        let mut state = agent
            .span
            .read(self.keeps, |at_ms, op| late.push((at_ms, op)));
        state.expire(self.tail_ms, self.keeps);
        tell_state(&state, &mut |at_ms, event| {
            events.push((at_ms, number, event))
        });
        for (at_ms, op) in late {
            let counters = match &op {
                Op::Counters(news) => Some(news.cookie),
                _ => None,
            };
            let event = match &op {
                Op::Connected(told) => Some(Event::Connect(Box::new(told.hello.clone()))),
                Op::Disconnected(_) => Some(Event::Disconnect),
                Op::Snapshot(true) => Some(Event::SnapshotBegins),
                Op::Snapshot(false) => Some(Event::SnapshotEnds),
                op => change_of(op).map(|change| Event::Change(Box::new(change))),
            };
            // Counters are told with the connection that they are of.
            state.apply(at_ms, op, self.keeps);
            let connection = counters.and_then(|cookie| state.connections.get(&cookie));
            let event = match connection {
                Some(kept) => Some(Event::Change(Box::new(Change::Connection(
                    kept.told.clone(),
                )))),
                None => event,
            };
            if let Some(event) = event {
                events.push((at_ms, number, event));
            }
        }
        pressures.extend(
            state
                .pressures
                .into_values()
                .map(|kept| (number, kept.told)),
        );
    }

    fn incomplete(&self) -> Vec<v1::Incomplete> {
        let entry = |(id, hostname): &(Arc<str>, String)| {
            let name = if hostname.is_empty() {
                id
            } else {
                hostname.as_str()
            };
            v1::Incomplete {
                agent_id: id.to_string(),
                hostname: hostname.clone(),
                gap: None,
                message: format!(
                    "What {name} was like at this moment is not known any more: there was no room for it; raise --history-memory."
                ),
            }
        };
        self.left_out.iter().map(entry).collect()
    }
}

/// What made the state, each at its time.
fn tell_state(state: &State, tell: &mut impl FnMut(u64, Event)) {
    let Some(standing) = &state.standing else {
        return;
    };
    let change = |change| Event::Change(Box::new(change));
    let hello = || Event::Connect(Box::new(standing.hello.clone()));
    let first_ms = standing.first_ms;
    tell(first_ms, hello());
    if standing.has_snapshot {
        tell(first_ms, Event::SnapshotBegins);
        tell(first_ms, Event::SnapshotEnds);
    }
    if standing.connected_ms != first_ms {
        tell(standing.connected_ms, hello());
    }
    if let Some(kept) = &state.host {
        tell(kept.first_ms, change(Change::Host(kept.told.clone())));
    }
    if let Some(kept) = &state.status {
        let status = Change::AgentStatus(kept.told.clone());
        tell(kept.last_ms.max(standing.connected_ms), change(status));
    }
    tell_things(state, &mut |at_ms, told| tell(at_ms, change(told)));
    if let Some(snapshot_ms) = standing.snapshot_ms {
        tell(snapshot_ms, Event::SnapshotBegins);
        tell_seen(state, &mut |told| tell(snapshot_ms, change(told)));
    }
    if let Some(gone_ms) = standing.gone_ms {
        tell(gone_ms, Event::Disconnect);
    }
}

fn tell_things(state: &State, tell: &mut impl FnMut(u64, Change)) {
    for kept in state.containers.values() {
        if kept.told.state() == ContainerState::Removed && kept.first_ms < kept.last_ms {
            let mut before = kept.told.clone();
            before.set_state(ContainerState::Running);
            tell(kept.first_ms, Change::Container(before));
            tell(kept.last_ms, Change::Container(kept.told.clone()));
        } else {
            tell(kept.first_ms, Change::Container(kept.told.clone()));
        }
    }
    for kept in state.processes.values() {
        if kept.told.exit.is_some() && kept.first_ms < kept.last_ms {
            let before = v1::Process {
                exit: None,
                ..kept.told.clone()
            };
            tell(kept.first_ms, Change::Process(before));
            tell(kept.last_ms, Change::Process(kept.told.clone()));
        } else {
            tell(kept.first_ms, Change::Process(kept.told.clone()));
        }
    }
    for kept in state.listeners.values() {
        let before = v1::Listener {
            closed_unix_ns: 0,
            ..kept.told.clone()
        };
        tell(kept.first_ms, Change::Listener(before));
        if kept.told.closed_unix_ns != 0 {
            tell(kept.last_ms, Change::Listener(kept.told.clone()));
        }
    }
    for kept in state.connections.values() {
        let at_ms = if kept.told.closed_unix_ns == 0 {
            kept.first_ms
        } else {
            kept.last_ms
        };
        tell(at_ms, Change::Connection(kept.told.clone()));
    }
    for kept in state.names.values() {
        tell(kept.last_ms, Change::AddressName(kept.told.clone()));
    }
    for kept in &state.gaps {
        tell(kept.last_ms, Change::Gap(kept.told.clone()));
    }
}

/// What the snapshot that is under way has told.
fn tell_seen(state: &State, tell: &mut impl FnMut(Change)) {
    fn seen<'a, T: Clone + 'a>(
        kept: impl IntoIterator<Item = &'a Kept<T>>,
    ) -> impl Iterator<Item = T> {
        let seen = kept.into_iter().filter(|kept| kept.seen);
        seen.map(|kept| kept.told.clone())
    }
    seen(state.containers.values()).for_each(|told| tell(Change::Container(told)));
    seen(state.processes.values()).for_each(|told| tell(Change::Process(told)));
    seen(state.listeners.values()).for_each(|told| tell(Change::Listener(told)));
    seen(state.connections.values()).for_each(|told| tell(Change::Connection(told)));
    seen(&state.gaps).for_each(|told| tell(Change::Gap(told)));
}

fn change_of(op: &Op) -> Option<Change> {
    Some(match op {
        Op::Process(told) => Change::Process(told.clone()),
        Op::Connection(told) => Change::Connection(told.clone()),
        Op::Listener(told) => Change::Listener(told.clone()),
        Op::Container(told) => Change::Container(told.clone()),
        Op::Host(told) => Change::Host(told.clone()),
        Op::Name(told) => Change::AddressName(told.clone()),
        Op::Gap(told) => Change::Gap(told.clone()),
        Op::Status(told) => Change::AgentStatus(told.clone()),
        _ => return None,
    })
}
