//! `faults`: one bad day at a time, under load.

mod bomb;
mod leftovers;

use crate::containers::Docker;
use crate::map;
use crate::report::Report;
use crate::stack::{Programs, Stack};
use crate::workload::Workload;
use anyhow::Result;
use clap::Args;
use leftovers::Programs as KernelPrograms;
use serde::Serialize;
use serde_json::json;
use std::time::Duration;

/// Options of `faults`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// How long the aggregator is away.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    away: Duration,
    /// httpd servers, and as many clients.
    #[arg(long, default_value_t = 5)]
    servers: usize,
    /// fork + exec a second.
    #[arg(long, default_value_t = 200)]
    execs_per_second: u32,
    /// The agent's cap on one cgroup's events/s while a fork bomb goes off.
    #[arg(long, default_value_t = 5_000)]
    event_rate_cap: u32,
    /// Seconds of the fork bomb.
    #[arg(long, default_value_t = 5)]
    bomb_seconds: u32,
    /// The short form for CI: the aggregator is away for 10 s.
    #[arg(long)]
    short: bool,
}

const RECOVERY: Duration = Duration::from_secs(30);

/// Runs it.
pub async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    let mut options = options.clone();
    if options.short {
        options.away = options.away.min(Duration::from_secs(10));
    }
    let options = &options;
    let mut report = Report::begin("faults", options)?;
    let docker = Docker::connect(&programs.actor)?;
    {
        let _load = Workload::start(
            programs,
            docker.as_ref(),
            options.servers,
            options.execs_per_second,
        )?;
        let before = KernelPrograms::loaded()?;
        let mut stack = Stack::start(programs, &[]).await?;
        aggregator_away(&mut stack, options, &mut report).await?;
        agent_killed(&mut stack, &before, &mut report).await?;
    }
    bomb::measure(programs, docker.as_ref(), options, &mut report).await?;
    Ok(report.finish())
}

async fn recovered(stack: &mut Stack, what: &str, report: &mut Report) -> Result<()> {
    let promise = format!("{what}: map complete and right again");
    match map::right_within(stack, RECOVERY).await {
        Ok((complete, right)) => {
            report.at_most(promise, right.as_secs_f64() * 1e3, 2_000.0, "ms");
            report.result(what, json!({ "complete_after_ms": complete.as_secs_f64() * 1e3, "right_after_ms": right.as_secs_f64() * 1e3 }))
        }
        Err(error) => {
            report.not_measured(promise, "<=", 2_000.0, "ms", &format!("{error:#}"));
            Ok(())
        }
    }
}

async fn aggregator_away(stack: &mut Stack, options: &Options, report: &mut Report) -> Result<()> {
    stack.kill_aggregator()?;
    tokio::time::sleep(options.away).await;
    stack.start_aggregator()?;
    recovered(stack, "aggregator_killed", report).await
}

async fn agent_killed(
    stack: &mut Stack,
    before: &KernelPrograms,
    report: &mut Report,
) -> Result<()> {
    let of_agent = KernelPrograms::loaded()?.since(before);
    stack.kill_agent()?;
    // Programs are freed after a grace period of the kernel.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let left = KernelPrograms::loaded()?.in_common(&of_agent);
    report.result("agent_killed_leftovers", json!({ "kernel_programs_of_the_agent": of_agent.count(), "left": left.names(), "pinned": leftovers::pinned() }))?;
    if of_agent.count() == 0 {
        report.not_measured(
            "agent killed: kernel programs left behind",
            "<=",
            0.0,
            "programs",
            "the agent had none loaded",
        );
    } else {
        #[expect(clippy::cast_precision_loss, reason = "a few dozen programs")]
        report.at_most(
            "agent killed: kernel programs or pins left behind",
            (left.count() + leftovers::pinned().len()) as f64,
            0.0,
            "programs",
        );
    }
    stack.start_agent()?;
    recovered(stack, "agent_killed", report).await
}
