//! `bytes`: what one client of the page's WebSocket receives under the standard workload, from a real
//! agent: 20 servers, 20 clients that fetch from all of them, and 200 fork + exec a second.

use crate::containers::Docker;
use crate::report::Report;
use crate::stack::{Programs, Stack};
use crate::workload::Workload;
use anyhow::{Context, Result};
use clap::Args;
use flate2::read::DeflateDecoder;
use futures::StreamExt;
use mesoscope_proto::v1::TopologyDiff;
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

/// Options of `bytes`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// How long to count.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// httpd servers, and as many clients.
    #[arg(long, default_value_t = 20)]
    servers: usize,
    /// fork + exec a second.
    #[arg(long, default_value_t = 200)]
    execs_per_second: u32,
    /// The short form for CI: 20 s.
    #[arg(long)]
    short: bool,
}

/// Until the containers have settled and the first pictures are there.
const SETTLE: Duration = Duration::from_secs(15);
const LIMIT_BYTES_PER_S: f64 = 5_000.0;

/// What came in a second.
#[derive(Serialize)]
struct Received {
    nodes: usize,
    edges: usize,
    bytes_per_s: f64,
    messages_per_s: f64,
    whole_nodes_per_s: f64,
    whole_edges_per_s: f64,
    node_figures_per_s: f64,
    edge_figures_per_s: f64,
    figures_period_ms: u32,
}

/// Runs it.
pub async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    let mut options = options.clone();
    if options.short {
        options.seconds = options.seconds.min(20);
    }
    let mut report = Report::begin("bytes", &options)?;
    let promise = "bytes that a client of the containers view receives";
    let docker = Docker::connect(&programs.actor)?;
    if docker.is_none() {
        let why = "no Docker engine answers";
        report.not_measured(promise, "<=", LIMIT_BYTES_PER_S, "bytes/s", why);
        return Ok(report.finish());
    }
    let (servers, execs) = (options.servers, options.execs_per_second);
    let workload = Workload::start(programs, docker.as_ref(), servers, execs)?;
    let stack = Stack::start(programs, &[]).await?;
    tokio::time::sleep(SETTLE).await;
    let lasts = Duration::from_secs(options.seconds);
    let before = ingested(&stack).await?;
    let views = ["containers", "processes"].map(|view| (view, follow(&stack, view, lasts)));
    for (view, received) in views {
        let received = received.await??;
        if view == "containers" {
            report.at_most(promise, received.bytes_per_s, LIMIT_BYTES_PER_S, "bytes/s");
        }
        report.result(view, received)?;
    }
    let after = ingested(&stack).await?;
    report.result(
        "agent_changes_per_s",
        (after - before) / lasts.as_secs_f64(),
    )?;
    drop(workload);
    Ok(report.finish())
}

/// Counts what comes after the first picture.
fn follow(stack: &Stack, view: &str, lasts: Duration) -> JoinHandle<Result<Received>> {
    // As the page asks for it.
    let url = format!(
        "{}/api/v1/ws?view={view}&compress=deflate",
        stack.page_url().replacen("http", "ws", 1)
    );
    tokio::spawn(async move {
        let (mut socket, _) = tokio_tungstenite::connect_async(&url)
            .await
            .with_context(|| format!("opening {url}"))?;
        let (mut first, mut all) = (None, Vec::new());
        let begun = Instant::now();
        let mut bytes = 0_usize;
        while let Some(left) = lasts.checked_sub(begun.elapsed()) {
            let Ok(message) = tokio::time::timeout(left, socket.next()).await else {
                break;
            };
            let Message::Binary(packed) = message.context("the aggregator hung up")?? else {
                continue;
            };
            let json = packed.get(8..).context("a message has a number")?;
            let diff: TopologyDiff = serde_json::from_reader(DeflateDecoder::new(json))?;
            if first.is_none() {
                first = Some(diff);
                continue;
            }
            // With the head of its frame (RFC 6455, 5.2).
            bytes += packed.len() + if packed.len() < 126 { 2 } else { 4 };
            all.push(diff);
        }
        let first = first.context("no picture came")?;
        let seconds = lasts.as_secs_f64();
        let sum = |count: &dyn Fn(&TopologyDiff) -> usize| {
            per_s(all.iter().map(count).sum::<usize>(), seconds)
        };
        Ok(Received {
            nodes: first.nodes.len(),
            edges: first.edges.len(),
            bytes_per_s: per_s(bytes, seconds),
            messages_per_s: per_s(all.len(), seconds),
            whole_nodes_per_s: sum(&|diff| diff.nodes.len()),
            whole_edges_per_s: sum(&|diff| diff.edges.len()),
            node_figures_per_s: sum(&|diff| diff.node_figures.len()),
            edge_figures_per_s: sum(&|diff| diff.edge_figures.len()),
            figures_period_ms: first.figures_period_ms,
        })
    })
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_s(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// Changes that the aggregator has taken in.
async fn ingested(stack: &Stack) -> Result<f64> {
    let metrics = stack.aggregator_metrics().await?;
    let name = "mesoscope_ingest_changes_total ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    Ok(value.context("no count of changes")?.parse()?)
}
