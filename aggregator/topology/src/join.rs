//! Which two local ends are the two ends of one connection.

use std::{
    hash::{Hash, Hasher},
    net::SocketAddr,
};

use mesoscope_proto::v1::Direction;
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;

use crate::{
    Topology,
    address::{is_link_local, is_loopback},
    end::End,
    keys::EndKey,
    places::scoped,
};

/// Ends by the unordered pair of their addresses: one entry per pair of (real or translated)
/// addresses. Entries with the same hash are only candidates.
#[derive(Debug, Default)]
pub(crate) struct JoinIndex {
    buckets: FxHashMap<u64, SmallVec<[EndKey; 2]>>,
}

type Hashes = SmallVec<[u64; 4]>;

/// Ends looked at together. More than a few means that a tuple came again many times in a row.
const COMPONENT_MAX: usize = 32;

/// An end of one host that opened later than this after the other end closed belongs to another
/// connection with the same addresses; between hosts the clocks differ.
const SLACK_SAME_HOST_MS: u64 = 2_000;
const SLACK_OTHER_HOST_MS: u64 = 30_000;

fn alternatives(first: SocketAddr, second: Option<SocketAddr>) -> SmallVec<[SocketAddr; 2]> {
    let mut all = SmallVec::new();
    all.push(first);
    all.extend(second.filter(|second| *second != first));
    all
}

impl End {
    fn locals(&self) -> SmallVec<[SocketAddr; 2]> {
        alternatives(self.facts.local, self.facts.translated().local)
    }

    fn remotes(&self) -> SmallVec<[SocketAddr; 2]> {
        alternatives(self.facts.remote, self.facts.translated().remote)
    }

    fn hashes(&self) -> Hashes {
        let mut hashes = Hashes::new();
        let nowhere = |end: SocketAddr| end.port() == 0 || end.ip().is_unspecified();
        if nowhere(self.facts.local) || nowhere(self.facts.remote) {
            // Nothing to tell it from others by.
            return hashes;
        }
        for local in self.locals() {
            for remote in self.remotes() {
                let (low, high) = if local < remote {
                    (local, remote)
                } else {
                    (remote, local)
                };
                let mut hasher = FxHasher::default();
                (self.facts.protocol, low, high).hash(&mut hasher);
                // Loopback addresses mean something only on their host.
                scoped(self.agent, local.ip()).0.hash(&mut hasher);
                let hash = hasher.finish();
                if !hashes.contains(&hash) {
                    hashes.push(hash);
                }
            }
        }
        hashes
    }
}

impl JoinIndex {
    pub(crate) fn insert(&mut self, key: EndKey, end: &End) {
        for hash in end.hashes() {
            self.buckets.entry(hash).or_default().push(key);
        }
    }

    pub(crate) fn remove(&mut self, key: EndKey, end: &End) {
        for hash in end.hashes() {
            if let Some(bucket) = self.buckets.get_mut(&hash) {
                bucket.retain(|known| *known != key);
                if bucket.is_empty() {
                    self.buckets.remove(&hash);
                }
            }
        }
    }

    fn candidates(&self, end: &End) -> SmallVec<[EndKey; 4]> {
        let mut all = SmallVec::new();
        for hash in end.hashes() {
            for key in self.buckets.get(&hash).into_iter().flatten() {
                if !all.contains(key) {
                    all.push(*key);
                }
            }
        }
        all
    }
}

/// How well two ends fit; less is better.
type Fit = (u8, u64);

impl Topology {
    /// Whether these are the two ends of one connection, and how surely.
    fn fit(&self, a: &End, b: &End) -> Option<Fit> {
        if a.facts.protocol != b.facts.protocol {
            return None;
        }
        let same_agent = a.agent == b.agent;
        let namespaces = (a.facts.network_namespace, b.facts.network_namespace);
        let same_namespace = namespaces.0 == namespaces.1 || namespaces.0 == 0 || namespaces.1 == 0;
        let (a_locals, b_locals) = (a.locals(), b.locals());
        let (a_remotes, b_remotes) = (a.remotes(), b.remotes());
        let meets = a_locals
            .iter()
            .filter(|local| b_remotes.contains(local))
            .any(|local| {
                a_remotes
                    .iter()
                    .filter(|remote| b_locals.contains(remote))
                    .any(|remote| {
                        let (local, remote) = (local.ip(), remote.ip());
                        if is_loopback(local) || is_loopback(remote) {
                            return same_agent && same_namespace;
                        }
                        if same_agent {
                            return true;
                        }
                        // What this host has itself is not on another one, whatever the addresses say.
                        !is_link_local(local)
                            && !is_link_local(remote)
                            && !self.places.owns(a.agent, remote)
                            && !self.places.owns(b.agent, local)
                    })
            });
        if !meets {
            return None;
        }
        let slack = if same_agent {
            SLACK_SAME_HOST_MS
        } else {
            SLACK_OTHER_HOST_MS
        };
        let after = |first: &End, second: &End| {
            !first.facts.is_open() && second.opened_ms() > first.closed_ms().saturating_add(slack)
        };
        if after(a, b) || after(b, a) {
            return None;
        }
        let opposite = match (a.facts.direction, b.facts.direction) {
            (Direction::Unspecified, _) | (_, Direction::Unspecified) => true,
            (a, b) => a != b,
        };
        let rank = u8::from(!same_agent) * 4 + u8::from(!same_namespace) * 2 + u8::from(!opposite);
        Some((rank, a.opened_ms().abs_diff(b.opened_ms())))
    }

    /// Whether an end that has just closed may no longer have the same other end: its times decide
    /// which connection with these addresses it is.
    pub(crate) fn closing_parts(&self, key: EndKey) -> bool {
        let end = &self.ends[key];
        let peer = end.peer.and_then(|peer| self.ends.get(peer));
        end.facts.opened_unix_ns == 0 || peer.is_some_and(|peer| self.fit(end, peer).is_none())
    }

    /// Finds the best pairs among an end and all that could be related to it. The outcome depends
    /// on what is known and not on the order in which it came. Gives the ends whose other end
    /// changed.
    pub(crate) fn rejoin(&mut self, start: EndKey) -> SmallVec<[EndKey; 4]> {
        let mut component: SmallVec<[EndKey; 8]> = SmallVec::new();
        let mut pairs: SmallVec<[(Fit, EndKey, EndKey); 4]> = SmallVec::new();
        component.push(start);
        let mut at = 0;
        while at < component.len() {
            let key = component[at];
            at += 1;
            let Some(end) = self.ends.get(key) else {
                continue;
            };
            for other in self.join.candidates(end) {
                let Some(fit) = self
                    .ends
                    .get(other)
                    .filter(|_| other != key)
                    .and_then(|other| self.fit(end, other))
                else {
                    continue;
                };
                match component.iter().position(|known| *known == other) {
                    // Looked at before: the pair is listed already.
                    Some(index) if index < at => {}
                    Some(_) => pairs.push((fit, key, other)),
                    None if component.len() < COMPONENT_MAX => {
                        component.push(other);
                        pairs.push((fit, key, other));
                    }
                    None => {}
                }
            }
        }
        if pairs.len() > 1 {
            pairs.sort_by_cached_key(|(fit, a, b)| {
                let name = |key: EndKey| {
                    let end = &self.ends[key];
                    (self.agents[end.agent].id.clone(), end.cookie)
                };
                let (a, b) = (name(*a), name(*b));
                (*fit, a.clone().min(b.clone()), a.max(b))
            });
        }
        let mut peers: SmallVec<[(EndKey, EndKey); 4]> = SmallVec::new();
        for (_, a, b) in pairs {
            let taken = |key| peers.iter().any(|(x, y)| *x == key || *y == key);
            if !taken(a) && !taken(b) {
                peers.push((a, b));
            }
        }
        self.set_peers(&component, &peers)
    }

    fn set_peers(
        &mut self,
        component: &[EndKey],
        pairs: &[(EndKey, EndKey)],
    ) -> SmallVec<[EndKey; 4]> {
        let mut changed: SmallVec<[EndKey; 4]> = SmallVec::new();
        for key in component {
            let peer = pairs.iter().find_map(|(a, b)| match key {
                key if key == a => Some(*b),
                key if key == b => Some(*a),
                _ => None,
            });
            let Some(end) = self.ends.get_mut(*key) else {
                continue;
            };
            if end.peer == peer {
                continue;
            }
            let before = std::mem::replace(&mut end.peer, peer);
            changed.push(*key);
            self.totals.joined += u64::from(peer.is_some());
            // One that is not looked at here loses its other end.
            if let Some(before) = before
                && !component.contains(&before)
                && let Some(lost) = self.ends.get_mut(before)
                && lost.peer == Some(*key)
            {
                lost.peer = None;
                changed.push(before);
            }
        }
        changed
    }
}
