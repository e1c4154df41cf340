//! How full the topology is and what it has done.

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
    /// Name, as a metric label ("changes", "refused", "joined", ...).
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
