//! Reaching the engine.

use std::path::Path;
use std::time::Duration;

use bollard::errors::Error as DockerError;
use bollard::models::SystemVersion;
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::time::timeout;

use crate::error::with_causes;

/// How long the engine may take over one answer. It answers nothing about a container that it is
/// starting, which takes seconds on a busy node.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The engine, once it has answered, and its version.
pub(super) async fn connect(socket: &Path) -> Result<(Docker, SystemVersion), String> {
    connect_for(socket, ANSWER_TIMEOUT).await
}

/// The same for requests that may take so long.
pub(super) async fn connect_for(
    socket: &Path,
    request_timeout: Duration,
) -> Result<(Docker, SystemVersion), String> {
    let path = socket.to_string_lossy();
    let explain = |error: DockerError| match error {
        DockerError::SocketNotFoundError(_) => format!(
            "{path} does not exist: the engine is not running, or its socket is elsewhere (--docker-socket)"
        ),
        other => format!("{path}: {}", with_causes(&other)),
    };
    let docker = Docker::connect_with_unix(&path, request_timeout.as_secs(), API_DEFAULT_VERSION)
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
