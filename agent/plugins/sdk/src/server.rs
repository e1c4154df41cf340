//! The server of a plugin, on its unix socket.

use std::future::Future;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::messages::{ControlAnswer, ControlRequest, Description, Problem, Report, ReportRequest};

/// The environment variable by which the agent tells a plugin that it starts where to listen.
pub const SOCKET_VARIABLE: &str = "MESOSCOPE_PLUGIN_SOCKET";

/// Largest request that is taken: 512 nodes with all their labels are smaller.
const REQUEST_BYTES_MAX: usize = 16 << 20;
/// Connections at the same time.
const CONNECTIONS_MAX: usize = 16;
/// How long a request may take to arrive.
const READ_PATIENCE: Duration = Duration::from_secs(30);

/// What a plugin does.
pub trait Plugin: Send + Sync + 'static {
    /// Who it is.
    fn describe(&self) -> Description;

    /// What it knows of the nodes that are asked for. Those of which it knows nothing are left out.
    ///
    /// # Errors
    /// What is wrong, for people: the agent says it in the map.
    fn report(&self, asked: ReportRequest) -> impl Future<Output = Result<Report, Failure>> + Send;

    /// Carries out a control that it offered.
    ///
    /// # Errors
    /// What is wrong, for people: it is shown to who pressed it.
    fn control(
        &self,
        asked: ControlRequest,
    ) -> impl Future<Output = Result<ControlAnswer, Failure>> + Send {
        async move { Err(Failure::new(format!("no control {:?}", asked.control))) }
    }
}

/// Why a plugin could not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl Failure {
    /// With a text for people.
    pub fn new(text: impl ToString) -> Self {
        Self(text.to_string())
    }
}

/// Why a plugin can not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The agent did not say where.
    #[error("{SOCKET_VARIABLE} is not set: the agent sets it for the plugins that it starts")]
    NoSocket,
    /// The socket can't be listened on.
    #[error("listening on {}: {error}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

/// Serves on the socket that the agent names, until the process ends.
///
/// # Errors
/// When it names none, or it can't be listened on.
pub async fn serve<P: Plugin>(plugin: P) -> Result<(), ServeError> {
    let path = std::env::var_os(SOCKET_VARIABLE).ok_or(ServeError::NoSocket)?;
    serve_at(plugin, Path::new(&path)).await
}

/// Serves on a socket of its own, for a plugin that the agent does not start. A socket that an earlier
/// run left behind is replaced.
///
/// # Errors
/// When it can't be listened on.
pub async fn serve_at<P: Plugin>(plugin: P, path: &Path) -> Result<(), ServeError> {
    let failed = |error| ServeError::Listen {
        path: path.to_owned(),
        error,
    };
    let is_socket = |found: std::fs::Metadata| found.file_type().is_socket();
    if std::fs::symlink_metadata(path).is_ok_and(is_socket) {
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    let plugin = Arc::new(plugin);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return Ok(());
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: others will be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let plugin = plugin.clone();
        tokio::spawn(async move {
            connection(plugin, stream).await;
            drop(slot);
        });
    }
}

async fn connection<P: Plugin>(plugin: Arc<P>, stream: UnixStream) {
    let service = service_fn(move |request| {
        let plugin = plugin.clone();
        async move { Ok::<_, std::convert::Infallible>(answer(&*plugin, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    // Who asked may go away.
    let _ = served.await;
}

async fn answer<P: Plugin>(plugin: &P, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let allowed = match head.uri.path() {
        "/v1/describe" => Method::GET,
        "/v1/report" | "/v1/control" => Method::POST,
        path => return problem(StatusCode::NOT_FOUND, format!("no {path} here")),
    };
    if head.method != allowed {
        let mut refused = problem(StatusCode::METHOD_NOT_ALLOWED, format!("use {allowed}"));
        let allow = HeaderValue::from_static(if allowed == Method::GET {
            "GET"
        } else {
            "POST"
        });
        refused.headers_mut().insert(ALLOW, allow);
        return refused;
    }
    let done = match head.uri.path() {
        "/v1/describe" => Ok(json(StatusCode::OK, &plugin.describe())),
        "/v1/report" => match read::<ReportRequest>(body).await {
            Ok(asked) => plugin
                .report(asked)
                .await
                .map(|told| json(StatusCode::OK, &told)),
            Err(refused) => return refused,
        },
        _ => match read::<ControlRequest>(body).await {
            Ok(asked) => plugin
                .control(asked)
                .await
                .map(|told| json(StatusCode::OK, &told)),
            Err(refused) => return refused,
        },
    };
    done.unwrap_or_else(|failure| problem(StatusCode::INTERNAL_SERVER_ERROR, failure))
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Response<Full<Bytes>>> {
    let collected = tokio::time::timeout(
        READ_PATIENCE,
        Limited::new(body, REQUEST_BYTES_MAX).collect(),
    );
    let collected = collected
        .await
        .map_err(|_| problem(StatusCode::REQUEST_TIMEOUT, "the request takes too long"))?;
    let bytes = match collected {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, error));
        }
        Err(error) => return Err(problem(StatusCode::BAD_REQUEST, error)),
    };
    serde_json::from_slice(&bytes).map_err(|error| problem(StatusCode::BAD_REQUEST, error))
}

fn problem(status: StatusCode, error: impl ToString) -> Response<Full<Bytes>> {
    let error = error.to_string();
    json(status, &Problem { error })
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    let (status, text) = match serde_json::to_vec(body) {
        Ok(text) => (status, text),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            b"{\"error\":\"not JSON\"}".to_vec(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
