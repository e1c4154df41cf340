//! What a watcher tells its reader.

use std::sync::Arc;

use mesoscope_proto::v1::Container;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::stats::WatchStats;

/// What a runtime told of its containers.
#[derive(Clone, Debug, PartialEq)]
pub enum RuntimeEvent {
    /// The runtime answers; the whole list of its containers follows as `Upsert`s, then `Listed`.
    Connected {
        /// "docker", "containerd", "cri-o", ...
        runtime: String,
        /// The runtime's own version.
        version: String,
    },
    /// The whole list was told: any other container known of this runtime is gone.
    Listed {
        /// How many containers the list had.
        containers: usize,
    },
    /// The runtime does not answer; it is tried again by itself. What was known stays true as far
    /// as the kernel tells.
    Disconnected {
        /// Why, and what to do about it.
        reason: String,
    },
    /// A container as it is now: replaces all that was known of it.
    Upsert(Box<Container>),
    /// The runtime has forgotten the container.
    Removed {
        /// Full id.
        id: String,
    },
}

/// A running watcher. Dropping it ends the watcher.
#[derive(Debug)]
pub struct Watch {
    /// What the runtime tells, bounded: a slow reader holds the watcher back, and loses nothing but
    /// states in between.
    pub events: mpsc::Receiver<RuntimeEvent>,
    /// How it is going.
    pub stats: Arc<WatchStats>,
    pub(super) task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
