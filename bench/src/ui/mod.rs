//! `ui`: the page in a real Chromium, on maps of simulated agents: the first full picture, frames while
//! the map is moved, a change on the screen, and how many nodes stay where they are.

mod browser;
mod stillness;

use crate::ingest::{Fleet, Node, Size, connect};
use crate::latency::{Series, now};
use crate::report::Report;
use crate::stack::{Programs, Stack};
use anyhow::{Result, ensure};
use browser::Browser;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `ui`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// The script that drives the browser.
    #[arg(long, default_value = "ui/bench/measure.mjs")]
    script: PathBuf,
    /// Node.js.
    #[arg(long, default_value = "node")]
    node: PathBuf,
    /// How often the page is loaded at 1,000 nodes, for the 95th percentile.
    #[arg(long, default_value_t = 20)]
    loads: u32,
    /// Changes whose way to the screen is timed.
    #[arg(long, default_value_t = 60)]
    marks: u32,
    /// Leave the map of 10,000 containers out, and load less often.
    #[arg(long)]
    short: bool,
    /// Leave pictures of the maps in this folder.
    #[arg(long, value_name = "DIR")]
    screenshots: Option<PathBuf>,
}

const CONTAINERS_PER_NODE: u32 = 20;
/// Between two changes: not a multiple of any timer.
const MARK_EVERY: Duration = Duration::from_millis(577);

/// What is asked of a map of one size.
struct Map {
    name: &'static str,
    hosts: u32,
    first_limit_ms: f64,
    frames: Option<f64>,
}

const MAPS: [Map; 2] = [
    Map {
        name: "containers_1000",
        hosts: 50,
        first_limit_ms: 1_000.0,
        frames: None,
    },
    Map {
        name: "containers_10000",
        hosts: 500,
        first_limit_ms: 4_000.0,
        frames: Some(30.0),
    },
];

/// Runs it.
pub async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    let mut options = options.clone();
    if options.short {
        (options.loads, options.marks) = (options.loads.min(5), options.marks.min(10));
    }
    ensure!(
        options.loads > 0 && options.marks > 0,
        "--loads and --marks must be at least 1"
    );
    let mut report = Report::begin("ui", &options)?;
    for map in MAPS.iter().take(if options.short { 1 } else { MAPS.len() }) {
        measure(&mut report, programs, &options, map).await?;
    }
    Ok(report.finish())
}

async fn measure(
    report: &mut Report,
    programs: &Programs,
    options: &Options,
    map: &Map,
) -> Result<()> {
    let size = Size {
        nodes: map.hosts,
        containers: CONTAINERS_PER_NODE,
        processes: 40,
        connections: 40,
    };
    let containers = map.hosts * CONTAINERS_PER_NODE;
    eprintln!("{containers} containers on {} hosts ...", map.hosts);
    let mut stack = Stack::aggregator_only(programs).await?;
    let (fleet, _) = connect(&mut stack, size).await?;
    let mut browser = Browser::start(options, &stack.page_url(), map.name, containers)?;
    browser.ready().await?;
    let node = Node { number: 0, size };
    for mark in 1..=options.marks {
        fleet
            .mark(vec![node.container(0, &format!("mark-{mark}"), now())])
            .await?;
        browser.marked(mark, now()).await?;
        tokio::time::sleep(MARK_EVERY).await;
    }
    let figures = browser.finish().await?;
    report.at_most(
        format!("{}: first full picture, p95", map.name),
        figures.first_p95_ms(),
        map.first_limit_ms,
        "ms",
    );
    if let Some(limit) = map.frames {
        report.at_least(
            format!("{}: frames while the map is moved", map.name),
            figures.frames_per_s,
            limit,
            "frames/s",
        );
    }
    let mut updates = Series::new()?;
    for took in &figures.update_ms {
        updates.add_ms(*took)?;
    }
    let promise = format!("{}: change at an agent -> on the screen, p99", map.name);
    updates.report_as(report, &format!("{}.update", map.name), promise, 700.0)?;
    let moved = stillness::moved_percent(&stack, &fleet, size).await?;
    report.at_most(
        format!("{}: nodes that move >10 px when 1 % change", map.name),
        moved.everywhere,
        2.0,
        "%",
    );
    report.result(
        &format!("{}.moved_percent_when_all_come_to_one_host", map.name),
        moved.on_one_host,
    )?;
    report.result(map.name, &figures)?;
    drop::<Fleet>(fleet);
    Ok(())
}
