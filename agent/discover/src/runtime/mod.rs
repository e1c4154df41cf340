//! What all container runtimes have in common.
//!
//! * [`RuntimeEvent`], [`Watch`]: what a watcher tells its reader.
//! * [`WatchStats`]: how it is going.
//! * `reconnect`: holds the connection to a runtime and finds it again, with the pauses of `backoff`.
//! * `fields`: what the answers of all runtimes say in the same way, bounded.

mod backoff;
pub(crate) mod fields;
pub(crate) mod reconnect;
mod stats;
mod watch;

pub use stats::WatchStats;
pub use watch::{RuntimeEvent, Watch};
