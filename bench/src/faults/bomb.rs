//! A fork bomb in one cgroup: its events are capped in the kernel and that is said; the others'
//! events still arrive; the bomb itself is not held back.

use super::Options;
use crate::containers::{Container, Docker};
use crate::map;
use crate::observe::Collector;
use crate::report::Report;
use crate::stack::{Programs, Stack};
use crate::truth;
use anyhow::{Context, Result, ensure};
use mesoscope_proto::v1::{Event, EventKind, GapKind};
use serde_json::json;
use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const BYSTANDERS: usize = 200;
const ARRIVAL: Duration = Duration::from_secs(5);

/// Runs it.
pub async fn measure(
    programs: &Programs,
    docker: Option<&Docker>,
    options: &Options,
    report: &mut Report,
) -> Result<()> {
    let Some(docker) = docker else {
        report.not_measured(
            "fork bomb: throttling is named",
            ">=",
            1.0,
            "",
            "no Docker engine answers",
        );
        return Ok(());
    };
    let scratch = tempfile::tempdir()?;
    crate::tiny::write(&scratch.path().join("tiny"))?;
    let (alone, _) = explode(docker, scratch.path(), options, "alone").await?;
    let cap = options.event_rate_cap.to_string();
    let stack = Stack::start(programs, &["--event-rate-cap", &cap]).await?;
    let seen = Collector::start(
        &stack,
        &[EventKind::ProcessExec],
        "",
        |seen: &mut HashSet<String>, event: Event| {
            seen.extend(
                event
                    .process
                    .and_then(|process| process.argv.into_iter().nth(3))
                    .filter(|marker| marker.starts_with("by-")),
            );
        },
    )
    .await?;
    let bystanders = bystanders(programs, scratch.path());
    let (watched, container) = explode(docker, scratch.path(), options, "watched").await?;
    let named = named(&stack, &container).await?;
    bystanders.await??;
    let all =
        |seen: &HashSet<String>| (0..BYSTANDERS).all(|index| seen.contains(&format!("by-{index}")));
    seen.wait(ARRIVAL, all).await;
    let count = seen.look(|seen| {
        (0..BYSTANDERS)
            .filter(|index| seen.contains(&format!("by-{index}")))
            .count()
    });
    let throttled = named.is_some();
    report.result("fork_bomb", json!({ "execs_per_s_without_the_agent": alone, "execs_per_s_with_it": watched, "bystanders": BYSTANDERS, "bystanders_seen": count, "named": named }))?;
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    report.at_least(
        "fork bomb: short processes of other cgroups seen",
        count as f64 / BYSTANDERS as f64 * 100.0,
        100.0,
        "%",
    );
    report.at_least(
        "fork bomb: its throttling is named in the map",
        f64::from(u8::from(throttled)),
        1.0,
        "",
    );
    report.at_least(
        "fork bomb: its rate with the agent, of that without",
        watched / alone,
        0.9,
        "x",
    );
    Ok(())
}

/// The bomb: one thread that spawns flat out, so that a CPU is left for the others. Says its rate.
async fn explode(
    docker: &Docker,
    scratch: &Path,
    options: &Options,
    name: &str,
) -> Result<(f64, Container)> {
    let volume = format!(
        "{}:/truth",
        scratch
            .to_str()
            .context("the scratch folder's path is not UTF-8")?
    );
    let seconds = options.bomb_seconds.to_string();
    let file = format!("/truth/{name}");
    let command = [
        "actor",
        "flood-exec",
        &seconds,
        "1",
        "/truth/tiny",
        "bomb",
        &file,
    ];
    let container = docker.run(&["--volume", &volume], &command)?;
    let facts = truth::wait(
        &scratch.join(name),
        1,
        Duration::from_secs(u64::from(options.bomb_seconds) + 10),
    )
    .await?;
    let fact = facts.first().context("the bomb wrote no truth")?;
    let span = Duration::from_nanos(fact.number(0)?.saturating_sub(fact.time));
    #[expect(clippy::cast_precision_loss, reason = "a count of seconds")]
    let rate = fact.number(1)? as f64 / span.as_secs_f64();
    Ok((rate, container))
}

fn bystanders(programs: &Programs, scratch: &Path) -> tokio::task::JoinHandle<Result<()>> {
    let (actor, truth) = (programs.actor.clone(), scratch.join("by"));
    tokio::task::spawn_blocking(move || {
        // Let the container start, so that both overlap.
        std::thread::sleep(Duration::from_millis(1_500));
        let status = Command::new(actor)
            .args(["spawn-naps", &BYSTANDERS.to_string(), "by"])
            .arg(truth)
            .stdin(Stdio::null())
            .status()?;
        ensure!(status.success(), "the bystanders failed");
        Ok(())
    })
}

/// The sentence of the map that names the bomb's container as throttled.
async fn named(stack: &Stack, container: &Container) -> Result<Option<String>> {
    for _ in 0..50 {
        let diff = map::view(stack, "containers").await?;
        let sentence = diff.incomplete.into_iter().find(|incomplete| {
            incomplete.gap.as_ref().is_some_and(|gap| {
                gap.kind == i32::from(GapKind::Throttled) && gap.container_id == container.id
            })
        });
        if let Some(incomplete) = sentence {
            return Ok(Some(incomplete.message));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(None)
}
