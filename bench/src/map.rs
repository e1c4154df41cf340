//! Is the map right? Compared with `/proc`, which the agent's events should have kept it equal to.

use crate::stack::Stack;
use anyhow::{Context, Result, ensure};
use mesoscope_proto::v1::{TopologyDiff, ViewOptions, WatchTopologyRequest};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// A whole view, as a new reader gets it.
pub async fn view(stack: &Stack, view: &str) -> Result<TopologyDiff> {
    let options = ViewOptions {
        unconnected: Some(true),
        ended: Some(false),
        ..ViewOptions::default()
    };
    let request = WatchTopologyRequest {
        view: view.to_owned(),
        options: Some(options),
        at_unix_ms: 0,
    };
    let mut stream = stack
        .observe()
        .await?
        .watch_topology(request)
        .await?
        .into_inner();
    let first = tokio::time::timeout(Duration::from_secs(5), stream.message()).await??;
    first.context("the stream of the view ended before its first message")
}

/// Running processes in the view of processes ("process;HOST;PID;START"), with what they do.
async fn running(stack: &Stack) -> Result<HashMap<u32, String>> {
    let nodes = view(stack, "processes").await?.nodes;
    Ok(nodes
        .iter()
        .filter(|node| node.kind == "process" && node.state == "running")
        .filter_map(|node| {
            let command = node.metadata.iter().find(|field| field.key == "command");
            let told = command.map_or(&node.label, |field| &field.value);
            Some((node.id.split(';').nth(2)?.parse().ok()?, told.clone()))
        })
        .collect())
}

fn alive(pid: u32) -> bool {
    // A zombie has ended: the map is right not to show it.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| !rest.starts_with(" Z") && !rest.starts_with(" X"))
    })
}

/// Started longer ago than any batch may take to arrive.
fn is_settled(pid: u32) -> bool {
    let started = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            let ticks: f64 = stat
                .rsplit_once(')')?
                .1
                .split_whitespace()
                .nth(19)?
                .parse()
                .ok()?;
            Some(ticks / 100.0)
        });
    let now = std::fs::read_to_string("/proc/uptime")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok());
    started
        .zip(now)
        .is_some_and(|(started, now): (f64, f64)| now - started > 1.0)
}

/// Programs (not kernel threads) that run now.
fn programs() -> HashSet<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return HashSet::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse().ok())
        .filter(|&pid| {
            alive(pid)
                && std::fs::read_link(Path::new("/proc").join(pid.to_string()).join("exe")).is_ok()
        })
        .collect()
}

/// What is wrong with the map, if anything. Processes that came or went just now do not count.
pub async fn difference(stack: &Stack) -> Result<Option<String>> {
    let before = programs();
    let shown = running(stack).await?;
    let after = programs();
    let missing: Vec<u32> = before
        .intersection(&after)
        .filter(|pid| !shown.contains_key(pid) && is_settled(**pid))
        .copied()
        .collect();
    let mut stale: Vec<u32> = shown
        .keys()
        .copied()
        .filter(|&pid| !before.contains(&pid) && !alive(pid))
        .collect();
    if missing.is_empty() && !stale.is_empty() {
        // They may have started and ended within the last batch.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let shown = running(stack).await?;
        stale.retain(|&pid| shown.contains_key(&pid) && !alive(pid));
    }
    if missing.is_empty() && stale.is_empty() {
        return Ok(None);
    }
    let missing = missing
        .iter()
        .map(|pid| format!("{pid} {}", command_line(*pid)));
    let stale_told = stale
        .iter()
        .map(|pid| format!("{pid} {}", shown.get(pid).map_or("", String::as_str)));
    Ok(Some(format!(
        "not shown: {}; shown but gone: {}",
        few(missing),
        few(stale_told)
    )))
}

fn command_line(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
        .unwrap_or_default()
        .replace('\0', " ")
}

/// The first few, and how many there are.
fn few(items: impl ExactSizeIterator<Item = String>) -> String {
    let count = items.len();
    let first: Vec<String> = items.take(4).collect();
    format!("{count} [{}]", first.join(", "))
}

/// Waits until the map is complete and right, and says how long each took.
pub async fn right_within(stack: &mut Stack, limit: Duration) -> Result<(Duration, Duration)> {
    let begun = Instant::now();
    let complete = stack.complete_within(limit).await?;
    loop {
        let wrong = match difference(stack).await {
            Ok(None) => return Ok((complete, begun.elapsed())),
            Ok(Some(wrong)) => wrong,
            Err(error) => format!("{error:#}"),
        };
        eprintln!("  {} ms: {wrong}", begun.elapsed().as_millis());
        ensure!(
            begun.elapsed() < limit,
            "the map is not right after {limit:?}: {wrong}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
