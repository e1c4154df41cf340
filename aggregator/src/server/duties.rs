//! What has to be done again and again as time passes.

use std::sync::Arc;
use std::time::Duration;

use mesoscope_access::Audit;
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::core::Core;
use crate::ingest::{REPORT_WITHIN, Registry};
use crate::metrics::Metrics;
use crate::series::Recorder;
use crate::store::{Presence, Settings};

/// Reporters that went silent are looked for so often.
const REPORTERS_PERIOD: Duration = Duration::from_secs(5);

/// Lets time pass in the topology.
pub(super) async fn run_core(core: Arc<Core>, drain: CancellationToken) -> anyhow::Result<()> {
    core.run(drain).await;
    Ok(())
}

/// Looks for reporters that went silent.
pub(super) async fn expire_reporters(
    registry: Arc<Registry>,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    while drain
        .run_until_cancelled(tokio::time::sleep(REPORTERS_PERIOD))
        .await
        .is_some()
    {
        let registry = registry.clone();
        tokio::task::spawn_blocking(move || registry.expire_reporters(REPORT_WITHIN)).await?;
    }
    Ok(())
}

/// Lets time pass in the history.
pub(super) async fn sweep_archive(
    archive: Arc<Archive>,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    let period = Duration::from_millis(mesoscope_history::RESOLUTION_MS);
    while drain
        .run_until_cancelled(tokio::time::sleep(period))
        .await
        .is_some()
    {
        let archive = archive.clone();
        tokio::task::spawn_blocking(move || archive.sweep()).await?;
    }
    Ok(())
}

/// Lets time pass in the series.
pub(super) async fn sweep_series(
    series: Arc<Recorder>,
    core: Arc<Core>,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    let period = Duration::from_millis(mesoscope_series::COARSE_STEP_MS);
    while drain
        .run_until_cancelled(tokio::time::sleep(period))
        .await
        .is_some()
    {
        let (series, core) = (series.clone(), core.clone());
        tokio::task::spawn_blocking(move || {
            let now_ms = core.now_ms();
            series.sweep(now_ms, |key, id| core.read().find_agent(id) == Some(key));
        })
        .await?;
    }
    Ok(())
}

/// Takes away what nobody needs any more.
#[derive(Debug, Clone)]
pub(super) struct Cleaner {
    pub(super) core: Arc<Core>,
    pub(super) registry: Arc<Registry>,
    pub(super) settings: Arc<Settings>,
    pub(super) audit: Arc<Audit>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) missing_ms_max: u64,
}

impl Cleaner {
    /// Blocks for the disk.
    fn clean(&self) {
        self.registry.clean();
        if let Err(error) = self.audit.clean() {
            tracing::warn!(%error, "the audit keeps more than it should");
        }
        let presence = |agent_id: &str| {
            if !self.registry.is_connected(agent_id) {
                return Presence::Away;
            }
            match self.core.read().containers_reported(agent_id) {
                Some(ids) => Presence::With(ids.iter().map(ToString::to_string).collect()),
                None => Presence::Connected,
            }
        };
        let now_ms = self.core.now_ms();
        if let Err(error) = self.settings.clean(now_ms, self.missing_ms_max, presence) {
            self.metrics.settings.write_errors.inc();
            tracing::warn!(%error, "settings of what is gone stay for now");
        }
    }
}

pub(super) async fn clean(
    cleaner: Cleaner,
    period: Duration,
    drain: CancellationToken,
) -> anyhow::Result<()> {
    while drain
        .run_until_cancelled(tokio::time::sleep(period))
        .await
        .is_some()
    {
        let cleaner = cleaner.clone();
        tokio::task::spawn_blocking(move || cleaner.clean()).await?;
    }
    Ok(())
}
