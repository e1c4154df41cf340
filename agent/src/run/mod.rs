//! The loop that feeds the core from kernel, `/proc`, runtimes and conntrack.
//!
//! | module | what it does |
//! |---|---|
//! | [`edges`] | what the configuration means for the crates around; TLS and tokens are read here |
//! | [`reader`] | the thread for everything that blocks: `/proc`, cgroup files, sock_diag |
//! | [`cgroups`] | the cgroup tree as the core wants it |
//! | [`runtimes`] | what the container runtimes tell |
//! | `start` | attach, then snapshot, then replay |
//! | `driver` | the loop: who is heard, and when |
//! | `duties` | what the driver does again and again |
//! | `losses` | what it does after a loss |
//! | [`control`] | what operators ask of this node's containers |
//! | `plugins` | what plugins want of this node |
//! | `tier2` | tier 2 as the aggregator asks for it |
//! | `report` | what the driver tells of itself |

pub mod cgroups;
pub mod control;
mod driver;
mod duties;
pub mod edges;
mod losses;
mod plugins;
pub mod reader;
mod report;
pub mod runtimes;
mod start;
mod tier2;

use anyhow::Context;
use mesoscope_service::http::serve;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::api::{http, uplink};
use crate::config::Config;

pub use edges::Edges;

/// How long plugins may take to end.
const PLUGINS_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs the agent until the drain.
///
/// # Errors
/// When the address of /metrics can't be bound, or nothing at all can be observed.
pub async fn run(config: Config, edges: Edges, drain: CancellationToken) -> anyhow::Result<()> {
    let (asks, asked) = mpsc::channel(8);
    let listener = edges.listen(&config).await?;
    tracing::info!(address = %listener.address(), "listening for /metrics and /health");
    let service = http::router(asks, edges.access.clone());
    let server = tokio::spawn(serve(listener, service, drain.clone()));
    let mut driver = start::start(&config, &edges)
        .await
        .context("starting to observe")?;
    // They end before the agent does, and are heard until then.
    let plugins_stop = CancellationToken::new();
    let plugins_task = driver.start_plugins(&config, plugins_stop.clone());
    let (told, uplink_events) = mpsc::channel(8);
    let (in_use, target) = watch::channel(None);
    let control = driver.control(&config, &edges, target);
    let control = control.map(|control| tokio::spawn(control::run(control)));
    let dialer = tokio::spawn(uplink::run(edges.dial, told, in_use));
    driver.run(uplink_events, asked, &drain).await;
    plugins_stop.cancel();
    if let Some(mut task) = plugins_task {
        // Nobody listens to them any more.
        drop(driver.plugins.take());
        if tokio::time::timeout(PLUGINS_PATIENCE, &mut task)
            .await
            .is_err()
        {
            task.abort();
        }
    }
    dialer.abort();
    if let Some(control) = control {
        control.abort();
    }
    drop(driver);
    server.await.context("the server of /metrics")
}
