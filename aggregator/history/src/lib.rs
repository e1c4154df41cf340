//! What agents told in the last hour, compressed, within a bound of bytes: the map as it was.
//!
//! Values in, values out: no clock, no thread, no socket; time is an argument, in Unix milliseconds.
//!
//! # What is kept
//! Everything that changes what the map shows, but for figures, which the time series have. Each agent
//! has *segments*: a state (what is known of the agent at a moment) and what it told after that. Within one
//! step of [`RESOLUTION_MS`], only the last news of a thing are kept. Times in records are kept to the
//! millisecond.
//!
//! # How
//! While agents wait, a change is only encoded, into an [`Inbox`]. Later [`History::take`] folds the
//! news of a thing in a step into one, turns news of counters into differences and times into offsets, and
//! [`History::sweep`] compresses blocks of 8 KiB with the segment's state as dictionary: a new process
//! is much like those that are there. A new segment begins when what follows a state is four times as
//! long as the state, or after a quarter of the window.
//!
//! # Reading
//! [`History::at`] gathers the pieces that a moment needs (they are shared, so this is quick), and
//! [`Past::recall`] makes the map of them: the state of each agent 20 s before is folded, then a fresh
//! topology is told the things of it, each at its own time, and then what was told in these 20 s, with
//! time passing in steps of a second. So there is one model, one renderer, and rates as they were.
//!
//! # What a moment has not
//! The totals of an edge count the connections that were open at the moment or had closed within 15 s
//! before it: what closed earlier is forgotten. An end that closed earlier than that while the other
//! host said that it was open is forgotten, too.
//!
//! # The bound
//! [`Limits::bytes_max`] counts what is compressed, what waits for it, tables and lists. When it is
//! reached, the oldest segment of all goes, and the window gets shorter: [`Reach`] says by how much. If
//! each agent has only one state left and that is still too much, the agents with the longest are left
//! out, and the map of a moment says so.
//!
//! | file | what it does |
//! |---|---|
//! | `inbox.rs` | what was just told |
//! | `history.rs` | all agents, the bound, the reach |
//! | `log.rs` | one agent: steps, blocks, segments |
//! | `state.rs` | what is known of an agent at a moment |
//! | `past.rs` | from pieces to a topology |
//! | `code/` | entries, small and compressed |

mod code;
mod history;
mod inbox;
mod log;
mod past;
mod state;

pub use history::{History, Limits, OutOfReach, Reach};
pub use inbox::{Inbox, Taken};
pub use past::{Moment, Past};
pub use state::Keeps;

/// Moments lie so far apart.
pub const RESOLUTION_MS: u64 = 2_000;
