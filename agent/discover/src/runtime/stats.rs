//! How a watcher is going.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use mesoscope_proto::v1::Capability;

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
