//! What people do to containers of a runtime that speaks the CRI, as far as it has words for it.
//!
//! It has none for restarting, pausing and unpausing, nor for starting what has ended: its callers
//! make a new container instead. Removing kills what runs, so that it is looked at before.

use std::path::PathBuf;
use std::time::Duration;

use mesoscope_proto::v1::ContainerVerb;
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::api::{
    AttachRequest, ContainerState, ContainerStatus, ContainerStatusRequest,
    ContainerStatusResponse, ExecRequest, RemoveContainerRequest, StartContainerRequest,
    StopContainerRequest,
};
use super::connection::{Client, connect};
use super::logs::CriLog;
use super::terminal::CriTerminal;
use crate::control::ControlError;
use crate::docker::{LogsAsked, TerminalAsked};
use crate::files::{Files, LiveRoot, Slot};

/// Until a container that is stopped is killed: what Kubernetes waits where nothing else is said. The
/// interface does not tell what the pod says.
const STOP_PATIENCE_S: i64 = 30;
/// How long the runtime may take over it.
const ACT_PATIENCE: Duration = Duration::from_secs(110);
const INSPECTION_BYTES_MAX: usize = 1 << 20;

/// Acts on the containers of a runtime by the CRI. Each request asks it anew.
#[derive(Clone, Debug)]
pub struct CriControl {
    socket: Option<PathBuf>,
}

impl CriControl {
    /// Acts through this socket; `None` tries the usual ones.
    #[must_use]
    pub fn new(socket: Option<PathBuf>) -> Self {
        Self { socket }
    }

    /// Does it, and returns once it is done.
    ///
    /// # Errors
    /// [`ControlError`]; [`ControlError::Conflict`] where the interface has no word for it.
    pub async fn act(
        &self,
        id: &str,
        verb: ContainerVerb,
        force: bool,
    ) -> Result<(), ControlError> {
        let mut client = self.client().await?;
        let status = status(&mut client, id).await?;
        let container_id = status.id.clone();
        match verb {
            ContainerVerb::Start => {
                let request = patient(StartContainerRequest { container_id });
                client.start_container(request).await.map(|_| ())
            }
            ContainerVerb::Stop | ContainerVerb::Kill => {
                let timeout = if verb == ContainerVerb::Kill {
                    0
                } else {
                    STOP_PATIENCE_S
                };
                let request = patient(StopContainerRequest {
                    container_id,
                    timeout,
                });
                client.stop_container(request).await.map(|_| ())
            }
            ContainerVerb::Remove => {
                if status.state() == ContainerState::ContainerRunning && !force {
                    let text = "it runs: stop it first, or remove it by force";
                    return Err(ControlError::Conflict(text.to_owned()));
                }
                let request = patient(RemoveContainerRequest { container_id });
                client.remove_container(request).await.map(|_| ())
            }
            ContainerVerb::Restart | ContainerVerb::Pause | ContainerVerb::Unpause => {
                return Err(ControlError::Conflict(
                    "containers of this runtime can't be restarted, paused or unpaused: its interface (CRI) has no \
                     word for it; what Kubernetes runs is started anew once it is stopped"
                        .to_owned(),
                ));
            }
            ContainerVerb::Unspecified => {
                return Err(ControlError::Failed(
                    "this agent does not know what is asked for; it may be older than the aggregator".to_owned(),
                ));
            }
        }
        .map_err(|status| explain(id, &status))
    }

    /// All that the runtime tells of a container, as JSON. Environment variables are in it.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn inspect(&self, id: &str) -> Result<String, ControlError> {
        let mut client = self.client().await?;
        let told = describe(&mut client, id).await?;
        let status = told.status.unwrap_or_default();
        let mut inspection = json!({
            "id": status.id,
            "name": status.metadata.map(|metadata| metadata.name),
            "state": ContainerState::try_from(status.state).map(|state| state.as_str_name()).ok(),
            "created_at": status.created_at,
            "started_at": status.started_at,
            "finished_at": status.finished_at,
            "exit_code": status.exit_code,
            "reason": status.reason,
            "image": status.image.map(|image| image.image),
            "image_ref": status.image_ref,
            "labels": status.labels,
            "log_path": status.log_path,
        });
        for (key, text) in told.info {
            let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
            inspection[key] = value;
        }
        let json = inspection.to_string();
        if json.len() > INSPECTION_BYTES_MAX {
            let bytes = json.len();
            return Err(ControlError::Failed(format!(
                "what the runtime knows of it has {bytes} bytes, more than {INSPECTION_BYTES_MAX}"
            )));
        }
        Ok(json)
    }

    /// The log of a container, from the file that the runtime writes.
    ///
    /// # Errors
    /// [`ControlError`]; also where there is no such file, or this agent does not see it.
    pub async fn logs(&self, id: &str, asked: LogsAsked) -> Result<CriLog, ControlError> {
        let mut client = self.client().await?;
        let status = status(&mut client, id).await?;
        if status.log_path.is_empty() {
            return Err(ControlError::Conflict(
                "the runtime keeps no log of it".to_owned(),
            ));
        }
        CriLog::open(status.log_path.into(), asked, client, status.id).await
    }

    /// A terminal in a container.
    ///
    /// # Errors
    /// [`ControlError`]; also when the container does not run.
    pub async fn terminal(
        &self,
        id: &str,
        asked: TerminalAsked,
    ) -> Result<CriTerminal, ControlError> {
        let mut client = self.client().await?;
        let told = describe(&mut client, id).await?;
        let status = told.status.clone().unwrap_or_default();
        if status.state() != ContainerState::ContainerRunning {
            return Err(ControlError::Conflict(
                "the container does not run".to_owned(),
            ));
        }
        let container_id = status.id;
        let (url, tty) = if asked.command.is_empty() {
            let tty = info(&told.info)["runtimeSpec"]["process"]["terminal"] == true;
            let request = patient(AttachRequest {
                container_id,
                stdin: asked.interactive,
                tty,
                stdout: true,
                stderr: !tty,
            });
            let answer = client.attach(request).await;
            (answer.map(|answer| answer.into_inner().url), tty)
        } else {
            let request = patient(ExecRequest {
                container_id,
                cmd: asked.command,
                tty: asked.tty,
                stdin: asked.interactive,
                stdout: true,
                stderr: !asked.tty,
            });
            let answer = client.exec(request).await;
            (answer.map(|answer| answer.into_inner().url), asked.tty)
        };
        let url = url.map_err(|status| explain(id, &status))?;
        CriTerminal::open(&url, tty).await
    }

    /// The files of a container that runs. `slot` is held while threads work on them.
    ///
    /// # Errors
    /// [`ControlError`]; also for one that does not run, or whose root this agent can't have.
    pub async fn files(&self, id: &str, slot: Slot) -> Result<Files, ControlError> {
        let mut client = self.client().await?;
        let told = describe(&mut client, id).await?;
        let status = told.status.unwrap_or_default();
        if status.state() != ContainerState::ContainerRunning {
            return Err(ControlError::Conflict(
                "the container does not run, and its runtime (CRI) does not show the files of one that does not"
                    .to_owned(),
            ));
        }
        let pid = info(&told.info)["pid"].as_u64();
        let pid = pid.and_then(|pid| u32::try_from(pid).ok());
        let root = pid.and_then(|pid| LiveRoot::of_process(pid, &status.id));
        let root = root.ok_or_else(|| {
            ControlError::Failed(
                "the agent can't have the container's root: it needs the node's process numbers (hostPID) \
                 and CAP_SYS_PTRACE"
                    .to_owned(),
            )
        })?;
        Ok(Files::live(root, slot))
    }

    async fn client(&self) -> Result<Client, ControlError> {
        let connected = connect(self.socket.as_deref()).await;
        connected
            .map(|(client, _, _)| client)
            .map_err(ControlError::Unavailable)
    }
}

fn patient<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(ACT_PATIENCE);
    request
}

/// What containerd and CRI-O add in their own words; null elsewhere.
fn info(info: &std::collections::HashMap<String, String>) -> Value {
    let text = info.get("info");
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

async fn describe(client: &mut Client, id: &str) -> Result<ContainerStatusResponse, ControlError> {
    let request = super::connection::timed(ContainerStatusRequest {
        container_id: id.to_owned(),
        verbose: true,
    });
    let told = client.container_status(request).await;
    Ok(told.map_err(|status| explain(id, &status))?.into_inner())
}

async fn status(client: &mut Client, id: &str) -> Result<ContainerStatus, ControlError> {
    let told = describe(client, id).await?;
    told.status
        .ok_or_else(|| ControlError::Failed("the runtime tells nothing of it".to_owned()))
}

/// Whether it is known to run no more; what can't be asked is taken to run.
pub(super) async fn has_ended(client: &mut Client, id: &str) -> bool {
    match status(client, id).await {
        Ok(status) => status.state() == ContainerState::ContainerExited,
        Err(error) => matches!(error, ControlError::NotFound(_)),
    }
}

fn explain(id: &str, status: &Status) -> ControlError {
    let said = status.message().to_owned();
    match status.code() {
        Code::NotFound => ControlError::NotFound(id.chars().take(12).collect()),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
            ControlError::Unavailable(format!("the container runtime does not answer: {said}"))
        }
        Code::FailedPrecondition | Code::AlreadyExists => ControlError::Conflict(said),
        // containerd's words for what its state does not allow.
        _ if said.contains("is in CONTAINER_") || said.contains("is not running") => {
            ControlError::Conflict(said)
        }
        Code::Unimplemented => ControlError::Conflict(super::connection::explain(status)),
        _ => ControlError::Failed(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runtime_answers_is_told_apart() {
        let told = |code, text: &str| explain("4f1c2a9b7d03aa", &Status::new(code, text));
        assert_eq!(
            told(Code::NotFound, "x"),
            ControlError::NotFound("4f1c2a9b7d03".to_owned())
        );
        let exited = "failed to start container: container is in CONTAINER_EXITED state";
        assert!(
            matches!(told(Code::Unknown, exited), ControlError::Conflict(said) if said == exited)
        );
        assert!(matches!(
            told(Code::Unavailable, "x"),
            ControlError::Unavailable(_)
        ));
        assert!(matches!(
            told(Code::Unknown, "no space"),
            ControlError::Failed(_)
        ));
    }
}
