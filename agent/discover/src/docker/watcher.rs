//! Holds the connection to the engine, and finds it again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error as DockerError;
use bollard::models::SystemVersion;
use bollard::{API_DEFAULT_VERSION, Docker};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::DockerConfig;
use super::session::{ANSWER_TIMEOUT, Ended, Session};
use crate::runtime::{Backoff, RuntimeEvent, WatchStats};

/// Runs until the reader is gone.
pub(super) async fn run(
    config: DockerConfig,
    sender: mpsc::Sender<RuntimeEvent>,
    stats: Arc<WatchStats>,
) {
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));
    // Containers told in an earlier session: the next list says which are gone by then.
    let mut known = FxHashMap::default();
    let mut told_reason = String::new();
    loop {
        let connected = connect(&config.socket).await;
        let reason = match connected {
            Ok((docker, version)) => {
                backoff.reset();
                told_reason.clear();
                let mut session = Session::new(&config, docker, &version, &sender, &stats, known);
                let ended = session.run(&version).await;
                known = session.into_known();
                match ended {
                    Ended::ReaderGone => return,
                    Ended::EngineLost(reason) => reason,
                }
            }
            Err(reason) => reason,
        };
        stats.set_disconnected(&reason);
        // The same reason again at every attempt is no news.
        if reason != told_reason {
            tracing::info!(%reason, "the Docker engine does not answer");
            let event = RuntimeEvent::Disconnected {
                reason: reason.clone(),
            };
            if sender.send(event).await.is_err() {
                return;
            }
            told_reason = reason;
        }
        tokio::select! {
            () = sleep(backoff.next_pause()) => {}
            () = sender.closed() => return,
        }
    }
}

async fn connect(socket: &Path) -> Result<(Docker, SystemVersion), String> {
    let path = socket.to_string_lossy();
    let explain = |error: DockerError| match error {
        DockerError::SocketNotFoundError(_) => format!(
            "{path} does not exist: the engine is not running, or its socket is elsewhere (--docker-socket)"
        ),
        other => format!("{path}: {}", chain(&other)),
    };
    let docker = Docker::connect_with_unix(&path, ANSWER_TIMEOUT.as_secs(), API_DEFAULT_VERSION)
        .map_err(explain)?;
    let attempt = async {
        let docker = docker.negotiate_version().await?;
        let version = docker.version().await?;
        Ok((docker, version))
    };
    timeout(ANSWER_TIMEOUT, attempt)
        .await
        .map_err(|_| format!("{path}: the engine did not answer in time"))?
        .map_err(explain)
}

/// An error with its causes: the library's own text hides "permission denied".
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
