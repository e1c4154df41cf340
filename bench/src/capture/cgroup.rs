//! A cgroup of the bench's own.

use crate::usage;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory of the v2 hierarchy, removed when this is dropped and nothing runs in it any more.
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes it.
    pub fn new(name: &str) -> Result<Self> {
        let root = usage::cgroup2_root().context("no cgroup v2 hierarchy is mounted")?;
        let path = root.join(name);
        std::fs::create_dir(&path)
            .with_context(|| format!("making the cgroup {}", path.display()))?;
        Ok(Self(path))
    }

    /// A command that runs `program` in it; arguments can be added.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#]);
        command.arg(&self.0).arg(program);
        command
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir(&self.0) {
            eprintln!("removing the cgroup {}: {error}", self.0.display());
        }
    }
}
