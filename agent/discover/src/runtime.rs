//! What every container runtime's watcher tells, and how it is going.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mesoscope_proto::v1::{Capability, Container, KeyValue};
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

/// Entries of any list of a container (labels, variables, mounts, ...) at most.
pub(crate) const LIST_MAX: usize = 512;
/// Bytes of any text of a container at most.
const TEXT_BYTES_MAX: usize = 4096;

/// Cuts a text that came from outside at the bound, between two characters.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let mut end = TEXT_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

/// Name and namespace of the Kubernetes pod that the kubelet's labels name.
pub(crate) fn pod_of(labels: &[KeyValue]) -> (String, String) {
    let value = |key: &str| {
        let label = labels.iter().find(|label| label.key == key);
        label.map(|label| label.value.clone()).unwrap_or_default()
    };
    (
        value("io.kubernetes.pod.name"),
        value("io.kubernetes.pod.namespace"),
    )
}

/// Pauses between attempts, doubling up to a bound, with jitter so that the agents of a cluster do
/// not all knock at the same time.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// Between half of the present pause and all of it; the next one is twice as long.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for pause_ms in [100, 200, 350, 350] {
            let pause = backoff.next_pause();
            assert!(pause <= Duration::from_millis(pause_ms), "{pause:?}");
            assert!(pause >= Duration::from_millis(pause_ms / 2), "{pause:?}");
        }
        backoff.reset();
        assert!(backoff.next_pause() <= Duration::from_millis(100));
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let text = "é".repeat(TEXT_BYTES_MAX);
        assert_eq!(cut(text).len(), TEXT_BYTES_MAX);
        let text = format!("a{}", "é".repeat(TEXT_BYTES_MAX));
        assert_eq!(cut(text).len(), TEXT_BYTES_MAX - 1);
        assert_eq!(cut("short".to_owned()), "short");
    }
}
