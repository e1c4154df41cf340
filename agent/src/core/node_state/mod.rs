//! What this node is like, from everything that tells of it.
//!
//! Kernel events, socket snapshots, `/proc`, container runtimes and conntrack go in, in any order
//! that their delays bring about; [`Change`](mesoscope_proto::v1::Change)s come out. Nothing here
//! reads a clock or a file.
//!
//! | module | holds |
//! |---|---|
//! | [`state`] | the state as a whole, its bounds, flush and snapshot |
//! | `event` | which part a kernel event belongs to |
//! | `process` | one process |
//! | `processes` | processes by key, with tombstones |
//! | `connection` | one local end of a connection |
//! | `connections` | local ends of connections by socket cookie, with tombstones |
//! | `ending` | what the records of a TCP socket's end make of a connection |
//! | `listeners` | sockets that wait for others, found by namespace and port |
//! | `sockets` | what a pass over all sockets adds, corrects and closes |
//! | `owner` | whose a connection is, and who began it |
//! | `containers` | containers by the cgroup alone, named later |
//! | `ooms` | processes killed for want of memory, and what that says of their containers |
//! | `nat` | conntrack flows joined to connections |
//! | `flows` | UDP flows that no connected socket shows |
//! | `plugins` | what plugins see, and what they said |
//! | `pending` | what changed since the last flush |

mod connection;
mod connections;
mod containers;
mod ending;
mod event;
mod flows;
mod listeners;
mod nat;
mod ooms;
mod owner;
mod pending;
mod plugins;
mod process;
mod processes;
mod sockets;
pub mod state;

pub use containers::{CgroupContainer, CgroupContainers};
pub use nat::{Flow, FlowEnds};
pub use owner::UNOWNED_MAX;
pub use processes::DETAILS_WAITING_MAX;
pub use sockets::SocketsFound;
pub use state::{Limits, NodeState, Sizes};

#[cfg(test)]
pub(crate) mod tests;
