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

/// Ports listed per edge in the API.
pub(crate) const PORTS_SHOWN: usize = 8;
/// Ports told apart per edge; further ones are summed up as [`OTHER_PORTS`].
const PORTS_MAX: usize = 64;
const OTHER_PORTS: u32 = 1 << 16;

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

/// What connections add up to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sums {
    pub open: u32,
    pub total: u64,
    pub failures: u64,
    pub forward: u64,
    pub back: u64,
    pub retransmits: u64,
    rtt_sum: u64,
    rtt_count: u32,
    pub first_seen_ms: u64,
    pub last_seen_ms: u64,
    /// As last told: small changes are not worth a message.
    pub rates: Rates,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            open: 0,
            total: 0,
            failures: 0,
            forward: 0,
            back: 0,
            retransmits: 0,
            rtt_sum: 0,
            rtt_count: 0,
            first_seen_ms: u64::MAX,
            last_seen_ms: 0,
            rates: Rates::default(),
        }
    }
}

impl Sums {
    /// Takes in the sums of others.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.open += other.open;
        self.total += other.total;
        self.failures += other.failures;
        self.forward = self.forward.saturating_add(other.forward);
        self.back = self.back.saturating_add(other.back);
        self.retransmits += other.retransmits;
        self.rtt_sum += other.rtt_sum;
        self.rtt_count += other.rtt_count;
        self.first_seen_ms = self.first_seen_ms.min(other.first_seen_ms);
        self.last_seen_ms = self.last_seen_ms.max(other.last_seen_ms);
        self.rates.connections += other.rates.connections;
        self.rates.forward += other.rates.forward;
        self.rates.back += other.rates.back;
    }

    fn add(&mut self, share: &Share) {
        self.total += 1;
        self.open += u32::from(share.open);
        self.failures += u64::from(share.failed);
        self.forward = self.forward.saturating_add(share.forward);
        self.back = self.back.saturating_add(share.back);
        self.retransmits += u64::from(share.retransmits);
        self.rtt_sum += u64::from(share.rtt_us);
        self.rtt_count += u32::from(share.rtt_us != 0);
        self.first_seen_ms = self.first_seen_ms.min(share.first_seen_ms);
        self.last_seen_ms = self.last_seen_ms.max(share.last_seen_ms);
    }

    fn subtract(&mut self, share: &Share) {
        self.total = self.total.saturating_sub(1);
        self.failures = self.failures.saturating_sub(u64::from(share.failed));
        self.forward = self.forward.saturating_sub(share.forward);
        self.back = self.back.saturating_sub(share.back);
        self.retransmits = self
            .retransmits
            .saturating_sub(u64::from(share.retransmits));
        self.retire(share);
    }

    fn retire(&mut self, share: &Share) {
        self.open = self.open.saturating_sub(u32::from(share.open));
        self.rtt_sum = self.rtt_sum.saturating_sub(share.rtt_us.into());
        self.rtt_count = self.rtt_count.saturating_sub(u32::from(share.rtt_us != 0));
    }

    /// Mean over the connections in the table, 0 when none tells.
    pub(crate) fn rtt_us(&self) -> u32 {
        let mean = self.rtt_sum.checked_div(self.rtt_count.into()).unwrap_or(0);
        u32::try_from(mean).unwrap_or(u32::MAX)
    }
}

/// What the connections to one port add up to.
#[derive(Clone, Debug, Default)]
struct PortSums {
    port: u32,
    sums: Sums,
    window: Window,
    rates: Rates,
}

/// What of an edge is no figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    open: bool,
    ports: usize,
    /// Of all ports.
    digest: u32,
    first_seen_ms: u64,
}

/// An edge and its sums, for each port at the target.
#[derive(Debug)]
pub(crate) struct GraphEdge {
    pub name: EdgeName,
    pub id: OnceLock<Arc<str>>,
    pub revision: u64,
    /// Revision in the journal of figures.
    pub figures: u64,
    /// Place in the edge lists of its two nodes.
    pub slots: [u32; 2],
    /// Connections in the table that add to it, open or not.
    pub live: u32,
    ports: SmallVec<[PortSums; 1]>,
    /// When it goes, while it has no connection.
    pub idle_until_ms: u64,
    /// In the list of edges whose rates move.
    pub moving: bool,
}

impl GraphEdge {
    pub(crate) fn new(name: EdgeName, slots: [u32; 2]) -> Self {
        Self {
            name,
            id: OnceLock::new(),
            revision: 0,
            figures: 0,
            slots,
            live: 0,
            ports: SmallVec::new(),
            idle_until_ms: 0,
            moving: false,
        }
    }

    pub(crate) fn look(&self) -> Look {
        Look {
            open: self.ports.iter().any(|port| port.sums.open > 0),
            ports: self.ports.len(),
            digest: self.ports.iter().fold(0, |digest, port| {
                digest ^ port.port.wrapping_mul(0x9e37_79b9)
            }),
            first_seen_ms: self
                .ports
                .iter()
                .map(|port| port.sums.first_seen_ms)
                .min()
                .unwrap_or(u64::MAX),
        }
    }

    /// The sums over all ports.
    pub(crate) fn sums(&self) -> Sums {
        let mut all = Sums::default();
        for port in &self.ports {
            all.merge(&port.sums);
        }
        all
    }

    /// The sums of each port; `None` stands for all that are not told apart.
    pub(crate) fn by_port(&self) -> impl Iterator<Item = (Option<u16>, &Sums)> {
        self.ports
            .iter()
            .map(|entry| (u16::try_from(entry.port).ok(), &entry.sums))
    }

    pub(crate) fn total(&self) -> u64 {
        self.ports.iter().map(|port| port.sums.total).sum()
    }

    pub(crate) fn last_seen_ms(&self) -> u64 {
        let seen = self.ports.iter().map(|port| port.sums.last_seen_ms);
        seen.max().unwrap_or(0)
    }

    fn find(&self, port: u16) -> Option<usize> {
        let at = |port: u32| self.ports.iter().position(|entry| entry.port == port);
        at(port.into()).or_else(|| at(OTHER_PORTS))
    }

    fn entry(&mut self, port: u16) -> &mut PortSums {
        let at = self.find(port).unwrap_or_else(|| {
            let full = self.ports.len() >= PORTS_MAX;
            self.ports.push(PortSums {
                port: if full { OTHER_PORTS } else { port.into() },
                ..PortSums::default()
            });
            self.ports.len() - 1
        });
        &mut self.ports[at]
    }

    pub(crate) fn add(&mut self, share: &Share) {
        self.live += 1;
        self.entry(share.port).sums.add(share);
    }

    /// Takes a connection out as if it had never been here (it belongs to another edge).
    pub(crate) fn subtract(&mut self, share: &Share) {
        self.live = self.live.saturating_sub(1);
        self.take(share);
    }

    fn take(&mut self, share: &Share) {
        if let Some(at) = self.find(share.port) {
            self.ports[at].sums.subtract(share);
        }
        // While some ports are not told apart, the list stays as it is: who was counted where is
        // known by it.
        let other = |entry: &PortSums| entry.port == OTHER_PORTS && entry.sums.total > 0;
        if !self.ports.iter().any(other) {
            self.ports.retain(|entry| entry.sums.total > 0);
        }
    }

    /// A connection leaves the table: the totals keep what it added.
    pub(crate) fn retire(&mut self, share: &Share) {
        self.live = self.live.saturating_sub(1);
        if let Some(at) = self.find(share.port) {
            self.ports[at].sums.retire(share);
        }
    }

    /// New figures of a connection that is here already.
    pub(crate) fn replace(&mut self, old: &Share, new: &Share) {
        let first_seen_ms = self.entry(old.port).sums.first_seen_ms;
        self.entry(new.port).sums.add(new);
        self.take(old);
        if old.port == new.port {
            self.entry(new.port).sums.first_seen_ms = first_seen_ms;
        }
    }

    pub(crate) fn ports(&self) -> Vec<u32> {
        let mut ports: Vec<u32> = self.ports.iter().map(|entry| entry.port).collect();
        ports.retain(|port| *port != OTHER_PORTS);
        ports.sort_unstable();
        ports.truncate(PORTS_SHOWN);
        ports
    }

    /// Counts news of a port towards the rates.
    pub(crate) fn count(&mut self, port: u16, connections: u64, forward: u64, back: u64) {
        let window = &mut self.entry(port).window;
        window.connections = window.connections.saturating_add(connections);
        window.forward = window.forward.saturating_add(forward);
        window.back = window.back.saturating_add(back);
    }

    /// Takes back what [`Self::count`] counted for a connection that turned out to be elsewhere.
    pub(crate) fn uncount(&mut self, port: u16, connections: u64, forward: u64, back: u64) {
        let Some(at) = self.find(port) else {
            return;
        };
        let window = &mut self.ports[at].window;
        window.connections = window.connections.saturating_sub(connections);
        window.forward = window.forward.saturating_sub(forward);
        window.back = window.back.saturating_sub(back);
    }

    /// Lets `seconds` pass. True when the rates have changed enough to tell.
    pub(crate) fn tick(&mut self, seconds: f64) -> bool {
        let keep = (-seconds / RATE_TAU_S).exp();
        let mut tell = false;
        self.moving = false;
        for port in &mut self.ports {
            tell |= port.tick(seconds, keep);
            self.moving |= port.rates != Rates::default();
        }
        tell
    }
}

impl PortSums {
    fn tick(&mut self, seconds: f64, keep: f64) -> bool {
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
        let told = self.sums.rates;
        let differs = |old: f64, new: f64| {
            (new == 0.0) != (old == 0.0) || (new - old).abs() > 0.05 * old.max(new)
        };
        let tell = differs(told.connections, self.rates.connections)
            || differs(told.forward, self.rates.forward)
            || differs(told.back, self.rates.back);
        if tell {
            self.sums.rates = self.rates;
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
            (edge.sums().rtt_us(), edge.ports(), edge.sums().open),
            (200, vec![80, 443], 2)
        );
        edge.subtract(&share);
        assert_eq!(
            (
                edge.sums().rtt_us(),
                edge.ports(),
                edge.sums().forward,
                edge.total()
            ),
            (300, vec![443], 5, 1)
        );
    }

    #[test]
    fn a_steady_rate_is_reached_and_fades() {
        let mut edge = edge();
        for _ in 0..30 {
            edge.count(80, 2, 1_000, 0);
            edge.tick(1.0);
        }
        let rates = edge.ports[0].rates;
        assert!((rates.forward - 1_000.0).abs() < 1.0, "{rates:?}");
        assert!((rates.connections - 2.0).abs() < 0.01);
        for _ in 0..60 {
            edge.tick(1.0);
        }
        assert!(!edge.moving);
        assert_eq!(edge.sums().rates, Rates::default());
    }

    #[test]
    fn ports_beyond_the_bound_are_one_and_add_up() {
        let mut edge = edge();
        let shares: Vec<_> = (1..=100)
            .map(|port| Share {
                port,
                forward: 1,
                ..Share::default()
            })
            .collect();
        for share in &shares {
            edge.add(share);
        }
        assert_eq!(edge.by_port().count(), PORTS_MAX + 1);
        assert_eq!(edge.by_port().filter(|(port, _)| port.is_none()).count(), 1);
        for share in &shares[..99] {
            edge.subtract(share);
        }
        assert_eq!((edge.total(), edge.sums().forward), (1, 1));
        edge.subtract(&shares[99]);
        assert_eq!(edge.by_port().count(), 0);
    }
}
