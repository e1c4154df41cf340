//! A Docker engine for tests and benches: the running one, else one of our own that ends with us.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::output;
use crate::service::Service;
use crate::stop::Stop;
use crate::tree;

/// How long the engine may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

fn answers() -> bool {
    Command::new("docker")
        .arg("ps")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The engine, if it had to be started: keep it for as long as it is needed.
pub fn ensure(stop: &Stop) -> Result<Option<Service>> {
    if answers() {
        return Ok(None);
    }
    let Some(program) = tree::on_path("dockerd") else {
        bail!("no Docker engine answers and dockerd is not installed");
    };
    let log = tree::logs().join("dockerd.log");
    std::fs::create_dir_all(tree::logs())?;
    let mut engine = Service::start("dockerd", Command::new(program), &log)?;
    let asked = Instant::now();
    while !answers() {
        if let Some(status) = engine.ended() {
            bail!("dockerd ended ({status}):\n{}", output::tail(&log, 20));
        }
        if stop.asked() || asked.elapsed() > PATIENCE {
            bail!("dockerd does not answer:\n{}", output::tail(&log, 20));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(Some(engine))
}
