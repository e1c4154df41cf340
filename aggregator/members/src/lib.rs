//! Several aggregators share the agents: which of them are there, and which one looks after an agent.
//! Values in, values out: no clock, no socket.
//!
//! | file | what it does |
//! |---|---|
//! | `rank.rs` | the order of the members for an agent: rendezvous hashing |
//! | `presence.rs` | who is there, as one member sees it, and who owns an agent because of that |

mod presence;
mod rank;

pub use presence::{Missing, Patience, Presence};
pub use rank::rank;
