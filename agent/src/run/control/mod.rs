//! What operators ask of this node's containers, on a connection of its own: a long log never holds
//! the map back.
//!
//! | module | what it does |
//! |---|---|
//! | `session` | one stream to the aggregator: its requests, each bounded and answered |
//! | `pump` | a log, as fast as its reader takes it and as this agent may read |
//! | `terminal` | a command in a container, or its own process, both ways |
//! | `files` | files of a container, both ways |
//! | `pace` | the rate of all logs and terminals together |

mod files;
mod pace;
mod pump;
mod session;
mod terminal;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mesoscope_discover::containers::Engines;
use mesoscope_plugins::Plugins;
use mesoscope_proto::v1::ControlHello;
use mesoscope_service::token::Bearer;
use rand::Rng;
use tokio::sync::{Semaphore, watch};
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use pace::Pace;

/// Actions and inspections under way at most.
pub const ACTIONS_MAX: usize = 16;
/// Logs under way at most.
pub const LOGS_MAX: usize = 8;
/// Terminals under way at most.
pub const TERMINALS_MAX: usize = 8;
/// Requests on files under way at most: each may hold a thread that waits for a disk.
pub const FILES_MAX: usize = 4;
/// Bytes of all logs, terminals and files together per second: what an agent within its budget can read beside the map.
const LOG_BYTES_PER_S: u64 = 2 << 20;
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// An aggregator without control is asked again so seldom.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(60);

/// What is under way, shared with whoever shows it.
#[derive(Clone, Debug)]
pub struct Slots {
    actions: Arc<Semaphore>,
    logs: Arc<Semaphore>,
    terminals: Arc<Semaphore>,
    files: Arc<Semaphore>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            actions: Arc::new(Semaphore::new(ACTIONS_MAX)),
            logs: Arc::new(Semaphore::new(LOGS_MAX)),
            terminals: Arc::new(Semaphore::new(TERMINALS_MAX)),
            files: Arc::new(Semaphore::new(FILES_MAX)),
        }
    }
}

impl Slots {
    /// How much is under way.
    #[must_use]
    pub fn used(&self) -> Used {
        let used = |slots: &Semaphore, most: usize| most.saturating_sub(slots.available_permits());
        Used {
            actions: used(&self.actions, ACTIONS_MAX),
            logs: used(&self.logs, LOGS_MAX),
            terminals: used(&self.terminals, TERMINALS_MAX),
            files: used(&self.files, FILES_MAX),
        }
    }
}

/// What operators have under way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// Actions and inspections.
    pub actions: usize,
    /// Logs.
    pub logs: usize,
    /// Terminals, and commands that are waited for.
    pub terminals: usize,
    /// Requests on files.
    pub files: usize,
}

/// How the containers of this node are controlled.
#[derive(Debug)]
pub(super) struct Control {
    /// Where the map's stream is: control goes to the same aggregator.
    pub(super) target: watch::Receiver<Option<Endpoint>>,
    pub(super) bearer: Option<Bearer>,
    pub(super) hello: ControlHello,
    pub(super) engines: Engines,
    pub(super) slots: Slots,
    pub(super) plugins: Option<Plugins>,
}

/// Dials for ever.
pub(super) async fn run(control: Control) {
    let mut target = control.target.clone();
    let began = Instant::now();
    let pace = Arc::new(Mutex::new(Pace::new(LOG_BYTES_PER_S)));
    let mut backoff = BACKOFF_MIN;
    let mut told = None;
    loop {
        let Ok(endpoint) = target.wait_for(Option::is_some).await.map(|it| it.clone()) else {
            return;
        };
        let Some(endpoint) = endpoint else {
            continue;
        };
        let (status, lived) = tokio::select! {
            ended = session::run(&control, &endpoint, &pace, began) => ended,
            // Another aggregator looks after this agent, or none does.
            _ = target.changed() => {
                backoff = BACKOFF_MIN;
                continue;
            }
        };
        if lived {
            backoff = BACKOFF_MIN;
            told = None;
        }
        let unknown = status.code() == Code::Unimplemented;
        if told != Some(status.code()) {
            told = Some(status.code());
            tell(&status);
        }
        let pause = if unknown { UNKNOWN_PAUSE } else { backoff };
        let pause = pause.mul_f64(rand::rng().random_range(0.5..1.0));
        // A new target need not wait.
        let _ = tokio::time::timeout(pause, target.changed()).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

fn tell(status: &Status) {
    match status.code() {
        Code::Unimplemented => tracing::info!("the aggregator does not control containers"),
        // The uplink says it, or will be there in a moment.
        Code::Unavailable | Code::FailedPrecondition | Code::Ok => {
            tracing::debug!(reason = status.message(), "no stream for control");
        }
        code => {
            tracing::warn!(
                ?code,
                reason = status.message(),
                "no stream for control; trying again"
            );
        }
    }
}
