//! TCP connections of less than 50 ms, each from a short process of its own.

use super::{ARRIVAL, Bench, percent};
use crate::containers::{Container, Guard};
use crate::observe::{Collector, address};
use crate::report::Report;
use crate::truth::{self, Fact};
use anyhow::{Context, Result};
use mesoscope_proto::v1::{Direction, Event, EventKind, Process};
use serde::Serialize;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What was told of one connection, from either end.
#[derive(Default, Clone)]
struct Sight {
    client: Option<Process>,
    server: Option<Process>,
    closed: bool,
}

/// By (client's address, server's address).
#[derive(Default)]
struct Seen(HashMap<(SocketAddr, SocketAddr), Sight>);

fn take_in(seen: &mut Seen, event: Event) {
    let Some(connection) = &event.connection else {
        return;
    };
    let (Some(local), Some(remote)) = (
        address(connection.local.as_ref()),
        address(connection.remote.as_ref()),
    ) else {
        return;
    };
    let outbound = connection.direction == i32::from(Direction::Outbound);
    let tuple = if outbound {
        (local, remote)
    } else {
        (remote, local)
    };
    let sight = seen.0.entry(tuple).or_default();
    let (own, other) = if outbound {
        (&mut sight.client, &mut sight.server)
    } else {
        (&mut sight.server, &mut sight.client)
    };
    *own = event.process.or(own.take());
    *other = event.peer_process.or(other.take());
    sight.closed |= connection.closed_unix_ns != 0;
}

#[derive(Default, Serialize)]
struct Score {
    truth: usize,
    seen: usize,
    connecting_process: usize,
    connecting_container: usize,
    listening_process: usize,
    closed: usize,
    all_right: usize,
}

/// Who is at each end.
struct Ends<'a> {
    client_container: &'a str,
    server_pid: u32,
}

fn score(seen: &Seen, facts: &[Fact], ends: &Ends, count: usize) -> Result<Score> {
    let mut score = Score {
        truth: count,
        ..Score::default()
    };
    for fact in facts.iter().filter(|fact| fact.kind == "connect") {
        let Some(sight) = seen.0.get(&(fact.address(1)?, fact.address(2)?)) else {
            continue;
        };
        score.seen += 1;
        let client = sight.client.clone().unwrap_or_default();
        let checks = [
            client.argv.len() == 6 && client.argv[4] == fact.marker && !client.name.is_empty(),
            !client.argv.is_empty() && client.container_id == ends.client_container,
            sight
                .server
                .as_ref()
                .and_then(|server| server.key)
                .is_some_and(|key| key.pid == ends.server_pid),
            sight.closed,
        ];
        let fields = [
            &mut score.connecting_process,
            &mut score.connecting_container,
            &mut score.listening_process,
            &mut score.closed,
        ];
        for (field, right) in fields.into_iter().zip(checks) {
            *field += usize::from(right);
        }
        score.all_right += usize::from(checks.iter().all(|&right| right));
    }
    Ok(score)
}

/// Host to host over IPv4 and IPv6, and container to container.
pub async fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let kinds = [
        EventKind::ConnectionOpened,
        EventKind::ConnectionClosed,
        EventKind::ConnectionFailed,
    ];
    let collector = Collector::start(&bench.stack, &kinds, "", take_in).await?;
    let count = if bench.docker.is_some() {
        bench.options.count / 2
    } else {
        bench.options.count
    };
    on_host(bench, report, &collector, count).await?;
    if bench.docker.is_some() {
        in_containers(bench, report, &collector, count).await?;
    }
    report.result(
        "connections_events_missed_by_this_reader",
        collector.missed(),
    )
}

async fn on_host(
    bench: &Bench,
    report: &mut Report,
    collector: &Collector<Seen>,
    count: usize,
) -> Result<()> {
    let (listening, truth) = (bench.path("l"), bench.path("k"));
    let server = Command::new(&bench.actor)
        .arg("serve")
        .arg(&listening)
        .args(["127.0.0.1:0", "[::1]:0"])
        .stdin(Stdio::null())
        .spawn()?;
    let server = Guard(server);
    let addresses = listeners(&listening, 2).await?;
    let mut arguments = vec![
        "spawn-connects".to_owned(),
        count.to_string(),
        "kh".to_owned(),
        truth.to_string_lossy().into_owned(),
    ];
    arguments.extend(addresses.iter().map(SocketAddr::to_string));
    bench.actor(arguments).await?;
    let ends = Ends {
        client_container: "",
        server_pid: server.0.id(),
    };
    let facts = truth::wait(&truth, count, ARRIVAL).await?;
    finish(collector, &facts).await;
    let (v6, v4): (Vec<Fact>, Vec<Fact>) = facts
        .into_iter()
        .partition(|fact| fact.address(2).is_ok_and(|address| address.is_ipv6()));
    for (name, facts) in [
        ("connections_on_host_ipv4", v4),
        ("connections_on_host_ipv6", v6),
    ] {
        let score = collector.look(|seen| score(seen, &facts, &ends, facts.len()))?;
        add(report, name, score)?;
    }
    Ok(())
}

async fn in_containers(
    bench: &Bench,
    report: &mut Report,
    collector: &Collector<Seen>,
    count: usize,
) -> Result<()> {
    let docker = bench.docker.as_ref().context("called with Docker")?;
    let volume = bench.volume()?;
    let server: Container = docker.run(
        &["--volume", &volume],
        &["actor", "serve", "/truth/sl", "0.0.0.0:7000"],
    )?;
    listeners(&bench.path("sl"), 1).await?;
    let target = format!("{}:7000", server.address);
    let command = [
        "actor",
        "spawn-connects",
        &count.to_string(),
        "kc",
        "/truth/sk",
        &target,
    ];
    let client = docker.run(&["--volume", &volume], &command)?;
    client.wait(Duration::from_secs(120))?;
    let facts = truth::wait(&bench.path("sk"), count, ARRIVAL).await?;
    finish(collector, &facts).await;
    let ends = Ends {
        client_container: &client.id,
        server_pid: server.pid,
    };
    let score = collector.look(|seen| score(seen, &facts, &ends, count))?;
    add(report, "connections_container_to_container", score)
}

/// The addresses that a server got, once it listens on all of them.
async fn listeners(path: &Path, count: usize) -> Result<Vec<SocketAddr>> {
    let facts = truth::wait(path, count, ARRIVAL).await?;
    facts.iter().map(|fact| fact.address(0)).collect()
}

async fn finish(collector: &Collector<Seen>, facts: &[Fact]) {
    let tuples: Vec<_> = facts
        .iter()
        .filter_map(|fact| Some((fact.address(1).ok()?, fact.address(2).ok()?)))
        .collect();
    let whole = |sight: &Sight| sight.closed && sight.client.is_some() && sight.server.is_some();
    collector
        .wait(ARRIVAL, |seen| {
            tuples
                .iter()
                .all(|tuple| seen.0.get(tuple).is_some_and(whole))
        })
        .await;
}

fn add(report: &mut Report, name: &str, score: Score) -> Result<()> {
    report.at_least(
        format!("{name}: <50 ms, seen with the connecting process (name, argv, container) and the listening one"),
        percent(score.all_right, score.truth),
        100.0,
        "%",
    );
    report.result(name, score)
}
