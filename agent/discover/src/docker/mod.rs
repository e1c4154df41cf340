//! Containers of the Docker engine, as they change.
//!
//! * `watcher`: how the engine is reached and followed; `connection`: reaching it; `session`: one
//!   connection, its events and our questions.
//! * `pending`: what is still to be asked, bounded.
//! * `convert`: from the engine's answers to our messages.
//! * `control`: what people do to containers; `logs`: their logs; `terminal`: commands in them; `raw`,
//!   `frames`: how the engine streams both.

mod connection;
mod control;
mod convert;
mod frames;
mod logs;
mod pending;
pub(crate) mod raw;
mod session;
mod terminal;
mod watcher;

use std::path::PathBuf;
use std::time::Duration;

use crate::runtime::{Watch, reconnect};

pub use crate::control::ControlError;

pub use control::DockerControl;
pub(crate) use control::of_status;
pub use logs::{LogStream, LogsAsked};
pub use terminal::{Terminal, TerminalAsked, TerminalInput, TerminalOutput, TerminalProcess};

/// How to watch the Docker engine.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// The engine's socket, also Podman's (`/run/podman/podman.sock`).
    pub socket: PathBuf,
    /// Events that wait for the reader at most.
    pub channel_capacity: usize,
    /// Pause between two lists that make good what the engine's event stream may have dropped.
    pub relist_interval: Duration,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/var/run/docker.sock"),
            channel_capacity: 1024,
            relist_interval: Duration::from_secs(300),
        }
    }
}

/// Watches the engine until the result is dropped: first every container, then each change. A
/// missing engine, or one that restarts, is waited for.
///
/// # Panics
/// Outside of a tokio runtime.
#[must_use]
pub fn watch(config: DockerConfig) -> Watch {
    let channel_capacity = config.channel_capacity;
    reconnect::watch(watcher::Engine::new(config), channel_capacity)
}
