//! From ends to edges: each connection is drawn once per view, whichever ends are known.

use smallvec::SmallVec;

use crate::{
    Topology, ViewKind,
    edge::EdgeName,
    end::{Drawn, End, Share},
    graph::Subject,
    keys::EndKey,
};

/// A connection that is drawn elsewhere within this time takes its part of the rates along.
const YOUNG_MS: u64 = 1_000;
/// The bytes of a connection that was opened longer ago than this did not flow just now.
const FRESH_MS: u64 = 10_000;

impl Topology {
    /// Draws the connections of these ends anew, where they belong now.
    pub(crate) fn redraw(&mut self, ends: &[EndKey], now_ms: u64) {
        let mut all: SmallVec<[EndKey; 4]> = SmallVec::new();
        for key in ends {
            let peer = self.ends.get(*key).and_then(|end| end.peer);
            for key in [Some(*key), peer].into_iter().flatten() {
                if !all.contains(&key) {
                    all.push(key);
                }
            }
        }
        let mut before: SmallVec<[Drawn; 2]> = SmallVec::new();
        for key in &all {
            before.extend(self.ends.get_mut(*key).and_then(|end| end.drawn.take()));
        }
        for key in &all {
            let peer = self.ends.get(*key).and_then(|end| end.peer);
            // One of the two draws for both: the first in the list.
            let at = |key: EndKey| all.iter().position(|known| *known == key);
            if peer.is_none_or(|peer| at(*key) < at(peer)) {
                self.draw(*key, &before, now_ms);
            }
        }
        // Only now, so that an edge that loses and gains a connection does not vanish in between.
        for old in &before {
            self.undraw(old, now_ms);
        }
    }

    fn draw(&mut self, key: EndKey, before: &[Drawn], now_ms: u64) {
        let Some(end) = self.ends.get(key) else {
            return;
        };
        let peer = end.peer.and_then(|peer| self.ends.get(peer));
        let begins = self.begins(end, peer);
        let here = self.place_of_end(end);
        let there = match peer {
            Some(peer) => self.place_of_end(peer),
            None => self.place_of_remote(end),
        };
        let said = [here.listener, there.listener];
        let (protocol, application) = (end.facts.protocol, self.application(end, peer));
        let fresh = |end: &End| {
            let quiet = end.facts.adopted || self.agents[end.agent].in_snapshot;
            !quiet && end.opened_ms().saturating_add(FRESH_MS) > now_ms
        };
        let young = match before.iter().map(|old| old.since_ms).min() {
            Some(since_ms) => since_ms.saturating_add(YOUNG_MS) > now_ms,
            None => fresh(end) && peer.is_none_or(fresh),
        };
        let mut share = share(end, peer, begins, now_ms);
        if let Some(seen) = before.iter().map(|old| old.share.last_seen_ms).max() {
            share.last_seen_ms = seen;
        }
        let since_ms = before
            .iter()
            .map(|old| old.since_ms)
            .min()
            .unwrap_or(now_ms);
        let (source, target) = if begins { (here, there) } else { (there, here) };
        let mut drawn = Drawn {
            edges: [None; 3],
            share,
            since_ms,
        };
        for kind in ViewKind::PLAIN {
            let Some(source) = self.node_for(kind, &source, true, now_ms) else {
                continue;
            };
            let target = self.node_for(kind, &target, false, now_ms);
            let graph = self.graph_mut(kind);
            if let Some(target) = target
                && !(source == target && is_collective(&graph.nodes[source].subject))
                && let Some(edge) = graph.edge(EdgeName {
                    source,
                    target,
                    protocol,
                    application,
                })
            {
                graph.add(edge, &share, young.then_some((share.forward, share.back)));
                drawn.edges[kind.index()] = Some(edge);
                for node in [source, target] {
                    if graph.has_derived_label(node) {
                        graph.touch_node(node);
                    }
                }
            }
            graph.drop_if_bare(source);
            if let Some(target) = target {
                graph.drop_if_bare(target);
            }
        }
        self.ends[key].drawn = Some(drawn);
        for listener in said.into_iter().flatten() {
            let listener = &mut self.listeners[listener];
            listener.consulted |= !listener.is_open();
        }
    }

    fn application(&self, end: &End, peer: Option<&End>) -> crate::symbols::Symbol {
        let own = &end.facts;
        let Some(other) = peer.map(|peer| &peer.facts) else {
            return own.application;
        };
        // What was seen outranks a guess by port; else either end's word, the same for both orders.
        match (own.application_seen, other.application_seen) {
            (true, false) => own.application,
            (false, true) => other.application,
            _ if self.symbols.name(own.application) >= self.symbols.name(other.application) => {
                own.application
            }
            _ => other.application,
        }
    }

    fn undraw(&mut self, old: &Drawn, now_ms: u64) {
        let young = old.since_ms.saturating_add(YOUNG_MS) > now_ms;
        for kind in ViewKind::PLAIN {
            if let Some(edge) = old.edges[kind.index()] {
                self.graph_mut(kind)
                    .subtract(edge, &old.share, young, now_ms);
            }
        }
    }

    /// New counters of a connection that stays where it is.
    pub(crate) fn refresh(&mut self, key: EndKey, now_ms: u64) {
        let Some(end) = self.ends.get(key) else {
            return;
        };
        let peer = end.peer.and_then(|peer| self.ends.get(peer));
        let holder = if end.drawn.is_some() {
            key
        } else {
            end.peer.unwrap_or(key)
        };
        let begins = self.begins(end, peer);
        let new = share(end, peer, begins, now_ms);
        let Some(drawn) = &mut self.ends[holder].drawn else {
            return;
        };
        let old = std::mem::replace(&mut drawn.share, new);
        let edges = drawn.edges;
        for kind in ViewKind::PLAIN {
            if let Some(edge) = edges[kind.index()] {
                self.graph_mut(kind).replace(edge, &old, &new);
            }
        }
    }

    /// Takes a connection off the map for good; `keep_totals` leaves its sums on the edge.
    pub(crate) fn erase(&mut self, key: EndKey, keep_totals: bool, now_ms: u64) {
        let Some(drawn) = self.ends.get_mut(key).and_then(|end| end.drawn.take()) else {
            return;
        };
        if !keep_totals {
            self.undraw(&drawn, now_ms);
            return;
        }
        for kind in ViewKind::PLAIN {
            if let Some(edge) = drawn.edges[kind.index()] {
                self.graph_mut(kind).retire(edge, &drawn.share, now_ms);
            }
        }
    }
}

/// Nodes that stand for many: what happens within them is not drawn.
fn is_collective(subject: &Subject) -> bool {
    matches!(
        subject,
        Subject::Host(_) | Subject::Uncontained(_) | Subject::Others | Subject::Internet { .. }
    )
}

fn share(end: &End, peer: Option<&End>, begins: bool, now_ms: u64) -> Share {
    let (first, second) = if begins {
        (Some(end), peer)
    } else {
        (peer, Some(end))
    };
    let counts = |end: &End| end.facts.bytes_sent != 0 || end.facts.bytes_received != 0;
    // The initiator's word; the other end's only where the initiator has not counted.
    let (forward, back) = match (first, second) {
        (Some(first), _) if counts(first) => (first.facts.bytes_sent, first.facts.bytes_received),
        (_, Some(second)) => (second.facts.bytes_received, second.facts.bytes_sent),
        _ => (0, 0),
    };
    let both = [first, second].into_iter().flatten();
    let port = match (first, second) {
        (_, Some(second)) => second.facts.local.port(),
        (Some(first), None) => first.facts.real_remote().port(),
        (None, None) => 0,
    };
    let opened = both
        .clone()
        .map(End::opened_ms)
        .filter(|opened| *opened != 0)
        .min();
    Share {
        forward,
        back,
        retransmits: both
            .clone()
            .fold(0, |sum, end| end.facts.retransmits.saturating_add(sum)),
        rtt_us: both
            .clone()
            .map(|end| end.facts.rtt_us)
            .find(|rtt| *rtt != 0)
            .unwrap_or(0),
        port,
        open: both.clone().all(|end| end.facts.is_open()),
        failed: both
            .clone()
            .any(|end| end.facts.state == mesoscope_proto::v1::ConnectionState::Failed),
        first_seen_ms: opened.unwrap_or(now_ms),
        last_seen_ms: now_ms,
    }
}
