//! Restarts the Docker engine, as an upgrade would.

use crate::usage;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Ends `dockerd`, waits a moment, and starts it with the same command line.
pub fn restart(away: Duration) -> Result<()> {
    let pids = usage::pids_named(&["dockerd"]);
    let [pid] = pids.as_slice() else {
        bail!(
            "{} processes are called dockerd: which is ours?",
            pids.len()
        )
    };
    let command = std::fs::read(format!("/proc/{pid}/cmdline"))?;
    let words: Vec<String> = command
        .split(|&byte| byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let target = i32::try_from(*pid)
        .ok()
        .and_then(Pid::from_raw)
        .context("a pid is positive")?;
    kill_process(target, Signal::TERM)?;
    wait_until(|| has_ended(*pid)).context("dockerd does not end")?;
    std::thread::sleep(away);
    let (program, arguments) = words.split_first().context("dockerd has a command line")?;
    // A session of its own: it must outlive this bench.
    Command::new("setsid")
        .arg("--fork")
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("starting dockerd")?;
    wait_until(|| {
        Command::new("docker")
            .arg("version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
    .context("dockerd does not answer")
}

/// Gone, or waiting for a parent that does not ask for it.
fn has_ended(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with('Z')))
        .unwrap_or(true)
}

fn wait_until(done: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !done() {
        ensure!(begun.elapsed() < PATIENCE, "not after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
