//! One question to a plugin, within its time and size.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use mesoscope_plugin::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::socket;
use crate::validate::{ANSWER_BYTES_MAX, message};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It can't be reached.
    #[error("not reached: {0}")]
    Away(String),
    /// It takes too long.
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// Its answer is too large.
    #[error("its answer is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    /// It says that it can't.
    #[error("it answers {0}: {1}")]
    Refused(u16, String),
    /// It does not speak HTTP, or breaks off.
    #[error("its answer is no HTTP: {0}")]
    Broken(String),
    /// What it says is not what was asked for.
    #[error("its answer is not understood: {0}")]
    Malformed(String),
}

/// A plugin that can be asked.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// Where it listens.
    pub socket: &'a Path,
    /// Who must listen there.
    pub uid: u32,
}

impl Peer<'_> {
    /// `GET`.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &'static str,
        within: Duration,
    ) -> Result<T, AskError> {
        self.ask(Method::GET, path, Bytes::new(), within).await
    }

    /// `POST` of a message.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &'static str,
        message: &impl Serialize,
        within: Duration,
    ) -> Result<T, AskError> {
        let body = serde_json::to_vec(message);
        let body = body.map_err(|error| AskError::Malformed(error.to_string()))?;
        self.ask(Method::POST, path, body.into(), within).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &'static str,
        body: Bytes,
        within: Duration,
    ) -> Result<T, AskError> {
        let (status, bytes) = tokio::time::timeout(within, self.exchange(method, path, body))
            .await
            .map_err(|_| AskError::Late(within))??;
        if status != StatusCode::OK {
            let said = serde_json::from_slice::<Problem>(&bytes);
            let said = said.map_or_else(|_| "without a reason".to_owned(), |it| message(&it.error));
            return Err(AskError::Refused(status.as_u16(), said));
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| AskError::Malformed(message(&error.to_string())))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &'static str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), AskError> {
        let broken = |error: hyper::Error| AskError::Broken(message(&error.to_string()));
        let stream = socket::connect(self.socket, self.uid)
            .await
            .map_err(AskError::Away)?;
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(64 << 10)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = hyper::Uri::from_static(path);
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_static("plugin"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answered = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            let (head, body) = response.into_parts();
            let read = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            match read {
                Ok(read) => Ok((head.status, read.to_bytes())),
                Err(error) if error.is::<LengthLimitError>() => Err(AskError::TooLarge),
                Err(error) => Err(AskError::Broken(message(&error.to_string()))),
            }
        };
        // Both end here: nothing of a question outlives it.
        let mut connection = std::pin::pin!(connection);
        let mut answered = std::pin::pin!(answered);
        tokio::select! {
            answer = &mut answered => answer,
            ended = &mut connection => {
                ended.map_err(broken)?;
                answered.await
            }
        }
    }
}
