//! A terminal between an agent and whoever sits before it, or a file and whoever reads or writes it. Holds no more than the window that the
//! agent was told, and lets no more be typed than the agent allows.

use std::sync::{Mutex, PoisonError};

use mesoscope_proto::v1::{ControlOutcome, FileEntry, TerminalCredit, TerminalOutput};
use tokio::sync::Notify;

use super::log::Overrun;

/// Whatever an agent allows.
const TYPING_BYTES_MAX: usize = 1 << 20;

/// One terminal, shared by the agent's stream and whoever sits before it.
#[derive(Debug)]
pub(super) struct Screen {
    held: Mutex<Held>,
    changed: Notify,
    room: Notify,
}

#[derive(Debug)]
struct Held {
    output: Vec<u8>,
    /// More may come.
    credit: u32,
    /// Bytes that may be typed; `None`: it is not there yet.
    typing: Option<usize>,
    /// Of a file: what it is, once it is open.
    file: Option<FileEntry>,
    /// Bytes that were typed and have not reached the process yet.
    under_way: usize,
    outcome: Option<ControlOutcome>,
}

impl Screen {
    pub(super) fn new(window_bytes: u32) -> Self {
        Self {
            held: Mutex::new(Held {
                output: Vec::new(),
                credit: window_bytes,
                typing: None,
                under_way: 0,
                file: None,
                outcome: None,
            }),
            changed: Notify::new(),
            room: Notify::new(),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From the agent.
    pub(super) fn take(&self, output: &TerminalOutput) -> Result<(), Overrun> {
        self.with(|held| {
            let bytes = u32::try_from(output.data.len()).map_err(|_| Overrun)?;
            held.credit = held.credit.checked_sub(bytes).ok_or(Overrun)?;
            held.output.extend_from_slice(&output.data);
            Ok(())
        })?;
        self.changed.notify_one();
        Ok(())
    }

    /// From the agent.
    pub(super) fn allow(&self, credit: &TerminalCredit) {
        self.with(|held| {
            let bytes = usize::try_from(credit.bytes).unwrap_or(TYPING_BYTES_MAX);
            let typing = held.typing.unwrap_or(0).saturating_add(bytes);
            held.typing = Some(typing.min(TYPING_BYTES_MAX));
            held.under_way = held.under_way.saturating_sub(bytes);
        });
        self.changed.notify_one();
        self.room.notify_one();
    }

    /// From the agent: a file is open.
    pub(super) fn open(&self, entry: FileEntry) {
        self.with(|held| held.file = Some(entry));
        self.changed.notify_one();
    }

    /// The file that is open.
    pub(super) fn file(&self) -> Option<FileEntry> {
        self.with(|held| held.file.clone())
    }

    /// The last of the agent.
    pub(super) fn end(&self, outcome: ControlOutcome) {
        self.with(|held| held.outcome = Some(outcome));
        self.changed.notify_one();
    }

    /// Waits until the terminal is there, or the file open.
    pub(super) async fn begun(&self) -> Result<(), ControlOutcome> {
        loop {
            let (there, outcome) = self.with(|held| {
                let there = held.typing.is_some() || held.file.is_some();
                (there, held.outcome.clone())
            });
            match (there, outcome) {
                (true, _) => return Ok(()),
                (false, Some(outcome)) => return Err(outcome),
                (false, None) => self.changed.notified().await,
            }
        }
    }

    /// Waits for output, and then for how it ended.
    pub(super) async fn next(&self) -> Result<Vec<u8>, ControlOutcome> {
        loop {
            let next = self.with(|held| {
                if held.output.is_empty() {
                    return held.outcome.clone().map(Err);
                }
                let output = std::mem::take(&mut held.output);
                // No more is held than the credit was.
                held.credit += u32::try_from(output.len()).unwrap_or_default();
                Some(Ok(output))
            });
            match next {
                Some(next) => return next,
                None => self.changed.notified().await,
            }
        }
    }

    /// Waits until so many bytes, or fewer, may be typed; they count as typed. What was typed before
    /// is with the process then, so that keys in any number make few messages.
    pub(super) async fn room(&self, wanted: usize) -> usize {
        loop {
            let room = self.with(|held| {
                let typing = held.typing.as_mut().filter(|_| held.under_way == 0)?;
                let room = wanted.min(*typing);
                *typing -= room;
                held.under_way = room;
                (room > 0 || wanted == 0).then_some(room)
            });
            match room {
                Some(room) => return room,
                None => self.room.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn output(data: &[u8]) -> TerminalOutput {
        TerminalOutput {
            data: data.to_vec(),
        }
    }

    #[tokio::test]
    async fn output_comes_whole_and_before_how_it_ended() {
        let screen = Screen::new(10);
        screen.allow(&TerminalCredit { bytes: 1 });
        assert_eq!(screen.begun().await, Ok(()));
        screen.take(&output(b"12345")).expect("allowed");
        screen.take(&output(b"67890")).expect("allowed");
        assert_eq!(screen.take(&output(b"x")), Err(Overrun));
        let ended = ControlOutcome {
            exit_code: Some(3),
            ..ControlOutcome::default()
        };
        screen.end(ended.clone());
        assert_eq!(screen.next().await, Ok(b"1234567890".to_vec()));
        assert_eq!(screen.next().await, Err(ended));
    }

    #[tokio::test]
    async fn what_was_taken_may_come_anew() {
        let screen = Screen::new(4);
        for _ in 0..100 {
            screen.take(&output(b"four")).expect("allowed again");
            assert_eq!(screen.next().await, Ok(b"four".to_vec()));
        }
    }

    #[tokio::test]
    async fn no_more_is_typed_than_the_agent_allows() {
        let screen = Arc::new(Screen::new(10));
        screen.allow(&TerminalCredit { bytes: 4 });
        assert_eq!(screen.room(3).await, 3);
        let waiting = tokio::spawn({
            let screen = screen.clone();
            async move { screen.room(3).await }
        });
        for bytes in [1, 1] {
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished(), "the process has not taken it all");
            screen.allow(&TerminalCredit { bytes });
        }
        screen.allow(&TerminalCredit { bytes: 1 });
        assert_eq!(waiting.await.expect("there is room"), 3);
        screen.allow(&TerminalCredit { bytes: u32::MAX });
        assert_eq!(screen.room(usize::MAX).await, TYPING_BYTES_MAX);
    }

    #[tokio::test]
    async fn a_terminal_that_does_not_begin_says_why() {
        let screen = Screen::new(10);
        let outcome = ControlOutcome {
            message: "it does not run".to_owned(),
            ..ControlOutcome::default()
        };
        screen.end(outcome.clone());
        assert_eq!(screen.begun().await, Err(outcome));
    }
}
