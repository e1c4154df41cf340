//! Takes the values, and makes the requests.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::body::Bytes;
use mesoscope_proto::v1::{Node, ViewOptions};
use mesoscope_topology::{Options, ViewKind};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::figures::Figures;
use super::queue::{Outcome, Queue, Step};
use super::stats::Stats;
use super::wire;
use crate::core::Core;
use crate::outward::{Answer, Target};
use crate::views::Views;

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(30);
const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");

/// Where values are written to.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The receiver.
    pub target: Target,
    /// `Bearer TOKEN`.
    pub authorization: Option<HeaderValue>,
    /// How often values are taken.
    pub interval: Duration,
    /// Bytes that may wait.
    pub bytes_max: usize,
    /// Series that are written.
    pub series_max: usize,
}

/// Writes the values of hosts and containers.
#[derive(Debug)]
pub struct RemoteWrite {
    wanted: Wanted,
    core: Arc<Core>,
    views: Arc<Views>,
    queue: Mutex<Queue>,
    series: AtomicUsize,
    left_out: AtomicU64,
    wake: Notify,
}

impl RemoteWrite {
    /// Writes what these views show.
    #[must_use]
    pub fn new(wanted: Wanted, core: Arc<Core>, views: Arc<Views>) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::new(Queue::new(wanted.bytes_max)),
            series: AtomicUsize::new(0),
            left_out: AtomicU64::new(0),
            wanted,
            core,
            views,
            wake: Notify::new(),
        })
    }

    /// How it does.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let queue = self.queue();
        let (bytes, bytes_max) = queue.fill();
        Stats {
            bytes,
            bytes_max,
            series: self.series.load(Ordering::Relaxed),
            series_max: self.wanted.series_max,
            left_out: self.left_out.load(Ordering::Relaxed),
            counts: queue.counts,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until the drain. What then waits is not written.
    ///
    /// # Errors
    /// None.
    pub async fn run(self: Arc<Self>, drain: CancellationToken) -> anyhow::Result<()> {
        tokio::select! {
            () = drain.cancelled() => {}
            () = self.take() => {}
            () = self.deliver() => {}
        }
        Ok(())
    }

    async fn take(&self) {
        let mut figures = Figures::new(self.wanted.series_max);
        let mut period = tokio::time::interval(self.wanted.interval);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            let standings = self.core.read().standings();
            let connected = standings.iter().filter(|agent| agent.connected);
            let connected: HashSet<String> = connected
                .map(|agent| format!("host;{}", agent.id))
                .collect();
            let hosts = self.nodes(ViewKind::Hosts).await;
            let containers = self.nodes(ViewKind::Containers).await;
            let (Some(hosts), Some(containers)) = (hosts, containers) else {
                tracing::warn!("no values are written now: too many views are watched");
                continue;
            };
            let now_ms = self.core.now_ms();
            let taken = figures.of(&hosts, &containers, &connected, now_ms, |part| {
                let samples = u64::try_from(part.len()).unwrap_or(u64::MAX);
                match wire::body(part) {
                    Ok(body) => self.queue().push(body.into(), samples),
                    Err(error) => tracing::error!(%error, "values can't be compressed"),
                }
            });
            self.series.store(taken.series, Ordering::Relaxed);
            let before = self.left_out.fetch_add(taken.left_out, Ordering::Relaxed);
            if taken.left_out > 0 && before == 0 {
                let most = self.wanted.series_max;
                tracing::warn!(
                    most,
                    "some values are not written: there are more series than may be"
                );
            }
            self.wake.notify_one();
        }
    }

    async fn nodes(&self, kind: ViewKind) -> Option<Vec<Node>> {
        let asked = ViewOptions {
            unconnected: Some(true),
            ended: Some(false),
            system: Some(true),
            uncontained: Some(false),
            ..Default::default()
        };
        let view = self.views.snapshot(kind, Options::new(kind, &asked)).await;
        view.ok().map(|view| view.nodes)
    }

    async fn deliver(&self) {
        loop {
            let step = self.queue().next(self.core.now_ms());
            match step {
                Step::Rest => self.wake.notified().await,
                Step::Wait { until_ms } => {
                    let wait_ms = until_ms.saturating_sub(self.core.now_ms()).max(1);
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                }
                Step::Send(body) => {
                    let outcome = self.send(body).await;
                    self.queue().went(outcome, self.core.now_ms());
                }
            }
        }
    }

    async fn send(&self, body: Bytes) -> Outcome {
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        let mut headers = vec![
            (CONTENT_TYPE, protobuf),
            (CONTENT_ENCODING, HeaderValue::from_static("snappy")),
            (VERSION, HeaderValue::from_static("0.1.0")),
        ];
        let token = self.wanted.authorization.clone();
        headers.extend(token.map(|token| (AUTHORIZATION, token)));
        match self.wanted.target.post(&headers, body, PATIENCE).await {
            Ok(answer) => {
                let outcome = outcome(&answer);
                if outcome != Outcome::Taken {
                    let status = answer.status;
                    let said = answer.text.chars().take(200).collect::<String>();
                    tracing::warn!(status, said, ?outcome, "values were not taken");
                }
                outcome
            }
            Err(error) => {
                tracing::warn!(%error, "values were not taken");
                Outcome::Failed {
                    retry_after_ms: None,
                }
            }
        }
    }
}

/// What an answer means, as the specification has it: 5xx and 429 are tried again, others not.
fn outcome(answer: &Answer) -> Outcome {
    match answer.status {
        200..=299 => Outcome::Taken,
        429 | 500.. => Outcome::Failed {
            retry_after_ms: answer.retry_after_ms,
        },
        _ => Outcome::Refused,
    }
}
