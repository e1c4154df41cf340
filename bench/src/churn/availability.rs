//! For what share of the time that it was allowed to was the agent connected and its map complete?

use crate::stack::Stack;
use mesoscope_proto::v1::ListAgentsRequest;
use mesoscope_proto::v1::observe_client::ObserveClient;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

const ASK_EVERY: Duration = Duration::from_millis(50);

/// Whether a fault holds something down on purpose just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Everything may run.
    Allowed,
    /// A fault has stopped the agent or the aggregator and not started it again.
    NotAllowed,
}

/// Asks all the while.
pub struct Availability {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    phase: Phase,
    available: Duration,
    not_available: Duration,
    not_allowed: Duration,
    longest_gap: Duration,
    gap: Duration,
}

/// The sums.
#[derive(Serialize)]
pub struct Sums {
    percent: f64,
    available_s: f64,
    not_available_s: f64,
    not_allowed_s: f64,
    longest_gap_ms: f64,
}

impl State {
    fn add(&mut self, up: bool, span: Duration) {
        match (self.phase, up) {
            (Phase::NotAllowed, _) => self.not_allowed += span,
            (Phase::Allowed, true) => {
                self.available += span;
                self.gap = Duration::ZERO;
            }
            (Phase::Allowed, false) => {
                self.not_available += span;
                self.gap += span;
                self.longest_gap = self.longest_gap.max(self.gap);
            }
        }
    }
}

impl Availability {
    /// Begins.
    pub fn watch(stack: &Stack) -> Self {
        let state = State {
            phase: Phase::Allowed,
            available: Duration::ZERO,
            not_available: Duration::ZERO,
            not_allowed: Duration::ZERO,
            longest_gap: Duration::ZERO,
            gap: Duration::ZERO,
        };
        let state = Arc::new(Mutex::new(state));
        let into = state.clone();
        let url = stack.grpc_url();
        let task = tokio::spawn(async move {
            let mut last = Instant::now();
            let mut channel = None;
            loop {
                let up = ask(&url, &mut channel).await;
                let now = Instant::now();
                into.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .add(up, now - last);
                last = now;
                tokio::time::sleep(ASK_EVERY).await;
            }
        });
        Self { state, task }
    }

    /// A fault begins, or all may run again.
    pub fn set(&self, phase: Phase) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .phase = phase;
    }

    /// Ends.
    pub fn finish(self) -> Sums {
        self.task.abort();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (up, down) = (
            state.available.as_secs_f64(),
            state.not_available.as_secs_f64(),
        );
        Sums {
            percent: up / (up + down).max(f64::MIN_POSITIVE) * 100.0,
            available_s: up,
            not_available_s: down,
            not_allowed_s: state.not_allowed.as_secs_f64(),
            longest_gap_ms: state.longest_gap.as_secs_f64() * 1e3,
        }
    }
}

/// One question on a kept connection; it is made anew after a failure.
async fn ask(url: &str, channel: &mut Option<ObserveClient<Channel>>) -> bool {
    if channel.is_none() {
        let Ok(endpoint) = Endpoint::from_shared(url.to_owned()) else {
            return false;
        };
        *channel = endpoint
            .connect_timeout(ASK_EVERY)
            .connect()
            .await
            .ok()
            .map(ObserveClient::new);
    }
    let Some(client) = channel else { return false };
    match tokio::time::timeout(
        Duration::from_secs(1),
        client.list_agents(ListAgentsRequest {}),
    )
    .await
    {
        Ok(Ok(answer)) => answer
            .into_inner()
            .agents
            .iter()
            .any(|agent| agent.agent_id == "bench" && agent.connected && agent.complete),
        _ => {
            *channel = None;
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_is_not_allowed_does_not_count() {
        let mut state = State {
            phase: Phase::Allowed,
            available: Duration::ZERO,
            not_available: Duration::ZERO,
            not_allowed: Duration::ZERO,
            longest_gap: Duration::ZERO,
            gap: Duration::ZERO,
        };
        let second = Duration::from_secs(1);
        for (phase, up) in [
            (Phase::Allowed, true),
            (Phase::NotAllowed, false),
            (Phase::Allowed, false),
            (Phase::Allowed, false),
            (Phase::Allowed, true),
        ] {
            state.phase = phase;
            state.add(up, second);
        }
        assert_eq!(
            (
                state.available,
                state.not_available,
                state.not_allowed,
                state.longest_gap
            ),
            (2 * second, 2 * second, second, 2 * second)
        );
    }
}
