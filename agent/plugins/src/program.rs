//! The program of a plugin: started as its user, its output in the agent's log, ended with all that it
//! started.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use mesoscope_plugin::SOCKET_VARIABLE;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use crate::launch;
use crate::manifest::ProgramLimits;
use crate::user::User;
use crate::validate::message;

/// How long a program may take to end when it is asked to.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// Longest line of its output that is logged whole.
const LINE_BYTES_MAX: usize = 512;
/// Lines that are logged in each period; the others are counted.
const LINES_MAX: u32 = 20;
const LINES_PERIOD: Duration = Duration::from_secs(10);

/// What to start.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// The plugin's name.
    pub(crate) name: &'a str,
    /// The agent's own binary.
    pub(crate) launcher: &'a Path,
    /// Who it becomes.
    pub(crate) user: User,
    /// Program and arguments.
    pub(crate) command: &'a [String],
    /// Its environment.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// What it may use.
    pub(crate) limits: ProgramLimits,
    /// A folder of its own, made anew.
    pub(crate) folder: &'a Path,
}

/// A program that runs. Dropped, it is killed with its process group.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    group: Option<Pid>,
}

/// Where a program listens that the agent started.
pub(crate) fn socket_in(folder: &Path) -> PathBuf {
    folder.join("socket")
}

impl Program {
    pub(crate) fn start(start: &Start<'_>) -> io::Result<Self> {
        make_folder(start.folder, start.user)?;
        let mut command = Command::new(start.launcher);
        command
            .args(launch::arguments(start.user, start.limits, start.command))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", start.folder)
            .env("TMPDIR", start.folder)
            .envs(start.environment)
            .env(SOCKET_VARIABLE, socket_in(start.folder))
            .env("MESOSCOPE_PLUGIN_NAME", start.name)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn()?;
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let name = start.name.to_owned();
        if let Some(output) = child.stdout.take() {
            tokio::spawn(log(name.clone(), output));
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(log(name, output));
        }
        Ok(Self { child, group })
    }

    /// Waits for its end. May be dropped and asked again.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to end, and kills what is left.
    pub(crate) async fn stop(mut self) {
        self.signal(Signal::TERM);
        // Killed below in any case.
        let _ = tokio::time::timeout(END_PATIENCE, self.child.wait()).await;
        self.signal(Signal::KILL);
        let _ = self.child.wait().await;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may have ended.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// A folder that the plugin may write in and the agent may look into, also without the right to pass
/// over permissions: it belongs to the user, and to the group of the agent.
fn make_folder(folder: &Path, user: User) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above)?;
    }
    std::fs::create_dir(folder)?;
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    if uid != user.uid {
        chown(folder, Some(user.uid), Some(gid))?;
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o2770))
}

/// Logs what a program says, line by line, and no more of it than can be read.
async fn log(plugin: String, mut output: impl AsyncRead + Unpin) {
    let mut line = Vec::new();
    let mut buffer = [0; 1_024];
    let mut rate = Rate::default();
    while let Ok(read @ 1..) = output.read(&mut buffer).await {
        for byte in &buffer[..read] {
            if *byte != b'\n' && line.len() < LINE_BYTES_MAX {
                line.push(*byte);
            }
            if *byte == b'\n' {
                rate.say(&plugin, &line);
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        rate.say(&plugin, &line);
    }
}

#[derive(Default)]
struct Rate {
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Rate {
    fn say(&mut self, plugin: &str, line: &[u8]) {
        if self
            .began
            .is_none_or(|began| began.elapsed() >= LINES_PERIOD)
        {
            if self.left_out > 0 {
                let lines = self.left_out;
                tracing::warn!(plugin, lines, "said more than is logged");
            }
            *self = Self {
                began: Some(Instant::now()),
                ..Self::default()
            };
        }
        if self.lines < LINES_MAX {
            self.lines += 1;
            let line = message(&String::from_utf8_lossy(line));
            tracing::warn!(plugin, line, "says");
        } else {
            self.left_out += 1;
        }
    }
}
