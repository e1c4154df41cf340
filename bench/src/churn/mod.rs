//! `churn`: the standard workload for long, with faults: does the map stay available and right, and
//! the agent's memory flat?

mod availability;
mod memory;

use crate::containers::{self, Docker};
use crate::engine;
use crate::map;
use crate::report::Report;
use crate::stack::{Programs, Stack};
use crate::workload::Workload;
use anyhow::Result;
use availability::{Availability, Phase};
use clap::Args;
use memory::Memory;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Options of `churn`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// How long, faults included.
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// The short form for CI: 90 s, 5 servers, and no promise of availability or flatness, for which
    /// it is too short.
    #[arg(long)]
    short: bool,
    /// httpd servers, and as many clients.
    #[arg(long, default_value_t = 20)]
    servers: usize,
    /// fork + exec a second.
    #[arg(long, default_value_t = 200)]
    execs_per_second: u32,
    /// How long the aggregator is away.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    away: Duration,
    /// Also restart the machine's Docker engine. Every container of the machine stops with it.
    #[arg(long)]
    restart_engine: bool,
}

/// What goes wrong. The agent dies early, so that its memory can be watched for long after.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fault {
    AgentKilled,
    AggregatorKilled,
    EngineRestarted,
}

const FAULTS: [Fault; 6] = [
    Fault::AgentKilled,
    Fault::AgentKilled,
    Fault::AggregatorKilled,
    Fault::EngineRestarted,
    Fault::AggregatorKilled,
    Fault::EngineRestarted,
];
const FAULTS_SHORT: [Fault; 3] = [
    Fault::AgentKilled,
    Fault::AggregatorKilled,
    Fault::EngineRestarted,
];
const RECOVERY: Duration = Duration::from_secs(30);
/// A container that ends at once, this often.
const CONTAINER_EVERY: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Outcome {
    fault: Fault,
    at_s: f64,
    skipped: bool,
    complete_after_ms: f64,
    right_after_ms: f64,
    problem: String,
}

/// Runs it.
pub async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    let mut options = options.clone();
    if options.short {
        (options.duration, options.servers) = (Duration::from_secs(90), 5);
    }
    let mut report = Report::begin("churn", &options)?;
    let docker = Docker::connect(&programs.actor)?;
    let workload = Workload::start(
        programs,
        docker.as_ref(),
        options.servers,
        options.execs_per_second,
    )?;
    let containers = docker.as_ref().map(|_| ContainerChurn::start());
    let mut stack = Stack::start(programs, &[]).await?;
    let availability = Availability::watch(&stack);
    let memory = Memory::watch(stack.agent_pid()?);
    let engine = options.restart_engine && docker.is_some();
    let outcomes = run_faults(
        &mut stack,
        &workload,
        &options,
        engine,
        &availability,
        &memory,
    )
    .await?;
    drop(containers);
    let lost = stack
        .agent_info()
        .await?
        .and_then(|agent| agent.status)
        .unwrap_or_default()
        .events_lost_total;
    let wrong = map::difference(&stack).await?;
    report.result("availability", availability.finish())?;
    report.result("memory", memory.finish())?;
    report.result("faults", &outcomes)?;
    report.result("events_lost", lost)?;
    report.result("map_wrong_at_the_end", wrong)?;
    promise(&mut report, &options, &outcomes)?;
    Ok(report.finish())
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
fn promise(report: &mut Report, options: &Options, outcomes: &[Outcome]) -> Result<()> {
    let number = |report: &Report, group: &str, name: &str| {
        report
            .results
            .get(group)
            .and_then(|value| value.get(name)?.as_f64())
    };
    let rss = number(report, "memory", "rss_mib_max").unwrap_or(f64::INFINITY);
    report.at_most("agent RSS, at most", rss, 40.0, "MiB");
    if !options.short {
        let available = number(report, "availability", "percent").unwrap_or(0.0);
        report.at_least(
            "agent connected and its map complete, of the time allowed",
            available,
            99.9,
            "%",
        );
        let slope = number(report, "memory", "slope_mib_per_h").unwrap_or(f64::INFINITY);
        report.at_most("agent RSS, growth", slope, 2.0, "MiB/h");
    }
    for outcome in outcomes.iter().filter(|outcome| !outcome.skipped) {
        let name = format!(
            "{:?} at {:.0} s: map complete and right again",
            outcome.fault, outcome.at_s
        );
        if outcome.problem.is_empty() {
            let limit = if matches!(outcome.fault, Fault::EngineRestarted) {
                10_000.0
            } else {
                2_000.0
            };
            report.at_most(name, outcome.right_after_ms, limit, "ms");
        } else {
            report.not_measured(name, "<=", 2_000.0, "ms", &outcome.problem);
        }
    }
    let lost = report
        .results
        .get("events_lost")
        .and_then(serde_json::Value::as_u64)
        .unwrap_or(u64::MAX);
    report.at_most("events lost", lost as f64, 0.0, "events");
    Ok(())
}

async fn run_faults(
    stack: &mut Stack,
    workload: &Workload,
    options: &Options,
    engine: bool,
    availability: &Availability,
    memory: &Memory,
) -> Result<Vec<Outcome>> {
    let begun = Instant::now();
    let faults: &[Fault] = if options.short {
        &FAULTS_SHORT
    } else {
        &FAULTS
    };
    let share = options.duration / u32::try_from(faults.len() + 1)?;
    let mut outcomes = Vec::new();
    for (fault, number) in faults.iter().copied().zip(1..) {
        tokio::time::sleep_until((begun + share * number).into()).await;
        let mut outcome = Outcome {
            fault,
            at_s: begun.elapsed().as_secs_f64(),
            skipped: false,
            complete_after_ms: 0.0,
            right_after_ms: 0.0,
            problem: String::new(),
        };
        if matches!(fault, Fault::EngineRestarted) && !engine {
            outcome.skipped = true;
            outcomes.push(outcome);
            continue;
        }
        eprintln!("{:.0} s: {fault:?}", outcome.at_s);
        // What goes wrong once is told, and does not cost the hour.
        let struck = strike(stack, fault, options, availability, memory, workload).await;
        availability.set(Phase::Allowed);
        let recovered = match struck {
            Ok(()) => map::right_within(stack, RECOVERY).await,
            Err(error) => Err(error),
        };
        match recovered {
            Ok((complete, right)) => {
                (outcome.complete_after_ms, outcome.right_after_ms) =
                    (complete.as_secs_f64() * 1e3, right.as_secs_f64() * 1e3);
            }
            Err(error) => outcome.problem = format!("{error:#}"),
        }
        eprintln!(
            "  complete after {:.0} ms, right after {:.0} ms {}",
            outcome.complete_after_ms, outcome.right_after_ms, outcome.problem
        );
        outcomes.push(outcome);
    }
    tokio::time::sleep_until((begun + options.duration).into()).await;
    Ok(outcomes)
}

async fn strike(
    stack: &mut Stack,
    fault: Fault,
    options: &Options,
    availability: &Availability,
    memory: &Memory,
    workload: &Workload,
) -> Result<()> {
    match fault {
        Fault::AgentKilled => {
            availability.set(Phase::NotAllowed);
            stack.kill_agent()?;
            stack.start_agent()?;
            memory.follow(stack.agent_pid()?);
        }
        Fault::AggregatorKilled => {
            availability.set(Phase::NotAllowed);
            stack.kill_aggregator()?;
            tokio::time::sleep(options.away).await;
            stack.start_aggregator()?;
        }
        // The agent is not touched: it must stay available all the while.
        Fault::EngineRestarted => tokio::task::block_in_place(|| {
            engine::restart(Duration::from_secs(2))?;
            workload.restart_containers()
        })?,
    }
    Ok(())
}

/// Containers that come and go.
struct ContainerChurn(Arc<AtomicBool>);

impl ContainerChurn {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                // The engine may be away just now: that is part of it.
                let _ = containers::run_once();
                std::thread::sleep(CONTAINER_EVERY);
            }
        });
        Self(stop)
    }
}

impl Drop for ContainerChurn {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
