//! Floods: every event is delivered or counted.

use super::{Bench, Gaps};
use crate::machine;
use crate::observe::{Collector, address};
use crate::report::Report;
use crate::truth::{self, Fact};
use anyhow::{Context, Result};
use mesoscope_proto::v1::{Direction, Event, EventKind, GapKind};
use serde::Serialize;
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

/// The reader may lag behind a flood.
const ARRIVAL: Duration = Duration::from_secs(20);

#[derive(Serialize)]
struct Flood {
    seconds: f64,
    per_second: f64,
    truth: u64,
    seen: u64,
    attributed_to_its_process: u64,
    agent_lost: u64,
    agent_withheld_by_the_rate_cap: u64,
    agent_governor: u64,
    missed_by_this_reader: u64,
    unexplained: i64,
}

impl Flood {
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
    fn new(
        fact: &Fact,
        truth: u64,
        attributed: u64,
        seen: u64,
        missed: u64,
        lost: u64,
        gaps: &Collector<Gaps>,
    ) -> Result<Self> {
        let seconds = Duration::from_nanos(fact.number(0)?.saturating_sub(fact.time)).as_secs_f64();
        let (withheld, governor) = gaps.look(|gaps| {
            (
                gaps.count(GapKind::Throttled),
                gaps.count(GapKind::Governor),
            )
        });
        let explained = seen + lost + withheld + governor + missed;
        Ok(Self {
            seconds,
            per_second: fact.number(1)? as f64 / seconds,
            truth,
            seen,
            attributed_to_its_process: attributed,
            agent_lost: lost,
            agent_withheld_by_the_rate_cap: withheld,
            agent_governor: governor,
            missed_by_this_reader: missed,
            // Withheld and lost count records, of which a process or connection has several.
            unexplained: i64::try_from(truth)?
                .saturating_sub(i64::try_from(explained)?)
                .max(0),
        })
    }

    fn add(self, report: &mut Report, name: &str) -> Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
        let (lost, unexplained) = (self.agent_lost as f64, self.unexplained as f64);
        report.at_most(format!("{name}: lost"), lost, 0.0, "events");
        report.at_most(
            format!("{name}: neither seen nor counted"),
            unexplained,
            0.0,
            "events",
        );
        report.result(name, self)
    }
}

async fn lost(bench: &Bench) -> Result<u64> {
    let agent = bench
        .stack
        .agent_info()
        .await?
        .context("the agent is not known")?;
    Ok(agent.status.unwrap_or_default().events_lost_total)
}

/// The agent's status, and with it its loss counter, comes every few seconds.
async fn lost_since(bench: &Bench, before: u64) -> Result<u64> {
    tokio::time::sleep(Duration::from_secs(6)).await;
    Ok(lost(bench).await?.saturating_sub(before))
}

async fn run(bench: &Bench, mut arguments: Vec<String>, file: &str) -> Result<Fact> {
    let truth = bench.path(file);
    arguments.push(truth.to_string_lossy().into_owned());
    bench.actor(arguments).await?;
    truth::read(&truth)
        .pop()
        .context("the flood wrote no truth")
}

/// Spawns of a static one-syscall program, flat out on all CPUs.
pub async fn execs(bench: &Bench, report: &mut Report) -> Result<()> {
    let marker = "flood-exec-marker";
    let tiny = bench.path("tiny");
    crate::tiny::write(&tiny)?;
    let gaps = Gaps::watch(&bench.stack).await?;
    let collector = Collector::start(
        &bench.stack,
        &[EventKind::ProcessExec],
        marker,
        |seen: &mut [u64; 2], event: Event| {
            let process = event.process.unwrap_or_default();
            // Not the spawner itself, which has the marker among its arguments too.
            if process.argv.len() == 2 {
                seen[0] += 1;
                seen[1] += u64::from(process.parent.is_some_and(|parent| parent.pid != 0));
            }
        },
    )
    .await?;
    let before = lost(bench).await?;
    let threads = machine::cpus().to_string();
    let seconds = bench.options.flood_seconds.to_string();
    let arguments = [
        "flood-exec",
        &seconds,
        &threads,
        &tiny.to_string_lossy(),
        marker,
    ]
    .map(str::to_owned)
    .into();
    let fact = run(bench, arguments, "fe").await?;
    let truth = fact.number(1)?;
    collector.wait(ARRIVAL, |seen| seen[0] >= truth).await;
    let lost = lost_since(bench, before).await?;
    let [seen, attributed] = collector.look(|seen| *seen);
    let flood = Flood::new(
        &fact,
        truth,
        attributed,
        seen,
        collector.missed(),
        lost,
        &gaps,
    )?;
    report.at_least("flood of execs: rate", flood.per_second, 5_000.0, "exec/s");
    flood.add(report, "flood_execs")
}

#[derive(Default)]
struct Ends {
    outbound: HashSet<u64>,
    inbound: HashSet<u64>,
    attributed: u64,
}

fn is_flood(address: Option<std::net::SocketAddr>) -> bool {
    address.is_some_and(|address| match address.ip() {
        IpAddr::V4(ip) => ip.octets()[..3] == [127, 0, 0] && ip.octets()[3] > 1,
        IpAddr::V6(_) => false,
    })
}

/// Connect, accept and close, flat out on all CPUs. Both ends of each are sockets of this host.
pub async fn connections(bench: &Bench, report: &mut Report) -> Result<()> {
    let gaps = Gaps::watch(&bench.stack).await?;
    let collector = Collector::start(
        &bench.stack,
        &[EventKind::ConnectionClosed],
        "",
        |ends: &mut Ends, event: Event| {
            let Some(connection) = event.connection else {
                return;
            };
            if !is_flood(address(connection.local.as_ref()))
                && !is_flood(address(connection.remote.as_ref()))
            {
                return;
            }
            let outbound = connection.direction == i32::from(Direction::Outbound);
            let set = if outbound {
                &mut ends.outbound
            } else {
                &mut ends.inbound
            };
            if set.insert(connection.cookie) {
                ends.attributed += u64::from(event.process.is_some_and(|process| {
                    process.argv.iter().any(|word| word == "flood-connect")
                }));
            }
        },
    )
    .await?;
    let before = lost(bench).await?;
    let threads = machine::cpus().to_string();
    let seconds = bench.options.flood_seconds.to_string();
    let arguments = ["flood-connect", &seconds, &threads, "flood-connect-marker"]
        .map(str::to_owned)
        .into();
    let fact = run(bench, arguments, "fc").await?;
    let truth = fact.number(1)? + fact.number(2)?;
    let count = |ends: &Ends| (ends.outbound.len() + ends.inbound.len()) as u64;
    collector.wait(ARRIVAL, |ends| count(ends) >= truth).await;
    let lost = lost_since(bench, before).await?;
    let (seen, attributed) = collector.look(|ends| (count(ends), ends.attributed));
    let flood = Flood::new(
        &fact,
        truth,
        attributed,
        seen,
        collector.missed(),
        lost,
        &gaps,
    )?;
    report.result(
        "flood_connections_ends_outbound_inbound",
        collector.look(|ends| [ends.outbound.len(), ends.inbound.len()]),
    )?;
    flood.add(report, "flood_connections")
}
