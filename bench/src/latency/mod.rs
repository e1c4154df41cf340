//! `latency`: from the act, by the wall clock of this machine, to the frame of a WebSocket client
//! that shows it.

mod page;

use crate::report::Report;
use crate::stack::{Programs, Stack};
use crate::truth::{self, Fact};
use crate::workload::Workload;
use anyhow::{Context, Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use page::Page;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Options of `latency`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// Processes, each of which starts, connects, closes and ends.
    #[arg(long, default_value_t = 400)]
    count: u32,
    /// Containers (cgroups made as a runtime makes them), and as many inbound connections.
    #[arg(long, default_value_t = 50)]
    containers: u32,
    /// fork + exec a second beside it.
    #[arg(long, default_value_t = 200)]
    execs_per_second: u32,
    /// The short form for CI: fewer of each.
    #[arg(long)]
    short: bool,
}

/// How long the last diff may take.
const ARRIVAL: Duration = Duration::from_secs(10);
/// Between two acts of one process.
const PHASE_MS: &str = "500";
/// Between the starts of two processes: not a multiple of any timer.
const STAGGER: Duration = Duration::from_millis(53);
const INBOUND_GAP_MS: u64 = 237;

/// Unix nanoseconds now.
pub fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Latencies of one kind of event.
pub struct Series {
    histogram: Histogram<u64>,
    never: u64,
}

#[derive(Serialize)]
struct Figures {
    count: u64,
    never_shown: u64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Series {
    /// None yet.
    pub fn new() -> Result<Self> {
        Ok(Self {
            histogram: Histogram::new(3)?,
            never: 0,
        })
    }

    /// One that was shown, or never was; both times in Unix nanoseconds.
    pub fn add(&mut self, acted: u64, shown: Option<u64>) -> Result<()> {
        match shown {
            Some(shown) => self.histogram.record(shown.saturating_sub(acted) / 1_000)?,
            None => self.never += 1,
        }
        Ok(())
    }

    /// One that took so many milliseconds, or was never shown.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and far below 2^52 microseconds"
    )]
    pub fn add_ms(&mut self, took: Option<f64>) -> Result<()> {
        match took {
            Some(ms) => self.histogram.record((ms.max(0.0) * 1e3) as u64)?,
            None => self.never += 1,
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "microseconds of a few seconds")]
    fn figures(&self) -> Figures {
        let at = |quantile: f64| self.histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        Figures {
            count: self.histogram.len() + self.never,
            never_shown: self.never,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            max_ms: self.histogram.max() as f64 / 1_000.0,
        }
    }

    fn report(&self, report: &mut Report, name: &str, limit_ms: f64) -> Result<()> {
        let promise = format!("{name} -> diff on a WebSocket client, p99");
        self.report_as(report, name, promise, limit_ms)
    }

    /// Adds the figures as result `name`, and their 99th percentile as a promise.
    pub fn report_as(
        &self,
        report: &mut Report,
        name: &str,
        promise: String,
        limit_ms: f64,
    ) -> Result<()> {
        let figures = self.figures();
        if figures.never_shown > 0 {
            report.not_measured(
                promise,
                "<=",
                limit_ms,
                "ms",
                &format!(
                    "{} of {} were never shown",
                    figures.never_shown, figures.count
                ),
            );
        } else {
            report.at_most(promise, figures.p99_ms, limit_ms, "ms");
        }
        report.result(name, figures)
    }
}

/// Runs it.
pub async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    ensure!(
        options.count > 0 && options.containers > 0,
        "--count and --containers must be at least 1"
    );
    let mut options = options.clone();
    if options.short {
        (options.count, options.containers) = (options.count.min(150), options.containers.min(25));
    }
    let options = &options;
    let mut report = Report::begin("latency", options)?;
    let stack = Stack::start(programs, &[]).await?;
    let _load = Workload::start(programs, None, 0, options.execs_per_second)?;
    let processes = Page::open(&stack.websocket_url("processes")).await?;
    phases(&stack, programs, options, &processes, &mut report).await?;
    inbound(&stack, programs, options, &processes, &mut report).await?;
    let containers = Page::open(&stack.websocket_url("containers")).await?;
    cgroups(options, &containers, &mut report).await?;
    Ok(report.finish())
}

async fn phases(
    stack: &Stack,
    programs: &Programs,
    options: &Options,
    page: &Page,
    report: &mut Report,
) -> Result<()> {
    let (listening, truth) = (stack.folder.path().join("l"), stack.folder.path().join("t"));
    let server = Command::new(&programs.actor)
        .arg("serve")
        .arg(&listening)
        .arg("127.0.0.1:0")
        .stdin(Stdio::null())
        .spawn()?;
    let _server = crate::containers::Guard(server);
    let address = truth::wait(&listening, 1, ARRIVAL).await?[0]
        .address(0)?
        .to_string();
    // The listener must be known before the first connect.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut started: HashMap<u32, u64> = HashMap::new();
    let mut running: Vec<Child> = Vec::new();
    for index in 0..options.count {
        let begun = now();
        let child = Command::new(&programs.actor)
            .args(["phases", &address, PHASE_MS, &format!("latency-{index}")])
            .arg(&truth)
            .stdin(Stdio::null())
            .spawn()?;
        started.insert(child.id(), begun);
        running.push(child);
        // Reap at once: a zombie still has its /proc entry.
        for child in &mut running {
            child.try_wait()?;
        }
        tokio::time::sleep(STAGGER).await;
    }
    let facts = truth::wait(&truth, usize::try_from(options.count)? * 3, ARRIVAL).await?;
    for child in &mut running {
        child.wait()?;
    }
    page.settle(ARRIVAL, |shown| {
        started.keys().all(|pid| shown.ended.contains_key(pid))
    })
    .await;

    let mut start = Series::new()?;
    for (pid, begun) in &started {
        start.add(*begun, page.look(|shown| shown.appeared.get(pid).copied()))?;
    }
    start.report(report, "process_start", 500.0)?;
    for (kind, name) in [
        ("connect", "local_connect"),
        ("close", "close"),
        ("exit", "process_exit"),
    ] {
        let mut series = Series::new()?;
        for fact in facts.iter().filter(|fact| fact.kind == kind) {
            let shown = page.look(|shown| shown.of(kind).get(&fact.pid).copied());
            series.add(fact.time, shown)?;
        }
        series.report(report, name, 500.0)?;
    }
    Ok(())
}

/// Connections of a peer that is no process here, which stay open: the agent has no event for them,
/// only its snapshots.
async fn inbound(
    stack: &Stack,
    programs: &Programs,
    options: &Options,
    page: &Page,
    report: &mut Report,
) -> Result<()> {
    let truth: PathBuf = stack.folder.path().join("i");
    let gap = INBOUND_GAP_MS.to_string();
    let mut child = Command::new("unshare")
        .arg("--net")
        .arg(&programs.actor)
        .args(["remote-peer", &options.containers.to_string(), &gap, "4000"])
        .arg(&truth)
        .stdin(Stdio::null())
        .spawn()?;
    let count = usize::try_from(options.containers)?;
    let limit = Duration::from_millis(INBOUND_GAP_MS) * options.containers + ARRIVAL;
    let facts = truth::wait(&truth, count + 1, limit).await?;
    let facts: Vec<Fact> = facts
        .into_iter()
        .filter(|fact| fact.kind == "inbound")
        .collect();
    let server = facts.first().context("no connection was made")?.pid;
    page.settle(Duration::from_secs(3), |shown| {
        shown
            .inbound
            .get(&server)
            .is_some_and(|times| times.len() >= count)
    })
    .await;
    child.wait()?;
    let shown = page
        .look(|shown| shown.inbound.get(&server).cloned())
        .unwrap_or_default();
    let mut series = Series::new()?;
    for (index, fact) in facts.iter().enumerate() {
        series.add(fact.time, shown.get(index).copied())?;
    }
    series.report(report, "inbound_connection_that_stays_open", 1_500.0)
}

/// Cgroups named and filled as Docker does it, without the rest of a container.
async fn cgroups(options: &Options, page: &Page, report: &mut Report) -> Result<()> {
    let root = crate::usage::cgroup2_root().context("no cgroup v2 hierarchy is mounted")?;
    let parent = root.join("docker");
    let made_parent = !parent.exists();
    std::fs::create_dir_all(&parent)?;
    let mut series = Series::new()?;
    let mut made = Vec::new();
    for index in 0..options.containers {
        let id = format!("{:0>64}", format!("{:x}{index:04x}", now()));
        let folder = parent.join(&id);
        let begun = now();
        std::fs::create_dir(&folder)?;
        made.push((id, begun, Inmate::start(&folder)?));
        tokio::time::sleep(STAGGER).await;
    }
    page.settle(ARRIVAL, |shown| {
        made.iter()
            .all(|(id, ..)| shown.containers.contains_key(id))
    })
    .await;
    for (id, begun, _) in &made {
        series.add(*begun, page.look(|shown| shown.containers.get(id).copied()))?;
    }
    drop(made);
    if made_parent {
        std::fs::remove_dir(&parent)?;
    }
    series.report(report, "cgroup_of_a_container", 500.0)
}

/// A process in a cgroup; both are gone when this is dropped.
struct Inmate {
    child: Child,
    folder: PathBuf,
}

impl Inmate {
    fn start(folder: &Path) -> Result<Self> {
        let child = Command::new("sleep").arg("600").spawn()?;
        let inmate = Self {
            child,
            folder: folder.to_owned(),
        };
        std::fs::write(folder.join("cgroup.procs"), inmate.child.id().to_string())?;
        Ok(inmate)
    }
}

impl Drop for Inmate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir(&self.folder);
    }
}
