//! A terminal, between the engine and the aggregator: both ways no faster than the other side takes it.
//! Nothing is left out: the process waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use mesoscope_discover::containers::{Output, Terminal};
use mesoscope_discover::control::ControlError;
use mesoscope_proto::v1::control_answer::Answer;
use mesoscope_proto::v1::{
    self as wire, ControlAnswer, ControlOutcome, ControlResult, TerminalCredit, TerminalSize,
};
use prost::bytes::Bytes;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::pace::{Pace, paced};
use super::pump::{Gathered, Source, outcome};

/// Bytes of input that may be under way.
pub(super) const TYPING_BYTES: usize = 32 << 10;
/// Written to the process at once.
const WRITE_BYTES: usize = 4 << 10;
/// Columns or rows at most; more is a mistake.
const SIZE_MAX: u32 = 1_000;

impl Source for Output {
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, ControlError>> + Send {
        Self::next(self)
    }
}

/// More was typed than was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overrun;

/// What was typed and is not with the process yet, and the size of the window.
#[derive(Debug, Default)]
pub(super) struct Typing {
    held: Mutex<Held>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// Only the last one counts.
    size: Option<(u16, u16)>,
    /// Told to the aggregator, and not used yet.
    credit: usize,
}

/// What is next for the process.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Resize(u16, u16),
    Write(Vec<u8>),
}

impl Typing {
    fn with<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take(&self, data: &[u8]) -> Result<(), Overrun> {
        self.with(|held| {
            held.credit = held.credit.checked_sub(data.len()).ok_or(Overrun)?;
            held.bytes.extend_from_slice(data);
            Ok(())
        })?;
        self.changed.notify_one();
        Ok(())
    }

    /// What makes no sense is no size.
    pub(super) fn resize(&self, size: &TerminalSize) {
        let side = |side: u32| {
            u16::try_from(side.min(SIZE_MAX))
                .ok()
                .filter(|side| *side > 0)
        };
        if let (Some(columns), Some(rows)) = (side(size.columns), side(size.rows)) {
            self.with(|held| held.size = Some((columns, rows)));
            self.changed.notify_one();
        }
    }

    fn allow(&self, bytes: usize) {
        self.with(|held| held.credit += bytes);
    }

    pub(super) async fn next(&self) -> Step {
        loop {
            let step = self.with(|held| {
                if let Some((columns, rows)) = held.size.take() {
                    return Some(Step::Resize(columns, rows));
                }
                let rest = held.bytes.split_off(held.bytes.len().min(WRITE_BYTES));
                let now = std::mem::replace(&mut held.bytes, rest);
                (!now.is_empty()).then_some(Step::Write(now))
            });
            match step {
                Some(step) => return step,
                None => self.changed.notified().await,
            }
        }
    }
}

/// One terminal under way.
pub(super) struct Session {
    pub(super) request: u64,
    pub(super) answers: mpsc::Sender<ControlAnswer>,
    /// Bytes that the aggregator takes now.
    pub(super) credit: Arc<Semaphore>,
    pub(super) pace: Arc<Mutex<Pace>>,
    /// What the pace counts from.
    pub(super) began: Instant,
    pub(super) typing: Arc<Typing>,
}

impl Session {
    /// Carries both ways until the output ends, and gives how the process did.
    pub(super) async fn run(self, terminal: Terminal) -> ControlOutcome {
        let Terminal {
            mut output,
            mut input,
            mut process,
        } = terminal;
        // It is there.
        self.allow(TYPING_BYTES).await;
        let types = async {
            loop {
                match self.typing.next().await {
                    Step::Resize(columns, rows) => process.resize(columns, rows).await,
                    Step::Write(bytes) => {
                        // What takes no input any more may still have something to say.
                        let _ = input.write(&bytes).await;
                        self.allow(bytes.len()).await;
                    }
                }
            }
        };
        let shown = tokio::select! {
            shown = self.show(&mut output) => shown,
            () = types => Ok(()),
        };
        let exit_code = match shown {
            Ok(()) => process.exit_code().await,
            Err(_) => None,
        };
        ControlOutcome {
            exit_code,
            ..outcome(shown)
        }
    }

    async fn show(&self, output: &mut impl Source) -> Result<(), ControlError> {
        let mut gathered = Gathered::default();
        while let Some(data) = gathered.next(output).await {
            paced(&self.pace, self.began, data.len()).await;
            let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
            if let Ok(permits) = self.credit.acquire_many(bytes).await {
                permits.forget();
            }
            self.send(Answer::Terminal(wire::TerminalOutput { data }))
                .await;
        }
        gathered.ended.unwrap_or(Ok(()))
    }

    pub(super) async fn allow(&self, bytes: usize) {
        self.typing.allow(bytes);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.send(Answer::Typing(TerminalCredit { bytes })).await;
    }

    pub(super) async fn send(&self, answer: Answer) {
        let answer = ControlAnswer {
            request: self.request,
            answer: Some(answer),
        };
        // Without the stream, this task ends with its session.
        let _ = self.answers.send(answer).await;
    }
}

/// The end of a terminal into which more was typed than was allowed.
pub(super) fn overrun() -> ControlOutcome {
    ControlOutcome {
        result: ControlResult::Failed.into(),
        message: "more was typed than was allowed".to_owned(),
        ..ControlOutcome::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use super::*;

    struct Script(VecDeque<Bytes>);

    impl Source for Script {
        async fn next(&mut self) -> Result<Option<Bytes>, ControlError> {
            Ok(self.0.pop_front())
        }
    }

    fn size(columns: u32, rows: u32) -> TerminalSize {
        TerminalSize { columns, rows }
    }

    #[tokio::test]
    async fn what_is_typed_comes_in_order_and_of_sizes_the_last_one_counts() {
        let typing = Typing::default();
        typing.allow(TYPING_BYTES);
        typing.resize(&size(80, 24));
        typing.take(b"ls").expect("allowed");
        typing.resize(&size(100, 40));
        typing.take(b" -l\r").expect("allowed");
        assert_eq!(typing.next().await, Step::Resize(100, 40));
        assert_eq!(typing.next().await, Step::Write(b"ls -l\r".to_vec()));
        for nonsense in [size(0, 24), size(80, 0)] {
            typing.resize(&nonsense);
        }
        typing.resize(&size(70_000, 24));
        assert_eq!(typing.next().await, Step::Resize(1_000, 24));
    }

    #[tokio::test]
    async fn a_paste_is_written_in_pieces_and_no_more_is_held_than_was_allowed() {
        let typing = Typing::default();
        typing.allow(2 * WRITE_BYTES);
        typing.take(&vec![b'x'; 2 * WRITE_BYTES]).expect("allowed");
        assert_eq!(typing.take(b"y"), Err(Overrun));
        for _ in 0..2 {
            assert_eq!(typing.next().await, Step::Write(vec![b'x'; WRITE_BYTES]));
        }
        typing.allow(1);
        typing.take(b"y").expect("allowed again");
        assert_eq!(typing.next().await, Step::Write(b"y".to_vec()));
    }

    #[tokio::test]
    async fn a_process_that_writes_waits_for_its_reader_and_loses_nothing() {
        let (answers, mut answered) = mpsc::channel(64);
        let credit = Arc::new(Semaphore::new(10));
        let session = Session {
            request: 7,
            answers,
            credit: credit.clone(),
            pace: Arc::new(Mutex::new(Pace::new(1 << 40))),
            began: Instant::now(),
            typing: Arc::default(),
        };
        let shown = tokio::spawn(async move {
            let parts = [vec![b'a'; 10], vec![b'b'; super::super::pump::CHUNK_BYTES]];
            let mut source = Script(parts.into_iter().map(Bytes::from).collect());
            session.show(&mut source).await
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(answered.try_recv().is_err(), "there is no room for it");
        assert!(!shown.is_finished());
        credit.add_permits(1 << 20);
        assert_eq!(shown.await.expect("it ends"), Ok(()));
        let mut all = Vec::new();
        while let Ok(ControlAnswer {
            request: 7,
            answer: Some(Answer::Terminal(output)),
        }) = answered.try_recv()
        {
            all.extend(output.data);
        }
        assert_eq!(all.len(), 10 + (16 << 10));
    }
}
