//! What is refused, and why.

/// An agent cannot be admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentRefused {
    /// The agent gave no id.
    #[error("the agent has no id: set `--agent-id` or give it an /etc/machine-id")]
    NoId,
    /// The agent's id is not one.
    #[error(
        "the agent's id must have 1 to 256 characters without spaces, ';' and '>': set `--agent-id`"
    )]
    BadId,
    /// The bound on agents is reached.
    #[error("{limit} agents are known already, the most that this aggregator admits")]
    Full {
        /// The bound.
        limit: usize,
    },
}

/// A change is malformed or beyond a bound; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// The agent is not (or no longer) known.
    #[error("the agent is not known")]
    UnknownAgent,
    /// A part without which the change means nothing is missing or malformed.
    #[error("{0} is missing or malformed")]
    Malformed(&'static str),
    /// A bound is reached.
    #[error("the bound on {0} is reached")]
    Full(&'static str),
}
