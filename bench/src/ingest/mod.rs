//! `ingest`: thousands of simulated agents against one aggregator: what it costs, and how long a change
//! takes to those who look at it.

mod fleet;
mod node;
mod watch;

use crate::latency::now;
use crate::report::Report;
use crate::stack::{Programs, Stack};
use crate::usage;
use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use watch::Watch;

pub use fleet::Fleet;
pub use node::{Node, Size};

/// Options of `ingest`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// Simulated agents.
    #[arg(long, default_value_t = 5_000)]
    agents: u32,
    /// Containers on each.
    #[arg(long, default_value_t = 20)]
    containers: u32,
    /// Processes on each.
    #[arg(long, default_value_t = 100)]
    processes: u32,
    /// Connections that stay open, from each to others.
    #[arg(long, default_value_t = 10)]
    connections: u32,
    /// Minutes of measurements that the agents bring along, so that the series are as full as after
    /// as long a run.
    #[arg(long, default_value_t = 60)]
    history_minutes: u32,
    /// How long to measure once all agents are complete.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// The short form for CI: 200 agents, 15 s, 5 minutes of history.
    #[arg(long)]
    short: bool,
}

/// How long all agents may take to connect and send what they hold.
const PATIENCE: Duration = Duration::from_secs(900);
/// Between two changes whose way is timed: not a multiple of any timer.
const MARK_EVERY: Duration = Duration::from_millis(377);
/// How long such a change may take.
const ARRIVAL: Duration = Duration::from_secs(10);
const LIMIT_MS: f64 = 250.0;

#[derive(Serialize)]
struct Cost {
    complete_after_s: f64,
    changes_per_s: f64,
    aggregator_cpu_percent: f64,
    aggregator_rss_mib_max: f64,
    series_mib: f64,
    bench_cpu_percent: f64,
    batches_acknowledged: u64,
    resyncs: u64,
}

/// Runs it.
pub async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    let mut options = options.clone();
    if options.short {
        (options.agents, options.seconds) = (options.agents.min(200), options.seconds.min(15));
        options.history_minutes = options.history_minutes.min(5);
    }
    let options = &options;
    ensure!(
        (2..=60_000).contains(&options.agents) && options.processes > 0,
        "--agents must be 2 to 60000, and --processes at least 1"
    );
    allow_sockets(u64::from(options.agents))?;
    let size = Size {
        nodes: options.agents,
        containers: options.containers,
        processes: options.processes,
        connections: options.connections,
    };
    let mut report = Report::begin("ingest", options)?;
    let mut stack = Stack::aggregator_only(programs).await?;
    let fleet = Fleet::start(&stack.grpc_url(), size, options.history_minutes)?;
    let complete_after = complete(&mut stack, &fleet, size).await?;
    let watches = Watch::all(&stack, size).await?;
    let cost = measure(&mut stack, &fleet, &watches, size, options, complete_after).await?;
    for watch in watches {
        let (name, series) = watch.finish(ARRIVAL).await?;
        let promise = format!("change at an agent -> view of {name}, p99");
        series.report_as(&mut report, &name, promise, LIMIT_MS)?;
    }
    let ended = fleet.counts.ended.load(Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "a few thousand agents")]
    report.at_most("agents whose stream ended", ended as f64, 0.0, "agents");
    #[expect(clippy::cast_precision_loss, reason = "a few thousand agents")]
    report.at_most(
        "agents told to start over",
        cost.resyncs as f64,
        0.0,
        "agents",
    );
    report.at_most("aggregator RSS", cost.aggregator_rss_mib_max, 4096.0, "MiB");
    report.result("cost", cost)?;
    Ok(report.finish())
}

/// Every agent is a socket here and one in the aggregator, which inherits the limit.
pub fn allow_sockets(agents: u64) -> Result<()> {
    let wanted = 2 * agents + 1_000;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        if limit.maximum.is_some_and(|maximum| maximum < wanted) {
            limit.maximum = Some(wanted);
        }
        setrlimit(Resource::Nofile, limit)
            .with_context(|| format!("allowing {wanted} open files (RLIMIT_NOFILE)"))?;
    }
    Ok(())
}

/// Starts the fleet and waits until all its agents are complete; says how long that took.
pub async fn connect(stack: &mut Stack, size: Size) -> Result<(Fleet, Duration)> {
    let fleet = Fleet::start(&stack.grpc_url(), size, 0)?;
    let took = complete(stack, &fleet, size).await?;
    Ok((fleet, took))
}

async fn complete(stack: &mut Stack, fleet: &Fleet, size: Size) -> Result<Duration> {
    let begun = Instant::now();
    loop {
        let complete = fleet.counts.complete.load(Ordering::Relaxed);
        if complete == u64::from(size.nodes) {
            return Ok(begun.elapsed());
        }
        stack.aggregator_pid()?;
        ensure!(
            begun.elapsed() < PATIENCE && fleet.counts.ended.load(Ordering::Relaxed) == 0,
            "only {complete} of {} agents are complete after {:?}; {}",
            size.nodes,
            begun.elapsed(),
            stack.log_tails()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn measure(
    stack: &mut Stack,
    fleet: &Fleet,
    watches: &[Watch],
    size: Size,
    options: &Options,
    complete_after: Duration,
) -> Result<Cost> {
    let node = Node { number: 0, size };
    let aggregator = stack.aggregator_pid()?;
    let before = (
        usage::process_cpu(aggregator)?,
        usage::process_cpu(std::process::id())?,
        fleet.counts.changes.load(Ordering::Relaxed),
    );
    let (begun, mut rss_max) = (Instant::now(), 0);
    let mut mark = 0;
    while begun.elapsed() < Duration::from_secs(options.seconds) {
        for watch in watches {
            mark += 1;
            watch.expect(mark);
            fleet.mark(watch.mark(node, mark, now())).await?;
            tokio::time::sleep(MARK_EVERY).await;
        }
        rss_max = rss_max.max(usage::rss_bytes(stack.aggregator_pid()?)?);
    }
    let took = begun.elapsed().as_secs_f64();
    let percent = |after: Duration, before: Duration| (after - before).as_secs_f64() / took * 100.0;
    let changes = fleet.counts.changes.load(Ordering::Relaxed) - before.2;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(Cost {
        complete_after_s: complete_after.as_secs_f64(),
        changes_per_s: changes as f64 / took,
        aggregator_cpu_percent: percent(usage::process_cpu(aggregator)?, before.0),
        aggregator_rss_mib_max: rss_max as f64 / f64::from(1 << 20),
        series_mib: series_mib(stack).await?,
        bench_cpu_percent: percent(usage::process_cpu(std::process::id())?, before.1),
        batches_acknowledged: fleet.counts.acknowledged.load(Ordering::Relaxed),
        resyncs: fleet.counts.resyncs.load(Ordering::Relaxed),
    })
}

/// What the aggregator says that its series take.
async fn series_mib(stack: &Stack) -> Result<f64> {
    let metrics = stack.aggregator_metrics().await?;
    let name = "mesoscope_bound_used{bound=\"series_bytes\"} ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    let bytes: f64 = value.context("no figure of the series")?.parse()?;
    Ok(bytes / f64::from(1 << 20))
}
