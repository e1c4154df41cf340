//! What people do to containers, carried out by the agents.
//!
//! | file | what it does |
//! |---|---|
//! | `mod.rs` | which agent is asked, how long it may take, what came of it |
//! | `requests.rs` | the requests of one stream that wait for their answers (no I/O) |
//! | `log.rs` | a log on its way from an agent to a slow reader, bounded (no I/O) |
//! | `terminal.rs` | a terminal or file between an agent and whoever sits before it, bounded (no I/O) |
//! | `flows.rs` | reading a log, sitting before a terminal, carrying a file |
//! | `service.rs` | the gRPC service that agents open |
//! | `routed.rs` | agents that are asked through another member, and for one |

mod flows;
mod log;
mod requests;
mod routed;
mod service;
mod terminal;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesoscope_proto::v1::control_request::Message;
use mesoscope_proto::v1::{ControlOutcome, ControlRequest, ControlResult};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::ingest::Hub;
pub use flows::{LogReader, Terminal};
use requests::Requests;
pub use routed::{Answers, ROUTED_MAX, RouteServer};
pub use service::{ControlService, MESSAGE_BYTES_MAX};

/// Longer than an agent waits for its engine, so that its answer comes first.
const OUTCOME_PATIENCE: Duration = Duration::from_secs(120);
/// How long a log or terminal may take to begin.
const BEGIN_PATIENCE: Duration = Duration::from_secs(45);
/// Bytes of one log or terminal that may be under way.
const WINDOW_BYTES: u32 = 256 << 10;
/// Logs under way at most, of all agents: with the window, what they may hold.
pub const LOGS_MAX: usize = 128;
/// Terminals under way at most, of all agents, and commands that are waited for.
pub const TERMINALS_MAX: usize = 64;
/// Files that are read or written at most, of all agents.
pub const FILES_MAX: usize = 32;
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
    /// Agents that another member asks.
    routes: Mutex<HashMap<String, routed::Route>>,
    /// The other members, which ask through this one.
    hub: Arc<Hub>,
    logs: Arc<Semaphore>,
    terminals: Arc<Semaphore>,
    files: Arc<Semaphore>,
}

impl Control {
    /// Nobody can be asked yet. The members that follow `hub` are told who can.
    #[must_use]
    pub fn new(hub: Arc<Hub>) -> Self {
        Self {
            links: Mutex::default(),
            routes: Mutex::default(),
            hub,
            logs: Arc::new(Semaphore::new(LOGS_MAX)),
            terminals: Arc::new(Semaphore::new(TERMINALS_MAX)),
            files: Arc::new(Semaphore::new(FILES_MAX)),
        }
    }
}

/// One agent's stream.
#[derive(Debug)]
struct Link {
    /// The agent's, so that a stream of an earlier start is not asked.
    generation: u64,
    requests: Mutex<Requests>,
    outbox: Outbox,
    /// Ends the stream.
    closed: CancellationToken,
}

/// The way to an agent.
#[derive(Debug)]
enum Outbox {
    Agent(mpsc::Sender<Result<ControlRequest, Status>>),
    Member(routed::Outward),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    fn is_of(&self, generation: u64) -> bool {
        self.generation == generation && !self.closed.is_cancelled()
    }

    fn tell(&self, request: u64, message: Message) {
        let message = ControlRequest {
            request,
            message: Some(message),
        };
        let told = match &self.outbox {
            Outbox::Agent(outbox) => outbox.try_send(Ok(message)).is_ok(),
            Outbox::Member(outward) => outward.tell(self.generation, message),
        };
        if !told {
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

    /// Terminals under way.
    #[must_use]
    pub fn terminals(&self) -> usize {
        TERMINALS_MAX.saturating_sub(self.terminals.available_permits())
    }

    /// Files that are read or written.
    #[must_use]
    pub fn files(&self) -> usize {
        FILES_MAX.saturating_sub(self.files.available_permits())
    }

    /// Requests that wait for their answers, and how many may.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let links = lock(&self.links);
        let waiting = links.values().map(|link| lock(&link.requests).waiting());
        (waiting.sum(), links.len() * requests::WAITING_MAX)
    }

    fn link(&self, agent_id: &str, generation: u64) -> Option<Arc<Link>> {
        self.link_here(agent_id, generation).or_else(|| {
            let routes = lock(&self.routes);
            let link = routes.get(agent_id).map(|route| &route.link);
            link.filter(|link| link.is_of(generation)).cloned()
        })
    }

    /// The stream of an agent to this member itself.
    fn link_here(&self, agent_id: &str, generation: u64) -> Option<Arc<Link>> {
        let links = lock(&self.links);
        links
            .get(agent_id)
            .filter(|link| link.is_of(generation))
            .cloned()
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
}

/// What is not done is an error.
fn done(outcome: ControlOutcome) -> Result<ControlOutcome, ControlError> {
    match outcome.result() {
        ControlResult::Done => Ok(outcome),
        result => Err(ControlError::Refused(result, outcome.message)),
    }
}
