//! A log on its way from an agent to its reader. Holds no more than the window that the agent was
//! told, and says in a line what is missing.

use std::sync::{Mutex, PoisonError};

use mesoscope_proto::v1::{ControlOutcome, ControlResult, LogChunk};
use tokio::sync::Notify;

/// An agent that sends more than it was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more came than was allowed")]
pub(super) struct Overrun;

/// One log, shared by the stream that fills it and the reader.
#[derive(Debug)]
pub(super) struct Pipe {
    held: Mutex<Held>,
    changed: Notify,
}

#[derive(Debug)]
struct Held {
    /// Text for the reader.
    text: Vec<u8>,
    /// Bytes of the log itself that are in the text.
    bytes: u32,
    /// More may come.
    credit: u32,
    /// Not said yet.
    left_out: u64,
    /// The text so far ends with a line.
    line_ended: bool,
    begun: bool,
    outcome: Option<ControlOutcome>,
    /// How it ended stands in the text.
    said: bool,
}

impl Pipe {
    pub(super) fn new(window_bytes: u32) -> Self {
        Self {
            held: Mutex::new(Held {
                text: Vec::new(),
                bytes: 0,
                credit: window_bytes,
                left_out: 0,
                line_ended: true,
                begun: false,
                outcome: None,
                said: false,
            }),
            changed: Notify::new(),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From the agent.
    pub(super) fn take(&self, chunk: LogChunk) -> Result<(), Overrun> {
        self.with(|held| held.take(chunk))?;
        self.changed.notify_one();
        Ok(())
    }

    /// The last of the agent.
    pub(super) fn end(&self, outcome: ControlOutcome) {
        self.with(|held| held.outcome = Some(outcome));
        self.changed.notify_one();
    }

    /// Waits until the log is there.
    pub(super) async fn begun(&self) -> Result<(), ControlOutcome> {
        loop {
            let state = self.with(|held| (held.begun, held.outcome.clone()));
            match state {
                (true, _) => return Ok(()),
                (false, Some(outcome)) => return Err(outcome),
                (false, None) => self.changed.notified().await,
            }
        }
    }

    /// Waits for text; gives it, and how many bytes of the log it holds. `None` at the end.
    pub(super) async fn next(&self) -> Option<(Vec<u8>, u32)> {
        loop {
            let (text, ended) = self.with(|held| (held.give(), held.outcome.is_some()));
            if text.is_some() || ended {
                return text;
            }
            self.changed.notified().await;
        }
    }
}

impl Held {
    fn take(&mut self, chunk: LogChunk) -> Result<(), Overrun> {
        let bytes = u32::try_from(chunk.data.len()).map_err(|_| Overrun)?;
        self.credit = self.credit.checked_sub(bytes).ok_or(Overrun)?;
        self.begun = true;
        self.left_out = self.left_out.saturating_add(chunk.bytes_left_out);
        if bytes > 0 {
            self.say_left_out();
            self.line_ended = chunk.data.ends_with(b"\n");
            self.bytes += bytes;
            self.text.extend_from_slice(&chunk.data);
        }
        Ok(())
    }

    fn give(&mut self) -> Option<(Vec<u8>, u32)> {
        if let Some(outcome) = &self.outcome
            && !self.said
        {
            self.said = true;
            let failed = outcome.result() != ControlResult::Done;
            let message = failed.then(|| outcome.message.clone());
            self.say_left_out();
            if let Some(message) = message {
                self.say(&format!("the log ends here: {message}"));
            }
        }
        if self.text.is_empty() {
            return None;
        }
        self.credit += self.bytes;
        Some((
            std::mem::take(&mut self.text),
            std::mem::take(&mut self.bytes),
        ))
    }

    fn say_left_out(&mut self) {
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            self.say(&format!(
                "{left_out} bytes are left out here: they came faster than they were read"
            ));
        }
    }

    /// Our own words, in a line of their own.
    fn say(&mut self, words: &str) {
        if !self.line_ended {
            self.text.push(b'\n');
        }
        self.text
            .extend_from_slice(format!("[mesoscope: {words}]\n").as_bytes());
        self.line_ended = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(data: &str, bytes_left_out: u64) -> LogChunk {
        LogChunk {
            data: data.into(),
            bytes_left_out,
        }
    }

    fn outcome(result: ControlResult, message: &str) -> ControlOutcome {
        ControlOutcome {
            result: result.into(),
            message: message.to_owned(),
            ..ControlOutcome::default()
        }
    }

    async fn all(pipe: &Pipe) -> String {
        let mut text = Vec::new();
        while let Some((more, _)) = pipe.next().await {
            text.extend(more);
        }
        String::from_utf8(text).expect("UTF-8")
    }

    #[tokio::test]
    async fn what_was_left_out_is_said_in_a_line_of_its_own() {
        let pipe = Pipe::new(1_000);
        pipe.take(chunk("", 0)).expect("allowed");
        assert_eq!(pipe.begun().await, Ok(()));
        pipe.take(chunk("one\ntw", 0)).expect("allowed");
        // Told in two parts, said in one line.
        pipe.take(chunk("", 40)).expect("allowed");
        pipe.take(chunk("ee\n", 2)).expect("allowed");
        pipe.take(chunk("", 7)).expect("allowed");
        pipe.end(outcome(ControlResult::Done, ""));
        let says = |bytes| {
            format!(
                "[mesoscope: {bytes} bytes are left out here: they came faster than they were read]\n"
            )
        };
        let expected = format!("one\ntw\n{}ee\n{}", says(42), says(7));
        assert_eq!(all(&pipe).await, expected);
    }

    #[tokio::test]
    async fn a_log_that_breaks_off_says_so_after_what_came() {
        let pipe = Pipe::new(1_000);
        pipe.take(chunk("last", 0)).expect("allowed");
        pipe.end(outcome(ControlResult::Unavailable, "the agent went away"));
        assert_eq!(
            all(&pipe).await,
            "last\n[mesoscope: the log ends here: the agent went away]\n"
        );
        assert_eq!(pipe.next().await, None);
    }

    #[tokio::test]
    async fn a_log_that_is_not_there_has_no_text() {
        let pipe = Pipe::new(10);
        pipe.end(outcome(ControlResult::NotFound, "no such container"));
        assert_eq!(
            pipe.begun().await.expect_err("not there").message,
            "no such container"
        );
    }

    #[tokio::test]
    async fn no_more_is_held_than_the_window() {
        let pipe = Pipe::new(10);
        pipe.take(chunk("12345", 0)).expect("allowed");
        pipe.take(chunk("67890", 0)).expect("allowed");
        assert_eq!(pipe.take(chunk("x", 0)), Err(Overrun));
        let (text, bytes) = pipe.next().await.expect("text");
        assert_eq!((text.len(), bytes), (10, 10));
        pipe.take(chunk("1234567890", 0)).expect("allowed again");
        assert_eq!(pipe.take(chunk("x", 0)), Err(Overrun));
    }

    #[tokio::test]
    async fn a_reader_waits_for_what_is_to_come() {
        let pipe = std::sync::Arc::new(Pipe::new(100));
        let reader = tokio::spawn({
            let pipe = pipe.clone();
            async move { all(&pipe).await }
        });
        for part in ["a\n", "b\n", "c\n"] {
            tokio::task::yield_now().await;
            pipe.take(chunk(part, 0)).expect("allowed");
        }
        pipe.end(outcome(ControlResult::Done, ""));
        assert_eq!(reader.await.expect("it reads"), "a\nb\nc\n");
    }
}
