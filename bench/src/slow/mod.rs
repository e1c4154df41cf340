//! `slow-clients`: a thousand WebSocket clients that read far less than happens: the aggregator must not
//! keep it for them, and those who keep up must not notice.

mod client;

use crate::ingest::{Fleet, Node, Size, connect};
use crate::latency::{Series, now};
use crate::report::Report;
use crate::stack::{Programs, Stack};
use crate::usage;
use anyhow::{Context, Result, ensure};
use clap::Args;
use client::Slow;
use futures::StreamExt;
use mesoscope_proto::v1::TopologyDiff;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

/// Options of `slow-clients`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// Slow clients.
    #[arg(long, default_value_t = 1_000)]
    clients: u32,
    /// What each of them reads, bytes a second.
    #[arg(long, default_value_t = 8_192)]
    bytes_per_second: usize,
    /// How long to measure once all have connected and memory has come to rest.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The short form for CI: 200 clients, 15 s.
    #[arg(long)]
    short: bool,
}

const SIZE: Size = Size {
    nodes: 2,
    containers: 20,
    processes: 40,
    connections: 10,
};
/// Every container of the first host gets another name so often.
const CHANGE_EVERY: Duration = Duration::from_millis(211);
/// Until all have their first picture, or what there is room for of it.
const REST: Duration = Duration::from_secs(25);
const GROWTH_MIB: f64 = 16.0;
const LIMIT_MS: f64 = 250.0;

#[derive(Serialize)]
struct Memory {
    without_clients_mib: f64,
    with_clients_mib: f64,
    at_most_mib: f64,
    at_end_mib: f64,
    read_per_client_bytes_per_s: f64,
    told_to_one_who_keeps_up_bytes_per_s: f64,
}

/// When each change was made, when it was seen, and the bytes that came.
#[derive(Default)]
struct Seen {
    marks: HashMap<u32, u64>,
    bytes: u64,
}

/// Runs it.
pub async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    let mut options = options.clone();
    if options.short {
        (options.clients, options.seconds) = (options.clients.min(200), options.seconds.min(15));
    }
    ensure!(
        (1..=1_000).contains(&options.clients) && options.bytes_per_second >= 64,
        "--clients must be 1 to 1000, and --bytes-per-second at least 64"
    );
    crate::ingest::allow_sockets(u64::from(options.clients))?;
    let mut report = Report::begin("slow-clients", &options)?;
    let mut stack = Stack::aggregator_only(programs).await?;
    let (fleet, _) = connect(&mut stack, SIZE).await?;
    let seen = keep_up(&stack).await?;
    let mut marks = Marks::default();
    change(&fleet, &mut marks, Duration::from_secs(5)).await?;
    let before = rss_mib(&mut stack)?;
    let clients = Slow::start(&stack.websocket_url("containers"), &options).await?;
    change(&fleet, &mut marks, REST).await?;
    let with_clients = rss_mib(&mut stack)?;
    // From here on it counts.
    let first = u32::try_from(marks.sent.len())? + 1;
    let (begun, mut most) = (Instant::now(), with_clients);
    let read_before = clients.counts.read.load(Ordering::Relaxed);
    let told_before = seen.lock().unwrap_or_else(PoisonError::into_inner).bytes;
    while begun.elapsed() < Duration::from_secs(options.seconds) {
        change(&fleet, &mut marks, Duration::from_secs(1)).await?;
        most = most.max(rss_mib(&mut stack)?);
    }
    let took = begun.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let read = clients.counts.read.load(Ordering::Relaxed) - read_before;
    let ended = clients.counts.ended.load(Ordering::Relaxed);
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let memory = Memory {
        without_clients_mib: before,
        with_clients_mib: with_clients,
        at_most_mib: most,
        at_end_mib: rss_mib(&mut stack)?,
        read_per_client_bytes_per_s: read as f64 / took / f64::from(options.clients),
        told_to_one_who_keeps_up_bytes_per_s: (seen.bytes - told_before) as f64 / took,
    };
    report.at_most(
        "growth of the aggregator while they go on",
        most - with_clients,
        GROWTH_MIB,
        "MiB",
    );
    report.at_least(
        "what happens, of what each of them reads",
        memory.told_to_one_who_keeps_up_bytes_per_s / memory.read_per_client_bytes_per_s.max(1.0),
        2.0,
        "times",
    );
    // The aggregator hangs up on those that take nothing for half a minute.
    report.result("clients_cut_off", ended)?;
    let mut series = Series::new()?;
    for (mark, sent) in marks.sent.iter().filter(|(mark, _)| **mark >= first) {
        series.add(*sent, seen.marks.get(mark).copied())?;
    }
    let promise = "change at an agent -> a client that keeps up, p99".to_owned();
    series.report_as(&mut report, "keeps_up", promise, LIMIT_MS)?;
    report.result("memory", memory)?;
    Ok(report.finish())
}

#[derive(Default)]
struct Marks {
    sent: HashMap<u32, u64>,
}

/// Lets things happen for so long.
async fn change(fleet: &Fleet, marks: &mut Marks, lasts: Duration) -> Result<()> {
    let node = Node {
        number: 0,
        size: SIZE,
    };
    let begun = Instant::now();
    while begun.elapsed() < lasts {
        let mark = u32::try_from(marks.sent.len())? + 1;
        let changes = (0..SIZE.containers)
            .map(|index| node.container(index, &format!("mark-{mark}"), 1))
            .collect();
        marks.sent.insert(mark, now());
        fleet.mark(changes).await?;
        tokio::time::sleep(CHANGE_EVERY).await;
    }
    Ok(())
}

/// A client that reads everything at once; its first picture has come when this returns.
async fn keep_up(stack: &Stack) -> Result<Arc<Mutex<Seen>>> {
    let url = stack.websocket_url("containers");
    let (mut socket, _) = tokio_tungstenite::connect_async(&url)
        .await
        .with_context(|| format!("opening {url}"))?;
    socket.next().await.context("the first picture")??;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let into = seen.clone();
    tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            let (time, Message::Text(text)) = (now(), message) else {
                continue;
            };
            let Ok(diff) = serde_json::from_str::<TopologyDiff>(&text) else {
                continue;
            };
            let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
            seen.bytes += text.len() as u64;
            // Marks come in their order: one that was overtaken has been seen, too.
            let shown = diff
                .nodes
                .iter()
                .filter_map(|node| mark_of(&node.label))
                .max();
            for mark in (1..=shown.unwrap_or(0)).rev() {
                if seen.marks.contains_key(&mark) {
                    break;
                }
                seen.marks.insert(mark, time);
            }
        }
    });
    Ok(seen)
}

/// The number in "mark-7-0".
fn mark_of(label: &str) -> Option<u32> {
    label.strip_prefix("mark-")?.split('-').next()?.parse().ok()
}

fn rss_mib(stack: &mut Stack) -> Result<f64> {
    let bytes = usage::rss_bytes(stack.aggregator_pid()?)?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(bytes as f64 / f64::from(1 << 20))
}
