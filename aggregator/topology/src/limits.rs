//! What the topology may hold.

/// Bounds of the topology. Each has a [`crate::Fill`] in [`crate::Stats`], and what a bound leaves
/// out is named in the list of what is incomplete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Agents known at once, connected or not.
    pub agents: usize,
    /// Processes of all agents, running or ended.
    pub processes: usize,
    /// Processes that have ended and are still shown; the oldest go first.
    pub ended_processes: usize,
    /// Containers of all agents.
    pub containers: usize,
    /// Local ends of connections, open or just closed.
    pub connections: usize,
    /// Closed ends kept for a late other end; the oldest go first.
    pub closed_connections: usize,
    /// Listening sockets, open or just closed.
    pub listeners: usize,
    /// Closed listening sockets kept for the connections of their time; the oldest go first.
    pub closed_listeners: usize,
    /// Names of addresses; the oldest go first.
    pub names: usize,
    /// Edges per view.
    pub edges: usize,
    /// Pseudo nodes for single addresses and services, per view; further ones are merged into one.
    pub pseudo_nodes: usize,
    /// Gaps kept per agent.
    pub gaps: usize,
    /// Events held back for the other end of their connection; the oldest are let go first.
    pub held_events: usize,
    /// Nodes that a plugin says something of, each counted once for each plugin.
    pub plugin_facts: usize,
    /// What plugins say, as messages.
    pub plugin_bytes: usize,
    /// How long an ended process or container, or an edge without connections, is shown.
    pub ended_keep_ms: u64,
    /// How long the end of a short connection waits for the other end before its event goes out.
    pub join_hold_ms: u64,
    /// An agent silent for so long is stale: the health of what it saw is unknown.
    pub stale_after_ms: u64,
    /// An agent silent for so long is forgotten with all that it saw.
    pub forget_after_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            agents: 10_000,
            processes: 1_000_000,
            ended_processes: 50_000,
            containers: 200_000,
            connections: 1_000_000,
            closed_connections: 100_000,
            listeners: 300_000,
            closed_listeners: 30_000,
            names: 50_000,
            edges: 500_000,
            pseudo_nodes: 2_000,
            gaps: 256,
            held_events: 50_000,
            plugin_facts: 100_000,
            plugin_bytes: 256 << 20,
            ended_keep_ms: 15_000,
            join_hold_ms: 300,
            stale_after_ms: 5 * 60 * 1_000,
            forget_after_ms: 60 * 60 * 1_000,
        }
    }
}
