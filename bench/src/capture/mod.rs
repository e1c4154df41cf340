//! `capture`: what the agent sees, against what was really there.

mod cgroup;
mod connections;
mod flood;
mod processes;

use crate::containers::Docker;
use crate::report::Report;
use crate::stack::{Programs, Stack};
use anyhow::{Context, Result, ensure};
use cgroup::Cgroup;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Options of `capture`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Options {
    /// Processes of 5 to 50 ms, half of them in containers; and as many connections.
    #[arg(long, default_value_t = 400)]
    count: usize,
    /// Seconds of each flood.
    #[arg(long, default_value_t = 5)]
    flood_seconds: u32,
    /// The agent's per-cgroup cap on events/s during the floods; 0 leaves the agent's default.
    #[arg(long, default_value_t = 0)]
    event_rate_cap: u32,
    /// The short form for CI: fewer, and floods of 2 s.
    #[arg(long)]
    short: bool,
}

/// How long the last events may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(5);

/// What a part works with.
struct Bench {
    stack: Stack,
    actor: PathBuf,
    docker: Option<Docker>,
    options: Options,
    /// The agent runs without a cap on events.
    uncapped: bool,
}

impl Bench {
    /// A path in the scratch folder.
    fn path(&self, name: &str) -> PathBuf {
        self.stack.folder.path().join(name)
    }

    /// A name of a result, with what is special about this run.
    fn named(&self, name: &str) -> String {
        let special = if self.uncapped { "_without_cap" } else { "" };
        format!("{name}{special}")
    }

    /// Runs an actor on the host to its end, and says what pid it had.
    async fn actor(&self, arguments: Vec<String>) -> Result<u32> {
        self.actor_in(None, arguments).await
    }

    /// The same, in a cgroup.
    async fn actor_in(&self, cgroup: Option<&Cgroup>, arguments: Vec<String>) -> Result<u32> {
        let actor = self.actor.clone();
        let mut command =
            cgroup.map_or_else(|| Command::new(&actor), |cgroup| cgroup.command(&actor));
        tokio::task::spawn_blocking(move || {
            let mut child = command.args(&arguments).stdin(Stdio::null()).spawn()?;
            let pid = child.id();
            ensure!(child.wait()?.success(), "the actor failed: {arguments:?}");
            Ok(pid)
        })
        .await?
    }

    /// The scratch folder, as an option of `docker run`.
    fn volume(&self) -> Result<String> {
        let folder = self
            .stack
            .folder
            .path()
            .to_str()
            .context("the scratch folder's path is not UTF-8")?;
        Ok(format!("{folder}:/truth"))
    }
}

/// Runs it.
pub async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    let mut options = options.clone();
    if options.short {
        (options.count, options.flood_seconds) = (options.count.min(200), 2);
    }
    let mut report = Report::begin("capture", &options)?;
    let cap = options.event_rate_cap.to_string();
    let agent_options: &[&str] = if options.event_rate_cap == 0 {
        &[]
    } else {
        &["--event-rate-cap", &cap]
    };
    let bench = Bench {
        docker: Docker::connect(&programs.actor)?,
        stack: Stack::start(programs, agent_options).await?,
        actor: programs.actor.clone(),
        options,
        uncapped: false,
    };
    if bench.docker.is_none() {
        report.not_measured(
            "the same in containers",
            ">=",
            100.0,
            "%",
            "no Docker engine answers",
        );
    }
    processes::measure(&bench, &mut report).await?;
    connections::measure(&bench, &mut report).await?;
    flood::execs(&bench, &mut report).await?;
    flood::connections(&bench, &mut report).await?;
    let Bench {
        stack,
        actor,
        docker,
        options,
        ..
    } = bench;
    drop(stack);
    let uncapped = Bench {
        stack: Stack::start(programs, &["--event-rate-cap", "0"]).await?,
        actor,
        docker,
        options,
        uncapped: true,
    };
    flood::execs(&uncapped, &mut report).await?;
    flood::connections(&uncapped, &mut report).await?;
    Ok(report.finish())
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
fn percent(part: usize, of: usize) -> f64 {
    if of == 0 {
        0.0
    } else {
        part as f64 / of as f64 * 100.0
    }
}
