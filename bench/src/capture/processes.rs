//! Processes that live 5 to 50 ms, on the host and in a container.

use super::{ARRIVAL, Bench, percent};
use crate::observe::Collector;
use crate::report::Report;
use crate::truth;
use anyhow::Result;
use mesoscope_proto::v1::{Event, EventKind, Process, ProcessKey};
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

#[derive(Default)]
struct Seen {
    by_marker: HashMap<String, Process>,
    exits: HashMap<(u32, u64), i32>,
}

fn key(key: Option<&ProcessKey>) -> (u32, u64) {
    key.map_or((0, 0), |key| (key.pid, key.start_boottime_ns))
}

fn take_in(seen: &mut Seen, event: Event) {
    let Some(process) = event.process else { return };
    if let Some(exit) = &process.exit {
        seen.exits.insert(key(process.key.as_ref()), exit.code);
    }
    if process.argv.get(1).is_some_and(|command| command == "nap") && process.argv.len() >= 4 {
        seen.by_marker
            .entry(process.argv[3].clone())
            .or_insert(process);
    }
}

#[derive(Default, Serialize)]
struct Score {
    truth: usize,
    seen: usize,
    right_argv: usize,
    right_name: usize,
    right_parent: usize,
    right_container: usize,
    exit_seen: usize,
    all_right: usize,
}

/// Who the processes of one place are.
struct Place<'a> {
    parent: u32,
    container: &'a str,
    truth: &'a Path,
}

fn score(seen: &Seen, place: &Place, prefix: &str, count: usize) -> Score {
    let mut score = Score {
        truth: count,
        ..Score::default()
    };
    let lived: HashMap<String, u32> = truth::read(place.truth)
        .into_iter()
        .map(|fact| (fact.marker, fact.pid))
        .collect();
    for index in 0..count {
        let marker = format!("{prefix}-{index}");
        let (Some(process), Some(&pid)) = (seen.by_marker.get(&marker), lived.get(&marker)) else {
            continue;
        };
        let own_pid = process.key.as_ref().map_or(0, |key| key.pid);
        let inner_pid = if process.namespaced_pid == 0 {
            own_pid
        } else {
            process.namespaced_pid
        };
        let checks = [
            process.argv.len() == 5 && inner_pid == pid && !process.argv_truncated,
            place.container.is_empty() && process.name == "mesoscope-bench"
                || !place.container.is_empty() && process.name == "actor",
            process
                .parent
                .as_ref()
                .is_some_and(|parent| parent.pid == place.parent),
            process.container_id == place.container,
            seen.exits.get(&key(process.key.as_ref())) == Some(&0),
        ];
        score.seen += 1;
        let fields = [
            &mut score.right_argv,
            &mut score.right_name,
            &mut score.right_parent,
            &mut score.right_container,
            &mut score.exit_seen,
        ];
        for (field, right) in fields.into_iter().zip(checks) {
            *field += usize::from(right);
        }
        score.all_right += usize::from(checks.iter().all(|&right| right));
    }
    score
}

/// Runs both places and adds the results.
pub async fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let kinds = [
        EventKind::ProcessStarted,
        EventKind::ProcessExec,
        EventKind::ProcessExited,
    ];
    let collector = Collector::start(&bench.stack, &kinds, "", take_in).await?;
    let count = if bench.docker.is_some() {
        bench.options.count / 2
    } else {
        bench.options.count
    };

    let on_host = bench.path("h");
    let text = on_host.to_string_lossy().into_owned();
    let parent = bench
        .actor(vec![
            "spawn-naps".into(),
            count.to_string(),
            "nh".into(),
            text,
        ])
        .await?;
    finish(&collector, &format!("nh-{}", count - 1)).await;
    let place = Place {
        parent,
        container: "",
        truth: &on_host,
    };
    add(
        report,
        "processes_on_host",
        collector.look(|seen| score(seen, &place, "nh", count)),
    )?;

    if let Some(docker) = &bench.docker {
        let volume = bench.volume()?;
        let container = docker.run(
            &["--volume", &volume],
            &["actor", "spawn-naps", &count.to_string(), "nc", "/truth/c"],
        )?;
        container.wait(Duration::from_secs(120))?;
        finish(&collector, &format!("nc-{}", count - 1)).await;
        let in_container = bench.path("c");
        let place = Place {
            parent: container.pid,
            container: &container.id,
            truth: &in_container,
        };
        add(
            report,
            "processes_in_container",
            collector.look(|seen| score(seen, &place, "nc", count)),
        )?;
    }
    report.result("processes_events_missed_by_this_reader", collector.missed())
}

async fn finish(collector: &Collector<Seen>, last: &str) {
    collector
        .wait(ARRIVAL, |seen| {
            let last = seen.by_marker.get(last);
            last.is_some_and(|process| seen.exits.contains_key(&key(process.key.as_ref())))
        })
        .await;
    // Others may end after the last.
    tokio::time::sleep(Duration::from_millis(500)).await;
}

fn add(report: &mut Report, name: &str, score: Score) -> Result<()> {
    report.at_least(
        format!("{name}: 5-50 ms, seen with name, argv, parent, container and exit"),
        percent(score.all_right, score.truth),
        100.0,
        "%",
    );
    report.result(name, score)
}
