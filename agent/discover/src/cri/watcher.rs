//! Holds the connection to the runtime, and finds it again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tonic::transport::{Channel, Endpoint};

use super::CriConfig;
use super::api::VersionRequest;
use super::api::runtime_service_client::RuntimeServiceClient;
use super::session::{Ended, Session};
use crate::runtime::{Backoff, RuntimeEvent, WatchStats};

/// Where runtimes listen, in the order in which the kubelet's own tools try them.
const USUAL_SOCKETS: [&str; 5] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/var/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
];
/// How long the runtime may take over one answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// A list of a node with 1,000 containers and their annotations takes some megabytes.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

pub(super) type Client = RuntimeServiceClient<Channel>;

/// Runs until the reader is gone.
pub(super) async fn run(
    config: CriConfig,
    sender: mpsc::Sender<RuntimeEvent>,
    stats: Arc<WatchStats>,
) {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));
    let mut known = FxHashMap::default();
    let mut told_reason = String::new();
    loop {
        let reason = match connect(&config).await {
            Ok((client, runtime, version)) => {
                backoff.reset();
                told_reason.clear();
                stats.set_connected(format!("{runtime} {version}"));
                let connected = RuntimeEvent::Connected {
                    runtime: runtime.clone(),
                    version,
                };
                if sender.send(connected).await.is_err() {
                    return;
                }
                let mut session = Session::new(&config, client, runtime, &sender, &stats, known);
                let ended = session.run().await;
                known = session.into_known();
                match ended {
                    Ended::ReaderGone => return,
                    Ended::RuntimeLost(reason) => reason,
                }
            }
            Err(reason) => reason,
        };
        stats.set_disconnected(&reason);
        if reason != told_reason {
            tracing::info!(%reason, "no container runtime answers by the CRI");
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

/// The first runtime that answers, its name and its version.
async fn connect(config: &CriConfig) -> Result<(Client, String, String), String> {
    let sockets: Vec<PathBuf> = match &config.socket {
        Some(socket) => vec![socket.clone()],
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
    let channel = endpoint.connect().await.map_err(|error| chain(&error))?;
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

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
