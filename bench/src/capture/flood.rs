//! Floods: every record that the kernel programs made is received, or counted as lost or withheld.

use super::Bench;
use super::cgroup::Cgroup;
use crate::machine;
use crate::observe::{Collector, address};
use crate::report::Report;
use crate::truth::{self, Fact};
use anyhow::{Context, Result};
use mesoscope_proto::v1::{Direction, Event, EventKind};
use serde::Serialize;
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

/// The reader may lag behind a flood.
const ARRIVAL: Duration = Duration::from_secs(20);
/// Processes or connections live and end in this many records: fork, exec and exit; connect and the
/// ends of both sockets.
const RECORDS_EACH: u64 = 3;

/// What the agent's counters say of the kinds that a flood makes.
#[derive(Clone, Copy)]
struct Counted {
    received: u64,
    lost: u64,
    withheld: u64,
}

impl Counted {
    async fn read(bench: &Bench, kinds: &[&str]) -> Result<Self> {
        let page = bench.stack.agent_metrics().await?;
        let of = |name: &str, kinds: &[&str]| {
            page.lines()
                .filter_map(|line| line.strip_prefix(name))
                .filter(|rest| {
                    rest.starts_with(' ')
                        || kinds
                            .iter()
                            .any(|kind| rest.starts_with(&format!("{{kind=\"{kind}\"}}")))
                })
                .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
                .sum::<f64>()
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counters are whole numbers far below 2^52"
        )]
        let whole = |value: f64| value as u64;
        Ok(Self {
            received: whole(of("mesoscope_agent_events_total", kinds)),
            lost: whole(of("mesoscope_agent_events_lost_total", kinds)),
            withheld: whole(of("mesoscope_agent_events_withheld_total", &[])),
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            received: self.received - before.received,
            lost: self.lost - before.lost,
            withheld: self.withheld - before.withheld,
        }
    }
}

#[derive(Serialize)]
struct Flood {
    seconds: f64,
    per_second: f64,
    /// Processes, or ends of connections.
    truth: u64,
    seen: u64,
    attributed_to_its_process: u64,
    missed_by_this_reader: u64,
    records_made: u64,
    /// Those of other processes of the machine included.
    records_received: u64,
    records_lost: u64,
    records_withheld_by_the_rate_cap: u64,
    records_unaccounted: u64,
}

/// What a flood came to: what its actor wrote, and what was seen of it.
struct Outcome {
    fact: Fact,
    truth: u64,
    seen: u64,
    attributed: u64,
    missed: u64,
    counted: Counted,
}

impl Flood {
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
    fn new(outcome: &Outcome) -> Result<Self> {
        let Outcome { fact, counted, .. } = outcome;
        let seconds = Duration::from_nanos(fact.number(0)?.saturating_sub(fact.time)).as_secs_f64();
        let made = fact.number(1)? * RECORDS_EACH;
        let accounted = counted.received + counted.lost + counted.withheld;
        Ok(Self {
            seconds,
            per_second: fact.number(1)? as f64 / seconds,
            truth: outcome.truth,
            seen: outcome.seen,
            attributed_to_its_process: outcome.attributed,
            missed_by_this_reader: outcome.missed,
            records_made: made,
            records_received: counted.received,
            records_lost: counted.lost,
            records_withheld_by_the_rate_cap: counted.withheld,
            records_unaccounted: made.saturating_sub(accounted),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
    fn add(self, bench: &Bench, report: &mut Report, name: &str) -> Result<()> {
        report.at_most(
            format!("{name}: lost"),
            self.records_lost as f64,
            0.0,
            "records",
        );
        report.at_most(
            format!("{name}: neither received nor counted"),
            self.records_unaccounted as f64,
            0.0,
            "records",
        );
        // What a reader of the event stream was too slow for it is told; the records came all the same.
        if bench.uncapped {
            let received = self.records_received.min(self.records_made) as f64;
            report.at_least(
                format!("{name}: received"),
                received / self.records_made as f64 * 100.0,
                100.0,
                "%",
            );
        }
        report.result(name, self)
    }
}

/// Runs a flood in a cgroup of its own, so that what the cap withholds is its alone.
async fn run(bench: &Bench, mut arguments: Vec<String>, file: &str) -> Result<Fact> {
    let truth = bench.path(file);
    let _ = std::fs::remove_file(&truth);
    arguments.push(truth.to_string_lossy().into_owned());
    let cgroup = Cgroup::new(&format!("mesoscope-bench-{file}-{}", std::process::id()))?;
    bench.actor_in(Some(&cgroup), arguments).await?;
    truth::read(&truth)
        .pop()
        .context("the flood wrote no truth")
}

/// Spawns of a static one-syscall program, flat out on all CPUs.
pub async fn execs(bench: &Bench, report: &mut Report) -> Result<()> {
    let marker = "flood-exec-marker";
    let tiny = bench.path("tiny");
    crate::tiny::write(&tiny)?;
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
    let before = Counted::read(bench, &["fork", "exec", "exit"]).await?;
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
    let [seen, attributed] = collector.look(|seen| *seen);
    let counted = Counted::read(bench, &["fork", "exec", "exit"]).await?;
    let flood = Flood::new(&Outcome {
        fact,
        truth,
        seen,
        attributed,
        missed: collector.missed(),
        counted: counted.since(before),
    })?;
    report.at_least(
        format!("{}: rate", bench.named("flood_execs")),
        flood.per_second,
        5_000.0,
        "exec/s",
    );
    flood.add(bench, report, &bench.named("flood_execs"))
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
    let before = Counted::read(bench, &["connect", "tcpend"]).await?;
    let threads = machine::cpus().to_string();
    let seconds = bench.options.flood_seconds.to_string();
    let arguments = ["flood-connect", &seconds, &threads, "flood-connect-marker"]
        .map(str::to_owned)
        .into();
    let fact = run(bench, arguments, "fc").await?;
    let truth = fact.number(1)? + fact.number(2)?;
    let count = |ends: &Ends| (ends.outbound.len() + ends.inbound.len()) as u64;
    collector.wait(ARRIVAL, |ends| count(ends) >= truth).await;
    let (seen, attributed) = collector.look(|ends| (count(ends), ends.attributed));
    let counted = Counted::read(bench, &["connect", "tcpend"]).await?;
    let flood = Flood::new(&Outcome {
        fact,
        truth,
        seen,
        attributed,
        missed: collector.missed(),
        counted: counted.since(before),
    })?;
    report.result(
        &bench.named("flood_connections_ends_outbound_inbound"),
        collector.look(|ends| [ends.outbound.len(), ends.inbound.len()]),
    )?;
    flood.add(bench, report, &bench.named("flood_connections"))
}
