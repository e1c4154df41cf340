//! Conntrack flows joined to connections: what address translation made of their ends.

use std::collections::VecDeque;
use std::net::SocketAddr;

use mesoscope_capture::{MonoNs, Protocol};
use rustc_hash::FxHashMap;

use super::connection::canonical;
use super::connections::Ends;
use super::state::NodeState;

/// One direction of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowEnds {
    /// Who sends.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
}

/// A flow as conntrack knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Transport protocol.
    pub protocol: Protocol,
    /// As the first packet was sent.
    pub original: FlowEnds,
    /// As answers arrive.
    pub reply: FlowEnds,
    /// Bytes in the original direction, where the kernel counts them.
    pub bytes_original: u64,
    /// Bytes in the reply direction.
    pub bytes_reply: u64,
    /// Conntrack has forgotten it.
    pub destroyed: bool,
}

/// What this host's address translation made of a connection's ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Translation {
    pub(super) local: Option<SocketAddr>,
    pub(super) remote: Option<SocketAddr>,
}

#[derive(Default)]
pub(super) struct Nat {
    translations: FxHashMap<Ends, (Translation, Option<MonoNs>)>,
    /// Flows that conntrack has forgotten; their sockets' last records may still come.
    ended: VecDeque<(MonoNs, Ends)>,
    /// UDP flows that we tell of: ends to the key of the connection.
    pub(super) udp: FxHashMap<Ends, u64>,
}

impl Nat {
    pub(super) fn len(&self) -> usize {
        self.translations.len() + self.udp.len()
    }

    pub(super) fn translation(&self, ends: &Ends) -> Option<Translation> {
        self.translations
            .get(ends)
            .map(|(translation, _)| *translation)
    }
}

impl Flow {
    /// Ends and translation as the socket that began the flow sees them.
    fn begun(&self) -> (Ends, Translation) {
        let (source, destination) = (
            canonical(self.original.source),
            canonical(self.original.destination),
        );
        let (answerer, asker) = (
            canonical(self.reply.source),
            canonical(self.reply.destination),
        );
        let translation = Translation {
            local: Some(asker).filter(|asker| *asker != source),
            remote: Some(answerer).filter(|answerer| *answerer != destination),
        };
        ((self.protocol, source, destination), translation)
    }

    /// Ends and translation as the socket that answers sees them.
    fn answered(&self) -> (Ends, Translation) {
        let (source, destination) = (
            canonical(self.original.source),
            canonical(self.original.destination),
        );
        let (answerer, asker) = (
            canonical(self.reply.source),
            canonical(self.reply.destination),
        );
        let translation = Translation {
            local: Some(destination).filter(|destination| *destination != answerer),
            remote: Some(source).filter(|source| *source != asker),
        };
        ((self.protocol, answerer, asker), translation)
    }
}

impl NodeState {
    /// Conntrack told of a flow.
    pub fn flow(&mut self, now: MonoNs, flow: &Flow) {
        self.now = self.now.max(now);
        for (ends, translation) in [flow.begun(), flow.answered()] {
            if translation == Translation::default() {
                continue;
            }
            if flow.destroyed {
                self.nat.ended.push_back((now, ends));
            } else if self.nat.len() >= self.limits.flows
                && !self.nat.translations.contains_key(&ends)
            {
                self.counters.over_limit += 1;
                continue;
            }
            self.nat
                .translations
                .insert(ends, (translation, flow.destroyed.then_some(now)));
            if let Some(key) = self.connections.by_ends(&ends) {
                self.translated(key, translation);
            }
        }
        if flow.protocol == Protocol::Udp {
            self.udp_flow(now, flow, flow.begun(), flow.answered());
        }
    }

    /// Conntrack dumped its whole table, which had none but `present` (as they were begun).
    pub fn flows_listed(
        &mut self,
        now: MonoNs,
        present: &dyn Fn(Protocol, SocketAddr, SocketAddr) -> bool,
    ) {
        let gone: Vec<(Ends, u64)> = self
            .nat
            .udp
            .iter()
            .filter(|((protocol, source, destination), _)| {
                !present(*protocol, *source, *destination)
            })
            .map(|(ends, key)| (*ends, *key))
            .collect();
        for (ends, key) in gone {
            self.nat.udp.remove(&ends);
            self.end_udp_flow(key, now);
        }
    }

    fn translated(&mut self, key: u64, translation: Translation) {
        let Some(connection) = self.connections.by_key.get_mut(&key) else {
            return;
        };
        if connection.translation.as_deref() != Some(&translation) {
            connection.translation = Some(Box::new(translation));
            self.mark_connection(key);
        }
    }

    pub(super) fn expire_flows(&mut self) {
        while let Some((time, ends)) = self.nat.ended.front().copied() {
            if time.saturating_add(self.limits.tombstone_ns) > self.now
                && self.nat.ended.len() <= self.limits.flows
            {
                break;
            }
            self.nat.ended.pop_front();
            // Unless a new flow with the same ends has begun since.
            if self
                .nat
                .translations
                .get(&ends)
                .is_some_and(|(_, ended)| *ended == Some(time))
            {
                self.nat.translations.remove(&ends);
            }
        }
    }
}
