//! CPU and memory of the agent under the standard workload: 20 servers, 20 clients that fetch from
//! all of them, and 200 fork + exec a second.

use super::Options;
use crate::containers::Docker;
use crate::report::Report;
use crate::stack::{Programs, Stack};
use crate::usage;
use crate::workload::Workload;
use anyhow::Result;
use serde::Serialize;
use std::time::{Duration, Instant};

const ENGINE: [&str; 2] = ["dockerd", "containerd"];
/// Until caches are warm and the containers have settled.
const SETTLE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Cost {
    seconds: f64,
    agent_cpu_percent: f64,
    kernel_programs_cpu_percent: f64,
    engine_cpu_percent_without: f64,
    engine_cpu_percent_with: f64,
    in_all_cpu_percent: f64,
    agent_rss_mib_max: f64,
    agent_rss_mib_end: f64,
    aggregator_cpu_percent: f64,
    aggregator_rss_mib_end: f64,
    host_busy_cores: f64,
}

/// Measures without the agent, then with it.
pub async fn measure(report: &mut Report, programs: &Programs, options: &Options) -> Result<()> {
    let docker = Docker::connect(&programs.actor)?;
    if docker.is_none() {
        report.not_measured(
            "agent CPU under the standard workload, in all",
            "<=",
            2.0,
            "% of a core",
            "no Docker engine answers",
        );
        return Ok(());
    }
    eprintln!(
        "starting {} servers and {} clients ...",
        options.servers, options.servers
    );
    let workload = Workload::start(
        programs,
        docker.as_ref(),
        options.servers,
        options.execs_per_second,
    )?;
    tokio::time::sleep(SETTLE).await;
    eprintln!("{} s without the agent ...", options.seconds);
    let without = engine_percent(Duration::from_secs(options.seconds)).await;
    let cost = with_agent(programs, Duration::from_secs(options.seconds), without).await?;
    drop(workload);
    report.at_most(
        "agent CPU under the standard workload, in all",
        cost.in_all_cpu_percent,
        2.0,
        "% of a core",
    );
    report.at_most("agent RSS in that run", cost.agent_rss_mib_max, 40.0, "MiB");
    report.result("cost", cost)
}

async fn engine_percent(duration: Duration) -> f64 {
    let before = usage::named_cpu(&ENGINE);
    tokio::time::sleep(duration).await;
    percent(usage::named_cpu(&ENGINE).saturating_sub(before), duration)
}

async fn with_agent(programs: &Programs, duration: Duration, engine_without: f64) -> Result<Cost> {
    let _statistics = usage::bpf_statistics()?;
    let mut stack = Stack::start(programs, &[]).await?;
    tokio::time::sleep(SETTLE).await;
    eprintln!("{duration:?} with it ...");
    let (agent, aggregator) = (stack.agent_pid()?, stack.aggregator_pid()?);
    let read = || -> Result<[Duration; 5]> {
        Ok([
            usage::process_cpu(agent)?,
            usage::bpf_run_time(agent)?,
            usage::named_cpu(&ENGINE),
            usage::process_cpu(aggregator)?,
            usage::host_busy()?,
        ])
    };
    let (begun, before) = (Instant::now(), read()?);
    let mut rss_max = 0;
    while begun.elapsed() < duration {
        tokio::time::sleep(Duration::from_secs(1)).await;
        rss_max = rss_max.max(usage::rss_bytes(agent)?);
    }
    let (after, took) = (read()?, begun.elapsed());
    let [agent_cpu, programs_cpu, engine, aggregator_cpu, busy] =
        std::array::from_fn(|index| percent(after[index].saturating_sub(before[index]), took));
    Ok(Cost {
        seconds: took.as_secs_f64(),
        agent_cpu_percent: agent_cpu,
        kernel_programs_cpu_percent: programs_cpu,
        engine_cpu_percent_without: engine_without,
        engine_cpu_percent_with: engine,
        in_all_cpu_percent: agent_cpu + programs_cpu + (engine - engine_without).max(0.0),
        agent_rss_mib_max: mib(rss_max),
        agent_rss_mib_end: mib(usage::rss_bytes(agent)?),
        aggregator_cpu_percent: aggregator_cpu,
        aggregator_rss_mib_end: mib(usage::rss_bytes(aggregator)?),
        host_busy_cores: busy / 100.0,
    })
}

fn percent(used: Duration, of: Duration) -> f64 {
    used.as_secs_f64() / of.as_secs_f64() * 100.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "memory of a process is far below 2^52 bytes"
)]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
