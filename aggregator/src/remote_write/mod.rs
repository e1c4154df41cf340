//! Values of hosts and containers, written to a Prometheus (or what speaks its remote-write 1.0) for a
//! longer history than the aggregator's own.
//!
//! | file | what it does |
//! |---|---|
//! | `args.rs` | its part of the configuration |
//! | `figures.rs` | the nodes of views as series (no I/O) |
//! | `wire.rs` | series as the body of a request (no I/O) |
//! | `queue.rs` | bodies that wait: order, retries, bounds (no I/O) |
//! | `stats.rs` | how it does |
//! | `run.rs` | takes the values, and makes the requests |

mod args;
mod figures;
mod queue;
mod run;
mod stats;
mod wire;

pub use args::{RemoteWriteArgs, RemoteWriteError};
pub use queue::Counts;
pub use run::{RemoteWrite, Wanted};
pub use stats::Stats;
