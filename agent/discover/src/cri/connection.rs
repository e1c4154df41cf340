//! Reaching the runtime, and asking it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::api::VersionRequest;
use super::api::runtime_service_client::RuntimeServiceClient;
use crate::error::with_causes;

/// Where runtimes listen, in the order in which the kubelet's own tools try them.
const USUAL_SOCKETS: [&str; 5] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/var/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
];
/// How long the runtime may take over one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// A list of a node with 1,000 containers and their annotations takes some megabytes.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

pub(super) type Client = RuntimeServiceClient<Channel>;

/// The first runtime that answers, its name and its version.
pub(super) async fn connect(named: Option<&Path>) -> Result<(Client, String, String), String> {
    let sockets: Vec<PathBuf> = match named {
        Some(socket) => vec![socket.to_path_buf()],
        None => {
            let usual = USUAL_SOCKETS.iter().map(PathBuf::from);
            usual.filter(|socket| socket.exists()).collect()
        }
    };
    let mut reason = "none of the usual sockets of containerd, CRI-O or cri-dockerd exists; \
                      containers of Docker are known without them (--cri-socket names another)"
        .to_owned();
    for socket in sockets {
        match ask_version(&socket).await {
            Ok(answer) => return Ok(answer),
            Err(error) => reason = format!("{}: {error}", socket.display()),
        }
    }
    Err(reason)
}

async fn ask_version(socket: &Path) -> Result<(Client, String, String), String> {
    if !socket.exists() {
        return Err(
            "does not exist: the runtime is not running, or its socket is elsewhere".into(),
        );
    }
    let endpoint = Endpoint::try_from(format!("unix://{}", socket.display()))
        .map_err(|error| error.to_string())?
        .connect_timeout(ANSWER_TIMEOUT);
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| with_causes(&error))?;
    let mut client =
        RuntimeServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let version = client.version(timed(VersionRequest::default())).await;
    let version = version.map_err(|status| explain(&status))?.into_inner();
    let runtime = match version.runtime_name.as_str() {
        "" => "cri".to_owned(),
        name => name.to_ascii_lowercase(),
    };
    Ok((client, runtime, version.runtime_version))
}

/// A request with the bound on its answer's time.
pub(super) fn timed<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(ANSWER_TIMEOUT);
    request
}

pub(super) fn explain(status: &tonic::Status) -> String {
    match status.code() {
        tonic::Code::Unimplemented => "the runtime does not serve the CRI (in containerd, its \
                                       plugin \"cri\" may be disabled)"
            .to_owned(),
        code => format!("{code:?}: {}", status.message()),
    }
}
