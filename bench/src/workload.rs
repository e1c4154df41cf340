//! The standard workload: 20 servers, 20 clients that fetch from all of them, and 200 fork + exec a
//! second.

use crate::containers::{Docker, Guard, Servers};
use crate::stack::Programs;
use anyhow::{Context, Result};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The workload, for as long as it lives.
pub struct Workload {
    servers: Option<Servers>,
    _execs: Guard,
    _folder: TempDir,
}

impl Workload {
    /// Starts it; without Docker only the fork + exec part.
    pub fn start(
        programs: &Programs,
        docker: Option<&Docker>,
        servers: usize,
        execs_per_second: u32,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let tiny = folder.path().join("tiny");
        crate::tiny::write(&tiny)?;
        let execs = Command::new(&programs.actor)
            .args(["rate", &execs_per_second.to_string()])
            .arg(tiny)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("starting the fork + exec load")?;
        let execs = Guard(execs);
        let servers = docker
            .map(|docker| Servers::start(docker, servers))
            .transpose()?;
        Ok(Self {
            servers,
            _execs: execs,
            _folder: folder,
        })
    }

    /// Starts the containers again after the engine has been restarted.
    pub fn restart_containers(&self) -> Result<()> {
        self.servers.as_ref().map_or(Ok(()), Servers::restart)
    }
}
