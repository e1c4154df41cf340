//! The script that drives Chromium, and what it tells.

use super::Options;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long loading all the pages may take.
const LOADING: Duration = Duration::from_secs(600);
/// How long the last change may take to the screen, and the figures after it.
const ENDING: Duration = Duration::from_secs(60);

/// What was measured in the page.
#[derive(Deserialize, Serialize)]
pub struct Figures {
    first_ms: Vec<f64>,
    pub frames_per_s: f64,
    frame_p95_ms: Option<f64>,
    /// Of each change; None: it was never seen.
    pub update_ms: Vec<Option<f64>>,
}

impl Figures {
    /// 95th percentile: of 20 loads, the slowest but one.
    pub fn first_p95_ms(&self) -> f64 {
        let mut sorted = self.first_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * 95).div_ceil(100);
        sorted
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or(f64::INFINITY)
    }
}

/// The running script; it ends when this is dropped.
pub struct Browser {
    child: Child,
    told: Lines<BufReader<ChildStdout>>,
    tell: ChildStdin,
}

impl Browser {
    /// Starts it on a page that is to show `containers` containers.
    pub fn start(options: &Options, url: &str, name: &str, containers: u32) -> Result<Self> {
        ensure!(
            options.script.is_file(),
            "{} is not there: run this in the checkout, or name it with --script",
            options.script.display()
        );
        let mut command = Command::new(&options.node);
        command
            .arg(&options.script)
            .env("MESOSCOPE_URL", url)
            .env("NODES", containers.to_string())
            .env("LOADS", options.loads.to_string())
            .env("MARKS", options.marks.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(folder) = &options.screenshots {
            std::fs::create_dir_all(folder)?;
            command.env("SCREENSHOT", folder.join(format!("{name}.png")));
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {} (see --node)", options.node.display()))?;
        let told = child.stdout.take().context("its output is piped")?;
        let tell = child.stdin.take().context("its input is piped")?;
        Ok(Self {
            child,
            told: BufReader::new(told).lines(),
            tell,
        })
    }

    /// Waits until it looks for changes.
    pub async fn ready(&mut self) -> Result<()> {
        self.line(LOADING).await.map(drop)
    }

    /// Tells it of a change, and when it was made.
    pub async fn marked(&mut self, mark: u32, at: u64) -> Result<()> {
        let line = format!("{{\"mark\":{mark},\"at\":{at}}}\n");
        self.tell.write_all(line.as_bytes()).await?;
        Ok(())
    }

    /// What it has measured.
    pub async fn finish(mut self) -> Result<Figures> {
        let line = self.line(ENDING).await?;
        serde_json::from_str(&line).context("the script's figures")
    }

    async fn line(&mut self, limit: Duration) -> Result<String> {
        let line = tokio::time::timeout(limit, self.told.next_line()).await;
        match line.with_context(|| format!("the browser says nothing for {limit:?}"))?? {
            Some(line) => Ok(line),
            None => bail!("the browser's script ended: {}", self.child.wait().await?),
        }
    }
}
