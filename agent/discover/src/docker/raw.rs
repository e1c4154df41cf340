//! Answers that stream, taken from the engine without the library: it keeps a terminal's line whole,
//! however long it is, and takes a terminal's bytes 0 to 2 for the length of what follows. A
//! container chooses what it writes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::connection::ANSWER_TIMEOUT;
use super::control::of_status;
use crate::control::ControlError;

/// Of an answer that is no success.
const ERROR_BYTES_MAX: usize = 16 << 10;
/// How long a connection over a local socket may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An engine that was asked for its version.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) socket: PathBuf,
    /// Of its API.
    pub(crate) version: (usize, usize),
}

impl Engine {
    /// What every path begins with.
    pub(crate) fn version_path(&self) -> String {
        let (major, minor) = self.version;
        format!("/v{major}.{minor}")
    }
}

/// What carries an answer; it ends with this.
#[derive(Debug)]
pub(crate) struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks for something about container `id` on a connection of its own. What is no success, nor the
/// switch to another protocol, is an error in the engine's words.
pub(super) async fn ask(
    socket: &Path,
    id: &str,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, Connection), ControlError> {
    let of = |status, said: &str| of_status(id, status, said);
    ask_for(socket, request, ANSWER_TIMEOUT, of).await
}

/// The same with any body, which may take so long with its answer; `of` makes an error of a status
/// and the engine's words.
pub(crate) async fn ask_for<B>(
    socket: &Path,
    request: Request<B>,
    patience: Duration,
    of: impl Fn(u16, &str) -> ControlError,
) -> Result<(Response<Incoming>, Connection), ControlError>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let lost = |error: &dyn std::fmt::Display| {
        ControlError::Unavailable(format!("{}: {error}", socket.display()))
    };
    let stream = timeout(CONNECT_TIMEOUT, UnixStream::connect(socket)).await;
    let stream = stream
        .map_err(|_| lost(&"the engine did not answer in time"))?
        .map_err(|error| lost(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| lost(&error))?;
    let connection = Connection(tokio::spawn(async move {
        // The reader of the body hears of it, too.
        let _ = connection.with_upgrades().await;
    }));
    let answer = timeout(patience, sender.send_request(request)).await;
    let answer = answer
        .map_err(|_| lost(&"the engine did not answer in time"))?
        .map_err(|error| lost(&error))?;
    let status = answer.status();
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok((answer, connection));
    }
    let said = error_text(answer.into_body()).await;
    Err(of(status.as_u16(), &said))
}

async fn error_text(body: Incoming) -> String {
    let body = Limited::new(body, ERROR_BYTES_MAX).collect();
    let body = timeout(ANSWER_TIMEOUT, body).await;
    let Ok(Ok(body)) = body else {
        return "the engine does not say why".to_owned();
    };
    let body = body.to_bytes();
    let said: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let said = said.and_then(|said| Some(said.get("message")?.as_str()?.to_owned()));
    said.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned())
}
