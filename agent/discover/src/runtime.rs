//! What every container runtime's watcher tells, and how it is going.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mesoscope_proto::v1::{Capability, Container};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

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
    pub(crate) task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counters of a watcher, totals since it began, for metrics.
#[derive(Debug, Default)]
pub struct WatchStats {
    pub(crate) connects: AtomicU64,
    pub(crate) disconnects: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) inspects: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) queue_depth: AtomicU64,
    pub(crate) overflows: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connected: bool,
    provider: String,
    reason: String,
}

impl WatchStats {
    /// Times that the runtime was reached.
    #[must_use]
    pub fn connects_total(&self) -> u64 {
        self.connects.load(Ordering::Relaxed)
    }

    /// Times that the runtime was lost.
    #[must_use]
    pub fn disconnects_total(&self) -> u64 {
        self.disconnects.load(Ordering::Relaxed)
    }

    /// Events that the runtime sent.
    #[must_use]
    pub fn events_total(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Containers that were asked for in full.
    #[must_use]
    pub fn inspects_total(&self) -> u64 {
        self.inspects.load(Ordering::Relaxed)
    }

    /// Questions that the runtime did not answer rightly.
    #[must_use]
    pub fn errors_total(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Containers that wait to be asked for.
    #[must_use]
    pub fn queue_depth(&self) -> u64 {
        self.queue_depth.load(Ordering::Relaxed)
    }

    /// Times that too many containers waited, so that the whole list was read again instead.
    #[must_use]
    pub fn overflows_total(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }

    /// Whether names are known, by which runtime, and if not, why.
    #[must_use]
    pub fn capability(&self, name: &str) -> Capability {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Capability {
            name: name.to_owned(),
            available: state.connected,
            provider: state.provider.clone(),
            reason: state.reason.clone(),
        }
    }

    pub(crate) fn set_connected(&self, provider: String) {
        self.connects.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State {
            connected: true,
            provider,
            reason: String::new(),
        };
    }

    pub(crate) fn set_disconnected(&self, reason: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.connected {
            self.disconnects.fetch_add(1, Ordering::Relaxed);
        }
        *state = State {
            connected: false,
            provider: String::new(),
            reason: reason.to_owned(),
        };
    }
}
