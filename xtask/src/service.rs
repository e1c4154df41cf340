//! A long-running program that we started: it never outlives us.
//!
//! Each has a watchdog, this program again with the reading end of a pipe as its input. When the
//! pipe closes without a word, we are dead, however that happened, and the watchdog ends the
//! service's process group. (`PR_SET_PDEATHSIG` would follow the thread that started the service,
//! not the process, and needs unsafe code.)

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use crate::{steps, tree};

/// What tells the watchdog that the service was ended by us.
const ENDED: &[u8] = b"ended";

/// A running service.
#[derive(Debug)]
pub struct Service {
    /// For messages.
    pub name: &'static str,
    /// What it prints.
    pub log: PathBuf,
    child: Child,
    watchdog: Child,
}

impl Service {
    /// Starts `command`, its output going to `log`.
    pub fn start(name: &'static str, mut command: Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("sharing a log")?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name}: {:?}", command.get_program()))?;
        let watchdog =
            tree::xtask(&["watchdog", &child.id().to_string()]).and_then(|mut command| {
                command
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .process_group(0)
                    .spawn()
                    .context("starting a watchdog")
            });
        match watchdog {
            Ok(watchdog) => Ok(Self {
                name,
                log: log.to_owned(),
                child,
                watchdog,
            }),
            Err(error) => {
                steps::end(&mut child);
                Err(error)
            }
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        steps::end(&mut self.child);
        if let Some(mut pipe) = self.watchdog.stdin.take() {
            let _ = pipe.write_all(ENDED);
        }
        let _ = self.watchdog.wait();
    }
}

/// The watchdog: waits for the pipe to close, then ends the process group unless told not to.
pub fn watchdog(group: i32) -> Result<()> {
    let group = Pid::from_raw(group).context("a process group is a positive number")?;
    let mut word = Vec::new();
    std::io::stdin()
        .read_to_end(&mut word)
        .context("reading the pipe")?;
    if word == ENDED {
        return Ok(());
    }
    let _ = kill_process_group(group, Signal::TERM);
    for _ in 0..100 {
        if test_kill_process_group(group).is_err() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ = kill_process_group(group, Signal::KILL);
    Ok(())
}
