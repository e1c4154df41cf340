//! The log of a container, as the engine streams it. Read by hand: the library keeps a line of a
//! terminal whole, however long it is, and a container chooses how long its lines are.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::connection::ANSWER_TIMEOUT;
use super::control::{ControlError, of_status};

/// Of an answer that is no success.
const ERROR_BYTES_MAX: usize = 16 << 10;
/// How long a connection over a local socket may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What of a log is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogsAsked {
    /// Go on with what is written from now on.
    pub follow: bool,
    /// Last lines to begin with; `None`: all there are.
    pub tail: Option<u32>,
    /// Not what is older; 0: any age.
    pub since_unix_s: i64,
    /// Begin each line with its time.
    pub timestamps: bool,
}

impl LogsAsked {
    fn query(self) -> String {
        let tail = self
            .tail
            .map_or("all".to_owned(), |lines| lines.to_string());
        format!(
            "stdout=true&stderr=true&follow={}&tail={tail}&since={}&timestamps={}",
            self.follow,
            self.since_unix_s.max(0),
            self.timestamps
        )
    }
}

/// A log under way. What is not read stays with the engine.
#[derive(Debug)]
pub struct LogStream {
    body: Incoming,
    frames: Option<Frames>,
    connection: JoinHandle<()>,
}

impl Drop for LogStream {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl LogStream {
    /// Asks the engine for a log. `framed`: it comes in frames of either output.
    pub(super) async fn open(
        socket: &Path,
        (major, minor): (usize, usize),
        id: &str,
        asked: LogsAsked,
        framed: bool,
    ) -> Result<Self, ControlError> {
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
        let connection = tokio::spawn(async move {
            // The reader of the body hears of it, too.
            let _ = connection.await;
        });
        let query = asked.query();
        let request = Request::get(format!("/v{major}.{minor}/containers/{id}/logs?{query}"))
            .header(header::HOST, "docker")
            .body(Empty::<Bytes>::new())
            .map_err(|error| lost(&error))?;
        let answer = timeout(ANSWER_TIMEOUT, sender.send_request(request)).await;
        let answer = answer
            .map_err(|_| lost(&"the engine did not answer in time"))?
            .map_err(|error| lost(&error))?;
        let status = answer.status();
        let stream = Self {
            body: answer.into_body(),
            frames: framed.then(Frames::default),
            connection,
        };
        if status.is_success() {
            return Ok(stream);
        }
        Err(of_status(id, status.as_u16(), &stream.error_text().await))
    }

    async fn error_text(mut self) -> String {
        let body = Limited::new(&mut self.body, ERROR_BYTES_MAX).collect();
        let body = timeout(ANSWER_TIMEOUT, body).await;
        let Ok(Ok(body)) = body else {
            return "the engine does not say why".to_owned();
        };
        let body = body.to_bytes();
        let said: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let said = said.and_then(|said| Some(said.get("message")?.as_str()?.to_owned()));
        said.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned())
    }

    /// The next bytes of the log, cut anywhere; `None` at its end. May be dropped and asked again.
    ///
    /// # Errors
    /// When the engine goes away, or sends what is no log.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ControlError> {
        loop {
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| {
                ControlError::Unavailable(format!("the engine went away: {error}"))
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let Some(frames) = &mut self.frames else {
                return Ok(Some(data));
            };
            let text = frames.take(&data).map_err(|kind| {
                ControlError::Failed(format!(
                    "the engine sent what is no log (frame of kind {kind})"
                ))
            })?;
            if !text.is_empty() {
                return Ok(Some(text.into()));
            }
        }
    }
}

/// Takes the frames of the two outputs apart: a byte for the output, three of zero, the length as
/// four, and so many of text. Keeps the head of one frame and nothing of its text.
#[derive(Debug, Default)]
struct Frames {
    head: [u8; Self::HEAD],
    head_filled: usize,
    /// Of the frame under way.
    left: usize,
}

impl Frames {
    const HEAD: usize = 8;

    /// The text in these bytes, which go on where the last ones ended. The error is the byte that
    /// names no output.
    fn take(&mut self, mut data: &[u8]) -> Result<Vec<u8>, u8> {
        let mut text = Vec::with_capacity(data.len());
        while !data.is_empty() {
            if self.left > 0 {
                let (now, rest) = data.split_at(self.left.min(data.len()));
                text.extend_from_slice(now);
                self.left -= now.len();
                data = rest;
                continue;
            }
            let missing = Self::HEAD - self.head_filled;
            let (now, rest) = data.split_at(missing.min(data.len()));
            self.head[self.head_filled..self.head_filled + now.len()].copy_from_slice(now);
            self.head_filled += now.len();
            data = rest;
            if self.head_filled == Self::HEAD {
                self.head_filled = 0;
                let [kind, _, _, _, a, b, c, d] = self.head;
                // 0 to 2 are standard input, output and error; 3 is an error of the engine's own.
                if kind > 3 {
                    return Err(kind);
                }
                self.left = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(parts: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, text) in parts {
            let length = u32::try_from(text.len()).expect("short");
            bytes.extend([*kind, 0, 0, 0]);
            bytes.extend(length.to_be_bytes());
            bytes.extend(text);
        }
        bytes
    }

    #[test]
    fn what_is_asked_for_is_in_the_query() {
        let all = LogsAsked::default().query();
        assert!(all.contains("follow=false&tail=all&since=0"), "{all}");
        let asked = LogsAsked {
            follow: true,
            tail: Some(0),
            since_unix_s: -5,
            timestamps: true,
        };
        let some = asked.query();
        assert!(
            some.contains("follow=true&tail=0&since=0&timestamps=true"),
            "{some}"
        );
    }

    #[test]
    fn a_stream_without_frames_is_refused_and_not_waited_for() {
        assert_eq!(Frames::default().take(b"plain text"), Err(b'p'));
    }

    proptest! {
        #[test]
        fn frames_come_apart_wherever_they_are_cut(
            parts in prop::collection::vec((0u8..=3, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            cut in 1usize..17,
        ) {
            let mut frames = Frames::default();
            let mut text = Vec::new();
            for piece in framed(&parts).chunks(cut) {
                text.extend(frames.take(piece).expect("well formed"));
            }
            let expected: Vec<u8> = parts.into_iter().flat_map(|(_, text)| text).collect();
            prop_assert_eq!(text, expected);
        }

        #[test]
        fn any_bytes_never_panic_nor_grow(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let taken = Frames::default().take(&bytes);
            prop_assert!(taken.is_err() || taken.is_ok_and(|text| text.len() <= bytes.len()));
        }
    }
}
