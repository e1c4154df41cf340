//! A log, from the engine to the aggregator: as fast as its reader takes it and as this agent may
//! read. Whoever follows and takes nothing for a while loses what comes then, and is told how much;
//! whoever reads a log to its end loses nothing, but is not waited for without end.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt;
use mesoscope_discover::containers::Log;
use mesoscope_discover::control::ControlError;
use mesoscope_proto::v1::{
    ControlAnswer, ControlOutcome, ControlResult, LogChunk, control_answer::Answer,
};
use prost::bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::pace::{Pace, paced};

/// Bytes of one chunk at most. Short lines are gathered, so that their number does not matter.
pub(super) const CHUNK_BYTES: usize = 16 << 10;
/// How long a reader who follows may take nothing before it begins to lose.
pub(super) const FOLLOW_PATIENCE: Duration = Duration::from_secs(5);
/// How long any other reader may.
pub(super) const READ_PATIENCE: Duration = Duration::from_secs(60);

/// Where the bytes of a log come from.
pub(super) trait Source: Send {
    /// The next ones, `None` at the end. May be dropped and asked again.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, ControlError>> + Send;
}

impl Source for Log {
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, ControlError>> + Send {
        Self::next(self)
    }
}

/// One log under way.
pub(super) struct Pump {
    pub(super) request: u64,
    pub(super) answers: mpsc::Sender<ControlAnswer>,
    /// Bytes that the aggregator takes now.
    pub(super) credit: Arc<Semaphore>,
    pub(super) pace: Arc<Mutex<Pace>>,
    /// What the pace counts from.
    pub(super) began: Instant,
    pub(super) follow: bool,
    pub(super) patience: Duration,
}

/// What was read and not sent yet, and how the log ended once it did.
#[derive(Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    pub(super) ended: Option<Result<(), ControlError>>,
}

impl Pump {
    /// Sends the log to its end, and gives the outcome. The aggregator may be gone; then so is the
    /// reader.
    pub(super) async fn run(self, source: &mut impl Source) -> ControlOutcome {
        // Empty: the log is there.
        self.send(Vec::new(), 0).await;
        let mut gathered = Gathered::default();
        let mut left_out = 0;
        while let Some(chunk) = gathered.next(source).await {
            let bytes = chunk.len();
            paced(&self.pace, self.began, bytes).await;
            if self.may_send(bytes, left_out > 0).await {
                self.send(chunk, std::mem::take(&mut left_out)).await;
            } else if self.follow {
                left_out += u64::try_from(bytes).unwrap_or(u64::MAX);
            } else {
                let seconds = self.patience.as_secs();
                return ControlOutcome {
                    result: ControlResult::Failed.into(),
                    message: format!("the reader took nothing for {seconds} s"),
                    ..ControlOutcome::default()
                };
            }
        }
        if left_out > 0 {
            self.send(Vec::new(), left_out).await;
        }
        outcome(gathered.ended.unwrap_or(Ok(())))
    }

    /// Whether the reader has room, soon or, when it is `losing` already, at once.
    async fn may_send(&self, bytes: usize, losing: bool) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let patience = if losing {
            Duration::ZERO
        } else {
            self.patience
        };
        match timeout(patience, self.credit.acquire_many(bytes)).await {
            Ok(Ok(permits)) => {
                permits.forget();
                true
            }
            _ => false,
        }
    }

    async fn send(&self, data: Vec<u8>, bytes_left_out: u64) {
        let chunk = LogChunk {
            data,
            bytes_left_out,
        };
        let answer = ControlAnswer {
            request: self.request,
            answer: Some(Answer::Log(chunk)),
        };
        // Without the stream, this task ends with its session.
        let _ = self.answers.send(answer).await;
    }
}

impl Gathered {
    /// What there is, up to a chunk; waits for some.
    pub(super) async fn next(&mut self, source: &mut impl Source) -> Option<Vec<u8>> {
        while self.ended.is_none() && self.bytes.len() < CHUNK_BYTES {
            let more = if self.bytes.is_empty() {
                source.next().await
            } else {
                match source.next().now_or_never() {
                    Some(more) => more,
                    None => break,
                }
            };
            match more {
                Ok(Some(more)) => self.bytes.extend_from_slice(&more),
                Ok(None) => self.ended = Some(Ok(())),
                Err(error) => self.ended = Some(Err(error)),
            }
        }
        let rest = self.bytes.split_off(self.bytes.len().min(CHUNK_BYTES));
        let chunk = std::mem::replace(&mut self.bytes, rest);
        (!chunk.is_empty()).then_some(chunk)
    }
}

/// What is said of how something went.
pub(super) fn outcome(done: Result<(), ControlError>) -> ControlOutcome {
    let Err(error) = done else {
        return ControlOutcome {
            result: ControlResult::Done.into(),
            ..ControlOutcome::default()
        };
    };
    let result = match error {
        ControlError::NotFound(_) => ControlResult::NotFound,
        ControlError::NoFile(_) => ControlResult::NoFile,
        ControlError::TooLarge(_) => ControlResult::TooLarge,
        ControlError::Conflict(_) => ControlResult::Conflict,
        ControlError::Unavailable(_) => ControlResult::Unavailable,
        ControlError::Failed(_) => ControlResult::Failed,
    };
    ControlOutcome {
        result: result.into(),
        message: error.to_string(),
        ..ControlOutcome::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    struct Script(VecDeque<Result<Bytes, ControlError>>);

    impl Source for Script {
        async fn next(&mut self) -> Result<Option<Bytes>, ControlError> {
            self.0.pop_front().transpose()
        }
    }

    fn lines(count: usize, bytes: usize) -> Script {
        let line = Bytes::from(vec![b'a'; bytes]);
        Script((0..count).map(|_| Ok(line.clone())).collect())
    }

    fn pump(window: usize, follow: bool) -> (Pump, mpsc::Receiver<ControlAnswer>) {
        let (answers, answered) = mpsc::channel(1_024);
        let pump = Pump {
            request: 7,
            answers,
            credit: Arc::new(Semaphore::new(window)),
            pace: Arc::new(Mutex::new(Pace::new(1 << 40))),
            began: Instant::now(),
            follow,
            patience: Duration::from_millis(20),
        };
        (pump, answered)
    }

    fn chunks(answered: &mut mpsc::Receiver<ControlAnswer>) -> Vec<LogChunk> {
        let all = std::iter::from_fn(|| answered.try_recv().ok());
        all.map(|answer| match answer.answer {
            Some(Answer::Log(chunk)) if answer.request == 7 => chunk,
            other => panic!("{other:?}"),
        })
        .collect()
    }

    #[tokio::test]
    async fn short_lines_are_gathered_and_long_ones_cut() {
        let (pump, mut answered) = pump(1 << 20, false);
        let mut source = lines(1_000, 30);
        source.0.extend(lines(1, 100_000).0);
        let outcome = pump.run(&mut source).await;
        assert_eq!(outcome.result(), ControlResult::Done);
        let chunks = chunks(&mut answered);
        assert!(
            chunks[0].data.is_empty(),
            "it is said that the log is there"
        );
        assert!(chunks.len() < 12, "{}", chunks.len());
        assert!(chunks.iter().all(|chunk| chunk.data.len() <= CHUNK_BYTES));
        let bytes: usize = chunks.iter().map(|chunk| chunk.data.len()).sum();
        assert_eq!(bytes, 130_000);
    }

    #[tokio::test]
    async fn who_follows_and_takes_nothing_loses_and_is_told_how_much() {
        let (pump, mut answered) = pump(CHUNK_BYTES, true);
        let credit = pump.credit.clone();
        let began = Instant::now();
        let outcome = pump.run(&mut lines(100, CHUNK_BYTES)).await;
        assert_eq!(outcome.result(), ControlResult::Done);
        // Waited for once, not for each chunk.
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
        let chunks = chunks(&mut answered);
        let sent: usize = chunks.iter().map(|chunk| chunk.data.len()).sum();
        let left_out: u64 = chunks.iter().map(|chunk| chunk.bytes_left_out).sum();
        assert_eq!(sent, CHUNK_BYTES);
        assert_eq!(left_out, 99 * 16_384);
        assert_eq!(credit.available_permits(), 0);
    }

    #[tokio::test]
    async fn who_reads_to_the_end_loses_nothing_and_is_not_waited_for_without_end() {
        let (slow, mut answered) = pump(CHUNK_BYTES, false);
        let outcome = slow.run(&mut lines(3, CHUNK_BYTES)).await;
        assert_eq!(outcome.result(), ControlResult::Failed);
        assert!(outcome.message.contains("took nothing"), "{outcome:?}");
        assert!(
            chunks(&mut answered)
                .iter()
                .all(|chunk| chunk.bytes_left_out == 0)
        );

        let (steady, mut answered) = pump(CHUNK_BYTES, false);
        let credit = steady.credit.clone();
        let reader = tokio::spawn(async move {
            let mut bytes = 0;
            while let Some(ControlAnswer {
                answer: Some(Answer::Log(chunk)),
                ..
            }) = answered.recv().await
            {
                bytes += chunk.data.len();
                credit.add_permits(chunk.data.len());
            }
            bytes
        });
        let outcome = steady.run(&mut lines(50, CHUNK_BYTES)).await;
        assert_eq!(outcome.result(), ControlResult::Done);
        assert_eq!(reader.await.expect("it reads"), 50 * CHUNK_BYTES);
    }

    #[tokio::test]
    async fn an_engine_that_goes_away_is_said_after_what_it_told() {
        let (pump, mut answered) = pump(1 << 20, true);
        let mut source = lines(1, 10);
        source
            .0
            .push_back(Err(ControlError::Unavailable("gone".to_owned())));
        let outcome = pump.run(&mut source).await;
        assert_eq!(outcome.result(), ControlResult::Unavailable);
        assert_eq!(outcome.message, "gone");
        assert_eq!(
            chunks(&mut answered).last().map(|chunk| chunk.data.len()),
            Some(10)
        );
    }
}
