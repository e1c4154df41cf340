//! An edge: all connections from one node to another with the same protocol, merged.

use std::sync::{Arc, OnceLock};

use mesoscope_proto::v1::Protocol;
use smallvec::SmallVec;

use crate::{end::Share, keys::NodeKey, symbols::Symbol};

/// What makes an edge another edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EdgeName {
    pub source: NodeKey,
    pub target: NodeKey,
    pub protocol: Protocol,
    pub application: Symbol,
}

/// Ports listed per edge in the API, and remembered.
pub(crate) const PORTS_SHOWN: usize = 8;
const PORTS_MAX: usize = 64;

/// Time constant of the rates: a burst has faded to a third after it.
const RATE_TAU_S: f64 = 3.0;

/// Per second, over the last few seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    pub connections: f64,
    pub forward: f64,
    pub back: f64,
}

/// What came since the rates were last computed.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    connections: u64,
    forward: u64,
    back: u64,
}

/// An edge and its sums.
#[derive(Debug)]
pub(crate) struct GraphEdge {
    pub name: EdgeName,
    pub id: OnceLock<Arc<str>>,
    pub revision: u64,
    /// Place in the edge lists of its two nodes.
    pub slots: [u32; 2],
    /// Connections in the table that add to it, open or not.
    pub live: u32,
    pub open: u32,
    pub total: u64,
    pub failures: u64,
    pub forward: u64,
    pub back: u64,
    pub retransmits: u64,
    rtt_sum: u64,
    rtt_count: u32,
    ports: SmallVec<[(u16, u32); 2]>,
    pub first_seen_ms: u64,
    pub last_seen_ms: u64,
    /// When it goes, while it has no connection.
    pub idle_until_ms: u64,
    window: Window,
    rates: Rates,
    /// As last told: small changes are not worth a message.
    pub rates_told: Rates,
    /// In the list of edges whose rates move.
    pub moving: bool,
}

impl GraphEdge {
    pub(crate) fn new(name: EdgeName, slots: [u32; 2]) -> Self {
        Self {
            name,
            id: OnceLock::new(),
            revision: 0,
            slots,
            live: 0,
            open: 0,
            total: 0,
            failures: 0,
            forward: 0,
            back: 0,
            retransmits: 0,
            rtt_sum: 0,
            rtt_count: 0,
            ports: SmallVec::new(),
            first_seen_ms: u64::MAX,
            last_seen_ms: 0,
            idle_until_ms: 0,
            window: Window::default(),
            rates: Rates::default(),
            rates_told: Rates::default(),
            moving: false,
        }
    }

    pub(crate) fn add(&mut self, share: &Share) {
        self.live += 1;
        self.total += 1;
        self.open += u32::from(share.open);
        self.failures += u64::from(share.failed);
        self.forward = self.forward.saturating_add(share.forward);
        self.back = self.back.saturating_add(share.back);
        self.retransmits += u64::from(share.retransmits);
        self.add_rtt(share.rtt_us);
        if let Some((_, count)) = self.ports.iter_mut().find(|(port, _)| *port == share.port) {
            *count += 1;
        } else if self.ports.len() < PORTS_MAX {
            self.ports.push((share.port, 1));
        }
        self.first_seen_ms = self.first_seen_ms.min(share.first_seen_ms);
        self.last_seen_ms = self.last_seen_ms.max(share.last_seen_ms);
    }

    /// Takes a connection out as if it had never been here (it belongs to another edge).
    pub(crate) fn subtract(&mut self, share: &Share) {
        self.live = self.live.saturating_sub(1);
        self.total = self.total.saturating_sub(1);
        self.open = self.open.saturating_sub(u32::from(share.open));
        self.failures = self.failures.saturating_sub(u64::from(share.failed));
        self.forward = self.forward.saturating_sub(share.forward);
        self.back = self.back.saturating_sub(share.back);
        self.retransmits = self
            .retransmits
            .saturating_sub(u64::from(share.retransmits));
        self.drop_rtt(share.rtt_us);
        if let Some(at) = self.ports.iter().position(|(port, _)| *port == share.port) {
            self.ports[at].1 -= 1;
            if self.ports[at].1 == 0 {
                self.ports.swap_remove(at);
            }
        }
    }

    /// A connection leaves the table: the totals keep what it added.
    pub(crate) fn retire(&mut self, share: &Share) {
        self.live = self.live.saturating_sub(1);
        self.open = self.open.saturating_sub(u32::from(share.open));
        self.drop_rtt(share.rtt_us);
    }

    /// New figures of a connection that is here already; false when nothing shown changed.
    pub(crate) fn replace(&mut self, old: &Share, new: &Share) {
        self.open = self.open.saturating_sub(u32::from(old.open)) + u32::from(new.open);
        let swap =
            |sum: &mut u64, old: u64, new: u64| *sum = sum.saturating_sub(old).saturating_add(new);
        swap(&mut self.failures, old.failed.into(), new.failed.into());
        swap(&mut self.forward, old.forward, new.forward);
        swap(&mut self.back, old.back, new.back);
        swap(
            &mut self.retransmits,
            old.retransmits.into(),
            new.retransmits.into(),
        );
        self.drop_rtt(old.rtt_us);
        self.add_rtt(new.rtt_us);
        self.last_seen_ms = self.last_seen_ms.max(new.last_seen_ms);
    }

    fn add_rtt(&mut self, rtt_us: u32) {
        self.rtt_sum += u64::from(rtt_us);
        self.rtt_count += u32::from(rtt_us != 0);
    }

    fn drop_rtt(&mut self, rtt_us: u32) {
        self.rtt_sum = self.rtt_sum.saturating_sub(rtt_us.into());
        self.rtt_count = self.rtt_count.saturating_sub(u32::from(rtt_us != 0));
    }

    /// Mean over the connections in the table, 0 when none tells.
    pub(crate) fn rtt_us(&self) -> u32 {
        let mean = self.rtt_sum.checked_div(self.rtt_count.into()).unwrap_or(0);
        u32::try_from(mean).unwrap_or(u32::MAX)
    }

    pub(crate) fn ports(&self) -> Vec<u32> {
        let mut ports: Vec<u32> = self.ports.iter().map(|(port, _)| (*port).into()).collect();
        ports.sort_unstable();
        ports.truncate(PORTS_SHOWN);
        ports
    }

    /// Counts news towards the rates.
    pub(crate) fn count(&mut self, connections: u64, forward: u64, back: u64) {
        let window = &mut self.window;
        window.connections = window.connections.saturating_add(connections);
        window.forward = window.forward.saturating_add(forward);
        window.back = window.back.saturating_add(back);
    }

    /// Takes back what [`Self::count`] counted for a connection that turned out to be elsewhere.
    pub(crate) fn uncount(&mut self, connections: u64, forward: u64, back: u64) {
        let window = &mut self.window;
        window.connections = window.connections.saturating_sub(connections);
        window.forward = window.forward.saturating_sub(forward);
        window.back = window.back.saturating_sub(back);
    }

    /// Lets `seconds` pass. True when the rates have changed enough to tell.
    pub(crate) fn tick(&mut self, seconds: f64) -> bool {
        let keep = (-seconds / RATE_TAU_S).exp();
        let window = std::mem::take(&mut self.window);
        let step = |rate: &mut f64, count: u64| {
            #[expect(clippy::cast_precision_loss, reason = "a rate is an approximation")]
            let now = count as f64 / seconds;
            *rate = *rate * keep + now * (1.0 - keep);
            if *rate < 0.05 {
                *rate = 0.0;
            }
        };
        step(&mut self.rates.connections, window.connections);
        step(&mut self.rates.forward, window.forward);
        step(&mut self.rates.back, window.back);
        self.moving = self.rates != Rates::default();
        let told = self.rates_told;
        let differs = |old: f64, new: f64| {
            (new == 0.0) != (old == 0.0) || (new - old).abs() > 0.05 * old.max(new)
        };
        let tell = differs(told.connections, self.rates.connections)
            || differs(told.forward, self.rates.forward)
            || differs(told.back, self.rates.back);
        if tell {
            self.rates_told = self.rates;
        }
        tell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    fn edge() -> GraphEdge {
        let mut nodes: SlotMap<NodeKey, ()> = SlotMap::with_key();
        let node = nodes.insert(());
        let name = EdgeName {
            source: node,
            target: node,
            protocol: Protocol::Tcp,
            application: Symbol::EMPTY,
        };
        GraphEdge::new(name, [0, 0])
    }

    #[test]
    fn what_is_added_can_be_taken_back() {
        let mut edge = edge();
        let share = Share {
            forward: 5,
            back: 7,
            rtt_us: 100,
            port: 80,
            open: true,
            ..Share::default()
        };
        edge.add(&share);
        edge.add(&Share {
            rtt_us: 300,
            port: 443,
            ..share
        });
        assert_eq!(
            (edge.rtt_us(), edge.ports(), edge.open),
            (200, vec![80, 443], 2)
        );
        edge.subtract(&share);
        assert_eq!(
            (edge.rtt_us(), edge.ports(), edge.forward, edge.total),
            (300, vec![443], 5, 1)
        );
    }

    #[test]
    fn a_steady_rate_is_reached_and_fades() {
        let mut edge = edge();
        for _ in 0..30 {
            edge.count(2, 1_000, 0);
            edge.tick(1.0);
        }
        assert!(
            (edge.rates.forward - 1_000.0).abs() < 1.0,
            "{:?}",
            edge.rates
        );
        assert!((edge.rates.connections - 2.0).abs() < 0.01);
        for _ in 0..60 {
            edge.tick(1.0);
        }
        assert!(!edge.moving);
        assert_eq!(edge.rates_told, Rates::default());
    }
}
