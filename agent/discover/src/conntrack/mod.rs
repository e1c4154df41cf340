//! Connection tracking: what address translation made of a connection, and UDP flows.
//!
//! * [`watch`]: a dump of the table, then its events; `watcher` holds the sockets.
//! * `NatFlow::parse`: one message of the kernel.
//!
//! The flows are those of one network namespace. Translation inside of containers' own namespaces
//! (sidecars that redirect) is not seen: the kernel can send the events of every namespace with an
//! id in our own to one socket (`NETLINK_LISTEN_ALL_NSID`), but it tells the id only in a control
//! message that netlink-sys does not hand out.

mod flow;
mod stats;
mod watcher;

pub use flow::{NatFlow, Tuple};
pub use stats::ConntrackStats;
pub use watcher::{ConntrackWatch, capability, watch};

use std::path::PathBuf;
use std::time::Duration;

/// What connection tracking told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConntrackEvent {
    /// A flow began, changed or ended, or is part of a dump.
    Flow(NatFlow),
    /// A dump follows: at the start, at the interval, or because events were lost.
    DumpBegins {
        /// Events were lost before it.
        after_loss: bool,
    },
    /// The dump is over.
    DumpEnds {
        /// Flows that it did not have are gone. Not so when it had to be cut short.
        complete: bool,
    },
}

/// Which TCP flows are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpFlows {
    /// Only those whose addresses were translated; the sockets tell all others better.
    Translated,
    /// All of them.
    All,
}

/// How to watch connection tracking.
#[derive(Clone, Debug)]
pub struct ConntrackConfig {
    /// Which TCP flows are told. UDP flows always are.
    pub tcp: TcpFlows,
    /// Whether changes of flows are told between their beginning and end, too: the kernel sends
    /// two or three for each TCP connection, which costs the node more than they tell.
    pub updates: bool,
    /// Events that wait for the reader at most.
    pub channel_capacity: usize,
    /// Flows told of one dump at most.
    pub dump_flows_max: usize,
    /// Pause between two dumps, for the bytes of live UDP flows; `None` for none.
    pub dump_interval: Option<Duration>,
    /// Link of the network namespace to watch (`/proc/PID/ns/net`); `None` for our own. An agent
    /// names the host's: [`Paths::host_network_namespace`](crate::paths::Paths::host_network_namespace).
    pub network_namespace: Option<PathBuf>,
}

impl Default for ConntrackConfig {
    fn default() -> Self {
        Self {
            tcp: TcpFlows::Translated,
            updates: false,
            channel_capacity: 8192,
            dump_flows_max: 65_536,
            dump_interval: Some(Duration::from_secs(30)),
            network_namespace: None,
        }
    }
}
