//! What agents told, for as long as the history goes, and the map as it was at any moment of it.
//!
//! Fed as batches come in: [`Feeds`] only encode. Everything else is done off the async threads:
//! what gathered is taken and compressed by [`Archive::sweep`], and a moment is made by
//! [`Archive::recall`], one at a time, and kept for a while for whoever asks next.

mod feeds;
mod figures;
mod recalled;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mesoscope_history::{History, Limits, OutOfReach, Past, Reach};
use tokio::sync::Semaphore;

use crate::core::Core;
use crate::series::Recorder;

use feeds::Feed;
pub use feeds::Feeds;
pub use recalled::Recalled;

/// Moments that are kept for whoever asks next.
pub const MOMENTS_MAX: usize = 4;
/// Things in all moments that are kept; a moment that has more by itself is kept alone.
pub const MOMENT_THINGS_MAX: usize = 400_000;
/// A moment that nobody asked for is kept so long.
const MOMENT_KEEP: Duration = Duration::from_secs(60);
/// Moments made at the same time; further ones wait, and are refused after [`PATIENCE`].
const CONCURRENT_MAX: usize = 1;
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a moment can't be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PastRefused {
    /// The history does not go there.
    #[error(transparent)]
    OutOfReach(#[from] OutOfReach),
    /// Others are asking.
    #[error("other moments are being looked up")]
    Busy,
}

/// The history of this aggregator.
#[derive(Debug)]
pub struct Archive {
    core: Arc<Core>,
    series: Arc<Recorder>,
    topology_limits: mesoscope_topology::Limits,
    history: Mutex<History>,
    moments: Mutex<Vec<(Instant, Arc<Recalled>)>>,
    turns: Semaphore,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Archive {
    /// Nothing is known of the time before now.
    #[must_use]
    pub fn new(
        limits: Limits,
        topology_limits: mesoscope_topology::Limits,
        core: Arc<Core>,
        series: Arc<Recorder>,
    ) -> Arc<Self> {
        let archive = Arc::new(Self {
            history: Mutex::new(History::new(limits, core.now_ms())),
            core: core.clone(),
            series,
            topology_limits,
            moments: Mutex::default(),
            turns: Semaphore::new(CONCURRENT_MAX),
        });
        core.feeds().follow(&archive);
        archive
    }

    /// Under the lock of the history, so that notes stay in their order.
    fn take(&self, history: &mut History, feed: &Feed) {
        history.take(&feed.id, &feed.take(), self.core.now_ms());
    }

    /// Takes what waits of an agent at once: it is much.
    fn take_now(&self, feed: &Feed) {
        self.take(&mut lock(&self.history), feed);
    }

    /// Takes what agents have told, compresses it, and drops what is too old. Blocking; to be called
    /// every [`mesoscope_history::RESOLUTION_MS`].
    pub fn sweep(&self) {
        let feeds = self.core.feeds().all();
        let mut history = lock(&self.history);
        for feed in feeds {
            self.take(&mut history, &feed);
        }
        history.sweep(self.core.now_ms());
        drop(history);
        self.core.feeds().clean();
        lock(&self.moments).retain(|(used, _)| used.elapsed() < MOMENT_KEEP);
    }

    /// How far it goes, and how full it is.
    #[must_use]
    pub fn reach(&self) -> Reach {
        lock(&self.history).reach()
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> Limits {
        lock(&self.history).limits()
    }

    /// Moments that are kept, and the things in them.
    #[must_use]
    pub fn moments(&self) -> (usize, usize) {
        let moments = lock(&self.moments);
        let things = moments.iter().map(|(_, moment)| moment.things()).sum();
        (moments.len(), things)
    }

    /// The map as it was at a time, in Unix milliseconds.
    ///
    /// # Errors
    /// When the history does not go there, or others keep it busy.
    pub async fn recall(self: &Arc<Self>, time_ms: u64) -> Result<Arc<Recalled>, PastRefused> {
        let past = lock(&self.history).at(time_ms, self.core.now_ms())?;
        if let Some(known) = self.known(past.at_ms()) {
            return Ok(known);
        }
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(PastRefused::Busy);
        };
        // Who waited may have waited for the same moment.
        if let Some(known) = self.known(past.at_ms()) {
            return Ok(known);
        }
        let archive = self.clone();
        let made = tokio::task::spawn_blocking(move || archive.make(&past)).await;
        match made {
            Ok(made) => Ok(made),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn known(&self, at_ms: u64) -> Option<Arc<Recalled>> {
        let mut moments = lock(&self.moments);
        let (used, moment) = moments
            .iter_mut()
            .find(|(_, moment)| moment.at_ms() == at_ms)?;
        *used = Instant::now();
        Some(moment.clone())
    }

    fn make(&self, past: &Past) -> Arc<Recalled> {
        let moment = past.recall(self.topology_limits.clone());
        let made = Arc::new(Recalled::new(
            moment,
            self.core.clone(),
            self.series.clone(),
        ));
        let mut moments = lock(&self.moments);
        moments.push((Instant::now(), made.clone()));
        moments.sort_by_key(|(used, _)| *used);
        loop {
            let things: usize = moments.iter().map(|(_, moment)| moment.things()).sum();
            let full = moments.len() > MOMENTS_MAX || things > MOMENT_THINGS_MAX;
            if !full || moments.len() == 1 {
                break;
            }
            moments.remove(0);
        }
        drop(moments);
        made
    }
}
