//! The agents' streams.
//!
//! | file | what it does |
//! |---|---|
//! | `progress.rs` | what to do with a batch: apply, ignore, ask for a snapshot (no I/O) |
//! | `registry.rs` | one stream per agent; hands the changes to the topology |
//! | `uplink.rs` | the gRPC service |

mod progress;
mod registry;
mod uplink;

pub use registry::Registry;
pub use uplink::{MESSAGE_BYTES_MAX, UplinkService};
