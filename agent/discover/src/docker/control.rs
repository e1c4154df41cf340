//! What people do to containers: start, stop, and so on, and everything the engine knows of one.

use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as DockerError;
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptions, RemoveContainerOptions, RestartContainerOptions,
    StartContainerOptions, StopContainerOptions,
};
use mesoscope_proto::v1::ContainerVerb;

use super::connection::connect_for;
use super::logs::{LogStream, LogsAsked};
use super::raw::Engine;
use super::terminal::{Terminal, TerminalAsked};
use crate::control::ControlError;
use crate::error::with_causes;
use crate::files::{Archive, Files, LiveRoot, Slot};

/// How long the engine may take. To stop a container it waits for the container's own stop timeout.
const ACT_TIMEOUT: Duration = Duration::from_secs(110);
/// An inspection longer than this is of a container that was made to be a burden.
const INSPECTION_BYTES_MAX: usize = 1 << 20;

/// Acts on the containers of a Docker engine. Each request asks the engine anew: there may be another
/// one behind the socket since the last.
#[derive(Clone, Debug)]
pub struct DockerControl {
    pub(super) socket: PathBuf,
}

impl DockerControl {
    /// Acts through this socket.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Does it, and returns once it is done. What is so already is done. `force` removes also what
    /// still runs.
    ///
    /// # Errors
    /// [`ControlError`], in the engine's words where it has any.
    pub async fn act(
        &self,
        id: &str,
        verb: ContainerVerb,
        force: bool,
    ) -> Result<(), ControlError> {
        check_id(id)?;
        let docker = self.docker().await?;
        let done = match verb {
            ContainerVerb::Start => {
                docker
                    .start_container(id, None::<StartContainerOptions>)
                    .await
            }
            ContainerVerb::Stop => {
                docker
                    .stop_container(id, None::<StopContainerOptions>)
                    .await
            }
            ContainerVerb::Restart => {
                docker
                    .restart_container(id, None::<RestartContainerOptions>)
                    .await
            }
            ContainerVerb::Pause => docker.pause_container(id).await,
            ContainerVerb::Unpause => docker.unpause_container(id).await,
            ContainerVerb::Kill => {
                docker
                    .kill_container(id, None::<KillContainerOptions>)
                    .await
            }
            ContainerVerb::Remove => {
                let options = RemoveContainerOptions {
                    force,
                    ..RemoveContainerOptions::default()
                };
                docker.remove_container(id, Some(options)).await
            }
            ContainerVerb::Unspecified => {
                return Err(ControlError::Failed(
                    "this agent does not know what is asked for; it may be older than the aggregator".to_owned(),
                ));
            }
        };
        done.map_err(|error| explain(id, &error))
    }

    /// All that the engine knows of a container, as its JSON. Environment variables are in it.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn inspect(&self, id: &str) -> Result<String, ControlError> {
        check_id(id)?;
        let docker = self.docker().await?;
        let inspected = docker
            .inspect_container(id, None::<InspectContainerOptions>)
            .await;
        let inspected = inspected.map_err(|error| explain(id, &error))?;
        let json = serde_json::to_string(&inspected)
            .map_err(|error| ControlError::Failed(error.to_string()))?;
        if json.len() > INSPECTION_BYTES_MAX {
            let bytes = json.len();
            return Err(ControlError::Failed(format!(
                "what the engine knows of it has {bytes} bytes, more than {INSPECTION_BYTES_MAX}"
            )));
        }
        Ok(json)
    }

    /// The log of a container.
    ///
    /// # Errors
    /// [`ControlError`]; also when the container's log driver keeps nothing to read.
    pub async fn logs(&self, id: &str, asked: LogsAsked) -> Result<LogStream, ControlError> {
        check_id(id)?;
        let docker = self.docker().await?;
        let inspected = docker
            .inspect_container(id, None::<InspectContainerOptions>)
            .await;
        let inspected = inspected.map_err(|error| explain(id, &error))?;
        // Without a terminal, the two outputs come in frames.
        let framed = !inspected
            .config
            .and_then(|config| config.tty)
            .unwrap_or(false);
        let version = docker.client_version();
        let version = (version.major_version, version.minor_version);
        LogStream::open(&self.socket, version, id, asked, framed).await
    }

    /// A terminal in a container.
    ///
    /// # Errors
    /// [`ControlError`]; also when the container does not run.
    pub async fn terminal(&self, id: &str, asked: TerminalAsked) -> Result<Terminal, ControlError> {
        check_id(id)?;
        Terminal::open(self.docker().await?, &self.socket, id, asked).await
    }

    /// The files of a container, run or not. `slot` is held while threads work on them.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn files(&self, id: &str, slot: Slot) -> Result<Files, ControlError> {
        check_id(id)?;
        let docker = self.docker().await?;
        let inspected = docker
            .inspect_container(id, None::<InspectContainerOptions>)
            .await;
        let inspected = inspected.map_err(|error| explain(id, &error))?;
        let state = inspected.state.unwrap_or_default();
        let pid = state.pid.and_then(|pid| u32::try_from(pid).ok());
        let pid = pid.filter(|pid| *pid > 0 && state.running == Some(true));
        // The engine knows it by its whole id, of which `id` may be a part.
        let whole = inspected.id.as_deref().unwrap_or(id);
        if let Some(root) = pid.and_then(|pid| LiveRoot::of_process(pid, whole)) {
            return Ok(Files::live(root, slot));
        }
        let version = docker.client_version();
        let engine = Engine {
            socket: self.socket.clone(),
            version: (version.major_version, version.minor_version),
        };
        let id = whole.to_owned();
        Ok(Files::archive(Archive { engine, id }, slot))
    }

    async fn docker(&self) -> Result<Docker, ControlError> {
        let connected = connect_for(&self.socket, ACT_TIMEOUT).await;
        connected
            .map(|(docker, _)| docker)
            .map_err(ControlError::Unavailable)
    }
}

/// The id becomes a part of a path that the engine is asked for.
fn check_id(id: &str) -> Result<(), ControlError> {
    let fits = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits {
        Ok(())
    } else {
        Err(ControlError::Failed(
            "this is no id of a container".to_owned(),
        ))
    }
}

pub(super) fn explain(id: &str, error: &DockerError) -> ControlError {
    match error {
        DockerError::DockerResponseServerError {
            status_code,
            message,
        } => of_status(id, *status_code, message),
        DockerError::RequestTimeoutError => ControlError::Unavailable(format!(
            "the engine has not answered for {} s; it may still do it",
            ACT_TIMEOUT.as_secs()
        )),
        other => ControlError::Unavailable(with_causes(other)),
    }
}

/// What an answer of the engine that is no success says.
pub(crate) fn of_status(id: &str, status: u16, message: &str) -> ControlError {
    match status {
        404 => ControlError::NotFound(short(id)),
        409 => ControlError::Conflict(message.to_owned()),
        // Podman, and Docker before 24, say it so where Docker says 409.
        500 if message.contains("is not paused") || message.contains("is not running") => {
            ControlError::Conflict(message.to_owned())
        }
        _ => ControlError::Failed(message.to_owned()),
    }
}

fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_not_lead_to_another_path() {
        for bad in [
            "",
            "a/b",
            "..",
            "a?force=1",
            "a%2fb",
            "a b",
            &"a".repeat(129),
        ] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
        assert_eq!(check_id(&"4f1c".repeat(16)), Ok(()));
    }

    #[test]
    fn what_the_engine_answers_is_told_apart() {
        let id = "4f1c2a9b7d03".repeat(4);
        let missing = of_status(&id, 404, "No such container: 4f1c");
        assert_eq!(missing, ControlError::NotFound("4f1c2a9b7d03".to_owned()));
        let conflict = |status, text: &str| matches!(of_status(&id, status, text), ControlError::Conflict(said) if said == text);
        assert!(conflict(409, "You cannot remove a running container"));
        assert!(conflict(500, "Container 4f1c is not paused"));
        assert!(!conflict(500, "no space left on device"));
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_said() {
        let control = DockerControl::new("/nonexistent/docker.sock".into());
        let told = control.act("4f1c", ContainerVerb::Stop, false).await;
        let Err(ControlError::Unavailable(reason)) = told else {
            panic!("{told:?}");
        };
        assert!(reason.contains("does not exist"), "{reason}");
    }
}
