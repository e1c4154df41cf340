//! Containers of containerd and CRI-O, by the Container Runtime Interface (v1).
//!
//! * `watcher`: how the runtime is reached and followed; `connection`: reaching it; `session`: one
//!   connection, its lists, events and our questions.
//! * `convert`: from the runtime's answers to our messages.
//! * `control`: what people do to containers; `logs`: their logs; `terminal`: commands in them.
//!
//! The interface tells no names but those of Kubernetes: a container made past it (`ctr`, nerdctl)
//! is known by its cgroup only.

mod connection;
mod control;
mod convert;
mod logs;
mod session;
mod terminal;
#[cfg(test)]
mod tests;
mod watcher;

use std::path::PathBuf;
use std::time::Duration;

use crate::runtime::{Watch, reconnect};

pub use control::CriControl;
pub use logs::CriLog;
pub use terminal::{CriInput, CriOutput, CriProcess, CriTerminal};

/// Generated from `proto/runtime/v1/cri.proto`.
#[allow(dead_code, missing_docs, clippy::all, clippy::pedantic)]
mod api {
    tonic::include_proto!("runtime.v1");
}

/// How to watch a runtime by the CRI.
#[derive(Clone, Debug)]
pub struct CriConfig {
    /// The runtime's socket; `None` tries the usual ones of containerd, k3s, CRI-O and cri-dockerd.
    pub socket: Option<PathBuf>,
    /// Events that wait for the reader at most.
    pub channel_capacity: usize,
    /// Pause between two lists where the runtime sends no events.
    pub poll_interval: Duration,
    /// Pause between two lists where it does.
    pub relist_interval: Duration,
}

impl Default for CriConfig {
    fn default() -> Self {
        Self {
            socket: None,
            channel_capacity: 1024,
            poll_interval: Duration::from_secs(5),
            relist_interval: Duration::from_secs(300),
        }
    }
}

/// Watches the runtime until the result is dropped: first every container and pod sandbox, then
/// each change. A missing runtime, or one that restarts, is waited for.
///
/// # Panics
/// Outside of a tokio runtime.
#[must_use]
pub fn watch(config: CriConfig) -> Watch {
    let channel_capacity = config.channel_capacity;
    reconnect::watch(watcher::CriRuntime::new(config), channel_capacity)
}
