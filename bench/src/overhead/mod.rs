//! `overhead`: what the agent costs, and how much slower the observed work is.

mod cost;
mod observers;
mod slowdown;

use crate::report::Report;
use crate::stack::Programs;
use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use observers::Observer;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Serialize;
use serde_json::json;
use slowdown::{Work, Worker};
use std::path::Path;
use std::time::Duration;

/// Which half to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// CPU and memory of the agent under the standard workload.
    Cost,
    /// A/B comparison of the observed work.
    Slowdown,
}

/// Options of `overhead`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Cost, Part::Slowdown])]
    parts: Vec<Part>,
    /// Seconds of the standard workload, without the agent and again with it.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// httpd servers, and as many clients.
    #[arg(long, default_value_t = 20)]
    servers: usize,
    /// fork + exec a second.
    #[arg(long, default_value_t = 200)]
    execs_per_second: u32,
    /// A/B pairs a comparison.
    #[arg(long, default_value_t = 81)]
    pairs: usize,
    /// Only the works with this in their name.
    #[arg(long, default_value = "")]
    work: String,
    /// Leave libbpf-tools out.
    #[arg(long)]
    no_peers: bool,
    /// The short form for CI: 20 s of workload, 41 pairs.
    #[arg(long)]
    short: bool,
}

/// Runs it.
pub async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    ensure!(
        options.pairs >= 5,
        "--pairs must be at least 5: a median of fewer says nothing"
    );
    crate::usage::refuse_bpf_statistics()?;
    let mut options = options.clone();
    if options.short {
        (options.seconds, options.pairs) = (options.seconds.min(20), options.pairs.min(41));
    }
    let options = &options;
    let mut report = Report::begin("overhead", options)?;
    if options.parts.contains(&Part::Slowdown) {
        let (actor, options) = (programs.actor.clone(), options.clone());
        report = tokio::task::spawn_blocking(move || slowdowns(report, &actor, &options)).await??;
    }
    if options.parts.contains(&Part::Cost) {
        cost::measure(&mut report, programs, options).await?;
    }
    Ok(report.finish())
}

/// Limits of SPECIFICATION.md.
fn limit(observer: Observer, work: Work) -> Option<f64> {
    match (observer, work) {
        (Observer::Tiers01, Work::SpawnTiny) => Some(1.025),
        (Observer::Tiers01, Work::TcpConnect) => Some(1.03),
        (Observer::Tiers01, _) => Some(1.01),
        (Observer::Tier2, Work::TcpConnect) => Some(1.16),
        (Observer::Tier2, Work::TcpRequest | Work::TcpBulk | Work::Udp) => Some(1.07),
        _ => None,
    }
}

fn observers_of(work: Work, options: &Options) -> Vec<Observer> {
    let mut observers = vec![Observer::Nothing, Observer::Tiers01];
    if matches!(
        work,
        Work::TcpConnect | Work::TcpRequest | Work::TcpBulk | Work::Udp
    ) {
        observers.push(Observer::Tier2);
    }
    if !options.no_peers {
        observers.extend(match work {
            Work::SpawnTiny => Some(Observer::Execsnoop),
            Work::TcpConnect => Some(Observer::Tcplife),
            _ => None,
        });
    }
    observers
}

/// All comparisons, on this thread, which stays on the first CPU.
fn slowdowns(mut report: Report, actor: &Path, options: &Options) -> Result<Report> {
    let mut first = CpuSet::new();
    first.set(0);
    sched_setaffinity(None, &first)?;
    let folder = tempfile::tempdir()?;
    let tiny = folder.path().join("tiny");
    crate::tiny::write(&tiny)?;
    for work in Work::ALL
        .into_iter()
        .filter(|work| work.name().contains(&options.work))
    {
        let mut worker = Worker::start(actor, work, &tiny)?;
        for observer in observers_of(work, options) {
            compare(&mut report, &mut worker, work, observer, options)?;
        }
    }
    Ok(report)
}

fn compare(
    report: &mut Report,
    worker: &mut Worker,
    work: Work,
    observer: Observer,
    options: &Options,
) -> Result<()> {
    let name = format!("{}.{}", work.name(), observer.name());
    let promise = format!("slowdown of {} with {}", work.name(), observer.name());
    eprintln!("{name} ...");
    if let Some(why) = observer.missing() {
        report.result(&name, json!({ "not_measured": why }))?;
        if let Some(limit) = limit(observer, work) {
            report.not_measured(promise, "<=", limit, "x", &why);
        }
        return Ok(());
    }
    let compared = worker.compare(observer, options.pairs)?;
    if let Some(limit) = limit(observer, work) {
        report.at_most(promise, compared.ratio, limit, "x");
    }
    let mut value = serde_json::to_value(&compared)?;
    if observer != Observer::Nothing && matches!(work, Work::SpawnTiny | Work::TcpConnect) {
        value["flat_out"] =
            serde_json::to_value(worker.sustain(observer, Duration::from_secs(3))?)?;
    }
    report.result(&name, value)
}
