//! Which views are kept: those that somebody looks at, and for a while after.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mesoscope_proto::v1::{Incomplete, TopologyDiff};
use mesoscope_topology::{Options, ViewKind};
use tokio_util::sync::CancellationToken;

use super::past::PastPlaces;
use super::shared::{DIFF_PERIOD, SharedView};
use super::subscription::Subscription;
use crate::archive::Recalled;
use crate::core::Core;
use crate::metrics::Metrics;

/// Different views (kind and options) kept at once.
pub const VIEWS_MAX: usize = 64;
/// A view that nobody looks at is kept so long, so that a reloaded page finds its places again.
const LINGER: Duration = Duration::from_secs(60);

/// Subscribers of all views together.
pub const SUBSCRIBERS_MAX: usize = 1_024;

/// A bound of the views is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ViewsFull {
    /// Too many different views are looked at.
    #[error(
        "{VIEWS_MAX} different views are in use already; ask for one with the same options as another"
    )]
    Views,
    /// Too many subscribers.
    #[error("{SUBSCRIBERS_MAX} subscribers follow views already")]
    Subscribers,
}

/// The views of this aggregator.
#[derive(Debug)]
pub struct Views {
    core: Arc<Core>,
    metrics: Arc<Metrics>,
    banner: Option<Incomplete>,
    drain: CancellationToken,
    shared: Mutex<HashMap<(ViewKind, Options), Arc<SharedView>>>,
    past: PastPlaces,
}

impl Views {
    /// No view yet. `banner` is shown in each beside what the topology lacks.
    #[must_use]
    pub fn new(
        core: Arc<Core>,
        metrics: Arc<Metrics>,
        banner: Option<Incomplete>,
        drain: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            core,
            metrics,
            banner,
            drain,
            shared: Mutex::default(),
            past: PastPlaces::default(),
        })
    }

    /// The whole view as it was.
    pub async fn past(
        self: &Arc<Self>,
        kind: ViewKind,
        options: Options,
        moment: Arc<Recalled>,
    ) -> TopologyDiff {
        let views = self.clone();
        off_thread(move || {
            let key = (kind, options);
            let live = views.all().get(&key).cloned();
            let mut diff = views.past.view(key, &moment, live.as_deref());
            diff.incomplete.extend(views.banner.clone());
            diff
        })
        .await
    }

    /// Views whose nodes have places in the past.
    #[must_use]
    pub fn past_kept(&self) -> usize {
        self.past.kept()
    }

    /// Follows a view: the whole of it first, then each difference.
    ///
    /// # Errors
    /// When too many different views are in use, or too many subscribers.
    pub async fn subscribe(
        self: &Arc<Self>,
        kind: ViewKind,
        options: Options,
        transport: &'static str,
    ) -> Result<Subscription, ViewsFull> {
        if self.subscribers() >= SUBSCRIBERS_MAX {
            return Err(ViewsFull::Subscribers);
        }
        let shared = self.shared(kind, options)?;
        let gauge = self
            .metrics
            .views
            .subscribers
            .with_label_values(&[transport]);
        Ok(Subscription::new(shared, gauge).await)
    }

    /// The whole view as it is.
    ///
    /// # Errors
    /// When too many different views are in use.
    pub async fn snapshot(
        self: &Arc<Self>,
        kind: ViewKind,
        options: Options,
    ) -> Result<TopologyDiff, ViewsFull> {
        let shared = self.shared(kind, options)?;
        Ok(off_thread(move || shared.snapshot()).await)
    }

    /// Updates the figures of how large the views are.
    pub fn measure(&self) {
        let shared: Vec<Arc<SharedView>> = self.all().values().cloned().collect();
        for kind in ViewKind::ALL {
            let of_kind = || shared.iter().filter(|view| view.kind == kind);
            let (nodes, edges) = of_kind().map(|view| view.size()).max().unwrap_or_default();
            let set = |gauge: &prometheus::IntGaugeVec, value: usize| {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                gauge.with_label_values(&[kind.name()]).set(value);
            };
            set(&self.metrics.views.shared, of_kind().count());
            set(&self.metrics.views.nodes, nodes);
            set(&self.metrics.views.edges, edges);
        }
    }

    /// How many different views are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.all().len()
    }

    /// How many subscribers all views have.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        let gauge = &self.metrics.views.subscribers;
        let counts = ["websocket", "grpc"].map(|name| gauge.with_label_values(&[name]).get());
        usize::try_from(counts.iter().sum::<i64>()).unwrap_or(0)
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<(ViewKind, Options), Arc<SharedView>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(
        self: &Arc<Self>,
        kind: ViewKind,
        options: Options,
    ) -> Result<Arc<SharedView>, ViewsFull> {
        let key = (kind, options);
        let mut all = self.all();
        if let Some(shared) = all.get(&key) {
            return Ok(shared.clone());
        }
        if all.len() >= VIEWS_MAX {
            let longest = all
                .iter()
                .filter(|(_, view)| !view.is_watched())
                .max_by_key(|(_, view)| view.unused())
                .map(|(key, _)| key.clone());
            all.remove(&longest.ok_or(ViewsFull::Views)?);
        }
        let shared = Arc::new(SharedView::new(
            kind,
            key.1.clone(),
            self.core.clone(),
            self.metrics.clone(),
            self.banner.clone(),
        ));
        all.insert(key.clone(), shared.clone());
        drop(all);
        tokio::spawn(self.clone().keep(key, shared.clone()));
        Ok(shared)
    }

    /// Makes the differences of one view for as long as it is kept.
    async fn keep(self: Arc<Self>, key: (ViewKind, Options), shared: Arc<SharedView>) {
        let mut changes = self.core.changes();
        // When the first change came that no difference holds yet.
        let mut waiting: Option<Instant> = None;
        loop {
            if waiting.is_none() {
                let changed = self.drain.run_until_cancelled(changes.changed()).await;
                if !matches!(changed, Some(Ok(()))) {
                    return;
                }
            }
            let since = waiting.take().unwrap_or_else(Instant::now);
            if self.drain.is_cancelled() || self.forget(&key, &shared) {
                return;
            }
            let due = tokio::time::Instant::now() + DIFF_PERIOD;
            if shared.is_watched() {
                changes.mark_unchanged();
                let view = shared.clone();
                if off_thread(move || view.refresh()).await {
                    let latency = since.elapsed().as_secs_f64();
                    self.metrics.views.diff_latency.observe(latency);
                }
            }
            // The first change after a quiet time goes out at once, those that follow together.
            if let Ok(Ok(())) = tokio::time::timeout_at(due, changes.changed()).await {
                waiting = Some(Instant::now());
                tokio::time::sleep_until(due).await;
            }
        }
    }

    fn forget(&self, key: &(ViewKind, Options), shared: &Arc<SharedView>) -> bool {
        let mut all = self.all();
        let kept = all.get(key).is_some_and(|kept| Arc::ptr_eq(kept, shared));
        // The map and its keeper hold it; a third is about to subscribe.
        if kept && shared.unused() > LINGER && Arc::strong_count(shared) <= 2 {
            all.remove(key);
            return true;
        }
        !kept && !shared.is_watched()
    }
}

/// Runs work that may take milliseconds beside the async threads.
pub(super) async fn off_thread<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
