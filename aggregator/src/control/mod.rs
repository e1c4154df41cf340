//! What people do to containers, carried out by the agents.
//!
//! | file | what it does |
//! |---|---|
//! | `mod.rs` | which agent is asked, how long it may take, what came of it |
//! | `requests.rs` | the requests of one stream that wait for their answers (no I/O) |
//! | `log.rs` | a log on its way from an agent to a slow reader, bounded (no I/O) |
//! | `service.rs` | the gRPC service that agents open |

mod log;
mod requests;
mod service;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::{
    ContainerLogs, ControlCancel, ControlOutcome, ControlRequest, ControlResult, LogCredit,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use log::Pipe;
use requests::Requests;
pub use service::{ControlService, MESSAGE_BYTES_MAX};

/// Longer than an agent waits for its engine, so that its answer comes first.
const OUTCOME_PATIENCE: Duration = Duration::from_secs(120);
/// How long a log may take to begin.
const LOG_PATIENCE: Duration = Duration::from_secs(45);
/// Bytes of one log that may be under way.
const WINDOW_BYTES: u32 = 256 << 10;
/// Logs under way at most, of all agents: with the window, what they may hold.
pub const LOGS_MAX: usize = 128;
/// Requests that wait for an agent to read them.
const OUTBOX: usize = 256;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The agent has no stream for control.
    #[error("the agent {0:?} does not control containers now")]
    NotThere(String),
    /// A bound is reached.
    #[error("as much as this aggregator allows is under way already")]
    TooMany,
    /// The stream ended before the answer. Whether it was done is not known.
    #[error("the agent went away before it answered")]
    Gone,
    /// The agent did not answer in time. Whether it will be done is not known.
    #[error("the agent has not answered in time")]
    Late,
    /// The agent says why not.
    #[error("{1}")]
    Refused(ControlResult, String),
}

/// The agents' streams for control.
#[derive(Debug)]
pub struct Control {
    links: Mutex<HashMap<String, Arc<Link>>>,
    logs: Arc<Semaphore>,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            links: Mutex::default(),
            logs: Arc::new(Semaphore::new(LOGS_MAX)),
        }
    }
}

/// One agent's stream.
#[derive(Debug)]
struct Link {
    /// The agent's, so that a stream of an earlier start is not asked.
    generation: u64,
    requests: Mutex<Requests>,
    outbox: mpsc::Sender<Result<ControlRequest, Status>>,
    /// Ends the stream.
    closed: CancellationToken,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    fn tell(&self, request: u64, message: Message) {
        let message = ControlRequest {
            request,
            message: Some(message),
        };
        if self.outbox.try_send(Ok(message)).is_err() {
            // It does not read.
            self.closed.cancel();
        }
    }
}

impl Control {
    /// Whether this start of an agent can be asked.
    #[must_use]
    pub fn is_there(&self, agent_id: &str, generation: u64) -> bool {
        self.link(agent_id, generation).is_some()
    }

    /// Logs under way.
    #[must_use]
    pub fn logs(&self) -> usize {
        LOGS_MAX.saturating_sub(self.logs.available_permits())
    }

    /// Requests that wait for their answers, and how many may.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let links = lock(&self.links);
        let waiting = links.values().map(|link| lock(&link.requests).waiting());
        (waiting.sum(), links.len() * requests::WAITING_MAX)
    }

    fn link(&self, agent_id: &str, generation: u64) -> Option<Arc<Link>> {
        let links = lock(&self.links);
        let link = links.get(agent_id)?;
        (link.generation == generation && !link.closed.is_cancelled()).then(|| link.clone())
    }

    /// Asks an agent, and waits for what came of it.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn ask(
        &self,
        agent_id: &str,
        generation: u64,
        message: Message,
    ) -> Result<ControlOutcome, ControlError> {
        let link = self.link(agent_id, generation);
        let link = link.ok_or_else(|| ControlError::NotThere(agent_id.to_owned()))?;
        let (number, answer) = lock(&link.requests).open().ok_or(ControlError::TooMany)?;
        link.tell(number, message);
        let waited = timeout(OUTCOME_PATIENCE, answer).await;
        lock(&link.requests).forget(number);
        let outcome = waited.map_err(|_| ControlError::Late)?;
        done(outcome.map_err(|_| ControlError::Gone)?)
    }

    /// Begins to read a log.
    ///
    /// # Errors
    /// [`ControlError`].
    pub async fn read_log(
        &self,
        agent_id: &str,
        generation: u64,
        asked: ContainerLogs,
    ) -> Result<LogReader, ControlError> {
        let link = self.link(agent_id, generation);
        let link = link.ok_or_else(|| ControlError::NotThere(agent_id.to_owned()))?;
        let slot = self.logs.clone().try_acquire_owned();
        let slot = slot.map_err(|_| ControlError::TooMany)?;
        let opened = lock(&link.requests).open_log(WINDOW_BYTES);
        let (number, pipe) = opened.ok_or(ControlError::TooMany)?;
        let asked = ContainerLogs {
            window_bytes: WINDOW_BYTES,
            ..asked
        };
        link.tell(number, Message::Logs(asked));
        // From here on, dropping it tells the agent.
        let reader = LogReader {
            link,
            number,
            pipe,
            owed: 0,
            _slot: slot,
        };
        let began = timeout(LOG_PATIENCE, reader.pipe.begun()).await;
        match began.map_err(|_| ControlError::Late)? {
            Ok(()) => Ok(reader),
            Err(outcome) => done(outcome).and(Ok(reader)),
        }
    }
}

/// What is not done is an error.
fn done(outcome: ControlOutcome) -> Result<ControlOutcome, ControlError> {
    match outcome.result() {
        ControlResult::Done => Ok(outcome),
        result => Err(ControlError::Refused(result, outcome.message)),
    }
}

/// A log under way. Dropping it ends the reading at the agent, too.
#[derive(Debug)]
pub struct LogReader {
    link: Arc<Link>,
    number: u64,
    pipe: Arc<Pipe>,
    /// Bytes that were taken, and that the agent may send anew.
    owed: u32,
    _slot: OwnedSemaphorePermit,
}

impl LogReader {
    /// The next bytes, as text to show: what was left out is said in a line. `None` at the end.
    /// What was given before counts as taken.
    pub async fn next(&mut self) -> Option<Bytes> {
        if self.owed > 0 {
            let bytes = std::mem::take(&mut self.owed);
            let credit = Message::Credit(LogCredit { bytes });
            self.link.tell(self.number, credit);
        }
        let (text, owed) = self.pipe.next().await?;
        self.owed = owed;
        Some(text.into())
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        if lock(&self.link.requests).forget(self.number) {
            let cancel = Message::Cancel(ControlCancel {});
            self.link.tell(self.number, cancel);
        }
    }
}
