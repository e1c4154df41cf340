//! The log of a container, as the engine streams it.

use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, header};

use super::frames::Frames;
use super::raw::{self, Connection};
use crate::control::ControlError;

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
    _connection: Connection,
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
        let query = asked.query();
        let request = Request::get(format!("/v{major}.{minor}/containers/{id}/logs?{query}"))
            .header(header::HOST, "docker")
            .body(Full::default())
            .map_err(|error| ControlError::Failed(error.to_string()))?;
        let (answer, connection) = raw::ask(socket, id, request).await?;
        Ok(Self {
            body: answer.into_body(),
            frames: framed.then(Frames::default),
            _connection: connection,
        })
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
            let text = frames.take(&data)?;
            if !text.is_empty() {
                return Ok(Some(text.into()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
