//! How full the topology is and what it has done.

use crate::{Topology, ViewKind, symbols::Symbols};

/// Fill of one bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Name of the bound, as a metric label ("processes", "connections", ...).
    pub name: &'static str,
    /// Entries held.
    pub used: usize,
    /// Entries allowed.
    pub limit: usize,
}

/// A total since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Name, as a metric label ("changes", "refused", ...).
    pub name: &'static str,
    /// The total.
    pub total: u64,
}

/// Figures for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Fill of every bound.
    pub fills: Vec<Fill>,
    /// Totals.
    pub counters: Vec<Counter>,
}

impl Topology {
    /// Fill of every bound and totals, for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let limits = &self.limits;
        let fill = |name, used, limit| Fill { name, used, limit };
        let gaps = self
            .agents
            .values()
            .map(|agent| agent.gaps.len())
            .max()
            .unwrap_or(0);
        let mut fills = vec![
            fill("agents", self.agents.len(), limits.agents),
            fill("processes", self.processes.len(), limits.processes),
            fill(
                "ended_processes",
                self.ended_processes.len(),
                limits.ended_processes,
            ),
            fill("containers", self.containers.len(), limits.containers),
            fill("connections", self.ends.len(), limits.connections),
            fill(
                "closed_connections",
                self.closed_ends.len(),
                limits.closed_connections,
            ),
            fill("listeners", self.listeners.len(), limits.listeners),
            fill(
                "closed_listeners",
                self.closed_listeners.len(),
                limits.closed_listeners,
            ),
            fill("names", self.names.len(), limits.names),
            fill("gaps_of_one_agent", gaps, limits.gaps),
            fill("held_events", self.held_events.len(), limits.held_events),
            fill("plugin_facts", self.plugins.fill().0, limits.plugin_facts),
            fill("plugin_bytes", self.plugins.fill().1, limits.plugin_bytes),
            fill("applications", self.symbols.len(), Symbols::LIMIT),
        ];
        let mut refused = 0;
        for kind in ViewKind::PLAIN {
            let graph = self.graph(kind);
            let names = match kind {
                ViewKind::Processes => ["process_edges", "process_pseudo_nodes", "process_journal"],
                ViewKind::Containers => [
                    "container_edges",
                    "container_pseudo_nodes",
                    "container_journal",
                ],
                _ => ["host_edges", "host_pseudo_nodes", "host_journal"],
            };
            fills.push(fill(names[0], graph.edges.len(), limits.edges));
            fills.push(fill(names[1], graph.pseudo_nodes(), limits.pseudo_nodes));
            fills.push(fill(names[2], graph.journal.len(), graph.journal_limit()));
            refused += graph.refused;
        }
        let totals = &self.totals;
        let counter = |name, total| Counter { name, total };
        Stats {
            fills,
            counters: vec![
                counter("changes", totals.changes),
                counter("changes_refused", totals.refused),
                counter("ends_joined", totals.joined),
                counter("ended_processes_evicted", totals.ended_processes_evicted),
                counter(
                    "closed_connections_evicted",
                    totals.closed_connections_evicted,
                ),
                counter("closed_listeners_evicted", totals.closed_listeners_evicted),
                counter("held_events_cut_short", totals.held_events_cut_short),
                counter("names_evicted", self.names.evicted),
                counter("edges_refused", refused),
            ],
        }
    }
}
